//! Asks the source's `getfattr`, and reads what it says: `# file: PATH`, a line `NAME=0xHEX` for each attribute, an empty
//! line. Bytes that would break its lines come as `\ooo`. The names and the values are hostile.

use super::Job;
use super::by_name::script;
use super::extract::member_path;
use crate::error::{Error, Result};
use crate::host::Command;
use crate::rootfs::attributes::{Xattrs, shown, unescaped};
use std::collections::HashMap;
use std::hash::Hash;
use std::io::{BufRead, BufReader, Read};

/// What both scripts end with where there is no getfattr: the status of a shell that does not find a program.
pub(super) const MISSING: i32 = 127;

const NAMED: &str = r#"command -v getfattr >/dev/null 2>&1 || exit 127
cd "$1" && exec xargs -0 getfattr -h -d -m - -e hex --"#;
const ACLS: &str = r#"command -v getfattr >/dev/null 2>&1 || exit 127
cd "$1" || exit 1
find . -xdev ! -type l ! -type s -print0 | xargs -0 getfattr -h -d -m '^system\.posix_acl_' -e hex --"#;

/// Longest line: a value of 64 KiB in hexadecimal digits, a path of PATH_MAX with every byte escaped.
const LONGEST_LINE: u64 = 256 << 10;
/// Most bytes of extended attributes that are held at once; far more than any tree has that is not made for this.
const MOST: usize = if cfg!(test) { 1 << 20 } else { 256 << 20 };

/// Asks for all attributes of what a [list](super::by_name::list) names.
pub(super) fn of_named(job: &Job<'_>) -> Command {
    script(job, NAMED)
}

/// Asks for the ACLs of the whole tree; the list is empty.
pub(super) fn acls(job: &Job<'_>) -> Command {
    script(job, ACLS)
}

/// Reads entry by entry. `find` says what a path below the top stands for; one that means nothing is an error.
pub(super) fn read<K>(
    output: impl Read,
    mut find: impl FnMut(&[u8]) -> Option<K>,
    mut each: impl FnMut(K, Xattrs) -> Result<()>,
) -> Result<()> {
    let mut input = BufReader::with_capacity(64 << 10, output);
    let (mut line, mut size) = (Vec::new(), 0);
    let mut current: Option<(K, Xattrs)> = None;
    loop {
        line.clear();
        let end = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)? == 0;
        let text = if end { line.as_slice() } else { line.strip_suffix(b"\n").ok_or_else(|| strange(&line))? };
        let path = text.strip_prefix(b"# file: ");
        if text.is_empty() || path.is_some() {
            if let Some((key, xattrs)) = current.take() {
                each(key, xattrs)?;
            }
            size = 0;
        }
        if end {
            return Ok(());
        }
        if let Some(path) = path {
            let path = member_path(&unescaped(path)).map_err(|_| strange(text))?;
            current = Some((find(&path).ok_or_else(|| strange(text))?, Xattrs::new()));
        } else if !text.is_empty() {
            let (Some((_, xattrs)), Some((name, value))) = (&mut current, attribute(text)) else {
                return Err(strange(text));
            };
            size += name.len() + value.len();
            within_bounds(size)?;
            xattrs.insert(name, value);
        }
    }
}

/// Reads all entries and holds them; see [`read`].
pub(super) fn read_all<K: Eq + Hash>(
    output: impl Read,
    find: impl FnMut(&[u8]) -> Option<K>,
) -> Result<HashMap<K, Xattrs>> {
    let (mut all, mut size): (HashMap<K, Xattrs>, usize) = (HashMap::new(), 0);
    read(output, find, |key, xattrs| {
        size += xattrs.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        within_bounds(size)?;
        all.entry(key).or_default().extend(xattrs);
        Ok(())
    })?;
    Ok(all)
}

fn within_bounds(size: usize) -> Result<()> {
    if size > MOST {
        return Err(Error::new("the tree has more extended attributes than can be held"));
    }
    Ok(())
}

fn strange(line: &[u8]) -> Error {
    if line.len() as u64 == LONGEST_LINE {
        return Error::new("getfattr says something endless");
    }
    Error::new(format!("getfattr says {:?}", shown(line)))
}

/// Reads `NAME=0xHEX`; an empty attribute may come as its name alone, or as `NAME=""`.
fn attribute(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = match line.iter().position(|b| *b == b'=') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b"0x".as_slice()),
    };
    let name = unescaped(name);
    if value == b"\"\"" {
        return Some((name, Vec::new()));
    }
    let digits = value.strip_prefix(b"0x").or_else(|| value.strip_prefix(b"0X"))?;
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    Some((name, digits.chunks(2).map(pair).collect::<Option<_>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(path: &[u8]) -> Option<usize> {
        [b"".as_slice(), b"a b", b"d/new\nline\\", b"\\9"].iter().position(|known| *known == path)
    }

    fn all(text: &[u8]) -> Result<HashMap<usize, Xattrs>> {
        read_all(text, known)
    }

    fn set(pairs: &[(&str, &[u8])]) -> Xattrs {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn what_getfattr_prints_is_read() {
        let text = "# file: ./a b\nuser.empty\nuser.none=\"\"\nuser.x=0x410a00\n\n\
                    # file: d/new\\012line\\134\ntrusted.a\\075b=0XfF\n\n# file: .\n\n# file: \\9\nuser.\\x=0x\n";
        let found = all(text.as_bytes()).unwrap();
        assert_eq!(found[&1], set(&[("user.empty", b""), ("user.none", b""), ("user.x", b"A\n\0")]));
        assert_eq!(found[&2], set(&[("trusted.a=b", b"\xff")]));
        assert_eq!(found[&0], set(&[]));
        assert_eq!(found[&3], set(&[("user.\\x", b"")]));
    }

    #[test]
    fn an_entry_is_handed_over_at_its_end() {
        let mut entries = Vec::new();
        let text = "# file: a b\nuser.a=0x01\n# file: .\nuser.b=0x02\n\n\n";
        read(text.as_bytes(), known, |key, xattrs| {
            entries.push((key, xattrs));
            Ok(())
        })
        .unwrap();
        assert_eq!(entries, [(1, set(&[("user.a", &[1])])), (0, set(&[("user.b", &[2])]))]);
        let stopped = read(text.as_bytes(), known, |_, _| Err(Error::new("enough"))).unwrap_err();
        assert_eq!(stopped.to_string(), "enough");
    }

    #[test]
    fn what_getfattr_never_prints_is_an_error() {
        for bad in [
            "user.x=0x41\n",
            "# file: unknown\n",
            "# file: a b\nuser.x=0x4\n",
            "# file: a b\nuser.x=0x+4\n",
            "# file: a b\nuser.x=0xg0\n",
            "# file: a b\nuser.x=41\n",
            "# file: a b\nuser.x=\n",
            "# file: a b\nuser.x=0x41",
            "# file: a b\nuser.x=0x41\n\nuser.y=0x41\n",
            "# file: \\+12\n",
            "# file: ../x\n",
            "# file: /x\n",
            "# file: \\000\n",
            "# file: a b",
            // A name with a line end that was not escaped: what follows is no attribute of any entry.
            "# file: d/new\nline\\\nuser.x=0x41\n\n",
        ] {
            let error = all(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.starts_with("getfattr says \"") && !error.contains('\n'), "{bad}: {error}");
        }
    }

    #[test]
    fn no_line_and_no_entry_is_held_without_end() {
        for begin in ["", "# file: ", "# file: a b\n", "# file: a b\nuser.x=0x"] {
            let endless = begin.as_bytes().chain(std::io::repeat(b'0'));
            assert_eq!(read_all(endless, known).unwrap_err().to_string(), "getfattr says something endless", "{begin}");
        }
        let longest = [b"# file: a b\nuser.x=0x".to_vec(), vec![b'a'; 128 << 10], b"\n\n".to_vec()].concat();
        assert_eq!(all(&longest).unwrap()[&1][b"user.x".as_slice()].len(), 64 << 10);
        let attribute = format!("user.x=0x{}\n", "aa".repeat(60 << 10));
        let many = |entry: String| all(entry.repeat(MOST / (60 << 10) + 1).as_bytes()).unwrap_err().to_string();
        for said in [many(format!("# file: a b\n{attribute}\n")), one_of_many(&attribute)] {
            assert_eq!(said, "the tree has more extended attributes than can be held");
        }
    }

    /// One entry with as many attributes as are too many.
    fn one_of_many(attribute: &str) -> String {
        let text = format!("# file: a b\n{}", attribute.repeat(MOST / (60 << 10) + 1));
        read(text.as_bytes(), known, |_, _| panic!("it has no end")).unwrap_err().to_string()
    }
}
