//! Attributes of one entry, read and set through its directory's descriptor and its name; links are never followed.

use crate::error::{Doing, Result};
use crate::rootfs::xattrs::Bearer;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd};

pub use crate::rootfs::xattrs::{Xattrs, read_xattrs};
pub(super) use crate::rootfs::xattrs::{magic_path, read_xattr};

/// A time stamp: seconds since 1970, negative before it, and nanoseconds that count forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, below 1 000 000 000.
    pub nanoseconds: u32,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
}

impl Kind {
    /// Returns the kind in the type bits of `st_mode`.
    pub fn of_mode(mode: u32) -> Option<Kind> {
        Some(match FileType::from_raw_mode(mode) {
            FileType::RegularFile => Kind::File,
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::CharDevice,
            FileType::BlockDevice => Kind::BlockDevice,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::Unknown => return None,
        })
    }

    /// Returns the type that `mknod` makes this kind with.
    pub fn file_type(self) -> FileType {
        match self {
            Kind::File => FileType::RegularFile,
            Kind::Directory => FileType::Directory,
            Kind::Symlink => FileType::Symlink,
            Kind::CharDevice => FileType::CharacterDevice,
            Kind::BlockDevice => FileType::BlockDevice,
            Kind::Fifo => FileType::Fifo,
            Kind::Socket => FileType::Socket,
        }
    }
}

/// What `lstat` says, the same on every architecture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// What it is.
    pub kind: Kind,
    /// Permission, set-id and sticky bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Blocks of 512 bytes in use.
    pub blocks: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
    /// Number of names.
    pub links: u64,
    /// Inode number.
    pub inode: u64,
    /// File system.
    pub device: u64,
    /// Numbers of a device node.
    pub rdev: (u32, u32),
}

impl Status {
    /// Looks at `name` in `dir`; a link is not followed.
    pub fn at(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Status, Errno> {
        Status::from_stat(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Looks at an open file.
    pub fn of(file: BorrowedFd<'_>) -> Result<Status, Errno> {
        Status::from_stat(&rustix::fs::fstat(file)?)
    }

    #[expect(clippy::useless_conversion, reason = "the types of these fields differ between architectures")]
    fn from_stat(stat: &Stat) -> Result<Status, Errno> {
        let time = |seconds: i64, nanoseconds: u64| Time {
            seconds,
            nanoseconds: u32::try_from(nanoseconds).unwrap_or_default(),
        };
        Ok(Status {
            kind: Kind::of_mode(stat.st_mode).ok_or(Errno::INVAL)?,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).map_err(|_| Errno::OVERFLOW)?,
            blocks: u64::try_from(stat.st_blocks).unwrap_or_default(),
            mtime: time(stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            ctime: time(stat.st_ctime.into(), stat.st_ctime_nsec.into()),
            links: stat.st_nlink.into(),
            inode: stat.st_ino,
            device: stat.st_dev,
            rdev: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        })
    }
}

/// Everything about an entry but its type and content.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes {
    /// Permission, set-id and sticky bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub mtime: Time,
    /// All extended attributes: what is not here is removed.
    pub xattrs: Xattrs,
}

impl Attributes {
    /// Reads all attributes of `name` in `dir`.
    pub fn read(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Attributes, Errno> {
        let status = Status::at(dir, name)?;
        let xattrs = read_xattrs(dir, name)?;
        Ok(Attributes { mode: status.mode, uid: status.uid, gid: status.gid, mtime: status.mtime, xattrs })
    }

    /// Gives `name` in `dir` exactly these attributes and returns the names of the extended attributes that this file
    /// system or kernel refuses and that do not matter for running the container (labels of another system).
    ///
    /// The order matters: `chown` clears set-id bits and capabilities, an ACL changes the mode, everything changes the
    /// change time, and the modification time last makes an interrupted entry look unfinished.
    pub fn apply(&self, dir: BorrowedFd<'_>, name: &OsStr, kind: Kind) -> Result<Vec<String>> {
        rustix::fs::chownat(
            dir,
            name,
            Some(Uid::from_raw(self.uid)),
            Some(Gid::from_raw(self.gid)),
            AtFlags::SYMLINK_NOFOLLOW,
        )
        .doing(|| format!("setting owner {}:{}", self.uid, self.gid))?;
        let path = magic_path(dir, name);
        Bearer::Named(&path).keep_only(&self.xattrs)?;
        let refused = Bearer::Named(&path).set_all(&self.xattrs)?;
        if kind != Kind::Symlink {
            set_mode(dir, name, self.mode).doing(|| format!("setting mode {:04o}", self.mode))?;
        }
        set_mtime(dir, name, self.mtime).doing(|| "setting the modification time")?;
        Ok(refused)
    }
}

/// Sets the mode of what is not a link; the entry is reached without opening it, so devices and FIFOs are safe.
pub fn set_mode(dir: BorrowedFd<'_>, name: &OsStr, mode: u32) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let entry = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    if FileType::from_raw_mode(rustix::fs::fstat(&entry)?.st_mode) == FileType::Symlink {
        return Err(Errno::LOOP);
    }
    rustix::fs::chmod(format!("/proc/self/fd/{}", entry.as_raw_fd()), Mode::from_raw_mode(mode))
}

/// Sets the modification time of `name` in `dir`; the access time stays.
pub fn set_mtime(dir: BorrowedFd<'_>, name: &OsStr, mtime: Time) -> Result<(), Errno> {
    rustix::fs::utimensat(dir, name, &mtime_only(mtime), AtFlags::SYMLINK_NOFOLLOW)
}

/// Returns times that change the modification time and leave the access time.
pub(super) fn mtime_only(mtime: Time) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: mtime.seconds, tv_nsec: mtime.nanoseconds.into() },
    }
}

/// Returns the byte that three octal digits at the beginning of a text stand for.
pub fn octal(text: &[u8]) -> Option<u8> {
    let digits = text.get(..3).filter(|digits| digits.iter().all(|digit| (b'0'..b'8').contains(digit)))?;
    u8::try_from(digits.iter().fold(0_u32, |sum, digit| sum * 8 + u32::from(digit - b'0'))).ok()
}

/// Takes back the escapes `\ooo` that the kernel puts into its tables and getfattr into what it says. Any other backslash
/// stays as it is.
pub fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        match octal(after).filter(|_| *first == b'\\') {
            Some(byte) => {
                bytes.push(byte);
                rest = &after[3..];
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    bytes
}

/// Returns a name from a container's tree for people: control characters escaped, bytes that are not UTF-8 as `\xNN`.
pub fn shown(name: &[u8]) -> String {
    let mut text = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02x}"));
        }
    }
    if text.len() > 300 {
        let cut = (0..=200).rev().find(|i| text.is_char_boundary(*i)).unwrap_or_default();
        text.truncate(cut);
        text.push_str(&format!("… ({} bytes)", name.len()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    fn root() -> bool {
        rustix::process::geteuid().is_root()
    }

    #[test]
    fn what_was_applied_is_read_back_and_what_was_there_is_gone() {
        if !root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(temp.path()).unwrap();
        let name = OsStr::new("f");
        std::fs::write(temp.path().join("f"), "x").unwrap();
        let old = Attributes { xattrs: [(b"user.old".to_vec(), b"1".to_vec())].into(), ..Attributes::default() };
        old.apply(dir.as_fd(), name, Kind::File).unwrap();
        let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec();
        let wanted = Attributes {
            mode: 0o6751,
            uid: 3_000_000,
            gid: 17,
            mtime: Time { seconds: -1, nanoseconds: 999_999_999 },
            xattrs: [
                (b"security.capability".to_vec(), capability),
                (b"trusted.t".to_vec(), b"a\nb\0c".to_vec()),
                (b"user.empty".to_vec(), Vec::new()),
            ]
            .into(),
        };
        assert!(wanted.apply(dir.as_fd(), name, Kind::File).unwrap().is_empty());
        assert_eq!(Attributes::read(dir.as_fd(), name).unwrap(), wanted);
    }

    #[test]
    fn a_link_gets_attributes_and_its_target_none() {
        if !root() {
            return;
        }
        let temp = tempfile::tempdir().unwrap();
        let dir = std::fs::File::open(temp.path()).unwrap();
        std::fs::write(temp.path().join("canary"), "x").unwrap();
        std::os::unix::fs::symlink("canary", temp.path().join("l")).unwrap();
        let before = Attributes::read(dir.as_fd(), OsStr::new("canary")).unwrap();
        let wanted = Attributes {
            mode: 0o777,
            uid: 5,
            gid: 6,
            mtime: Time { seconds: 7, nanoseconds: 8 },
            xattrs: [(b"trusted.t".to_vec(), b"1".to_vec())].into(),
        };
        wanted.apply(dir.as_fd(), OsStr::new("l"), Kind::Symlink).unwrap();
        assert_eq!(Attributes::read(dir.as_fd(), OsStr::new("l")).unwrap(), wanted);
        assert_eq!(set_mode(dir.as_fd(), OsStr::new("l"), 0o600), Err(Errno::LOOP));
        assert_eq!(Attributes::read(dir.as_fd(), OsStr::new("canary")).unwrap(), before);
    }

    #[test]
    fn names_are_shown_without_control_characters() {
        assert_eq!(shown(b"a\x1b[2J\n\xffz\xc3\xa4"), "a\\u{1b}[2J\\n\\xffz\u{e4}");
        assert!(shown(&[b'x'; 5000]).ends_with("(5000 bytes)"));
    }
}
