//! An index in few bytes: each entry by its depth and name, so that no path is written twice, a checksum at the end.

use super::index::{Entry, Index};
use super::listing::LETTERS;
use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::{Kind, Time};
use std::io::{BufRead, Read, Write};

/// Longest entry: a name and a link of 64 KiB each, and the numbers.
const LONGEST: u64 = (128 << 10) + 256;
/// What a checksum of nothing is (FNV-1a, 64 bits: it guards against a cut or a flipped bit, not against an enemy).
const EMPTY: u64 = 0xcbf2_9ce4_8422_2325;

/// The entry is on the target in this state.
const SURE: u8 = 8;
/// The entry changed shortly before the index was taken: that it arrived does not make it sure.
const YOUNG: u8 = 16;

fn add_to(hash: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(hash, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// What is known of an entry beyond its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Trust {
    /// The target's entry was made equal to it.
    pub(super) sure: bool,
    /// It changed too shortly before its index was taken to be trusted once it arrived.
    pub(super) young: bool,
}

/// Writes all entries of `index` and returns the checksum, which is also at the end.
pub(super) fn write(index: &Index, trust: &dyn Fn(usize) -> Trust, output: &mut dyn Write) -> std::io::Result<u64> {
    let mut hash = EMPTY;
    let mut depths: Vec<usize> = Vec::new();
    let (mut line, mut framed) = (Vec::new(), Vec::new());
    for position in 0..index.len() {
        // The directories on the way end after everything in them.
        while depths.last().is_some_and(|end| *end <= position) {
            depths.pop();
        }
        line.clear();
        encode(index, position, depths.len(), trust(position), &mut line);
        depths.push(index.end(position));
        framed.clear();
        varint(line.len() as u64, &mut framed);
        framed.extend_from_slice(&line);
        hash = add_to(hash, &framed);
        output.write_all(&framed)?;
    }
    output.write_all(&[0])?;
    hash = add_to(hash, &(index.len() as u64).to_le_bytes());
    output.write_all(&hash.to_le_bytes())?;
    Ok(hash)
}

fn encode(index: &Index, position: usize, depth: usize, trust: Trust, line: &mut Vec<u8>) {
    let entry = index.entry(position);
    let kind = (0_u8..).zip(LETTERS).find(|(_, (_, kind))| *kind == entry.kind).map_or(7, |(number, _)| number);
    line.push(kind | if trust.sure { SURE } else { 0 } | if trust.young { YOUNG } else { 0 });
    let name = index.name(position);
    for number in [depth as u64, name.len() as u64] {
        varint(number, line);
    }
    line.extend_from_slice(name);
    for number in [entry.mode, entry.uid, entry.gid] {
        varint(number.into(), line);
    }
    varint(entry.size, line);
    for time in [entry.mtime, entry.ctime] {
        // The sign goes to the lowest bit.
        varint((time.seconds.unsigned_abs() << 1) | u64::from(time.seconds < 0), line);
        varint(time.nanoseconds.into(), line);
    }
    for number in [entry.links, entry.inode] {
        varint(number, line);
    }
    line.extend_from_slice(index.link(position));
}

/// Seven bits a byte, the lowest first; the eighth says that more follow.
fn varint(mut number: u64, line: &mut Vec<u8>) {
    while number >= 0x80 {
        line.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    line.push((number & 0x7f) as u8);
}

/// An entry that was read back, without its path: [`Decoder::path`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Old {
    pub(super) entry: Entry,
    /// 0 for the top.
    pub(super) depth: usize,
    pub(super) trust: Trust,
}

/// Reads entries back, one after the other. Only what comes before an end that was reached without an error counts.
pub(super) struct Decoder<R> {
    input: R,
    hash: u64,
    count: u64,
    line: Vec<u8>,
    link: usize,
    path: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(input: R) -> Decoder<R> {
        Decoder { input, hash: EMPTY, count: 0, line: Vec::new(), link: 0, path: Vec::new(), ends: Vec::new() }
    }

    /// Returns the path of the last entry.
    pub(super) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Returns where the last entry points when it is a link.
    pub(super) fn link(&self) -> &[u8] {
        &self.line[self.link..]
    }

    /// Returns the checksum of what was read so far.
    pub(super) fn checksum(&self) -> u64 {
        self.hash
    }

    /// Reads the next entry; `None` at a proper end.
    pub(super) fn next(&mut self) -> Result<Option<Old>> {
        let reading = || "reading a saved index";
        let length = self.read_varint().doing(reading)?;
        if length == 0 {
            return self.end().doing(reading).map(|()| None);
        }
        if length > LONGEST {
            return Err(Error::new("an entry of the saved index is beyond measure"));
        }
        self.line.clear();
        (&mut self.input).take(length).read_to_end(&mut self.line).doing(reading)?;
        if self.line.len() as u64 != length {
            return Err(Error::new("the saved index ends in the middle of an entry"));
        }
        self.hash = add_to(self.hash, &self.line);
        self.count += 1;
        self.parse().map(Some).ok_or_else(|| Error::new("the saved index does not describe an entry"))
    }

    fn read_varint(&mut self) -> Result<u64> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let mut byte = [0];
            self.input.read_exact(&mut byte)?;
            if number == 0 && byte == [0] {
                return Ok(0);
            }
            self.hash = add_to(self.hash, &byte);
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::new("a number has no end"))
    }

    fn end(&mut self) -> Result<()> {
        self.hash = add_to(self.hash, &self.count.to_le_bytes());
        let mut rest = Vec::new();
        (&mut self.input).take(9).read_to_end(&mut rest)?;
        if rest != self.hash.to_le_bytes() {
            return Err(Error::new("its checksum is wrong"));
        }
        Ok(())
    }

    fn parse(&mut self) -> Option<Old> {
        let (flags, mut rest) = self.line.split_first()?;
        let (_, kind) = *LETTERS.get(usize::from(flags & 7))?;
        let depth = usize::try_from(take(&mut rest)?).ok()?;
        let length = usize::try_from(take(&mut rest)?).ok()?;
        let (name, mut rest) = rest.split_at_checked(length)?;
        let mut number = || take(&mut rest);
        let mode = u32::try_from(number()?).ok()?;
        let (uid, gid) = (u32::try_from(number()?).ok()?, u32::try_from(number()?).ok()?);
        let size = number()?;
        let mut times = [Time::default(); 2];
        for time in &mut times {
            let (seconds, nanoseconds) = (number()?, number()?);
            let positive = i64::try_from(seconds >> 1).ok()?;
            time.seconds = if seconds & 1 == 1 { -positive } else { positive };
            time.nanoseconds = u32::try_from(nanoseconds).ok()?;
        }
        let [mtime, ctime] = times;
        let (links, inode) = (number()?, number()?);
        if depth > self.ends.len() || (depth == 0) != self.ends.is_empty() || (depth == 0) != name.is_empty() {
            return None;
        }
        if depth > 0 && (name == b"." || name == b".." || name.contains(&b'/') || name.contains(&0)) {
            return None;
        }
        self.ends.truncate(depth);
        self.path.truncate(self.ends.last().copied().unwrap_or(0));
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        self.ends.push(self.path.len());
        self.link = self.line.len() - rest.len();
        let entry = Entry { kind, mode, uid, gid, size, blocks: 0, mtime, ctime, links, inode };
        let trust = Trust { sure: flags & SURE != 0, young: flags & YOUNG != 0 };
        (kind == Kind::Directory || depth > 0).then_some(Old { entry, depth, trust })
    }
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, more) = rest.split_first()?;
        *rest = more;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if *byte < 0x80 {
            return Some(number);
        }
    }
    None
}
