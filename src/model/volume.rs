//! A volume: where the container's tree will live.

use crate::model::size::Bytes;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The kind of storage behind a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StorageKind {
    /// A directory of the host's own file system.
    Dir,
    /// A sparse file with a file system, mounted through a loop device.
    #[default]
    Image,
    /// A logical volume.
    Lvm,
    /// A thin logical volume.
    LvmThin,
}

/// The file system of a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileSystem {
    /// ext4.
    #[default]
    Ext4,
    /// XFS.
    Xfs,
}

impl FileSystem {
    /// Returns the name that mkfs and mount know.
    pub fn name(self) -> &'static str {
        match self {
            FileSystem::Ext4 => "ext4",
            FileSystem::Xfs => "xfs",
        }
    }
}

/// Everything that creating, mounting and destroying a volume needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumePlan {
    /// The kind of storage.
    pub kind: StorageKind,
    /// The volume's name, `lxc-NAME`.
    pub name: String,
    /// The image file, the directory, or the device node (`/dev/VG/LV`).
    pub path: PathBuf,
    /// The volume group (`lvm`, `lvm-thin`).
    pub vg: Option<String>,
    /// The thin pool in the volume group (`lvm-thin`).
    pub thin_pool: Option<String>,
    /// The file system; ignored by `dir`.
    pub fs: FileSystem,
    /// Size in bytes, a multiple of 4 MiB; ignored by `dir`.
    pub size: Bytes,
    /// At least this many inodes; `None` leaves it to mkfs.
    pub inodes: Option<u64>,
    /// Whether the volume group is shared between nodes (lvmlockd), so that a volume is activated exclusively.
    pub shared: bool,
}
