//! Limits and devices, in the words of control groups version 1 and 2.
//!
//! A line that the kernel refuses makes the start fail, so whatever the target lacks (swap accounting, a CPU, the
//! weight file of an I/O scheduler) is left out and becomes a finding.

use super::config::ContainerConfig;
use super::render::Writer;
use super::validate;
use crate::error::{Error, Result};
use crate::model::finding::Finding;
use crate::model::limits::Limits;
use crate::model::ve::DeviceRule;
use std::path::{Component, Path};

/// Period of the CPU quota in microseconds, the kernel's default.
const PERIOD_US: u64 = 100_000;
/// The least quota that the kernel takes, in microseconds.
const QUOTA_MIN_US: u64 = 1000;
/// CPUUNITS of a container that sets none (vzctl `DEF_CPUUNITS`).
const CPU_UNITS_DEFAULT: u64 = 1000;
/// I/O priority of a container that sets none.
const IO_PRIORITY_DEFAULT: u64 = 4;

/// Devices that every container may use: memory devices, terminals, pseudo terminals, FUSE.
const DEVICES: &[&str] = &[
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
    "c 10:229 rwm",
];

/// Device nodes whose numbers are the same on every Linux (Documentation/admin-guide/devices.txt).
const NUMBERS: &[(&str, u32, u32)] = &[("net/tun", 10, 200), ("fuse", 10, 229), ("ppp", 108, 0), ("rtc", 10, 135)];

/// Writes the limits.
pub(super) fn limits(limits: &Limits, w: &mut Writer, host_cpus: u32, swap_accounting: bool) {
    let set = [limits.memory_bytes, limits.swap_bytes, limits.pids, limits.cpu_quota_percent, limits.cpu_units];
    if set.iter().all(Option::is_none) && limits.cpus.is_none() && limits.cpu_mask.is_none() {
        io(limits, w);
        return;
    }
    let mask = cpu_mask(limits, w, host_cpus);
    if w.dialect.writes_v1() {
        w.section("limits, control groups version 1");
        memory_v1(limits, w, swap_accounting);
        cpu_v1(limits, mask, w);
        if let Some(pids) = at_least_one(limits.pids) {
            w.set("lxc.cgroup.pids.max", pids);
        }
    }
    if w.dialect.writes_v2() {
        w.section("limits, control groups version 2");
        memory_v2(limits, w, swap_accounting);
        cpu_v2(limits, mask, w);
        if let Some(pids) = at_least_one(limits.pids) {
            w.set("lxc.cgroup2.pids.max", pids);
        }
    }
    unwritable_family(w);
    memory_findings(limits, w, swap_accounting);
    zero("memory", limits.memory_bytes, w);
    zero("processes", limits.pids, w);
    io(limits, w);
}

/// A limit of zero is a typing error or an empty value, and would kill the container at its start.
fn at_least_one(limit: Option<u64>) -> Option<u64> {
    limit.filter(|n| *n > 0)
}

fn zero(what: &str, limit: Option<u64>, w: &mut Writer) {
    if limit == Some(0) {
        w.find(
            Finding::warning("limit-zero", format!("the limit of {what} is zero and was left out"))
                .detail("a container with such a limit cannot start")
                .remedy("set the limit that was meant, in the VE configuration or in the LXC configuration")
                .subject(what),
        );
    }
}

fn unwritable_family(w: &mut Writer) {
    if w.dialect.writes_v2() || w.dialect.writes_v1() {
        return;
    }
    let version = w.dialect.version;
    w.find(
        Finding::overridable("lxc-cgroup2-unsupported", "the limits cannot be written for this LXC")
            .detail(format!("LXC {version} has no keys for control groups version 2, which came with 3.0"))
            .remedy("install LXC 3.0 or later, or boot the host with control groups version 1")
            .subject("lxc.cgroup2"),
    );
}

fn memory_v1(limits: &Limits, w: &mut Writer, swap_accounting: bool) {
    let Some(memory) = at_least_one(limits.memory_bytes) else { return };
    w.set("lxc.cgroup.memory.limit_in_bytes", memory);
    // Memory and swap together; the kernel refuses it before the memory limit is there.
    if let (Some(swap), true) = (limits.swap_bytes, swap_accounting) {
        w.set("lxc.cgroup.memory.memsw.limit_in_bytes", memory.saturating_add(swap));
    }
}

fn memory_v2(limits: &Limits, w: &mut Writer, swap_accounting: bool) {
    if let Some(memory) = at_least_one(limits.memory_bytes) {
        w.set("lxc.cgroup2.memory.max", memory);
    }
    if let (Some(swap), true) = (limits.swap_bytes, swap_accounting) {
        w.set("lxc.cgroup2.memory.swap.max", swap);
    }
}

fn memory_findings(limits: &Limits, w: &mut Writer, swap_accounting: bool) {
    let without_memory = at_least_one(limits.memory_bytes).is_none() && w.dialect.writes_v1();
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
    let virtual_cpus = at_least_one(limits.cpus).map(|n| n.saturating_mul(100));
    let percent = [at_least_one(limits.cpu_quota_percent), virtual_cpus].into_iter().flatten().min()?;
    // The kernel refuses quotas beyond 2^44 us; nobody has so many CPUs.
    Some(percent.saturating_mul(PERIOD_US / 100).clamp(QUOTA_MIN_US, 1 << 43))
}

fn cpu_v1(limits: &Limits, mask: Option<&str>, w: &mut Writer) {
    if let Some(units) = limits.cpu_units {
        // Virtuozzo's own conversion (libvzctl cgroup.c:845): 1000 units are the kernel's default of 1024 shares.
        w.set("lxc.cgroup.cpu.shares", (units.saturating_mul(1024) / CPU_UNITS_DEFAULT).clamp(2, 262_144));
    }
    if let Some(quota) = quota(limits) {
        w.set("lxc.cgroup.cpu.cfs_period_us", PERIOD_US);
        w.set("lxc.cgroup.cpu.cfs_quota_us", quota);
    }
    if let Some(mask) = mask {
        w.set("lxc.cgroup.cpuset.cpus", mask);
    }
}

fn cpu_v2(limits: &Limits, mask: Option<&str>, w: &mut Writer) {
    if let Some(units) = limits.cpu_units {
        w.set("lxc.cgroup2.cpu.weight", (units / 10).clamp(1, 10_000));
    }
    if let Some(quota) = quota(limits) {
        w.set("lxc.cgroup2.cpu.max", format!("{quota} {PERIOD_US}"));
    }
    if let Some(mask) = mask {
        w.set("lxc.cgroup2.cpuset.cpus", mask);
    }
}

/// Returns the CPU list if the target has every CPU of it: one that is missing makes the start fail with ERANGE.
fn cpu_mask<'a>(limits: &'a Limits, w: &mut Writer, host_cpus: u32) -> Option<&'a str> {
    let mask = limits.cpu_mask.as_deref()?;
    let trouble = match highest_cpu(mask) {
        None => format!("\"{}\" is not a list of CPUs", mask.escape_debug()),
        Some(last) if last >= host_cpus => {
            format!("it names CPU {last}; the target has CPUs 0 to {}", host_cpus.max(1) - 1)
        }
        Some(_) => return Some(mask),
    };
    w.find(
        Finding::warning("cpu-mask-not-on-target", "the container is not bound to CPUs")
            .detail(format!("CPUMASK was left out: {trouble}"))
            .remedy("choose CPUs of the target and add lxc.cgroup.cpuset.cpus or lxc.cgroup2.cpuset.cpus")
            .subject("CPUMASK"),
    );
    None
}

/// Returns the highest CPU of a list like `0-2,7`; `None` when it is not one.
fn highest_cpu(mask: &str) -> Option<u32> {
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

/// I/O limits name the volume's device by number, and that of a loop or device-mapper device changes with every start.
fn io(limits: &Limits, w: &mut Writer) {
    if let Some(priority) = limits.io_priority.filter(|p| *p != IO_PRIORITY_DEFAULT) {
        w.find(
            Finding::info("io-priority-not-converted", "the container's I/O priority was left out")
                .detail(format!("IOPRIO is {priority}; most kernels have no file for it, and then the start fails"))
                .remedy("add lxc.cgroup.blkio.weight or lxc.cgroup2.io.weight if the target's I/O scheduler has it")
                .subject("IOPRIO"),
        );
    }
    for (key, limit) in [("IOLIMIT", limits.io_bytes_per_second), ("IOPSLIMIT", limits.iops)] {
        let Some(limit) = at_least_one(limit) else { continue };
        w.find(
            Finding::warning("io-limit-not-converted", "the container's I/O is not limited")
                .detail(format!("{key} is {limit} a second; LXC wants the volume's device number, which is not stable"))
                .remedy("set it after the start: lxc-cgroup -n NAME io.max (version 2) or blkio.throttle.* (version 1)")
                .subject(key),
        );
    }
}

/// Writes what the container may open.
pub(super) fn devices(config: &ContainerConfig, w: &mut Writer) {
    // The version 2 list is a BPF program since 4.0. LXC 3.x would write it to a file that does not exist, and fail.
    let v2 = w.dialect.writes_v2() && w.dialect.at_least(4, 0);
    let v1 = w.dialect.writes_v1();
    let extra: Vec<String> = config.devices.iter().filter_map(|d| rule(d, w)).collect();
    if !v1 && !v2 {
        w.find(
            Finding::warning("devices-not-restricted", "the container may open every device node it makes")
                .detail(format!("LXC {} cannot restrict devices under control groups version 2", w.dialect.version))
                .remedy("install LXC 4.0 or later, or boot the host with control groups version 1")
                .subject("lxc.cgroup2.devices"),
        );
        return;
    }
    if config.include.is_some() && extra.is_empty() {
        return;
    }
    w.section("devices");
    for family in [("lxc.cgroup", v1), ("lxc.cgroup2", v2)].into_iter().filter(|f| f.1).map(|f| f.0) {
        if config.include.is_none() {
            w.set(&format!("{family}.devices.deny"), "a");
            for line in DEVICES {
                w.set(&format!("{family}.devices.allow"), line);
            }
        }
        for line in &extra {
            w.set(&format!("{family}.devices.allow"), line);
        }
    }
}

/// Returns the rule in the kernel's words; `None` when it allows nothing or its number is unknown.
fn rule(device: &DeviceRule, w: &mut Writer) -> Option<String> {
    let access: String = ['r', 'w'].into_iter().filter(|c| device.access.contains(*c)).collect();
    if access.is_empty() {
        return None;
    }
    let known = device.path.as_deref().and_then(|p| NUMBERS.iter().find(|n| n.0 == p)).map(|n| (n.1, n.2));
    let kind = if device.kind == 'b' { 'b' } else { 'c' };
    let (major, minor) = match (device.major, known) {
        (Some(major), _) => (major, device.minor.map_or("*".to_owned(), |m| m.to_string())),
        (None, Some((major, minor))) => (major, minor.to_string()),
        (None, None) => {
            let path = device.path.as_deref().unwrap_or("").escape_debug().to_string();
            w.find(
                Finding::warning("device-number-unknown", format!("the container cannot open /dev/{path}"))
                    .detail("DEVNODES names it, and only the source node knows its number")
                    .remedy("add lxc.cgroup.devices.allow (or lxc.cgroup2) with the number that the target has")
                    .subject(format!("/dev/{path}")),
            );
            return None;
        }
    };
    Some(format!("{kind} {major}:{minor} {access}m"))
}

/// Makes a node of the host appear in the container's own /dev, which LXC populates at each start. A node that the host
/// does not have is passed over.
pub(super) fn device_node(path: &str, w: &mut Writer) -> Result<()> {
    let below = Path::new(path).components().all(|c| matches!(c, Component::Normal(_)));
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && b != b'\\' && b != b'"' && b != b'\'');
    if !below || !plain || path.is_empty() {
        return Err(Error::new(format!("device \"{}\" is not a path below /dev", path.escape_debug())));
    }
    validate::value("device", path)?;
    w.set("lxc.mount.entry", format!("/dev/{path} dev/{path} none bind,create=file,optional 0 0"));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_lists() {
        for (mask, last) in [("0", Some(0)), ("0-2,7", Some(7)), ("3,1", Some(3))] {
            assert_eq!(highest_cpu(mask), last, "{mask}");
        }
        for bad in ["", "all", "2-1", "0-", "-1", "0,,1", "+1", "0 1", "99999999999"] {
            assert_eq!(highest_cpu(bad), None, "{bad}");
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
