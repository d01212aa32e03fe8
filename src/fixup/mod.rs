//! Declarative changes inside a container's tree.
//!
//! A module is a TOML file: when it applies, and actions of a closed set (docs/fixups.md). Every module runs over a view
//! of the tree that holds the changes in memory; a real run then writes what the view holds, so a dry run cannot differ
//! from it.

mod action;
mod before;
mod catalogue;
mod commit;
mod context;
mod fault;
pub mod format;
mod gettys;
mod module;
mod network;
mod order;
mod run;
mod templates;
mod text;
mod view;

pub use action::Action;
pub use before::{Before, RevertOptions, Reverted};
pub use catalogue::Catalogue;
pub use module::{Module, When};
pub use run::{apply, apply_noting};

use crate::model::finding::Finding;
use crate::rootfs::preimage::PreImage;
use serde::Serialize;

/// The largest file that a fixup reads or writes; configuration is a few KiB.
pub const FILE_LIMIT: u64 = 1024 * 1024;

/// How modules are applied.
#[derive(Debug, Clone, Copy, Default)]
pub struct ApplyOptions<'a> {
    /// Works out every change and makes none.
    pub dry_run: bool,
    /// Ids of modules that are left out.
    pub skip: &'a [String],
}

/// What was done to a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Done {
    /// A file was made or got other content.
    Write,
    /// Something was removed.
    Remove,
    /// A link was made.
    Symlink,
    /// Permission bits were changed.
    Mode,
    /// A directory was made.
    Mkdir,
}

/// One change (contracts.md, `fixup apply`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The module's id.
    pub fixup: String,
    /// Where, without links, with a leading slash; control characters escaped.
    pub path: String,
    /// What was done.
    pub action: Done,
    /// A unified diff of text, or a line that says what changed; at most some hundred lines.
    pub diff: String,
}

/// What applying the modules came to.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// The changes, in the order of the modules.
    pub changes: Vec<Change>,
    /// What was not as a module expected it.
    pub findings: Vec<Finding>,
    /// What was there before, for [`Rootfs::revert`](crate::rootfs::Rootfs::revert); empty after a dry run.
    #[serde(skip)]
    pub preimages: Vec<PreImage>,
}
