//! A disk as a file: the small part of the kernel's FUSE protocol (linux/fuse.h, 7.31) that one regular file needs. The file
//! is the mount itself, so there are no names and no directories.

use super::overlay::Overlay;
use crate::error::{Doing, Error, Result};
use rustix::mount::{MountFlags, mount};
use std::ffi::CString;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread::JoinHandle;

const IN_HEADER: usize = 40;
const MOST_WRITE: u32 = 128 << 10;
/// A request never has more than the largest write and its two headers.
const BUFFER: usize = (MOST_WRITE as usize) + 4096;

const EIO: i32 = 5;
const ENOSPC: i32 = 28;
const ENOSYS: i32 = 38;

/// Mounts `disk` on the regular file `point` and answers the kernel in a thread until it is unmounted.
pub(super) fn serve(disk: Overlay, point: &Path) -> Result<JoinHandle<()>> {
    let doing = || format!("mounting the image's disk at {}", point.display());
    let device = File::options().read(true).write(true).open("/dev/fuse").map_err(|e| {
        Error::new("opening /dev/fuse")
            .because(Error::from(e))
            .hint("the kernel of this host needs FUSE: modprobe fuse")
    });
    let device = device.doing(doing)?;
    let options = format!("fd={},rootmode=100600,user_id=0,group_id=0", device.as_raw_fd());
    let options = CString::new(options).map_err(|e| Error::new(e.to_string())).doing(doing)?;
    let flags = MountFlags::NODEV | MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("ovz2lxc", point, "fuse.ovz2lxc", flags, Some(options.as_c_str())).doing(doing)?;
    std::thread::Builder::new().name("ploop".into()).spawn(move || answer_all(device, disk)).doing(doing)
}

fn answer_all(mut device: File, mut disk: Overlay) {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = match device.read(&mut buffer) {
            Ok(length) if length >= IN_HEADER => length,
            // A request that was taken back, or a signal: the next one.
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted | ErrorKind::NotFound | ErrorKind::WouldBlock) => {
                continue;
            }
            _ => return, // unmounted
        };
        let request = &buffer[..length];
        let Some((error, body)) = answer(request, &mut disk) else { continue };
        let mut reply = Vec::with_capacity(16 + body.len());
        let size = u32::try_from(16 + body.len()).unwrap_or(16);
        reply.extend(size.to_le_bytes());
        reply.extend((-error).to_le_bytes());
        reply.extend(&request[8..16]);
        reply.extend(body);
        // One that nobody waits for any more is refused; the next read says whether that was all.
        let _ = device.write(&reply);
    }
}

/// Returns error number and body of a reply; `None` for a request that gets none. Every number is little-endian here: the
/// protocol has the machine's order, and OpenVZ and its targets are x86.
fn answer(request: &[u8], disk: &mut Overlay) -> Option<(i32, Vec<u8>)> {
    let (opcode, body) = (word(request, 4), &request[IN_HEADER..]);
    let ok = |body: Vec<u8>| Some((0, body));
    match opcode {
        2 | 36 | 42 => None, // FORGET, INTERRUPT, BATCH_FORGET
        26 => ok(init(word(body, 8))),
        3 => ok(attributes(disk.length)),
        14 => ok(vec![0; 16]),                    // OPEN
        18 | 20 | 25 | 34 | 38 => ok(Vec::new()), // RELEASE, FSYNC, FLUSH, ACCESS, DESTROY
        17 => ok(statistics(disk.length)),
        15 => Some(match disk.read(long(body, 8), usize::try_from(word(body, 16)).unwrap_or(0)) {
            Ok(bytes) => (0, bytes),
            Err(error) => (number(&error), Vec::new()),
        }),
        16 => {
            let size = word(body, 16);
            let data = body.get(40..40 + usize::try_from(size).unwrap_or(usize::MAX - 40));
            Some(match data.map(|data| disk.write(long(body, 8), data)) {
                Some(Ok(())) => (0, [size, 0].iter().flat_map(|n| n.to_le_bytes()).collect()),
                Some(Err(error)) => (number(&error), Vec::new()),
                None => (EIO, Vec::new()),
            })
        }
        _ => Some((ENOSYS, Vec::new())),
    }
}

fn number(error: &std::io::Error) -> i32 {
    if error.kind() == ErrorKind::StorageFull { ENOSPC } else { EIO }
}

fn init(read_ahead: u32) -> Vec<u8> {
    const ASYNC_READ: u32 = 1;
    const BIG_WRITES: u32 = 1 << 5;
    let mut body = Vec::new();
    for number in [7, 31, read_ahead, ASYNC_READ | BIG_WRITES, 0, MOST_WRITE, 1] {
        body.extend(u32::to_le_bytes(number));
    }
    body.resize(64, 0);
    body
}

fn attributes(size: u64) -> Vec<u8> {
    const FILE: u32 = 0o100_600;
    // A day that the kernel need not ask again.
    let mut body = Vec::new();
    for number in [86_400, 0, 1, size, size / 512, 0, 0, 0] {
        body.extend(u64::to_le_bytes(number));
    }
    for number in [0, 0, 0, FILE, 1, 0, 0, 0, 4096, 0] {
        body.extend(u32::to_le_bytes(number));
    }
    body
}

fn statistics(size: u64) -> Vec<u8> {
    let mut body = Vec::new();
    for number in [size / 4096, 0, 0, 1, 0] {
        body.extend(u64::to_le_bytes(number));
    }
    for number in [4096, 255, 4096] {
        body.extend(u32::to_le_bytes(number));
    }
    body.resize(80, 0);
    body
}

fn word(bytes: &[u8], at: usize) -> u32 {
    bytes.get(at..at + 4).and_then(|b| b.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn long(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes)
}
