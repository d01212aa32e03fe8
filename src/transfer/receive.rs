//! What a pass asked for, and what came of it: each member is taken only in the state that the index saw.

use super::archive::Member;
use super::by_name::LONGEST_PATH;
use super::extract::member_path;
use super::index::{Entry, Index};
use super::meter::Meter;
use super::node_names::NodeNames;
use super::probe::Tar;
use super::saved::Checkpoint;
use super::trouble::Complaint;
use super::{Job, Pass, complete};
use crate::error::Result;
use crate::model::finding::Finding;
use crate::rootfs::attributes::{Kind, shown};
use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Did not come yet.
const MISSING: u8 = 0;
/// A directory that was made and waits for its attributes.
const WAITING: u8 = 1;
/// Is on the target as the index says.
const HERE: u8 = 2;
/// Came, but the source may not have read it well.
const DOUBTED: u8 = 3;
/// Came, and is asked for again.
const AGAIN: u8 = 4;

/// A pass at work; the streams share it.
pub(super) struct Copy<'a> {
    pub(super) job: &'a Job<'a>,
    pub(super) index: &'a Index,
    pub(super) tar: Tar,
    pub(super) names: &'a NodeNames<'a>,
    /// How long to wait before the first attempt to connect again.
    pub(super) patience: Duration,
    needed: Vec<bool>,
    states: Vec<AtomicU8>,
    meter: Mutex<Meter<'a>>,
    /// Bytes that came over the wire.
    pub(super) sent: AtomicU64,
    findings: Mutex<Vec<Finding>>,
    checkpoint: Checkpoint,
    /// Cores of the source.
    pub(super) cores: u64,
    /// What arrives is written to the disk meanwhile.
    pub(super) to_disk: bool,
}

impl<'a> Copy<'a> {
    pub(super) fn new(
        job: &'a Job<'a>,
        index: &'a Index,
        needed: Vec<bool>,
        (tar, names): (Tar, &'a NodeNames<'a>),
        meter: Meter<'a>,
        checkpoint: Checkpoint,
    ) -> Copy<'a> {
        Copy {
            job,
            index,
            tar,
            names,
            patience: Duration::from_secs(1),
            states: needed.iter().map(|_| AtomicU8::new(MISSING)).collect(),
            needed,
            meter: Mutex::new(meter),
            sent: AtomicU64::new(0),
            findings: Mutex::new(Vec::new()),
            checkpoint,
            cores: 1,
            to_disk: false,
        }
    }

    /// Receives all that is needed and returns what could not be carried.
    pub(super) fn everything(&mut self) -> Result<Vec<Finding>> {
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
        let wanted: Vec<usize> = (0..self.index.len()).filter(wanted).collect();
        let mut extractor = self.streams(&wanted, &tops)?;
        complete::make_sockets(self.index, &self.needed, &mut extractor)?.into_iter().for_each(|i| self.arrive(i));
        let joined = complete::join_groups(self.index, &self.needed, |i| self.came(i), &mut extractor)?;
        joined.into_iter().for_each(|i| self.arrive(i));
        let mut findings = extractor.finish()?;
        for state in &self.states {
            let _ = state.compare_exchange(WAITING, HERE, Ordering::Relaxed, Ordering::Relaxed);
        }
        findings.append(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner));
        findings.extend(self.sockets());
        if self.job.pass == Pass::Final {
            let lost = |i: &usize| self.needed[*i] && !self.came(*i);
            complete::check_none(self.index, (0..self.index.len()).filter(lost))?;
        }
        Ok(findings)
    }

    /// Tells whether an entry was needed.
    pub(super) fn is_needed(&self, position: usize) -> bool {
        self.needed[position]
    }

    /// Tells whether an entry came and is complete, its attributes too.
    pub(super) fn arrived(&self, position: usize) -> bool {
        self.states[position].load(Ordering::Relaxed) == HERE
    }

    /// Tells whether an entry came and need not be asked for again in this pass.
    pub(super) fn came(&self, position: usize) -> bool {
        !matches!(self.states[position].load(Ordering::Relaxed), MISSING | AGAIN)
    }

    /// Tells whether an entry came and is asked for again.
    pub(super) fn is_asked_again(&self, position: usize) -> bool {
        self.states[position].load(Ordering::Relaxed) == AGAIN
    }

    /// Returns what came of it: what was needed, what is complete, the meter, and the bytes that came over the wire.
    pub(super) fn outcome(self) -> (Vec<bool>, Vec<bool>, Meter<'a>, u64) {
        let arrived = (0..self.needed.len()).map(|i| self.arrived(i)).collect();
        let meter = self.meter.into_inner().unwrap_or_else(PoisonError::into_inner);
        (self.needed, arrived, meter, self.sent.into_inner())
    }

    pub(super) fn meter(&self) -> MutexGuard<'_, Meter<'a>> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn find(&self, finding: Finding) {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
    }

    /// Takes an entry as complete but for a directory's attributes.
    pub(super) fn arrive(&self, position: usize) {
        self.come(position);
        self.note(position);
    }

    /// Takes an entry of which nobody knows yet whether the source could read it.
    pub(super) fn come(&self, position: usize) {
        let state = if self.index.entry(position).kind == Kind::Directory { WAITING } else { HERE };
        let before = self.states[position].swap(state, Ordering::Relaxed);
        let mut meter = self.meter();
        meter.files += u64::from(before == MISSING);
        meter.tick();
    }

    /// Writes down that an entry need not be sent again, should this process end.
    pub(super) fn note(&self, position: usize) {
        if self.arrived(position) {
            self.checkpoint.note(position);
        }
    }

    /// The source had trouble while it sent these: the next pass sends them again.
    pub(super) fn doubt(&self, positions: &[usize]) {
        for position in positions {
            let _ = self.states[*position].compare_exchange(HERE, DOUBTED, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.checkpoint.take_back(positions);
    }

    /// A stream was given up before it was heard how its tar ended. Of what it `sent`, what may be zeros in place of what could
    /// not be read is asked for again, with all names of its inode: what tar complained about, and the inodes that end in
    /// `zeros`, because the complaint may not have come.
    pub(super) fn take_back(&self, complaint: Complaint, zeros: HashSet<u64>, sent: &[usize]) {
        let mut inodes = zeros;
        let mut all = complaint == Complaint::Anything;
        if let Complaint::Of(names) = complaint {
            for name in names {
                match self.named(&name) {
                    Some(position) => drop(inodes.insert(self.index.entry(position).inode)),
                    None => all = true,
                }
            }
        }
        let again = sent.iter().copied().filter(|i| all || inodes.contains(&self.index.entry(*i).inode));
        let again: Vec<usize> = again.collect();
        for position in &again {
            let _ = self.states[*position].compare_exchange(HERE, AGAIN, Ordering::Relaxed, Ordering::Relaxed);
        }
        self.checkpoint.take_back(&again);
    }

    /// Finds what a name of a message or of an archive means.
    pub(super) fn named(&self, name: &[u8]) -> Option<usize> {
        member_path(name).ok().and_then(|path| self.index.find(&path))
    }

    /// Returns the directories whose contents tar reaches only by descending: some paths below are too long to be opened.
    fn tops_of_long_paths(&self) -> BTreeSet<Vec<u8>> {
        let needed = (0..self.index.len()).filter(|i| self.needed[*i]).map(|i| self.index.path(i));
        needed
            .filter(|path| path.len() > LONGEST_PATH)
            .filter_map(|path| path[..LONGEST_PATH].iter().rposition(|b| *b == b'/').map(|i| path[..i].to_vec()))
            .collect()
    }

    fn expect(&self) {
        let needed = self.index.entries().zip(&self.needed).filter(|(_, needed)| **needed);
        let total = needed.fold((0, 0), |(files, bytes), (e, _)| (files + 1, bytes + e.weight() / e.links.max(1)));
        self.meter().total = Some(total);
    }

    /// Says why a member is not what the index saw.
    pub(super) fn stale(&self, entry: &Entry, member: &Member) -> Result<Option<&'static str>> {
        let Some(kind) = member.kind.entry_kind() else {
            let original = self.index.find(&member_path(&member.link)?).filter(|i| self.came(*i));
            let linked = original.is_some_and(|i| self.index.entry(i).inode == entry.inode);
            return Ok((!linked).then_some("was linked"));
        };
        if kind != entry.kind {
            return Ok(Some("became something else"));
        }
        // Without its change time nothing shows, while the container runs, that a member is its own file.
        let live = self.job.pass == Pass::Live;
        let same = member.ctime.map_or(!live, |ctime| self.index.same_time(entry.ctime, ctime))
            && self.index.same_time(entry.mtime, member.mtime)
            && (entry.uid, entry.gid) == (member.uid, member.gid)
            && (entry.mode == member.mode || kind == Kind::Symlink)
            && (entry.size == member.size || kind != Kind::File);
        Ok((!same).then_some("changed"))
    }

    /// Says that sockets were made anew: nothing on the source shows whether they had extended attributes.
    fn sockets(&self) -> Option<Finding> {
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
}
