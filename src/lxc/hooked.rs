//! Limits that no line can say: they name the volume's device by number, which a loop or device-mapper device gets anew
//! with every start, or depend on files that not every kernel has. A hook sets them, where LXC has one that runs on the
//! host when the container is there (3.0).

use super::config::ContainerConfig;
use super::hook;
use super::render::Writer;
use super::validate;
use crate::error::Result;
use crate::model::finding::Finding;
use crate::model::limits::Limits;
use std::path::Path;

/// I/O priority of a container that sets none.
const IO_PRIORITY_DEFAULT: u64 = 4;

/// Writes the line that calls the hook and returns the hook's text; findings where there can be none.
pub(super) fn write(config: &ContainerConfig, w: &mut Writer) -> Result<Option<String>> {
    let path = config.hook.as_deref().filter(|_| w.dialect.at_least(3, 0));
    if let Some((path, text)) = path.zip(hook::script(config, w.dialect)) {
        w.section("what is set when it starts");
        w.set("lxc.hook.start-host", command(path)?);
        return Ok(Some(text));
    }
    missing(&config.limits, w);
    Ok(None)
}

/// LXC gives the value to a shell.
fn command(path: &Path) -> Result<String> {
    let path = validate::path("hook", path)?;
    let plain = |c: char| c.is_alphanumeric() || "/._-+@:,=".contains(c);
    Ok(path.chars().flat_map(|c| (!plain(c)).then_some('\\').into_iter().chain([c])).collect())
}

fn missing(limits: &Limits, w: &mut Writer) {
    if let Some(priority) = limits.io_priority.filter(|p| *p != IO_PRIORITY_DEFAULT) {
        w.find(
            Finding::info("io-priority-not-converted", "the container's I/O priority was left out")
                .detail(format!("IOPRIO is {priority}; most kernels have no file for it, and then the start fails"))
                .remedy("add lxc.cgroup.blkio.weight or lxc.cgroup2.io.weight if the target's I/O scheduler has it")
                .subject("IOPRIO"),
        );
    }
    let positive = |limit: Option<u64>| limit.filter(|n| *n > 0);
    for (key, limit) in [("IOLIMIT", limits.io_bytes_per_second), ("IOPSLIMIT", limits.iops)] {
        let Some(limit) = positive(limit) else { continue };
        w.find(
            Finding::warning("io-limit-not-converted", "the container's I/O is not limited")
                .detail(format!("{key} is {limit} a second; LXC wants the volume's device number, which is not stable"))
                .remedy("set it after the start with lxc-cgroup (blkio.throttle.*_device or io.max)")
                .subject(key),
        );
    }
    if let Some(pages) = positive(limits.shared_memory_pages) {
        w.find(
            Finding::warning("shared-memory-not-converted", "the container's System V shared memory is not limited")
                .detail(format!("SHMPAGES is {pages}; it takes a hook that LXC has since 3.0"))
                .remedy("set kernel.shmall in the container's IPC name space after the start")
                .subject("SHMPAGES"),
        );
    }
}
