//! Which way progress is shown.

use super::{Bars, JsonLines, Plain};
use crate::event::{EventSink, PhaseState, Silent};
use crate::model::size::Bytes;

/// `--progress`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProgressMode {
    /// Bars on a terminal, lines otherwise.
    #[default]
    Auto,
    /// Bars.
    Bars,
    /// A line per phase, and one now and then while it runs.
    Plain,
    /// One JSON object a line.
    Json,
    /// Nothing.
    None,
}

/// Makes the sink. `is_terminal` is about standard error, where all of them write.
pub fn choose(mode: ProgressMode, is_terminal: bool) -> Box<dyn EventSink> {
    match resolved(mode, is_terminal) {
        ProgressMode::Bars | ProgressMode::Auto => Box::new(Bars::new()),
        ProgressMode::Plain => Box::new(Plain::new(Box::new(std::io::stderr()))),
        ProgressMode::Json => Box::new(JsonLines::new(Box::new(std::io::stderr()))),
        ProgressMode::None => Box::new(Silent),
    }
}

/// Bars need a terminal: without one nothing at all would be drawn, and a failure would be silent.
fn resolved(mode: ProgressMode, is_terminal: bool) -> ProgressMode {
    match mode {
        ProgressMode::Auto | ProgressMode::Bars if is_terminal => ProgressMode::Bars,
        ProgressMode::Auto | ProgressMode::Bars => ProgressMode::Plain,
        other => other,
    }
}

/// Returns the word for a state.
pub(super) fn state_word(state: PhaseState) -> &'static str {
    match state {
        PhaseState::Started => "begins",
        PhaseState::Done => "done",
        PhaseState::Failed => "failed",
        PhaseState::Skipped => "skipped",
        PhaseState::Undoing => "being undone",
        PhaseState::Undone => "undone",
    }
}

/// Returns the share in whole percent, at most 100; a container that grows while it is copied has no 103 %.
pub(super) fn percent(part: u64, whole: u64) -> u64 {
    u64::try_from(u128::from(part) * 100 / u128::from(whole.max(1))).unwrap_or(100).min(100)
}

/// Returns `1.2 GiB of 4 GiB (30%)`, or `1.2 GiB` when the whole is not known.
pub(super) fn amount(bytes: u64, total: Option<u64>) -> String {
    match total {
        Some(total) => format!("{} of {} ({}%)", Bytes(bytes), Bytes(total), percent(bytes, total)),
        None => Bytes(bytes).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_only_on_a_terminal() {
        use ProgressMode::{Auto, Bars, Json, None, Plain};
        for (mode, terminal, want) in [
            (Auto, true, Bars),
            (Auto, false, Plain),
            (Bars, true, Bars),
            (Bars, false, Plain),
            (Plain, true, Plain),
            (Json, true, Json),
            (None, false, None),
        ] {
            assert_eq!(resolved(mode, terminal), want, "{mode:?}");
        }
    }

    #[test]
    fn shares_never_exceed_the_whole() {
        assert_eq!(percent(1, 3), 33);
        assert_eq!(percent(5, 3), 100);
        assert_eq!(percent(0, 0), 0);
        assert_eq!(percent(u64::MAX, u64::MAX), 100);
        assert_eq!(amount(1 << 30, Some(4 << 30)), "1 GiB of 4 GiB (25%)");
    }
}
