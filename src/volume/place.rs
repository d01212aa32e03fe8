//! The directory that an image or a directory volume lies in.

use super::mounts::{Mount, mount_of, read_mounts};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::facts::StorageFacts;
use crate::model::size::Bytes;
use crate::model::volume::VolumePlan;
use rustix::fs::StatVfsMountFlags;
use std::path::{Component, Path};

/// Refuses a path that is not absolute or that goes up.
pub(crate) fn check_path(path: &Path) -> Result<()> {
    let plain = path.components().all(|c| matches!(c, Component::RootDir | Component::Normal(_)));
    if path.is_absolute() && plain && path.file_name().is_some() {
        return Ok(());
    }
    let shown = path.display().to_string();
    Err(Error::usage(format!("\"{}\" is not an absolute path without \"..\"", shown.escape_debug())))
}

/// Tells whether something, of whatever kind, has this name already. A dangling link counts.
pub(crate) fn taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Returns the container's own directory, when the volume lies in it. Only that one is made and removed with the volume;
/// a directory that the operator named has to exist, or a typing error would fill the wrong file system.
fn own_parent(plan: &VolumePlan) -> Option<&Path> {
    plan.path.parent().filter(|p| p.file_name() == Some(plan.name.as_ref()))
}

/// Returns the command that makes the container's own directory, when it is missing.
pub(crate) fn parent_command(plan: &VolumePlan) -> Option<Command> {
    // 0770 as lxc-create makes it: set-user-id programs of a container must not be within reach of this host's users.
    own_parent(plan).filter(|p| !taken(p)).map(|p| Command::write("mkdir").args(["-m", "0770"]).arg(p))
}

/// Removes the container's own directory when nothing else is in it.
pub(crate) fn remove_parent(plan: &VolumePlan) -> Result<()> {
    let Some(parent) = own_parent(plan) else { return Ok(()) };
    match std::fs::remove_dir(parent) {
        Err(e) if !matches!(e.raw_os_error(), Some(code) if [NOT_EMPTY, NOT_THERE].contains(&code)) => {
            Err(e).doing(|| format!("removing {}", parent.display()))
        }
        _ => Ok(()),
    }
}

const NOT_EMPTY: i32 = rustix::io::Errno::NOTEMPTY.raw_os_error();
const NOT_THERE: i32 = rustix::io::Errno::NOENT.raw_os_error();

/// Looks at the place of an image or directory volume.
pub(crate) fn inspect(host: &dyn Host, plan: &VolumePlan, programs: &[&str]) -> Result<(StorageFacts, Option<Mount>)> {
    check_path(&plan.path)?;
    let above = plan.path.parent().unwrap_or(Path::new("/"));
    let dir = own_parent(plan).filter(|p| !taken(p)).and_then(Path::parent).unwrap_or(above);
    let mut facts = StorageFacts {
        free: None,
        free_inodes: None,
        exists: taken(&plan.path),
        place: dir.display().to_string(),
        trouble: missing_programs(host, programs)?,
        shared: false,
    };
    if !dir.is_dir() {
        facts.trouble = Some(format!("{} is not an existing directory", dir.display()));
        return Ok((facts, None));
    }
    let real = dir.canonicalize().doing(|| format!("looking at {}", dir.display()))?;
    let stat = rustix::fs::statvfs(&real).doing(|| format!("asking for the free space of {}", dir.display()))?;
    facts.free = Some(Bytes(stat.f_bavail.saturating_mul(stat.f_frsize)));
    // btrfs and others without a fixed number of inodes say 0 of 0.
    facts.free_inodes = (stat.f_files > 0).then_some(stat.f_favail);
    let mount = mount_of(&read_mounts(host)?, &real).cloned();
    if let Some(mount) = &mount {
        facts.place = format!("{} on {}", dir.display(), mount.fs);
    }
    if stat.f_flag.contains(StatVfsMountFlags::RDONLY) {
        facts.trouble = Some(format!("{} is mounted read-only", dir.display()));
    }
    Ok((facts, mount))
}

/// Says which of these programs are not installed.
pub(crate) fn missing_programs(host: &dyn Host, programs: &[&str]) -> Result<Option<String>> {
    let script = "for p; do command -v -- \"$p\" >/dev/null || echo \"$p\"; done";
    let command = Command::read("sh").args(["-c", script, "sh"]).args(programs);
    let missing = host.run_ok(&command)?.text().split_whitespace().collect::<Vec<_>>().join(", ");
    Ok((!missing.is_empty()).then(|| format!("not installed: {missing}")))
}
