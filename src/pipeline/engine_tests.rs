//! The engine over steps that only write down what was asked of them.

use super::engine::{Ask, Ended, Engine};
use super::step::{Interrupted, OnFailure, Step, Undo, UndoTurn};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::event::Silent;
use crate::journal::{Record, Store};
use serde_json::Value;

#[derive(Default)]
struct Log {
    calls: Vec<String>,
    fail: Vec<String>,
    /// Steps that somebody has undone behind our back.
    gone: Vec<String>,
    restored: String,
}

struct Toy {
    id: &'static str,
    on_failure: OnFailure,
    interrupted: Interrupted,
    last: bool,
    turn: UndoTurn,
}

impl Step<Log> for Toy {
    fn id(&self) -> &'static str {
        self.id
    }
    fn title(&self, _: &Log) -> String {
        self.id.to_owned()
    }
    fn commands(&self, _: &Log) -> Vec<String> {
        Vec::new()
    }
    fn apply(&self, log: &mut Log) -> Result<Value> {
        log.calls.push(format!("+{}", self.id));
        if log.fail.iter().any(|f| f == self.id) { Err(Error::new("broken")) } else { Ok(self.id.into()) }
    }
    fn still_done(&self, log: &Log, _: &Value) -> Result<bool> {
        Ok(!log.gone.iter().any(|g| g == self.id))
    }
    fn restore(&self, log: &mut Log, data: &Value) {
        log.restored.push_str(data.as_str().unwrap());
    }
    fn undo_turn(&self) -> UndoTurn {
        self.turn
    }
    fn undo(&self, log: &mut Log, done: Option<&Value>) -> Result<Undo> {
        log.calls.push(format!("-{}{}", self.id, if done.is_some() { "" } else { "?" }));
        if log.fail.iter().any(|f| f == &format!("-{}", self.id)) { Err(Error::new("stays")) } else { Ok(Undo::Done) }
    }
    fn on_failure(&self) -> OnFailure {
        self.on_failure
    }
    fn interrupted(&self) -> Interrupted {
        self.interrupted
    }
    fn is_point_of_no_return(&self) -> bool {
        self.last
    }
}

fn steps() -> Vec<Box<dyn Step<Log>>> {
    let toy = |id| Toy {
        id,
        on_failure: OnFailure::Undo,
        interrupted: Interrupted::UndoFirst,
        last: false,
        turn: UndoTurn::Later,
    };
    vec![
        Box::new(Toy { on_failure: OnFailure::Clean, ..toy("a") }),
        Box::new(Toy { interrupted: Interrupted::Again, ..toy("b") }),
        Box::new(Toy { last: true, ..toy("c") }),
        Box::new(toy("d")),
    ]
}

struct Bench {
    state: tempfile::TempDir,
    log: Log,
    cancel: Cancel,
}

impl Bench {
    fn new(fail: &[&str]) -> Bench {
        let fail = fail.iter().map(|f| (*f).to_owned()).collect();
        Bench { state: tempfile::tempdir().unwrap(), log: Log { fail, ..Log::default() }, cancel: Cancel::new() }
    }

    fn run(&mut self, ask: &Ask) -> Ended {
        self.run_steps(&steps(), ask)
    }

    fn run_steps(&mut self, steps: &[Box<dyn Step<Log>>], ask: &Ask) -> Ended {
        let mut journal = Store::new(self.state.path()).open(&self.state.path().join("x")).unwrap();
        let mut engine =
            Engine { steps, journal: &mut journal, events: &Silent, cancel: &self.cancel, ctid: "1".into() };
        engine.run(&mut self.log, ask).unwrap()
    }

    fn record(&self, record: &Record) {
        Store::new(self.state.path()).open(&self.state.path().join("x")).unwrap().append(record).unwrap();
    }

    fn calls(&self) -> String {
        self.log.calls.join(" ")
    }
}

fn rehearse(step: &str) -> Ask {
    Ask { rehearse_failure: Some(step.into()), ..Ask::default() }
}

#[test]
fn all_steps_in_order() {
    let mut bench = Bench::new(&[]);
    assert!(matches!(bench.run(&Ask::default()), Ended::Complete));
    assert_eq!(bench.calls(), "+a +b +c +d");
}

#[test]
fn a_failure_is_taken_back_in_reverse_and_a_clean_failure_is_left_alone() {
    let mut bench = Bench::new(&["b"]);
    assert!(matches!(bench.run(&Ask::default()), Ended::RolledBack(_)));
    assert_eq!(bench.calls(), "+a +b -b? -a");
    let mut bench = Bench::new(&["a"]);
    assert!(matches!(bench.run(&Ask::default()), Ended::RolledBack(_)));
    assert_eq!(bench.calls(), "+a", "what a would remove may not be ours");
}

#[test]
fn a_rehearsed_failure_undoes_the_step_that_was_done() {
    let mut bench = Bench::new(&[]);
    assert!(matches!(bench.run(&rehearse("a")), Ended::RolledBack(_)));
    assert_eq!(bench.calls(), "+a -a");
}

#[test]
fn what_cannot_be_taken_back_does_not_stop_the_rest() {
    let mut bench = Bench::new(&["c", "-b"]);
    let Ended::Incomplete { left, .. } = bench.run(&Ask::default()) else { panic!("must be incomplete") };
    assert_eq!(left.len(), 1);
    assert_eq!(bench.calls(), "+a +b +c -c? -b -a");
}

/// The order of a real migration: volume, stop, copy, start.
fn real() -> Vec<Box<dyn Step<Log>>> {
    let toy = |id, turn| -> Box<dyn Step<Log>> {
        Box::new(Toy { id, on_failure: OnFailure::Undo, interrupted: Interrupted::Again, last: false, turn })
    };
    vec![
        toy("volume", UndoTurn::Later),
        toy("stop", UndoTurn::SourceUp),
        toy("copy", UndoTurn::Later),
        toy("start", UndoTurn::TargetDown),
    ]
}

fn run_real(fail: &[&str]) -> (Ended, String) {
    let mut bench = Bench::new(fail);
    let ended = bench.run_steps(&real(), &Ask::default());
    (ended, bench.calls())
}

#[test]
fn the_old_container_is_up_before_anything_is_cleared_away_and_only_when_the_new_one_is_down() {
    let (ended, calls) = run_real(&["start"]);
    assert!(matches!(ended, Ended::RolledBack(_)));
    assert_eq!(calls, "+volume +stop +copy +start -start? -stop -copy -volume");
    let (ended, calls) = run_real(&["start", "-start"]);
    assert!(matches!(ended, Ended::Incomplete { .. }));
    assert_eq!(calls, "+volume +stop +copy +start -start?", "two of them must never run");
}

#[test]
fn a_step_that_was_undone_behind_our_back_is_done_again_with_all_that_follows() {
    let mut bench = Bench::new(&[]);
    assert!(matches!(bench.run(&Ask { until: Some("c".into()), ..Ask::default() }), Ended::Paused));
    let mut bench = Bench::new(&[]);
    assert!(matches!(bench.run(&Ask { until: Some("b".into()), ..Ask::default() }), Ended::Paused));
    bench.log.gone.push("a".into());
    assert!(matches!(bench.run(&Ask::default()), Ended::Complete));
    assert_eq!(bench.calls(), "+a +b -a? +a +b +c +d");
}

#[test]
fn what_an_earlier_run_did_is_taken_over() {
    let mut bench = Bench::new(&[]);
    bench.run(&Ask { until: Some("b".into()), ..Ask::default() });
    bench.run(&Ask::default());
    assert_eq!(bench.log.restored, "ab");
}

#[test]
fn a_repeated_step_that_fails_leaves_what_it_had_done() {
    let mut bench = Bench::new(&[]);
    let until = Ask { until: Some("b".into()), again: vec!["b".into()], ..Ask::default() };
    assert!(matches!(bench.run(&until), Ended::Paused));
    bench.log.fail.push("b".into());
    assert!(matches!(bench.run(&until), Ended::Kept(_)));
    bench.log.fail.clear();
    assert!(matches!(bench.run(&Ask::default()), Ended::Complete));
    assert_eq!(bench.calls(), "+a +b +b +c +d", "nothing was taken back");
}

#[test]
fn a_full_disk_under_the_journal_takes_back() {
    let mut bench = Bench::new(&[]);
    bench.run(&Ask { until: Some("b".into()), ..Ask::default() });
    let steps = steps();
    let mut journal = crate::journal::Journal::on_a_full_disk(&bench.state.path().join("x"));
    let mut engine =
        Engine { steps: &steps, journal: &mut journal, events: &Silent, cancel: &bench.cancel, ctid: "1".into() };
    assert!(matches!(engine.run(&mut bench.log, &Ask::default()).unwrap(), Ended::RolledBack(_)));
    assert_eq!(bench.calls(), "+a +b -b -a", "what cannot be recorded is not begun");
}

#[test]
fn a_death_after_any_record_is_survived() {
    let mut bench = Bench::new(&[]);
    bench.run(&Ask::default());
    let records = Store::new(bench.state.path()).open(&bench.state.path().join("x")).unwrap().records().unwrap();
    for kept in 0..=records.len() {
        let mut again = Bench::new(&[]);
        records[..kept].iter().for_each(|r| again.record(r));
        assert!(matches!(again.run(&Ask::default()), Ended::Complete), "after {kept} records");
        let last = |id: &str| again.log.calls.iter().rev().find(|c| c.contains(id)).cloned();
        for id in ["a", "b", "c", "d"] {
            assert!(last(id).is_none_or(|c| c.starts_with('+')), "after {kept} records: {}", again.calls());
        }
        let mut back = Bench::new(&[]);
        records[..kept].iter().for_each(|r| back.record(r));
        let steps = steps();
        let mut journal = Store::new(back.state.path()).open(&back.state.path().join("x")).unwrap();
        let mut engine =
            Engine { steps: &steps, journal: &mut journal, events: &Silent, cancel: &back.cancel, ctid: "1".into() };
        assert!(engine.undo_all(&mut back.log).unwrap().is_empty());
        assert!(crate::journal::states(&journal.records().unwrap()).is_empty(), "after {kept} records");
    }
}

#[test]
fn after_the_point_of_no_return_nothing_is_undone() {
    let mut bench = Bench::new(&["d"]);
    assert!(matches!(bench.run(&Ask::default()), Ended::Stuck(_)));
    assert_eq!(bench.calls(), "+a +b +c +d");
    bench.log.fail.clear();
    assert!(matches!(bench.run(&Ask::default()), Ended::Complete));
    assert_eq!(bench.calls(), "+a +b +c +d -d? +d", "a later run goes on where it stopped");
}

#[test]
fn a_pause_and_the_rest() {
    let mut bench = Bench::new(&[]);
    let until = Ask { until: Some("b".into()), ..Ask::default() };
    assert!(matches!(bench.run(&until), Ended::Paused));
    let again = Ask { until: Some("b".into()), again: vec!["b".into()], ..Ask::default() };
    assert!(matches!(bench.run(&again), Ended::Paused));
    assert!(matches!(bench.run(&Ask::default()), Ended::Complete));
    assert_eq!(bench.calls(), "+a +b +b +c +d");
}

#[test]
fn a_crash_inside_a_step() {
    for (step, calls) in [("a", "-a? +a +b +c +d"), ("b", "+a +b +c +d")] {
        let mut bench = Bench::new(&[]);
        bench.record(&Record::Started { step: step.into() });
        assert!(matches!(bench.run(&Ask::default()), Ended::Complete));
        assert_eq!(bench.calls(), calls, "{step}");
    }
}

#[test]
fn an_interrupt_before_the_point_of_no_return_takes_back() {
    let mut bench = Bench::new(&[]);
    assert!(matches!(bench.run(&Ask { until: Some("b".into()), ..Ask::default() }), Ended::Paused));
    bench.cancel.set();
    let Ended::RolledBack(error) = bench.run(&Ask::default()) else { panic!("must roll back") };
    assert_eq!(error.kind(), Kind::Interrupted);
    assert_eq!(bench.calls(), "+a +b -b -a");
}
