//! The rules, one file a topic.

mod cluster;
mod config;
mod guest;
mod network;
mod routed;
mod source;
mod storage;
mod target;
mod unprivileged;

use super::Rule;
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};

/// A rule as data: one id, one severity, one question.
struct Check {
    id: &'static str,
    severity: Severity,
    find: fn(&Facts) -> Vec<Finding>,
}

impl Rule for Check {
    fn id(&self) -> &'static str {
        self.id
    }

    fn severity(&self) -> Severity {
        self.severity
    }

    fn evaluate(&self, facts: &Facts) -> Vec<Finding> {
        let mut findings = (self.find)(facts);
        for finding in &mut findings {
            finding.id = self.id.to_owned();
            finding.severity = self.severity;
        }
        findings
    }
}

/// Returns every rule, in the order in which a reader wants the answers: can it run there, does it fit, will it be
/// reached, what is lost.
pub fn rules() -> impl Iterator<Item = &'static dyn Rule> {
    let can_run = [source::RULES, target::RULES, guest::RULES, unprivileged::RULES];
    let is_reached = [network::RULES, routed::RULES, cluster::RULES];
    can_run
        .into_iter()
        .chain([storage::RULES])
        .chain(is_reached)
        .chain([config::RULES])
        .flatten()
        .map(|check| check as &dyn Rule)
}

/// Starts a finding; its rule fills in id and severity.
fn note(title: impl Into<String>) -> Finding {
    Finding::info("", title)
}

/// Makes a list of one finding when a condition holds.
fn when(condition: bool, finding: impl FnOnce() -> Finding) -> Vec<Finding> {
    if condition { vec![finding()] } else { Vec::new() }
}

/// Tells whether reading the VE configuration had something to say about a key: one finding about it is enough.
fn said(facts: &Facts, key: &str) -> bool {
    facts.container.ve.findings.iter().any(|f| f.subject == key)
}
