//! A lock that a directory has: the file `lock` in it.

use crate::error::{Doing, Result};
use rustix::fs::{FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

/// How often it is tried. Whoever only looks has a lock for a moment, and so has a child that another thread started just
/// when we let it go: until it is another program, it holds what we held.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(20);

/// Takes the lock of a directory, which must be there; `None` when somebody else keeps it. It is free when the descriptor is
/// closed.
pub fn take(dir: &Path) -> Result<Option<OwnedFd>> {
    let path = dir.join("lock");
    let doing = || format!("locking {}", path.display());
    let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for attempt in 0..TRIES {
        // Each time anew: whoever held it may have removed it, and a lock on that file is one that nobody else sees.
        let lock = match rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)) {
            Err(Errno::NOENT) if attempt > 0 => break,
            other => other.doing(doing)?,
        };
        if seized(&lock).doing(doing)? {
            return Ok(Some(lock));
        }
        if attempt + 1 < TRIES {
            std::thread::sleep(PAUSE);
        }
    }
    Ok(None)
}

/// Tells whether a file could be locked and is still the one that others find.
fn seized(lock: &OwnedFd) -> Result<bool, Errno> {
    match rustix::fs::flock(lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(rustix::fs::fstat(lock)?.st_nlink > 0),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    #[test]
    fn a_lock_that_is_held_for_a_moment_is_waited_for_and_one_that_is_kept_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let kept = take(dir.path()).unwrap().unwrap();
        let begun = Instant::now();
        assert!(take(dir.path()).unwrap().is_none());
        assert!(begun.elapsed() >= PAUSE);
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(PAUSE);
                drop(kept);
            });
            // However late that thread is: a lock that is let go is got.
            let got = (0..100).find_map(|_| take(dir.path()).unwrap());
            assert!(got.is_some());
        });
    }

    #[test]
    fn a_lock_that_its_holder_removes_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        // In the way of a run that leaves nothing: the file goes before its descriptor.
        let kept = take(dir.path()).unwrap().unwrap();
        let waiting = OwnedFd::from(std::fs::File::open(dir.path().join("lock")).unwrap());
        assert!(!seized(&waiting).unwrap());
        std::fs::remove_file(dir.path().join("lock")).unwrap();
        let next = take(dir.path()).unwrap().unwrap();
        drop(kept);
        assert!(!seized(&waiting).unwrap());
        drop(next);
        assert!(take(dir.path()).unwrap().is_some());
    }
}
