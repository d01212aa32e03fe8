//! Where the file system is on the disk: in the first partition of a GPT, as ploop makes it, or on the disk itself.

use super::image::Image;
use crate::error::{Error, Result};

const SECTOR: u64 = 512;
/// The magic number of ext2, ext3 and ext4, at its place from the file system's beginning.
const EXT: (u64, [u8; 2]) = (1080, [0x53, 0xef]);

/// Returns the file system's first byte on the disk, and its length.
pub(super) fn find(image: &Image) -> Result<(u64, u64)> {
    let read = |offset: u64, length: usize| -> Result<Vec<u8>> {
        let mut bytes = vec![0; length];
        image.read_at(&mut bytes, offset).map_err(|e| Error::new(format!("the disk ends too early: {e}")))?;
        Ok(bytes)
    };
    let header = read(SECTOR, 92)?;
    let (start, length) = if header.starts_with(b"EFI PART") {
        let (table, count, size) = (long(&header, 72), word(&header, 80), word(&header, 84));
        if count == 0 || !(128..=4096).contains(&size) {
            return Err(Error::new("its partition table is broken"));
        }
        let entry = read(table.saturating_mul(SECTOR), 128)?;
        let (first, last) = (long(&entry, 32), long(&entry, 40));
        if entry[..16].iter().all(|b| *b == 0) || first == 0 || last < first {
            return Err(Error::new("its partition table has no first partition"));
        }
        (first.saturating_mul(SECTOR), (last - first).saturating_add(1).saturating_mul(SECTOR))
    } else {
        (0, image.size)
    };
    if start.checked_add(length).is_none_or(|end| end > image.size) {
        return Err(Error::new("its first partition is larger than the disk"));
    }
    if length < 2048 || read(start + EXT.0, 2)? != EXT.1 {
        return Err(Error::new("there is no ext4 file system in its first partition")
            .hint("an encrypted image, or one of something else than a container"));
    }
    Ok((start, length))
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
