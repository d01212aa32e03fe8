//! Tables.

use super::findings;
use crate::config::Shown;
use crate::error::{Error, Result};
use crate::fixup::{Catalogue, Module};
use crate::model::container::Summary;
use crate::model::finding::Finding;
use crate::model::size::Bytes;
use crate::model::ve::KeyAnswer;
use crate::transfer::Stats;
use crate::ui::table::{self, simple};
use crate::ui::terminal::Style;
use crate::ui::text::{plain, wrap};
use serde::Serialize;

/// One migration of `status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatusLine {
    /// The container.
    pub ctid: String,
    /// Its node.
    pub node: String,
    /// Its name on the target.
    pub name: String,
    /// `running`, `interrupted`, `synced`, `migrated`, `rolled_back`, `failed`, `finished`.
    pub outcome: String,
    /// The last step that was begun.
    pub step: String,
    /// What a roll back left on the target on purpose: volume and configuration.
    pub kept: Vec<String>,
    /// What can be done next.
    pub next: String,
}

/// Writes `status`.
pub fn status(lines: &[StatusLine], style: Style) -> String {
    if lines.is_empty() {
        return "no migration is known here\n".to_owned();
    }
    let row = |l: &StatusLine| [&l.ctid, &l.node, &l.name, &l.outcome, &l.step, &l.next].map(Clone::clone).to_vec();
    let rows: Vec<Vec<String>> = lines.iter().map(row).collect();
    let mut text =
        simple(&["container", "node", "name", "outcome", "step", "next: ovz2lxc …"], &rows, style.paint, style.width);
    for line in lines.iter().filter(|l| !l.kept.is_empty()) {
        text.push_str(&format!("kept of {}: {}\n", plain(&line.ctid), plain(&line.kept.join(", "))));
    }
    text
}

/// Writes `inventory`.
pub fn inventory(list: &[Summary], style: Style) -> String {
    if list.is_empty() {
        return "no containers on this node\n".to_owned();
    }
    table::inventory(list, style.paint, style.width)
}

/// Writes `fixup list`.
pub fn fixups(catalogue: &Catalogue, style: Style) -> String {
    let row = |m: &Module| vec![m.id.clone(), m.title.clone(), m.origin.clone()];
    let rows: Vec<Vec<String>> = catalogue.modules().iter().map(row).collect();
    simple(&["id", "what it does", "from"], &rows, style.paint, style.width)
}

/// Writes `fixup show`: the module as it is written, with its reasons.
pub fn fixup(catalogue: &Catalogue, id: &str) -> Result<String> {
    let module = catalogue.module(id).ok_or_else(|| {
        Error::usage(format!("there is no fixup module \"{}\"", id.escape_debug())).hint("see: ovz2lxc fixup list")
    })?;
    Ok(module.text.clone())
}

/// Writes `config show`.
pub fn settings(shown: &[Shown], style: Style) -> String {
    let row =
        |one: &Shown| vec![one.key.to_owned(), one.value.clone().unwrap_or_else(|| "-".into()), one.origin.clone()];
    let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
    simple(&["key", "value", "from"], &rows, style.paint, style.width)
}

/// Writes what `copy` did.
pub fn copied(stats: &Stats, style: Style) -> String {
    let mut text = format!(
        "{} entries, {} of content, {} over the wire, {} deleted, {:.1} s ({})\n",
        stats.files,
        Bytes(stats.bytes),
        Bytes(stats.sent_bytes),
        stats.deleted,
        stats.seconds,
        stats.engine
    );
    text.push_str(&findings(&stats.findings, style));
    text
}

/// Writes `convert`.
pub fn converted(config: &str, keys: &[KeyAnswer], found: &[Finding], style: Style) -> String {
    let mut text = config.to_owned();
    text.push_str(&format!("\n{}\n", style.paint.bold("# What became of each key")));
    for answer in keys {
        let outcome = format!("{:?}", answer.outcome).to_lowercase();
        let line = format!(
            "{} = {}: {outcome}{}{}",
            answer.key,
            answer.value,
            prefixed(" into ", &answer.into),
            prefixed("; ", &answer.why)
        );
        for line in wrap(&plain(&line), usize::from(style.width).saturating_sub(2)) {
            text.push_str(&format!("# {line}\n"));
        }
    }
    text.push_str(&findings(found, style).lines().map(|l| format!("#{l}\n")).collect::<String>());
    text
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}
