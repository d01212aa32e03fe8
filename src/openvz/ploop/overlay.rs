//! A part of the disk that can be written to without a write ever reaching the image: a file system that was not unmounted
//! has to replay its journal before it is whole, also when it is only read.

use super::image::Image;
use std::collections::HashMap;
use std::io::{Error, ErrorKind, Result};

const PAGE: u64 = 4096;
const PAGE_BYTES: usize = 4096;
/// No journal of a container is as large.
const MOST_PAGES: usize = 1 << 18;

/// A part of a disk, with what was written since in memory.
pub(super) struct Overlay {
    image: Image,
    start: u64,
    /// Bytes of the part.
    pub(super) length: u64,
    written: HashMap<u64, Box<[u8; PAGE_BYTES]>>,
}

impl Overlay {
    pub(super) fn new(image: Image, start: u64, length: u64) -> Overlay {
        Overlay { image, start, length, written: HashMap::new() }
    }

    /// Reads; shorter only at the end.
    pub(super) fn read(&self, offset: u64, length: usize) -> Result<Vec<u8>> {
        let left = usize::try_from(self.length.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; length.min(left)];
        if bytes.is_empty() {
            return Ok(bytes);
        }
        self.image.read_at(&mut bytes, self.start + offset)?;
        if self.written.is_empty() {
            return Ok(bytes);
        }
        each_page(offset, bytes.len(), |page, inside, range| {
            if let Some(new) = self.written.get(&page) {
                let length = range.len();
                bytes[range].copy_from_slice(&new[inside..inside + length]);
            }
            Ok(())
        })?;
        Ok(bytes)
    }

    /// Keeps what is written; none of it survives this process.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > self.length) {
            return Err(ErrorKind::FileTooLarge.into());
        }
        each_page(offset, bytes.len(), |page, inside, range| {
            if !self.written.contains_key(&page) {
                if self.written.len() >= MOST_PAGES {
                    return Err(Error::from(ErrorKind::StorageFull));
                }
                let mut old = Box::new([0; PAGE_BYTES]);
                let there = usize::try_from((self.length - page * PAGE).min(PAGE)).unwrap_or(PAGE_BYTES);
                self.image.read_at(&mut old[..there], self.start + page * PAGE)?;
                self.written.insert(page, old);
            }
            if let Some(new) = self.written.get_mut(&page) {
                new[inside..inside + range.len()].copy_from_slice(&bytes[range]);
            }
            Ok(())
        })
    }
}

/// Calls `work` for each page of a range: its number, where in it, and which bytes of the range.
fn each_page(
    offset: u64,
    length: usize,
    mut work: impl FnMut(u64, usize, std::ops::Range<usize>) -> Result<()>,
) -> Result<()> {
    let mut done = 0;
    while done < length {
        let at = offset + done as u64;
        let inside = usize::try_from(at % PAGE).unwrap_or(0);
        let piece = (PAGE_BYTES - inside).min(length - done);
        work(at / PAGE, inside, done..done + piece)?;
        done += piece;
    }
    Ok(())
}
