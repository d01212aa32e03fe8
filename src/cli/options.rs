//! Options that every command takes.

use crate::config::{
    AddressText, ApproximateText, BwlimitText, CgroupText, ClusterText, CompressText, FsText, IdRangeText, Layer,
    LxcText, NetworkText, SizeText, StorageText, StreamCount, TransportText, VerifyText,
};
use crate::model::settings::EngineChoice;
use clap::{Args, ValueEnum};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Progress {
    /// Bars on a terminal, lines elsewhere.
    Auto,
    /// Bars.
    Bars,
    /// A line a step, and every 10 seconds while copying.
    Plain,
    /// One JSON object a line on standard error.
    Json,
    /// Nothing.
    None,
}

/// When colour is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Configuration file [default: /etc/ovz2lxc/config.toml]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where journals, plans and locks are kept [default: /var/lib/ovz2lxc]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// How progress is shown
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub progress: Progress,
    /// Say more (-vv: each command that runs)
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Say only errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Answer yes to questions
    #[arg(long, global = true)]
    pub yes: bool,
    /// When colour is used
    #[arg(long, global = true, value_enum, default_value = "auto")]
    pub color: Color,
}

/// How the source is reached.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "SSH")]
pub struct SshOptions {
    /// Port
    #[arg(long, global = true)]
    pub port: Option<u16>,
    /// Private key file
    #[arg(long, global = true, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Known hosts file, instead of the user's and the system's
    #[arg(long, global = true, value_name = "FILE")]
    pub known_hosts: Option<PathBuf>,
    /// Client: auto, openssh (the system's), ssh2 (built in)
    #[arg(long, global = true, value_name = "CLIENT")]
    pub transport: Option<TransportText>,
    /// Offer this node the algorithms of CentOS 5 and 6 (ssh-rsa, SHA-1)
    #[arg(long, global = true)]
    pub legacy_algorithms: bool,
}

/// Where the container goes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Target")]
pub struct TargetOptions {
    /// Storage: image, dir, lvm, lvm-thin [default: image]
    #[arg(long, global = true, value_name = "KIND")]
    pub storage: Option<StorageText>,
    /// Volume group
    #[arg(long, global = true)]
    pub vg: Option<String>,
    /// Thin pool in the volume group
    #[arg(long, global = true, value_name = "LV")]
    pub thin_pool: Option<String>,
    /// File system: ext4, xfs [default: ext4]
    #[arg(long, global = true)]
    pub fs: Option<FsText>,
    /// Where images and directories go [default: beside the LXC configuration]
    #[arg(long, global = true, value_name = "DIR")]
    pub volume_dir: Option<PathBuf>,
    /// LXC path [default: /var/lib/lxc]
    #[arg(long, global = true, value_name = "DIR")]
    pub lxc_path: Option<PathBuf>,
    /// Cluster: auto, none, pcs, crmsh, cib:FILE [default: auto]
    #[arg(long, global = true)]
    pub cluster: Option<ClusterText>,
    /// Bridge [default: the only one of this host]
    #[arg(long, global = true)]
    pub bridge: Option<String>,
    /// IPv4 gateway
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub gateway4: Option<Ipv4Addr>,
    /// IPv6 gateway
    #[arg(long, global = true, value_name = "ADDRESS")]
    pub gateway6: Option<Ipv6Addr>,
    /// Prefix length of IPv4 addresses that come without one
    #[arg(long, global = true, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=32))]
    pub prefix4: Option<u8>,
    /// Prefix length of IPv6 addresses that come without one
    #[arg(long, global = true, value_name = "BITS", value_parser = clap::value_parser!(u8).range(1..=128))]
    pub prefix6: Option<u8>,
    /// Who sets the addresses: guest (its own files), lxc [default: guest]
    #[arg(long, global = true, value_name = "WHO")]
    pub addresses: Option<AddressText>,
    /// How the addresses of venet0 reach the container: bridge, routed (LXC 4.0 and later) [default: bridge]
    #[arg(long, global = true, value_name = "MODE")]
    pub network_mode: Option<NetworkText>,
    /// Routed: interface of this host that answers for the addresses [default: that of the default route]
    #[arg(long, global = true, value_name = "INTERFACE")]
    pub uplink: Option<String>,
    /// Give the container a user name space: its root is no root on this host
    #[arg(long, global = true)]
    pub unprivileged: bool,
    /// Ids of an unprivileged container [default: the first free range of this host]
    #[arg(long, global = true, value_name = "BASE:COUNT")]
    pub id_range: Option<IdRangeText>,
    /// Approximate a parameter that has no equivalent (docs/parameters.md); may be repeated
    #[arg(long, global = true, value_name = "KEY", value_delimiter = ',')]
    pub approximate: Vec<ApproximateText>,
    /// LXC version to write for [default: the installed one]
    #[arg(long, global = true, value_name = "VERSION")]
    pub lxc: Option<LxcText>,
    /// Control groups to write for: v1, v2, both [default: this host's]
    #[arg(long, global = true, value_name = "VERSION")]
    pub cgroup: Option<CgroupText>,
    /// Copy engine: auto, stream, rsync [default: auto]
    #[arg(long, global = true, value_parser = engine)]
    pub engine: Option<EngineChoice>,
    /// Compare with the source after the last copy: none, metadata, content [default: metadata]
    #[arg(long, global = true, value_name = "WHAT")]
    pub verify: Option<VerifyText>,
    /// Streams at once [default: by the cores of both sides]
    #[arg(long, global = true, value_name = "N")]
    pub streams: Option<StreamCount>,
    /// Compress what travels: auto (when the link is slow), none, gzip, zstd, lz4 [default: auto]
    #[arg(long, global = true, value_name = "HOW")]
    pub compress: Option<CompressText>,
    /// Most bytes a second that a copy takes of the link, such as 10M
    #[arg(long, global = true, value_name = "RATE")]
    pub bwlimit: Option<BwlimitText>,
    /// Run the source's programs with the usual CPU and I/O priority, not with the lowest
    #[arg(long, global = true)]
    pub full_speed: bool,
    /// Accept a finding that would otherwise block; may be repeated
    #[arg(long, global = true, value_name = "ID")]
    pub accept: Vec<String>,
    /// Do not apply this fixup module; may be repeated
    #[arg(long, global = true, value_name = "ID")]
    pub skip_fixup: Vec<String>,
    /// More fixup modules [default: /etc/ovz2lxc/fixups.d]
    #[arg(long, global = true, value_name = "DIR")]
    pub fixups_dir: Option<PathBuf>,
}

fn engine(text: &str) -> Result<EngineChoice, String> {
    match text {
        "auto" => Ok(EngineChoice::Auto),
        "stream" => Ok(EngineChoice::Stream),
        "rsync" => Ok(EngineChoice::Rsync),
        _ => Err("use auto, stream or rsync".into()),
    }
}

/// Returns the options as the strongest layer of settings.
pub(super) fn layer(global: &Global, ssh: &SshOptions, target: &TargetOptions) -> Layer {
    let some = |list: &Vec<String>| (!list.is_empty()).then(|| list.clone());
    let t = target.clone();
    Layer {
        port: ssh.port,
        identity: ssh.identity.clone(),
        known_hosts: ssh.known_hosts.clone(),
        transport: ssh.transport.clone(),
        legacy_algorithms: ssh.legacy_algorithms.then_some(true),
        storage: t.storage,
        vg: t.vg,
        thin_pool: t.thin_pool,
        fs: t.fs,
        volume_dir: t.volume_dir,
        lxc_path: t.lxc_path,
        cluster: t.cluster,
        bridge: t.bridge,
        gateway4: t.gateway4,
        gateway6: t.gateway6,
        prefix4: t.prefix4,
        prefix6: t.prefix6,
        addresses: t.addresses,
        network_mode: t.network_mode,
        uplink: t.uplink,
        unprivileged: t.unprivileged.then_some(true),
        id_range: t.id_range,
        approximate: (!t.approximate.is_empty()).then_some(t.approximate),
        lxc: t.lxc,
        cgroup: t.cgroup,
        engine: t.engine,
        verify: t.verify,
        streams: t.streams,
        compress: t.compress,
        bwlimit: t.bwlimit,
        full_speed: t.full_speed.then_some(true),
        accept: some(&t.accept),
        skip_fixups: some(&t.skip_fixup),
        fixups_dir: t.fixups_dir,
        state_dir: global.state_dir.clone(),
        ..Layer::default()
    }
}

impl super::Cli {
    /// Returns the options as the strongest layer of settings; the command's own options are put on top by the caller.
    pub fn layer(&self) -> Layer {
        layer(&self.global, &self.ssh, &self.target)
    }
}

/// Parses `--size` with the code that reads it from TOML.
pub(super) fn size(text: &str) -> Result<SizeText, String> {
    text.parse::<SizeText>().map_err(|e| e.chain().join(": "))
}
