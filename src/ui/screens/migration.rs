//! The last screen of a migration, and of its way back.

use super::findings;
use crate::batch::BatchReport;
use crate::model::settings::Verify;
use crate::model::size::Bytes;
use crate::pipeline::plan::Plan;
use crate::pipeline::report::{Outcome, Phase, Report};
use crate::transfer::{Cause, Verified};
use crate::ui::table::simple;
use crate::ui::terminal::Style;
use crate::ui::text::plain;

/// The last screen of one container: what was done, how long it was down, where it is, what to do next.
pub fn migration(report: &Report, style: Style) -> String {
    let head = match report.outcome {
        Outcome::Migrated => style.paint.green("migrated"),
        Outcome::Synced => style.paint.green("copied; the container still runs on its node"),
        Outcome::RolledBack => style.paint.yellow("failed and taken back; everything is as it was before"),
        Outcome::Failed => style.paint.red("failed"),
        Outcome::Blocked => style.paint.red("blocked; nothing was touched"),
        Outcome::Skipped => "skipped".to_owned(),
    };
    let mut text = format!("\n{} {}\n", style.paint.bold(&format!("Container {}:", plain(&report.ctid))), head);
    text.push_str(&phases(&report.phases, style));
    text.push_str(&places(report));
    if !report.findings.is_empty() {
        text.push_str(&format!("\n{}\n{}", style.paint.bold("Findings"), findings(&report.findings, style)));
    }
    if report.outcome == Outcome::Synced {
        text.push_str(&format!(
            "\n{}\n  again: ovz2lxc sync {c}\n  move:  ovz2lxc cutover {c}\n  drop:  ovz2lxc rollback {c}\n",
            style.paint.bold("Next"),
            c = report.ctid
        ));
    } else if report.outcome == Outcome::Migrated {
        text.push_str(&next(report, style));
    }
    text
}

fn phases(phases: &[Phase], style: Style) -> String {
    if phases.is_empty() {
        return String::new();
    }
    let row = |phase: &Phase| {
        let copy = phase.copy.as_ref();
        vec![
            phase.phase.clone(),
            phase.state.clone(),
            format!("{:.1}", phase.seconds),
            copy.map(|c| c.files.to_string()).unwrap_or_default(),
            copy.map(|c| Bytes(c.sent_bytes).to_string()).unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = phases.iter().map(row).collect();
    simple(&["step", "state", "seconds", "files", "sent"], &rows, style.paint, style.width)
}

fn places(report: &Report) -> String {
    let mut lines = Vec::new();
    if let Some(seconds) = report.downtime_seconds {
        lines.push(("downtime", format!("{seconds:.1} s")));
    }
    if let Some(verified) = report.phases.iter().rev().filter(|p| p.state == "done").find_map(|p| p.verified.as_ref()) {
        lines.push(("verified", compared(verified)));
    }
    for (what, place) in [("volume", &report.volume), ("config", &report.config), ("resource", &report.resource)] {
        if let Some(place) = place {
            lines.push((what, plain(place)));
        }
    }
    if let (Some(privileged), true) = (report.privileged, report.config.is_some()) {
        let root = if privileged { "root of this host (privileged)" } else { "nobody on this host (unprivileged)" };
        lines.push(("its root", root.to_owned()));
    }
    if lines.is_empty() {
        String::new()
    } else {
        "\n".to_owned() + &lines.iter().map(|(w, p)| format!(" {w:<9} {p}\n")).collect::<String>()
    }
}

/// Says what was compared and how many entries differ.
pub fn compared(verified: &Verified) -> String {
    let differences: u64 = verified.differences.values().sum();
    let content = match verified.how {
        Verify::Content => format!(", content of {} files ({})", verified.content_files, Bytes(verified.content_bytes)),
        Verify::None | Verify::Metadata => String::new(),
    };
    format!("{} entries{content}, {differences} differences", verified.entries)
}

/// The screen of `verify`.
pub fn verified(plan: &Plan, state: &str, verified: &Verified, style: Style) -> String {
    let ctid = &plan.container.ctid;
    let wrong = verified.differences.contains_key(&Cause::Copy);
    let head = if wrong { style.paint.red("differs") } else { style.paint.green("nothing is lost") };
    let name = style.paint.bold(&format!("Container {ctid}:"));
    let mut text = format!("\n{name} {head} ({state})\n compared  {}\n", compared(verified));
    for (cause, words) in [
        (Cause::Copy, "nothing explains these"),
        (Cause::Source, "the source changed these after they were copied"),
        (Cause::Fixup, "the fixups changed these"),
        (Cause::Target, "the container changed these on this host"),
    ] {
        let Some(count) = verified.differences.get(&cause) else { continue };
        text.push_str(&format!("\n{}\n", style.paint.bold(&format!("{count}: {words}"))));
        // Everything that is wrong is shown, of the rest some; the document has more.
        let most = if cause == Cause::Copy { usize::MAX } else { 10 };
        let of: Vec<_> = verified.listed.iter().filter(|d| d.cause == cause).collect();
        for difference in of.iter().take(most) {
            text.push_str(&format!("  {}: {}\n", plain(&difference.path), plain(&difference.what)));
        }
        let left = count.saturating_sub(of.len().min(most) as u64);
        if left > 0 {
            text.push_str(&format!("  and {left} more\n"));
        }
    }
    if !verified.findings.is_empty() {
        text.push_str(&format!("\n{}\n{}", style.paint.bold("Findings"), findings(&verified.findings, style)));
    }
    text
}

fn next(report: &Report, style: Style) -> String {
    let (c, name) = (plain(&report.ctid), plain(&report.name));
    let path = report.config.as_deref().and_then(|c| std::path::Path::new(c).parent()?.parent());
    let path = path
        .filter(|p| *p != std::path::Path::new("/var/lib/lxc"))
        .map_or_else(String::new, |p| format!(" -P {}", p.display()));
    format!(
        "\n{}\n  log in:    lxc-attach{path} -n {name}\n  console:   lxc-console{path} -n {name}\n  go back:   ovz2lxc rollback {c}\n  \
         accept it: ovz2lxc finish {c}\n",
        style.paint.bold("Next")
    )
}

/// The screen after `rollback`.
pub fn rolled_back(plan: &Plan, report: &Report, kept: bool, style: Style) -> String {
    let ctid = &plan.container.ctid;
    if report.outcome != Outcome::RolledBack {
        return format!(
            "\n{} {}\n{}",
            style.paint.bold(&format!("Container {ctid}:")),
            style.paint.red("not wholly taken back"),
            phases(&report.phases, style)
        );
    }
    let mut text = format!(
        "\n{} taken back: it is on {} as before\n",
        style.paint.bold(&format!("Container {ctid}:")),
        plain(&plan.access.source)
    );
    if kept {
        text.push_str(&format!(
            "  What it wrote here is kept: {}, {}\n  Until both are deleted it cannot be migrated here again:\n  delete them: ovz2lxc rollback {ctid} --discard-target\n",
            plan.volume.path.display(),
            plan.config_path.display(),
        ));
    }
    text
}

/// The screen after `finish`.
pub fn finished(plan: &Plan, style: Style) -> String {
    let (ctid, source) = (&plan.container.ctid, plain(&plan.access.source));
    format!(
        "\n{} finished: {} stays here for good\n  The old container is still on {source}, stopped and disabled, and this program never deletes it.\n  \
         When you are sure: vzctl destroy {ctid}   (on {source})\n",
        style.paint.bold(&format!("Container {ctid}:")),
        plan.name
    )
}

/// The last screen of a batch.
pub fn batch(report: &BatchReport, style: Style) -> String {
    let row = |one: &Report| {
        let failed = one.phases.iter().rev().find_map(|p| p.why.clone());
        let note = failed.or_else(|| one.findings.iter().find(|f| f.id == "not-begun").map(|f| f.title.clone()));
        vec![
            one.ctid.clone(),
            one.name.clone(),
            one.outcome.word().to_owned(),
            one.downtime_seconds.map(|s| format!("{s:.1} s")).unwrap_or_default(),
            note.unwrap_or_default(),
        ]
    };
    let rows: Vec<Vec<String>> = report.containers.iter().map(row).collect();
    let s = &report.summary;
    format!(
        "\n{}\n{} migrated, {} taken back, {} failed, {} blocked, {} skipped\n",
        simple(&["container", "name", "outcome", "down", "note"], &rows, style.paint, style.width),
        s.migrated,
        s.rolled_back,
        s.failed,
        s.blocked,
        s.skipped
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::report::CopyFigures;
    use crate::ui::paint::Paint;

    fn report(outcome: Outcome) -> Report {
        let copy = CopyFigures { engine: "stream".into(), files: 9, bytes: 1, sent_bytes: 2048, deleted: 0 };
        let phase = Phase {
            phase: "copy-live".into(),
            state: "done".into(),
            seconds: 1.25,
            why: None,
            copy: Some(copy),
            verified: None,
        };
        Report {
            phases: vec![phase],
            downtime_seconds: Some(4.5),
            volume: Some("/dev/vg/lxc-web".into()),
            config: Some("/srv/lxc/lxc-web/config".into()),
            privileged: Some(true),
            ..Report::not_begun("101", "lxc-web", outcome, Vec::new())
        }
    }

    #[test]
    fn the_last_screen_says_what_where_and_what_next_in_80_columns() {
        let text = migration(&report(Outcome::Migrated), Style { width: 80, paint: Paint::off() });
        for part in [
            "migrated",
            "copy-live",
            "2 KiB",
            "4.5 s",
            "/dev/vg/lxc-web",
            "(privileged)",
            "-P /srv/lxc",
            "rollback 101",
            "finish 101",
        ] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
        assert!(text.lines().all(|l| l.chars().count() <= 80), "{text}");
    }

    #[test]
    fn the_last_screen_names_an_unprivileged_container() {
        let unprivileged = Report { privileged: Some(false), ..report(Outcome::Migrated) };
        let text = migration(&unprivileged, Style { width: 80, paint: Paint::off() });
        assert!(text.contains("(unprivileged)") && !text.contains("(privileged)"), "{text}");
    }

    #[test]
    fn a_container_that_was_taken_back_has_no_next() {
        let text = migration(&report(Outcome::RolledBack), Style { width: 80, paint: Paint::off() });
        assert!(text.contains("as it was before") && !text.contains("finish"));
    }
}
