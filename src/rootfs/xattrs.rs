//! Extended attributes of one entry: of an open one by its descriptor, of any other by a magic link.

use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::shown;
use rustix::fs::XattrFlags;
use rustix::io::Errno;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Extended attributes by full name (`user.x`, `security.capability`, `system.posix_acl_access`, …).
pub type Xattrs = BTreeMap<Vec<u8>, Vec<u8>>;

/// The name that magic links give an entry: the only way to the xattrs of a link, a FIFO or a device without opening it.
pub(super) fn magic_path(dir: BorrowedFd<'_>, name: &OsStr) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name.as_bytes());
    path
}

/// Reads all extended attributes of `name` in `dir`. A file system without any has none.
pub fn read_xattrs(dir: BorrowedFd<'_>, name: &OsStr) -> Result<Xattrs, Errno> {
    let path = magic_path(dir, name);
    let mut xattrs = Xattrs::new();
    for attribute in Bearer::Named(&path).list()? {
        if let Some(value) = read_xattr(&path, &attribute)? {
            xattrs.insert(attribute, value);
        }
    }
    Ok(xattrs)
}

/// Gives `name` in `dir` an attribute with this value; one that it has already is not written again.
pub fn replace_xattr(dir: BorrowedFd<'_>, name: &OsStr, attribute: &[u8], value: &[u8]) -> Result<(), Errno> {
    let path = magic_path(dir, name);
    if read_xattr(&path, attribute)?.as_deref() == Some(value) {
        return Ok(());
    }
    Bearer::Named(&path).set(attribute, value)
}

/// Reads one extended attribute of what [`magic_path`] names; `None` when it has none of that name.
pub(super) fn read_xattr(path: &[u8], attribute: &[u8]) -> Result<Option<Vec<u8>>, Errno> {
    let value = read_sized(|buffer| match buffer {
        None => rustix::fs::lgetxattr_query(path, attribute),
        Some(buffer) => rustix::fs::lgetxattr(path, attribute, buffer),
    });
    match value {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA) => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_sized(mut call: impl FnMut(Option<&mut [u8]>) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    loop {
        let mut buffer = vec![0; call(None)?];
        if buffer.is_empty() {
            return Ok(buffer);
        }
        match call(Some(&mut buffer)) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {}
            Err(e) => return Err(e),
        }
    }
}

/// What has extended attributes.
#[derive(Clone, Copy)]
pub(super) enum Bearer<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// What a [`magic_path`] names.
    Named(&'a [u8]),
}

impl Bearer<'_> {
    pub(super) fn list(self) -> Result<Vec<Vec<u8>>, Errno> {
        let list = read_sized(|buffer| match (self, buffer) {
            (Bearer::Open(fd), None) => rustix::fs::flistxattr_query(fd),
            (Bearer::Open(fd), Some(buffer)) => rustix::fs::flistxattr(fd, buffer),
            (Bearer::Named(path), None) => rustix::fs::llistxattr_query(path),
            (Bearer::Named(path), Some(buffer)) => rustix::fs::llistxattr(path, buffer),
        });
        match list {
            Ok(list) => {
                Ok(list.split(|b| *b == 0).filter(|n| !n.is_empty() && !is_double(n)).map(<[u8]>::to_vec).collect())
            }
            Err(Errno::OPNOTSUPP) => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    fn set(self, attribute: &[u8], value: &[u8]) -> Result<(), Errno> {
        match self {
            Bearer::Open(fd) => rustix::fs::fsetxattr(fd, attribute, value, XattrFlags::empty()),
            Bearer::Named(path) => rustix::fs::lsetxattr(path, attribute, value, XattrFlags::empty()),
        }
    }

    fn remove(self, attribute: &[u8]) -> Result<(), Errno> {
        match self {
            Bearer::Open(fd) => rustix::fs::fremovexattr(fd, attribute),
            Bearer::Named(path) => rustix::fs::lremovexattr(path, attribute),
        }
    }

    /// Removes what is not wanted: it was inherited (a default ACL, a label), or belongs to what this entry was before.
    pub(super) fn keep_only(self, wanted: &Xattrs) -> Result<()> {
        for attribute in self.list().doing(|| "listing extended attributes")? {
            if !wanted.contains_key(&attribute) {
                match self.remove(&attribute) {
                    Ok(()) | Err(Errno::NODATA) => {}
                    Err(_) if !essential(&attribute) => {}
                    Err(e) => return Err(e).doing(|| format!("removing extended attribute {}", shown(&attribute))),
                }
            }
        }
        Ok(())
    }

    /// Sets attributes and returns the names of those that this file system or kernel refuses and that do not matter for
    /// running the container.
    pub(super) fn set_all(self, wanted: &Xattrs) -> Result<Vec<String>> {
        let mut refused = Vec::new();
        for (attribute, value) in wanted.iter().filter(|(name, _)| !is_double(name)) {
            match self.set(attribute, value) {
                Ok(()) => {}
                Err(_) if !essential(attribute) => refused.push(shown(attribute)),
                Err(e) => {
                    let error = Error::from(e);
                    let error = match e {
                        Errno::OPNOTSUPP => error.hint("the target's file system does not keep such attributes"),
                        Errno::NOSPC | Errno::TOOBIG => {
                            error.hint("the attributes do not fit into the target's inodes")
                        }
                        _ => error,
                    };
                    return Err(error).doing(|| format!("setting extended attribute {}", shown(attribute)));
                }
            }
        }
        Ok(refused)
    }
}

/// Tells whether an attribute says once more what another one says: XFS shows each ACL in a form of its own too.
pub fn is_double(attribute: &[u8]) -> bool {
    attribute == b"trusted.SGI_ACL_FILE" || attribute == b"trusted.SGI_ACL_DEFAULT"
}

/// Tells whether a container would miss this attribute: labels of another security module and private attributes of the
/// source's file system it would not.
pub fn essential(attribute: &[u8]) -> bool {
    let label: [&[u8]; 3] = [b"security.selinux", b"security.ima", b"security.evm"];
    if label.contains(&attribute) || is_double(attribute) {
        return false;
    }
    [b"user.".as_slice(), b"trusted.", b"security.", b"system.posix_acl_"].iter().any(|n| attribute.starts_with(n))
}
