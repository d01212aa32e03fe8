//! The stream engine: an index by `find`, a comparison with the target, and one `tar` stream of what differs.
//!
//! Both passes are the same work. The index is taken first; the stream's members are taken only in the state that the
//! index saw (their change time tells), so what changes underneath is left to the next pass, and nobody inside the container
//! can swap a directory for a link to make the node's own files arrive here.

use super::delta;
use super::exclude::Excludes;
use super::index::{self, Index};
use super::meter::Meter;
use super::node_names::NodeNames;
use super::probe::{self, Tar};
use super::receive::Copy;
use super::remote::plain_tar;
use super::running::watch;
use super::saved::SavedIndexes;
use super::{Engine, Job, Pass, Stats};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Copies with the source's find and tar; nothing else is needed there.
#[derive(Debug)]
pub struct StreamEngine {
    saved: SavedIndexes,
    /// An entry that changed less than this before its index was taken is not sure to be what was sent: a change time has
    /// the grain of a clock tick (a whole second on old file systems), and a page that a program maps and writes gets a
    /// new change time only after it was written back, by default up to half a minute later.
    unsure: Duration,
    /// How long to wait before the first attempt to connect again; each later one waits twice as long.
    patience: Duration,
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
            saved: SavedIndexes::default(),
            unsure: Duration::from_secs(60),
            patience: Duration::from_secs(1),
        }
    }

    /// Makes an engine that keeps the index of the last pass in a file, for a later process.
    pub fn with_index_file(path: &Path) -> StreamEngine {
        StreamEngine { saved: SavedIndexes::in_file(path), ..StreamEngine::new() }
    }

    /// Changes how old a change must be for an entry to be trusted in the next pass; default one minute.
    #[must_use]
    pub fn unsure_for(mut self, time: Duration) -> StreamEngine {
        self.unsure = time;
        self
    }

    /// Changes how long after a lost connection the first attempt to connect again is made; default one second.
    #[must_use]
    pub fn reconnect_after(mut self, time: Duration) -> StreamEngine {
        self.patience = time;
        self
    }

    fn pass(&self, job: &Job<'_>) -> Result<Stats> {
        let started = Instant::now();
        let tar = probe::stream(job.source)?;
        let names = NodeNames::new(job.source);
        // The clock before the index: what changes later has a later change time.
        let sure_before = probe::clock(job.source)? - i64::try_from(self.unsure.as_secs()).unwrap_or(i64::MAX);
        let excludes = Excludes::new(&job.excludes);
        let mut meter = Meter::new(job);
        meter.say();
        let (index, index_bytes) = read_index(job, &excludes)?;
        let unchanged = self.saved.unchanged(job, &index);
        let delta = delta::compare(&index, &unchanged, &excludes, job.target, job.cancel)?;
        let mut copy = Copy::new(job, &index, delta.needed, (tar, &names), meter);
        copy.patience = self.patience;
        let findings = copy.everything()?;
        if job.pass == Pass::Final {
            // Errors of delayed writes show up here, or nowhere.
            rustix::fs::syncfs(job.target).doing(|| format!("writing {} to its disk", job.target.path().display()))?;
        }
        let sure = |i: usize| (copy.arrived(i) || !copy.is_needed(i)) && index.entry(i).ctime.seconds < sure_before;
        self.saved.save(job, &index, &sure)?;
        let mut meter = copy.meter();
        meter.say();
        Ok(Stats {
            engine: self.name().to_owned(),
            files: meter.files,
            bytes: meter.bytes,
            sent_bytes: index_bytes + copy.sent.load(Ordering::Relaxed),
            deleted: delta.deleted,
            seconds: started.elapsed().as_secs_f64(),
            findings,
        })
    }
}

impl Engine for StreamEngine {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn commands(&self, _: &dyn Host, tree: &Path, _: &Path, _: &[PathBuf]) -> Vec<Command> {
        vec![find_command(tree), plain_tar(tree, Tar { acls: true, selinux: true }, false)]
    }

    fn run(&self, job: &Job<'_>) -> Result<Stats> {
        self.pass(job).doing(|| {
            format!("copying {} from {} to {}", job.tree.display(), job.source.label(), job.target.path().display())
        })
    }
}

fn find_command(tree: &Path) -> Command {
    // `/.`: the tree's top may be a link, and is entered then.
    Command::read("find").arg(tree.join(".")).args(["-xdev", "-printf", index::FORMAT])
}

fn read_index(job: &Job<'_>, excludes: &Excludes) -> Result<(Index, u64)> {
    let doing = || format!("listing {}", job.tree.display());
    let mut bytes = 0;
    let command = find_command(&job.tree);
    let ended = watch(job.source, &command, job.cancel, None, |output| {
        let input = BufReader::with_capacity(256 << 10, Counting { inner: output, count: &mut bytes });
        Index::read(input, excludes, |_| job.cancel.check())
    })
    .doing(doing)?;
    check_status(job, &command, &ended.output, &["No such file or directory", "Not a directory"], 1).doing(doing)?;
    let index = ended.result.doing(doing)?;
    if index.len() == 0 {
        return Err(Error::new("there is nothing, not even the top directory")).doing(doing);
    }
    Ok((index, bytes))
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
    // A name with a newline makes several lines of one message, and the first line may be cut off.
    let strange =
        text.split("\ntar: ").flat_map(|m| m.split("\nfind: ")).find(|m| !known.iter().any(|k| m.contains(k)));
    if output.status == 0 || (live && (strange.is_none() || output.stderr.len() >= 60 << 10)) {
        return Ok(());
    }
    output.clone().ok(command, job.source.label()).map(drop)
}

struct Counting<'a, R> {
    inner: R,
    count: &'a mut u64,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        *self.count += n as u64;
        Ok(n)
    }
}
