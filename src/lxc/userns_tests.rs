//! Unprivileged containers.

use super::config::{ContainerConfig, IdMap, RootfsPath};
use super::tests::{VERSIONS, dialect, full, get, host, ids, included, text};
use super::{parse_config, render};
use crate::model::settings::IdRange;
use crate::model::target::CgroupMode::{Both, V1};

const RANGE: IdRange = IdRange { base: 100_000, count: 65_536 };

fn shifted(config: ContainerConfig) -> ContainerConfig {
    ContainerConfig { idmap: Some(IdMap { range: RANGE, mounted: false }), ..config }
}

fn values(config: &ContainerConfig, version: &str, key: &str) -> Vec<String> {
    let pairs = parse_config(&text(config, version, Both)).unwrap();
    pairs.into_iter().filter(|(k, _)| k == key).map(|(_, value)| value).collect()
}

#[test]
fn the_ids_of_users_and_groups_are_mapped() {
    for version in VERSIONS {
        let key = if version < "2.1" { "lxc.id_map" } else { "lxc.idmap" };
        assert_eq!(values(&shifted(full()), version, key), ["u 0 100000 65536", "g 0 100000 65536"], "{version}");
        assert!(values(&full(), version, key).is_empty());
    }
    for (base, count) in [(0, 65_536), (100_000, 0), (u32::MAX, 2)] {
        let idmap = Some(IdMap { range: IdRange { base, count }, mounted: false });
        let config = ContainerConfig { idmap, ..full() };
        assert!(render(&config, &dialect("5.0", V1), &host(4, true)).is_err(), "{base}:{count}");
    }
}

#[test]
fn only_a_directory_is_mounted_with_its_ids_mapped() {
    let mounted = |rootfs| ContainerConfig { rootfs, idmap: Some(IdMap { range: RANGE, mounted: true }), ..full() };
    let dir = mounted(RootfsPath::Dir("/srv/101".into()));
    assert_eq!(get(&dir, "5.0", V1, "lxc.rootfs.options").as_deref(), Some("idmap=container"));
    assert!(values(&shifted(full()), "5.0", "lxc.rootfs.options").is_empty());
    let old = render(&dir, &dialect("4.0", V1), &host(4, true)).unwrap_err();
    assert!(old.first_hint().unwrap().contains("shift"), "{old:?}");
    for rootfs in [RootfsPath::Loop("/srv/101.img".into()), RootfsPath::Device("/dev/vg/101".into())] {
        assert!(render(&mounted(rootfs), &dialect("5.0", V1), &host(4, true)).is_err());
    }
}

#[test]
fn what_is_for_privileged_containers_is_taken_back_or_not_written() {
    let userns = Some("/usr/share/lxc/config/userns.conf".to_owned());
    let alone = shifted(full());
    let common = shifted(included());
    let both = ContainerConfig { userns_include: userns, ..common.clone() };

    assert_eq!(values(&both, "5.0", "lxc.include")[1], "/usr/share/lxc/config/userns.conf");
    // userns.conf empties the lists of common.conf; without it that is done here; written out there is nothing to empty.
    for family in ["lxc.cgroup", "lxc.cgroup2"] {
        for (list, config) in [(vec![""], &common), (vec![], &both), (vec![], &alone)] {
            assert_eq!(values(config, "5.0", &format!("{family}.devices.deny")), list);
            assert_eq!(values(config, "5.0", &format!("{family}.devices.allow")), list);
        }
    }
    assert_eq!(values(&common, "5.0", "lxc.cap.drop"), ["", "mknod"]);
    assert_eq!(values(&both, "5.0", "lxc.cap.drop"), ["mknod"]);
    assert_eq!(values(&alone, "5.0", "lxc.cap.drop"), ["mknod"]);
    assert_eq!(values(&common, "5.0", "lxc.tty.dir"), [""]);
    assert!(values(&both, "5.0", "lxc.tty.dir").is_empty());
    assert!(values(&alone, "5.0", "lxc.tty.dir").is_empty());
    assert_eq!(values(&alone, "5.0", "lxc.mount.auto"), ["cgroup:mixed proc:mixed sys:mixed"]);
    // Nodes are bound all the same.
    assert!(text(&alone, "5.0", V1).contains("/dev/net/tun dev/net/tun"));
}

#[test]
fn what_a_user_name_space_does_not_give_is_said() {
    let config = ContainerConfig { keep_capabilities: vec!["sys_time".into()], ..shifted(included()) };
    let found = ids(&config, dialect("5.0", V1), 4, true);
    assert!(found.contains(&"capability-refused".to_owned()), "{found:?}");
    assert!(!found.contains(&"capability-host-clock".to_owned()), "{found:?}");
    // DEVICES has a rule without a node, DEVNODES one with.
    assert_eq!(found.iter().filter(|id| *id == "device-without-node").count(), 1, "{found:?}");
}
