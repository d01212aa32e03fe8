//! `fixup`, `copy`, `config show`: parts of a migration alone.

use super::{Work, json};
use crate::cli::{CopyArgs, FixupApplyArgs, FixupRevertArgs, FixupVerb, Format};
use crate::config::Layer;
use crate::error::{Doing, Error, Kind, Result};
use crate::fixup::{self, ApplyOptions, Before, Catalogue, RevertOptions, Reverted};
use crate::guest;
use crate::host::{Command, Destination};
use crate::model::network::GuestPlan;
use crate::pipeline::report::CopyFigures;
use crate::rootfs::Rootfs;
use crate::transfer::{self, ArchiveEngine, Engine, Job, Pass};
use crate::ui::screens;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long a look at the source may take.
const LOOK: Duration = Duration::from_secs(60);

/// Runs `fixup`.
pub(super) fn fixup(work: &Work<'_>, verb: &FixupVerb) -> Result<()> {
    let merged = work.session.merged(&Layer::default(), None);
    if let FixupVerb::Revert(args) = verb {
        // A module that is broken by now must not keep anybody from going back.
        return revert(work, &merged.state_dir, args);
    }
    let catalogue = Catalogue::load(Some(&merged.settings.fixups_dir))?;
    match verb {
        FixupVerb::List => work.screen.print(&screens::fixups(&catalogue, work.screen.style()))?,
        FixupVerb::Show { id } => work.screen.print(&screens::fixup(&catalogue, id)?)?,
        FixupVerb::Apply(args) => apply(work, &catalogue, args, &merged.settings.skip_fixups, &merged.state_dir)?,
        FixupVerb::Revert(_) => {}
    }
    Ok(())
}

fn apply(
    work: &Work<'_>,
    catalogue: &Catalogue,
    args: &FixupApplyArgs,
    skip: &[String],
    state_dir: &Path,
) -> Result<()> {
    let plan = read_plan(&args.plan)?;
    let tree = Rootfs::open(&args.rootfs)?;
    let (guest, mut findings) = guest::inspect(&tree)?;
    let options = ApplyOptions { dry_run: args.dry_run, skip };
    let report = if args.dry_run {
        fixup::apply(catalogue, &tree, &guest, &plan, &options)?
    } else {
        let mut before = Before::open(state_dir, &tree)?;
        let report = fixup::apply_noting(catalogue, &tree, &guest, &plan, &options, Some(&mut before));
        // What was not changed after all needs no way back; when the run failed, its error is the one to tell.
        let settled = before.settle(&tree);
        let report = report?;
        settled?;
        report
    };
    findings.extend(report.findings);
    if args.format == Format::Json {
        let document =
            serde_json::json!({ "schema": 1, "guest": guest, "changes": report.changes, "findings": findings });
        work.screen.print(&json(&document)?)?;
    } else {
        let text = screens::changes(&guest, &report.changes, &findings, args.diff, args.dry_run, work.screen.style());
        work.screen.print(&text)?;
    }
    Ok(())
}

fn revert(work: &Work<'_>, state_dir: &Path, args: &FixupRevertArgs) -> Result<()> {
    let tree = Rootfs::open(&args.rootfs)?;
    let options = RevertOptions { dry_run: args.dry_run, force: args.force };
    let done = match Before::find(state_dir, &tree)? {
        Some(before) => before.revert(&tree, options)?,
        None => Reverted::default(),
    };
    if args.format == Format::Json {
        let document = serde_json::json!({ "schema": 1, "changes": done.changes, "findings": done.findings });
        work.screen.print(&json(&document)?)?;
    } else {
        work.screen.print(&screens::reverted(&done, args.diff, args.dry_run, work.screen.style()))?;
    }
    if done.left > 0 && !args.dry_run {
        let message = format!("{} of the changes in {} were not put back", done.left, args.rootfs.display());
        return Err(Error::of(Kind::Incomplete, message)
            .hint("the findings say why; what was left can be put back later, or with: ovz2lxc fixup revert --force"));
    }
    Ok(())
}

/// Reads a plan file; what is wrong in it is said with its place.
pub(super) fn read_plan(path: &Path) -> Result<GuestPlan> {
    crate::config::read_toml(path)
}

/// A copy makes the target equal to the source: where one lies in the other, that would delete the source.
fn apart(from: &Path, to: &Path) -> Result<()> {
    let real = |path: &Path| path.canonicalize().doing(|| format!("looking at {}", path.display()));
    let (from, to) = (real(from)?, real(to)?);
    if from.starts_with(&to) || to.starts_with(&from) {
        return Err(Error::usage(format!("{} and {} lie in one another", from.display(), to.display()))
            .hint("copy into a directory of its own"));
    }
    Ok(())
}

/// An archive does not say what is to be deleted.
fn empty(to: &Path) -> Result<()> {
    let doing = || format!("looking at {}", to.display());
    for entry in std::fs::read_dir(to).doing(doing)? {
        if entry.doing(doing)?.file_name() != "lost+found" {
            return Err(Error::usage(format!("{} is not empty", to.display()))
                .hint("an archive is unpacked into an empty directory"));
        }
    }
    Ok(())
}

/// Runs `copy`.
pub(super) fn copy(work: &Work<'_>, args: &CopyArgs) -> Result<()> {
    let (destination, tree) = Destination::parse_with_path(&args.from)?;
    let merged = work.session.merged(&Layer::default(), None);
    let host = work.session.reach(&destination, &merged.connection)?;
    let is_file = Command::read("test").arg("-f").arg(&tree).timeout(LOOK);
    let engine: Box<dyn Engine> = if host.run(&is_file)?.status == 0 {
        empty(&args.to)?;
        Box::new(ArchiveEngine)
    } else {
        transfer::choose(merged.settings.engine, host.as_ref(), &work.session.local, None)?.engine
    };
    if destination == Destination::Local {
        apart(&tree, &args.to)?;
    }
    let target = Rootfs::open(&args.to)?;
    let job = Job {
        source: host.as_ref(),
        tree,
        target: &target,
        pass: if args.delta { Pass::Final } else { Pass::Live },
        excludes: Vec::new(),
        tuning: merged.settings.tuning,
        ctid: "copy".into(),
        phase: "copy".into(),
        expected: None,
        events: Arc::as_ref(&work.session.events),
        cancel: &work.session.cancel,
    };
    let stats = engine.run(&job).doing(|| format!("copying {} to {}", args.from.escape_debug(), args.to.display()))?;
    match args.format {
        Format::Text => work.screen.print(&screens::copied(&stats, work.screen.style()))?,
        Format::Json => {
            let (seconds, findings) = (stats.seconds, stats.findings.clone());
            let figures = CopyFigures::from(stats);
            let document = serde_json::json!({
                "schema": 1, "engine": figures.engine, "files": figures.files, "bytes": figures.bytes,
                "sent_bytes": figures.sent_bytes, "deleted": figures.deleted, "seconds": seconds, "findings": findings,
            });
            work.screen.print(&json(&document)?)?;
        }
    }
    Ok(())
}

/// Runs `config show`.
pub(super) fn config_show(work: &Work<'_>, format: Format) -> Result<()> {
    let merged = work.session.merged(&Layer::default(), None);
    match format {
        Format::Text => work.screen.print(&screens::settings(&merged.shown, work.screen.style()))?,
        Format::Json => work.screen.print(&json(&serde_json::json!({ "schema": 1, "settings": merged.shown }))?)?,
    }
    Ok(())
}
