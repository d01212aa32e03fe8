//! `verify`: compares the source with the copy again, and says what each difference comes from.

use super::lifecycle::{known, load_plan, tools};
use super::session::COMMAND_LINE;
use super::standing::{Standing, standing};
use super::{Work, json};
use crate::cli::{Format, OneArgs};
use crate::config::Merged;
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::journal::{Record, StepState, states};
use crate::model::container::Status;
use crate::model::settings::Verify;
use crate::pipeline::clock;
use crate::pipeline::migration::Migration;
use crate::pipeline::plan::Plan;
use crate::pipeline::steps::verify::{VERIFY, differs};
use crate::rootfs::Rootfs;
use crate::rootfs::attributes::Time;
use crate::runtime::State;
use crate::transfer::{Cause, Check, Differs, Pass, Verified};
use crate::ui::screens;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

/// A change time has the grain of a clock tick, and comes late for what a program maps and writes.
const UNSURE: i64 = 60;

/// Runs `verify`. Only a difference that nothing explains makes it fail.
pub(super) fn run(work: &Work<'_>, args: &OneArgs) -> Result<()> {
    let (merged, known) = known(work, args)?;
    let how = how(&merged)?;
    let journal = work.session.store(&merged).open(&known.dir)?; // nobody copies meanwhile
    let records = journal.records()?;
    let standing = standing(&records);
    may_compare(&standing, &known.ctid)?;
    let plan = load_plan(&known.dir)?;
    let tools = tools(work, &merged, &plan, Some(&known.dir))?;
    let mut migration = Migration::new(&plan, &tools);
    let live = tools.node.status(&plan.container.ctid)? == Status::Running;
    let history = History::read(&records, live, offset(tools.source.as_ref())?);
    let running = tools.lxc.state(&plan.name)? == State::Running;
    let check = Check { how, ids: ids(&plan, &history, running), cause: &|found| history.cause(found) };
    let verified = if running {
        let pid = tools.lxc.init_pid(&plan.name)?;
        let pid = pid.ok_or_else(|| Error::new(format!("{} has no init any more", plan.name)))?;
        let tree = Rootfs::open(&PathBuf::from(format!("/proc/{pid}/root")))?;
        let pass = if live { Pass::Live } else { Pass::Final };
        tools.engine.verify(&migration.job(VERIFY, pass, &tree), &check)
    } else {
        let verified = migration.verify_as(VERIFY, if live { Pass::Live } else { Pass::Final }, &check);
        verified.and_then(|verified| migration.close_tree().map(|()| verified))
    };
    let verified =
        verified.map_err(|e| e.hint("the tree must be there on the source: a ploop image has to be mounted"))?;
    drop(migration);
    match args.format {
        Format::Text => {
            work.screen.print(&screens::verified(&plan, standing.word(), &verified, work.screen.style()))?;
        }
        Format::Json => work.screen.print(&document(&plan, &standing, &verified)?)?,
    }
    if verified.count(Cause::Copy) == 0 { Ok(()) } else { Err(differs(&verified)) }
}

/// A configuration that switches the step off does not switch the command off.
fn how(merged: &Merged) -> Result<Verify> {
    match merged.settings.verify {
        Verify::None if merged.is_from("verify", COMMAND_LINE) => {
            Err(Error::usage("verify compares, and --verify none says not to").hint("use metadata or content"))
        }
        Verify::None => Ok(Verify::Metadata),
        how => Ok(how),
    }
}

fn may_compare(standing: &Standing, ctid: &str) -> Result<()> {
    match standing {
        Standing::Nothing | Standing::RolledBack => {
            Err(Error::new(format!("there is nothing to compare: container {ctid} has no copy here"))
                .hint(format!("make one with: ovz2lxc sync {ctid}")))
        }
        _ => Ok(()),
    }
}

fn document(plan: &Plan, standing: &Standing, verified: &Verified) -> Result<String> {
    let mut document = serde_json::json!({
        "schema": 1, "ctid": plan.container.ctid, "name": plan.name, "state": standing.word(),
    });
    let figures = serde_json::to_value(verified).map_err(|e| Error::new(e.to_string()))?;
    if let (Some(all), Value::Object(figures)) = (document.as_object_mut(), figures) {
        all.extend(figures);
        all.insert("findings".to_owned(), serde_json::json!(verified.findings));
    }
    json(&document)
}

/// The ids that the copy has by now: those of the range from `shift-ids` on, and in a running container always.
fn ids(plan: &Plan, history: &History, running: bool) -> Option<crate::model::settings::IdRange> {
    let map = plan.idmap?;
    let given = running || (history.shifted && !map.mounted);
    given.then_some(map.range)
}

/// Returns how many seconds the source's clock is ahead of ours.
fn offset(source: &dyn Host) -> Result<i64> {
    let doing = || format!("asking {} for its clock", source.label());
    let command = Command::read("date").arg("+%s").timeout(Duration::from_secs(30));
    let text = source.run_ok(&command).doing(doing)?.text();
    let there: i64 = text.trim().parse().map_err(|_| Error::new("it does not say a number")).doing(doing)?;
    Ok(there - now())
}

fn now() -> i64 {
    i64::try_from(clock::seconds()).unwrap_or(i64::MAX)
}

/// What happened to source and copy after they were made equal.
#[derive(Debug, Default)]
struct History {
    /// Paths that the fixups changed, and the directories they are in.
    fixups: BTreeSet<Vec<u8>>,
    /// What the source changed since, by its clock, is no difference of the copy.
    copied: Option<i64>,
    /// When the last run ended, by our clock: until the container is started nobody writes into the copy.
    ended: Option<i64>,
    /// The container runs on the source.
    live: bool,
    /// When the container was started on the target, by our clock.
    started: Option<i64>,
    /// The files were given to other ids.
    shifted: bool,
}

impl History {
    fn read(records: &[Record], live: bool, offset: i64) -> History {
        let states = states(records);
        let begun = records.iter().rev().find_map(|r| match r {
            Record::Run { at, command, .. } if command != "rollback" => i64::try_from(*at).ok(),
            _ => None,
        });
        // A final pass of a stopped source leaves no difference: only a copy of a running one is behind.
        let behind = live || !states.contains_key("copy-final");
        History {
            fixups: fixups(&states),
            ended: records.iter().rev().find_map(|r| match r {
                Record::Outcome { at, .. } => i64::try_from(*at).ok(),
                _ => None,
            }),
            copied: begun.filter(|_| behind).map(|at| at + offset - UNSURE),
            live,
            started: started(&states),
            shifted: states.contains_key("shift-ids"),
        }
    }

    fn cause(&self, found: &Differs<'_>) -> Cause {
        let since = |time: Option<Time>, from: Option<i64>| {
            from.is_some_and(|from| time.is_none_or(|time| time.seconds >= from))
        };
        let written = |time: Time| self.ended.is_some_and(|ended| time.seconds > ended);
        if self.started.is_none() && found.target.is_some_and(written) {
            Cause::Copy
        } else if self.fixups.contains(found.path) {
            Cause::Fixup
        } else if since(found.target, self.started) {
            Cause::Target
        } else if since(found.source, self.copied.filter(|_| found.source.is_some() || self.live)) {
            Cause::Source
        } else {
            Cause::Copy
        }
    }
}

fn fixups(states: &BTreeMap<String, StepState>) -> BTreeSet<Vec<u8>> {
    let mut paths = BTreeSet::new();
    let Some(StepState::Done(data)) = states.get("apply-fixups") else { return paths };
    let changes = data.get("changes").and_then(Value::as_array);
    for path in changes.into_iter().flatten().filter_map(|change| change.get("path")?.as_str()) {
        let path = path.trim_start_matches('/').as_bytes();
        // A new entry changes the time of its directory; one that was made for it has one of its own.
        for (at, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
            paths.insert(path[..at].to_vec());
        }
        paths.insert(path.to_vec());
        paths.insert(Vec::new());
    }
    paths
}

fn started(states: &BTreeMap<String, StepState>) -> Option<i64> {
    let data = |step: &str| match states.get(step) {
        Some(StepState::Done(data)) => Some(data.clone()),
        Some(StepState::Begun) => Some(Value::Null),
        None => None,
    };
    let start = data("start-target")?;
    // Journals of earlier versions do not say it; the stop was before it.
    let stop = data("stop-source").unwrap_or_default();
    let at = start.get("started_at").or_else(|| stop.get("stopping_at")).and_then(Value::as_f64)?;
    format!("{at:.0}").parse::<i64>().ok().map(|at| at - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn done(step: &str, data: Value) -> Record {
        Record::Done { step: step.into(), seconds: 0.0, data }
    }

    fn run(at: u64) -> Record {
        Record::Run { version: String::new(), command: "migrate".into(), at }
    }

    fn cause(history: &History, path: &str, source: Option<i64>, target: Option<i64>) -> Cause {
        let time = |seconds: i64| Time { seconds, nanoseconds: 0 };
        history.cause(&Differs { path: path.as_bytes(), source: source.map(time), target: target.map(time) })
    }

    #[test]
    fn after_a_migration_fixups_and_the_container_explain_what_they_changed() {
        let fixups = json!({ "changes": [{ "path": "/etc/net/conf" }] });
        let records = [
            run(1000),
            done("copy-live", json!({})),
            done("stop-source", json!({ "stopping_at": 1500.0 })),
            done("copy-final", json!({})),
            done("apply-fixups", fixups),
            done("start-target", json!({ "started_at": 2000.4 })),
        ];
        let history = History::read(&records, false, 0);
        for path in ["etc/net/conf", "etc/net", "etc", ""] {
            assert_eq!(cause(&history, path, Some(10), Some(1600)), Cause::Fixup, "{path:?}");
        }
        assert_eq!(cause(&history, "var/log/a", Some(10), Some(2000)), Cause::Target);
        assert_eq!(cause(&history, "var/log/new", None, Some(3000)), Cause::Target);
        assert_eq!(cause(&history, "tmp/gone", Some(10), None), Cause::Target);
        assert_eq!(cause(&history, "var/lib/db", Some(10), Some(1700)), Cause::Copy);
        assert_eq!(cause(&history, "var/lib/db", Some(1400), Some(1700)), Cause::Copy, "the last pass was after it");
        assert_eq!(cause(&history, "var/lib/extra", None, Some(1700)), Cause::Copy);
    }

    #[test]
    fn before_the_stop_the_source_explains_what_it_changed_by_its_own_clock() {
        let records = [run(1000), done("create-volume", json!({})), done("copy-live", json!({}))];
        let history = History::read(&records, true, 500);
        assert_eq!(cause(&history, "a", Some(1440), Some(1100)), Cause::Source);
        assert_eq!(cause(&history, "a", Some(1439), Some(1100)), Cause::Copy);
        assert_eq!(cause(&history, "removed/there", None, Some(1100)), Cause::Source);
        assert_eq!(cause(&history, "lost", Some(10), None), Cause::Copy);
        let ended = [&records[..], &[Record::Outcome { outcome: "synced".into(), at: 1200 }]].concat();
        let history = History::read(&ended, true, 500);
        assert_eq!(cause(&history, "a", Some(1440), Some(1200)), Cause::Source);
        assert_eq!(cause(&history, "a", Some(1440), Some(1201)), Cause::Copy, "somebody wrote into the copy");
    }
}
