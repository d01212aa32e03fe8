//! The closed set of actions. What is not here cannot be done by a module, which is the point: a module is data.

use crate::model::finding::Severity;
use crate::model::guest::NetworkDialect;
use crate::rootfs::{EntryKind, LastLink};
use serde::Deserialize;
use std::collections::BTreeMap;

mod check;

pub(super) use check::{bits, expression, inside};

use super::module::When;

/// One action of a module. Paths are relative to the root of the tree and may hold `*` and `?` where said; strings that
/// become content or paths are templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase", deny_unknown_fields)]
pub enum Action {
    /// Removes files, links, nodes, FIFOs and empty directories.
    Remove(Remove),
    /// Writes a whole file.
    Write(Write),
    /// Replaces what a regular expression finds in a file.
    Substitute(Substitute),
    /// Makes a symbolic link.
    Symlink(Symlink),
    /// Sets permission bits.
    Mode(Mode),
    /// Makes a directory, with those above it.
    Mkdir(Mkdir),
    /// Sets and removes entries of an inittab.
    Inittab(Inittab),
    /// Gives the console and each tty exactly one getty line of an inittab.
    Gettys(Gettys),
    /// Sets and removes variables of a file of shell assignments.
    Shellvars(Shellvars),
    /// Removes interfaces from /etc/network/interfaces.
    Interfaces(Interfaces),
    /// Removes interfaces from SuSE 7's /etc/rc.config.
    Rcconfig(Interfaces),
    /// Writes the plan's interfaces in the guest's dialect.
    Nics(Nics),
    /// Removes entries of an fstab.
    Fstab(Fstab),
    /// Corrects the line below vzctl's marker in /etc/hosts.
    Hosts(Plain),
    /// Writes the plan's name servers where they last.
    Resolver(Plain),
    /// Adds terminals to /etc/securetty, when it exists.
    Securetty(Securetty),
    /// Says something to the operator.
    Report(Say),
}

/// See [`Action::Remove`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remove {
    /// Patterns.
    pub path: Vec<String>,
    /// Only these kinds; a path of another kind is reported. Files and links when empty.
    #[serde(default)]
    pub kind: Vec<Kind>,
    /// Only regular files whose content matches this expression.
    #[serde(default)]
    pub containing: Option<String>,
    /// Only links whose target matches this expression.
    #[serde(default)]
    pub leading_to: Option<String>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// Kinds of entries, for `kind = [...]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Kind {
    File,
    Link,
    Fifo,
    Socket,
    Block,
    Char,
    Directory,
}

impl Kind {
    /// Tells whether an entry is of this kind.
    pub fn is(self, kind: EntryKind) -> bool {
        let own = match self {
            Kind::File => EntryKind::File,
            Kind::Link => EntryKind::Symlink,
            Kind::Fifo => EntryKind::Fifo,
            Kind::Socket => EntryKind::Socket,
            Kind::Block => EntryKind::BlockDevice,
            Kind::Char => EntryKind::CharDevice,
            Kind::Directory => EntryKind::Directory,
        };
        own == kind
    }
}

/// When a file or link is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Only {
    /// Whether or not it exists.
    #[default]
    Always,
    /// When nothing is there.
    Missing,
    /// When it is there.
    Existing,
}

/// See [`Action::Write`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// Where; a template.
    pub path: String,
    /// The content; a template.
    #[serde(default)]
    pub content: Option<String>,
    /// A file of init-templates/ with the content.
    #[serde(default)]
    pub template: Option<String>,
    /// Permission bits of a new file, in octal.
    #[serde(default = "octal_644")]
    pub mode: String,
    /// Repeats the action: once a `tty` or once a `nic`, which the templates then know.
    #[serde(default)]
    pub each: Option<Each>,
    /// When.
    #[serde(default)]
    pub only: Only,
    /// What is done with a link.
    #[serde(default)]
    pub last: LastLink,
    /// Leaves the file as it is when its content matches one of these templates, read as whole trimmed texts.
    #[serde(default)]
    pub unless: Vec<String>,
    /// With `only = "missing"`: a file that is there and in which one of these expressions finds nothing is reported, as it
    /// does something else.
    #[serde(default)]
    pub expect: Vec<String>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// What an action is repeated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Each {
    /// Every console of the plan, `tty1` to `ttyN`.
    Tty,
    /// Every interface of the plan.
    Nic,
}

/// See [`Action::Substitute`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Substitute {
    /// Patterns.
    pub path: Vec<String>,
    /// What is replaced, everywhere in the file: a regular expression of the `regex` crate.
    pub find: String,
    /// By what; `${1}` and `${name}` are groups.
    pub with: String,
    /// Only inside what this matches, which `find` then sees as its whole text.
    #[serde(default)]
    pub within: Option<String>,
    /// A file in which this would still match afterwards stays as it is and is reported: the expression did not know all
    /// forms.
    #[serde(default)]
    pub left: Option<String>,
    /// A file in which neither `find` nor this matched is reported.
    #[serde(default)]
    pub expect: Option<String>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Symlink`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Symlink {
    /// Where; a template.
    pub path: String,
    /// The target, as it is written; a template.
    pub target: String,
    /// When.
    #[serde(default)]
    pub only: Only,
    /// Leaves a link alone wherever it leads, and replaces files only.
    #[serde(default)]
    pub keep_links: bool,
    /// Repeats the action.
    #[serde(default)]
    pub each: Option<Each>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Mode`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mode {
    /// Patterns.
    pub path: Vec<String>,
    /// Permission bits in octal.
    pub mode: String,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Mkdir`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mkdir {
    /// Where.
    pub path: String,
    /// Permission bits in octal.
    #[serde(default = "octal_755")]
    pub mode: String,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Inittab`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inittab {
    /// Entries that go: all parts given must match.
    #[serde(default)]
    pub remove: Vec<InittabMatch>,
    /// Entries that are set, in the place of one with the same id.
    #[serde(default)]
    pub set: Vec<InittabEntry>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// Which entries of an inittab.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InittabMatch {
    /// This id.
    pub id: Option<String>,
    /// One of these actions.
    pub action: Vec<String>,
    /// A process that matches this expression.
    pub process: Option<String>,
}

/// An entry of an inittab; templates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs, reason = "the fields of inittab(5)")]
pub struct InittabEntry {
    pub id: String,
    #[serde(default)]
    pub runlevels: String,
    pub action: String,
    pub process: String,
}

/// See [`Action::Gettys`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gettys {
    /// Programs in the order in which they are looked for, with the process that runs them; `terminal` is the template's.
    pub program: Vec<Getty>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// One getty program.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Getty {
    /// Its file.
    pub path: String,
    /// The process of the inittab line; a template.
    pub process: String,
}

/// See [`Action::Shellvars`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shellvars {
    /// The file.
    pub path: String,
    /// Variables with templates for their values; a value that renders to nothing is left alone.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Variables that go when their value matches the expression.
    #[serde(default)]
    pub unset: BTreeMap<String, String>,
    /// Whether a missing file is made.
    #[serde(default)]
    pub create: bool,
    /// Templates of values that are fine too: a variable that has one of them is left as it is.
    #[serde(default)]
    pub unless: Vec<String>,
    /// Whether only variables that the file has already are set.
    #[serde(default)]
    pub existing: bool,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Interfaces`] and [`Action::Rcconfig`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interfaces {
    /// An expression for the names that go.
    pub remove: String,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Nics`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nics {
    /// The dialect; `unknown` is none that can be written.
    pub dialect: NetworkDialect,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Fstab`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fstab {
    /// Mount points whose entries go.
    #[serde(default)]
    pub mount_points: Vec<String>,
    /// An expression for the first field of entries that go.
    #[serde(default)]
    pub spec: Option<String>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// An action with nothing but a condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Securetty`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Securetty {
    /// Names below /dev; templates.
    #[serde(default)]
    pub names: Vec<String>,
    /// Names once a console of the plan; templates that know `tty`.
    #[serde(default)]
    pub each_tty: Vec<String>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Report`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Say {
    /// The finding's id.
    pub id: String,
    /// Its weight.
    pub severity: Severity,
    /// One line; a template.
    pub title: String,
    /// More; a template.
    #[serde(default)]
    pub detail: String,
    /// What to do; a template.
    #[serde(default)]
    pub remedy: String,
    /// Patterns: the finding is made for each regular file in which `containing` finds something, and has the line.
    #[serde(default)]
    pub path: Vec<String>,
    /// See `path`.
    #[serde(default)]
    pub containing: Option<String>,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

fn octal_644() -> String {
    "0644".into()
}

fn octal_755() -> String {
    "0755".into()
}
