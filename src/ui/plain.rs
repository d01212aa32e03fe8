//! Progress as lines, for logs and for people without a terminal.

use super::output::write_all;
use super::progress::{amount, percent, state_word};
use super::text::{duration, plain, seconds};
use crate::event::{Event, EventSink};
use crate::model::size::Bytes;
use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A line per change of a phase, and at most one every ten seconds while it runs.
pub struct Plain {
    interval: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    out: Box<dyn Write + Send>,
    /// When a line about a phase was last written, and how many bytes it named.
    last: HashMap<(String, String), (Instant, u64)>,
}

impl Plain {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> Plain {
        Plain { interval: Duration::from_secs(10), inner: Mutex::new(Inner { out, last: HashMap::new() }) }
    }

    /// Changes the time between two lines about a phase.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> Plain {
        self.interval = interval;
        self
    }
}

impl EventSink for Plain {
    fn emit(&self, event: &Event) {
        let Ok(mut inner) = self.inner.lock() else { return };
        if let Some(line) = inner.line(event, self.interval) {
            // A log that cannot be written must not stop a migration.
            let _ = write_all(&mut *inner.out, &format!("{line}\n"));
        }
    }
}

impl Inner {
    fn line(&mut self, event: &Event, interval: Duration) -> Option<String> {
        Some(match event {
            Event::Phase { ctid, phase, state, detail, seconds: took } => {
                self.last.insert((ctid.clone(), phase.clone()), (Instant::now(), 0));
                let mut line = format!("[{}] {}: {}", plain(ctid), plain(phase), state_word(*state));
                if let Some(took) = took {
                    line.push_str(&format!(" after {}", duration(seconds(*took))));
                }
                if !detail.is_empty() {
                    line.push_str(&format!(": {}", plain(detail)));
                }
                line
            }
            Event::Progress { ctid, phase, files, bytes, total_files, total_bytes } => {
                let key = (ctid.clone(), phase.clone());
                let (since, before) = *self.last.entry(key.clone()).or_insert((Instant::now(), 0));
                let passed = since.elapsed();
                if passed < interval {
                    return None;
                }
                self.last.insert(key, (Instant::now(), *bytes));
                if let (Some(total), Some(0)) = (total_files, total_bytes) {
                    let share = percent(*files, *total);
                    return Some(format!("[{}] {}: {files} of {total} entries ({share}%)", plain(ctid), plain(phase)));
                }
                let rate = rate(bytes.saturating_sub(before), passed);
                let done = amount(*bytes, *total_bytes);
                format!("[{}] {}: {done}, {files} entries{rate}", plain(ctid), plain(phase))
            }
            Event::Finding { ctid, finding } => format!(
                "[{}] {}: {} ({})",
                plain(ctid),
                finding.severity.word(),
                plain(&finding.title),
                plain(&finding.id)
            ),
            Event::Done { ctid, outcome, detail } => {
                format!("[{}] {}: {}", plain(ctid), plain(outcome).replace('_', " "), plain(detail))
            }
        })
    }
}

/// Returns `, 12 MiB/s`; nothing when too little time has passed to say.
fn rate(bytes: u64, passed: Duration) -> String {
    let millis = passed.as_millis();
    if millis < 100 {
        return String::new();
    }
    let rate = u64::try_from(u128::from(bytes) * 1000 / millis).unwrap_or(u64::MAX);
    format!(", {}/s", Bytes(rate))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::event::PhaseState;
    use crate::model::finding::Finding;
    use std::sync::Arc;

    /// A writer whose content can be looked at.
    #[derive(Clone, Default)]
    pub(in crate::ui) struct Page(Arc<Mutex<Vec<u8>>>);

    impl Page {
        pub(in crate::ui) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    pub(in crate::ui) fn phase(phase: &str, state: PhaseState, detail: &str) -> Event {
        let seconds = (state != PhaseState::Started).then_some(3.21);
        Event::Phase { ctid: "101".into(), phase: phase.into(), state, detail: detail.into(), seconds }
    }

    pub(in crate::ui) fn progress(bytes: u64) -> Event {
        let (ctid, phase) = ("101".into(), "copy-live".into());
        Event::Progress { ctid, phase, files: 7, bytes, total_files: None, total_bytes: Some(4 << 30) }
    }

    #[test]
    fn one_line_a_change() {
        let page = Page::default();
        let sink = Plain::new(Box::new(page.clone()));
        sink.emit(&phase("copy-live", PhaseState::Started, "copying /vz/private/101"));
        sink.emit(&phase("copy-live", PhaseState::Failed, "a\u{1b}[2J\nforged"));
        let finding = Finding::warning("swap-not-limited", "swap is not limited");
        sink.emit(&Event::Finding { ctid: "101".into(), finding });
        sink.emit(&Event::Done { ctid: "101".into(), outcome: "rolled_back".into(), detail: "it runs again".into() });
        let want = "[101] copy-live: begins: copying /vz/private/101\n\
                    [101] copy-live: failed after 3.2 s: a\\u{1b}[2J\\nforged\n\
                    [101] warning: swap is not limited (swap-not-limited)\n\
                    [101] rolled back: it runs again\n";
        assert_eq!(page.text(), want);
    }

    #[test]
    fn progress_is_not_a_flood() {
        let page = Page::default();
        let sink = Plain::new(Box::new(page.clone())).every(Duration::from_secs(3600));
        for bytes in 0..1000 {
            sink.emit(&progress(bytes));
        }
        assert_eq!(page.text(), "");
        let sink = Plain::new(Box::new(page.clone())).every(Duration::ZERO);
        sink.emit(&progress(1 << 30));
        assert_eq!(page.text(), "[101] copy-live: 1 GiB of 4 GiB (25%), 7 entries\n");
    }

    #[test]
    fn rates() {
        assert_eq!(rate(10 << 20, Duration::from_secs(10)), ", 1 MiB/s");
        assert_eq!(rate(10, Duration::from_millis(1)), "");
    }
}
