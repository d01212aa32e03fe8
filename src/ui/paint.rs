//! Color, only where somebody sees it.

use crate::model::finding::Severity;

/// `--color`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Puts color around text, or does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Decides once. `no_color` is the value of NO_COLOR: set and not empty means no color (no-color.org).
    pub fn choose(choice: ColorChoice, is_terminal: bool, no_color: Option<&std::ffi::OsStr>) -> Paint {
        let wanted = no_color.is_none_or(std::ffi::OsStr::is_empty);
        let on = match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => is_terminal && wanted,
        };
        Paint { on }
    }

    /// Never paints.
    pub fn off() -> Paint {
        Paint { on: false }
    }

    /// Tells whether it paints.
    pub fn is_on(self) -> bool {
        self.on
    }

    /// For what failed.
    pub fn red(self, text: &str) -> String {
        self.with("31", text)
    }

    /// For what went well.
    pub fn green(self, text: &str) -> String {
        self.with("32", text)
    }

    /// For what deserves a look.
    pub fn yellow(self, text: &str) -> String {
        self.with("33", text)
    }

    /// For headings.
    pub fn bold(self, text: &str) -> String {
        self.with("1", text)
    }

    /// Paints a word in the color of a severity.
    pub fn severity(self, severity: Severity, text: &str) -> String {
        match severity {
            Severity::Blocker => self.red(text),
            Severity::Overridable | Severity::Warning => self.yellow(text),
            Severity::Info | Severity::Skipped => text.to_owned(),
        }
    }

    /// Paints a word in the color of an outcome (contracts.md).
    pub fn outcome(self, outcome: &str, text: &str) -> String {
        match outcome {
            "migrated" => self.green(text),
            "rolled_back" => self.yellow(text),
            _ => self.red(text),
        }
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn color_only_where_it_is_seen_and_wanted() {
        use ColorChoice::{Always, Auto, Never};
        let no = Some(OsStr::new("1"));
        let empty = Some(OsStr::new(""));
        for (choice, terminal, no_color, on) in [
            (Auto, true, None, true),
            (Auto, true, empty, true),
            (Auto, true, no, false),
            (Auto, false, None, false),
            (Always, false, no, true),
            (Never, true, None, false),
        ] {
            assert_eq!(Paint::choose(choice, terminal, no_color).is_on(), on, "{choice:?} {terminal} {no_color:?}");
        }
        assert_eq!(Paint::off().red("x"), "x");
        assert_eq!(Paint { on: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }
}
