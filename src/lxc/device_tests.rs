//! Devices: which numbers are written, how often, and when a node comes with them.

use crate::lxc::config::{ContainerConfig, IdMap};
use crate::lxc::render;
use crate::lxc::tests::{dialect, host, included, text};
use crate::model::finding::Finding;
use crate::model::settings::IdRange;
use crate::model::target::CgroupMode::{Both, V1, V2};
use crate::model::ve::DeviceRule;

fn number(kind: char, major: u32, minor: Option<u32>, access: &str) -> DeviceRule {
    DeviceRule { kind, major: Some(major), minor, access: access.into(), path: None }
}

fn node(path: &str, access: &str) -> DeviceRule {
    DeviceRule { kind: 'c', major: None, minor: None, access: access.into(), path: Some(path.into()) }
}

fn with(devices: Vec<DeviceRule>) -> ContainerConfig {
    ContainerConfig { devices, ..included() }
}

fn found(config: &ContainerConfig, version: &str, cgroup: crate::model::target::CgroupMode) -> Vec<Finding> {
    let findings = render(config, &dialect(version, cgroup), &host(4, true)).unwrap().findings;
    findings.into_iter().filter(|f| f.id.starts_with("device")).collect()
}

#[test]
fn a_number_beyond_the_kernels_is_left_out() {
    let last = with(vec![number('b', 4095, Some(1_048_575), "rw"), number('c', 4095, None, "r")]);
    let lines = text(&last, "5.0", V1);
    assert!(lines.contains("lxc.cgroup.devices.allow = b 4095:1048575 rwm\n"), "{lines}");
    assert!(lines.contains("lxc.cgroup.devices.allow = c 4095:* rm\n"), "{lines}");
    assert_eq!(found(&last, "5.0", V1), []);
    for (major, minor) in [(u32::MAX, Some(u32::MAX)), (4096, Some(0)), (8, Some(1 << 20)), (4096, None)] {
        let config = with(vec![number('b', major, minor, "rw")]);
        let lines = text(&config, "5.0", Both);
        assert!(!lines.contains("devices.allow = b"), "{lines}");
        let [finding] = &found(&config, "5.0", Both)[..] else { panic!("{major}:{minor:?}") };
        assert_eq!(finding.id, "device-number-impossible");
        assert!(finding.title.contains(&format!("b {major}:")), "{}", finding.title);
    }
}

#[test]
fn a_device_of_devices_and_devnodes_is_allowed_once() {
    let config = with(vec![number('c', 10, Some(200), "r"), node("net/tun", "w"), node("fuse", "rw")]);
    let lines = text(&config, "5.0", Both);
    for family in ["lxc.cgroup", "lxc.cgroup2"] {
        let tun: Vec<&str> =
            lines.lines().filter(|l| l.starts_with(&format!("{family}.devices.allow = c 10:200"))).collect();
        assert_eq!(tun, [format!("{family}.devices.allow = c 10:200 rwm")]);
    }
    assert_eq!(lines.matches("/dev/net/tun dev/net/tun").count(), 1);
}

#[test]
fn a_node_that_cannot_be_opened_is_not_there() {
    let config = with(vec![node("nvidia0", "rw"), node("net/tun", "rw")]);
    for (version, cgroup) in [("2.1", V1), ("3.0", V1), ("3.0", Both), ("5.0", V1), ("5.0", V2), ("5.0", Both)] {
        let lines = text(&config, version, cgroup);
        assert!(!lines.contains("nvidia0"), "{version} {cgroup:?}: {lines}");
        assert!(lines.contains("/dev/net/tun dev/net/tun"), "{version} {cgroup:?}: {lines}");
        let ids: Vec<String> = found(&config, version, cgroup).into_iter().map(|f| f.id).collect();
        assert_eq!(ids, ["device-number-unknown"], "{version} {cgroup:?}");
    }
}

#[test]
fn where_devices_are_not_restricted_every_node_can_be_opened() {
    let config = with(vec![node("nvidia0", "rw")]);
    let lines = text(&config, "3.0", V2);
    assert!(lines.contains("/dev/nvidia0 dev/nvidia0 none bind,create=file,optional"), "{lines}");
    let ids: Vec<String> = found(&config, "3.0", V2).into_iter().map(|f| f.id).collect();
    assert_eq!(ids, ["devices-not-restricted"]);
}

#[test]
fn an_unprivileged_container_has_the_device_whose_node_is_bound() {
    let idmap = Some(IdMap { range: IdRange { base: 100_000, count: 65_536 }, mounted: false });
    let bound = vec![number('c', 10, Some(200), "rw"), node("net/tun", "rw"), node("nvidia0", "rw")];
    let config = ContainerConfig { idmap, ..with(bound) };
    assert!(text(&config, "5.0", V2).contains("/dev/nvidia0 dev/nvidia0"));
    assert_eq!(found(&config, "5.0", V2), []);
}
