//! What has to be sent and what has to go: the source's index against what is on the target.

use super::exclude::Excludes;
use super::index::{Index, order};
use crate::cancel::Cancel;
use crate::error::{Doing, Result};
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::{Kind, Status, shown};
use crate::rootfs::walk::{At, Descend, Visitor, remove, walk};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};
use std::os::fd::AsFd;

/// The outcome of a comparison.
pub(super) struct Delta {
    /// For each entry of the index, whether it has to be sent.
    pub(super) needed: Vec<bool>,
    /// How many entries were removed from the target.
    pub(super) deleted: u64,
}

/// Compares `index` with the target and removes there what the source does not have or has as another type. An entry stays
/// unsent only when `unchanged` vouches for it and the target's entry looks the same. Hard links are sent as whole groups,
/// and with every entry its directory, because making the entry changes the directory's time.
pub(super) fn compare(
    index: &Index,
    unchanged: &[bool],
    excludes: &Excludes,
    target: &Rootfs,
    cancel: &Cancel,
) -> Result<Delta> {
    let mut comparison = Comparison {
        index,
        unchanged,
        excludes,
        cancel,
        needed: vec![false; index.len()],
        deleted: 0,
        next: 0,
        touched: HashSet::new(),
        inodes: HashMap::new(),
    };
    if index.find(b"") == Some(0) {
        let status = Status::of(target.as_fd()).doing(|| "looking at the target's top directory")?;
        comparison.needed[0] = !(unchanged[0] && comparison.looks_same(0, &status, || Ok(Vec::new()))?);
        comparison.next = 1;
    }
    walk(target.as_fd(), &mut comparison).doing(|| format!("comparing with {}", target.path().display()))?;
    comparison.needed[comparison.next..].fill(true);
    comparison.complete_groups();
    comparison.add_directories();
    Ok(Delta { needed: comparison.needed, deleted: comparison.deleted })
}

struct Comparison<'a> {
    index: &'a Index,
    unchanged: &'a [bool],
    excludes: &'a Excludes,
    cancel: &'a Cancel,
    needed: Vec<bool>,
    deleted: u64,
    /// The first entry of the index that the walk did not reach yet.
    next: usize,
    /// Directories in which something was removed.
    touched: HashSet<Vec<u8>>,
    /// Inodes on the target of the hard links that need not be sent, by position in the index.
    inodes: HashMap<usize, u64>,
}

impl Visitor for Comparison<'_> {
    fn enter(&mut self, at: &At<'_>) -> Result<Descend> {
        self.cancel.check()?;
        if self.is_kept(at) {
            return Ok(Descend::No);
        }
        while self.next < self.index.len() {
            match order(&self.index.path(self.next), at.path) {
                Ordering::Less => {
                    self.needed[self.next] = true;
                    self.next += 1;
                }
                Ordering::Equal => {
                    self.next += 1;
                    return self.meet(self.next - 1, at);
                }
                Ordering::Greater => break,
            }
        }
        self.remove(at)?;
        Ok(Descend::No)
    }
}

impl Comparison<'_> {
    /// What is excluded is not ours to remove; neither is what mkfs made at the top of a volume.
    fn is_kept(&self, at: &At<'_>) -> bool {
        let made_by_mkfs = at.path == b"lost+found" && at.status.kind == Kind::Directory;
        self.excludes.matches(at.path) || (made_by_mkfs && self.index.find(at.path).is_none())
    }

    fn remove(&mut self, at: &At<'_>) -> Result<()> {
        self.deleted += remove(at.dir, at.name).doing(|| format!("removing {} from the target", shown(at.path)))?;
        let parent = at.path.iter().rposition(|b| *b == b'/').map_or(0, |slash| slash);
        self.touched.insert(at.path[..parent].to_vec());
        Ok(())
    }

    fn meet(&mut self, position: usize, at: &At<'_>) -> Result<Descend> {
        let entry = self.index.entry(position);
        if entry.kind != at.status.kind {
            self.remove(at)?;
            self.needed[position] = true;
            return Ok(Descend::No);
        }
        let link = || Ok(rustix::fs::readlinkat(at.dir, at.name, Vec::new())?.into_bytes());
        let same = self.unchanged[position] && self.looks_same(position, at.status, link)?;
        self.needed[position] = !same;
        if same && entry.is_linked() {
            self.inodes.insert(position, at.status.inode);
        }
        Ok(Descend::Yes)
    }

    fn looks_same(&self, position: usize, found: &Status, link: impl FnOnce() -> Result<Vec<u8>>) -> Result<bool> {
        let entry = self.index.entry(position);
        let attributes = entry.kind == found.kind
            && (entry.mode == found.mode || entry.kind == Kind::Symlink)
            && (entry.uid, entry.gid) == (found.uid, found.gid)
            && self.index.same_time(entry.mtime, found.mtime);
        Ok(attributes
            && match entry.kind {
                Kind::File => entry.size == found.size,
                Kind::Symlink => self.index.link(position) == link()?,
                _ => true,
            })
    }

    /// Sends all names of an inode when one of them is sent, or when the target's names are not one inode.
    fn complete_groups(&mut self) {
        for group in link_groups(self.index).values() {
            let inode = self.inodes.get(&group[0]);
            if inode.is_none() || group.iter().any(|i| self.needed[*i] || self.inodes.get(i) != inode) {
                group.iter().for_each(|i| self.needed[*i] = true);
            }
        }
    }

    fn add_directories(&mut self) {
        for path in &self.touched {
            if let Some(position) = self.index.find(path) {
                self.needed[position] = true;
            }
        }
        // From the end: a directory comes before what is in it, and one that is sent has its own sent too.
        for position in (0..self.needed.len()).rev().filter(|i| self.needed[*i]).collect::<Vec<_>>() {
            if let Some(parent) = self.index.parent(position) {
                self.needed[parent] = true;
            }
        }
    }
}

/// Returns the positions of all names of each inode that has several, by inode number.
pub(super) fn link_groups(index: &Index) -> HashMap<u64, Vec<usize>> {
    let mut groups: HashMap<u64, Vec<usize>> = HashMap::new();
    for (position, entry) in index.entries().enumerate().filter(|(_, e)| e.is_linked()) {
        groups.entry(entry.inode).or_default().push(position);
    }
    groups
}
