//! Makes the members of an archive in a target root. Names are hostile: everything happens through descriptors below it.

use super::archive::{Archive, Member, MemberKind};
use crate::cancel::Cancel;
use crate::error::{Doing, Error, Result};
use crate::model::finding::Finding;
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::{Attributes, Kind, shown};
use crate::rootfs::fresh::{finish_directory, finish_file};
use crate::rootfs::walk::open_directory;
use crate::rootfs::write::{Parents, components};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, ErrorKind, Seek, SeekFrom, Write};
use std::mem::take;

/// Returns the path below the root that a member's name means: `./a/b/` is `a/b`, `./` the root itself. A name that is
/// absolute or climbs is an error.
pub fn member_path(name: &[u8]) -> Result<Vec<u8>> {
    let mut path = name;
    while let Some(rest) = path.strip_prefix(b"./") {
        path = rest;
    }
    let path = if path == b"." { b"" } else { path.strip_suffix(b"/").unwrap_or(path) };
    components(path).doing(|| format!("the archive holds the name {:?}", shown(name)))?;
    Ok(path.to_vec())
}

/// Makes entries below one root.
pub struct Extractor {
    parents: Parents,
    originals: Parents,
    directories: BTreeMap<Vec<u8>, Attributes>,
    refused: BTreeMap<String, (u64, Vec<u8>)>,
}

impl Extractor {
    /// Starts at a root.
    pub fn new(root: &Rootfs) -> Result<Extractor> {
        Ok(Extractor {
            parents: Parents::new(root)?,
            originals: Parents::new(root)?,
            directories: BTreeMap::new(),
            refused: BTreeMap::new(),
        })
    }

    /// Makes `member` at `path`, whatever is there now, with all its attributes. `moved` is told about every piece of
    /// content, and ends the work when it fails. Directories are made now and get their attributes from [`Extractor::finish`]: until then they are nobody's
    /// but root's, and hand nothing down to what is made in them. Returns whether the content ends in zeros, as tar makes
    /// it end that could not read on.
    pub fn extract<R: BufRead>(
        &mut self,
        path: &[u8],
        member: &Member,
        archive: &mut Archive<'_, R>,
        cancel: &Cancel,
        moved: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<bool> {
        let Some(kind) = member.kind.entry_kind() else {
            return self.hard_link(path, &member_path(&member.link)?).map(|()| false);
        };
        if path.is_empty() && kind != Kind::Directory {
            return Err(Error::new("the archive wants to replace the top directory"));
        }
        let Member { mode, uid, gid, mtime, ref xattrs, .. } = *member;
        let attributes = Attributes { mode, uid, gid, mtime, xattrs: xattrs.clone() };
        let label = || shown(path);
        if kind != Kind::Directory && self.directories.remove(path).is_some() {
            let below = |other: &[u8]| other.strip_prefix(path).is_some_and(|rest| rest.starts_with(b"/"));
            self.directories.retain(|other, _| !below(other));
        }
        let place = self.parents.place(path, true)?;
        match member.kind {
            MemberKind::File => {
                let (mut file, birth) = place.make_file(mode).doing(|| format!("making {}", label()))?;
                let zeros = write_content(&mut file, member, archive, cancel, moved)
                    .doing(|| format!("writing {}", label()))?;
                let refused = finish_file(&file, birth, &attributes).doing(|| format!("finishing {}", label()))?;
                self.refuse(path, refused);
                return Ok(zeros);
            }
            MemberKind::Directory => {
                if !path.is_empty() {
                    place.make_directory().doing(|| format!("making directory {}", label()))?;
                }
                self.directories.insert(path.to_vec(), attributes);
                return Ok(false);
            }
            MemberKind::Symlink => place.make_symlink(&member.link).doing(|| format!("making link {}", label()))?,
            MemberKind::CharDevice(major, minor) | MemberKind::BlockDevice(major, minor) => {
                place.make_node(kind, (major, minor)).doing(|| format!("making device {}", label()))?;
            }
            MemberKind::Fifo | MemberKind::HardLink => {
                place.make_node(kind, (0, 0)).doing(|| format!("making FIFO {}", label()))?;
            }
        }
        let refused = attributes.apply(place.dir, place.name, kind).doing(|| format!("finishing {}", label()))?;
        self.refuse(path, refused);
        Ok(false)
    }

    fn refuse(&mut self, path: &[u8], refused: Vec<String>) {
        for name in refused {
            self.refused.entry(name).or_insert_with(|| (0, path.to_vec())).0 += 1;
        }
    }

    /// Takes over what another extractor of the same root left for the end.
    pub fn absorb(&mut self, other: Extractor) {
        self.directories.extend(other.directories);
        for (name, (count, first)) in other.refused {
            self.refused.entry(name).or_insert((0, first)).0 += count;
        }
    }

    /// Makes `path` another name of `original`, which must exist below the root and not be a directory.
    pub fn hard_link(&mut self, path: &[u8], original: &[u8]) -> Result<()> {
        let doing = || format!("linking {} to {}", shown(path), shown(original));
        let from = self.originals.place(original, false).doing(doing)?;
        match from.status().doing(doing)? {
            Some(status) if status.kind != Kind::Directory => {}
            Some(_) => return Err(Error::new("a directory cannot have another name")).doing(doing),
            None => return Err(Error::new("it is not there")).doing(doing),
        }
        self.parents.place(path, true)?.make_hard_link(&from).doing(doing)
    }

    /// Makes a socket, which no archive carries.
    pub fn make_socket(&mut self, path: &[u8], attributes: &Attributes) -> Result<()> {
        let place = self.parents.place(path, true)?;
        place.make_node(Kind::Socket, (0, 0)).doing(|| format!("making socket {}", shown(path)))?;
        attributes.apply(place.dir, place.name, Kind::Socket).doing(|| format!("finishing {}", shown(path)))?;
        Ok(())
    }

    /// Tells whether two paths are names of one inode.
    pub fn same(&mut self, one: &[u8], other: &[u8]) -> Result<bool> {
        let other = self.originals.place(other, false)?;
        Ok(self.parents.place(one, false)?.same_as(&other)?)
    }

    /// Gives all directories that were made or changed their attributes, and returns what could not be carried.
    pub fn finish(&mut self) -> Result<Vec<Finding>> {
        for (path, attributes) in take(&mut self.directories) {
            let place = self.parents.place(&path, false)?;
            let finish = |dir| finish_directory(dir, &attributes);
            let refused = open_directory(place.dir, place.name).map_err(Error::from).and_then(finish);
            let refused = refused.doing(|| format!("finishing directory {}", shown(&path)))?;
            self.refuse(&path, refused);
        }
        let refused = take(&mut self.refused).into_iter();
        Ok(refused
            .map(|(name, (count, first))| {
                Finding::warning("copy-attribute-refused", format!("the target does not keep the attribute {name}"))
                    .detail(format!("{count} entries, the first of them {}", shown(&first)))
                    .remedy("a label of a security module or a file system that this host does not have: nothing to do")
                    .subject(name)
            })
            .collect())
    }
}

/// Writes a file's content and returns whether it ends in zeros.
fn write_content<R: BufRead>(
    file: &mut File,
    member: &Member,
    archive: &mut Archive<'_, R>,
    cancel: &Cancel,
    moved: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<bool> {
    let whole = [(0, member.size)];
    let extents = member.extents.as_deref().unwrap_or(&whole);
    let mut end = End::default();
    for (offset, length) in extents {
        let mut left = *length;
        if *offset > 0 {
            file.seek(SeekFrom::Start(*offset))?;
        }
        while left > 0 {
            cancel.check()?;
            let piece = archive.content(left)?;
            let got = piece.len();
            if got == 0 {
                return Err(Error::new("its content is shorter than its size"));
            }
            file.write_all(piece).map_err(full)?;
            end.pass(piece);
            archive.consume(got);
            left -= got as u64;
            moved(got as u64)?;
        }
    }
    if member.extents.is_some() {
        file.set_len(member.size).map_err(full)?;
    }
    Ok(end.is_zeros())
}

/// The end of a content that goes by. tar reads whole blocks, and sends zeros from the first one that it cannot read.
#[derive(Default)]
struct End {
    length: usize,
    /// How many zeros there were last, as far as they count.
    zeros: usize,
}

impl End {
    const BLOCK: usize = 512;

    fn pass(&mut self, piece: &[u8]) {
        let tail = &piece[piece.len().saturating_sub(Self::BLOCK)..];
        let zeros = tail.iter().rev().take_while(|byte| **byte == 0).count();
        let before = if zeros == piece.len() { self.zeros } else { 0 };
        self.zeros = (before + zeros).min(Self::BLOCK);
        self.length = self.length.wrapping_add(piece.len());
    }

    /// Tells whether the last block is all zeros.
    fn is_zeros(&self) -> bool {
        self.length > 0 && self.zeros > (self.length - 1) % Self::BLOCK
    }
}

fn full(e: std::io::Error) -> Error {
    match e.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            Error::from(e).hint("the target volume is too small: make it larger with --size")
        }
        ErrorKind::FileTooLarge => Error::from(e).hint("the target's file system does not take files of this size"),
        _ => Error::from(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_ends_in_zeros_when_its_last_block_does() {
        let ends = |content: &[u8], pieces: usize| {
            let mut end = End::default();
            content.chunks(pieces).for_each(|piece| end.pass(piece));
            end.is_zeros()
        };
        let with = |text: usize, zeros: usize| [vec![b'x'; text], vec![0; zeros]].concat();
        for (text, zeros, expected) in [
            (0, 0, false),
            (0, 1, true),
            (0, 5000, true),
            (1, 0, false),
            (1, 511, false),
            (512, 1, true),
            (1024, 1024, true),
            (1025, 511, false),
            (1025, 512, true),
            (1030, 512, true),
            (1030, 500, false),
            (1024, 0, false),
        ] {
            for pieces in [1, 7, 512, 600, 100_000] {
                assert_eq!(ends(&with(text, zeros), pieces), expected, "{text} and {zeros} in pieces of {pieces}");
            }
        }
    }
}
