//! Two files become one [`VeConfig`]: the global one and the container's own, merged by vzctl's rules (vzctl 4.11
//! src/vzctl.c:280-360, src/lib/config.c:3173-3245), every key of the container's file answered.

use super::answer::{self, Merged};
use super::grammar::{Dialect, shown};
use super::number::{self, CpuLimit};
use super::reading::{self, Reading, Value, Values, text};
use super::values::{Mask, OPENVZ_CAPABILITIES, effective_devices, is_host_name};
use crate::model::ctid::Ctid;
use crate::model::finding::Severity;
use crate::model::limits::Limits;
use crate::model::size::{KIB, PAGE};
use crate::model::ve::{Capabilities, DeviceRule, Resolver, VeConfig};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// What the parser cannot know from the files.
#[derive(Debug, Clone, Default)]
pub struct ParseContext {
    /// CPUs of the source node, for `CPULIMIT=N%`.
    pub node_cpus: Option<u32>,
    /// The container's configuration file, for findings.
    pub file: PathBuf,
    /// Parameters whose approximation the operator asked for ([`crate::model::limits::APPROXIMATIONS`]).
    pub approximate: Vec<String>,
}

/// Parses a container's own configuration over the node's global one.
///
/// Never fails for what the files hold: what vzctl would reject, what bash reads otherwise and what has no equivalent
/// becomes a finding, and every key of the container's own file an answer.
pub fn parse(ctid: &Ctid, global: Option<&[u8]>, own: &[u8], context: &ParseContext) -> VeConfig {
    let dialect = dialect(ctid);
    let label = shown(context.file.as_os_str().as_bytes());
    let label = if label.is_empty() { format!("{ctid}.conf") } else { label };
    let global = reading::read(global.unwrap_or_default(), "vz.conf", Severity::Info, dialect);
    let own = reading::read(own, &label, Severity::Warning, dialect);
    let layout = text(&own.values, "VE_LAYOUT").map(|l| l.split(':').next().unwrap_or_default().to_owned());
    let values = merge(global.values, own.values);

    let mut findings = own.findings;
    findings.extend(global.findings);
    let merged = Merged { values: &values, layout: layout.as_deref(), node_cpus: context.node_cpus };
    let keys = own.seen.iter().map(|seen| answer::answer(seen, &merged)).collect();
    answer::report(&own.seen, &merged, &label, &mut findings);

    let Mask { on, other: off } = mask(&values, "CAPABILITY");
    let of_linux = |name: &&String| !OPENVZ_CAPABILITIES.contains(&name.as_str());
    VeConfig {
        limits: limits(&merged),
        venet: if let Some(Value::Addresses(list)) = values.get("IP_ADDRESS") { list.clone() } else { Vec::new() },
        veth: if let Some(Value::Interfaces(all)) = values.get("NETIF") { all.list.clone() } else { Vec::new() },
        hostname: text(&values, "HOSTNAME").filter(|name| is_host_name(name)),
        nameservers: resolver(&values, "NAMESERVER"),
        searchdomains: resolver(&values, "SEARCHDOMAIN"),
        onboot: flag(&values, "ONBOOT"),
        bootorder: number(&values, "BOOTORDER"),
        disabled: flag(&values, "DISABLED").unwrap_or(false),
        stop_timeout: number(&values, "STOP_TIMEOUT"),
        name: text(&values, "NAME"),
        description: text(&values, "DESCRIPTION"),
        ostemplate: text(&values, "OSTEMPLATE"),
        root: path(&values, "VE_ROOT", ctid),
        private: path(&values, "VE_PRIVATE", ctid),
        layout,
        // Off wins in the kernel: its mask is (default | on) & ~off (vzctl src/lib/cap.c:289).
        capabilities: Capabilities {
            on: on.difference(&off).filter(of_linux).cloned().collect(),
            off: off.iter().filter(of_linux).cloned().collect(),
        },
        features: features(&mask(&values, "FEATURES")),
        devices: devices(&values),
        net_devices: Vec::new(),
        quota_ugid_limit: number(&values, "QUOTAUGIDLIMIT"),
        keys,
        findings,
    }
}

/// A UUID is a container of Virtuozzo, whose parser is another one.
fn dialect(ctid: &Ctid) -> Dialect {
    if ctid.number().is_some() { Dialect::Vzctl } else { Dialect::Virtuozzo }
}

/// Reads one text parameter of a single file, `$VEID` replaced, nothing merged.
pub(super) fn global_path(global: &[u8], name: &str, ctid: &Ctid) -> Option<PathBuf> {
    path(&reading::read(global, "vz.conf", Severity::Info, dialect(ctid)).values, name, ctid)
}

/// Reads ONBOOT and DISABLED of the container's own file, nothing merged.
pub(super) fn own_flags(own: &[u8], ctid: &Ctid) -> (Option<bool>, Option<bool>) {
    let Reading { values, .. } = reading::read(own, "", Severity::Info, dialect(ctid));
    (flag(&values, "ONBOOT"), flag(&values, "DISABLED"))
}

fn merge(global: Values, own: Values) -> Values {
    let mut out = own;
    for (name, theirs) in global {
        // The layout of an existing container is its own, and NETFILTER in vz.conf is dropped (vzctl.c:346, 137).
        if matches!(name, "VE_LAYOUT" | "NETFILTER") {
            continue;
        }
        match out.get_mut(name) {
            None => drop(out.insert(name, theirs)),
            Some(Value::Mask(mine)) => {
                if let Value::Mask(theirs) = theirs {
                    if mine.on.is_empty() {
                        mine.on = theirs.on;
                    }
                    if mine.other.is_empty() {
                        mine.other = theirs.other;
                    }
                }
            }
            // A list replaces the global one as a whole, but an empty one does not.
            Some(mine) if is_empty_list(mine) => *mine = theirs,
            Some(_) => {}
        }
    }
    out
}

fn is_empty_list(value: &Value) -> bool {
    match value {
        Value::Words(list) => list.is_empty(),
        Value::Addresses(list) => list.is_empty(),
        Value::Devices(list) => list.is_empty(),
        Value::Interfaces(all) => all.list.is_empty(),
        _ => false,
    }
}

fn limits(merged: &Merged<'_>) -> Limits {
    let values = merged.values;
    let memory = merged.limit("PHYSPAGES").value().and_then(|n| n.checked_mul(PAGE));
    let swap = if merged.is_vswap() { merged.limit("SWAPPAGES").value() } else { None };
    let positive = |name| number(values, name).filter(|n| *n > 0 && !number::is_unlimited(*n));
    let ploop = merged.layout == Some("ploop");
    Limits {
        memory_bytes: memory,
        swap_bytes: swap.and_then(|n| n.checked_mul(PAGE)),
        pids: merged.limit("NUMPROC").value(),
        cpu_quota_percent: merged.cpu_quota(),
        cpu_units: number(values, "CPUUNITS"),
        cpus: positive("CPUS"),
        node_mask: None,
        ptys: None,
        memory_low_bytes: None,
        memlock_bytes: None,
        shared_memory_pages: None,
        open_files: None,
        cpu_mask: text(values, "CPUMASK").filter(|mask| mask != "all" && mask != "auto"),
        io_priority: number(values, "IOPRIO"),
        io_bytes_per_second: positive("IOLIMIT"),
        iops: positive("IOPSLIMIT"),
        disk_bytes: merged.limit("DISKSPACE").value().and_then(|n| n.checked_mul(KIB)),
        disk_inodes: if ploop { None } else { merged.limit("DISKINODES").value() },
    }
}

/// What a limit of the configuration is for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Unset,
    Unlimited,
    Zero,
    Value(u64),
}

impl Limit {
    fn value(self) -> Option<u64> {
        if let Limit::Value(n) = self { Some(n) } else { None }
    }
}

impl Merged<'_> {
    /// Returns the limit (the second number) of a pair.
    pub(super) fn limit(&self, name: &str) -> Limit {
        match self.values.get(name) {
            Some(Value::Pair(_, 0)) => Limit::Zero,
            Some(Value::Pair(_, limit)) if number::is_unlimited(*limit) => Limit::Unlimited,
            Some(Value::Pair(_, limit)) => Limit::Value(*limit),
            _ => Limit::Unset,
        }
    }

    /// Whether PHYSPAGES limits memory, which is what makes SWAPPAGES a limit on swap.
    pub(super) fn is_vswap(&self) -> bool {
        matches!(self.limit("PHYSPAGES"), Limit::Value(_))
    }

    /// Returns CPULIMIT in percent of one CPU.
    pub(super) fn cpu_quota(&self) -> Option<u64> {
        let percent = match self.values.get("CPULIMIT") {
            Some(Value::CpuLimit(CpuLimit::OfOne(n))) => *n,
            Some(Value::CpuLimit(CpuLimit::OfNode(n))) => n.checked_mul(u64::from(self.node_cpus?))?,
            _ => return None,
        };
        Some(percent).filter(|n| *n > 0 && !number::is_unlimited(*n))
    }
}

pub(super) fn number(values: &Values, name: &str) -> Option<u64> {
    if let Some(Value::Number(n)) = values.get(name) { Some(*n) } else { None }
}

pub(super) fn flag(values: &Values, name: &str) -> Option<bool> {
    if let Some(Value::Flag(on)) = values.get(name) { Some(*on) } else { None }
}

fn mask(values: &Values, name: &str) -> Mask {
    if let Some(Value::Mask(mask)) = values.get(name) { mask.clone() } else { Mask::default() }
}

fn features(mask: &Mask) -> BTreeMap<String, bool> {
    mask.other.union(&mask.on).map(|name| (name.clone(), mask.on.contains(name))).collect()
}

fn devices(values: &Values) -> Vec<DeviceRule> {
    let mut out = Vec::new();
    for name in ["DEVICES", "DEVNODES"] {
        if let Some(Value::Devices(rules)) = values.get(name) {
            out.extend(effective_devices(rules));
        }
    }
    out
}

/// vzctl looks at the first word only (src/lib/vps_configure.c:236-250).
fn resolver(values: &Values, name: &str) -> Resolver {
    match values.get(name) {
        Some(Value::Words(list)) => match list.first().map(String::as_str) {
            None => Resolver::Unset,
            Some("inherit") => Resolver::Inherit,
            Some(_) => Resolver::List(list.clone()),
        },
        _ => Resolver::Unset,
    }
}

/// Replaces the first `$VEID`, or the first `${VEID}` when there is none, and strips slashes at the end
/// (vzctl src/lib/util.c:428).
fn path(values: &Values, name: &str, ctid: &Ctid) -> Option<PathBuf> {
    let Some(Value::Text(raw)) = values.get(name) else { return None };
    let find = |needle: &[u8]| raw.windows(needle.len()).position(|w| w == needle).map(|at| (at, needle.len()));
    let mut out = match find(b"$VEID").or_else(|| find(b"${VEID}")) {
        Some((at, length)) => [&raw[..at], ctid.as_str().as_bytes(), &raw[at + length..]].concat(),
        None => raw.clone(),
    };
    while out.len() > 1 && out.ends_with(b"/") {
        out.pop();
    }
    if out.is_empty() { None } else { Some(PathBuf::from(OsString::from_vec(out))) }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
