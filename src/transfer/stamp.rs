//! What tells a target that was left alone from one that somebody else worked on, in a few system calls.

use super::Job;
use crate::error::Result;
use rustix::fs::{AtFlags, StatxFlags};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// Returns the stamp of a job's target: inode, birth and last change of its top; on a file system of its own also how
/// many inodes are free; and the excludes, below which a pass does not look.
pub(super) fn of(job: &Job<'_>) -> Result<Vec<u8>> {
    let top = job.target.as_fd();
    let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    let status = rustix::fs::statx(top, "", AtFlags::EMPTY_PATH, flags)?;
    let mut stamp = status.stx_ino.to_le_bytes().to_vec();
    for time in [status.stx_btime, status.stx_ctime] {
        stamp.extend_from_slice(&time.tv_sec.to_le_bytes());
        stamp.extend_from_slice(&time.tv_nsec.to_le_bytes());
    }
    if job.target.is_file_system()? {
        stamp.extend_from_slice(&rustix::fs::fstatvfs(top)?.f_ffree.to_le_bytes());
    }
    for path in &job.excludes {
        stamp.push(0);
        stamp.extend_from_slice(path.as_os_str().as_bytes());
    }
    Ok(stamp)
}
