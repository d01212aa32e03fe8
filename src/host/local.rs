//! This host.

use super::child::{Running, Setting};
use super::command::{Command, Output, Stdin};
use super::wrapped::{self, Ear};
use super::{Host, Process, RemoteShell, run_to_end};
use crate::error::{Doing, Error, Result};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// The host on which this program runs.
#[derive(Debug, Clone, Default)]
pub struct Local {}

impl Local {
    /// Makes it.
    pub fn new() -> Local {
        Local::default()
    }
}

impl Host for Local {
    fn label(&self) -> &str {
        "local"
    }

    fn run(&self, command: &Command) -> Result<Output> {
        run_to_end(self.spawn(command)?, command, self.label())
    }

    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        let child = start(command).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => wrapped::missing(command, self.label()),
            _ => Error::new(format!("running on local: {command}")).because(e),
        })?;
        let ear = Arc::new(Mutex::new(Ear::default()));
        let setting = Setting { command: command.clone(), host: "local".to_owned(), ear, kill_first: None };
        Ok(Box::new(Running::over(child, setting)?))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        read_local(path, limit).doing(|| format!("reading {}", path.display().to_string().escape_debug()))
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        None
    }

    fn another(&self) -> Result<Box<dyn Host>> {
        Ok(Box::new(self.clone()))
    }
}

/// Starts a child in a process group of its own, so that a Ctrl-C on the terminal reaches us and not a half-done mkfs.
#[expect(clippy::disallowed_methods, reason = "host/ is the room that starts processes")]
pub(super) fn start(command: &Command) -> std::io::Result<std::process::Child> {
    let argv = command.argv();
    let mut process = std::process::Command::new(&argv[0]);
    process.args(&argv[1..]).env("LC_ALL", "C").env("PATH", search_path()).process_group(0);
    process.stdin(if command.input() == &Stdin::Null { Stdio::null() } else { Stdio::piped() });
    process.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
}

/// What root needs is in sbin, which su without a dash and sudo may leave out.
pub(super) fn search_path() -> OsString {
    let mut path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/local/bin:/usr/bin:/bin".into());
    path.push(":/usr/local/sbin:/usr/sbin:/sbin");
    path
}

/// Tells whether a program is found on the search path.
pub(super) fn is_installed(program: &str) -> bool {
    std::env::split_paths(&search_path())
        .any(|dir| rustix::fs::access(dir.join(program), rustix::fs::Access::EXEC_OK).is_ok())
}

/// Reads a regular file; opening never waits for the other end of a FIFO and never takes a terminal over.
pub(super) fn read_local(path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    match open_local(path) {
        Ok(fd) => read_open(fd, limit).map(Some),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(e) => Err(not_opened(e)),
    }
}

/// Reads a regular file of this host that has to be there, of at most `limit` bytes; waits for nobody at a FIFO.
///
/// Fails with the reason alone: the caller says which file it was, and what for.
pub fn read_here(path: &Path, limit: u64) -> Result<Vec<u8>> {
    read_open(open_local(path).map_err(not_opened)?, limit)
}

fn open_local(path: &Path) -> Result<OwnedFd, Errno> {
    open(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())
}

fn not_opened(error: Errno) -> Error {
    match error {
        Errno::NXIO => Error::new("not a regular file"),
        other => other.into(),
    }
}

fn read_open(fd: OwnedFd, limit: u64) -> Result<Vec<u8>> {
    if FileType::from_raw_mode(fstat(&fd)?.st_mode) != FileType::RegularFile {
        return Err(Error::new("not a regular file"));
    }
    let mut bytes = Vec::new();
    File::from(fd).take(limit.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Error::new(format!("larger than {limit} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
