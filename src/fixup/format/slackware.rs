//! Slackware's /etc/rc.d/rc.inet1.conf, and rc.inet1 itself where there is no such file (Slackware 9).

use super::lines::{self, Line};
use crate::model::network::{Method, Nic};
use std::fmt::Write as _;

/// Assignments at the start of a line: `IPADDR[0]="10.0.0.1"`, `GATEWAY=""`. Everything else is kept.
///
/// Unlike [`ShellVars`](super::shellvars::ShellVars) this edits a script too: indented assignments belong to its code.
pub struct Settings {
    lines: Vec<Line>,
}

impl Settings {
    /// Reads a file.
    pub fn parse(text: &[u8]) -> Settings {
        Settings { lines: lines::split(text) }
    }

    /// Returns the last value of a name, without quotes.
    pub fn get(&self, name: &str) -> Option<String> {
        self.lines.iter().rev().find_map(|line| {
            let (start, end) = value(&line.text, name)?;
            let raw = String::from_utf8_lossy(&line.text[start..end]).into_owned();
            Some(raw.trim_matches(['"', '\'']).to_owned())
        })
    }

    /// Assigns a value in every place where the name is assigned, or on a new line.
    pub fn set(&mut self, name: &str, new: &str) {
        let mut found = false;
        for line in &mut self.lines {
            let Some((start, end)) = value(&line.text, name) else { continue };
            found = true;
            let raw = &line.text[start..end];
            let same = raw.strip_prefix(b"\"").and_then(|r| r.strip_suffix(b"\"")).unwrap_or(raw) == new.as_bytes();
            if !same {
                line.text.splice(start..end, format!("\"{new}\"").into_bytes());
            }
        }
        if !found {
            let end = lines::usual_end(self.lines.iter());
            self.lines.push(lines::line(format!("{name}=\"{new}\""), end));
        }
    }

    /// Empties a value where the name has one.
    pub fn clear(&mut self, name: &str) {
        if self.get(name).is_some_and(|v| !v.is_empty()) {
            self.set(name, "");
        }
    }

    /// Returns the text.
    pub fn render(&self) -> Vec<u8> {
        lines::join(&self.lines)
    }
}

/// Finds the value of an assignment that starts its line; a quote that is not closed on the line is no value.
fn value(line: &[u8], name: &str) -> Option<(usize, usize)> {
    let rest = line.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
    let len = match rest.first() {
        Some(quote @ (b'"' | b'\'')) => 2 + rest[1..].iter().position(|b| b == quote)?,
        _ => rest.iter().position(|b| b" \t;#&".contains(b)).unwrap_or(rest.len()),
    };
    let start = name.len() + 1;
    Some((start, start + len))
}

/// Returns what is behind the names of an interface's settings: `[0]` for eth0 where there are arrays, nothing for eth0
/// where there are none. `None` when the file has no place for the interface.
pub fn slot(nic: &Nic, arrays: bool) -> Option<String> {
    let number: u32 = nic.name.strip_prefix("eth")?.parse().ok()?;
    match (arrays, number) {
        (true, 0..=5) => Some(format!("[{number}]")),
        (false, 0) => Some(String::new()),
        _ => None,
    }
}

/// Sets the first IPv4 address and the gateway, which is all that every release's rc.inet1 can do.
pub fn put(settings: &mut Settings, nic: &Nic, slot: &str) {
    let first = nic.v4().next().filter(|_| nic.method == Method::Static);
    settings.set(&format!("IPADDR{slot}"), &first.map(|n| n.addr().to_string()).unwrap_or_default());
    settings.set(&format!("NETMASK{slot}"), &first.map(|n| n.netmask().to_string()).unwrap_or_default());
    let dhcp = format!("USE_DHCP{slot}");
    if nic.method == Method::Dhcp {
        settings.set(&dhcp, "yes");
    } else {
        settings.clear(&dhcp);
    }
    // Lists of Slackware 15, which would add their addresses to the one that is written.
    for name in ["IPADDRS", "IP6ADDRS", "IPALIASES"] {
        settings.clear(&format!("{name}{slot}"));
    }
    match nic.gateway4.filter(|_| nic.method == Method::Static) {
        // Through a gateway that is off-link rc.inet1 cannot set a route: see `script`.
        Some(_) if nic.gateway4_off_link() => settings.set("GATEWAY", ""),
        Some(gateway) => settings.set("GATEWAY", &gateway.to_string()),
        None => {}
    }
    if nic.method == Method::Static && nic.gateway6.is_some() {
        settings.clear("GATEWAY6");
    }
}

/// Returns a script for what rc.inet1 does not do: further addresses, IPv6, MTU, an off-link gateway; and everything when
/// `all` says that the configuration has no place for the interface. `None` when nothing is left to do.
///
/// It uses ifconfig and route, which every release has.
pub fn script(nic: &Nic, all: bool) -> Option<String> {
    let name = &nic.name;
    let mut out = String::new();
    let mut run = |command: std::fmt::Arguments<'_>| {
        // Writing to a string does not fail.
        let _ = writeln!(out, "/sbin/{command}");
    };
    match nic.method {
        Method::None => return None,
        Method::Dhcp if all => run(format_args!("dhcpcd {name}")),
        Method::Manual => run(format_args!("ifconfig {name} up")),
        Method::Dhcp | Method::Static => {}
    }
    if let Some(mtu) = nic.mtu {
        run(format_args!("ifconfig {name} mtu {mtu}"));
    }
    if nic.method == Method::Static {
        if nic.v4().next().is_none() {
            run(format_args!("ifconfig {name} up"));
        }
        for (at, net) in nic.v4().enumerate().filter(|(at, _)| all || *at > 0) {
            let alias = if at == 0 { name.clone() } else { format!("{name}:{at}") };
            run(format_args!("ifconfig {alias} {} netmask {} up", net.addr(), net.netmask()));
        }
        for net in nic.v6() {
            run(format_args!("ifconfig {name} add {net}"));
        }
        if let Some(gateway) = nic.gateway4.filter(|_| all || nic.gateway4_off_link()) {
            if nic.gateway4_off_link() {
                run(format_args!("route add -host {gateway} dev {name}"));
            }
            run(format_args!("route add default gw {gateway} dev {name}"));
        }
        if let Some(gateway) = nic.gateway6 {
            if nic.gateway6_off_link() {
                run(format_args!("route -A inet6 add {gateway}/128 dev {name}"));
            }
            run(format_args!("route -A inet6 add default gw {gateway} dev {name}"));
        }
    }
    let head = format!("#!/bin/sh\n# What rc.inet1 does not do for {name}: further addresses, IPv6, routes.\n");
    (!out.is_empty()).then(|| head + &out)
}

/// Puts a line into rc.local behind the comments at its start, because such a file may end with `exit`; or takes it out.
pub fn hook(old: &[u8], line: &str, wanted: bool) -> Vec<u8> {
    let mut list = lines::split(if old.is_empty() && wanted { b"#!/bin/sh\n" } else { old });
    let same = |l: &Line| l.text.trim_ascii() == line.as_bytes();
    if !wanted {
        list.retain(|l| !same(l));
    } else if !list.iter().any(same) {
        let at = list.iter().position(|l| !l.is_comment()).unwrap_or(list.len());
        let end = lines::usual_end(list.iter());
        list.insert(at, lines::line(line, end));
    }
    lines::join(&list)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(nic: &Nic, old: &str, slot: &str) -> String {
        let edit = |text: &[u8]| {
            let mut settings = Settings::parse(text);
            put(&mut settings, nic, slot);
            settings.render()
        };
        let once = edit(old.as_bytes());
        assert_eq!(edit(&once), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    const CONF: &str = "# Config for eth0\nIPADDR[0]=\"10.9.9.9\"\t# old\nNETMASK[0]=\"255.255.255.255\"\nUSE_DHCP[0]=\"yes\"\n\
                        DHCP_HOSTNAME[0]=\"\"\nIPADDRS[0]=\"10.9.9.8/24\"\nIPADDR[1]='10.1.1.1'\nGATEWAY=\"192.0.2.1\"\nDEBUG_ETH_UP=\"no\"";

    #[test]
    fn the_first_address_and_the_gateway_go_into_the_arrays() {
        let n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        assert_eq!(
            run(&n, CONF, "[0]"),
            "# Config for eth0\nIPADDR[0]=\"10.0.0.101\"\t# old\nNETMASK[0]=\"255.255.255.0\"\nUSE_DHCP[0]=\"\"\n\
             DHCP_HOSTNAME[0]=\"\"\nIPADDRS[0]=\"\"\nIPADDR[1]='10.1.1.1'\nGATEWAY=\"10.0.0.1\"\nDEBUG_ETH_UP=\"no\""
        );
        assert_eq!(
            script(&n, false).unwrap(),
            "#!/bin/sh\n# What rc.inet1 does not do for eth0: further addresses, IPv6, routes.\n\
             /sbin/ifconfig eth0:1 10.0.0.102 netmask 255.255.255.255 up\n/sbin/ifconfig eth0 add 2001:db8::1/64\n\
             /sbin/route -A inet6 add default gw fe80::1 dev eth0\n"
        );
        assert_eq!(
            run(&n, "", "[0]"),
            "IPADDR[0]=\"10.0.0.101\"\nNETMASK[0]=\"255.255.255.0\"\nGATEWAY=\"10.0.0.1\"\n"
        );
        assert_eq!(script(&nic(&["10.0.0.101/24"], Some("10.0.0.1"), None), false), None);
    }

    #[test]
    fn a_script_of_slackware_9_keeps_its_code() {
        let old = "#!/bin/sh\nIPADDR=\"10.9.9.9\"\nNETMASK=\"255.255.255.255\"\nUSE_DHCP=\"\"\nGATEWAY=\"192.0.2.1\"\n\
                   if [ ! \"$IPADDR\" = \"\" ]; then\n  IPADDR=x\n  /sbin/ifconfig eth0 ${IPADDR}\nfi\n";
        let text = run(&nic(&["10.0.0.101/24"], Some("10.0.0.1"), None), old, "");
        assert_eq!(
            text,
            old.replace("\"10.9.9.9\"", "\"10.0.0.101\"")
                .replace("255.255.255.255", "255.255.255.0")
                .replace("192.0.2.1", "10.0.0.1")
        );
    }

    #[test]
    fn an_off_link_gateway_is_reached_first() {
        let n = nic(&["10.0.0.101/32", "2001:db8::1/128"], Some("192.168.1.1"), Some("2001:db8:1::1"));
        assert!(run(&n, CONF, "[0]").contains("GATEWAY=\"\"\n"));
        let text = script(&n, false).unwrap();
        assert!(
            text.ends_with(
                "/sbin/ifconfig eth0 add 2001:db8::1/128\n/sbin/route add -host 192.168.1.1 dev eth0\n\
                 /sbin/route add default gw 192.168.1.1 dev eth0\n/sbin/route -A inet6 add 2001:db8:1::1/128 dev eth0\n\
                 /sbin/route -A inet6 add default gw 2001:db8:1::1 dev eth0\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn other_methods_claim_no_address() {
        let mut n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        n.mtu = Some(1400);
        n.method = Method::Dhcp;
        let text = run(&n, CONF, "[0]");
        assert!(text.contains("IPADDR[0]=\"\"") && text.contains("USE_DHCP[0]=\"yes\""), "{text}");
        assert!(script(&n, false).unwrap().ends_with("\n/sbin/ifconfig eth0 mtu 1400\n"));
        n.method = Method::None;
        let text = run(&n, CONF, "[0]");
        assert!(text.contains("IPADDR[0]=\"\"") && text.contains("USE_DHCP[0]=\"\""), "{text}");
        assert_eq!(script(&n, true), None);
        n.method = Method::Manual;
        assert!(script(&n, false).unwrap().contains("/sbin/ifconfig eth0 up\n"));
    }

    #[test]
    fn interfaces_without_a_place_are_done_by_the_script() {
        let mut n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        assert_eq!((slot(&n, true).as_deref(), slot(&n, false).as_deref()), (Some("[0]"), Some("")));
        n.name = "eth1".into();
        assert_eq!((slot(&n, true).as_deref(), slot(&n, false)), (Some("[1]"), None));
        n.name = "lan0".into();
        assert_eq!(slot(&n, true), None);
        let text = script(&n, true).unwrap();
        assert!(
            text.ends_with("/sbin/ifconfig lan0 10.0.0.101 netmask 255.255.255.0 up\n/sbin/route add default gw 10.0.0.1 dev lan0\n"),
            "{text}"
        );
    }

    #[test]
    fn the_hook_stands_before_an_exit() {
        let once = hook(b"#!/bin/sh\n# mine\n\n/usr/bin/own\nexit 0", "run it", true);
        assert_eq!(once, b"#!/bin/sh\n# mine\nrun it\n\n/usr/bin/own\nexit 0");
        assert_eq!(hook(&once, "run it", true), once);
        assert_eq!(hook(&once, "run it", false), b"#!/bin/sh\n# mine\n\n/usr/bin/own\nexit 0");
        assert_eq!(hook(b"", "run it", true), b"#!/bin/sh\nrun it\n");
        assert_eq!(hook(b"", "run it", false), b"");
    }
}
