//! What a migration did: the JSON of the contract, and the matter of the last screen.

use super::plan::Plan;
use crate::journal::Record;
use crate::model::finding::Finding;
use crate::transfer::{Stats, Verified};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How a migration ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The container runs on the target.
    Migrated,
    /// `sync`: it was copied, and still runs on its node.
    Synced,
    /// It failed, and everything is as it was before.
    RolledBack,
    /// It failed and is not as it was before.
    Failed,
    /// The check found blockers; nothing was touched.
    Blocked,
    /// Not begun, among several: migrated already, or interrupted before its turn.
    Skipped,
}

impl Outcome {
    /// Returns the word of the contract.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Migrated => "migrated",
            Outcome::Synced => "synced",
            Outcome::RolledBack => "rolled_back",
            Outcome::Failed => "failed",
            Outcome::Blocked => "blocked",
            Outcome::Skipped => "skipped",
        }
    }
}

/// One phase of the report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Phase {
    /// The step's id.
    pub phase: String,
    /// `done`, `failed`, `undone`, `undo_failed`, or `begun` when the process died in it.
    pub state: String,
    /// Wall time in seconds.
    pub seconds: f64,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What was copied, for the phases that copy.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub copy: Option<CopyFigures>,
    /// What came of the comparison with the source, for the phase that compares.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<Verified>,
}

/// The figures of a copy (contracts.md).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CopyFigures {
    /// `stream` or `rsync`.
    pub engine: String,
    /// Entries.
    pub files: u64,
    /// Bytes of content.
    pub bytes: u64,
    /// Bytes over the wire.
    pub sent_bytes: u64,
    /// Entries deleted.
    pub deleted: u64,
}

impl From<Stats> for CopyFigures {
    fn from(s: Stats) -> CopyFigures {
        CopyFigures { engine: s.engine, files: s.files, bytes: s.bytes, sent_bytes: s.sent_bytes, deleted: s.deleted }
    }
}

/// The report of one migration (contracts.md, `migrate`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Always 1.
    pub schema: u32,
    /// The container.
    pub ctid: String,
    /// Its name on the target.
    pub name: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Its phases in order.
    pub phases: Vec<Phase>,
    /// Seconds from the moment before the source was told to stop to the moment when the health check passed on the
    /// target, which includes the wait for a login program; a resumed run counts from the stop of the earlier one. Null when the source was not stopped, when the target is not healthy yet, and when it was taken back: when
    /// the source was up again is not kept.
    pub downtime_seconds: Option<f64>,
    /// The volume; null when there is none.
    pub volume: Option<String>,
    /// The configuration file; null when there is none.
    pub config: Option<String>,
    /// The Pacemaker resource; null when there is none.
    pub resource: Option<String>,
    /// Whether root in the container is root on the host; null when it was not planned yet.
    #[serde(default)]
    pub privileged: Option<bool>,
    /// What the operator should know.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Makes the report of a migration that never began.
    pub fn not_begun(ctid: &str, name: &str, outcome: Outcome, findings: Vec<Finding>) -> Report {
        Report {
            schema: 1,
            ctid: ctid.into(),
            name: name.into(),
            outcome,
            phases: Vec::new(),
            downtime_seconds: None,
            volume: None,
            config: None,
            resource: None,
            privileged: None,
            findings,
        }
    }

    /// Says in one line how it ended.
    pub fn summary_line(&self) -> String {
        match self.downtime_seconds {
            Some(s) => format!("{} {}, down for {s:.1} s", self.name, self.outcome.word()),
            None => format!("{} {}", self.name, self.outcome.word()),
        }
    }

    /// Makes the report from the plan and the records of the journal: a resumed migration reports all of its phases.
    pub fn from_records(plan: &Plan, records: &[Record], outcome: Outcome, findings: Vec<Finding>) -> Report {
        let phases = phases(records);
        let stands = |id: &str| phases.iter().any(|p| p.phase == id && p.state != "undone");
        let volume = stands("create-volume").then(|| plan.volume.path.display().to_string());
        let config = stands("write-config").then(|| plan.config_path.display().to_string());
        let resource = if stands("register-resource") { plan.resource.as_ref().map(|r| r.id.clone()) } else { None };
        Report {
            volume,
            config,
            resource,
            privileged: Some(plan.idmap.is_none()),
            downtime_seconds: downtime(records),
            phases,
            ..Report::not_begun(plan.container.ctid.as_str(), &plan.name, outcome, findings)
        }
    }
}

fn phases(records: &[Record]) -> Vec<Phase> {
    let mut phases: Vec<Phase> = Vec::new();
    for record in records {
        match record {
            Record::Started { step } => {
                let (phase, state) = (step.clone(), "begun".into());
                phases.push(Phase { phase, state, seconds: 0.0, why: None, copy: None, verified: None });
            }
            Record::Done { step, seconds, data } => {
                if let Some(phase) = last(&mut phases, step) {
                    phase.state = "done".into();
                    phase.seconds = *seconds;
                    phase.verified = data.get("verified").and_then(|v| serde_json::from_value(v.clone()).ok());
                    phase.copy = data.get("copy").and_then(|c| serde_json::from_value(c.clone()).ok());
                }
            }
            Record::Failed { step, why } => {
                if let Some(phase) = last(&mut phases, step) {
                    phase.state = "failed".into();
                    phase.why = Some(why.clone());
                }
            }
            Record::Undone { step } => set_state(&mut phases, step, "undone"),
            Record::Kept { step } => set_state(&mut phases, step, "kept"),
            Record::UndoFailed { step, .. } => set_state(&mut phases, step, "undo_failed"),
            _ => {}
        }
    }
    phases
}

fn last<'p>(phases: &'p mut [Phase], step: &str) -> Option<&'p mut Phase> {
    phases.iter_mut().rev().find(|p| p.phase == step)
}

fn set_state(phases: &mut [Phase], step: &str, state: &str) {
    for phase in phases.iter_mut().filter(|p| p.phase == step) {
        phase.state = state.into();
    }
}

/// From the moment before the source was told to stop to the moment when the health check passed. A source that was
/// started again is not down any more, and how long it was is not known here.
fn downtime(records: &[Record]) -> Option<f64> {
    let (mut down, mut up) = (None, None);
    for record in records {
        match record {
            // A stop that was done again and found it running: somebody had started it meanwhile. One that found it
            // down says no time.
            Record::Done { step, data, .. } if step == "stop-source" => {
                down = data.get("stopping_at").and_then(Value::as_f64).or(down);
            }
            Record::Done { step, data, .. } if step == "check-health" => {
                up = data.get("up_at").and_then(Value::as_f64);
            }
            Record::Undone { step } if step == "stop-source" => (down, up) = (None, None),
            _ => {}
        }
    }
    Some(((up? - down?) * 1000.0).round() / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn done(step: &str, data: Value) -> Record {
        Record::Done { step: step.into(), seconds: 1.0, data }
    }

    fn undone(step: &str) -> Record {
        Record::Undone { step: step.into() }
    }

    #[test]
    fn the_downtime_is_that_of_the_way_here() {
        let mut records = vec![done("stop-source", json!({ "stopping_at": 10.0 }))];
        assert_eq!(downtime(&records), None, "it is still down");
        records.push(done("stop-source", json!({ "ran": false })));
        records.push(done("check-health", json!({ "up_at": 14.5 })));
        assert_eq!(downtime(&records), Some(4.5));
        records.push(undone("stop-source"));
        assert_eq!(downtime(&records), None, "taken back: the figure of the way here is none of the way back");
    }

    #[test]
    fn what_was_kept_stands() {
        let started = |step: &str| Record::Started { step: step.into() };
        let kept = Record::Kept { step: "create-volume".into() };
        let mut records = vec![started("create-volume"), started("copy-live"), undone("copy-live"), kept];
        let states = |r: &[Record]| phases(r).into_iter().map(|p| p.state).collect::<Vec<_>>();
        assert_eq!(states(&records), ["kept", "undone"]);
        records.push(undone("create-volume"));
        assert_eq!(states(&records), ["undone", "undone"]);
    }
}
