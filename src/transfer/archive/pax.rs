//! PAX records: `LENGTH KEY=VALUE\n`, the value any bytes.

use super::sparse::Extents;
use crate::error::{Error, Result};
use crate::rootfs::attributes::{Time, Xattrs, shown};
use crate::rootfs::xattrs::is_double;

/// The records of one member, sorted by what they say.
#[derive(Debug, Default)]
pub(super) struct Records {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u32>,
    pub(super) gid: Option<u32>,
    pub(super) mtime: Option<Time>,
    pub(super) ctime: Option<Time>,
    pub(super) xattrs: Xattrs,
    pub(super) acl_access: Option<Vec<u8>>,
    pub(super) acl_default: Option<Vec<u8>>,
    pub(super) selinux: Option<Vec<u8>>,
    sparse: Sparse,
    anything: bool,
}

#[derive(Debug, Default)]
struct Sparse {
    any: bool,
    major: Option<u64>,
    minor: Option<u64>,
    name: Option<Vec<u8>>,
    real_size: Option<u64>,
    size: Option<u64>,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
    map: Option<Vec<u8>>,
}

impl Records {
    /// Parses the content of an extended header. An unknown key is an error: it would be lost in silence.
    pub(super) fn parse(mut text: &[u8]) -> Result<Records> {
        let mut records = Records::default();
        while !text.is_empty() {
            let bad = || Error::new("an extended header of the archive is malformed");
            let space = text.iter().take(12).position(|b| *b == b' ').ok_or_else(bad)?;
            let length = usize::try_from(decimal(&text[..space])?).map_err(|_| bad())?;
            if length > text.len() || length < space + 2 || text[length - 1] != b'\n' {
                return Err(bad());
            }
            let record = &text[space + 1..length - 1];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(bad)?;
            records.take(&record[..equals], &record[equals + 1..])?;
            text = &text[length..];
        }
        Ok(records)
    }

    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        if key == b"comment" {
            return Ok(());
        }
        self.anything = true;
        match key {
            b"path" => self.path = Some(value.to_vec()),
            b"linkpath" => self.link = Some(value.to_vec()),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(id(value)?),
            b"gid" => self.gid = Some(id(value)?),
            b"mtime" => self.mtime = Some(time(value)?),
            b"ctime" => self.ctime = Some(time(value)?),
            b"atime" | b"uname" | b"gname" | b"hdrcharset" | b"charset" => {}
            b"SCHILY.acl.access" => self.acl_access = Some(value.to_vec()),
            b"SCHILY.acl.default" => self.acl_default = Some(value.to_vec()),
            b"RHT.security.selinux" => self.selinux = Some(value.to_vec()),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    let name = decode_name(name);
                    if !is_double(&name) {
                        self.xattrs.insert(name, value.to_vec());
                    }
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    return self.sparse.take(key, value);
                } else {
                    return Err(Error::new(format!("the archive holds the unknown record {:?}", shown(key))));
                }
            }
        }
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        !self.anything
    }

    /// Fails when records that would apply to all members say more than a comment.
    pub(super) fn only_comments(&self) -> Result<()> {
        if self.anything { Err(Error::new("the archive holds records for all its members")) } else { Ok(()) }
    }

    /// Returns the member's name when the records have it.
    pub(super) fn name(&self) -> Option<Vec<u8>> {
        self.sparse.name.clone().or_else(|| self.path.clone())
    }

    /// Returns the version of the sparse format, `None` when the member is not sparse.
    pub(super) fn sparse_version(&self) -> Result<Option<(u64, u64)>> {
        let version = (self.sparse.major.unwrap_or(0), self.sparse.minor.unwrap_or(0));
        match (self.sparse.any, version) {
            (false, _) => Ok(None),
            (true, (0, _) | (1, 0)) => Ok(Some(version)),
            (true, (major, minor)) => Err(Error::new(format!("unknown version {major}.{minor} of the sparse format"))),
        }
    }

    /// Returns the length of a sparse file, holes included.
    pub(super) fn sparse_size(&self) -> Result<u64> {
        let size = self.sparse.real_size.or(self.sparse.size);
        size.ok_or_else(|| Error::new("a sparse member does not say its size"))
    }

    /// Returns the map of versions 0.0 and 0.1.
    pub(super) fn take_map(&mut self) -> Result<Extents> {
        let mut extents = Extents::new(self.sparse_size()?);
        if let Some(map) = self.sparse.map.take() {
            let mut numbers = map.split(|b| *b == b',').filter(|n| !n.is_empty());
            while let Some(offset) = numbers.next() {
                let length = numbers.next().ok_or_else(|| Error::new("the map of a sparse member is cut off"))?;
                extents.push(decimal(offset)?, decimal(length)?)?;
            }
            return Ok(extents);
        }
        if self.sparse.offsets.len() != self.sparse.lengths.len() {
            return Err(Error::new("the map of a sparse member is cut off"));
        }
        for (offset, length) in self.sparse.offsets.iter().zip(&self.sparse.lengths) {
            extents.push(*offset, *length)?;
        }
        Ok(extents)
    }
}

impl Sparse {
    fn take(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.any = true;
        match key {
            b"major" => self.major = Some(decimal(value)?),
            b"minor" => self.minor = Some(decimal(value)?),
            b"name" => self.name = Some(value.to_vec()),
            b"realsize" => self.real_size = Some(decimal(value)?),
            b"size" => self.size = Some(decimal(value)?),
            b"offset" => self.offsets.push(decimal(value)?),
            b"numbytes" => self.lengths.push(decimal(value)?),
            b"map" => self.map = Some(value.to_vec()),
            b"numblocks" => {}
            _ => return Err(Error::new(format!("the archive holds the unknown record GNU.sparse.{}", shown(key)))),
        }
        Ok(())
    }
}

/// GNU tar writes `=` and `%` in the name of an attribute as `%3D` and `%25`.
fn decode_name(name: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(name.len());
    let mut rest = name;
    while let Some((first, after)) = rest.split_first() {
        match rest.get(..3) {
            Some(b"%3D") => decoded.push(b'='),
            Some(b"%25") => decoded.push(b'%'),
            _ => {
                decoded.push(*first);
                rest = after;
                continue;
            }
        }
        rest = &rest[3..];
    }
    decoded
}

pub(super) fn decimal(text: &[u8]) -> Result<u64> {
    let digits = std::str::from_utf8(text).ok().filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    let value = digits.and_then(|t| t.parse().ok());
    value.ok_or_else(|| Error::new(format!("{:?} in the archive is not a number", shown(text))))
}

fn id(text: &[u8]) -> Result<u32> {
    u32::try_from(decimal(text)?).map_err(|_| Error::new(format!("{:?} is not a user or group id", shown(text))))
}

/// Parses `SECONDS[.FRACTION]`; the fraction of a negative time counts down from it.
pub(crate) fn time(text: &[u8]) -> Result<Time> {
    let (negative, rest) = text.strip_prefix(b"-").map_or((false, text), |rest| (true, rest));
    let mut parts = rest.splitn(2, |b| *b == b'.');
    let whole = i64::try_from(decimal(parts.next().unwrap_or_default())?);
    let whole = whole.ok().filter(|_| rest.first().is_some_and(u8::is_ascii_digit));
    let whole = whole.ok_or_else(|| Error::new(format!("{:?} is not a time", shown(text))))?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Error::new(format!("{:?} is not a time", shown(text))));
    }
    let mut digits = [b'0'; 9];
    for (digit, found) in digits.iter_mut().zip(fraction) {
        *digit = *found;
    }
    let nanoseconds = digits.iter().fold(0, |sum, d| sum * 10 + u32::from(d - b'0'));
    Ok(match (negative, nanoseconds) {
        (false, nanoseconds) => Time { seconds: whole, nanoseconds },
        (true, 0) => Time { seconds: -whole, nanoseconds },
        (true, nanoseconds) => Time { seconds: -whole - 1, nanoseconds: 1_000_000_000 - nanoseconds },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_before_1970_keep_their_fraction() {
        let parse = |text: &str| time(text.as_bytes()).map(|t| (t.seconds, t.nanoseconds));
        assert_eq!(parse("1795401321.2462075").unwrap(), (1_795_401_321, 246_207_500));
        assert_eq!(parse("-315619199.5").unwrap(), (-315_619_200, 500_000_000));
        assert_eq!(parse("-0.25").unwrap(), (-1, 750_000_000));
        assert_eq!(parse("-7").unwrap(), (-7, 0));
        assert_eq!(parse("7.1234567890").unwrap(), (7, 123_456_789));
        for bad in ["", "-", ".5", "x", "1.x", "1e3", "99999999999999999999"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_hold_any_bytes() {
        let records = Records::parse(b"33 SCHILY.xattr.user.a%3Db=x\ny\0z\n10 path=a\n").unwrap();
        assert_eq!(records.xattrs[b"user.a=b".as_slice()], b"x\ny\0z");
        assert_eq!(records.path.as_deref(), Some(b"a".as_slice()));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in
            ["5 a=b", "99 a=b\n", "x a=b\n", "2 \n", "9 unknown=1\n", "18 GNU.sparse.x=1\n", "8 uid=-1\n", "6 abc\n"]
        {
            assert!(Records::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
