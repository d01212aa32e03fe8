//! Facts and settings to a plan. Pure: nothing is looked at, nothing is touched.

use super::configure::{self, Purpose};
use super::network::{self, Interface};
use super::plan::{Access, Plan};
use crate::error::{Error, Result};
use crate::model::container::SourceContainer;
use crate::model::facts::{Facts, needed_size};
use crate::model::names;
use crate::model::network::GuestPlan;
use crate::model::resource::ResourcePlan;
use crate::model::settings::Settings;
use crate::model::ve::Resolver;
use crate::model::volume::{StorageKind, VolumePlan};
use crate::openvz::Fenced;
use crate::volume::default_path;
use ipnet::IpNet;
use std::net::IpAddr;
use std::path::Path;

/// vzctl's own default when STOP_TIMEOUT is unset (vzctl src/lib/env.c), in seconds.
const STOP_TIMEOUT: u64 = 120;
/// A container that boots gets this long before the cluster calls its start failed, in seconds.
const START_TIMEOUT: u32 = 120;
/// The agent's stop waits its timeout minus 5 s for a clean shutdown; what it does afterwards needs some of its own.
const AGENT_MARGIN: u64 = 30;

/// Returns the name on the target, `lxc-NAME`: the operator's, or NAME, or the host name's first label, or the CTID.
/// Only letters, digits, `.`, `_` and `-` are kept, for volume groups, Pacemaker and LXC all have to take it.
pub fn target_name(container: &SourceContainer, settings: &Settings) -> String {
    let label = container.ve.hostname.as_deref().and_then(|h| h.split('.').next());
    let wanted = settings.name.as_deref().or(container.ve.name.as_deref()).or(label).unwrap_or_default();
    names::target_name(wanted).unwrap_or_else(|| format!("lxc-{}", container.ctid))
}

/// Returns the volume as the settings want it, with the size that the container needs.
pub fn volume_plan(facts: &Facts) -> Result<VolumePlan> {
    let (settings, name) = (&facts.settings, facts.target_name.as_str());
    let (size, inodes) = needed_size(facts);
    let kind = settings.storage;
    let logical = matches!(kind, StorageKind::Lvm | StorageKind::LvmThin);
    let path = if logical {
        let vg = settings.vg.as_deref().ok_or_else(|| {
            Error::usage("a logical volume needs a volume group")
                .hint("name it with --vg VG, or set vg in the configuration")
        })?;
        Path::new("/dev").join(vg).join(name)
    } else {
        let image = kind == StorageKind::Image;
        default_path(&settings.lxc_path, settings.volume_dir.as_deref(), name, image)
    };
    Ok(VolumePlan {
        kind,
        name: name.to_owned(),
        path,
        vg: settings.vg.clone().filter(|_| logical),
        thin_pool: settings.thin_pool.clone(),
        fs: settings.fs,
        size,
        inodes,
        shared: facts.storage.shared,
    })
}

/// How the migration is reached by a later run.
pub struct Way<'a> {
    /// The source.
    pub access: Access,
    /// The container's state directory.
    pub state: &'a Path,
    /// The cluster's name.
    pub cluster: String,
    /// Whether the source's autostart was on.
    pub autostart: Fenced,
}

/// Decides everything. The checks have run: what they block is not decided here again.
pub fn plan(facts: &Facts, volume: VolumePlan, way: Way<'_>) -> Result<Plan> {
    let settings = &facts.settings;
    let container = &facts.container;
    let name = facts.target_name.clone();
    let nics = network::interfaces(facts, None)?;
    let rendered = configure::configuration(facts, &volume, &nics, Purpose::Migration)?;
    let guest_plan = guest_plan(facts, &nics);
    let mut expected: Vec<IpAddr> = guest_plan.nics.iter().flat_map(|n| n.addresses.iter().map(IpNet::addr)).collect();
    expected.dedup();
    let stop_timeout = settings.stop_timeout.or(container.ve.stop_timeout).unwrap_or(STOP_TIMEOUT);
    let config_path = settings.lxc_path.join(&name).join("config");
    let resource = facts.cluster.present.then(|| resource(facts, &volume, &name, &config_path, stop_timeout));
    let start = container.starts();
    Ok(Plan {
        schema: 1,
        access: way.access,
        autostart: way.autostart,
        guest: facts.guest.clone(),
        mount_point: way.state.join("rootfs"),
        engine: settings.engine,
        tuning: settings.tuning,
        verify: settings.verify,
        live_passes: settings.live_passes.max(1),
        stop_timeout,
        guest_plan,
        fixups_dir: settings.fixups_dir.clone(),
        skip_fixups: settings.skip_fixups.clone(),
        lxc_path: settings.lxc_path.clone(),
        config_path,
        config_text: rendered.text,
        hook: rendered.hook,
        idmap: configure::idmap(facts),
        autostart_target: configure::autostart(facts),
        cluster: way.cluster,
        resource,
        health_timeout: settings.health_timeout,
        health_login: settings.health_login,
        expected_addresses: expected,
        start,
        findings: rendered.findings,
        container: container.clone(),
        name,
        volume,
    })
}

fn guest_plan(facts: &Facts, interfaces: &[Interface]) -> GuestPlan {
    let container = &facts.container;
    let list = |resolver: &Resolver, node: &[String]| match resolver {
        Resolver::Unset => Vec::new(),
        Resolver::Inherit => node.to_vec(),
        Resolver::List(list) => list.clone(),
    };
    let servers = list(&container.ve.nameservers, &container.node_nameservers);
    GuestPlan {
        hostname: container.ve.hostname.clone().unwrap_or_else(|| facts.target_name.clone()),
        nameservers: servers.iter().filter_map(|s| s.parse().ok()).collect(),
        searchdomains: list(&container.ve.searchdomains, &container.node_searchdomains),
        ttys: facts.settings.ttys,
        privileged: !facts.settings.unprivileged,
        nics: interfaces.iter().filter_map(|i| i.nic.clone()).collect(),
    }
}

fn resource(facts: &Facts, volume: &VolumePlan, name: &str, config: &Path, stop_timeout: u64) -> ResourcePlan {
    let logical = matches!(volume.kind, StorageKind::Lvm | StorageKind::LvmThin);
    let stop = stop_timeout.saturating_add(AGENT_MARGIN).min(3600);
    ResourcePlan {
        id: name.to_owned(),
        config: config.to_owned(),
        logical_volume: volume.vg.clone().filter(|_| logical).map(|vg| (vg, name.to_owned())),
        lvmlockd: volume.shared,
        shared_fs: facts.settings.shared_fs.clone().or_else(|| facts.cluster.shared_fs.clone()),
        start_timeout: START_TIMEOUT,
        stop_timeout: u32::try_from(stop).unwrap_or(3600),
        monitor_interval: 60,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::model::container::Status;
    use crate::model::facts::tests::good;
    use crate::model::network::Method;
    use crate::model::settings::{AddressMode, Subnet};
    use crate::model::size::{Bytes, GIB};
    use crate::model::ve::{DeviceRule, VenetAddress, VethInterface};

    /// A plan without a cluster.
    pub(in crate::pipeline) fn planned(facts: &Facts) -> Plan {
        let way = Way {
            access: Access::default(),
            state: Path::new("/state/101@vz1"),
            cluster: "none".into(),
            autostart: Fenced { onboot: None, disabled: None, config: "/etc/vz/conf/101.conf".into() },
        };
        plan(facts, volume_plan(facts).unwrap(), way).unwrap()
    }

    fn venet(facts: &mut Facts, addresses: &[&str]) {
        let one = |a: &&str| {
            let net: IpNet = a.parse().unwrap();
            VenetAddress { address: net.addr(), prefix: net.prefix_len() }
        };
        facts.container.ve.venet = addresses.iter().map(one).collect();
    }

    #[test]
    fn names_are_what_every_tool_takes() {
        let mut facts = good();
        let name = |facts: &Facts| target_name(&facts.container, &facts.settings);
        assert_eq!(name(&facts), "lxc-web1", "the first label of the host name");
        facts.container.ve.name = Some("my shop".into());
        assert_eq!(name(&facts), "lxc-my-shop");
        facts.settings.name = Some("lxc-racktables".into());
        assert_eq!(name(&facts), "lxc-racktables", "no second prefix");
        facts.settings.name = Some("../../etc".into());
        assert_eq!(name(&facts), "lxc-etc");
        facts.settings.name = Some("-\n".into());
        assert_eq!(name(&facts), "lxc-101");
    }

    #[test]
    fn one_interface_takes_over_all_addresses_of_a_bridge() {
        let mut facts = good();
        venet(&mut facts, &["10.0.0.101/32", "10.0.0.102/32", "2001:db8::1/64"]);
        facts.settings.bridge = Some("br0".into());
        let plan = planned(&facts);
        let [nic] = plan.guest_plan.nics.as_slice() else { panic!("one interface: {:?}", plan.guest_plan.nics) };
        let addresses: Vec<String> = nic.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.0.0.101/24", "10.0.0.102/24", "2001:db8::1/64"]);
        assert_eq!(nic.gateway4.unwrap().to_string(), "10.0.0.1");
        assert_eq!(nic.gateway6, None);
        assert!(plan.config_text.contains("lxc.net.0.link = br0") && !plan.config_text.contains("ipv4.address"));
        assert_eq!(
            nic.mac.as_deref(),
            planned(&facts).guest_plan.nics[0].mac.as_deref(),
            "the MAC is the same each time"
        );
    }

    #[test]
    fn addresses_on_two_bridges_become_two_interfaces_with_one_default_route() {
        let mut facts = good();
        facts.settings.networks.push(Subnet {
            subnet: "10.1.0.0/16".parse().unwrap(),
            bridge: Some("br1".into()),
            gateway: Some("10.1.0.1".parse().unwrap()),
            mtu: Some(9000),
            vlan: None,
        });
        venet(&mut facts, &["10.0.0.101/32", "10.1.0.5/32"]);
        let plan = planned(&facts);
        let got: Vec<_> = plan.guest_plan.nics.iter().map(|n| (n.name.as_str(), n.gateway4.is_some(), n.mtu)).collect();
        assert_eq!(got, [("eth0", true, None), ("eth1", false, Some(9000))]);
        assert!(plan.config_text.contains("lxc.net.1.link = br1"));
    }

    #[test]
    fn an_interface_of_netif_keeps_name_and_mac_and_its_own_files() {
        let mut facts = good();
        let mac = Some("00:18:51:aa:bb:cc".to_owned());
        facts.container.ve.veth = vec![VethInterface { ifname: "eth0".into(), mac, ..VethInterface::default() }];
        facts.settings.bridge = Some("br0".into());
        let plan = planned(&facts);
        assert_eq!(plan.guest_plan.nics.len(), 1, "only venet's successor is written into the guest");
        assert_eq!(plan.guest_plan.nics[0].name, "eth1", "eth0 is taken");
        assert!(plan.config_text.contains("00:18:51:aa:bb:cc"));
    }

    #[test]
    fn lxc_sets_the_addresses_when_it_is_told_to() {
        let mut facts = good();
        facts.settings.addresses = AddressMode::Lxc;
        let plan = planned(&facts);
        assert_eq!(plan.guest_plan.nics[0].method, Method::None);
        assert!(plan.config_text.contains("lxc.net.0.ipv4.address = 10.0.0.101/24"), "{}", plan.config_text);
    }

    #[test]
    fn a_logical_volume_needs_a_group_and_gets_a_resource_that_activates_it() {
        let mut facts = good();
        facts.settings.storage = StorageKind::Lvm;
        assert!(volume_plan(&facts).is_err());
        facts.settings.vg = Some("shared_vg".into());
        facts.settings.size = Some(Bytes(3 * GIB));
        facts.cluster.present = true;
        facts.cluster.shared_fs = Some("fs-lxc_ct-clone".into());
        facts.container.ve.stop_timeout = Some(200);
        let plan = planned(&facts);
        assert_eq!(plan.volume.path, Path::new("/dev/shared_vg/lxc-web1"));
        let resource = plan.resource.unwrap();
        assert_eq!(resource.logical_volume, Some(("shared_vg".into(), "lxc-web1".into())));
        assert_eq!(resource.stop_timeout, 230, "the agent waits 5 s less, and has to finish");
        assert_eq!(resource.shared_fs.as_deref(), Some("fs-lxc_ct-clone"));
        assert!(plan.config_text.contains("lxc.rootfs.path = lvm:/dev/shared_vg/lxc-web1"), "{}", plan.config_text);
    }

    #[test]
    fn devices_and_mounts_of_the_container_reach_the_configuration() {
        let mut facts = good();
        let tun = DeviceRule { kind: 'c', major: Some(10), minor: Some(200), access: "rw".into(), path: None };
        facts.container.ve.devices = vec![tun];
        facts.container.ve.features.insert("nfs".into(), true);
        facts.target.apparmor = true;
        let plan = planned(&facts);
        assert!(plan.config_text.contains("c 10:200 rw"), "{}", plan.config_text);
        assert!(plan.config_text.contains("fstype=nfs"), "{}", plan.config_text);
    }

    #[test]
    fn resolvers_are_inherited_from_the_node_or_left_alone() {
        let mut facts = good();
        facts.container.node_nameservers = vec!["10.0.0.53".into()];
        assert_eq!(planned(&facts).guest_plan.nameservers.len(), 0);
        facts.container.ve.nameservers = Resolver::Inherit;
        assert_eq!(planned(&facts).guest_plan.nameservers.len(), 1);
    }

    #[test]
    fn it_starts_with_this_host_as_it_did_with_its_node() {
        let with = |onboot: Option<bool>, status: Status, change: fn(&mut Facts)| {
            let mut facts = good();
            facts.container.ve.onboot = onboot;
            facts.container.status = status;
            change(&mut facts);
            planned(&facts)
        };
        let alone = |onboot, status| with(onboot, status, |_| {}).autostart_target;
        assert!(alone(Some(true), Status::Running) && alone(Some(true), Status::Stopped));
        assert!(!alone(Some(false), Status::Running));
        assert!(alone(None, Status::Running) && !alone(None, Status::Stopped), "its node starts again what ran");
        assert!(!with(Some(true), Status::Running, |f| f.container.ve.disabled = true).autostart_target);
        assert!(!with(Some(true), Status::Running, |f| f.cluster.present = true).autostart_target);
        let text = with(Some(true), Status::Running, |_| {}).config_text;
        assert!(text.contains("lxc.start.auto = 0"), "not before it is accepted: {text}");
    }

    #[test]
    fn a_routed_container_must_answer_at_its_addresses_and_its_files_leave_the_interface_alone() {
        let mut facts = good();
        facts.settings.network = crate::model::settings::NetworkMode::Routed;
        venet(&mut facts, &["10.0.0.101/32", "2001:db8::1/64"]);
        let plan = planned(&facts);
        let expected: Vec<String> = plan.expected_addresses.iter().map(ToString::to_string).collect();
        assert_eq!(expected, ["10.0.0.101", "2001:db8::1"]);
        assert_eq!(plan.guest_plan.nics[0].method, Method::None);
        assert!(plan.config_text.contains("lxc.net.0.ipv4.address = 10.0.0.101/32"), "{}", plan.config_text);
    }

    #[test]
    fn an_unprivileged_container_has_its_ids_in_plan_and_configuration() {
        let mut facts = good();
        assert_eq!((planned(&facts).idmap, planned(&facts).guest_plan.privileged), (None, true));
        facts.settings.unprivileged = true;
        let plan = planned(&facts);
        assert_eq!(plan.idmap, configure::idmap(&facts));
        assert!(plan.idmap.is_some() && !plan.guest_plan.privileged);
    }

    #[test]
    fn a_container_that_did_not_run_is_not_started() {
        let mut facts = good();
        facts.container.status = Status::Stopped;
        assert!(!planned(&facts).start);
    }
}
