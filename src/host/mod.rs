//! Hosts: this one, and others over SSH. The only room that starts processes.

pub mod command;

pub use command::{Command, Effect, Output};

use crate::error::Result;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;

/// How rsync reaches a host: the words of `-e`, and the `user@host` of the source argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteShell {
    /// The OpenSSH client with every option that the profile asks for, without the destination.
    pub argv: Vec<OsString>,
    /// `user@host`.
    pub destination: String,
}

/// A host on which commands run. Every command runs with `LC_ALL=C` and with standard input closed unless it is given.
pub trait Host: Send + Sync {
    /// Returns a name for people: `local`, `root@vz1.example.com:22`.
    fn label(&self) -> &str;

    /// Runs a command to its end. An exit status other than 0 is not an error here; not being able to start it, a timeout
    /// and a lost connection are.
    fn run(&self, command: &Command) -> Result<Output>;

    /// Starts a command whose output is read as it comes.
    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>>;

    /// Reads a regular file of at most `limit` bytes, links followed. `None` when it does not exist; an error when it is
    /// larger or not a regular file.
    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>>;

    /// Returns how rsync reaches this host; `None` for the local one.
    fn remote_shell(&self) -> Option<RemoteShell>;

    /// Opens an independent connection to the same host, for a parallel worker.
    fn another(&self) -> Result<Box<dyn Host>>;

    /// Runs a command and fails unless it exits with 0; the error names the command, the status and the end of its
    /// standard error.
    fn run_ok(&self, command: &Command) -> Result<Output> {
        let output = self.run(command)?;
        output.ok(command, self.label())
    }
}

/// A command that is running. Dropping it kills it.
pub trait Process: Send {
    /// Takes its standard output; `None` the second time.
    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>>;

    /// Takes its standard input, when the command was started with [`Command::pipe_stdin`]; dropping it closes it.
    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>>;

    /// Waits for its end. `stdout` of the result is empty; `stderr` holds at most the last 64 KiB.
    fn wait(self: Box<Self>) -> Result<Output>;

    /// Kills it and everything it started, as far as this host lets us.
    fn kill(&mut self);
}
