//! `sync`, `cutover`, `resume`, `rollback`, `status`, `finish`: a migration in parts, and its end.

use super::known::{self, Known};
use super::migrate::{self, EndedOne, PLAN, REPORT};
use super::standing::{self, Standing, standing};
use super::{Work, from, json, session};
use crate::cli::{Format, OneArgs, RollbackArgs, StatusArgs, SyncArgs};
use crate::cluster;
use crate::config::{Connection, Layer, Merged, unplaced};
use crate::error::{Error, Result};
use crate::fixup::Catalogue;
use crate::journal::{self, Journal, Record, Store};
use crate::model::container::{Origin, Status};
use crate::pipeline::engine::{Ask, Engine as StepEngine};
use crate::pipeline::migration::{Migration, Tools};
use crate::pipeline::plan::Plan;
use crate::pipeline::report::{Outcome, Report};
use crate::pipeline::{clock, steps};
use crate::runtime::Lxc;
use crate::transfer::{self, ArchiveEngine, Engine, StreamEngine};
use crate::ui::screens::{self, StatusLine};
use crate::volume;
use std::path::Path;
use std::sync::Arc;

/// Copies while the container runs. The first time it checks, plans and makes the volume; later it copies again.
pub(super) fn sync(work: &Work<'_>, args: &SyncArgs) -> Result<()> {
    let own =
        Layer { name: args.name.clone().map(unplaced), size: args.size.clone().map(unplaced), ..args.source.layer() };
    let merged = work.session.merged(&own, None);
    if merged.connection.remains.vzdump.is_some() {
        return Err(Error::usage("an archive does not change: there is nothing to copy twice")
            .hint(format!("unpack it with: ovz2lxc migrate {}", args.ctid.escape_debug())));
    }
    let open =
        open_copy(&work.session.store(&merged), &args.ctid, args.source.is_named().then_some(&merged.connection))?;
    let one = match open {
        Some(known) => {
            let may = |standing: &Standing, _| match standing {
                Standing::Synced | Standing::Syncing => Ok(()),
                _ => Err(migrate::under_way(&known.ctid)),
            };
            go_on(work, &merged, &known, &Going { command: "sync", ask: sync_ask(), may: &may, look: None })?
        }
        None => {
            let (source, node) = work.session.node(&merged.connection)?;
            migrate::one(work, &merged, &source, node, &args.ctid, &sync_ask())?
        }
    };
    migrate::finish(work, args.format, vec![(args.ctid.clone(), Ok(one))], false)
}

fn sync_ask() -> Ask {
    let again = vec![steps::COPY_LIVE.to_owned()];
    Ask { until: Some(steps::COPY_LIVE.into()), again, ..Ask::default() }
}

/// Does what is left after `sync`: one more pass while the container runs, then the downtime part.
pub(super) fn cutover(work: &Work<'_>, args: &OneArgs) -> Result<()> {
    let (merged, known) = known(work, args)?;
    let ask = Ask { again: vec![steps::COPY_LIVE.to_owned()], ..Ask::default() };
    let may = |standing: &Standing, copied| may_cut_over(standing, copied, &known.ctid);
    let one = go_on(work, &merged, &known, &Going { command: "cutover", ask, may: &may, look: Some(unchanged) })?;
    migrate::finish(work, args.format, vec![(args.ctid.clone(), Ok(one))], false)
}

fn may_cut_over(standing: &Standing, copied: bool, ctid: &str) -> Result<()> {
    match standing {
        Standing::Synced if copied => Ok(()),
        Standing::Syncing | Standing::Synced | Standing::Nothing => {
            Err(Error::new(format!("container {ctid} was not copied yet"))
                .hint(format!("copy it first with: ovz2lxc sync {ctid}")))
        }
        Standing::Open => Err(migrate::under_way(ctid)),
        Standing::OnlyBack => Err(only_back(ctid)),
        Standing::Migrated | Standing::RolledBack | Standing::Kept | Standing::Finished => {
            Err(Error::new(format!("there is nothing to cut over: container {ctid} is {}", standing.word())))
        }
    }
}

/// The plan was made when the first `sync` looked; it must still be one for the container as it is.
fn unchanged(plan: &Plan, tools: &Tools) -> Result<()> {
    let (ctid, node) = (&plan.container.ctid, tools.source.label());
    let now = tools.node.describe(ctid, &[])?;
    let anew =
        || format!("take the copy back and make a new one: ovz2lxc rollback {ctid}\nthen run: ovz2lxc sync {ctid}");
    if now.config_text != plan.container.config_text {
        return Err(Error::new(format!(
            "the configuration of container {ctid} on {node} has changed since it was copied first ({})",
            now.config_path.display()
        ))
        .hint(anew()));
    }
    let runs = now.status == Status::Running;
    if runs != (plan.container.status == Status::Running) {
        let (is, was) = if runs { ("runs", "did not") } else { ("does not run", "did") };
        return Err(Error::new(format!("container {ctid} {is} on {node} now, and {was} when it was copied first"))
            .hint(format!("bring it back to how it was, or {}", anew())));
    }
    Ok(())
}

fn only_back(ctid: &str) -> Error {
    Error::new(format!("container {ctid} cannot go forward: a part of its way back is missing"))
        .hint(format!("take back what is left: ovz2lxc rollback {ctid}"))
}

/// Goes on where a run stopped, died, or got stuck after the point of no return. A `sync` goes on as a sync.
pub(super) fn resume(work: &Work<'_>, args: &OneArgs) -> Result<()> {
    let (merged, known) = known(work, args)?;
    let (command, ask) = match known.standing()? {
        Standing::Syncing => ("sync", sync_ask()),
        _ => ("resume", Ask::default()),
    };
    let may = |standing: &Standing, _| match (standing, command) {
        (Standing::Syncing, "sync") | (Standing::Open, "resume") => Ok(()),
        (standing, _) => Err(not_resumed(standing, &known.ctid)),
    };
    let one = go_on(work, &merged, &known, &Going { command, ask, may: &may, look: None })?;
    migrate::finish(work, args.format, vec![(args.ctid.clone(), Ok(one))], false)
}

fn not_resumed(standing: &Standing, ctid: &str) -> Error {
    match standing {
        Standing::Nothing => Error::new(format!("there is nothing to resume: nothing was begun for container {ctid}")),
        Standing::OnlyBack => only_back(ctid),
        Standing::Synced => Error::new(format!("there is nothing to resume: container {ctid} is synced"))
            .hint(format!("move it with: ovz2lxc cutover {ctid}")),
        Standing::Open | Standing::Syncing => Error::new(format!("another run went on with container {ctid} just now"))
            .hint("see where it stands with: ovz2lxc status"),
        Standing::Migrated | Standing::RolledBack | Standing::Kept | Standing::Finished => {
            Error::new(format!("there is nothing to resume: container {ctid} is {}", standing.word()))
        }
    }
}

/// Takes a migration back, before or after the point of no return.
pub(super) fn rollback(work: &Work<'_>, args: &RollbackArgs) -> Result<()> {
    let (merged, known) = known(work, &args.one)?;
    let mut journal = work.session.store(&merged).open(&known.dir)?;
    let records = journal.records()?;
    let standing = standing(&records);
    may_take_back(&standing, args.discard_target, &known.ctid)?;
    let ran = records.contains(&Record::PointOfNoReturn);
    let plan = load_plan(&known.dir)?;
    if ran {
        confirm(work, &plan, &standing, args.discard_target)?;
    }
    let tools = tools(work, &merged, &plan, None)?;
    migrate::begin(&mut journal, "rollback")?;
    let steps = steps::steps();
    let mut migration = Migration::new(&plan, &tools);
    migration.keep_target = ran && !args.discard_target;
    migration.healthy = ran;
    let events = Arc::clone(&work.session.events);
    let ctid = plan.container.ctid.to_string();
    let never = crate::cancel::Cancel::new(); // the way back is not interrupted half-way
    let mut engine = StepEngine {
        steps: &steps,
        journal: &mut journal,
        events: events.as_ref(),
        cancel: &never,
        ctid: ctid.clone(),
    };
    let left = engine.undo_all(&mut migration)?;
    let keep = migration.keep_target;
    drop(migration);
    let outcome = if left.is_empty() { Outcome::RolledBack } else { Outcome::Failed };
    journal.append(&Record::Outcome { outcome: outcome.word().to_owned(), at: clock::seconds() })?;
    let report = Report::from_records(&plan, &journal.records()?, outcome, Vec::new());
    journal.save(REPORT, &report)?;
    match args.one.format {
        Format::Json => work.screen.print(&json(&report)?)?,
        Format::Text => work.screen.advise(&screens::rolled_back(&plan, &report, keep, work.screen.style()))?,
    }
    if left.is_empty() { Ok(()) } else { Err(migrate::incomplete(&ctid, None, &left)) }
}

fn may_take_back(standing: &Standing, discard: bool, ctid: &str) -> Result<()> {
    match standing {
        Standing::Nothing => {
            Err(Error::new(format!("there is nothing to take back: nothing was begun for container {ctid}")))
        }
        Standing::RolledBack | Standing::Finished => {
            Err(Error::new(format!("there is nothing to take back: container {ctid} is {}", standing.word())))
        }
        Standing::Kept if !discard => {
            Err(Error::new(format!("container {ctid} is taken back already; what it wrote on this host is kept"))
                .hint(format!("delete that with: ovz2lxc rollback {ctid} --discard-target")))
        }
        _ => Ok(()),
    }
}

fn confirm(work: &Work<'_>, plan: &Plan, standing: &Standing, discard: bool) -> Result<()> {
    let (ctid, name) = (&plan.container.ctid, &plan.name);
    let question = if *standing == Standing::Kept {
        format!("What container {ctid} wrote as {name} on this host is deleted. Go on?")
    } else {
        let what = if discard { "deleted" } else { "kept, but not used" };
        format!(
            "Container {ctid} ran as {name} on this host. Taking it back stops it; what it wrote here since then is {what}. Go on?"
        )
    };
    if work.session.yes || (work.session.interactive && work.screen.ask(&question)) {
        return Ok(());
    }
    Err(Error::usage("taking back a container that ran on this host needs a yes").hint("say it with --yes"))
}

/// Ends a migration: no way back by this program any more.
pub(super) fn finish(work: &Work<'_>, args: &OneArgs) -> Result<()> {
    let (merged, known) = known(work, args)?;
    let mut journal = work.session.store(&merged).open(&known.dir)?;
    let ctid = &known.ctid;
    match standing(&journal.records()?) {
        Standing::Migrated => {}
        closed @ (Standing::RolledBack | Standing::Kept | Standing::Finished) => {
            return Err(Error::new(format!("container {ctid} cannot be finished: it is {}", closed.word())));
        }
        open => {
            let next = open.next(ctid);
            return Err(Error::new(format!("the migration of container {ctid} is not complete"))
                .hint(format!("go on with: ovz2lxc {next}")));
        }
    }
    let plan = load_plan(&known.dir)?;
    journal.append(&Record::Outcome { outcome: "finished".into(), at: clock::seconds() })?;
    let report = Report::from_records(&plan, &journal.records()?, Outcome::Migrated, Vec::new());
    match args.format {
        Format::Json => work.screen.print(&json(&report)?)?,
        Format::Text => work.screen.print(&screens::finished(&plan, work.screen.style()))?,
    }
    Ok(())
}

/// Shows the migrations known here.
pub(super) fn status(work: &Work<'_>, args: &StatusArgs) -> Result<()> {
    let merged = work.session.merged(&Layer::default(), None);
    let store = work.session.store(&merged);
    let found = match &args.ctid {
        Some(selector) => match known::matching(&store, selector, None)? {
            none if none.is_empty() => vec![known::required(&store, selector, None)?],
            several => several,
        },
        None => store.containers()?.into_iter().map(Known::read).collect(),
    };
    let mut lines = Vec::new();
    for known in found {
        lines.push(status_line(&known, &known.records()?, store.is_locked(&known.dir)));
    }
    match args.format {
        Format::Json => work.screen.print(&json(&serde_json::json!({ "schema": 1, "migrations": lines }))?)?,
        Format::Text => work.screen.advise(&screens::status(&lines, work.screen.style()))?,
    }
    Ok(())
}

fn status_line(known: &Known, records: &[Record], locked: bool) -> StatusLine {
    let standing = standing(records);
    let step = records.iter().rev().find_map(|r| match r {
        Record::Started { step } | Record::Done { step, .. } | Record::Failed { step, .. } => Some(step.clone()),
        _ => None,
    });
    let outcome = match records.last() {
        _ if locked => "running".to_owned(),
        Some(Record::Outcome { outcome, .. }) => outcome.clone(),
        _ => standing.word().to_owned(),
    };
    StatusLine {
        ctid: known.ctid.clone(),
        node: known.node.clone(),
        name: known.plan.as_ref().map(|p| p.name.clone()).unwrap_or_default(),
        outcome,
        step: step.unwrap_or_default(),
        kept: known.plan.as_ref().map(|plan| kept_paths(plan, records)).unwrap_or_default(),
        next: if locked { String::new() } else { standing.next(&known.ctid) },
    }
}

/// Returns what a roll back left here on purpose.
fn kept_paths(plan: &Plan, records: &[Record]) -> Vec<String> {
    let kept = standing::kept(records);
    let places = [("create-volume", &plan.volume.path), ("write-config", &plan.config_path)];
    places.iter().filter(|(step, _)| kept.contains(*step)).map(|(_, path)| path.display().to_string()).collect()
}

/// Finds a migration that `sync` can go on with.
fn open_copy(store: &Store, selector: &str, from: Option<&Connection>) -> Result<Option<Known>> {
    let mut open = Vec::new();
    for known in known::matching(store, selector, from)? {
        if matches!(known.standing()?, Standing::Synced | Standing::Syncing) {
            open.push(known);
        }
    }
    known::only(open, selector)
}

fn known(work: &Work<'_>, args: &OneArgs) -> Result<(Merged, Known)> {
    let merged = work.session.merged(&from(args.from.as_ref()), None);
    let named = args.from.as_ref().map(|_| &merged.connection);
    let known = known::required(&work.session.store(&merged), &args.ctid, named)?;
    Ok((merged, known))
}

fn load_plan(dir: &Path) -> Result<Plan> {
    journal::load(dir, PLAN)?
        .ok_or_else(|| Error::new(format!("{} has no plan: nothing was done for this container", dir.display())))
}

/// How a run goes on with a migration.
struct Going<'a> {
    /// What was asked for, for the journal.
    command: &'a str,
    ask: Ask,
    /// Says under the lock, from where the migration stands and whether its copy is complete, whether it may go on.
    may: &'a dyn Fn(&Standing, bool) -> Result<()>,
    /// Looks at the source before anything is done.
    look: Option<fn(&Plan, &Tools) -> Result<()>>,
}

fn go_on(work: &Work<'_>, merged: &Merged, known: &Known, going: &Going<'_>) -> Result<EndedOne> {
    let mut journal: Journal = work.session.store(merged).open(&known.dir)?;
    let records = journal.records()?;
    (going.may)(&standing(&records), standing::is_copied(&records))?;
    let plan = load_plan(&known.dir)?;
    let tools = tools(work, merged, &plan, Some(&known.dir))?;
    if let Some(look) = going.look {
        look(&plan, &tools)?;
    }
    migrate::begin(&mut journal, going.command)?;
    migrate::execute(work, &plan, &tools, &mut journal, &going.ask)
}

/// Builds the adapters that the plan names.
fn tools(work: &Work<'_>, merged: &Merged, plan: &Plan, copying: Option<&Path>) -> Result<Tools> {
    let connection = session::connection(&plan.access, &merged.connection);
    let (source, node) = work.session.node(&connection)?;
    let engine: Box<dyn Engine> = if plan.container.origin == Origin::Archive {
        Box::new(ArchiveEngine)
    } else if let Some(dir) = copying {
        transfer::choose(plan.engine, source.as_ref(), &work.session.local, Some(&dir.join(migrate::INDEX)))?.engine
    } else {
        Box::new(StreamEngine::new())
    };
    let cluster_choice = plan.cluster.parse::<crate::config::ClusterText>()?.value();
    Ok(Tools {
        engine,
        catalogue: Catalogue::load(Some(&plan.fixups_dir))?,
        storage: volume::storage_for(plan.volume.kind, Arc::clone(&work.session.local)),
        cluster: cluster::cluster_for(&cluster_choice, Arc::clone(&work.session.local))?,
        lxc: Lxc::new(Arc::clone(&work.session.local), &plan.lxc_path, &merged.state_dir.join("logs"))?,
        source,
        node,
        events: Arc::clone(&work.session.events),
        cancel: work.session.cancel.clone(),
    })
}
