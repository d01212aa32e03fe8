//! ACLs: GNU tar writes them as text, in which ids may be names; the kernel takes `system.posix_acl_*`.

use super::pax::Records;
use crate::error::{Doing, Error, Result};
use crate::rootfs::attributes::{Xattrs, shown};

const ACCESS: &[u8] = b"system.posix_acl_access";
const DEFAULT: &[u8] = b"system.posix_acl_default";
const SELINUX: &[u8] = b"security.selinux";

/// Knows the users and groups of the host that wrote an archive: its tar may have put names where ids were.
pub trait Names: Sync {
    /// Returns a user's id.
    fn uid(&self, name: &str) -> Option<u32>;

    /// Returns a group's id.
    fn gid(&self, name: &str) -> Option<u32>;
}

/// Knows nobody.
pub struct NoNames;

impl Names for NoNames {
    fn uid(&self, _: &str) -> Option<u32> {
        None
    }

    fn gid(&self, _: &str) -> Option<u32> {
        None
    }
}

/// Returns all extended attributes of a member. The binary form of an ACL, which newer versions write too, wins over text.
pub(super) fn complete(records: Records, names: &dyn Names) -> Result<Xattrs> {
    let mut xattrs = records.xattrs;
    for (key, text) in [(ACCESS, &records.acl_access), (DEFAULT, &records.acl_default)] {
        if let Some(text) = text.as_ref().filter(|_| !xattrs.contains_key(key)) {
            let acl = encode(text, key == ACCESS, names).doing(|| format!("reading the ACL {:?}", shown(text)))?;
            if let Some(acl) = acl {
                xattrs.insert(key.to_vec(), acl);
            }
        }
    }
    if let Some(mut label) = records.selinux {
        if !label.ends_with(&[0]) {
            label.push(0);
        }
        xattrs.entry(SELINUX.to_vec()).or_insert(label);
    }
    Ok(xattrs)
}

/// Encodes text like `user::rw-\nuser:12:r--\n…` (linux/posix_acl_xattr.h: version 2, then tag, permissions, id).
/// `None` for an access ACL that says no more than the mode, and for an empty one.
fn encode(text: &[u8], access: bool, names: &dyn Names) -> Result<Option<Vec<u8>>> {
    let text = std::str::from_utf8(text).map_err(|e| Error::new("the ACL is not text").because(e))?;
    let mut entries = Vec::new();
    for line in text.split(['\n', ',']) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() {
            continue;
        }
        let bad = || Error::new(format!("{line:?} is not an entry of an ACL"));
        let line_parts: Vec<&str> = line.split(':').collect();
        let (tag, who, permissions) = match line_parts.as_slice() {
            [tag, who, permissions] => (*tag, *who, *permissions),
            [tag @ ("mask" | "m" | "other" | "o"), permissions] => (*tag, "", *permissions),
            _ => return Err(bad()),
        };
        let (tag, id) = match (tag, who) {
            ("user" | "u", "") => (0x01, None),
            ("user" | "u", who) => (0x02, Some(resolve(who, |n| names.uid(n))?)),
            ("group" | "g", "") => (0x04, None),
            ("group" | "g", who) => (0x08, Some(resolve(who, |n| names.gid(n))?)),
            ("mask" | "m", "") => (0x10, None),
            ("other" | "o", "") => (0x20, None),
            _ => return Err(bad()),
        };
        entries.push((tag, id, bits(permissions).ok_or_else(bad)?));
    }
    entries.sort_unstable();
    if entries.is_empty() || (access && entries.len() == 3) {
        return Ok(None);
    }
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        acl.extend(u16::to_le_bytes(tag));
        acl.extend(u16::to_le_bytes(permissions));
        acl.extend(id.unwrap_or(u32::MAX).to_le_bytes());
    }
    Ok(Some(acl))
}

fn resolve(who: &str, lookup: impl Fn(&str) -> Option<u32>) -> Result<u32> {
    who.parse().ok().or_else(|| lookup(who)).ok_or_else(|| {
        Error::new(format!(
            "the source's tar wrote the name {who:?}, which is not in the source's passwd or group file"
        ))
        .hint("copy with --engine rsync")
    })
}

fn bits(permissions: &str) -> Option<u16> {
    let mut bits = 0;
    for c in permissions.chars() {
        bits |= match c {
            'r' => 4,
            'w' => 2,
            'x' => 1,
            '-' => 0,
            _ => return None,
        };
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Bob;

    impl Names for Bob {
        fn uid(&self, name: &str) -> Option<u32> {
            (name == "bob").then_some(1000)
        }

        fn gid(&self, name: &str) -> Option<u32> {
            (name == "staff").then_some(50)
        }
    }

    #[test]
    fn text_becomes_what_the_kernel_gives_for_the_same_acl() {
        let text = b"user::rw-\nuser:bob:rw-\t#effective:r--\nuser:7:r--\ngroup::r--\ngroup:staff:--x\nmask::rw-\nother::---\n";
        let acl = encode(text, true, &Bob).unwrap().unwrap();
        let mut wanted = vec![2, 0, 0, 0];
        for (tag, perm, id) in [
            (1u16, 6u16, u32::MAX),
            (2, 4, 7),
            (2, 6, 1000),
            (4, 4, u32::MAX),
            (8, 1, 50),
            (16, 6, u32::MAX),
            (32, 0, u32::MAX),
        ] {
            wanted.extend(tag.to_le_bytes());
            wanted.extend(perm.to_le_bytes());
            wanted.extend(id.to_le_bytes());
        }
        assert_eq!(acl, wanted);
    }

    #[test]
    fn an_acl_that_is_only_a_mode_is_none() {
        let text = b"user::rw-\ngroup::r--\nother::r--\n";
        assert_eq!(encode(text, true, &NoNames).unwrap(), None);
        assert!(encode(text, false, &NoNames).unwrap().is_some());
    }

    #[test]
    fn a_name_nobody_knows_and_nonsense_are_errors() {
        let error = encode(b"user:eve:rwx", true, &Bob).unwrap_err();
        assert_eq!(error.first_hint(), Some("copy with --engine rsync"));
        for bad in ["user:1", "mask:1:rwx", "user:1:rwz", "x::r", "user:1:r:r"] {
            assert!(encode(bad.as_bytes(), true, &Bob).is_err(), "{bad}");
        }
    }
}
