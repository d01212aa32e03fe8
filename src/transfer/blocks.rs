//! Large files that changed in place: rsync sends the blocks that differ into the file that is there.
//!
//! Only on the last pass: the source is stopped, so nobody can put a link where the index saw a file, and what rsync reads
//! by path is what the index saw. What this does not bring to its end is sent whole, by the stream.

use super::by_name::{self, LONGEST_PATH};
use super::index::Index;
use super::meter::Meter;
use super::rsync::{self, Ends, Report};
use super::running::watch;
use super::{Job, Pass, probe};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::finding::Finding;
use crate::rootfs::attributes::{Kind, Status, set_mtime};
use crate::rootfs::write::Parents;

/// Smaller files are sent whole: both sides read all of a file for its checksums, and rsync costs a session of its own.
const LARGE: u64 = 16 << 20;

/// What came over by blocks.
#[derive(Debug, Default)]
pub(super) struct ByBlocks {
    /// The entries that are up to date now.
    pub(super) done: Vec<usize>,
    /// Bytes over the wire.
    pub(super) sent: u64,
    /// Why it was given up, when it was.
    pub(super) finding: Option<Finding>,
}

/// Brings the large files among `needed` up to date that are there already. Failing is no error, a request to stop is.
pub(super) fn send(
    job: &Job<'_>,
    local: &dyn Host,
    index: &Index,
    needed: &[bool],
    meter: &mut Meter<'_>,
) -> Result<ByBlocks> {
    if job.pass != Pass::Final {
        return Ok(ByBlocks::default());
    }
    let candidates = candidates(job, index, needed)?;
    if candidates.is_empty() {
        return Ok(ByBlocks::default());
    }
    let mut by_blocks = ByBlocks::default();
    match transfer(job, local, index, &candidates, meter) {
        Ok(sent) => by_blocks.sent = sent,
        Err(error) => {
            job.cancel.check()?;
            by_blocks.finding = Some(given_up(&error, candidates.len()));
            return Ok(by_blocks); // whatever rsync left of them is replaced
        }
    }
    let mut parents = Parents::new(job.target)?;
    for position in candidates {
        if settle(&mut parents, index, position).unwrap_or(false) {
            by_blocks.done.push(position);
        }
    }
    Ok(by_blocks)
}

/// Gives a file the time that the index saw, to the nanosecond; tells whether it is what the index saw otherwise.
fn settle(parents: &mut Parents, index: &Index, position: usize) -> Result<bool> {
    let (path, entry) = (index.path(position), index.entry(position));
    let place = parents.place(&path, false)?;
    let is_same = |here: &Status| {
        let owner = (here.uid, here.gid) == (entry.uid, entry.gid);
        here.kind == entry.kind && here.size == entry.size && here.mode == entry.mode && owner
    };
    let same = place.status()?.is_some_and(|here| here.mtime.seconds == entry.mtime.seconds && is_same(&here));
    if same {
        set_mtime(place.dir, place.name, entry.mtime)?;
    }
    Ok(same)
}

fn given_up(error: &Error, count: usize) -> Finding {
    let title = format!("{count} large files that changed in place are sent whole");
    Finding::info("copy-blocks-given-up", title)
        .detail(error.chain().join(": "))
        .remedy("nothing; with a working rsync on both sides only what changed in them is sent")
}

/// Files that are large on both sides and have one name.
fn candidates(job: &Job<'_>, index: &Index, needed: &[bool]) -> Result<Vec<usize>> {
    let mut parents = Parents::new(job.target)?;
    let mut found = Vec::new();
    for position in (0..index.len()).filter(|i| needed[*i]) {
        let entry = index.entry(position);
        if entry.kind != Kind::File || entry.size < LARGE || entry.links != 1 {
            continue;
        }
        let path = index.path(position);
        // A directory that is missing on the way is no file that is there.
        let Ok(place) = parents.place(&path, false) else { continue };
        let there = place.status().ok().flatten();
        let large = there.is_some_and(|s| s.kind == Kind::File && s.links == 1 && s.size >= LARGE);
        if large && path.len() <= LONGEST_PATH {
            found.push(position);
        }
    }
    Ok(found)
}

fn transfer(
    job: &Job<'_>,
    local: &dyn Host,
    index: &Index,
    candidates: &[usize],
    meter: &mut Meter<'_>,
) -> Result<u64> {
    let version = probe::rsync(local)?;
    probe::rsync(job.source)?;
    let list = by_name::list(candidates.iter().map(|i| index.path(*i)));
    let command = command(job, version);
    let bytes = meter.bytes;
    let doing = || "sending what changed in large files";
    let ended = watch(local, &command, job.cancel, Some(&list), |output| {
        let mut report = Report::default();
        report.read(output, |report| {
            meter.bytes = bytes + report.progress;
            meter.tick();
        })?;
        Ok(report)
    })
    .doing(doing)?;
    ended.output.ok(&command, local.label()).doing(doing)?;
    Ok(ended.result.doing(doing)?.received)
}

fn command(job: &Job<'_>, version: (u32, u32, u32)) -> Command {
    let mut command = Command::write("rsync").args(["-pogtAX", "--numeric-ids", "--inplace", "--no-whole-file"]);
    // What has the same size and time differs all the same: the index knows more than rsync.
    command = command.args(["--ignore-times", "--relative", "--no-implied-dirs", "--from0", "--files-from=-"]);
    command = command.args(["--no-human-readable", "--stats", "--info=progress2", "--out-format=%i"]);
    command = rsync::tuned(command, &job.tuning);
    let ends = Ends { source: job.source, tree: &job.tree, target: job.target.path(), excludes: &[] };
    rsync::between(command, &ends, version).pipe_stdin()
}
