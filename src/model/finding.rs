//! A finding: something about a container or a host that the operator should know.

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A migration cannot work.
    Blocker,
    /// A migration would lose something; `--accept ID` goes on.
    Overridable,
    /// Worth reading before the window.
    Warning,
    /// Good to know.
    Info,
    /// Could not be looked at, which is not the same as fine.
    Skipped,
}

impl Severity {
    /// Returns the word of the reports.
    pub fn word(self) -> &'static str {
        match self {
            Severity::Blocker => "blocker",
            Severity::Overridable => "overridable",
            Severity::Warning => "warning",
            Severity::Info => "info",
            Severity::Skipped => "skipped",
        }
    }
}

/// A finding, as every JSON report has it (contracts.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Stable id in kebab case, listed in docs/checks.md.
    pub id: String,
    /// How much it weighs.
    pub severity: Severity,
    /// One line.
    pub title: String,
    /// What was found, where.
    pub detail: String,
    /// What the operator can do.
    pub remedy: String,
    /// What it is about: a file, a key, a device.
    pub subject: String,
}

impl Finding {
    /// Makes a finding without detail, remedy and subject.
    pub fn new(severity: Severity, id: &str, title: impl Into<String>) -> Finding {
        Finding {
            id: id.to_owned(),
            severity,
            title: title.into(),
            detail: String::new(),
            remedy: String::new(),
            subject: String::new(),
        }
    }

    /// Makes a warning.
    pub fn warning(id: &str, title: impl Into<String>) -> Finding {
        Finding::new(Severity::Warning, id, title)
    }

    /// Makes an informative finding.
    pub fn info(id: &str, title: impl Into<String>) -> Finding {
        Finding::new(Severity::Info, id, title)
    }

    /// Makes a blocker.
    pub fn blocker(id: &str, title: impl Into<String>) -> Finding {
        Finding::new(Severity::Blocker, id, title)
    }

    /// Makes a finding that `--accept ID` overrides.
    pub fn overridable(id: &str, title: impl Into<String>) -> Finding {
        Finding::new(Severity::Overridable, id, title)
    }

    /// Says what was found, where.
    #[must_use]
    pub fn detail(mut self, text: impl Into<String>) -> Finding {
        self.detail = text.into();
        self
    }

    /// Says what the operator can do.
    #[must_use]
    pub fn remedy(mut self, text: impl Into<String>) -> Finding {
        self.remedy = text.into();
        self
    }

    /// Says what it is about.
    #[must_use]
    pub fn subject(mut self, text: impl Into<String>) -> Finding {
        self.subject = text.into();
        self
    }
}
