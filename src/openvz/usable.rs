//! What vzctl takes and the target cannot have: it is left out, and said where it stands.
//!
//! The rules are those of `model::names`, which the writer of the LXC configuration keeps too: what passes here is no error
//! there.

use super::grammar::{is_space, offset_in, shown, words};
use super::netif::Interfaces;
use super::params::Kind;
use super::reading::Value;
use super::values::is_host_name;
use crate::model::finding::Finding;
use crate::model::names;
use crate::model::ve::DeviceRule;
use std::collections::HashSet;
use std::net::IpAddr;

/// The kernel's numbers of a device: 12 bits and 20 (include/linux/kdev_t.h).
const MAJORS: u32 = 1 << 12;
const MINORS: u32 = 1 << 20;

/// What is missing afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    /// A word of a list, or a part of an interface.
    Part,
    /// A whole interface.
    Interface,
    /// The host name.
    HostName,
}

/// Something that is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    /// Where in the value.
    pub(super) at: usize,
    /// What, in quotes where it is not our own word.
    pub(super) what: String,
    pub(super) why: &'static str,
    pub(super) loss: Loss,
}

impl Left {
    /// Makes the finding, without its place.
    pub(super) fn finding(&self, name: &str) -> Finding {
        let Left { what, why, .. } = self;
        match self.loss {
            Loss::Part => Finding::warning("ve-value-left-out", format!("{name}: {what} is left out"))
                .detail((*why).to_owned())
                .remedy(format!("correct {name} on the source, or add to the target what it was for")),
            Loss::Interface => {
                Finding::overridable("ve-interface-left-out", format!("{name}: the interface {what} is left out"))
                    .detail((*why).to_owned())
                    .remedy("rename it on the source, or go on without it: --accept ve-interface-left-out")
            }
            Loss::HostName => Finding::warning("ve-hostname-unusable", format!("{what} cannot be a host name"))
                .detail((*why).to_owned())
                .remedy("set HOSTNAME on the source; the name in the guest's own files stays otherwise"),
        }
    }
}

/// Takes out of a value what cannot be carried over. `text` is as much of the value's text as vzctl took.
pub(super) fn carry(kind: Kind, value: &mut Value, text: &[u8]) -> Vec<Left> {
    let mut left = Vec::new();
    match value {
        Value::Text(name) if kind == Kind::HostName => left.extend(host_name(name, text)),
        Value::Addresses(list) => {
            list.retain(|a| names::is_station_address(a.address));
            let why = "a loopback or multicast address cannot be an interface's";
            words_without(text, why, &mut left, |word| {
                let ip = word.split('/').next().unwrap_or_default().parse::<IpAddr>();
                ip.is_ok_and(|ip| names::is_station_address(ip) || ip.is_unspecified())
            });
        }
        Value::Words(list) if kind == Kind::NameServers => {
            if list.first().is_some_and(|word| word == "inherit") {
                return left;
            }
            let is_address = |word: &str| word.parse::<IpAddr>().is_ok();
            list.retain(|word| is_address(word));
            words_without(text, "it is not an address", &mut left, is_address);
        }
        Value::Words(list) if kind == Kind::Domains => {
            if list.first().is_some_and(|word| word == "inherit") {
                return left;
            }
            list.retain(|word| names::is_domain(word));
            words_without(text, "it is not a domain", &mut left, names::is_domain);
        }
        Value::Words(list) if kind == Kind::NetDevices => {
            list.retain(|name| names::is_interface_name(name));
            words_without(text, NO_NAME, &mut left, names::is_interface_name);
        }
        Value::Devices(rules) => devices(rules, text, &mut left),
        Value::Interfaces(all) => interfaces(all, text, &mut left),
        _ => {}
    }
    left
}

const NO_NAME: &str = "an LXC configuration cannot have a name with such characters";

fn part(at: usize, what: &[u8], why: &'static str) -> Left {
    Left { at, what: format!("\"{}\"", shown(what)), why, loss: Loss::Part }
}

/// Collects the words that do not pass.
fn words_without(text: &[u8], why: &'static str, left: &mut Vec<Left>, passes: impl Fn(&str) -> bool) {
    let bad = words(text).filter(|word| !std::str::from_utf8(word).is_ok_and(&passes));
    left.extend(bad.map(|word| part(offset_in(text, word), word, why)));
}

fn host_name(name: &[u8], text: &[u8]) -> Option<Left> {
    let name = name.trim_ascii();
    if std::str::from_utf8(name).is_ok_and(is_host_name) {
        return None;
    }
    let why = match name.len() {
        0 => "it is empty; the one in the guest's own files stays",
        n if n > names::HOST_NAME_MAX => "the kernel takes at most 64 bytes; the one in the guest's own files stays",
        _ => "it is not made of letters, digits, \"-\", \"_\" and \".\"; the one in the guest's own files stays",
    };
    let at = text.iter().position(|b| !is_space(*b)).unwrap_or(0);
    Some(Left { loss: Loss::HostName, ..part(at, name, why) })
}

/// A word of the text is a rule of the list.
fn devices(rules: &mut Vec<DeviceRule>, text: &[u8], left: &mut Vec<Left>) {
    let mut at = words(text);
    rules.retain(|rule| {
        let word = at.next().unwrap_or_default();
        let beyond = rule.major.is_some_and(|n| n >= MAJORS) || rule.minor.is_some_and(|n| n >= MINORS);
        let why = match &rule.path {
            _ if beyond => "no device has such a number: the kernel's go to 4095 and 1048575",
            Some(path) if !names::is_device_path(path) => {
                "an LXC configuration cannot have a path with such characters"
            }
            _ => return true,
        };
        left.push(part(offset_in(text, word), word, why));
        false
    });
}

/// Interfaces are looked at in their order: what two of them have the first one keeps.
fn interfaces(all: &mut Interfaces, text: &[u8], left: &mut Vec<Left>) {
    let (mut macs, mut hosts) = (HashSet::new(), HashSet::new());
    let places = std::mem::take(&mut all.places);
    let mut place = places.iter();
    let (remade, lost) = (&mut all.remade, &mut all.lost);
    all.list.retain_mut(|one| {
        let from = place.next().copied().unwrap_or(0);
        let name = shown(one.ifname.as_bytes());
        let at = |key: &str| field(text, from, key);
        let bad = [("ifname", Some(&one.ifname)), ("bridge", one.bridge.as_ref())];
        if let Some((key, _)) = bad.iter().find(|(_, n)| n.is_some_and(|n| !names::is_interface_name(n))) {
            let why =
                if *key == "bridge" { "an LXC configuration cannot have the name of its bridge" } else { NO_NAME };
            left.push(Left { loss: Loss::Interface, ..part(at(key), one.ifname.as_bytes(), why) });
            lost.retain(|l| l.ifname != one.ifname);
            return false;
        }
        if let Some(mac) = one.mac.take() {
            let why = if !names::is_station_mac(&mac) {
                "it is zero or a group's address; a new one is made"
            } else if !macs.insert(mac.clone()) {
                "an interface before it has the same address; a new one is made"
            } else {
                ""
            };
            if why.is_empty() {
                one.mac = Some(mac);
            } else {
                left.push(Left { what: format!("the MAC address {mac} of {name}"), ..part(at("mac"), b"", why) });
                remade.push(one.ifname.clone());
            }
        }
        if let Some(host) = one.host_ifname.take() {
            let why = if !names::is_interface_name(&host) {
                "an LXC configuration cannot have a name with such characters; LXC makes a new one"
            } else if !hosts.insert(host.clone()) {
                "an interface before it has the same name on the node; LXC makes a new one"
            } else {
                ""
            };
            if why.is_empty() {
                one.host_ifname = Some(host);
            } else {
                let what = format!("the name {} of {name} on the node", shown(host.as_bytes()));
                left.push(Left { what, ..part(at("host_ifname"), b"", why) });
            }
        }
        true
    });
}

/// Returns where the last `KEY=` of the interface begins that stands at an offset of NETIF.
fn field(text: &[u8], from: usize, key: &str) -> usize {
    let one = text.get(from..).unwrap_or_default().split(|b| *b == b';').next().unwrap_or_default();
    let is_it = |field: &&[u8]| {
        field.trim_ascii().strip_prefix(key.as_bytes()).is_some_and(|r| r.trim_ascii().starts_with(b"="))
    };
    one.split(|b| *b == b',').rfind(is_it).map_or(from, |field| offset_in(text, field))
}
