//! Starts the container on this host.

use super::super::migration::Migration;
use super::copy::still_stopped;
use crate::error::Result;
use crate::pipeline::clock;
use crate::pipeline::step::{Step, Undo, UndoTurn};
use crate::runtime::State;
use serde_json::{Value, json};
use std::time::Duration;

pub(super) struct StartTarget;

impl Step<Migration<'_>> for StartTarget {
    fn id(&self) -> &'static str {
        "start-target"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        format!("start {} under LXC", m.plan.name)
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        (!m.ran()).then(|| super::NOT_RUNNING.to_owned())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        vec![m.tools.lxc.start_command(&m.plan.name, &m.plan.config_path).to_string()]
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        still_stopped(m)?; // two of them with one address must never run
        m.tools.storage.activate(&m.plan.volume)?;
        let started_at = clock::now();
        m.tools.lxc.start(&m.plan.name, &m.plan.config_path)?;
        Ok(json!({ "started_at": started_at }))
    }

    /// One that was never healthy is killed: its old self is down meanwhile, and its volume goes.
    fn undo(&self, m: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        if m.healthy {
            m.tools.lxc.stop(&m.plan.name, Duration::from_secs(m.plan.stop_timeout))?;
        } else {
            m.tools.lxc.kill(&m.plan.name)?;
        }
        m.tools.storage.deactivate(&m.plan.volume)?;
        Ok(Undo::Done)
    }

    fn still_done(&self, m: &Migration<'_>, _: &Value) -> Result<bool> {
        Ok(m.tools.lxc.state(&m.plan.name)? == State::Running)
    }

    fn undo_turn(&self) -> UndoTurn {
        UndoTurn::TargetDown
    }
}
