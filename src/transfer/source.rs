//! The index of a source's tree: the source's clock, then a walk by its `find`, in one remote command; on the last pass, when
//! nothing moves and somebody waits, in several at once.

use super::Job;
use super::exclude::Excludes;
use super::index::{Builder, Entry, Index};
use super::listing;
use super::probe::Lister;
use super::remote::gently;
use super::running::{joined, watch, watch_until};
use super::shares::Share;
use super::stream::check_status;
use crate::error::{Doing, Error, Result};
use crate::host::Command;
use crate::rootfs::attributes::shown;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// What a walk of the source gave.
pub(super) struct Listing {
    pub(super) index: Index,
    /// Bytes that came over the wire.
    pub(super) bytes: u64,
    /// The source's clock in seconds since 1970, from before the walk: what changes later has a later change time.
    pub(super) clock: i64,
}

const FIND: &str = "date +%s && exec \"$@\"";

/// Feeds the names to `stat`. The status of find comes out on a descriptor of its own.
const STAT: &str = "QUOTING_STYLE=literal; export QUOTING_STYLE; cd \"$1\" && date +%s || exit 1\n\
    { s=$( { { find . -xdev -print0 3>&-; echo $? >&3; } | xargs -0 stat -c \"$2\" >&4 3>&-; } 3>&1 ); x=$?; } 4>&1\n\
    [ \"$s\" = 0 ] || exit 1\n\
    [ \"$x\" = 0 ] || exit 1\n";

/// The walk alone, for a dry run.
pub(super) fn find_command(tree: &Path) -> Command {
    find(tree, Share::default())
}

fn find(tree: &Path, share: Share) -> Command {
    // `/.`: the tree's top may be a link, and is entered then.
    Command::read("find").arg(tree.join(".")).arg("-xdev").args(share.condition()).args(listing::FORMAT)
}

fn command(job: &Job<'_>, lister: Lister, share: Share) -> Command {
    let tree = &job.tree;
    match lister {
        Lister::Printf => {
            let script = format!("{}{FIND}", gently(job));
            Command::read("/bin/sh").args(["-c", &script, "sh"]).args(find(tree, share).argv().iter().cloned())
        }
        // Copies only what rests: nothing is in anybody's way.
        Lister::Stat => Command::read("/bin/sh").args(["-c", STAT, "sh"]).arg(tree).arg(listing::STAT_FORMAT),
    }
}

/// Walks the job's tree on its source, with a find for each share where that works.
pub(super) fn list(job: &Job<'_>, lister: Lister, excludes: &Excludes, shares: &[Share]) -> Result<Listing> {
    let doing = || format!("listing {}", job.tree.display());
    let listing = match lister {
        Lister::Printf if shares.len() > 1 => list_shared(job, excludes, shares).or_else(|e| {
            job.cancel.check()?;
            // A server may allow one session only; what is really wrong shows up again.
            tracing::warn!("{} finds at once: {}; one alone now", shares.len(), e.chain().join(": "));
            list_at_once(job, lister, excludes)
        }),
        _ => list_at_once(job, lister, excludes),
    };
    let listing = listing.doing(doing)?;
    if listing.index.len() == 0 {
        return Err(Error::new("there is nothing, not even the top directory")).doing(doing);
    }
    Ok(listing)
}

fn list_at_once(job: &Job<'_>, lister: Lister, excludes: &Excludes) -> Result<Listing> {
    let seen = |_| job.cancel.check();
    let command = command(job, lister, Share::default());
    let (index, clock, bytes) = walk(job, &command, &AtomicBool::new(false), |input| match lister {
        Lister::Printf => listing::read(input, excludes, seen),
        Lister::Stat => listing::read_stat(input, excludes, seen),
    })?;
    Ok(Listing { index, bytes, clock })
}

fn list_shared(job: &Job<'_>, excludes: &Excludes, shares: &[Share]) -> Result<Listing> {
    let (builder, failed) = (Mutex::new(Builder::new(shares.len())), AtomicBool::new(false));
    let one = |share: Share| {
        let read = |input: Input<'_>| listing::read_into(&builder, input, excludes, |_| job.cancel.check());
        walk(job, &command(job, Lister::Printf, share), &failed, read)
    };
    let walks = thread::scope(|scope| {
        let finds: Vec<_> = shares.iter().map(|share| scope.spawn(|| one(*share))).collect();
        let broken = || Error::new("the reader of a walk broke down");
        finds.into_iter().map(|find| find.join().unwrap_or_else(|_| Err(broken()))).collect::<Result<Vec<_>>>()
    })?;
    let index = builder.into_inner().unwrap_or_else(PoisonError::into_inner).finish()?;
    let clock = walks.iter().map(|(_, clock, _)| *clock).min().unwrap_or_default();
    Ok(Listing { index, bytes: walks.iter().map(|(_, _, bytes)| bytes).sum(), clock })
}

type Input<'a> = BufReader<Counting<'a, Box<dyn Read + Send>>>;

/// Runs one find, until it ends or `stop` is set; sets that when the find fails, so that nobody waits for others. Where it
/// could not even start, they end by themselves: a server that allows one session would not let anybody end them.
/// Returns what `read` made of it, the source's clock, and how many bytes came.
fn walk<T: Send>(
    job: &Job<'_>,
    command: &Command,
    stop: &AtomicBool,
    read: impl FnOnce(Input<'_>) -> Result<T> + Send,
) -> Result<(T, i64, u64)> {
    let mut bytes = 0;
    let ended = watch_until(stop, &mut Vec::new(), job.source, command, job.cancel, None, |output| {
        let mut input = BufReader::with_capacity(256 << 10, Counting { inner: output, count: &mut bytes });
        let clock = read_clock(&mut input)?;
        Ok((read(input)?, clock))
    })?;
    let status = check_status(job, command, &ended.output, &["No such file or directory", "Not a directory"], 1);
    stop.fetch_or(status.is_err() || ended.result.is_err(), Ordering::Relaxed);
    joined(ended.result, status).map(|(value, clock)| (value, clock, bytes))
}

/// Walks the job's tree and forgets it, so that a walk after the stop finds everything in the source's memory. Returns the
/// top directory and how many entries there are, as far as they could be read: what could not, the next walk names.
pub(super) fn warm(job: &Job<'_>) -> Result<Option<(Entry, u64)>> {
    let excludes = Excludes::new(&job.excludes);
    let ended = watch(job.source, &find_command(&job.tree), job.cancel, None, |output| {
        listing::count(BufReader::with_capacity(256 << 10, output), &excludes)
    })?;
    ended.result
}

fn read_clock(input: &mut impl BufRead) -> Result<i64> {
    let mut line = Vec::new();
    input.take(32).read_until(b'\n', &mut line)?;
    let text = std::str::from_utf8(&line).unwrap_or_default().trim();
    match text.parse() {
        Ok(clock) => Ok(clock),
        // Nothing at all: the reason is in the status of the command.
        Err(_) if line.is_empty() => Ok(0),
        Err(_) => Err(Error::new(format!("the source's clock says {:?}", shown(text.as_bytes())))),
    }
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
