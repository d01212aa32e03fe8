//! Moves a tree from a source to a target root: once while it changes, once more after it stopped.

pub mod archive;
mod choose;
mod delta;
mod exclude;
pub mod extract;
mod index;
mod meter;
mod node_names;
mod parcels;
mod probe;
mod receive;
mod remote;
mod rsync;
mod running;
mod saved;
mod squeeze;
mod stream;
mod streams;
mod trouble;
mod unpack;
mod wire;

pub use choose::{Chosen, choose};
pub use rsync::RsyncEngine;
pub use stream::StreamEngine;
pub use unpack::unpack;

use crate::cancel::Cancel;
use crate::error::Result;
use crate::event::EventSink;
use crate::host::{Command, Host};
use crate::model::finding::Finding;
use crate::model::settings::Tuning;
use crate::rootfs::Rootfs;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Which pass over the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pass {
    /// The container runs: files may change and vanish underneath.
    Live,
    /// The container is stopped: nothing but complete success counts.
    Final,
}

/// One pass of one copy.
pub struct Job<'a> {
    /// Where the tree is.
    pub source: &'a dyn Host,
    /// The tree's top on the source. One file system only: what is mounted below is not part of it.
    pub tree: PathBuf,
    /// The target's root.
    pub target: &'a Rootfs,
    /// Which pass.
    pub pass: Pass,
    /// What is left out: paths relative to the top, anchored, each a whole entry or `dir/*` for all below `dir`.
    pub excludes: Vec<PathBuf>,
    /// What it takes of the source and of the way there.
    pub tuning: Tuning,
    /// For events: the container and the step's id.
    pub ctid: String,
    /// For events: the step's id.
    pub phase: String,
    /// Expected number of entries and bytes, for the bar.
    pub expected: Option<(u64, u64)>,
    /// Takes progress.
    pub events: &'a dyn EventSink,
    /// A request to stop.
    pub cancel: &'a Cancel,
}

/// What a pass did (contracts.md, `copy`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// `stream` or `rsync`.
    pub engine: String,
    /// Entries of the tree that were sent or brought up to date.
    pub files: u64,
    /// Bytes of their content.
    pub bytes: u64,
    /// Bytes that came over the wire.
    pub sent_bytes: u64,
    /// Entries deleted on the target.
    pub deleted: u64,
    /// Wall time in seconds.
    pub seconds: f64,
    /// What could not be carried (immutable flags, sockets in use, …), each by name.
    #[serde(skip)]
    pub findings: Vec<Finding>,
}

/// A way to move a tree.
pub trait Engine: Send + Sync {
    /// Returns `stream` or `rsync`.
    fn name(&self) -> &'static str;

    /// Returns the commands of a pass, for a dry run; `target` is where the tree will be on this host.
    fn commands(&self, source: &dyn Host, tree: &Path, target: &Path, excludes: &[PathBuf]) -> Vec<Command>;

    /// Makes the target's tree equal to the source's, deletions included. A pass may be repeated at any time.
    fn run(&self, job: &Job<'_>) -> Result<Stats>;
}
