//! Hands the running container over to the cluster, without a restart.

use super::super::migration::Migration;
use crate::error::Result;
use crate::pipeline::step::{Interrupted, Step, Undo, UndoTurn};
use serde_json::{Value, json};

pub(super) struct HandOver;

impl Step<Migration<'_>> for HandOver {
    fn id(&self) -> &'static str {
        "hand-over"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        let id = m.plan.resource.as_ref().map_or("", |r| r.id.as_str());
        format!("hand {id} over to the cluster")
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        m.plan.resource.is_none().then(|| "no cluster".to_owned())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        let id = m.plan.resource.as_ref().map_or("", |r| r.id.as_str());
        if m.ran() {
            vec![format!("the cluster adopts the running {id}: unmanaged, enabled, probed, managed")]
        } else {
            vec![format!("{id} stays stopped in the cluster: {}", super::NOT_RUNNING)]
        }
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let Some(resource) = &m.plan.resource else { return Ok(json!({})) };
        if m.ran() {
            m.tools.cluster.hand_over(resource)?;
        } else {
            m.tools.storage.deactivate(&m.plan.volume)?;
            m.tools.cluster.stop(resource)?;
        }
        Ok(json!({}))
    }

    /// The cluster may have moved the container meanwhile: it stops it wherever it runs, then lets go of it.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        if let Some(resource) = &m.plan.resource {
            m.tools.cluster.stop(resource)?;
            m.tools.cluster.unregister(resource)?;
        }
        Ok(Undo::Done)
    }

    fn undo_turn(&self) -> UndoTurn {
        UndoTurn::TargetDown
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }
}
