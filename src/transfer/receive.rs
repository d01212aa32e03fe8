//! Receives what a pass asked for: one `tar` stream of members, each taken only in the state that the index saw.

use super::archive::{Archive, Member, MemberKind, TRUNCATED};
use super::delta::link_groups;
use super::extract::{Extractor, member_path};
use super::index::{Entry, Index, digest_of};
use super::meter::Meter;
use super::node_names::NodeNames;
use super::probe::Tar;
use super::running::watch;
use super::saved::Checkpoint;
use super::stream::{check_status, tar_command};
use super::{Job, Pass};
use crate::error::{Error, Result};
use crate::model::finding::Finding;
use crate::rootfs::attributes::{Attributes, Kind, shown};
use std::collections::{BTreeSet, HashSet};
use std::io::{BufRead, BufReader};

/// Longest path that tar can open in one piece (PATH_MAX is 4096 with the NUL; `./` goes before it).
const LONGEST_PATH: usize = 4000;

/// What tar says about a tree that changes underneath it.
const CHANGING: [&str; 7] = [
    "No such file or directory",
    "Not a directory",
    "File removed before we read it",
    "file changed as we read it",
    "File shrank by",
    "Exiting with failure status",
    "Error exit delayed",
];

/// What a pass asked for, and what came of it.
pub(super) struct Copy<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) index: &'a Index,
    pub(super) needed: Vec<bool>,
    pub(super) arrived: Vec<bool>,
    pub(super) extractor: Extractor,
    pub(super) meter: Meter<'a>,
    pub(super) sent: u64,
    pub(super) checkpoint: Checkpoint,
}

impl Copy<'_> {
    pub(super) fn everything(&mut self, tar: Tar, names: &NodeNames<'_>) -> Result<()> {
        let tops = self.tops_of_long_paths();
        let below = |path: &[u8]| {
            tops.iter().any(|top| path.starts_with(top) && matches!(path.get(top.len()), None | Some(b'/')))
        };
        let long: Vec<bool> = (0..self.index.len()).map(|i| !tops.is_empty() && below(&self.index.path(i))).collect();
        for (needed, long) in self.needed.iter_mut().zip(&long) {
            *needed |= long;
        }
        self.expect();
        let wanted = |i: &usize| self.needed[*i] && !long[*i] && self.index.entry(*i).kind != Kind::Socket;
        let list = name_list((0..self.index.len()).filter(wanted).map(|i| self.index.path(i)));
        self.stream(tar, names, &list, false)?;
        self.stream(tar, names, &name_list(tops.into_iter()), true)?;
        self.make_sockets()?;
        self.join_groups()
    }

    /// Returns the directories whose contents tar reaches only by descending: some paths below are too long to be opened.
    fn tops_of_long_paths(&self) -> BTreeSet<Vec<u8>> {
        let needed = (0..self.index.len()).filter(|i| self.needed[*i]).map(|i| self.index.path(i));
        needed
            .filter(|path| path.len() > LONGEST_PATH)
            .filter_map(|path| path[..LONGEST_PATH].iter().rposition(|b| *b == b'/').map(|i| path[..i].to_vec()))
            .collect()
    }

    fn expect(&mut self) {
        let needed = self.index.entries().zip(&self.needed).filter(|(_, needed)| **needed);
        self.meter.total =
            Some(needed.fold((0, 0), |(files, bytes), (e, _)| (files + 1, bytes + e.weight() / e.links.max(1))));
    }

    fn stream(&mut self, tar: Tar, names: &NodeNames<'_>, list: &[u8], recursive: bool) -> Result<()> {
        if list.is_empty() {
            return Ok(());
        }
        let job = self.job;
        let command = tar_command(&job.tree, tar, recursive);
        let ended = watch(job.source, &command, job.cancel, Some(list), |output| {
            let mut archive = Archive::new(BufReader::with_capacity(256 << 10, output), names);
            let result = self.receive(&mut archive, recursive);
            self.sent += archive.bytes_read();
            result
        })?;
        let status = check_status(job, &command, &ended.output, &CHANGING, 2);
        match (ended.result, status) {
            (Ok(()), status) => status,
            // The reason why a stream is cut is what tar said, or that the connection was lost.
            (Err(e), Err(reason)) if e.chain().iter().any(|line| line == TRUNCATED) => {
                let message = e.chain().join(": ");
                Err(Error::new(message).because(reason))
            }
            (Err(e), _) => Err(e),
        }
    }

    fn receive<R: BufRead>(&mut self, archive: &mut Archive<'_, R>, recursive: bool) -> Result<()> {
        while let Some(member) = archive.next_member()? {
            self.job.cancel.check()?;
            let path = member_path(&member.name)?;
            let Some(position) = self.index.find(&path).filter(|i| self.needed[*i]) else {
                if recursive {
                    continue;
                }
                return Err(Error::new(format!("tar sent {}, which nobody asked for", shown(&path))));
            };
            let entry = self.index.entry(position);
            if let Some(why) = self.stale(&entry, &member)? {
                if self.job.pass == Pass::Live {
                    continue;
                }
                let what = if path.is_empty() { "the top directory".to_owned() } else { shown(&path) };
                let error = Error::new(format!("{what} {why} while it was copied"));
                return Err(error.hint("the container must not run during the last pass: is it stopped?"));
            }
            let meter = &mut self.meter;
            self.extractor.extract(&path, &member, archive, self.job.cancel, &mut |bytes| {
                meter.bytes += bytes;
                meter.tick();
            })?;
            if member.kind != MemberKind::HardLink {
                self.index.set_xattrs(position, digest_of(&member.xattrs));
            }
            self.arrive(position);
        }
        archive.finish()
    }

    fn arrive(&mut self, position: usize) {
        if !std::mem::replace(&mut self.arrived[position], true) {
            self.meter.files += 1;
            self.checkpoint.note(position);
        }
        self.meter.tick();
    }

    /// Says why a member is not what the index saw.
    fn stale(&self, entry: &Entry, member: &Member) -> Result<Option<&'static str>> {
        let kind = match member.kind {
            MemberKind::File => Kind::File,
            MemberKind::Symlink => Kind::Symlink,
            MemberKind::CharDevice(..) => Kind::CharDevice,
            MemberKind::BlockDevice(..) => Kind::BlockDevice,
            MemberKind::Directory => Kind::Directory,
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::HardLink => {
                let original = self.index.find(&member_path(&member.link)?);
                let original = original.filter(|i| self.arrived[*i]).map(|i| self.index.entry(i));
                return Ok(match original {
                    Some(original) if original.inode == entry.inode => None,
                    _ => Some("was linked"),
                });
            }
        };
        if kind != entry.kind {
            return Ok(Some("became something else"));
        }
        let same = member.ctime.is_none_or(|ctime| self.index.same_time(entry.ctime, ctime))
            && self.index.same_time(entry.mtime, member.mtime)
            && (entry.uid, entry.gid) == (member.uid, member.gid)
            && (entry.mode == member.mode || kind == Kind::Symlink)
            && (entry.size == member.size || kind != Kind::File);
        Ok((!same).then_some("changed"))
    }

    /// Makes the sockets, which tar leaves out: one entry for each inode, the other names are joined to it.
    fn make_sockets(&mut self) -> Result<()> {
        let mut made = HashSet::new();
        for (position, entry) in self.index.entries().enumerate() {
            if self.needed[position] && entry.kind == Kind::Socket && made.insert(entry.inode) {
                let Entry { mode, uid, gid, mtime, .. } = entry;
                let attributes = Attributes { mode, uid, gid, mtime, ..Attributes::default() };
                self.extractor.make_socket(&self.index.path(position), &attributes)?;
                self.arrive(position);
            }
        }
        Ok(())
    }

    /// Says that sockets were made anew: nothing on the source shows whether they had extended attributes.
    pub(super) fn sockets(&self) -> Option<Finding> {
        let is_socket = |i: &usize| self.needed[*i] && self.index.entry(*i).kind == Kind::Socket;
        let mut sockets = (0..self.index.len()).filter(is_socket);
        let first = shown(&self.index.path(sockets.next()?));
        let count = sockets.count() + 1;
        let title = format!("{count} sockets were made anew with owner, mode and time, without extended attributes");
        Some(
            Finding::info("copy-sockets", title)
                .detail(format!("the first of them is {first}"))
                .remedy("nothing, unless a program sets an ACL on a socket that it does not make itself")
                .subject(first),
        )
    }

    /// Makes the names of one inode one inode on the target: those of sockets, and those that came in different streams.
    fn join_groups(&mut self) -> Result<()> {
        for group in link_groups(self.index).values() {
            let Some(first) = group.iter().copied().find(|i| self.needed[*i] && self.arrived[*i]) else { continue };
            for other in group.iter().copied().filter(|i| *i != first) {
                let ours = self.arrived[other] || self.index.entry(other).kind == Kind::Socket;
                let (name, original) = (self.index.path(other), self.index.path(first));
                if ours && !self.extractor.same(&name, &original)? {
                    self.extractor.hard_link(&name, &original)?;
                    self.arrive(other);
                }
            }
        }
        Ok(())
    }

    /// Fails on the last pass when something that was asked for did not come.
    pub(super) fn check_complete(&self) -> Result<()> {
        let lost = |i: usize| (self.needed[i] && !self.arrived[i]).then(|| shown(&self.index.path(i)));
        let missing: Vec<String> = (0..self.index.len()).filter_map(lost).collect();
        if self.job.pass == Pass::Live || missing.is_empty() {
            return Ok(());
        }
        let first = missing.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        Err(Error::new(format!("{} entries did not arrive, the first of them {first}", missing.len())))
    }
}

fn name_list(paths: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut list = Vec::new();
    for path in paths {
        // Never begins with a dash, and the top is `./`.
        list.extend_from_slice(b"./");
        list.extend_from_slice(&path);
        list.push(0);
    }
    list
}
