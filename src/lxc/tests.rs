use super::config::{Abilities, ContainerConfig, Dialect, Link, RootfsPath, Veth};
use super::{parse_config, render, value_of};
use crate::model::guest::{Family, Init};
use crate::model::limits::Limits;
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::ve::DeviceRule;

pub(super) const VERSIONS: [&str; 8] = ["1.0", "1.1", "2.0", "2.1", "3.0", "4.0", "5.0", "6.0"];

pub(super) fn dialect(version: &str, cgroup: CgroupMode) -> Dialect {
    Dialect { version: LxcVersion::parse(version).unwrap(), cgroup }
}

pub(super) fn host(cpus: u32, swap_accounting: bool) -> Abilities {
    Abilities { cpus, numa_nodes: 1, swap_accounting, pids: true }
}

/// A container with something in every field.
pub(super) fn full() -> ContainerConfig {
    let eth0 = Veth::new("eth0", "00:16:3e:00:00:65", Link::bridge("br0.10"));
    let eth1 = Veth {
        name: "eth1".into(),
        mac: "02:16:3e:00:01:65".into(),
        link: Link::bridge("br1"),
        host_ifname: Some("veth101.1".into()),
        mtu: Some(1400),
        addresses: vec!["10.2.0.101/24".parse().unwrap(), "2001:db8::101/64".parse().unwrap()],
        gateway4: Some("10.2.0.1".parse().unwrap()),
        gateway6: Some("fe80::1".parse().unwrap()),
    };
    ContainerConfig {
        hostname: "web1.example.com".into(),
        nics: vec![eth0, eth1],
        limits: Limits {
            memory_bytes: Some(268_435_456),
            swap_bytes: Some(134_217_728),
            pids: Some(400),
            cpu_quota_percent: Some(150),
            cpu_units: Some(2000),
            cpus: Some(2),
            cpu_mask: Some("0-1".into()),
            ..Limits::default()
        },
        devices: vec![
            DeviceRule { kind: 'c', major: None, minor: None, access: "rw".into(), path: Some("net/tun".into()) },
            DeviceRule { kind: 'b', major: Some(7), minor: None, access: "r".into(), path: None },
        ],
        drop_capabilities: vec!["mknod".into()],
        init: Init::Systemd,
        family: Family::Debian,
        apparmor: true,
        mount_types: vec!["nfs".into()],
        console_log: Some("/var/log/lxc/lxc-101.console".into()),
        comments: vec!["container 101 of vz1.example.com".into()],
        ..ContainerConfig::new("lxc-101", RootfsPath::Device("/dev/shared_vg/lxc-101".into()))
    }
}

pub(super) fn included() -> ContainerConfig {
    ContainerConfig { include: Some("/usr/share/lxc/config/common.conf".into()), ..full() }
}

pub(super) fn text(config: &ContainerConfig, version: &str, cgroup: CgroupMode) -> String {
    render(config, &dialect(version, cgroup), &host(4, true)).unwrap().text
}

pub(super) fn ids(config: &ContainerConfig, d: Dialect, cpus: u32, swap: bool) -> Vec<String> {
    render(config, &d, &host(cpus, swap)).unwrap().findings.into_iter().map(|f| f.id).collect()
}

pub(super) fn get(config: &ContainerConfig, version: &str, cgroup: CgroupMode, key: &str) -> Option<String> {
    let pairs = parse_config(&text(config, version, cgroup)).unwrap();
    value_of(&pairs, key).map(str::to_owned)
}

#[test]
fn storage_kinds_by_version() {
    let at = |rootfs: RootfsPath, version: &str| {
        let config = ContainerConfig { rootfs, ..full() };
        let key = if version < "2.1" { "lxc.rootfs" } else { "lxc.rootfs.path" };
        get(&config, version, CgroupMode::V1, key).unwrap()
    };
    let device = || RootfsPath::Device("/dev/vg/lv".into());
    assert_eq!(at(device(), "1.0"), "/dev/vg/lv");
    assert_eq!(at(device(), "2.0"), "/dev/vg/lv");
    assert_eq!(at(device(), "2.1"), "lvm:/dev/vg/lv");
    assert_eq!(at(RootfsPath::Dir("/srv/a b".into()), "1.0"), "/srv/a b");
    assert_eq!(at(RootfsPath::Dir("/srv/a b".into()), "5.0"), "dir:/srv/a b");
    assert_eq!(at(RootfsPath::Loop("/srv/a.img".into()), "1.0"), "loop:/srv/a.img");
    assert_eq!(at(RootfsPath::Loop("/srv/a.img".into()), "5.0"), "loop:/srv/a.img");
}

#[test]
fn memory_comes_before_memory_and_swap_and_only_with_accounting() {
    let config = full();
    let lines = text(&config, "5.0", CgroupMode::V1);
    let memory = lines.find("lxc.cgroup.memory.limit_in_bytes = 268435456\n").unwrap();
    let both = lines.find("lxc.cgroup.memory.memsw.limit_in_bytes = 402653184\n").unwrap();
    assert!(memory < both);
    for cgroup in [CgroupMode::V1, CgroupMode::V2] {
        let without = render(&config, &dialect("5.0", cgroup), &host(4, false)).unwrap();
        assert!(!without.text.contains("swap") && !without.text.contains("memsw"), "{}", without.text);
        assert!(without.findings.iter().any(|f| f.id == "swap-not-limited"));
    }
}

#[test]
fn swap_without_a_memory_limit_is_told_not_written_under_version_1() {
    let limits = Limits { swap_bytes: Some(4096), ..Limits::default() };
    let config = ContainerConfig { limits, ..included() };
    let v1 = dialect("5.0", CgroupMode::V1);
    assert!(!text(&config, "5.0", CgroupMode::V1).contains("memsw"));
    assert!(ids(&config, v1, 4, true).contains(&"swap-not-limited".to_owned()));
    assert_eq!(get(&config, "5.0", CgroupMode::V2, "lxc.cgroup2.memory.swap.max").unwrap(), "4096");
    assert!(!ids(&config, dialect("5.0", CgroupMode::V2), 4, true).contains(&"swap-not-limited".to_owned()));
}

#[test]
fn cpu_units_as_virtuozzo_converts_them() {
    for (units, shares, weight) in
        [(1000, "1024", "100"), (8, "8", "1"), (500_000, "262144", "10000"), (1, "2", "1"), (2000, "2048", "200")]
    {
        let config = ContainerConfig { limits: Limits { cpu_units: Some(units), ..Limits::default() }, ..included() };
        assert_eq!(get(&config, "5.0", CgroupMode::Both, "lxc.cgroup.cpu.shares").unwrap(), shares);
        assert_eq!(get(&config, "5.0", CgroupMode::Both, "lxc.cgroup2.cpu.weight").unwrap(), weight);
    }
}

#[test]
fn a_mask_with_a_cpu_that_the_target_lacks_is_a_finding() {
    let config = included();
    let v1 = dialect("5.0", CgroupMode::V1);
    assert!(render(&config, &v1, &host(2, true)).unwrap().text.contains("lxc.cgroup.cpuset.cpus = 0-1\n"));
    let one = render(&config, &v1, &host(1, true)).unwrap();
    assert!(!one.text.contains("cpuset"));
    let finding = one.findings.iter().find(|f| f.id == "cpu-mask-not-on-target").unwrap();
    assert!(finding.detail.contains("CPU 1"), "{}", finding.detail);
    let hostile = Limits { cpu_mask: Some("0\nlxc.cap.drop =".into()), ..Limits::default() };
    let config = ContainerConfig { limits: hostile, ..included() };
    assert!(!text(&config, "5.0", CgroupMode::V1).contains("lxc.cap.drop =\n"));
}

#[test]
fn zero_and_io_limits_become_findings() {
    let limits = Limits {
        memory_bytes: Some(0),
        pids: Some(0),
        io_priority: Some(7),
        io_bytes_per_second: Some(1 << 20),
        iops: Some(100),
        ..Limits::default()
    };
    let config = ContainerConfig { limits, ..included() };
    let rendered = render(&config, &dialect("5.0", CgroupMode::Both), &host(4, true)).unwrap();
    assert!(!rendered.text.contains("memory") && !rendered.text.contains("pids.max"), "{}", rendered.text);
    let found: Vec<(&str, &str)> = rendered.findings.iter().map(|f| (f.id.as_str(), f.subject.as_str())).collect();
    let want = [
        ("limit-zero", "PHYSPAGES"),
        ("limit-zero", "NUMPROC"),
        ("io-priority-not-converted", "IOPRIO"),
        ("io-limit-not-converted", "IOLIMIT"),
        ("io-limit-not-converted", "IOPSLIMIT"),
    ];
    assert_eq!(found, want);
}

#[test]
fn version_2_needs_lxc_3_for_limits_and_4_for_devices() {
    let found = |version| ids(&included(), dialect(version, CgroupMode::V2), 4, true);
    assert!(found("2.0").contains(&"lxc-cgroup2-unsupported".to_owned()));
    assert!(found("3.0").contains(&"devices-not-restricted".to_owned()));
    assert!(!text(&included(), "3.0", CgroupMode::V2).contains("devices"));
    assert!(found("4.0").iter().all(|id| id != "devices-not-restricted" && id != "lxc-cgroup2-unsupported"));
    assert!(!text(&included(), "2.0", CgroupMode::Both).contains("cgroup2"));
}

#[test]
fn the_halt_signal_is_written_where_the_default_does_not_halt() {
    let signal =
        |init, family, version, key| get(&ContainerConfig { init, family, ..included() }, version, CgroupMode::V1, key);
    assert_eq!(signal(Init::Systemd, Family::Debian, "1.0", "lxc.haltsignal").as_deref(), Some("SIGRTMIN+3"));
    assert_eq!(signal(Init::Systemd, Family::Debian, "1.1", "lxc.haltsignal").as_deref(), Some("SIGRTMIN+3"));
    assert_eq!(signal(Init::Systemd, Family::Debian, "2.0", "lxc.haltsignal"), None);
    assert_eq!(signal(Init::Systemd, Family::Debian, "5.0", "lxc.signal.halt"), None);
    assert_eq!(signal(Init::Busybox, Family::Unknown, "5.0", "lxc.signal.halt").as_deref(), Some("SIGUSR1"));
    assert_eq!(signal(Init::Openrc, Family::Alpine, "5.0", "lxc.signal.halt").as_deref(), Some("SIGUSR1"));
    assert_eq!(signal(Init::Openrc, Family::Gentoo, "5.0", "lxc.signal.halt"), None);
    assert_eq!(signal(Init::Upstart, Family::Redhat, "1.0", "lxc.haltsignal"), None);
}

#[test]
fn architectures() {
    let arch = |name: &str| get(&ContainerConfig { arch: name.into(), ..full() }, "1.0", CgroupMode::V1, "lxc.arch");
    assert_eq!(arch("x86_64").as_deref(), Some("x86_64"));
    assert_eq!(arch("i686").as_deref(), Some("i686"));
    assert_eq!(arch("i386").as_deref(), Some("i686"));
    assert_eq!(arch(""), None);
    let unknown = ContainerConfig { arch: String::new(), ..included() };
    assert!(ids(&unknown, dialect("5.0", CgroupMode::V1), 4, true).contains(&"lxc-arch-unknown".to_owned()));
}

#[test]
fn capabilities_are_lower_case_known_and_never_the_hosts() {
    let config = ContainerConfig {
        drop_capabilities: vec!["CAP_MKNOD".into(), "sys_time".into(), "ve_admin".into()],
        keep_capabilities: vec!["sys_module".into(), "net_admin".into()],
        ..included()
    };
    let rendered = render(&config, &dialect("5.0", CgroupMode::V1), &host(4, true)).unwrap();
    let pairs = parse_config(&rendered.text).unwrap();
    let drops: Vec<&str> = pairs.iter().filter(|(k, _)| k == "lxc.cap.drop").map(|(_, v)| v.as_str()).collect();
    // sys_time is dropped by the include already.
    assert_eq!(drops, ["mknod"]);
    let ids: Vec<&str> = rendered.findings.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["capability-unknown", "capability-refused"]);
}

#[test]
fn a_granted_clock_resets_the_list_and_is_told() {
    let config = ContainerConfig { keep_capabilities: vec!["SYS_TIME".into()], ..included() };
    let rendered = render(&config, &dialect("5.0", CgroupMode::V1), &host(4, true)).unwrap();
    let reset = rendered.text.find("lxc.cap.drop =\n").unwrap();
    let rest = rendered.text.find("lxc.cap.drop = mac_admin mac_override sys_module sys_rawio\n").unwrap();
    assert!(reset < rest);
    assert!(rendered.findings.iter().any(|f| f.id == "capability-host-clock"));
}

#[test]
fn apparmor_only_where_it_is_active() {
    let off = ContainerConfig { apparmor: false, ..included() };
    assert!(!text(&off, "5.0", CgroupMode::V1).contains("apparmor"));
    assert_eq!(get(&included(), "5.0", CgroupMode::V1, "lxc.apparmor.raw").as_deref(), Some("mount fstype=nfs,"));
    let upstart = ContainerConfig { init: Init::Upstart, ..included() };
    assert_eq!(get(&upstart, "5.0", CgroupMode::V1, "lxc.apparmor.allow_nesting"), None);
    let old = render(&included(), &dialect("3.0", CgroupMode::V1), &host(4, true)).unwrap();
    assert!(!old.text.contains("apparmor"));
    assert!(old.findings.iter().any(|f| f.id == "apparmor-mounts"));
}

#[test]
fn devices_open_and_appear() {
    let config = text(&included(), "5.0", CgroupMode::Both);
    for line in [
        "lxc.cgroup.devices.allow = c 10:200 rwm\n",
        "lxc.cgroup2.devices.allow = c 10:200 rwm\n",
        "lxc.cgroup.devices.allow = b 7:* rm\n",
        "lxc.mount.entry = /dev/net/tun dev/net/tun none bind,create=file,optional 0 0\n",
    ] {
        assert!(config.contains(line), "{line}");
    }
    let device = |path: &str| {
        let rule = DeviceRule { kind: 'c', major: None, minor: None, access: "rw".into(), path: Some(path.into()) };
        ContainerConfig { devices: vec![rule], ..included() }
    };
    let v1 = dialect("5.0", CgroupMode::V1);
    assert!(ids(&device("nvidia0"), v1, 4, true).contains(&"device-number-unknown".to_owned()));
    for bad in ["../etc/shadow", "/sda", "a b", "", "x\ny"] {
        assert!(render(&device(bad), &v1, &host(4, true)).is_err(), "{bad:?}");
    }
}

#[test]
fn no_interface_means_an_empty_network_not_the_hosts() {
    let config = ContainerConfig { nics: Vec::new(), ..included() };
    assert_eq!(get(&config, "5.0", CgroupMode::V1, "lxc.net.0.type").as_deref(), Some("empty"));
    assert_eq!(get(&config, "1.0", CgroupMode::V1, "lxc.network.type").as_deref(), Some("empty"));
}

#[test]
fn hostile_values_are_refused_with_the_container_named() {
    let v1 = dialect("5.0", CgroupMode::V1);
    let nic = |change: fn(&mut Veth)| {
        let mut config = full();
        change(&mut config.nics[0]);
        config
    };
    let configs = [
        ContainerConfig { hostname: "a\nlxc.hook.pre-start = /bin/sh".into(), ..full() },
        ContainerConfig { rootfs: RootfsPath::Dir("relative".into()), ..full() },
        ContainerConfig { rootfs: RootfsPath::Loop("/a\n/b".into()), ..full() },
        ContainerConfig { include: Some("/a\nb".into()), ..full() },
        ContainerConfig { console_log: Some("log".into()), ..full() },
        ContainerConfig { mount_types: vec!["nfs,\nx".into()], ..full() },
        nic(|n| n.link = Link::bridge("br0\n")),
        nic(|n| n.mac = "ff:ff:ff:ff:ff:ff".into()),
        nic(|n| n.mac = "02:16:3E:00:01:65".into()),
        nic(|n| n.name = "eth1".into()),
        nic(|n| n.mtu = Some(9)),
        nic(|n| n.addresses = vec!["127.0.0.1/8".parse().unwrap()]),
        nic(|n| n.host_ifname = Some("veth101.1".into())),
    ];
    for config in configs {
        let error = render(&config, &v1, &host(4, true)).unwrap_err();
        assert!(error.to_string().contains("lxc-101"), "{error:?}");
        assert!(error.chain().len() > 1, "{error:?}");
    }
    assert!(render(&ContainerConfig { name: "../x".into(), ..full() }, &v1, &host(4, true)).is_err());
}

#[test]
fn a_comment_stays_a_comment() {
    let config = ContainerConfig { comments: vec!["x\nlxc.hook.pre-start = /bin/sh".into()], ..full() };
    let pairs = parse_config(&text(&config, "5.0", CgroupMode::V1)).unwrap();
    assert!(pairs.iter().all(|(key, _)| key != "lxc.hook.pre-start"));
}
