//! One configuration file, read by the table of parameters.

use super::grammar::{self, Dialect, Line, Physical, is_space, shown, words};
use super::netif::Interfaces;
use super::number::CpuLimit;
use super::params::{self, Kind, Param, Repeat};
use super::shell;
use super::typed::read_value;
use super::usable::{self, Left};
use super::values::{Mask, Part, Trouble};
use crate::model::finding::{Finding, Severity};
use crate::model::ve::{DeviceRule, VenetAddress};
use std::collections::{BTreeMap, HashMap, HashSet};

/// A value after reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(Vec<u8>),
    Flag(bool),
    Number(u64),
    /// Barrier and limit, and whether the limit is a number that somebody wrote: an empty one reads as zero.
    Pair(u64, u64, bool),
    CpuLimit(CpuLimit),
    Words(Vec<String>),
    Addresses(Vec<VenetAddress>),
    Interfaces(Interfaces),
    Devices(Vec<DeviceRule>),
    Mask(Mask),
}

impl Value {
    /// Tells whether it is a list without anything in it.
    pub(super) fn is_empty_list(&self) -> bool {
        match self {
            Value::Words(list) => list.is_empty(),
            Value::Addresses(list) => list.is_empty(),
            Value::Devices(list) => list.is_empty(),
            Value::Interfaces(all) => all.list.is_empty(),
            _ => false,
        }
    }
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
    /// The line in force, and the column of the name in it.
    pub(super) line: usize,
    pub(super) column: usize,
    /// What vzctl says against it, when nothing of it is in force.
    pub(super) refused: Option<String>,
    /// What is not carried over: what a bad word cut off, what the target cannot have.
    pub(super) left: Vec<String>,
    /// Findings about that, which count where the value is in force.
    pub(super) findings: Vec<Finding>,
}

/// What became of a value when it was read.
#[derive(Debug, Default)]
struct Taken {
    refused: Option<String>,
    left: Vec<String>,
    findings: Vec<Finding>,
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

/// An assignment where it stands: its line, and where name and value begin in it once it is unescaped.
#[derive(Clone, Copy)]
struct Place<'a> {
    line: Physical<'a>,
    name: usize,
    value: usize,
}

/// Reads a file. `label` names it in findings; `severity` is that of a line that vzctl rejects.
pub(super) fn read(file: &[u8], label: &str, severity: Severity, dialect: Dialect) -> Reading {
    let (out, index, counts, joined) = (Reading::default(), HashMap::new(), BTreeMap::new(), HashSet::new());
    let mut reader = Reader { out, index, counts, joined, label, severity, dialect };
    let mut by_line = HashMap::new();
    for line in grammar::lines(file) {
        match grammar::read_line(line.bytes, dialect) {
            Line::Nothing => {}
            Line::Rejected(why, at) => reader.reject(line, at, line.bytes, why.explain()),
            Line::Assignment { name, value, at } => {
                let place = Place { line, name: at.0, value: at.1 };
                reader.assign(place, &name, &value);
                if params::find(&name).is_some() {
                    by_line.insert(line.number, (place, name, value));
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

    /// Reports what vzctl does not take, at an offset of the line once it is unescaped.
    fn reject(&mut self, line: Physical<'_>, at: usize, bytes: &[u8], why: &str) {
        let (label, severity, dialect) = (self.label, self.severity, self.dialect);
        self.report("ve-line-rejected", || {
            let (line, column) = (line.number, grammar::column(line.bytes, dialect, at));
            let title =
                format!("{} does not take line {line} of {label} as it stands (column {column})", dialect.reader());
            Finding::new(severity, "ve-line-rejected", title)
                .detail(format!("{}: {why}", shown(bytes)))
                .remedy("correct the line on the source, or accept that it is not in force there either")
                .subject(format!("{label}:{line}:{column}"))
        });
    }

    fn assign(&mut self, place: Place<'_>, name: &[u8], text: &[u8]) {
        let param = params::find(name);
        // An alias is the same parameter.
        let identity = param.filter(|p| p.alias.as_bytes() == name).map_or(name, |p| p.name.as_bytes());
        let Some(&at) = self.index.get(identity) else {
            self.index.insert(identity.to_vec(), self.out.seen.len());
            let taken = param.map(|param| self.take(param, place, text)).unwrap_or_default();
            let Taken { refused, left, findings } = taken;
            let (key, text, line, column) = (lossy(name), lossy(text), place.line.number, self.column(place));
            self.out.seen.push(Seen { key, text, param, line, column, refused, left, findings });
            return;
        };
        self.again(at, place, text);
    }

    fn column(&self, place: Place<'_>) -> usize {
        grammar::column(place.line.bytes, self.dialect, place.name)
    }

    /// A second line with the same name.
    fn again(&mut self, at: usize, place: Place<'_>, text: &[u8]) {
        let Some(param) = self.out.seen[at].param else {
            self.duplicate(at, place, "it knows neither of them");
            self.out.seen[at].text = lossy(text);
            return;
        };
        let was_refused = self.out.seen[at].refused.is_some();
        match param.repeat {
            Repeat::First if !was_refused => {
                self.duplicate(at, place, "it keeps the first; a shell would take the last");
            }
            Repeat::First | Repeat::Last => {
                if !was_refused {
                    self.duplicate(at, place, "it keeps the last");
                }
                let taken = self.take(param, place, text);
                let column = self.column(place);
                let seen = &mut self.out.seen[at];
                if taken.refused.is_none() || was_refused {
                    (seen.text, seen.refused) = (lossy(text), taken.refused);
                    (seen.left, seen.findings) = (taken.left, taken.findings);
                    (seen.line, seen.column) = (place.line.number, column);
                }
            }
            Repeat::Join => {
                self.duplicate(at, place, "it joins them; a shell would take the last");
                let taken = self.take(param, place, text);
                let seen = &mut self.out.seen[at];
                seen.left.extend(taken.left);
                seen.findings.extend(taken.findings);
                if seen.text.len() < LONGEST_TEXT {
                    seen.text = format!("{} {}", seen.text, lossy(text)).trim().to_owned();
                }
                if taken.refused.is_none() {
                    seen.refused = None;
                }
            }
        }
    }

    fn duplicate(&mut self, at: usize, place: Place<'_>, rule: &str) {
        let (label, severity, line, column) = (self.label, self.severity, place.line.number, self.column(place));
        let reader = self.dialect.reader();
        let (key, first) = (shown(self.out.seen[at].key.as_bytes()), self.out.seen[at].line);
        self.report("ve-duplicate-key", || {
            Finding::new(severity, "ve-duplicate-key", format!("{key} stands more than once in {label}"))
                .detail(format!("on lines {first} and {line}; {reader} reads the file: {rule}"))
                .remedy("leave the line that is meant")
                .subject(format!("{label}:{line}:{column}"))
        });
    }

    /// Puts a value in force; returns why not, when nothing of it could be, and what of it is not carried over.
    fn take(&mut self, param: &'static Param, place: Place<'_>, text: &[u8]) -> Taken {
        let mut taken = Taken::default();
        if param.kind == Kind::Opaque {
            return taken;
        }
        let Part { value, trouble } = read_value(param.kind, text, self.dialect);
        let nothing = value.is_none();
        if let Some(Trouble { why, at, .. }) = &trouble {
            let reader = self.dialect.reader();
            let effect = match param.kind {
                _ if nothing => format!("{reader} leaves the parameter unset"),
                Kind::Features => format!("{reader} keeps the rest"),
                _ => format!("{reader} keeps what stands before it"),
            };
            self.reject(place.line, place.value + at, text, &format!("{}: {why}; {effect}", param.name));
        }
        let from = trouble.as_ref().map_or(text.len(), |t| t.from);
        if let Some(mut value) = value {
            for one in usable::carry(param.kind, &mut value, &text[..from]) {
                self.left_out(param, place, &one, &mut taken);
            }
            if param.repeat == Repeat::Join && !self.out.values.contains_key(param.name) {
                remember(&value, &mut self.joined, param.name);
            }
            match self.out.values.get_mut(param.name) {
                Some(old) if param.repeat == Repeat::Join => join(old, value, &mut self.joined, param.name),
                _ => drop(self.out.values.insert(param.name, value)),
            }
        }
        match trouble {
            Some(trouble) if nothing => taken.refused = Some(trouble.why),
            Some(trouble) if param.kind == Kind::Features => taken.left.push(trouble.why),
            Some(trouble) => taken.left.push(format!("\"{}\" ({})", shown(&text[from..]), trouble.why)),
            None => {}
        }
        taken
    }

    /// Reports what the target cannot have.
    fn left_out(&mut self, param: &'static Param, place: Place<'_>, one: &Left, taken: &mut Taken) {
        if one.loss != usable::Loss::HostName {
            taken.left.push(format!("{} ({})", one.what, one.why));
        }
        let finding = one.finding(param.name);
        let id = if one.loss == usable::Loss::Interface { "ve-interface-left-out" } else { "ve-value-left-out" };
        let count = self.counts.entry(id).or_default();
        *count += 1;
        if *count <= MOST_FINDINGS {
            let column = grammar::column(place.line.bytes, self.dialect, place.value + one.at);
            taken.findings.push(finding.subject(format!("{}:{}:{column}", self.label, place.line.number)));
        }
    }

    /// Compares what vzctl and bash make of each line.
    fn compare(&mut self, by_line: HashMap<usize, (Place<'_>, Vec<u8>, Vec<u8>)>, script: &shell::Script) {
        let mut bash: HashMap<(usize, &[u8]), &shell::Value> =
            script.assignments.iter().map(|a| ((a.line, a.name.as_slice()), &a.value)).collect();
        let mut ours: Vec<_> = by_line.into_values().collect();
        ours.sort_by_key(|(place, ..)| place.line.number);
        if let Some((line, column)) = script.broken_at {
            self.differs(line, column, "a quote is opened and never closed: bash reads nothing from this line on");
        }
        for (place, name, value) in &ours {
            let line = place.line.number;
            let theirs = bash.remove(&(line, name.as_slice()));
            if script.broken_at.is_some_and(|(broken, _)| line >= broken) {
                continue;
            }
            let (name, said) = (shown(name), shown(value));
            let how = match theirs {
                None => format!("vzctl reads {name} as \"{said}\", bash does not set it"),
                Some(shell::Value::Expanded) => {
                    format!("vzctl reads {name} as \"{said}\", bash expands what stands there")
                }
                Some(shell::Value::Literal(text, veid)) => {
                    if same_meaning(&name, value, text, *veid) {
                        continue;
                    }
                    format!("vzctl reads {name} as \"{said}\", bash as \"{}\"", shown(text))
                }
            };
            let value_column = grammar::column(place.line.bytes, self.dialect, place.value);
            self.differs(line, grammar::column_of_difference(place.line.bytes, value_column), &how);
        }
        // What only bash sees: `export NAME=…`, `A=1; NAME=…`.
        let known = script
            .assignments
            .iter()
            .filter(|a| params::find(&a.name).is_some() && bash.contains_key(&(a.line, a.name.as_slice())));
        let rest: Vec<_> = known.map(|a| (a.line, a.column, shown(&a.name))).collect();
        for (line, column, name) in rest {
            self.differs(line, column, &format!("bash sets {name}, vzctl does not"));
        }
    }

    fn differs(&mut self, line: usize, column: usize, how: &str) {
        let (label, severity) = (self.label, self.severity);
        self.report("ve-shell-differs", || {
            Finding::new(severity, "ve-shell-differs", format!("vzctl and bash disagree on line {line} of {label}"))
                .detail(how.to_owned())
                .remedy("vzctl's reading is migrated; write the line as NAME=\"value\" to make both agree")
                .subject(format!("{label}:{line}:{column}"))
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

/// Returns a text value with blanks around it taken off; `None` when it is empty.
pub(super) fn text(values: &Values, name: &str) -> Option<String> {
    let Some(Value::Text(bytes)) = values.get(name) else { return None };
    let start = bytes.iter().position(|b| !is_space(*b))?;
    Some(String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned())
}
