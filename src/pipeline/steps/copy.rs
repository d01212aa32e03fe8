//! Copies the tree: while the container runs, and once more after it stopped.

use super::verify::VerifyCopy;
use crate::error::{Error, Result};
use crate::host::Effect;
use crate::model::container::{Access, Origin, Status};
use crate::model::finding::Finding;
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
        let runs = if m.plan.container.origin == Origin::Node { " while the container runs" } else { "" };
        format!("copy {}{runs} ({})", m.plan.container.usage.bytes, m.tools.engine.name())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        shown(m)
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        let archive = m.plan.container.origin == Origin::Archive;
        archive.then(|| "an archive does not change: it is unpacked once".to_owned())
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        m.open_source()?;
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
        close(m)
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
        match m.plan.container.origin {
            Origin::Archive => format!("unpack {}", m.plan.container.tree.display()),
            _ => format!("send the last difference ({})", m.tools.engine.name()),
        }
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        shown(m)
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        still_stopped(m)?;
        m.open_source()?;
        let stats = m.copy(self.id(), Pass::Final)?;
        // The comparison that follows reads it too.
        if VerifyCopy.skip(m).is_some() {
            let_go(m);
        }
        Ok(json!({ "copy": CopyFigures::from(stats) }))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        close(m)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}

/// Takes back what these steps opened; what they wrote goes with the volume.
pub(super) fn close(m: &mut Migration<'_>) -> Result<Undo> {
    let source = m.close_source();
    m.close_tree()?;
    source.map(|()| Undo::Done)
}

/// Leaves the source as it was found. Everything is here: where that fails it is no reason to turn back.
pub(super) fn let_go(m: &mut Migration<'_>) {
    if let Err(error) = m.close_source() {
        m.report(left_mounted(m, &error));
    }
}

fn left_mounted(m: &Migration<'_>, error: &Error) -> Finding {
    let command = m.tools.node.unmount_command(&m.plan.container.ctid);
    Finding::warning("source-left-mounted", "the source's image could not be unmounted after the copy")
        .detail(error.chain().join(": "))
        .remedy(format!("on {}: {command}", m.tools.source.label()))
        .subject(m.ctid())
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
    let opening = match plan.container.access {
        Access::Open => None,
        Access::Mount => Some(format!("on {}: {}", source.label(), m.tools.node.mount_command(&plan.container.ctid))),
        Access::Image => Some(format!(
            "mount the ploop image in {} at {}, read-only",
            plan.container.private.join("root.hdd").display(),
            plan.container.tree.display()
        )),
    };
    let commands = m.tools.engine.commands(source, &plan.container.tree, &plan.mount_point, &excludes());
    let place = |effect| if effect == Effect::Read { source.label() } else { "local" };
    opening.into_iter().chain(commands.iter().map(|c| format!("on {}: {c}", place(c.effect())))).collect()
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
