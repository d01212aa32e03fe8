//! A host reached with the system's OpenSSH client: one login, kept by a master, serves all commands.

use super::child::{Group, Running, Setting};
use super::command::{Command, Output, Stdin};
use super::failure::{Failure, classify, understand};
use super::local::{Local, read_local, search_path, start};
use super::profile::{SshProfile, percent};
use super::wrapped::{Ear, Ending, kill_line, missing, wrap};
use super::{Host, LOST, Process, RemoteShell, remote_file, run_to_end};
use crate::error::{Doing, Error, Result};
use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A login without questions is over by then: name, connection, key exchange and a few keys.
const LOGIN_LIMIT: Duration = Duration::from_secs(90);

/// A command that is to be killed has told its process group by then, or the connection is stuck.
const PID_LIMIT: Duration = Duration::from_secs(5);

/// ssh binds a temporary name of 17 characters more, and a socket's path has 107 at most (unix(7)).
const SOCKET_DIR_LIMIT: usize = 60;

/// A master that nobody uses and nobody closed, because we were killed, goes by itself.
const PERSIST: &str = "ControlPersist=1800";

/// A host reached with the OpenSSH client.
#[derive(Clone)]
pub struct OpenSsh {
    profile: SshProfile,
    label: String,
    master: Arc<Master>,
}

/// The connection that the commands share. Dropping it closes it.
struct Master {
    profile: SshProfile,
    dir: tempfile::TempDir,
}

impl OpenSsh {
    /// Logs in. With `ask`, ssh may ask on the terminal for an unknown host key, a passphrase or a password; without, an
    /// unknown key is refused and nothing is asked. Errors name the host and say what to do.
    pub fn connect(profile: SshProfile, ask: bool) -> Result<OpenSsh> {
        let dir = socket_dir().doing(|| "making a private directory for the connection's socket")?;
        let mut master = Master { profile, dir };
        master.log_in(ask)?;
        let profile = master.profile.clone();
        Ok(OpenSsh { label: profile.label(), profile, master: Arc::new(master) })
    }
}

impl Master {
    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Returns the client with the options that make it use this connection.
    fn argv(&self) -> Vec<OsString> {
        let mut argv = self.profile.openssh_argv(false);
        argv.extend(self.control("no"));
        argv
    }

    fn control(&self, master: &str) -> [OsString; 4] {
        let mut path = OsString::from("ControlPath=");
        path.push(percent(&self.socket()));
        ["-o".into(), format!("ControlMaster={master}").into(), "-o".into(), path]
    }

    /// Logs in. Where SHA-1 is allowed, both ways to sign with an RSA key are tried, and only then is anything asked.
    fn log_in(&mut self, ask: bool) -> Result<()> {
        let said = self.try_login(ask && !self.profile.legacy_algorithms)?;
        let Some(mut said) = said else { return Ok(()) };
        if self.profile.legacy_algorithms && understand(&said) == Some(Failure::Auth) {
            let other = self.profile.sha1_signatures_first();
            let plain = std::mem::replace(&mut self.profile, other);
            if self.try_login(false)?.is_none() {
                return Ok(());
            }
            self.profile = plain;
        }
        if self.profile.legacy_algorithms && ask {
            match self.try_login(true)? {
                None => return Ok(()),
                Some(last) => said = last,
            }
        }
        Err(classify(&said, &self.profile))
    }

    /// Runs the login in the foreground: whoever asks on the terminal must be in its foreground process group. The master
    /// goes to the background, in a session of its own, when it is through. Returns what ssh said when it gave up.
    #[expect(clippy::disallowed_methods, reason = "host/ is the room that starts processes")]
    fn try_login(&self, ask: bool) -> Result<Option<String>> {
        let doing = || format!("starting the ssh client for {}", self.profile.label());
        let said = self.dir.path().join("said");
        let file = File::create(&said).doing(doing)?;
        let mut argv = self.profile.openssh_argv(ask);
        argv.extend(self.control("yes"));
        argv.extend(["-o", PERSIST, "-f", "-N", "-T", "--"].map(OsString::from));
        argv.push(self.profile.openssh_destination().into());
        let mut command = std::process::Command::new(&argv[0]);
        command.args(&argv[1..]).env("LC_ALL", "C").env("PATH", search_path());
        // Into a file, since the master may keep standard error open, and we want to see the end of it.
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file);
        let mut child = command.spawn().doing(doing)?;
        let deadline = Instant::now() + LOGIN_LIMIT;
        let mut echo = ask.then(|| Echo::of(&said)).flatten();
        let mut pause = Duration::from_millis(2);
        let status = loop {
            if let Some(status) = child.try_wait().doing(doing)? {
                break status;
            }
            if let Some(echo) = &mut echo {
                echo.go_on();
            } else if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                let late = Error::new(format!("no login within {} s", LOGIN_LIMIT.as_secs()));
                return Err(Error::new(format!("connecting to {}", self.profile.label())).because(late));
            }
            std::thread::sleep(pause);
            pause = (pause * 5 / 4).min(Duration::from_millis(20));
        };
        if status.success() {
            return Ok(None);
        }
        let text = read_local(&said, 1 << 20)?.unwrap_or_default();
        Ok(Some(String::from_utf8_lossy(&text).into_owned()))
    }

    /// Runs a line over there through the master, for its effect only.
    fn do_quietly(&self, line: &str) {
        let mut argv = self.argv().into_iter();
        let Some(program) = argv.next() else { return };
        let command =
            Command::write(program).args(argv).args(["-T", "--"]).arg(self.profile.openssh_destination()).arg(line);
        let _ = Local::new().run(&command.timeout(Duration::from_secs(15)));
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        if self.socket().symlink_metadata().is_err() {
            return;
        }
        // By the socket alone: what the profile names may be gone by now.
        let exit = Command::write("ssh")
            .args(["-F", "/dev/null"])
            .args(self.control("no"))
            .args(["-O", "exit", "--", "master"]);
        let _ = Local::new().run(&exit.timeout(Duration::from_secs(10)));
    }
}

/// Shows on the terminal what ssh says during a login with questions ("Permission denied, please try again").
struct Echo {
    from: File,
    to: File,
}

impl Echo {
    fn of(said: &Path) -> Option<Echo> {
        let to = File::options().write(true).open("/dev/tty").ok()?;
        Some(Echo { from: File::open(said).ok()?, to })
    }

    fn go_on(&mut self) {
        let mut text = Vec::new();
        if (&self.from).take(64 * 1024).read_to_end(&mut text).is_ok() {
            let _ = self.to.write_all(&text);
        }
    }
}

/// Makes a directory (mode 0700) whose path is short enough for a socket in it.
fn socket_dir() -> std::io::Result<tempfile::TempDir> {
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|p| p.is_absolute());
    let short = |dir: &PathBuf| dir.as_os_str().len() <= SOCKET_DIR_LIMIT && dir.is_dir();
    let base = [runtime, Some(std::env::temp_dir())].into_iter().flatten().find(short);
    tempfile::Builder::new().prefix("ovz2lxc-").tempdir_in(base.unwrap_or_else(|| "/tmp".into()))
}

impl Host for OpenSsh {
    fn label(&self) -> &str {
        &self.label
    }

    fn run(&self, command: &Command) -> Result<Output> {
        run_to_end(self.spawn(command)?, command, &self.label)
    }

    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        let wrapped = wrap(command)?;
        let mut argv = self.master.argv().into_iter();
        let program = argv.next().unwrap_or_else(|| "ssh".into());
        let mut client = Command::read(program).args(argv).args(["-T", "--"]).arg(self.profile.openssh_destination());
        client = client.arg(wrapped.line);
        client = match command.input() {
            Stdin::Null => client,
            Stdin::Bytes(bytes) => client.stdin(bytes.clone()),
            Stdin::Pipe => client.pipe_stdin(),
        };
        let child = start(&client).doing(|| format!("starting the ssh client for {}", self.label))?;
        let ear = Arc::new(Mutex::new(Ear::for_nonce(&wrapped.nonce)));
        let (heard, master) = (Arc::clone(&ear), Arc::clone(&self.master));
        let kill_first = move |client: &Group| {
            // Output may be here before the number of its process: without it nothing over there would be killed.
            let deadline = Instant::now() + PID_LIMIT;
            let pid = loop {
                let pid = heard.lock().unwrap_or_else(PoisonError::into_inner).pid();
                if pid.is_some() || client.has_exited() || Instant::now() > deadline {
                    break pid;
                }
                std::thread::sleep(Duration::from_millis(10));
            };
            if let Some(pid) = pid {
                master.do_quietly(&kill_line(pid));
            }
        };
        let setting = Setting {
            command: command.clone(),
            host: self.label.clone(),
            ear: Arc::clone(&ear),
            kill_first: Some(Box::new(kill_first)),
        };
        let running = Running::over(child, setting)?;
        Ok(Box::new(Remote { running, ear, command: command.clone(), profile: self.profile.clone() }))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        remote_file::read(self, path, limit)
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        Some(RemoteShell { argv: self.master.argv(), destination: self.profile.rsync_destination() })
    }

    /// A connection of its own when that needs no question; otherwise one that shares this login.
    fn another(&self) -> Result<Box<dyn Host>> {
        match OpenSsh::connect(self.profile.clone(), false) {
            Ok(host) => Ok(Box::new(host)),
            Err(why) => {
                tracing::debug!("{}: parallel work shares one connection: {why:?}", self.label);
                Ok(Box::new(self.clone()))
            }
        }
    }
}

struct Remote {
    running: Running,
    ear: Arc<Mutex<Ear>>,
    command: Command,
    profile: SshProfile,
}

impl Process for Remote {
    fn take_stdout(&mut self) -> Option<Box<dyn Read + Send>> {
        self.running.take_stdout()
    }

    fn take_stdin(&mut self) -> Option<Box<dyn Write + Send>> {
        self.running.take_stdin()
    }

    fn wait(mut self: Box<Self>) -> Result<Output> {
        let output = self.running.finish()?;
        let (ending, begun) = {
            let ear = self.ear.lock().unwrap_or_else(PoisonError::into_inner);
            (ear.ending(), ear.pid().is_some())
        };
        match ending {
            Ending::Status(status) => Ok(Output { status, ..output }),
            Ending::Missing => Err(missing(&self.command, &self.profile.label())),
            Ending::Untold if self.running.was_killed() => Ok(Output { status: 128 + 15, ..output }),
            Ending::Untold => {
                let said = String::from_utf8_lossy(&output.stderr);
                let why = match understand(&said) {
                    // The login is gone, and a new one is not to be had now.
                    Some(Failure::Name | Failure::Refused | Failure::Unreachable | Failure::Closed) if !begun => {
                        Error::new(LOST).because(classify(&said, &self.profile))
                    }
                    Some(_) if !begun => classify(&said, &self.profile),
                    _ => Error::new(LOST).because(Error::new(output.stderr_tail())),
                };
                Err(Error::new(format!("running on {}: {}", self.profile.label(), self.command)).because(why))
            }
        }
    }

    fn kill(&mut self) {
        self.running.kill();
    }
}
