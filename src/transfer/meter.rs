//! Counts what moves and says so, a few times a second.

use super::Job;
use crate::event::Event;
use std::time::{Duration, Instant};

/// At most five events a second.
const PAUSE: Duration = Duration::from_millis(200);

/// The progress of one pass.
pub(super) struct Meter<'a> {
    job: &'a Job<'a>,
    last: Option<Instant>,
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) total: Option<(u64, u64)>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(job: &'a Job<'a>) -> Meter<'a> {
        Meter { job, last: None, files: 0, bytes: 0, total: job.expected }
    }

    /// Says how far it is, unless it just did.
    pub(super) fn tick(&mut self) {
        if self.last.is_none_or(|last| last.elapsed() >= PAUSE) {
            self.say();
        }
    }

    /// Says how far it is.
    pub(super) fn say(&mut self) {
        self.last = Some(Instant::now());
        self.job.events.emit(&Event::Progress {
            ctid: self.job.ctid.clone(),
            phase: self.job.phase.clone(),
            files: self.files,
            bytes: self.bytes,
            total_files: self.total.map(|t| t.0),
            total_bytes: self.total.map(|t| t.1),
        });
    }
}
