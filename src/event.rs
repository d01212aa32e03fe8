//! What happened: the only way in which the work speaks to whoever watches it.

use crate::model::finding::Finding;
use serde::Serialize;
use std::sync::Mutex;

/// Where a phase stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PhaseState {
    /// Begins.
    Started,
    /// Ended well.
    Done,
    /// Failed; its undo follows.
    Failed,
    /// Was not needed.
    Skipped,
    /// Is being taken back.
    Undoing,
    /// Was taken back.
    Undone,
}

/// One thing that happened. Serialised, it is one line of `--progress json` (contracts.md).
#[derive(Debug, Clone, Serialize)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// A step of the pipeline changed its state.
    Phase {
        /// The container.
        ctid: String,
        /// The step's id, for example `copy-live`.
        phase: String,
        /// Its state.
        state: PhaseState,
        /// A line for people: what is being done, or why it failed.
        detail: String,
        /// How many seconds the step took; with `done` and `failed`.
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
    /// Long work moved on.
    Progress {
        /// The container.
        ctid: String,
        /// The step's id.
        phase: String,
        /// Entries so far.
        files: u64,
        /// Bytes of file content so far.
        bytes: u64,
        /// Entries expected, when known.
        total_files: Option<u64>,
        /// Bytes expected, when known.
        total_bytes: Option<u64>,
    },
    /// Something the operator should know.
    Finding {
        /// The container.
        ctid: String,
        /// The finding.
        finding: Finding,
    },
    /// A container's run ended.
    Done {
        /// The container.
        ctid: String,
        /// `migrated`, `rolled_back`, `failed` or `blocked`.
        outcome: String,
        /// A line for people.
        detail: String,
    },
}

/// Takes events. Sinks are shared between threads.
pub trait EventSink: Send + Sync {
    /// Takes one event; never fails, never blocks for long.
    fn emit(&self, event: &Event);
}

/// Drops every event.
#[derive(Debug, Default)]
pub struct Silent;

impl EventSink for Silent {
    fn emit(&self, _: &Event) {}
}

/// Keeps every event, for tests and for reports.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Event>>);

impl Recorder {
    /// Returns what was emitted so far.
    pub fn events(&self) -> Vec<Event> {
        self.0.lock().map(|v| v.clone()).unwrap_or_default()
    }
}

impl EventSink for Recorder {
    fn emit(&self, event: &Event) {
        if let Ok(mut events) = self.0.lock() {
            events.push(event.clone());
        }
    }
}
