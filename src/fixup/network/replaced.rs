//! What the interface's files said beyond the plan, and say no more.

use crate::error::Result;
use crate::fixup::run::Run;
use crate::fixup::view::Seen;
use crate::model::finding::Finding;
use crate::model::network::Nic;
use crate::rootfs::look::shown;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;

/// So many lines are named; of a file with more an operator has to look at the diff.
const MOST: usize = 8;

/// So much of a line is shown.
const WIDTH: usize = 100;

/// The gateway that vzctl makes up.
const FAKE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

impl Run<'_> {
    /// Writes a file of an interface, and names the lines whose addresses went with it, unless the plan has them.
    pub(super) fn put(&mut self, seen: &Seen, text: Vec<u8>, nic: &Nic, mode: u32) -> Result<()> {
        let lines = lost(seen.bytes(), &text, nic);
        self.view.write(seen, text, mode)?;
        self.tell_lost(&seen.path, nic, &lines);
        Ok(())
    }

    pub(super) fn tell_lost(&mut self, path: &Path, nic: &Nic, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let more = if lines.len() > MOST { format!(" and {} more", lines.len() - MOST) } else { String::new() };
        let named: Vec<&str> = lines.iter().take(MOST).map(String::as_str).collect();
        let title = format!("settings of {} that the plan does not have are no longer in force", nic.name);
        self.tell(
            Finding::warning("fixup-address-replaced", title)
                .detail(format!("it was set up with: {}{more}", named.join(" | ")))
                .remedy("give the container the addresses that are still wanted, or set them up in the container again")
                .subject(shown(path)),
        );
    }
}

/// Returns the lines of the old text with an address that neither the new text nor the plan has, as they may be shown.
///
/// Masks, broadcast addresses and name servers do not count: they follow from what does, or are the resolver's matter. Nor
/// does a gateway where the plan has another.
pub(super) fn lost(old: &[u8], new: &[u8], nic: &Nic) -> Vec<String> {
    let mut kept: BTreeSet<IpAddr> = lines(new).flat_map(|l| addresses(&l, nic)).collect();
    kept.extend(nic.addresses.iter().map(ipnet::IpNet::addr));
    lines(old).filter(|l| addresses(l, nic).iter().any(|a| !kept.contains(a))).map(|l| brief(&l)).collect()
}

/// A line as it may be shown: without control characters and not too long.
pub(super) fn brief(line: &str) -> String {
    let mut text: String = line.trim().chars().take(WIDTH).collect();
    if text.len() < line.trim().len() {
        text.push('…');
    }
    text.escape_debug().to_string().replace("\\\"", "\"").replace("\\'", "'")
}

fn lines(text: &[u8]) -> impl Iterator<Item = String> {
    let all = text.split(|b| *b == b'\n').map(|l| String::from_utf8_lossy(l).into_owned());
    all.filter(|l| !l.trim_start().starts_with(['#', ';']))
}

/// The addresses in a line that are somebody's choice.
fn addresses(line: &str, nic: &Nic) -> Vec<IpAddr> {
    let line = line.split(" #").next().unwrap_or_default().to_lowercase();
    let mut found = Vec::new();
    let mut word_before = String::new();
    for word in line
        .split(|c: char| c.is_whitespace() || c.is_control() || "=\"'(),;[]{}".contains(c))
        .filter(|w| !w.is_empty())
    {
        let bare = word.split(['/', '%']).next().unwrap_or_default().trim_end_matches(':');
        match bare.parse::<IpAddr>() {
            Ok(address) if counts(address, &word_before, nic) => found.push(address),
            Ok(_) => {}
            // A number between a keyword and its address is none of its own.
            Err(_) => word_before = word.trim_end_matches(':').to_owned(),
        }
    }
    found
}

fn counts(address: IpAddr, after: &str, nic: &Nic) -> bool {
    let mask = matches!(address, IpAddr::V4(v4) if v4.octets()[0] == 255);
    if mask || address.is_unspecified() || address.is_loopback() || address == FAKE {
        return false;
    }
    let named = |names: &[&str]| names.iter().any(|n| after.starts_with(n));
    if named(&["broadcast", "brd", "netmask", "network", "dns", "nameserver", "bcast"]) {
        return false;
    }
    let planned = if address.is_ipv4() { nic.gateway4.is_some() } else { nic.gateway6.is_some() };
    !(planned && (named(&["gateway", "gw", "via", "ipv6_defaultgw", "default"])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    #[test]
    fn what_is_neither_in_the_new_text_nor_in_the_plan_is_named() {
        let n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        let new = b"IPADDR=10.0.0.101\nPREFIX=24\n";
        let old = b"# 10.3.3.3\nIPADDR=10.0.0.101 # 10.3.3.4\nNETMASK=255.0.0.0\nBROADCAST=10.255.255.255\nGATEWAY=10.9.9.1\n\
            IPADDR_1='10.9.9.9/24'\nconfig=( \"10.9.9.8 netmask 255.0.0.0 broadcast 10.9.9.255\" )\nDNS1=8.8.8.8\nIPV6ADDR=fd00::9/64\n\
            HWADDR=00:16:3e:00:00:01\n  - 10.9.9.7/24:\n";
        assert_eq!(
            lost(old, new, &n),
            [
                "IPADDR_1='10.9.9.9/24'",
                "config=( \"10.9.9.8 netmask 255.0.0.0 broadcast 10.9.9.255\" )",
                "IPV6ADDR=fd00::9/64",
                "- 10.9.9.7/24:"
            ]
        );
        assert_eq!(lost(new, new, &n), [""; 0]);
        let none = nic(&["10.0.0.101/24"], None, None);
        assert_eq!(lost(b"GATEWAY=10.9.9.1\nGATEWAY=192.0.2.1\n", new, &none), ["GATEWAY=10.9.9.1"]);
    }

    #[test]
    fn a_line_is_shown_in_bounds_and_without_control_characters() {
        let n = nic(&[], None, None);
        let old = format!("IPADDR=10.9.9.9\u{1b}[2J {}\n", "x".repeat(500));
        let shown = lost(old.as_bytes(), b"", &n).remove(0);
        assert!(shown.contains("\\u{1b}[2J") && shown.chars().count() < 120 && shown.ends_with('…'), "{shown}");
    }
}
