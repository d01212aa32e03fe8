//! The line that a remote shell gets, and the ear that listens to its standard error.
//!
//! SSH tells less than we must know: which process to kill after a timeout, whether status 255 is the command's or the
//! client's, whether a connection that ended took the exit status with it (libssh2 then says 0). So the remote shell
//! says these things itself, in records that carry a random nonce, on standard error, and the ear takes them out again.

use super::command::Command;
use super::package;
use crate::error::{Error, Result};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// How much of standard error is kept.
pub(super) const STDERR_KEPT: usize = 64 * 1024;

/// Nonce, kind, at most 20 digits, newline.
const RECORD_ROOM: usize = 64;

/// A POSIX shell line around a command, and the nonce of its records.
pub(super) struct Wrapped {
    /// The line.
    pub(super) line: OsString,
    /// The nonce.
    pub(super) nonce: String,
}

/// Wraps a command. The shell stays as leader of the process group that sshd made for it, so that one kill reaches all.
pub(super) fn wrap(command: &Command) -> Result<Wrapped> {
    let nonce = nonce();
    let mut line = Vec::new();
    let program = Command::read(command.argv()[0].clone()).shell_line();
    let program = program.as_bytes();
    if command.argv().iter().any(|a| a.as_bytes().contains(&0)) {
        return Err(Error::new(format!("{command}: an argument holds a null byte")));
    }
    line.extend_from_slice(
        format!("echo {nonce}b$$ >&2; LC_ALL=C; PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; ").as_bytes(),
    );
    line.extend_from_slice(b"export LC_ALL PATH; if command -v ");
    line.extend_from_slice(program);
    line.extend_from_slice(b" >/dev/null 2>&1; then (exec ");
    line.extend_from_slice(command.shell_line().as_bytes());
    line.extend_from_slice(format!("); echo {nonce}e$? >&2; else echo {nonce}m0 >&2; fi").as_bytes());
    Ok(Wrapped { line: OsString::from_vec(line), nonce })
}

/// Returns a line that kills the process group of a wrapped command: TERM, and KILL after two seconds.
pub(super) fn kill_line(pid: u32) -> String {
    format!(
        "kill -TERM -{pid} 2>/dev/null; for i in 1 2 3 4 5 6 7 8 9 10; do kill -0 -{pid} 2>/dev/null || exit 0; sleep 0.2; \
         done; kill -KILL -{pid} 2>/dev/null"
    )
}

/// Returns the line as text. ssh2 takes commands as UTF-8 only, so other bytes travel as octal escapes.
pub(super) fn as_text(line: &OsString) -> String {
    if let Some(text) = line.to_str() {
        return text.to_owned();
    }
    let mut text = String::from("eval \"$(printf '");
    for b in line.as_bytes() {
        if b.is_ascii_alphanumeric() || b" _-./=:@+,;$(){}<>&|?!*[]".contains(b) {
            text.push(char::from(*b));
        } else {
            text.push_str(&format!("\\{b:03o}"));
        }
    }
    text.push_str("')\"");
    text
}

fn nonce() -> String {
    let part = |seed: u64| {
        let mut hasher = RandomState::new().build_hasher();
        hasher.write_u64(seed);
        hasher.finish()
    };
    format!("ovz2lxc-{:016x}{:016x}-", part(1), part(2))
}

/// How a wrapped command ended, as its shell told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// With this status.
    Status(i32),
    /// There is no such program.
    Missing,
    /// The shell did not come to tell it.
    Untold,
}

/// Listens to standard error: takes out the records, keeps the last 64 KiB of the rest.
#[derive(Default)]
pub(super) struct Ear {
    nonce: Option<String>,
    pending: Vec<u8>,
    kept: VecDeque<u8>,
    pid: Option<u32>,
    ending: Option<Ending>,
}

impl Ear {
    /// Makes an ear for a wrapped command.
    pub(super) fn for_nonce(nonce: &str) -> Ear {
        Ear { nonce: Some(nonce.to_owned()), ..Ear::default() }
    }

    /// Returns the process group on the remote side, as soon as it is known: the command has begun.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// Returns how the command ended.
    pub(super) fn ending(&self) -> Ending {
        self.ending.unwrap_or(Ending::Untold)
    }

    /// Hears some bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let Some(nonce) = self.nonce.clone() else { return self.keep(bytes) };
        self.pending.extend_from_slice(bytes);
        let mut open_record = None;
        while let Some(at) = find(&self.pending, nonce.as_bytes()) {
            let record = &self.pending[at + nonce.len()..];
            let Some(end) = record.iter().position(|b| *b == b'\n') else {
                open_record = Some(at);
                break;
            };
            let record = String::from_utf8_lossy(&record[..end]).into_owned();
            self.hear_record(&record);
            self.pending.drain(at..at + nonce.len() + end + 1);
        }
        let safe = open_record.unwrap_or_else(|| self.pending.len().saturating_sub(RECORD_ROOM));
        let plain: Vec<u8> = self.pending.drain(..safe).collect();
        self.keep(&plain);
    }

    /// Ends the hearing and returns what was kept.
    pub(super) fn finish(&mut self) -> Vec<u8> {
        let rest = std::mem::take(&mut self.pending);
        self.keep(&rest);
        Vec::from(std::mem::take(&mut self.kept))
    }

    fn hear_record(&mut self, record: &str) {
        match (record.get(..1), record.get(1..)) {
            (Some("b"), Some(pid)) => self.pid = self.pid.or(pid.parse().ok().filter(|p| *p > 1)),
            (Some("e"), Some(status)) => self.ending = status.parse().ok().map(Ending::Status),
            (Some("m"), _) => self.ending = Some(Ending::Missing),
            _ => {}
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let last = &bytes[bytes.len().saturating_sub(STDERR_KEPT)..];
        let over = (self.kept.len() + last.len()).saturating_sub(STDERR_KEPT);
        self.kept.drain(..over.min(self.kept.len()));
        self.kept.extend(last);
    }
}

fn find(hay: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut from = 0;
    while let Some(step) = hay.get(from..)?.iter().position(|b| *b == first) {
        if hay[from + step..].starts_with(needle) {
            return Some(from + step);
        }
        from += step + 1;
    }
    None
}

/// Returns the error for a program that a host does not have.
pub(super) fn missing(command: &Command, host: &str) -> Error {
    let program: String = command.argv()[0].to_string_lossy().chars().flat_map(char::escape_default).collect();
    let hint = package::hint(&program, host);
    Error::new(format!("running on {host}: {command}"))
        .because(Error::new(format!("{program} is not installed")).hint(hint))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Host, Local};

    fn hear(line: &OsString, nonce: &str) -> (Vec<u8>, Vec<u8>, Ear) {
        let out = Local::new().run(&Command::read("sh").arg("-c").arg(line)).unwrap();
        let mut ear = Ear::for_nonce(nonce);
        for byte in &out.stderr {
            ear.push(std::slice::from_ref(byte));
        }
        let said = ear.finish();
        (out.stdout, said, ear)
    }

    #[test]
    fn the_shell_tells_pid_and_status_and_nothing_of_it_stays_in_stderr() {
        let w = wrap(&Command::read("sh").arg("-c").arg("echo $LC_ALL; printf oops >&2; exit 255")).unwrap();
        let (stdout, stderr, ear) = hear(&w.line, &w.nonce);
        assert_eq!(stdout, b"C\n");
        assert_eq!(stderr, b"oops");
        assert!(ear.pid().unwrap() > 1);
        assert_eq!(ear.ending(), Ending::Status(255));
    }

    #[test]
    fn a_missing_program_is_told_apart_from_status_127() {
        let w = wrap(&Command::read("no-such-program-anywhere").arg("x")).unwrap();
        let (_, _, ear) = hear(&w.line, &w.nonce);
        assert_eq!(ear.ending(), Ending::Missing);
        let w = wrap(&Command::read("sh").args(["-c", "exit 127"])).unwrap();
        assert_eq!(hear(&w.line, &w.nonce).2.ending(), Ending::Status(127));
    }

    #[test]
    fn a_signal_is_128_and_more() {
        let w = wrap(&Command::read("sh").args(["-c", "kill -9 $$"])).unwrap();
        assert_eq!(hear(&w.line, &w.nonce).2.ending(), Ending::Status(137));
    }

    #[test]
    fn a_line_of_any_bytes_survives_as_text() {
        let all: Vec<u8> = (1..=255).collect();
        let w = wrap(&Command::read("printf").arg("%s").arg(OsString::from_vec(all.clone()))).unwrap();
        let (stdout, _, _) = hear(&as_text(&w.line).into(), &w.nonce);
        assert_eq!(stdout, all);
    }

    #[test]
    fn a_null_byte_is_refused() {
        assert!(wrap(&Command::read("echo").arg(OsString::from_vec(vec![b'a', 0]))).is_err());
    }

    #[test]
    fn the_ear_keeps_the_last_64_kib() {
        let mut ear = Ear::for_nonce("N-");
        ear.push(b"N-b77\n");
        for i in 0..20_000 {
            ear.push(format!("line {i}\n").as_bytes());
        }
        ear.push(b"N-e3\nlate");
        assert_eq!((ear.pid(), ear.ending()), (Some(77), Ending::Status(3)));
        let kept = ear.finish();
        assert_eq!(kept.len(), STDERR_KEPT);
        assert!(kept.ends_with(b"line 19999\nlate"));
    }

    #[test]
    fn without_the_last_record_the_ending_is_untold() {
        let mut ear = Ear::for_nonce("N-");
        ear.push(b"N-b77\nN-e");
        assert_eq!(ear.ending(), Ending::Untold);
        assert_eq!(ear.finish(), b"N-e");
    }
}
