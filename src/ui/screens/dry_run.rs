//! What a dry run shows.

use super::findings;
use crate::fixup::{Change, Done, Reverted};
use crate::model::finding::Finding;
use crate::model::guest::Guest;
use crate::pipeline::dry_run::DryRun;
use crate::ui::terminal::Style;
use crate::ui::text::plain;

/// Writes a dry run: findings, steps with their commands, the diff of the fixups, the LXC configuration.
pub fn dry_run(run: &DryRun, style: Style) -> String {
    let plan = &run.plan;
    let mut text = format!(
        "\n{} {} of {} becomes {} (dry run: nothing was changed)\n",
        style.paint.bold("Container"),
        plan.container.ctid,
        plain(&plan.access.source),
        plan.name
    );
    if !plan.findings.is_empty() {
        text.push_str(&format!("\n{}\n{}", style.paint.bold("Findings"), findings(&plan.findings, style)));
    }
    text.push_str(&format!("\n{}\n", style.paint.bold("Steps")));
    for (number, step) in run.steps.iter().enumerate() {
        let skipped = step.skipped.as_ref().map(|why| format!(" (skipped: {why})")).unwrap_or_default();
        text.push_str(&format!("{:>2}. {}: {}{skipped}\n", number + 1, step.step, plain(&step.title)));
        for command in &step.commands {
            text.push_str(&format!("      {}\n", plain(command)));
        }
    }
    text.push_str(&format!("\n{}\n", style.paint.bold("Fixups")));
    text.push_str(&list(&run.changes, true, style));
    text.push_str(&format!("\n{} {}\n", style.paint.bold("LXC configuration"), plan.config_path.display()));
    for line in plan.config_text.lines() {
        text.push_str(&format!("    {line}\n"));
    }
    if let Some(hook) = &plan.hook {
        let path = plan.config_path.with_file_name(crate::pipeline::configure::HOOK);
        text.push_str(&format!("\n{} {}\n", style.paint.bold("Script at the start"), path.display()));
        for line in hook.lines() {
            text.push_str(&format!("    {}\n", plain(line)));
        }
    }
    text
}

/// Writes what `fixup apply` did.
pub fn changes(guest: &Guest, changes: &[Change], found: &[Finding], diff: bool, dry: bool, style: Style) -> String {
    let init = format!("{:?}", guest.init).to_lowercase();
    let mut text = format!(
        "{} {} {} ({init}, {})\n",
        style.paint.bold("Guest"),
        plain(&guest.distro),
        plain(&guest.version),
        plain(&guest.arch)
    );
    text.push_str(&list(changes, diff, style));
    if !found.is_empty() {
        text.push_str(&format!("{}\n{}", style.paint.bold("Findings"), findings(found, style)));
    }
    let verb = if dry { "would be made" } else { "made" };
    text.push_str(&format!("{} changes {verb}\n", changes.len()));
    text
}

/// Writes what `fixup revert` did.
pub fn reverted(done: &Reverted, diff: bool, dry: bool, style: Style) -> String {
    let mut text = list(&done.changes, diff, style);
    if !done.findings.is_empty() {
        text.push_str(&format!("{}\n{}", style.paint.bold("Findings"), findings(&done.findings, style)));
    }
    let verb = if dry { "would be put back" } else { "put back" };
    text.push_str(&format!("{} changes {verb}\n", done.changes.len()));
    text
}

fn list(changes: &[Change], diff: bool, style: Style) -> String {
    let mut text = String::new();
    for change in changes {
        text.push_str(&format!("  {} {} [{}]\n", word(change.action), plain(&change.path), change.fixup));
        if diff {
            for line in change.diff.lines() {
                let line = &line.replace('\t', "    ");
                let shown = match line.as_bytes().first() {
                    Some(b'+') => style.paint.green(&plain(line)),
                    Some(b'-') => style.paint.red(&plain(line)),
                    _ => plain(line),
                };
                text.push_str(&format!("      {shown}\n"));
            }
        }
    }
    text
}

fn word(done: Done) -> &'static str {
    match done {
        Done::Write => "write",
        Done::Remove => "remove",
        Done::Symlink => "symlink",
        Done::Mode => "mode",
        Done::Mkdir => "mkdir",
    }
}
