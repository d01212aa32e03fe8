//! Makes entries below one root by descriptor: parents are opened step by step, links in them are never followed.

use crate::error::{Doing, Error, Result};
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::{Kind, Status, shown};
use crate::rootfs::walk::{open_directory, remove};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

/// Directories kept open at once, from the deepest up.
const OPEN_AT_ONCE: usize = 32;

/// Splits a path below the root into its names. The top is the empty path. A name that leaves the root, stays where it is
/// or cannot be a name is an error.
pub fn components(path: &[u8]) -> Result<Vec<&[u8]>> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    for name in &names {
        if name.is_empty() || *name == b"." || *name == b".." || name.contains(&0) {
            return Err(Error::new(format!("{:?} is not a path below the root", shown(path))));
        }
    }
    Ok(names)
}

struct Step {
    name: Vec<u8>,
    fd: Option<OwnedFd>,
}

/// The open directories on the way to the last path that was asked for: entries that come in tree order cost one open.
pub struct Parents {
    root: OwnedFd,
    chain: Vec<Step>,
}

/// The place of an entry: its directory and its name there.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    /// The directory.
    pub dir: BorrowedFd<'a>,
    /// The name; `.` for the root itself.
    pub name: &'a OsStr,
}

impl Parents {
    /// Starts at a root.
    pub fn new(root: &Rootfs) -> Result<Parents> {
        Ok(Parents { root: rustix::io::fcntl_dupfd_cloexec(root.as_fd(), 0)?, chain: Vec::new() })
    }

    /// Opens the directory that holds `path`. Directories that are missing on the way are made (0700, their attributes
    /// come later) when `make` says so. A link on the way is an error.
    pub fn place<'a>(&'a mut self, path: &'a [u8], make: bool) -> Result<Place<'a>> {
        let mut names = components(path)?;
        let Some(name) = names.pop() else {
            self.chain.clear();
            return Ok(Place { dir: self.root.as_fd(), name: OsStr::new(".") });
        };
        let same = self.chain.iter().zip(&names).take_while(|(step, name)| step.name == **name).count();
        self.chain.truncate(same);
        self.reopen()?;
        for name in names.iter().skip(same) {
            let fd = self.enter(name, make).doing(|| format!("opening the directory of {}", shown(path)))?;
            self.chain.push(Step { name: name.to_vec(), fd: Some(fd) });
            if let Some(far) = self.chain.len().checked_sub(OPEN_AT_ONCE + 1) {
                self.chain[far].fd = None;
            }
        }
        Ok(Place { dir: self.deepest(), name: OsStr::from_bytes(name) })
    }

    fn deepest(&self) -> BorrowedFd<'_> {
        self.chain.last().and_then(|s| s.fd.as_ref()).unwrap_or(&self.root).as_fd()
    }

    /// Opens the last directory of the chain again when it was closed to bound the number of descriptors.
    fn reopen(&mut self) -> Result<()> {
        if self.chain.last().is_none_or(|s| s.fd.is_some()) {
            return Ok(());
        }
        let open = self.chain.iter().rposition(|s| s.fd.is_some());
        let mut dir =
            rustix::io::fcntl_dupfd_cloexec(open.and_then(|i| self.chain[i].fd.as_ref()).unwrap_or(&self.root), 0)?;
        for step in self.chain.iter().skip(open.map_or(0, |i| i + 1)) {
            dir = open_directory(dir.as_fd(), OsStr::from_bytes(&step.name))?;
        }
        if let Some(last) = self.chain.last_mut() {
            last.fd = Some(dir);
        }
        Ok(())
    }

    fn enter(&self, name: &[u8], make: bool) -> Result<OwnedFd, Errno> {
        let (dir, name) = (self.deepest(), OsStr::from_bytes(name));
        match open_directory(dir, name) {
            Err(Errno::NOENT) if make => {
                rustix::fs::mkdirat(dir, name, Mode::RWXU)?;
                open_directory(dir, name)
            }
            other => other,
        }
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

    /// Makes an empty regular file (0600) and opens it for writing; what was there is removed first, so that no other
    /// name of it and nothing it points to is written to.
    pub fn make_file(&self) -> Result<File> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        self.replacing(|| rustix::fs::openat(self.dir, self.name, flags, Mode::RUSR | Mode::WUSR)).map(File::from)
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
                remove(self.dir, self.name)?;
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
                remove(self.dir, self.name)?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
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
        parents.place(b"f", true).unwrap().make_file().unwrap().write_all(b"new").unwrap();
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
        parents.place(b"a", false).unwrap().make_file().unwrap().write_all(b"new").unwrap();
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
    fn deep_parents_are_made_found_again_and_use_few_descriptors() {
        let temp = tempfile::tempdir().unwrap();
        let root = Rootfs::open(temp.path()).unwrap();
        let mut parents = Parents::new(&root).unwrap();
        let deep = vec!["d".repeat(100); 120].join("/");
        let (one, two) = (format!("{deep}/one"), format!("{}/two", "d".repeat(100)));
        for _ in 0..2 {
            parents.place(one.as_bytes(), true).unwrap().make_directory().unwrap();
            assert!(parents.chain.iter().filter(|s| s.fd.is_some()).count() <= OPEN_AT_ONCE + 1);
            parents.place(two.as_bytes(), false).unwrap().make_directory().unwrap();
        }
        assert!(temp.path().join(two).is_dir());
        assert!(parents.place(one.as_bytes(), false).unwrap().status().unwrap().is_some());
        remove(root.as_fd(), OsStr::new(&"d".repeat(100))).unwrap();
    }
}
