//! Everything that was found out before anything is touched: the input of the checks and of the planner.

use crate::model::container::SourceContainer;
use crate::model::guest::Guest;
use crate::model::settings::Settings;
use crate::model::size::Bytes;
use crate::model::target::Target;
use serde::{Deserialize, Serialize};

/// What the target's storage says about the volume to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StorageFacts {
    /// Bytes that can still be had; `None` when it cannot be known.
    pub free: Option<Bytes>,
    /// Inodes that can still be had (`dir`); `None` when it does not matter or cannot be known.
    pub free_inodes: Option<u64>,
    /// Something with the volume's name exists already.
    pub exists: bool,
    /// What was looked at ("volume group shared_vg", "/var/lib/lxc on ext4").
    pub place: String,
    /// A program that is missing, or another reason why this storage cannot work here.
    pub trouble: Option<String>,
}

/// What the cluster says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ClusterFacts {
    /// A cluster is in use.
    pub present: bool,
    /// A resource with the container's id exists already.
    pub resource_exists: bool,
    /// The clone that mounts the LXC path on every node.
    pub shared_fs: Option<String>,
    /// What is wrong, when something is.
    pub trouble: Option<String>,
}

/// Everything that was found out about one migration.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The source node, as the operator named it.
    pub source: String,
    /// The container.
    pub container: SourceContainer,
    /// What is inside it; unknown when its tree could not be looked at.
    pub guest: Guest,
    /// This host.
    pub target: Target,
    /// The storage, for the planned volume.
    pub storage: StorageFacts,
    /// The cluster.
    pub cluster: ClusterFacts,
    /// The settings in force for this container.
    pub settings: Settings,
    /// The target's name, `lxc-NAME`.
    pub target_name: String,
}
