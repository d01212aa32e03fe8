//! Everything that was found out before anything is touched: the input of the checks and of the planner.

use crate::model::container::SourceContainer;
use crate::model::guest::Guest;
use crate::model::settings::Settings;
use crate::model::size::{Bytes, MIB};
use crate::model::target::Target;
use crate::model::ve::VenetAddress;
use crate::model::volume::{FileSystem, StorageKind};
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the target's storage says about the volume to be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct StorageFacts {
    /// Bytes that can still be had; `None` when it cannot be known.
    pub free: Option<Bytes>,
    /// Inodes that can still be had (`dir`); `None` when it does not matter or cannot be known.
    pub free_inodes: Option<u64>,
    /// Something with the volume's name exists already.
    pub exists: bool,
    /// What was looked at ("volume group shared_vg", "/var/lib/lxc on ext4").
    pub place: String,
    /// A program that is missing, or another reason why this storage cannot work here.
    pub trouble: Option<String>,
    /// The volume group is shared between the nodes of a cluster, so that volumes are activated exclusively.
    #[serde(default)]
    pub shared: bool,
}

/// What the cluster says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ClusterFacts {
    /// A cluster is in use.
    pub present: bool,
    /// A resource with the container's id exists already.
    pub resource_exists: bool,
    /// The clone that mounts the LXC path on every node.
    pub shared_fs: Option<String>,
    /// What is wrong, when something is.
    pub trouble: Option<String>,
    /// What is worth knowing and not in the way: fencing off, no stickiness.
    #[serde(default)]
    pub notes: Vec<String>,
}

/// Everything that was found out about one migration.
#[derive(Debug, Clone)]
pub struct Facts {
    /// The source node, as the operator named it.
    pub source: String,
    /// The container.
    pub container: SourceContainer,
    /// What is inside it; unknown when its tree could not be looked at.
    pub guest: Guest,
    /// This host.
    pub target: Target,
    /// The storage, for the planned volume.
    pub storage: StorageFacts,
    /// The cluster.
    pub cluster: ClusterFacts,
    /// The settings in force for this container.
    pub settings: Settings,
    /// The target's name, `lxc-NAME`.
    pub target_name: String,
}

/// Where an address of venet0 belongs on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement<'a> {
    /// Prefix length: that of the operator's subnet, of the VE configuration, or the operator's default; `None` when
    /// nobody says one, so that the address stays a host address.
    pub prefix: Option<u8>,
    /// Gateway of the subnet, or the operator's default.
    pub gateway: Option<IpAddr>,
    /// Bridge, when one is known (it may not exist).
    pub bridge: Option<&'a str>,
    /// MTU of the subnet.
    pub mtu: Option<u32>,
    /// VLAN of the subnet.
    pub vlan: Option<u16>,
}

impl Facts {
    /// Places an address of venet0: the smallest subnet of the settings that holds it decides, then the defaults.
    pub fn place(&self, address: &VenetAddress) -> Placement<'_> {
        let settings = &self.settings;
        let holding = settings.networks.iter().filter(|n| n.subnet.contains(&address.address));
        let subnet = holding.max_by_key(|n| n.subnet.prefix_len());
        let (host, default_prefix, default_gateway) = match address.address {
            IpAddr::V4(_) => (32, settings.prefix4, settings.gateway4.map(IpAddr::from)),
            IpAddr::V6(_) => (128, settings.prefix6, settings.gateway6.map(IpAddr::from)),
        };
        let own = (address.prefix < host).then_some(address.prefix);
        Placement {
            prefix: subnet.map(|n| n.subnet.prefix_len()).or(own).or(default_prefix),
            gateway: subnet.and_then(|n| n.gateway).or(default_gateway),
            bridge: subnet.and_then(|n| n.bridge.as_deref()).or_else(|| self.bridge(None)),
            mtu: subnet.and_then(|n| n.mtu),
            vlan: subnet.and_then(|n| n.vlan),
        }
    }

    /// Returns the bridge of an interface without a subnet: the operator's, the one of the same name as on the source
    /// if the target has it, or the only one that the target has.
    pub fn bridge<'a>(&'a self, on_source: Option<&'a str>) -> Option<&'a str> {
        let bridges = &self.target.bridges;
        let same = on_source.filter(|name| bridges.iter().any(|b| b == name));
        let only = if let [one] = bridges.as_slice() { Some(one.as_str()) } else { None };
        self.settings.bridge.as_deref().or(same).or(only)
    }
}

/// Returns the size of the volume to be made, a multiple of 4 MiB, and the least number of inodes for mkfs.ext4 -N.
///
/// The operator's `size` wins. Otherwise DISKSPACE, when the data fit in it with 5 % to spare, and when they do not, the
/// usage with the headroom and 256 MiB for journal and inode tables; never less than 512 MiB. Inodes: DISKINODES or 1.3
/// times those in use, whatever is more, but DISKINODES no further than one a block, which mkfs would refuse.
pub fn needed_size(facts: &Facts) -> (Bytes, Option<u64>) {
    let limits = &facts.container.ve.limits;
    let by_limit = || limits.disk_bytes.filter(|limit| *limit >= least_size(facts).0);
    let by_usage = || usage_with_headroom(facts).0.saturating_add(256 * MIB);
    let size = match facts.settings.size {
        Some(size) => size.0,
        None => by_limit().unwrap_or_else(by_usage).max(512 * MIB),
    };
    let size = Bytes(size).round_up(4 * MIB);
    let ext4 = facts.settings.storage != StorageKind::Dir && facts.settings.fs == FileSystem::Ext4;
    let inodes = needed_inodes(facts).max(limits.disk_inodes.unwrap_or(0).min(size.0 / 4096));
    (size, (ext4 && inodes > 0).then_some(inodes))
}

/// Returns the size below which the data do not fit: the usage and 5 % for the file system's own needs.
pub fn least_size(facts: &Facts) -> Bytes {
    least_for(facts.container.usage.bytes)
}

/// Returns the size below which so much data do not fit.
pub fn least_for(usage: Bytes) -> Bytes {
    Bytes(percent(usage.0, 105))
}

/// Returns the usage with the settings' headroom: what the storage should have free, whatever the volume's size says.
pub fn usage_with_headroom(facts: &Facts) -> Bytes {
    Bytes(percent(facts.container.usage.bytes.0, 100 + u64::from(facts.settings.headroom_percent)))
}

/// Returns the inodes that the data need, with room to grow.
pub fn needed_inodes(facts: &Facts) -> u64 {
    percent(facts.container.usage.inodes, 130)
}

fn percent(number: u64, percent: u64) -> u64 {
    u64::try_from(u128::from(number) * u128::from(percent) / 100).unwrap_or(u64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::model::container::{Layout, Status, Usage};
    use crate::model::ctid::Ctid;
    use crate::model::guest::{Family, Init, NetworkDialect};
    use crate::model::settings::Subnet;
    use crate::model::size::GIB;
    use crate::model::target::{CgroupMode, LxcVersion};
    use crate::model::ve::VeConfig;

    /// A container that can move as it is: no finding at all.
    pub(crate) fn good() -> Facts {
        let net = Subnet {
            subnet: "10.0.0.0/24".parse().unwrap(),
            bridge: Some("br0".into()),
            gateway: Some("10.0.0.1".parse().unwrap()),
            mtu: None,
            vlan: None,
        };
        let venet = VenetAddress { address: "10.0.0.101".parse().unwrap(), prefix: 32 };
        Facts {
            source: "root@vz1".into(),
            container: SourceContainer {
                ctid: Ctid::parse("101").unwrap(),
                ve: VeConfig { venet: vec![venet], hostname: Some("web1.example.com".into()), ..VeConfig::default() },
                config_path: "/etc/vz/conf/101.conf".into(),
                config_text: String::new(),
                status: Status::Running,
                layout: Layout::Simfs,
                origin: crate::model::container::Origin::Node,
                access: crate::model::container::Access::Open,
                private: "/vz/private/101".into(),
                root: "/vz/root/101".into(),
                tree: "/vz/private/101".into(),
                usage: Usage { bytes: Bytes(GIB), inodes: 30_000 },
                dump: false,
                action_scripts: vec![],
                node_cpus: 4,
                node_nameservers: vec![],
                node_searchdomains: vec![],
            },
            guest: Guest {
                distro: "debian".into(),
                family: Family::Debian,
                version: "12".into(),
                init: Init::Systemd,
                systemd_version: Some(252),
                arch: "x86_64".into(),
                libc: "2.36".into(),
                network: NetworkDialect::Ifupdown,
            },
            target: Target {
                lxc: Some(LxcVersion { major: 5, minor: 0 }),
                cgroup: CgroupMode::V2,
                bridges: vec!["br0".into(), "br1".into()],
                containers: vec!["lxc-other".into()],
                cpus: 4,
                swap_accounting: true,
                pids: true,
                common_conf: None,
                apparmor: false,
                vsyscall_none: true,
                hostname: "node1".into(),
                arch: "x86_64".into(),
                numa_nodes: 1,
                kernel: (6, 1),
                userns_conf: None,
                uplink: Some("eth0".into()),
                forwarding: crate::model::target::Forwarding { v4: true, v6: true, proxy_ndp: vec!["eth0".into()] },
                host_ifnames: vec![],
                closed_dirs: vec![],
                id_ranges: vec![],
            },
            storage: StorageFacts {
                free: Some(Bytes(100 * GIB)),
                free_inodes: None,
                exists: false,
                place: "/var/lib/lxc on ext4".into(),
                trouble: None,
                shared: false,
            },
            cluster: ClusterFacts::default(),
            settings: Settings { networks: vec![net], ..Settings::default() },
            target_name: "lxc-web1".into(),
        }
    }

    #[test]
    fn the_size_comes_from_the_operator_the_limit_or_the_usage() {
        let mut facts = good();
        assert_eq!(needed_size(&facts).0, Bytes(1588 * MIB), "1 GiB and 30 % and 256 MiB, in steps of 4 MiB");
        facts.container.ve.limits.disk_bytes = Some(10 * GIB + 1);
        assert_eq!(needed_size(&facts).0, Bytes(10 * GIB + 4 * MIB));
        facts.container.ve.limits.disk_bytes = Some(GIB + MIB);
        assert_eq!(needed_size(&facts).0, Bytes(1588 * MIB), "a limit that the data fill is no measure");
        facts.settings.size = Some(Bytes(3 * GIB - 1));
        assert_eq!(needed_size(&facts).0, Bytes(3 * GIB));
        facts.settings.size = None;
        facts.container.ve.limits.disk_bytes = Some(1);
        facts.container.usage = Usage::default();
        assert_eq!(needed_size(&facts), (Bytes(512 * MIB), None));
    }

    #[test]
    fn inodes_are_for_ext4_and_bounded_by_the_blocks() {
        let mut facts = good();
        assert_eq!(needed_size(&facts).1, Some(39_000));
        facts.container.ve.limits.disk_inodes = Some(200_000);
        assert_eq!(needed_size(&facts).1, Some(200_000));
        facts.container.ve.limits.disk_inodes = Some(u64::MAX);
        assert_eq!(needed_size(&facts).1, Some(1588 * MIB / 4096));
        facts.settings.fs = FileSystem::Xfs;
        assert_eq!(needed_size(&facts).1, None);
    }

    #[test]
    fn the_smallest_subnet_places_an_address() {
        let mut facts = good();
        let wide =
            Subnet { subnet: "10.0.0.0/8".parse().unwrap(), bridge: None, gateway: None, mtu: Some(1400), vlan: None };
        facts.settings.networks.push(wide);
        let place = |facts: &Facts, text: &str, prefix| {
            let p = facts.place(&VenetAddress { address: text.parse().unwrap(), prefix });
            (p.prefix, p.gateway.map(|g| g.to_string()), p.bridge.map(str::to_owned), p.mtu)
        };
        assert_eq!(place(&facts, "10.0.0.7", 32), (Some(24), Some("10.0.0.1".into()), Some("br0".into()), None));
        assert_eq!(place(&facts, "10.9.0.7", 32), (Some(8), None, None, Some(1400)));
        assert_eq!(place(&facts, "192.168.1.7", 32), (None, None, None, None));
        assert_eq!(place(&facts, "192.168.1.7", 25).0, Some(25));
        facts.settings.prefix4 = Some(16);
        facts.settings.gateway4 = Some("192.168.0.1".parse().unwrap());
        facts.settings.bridge = Some("br9".into());
        let want = (Some(16), Some("192.168.0.1".into()), Some("br9".into()), None);
        assert_eq!(place(&facts, "192.168.1.7", 32), want);
        assert_eq!(place(&facts, "2001:db8::1", 128).0, None);
    }

    #[test]
    fn a_bridge_is_named_the_same_or_the_only_one() {
        let mut facts = good();
        assert_eq!(facts.bridge(None), None);
        assert_eq!(facts.bridge(Some("br1")), Some("br1"));
        assert_eq!(facts.bridge(Some("vzbr0")), None);
        facts.target.bridges = vec!["lxcbr0".into()];
        assert_eq!(facts.bridge(Some("vzbr0")), Some("lxcbr0"));
    }
}
