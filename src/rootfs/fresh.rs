//! Finishes what was just made, through its descriptor: nothing is set that it has already.

use crate::error::{Doing, Result};
use crate::rootfs::attributes::{Attributes, Time, mtime_only};
use crate::rootfs::xattrs::Bearer;
use rustix::fs::{Gid, Mode, Uid};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::OnceLock;

/// Bits that a file may have while it is written: set-id bits come when it is finished.
const WHILE_WRITTEN: u32 = 0o777;

/// What the kernel gives a new file of one directory by itself. It is looked at once for each directory, since there is
/// more than one cause: the set-group-id bit, mount options, default ACLs, a security module's labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Birth {
    uid: u32,
    gid: u32,
    /// It gets no extended attributes, and the mode that is asked for without the bits of the umask.
    plain: bool,
}

impl Birth {
    /// Looks at a new file that was made with `mode`.
    pub(super) fn of(file: BorrowedFd<'_>, mode: u32) -> Result<Birth, Errno> {
        let stat = rustix::fs::fstat(file)?;
        let plain = stat.st_mode & 0o7777 == mode & WHILE_WRITTEN & !umask() && Bearer::Open(file).list()?.is_empty();
        Ok(Birth { uid: stat.st_uid, gid: stat.st_gid, plain })
    }
}

/// The umask of this process, which no system call tells without changing it; all bits where /proc does not say it.
fn umask() -> u32 {
    static UMASK: OnceLock<u32> = OnceLock::new();
    *UMASK.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let found = status.lines().find_map(|line| line.strip_prefix("Umask:"));
        found.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok()).unwrap_or(0o777)
    })
}

/// Returns the mode to make a file with that is to have `mode` in the end.
pub(super) fn birth_mode(mode: u32) -> Mode {
    Mode::from_raw_mode(mode & WHILE_WRITTEN)
}

/// Gives a file that was made with `birth_mode` all its attributes and returns the names of the extended attributes
/// that are refused and do not matter. The order is that of [`Attributes::apply`].
pub fn finish_file(file: impl AsFd, birth: Birth, wanted: &Attributes) -> Result<Vec<String>> {
    let file = file.as_fd();
    let Attributes { mode, uid, gid, mtime, xattrs } = wanted;
    if (birth.uid, birth.gid) != (*uid, *gid) {
        set_owner(file, *uid, *gid)?;
    }
    if !birth.plain {
        Bearer::Open(file).keep_only(xattrs)?;
    }
    let refused = Bearer::Open(file).set_all(xattrs)?;
    if !birth.plain || !xattrs.is_empty() || mode & (umask() | !WHILE_WRITTEN) != 0 {
        set_mode(file, *mode)?;
    }
    set_time(file, *mtime)?;
    Ok(refused)
}

/// Gives an open directory exactly these attributes, whatever it has now.
pub fn finish_directory(dir: impl AsFd, wanted: &Attributes) -> Result<Vec<String>> {
    let dir = dir.as_fd();
    let Attributes { mode, uid, gid, mtime, xattrs } = wanted;
    let stat = rustix::fs::fstat(dir).doing(|| "looking at it")?;
    if (stat.st_uid, stat.st_gid) != (*uid, *gid) {
        set_owner(dir, *uid, *gid)?;
    }
    Bearer::Open(dir).keep_only(xattrs)?;
    let refused = Bearer::Open(dir).set_all(xattrs)?;
    set_mode(dir, *mode)?;
    set_time(dir, *mtime)?;
    Ok(refused)
}

fn set_owner(fd: BorrowedFd<'_>, uid: u32, gid: u32) -> Result<()> {
    rustix::fs::fchown(fd, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
        .doing(|| format!("setting owner {uid}:{gid}"))
}

fn set_mode(fd: BorrowedFd<'_>, mode: u32) -> Result<()> {
    rustix::fs::fchmod(fd, Mode::from_raw_mode(mode)).doing(|| format!("setting mode {mode:04o}"))
}

fn set_time(fd: BorrowedFd<'_>, mtime: Time) -> Result<()> {
    rustix::fs::futimens(fd, &mtime_only(mtime)).doing(|| "setting the modification time")
}

#[cfg(test)]
mod tests {
    use crate::rootfs::Rootfs;
    use crate::rootfs::attributes::{Attributes, Time, Xattrs};
    use crate::rootfs::fresh::finish_file;
    use crate::rootfs::write::Parents;
    use std::ffi::OsStr;
    use std::os::fd::AsFd;

    /// `user::rwx,user:7:rwx,group::r-x,mask::rwx,other::---` as a default ACL.
    fn default_acl() -> Vec<u8> {
        let mut acl = 2u32.to_le_bytes().to_vec();
        for (tag, bits, id) in
            [(1u16, 7u16, u32::MAX), (2, 7, 7), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)]
        {
            acl.extend(tag.to_le_bytes());
            acl.extend(bits.to_le_bytes());
            acl.extend(id.to_le_bytes());
        }
        acl
    }

    #[test]
    fn nothing_that_a_directory_hands_down_stays() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        for name in ["plain", "acl", "group"] {
            std::fs::create_dir(temp.path().join(name)).unwrap();
        }
        let acl = Attributes {
            mode: 0o2755,
            gid: 9,
            xattrs: [(b"system.posix_acl_default".to_vec(), default_acl())].into(),
            ..Attributes::default()
        };
        let top = std::fs::File::open(temp.path()).unwrap();
        for (name, attributes) in [("acl", &acl), ("group", &Attributes { xattrs: Xattrs::new(), ..acl.clone() })] {
            attributes.apply(top.as_fd(), OsStr::new(name), crate::rootfs::attributes::Kind::Directory).unwrap();
        }
        let root = Rootfs::open(temp.path()).unwrap();
        let mut parents = Parents::new(&root).unwrap();
        let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        let mtime = Time { seconds: -1, nanoseconds: 5 };
        let with = |mode, uid, gid, xattrs: Xattrs| Attributes { mode, uid, gid, mtime, xattrs };
        for dir in ["plain", "acl", "group"] {
            for (name, wanted) in [
                ("root", with(0o644, 0, 0, Xattrs::new())),
                ("open", with(0o666, 0, 0, Xattrs::new())),
                ("none", with(0, 0, 0, Xattrs::new())),
                ("suid", with(0o6755, 5, 6, Xattrs::new())),
                ("sticky", with(0o1600, 0, 9, Xattrs::new())),
                ("able", with(0o755, 1, 0, [(b"security.capability".to_vec(), capability.clone())].into())),
                ("acl", with(0o750, 1, 0, [(b"system.posix_acl_access".to_vec(), default_acl())].into())),
            ] {
                let path = format!("{dir}/{name}");
                let place = parents.place(path.as_bytes(), true).unwrap();
                let (file, birth) = place.make_file(wanted.mode).unwrap();
                assert!(finish_file(&file, birth, &wanted).unwrap().is_empty());
                let found = Attributes::read(place.dir, place.name).unwrap();
                // The mask of an ACL is the mode's group.
                let mode = found.mode;
                assert_eq!(Attributes { xattrs: found.xattrs.clone(), ..wanted.clone() }, found, "{path} {mode:o}");
                assert_eq!(found.xattrs.keys().collect::<Vec<_>>(), wanted.xattrs.keys().collect::<Vec<_>>(), "{path}");
            }
        }
    }
}
