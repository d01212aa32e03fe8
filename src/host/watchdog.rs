//! The time limit of a running command.

use super::command::Command;
use crate::error::{Error, Result};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Something that can be ended from another thread.
pub(super) trait Kill: Send + Sync {
    /// Ends it; does nothing the second time.
    fn kill(&self);
}

#[derive(Default)]
struct Bell {
    over: Mutex<bool>,
    rung: Condvar,
    fired: AtomicBool,
}

/// Kills a command when its time is up. Dropping it calls the watch off.
pub(super) struct Watchdog {
    bell: Arc<Bell>,
    limit: Duration,
}

impl Watchdog {
    /// Starts to watch.
    pub(super) fn start(limit: Duration, victim: Arc<dyn Kill>) -> Watchdog {
        let bell = Arc::new(Bell::default());
        let watched = Arc::clone(&bell);
        thread::spawn(move || {
            let over = watched.over.lock().unwrap_or_else(PoisonError::into_inner);
            let (over, waited) =
                watched.rung.wait_timeout_while(over, limit, |over| !*over).unwrap_or_else(PoisonError::into_inner);
            if waited.timed_out() && !*over {
                watched.fired.store(true, Ordering::SeqCst);
                drop(over);
                victim.kill();
            }
        });
        Watchdog { bell, limit }
    }

    /// Calls the watch off; fails when the time was up.
    pub(super) fn end(self, command: &Command, host: &str) -> Result<()> {
        if !self.bell.fired.load(Ordering::SeqCst) {
            return Ok(());
        }
        Err(Error::new(format!("running on {host}: {command}"))
            .because(Error::new(format!("killed: it did not end within {:.1} s", self.limit.as_secs_f64()))))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        *self.bell.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.rung.notify_all();
    }
}
