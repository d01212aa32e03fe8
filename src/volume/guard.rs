//! An open volume: mounted while the guard lives, unmounted when it goes.

use super::OpenVolume;
use super::mounts::{mounted_at, read_mounts};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::volume::FileSystem;
use crate::rootfs::Rootfs;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// What keeps a tenant's files from acting on this host: no device nodes, no set-user-id bits, no programs.
const OPTIONS: [&str; 3] = ["nodev", "nosuid", "noexec"];

/// How often unmounting is tried while something (an indexer, a `df`) holds the file system for a moment.
const ATTEMPTS: u32 = 5;

/// An open volume. The fields go in this order: an open root would keep the file system busy.
struct Open {
    rootfs: Rootfs,
    mount: Option<Mount>,
}

/// A mount that goes with its guard.
struct Mount {
    host: Arc<dyn Host>,
    point: PathBuf,
    /// Whether the mount point was made by us, so that it goes with the mount.
    made_point: bool,
    mounted: bool,
}

/// How often a look is taken before a volume is opened: a second, because udev reads a device after every mkfs and unmount.
pub(crate) const BEFORE_OPENING: u32 = ATTEMPTS;

/// How often before one is removed: nine seconds, because a container that has just ended leaves the kernel much to write.
pub(crate) const BEFORE_REMOVING: u32 = 14;

/// Looks several times while something has a volume open, with growing pauses. Returns the last look, and whether the
/// volume was still busy then.
pub(crate) fn look_patiently<T>(
    looks: u32,
    mut look: impl FnMut() -> Result<T>,
    busy: impl Fn(&T) -> bool,
) -> Result<(T, bool)> {
    let mut attempt = 1;
    loop {
        let seen = look()?;
        let still = busy(&seen);
        if !still || attempt == looks {
            return Ok((seen, still));
        }
        std::thread::sleep(Duration::from_millis(100) * attempt);
        attempt += 1;
    }
}

/// What is to be mounted.
pub(crate) struct Source<'a> {
    /// The device or the image file.
    pub(crate) path: &'a Path,
    /// Whether it is a file that needs a loop device.
    pub(crate) image: bool,
    /// The devices (`major:minor`) that it has now.
    pub(crate) devices: &'a [String],
    /// The file system on it.
    pub(crate) fs: FileSystem,
    /// Something has it open, in whatever mount namespace: a running container, for example.
    pub(crate) busy: bool,
}

/// Mounts a volume, or takes over the mount that a crashed run left at the same mount point.
pub(crate) fn mount(host: &Arc<dyn Host>, source: &Source<'_>, point: &Path) -> Result<Box<dyn OpenVolume>> {
    if !point.is_absolute() {
        return Err(Error::usage(format!("mount point {} is not absolute", point.display())));
    }
    let what = format!("mounting {} at {}", source.path.display(), point.display());
    let mounts = read_mounts(host.as_ref())?;
    let ours = |device: &String| source.devices.contains(device);
    if let Some(there) = mounted_at(&mounts, point) {
        let safe = OPTIONS.iter().all(|o| there.has(o)) && there.has("rw");
        if !ours(&there.device) || !safe {
            return Err(Error::new(format!("{what}: another file system is mounted there"))
                .hint(format!("umount {}", point.display())));
        }
        return adopt(host, point, false).doing(|| what);
    }
    if let Some(elsewhere) = mounts.iter().find(|m| ours(&m.device)) {
        let at = elsewhere.point.display();
        return Err(Error::new(format!("{what}: it is mounted at {at} already")).hint(format!("umount {at}")));
    }
    if source.busy {
        let look = if source.image { "losetup -j" } else { "lsblk" };
        return Err(Error::new(format!("{what}: something else uses it"))
            .hint(format!("is the container running? {look} {}", source.path.display())));
    }
    let made = make_point(point).doing(|| format!("making mount point {}", point.display()))?;
    let options = if source.image { format!("loop,{}", OPTIONS.join(",")) } else { OPTIONS.join(",") };
    let command = Command::write("mount")
        .args(["-t", source.fs.name(), "-o", &options])
        .arg(source.path)
        .arg(point)
        .timeout(Duration::from_secs(300));
    if let Err(error) = host.run_ok(&command) {
        if made {
            let _ = std::fs::remove_dir(point);
        }
        return Err(error).doing(|| what);
    }
    adopt(host, point, made).doing(|| what)
}

/// Opens a directory in place: nothing is mounted, so nothing is unmounted.
pub(crate) fn open_in_place(path: &Path) -> Result<Box<dyn OpenVolume>> {
    Ok(Box::new(Open { rootfs: Rootfs::open(path)?, mount: None }))
}

/// Unmounts what a crashed run left at a mount point. Returns whether something was mounted there. The mount point
/// itself stays.
pub fn unmount_stale(host: &dyn Host, point: &Path) -> Result<bool> {
    let mut found = false;
    // Mounts stack; each turn takes the topmost one.
    while mounted_at(&read_mounts(host)?, point).is_some() {
        umount(host, point)?;
        found = true;
    }
    Ok(found)
}

fn adopt(host: &Arc<dyn Host>, point: &Path, made_point: bool) -> Result<Box<dyn OpenVolume>> {
    // The guard exists before the root is opened: a failure there unmounts again.
    let mount = Mount { host: Arc::clone(host), point: point.to_owned(), made_point, mounted: true };
    Ok(Box::new(Open { rootfs: Rootfs::open(point)?, mount: Some(mount) }))
}

impl OpenVolume for Open {
    fn rootfs(&self) -> &Rootfs {
        &self.rootfs
    }

    fn close(self: Box<Self>) -> Result<()> {
        let Open { rootfs, mount } = *self;
        let what = format!("closing the volume at {}", rootfs.path().display());
        // Reports what could not be written back, which umount does not.
        let synced = rustix::fs::syncfs(&rootfs).doing(|| "writing the last data to disk");
        drop(rootfs);
        if let Some(mount) = mount {
            mount.unmount().doing(|| what.clone())?;
        }
        synced.doing(|| what)
    }
}

impl Mount {
    /// Unmounts and says when that fails; the mount is then left and named, not hidden by the lazy unmount of drop.
    fn unmount(mut self) -> Result<()> {
        self.mounted = false;
        umount(self.host.as_ref(), &self.point)?;
        self.remove_point();
        Ok(())
    }

    fn remove_point(&self) {
        if self.made_point {
            // Not empty when somebody used the directory meanwhile: then it stays.
            let _ = std::fs::remove_dir(&self.point);
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        if !self.mounted {
            return;
        }
        if umount(self.host.as_ref(), &self.point).is_err() {
            // Last resort: nobody can be told here, and a mount in the way of the next run helps nobody.
            let _ = self.host.run(&Command::write("umount").arg("-l").arg(&self.point));
        }
        self.remove_point();
    }
}

fn umount(host: &dyn Host, point: &Path) -> Result<()> {
    let command = Command::write("umount").arg(point).timeout(Duration::from_secs(600));
    let mut attempt = 1;
    loop {
        match host.run_ok(&command) {
            Ok(_) => return Ok(()),
            Err(error) if attempt == ATTEMPTS => {
                return Err(error.hint(format!("see who uses it: fuser -vm {}", point.display())));
            }
            Err(_) => std::thread::sleep(Duration::from_millis(100) * attempt),
        }
        attempt += 1;
    }
}

/// Makes the mount point, for root only: other users of this host have no business in a container's tree.
fn make_point(point: &Path) -> std::io::Result<bool> {
    if point.is_dir() {
        return Ok(false);
    }
    DirBuilder::new().recursive(true).mode(0o700).create(point)?;
    Ok(true)
}
