//! Whole texts, compared with files.

use super::config::{ContainerConfig, IdMap, Link, RootfsPath, Veth};
use super::tests::{VERSIONS, dialect, full, host, included, text};
use super::{Dialect, render};
use crate::model::settings::IdRange;
use crate::model::target::CgroupMode::{self, Both, V1, V2};
use std::path::PathBuf;

/// Compares with a file beside this one; `UPDATE_GOLDEN=1` writes it.
fn golden(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/lxc/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let want = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, want, "{name}");
}

/// Everything that this version can say.
fn everything(d: Dialect) -> ContainerConfig {
    let mut config = ContainerConfig {
        autostart: true,
        boot_order: Some(10),
        net_devices: vec!["eno2".into()],
        hook: Some("/var/lib/lxc/lxc-101/start-host".into()),
        ..full()
    };
    config.limits.node_mask = Some("0".into());
    config.limits.ptys = Some(64);
    config.limits.memory_low_bytes = Some(67_108_864);
    config.limits.memlock_bytes = Some(65_536);
    config.limits.open_files = Some(4096);
    config.limits.iops = Some(500);
    config.features.insert("ppp".into(), true);
    if d.at_least(5, 0) {
        config.nics[1].link = Link::Bridge { name: "br1".into(), vlan: Some(10) };
    }
    config
}

fn name(version: &str, cgroup: CgroupMode) -> String {
    let family = match cgroup {
        V1 => "v1",
        V2 => "v2",
        Both => "both",
    };
    format!("{version}-{family}")
}

#[test]
fn every_version_and_family() {
    let mut seen = 0;
    for version in VERSIONS {
        // LXC knows version 2 since 3.0; before that every mode writes what version 1 does, or no limits at all.
        let modes: &[CgroupMode] = if dialect(version, V1).at_least(3, 0) { &[V1, V2, Both] } else { &[V1] };
        for cgroup in modes {
            let config = everything(dialect(version, *cgroup));
            golden(&format!("{}.conf", name(version, *cgroup)), &text(&config, version, *cgroup));
            let include = Some("/usr/share/lxc/config/common.conf".to_owned());
            let included = ContainerConfig { include, ..config };
            golden(&format!("{}-included.conf", name(version, *cgroup)), &text(&included, version, *cgroup));
            seen += 2;
        }
    }
    assert_eq!(seen, 2 * (4 + 4 * 3));
    assert_eq!(text(&included(), "2.1", Both), text(&included(), "2.1", V1));
}

#[test]
fn a_routed_container() {
    let mut config = included();
    config.nics = vec![Veth {
        addresses: vec!["10.2.0.101/32".parse().unwrap(), "2001:db8::101/128".parse().unwrap()],
        gateway4: Some("169.254.0.1".parse().unwrap()),
        gateway6: Some("fe80::1".parse().unwrap()),
        ..Veth::new("eth0", "00:16:3e:00:00:65", Link::Router { uplink: Some("bond0.10".into()) })
    }];
    for version in ["4.0", "6.0"] {
        golden(&format!("{version}-routed.conf"), &text(&config, version, V2));
    }
}

#[test]
fn an_unprivileged_container() {
    let range = IdRange { base: 100_000, count: 65_536 };
    let userns = Some("/usr/share/lxc/config/userns.conf".to_owned());
    let shifted = IdMap { range, mounted: false };
    let alone = ContainerConfig { idmap: Some(shifted), ..full() };
    let half = ContainerConfig { idmap: Some(shifted), ..included() };
    let whole = ContainerConfig { userns_include: userns.clone(), ..half.clone() };
    let rootfs = RootfsPath::Dir("/srv/lxc-101".into());
    let mounted = ContainerConfig { idmap: Some(IdMap { range, mounted: true }), rootfs, ..whole.clone() };
    for (version, cgroup) in [("1.0", V1), ("2.0", V1), ("3.0", V1), ("6.0", V2)] {
        golden(&format!("{}-userns.conf", name(version, cgroup)), &text(&alone, version, cgroup));
        golden(&format!("{}-userns-common.conf", name(version, cgroup)), &text(&half, version, cgroup));
        golden(&format!("{}-userns-included.conf", name(version, cgroup)), &text(&whole, version, cgroup));
    }
    golden("5.0-v1-userns-mounted.conf", &text(&mounted, "5.0", V1));
    let privileged = ContainerConfig { userns_include: userns, ..included() };
    assert_eq!(text(&privileged, "5.0", V1), text(&included(), "5.0", V1));
}

#[test]
fn the_least() {
    let config = ContainerConfig::new("lxc-1", RootfsPath::Loop("/srv/1.img".into()));
    let rendered = render(&config, &dialect("5.0", Both), &host(1, false)).unwrap();
    assert_eq!(rendered.hook, None);
    golden("5.0-least.conf", &rendered.text);
}
