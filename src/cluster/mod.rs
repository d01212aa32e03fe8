//! Pacemaker: the resource of a container, and who registers it.

mod cib;
mod facts;
pub mod file;
mod live;
pub mod pcs;
mod resource;

pub use file::CibFile;
pub use pcs::Pcs;

use crate::error::{Error, Result};
use crate::host::{Command, Host};
use crate::model::facts::ClusterFacts;
use crate::model::resource::{ClusterChoice, ResourcePlan};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

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

    /// Stops the container wherever the cluster runs it, and leaves the resource managed and disabled. Not registered is
    /// fine.
    fn stop(&self, plan: &ResourcePlan) -> Result<()>;

    /// Removes the resource, its constraints and only those. Absent is fine. A running container is not stopped by this.
    fn unregister(&self, plan: &ResourcePlan) -> Result<()>;
}

/// No cluster: the container is started and stopped by LXC alone.
pub struct NoCluster;

impl Cluster for NoCluster {
    fn name(&self) -> String {
        "none".to_owned()
    }

    fn inspect(&self, _resource_id: &str, _lxc_path: &Path) -> Result<ClusterFacts> {
        Ok(ClusterFacts::default())
    }

    fn register_commands(&self, _plan: &ResourcePlan) -> Vec<Command> {
        Vec::new()
    }

    fn register(&self, _plan: &ResourcePlan) -> Result<()> {
        Ok(())
    }

    fn hand_over(&self, _plan: &ResourcePlan) -> Result<()> {
        Ok(())
    }

    fn stop(&self, _plan: &ResourcePlan) -> Result<()> {
        Ok(())
    }

    fn unregister(&self, _plan: &ResourcePlan) -> Result<()> {
        Ok(())
    }
}

/// Tells whether Pacemaker runs on this host.
pub fn detect(host: &dyn Host) -> bool {
    let command = Command::read("cibadmin").args(["--query", "-o", "crm_config"]).timeout(Duration::from_secs(60));
    host.run(&command).is_ok_and(|output| output.status == 0)
}

/// Returns the adapter for what the operator chose.
pub fn cluster_for(choice: &ClusterChoice, host: Arc<dyn Host>) -> Result<Box<dyn Cluster>> {
    Ok(match choice {
        ClusterChoice::None => Box::new(NoCluster),
        ClusterChoice::Auto if !detect(host.as_ref()) => Box::new(NoCluster),
        ClusterChoice::Auto | ClusterChoice::Pcs => Box::new(Pcs::new(host)),
        ClusterChoice::Cib(file) => Box::new(CibFile::new(host, file.clone())),
        ClusterChoice::Crmsh => {
            return Err(Error::usage("crmsh is not supported yet")
                .hint("use --cluster pcs, or --cluster cib:FILE for a file that you load yourself"));
        }
    })
}
