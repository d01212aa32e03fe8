//! What an LXC configuration says, before it is text.

use crate::model::finding::Finding;
use crate::model::guest::{Family, Init};
use crate::model::limits::Limits;
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::ve::DeviceRule;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Where the container's tree is, as LXC mounts it. All paths are absolute.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RootfsPath {
    /// An image file with a file system.
    Loop(PathBuf),
    /// A directory.
    Dir(PathBuf),
    /// A block device, for example `/dev/VG/LV`.
    Device(PathBuf),
}

/// One virtual Ethernet pair on a bridge of the host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veth {
    /// Name inside the container, at most 15 bytes.
    pub name: String,
    /// MAC address inside the container, in lower case with colons.
    pub mac: String,
    /// The host's bridge.
    pub bridge: String,
    /// Name of the host's end; LXC makes one up when unset.
    pub host_ifname: Option<String>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// Addresses that LXC sets; empty when the guest's own files do.
    pub addresses: Vec<IpNet>,
    /// IPv4 gateway that LXC sets; may be off-link, LXC then adds a host route itself.
    pub gateway4: Option<Ipv4Addr>,
    /// IPv6 gateway that LXC sets.
    pub gateway6: Option<Ipv6Addr>,
}

/// Everything that the configuration of one container says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConfig {
    /// Name of the container in LXC, which is the name of its directory.
    pub name: String,
    /// Host name, at most 64 bytes (`sethostname` takes no more).
    pub hostname: String,
    /// The guest's architecture as [`crate::model::guest::Guest::arch`] has it.
    pub arch: String,
    /// The tree.
    pub rootfs: RootfsPath,
    /// Interfaces in the order in which the guest numbers them.
    pub nics: Vec<Veth>,
    /// Resource limits. Those of the disk belong to the volume and are not looked at.
    pub limits: Limits,
    /// Devices that the container may open beside the usual ones.
    pub devices: Vec<DeviceRule>,
    /// Consoles, tty1 to ttyN.
    pub ttys: u32,
    /// Capabilities that OpenVZ took away, lower case without `cap_`.
    pub drop_capabilities: Vec<String>,
    /// Capabilities that OpenVZ gave explicitly.
    pub keep_capabilities: Vec<String>,
    /// The target's shared configuration, included first; what it would say is written out when unset.
    pub include: Option<String>,
    /// The guest's init, which decides the halt signal.
    pub init: Init,
    /// The guest's family, which tells BusyBox's init (Alpine) from System V's under OpenRC.
    pub family: Family,
    /// AppArmor is active on the target.
    pub apparmor: bool,
    /// File systems that the guest mounts itself (`nfs`) and AppArmor must allow.
    pub mount_types: Vec<String>,
    /// File that receives what the container writes to its console (LXC >= 3.0 only, where its size can be bounded).
    pub console_log: Option<PathBuf>,
    /// Lines for the head of the file: where it came from. No dates, so that the same input gives the same text.
    pub comments: Vec<String>,
}

impl ContainerConfig {
    /// Makes a configuration with a name and a tree, and nothing else that is not a default.
    pub fn new(name: impl Into<String>, rootfs: RootfsPath) -> ContainerConfig {
        let name = name.into();
        ContainerConfig {
            hostname: name.clone(),
            name,
            arch: "x86_64".into(),
            rootfs,
            nics: Vec::new(),
            limits: Limits::default(),
            devices: Vec::new(),
            ttys: 4,
            drop_capabilities: Vec::new(),
            keep_capabilities: Vec::new(),
            include: None,
            init: Init::Unknown,
            family: Family::Unknown,
            apparmor: false,
            mount_types: Vec::new(),
            console_log: None,
            comments: Vec::new(),
        }
    }
}

/// For whom the configuration is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dialect {
    /// LXC's version: decides the names.
    pub version: LxcVersion,
    /// The control groups: decides the families of limits.
    pub cgroup: CgroupMode,
}

impl Dialect {
    /// Tells whether LXC is at least of this version.
    pub fn at_least(&self, major: u32, minor: u32) -> bool {
        (self.version.major, self.version.minor) >= (major, minor)
    }

    /// Tells whether keys of control groups version 1 are written.
    pub fn writes_v1(&self) -> bool {
        self.cgroup != CgroupMode::V2
    }

    /// Tells whether keys of control groups version 2 are written: LXC knows them since 3.0.
    pub fn writes_v2(&self) -> bool {
        self.cgroup != CgroupMode::V1 && self.at_least(3, 0)
    }
}

/// A configuration as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// The file's content.
    pub text: String,
    /// What could not be said in it, and what deserves a look.
    pub findings: Vec<Finding>,
}
