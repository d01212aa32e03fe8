//! A container on its OpenVZ node.

use crate::model::ctid::Ctid;
use crate::model::size::Bytes;
use crate::model::ve::VeConfig;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// What vzctl and vzlist call the status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Runs.
    Running,
    /// Stopped, not mounted.
    Stopped,
    /// Stopped, mounted.
    Mounted,
    /// Checkpointed to a dump file.
    Suspended,
}

/// How the private area is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// The private area is the tree.
    Simfs,
    /// The tree is in an image, `root.hdd/root.hdd`.
    Ploop,
}

/// What a container is read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// A node, with vzctl.
    #[default]
    Node,
    /// The disk of a node that does not run any more, or a plain directory: there is nothing to stop, start or fence.
    Disk,
    /// An archive of vzdump.
    Archive,
}

/// How the tree becomes readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// It is, at [`SourceContainer::tree`].
    #[default]
    Open,
    /// By `vzctl mount`: the container is down, and its ploop image is not mounted.
    Mount,
    /// By this program, which reads the ploop image in the private area itself.
    Image,
}

/// What a container's file system uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Usage {
    /// Bytes in use.
    pub bytes: Bytes,
    /// Inodes in use.
    pub inodes: u64,
}

/// A line of the inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The CTID.
    pub ctid: Ctid,
    /// NAME, when set and linked.
    pub name: Option<String>,
    /// HOSTNAME.
    pub hostname: Option<String>,
    /// Status.
    pub status: Status,
    /// Addresses as vzlist prints them.
    pub addresses: Vec<String>,
    /// Bytes in use, when vzlist knows.
    pub size: Option<Bytes>,
    /// Inodes in use, when vzlist knows.
    pub inodes: Option<u64>,
    /// OSTEMPLATE: a hint only.
    pub ostemplate: Option<String>,
}

/// A container as the node describes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceContainer {
    /// The CTID.
    pub ctid: Ctid,
    /// Its merged configuration.
    pub ve: VeConfig,
    /// The configuration file, links resolved.
    pub config_path: PathBuf,
    /// The configuration file's text, kept with the journal.
    pub config_text: String,
    /// Status.
    pub status: Status,
    /// Layout.
    pub layout: Layout,
    /// Private area, links resolved.
    pub private: PathBuf,
    /// Mount point.
    pub root: PathBuf,
    /// The directory to copy the tree from: the private area (simfs) or the mount point (ploop). With [`Access::Image`] it is
    /// where the image will be mounted; the archive itself for [`Origin::Archive`].
    pub tree: PathBuf,
    /// What it is read from.
    #[serde(default)]
    pub origin: Origin,
    /// How the tree becomes readable.
    #[serde(default)]
    pub access: Access,
    /// What it uses.
    pub usage: Usage,
    /// A dump file exists, from which `vzctl start` would restore.
    pub dump: bool,
    /// Action scripts and bind mounts found beside the configuration.
    pub action_scripts: Vec<String>,
    /// CPUs of the node.
    pub node_cpus: u32,
    /// The node's name servers (for `inherit`).
    pub node_nameservers: Vec<String>,
    /// The node's search domains (for `inherit`).
    pub node_searchdomains: Vec<String>,
}

impl SourceContainer {
    /// Tells whether it is started on the target at the end: one that runs is. On what is left of a node nothing runs, so
    /// there it is one that the node would have started, or may have had running (no ONBOOT at all).
    pub fn starts(&self) -> bool {
        match self.origin {
            Origin::Node => self.status == Status::Running,
            Origin::Disk | Origin::Archive => self.ve.onboot != Some(false) && !self.ve.disabled,
        }
    }

    /// Makes a container of which only the configuration is known: stopped, simfs, nothing in use.
    pub fn offline(ctid: Ctid, ve: VeConfig) -> SourceContainer {
        let private = ve.private.clone().unwrap_or_else(|| format!("/vz/private/{ctid}").into());
        SourceContainer {
            root: ve.root.clone().unwrap_or_else(|| format!("/vz/root/{ctid}").into()),
            tree: private.clone(),
            private,
            ve,
            ctid,
            origin: Origin::Node,
            access: Access::Open,
            config_path: PathBuf::new(),
            config_text: String::new(),
            status: Status::Stopped,
            layout: Layout::Simfs,
            usage: Usage::default(),
            dump: false,
            action_scripts: Vec::new(),
            node_cpus: 1,
            node_nameservers: Vec::new(),
            node_searchdomains: Vec::new(),
        }
    }
}
