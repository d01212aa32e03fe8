//! What has to be sent and what has to go: the source's index against what is on the target.

use super::difference::Difference;
use super::exclude::Excludes;
use super::index::{Index, order};
use crate::cancel::Cancel;
use crate::error::{Doing, Result};
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::{Kind, Status, shown};
use crate::rootfs::walk::{At, Descend, Visitor, remove, walk};
use crate::rootfs::write::Parents;
use rustix::fs::RenameFlags;
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
        path: Vec::new(),
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
    if index.len() > 0 {
        let status = Status::of(target.as_fd()).doing(|| "looking at the target's top directory")?;
        comparison.needed[0] = !(unchanged[0] && comparison.looks_same(0, &status, || Ok(Vec::new()))?);
        comparison.next = 1;
    }
    walk(target.as_fd(), &mut comparison).doing(|| format!("comparing with {}", target.path().display()))?;
    comparison.needed[comparison.next..].fill(true);
    comparison.complete_groups();
    let Comparison { mut needed, deleted, touched, .. } = comparison;
    add_directories(index, &mut needed, touched);
    Ok(Delta { needed, deleted })
}

/// Brings the target's names up to `difference`, from the index that it was made equal to: what is gone is removed, what
/// moved is renamed. No look at the target is needed for the rest.
pub(super) fn apply(
    index: &Index,
    difference: Difference,
    excludes: &Excludes,
    target: &Rootfs,
    cancel: &Cancel,
) -> Result<Delta> {
    let Difference { same, mut gone, retyped, moved } = difference;
    let mut needed: Vec<bool> = same.iter().map(|same| !same).collect();
    let mut removal = Removal { index, target, cancel, touched: HashSet::new(), deleted: 0 };
    let paths: Vec<Vec<u8>> = retyped.into_iter().map(|position| index.path(position)).collect();
    removal.remove(paths.iter())?;
    for (from, to) in moved {
        if rename(target, &from, &index.path(to))? {
            removal.touched.extend(index.find(above(&from)));
        } else {
            needed[to..index.end(to)].fill(true);
            gone.push(from);
        }
    }
    removal.remove(gone.iter().filter(|path| !excludes.matches(path) && path.as_slice() != LOST_FOUND))?;
    for group in link_groups(index).values() {
        if group.iter().any(|i| needed[*i]) {
            group.iter().for_each(|i| needed[*i] = true);
        }
    }
    add_directories(index, &mut needed, removal.touched);
    Ok(Delta { needed, deleted: removal.deleted })
}

struct Removal<'a> {
    index: &'a Index,
    target: &'a Rootfs,
    cancel: &'a Cancel,
    touched: HashSet<usize>,
    deleted: u64,
}

impl Removal<'_> {
    fn remove<'p>(&mut self, paths: impl Iterator<Item = &'p Vec<u8>>) -> Result<()> {
        let mut parents = Parents::new(self.target)?;
        for path in paths {
            self.cancel.check()?;
            // A directory that never arrived is made here, and gets its attributes with the touched ones.
            let place = parents.place(path, true)?;
            self.deleted +=
                remove(place.dir, place.name).doing(|| format!("removing {} from the target", shown(path)))?;
            self.touched.extend(self.index.find(above(path)));
        }
        Ok(())
    }
}

/// Renames a directory on the target. False when that cannot be done: its content has to be sent then.
fn rename(target: &Rootfs, from: &[u8], to: &[u8]) -> Result<bool> {
    let (mut here, mut there) = (Parents::new(target)?, Parents::new(target)?);
    let there = there.place(to, true)?;
    let here = here.place(from, true)?;
    let renamed = rustix::fs::renameat_with(here.dir, here.name, there.dir, there.name, RenameFlags::NOREPLACE);
    Ok(renamed.is_ok())
}

/// What mkfs makes at the top of a volume; it is not ours to remove.
pub(super) const LOST_FOUND: &[u8] = b"lost+found";

fn above(path: &[u8]) -> &[u8] {
    &path[..path.iter().rposition(|b| *b == b'/').unwrap_or(0)]
}

/// Adds the directories in which something is made or was removed: that changes their times.
fn add_directories(index: &Index, needed: &mut [bool], touched: HashSet<usize>) {
    for position in touched {
        needed[position] = true;
    }
    // From the end: a directory comes before what is in it, and one that is sent has its own sent too.
    for position in (0..needed.len()).rev() {
        if let Some(parent) = index.parent(position).filter(|_| needed[position]) {
            needed[parent] = true;
        }
    }
}

struct Comparison<'a> {
    /// The path of the entry that is looked at.
    path: Vec<u8>,
    index: &'a Index,
    unchanged: &'a [bool],
    excludes: &'a Excludes,
    cancel: &'a Cancel,
    needed: Vec<bool>,
    deleted: u64,
    /// The first entry of the index that the walk did not reach yet.
    next: usize,
    /// Directories in which something was removed.
    touched: HashSet<usize>,
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
            self.index.path_into(self.next, &mut self.path);
            match order(&self.path, at.path) {
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
        let made_by_mkfs = at.path == LOST_FOUND && at.status.kind == Kind::Directory;
        self.excludes.matches(at.path) || (made_by_mkfs && self.index.find(at.path).is_none())
    }

    fn remove(&mut self, at: &At<'_>) -> Result<()> {
        self.deleted += remove(at.dir, at.name).doing(|| format!("removing {} from the target", shown(at.path)))?;
        self.touched.extend(self.index.find(above(at.path)));
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
}

/// Returns the positions of all names of each inode that has several, by inode number.
pub(super) fn link_groups(index: &Index) -> HashMap<u64, Vec<usize>> {
    let mut groups: HashMap<u64, Vec<usize>> = HashMap::new();
    for (position, entry) in index.entries().enumerate().filter(|(_, e)| e.is_linked()) {
        groups.entry(entry.inode).or_default().push(position);
    }
    groups
}
