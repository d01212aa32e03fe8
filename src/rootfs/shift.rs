//! Gives everything in a tree to the ids of a user name space, in place: what an unprivileged container on a volume needs.
//!
//! Every entry is brought to the same end from wherever it is, so a walk that was cut short is simply begun again. What
//! `chown` takes away on its way (set-id bits, capabilities) and what has to be taken off before it (chattr +i, +a) is
//! kept in an attribute of the entry until it is back; what an entry cannot hold while it is locked is in [`Notes`].

mod ids;
mod notes;

pub use notes::Notes;

use crate::cancel::Cancel;
use crate::error::{Doing, Error, Result};
use crate::model::settings::IdRange;
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::{Kind, Status, magic_path, read_xattr, set_mode, shown};
use crate::rootfs::walk::{At, Descend, Visitor, walk};
use ids::{Ids, word};
use rustix::fs::{AtFlags, Gid, IFlags, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};

/// What an entry had before it was touched; `trusted` so that nobody in a container can write it.
const MARK: &[u8] = b"trusted.ovz2lxc.shift";
const CAPABILITY: &[u8] = b"security.capability";
/// The ACL of access and that for new entries.
const ACLS: [&[u8]; 2] = [b"system.posix_acl_access", b"system.posix_acl_default"];
/// Bits that `chown` clears on what is no directory.
const SET_ID: u32 = 0o6000;

/// Whether a tree may hold ids of the range already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Nobody has shifted anything in it: an id beyond the container's is an error, also when it is one of the range.
    Untouched,
    /// An earlier walk may have shifted a part.
    Begun,
}

/// What a walk came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Shifted {
    /// Entries that were looked at, the top included; other names of one inode count once.
    pub entries: u64,
    /// Entries that were changed.
    pub changed: u64,
}

/// Shifts owner, group, ACLs and the root of file capabilities of everything in a tree by `range.base`. Content, modes,
/// flags, other attributes and modification times stay. An id outside `0..range.count` is an error that names the entry.
pub fn shift(root: &Rootfs, range: IdRange, before: Before, notes: &mut Notes, cancel: &Cancel) -> Result<Shifted> {
    let doing = || format!("giving {} to the ids from {}", root.path().display(), range.base);
    let status = Status::of(root.as_fd()).doing(doing)?;
    let mut shifter = Shifter {
        ids: Ids { range, begun: before == Before::Begun },
        device: status.device,
        cancel,
        notes,
        linked: HashSet::new(),
        names: vec![0; 4096],
        done: Shifted::default(),
    };
    let top = At { dir: root.as_fd(), name: OsStr::new("."), path: b"", status: &status };
    shifter.one(&top).doing(doing)?;
    walk(root.as_fd(), &mut shifter).doing(doing)?;
    Ok(shifter.done)
}

struct Shifter<'a> {
    ids: Ids,
    device: u64,
    cancel: &'a Cancel,
    notes: &'a mut Notes,
    /// Inodes with several names that were done under another name.
    linked: HashSet<(u64, u64)>,
    /// Room for the names of an entry's attributes.
    names: Vec<u8>,
    done: Shifted,
}

impl Visitor for Shifter<'_> {
    fn enter(&mut self, at: &At<'_>) -> Result<Descend> {
        self.cancel.check()?;
        // Only directories tell: on an overlay files may say another device than the directory they are in.
        if at.status.kind == Kind::Directory && at.status.device != self.device {
            return Err(Error::new(format!("another file system is mounted at {} in the tree", shown(at.path)))
                .hint("unmount it, then try again"));
        }
        self.one(at)?;
        Ok(Descend::Yes)
    }
}

/// What an entry is to have; `None` where it has it already.
#[derive(Default)]
struct Wanted {
    owner: Option<(u32, u32)>,
    attributes: Vec<(&'static [u8], Vec<u8>)>,
    /// What chown would take away, or what an interrupted walk took off.
    mark: Option<Mark>,
    marked: bool,
    /// It lost flags to an interrupted walk that had not marked it yet.
    unmarked: bool,
}

impl Shifter<'_> {
    fn one(&mut self, at: &At<'_>) -> Result<()> {
        if at.status.links > 1
            && at.status.kind != Kind::Directory
            && !self.linked.insert((at.status.device, at.status.inode))
            && self.notes.of(at.path) == 0
        {
            return Ok(());
        }
        let name = || if at.path.is_empty() { "the top directory".to_owned() } else { shown(at.path) };
        let mut wanted = self.wanted(at).doing(name)?;
        self.recall(at, &mut wanted).doing(name)?;
        self.done.entries += 1;
        if wanted.owner.is_none() && wanted.attributes.is_empty() && !wanted.marked && !wanted.unmarked {
            return Ok(());
        }
        self.done.changed += 1;
        match change(at, &wanted) {
            Err(Errno::PERM) => unlocked(at, wanted, self.notes).doing(name),
            other => other.doing(name),
        }
    }

    /// Adds the flags that an earlier walk took off and did not come to note in the entry itself.
    fn recall(&self, at: &At<'_>, wanted: &mut Wanted) -> Result<()> {
        let noted = IFlags::from_bits_retain(self.notes.of(at.path)) & LOCKED;
        if noted.is_empty() || !lockable(at) || flags(at)?.contains(noted) {
            return Ok(());
        }
        let capability = Vec::new();
        let mark = wanted.mark.get_or_insert(Mark { mode: at.status.mode, flags: 0, capability });
        mark.flags |= noted.bits();
        wanted.unmarked = true;
        Ok(())
    }

    fn wanted(&mut self, at: &At<'_>) -> Result<Wanted> {
        let (status, ids) = (at.status, self.ids);
        let owner = (ids.host(status.uid)?, ids.host(status.gid)?);
        let mut wanted = Wanted { owner: (owner != (status.uid, status.gid)).then_some(owner), ..Wanted::default() };
        let path = magic_path(at.dir, at.name);
        let listed = self.list(&path).doing(|| "listing its extended attributes")?;
        let read = |name: &[u8]| read_xattr(&path, name).doing(|| format!("reading {}", shown(name)));
        let has = |name: &[u8]| listed.is_some_and(|l| l.split(|b| *b == 0).any(|n| n == name));
        for name in ACLS.into_iter().filter(|n| has(n)) {
            let Some(old) = read(name)? else { continue };
            let new = ids.acl(&old)?;
            if new != old {
                wanted.attributes.push((name, new));
            }
        }
        let marked = if has(MARK) { read(MARK)?.and_then(|m| Mark::parse(&m)) } else { None };
        wanted.marked = marked.is_some();
        if status.kind == Kind::Directory || status.kind == Kind::Symlink {
            wanted.mark = marked;
            return Ok(wanted);
        }
        let capability = match &marked {
            Some(mark) => mark.capability.clone(),
            None if has(CAPABILITY) && status.kind == Kind::File => read(CAPABILITY)?.unwrap_or_default(),
            None => Vec::new(),
        };
        if !capability.is_empty() {
            let new = ids.capability(&capability)?;
            if new != capability || wanted.owner.is_some() || wanted.marked {
                wanted.attributes.push((CAPABILITY, new));
            }
        }
        let fragile = status.mode & SET_ID != 0 || !capability.is_empty();
        let untouched = if fragile { Some(Mark { mode: status.mode, flags: 0, capability }) } else { None };
        wanted.mark = marked.or(untouched);
        Ok(wanted)
    }

    /// Lists the names of an entry's attributes into a buffer that is used again: most entries have none.
    fn list(&mut self, path: &[u8]) -> Result<Option<&[u8]>, Errno> {
        loop {
            match rustix::fs::llistxattr(path, self.names.as_mut_slice()) {
                Ok(0) | Err(Errno::OPNOTSUPP) => return Ok(None),
                Ok(length) => return Ok(self.names.get(..length)),
                // The kernel gives no list that is longer than 64 KiB.
                Err(Errno::RANGE) if self.names.len() < 65_536 => self.names.resize(65_536, 0),
                Err(e) => return Err(e),
            }
        }
    }
}

/// What is put back at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mark {
    /// Permission and set-id bits.
    mode: u32,
    /// chattr flags that were taken off.
    flags: u32,
    /// The capabilities as they were; empty for none.
    capability: Vec<u8>,
}

impl Mark {
    fn bytes(&self) -> Vec<u8> {
        [&self.mode.to_le_bytes(), &self.flags.to_le_bytes()[..], &self.capability].concat()
    }

    fn parse(bytes: &[u8]) -> Option<Mark> {
        let (mode, flags) = (word(bytes, 0)? & 0o7777, word(bytes, 4)? & LOCKED.bits());
        Some(Mark { mode, flags, capability: bytes.get(8..)?.to_vec() })
    }
}

/// The flags that keep an entry from being changed.
const LOCKED: IFlags = IFlags::IMMUTABLE.union(IFlags::APPEND);

/// Gives an entry what it is to have.
fn change(at: &At<'_>, wanted: &Wanted) -> Result<(), Errno> {
    let path = magic_path(at.dir, at.name);
    let set = |name: &[u8], value: &[u8]| rustix::fs::lsetxattr(path.as_slice(), name, value, XattrFlags::empty());
    if let (Some(mark), false) = (&wanted.mark, wanted.marked) {
        match set(MARK, &mark.bytes()) {
            // It only matters when this process dies within the next moments; a file system without such attributes, or
            // an inode without room, is no reason to fail.
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSPC | Errno::TOOBIG) => {}
            Err(e) => return Err(e),
        }
    }
    if let Some((uid, gid)) = wanted.owner {
        let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
        rustix::fs::chownat(at.dir, at.name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    }
    for (name, value) in &wanted.attributes {
        set(name, value)?;
    }
    if let Some(mark) = &wanted.mark {
        if at.status.kind != Kind::Directory && at.status.kind != Kind::Symlink {
            set_mode(at.dir, at.name, mark.mode)?;
        }
        match rustix::fs::lremovexattr(path.as_slice(), MARK) {
            Ok(()) | Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            Err(e) => return Err(e),
        }
        if mark.flags != 0 {
            return set_flags(at, |flags| flags | IFlags::from_bits_retain(mark.flags)).map(drop);
        }
    }
    Ok(())
}

/// The same for an entry with chattr +i or +a, which are taken off for that, and are on it again whatever fails.
fn unlocked(at: &At<'_>, mut wanted: Wanted, notes: &mut Notes) -> Result<()> {
    let found = if lockable(at) { flags(at)? & LOCKED } else { IFlags::empty() };
    if found.is_empty() {
        return Err(Errno::PERM.into());
    }
    notes.add(at.path, found.bits())?;
    let capability = Vec::new();
    let mark = wanted.mark.get_or_insert(Mark { mode: at.status.mode, flags: 0, capability });
    mark.flags |= found.bits();
    wanted.marked = false; // what it has may not know of the flags
    let done = set_flags(at, |flags| flags.difference(LOCKED)).and_then(|()| change(at, &wanted));
    if done.is_err() {
        let _ = set_flags(at, |flags| flags | found); // it is noted, should that fail too
    }
    Ok(done?)
}

/// Tells whether an entry can have chattr flags.
fn lockable(at: &At<'_>) -> bool {
    at.status.kind == Kind::Directory || at.status.kind == Kind::File
}

/// Returns the chattr flags of a file or directory.
fn flags(at: &At<'_>) -> Result<IFlags, Errno> {
    rustix::fs::ioctl_getflags(&open_same(at.dir, at.name, at.status)?)
}

/// Changes the chattr flags of a file or directory.
fn set_flags(at: &At<'_>, change: impl Fn(IFlags) -> IFlags) -> Result<(), Errno> {
    let file = open_same(at.dir, at.name, at.status)?;
    let old = rustix::fs::ioctl_getflags(&file)?;
    let new = change(old);
    if new != old {
        rustix::fs::ioctl_setflags(&file, new)?;
    }
    Ok(())
}

/// Opens what was looked at, and nothing that was put in its place since.
fn open_same(dir: BorrowedFd<'_>, name: &OsStr, status: &Status) -> Result<std::os::fd::OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    let found = Status::of(file.as_fd())?;
    let same = (found.device, found.inode, found.kind) == (status.device, status.inode, status.kind);
    if same { Ok(file) } else { Err(Errno::STALE) }
}

#[cfg(test)]
#[path = "../../tests/support/skip.rs"]
mod skip;

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree with an immutable file; `None` where the file system or the user cannot make one.
    fn immutable() -> Option<(tempfile::TempDir, Rootfs)> {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("tree")).unwrap();
        std::fs::write(dir.path().join("tree/file"), "x").unwrap();
        let root = Rootfs::open(&dir.path().join("tree")).unwrap();
        let locked = set_flags(&at(&root, &status(&root)), |flags| flags | IFlags::IMMUTABLE).is_ok();
        if !locked {
            skip::skip("rootfs::shift::a_failure_leaves_an_immutable_file_immutable", "cannot make a file immutable");
        }
        locked.then_some((dir, root))
    }

    fn status(root: &Rootfs) -> Status {
        let file = std::fs::File::open(root.path().join("file")).unwrap();
        Status::of(file.as_fd()).unwrap()
    }

    fn at<'a>(root: &'a Rootfs, status: &'a Status) -> At<'a> {
        At { dir: root.as_fd(), name: OsStr::new("file"), path: b"file", status }
    }

    #[test]
    fn a_failure_leaves_an_immutable_file_immutable() {
        let Some((dir, root)) = immutable() else { return };
        let (status, notes) = (status(&root), dir.path().join("notes"));
        let file = at(&root, &status);
        let (mut notes, _) = Notes::open(&notes).unwrap();
        // Nobody knows this attribute.
        let attributes = vec![(&b"nobody.knows"[..], b"x".to_vec())];
        let failed = unlocked(&file, Wanted { attributes, ..Wanted::default() }, &mut notes);
        let after = flags(&file).unwrap();
        let noted = notes.of(b"file");
        set_flags(&file, |flags| flags.difference(LOCKED)).unwrap();
        assert!(failed.is_err());
        assert!(after.contains(IFlags::IMMUTABLE), "{after:?}");
        assert_eq!(noted, IFlags::IMMUTABLE.bits());
    }
}
