//! The stream engine: an index by `find`, a comparison with the target, and one `tar` stream of what differs.
//!
//! Both passes are the same work. The index is taken first; the stream's members are taken only in the state that the
//! index saw (their change time tells), so what changes underneath is left to the next pass, and nobody inside the container
//! can swap a directory for a link to make the node's own files arrive here.

use super::archive::{Archive, Member, MemberKind, TRUNCATED};
use super::delta::{self, link_groups};
use super::exclude::Excludes;
use super::extract::{Extractor, member_path};
use super::index::{self, Entry, Index};
use super::meter::Meter;
use super::node_names::NodeNames;
use super::probe::{self, Tar};
use super::running::watch;
use super::saved::SavedIndexes;
use super::{Engine, Job, Pass, Stats};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use crate::model::finding::Finding;
use crate::rootfs::attributes::{Attributes, Kind, shown};
use std::collections::{BTreeSet, HashSet};
use std::ffi::OsString;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Longest path that tar can open in one piece (PATH_MAX is 4096 with the NUL; `./` goes before it).
const LONGEST_PATH: usize = 4000;

/// Copies with the source's find and tar; nothing else is needed there.
#[derive(Debug)]
pub struct StreamEngine {
    saved: SavedIndexes,
    /// An entry that changed less than this before its index was taken is not sure to be what was sent: a change time has
    /// the grain of a clock tick (a whole second on old file systems), and a page that a program maps and writes gets a
    /// new change time only after it was written back, by default up to half a minute later.
    unsure: Duration,
}

impl Default for StreamEngine {
    fn default() -> StreamEngine {
        StreamEngine::new()
    }
}

impl StreamEngine {
    /// Makes an engine that remembers its passes as long as it lives.
    pub fn new() -> StreamEngine {
        StreamEngine { saved: SavedIndexes::default(), unsure: Duration::from_secs(60) }
    }

    /// Makes an engine that keeps the index of the last pass in a file, for a later process.
    pub fn with_index_file(path: &Path) -> StreamEngine {
        StreamEngine { saved: SavedIndexes::in_file(path), ..StreamEngine::new() }
    }

    /// Changes how old a change must be for an entry to be trusted in the next pass; default one minute.
    #[must_use]
    pub fn unsure_for(mut self, time: Duration) -> StreamEngine {
        self.unsure = time;
        self
    }

    fn pass(&self, job: &Job<'_>) -> Result<Stats> {
        let started = Instant::now();
        let tar = probe::stream(job.source)?;
        let names = NodeNames::new(job.source);
        // The clock before the index: what changes later has a later change time.
        let sure_before = probe::clock(job.source)? - i64::try_from(self.unsure.as_secs()).unwrap_or(i64::MAX);
        let excludes = Excludes::new(&job.excludes);
        let mut meter = Meter::new(job);
        meter.say();
        let (index, index_bytes) = read_index(job, &excludes)?;
        let unchanged = self.saved.unchanged(job, &index);
        let delta = delta::compare(&index, &unchanged, &excludes, job.target, job.cancel)?;
        let arrived = vec![false; index.entries().len()];
        let extractor = Extractor::new(job.target)?;
        let mut copy = Copy { job, index: &index, needed: delta.needed, arrived, extractor, meter, sent: 0 };
        copy.everything(tar, &names)?;
        let mut findings = copy.extractor.finish()?;
        findings.extend(copy.sockets());
        copy.check_complete()?;
        if job.pass == Pass::Final {
            // Errors of delayed writes show up here, or nowhere.
            rustix::fs::syncfs(job.target).doing(|| format!("writing {} to its disk", job.target.path().display()))?;
        }
        let sure = |i: usize| (copy.arrived[i] || !copy.needed[i]) && index.entries()[i].ctime.seconds < sure_before;
        self.saved.save(job, &index, &sure)?;
        copy.meter.say();
        Ok(Stats {
            engine: self.name().to_owned(),
            files: copy.meter.files,
            bytes: copy.meter.bytes,
            sent_bytes: index_bytes + copy.sent,
            deleted: delta.deleted,
            seconds: started.elapsed().as_secs_f64(),
            findings,
        })
    }
}

impl Engine for StreamEngine {
    fn name(&self) -> &'static str {
        "stream"
    }

    fn commands(&self, _: &dyn Host, tree: &Path, _: &Path, _: &[PathBuf]) -> Vec<Command> {
        vec![find_command(tree), tar_command(tree, Tar { acls: true, selinux: true }, false)]
    }

    fn run(&self, job: &Job<'_>) -> Result<Stats> {
        self.pass(job).doing(|| {
            format!("copying {} from {} to {}", job.tree.display(), job.source.label(), job.target.path().display())
        })
    }
}

fn find_command(tree: &Path) -> Command {
    // `/.`: the tree's top may be a link, and is entered then.
    Command::read("find").arg(tree.join(".")).args(["-xdev", "-printf", index::FORMAT])
}

fn tar_command(tree: &Path, tar: Tar, recursive: bool) -> Command {
    let mut directory = OsString::from("--directory=");
    directory.push(tree);
    let mut command = Command::read("env").args(["TAR_OPTIONS=", "tar", "--create", "--file=-", "--format=posix"]);
    command = command.args(["--pax-option=delete=atime", "--numeric-owner", "--sparse", "--xattrs"]);
    if tar.acls {
        command = command.arg("--acls");
    }
    if tar.selinux {
        command = command.arg("--selinux");
    }
    command = command.arg(if recursive { "--one-file-system" } else { "--no-recursion" });
    command.args(["--blocking-factor=128", "--no-unquote", "--null"]).arg(directory).arg("--files-from=-").pipe_stdin()
}

fn read_index(job: &Job<'_>, excludes: &Excludes) -> Result<(Index, u64)> {
    let doing = || format!("listing {}", job.tree.display());
    let mut bytes = 0;
    let command = find_command(&job.tree);
    let ended = watch(job.source, &command, job.cancel, None, |output| {
        let input = BufReader::with_capacity(256 << 10, Counting { inner: output, count: &mut bytes });
        Index::read(input, excludes, |_| job.cancel.check())
    })
    .doing(doing)?;
    check_status(job, &command, &ended.output, &["No such file or directory", "Not a directory"], 1).doing(doing)?;
    let index = ended.result.doing(doing)?;
    if index.entries().is_empty() {
        return Err(Error::new("there is nothing, not even the top directory")).doing(doing);
    }
    Ok((index, bytes))
}

/// Accepts an exit status: 0 always; on the live pass also up to `worst` when everything that was said is one of `known`.
fn check_status(job: &Job<'_>, command: &Command, output: &Output, known: &[&str], worst: i32) -> Result<()> {
    let live = job.pass == Pass::Live && (1..=worst).contains(&output.status);
    let text = String::from_utf8_lossy(&output.stderr);
    // A name with a newline makes several lines of one message, and the first line may be cut off.
    let strange =
        text.split("\ntar: ").flat_map(|m| m.split("\nfind: ")).find(|m| !known.iter().any(|k| m.contains(k)));
    if output.status == 0 || (live && (strange.is_none() || output.stderr.len() >= 60 << 10)) {
        return Ok(());
    }
    output.clone().ok(command, job.source.label()).map(drop)
}

struct Counting<'a, R> {
    inner: R,
    count: &'a mut u64,
}

impl<R: Read> Read for Counting<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.inner.read(buffer)?;
        *self.count += n as u64;
        Ok(n)
    }
}

/// What tar says about a tree that changes underneath it.
const CHANGING: [&str; 7] = [
    "No such file or directory",
    "Not a directory",
    "File removed before we read it",
    "file changed as we read it",
    "File shrank by",
    "Exiting with failure status",
    "Error exit delayed",
];

struct Copy<'a> {
    job: &'a Job<'a>,
    index: &'a Index,
    needed: Vec<bool>,
    arrived: Vec<bool>,
    extractor: Extractor,
    meter: Meter<'a>,
    sent: u64,
}

impl Copy<'_> {
    fn everything(&mut self, tar: Tar, names: &NodeNames<'_>) -> Result<()> {
        let entries = self.index.entries();
        let tops = self.tops_of_long_paths();
        let below = |path: &[u8]| {
            tops.iter().any(|top| path.starts_with(top) && matches!(path.get(top.len()), None | Some(b'/')))
        };
        let long: Vec<bool> = entries.iter().map(|e| !tops.is_empty() && below(&e.path)).collect();
        for (needed, long) in self.needed.iter_mut().zip(&long) {
            *needed |= long;
        }
        self.expect();
        let wanted = |i: &usize| self.needed[*i] && !long[*i] && entries[*i].kind != Kind::Socket;
        let list = name_list((0..entries.len()).filter(wanted).map(|i| &*entries[i].path));
        self.stream(tar, names, &list, false)?;
        self.stream(tar, names, &name_list(tops.iter().map(Vec::as_slice)), true)?;
        self.make_sockets()?;
        self.join_groups()
    }

    /// Returns the directories whose contents tar reaches only by descending: some paths below are too long to be opened.
    fn tops_of_long_paths(&self) -> BTreeSet<Vec<u8>> {
        let long =
            self.index.entries().iter().zip(&self.needed).filter(|(e, needed)| **needed && e.path.len() > LONGEST_PATH);
        long.filter_map(|(e, _)| e.path[..LONGEST_PATH].iter().rposition(|b| *b == b'/').map(|i| e.path[..i].to_vec()))
            .collect()
    }

    fn expect(&mut self) {
        let needed = self.index.entries().iter().zip(&self.needed).filter(|(_, needed)| **needed);
        self.meter.total =
            Some(needed.fold((0, 0), |(files, bytes), (e, _)| (files + 1, bytes + e.weight() / e.links.max(1))));
    }

    fn stream(&mut self, tar: Tar, names: &NodeNames<'_>, list: &[u8], recursive: bool) -> Result<()> {
        if list.is_empty() {
            return Ok(());
        }
        let job = self.job;
        let command = tar_command(&job.tree, tar, recursive);
        let ended = watch(job.source, &command, job.cancel, Some(list), |output| {
            let mut archive = Archive::new(BufReader::with_capacity(256 << 10, output), names);
            let result = self.receive(&mut archive, recursive);
            self.sent += archive.bytes_read();
            result
        })?;
        let status = check_status(job, &command, &ended.output, &CHANGING, 2);
        match (ended.result, status) {
            (Ok(()), status) => status,
            // The reason why a stream is cut is what tar said, or that the connection was lost.
            (Err(e), Err(reason)) if e.chain().iter().any(|line| line == TRUNCATED) => {
                let message = e.chain().join(": ");
                Err(Error::new(message).because(reason))
            }
            (Err(e), _) => Err(e),
        }
    }

    fn receive<R: Read>(&mut self, archive: &mut Archive<'_, R>, recursive: bool) -> Result<()> {
        while let Some(member) = archive.next_member()? {
            self.job.cancel.check()?;
            let path = member_path(&member.name)?;
            let Some(position) = self.index.find(&path).filter(|i| self.needed[*i]) else {
                if recursive {
                    continue;
                }
                return Err(Error::new(format!("tar sent {}, which nobody asked for", shown(&path))));
            };
            let entry = &self.index.entries()[position];
            if let Some(why) = self.stale(entry, &member)? {
                if self.job.pass == Pass::Live {
                    continue;
                }
                let what = if path.is_empty() { "the top directory".to_owned() } else { shown(&path) };
                let error = Error::new(format!("{what} {why} while it was copied"));
                return Err(error.hint("the container must not run during the last pass: is it stopped?"));
            }
            let meter = &mut self.meter;
            self.extractor.extract(&path, &member, archive, self.job.cancel, &mut |bytes| {
                meter.bytes += bytes;
                meter.tick();
            })?;
            self.arrive(position);
        }
        archive.finish()
    }

    fn arrive(&mut self, position: usize) {
        if !std::mem::replace(&mut self.arrived[position], true) {
            self.meter.files += 1;
        }
        self.meter.tick();
    }

    /// Says why a member is not what the index saw.
    fn stale(&self, entry: &Entry, member: &Member) -> Result<Option<&'static str>> {
        let kind = match member.kind {
            MemberKind::File => Kind::File,
            MemberKind::Symlink => Kind::Symlink,
            MemberKind::CharDevice(..) => Kind::CharDevice,
            MemberKind::BlockDevice(..) => Kind::BlockDevice,
            MemberKind::Directory => Kind::Directory,
            MemberKind::Fifo => Kind::Fifo,
            MemberKind::HardLink => {
                let original = self.index.find(&member_path(&member.link)?);
                let original = original.filter(|i| self.arrived[*i]).map(|i| &self.index.entries()[i]);
                return Ok(match original {
                    Some(original) if original.inode == entry.inode => None,
                    _ => Some("was linked"),
                });
            }
        };
        if kind != entry.kind {
            return Ok(Some("became something else"));
        }
        let same = member.ctime.is_none_or(|ctime| self.index.same_time(entry.ctime, ctime))
            && self.index.same_time(entry.mtime, member.mtime)
            && (entry.uid, entry.gid) == (member.uid, member.gid)
            && (entry.mode == member.mode || kind == Kind::Symlink)
            && (entry.size == member.size || kind != Kind::File);
        Ok((!same).then_some("changed"))
    }

    /// Makes the sockets, which tar leaves out: one entry for each inode, the other names are joined to it.
    fn make_sockets(&mut self) -> Result<()> {
        let mut made = HashSet::new();
        for (position, entry) in self.index.entries().iter().enumerate() {
            if self.needed[position] && entry.kind == Kind::Socket && made.insert(entry.inode) {
                let Entry { mode, uid, gid, mtime, .. } = *entry;
                let attributes = Attributes { mode, uid, gid, mtime, ..Attributes::default() };
                self.extractor.make_socket(&entry.path, &attributes)?;
                self.arrive(position);
            }
        }
        Ok(())
    }

    /// Says that sockets were made anew: nothing on the source shows whether they had extended attributes.
    fn sockets(&self) -> Option<Finding> {
        let mut sockets = self.index.entries().iter().zip(&self.needed).filter(|(e, n)| **n && e.kind == Kind::Socket);
        let first = shown(&sockets.next()?.0.path);
        let count = sockets.count() + 1;
        let title = format!("{count} sockets were made anew with owner, mode and time, without extended attributes");
        Some(
            Finding::info("copy-sockets", title)
                .detail(format!("the first of them is {first}"))
                .remedy("nothing, unless a program sets an ACL on a socket that it does not make itself")
                .subject(first),
        )
    }

    /// Makes the names of one inode one inode on the target: those of sockets, and those that came in different streams.
    fn join_groups(&mut self) -> Result<()> {
        let entries = self.index.entries();
        for group in link_groups(self.index).values() {
            let Some(first) = group.iter().copied().find(|i| self.needed[*i] && self.arrived[*i]) else { continue };
            for other in group.iter().copied().filter(|i| *i != first) {
                let ours = self.arrived[other] || entries[other].kind == Kind::Socket;
                if ours && !self.extractor.same(&entries[other].path, &entries[first].path)? {
                    self.extractor.hard_link(&entries[other].path, &entries[first].path)?;
                    self.arrive(other);
                }
            }
        }
        Ok(())
    }

    /// Fails on the last pass when something that was asked for did not come.
    fn check_complete(&self) -> Result<()> {
        let lost = |(i, e): (usize, &Entry)| (self.needed[i] && !self.arrived[i]).then(|| shown(&e.path));
        let missing: Vec<String> = self.index.entries().iter().enumerate().filter_map(lost).collect();
        if self.job.pass == Pass::Live || missing.is_empty() {
            return Ok(());
        }
        let first = missing.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        Err(Error::new(format!("{} entries did not arrive, the first of them {first}", missing.len())))
    }
}

fn name_list<'a>(paths: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut list = Vec::new();
    for path in paths {
        // Never begins with a dash, and the top is `./`.
        list.extend_from_slice(b"./");
        list.extend_from_slice(path);
        list.push(0);
    }
    list
}
