//! What an LXC configuration says, before it is text.

use crate::model::finding::Finding;
use crate::model::guest::{Family, Init};
use crate::model::limits::Limits;
use crate::model::settings::IdRange;
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::ve::DeviceRule;
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
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

/// What the host's end of an interface is connected to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Link {
    /// A bridge of the host.
    Bridge {
        /// Its name.
        name: String,
        /// VLAN of the port (LXC 5.0 and later, and a bridge that filters VLANs).
        vlan: Option<u16>,
    },
    /// Nothing: the host routes to the container (LXC 4.0 and later).
    Router {
        /// The host's interface that answers for the container's addresses, when one should.
        uplink: Option<String>,
    },
}

impl Link {
    /// Makes a link to a bridge without a VLAN.
    pub fn bridge(name: impl Into<String>) -> Link {
        Link::Bridge { name: name.into(), vlan: None }
    }
}

/// One virtual Ethernet pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Veth {
    /// Name inside the container, at most 15 bytes.
    pub name: String,
    /// MAC address inside the container, in lower case with colons.
    pub mac: String,
    /// What its other end is connected to.
    pub link: Link,
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

impl Veth {
    /// Makes an interface with a name and a MAC address, and nothing else that is not a default.
    pub fn new(name: impl Into<String>, mac: impl Into<String>, link: Link) -> Veth {
        Veth {
            name: name.into(),
            mac: mac.into(),
            link,
            host_ifname: None,
            mtu: None,
            addresses: Vec::new(),
            gateway4: None,
            gateway6: None,
        }
    }
}

/// The user name space of an unprivileged container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdMap {
    /// The host's ids: id 0 of the container is the first of them.
    pub range: IdRange,
    /// The tree keeps its owners and is mounted with the ids mapped (LXC 5.0, a directory); otherwise its files are owned by
    /// the range's ids.
    pub mounted: bool,
}

/// What the target's kernel and machine offer, as far as a line of the configuration depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// CPUs.
    pub cpus: u32,
    /// NUMA nodes.
    pub numa_nodes: u32,
    /// The kernel counts swap; without it a swap limit makes the start fail.
    pub swap_accounting: bool,
    /// A control group counts processes; without it a limit of them makes the start fail.
    pub pids: bool,
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
    /// It starts with the host. Stays false where a cluster or somebody else decides.
    pub autostart: bool,
    /// OpenVZ's BOOTORDER: higher starts earlier.
    pub boot_order: Option<u64>,
    /// Network devices of the host that are moved into the container (NETDEV).
    pub net_devices: Vec<String>,
    /// Whether the container sees /sys.
    pub sysfs: bool,
    /// The user name space; none for a privileged container.
    pub idmap: Option<IdMap>,
    /// The target's shared configuration for unprivileged containers, included after `include`.
    pub userns_include: Option<String>,
    /// FEATURES by name. `ppp` is looked at here; what the others come to stands in `mount_types` and `sysfs`, or takes a
    /// module that the host must load.
    pub features: BTreeMap<String, bool>,
    /// Where a hook script may be put that the configuration needs (limits by device); without it they are reported.
    pub hook: Option<PathBuf>,
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
            autostart: false,
            boot_order: None,
            net_devices: Vec::new(),
            sysfs: true,
            idmap: None,
            userns_include: None,
            features: BTreeMap::new(),
            hook: None,
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
    /// The script that it calls when the container starts, for `ContainerConfig::hook`; none when there is nothing to do.
    pub hook: Option<String>,
    /// What could not be said in it, and what deserves a look.
    pub findings: Vec<Finding>,
}
