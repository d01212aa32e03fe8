//! Makes entries below one root by descriptor: links on the way to them are never followed.

use crate::error::{Doing, Error, Result};
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::{Kind, Status, shown};
use crate::rootfs::fresh::{Birth, birth_mode};
use crate::rootfs::walk::{open_directory, remove};
use lru::LruCache;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::File;
use std::num::NonZeroUsize;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Fewest and most directories that one keeps open at once: members come in the order of inodes and hop between them.
const OPEN_AT_ONCE: (usize, usize) = (8, 4096);
/// How many [`Parents`] there are in this process: they share its descriptors.
static SHARERS: AtomicUsize = AtomicUsize::new(0);

/// Splits a path below the root into its names. The top is the empty path. A name that leaves the root, stays where it is
/// or cannot be a name is an error.
pub fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    check(path)?;
    Ok(if path.is_empty() { Vec::new() } else { path.split(|b| *b == b'/').collect() })
}

fn check(path: &[u8]) -> Result<()> {
    let bad = |name: &[u8]| name.is_empty() || name == b"." || name == b".." || name.contains(&0);
    if !path.is_empty() && path.split(|b| *b == b'/').any(bad) {
        return Err(Error::new(format!("{:?} is not a path below the root", shown(path))));
    }
    Ok(())
}

struct Open {
    fd: OwnedFd,
    birth: Cell<Option<Birth>>,
}

/// Returns how many directories each of the sharers may keep open: all together a quarter of the descriptors that this
/// process may have, since connections and files need some too.
fn open_at_once() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX) / 4;
    let share = usize::try_from(limit).unwrap_or(usize::MAX) / SHARERS.load(Ordering::Relaxed).max(1);
    share.clamp(OPEN_AT_ONCE.0, OPEN_AT_ONCE.1)
}

/// The directories that were used last, open.
pub struct Parents {
    root: OwnedFd,
    /// The root's own part of what is known about directories.
    birth: Cell<Option<Birth>>,
    open: LruCache<Vec<u8>, Open>,
    /// A directory was removed: what is open may no longer be what its path names.
    removed: Cell<bool>,
}

/// The place of an entry: its directory and its name there.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub dir: BorrowedFd<'a>,
    /// The name; `.` for the root itself.
    pub name: &'a OsStr,
    birth: &'a Cell<Option<Birth>>,
    removed: &'a Cell<bool>,
}

impl Parents {
    /// Starts at a root.
    pub fn new(root: &Rootfs) -> Result<Parents> {
        let root = rustix::io::fcntl_dupfd_cloexec(root.as_fd(), 0)?;
        SHARERS.fetch_add(1, Ordering::Relaxed);
        let open = LruCache::new(NonZeroUsize::new(OPEN_AT_ONCE.1).unwrap_or(NonZeroUsize::MIN));
        Ok(Parents { root, birth: Cell::new(None), open, removed: Cell::new(false) })
    }

    /// Opens the directory that holds `path`. Directories that are missing on the way are made (0700, their attributes
    /// come later) when `make` says so. A link on the way is an error.
    pub fn place<'a>(&'a mut self, path: &'a [u8], make: bool) -> Result<Place<'a>> {
        check(path)?;
        if path.is_empty() {
            return Ok(self.at_top(b"."));
        }
        let Some(slash) = path.iter().rposition(|b| *b == b'/') else { return Ok(self.at_top(path)) };
        let (dir, name) = (&path[..slash], OsStr::from_bytes(&path[slash + 1..]));
        if self.removed.replace(false) {
            self.open.clear();
        }
        if !self.open.contains(dir) {
            // Others may have come meanwhile, and each has a smaller share then.
            let most = open_at_once();
            while self.open.len() >= most {
                self.open.pop_lru();
            }
            let fd = self.reach(dir, make).doing(|| format!("opening the directory of {}", shown(path)))?;
            self.open.push(dir.to_vec(), Open { fd, birth: Cell::new(None) });
        }
        let open = self.open.get(dir).ok_or_else(|| Error::new("a directory was closed too early"))?;
        Ok(Place { dir: open.fd.as_fd(), name, birth: &open.birth, removed: &self.removed })
    }

    fn at_top<'a>(&'a self, name: &'a [u8]) -> Place<'a> {
        Place { dir: self.root.as_fd(), name: OsStr::from_bytes(name), birth: &self.birth, removed: &self.removed }
    }

    /// Opens a directory: in one step where the kernel can, step by step where it cannot or something is missing.
    fn reach(&self, path: &[u8], make: bool) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let inside = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        if let Ok(fd) = rustix::fs::openat2(&self.root, path, flags, Mode::empty(), inside) {
            return Ok(fd);
        }
        let mut dir: Option<OwnedFd> = None;
        let slashes = path.iter().enumerate().rev().filter(|(_, b)| **b == b'/').map(|(at, _)| at);
        let above = slashes.filter_map(|at| Some((self.open.peek(&path[..at])?, &path[at + 1..]))).next();
        let (start, rest) = above.map_or((self.root.as_fd(), path), |(open, rest)| (open.fd.as_fd(), rest));
        for name in rest.split(|b| *b == b'/') {
            let next = step(dir.as_ref().map_or(start, AsFd::as_fd), OsStr::from_bytes(name), make)?;
            dir = Some(next);
        }
        dir.ok_or(Errno::NOENT)
    }
}

fn step(dir: BorrowedFd<'_>, name: &OsStr, make: bool) -> Result<OwnedFd, Errno> {
    match open_directory(dir, name) {
        Err(Errno::NOENT) if make => {
            match rustix::fs::mkdirat(dir, name, Mode::RWXU) {
                // Another stream needs the same directory.
                Ok(()) | Err(Errno::EXIST) => open_directory(dir, name),
                Err(e) => Err(e),
            }
        }
        other => other,
    }
}

impl Drop for Parents {
    fn drop(&mut self) {
        SHARERS.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Place<'_> {
    /// Looks at the entry; `None` when there is none.
    pub fn status(&self) -> Result<Option<Status>, Errno> {
        match Status::at(self.dir, self.name) {
            Ok(status) => Ok(Some(status)),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Makes an empty regular file and opens it for writing; it has at most the permissions of `mode`, and gets them and
    /// the rest by [`super::fresh::finish_file`]. What was there is removed first, so that no other name of it and
    /// nothing it points to is written to.
    pub fn make_file(&self, mode: u32) -> Result<(File, Birth)> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = self.replacing(|| rustix::fs::openat(self.dir, self.name, flags, birth_mode(mode)))?;
        let birth = match self.birth.get() {
            Some(birth) => birth,
            None => {
                let birth = Birth::of(file.as_fd(), mode)?;
                self.birth.set(Some(birth));
                birth
            }
        };
        Ok((File::from(file), birth))
    }

    /// Makes a directory (0700); one that exists stays, anything else is replaced.
    pub fn make_directory(&self) -> Result<()> {
        match rustix::fs::mkdirat(self.dir, self.name, Mode::RWXU) {
            Err(Errno::EXIST) if self.status()?.is_some_and(|s| s.kind == Kind::Directory) => Ok(()),
            Err(Errno::EXIST) => self.replacing(|| rustix::fs::mkdirat(self.dir, self.name, Mode::RWXU)),
            other => Ok(other?),
        }
    }

    /// Makes a symbolic link with any bytes as its target; what was there is removed.
    pub fn make_symlink(&self, target: &[u8]) -> Result<()> {
        self.replacing(|| rustix::fs::symlinkat(target, self.dir, self.name))
    }

    /// Makes a device, FIFO or socket (mode 0); what was there is removed.
    pub fn make_node(&self, kind: Kind, rdev: (u32, u32)) -> Result<()> {
        let device = rustix::fs::makedev(rdev.0, rdev.1);
        self.replacing(|| rustix::fs::mknodat(self.dir, self.name, kind.file_type(), Mode::empty(), device))
    }

    /// Makes the entry another name of `original`, which must not be a directory; what was there is removed.
    pub fn make_hard_link(&self, original: &Place<'_>) -> Result<()> {
        let link = || rustix::fs::linkat(original.dir, original.name, self.dir, self.name, AtFlags::empty());
        match link() {
            // Both names may be the same file already; removing it then would lose its only content.
            Err(Errno::EXIST) if self.same_as(original)? => Ok(()),
            Err(Errno::EXIST) => {
                self.clear()?;
                Ok(link()?)
            }
            other => Ok(other?),
        }
    }

    /// Tells whether two places hold the same inode.
    pub fn same_as(&self, other: &Place<'_>) -> Result<bool, Errno> {
        let inode = |s: Status| (s.device, s.inode);
        let here = self.status()?.map(inode);
        Ok(here.is_some() && here == other.status()?.map(inode))
    }

    fn replacing<T>(&self, make: impl Fn() -> Result<T, Errno>) -> Result<T> {
        match make() {
            Err(Errno::EXIST) => {
                self.clear()?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    fn clear(&self) -> Result<()> {
        if rustix::fs::unlinkat(self.dir, self.name, AtFlags::empty()).is_ok() {
            return Ok(());
        }
        self.removed.set(true);
        remove(self.dir, self.name).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_path_that_leaves_the_root_is_refused() {
        for path in ["/etc", "a/../b", "..", "a//b", "./a", "a/", "a/."] {
            assert!(components(path.as_bytes()).is_err(), "{path}");
        }
        assert_eq!(components(b"a/..b/c").unwrap(), [b"a".as_slice(), b"..b", b"c"]);
        assert!(components(b"").unwrap().is_empty());
    }

    #[test]
    fn links_on_the_way_are_refused_and_at_the_end_replaced() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("outside")).unwrap();
        std::fs::write(temp.path().join("outside/f"), "canary").unwrap();
        std::fs::create_dir(temp.path().join("root")).unwrap();
        std::os::unix::fs::symlink("../outside", temp.path().join("root/d")).unwrap();
        std::os::unix::fs::symlink("../outside/f", temp.path().join("root/f")).unwrap();
        let root = Rootfs::open(&temp.path().join("root")).unwrap();
        let mut parents = Parents::new(&root).unwrap();
        assert!(parents.place(b"d/f", true).is_err());
        parents.place(b"f", true).unwrap().make_file(0o600).unwrap().0.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(temp.path().join("outside/f")).unwrap(), b"canary");
        assert_eq!(std::fs::read(temp.path().join("root/f")).unwrap(), b"new");
    }

    #[test]
    fn other_names_of_a_replaced_file_keep_their_content() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::write(temp.path().join("a"), "old").unwrap();
        std::fs::hard_link(temp.path().join("a"), temp.path().join("b")).unwrap();
        let root = Rootfs::open(temp.path()).unwrap();
        let mut parents = Parents::new(&root).unwrap();
        parents.place(b"a", false).unwrap().make_file(0o600).unwrap().0.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(temp.path().join("b")).unwrap(), b"old");
        let mut links = Parents::new(&root).unwrap();
        let original = links.place(b"a", false).unwrap();
        let place = parents.place(b"b", false).unwrap();
        for _ in 0..2 {
            place.make_hard_link(&original).unwrap();
            assert!(place.same_as(&original).unwrap());
        }
        original.make_hard_link(&original).unwrap();
        assert_eq!(std::fs::read(temp.path().join("b")).unwrap(), b"new");
    }

    #[test]
    fn a_directory_that_was_replaced_is_not_written_to_any_more() {
        let temp = tempfile::tempdir().unwrap();
        let root = Rootfs::open(temp.path()).unwrap();
        let mut parents = Parents::new(&root).unwrap();
        parents.place(b"a/b/one", true).unwrap().make_file(0o600).unwrap();
        parents.place(b"a", true).unwrap().make_symlink(b"b").unwrap();
        assert!(parents.place(b"a/b/two", true).is_err());
        parents.place(b"a", true).unwrap().make_directory().unwrap();
        parents.place(b"a/b/two", true).unwrap().make_file(0o600).unwrap();
        assert!(temp.path().join("a/b/two").is_file() && !temp.path().join("a/b/one").exists());
    }

    #[test]
    fn many_directories_in_turn_use_few_descriptors() {
        let temp = tempfile::tempdir().unwrap();
        let root = Rootfs::open(temp.path()).unwrap();
        let mut parents = Parents::new(&root).unwrap();
        parents.open.resize(NonZeroUsize::new(16).unwrap());
        for round in 0..3 {
            for dir in 0..32 {
                let path = format!("x/{dir}/{round}");
                parents.place(path.as_bytes(), true).unwrap().make_file(0o644).unwrap();
                assert!(parents.open.len() <= 16 && temp.path().join(path).is_file());
            }
        }
    }

    #[test]
    fn however_many_share_the_descriptors_there_are_enough() {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(1 << 20);
        let most = usize::try_from(limit / 4).unwrap();
        let temp = tempfile::tempdir().unwrap();
        let root = Rootfs::open(temp.path()).unwrap();
        let mut all: Vec<Parents> = (0..64).map(|_| Parents::new(&root).unwrap()).collect();
        for dir in 0..most / 32 {
            for parents in &mut all {
                parents.place(format!("{dir}/x").as_bytes(), true).unwrap();
            }
        }
        let open: usize = all.iter().map(|parents| parents.open.len()).sum();
        assert!(open <= most.max(64 * OPEN_AT_ONCE.0), "{open} of {limit}");
    }

    #[test]
    fn deep_parents_are_made_found_again_and_use_few_descriptors() {
        let temp = tempfile::tempdir().unwrap();
        let root = Rootfs::open(temp.path()).unwrap();
        let mut parents = Parents::new(&root).unwrap();
        let deep = vec!["d".repeat(100); 120].join("/");
        let (one, two) = (format!("{deep}/one"), format!("{}/two", "d".repeat(100)));
        for _ in 0..2 {
            parents.place(one.as_bytes(), true).unwrap().make_directory().unwrap();
            assert!(parents.open.len() <= OPEN_AT_ONCE.1);
            parents.place(two.as_bytes(), false).unwrap().make_directory().unwrap();
        }
        assert!(temp.path().join(two).is_dir());
        assert!(parents.place(one.as_bytes(), false).unwrap().status().unwrap().is_some());
        remove(root.as_fd(), OsStr::new(&"d".repeat(100))).unwrap();
    }
}
