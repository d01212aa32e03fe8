//! Completes what tar sent: sockets, which no archive carries, and the names of one inode, of which each tar knows its own.

use super::delta::link_groups;
use super::extract::Extractor;
use super::index::{Entry, Index};
use crate::error::{Error, Result};
use crate::rootfs::attributes::{Attributes, Kind, shown};
use std::collections::HashSet;

/// Makes the sockets that are needed, one entry for each inode, and returns which; [`join_groups`] gives them their other
/// names.
pub(super) fn make_sockets(index: &Index, needed: &[bool], extractor: &mut Extractor) -> Result<Vec<usize>> {
    let (mut inodes, mut made) = (HashSet::new(), Vec::new());
    for (position, entry) in index.entries().enumerate() {
        if needed[position] && entry.kind == Kind::Socket && inodes.insert(entry.inode) {
            let Entry { mode, uid, gid, mtime, .. } = entry;
            let attributes = Attributes { mode, uid, gid, mtime, ..Attributes::default() };
            extractor.make_socket(&index.path(position), &attributes)?;
            made.push(position);
        }
    }
    Ok(made)
}

/// Makes the names of one inode one inode on the target: those of sockets, and those that came from different tars. Returns
/// which were joined.
pub(super) fn join_groups(
    index: &Index,
    needed: &[bool],
    came: impl Fn(usize) -> bool,
    extractor: &mut Extractor,
) -> Result<Vec<usize>> {
    let mut joined = Vec::new();
    for group in link_groups(index).values() {
        let Some(first) = group.iter().copied().find(|i| needed[*i] && came(*i)) else { continue };
        let original = index.path(first);
        for other in group.iter().copied().filter(|i| *i != first) {
            let ours = came(other) || index.entry(other).kind == Kind::Socket;
            let name = index.path(other);
            if ours && !extractor.same(&name, &original)? {
                extractor.hard_link(&name, &original)?;
                joined.push(other);
            }
        }
    }
    Ok(joined)
}

/// Fails when something that was asked for did not come.
pub(super) fn check_none(index: &Index, mut lost: impl Iterator<Item = usize>) -> Result<()> {
    let first: Vec<String> = lost.by_ref().take(3).map(|i| shown(&index.path(i))).collect();
    if first.is_empty() {
        return Ok(());
    }
    let count = first.len() + lost.count();
    Err(Error::new(format!("{count} entries did not arrive, the first of them {}", first.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::exclude::Excludes;
    use crate::transfer::listing;

    #[test]
    fn what_did_not_arrive_is_counted_and_the_first_are_named() {
        let file = |name: &str| format!("f 644 0 0 1 8 1.0 2.0 1 5\0{name}\0\0");
        let tree = format!("d 755 0 0 0 8 1.5 2.5 2 2\0\0\0{}{}{}{}", file("a"), file("b\n"), file("c"), file("d"));
        let index = listing::read(tree.as_bytes(), &Excludes::default(), |_| Ok(())).unwrap();
        assert!(check_none(&index, std::iter::empty()).is_ok());
        let said = |lost: &[usize]| check_none(&index, lost.iter().copied()).unwrap_err().to_string();
        assert_eq!(said(&[3]), "1 entries did not arrive, the first of them c");
        assert_eq!(said(&[1, 2, 3, 4]), "4 entries did not arrive, the first of them a, b\\n, c");
    }
}
