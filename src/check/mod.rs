//! Facts to findings: what an operator should know before anything is touched. No I/O.
//!
//! [`evaluate`] asks every rule, then applies what the operator accepts. Every id is listed in docs/checks.md.

#[cfg(test)]
mod cases;
mod render;
mod report;
mod rules;
#[cfg(test)]
mod tests;

use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};

pub use render::html::render_html;
pub use render::text::render_text;
pub use report::{ContainerReport, GuestReport, NOT_EXAMINED, Report, SummaryCounts, Verdict, render_json, verdict};
pub use rules::rules;

/// The id of the finding that says that an `--accept` had no effect.
pub const ACCEPT_UNUSED: &str = "accept-unused";

/// Ids of findings that reading the VE configuration gives, for any key; they are passed on as they are. A key that is
/// blocked may have an id of its own, `ve-` and its name.
pub const VE_FINDINGS: [&str; 4] = ["ve-line-rejected", "ve-shell-differs", "ve-zero-limit", "ve-unknown-key"];

/// A question about the facts.
pub trait Rule: Sync {
    /// Returns the stable id of its findings, in kebab case.
    fn id(&self) -> &'static str;
    /// Returns how much its findings weigh.
    fn severity(&self) -> Severity;
    /// Answers with no finding, one, or several.
    fn evaluate(&self, facts: &Facts) -> Vec<Finding>;
}

/// Asks every rule, adds what reading the configuration found, and applies the ids that the operator accepts: an
/// overridable finding becomes a warning that says so. Sorted by severity, otherwise in the order of the rules.
pub fn evaluate(facts: &Facts) -> Vec<Finding> {
    let mut findings: Vec<Finding> = rules().flat_map(|rule| rule.evaluate(facts)).collect();
    findings.extend(facts.container.ve.findings.iter().cloned());
    accept(&mut findings, &facts.settings.accept);
    findings.sort_by_key(|f| f.severity);
    findings
}

fn accept(findings: &mut Vec<Finding>, accepted: &[String]) {
    let mut unused = Vec::new();
    for (at, id) in accepted.iter().enumerate() {
        if accepted[..at].contains(id) {
            continue;
        }
        let mut found = None;
        for finding in findings.iter_mut().filter(|f| f.id == *id) {
            if finding.severity == Severity::Overridable {
                finding.severity = Severity::Warning;
                let note = format!("accepted with --accept {id}");
                finding.detail = if finding.detail.is_empty() { note } else { format!("{} ({note})", finding.detail) };
                found = Some(Severity::Overridable);
            } else if found != Some(Severity::Overridable) {
                found = Some(finding.severity);
            }
        }
        let why = match found {
            Some(Severity::Blocker) => "a blocker cannot be accepted",
            Some(_) => continue,
            None => "this container has no such finding",
        };
        let finding = Finding::warning(ACCEPT_UNUSED, format!("--accept {} has no effect: {why}", id.escape_debug()));
        unused.push(finding.subject(id.as_str()).remedy("the ids are listed in docs/checks.md"));
    }
    findings.append(&mut unused);
}
