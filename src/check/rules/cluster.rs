//! The cluster.

use super::{Check, note, when};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};

pub(super) const RULES: &[Check] = &[
    Check { id: "cluster-trouble", severity: Severity::Blocker, find: trouble },
    Check { id: "cluster-resource-exists", severity: Severity::Blocker, find: resource_exists },
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

fn resource_exists(facts: &Facts) -> Vec<Finding> {
    when(facts.cluster.resource_exists, || {
        note(format!("the cluster has a resource {} already", facts.target_name))
            .remedy("give another name with --name, or remove the resource")
            .subject(&facts.target_name)
    })
}
