//! A walk over a tree through descriptors: any depth, a bounded number of open directories, links never followed.

use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::{Kind, Status, shown};
use rustix::fs::{AtFlags, Dir, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// Directories kept open at once, from the deepest up; those above are reopened on the way back.
const OPEN_AT_ONCE: usize = 64;

/// One entry of a walk.
pub struct At<'a> {
    /// The directory it is in.
    pub dir: BorrowedFd<'a>,
    /// Its name there.
    pub name: &'a OsStr,
    /// Its path below the top of the walk, without a leading slash.
    pub path: &'a [u8],
    /// What it is.
    pub status: &'a Status,
}

/// Whether a walk goes into a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Descend {
    /// It does.
    Yes,
    /// It does not.
    No,
}

/// Sees every entry of a walk: names of a directory in byte order, a directory before what is in it.
pub trait Visitor {
    /// Sees an entry, which it may remove when it answers [`Descend::No`].
    fn enter(&mut self, at: &At<'_>) -> Result<Descend>;

    /// Sees a directory again after what is in it.
    fn leave(&mut self, at: &At<'_>) -> Result<()> {
        let _ = at;
        Ok(())
    }
}

struct Frame {
    name: OsString,
    names: std::vec::IntoIter<OsString>,
    status: Status,
    fd: Option<OwnedFd>,
    above: usize,
}

impl Frame {
    fn fd(&self) -> Result<BorrowedFd<'_>> {
        self.fd.as_ref().map(AsFd::as_fd).ok_or_else(|| Error::new("a directory of the walk was closed too early"))
    }
}

/// Walks everything below `top`, which itself is not visited. Other file systems are seen but not entered. What vanishes
/// on the way is left out.
pub fn walk(top: BorrowedFd<'_>, visitor: &mut dyn Visitor) -> Result<()> {
    let fd = open_directory(top, OsStr::new("."))?;
    let status = Status::of(fd.as_fd())?;
    let device = status.device;
    let mut path = Vec::new();
    let names = sorted_names(fd.as_fd()).doing(|| "reading the top directory")?;
    let mut stack = vec![Frame { name: OsString::new(), names, status, fd: Some(fd), above: 0 }];
    while let Some(frame) = stack.last_mut() {
        let Some(name) = frame.names.next() else {
            step_up(&mut stack, &mut path, visitor)?;
            continue;
        };
        let dir = frame.fd()?;
        let status = match Status::at(dir, &name) {
            Ok(status) => status,
            Err(Errno::NOENT) => continue,
            Err(e) => return Err(e).doing(|| format!("looking at {} in {}", shown(name.as_bytes()), shown(&path))),
        };
        let above = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.as_bytes());
        let descend = visitor.enter(&At { dir, name: &name, path: &path, status: &status })?;
        if descend == Descend::Yes && status.kind == Kind::Directory && status.device == device {
            let below = step_down(dir, name, status, above).doing(|| format!("reading directory {}", shown(&path)))?;
            stack.push(below);
            if let Some(far) = stack.len().checked_sub(OPEN_AT_ONCE).filter(|i| *i > 0) {
                stack[far].fd = None;
            }
        } else {
            path.truncate(above);
        }
    }
    Ok(())
}

fn step_down(dir: BorrowedFd<'_>, name: OsString, status: Status, above: usize) -> Result<Frame> {
    let fd = open_directory(dir, &name)?;
    let names = sorted_names(fd.as_fd())?;
    Ok(Frame { name, names, status, fd: Some(fd), above })
}

fn step_up(stack: &mut Vec<Frame>, path: &mut Vec<u8>, visitor: &mut dyn Visitor) -> Result<()> {
    let Some(done) = stack.pop() else { return Ok(()) };
    let Some(parent) = stack.last_mut() else { return Ok(()) };
    if parent.fd.is_none() {
        let fd = open_directory(done.fd()?, OsStr::new(".."))?;
        let found = Status::of(fd.as_fd())?;
        // Somebody moved the directory while it was walked: `..` may lie anywhere now.
        if (found.device, found.inode) != (parent.status.device, parent.status.inode) {
            return Err(Error::new(format!("directory {} was moved while it was read", shown(path))));
        }
        parent.fd = Some(fd);
    }
    visitor.leave(&At { dir: parent.fd()?, name: &done.name, path, status: &done.status })?;
    path.truncate(done.above);
    Ok(())
}

/// Opens the directory `name` in `dir`; a link is not followed.
pub fn open_directory(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

fn sorted_names(dir: BorrowedFd<'_>) -> Result<std::vec::IntoIter<OsString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(dir)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(OsString::from_vec(name));
        }
    }
    names.sort_unstable();
    Ok(names.into_iter())
}

/// Removes `name` in `dir`, whatever it is, with everything below it, and returns how many entries that were. Absent is
/// fine. A file system mounted below it is an error, and stays.
pub fn remove(dir: BorrowedFd<'_>, name: &OsStr) -> Result<u64> {
    match rustix::fs::unlinkat(dir, name, AtFlags::empty()) {
        Ok(()) => return Ok(1),
        Err(Errno::NOENT) => return Ok(0),
        Err(Errno::ISDIR) => {}
        Err(e) => return Err(e).doing(|| format!("removing {}", shown(name.as_bytes()))),
    }
    let mut remover = Remover { removed: 1 };
    let below = open_directory(dir, name).doing(|| format!("removing {}", shown(name.as_bytes())))?;
    walk(below.as_fd(), &mut remover).doing(|| format!("removing {}", shown(name.as_bytes())))?;
    rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR).doing(|| format!("removing {}", shown(name.as_bytes())))?;
    Ok(remover.removed)
}

struct Remover {
    removed: u64,
}

impl Visitor for Remover {
    fn enter(&mut self, at: &At<'_>) -> Result<Descend> {
        if at.status.kind != Kind::Directory {
            rustix::fs::unlinkat(at.dir, at.name, AtFlags::empty()).doing(|| shown(at.path))?;
            self.removed += 1;
        }
        Ok(Descend::Yes)
    }

    fn leave(&mut self, at: &At<'_>) -> Result<()> {
        rustix::fs::unlinkat(at.dir, at.name, AtFlags::REMOVEDIR).doing(|| shown(at.path))?;
        self.removed += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    struct Paths {
        entered: Vec<String>,
        left: Vec<String>,
    }

    impl Visitor for Paths {
        fn enter(&mut self, at: &At<'_>) -> Result<Descend> {
            self.entered.push(shown(at.path));
            Ok(if at.name == "closed" { Descend::No } else { Descend::Yes })
        }

        fn leave(&mut self, at: &At<'_>) -> Result<()> {
            assert_eq!(Status::at(at.dir, at.name).unwrap().inode, at.status.inode);
            self.left.push(shown(at.path));
            Ok(())
        }
    }

    #[test]
    fn entries_come_in_order_and_links_are_not_followed() {
        let temp = tempfile::tempdir().unwrap();
        for dir in ["a", "a-b", "closed", "a/x"] {
            std::fs::create_dir(temp.path().join(dir)).unwrap();
        }
        std::fs::write(temp.path().join("a/f"), "").unwrap();
        std::fs::write(temp.path().join("closed/f"), "").unwrap();
        std::os::unix::fs::symlink("/", temp.path().join("l")).unwrap();
        let mut seen = Paths { entered: Vec::new(), left: Vec::new() };
        walk(File::open(temp.path()).unwrap().as_fd(), &mut seen).unwrap();
        assert_eq!(seen.entered, ["a", "a/f", "a/x", "a-b", "closed", "l"]);
        assert_eq!(seen.left, ["a/x", "a", "a-b"]);
    }

    #[test]
    fn a_tree_far_deeper_than_path_max_is_walked_and_removed() {
        let temp = tempfile::tempdir().unwrap();
        let top = File::open(temp.path()).unwrap();
        let name = OsString::from("d".repeat(200));
        let mut dir = OwnedFd::from(top.try_clone().unwrap());
        for _ in 0..300 {
            rustix::fs::mkdirat(&dir, &name, Mode::RWXU).unwrap();
            dir = open_directory(dir.as_fd(), &name).unwrap();
        }
        let mut seen = Paths { entered: Vec::new(), left: Vec::new() };
        walk(top.as_fd(), &mut seen).unwrap();
        assert_eq!((seen.entered.len(), seen.left.len()), (300, 300));
        assert_eq!(remove(top.as_fd(), &name).unwrap(), 300);
        assert_eq!(remove(top.as_fd(), &name).unwrap(), 0);
        assert_eq!(std::fs::read_dir(temp.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_removed_and_not_what_it_points_to() {
        let temp = tempfile::tempdir().unwrap();
        std::fs::create_dir(temp.path().join("canary")).unwrap();
        std::fs::write(temp.path().join("canary/f"), "").unwrap();
        std::fs::create_dir(temp.path().join("d")).unwrap();
        std::os::unix::fs::symlink("../canary", temp.path().join("d/l")).unwrap();
        let top = File::open(temp.path()).unwrap();
        assert_eq!(remove(top.as_fd(), OsStr::new("d")).unwrap(), 2);
        assert!(temp.path().join("canary/f").exists());
    }
}
