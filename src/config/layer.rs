//! One layer of settings, as a TOML table has it.

use super::values::{
    AddressText, ApproximateText, BwlimitText, CgroupText, ClusterText, CompressText, FsText, IdRangeText, LxcText,
    NetworkText, SizeText, StorageText, StreamCount, TransportText, VerifyText, VlanId,
};
use crate::error::{Doing, Error, Result};
use crate::host::read_here;
use crate::model::settings::{EngineChoice, Subnet};
use ipnet::IpNet;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use toml::Spanned;

/// A `[[network]]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubnetEntry {
    /// The subnet.
    pub subnet: IpNet,
    /// The bridge it is on.
    pub bridge: Option<String>,
    /// Its gateway.
    pub gateway: Option<IpAddr>,
    /// MTU in bytes.
    pub mtu: Option<u32>,
    /// VLAN of the bridge's port, 1 to 4094.
    pub vlan: Option<VlanId>,
}

impl From<&SubnetEntry> for Subnet {
    fn from(e: &SubnetEntry) -> Subnet {
        Subnet {
            subnet: e.subnet,
            bridge: e.bridge.clone(),
            gateway: e.gateway,
            mtu: e.mtu,
            vlan: e.vlan.map(VlanId::get),
        }
    }
}

/// A `[node.NAME]`: a source that the command line may call by its name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeEntry {
    /// `[user@]host[:port]`.
    pub address: Spanned<String>,
    /// Private key file.
    pub identity: Option<PathBuf>,
    /// Known hosts file.
    pub known_hosts: Option<PathBuf>,
    /// SSH client.
    pub transport: Option<TransportText>,
    /// CentOS 5 and 6 need their old algorithms switched on.
    pub legacy_algorithms: Option<bool>,
}

/// Declares every key once: the layer's field, its merging, its display.
macro_rules! keys {
    ($($(#[$doc:meta])* $key:ident: $type:ty => $show:expr;)*) => {
        /// One layer of settings; what is not set here is looked for in the layer below.
        #[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct Layer {
            $($(#[$doc])* pub $key: Option<$type>,)*
            /// Subnets of the target.
            #[serde(default, rename = "network")]
            pub networks: Vec<SubnetEntry>,
            /// Sources by name; in the configuration file only.
            #[serde(default, rename = "node")]
            pub nodes: BTreeMap<String, NodeEntry>,
            /// The container, number, name or UUID; in a manifest's `[[container]]` only.
            pub ctid: Option<Spanned<Selector>>,
            /// Its name on the target; in a manifest's `[[container]]` and on the command line only.
            pub name: Option<Spanned<String>>,
        }

        impl Layer {
            /// Returns every key that is set, with its value as text, in the order of the documentation.
            pub fn entries(&self) -> Vec<(&'static str, String)> {
                let mut entries = Vec::new();
                $(if let Some(value) = &self.$key {
                    let show: fn(&$type) -> String = $show;
                    entries.push((stringify!($key), show(value)));
                })*
                entries
            }

            /// Takes from `below` whatever is not set here.
            pub fn fill_from(&mut self, below: &Layer) {
                $(if self.$key.is_none() { self.$key = below.$key.clone(); })*
                self.networks.extend(below.networks.iter().cloned());
                if self.name.is_none() { self.name = below.name.clone(); }
                for (name, node) in &below.nodes {
                    self.nodes.entry(name.clone()).or_insert_with(|| node.clone());
                }
            }
        }

        /// Every key's name, in the order of the documentation.
        pub(super) const KEYS: &[&str] = &[$(stringify!($key)),*];
    };
}

keys! {
    /// The source node.
    source: String => Clone::clone;
    /// SSH port.
    port: u16 => ToString::to_string;
    /// Private key file.
    identity: PathBuf => |p| p.display().to_string();
    /// Known hosts file.
    known_hosts: PathBuf => |p| p.display().to_string();
    /// SSH client: auto, openssh, ssh2.
    transport: TransportText => ToString::to_string;
    /// Old algorithms for CentOS 5 and 6 nodes.
    legacy_algorithms: bool => ToString::to_string;
    /// What was the dead node's `/`: its disk, mounted on the source's host.
    vz_root: PathBuf => |p| p.display().to_string();
    /// The container's private area, instead of VE_PRIVATE; there is no vzctl.
    private: PathBuf => |p| p.display().to_string();
    /// The container's configuration; there is no vzctl.
    ve_conf: PathBuf => |p| p.display().to_string();
    /// An archive of vzdump.
    vzdump: PathBuf => |p| p.display().to_string();
    /// Storage: image, dir, lvm, lvm-thin.
    storage: StorageText => ToString::to_string;
    /// Volume group.
    vg: String => Clone::clone;
    /// Thin pool.
    thin_pool: String => Clone::clone;
    /// File system: ext4, xfs.
    fs: FsText => ToString::to_string;
    /// Where images and directories go.
    volume_dir: PathBuf => |p| p.display().to_string();
    /// LXC path.
    lxc_path: PathBuf => |p| p.display().to_string();
    /// Size of the volume.
    size: Spanned<SizeText> => |s| s.get_ref().to_string();
    /// Headroom over the usage in percent.
    headroom_percent: u32 => ToString::to_string;
    /// Bridge.
    bridge: String => Clone::clone;
    /// IPv4 gateway.
    gateway4: Ipv4Addr => ToString::to_string;
    /// IPv6 gateway.
    gateway6: Ipv6Addr => ToString::to_string;
    /// Prefix length for IPv4 addresses.
    prefix4: u8 => ToString::to_string;
    /// Prefix length for IPv6 addresses.
    prefix6: u8 => ToString::to_string;
    /// Who sets the addresses: guest, lxc.
    addresses: AddressText => ToString::to_string;
    /// How the addresses of venet0 reach the container: bridge, routed.
    network_mode: NetworkText => ToString::to_string;
    /// Routed: the host's interface that answers for the addresses.
    uplink: String => Clone::clone;
    /// Whether the container gets a user name space.
    unprivileged: bool => ToString::to_string;
    /// Ids of an unprivileged container, BASE:COUNT.
    id_range: IdRangeText => ToString::to_string;
    /// Keys of VE configurations whose approximation is wanted.
    approximate: Vec<ApproximateText> => |v| v.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
    /// Consoles.
    ttys: u32 => ToString::to_string;
    /// LXC version to write for.
    lxc: LxcText => ToString::to_string;
    /// Control group version to write for: v1, v2, both.
    cgroup: CgroupText => ToString::to_string;
    /// Cluster: auto, none, pcs, crmsh, cib:FILE.
    cluster: ClusterText => ToString::to_string;
    /// The clone that mounts the LXC path on every node.
    shared_fs: String => Clone::clone;
    /// Copy engine: auto, stream, rsync.
    engine: EngineChoice => |e| format!("{e:?}").to_lowercase();
    /// Comparison after the last copy: none, metadata, content.
    verify: VerifyText => ToString::to_string;
    /// Streams at once.
    streams: StreamCount => ToString::to_string;
    /// Compression: auto, none, gzip, zstd, lz4.
    compress: CompressText => ToString::to_string;
    /// Most bytes a second.
    bwlimit: BwlimitText => ToString::to_string;
    /// The source's programs run with the usual priority.
    full_speed: bool => ToString::to_string;
    /// Copy passes while the container runs, at most.
    live_passes: u32 => ToString::to_string;
    /// Seconds for a shutdown on the source.
    stop_timeout: u64 => ToString::to_string;
    /// Seconds to become healthy on the target.
    health_timeout: u64 => ToString::to_string;
    /// A login program must run before a container counts as healthy.
    health_login: bool => ToString::to_string;
    /// Ids of findings that the operator accepts.
    accept: Vec<String> => |v| v.join(" ");
    /// Additional fixup modules.
    fixups_dir: PathBuf => |p| p.display().to_string();
    /// Fixup modules that are not applied.
    skip_fixups: Vec<String> => |v| v.join(" ");
    /// State directory.
    state_dir: PathBuf => |p| p.display().to_string();
}

/// Puts a value that does not come from a file where one with a place in a file is wanted.
pub fn unplaced<T>(value: T) -> Spanned<T> {
    Spanned::new(0..0, value)
}

/// A container as the operator names it: a number or a string in TOML.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Selector {
    /// A bare number.
    Number(u32),
    /// A number, a name or a UUID.
    Text(String),
}

impl Selector {
    /// Returns the text that the node resolves.
    pub fn text(&self) -> String {
        match self {
            Selector::Number(n) => n.to_string(),
            Selector::Text(t) => t.clone(),
        }
    }
}

/// Reads the configuration file. Without one (and none asked for by name) the layer is empty.
pub fn read_config(path: &Path, required: bool) -> Result<Layer> {
    if !required && !path.exists() {
        return Ok(Layer::default());
    }
    let text = read_text(path)?;
    let layer: Layer = parse(path, &text)?;
    if let Some(ctid) = &layer.ctid {
        return Err(at(path, &text, ctid.span().start, "ctid belongs into a manifest's [[container]]"));
    }
    if let Some(name) = &layer.name {
        let message = "name belongs to one container: into a manifest's [[container]], or on the command line";
        return Err(at(path, &text, name.span().start, message));
    }
    Ok(layer)
}

/// Reads a TOML file into any type; an error names file, line and column.
pub fn read_toml<T: DeserializeOwned>(path: &Path) -> Result<T> {
    parse(path, &read_text(path)?)
}

/// Parses a TOML document; an error names file, line and column.
pub(super) fn parse<T: DeserializeOwned>(path: &Path, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| at(path, text, e.span().map_or(0, |s| s.start), e.message()))
}

/// Makes a usage error at a byte offset of a file.
pub(super) fn at(path: &Path, text: &str, offset: usize, message: &str) -> Error {
    let message = message.trim_end().replace('\n', "; ");
    Error::usage(format!("{}: {message}", place(path, text, offset)))
}

/// Names the place of a byte offset: file, line, column.
pub(super) fn place(path: &Path, text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{}, line {line}, column {column}", path.display())
}

/// Reads a file of at most 4 MiB as UTF-8.
pub(super) fn read_text(path: &Path) -> Result<String> {
    const LIMIT: u64 = 4 * 1024 * 1024;
    let usage = |e: Error| Error::usage(e.to_string());
    let text = |bytes| String::from_utf8(bytes).map_err(|_| Error::usage("stream did not contain valid UTF-8"));
    let read = read_here(path, LIMIT).map_err(usage).and_then(text);
    read.doing(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Result<Layer> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).unwrap();
        read_config(&path, true)
    }

    #[test]
    fn an_unknown_key_is_named_with_line_and_column() {
        let error = config("vg = \"a\"\nvgs = \"b\"\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column 1: unknown field `vgs`"), "{error}");
    }

    #[test]
    fn a_wrong_size_is_named_with_line_and_column() {
        let error = config("\nsize = \"4X\"\n").unwrap_err().to_string();
        assert!(error.contains("line 2, column 8: \"4X\" is not a size"), "{error}");
    }

    #[test]
    fn the_layer_above_wins_and_lists_add_up() {
        let below = config("vg = \"low\"\nfs = \"xfs\"\n[[network]]\nsubnet = \"10.0.0.0/8\"").unwrap();
        let mut above = config("vg = \"high\"\n[[network]]\nsubnet = \"10.1.0.0/16\"").unwrap();
        above.fill_from(&below);
        assert_eq!(above.vg.as_deref(), Some("high"));
        assert_eq!(above.fs.unwrap().to_string(), "xfs");
        assert_eq!(above.networks.len(), 2);
    }

    #[test]
    fn no_file_is_fine_unless_it_was_asked_for() {
        assert_eq!(read_config(Path::new("/nonexistent/x"), false).unwrap(), Layer::default());
        assert!(read_config(Path::new("/nonexistent/x"), true).is_err());
    }

    #[test]
    fn ctid_has_no_place_in_the_configuration() {
        assert!(config("ctid = 101").unwrap_err().to_string().contains("belongs into a manifest"));
    }

    #[test]
    fn a_name_would_be_that_of_every_container() {
        let error = config("vg = \"a\"\nname = \"web\"\n").unwrap_err();
        assert_eq!(error.kind(), crate::error::Kind::Usage);
        assert!(error.to_string().contains("line 2, column 8: name belongs to one container"), "{error}");
    }
}
