//! Lines of a VE configuration, exactly as vzctl reads them (vzctl 4.11 src/lib/util.c:44-101, config.c:2566-2650).
//!
//! The file is not a shell script to vzctl: there is no continuation, no single quote, no comment behind a value, and the
//! closing quote is the last one of the line.

/// Which program reads the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// vzctl 4.x.
    Vzctl,
    /// Virtuozzo 7 and later (libvzctl lib/common.c:318-400): both quotes, comments behind a blank.
    Virtuozzo,
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
            Rejection::NoEquals => "there is no \"=\" in it; vzctl warns and skips the line",
            Rejection::UnmatchedQuote => "its quote is not closed on the same line; vzctl warns and skips the line",
            Rejection::NameTooLong => "the name is 512 bytes long or longer; vzctl skips the line",
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
    },
    /// Skipped.
    Rejected(Rejection),
}

/// A physical line and its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Physical<'a> {
    /// Number, from 1.
    pub(super) number: usize,
    /// Its bytes without the newline, cut at a NUL byte.
    pub(super) bytes: &'a [u8],
    /// Something was cut off at a NUL byte.
    pub(super) cut: bool,
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
    // A C string ends at its first NUL byte; fgets has read the rest of the line all the same.
    let end = bytes.iter().position(|b| *b == 0);
    Physical { number, bytes: end.map_or(bytes, |n| &bytes[..n]), cut: end.is_some() }
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
    let Some(equals) = line.iter().position(|b| *b == b'=') else {
        return Line::Rejected(Rejection::NoEquals);
    };
    let (name, rest) = (&line[..equals], &line[equals + 1..]);
    if name.len() >= NAME_BUFFER {
        return Line::Rejected(Rejection::NameTooLong);
    }
    let value = match dialect {
        Dialect::Virtuozzo => Some(virtuozzo_value(rest)),
        Dialect::Vzctl => match rest.split_first() {
            Some((b'"', quoted)) => quoted.iter().rposition(|b| *b == b'"').map(|end| quoted[..end].to_vec()),
            _ => Some(rest.to_vec()),
        },
    };
    value.map_or(Line::Rejected(Rejection::UnmatchedQuote), |value| Line::Assignment { name: name.to_vec(), value })
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
fn virtuozzo_value(rest: &[u8]) -> Vec<u8> {
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
    value.to_vec()
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
            Line::Assignment { name, value } => {
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
        assert_eq!(read_line(b"hello", Dialect::Vzctl), Line::Rejected(Rejection::NoEquals));
        assert_eq!(read_line(b"X=\"a", Dialect::Vzctl), Line::Rejected(Rejection::UnmatchedQuote));
        assert_eq!(read_line(b"X=\"", Dialect::Vzctl), Line::Rejected(Rejection::UnmatchedQuote));
        let long = [vec![b'N'; 512], b"=1".to_vec()].concat();
        assert_eq!(read_line(&long, Dialect::Vzctl), Line::Rejected(Rejection::NameTooLong));
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
        let got = lines(file);
        assert_eq!((got[0].bytes, got[0].cut, got[1].bytes, got[1].cut), (&b"A=1"[..], true, &b"C=3"[..], false));
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
