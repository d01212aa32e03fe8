//! The target's storage: makes, mounts and destroys volumes.

pub mod dir;
mod guard;
pub mod image;
pub mod lvm;
mod lvm_report;
mod mkfs;
mod mounts;
mod place;

pub use guard::unmount_stale;

use crate::error::Result;
use crate::host::{Command, Host};
use crate::model::facts::StorageFacts;
use crate::model::volume::{StorageKind, VolumePlan};
use crate::rootfs::Rootfs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A volume that is open on this host. Dropping it unmounts it; nothing is ever deleted through it.
pub trait OpenVolume: Send {
    /// Returns the root of the tree on it.
    fn rootfs(&self) -> &Rootfs;

    /// Flushes and unmounts, and says when that fails (a drop cannot).
    fn close(self: Box<Self>) -> Result<()>;
}

/// One kind of storage.
pub trait Storage: Send + Sync {
    /// Looks at the place where the volume would be made; changes nothing.
    fn inspect(&self, plan: &VolumePlan) -> Result<StorageFacts>;

    /// Returns the commands that [`Storage::create`] runs, for a dry run.
    fn create_commands(&self, plan: &VolumePlan) -> Vec<Command>;

    /// Makes the volume with an empty file system. Refuses when something of that name exists. What a failure half made
    /// is removed again.
    fn create(&self, plan: &VolumePlan) -> Result<()>;

    /// Mounts the volume at `mount_point` (made if missing), nodev, nosuid, noexec. A directory is opened in place.
    fn open(&self, plan: &VolumePlan, mount_point: &Path) -> Result<Box<dyn OpenVolume>>;

    /// Removes the volume and only what [`Storage::create`] made. Absent is fine. Refuses while it is in use.
    fn destroy(&self, plan: &VolumePlan) -> Result<()>;

    /// Makes the volume reachable for LXC (activates a logical volume exclusively); a no-op for the others.
    fn activate(&self, plan: &VolumePlan) -> Result<()>;

    /// Unmounts what a run that died left mounted at `mount_point`. Returns whether there was something.
    fn unmount_stale(&self, mount_point: &Path) -> Result<bool>;

    /// Undoes [`Storage::activate`].
    fn deactivate(&self, plan: &VolumePlan) -> Result<()>;
}

/// Returns the default place of an image or directory: inside the container's own directory under the LXC path, or in
/// `volume_dir` when the operator names one.
pub fn default_path(lxc_path: &Path, volume_dir: Option<&Path>, name: &str, image: bool) -> PathBuf {
    match (volume_dir, image) {
        (Some(dir), true) => dir.join(format!("{name}.img")),
        (Some(dir), false) => dir.join(name),
        (None, true) => lxc_path.join(name).join("rootfs.img"),
        (None, false) => lxc_path.join(name).join("rootfs"),
    }
}

/// Returns the adapter for a kind of storage on this host.
pub fn storage_for(kind: StorageKind, host: Arc<dyn Host>) -> Box<dyn Storage> {
    match kind {
        StorageKind::Dir => Box::new(dir::Dir::new(host)),
        StorageKind::Image => Box::new(image::Image::new(host)),
        StorageKind::Lvm | StorageKind::LvmThin => Box::new(lvm::Lvm::new(host)),
    }
}
