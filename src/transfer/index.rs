//! The index of a tree: what every entry is, in the order of a walk, in about 80 bytes and its name.
//!
//! Type, mode, ids, size and mtime say what an entry is; change time and inode number say whether it is still the same one
//! as in an earlier index, which catches what keeps size and mtime: content written with its time put back, attributes.

mod builder;

pub(super) use builder::{Builder, Walk};

use crate::rootfs::attributes::{Kind, Time};
use std::cmp::Ordering;

/// No parent: the top.
const NONE: u32 = u32::MAX;

/// One entry of a tree, without its name: [`Index::path`], [`Index::link`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// What it is.
    pub(super) kind: Kind,
    /// Permission, set-id and sticky bits (07777).
    pub(super) mode: u32,
    /// Owner.
    pub(super) uid: u32,
    /// Group.
    pub(super) gid: u32,
    /// Size in bytes.
    pub(super) size: u64,
    /// Blocks of 512 bytes in use, at most 2^32 - 1.
    pub(super) blocks: u64,
    /// Last change of the content.
    pub(super) mtime: Time,
    /// Last change of the inode.
    pub(super) ctime: Time,
    /// Number of names.
    pub(super) links: u64,
    /// Inode number.
    pub(super) inode: u64,
}

impl Entry {
    /// Tells whether this is the same entry in the same state. Blocks do not count: they change when a file is written
    /// back, long after the change.
    pub(super) fn same_state(&self, other: &Entry) -> bool {
        Entry { blocks: 0, ..*self } == Entry { blocks: 0, ..*other }
    }

    /// Tells whether it is one of several names of an inode.
    pub(super) fn is_linked(&self) -> bool {
        self.kind != Kind::Directory && self.links > 1
    }

    /// Returns about how many bytes of content it has to send.
    pub(super) fn weight(&self) -> u64 {
        if self.kind == Kind::File { self.size.min(self.blocks.saturating_mul(512)) } else { 0 }
    }
}

/// The order of a walk: a directory before what is in it, names in byte order.
pub(super) fn order(a: &[u8], b: &[u8]) -> Ordering {
    // No name holds a NUL, so it stands for the slash: `a/x` comes before `a-b`.
    let key = |b: &u8| if *b == b'/' { 0 } else { *b };
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a[same..].iter().map(key).cmp(b[same..].iter().map(key))
}

/// An entry as it is held; a test counts the bytes.
#[derive(Debug)]
struct Record {
    size: u64,
    inode: u64,
    mtime: i64,
    ctime: i64,
    mtime_nanos: u32,
    ctime_nanos: u32,
    uid: u32,
    gid: u32,
    blocks: u32,
    links: u32,
    /// Position of the directory it is in.
    parent: u32,
    /// Position after the last entry below it.
    end: u32,
    /// Where its name begins in the arena; where its link points follows.
    name: u32,
    name_length: u16,
    link_length: u16,
    kind: Kind,
    mode: u16,
}

impl Record {
    fn entry(&self) -> Entry {
        Entry {
            kind: self.kind,
            mode: self.mode.into(),
            uid: self.uid,
            gid: self.gid,
            size: self.size,
            blocks: self.blocks.into(),
            mtime: Time { seconds: self.mtime, nanoseconds: self.mtime_nanos },
            ctime: Time { seconds: self.ctime, nanoseconds: self.ctime_nanos },
            links: self.links.into(),
            inode: self.inode,
        }
    }
}

fn name_in<'n>(names: &'n [u8], record: &Record) -> &'n [u8] {
    let start = record.name as usize;
    &names[start..start + usize::from(record.name_length)]
}

/// All entries of a tree, in the order of a walk: the top is the first, a directory comes before what is in it.
#[derive(Debug, Default)]
pub(super) struct Index {
    records: Vec<Record>,
    names: Vec<u8>,
    whole_seconds: bool,
}

impl Index {
    /// Returns how many entries there are.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns the entry at a position.
    pub(super) fn entry(&self, position: usize) -> Entry {
        self.records[position].entry()
    }

    /// Returns all entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        (0..self.len()).map(|position| self.entry(position))
    }

    /// Returns the name of an entry in its directory; empty for the top.
    pub(super) fn name(&self, position: usize) -> &[u8] {
        self.name_of(&self.records[position])
    }

    fn name_of(&self, record: &Record) -> &[u8] {
        name_in(&self.names, record)
    }

    /// Returns the path of an entry below the top; empty for the top itself.
    pub(super) fn path(&self, position: usize) -> Vec<u8> {
        let mut path = Vec::new();
        self.path_into(position, &mut path);
        path
    }

    /// Puts the path of an entry into `path`, in place of what is there.
    pub(super) fn path_into(&self, position: usize, path: &mut Vec<u8>) {
        let up = |position: &usize| self.parent(*position);
        let chain = || std::iter::successors(Some(position), up).filter(|position| *position != 0);
        let length: usize = chain().map(|p| self.name(p).len() + 1).sum();
        path.clear();
        path.resize(length.saturating_sub(1), b'/');
        let mut end = path.len();
        for ancestor in chain() {
            let name = self.name(ancestor);
            path[end - name.len()..end].copy_from_slice(name);
            end = end.saturating_sub(name.len() + 1);
        }
    }

    /// Returns where a link points.
    pub(super) fn link(&self, position: usize) -> &[u8] {
        let record = &self.records[position];
        let start = record.name as usize + usize::from(record.name_length);
        &self.names[start..start + usize::from(record.link_length)]
    }

    /// Returns the directory that an entry is in; `None` for the top.
    pub(super) fn parent(&self, position: usize) -> Option<usize> {
        Some(self.records[position].parent).filter(|parent| *parent != NONE).map(|parent| parent as usize)
    }

    /// Returns the position after the last entry below this one.
    pub(super) fn end(&self, position: usize) -> usize {
        self.records[position].end as usize
    }

    /// Returns the position of the entry at `path`.
    pub(super) fn find(&self, path: &[u8]) -> Option<usize> {
        let mut names = path.split(|b| *b == b'/').filter(|_| !path.is_empty());
        (self.len() > 0).then_some(0).and_then(|top| names.try_fold(top, |dir, name| self.child(dir, name)))
    }

    /// Returns the position of the entry `name` in the directory at `dir`.
    fn child(&self, dir: usize, name: &[u8]) -> Option<usize> {
        let (mut low, mut high) = (dir + 1, self.end(dir));
        while low < high {
            let mut middle = low + (high - low) / 2;
            // Up to the entry of this directory that the middle is below.
            while self.parent(middle)? != dir {
                middle = self.parent(middle)?;
            }
            match self.name(middle).cmp(name) {
                Ordering::Less => low = self.end(middle),
                Ordering::Equal => return Some(middle),
                Ordering::Greater => high = middle,
            }
        }
        None
    }

    /// Compares a time of this index with one from elsewhere: old versions of `find` print whole seconds only.
    pub(super) fn same_time(&self, indexed: Time, other: Time) -> bool {
        indexed.seconds == other.seconds && (self.whole_seconds || indexed.nanoseconds == other.nanoseconds)
    }
}

#[cfg(test)]
mod tests;
