//! Limits of each process, and of terminals.

use super::render::Writer;
use crate::model::finding::Finding;
use crate::model::limits::Limits;

/// Pseudo terminals of a container that sets no limit, as LXC's shared configuration has it.
const PTYS: u64 = 1024;
/// More than the kernel's devpts takes (`NR_UNIX98_PTY_MAX`, 2^20, of which LXC uses some for the consoles) makes the
/// start fail.
const PTYS_MAX: u64 = 1_000_000;
/// What `fs.nr_open` is everywhere unless somebody raised it; setrlimit refuses more, and the start fails.
const OPEN_FILES_MAX: u64 = 1 << 20;

/// Returns how many pseudo terminals there may be.
pub(super) fn ptys(limits: &Limits) -> u64 {
    limits.ptys.filter(|n| *n > 0).map_or(PTYS, |n| n.min(PTYS_MAX))
}

/// Writes the resource limits (setrlimit) that the container's first process has and hands down.
pub(super) fn limits(limits: &Limits, w: &mut Writer) {
    let memlock = ("LOCKEDPAGES", "memlock", limits.memlock_bytes);
    let nofile = ("NUMFILE", "nofile", limits.open_files.map(|n| n.min(OPEN_FILES_MAX)));
    let set = [memlock, nofile].into_iter().filter_map(|(key, name, n)| n.filter(|n| *n > 0).map(|n| (key, name, n)));
    let set: Vec<_> = set.collect();
    if set.is_empty() {
        return;
    }
    if w.dialect.at_least(2, 1) {
        w.section("limits of each process");
        for (_, name, n) in set {
            w.set(&format!("lxc.prlimit.{name}"), n);
        }
        return;
    }
    for (key, name, n) in set {
        w.find(
            Finding::warning(
                "process-limit-not-converted",
                format!("the container's processes have no limit of {name}"),
            )
            .detail(format!("{key} gives {n}; LXC {} cannot set it, which came with 2.1", w.dialect.version))
            .remedy("install LXC 2.1 or later, or set it in the container with limits.conf")
            .subject(key),
        );
    }
}
