//! The stream engine: an index by `find`, a comparison with the target, and one `tar` stream of what differs.
//!
//! Both passes are the same work. The index is taken first; the stream's members are taken only in the state that the
//! index saw (their change time tells), so what changes underneath is left to the next pass, and nobody inside the container
//! can swap a directory for a link to make the node's own files arrive here.
//!
//! SELinux labels are asked for only where the source's kernel has SELinux; a container does not miss them (rootfs/xattrs.rs).

use super::blocks::{self, ByBlocks};
use super::delta;
use super::exclude::Excludes;
use super::index::{Entry, Index};
use super::lesser::Lesser;
use super::meter::Meter;
use super::node_names::NodeNames;
use super::probe::{self, Lister, Tar, Userland};
use super::receive::Copy;
use super::remote::plain_tar;
use super::saved::{self, Before, Checkpoint, SavedIndexes};
use super::source::{self, Listing};
use super::verify::{self, Check, Verified};
use super::writeback::write_to_disk;
use super::{Engine, Job, Pass, Stats, shares, vacant};
use crate::error::{Doing, Result};
use crate::host::{Command, Host, Output};
use crate::model::finding::Finding;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Copies with the source's find and tar; nothing else is needed there.
pub struct StreamEngine {
    /// What the programs of a source can do, by its label; asked once.
    userlands: Mutex<HashMap<String, Userland>>,
    saved: SavedIndexes,
    /// An entry that changed less than this before its index was taken is not sure to be what was sent: a change time has
    /// the grain of a clock tick (a whole second on old file systems), and a page that a program maps and writes gets a
    /// new change time only after it was written back, by default up to half a minute later.
    unsure: Duration,
    /// The index of the last final pass, for a comparison right after it.
    last: Mutex<Option<(Vec<u8>, Index)>>,
    /// Where rsync runs for blocks of large files.
    local: Option<Arc<dyn Host>>,
    /// How long to wait before the first attempt to connect again; each later one waits twice as long.
    patience: Duration,
    /// From how many entries on several finds share the walk of a source that stands still.
    share_from: u64,
}

impl Default for StreamEngine {
    fn default() -> StreamEngine {
        StreamEngine::new()
    }
}

impl StreamEngine {
    /// Makes an engine that remembers its passes as long as it lives.
    pub fn new() -> StreamEngine {
        StreamEngine {
            userlands: Mutex::default(),
            saved: SavedIndexes::default(),
            unsure: Duration::from_secs(60),
            last: Mutex::default(),
            local: None,
            patience: Duration::from_secs(1),
            share_from: shares::LEAST as u64,
        }
    }

    /// Makes an engine that keeps the index of the last pass in a file, for a later process.
    pub fn with_index_file(path: &Path) -> StreamEngine {
        StreamEngine { saved: SavedIndexes::in_file(path), ..StreamEngine::new() }
    }

    /// Lets rsync, run on `local`, send what changed in large files on the last pass, where both sides have it.
    #[must_use]
    pub fn with_rsync_on(mut self, local: Arc<dyn Host>) -> StreamEngine {
        self.local = Some(local);
        self
    }

    /// Changes how old a change must be for an entry to be trusted in the next pass; default one minute.
    #[must_use]
    pub fn unsure_for(mut self, time: Duration) -> StreamEngine {
        self.unsure = time;
        self
    }

    /// Takes what was found out about a source before.
    #[must_use]
    pub(super) fn knowing(self, source: &dyn Host, userland: Userland) -> StreamEngine {
        self.userlands.lock().unwrap_or_else(PoisonError::into_inner).insert(source.label().to_owned(), userland);
        self
    }

    fn userland(&self, source: &dyn Host) -> Result<Userland> {
        let known = || self.userlands.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(userland) = known().get(source.label()) {
            return Ok(userland.clone());
        }
        let userland = probe::stream(source)?;
        known().insert(source.label().to_owned(), userland.clone());
        Ok(userland)
    }

    /// Changes how long after a lost connection the first attempt to connect again is made; default one second.
    #[must_use]
    pub fn reconnect_after(mut self, time: Duration) -> StreamEngine {
        self.patience = time;
        self
    }

    /// Changes from how many entries on several finds share the walk of a source that stands still; default 20,000.
    #[must_use]
    pub fn sharing_from(mut self, entries: u64) -> StreamEngine {
        self.share_from = entries;
        self
    }

    fn pass(&self, job: &Job<'_>) -> Result<Stats> {
        let started = Instant::now();
        self.keep_index(None);
        let userland = self.userland(job.source)?;
        let excludes = Excludes::new(&job.excludes);
        let mut meter = Meter::new(job);
        meter.say();
        let before = self.saved.before(job)?;
        let shared = job.still && before.entries >= self.share_from;
        let shares = if shared { shares::among(userland.cores, &before.bounds) } else { Vec::new() };
        let Listing { index, bytes: index_bytes, clock } = source::list(job, userland.lister, &excludes, &shares)?;
        self.check(job, &before, &index.entry(0), index.len() as u64, job.pass)?;
        let sure_before = clock - i64::try_from(self.unsure.as_secs()).unwrap_or(i64::MAX);
        let earlier = self.saved.earlier(job, &index);
        let known = earlier.trusted && earlier.difference.is_empty();
        if !known {
            self.saved.mark(job)?;
        }
        let mut delta = if earlier.trusted {
            delta::apply(&index, earlier.difference, &excludes, job.target, job.cancel)?
        } else {
            delta::compare(&index, &earlier.difference.same, &excludes, job.target, job.cancel)?
        };
        let young = |i: usize| index.entry(i).ctime.seconds >= sure_before;
        // Before the blocks: what rsync writes into a file is not on the disk yet, and its size and time do not show that.
        let checkpoint = match &userland.tar {
            Ok(_) => self.saved.begin(job, &index, &delta.needed, &young)?,
            Err(_) => Checkpoint::default(),
        };
        let by_blocks = self.by_blocks(job, &index, &mut delta.needed, &mut meter)?;
        // What is written down must be on the disk, and what an operator is told to be there.
        let to_disk = job.pass == Pass::Final || self.saved.outlive_us();
        let names = NodeNames::new(job.source);
        let mut received = match &userland.tar {
            Ok(tar) => {
                let mut copy = Copy::new(job, &index, delta.needed, (*tar, &names), meter, checkpoint);
                (copy.patience, copy.cores) = (self.patience, u64::from(userland.cores));
                // Of other people's files on the same file system nothing is waited for.
                copy.to_disk = to_disk && job.target.is_file_system()?;
                let findings = copy.everything()?;
                let (needed, arrived, meter, sent) = copy.outcome();
                Received { needed, arrived, meter, sent, findings }
            }
            Err(why) => {
                let mut copy = Lesser::new(job, &index, delta.needed, meter)?;
                let findings = copy.everything(&userland, why)?;
                let Lesser { needed, arrived, meter, sent, .. } = copy;
                Received { needed, arrived, meter, sent, findings }
            }
        };
        received.findings.extend(earlier.finding);
        received.findings.extend(by_blocks.finding);
        if to_disk {
            write_to_disk(job.target)?;
        }
        let sure = |i: usize| (received.arrived[i] || !received.needed[i]) && !young(i);
        if !known {
            self.saved.save(job, &index, &sure)?;
        }
        received.meter.say();
        let stats = Stats {
            engine: self.name().to_owned(),
            files: received.meter.files + by_blocks.done.len() as u64,
            bytes: received.meter.bytes,
            sent_bytes: index_bytes + received.sent + by_blocks.sent,
            deleted: delta.deleted,
            seconds: started.elapsed().as_secs_f64(),
            findings: received.findings,
        };
        self.keep_index((job.pass == Pass::Final).then(|| (saved::key(job), index)));
        Ok(stats)
    }

    /// Fails when a tree with this top and so many entries is not what was copied before, or nothing at all.
    fn check(&self, job: &Job<'_>, before: &Before, top: &Entry, entries: u64, pass: Pass) -> Result<()> {
        self.saved.check(before, top, entries, pass)?;
        if entries == 1 && !vacant::is_target(job)? { Err(vacant::refusal(job)) } else { Ok(()) }
    }

    /// Brings large files that changed in place up to date, which need not be sent whole then.
    fn by_blocks(&self, job: &Job<'_>, index: &Index, needed: &mut [bool], meter: &mut Meter<'_>) -> Result<ByBlocks> {
        let Some(local) = &self.local else { return Ok(ByBlocks::default()) };
        let by_blocks = blocks::send(job, local.as_ref(), index, needed, meter)?;
        by_blocks.done.iter().for_each(|i| needed[*i] = false);
        Ok(by_blocks)
    }

    fn keep_index(&self, index: Option<(Vec<u8>, Index)>) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = index;
    }
}

/// What came of a pass.
struct Received<'a> {
    needed: Vec<bool>,
    arrived: Vec<bool>,
    meter: Meter<'a>,
    sent: u64,
    findings: Vec<Finding>,
}

impl Engine for StreamEngine {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn commands(&self, _: &dyn Host, tree: &Path, _: &Path, _: &[PathBuf]) -> Vec<Command> {
        vec![source::find_command(tree), plain_tar(tree, Tar { acls: true, selinux: true }, false)]
    }

    fn warm(&self, job: &Job<'_>) -> Result<()> {
        if self.userland(job.source)?.lister == Lister::Stat {
            return Ok(());
        }
        let (top, entries) = match source::warm(job) {
            Ok(Some(found)) => found,
            Ok(None) => return Ok(()),
            Err(error) => {
                // Only a last pass that is a little slower.
                tracing::warn!("walking {} before the stop: {}", job.tree.display(), error.chain().join(": "));
                return job.cancel.check();
            }
        };
        // What that pass would refuse when it is too late.
        let doing = || format!("walking {}", job.tree.display());
        self.check(job, &self.saved.before(job)?, &top, entries, Pass::Final).doing(doing)
    }

    fn run(&self, job: &Job<'_>) -> Result<Stats> {
        self.pass(job).doing(|| {
            format!("copying {} from {} to {}", job.tree.display(), job.source.label(), job.target.path().display())
        })
    }

    fn target_changes(&self, job: &Job<'_>) -> Result<()> {
        self.saved.mark(job)
    }

    fn verify(&self, job: &Job<'_>, check: &Check<'_>) -> Result<Verified> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        verify::verify(job, check, last.filter(|(key, _)| *key == saved::key(job)).map(|(_, index)| index))
    }
}

/// Accepts an exit status: 0 always; on the live pass also up to `worst` when everything that was said is one of `known`.
pub(super) fn check_status(
    job: &Job<'_>,
    command: &Command,
    output: &Output,
    known: &[&str],
    worst: i32,
) -> Result<()> {
    let live = job.pass == Pass::Live && (1..=worst).contains(&output.status);
    let text = String::from_utf8_lossy(&output.stderr);
    // A name with a newline makes several lines of one message, and the first line may be cut off where there are many.
    let strange = text
        .split("\ntar: ")
        .flat_map(|m| m.split("\nfind: "))
        .flat_map(|m| m.split("\nstat: "))
        .skip(usize::from(output.stderr.len() >= 60 << 10))
        .find(|m| !known.iter().any(|k| m.contains(k)));
    if output.status == 0 || (live && strange.is_none()) {
        return Ok(());
    }
    output.clone().ok(command, job.source.label()).map(drop)
}
