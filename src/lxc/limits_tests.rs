//! Limits, where they go in which version, and what becomes of them where they cannot.

use super::config::{Abilities, ContainerConfig};
use super::tests::{VERSIONS, dialect, get, host, ids, included, text};
use super::{parse_config, render};
use crate::model::limits::Limits;
use crate::model::target::CgroupMode::{Both, V1, V2};
use crate::model::ve::DeviceRule;
use std::path::PathBuf;

fn with(limits: Limits) -> ContainerConfig {
    ContainerConfig { limits, apparmor: false, mount_types: Vec::new(), ..included() }
}

fn order(boot_order: Option<u64>) -> u64 {
    let config = ContainerConfig { boot_order, ..included() };
    get(&config, "5.0", V1, "lxc.start.order").unwrap().parse().unwrap()
}

#[test]
fn a_higher_bootorder_starts_earlier_and_none_last() {
    let orders = [u64::MAX, 10_001, 10_000, 9999, 500, 11, 10, 2, 1, 0].map(|n| order(Some(n)));
    assert!(orders.is_sorted(), "{orders:?}");
    assert_eq!(orders, [0, 0, 0, 1, 9500, 9989, 9990, 9998, 9999, 10_000]);
    assert_eq!(order(None), 10_001);
    let auto = |autostart| get(&ContainerConfig { autostart, ..included() }, "1.0", V1, "lxc.start.auto").unwrap();
    assert_eq!((auto(true).as_str(), auto(false).as_str()), ("1", "0"));
}

#[test]
fn a_node_that_the_target_lacks_is_a_finding() {
    let config = with(Limits { node_mask: Some("0-1".into()), ..Limits::default() });
    let two = Abilities { numa_nodes: 2, ..host(4, true) };
    let both = render(&config, &dialect("5.0", Both), &two).unwrap();
    assert!(both.text.contains("lxc.cgroup.cpuset.mems = 0-1\n"), "{}", both.text);
    assert!(both.text.contains("lxc.cgroup2.cpuset.mems = 0-1\n"), "{}", both.text);
    assert_eq!(both.findings, []);
    let one = render(&config, &dialect("5.0", Both), &host(4, true)).unwrap();
    assert!(!one.text.contains("cpuset"), "{}", one.text);
    assert_eq!(one.findings[0].id, "node-mask-not-on-target");
    assert!(one.findings[0].detail.contains("node 1"), "{}", one.findings[0].detail);
}

#[test]
fn pseudo_terminals_as_many_as_numpty() {
    let ptys = |ptys, version, key| get(&with(Limits { ptys, ..Limits::default() }), version, V1, key).unwrap();
    assert_eq!(ptys(None, "5.0", "lxc.pty.max"), "1024");
    assert_eq!(ptys(Some(0), "5.0", "lxc.pty.max"), "1024");
    assert_eq!(ptys(Some(16), "5.0", "lxc.pty.max"), "16");
    assert_eq!(ptys(Some(4096), "2.0", "lxc.pts"), "4096");
    assert_eq!(ptys(Some(u64::MAX), "5.0", "lxc.pty.max"), "1000000");
}

#[test]
fn more_tasks_than_linux_can_have_are_refused_by_the_kernel() {
    let pids = |pids| get(&with(Limits { pids: Some(pids), ..Limits::default() }), "5.0", Both, "lxc.cgroup.pids.max");
    assert_eq!(pids(400).unwrap(), "400");
    assert_eq!(pids(5_000_000).unwrap(), "4194304");
    assert_eq!(pids(0), None);
}

#[test]
fn without_a_control_group_that_counts_them_processes_have_no_limit() {
    let without = Abilities { pids: false, ..host(4, true) };
    let config = with(Limits { pids: Some(400), ..Limits::default() });
    for (version, cgroup) in [("1.0", V1), ("5.0", V1), ("5.0", V2), ("5.0", Both)] {
        let rendered = render(&config, &dialect(version, cgroup), &without).unwrap();
        assert!(!rendered.text.contains("pids"), "{version}: {}", rendered.text);
        let found: Vec<_> = rendered.findings.iter().map(|f| (f.id.as_str(), f.subject.as_str())).collect();
        assert!(found.contains(&("process-limit-not-on-target", "NUMPROC")), "{version}: {found:?}");
    }
    let unlimited = with(Limits::default());
    assert_eq!(render(&unlimited, &dialect("5.0", V1), &without).unwrap().findings, []);
}

#[test]
fn a_memory_guarantee_is_for_version_2() {
    let config = with(Limits { memory_low_bytes: Some(1 << 26), ..Limits::default() });
    for mode in [V2, Both] {
        assert_eq!(get(&config, "5.0", mode, "lxc.cgroup2.memory.low").unwrap(), "67108864");
        assert!(ids(&config, dialect("5.0", mode), 4, true).is_empty());
    }
    assert!(!text(&config, "5.0", V1).contains("memory"));
    assert_eq!(ids(&config, dialect("5.0", V1), 4, true), ["memory-guarantee-not-converted"]);
    assert_eq!(ids(&config, dialect("2.1", Both), 4, true), ["memory-guarantee-not-converted"]);
}

#[test]
fn limits_of_processes_since_2_1() {
    let limits = Limits { memlock_bytes: Some(65_536), open_files: Some(u64::MAX), ..Limits::default() };
    let config = with(limits);
    for version in ["2.1", "5.0"] {
        assert_eq!(get(&config, version, V1, "lxc.prlimit.memlock").unwrap(), "65536");
        // fs.nr_open: setrlimit refuses more.
        assert_eq!(get(&config, version, V1, "lxc.prlimit.nofile").unwrap(), "1048576");
    }
    assert!(!text(&config, "2.0", V1).contains("limit"));
    let found = ids(&config, dialect("2.0", V1), 4, true);
    assert_eq!(found, ["process-limit-not-converted", "process-limit-not-converted"]);
}

#[test]
fn what_names_a_device_goes_through_the_hook() {
    let limits = Limits {
        io_priority: Some(7),
        io_bytes_per_second: Some(1 << 20),
        iops: Some(100),
        shared_memory_pages: Some(4096),
        ..Limits::default()
    };
    let hook = Some(PathBuf::from("/var/lib/lxc/lxc-101/start-host"));
    let config = ContainerConfig { hook: hook.clone(), ..with(limits) };
    for version in VERSIONS {
        let d = dialect(version, V1);
        let rendered = render(&config, &d, &host(4, true)).unwrap();
        let pairs = parse_config(&rendered.text).unwrap();
        let line = pairs.iter().find(|(key, _)| key == "lxc.hook.start-host").map(|(_, path)| path.as_str());
        let not_converted = rendered.findings.iter().filter(|f| f.id.ends_with("-not-converted")).count();
        if d.at_least(3, 0) {
            assert_eq!(line, Some("/var/lib/lxc/lxc-101/start-host"), "{version}");
            assert!(rendered.hook.unwrap().starts_with("#!/bin/sh"), "{version}");
            assert_eq!(not_converted, 0, "{version}");
        } else {
            assert_eq!((line, rendered.hook, not_converted), (None, None, 4), "{version}");
        }
    }
    let without = ContainerConfig { hook: None, ..config };
    assert_eq!(ids(&without, dialect("5.0", V1), 4, true).len(), 4);
    // Nothing to do, no hook.
    let idle = ContainerConfig { hook, ..with(Limits { io_priority: Some(4), iops: Some(0), ..Limits::default() }) };
    let rendered = render(&idle, &dialect("5.0", V1), &host(4, true)).unwrap();
    assert_eq!((rendered.hook, rendered.findings), (None, Vec::new()));
    assert!(!rendered.text.contains("hook"), "{}", rendered.text);
}

#[test]
fn a_shell_reads_the_path_of_the_hook() {
    let hooked = |path: &str| {
        let limits = Limits { iops: Some(100), ..Limits::default() };
        let config = ContainerConfig { hook: Some(path.into()), ..with(limits) };
        render(&config, &dialect("5.0", V1), &host(4, true))
    };
    let line = |path: &str| {
        let pairs = parse_config(&hooked(path).unwrap().text).unwrap();
        pairs.into_iter().find(|(key, _)| key == "lxc.hook.start-host").unwrap().1
    };
    assert_eq!(line("/srv/a b;c/$(d)'e"), r"/srv/a\ b\;c/\$\(d\)\'e");
    assert_eq!(line("/srv/ä/x-1_2.3"), "/srv/ä/x-1_2.3");
    for bad in ["relative", "/a\nb", "/a\tb"] {
        assert!(hooked(bad).is_err(), "{bad:?}");
    }
}

#[test]
fn a_zero_is_said_and_never_written() {
    let limits = Limits {
        memory_bytes: Some(0),
        pids: Some(0),
        ptys: Some(0),
        memory_low_bytes: Some(0),
        memlock_bytes: Some(0),
        shared_memory_pages: Some(0),
        open_files: Some(0),
        ..Limits::default()
    };
    for version in VERSIONS {
        let config = with(limits.clone());
        let pairs = parse_config(&text(&config, version, Both)).unwrap();
        assert!(pairs.iter().all(|(key, value)| key == "lxc.start.auto" || value != "0"), "{pairs:?}");
        let rendered = render(&config, &dialect(version, Both), &host(4, true)).unwrap();
        let zeros: Vec<&str> = rendered.findings.iter().map(|f| f.subject.as_str()).collect();
        assert_eq!(zeros, ["PHYSPAGES", "NUMPROC", "NUMPTY", "VMGUARPAGES", "LOCKEDPAGES", "SHMPAGES", "NUMFILE"]);
    }
}

#[test]
fn a_feature_that_is_a_device() {
    let mut config = included();
    config.devices.clear();
    for on in [false, true] {
        config.features.insert("ppp".into(), on);
        let lines = text(&config, "5.0", V1);
        assert_eq!(lines.contains("lxc.cgroup.devices.allow = c 108:0 rwm\n"), on, "{lines}");
        let node = "lxc.mount.entry = /dev/ppp dev/ppp none bind,create=file,optional 0 0\n";
        assert_eq!(lines.matches(node).count(), usize::from(on), "{lines}");
    }
    let own = DeviceRule { kind: 'c', major: None, minor: None, access: "rw".into(), path: Some("ppp".into()) };
    config.devices = vec![own];
    assert_eq!(text(&config, "5.0", V1).matches("dev/ppp none").count(), 1);
}

#[test]
fn without_sysfs_nothing_mounts_it() {
    let autos = |config: &ContainerConfig, version: &str| -> Vec<String> {
        let pairs = parse_config(&text(config, version, V1)).unwrap();
        pairs.into_iter().filter(|(key, _)| key == "lxc.mount.auto").map(|(_, value)| value).collect()
    };
    let off = ContainerConfig { sysfs: false, ..included() };
    assert_eq!(autos(&off, "5.0"), ["", "proc:mixed"]);
    assert_eq!(autos(&ContainerConfig { include: None, ..off.clone() }, "1.0"), ["proc:mixed"]);
    assert!(!text(&ContainerConfig { include: None, ..off.clone() }, "5.0", V1).contains("/sys"));
    assert!(autos(&included(), "5.0").is_empty());
    // Before 2.0 an empty value takes nothing back.
    assert!(autos(&off, "1.1").is_empty());
    assert!(ids(&off, dialect("1.1", V1), 4, true).contains(&"sysfs-not-hidden".to_owned()));
    assert!(!ids(&off, dialect("2.0", V1), 4, true).contains(&"sysfs-not-hidden".to_owned()));
}
