//! Lists of a VE configuration. vzctl stops at the first bad word and keeps what came before it, so every reader here
//! returns what it got together with what stopped it.

use super::grammar::{Dialect, is_space, offset_in, shown, words};
use super::netif::device_name;
use crate::model::names;
use crate::model::ve::{DeviceRule, VenetAddress};
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

/// What vzctl has against a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) why: String,
    /// Where in the value.
    pub(super) at: usize,
    /// From where on nothing of the value is in force.
    pub(super) from: usize,
}

/// What a reader got, and what stopped it.
pub(super) struct Part<T> {
    pub(super) value: T,
    pub(super) trouble: Option<Trouble>,
}

impl<T> Part<T> {
    /// All of it was read.
    pub(super) fn whole(value: T) -> Part<T> {
        Part { value, trouble: None }
    }

    /// Reading stopped at a word of the text.
    pub(super) fn stopped(value: T, text: &[u8], word: &[u8], why: String) -> Part<T> {
        let at = offset_in(text, word);
        Part { value, trouble: Some(Trouble { why, at, from: at }) }
    }

    /// Says from where on nothing of the text is in force, when that is before what is wrong.
    pub(super) fn from(mut self, from: usize) -> Part<T> {
        if let Some(trouble) = &mut self.trouble {
            trouble.from = from;
        }
        self
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
            let why = format!("\"{}\" is not an address that can stand here", shown(word));
            return Part::stopped(out, value, word, why);
        };
        if !address.address.is_unspecified() && seen.insert(address.address) {
            out.push(address);
        }
    }
    Part::whole(out)
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

/// Reads DEVICES: `b|c:MAJOR:MINOR|all:[r][w][q]|none`. A rule without access takes the device away.
pub(super) fn devices(value: &[u8]) -> Part<Vec<DeviceRule>> {
    let mut out = Vec::new();
    for word in words(value) {
        match std::str::from_utf8(word).ok().and_then(device) {
            Some(rule) => out.push(rule),
            None => {
                let why = format!("\"{}\" is not a device rule that can stand here", shown(word));
                return Part::stopped(out, value, word, why);
            }
        }
    }
    Part::whole(out)
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
            None => {
                let why = format!("\"{}\" is not a device below /dev", shown(word));
                return Part::stopped(out, value, word, why);
            }
        }
    }
    Part::whole(out)
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
            let why = format!("\"{}\" is not the name of a capability", shown(word));
            return Part::stopped(out, value, word, why);
        };
        let mask = if on { &mut out.on } else { &mut out.other };
        mask.insert(name.to_owned());
    }
    Part::whole(out)
}

/// Reads FEATURES: `NAME:on|off`, separated by blanks or commas.
pub(super) fn features(value: &[u8], dialect: Dialect) -> Part<Mask> {
    let mut out = Mask::default();
    let mut trouble: Vec<String> = Vec::new();
    let mut first = 0;
    for word in value.split(|b| is_space(*b) || *b == b',').filter(|w| !w.is_empty()) {
        let text = String::from_utf8_lossy(word);
        let name = switch(&text).and_then(|(name, on)| match name {
            _ if FEATURES.contains(&name) => Some((name, on)),
            // vzctl compares as many bytes as it was given, and four of anything end at nfsd (vzfeatures.c:37-63, ran).
            _ if name.len() == 4 && dialect == Dialect::Vzctl => Some(("nfsd", on)),
            _ => None,
        });
        if trouble.is_empty() {
            first = offset_in(value, word);
        }
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
                trouble.push(format!("\"{}\" is not the name of a feature", shown(word)));
            }
        }
    }
    trouble.truncate(10);
    let why = trouble.join(", ");
    Part { value: out, trouble: (!why.is_empty()).then_some(Trouble { why, at: first, from: value.len() }) }
}

fn switch(word: &str) -> Option<(&str, bool)> {
    match word.split_once(':')? {
        (name, "on") => Some((name, true)),
        (name, "off") => Some((name, false)),
        _ => None,
    }
}

/// Returns the place of the first range that does not belong into a CPU list (`0-2,7`).
pub(super) fn cpu_list_fault(text: &[u8]) -> Option<usize> {
    let number = |n: &str| !n.is_empty() && n.len() <= 5 && n.bytes().all(|b| b.is_ascii_digit());
    let fits = |part: &str| match part.split_once('-') {
        Some((from, to)) => {
            number(from) && number(to) && from.parse::<u32>().unwrap_or(1) <= to.parse::<u32>().unwrap_or(0)
        }
        None => number(part),
    };
    let wrong = text.split(|b| *b == b',').find(|part| !std::str::from_utf8(part).is_ok_and(fits))?;
    Some(offset_in(text, wrong))
}

/// Reads NETDEV: names of the node's interfaces; vzctl refuses those that exist in every container or belong to nobody.
pub(super) fn net_devices(value: &[u8]) -> Part<Vec<String>> {
    let mut out: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    for word in words(value) {
        let name = std::str::from_utf8(word).ok().and_then(|name| device_name(name).ok());
        let refused = |name: &String| ["venet", "tun", "tap", "lo"].iter().any(|bad| name.starts_with(bad));
        match name.filter(|name| !refused(name)) {
            Some(name) if seen.insert(name.clone()) => out.push(name),
            Some(_) => {}
            None => {
                let why = format!("\"{}\" is not a network device that can be given away", shown(word));
                return Part::stopped(out, value, word, why);
            }
        }
    }
    Part::whole(out)
}

/// Reads PCI: `[DOMAIN:]BUS:SLOT.FUNCTION`, hexadecimal.
pub(super) fn pci_devices(value: &[u8]) -> Part<Vec<String>> {
    let hex = |part: &str| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
    let fits = |word: &str| {
        let parts: Vec<&str> = word.split([':', '.']).collect();
        matches!(parts.len(), 3 | 4) && word.matches('.').count() == 1 && parts.iter().all(|p| hex(p))
    };
    let mut out = Vec::new();
    for word in words(value) {
        match std::str::from_utf8(word).ok().filter(|w| fits(w)) {
            Some(text) => out.push(text.to_owned()),
            None => {
                let why = format!("\"{}\" is not the address of a PCI device", shown(word));
                return Part::stopped(out, value, word, why);
            }
        }
    }
    Part::whole(out)
}

/// Tells whether vzctl takes a text as MEMINFO.
pub(super) fn is_meminfo(text: &str) -> bool {
    let number = |n: &str| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit());
    text == "none" || matches!(text.split_once(':'), Some(("pages" | "privvmpages", n)) if number(n))
}

/// Tells whether vzctl takes a text as NAME (check_name).
pub(super) fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| b.is_ascii_alphanumeric() || b" -+_.".contains(b))
}

/// Tells whether a text can be written as a host name into the guest's files and the LXC configuration.
pub(super) fn is_host_name(text: &str) -> bool {
    names::is_host_name_text(text) && text.len() <= names::HOST_NAME_MAX && !text.starts_with(['-', '.'])
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
    fn device_rules() {
        let part = devices(b"c:10:200:rw b:8:all:r c:1:3:none b:7:0:rw c:5:1:rw");
        assert!(part.trouble.unwrap().why.contains("b:7:0:rw"));
        assert_eq!(part.value.len(), 3);
        assert_eq!((part.value[1].minor, part.value[1].access.as_str()), (None, "r"));
        assert_eq!(device("c:10:200:wr").unwrap().access, "rw");
        assert_eq!(device("c:10:200:rq").unwrap().access, "r");
        for bad in ["c:10:200", "x:1:2:r", "c:10:200:x", "c:a:1:r", "c:1:-1:r", "c:10:200:"] {
            assert_eq!(device(bad), None, "{bad}");
        }
        let nodes = device_nodes(b"net/tun:rw snd/a:b:r ../sda1:rw");
        assert_eq!(nodes.value.iter().map(|r| r.path.clone().unwrap()).collect::<Vec<_>>(), ["net/tun", "snd/a:b"]);
        assert!(nodes.trouble.unwrap().why.contains("../sda1"));
    }

    #[test]
    fn a_rule_without_access_takes_the_device_away() {
        let rules = devices(b"c:10:200:rw c:10:229:rw c:10:200:none").value;
        let left = effective_devices(&rules);
        assert_eq!(left.iter().map(|r| r.minor).collect::<Vec<_>>(), [Some(229)]);
    }

    #[test]
    fn names_of_devices_on_the_node() {
        let part = net_devices(b"eth1 eth1 eth2.10 tun0 eth3");
        assert_eq!((part.value, part.trouble.unwrap().at), (vec!["eth1".to_owned(), "eth2.10".to_owned()], 18));
        for bad in ["venet0", "tap1", "lo", "a/b", "abcdefghijklmnop"] {
            assert!(net_devices(bad.as_bytes()).trouble.is_some(), "{bad}");
        }
        let part = pci_devices(b"0000:00:1f.2 1f:0.0 x:1.0");
        assert_eq!((part.value.len(), part.trouble.unwrap().at), (2, 20));
    }

    #[test]
    fn masks() {
        let caps = capabilities(b"NET_ADMIN:on sys_time:OFF nosuch:on mknod:on");
        assert!(caps.trouble.unwrap().why.contains("nosuch"));
        assert_eq!((caps.value.on.len(), caps.value.other.contains("sys_time")), (1, true));
        let text = b"nfs:on,fuse:on ppp:off nfs:off tunnel:on";
        let seven = features(text, Dialect::Virtuozzo);
        assert_eq!(seven.value.on.iter().map(String::as_str).collect::<Vec<_>>(), ["nfs"]);
        assert!(seven.trouble.unwrap().why.contains("\"fuse:on\" is not the name of a feature"));
        let features = features(text, Dialect::Vzctl);
        assert_eq!(features.value.on.iter().map(String::as_str).collect::<Vec<_>>(), ["nfs", "nfsd"]);
        assert!(features.value.other.contains("ppp"));
        let Trouble { why: trouble, at, .. } = features.trouble.unwrap();
        assert_eq!(at, 7);
        assert!(trouble.contains("fuse:on") && trouble.contains("tunnel:on"), "{trouble}");
    }

    #[test]
    fn small_vocabularies() {
        assert_eq!(
            ["0-2,7", "2-1", "0,all", "0,"].map(|t| cpu_list_fault(t.as_bytes())),
            [None, Some(0), Some(2), Some(2)]
        );
        assert!(is_meminfo("none") && is_meminfo("pages:256") && !is_meminfo("pages:") && !is_meminfo("all"));
        assert!(is_name(b"my web-1") && is_name(b"-x") && !is_name(b"a/b") && !is_name(b""));
        assert!(
            is_host_name("web1.example.com") && !is_host_name("a b") && !is_host_name("-a") && !is_host_name("a\nb")
        );
        assert!(is_host_name(&"a".repeat(64)) && !is_host_name(&"a".repeat(65)), "the kernel takes 64 bytes");
    }
}
