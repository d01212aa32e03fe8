//! How this host reaches the world, and whether it lets others through: what a routed container needs.

use super::{Lxc, commands};
use crate::error::Result;
use crate::model::target::Forwarding;

/// Prints the settings of the interfaces for which this host answers neighbour discovery on behalf of others, each followed
/// by a zero byte. Not by the shell's own `read`, which asks for single bytes, and the kernel gives only the first.
pub(super) const PROXIES: &str = "grep -lxZ 1 /proc/sys/net/ipv6/conf/*/proxy_ndp 2>/dev/null; :";
/// Flags of a route (linux/route.h): it works; it leads nowhere on purpose.
const UP: u32 = 0x1;
const REJECT: u32 = 0x200;

impl Lxc {
    /// Returns the interface of the default route: IPv4's, else IPv6's.
    pub(super) fn uplink(&self) -> Result<Option<String>> {
        if let Some(name) = default4(&self.small("/proc/net/route")?) {
            return Ok(Some(name));
        }
        Ok(default6(&self.small("/proc/net/ipv6_route")?))
    }

    pub(super) fn forwarding(&self) -> Result<Forwarding> {
        let on = |path: &str| Ok::<bool, crate::error::Error>(!matches!(self.small(path)?.trim(), "" | "0"));
        let proxies = self.run_ok(&commands::question("sh").args(["-c", PROXIES]))?;
        let names = proxies.stdout.split(|b| *b == 0).filter_map(|path| path.rsplit(|b| *b == b'/').nth(1));
        Ok(Forwarding {
            v4: on("/proc/sys/net/ipv4/ip_forward")?,
            v6: on("/proc/sys/net/ipv6/conf/all/forwarding")?,
            proxy_ndp: names.map(|n| String::from_utf8_lossy(n).into_owned()).collect(),
        })
    }
}

/// From lines of `iface destination gateway flags refcnt use metric mask …`, numbers in hexadecimal but the metric.
fn default4(table: &str) -> Option<String> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [name, destination, _, flags, _, _, metric, mask, ..] = fields.as_slice() else { return None };
        let metric: u32 = metric.parse().ok()?;
        (*destination == "00000000" && *mask == "00000000" && works(flags)).then(|| (metric, (*name).to_owned()))
    };
    best(table.lines().filter_map(route))
}

/// From lines of `destination length source length gateway metric refcnt use flags iface`, all numbers in hexadecimal.
fn default6(table: &str) -> Option<String> {
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [destination, length, _, _, _, metric, _, _, flags, name] = fields.as_slice() else { return None };
        let metric = u32::from_str_radix(metric, 16).ok()?;
        let default = *length == "00" && destination.bytes().all(|b| b == b'0');
        (default && works(flags) && *name != "lo").then(|| (metric, (*name).to_owned()))
    };
    best(table.lines().filter_map(route))
}

fn works(flags: &str) -> bool {
    u32::from_str_radix(flags, 16).is_ok_and(|f| f & UP != 0 && f & REJECT == 0)
}

/// The smallest metric wins, and of equal ones the first.
fn best(routes: impl Iterator<Item = (u32, String)>) -> Option<String> {
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn the_default_route_with_the_smallest_metric() {
        let head = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\tWindow\tIRTT\n";
        let table = |lines: &str| default4(&format!("{head}{lines}"));
        let eth = "eth0 0002000A 00000000 0001 0 0 0 00FFFFFF 0 0 0\n";
        assert_eq!(table(eth), None);
        let two =
            "wlan0 00000000 010200C0 0003 0 0 600 00000000 0 0 0\nbond0.5 00000000 01 0003 0 0 100 00000000 0 0 0\n";
        assert_eq!(table(&format!("{eth}{two}")).as_deref(), Some("bond0.5"));
        assert_eq!(table("eth0 00000000 0 0201 0 0 0 00000000 0 0 0\n"), None, "unreachable");
        assert_eq!(table("eth0 00000000 0 0003 0 0 0 0000FFFF 0 0 0\n"), None, "0.0.0.0/16 is no default");
        assert_eq!(default4("\u{0}junk\neth0 00000000"), None);
    }

    #[test]
    fn the_default_route_of_the_other_family() {
        let zero = "0".repeat(32);
        let line = |length: &str, metric: &str, flags: &str, name: &str| {
            format!("{zero} {length} {zero} 00 {zero} {metric} 00000001 00000000 {flags} {name}\n")
        };
        let lo = line("00", "ffffffff", "00200200", "lo");
        assert_eq!(default6(&lo), None);
        let both =
            format!("{lo}{}{}", line("00", "00000400", "00000003", "eth1"), line("00", "00000064", "00000003", "eth0"));
        assert_eq!(default6(&both).as_deref(), Some("eth0"));
        assert_eq!(default6(&line("40", "00000001", "00000003", "eth0")), None);
    }
}
