//! What was there before, kept outside the tree: what `fixup revert` puts back.
//!
//! One directory a tree below the state directory, `fixups/NAME-KEY/`, with `lock` and `before.jsonl`. A line is on disk
//! before the change that it belongs to is made, so that a run that was killed can be taken back too. The first line of
//! a path wins: however often the modules are applied, the way back leads to the tree as it was before the first time.

use super::view::{KEEP_LIMIT, diff};
use super::{Change, Done, FILE_LIMIT};
use crate::error::{Doing, Error, Kind, Result};
use crate::journal::lock;
use crate::model::finding::Finding;
use crate::rootfs::look::shown;
use crate::rootfs::preimage::{Blob, PreImage, State};
use crate::rootfs::{EntryKind, Look, Rootfs};
use rustix::fs::{AtFlags, Mode, StatxFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const LINES: &str = "before.jsonl";

/// The most that is kept for one tree; configuration is some KiB.
const LIMIT: u64 = 256 * 1024 * 1024;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "lowercase")]
enum Line {
    /// The first: which tree this is about.
    Tree { schema: u32, path: String },
    /// What a path was before its first change.
    Before { image: PreImage },
    /// What a path was after a change.
    After { path: Blob, digest: String },
    /// Somebody else changed a path between two applications.
    Foreign { path: Blob },
}

/// One path of the file.
#[derive(Debug, Clone)]
struct Kept {
    image: PreImage,
    /// What we made of it; `None` when the run ended before it could say so.
    after: Option<String>,
    foreign: bool,
}

/// How changes are put back.
#[derive(Debug, Clone, Copy, Default)]
pub struct RevertOptions {
    /// Works out what would be put back, and puts nothing back.
    pub dry_run: bool,
    /// Also puts back what somebody else changed since.
    pub force: bool,
}

/// What putting back came to.
#[derive(Debug, Clone, Default)]
pub struct Reverted {
    /// What was put back, last change first.
    pub changes: Vec<Change>,
    /// What was not, and why.
    pub findings: Vec<Finding>,
    /// How many paths were left as they are.
    pub left: usize,
}

/// What was there before, of one tree. It is locked; dropping it releases the lock.
pub struct Before {
    dir: PathBuf,
    tree: String,
    file: File,
    kept: Vec<Kept>,
    known: BTreeMap<Vec<u8>, usize>,
    _lock: OwnedFd,
}

/// Names the directory for a tree. A tree is told by its path and by its root directory (inode, time of birth), so that
/// another volume that is mounted at the same place later has its own; nothing of that changes with the next mount.
fn key(real: &Path, rootfs: &Rootfs) -> String {
    let flags = StatxFlags::INO | StatxFlags::BTIME;
    let (inode, birth) = rustix::fs::statx(rootfs.as_fd(), "", AtFlags::EMPTY_PATH, flags)
        .map_or((0, (0, 0)), |s| (s.stx_ino, (s.stx_btime.tv_sec, s.stx_btime.tv_nsec)));
    let mut sum = Sha256::new();
    sum.update(real.as_os_str().as_bytes());
    sum.update(format!("\n{inode} {}.{}", birth.0, birth.1));
    let hex: String = sum.finalize().iter().take(8).map(|b| format!("{b:02x}")).collect();
    let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name = real.file_name().map_or("root".into(), |n| n.to_string_lossy());
    format!("{}-{hex}", name.chars().take(40).map(safe).collect::<String>())
}

impl Before {
    /// Opens what is kept for a tree below a state directory, and makes it when it is not there. [`Kind::Locked`] when
    /// another run works on the tree; a usage error when the state directory lies inside the tree.
    pub fn open(state_dir: &Path, rootfs: &Rootfs) -> Result<Before> {
        let (real, dir) = place(state_dir, rootfs)?;
        let doing = || format!("keeping what was there before, in {}", dir.display());
        if lies_inside(&dir, &real) {
            return Err(Error::usage(format!("the state directory {} lies inside the tree", state_dir.display()))
                .hint("choose another one with --state-dir"));
        }
        std::fs::create_dir_all(&dir)
            .map_err(|e| Error::from(e).hint("choose a directory that can be written with --state-dir"))
            .doing(doing)?;
        rustix::fs::chmod(&dir, Mode::from_raw_mode(0o700)).doing(doing)?;
        let locked = || Error::of(Kind::Locked, "another run changes the tree").hint("wait for it, then try again");
        let lock = lock::take(&dir)?.ok_or_else(locked).doing(|| format!("locking {}", dir.display()))?;
        let path = dir.join(LINES);
        let mut file = File::options().read(true).append(true).create(true).open(&path).doing(doing)?;
        let lines = read(&mut file).doing(|| format!("reading {}", path.display()))?;
        let tree = shown(&real);
        let mut before = Before { dir, tree, file, kept: Vec::new(), known: BTreeMap::new(), _lock: lock };
        for line in lines {
            before.take(line)?;
        }
        Ok(before)
    }

    /// Opens what is kept for a tree; `None` when nothing is.
    pub fn find(state_dir: &Path, rootfs: &Rootfs) -> Result<Option<Before>> {
        let (_, dir) = place(state_dir, rootfs)?;
        if dir.join(LINES).is_file() { Before::open(state_dir, rootfs).map(Some) } else { Ok(None) }
    }

    fn take(&mut self, line: Line) -> Result<()> {
        match line {
            Line::Tree { .. } => {}
            Line::Before { image } => {
                self.known.insert(image.path.bytes()?, self.kept.len());
                self.kept.push(Kept { image, after: None, foreign: false });
            }
            Line::After { path, digest } => {
                if let Some(&at) = self.known.get(&path.bytes()?) {
                    self.kept[at].after = Some(digest);
                }
            }
            Line::Foreign { path } => {
                if let Some(&at) = self.known.get(&path.bytes()?) {
                    self.kept[at].foreign = true;
                }
            }
        }
        Ok(())
    }

    fn append(&mut self, line: Line, sync: bool) -> Result<()> {
        let doing = || format!("writing {}", self.dir.join(LINES).display());
        let length = self.file.metadata().doing(doing)?.len();
        let mut text = Vec::new();
        if length == 0 {
            text = encode(&Line::Tree { schema: 1, path: self.tree.clone() })?;
        }
        text.extend(encode(&line)?);
        if length + text.len() as u64 > LIMIT {
            return Err(Error::new(format!("more than {LIMIT} bytes would have to be kept to put everything back")))
                .doing(doing);
        }
        let written = self.file.write_all(&text).and_then(|()| if sync { self.file.sync_data() } else { Ok(()) });
        if written.is_err() {
            // A part of a line would spoil the next one.
            let _ = self.file.set_len(length);
        }
        written.doing(doing)?;
        self.take(line)
    }

    /// Keeps what a path is, before it is changed.
    pub(super) fn keep(&mut self, image: &PreImage) -> Result<()> {
        let Some(&at) = self.known.get(&image.path.bytes()?) else {
            return self.append(Line::Before { image: image.clone() }, true);
        };
        let (now, kept) = (image.state.digest()?, &self.kept[at]);
        let ours = kept.after.as_ref() == Some(&now) || kept.image.state.digest()? == now;
        if ours || kept.foreign { Ok(()) } else { self.append(Line::Foreign { path: image.path.clone() }, true) }
    }

    /// Keeps what a path became.
    pub(super) fn made(&mut self, rootfs: &Rootfs, path: &Path) -> Result<()> {
        let now = rootfs.preimage(path, KEEP_LIMIT)?;
        self.append(Line::After { path: now.path, digest: now.state.digest()? }, false)
    }

    /// Puts everything back, last change first, but what somebody else changed since: that is a finding, and is kept for
    /// another time. What is as it was is passed over, so a second call does nothing.
    pub fn revert(mut self, rootfs: &Rootfs, options: RevertOptions) -> Result<Reverted> {
        let mut done = Reverted::default();
        let mut left = Vec::new();
        for kept in std::mem::take(&mut self.kept).into_iter().rev() {
            let path = kept.image.path.path()?;
            match put_back(rootfs, &path, &kept, options) {
                Ok(change) => done.changes.extend(change),
                Err(Refusal(finding)) => {
                    done.findings.push((*finding).subject(shown(&path)));
                    left.push(kept);
                }
            }
        }
        done.left = left.len();
        if !options.dry_run {
            left.reverse();
            self.rewrite(left)?;
        }
        Ok(done)
    }

    /// Ends a run: what is as it was needs no way back, and where nothing needs one nothing is kept.
    pub fn settle(mut self, rootfs: &Rootfs) -> Result<()> {
        let mut left = Vec::new();
        for kept in std::mem::take(&mut self.kept) {
            let now = rootfs.preimage(&kept.image.path.path()?, KEEP_LIMIT);
            let same = |now: PreImage| Ok::<_, Error>(now.state.digest()? == kept.image.state.digest()?);
            if !now.and_then(same).unwrap_or(false) {
                left.push(kept);
            }
        }
        self.rewrite(left)
    }

    fn rewrite(self, left: Vec<Kept>) -> Result<()> {
        let path = self.dir.join(LINES);
        let doing = || format!("writing {}", path.display());
        if left.is_empty() {
            std::fs::remove_file(&path).doing(doing)?;
            // The lock goes last: until then nobody else begins here.
            let _ = std::fs::remove_file(self.dir.join("lock"));
            remove_empty(&self.dir);
            return Ok(());
        }
        let mut text = encode(&Line::Tree { schema: 1, path: self.tree.clone() })?;
        for kept in left {
            let path = kept.image.path.clone();
            text.extend(encode(&Line::Before { image: kept.image })?);
            if kept.foreign {
                text.extend(encode(&Line::Foreign { path: path.clone() })?);
            }
            if let Some(digest) = kept.after {
                text.extend(encode(&Line::After { path, digest })?);
            }
        }
        let mut file = tempfile::NamedTempFile::new_in(&self.dir).doing(doing)?;
        file.write_all(&text).and_then(|()| file.as_file().sync_all()).doing(doing)?;
        file.persist(&path).map_err(|e| e.error).doing(doing)?;
        Ok(())
    }
}

/// Where the tree really is, and the directory for it.
fn place(state_dir: &Path, rootfs: &Rootfs) -> Result<(PathBuf, PathBuf)> {
    let real = rootfs.path().canonicalize().doing(|| format!("looking at {}", rootfs.path().display()))?;
    let dir = state_dir.join("fixups").join(key(&real, rootfs));
    Ok((real, dir))
}

/// Tells whether a directory that may not be there yet lies in another.
fn lies_inside(dir: &Path, tree: &Path) -> bool {
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let there = absolute.ancestors().find_map(|p| p.canonicalize().ok());
    there.is_some_and(|p| p.starts_with(tree))
}

fn encode(line: &Line) -> Result<Vec<u8>> {
    let mut text = serde_json::to_vec(line).map_err(|e| Error::new(e.to_string()))?;
    text.push(b'\n');
    Ok(text)
}

/// Reads all lines. One without its end is cut off: the change that it announced had not begun.
fn read(file: &mut File) -> Result<Vec<Line>> {
    let mut text = Vec::new();
    (&*file).take(LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LIMIT {
        return Err(Error::new("the file is too large"));
    }
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
    if whole < text.len() {
        file.set_len(whole as u64)?;
    }
    let lines = text[..whole].split(|b| *b == b'\n').filter(|l| !l.is_empty()).enumerate();
    lines.map(|(n, l)| serde_json::from_slice(l).map_err(|e| Error::new(format!("line {}: {e}", n + 1)))).collect()
}

/// Removes a directory of ours and the two above it, as far as they are empty.
fn remove_empty(dir: &Path) {
    for path in dir.ancestors().take(3) {
        if std::fs::remove_dir(path).is_err() {
            break;
        }
    }
}

/// Why a path is left as it is.
struct Refusal(Box<Finding>);

impl From<Error> for Refusal {
    fn from(error: Error) -> Refusal {
        let remedy = error.first_hint().unwrap_or("take away what is in the way, then revert again");
        let finding = Finding::warning("fixup-not-reverted", "a change of the fixups could not be put back");
        Refusal(Box::new(finding.detail(error.chain().join(": ")).remedy(remedy)))
    }
}

fn put_back(
    rootfs: &Rootfs,
    path: &Path,
    kept: &Kept,
    options: RevertOptions,
) -> std::result::Result<Option<Change>, Refusal> {
    let changed = |what: &str| {
        let finding = Finding::warning("fixup-changed-since", "somebody changed what the fixups had changed")
            .detail(format!("{}: {what}", shown(path)))
            .remedy("look at the file; `ovz2lxc fixup revert --force` puts back what was there before all of it");
        Refusal(Box::new(finding))
    };
    let was = &kept.image.state;
    if rootfs.canonical(path, false)? != path {
        return Err(changed("a directory above it is a symbolic link now"));
    }
    let now = rootfs.preimage(path, KEEP_LIMIT)?.state;
    let digest = now.digest()?;
    if digest == was.digest()? {
        return Ok(None);
    }
    // Without a word about what it became, the run ended in the middle of this very change.
    let ours = !kept.foreign && kept.after.as_ref().is_none_or(|after| *after == digest);
    if !ours && !options.force {
        let when = if kept.foreign { "between two runs of the fixups" } else { "after the fixups ran" };
        return Err(changed(&format!("it was changed {when}, and is left as it is")));
    }
    let directory = |s: &State| matches!(s, State::Directory { .. });
    if directory(&now) && !directory(was) && !rootfs.names(path)?.is_empty() {
        if options.dry_run {
            // What is in it may be ours, and would be gone by then.
            return Ok(Some(change(path, &now, was)));
        }
        return Err(changed("it is a directory, and not empty"));
    }
    if !options.dry_run {
        rootfs.revert(std::slice::from_ref(&kept.image))?;
    }
    Ok(Some(change(path, &now, was)))
}

/// Describes what putting a path back changes.
fn change(path: &Path, now: &State, was: &State) -> Change {
    let text = |state: &State| match state {
        State::File { content, .. } => content.bytes().ok().filter(|b| b.len() as u64 <= FILE_LIMIT),
        _ => None,
    };
    let (old, new) = (text(now), text(was));
    let action = match (now, was) {
        (_, State::Absent) => Done::Remove,
        (_, State::Link { .. }) => Done::Symlink,
        (_, State::Directory { .. }) => Done::Mkdir,
        (State::File { content: a, mode: m, .. }, State::File { content: b, mode: n, .. }) if a == b && m != n => {
            Done::Mode
        }
        _ => Done::Write,
    };
    let diff = match action {
        Done::Write | Done::Remove if old.is_some() || new.is_some() => diff(path, old.as_deref(), new.as_deref()),
        _ => format!("{} again\n", described(was)),
    };
    Change { fixup: "revert".into(), path: shown(path), action, diff }
}

fn described(state: &State) -> String {
    match state {
        State::Absent => "nothing there".into(),
        State::File { mode, .. } => format!("a file of mode {mode:04o}"),
        State::Link { target, .. } => format!("a link to {}", shown(&target.path().unwrap_or_default())),
        State::Directory { mode, .. } => format!("a directory of mode {mode:04o}"),
        State::Node { node, .. } => match node.as_str() {
            "fifo" => EntryKind::Fifo.name().into(),
            "socket" => EntryKind::Socket.name().into(),
            "char" => EntryKind::CharDevice.name().into(),
            _ => EntryKind::BlockDevice.name().into(),
        },
    }
}

#[cfg(test)]
#[path = "before_tests.rs"]
mod tests;
