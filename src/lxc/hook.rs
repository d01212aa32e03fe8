//! The script that runs on the host when the container starts: limits that no line of the configuration can say, and what
//! LXC leaves undone for routed interfaces.

use super::config::{ContainerConfig, Dialect, Link, Veth};
use std::fmt::Write as _;
use std::net::IpAddr;

/// The script; its settings come where the marker is.
const SCRIPT: &str = include_str!("hook.sh");
/// The line that the settings replace.
const MARKER: &str = "# @SETTINGS@\n";
/// IOPRIO 0 to 7 as weights of version 1 (libvzctl env_nsops.c), where the kernel's default for everybody is 500.
const WEIGHTS: [u64; 8] = [320, 365, 410, 460, 500, 550, 600, 640];
/// BFQ's and version 2's default for everybody is 100.
const WEIGHT_SCALE: u64 = 5;
/// IOPRIO of a container that sets none; it has the weight that everybody has.
const PRIORITY_DEFAULT: u64 = 4;

/// Returns the text of a hook `lxc.hook.start-host` that applies the I/O limits, the I/O priority and the limit of shared
/// memory, and settles routed interfaces; `None` when there is none of them, or when LXC is older than 3.0 and has no such
/// hook.
pub(super) fn script(config: &ContainerConfig, dialect: Dialect) -> Option<String> {
    let limits = &config.limits;
    let limit = |limit: Option<u64>| limit.filter(|n| *n > 0);
    let priority = limits.io_priority.filter(|p| *p != PRIORITY_DEFAULT);
    let weight = priority.and_then(|p| WEIGHTS.get(usize::try_from(p).ok()?));
    let settings = [
        ("BYTES_PER_SECOND", limit(limits.io_bytes_per_second)),
        ("OPERATIONS_PER_SECOND", limit(limits.iops)),
        ("WEIGHT", weight.map(|w| w / WEIGHT_SCALE)),
        ("WEIGHT_CFQ", weight.copied()),
        ("SHARED_MEMORY_PAGES", limit(limits.shared_memory_pages)),
    ];
    let routed = routed(&config.nics);
    if !dialect.at_least(3, 0) || (settings.iter().all(|(_, value)| value.is_none()) && routed.is_empty()) {
        return None;
    }
    let mut head = String::new();
    for (name, value) in settings {
        let value = value.map(|n| n.to_string()).unwrap_or_default();
        let _ = writeln!(head, "{name}={value}");
    }
    let versions = match (dialect.writes_v1(), dialect.writes_v2()) {
        (true, true) => "'1 2'",
        (true, false) => "1",
        (false, _) => "2",
    };
    let _ = writeln!(
        head,
        "# Versions of control groups that are looked at; where both are, the one that has I/O.\nVERSIONS={versions}"
    );
    // No word holds a quote or a blank: they are addresses, and an interface that was validated.
    let _ =
        writeln!(head, "# Routed interfaces: ADDRESS,GATEWAY,UPLINK of each address.\nROUTED='{}'", routed.join(" "));
    Some(SCRIPT.replacen(MARKER, &head, 1))
}

fn routed(nics: &[Veth]) -> Vec<String> {
    let mut words = Vec::new();
    for nic in nics {
        let Link::Router { uplink } = &nic.link else { continue };
        // A gateway that is no link's own is some machine's, and its address is not for the host to take.
        let gateway4 = nic.gateway4.filter(|g| g.is_link_local()).map(IpAddr::V4);
        let gateway6 = nic.gateway6.filter(|g| g.is_unicast_link_local()).map(IpAddr::V6);
        for address in nic.addresses.iter().map(ipnet::IpNet::addr) {
            let gateway = if address.is_ipv4() { gateway4 } else { gateway6 };
            let gateway = gateway.map(|g| g.to_string()).unwrap_or_default();
            words.push(format!("{address},{gateway},{}", uplink.as_deref().unwrap_or_default()));
        }
    }
    words
}

#[cfg(test)]
#[path = "hook_tests.rs"]
mod tests;
