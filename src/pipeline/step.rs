//! A step of a migration: something that can be done, skipped, and taken back.

use crate::error::Result;
use serde_json::Value;

/// What the engine does with a step that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnFailure {
    /// The step's undo is called: it may have done a part, and its undo is safe in every case.
    Undo,
    /// The step has cleaned up after itself; its undo must not be called, for what it would remove may not be ours.
    Clean,
}

/// What `resume` does with a step that had begun when the process died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// Takes it back, then does it again.
    UndoFirst,
    /// Does it again: it brings things to the same end from wherever they are.
    Again,
}

/// What became of a step that was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undo {
    /// It is as if it never was.
    Done,
    /// What it made stays on purpose: it holds what customers wrote.
    Kept,
}

/// In which order steps are taken back; within a turn, the last first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum UndoTurn {
    /// The new container must not run when the old one is started. When one of these fails, nothing else is touched.
    TargetDown,
    /// The old container is what the operator wants back first.
    SourceUp,
    /// What is only in the way.
    Later,
}

/// One step over a context `C`.
pub trait Step<C> {
    /// Returns the id in kebab case: a phase of the report, the argument of `--rehearse-failure`.
    fn id(&self) -> &'static str;

    /// Says in one line what is being done.
    fn title(&self, context: &C) -> String;

    /// Returns why the step is not needed, when it is not.
    fn skip(&self, context: &C) -> Option<String> {
        let _ = context;
        None
    }

    /// Returns the lines that a dry run shows: exact commands, or what is done without one.
    fn commands(&self, context: &C) -> Vec<String>;

    /// Does it. The value is kept in the journal: for the undo, and for the report.
    fn apply(&self, context: &mut C) -> Result<Value>;

    /// Takes it back, from wherever it got to. `done` is what [`Step::apply`] returned, when it came to an end.
    fn undo(&self, context: &mut C, done: Option<&Value>) -> Result<Undo>;

    /// Tells whether a step that an earlier run did is still done. When not, it and everything after it is done again:
    /// somebody may have started the old container meanwhile.
    fn still_done(&self, context: &C, data: &Value) -> Result<bool> {
        let _ = (context, data);
        Ok(true)
    }

    /// Takes over what an earlier run did, when its step is not done again.
    fn restore(&self, context: &mut C, data: &Value) {
        let _ = (context, data);
    }

    /// Returns when the step is taken back.
    fn undo_turn(&self) -> UndoTurn {
        UndoTurn::Later
    }

    /// Returns what happens when [`Step::apply`] fails.
    fn on_failure(&self) -> OnFailure {
        OnFailure::Undo
    }

    /// Returns what happens when the process died in [`Step::apply`].
    fn interrupted(&self) -> Interrupted {
        Interrupted::UndoFirst
    }

    /// Tells whether nothing is undone by itself once this step is done.
    fn is_point_of_no_return(&self) -> bool {
        false
    }
}
