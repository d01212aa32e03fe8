//! LXC on the target.

use super::{Check, note, when};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};
use crate::model::target::CgroupMode;

pub(super) const RULES: &[Check] = &[
    Check { id: "target-lxc-missing", severity: Severity::Blocker, find: lxc_missing },
    Check { id: "target-name-taken", severity: Severity::Blocker, find: name_taken },
    Check { id: "target-swap-accounting", severity: Severity::Warning, find: swap_accounting },
];

fn lxc_missing(facts: &Facts) -> Vec<Finding> {
    when(facts.target.lxc.is_none(), || {
        note("LXC is not installed on the target")
            .remedy("install the distribution's lxc package")
            .subject(&facts.target.hostname)
    })
}

fn name_taken(facts: &Facts) -> Vec<Finding> {
    when(facts.target.containers.contains(&facts.target_name), || {
        note(format!("the target has a container {} already", facts.target_name))
            .detail(format!("below {}", facts.settings.lxc_path.display()))
            .remedy("give another name with --name, or remove the old container")
            .subject(&facts.target_name)
    })
}

fn swap_accounting(facts: &Facts) -> Vec<Finding> {
    let unlimited = facts.container.ve.limits.swap_bytes.is_none();
    when(!unlimited && !facts.target.swap_accounting && facts.target.cgroup != CgroupMode::V2, || {
        note("the target does not account swap, so the limit of SWAPPAGES cannot be set")
            .remedy("boot the target with swapaccount=1")
            .subject("SWAPPAGES")
    })
}
