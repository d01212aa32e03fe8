//! Configurations of every kind: parameters, networks, user name spaces, storage, with and without an include, for each
//! version and family of control groups.

use ovz2lxc::lxc::{Abilities, ContainerConfig, Dialect, IdMap, Link, RootfsPath, Veth};
use ovz2lxc::model::guest::{Family, Init};
use ovz2lxc::model::settings::IdRange;
use ovz2lxc::model::target::{CgroupMode, LxcVersion};
use ovz2lxc::model::ve::DeviceRule;

pub(crate) const NAME: &str = "lxc-101";
pub(crate) const VERSIONS: [&str; 8] = ["1.0", "1.1", "2.0", "2.1", "3.0", "4.0", "5.0", "6.0"];
const COMMON: &str = "/usr/share/lxc/config/common.conf";
const USERNS: &str = "/usr/share/lxc/config/userns.conf";

/// One configuration.
pub(crate) struct Case {
    /// What it is made of.
    pub(crate) label: String,
    pub(crate) config: ContainerConfig,
    pub(crate) dialect: Dialect,
    pub(crate) host: Abilities,
    /// This version of LXC can do it; otherwise it must be refused.
    pub(crate) sayable: bool,
}

/// A part of a configuration: its name, the first version that can do it, and what it changes.
type Part = (&'static str, (u32, u32), fn(&mut ContainerConfig));

const ALL: (u32, u32) = (1, 0);

/// Parameters of the VE configuration.
pub(crate) const PARAMETERS: &[Part] = &[
    ("nothing", ALL, |_| {}),
    ("memory", ALL, |c| (c.limits.memory_bytes, c.limits.swap_bytes) = (Some(1 << 28), Some(1 << 27))),
    ("no swap", ALL, |c| (c.limits.memory_bytes, c.limits.swap_bytes) = (Some(1 << 28), Some(0))),
    ("swap alone", ALL, |c| c.limits.swap_bytes = Some(1 << 27)),
    ("zeros", ALL, |c| every_limit(c, 0)),
    ("ones", ALL, |c| every_limit(c, 1)),
    ("the most", ALL, |c| every_limit(c, u64::MAX)),
    ("cpu", ALL, |c| {
        (c.limits.cpu_quota_percent, c.limits.cpu_units, c.limits.cpus) = (Some(150), Some(2000), Some(2));
    }),
    ("masks", ALL, |c| (c.limits.cpu_mask, c.limits.node_mask) = (Some("0,2-3".into()), Some("0-1".into()))),
    ("foreign masks", ALL, |c| (c.limits.cpu_mask, c.limits.node_mask) = (Some("0-63".into()), Some("7".into()))),
    ("hostile masks", ALL, |c| (c.limits.cpu_mask, c.limits.node_mask) = (Some("0\nx".into()), Some("".into()))),
    ("tasks", ALL, |c| (c.limits.pids, c.limits.ptys) = (Some(400), Some(64))),
    ("approximations", ALL, |c| {
        (c.limits.memory_low_bytes, c.limits.memlock_bytes) = (Some(1 << 26), Some(1 << 16));
        (c.limits.open_files, c.limits.shared_memory_pages) = (Some(4096), Some(65_536));
    }),
    ("input and output", ALL, |c| {
        (c.limits.io_priority, c.limits.io_bytes_per_second, c.limits.iops) = (Some(7), Some(1 << 20), Some(500));
    }),
    ("no hook", ALL, |c| (c.hook, c.limits.iops) = (None, Some(500))),
    ("capabilities", ALL, |c| {
        c.drop_capabilities = vec!["CAP_MKNOD".into(), "sys_nice".into(), "ve_admin".into()];
        c.keep_capabilities = vec!["net_admin".into(), "sys_module".into()];
    }),
    ("clock", ALL, |c| c.keep_capabilities = vec!["sys_time".into()]),
    ("devices", ALL, |c| {
        let rule = |kind, major, minor, path: Option<&str>| DeviceRule {
            kind,
            major,
            minor,
            access: "rw".into(),
            path: path.map(str::to_owned),
        };
        c.devices = vec![rule('c', None, None, Some("net/tun")), rule('b', Some(7), None, None)];
        c.devices.extend([rule('c', Some(10), Some(229), Some("fuse")), rule('c', None, None, Some("nosuch0"))]);
    }),
    ("features", ALL, |c| {
        c.features = [("ppp", true), ("nfs", true), ("sit", true)].map(|(k, v)| (k.to_owned(), v)).into();
        c.mount_types = vec!["nfs".into(), "nfs4".into()];
    }),
    ("no sysfs", ALL, |c| c.sysfs = false),
    ("32-bit systemd", ALL, |c| (c.arch, c.init) = ("i686".into(), Init::Systemd)),
    ("unknown machine", ALL, |c| c.arch = "vax".into()),
    ("alpine", ALL, |c| (c.init, c.family) = (Init::Openrc, Family::Alpine)),
    ("apparmor", ALL, |c| (c.apparmor, c.init, c.mount_types) = (true, Init::Systemd, vec!["nfs".into()])),
    ("first", ALL, |c| (c.autostart, c.boot_order) = (true, Some(u64::MAX))),
    ("console log", ALL, |c| (c.console_log, c.ttys) = (Some("/var/log/lxc/a b.console".into()), 0)),
    ("comment", ALL, |c| c.comments = vec!["x\nlxc.hook.pre-start = /bin/sh".into(), "ä".into()]),
];

const NETWORKS: &[Part] = &[
    ("no network", ALL, |_| {}),
    ("bridge", ALL, |c| c.nics = vec![nic(0, Link::bridge("br0"))]),
    ("two bridges", ALL, |c| {
        c.nics = vec![addressed(0, Link::bridge("br0.10"), 24, 64), nic(1, Link::bridge("br1"))];
        (c.nics[1].host_ifname, c.nics[1].mtu) = (Some("veth101.1".into()), Some(1400));
    }),
    ("vlan", (5, 0), |c| {
        c.nics = vec![nic(0, Link::Bridge { name: "br0".into(), vlan: Some(10) })];
    }),
    ("routed", (4, 0), |c| c.nics = vec![addressed(0, Link::Router { uplink: Some("eno1".into()) }, 32, 128)]),
    ("routed without uplink", (4, 0), |c| c.nics = vec![addressed(0, Link::Router { uplink: None }, 32, 128)]),
    ("device", ALL, |c| {
        (c.nics, c.net_devices) = (vec![nic(0, Link::bridge("br0"))], vec!["eno2".into(), "wlan0".into()]);
    }),
];

const NAMESPACES: &[Part] = &[
    ("privileged", ALL, |_| {}),
    ("shifted", ALL, |c| c.idmap = Some(IdMap { range: RANGE, mounted: false })),
    ("shifted, included", ALL, |c| {
        (c.idmap, c.userns_include) = (Some(IdMap { range: RANGE, mounted: false }), Some(USERNS.into()));
    }),
    ("mounted", (5, 0), |c| {
        c.rootfs = RootfsPath::Dir("/srv/lxc/101".into());
        c.idmap = Some(IdMap { range: RANGE, mounted: true });
    }),
];

const STORAGE: &[Part] = &[
    ("image", ALL, |c| c.rootfs = RootfsPath::Loop("/var/lib/lxc/lxc-101/rootfs.img".into())),
    ("directory", ALL, |c| c.rootfs = RootfsPath::Dir("/srv/with blank/101".into())),
    ("device", ALL, |c| c.rootfs = RootfsPath::Device("/dev/shared_vg/lxc-101".into())),
];

const SHARED: &[Part] = &[("alone", ALL, |_| {}), ("included", ALL, |c| c.include = Some(COMMON.into()))];

const RANGE: IdRange = IdRange { base: 100_000, count: 65_536 };

fn nic(index: u8, link: Link) -> Veth {
    Veth::new(format!("eth{index}"), format!("00:16:3e:00:00:{index:02x}"), link)
}

fn addressed(index: u8, link: Link, prefix4: u8, prefix6: u8) -> Veth {
    Veth {
        addresses: vec![
            format!("10.2.0.101/{prefix4}").parse().unwrap(),
            format!("10.2.0.102/{prefix4}").parse().unwrap(),
            format!("2001:db8::101/{prefix6}").parse().unwrap(),
        ],
        gateway4: Some("169.254.0.1".parse().unwrap()),
        gateway6: Some("fe80::1".parse().unwrap()),
        ..nic(index, link)
    }
}

fn every_limit(config: &mut ContainerConfig, n: u64) {
    let l = &mut config.limits;
    let all = [
        &mut l.memory_bytes,
        &mut l.swap_bytes,
        &mut l.pids,
        &mut l.cpu_quota_percent,
        &mut l.cpu_units,
        &mut l.cpus,
        &mut l.io_priority,
        &mut l.io_bytes_per_second,
        &mut l.iops,
        &mut l.disk_bytes,
        &mut l.disk_inodes,
        &mut l.ptys,
        &mut l.memory_low_bytes,
        &mut l.memlock_bytes,
        &mut l.shared_memory_pages,
        &mut l.open_files,
    ];
    for limit in all {
        *limit = Some(n);
    }
}

/// Every combination of network, name space, storage, include and family for one version, each with two of the
/// parameters; which, changes from one to the next, so that over all each meets everything.
pub(crate) fn cases(version: LxcVersion) -> Vec<Case> {
    let mut cases = Vec::new();
    for cgroup in [CgroupMode::V1, CgroupMode::V2, CgroupMode::Both] {
        for shared in SHARED {
            for network in NETWORKS {
                for storage in STORAGE {
                    for namespace in NAMESPACES {
                        let turn = cases.len();
                        let one = &PARAMETERS[turn % PARAMETERS.len()];
                        let other = &PARAMETERS[(turn * 7 / PARAMETERS.len() + turn * 5) % PARAMETERS.len()];
                        cases.push(case(
                            Dialect { version, cgroup },
                            &[shared, network, storage, namespace, one, other],
                        ));
                    }
                }
            }
        }
    }
    cases
}

fn case(dialect: Dialect, parts: &[&Part]) -> Case {
    let mut config = ContainerConfig {
        hostname: "web1.example.com".into(),
        hook: Some("/var/lib/lxc/lxc-101/start-host".into()),
        ..ContainerConfig::new(NAME, RootfsPath::Dir("/".into()))
    };
    let mut label = format!("LXC {} {:?}", dialect.version, dialect.cgroup);
    let mut sayable = true;
    for (name, since, change) in parts {
        change(&mut config);
        label = format!("{label}, {name}");
        sayable &= dialect.at_least(since.0, since.1);
    }
    let host = Abilities { cpus: 4, numa_nodes: 2, swap_accounting: config.ttys > 0, pids: true };
    Case { label, config, dialect, host, sayable }
}
