//! A directory of this host's own file system.

use super::mounts::read_mounts;
use super::{OpenVolume, Storage, guard, place};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::facts::StorageFacts;
use crate::model::volume::VolumePlan;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// File systems without Unix owners and modes: a system's tree cannot live there.
const UNFIT: [&str; 5] = ["vfat", "exfat", "ntfs", "ntfs3", "iso9660"];

/// Directories, opened in place.
pub struct Dir {
    host: Arc<dyn Host>,
}

impl Dir {
    /// Makes the adapter for directories on this host.
    pub fn new(host: Arc<dyn Host>) -> Dir {
        Dir { host }
    }

    fn refuse_in_use(&self, path: &Path) -> Result<()> {
        let mounts = read_mounts(self.host.as_ref())?;
        let real = path.canonicalize()?;
        if let Some(mount) = mounts.iter().find(|m| m.point.starts_with(&real)) {
            let point = mount.point.display();
            return Err(Error::new(format!("a file system is mounted at {point}")).hint(format!("umount {point}")));
        }
        if let Some(pid) = process_rooted_at(&real)? {
            return Err(Error::new(format!("process {pid} runs in it")).hint("stop the container first"));
        }
        Ok(())
    }
}

impl Storage for Dir {
    fn inspect(&self, plan: &VolumePlan) -> Result<StorageFacts> {
        let (mut facts, mount) = place::inspect(self.host.as_ref(), plan, &["mkdir", "rm", "chattr"])?;
        let Some(mount) = mount.filter(|_| facts.trouble.is_none()) else { return Ok(facts) };
        // LXC binds the directory, and a bind mount keeps these options: no program, or no sudo, would work inside.
        facts.trouble = match ["noexec", "nosuid"].into_iter().find(|o| mount.has(o)) {
            Some(option) => Some(format!("{} is mounted {option}", mount.point.display())),
            None if UNFIT.contains(&mount.fs.as_str()) => Some(format!("{} has no owners and modes", mount.fs)),
            None => None,
        };
        Ok(facts)
    }

    fn create_commands(&self, plan: &VolumePlan) -> Vec<Command> {
        let make = Command::write("mkdir").args(["-m", "0755"]).arg(&plan.path);
        place::parent_command(plan).into_iter().chain([make]).collect()
    }

    fn create(&self, plan: &VolumePlan) -> Result<()> {
        place::check_path(&plan.path)?;
        let made_parent = place::parent_command(plan).is_some();
        // mkdir without -p fails when the name is taken, whatever has it.
        let made = self.create_commands(plan).iter().try_for_each(|command| self.host.run_ok(command).map(|_| ()));
        if made.is_err() && made_parent {
            place::remove_parent(plan)?;
        }
        made.doing(|| format!("creating directory {}", plan.path.display()))
    }

    fn open(&self, plan: &VolumePlan, _mount_point: &Path) -> Result<Box<dyn OpenVolume>> {
        place::check_path(&plan.path)?;
        directory(&plan.path).doing(|| format!("opening directory {}", plan.path.display()))?;
        guard::open_in_place(&plan.path)
    }

    fn destroy(&self, plan: &VolumePlan) -> Result<()> {
        let what = || format!("removing directory {}", plan.path.display());
        place::check_path(&plan.path)?;
        if !place::taken(&plan.path) {
            return place::remove_parent(plan);
        }
        directory(&plan.path).doing(what)?;
        self.refuse_in_use(&plan.path).doing(what)?;
        let remove = Command::write("rm")
            .args(["-rf", "--one-file-system", "--preserve-root", "--"])
            .arg(&plan.path)
            .timeout(Duration::from_secs(3600));
        if self.host.run(&remove)?.status != 0 {
            // A tenant's chattr +i or +a stops rm; chattr -R follows no links.
            let plain = Command::write("chattr").args(["-R", "-f", "-i", "-a", "--"]).arg(&plan.path);
            self.host.run(&plain)?;
            self.host.run_ok(&remove).doing(what)?;
        }
        place::remove_parent(plan)
    }

    fn activate(&self, _plan: &VolumePlan) -> Result<()> {
        Ok(())
    }

    fn unmount_stale(&self, _mount_point: &Path) -> Result<bool> {
        Ok(false) // a directory is opened in place
    }

    fn deactivate(&self, _plan: &VolumePlan) -> Result<()> {
        Ok(())
    }
}

fn directory(path: &Path) -> Result<()> {
    if path.symlink_metadata()?.is_dir() { Ok(()) } else { Err(Error::new("not a directory")) }
}

/// Finds a process whose root is this directory, as that of a container is, in whatever mount namespace.
fn process_rooted_at(path: &Path) -> Result<Option<u32>> {
    let wanted = path.metadata()?;
    for entry in std::fs::read_dir("/proc").doing(|| "listing processes")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse().ok()) else { continue };
        // It may have ended since; the link itself leads to the root in the process's own mount namespace.
        let Ok(root) = std::fs::metadata(entry.path().join("root")) else { continue };
        if (root.dev(), root.ino()) == (wanted.dev(), wanted.ino()) {
            return Ok(Some(pid));
        }
    }
    Ok(None)
}
