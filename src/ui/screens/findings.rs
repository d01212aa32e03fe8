//! Findings, for people.

use crate::model::finding::{Finding, Severity};
use crate::ui::terminal::Style;
use crate::ui::text::{plain, wrap};

/// Returns findings, the heaviest first, each with what was found and what to do.
pub(super) fn findings(findings: &[Finding], style: Style) -> String {
    let (paint, width) = (style.paint, usize::from(style.width));
    let mut sorted: Vec<&Finding> = findings.iter().collect();
    sorted.sort_by_key(|f| f.severity);
    let mut text = String::new();
    for finding in sorted {
        let label = format!("{:<12}", finding.severity.word());
        let painted = paint.severity(finding.severity, &label);
        text.push_str(&format!("  {painted}{}\n", plain(&finding.title)));
        push_wrapped(&mut text, &" ".repeat(14), &plain(&finding.detail), width);
        let remedy = plain(&finding.remedy);
        if !remedy.is_empty() {
            push_wrapped(&mut text, &format!("{:14}do: ", ""), &remedy, width);
        }
        if finding.severity == Severity::Overridable {
            text.push_str(&format!("{:14}accept it with --accept {}\n", "", plain(&finding.id)));
        }
    }
    text
}

/// Writes a label and its text, following lines indented like the first.
fn push_wrapped(screen: &mut String, label: &str, text: &str, width: usize) {
    let indent = label.chars().count();
    let mut first = true;
    for line in wrap(text, width.saturating_sub(indent).max(20)) {
        if first && line.is_empty() && label.trim().is_empty() {
            return;
        }
        let lead = if first { label.to_owned() } else { " ".repeat(indent) };
        screen.push_str(format!("{lead}{line}").trim_end());
        screen.push('\n');
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::paint::Paint;

    #[test]
    fn the_heaviest_finding_comes_first_and_lines_fit() {
        let long = "word ".repeat(40);
        let list =
            [Finding::info("b", "light"), Finding::overridable("a-b", "heavy").detail(long).remedy("do something")];
        let out = findings(&list, Style { width: 80, paint: Paint::off() });
        assert!(out.find("heavy").unwrap() < out.find("light").unwrap());
        assert!(out.contains("do: do something") && out.contains("--accept a-b"), "{out}");
        assert!(out.lines().all(|l| l.chars().count() <= 80), "{out}");
    }
}
