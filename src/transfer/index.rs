//! The index of a tree: what every entry is, in the order of a walk, in about 80 bytes and its name.
//!
//! Type, mode, ids, size and mtime say what an entry is; change time and inode number say whether it is still the same one
//! as in an earlier index, which catches what keeps size and mtime: content written with its time put back, attributes.

use crate::error::{Error, Result};
use crate::rootfs::attributes::{Kind, Time, shown};
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
        let record = &self.records[position];
        Entry {
            kind: record.kind,
            mode: record.mode.into(),
            uid: record.uid,
            gid: record.gid,
            size: record.size,
            blocks: record.blocks.into(),
            mtime: Time { seconds: record.mtime, nanoseconds: record.mtime_nanos },
            ctime: Time { seconds: record.ctime, nanoseconds: record.ctime_nanos },
            links: record.links.into(),
            inode: record.inode,
        }
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
        let start = record.name as usize;
        &self.names[start..start + usize::from(record.name_length)]
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

/// Takes the entries of a walk in which every directory comes before what is in it, names in any order.
#[derive(Debug)]
pub(super) struct Builder {
    records: Vec<Record>,
    names: Vec<u8>,
    /// Path of the directory that is the last of `stack`.
    path: Vec<u8>,
    /// The directories on the way to the last entry: their records, and how much of `path` is theirs.
    stack: Vec<(u32, usize)>,
    whole_seconds: bool,
}

impl Builder {
    pub(super) fn new() -> Builder {
        Builder { records: Vec::new(), names: Vec::new(), path: Vec::new(), stack: Vec::new(), whole_seconds: true }
    }

    /// Says that times come with a fraction.
    pub(super) fn has_fractions(&mut self) {
        self.whole_seconds = false;
    }

    /// Takes one entry at a path below the top, the top first.
    pub(super) fn add(&mut self, path: &[u8], link: &[u8], entry: &Entry) -> Result<()> {
        let slash = path.iter().rposition(|b| *b == b'/');
        let name = &path[slash.map_or(0, |slash| slash + 1)..];
        let parent = if self.records.is_empty() { self.top(path, entry)? } else { self.directory_of(path, slash)? };
        if parent != NONE && (name.is_empty() || name == b"." || name == b".." || name.contains(&0)) {
            return Err(Error::new(format!("{:?} is not a path below the top", shown(path))));
        }
        let large = |what: &str| Error::new(format!("the {what} of {} is beyond measure", shown(path)));
        let position = u32::try_from(self.records.len()).ok().filter(|p| *p != NONE);
        let position = position.ok_or_else(|| Error::new("the tree has more entries than an index can hold"))?;
        let start = u32::try_from(self.names.len()).map_err(|_| Error::new("the names are too long for an index"))?;
        // A quarter at a time: doubling would hold twice of what there is.
        if self.records.len() == self.records.capacity() {
            self.records.reserve_exact(self.records.len() / 4 + 1024);
        }
        if self.names.capacity() - self.names.len() < name.len() + link.len() {
            self.names.reserve_exact(self.names.len() / 4 + name.len() + link.len() + (16 << 10));
        }
        self.names.extend_from_slice(name);
        self.names.extend_from_slice(link);
        self.records.push(Record {
            size: entry.size,
            inode: entry.inode,
            mtime: entry.mtime.seconds,
            ctime: entry.ctime.seconds,
            mtime_nanos: entry.mtime.nanoseconds,
            ctime_nanos: entry.ctime.nanoseconds,
            uid: entry.uid,
            gid: entry.gid,
            blocks: u32::try_from(entry.blocks).unwrap_or(u32::MAX),
            links: u32::try_from(entry.links).map_err(|_| large("number of names"))?,
            parent,
            end: 0,
            name: start,
            name_length: u16::try_from(name.len()).map_err(|_| large("name"))?,
            link_length: u16::try_from(link.len()).map_err(|_| large("link"))?,
            kind: entry.kind,
            mode: u16::try_from(entry.mode).ok().filter(|mode| *mode <= 0o7777).ok_or_else(|| large("mode"))?,
        });
        if entry.kind == Kind::Directory {
            if !self.path.is_empty() {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            self.stack.push((position, self.path.len()));
        }
        Ok(())
    }

    fn top(&self, path: &[u8], entry: &Entry) -> Result<u32> {
        if !path.is_empty() || entry.kind != Kind::Directory {
            return Err(Error::new(format!("the index begins with {:?}, not with the top directory", shown(path))));
        }
        Ok(NONE)
    }

    /// Leaves directories until the last one is that of `path`, whose last slash is at `slash`.
    fn directory_of(&mut self, path: &[u8], slash: Option<usize>) -> Result<u32> {
        let directory = &path[..slash.unwrap_or(0)];
        while let Some((record, length)) = self.stack.last() {
            self.path.truncate(*length);
            // A slash without a directory before it makes the path absolute.
            if self.path == directory && (slash.is_none() || !directory.is_empty()) {
                return Ok(*record);
            }
            self.stack.pop();
        }
        Err(Error::new(format!("the index names {:?} outside of its directory", shown(path))))
    }

    /// Puts the entries in order.
    pub(super) fn finish(self) -> Result<Index> {
        let mut index = Index { records: self.records, names: self.names, whole_seconds: self.whole_seconds };
        if !index.records.is_empty() {
            let order = walk_order(&mut index)?;
            permute(&mut index.records, order);
        }
        index.records.shrink_to_fit();
        index.names.shrink_to_fit();
        Ok(index)
    }
}

/// Returns for each position of the walk which record comes there, and sets parents and ends to positions of the walk.
fn walk_order(index: &mut Index) -> Result<Vec<u32>> {
    let (children, ends) = children(index)?;
    let count = index.records.len();
    let begin = |record: u32| if record == 0 { 0 } else { ends[record as usize - 1] };
    let mut order: Vec<u32> = Vec::with_capacity(count);
    // Directories on the way: their position, and which of their children come next.
    let mut stack = vec![(0_u32, begin(0), ends[0])];
    order.push(0);
    index.records[0].end = u32::try_from(count).unwrap_or(NONE);
    while let Some((dir, next, end)) = stack.last_mut() {
        let position = u32::try_from(order.len()).unwrap_or(NONE);
        if *next == *end {
            index.records[order[*dir as usize] as usize].end = position;
            stack.pop();
            continue;
        }
        let record = children[*next as usize];
        *next += 1;
        order.push(record);
        index.records[record as usize].parent = *dir;
        index.records[record as usize].end = position + 1;
        if index.records[record as usize].kind == Kind::Directory {
            stack.push((position, begin(record), ends[record as usize]));
        }
    }
    Ok(order)
}

/// Returns the records grouped by the directory they are in, names in order, and for each directory where its group ends.
fn children(index: &Index) -> Result<(Vec<u32>, Vec<u32>)> {
    let count = index.records.len();
    let mut ends = vec![0_u32; count];
    for record in &index.records[1..] {
        ends[record.parent as usize] += 1;
    }
    let mut sum = 0;
    for end in &mut ends {
        // For now where the group begins; filling moves it to the end.
        sum += std::mem::replace(end, sum);
    }
    let mut children = vec![0_u32; count - 1];
    for (record, position) in index.records[1..].iter().zip(1..) {
        let next = &mut ends[record.parent as usize];
        children[*next as usize] = position;
        *next += 1;
    }
    let name = |record: u32| index.name_of(&index.records[record as usize]);
    let mut begin = 0;
    for end in &ends {
        let group = &mut children[begin..*end as usize];
        group.sort_unstable_by(|a, b| name(*a).cmp(name(*b)));
        if let Some(pair) = group.windows(2).find(|pair| name(pair[0]) == name(pair[1])) {
            return Err(Error::new(format!("the index names {} twice", shown(name(pair[0])))));
        }
        begin = *end as usize;
    }
    Ok((children, ends))
}

/// Moves to every position the record that `order` names for it, in place.
fn permute(records: &mut [Record], mut order: Vec<u32>) {
    for start in (0_u32..).take(order.len()) {
        let mut hole = start;
        loop {
            let from = std::mem::replace(&mut order[hole as usize], hole);
            if from == start {
                break;
            }
            records.swap(hole as usize, from as usize);
            hole = from;
        }
    }
}

#[cfg(test)]
mod tests;
