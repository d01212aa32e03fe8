//! What was there before a change, so that it can be put back.

use super::look::{EntryKind, describe, reopen, shown, split};
use super::{FileContent, Look, Rootfs};
use crate::error::{Doing, Error, Result};
use rustix::fs::{AtFlags, FileType, Mode, Timespec, Timestamps};
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Bytes that are text most of the time; written as text, or as hexadecimal digits where they are not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blob {
    /// UTF-8.
    Text(String),
    /// Two hexadecimal digits a byte.
    Hex(String),
}

impl Blob {
    /// Wraps bytes.
    pub fn new(bytes: &[u8]) -> Blob {
        match std::str::from_utf8(bytes) {
            Ok(text) => Blob::Text(text.to_owned()),
            Err(_) => Blob::Hex(bytes.iter().map(|b| format!("{b:02x}")).collect()),
        }
    }

    /// Returns the bytes. Fails on digits that are not hexadecimal.
    pub fn bytes(&self) -> Result<Vec<u8>> {
        match self {
            Blob::Text(text) => Ok(text.clone().into_bytes()),
            Blob::Hex(digits) => (0..digits.len())
                .step_by(2)
                .map(|i| digits.get(i..i + 2).and_then(|d| u8::from_str_radix(d, 16).ok()))
                .collect::<Option<Vec<u8>>>()
                .ok_or_else(|| Error::new("a recorded pre-image is damaged")),
        }
    }

    /// Returns the bytes as a path.
    pub fn path(&self) -> Result<PathBuf> {
        Ok(PathBuf::from(OsStr::from_bytes(&self.bytes()?)))
    }
}

/// What an entry was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "lowercase")]
pub enum State {
    /// Nothing.
    Absent,
    /// A regular file.
    File {
        /// Its content.
        content: Blob,
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// Extended attributes, ACLs and labels among them.
        xattrs: Vec<(Blob, Blob)>,
        /// When it was last written: seconds and nanoseconds. Put back, but no difference by itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtime: Option<(i64, i64)>,
    },
    /// A symbolic link.
    Link {
        /// Its target.
        target: Blob,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// When it was last written, as for a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtime: Option<(i64, i64)>,
    },
    /// A directory, by its permission bits and owner; what was in it is not part of this.
    Directory {
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
    },
    /// A FIFO, socket or device node.
    Node {
        /// `fifo`, `socket`, `char` or `block`.
        node: String,
        /// Device number.
        rdev: (u32, u32),
        /// Permission bits.
        mode: u32,
        /// Owner.
        uid: u32,
        /// Group.
        gid: u32,
        /// When it was last written, as for a file.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        mtime: Option<(i64, i64)>,
    },
}

impl State {
    /// Returns a digest by which two states of an entry can be compared; the time of the last write is no part of it.
    pub fn digest(&self) -> Result<String> {
        let mut plain = self.clone();
        if let State::File { mtime, .. } | State::Link { mtime, .. } | State::Node { mtime, .. } = &mut plain {
            *mtime = None;
        }
        if let State::File { xattrs, .. } = &mut plain {
            xattrs.sort_by_key(|(name, _)| format!("{name:?}"));
        }
        let text = serde_json::to_vec(&plain).map_err(|e| Error::new(e.to_string())).doing(|| "comparing an entry")?;
        let sum = <sha2::Sha256 as sha2::Digest>::digest(&text);
        Ok(sum.iter().map(|b| format!("{b:02x}")).collect())
    }
}

/// One path's state before it was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreImage {
    /// The path, without links, relative to the root.
    pub path: Blob,
    /// What was there.
    #[serde(flatten)]
    pub state: State,
}

impl Rootfs {
    /// Records what is at `path`. A regular file larger than `limit` bytes is an error: it could not be put back.
    pub fn preimage(&self, path: &Path, limit: u64) -> Result<PreImage> {
        let state = self.state(path, limit).doing(|| format!("recording {}", shown(path)))?;
        Ok(PreImage { path: Blob::new(path.as_os_str().as_bytes()), state })
    }

    fn state(&self, path: &Path, limit: u64) -> Result<State> {
        let Some(fd) = self.point_nofollow(path)? else { return Ok(State::Absent) };
        let e = describe(&fd)?;
        let (mode, uid, gid) = (e.mode, e.uid, e.gid);
        let stat = rustix::fs::fstat(&fd)?;
        let mtime = i64::try_from(stat.st_mtime_nsec).ok().map(|nsec| (stat.st_mtime, nsec));
        let node = |node: &str| State::Node { node: node.into(), rdev: e.rdev, mode, uid, gid, mtime };
        Ok(match e.kind {
            EntryKind::File => {
                if e.size > limit {
                    return Err(Error::new(format!("it has {} bytes, more than {limit}", e.size)));
                }
                let file = reopen(&fd)?;
                let xattrs = super::edit::xattrs(&file)?;
                let mut content = Vec::new();
                file.take(limit + 1).read_to_end(&mut content)?;
                let xattrs = xattrs.iter().map(|(n, v)| (Blob::new(n), Blob::new(v))).collect();
                State::File { content: Blob::new(&content), mode, uid, gid, xattrs, mtime }
            }
            EntryKind::Symlink => {
                let target = self.link(path)?.unwrap_or_default();
                State::Link { target: Blob::new(target.as_os_str().as_bytes()), uid, gid, mtime }
            }
            EntryKind::Directory => State::Directory { mode, uid, gid },
            EntryKind::Fifo => node("fifo"),
            EntryKind::Socket => node("socket"),
            EntryKind::CharDevice => node("char"),
            EntryKind::BlockDevice => node("block"),
        })
    }

    /// Puts every recorded path back, last recorded first. Goes on after a failure and then reports the first one.
    pub fn revert(&self, preimages: &[PreImage]) -> Result<()> {
        let mut first = Ok(());
        for image in preimages.iter().rev() {
            let path = image.path.path()?;
            let one = self.put_back(&path, &image.state).doing(|| format!("putting {} back", shown(&path)));
            if first.is_ok() {
                first = one;
            }
        }
        first
    }

    fn set_mtime(&self, path: &Path, mtime: Option<(i64, i64)>) -> Result<()> {
        let (Some((tv_sec, tv_nsec)), Some((dir, name))) = (mtime, self.holder(path)?) else { return Ok(()) };
        let last_access = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_OMIT };
        let times = Timestamps { last_access, last_modification: Timespec { tv_sec, tv_nsec } };
        rustix::fs::utimensat(&dir, name, &times, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }

    fn put_back(&self, path: &Path, state: &State) -> Result<()> {
        let now = self.entry(path)?;
        let is_directory = now.as_ref().is_some_and(|e| e.kind == EntryKind::Directory);
        match state {
            State::Absent => self.remove(path),
            State::File { content, mode, uid, gid, xattrs, mtime } => {
                if is_directory {
                    self.remove(path)?;
                }
                let file = FileContent { bytes: content.bytes()?, mode: *mode, uid: *uid, gid: *gid };
                let mut wanted = Vec::new();
                for (name, value) in xattrs {
                    wanted.push((name.bytes()?, value.bytes()?));
                }
                self.put(path, &file, &wanted)?;
                self.set_mtime(path, *mtime)
            }
            State::Link { target, uid, gid, mtime } => {
                self.symlink(path, &target.path()?)?;
                self.chown(path, *uid, *gid)?;
                self.set_mtime(path, *mtime)
            }
            State::Directory { mode, uid, gid } => {
                if !is_directory {
                    self.remove(path)?;
                    self.mkdir(path, *mode)?;
                }
                self.chown(path, *uid, *gid)?;
                self.set_mode(path, *mode)
            }
            State::Node { node, rdev, mode, uid, gid, mtime } => {
                self.remove(path)?;
                let kind = match node.as_str() {
                    "fifo" => FileType::Fifo,
                    "socket" => FileType::Socket,
                    "char" => FileType::CharacterDevice,
                    _ => FileType::BlockDevice,
                };
                let (_, name) = split(path)?;
                let Some((dir, _)) = self.holder(path)? else {
                    return Err(Error::new("its directory is gone"));
                };
                let dev = rustix::fs::makedev(rdev.0, rdev.1);
                rustix::fs::mknodat(&dir, name, kind, Mode::from_raw_mode(*mode), dev)?;
                self.chown(path, *uid, *gid)?;
                self.set_mode(path, *mode)?;
                self.set_mtime(path, *mtime)
            }
        }
    }
}
