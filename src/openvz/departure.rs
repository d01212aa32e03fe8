//! Where the value of a key changes the answer that the table gives.

use super::features;
use super::grammar::shown;
use super::merged::{Limit, Merged, flag, number as whole};
use super::number::{self, CpuLimit};
use super::params::APPROXIMATE;
use super::reading::{Seen, Value, text};
use super::values::{OPENVZ_CAPABILITIES, effective_devices, is_host_name};
use super::virtuozzo;
use crate::lxc;
use crate::model::names;
use crate::model::ve::DeviceRule;
use crate::model::ve::Outcome::{self, Approximated, Blocked, Converted, Ignored};

/// An answer of its own.
pub(super) struct Departure {
    pub(super) outcome: Outcome,
    /// Where it goes instead; the table's place for an approximation when unset, nowhere otherwise.
    pub(super) into: Option<&'static str>,
    pub(super) why: String,
}

pub(super) fn say(outcome: Outcome, why: impl Into<String>) -> Option<Departure> {
    Some(Departure { outcome, into: None, why: why.into() })
}

fn into(outcome: Outcome, into: &'static str, why: &str) -> Option<Departure> {
    Some(Departure { outcome, into: Some(into), why: why.to_owned() })
}

const NO_LIMIT: &str = "no limit: nothing is written, and that is no limit on the target either";
const ZERO: &str = "a limit of zero is not written: nothing could run under it";

/// Returns what the key's value says against the table's answer.
pub(super) fn departure(name: &str, seen: &Seen, merged: &Merged<'_>) -> Option<Departure> {
    if let Some((_, place, how)) = APPROXIMATE.iter().find(|(key, ..)| *key == name) {
        return approximation(name, place, how, merged);
    }
    let word = || text(merged.values, name);
    match name {
        "PHYSPAGES" | "SWAPPAGES" | "NUMPROC" | "NUMPTY" | "DISKSPACE" | "DISKINODES" => limit(name, merged),
        "CPUUNITS" | "CPULIMIT" | "CPUS" | "CPUUWEIGHT" | "CPUMASK" | "NODEMASK" => cpu(name, merged),
        "IOLIMIT" | "IOPSLIMIT" if whole(merged.values, name).is_none_or(|n| n == 0) => say(Converted, NO_LIMIT),
        "IOPRIO" if whole(merged.values, name) == Some(4) => say(Converted, "the default: nothing is written"),
        "QUOTAUGIDLIMIT" if whole(merged.values, name) == Some(0) => say(Ignored, "zero: these quotas are off"),
        "LOCAL_UID" | "LOCAL_GID" if whole(merged.values, name) == Some(0) => {
            say(Ignored, "zero: the container has no user name space")
        }
        "ONBOOT" if seen.text == "auto" => say(
            Approximated,
            "auto: what ran when the node went down starts with it again; taken for yes. In a migration lxc.start.auto \
             stays 0 until the container is handed over",
        ),
        "BOOTORDER" if whole(merged.values, name).is_some_and(|n| n > lxc::ORDERS) => say(
            Approximated,
            format!(
                "turned round: OpenVZ starts high numbers first, LXC low ones; numbers above {} are equal among themselves",
                lxc::ORDERS
            ),
        ),
        "NAME" => name_of_target(&word()?),
        "DEVICES" | "DEVNODES" => devices(name, merged),
        "ONBOOT" if flag(merged.values, name) == Some(false) => {
            into(Converted, "lxc.start.auto", "no: it stays 0, and nothing but a cluster starts the container")
        }
        "DISABLED" if flag(merged.values, name) == Some(false) => say(Converted, "no: the container may start"),
        "HOSTNAME" if !word().is_some_and(|name| is_host_name(&name)) => {
            say(Ignored, "it cannot be a host name; the one in the guest's own files stays")
        }
        "MOUNT_OPTS" => features::mount_options(&word()?),
        "NAMESERVER" | "SEARCHDOMAIN" if inherits(name, merged) => {
            say(Approximated, "inherit: what /etc/resolv.conf of the source node says at the time of the move")
        }
        "NETIF" => interfaces(merged),
        "CAPABILITY" => capabilities(merged),
        "FEATURES" => features::features(merged),
        "NETFILTER" => features::netfilter(&word()?),
        "IPTABLES" | "IPTABLES_MODULES" | "IP6TABLES" => match merged.values.get(name) {
            Some(Value::Words(list)) if !list.is_empty() => features::modules(list),
            _ => empty(name, merged),
        },
        "DISK" => match merged.values.get(name) {
            Some(Value::Words(list)) if !list.is_empty() => virtuozzo::disks(list).map_or_else(
                || say(Ignored, "the root disk alone, which is the container's tree"),
                |extra| say(Blocked, format!("their data is not in the container's tree: {extra}")),
            ),
            _ => empty(name, merged),
        },
        "BINDMOUNT" => match merged.values.get(name) {
            Some(Value::Words(list)) if !list.is_empty() => say(Blocked, virtuozzo::bind_mounts(list)),
            _ => empty(name, merged),
        },
        _ if seen.text.trim().is_empty() => empty(name, merged),
        _ => None,
    }
}

/// One that is done only when the operator asks for it by name.
fn approximation(name: &str, place: &'static str, how: &'static str, merged: &Merged<'_>) -> Option<Departure> {
    if name == "NETDEV" {
        return match (merged.values.get(name), merged.net_devices()) {
            (_, Some(list)) if !list.is_empty() => {
                let both = merged.net_devices_twice();
                let left = format!("{how}; left out: {} (an interface of NETIF has the name)", listed(&both));
                into(Approximated, place, if both.is_empty() { how } else { &left })
            }
            (Some(Value::Words(list)), Some(_)) if !list.is_empty() => {
                say(Ignored, "interfaces of NETIF have these names in the container")
            }
            (Some(Value::Words(list)), None) if !list.is_empty() => None,
            _ => empty(name, merged),
        };
    }
    let asked = if merged.asked(name) { format!(", so that --approximate {name} does nothing") } else { String::new() };
    match merged.amount(name) {
        Limit::Unlimited | Limit::Unset => say(Ignored, format!("no limit: there is nothing to carry over{asked}")),
        Limit::Zero => say(Ignored, format!("zero: there is nothing to carry over{asked}")),
        Limit::Value(_) if !merged.asked(name) => None,
        Limit::Value(_) if name == "PRIVVMPAGES" && merged.is_vswap() => {
            say(Ignored, format!("PHYSPAGES limits memory{asked}"))
        }
        Limit::Value(_) => into(Approximated, place, how),
    }
}

fn limit(name: &str, merged: &Merged<'_>) -> Option<Departure> {
    let ploop = merged.layout == Some("ploop");
    match (name, merged.limit(name)) {
        ("DISKINODES", _) if ploop => say(Ignored, "without effect for ploop, on the source as well"),
        ("SWAPPAGES", _) if !merged.is_vswap() => {
            say(Ignored, "without a real limit in PHYSPAGES it only changes what free shows")
        }
        ("SWAPPAGES", Limit::Zero) if merged.has_no_swap() => into(
            Converted,
            "swap limit (lxc.cgroup2.memory.swap.max, lxc.cgroup.memory.memsw.limit_in_bytes)",
            "zero: the container has no swap",
        ),
        (_, Limit::Zero) => say(Ignored, ZERO),
        (_, Limit::Unlimited | Limit::Unset) => say(Converted, NO_LIMIT),
        ("DISKSPACE", Limit::Value(_)) if ploop => {
            say(Approximated, "the size of a ploop image is in its descriptor; this is what the volume gets")
        }
        (_, Limit::Value(_)) => None,
    }
}

fn cpu(name: &str, merged: &Merged<'_>) -> Option<Departure> {
    let (quota, cpus) = (merged.cpu_quota(), merged.limits().cpus.map(|n| n.saturating_mul(100)));
    match name {
        "CPULIMIT" if quota.zip(cpus).is_some_and(|(quota, cpus)| cpus < quota) => {
            say(Ignored, "the smaller of CPULIMIT and CPUS counts: CPUS does")
        }
        "CPUS" if quota.zip(cpus).is_some_and(|(quota, cpus)| quota < cpus) => {
            say(Ignored, "the smaller of CPULIMIT and CPUS counts: CPULIMIT does")
        }
        "CPULIMIT" => match (merged.values.get(name), merged.cpu_quota()) {
            (_, Some(_)) => None,
            (Some(Value::CpuLimit(CpuLimit::OfNode(n))), None) if *n > 0 => {
                say(Ignored, "percent of all CPUs of the source, whose number is not known (--source-cpus)")
            }
            _ => say(Converted, NO_LIMIT),
        },
        "CPUS" if whole(merged.values, name).is_none_or(|n| n == 0 || number::is_unlimited(n)) => {
            say(Converted, NO_LIMIT)
        }
        "CPUUWEIGHT" if whole(merged.values, "CPUUNITS").is_some() => say(Ignored, "CPUUNITS decides"),
        "CPUUWEIGHT" if whole(merged.values, name) == Some(0) => say(Ignored, "zero: nothing to carry over"),
        "CPUMASK" => match text(merged.values, name).as_deref() {
            Some("all") | None => say(Converted, "all CPUs: nothing is written"),
            Some("auto") => {
                say(Ignored, "the CPUs of the nodes in NODEMASK; the kernel keeps the container near its memory anyway")
            }
            Some(_) => None,
        },
        "NODEMASK" => match text(merged.values, name).as_deref() {
            Some("all" | "auto") | None => say(Converted, "all NUMA nodes: nothing is written"),
            Some(_) => None,
        },
        _ => None,
    }
}

/// vzctl looks at the first word only.
fn inherits(name: &str, merged: &Merged<'_>) -> bool {
    matches!(merged.values.get(name), Some(Value::Words(list)) if list.first().is_some_and(|word| word == "inherit"))
}

fn empty(name: &str, merged: &Merged<'_>) -> Option<Departure> {
    let inherited = matches!(merged.values.get(name), Some(Value::Addresses(list)) if !list.is_empty())
        || matches!(merged.values.get(name), Some(Value::Words(list)) if !list.is_empty());
    say(Ignored, if inherited { "empty: the list of vz.conf stands" } else { "empty: nothing to carry over" })
}

/// How many things an answer lists.
const MOST_LISTED: usize = 20;

/// Lists some of many.
pub(super) fn listed(all: &[String]) -> String {
    let mut out = all[..all.len().min(MOST_LISTED)].join(", ");
    if all.len() > MOST_LISTED {
        out.push_str(&format!(" and {} more", all.len() - MOST_LISTED));
    }
    out
}

fn interfaces(merged: &Merged<'_>) -> Option<Departure> {
    let Some(Value::Interfaces(all)) = merged.values.get("NETIF") else { return None };
    if all.list.is_empty() {
        return say(Ignored, "empty: nothing to carry over");
    }
    let mut lost = Vec::new();
    if !all.lost.is_empty() {
        let keys: Vec<String> = all.lost.iter().map(|l| format!("{}={} of {}", l.key, l.value, l.ifname)).collect();
        lost.push(format!("left behind: {}", listed(&keys)));
        if all.lost.iter().any(|l| matches!(l.key.as_str(), "ip" | "gw" | "gw6")) {
            lost.push("addresses and gateways stand in the guest's own files as well, and stay there".into());
        }
    }
    let without: Vec<String> = all
        .list
        .iter()
        .filter(|i| i.mac.is_none() && !all.remade.contains(&i.ifname))
        .map(|i| shown(i.ifname.as_bytes()))
        .collect();
    if !without.is_empty() {
        lost.push(format!("{} has no MAC address here (the node derives one) and gets a new one", listed(&without)));
    }
    if lost.is_empty() { None } else { say(Approximated, lost.join("; ")) }
}

/// LXC cannot have every name that vzctl can.
fn name_of_target(name: &str) -> Option<Departure> {
    match names::target_name(name) {
        Some(target) if target.strip_prefix("lxc-") == Some(name.strip_prefix("lxc-").unwrap_or(name)) => None,
        Some(target) => say(
            Approximated,
            format!("rewritten or cut for LXC: the target is called {target}, unless --name says otherwise"),
        ),
        None => say(Ignored, "nothing of it can be the name of an LXC container: the target is called after the CTID"),
    }
}

/// Rules that give no access are not carried over.
fn devices(name: &str, merged: &Merged<'_>) -> Option<Departure> {
    let Some(Value::Devices(rules)) = merged.values.get(name) else { return None };
    if rules.is_empty() {
        return empty(name, merged);
    }
    let without: Vec<String> = rules.iter().filter(|rule| rule.access.is_empty()).map(device).collect();
    if without.is_empty() {
        return None;
    }
    let why = format!("{} takes the device away or gives no access, for which nothing is written", listed(&without));
    if without.len() == rules.len() {
        return say(Ignored, why);
    }
    let how = if name == "DEVICES" { "access by device number" } else { "the numbers are those of the source's /dev" };
    say(if effective_devices(rules).is_empty() { Ignored } else { Approximated }, format!("{how}; {why}"))
}

fn device(rule: &DeviceRule) -> String {
    let number = |n: Option<u32>| n.map_or("all".to_owned(), |n| n.to_string());
    match &rule.path {
        Some(path) => format!("/dev/{}", shown(path.as_bytes())),
        None => format!("{}:{}:{}", rule.kind, number(rule.major), number(rule.minor)),
    }
}

fn capabilities(merged: &Merged<'_>) -> Option<Departure> {
    let Some(Value::Mask(mask)) = merged.values.get("CAPABILITY") else { return None };
    if mask.on.is_empty() && mask.other.is_empty() {
        return say(Ignored, "empty: nothing to carry over");
    }
    let of_openvz = |name: &&String| OPENVZ_CAPABILITIES.contains(&name.as_str());
    let lost: Vec<String> = mask.on.union(&mask.other).filter(of_openvz).cloned().collect();
    let refused: Vec<String> = mask.on.difference(&mask.other).filter(|n| lxc::is_host_only(n)).cloned().collect();
    let mut said = Vec::new();
    let both: Vec<String> = mask.on.intersection(&mask.other).cloned().collect();
    if !both.is_empty() {
        said.push(format!("{} is on and off: off wins, as in the OpenVZ kernel", both.join(", ")));
    }
    if !lost.is_empty() {
        said.push(format!("{} exists in the OpenVZ kernel only", lost.join(", ")));
    }
    if !refused.is_empty() {
        said.push(format!("{} would act on the host under LXC: the container does not get it", refused.join(", ")));
    }
    let nothing = mask.on.union(&mask.other).all(|name| lost.contains(name) || refused.contains(name));
    let outcome = if nothing { Ignored } else { Approximated };
    if said.is_empty() { None } else { say(outcome, said.join("; ")) }
}
