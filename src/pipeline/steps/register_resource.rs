//! Registers the Pacemaker resource, disabled.

use super::super::migration::Migration;
use crate::error::Result;
use crate::pipeline::step::{OnFailure, Step, Undo};
use serde_json::{Value, json};

pub(super) struct RegisterResource;

impl Step<Migration<'_>> for RegisterResource {
    fn id(&self) -> &'static str {
        "register-resource"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        let id = m.plan.resource.as_ref().map_or("", |r| r.id.as_str());
        format!("resource {id} in the cluster, disabled")
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        m.plan.resource.is_none().then(|| "no cluster".to_owned())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        let commands = m.plan.resource.as_ref().map(|r| m.tools.cluster.register_commands(r)).unwrap_or_default();
        commands.iter().map(ToString::to_string).collect()
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        if let Some(resource) = &m.plan.resource {
            m.tools.cluster.register(resource)?;
        }
        Ok(json!({ "id": m.plan.resource.as_ref().map(|r| &r.id) }))
    }

    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        if let Some(resource) = &m.plan.resource {
            m.tools.cluster.unregister(resource)?;
        }
        Ok(Undo::Done)
    }

    fn on_failure(&self) -> OnFailure {
        OnFailure::Clean
    }
}
