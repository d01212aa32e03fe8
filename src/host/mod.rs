//! Hosts: this one, and others over SSH. The only room that starts processes.

mod child;
mod ciphers;
pub mod command;
mod connect;
mod destination;
mod failure;
mod key_text;
mod known_hosts;
mod local;
mod openssh;
mod package;
mod profile;
mod remote_file;
mod replay;
mod ssh2;
mod ssh_config;
mod terminal;
mod unpack;
mod watchdog;
mod wrapped;

pub use command::{Command, Effect, Output};
pub use connect::connect;
pub use destination::Destination;
pub use local::{Local, read_here};
pub use openssh::OpenSsh;
pub use profile::{SshOverrides, SshProfile};
pub use replay::{Exchange, Replay};
pub use ssh2::Ssh2;
pub use unpack::UNPACK;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;

/// How much standard output [`Host::run`] takes. More than that is read from [`Host::spawn`].
const STDOUT_LIMIT: u64 = 256 << 20;

/// The cause of every error about a command whose connection went before it ended.
pub const LOST: &str = "the connection was lost before it ended";

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

    /// Runs a command to its end, and kills it when a stop is asked for: then the error's kind is
    /// [`crate::error::Kind::Interrupted`]. What undoes things must not be run with this.
    fn run_cancellable(&self, command: &Command, cancel: &Cancel) -> Result<Output> {
        cancel.check()?;
        let mut process = self.spawn(command)?;
        let stdout = process.take_stdout();
        let (sender, receiver) = channel();
        let reader = std::thread::spawn(move || {
            let read = read_bounded(stdout);
            let _ = sender.send(());
            read
        });
        while receiver.recv_timeout(Duration::from_millis(50)) == Err(RecvTimeoutError::Timeout) {
            if cancel.is_set() {
                process.kill();
                break;
            }
        }
        let read = reader.join().unwrap_or_else(|_| Err(Error::new("the reader of standard output panicked")));
        let output = after_reading(process, read, command, self.label());
        cancel.check()?;
        output
    }
}

/// Reads standard output to its end and waits.
pub(crate) fn run_to_end(mut process: Box<dyn Process>, command: &Command, host: &str) -> Result<Output> {
    let read = read_bounded(process.take_stdout());
    after_reading(process, read, command, host)
}

fn read_bounded(stdout: Option<Box<dyn Read + Send>>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(stdout) = stdout {
        stdout.take(STDOUT_LIMIT + 1).read_to_end(&mut bytes)?;
    }
    if bytes.len() as u64 > STDOUT_LIMIT {
        return Err(Error::new(format!("it said more than {STDOUT_LIMIT} bytes")));
    }
    Ok(bytes)
}

fn after_reading(
    mut process: Box<dyn Process>,
    read: Result<Vec<u8>>,
    command: &Command,
    host: &str,
) -> Result<Output> {
    let failed = match read {
        Ok(stdout) => return process.wait().map(|output| Output { stdout, ..output }),
        Err(failed) => failed,
    };
    // The end of the process says more than the end of its pipe: a timeout, a lost connection.
    process.kill();
    process.wait()?;
    Err(Error::new(format!("running on {host}: {command}")).because(failed))
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
