//! The only door into a container's tree: every access is resolved inside one root descriptor.
//!
//! The tree is hostile: a tenant who was root in the container may have made any path a link, a FIFO, a device node, a huge
//! file or an immutable one. Nothing here follows a link out of the root or opens what is not a regular file.

pub mod attributes;
pub mod edit;
pub mod fresh;
pub mod look;
pub mod preimage;
pub mod shift;
pub mod walk;
pub mod write;
pub mod xattrs;

pub use edit::{LastLink, Replaced};
pub use look::{Entry, EntryKind, FileContent, Look};

use crate::error::{Doing, Result};
use rustix::fs::{AtFlags, Mode, OFlags};
use std::collections::BTreeSet;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// An open root of a container's tree.
pub struct Rootfs {
    root: OwnedFd,
    path: PathBuf,
    touched: Option<Mutex<BTreeSet<PathBuf>>>,
}

impl Rootfs {
    /// Opens the directory at `path` of this host as a root. The path itself is trusted, what is below is not.
    pub fn open(path: &Path) -> Result<Rootfs> {
        let flags = OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::RDONLY;
        let root =
            rustix::fs::open(path, flags, Mode::empty()).doing(|| format!("opening the tree at {}", path.display()))?;
        Ok(Rootfs { root, path: path.to_owned(), touched: None })
    }

    /// Notes every path that is looked at, read or changed from now on, for [`Rootfs::touched`].
    #[must_use]
    pub fn noting_paths(mut self) -> Rootfs {
        self.touched = Some(Mutex::default());
        self
    }

    /// Returns the paths that were looked at, read or changed, relative to the root; none without
    /// [`Rootfs::noting_paths`].
    pub fn touched(&self) -> BTreeSet<PathBuf> {
        let noted = self.touched.as_ref().map(|t| t.lock().unwrap_or_else(PoisonError::into_inner).clone());
        noted.unwrap_or_default()
    }

    fn note(&self, path: &Path) {
        if let Some(touched) = &self.touched {
            touched.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        }
    }

    /// Tells whether the root is the top of a file system: then nothing else lives there.
    pub fn is_file_system(&self) -> Result<bool> {
        let status = |path| {
            rustix::fs::statat(&self.root, path, AtFlags::SYMLINK_NOFOLLOW)
                .doing(|| format!("looking at {}", self.path.display()))
        };
        Ok(status(".")?.st_dev != status("..")?.st_dev)
    }

    /// Returns where the root is on this host, for programs like rsync that take a path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Rootfs {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

#[cfg(test)]
mod tests;
