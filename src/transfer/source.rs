//! The index of a source's tree, in one remote command: the source's clock, then a walk by its `find`.

use super::Job;
use super::exclude::Excludes;
use super::index::Index;
use super::listing;
use super::probe::Lister;
use super::running::watch;
use super::stream::check_status;
use crate::error::{Doing, Error, Result};
use crate::host::Command;
use crate::rootfs::attributes::shown;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// What a walk of the source gave.
pub(super) struct Listing {
    pub(super) index: Index,
    /// Bytes that came over the wire.
    pub(super) bytes: u64,
    /// The source's clock in seconds since 1970, from before the walk: what changes later has a later change time.
    pub(super) clock: i64,
}

const FIND: &str = "date +%s && exec find \"$@\"";

/// Feeds the names to `stat`. The status of find comes out on a descriptor of its own.
const STAT: &str = "QUOTING_STYLE=literal; export QUOTING_STYLE; cd \"$1\" && date +%s || exit 1\n\
    { s=$( { { find . -xdev -print0 3>&-; echo $? >&3; } | xargs -0 stat -c \"$2\" >&4 3>&-; } 3>&1 ); x=$?; } 4>&1\n\
    [ \"$s\" = 0 ] || exit 1\n\
    [ \"$x\" = 0 ] || exit 1\n";

/// The walk alone, for a dry run.
pub(super) fn find_command(tree: &Path) -> Command {
    // `/.`: the tree's top may be a link, and is entered then.
    Command::read("find").arg(tree.join(".")).arg("-xdev").args(listing::FORMAT)
}

fn command(tree: &Path, lister: Lister) -> Command {
    match lister {
        Lister::Printf => {
            let find = find_command(tree);
            Command::read("/bin/sh").args(["-c", FIND, "sh"]).args(find.argv()[1..].iter().cloned())
        }
        Lister::Stat => Command::read("/bin/sh").args(["-c", STAT, "sh"]).arg(tree).arg(listing::STAT_FORMAT),
    }
}

/// Walks the job's tree on its source.
pub(super) fn list(job: &Job<'_>, lister: Lister, excludes: &Excludes) -> Result<Listing> {
    let doing = || format!("listing {}", job.tree.display());
    let mut bytes = 0;
    let command = command(&job.tree, lister);
    let ended = watch(job.source, &command, job.cancel, None, |output| {
        let mut input = BufReader::with_capacity(256 << 10, Counting { inner: output, count: &mut bytes });
        let clock = read_clock(&mut input)?;
        let seen = |_| job.cancel.check();
        let index = match lister {
            Lister::Printf => listing::read(input, excludes, seen),
            Lister::Stat => listing::read_stat(input, excludes, seen),
        }?;
        Ok((index, clock))
    })
    .doing(doing)?;
    check_status(job, &command, &ended.output, &["No such file or directory", "Not a directory"], 1).doing(doing)?;
    let (index, clock) = ended.result.doing(doing)?;
    if index.len() == 0 {
        return Err(Error::new("there is nothing, not even the top directory")).doing(doing);
    }
    Ok(Listing { index, bytes, clock })
}

/// Walks the job's tree and forgets it, so that a walk after the stop finds everything in the source's memory.
pub(super) fn warm(job: &Job<'_>) -> Result<()> {
    let command = find_command(&job.tree);
    let ended = watch(job.source, &command, job.cancel, None, |mut output| {
        std::io::copy(&mut output, &mut std::io::sink()).doing(|| "reading what find says")
    })?;
    // What it could not read, the next walk names.
    ended.result.map(drop)
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
