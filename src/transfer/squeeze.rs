//! Whether what travels is compressed: found out by trying, where nobody said it.

use super::wire::Tally;
use crate::model::settings::Compress;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a way of sending is measured.
const TRIAL: Duration = Duration::from_secs(3);
/// Bytes a second and stream from which on compressing costs more than it brings.
const FAST: f64 = 60e6;
/// Part of the time that a stream waits for the wire when the wire is what holds it up.
const WAITING: f64 = 0.7;
/// Compressing has to bring at least this.
const GAIN: f64 = 1.1;

#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    Plain,
    /// Compressed, after so many bytes a second without.
    Trial(f64),
    Settled(Compress),
}

/// The way that all streams of a pass send.
#[derive(Debug)]
pub(super) struct Squeeze(Mutex<Phase>);

impl Squeeze {
    pub(super) fn new(asked: Compress) -> Squeeze {
        Squeeze(Mutex::new(if asked == Compress::Auto { Phase::Plain } else { Phase::Settled(asked) }))
    }

    /// Returns how a stream that begins now sends.
    pub(super) fn now(&self) -> Compress {
        match *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Plain => Compress::None,
            Phase::Trial(_) => Compress::Auto,
            Phase::Settled(way) => way,
        }
    }

    /// The source has no compressor.
    pub(super) fn give_up(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Phase::Settled(Compress::None);
    }

    /// Looks at a stream and tells whether it is to end and what did not come to be sent in another way.
    pub(super) fn look(&self, gauge: &Gauge<'_>) -> bool {
        if let Some(seen) = gauge.read() {
            let mut phase = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *phase = after(*phase, gauge.way, &seen);
        }
        self.now() != gauge.way
    }
}

fn after(phase: Phase, way: Compress, seen: &Reading) -> Phase {
    match (phase, way) {
        (Phase::Plain, Compress::None) if seen.wire < FAST && seen.waiting > WAITING => Phase::Trial(seen.content),
        (Phase::Plain, Compress::None) => Phase::Settled(Compress::None),
        (Phase::Trial(plain), Compress::Auto) if seen.content > plain * GAIN => Phase::Settled(Compress::Auto),
        (Phase::Trial(_), Compress::Auto) => Phase::Settled(Compress::None),
        (other, _) => other,
    }
}

/// What was measured, in bytes a second.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wire: f64,
    content: f64,
    waiting: f64,
}

/// Measures one stream.
pub(super) struct Gauge<'a> {
    way: Compress,
    tally: &'a Tally,
    begun: Instant,
    content: u64,
}

impl<'a> Gauge<'a> {
    /// Begins when the first bytes are there.
    pub(super) fn new(way: Compress, tally: &'a Tally) -> Gauge<'a> {
        Gauge { way, tally, begun: Instant::now(), content: 0 }
    }

    /// Counts content and tells whether enough time is over to look.
    pub(super) fn moved(&mut self, bytes: u64) -> bool {
        self.content += bytes;
        self.begun.elapsed() >= TRIAL
    }

    fn read(&self) -> Option<Reading> {
        let time = self.begun.elapsed().as_secs_f64();
        let per_second = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap_or(u32::MAX)) * 1024.0 / time;
        (time >= TRIAL.as_secs_f64()).then(|| Reading {
            wire: per_second(self.tally.bytes()),
            content: per_second(self.content),
            waiting: self.tally.waited().as_secs_f64() / time,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(wire: f64, content: f64, waiting: f64) -> Reading {
        Reading { wire, content, waiting }
    }

    #[test]
    fn a_slow_link_is_tried_compressed_and_kept_so_when_it_helps() {
        let slow = seen(10e6, 10e6, 0.95);
        let trial = after(Phase::Plain, Compress::None, &slow);
        assert_eq!(trial, Phase::Trial(10e6));
        // A stream that still sends plainly says nothing about the trial.
        assert_eq!(after(trial, Compress::None, &slow), trial);
        assert_eq!(after(trial, Compress::Auto, &seen(10e6, 25e6, 0.9)), Phase::Settled(Compress::Auto));
        assert_eq!(after(trial, Compress::Auto, &seen(9e6, 10e6, 0.9)), Phase::Settled(Compress::None));
    }

    #[test]
    fn a_fast_link_and_a_busy_target_are_left_alone() {
        for fine in [seen(110e6, 110e6, 0.9), seen(20e6, 20e6, 0.3)] {
            assert_eq!(after(Phase::Plain, Compress::None, &fine), Phase::Settled(Compress::None));
        }
        assert_eq!(Squeeze::new(Compress::Gzip).now(), Compress::Gzip);
    }

    #[test]
    fn a_stream_is_told_to_change_when_the_others_did() {
        let (squeeze, tally) = (Squeeze::new(Compress::Auto), Tally::default());
        let plain = Gauge::new(Compress::None, &tally);
        assert!(!squeeze.look(&plain));
        *squeeze.0.lock().unwrap() = Phase::Settled(Compress::Auto);
        assert!(squeeze.look(&plain));
        squeeze.give_up();
        assert!(!squeeze.look(&plain));
    }
}
