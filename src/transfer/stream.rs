//! The stream engine: an index by `find`, a comparison with the target, and one `tar` stream of what differs.
//!
//! Both passes are the same work. The index is taken first; the stream's members are taken only in the state that the
//! index saw (their change time tells), so what changes underneath is left to the next pass, and nobody inside the container
//! can swap a directory for a link to make the node's own files arrive here.

use super::blocks::{self, ByBlocks};
use super::delta;
use super::exclude::Excludes;
use super::extract::Extractor;
use super::index::{self, Index};
use super::meter::Meter;
use super::node_names::NodeNames;
use super::probe::{self, Tar};
use super::receive::Copy;
use super::running::watch;
use super::saved::{self, SavedIndexes};
use super::verify::{self, Check, Verified};
use super::{Engine, Job, Pass, Stats};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use std::ffi::OsString;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Copies with the source's find and tar; nothing else is needed there.
pub struct StreamEngine {
    saved: SavedIndexes,
    /// An entry that changed less than this before its index was taken is not sure to be what was sent: a change time has
    /// the grain of a clock tick (a whole second on old file systems), and a page that a program maps and writes gets a
    /// new change time only after it was written back, by default up to half a minute later.
    unsure: Duration,
    /// The index of the last final pass, for a comparison right after it.
    last: Mutex<Option<(Vec<u8>, Index)>>,
    /// Where rsync runs for blocks of large files.
    local: Option<Arc<dyn Host>>,
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
            last: Mutex::default(),
            local: None,
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

    fn pass(&self, job: &Job<'_>) -> Result<Stats> {
        let started = Instant::now();
        self.keep_index(None);
        let tar = probe::stream(job.source)?;
        let names = NodeNames::new(job.source);
        // The clock before the index: what changes later has a later change time.
        let sure_before = probe::clock(job.source)? - i64::try_from(self.unsure.as_secs()).unwrap_or(i64::MAX);
        let excludes = Excludes::new(&job.excludes);
        let mut meter = Meter::new(job);
        meter.say();
        let (index, index_bytes) = read_index(job, &excludes)?;
        let unchanged = self.saved.unchanged(job, &index);
        let mut delta = delta::compare(&index, &unchanged, &excludes, job.target, job.cancel)?;
        let by_blocks = self.by_blocks(job, &index, &mut delta.needed, &mut meter)?;
        let arrived = vec![false; index.len()];
        let extractor = Extractor::new(job.target)?;
        let mut copy = Copy { job, index: &index, needed: delta.needed, arrived, extractor, meter, sent: 0 };
        copy.everything(tar, &names)?;
        let mut findings = copy.extractor.finish()?;
        findings.extend(copy.sockets());
        findings.extend(by_blocks.finding);
        copy.check_complete()?;
        if job.pass == Pass::Final {
            // Errors of delayed writes show up here, or nowhere.
            rustix::fs::syncfs(job.target).doing(|| format!("writing {} to its disk", job.target.path().display()))?;
        }
        let sure = |i: usize| (copy.arrived[i] || !copy.needed[i]) && index.entry(i).ctime.seconds < sure_before;
        self.saved.save(job, &index, &sure)?;
        copy.meter.say();
        let stats = Stats {
            engine: self.name().to_owned(),
            files: copy.meter.files + by_blocks.done.len() as u64,
            bytes: copy.meter.bytes,
            sent_bytes: index_bytes + copy.sent + by_blocks.sent,
            deleted: delta.deleted,
            seconds: started.elapsed().as_secs_f64(),
            findings,
        };
        self.keep_index((job.pass == Pass::Final).then(|| (saved::key(job), index)));
        Ok(stats)
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

impl Engine for StreamEngine {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn commands(&self, _: &dyn Host, tree: &Path, _: &Path, _: &[PathBuf]) -> Vec<Command> {
        vec![find_command(tree), tar_command(tree, Tar { acls: true, selinux: true }, false)]
    }

    fn run(&self, job: &Job<'_>) -> Result<Stats> {
        self.pass(job).doing(|| {
            format!("copying {} from {} to {}", job.tree.display(), job.source.label(), job.target.path().display())
        })
    }

    fn verify(&self, job: &Job<'_>, check: &Check<'_>) -> Result<Verified> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        verify::verify(job, check, last.filter(|(key, _)| *key == saved::key(job)).map(|(_, index)| index))
    }
}

fn find_command(tree: &Path) -> Command {
    // `/.`: the tree's top may be a link, and is entered then.
    Command::read("find").arg(tree.join(".")).args(["-xdev", "-printf", index::FORMAT])
}

pub(super) fn tar_command(tree: &Path, tar: Tar, recursive: bool) -> Command {
    let mut directory = OsString::from("--directory=");
    directory.push(tree);
    let mut command = Command::read("env").args(["TAR_OPTIONS=", "tar", "--create", "--file=-", "--format=posix"]);
    command = command.args(["--pax-option=delete=atime", "--numeric-owner", "--sparse", "--xattrs"]);
    if tar.acls {
        command = command.arg("--acls");
    }
    if tar.selinux {
        command = command.arg("--selinux");
    }
    command = command.arg(if recursive { "--one-file-system" } else { "--no-recursion" });
    command.args(["--blocking-factor=128", "--no-unquote", "--null"]).arg(directory).arg("--files-from=-").pipe_stdin()
}

pub(super) fn read_index(job: &Job<'_>, excludes: &Excludes) -> Result<(Index, u64)> {
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
