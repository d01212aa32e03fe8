//! The init that will run as process 1.

use super::Eye;
use crate::model::guest::{Family, Init};
use crate::rootfs::Look;
use std::path::Path;

/// An init program is at most a few MiB; its strings are what is looked for.
const PROGRAM_LIMIT: u64 = 8 * 1024 * 1024;

const SYSTEMD: [&str; 2] = ["usr/lib/systemd/systemd", "lib/systemd/systemd"];

/// OpenRC before 0.12 has no program of its name; its functions and its version file tell it from baselayout 1, whose
/// /sbin/rc and /sbin/runscript have the same names.
const OPENRC: [&str; 9] = [
    "sbin/openrc",
    "usr/sbin/openrc",
    "usr/bin/openrc",
    "sbin/openrc-run",
    "usr/sbin/openrc-run",
    "lib/rc/sh/functions.sh",
    "lib64/rc/sh/functions.sh",
    "libexec/rc/sh/functions.sh",
    "usr/libexec/rc/sh/functions.sh",
];

pub(super) fn find(eye: &mut Eye<'_>, family: Family) -> Init {
    let openrc = OPENRC.iter().any(|p| eye.is_file(p));
    match by_program(eye) {
        Some(Init::Sysvinit | Init::Busybox) if openrc => return Init::Openrc,
        Some(init) => return init,
        None => {}
    }
    if openrc {
        return Init::Openrc;
    }
    by_files(eye, family)
}

/// Follows /sbin/init inside the root: what it is called tells more than what is installed beside it.
fn by_program(eye: &mut Eye<'_>) -> Option<Init> {
    let program = match eye.rootfs.canonical(Path::new("sbin/init"), true) {
        Ok(path) => path,
        Err(error) => {
            eye.complain("sbin/init", &error.chain().join(": "));
            return None;
        }
    };
    // A link into a part of the tree that is not there (a minimal copy) still says what was meant.
    match program.file_name().and_then(|n| n.to_str()).unwrap_or_default() {
        "systemd" => return Some(Init::Systemd),
        "upstart" => return Some(Init::Upstart),
        "openrc-init" => return Some(Init::Openrc),
        "busybox" => return Some(Init::Busybox),
        "sysvinit" => return Some(Init::Sysvinit),
        _ => {}
    }
    let bytes = eye.rootfs.read_start(&program, PROGRAM_LIMIT).ok().flatten()?;
    if !bytes.starts_with(b"\x7fELF") {
        return None;
    }
    let has = |text: &[u8]| bytes.windows(text.len()).any(|w| w == text);
    if has(b"upstart") {
        Some(Init::Upstart)
    } else if has(b"/etc/inittab") && !has(b"BusyBox") {
        Some(Init::Sysvinit)
    } else if has(b"BusyBox") {
        Some(Init::Busybox)
    } else {
        None
    }
}

/// Tells by configuration when the program says nothing (a script, a stripped copy, none at all).
fn by_files(eye: &mut Eye<'_>, family: Family) -> Init {
    let systemd = SYSTEMD.iter().any(|p| eye.is_file(p));
    // event.d is the directory of upstart 0.3 (Ubuntu 8.04, Fedora 9), init that of later ones.
    let jobs = eye.any("etc/init/*.conf") || eye.any("etc/event.d/*");
    let initctl = eye.is_file("sbin/initctl");
    let inittab = eye.text("etc/inittab");
    // Debian 7 and 8 ship upstart jobs beside the inittab of their System V init; Red Hat 6 has an inittab that says
    // nothing but the run level.
    let sysinit = inittab.as_deref().is_some_and(|t| t.lines().any(|l| l.split(':').nth(2) == Some("sysinit")));
    match () {
        () if sysinit && !(initctl && jobs) => Init::Sysvinit,
        () if jobs && (initctl || !systemd) => Init::Upstart,
        () if inittab.is_some() && !systemd => Init::Sysvinit,
        () if systemd => Init::Systemd,
        () if family == Family::Slackware => Init::Sysvinit,
        () => Init::Unknown,
    }
}

/// Returns systemd's major version: the name of its private library tells it, before 230 the program's own text.
pub(super) fn systemd_version(eye: &Eye<'_>) -> Option<u32> {
    for pattern in [
        "usr/lib/systemd/libsystemd-shared-*.so",
        "lib/systemd/libsystemd-shared-*.so",
        "usr/lib/*/systemd/libsystemd-shared-*.so",
        "usr/lib64/systemd/libsystemd-shared-*.so",
    ] {
        for path in eye.rootfs.glob(pattern).unwrap_or_default() {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            if let Some(number) = leading_number(name.trim_start_matches("libsystemd-shared-").as_bytes()) {
                return Some(number);
            }
        }
    }
    SYSTEMD.iter().find_map(|path| {
        let bytes = eye.rootfs.read_start(Path::new(path), PROGRAM_LIMIT).ok().flatten()?;
        let text = b"systemd ";
        let after = |i: usize| bytes.get(i + text.len()..).and_then(leading_number);
        (0..bytes.len()).filter(|&i| bytes[i..].starts_with(text)).find_map(after)
    })
}

fn leading_number(bytes: &[u8]) -> Option<u32> {
    let digits = bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    (1..=4).contains(&digits).then(|| std::str::from_utf8(&bytes[..digits]).ok()?.parse().ok())?
}
