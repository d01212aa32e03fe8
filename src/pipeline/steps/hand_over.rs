//! Hands the running container over to whoever starts it from now on: the cluster, without a restart, or this host.

use super::super::migration::Migration;
use crate::error::Result;
use crate::model::finding::Finding;
use crate::pipeline::autostart;
use crate::pipeline::step::{Interrupted, Step, Undo, UndoTurn};
use serde_json::{Value, json};

pub(super) struct HandOver;

/// What nobody may start by itself on the source is not started by itself here: vzctl's DISABLED.
fn disabled(m: &Migration<'_>) -> bool {
    m.plan.container.ve.disabled
}

impl Step<Migration<'_>> for HandOver {
    fn id(&self) -> &'static str {
        "hand-over"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        match &m.plan.resource {
            Some(resource) => format!("hand {} over to the cluster", resource.id),
            None => format!("let {} start with this host", m.plan.name),
        }
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        if m.plan.resource.is_some() || m.plan.autostart_target {
            return None;
        }
        Some(match disabled(m) {
            true => "no cluster, and DISABLED=yes: nothing starts it by itself".to_owned(),
            false => "no cluster, and it did not start with its node".to_owned(),
        })
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        vec![match &m.plan.resource {
            None => format!("lxc.start.auto = 1 in {}", m.plan.config_path.display()),
            Some(r) if disabled(m) => format!("{} stays disabled in the cluster: DISABLED=yes", r.id),
            Some(r) if m.ran() => {
                format!("the cluster adopts the running {}: unmanaged, enabled, probed, managed", r.id)
            }
            Some(r) => format!("{} stays stopped in the cluster: {}", r.id, super::NOT_RUNNING),
        }]
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let Some(resource) = &m.plan.resource else {
            // Only now: a restart of this host before would have brought up a second container.
            let changed = m.plan.autostart_target && autostart::set(&m.plan.config_path, true)?;
            return Ok(json!({ "autostart": m.plan.autostart_target, "changed": changed }));
        };
        if !m.ran() {
            m.tools.storage.deactivate(&m.plan.volume)?;
            m.tools.cluster.stop(resource)?;
        } else if disabled(m) {
            let title = format!("{} runs, and the cluster does not look after it: DISABLED=yes", resource.id);
            let finding = Finding::warning("resource-left-disabled", title)
                .detail(
                    "the resource stays disabled; the cluster would stop it when it looks again (pcs resource refresh)",
                )
                .remedy(format!("once it is meant to run: pcs resource enable {}", resource.id))
                .subject("DISABLED");
            m.report(finding);
        } else {
            m.tools.cluster.hand_over(resource)?;
        }
        Ok(json!({}))
    }

    /// The cluster may have moved the container meanwhile: it stops it wherever it runs, then lets go of it.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        match &m.plan.resource {
            Some(resource) => {
                m.tools.cluster.stop(resource)?;
                m.tools.cluster.unregister(resource)?;
            }
            // Also when somebody else switched it on: what is kept of it must not come up beside the old one.
            None => drop(autostart::set(&m.plan.config_path, false)?),
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
