//! Lines of a VE configuration, exactly as vzctl reads them (vzctl 4.11 src/lib/util.c:44-101, config.c:2566-2650).
//!
//! The file is not a shell script to vzctl: there is no continuation, no single quote, no comment behind a value, and the
//! closing quote is the last one of the line.

use crate::error::{Error, Result};
use crate::model::size::Bytes;

/// Which program reads the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// vzctl 4.x.
    Vzctl,
    /// Virtuozzo 7 and later (libvzctl lib/common.c:318-400): both quotes, comments behind a blank.
    Virtuozzo,
}

impl Dialect {
    /// Returns who reads such files, for people.
    pub(super) fn reader(self) -> &'static str {
        match self {
            Dialect::Vzctl => "vzctl",
            Dialect::Virtuozzo => "Virtuozzo",
        }
    }
}

/// Why vzctl skips a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rejection {
    /// No `=`.
    NoEquals,
    /// An opening quote without another one.
    UnmatchedQuote,
    /// A name of 512 bytes or more.
    NameTooLong,
}

impl Rejection {
    /// Returns what vzctl does with the line, for people.
    pub(super) fn explain(self) -> &'static str {
        match self {
            Rejection::NoEquals => "there is no \"=\" in it; the line is skipped with a warning",
            Rejection::UnmatchedQuote => "its quote is not closed on the same line; the line is skipped with a warning",
            Rejection::NameTooLong => "the name is 512 bytes long or longer; the line is skipped",
        }
    }
}

/// What one line is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    /// Empty, or a comment.
    Nothing,
    /// `NAME=VALUE`. The name may end in blanks: then vzctl does not know it.
    Assignment {
        /// Everything before the first `=`.
        name: Vec<u8>,
        /// The value, unquoted.
        value: Vec<u8>,
        /// Where name and value begin in the line once it is unescaped, for [`column`].
        at: (usize, usize),
    },
    /// Skipped, and the place of what is wrong, for [`column`].
    Rejected(Rejection, usize),
}

/// A physical line and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Physical<'a> {
    /// Number, from 1.
    pub(super) number: usize,
    /// Its bytes without the newline, cut at a NUL byte: a C string ends there, though fgets has read the whole line.
    pub(super) bytes: &'a [u8],
}

/// No configuration has longer lines than this, in bytes.
pub(super) const LONGEST_LINE: usize = 1 << 20;

/// No configuration is larger than this, in bytes.
const LARGEST_FILE: usize = 4 << 20;

/// Refuses what is no text that vzctl could have written: a NUL byte, a line or a file beyond all bounds. The error names
/// line and column (in bytes, from 1), and says what vzctl makes of it.
pub(super) fn check(file: &[u8], label: &str) -> Result<()> {
    let hint = "this is not a VE configuration, which is a short text (CTID.conf in /etc/vz/conf of its node): \
                look at the file on the source";
    for (number, line) in file.split(|b| *b == b'\n').enumerate().map(|(i, line)| (i + 1, line)) {
        let within = &line[..line.len().min(LONGEST_LINE)];
        let nul = within.iter().position(|b| *b == 0);
        let (column, what) = match nul {
            Some(0) => (1, "a NUL byte; vzctl reads nothing of the line".to_owned()),
            Some(at) => {
                let kept = shown(&line[..at]);
                (at + 1, format!("a NUL byte; vzctl reads \"{kept}\" and nothing behind it on the line"))
            }
            None if line.len() > LONGEST_LINE => {
                let what = "the line goes on beyond 1 MiB; vzctl reads all of it as one value";
                (LONGEST_LINE + 1, what.to_owned())
            }
            None => continue,
        };
        return Err(Error::new(format!("line {number}, column {column} of {label}: {what}")).hint(hint));
    }
    if file.len() > LARGEST_FILE {
        let size = Bytes(u64::try_from(file.len()).unwrap_or(u64::MAX));
        return Err(Error::new(format!("{label} is {size} large, which no VE configuration is")).hint(hint));
    }
    Ok(())
}

/// The size of vzctl's buffer for a name.
const NAME_BUFFER: usize = 512;

/// Splits a file into lines. vzctl's buffer is as long as the file, so that the single line of a file without a final
/// newline loses its last byte to a line of its own (config.c:2576-2596).
pub(super) fn lines(file: &[u8]) -> Vec<Physical<'_>> {
    if file.len() > 1 && !file.contains(&b'\n') {
        let (head, last) = file.split_at(file.len() - 1);
        return vec![physical(1, head), physical(1, last)];
    }
    let body = file.strip_suffix(b"\n").unwrap_or(file);
    body.split(|b| *b == b'\n').enumerate().map(|(i, bytes)| physical(i + 1, bytes)).collect()
}

fn physical(number: usize, bytes: &[u8]) -> Physical<'_> {
    let end = bytes.iter().position(|b| *b == 0);
    Physical { number, bytes: end.map_or(bytes, |n| &bytes[..n]) }
}

/// Reads one line.
pub(super) fn read_line(raw: &[u8], dialect: Dialect) -> Line {
    let whole = match dialect {
        Dialect::Vzctl => unescape(raw),
        Dialect::Virtuozzo => raw.to_vec(),
    };
    let line = trim(&whole);
    if line.is_empty() || line[0] == b'#' {
        return Line::Nothing;
    }
    let begins = offset_in(&whole, line);
    let Some(equals) = line.iter().position(|b| *b == b'=') else {
        return Line::Rejected(Rejection::NoEquals, begins);
    };
    let (name, rest) = (&line[..equals], &line[equals + 1..]);
    if name.len() >= NAME_BUFFER {
        return Line::Rejected(Rejection::NameTooLong, begins);
    }
    let value = match (dialect, rest.split_first()) {
        (Dialect::Virtuozzo, _) => virtuozzo_value(rest),
        (Dialect::Vzctl, Some((b'"', quoted))) => match quoted.iter().rposition(|b| *b == b'"') {
            Some(end) => &quoted[..end],
            None => return Line::Rejected(Rejection::UnmatchedQuote, offset_in(&whole, rest)),
        },
        (Dialect::Vzctl, _) => rest,
    };
    let at = (begins, offset_in(&whole, value));
    Line::Assignment { name: name.to_vec(), value: value.to_vec(), at }
}

/// Returns where a part of a text begins in it.
pub(super) fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    part.as_ptr().addr().saturating_sub(whole.as_ptr().addr()).min(whole.len())
}

/// Returns the column, in bytes from 1, of what stands at an offset of the line once it is unescaped.
pub(super) fn column(raw: &[u8], dialect: Dialect, offset: usize) -> usize {
    if dialect == Dialect::Virtuozzo {
        return offset.min(raw.len()) + 1;
    }
    let (mut logical, mut escaped) = (0, false);
    for (at, byte) in raw.iter().enumerate() {
        if *byte == b'\\' && !escaped {
            escaped = true;
            continue;
        }
        if logical == offset {
            return at + 1;
        }
        (logical, escaped) = (logical + 1, false);
    }
    raw.len() + 1
}

/// Returns the column of what bash reads otherwise than vzctl in an assignment: the first backslash, expansion or single
/// quote, a blank outside quotes, what stands behind the closing quote; else where the value begins.
pub(super) fn column_of_difference(raw: &[u8], value: usize) -> usize {
    let value = value.saturating_sub(1).min(raw.len());
    // The column of a quoted value is that of its first byte, behind the quote.
    let quoted = value > 0 && raw[value - 1] == b'"';
    let mut open = quoted;
    for (at, byte) in raw.iter().enumerate().skip(value) {
        match byte {
            b'"' => open = !open,
            b'\\' | b'$' | b'`' => return at + 1,
            b'\'' if !open => return at + 1,
            b if !open && is_space(*b) => {
                // Blanks at the end mean nothing to either, but bash keeps a carriage return.
                let rest = &raw[at..];
                let odd = rest.iter().position(|b| *b == b'\r' || !is_space(*b));
                return odd.map_or(value, |n| at + n) + 1;
            }
            _ => {}
        }
    }
    value + 1
}

/// Deletes every backslash and keeps what follows it, on the whole line and before anything else is looked at.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(raw.len());
    let mut escaped = false;
    for byte in raw {
        if *byte == b'\\' && !escaped {
            escaped = true;
        } else {
            out.push(*byte);
            escaped = false;
        }
    }
    out
}

/// Virtuozzo's value: an unquoted `#` behind a blank ends it, then one quote is taken off each end.
fn virtuozzo_value(rest: &[u8]) -> &[u8] {
    let mut quote = None;
    let mut end = rest.len();
    for (i, byte) in rest.iter().enumerate() {
        match (quote, *byte) {
            (None, b'"' | b'\'') => quote = Some(*byte),
            (Some(open), b) if b == open => quote = None,
            (None, b'#') if i > 0 && is_space(rest[i - 1]) => {
                end = i;
                break;
            }
            _ => {}
        }
    }
    let mut value = trim(&rest[..end]);
    if let Some((b'"' | b'\'', inner)) = value.split_first() {
        value = inner;
    }
    if let Some((b'"' | b'\'', inner)) = value.split_last() {
        value = inner;
    }
    value
}

/// `isspace` of the C locale.
pub(super) fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 0x09..=0x0d)
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|b| !is_space(*b)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|b| !is_space(*b)).map_or(start, |n| n + 1);
    &bytes[start..end]
}

/// Splits at blanks, as strtok does.
pub(super) fn words(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|b| is_space(*b)).filter(|word| !word.is_empty())
}

/// Returns bytes as text for a message: at most 120 characters, control characters escaped.
pub(super) fn shown(bytes: &[u8]) -> String {
    const LONGEST: usize = 120;
    let head = &bytes[..bytes.len().min(4 * LONGEST)];
    let text = String::from_utf8_lossy(head);
    let mut out = String::new();
    for c in text.chars().take(LONGEST) {
        if c.is_control() { out.extend(c.escape_default()) } else { out.push(c) }
    }
    if text.chars().count() > LONGEST || head.len() < bytes.len() {
        out.push('…');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(raw: &str) -> Option<(String, String)> {
        match read_line(raw.as_bytes(), Dialect::Vzctl) {
            Line::Assignment { name, value, .. } => {
                Some((String::from_utf8(name).unwrap(), String::from_utf8(value).unwrap()))
            }
            _ => None,
        }
    }

    #[test]
    fn values_are_read_as_vzctl_does() {
        for (raw, name, value) in [
            ("X=\"a\"", "X", "a"),
            ("  X=\"a\"\r", "X", "a"),
            ("X=\"a\" # c", "X", "a"),
            ("X=\"a\" \"b\"", "X", "a\" \"b"),
            ("X=\"a\" # \"b\"", "X", "a\" # \"b"),
            ("X=a # c", "X", "a # c"),
            ("X= a", "X", " a"),
            ("X='a'", "X", "'a'"),
            ("X=\"\"", "X", ""),
            ("X=", "X", ""),
            ("X=a=b", "X", "a=b"),
            ("X =\"a\"", "X ", "a"),
            ("export X=a", "export X", "a"),
            ("X=a\\", "X", "a"),
            ("X=\"a\\nb\"", "X", "anb"),
            ("X=a\\\\b", "X", "a\\b"),
            ("X=\\\"a\\\"", "X", "a"),
            ("X=\\\"a b\\\" c", "X", "a b"),
            ("=a", "", "a"),
        ] {
            assert_eq!(assignment(raw), Some((name.to_owned(), value.to_owned())), "{raw:?}");
        }
    }

    #[test]
    fn lines_that_say_nothing_and_lines_that_are_skipped() {
        for raw in ["", "   ", "# X=1", "\t#", "\\# X=1", "\r"] {
            assert_eq!(read_line(raw.as_bytes(), Dialect::Vzctl), Line::Nothing, "{raw:?}");
        }
        assert_eq!(read_line(b"hello", Dialect::Vzctl), Line::Rejected(Rejection::NoEquals, 0));
        assert_eq!(read_line(b"X=\"a", Dialect::Vzctl), Line::Rejected(Rejection::UnmatchedQuote, 2));
        assert_eq!(read_line(b"  X=\"", Dialect::Vzctl), Line::Rejected(Rejection::UnmatchedQuote, 4));
        let long = [vec![b'N'; 512], b"=1".to_vec()].concat();
        assert_eq!(read_line(&long, Dialect::Vzctl), Line::Rejected(Rejection::NameTooLong, 0));
        assert!(matches!(read_line(&long[1..], Dialect::Vzctl), Line::Assignment { .. }));
    }

    #[test]
    fn a_single_line_without_newline_loses_its_last_byte() {
        let got: Vec<_> = lines(b"ONBOOT=\"yes\"").iter().map(|l| (l.number, l.bytes)).collect();
        assert_eq!(got, [(1, &b"ONBOOT=\"yes"[..]), (1, &b"\""[..])]);
        assert_eq!(lines(b"ONBOOT=\"yes\"\n").len(), 1);
        assert_eq!(lines(b"A=1\nB=2").iter().map(|l| l.bytes).collect::<Vec<_>>(), [b"A=1", b"B=2"]);
    }

    #[test]
    fn a_nul_byte_ends_the_line() {
        let file = b"A=1\0B=2\nC=3\n";
        assert_eq!(lines(file).iter().map(|l| l.bytes).collect::<Vec<_>>(), [&b"A=1"[..], &b"C=3"[..]]);
        let error = check(b"A=1\nHOSTNAME=\"web1\0\"\n", "101.conf").unwrap_err();
        let said = "line 2, column 15 of 101.conf: a NUL byte; vzctl reads \"HOSTNAME=\"web1\"";
        assert!(error.to_string().starts_with(said) && error.first_hint().is_some(), "{error}");
        assert!(
            check(b"\0", "c")
                .unwrap_err()
                .to_string()
                .contains("line 1, column 1 of c: a NUL byte; vzctl reads nothing")
        );
    }

    #[test]
    fn what_is_beyond_all_bounds_is_refused() {
        let line = |length: usize| [b"A=1\n", &vec![b'x'; length][..], b"\nB=\0\n"].concat();
        let error = check(&line(LONGEST_LINE + 1), "c").unwrap_err().to_string();
        assert!(error.starts_with("line 2, column 1048577 of c: the line goes on beyond 1 MiB"), "{error}");
        assert!(check(&line(LONGEST_LINE), "c").unwrap_err().to_string().starts_with("line 3, column 3 of c"));
        assert!(check(b"A=1\nB=\"\xff\xc3\"", "c").is_ok(), "bytes that are no UTF-8 are nothing to vzctl");
        let error = check(&b"A=1\n".repeat(2 << 20), "c").unwrap_err().to_string();
        assert_eq!(error, "c is 8 MiB large, which no VE configuration is");
    }

    #[test]
    fn columns_are_those_of_the_file() {
        let raw = br#"  X=\"a\\ b\""#;
        let Line::Assignment { value, at: (name_at, value_at), .. } = read_line(raw, Dialect::Vzctl) else { panic!() };
        assert_eq!((value.as_slice(), raw[column(raw, Dialect::Vzctl, name_at) - 1]), (&br"a\ b"[..], b'X'));
        assert_eq!(column(raw, Dialect::Vzctl, value_at), 7);
        assert_eq!(raw[column(raw, Dialect::Vzctl, value_at + 3) - 1], b'b');
        let raw = b" X='a' # c";
        let Line::Assignment { at: (_, value_at), .. } = read_line(raw, Dialect::Virtuozzo) else { panic!() };
        assert_eq!(column(raw, Dialect::Virtuozzo, value_at), 5);
        for (raw, value, want) in [
            ("X=\"a\\b\"", 4, 5),
            ("X='a'", 3, 3),
            ("X=a b", 3, 5),
            ("X=\"a\" \"b\"", 4, 7),
            ("X=\"a\"\r", 4, 6),
            ("X=\"$A\"", 4, 4),
            ("X=a", 3, 3),
        ] {
            assert_eq!(column_of_difference(raw.as_bytes(), value), want, "{raw}");
        }
    }

    #[test]
    fn virtuozzo_knows_comments_and_both_quotes() {
        for (raw, want) in
            [("X='a b' # c", "a b"), ("X=\"a # b\" # c", "a # b"), ("X=a#b", "a#b"), ("X=a #b", "a"), ("X=\"a", "a")]
        {
            let Line::Assignment { value, .. } = read_line(raw.as_bytes(), Dialect::Virtuozzo) else {
                panic!("{raw} was skipped")
            };
            assert_eq!(String::from_utf8(value).unwrap(), want, "{raw}");
        }
    }

    #[test]
    fn messages_hold_no_control_characters_and_are_short() {
        assert_eq!(shown(b"a\x1b[2Jb"), "a\\u{1b}[2Jb");
        assert!(shown(&[b'x'; 10_000]).chars().count() <= 121);
    }
}
