//! `convert`: a VE configuration alone, without node and target.

use super::{Work, json, tools};
use crate::cli::{ConvertArgs, Format};
use crate::config::Layer;
use crate::error::{Doing, Error, Result};
use crate::guest;
use crate::lxc::{self, Link, Veth};
use crate::model::container::SourceContainer;
use crate::model::ctid::Ctid;
use crate::model::facts::{ClusterFacts, Facts, StorageFacts};
use crate::model::guest::Guest;
use crate::model::network::{GuestPlan, Method};
use crate::model::target::{CgroupMode, LxcVersion, Target};
use crate::model::ve::{Resolver, VeConfig};
use crate::model::volume::StorageKind;
use crate::openvz::{self, ParseContext};
use crate::pipeline::network::{self, Interface};
use crate::pipeline::{configure, planner};
use crate::rootfs::Rootfs;
use crate::runtime::Lxc;
use crate::ui::screens;
use serde_json::{Value, json as value};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// The bridge of an interface for which nobody names one.
const BRIDGE: &str = "br0";

/// Runs `convert`.
pub(super) fn run(work: &Work<'_>, args: &ConvertArgs) -> Result<()> {
    let merged = work.session.merged(&Layer::default(), None);
    let ctid = ctid_of(&args.ve_conf)?;
    let own = read(&args.ve_conf)?;
    let global = args.vz_conf.as_deref().map(read).transpose()?;
    let context = ParseContext {
        node_cpus: args.source_cpus,
        file: args.ve_conf.clone(),
        approximate: merged.settings.approximate,
    };
    let ve = openvz::parse(&ctid, global.as_deref(), &own, &context);
    let unknown = ve.findings.iter().filter(|f| f.id == "ve-unknown-key").count();
    if ve.keys.len() <= unknown {
        return Err(Error::new(format!(
            "{} is not a VE configuration: no line of it means anything",
            args.ve_conf.display()
        ))
        .hint("a container's configuration is CTID.conf in /etc/vz/conf of its node"));
    }
    let plan = args.plan.as_deref().map(tools::read_plan).transpose()?;
    let guest = match &args.rootfs {
        None => Guest::unknown(),
        Some(dir) => guest::detect(&Rootfs::open(dir)?)?,
    };
    let facts = facts(work, ctid, ve, guest, args)?;
    let volume = planner::volume_plan(&facts)?;
    let interfaces = match &plan {
        Some(plan) => planned(&facts, plan)?,
        None => network::interfaces(&facts, Some(BRIDGE))?,
    };
    let rendered = configure::configuration(&facts, &volume, &interfaces)?;
    let (ctid, ve) = (&facts.container.ctid, &facts.container.ve);
    let mut findings = ve.findings.clone();
    findings.extend(rendered.findings);
    match args.format {
        Format::Text => {
            work.screen.print(&screens::converted(&rendered.text, &ve.keys, &findings, work.screen.style()))?;
        }
        Format::Json => work.screen.print(&json(&document(ctid, ve, &rendered.text, &findings))?)?,
    }
    Ok(())
}

/// What a target is taken for: this host where nothing says otherwise, and one without anything special where LXC's
/// version is named, which is some other host's.
fn facts(work: &Work<'_>, ctid: Ctid, ve: VeConfig, guest: Guest, args: &ConvertArgs) -> Result<Facts> {
    let merged = work.session.merged(&Layer::default(), None);
    let mut settings = merged.settings;
    let lxc = Lxc::new(Arc::clone(&work.session.local), &settings.lxc_path, &merged.state_dir.join("logs"))?;
    let here = lxc.inspect().doing(|| "looking at LXC on this host")?;
    let mut target = if settings.lxc_version.is_none() && here.lxc.is_some() {
        here
    } else {
        let (version, both) = (LxcVersion { major: 5, minor: 0 }, CgroupMode::Both);
        Target { lxc: Some(version), cgroup: both, swap_accounting: true, common_conf: None, ..here }
    };
    if let Some(cpus) = args.host_cpus {
        target.cpus = cpus;
    }
    if settings.vg.is_none() {
        settings.storage = StorageKind::Image; // without a volume group there is no path of a logical volume
    }
    let container = SourceContainer::offline(ctid, ve);
    let target_name = planner::target_name(&container, &settings);
    Ok(Facts {
        source: "node".into(),
        container,
        guest,
        target,
        storage: StorageFacts::default(),
        cluster: ClusterFacts::default(),
        settings,
        target_name,
    })
}

/// The interfaces as a plan for fixups has them.
fn planned(facts: &Facts, plan: &GuestPlan) -> Result<Vec<Interface>> {
    let mut all = network::interfaces(facts, Some(BRIDGE))?;
    let found = plan.nics.iter().map(|nic| {
        let at = all.iter().position(|i| i.veth.name == nic.name);
        let mut veth = match at {
            Some(at) => all.remove(at).veth,
            None => {
                let bridge = facts.bridge(None).unwrap_or(BRIDGE);
                Veth::new(&nic.name, lxc::mac_for(facts.container.ctid.as_str(), &nic.name), Link::bridge(bridge))
            }
        };
        if let Some(mac) = &nic.mac {
            veth.mac.clone_from(mac);
        }
        Interface { veth: with_addresses(veth, nic), nic: Some(nic.clone()) }
    });
    Ok(found.collect())
}

/// The file's name tells the CTID, as it does on a node; any other name (a sample, a copy) stands for container 1.
fn ctid_of(path: &Path) -> Result<Ctid> {
    let stem = path.file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    Ctid::parse(&stem).or_else(|_| Ctid::parse("1"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    const LIMIT: u64 = 64 * 1024 * 1024;
    let doing = || format!("reading {}", path.display());
    let file = std::fs::File::open(path).doing(doing)?;
    if !file.metadata().doing(doing)?.is_file() {
        return Err(Error::new("not a regular file")).doing(doing);
    }
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).doing(doing)?;
    if bytes.len() as u64 > LIMIT { Err(Error::new("the file is larger than 64 MiB")).doing(doing) } else { Ok(bytes) }
}

fn with_addresses(mut veth: Veth, nic: &crate::model::network::Nic) -> Veth {
    veth.mtu = nic.mtu;
    if nic.method == Method::None {
        veth.addresses.clone_from(&nic.addresses);
        veth.gateway4 = nic.gateway4;
        veth.gateway6 = nic.gateway6;
    }
    veth
}

/// The document of the contract.
fn document(ctid: &Ctid, ve: &VeConfig, text: &str, findings: &[crate::model::finding::Finding]) -> Value {
    let list = |resolver: &Resolver| match resolver {
        Resolver::Unset => Vec::new(),
        Resolver::Inherit => vec!["inherit".to_owned()],
        Resolver::List(list) => list.clone(),
    };
    let devices: Vec<Value> = ve
        .devices
        .iter()
        .map(|d| value!({ "kind": d.kind, "major": d.major, "minor": d.minor, "access": d.access, "path": d.path }))
        .collect();
    value!({
        "schema": 1,
        "ctid": ctid,
        "hostname": ve.hostname,
        "nameservers": list(&ve.nameservers),
        "searchdomains": list(&ve.searchdomains),
        "limits": ve.limits,
        "network": { "venet": ve.venet, "veth": ve.veth },
        "onboot": ve.onboot,
        "bootorder": ve.bootorder,
        "capabilities": ve.capabilities,
        "features": ve.features,
        "devices": devices,
        "lxc_config": text,
        "keys": ve.keys,
        "findings": findings,
    })
}
