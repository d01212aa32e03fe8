//! The settings in force for one container, after all layers were merged.

use crate::model::resource::ClusterChoice;
use crate::model::size::Bytes;
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::volume::{FileSystem, StorageKind};
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// Which engine copies the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// The stream engine when the source's tar can do what is needed, rsync otherwise.
    #[default]
    Auto,
    /// tar over SSH, our own extractor.
    Stream,
    /// rsync.
    Rsync,
}

/// How the source's and the target's tree are compared after the last copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Not at all.
    None,
    /// Every attribute of every entry.
    #[default]
    Metadata,
    /// Content too, by checksums that both sides compute.
    Content,
}

/// How what travels is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// When the link is slower than compressing, with the best that both sides have.
    #[default]
    Auto,
    /// Not at all.
    None,
    /// gzip, level 1.
    Gzip,
    /// zstd, level 1.
    Zstd,
    /// lz4.
    Lz4,
}

/// What a copy takes of the source and of the way there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Tuning {
    /// Streams at once, each over its own SSH session; by the cores of both sides when unset.
    pub streams: Option<std::num::NonZeroU32>,
    /// Compression.
    pub compress: Compress,
    /// Most bytes a second over all streams, as they travel.
    pub bwlimit: Option<Bytes>,
    /// The source's programs run with the usual CPU and I/O priority, not with the lowest.
    pub full_speed: bool,
}

/// Which SSH client is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TransportChoice {
    /// The system's OpenSSH client when it is there, ssh2 otherwise.
    #[default]
    Auto,
    /// The built-in client.
    Ssh2,
    /// The system's OpenSSH client.
    Openssh,
}

/// One subnet of the target (`[[network]]` of a manifest or of the configuration).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// The subnet.
    pub subnet: IpNet,
    /// The bridge it is on.
    pub bridge: Option<String>,
    /// Its gateway.
    pub gateway: Option<IpAddr>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// VLAN of the bridge's port, 1 to 4094.
    pub vlan: Option<u16>,
}

/// How the addresses of venet0 reach the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetworkMode {
    /// An interface on a bridge of the host.
    #[default]
    Bridge,
    /// A routed interface: host addresses, no bridge, no gateway, as venet0 had it (LXC 4.0 and later).
    Routed,
}

/// A range of the host's user and group ids that is allotted to a container: its id 0 is `base`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct IdRange {
    /// The first id.
    pub base: u32,
    /// How many.
    pub count: u32,
}

impl IdRange {
    /// Tells whether an id belongs to both.
    pub fn overlaps(&self, other: &IdRange) -> bool {
        let end = |r: &IdRange| u64::from(r.base) + u64::from(r.count);
        u64::from(self.base) < end(other) && u64::from(other.base) < end(self)
    }
}

/// Who configures the addresses inside the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressMode {
    /// The guest's own network files.
    #[default]
    Guest,
    /// LXC, from its configuration.
    Lxc,
}

/// The settings in force for one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Storage kind.
    pub storage: StorageKind,
    /// Volume group.
    pub vg: Option<String>,
    /// Thin pool.
    pub thin_pool: Option<String>,
    /// File system.
    pub fs: FileSystem,
    /// Where images and directories go; the container's own directory under the LXC path when unset.
    pub volume_dir: Option<PathBuf>,
    /// LXC path, /var/lib/lxc.
    pub lxc_path: PathBuf,
    /// Size of the volume, when the operator says it.
    pub size: Option<Bytes>,
    /// Headroom over the usage in percent, when DISKSPACE says nothing.
    pub headroom_percent: u32,
    /// Name of the container on the target without the `lxc-`; default from the source.
    pub name: Option<String>,
    /// Default bridge.
    pub bridge: Option<String>,
    /// Default IPv4 gateway.
    pub gateway4: Option<Ipv4Addr>,
    /// Default IPv6 gateway.
    pub gateway6: Option<Ipv6Addr>,
    /// Prefix length for IPv4 addresses whose subnet nobody names.
    pub prefix4: Option<u8>,
    /// Prefix length for IPv6 addresses whose subnet nobody names.
    pub prefix6: Option<u8>,
    /// Subnets of the target.
    pub networks: Vec<Subnet>,
    /// Who configures the addresses.
    pub addresses: AddressMode,
    /// How the addresses of venet0 reach the container.
    pub network: NetworkMode,
    /// Routed: the host's interface that answers for the addresses; that of the default route when unset.
    pub uplink: Option<String>,
    /// The container gets a user name space: its root is no root on the host.
    pub unprivileged: bool,
    /// Ids for an unprivileged container; the first free range of this host when unset.
    pub id_range: Option<IdRange>,
    /// Keys of VE configurations (`PRIVVMPAGES`) whose approximation the operator wants.
    pub approximate: Vec<String>,
    /// Consoles.
    pub ttys: u32,
    /// LXC version to write for; that of this host when unset.
    pub lxc_version: Option<LxcVersion>,
    /// Family of control group keys; that of this host when unset.
    pub cgroup: Option<CgroupMode>,
    /// Cluster.
    pub cluster: ClusterChoice,
    /// The clone that mounts the LXC path, when it cannot be seen in the CIB.
    pub shared_fs: Option<String>,
    /// Copy engine.
    pub engine: EngineChoice,
    /// Comparison after the last copy.
    pub verify: Verify,
    /// What a copy takes of the source and of the way there.
    pub tuning: Tuning,
    /// Copy passes while the container runs, at most; there are fewer when a further one is of no use.
    pub live_passes: u32,
    /// Seconds that the container gets to shut down on the source; the source's STOP_TIMEOUT or 120 when unset.
    pub stop_timeout: Option<u64>,
    /// Seconds that the container gets to become healthy on the target.
    pub health_timeout: u64,
    /// A login program must run before a container counts as healthy.
    pub health_login: bool,
    /// Ids of findings that the operator accepts.
    pub accept: Vec<String>,
    /// Additional fixup modules.
    pub fixups_dir: PathBuf,
    /// Ids of fixup modules that are not applied.
    pub skip_fixups: Vec<String>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            storage: StorageKind::default(),
            vg: None,
            thin_pool: None,
            fs: FileSystem::default(),
            volume_dir: None,
            lxc_path: "/var/lib/lxc".into(),
            size: None,
            headroom_percent: 30,
            name: None,
            bridge: None,
            gateway4: None,
            gateway6: None,
            prefix4: None,
            prefix6: None,
            networks: Vec::new(),
            addresses: AddressMode::default(),
            network: NetworkMode::default(),
            uplink: None,
            unprivileged: false,
            id_range: None,
            approximate: Vec::new(),
            ttys: 4,
            lxc_version: None,
            cgroup: None,
            cluster: ClusterChoice::default(),
            shared_fs: None,
            engine: EngineChoice::default(),
            verify: Verify::default(),
            tuning: Tuning::default(),
            live_passes: 10,
            stop_timeout: None,
            health_timeout: 60,
            health_login: true,
            accept: Vec::new(),
            fixups_dir: "/etc/ovz2lxc/fixups.d".into(),
            skip_fixups: Vec::new(),
        }
    }
}
