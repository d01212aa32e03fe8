//! How an index is made: entries as they come, put in order at the end.

use super::{Entry, Index, NONE, Record, name_in};
use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::{Kind, shown};
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

/// Takes the entries of one walk, or of several of the same tree at once.
#[derive(Debug)]
pub(in crate::transfer) struct Builder {
    pub(super) records: Vec<Record>,
    pub(super) names: Vec<u8>,
    whole_seconds: bool,
    /// With several walks, all of which name all directories: what they named.
    directories: Option<Directories>,
}

/// The directories that several walks name.
#[derive(Debug)]
struct Directories {
    walks: u32,
    /// By a hash of the record of the directory that it is in, and its name: the record, and how many walks named it.
    found: HashMap<u64, (u32, u32)>,
    hasher: RandomState,
}

/// How far a walk is, in which every directory comes before what is in it, names in any order.
#[derive(Debug, Default)]
pub(in crate::transfer) struct Walk {
    /// Path of the directory that is the last of `stack`.
    path: Vec<u8>,
    /// The directories on the way to the last entry: their records, and how much of `path` is theirs.
    stack: Vec<(u32, usize)>,
    begun: bool,
}

impl Builder {
    /// Makes one that takes so many walks.
    pub(in crate::transfer) fn new(walks: usize) -> Builder {
        let several = u32::try_from(walks).ok().filter(|walks| *walks > 1);
        let directories = several.map(|walks| Directories { walks, found: HashMap::new(), hasher: RandomState::new() });
        Builder { records: Vec::new(), names: Vec::new(), whole_seconds: true, directories }
    }

    /// Says that times come with a fraction.
    pub(in crate::transfer) fn has_fractions(&mut self) {
        self.whole_seconds = false;
    }

    /// Takes one entry of a walk at a path below the top, the top first.
    pub(in crate::transfer) fn add(&mut self, walk: &mut Walk, path: &[u8], link: &[u8], entry: &Entry) -> Result<()> {
        let slash = path.iter().rposition(|b| *b == b'/');
        let name = &path[slash.map_or(0, |slash| slash + 1)..];
        let parent = if walk.begun { walk.directory_of(path, slash)? } else { walk.top(path, entry)? };
        if parent != NONE && (name.is_empty() || name == b"." || name == b".." || name.contains(&0)) {
            return Err(Error::new(format!("{:?} is not a path below the top", shown(path))));
        }
        let doing = || format!("taking {:?} into the index", shown(path));
        if entry.kind != Kind::Directory {
            return self.push(parent, name, link, entry).map(drop).doing(doing);
        }
        let record = self.directory(parent, name, entry).doing(doing)?;
        walk.enter(name, record);
        Ok(())
    }

    /// Returns the record of a directory, made by the first walk that names it.
    fn directory(&mut self, parent: u32, name: &[u8], entry: &Entry) -> Result<u32> {
        let hash = |directories: &Directories| directories.hasher.hash_one((parent, name));
        let found = self.directories.as_mut().and_then(|known| known.found.get_mut(&hash(known)));
        if let Some((record, walks)) = found {
            let known = &self.records[*record as usize];
            // Names of two directories have one hash hardly ever; then one walk has to do.
            let same = known.parent == parent && name_in(&self.names, known) == name;
            if !same || !known.entry().same_state(entry) {
                return Err(Error::new("it is not what another walk saw"));
            }
            *walks += 1;
            return Ok(*record);
        }
        let record = self.push(parent, name, &[], entry)?;
        if let Some(known) = &mut self.directories {
            known.found.insert(hash(known), (record, 1));
        }
        Ok(record)
    }

    fn push(&mut self, parent: u32, name: &[u8], link: &[u8], entry: &Entry) -> Result<u32> {
        let large = |what: &str| Error::new(format!("its {what} is beyond measure"));
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
        Ok(position)
    }

    /// Puts the entries in order.
    pub(in crate::transfer) fn finish(mut self) -> Result<Index> {
        if let Some(known) = self.directories.take()
            && let Some((record, _)) = known.found.values().find(|(_, walks)| *walks != known.walks)
        {
            let name = shown(name_in(&self.names, &self.records[*record as usize]));
            return Err(Error::new(format!("the walks do not agree on directory {name}")));
        }
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

impl Walk {
    fn top(&mut self, path: &[u8], entry: &Entry) -> Result<u32> {
        if !path.is_empty() || entry.kind != Kind::Directory {
            return Err(Error::new(format!("the index begins with {:?}, not with the top directory", shown(path))));
        }
        self.begun = true;
        Ok(NONE)
    }

    fn enter(&mut self, name: &[u8], record: u32) {
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        self.stack.push((record, self.path.len()));
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
