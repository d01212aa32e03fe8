//! Lists of a VE configuration. vzctl stops at the first bad word and keeps what came before it, so every reader here
//! returns what it got together with what stopped it.

use super::grammar::{Dialect, is_space, shown, words};
use crate::model::ve::{DeviceRule, VenetAddress, VethInterface};
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

/// What a reader got, and what stopped it.
pub(super) struct Part<T> {
    pub(super) value: T,
    pub(super) trouble: Option<String>,
}

impl<T> Part<T> {
    fn of(value: T, trouble: Option<String>) -> Part<T> {
        Part { value, trouble }
    }
}

/// Words that were switched on, and those that were switched off (CAPABILITY) or mentioned at all (FEATURES).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mask {
    pub(super) on: BTreeSet<String>,
    pub(super) other: BTreeSet<String>,
}

/// Capabilities that vzctl 4.11 knows (src/lib/cap.c).
const CAPABILITIES: &[&str] = &[
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "setveid",
    "ve_admin",
    "setfcap",
    "fs_mask",
];

/// Capabilities of the OpenVZ kernel alone; their bits mean something else in Linux.
pub(super) const OPENVZ_CAPABILITIES: &[&str] = &["setveid", "ve_admin", "fs_mask"];

/// Features that vzctl 4.11 knows (src/lib/vzfeatures.c).
const FEATURES: &[&str] = &["sysfs", "nfs", "sit", "ipip", "ppp", "ipgre", "bridge", "nfsd"];

/// Reads IP_ADDRESS: blank-separated `IP[/PREFIX]`. Without a prefix the address stands alone, as venet0 is point to point.
pub(super) fn addresses(value: &[u8], dialect: Dialect) -> Part<Vec<VenetAddress>> {
    let mut out: Vec<VenetAddress> = Vec::new();
    let mut seen = HashSet::new();
    for word in words(value) {
        let Some(address) = std::str::from_utf8(word).ok().and_then(|w| address(w, dialect)) else {
            return Part::of(out, Some(format!("\"{}\" is not an address that vzctl takes", shown(word))));
        };
        if !address.address.is_unspecified() && seen.insert(address.address) {
            out.push(address);
        }
    }
    Part::of(out, None)
}

fn address(word: &str, dialect: Dialect) -> Option<VenetAddress> {
    let (ip, mask) = word.split_once('/').map_or((word, None), |(ip, mask)| (ip, Some(mask)));
    let address: IpAddr = ip.parse().ok()?;
    let widest = if address.is_ipv4() { 32 } else { 128 };
    let prefix = match mask {
        None => widest,
        Some(mask) if mask.bytes().all(|b| b.is_ascii_digit()) => mask.parse().ok().filter(|p| *p <= widest)?,
        Some(mask) if dialect == Dialect::Virtuozzo && address.is_ipv4() => dotted(mask)?,
        Some(_) => return None,
    };
    Some(VenetAddress { address, prefix })
}

/// Virtuozzo writes `/255.255.255.0`.
fn dotted(mask: &str) -> Option<u8> {
    let bits = u32::from(mask.parse::<std::net::Ipv4Addr>().ok()?);
    let ones = bits.leading_ones();
    if bits.count_ones() == ones { u8::try_from(ones).ok() } else { None }
}

/// What NETIF says that has no place in the model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interfaces {
    pub(super) list: Vec<VethInterface>,
    /// Keys that are left behind: `host_mac`, `mac_filter`, and Virtuozzo's own.
    pub(super) lost: BTreeSet<String>,
}

/// Reads NETIF: `IF[;IF…]`, each a comma-separated list of `key=value`.
pub(super) fn interfaces(value: &[u8]) -> Part<Interfaces> {
    let mut out = Interfaces::default();
    let mut names = HashSet::new();
    for one in value.split(|b| *b == b';').filter(|one| one.iter().any(|b| !is_space(*b))) {
        match interface(one, &mut out.lost) {
            Ok(interface) => {
                if names.insert(interface.ifname.clone()) {
                    out.list.push(interface);
                }
            }
            Err(why) => return Part::of(out, Some(format!("interface \"{}\": {why}", shown(one)))),
        }
    }
    Part::of(out, None)
}

fn interface(text: &[u8], lost: &mut BTreeSet<String>) -> Result<VethInterface, String> {
    let mut out = VethInterface::default();
    for field in text.split(|b| *b == b',').filter(|field| !field.is_empty()) {
        let field = String::from_utf8_lossy(field);
        let Some((key, value)) = field.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        match key {
            "ifname" => out.ifname = device_name(value)?,
            "mac" if !value.is_empty() => out.mac = Some(mac(value)?),
            "host_ifname" if !value.is_empty() => out.host_ifname = Some(device_name(value)?),
            "bridge" if !value.is_empty() => out.bridge = Some(device_name(value)?),
            "mac" | "host_ifname" | "bridge" => {}
            // The idiom that keeps a bridge from taking the lowest MAC of its ports: nothing to carry over.
            "host_mac" if value.eq_ignore_ascii_case("fe:ff:ff:ff:ff:ff") => {}
            "mac_filter" if value == "off" => {}
            _ => {
                lost.insert(shown(key.as_bytes()));
            }
        }
    }
    if out.ifname.is_empty() { Err("ifname is missing".into()) } else { Ok(out) }
}

/// What the kernel takes as the name of an interface (net/core/dev.c dev_valid_name).
fn device_name(name: &str) -> Result<String, String> {
    let bad = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | ':');
    if name.is_empty() || name.len() > 15 || matches!(name, "." | "..") || name.chars().any(bad) {
        return Err(format!("\"{}\" cannot be the name of an interface", shown(name.as_bytes())));
    }
    Ok(name.to_owned())
}

fn mac(text: &str) -> Result<String, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let hex = |p: &&str| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit());
    if parts.len() != 6 || !parts.iter().all(hex) {
        return Err(format!("\"{}\" is not a MAC address", shown(text.as_bytes())));
    }
    Ok(text.to_ascii_lowercase())
}

/// Reads DEVICES: `b|c:MAJOR:MINOR|all:[r][w][q]|none`. A rule without access takes the device away.
pub(super) fn devices(value: &[u8]) -> Part<Vec<DeviceRule>> {
    let mut out = Vec::new();
    for word in words(value) {
        match std::str::from_utf8(word).ok().and_then(device) {
            Some(rule) => out.push(rule),
            None => return Part::of(out, Some(format!("\"{}\" is not a device rule that vzctl takes", shown(word)))),
        }
    }
    Part::of(out, None)
}

fn device(word: &str) -> Option<DeviceRule> {
    let parts: Vec<&str> = word.split(':').collect();
    let [kind, major, minor, access] = parts[..] else { return None };
    let kind = match kind {
        "b" => 'b',
        "c" => 'c',
        _ => return None,
    };
    let major: u32 = major.parse().ok()?;
    if kind == 'b' && major == 7 {
        return None; // vzctl refuses loop devices.
    }
    let minor = if minor == "all" { None } else { Some(minor.parse().ok()?) };
    Some(DeviceRule { kind, major: Some(major), minor, access: permissions(access)?, path: None })
}

fn permissions(text: &str) -> Option<String> {
    if text == "none" {
        return Some(String::new());
    }
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|b| b"rwq".contains(&b)) {
        return None;
    }
    Some(["r", "w"].into_iter().filter(|c| text.contains(c)).collect())
}

/// Reads DEVNODES: `PATH-BELOW-/dev:[rwq]|none`. Numbers are those of the node's own /dev, so they are not known here.
pub(super) fn device_nodes(value: &[u8]) -> Part<Vec<DeviceRule>> {
    let mut out = Vec::new();
    for word in words(value) {
        match std::str::from_utf8(word).ok().and_then(device_node) {
            Some(rule) => out.push(rule),
            None => return Part::of(out, Some(format!("\"{}\" is not a device below /dev", shown(word)))),
        }
    }
    Part::of(out, None)
}

fn device_node(word: &str) -> Option<DeviceRule> {
    let (path, access) = word.rsplit_once(':')?;
    let odd = |part: &str| part.is_empty() || part == "." || part == ".." || part.chars().any(char::is_control);
    if path.split('/').any(odd) {
        return None;
    }
    Some(DeviceRule { kind: 'c', major: None, minor: None, access: permissions(access)?, path: Some(path.to_owned()) })
}

/// Drops what a later rule without access takes away again, and what stands twice.
pub(super) fn effective_devices(rules: &[DeviceRule]) -> Vec<DeviceRule> {
    let mut taken = HashSet::new();
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    for rule in rules.iter().rev() {
        let device = (rule.kind, rule.major, rule.minor, rule.path.as_deref());
        if rule.access.is_empty() {
            taken.insert(device);
        } else if !taken.contains(&device) && seen.insert((device, rule.access.as_str())) {
            out.push(rule.clone());
        }
    }
    out.reverse();
    out
}

/// Reads CAPABILITY: `NAME:on|off`, upper or lower case, without `CAP_`.
pub(super) fn capabilities(value: &[u8]) -> Part<Mask> {
    let mut out = Mask::default();
    for word in value.split(|b| is_space(*b) || *b == b',').filter(|w| !w.is_empty()) {
        let text = String::from_utf8_lossy(word).to_ascii_lowercase();
        let known = switch(&text).filter(|(name, _)| CAPABILITIES.contains(name));
        let Some((name, on)) = known else {
            return Part::of(out, Some(format!("\"{}\" is not a capability that vzctl knows", shown(word))));
        };
        let mask = if on { &mut out.on } else { &mut out.other };
        mask.insert(name.to_owned());
    }
    Part::of(out, None)
}

/// Reads FEATURES: `NAME:on|off`, separated by blanks or commas.
pub(super) fn features(value: &[u8]) -> Part<Mask> {
    let mut out = Mask::default();
    let mut trouble: Vec<String> = Vec::new();
    for word in value.split(|b| is_space(*b) || *b == b',').filter(|w| !w.is_empty()) {
        let text = String::from_utf8_lossy(word);
        let name = switch(&text).and_then(|(name, on)| match name {
            _ if FEATURES.contains(&name) => Some((name, on)),
            // vzctl compares as many bytes as it was given, and four of anything end at nfsd (vzfeatures.c:37-63, ran).
            _ if name.len() == 4 => Some(("nfsd", on)),
            _ => None,
        });
        match name {
            Some((name, on)) => {
                if switch(&text).is_none_or(|(said, _)| said != name) {
                    trouble.push(format!("\"{}\" is not a feature; vzctl takes it for {name}", shown(word)));
                }
                out.other.insert(name.to_owned());
                if on {
                    out.on.insert(name.to_owned());
                }
            }
            None => {
                trouble.push(format!("\"{}\" is not a feature that vzctl knows", shown(word)));
            }
        }
    }
    trouble.truncate(10);
    let trouble = if trouble.is_empty() { None } else { Some(trouble.join(", ")) };
    Part::of(out, trouble)
}

fn switch(word: &str) -> Option<(&str, bool)> {
    match word.split_once(':')? {
        (name, "on") => Some((name, true)),
        (name, "off") => Some((name, false)),
        _ => None,
    }
}

/// Tells whether a text is a CPU list: `0-2,7`.
pub(super) fn is_cpu_list(text: &str) -> bool {
    let number = |n: &str| !n.is_empty() && n.len() <= 5 && n.bytes().all(|b| b.is_ascii_digit());
    !text.is_empty()
        && text.split(',').all(|part| match part.split_once('-') {
            Some((from, to)) => {
                number(from) && number(to) && from.parse::<u32>().unwrap_or(1) <= to.parse::<u32>().unwrap_or(0)
            }
            None => number(part),
        })
}

/// Tells whether vzctl takes a text as NAME (check_name).
pub(super) fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b" -+_.".contains(b))
}

/// Tells whether a text can be written as a host name into the guest's files and the LXC configuration.
pub(super) fn is_host_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && !text.starts_with(['-', '.'])
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(value: &str) -> (Vec<String>, bool) {
        let part = addresses(value.as_bytes(), Dialect::Vzctl);
        (part.value.iter().map(|a| format!("{}/{}", a.address, a.prefix)).collect(), part.trouble.is_some())
    }

    #[test]
    fn addresses_keep_what_came_before_a_bad_one() {
        assert_eq!(ips("10.0.0.1 2001:db8::1/64"), (vec!["10.0.0.1/32".into(), "2001:db8::1/64".into()], false));
        assert_eq!(ips("10.0.0.1/24 bad 10.0.0.2"), (vec!["10.0.0.1/24".into()], true));
        assert_eq!(ips("10.0.0.1 10.0.0.1/24"), (vec!["10.0.0.1/32".into()], false));
        assert_eq!(ips("0.0.0.0 :: ::0 10.0.0.9"), (vec!["10.0.0.9/32".into()], false));
        for bad in ["10.0.0.1/255.255.255.0", "10.0.0.1:24", "10.0.0.1,10.0.0.2", "10.0.0.1/33", "10.0.0.1/"] {
            assert_eq!(ips(bad), (vec![], true), "{bad}");
        }
        let seven = addresses(b"10.0.0.1/255.255.255.0 10.0.0.2/255.0.255.0", Dialect::Virtuozzo);
        assert_eq!((seven.value[0].prefix, seven.value.len(), seven.trouble.is_some()), (24, 1, true));
    }

    #[test]
    fn interfaces_are_read_by_key() {
        let text = b"ifname=eth0,bridge=vzbr0,mac=00:18:51:AA:bb:01,host_ifname=veth101.0,host_mac=fe:ff:ff:ff:ff:ff;\
                     ifname=eth1,mac_filter=on,gw=10.0.0.1;ifname=eth0";
        let part = interfaces(text);
        assert!(part.trouble.is_none());
        assert_eq!(part.value.list.len(), 2);
        assert_eq!(part.value.list[0].mac.as_deref(), Some("00:18:51:aa:bb:01"));
        assert_eq!(part.value.list[0].bridge.as_deref(), Some("vzbr0"));
        assert_eq!(part.value.list[0].host_ifname.as_deref(), Some("veth101.0"));
        assert_eq!(part.value.lost.iter().map(String::as_str).collect::<Vec<_>>(), ["gw", "mac_filter"]);
        for bad in ["mac=00:18:51:aa:bb:01", "ifname=abcdefghijklmnop", "ifname=e/0", "ifname=e0,mac=1", "ifname=e\n0"]
        {
            let part = interfaces(bad.as_bytes());
            assert!(part.trouble.is_some() && part.value.list.is_empty(), "{bad}");
        }
    }

    #[test]
    fn device_rules() {
        let part = devices(b"c:10:200:rw b:8:all:r c:1:3:none b:7:0:rw c:5:1:rw");
        assert!(part.trouble.unwrap().contains("b:7:0:rw"));
        assert_eq!(part.value.len(), 3);
        assert_eq!((part.value[1].minor, part.value[1].access.as_str()), (None, "r"));
        assert_eq!(device("c:10:200:wr").unwrap().access, "rw");
        assert_eq!(device("c:10:200:rq").unwrap().access, "r");
        for bad in ["c:10:200", "x:1:2:r", "c:10:200:x", "c:a:1:r", "c:1:-1:r", "c:10:200:"] {
            assert_eq!(device(bad), None, "{bad}");
        }
        let nodes = device_nodes(b"net/tun:rw snd/a:b:r ../sda1:rw");
        assert_eq!(nodes.value.iter().map(|r| r.path.clone().unwrap()).collect::<Vec<_>>(), ["net/tun", "snd/a:b"]);
        assert!(nodes.trouble.unwrap().contains("../sda1"));
    }

    #[test]
    fn a_rule_without_access_takes_the_device_away() {
        let rules = devices(b"c:10:200:rw c:10:229:rw c:10:200:none").value;
        let left = effective_devices(&rules);
        assert_eq!(left.iter().map(|r| r.minor).collect::<Vec<_>>(), [Some(229)]);
    }

    #[test]
    fn masks() {
        let caps = capabilities(b"NET_ADMIN:on sys_time:OFF nosuch:on mknod:on");
        assert!(caps.trouble.unwrap().contains("nosuch"));
        assert_eq!((caps.value.on.len(), caps.value.other.contains("sys_time")), (1, true));
        let features = features(b"nfs:on,fuse:on ppp:off nfs:off tunnel:on");
        assert_eq!(features.value.on.iter().map(String::as_str).collect::<Vec<_>>(), ["nfs", "nfsd"]);
        assert!(features.value.other.contains("ppp"));
        let trouble = features.trouble.unwrap();
        assert!(trouble.contains("fuse:on") && trouble.contains("tunnel:on"), "{trouble}");
    }

    #[test]
    fn small_vocabularies() {
        assert!(is_cpu_list("0-2,7") && !is_cpu_list("2-1") && !is_cpu_list("all") && !is_cpu_list("0,"));
        assert!(is_name(b"my web-1") && is_name(b"-x") && !is_name(b"a/b") && !is_name(b""));
        assert!(
            is_host_name("web1.example.com") && !is_host_name("a b") && !is_host_name("-a") && !is_host_name("a\nb")
        );
    }
}
