//! Every rule with what makes it speak.

use crate::model::container::{Access, Origin, Status};
use crate::model::facts::Facts;
use crate::model::guest::{Init, NetworkDialect};
use crate::model::settings::{IdRange, NetworkMode};
use crate::model::size::{Bytes, GIB};
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::ve::{DeviceRule, KeyAnswer, Outcome, VenetAddress, VethInterface};
use crate::model::volume::StorageKind;
use std::collections::BTreeMap;

/// A change to facts about a container that could move as it is.
pub(super) type Change = fn(&mut Facts);

/// Every rule with what makes it speak: nothing else may speak with it.
pub(super) const CASES: &[(&str, Change)] = &[
    ("source-suspended", |f| {
        f.container.status = Status::Suspended;
        f.container.dump = true;
    }),
    ("source-dump", |f| f.container.dump = true),
    ("source-disabled", |f| f.container.ve.disabled = true),
    ("source-mounted", |f| f.container.status = Status::Mounted),
    ("source-no-node", |f| f.container.origin = Origin::Disk),
    ("source-image", |f| f.container.access = Access::Image),
    ("source-action-script", |f| f.container.action_scripts = vec!["101.mount".into()]),
    ("source-user-quota", |f| f.container.ve.quota_ugid_limit = Some(100)),
    ("target-lxc-missing", |f| f.target.lxc = None),
    ("target-name-taken", |f| f.target.containers.push("lxc-web1".into())),
    ("target-swap-accounting", |f| {
        f.target.cgroup = CgroupMode::V1;
        f.target.swap_accounting = false;
        f.container.ve.limits.swap_bytes = Some(GIB);
    }),
    ("guest-architecture", |f| f.target.arch = "aarch64".into()),
    ("guest-vsyscall", |f| f.guest.libc = "2.12".into()),
    ("guest-systemd-cgroup", |f| f.guest.systemd_version = Some(219)),
    ("guest-systemd-unknown", |f| f.guest.systemd_version = None),
    ("guest-init-unknown", |f| f.guest.init = Init::Unknown),
    ("guest-32bit", |f| f.guest.arch = "i686".into()),
    ("storage-trouble", |f| f.storage.trouble = Some("mkfs.ext4 is not installed".into())),
    ("volume-exists", |f| f.storage.exists = true),
    ("volume-too-small", |f| f.settings.size = Some(Bytes(GIB))),
    ("storage-no-space", |f| f.storage.free = Some(Bytes(GIB))),
    ("storage-overcommitted", |f| f.container.ve.limits.disk_bytes = Some(200 * GIB)),
    ("storage-space-unknown", |f| f.storage.free = None),
    ("storage-on-host", |f| f.settings.storage = StorageKind::Dir),
    ("network-bridge-unknown", |f| f.settings.networks[0].bridge = None),
    ("network-bridge-missing", |f| f.settings.networks[0].bridge = Some("br9".into())),
    ("network-dialect-unknown", |f| f.guest.network = NetworkDialect::Unknown),
    ("network-gateway-unknown", |f| f.settings.networks[0].gateway = None),
    ("network-routed-unsupported", |f| {
        f.settings.network = NetworkMode::Routed;
        f.target.lxc = Some(LxcVersion { major: 3, minor: 1 });
    }),
    ("network-forwarding", |f| {
        f.settings.network = NetworkMode::Routed;
        f.target.forwarding.v4 = false;
    }),
    ("network-proxy-ndp", |f| {
        f.settings.network = NetworkMode::Routed;
        f.settings.uplink = Some("eth1".into());
        f.container.ve.venet = vec![VenetAddress { address: "2001:db8::1".parse().unwrap(), prefix: 128 }];
    }),
    ("network-gateway-unused", |f| {
        f.settings.network = NetworkMode::Routed;
        f.settings.gateway4 = Some("10.0.0.1".parse().unwrap());
    }),
    ("network-uplink-unknown", |f| {
        f.settings.network = NetworkMode::Routed;
        f.target.uplink = None;
    }),
    ("network-vlan-unsupported", |f| {
        f.settings.networks[0].vlan = Some(10);
        f.target.lxc = Some(LxcVersion { major: 4, minor: 0 });
    }),
    ("network-host-name-taken", |f| {
        f.target.host_ifnames = vec!["veth101.0".into()];
        f.container.ve.veth = vec![VethInterface {
            ifname: "eth1".into(),
            host_ifname: Some("veth101.0".into()),
            bridge: Some("br0".into()),
            ..VethInterface::default()
        }];
    }),
    ("unprivileged-ids-taken", |f| {
        f.settings.unprivileged = true;
        f.settings.id_range = Some(IdRange { base: 200_000, count: 65_536 });
        f.target.id_ranges = vec![IdRange { base: 265_535, count: 1 }];
    }),
    ("unprivileged-path-closed", |f| {
        f.settings.unprivileged = true;
        f.target.closed_dirs = vec!["/var/lib/lxc".into()];
    }),
    ("unprivileged-device", |f| {
        f.settings.unprivileged = true;
        let device = |kind, path: &str| DeviceRule {
            kind,
            major: None,
            minor: None,
            access: "rw".into(),
            path: Some(path.into()),
        };
        f.container.ve.devices = vec![device('c', "net/tun"), device('b', "sdb")];
    }),
    ("unprivileged-capability", |f| {
        f.settings.unprivileged = true;
        f.container.ve.capabilities.on = vec!["sys_time".into(), "net_admin".into()];
    }),
    ("boot-order-cluster", |f| {
        f.cluster.present = true;
        f.container.ve.bootorder = Some(5_000_000);
    }),
    ("cluster-trouble", |f| f.cluster.trouble = Some("no quorum".into())),
    ("cluster-resource-exists", |f| f.cluster.resource_exists = true),
    ("ve-key-blocked", |f| {
        f.container.ve.keys.push(KeyAnswer {
            key: "PCI".into(),
            value: "0:1.0".into(),
            outcome: Outcome::Blocked,
            into: String::new(),
            why: String::new(),
            origin: String::new(),
            known: true,
        });
    }),
    ("capability-no-equivalent", |f| f.container.ve.capabilities.on = vec!["ve_admin".into(), "net_admin".into()]),
    ("feature-no-equivalent", |f| {
        f.container.ve.features = BTreeMap::from([("nfsd".into(), true), ("sit".into(), false)]);
    }),
    ("feature-host-module", |f| f.container.ve.features = BTreeMap::from([("ppp".into(), true)])),
    ("accept-unused", |f| f.settings.accept = vec!["no-such-finding".into(), "no-such-finding".into()]),
];
