//! /etc/fstab: six fields, white space in them written as octal escapes (fstab(5)).

use super::lines::{self, Line};

/// One entry, escapes decoded. Bytes that are not UTF-8 are shown replaced; they are rendered as they were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FstabEntry {
    /// Device, label or source.
    pub spec: String,
    /// Mount point.
    pub file: String,
    /// File system type; empty when the line ends before it.
    pub vfstype: String,
    /// Mount options, separated by commas; empty when the line ends before them.
    pub options: String,
    /// dump(8)'s frequency, 0 when missing.
    pub freq: u32,
    /// fsck(8)'s pass, 0 when missing.
    pub passno: u32,
}

/// An fstab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fstab {
    lines: Vec<Line>,
}

impl Fstab {
    /// Reads an fstab. Lines that are no entries are kept.
    pub fn parse(text: &[u8]) -> Fstab {
        Fstab { lines: lines::split(text) }
    }

    /// Returns the entries in order.
    pub fn entries(&self) -> impl Iterator<Item = FstabEntry> + '_ {
        self.lines.iter().filter_map(entry)
    }

    /// Removes the entries for which `gone` says so; returns how many.
    pub fn remove_where(&mut self, mut gone: impl FnMut(&FstabEntry) -> bool) -> usize {
        let before = self.lines.len();
        self.lines.retain(|line| !entry(line).is_some_and(|e| gone(&e)));
        before - self.lines.len()
    }

    /// Returns the text.
    pub fn render(&self) -> Vec<u8> {
        lines::join(&self.lines)
    }
}

fn entry(line: &Line) -> Option<FstabEntry> {
    if line.is_comment() {
        return None;
    }
    let mut fields = line.text.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty()).map(decode);
    let (spec, file) = (fields.next()?, fields.next()?);
    let (vfstype, options) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let mut number = || fields.next().and_then(|n| n.parse().ok()).unwrap_or(0);
    Some(FstabEntry { spec, file, vfstype, options, freq: number(), passno: number() })
}

/// Decodes `\040` and its kin; what is no octal escape stays.
fn decode(field: &[u8]) -> String {
    let mut out = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((first, after)) = rest.split_first() {
        let escape = after.get(..3).filter(|d| *first == b'\\' && d.iter().all(|c| (b'0'..=b'7').contains(c)));
        let value = escape.and_then(|d| u8::from_str_radix(std::str::from_utf8(d).ok()?, 8).ok());
        if let Some(byte) = value {
            out.push(byte);
            rest = &after[3..];
        } else {
            out.push(*first);
            rest = after;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_decide_not_text() {
        let text = "# none /dev/shm tmpfs defaults 0 0\n\
            none /dev/pts devpts rw,gid=5,mode=620 0 0\n\
            none\t/dev/shm\ttmpfs\tdefaults 0 0\n\
            /dev/sdb1 /srv/dev/shm-x ext4 defaults 0 2\n\
            //nas/x /mnt/my\\040share cifs ro";
        let mut tab = Fstab::parse(text.as_bytes());
        assert_eq!(tab.remove_where(|e| ["/dev/pts", "/dev/shm"].contains(&e.file.as_str())), 2);
        let rest = String::from_utf8(tab.render()).unwrap();
        assert_eq!(rest.lines().count(), 3);
        assert!(rest.starts_with("# none /dev/shm") && rest.ends_with("cifs ro"), "{rest}");
        assert_eq!(tab.remove_where(|e| e.file == "/dev/pts"), 0);
        let last = tab.entries().last().unwrap();
        assert_eq!((last.file.as_str(), last.vfstype.as_str(), last.passno), ("/mnt/my share", "cifs", 0));
    }

    #[test]
    fn escapes_and_short_lines() {
        assert_eq!(decode(br"a\040b\134c\x\04"), r"a b\c\x\04");
        assert_eq!(decode(br"\777"), r"\777", "more than a byte is no escape");
        let entries: Vec<FstabEntry> = Fstab::parse(b"lonely\n\nproc /proc\n").entries().collect();
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].vfstype, "");
    }
}
