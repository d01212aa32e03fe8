//! What became of each key: the table's fate, unless its value says otherwise.

use super::grammar::shown;
use super::number::{self, CpuLimit};
use super::parse::{Limit, flag, number as whole};
use super::reading::{MOST_FINDINGS, Seen, Value, Values, text};
use super::values::{OPENVZ_CAPABILITIES, is_host_name};
use crate::model::finding::{Finding, Severity};
use crate::model::ve::{KeyAnswer, Outcome};

/// Everything that decides over a key beside its own value.
pub(super) struct Merged<'a> {
    pub(super) values: &'a Values,
    pub(super) layout: Option<&'a str>,
    pub(super) node_cpus: Option<u32>,
}

/// An answer that departs from the table's: outcome, why. Its `into` is empty unless the outcome is the table's kind.
type Departure = Option<(Outcome, String)>;

const NO_LIMIT: &str = "no limit: nothing is written, and that is no limit on the target either";

/// Answers one key.
pub(super) fn answer(seen: &Seen, merged: &Merged<'_>) -> KeyAnswer {
    let answer = |outcome, into: &str, why: &str| KeyAnswer {
        key: seen.key.clone(),
        value: seen.text.clone(),
        outcome,
        into: into.to_owned(),
        why: why.to_owned(),
    };
    let Some(param) = seen.param else {
        return answer(Outcome::Ignored, "", "vzctl does not know this name");
    };
    if let Some(why) = &seen.refused {
        return answer(Outcome::Ignored, "", &format!("vzctl leaves it unset: {why}"));
    }
    match departure(param.name, seen, merged) {
        Some((outcome @ Outcome::Approximated, why)) => answer(outcome, param.fate.into, &why),
        Some((outcome, why)) => answer(outcome, "", &why),
        None => answer(param.fate.outcome, param.fate.into, param.fate.why),
    }
}

fn departure(name: &str, seen: &Seen, merged: &Merged<'_>) -> Departure {
    use Outcome::{Approximated, Converted, Ignored};
    let say = |outcome, why: &str| Some((outcome, why.to_owned()));
    match name {
        "DISKINODES" if merged.layout == Some("ploop") => say(Ignored, "vzctl ignores it for ploop"),
        "SWAPPAGES" if !merged.is_vswap() => {
            say(Ignored, "without a real limit in PHYSPAGES it only changes what free shows")
        }
        "PHYSPAGES" | "SWAPPAGES" | "NUMPROC" | "DISKSPACE" | "DISKINODES" => match merged.limit(name) {
            Limit::Zero => say(Ignored, "a limit of zero is not written: nothing could run under it"),
            Limit::Unlimited | Limit::Unset => say(Converted, NO_LIMIT),
            Limit::Value(_) if name == "DISKSPACE" && merged.layout == Some("ploop") => {
                say(Approximated, "the size of a ploop image is in its descriptor; this is what the volume gets")
            }
            Limit::Value(_) => None,
        },
        "CPULIMIT" => match (merged.values.get(name), merged.cpu_quota()) {
            (_, Some(_)) => None,
            (Some(Value::CpuLimit(CpuLimit::OfNode(n))), None) if *n > 0 => {
                say(Ignored, "percent of all CPUs of the source, whose number is not known")
            }
            _ => say(Converted, NO_LIMIT),
        },
        "CPUS" | "IOLIMIT" | "IOPSLIMIT" => {
            let none = whole(merged.values, name).is_none_or(|n| n == 0 || number::is_unlimited(n));
            if none { say(Converted, NO_LIMIT) } else { None }
        }
        "IOPRIO" if whole(merged.values, name) == Some(4) => say(Converted, "the default: nothing is written"),
        "CPUMASK" => match text(merged.values, name).as_deref() {
            Some("all") | None => say(Converted, "all CPUs: nothing is written"),
            Some("auto") => say(Ignored, "the CPUs of NODEMASK, which belong to the source"),
            Some(_) => None,
        },
        "QUOTAUGIDLIMIT" if whole(merged.values, name) == Some(0) => say(Ignored, "zero: these quotas are off"),
        "DISABLED" if flag(merged.values, name) == Some(false) => say(Converted, "no: the container may start"),
        "HOSTNAME" if !text(merged.values, name).is_some_and(|name| is_host_name(&name)) => {
            say(Ignored, "it cannot be a host name; the one in the guest's own files stays")
        }
        "NETIF" => interfaces(merged),
        "CAPABILITY" => capabilities(merged),
        _ if seen.text.trim().is_empty() => empty(name, merged),
        _ => None,
    }
}

fn empty(name: &str, merged: &Merged<'_>) -> Departure {
    let inherited = matches!(merged.values.get(name), Some(Value::Addresses(list)) if !list.is_empty())
        || matches!(merged.values.get(name), Some(Value::Words(list)) if !list.is_empty());
    let why = if inherited { "empty: the list of vz.conf stands" } else { "empty: nothing to carry over" };
    Some((Outcome::Ignored, why.to_owned()))
}

fn interfaces(merged: &Merged<'_>) -> Departure {
    let Some(Value::Interfaces(all)) = merged.values.get("NETIF") else { return None };
    if all.list.is_empty() {
        return Some((Outcome::Ignored, "empty: nothing to carry over".to_owned()));
    }
    let mut lost = Vec::new();
    if !all.lost.is_empty() {
        let names: Vec<&str> = all.lost.iter().map(String::as_str).collect();
        lost.push(format!("left behind: {}", names.join(", ")));
    }
    for interface in all.list.iter().filter(|i| i.mac.is_none()) {
        lost.push(format!("{} has no MAC address here (vzctl derives one on its node)", interface.ifname));
    }
    if lost.is_empty() { None } else { Some((Outcome::Approximated, lost.join("; "))) }
}

fn capabilities(merged: &Merged<'_>) -> Departure {
    let Some(Value::Mask(mask)) = merged.values.get("CAPABILITY") else { return None };
    let of_openvz = |name: &&String| OPENVZ_CAPABILITIES.contains(&name.as_str());
    let lost: Vec<&str> = mask.on.union(&mask.other).filter(of_openvz).map(String::as_str).collect();
    if lost.is_empty() {
        return None;
    }
    Some((Outcome::Approximated, format!("{} exists in the OpenVZ kernel only", lost.join(", "))))
}

/// Reports what the operator should know about keys of the container's own file and about the limits in force.
pub(super) fn report(seen: &[Seen], merged: &Merged<'_>, label: &str, findings: &mut Vec<Finding>) {
    let mut unknown = 0usize;
    for one in seen {
        let Some(param) = one.param else {
            unknown += 1;
            if unknown > MOST_FINDINGS {
                continue;
            }
            findings.push(
                about(
                    Severity::Info,
                    "ve-unknown-key",
                    &one.key,
                    format!("vzctl does not know {}", shown(one.key.as_bytes())),
                )
                .detail(format!("line {} of {label}; vzctl ignores it", one.line))
                .remedy("check its spelling if it was meant to do something"),
            );
            continue;
        };
        let answer = answer(one, merged);
        if answer.outcome == Outcome::Blocked {
            let id = format!("ve-{}", param.name.to_ascii_lowercase().replace('_', "-"));
            findings.push(
                about(Severity::Overridable, &id, &one.key, format!("{} has no equivalent under LXC", one.key))
                    .detail(answer.why)
                    .remedy(format!("arrange for it on the target, then go on with --accept {id}")),
            );
        }
        if param.name == "HOSTNAME" && answer.outcome == Outcome::Ignored && one.refused.is_none() {
            let title = format!("\"{}\" cannot be a host name", shown(one.text.as_bytes()));
            findings.push(
                about(Severity::Warning, "ve-hostname-unusable", &one.key, title)
                    .remedy("set HOSTNAME on the source; the name in the guest's own files stays otherwise"),
            );
        }
        if matches!(param.name, "LOCAL_UID" | "LOCAL_GID") && whole(merged.values, param.name).is_some_and(|n| n > 0) {
            let title = format!("{} says that the container ran in a user name space", one.key);
            findings.push(
                about(Severity::Warning, "ve-user-namespace", &one.key, title)
                    .detail("the owners of its files may be shifted by that number")
                    .remedy("look at the owner of the private area; lxc.idmap would keep shifted owners"),
            );
        }
    }
    if unknown > MOST_FINDINGS {
        let title = format!("{} more names in {label} that vzctl does not know", unknown - MOST_FINDINGS);
        findings.push(Finding::info("ve-unknown-key", title).detail("the answers to the keys list them all"));
    }
    limits(merged, findings);
}

/// Makes a finding about a key.
fn about(severity: Severity, id: &str, key: &str, title: String) -> Finding {
    Finding::new(severity, id, title).subject(shown(key.as_bytes()))
}

fn limits(merged: &Merged<'_>, findings: &mut Vec<Finding>) {
    for name in ["PHYSPAGES", "SWAPPAGES", "NUMPROC", "DISKSPACE", "DISKINODES"] {
        let counts = name != "SWAPPAGES" || merged.is_vswap();
        if counts && merged.limit(name) == Limit::Zero {
            findings.push(
                about(Severity::Warning, "ve-zero-limit", name, format!("{name} is zero or empty"))
                    .detail("it is not turned into a limit: nothing could run, or be stored, under a limit of zero")
                    .remedy(format!("set {name} on the source, or the limit on the target")),
            );
        }
    }
    let unlimited = !merged.is_vswap();
    if unlimited && let Limit::Value(pages) = merged.limit("PRIVVMPAGES") {
        let size = crate::model::size::Bytes(pages.saturating_mul(crate::model::size::PAGE));
        findings.push(
            about(Severity::Warning, "ve-memory-unlimited", "PRIVVMPAGES", "no memory limit carries over".into())
                .detail(format!(
                    "memory was limited by address space only (PRIVVMPAGES, {size}); PHYSPAGES has no limit"
                ))
                .remedy("set a memory limit on the target"),
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
