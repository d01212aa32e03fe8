//! Two files become one [`VeConfig`]: the global one and the container's own, merged by vzctl's rules (vzctl 4.11
//! src/vzctl.c:280-360, src/lib/config.c:3173-3245), every key of the container's file answered.

use super::answer;
use super::grammar::{self, Dialect, Line, shown};
use super::merged::{Merged, flag, number};
use super::params::{Kind, Param};
use super::reading::{self, Reading, Seen, Value, Values, text};
use super::values::{Mask, OPENVZ_CAPABILITIES, effective_devices, is_host_name};
use crate::error::Result;
use crate::model::ctid::Ctid;
use crate::model::finding::Severity;
use crate::model::ve::{Capabilities, DeviceRule, Resolver, VeConfig};
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

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

/// Parses a container's own configuration over the node's global one, both in the dialect of the container's own: that of
/// Virtuozzo 7 when its CTID is a UUID, when the file is a `ve.conf`, or when it names a UUID itself.
///
/// Fails with line and column for what is no text at all: a NUL byte, a line longer than 1 MiB, a file larger than 4 MiB.
/// Anything else that vzctl would reject, that bash reads otherwise or that has no equivalent becomes a finding, and every
/// key of the container's own file an answer.
pub fn parse(ctid: &Ctid, global: Option<&[u8]>, own: &[u8], context: &ParseContext) -> Result<VeConfig> {
    let label = shown(context.file.as_os_str().as_bytes());
    let label = if label.is_empty() { format!("{ctid}.conf") } else { label };
    grammar::check(own, &label)?;
    grammar::check(global.unwrap_or_default(), "vz.conf")?;
    let dialect = if is_virtuozzo(&context.file, own) { Dialect::Virtuozzo } else { dialect(ctid) };
    let global = reading::read(global.unwrap_or_default(), "vz.conf", Severity::Info, dialect);
    let own = reading::read(own, &label, Severity::Warning, dialect);
    let layout = text(&own.values, "VE_LAYOUT").map(|l| l.split(':').next().unwrap_or_default().to_owned());
    // vzctl takes a word that the target cannot have: the list is not empty to it.
    let full: HashSet<&str> =
        own.seen.iter().filter(|s| !s.left.is_empty()).filter_map(|s| s.param.map(|p| p.name)).collect();
    let (values, from_global) = merge(global.values, own.values, &full);
    let set: HashSet<&str> = own.seen.iter().map(|s| s.key.as_str()).collect();
    let in_force = |seen: &&Seen| {
        let opaque = |p: &Param| p.kind == Kind::Opaque && !set.contains(seen.key.as_str());
        seen.param.is_some_and(|p| p.is_inherited() && (from_global.contains(p.name) || opaque(p)))
    };
    let inherited: Vec<&Seen> = global.seen.iter().filter(in_force).collect();

    let mut findings = own.findings;
    findings.extend(global.findings);
    let (layout_word, approximate) = (layout.clone(), context.approximate.as_slice());
    let merged = Merged {
        ctid,
        dialect,
        values: &values,
        layout: layout_word.as_deref(),
        node_cpus: context.node_cpus,
        approximate,
    };
    let keys = own.seen.iter().map(|seen| answer::answer(seen, &merged, ""));
    let keys = keys.chain(inherited.iter().map(|seen| answer::answer(seen, &merged, "vz.conf"))).collect();
    answer::report(&own.seen, &inherited, &merged, &label, &mut findings);

    let Mask { on, other: off } = mask(&values, "CAPABILITY");
    let of_linux = |name: &&String| !OPENVZ_CAPABILITIES.contains(&name.as_str());
    Ok(VeConfig {
        limits: merged.limits(),
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
        net_devices: merged.net_devices().unwrap_or_default(),
        quota_ugid_limit: number(&values, "QUOTAUGIDLIMIT"),
        keys,
        findings,
    })
}

/// A UUID is a container of Virtuozzo, whose parser is another one.
fn dialect(ctid: &Ctid) -> Dialect {
    if ctid.number().is_some() { Dialect::Vzctl } else { Dialect::Virtuozzo }
}

/// Tells whether a file is one of Virtuozzo 7: it is called `ve.conf`, as in a private area there, or names a UUID.
fn is_virtuozzo(file: &Path, own: &[u8]) -> bool {
    file.file_name().is_some_and(|name| name == "ve.conf") || named_inside(own).is_some_and(|c| c.number().is_none())
}

/// Returns the CTID that a file names itself: the last `UUID=`, else the last `VEID=`.
fn named_inside(own: &[u8]) -> Option<Ctid> {
    let mut found = [None, None];
    for line in grammar::lines(own) {
        // Both dialects read these lines alike, but for a comment behind the value.
        let Line::Assignment { name, value, .. } = grammar::read_line(line.bytes, Dialect::Virtuozzo) else { continue };
        let slot = match name.as_slice() {
            b"UUID" => 0,
            b"VEID" => 1,
            _ => continue,
        };
        let ctid = std::str::from_utf8(&value).ok().and_then(|text| Ctid::parse(text.trim()).ok());
        found[slot] = ctid.or(found[slot].take());
    }
    let [uuid, veid] = found;
    uuid.or(veid)
}

/// How much of a file is searched for its CTID: it may turn out to be no text at all.
const LOOK_INSIDE: usize = 1 << 20;

/// Finds out which container a configuration file belongs to, without a node.
///
/// The name of the file says it (`101.conf`, `UUID.conf`, with whatever stands behind); a `ve.conf` of Virtuozzo 7 says it
/// inside (UUID=, VEID=) or lies in a directory of that name; any other file (a sample, a copy) says it inside, or stands
/// for container 1.
pub fn ctid_of(file: &Path, own: &[u8]) -> Ctid {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split('.').next().unwrap_or_default();
    if let Ok(ctid) = Ctid::parse(stem) {
        return ctid;
    }
    let inside = || named_inside(&own[..own.len().min(LOOK_INSIDE)]);
    let beside = || {
        let whole = std::path::absolute(file).ok()?;
        Ctid::parse(whole.parent()?.file_name()?.to_str()?).ok()
    };
    let found = if name == "ve.conf" { inside().or_else(beside) } else { inside() };
    found.unwrap_or_else(Ctid::first)
}

/// Reads one text parameter of a single file, `$VEID` replaced, nothing merged.
pub(super) fn path_in(file: &[u8], name: &str, ctid: &Ctid) -> Option<PathBuf> {
    path(&reading::read(file, "", Severity::Info, dialect(ctid)).values, name, ctid)
}

/// Reads ONBOOT and DISABLED of the container's own file, nothing merged.
pub(super) fn own_flags(own: &[u8], ctid: &Ctid) -> (Option<bool>, Option<bool>) {
    let Reading { values, .. } = reading::read(own, "", Severity::Info, dialect(ctid));
    (flag(&values, "ONBOOT"), flag(&values, "DISABLED"))
}

/// Puts the container's own values over the global ones; returns also which of the global ones are in force. `full` are lists
/// that only look empty.
fn merge(global: Values, own: Values, full: &HashSet<&str>) -> (Values, HashSet<&'static str>) {
    let (mut out, mut inherited) = (own, HashSet::new());
    for (name, theirs) in global {
        // The layout of an existing container is its own, and NETFILTER in vz.conf is dropped (vzctl.c:346, 137).
        if matches!(name, "VE_LAYOUT" | "NETFILTER") {
            continue;
        }
        match (out.get_mut(name), theirs) {
            (None, theirs) => {
                out.insert(name, theirs);
                inherited.insert(name);
            }
            (Some(Value::Mask(mine)), Value::Mask(theirs)) => {
                for (mine, theirs) in [(&mut mine.on, theirs.on), (&mut mine.other, theirs.other)] {
                    if mine.is_empty() && !theirs.is_empty() {
                        *mine = theirs;
                        inherited.insert(name);
                    }
                }
            }
            // A list replaces the global one as a whole, but an empty one does not.
            (Some(mine), theirs) if mine.is_empty_list() && !full.contains(name) => {
                *mine = theirs;
                inherited.insert(name);
            }
            _ => {}
        }
    }
    (out, inherited)
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
            // Behind an address it is none, and vzctl does not look at it.
            Some(_) => Resolver::List(list.iter().filter(|word| *word != "inherit").cloned().collect()),
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
