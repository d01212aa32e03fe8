//! `migrate`: facts, check, plan, run, report.

use super::inspect::{Inspected, Look, inspect};
use super::known::reserved_ids;
use super::standing::{Standing, only_copied, standing};
use super::{Work, batch, check, json, said, session};
use crate::check as rules;
use crate::cli::{Format, MigrateArgs, ReportFormat};
use crate::config::{Layer, Merged, unplaced};
use crate::error::{Error, Kind, Result};
use crate::fixup::{self, ApplyOptions, Catalogue};
use crate::host::Host;
use crate::journal::{Journal, Record};
use crate::model::container::{Access, Origin};
use crate::model::ctid::Ctid;
use crate::model::finding::Finding;
use crate::openvz::Node;
use crate::pipeline::dry_run::{self, DryRun};
use crate::pipeline::engine::{Ask, Ended, Engine};
use crate::pipeline::migration::{Migration, Tools};
use crate::pipeline::opening::image_mount_point;
use crate::pipeline::plan::Plan;
use crate::pipeline::report::{Outcome, Report};
use crate::pipeline::{clock, planner, steps};
use crate::transfer::{self, ArchiveEngine};
use crate::ui::screens;
use std::path::Path;
use std::sync::{Arc, PoisonError};

/// The plan's file beside the journal.
pub(super) const PLAN: &str = "plan.json";
/// The last report's file beside the journal.
pub(super) const REPORT: &str = "report.json";

/// What the copy engine knows of the last pass, beside the journal.
pub(super) const INDEX: &str = "index";

/// Runs `migrate`.
pub(super) fn run(work: &Work<'_>, args: &MigrateArgs) -> Result<()> {
    let own = own_layer(args);
    let merged = work.session.merged(&own, None);
    if args.name.is_some() && args.ctids.len() > 1 {
        return Err(Error::usage(format!("--name names one container, and {} are to be migrated", args.ctids.len()))
            .hint("migrate them one by one, or name each in a manifest: docs/manifest.md"));
    }
    if args.check {
        return check::check(work, &merged, &args.ctids, report_format(args.format), None);
    }
    if let Some(step) = &args.rehearse_failure {
        known_step(step)?;
    }
    let (source, node) = work.session.node(&merged.connection)?;
    if args.dry_run {
        return show_dry_runs(work, args, &merged, &source, &node);
    }
    let mut ended = Vec::new();
    for selector in &args.ctids {
        let ask = Ask { rehearse_failure: args.rehearse_failure.clone(), ..Ask::default() };
        let one = if work.session.cancel.is_set() && !ended.is_empty() {
            Ok(EndedOne { report: batch::skipped(selector, batch::NOT_ITS_TURN), error: None })
        } else {
            one(work, &merged, &source, Arc::clone(&node), selector, &ask)
        };
        ended.push((selector.clone(), one));
    }
    finish(work, args.format, ended, args.ctids.len() > 1)
}

fn own_layer(args: &MigrateArgs) -> Layer {
    Layer { name: args.name.clone().map(unplaced), size: args.size.clone().map(unplaced), ..args.source.layer() }
}

fn report_format(format: Format) -> ReportFormat {
    match format {
        Format::Text => ReportFormat::Text,
        Format::Json => ReportFormat::Json,
    }
}

fn known_step(step: &str) -> Result<()> {
    let ids = steps::ids();
    if ids.contains(&step) {
        return Ok(());
    }
    Err(Error::usage(format!("there is no step \"{}\"", step.escape_debug()))
        .hint(format!("the steps are: {}", ids.join(", "))))
}

/// How one container's run ended: a report, and the error that explains a bad end.
pub(super) struct EndedOne {
    /// The report.
    pub report: Report,
    /// Why it did not end well, with the kind that decides the exit code.
    pub error: Option<Error>,
}

/// Prints what there is to say and returns the exit code's kind. Several containers have a document of a batch, in which
/// also those stand that were not begun.
pub(super) fn finish(
    work: &Work<'_>,
    format: Format,
    ended: Vec<(String, Result<EndedOne>)>,
    several: bool,
) -> Result<()> {
    let mut reports = Vec::new();
    let mut kinds = Vec::new();
    for (selector, one) in ended {
        let one = match one {
            Ok(one) => one,
            Err(error) if several => EndedOne { report: batch::not_begun(&selector, &error), error: Some(error) },
            Err(error) => return Err(error),
        };
        if format == Format::Text {
            work.screen.advise(&screens::migration(&one.report, work.screen.style()))?;
        }
        if let Some(error) = one.error {
            work.screen.error(&error);
            kinds.push(error.kind());
        }
        reports.push(one.report);
    }
    if format == Format::Json {
        work.screen.print(&match reports.as_slice() {
            [one] if !several => json(one)?,
            _ => json(&crate::batch::BatchReport::new(reports.clone()))?,
        })?;
    }
    let kind = match kinds.as_slice() {
        [kind] if !several => Some(*kind),
        all => crate::batch::kind(all, work.session.cancel.is_set() && several),
    };
    kind.map_or(Ok(()), |kind| Err(said(kind)))
}

/// Migrates one container from the beginning.
pub(super) fn one(
    work: &Work<'_>,
    merged: &Merged,
    source: &Arc<dyn Host>,
    node: Arc<Node>,
    selector: &str,
    ask: &Ask,
) -> Result<EndedOne> {
    let ctid = node.resolve(selector)?;
    let store = work.session.store(merged);
    let mut journal = store.open(&store.container_dir(ctid.as_str(), &node.label()))?;
    let anew = fresh(&standing(&journal.records()?), ctid.as_str())?;
    let ready = prepare(work, merged, source, node, &ctid, journal.dir())
        .and_then(|ready| rehearsable(&ready, ask).map(|()| ready));
    let (plan, tools) = match ready {
        Ok(Ready::Go(plan, tools)) => (plan, tools),
        Ok(Ready::Blocked(report)) => {
            journal.discard();
            let error = Error::of(Kind::Blocked, format!("container {ctid} cannot be migrated as it is"))
                .hint("what blocks it stands above; look again with: ovz2lxc check");
            return Ok(EndedOne { report: *report, error: Some(error) });
        }
        Err(error) => {
            journal.discard();
            return Err(error);
        }
    };
    if anew {
        journal.begin_anew()?;
    }
    journal.save(PLAN, &plan)?;
    let command = if ask.until.is_some() { "sync" } else { "migrate" };
    begin(&mut journal, command)?;
    execute(work, &plan, &tools, &mut journal, ask)
}

/// What looking at everything came to.
enum Ready {
    /// It can begin.
    Go(Box<Plan>, Box<Tools>),
    /// The check blocks it.
    Blocked(Box<Report>),
}

fn prepare(
    work: &Work<'_>,
    merged: &Merged,
    source: &Arc<dyn Host>,
    node: Arc<Node>,
    ctid: &Ctid,
    state: &Path,
) -> Result<Ready> {
    let mut inspected = inspect(work.session, merged, source, node, ctid, Look::Opening(state))?;
    if rules::verdict(&inspected.findings) == rules::Verdict::Blocked {
        let name = &inspected.facts.target_name;
        let report = Report::not_begun(ctid.as_str(), name, Outcome::Blocked, inspected.findings);
        return Ok(Ready::Blocked(Box::new(report)));
    }
    let plan = plan(work, merged, &mut inspected, state)?;
    let tools = tools(work, merged, inspected, &plan)?;
    Ok(Ready::Go(Box::new(plan), Box::new(tools)))
}

/// A failure cannot be rehearsed after a step that will not run.
fn rehearsable(ready: &Ready, ask: &Ask) -> Result<()> {
    let (Ready::Go(plan, tools), Some(id)) = (ready, &ask.rehearse_failure) else { return Ok(()) };
    let migration = Migration::new(plan, tools);
    let steps = steps::steps();
    match steps.iter().find(|s| s.id() == id).and_then(|s| s.skip(&migration)) {
        None => Ok(()),
        Some(why) => Err(Error::usage(format!(
            "no failure can be rehearsed after {id}: for container {} it is skipped ({why})",
            plan.container.ctid
        ))
        .hint("what runs and what is skipped shows: ovz2lxc migrate --dry-run")),
    }
}

/// Makes sure that no earlier migration of this container is open; tells whether records of a closed one have to go
/// aside.
fn fresh(standing: &Standing, ctid: &str) -> Result<bool> {
    match standing {
        Standing::Nothing | Standing::RolledBack | Standing::Finished => Ok(*standing != Standing::Nothing),
        Standing::Migrated => Err(Error::new(format!("container {ctid} was migrated already")).hint(format!(
            "take it back with: ovz2lxc rollback {ctid}, or close that migration with: ovz2lxc finish {ctid}"
        ))),
        Standing::Kept => {
            Err(Error::new(format!("what container {ctid} wrote on this host is kept since a roll back"))
                .hint(format!("delete that first with: ovz2lxc rollback {ctid} --discard-target")))
        }
        Standing::OnlyBack => Err(Error::new(format!("container {ctid} is not wholly taken back"))
            .hint(format!("take back what is left: ovz2lxc rollback {ctid}"))),
        Standing::Syncing | Standing::Synced | Standing::Open => Err(under_way(ctid)),
    }
}

/// Another verb has to go on with what is there.
pub(super) fn under_way(ctid: &str) -> Error {
    Error::new(format!("a migration of container {ctid} is under way"))
        .hint(format!("see where it stands with: ovz2lxc status {ctid}\nor take it back with: ovz2lxc rollback {ctid}"))
}

pub(super) fn begin(journal: &mut Journal, command: &str) -> Result<()> {
    let version = env!("CARGO_PKG_VERSION").to_owned();
    journal.append(&Record::Run { version, command: command.to_owned(), at: clock::seconds() })
}

fn plan(work: &Work<'_>, merged: &Merged, inspected: &mut Inspected, state: &Path) -> Result<Plan> {
    let way = planner::Way {
        access: session::access(&merged.connection),
        state,
        cluster: inspected.cluster.name(),
        autostart: inspected.node.fence_state(&inspected.facts.container.ctid)?,
    };
    // Held until the plan is made: others of a batch are planned beside it.
    let mut planned = work.session.planned_ids.lock().unwrap_or_else(PoisonError::into_inner);
    let reserved = reserved_ids(&work.session.store(merged), state)?;
    inspected.facts.target.id_ranges.extend(planned.iter().copied().chain(reserved));
    if inspected.facts.container.access == Access::Image {
        inspected.facts.container.tree = image_mount_point(state);
    }
    let mut plan = planner::plan(&inspected.facts, inspected.volume.clone(), way)?;
    plan.findings.splice(0..0, inspected.findings.iter().cloned());
    planned.extend(plan.idmap.map(|map| map.range));
    Ok(plan)
}

fn tools(work: &Work<'_>, merged: &Merged, inspected: Inspected, plan: &Plan) -> Result<Tools> {
    let choice = merged.settings.engine;
    let index = plan.mount_point.with_file_name(INDEX);
    let engine = match plan.container.origin {
        Origin::Archive => Box::new(ArchiveEngine),
        _ => transfer::choose(choice, inspected.source.as_ref(), &work.session.local, Some(&index))?.engine,
    };
    let catalogue = Catalogue::load(Some(&plan.fixups_dir))?;
    catalogue.check_skipped(&plan.skip_fixups)?;
    Ok(Tools {
        engine,
        catalogue,
        source: inspected.source,
        node: inspected.node,
        storage: inspected.storage,
        cluster: inspected.cluster,
        lxc: inspected.lxc,
        events: Arc::clone(&work.session.events),
        cancel: work.session.cancel.clone(),
    })
}

/// Runs the steps that are not done yet and writes the report.
pub(super) fn execute(
    work: &Work<'_>,
    plan: &Plan,
    tools: &Tools,
    journal: &mut Journal,
    ask: &Ask,
) -> Result<EndedOne> {
    let steps = steps::steps();
    let mut migration = Migration::new(plan, tools);
    for finding in plan.findings.clone() {
        migration.report(finding);
    }
    let ctid = plan.container.ctid.to_string();
    let events = Arc::clone(&work.session.events);
    let mut engine = Engine { steps: &steps, journal, events: events.as_ref(), cancel: &work.session.cancel, ctid };
    let ended = engine.run(&mut migration, ask)?;
    if let Err(error) = migration.close_source() {
        tracing::warn!("{}", error.chain().join(": "));
    }
    let findings = std::mem::take(&mut migration.findings);
    drop(migration);
    conclude(work, plan, journal, ended, findings)
}

fn conclude(
    work: &Work<'_>,
    plan: &Plan,
    journal: &mut Journal,
    ended: Ended,
    findings: Vec<Finding>,
) -> Result<EndedOne> {
    let ctid = &plan.container.ctid;
    let (outcome, word, error) = match ended {
        Ended::Complete => (Outcome::Migrated, "migrated", None),
        Ended::Paused => (Outcome::Synced, "synced", None),
        // A copy that was complete before still is; anything further stands half-way.
        Ended::Kept(error) if only_copied(&journal.records()?) => {
            (Outcome::Synced, "synced", Some(without_usage(error)))
        }
        Ended::Kept(error) => (Outcome::Failed, "failed", Some(half_way(ctid.as_str(), error))),
        Ended::RolledBack(error) => (Outcome::RolledBack, "rolled_back", Some(without_usage(error))),
        Ended::Incomplete { error, left } => {
            (Outcome::Failed, "failed", Some(incomplete(ctid.as_str(), Some(error), &left)))
        }
        Ended::Stuck(error) => (Outcome::Failed, "failed", Some(stuck(ctid.as_str(), &plan.name, error))),
    };
    // What happened must be told even when it cannot be written down.
    let end = Record::Outcome { outcome: word.to_owned(), at: clock::seconds() };
    let written = journal.append(&end);
    let mut report = Report::from_records(plan, &journal.records()?, outcome, findings);
    if let Err(lost) = written.and_then(|()| journal.save(REPORT, &report)) {
        report.findings.push(
            Finding::warning("journal-not-written", "the end of this run could not be written down")
                .detail(lost.chain().join(": "))
                .remedy("make room there, then run the same command again or: ovz2lxc status"),
        );
    }
    let detail = report.summary_line();
    work.session.events.emit(&crate::event::Event::Done { ctid: ctid.to_string(), outcome: word.to_owned(), detail });
    Ok(EndedOne { report, error })
}

/// Work was done, and taken back or kept: whatever a step ran into, it is a failure now, unless the operator asked for the stop.
fn without_usage(error: Error) -> Error {
    let kind = if error.kind() == Kind::Interrupted { Kind::Interrupted } else { Kind::Failed };
    error.with_kind(kind)
}

/// Says what could not be taken back, all of it; `error` is why it had to be, when it was not asked for.
pub(super) fn incomplete(ctid: &str, error: Option<Error>, left: &[Error]) -> Error {
    let mut text = String::from("what could not be taken back:");
    for one in left {
        text.push_str("\n  - ");
        text.push_str(&one.chain().join(": "));
        if let Some(hint) = one.first_hint() {
            text.push_str("\n    ");
            text.push_str(hint);
        }
    }
    text.push_str(&format!("\nthen run: ovz2lxc rollback {ctid}"));
    let message = match error {
        Some(_) => format!("container {ctid} failed and is not wholly as it was before"),
        None => format!("container {ctid} could not be wholly taken back"),
    };
    let incomplete = Error::of(Kind::Incomplete, message).hint(text);
    match error {
        Some(error) => incomplete.because(error),
        None => incomplete,
    }
}

fn half_way(ctid: &str, error: Error) -> Error {
    Error::of(Kind::Incomplete, format!("the migration of container {ctid} stands half-way, as it did before"))
        .because(error)
        .hint(format!("forward: ovz2lxc resume {ctid}\nback:    ovz2lxc rollback {ctid}"))
}

fn stuck(ctid: &str, name: &str, error: Error) -> Error {
    Error::of(
        Kind::Incomplete,
        format!("container {ctid} runs on the target as {name}, but the migration is not complete"),
    )
    .because(error)
    .hint(format!("forward: ovz2lxc resume {ctid}\nback:    ovz2lxc rollback {ctid}"))
}

fn show_dry_runs(
    work: &Work<'_>,
    args: &MigrateArgs,
    merged: &Merged,
    source: &Arc<dyn Host>,
    node: &Arc<Node>,
) -> Result<()> {
    let mut blocked = false;
    let mut shown = Vec::new();
    for selector in &args.ctids {
        work.session.cancel.check()?;
        let (run, is_blocked) = dry_run_of(work, merged, source, Arc::clone(node), selector)?;
        blocked |= is_blocked;
        if args.format == Format::Text {
            work.screen.print(&screens::dry_run(&run, work.screen.style()))?;
        }
        shown.push(run);
    }
    if args.format == Format::Json {
        work.screen.print(&match shown.as_slice() {
            [one] => json(one)?,
            all => json(&dry_runs(all))?,
        })?;
    }
    if blocked { Err(said(Kind::Blocked)) } else { Ok(()) }
}

/// Returns the document of several dry runs.
pub(super) fn dry_runs(all: &[DryRun]) -> serde_json::Value {
    serde_json::json!({ "schema": 1, "containers": all })
}

/// Returns what a migration would do, and whether the check blocks it.
pub(super) fn dry_run_of(
    work: &Work<'_>,
    merged: &Merged,
    source: &Arc<dyn Host>,
    node: Arc<Node>,
    selector: &str,
) -> Result<(DryRun, bool)> {
    let ctid = node.resolve(selector)?;
    let place = node.label();
    let mut inspected = inspect(work.session, merged, source, node, &ctid, Look::Only)?;
    let blocked = rules::verdict(&inspected.findings) == rules::Verdict::Blocked;
    let store = work.session.store(merged);
    let dir = store.container_dir(ctid.as_str(), &place);
    let plan = plan(work, merged, &mut inspected, &dir)?;
    let catalogue = Catalogue::load(Some(&plan.fixups_dir))?;
    let changes = match &inspected.peek {
        None => Vec::new(),
        Some(peek) => {
            let options = ApplyOptions { dry_run: true, skip: &plan.skip_fixups };
            fixup::apply(&catalogue, peek.rootfs(), &inspected.facts.guest, &plan.guest_plan, &options)?.changes
        }
    };
    let tools = tools(work, merged, inspected, &plan)?;
    let migration = Migration::new(&plan, &tools);
    Ok((dry_run::describe(&migration, &steps::steps(), changes), blocked))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_was_taken_back_failed_whatever_a_step_ran_into() {
        for kind in [Kind::Usage, Kind::Locked, Kind::Blocked, Kind::Partial, Kind::Incomplete, Kind::Failed] {
            assert_eq!(without_usage(Error::of(kind, "x")).kind(), Kind::Failed, "{kind:?}");
        }
        assert_eq!(without_usage(Error::of(Kind::Interrupted, "x")).kind(), Kind::Interrupted);
    }

    #[test]
    fn everything_that_is_left_is_said() {
        let left = [Error::new("first").hint("do this"), Error::new("second")];
        for error in [None, Some(Error::usage("why"))] {
            let error = incomplete("101", error, &left);
            assert_eq!(error.kind(), Kind::Incomplete);
            let hint = error.first_hint().unwrap();
            for part in ["- first", "do this", "- second", "ovz2lxc rollback 101"] {
                assert!(hint.contains(part), "{part}: {hint}");
            }
        }
    }

    #[test]
    fn only_a_closed_migration_makes_room_for_another() {
        assert!(!fresh(&Standing::Nothing, "101").unwrap());
        assert!(fresh(&Standing::RolledBack, "101").unwrap());
        assert!(fresh(&Standing::Finished, "101").unwrap());
        for open in [Standing::Syncing, Standing::Synced, Standing::Open, Standing::OnlyBack, Standing::Kept] {
            let error = fresh(&open, "101").unwrap_err();
            assert!(error.first_hint().unwrap().contains("rollback 101"), "{open:?}");
        }
    }
}
