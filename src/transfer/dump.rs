//! An archive of vzdump as a source: one stream, no index, nothing to ask again.

use super::archive::{Archive, Member, MemberKind, NoNames};
use super::exclude::Excludes;
use super::extract::{Extractor, member_path};
use super::meter::Meter;
use super::running::{joined, watch};
use super::writeback::write_to_disk;
use super::{Engine, Job, Stats};
use crate::cancel::Cancel;
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, UNPACK};
use crate::rootfs::Rootfs;
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What vzdump adds to the tree: the configuration and its own notes.
const OWN: &[u8] = b"etc/vzdump";
/// Unpacks once for a look; an archive is read to its end.
const LOOK: Duration = Duration::from_secs(3600);

/// Unpacks an archive. The job's tree is the archive itself.
#[derive(Debug, Default)]
pub struct ArchiveEngine;

impl Engine for ArchiveEngine {
    fn name(&self) -> &'static str {
        "archive"
    }

    fn commands(&self, _: &dyn Host, tree: &Path, _: &Path, _: &[PathBuf]) -> Vec<Command> {
        vec![command(tree)]
    }

    /// Makes every member again, whatever is there. What a target holds that the archive does not stays: the target of an
    /// archive is empty, or is what an interrupted run of it left.
    fn run(&self, job: &Job<'_>) -> Result<Stats> {
        self.unpack(job).doing(|| format!("unpacking {} into {}", job.tree.display(), job.target.path().display()))
    }
}

impl ArchiveEngine {
    fn unpack(&self, job: &Job<'_>) -> Result<Stats> {
        let started = Instant::now();
        let excludes = Excludes::new(&job.excludes);
        let (mut meter, mut sent) = (Meter::new(job), 0);
        let mut extractor = Extractor::new(job.target)?;
        meter.say();
        let command = command(&job.tree);
        let ended = watch(job.source, &command, job.cancel, None, |output| {
            let mut archive = Archive::new(BufReader::with_capacity(256 << 10, output), &NoNames);
            let result = members(job, &excludes, &mut archive, &mut extractor, &mut meter);
            sent = archive.bytes_read();
            result
        })?;
        // Why a stream ends too early says the program that unpacks it.
        joined(ended.result, ended.output.ok(&command, job.source.label()).map(drop))?;
        let findings = extractor.finish()?;
        write_to_disk(job.target)?;
        meter.say();
        let (files, bytes, seconds) = (meter.files, meter.bytes, started.elapsed().as_secs_f64());
        Ok(Stats { engine: self.name().to_owned(), files, bytes, sent_bytes: sent, deleted: 0, seconds, findings })
    }
}

fn command(archive: &Path) -> Command {
    Command::read("sh").arg("-c").arg(format!("{UNPACK}unpack \"$1\"")).arg("sh").arg(archive)
}

fn members<R: BufRead>(
    job: &Job<'_>,
    excludes: &Excludes,
    archive: &mut Archive<'_, R>,
    extractor: &mut Extractor,
    meter: &mut Meter<'_>,
) -> Result<()> {
    while let Some(member) = archive.next_member()? {
        job.cancel.check()?;
        let path = member_path(&member.name)?;
        if excludes.matches(&path) || is_own(&path) {
            continue;
        }
        extractor.extract(&path, &member, archive, job.cancel, &mut |bytes| {
            meter.bytes += bytes;
            meter.tick();
            Ok(())
        })?;
        meter.files += 1;
        meter.tick();
    }
    archive.finish()
}

fn is_own(path: &[u8]) -> bool {
    path.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Unpacks the members of an archive that `wanted` takes, at most `limit` bytes of content, for a look at a guest. Names
/// that link to what was not taken are left out.
pub fn unpack_some(
    host: &dyn Host,
    archive: &Path,
    target: &Rootfs,
    limit: u64,
    wanted: &(dyn Fn(&[u8], &Member) -> bool + Sync),
    cancel: &Cancel,
) -> Result<()> {
    let command = command(archive).timeout(LOOK);
    let ended = watch(host, &command, cancel, None, |output| {
        let mut archive = Archive::new(BufReader::with_capacity(256 << 10, output), &NoNames);
        let mut extractor = Extractor::new(target)?;
        let (mut taken, mut total) = (HashSet::new(), 0_u64);
        while let Some(member) = archive.next_member()? {
            cancel.check()?;
            let path = member_path(&member.name)?;
            let lost = member.kind == MemberKind::HardLink && !taken.contains(&member_path(&member.link)?);
            if lost || is_own(&path) || !wanted(&path, &member) {
                continue;
            }
            total = total.saturating_add(member.size);
            if total > limit {
                return Err(Error::new(format!("more than {limit} bytes would be looked at")));
            }
            extractor.extract(&path, &member, &mut archive, cancel, &mut |_| Ok(()))?;
            taken.insert(path);
        }
        archive.finish()?;
        extractor.finish().map(drop)
    })?;
    ended.result?;
    ended.output.ok(&command, host.label()).map(drop)
}
