//! Devices: what the container may open, and the nodes in its /dev.

use super::config::ContainerConfig;
use super::render::Writer;
use super::userns;
use super::validate;
use crate::error::{Error, Result};
use crate::model::finding::Finding;
use crate::model::ve::DeviceRule;
use std::path::{Component, Path};

/// Devices that every container may use: memory devices, terminals, pseudo terminals, FUSE.
const DEVICES: &[&str] = &[
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
    "c 10:229 rwm",
];

/// Device nodes whose numbers are the same on every Linux (Documentation/admin-guide/devices.txt).
const NUMBERS: &[(&str, u32, u32)] = &[("net/tun", 10, 200), ("fuse", 10, 229), ("ppp", 108, 0), ("rtc", 10, 135)];

/// Writes the nodes that appear in the container's /dev.
pub(super) fn nodes(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    for device in all(config) {
        if let Some(path) = device.path.as_deref() {
            node(path, w)?;
        }
    }
    Ok(())
}

/// The devices of the VE configuration, and the one that a feature stands for.
fn all(config: &ContainerConfig) -> Vec<DeviceRule> {
    let mut all = config.devices.clone();
    let ppp = |d: &DeviceRule| d.path.as_deref() == Some("ppp");
    if config.features.get("ppp") == Some(&true) && !all.iter().any(ppp) {
        let (kind, access) = ('c', "rw".to_owned());
        all.push(DeviceRule { kind, major: Some(108), minor: Some(0), access, path: Some("ppp".into()) });
    }
    all
}

/// Writes what the container may open.
pub(super) fn rules(config: &ContainerConfig, w: &mut Writer) {
    // The version 2 list is a BPF program since 4.0. LXC 3.x would write it to a file that does not exist, and fail.
    let v2 = w.dialect.writes_v2() && w.dialect.at_least(4, 0);
    let families = [("lxc.cgroup", w.dialect.writes_v1()), ("lxc.cgroup2", v2)];
    let families: Vec<&str> = families.into_iter().filter(|f| f.1).map(|f| f.0).collect();
    if config.idmap.is_some() {
        unprivileged(config, &families, w);
        return;
    }
    let extra: Vec<String> = all(config).iter().filter_map(|d| rule(d, w)).collect();
    if families.is_empty() {
        w.find(
            Finding::warning("devices-not-restricted", "the container may open every device node it makes")
                .detail(format!("LXC {} cannot restrict devices under control groups version 2", w.dialect.version))
                .remedy("install LXC 4.0 or later, or boot the host with control groups version 1")
                .subject("lxc.cgroup2.devices"),
        );
        return;
    }
    if config.include.is_some() && extra.is_empty() {
        return;
    }
    w.section("devices");
    for family in families {
        if config.include.is_none() {
            w.set(&format!("{family}.devices.deny"), "a");
            for line in DEVICES {
                w.set(&format!("{family}.devices.allow"), line);
            }
        }
        for line in &extra {
            w.set(&format!("{family}.devices.allow"), line);
        }
    }
}

/// In a user name space nobody can make a device node, so there is nothing to allow; what is in /dev was bound there.
fn unprivileged(config: &ContainerConfig, families: &[&str], w: &mut Writer) {
    if userns::takes_back(config) {
        w.section("devices: none but those in /dev");
        for family in families {
            w.set(&format!("{family}.devices.deny"), "");
            w.set(&format!("{family}.devices.allow"), "");
        }
    }
    for device in config.devices.iter().filter(|d| d.path.is_none()) {
        let part = |number: Option<u32>| number.map_or("*".to_owned(), |n| n.to_string());
        let (major, minor) = (part(device.major), part(device.minor));
        let name = format!("{} {major}:{minor}", if device.kind == 'b' { 'b' } else { 'c' });
        w.find(
            Finding::warning("device-without-node", format!("the container cannot use the device {name}"))
                .detail("DEVICES allows it, but an unprivileged container cannot make the node")
                .remedy("bind the host's node with lxc.mount.entry, and let the container's ids open it")
                .subject(name),
        );
    }
}

/// Returns the rule in the kernel's words; `None` when it allows nothing or its number is unknown.
fn rule(device: &DeviceRule, w: &mut Writer) -> Option<String> {
    let access: String = ['r', 'w'].into_iter().filter(|c| device.access.contains(*c)).collect();
    if access.is_empty() {
        return None;
    }
    let known = device.path.as_deref().and_then(|p| NUMBERS.iter().find(|n| n.0 == p)).map(|n| (n.1, n.2));
    let kind = if device.kind == 'b' { 'b' } else { 'c' };
    let (major, minor) = match (device.major, known) {
        (Some(major), _) => (major, device.minor.map_or("*".to_owned(), |m| m.to_string())),
        (None, Some((major, minor))) => (major, minor.to_string()),
        (None, None) => {
            let path = device.path.as_deref().unwrap_or("").escape_debug().to_string();
            w.find(
                Finding::warning("device-number-unknown", format!("the container cannot open /dev/{path}"))
                    .detail("DEVNODES names it, and only the source node knows its number")
                    .remedy("add lxc.cgroup.devices.allow (or lxc.cgroup2) with the number that the target has")
                    .subject(format!("/dev/{path}")),
            );
            return None;
        }
    };
    Some(format!("{kind} {major}:{minor} {access}m"))
}

/// Makes a node of the host appear in the container's own /dev, which LXC populates at each start. A node that the host
/// does not have is passed over.
fn node(path: &str, w: &mut Writer) -> Result<()> {
    let below = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'"' && b != b'\'');
    if !below || !plain || path.is_empty() {
        return Err(Error::new(format!("device \"{}\" is not a path below /dev", path.escape_debug())));
    }
    validate::value("device", path)?;
    w.set("lxc.mount.entry", format!("/dev/{path} dev/{path} none bind,create=file,optional 0 0"));
    Ok(())
}
