//! Where a migration stands after all records of its journal, and what can be done with it.

use crate::journal::{Record, StepState, states};
use crate::pipeline::steps::COPY_LIVE;
use std::collections::BTreeSet;

/// Where a migration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// No run was begun: there is nothing to go on with and nothing to take back.
    Nothing,
    /// `sync` died in its copy: nothing but the copy was begun.
    Syncing,
    /// It was copied; the container runs on its node.
    Synced,
    /// A run died, or got stuck after the point of no return.
    Open,
    /// Something could not be taken back, or taking back died: the only way is back.
    OnlyBack,
    /// The container runs on the target.
    Migrated,
    /// Everything was taken back.
    RolledBack,
    /// It was taken back, and what was written on the target is kept.
    Kept,
    /// `finish` ended it.
    Finished,
}

/// Adds the records up.
pub(super) fn standing(records: &[Record]) -> Standing {
    let command = records.iter().rev().find_map(|r| match r {
        Record::Run { command, .. } => Some(command.as_str()),
        _ => None,
    });
    let Some(command) = command else { return Standing::Nothing };
    let left = marked(records, |r| match r {
        Record::UndoFailed { step, .. } => Some(step),
        _ => None,
    });
    if let Some(Record::Outcome { outcome, .. }) = records.last() {
        match outcome.as_str() {
            "migrated" => return Standing::Migrated,
            "synced" => return Standing::Synced,
            "finished" => return Standing::Finished,
            "rolled_back" if kept(records).is_empty() => return Standing::RolledBack,
            "rolled_back" => return Standing::Kept,
            _ => {}
        }
    }
    if !left.is_empty() || command == "rollback" {
        Standing::OnlyBack
    } else if command == "sync" && only_copied(records) {
        Standing::Syncing
    } else {
        Standing::Open
    }
}

/// Returns the steps whose work was left on the target on purpose and is still there.
pub(super) fn kept(records: &[Record]) -> BTreeSet<String> {
    marked(records, |r| match r {
        Record::Kept { step } => Some(step),
        _ => None,
    })
}

/// Returns the steps that a kind of record names and no later `Undone` does; with `Kept`, a failure before it is over, too.
fn marked(records: &[Record], of: impl Fn(&Record) -> Option<&String>) -> BTreeSet<String> {
    let mut marked = BTreeSet::new();
    for record in records {
        if let Some(step) = of(record) {
            marked.insert(step.clone());
        } else if let Record::Undone { step } | Record::Kept { step } = record {
            marked.remove(step);
        }
    }
    marked
}

/// Tells whether nothing beyond the copy was ever begun: the container was not touched.
pub(super) fn only_copied(records: &[Record]) -> bool {
    let before = ["create-volume", COPY_LIVE];
    records.iter().all(|r| !matches!(r, Record::Started { step } if !before.contains(&step.as_str())))
}

/// Tells whether a copy was completed and still stands.
pub(super) fn is_copied(records: &[Record]) -> bool {
    matches!(states(records).get(COPY_LIVE), Some(StepState::Done(_)))
}

impl Standing {
    /// Returns the word of `status`.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Standing::Nothing | Standing::Syncing | Standing::Open => "interrupted",
            Standing::Synced => "synced",
            Standing::OnlyBack => "failed",
            Standing::Migrated => "migrated",
            Standing::RolledBack | Standing::Kept => "rolled_back",
            Standing::Finished => "finished",
        }
    }

    /// Returns what can be done next: commands without the program's name; empty when nothing has to be done.
    pub(super) fn next(&self, ctid: &str) -> String {
        match self {
            Standing::Nothing => format!("migrate {ctid} (nothing was begun)"),
            Standing::Syncing => format!("sync {ctid}, or rollback {ctid}"),
            Standing::Synced => format!("cutover {ctid}, or rollback {ctid}"),
            Standing::Open => format!("resume {ctid}, or rollback {ctid}"),
            Standing::OnlyBack => format!("rollback {ctid}"),
            Standing::Migrated => format!("finish {ctid}, or rollback {ctid}"),
            Standing::Kept => format!("rollback {ctid} --discard-target (the volume is kept)"),
            Standing::RolledBack | Standing::Finished => String::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(command: &str) -> Record {
        Record::Run { version: "0".into(), command: command.into(), at: 0 }
    }

    fn started(step: &str) -> Record {
        Record::Started { step: step.into() }
    }

    fn done(step: &str) -> Record {
        Record::Done { step: step.into(), seconds: 1.0, data: serde_json::json!({}) }
    }

    fn outcome(word: &str) -> Record {
        Record::Outcome { outcome: word.into(), at: 0 }
    }

    fn undone(step: &str) -> Record {
        Record::Undone { step: step.into() }
    }

    fn undo_failed(step: &str) -> Record {
        Record::UndoFailed { step: step.into(), why: "x".into() }
    }

    #[test]
    fn a_journal_without_a_run_is_nothing() {
        assert_eq!(standing(&[]), Standing::Nothing);
        assert_eq!(standing(&[started("create-volume")]), Standing::Nothing);
    }

    #[test]
    fn a_sync_that_died_is_only_a_sync() {
        let mut records = vec![run("sync"), started("create-volume"), done("create-volume"), started("copy-live")];
        assert_eq!(standing(&records), Standing::Syncing);
        assert!(standing(&records).next("101").starts_with("sync 101"));
        records.extend([done("copy-live"), outcome("synced")]);
        assert_eq!(standing(&records), Standing::Synced);
        assert!(is_copied(&records));
        records.extend([run("cutover"), started("copy-live")]);
        assert_eq!(standing(&records), Standing::Open, "a cutover that died goes on as one");
        records[0] = run("migrate");
        records.truncate(4);
        assert_eq!(standing(&records), Standing::Open);
    }

    #[test]
    fn what_could_not_be_taken_back_leaves_only_the_way_back() {
        let mut records =
            vec![run("migrate"), started("a"), started("b"), undo_failed("b"), undone("a"), outcome("failed")];
        assert_eq!(standing(&records), Standing::OnlyBack);
        assert_eq!(standing(&records).next("101"), "rollback 101");
        records.extend([run("rollback"), undone("b")]);
        assert_eq!(standing(&records), Standing::OnlyBack, "the way back died: it is gone to its end");
        records.push(outcome("rolled_back"));
        assert_eq!(standing(&records), Standing::RolledBack);
        let stuck = [run("migrate"), started("a"), Record::PointOfNoReturn, started("b"), outcome("failed")];
        assert_eq!(standing(&stuck), Standing::Open);
    }

    #[test]
    fn a_kept_volume_waits_for_its_end() {
        let kept = |step: &str| Record::Kept { step: step.into() };
        let mut records = vec![run("migrate"), started("create-volume"), outcome("migrated"), run("rollback")];
        records.extend([kept("create-volume"), outcome("rolled_back")]);
        assert_eq!(standing(&records), Standing::Kept);
        assert_eq!(standing(&records).word(), "rolled_back");
        assert!(standing(&records).next("101").contains("rollback 101 --discard-target"));
        records.extend([run("rollback"), undone("create-volume"), outcome("rolled_back")]);
        assert_eq!(standing(&records), Standing::RolledBack);
    }
}
