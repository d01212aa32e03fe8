//! The network dialects of Red Hat 8 and later, SUSE, Slackware and ALT: every method, and scripts that are not as expected.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::fixup::Report;
use std::fs;
use std::path::Path;
use support::{fixups, tree};

const SUSE: &str = "=== file etc/SuSE-release 0644 0:0\nSUSE Linux Enterprise Server 12 (x86_64)\n\
    === file etc/sysconfig/network/config 0644 0:0\nNETCONFIG_DNS_STATIC_SERVERS=\"\"\n";
const SLACKWARE: &str = "=== file etc/slackware-version 0644 0:0\nSlackware 14.2\n\
    === file etc/rc.d/rc.inet1.conf 0600 0:0\nIPADDR[0]=\"\"\nUSE_DHCP[0]=\"\"\nGATEWAY=\"192.0.2.1\"\n";
const ALT: &str =
    "=== file etc/altlinux-release 0644 0:0\nALT Linux 8.2\n=== file etc/net/ifaces/lo/options 0644 0:0\nTYPE=lo\n";
const EL9: &str = "=== file etc/redhat-release 0644 0:0\nAlmaLinux release 9.4 (X)\n\
    === link etc/systemd/system/multi-user.target.wants/NetworkManager.service -> /usr/lib/systemd/system/NetworkManager.service\n\
    === file etc/NetworkManager/NetworkManager.conf 0644 0:0\n[main]\n";

fn run(root: &Path, plan: &str) -> Report {
    let plan = format!("hostname = \"shop.example.net\"\n{plan}");
    let mut report = fixups::run_twice(&plan, root, &fixups::plan(&plan));
    // These trees hold network files and no init.
    report.findings.retain(|f| f.id != "fixup-init-unknown");
    report
}

fn nic(name: &str, method: &str) -> String {
    let addresses = "addresses = [\"10.20.0.11/24\", \"10.20.0.12/32\", \"2001:db8:20::11/64\"]";
    let gateways = "gateway4 = \"10.99.0.1\"\ngateway6 = \"fe80::1\"\nmtu = 1400";
    format!("[[nic]]\nname = \"{name}\"\nmethod = \"{method}\"\n{addresses}\n{gateways}\n")
}

/// Every file below /etc that names an address of the plan.
fn with_addresses(root: &Path) -> Vec<String> {
    let dump = tree::dump(root);
    let entries = dump.split("=== ").filter(|e| e.contains("10.20.0.1") || e.contains("2001:db8:20::"));
    entries.map(|e| e.split(' ').nth(1).unwrap().to_owned()).filter(|p| p != "etc/hosts").collect()
}

#[test]
fn each_dialect_takes_every_method_and_every_change_of_it() {
    if !support::is_root() {
        return support::skip("each dialect", "making a tree needs root");
    }
    for (family, text, files, claims) in [
        ("suse", SUSE, vec!["etc/sysconfig/network/ifcfg-eth0"], ("etc/sysconfig/network/ifcfg-eth0", "STARTMODE=off")),
        (
            "slackware",
            SLACKWARE,
            vec!["etc/rc.d/rc.inet1.conf", "etc/rc.d/rc.ovz2lxc-eth0"],
            ("etc/rc.d/rc.inet1.conf", "USE_DHCP[0]=\"\""),
        ),
        (
            "alt",
            ALT,
            vec!["etc/net/ifaces/eth0/ipv4address", "etc/net/ifaces/eth0/ipv6address"],
            ("etc/net/ifaces/eth0/options", "DISABLED=yes"),
        ),
        (
            "el9",
            EL9,
            vec!["etc/NetworkManager/system-connections/eth0.nmconnection"],
            ("etc/NetworkManager/conf.d/90-ovz2lxc-eth0.conf", "managed=0"),
        ),
    ] {
        let dir = tree::made(text);
        let report = run(dir.path(), &nic("eth0", "static"));
        assert_eq!(report.findings, [], "{family}");
        assert_eq!(with_addresses(dir.path()), files, "{family}");
        assert!(tree::dump(dir.path()).contains("1400"), "{family}: the MTU");
        let gateway = tree::dump(dir.path());
        assert!(gateway.contains("10.99.0.1") && gateway.contains("fe80::1"), "{family}: the gateways");
        assert!(!gateway.lines().any(|l| l.contains("fe80::1/")), "{family}: no host route to a link-local gateway");
        for method in ["dhcp", "manual"] {
            run(dir.path(), &nic("eth0", method));
            let named = with_addresses(dir.path());
            // IPv6 addresses of a file stay with DHCP: nobody gives others.
            assert!(named.is_empty() || method == "dhcp", "{family}, {method}: {named:?}");
            let dump = tree::dump(dir.path());
            assert!(!dump.contains("10.20.0.1") && !dump.contains("default via 10.99.0.1"), "{family}, {method}");
            assert!(!dump.contains("default 10.99.0.1") && !dump.contains("gateway=10.99.0.1"), "{family}, {method}");
        }
        run(dir.path(), &nic("eth0", "none"));
        let (path, text) = claims;
        if family == "el9" {
            let profile = fs::read_to_string(dir.path().join(files[0])).unwrap();
            assert!(!profile.contains("10.20.0.1"), "{profile}");
        }
        assert!(fs::read_to_string(dir.path().join(path)).unwrap().contains(text), "{family}: hands off");
        run(dir.path(), &nic("eth0", "static"));
        assert_eq!(with_addresses(dir.path()), files, "{family}: and back");
    }
}

#[test]
fn an_interface_that_lxc_configures_gets_no_file() {
    if !support::is_root() {
        return support::skip("no file", "making a tree needs root");
    }
    for text in [SUSE, ALT] {
        let dir = tree::made(text);
        run(dir.path(), &nic("eth0", "none"));
        assert!(!tree::dump(dir.path()).contains("eth0"), "{}", tree::dump(dir.path()));
    }
}

#[test]
fn a_second_interface_gets_its_own_files_and_no_name_servers() {
    if !support::is_root() {
        return support::skip("two interfaces", "making a tree needs root");
    }
    let plan = "nameservers = [\"10.0.0.53\"]\n".to_owned()
        + &nic("eth0", "static")
        + "[[nic]]\nname = \"eth1\"\naddresses = [\"172.16.0.9/16\"]\n";
    for (text, path, lines) in [
        (SUSE, "etc/sysconfig/network/ifcfg-eth1", "IPADDR=172.16.0.9\nPREFIXLEN=16\n"),
        (SLACKWARE, "etc/rc.d/rc.inet1.conf", "IPADDR[1]=\"172.16.0.9\"\nNETMASK[1]=\"255.255.0.0\"\n"),
        (ALT, "etc/net/ifaces/eth1/ipv4address", "172.16.0.9/16\n"),
        (EL9, "etc/NetworkManager/system-connections/eth1.nmconnection", "method=manual\naddress1=172.16.0.9/16\n"),
    ] {
        let dir = tree::made(text);
        run(dir.path(), &plan);
        let found = fs::read_to_string(dir.path().join(path)).unwrap();
        assert!(found.contains(lines) && !found.contains("10.0.0.53"), "{path}: {found}");
    }
}

#[test]
fn a_hook_that_is_not_known_stays_and_is_reported() {
    if !support::is_root() {
        return support::skip("hooks", "making a tree needs root");
    }
    let netconfig = |lines: &str| {
        format!("{SUSE}=== file etc/wicked/extensions/netconfig 0755 0:0\n#!/bin/bash\n{lines}\ncase $1 in\nesac\n")
    };
    // The first line could go by itself, but not without the others.
    let branches = "# for venet0\nif own; then\n  /etc/wicked/extensions/venet_route\nelse\n  own\nfi";
    let commented = "if own; then\n  # venet0\n  /etc/wicked/extensions/venet_route\nfi";
    let and = "own &&\n  /etc/wicked/extensions/venet_route";
    for (lines, left) in [
        ("# route of venet0\n/etc/wicked/extensions/venet_route $@", ""),
        (". /etc/wicked/extensions/venet_route", ""),
        ("if [ -x /etc/wicked/extensions/venet_route ]; then /etc/wicked/extensions/venet_route; fi", ""),
        ("if [ -x /etc/wicked/extensions/venet_route ]; then\n    /etc/wicked/extensions/venet_route $@\nfi", ""),
        ("if [ -e /proc/vz ]\nthen\n\t. /etc/wicked/extensions/venet_route\nfi", ""),
        (branches, branches),
        (commented, commented),
        (and, and),
        ("if [ $i = venet0 ]\nthen own\nfi", "if [ $i = venet0 ]\nthen own\nfi"),
    ] {
        let dir = tree::made(&netconfig(lines));
        let report = run(dir.path(), "");
        let now = fs::read_to_string(dir.path().join("etc/wicked/extensions/netconfig")).unwrap();
        if left.is_empty() {
            assert_eq!(now, "#!/bin/bash\ncase $1 in\nesac\n");
            assert_eq!(report.findings, []);
        } else {
            assert_eq!(now, format!("#!/bin/bash\n{left}\ncase $1 in\nesac\n"));
            let found = report.findings.iter().any(|f| f.id == "fixup-unexpected" && f.subject.ends_with("/netconfig"));
            assert!(found, "{:?}", report.findings);
        }
    }
}

#[test]
fn comments_and_other_variables_keep_their_words() {
    if !support::is_root() {
        return support::skip("comments", "making a tree needs root");
    }
    let arch = "=== file etc/arch-release 0644 0:0\n=== file etc/rc.conf 0644 0:0\n";
    for (head, path, before, after) in [
        (
            format!("{SLACKWARE}=== file etc/rc.d/rc.inet1 0755 0:0\n"),
            "etc/rc.d/rc.inet1",
            "# once venet\n[ $# = 0 ] && up venet0 venet1 # not venet\n",
            "# once venet\n[ $# = 0 ] && up eth0 eth1 # not venet\n",
        ),
        (
            arch.to_owned(),
            "etc/rc.conf",
            "# venet0 was here\nMODULES=(venet0 x)\nNETWORKS=(home\n  venet0) # no venet0\n",
            "# venet0 was here\nMODULES=(venet0 x)\nNETWORKS=(home\n) # no venet0\n",
        ),
    ] {
        let dir = tree::made(&format!("{head}{before}"));
        run(dir.path(), "");
        let now = fs::read_to_string(dir.path().join(path)).unwrap();
        assert!(now.contains(after), "{now}");
    }
}

#[test]
fn suses_script_makes_routes_without_a_gateway_only_where_one_is_needed() {
    if !support::is_root() {
        return support::skip("ifup-route", "making a tree needs root");
    }
    let stock = "#!/bin/bash\nip route $ACTION to $TYPE $DEST via $GWAY dev $IFACE\n";
    let patched = stock.replace("via $GWAY", "${GWAY:+via $GWAY}");
    let near = "[[nic]]\nname = \"eth0\"\naddresses = [\"10.20.0.11/24\"]\ngateway4 = \"10.20.0.1\"\n";
    for (before, plan, after) in [
        (stock, near.to_owned(), stock),
        (&patched, near.to_owned(), stock),
        (stock, nic("eth0", "static"), &patched),
        (&patched, nic("eth0", "static"), &patched),
    ] {
        let path = "etc/sysconfig/network/scripts/ifup-route";
        let dir = tree::made(&format!("{SUSE}=== file {path} 0755 0:0\n{before}"));
        run(dir.path(), &plan);
        assert_eq!(fs::read_to_string(dir.path().join(path)).unwrap(), after);
    }
}

#[test]
fn slackwares_quota_goes_with_its_call_and_an_own_script_stays() {
    if !support::is_root() {
        return support::skip("quota", "making a tree needs root");
    }
    let vz = "#!/bin/sh\n[ -e /dev/simfs ] || mknod /dev/simfs b 0 49\n";
    let with = |quota: &str, local: &str| {
        let files = format!("=== file etc/rc.d/rc.quota 0755 0:0\n{quota}=== file etc/rc.d/rc.local 0755 0:0\n{local}");
        let dir = tree::made(&format!("{SLACKWARE}{files}"));
        let report = run(dir.path(), "");
        let there = dir.path().join("etc/rc.d/rc.quota").exists();
        (fs::read_to_string(dir.path().join("etc/rc.d/rc.local")).unwrap(), there, report.findings)
    };
    for call in [
        "/etc/rc.d/rc.quota start\n",
        "[ -x /etc/rc.d/rc.quota ] && /etc/rc.d/rc.quota start\n",
        ". /etc/rc.d/rc.quota\n",
        "if [ -x /etc/rc.d/rc.quota ]; then\n  /etc/rc.d/rc.quota start\nfi\n",
        "if [ -x /etc/rc.d/rc.quota ]; then /etc/rc.d/rc.quota start; fi\n",
    ] {
        let found = with(vz, &format!("#!/bin/sh\nown\n{call}own\n"));
        assert_eq!(found, ("#!/bin/sh\nown\nown\n".to_owned(), false, vec![]), "{call}");
    }
    let (local, there, findings) = with(vz, "#!/bin/sh\nown && { /etc/rc.d/rc.quota start; }\n");
    assert!(
        local.contains("rc.quota") && !there && findings.iter().any(|f| f.id == "fixup-unexpected"),
        "{findings:?}"
    );
    let (local, there, _) = with("#!/bin/sh\nquotaon -a\n", "#!/bin/sh\n/etc/rc.d/rc.quota start\n");
    assert!(there && local.contains("rc.quota"));
}

#[test]
fn an_rc_local_that_is_not_run_is_reported() {
    if !support::is_root() {
        return support::skip("rc.local", "making a tree needs root");
    }
    let dir = tree::made(&format!("{SLACKWARE}=== file etc/rc.d/rc.local 0644 0:0\n#!/bin/sh\n"));
    let report = run(dir.path(), &nic("eth0", "static"));
    assert!(report.findings.iter().any(|f| f.subject == "/etc/rc.d/rc.local" && f.detail.contains("not executable")));
}

#[test]
fn a_network_that_nothing_starts_is_reported() {
    if !support::is_root() {
        return support::skip("idle", "making a tree needs root");
    }
    let idle = EL9.split("=== link").next().unwrap().to_owned() + "=== file etc/NetworkManager/x 0644 0:0\n";
    for (text, reported) in [(EL9, false), (idle.as_str(), true)] {
        let report = run(tree::made(text).path(), &nic("eth0", "static"));
        assert_eq!(report.findings.iter().any(|f| f.id == "fixup-network-idle"), reported, "{:?}", report.findings);
    }
}

#[test]
fn a_backup_of_a_profile_is_no_profile() {
    if !support::is_root() {
        return support::skip("profiles", "making a tree needs root");
    }
    let old = "[connection]\nid=old\ntype=ethernet\ninterface-name=eth0\n";
    let backup = "=== file etc/NetworkManager/system-connections/eth0.nmconnection~ 0600 0:0\n";
    let dir = tree::made(&format!("{EL9}{backup}{old}"));
    run(dir.path(), &nic("eth0", "static"));
    let connections = dir.path().join("etc/NetworkManager/system-connections");
    assert_eq!(fs::read_to_string(connections.join("eth0.nmconnection~")).unwrap(), old);
    assert!(fs::read_to_string(connections.join("eth0.nmconnection")).unwrap().contains("address1=10.20.0.11/24"));
}

#[test]
fn a_resolver_that_is_made_at_every_boot_keeps_its_link() {
    if !support::is_root() {
        return support::skip("resolver", "making a tree needs root");
    }
    for (text, target, kept) in [
        (EL9, "/run/NetworkManager/resolv.conf", true),
        (SUSE, "/run/netconfig/resolv.conf", true),
        (SUSE, "/run/NetworkManager/resolv.conf", false),
    ] {
        let dir = tree::made(&format!("{text}=== link etc/resolv.conf -> {target}\n"));
        run(dir.path(), &("nameservers = [\"10.0.0.53\"]\n".to_owned() + &nic("eth0", "static")));
        assert_eq!(dir.path().join("etc/resolv.conf").is_symlink(), kept, "{target}");
        assert!(tree::dump(dir.path()).contains("10.0.0.53"), "the server is somewhere that lasts");
        run(dir.path(), &("nameservers = [\"10.0.0.54\"]\n".to_owned() + &nic("eth0", "none")));
        assert!(tree::dump(dir.path()).contains("10.0.0.54"), "{target}: also where no profile is written for it");
    }
}

#[test]
fn an_unprivileged_container_needs_no_hangup_and_no_login_uid() {
    if !support::is_root() {
        return support::skip("unprivileged", "making a tree needs root");
    }
    let text = "=== file etc/redhat-release 0644 0:0\nCentOS release 5.11 (Final)\n\
        === elf sbin/init 0755 0:0 2 62 /etc/inittab\n=== elf sbin/mingetty 0755 0:0 2 62 mingetty\n\
        === file etc/inittab 0644 0:0\nid:3:initdefault:\n1:2345:respawn:/sbin/mingetty --noclear tty1\n\
        2:2345:respawn:/sbin/mingetty --nohangup tty2\nvz:2345:once:touch /.vzfifo\n1:2345:respawn:/sbin/mingetty console\n\
        === file etc/pam.d/sshd 0644 0:0\nsession required pam_loginuid.so\nsession    required     pam_limits.so\n\
        === file etc/selinux/config 0644 0:0\nSELINUX=enforcing\nSELINUXTYPE=targeted\n";
    for (privileged, lines, pam) in [
        (
            false,
            "1:2345:respawn:/sbin/mingetty --nohangup --noclear tty1\n2:2345:respawn:/sbin/mingetty --nohangup tty2\n",
            "session optional pam_loginuid.so\nsession    required     pam_limits.so\n",
        ),
        (
            true,
            "1:2345:respawn:/sbin/mingetty --noclear tty1\n2:2345:respawn:/sbin/mingetty --nohangup tty2\n",
            "session required pam_loginuid.so\nsession    required     pam_limits.so\n",
        ),
    ] {
        let dir = tree::made(text);
        run(dir.path(), &format!("ttys = 2\nprivileged = {privileged}\n"));
        let read = |path: &str| fs::read_to_string(dir.path().join(path)).unwrap();
        assert!(read("etc/inittab").contains(lines), "{}", read("etc/inittab"));
        assert_eq!(read("etc/pam.d/sshd"), pam);
        assert_eq!(read("etc/selinux/config"), "SELINUX=disabled\nSELINUXTYPE=targeted\n");
    }
}

#[test]
fn an_interfaces_file_that_nothing_reads_goes_only_when_it_is_all_vzctls() {
    if !support::is_root() {
        return support::skip("interfaces without ifupdown", "making a tree needs root");
    }
    let head = "=== file etc/os-release 0644 0:0\nID=ubuntu\nVERSION_ID=\"24.04\"\n\
        === elf usr/lib/systemd/systemd 0755 0:0 2 62 systemd\n=== link sbin/init -> ../usr/lib/systemd/systemd\n\
        === elf usr/libexec/netplan/generate 0755 0:0 2 62 netplan\n";
    let vzctls = "# Auto generated lo interface\nauto lo\niface lo inet loopback\n\n# Auto generated venet0 interface\n\
        auto venet0\niface venet0 inet manual\n\tup ifconfig venet0 up\n";
    for (before, more, kept) in [
        (vzctls.to_owned(), "", false),
        (format!("{vzctls}\nauto eth7\niface eth7 inet dhcp\n"), "", true),
        (vzctls.replace("# Auto generated lo interface\n", ""), "", true),
        (vzctls.to_owned(), "=== elf usr/sbin/ifup 0755 0:0 2 62 ifup\n", true),
    ] {
        let dir = tree::made(&format!("{head}{more}=== file etc/network/interfaces 0644 0:0\n{before}"));
        run(dir.path(), &nic("eth0", "static"));
        let there = fs::read_to_string(dir.path().join("etc/network/interfaces")).ok();
        assert_eq!(there.is_some(), kept, "{before}{more}");
        assert!(!there.unwrap_or_default().contains("venet"));
    }
}
