//! One configuration file, read by the table of parameters.

use super::grammar::{self, Dialect, Line, is_space, shown, words};
use super::number::{self, CpuLimit};
use super::params::{self, Kind, Param, Repeat};
use super::shell;
use super::values::{self, Interfaces, Mask, Part};
use crate::model::finding::{Finding, Severity};
use crate::model::ve::{DeviceRule, VenetAddress};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A value after reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Vec<u8>),
    Flag(bool),
    Number(u64),
    /// Barrier and limit.
    Pair(u64, u64),
    CpuLimit(CpuLimit),
    Words(Vec<String>),
    Addresses(Vec<VenetAddress>),
    Interfaces(Interfaces),
    Devices(Vec<DeviceRule>),
    Mask(Mask),
}

/// Values by the name of their parameter.
pub(super) type Values = BTreeMap<&'static str, Value>;

/// A key that stands in the file.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Its name as it stands there.
    pub(super) key: String,
    /// Its value in force, as it stands there.
    pub(super) text: String,
    /// Its row of the table; `None` when vzctl does not know it.
    pub(super) param: Option<&'static Param>,
    /// The line in force.
    pub(super) line: usize,
    /// What vzctl says against it, when nothing of it is in force.
    pub(super) refused: Option<String>,
}

/// What was read from one file.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) values: Values,
    pub(super) seen: Vec<Seen>,
    pub(super) findings: Vec<Finding>,
}

/// No more findings with one id than this come from one file; the rest is counted.
pub(super) const MOST_FINDINGS: usize = 40;

/// No more bytes of a value than this are shown.
const LONGEST_TEXT: usize = 4096;

struct Reader<'a> {
    out: Reading,
    index: HashMap<Vec<u8>, usize>,
    counts: BTreeMap<&'static str, usize>,
    joined: Joined,
    label: &'a str,
    severity: Severity,
    dialect: Dialect,
}

/// Reads a file. `label` names it in findings; `severity` is that of a line that vzctl rejects.
pub(super) fn read(file: &[u8], label: &str, severity: Severity, dialect: Dialect) -> Reading {
    let (out, index, counts, joined) = (Reading::default(), HashMap::new(), BTreeMap::new(), HashSet::new());
    let mut reader = Reader { out, index, counts, joined, label, severity, dialect };
    let mut by_line = HashMap::new();
    for line in grammar::lines(file) {
        if line.cut {
            reader.reject(line.number, line.bytes, "a NUL byte ends it; vzctl reads what stands before");
        }
        match grammar::read_line(line.bytes, dialect) {
            Line::Nothing => {}
            Line::Rejected(why) => reader.reject(line.number, line.bytes, why.explain()),
            Line::Assignment { name, value } => {
                reader.assign(line.number, &name, &value);
                if params::find(&name).is_some() {
                    by_line.insert(line.number, (name, value));
                }
            }
        }
    }
    if dialect == Dialect::Vzctl {
        reader.compare(by_line, &shell::read(file));
    }
    reader.finish()
}

impl Reader<'_> {
    fn report(&mut self, id: &'static str, finding: impl FnOnce() -> Finding) {
        let count = self.counts.entry(id).or_default();
        *count += 1;
        if *count <= MOST_FINDINGS {
            self.out.findings.push(finding());
        }
    }

    fn reject(&mut self, line: usize, bytes: &[u8], why: &str) {
        let (label, severity) = (self.label, self.severity);
        self.report("ve-line-rejected", || {
            Finding::new(
                severity,
                "ve-line-rejected",
                format!("vzctl does not take line {line} of {label} as it stands"),
            )
            .detail(format!("{}: {why}", shown(bytes)))
            .remedy("correct the line on the source, or accept that it is not in force there either")
            .subject(format!("{label}:{line}"))
        });
    }

    fn assign(&mut self, line: usize, name: &[u8], text: &[u8]) {
        let param = params::find(name);
        // An alias is the same parameter.
        let identity = param.filter(|p| p.alias.as_bytes() == name).map_or(name, |p| p.name.as_bytes());
        let Some(&at) = self.index.get(identity) else {
            self.index.insert(identity.to_vec(), self.out.seen.len());
            let refused = param.and_then(|param| self.take(param, line, text));
            let (key, text) = (lossy(name), lossy(text));
            self.out.seen.push(Seen { key, text, param, line, refused });
            return;
        };
        self.again(at, line, text);
    }

    /// A second line with the same name.
    fn again(&mut self, at: usize, line: usize, text: &[u8]) {
        let Some(param) = self.out.seen[at].param else {
            self.duplicate(at, line, "vzctl does not know either of them");
            self.out.seen[at].text = lossy(text);
            return;
        };
        let was_refused = self.out.seen[at].refused.is_some();
        match param.repeat {
            Repeat::First if !was_refused => {
                self.duplicate(at, line, "vzctl keeps the first; a shell would take the last");
            }
            Repeat::First | Repeat::Last => {
                if !was_refused {
                    self.duplicate(at, line, "vzctl keeps the last");
                }
                let refused = self.take(param, line, text);
                let seen = &mut self.out.seen[at];
                if refused.is_none() || was_refused {
                    (seen.text, seen.line, seen.refused) = (lossy(text), line, refused);
                }
            }
            Repeat::Join => {
                self.duplicate(at, line, "vzctl joins them; a shell would take the last");
                let refused = self.take(param, line, text);
                let seen = &mut self.out.seen[at];
                if seen.text.len() < LONGEST_TEXT {
                    seen.text = format!("{} {}", seen.text, lossy(text)).trim().to_owned();
                }
                if refused.is_none() {
                    seen.refused = None;
                }
            }
        }
    }

    fn duplicate(&mut self, at: usize, line: usize, rule: &str) {
        let (label, severity) = (self.label, self.severity);
        let (key, first) = (shown(self.out.seen[at].key.as_bytes()), self.out.seen[at].line);
        self.report("ve-duplicate-key", || {
            Finding::new(severity, "ve-duplicate-key", format!("{key} stands more than once in {label}"))
                .detail(format!("on lines {first} and {line}: {rule}"))
                .remedy("leave the line that is meant")
                .subject(format!("{label}:{line}"))
        });
    }

    /// Puts a value in force; returns why not, when nothing of it could be.
    fn take(&mut self, param: &'static Param, line: usize, text: &[u8]) -> Option<String> {
        if param.kind == Kind::Opaque {
            return None;
        }
        let Part { value, trouble } = read_value(param.kind, text, self.dialect);
        let nothing = value.is_none();
        if let Some(why) = &trouble {
            let effect = match param.kind {
                _ if nothing => "vzctl leaves the parameter unset",
                Kind::Features => "vzctl keeps the rest",
                _ => "vzctl keeps what stands before it",
            };
            self.reject(line, text, &format!("{}: {why}; {effect}", param.name));
        }
        if let Some(value) = value {
            if param.repeat == Repeat::Join && !self.out.values.contains_key(param.name) {
                remember(&value, &mut self.joined, param.name);
            }
            match self.out.values.get_mut(param.name) {
                Some(old) if param.repeat == Repeat::Join => join(old, value, &mut self.joined, param.name),
                _ => drop(self.out.values.insert(param.name, value)),
            }
        }
        if nothing { trouble } else { None }
    }

    /// Compares what vzctl and bash make of each line.
    fn compare(&mut self, by_line: HashMap<usize, (Vec<u8>, Vec<u8>)>, script: &shell::Script) {
        let mut bash: HashMap<(usize, &[u8]), &shell::Value> =
            script.assignments.iter().map(|a| ((a.line, a.name.as_slice()), &a.value)).collect();
        let mut ours: Vec<_> = by_line.into_iter().collect();
        ours.sort_by_key(|(line, _)| *line);
        if let Some(broken) = script.broken_at {
            self.differs(broken, "a quote is opened and never closed: bash reads nothing from this line on");
        }
        for (line, (name, value)) in &ours {
            let line = *line;
            let theirs = bash.remove(&(line, name.as_slice()));
            if script.broken_at.is_some_and(|broken| line >= broken) {
                continue;
            }
            let (name, said) = (String::from_utf8_lossy(name), shown(value));
            match theirs {
                None => self.differs(line, &format!("vzctl reads {name} as \"{said}\", bash does not set it")),
                Some(shell::Value::Expanded) => {
                    self.differs(line, &format!("vzctl reads {name} as \"{said}\", bash expands what stands there"));
                }
                Some(shell::Value::Literal(text, veid)) => {
                    if !same_meaning(&name, value, text, *veid) {
                        let theirs = shown(text);
                        self.differs(line, &format!("vzctl reads {name} as \"{said}\", bash as \"{theirs}\""));
                    }
                }
            }
        }
        // What only bash sees: `export NAME=…`, `A=1; NAME=…`.
        let mut rest: Vec<_> = bash.into_iter().filter(|((_, name), _)| params::find(name).is_some()).collect();
        rest.sort_by_key(|((line, _), _)| *line);
        for ((line, name), _) in rest {
            self.differs(line, &format!("bash sets {}, vzctl does not", shown(name)));
        }
    }

    fn differs(&mut self, line: usize, how: &str) {
        let (label, severity) = (self.label, self.severity);
        self.report("ve-shell-differs", || {
            Finding::new(severity, "ve-shell-differs", format!("vzctl and bash disagree on line {line} of {label}"))
                .detail(how.to_owned())
                .remedy("vzctl's reading is migrated; write the line as NAME=\"value\" to make both agree")
                .subject(format!("{label}:{line}"))
        });
    }

    fn finish(mut self) -> Reading {
        for (id, count) in self.counts {
            if count > MOST_FINDINGS {
                let more = count - MOST_FINDINGS;
                let title = format!("{more} more lines of {} like these", self.label);
                self.out.findings.push(Finding::new(self.severity, id, title).subject(self.label.to_owned()));
            }
        }
        self.out
    }
}

fn same_meaning(name: &str, ours: &[u8], theirs: &[u8], veid: usize) -> bool {
    // vzctl replaces one `$VEID` of a path; the shell replaces all of them, everywhere.
    if veid > usize::from(matches!(name, "VE_ROOT" | "VE_PRIVATE")) {
        return false;
    }
    let inherits = |text: &[u8]| words(text).next() == Some(b"inherit");
    ours == theirs || (matches!(name, "NAMESERVER" | "SEARCHDOMAIN") && inherits(ours) && inherits(theirs))
}

fn lossy(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_TEXT)]).into_owned();
    if bytes.len() > LONGEST_TEXT {
        text.push('…');
    }
    text
}

/// Words and addresses that lists hold so far, by parameter; a set, because a file may hold very many lines.
type Joined = HashSet<(&'static str, String)>;

fn remember(value: &Value, joined: &mut Joined, name: &'static str) {
    match value {
        Value::Words(list) => joined.extend(list.iter().map(|word| (name, word.clone()))),
        Value::Addresses(list) => joined.extend(list.iter().map(|a| (name, a.address.to_string()))),
        _ => {}
    }
}

fn join(old: &mut Value, new: Value, joined: &mut Joined, name: &'static str) {
    match (old, new) {
        (Value::Words(old), Value::Words(new)) => {
            old.extend(new.into_iter().filter(|word| joined.insert((name, word.clone()))));
        }
        // Compared without the prefix: the first one stays.
        (Value::Addresses(old), Value::Addresses(new)) => {
            old.extend(new.into_iter().filter(|a| joined.insert((name, a.address.to_string()))));
        }
        (Value::Devices(old), Value::Devices(new)) => old.extend(new),
        (Value::Mask(old), Value::Mask(new)) => {
            old.on.extend(new.on);
            old.other.extend(new.other);
        }
        (old, new) => *old = new,
    }
}

fn read_value(kind: Kind, bytes: &[u8], dialect: Dialect) -> Part<Option<Value>> {
    let text = String::from_utf8_lossy(bytes);
    let part = |value: Option<Value>, expected: &str| match value {
        Some(value) => Part { value: Some(value), trouble: None },
        None => Part { value: None, trouble: Some(format!("it is not {expected}")) },
    };
    let within = |n: Option<u64>, low: u64, high: u64| n.filter(|n| (low..=high).contains(n)).map(Value::Number);
    match kind {
        Kind::Text | Kind::Path | Kind::Opaque => part(Some(Value::Text(bytes.to_vec())), ""),
        Kind::Name => part(values::is_name(bytes).then(|| Value::Text(bytes.to_vec())), "a name"),
        Kind::Flag => part(flag(bytes).map(Value::Flag), "yes or no"),
        Kind::Number(low, high) => {
            part(within(number::ulong(&text), low, high), &format!("a number from {low} to {high}"))
        }
        Kind::Int(low, high) => part(within(number::int(&text), low, high), &format!("a number from {low} to {high}")),
        Kind::Pair(unit) => {
            let pair = number::pair(&text, unit).map(|(barrier, limit)| Value::Pair(barrier, limit));
            part(pair, "a number that vzctl takes here")
        }
        Kind::CpuLimit => part(number::cpu_limit(&text).map(Value::CpuLimit), "a percentage"),
        Kind::CpuMask => {
            let mask = text == "all" || text == "auto" || values::is_cpu_list(&text);
            part(mask.then(|| Value::Text(bytes.to_vec())), "a list of CPUs, all or auto")
        }
        Kind::IoLimit => {
            let limit = number::quantity(&text, number::Unit::Bytes).map(io_limit);
            part(limit.map(Value::Number), "a number of bytes a second")
        }
        Kind::Layout => {
            let layout = matches!(&*text, "simfs" | "ploop" | "ploop:expanded" | "ploop:plain" | "ploop:raw");
            part(layout.then(|| Value::Text(bytes.to_vec())), "simfs or ploop")
        }
        Kind::Words => {
            let mut seen = HashSet::new();
            let list = words(bytes).filter(|w| seen.insert(*w)).map(|w| String::from_utf8_lossy(w).into_owned());
            part(Some(Value::Words(list.collect())), "")
        }
        Kind::Addresses => list(values::addresses(bytes, dialect), |v| v.is_empty(), Value::Addresses),
        Kind::Netif => list(values::interfaces(bytes), |v| v.list.is_empty(), Value::Interfaces),
        Kind::Devices => list(values::devices(bytes), |v| v.is_empty(), Value::Devices),
        Kind::DeviceNodes => list(values::device_nodes(bytes), |v| v.is_empty(), Value::Devices),
        Kind::Capability => list(values::capabilities(bytes), |v| *v == Mask::default(), Value::Mask),
        Kind::Features => list(values::features(bytes), |v| *v == Mask::default(), Value::Mask),
    }
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

/// Returns a text value with blanks around it taken off; `None` when it is empty.
pub(super) fn text(values: &Values, name: &str) -> Option<String> {
    let Some(Value::Text(bytes)) = values.get(name) else { return None };
    let start = bytes.iter().position(|b| !is_space(*b))?;
    Some(String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned())
}
