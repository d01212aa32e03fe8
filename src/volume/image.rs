//! A sparse file with a file system, mounted through a loop device.

use super::guard::{self, Source};
use super::{OpenVolume, Storage, mkfs, place};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::facts::StorageFacts;
use crate::model::volume::{FileSystem, VolumePlan};
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;

/// Image files. The file is readable by root only: it holds a whole system with its secrets.
pub struct Image {
    host: Arc<dyn Host>,
}

impl Image {
    /// Makes the adapter for images on this host.
    pub fn new(host: Arc<dyn Host>) -> Image {
        Image { host }
    }

    /// Returns the loop devices that the file is attached to, as `major:minor`. A running container has one, in
    /// whatever mount namespace it is mounted.
    fn loops(&self, file: &Path) -> Result<Vec<String>> {
        let command = Command::read("losetup").args(["--list", "--noheadings", "--output", "MAJ:MIN", "-j"]).arg(file);
        let text = self.host.run_ok(&command)?.text();
        Ok(text.split_whitespace().map(str::to_owned).collect())
    }

    fn loops_after_a_while(&self, looks: u32, file: &Path) -> Result<(Vec<String>, bool)> {
        guard::look_patiently(looks, || self.loops(file), |devices| !devices.is_empty())
    }

    fn fill(&self, plan: &VolumePlan) -> Result<()> {
        file_commands(plan).iter().try_for_each(|command| self.host.run_ok(command).map(|_| ()))
    }
}

/// What is done to the empty file. The size is set before mkfs, which takes it from the file.
fn file_commands(plan: &VolumePlan) -> Vec<Command> {
    let size = Command::write("truncate").args(["-s", &plan.size.0.to_string()]).arg(&plan.path);
    vec![size, mkfs::command(plan.fs, plan.size, plan.inodes, &plan.path)]
}

impl Storage for Image {
    fn inspect(&self, plan: &VolumePlan) -> Result<StorageFacts> {
        let programs = [mkfs::program(plan.fs), "truncate", "losetup", "mount", "umount"];
        let (mut facts, _) = place::inspect(self.host.as_ref(), plan, &programs)?;
        facts.free_inodes = None;
        if plan.fs == FileSystem::Xfs && plan.size.0 < mkfs::XFS_MINIMUM && facts.trouble.is_none() {
            facts.trouble = Some(format!("XFS needs at least 300 MiB, the volume would have {}", plan.size));
        }
        Ok(facts)
    }

    fn create_commands(&self, plan: &VolumePlan) -> Vec<Command> {
        place::parent_command(plan).into_iter().chain(file_commands(plan)).collect()
    }

    fn create(&self, plan: &VolumePlan) -> Result<()> {
        let what = || format!("creating image {}", plan.path.display());
        place::check_path(&plan.path)?;
        let parent = place::parent_command(plan);
        if let Some(mkdir) = &parent {
            self.host.run_ok(mkdir).doing(what)?;
        }
        // O_EXCL: an existing file, or a link to one, is never written to.
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&plan.path);
        let filled = made.doing(|| "making the file").and_then(|_| {
            self.fill(plan).inspect_err(|_| {
                let _ = std::fs::remove_file(&plan.path);
            })
        });
        if filled.is_err() && parent.is_some() {
            place::remove_parent(plan)?;
        }
        filled.doing(what)
    }

    fn open(&self, plan: &VolumePlan, mount_point: &Path) -> Result<Box<dyn OpenVolume>> {
        place::check_path(&plan.path)?;
        regular(&plan.path).doing(|| format!("opening image {}", plan.path.display()))?;
        let (devices, busy) = self.loops_after_a_while(guard::BEFORE_OPENING, &plan.path)?;
        let source = Source { path: &plan.path, image: true, devices: &devices, fs: plan.fs, busy };
        guard::mount(&self.host, &source, mount_point)
    }

    fn destroy(&self, plan: &VolumePlan) -> Result<()> {
        let what = || format!("removing image {}", plan.path.display());
        place::check_path(&plan.path)?;
        if !place::taken(&plan.path) {
            return place::remove_parent(plan);
        }
        regular(&plan.path).doing(what)?;
        if self.loops_after_a_while(guard::BEFORE_REMOVING, &plan.path)?.1 {
            let why = Error::new("it is in use: a loop device is attached to it");
            return Err(why.hint(format!("stop the container, then see losetup -j {}", plan.path.display())))
                .doing(what);
        }
        std::fs::remove_file(&plan.path).doing(what)?;
        place::remove_parent(plan)
    }

    fn activate(&self, _plan: &VolumePlan) -> Result<()> {
        Ok(())
    }

    fn unmount_stale(&self, mount_point: &Path) -> Result<bool> {
        guard::unmount_stale(self.host.as_ref(), mount_point)
    }

    fn deactivate(&self, _plan: &VolumePlan) -> Result<()> {
        Ok(())
    }
}

fn regular(path: &Path) -> Result<()> {
    if path.symlink_metadata()?.is_file() { Ok(()) } else { Err(Error::new("not a regular file")) }
}
