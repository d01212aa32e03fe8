//! A host reached with the built-in client, libssh2: for where there is no OpenSSH client.

mod algorithms;
mod login;
mod pump;
mod stream;

use super::command::{Command, Output, Stdin};
use super::profile::SshProfile;
use super::watchdog::{Kill, Watchdog};
use super::wrapped::{Ear, Ending, as_text, missing, wrap};
use super::{Host, LOST, Process, RemoteShell, remote_file, run_to_end};
use crate::error::{Doing, Error, Result};
use login::{Secrets, log_in};
use pump::Pump;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use stream::{Reader, Stream, Writer};

/// A host reached with libssh2. One session carries all its commands; [`Host::another`] opens a new one.
pub struct Ssh2 {
    profile: SshProfile,
    label: String,
    secrets: Arc<Mutex<Secrets>>,
    pump: Arc<Pump>,
}

impl Ssh2 {
    /// Logs in. With `ask`, an unknown host key, a passphrase or a password is asked for on the terminal; without, an
    /// unknown key is refused and only agent and keys are tried. Errors name the host and say what to do.
    pub fn connect(profile: SshProfile, ask: bool) -> Result<Ssh2> {
        if let Some(jump) = &profile.jump {
            return Err(Error::usage(format!(
                "connecting to {}: ssh_config says {}",
                profile.label(),
                jump.escape_debug()
            ))
            .because(Error::new("the built-in client connects directly only"))
            .hint("use --transport openssh, which honours ProxyJump and ProxyCommand"));
        }
        Ssh2::with_secrets(profile, ask, Arc::default())
    }

    fn with_secrets(profile: SshProfile, ask: bool, secrets: Arc<Mutex<Secrets>>) -> Result<Ssh2> {
        let (session, socket) = log_in(&profile, ask, &mut secrets.lock().unwrap_or_else(PoisonError::into_inner))?;
        let label = profile.label();
        let pump = Pump::start(session, socket).doing(|| format!("connecting to {label}"))?;
        Ok(Ssh2 { profile, label, secrets, pump: Arc::new(pump) })
    }
}

impl Host for Ssh2 {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, command: &Command) -> Result<Output> {
        run_to_end(self.spawn(command)?, command, &self.label)
    }

    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        let wrapped = wrap(command)?;
        let (bytes, over) = match command.input() {
            Stdin::Null => (None, true),
            Stdin::Bytes(bytes) => (Some(bytes.clone()), true),
            Stdin::Pipe => (None, false),
        };
        let stream = Arc::new(Stream::new(Ear::for_nonce(&wrapped.nonce), bytes, over, self.pump.wake()));
        let line = as_text(&wrapped.line);
        self.pump.exec(line, Arc::clone(&stream)).doing(|| format!("running on {}: {command}", self.label))?;
        let watchdog = command.time_limit().map(|limit| Watchdog::start(limit, Arc::clone(&stream) as Arc<dyn Kill>));
        let stdin = (!over).then(|| Writer(Arc::clone(&stream)));
        let stdout = Some(Reader(Arc::clone(&stream)));
        Ok(Box::new(Remote {
            stdin,
            stdout,
            stream,
            watchdog,
            finished: false,
            command: command.clone(),
            label: self.label.clone(),
            _pump: Arc::clone(&self.pump),
        }))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        remote_file::read(self, path, limit)
    }

    /// rsync needs the OpenSSH client; it logs in by itself, with the same options.
    fn remote_shell(&self) -> Option<RemoteShell> {
        Some(RemoteShell { argv: self.profile.openssh_argv(false), destination: self.profile.rsync_destination() })
    }

    fn another(&self) -> Result<Box<dyn Host>> {
        let host = Ssh2::with_secrets(self.profile.clone(), false, Arc::clone(&self.secrets))?;
        Ok(Box::new(host))
    }
}

impl Kill for Stream {
    fn kill(&self) {
        Stream::kill(self);
    }
}

struct Remote {
    command: Command,
    label: String,
    stream: Arc<Stream>,
    stdout: Option<Reader>,
    stdin: Option<Writer>,
    watchdog: Option<Watchdog>,
    finished: bool,
    /// Keeps the session alive as long as a command runs on it.
    _pump: Arc<Pump>,
}

impl Process for Remote {
    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        self.stdout.take().map(|r| Box::new(r) as Box<dyn Read + Send>)
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        self.stdin.take().map(|w| Box::new(w) as Box<dyn Write + Send>)
    }

    fn wait(mut self: Box<Self>) -> Result<Output> {
        drop(self.stdin.take());
        drop(self.stdout.take());
        let end = self.stream.wait_end();
        self.finished = true;
        if let Some(watchdog) = self.watchdog.take() {
            watchdog.end(&self.command, &self.label)?;
        }
        let mut state = self.stream.lock();
        let output = Output { stderr: state.ear.finish(), ..Output::default() };
        let lost = |why: Error| {
            let lost = Error::new(LOST).because(why);
            Err(Error::new(format!("running on {}: {}", self.label, self.command)).because(lost))
        };
        match (state.ear.ending(), end) {
            (Ending::Status(status), _) => Ok(Output { status, ..output }),
            (Ending::Missing, _) => Err(missing(&self.command, &self.label)),
            (Ending::Untold, Err(why)) => match output.stderr_tail() {
                said if said.is_empty() => lost(Error::new(why)),
                said => lost(Error::new(why).because(Error::new(said))),
            },
            (Ending::Untold, Ok(())) if state.kill => Ok(Output { status: 128 + 15, ..output }),
            (Ending::Untold, Ok(())) => lost(Error::new(output.stderr_tail())),
        }
    }

    fn kill(&mut self) {
        self.stream.kill();
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if !self.finished {
            self.stream.kill();
        }
    }
}
