//! What `find` does not print: asked for by name, beside the walk of the target.

use crate::error::{Doing, Error, Result};
use crate::host::{Command, Output};
use crate::rootfs::attributes::{Kind, Xattrs, shown};
use crate::rootfs::xattrs::essential;
use crate::transfer::by_name::{LONGEST_PATH, list, run, script};
use crate::transfer::index::Index;
use crate::transfer::running::watch;
use crate::transfer::{Job, getfattr};
use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Read;

/// How a program says that a file went away, or that a file system has no attributes.
const HARMLESS: [&str; 3] = ["No such file or directory", "Not a directory", "Operation not supported"];

const DEVICES: &str = r#"cd "$1" && exec xargs -0 stat -c '%t %T'"#;

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
    let command = getfattr::of_named(job);
    let names = list((0..index.len()).filter(asked).map(|i| index.path(i)));
    let doing = || format!("asking {} for its extended attributes", job.source.label());
    let read = |output| digests(output, index, shifted);
    let ended = watch(job.source, &command, job.cancel, Some(&names), read).doing(doing)?;
    if ended.output.status == getfattr::MISSING {
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

/// Reads what getfattr says.
fn digests(output: impl Read, index: &Index, shifted: bool) -> Result<HashMap<usize, u64>> {
    let mut digests = HashMap::new();
    let find = |path: &[u8]| index.find(path);
    getfattr::read(output, find, |position, xattrs| {
        digests.extend(digest(&xattrs, shifted).map(|digest| (position, digest)));
        Ok(())
    })?;
    Ok(digests)
}

/// Returns a digest of the attributes that a container would miss; `None` when it has none.
pub(super) fn digest(xattrs: &Xattrs, shifted: bool) -> Option<u64> {
    let mut hasher = DefaultHasher::new();
    let mut any = false;
    for (name, value) in xattrs.iter().filter(|(name, _)| essential(name)) {
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

    fn set(pairs: &[(&str, &[u8])]) -> Xattrs {
        pairs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect()
    }

    #[test]
    fn what_getfattr_says_is_what_the_kernel_says() {
        let text = "# file: .\ntrusted.t=0x00ff\nuser.c=\"\"\nuser.b\n\n# file: ./a\\012b\\134c\nsecurity.selinux=0x61\n\n\
                    # file: x\nuser.\\075=0x41\n\n";
        let found = digests(text.as_bytes(), &index(), false).unwrap();
        let kernel = set(&[("user.c", b""), ("trusted.t", &[0, 255]), ("user.b", b"")]);
        assert_eq!(found.get(&0).copied(), digest(&kernel, false));
        assert!(!found.contains_key(&1), "a label is nothing that a container misses");
        assert_eq!(found.get(&2).copied(), digest(&set(&[("user.=", b"A")]), false));
        assert_eq!((found.len(), digest(&kernel, false) == digest(&set(&[("user.b", b"")]), false)), (2, false));
        assert!(digests("# file: gone\nuser.x=0x00\n\n".as_bytes(), &index(), false).is_err());
    }

    #[test]
    fn values_that_hold_ids_are_not_compared_when_the_ids_are_others() {
        let (one, other) = (set(&[("system.posix_acl_access", &[1])]), set(&[("system.posix_acl_access", &[2])]));
        assert_ne!(digest(&one, false), digest(&other, false));
        assert_eq!(digest(&one, true), digest(&other, true));
    }
}
