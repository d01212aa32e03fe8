//! `batch`: the containers of a manifest, each on its own.

use super::migrate::{self, EndedOne};
use super::standing::{Standing, standing};
use super::{Work, check, json, known, said};
use crate::batch::{self, BatchReport};
use crate::check::Report;
use crate::cli::{BatchArgs, Format};
use crate::config::{Entry, Manifest, Merged, read_manifest};
use crate::error::{Error, Kind, Result};
use crate::journal::read_records;
use crate::model::facts::least_for;
use crate::model::finding::Finding;
use crate::model::size::Bytes;
use crate::pipeline::engine::Ask;
use crate::pipeline::report::{self, Outcome};
use crate::ui::screens;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Runs `batch`.
pub(super) fn run(work: &Work<'_>, args: &BatchArgs) -> Result<()> {
    let manifest = read_manifest(&args.manifest)?;
    let origin = format!("manifest {}", manifest.path.display());
    let merged: Vec<Merged> =
        manifest.entries.iter().map(|e| work.session.merged(&Default::default(), Some((&origin, &e.layer)))).collect();
    if args.check {
        return check_all(work, args, &manifest, &merged);
    }
    if args.dry_run {
        return dry_run_all(work, args, &manifest, &merged);
    }
    sizes_hold(work, &manifest, &merged)?;
    let jobs = usize::try_from(args.jobs).unwrap_or(1);
    let kinds = Mutex::new(Vec::new());
    let done = batch::run(manifest.entries.len(), jobs, &work.session.cancel, |index| {
        let EndedOne { report, error } = one(work, &merged[index], &manifest.entries[index]);
        if let Some(error) = error {
            work.screen.error(&error);
            kinds.lock().unwrap_or_else(PoisonError::into_inner).push(error.kind());
        }
        report
    });
    let reports = done
        .into_iter()
        .enumerate()
        .map(|(index, report)| report.unwrap_or_else(|| skipped(&manifest.entries[index].selector, NOT_ITS_TURN)));
    let report = BatchReport::new(reports.collect());
    match args.format {
        Format::Json => work.screen.print(&json(&report)?)?,
        Format::Text => work.screen.print(&screens::batch(&report, work.screen.style()))?,
    }
    let kinds = kinds.into_inner().unwrap_or_else(PoisonError::into_inner);
    batch::kind(&kinds, work.session.cancel.is_set()).map_or(Ok(()), |kind| Err(said(kind)))
}

/// A size that cannot hold the data is a fault of the manifest: it is said before anything is touched. What cannot be
/// looked at fails alone, when its turn comes.
fn sizes_hold(work: &Work<'_>, manifest: &Manifest, merged: &[Merged]) -> Result<()> {
    for (entry, merged) in manifest.entries.iter().zip(merged) {
        work.session.cancel.check()?;
        let Some(size) = merged.settings.size else { continue };
        if settled(work, merged, &entry.selector)?.is_some() {
            continue;
        }
        let usage = match usage(work, merged, &entry.selector) {
            Ok(usage) => usage,
            Err(error) if error.kind() == Kind::Interrupted => return Err(error),
            Err(_) => continue,
        };
        if let Some(message) = too_small(size, usage, &entry.selector) {
            let place = entry.size_place.clone().unwrap_or_else(|| "the configuration".to_owned());
            return Err(
                Error::usage(format!("{place}: {message}")).hint("give it a larger size, or leave the size out")
            );
        }
    }
    Ok(())
}

fn usage(work: &Work<'_>, merged: &Merged, selector: &str) -> Result<Bytes> {
    let (_, node) = work.session.node(&merged.connection)?;
    Ok(node.describe(&node.resolve(selector)?, &[])?.usage.bytes)
}

fn too_small(size: Bytes, usage: Bytes, selector: &str) -> Option<String> {
    let least = least_for(usage);
    (size < least)
        .then(|| format!("size {size} cannot hold container {selector}, which uses {usage} and needs at least {least}"))
}

fn one(work: &Work<'_>, merged: &Merged, entry: &Entry) -> EndedOne {
    attempt(work, merged, entry)
        .unwrap_or_else(|error| EndedOne { report: not_begun(&entry.selector, &error), error: Some(error) })
}

fn attempt(work: &Work<'_>, merged: &Merged, entry: &Entry) -> Result<EndedOne> {
    let already = |ctid: &str| Ok(EndedOne { report: skipped(ctid, "migrated already"), error: None });
    // The store is asked first: who was migrated may be gone from its node.
    if let Some(ctid) = settled(work, merged, &entry.selector)? {
        return already(&ctid);
    }
    let (source, node) = work.session.node(&merged.connection)?;
    let ctid = node.resolve(&entry.selector)?;
    let dir = work.session.store(merged).container_dir(ctid.as_str(), &node.label());
    if matches!(standing(&read_records(&dir)?), Standing::Migrated | Standing::Finished) {
        return already(ctid.as_str());
    }
    migrate::one(work, merged, &source, node, &entry.selector, &Ask::default())
}

/// Returns the CTID of a container of this source that was migrated already, by what is kept here alone.
fn settled(work: &Work<'_>, merged: &Merged, selector: &str) -> Result<Option<String>> {
    for known in known::matching(&work.session.store(merged), selector, Some(&merged.connection))? {
        if matches!(known.standing()?, Standing::Migrated | Standing::Finished) {
            return Ok(Some(known.ctid));
        }
    }
    Ok(None)
}

/// Why a container was not begun after a request to stop.
pub(super) const NOT_ITS_TURN: &str = "interrupted before its turn";

/// Returns the report of a container that was not begun.
pub(super) fn skipped(selector: &str, why: &str) -> report::Report {
    report::Report::not_begun(selector, "", Outcome::Skipped, vec![Finding::info("not-begun", why)])
}

/// Returns the report of a container whose run failed before its first step: nothing was touched.
pub(super) fn not_begun(selector: &str, error: &Error) -> report::Report {
    let finding =
        Finding::warning("not-begun", error.chain().join(": ")).remedy(error.first_hint().unwrap_or_default());
    let outcome = if error.kind() == Kind::Interrupted { Outcome::Skipped } else { Outcome::RolledBack };
    report::Report::not_begun(selector, "", outcome, vec![finding])
}

fn check_all(work: &Work<'_>, args: &BatchArgs, manifest: &Manifest, merged: &[Merged]) -> Result<()> {
    let mut containers = Vec::new();
    for (entry, merged) in manifest.entries.iter().zip(merged) {
        work.session.cancel.check()?;
        let (source, node) = work.session.node(&merged.connection)?;
        containers.push(check::one(work, merged, &source, &node, &entry.selector)?);
    }
    let sources: BTreeSet<String> = merged.iter().filter_map(|m| m.connection.source.clone()).collect();
    let sources: Vec<String> = sources.into_iter().collect();
    check::show(
        work,
        &Report::new(sources.join(" "), check::this_host(work), containers),
        check::format(args.format),
        None,
    )
}

fn dry_run_all(work: &Work<'_>, args: &BatchArgs, manifest: &Manifest, merged: &[Merged]) -> Result<()> {
    let mut shown = Vec::new();
    let mut blocked = false;
    for (entry, merged) in manifest.entries.iter().zip(merged) {
        work.session.cancel.check()?;
        let (source, node) = work.session.node(&merged.connection)?;
        let (run, is_blocked) = migrate::dry_run_of(work, merged, &source, node, &entry.selector)?;
        blocked |= is_blocked;
        if args.format == Format::Text {
            work.screen.print(&screens::dry_run(&run, work.screen.style()))?;
        }
        shown.push(run);
    }
    if args.format == Format::Json {
        work.screen.print(&json(&migrate::dry_runs(&shown))?)?;
    }
    if blocked { Err(said(Kind::Blocked)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_holds_the_data_and_what_the_file_system_needs() {
        assert_eq!(too_small(Bytes(105), Bytes(100), "101"), None);
        let message = too_small(Bytes(104), Bytes(100), "101").unwrap();
        assert!(message.contains("container 101"), "{message}");
    }

    #[test]
    fn what_was_interrupted_before_it_began_is_skipped() {
        let outcome = |kind| not_begun("101", &Error::of(kind, "x")).outcome;
        assert_eq!(outcome(Kind::Interrupted), Outcome::Skipped);
        assert_eq!(outcome(Kind::Failed), Outcome::RolledBack);
    }
}
