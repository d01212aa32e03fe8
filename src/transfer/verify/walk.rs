//! Walks the copy beside the source's index.

use super::source::{Beside, digest};
use super::{Differs, Tally};
use crate::error::{Doing, Result};
use crate::model::finding::Finding;
use crate::model::settings::IdRange;
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::{Kind, Status, Time, read_xattrs, shown};
use crate::rootfs::walk::{At, Descend, Visitor, walk};
use crate::rootfs::write::Parents;
use crate::transfer::Job;
use crate::transfer::exclude::Excludes;
use crate::transfer::index::{Index, order};
use crate::transfer::meter::Meter;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

/// What the walk found that is compared later, by position in the index.
#[derive(Default)]
pub(super) struct Walked {
    /// Files of the same size on both sides, one name of each inode: what is worth reading.
    pub(super) contents: Vec<usize>,
    /// Digests of the extended attributes of what has any.
    xattrs: HashMap<usize, u64>,
    /// Numbers of device nodes.
    devices: HashMap<usize, (u32, u32)>,
    /// Which entries of the index are there, of the same kind.
    met: Vec<bool>,
    /// Entries below what is mounted over the copy, and the first mount.
    covered: u64,
    mount: Option<Vec<u8>>,
}

struct Comparison<'a, 'b, 'c> {
    job: &'a Job<'a>,
    excludes: &'a Excludes,
    index: &'a Index,
    ids: Option<IdRange>,
    tally: &'a mut Tally<'b>,
    meter: &'a mut Meter<'c>,
    device: u64,
    /// The path of the entry that is looked at.
    path: Vec<u8>,
    next: usize,
    /// Inode here of each inode there that has several names, and the other way round.
    here: HashMap<u64, u64>,
    there: HashMap<u64, u64>,
    walked: Walked,
}

/// Compares everything that `find` printed.
pub(super) fn walk_target(
    job: &Job<'_>,
    excludes: &Excludes,
    index: &Index,
    tally: &mut Tally<'_>,
    meter: &mut Meter<'_>,
) -> Result<Walked> {
    let top = Status::of(job.target.as_fd()).doing(|| "looking at the copy's top directory")?;
    let mut comparison = Comparison {
        job,
        excludes,
        index,
        ids: tally.check.ids,
        tally,
        meter,
        device: top.device,
        path: Vec::new(),
        next: 0,
        here: HashMap::new(),
        there: HashMap::new(),
        walked: Walked { met: vec![false; index.len()], ..Walked::default() },
    };
    if index.find(b"") == Some(0) {
        comparison.next = 1;
        comparison.meet(0, &[], job.target.as_fd(), OsStr::new("."), &top)?;
    }
    walk(job.target.as_fd(), &mut comparison)?;
    comparison.missing_until(index.len());
    Ok(comparison.walked)
}

impl Visitor for Comparison<'_, '_, '_> {
    fn enter(&mut self, at: &At<'_>) -> Result<Descend> {
        self.job.cancel.check()?;
        let made_by_mkfs = at.path == b"lost+found" && at.status.kind == Kind::Directory;
        if self.excludes.matches(at.path) || (made_by_mkfs && self.index.find(at.path).is_none()) {
            return Ok(Descend::No);
        }
        let (mut end, mut met) = (self.next, false);
        while end < self.index.len() {
            self.index.path_into(end, &mut self.path);
            let order = order(&self.path, at.path);
            met = order == Ordering::Equal;
            if order != Ordering::Less {
                break;
            }
            end += 1;
        }
        self.missing_until(end);
        if at.status.device != self.device {
            self.cover(at.path);
            return Ok(Descend::No);
        }
        if !met {
            self.differs(at.path, None, Some(at.status), "is not on the source".to_owned());
            return Ok(Descend::No);
        }
        self.next = end + 1;
        self.meet(end, at.path, at.dir, at.name, at.status)?;
        Ok(Descend::Yes)
    }
}

impl Comparison<'_, '_, '_> {
    fn differs(&mut self, path: &[u8], position: Option<usize>, here: Option<&Status>, what: String) {
        let source = position.map(|i| self.index.entry(i).ctime);
        self.tally.note(&Differs { path, source, target: here.map(|s| s.ctime) }, what);
    }

    fn missing_until(&mut self, end: usize) {
        for position in self.next..end {
            let path = self.index.path(position);
            self.differs(&path, Some(position), None, "is missing".to_owned());
            self.count();
        }
        self.next = end;
    }

    /// Passes over what lies below a mount.
    fn cover(&mut self, path: &[u8]) {
        while self.next < self.index.len() {
            let entry = self.index.path(self.next);
            if !(entry.starts_with(path) && matches!(entry.get(path.len()), None | Some(b'/'))) {
                break;
            }
            self.next += 1;
            self.walked.covered += 1;
            self.walked.mount.get_or_insert_with(|| path.to_vec());
        }
    }

    fn count(&mut self) {
        self.tally.verified.entries += 1;
        self.meter.files += 1;
        self.meter.tick();
    }

    fn meet(&mut self, position: usize, path: &[u8], dir: BorrowedFd<'_>, name: &OsStr, here: &Status) -> Result<()> {
        self.count();
        let there = self.index.entry(position);
        self.walked.met[position] = there.kind == here.kind;
        if there.kind != here.kind {
            let what = format!("is {} instead of {}", word(here.kind), word(there.kind));
            self.differs(path, Some(position), Some(here), what);
            return Ok(());
        }
        let doing = || format!("looking at {}", shown(path));
        let mut different = Vec::new();
        if there.mode != here.mode && there.kind != Kind::Symlink {
            different.push(format!("mode {:04o} instead of {:04o}", here.mode, there.mode));
        }
        let owner = (shifted(there.uid, self.ids), shifted(there.gid, self.ids));
        if owner != (here.uid, here.gid) {
            different.push(format!("owner {}:{} instead of {}:{}", here.uid, here.gid, owner.0, owner.1));
        }
        if there.kind == Kind::File && there.size != here.size {
            different.push(format!("{} bytes instead of {}", here.size, there.size));
        }
        if !self.index.same_time(there.mtime, here.mtime) {
            different.push(format!("time {} instead of {}", time(here.mtime), time(there.mtime)));
        }
        if there.kind == Kind::Symlink {
            let link = rustix::fs::readlinkat(dir, name, Vec::new()).doing(doing)?.into_bytes();
            if link != self.index.link(position) {
                let wanted = shown(self.index.link(position));
                different.push(format!("points to {} instead of {wanted}", shown(&link)));
            }
        }
        let first_name = self.names(position, here, &mut different);
        if !different.is_empty() {
            self.differs(path, Some(position), Some(here), different.join(", "));
        }
        if there.kind == Kind::File && there.size == here.size && here.size > 0 && first_name {
            self.walked.contents.push(position);
        }
        self.note_for_later(position, dir, name, here).doing(doing)
    }

    /// Names of one inode must be names of one inode here; tells whether this is the first of them.
    fn names(&mut self, position: usize, here: &Status, different: &mut Vec<String>) -> bool {
        let there = self.index.entry(position);
        if here.kind == Kind::Directory || (there.links < 2 && here.links < 2) {
            return true;
        }
        let first = !self.here.contains_key(&there.inode);
        let same_here = *self.here.entry(there.inode).or_insert(here.inode) == here.inode;
        let same_there = *self.there.entry(here.inode).or_insert(there.inode) == there.inode;
        if !same_here {
            different.push("is no other name of what it is linked with on the source".to_owned());
        } else if !same_there {
            different.push("is linked with what it is not linked with on the source".to_owned());
        }
        first
    }

    fn note_for_later(&mut self, position: usize, dir: BorrowedFd<'_>, name: &OsStr, here: &Status) -> Result<()> {
        if matches!(here.kind, Kind::CharDevice | Kind::BlockDevice) {
            self.walked.devices.insert(position, here.rdev);
        }
        // Those of sockets are not carried, and said when they are made.
        if here.kind != Kind::Socket {
            let xattrs = read_xattrs(dir, name)?;
            if let Some(digest) = digest(&xattrs, self.ids.is_some()) {
                self.walked.xattrs.insert(position, digest);
            }
        }
        Ok(())
    }
}

impl Walked {
    /// Compares what the source was asked for beside the walk.
    pub(super) fn compare_beside(
        &self,
        target: &Rootfs,
        index: &Index,
        beside: &Beside,
        tally: &mut Tally<'_>,
    ) -> Result<()> {
        let mut different: Vec<(usize, String)> = Vec::new();
        for (position, (major, minor)) in &self.devices {
            if let Some(there) = beside.devices.get(position).filter(|there| **there != (*major, *minor)) {
                different.push((*position, format!("device {major}:{minor} instead of {}:{}", there.0, there.1)));
            }
        }
        if let Some(there) = &beside.xattrs {
            let here = self.xattrs.iter().filter(|(i, digest)| there.get(i) != Some(digest));
            let gone = there.keys().filter(|i| self.met[**i] && !self.xattrs.contains_key(i));
            let other = here.map(|(i, _)| i).chain(gone).filter(|i| !beside.unread.contains(i));
            different.extend(other.map(|i| (*i, "other extended attributes".to_owned())));
        }
        different.sort_unstable();
        let mut parents = Parents::new(target)?;
        for (position, what) in different {
            note(&mut parents, index, position, what, tally);
        }
        Ok(())
    }

    /// Says what was not compared.
    pub(super) fn findings(&self, index: &Index, beside: &Beside) -> Vec<Finding> {
        let mut findings = Vec::new();
        if let Some(mount) = &self.mount {
            let title =
                format!("{} entries lie below what is mounted over the copy and were not compared", self.covered);
            findings.push(
                Finding::info("verify-covered", title)
                    .detail(format!("the first mount is {}", shown(mount)))
                    .remedy("compare while the container is stopped")
                    .subject(shown(mount)),
            );
        }
        if beside.xattrs.is_none() {
            findings.push(
                Finding::info("verify-no-getfattr", "extended attributes and ACLs were not compared")
                    .detail("the source has no getfattr")
                    .remedy("install the package attr there to have them compared"),
            );
        }
        if let Some(first) = beside.unread.first() {
            let first = shown(&index.path(*first));
            let title = format!("{} paths are too long to be asked for one by one", beside.unread.len());
            findings.push(
                Finding::info("verify-long-paths", title)
                    .detail(format!("extended attributes, device numbers and content of these were not compared; the first is {first}"))
                    .subject(first),
            );
        }
        findings
    }
}

/// Notes a difference of an entry that is on both sides.
pub(super) fn note(parents: &mut Parents, index: &Index, position: usize, what: String, tally: &mut Tally<'_>) {
    let path = index.path(position);
    let status = parents.place(&path, false).ok().and_then(|place| place.status().ok().flatten());
    let source = Some(index.entry(position).ctime);
    tally.note(&Differs { path: &path, source, target: status.map(|s| s.ctime) }, what);
}

fn shifted(id: u32, ids: Option<IdRange>) -> u32 {
    ids.map_or(id, |range| id.wrapping_add(range.base))
}

fn time(time: Time) -> String {
    format!("{}.{:09}", time.seconds, time.nanoseconds)
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Directory => "a directory",
        Kind::Symlink => "a link",
        Kind::CharDevice => "a character device",
        Kind::BlockDevice => "a block device",
        Kind::Fifo => "a FIFO",
        Kind::Socket => "a socket",
    }
}
