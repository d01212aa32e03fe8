//! A host that is this machine, reached through a shell as a remote one would be.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use crate::support::program;
use ovz2lxc::error::{Doing, Error, Result};
use ovz2lxc::host::command::Stdin;
use ovz2lxc::host::{Command, Host, Output, Process, RemoteShell};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread::JoinHandle;

/// Runs every command line with `sh -c`.
#[derive(Clone, Default)]
pub struct ShellHost {
    /// PATH, when it is not the usual one: a place for programs that misbehave.
    pub path: Option<OsString>,
    /// A program that stands for ssh; rsync reaches this host through it.
    pub ssh: Option<PathBuf>,
}

impl ShellHost {
    /// This machine, with a directory of programs before the usual ones.
    pub fn with_programs(dir: &Path) -> ShellHost {
        let mut path = dir.as_os_str().to_owned();
        path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
        ShellHost { path: Some(path), ..ShellHost::default() }
    }

    /// This machine behind something that behaves like ssh as rsync calls it: `-q -l USER HOST WORD...`, the words joined for a shell.
    pub fn remote(dir: &Path) -> ShellHost {
        let ssh = dir.join("fake ssh");
        write_program(&ssh, "[ \"$1 $2 $3 $4\" = '-q -l root node' ] || exit 90\nshift 4\nexec sh -c \"$*\"\n");
        ShellHost { ssh: Some(ssh), ..ShellHost::default() }
    }

    fn start(&self, command: &Command) -> Result<Running> {
        #[expect(clippy::disallowed_methods, reason = "this is a host")]
        let mut shell = std::process::Command::new("/bin/sh");
        shell.arg("-c").arg(command.shell_line()).env("LC_ALL", "C").process_group(0);
        if let Some(path) = &self.path {
            shell.env("PATH", path);
        }
        shell.stdin(if *command.input() == Stdin::Null { Stdio::null() } else { Stdio::piped() });
        let mut child = shell.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let mut stderr = child.stderr.take().unwrap();
        let said = std::thread::spawn(move || {
            let mut said = Vec::new();
            let _ = stderr.read_to_end(&mut said);
            said.split_off(said.len().saturating_sub(64 << 10))
        });
        Ok(Running { child, said: Some(said) })
    }
}

/// Writes a shell script and makes it executable.
pub fn write_program(path: &Path, script: &str) {
    program::write_program(path, &format!("#!/bin/sh\n{script}"));
}

impl Host for ShellHost {
    fn label(&self) -> &str {
        if self.ssh.is_some() { "root@node" } else { "shell" }
    }

    fn run(&self, command: &Command) -> Result<Output> {
        let mut running = self.start(command)?;
        if let Stdin::Bytes(bytes) = command.input() {
            let _ = running.child.stdin.take().unwrap().write_all(bytes);
        }
        drop(running.child.stdin.take());
        let mut stdout = Vec::new();
        running.child.stdout.take().unwrap().read_to_end(&mut stdout)?;
        Ok(Output { stdout, ..Box::new(running).wait()? })
    }

    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        Ok(Box::new(self.start(command)?))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(limit).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        let ssh = self.ssh.as_ref()?;
        Some(RemoteShell { argv: vec![ssh.into(), "-q".into()], destination: "root@node".into() })
    }

    fn another(&self) -> Result<Box<dyn Host>> {
        Ok(Box::new(self.clone()))
    }
}

struct Running {
    child: Child,
    said: Option<JoinHandle<Vec<u8>>>,
}

impl Process for Running {
    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        self.child.stdout.take().map(|s| Box::new(s) as Box<dyn Read + Send>)
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        self.child.stdin.take().map(|s| Box::new(s) as Box<dyn Write + Send>)
    }

    fn wait(mut self: Box<Self>) -> Result<Output> {
        let status = self.child.wait().doing(|| "waiting")?;
        let said = self.said.take().ok_or_else(|| Error::new("waited twice"))?;
        let status = status.code().or(status.signal().map(|s| 128 + s)).unwrap();
        Ok(Output { status, stdout: Vec::new(), stderr: said.join().unwrap() })
    }

    fn kill(&mut self) {
        let group = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.kill();
            let _ = self.child.wait();
        }
    }
}
