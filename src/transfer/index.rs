//! The index of a tree: one line of `find` per entry, in the order of a walk.
//!
//! Type, mode, ids, size and mtime say what an entry is; change time and inode number say whether it is still the same one
//! as in an earlier index, which catches what keeps size and mtime: content written with its time put back, attributes.

use super::exclude::Excludes;
use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::{Kind, Time, shown};
use crate::rootfs::write::components;
use std::cmp::Ordering;
use std::io::{BufRead, Read, Write};

/// What `find -printf` prints for each entry; three fields that end with NUL.
pub(super) const FORMAT: &str = "%y %m %U %G %s %b %T@ %C@ %n %i\\0%P\\0%l\\0";
/// Longest field, a path far beyond PATH_MAX.
const LONGEST: u64 = 1 << 20;

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
    /// Blocks of 512 bytes in use.
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
    fn same_state(&self, other: &Entry) -> bool {
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
    a.iter().map(key).cmp(b.iter().map(key))
}

#[derive(Debug)]
struct Named {
    path: Box<[u8]>,
    link: Box<[u8]>,
    entry: Entry,
}

/// All entries of a tree, in the order of a walk: the top is the first, a directory comes before what is in it.
#[derive(Debug, Default)]
pub(super) struct Index {
    entries: Vec<Named>,
    whole_seconds: bool,
}

impl Index {
    /// Reads what `find` printed, without what is excluded. Output that stops in the middle of an entry is an error.
    pub(super) fn read(
        mut input: impl BufRead,
        excludes: &Excludes,
        mut seen: impl FnMut(u64) -> Result<()>,
    ) -> Result<Index> {
        let mut index = Index { entries: Vec::new(), whole_seconds: true };
        let mut count = 0;
        while let Some((named, fraction)) = read_entry(&mut input)? {
            index.whole_seconds &= !fraction;
            count += 1;
            seen(count)?;
            if !excludes.matches(&named.path) {
                index.entries.push(named);
            }
        }
        index.entries.sort_unstable_by(|a, b| order(&a.path, &b.path));
        let twice = index.entries.windows(2).find(|pair| pair[0].path == pair[1].path);
        if let Some(pair) = twice {
            return Err(Error::new(format!("the index names {} twice", shown(&pair[0].path))));
        }
        Ok(index)
    }

    /// Returns how many entries there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns the entry at a position.
    pub(super) fn entry(&self, position: usize) -> Entry {
        self.entries[position].entry
    }

    /// Returns all entries in order.
    pub(super) fn entries(&self) -> impl Iterator<Item = Entry> + '_ {
        self.entries.iter().map(|named| named.entry)
    }

    /// Returns the path of an entry below the top; empty for the top itself.
    pub(super) fn path(&self, position: usize) -> Vec<u8> {
        self.entries[position].path.to_vec()
    }

    /// Returns where a link points.
    pub(super) fn link(&self, position: usize) -> &[u8] {
        &self.entries[position].link
    }

    /// Returns the directory that an entry is in; `None` for the top and where it is not part of the index.
    pub(super) fn parent(&self, position: usize) -> Option<usize> {
        let path = &self.entries[position].path;
        if path.is_empty() {
            return None;
        }
        self.find(&path[..path.iter().rposition(|b| *b == b'/').unwrap_or(0)])
    }

    /// Returns the position of the entry at `path`.
    pub(super) fn find(&self, path: &[u8]) -> Option<usize> {
        self.entries.binary_search_by(|e| order(&e.path, path)).ok()
    }

    /// Compares a time of this index with one from elsewhere: old versions of `find` print whole seconds only.
    pub(super) fn same_time(&self, indexed: Time, other: Time) -> bool {
        indexed.seconds == other.seconds && (self.whole_seconds || indexed.nanoseconds == other.nanoseconds)
    }

    /// Tells for each entry whether `earlier`, a saved index, holds it in the same state.
    pub(super) fn unchanged_since(&self, mut earlier: impl BufRead) -> Result<Vec<bool>> {
        let mut unchanged = vec![false; self.entries.len()];
        let mut at = 0;
        while let Some((old, _)) = read_entry(&mut earlier)? {
            while self.entries.get(at).is_some_and(|e| order(&e.path, &old.path) == Ordering::Less) {
                at += 1;
            }
            if let Some(now) = self.entries.get(at).filter(|e| e.path == old.path) {
                unchanged[at] = now.link == old.link && now.entry.same_state(&old.entry);
            }
        }
        Ok(unchanged)
    }

    /// Writes one entry in the format that [`Index::read`] takes.
    pub(super) fn write_entry(&self, output: &mut dyn Write, position: usize) -> std::io::Result<()> {
        let Named { path, link, entry } = &self.entries[position];
        let Entry { mode, uid, gid, size, blocks, links, inode, .. } = entry;
        let (mtime, ctime) = (self.time_text(entry.mtime), self.time_text(entry.ctime));
        let kind = LETTERS.iter().find(|(_, kind)| *kind == entry.kind).map_or('?', |(letter, _)| char::from(*letter));
        write!(output, "{kind} {mode:o} {uid} {gid} {size} {blocks} {mtime} {ctime} {links} {inode}\0")?;
        output.write_all(path)?;
        output.write_all(&[0])?;
        output.write_all(link)?;
        output.write_all(&[0])
    }

    fn time_text(&self, time: Time) -> String {
        if self.whole_seconds { time.seconds.to_string() } else { format!("{}.{:09}", time.seconds, time.nanoseconds) }
    }
}

const LETTERS: [(u8, Kind); 7] = [
    (b'f', Kind::File),
    (b'd', Kind::Directory),
    (b'l', Kind::Symlink),
    (b'c', Kind::CharDevice),
    (b'b', Kind::BlockDevice),
    (b'p', Kind::Fifo),
    (b's', Kind::Socket),
];

fn read_entry(input: &mut impl BufRead) -> Result<Option<(Named, bool)>> {
    let Some(facts) = read_field(input)? else { return Ok(None) };
    let cut = || Error::new("the index ends in the middle of an entry");
    let path = read_field(input)?.ok_or_else(cut)?;
    let link = read_field(input)?.ok_or_else(cut)?;
    let label = shown(&path);
    parse(&facts, path, link).map(Some).doing(|| format!("reading the index at {label:?}"))
}

fn read_field(input: &mut impl BufRead) -> Result<Option<Vec<u8>>> {
    let mut field = Vec::new();
    input.take(LONGEST).read_until(0, &mut field).doing(|| "reading the index")?;
    match field.pop() {
        None => Ok(None),
        Some(0) => Ok(Some(field)),
        Some(_) if field.len() as u64 + 1 == LONGEST => Err(Error::new("a name in the index has no end")),
        Some(_) => Err(Error::new("the index ends in the middle of an entry")),
    }
}

fn parse(facts: &[u8], path: Vec<u8>, link: Vec<u8>) -> Result<(Named, bool)> {
    let bad = || Error::new(format!("{:?} does not describe an entry", shown(facts)));
    components(&path)?;
    let fields: Vec<&[u8]> = facts.split(|b| *b == b' ').collect();
    let [letter, mode, uid, gid, size, blocks, mtime, ctime, links, inode] = fields.as_slice() else {
        return Err(bad());
    };
    let kind = LETTERS.iter().find(|(l, _)| [*l] == **letter).map(|(_, kind)| *kind).ok_or_else(bad)?;
    let text = |field: &[u8]| std::str::from_utf8(field).map(str::to_owned).map_err(|_| bad());
    let number = |field: &[u8]| text(field)?.parse::<u64>().map_err(|_| bad());
    let small = |field: &[u8]| u32::try_from(number(field)?).map_err(|_| bad());
    let fraction = mtime.contains(&b'.') || ctime.contains(&b'.');
    let entry = Entry {
        kind,
        mode: u32::from_str_radix(&text(mode)?, 8).map_err(|_| bad())?,
        uid: small(uid)?,
        gid: small(gid)?,
        size: number(size)?,
        blocks: number(blocks)?,
        mtime: parse_time(mtime)?,
        ctime: parse_time(ctime)?,
        links: number(links)?,
        inode: number(inode)?,
    };
    Ok((Named { path: path.into(), link: link.into(), entry }, fraction))
}

/// Parses `SECONDS[.FRACTION]` as `find` prints it: the fraction counts forward, before 1970 too (-1.75 is a quarter of a
/// second before 1970).
fn parse_time(text: &[u8]) -> Result<Time> {
    let bad = || Error::new(format!("{:?} is not a time", shown(text)));
    let text = std::str::from_utf8(text).map_err(|_| bad())?;
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let fraction: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds = fraction.parse().map_err(|_| bad())?;
    Ok(Time { seconds: seconds.parse().map_err(|_| bad())?, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(text: &str) -> Result<Index> {
        Index::read(text.as_bytes(), &Excludes::default(), |_| Ok(()))
    }

    const TREE: &str = "d 755 0 0 4096 8 1.5 2.5 3 10\0\0\0f 4755 1 2 3 8 -2.75 2.0000000010 1 11\0a-b\0\0\
                        d 700 0 0 1 8 1.0 2.0 2 12\0a\0\0l 777 0 0 3 0 1.0 2.0 1 13\0a/x\0to\n\0";

    #[test]
    fn entries_come_in_the_order_of_a_walk() {
        let index = index(TREE).unwrap();
        let paths: Vec<Vec<u8>> = (0..index.len()).map(|i| index.path(i)).collect();
        assert_eq!(paths, [b"".as_slice(), b"a", b"a/x", b"a-b"]);
        let file = index.entry(index.find(b"a-b").unwrap());
        assert_eq!(index.parent(2), Some(1));
        assert_eq!((index.parent(3), index.parent(0)), (Some(0), None));
        assert_eq!((file.mode, file.uid, file.gid, file.size), (0o4755, 1, 2, 3));
        assert_eq!((file.mtime.seconds, file.mtime.nanoseconds), (-2, 750_000_000));
        assert_eq!(file.ctime.nanoseconds, 1);
        assert_eq!(index.link(2), b"to\n");
    }

    #[test]
    fn what_was_saved_is_recognised_and_what_changed_is_not() {
        let index = index(TREE).unwrap();
        let mut saved = Vec::new();
        for position in 0..index.len() {
            index.write_entry(&mut saved, position).unwrap();
        }
        assert_eq!(index.unchanged_since(saved.as_slice()).unwrap(), [true; 4]);
        let changed = super::Index::read(
            TREE.replace("2.0000000010 1 11", "2.0000000020 1 11").replace(" 13\0", " 14\0").as_bytes(),
            &Excludes::default(),
            |_| Ok(()),
        );
        assert_eq!(changed.unwrap().unchanged_since(saved.as_slice()).unwrap(), [true, true, false, false]);
        assert!(index.unchanged_since(&saved[..saved.len() - 2]).is_err());
    }

    #[test]
    fn output_that_is_cut_or_hostile_is_an_error() {
        assert!(index(&TREE[..TREE.len() - 1]).is_err());
        assert!(index(&TREE[..40]).is_err());
        for path in ["../x", "/x", "a/../b"] {
            assert!(index(&format!("f 644 0 0 0 0 1.0 1.0 1 5\0{path}\0\0")).is_err(), "{path}");
        }
        assert!(index("D 644 0 0 0 0 1.0 1.0 1 5\0x\0\0").is_err());
        assert!(index(&format!("{TREE}{TREE}")).is_err());
    }

    #[test]
    fn an_old_find_prints_whole_seconds() {
        let index = index("f 644 0 0 0 0 5 6 1 5\0x\0\0").unwrap();
        let entry = index.entry(0);
        assert!(index.same_time(entry.mtime, Time { seconds: 5, nanoseconds: 77 }));
        assert!(!index.same_time(entry.mtime, Time { seconds: 6, nanoseconds: 0 }));
    }
}
