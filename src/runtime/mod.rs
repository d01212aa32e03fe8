//! The LXC on this host: what is there, and the life of one container.
//!
//! LXC's command socket is named after the LXC path, byte for byte. Every `lxc-*` call here therefore carries the very
//! same absolute `-P`, or LXC would call a running container stopped.

mod commands;
mod health;
mod inspect;
mod log;
mod state;
mod taken;
mod uplink;

#[cfg(test)]
mod tests;

pub use health::{HealthCheck, HealthReport};
pub use state::{State, StopKind};

use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use crate::lxc::{parse_config, value_of};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a killed container may take to be gone: its memory and its mounts have to be torn down.
const GONE_AFTER_KILL: Duration = Duration::from_secs(20);
/// LXC (to 5.0.2) asks for a free loop device and then takes it. When somebody was faster, a second migration or mount, it
/// says this and gives up.
const LOOP_TAKEN: &str = "Device or resource busy - Failed to set loop fd";
/// How often a start is tried that fails so.
const LOOP_ATTEMPTS: u32 = 10;
/// A configuration that is larger is not one.
const CONFIG_LIMIT: u64 = 1 << 20;

/// LXC on one host, which is this one.
pub struct Lxc {
    host: Arc<dyn Host>,
    path: PathBuf,
    log_dir: PathBuf,
    poll: Duration,
}

impl Lxc {
    /// Makes it for an LXC path and a directory for the logs of starts. Both are absolute; a final `/` or `.` in the LXC
    /// path is taken off, so that equal paths give equal `-P` arguments.
    pub fn new(host: Arc<dyn Host>, lxc_path: &Path, log_dir: &Path) -> Result<Lxc> {
        for (what, path) in [("LXC path", lxc_path), ("log directory", log_dir)] {
            if !path.is_absolute() || path.components().any(|c| c == Component::ParentDir) {
                return Err(Error::usage(format!(
                    "{what} {} is not absolute",
                    path.display().to_string().escape_debug()
                )));
            }
        }
        let path = lxc_path.components().collect();
        Ok(Lxc { host, path, log_dir: log_dir.to_owned(), poll: Duration::from_millis(250) })
    }

    /// Changes how often a waiting looks again; 250 ms otherwise.
    #[must_use]
    pub fn poll_every(mut self, interval: Duration) -> Lxc {
        self.poll = interval;
        self
    }

    /// Returns the LXC path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns where the configuration of a container is.
    pub fn config_path(&self, name: &str) -> PathBuf {
        self.path.join(name).join("config")
    }

    /// Returns where the log of a container's start is.
    pub fn log_path(&self, name: &str) -> PathBuf {
        self.log_dir.join(format!("{name}.lxc.log"))
    }

    /// Returns the command that starts a container, for a dry run and for [`Lxc::start`].
    pub fn start_command(&self, name: &str, config: &Path) -> Command {
        commands::start(&self.path, name, config, &self.log_path(name))
    }

    /// Returns the commands that stop a container: the request, and the kill when the time is up.
    pub fn stop_commands(&self, name: &str) -> [Command; 2] {
        [commands::request_stop(&self.path, name), commands::kill(&self.path, name)]
    }

    /// Starts a container in the background and returns when its init runs. Fails when it runs already, and with the
    /// errors of LXC's log when it does not start.
    pub fn start(&self, name: &str, config: &Path) -> Result<()> {
        let doing = || format!("starting container {name}");
        if self.state(name)? == State::Running {
            return Err(Error::new("it is running already")).doing(doing);
        }
        let log = self.log_path(name);
        self.run_ok(&Command::write("mkdir").arg("-p").arg(&self.log_dir)).doing(doing)?;
        for left in (0..LOOP_ATTEMPTS).rev() {
            // LXC appends; the errors of an earlier start would be told as this one's.
            self.run_ok(&Command::write("rm").arg("-f").arg("--").arg(&log)).doing(doing)?;
            let output = self.host.run(&self.start_command(name, config)).doing(doing)?;
            if output.status == 0 {
                break;
            }
            let text = self.tail(&log, 65536).unwrap_or_default();
            if left == 0 || !text.contains(LOOP_TAKEN) {
                return Err(log::start_error(&text, &output, &log)).doing(doing);
            }
            std::thread::sleep(self.poll);
        }
        Ok(())
    }

    /// Asks a container to shut down, waits, and kills it when `timeout` is over. Returns how it ended; a container that
    /// is stopped or absent is a clean stop. Never waits longer than `timeout` and the time that a kill takes.
    pub fn stop(&self, name: &str, timeout: Duration) -> Result<StopKind> {
        let doing = || format!("stopping container {name}");
        match self.state(name).doing(doing)? {
            State::Stopped | State::Absent => return Ok(StopKind::Clean),
            // Nobody in a frozen container hears a signal.
            State::Frozen | State::Freezing => {
                self.run_ok(&commands::unfreeze(&self.path, name)).doing(doing)?;
            }
            _ => (),
        }
        // Its status says little: it fails when the container stopped in between. The state is what counts.
        self.host.run(&commands::request_stop(&self.path, name)).doing(doing)?;
        if self.wait_stopped(name, timeout).doing(doing)? {
            return Ok(StopKind::Clean);
        }
        self.kill(name)?;
        Ok(StopKind::Killed)
    }

    /// Kills a container and returns when it is gone. Absent or stopped is fine.
    pub fn kill(&self, name: &str) -> Result<()> {
        let doing = || format!("killing container {name}");
        let output = self.host.run(&commands::kill(&self.path, name)).doing(doing)?;
        if self.wait_stopped(name, GONE_AFTER_KILL).doing(doing)? {
            return Ok(());
        }
        let said =
            Error::new(format!("it still exists after {} s; {}", GONE_AFTER_KILL.as_secs(), output.stderr_tail()));
        Err(said.hint("a process in uninterruptible sleep cannot be killed: look for state D in ps")).doing(doing)
    }

    /// Returns the state of a container.
    pub fn state(&self, name: &str) -> Result<State> {
        let command = commands::state(&self.path, name);
        let output = self.host.run(&command)?;
        let said = format!("{}{}", output.text(), String::from_utf8_lossy(&output.stderr));
        if output.status != 0 && said.contains("doesn't exist") {
            return Ok(State::Absent);
        }
        let output = output.ok(&command, self.host.label())?;
        Ok(State::parse(&output.text()))
    }

    /// Returns the addresses that are up inside a container, loopback and link-local left out. LXC looks at them from
    /// within the container's network namespace; nothing of the guest is executed.
    pub fn addresses(&self, name: &str) -> Result<Vec<IpAddr>> {
        let output = self.run_ok(&commands::addresses(&self.path, name))?;
        Ok(output.text().lines().filter_map(|l| l.trim().parse().ok()).collect())
    }

    /// Returns the process id of the container's init on this host; `None` when it does not run.
    pub fn init_pid(&self, name: &str) -> Result<Option<u32>> {
        let output = self.run_ok(&commands::init_pid(&self.path, name))?;
        // Older versions print -1 for a stopped container, and a label in spite of -H.
        Ok(output.text().split_whitespace().last().and_then(|t| t.parse().ok()).filter(|pid| *pid > 0))
    }

    /// Returns the last lines that the container wrote to its console, control characters escaped; `None` when its
    /// configuration names no console log or nothing was written.
    pub fn console_tail(&self, name: &str) -> Result<Option<Vec<String>>> {
        let doing = || format!("reading the console log of container {name}");
        let Some(config) = self.host.read_file(&self.config_path(name), CONFIG_LIMIT).doing(doing)? else {
            return Ok(None);
        };
        let pairs = parse_config(&String::from_utf8_lossy(&config)).doing(doing)?;
        let Some(path) = value_of(&pairs, "lxc.console.logfile").filter(|p| p.starts_with('/')) else {
            return Ok(None);
        };
        let text = self.tail(Path::new(path), 4096).unwrap_or_default();
        let lines = log::plain_lines(&text, 20);
        Ok(if lines.is_empty() { None } else { Some(lines) })
    }

    fn wait_stopped(&self, name: &str, timeout: Duration) -> Result<bool> {
        let begun = Instant::now();
        loop {
            if matches!(self.state(name)?, State::Stopped | State::Absent) {
                return Ok(true);
            }
            let left = timeout.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Ok(false);
            }
            std::thread::sleep(self.poll.min(left));
        }
    }

    fn run_ok(&self, command: &Command) -> Result<Output> {
        self.host.run_ok(command)
    }

    /// Reads the end of a file that may be large. The file may be missing.
    fn tail(&self, path: &Path, bytes: u32) -> Result<String> {
        let command = Command::read("tail").arg("-c").arg(bytes.to_string()).arg("--").arg(path);
        Ok(self.run_ok(&command.timeout(Duration::from_secs(10)))?.text())
    }
}
