//! Copies the tree: while the container runs, and once more after it stopped.

use crate::error::{Error, Result};
use crate::host::Effect;
use crate::model::container::Status;
use crate::pipeline::migration::{Migration, excludes};
use crate::pipeline::report::CopyFigures;
use crate::pipeline::step::{Interrupted, Step, Undo};
use crate::transfer::Pass;
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
        for _ in 1..m.plan.live_passes {
            let pass = m.copy(self.id(), Pass::Live)?;
            stats.files += pass.files;
            stats.bytes += pass.bytes;
            stats.sent_bytes += pass.sent_bytes;
            stats.deleted += pass.deleted;
            stats.seconds += pass.seconds;
        }
        Ok(json!({ "copy": CopyFigures::from(stats) }))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.close_tree().map(|()| Undo::Done)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
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
