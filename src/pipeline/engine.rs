//! Runs steps in order, keeps the journal, and takes everything back when one fails.

use super::step::{Interrupted, OnFailure, Step, Undo, UndoTurn};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::event::{Event, EventSink, PhaseState};
use crate::journal::{Journal, Record, StepState, states};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Instant;

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Every step is done.
    Complete,
    /// Every step up to the one asked for is done.
    Paused,
    /// A step that was done before failed when it was done again; what it had done before stands, nothing was taken back.
    Kept(Error),
    /// A step failed and everything was taken back.
    RolledBack(Error),
    /// A step failed and not everything could be taken back.
    Incomplete {
        /// Why the step failed.
        error: Error,
        /// What could not be taken back, and why.
        left: Vec<Error>,
    },
    /// A step failed after the point of no return: nothing was taken back.
    Stuck(Error),
}

/// What a run is asked for.
#[derive(Debug, Clone, Default)]
pub struct Ask {
    /// Stop after this step.
    pub until: Option<String>,
    /// Do these steps again although they are done.
    pub again: Vec<String>,
    /// Fail on purpose after this step, to rehearse the way back.
    pub rehearse_failure: Option<String>,
}

/// The engine, for one container.
pub struct Engine<'a, C> {
    /// The steps in order.
    pub steps: &'a [Box<dyn Step<C>>],
    /// The journal, locked.
    pub journal: &'a mut Journal,
    /// Takes events.
    pub events: &'a dyn EventSink,
    /// A request to stop.
    pub cancel: &'a Cancel,
    /// The container, for events.
    pub ctid: String,
}

impl<'a, C> Engine<'a, C> {
    /// Does what is not yet done. An error means that the journal could not be read, and that nothing was done.
    pub fn run(&mut self, context: &mut C, ask: &Ask) -> Result<Ended> {
        let records = self.journal.records()?;
        let mut known = states(&records);
        let mut may_return = !records.contains(&Record::PointOfNoReturn);
        if may_return && let Err(error) = self.recheck(context, &mut known) {
            return Ok(Ended::Kept(error)); // it could not be found out what is still done: nothing is touched
        }
        let steps = self.steps;
        for step in steps {
            let step = step.as_ref();
            let before = known.get(step.id()).cloned();
            let again = ask.again.iter().any(|id| id == step.id());
            if let Some(StepState::Done(data)) = &before
                && !again
            {
                step.restore(context, data);
                continue;
            }
            if let Err(error) = self.one(step, context, &mut known, may_return, ask) {
                return Ok(match before {
                    Some(StepState::Done(data)) => self.keep(step.id(), data, error),
                    _ if may_return => self.roll_back(context, &known, error),
                    _ => Ended::Stuck(error),
                });
            }
            let done = matches!(known.get(step.id()), Some(StepState::Done(_)));
            if done && step.is_point_of_no_return() && may_return {
                self.note(&Record::PointOfNoReturn);
                may_return = false;
            }
            if ask.until.as_deref() == Some(step.id()) {
                return Ok(Ended::Paused);
            }
        }
        Ok(Ended::Complete)
    }

    /// A step that is not done any more, and everything that was built on it, counts as begun.
    fn recheck(&self, context: &C, known: &mut BTreeMap<String, StepState>) -> Result<()> {
        let mut gone = false;
        for step in self.steps {
            let Some(state) = known.get_mut(step.id()) else { continue };
            if let StepState::Done(data) = &*state {
                gone |= !gone && !step.still_done(context, data)?;
            }
            if gone {
                *state = StepState::Begun;
            }
        }
        Ok(())
    }

    fn one(
        &mut self,
        step: &dyn Step<C>,
        context: &mut C,
        known: &mut BTreeMap<String, StepState>,
        may_stop: bool,
        ask: &Ask,
    ) -> Result<()> {
        if may_stop {
            self.cancel.check()?;
        }
        let title = step.title(context);
        if let Some(why) = step.skip(context) {
            self.tell(step.id(), PhaseState::Skipped, &why, None);
            return Ok(());
        }
        if known.get(step.id()) == Some(&StepState::Begun) && step.interrupted() == Interrupted::UndoFirst {
            self.tell(step.id(), PhaseState::Undoing, &title, None);
            step.undo(context, None)?;
            known.remove(step.id());
        }
        // What is not on disk is not begun: after a crash nobody would know of it.
        self.journal.append(&Record::Started { step: step.id().into() })?;
        known.insert(step.id().into(), StepState::Begun);
        self.tell(step.id(), PhaseState::Started, &title, None);
        let clock = Instant::now();
        let result = step.apply(context);
        let seconds = clock.elapsed().as_secs_f64();
        let data = match result {
            Ok(data) => data,
            Err(error) => {
                self.failed(step.id(), &error, seconds);
                if step.on_failure() == OnFailure::Clean {
                    known.remove(step.id());
                    self.note(&Record::Undone { step: step.id().into() });
                }
                return Err(error);
            }
        };
        known.insert(step.id().into(), StepState::Done(data.clone()));
        let written = self.journal.append(&Record::Done { step: step.id().into(), seconds, data });
        let rehearsed = ask.rehearse_failure.as_deref() == Some(step.id());
        let end = written.and_then(|()| match rehearsed {
            true => Err(Error::new(format!("failing on purpose after {}, as --rehearse-failure asks", step.id()))),
            false => Ok(()),
        });
        match end {
            Ok(()) => self.tell(step.id(), PhaseState::Done, &title, Some(seconds)),
            Err(error) => {
                self.failed(step.id(), &error, seconds);
                return Err(error);
            }
        }
        Ok(())
    }

    fn failed(&mut self, id: &str, error: &Error, seconds: f64) {
        let why = error.chain().join(": ");
        self.tell(id, PhaseState::Failed, &why, Some(seconds));
        self.note(&Record::Failed { step: id.into(), why });
    }

    fn keep(&mut self, id: &str, data: Value, error: Error) -> Ended {
        self.note(&Record::Done { step: id.into(), seconds: 0.0, data });
        Ended::Kept(error)
    }

    fn roll_back(&mut self, context: &mut C, known: &BTreeMap<String, StepState>, error: Error) -> Ended {
        let left = self.undo(context, known);
        if left.is_empty() { Ended::RolledBack(error) } else { Ended::Incomplete { error, left } }
    }

    /// Takes back every step that was begun or done, as the journal has it; returns what could not be taken back.
    pub fn undo_all(&mut self, context: &mut C) -> Result<Vec<Error>> {
        let known = states(&self.journal.records()?);
        for step in self.steps {
            if let Some(StepState::Done(data)) = known.get(step.id()) {
                step.restore(context, data);
            }
        }
        Ok(self.undo(context, &known))
    }

    /// Goes on after a failure: the next thing may matter more to the operator than the one that failed. Only when the
    /// new container could not be brought down it stops: two of them must never run.
    fn undo(&mut self, context: &mut C, known: &BTreeMap<String, StepState>) -> Vec<Error> {
        let mut order: Vec<&'a Box<dyn Step<C>>> = self.steps.iter().rev().collect();
        order.sort_by_key(|step| step.undo_turn());
        let mut left = Vec::new();
        let mut target_may_run = false;
        for step in order {
            let done: Option<&Value> = match known.get(step.id()) {
                None => continue,
                Some(StepState::Begun) => None,
                Some(StepState::Done(data)) => Some(data),
            };
            if target_may_run && step.undo_turn() != UndoTurn::TargetDown {
                break;
            }
            let title = step.title(context);
            self.tell(step.id(), PhaseState::Undoing, &title, None);
            match step.undo(context, done) {
                Ok(Undo::Done) => {
                    self.note(&Record::Undone { step: step.id().into() });
                    self.tell(step.id(), PhaseState::Undone, &title, None);
                }
                Ok(Undo::Kept) => {
                    self.note(&Record::Kept { step: step.id().into() });
                    self.tell(step.id(), PhaseState::Skipped, "kept", None);
                }
                Err(error) => {
                    let why = error.chain().join(": ");
                    self.tell(step.id(), PhaseState::Failed, &why, None);
                    self.note(&Record::UndoFailed { step: step.id().into(), why });
                    target_may_run |= step.undo_turn() == UndoTurn::TargetDown;
                    left.push(error);
                }
            }
        }
        left
    }

    /// Writes a record whose loss must not stop what is going on: the way back matters more than its record.
    fn note(&mut self, record: &Record) {
        if let Err(error) = self.journal.append(record) {
            tracing::error!("{}", error.chain().join(": "));
        }
    }

    fn tell(&self, phase: &str, state: PhaseState, detail: &str, seconds: Option<f64>) {
        let (ctid, phase, detail) = (self.ctid.clone(), phase.to_owned(), detail.to_owned());
        self.events.emit(&Event::Phase { ctid, phase, state, detail, seconds });
    }
}
