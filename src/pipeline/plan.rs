//! The plan: everything that a migration will do, decided before anything is touched, and kept with the journal.

use crate::lxc::IdMap;
use crate::model::container::SourceContainer;
use crate::model::finding::Finding;
use crate::model::guest::Guest;
use crate::model::network::GuestPlan;
use crate::model::resource::ResourcePlan;
use crate::model::settings::{EngineChoice, Tuning, Verify};
use crate::model::source::Remains;
use crate::model::volume::VolumePlan;
use crate::openvz::Fenced;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::path::PathBuf;

/// How the source is reached again by a later run. Holds no secret: keys are named by their files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access {
    /// The source as the operator named it.
    pub source: String,
    /// SSH port.
    pub port: Option<u16>,
    /// Private key file.
    pub identity: Option<PathBuf>,
    /// Known hosts file.
    pub known_hosts: Option<PathBuf>,
    /// `auto`, `openssh`, `ssh2`.
    pub transport: String,
    /// Old algorithms.
    pub legacy_algorithms: bool,
    /// What is left of a node, when the source is none.
    #[serde(default)]
    pub remains: Remains,
}

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Always 1.
    pub schema: u32,
    /// How the source is reached.
    pub access: Access,
    /// The container as it was described.
    pub container: SourceContainer,
    /// ONBOOT and DISABLED of the source before it is fenced.
    pub autostart: Fenced,
    /// The name on the target, `lxc-NAME`: volume, LXC container and resource have it.
    pub name: String,
    /// The guest, as far as it was seen before the copy.
    pub guest: Guest,
    /// The volume.
    pub volume: VolumePlan,
    /// Where the volume is mounted while it is filled.
    pub mount_point: PathBuf,
    /// The copy engine.
    pub engine: EngineChoice,
    /// What a copy takes of the source and of the way there.
    #[serde(default)]
    pub tuning: Tuning,
    /// Comparison after the last copy.
    #[serde(default)]
    pub verify: Verify,
    /// Copy passes while the container runs.
    pub live_passes: u32,
    /// Seconds that the container gets to shut down on the source.
    pub stop_timeout: u64,
    /// What the fixups are told.
    pub guest_plan: GuestPlan,
    /// Additional fixup modules.
    pub fixups_dir: PathBuf,
    /// Fixup modules that are not applied.
    pub skip_fixups: Vec<String>,
    /// LXC path.
    pub lxc_path: PathBuf,
    /// The LXC configuration file.
    pub config_path: PathBuf,
    /// Its text.
    pub config_text: String,
    /// The script that it calls on the host when the container starts, `start-host` beside it.
    #[serde(default)]
    pub hook: Option<String>,
    /// The user name space of an unprivileged container.
    #[serde(default)]
    pub idmap: Option<IdMap>,
    /// The container starts with this host once the migration is complete (ONBOOT, without a cluster).
    #[serde(default)]
    pub autostart_target: bool,
    /// `none`, `pcs`, `cib:FILE`.
    pub cluster: String,
    /// The resource, when there is a cluster.
    pub resource: Option<ResourcePlan>,
    /// Seconds that the container gets to become healthy.
    pub health_timeout: u64,
    /// A program through which a user gets in must run before the container counts as healthy.
    pub health_login: bool,
    /// Addresses that must answer.
    pub expected_addresses: Vec<IpAddr>,
    /// Whether the container ran on the source, and so will run on the target.
    pub start: bool,
    /// What was found out beforehand.
    pub findings: Vec<Finding>,
}
