//! Stops the container on its node: the downtime begins.

use super::super::migration::Migration;
use crate::error::{Doing, Error, Result};
use crate::model::container::{Layout, Origin, Status};
use crate::pipeline::clock;
use crate::pipeline::step::{Interrupted, Step, Undo, UndoTurn};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) struct StopSource;

impl Step<Migration<'_>> for StopSource {
    fn id(&self) -> &'static str {
        "stop-source"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        format!("stop container {} on {}", m.plan.container.ctid, m.tools.source.label())
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        (m.plan.container.origin != Origin::Node).then(|| super::NO_NODE.to_owned())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        if !m.ran() {
            return vec![format!("nothing: {}", super::NOT_RUNNING)];
        }
        let (node, ctid) = (&m.tools.node, &m.plan.container.ctid);
        let command = if is_ploop(m) { node.stop_mounted_command(ctid) } else { node.stop_command(ctid) };
        vec![format!("on {}: {command}", m.tools.source.label())]
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let (ctid, timeout) = (&m.plan.container.ctid, Duration::from_secs(m.plan.stop_timeout));
        let node = &m.tools.node;
        // What it is now counts, not what it was when the plan was made.
        let ran = node.status(ctid)? == Status::Running;
        m.set_ran(ran);
        if !ran {
            return Ok(json!({ "ran": false }));
        }
        m.warm(self.id())?;
        let stopping_at = clock::now();
        if is_ploop(m) {
            node.stop_mounted(ctid, timeout)?; // the tree is only there while the image is mounted
        } else {
            node.stop(ctid, timeout)?;
        }
        Ok(json!({ "ran": true, "stopping_at": stopping_at }))
    }

    /// The old container must run again: what the operator wants back first.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        if !m.ran() {
            return Ok(Undo::Done);
        }
        let ctid = &m.plan.container.ctid;
        let by_hand = |e: Error| {
            let command = m.tools.node.start_command(ctid);
            e.hint(format!("start it by hand on {}: {command}", m.tools.source.label()))
        };
        // Also when it seems to run: a stop whose connection was lost goes on over there, and vzctl's lock waits for it.
        m.on_node(|node| node.start(ctid))
            .doing(|| format!("starting container {ctid} on {} again", m.tools.source.label()))
            .map_err(by_hand)?;
        Ok(Undo::Done)
    }

    fn still_done(&self, m: &Migration<'_>, _: &Value) -> Result<bool> {
        Ok(m.tools.node.status(&m.plan.container.ctid)? != Status::Running)
    }

    fn restore(&self, m: &mut Migration<'_>, data: &Value) {
        if let Some(ran) = data.get("ran").and_then(Value::as_bool) {
            m.set_ran(ran);
        }
    }

    fn undo_turn(&self) -> UndoTurn {
        UndoTurn::SourceUp
    }

    /// A run that died in the stop may find the container down without knowing that it ran: it is started again first.
    fn interrupted(&self) -> Interrupted {
        Interrupted::UndoFirst
    }
}

fn is_ploop(m: &Migration<'_>) -> bool {
    m.plan.container.layout == Layout::Ploop
}
