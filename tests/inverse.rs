//! The way there and back: a tree, dressed as vzctl's scripts dress it, then fixed up, is the tree that it was, plus
//! exactly the changes that are meant, in content, mode, owner and extended attributes.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests, which clippy takes for the program's own code; shared by several test crates"
)]

#[path = "support/mod.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;

use ovz2lxc::fixup::{ApplyOptions, Catalogue, apply};
use ovz2lxc::guest;
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use similar::ChangeTag;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// What every tree has that nobody may touch, and the files that vzctl and the fixups meet everywhere.
const COMMON: &str = "=== file etc/ssh/ssh_host_rsa_key 0600 0:0
a key
=== file etc/shadow 0640 0:42
root:$6$x:1:0:99999:7:::
=== file etc/machine-id 0444 0:0
0123456789abcdef0123456789abcdef
=== file etc/crontab 0644 0:0
17 * * * * root run-parts /etc/cron.hourly
=== link etc/localtime -> /usr/share/zoneinfo/Europe/Berlin
=== file home/kept/.bashrc 0600 1000:1000
alias ll='ls -l'
=== elf bin/ping 0755 0:0 2 62 ping
=== file etc/securetty 0600 0:0
console
tty1
tty2
tty3
tty4
=== char dev/console 0600 0:0 5 1
=== char dev/tty2 0600 0:0 4 2
=== file etc/hosts 0640 0:0
127.0.0.1 localhost.localdomain localhost
# mine
10.9.9.9 printer
::1 localhost.localdomain localhost
=== link etc/mtab -> /proc/mounts
=== file etc/fstab 0644 0:0
LABEL=data /srv ext4 defaults 0 2
";

const HOSTNAME: &str = "web1.example.com";

/// Dresses a tree, fixes it up twice, and returns what is different from before, as lines with `-` and `+`, by path.
fn there_and_back(family: &str, stock: &str) -> BTreeMap<String, Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    tree::make(root, &format!("{COMMON}{stock}"));
    for (path, name, value) in [
        ("etc/securetty", "user.note", &b"kept"[..]),
        ("bin/ping", "user.note", b"kept"),
        // cap_net_raw, as vzctl itself gives it to ping (capabilities(7), VFS_CAP_REVISION_2).
        ("bin/ping", "security.capability", &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let _ = rustix::fs::setxattr(root.join(path), name, value, rustix::fs::XattrFlags::empty());
    }
    let before = (tree::dump(root), xattrs(root));

    let ips = "192.168.7.11 192.168.8.11/24 2001:db8:7::11/64";
    let output = support::node::script("dress.sh")
        .arg(root)
        .args([family, "--ip", ips, "--hostname", "old.example.com", "--nameserver", "192.168.7.53"])
        .args(["--searchdomain", "old.example.com", "--wait", "--ugid-quota"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_ne!(tree::dump(root), before.0);
    assert!(root.join("fastboot").exists());

    let plan: GuestPlan = toml::from_str(&format!(
        "hostname = \"{HOSTNAME}\"\nnameservers = [\"10.0.0.53\"]\nsearchdomains = [\"example.com\"]\nttys = 4\n\
         [[nic]]\nname = \"eth0\"\naddresses = [\"10.0.0.11/24\", \"2001:db8::11/64\"]\n\
         gateway4 = \"10.0.0.1\"\ngateway6 = \"fe80::1\"\n"
    ))
    .unwrap();
    let catalogue = Catalogue::load(None).unwrap();
    let rootfs = Rootfs::open(root).unwrap();
    let guest = guest::detect(&rootfs).unwrap();
    let run = || apply(&catalogue, &rootfs, &guest, &plan, &ApplyOptions::default()).unwrap();
    run();
    assert_eq!(run().changes, [], "a second run changes nothing");

    assert_eq!(xattrs(root), before.1, "extended attributes");
    let after = tree::dump(root);
    for word in ["venet", "vzquota", "vzfifo", "simfs", "192.168.", "2001:db8:7:", "old.example.com"] {
        assert!(!after.contains(word), "{family}: {word} is still there:\n{after}");
    }
    differences(&before.0, &after)
}

/// Every extended attribute in a tree.
fn xattrs(root: &Path) -> BTreeSet<(String, String, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let mut names = vec![0u8; 4096];
        let Ok(length) = rustix::fs::llistxattr(entry.path(), &mut names[..]) else { continue };
        for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
            let name = String::from_utf8(name.to_vec()).unwrap();
            let mut value = vec![0u8; 4096];
            let length = rustix::fs::lgetxattr(entry.path(), &name, &mut value[..]).unwrap();
            let path = entry.path().strip_prefix(root).unwrap().display().to_string();
            found.insert((path, name, value[..length].to_vec()));
        }
    }
    found
}

fn entries(dump: &str) -> BTreeMap<String, String> {
    let parts = dump.split("=== ").filter(|p| !p.is_empty());
    // A directory stands there only when it is empty: it may be filled.
    parts.filter(|p| !p.starts_with("directory ")).map(|p| (word(p), p.to_owned())).collect()
}

fn word(entry: &str) -> String {
    entry.split_whitespace().nth(1).unwrap().to_owned()
}

fn differences(before: &str, after: &str) -> BTreeMap<String, Vec<String>> {
    let (before, after) = (entries(before), entries(after));
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut found = BTreeMap::new();
    for path in paths {
        let side = |map: &BTreeMap<String, String>| map.get(path).cloned().unwrap_or_default();
        let (old, new) = (side(&before), side(&after));
        let diff = similar::TextDiff::from_lines(&old, &new);
        let lines = diff.iter_all_changes().filter(|c| c.tag() != ChangeTag::Equal);
        let lines: Vec<String> = lines
            .map(|c| {
                format!("{}{}", if c.tag() == ChangeTag::Delete { '-' } else { '+' }, c.value().trim_end_matches('\n'))
            })
            .collect();
        if !lines.is_empty() {
            found.insert(path.clone(), lines);
        }
    }
    found
}

/// Compares with what is meant, written as `PATH` and its lines.
fn exactly(family: &str, stock: &str, meant: &str) {
    if !support::is_root() {
        return support::skip(&format!("inverse::{family}"), "making trees with owners and nodes needs root");
    }
    let found: String = there_and_back(family, stock)
        .into_iter()
        .map(|(path, lines)| {
            format!("{path}\n{}\n", lines.iter().map(|l| format!("  {l}")).collect::<Vec<_>>().join("\n"))
        })
        .collect();
    let diff = similar::TextDiff::from_lines(meant, &found);
    assert!(meant == found, "{}", diff.unified_diff().header("meant", "found"));
}

/// Compares loosely, where the dialect of the network has tests of its own: what is new may be at these places only, and
/// of what was there, only these files may differ, and no line of them may be gone but those.
fn at_most(family: &str, stock: &str, new: &[&str], edited: &[&str], gone: &[&str]) {
    if !support::is_root() {
        return support::skip(&format!("inverse::{family}"), "making trees with owners and nodes needs root");
    }
    let full = format!("{COMMON}{stock}");
    for (path, lines) in there_and_back(family, stock) {
        let was_there = full.contains(&format!(" {path} "));
        let at = |places: &[&str]| {
            places.iter().any(|p| path == *p || p.strip_suffix('*').is_some_and(|p| path.starts_with(p)))
        };
        assert!(at(if was_there { edited } else { new }), "{family}: {path} is not meant to differ: {lines:#?}");
        for line in lines.iter().filter(|l| l.starts_with('-')) {
            assert!(gone.contains(&&line[1..]), "{family}: {path} lost {line}");
        }
    }
}

#[test]
fn debian_with_system_v_init() {
    let stock = r"=== file etc/debian_version 0644 0:0
7.11
=== elf sbin/init 0755 0:0 2 62 /etc/inittab
=== elf sbin/getty 0755 0:0 2 62 getty
=== elf sbin/ifup 0755 0:0 2 62 ifup
=== file etc/inittab 0644 0:0
id:2:initdefault:
si::sysinit:/etc/init.d/rcS
pf::powerwait:/etc/init.d/powerfail start
pn::powerfailnow:/etc/init.d/powerfail now
po::powerokwait:/etc/init.d/powerfail stop
1:2345:respawn:/sbin/getty 38400 tty1
2:23:respawn:/sbin/getty 38400 tty2
=== file etc/hostname 0644 0:0
web1
=== file etc/network/interfaces 0644 0:0
# Auto generated lo interface
auto lo
iface lo inet loopback
=== file etc/network/interfaces.tail 0644 0:0
auto eth7
iface eth7 inet dhcp
=== file etc/init.d/rcS 0755 0:0
#!/bin/sh
=== file etc/resolv.conf 0644 0:0
options timeout:1
";
    exactly("debian", stock, DEBIAN_SYSVINIT);
}

#[test]
fn debian_with_systemd() {
    let stock = r"=== link lib -> usr/lib
=== link sbin -> usr/sbin
=== file usr/lib/os-release 0644 0:0
ID=debian
VERSION_ID=12
=== elf usr/lib/systemd/systemd 0755 0:0 2 62 systemd
=== link usr/sbin/init -> /lib/systemd/systemd
=== elf usr/sbin/ifup 0755 0:0 2 62 ifup
=== file usr/lib/systemd/system/getty@.service 0644 0:0
[Unit]
ConditionPathExists=/dev/tty0
[Service]
ExecStart=-/sbin/agetty --noclear %I $TERM
=== file usr/lib/systemd/system/console-getty.service 0644 0:0
[Service]
ExecStart=-/sbin/agetty --noclear --keep-baud console
=== file usr/lib/systemd/system/sys-kernel-debug.mount 0644 0:0
[Mount]
=== link etc/systemd/system/getty.target.wants/getty@tty1.service -> /lib/systemd/system/getty@.service
=== file etc/hostname 0644 0:0
web1
=== file etc/network/interfaces 0644 0:0
# Auto generated lo interface
auto lo
iface lo inet loopback
=== file etc/resolv.conf 0644 0:0
options timeout:1
";
    exactly("debian", stock, DEBIAN_SYSTEMD);
}

#[test]
fn red_hat_6() {
    let stock = r#"=== file etc/redhat-release 0644 0:0
CentOS release 6.10 (Final)
=== elf sbin/init 0755 0:0 2 62 upstart
=== elf sbin/mingetty 0755 0:0 2 62 mingetty
=== elf sbin/arping 0755 0:0 2 62 arping
=== file sbin/ifup 0755 0:0
#!/bin/bash
if [ "${DEVICE}" = "lo" ]; then
    exec /sbin/ip link set lo up
fi
=== file etc/inittab 0644 0:0
id:3:initdefault:
=== file etc/init/rcS.conf 0644 0:0
start on startup
=== file etc/init/tty.conf 0644 0:0
respawn
instance $TTY
exec /sbin/mingetty $TTY
=== file etc/init/start-ttys.conf 0644 0:0
start on stopped rc RUNLEVEL=[2345]
script
	initctl start tty TTY=/dev/tty1
end script
=== file etc/rc.d/rc.sysinit 0755 0:0
#!/bin/bash
/sbin/start_udev
=== link etc/init.d -> rc.d/init.d
=== file etc/rc.d/init.d/network 0755 0:0
#!/bin/bash
=== file etc/sysconfig/network 0644 0:0
NETWORKING="yes"
HOSTNAME="web1.example.com"
=== file etc/sysconfig/network-scripts/ifcfg-lo 0644 0:0
DEVICE=lo
=== file etc/resolv.conf 0644 0:0
options timeout:1
"#;
    exactly("redhat", stock, RED_HAT_6);
}

#[test]
fn suse_11() {
    let stock = r"=== file etc/SuSE-release 0644 0:0
SUSE Linux Enterprise Server 11 (x86_64)
VERSION = 11
=== elf sbin/init 0755 0:0 2 62 /etc/inittab
=== elf sbin/mingetty 0755 0:0 2 62 mingetty
=== file etc/inittab 0644 0:0
id:3:initdefault:
si::bootwait:/etc/init.d/boot
si::sysinit:/etc/init.d/boot
1:2345:respawn:/sbin/mingetty --noclear tty1
2:2345:respawn:/sbin/mingetty tty2
pf::powerwait:/etc/init.d/powerfail start
=== file etc/HOSTNAME 0644 0:0
web1
=== file etc/sysconfig/network/config 0644 0:0
NETCONFIG_DNS_POLICY='auto'
=== file etc/sysconfig/network/ifcfg-lo 0644 0:0
IPADDR=127.0.0.1/8
STARTMODE=onboot
=== file etc/init.d/boot 0755 0:0
#!/bin/sh
=== file etc/resolv.conf 0644 0:0
options timeout:1
";
    at_most(
        "suse",
        stock,
        &["etc/sysconfig/network/ifcfg-eth0", "etc/sysconfig/network/ifroute-eth0", "etc/sysconfig/network/routes"],
        &[
            "etc/HOSTNAME",
            "etc/fstab",
            "etc/hosts",
            "etc/inittab",
            "etc/resolv.conf",
            "etc/securetty",
            "etc/sysconfig/network/config",
            "etc/sysconfig/network/ifcfg-lo",
        ],
        &["web1", "pf::powerwait:/etc/init.d/powerfail start", "LABEL=data /srv ext4 defaults 0 2"],
    );
}

#[test]
fn slackware_14() {
    let stock = r#"=== file etc/slackware-version 0644 0:0
Slackware 14.2
=== elf sbin/init 0755 0:0 2 62 /etc/inittab
=== elf sbin/agetty 0755 0:0 2 62 agetty
=== file etc/inittab 0644 0:0
id:3:initdefault:
si:S:sysinit:/etc/rc.d/rc.S
pf::powerfail:/sbin/genpowerfail start
pg::powerokwait:/sbin/genpowerfail stop
c1:1235:respawn:/sbin/agetty 38400 tty1 linux
c6:12345:respawn:/sbin/agetty 38400 tty6 linux
=== file etc/HOSTNAME 0644 0:0
web1.example.com
=== file etc/rc.d/rc.inet1 0755 0:0
#!/bin/bash
. /etc/rc.d/rc.inet1.conf
/sbin/ifconfig eth0 ${IPADDR[0]} netmask ${NETMASK[0]}
=== file etc/rc.d/rc.inet1.conf 0600 0:0
IPADDR[0]=""
NETMASK[0]=""
USE_DHCP[0]="yes"
GATEWAY=""
=== file etc/rc.d/rc.local 0755 0:0
#!/bin/bash
/usr/local/bin/mine
=== file etc/resolv.conf 0644 0:0
options timeout:1
"#;
    exactly("slackware", stock, SLACKWARE_14);
}

#[test]
fn alt_with_etcnet() {
    let stock = r"=== file etc/altlinux-release 0644 0:0
ALT Linux 5.0 Ark
=== elf sbin/init 0755 0:0 2 62 /etc/inittab
=== elf sbin/mingetty 0755 0:0 2 62 mingetty
=== file etc/inittab 0644 0:0
id:3:initdefault:
si::sysinit:/etc/rc.d/rc.sysinit
pf::powerfail:/sbin/shutdown -f -h +2
pr:12345:powerokwait:/sbin/shutdown -c
1:2345:respawn:/sbin/mingetty tty1
2:2345:respawn:/sbin/mingetty tty2
=== file etc/sysconfig/network 0644 0:0
NETWORKING=yes
HOSTNAME=web1.example.com
=== file etc/net/ifaces/lo/options 0644 0:0
TYPE=lo
=== file etc/resolv.conf 0644 0:0
options timeout:1
";
    exactly("alt", stock, ALT_ETCNET);
}

#[test]
fn arch_with_netctl() {
    let stock = r"=== link lib -> usr/lib
=== link sbin -> usr/bin
=== file etc/os-release 0644 0:0
ID=arch
=== elf usr/lib/systemd/systemd 0755 0:0 2 62 systemd
=== link usr/bin/init -> ../lib/systemd/systemd
=== file usr/bin/netctl 0755 0:0
#!/bin/bash
=== file usr/lib/systemd/system/netctl@.service 0644 0:0
[Service]
=== file usr/lib/systemd/system/getty@.service 0644 0:0
[Unit]
ConditionPathExists=/dev/tty0
[Service]
ExecStart=-/sbin/agetty --noclear %I $TERM
=== file usr/lib/systemd/system/console-getty.service 0644 0:0
[Service]
ExecStart=-/sbin/agetty --noclear --keep-baud console
=== link etc/systemd/system/getty.target.wants/getty@tty1.service -> /usr/lib/systemd/system/getty@.service
=== file etc/hostname 0644 0:0
web1.example.com
=== file etc/netctl/mine 0600 0:0
Interface=eth7
Connection=ethernet
IP=dhcp
=== file etc/resolv.conf 0644 0:0
options timeout:1
";
    exactly("arch", stock, ARCH_NETCTL);
}

#[test]
fn gentoo_with_openrc() {
    let stock = r#"=== file etc/gentoo-release 0644 0:0
Gentoo Base System release 2.2
=== elf sbin/init 0755 0:0 2 62 /etc/inittab
=== elf sbin/openrc-run 0755 0:0 2 62 openrc
=== elf sbin/agetty 0755 0:0 2 62 agetty
=== file etc/inittab 0644 0:0
id:3:initdefault:
si::sysinit:/sbin/openrc sysinit
l3:3:wait:/sbin/openrc default
c1:12345:respawn:/sbin/agetty 38400 tty1 linux
c2:2345:respawn:/sbin/agetty 38400 tty2 linux
=== file etc/conf.d/hostname 0644 0:0
hostname="web1"
=== file etc/conf.d/net 0644 0:0
# mine
modules="iproute2"
=== file etc/rc.conf 0644 0:0
rc_logger="YES"
=== file etc/init.d/net.lo 0755 0:0
#!/sbin/runscript
=== link etc/runlevels/boot/net.lo -> /etc/init.d/net.lo
=== file etc/resolv.conf 0644 0:0
options timeout:1
"#;
    at_most(
        "gentoo",
        stock,
        &["etc/init.d/net.eth0", "etc/runlevels/default/net.eth0", "etc/runlevels/*", "etc/rc.conf.d/*"],
        &[
            "etc/conf.d/hostname",
            "etc/conf.d/net",
            "etc/fstab",
            "etc/hosts",
            "etc/inittab",
            "etc/rc.conf",
            "etc/resolv.conf",
            "etc/securetty",
        ],
        &["hostname=\"web1\"", "LABEL=data /srv ext4 defaults 0 2"],
    );
}

const DEBIAN_SYSVINIT: &str = r#"etc/fstab
  -LABEL=data /srv ext4 defaults 0 2
  +LABEL=data /srv ext4 defaults 0 0
etc/hosts
  +# Auto-generated hostname. Please do not remove this comment.
  +10.0.0.11 web1.example.com web1
etc/inittab
  -pf::powerwait:/etc/init.d/powerfail start
  -pn::powerfailnow:/etc/init.d/powerfail now
  -po::powerokwait:/etc/init.d/powerfail stop
  +pf::powerwait:/sbin/shutdown -h now
  +3:2345:respawn:/sbin/getty 38400 tty3
  +4:2345:respawn:/sbin/getty 38400 tty4
  +co:2345:respawn:/sbin/getty 38400 console
etc/network/interfaces
  +
  +auto eth7
  +iface eth7 inet dhcp
  +
  +auto eth0
  +iface eth0 inet static
  +    address 10.0.0.11
  +    netmask 255.255.255.0
  +    gateway 10.0.0.1
  +iface eth0 inet6 static
  +    address 2001:db8::11
  +    netmask 64
  +    up ip -6 route add default via fe80::1 dev eth0 # ovz2lxc
etc/resolv.conf
  +search example.com
  +nameserver 10.0.0.53
etc/securetty
  +lxc/tty1
  +lxc/tty2
  +lxc/tty3
  +lxc/tty4
"#;
const DEBIAN_SYSTEMD: &str = r#"etc/hosts
  +# Auto-generated hostname. Please do not remove this comment.
  +10.0.0.11 web1.example.com web1
etc/network/interfaces
  +
  +auto eth0
  +iface eth0 inet static
  +    address 10.0.0.11/24
  +    gateway 10.0.0.1
  +iface eth0 inet6 static
  +    address 2001:db8::11/64
  +    gateway fe80::1
etc/resolv.conf
  +search example.com
  +nameserver 10.0.0.53
etc/securetty
  +lxc/tty1
  +lxc/tty2
  +lxc/tty3
  +lxc/tty4
etc/systemd/system/getty.target.wants/console-getty.service
  +link etc/systemd/system/getty.target.wants/console-getty.service -> /usr/lib/systemd/system/console-getty.service
etc/systemd/system/getty.target.wants/getty@tty1.service
  -link etc/systemd/system/getty.target.wants/getty@tty1.service -> /lib/systemd/system/getty@.service
  +link etc/systemd/system/getty.target.wants/getty@tty1.service -> /usr/lib/systemd/system/getty@.service
etc/systemd/system/getty.target.wants/getty@tty2.service
  +link etc/systemd/system/getty.target.wants/getty@tty2.service -> /lib/systemd/system/getty@.service
etc/systemd/system/getty.target.wants/getty@tty3.service
  +link etc/systemd/system/getty.target.wants/getty@tty3.service -> /usr/lib/systemd/system/getty@.service
etc/systemd/system/getty.target.wants/getty@tty4.service
  +link etc/systemd/system/getty.target.wants/getty@tty4.service -> /usr/lib/systemd/system/getty@.service
etc/systemd/system/getty@.service.d/ovz2lxc.conf
  +file etc/systemd/system/getty@.service.d/ovz2lxc.conf 0644 0:0
  +# A container has ttys, but no /dev/tty0.
  +[Unit]
  +ConditionPathExists=
etc/systemd/system/sys-kernel-debug.mount
  +link etc/systemd/system/sys-kernel-debug.mount -> /dev/null
"#;
const RED_HAT_6: &str = r#"etc/fstab
  -LABEL=data /srv ext4 defaults 0 2
  +LABEL=data /srv ext4 defaults 0 0
etc/hosts
  +# Auto-generated hostname. Please do not remove this comment.
  +10.0.0.11 web1.example.com web1
etc/init/console.conf
  +file etc/init/console.conf 0644 0:0
  +start on stopped rc RUNLEVEL=[2345]
  +stop on runlevel [!2345]
  +respawn
  +exec /sbin/mingetty console
etc/init/power-status-changed.conf
  +file etc/init/power-status-changed.conf 0644 0:0
  +# LXC asks a container to shut down with SIGPWR.
  +start on power-status-changed
  +exec /sbin/shutdown -h now "SIGPWR received"
etc/rc.d/rc.sysinit
  -/sbin/start_udev
  +#/sbin/start_udev
etc/resolv.conf
  +search example.com
  +nameserver 10.0.0.53
etc/securetty
  +lxc/tty1
  +lxc/tty2
  +lxc/tty3
  +lxc/tty4
etc/sysconfig/network
  +NETWORKING_IPV6="yes"
etc/sysconfig/network-scripts/ifcfg-eth0
  +file etc/sysconfig/network-scripts/ifcfg-eth0 0644 0:0
  +DEVICE=eth0
  +TYPE=Ethernet
  +ONBOOT=yes
  +BOOTPROTO=none
  +IPADDR=10.0.0.11
  +PREFIX=24
  +GATEWAY=10.0.0.1
  +IPV6INIT=yes
  +IPV6_AUTOCONF=no
  +IPV6ADDR=2001:db8::11/64
  +IPV6_DEFAULTGW=fe80::1%eth0
"#;

const SLACKWARE_14: &str = r#"etc/fstab
  -LABEL=data /srv ext4 defaults 0 2
  +LABEL=data /srv ext4 defaults 0 0
etc/hosts
  +# Auto-generated hostname. Please do not remove this comment.
  +10.0.0.11 web1.example.com web1
etc/inittab
  -pf::powerfail:/sbin/genpowerfail start
  -pg::powerokwait:/sbin/genpowerfail stop
  +pf::powerwait:/sbin/shutdown -h now
  -c6:12345:respawn:/sbin/agetty 38400 tty6 linux
  +2:2345:respawn:/sbin/agetty tty2 38400
  +3:2345:respawn:/sbin/agetty 38400 tty3 linux
  +4:2345:respawn:/sbin/agetty 38400 tty4 linux
  +co:2345:respawn:/sbin/agetty console 38400
etc/rc.d/rc.inet1.conf
  -IPADDR[0]=""
  -NETMASK[0]=""
  -USE_DHCP[0]="yes"
  -GATEWAY=""
  +IPADDR[0]="10.0.0.11"
  +NETMASK[0]="255.255.255.0"
  +USE_DHCP[0]=""
  +GATEWAY="10.0.0.1"
etc/rc.d/rc.local
  +[ ! -x /etc/rc.d/rc.ovz2lxc-eth0 ] || /etc/rc.d/rc.ovz2lxc-eth0
etc/rc.d/rc.ovz2lxc-eth0
  +file etc/rc.d/rc.ovz2lxc-eth0 0755 0:0
  +#!/bin/sh
  +# What rc.inet1 does not do for eth0: further addresses, IPv6, routes.
  +/sbin/ifconfig eth0 add 2001:db8::11/64
  +/sbin/route -A inet6 add default gw fe80::1 dev eth0
etc/resolv.conf
  +search example.com
  +nameserver 10.0.0.53
etc/securetty
  +lxc/tty1
  +lxc/tty2
  +lxc/tty3
  +lxc/tty4
"#;

const ALT_ETCNET: &str = r#"etc/fstab
  -LABEL=data /srv ext4 defaults 0 2
  +LABEL=data /srv ext4 defaults 0 0
etc/hosts
  +# Auto-generated hostname. Please do not remove this comment.
  +10.0.0.11 web1.example.com web1
etc/inittab
  -pf::powerfail:/sbin/shutdown -f -h +2
  -pr:12345:powerokwait:/sbin/shutdown -c
  +pf::powerwait:/sbin/shutdown -h now
  +3:2345:respawn:/sbin/mingetty tty3
  +4:2345:respawn:/sbin/mingetty tty4
  +co:2345:respawn:/sbin/mingetty console
etc/net/ifaces/eth0/ipv4address
  +file etc/net/ifaces/eth0/ipv4address 0644 0:0
  +10.0.0.11/24
etc/net/ifaces/eth0/ipv4route
  +file etc/net/ifaces/eth0/ipv4route 0644 0:0
  +default via 10.0.0.1 dev eth0
etc/net/ifaces/eth0/ipv6address
  +file etc/net/ifaces/eth0/ipv6address 0644 0:0
  +2001:db8::11/64
etc/net/ifaces/eth0/ipv6route
  +file etc/net/ifaces/eth0/ipv6route 0644 0:0
  +default via fe80::1 dev eth0
etc/net/ifaces/eth0/options
  +file etc/net/ifaces/eth0/options 0644 0:0
  +TYPE=eth
  +ONBOOT=yes
  +BOOTPROTO=static
  +CONFIG_IPV4=yes
  +CONFIG_IPV6=yes
etc/resolv.conf
  +search example.com
  +nameserver 10.0.0.53
etc/securetty
  +lxc/tty1
  +lxc/tty2
  +lxc/tty3
  +lxc/tty4
etc/sysconfig/network
  -HOSTNAME=web1.example.com
  +HOSTNAME="web1.example.com"
"#;

const ARCH_NETCTL: &str = r#"etc/hosts
  -127.0.0.1 localhost.localdomain localhost
  +127.0.0.1 web1.example.com web1 localhost.localdomain localhost
etc/netctl/eth0
  +file etc/netctl/eth0 0644 0:0
  +Description="Ethernet eth0"
  +Interface=eth0
  +Connection=ethernet
  +ForceConnect=yes
  +IP=static
  +Address=('10.0.0.11/24')
  +Gateway=10.0.0.1
  +IP6=static
  +Address6=('2001:db8::11/64')
  +Gateway6=fe80::1
  +DNS=('10.0.0.53')
  +DNSSearch=('example.com')
etc/resolv.conf
  +search example.com
  +nameserver 10.0.0.53
etc/securetty
  +lxc/tty1
  +lxc/tty2
  +lxc/tty3
  +lxc/tty4
etc/systemd/system/getty.target.wants/console-getty.service
  +link etc/systemd/system/getty.target.wants/console-getty.service -> /usr/lib/systemd/system/console-getty.service
etc/systemd/system/getty.target.wants/getty@tty2.service
  +link etc/systemd/system/getty.target.wants/getty@tty2.service -> /lib/systemd/system/getty@.service
etc/systemd/system/getty.target.wants/getty@tty3.service
  +link etc/systemd/system/getty.target.wants/getty@tty3.service -> /usr/lib/systemd/system/getty@.service
etc/systemd/system/getty.target.wants/getty@tty4.service
  +link etc/systemd/system/getty.target.wants/getty@tty4.service -> /usr/lib/systemd/system/getty@.service
etc/systemd/system/getty@.service.d/ovz2lxc.conf
  +file etc/systemd/system/getty@.service.d/ovz2lxc.conf 0644 0:0
  +# A container has ttys, but no /dev/tty0.
  +[Unit]
  +ConditionPathExists=
etc/systemd/system/multi-user.target.wants/netctl@eth0.service
  +link etc/systemd/system/multi-user.target.wants/netctl@eth0.service -> /usr/lib/systemd/system/netctl@.service
"#;
