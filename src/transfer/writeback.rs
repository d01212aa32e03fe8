//! Writes what arrived to the target's disk while more comes, so that little of it is left to wait for at the end: a kernel
//! with much memory would begin only when a tenth of that is full.

use super::receive::Copy;
use crate::error::{Doing, Result};
use crate::rootfs::Rootfs;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// How much arrives before it is written, in bytes of content.
const STEP: u64 = 64 << 20;
/// How often is looked.
const GLANCE: Duration = Duration::from_millis(50);

/// Waits until everything is on the target's disk. Errors of delayed writes show up here, once, or nowhere.
pub(super) fn write_to_disk(target: &Rootfs) -> Result<()> {
    rustix::fs::syncfs(target).doing(|| format!("writing {} to its disk", target.path().display()))
}

impl Copy<'_> {
    /// Writes until the other end of `over` is gone.
    pub(super) fn write_back(&self, over: &Receiver<()>) -> Result<()> {
        let mut written = 0;
        while over.recv_timeout(GLANCE) == Err(RecvTimeoutError::Timeout) {
            let bytes = self.meter().bytes;
            if bytes - written >= STEP && !self.job.cancel.is_set() {
                written = bytes;
                write_to_disk(self.job.target)?;
            }
        }
        Ok(())
    }
}
