use crate::model::ctid::Ctid;
use crate::model::finding::Finding;
use crate::model::limits::{APPROXIMATIONS, Limits};
use crate::model::ve::{KeyAnswer, Outcome, VeConfig};
use crate::openvz::{ParseContext, parse};
use std::path::PathBuf;

fn config(own: &str) -> VeConfig {
    asked(own, &[])
}

fn asked(own: &str, approximate: &[&str]) -> VeConfig {
    let approximate = approximate.iter().map(|name| (*name).to_owned()).collect();
    let context = ParseContext { node_cpus: Some(4), file: PathBuf::from("101.conf"), approximate };
    parse(&Ctid::parse("101").unwrap(), None, own.as_bytes(), &context).unwrap()
}

fn one(ve: &VeConfig) -> &KeyAnswer {
    let [answer] = ve.keys.as_slice() else { panic!("{:?}", ve.keys) };
    answer
}

fn finding<'a>(ve: &'a VeConfig, id: &str) -> &'a Finding {
    ve.findings.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("no {id}: {:?}", ve.findings))
}

/// Line, outcome, a part of where it goes, a part of the reason.
const ANSWERS: &[(&str, Outcome, &str, &str)] = &[
    ("NODEMASK=0-1", Outcome::Approximated, "lxc.cgroup2.cpuset.mems", "source's nodes"),
    ("NODEMASK=all", Outcome::Converted, "", "all NUMA nodes"),
    ("CPUMASK=auto", Outcome::Ignored, "", "NODEMASK"),
    ("NUMPTY=16:32", Outcome::Approximated, "lxc.pty.max", "consoles"),
    ("NUMPTY=unlimited", Outcome::Converted, "", "no limit"),
    ("NUMPTY=0", Outcome::Ignored, "", "zero"),
    ("IOPRIO=6", Outcome::Approximated, "start hook: io.weight / blkio.weight", "hook"),
    ("IOPRIO=4", Outcome::Converted, "", "default"),
    ("IOLIMIT=20M", Outcome::Approximated, "start hook: io.max / blkio.throttle", "LXC 3.0"),
    ("IOPSLIMIT=500", Outcome::Approximated, "start hook: io.max / blkio.throttle", "device"),
    ("IOLIMIT=unlimited", Outcome::Converted, "", "no limit"),
    ("BOOTORDER=5", Outcome::Approximated, "lxc.start.order", "turned round"),
    (
        "ONBOOT=yes",
        Outcome::Approximated,
        "lxc.start.auto",
        "in a migration lxc.start.auto stays 0 until the container is handed over",
    ),
    ("BOOTORDER=10001", Outcome::Approximated, "lxc.start.order", "above 10000 are equal among themselves"),
    ("NAME=\"my web\"", Outcome::Approximated, "name of the target", "the target is called lxc-my-web"),
    ("NAME=lxc-web", Outcome::Converted, "name of the target", "lxc-NAME"),
    ("NAME=.", Outcome::Ignored, "", "called after the CTID"),
    (
        "DEVICES=\"c:10:200:none b:8:all:q\"",
        Outcome::Ignored,
        "",
        "c:10:200, b:8:all takes the device away or gives no access",
    ),
    ("DEVICES=\"c:10:200:none c:10:229:rw\"", Outcome::Approximated, "devices.allow", "c:10:200 takes the device away"),
    ("DEVNODES=net/tun:q", Outcome::Ignored, "", "/dev/net/tun takes the device away or gives no access"),
    ("CAPABILITY=\"sys_module:on sys_rawio:on\"", Outcome::Ignored, "", "does not get it"),
    (
        "CAPABILITY=\"sys_module:on chown:off\"",
        Outcome::Approximated,
        "lxc.cap.drop",
        "sys_module would act on the host",
    ),
    ("FEATURES=\"nfs:off ppp:off\"", Outcome::Ignored, "", "ppp:off: nothing is written; /dev/ppp is not allowed"),
    ("FEATURES=\"sysfs:off nfs:off\"", Outcome::Approximated, "lxc.mount.auto", "nfs:off: nothing is written"),
    ("ONBOOT=no", Outcome::Converted, "lxc.start.auto", "no"),
    ("DISABLED=yes", Outcome::Approximated, "lxc.start.auto = 0", "cannot forbid"),
    ("DISABLED=no", Outcome::Converted, "", "may start"),
    ("DESCRIPTION=x", Outcome::Converted, "comment", "remark"),
    ("STOP_TIMEOUT=90", Outcome::Converted, "stop timeout", "an LXC configuration has no key for it"),
    ("NAME=web1", Outcome::Converted, "name of the target", "lxc-NAME"),
    ("FEATURES=nfs:on", Outcome::Approximated, "modules", "AppArmor"),
    ("FEATURES=ppp:on", Outcome::Approximated, "devices", "108:0"),
    ("FEATURES=bridge:on", Outcome::Approximated, "modules", "NET_ADMIN stays"),
    ("FEATURES=\"sit:on ipip:on,ipgre:on\"", Outcome::Approximated, "modules", "module ip_gre"),
    ("FEATURES=sysfs:off", Outcome::Converted, "lxc.mount.auto", "/sys is not mounted"),
    ("FEATURES=nfsd:on", Outcome::Ignored, "", "nfsd: not carried over"),
    ("FEATURES=\"nfsd:on nfs:on\"", Outcome::Approximated, "", "nfsd: not carried over"),
    ("FEATURES=", Outcome::Ignored, "", "empty"),
    ("CAPABILITY=\"SYS_TIME:on\"", Outcome::Converted, "lxc.cap.drop", "what is on must not be"),
    ("CAPABILITY=\"mknod:on mknod:off\"", Outcome::Approximated, "lxc.cap.drop", "off wins"),
    ("CAPABILITY=ve_admin:on", Outcome::Ignored, "", "OpenVZ kernel only"),
    ("NETFILTER=full", Outcome::Approximated, "/etc/modules-load.d", "iptable_nat"),
    ("NETFILTER=disabled", Outcome::Ignored, "", "no such switch"),
    ("IPTABLES=\"ip_conntrack ipt_LOG\"", Outcome::Approximated, "/etc/modules-load.d", "nf_conntrack, ipt_LOG"),
    ("MOUNT_OPTS=\"balloon_ino=12,noatime\"", Outcome::Ignored, "", "mounted without: noatime"),
    ("QUOTAUGIDLIMIT=100", Outcome::Blocked, "", "outside its tree"),
    ("QUOTAUGIDLIMIT=0", Outcome::Ignored, "", "off"),
    ("LOCAL_UID=0", Outcome::Ignored, "", "no user name space"),
    ("LOCAL_UID=100000", Outcome::Ignored, "", "--unprivileged"),
    ("CPUUWEIGHT=1024", Outcome::Approximated, "cpu.weight", "misspelt"),
    ("CPULIMIT_MHZ=1000", Outcome::Ignored, "", "cpu.max"),
    ("NETDEV=eth3", Outcome::Blocked, "", "--approximate NETDEV"),
    ("DISK=\"image=/a.hdd,mnt=/a\"", Outcome::Blocked, "", "/a.hdd at /a"),
    ("DISK=\"image=/root.hdd,root=yes\"", Outcome::Ignored, "", "root disk"),
    ("BINDMOUNT=\"/srv:/srv\"", Outcome::Blocked, "", "lxc.mount.entry = /srv srv none bind,create=dir 0 0"),
    (
        "NETIF=\"ifname=eth0,mac=00:18:51:00:00:01,ip=10.0.0.5,gw=10.0.0.1\"",
        Outcome::Approximated,
        "lxc.net",
        "ip=10.0.0.5 of eth0, gw=10.0.0.1 of eth0",
    ),
    ("NETIF=\"ifname=eth0\"", Outcome::Approximated, "lxc.net", "no MAC address"),
    ("NAMESERVER=inherit", Outcome::Approximated, "resolver files", "/etc/resolv.conf of the source"),
    ("NAMESERVER=10.0.0.53", Outcome::Converted, "resolver files", "name servers"),
    ("PRIVVMPAGES=unlimited", Outcome::Ignored, "", "no limit"),
    ("OOMGUARPAGES=1", Outcome::Ignored, "", "memory.min"),
    ("VE_TYPE=x", Outcome::Ignored, "", "Virtuozzo"),
];

#[test]
fn every_row_has_the_answer_of_the_table() {
    for (line, outcome, into, why) in ANSWERS {
        let ve = config(&format!("{line}\n"));
        let answer = one(&ve);
        assert_eq!(answer.outcome, *outcome, "{line}: {answer:?}");
        assert!(
            answer.into.contains(into) && answer.into.is_empty() == into.is_empty()
                || *into == "modules"
                || (line.contains("nfsd:on nfs")),
            "{line}: {answer:?}"
        );
        assert!(answer.why.contains(why), "{line}: {answer:?}");
    }
}

#[test]
fn approximations_are_made_when_asked_for_by_name_only() {
    let file = "PRIVVMPAGES=100:200\nVMGUARPAGES=300:unlimited\nLOCKEDPAGES=5:6\nSHMPAGES=7:8\nNUMFILE=9:10\nNETDEV=\"eth3\"\n";
    let ve = config(file);
    assert_eq!((&ve.limits, ve.net_devices.is_empty()), (&Limits::default(), true));
    for (answer, name) in ve.keys.iter().zip(APPROXIMATIONS) {
        let want = if *name == "NETDEV" { Outcome::Blocked } else { Outcome::Ignored };
        assert_eq!((answer.outcome, answer.key.as_str()), (want, *name));
        assert!(answer.why.contains(&format!("; --approximate {name} ")), "{answer:?}");
    }
    finding(&ve, "ve-memory-unlimited");
    finding(&ve, "ve-netdev");

    let ve = asked(file, APPROXIMATIONS);
    let l = &ve.limits;
    assert_eq!((l.memory_bytes, l.memory_low_bytes), (Some(200 * 4096), Some(300 * 4096)));
    assert_eq!((l.memlock_bytes, l.shared_memory_pages, l.open_files), (Some(6 * 4096), Some(8), Some(10)));
    assert_eq!(ve.net_devices, ["eth3"]);
    assert!(ve.keys.iter().all(|k| k.outcome == Outcome::Approximated && !k.into.is_empty()), "{:?}", ve.keys);
    assert_eq!(ve.findings, []);

    // One by name leaves the others alone, and PHYSPAGES wins over address space.
    let ve = asked(&format!("PHYSPAGES=0:1G\n{file}"), &["PRIVVMPAGES"]);
    assert_eq!((ve.limits.memory_bytes, ve.limits.open_files), (Some(1 << 30), None));
    assert!(ve.keys[1].outcome == Outcome::Ignored && ve.keys[1].why.contains("PHYSPAGES limits memory"));
    for value in ["unlimited", "0", "", "0:0", "0:unlimited"] {
        for name in APPROXIMATIONS.iter().filter(|n| **n != "NETDEV") {
            let ve = asked(&format!("{name}=\"{value}\"\n"), &[name]);
            assert_eq!((&ve.limits, one(&ve).outcome), (&Limits::default(), Outcome::Ignored), "{name}={value}");
            assert!(one(&ve).why.contains("does nothing"), "{:?}", one(&ve));
        }
    }
}

#[test]
fn a_weight_counts_where_units_say_nothing() {
    assert_eq!(config("CPUUWEIGHT=2048\n").limits.cpu_units, Some(2000));
    assert_eq!(config("CPUUWEIGHT=4\n").limits.cpu_units, Some(3), "the kernel's bounds are not vzctl's");
    assert_eq!(config("CPUUWEIGHT=1\n").limits.cpu_units, Some(1));
    assert_eq!(config("CPUUWEIGHT=2097152\n").limits.cpu_units, Some(2_048_000));
    assert_eq!(config("CPUUWEIGHT=0\n").limits.cpu_units, None);
    let both = config("CPUUWEIGHT=2048\nCPUUNITS=500\n");
    assert_eq!((both.limits.cpu_units, both.keys[0].outcome), (Some(500), Outcome::Ignored));
}

#[test]
fn what_blocks_says_exactly_what_to_do() {
    let ve = config("QUOTAUGIDLIMIT=100\n");
    let remedy = &finding(&ve, "ve-quotaugidlimit").remedy;
    assert!(remedy.contains("vzdqdump 101 -U -G -T -F") && remedy.ends_with("--accept ve-quotaugidlimit"), "{remedy}");
    assert!(finding(&config("NETDEV=eth3\n"), "ve-netdev").remedy.contains("has eth3, and say --approximate NETDEV"));
    let ve = config("BINDMOUNT=\"/srv/a:/a,ro\"\n");
    assert!(finding(&ve, "ve-bindmount").detail.contains("lxc.mount.entry = /srv/a a none bind,ro,create=dir 0 0"));
    let ve = config("NETIF=\"ifname=eth0,ip=10.0.0.5/24,gw=10.0.0.1;ifname=eth1\"\n");
    let found = finding(&ve, "ve-netif-addresses");
    assert!(found.title.contains("eth0") && found.detail.starts_with("ip=10.0.0.5/24, gw=10.0.0.1: "), "{found:?}");
    assert_eq!(ve.findings.len(), 1);
}

#[test]
fn masks_and_ptys_reach_the_model() {
    let ve = config("NODEMASK=0-1\nCPUMASK=\"0-2,7\"\nNUMPTY=16\n");
    let l = &ve.limits;
    assert_eq!((l.node_mask.as_deref(), l.cpu_mask.as_deref(), l.ptys), (Some("0-1"), Some("0-2,7"), Some(16)));
    for word in ["all", "auto"] {
        let ve = config(&format!("NODEMASK={word}\nCPUMASK={word}\n"));
        assert_eq!((&ve.limits.node_mask, &ve.limits.cpu_mask), (&None, &None));
    }
}

#[test]
fn what_no_kernel_can_count_is_no_limit() {
    let ve = config("PHYSPAGES=4503599627370496\nDISKSPACE=9007199254740993\nSWAPPAGES=1\n");
    assert_eq!((ve.limits.memory_bytes, ve.limits.disk_bytes, ve.limits.swap_bytes), (None, None, None));
    assert!(ve.keys[0].why.contains("no limit") && ve.keys[1].why.contains("no limit"), "{:?}", ve.keys);
}

#[test]
fn of_two_quotas_the_smaller_counts() {
    for (file, loser, winner) in [
        ("CPULIMIT=150\nCPUS=2\n", Some(1), "CPULIMIT does"),
        ("CPULIMIT=250\nCPUS=2\n", Some(0), "CPUS does"),
        ("CPULIMIT=200\nCPUS=2\n", None, ""),
        ("CPULIMIT=0\nCPUS=2\n", None, ""),
    ] {
        let ve = config(file);
        for (at, key) in ve.keys.iter().enumerate() {
            let loses = key.why == format!("the smaller of CPULIMIT and CPUS counts: {winner}");
            assert_eq!(
                (loses, loses && key.outcome == Outcome::Ignored),
                (Some(at) == loser, Some(at) == loser),
                "{key:?}"
            );
        }
    }
}

#[test]
fn a_bridge_without_net_admin_cannot_be() {
    let ve = config("FEATURES=bridge:on\nCAPABILITY=NET_ADMIN:off\n");
    assert!(ve.keys[0].why.contains("CAPABILITY takes NET_ADMIN away"), "{:?}", ve.keys[0]);
    assert!(!ve.keys[0].why.contains("NET_ADMIN stays"));
}

#[test]
fn a_name_is_cut_as_lxc_wants_it() {
    let ve = config(&format!("NAME={}\n", "a".repeat(80)));
    let target = format!("the target is called lxc-{},", "a".repeat(60));
    assert!(one(&ve).outcome == Outcome::Approximated && one(&ve).why.contains(&target), "{:?}", one(&ve));
}
