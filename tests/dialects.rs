//! What the fixups write, read by the programs that it is written for, as far as they are on this machine: bash for files
//! of assignments, BusyBox's ifup in a network namespace of its own, ifupdown and netplan where they are installed or named
//! by OVZ2LXC_IFUP and OVZ2LXC_NETPLAN_GENERATE.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use std::fs;
use std::path::Path;
use support::fixups::{self, Golden};
use support::tree;
use tempfile::TempDir;

/// Makes the tree of a golden case and applies the fixups; `None` where that cannot be done.
fn fixed(case: &str) -> Option<TempDir> {
    if !support::is_root() {
        support::skip(case, "making a tree with other owners and nodes needs root");
        return None;
    }
    let golden = Golden::named(case);
    let dir = tree::made(&golden.tree());
    fixups::run(dir.path(), &golden.plan());
    Some(dir)
}

#[expect(clippy::disallowed_methods, reason = "asks the real tools")]
fn run(program: &str, args: &[&str]) -> (bool, String) {
    let output = std::process::Command::new(program).args(args).env("LC_ALL", "C").output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// What bash makes of a file: its variables, arrays with a bar between the words.
fn sourced(file: &Path, names: &[&str]) -> Vec<String> {
    let shown: String = names.iter().map(|n| format!("(IFS='|'; printf '%s\\0' \"${{{n}[*]}}\")\n")).collect();
    let (done, text) = run("bash", &["-euc", &format!("source \"$1\"\n{shown}"), "bash", file.to_str().unwrap()]);
    assert!(done, "{text}");
    text.split_terminator('\0').map(str::to_owned).collect()
}

#[test]
fn a_shell_reads_the_files_of_assignments_as_they_are_meant() {
    let v6 = "ip -6 route add default via fe80::1 dev eth0";
    for (case, file, wanted) in [
        (
            "gentoo-openrc",
            "etc/conf.d/net",
            vec![
                ("config_eth0", "10.20.0.11/24\n10.20.0.12/24\n2001:db8:20::11/64"),
                ("routes_eth0", "default via 10.20.0.1\ndefault via fe80::1\n10.9.0.0/16 via 10.20.0.7"),
                ("config_eth1", "dhcp"),
            ],
        ),
        (
            "gentoo-baselayout1",
            "etc/conf.d/net",
            vec![
                ("config_eth0", "10.20.0.11/24|10.20.0.12/24|2001:db8:20::11/64"),
                ("routes_eth0", "10.99.0.1|default via 10.99.0.1|default via fe80::1"),
                ("modules", "iproute2"),
            ],
        ),
        ("gentoo-openrc", "etc/rc.conf", vec![("rc_sys", "lxc")]),
        (
            "funtoo",
            "etc/conf.d/netif.eth0",
            vec![("template", "interface"), ("route", "10.99.0.1 dev eth0; default via 10.99.0.1 dev eth0")],
        ),
        (
            "arch-rcconf",
            "etc/rc.conf",
            vec![("interface", "eth0"), ("gateway", ""), ("DAEMONS", "syslog-ng|network|sshd|crond")],
        ),
        ("arch-netcfg", "etc/conf.d/netcfg", vec![("NETWORKS", "wifi|eth0")]),
        (
            "arch-netcfg-systemd",
            "etc/network.d/eth0",
            vec![(
                "IPCFG",
                "link set dev eth0 mtu 1400|addr add 10.20.0.12/24 dev eth0|-6 addr add 2001:db8:20::11/64 dev eth0|\
                 -6 route add default via fe80::1 dev eth0",
            )],
        ),
        (
            "arch-netctl",
            "etc/netctl/eth0",
            vec![
                ("Address", "10.20.0.11/24|10.20.0.12/24"),
                ("Routes", "10.99.0.1|default via 10.99.0.1"),
                ("IP", "static"),
            ],
        ),
    ] {
        let Some(dir) = fixed(case) else { return };
        let names: Vec<&str> = wanted.iter().map(|(n, _)| *n).collect();
        let values: Vec<&str> = wanted.iter().map(|(_, v)| *v).collect();
        assert_eq!(sourced(&dir.path().join(file), &names), values, "{case}: {file}");
    }
    let Some(dir) = fixed("arch-netcfg") else { return };
    let commands = &sourced(&dir.path().join("etc/network.d/eth0"), &["POST_UP"])[0];
    assert!(commands.ends_with(&format!("; {v6}")), "{commands}");
}

/// Runs commands with an eth0 in a network namespace of their own, with private directories for ifup's state and hooks.
fn in_namespace(commands: &str) -> Option<(bool, String)> {
    let script = format!(
        "mount -t tmpfs none /run && mkdir -p /run/network && mount -t tmpfs none /etc && mkdir /etc/network &&
         for d in pre-up up down post-down; do mkdir /etc/network/if-$d.d; done &&
         ip link add eth0 type veth peer name peer0 && ip link set peer0 up || exit 77\n{commands}"
    );
    let (done, text) = run("unshare", &["-n", "-m", "--propagation", "private", "sh", "-c", &script]);
    if text.contains("Operation not permitted") && !done {
        return None;
    }
    Some((done, text))
}

#[test]
fn busybox_brings_alpines_interface_up_and_down() {
    let test = "busybox_brings_alpines_interface_up_and_down";
    if !Path::new("/bin/busybox").exists() || !run("/bin/busybox", &["--list"]).1.lines().any(|l| l == "ifup") {
        return support::skip(test, "there is no BusyBox with ifup");
    }
    let Some(dir) = fixed("alpine") else { return };
    let file = dir.path().join("etc/network/interfaces");
    let file = file.to_str().unwrap();
    let show = "ip -br addr show eth0; ip route; ip -6 route show default";
    let commands = format!(
        "set -e; busybox ifup -a -i {file}; {show}; busybox ifdown -i {file} eth0; echo down; {show}; busybox ifup -i {file} eth0"
    );
    let Some((done, text)) = in_namespace(&commands) else {
        return support::skip(test, "this machine allows no network namespace");
    };
    assert!(done, "{text}");
    let (up, down) = text.split_once("\ndown\n").unwrap();
    for part in [
        "10.20.0.11/24",
        "10.20.0.12/24",
        "2001:db8:20::11/64",
        "10.99.0.1 dev eth0 scope link",
        "default via 10.99.0.1 dev eth0",
        "default via fe80::1 dev eth0",
    ] {
        assert!(up.contains(part), "{part} in {up}");
    }
    assert!(!down.contains("10.20.0.1"), "{down}");
}

#[test]
fn ifupdown_accepts_every_form() {
    let test = "ifupdown_accepts_every_form";
    let program = std::env::var("OVZ2LXC_IFUP").unwrap_or_else(|_| "/sbin/ifup".into());
    if !Path::new(&program).exists() {
        return support::skip(test, "ifupdown is not installed");
    }
    for (case, command) in [
        ("debian4", "route add default gw 10.99.0.1 dev eth0"),
        ("ubuntu1204-upstart", "ip route add default via 10.99.0.1 dev eth0"),
        ("devuan-openrc", "ip addr add 10.20.0.12/255.255.255.0"),
    ] {
        let Some(dir) = fixed(case) else { return };
        let file = dir.path().join("etc/network/interfaces");
        let (done, text) = run(&program, &["--no-act", "--verbose", "--force", "-a", "-i", file.to_str().unwrap()]);
        assert!(done && text.contains(command), "{case}: {text}");
    }
}

#[test]
fn netplan_makes_units_of_what_is_left_and_what_is_new() {
    let test = "netplan_makes_units_of_what_is_left_and_what_is_new";
    let generator =
        std::env::var("OVZ2LXC_NETPLAN_GENERATE").unwrap_or_else(|_| "/usr/libexec/netplan/generate".into());
    if !Path::new(&generator).exists() {
        return support::skip(test, "netplan is not installed");
    }
    let Some(dir) = fixed("ubuntu2204-netplan") else { return };
    let (done, text) = run(&generator, &["--root-dir", dir.path().to_str().unwrap()]);
    assert!(done, "{text}");
    let unit = fs::read_to_string(dir.path().join("run/systemd/network/10-netplan-eth0.network")).unwrap();
    for line in [
        "Address=10.20.0.11/24",
        "Address=10.20.0.12/24",
        "Destination=10.99.0.1/32\nScope=link",
        "Gateway=10.99.0.1\nGatewayOnLink=true",
        "Gateway=fe80::1",
        "DNS=10.20.0.53",
        "Destination=10.9.0.0/16",
    ] {
        assert!(unit.contains(line), "{line} in {unit}");
    }
    assert!(!unit.contains("192.168.7") && !unit.contains("DHCP"), "{unit}");
    let Some(dir) = fixed("ubuntu2204-netplan-none") else { return };
    assert!(run(&generator, &["--root-dir", dir.path().to_str().unwrap()]).0);
    assert!(!dir.path().join("run/systemd/network/10-netplan-eth0.network").exists(), "LXC sets the addresses");
}
