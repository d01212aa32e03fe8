//! Actions on entries of the tree, whatever is in them.

use crate::fixup::module::When;
use crate::rootfs::{EntryKind, LastLink};
use serde::Deserialize;

/// See [`Action::Remove`](super::Action::Remove).
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

/// See [`Action::Write`](super::Action::Write).
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

/// See [`Action::Substitute`](super::Action::Substitute).
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

/// See [`Action::Symlink`](super::Action::Symlink).
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

/// See [`Action::Mode`](super::Action::Mode).
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

/// See [`Action::Mkdir`](super::Action::Mkdir).
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

fn octal_644() -> String {
    "0644".into()
}

fn octal_755() -> String {
    "0755".into()
}
