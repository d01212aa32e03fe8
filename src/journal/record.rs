//! The records and what they add up to.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case")]
pub enum Record {
    /// A run began.
    Run {
        /// Version of this program.
        version: String,
        /// What was asked for: `migrate`, `sync`, `cutover`, `resume`, `rollback`.
        command: String,
        /// Seconds since the epoch.
        at: u64,
    },
    /// A step is about to begin.
    Started {
        /// The step's id.
        step: String,
    },
    /// A step ended well.
    Done {
        /// The step's id.
        step: String,
        /// Wall time in seconds.
        seconds: f64,
        /// What the step needs to be undone, and what the report shows of it.
        data: serde_json::Value,
    },
    /// A step failed.
    Failed {
        /// The step's id.
        step: String,
        /// Why.
        why: String,
    },
    /// A step was taken back.
    Undone {
        /// The step's id.
        step: String,
    },
    /// A step was left as it is on purpose, while the others were taken back.
    Kept {
        /// The step's id.
        step: String,
    },
    /// A step could not be taken back.
    UndoFailed {
        /// The step's id.
        step: String,
        /// Why.
        why: String,
    },
    /// From here on nothing is undone by itself.
    PointOfNoReturn,
    /// The run ended.
    Outcome {
        /// `migrated`, `rolled_back`, `failed`, `synced`, `finished`.
        outcome: String,
        /// Seconds since the epoch.
        at: u64,
    },
}

/// Where a step stands after all records.
#[derive(Debug, Clone, PartialEq)]
pub enum StepState {
    /// It was begun and not ended: the process died, or its undo failed.
    Begun,
    /// It was done, with this data.
    Done(serde_json::Value),
}

/// Adds the records up: the steps that were begun or done and not taken back.
pub fn states(records: &[Record]) -> BTreeMap<String, StepState> {
    let mut states = BTreeMap::new();
    for record in records {
        match record {
            Record::Started { step } => {
                states.insert(step.clone(), StepState::Begun);
            }
            Record::Done { step, data, .. } => {
                states.insert(step.clone(), StepState::Done(data.clone()));
            }
            Record::Undone { step } => {
                states.remove(step);
            }
            _ => {}
        }
    }
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_is_as_if_it_never_was() {
        let step = |s: &str| s.to_owned();
        let records = [
            Record::Started { step: step("a") },
            Record::Done { step: step("a"), seconds: 1.0, data: 7.into() },
            Record::Started { step: step("b") },
            Record::Started { step: step("c") },
            Record::Failed { step: step("c"), why: "x".into() },
            Record::Undone { step: step("c") },
            Record::Kept { step: step("a") },
        ];
        let got = states(&records);
        assert_eq!(got.get("a"), Some(&StepState::Done(7.into())));
        assert_eq!(got.get("b"), Some(&StepState::Begun));
        assert_eq!(got.len(), 2);
    }
}
