//! For whom a conversion is made: this host, or one of which only LXC's version is known.

use crate::app::Work;
use crate::cli::ConvertArgs;
use crate::config::Merged;
use crate::error::{Doing, Result};
use crate::lxc::{Link, Veth};
use crate::model::container::SourceContainer;
use crate::model::ctid::Ctid;
use crate::model::facts::{ClusterFacts, Facts, StorageFacts};
use crate::model::finding::Finding;
use crate::model::guest::Guest;
use crate::model::network::GuestPlan;
use crate::model::settings::AddressMode;
use crate::model::target::{CgroupMode, Forwarding, LxcVersion, Target};
use crate::model::ve::VeConfig;
use crate::model::volume::StorageKind;
use crate::pipeline::network::{self, Interface};
use crate::pipeline::planner;
use crate::runtime::Lxc;
use std::net::IpAddr;
use std::sync::Arc;

/// The bridge of an interface for which nobody names one.
pub(super) const BRIDGE: &str = "br0";
/// The kernel of a host of which nothing is known but that its LXC is recent.
const KERNEL: (u32, u32) = (6, 0);

/// Makes the facts of a conversion. The target is this host where nothing says otherwise, and one without anything special
/// where LXC's version is named: that is some other host's.
pub(super) fn facts(
    work: &Work<'_>,
    merged: Merged,
    ctid: Ctid,
    mut ve: VeConfig,
    guest: Guest,
    plan: Option<&GuestPlan>,
    args: &ConvertArgs,
) -> Result<Facts> {
    let mut settings = merged.settings;
    if merged.shown.iter().any(|s| s.key == "addresses" && s.origin == "default") {
        settings.addresses = AddressMode::Lxc; // nobody writes them into the guest's files here
    }
    let lxc = Lxc::new(Arc::clone(&work.session.local), &settings.lxc_path, &merged.state_dir.join("logs"))?;
    let here = lxc.inspect().doing(|| "looking at LXC on this host")?;
    let mut target =
        if settings.lxc_version.is_none() && here.lxc.is_some() { here } else { elsewhere(here, settings.lxc_version) };
    if let Some(cpus) = args.host_cpus {
        target.cpus = cpus;
    }
    if let Some(nodes) = args.host_nodes {
        target.numa_nodes = nodes;
    }
    if matches!(settings.storage, StorageKind::Lvm | StorageKind::LvmThin) && settings.vg.is_none() {
        settings.storage = StorageKind::Image; // without a volume group there is no path of a logical volume
    }
    if let Some(plan) = plan {
        settings.ttys = plan.ttys;
        settings.unprivileged |= !plan.privileged;
        ve.hostname = Some(plan.hostname.clone());
    }
    let container = SourceContainer::offline(ctid, ve);
    let target_name = planner::target_name(&container, &settings);
    Ok(Facts {
        source: String::new(),
        container,
        guest,
        target,
        storage: StorageFacts::default(),
        cluster: ClusterFacts::default(),
        settings,
        target_name,
    })
}

/// Another host: nothing of this one holds for it but what everybody has.
fn elsewhere(here: Target, named: Option<LxcVersion>) -> Target {
    let version = named.unwrap_or(LxcVersion::ASSUMED);
    Target {
        lxc: Some(version),
        // The kernels of LXC before 2.1 mostly count no processes, and the start fails where the file is missing.
        pids: version >= LxcVersion { major: 2, minor: 1 },
        cgroup: CgroupMode::Both,
        bridges: Vec::new(),
        containers: Vec::new(),
        swap_accounting: true,
        common_conf: None,
        userns_conf: None,
        apparmor: false,
        kernel: KERNEL,
        uplink: None,
        forwarding: Forwarding::default(),
        host_ifnames: Vec::new(),
        closed_dirs: Vec::new(),
        id_ranges: Vec::new(),
        ..here
    }
}

/// The interfaces as a plan for fixups has them; those that it does not name stay as they are. What the plan leaves out of
/// the configuration's addresses is said.
pub(super) fn planned(facts: &Facts, plan: &GuestPlan, findings: &mut Vec<Finding>) -> Result<Vec<Interface>> {
    let mut rest = network::interfaces(facts, Some(BRIDGE))?;
    let mut all = Vec::new();
    for nic in &plan.nics {
        let at = rest.iter().position(|i| i.veth.name == nic.name);
        let mut veth = match at {
            Some(at) => rest.remove(at).veth,
            None => {
                let bridge = facts.bridge(None).unwrap_or(BRIDGE);
                Veth::new(&nic.name, network::mac(facts, &nic.name), Link::bridge(bridge))
            }
        };
        if let Some(mac) = &nic.mac {
            veth.mac.clone_from(mac);
        }
        all.push(Interface::new(veth, nic.clone()));
    }
    // An interface of NETIF has its addresses in the guest's own files; a successor of venet0 is what the plan is about.
    all.extend(rest.into_iter().filter(|i| i.nic.is_none()));
    let named = |address: &IpAddr| plan.nics.iter().any(|n| n.addresses.iter().any(|a| a.addr() == *address));
    let lost = facts.container.ve.venet.iter().map(|v| v.address).filter(|a| !named(a));
    let lost: Vec<String> = lost.map(|a| a.to_string()).collect();
    if !lost.is_empty() {
        findings.push(
            Finding::warning("plan-address-missing", "the plan leaves out addresses of the VE configuration")
                .detail(format!("no interface of the plan has {}", lost.join(", ")))
                .remedy("add them to the plan if the container is to keep them")
                .subject("IP_ADDRESS"),
        );
    }
    Ok(all)
}
