//! Pacemaker: the resource of a container, and who registers it.

use crate::error::Result;
use crate::host::Command;
use crate::model::facts::ClusterFacts;
use crate::model::resource::ResourcePlan;
use std::path::Path;

/// A cluster, or none.
pub trait Cluster: Send + Sync {
    /// Returns `none`, `pcs` or `cib:FILE`.
    fn name(&self) -> String;

    /// Looks at the cluster; changes nothing. `lxc_path` is what a shared file system would be mounted on.
    fn inspect(&self, resource_id: &str, lxc_path: &Path) -> Result<ClusterFacts>;

    /// Returns the commands that [`Cluster::register`] runs, for a dry run.
    fn register_commands(&self, plan: &ResourcePlan) -> Vec<Command>;

    /// Registers the resource, disabled: the cluster knows it and leaves it stopped.
    fn register(&self, plan: &ResourcePlan) -> Result<()>;

    /// Hands the running container over: the cluster finds it running on this node and manages it from now on, without
    /// a restart.
    fn hand_over(&self, plan: &ResourcePlan) -> Result<()>;

    /// Removes the resource, its constraints and only those. Absent is fine. A running container is not stopped by this.
    fn unregister(&self, plan: &ResourcePlan) -> Result<()>;
}
