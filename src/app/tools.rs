//! `fixup`, `copy`, `config show`: parts of a migration alone.

use super::session::COMMAND_LINE;
use super::{Work, json};
use crate::cli::{CopyArgs, FixupApplyArgs, FixupRevertArgs, FixupVerb, Format};
use crate::config::{Layer, Merged};
use crate::error::{Doing, Error, Kind, Result};
use crate::fixup::{self, ApplyOptions, Before, Catalogue, RevertOptions, Reverted};
use crate::guest;
use crate::host::{Command, Destination};
use crate::model::network::GuestPlan;
use crate::model::settings::Verify;
use crate::pipeline::report::CopyFigures;
use crate::pipeline::steps::verify::differs;
use crate::rootfs::Rootfs;
use crate::transfer::{self, ArchiveEngine, Cause, Check, Engine, Job, Pass};
use crate::ui::screens;
use sha2::{Digest, Sha256};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
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

/// Returns the file in which a copy keeps what it knows for the next one; `None` where it cannot be kept.
fn kept_index(state_dir: &Path, args: &CopyArgs) -> Option<PathBuf> {
    let to = args.to.canonicalize().ok()?;
    let mut hasher = Sha256::new();
    for part in [args.from.as_bytes(), to.as_os_str().as_bytes()] {
        hasher.update(part);
        hasher.update([0]);
    }
    let name: String = hasher.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    let directory = state_dir.join("copies");
    match std::fs::create_dir_all(&directory) {
        Ok(()) => Some(directory.join(format!("{name}.index"))),
        Err(e) => {
            tracing::warn!("{}: {e}: the next copy has to send everything again", directory.display());
            None
        }
    }
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
        if destination == Destination::Local {
            apart(&tree, &args.to)?;
        }
        let index = kept_index(&merged.state_dir, args);
        transfer::choose(merged.settings.engine, host.as_ref(), &work.session.local, index.as_deref())?.engine
    };
    let target = Rootfs::open(&args.to)?;
    let job = Job {
        source: host.as_ref(),
        tree,
        target: &target,
        pass: if args.delta { Pass::Final } else { Pass::Live },
        still: false,
        excludes: Vec::new(),
        tuning: merged.settings.tuning,
        ctid: "copy".into(),
        phase: "copy".into(),
        expected: None,
        events: Arc::as_ref(&work.session.events),
        cancel: &work.session.cancel,
    };
    let doing = || format!("copying {} to {}", args.from.escape_debug(), args.to.display());
    if !target.is_file_system()? {
        // Anybody may work on a directory, and nothing at its top shows what changed below.
        engine.target_changes(&job)?;
    }
    let stats = engine.run(&job).doing(doing)?;
    let verified = match compare(&merged, args.delta) {
        Verify::None => None,
        how => {
            let check = Check { how, ids: None, cause: &|_| Cause::Copy };
            Some(engine.verify(&Job { phase: "verify".into(), ..job }, &check).doing(doing)?)
        }
    };
    match args.format {
        Format::Text => work.screen.print(&screens::copied(&stats, verified.as_ref(), work.screen.style()))?,
        Format::Json => {
            let (seconds, mut findings) = (stats.seconds, stats.findings.clone());
            findings.extend(verified.iter().flat_map(|v| v.findings.clone()));
            let figures = CopyFigures::from(stats);
            let document = serde_json::json!({
                "schema": 1, "engine": figures.engine, "files": figures.files, "bytes": figures.bytes,
                "sent_bytes": figures.sent_bytes, "deleted": figures.deleted, "seconds": seconds,
                "verified": verified, "findings": findings,
            });
            work.screen.print(&json(&document)?)?;
        }
    }
    match verified {
        Some(verified) if verified.count(Cause::Copy) > 0 => Err(differs(&verified)).doing(doing),
        _ => Ok(()),
    }
}

/// A tree that still changes differs from its copy at once: it is compared only when somebody asks for it.
fn compare(merged: &Merged, delta: bool) -> Verify {
    if delta || merged.is_from("verify", COMMAND_LINE) { merged.settings.verify } else { Verify::None }
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
