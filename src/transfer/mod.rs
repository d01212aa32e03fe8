//! Moves a tree from a source to a target root: once while it changes, once more after it stopped.

mod acls;
pub mod archive;
mod blocks;
mod by_name;
mod choose;
mod coded;
mod complete;
mod delta;
mod difference;
mod dump;
mod exclude;
pub mod extract;
mod getfattr;
mod index;
mod lesser;
mod listing;
mod meter;
mod node_names;
mod parcels;
mod probe;
mod receive;
pub mod rehearse;
mod remote;
mod rsync;
mod running;
mod saved;
mod shares;
mod source;
mod squeeze;
mod stamp;
mod stream;
mod streams;
mod trouble;
mod unpack;
mod vacant;
mod verify;
mod wire;
mod writeback;

pub use choose::{Chosen, choose};
pub use dump::{ArchiveEngine, unpack_some};
pub use rsync::RsyncEngine;
pub use stream::StreamEngine;
pub use unpack::unpack;
pub use verify::{Cause, Check, Difference, Differs, Verified};

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
    /// Nothing changes the source meanwhile, and that is known: its container was stopped.
    pub still: bool,
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

    /// Lets the source read its tree's attributes once, so that the walk of the next pass finds them in memory: worth it
    /// just before the container stops. Does nothing where that is of no use. An error says that the next pass would fail.
    fn warm(&self, job: &Job<'_>) -> Result<()> {
        let _ = job;
        Ok(())
    }

    /// Makes the target's tree equal to the source's, deletions included. A pass may be repeated at any time.
    fn run(&self, job: &Job<'_>) -> Result<Stats>;

    /// Says that something other than a pass is about to change the target: the next pass has to look at all of it.
    fn target_changes(&self, job: &Job<'_>) -> Result<()> {
        let _ = job; // a pass looks at all of it anyhow
        Ok(())
    }

    /// Compares the job's target with its source; differences are no error here.
    fn verify(&self, job: &Job<'_>, check: &Check<'_>) -> Result<Verified> {
        verify::verify(job, check, None)
    }
}
