//! One value, read as the kind of its parameter wants it.

use super::grammar::{Dialect, words};
use super::netif;
use super::number;
use super::params::Kind;
use super::reading::Value;
use super::values::{self, Mask, Part, Trouble};
use std::collections::HashSet;

/// Reads a value as its kind wants it; `None` when nothing of it is in force.
pub(super) fn read_value(kind: Kind, bytes: &[u8], dialect: Dialect) -> Part<Option<Value>> {
    let text = String::from_utf8_lossy(bytes);
    let part = |value: Option<Value>, expected: &str, at: usize| match value {
        Some(value) => Part::whole(Some(value)),
        None => Part { value: None, trouble: Some(Trouble { why: format!("it is not {expected}"), at, from: 0 }) },
    };
    let virtuozzo = dialect == Dialect::Virtuozzo;
    let as_it_stands = || Some(Value::Text(bytes.to_vec()));
    let number = |n: Option<u64>, low: u64, high: u64| {
        let n = n.filter(|n| (low..=high).contains(n)).map(Value::Number);
        part(n, &format!("a number from {low} to {high}"), number::fault(bytes))
    };
    match kind {
        Kind::Text | Kind::HostName | Kind::Path | Kind::Opaque => Part::whole(as_it_stands()),
        Kind::Name => {
            let odd = bytes.iter().position(|b| !values::is_name(&[*b])).unwrap_or(0);
            part(as_it_stands().filter(|_| values::is_name(bytes)), "a name", odd)
        }
        Kind::Flag => part(flag(bytes).map(Value::Flag), "yes or no", 0),
        // Virtuozzo: what ran when the node went down is started again.
        Kind::OnBoot if bytes == b"auto" && virtuozzo => Part::whole(Some(Value::Flag(true))),
        Kind::OnBoot => part(flag(bytes).map(Value::Flag), "yes or no", 0),
        Kind::Number(low, high) => number(number::ulong(&text), low, high),
        Kind::Int(low, high) => number(number::int(&text), low, high),
        Kind::Float => part(as_it_stands().filter(|_| text.trim().parse::<f64>().is_ok()), "a number", 0),
        Kind::Pair(unit) => {
            let limit = text.rsplit(':').next().unwrap_or_default();
            let written = limit == "unlimited" || limit.contains(|c: char| c.is_ascii_digit());
            let pair = number::pair(&text, unit).map(|(barrier, limit)| Value::Pair(barrier, limit, written));
            part(pair, "a number that can stand here", number::pair_fault(bytes, unit))
        }
        Kind::CpuLimit => {
            let digits = bytes.strip_suffix(b"%").unwrap_or(bytes);
            part(number::cpu_limit(&text).map(Value::CpuLimit), "a percentage", number::fault(digits))
        }
        Kind::CpuMask => {
            let fault = if matches!(bytes, b"all" | b"auto") { None } else { values::cpu_list_fault(bytes) };
            part(as_it_stands().filter(|_| fault.is_none()), "a list of numbers, all or auto", fault.unwrap_or(0))
        }
        Kind::IoLimit => {
            let limit = number::quantity(&text, number::Unit::Bytes).map(io_limit);
            part(limit.map(Value::Number), "a number of bytes a second", number::fault(bytes))
        }
        Kind::Layout => {
            let layout = match &*text {
                "simfs" | "ploop" | "ploop:expanded" | "ploop:plain" | "ploop:raw" => as_it_stands(),
                // The numbers of Virtuozzo's layouts (libvzctl vztypes.h): 3 and 4 are directories.
                "3" | "4" if virtuozzo => Some(Value::Text(b"simfs".to_vec())),
                "5" if virtuozzo => Some(Value::Text(b"ploop".to_vec())),
                _ => None,
            };
            part(layout, "simfs or ploop", 0)
        }
        Kind::Netfilter => {
            let known = matches!(bytes, b"disabled" | b"stateless" | b"stateful" | b"full");
            part(as_it_stands().filter(|_| known), "disabled, stateless, stateful or full", 0)
        }
        Kind::Meminfo => {
            part(as_it_stands().filter(|_| values::is_meminfo(&text)), "none, pages:N or privvmpages:N", 0)
        }
        Kind::Words | Kind::NameServers | Kind::Domains => Part::whole(Some(Value::Words(unique(words(bytes))))),
        Kind::Disks => Part::whole(Some(Value::Words(unique(bytes.split(|b| *b == b';').map(<[u8]>::trim_ascii))))),
        Kind::Addresses => list(values::addresses(bytes, dialect), |v| v.is_empty(), Value::Addresses),
        Kind::Netif => list(netif::interfaces(bytes), |v| v.list.is_empty(), Value::Interfaces),
        Kind::NetDevices => list(values::net_devices(bytes), |v| v.is_empty(), Value::Words),
        Kind::PciDevices => list(values::pci_devices(bytes), |v| v.is_empty(), Value::Words),
        Kind::Devices => list(values::devices(bytes), |v| v.is_empty(), Value::Devices),
        Kind::DeviceNodes => list(values::device_nodes(bytes), |v| v.is_empty(), Value::Devices),
        Kind::Capability => list(values::capabilities(bytes), |v| *v == Mask::default(), Value::Mask),
        Kind::Features => list(values::features(bytes, dialect), |v| *v == Mask::default(), Value::Mask),
    }
}

fn unique<'a>(words: impl Iterator<Item = &'a [u8]>) -> Vec<String> {
    let mut seen = HashSet::new();
    let new = words.filter(|w| !w.is_empty() && seen.insert(*w));
    new.map(|w| String::from_utf8_lossy(w).into_owned()).collect()
}

/// A list that stopped before its first word says nothing; an empty one is a value.
fn list<T>(part: Part<T>, empty: impl Fn(&T) -> bool, make: impl Fn(T) -> Value) -> Part<Option<Value>> {
    let nothing = part.trouble.is_some() && empty(&part.value);
    Part { value: (!nothing).then(|| make(part.value)), trouble: part.trouble }
}

fn flag(bytes: &[u8]) -> Option<bool> {
    match bytes {
        b"yes" => Some(true),
        b"no" => Some(false),
        _ => None,
    }
}

/// 0 and unlimited are both none; the rest is capped at INT_MAX.
fn io_limit(value: u64) -> u64 {
    if value >= number::UNLIMITED { 0 } else { value.min(number::UNLIMITED_32) }
}
