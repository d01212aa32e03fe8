//! `convert`: a VE configuration alone, without node and target.

mod files;
mod target;

use super::{Work, json, tools};
use crate::check;
use crate::cli::{ConvertArgs, Format};
use crate::config::Layer;
use crate::error::{Doing, Error, Result};
use crate::guest;
use crate::model::ctid::Ctid;
use crate::model::facts::Facts;
use crate::model::finding::Finding;
use crate::model::guest::Guest;
use crate::model::ve::{Resolver, VeConfig};
use crate::openvz::{self, ParseContext};
use crate::pipeline::configure::{self, Purpose};
use crate::pipeline::{answers, network, planner};
use crate::rootfs::Rootfs;
use crate::ui::screens;
use files::Files;
use serde_json::{Value, json as value};
use std::io::Read;
use std::path::Path;

/// Runs `convert`.
pub(super) fn run(work: &Work<'_>, args: &ConvertArgs) -> Result<()> {
    let merged = work.session.merged(&Layer::default(), None);
    let own = read(&args.ve_conf)?;
    let ctid = openvz::ctid_of(&args.ve_conf, &own);
    let global = args.vz_conf.as_deref().map(read).transpose()?;
    let context = ParseContext {
        node_cpus: args.source_cpus,
        file: args.ve_conf.clone(),
        approximate: merged.settings.approximate.clone(),
    };
    let mut ve = openvz::parse(&ctid, global.as_deref(), &own, &context)?;
    if ve.known_keys() == 0 {
        return Err(meaningless(&args.ve_conf, &ve));
    }
    ve.findings.extend(openvz::scripts_beside(&args.ve_conf)?);
    let plan = args.plan.as_deref().map(tools::read_plan).transpose()?;
    let (guest, mut findings) = look_inside(&ve, args.rootfs.as_deref())?;
    let mut facts = target::facts(work, merged, ctid, ve, guest, plan.as_ref(), args)?;
    let volume = planner::volume_plan(&facts)?;
    let interfaces = match &plan {
        Some(plan) => target::planned(&facts, plan, &mut findings)?,
        None => network::interfaces(&facts, Some(target::BRIDGE))?,
    };
    let rendered = configure::configuration(&facts, &volume, &interfaces, Purpose::Conversion)?;
    answers::settle(&mut facts.container.ve.keys, &rendered);
    findings.extend(facts.container.ve.findings.iter().cloned());
    findings.extend(evaluated(&facts, plan.is_some()));
    findings.extend(rendered.findings);
    findings.sort_by_key(|f| f.severity);
    let directory = facts.settings.lxc_path.join(&facts.target_name);
    let files = Files::new(&directory, &rendered.text, rendered.hook.as_deref());
    if let Some(output) = &args.output {
        files.write(output)?;
    }
    let (ctid, ve) = (&facts.container.ctid, &facts.container.ve);
    match args.format {
        Format::Text => {
            let shown = screens::Conversion {
                config: files.config(),
                hook: files.hook(),
                privileged: !facts.settings.unprivileged,
                keys: &ve.keys,
                findings: &findings,
            };
            work.screen.print(&screens::converted(&shown, work.screen.style()))?;
        }
        Format::Json => {
            work.screen.print(&json(&document(ctid, ve, !facts.settings.unprivileged, &files, &findings))?)?;
        }
    }
    Ok(())
}

/// What the tree says about the guest; without one OSTEMPLATE has to do for the architecture.
fn look_inside(ve: &VeConfig, tree: Option<&Path>) -> Result<(Guest, Vec<Finding>)> {
    if let Some(dir) = tree {
        return Ok((guest::detect(&Rootfs::open(dir)?)?, Vec::new()));
    }
    let template = ve.ostemplate.as_deref().unwrap_or_default();
    let arch = template.split('-').find_map(|part| match part {
        "x86" | "i386" | "i586" | "i686" => Some("i686"),
        "x86_64" | "amd64" => Some("x86_64"),
        _ => None,
    });
    let said = match arch {
        Some(arch) => format!("the architecture is {arch}, because OSTEMPLATE is {}", template.escape_debug()),
        None => "the architecture is taken for this host's".to_owned(),
    };
    let finding = Finding::info("guest-not-examined", "the container's tree was not looked at")
        .detail(format!("{said}; its init is not known"))
        .remedy("name the tree: --rootfs DIR");
    Ok((Guest { arch: arch.unwrap_or_default().to_owned(), ..Guest::unknown() }, vec![finding]))
}

/// What the checks say that need neither node nor target.
fn evaluated(facts: &Facts, planned: bool) -> Vec<Finding> {
    const FAMILIES: [&str; 6] = [
        "network-prefix-unknown",
        "network-gateway-unknown",
        "network-routed-unsupported",
        "network-vlan-unsupported",
        "feature-",
        "capability-",
    ];
    let mut findings = check::evaluate(facts);
    findings.retain(|f| {
        let network = f.id.starts_with("network-");
        FAMILIES.iter().any(|family| f.id.starts_with(family)) && !(network && planned)
    });
    findings
}

/// Says what vzctl makes of the first lines of a file of which no line means anything.
fn meaningless(path: &Path, ve: &VeConfig) -> Error {
    let error = Error::new(format!("{} is not a VE configuration: no line of it means anything", path.display()));
    let rejected = ve.findings.iter().find(|f| f.id == "ve-line-rejected");
    let error = match rejected {
        Some(finding) => error.because(format!("{} ({}): {}", finding.title, finding.subject, finding.detail)),
        None => error,
    };
    error.hint("a container's configuration is CTID.conf in /etc/vz/conf of its node")
}

fn read(path: &Path) -> Result<Vec<u8>> {
    const LIMIT: u64 = 64 * 1024 * 1024;
    let doing = || format!("reading {}", path.display());
    // Asked before it is opened: opening a FIFO waits for a writer.
    if !std::fs::metadata(path).doing(doing)?.is_file() {
        return Err(Error::new("not a regular file")).doing(doing);
    }
    let file = std::fs::File::open(path).doing(doing)?;
    let mut bytes = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut bytes).doing(doing)?;
    if bytes.len() as u64 > LIMIT { Err(Error::new("the file is larger than 64 MiB")).doing(doing) } else { Ok(bytes) }
}

/// The document of the contract.
fn document(ctid: &Ctid, ve: &VeConfig, privileged: bool, files: &Files<'_>, findings: &[Finding]) -> Value {
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
        "privileged": privileged,
        "lxc_config": files.config(),
        "hook": files.hook().map(|(path, text)| value!({ "path": path, "text": text })),
        "keys": ve.keys,
        "findings": findings,
    })
}
