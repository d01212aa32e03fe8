//! What `find` prints of a tree, read into an [`Index`]: three fields that end with NUL for each entry.

use super::exclude::Excludes;
use super::index::{Builder, Entry, Index, Walk};
use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::{Kind, Time, shown};
use std::io::{BufRead, Read};
use std::sync::{Mutex, PoisonError};

/// The facts that `find -printf` prints for each entry, in the order of [`parse`]. Path and link target follow from
/// actions of their own: the NUL before a directive would end the format of `printf` in old versions of find.
pub(super) const FORMAT: [&str; 6] =
    ["-printf", "%y %m %U %G %s %b %T@ %C@ %n %i\\0", "-printf", "%P\\0", "-printf", "%l\\0"];
/// Longest field, a path far beyond PATH_MAX.
const LONGEST: u64 = 1 << 20;

/// What `stat -c` prints for each path that find names, and how it is told where a name ends: no path that find names holds
/// two slashes in a row. `%N` is the path again and for a link, whose length is its size, where it points.
pub(super) const STAT_FORMAT: &str = "%f %u %g %s %b %Y %Z %h %i %n//%N//";

/// Kinds by the letter that find prints; the position is the number that a saved index has for them.
pub(super) const LETTERS: [(u8, Kind); 7] = [
    (b'f', Kind::File),
    (b'd', Kind::Directory),
    (b'l', Kind::Symlink),
    (b'c', Kind::CharDevice),
    (b'b', Kind::BlockDevice),
    (b'p', Kind::Fifo),
    (b's', Kind::Socket),
];

/// Reads what `find` printed, without what is excluded. Output that stops in the middle of an entry is an error. `seen` is
/// told how many entries there were so far.
pub(super) fn read(input: impl BufRead, excludes: &Excludes, seen: impl FnMut(u64) -> Result<()>) -> Result<Index> {
    let builder = Mutex::new(Builder::new(1));
    read_into(&builder, input, excludes, seen)?;
    builder.into_inner().unwrap_or_else(PoisonError::into_inner).finish()
}

/// Reads what one of several finds at once printed; see [`read`].
pub(super) fn read_into(
    builder: &Mutex<Builder>,
    mut input: impl BufRead,
    excludes: &Excludes,
    mut seen: impl FnMut(u64) -> Result<()>,
) -> Result<()> {
    let mut walk = Walk::default();
    let (mut facts, mut path, mut link) = (Vec::new(), Vec::new(), Vec::new());
    let mut count = 0;
    while read_field(&mut input, &mut facts)? {
        if !(read_field(&mut input, &mut path)? && read_field(&mut input, &mut link)?) {
            return Err(Error::new("the index ends in the middle of an entry"));
        }
        count += 1;
        seen(count)?;
        let (entry, fraction) = parse(&facts)
            .ok_or_else(|| Error::new(format!("{:?} does not describe an entry", shown(&facts))))
            .doing(|| format!("reading the index at {:?}", shown(&path)))?;
        let excluded = excludes.matches(&path);
        let mut builder = builder.lock().unwrap_or_else(PoisonError::into_inner);
        if fraction {
            builder.has_fractions();
        }
        if !excluded {
            builder.add(&mut walk, &path, &link, &entry)?;
        }
    }
    Ok(())
}

/// Reads what `find` printed and keeps the top directory and the number of entries only; `None` where there is nothing.
pub(super) fn count(mut input: impl BufRead, excludes: &Excludes) -> Result<Option<(Entry, u64)>> {
    let (mut field, mut top, mut fields, mut excluded) = (Vec::new(), None, 0_u64, 0);
    while read_field(&mut input, &mut field)? {
        if fields == 0 {
            top = parse(&field).map(|(entry, _)| entry);
        }
        excluded += u64::from(fields % 3 == 1 && excludes.matches(&field));
        fields += 1;
    }
    Ok(top.map(|top| (top, fields / 3 - excluded)))
}

/// Reads what `stat` printed in [`STAT_FORMAT`], as [`read`] does for `find`. Times are of whole seconds.
pub(super) fn read_stat(
    mut input: impl BufRead,
    excludes: &Excludes,
    mut seen: impl FnMut(u64) -> Result<()>,
) -> Result<Index> {
    let (mut builder, mut walk) = (Builder::new(1), Walk::default());
    let (mut path, mut link) = (Vec::new(), Vec::new());
    let mut count = 0;
    while let Some(entry) = read_stat_entry(&mut input, &mut path, &mut link)? {
        count += 1;
        seen(count)?;
        let below = if path == b"." { Some(&b""[..]) } else { path.strip_prefix(b"./") };
        let below = below.ok_or_else(|| Error::new(format!("{:?} is not a path below the top", shown(&path))))?;
        if !excludes.matches(below) {
            builder.add(&mut walk, below, &link, &entry)?;
        }
    }
    builder.finish()
}

fn read_stat_entry(input: &mut impl BufRead, path: &mut Vec<u8>, link: &mut Vec<u8>) -> Result<Option<Entry>> {
    let mut facts = Vec::new();
    for _ in 0..9 {
        input.take(100).read_until(b' ', &mut facts).doing(|| "reading the index")?;
    }
    if facts.is_empty() {
        return Ok(None);
    }
    let bad = |facts: &[u8]| Error::new(format!("{:?} does not describe an entry", shown(facts)));
    let entry = parse_stat(&facts).ok_or_else(|| bad(&facts))?;
    let cut = || Error::new("the index ends in the middle of an entry");
    path.clear();
    while !path.ends_with(b"//") {
        let got = input.take(LONGEST - path.len() as u64).read_until(b'/', path).doing(|| "reading the index")?;
        if got == 0 || path.len() as u64 == LONGEST || path.last() != Some(&b'/') {
            return Err(cut());
        }
    }
    path.truncate(path.len() - 2);
    // BusyBox puts quotes around, GNU's stat does not when it is told so.
    let quote = if input.fill_buf().doing(|| "reading the index")?.first() == Some(&b'\'') { "'" } else { "" };
    let is_link = entry.kind == Kind::Symlink;
    let q = quote.as_bytes();
    let expected = if is_link { [q, path, q, b" -> ", q].concat() } else { path.clone() };
    link.clear();
    let mut found = vec![0; expected.len()];
    input.read_exact(&mut found).map_err(|_| cut())?;
    if found != expected {
        return Err(Error::new(format!("the index tells two things of {:?}", shown(path))));
    }
    if is_link {
        input.take(entry.size.min(LONGEST)).read_to_end(link).doing(|| "reading the index")?;
        if link.len() as u64 != entry.size {
            return Err(cut());
        }
    }
    let mut end = vec![0; if is_link { quote.len() } else { 0 } + 3];
    input.read_exact(&mut end).map_err(|_| cut())?;
    if !end.ends_with(b"//\n") {
        return Err(Error::new(format!("the link {:?} changed while it was looked at", shown(path))));
    }
    Ok(Some(entry))
}

fn parse_stat(facts: &[u8]) -> Option<Entry> {
    let mut fields = facts.strip_suffix(b" ")?.split(|b| *b == b' ');
    let mut next = || fields.next();
    let mode = u32::try_from(number(next()?, 16)?).ok()?;
    let (uid, gid) = (u32::try_from(number(next()?, 10)?).ok()?, u32::try_from(number(next()?, 10)?).ok()?);
    let (size, blocks) = (number(next()?, 10)?, number(next()?, 10)?);
    let (mtime, ctime) = (parse_time(next()?)?, parse_time(next()?)?);
    let (links, inode) = (number(next()?, 10)?, number(next()?, 10)?);
    let (kind, mode) = (Kind::of_mode(mode)?, mode & 0o7777);
    let entry = Entry { kind, mode, uid, gid, size, blocks, mtime, ctime, links, inode };
    next().is_none().then_some(entry)
}

/// Reads up to the next NUL; false at the end of the input.
fn read_field(input: &mut impl BufRead, field: &mut Vec<u8>) -> Result<bool> {
    field.clear();
    input.take(LONGEST).read_until(0, field).doing(|| "reading the index")?;
    match field.pop() {
        None => Ok(false),
        Some(0) => Ok(true),
        Some(_) if field.len() as u64 + 1 == LONGEST => Err(Error::new("a name in the index has no end")),
        Some(_) => Err(Error::new("the index ends in the middle of an entry")),
    }
}

/// Parses the facts of one entry; tells also whether its times had a fraction.
fn parse(facts: &[u8]) -> Option<(Entry, bool)> {
    let mut fields = facts.split(|b| *b == b' ');
    let mut next = || fields.next();
    let letter = next()?;
    let kind = LETTERS.iter().find(|(l, _)| [*l] == *letter).map(|(_, kind)| *kind)?;
    let mode = u32::try_from(number(next()?, 8)?).ok()?;
    let (uid, gid) = (u32::try_from(number(next()?, 10)?).ok()?, u32::try_from(number(next()?, 10)?).ok()?);
    let (size, blocks) = (number(next()?, 10)?, number(next()?, 10)?);
    let (mtime, ctime) = (next()?, next()?);
    let fraction = mtime.contains(&b'.') || ctime.contains(&b'.');
    let (mtime, ctime) = (parse_time(mtime)?, parse_time(ctime)?);
    let (links, inode) = (number(next()?, 10)?, number(next()?, 10)?);
    let entry = Entry { kind, mode, uid, gid, size, blocks, mtime, ctime, links, inode };
    next().is_none().then_some((entry, fraction))
}

/// Parses digits and nothing else.
pub(super) fn number(text: &[u8], radix: u32) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0_u64, |sum, digit| {
        let digit = char::from(*digit).to_digit(radix)?;
        sum.checked_mul(radix.into())?.checked_add(digit.into())
    })
}

/// Parses `SECONDS[.FRACTION]` as `find` prints it: the fraction counts forward, before 1970 too (-1.75 is a quarter of a
/// second before 1970).
pub(super) fn parse_time(text: &[u8]) -> Option<Time> {
    let (negative, text) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let point = text.iter().position(|b| *b == b'.');
    let (seconds, fraction) = point.map_or((text, None), |point| (&text[..point], Some(&text[point + 1..])));
    let seconds = i64::try_from(number(seconds, 10)?).ok()?;
    let mut nanoseconds = 0;
    if let Some(fraction) = fraction {
        if fraction.is_empty() || !fraction.iter().all(u8::is_ascii_digit) {
            return None;
        }
        let digits = fraction.iter().map(|b| u32::from(b.wrapping_sub(b'0'))).chain(std::iter::repeat(0)).take(9);
        nanoseconds = digits.fold(0, |sum, digit| sum * 10 + digit);
    }
    Some(Time { seconds: if negative { -seconds } else { seconds }, nanoseconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_count_forward_before_1970_too() {
        let time = |seconds, nanoseconds| Some(Time { seconds, nanoseconds });
        assert_eq!(parse_time(b"5"), time(5, 0));
        assert_eq!(parse_time(b"-2.75"), time(-2, 750_000_000));
        assert_eq!(parse_time(b"-0.5"), time(0, 500_000_000));
        assert_eq!(parse_time(b"2.0000000010"), time(2, 1));
        assert_eq!(parse_time(b"2."), None);
        for bad in ["", "-", "x", "1.x", "1.5x", "1,5", " 1", "+1", "99999999999999999999"] {
            assert_eq!(parse_time(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn what_stat_prints_is_read_whatever_the_names_are() {
        let read = |text: &str| read_stat(text.as_bytes(), &Excludes::default(), |_| Ok(()));
        let top = "41ed 0 0 4096 8 5 -6 3 2 .//.//\n";
        let evil = "81a4 0 0 0 0 5 6 1 9 ./forged//./forged//\n";
        let name = "./x' -> 'y\n";
        let link = format!("a1ff 7 8 {} 0 5 6 1 3 {name}//'{name}' -> '{evil}'//\n", evil.len());
        let literal = "a1ff 7 8 3 0 5 6 1 4 ./z//./z -> a/b//\n";
        let index = read(&format!("{top}{link}{literal}")).unwrap();
        assert_eq!((index.len(), index.path(1).as_slice()), (3, &name.as_bytes()[2..]));
        assert_eq!((index.link(1), index.link(2)), (evil.as_bytes(), b"a/b".as_slice()));
        let entry = index.entry(0);
        assert_eq!((entry.kind, entry.mode, entry.mtime.seconds, entry.ctime.seconds), (Kind::Directory, 0o755, 5, -6));
        let whole = format!("{top}{link}{literal}");
        for length in (1..whole.len()).filter(|l| *l != top.len() && *l != top.len() + link.len()) {
            assert!(read(&whole[..length]).is_err(), "{length}");
        }
        for bad in ["a1ff 7 8 9 0 5 6 1 3 ./z//'./z' -> 'a/b'//\n", "81a4 0 0 0 0 5 6 1 9 ./z//./y//\n", evil, "x"] {
            let text = format!("{top}{}{bad}", if bad == evil { evil } else { "" });
            assert!(read(&text).is_err(), "{bad}");
        }
    }

    #[test]
    fn numbers_are_digits_only() {
        assert_eq!((number(b"0755", 8), number(b"41ed", 16), number(b"7", 10)), (Some(0o755), Some(0x41ed), Some(7)));
        for bad in ["", "+1", "-1", "1 ", "8z", "18446744073709551616"] {
            assert_eq!(number(bad.as_bytes(), 10), None, "{bad}");
        }
    }
}
