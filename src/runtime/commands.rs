//! The commands of LXC, as data.

use crate::host::Command;
use std::path::Path;
use std::time::Duration;

/// A question to LXC is answered at once; the monitor may be stuck, though.
const QUESTION: Duration = Duration::from_secs(30);
/// `lxc-start -d` returns when the init runs. Mounting a volume whose journal must be replayed takes a while.
const START: Duration = Duration::from_secs(300);

/// A question that has an answer at once.
pub(super) fn question(program: &str) -> Command {
    Command::read(program).timeout(QUESTION)
}

fn on(command: Command, path: &Path, name: &str) -> Command {
    command.arg("-P").arg(path).arg("-n").arg(name).timeout(QUESTION)
}

pub(super) fn start(path: &Path, name: &str, config: &Path, log: &Path) -> Command {
    let command = on(Command::write("lxc-start"), path, name).timeout(START);
    command.arg("-d").arg("-f").arg(config).arg("-l").arg("INFO").arg("-o").arg(log)
}

/// Requests a shutdown and returns at once, so that the waiting is ours: it ends in time, and we know whether the
/// container shut down or had to be killed (`lxc-stop -t` does not tell).
pub(super) fn request_stop(path: &Path, name: &str) -> Command {
    on(Command::write("lxc-stop"), path, name).arg("-W")
}

pub(super) fn kill(path: &Path, name: &str) -> Command {
    on(Command::write("lxc-stop"), path, name).arg("-k")
}

pub(super) fn unfreeze(path: &Path, name: &str) -> Command {
    on(Command::write("lxc-unfreeze"), path, name)
}

pub(super) fn state(path: &Path, name: &str) -> Command {
    on(Command::read("lxc-info"), path, name).arg("-s").arg("-H")
}

pub(super) fn addresses(path: &Path, name: &str) -> Command {
    on(Command::read("lxc-info"), path, name).arg("-i").arg("-H")
}

pub(super) fn init_pid(path: &Path, name: &str) -> Command {
    on(Command::read("lxc-info"), path, name).arg("-p").arg("-H")
}

/// Asks for a program on the search path, without running it.
pub(super) fn has(program: &str) -> Command {
    let script = "command -v \"$1\" >/dev/null 2>&1";
    Command::read("sh").args(["-c", script, "sh", program]).timeout(QUESTION)
}
