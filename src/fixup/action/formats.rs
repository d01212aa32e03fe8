//! Actions on files whose format the program knows, and on what it writes by itself.

use crate::fixup::module::When;
use crate::model::guest::NetworkDialect;
use serde::Deserialize;
use std::collections::BTreeMap;

/// See [`Action::Inittab`](super::Action::Inittab).
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

/// See [`Action::Gettys`](super::Action::Gettys).
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

/// See [`Action::Shellvars`](super::Action::Shellvars).
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

/// See [`Action::Interfaces`](super::Action::Interfaces) and [`Action::Rcconfig`](super::Action::Rcconfig).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Interfaces {
    /// An expression for the names that go.
    pub remove: String,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Nics`](super::Action::Nics).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nics {
    /// The dialect; `unknown` is none that can be written.
    pub dialect: NetworkDialect,
    /// Condition.
    #[serde(default)]
    pub when: When,
}

/// See [`Action::Fstab`](super::Action::Fstab).
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

/// See [`Action::Securetty`](super::Action::Securetty).
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
