//! Maps of sparse files: which parts of a file the archive's bytes are.

use super::{BLOCK, number, pax};
use crate::error::{Error, Result};

/// Most extents of one file; 64 MiB of memory.
const MOST_EXTENTS: usize = 4 << 20;

/// The parts of a sparse file that hold data, in order.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Extents {
    pub(super) real: u64,
    pub(super) extents: Vec<(u64, u64)>,
}

impl Extents {
    pub(super) fn new(real: u64) -> Extents {
        Extents { real, extents: Vec::new() }
    }

    /// Adds an extent, which must lie behind the last one and inside the file.
    pub(super) fn push(&mut self, offset: u64, length: u64) -> Result<()> {
        let last = self.extents.last().map_or(0, |(offset, length)| offset + length);
        let end = offset.checked_add(length).filter(|end| *end <= self.real && offset >= last);
        if end.is_none() {
            return Err(Error::new("the map of a sparse member does not fit its file"));
        }
        if self.extents.len() == MOST_EXTENTS {
            return Err(Error::new("the map of a sparse member has too many parts"));
        }
        if length > 0 {
            self.extents.push((offset, length));
        }
        Ok(())
    }

    /// Adds an extent of GNU's old format; an empty field is the end of the map.
    pub(super) fn push_old(&mut self, offset: &[u8], length: &[u8]) -> Result<()> {
        if offset[0] == 0 || length[0] == 0 {
            return Ok(());
        }
        let value = |field| u64::try_from(number(field)?).map_err(|_| Error::new("a sparse map has a negative number"));
        self.push(value(offset)?, value(length)?)
    }

    /// Fails unless the extents are exactly the bytes that follow.
    pub(super) fn check(&self, stored: u64) -> Result<()> {
        if self.extents.iter().map(|(_, length)| length).sum::<u64>() == stored {
            Ok(())
        } else {
            // What tar makes, without a word, of an error of the disk where its kernel does not tell it the holes.
            let hint = "the source may be unable to read this file: look at its disk";
            Err(Error::new("the map of a sparse member does not fit its content").hint(hint))
        }
    }
}

/// Reads the map of version 1.0: decimal lines in front of the content, filled up to a block.
#[derive(Debug, Default)]
pub(super) struct MapReader {
    line: Vec<u8>,
    buffer: Vec<u8>,
    expected: Option<u64>,
    offset: Option<u64>,
    seen: u64,
}

impl MapReader {
    pub(super) fn feed(&mut self, block: &[u8; BLOCK]) {
        self.buffer.extend_from_slice(block);
    }

    /// Takes what was fed into `extents` and tells whether the map is complete.
    pub(super) fn done(&mut self, extents: &mut Extents) -> Result<bool> {
        for byte in std::mem::take(&mut self.buffer) {
            if self.expected == Some(self.seen) {
                break;
            }
            if byte != b'\n' {
                self.line.push(byte);
                if self.line.len() > 20 {
                    return Err(Error::new("the map of a sparse member is malformed"));
                }
                continue;
            }
            let value = pax::decimal(&self.line)?;
            self.line.clear();
            match (self.expected, self.offset.take()) {
                (None, _) => self.expected = Some(value),
                (Some(_), None) => self.offset = Some(value),
                (Some(_), Some(offset)) => {
                    extents.push(offset, value)?;
                    self.seen += 1;
                }
            }
        }
        Ok(self.expected == Some(self.seen))
    }
}
