//! A tree with planned changes laid over it: every module sees what the ones before it changed, and nothing is written.

use super::{Change, Done, FILE_LIMIT};
use crate::error::{Error, Result};
use crate::rootfs::look::shown;
use crate::rootfs::{Entry, EntryKind, FileContent, LastLink, Look, Rootfs};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The largest file that is removed: it is kept as pre-image, so that it can be put back.
pub(super) const KEEP_LIMIT: u64 = 32 * 1024 * 1024;

/// What one run reads and keeps: whatever a tree holds, its changes, diffs and pre-images fit in memory.
const BUDGET: u64 = 64 * 1024 * 1024;

/// The most paths that one pattern may match, and the most changes of one run.
const MANY: usize = 4096;

/// A diff longer than this many lines is cut.
const DIFF_LINES: usize = 400;

/// What a path will be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Absent,
    File(FileContent),
    Link(PathBuf),
    Directory(u32),
}

/// A regular file as a module sees it.
pub(super) struct Seen {
    /// Where it is, without links.
    pub(super) path: PathBuf,
    /// What is in it; `None` when it does not exist.
    pub(super) content: Option<FileContent>,
    /// The link on the way to it that leads to nothing.
    dangling: Option<PathBuf>,
}

impl Seen {
    /// Returns the bytes; none when the file does not exist.
    pub(super) fn bytes(&self) -> &[u8] {
        self.content.as_ref().map_or(b"", |c| &c.bytes)
    }
}

pub(super) struct View<'a> {
    pub(super) base: &'a Rootfs,
    pub(super) nodes: BTreeMap<PathBuf, Node>,
    pub(super) changes: Vec<Change>,
    /// The module that is running.
    pub(super) fixup: String,
    /// The part of the budget that is used.
    spent: Cell<u64>,
    /// Whether the budget refused something to the action that is running.
    pub(super) refused: Cell<bool>,
}

impl Look for View<'_> {
    fn entry(&self, path: &Path) -> Result<Option<Entry>> {
        let path = self.canonical(path, false)?;
        let Some(node) = self.nodes.get(&path) else { return self.base.entry(&path) };
        let new = |kind, mode, size: usize| Entry {
            kind,
            mode,
            uid: 0,
            gid: 0,
            size: size as u64,
            links: 1,
            rdev: (0, 0),
            locked: false,
        };
        Ok(match node {
            Node::Absent => None,
            Node::File(file) => Some(new(EntryKind::File, file.mode, file.bytes.len())),
            Node::Link(target) => Some(new(EntryKind::Symlink, 0o777, target.as_os_str().len())),
            Node::Directory(mode) => Some(new(EntryKind::Directory, *mode, 0)),
        })
    }

    /// Expects a path without links in its directories, as [`Look::canonical`] passes it.
    fn link(&self, path: &Path) -> Result<Option<PathBuf>> {
        match self.nodes.get(path) {
            Some(Node::Link(target)) => Ok(Some(target.clone())),
            Some(_) => Ok(None),
            None => self.base.link(path),
        }
    }

    fn names(&self, path: &Path) -> Result<Vec<OsString>> {
        let path = self.canonical(path, true)?;
        let mut names = self.base.names(&path)?;
        for (changed, node) in &self.nodes {
            let (Some(dir), Some(name)) = (changed.parent(), changed.file_name()) else { continue };
            if dir != path {
                continue;
            }
            names.retain(|n| n != name);
            if *node != Node::Absent {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }
}

impl<'a> View<'a> {
    pub(super) fn new(base: &'a Rootfs) -> View<'a> {
        View {
            base,
            nodes: BTreeMap::new(),
            changes: Vec::new(),
            fixup: String::new(),
            spent: Cell::new(0),
            refused: Cell::new(false),
        }
    }

    /// Tells whether a pattern matches anything.
    pub(super) fn any(&self, pattern: &str) -> Result<bool> {
        Ok(!Look::glob(self, pattern)?.is_empty())
    }

    /// Returns the paths that a pattern matches; an error when they are too many for a module to look at.
    pub(super) fn glob(&self, pattern: &str) -> Result<Vec<PathBuf>> {
        let found = Look::glob(self, pattern)?;
        if found.len() > MANY {
            return Err(self.refuse(format!("{} paths match {pattern}, more than {MANY}", found.len())));
        }
        Ok(found)
    }

    /// Takes bytes from the budget of the run. What does not fit is not taken, so that smaller files still may.
    fn spend(&self, path: &Path, bytes: u64) -> Result<()> {
        let spent = self.spent.get().saturating_add(bytes);
        if spent > BUDGET {
            let why = format!("with {} the fixups would read and keep more than {BUDGET} bytes", shown(path));
            return Err(self.refuse(why));
        }
        self.spent.set(spent);
        Ok(())
    }

    fn refuse(&self, why: String) -> Error {
        self.refused.set(true);
        Error::new(why).hint("look for what fills the directory in the container, then apply the fixups again")
    }

    /// Tells whether a path, links followed, leads to a regular file.
    pub(super) fn is_file(&self, path: &str) -> Result<bool> {
        let path = self.canonical(Path::new(path), true)?;
        Ok(self.entry(&path)?.is_some_and(|e| e.kind == EntryKind::File))
    }

    /// Reads a regular file. An error when something else is there, or more than [`FILE_LIMIT`] bytes.
    ///
    /// A link that is followed must lead to something: made up at its target, a file would be in a place that somebody
    /// else chose.
    pub(super) fn read(&self, path: &Path, last: LastLink) -> Result<Seen> {
        let original = path;
        let name = self.canonical(path, false)?;
        let path = self.canonical(path, last == LastLink::Follow)?;
        if name != path && self.entry(&path)?.is_none() {
            return Err(Error::new(format!("{} is a symbolic link that leads to nothing in the tree", shown(&name))));
        }
        let content = match self.nodes.get(&path) {
            Some(Node::File(file)) => Some(file.clone()),
            Some(Node::Absent | Node::Link(_)) => None,
            Some(Node::Directory(_)) => return Err(Error::new(format!("{} is a directory", shown(&path)))),
            None => match self.base.entry(&path)? {
                Some(entry) if entry.kind == EntryKind::Symlink => None,
                _ => self.base.read(&path, FILE_LIMIT)?,
            },
        };
        self.spend(&path, content.as_ref().map_or(0, |c| c.bytes.len() as u64))?;
        Ok(Seen { dangling: self.dangling(original)?, path, content })
    }

    /// Plans new content for a file that was read; keeps its mode and owner. `mode` is that of a new file.
    pub(super) fn write(&mut self, seen: &Seen, bytes: Vec<u8>, mode: u32) -> Result<()> {
        if seen.content.as_ref().is_some_and(|c| c.bytes == bytes) {
            return Ok(());
        }
        if bytes.len() as u64 > FILE_LIMIT {
            return Err(Error::new(format!("{} would become larger than {FILE_LIMIT} bytes", shown(&seen.path))));
        }
        refuse_dangling(seen.dangling.as_deref())?;
        self.may_change(&seen.path)?;
        self.make_parents(&seen.path)?;
        let before = self.entry(&seen.path)?;
        let mut text = diff(&seen.path, seen.content.as_ref().map(|c| c.bytes.as_slice()), Some(&bytes));
        if before.is_some_and(|e| e.kind == EntryKind::Symlink) {
            text.insert_str(0, "a symbolic link becomes a file\n");
        }
        let file = match &seen.content {
            Some(old) => FileContent { bytes, ..old.clone() },
            None => FileContent { bytes, mode, uid: 0, gid: 0 },
        };
        self.spend(&seen.path, file.bytes.len() as u64)?;
        self.note(&seen.path, Done::Write, text)?;
        self.nodes.insert(seen.path.clone(), Node::File(file));
        Ok(())
    }

    /// Plans the removal of an entry; the last component is not followed. Absent is fine, a directory must be empty.
    pub(super) fn remove(&mut self, path: &Path) -> Result<()> {
        let path = self.canonical(path, false)?;
        let Some(entry) = self.entry(&path)? else { return Ok(()) };
        self.may_change(&path)?;
        let text = match entry.kind {
            EntryKind::Directory if !self.names(&path)?.is_empty() => {
                return Err(Error::new(format!("the directory {} is not empty", shown(&path))));
            }
            EntryKind::File if entry.size > KEEP_LIMIT => {
                return Err(Error::new(format!(
                    "{} has {} bytes, more than can be kept to put it back",
                    shown(&path),
                    entry.size
                ))
                .hint("remove it by hand"));
            }
            EntryKind::File if entry.size == 0 => "removed an empty file\n".to_owned(),
            EntryKind::File if entry.size <= FILE_LIMIT => {
                let seen = self.read(&path, LastLink::Replace)?;
                diff(&path, Some(seen.bytes()), None)
            }
            EntryKind::Symlink => {
                format!("removed a symbolic link to {}\n", shown_target(&self.link(&path)?.unwrap_or_default()))
            }
            kind => format!("removed {}\n", kind.name()),
        };
        // What has no diff is kept for putting it back without having been read here.
        self.spend(&path, if entry.size > FILE_LIMIT { entry.size } else { 0 })?;
        self.note(&path, Done::Remove, text)?;
        self.nodes.insert(path, Node::Absent);
        Ok(())
    }

    /// Plans a symbolic link over whatever file, link or node is there.
    pub(super) fn symlink(&mut self, path: &Path, target: &Path) -> Result<()> {
        refuse_dangling(self.dangling(path)?.as_deref())?;
        let path = self.canonical(path, false)?;
        if self.link(&path)?.is_some_and(|now| now == target) {
            return Ok(());
        }
        let entry = self.entry(&path)?;
        if let Some(entry) = &entry
            && (entry.kind == EntryKind::Directory || entry.size > KEEP_LIMIT)
        {
            return Err(Error::new(format!(
                "{} is {} of {} bytes and is not replaced by a link",
                shown(&path),
                entry.kind.name(),
                entry.size
            )));
        }
        self.may_change(&path)?;
        self.make_parents(&path)?;
        self.spend(&path, entry.map_or(0, |e| e.size))?;
        self.note(&path, Done::Symlink, format!("-> {}\n", shown_target(target)))?;
        self.nodes.insert(path, Node::Link(target.to_owned()));
        Ok(())
    }

    /// Plans permission bits for a regular file.
    pub(super) fn set_mode(&mut self, path: &Path, mode: u32) -> Result<()> {
        let seen = self.read(path, LastLink::Follow)?;
        let Some(mut file) = seen.content else { return Ok(()) };
        if file.mode == mode {
            return Ok(());
        }
        self.may_change(&seen.path)?;
        self.note(&seen.path, Done::Mode, format!("{:04o} -> {mode:04o}\n", file.mode))?;
        file.mode = mode;
        self.nodes.insert(seen.path, Node::File(file));
        Ok(())
    }

    /// Plans a directory, with those above it.
    pub(super) fn mkdir(&mut self, path: &Path, mode: u32) -> Result<()> {
        refuse_dangling(self.dangling(&path.join("x"))?.as_deref())?;
        let path = self.canonical(path, true)?;
        match self.entry(&path)? {
            Some(entry) if entry.kind == EntryKind::Directory => return Ok(()),
            Some(entry) => {
                return Err(Error::new(format!("{} is {}, not a directory", shown(&path), entry.kind.name())));
            }
            None => {}
        }
        self.may_change(&path)?;
        self.make_parents(&path)?;
        self.note(&path, Done::Mkdir, format!("mode {mode:04o}\n"))?;
        self.nodes.insert(path, Node::Directory(mode));
        Ok(())
    }

    /// Returns the first directory of a path that is a link which leads to nothing. What would be made behind it would be
    /// made in a place that somebody else chose.
    fn dangling(&self, path: &Path) -> Result<Option<PathBuf>> {
        let mut ancestors: Vec<&Path> = path.ancestors().skip(1).filter(|p| !p.as_os_str().is_empty()).collect();
        ancestors.reverse();
        for dir in ancestors {
            let goal = self.canonical(dir, true)?;
            if self.entry(&goal)?.is_none() {
                let name = self.canonical(dir, false)?;
                return Ok((name != goal).then_some(name));
            }
        }
        Ok(None)
    }

    fn make_parents(&mut self, path: &Path) -> Result<()> {
        match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => self.mkdir(dir, 0o755),
            _ => Ok(()),
        }
    }

    /// Refuses what the file system would refuse later: an immutable entry, or one in an immutable directory.
    fn may_change(&self, path: &Path) -> Result<()> {
        for part in [Some(path), path.parent()].into_iter().flatten() {
            if self.base.entry(part)?.is_some_and(|e| e.locked) {
                return Err(Error::new(format!("{} is immutable or append-only", shown(part)))
                    .hint("take the flag off with chattr -i -a in the container, then apply the fixups again"));
            }
        }
        Ok(())
    }

    fn note(&mut self, path: &Path, action: Done, diff: String) -> Result<()> {
        if self.changes.len() >= MANY {
            return Err(self.refuse(format!("{} would be more than {MANY} changes", shown(path))));
        }
        self.spend(path, diff.len() as u64)?;
        self.changes.push(Change { fixup: self.fixup.clone(), path: shown(path), action, diff });
        Ok(())
    }
}

fn refuse_dangling(link: Option<&Path>) -> Result<()> {
    match link {
        Some(link) => Err(Error::new(format!("{} is a symbolic link that leads to nothing in the tree", shown(link)))),
        None => Ok(()),
    }
}

fn shown_target(target: &Path) -> String {
    target.to_string_lossy().chars().flat_map(tame).collect()
}

fn tame(c: char) -> Vec<char> {
    if c.is_control() && c != '\n' && c != '\t' { c.escape_default().collect() } else { vec![c] }
}

/// Makes a unified diff of two texts; bytes that are no text are shown replaced.
pub(super) fn diff(path: &Path, old: Option<&[u8]>, new: Option<&[u8]>) -> String {
    let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or_default()).into_owned();
    let (before, after) = (text(old), text(new));
    let name = |prefix: &str, side: Option<&[u8]>| match side {
        Some(_) => format!("{prefix}{}", shown(path)),
        None => "/dev/null".to_owned(),
    };
    let compared = similar::TextDiff::from_lines(before.as_str(), after.as_str());
    let mut unified = compared.unified_diff();
    let full = unified.context_radius(2).header(&name("a", old), &name("b", new)).to_string();
    let mut lines: Vec<&str> = full.split_inclusive('\n').collect();
    let more = lines.len().saturating_sub(DIFF_LINES);
    lines.truncate(DIFF_LINES);
    let mut out: String = lines.concat().chars().flat_map(tame).collect();
    if more > 0 {
        out.push_str(&format!("... {more} more lines\n"));
    }
    out
}
