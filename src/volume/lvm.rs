//! A logical volume, thick or thin, of this host or of a cluster.

use super::guard::{self, Source};
use super::lvm_report::{LIMIT, Volume, read_group, read_volumes};
use super::{OpenVolume, Storage, mkfs, place};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::facts::StorageFacts;
use crate::model::size::Bytes;
use crate::model::volume::{FileSystem, StorageKind, VolumePlan};
use std::path::Path;
use std::sync::Arc;

/// The tag that says who made a logical volume: one without it is never removed.
pub const TAG: &str = "ovz2lxc";

/// Logical volumes.
pub struct Lvm {
    host: Arc<dyn Host>,
}

/// The names that a plan for a logical volume has to hold.
struct Names<'a> {
    vg: &'a str,
    lv: &'a str,
    pool: Option<&'a str>,
}

impl Names<'_> {
    fn full(&self) -> String {
        format!("{}/{}", self.vg, self.lv)
    }
}

impl Lvm {
    /// Makes the adapter for logical volumes on this host.
    pub fn new(host: Arc<dyn Host>) -> Lvm {
        Lvm { host }
    }

    fn find(&self, names: &Names<'_>) -> Result<Option<Volume>> {
        let volumes = read_volumes(self.host.as_ref(), names.vg)?;
        Ok(volumes.into_iter().find(|v| v.name == names.lv))
    }

    fn existing(&self, names: &Names<'_>) -> Result<Volume> {
        self.find(names)?.ok_or_else(|| Error::new(format!("logical volume {} does not exist", names.full())))
    }

    fn ensure_active(&self, plan: &VolumePlan, names: &Names<'_>) -> Result<()> {
        // Asked for even when it is active: in a shared group this turns a shared lock into an exclusive one or fails.
        let how = if plan.shared { "-aey" } else { "-ay" };
        self.host.run_ok(&change(how, names)).map(|_| ())
    }

    fn remove(&self, names: &Names<'_>) -> Result<()> {
        let command = Command::write("lvremove").arg("-y").arg(names.full()).timeout(LIMIT);
        self.host.run_ok(&command).map(|_| ())
    }
}

fn change(how: &str, names: &Names<'_>) -> Command {
    Command::write("lvchange").arg(how).arg(names.full()).timeout(LIMIT)
}

fn names(plan: &VolumePlan) -> Result<Names<'_>> {
    let vg = plan.vg.as_deref().ok_or_else(|| {
        Error::usage(format!("no volume group for logical volume {}", plan.name)).hint("name one with --vg")
    })?;
    let pool = match (plan.kind, plan.thin_pool.as_deref()) {
        (StorageKind::LvmThin, None) => {
            let error = Error::usage(format!("no thin pool for logical volume {vg}/{}", plan.name));
            return Err(error.hint("set thin_pool in the configuration"));
        }
        (StorageKind::LvmThin, pool) => pool,
        _ => None,
    };
    for name in [Some(vg), Some(plan.name.as_str()), pool].into_iter().flatten() {
        check_name(name)?;
    }
    if plan.path != Path::new("/dev").join(vg).join(&plan.name) {
        let shown = plan.path.display().to_string();
        let shown = shown.escape_debug();
        return Err(Error::usage(format!("\"{shown}\" is not the device of logical volume {vg}/{}", plan.name)));
    }
    Ok(Names { vg, lv: &plan.name, pool })
}

/// lvm(8), "VALID NAMES". Names that LVM reserves are left to lvcreate, which says so.
fn check_name(name: &str) -> Result<()> {
    let valid = |b: u8| b.is_ascii_alphanumeric() || b"+_.-".contains(&b);
    if !name.is_empty()
        && name.len() <= 126
        && !name.starts_with('-')
        && name != "."
        && name != ".."
        && name.bytes().all(valid)
    {
        return Ok(());
    }
    Err(Error::usage(format!("\"{}\" is not a name that LVM takes", name.escape_debug()))
        .hint("letters, digits and . _ + - only, not - at the start; choose another one with --name"))
}

fn commands(plan: &VolumePlan, names: &Names<'_>) -> [Command; 2] {
    let size = format!("{}b", plan.size.0);
    let make = Command::write("lvcreate").arg("-y").args(["--addtag", TAG]).timeout(LIMIT);
    // Exclusively: with the plain -ay of a shared group another node could mount it as well.
    let make = if plan.shared { make.args(["--activate", "ey"]) } else { make };
    let make = match names.pool {
        Some(pool) => make.args(["-V", &size, "--thinpool", pool]),
        // What lay on these extents before must not look like a file system to mkfs or to the next boot.
        None => make.args(["--wipesignatures", "y", "-L", &size]),
    };
    let make = make.args(["-n", names.lv, names.vg]);
    [make, mkfs::command(plan.fs, plan.size, plan.inodes, &plan.path)]
}

impl Storage for Lvm {
    fn inspect(&self, plan: &VolumePlan) -> Result<StorageFacts> {
        let names = names(plan)?;
        let place = match names.pool {
            Some(pool) => format!("thin pool {}/{pool}", names.vg),
            None => format!("volume group {}", names.vg),
        };
        let mut facts =
            StorageFacts { free: None, free_inodes: None, exists: false, place, trouble: None, shared: false };
        let programs = ["vgs", "lvs", "lvcreate", "lvchange", "lvremove", mkfs::program(plan.fs), "mount", "umount"];
        facts.trouble = place::missing_programs(self.host.as_ref(), &programs)?;
        if facts.trouble.is_some() {
            return Ok(facts);
        }
        let Some(group) = read_group(self.host.as_ref(), names.vg)? else {
            facts.trouble = Some(format!("volume group {} does not exist", names.vg));
            return Ok(facts);
        };
        let volumes = read_volumes(self.host.as_ref(), names.vg)?;
        facts.shared = group.shared();
        facts.exists = volumes.iter().any(|v| v.name == names.lv);
        match names.pool {
            None => facts.free = group.free().map(Bytes),
            Some(pool) => match volumes.iter().find(|v| v.name == pool && v.is_thin_pool()) {
                Some(pool) => facts.free = pool.pool_free().map(Bytes),
                None => facts.trouble = Some(format!("there is no thin pool {}/{pool}", names.vg)),
            },
        }
        if group.partial() {
            facts.trouble = Some(format!("devices of volume group {} are missing", names.vg));
        }
        if plan.fs == FileSystem::Xfs && plan.size.0 < mkfs::XFS_MINIMUM && facts.trouble.is_none() {
            facts.trouble = Some(format!("XFS needs at least 300 MiB, the volume would have {}", plan.size));
        }
        Ok(facts)
    }

    fn create_commands(&self, plan: &VolumePlan) -> Vec<Command> {
        names(plan).map(|names| commands(plan, &names).into()).unwrap_or_default()
    }

    fn create(&self, plan: &VolumePlan) -> Result<()> {
        let names = names(plan)?;
        let what = || format!("creating logical volume {}", names.full());
        let [make, mkfs] = commands(plan, &names);
        self.host.run_ok(&make).doing(what)?;
        let Err(error) = self.host.run_ok(&mkfs) else { return Ok(()) };
        match self.remove(&names) {
            Ok(()) => Err(error).doing(what),
            Err(left) => {
                let left = format!("and it could not be removed again: {}", left.chain().join(": "));
                Err(Error::new(left).because(error).hint(format!("lvremove {}", names.full()))).doing(what)
            }
        }
    }

    fn open(&self, plan: &VolumePlan, mount_point: &Path) -> Result<Box<dyn OpenVolume>> {
        let names = names(plan)?;
        let what = || format!("opening logical volume {}", names.full());
        let before = self.existing(&names).doing(what)?;
        if !before.active() {
            self.ensure_active(plan, &names).doing(what)?;
        }
        let (volume, busy) =
            guard::look_patiently(guard::BEFORE_OPENING, || self.existing(&names), Volume::open).doing(what)?;
        let devices: Vec<String> = volume.device().into_iter().collect();
        let source = Source { path: &plan.path, image: false, devices: &devices, fs: plan.fs, busy };
        guard::mount(&self.host, &source, mount_point).doing(what)
    }

    fn destroy(&self, plan: &VolumePlan) -> Result<()> {
        let names = names(plan)?;
        let what = || format!("removing logical volume {}", names.full());
        let is_open = |volume: &Option<Volume>| volume.as_ref().is_some_and(Volume::open);
        let (volume, busy) =
            guard::look_patiently(guard::BEFORE_REMOVING, || self.find(&names), is_open).doing(what)?;
        let Some(volume) = volume else { return Ok(()) };
        if !volume.tagged(TAG) {
            let why = Error::new(format!("it has no tag {TAG}, so something else made it"));
            return Err(why.hint("look at it, then lvremove it by hand if it is not needed")).doing(what);
        }
        if busy {
            let why = Error::new("it is in use on this node");
            return Err(why.hint(format!("stop the container; see lsblk {}", plan.path.display()))).doing(what);
        }
        self.remove(&names).doing(what)
    }

    fn activate(&self, plan: &VolumePlan) -> Result<()> {
        let names = names(plan)?;
        self.ensure_active(plan, &names).doing(|| format!("activating logical volume {}", names.full()))
    }

    fn unmount_stale(&self, mount_point: &Path) -> Result<bool> {
        guard::unmount_stale(self.host.as_ref(), mount_point)
    }

    fn deactivate(&self, plan: &VolumePlan) -> Result<()> {
        let names = names(plan)?;
        let what = || format!("deactivating logical volume {}", names.full());
        if self.find(&names).doing(what)?.is_none() {
            return Ok(());
        }
        self.host.run_ok(&change("-an", &names)).map(|_| ()).doing(what)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lvm_would_take_as_an_option_or_refuse_are_refused_first() {
        for good in ["lxc-101", "lxc-web.1", "a+b_c"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        for bad in ["", "-n", "..", "a b", "a/b", "lxc-\u{1b}[2J", &"x".repeat(127)] {
            assert!(check_name(bad).is_err(), "{bad:?}");
        }
    }
}
