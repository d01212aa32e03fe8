//! Tables.

use super::{compared, findings};
use crate::config::Shown;
use crate::error::{Error, Result};
use crate::fixup::{Catalogue, Module};
use crate::model::container::Summary;
use crate::model::finding::Finding;
use crate::model::size::Bytes;
use crate::model::ve::{KeyAnswer, Outcome};
use crate::transfer::{Stats, Verified};
use crate::ui::table::{self, simple};
use crate::ui::terminal::Style;
use crate::ui::text::{plain, wrap};
use serde::Serialize;
use std::path::Path;

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
pub fn copied(stats: &Stats, verified: Option<&Verified>, style: Style) -> String {
    let mut text = format!(
        "{} entries, {} of content, {} over the wire, {} deleted, {:.1} s ({})\n",
        stats.files,
        Bytes(stats.bytes),
        Bytes(stats.sent_bytes),
        stats.deleted,
        stats.seconds,
        stats.engine
    );
    let mut found = stats.findings.clone();
    if let Some(verified) = verified {
        text.push_str(&format!("verified: {}, {:.1} s\n", compared(verified), verified.seconds));
        found.extend(verified.findings.iter().cloned());
    }
    text.push_str(&findings(&found, style));
    text
}

/// What `convert` made.
pub struct Conversion<'a> {
    /// The configuration.
    pub config: &'a str,
    /// The script that it calls, with its place.
    pub hook: Option<(&'a Path, &'a str)>,
    /// Its root is the host's root.
    pub privileged: bool,
    /// What became of each key.
    pub keys: &'a [KeyAnswer],
    /// Findings.
    pub findings: &'a [Finding],
}

/// Writes `convert`: a configuration, everything else in it as comments.
pub fn converted(made: &Conversion<'_>, style: Style) -> String {
    let mut text = made.config.to_owned();
    let head = |text: &mut String, title: &str| text.push_str(&format!("\n{}\n", style.paint.bold(title)));
    let width = usize::from(style.width).saturating_sub(2);
    if let Some((path, script)) = made.hook {
        head(&mut text, &format!("# {} (mode 0755):", plain(&path.display().to_string())));
        for line in script.lines() {
            text.push_str(&format!("#   {}\n", plain(line)));
        }
    }
    head(&mut text, "# What became of each key");
    for answer in made.keys {
        text.push_str(&format!("# {}=\"{}\"\n", plain(&answer.key), plain(&answer.value)));
        let outcome = answer.outcome.word();
        let line = format!("{outcome}{}{}", prefixed(": ", &answer.into), prefixed("; ", &answer.why));
        for line in wrap(&plain(&line), width.saturating_sub(4)) {
            text.push_str(&format!("#     {line}\n"));
        }
    }
    let count = |outcome| made.keys.iter().filter(|k| k.outcome == outcome).count();
    let sums = Outcome::ALL.map(|outcome| format!("{} {}", count(outcome), outcome.word()));
    text.push_str(&format!("# {} keys: {}\n", made.keys.len(), sums.join(", ")));
    let root = if made.privileged {
        "# privileged: its root is the host's root (--unprivileged gives it ids of its own)\n"
    } else {
        "# unprivileged: its root is none on the host\n"
    };
    text.push_str(root);
    if !made.findings.is_empty() {
        head(&mut text, "# What deserves a look");
    }
    text.push_str(&findings(made.findings, style).lines().map(|l| format!("#{l}\n")).collect::<String>());
    text
}

fn prefixed(prefix: &str, text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("{prefix}{text}") }
}
