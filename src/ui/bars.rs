//! Progress as bars, one per container and phase.

use super::progress::{percent, state_word};
use super::text::{duration, fit, plain, seconds};
use crate::event::{Event, EventSink, PhaseState};
use crate::model::size::Bytes;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Characters of a bar's name; the rest of 80 columns is a bar of 12 and at most 42 of numbers.
const NAME: usize = 22;
const WITH_TOTAL: &str = "{prefix:22} [{bar:12}] {msg}";
const WITHOUT_TOTAL: &str = "{prefix:22} {spinner} {msg}";

/// Bars on a terminal. What is over becomes a line above them.
pub struct Bars {
    multi: MultiProgress,
    open: Mutex<HashMap<(String, String), Open>>,
}

/// A phase that runs.
struct Open {
    bar: ProgressBar,
    since: Instant,
    /// Bytes of the first report: what an earlier run had copied is not this one's speed.
    first: Option<u64>,
}

impl Bars {
    /// Draws on standard error.
    pub fn new() -> Bars {
        Bars::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Bars {
        Bars { multi: MultiProgress::with_draw_target(target), open: Mutex::new(HashMap::new()) }
    }

    fn line(&self, text: &str) {
        // A terminal that went away must not stop a migration.
        let _ = self.multi.println(text);
    }

    fn open(&self, ctid: &str, phase: &str) -> Open {
        let bar = self.multi.add(ProgressBar::new_spinner());
        bar.set_style(style(WITHOUT_TOTAL));
        bar.set_prefix(fit(&format!("{} {}", plain(ctid), plain(phase)), NAME));
        bar.enable_steady_tick(Duration::from_millis(200));
        Open { bar, since: Instant::now(), first: None }
    }
}

impl Default for Bars {
    fn default() -> Bars {
        Bars::new()
    }
}

/// A line of a terminal of 80 columns.
const WIDTH: usize = 79;

impl Drop for Bars {
    fn drop(&mut self) {
        if let Ok(open) = self.open.get_mut() {
            for (_, phase) in open.drain() {
                phase.bar.finish_and_clear();
            }
        }
    }
}

impl EventSink for Bars {
    fn emit(&self, event: &Event) {
        let Ok(mut open) = self.open.lock() else { return };
        match event {
            Event::Phase { ctid, phase, state, detail, seconds: took } => {
                let key = (ctid.clone(), phase.clone());
                if matches!(state, PhaseState::Started | PhaseState::Undoing) {
                    let entry = open.entry(key).or_insert_with(|| self.open(ctid, phase));
                    let word = if *state == PhaseState::Undoing { "undoing: " } else { "" };
                    entry.bar.set_message(fit(&format!("{word}{}", plain(detail)), 54));
                    return;
                }
                if let Some(over) = open.remove(&key) {
                    over.bar.finish_and_clear();
                }
                self.line(&finished(ctid, phase, *state, detail, *took));
            }
            Event::Progress { ctid, phase, files, bytes, total_files, total_bytes } => {
                let key = (ctid.clone(), phase.clone());
                let open = open.entry(key).or_insert_with(|| self.open(ctid, phase));
                match (total_files, total_bytes) {
                    (Some(total), Some(0)) => open.count(*files, *total),
                    _ => open.update(*files, *bytes, *total_bytes),
                }
            }
            Event::Finding { ctid, finding } => {
                let title = plain(&finding.title);
                self.line(&format!("{} {}: {title} ({})", plain(ctid), finding.severity.word(), plain(&finding.id)));
            }
            Event::Done { ctid, outcome, detail } => {
                self.line(&format!("{} {}: {}", plain(ctid), plain(outcome).replace('_', " "), plain(detail)));
            }
        }
    }
}

impl Open {
    /// Shows entries alone: nothing of their content moves.
    fn count(&mut self, files: u64, total: u64) {
        self.show(percent(files, total));
        self.bar.set_message(format!("{files}/{total} entries"));
    }

    fn show(&mut self, percent: u64) {
        if self.bar.length() != Some(100) {
            self.bar.set_length(100);
            self.bar.set_style(style(WITH_TOTAL));
        }
        self.bar.set_position(percent);
    }

    fn update(&mut self, files: u64, bytes: u64, total: Option<u64>) {
        let first = *self.first.get_or_insert(bytes);
        let speed = speed(bytes.saturating_sub(first), self.since.elapsed());
        if let Some(total) = total {
            self.show(percent(bytes, total));
        }
        self.bar.set_message(numbers(files, bytes, total, speed));
    }
}

fn finished(ctid: &str, phase: &str, state: PhaseState, detail: &str, took: Option<f64>) -> String {
    let name = fit(&format!("{} {}", plain(ctid), plain(phase)), NAME);
    let took = took.map(|t| format!(" {}", duration(seconds(t)))).unwrap_or_default();
    let detail = if detail.is_empty() { String::new() } else { format!("  {}", plain(detail)) };
    let line = format!("{name:NAME$} {}{took}{detail}", state_word(state));
    // Why something failed is never cut.
    if state == PhaseState::Failed { line } else { fit(&line, WIDTH) }
}

/// Returns bytes a second; `None` until there is something to say.
fn speed(bytes: u64, passed: Duration) -> Option<u64> {
    let millis = passed.as_millis();
    if millis < 500 || bytes == 0 {
        return None;
    }
    u64::try_from(u128::from(bytes) * 1000 / millis).ok().filter(|s| *s > 0)
}

/// Returns bytes, speed and time left, at most 42 characters; entries where the whole is not known.
fn numbers(files: u64, bytes: u64, total: Option<u64>, speed: Option<u64>) -> String {
    let mut text = match total {
        Some(total) => format!("{}/{}", Bytes(bytes), Bytes(total)),
        None => format!("{} {files} entries", Bytes(bytes)),
    };
    if let Some(speed) = speed {
        text.push_str(&format!(" {}/s", Bytes(speed)));
        if let Some(left) = total.map(|t| t.saturating_sub(bytes)) {
            text.push_str(&format!(" {}", clock(left / speed)));
        }
    }
    text
}

/// Returns seconds in at most six characters.
fn clock(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        3600..360_000 => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
        _ => ">4d".into(),
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are constants and the tests draw them.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("#- ")
        .tick_chars("|/-\\ ")
}

#[cfg(test)]
mod tests {
    use super::super::plain::tests::{phase, progress};
    use super::*;
    use indicatif::TermLike;
    use std::io::Result;
    use std::sync::Arc;

    /// A terminal of 80 columns that keeps what was written.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<String>>);

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _: usize) -> Result<()> {
            Ok(())
        }
        fn write_line(&self, s: &str) -> Result<()> {
            self.write_str(&format!("{s}\n"))
        }
        fn write_str(&self, s: &str) -> Result<()> {
            self.0.lock().unwrap().push_str(s);
            Ok(())
        }
        fn clear_line(&self) -> Result<()> {
            self.write_str("\n")
        }
        fn flush(&self) -> Result<()> {
            Ok(())
        }
    }

    fn drawn(events: &[Event]) -> String {
        let screen = Screen::default();
        let bars = Bars::on(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        for event in events {
            bars.emit(event);
        }
        drop(bars);
        screen.0.lock().unwrap().clone()
    }

    #[test]
    fn bars_and_lines_fit_and_are_harmless() {
        let text = drawn(&[
            phase("copy-live", PhaseState::Started, "x\u{1b}[2J"),
            progress(1 << 30),
            phase("copy-live", PhaseState::Done, "1 GiB\u{7}"),
        ]);
        assert!(text.contains("101 copy-live          [###-        ] 1 GiB/4 GiB"), "{text}");
        assert!(text.contains("101 copy-live          done 3.2 s  1 GiB\\u{7}"), "{text}");
        for line in text.lines() {
            assert!(line.trim_end().chars().count() <= 80, "{line}");
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
    }

    #[test]
    fn entries_are_counted_where_no_content_moves() {
        let (ctid, phase) = ("101".to_owned(), "verify".to_owned());
        let (total_files, total_bytes) = (Some(40_000), Some(0));
        let text = drawn(&[Event::Progress { ctid, phase, files: 10_000, bytes: 0, total_files, total_bytes }]);
        assert!(text.contains("101 verify             [###-        ] 10000/40000 entries"), "{text}");
    }

    #[test]
    fn the_longest_numbers_fit() {
        let big = (1u64 << 40) - 1;
        for (total, speed) in [(Some(big), Some(big / 1000)), (None, Some(big)), (Some(big), Some(1))] {
            let text = numbers(99_999_999, big - 1, total, speed);
            assert!(text.chars().count() <= 42, "{text}");
        }
        assert_eq!(numbers(1, 1 << 20, Some(3 << 20), Some(1 << 20)), "1 MiB/3 MiB 1 MiB/s 2s");
    }

    #[test]
    fn times_left() {
        for (seconds, text) in [(59, "59s"), (61, "1m01s"), (7260, "2h01m"), (359_999, "99h59m"), (u64::MAX, ">4d")] {
            assert_eq!(clock(seconds), text);
            assert!(text.len() <= 6);
        }
    }
}
