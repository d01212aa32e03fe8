//! The image file: a header of 64 bytes, a table with the place of every block of the disk, then the blocks in the order in
//! which they were first written (ploop include/ploop1_image.h:41-80). Both versions are read. The file is hostile: nothing
//! in it is used before it was found to lie within the file and to be used once.

use super::descriptor::{Descriptor, Format};
use crate::error::{Doing, Error, Result};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

const SECTOR: u64 = 512;
const HEADER: u64 = 64;
/// Offsets of the table count sectors in version 1, blocks in version 2.
const VERSIONS: [(&[u8; 16], bool); 2] = [(b"WithoutFreeSpace", false), (b"WithouFreSpacExt", true)];
const TYPE: u32 = 2;
/// 64 TiB in blocks of 1 MiB; the table of more takes memory that nobody has meant to spend.
const MOST_BLOCKS: u64 = 1 << 26;

/// A disk in an image file.
#[derive(Debug)]
pub(super) struct Image {
    file: File,
    /// Bytes of the disk.
    pub(super) size: u64,
    map: Map,
}

#[derive(Debug)]
enum Map {
    Raw,
    /// Bytes of a block, and for each block of the disk the place in the file in sectors; 0 for one never written.
    Blocks(u64, Vec<u32>, u64),
}

impl Image {
    /// Opens the image in its directory, read-only, and reads its table.
    pub(super) fn open(directory: &Path, descriptor: &Descriptor) -> Result<Image> {
        let path = directory.join(&descriptor.file);
        let doing = || format!("opening image {}", path.display());
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(&path, flags, Mode::empty()).doing(doing)?);
        let metadata = file.metadata().doing(doing)?;
        if !metadata.is_file() {
            return Err(Error::new("it is not a regular file")).doing(doing);
        }
        match descriptor.format {
            Format::Raw => Ok(Image { file, size: metadata.len(), map: Map::Raw }),
            Format::Expanded => Image::expanded(file, metadata.len()).doing(doing),
        }
    }

    fn expanded(file: File, length: u64) -> Result<Image> {
        let mut header = [0; 64];
        file.read_exact_at(&mut header, 0).doing(|| "reading its header")?;
        let blocks_counted = VERSIONS.iter().find(|(magic, _)| header[..16] == magic[..]).map(|(_, counted)| *counted);
        let Some(blocks_counted) = blocks_counted else {
            return Err(Error::new("it has no header of a ploop image"));
        };
        let (kind, per_block, count) = (word(&header, 16), u64::from(word(&header, 28)), u64::from(word(&header, 32)));
        let sectors = if blocks_counted { long(&header, 36) } else { u64::from(word(&header, 36)) };
        if kind != TYPE {
            return Err(Error::new(format!("it is of type {kind}, and only type {TYPE} is known")));
        }
        if !per_block.is_power_of_two() || !(8..=65_536).contains(&per_block) {
            return Err(Error::new(format!("its blocks have {per_block} sectors, which no block has")));
        }
        if count == 0 || count > MOST_BLOCKS || sectors > count * per_block {
            return Err(Error::new(format!("its table has {count} blocks for {sectors} sectors, which cannot be")));
        }
        let table_end = HEADER + 4 * count;
        if table_end > length {
            return Err(Error::new("it ends in its table"));
        }
        let bytes = usize::try_from(4 * count).map_err(|_| Error::new("its table does not fit into memory"))?;
        let mut table = vec![0; bytes];
        file.read_exact_at(&mut table, HEADER).doing(|| "reading its table")?;
        let table: Vec<u32> = table.chunks_exact(4).map(|entry| word(entry, 0)).collect();
        let unit = if blocks_counted { per_block * SECTOR } else { SECTOR };
        check(&table, unit, per_block * SECTOR, table_end, length)?;
        Ok(Image { file, size: sectors * SECTOR, map: Map::Blocks(per_block * SECTOR, table, unit) })
    }

    /// Reads from the disk; what was never written is zeros. Fails beyond its end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|end| *end <= self.size);
        if end.is_none() {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        let (block, table, unit) = match &self.map {
            Map::Raw => return self.file.read_exact_at(buffer, offset),
            Map::Blocks(block, table, unit) => (*block, table, *unit),
        };
        let (mut at, mut rest) = (offset, buffer);
        while !rest.is_empty() {
            let inside = at % block;
            let most = usize::try_from(block - inside).unwrap_or(usize::MAX).min(rest.len());
            let (piece, after) = rest.split_at_mut(most);
            let entry = usize::try_from(at / block).ok().and_then(|i| table.get(i)).copied().unwrap_or(0);
            if entry == 0 {
                piece.fill(0);
            } else {
                self.file.read_exact_at(piece, u64::from(entry) * unit + inside)?;
            }
            at += most as u64;
            rest = after;
        }
        Ok(())
    }
}

/// Every block lies behind the table and within the file, and no two are the same: the file system inside could otherwise
/// be made to read the table, or one file as another.
fn check(table: &[u32], unit: u64, block: u64, table_end: u64, length: u64) -> Result<()> {
    let mut used: Vec<u64> = Vec::new();
    for (number, entry) in table.iter().enumerate().filter(|(_, entry)| **entry != 0) {
        let start = u64::from(*entry) * unit;
        if start < table_end || start + block > length {
            return Err(Error::new(format!("block {number} lies outside of the file, at byte {start}"))
                .hint("the image is damaged or cut short: was the disk copied completely?"));
        }
        used.push(start);
    }
    used.sort_unstable();
    match used.windows(2).find(|pair| pair[1] - pair[0] < block) {
        Some(pair) => Err(Error::new(format!("two blocks share the place at byte {}", pair[1]))
            .hint("the image is damaged; ploop check repairs it where ploop runs")),
        None => Ok(()),
    }
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
