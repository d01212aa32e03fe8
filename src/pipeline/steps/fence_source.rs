//! Keeps the old container from coming up by itself: autostart off, start refused.

use super::super::migration::Migration;
use crate::error::Result;
use crate::model::container::{Layout, Origin};
use crate::pipeline::step::{Interrupted, Step, Undo, UndoTurn};
use serde_json::{Value, json};

pub(super) struct FenceSource;

impl Step<Migration<'_>> for FenceSource {
    fn id(&self) -> &'static str {
        "fence-source"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        format!("switch autostart of container {} off on {}", m.plan.container.ctid, m.tools.source.label())
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        (m.plan.container.origin != Origin::Node).then(|| super::NO_NODE.to_owned())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        vec![format!("on {}: {}", m.tools.source.label(), m.tools.node.fence_command(&m.plan.container.ctid))]
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let (node, ctid) = (&m.tools.node, &m.plan.container.ctid);
        node.fence(ctid)?;
        if m.plan.container.layout == Layout::Ploop && m.ran() {
            node.unmount(ctid)?; // the stop left it mounted for the last pass
        }
        Ok(json!({}))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        m.on_node(|node| node.unfence(&m.plan.container.ctid, &m.plan.autostart))?;
        Ok(Undo::Done)
    }

    /// vzctl refuses to start a container that is fenced.
    fn undo_turn(&self) -> UndoTurn {
        UndoTurn::TargetDown
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}
