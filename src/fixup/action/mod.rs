//! The closed set of actions. What is not here cannot be done by a module, which is the point: a module is data.

mod check;
mod entries;
mod formats;

pub(super) use check::{bits, expression, inside};
pub(super) use entries::{Each, Mkdir, Mode, Only, Remove, Substitute, Symlink, Write};
pub(super) use formats::{Fstab, Gettys, Inittab, InittabMatch, Interfaces, Nics, Securetty, Shellvars};

use super::module::When;
use crate::model::finding::Severity;
use serde::Deserialize;

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

/// An action with nothing but a condition.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plain {
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
