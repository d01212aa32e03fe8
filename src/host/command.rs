//! A command as data: shown by a dry run, run by a host, compared by a transcript.

use crate::error::{Error, Result};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::time::Duration;

/// What a command does to the host it runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Reads only; a dry run may run it.
    Read,
    /// Changes something; a dry run only shows it.
    Write,
}

/// What a command is given on standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stdin {
    /// Nothing.
    Null,
    /// These bytes.
    Bytes(Vec<u8>),
    /// A pipe that the caller writes to.
    Pipe,
}

/// A program with its arguments. No shell is involved unless the program is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    argv: Vec<OsString>,
    stdin: Stdin,
    timeout: Option<Duration>,
    effect: Effect,
}

impl Command {
    /// Makes a command that only reads.
    pub fn read(program: impl Into<OsString>) -> Command {
        Command { argv: vec![program.into()], stdin: Stdin::Null, timeout: None, effect: Effect::Read }
    }

    /// Makes a command that changes something.
    pub fn write(program: impl Into<OsString>) -> Command {
        Command { effect: Effect::Write, ..Command::read(program) }
    }

    /// Adds one argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Command {
        self.argv.push(arg.into());
        self
    }

    /// Adds several arguments.
    #[must_use]
    pub fn args<I>(mut self, args: I) -> Command
    where
        I: IntoIterator,
        I::Item: Into<OsString>,
    {
        self.argv.extend(args.into_iter().map(Into::into));
        self
    }

    /// Gives it these bytes on standard input.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Command {
        self.stdin = Stdin::Bytes(bytes.into());
        self
    }

    /// Leaves its standard input open as a pipe, for [`super::Process::take_stdin`].
    #[must_use]
    pub fn pipe_stdin(mut self) -> Command {
        self.stdin = Stdin::Pipe;
        self
    }

    /// Kills it after this time.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Command {
        self.timeout = Some(timeout);
        self
    }

    /// Returns the program and its arguments.
    pub fn argv(&self) -> &[OsString] {
        &self.argv
    }

    /// Returns what it is given on standard input.
    pub fn input(&self) -> &Stdin {
        &self.stdin
    }

    /// Returns its time limit.
    pub fn time_limit(&self) -> Option<Duration> {
        self.timeout
    }

    /// Returns what it does to the host.
    pub fn effect(&self) -> Effect {
        self.effect
    }

    /// Returns one line that a POSIX shell reads back as exactly this argument vector, whatever bytes it holds.
    pub fn shell_line(&self) -> OsString {
        let mut line = Vec::new();
        for (i, arg) in self.argv.iter().enumerate() {
            if i > 0 {
                line.push(b' ');
            }
            quote(arg, &mut line);
        }
        OsString::from_vec(line)
    }
}

/// For people: the shell line, control characters escaped.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in self.shell_line().to_string_lossy().chars() {
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

fn quote(arg: &OsStr, line: &mut Vec<u8>) {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || b"_-./=:@%+,".contains(b);
    if !arg.is_empty() && arg.as_bytes().iter().all(plain) {
        line.extend_from_slice(arg.as_bytes());
        return;
    }
    line.push(b'\'');
    for b in arg.as_bytes() {
        if *b == b'\'' { line.extend_from_slice(b"'\\''") } else { line.push(*b) }
    }
    line.push(b'\'');
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// Exit status; 128 + signal number when a signal ended it.
    pub status: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error, at most its last 64 KiB.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Returns itself when the status is 0, otherwise an error that names the command and the end of standard error.
    pub fn ok(self, command: &Command, host: &str) -> Result<Output> {
        if self.status == 0 {
            return Ok(self);
        }
        let mut error = Error::new(format!("running on {host}: {command}: exit status {}", self.status));
        let said = self.stderr_tail();
        if !said.is_empty() {
            error = error.because(Error::new(said));
        }
        Err(error)
    }

    /// Returns standard output as text; bytes that are not UTF-8 are replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns the last lines of standard error for an error message, control characters escaped.
    pub fn stderr_tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(4)..];
        let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
        last.join("; ").chars().map(plain).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        let args = ["plain", "", "two words", "it's", "$HOME `x` \"q\"", "a\nb", "-n", "*"];
        let command = Command::read("printf").arg("%s\\0").args(args);
        #[expect(clippy::disallowed_methods, reason = "asks a real shell")]
        let out = std::process::Command::new("sh").arg("-c").arg(command.shell_line()).output().unwrap();
        let back: Vec<&[u8]> = out.stdout.split(|b| *b == 0).collect();
        assert_eq!(back.len(), args.len() + 1);
        for (got, want) in back.iter().zip(args) {
            assert_eq!(*got, want.as_bytes());
        }
    }

    #[test]
    fn people_never_see_control_characters() {
        assert_eq!(Command::read("rm").arg("a\u{1b}[2J\nb").to_string(), "rm 'a\\u{1b}[2J\\nb'");
    }

    #[test]
    fn a_failure_names_command_host_and_what_was_said() {
        let command = Command::write("lvcreate").arg("vg");
        let out = Output { status: 5, stderr: b"first\n  second\n".to_vec(), ..Output::default() };
        let error = out.ok(&command, "local").unwrap_err();
        assert_eq!(error.chain(), ["running on local: lvcreate vg: exit status 5", "first; second"]);
    }
}
