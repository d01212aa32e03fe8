//! Looking into a tree: what an entry is, bounded reads, names by pattern. Nothing here changes anything.

use super::Rootfs;
use crate::error::{Doing, Error, Result};
use pathrs::error::ErrorKind;
use pathrs::flags::OpenFlags;
use pathrs::{HandleRef, RootRef};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxAttributes, StatxFlags};
use rustix::io::Errno;
use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

/// How many links one path may lead through; Linux's own limit (path_resolution(7)).
const MAX_LINKS: usize = 40;

/// How many names of one directory are read; more is nothing that a distribution ships.
const MAX_NAMES: usize = 65_536;

/// What an entry of a tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A FIFO.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

impl EntryKind {
    /// Returns the kind as people say it, with article.
    pub fn name(self) -> &'static str {
        match self {
            EntryKind::File => "a regular file",
            EntryKind::Directory => "a directory",
            EntryKind::Symlink => "a symbolic link",
            EntryKind::Fifo => "a FIFO",
            EntryKind::Socket => "a socket",
            EntryKind::CharDevice => "a character device",
            EntryKind::BlockDevice => "a block device",
        }
    }
}

/// An entry of a tree; the last component's link was not followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is.
    pub kind: EntryKind,
    /// Permission bits with set-id and sticky bits (07777).
    pub mode: u32,
    /// Owner as stored in the tree.
    pub uid: u32,
    /// Group as stored in the tree.
    pub gid: u32,
    /// Size in bytes.
    pub size: u64,
    /// Number of names.
    pub links: u64,
    /// Device number, of a device node.
    pub rdev: (u32, u32),
    /// The file system says that it is immutable or append-only (`chattr +i`, `+a`).
    pub locked: bool,
}

/// A regular file's content with what a replacement must keep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileContent {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// Permission bits (07777).
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// Something that can be looked into like a tree: the tree itself, or a tree with planned changes laid over it.
pub trait Look {
    /// Describes the entry at `path` without following a link in its last component. `None` when it does not exist.
    fn entry(&self, path: &Path) -> Result<Option<Entry>>;

    /// Returns the target of the link at `path`; `None` when it is not a link.
    fn link(&self, path: &Path) -> Result<Option<PathBuf>>;

    /// Returns the names in a directory, sorted; none when it does not exist or is no directory.
    fn names(&self, path: &Path) -> Result<Vec<OsString>>;

    /// Resolves every link in `path` inside the root and returns a path without links, relative to the root. What does
    /// not exist is kept as it is written. The last component's link is followed only when `follow` says so.
    fn canonical(&self, path: &Path, follow: bool) -> Result<PathBuf> {
        let mut left: VecDeque<OsString> = pieces(path);
        let mut done = PathBuf::new();
        let mut links = 0;
        while let Some(piece) = left.pop_front() {
            if piece == ".." {
                done.pop();
                continue;
            }
            done.push(&piece);
            if left.is_empty() && !follow {
                break;
            }
            let Some(target) = self.link(&done)? else { continue };
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::new(format!("{} leads through a loop of links", shown(path))));
            }
            done.pop();
            if target.is_absolute() {
                done = PathBuf::new();
            }
            for piece in pieces(&target).into_iter().rev() {
                left.push_front(piece);
            }
        }
        Ok(done)
    }

    /// Returns the paths that match a pattern: `*` and `?` inside a component, anything else literally. Links in
    /// directories are resolved inside the root; the last component is not followed and must exist.
    fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::new()];
        for piece in pieces(Path::new(pattern)) {
            let mut next = Vec::new();
            let text = piece.as_bytes();
            for base in found {
                if text.iter().any(|b| matches!(b, b'*' | b'?')) {
                    let names = self.names(&base)?;
                    next.extend(names.into_iter().filter(|n| matches_name(text, n.as_bytes())).map(|n| base.join(n)));
                } else {
                    next.push(base.join(&piece));
                }
            }
            found = next;
        }
        let mut existing = Vec::new();
        for path in found {
            if self.entry(&path)?.is_some() {
                existing.push(path);
            }
        }
        Ok(existing)
    }
}

fn pieces(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|c| match c {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some(OsString::from("..")),
            _ => None,
        })
        .collect()
}

/// Matches a name against a pattern of `*` and `?`; a leading dot is matched only by a dot.
pub fn matches_name(pattern: &[u8], name: &[u8]) -> bool {
    if name.first() == Some(&b'.') && pattern.first() != Some(&b'.') {
        return false;
    }
    let (mut p, mut n, mut star, mut mark) = (0, 0, None, 0);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some(p);
                mark = n;
                p += 1;
            }
            Some(&c) if c == b'?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some(s) = star else { return false };
                p = s + 1;
                mark += 1;
                n = mark;
            }
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

/// Returns a path as it may be shown in a message: control characters escaped, with a leading slash.
pub fn shown(path: &Path) -> String {
    let text: String = path.to_string_lossy().chars().flat_map(escaped).collect();
    if text.starts_with('/') { text } else { format!("/{text}") }
}

fn escaped(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// Splits a path into its directory and its last name.
pub(super) fn split(path: &Path) -> Result<(&Path, &OsStr)> {
    match path.components().next_back() {
        Some(Component::Normal(name)) => Ok((path.parent().unwrap_or(Path::new("")), name)),
        _ => Err(Error::new(format!("{} names no entry of a tree", shown(path)))),
    }
}

/// Turns "there is nothing" into `None`.
fn present<T>(result: std::result::Result<T, pathrs::error::Error>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) => match e.kind() {
            ErrorKind::OsError(Some(n)) if [Errno::NOENT, Errno::NOTDIR].contains(&Errno::from_raw_os_error(n)) => {
                Ok(None)
            }
            ErrorKind::OsError(Some(n)) => Err(Errno::from_raw_os_error(n).into()),
            _ => Err(Error::new(e.to_string())),
        },
    }
}

impl Rootfs {
    /// Resolves a path, links followed inside the root, to a descriptor that only points (O_PATH).
    pub(super) fn point(&self, path: &Path) -> Result<Option<OwnedFd>> {
        let path = if path.as_os_str().is_empty() { Path::new("/") } else { path };
        self.note(path);
        let handle = present(RootRef::from_fd(self.as_fd()).resolve(path));
        Ok(handle.doing(|| format!("resolving {}", shown(path)))?.map(OwnedFd::from))
    }

    /// Returns the directory that holds `path`, and the last name.
    pub(super) fn holder<'p>(&self, path: &'p Path) -> Result<Option<(OwnedFd, &'p OsStr)>> {
        let (dir, name) = split(path)?;
        Ok(self.point(dir)?.map(|fd| (fd, name)))
    }

    /// Points at an entry without following a link in its last component.
    pub(super) fn point_nofollow(&self, path: &Path) -> Result<Option<OwnedFd>> {
        if path.components().next().is_none() || path == Path::new("/") {
            return self.point(path);
        }
        self.note(path);
        let Some((dir, name)) = self.holder(path)? else { return Ok(None) };
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&dir, name, flags, Mode::empty()) {
            Ok(fd) => Ok(Some(fd)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e).doing(|| format!("looking at {}", shown(path))),
        }
    }

    /// Reads a regular file, links followed inside the root. `None` when it does not exist; an error when it is anything
    /// but a regular file of at most `limit` bytes. Nothing but a regular file is ever opened, so a FIFO cannot block
    /// and a device cannot be touched.
    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<FileContent>> {
        let Some(fd) = self.point(path)? else { return Ok(None) };
        let entry = describe(&fd).doing(|| format!("looking at {}", shown(path)))?;
        if entry.kind != EntryKind::File {
            return Err(Error::new(format!("{} is {}, not a regular file", shown(path), entry.kind.name())));
        }
        if entry.size > limit {
            return Err(Error::new(format!(
                "{} has {} bytes, more than the {limit} that are read",
                shown(path),
                entry.size
            )));
        }
        let mut bytes = Vec::new();
        reopen(&fd)
            .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes).map_err(Error::from))
            .doing(|| format!("reading {}", shown(path)))?;
        if bytes.len() as u64 > limit {
            return Err(Error::new(format!("{} grew over {limit} bytes while it was read", shown(path))));
        }
        Ok(Some(FileContent { bytes, mode: entry.mode, uid: entry.uid, gid: entry.gid }))
    }

    /// Reads at most the first `limit` bytes of a regular file, for looking at headers of large files.
    pub fn read_start(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let Some(fd) = self.point(path)? else { return Ok(None) };
        if describe(&fd).doing(|| format!("looking at {}", shown(path)))?.kind != EntryKind::File {
            return Ok(None);
        }
        let mut bytes = Vec::new();
        reopen(&fd)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes).map_err(Error::from))
            .doing(|| format!("reading {}", shown(path)))?;
        Ok(Some(bytes))
    }
}

/// Opens for reading what a descriptor points at; the caller has made sure that it is a regular file.
pub(super) fn reopen(fd: &OwnedFd) -> Result<std::fs::File> {
    HandleRef::from_fd(fd.as_fd()).reopen(OpenFlags::O_RDONLY | OpenFlags::O_CLOEXEC).map_err(|e| match e.kind() {
        ErrorKind::OsError(Some(n)) => Errno::from_raw_os_error(n).into(),
        _ => Error::new(e.to_string()),
    })
}

/// Describes what a descriptor points at.
pub(super) fn describe(fd: &OwnedFd) -> Result<Entry> {
    let stat = rustix::fs::fstat(fd)?;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Directory,
        FileType::Symlink => EntryKind::Symlink,
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket => EntryKind::Socket,
        FileType::CharacterDevice => EntryKind::CharDevice,
        FileType::BlockDevice => EntryKind::BlockDevice,
        FileType::Unknown => return Err(Error::new("the entry has an unknown type")),
    };
    // Kernels before 4.11 lack statx; a change then fails when it is made, and names the file.
    let attributes = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)
        .map_or(StatxAttributes::empty(), |s| s.stx_attributes);
    Ok(Entry {
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        links: stat.st_nlink,
        rdev: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        locked: attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND),
    })
}

impl Look for Rootfs {
    fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        let Some(fd) = self.point_nofollow(path)? else { return Ok(None) };
        describe(&fd).map(Some).doing(|| format!("looking at {}", shown(path)))
    }

    fn link(&self, path: &Path) -> Result<Option<PathBuf>> {
        let Some(fd) = self.point_nofollow(path)? else { return Ok(None) };
        match rustix::fs::readlinkat(&fd, "", Vec::new()) {
            Ok(target) => Ok(Some(PathBuf::from(OsStr::from_bytes(target.as_bytes())))),
            Err(Errno::INVAL | Errno::NOENT) => Ok(None),
            Err(e) => Err(e).doing(|| format!("reading the link {}", shown(path))),
        }
    }

    fn names(&self, path: &Path) -> Result<Vec<OsString>> {
        let Some(fd) = self.point(path)? else { return Ok(Vec::new()) };
        if describe(&fd).doing(|| format!("looking at {}", shown(path)))?.kind != EntryKind::Directory {
            return Ok(Vec::new());
        }
        let doing = || format!("listing {}", shown(path));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&fd, ".", flags, Mode::empty()).doing(doing)?;
        let mut names = Vec::new();
        for entry in rustix::fs::Dir::read_from(&dir).doing(doing)? {
            let entry = entry.doing(doing)?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(OsStr::from_bytes(name).to_owned());
            }
            if names.len() > MAX_NAMES {
                return Err(Error::new(format!("{} has more than {MAX_NAMES} names", shown(path))));
            }
        }
        names.sort();
        Ok(names)
    }
}
