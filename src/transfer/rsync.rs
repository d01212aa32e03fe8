//! The rsync engine: for sources whose tar or find is too old or another one's.

use super::exclude::Excludes;
use super::meter::Meter;
use super::running::watch;
use super::{Engine, Job, Pass, Stats, acls, probe, vacant};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use crate::model::settings::{Compress, Tuning};
use crate::model::size::KIB;
use crate::rootfs::attributes::shown;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::Read;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Since this version rsync protects a remote path from the remote shell by itself.
const ESCAPES: (u32, u32, u32) = (3, 2, 4);
/// Since this version rsync can be told to compare nanoseconds; it takes links and devices that differ by less than a second
/// for equal otherwise.
const NANOSECONDS: (u32, u32, u32) = (3, 1, 3);
/// Files vanished while they were read.
const VANISHED: i32 = 24;

/// Copies with rsync on both sides.
///
/// rsync takes a file of the same size and time for the same file. On the last pass that is not enough (and an old source
/// sends whole seconds), so what the source changed since the pass before began is sent whatever its time says; when
/// nobody knows when that was, everything is compared by content.
pub struct RsyncEngine {
    local: Arc<dyn Host>,
    state: Option<PathBuf>,
    begun: Mutex<HashMap<Vec<u8>, i64>>,
}

/// Which files of the same size and time are looked at nevertheless.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubt {
    None,
    All,
    Listed,
}

impl RsyncEngine {
    /// Makes an engine that runs rsync on `local` and remembers its passes as long as it lives.
    pub fn new(local: Arc<dyn Host>) -> RsyncEngine {
        RsyncEngine { local, state: None, begun: Mutex::default() }
    }

    /// Keeps the beginning of the last pass in a file, for a later process.
    #[must_use]
    pub fn with_state_file(mut self, path: &Path) -> RsyncEngine {
        self.state = Some(path.to_owned());
        self
    }

    fn pass(&self, job: &Job<'_>) -> Result<Stats> {
        let started = Instant::now();
        let version = probe::rsync(self.local.as_ref())?;
        probe::rsync(job.source)?;
        let begun = probe::clock(job.source)?;
        let mut meter = Meter::new(job);
        meter.say();
        let mut report = Report::default();
        let empty = vacant::is_target(job)?;
        if !empty {
            check_source(job)?;
        }
        let mut doubt = Doubt::None;
        if job.pass == Pass::Final && !empty {
            match self.earlier(job).map(|earlier| changed_since(job, begun - earlier)) {
                Some(Ok(list)) if list.is_empty() => {}
                Some(Ok(list)) => report.add(&self.transfer(job, version, Doubt::Listed, Some(&list), &mut meter)?),
                // No record of an earlier pass, or no find on the source.
                None | Some(Err(_)) => doubt = Doubt::All,
            }
        }
        job.cancel.check()?;
        report.add(&self.transfer(job, version, doubt, None, &mut meter)?);
        let acls = if job.pass == Pass::Final { acls::put_right(job)? } else { None };
        self.remember(job, begun)?;
        meter.files = report.files;
        meter.bytes = report.bytes;
        meter.say();
        Ok(Stats {
            engine: self.name().to_owned(),
            files: report.files,
            bytes: report.bytes,
            sent_bytes: report.received,
            deleted: report.deleted,
            seconds: started.elapsed().as_secs_f64(),
            findings: acls.into_iter().collect(),
        })
    }

    fn transfer(
        &self,
        job: &Job<'_>,
        version: (u32, u32, u32),
        doubt: Doubt,
        list: Option<&[u8]>,
        meter: &mut Meter<'_>,
    ) -> Result<Report> {
        let ends = Ends { source: job.source, tree: &job.tree, target: job.target.path(), excludes: &job.excludes };
        let command = command(&ends, version, doubt, &job.tuning);
        let (files, bytes) = (meter.files, meter.bytes);
        let ended = watch(self.local.as_ref(), &command, job.cancel, list, |output| {
            let mut report = Report::default();
            report.read(output, |report| {
                meter.files = files + report.files;
                meter.bytes = bytes + report.progress;
                meter.tick();
            })?;
            Ok(report)
        })?;
        self.check_status(job, &command, &ended.output)?;
        let report = ended.result?;
        if !report.complete {
            return Err(Error::new("rsync ended without its statistics"));
        }
        Ok(report)
    }

    fn check_status(&self, job: &Job<'_>, command: &Command, output: &Output) -> Result<()> {
        if output.status == 0 || (job.pass == Pass::Live && output.status == VANISHED) {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let hint = match output.status {
            _ if said.contains("No space left on device") => {
                "the target volume is too small: make it larger with --size"
            }
            23 => "not everything could be copied; rsync's messages name what",
            VANISHED => "files vanished during the last pass: the container must not run then, is it stopped?",
            _ => return output.clone().ok(command, self.local.label()).map(drop),
        };
        output.clone().ok(command, self.local.label()).map(drop).map_err(|e| e.hint(hint))
    }

    fn earlier(&self, job: &Job<'_>) -> Option<i64> {
        let key = key(job);
        let Some(path) = &self.state else {
            return self.begun.lock().unwrap_or_else(PoisonError::into_inner).get(&key).copied();
        };
        let text = std::fs::read(path).ok()?;
        let time = text.strip_prefix(key.as_slice())?;
        std::str::from_utf8(time).ok()?.trim().parse().ok()
    }

    fn remember(&self, job: &Job<'_>, begun: i64) -> Result<()> {
        let key = key(job);
        let Some(path) = &self.state else {
            self.begun.lock().unwrap_or_else(PoisonError::into_inner).insert(key, begun);
            return Ok(());
        };
        let temp = path.with_extension("new");
        std::fs::write(&temp, [key, format!("{begun}\n").into_bytes()].concat())
            .and_then(|()| std::fs::rename(&temp, path))
            .doing(|| format!("saving {}", path.display()))
    }
}

impl Engine for RsyncEngine {
    fn name(&self) -> &'static str {
        "rsync"
    }

    fn commands(&self, source: &dyn Host, tree: &Path, target: &Path, excludes: &[PathBuf]) -> Vec<Command> {
        let version = probe::rsync(self.local.as_ref());
        let ends = Ends { source, tree, target, excludes };
        vec![command(&ends, version.unwrap_or(ESCAPES), Doubt::None, &Tuning::default())]
    }

    fn warm(&self, job: &Job<'_>) -> Result<()> {
        // What the last pass would refuse when it is too late.
        if vacant::is_target(job)? { Ok(()) } else { check_source(job) }
    }

    fn run(&self, job: &Job<'_>) -> Result<Stats> {
        self.pass(job).doing(|| {
            format!("copying {} from {} to {}", job.tree.display(), job.source.label(), job.target.path().display())
        })
    }
}

fn check_source(job: &Job<'_>) -> Result<()> {
    let list = Command::read("ls").args(["-A", "--"]).arg(job.tree.join("."));
    let (list, excludes) = (job.source.run_ok(&list)?.stdout, Excludes::new(&job.excludes));
    let mut names = list.split(|b| *b == b'\n').filter(|name| !name.is_empty());
    if names.all(|name| excludes.matches(name)) { Err(vacant::refusal(job)) } else { Ok(()) }
}

fn key(job: &Job<'_>) -> Vec<u8> {
    let mut key = b"ovz2lxc rsync 1\0".to_vec();
    for part in
        [job.source.label().as_bytes(), job.tree.as_os_str().as_bytes(), job.target.path().as_os_str().as_bytes()]
    {
        key.extend_from_slice(part);
        key.push(0);
    }
    key
}

/// Lists the files that the source changed in the last `seconds`, NUL-ended; a minute more than that for what a program
/// maps and writes, whose change time comes late.
fn changed_since(job: &Job<'_>, seconds: i64) -> Result<Vec<u8>> {
    let minutes = format!("-{}", seconds.max(0) / 60 + 3);
    let command = Command::read("find").arg(job.tree.join("."));
    let command = command.args(["-xdev", "-type", "f", "-cmin"]).arg(minutes).args(["-printf", "./%P\\0"]);
    let ended = watch(job.source, &command, job.cancel, None, |mut output| {
        let mut list = Vec::new();
        output.read_to_end(&mut list)?;
        Ok(list)
    })?;
    ended.output.ok(&command, job.source.label())?;
    // rsync does not apply its own excludes to all of a list.
    let excludes = Excludes::new(&job.excludes);
    let list = ended.result?;
    let kept = list.split_inclusive(|b| *b == 0).filter(|name| {
        let path = name.strip_prefix(b"./").unwrap_or(name);
        !excludes.matches(path.strip_suffix(b"\0").unwrap_or(path))
    });
    Ok(kept.flatten().copied().collect())
}

/// Where a pass reads, where it writes, and what it leaves out.
pub(super) struct Ends<'a> {
    pub(super) source: &'a dyn Host,
    pub(super) tree: &'a Path,
    pub(super) target: &'a Path,
    pub(super) excludes: &'a [PathBuf],
}

/// Adds what a copy may take of the way and of the source; compression is rsync's own, whichever is asked for.
pub(super) fn tuned(mut command: Command, tuning: &Tuning) -> Command {
    if let Some(limit) = tuning.bwlimit {
        command = command.arg(format!("--bwlimit={}", (limit.0 / KIB).max(1)));
    }
    if matches!(tuning.compress, Compress::Gzip | Compress::Zstd | Compress::Lz4) {
        command = command.arg("--compress");
    }
    if !tuning.full_speed {
        command = command.arg("--rsync-path=nice -n 19 rsync");
    }
    command
}

fn command(job: &Ends<'_>, version: (u32, u32, u32), doubt: Doubt, tuning: &Tuning) -> Command {
    let mut command = Command::write("rsync").args(["-aHAXS", "--numeric-ids", "--one-file-system"]);
    command = command.args(["--no-human-readable", "--stats", "--info=progress2", "--out-format=%i"]);
    command = tuned(command, tuning);
    if version >= NANOSECONDS {
        command = command.arg("--modify-window=-1");
    }
    // mkfs made it at the top of the volume; the source need not have one.
    command = match doubt {
        Doubt::None => command.args(["--delete", "--filter=P /lost+found"]),
        Doubt::All => command.args(["--delete", "--filter=P /lost+found", "--checksum"]),
        // --force: a file may stand where a full directory was; the run after this one deletes the rest.
        Doubt::Listed => command.args(["--ignore-times", "--force", "--from0", "--files-from=-"]).pipe_stdin(),
    };
    let patterns = if doubt == Doubt::Listed { Vec::new() } else { Excludes::new(job.excludes).rsync_patterns() };
    for pattern in patterns {
        let mut exclude = b"--exclude=".to_vec();
        exclude.extend(pattern);
        command = command.arg(OsString::from_vec(exclude));
    }
    between(command, job, version)
}

/// Adds the source and the target.
pub(super) fn between(mut command: Command, job: &Ends<'_>, version: (u32, u32, u32)) -> Command {
    let mut tree = job.tree.as_os_str().as_bytes().to_vec();
    tree.push(b'/');
    let source = match job.source.remote_shell() {
        None => tree,
        Some(shell) => {
            command = command.arg("-e").arg(shell_words(&shell.argv));
            let mut source = shell.destination.into_bytes();
            source.push(b':');
            source.extend(if version >= ESCAPES { tree } else { shell_escaped(&tree) });
            source
        }
    };
    let mut target = job.target.as_os_str().to_owned();
    target.push("/");
    command.arg("--").arg(OsString::from_vec(source)).arg(target)
}

/// Joins words the way rsync splits them again (main.c, `do_cmd`): quotes hold blanks, a quote inside is doubled.
fn shell_words(words: &[OsString]) -> OsString {
    let mut line = Vec::new();
    for (i, word) in words.iter().enumerate() {
        if i > 0 {
            line.push(b' ');
        }
        let word = word.as_bytes();
        if !word.is_empty() && !word.iter().any(|b| b" '\"".contains(b)) {
            line.extend_from_slice(word);
            continue;
        }
        line.push(b'\'');
        for byte in word {
            line.push(*byte);
            if *byte == b'\'' {
                line.push(b'\'');
            }
        }
        line.push(b'\'');
    }
    OsString::from_vec(line)
}

/// For an rsync that hands the remote path to the remote shell as it is.
fn shell_escaped(path: &[u8]) -> Vec<u8> {
    let mut escaped = Vec::new();
    for byte in path {
        match byte {
            b'\n' => escaped.extend_from_slice(b"'\n'"),
            _ if byte.is_ascii_alphanumeric() || b"/._-+,%@".contains(byte) || *byte >= 0x80 => escaped.push(*byte),
            _ => escaped.extend([b'\\', *byte]),
        }
    }
    escaped
}

/// What rsync says about a run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Report {
    files: u64,
    bytes: u64,
    pub(super) received: u64,
    deleted: u64,
    pub(super) progress: u64,
    complete: bool,
}

impl Report {
    fn add(&mut self, other: &Report) {
        self.files += other.files;
        self.bytes += other.bytes;
        self.received += other.received;
        self.deleted += other.deleted;
    }

    /// Reads lines of `--out-format=%i`, `--info=progress2` (which ends lines with carriage returns) and `--stats`.
    pub(super) fn read(&mut self, mut output: impl Read, mut moved: impl FnMut(&Report)) -> Result<()> {
        let mut buffer = [0; 16 << 10];
        let mut line = Vec::new();
        loop {
            let n = output.read(&mut buffer).doing(|| "reading what rsync says")?;
            for byte in &buffer[..n] {
                match byte {
                    b'\n' | b'\r' => {
                        self.take(&String::from_utf8_lossy(&line));
                        line.clear();
                    }
                    _ if line.len() < 4096 => line.push(*byte),
                    _ => return Err(Error::new(format!("rsync says something endless: {}", shown(&line)))),
                }
            }
            if n == 0 {
                self.take(&String::from_utf8_lossy(&line));
                return Ok(());
            }
            moved(self);
        }
    }

    fn take(&mut self, line: &str) {
        let number = |text: &str| text.split_whitespace().next().and_then(|n| n.replace(',', "").parse().ok());
        if let Some((what, value)) = line.split_once(": ") {
            match (what, number(value)) {
                ("Total transferred file size", Some(n)) => self.bytes = n,
                ("Total bytes received", Some(n)) => {
                    self.received = n;
                    self.complete = true;
                }
                ("Number of deleted files", Some(n)) => self.deleted = n,
                _ => {}
            }
        } else if line.contains('%') {
            self.progress = number(line).unwrap_or(self.progress);
        } else if is_change(line) {
            self.files += 1;
        }
    }
}

/// Tells whether a line is an itemised change of an entry (`>f+++++++++`, `cd..t......`, `.f....og...`).
fn is_change(line: &str) -> bool {
    let mut chars = line.trim_end().chars();
    let (update, kind) = (chars.next(), chars.next());
    matches!(update, Some('<' | '>' | 'c' | 'h' | '.'))
        && matches!(kind, Some('f' | 'd' | 'L' | 'D' | 'S'))
        && !line.contains(' ')
        && line.len() >= 9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rsync_says_is_understood() {
        let text = "cd+++++++++\n>f+++++++++\n        123,456  50%  1.00MB/s  0:00:00 (xfr#1, to-chk=1/2)\r\
                    hf.........\n*deleting  \n\nNumber of files: 3 (reg: 1, dir: 1)\nNumber of deleted files: 2 (reg: 2)\n\
                    Total transferred file size: 98,765 bytes\nTotal bytes sent: 12\nTotal bytes received: 4,321\n";
        let mut report = Report::default();
        let mut last = 0;
        report.read(text.as_bytes(), |r| last = r.progress).unwrap();
        let wanted = Report { files: 3, bytes: 98765, received: 4321, deleted: 2, progress: 123_456, complete: true };
        assert_eq!((report, last), (wanted, 123_456));
    }

    #[test]
    fn what_a_copy_may_take_is_said_to_rsync() {
        let line = |tuning: &Tuning| tuned(Command::read("rsync"), tuning).to_string();
        assert_eq!(line(&Tuning::default()), "rsync '--rsync-path=nice -n 19 rsync'");
        let bwlimit = Some(crate::model::size::Bytes(10 << 20));
        let all = Tuning { bwlimit, compress: Compress::Zstd, full_speed: true, ..Tuning::default() };
        assert_eq!(line(&all), "rsync --bwlimit=10240 --compress");
    }

    #[test]
    fn words_survive_the_way_through_rsync() {
        let words = ["ssh", "-o", "UserKnownHostsFile=/a b/c'd", ""].map(OsString::from);
        assert_eq!(shell_words(&words), "ssh -o 'UserKnownHostsFile=/a b/c''d' ''");
    }

    #[test]
    fn an_old_rsync_gets_a_path_that_a_shell_reads_back() {
        let path = b"/vz/a b/$x'\"*\n\xff/";
        let mut line = b"printf %s ".to_vec();
        line.extend(shell_escaped(path));
        #[expect(clippy::disallowed_methods, reason = "asks a real shell")]
        let out = std::process::Command::new("sh").arg("-c").arg(OsString::from_vec(line)).output().unwrap();
        assert_eq!(out.stdout, path);
    }
}
