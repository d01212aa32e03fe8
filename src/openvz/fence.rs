//! What a migration changes on the source, all of it reversible: stop, start, and keeping it from starting again.

use super::node::Node;
use super::parse::own_flags;
use super::vzctl;
use crate::error::{Doing, Error, Result};
use crate::host::Command;
use crate::model::container::{Origin, Status};
use crate::model::ctid::Ctid;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long vzctl may take to kill and unmount, after the container had its time to shut down.
const AFTER_STOP: Duration = Duration::from_secs(180);
/// How long a start may take, mounting and quota included.
const START: Duration = Duration::from_secs(600);
/// How long a change of the configuration may take.
const SET: Duration = Duration::from_secs(120);

/// What ONBOOT and DISABLED of the container's own file were before it was fenced; goes into the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fenced {
    /// ONBOOT; `None` when it was not set, which means "start if it ran before".
    pub onboot: Option<bool>,
    /// DISABLED; `None` when it was not set.
    pub disabled: Option<bool>,
    /// The configuration file, links resolved.
    pub config: PathBuf,
}

fn word(on: bool) -> &'static str {
    if on { "yes" } else { "no" }
}

impl Node {
    /// The command behind [`Node::stop`].
    pub fn stop_command(&self, ctid: &Ctid) -> Command {
        self.vzctl_write("stop", ctid)
    }

    /// The command behind [`Node::stop_mounted`].
    pub fn stop_mounted_command(&self, ctid: &Ctid) -> Command {
        self.stop_command(ctid).arg("--skip-umount")
    }

    /// Stops a container and checks that it is down. vzctl gives it STOP_TIMEOUT (120 s) and then kills it; `timeout` is
    /// how long the caller expects that to take. One that does not run stays as it is.
    pub fn stop(&self, ctid: &Ctid, timeout: Duration) -> Result<()> {
        self.stop_with(ctid, self.stop_command(ctid), timeout, |status| {
            matches!(status, Status::Stopped | Status::Mounted)
        })
    }

    /// Stops a container but leaves its file system mounted, so that the tree in a ploop image can be read. Where a vzctl
    /// unmounts all the same, it is mounted again.
    pub fn stop_mounted(&self, ctid: &Ctid, timeout: Duration) -> Result<()> {
        self.stop_with(ctid, self.stop_mounted_command(ctid), timeout, |status| {
            matches!(status, Status::Stopped | Status::Mounted)
        })?;
        if self.status(ctid)? == Status::Mounted { Ok(()) } else { self.mount(ctid) }
    }

    /// The command behind [`Node::mount`].
    pub fn mount_command(&self, ctid: &Ctid) -> Command {
        self.vzctl_write("mount", ctid)
    }

    /// Mounts the file system of a container that does not run, and checks that it is there; one that is mounted stays so.
    pub fn mount(&self, ctid: &Ctid) -> Result<()> {
        let doing = format!("mounting container {ctid} on {}", self.host().label());
        self.change(&self.mount_command(ctid).timeout(START), &doing)?;
        match self.status(ctid).doing(|| doing.clone())? {
            Status::Mounted | Status::Running => Ok(()),
            status => Err(Error::new(doing)
                .because(Error::new(format!("vzctl mount succeeded, but the container is {}", said(status))))
                .hint(format!("look at it on the node: vzctl mount {ctid}; vzctl status {ctid}"))),
        }
    }

    fn stop_with(&self, ctid: &Ctid, command: Command, timeout: Duration, good: fn(Status) -> bool) -> Result<()> {
        let doing = format!("stopping container {ctid} on {}", self.host().label());
        self.change(&command.timeout(timeout.saturating_add(AFTER_STOP)), &doing)?;
        // vzctl says 0 as well when the container did not run, so that only its state tells.
        let status = self.status(ctid).doing(|| doing.clone())?;
        if good(status) {
            return Ok(());
        }
        Err(Error::new(doing)
            .because(Error::new(format!("vzctl stop succeeded, but the container is {}", said(status))))
            .hint(format!("look at it on the node: vzctl status {ctid}")))
    }

    /// Unmounts the file system of a container that does not run; one that is not mounted stays as it is.
    pub fn unmount(&self, ctid: &Ctid) -> Result<()> {
        const NOT_MOUNTED: i32 = 40;
        let doing = format!("unmounting container {ctid} on {}", self.host().label());
        let command = self.unmount_command(ctid).timeout(AFTER_STOP);
        let output = self.host().run(&command).doing(|| doing.clone())?;
        if output.status == NOT_MOUNTED { Ok(()) } else { vzctl::ok(&output, &doing) }
    }

    /// The command behind [`Node::unmount`].
    pub fn unmount_command(&self, ctid: &Ctid) -> Command {
        self.vzctl_write("umount", ctid)
    }

    /// The command behind [`Node::start`].
    pub fn start_command(&self, ctid: &Ctid) -> Command {
        self.vzctl_write("start", ctid)
    }

    /// Starts a container and checks that it runs; one that runs already stays as it is. While another vzctl holds the
    /// container's lock it waits, for as long as a stop may take. Beware of a dump file: vzctl would
    /// restore from it ([`crate::model::container::SourceContainer::dump`]).
    pub fn start(&self, ctid: &Ctid) -> Result<()> {
        const ALREADY_RUNNING: i32 = 32;
        const LOCKED: i32 = 9;
        let doing = format!("starting container {ctid} on {}", self.host().label());
        let command = self.start_command(ctid).timeout(START);
        let mut output = self.host().run(&command).doing(|| doing.clone())?;
        let deadline = Instant::now() + self.patience();
        while output.status == LOCKED && Instant::now() < deadline {
            // Another vzctl is at work: a stop whose connection was lost goes on over there.
            std::thread::sleep(Duration::from_secs(2));
            output = self.host().run(&command).doing(|| doing.clone())?;
        }
        if output.status != ALREADY_RUNNING {
            vzctl::ok(&output, &doing)?;
        }
        match self.status(ctid).doing(|| doing.clone())? {
            Status::Running => Ok(()),
            status => Err(Error::new(doing)
                .because(Error::new(format!("vzctl start succeeded, but the container is {}", said(status))))
                .hint(format!("look at it on the node: vzctl start {ctid}; vzctl status {ctid}"))),
        }
    }

    /// The command behind [`Node::fence`].
    pub fn fence_command(&self, ctid: &Ctid) -> Command {
        self.vzctl_write("set", ctid).args(["--onboot", "no", "--disabled", "yes", "--save"])
    }

    /// Returns what [`Node::fence`] would remember, without changing anything.
    pub fn fence_state(&self, ctid: &Ctid) -> Result<Fenced> {
        let config = self.config(ctid)?;
        // The container's own file, not the merged configuration: what vz.conf says is not ours to write into it.
        let (onboot, disabled) = own_flags(&config.bytes, ctid);
        Ok(Fenced { onboot, disabled, config: config.path })
    }

    /// Keeps a container from being started again: ONBOOT=no, DISABLED=yes. Checks the file, and returns what both were.
    pub fn fence(&self, ctid: &Ctid) -> Result<Fenced> {
        let doing = format!("fencing container {ctid} on {}", self.host().label());
        let before = self.fence_state(ctid).doing(|| doing.clone())?;
        self.change(&self.fence_command(ctid).timeout(SET), &doing)?;
        self.expect_flags(ctid, &doing, (Some(false), Some(true)))?;
        Ok(before)
    }

    /// The commands behind [`Node::unfence`]. vzctl cannot unset a parameter, so that one which was not set before loses its
    /// line; `sed -i` replaces the file as vzctl itself does, and keeps its mode and owner.
    pub fn unfence_commands(&self, ctid: &Ctid, before: &Fenced) -> Vec<Command> {
        let mut out = Vec::new();
        let mut set = self.vzctl_write("set", ctid);
        let mut unset = Command::write("sed").arg("-i");
        let (mut sets, mut unsets) = (false, false);
        for (option, key, value) in [("--onboot", "ONBOOT", before.onboot), ("--disabled", "DISABLED", before.disabled)]
        {
            if let Some(on) = value {
                set = set.args([option, word(on)]);
                sets = true;
            } else {
                unset = unset.args(["-e", &format!("/^[[:space:]]*{key}=/d")]);
                unsets = true;
            }
        }
        if sets {
            out.push(set.arg("--save"));
        }
        if unsets {
            out.push(unset.arg("--").arg(&before.config));
        }
        out
    }

    /// Puts back exactly what ONBOOT and DISABLED were before [`Node::fence`], and checks the file.
    pub fn unfence(&self, ctid: &Ctid, before: &Fenced) -> Result<()> {
        let doing = format!("taking the fence off container {ctid} on {}", self.host().label());
        for command in self.unfence_commands(ctid, before) {
            let command = command.timeout(SET);
            if command.argv().first().is_some_and(|program| program == "sed") {
                self.host().run_ok(&command).doing(|| doing.clone())?;
            } else {
                self.change(&command, &doing)?;
            }
        }
        self.expect_flags(ctid, &doing, (before.onboot, before.disabled))
    }

    /// Runs a vzctl command that changes something.
    fn change(&self, command: &Command, doing: &str) -> Result<()> {
        if self.origin() != Origin::Node {
            return Err(Error::new(doing.to_owned()).because(Error::new("there is no vzctl on what is left of a node")));
        }
        let output = self.host().run(command).doing(|| doing.to_owned())?;
        vzctl::ok(&output, doing)
    }

    fn expect_flags(&self, ctid: &Ctid, doing: &str, want: (Option<bool>, Option<bool>)) -> Result<()> {
        let after = self.fence_state(ctid).doing(|| doing.to_owned())?;
        if (after.onboot, after.disabled) == want {
            return Ok(());
        }
        let show = |flag: Option<bool>| flag.map_or("not set", word);
        let (got, path) = ((after.onboot, after.disabled), after.config.display().to_string());
        Err(Error::new(doing.to_owned())
            .because(Error::new(format!(
                "{path} says ONBOOT {} and DISABLED {}, expected {} and {}",
                show(got.0),
                show(got.1),
                show(want.0),
                show(want.1)
            )))
            .hint(format!("correct both in {path} on {}", self.host().label())))
    }
}

fn said(status: Status) -> &'static str {
    match status {
        Status::Running => "running",
        Status::Stopped => "stopped",
        Status::Mounted => "stopped and mounted",
        Status::Suspended => "suspended",
    }
}
