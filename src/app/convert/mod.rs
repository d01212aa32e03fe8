//! `convert`: a VE configuration alone, without node and target.

mod target;

use super::{Work, json, tools};
use crate::check;
use crate::cli::{ConvertArgs, Format};
use crate::config::Layer;
use crate::error::{Doing, Error, Result};
use crate::guest;
use crate::host::read_here;
use crate::model::facts::Facts;
use crate::model::finding::Finding;
use crate::model::guest::Guest;
use crate::model::ve::{Resolver, VeConfig};
use crate::openvz::{self, ParseContext};
use crate::pipeline::configure::{self, HOOK, Purpose};
use crate::pipeline::{answers, files, network, planner};
use crate::rootfs::Rootfs;
use crate::ui::screens;
use serde_json::{Value, json as value};
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
    findings.extend(evaluated(&facts, plan.is_some()));
    findings.extend(rendered.findings);
    findings.sort_by_key(|f| f.severity);
    if let Some(output) = &args.output {
        std::fs::create_dir_all(output).doing(|| format!("making {}", output.display()))?;
        files::write_all(&files::files(&output.join("config"), &rendered.text, rendered.hook.as_deref()))?;
    }
    let place = facts.settings.lxc_path.join(&facts.target_name).join(HOOK);
    let hook = rendered.hook.as_deref().map(|text| (place.as_path(), text));
    match args.format {
        Format::Text => {
            let shown = screens::Conversion {
                config: &rendered.text,
                hook,
                privileged: !facts.settings.unprivileged,
                keys: &facts.container.ve.keys,
                findings: &findings,
            };
            work.screen.print(&screens::converted(&shown, work.screen.style()))?;
        }
        Format::Json => {
            work.screen.print(&json(&document(&facts, &rendered.text, hook, &findings))?)?;
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

/// What reading the configuration found, and what the checks say that need neither node nor target; what the operator
/// accepts is accepted.
fn evaluated(facts: &Facts, planned: bool) -> Vec<Finding> {
    const OFFLINE: [&str; 6] = [
        "network-prefix-unknown",
        "network-gateway-unknown",
        "network-routed-unsupported",
        "network-vlan-unsupported",
        "feature-",
        "capability-",
    ];
    let mut findings = check::evaluate(facts);
    let needs_more: Vec<&str> =
        check::rules().map(check::Rule::id).filter(|id| !OFFLINE.iter().any(|known| id.starts_with(known))).collect();
    let left_out = |f: &Finding| needs_more.contains(&f.id.as_str()) || (planned && f.id.starts_with("network-"));
    findings.retain(|f| !left_out(f));
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
    read_here(path, LIMIT).doing(|| format!("reading {}", path.display()))
}

/// The document of the contract.
fn document(facts: &Facts, config: &str, hook: Option<(&Path, &str)>, findings: &[Finding]) -> Value {
    let ve = &facts.container.ve;
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
        "ctid": facts.container.ctid,
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
        "privileged": !facts.settings.unprivileged,
        "lxc_config": config,
        "hook": hook.map(|(path, text)| value!({ "path": path, "text": text })),
        "keys": ve.keys,
        "findings": findings,
    })
}
