//! Where ids stand beside owner and group: POSIX ACLs, and the root id of file capabilities.

use crate::error::{Error, Result};
use crate::model::settings::IdRange;

/// The version of an ACL's attribute (linux/posix_acl_xattr.h); entries of 8 bytes follow it.
const ACL_VERSION: u32 = 2;
/// The tags of entries that name a user or a group.
const NAMED: [u16; 2] = [0x02, 0x08];
/// Revisions of a capability attribute (linux/capability.h), in the upper byte of its first word.
const REVISIONS: [u32; 3] = [0x0100_0000, 0x0200_0000, 0x0300_0000];
const REVISION: u32 = 0xff00_0000;

/// From the container's ids to the host's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ids {
    /// The host's ids.
    pub(super) range: IdRange,
    /// An earlier run has shifted a part: ids of the range itself are right already.
    pub(super) begun: bool,
}

impl Ids {
    /// Returns the host's id. The range begins behind the last id of the container, so one that is shifted is never
    /// taken for one that is not.
    pub(super) fn host(self, id: u32) -> Result<u32> {
        let IdRange { base, count } = self.range;
        if id < count {
            return Ok(base.saturating_add(id));
        }
        if self.begun && id.checked_sub(base).is_some_and(|below| below < count) {
            return Ok(id);
        }
        Err(Error::new(format!("id {id} is not among the {count} ids that the container is given")).hint(format!(
            "give it more ids with --id-range BASE:COUNT, where COUNT is more than {id} and BASE at least COUNT, \
             or change that owner in the container"
        )))
    }

    /// Returns an ACL with its users and groups shifted.
    pub(super) fn acl(self, value: &[u8]) -> Result<Vec<u8>> {
        if word(value, 0) != Some(ACL_VERSION) || value.len() % 8 != 4 {
            return Err(Error::new("the ACL is of an unknown form"));
        }
        let mut shifted = value.to_vec();
        for at in (4..value.len()).step_by(8) {
            let tag = u16::from_le_bytes([value[at], value[at + 1]]);
            if let (true, Some(id)) = (NAMED.contains(&tag), word(value, at + 4)) {
                shifted[at + 4..at + 8].copy_from_slice(&self.host(id)?.to_le_bytes());
            }
        }
        Ok(shifted)
    }

    /// Returns file capabilities that count for the root of the container's user name space: revision 3 with the host's
    /// id of that root. Those of revision 1 and 2 are the initial name space's, and would give the container nothing.
    pub(super) fn capability(self, value: &[u8]) -> Result<Vec<u8>> {
        let unknown = || Error::new("the file capabilities are of an unknown form");
        let head = word(value, 0).ok_or_else(unknown)?;
        let (sets, root) = match (head & REVISION, value.len()) {
            (r, 12) if r == REVISIONS[0] => ([&value[4..], &[0; 8]].concat(), 0),
            (r, 20) if r == REVISIONS[1] => (value[4..].to_vec(), 0),
            (r, 24) if r == REVISIONS[2] => (value[4..20].to_vec(), word(value, 20).ok_or_else(unknown)?),
            _ => return Err(unknown()),
        };
        let head = (head & !REVISION) | REVISIONS[2];
        Ok([&head.to_le_bytes(), sets.as_slice(), &self.host(root)?.to_le_bytes()].concat())
    }
}

/// Returns the little-endian word at `at`.
pub(super) fn word(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map(u32::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: IdRange = IdRange { base: 100_000, count: 65_536 };
    const FRESH: Ids = Ids { range: RANGE, begun: false };
    const BEGUN: Ids = Ids { range: RANGE, begun: true };

    #[test]
    fn ids_inside_are_shifted_once() {
        assert_eq!(FRESH.host(0).unwrap(), 100_000);
        assert_eq!(FRESH.host(65_535).unwrap(), 165_535);
        assert_eq!(BEGUN.host(165_535).unwrap(), 165_535);
        for (ids, id) in [(FRESH, 65_536), (FRESH, 100_000), (BEGUN, 165_536), (BEGUN, 99_999), (BEGUN, u32::MAX)] {
            let error = ids.host(id).unwrap_err();
            assert!(error.to_string().contains(&id.to_string()), "{error}");
            assert!(error.first_hint().unwrap().contains("--id-range"));
        }
        let top = Ids { range: IdRange { base: u32::MAX - 9, count: 10 }, begun: true };
        assert_eq!(top.host(9).unwrap(), u32::MAX);
    }

    fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = ACL_VERSION.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(tag.to_le_bytes().iter().chain(&permissions.to_le_bytes()).chain(&id.to_le_bytes()));
        }
        bytes
    }

    #[test]
    fn only_named_entries_of_an_acl_have_ids() {
        let with = |user, group| {
            acl(&[
                (1, 7, u32::MAX),
                (2, 5, user),
                (4, 4, u32::MAX),
                (8, 6, group),
                (16, 7, u32::MAX),
                (32, 0, u32::MAX),
            ])
        };
        assert_eq!(FRESH.acl(&with(33, 0)).unwrap(), with(100_033, 100_000));
        assert_eq!(BEGUN.acl(&with(100_033, 7)).unwrap(), with(100_033, 100_007));
        assert!(FRESH.acl(&with(70_000, 0)).is_err());
        assert_eq!(FRESH.acl(&acl(&[])).unwrap(), acl(&[]));
        for bad in [&b""[..], b"\x02\0\0", b"\x01\0\0\0", b"\x02\0\0\0\x02\0\x05"] {
            assert!(FRESH.acl(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn capabilities_get_the_root_of_the_name_space() {
        let sets: Vec<u8> = (1..17).collect();
        let v3 = |root: u32| [&0x0300_0001u32.to_le_bytes(), sets.as_slice(), &root.to_le_bytes()].concat();
        let v2 = [&0x0200_0001u32.to_le_bytes(), sets.as_slice()].concat();
        assert_eq!(FRESH.capability(&v2).unwrap(), v3(100_000), "the effective bit stays");
        assert_eq!(FRESH.capability(&v3(5)).unwrap(), v3(100_005));
        assert_eq!(BEGUN.capability(&v3(100_005)).unwrap(), v3(100_005));
        assert!(FRESH.capability(&v3(70_000)).is_err());
        let v1 = [&0x0100_0000u32.to_le_bytes()[..], &sets[..8]].concat();
        let wide = FRESH.capability(&v1).unwrap();
        assert_eq!((&wide[4..12], &wide[12..20]), (&sets[..8], &[0; 8][..]));
        for bad in [&b""[..], b"\x01", &v2[..19], &[0; 20]] {
            assert!(FRESH.capability(bad).is_err(), "{bad:?}");
        }
    }
}
