//! Changing a tree, one entry at a time: atomic replacement that keeps what the old file had, links, modes, removal.
//!
//! Nothing here is recursive: a directory is removed only when it is empty, so no mount and no link can lead a removal astray.

use super::look::{EntryKind, describe, reopen, shown};
use super::{FileContent, Look, Rootfs};
use crate::error::{Doing, Error, Result};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Uid, XattrFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The largest list of attribute names, and the largest value, that Linux knows (xattr(7)).
const XATTR_MAX: usize = 65_536;

/// What happens when the last component of a path is a symbolic link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LastLink {
    /// The file that it leads to, inside the root, is replaced; the link stays.
    #[default]
    Follow,
    /// The link itself is replaced by a file.
    Replace,
}

/// What a replacement could not keep.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replaced {
    /// Names of extended attributes of the old file that the file system refused on the new one.
    pub lost_xattrs: Vec<String>,
}

/// Reads every extended attribute of an open file; a file system without them has none.
pub(super) fn xattrs(file: impl AsFd) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let mut buffer = vec![0u8; XATTR_MAX];
    let length = match rustix::fs::flistxattr(&file, &mut buffer[..]) {
        Ok(n) => n,
        Err(Errno::NOTSUP) => 0,
        Err(e) => return Err(e.into()),
    };
    let mut found = Vec::new();
    for name in buffer[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0u8; XATTR_MAX];
        match rustix::fs::fgetxattr(&file, OsStr::from_bytes(name), &mut value[..]) {
            Ok(n) => found.push((name.to_vec(), value[..n].to_vec())),
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e).doing(|| format!("reading attribute {}", name.escape_ascii())),
        }
    }
    Ok(found)
}

impl Rootfs {
    /// Replaces the content of a file, or makes it with `mode` and root as owner. An existing regular file keeps its
    /// owner, mode and every extended attribute (ACL, capability, label). Written beside, synced, renamed over: a crash
    /// leaves the old file or the new one. Fails on anything but a regular file or, with [`LastLink::Replace`], a link.
    pub fn replace(&self, path: &Path, bytes: &[u8], mode: u32, last: LastLink) -> Result<Replaced> {
        let place = self.canonical(path, last == LastLink::Follow)?;
        let old = self.point_nofollow(&place)?;
        let mut file = FileContent { bytes: bytes.to_vec(), mode, uid: 0, gid: 0 };
        let mut kept = Vec::new();
        if let Some(fd) = &old {
            let entry = describe(fd).doing(|| format!("looking at {}", shown(&place)))?;
            match entry.kind {
                EntryKind::File => {
                    (file.mode, file.uid, file.gid) = (entry.mode, entry.uid, entry.gid);
                    kept = reopen(fd).and_then(xattrs).doing(|| format!("reading {}", shown(&place)))?;
                }
                EntryKind::Symlink if last == LastLink::Replace => {}
                other => {
                    return Err(Error::new(format!("{} is {}, not a regular file", shown(&place), other.name())));
                }
            }
        }
        self.put(&place, &file, &kept)
    }

    /// Puts a complete file at a path without links, over anything but a directory.
    pub(super) fn put(&self, path: &Path, file: &FileContent, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<Replaced> {
        let doing = || format!("writing {}", shown(path));
        let Some((dir, name)) = self.holder(path)? else {
            return Err(Error::new(format!("writing {}: its directory does not exist", shown(path))));
        };
        let (fd, temporary) = self.temporary(&dir).doing(doing)?;
        let done = fill(fd, file, xattrs).and_then(|replaced| {
            rustix::fs::renameat(&dir, &temporary, &dir, name)?;
            Ok(replaced)
        });
        if done.is_err() {
            let _ = rustix::fs::unlinkat(&dir, &temporary, AtFlags::empty());
        } else {
            sync_directory(&dir);
        }
        done.doing(doing)
    }

    /// Makes an empty file of a new name in a directory.
    fn temporary(&self, dir: &OwnedFd) -> Result<(OwnedFd, String)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        for attempt in 0..100 {
            let name = format!(".ovz2lxc-{}-{attempt}", std::process::id());
            match rustix::fs::openat(dir, &name, flags, Mode::RUSR | Mode::WUSR) {
                Ok(fd) => return Ok((fd, name)),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Err(Error::new("no free name for a temporary file"))
    }

    /// Removes a file, link, node, FIFO or empty directory. The last component is never followed. Absent is fine.
    pub fn remove(&self, path: &Path) -> Result<()> {
        let doing = || format!("removing {}", shown(path));
        let Some((dir, name)) = self.holder(path)? else { return Ok(()) };
        let flags = match self.entry(path)? {
            None => return Ok(()),
            Some(e) if e.kind == EntryKind::Directory => AtFlags::REMOVEDIR,
            Some(_) => AtFlags::empty(),
        };
        rustix::fs::unlinkat(&dir, name, flags).doing(doing)
    }

    /// Makes a symbolic link, over a file, link or node that is there. `target` is taken as it is.
    pub fn symlink(&self, path: &Path, target: &Path) -> Result<()> {
        let doing = || format!("linking {}", shown(path));
        let Some((dir, name)) = self.holder(path)? else {
            return Err(Error::new(format!("linking {}: its directory does not exist", shown(path))));
        };
        for attempt in 0..100 {
            let temporary = format!(".ovz2lxc-{}-{attempt}", std::process::id());
            match rustix::fs::symlinkat(target, &dir, &temporary) {
                Ok(()) => {
                    let renamed = rustix::fs::renameat(&dir, &temporary, &dir, name);
                    if renamed.is_err() {
                        let _ = rustix::fs::unlinkat(&dir, &temporary, AtFlags::empty());
                    }
                    return renamed.doing(doing);
                }
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e).doing(doing),
            }
        }
        Err(Error::new("no free name for a temporary link")).doing(doing)
    }

    /// Makes one directory with the given mode; fine when it exists already as a directory.
    pub fn mkdir(&self, path: &Path, mode: u32) -> Result<()> {
        let doing = || format!("making directory {}", shown(path));
        let Some((dir, name)) = self.holder(path)? else {
            return Err(Error::new(format!("making {}: the directory above does not exist", shown(path))));
        };
        match rustix::fs::mkdirat(&dir, name, Mode::from_raw_mode(mode)) {
            // mkdir(2) applies the umask, which is not the tree's.
            Ok(()) => self.set_mode(path, mode),
            Err(Errno::EXIST) if self.entry(path)?.is_some_and(|e| e.kind == EntryKind::Directory) => Ok(()),
            Err(e) => Err(e).doing(doing),
        }
    }

    /// Sets the permission bits of a regular file, directory or node. Refuses a link, and a file with several names:
    /// its other names are somebody else's.
    pub fn set_mode(&self, path: &Path, mode: u32) -> Result<()> {
        let doing = || format!("changing the mode of {}", shown(path));
        let Some((dir, name)) = self.holder(path)? else {
            return Err(Error::new("it does not exist")).doing(doing);
        };
        match self.entry(path)? {
            None => Err(Error::new("it does not exist")).doing(doing),
            Some(e) if e.kind == EntryKind::Symlink => Err(Error::new("it is a symbolic link")).doing(doing),
            Some(e) if e.kind == EntryKind::File && e.links > 1 => {
                Err(Error::new(format!("it has {} names", e.links))).doing(doing)
            }
            Some(_) => rustix::fs::chmodat(&dir, name, Mode::from_raw_mode(mode), AtFlags::empty()).doing(doing),
        }
    }

    /// Sets owner and group of an entry, links not followed.
    pub(super) fn chown(&self, path: &Path, uid: u32, gid: u32) -> Result<()> {
        let doing = || format!("changing the owner of {}", shown(path));
        let Some((dir, name)) = self.holder(path)? else { return Ok(()) };
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        rustix::fs::chownat(&dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).doing(doing)
    }
}

/// Writes content, owner, mode and attributes, in the order in which the kernel does not take one back for another:
/// a change of owner drops set-id bits and `security.capability`.
fn fill(fd: OwnedFd, file: &FileContent, xattrs: &[(Vec<u8>, Vec<u8>)]) -> Result<Replaced> {
    let mut out = std::fs::File::from(fd);
    out.write_all(&file.bytes)?;
    let now = rustix::fs::fstat(&out)?;
    if (now.st_uid, now.st_gid) != (file.uid, file.gid) {
        let owner = (Some(Uid::from_raw(file.uid)), Some(Gid::from_raw(file.gid)));
        match rustix::fs::fchown(&out, owner.0, owner.1) {
            // Somebody who is not root looks after a tree of their own: every file there is theirs.
            Err(Errno::PERM) if !rustix::process::geteuid().is_root() => {}
            other => other.doing(|| "changing the owner")?,
        }
    }
    rustix::fs::fchmod(&out, Mode::from_raw_mode(file.mode))?;
    let mut replaced = Replaced::default();
    for (name, value) in xattrs {
        if rustix::fs::fsetxattr(&out, OsStr::from_bytes(name), value, XattrFlags::empty()).is_err() {
            replaced.lost_xattrs.push(name.escape_ascii().to_string());
        }
    }
    out.sync_all()?;
    Ok(replaced)
}

/// Makes a rename durable. Best effort: a file system that cannot sync a directory orders renames by itself.
fn sync_directory(dir: &OwnedFd) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(open) = rustix::fs::openat(dir, ".", flags, Mode::empty()) {
        let _ = rustix::fs::fsync(open);
    }
}
