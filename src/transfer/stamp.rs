//! What tells a target that was left alone from one that somebody else worked on, in a few system calls.

use super::Job;
use crate::error::Result;
use crate::rootfs::Rootfs;
use rustix::fs::{AtFlags, Statx, StatxFlags, StatxTimestamp};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;

/// Returns what tells a target from another one at the same place: inode and birth of its top.
pub(super) fn identity(target: &Rootfs) -> Result<Vec<u8>> {
    let status = look(target)?;
    Ok([status.stx_ino.to_le_bytes().as_slice(), &time(status.stx_btime)].concat())
}

/// Returns the stamp of a job's target: what it is, and the last change of its top; on a file system of its own also how
/// many inodes are free; and the excludes, below which a pass does not look.
pub(super) fn of(job: &Job<'_>) -> Result<Vec<u8>> {
    let mut stamp = identity(job.target)?;
    stamp.extend(time(look(job.target)?.stx_ctime));
    if job.target.is_file_system()? {
        stamp.extend_from_slice(&rustix::fs::fstatvfs(job.target.as_fd())?.f_ffree.to_le_bytes());
    }
    for path in &job.excludes {
        stamp.push(0);
        stamp.extend_from_slice(path.as_os_str().as_bytes());
    }
    Ok(stamp)
}

fn look(target: &Rootfs) -> Result<Statx> {
    let flags = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
    Ok(rustix::fs::statx(target.as_fd(), "", AtFlags::EMPTY_PATH, flags)?)
}

fn time(time: StatxTimestamp) -> Vec<u8> {
    [time.tv_sec.to_le_bytes().as_slice(), &time.tv_nsec.to_le_bytes()].concat()
}
