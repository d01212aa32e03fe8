//! The report of a check, as its JSON has it (contracts.md, `check`).

use crate::error::{Error, Result};
use crate::model::container::Status;
use crate::model::ctid::Ctid;
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};
use crate::model::guest::{Guest, Init};
use crate::model::size::Bytes;
use serde::{Deserialize, Serialize};

/// The id of the blocker of a container that could not be looked at.
pub const NOT_EXAMINED: &str = "container-not-examined";

/// What the findings come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It can move; nothing but information.
    Ready,
    /// It can move; there is something to read first, or something could not be checked.
    Warnings,
    /// It cannot move: a blocker, or an overridable finding that was not accepted.
    Blocked,
}

impl Verdict {
    /// Returns the word of the JSON.
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Ready => "ready",
            Verdict::Warnings => "warnings",
            Verdict::Blocked => "blocked",
        }
    }
}

/// Returns what the findings come to.
pub fn verdict(findings: &[Finding]) -> Verdict {
    let has = |s: Severity| findings.iter().any(|f| f.severity == s);
    if has(Severity::Blocker) || has(Severity::Overridable) {
        Verdict::Blocked
    } else if has(Severity::Warning) || has(Severity::Skipped) {
        Verdict::Warnings
    } else {
        Verdict::Ready
    }
}

/// What is inside, as far as the report says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestReport {
    /// Distribution id, `unknown` when it is.
    pub distro: String,
    /// Version text.
    pub version: String,
    /// The init that will run.
    pub init: Init,
    /// Machine of its programs; empty when unknown.
    pub arch: String,
    /// glibc's version or `musl`; empty when unknown.
    pub libc: String,
}

impl From<&Guest> for GuestReport {
    fn from(guest: &Guest) -> GuestReport {
        GuestReport {
            distro: guest.distro.clone(),
            version: guest.version.clone(),
            init: guest.init,
            arch: guest.arch.clone(),
            libc: guest.libc.clone(),
        }
    }
}

/// One container of the report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerReport {
    /// The CTID.
    pub ctid: Ctid,
    /// Its NAME on the source.
    pub name: Option<String>,
    /// Its HOSTNAME.
    pub hostname: Option<String>,
    /// The name that it gets on the target.
    pub target_name: Option<String>,
    /// Its status; `None` when it could not be found out.
    pub status: Option<Status>,
    /// Whether root in it will be root on the target; `None` when it was not examined.
    #[serde(default)]
    pub privileged: Option<bool>,
    /// What is inside.
    pub guest: GuestReport,
    /// Bytes in use.
    pub size_bytes: Bytes,
    /// Inodes in use.
    pub inodes: u64,
    /// What the findings come to.
    pub verdict: Verdict,
    /// The findings, the weightiest first.
    pub findings: Vec<Finding>,
}

impl ContainerReport {
    /// Evaluates the facts of one container.
    pub fn of(facts: &Facts) -> ContainerReport {
        ContainerReport::with(facts, super::evaluate(facts))
    }

    /// Reports a container whose facts were evaluated already.
    pub fn with(facts: &Facts, findings: Vec<Finding>) -> ContainerReport {
        let container = &facts.container;
        ContainerReport {
            ctid: container.ctid.clone(),
            name: container.ve.name.clone(),
            hostname: container.ve.hostname.clone(),
            target_name: Some(facts.target_name.clone()),
            status: Some(container.status),
            privileged: Some(!facts.settings.unprivileged),
            guest: GuestReport::from(&facts.guest),
            size_bytes: container.usage.bytes,
            inodes: container.usage.inodes,
            verdict: verdict(&findings),
            findings,
        }
    }

    /// Reports a container whose facts could not be gathered: that blocks it, and only it.
    pub fn not_examined(ctid: Ctid, why: &Error) -> ContainerReport {
        let mut finding = Finding::blocker(NOT_EXAMINED, "the container could not be looked at")
            .detail(why.chain().join(": "))
            .subject(ctid.as_str());
        finding.remedy = why.first_hint().unwrap_or("see the cause, then check again").to_owned();
        let findings = vec![finding];
        ContainerReport {
            ctid,
            name: None,
            hostname: None,
            target_name: None,
            status: None,
            privileged: None,
            guest: GuestReport::from(&Guest::unknown()),
            size_bytes: Bytes(0),
            inodes: 0,
            verdict: verdict(&findings),
            findings,
        }
    }
}

/// How many containers came to which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SummaryCounts {
    /// Ready.
    pub ready: usize,
    /// With warnings.
    pub warnings: usize,
    /// Blocked.
    pub blocked: usize,
}

/// The report of one check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this document, 1.
    pub schema: u32,
    /// The source node, as the operator named it.
    pub source: String,
    /// The target host.
    pub target: String,
    /// The containers, in the order of the request.
    pub containers: Vec<ContainerReport>,
    /// How many came to which verdict.
    pub summary: SummaryCounts,
}

impl Report {
    /// Puts a report together and counts.
    pub fn new(source: impl Into<String>, target: impl Into<String>, containers: Vec<ContainerReport>) -> Report {
        let count = |v: Verdict| containers.iter().filter(|c| c.verdict == v).count();
        let summary = SummaryCounts {
            ready: count(Verdict::Ready),
            warnings: count(Verdict::Warnings),
            blocked: count(Verdict::Blocked),
        };
        Report { schema: 1, source: source.into(), target: target.into(), containers, summary }
    }
}

/// Renders the report as JSON, with a final newline.
pub fn render_json(report: &Report) -> Result<String> {
    let text = serde_json::to_string_pretty(report).map_err(|e| Error::new("writing the report as JSON").because(e))?;
    Ok(text + "\n")
}
