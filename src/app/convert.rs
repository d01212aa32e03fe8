//! `convert`: a VE configuration alone, without node and target.

use super::{Work, json, tools};
use crate::cli::{ConvertArgs, Format};
use crate::config::Layer;
use crate::error::{Doing, Error, Result};
use crate::guest;
use crate::lxc::{self, ContainerConfig, Dialect, RootfsPath, Veth};
use crate::model::ctid::Ctid;
use crate::model::guest::Guest;
use crate::model::network::{GuestPlan, Method};
use crate::model::target::{CgroupMode, LxcVersion};
use crate::model::ve::{Resolver, VeConfig};
use crate::openvz::{self, ParseContext};
use crate::rootfs::Rootfs;
use crate::ui::screens;
use serde_json::{Value, json as value};
use std::io::Read;
use std::path::Path;

/// Runs `convert`.
pub(super) fn run(work: &Work<'_>, args: &ConvertArgs) -> Result<()> {
    let merged = work.session.merged(&Layer::default(), None);
    let ctid = ctid_of(&args.ve_conf)?;
    let own = read(&args.ve_conf)?;
    let global = args.vz_conf.as_deref().map(read).transpose()?;
    let context = ParseContext { node_cpus: args.source_cpus, file: args.ve_conf.clone() };
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
    let settings = &merged.settings;
    let dialect = Dialect {
        version: settings.lxc_version.unwrap_or(LxcVersion { major: 5, minor: 0 }),
        cgroup: settings.cgroup.unwrap_or(CgroupMode::Both),
    };
    let config = configuration(&ctid, &ve, &guest, plan.as_ref(), settings);
    let cpus = args.host_cpus.unwrap_or_else(available_cpus);
    let rendered = lxc::render(&config, &dialect, cpus, true)?;
    let mut findings = ve.findings.clone();
    findings.extend(rendered.findings);
    match args.format {
        Format::Text => {
            work.screen.print(&screens::converted(&rendered.text, &ve.keys, &findings, work.screen.style()))?;
        }
        Format::Json => work.screen.print(&json(&document(&ctid, &ve, &rendered.text, &findings))?)?,
    }
    Ok(())
}

fn available_cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(1))
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

fn configuration(
    ctid: &Ctid,
    ve: &VeConfig,
    guest: &Guest,
    plan: Option<&GuestPlan>,
    settings: &crate::model::settings::Settings,
) -> ContainerConfig {
    let name = format!("lxc-{}", settings.name.clone().or_else(|| ve.name.clone()).unwrap_or_else(|| ctid.to_string()));
    let bridge = settings.bridge.clone().unwrap_or_else(|| "br0".into());
    let veth = |ifname: &str, mac: Option<String>, own: Option<&String>| Veth {
        name: ifname.to_owned(),
        mac: mac.unwrap_or_else(|| lxc::mac_for(ctid.as_str(), ifname)),
        bridge: own.unwrap_or(&bridge).clone(),
        ..Veth::default()
    };
    let nics = match plan {
        Some(plan) => plan.nics.iter().map(|n| with_addresses(veth(&n.name, n.mac.clone(), None), n)).collect(),
        None => {
            let venet = (!ve.venet.is_empty()).then(|| veth("eth0", None, None));
            let own = ve.veth.iter().map(|v| veth(&v.ifname, v.mac.clone(), v.bridge.as_ref()));
            venet.into_iter().filter(|v| ve.veth.iter().all(|o| o.ifname != v.name)).chain(own).collect()
        }
    };
    let image = settings.lxc_path.join(&name).join("rootfs.img");
    ContainerConfig {
        hostname: plan.map(|p| p.hostname.clone()).or_else(|| ve.hostname.clone()).unwrap_or_else(|| name.clone()),
        arch: if guest.arch.is_empty() { "x86_64".into() } else { guest.arch.clone() },
        nics,
        limits: ve.limits.clone(),
        ttys: plan.map_or(settings.ttys, |p| p.ttys),
        drop_capabilities: ve.capabilities.off.clone(),
        keep_capabilities: ve.capabilities.on.clone(),
        devices: ve.devices.clone(),
        mount_types: ve.mount_types(),
        include: None,
        init: guest.init,
        family: guest.family,
        comments: vec![format!("OpenVZ container {ctid}, converted by ovz2lxc")],
        ..ContainerConfig::new(name, RootfsPath::Loop(image))
    }
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
