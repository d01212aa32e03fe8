//! Writes what a view holds: pre-images first, every path once, all put back when one fails.

use super::FILE_LIMIT;
use super::before::Before;
use super::view::{KEEP_LIMIT, Node, View};
use crate::error::{Doing, Error, Kind, Result};
use crate::model::finding::Finding;
use crate::rootfs::look::shown;
use crate::rootfs::preimage::PreImage;
use crate::rootfs::{EntryKind, FileContent, LastLink, Look, Rootfs};
use std::path::Path;

/// What writing came to.
pub(super) struct Committed {
    pub(super) preimages: Vec<PreImage>,
    pub(super) findings: Vec<Finding>,
}

/// Writes every node of a view, what was there before noted down first. When one cannot be written, those before it are
/// put back and the error is returned.
pub(super) fn commit(view: &View<'_>, mut before: Option<&mut Before>) -> Result<Committed> {
    let mut done = Committed { preimages: Vec::new(), findings: Vec::new() };
    // Directories before what is in them, removals last and from the bottom up.
    let directories = view.nodes.iter().filter(|(_, n)| matches!(n, Node::Directory(_)));
    let entries = view.nodes.iter().filter(|(_, n)| matches!(n, Node::File(_) | Node::Link(_)));
    let removals = view.nodes.iter().rev().filter(|(_, n)| matches!(n, Node::Absent));
    for (path, node) in directories.chain(entries).chain(removals) {
        let one = one(view.base, path, node, &mut done, before.as_deref_mut());
        let Err(error) = one.doing(|| format!("changing {}", shown(path))) else { continue };
        return Err(match view.base.revert(&done.preimages) {
            Ok(()) => error.hint("every change made before it was put back"),
            Err(back) => Error::of(Kind::Incomplete, format!("{error}; and putting the changes back failed: {back:?}"))
                .because(error),
        });
    }
    Ok(done)
}

fn one(base: &Rootfs, path: &Path, node: &Node, done: &mut Committed, mut journal: Option<&mut Before>) -> Result<()> {
    let before = base.entry(path)?;
    let count = done.preimages.len();
    let mut keep = |done: &mut Committed| -> Result<()> {
        let image = base.preimage(path, KEEP_LIMIT)?;
        if let Some(journal) = journal.as_deref_mut() {
            journal.keep(&image)?;
        }
        done.preimages.push(image);
        Ok(())
    };
    match node {
        Node::Absent => {
            if before.is_some() {
                keep(done)?;
                base.remove(path)?;
            }
        }
        Node::Link(target) => {
            if base.link(path)?.as_ref() != Some(target) {
                keep(done)?;
                base.symlink(path, target)?;
            }
        }
        Node::Directory(mode) => {
            if before.is_none() {
                keep(done)?;
                base.mkdir(path, *mode)?;
            }
        }
        Node::File(file) => {
            let old = match &before {
                Some(e) if e.kind == EntryKind::File => base.read(path, FILE_LIMIT)?,
                _ => None,
            };
            if old.as_ref() != Some(file) {
                keep(done)?;
                write(base, path, file, old.as_ref(), done)?;
                if before.is_some_and(|e| e.links > 1) {
                    done.findings.push(
                        Finding::info("fixup-hard-link", "a changed file had more than one name")
                            .detail("its other names keep the old content")
                            .remedy("if they should change too, link them again")
                            .subject(shown(path)),
                    );
                }
            }
        }
    }
    match journal {
        Some(journal) if done.preimages.len() > count => journal.made(base, path),
        _ => Ok(()),
    }
}

fn write(
    base: &Rootfs,
    path: &Path,
    file: &FileContent,
    old: Option<&FileContent>,
    done: &mut Committed,
) -> Result<()> {
    let replaced = base.replace(path, &file.bytes, file.mode, LastLink::Replace)?;
    if old.is_some_and(|o| o.mode != file.mode) {
        base.set_mode(path, file.mode)?;
    }
    for name in replaced.lost_xattrs {
        done.findings.push(
            Finding::warning("fixup-xattr-lost", "an extended attribute could not be kept")
                .detail(format!("{name} was refused by the file system"))
                .remedy("set it again in the container")
                .subject(shown(path)),
        );
    }
    Ok(())
}
