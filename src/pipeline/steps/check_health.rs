//! Waits until the container is healthy on the target. Once it is, nothing is undone by itself any more.

use super::super::migration::Migration;
use crate::error::Result;
use crate::pipeline::clock;
use crate::pipeline::step::{Interrupted, Step, Undo};
use crate::runtime::HealthCheck;
use serde_json::{Value, json};
use std::time::Duration;

/// A container whose init dies at once is not healthy because it was running when we looked.
const SETTLE: Duration = Duration::from_secs(2);

pub(super) struct CheckHealth;

impl Step<Migration<'_>> for CheckHealth {
    fn id(&self) -> &'static str {
        "check-health"
    }

    fn title(&self, m: &Migration<'_>) -> String {
        let addresses: Vec<String> = m.plan.expected_addresses.iter().map(ToString::to_string).collect();
        format!("wait until {} is healthy: {}", m.plan.name, addresses.join(" "))
    }

    fn skip(&self, m: &Migration<'_>) -> Option<String> {
        (!m.ran()).then(|| super::NOT_RUNNING.to_owned())
    }

    fn commands(&self, m: &Migration<'_>) -> Vec<String> {
        vec![format!(
            "for at most {} s: running, processes beside init, addresses up and answering",
            m.plan.health_timeout
        )]
    }

    fn apply(&self, m: &mut Migration<'_>) -> Result<Value> {
        let check = HealthCheck {
            timeout: Duration::from_secs(m.plan.health_timeout),
            settle: SETTLE,
            addresses: m.plan.expected_addresses.clone(),
            macs: m.plan.guest_plan.nics.iter().filter_map(|n| n.mac.clone()).collect(),
            expect_login: m.plan.health_login,
        };
        let health = m.tools.lxc.wait_healthy(&m.plan.name, &check, &m.tools.cancel)?;
        for finding in health.findings {
            m.report(finding);
        }
        Ok(json!({ "up_at": clock::now() }))
    }

    fn undo(&self, _: &mut Migration<'_>, _: Option<&Value>) -> Result<Undo> {
        Ok(Undo::Done)
    }

    fn interrupted(&self) -> Interrupted {
        Interrupted::Again
    }

    fn is_point_of_no_return(&self) -> bool {
        true
    }
}
