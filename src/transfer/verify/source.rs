//! What `find` does not print: asked for by name, beside the walk of the target.

use crate::error::{Doing, Error, Result};
use crate::host::{Command, Output};
use crate::rootfs::attributes::{Kind, shown};
use crate::rootfs::xattrs::essential;
use crate::transfer::Job;
use crate::transfer::by_name::{LONGEST_PATH, list, run, script};
use crate::transfer::index::Index;
use crate::transfer::running::watch;
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{BufRead, BufReader, Read};

/// Longest line of getfattr: an attribute has at most 64 KiB, four characters a byte at worst.
const LONGEST_LINE: u64 = 1 << 20;
/// How a program says that a file went away, or that a file system has no attributes.
const HARMLESS: [&str; 3] = ["No such file or directory", "Not a directory", "Operation not supported"];

/// The exit status of a shell that does not find a program.
const NOT_FOUND: i32 = 127;

const DEVICES: &str = r#"cd "$1" && exec xargs -0 stat -c '%t %T'"#;
const XATTRS: &str = r#"command -v getfattr >/dev/null 2>&1 || exit 127
cd "$1" && exec xargs -0 getfattr -h -d -m - -e hex --"#;

/// What the source answered, by position in the index.
pub(super) struct Beside {
    /// Numbers of device nodes.
    pub(super) devices: HashMap<usize, (u32, u32)>,
    /// Digests of the extended attributes of what has any; `None` when it cannot say.
    pub(super) xattrs: Option<HashMap<usize, u64>>,
    /// What could not be asked for: paths beyond PATH_MAX.
    pub(super) unread: BTreeSet<usize>,
}

/// Asks the source; `shifted` when the copy's ids are others, and with them the values that hold ids.
pub(super) fn ask(job: &Job<'_>, index: &Index, shifted: bool) -> Result<Beside> {
    let is_long = |i: &usize| index.path(*i).len() > LONGEST_PATH;
    let unread = (0..index.len()).filter(is_long).collect();
    Ok(Beside { devices: devices(job, index, &unread)?, xattrs: xattrs(job, index, &unread, shifted)?, unread })
}

fn devices(job: &Job<'_>, index: &Index, unread: &BTreeSet<usize>) -> Result<HashMap<usize, (u32, u32)>> {
    let is_device = |i: &usize| matches!(index.entry(*i).kind, Kind::CharDevice | Kind::BlockDevice);
    let positions: Vec<usize> = (0..index.len()).filter(|i| is_device(i) && !unread.contains(i)).collect();
    if positions.is_empty() {
        return Ok(HashMap::new());
    }
    let doing = || format!("asking {} for the numbers of its device nodes", job.source.label());
    let names = list(positions.iter().map(|i| index.path(*i)));
    let text = run(job, &script(job, DEVICES), &names, |output| {
        let mut text = String::new();
        output.take(64 * positions.len() as u64).read_to_string(&mut text)?;
        Ok(text)
    })
    .doing(doing)?;
    let number = |text: Option<&str>| text.and_then(|t| u32::from_str_radix(t, 16).ok());
    let mut devices = HashMap::new();
    for (line, position) in text.lines().zip(&positions) {
        let mut words = line.split(' ');
        let (Some(major), Some(minor)) = (number(words.next()), number(words.next())) else {
            return Err(Error::new(format!("stat says {:?}", shown(line.as_bytes())))).doing(doing);
        };
        devices.insert(*position, (major, minor));
    }
    if devices.len() != positions.len() {
        return Err(Error::new(format!("stat named {} of {}", devices.len(), positions.len()))).doing(doing);
    }
    Ok(devices)
}

fn xattrs(
    job: &Job<'_>,
    index: &Index,
    unread: &BTreeSet<usize>,
    shifted: bool,
) -> Result<Option<HashMap<usize, u64>>> {
    let asked = |i: &usize| index.entry(*i).kind != Kind::Socket && !unread.contains(i);
    let command = script(job, XATTRS);
    let names = list((0..index.len()).filter(asked).map(|i| index.path(i)));
    let doing = || format!("asking {} for its extended attributes", job.source.label());
    let ended = watch(job.source, &command, job.cancel, Some(&names), |output| {
        read_xattrs(BufReader::with_capacity(64 << 10, output), index, shifted)
    })
    .doing(doing)?;
    if ended.output.status == NOT_FOUND {
        return Ok(None);
    }
    if !only_harmless(&ended.output) {
        return Err(said(&command, ended.output, job)).doing(doing);
    }
    ended.result.doing(doing).map(Some)
}

fn said(command: &Command, output: Output, job: &Job<'_>) -> Error {
    match output.ok(command, job.source.label()) {
        Err(error) => error,
        Ok(_) => Error::new("it ended strangely"),
    }
}

/// Tells whether a program had nothing to say but that files went away; what went away differs, and is found so.
pub(super) fn only_harmless(output: &Output) -> bool {
    let text = String::from_utf8_lossy(&output.stderr);
    output.status == 0
        || (output.status == 123 && text.lines().all(|line| HARMLESS.iter().any(|harmless| line.ends_with(harmless))))
}

/// Reads what `getfattr -d -e hex` prints: `# file: NAME`, a line an attribute, an empty line.
fn read_xattrs(mut input: impl BufRead, index: &Index, shifted: bool) -> Result<HashMap<usize, u64>> {
    let mut digests = HashMap::new();
    let mut position = None;
    let mut attributes: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    loop {
        let mut line = Vec::new();
        let read = input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
        if read as u64 == LONGEST_LINE {
            return Err(Error::new("getfattr says something endless"));
        }
        let line = line.strip_suffix(b"\n").unwrap_or(&line);
        if let Some(name) = line.strip_prefix(b"# file: ") {
            let name = unescaped(name);
            let path = name.strip_prefix(b"./").unwrap_or(&name);
            let path = if path == b"." { b"" } else { path };
            position = Some(index.find(path).ok_or_else(|| strange(line))?);
        } else if !line.is_empty() {
            attributes.push(attribute(line).filter(|_| position.is_some()).ok_or_else(|| strange(line))?);
        } else if let Some(position) = position.take() {
            attributes.sort_unstable();
            let all = std::mem::take(&mut attributes);
            if let Some(digest) = digest(all.iter().map(|(name, value)| (name, value)), shifted) {
                digests.insert(position, digest);
            }
        }
        if read == 0 {
            return Ok(digests);
        }
    }
}

fn strange(line: &[u8]) -> Error {
    Error::new(format!("getfattr says {:?}", shown(line)))
}

fn attribute(line: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (name, value) = match line.iter().position(|b| *b == b'=') {
        Some(at) => (&line[..at], &line[at + 1..]),
        None => (line, b"0x".as_slice()),
    };
    if value == b"\"\"" {
        return Some((unescaped(name), Vec::new()));
    }
    let digits = value.strip_prefix(b"0x").or_else(|| value.strip_prefix(b"0X"))?;
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    Some((unescaped(name), digits.chunks(2).map(pair).collect::<Option<_>>()?))
}

/// Takes back what getfattr makes of bytes that would break its lines: `\012`.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, more)) = rest.split_first() {
        let octal = |b: &u8| (b'0'..=b'7').contains(b).then(|| u32::from(*b - b'0'));
        let three = || Some(octal(more.first()?)? << 6 | octal(more.get(1)?)? << 3 | octal(more.get(2)?)?);
        match three().filter(|_| *first == b'\\').and_then(|n| u8::try_from(n).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &more[3..];
            }
            None => {
                bytes.push(*first);
                rest = more;
            }
        }
    }
    bytes
}

/// Returns a digest of the attributes that a container would miss, in the order of their names; `None` when it has none.
pub(super) fn digest<'x>(attributes: impl Iterator<Item = (&'x Vec<u8>, &'x Vec<u8>)>, shifted: bool) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut any = false;
    for (name, value) in attributes.filter(|(name, _)| essential(name)) {
        any = true;
        name.hash(&mut hasher);
        // ACLs and capabilities hold ids.
        if !(shifted && (name.starts_with(b"system.posix_acl_") || name == b"security.capability")) {
            value.hash(&mut hasher);
        }
    }
    any.then(|| hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::exclude::Excludes;
    use crate::transfer::listing;

    fn index() -> Index {
        let tree = "d 755 0 0 4096 8 1.5 2.5 3 10\0\0\0f 644 1 2 3 8 1.0 2.0 1 11\0a\nb\\c\0\0f 644 1 2 3 8 1.0 2.0 1 12\0x\0\0";
        listing::read(tree.as_bytes(), &Excludes::default(), |_| Ok(())).unwrap()
    }

    #[test]
    fn what_getfattr_says_is_what_the_kernel_says() {
        let text = "# file: .\ntrusted.t=0x00ff\nuser.b\nuser.c=\"\"\n\n# file: ./a\\012b\\134c\nsecurity.selinux=0x61\n\n\
                    # file: x\nuser.\\075=0x41\n\n";
        let digests = read_xattrs(text.as_bytes(), &index(), false).unwrap();
        let kernel = [("trusted.t", vec![0, 255]), ("user.b", vec![]), ("user.c", vec![])];
        let kernel: Vec<(Vec<u8>, Vec<u8>)> = kernel.into_iter().map(|(n, v)| (n.as_bytes().to_vec(), v)).collect();
        assert_eq!(digests.get(&0).copied(), digest(kernel.iter().map(|(n, v)| (n, v)), false));
        assert!(!digests.contains_key(&1), "a label is nothing that a container misses");
        assert_eq!(digests.get(&2).copied(), digest([(&b"user.=".to_vec(), &b"A".to_vec())].into_iter(), false));
    }

    #[test]
    fn what_getfattr_never_says_is_an_error() {
        for text in
            ["user.x=0x00\n", "# file: gone\nuser.x=0x00\n\n", "# file: x\nuser.x=12\n\n", "# file: x\nuser.x=0x0\n\n"]
        {
            assert!(read_xattrs(text.as_bytes(), &index(), false).is_err(), "{text}");
        }
    }

    #[test]
    fn values_that_hold_ids_are_not_compared_when_the_ids_are_others() {
        let one = [(b"system.posix_acl_access".to_vec(), vec![1])];
        let other = [(b"system.posix_acl_access".to_vec(), vec![2])];
        let of = |list: &[(Vec<u8>, Vec<u8>)], shifted| digest(list.iter().map(|(n, v)| (n, v)), shifted);
        assert_ne!(of(&one, false), of(&other, false));
        assert_eq!(of(&one, true), of(&other, true));
    }
}
