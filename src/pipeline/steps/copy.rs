//! Copies the tree: while the container runs, and once more after it stopped.

use crate::error::{Error, Result};
use crate::host::Effect;
use crate::model::container::Status;
use crate::pipeline::migration::{Migration, excludes};
use crate::pipeline::report::CopyFigures;
use crate::pipeline::step::{Interrupted, Step, Undo};
use crate::transfer::{Pass, Stats};
use serde_json::{Value, json};

pub(super) struct CopyLive;

impl Step<Migration<'_>> for CopyLive {
    fn id(&self) -> &'static str {
        super::COPY_LIVE
    }

    fn title(&self, m: &Migration<'_>) -> String {
        format!("copy {} while the container runs ({})", m.plan.container.usage.bytes, m.tools.engine.name())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        shown(m)
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let mut stats = m.copy(self.id(), Pass::Live)?;
        let mut last = stats.seconds;
        let mut passes = 1;
        let mut before = None;
        while passes < m.plan.live_passes && is_worth_it(before, last) {
            m.tools.cancel.check()?;
            let pass = m.copy(self.id(), Pass::Live)?;
            passes += 1;
            (before, last) = (Some(last), pass.seconds);
            add(&mut stats, &pass);
        }
        Ok(json!({ "copy": CopyFigures::from(stats), "passes": passes }))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.close_tree().map(|()| Undo::Done)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}

/// Shorter than this a pass is nearly all index: another one would be no shorter.
const SHORT: f64 = 10.0;

/// Tells whether another pass would shorten the downtime: what changes during a pass is what the next one has to send, so
/// as long as they get much shorter, the last one does too.
fn is_worth_it(before: Option<f64>, last: f64) -> bool {
    last >= SHORT && before.is_none_or(|before| last < before / 2.0)
}

fn add(sum: &mut Stats, pass: &Stats) {
    sum.files += pass.files;
    sum.bytes += pass.bytes;
    sum.sent_bytes += pass.sent_bytes;
    sum.deleted += pass.deleted;
    sum.seconds += pass.seconds;
}

pub(super) struct CopyFinal;

impl Step<Migration<'_>> for CopyFinal {
    fn id(&self) -> &'static str {
        "copy-final"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        format!("send the last difference ({})", m.tools.engine.name())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        shown(m)
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        still_stopped(m)?;
        let stats = m.copy(self.id(), Pass::Final)?;
        Ok(json!({ "copy": CopyFigures::from(stats) }))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.close_tree().map(|()| Undo::Done)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}

/// A copy of a tree that changes is no copy, and what it misses is lost.
pub(super) fn still_stopped(m: &Migration<'_>) -> Result<()> {
    let ctid = &m.plan.container.ctid;
    if m.tools.node.status(ctid)? != Status::Running {
        return Ok(());
    }
    let source = m.tools.source.label();
    Err(Error::new(format!("container {ctid} runs on {source} again: somebody started it meanwhile"))
        .hint("find out who, then begin again"))
}

fn shown(m: &Migration<'_>) -> Vec<String> {
    let (source, plan) = (m.tools.source.as_ref(), m.plan);
    let commands = m.tools.engine.commands(source, &plan.container.tree, &plan.mount_point, &excludes());
    commands
        .iter()
        .map(|c| format!("on {}: {c}", if c.effect() == Effect::Read { source.label() } else { "local" }))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_repeated_while_they_shrink() {
        assert!(is_worth_it(None, 3600.0), "the first took long: much has changed meanwhile");
        assert!(!is_worth_it(None, 9.0));
        assert!(is_worth_it(Some(3600.0), 60.0));
        assert!(!is_worth_it(Some(60.0), 31.0), "it does not shrink any more");
        assert!(!is_worth_it(Some(60.0), 5.0));
    }

    #[test]
    fn the_figures_of_all_passes_add_up() {
        let mut sum = Stats { files: 1, sent_bytes: 10, ..Stats::default() };
        add(&mut sum, &Stats { files: 2, bytes: 3, sent_bytes: 4, deleted: 5, seconds: 6.0, ..Stats::default() });
        assert_eq!((sum.files, sum.bytes, sum.sent_bytes, sum.deleted, sum.seconds), (3, 3, 14, 5, 6.0));
    }
}
