//! What comes before the entries in a saved index.

use crate::error::{Error, Result};
use crate::transfer::index::{Entry, Index};
use crate::transfer::{Pass, shares};
use std::io::Read;

const MAGIC: &[u8] = b"ovz2lxc index 5\0";
/// Where the mark is that says how the pass ended.
pub(super) const MARK: usize = MAGIC.len();
/// The mark of a pass that is at work, or did not end well.
pub(super) const AT_WORK: u8 = b'P';
const ENDED_WELL: u8 = b'W';

/// What comes before the entries.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The pass ended well.
    pub(super) whole: bool,
    /// What the index belongs to.
    pub(super) key: Vec<u8>,
    /// The target's [stamp](crate::transfer::stamp); while a pass is at work only what the target is.
    pub(super) stamp: Vec<u8>,
    pub(super) before: Before,
}

/// What a pass may know before it lists the source.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::transfer) struct Before {
    /// Inode number of the source's top directory.
    pub(super) top: u64,
    /// How many entries there were; 0 when nothing is known.
    pub(in crate::transfer) entries: u64,
    /// See [`shares::bounds`].
    pub(in crate::transfer) bounds: Vec<u64>,
}

impl Header {
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.push(if self.whole { ENDED_WELL } else { AT_WORK });
        for part in [&self.key, &self.stamp, &self.before.numbers()] {
            bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    pub(super) fn read(input: &mut impl Read) -> Result<Header> {
        let mut start = [0; MARK + 1];
        input.read_exact(&mut start)?;
        if &start[..MARK] != MAGIC {
            return Err(Error::new("it is not an index of this version"));
        }
        let mut part = || -> Result<Vec<u8>> {
            let mut length = [0; 8];
            input.read_exact(&mut length)?;
            let length = u64::from_le_bytes(length);
            let mut bytes = Vec::new();
            if length > 64 << 10 || input.take(length).read_to_end(&mut bytes)? as u64 != length {
                return Err(Error::new("its beginning is damaged"));
            }
            Ok(bytes)
        };
        let (key, stamp, before) = (part()?, part()?, Before::read(&part()?));
        Ok(Header { whole: start[MARK] == ENDED_WELL, key, stamp, before })
    }
}

impl Before {
    pub(super) fn of(index: &Index) -> Before {
        let top = if index.len() > 0 { index.entry(0).inode } else { 0 };
        Before { top, entries: index.len() as u64, bounds: shares::bounds(index) }
    }

    fn numbers(&self) -> Vec<u8> {
        [self.top, self.entries].iter().chain(&self.bounds).flat_map(|number| number.to_le_bytes()).collect()
    }

    fn read(numbers: &[u8]) -> Before {
        let mut numbers = numbers.chunks_exact(8).map(|b| u64::from_le_bytes(b.try_into().unwrap_or_default()));
        let mut next = || numbers.next().unwrap_or_default();
        Before { top: next(), entries: next(), bounds: numbers.collect() }
    }

    /// Fails when the tree is not the one that was copied before: a file system that is no longer mounted leaves an empty
    /// directory, and the copy would be emptied too. While the container runs another tree that is not much smaller is taken.
    pub(in crate::transfer) fn check(&self, top: &Entry, entries: u64, pass: Pass) -> Result<()> {
        if self.entries == 0 || self.top == top.inode || (pass == Pass::Live && entries >= self.entries / 10) {
            return Ok(());
        }
        let (now, then) = (format!("{entries} entries, inode {}", top.inode), self.entries);
        Err(Error::new(format!(
            "the tree is not the one of the pass before: {now}, not {then} entries, inode {}",
            self.top
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        let before = Before { top: 2, entries: 9, bounds: vec![1, 2, 3, u64::MAX, 5, 6, 7] };
        Header { whole: true, key: b"key".to_vec(), stamp: b"stamp".to_vec(), before }
    }

    #[test]
    fn a_header_is_read_as_it_was_written() {
        assert_eq!(Header::read(&mut header().bytes().as_slice()).unwrap(), header());
        let nothing = Header { whole: false, before: Before::default(), ..header() };
        assert_eq!(Header::read(&mut nothing.bytes().as_slice()).unwrap(), nothing);
    }

    #[test]
    fn an_index_of_another_version_or_cut_is_not_read() {
        let ours = header().bytes();
        // Version 2 had a digest of attributes in each entry, version 3 no bounds, version 4 the target a second time.
        let mut earlier = ours.clone();
        earlier[MARK - 2] = b'4';
        let error = Header::read(&mut earlier.as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "it is not an index of this version");
        for length in 0..ours.len() {
            assert!(Header::read(&mut &ours[..length]).is_err(), "{length}");
        }
    }
}
