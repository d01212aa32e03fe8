//! NETIF: interfaces of type veth.

use super::grammar::{is_space, offset_in, shown};
use super::values::Part;
use crate::model::ve::VethInterface;
use std::collections::HashSet;

/// What NETIF says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Interfaces {
    pub(super) list: Vec<VethInterface>,
    /// What has no place in the model: `host_mac`, `mac_filter`, and Virtuozzo's own keys.
    pub(super) lost: Vec<Lost>,
    /// Where each interface of the list begins in the value.
    pub(super) places: Vec<usize>,
    /// Interfaces whose MAC address was not one to keep.
    pub(super) remade: Vec<String>,
}

/// A key of an interface that is left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    pub(super) ifname: String,
    pub(super) key: String,
    pub(super) value: String,
}

/// Reads NETIF: `IF[;IF…]`, each a comma-separated list of `key=value`. A second interface of one name is dropped.
pub(super) fn interfaces(value: &[u8]) -> Part<Interfaces> {
    let mut out = Interfaces::default();
    let mut names = HashSet::new();
    for one in value.split(|b| *b == b';').filter(|one| one.iter().any(|b| !is_space(*b))) {
        match interface(one) {
            Ok((interface, lost)) => {
                if names.insert(interface.ifname.clone()) {
                    let ifname = &interface.ifname;
                    out.lost.extend(lost.into_iter().map(|(key, value)| Lost { ifname: ifname.clone(), key, value }));
                    out.places.push(offset_in(value, one));
                    out.list.push(interface);
                }
            }
            Err((field, why)) => {
                let part = Part::stopped(out, value, field, format!("interface \"{}\": {why}", shown(one)));
                return part.from(offset_in(value, one));
            }
        }
    }
    Part::whole(out)
}

type Read<'a> = Result<(VethInterface, Vec<(String, String)>), (&'a [u8], String)>;

fn interface(text: &[u8]) -> Read<'_> {
    let (mut out, mut lost) = (VethInterface::default(), Vec::new());
    for raw in text.split(|b| *b == b',').filter(|field| !field.is_empty()) {
        let field = String::from_utf8_lossy(raw);
        let Some((key, value)) = field.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim());
        let at_field = |why| (raw, why);
        match key {
            "ifname" => out.ifname = device_name(value).map_err(at_field)?,
            "mac" if !value.is_empty() => out.mac = Some(mac(value).map_err(at_field)?),
            "host_ifname" if !value.is_empty() => out.host_ifname = Some(device_name(value).map_err(at_field)?),
            "bridge" if !value.is_empty() => out.bridge = Some(device_name(value).map_err(at_field)?),
            "mac" | "host_ifname" | "bridge" => {}
            // The idiom that keeps a bridge from taking the lowest MAC of its ports: nothing to carry over.
            "host_mac" if value.eq_ignore_ascii_case("fe:ff:ff:ff:ff:ff") => {}
            "mac_filter" | "ip_filter" if value == "off" => {}
            "dhcp" | "dhcp6" if value == "no" => {}
            _ => lost.push((shown(key.as_bytes()), shown(value.as_bytes()))),
        }
    }
    if out.ifname.is_empty() { Err((text, "ifname is missing".into())) } else { Ok((out, lost)) }
}

/// What the kernel takes as the name of an interface (net/core/dev.c dev_valid_name).
pub(super) fn device_name(name: &str) -> Result<String, String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lost(text: &[u8]) -> Vec<String> {
        interfaces(text).value.lost.iter().map(|l| format!("{} {}={}", l.ifname, l.key, l.value)).collect()
    }

    #[test]
    fn interfaces_are_read_by_key() {
        let text = b"ifname=eth0,bridge=vzbr0,mac=00:18:51:AA:bb:01,host_ifname=veth101.0,host_mac=fe:ff:ff:ff:ff:ff;\
                     mac_filter=on,ifname=eth1;ifname=eth0,mac_filter=on";
        let part = interfaces(text);
        assert!(part.trouble.is_none());
        assert_eq!(part.value.list.len(), 2);
        assert_eq!(part.value.list[0].mac.as_deref(), Some("00:18:51:aa:bb:01"));
        assert_eq!(part.value.list[0].bridge.as_deref(), Some("vzbr0"));
        assert_eq!(part.value.list[0].host_ifname.as_deref(), Some("veth101.0"));
        assert_eq!(lost(text), ["eth1 mac_filter=on"]);
        for (bad, at) in [
            ("mac=00:18:51:aa:bb:01", 0),
            ("ifname=abcdefghijklmnop", 0),
            ("ifname=e/0", 0),
            ("ifname=e0,mac=1", 10),
            ("ifname=e\n0", 0),
        ] {
            let part = interfaces(bad.as_bytes());
            assert!(part.trouble.is_some_and(|t| t.at == at) && part.value.list.is_empty(), "{bad}");
        }
    }

    #[test]
    fn what_virtuozzo_adds_is_kept_with_its_values() {
        let text =
            b"ifname=eth0,network=Bridged,configure=none,ip=10.0.0.5/255.255.255.0,ip=2001:db8::5/64,gw=10.0.0.1,\
                     gw6=fe80::1,dhcp=no,dhcp6=yes,ip_filter=on,ifaceid=7";
        let want = [
            "eth0 network=Bridged",
            "eth0 configure=none",
            "eth0 ip=10.0.0.5/255.255.255.0",
            "eth0 ip=2001:db8::5/64",
            "eth0 gw=10.0.0.1",
            "eth0 gw6=fe80::1",
            "eth0 dhcp6=yes",
            "eth0 ip_filter=on",
            "eth0 ifaceid=7",
        ];
        assert_eq!(lost(text), want);
    }
}
