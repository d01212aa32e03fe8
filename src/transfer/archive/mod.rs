//! Reads a GNU tar stream member by member. The `tar` crate splits headers into fields; what they mean is decided here:
//! its own reader loses times, attributes and sparse files, and its reader of PAX records breaks at a newline in a value.

mod acl;
mod pax;
mod sparse;

pub use acl::{Names, NoNames};

use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::{Kind, Time, Xattrs, shown};
use pax::Records;
use sparse::Extents;
use std::io::{BufRead, ErrorKind, Read};
use tar::{EntryType, Header};

pub(super) const BLOCK: usize = 512;
/// A longest long name: paths may be longer than PATH_MAX, but not without end.
const LONGEST_NAME: u64 = 1 << 20;
/// Most bytes of the PAX records of one member: attributes of a file, the map of a sparse one.
const LARGEST_RECORDS: u64 = 32 << 20;
/// The cause of every error about a stream that ends too early.
pub const TRUNCATED: &str = "the archive ends in the middle";

/// What a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberKind {
    /// A regular file.
    File,
    /// Another name of a member before it.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A character device with its numbers.
    CharDevice(u32, u32),
    /// A block device with its numbers.
    BlockDevice(u32, u32),
    /// A directory.
    Directory,
    /// A named pipe.
    Fifo,
}

impl MemberKind {
    /// Returns the kind of entry it becomes; `None` for another name of one.
    pub fn entry_kind(self) -> Option<Kind> {
        match self {
            MemberKind::File => Some(Kind::File),
            MemberKind::HardLink => None,
            MemberKind::Symlink => Some(Kind::Symlink),
            MemberKind::CharDevice(..) => Some(Kind::CharDevice),
            MemberKind::BlockDevice(..) => Some(Kind::BlockDevice),
            MemberKind::Directory => Some(Kind::Directory),
            MemberKind::Fifo => Some(Kind::Fifo),
        }
    }
}

/// One member: everything but its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name as the archive has it.
    pub name: Vec<u8>,
    /// Where a link points.
    pub link: Vec<u8>,
    /// What it is.
    pub kind: MemberKind,
    /// Permission, set-id and sticky bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode, when the archive says it.
    pub ctime: Option<Time>,
    /// Length of a file, holes included.
    pub size: u64,
    /// Where the bytes that follow belong; `None` when they are the whole file.
    pub extents: Option<Vec<(u64, u64)>>,
    /// Extended attributes, ACLs and labels among them.
    pub xattrs: Xattrs,
}

/// A tar stream. Memory stays bounded whatever the stream claims.
pub struct Archive<'a, R> {
    inner: R,
    names: &'a dyn Names,
    /// Bytes of the current member's content that were not read yet.
    left: u64,
    padding: u64,
    read: u64,
}

impl<'a, R: BufRead> Archive<'a, R> {
    /// Reads from `inner`; `names` knows the users and groups of the host that wrote the stream.
    pub fn new(inner: R, names: &'a dyn Names) -> Archive<'a, R> {
        Archive { inner, names, left: 0, padding: 0, read: 0 }
    }

    /// Returns how many bytes were read so far.
    pub fn bytes_read(&self) -> u64 {
        self.read
    }

    /// Returns the next member; what was left of the one before is skipped. `None` is returned only after the complete
    /// end-of-archive marker; a stream that just stops is an error.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        self.skip_content()?;
        let (mut long_name, mut long_link) = (None, None);
        let mut records = Records::default();
        loop {
            let Some(header) = self.read_header()? else {
                if long_name.is_some() || long_link.is_some() || !records.is_empty() {
                    return Err(Error::new("the archive ends after the names of a member that does not come"));
                }
                return Ok(None);
            };
            let stored = number(&header.as_old().size)?;
            let stored = u64::try_from(stored).map_err(|_| Error::new("a member has a negative size"))?;
            match header.entry_type() {
                EntryType::GNULongName => long_name = Some(self.read_text(stored, LONGEST_NAME)?),
                EntryType::GNULongLink => long_link = Some(self.read_text(stored, LONGEST_NAME)?),
                EntryType::XHeader => records = Records::parse(&self.read_text(stored, LARGEST_RECORDS)?)?,
                EntryType::XGlobalHeader => {
                    let global = Records::parse(&self.read_text(stored, LARGEST_RECORDS)?)?;
                    global.only_comments()?;
                }
                _ => {
                    if let Some(name) = long_name {
                        records.path.get_or_insert(until_nul(name));
                    }
                    if let Some(link) = long_link {
                        records.link.get_or_insert(until_nul(link));
                    }
                    return self.member(&header, stored, records).map(Some);
                }
            }
        }
    }

    /// Reads what comes after the end-of-archive marker: nothing but zeros that fill the last record.
    pub fn finish(&mut self) -> Result<()> {
        let mut buffer = [0; 16 << 10];
        loop {
            match self.inner.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(n) if buffer[..n].iter().all(|b| *b == 0) => self.read += n as u64,
                Ok(_) => return Err(Error::new("bytes follow the end of the archive")),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(lost(e)),
            }
        }
    }

    fn read_header(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK];
        self.fill(&mut block)?;
        if block.iter().all(|b| *b == 0) {
            self.fill(&mut block)?;
            if block.iter().all(|b| *b == 0) {
                return Ok(None);
            }
            return Err(Error::new("a lone block of zeros stands in the archive"));
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum_of = |bytes: &[u8]| bytes.iter().map(|b| u32::from(*b)).sum::<u32>();
        // The field itself counts as eight blanks.
        let sum = sum_of(&block[..148]) + 8 * 32 + sum_of(&block[156..]);
        if number(&header.as_old().cksum)? != i64::from(sum) {
            return Err(Error::new("a header of the archive has a wrong checksum"));
        }
        Ok(Some(header))
    }

    fn member(&mut self, header: &Header, stored: u64, records: Records) -> Result<Member> {
        let name = records.name().unwrap_or_else(|| header.path_bytes().into_owned());
        let member = self.describe(header, stored, records);
        let member = member.doing(|| format!("reading {:?} from the archive", shown(&name)))?;
        Ok(Member { name, ..member })
    }

    /// Returns the member without its name.
    fn describe(&mut self, header: &Header, stored: u64, mut records: Records) -> Result<Member> {
        let old = header.as_old();
        // The device numbers lie at the same place in both formats; as_ustar and as_gnu each refuse the other's magic.
        let (major, minor) = (field(&header.as_bytes()[329..337]), field(&header.as_bytes()[337..345]));
        let old_sparse = header.entry_type() == EntryType::GNUSparse;
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::GNUSparse => MemberKind::File,
            EntryType::Link => MemberKind::HardLink,
            EntryType::Symlink => MemberKind::Symlink,
            EntryType::Char => MemberKind::CharDevice(major?, minor?),
            EntryType::Block => MemberKind::BlockDevice(major?, minor?),
            EntryType::Directory => MemberKind::Directory,
            EntryType::Fifo => MemberKind::Fifo,
            other => {
                let kind = shown(&[other.as_byte()]);
                return Err(Error::new(format!("the archive holds an entry of the unknown type '{kind}'")));
            }
        };
        self.left = records.size.unwrap_or(stored);
        self.padding = self.left.next_multiple_of(BLOCK as u64) - self.left;
        if kind != MemberKind::File && self.left != 0 {
            return Err(Error::new("content follows an entry that can have none"));
        }
        let sparse = if old_sparse { Some(self.old_sparse(header)?) } else { self.pax_sparse(&mut records)? };
        let size = sparse.as_ref().map_or(self.left, |s| s.real);
        if let Some(sparse) = &sparse {
            sparse.check(self.left)?;
        }
        let mtime = match records.mtime {
            Some(time) => time,
            None => Time { seconds: number(&old.mtime)?, nanoseconds: 0 },
        };
        let link =
            records.link.take().unwrap_or_else(|| header.link_name_bytes().map_or_else(Vec::new, |l| l.into_owned()));
        Ok(Member {
            name: Vec::new(),
            link,
            kind,
            mode: field(&old.mode)? & 0o7777,
            uid: records.uid.map_or_else(|| field(&old.uid), Ok)?,
            gid: records.gid.map_or_else(|| field(&old.gid), Ok)?,
            mtime,
            ctime: records.ctime,
            size,
            extents: sparse.map(|s| s.extents),
            xattrs: acl::complete(records, self.names)?,
        })
    }

    fn old_sparse(&mut self, header: &Header) -> Result<Extents> {
        let gnu = header.as_gnu().ok_or_else(|| Error::new("a sparse member without a GNU header"))?;
        let real =
            u64::try_from(number(&gnu.realsize)?).map_err(|_| Error::new("a sparse member has a negative size"))?;
        let mut extents = Extents::new(real);
        for part in &gnu.sparse {
            extents.push_old(&part.offset, &part.numbytes)?;
        }
        let mut more = gnu.isextended[0] == 1;
        while more {
            let mut block = [0; BLOCK];
            self.fill(&mut block)?;
            for part in block[..504].chunks_exact(24) {
                extents.push_old(&part[..12], &part[12..])?;
            }
            more = block[504] == 1;
        }
        Ok(extents)
    }

    fn pax_sparse(&mut self, records: &mut Records) -> Result<Option<Extents>> {
        match records.sparse_version()? {
            None => Ok(None),
            Some((0, _)) => records.take_map().map(Some),
            Some(_) => {
                let mut extents = Extents::new(records.sparse_size()?);
                let mut block = sparse::MapReader::default();
                while !block.done(&mut extents)? {
                    let mut bytes = [0; BLOCK];
                    if self.left < BLOCK as u64 {
                        return Err(Error::new("the map of a sparse member is cut off"));
                    }
                    self.fill(&mut bytes)?;
                    self.left -= BLOCK as u64;
                    block.feed(&bytes);
                }
                Ok(Some(extents))
            }
        }
    }

    fn read_text(&mut self, length: u64, limit: u64) -> Result<Vec<u8>> {
        if length > limit {
            return Err(Error::new(format!("an extended header of the archive claims {length} bytes")));
        }
        let mut text = Vec::new();
        let wanted = length.next_multiple_of(BLOCK as u64);
        let got = (&mut self.inner).take(wanted).read_to_end(&mut text).map_err(lost)?;
        self.read += got as u64;
        if got as u64 != wanted {
            return Err(Error::new(TRUNCATED));
        }
        text.truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(text)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<()> {
        match self.inner.read_exact(buffer) {
            Ok(()) => {
                self.read += buffer.len() as u64;
                Ok(())
            }
            Err(e) => Err(lost(e)),
        }
    }

    /// Returns the next bytes of the current member's content, at most `most`, none at its end. They come again until
    /// [`Archive::consume`] is told how many were used.
    pub fn content(&mut self, most: u64) -> Result<&[u8]> {
        let most = usize::try_from(self.left.min(most)).unwrap_or(usize::MAX);
        if most == 0 {
            return Ok(&[]);
        }
        // Twice, because of the borrow of what is returned.
        while let Err(e) = self.inner.fill_buf() {
            if e.kind() != ErrorKind::Interrupted {
                return Err(lost(e));
            }
        }
        let piece = self.inner.fill_buf().map_err(lost)?;
        if piece.is_empty() {
            return Err(Error::new(TRUNCATED));
        }
        Ok(&piece[..piece.len().min(most)])
    }

    /// Goes on behind `length` bytes of what [`Archive::content`] returned.
    pub fn consume(&mut self, length: usize) {
        self.inner.consume(length);
        self.read += length as u64;
        self.left -= length as u64;
    }

    fn skip_content(&mut self) -> Result<()> {
        loop {
            let length = self.content(u64::MAX)?.len();
            if length == 0 {
                break;
            }
            self.consume(length);
        }
        let mut buffer = [0; BLOCK];
        let padding = usize::try_from(std::mem::take(&mut self.padding)).unwrap_or_default();
        self.fill(&mut buffer[..padding])
    }
}

/// A stream that is cut may also show as an error of what decompresses it.
fn lost(error: std::io::Error) -> Error {
    match error.kind() {
        ErrorKind::UnexpectedEof => Error::new(TRUNCATED),
        _ => Error::new("reading the archive").because(error),
    }
}

fn until_nul(mut text: Vec<u8>) -> Vec<u8> {
    if let Some(end) = text.iter().position(|b| *b == 0) {
        text.truncate(end);
    }
    text
}

/// Reads a numeric field: octal digits, or GNU's binary form for what does not fit (big-endian, two's complement).
fn number(field: &[u8]) -> Result<i64> {
    match field.first() {
        Some(first @ (0x80 | 0xff)) => {
            let negative = *first == 0xff;
            let mut value: i64 = if negative { -1 } else { 0 };
            for byte in &field[1..] {
                let next = value.checked_mul(256).map(|v| v | i64::from(*byte));
                value = next.ok_or_else(|| Error::new("a number in the archive is too large"))?;
            }
            Ok(value)
        }
        Some(first) if *first & 0x80 != 0 => Err(Error::new("a number in the archive is too large")),
        _ => {
            let digits = field.split(|b| *b == 0).next().unwrap_or_default().trim_ascii();
            if digits.is_empty() {
                return Ok(0);
            }
            let text = std::str::from_utf8(digits).unwrap_or("?");
            i64::from_str_radix(text, 8).map_err(|_| Error::new(format!("{:?} is not an octal number", shown(digits))))
        }
    }
}

fn field(bytes: &[u8]) -> Result<u32> {
    u32::try_from(number(bytes)?).map_err(|_| Error::new("a number in the archive is out of range"))
}

#[cfg(test)]
mod tests;
