//! Many containers: each on its own, so that one failure stops nothing but itself.

use crate::cancel::Cancel;
use crate::error::Kind;
use crate::pipeline::report::{Outcome, Report};
use serde::Serialize;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many containers ended how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// Run on the target.
    pub migrated: usize,
    /// Failed and were taken back.
    pub rolled_back: usize,
    /// Failed and are not as they were before.
    pub failed: usize,
    /// Were blocked by the check.
    pub blocked: usize,
    /// Were not begun: migrated already, or the batch was interrupted.
    pub skipped: usize,
}

/// The report of a batch (contracts.md).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BatchReport {
    /// Always 1.
    pub schema: u32,
    /// The containers in the order of the manifest.
    pub containers: Vec<Report>,
    /// How many ended how.
    pub summary: Summary,
}

impl BatchReport {
    /// Adds the reports up.
    pub fn new(containers: Vec<Report>) -> BatchReport {
        let mut summary = Summary::default();
        for report in &containers {
            match report.outcome {
                Outcome::Migrated | Outcome::Synced => summary.migrated += 1,
                Outcome::RolledBack => summary.rolled_back += 1,
                Outcome::Failed => summary.failed += 1,
                Outcome::Blocked => summary.blocked += 1,
                Outcome::Skipped => summary.skipped += 1,
            }
        }
        BatchReport { schema: 1, containers, summary }
    }
}

/// Returns how several containers ended for the exit code, from the kinds of those that did not end well: `None` when
/// there is nothing to complain of. An interrupt is one as long as nothing else went wrong.
pub fn kind(bad: &[Kind], interrupted: bool) -> Option<Kind> {
    if bad.iter().any(|kind| *kind != Kind::Interrupted) {
        Some(Kind::Partial)
    } else if interrupted || !bad.is_empty() {
        Some(Kind::Interrupted)
    } else {
        None
    }
}

/// Works on `count` containers, at most `jobs` at once, in order. After a request to stop nothing new is begun: what was
/// not begun is `None`.
pub fn run<F>(count: usize, jobs: usize, cancel: &Cancel, work: F) -> Vec<Option<Report>>
where
    F: Fn(usize) -> Report + Sync,
{
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<Report>>> = Mutex::new(vec![None; count]);
    std::thread::scope(|scope| {
        for _ in 0..jobs.clamp(1, count.max(1)) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    if index >= count || cancel.is_set() {
                        return;
                    }
                    let report = work(index);
                    if let Ok(mut done) = done.lock() {
                        done[index] = Some(report);
                    }
                }
            });
        }
    });
    done.into_inner().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(n: usize, outcome: Outcome) -> Report {
        Report::not_begun(&n.to_string(), "x", outcome, Vec::new())
    }

    #[test]
    fn a_failure_stops_nothing_but_itself_and_order_is_kept() {
        for jobs in [1, 3] {
            let outcome = |n| if n == 1 { Outcome::RolledBack } else { Outcome::Migrated };
            let done = run(5, jobs, &Cancel::new(), |n| report(n, outcome(n)));
            let report = BatchReport::new(done.into_iter().flatten().collect());
            assert_eq!(report.summary, Summary { migrated: 4, rolled_back: 1, ..Summary::default() });
            assert_eq!(report.containers.iter().map(|c| c.ctid.as_str()).collect::<String>(), "01234");
        }
    }

    #[test]
    fn after_an_interrupt_nothing_new_is_begun() {
        let cancel = Cancel::new();
        let done = run(3, 1, &cancel, |n| {
            cancel.set();
            report(n, Outcome::Migrated)
        });
        assert_eq!(done.iter().flatten().count(), 1);
    }

    #[test]
    fn an_interrupt_is_one_unless_something_else_went_wrong() {
        assert_eq!(kind(&[], false), None);
        assert_eq!(kind(&[], true), Some(Kind::Interrupted));
        assert_eq!(kind(&[Kind::Interrupted], true), Some(Kind::Interrupted));
        assert_eq!(kind(&[Kind::Interrupted, Kind::Failed], true), Some(Kind::Partial));
        for bad in [Kind::Failed, Kind::Blocked, Kind::Incomplete, Kind::Locked, Kind::Usage] {
            assert_eq!(kind(&[bad], false), Some(Kind::Partial), "{bad:?}");
        }
    }
}
