//! What became of each key: the table's fate, unless its value says otherwise.

use super::departure::{Departure, departure, listed};
use super::grammar::shown;
use super::merged::{Limit, Merged, number as whole};
use super::number::CpuLimit;
use super::params::Param;
use super::reading::{MOST_FINDINGS, Seen, Value};
use crate::model::finding::{Finding, Severity};
use crate::model::size::Bytes;
use crate::model::ve::{KeyAnswer, Outcome};

/// Answers one key. `origin` is empty for one of the container's own file.
pub(super) fn answer(seen: &Seen, merged: &Merged<'_>, origin: &str) -> KeyAnswer {
    let (outcome, into, why) = judged(seen, merged);
    KeyAnswer {
        key: seen.key.clone(),
        value: seen.text.clone(),
        outcome,
        into: into.to_owned(),
        why,
        origin: origin.to_owned(),
        known: seen.param.is_some(),
    }
}

fn judged(seen: &Seen, merged: &Merged<'_>) -> (Outcome, &'static str, String) {
    let reader = merged.dialect.reader();
    let Some(param) = seen.param else {
        return (Outcome::Ignored, "", format!("{reader} does not know this name"));
    };
    if let Some(why) = &seen.refused {
        return (Outcome::Ignored, "", format!("{reader} leaves it unset: {why}"));
    }
    let left = format!("left out: {}", listed(&seen.left));
    if !seen.left.is_empty() && merged.values.get(param.name).is_some_and(Value::is_empty_list) {
        return (Outcome::Ignored, "", left);
    }
    let (outcome, into, why) = match departure(param.name, seen, merged) {
        Some(Departure { outcome, into, why }) => {
            let place = if outcome == Outcome::Approximated { param.fate.into } else { "" };
            (outcome, into.unwrap_or(place), why)
        }
        None => (param.fate.outcome, param.fate.into, param.fate.why.to_owned()),
    };
    match outcome {
        _ if seen.left.is_empty() => (outcome, into, why),
        Outcome::Converted => (Outcome::Approximated, into, format!("{why}; {left}")),
        _ => (outcome, into, format!("{why}; {left}")),
    }
}

/// Reports what the operator should know about keys of the container's own file, about those that are in force from the
/// global one, and about the limits that both give.
pub(super) fn report(
    seen: &[Seen],
    inherited: &[&Seen],
    merged: &Merged<'_>,
    label: &str,
    findings: &mut Vec<Finding>,
) {
    let mut unknown = 0usize;
    for one in seen {
        match one.param {
            Some(param) => key(param, one, "", merged, findings),
            None if unknown < MOST_FINDINGS => {
                unknown += 1;
                findings.push(unknown_key(one, merged, label));
            }
            None => unknown += 1,
        }
    }
    for one in inherited {
        one.param.into_iter().for_each(|param| key(param, one, " in vz.conf", merged, findings));
    }
    if unknown > MOST_FINDINGS {
        let reader = merged.dialect.reader();
        let title = format!("{} more names in {label} that {reader} does not know", unknown - MOST_FINDINGS);
        findings.push(Finding::info("ve-unknown-key", title).detail("the answers to the keys list them all"));
    }
    limits(merged, findings);
}

fn unknown_key(one: &Seen, merged: &Merged<'_>, label: &str) -> Finding {
    let (reader, name) = (merged.dialect.reader(), shown(one.key.as_bytes()));
    about(Severity::Info, "ve-unknown-key", &one.key, format!("{reader} does not know {name}"))
        .detail(format!("line {}, column {} of {label}; it is ignored", one.line, one.column))
        .remedy("check its spelling if it was meant to do something")
}

/// Reports what is to be known about one parameter; `file` says where it stands, when that is not the container's own.
fn key(param: &Param, one: &Seen, file: &str, merged: &Merged<'_>, findings: &mut Vec<Finding>) {
    let (outcome, _, why) = judged(one, merged);
    if outcome == Outcome::Blocked {
        let id = format!("ve-{}", param.name.to_ascii_lowercase().replace('_', "-"));
        let remedy = remedy(param.name, one, merged);
        findings.push(
            about(Severity::Overridable, &id, &one.key, format!("{}{file} has no equivalent under LXC", one.key))
                .detail(why)
                .remedy(format!("{remedy}, then go on with --accept {id}")),
        );
    }
    findings.extend(one.findings.iter().cloned());
    if param.name == "NETIF" {
        addresses(&one.key, merged, findings);
    }
    if param.name == "NETDEV" && merged.asked("NETDEV") {
        twice(one, merged, findings);
    }
    if matches!(param.name, "LOCAL_UID" | "LOCAL_GID") && whole(merged.values, param.name).is_some_and(|n| n > 0) {
        let title = format!("{}{file} says that the container ran in a user name space", one.key);
        findings.push(
            about(Severity::Warning, "ve-user-namespace", &one.key, title)
                .detail("the owners of its files may be shifted by that number")
                .remedy("look at the owner of the private area; lxc.idmap would keep shifted owners"),
        );
    }
}

/// Devices of NETDEV whose name an interface of NETIF has already.
fn twice(one: &Seen, merged: &Merged<'_>, findings: &mut Vec<Finding>) {
    let both = merged.net_devices_twice();
    if both.is_empty() {
        return;
    }
    findings.push(
        about(Severity::Warning, "ve-value-left-out", &one.key, format!("NETDEV: {} is left out", listed(&both)))
            .detail("an interface of NETIF has the name in the container")
            .remedy("rename one of the two on the source"),
    );
}

/// What to do about a key that blocks.
fn remedy(name: &str, seen: &Seen, merged: &Merged<'_>) -> String {
    let ctid = merged.ctid;
    match name {
        "QUOTAUGIDLIMIT" => format!(
            "write the quotas down on the source (vzdqdump {ctid} -U -G -T -F), make the volume with quotas (tune2fs -O quota, \
             lxc.rootfs.options = usrquota,grpquota), set them again with setquota in the container"
        ),
        "NETDEV" => format!(
            "take care that the target has {}, and say --approximate NETDEV; or set lxc.net.N.type = phys for another device \
             yourself",
            shown(seen.text.trim().as_bytes())
        ),
        "PCI" => {
            "give the container the driver's device nodes on the target (lxc.mount.entry, devices.allow)".to_owned()
        }
        "DISK" => "copy the data into the container, or to a volume that lxc.mount.entry mounts".to_owned(),
        "BINDMOUNT" => {
            "copy the directories to the target, put these lines into the container's configuration".to_owned()
        }
        _ => "arrange for it on the target".to_owned(),
    }
}

/// Virtuozzo's NETIF holds addresses, which vzctl has written into the guest's own files.
fn addresses(key: &str, merged: &Merged<'_>, findings: &mut Vec<Finding>) {
    let Some(Value::Interfaces(all)) = merged.values.get("NETIF") else { return };
    let of = |name: &str| {
        let keys = all.lost.iter().filter(|l| l.ifname == name && matches!(l.key.as_str(), "ip" | "gw" | "gw6"));
        keys.map(|l| format!("{}={}", l.key, l.value)).collect::<Vec<_>>()
    };
    for interface in all.list.iter().take(MOST_FINDINGS) {
        let keys = of(&interface.ifname);
        if keys.is_empty() {
            continue;
        }
        let name = shown(interface.ifname.as_bytes());
        findings.push(
            about(Severity::Warning, "ve-netif-addresses", key, format!("NETIF gives {name} addresses"))
                .detail(format!("{}: they are not taken from here", listed(&keys)))
                .remedy("compare them with the guest's own network files, which move as they are"),
        );
    }
}

/// Makes a finding about a key.
fn about(severity: Severity, id: &str, key: &str, title: String) -> Finding {
    Finding::new(severity, id, title).subject(shown(key.as_bytes()))
}

fn limits(merged: &Merged<'_>, findings: &mut Vec<Finding>) {
    for name in ["PHYSPAGES", "SWAPPAGES", "NUMPROC", "NUMPTY", "DISKSPACE", "DISKINODES"] {
        let counts = name != "SWAPPAGES" || (merged.is_vswap() && !merged.has_no_swap());
        if counts && merged.limit(name) == Limit::Zero {
            findings.push(
                about(Severity::Warning, "ve-zero-limit", name, format!("{name} is zero or empty"))
                    .detail("it is not turned into a limit: nothing could run, or be stored, under a limit of zero")
                    .remedy(format!("set {name} on the source, or the limit on the target")),
            );
        }
    }
    if merged.has_no_swap() {
        findings.push(
            about(Severity::Info, "ve-no-swap", "SWAPPAGES", "the container has no swap".into())
                .detail("SWAPPAGES is zero, which is a limit like any other for swap: memory alone counts on the target too")
                .remedy("give it a number on the source if swap was meant to be without a limit"),
        );
    }
    if let (false, false, Limit::Value(bytes)) =
        (merged.is_vswap(), merged.asked("PRIVVMPAGES"), merged.limit("PRIVVMPAGES"))
    {
        let size = Bytes(bytes);
        findings.push(
            about(Severity::Warning, "ve-memory-unlimited", "PRIVVMPAGES", "no memory limit carries over".into())
                .detail(format!(
                    "memory was limited by address space only (PRIVVMPAGES, {size}); PHYSPAGES has no limit"
                ))
                .remedy("set a memory limit on the target, or take that one: --approximate PRIVVMPAGES"),
        );
    }
    let percent = matches!(merged.values.get("CPULIMIT"), Some(Value::CpuLimit(CpuLimit::OfNode(n))) if *n > 0);
    if percent && merged.node_cpus.is_none() {
        findings.push(
            about(Severity::Warning, "ve-cpulimit-percent", "CPULIMIT", "CPULIMIT cannot be computed".into())
                .detail("it is a percentage of all CPUs of the source, whose number is not known")
                .remedy("say how many CPUs the source has: --source-cpus N"),
        );
    }
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;
