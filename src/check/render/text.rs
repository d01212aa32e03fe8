//! The report for a terminal, without colours.

use super::{guest, status, visible};
use crate::check::report::{ContainerReport, Report};
use crate::model::finding::Finding;

/// Renders the report in lines of at most `width` columns (40 at least); a word that is longer stands alone.
pub fn render_text(report: &Report, width: usize) -> String {
    let mut out = Lines { text: String::new(), width: width.max(40) };
    out.add("", &format!("{} -> {}", visible(&report.source), visible(&report.target)));
    for container in &report.containers {
        out.text.push('\n');
        render_container(&mut out, container);
    }
    let s = report.summary;
    out.text.push('\n');
    out.add("", &format!("{} ready, {} with warnings, {} blocked", s.ready, s.warnings, s.blocked));
    out.text
}

fn render_container(out: &mut Lines, container: &ContainerReport) {
    let mut title = format!("{} {}", container.ctid, container.verdict.name().to_uppercase());
    let names = [container.name.as_deref(), container.hostname.as_deref()];
    for name in names.into_iter().flatten() {
        title.push_str(&format!(" {}", visible(name)));
    }
    if let Some(name) = &container.target_name {
        title.push_str(&format!(" -> {}", visible(name)));
    }
    out.add("", &title);
    let size = format!("{}, {} inodes", container.size_bytes, container.inodes);
    out.add("  ", &format!("{}; {}; {size}", status(container), visible(&guest(container))));
    for finding in &container.findings {
        render_finding(out, finding);
    }
}

fn render_finding(out: &mut Lines, finding: &Finding) {
    let subject = if finding.subject.is_empty() { String::new() } else { format!(" [{}]", visible(&finding.subject)) };
    let head = format!("  {}: ", finding.severity.word());
    out.add(&head, &format!("{} ({}){subject}", visible(&finding.title), visible(&finding.id)));
    if !finding.detail.is_empty() {
        out.add("      ", &visible(&finding.detail));
    }
    if !finding.remedy.is_empty() {
        out.add("      > ", &visible(&finding.remedy));
    }
}

struct Lines {
    text: String,
    width: usize,
}

impl Lines {
    /// Adds a paragraph behind a prefix; the lines that it breaks into stand six columns in.
    fn add(&mut self, prefix: &str, paragraph: &str) {
        let mut line = prefix.to_owned();
        let mut empty = true;
        for word in paragraph.split(' ').filter(|w| !w.is_empty()) {
            if !empty && line.chars().count() + 1 + word.chars().count() > self.width {
                self.text.push_str(line.trim_end());
                self.text.push('\n');
                line = " ".repeat(6);
                empty = true;
            }
            if !empty {
                line.push(' ');
            }
            line.push_str(word);
            empty = false;
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }
}
