//! Facts to the LXC configuration: of a migration, and of `convert`.

use super::network::Interface;
use crate::error::Result;
use crate::lxc::{self, Abilities, ContainerConfig, Dialect, IdMap, RootfsPath};
use crate::model::facts::Facts;
use crate::model::resource::ClusterChoice;
use crate::model::settings::IdRange;
use crate::model::target::LxcVersion;
use crate::model::volume::{StorageKind, VolumePlan};

/// The name of the script beside the configuration.
pub const HOOK: &str = "start-host";
/// Ids that a container gets when nobody says how many.
const IDS: u32 = 65_536;
/// The first id that is given away when nobody says which: where distributions let useradd begin with subordinate ids.
const FIRST_ID: u32 = 100_000;
/// The first LXC and kernel that mount a directory with its ids mapped.
const IDMAPPED: (u32, (u32, u32)) = (5, (5, 12));

/// What a configuration is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// A migration: autostart stays off until the container is accepted.
    Migration,
    /// A look at what a VE configuration becomes: autostart as ONBOOT has it.
    Conversion,
}

/// Writes the container's configuration.
pub fn configuration(
    facts: &Facts,
    volume: &VolumePlan,
    interfaces: &[Interface],
    purpose: Purpose,
) -> Result<lxc::Rendered> {
    let (target, settings, ve) = (&facts.target, &facts.settings, &facts.container.ve);
    let rootfs = match volume.kind {
        StorageKind::Image => RootfsPath::Loop(volume.path.clone()),
        StorageKind::Dir => RootfsPath::Dir(volume.path.clone()),
        StorageKind::Lvm | StorageKind::LvmThin => RootfsPath::Device(volume.path.clone()),
    };
    let directory = settings.lxc_path.join(&facts.target_name);
    let origin = match purpose {
        Purpose::Migration => format!("{} of {}, migrated", facts.container.ctid, facts.source),
        Purpose::Conversion => format!("{}, converted", facts.container.ctid),
    };
    let mut comments = vec![format!("OpenVZ container {origin} by ovz2lxc")];
    comments.extend(ve.description.clone());
    let config = ContainerConfig {
        hostname: ve.hostname.clone().unwrap_or_else(|| facts.target_name.clone()),
        arch: if facts.guest.arch.is_empty() { target.arch.clone() } else { facts.guest.arch.clone() },
        nics: interfaces.iter().map(|i| i.veth.clone()).collect(),
        limits: ve.limits.clone(),
        ttys: settings.ttys,
        drop_capabilities: ve.capabilities.off.clone(),
        keep_capabilities: ve.capabilities.on.clone(),
        devices: ve.devices.clone(),
        mount_types: ve.mount_types(),
        include: target.common_conf.clone(),
        init: facts.guest.init,
        family: facts.guest.family,
        apparmor: target.apparmor,
        console_log: Some(directory.join("console.log")),
        autostart: purpose == Purpose::Conversion && autostart(facts),
        boot_order: ve.bootorder,
        net_devices: ve.net_devices.clone(),
        sysfs: ve.features.get("sysfs") != Some(&false),
        idmap: idmap(facts),
        userns_include: target.userns_conf.clone(),
        features: ve.features.clone(),
        hook: Some(directory.join(HOOK)),
        comments,
        ..ContainerConfig::new(facts.target_name.clone(), rootfs)
    };
    let dialect = Dialect { version: version(facts), cgroup: settings.cgroup.unwrap_or(target.cgroup) };
    let host = Abilities {
        cpus: target.cpus,
        numa_nodes: target.numa_nodes,
        swap_accounting: target.swap_accounting,
        pids: target.pids,
    };
    lxc::render(&config, &dialect, &host)
}

/// Tells whether the container is to start with its host: as on the source, where ONBOOT unset means "when it ran before",
/// unless it is disabled or a cluster starts it.
pub fn autostart(facts: &Facts) -> bool {
    let (ve, ran) = (&facts.container.ve, facts.container.starts());
    let clustered =
        facts.cluster.present || !matches!(facts.settings.cluster, ClusterChoice::Auto | ClusterChoice::None);
    ve.onboot.unwrap_or(ran) && !ve.disabled && !clustered
}

/// Returns the LXC version that is written for.
pub fn version(facts: &Facts) -> LxcVersion {
    facts.settings.lxc_version.or(facts.target.lxc).unwrap_or(LxcVersion::ASSUMED)
}

/// Returns the user name space of an unprivileged container: the operator's ids or the first that no configuration under
/// the LXC path uses. Only a directory can be mounted with its ids mapped: LXC refuses it for devices and images (ran, 5.0.2).
pub fn idmap(facts: &Facts) -> Option<IdMap> {
    let settings = &facts.settings;
    let (lxc, kernel) = IDMAPPED;
    let mounted = settings.storage == StorageKind::Dir && version(facts).major >= lxc && facts.target.kernel >= kernel;
    let range = settings.id_range.unwrap_or_else(|| free_range(&facts.target.id_ranges));
    settings.unprivileged.then_some(IdMap { range, mounted })
}

fn free_range(taken: &[IdRange]) -> IdRange {
    let overlapping = |base: u32| taken.iter().find(|r| r.overlaps(&IdRange { base, count: IDS }));
    let mut base = FIRST_ID;
    while let Some(range) = overlapping(base) {
        let Some(next) = range.base.checked_add(range.count).filter(|n| n.checked_add(IDS).is_some()) else { break };
        base = next;
    }
    IdRange { base, count: IDS }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::tests::good;

    #[test]
    fn a_range_that_nobody_uses() {
        let range = |base, count| IdRange { base, count };
        assert_eq!(free_range(&[]), range(100_000, 65_536));
        assert_eq!(free_range(&[range(100_000, 65_536)]), range(165_536, 65_536));
        let taken = [range(200_000, 65_536), range(90_000, 20_000)];
        assert_eq!(free_range(&taken), range(110_000, 65_536));
    }

    #[test]
    fn only_a_directory_is_mounted_with_mapped_ids() {
        let mut facts = good();
        assert_eq!(idmap(&facts), None);
        facts.settings.unprivileged = true;
        assert!(!idmap(&facts).unwrap().mounted);
        facts.settings.storage = StorageKind::Dir;
        assert!(idmap(&facts).unwrap().mounted);
        facts.target.kernel = (5, 10);
        assert!(!idmap(&facts).unwrap().mounted);
    }
}
