//! `check` and `inventory`: look, touch nothing.

use super::inspect::{Look, inspect};
use super::{Work, json, said};
use crate::check::{self as rules, ContainerReport, Report};
use crate::cli::{CheckArgs, Format, InventoryArgs, InventoryFormat, ReportFormat};
use crate::config::Merged;
use crate::error::{Doing, Kind, Result};
use crate::host::Host;
use crate::model::container::Summary;
use crate::openvz::Node;
use crate::ui::screens;
use std::path::Path;
use std::sync::Arc;

/// Runs `check`.
pub(super) fn run(work: &Work<'_>, args: &CheckArgs) -> Result<()> {
    let merged = work.session.merged(&args.source.layer(), None);
    let ctids = if args.all {
        let (_, node) = work.session.node(&merged.connection)?;
        node.list()?.into_iter().map(|c| c.ctid.to_string()).collect()
    } else {
        args.ctids.clone()
    };
    check(work, &merged, &ctids, args.format, args.output.as_deref())
}

/// Checks containers and shows the report; blockers make exit code 3.
pub(super) fn check(
    work: &Work<'_>,
    merged: &Merged,
    ctids: &[String],
    format: ReportFormat,
    output: Option<&Path>,
) -> Result<()> {
    let (source, node) = work.session.node(&merged.connection)?;
    let containers = ctids.iter().map(|selector| one(work, merged, &source, &node, selector)).collect::<Result<_>>()?;
    let from = merged.connection.source.clone().unwrap_or_default();
    show(work, &Report::new(from, this_host(work), containers), format, output)
}

/// Checks one container. One that cannot be looked at blocks only itself, unless it does not exist.
pub(super) fn one(
    work: &Work<'_>,
    merged: &Merged,
    source: &Arc<dyn Host>,
    node: &Arc<Node>,
    selector: &str,
) -> Result<ContainerReport> {
    work.session.cancel.check()?;
    let ctid = node.resolve(selector)?;
    match inspect(work.session, merged, source, Arc::clone(node), &ctid, Look::Only) {
        Ok(inspected) => Ok(ContainerReport::with(&inspected.facts, inspected.findings)),
        Err(error) if error.kind() == Kind::Failed => Ok(ContainerReport::not_examined(ctid, &error)),
        Err(error) => Err(error),
    }
}

/// Returns this host's name.
pub(super) fn this_host(work: &Work<'_>) -> String {
    let name = work.session.local.read_file(Path::new("/proc/sys/kernel/hostname"), 4096);
    name.ok().flatten().map_or_else(|| "local".to_owned(), |n| String::from_utf8_lossy(&n).trim().to_owned())
}

/// Shows a report.
pub(super) fn show(work: &Work<'_>, report: &Report, format: ReportFormat, output: Option<&Path>) -> Result<()> {
    let text = match format {
        ReportFormat::Text => rules::render_text(report, usize::from(work.screen.style().width)),
        ReportFormat::Json => rules::render_json(report)?,
        ReportFormat::Html => rules::render_html(report),
    };
    match output {
        None => work.screen.print(&text)?,
        Some(path) => std::fs::write(path, text).doing(|| format!("writing the report to {}", path.display()))?,
    }
    if report.summary.blocked > 0 { Err(said(Kind::Blocked)) } else { Ok(()) }
}

/// Returns the report format for a text or JSON command.
pub(super) fn format(format: Format) -> ReportFormat {
    match format {
        Format::Text => ReportFormat::Text,
        Format::Json => ReportFormat::Json,
    }
}

/// Runs `inventory`.
pub(super) fn inventory(work: &Work<'_>, args: &InventoryArgs) -> Result<()> {
    let merged = work.session.merged(&args.source.layer(), None);
    let (_, node) = work.session.node(&merged.connection)?;
    let list = node.list()?;
    work.session.cancel.check()?;
    let source = merged.connection.source.unwrap_or_default();
    let text = match args.format {
        InventoryFormat::Table => screens::inventory(&list, work.screen.style()),
        InventoryFormat::Json => json(&serde_json::json!({ "schema": 1, "source": source, "containers": list }))?,
        InventoryFormat::Toml => manifest(&source, &list),
    };
    work.screen.print(&text)?;
    Ok(())
}

/// Writes a manifest that `batch` takes as it is.
fn manifest(source: &str, list: &[Summary]) -> String {
    let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!("[defaults]\nsource = {}\n", quoted(source));
    for container in list {
        let hostname = container.hostname.as_deref().unwrap_or("-").escape_debug().to_string();
        let size = container.size.map_or_else(|| "?".to_owned(), |s| s.to_string());
        text.push_str(&format!(
            "\n# {hostname}, {:?}, {size} in use, {}\n",
            container.status,
            container.addresses.join(" ")
        ));
        text.push_str(&format!("[[container]]\nctid = {}\n", quoted(container.ctid.as_str())));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::read_manifest;
    use crate::model::container::Status;
    use crate::model::ctid::Ctid;

    #[test]
    fn an_inventory_is_a_manifest() {
        let summary = |ctid: &str, hostname: &str| Summary {
            ctid: Ctid::parse(ctid).unwrap(),
            name: None,
            hostname: Some(hostname.into()),
            status: Status::Running,
            addresses: vec!["10.0.0.1".into()],
            size: None,
            inodes: None,
            ostemplate: None,
        };
        let text = manifest("root@vz1", &[summary("101", "a"), summary("102", "evil\n[[container]]\nctid = 1")]);
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("m.toml");
        std::fs::write(&path, &text).unwrap();
        let manifest = read_manifest(&path).unwrap();
        let found: Vec<_> = manifest.entries.iter().map(|e| e.selector.clone()).collect();
        assert_eq!(found, ["101", "102"], "{text}");
        assert_eq!(manifest.entries[0].layer.source.as_deref(), Some("root@vz1"));
    }
}
