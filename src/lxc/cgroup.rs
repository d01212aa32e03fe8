//! Limits in the words of control groups version 1 and 2.
//!
//! A line that the kernel refuses makes the start fail, so whatever the target lacks (swap accounting, a CPU, a NUMA
//! node) is left out and becomes a finding.

use super::config::Abilities;
use super::render::Writer;
use crate::model::finding::Finding;
use crate::model::limits::Limits;
use std::fmt::Display;

/// Period of the CPU quota in microseconds, the kernel's default.
const PERIOD_US: u64 = 100_000;
/// The least quota that the kernel takes, in microseconds.
const QUOTA_MIN_US: u64 = 1000;
/// CPUUNITS of a container that sets none (vzctl `DEF_CPUUNITS`).
const CPU_UNITS_DEFAULT: u64 = 1000;
/// The most tasks that the kernel can have (`PID_MAX_LIMIT`); it refuses a larger limit.
const PIDS_MAX: u64 = 1 << 22;

/// Lines of one family: what follows `lxc.cgroup.` or `lxc.cgroup2.`, and the value.
type Lines = Vec<(&'static str, String)>;

/// What was checked against the target.
struct Masks<'a> {
    cpus: Option<&'a str>,
    nodes: Option<&'a str>,
}

/// Writes the limits.
pub(super) fn limits(limits: &Limits, w: &mut Writer, host: &Abilities) {
    let cpus = mask(limits.cpu_mask.as_deref(), &CPUS, w, host.cpus);
    let nodes = mask(limits.node_mask.as_deref(), &NODES, w, host.numa_nodes);
    let masks = Masks { cpus, nodes };
    let v1 = version_1(limits, &masks, host);
    let v2 = version_2(limits, &masks, host);
    let (writes_v1, writes_v2) = (w.dialect.writes_v1(), w.dialect.writes_v2());
    family("limits, control groups version 1", "lxc.cgroup", v1.as_slice(), writes_v1, w);
    family("limits, control groups version 2", "lxc.cgroup2", v2.as_slice(), writes_v2, w);
    if !writes_v1 && !writes_v2 && !v2.is_empty() {
        unwritable(w);
    }
    findings(limits, w, host);
}

fn family(comment: &str, prefix: &str, lines: &[(&'static str, String)], writes: bool, w: &mut Writer) {
    if lines.is_empty() || !writes {
        return;
    }
    w.section(comment);
    for (key, value) in lines {
        w.set(&format!("{prefix}.{key}"), value);
    }
}

/// A limit of zero is a typing error or an empty value, and would kill the container at its start.
fn positive(limit: Option<u64>) -> Option<u64> {
    limit.filter(|n| *n > 0)
}

fn pids(limits: &Limits) -> Option<u64> {
    positive(limits.pids).map(|n| n.min(PIDS_MAX))
}

fn push(lines: &mut Lines, key: &'static str, value: Option<impl Display>) {
    lines.extend(value.map(|v| (key, v.to_string())));
}

fn version_1(limits: &Limits, masks: &Masks<'_>, host: &Abilities) -> Lines {
    let mut lines = Lines::new();
    let memory = positive(limits.memory_bytes);
    push(&mut lines, "memory.limit_in_bytes", memory);
    // Memory and swap together; the kernel refuses it before the memory limit is there.
    let swap = memory.zip(limits.swap_bytes).filter(|_| host.swap_accounting);
    push(&mut lines, "memory.memsw.limit_in_bytes", swap.map(|(memory, swap)| memory.saturating_add(swap)));
    // Virtuozzo's own conversion (libvzctl cgroup.c:845): 1000 units are the kernel's default of 1024 shares.
    let shares = limits.cpu_units.map(|u| (u.saturating_mul(1024) / CPU_UNITS_DEFAULT).clamp(2, 262_144));
    push(&mut lines, "cpu.shares", shares);
    push(&mut lines, "cpu.cfs_period_us", quota(limits).and(Some(PERIOD_US)));
    push(&mut lines, "cpu.cfs_quota_us", quota(limits));
    push(&mut lines, "cpuset.cpus", masks.cpus);
    push(&mut lines, "cpuset.mems", masks.nodes);
    push(&mut lines, "pids.max", pids(limits).filter(|_| host.pids));
    lines
}

fn version_2(limits: &Limits, masks: &Masks<'_>, host: &Abilities) -> Lines {
    let mut lines = Lines::new();
    push(&mut lines, "memory.max", positive(limits.memory_bytes));
    // Zero is a limit here: no swap at all.
    push(&mut lines, "memory.swap.max", limits.swap_bytes.filter(|_| host.swap_accounting));
    push(&mut lines, "memory.low", positive(limits.memory_low_bytes));
    push(&mut lines, "cpu.weight", limits.cpu_units.map(|u| (u / 10).clamp(1, 10_000)));
    push(&mut lines, "cpu.max", quota(limits).map(|quota| format!("{quota} {PERIOD_US}")));
    push(&mut lines, "cpuset.cpus", masks.cpus);
    push(&mut lines, "cpuset.mems", masks.nodes);
    push(&mut lines, "pids.max", pids(limits).filter(|_| host.pids));
    lines
}

fn unwritable(w: &mut Writer) {
    let version = w.dialect.version;
    w.find(
        Finding::overridable("lxc-cgroup2-unsupported", "the limits cannot be written for this LXC")
            .detail(format!("LXC {version} has no keys for control groups version 2, which came with 3.0"))
            .remedy("install LXC 3.0 or later, or boot the host with control groups version 1")
            .subject("lxc.cgroup2"),
    );
}

fn findings(limits: &Limits, w: &mut Writer, host: &Abilities) {
    swap(limits, w, host.swap_accounting);
    if let (Some(bytes), false) = (positive(limits.memory_low_bytes), w.dialect.writes_v2()) {
        w.find(
            Finding::warning("memory-guarantee-not-converted", "no memory is kept for the container")
                .detail(format!("VMGUARPAGES gives {bytes} bytes; control groups version 1 have no such guarantee"))
                .remedy("boot the target with control groups version 2, or leave memory free on it")
                .subject("VMGUARPAGES"),
        );
    }
    if let (Some(pids), false) = (pids(limits), host.pids) {
        w.find(
            Finding::warning("process-limit-not-on-target", "the number of the container's processes is not limited")
                .detail(format!("NUMPROC gives {pids}; the target's kernel has no control group that counts processes"))
                .remedy("boot the target with Linux 4.3 or later, which has the pids controller")
                .subject("NUMPROC"),
        );
    }
    let all = [
        ("PHYSPAGES", "memory", limits.memory_bytes),
        ("NUMPROC", "processes", limits.pids),
        ("NUMPTY", "pseudo terminals", limits.ptys),
        ("VMGUARPAGES", "memory guarantee", limits.memory_low_bytes),
        ("LOCKEDPAGES", "locked memory", limits.memlock_bytes),
        ("SHMPAGES", "shared memory", limits.shared_memory_pages),
        ("NUMFILE", "open files", limits.open_files),
    ];
    for (key, what, _) in all.into_iter().filter(|(.., limit)| *limit == Some(0)) {
        w.find(
            Finding::warning("limit-zero", format!("the limit of {what} is zero and was left out"))
                .detail("a container with such a limit cannot start")
                .remedy("set the limit that was meant, in the VE configuration or in the LXC configuration")
                .subject(key),
        );
    }
}

fn swap(limits: &Limits, w: &mut Writer, swap_accounting: bool) {
    let without_memory = positive(limits.memory_bytes).is_none() && w.dialect.writes_v1();
    let why = match limits.swap_bytes {
        Some(_) if !swap_accounting => "the target's kernel does not count swap",
        Some(_) if without_memory => "control groups version 1 limit memory and swap together, and memory has no limit",
        _ => return,
    };
    w.find(
        Finding::warning("swap-not-limited", "the container's swap is not limited")
            .detail(format!("SWAPPAGES is set, but {why}"))
            .remedy("boot the target with swapaccount=1, or set PHYSPAGES")
            .subject("SWAPPAGES"),
    );
}

/// Returns the CPU quota in microseconds a period: the smaller of CPULIMIT and CPUS, as vzctl computes it (hooks_ct.c:617).
fn quota(limits: &Limits) -> Option<u64> {
    let virtual_cpus = positive(limits.cpus).map(|n| n.saturating_mul(100));
    let percent = [positive(limits.cpu_quota_percent), virtual_cpus].into_iter().flatten().min()?;
    // The kernel refuses quotas beyond 2^44 us; nobody has so many CPUs.
    Some(percent.saturating_mul(PERIOD_US / 100).clamp(QUOTA_MIN_US, 1 << 43))
}

/// What a list is about: CPUs, or the NUMA nodes whose memory the container may use.
struct Kind {
    key: &'static str,
    one: &'static str,
    line: &'static str,
    finding: fn() -> Finding,
}

const CPUS: Kind = Kind {
    key: "CPUMASK",
    one: "CPU",
    line: "cpuset.cpus",
    finding: || Finding::warning("cpu-mask-not-on-target", "the container is not bound to CPUs"),
};
const NODES: Kind = Kind {
    key: "NODEMASK",
    one: "node",
    line: "cpuset.mems",
    finding: || Finding::warning("node-mask-not-on-target", "the container's memory is not bound to NUMA nodes"),
};

/// Returns the list if the target has everything in it: what is missing makes the start fail with ERANGE.
fn mask<'a>(list: Option<&'a str>, kind: &Kind, w: &mut Writer, host: u32) -> Option<&'a str> {
    let list = list?;
    let Some(trouble) = trouble(list, kind.one, host) else { return Some(list) };
    let Kind { key, one, line, .. } = kind;
    w.find(
        (kind.finding)()
            .detail(format!("{key} was left out: {trouble}"))
            .remedy(format!("choose {one}s of the target and add lxc.cgroup.{line} or lxc.cgroup2.{line}"))
            .subject(*key),
    );
    None
}

/// Returns why a list cannot be used on a host with that many.
fn trouble(mask: &str, what: &str, host: u32) -> Option<String> {
    match highest(mask) {
        None => Some(format!("\"{}\" is not a list of {what}s", mask.escape_debug())),
        Some(last) if last >= host => {
            Some(format!("it names {what} {last}; the target has {what}s 0 to {}", host.max(1) - 1))
        }
        Some(_) => None,
    }
}

/// Returns the highest number of a list like `0-2,7`; `None` when it is not one.
fn highest(mask: &str) -> Option<u32> {
    let mut highest = None;
    for range in mask.split(',') {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let number = |t: &str| if t.bytes().all(|b| b.is_ascii_digit()) { t.parse::<u32>().ok() } else { None };
        let (from, to) = (number(from)?, number(to)?);
        if from > to {
            return None;
        }
        highest = highest.max(Some(to));
    }
    highest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        for (mask, last) in [("0", Some(0)), ("0-2,7", Some(7)), ("3,1", Some(3))] {
            assert_eq!(highest(mask), last, "{mask}");
        }
        for bad in ["", "all", "2-1", "0-", "-1", "0,,1", "+1", "0 1", "99999999999"] {
            assert_eq!(highest(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_smaller_of_cpulimit_and_cpus_counts() {
        let with = |percent, cpus| quota(&Limits { cpu_quota_percent: percent, cpus, ..Limits::default() });
        assert_eq!(with(Some(50), None), Some(50_000));
        assert_eq!(with(None, Some(2)), Some(200_000));
        assert_eq!(with(Some(350), Some(2)), Some(200_000));
        assert_eq!(with(Some(150), Some(2)), Some(150_000));
        assert_eq!(with(Some(0), None), None);
        assert_eq!(with(None, None), None);
        assert_eq!(with(Some(u64::MAX), None), Some(1 << 43));
    }
}
