//! Devices: what the container may open, and the nodes in its /dev.

use super::config::ContainerConfig;
use super::render::Writer;
use super::userns;
use super::validate;
use crate::error::{Error, Result};
use crate::model::finding::Finding;
use crate::model::names;
use crate::model::ve::DeviceRule;
use std::fmt;

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
/// Numbers that fit into the kernel's `dev_t` (12 bits and 20). It cuts others off, or takes the largest for "all".
const MAJORS: u32 = 1 << 12;
/// The same for the minor number.
const MINORS: u32 = 1 << 20;

/// A device as the kernel names it; a minor number of `None` means all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Number {
    kind: char,
    major: u32,
    minor: Option<u32>,
}

impl Number {
    /// Returns the number that the rule has, or that its node has on every Linux.
    fn of(rule: &DeviceRule) -> Option<Number> {
        let kind = if rule.kind == 'b' { 'b' } else { 'c' };
        if let Some(major) = rule.major {
            return Some(Number { kind, major, minor: rule.minor });
        }
        let known = NUMBERS.iter().find(|n| rule.path.as_deref() == Some(n.0))?;
        Some(Number { kind, major: known.1, minor: Some(known.2) })
    }

    fn exists(&self) -> bool {
        self.major < MAJORS && self.minor.is_none_or(|minor| minor < MINORS)
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minor = self.minor.map_or("*".to_owned(), |m| m.to_string());
        write!(f, "{} {}:{minor}", self.kind, self.major)
    }
}

/// Writes the nodes that appear in the container's /dev: those that it may open.
pub(super) fn nodes(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    let restricted = config.idmap.is_none() && !families(w).is_empty();
    for device in all(config) {
        let Some(path) = device.path.as_deref() else { continue };
        validate_node(path)?;
        let allowed = Number::of(&device).is_some_and(|n| n.exists());
        if allowed || !restricted {
            w.set("lxc.mount.entry", format!("/dev/{path} dev/{path} none bind,create=file,optional 0 0"));
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

/// Returns the families of keys that restrict devices.
fn families(w: &Writer) -> Vec<&'static str> {
    // The version 2 list is a BPF program since 4.0. LXC 3.x would write it to a file that does not exist, and fail.
    let v2 = w.dialect.writes_v2() && w.dialect.at_least(4, 0);
    let families = [("lxc.cgroup", w.dialect.writes_v1()), ("lxc.cgroup2", v2)];
    families.into_iter().filter(|f| f.1).map(|f| f.0).collect()
}

/// Writes what the container may open.
pub(super) fn rules(config: &ContainerConfig, w: &mut Writer) {
    let families = families(w);
    if config.idmap.is_some() {
        unprivileged(config, &families, w);
        return;
    }
    if families.is_empty() {
        w.find(
            Finding::warning("devices-not-restricted", "the container may open every device node it makes")
                .detail(format!("LXC {} cannot restrict devices under control groups version 2", w.dialect.version))
                .remedy("install LXC 4.0 or later, or boot the host with control groups version 1")
                .subject("lxc.cgroup2.devices"),
        );
        return;
    }
    let extra = allowed(config, w);
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
    let (named, bare): (Vec<_>, Vec<_>) = config.devices.iter().partition(|d| d.path.is_some());
    let named: Vec<Number> = named.into_iter().filter_map(Number::of).collect();
    for number in bare.into_iter().filter_map(Number::of).filter(|n| !named.contains(n)) {
        let name = number.to_string();
        w.find(
            Finding::warning("device-without-node", format!("the container cannot use the device {name}"))
                .detail("DEVICES allows it, but an unprivileged container cannot make the node")
                .remedy("bind the host's node with lxc.mount.entry, and let the container's ids open it")
                .subject(name),
        );
    }
}

/// Returns the rules in the kernel's words, one for each device: DEVICES and DEVNODES may name the same. A device that
/// cannot be allowed is a finding.
fn allowed(config: &ContainerConfig, w: &mut Writer) -> Vec<String> {
    let mut allowed: Vec<(Number, [bool; 2])> = Vec::new();
    for device in all(config) {
        let access = ['r', 'w'].map(|c| device.access.contains(c));
        if access == [false; 2] {
            continue;
        }
        let Some(number) = Number::of(&device) else {
            unknown(&device, w);
            continue;
        };
        if !number.exists() {
            impossible(&number, w);
            continue;
        }
        match allowed.iter_mut().find(|(n, _)| *n == number) {
            Some((_, before)) => *before = [before[0] || access[0], before[1] || access[1]],
            None => allowed.push((number, access)),
        }
    }
    let line = |(number, [r, w]): (Number, [bool; 2])| {
        format!("{number} {}{}m", if r { "r" } else { "" }, if w { "w" } else { "" })
    };
    allowed.into_iter().map(line).collect()
}

fn unknown(device: &DeviceRule, w: &mut Writer) {
    let path = device.path.as_deref().unwrap_or("").escape_debug().to_string();
    w.find(
        Finding::warning("device-number-unknown", format!("the container cannot open /dev/{path}"))
            .detail("DEVNODES names it, and only the source node knows its number; its node was left out too")
            .remedy("add lxc.cgroup.devices.allow (or lxc.cgroup2) with the number that the target has, and the node")
            .subject(format!("/dev/{path}")),
    );
}

fn impossible(number: &Number, w: &mut Writer) {
    w.find(
        Finding::warning("device-number-impossible", format!("no kernel has a device {number}"))
            .detail(format!("a major number is below {MAJORS}, a minor one below {MINORS}; the rule was left out"))
            .remedy("correct DEVICES, or add lxc.cgroup.devices.allow (or lxc.cgroup2) with the number that was meant")
            .subject(number.to_string()),
    );
}

/// A node of the host is bound into the container's own /dev, which LXC populates at each start, and passed over where
/// the host does not have it.
fn validate_node(path: &str) -> Result<()> {
    if !names::is_device_path(path) {
        return Err(Error::new(format!("device \"{}\" is not a path below /dev", path.escape_debug())));
    }
    validate::value("device", path).map(drop)
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
