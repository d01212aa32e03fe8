//! The cluster.

use super::{Check, note, when};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};

pub(super) const RULES: &[Check] = &[
    Check { id: "cluster-trouble", severity: Severity::Blocker, find: trouble },
    Check { id: "cluster-resource-exists", severity: Severity::Blocker, find: resource_exists },
    Check { id: "boot-order-cluster", severity: Severity::Info, find: boot_order },
];

fn trouble(facts: &Facts) -> Vec<Finding> {
    let troubles = facts.cluster.trouble.iter();
    troubles
        .map(|t| {
            note(format!("the cluster cannot take the container: {t}"))
                .remedy("look at it with `pcs status`, or migrate without it: --cluster none")
                .subject("cluster")
        })
        .collect()
}

/// The most that a score of Pacemaker may be without meaning "always".
const SCORE: u64 = 999_999;

fn boot_order(facts: &Facts) -> Vec<Finding> {
    let order = facts.container.ve.bootorder.filter(|_| facts.cluster.present);
    order.map_or_else(Vec::new, |order| {
        let (id, priority) = (&facts.target_name, order.min(SCORE));
        vec![
            note(format!("the cluster starts its containers side by side: BOOTORDER={order} has no effect"))
                .detail("a priority decides which resources run when not all can; an order constraint makes one wait for another")
                .remedy(format!("pcs resource meta {id} priority={priority}, or: pcs constraint order start OTHER then {id}"))
                .subject("BOOTORDER"),
        ]
    })
}

fn resource_exists(facts: &Facts) -> Vec<Finding> {
    when(facts.cluster.resource_exists, || {
        note(format!("the cluster has a resource {} already", facts.target_name))
            .remedy("give another name with --name, or remove the resource")
            .subject(&facts.target_name)
    })
}
