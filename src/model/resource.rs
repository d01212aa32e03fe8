//! The Pacemaker resource of a container.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// How the cluster is reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ClusterChoice {
    /// A running Pacemaker on this host if there is one, none otherwise.
    #[default]
    Auto,
    /// No cluster.
    None,
    /// `pcs` against the running cluster.
    Pcs,
    /// `crmsh` against the running cluster.
    Crmsh,
    /// A CIB file, offline.
    Cib(PathBuf),
}

/// What is registered for one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourcePlan {
    /// The primitive's id, `lxc-NAME`, which is also the LXC container's name.
    pub id: String,
    /// The LXC configuration file.
    pub config: PathBuf,
    /// The logical volume to activate before the container, as (volume group, logical volume).
    pub logical_volume: Option<(String, String)>,
    /// Whether the volume group is shared through lvmlockd.
    pub lvmlockd: bool,
    /// The clone that mounts the shared file system with the configurations (order and colocation), when there is one.
    pub shared_fs: Option<String>,
    /// Timeout of the start operation in seconds.
    pub start_timeout: u32,
    /// Timeout of the stop operation in seconds. The agent waits this minus 5 s for a clean shutdown
    /// (resource-agents heartbeat/lxc, `lxc-stop -t`).
    pub stop_timeout: u32,
    /// Interval of the monitor operation in seconds.
    pub monitor_interval: u32,
}
