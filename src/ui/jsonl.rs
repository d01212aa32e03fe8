//! Progress as JSON, one object a line (contracts.md, `--progress json`).

use super::output::write_all;
use crate::event::{Event, EventSink};
use std::collections::HashMap;
use std::io::Write;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Writes every event, except that progress of a phase comes at most once a second.
pub struct JsonLines {
    interval: Duration,
    inner: Mutex<Inner>,
}

struct Inner {
    out: Box<dyn Write + Send>,
    last: HashMap<(String, String), Instant>,
}

impl JsonLines {
    /// Writes to `out`.
    pub fn new(out: Box<dyn Write + Send>) -> JsonLines {
        JsonLines { interval: Duration::from_secs(1), inner: Mutex::new(Inner { out, last: HashMap::new() }) }
    }

    /// Changes the time between two lines of progress of a phase.
    #[must_use]
    pub fn every(mut self, interval: Duration) -> JsonLines {
        self.interval = interval;
        self
    }
}

impl EventSink for JsonLines {
    fn emit(&self, event: &Event) {
        let Ok(mut inner) = self.inner.lock() else { return };
        if let Event::Progress { ctid, phase, .. } = event {
            let key = (ctid.clone(), phase.clone());
            if inner.last.get(&key).is_some_and(|at| at.elapsed() < self.interval) {
                return;
            }
            inner.last.insert(key, Instant::now());
        }
        if let Ok(json) = serde_json::to_string(event) {
            let _ = write_all(&mut *inner.out, &format!("{}\n", escaped(&json)));
        }
    }
}

/// JSON leaves DEL and the C1 control characters as they are, and a terminal obeys them. They can only stand in strings.
fn escaped(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_control() { shown.push_str(&format!("\\u{:04x}", u32::from(c))) } else { shown.push(c) }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::super::plain::tests::{Page, phase, progress};
    use super::*;
    use crate::event::PhaseState;
    use crate::model::finding::Finding;

    #[test]
    fn every_line_is_an_object_of_the_contract() {
        let page = Page::default();
        let sink = JsonLines::new(Box::new(page.clone()));
        sink.emit(&phase("copy-live", PhaseState::Started, "a\u{9b}2J\u{7f}\n"));
        sink.emit(&progress(1));
        sink.emit(&Event::Finding { ctid: "101".into(), finding: Finding::info("x", "y") });
        sink.emit(&Event::Done { ctid: "101".into(), outcome: "migrated".into(), detail: String::new() });
        let text = page.text();
        assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
        let events: Vec<serde_json::Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        let kinds: Vec<&str> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["phase", "progress", "finding", "done"]);
        assert!(events.iter().all(|e| e["ctid"] == "101"));
        assert_eq!(events[0]["detail"], "a\u{9b}2J\u{7f}\n");
        assert_eq!(events[2]["finding"]["severity"], "info");
    }

    #[test]
    fn progress_is_thinned_per_phase() {
        let page = Page::default();
        let sink = JsonLines::new(Box::new(page.clone())).every(Duration::from_secs(3600));
        for bytes in 0..100 {
            sink.emit(&progress(bytes));
        }
        assert_eq!(page.text().lines().count(), 1);
        let sink = JsonLines::new(Box::new(page.clone())).every(Duration::ZERO);
        sink.emit(&progress(1));
        sink.emit(&progress(2));
        assert_eq!(page.text().lines().count(), 3);
    }
}
