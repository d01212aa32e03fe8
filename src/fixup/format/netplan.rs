//! Netplan's /etc/netplan/*.yaml: a file of our own, and the claims of other files that would be merged into it.
//!
//! Netplan reads all files in the order of their names. A later scalar wins, but lists are joined: an old address in
//! another file would come up beside the new one, so it has to go there.

use super::lines::{self, Line};
use super::pattern;
use crate::model::network::{Method, Nic};
use std::net::IpAddr;

/// Writes the file for an interface. The renderer is not named: it stays that of the other files, or netplan's default.
pub fn file(nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Vec<u8> {
    let dhcp = nic.method == Method::Dhcp;
    let mut out = format!(
        "network:\n  version: 2\n  ethernets:\n    {}:\n      dhcp4: {dhcp}\n      dhcp6: false\n",
        if nic.name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            nic.name.clone()
        } else {
            format!("\"{}\"", nic.name)
        }
    );
    let mut put = |text: String| out.extend(["      ", text.as_str(), "\n"]);
    if let Some(mtu) = nic.mtu {
        put(format!("mtu: {mtu}"));
    }
    if nic.method == Method::Static {
        if !nic.addresses.is_empty() {
            put("addresses:".into());
            nic.addresses.iter().for_each(|a| put(format!("  - \"{a}\"")));
        }
        let v4 = nic.gateway4.map(|g| (IpAddr::from(g), nic.gateway4_off_link()));
        let v6 = nic.gateway6.map(|g| (IpAddr::from(g), nic.gateway6_off_link()));
        if v4.is_some() || v6.is_some() {
            put("routes:".into());
        }
        for (gateway, off_link) in [v4, v6].into_iter().flatten() {
            // `default` and `gateway4` are not known, or not wanted, by every release.
            let (all, one) = if gateway.is_ipv4() { ("0.0.0.0/0", 32) } else { ("::/0", 128) };
            if off_link {
                put(format!("  - to: \"{gateway}/{one}\""));
                put("    scope: link".into());
            }
            put(format!("  - to: \"{all}\""));
            put(format!("    via: \"{gateway}\""));
            if off_link {
                put("    on-link: true".into());
            }
        }
    }
    if !dns.is_empty() || !domains.is_empty() {
        put("nameservers:".into());
    }
    let servers: Vec<String> = dns.iter().map(ToString::to_string).collect();
    for (key, list) in [("addresses", servers.as_slice()), ("search", domains)] {
        if !list.is_empty() {
            put(format!("  {key}:"));
            list.iter().for_each(|v| put(format!("    - \"{v}\"")));
        }
    }
    out.into_bytes()
}

/// What another file has to give up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// Addresses without a label, DHCP, default routes; the name servers too when the flag says so. The rest stays and is
    /// merged.
    Addresses {
        /// Whether the plan has name servers of its own.
        dns: bool,
    },
    /// The whole interface: nothing of it is netplan's any more.
    Whole,
}

/// Takes an interface's claims out of another file. `Err` says why a file that names the interface cannot be edited:
/// it is in flow style (`{…}`), indented in a way that is not followed here, or holds an anchor that stays in use.
pub fn release(text: &[u8], nic: &Nic, claim: Claim) -> Result<Vec<u8>, String> {
    let name = nic.name.as_str();
    let list = lines::split(text);
    let tree: Vec<Item> = list.iter().map(Item::new).collect();
    let mut gone = vec![false; list.len()];
    // A key that stands there twice counts twice.
    for network in named(&tree, (0, tree.len()), "network") {
        if tree.iter().any(|i| i.tab && !i.skip()) {
            return Err("it is indented with tabs".into());
        }
        in_blocks(&tree, network, name)?;
        for ethernets in named(&tree, (network.0 + 1, network.1), "ethernets") {
            in_blocks(&tree, ethernets, name)?;
            for interface in named(&tree, (ethernets.0 + 1, ethernets.1), name) {
                if tree[interface.0].has_value() && tree[interface.0].value() != "{}" {
                    return Err(format!("{name} is written in flow style"));
                }
                give_up(&tree, interface, nic, claim, &mut gone);
                drop_empty(&tree, interface, &mut gone);
            }
            drop_empty(&tree, ethernets, &mut gone);
        }
        drop_empty(&tree, network, &mut gone);
    }
    if let Some(anchor) = lost_anchor(&tree, &gone) {
        return Err(format!("what would go holds the anchor &{}, which is used elsewhere", anchor.escape_debug()));
    }
    let kept: Vec<&Line> = list.iter().zip(&gone).filter(|(_, gone)| !**gone).map(|(l, _)| l).collect();
    Ok(lines::join(kept))
}

/// Refuses a block in flow style that names the interface.
fn in_blocks(tree: &[Item], (from, to): (usize, usize), name: &str) -> Result<(), String> {
    let mentions = tree[from..to].iter().any(|i| !i.skip() && i.text.contains(name));
    if tree[from].has_value() && mentions { Err("it is written in flow style".into()) } else { Ok(()) }
}

/// Returns an anchor (`&a`) in the lines that go whose alias (`*a`) stays: without it the file is no YAML any more.
fn lost_anchor<'t>(tree: &'t [Item], gone: &[bool]) -> Option<&'t str> {
    let marked = |wanted: bool, sign: char| {
        let items = tree.iter().zip(gone).filter(move |(i, gone)| **gone == wanted && !i.skip());
        let words = items.flat_map(|(i, _)| i.text.split([' ', '\t', ',', '[', ']', '{', '}']));
        words.filter_map(move |w| w.strip_prefix(sign)).filter(|name| !name.is_empty())
    };
    let used: Vec<&str> = marked(false, '*').map(|name| name.trim_end_matches(':')).collect();
    marked(true, '&').find(|name| used.contains(name))
}

/// Marks what an interface's block has to give up.
fn give_up(tree: &[Item], (interface, end): (usize, usize), nic: &Nic, claim: Claim, gone: &mut [bool]) {
    let Claim::Addresses { dns } = claim else { return gone[interface..end].fill(true) };
    for (from, to) in keys(tree, interface + 1, end) {
        match tree[from].key() {
            "addresses" => entries_go(tree, (from, to), gone, |entry| !is_labelled(entry, nic)),
            "dhcp4" | "dhcp6" | "gateway4" | "gateway6" => gone[from..to].fill(true),
            "nameservers" if dns => gone[from..to].fill(true),
            "routes" if !tree[from].has_value() => entries_go(tree, (from, to), gone, is_default_route),
            _ => {}
        }
    }
}

/// Marks a key of which nothing is left: without a value it is an error for netplan.
fn drop_empty(tree: &[Item], (from, to): (usize, usize), gone: &mut [bool]) {
    if (from + 1..to).all(|i| gone[i] || tree[i].skip()) && gone[from + 1..to].contains(&true) {
        gone[from] = true;
    }
}

/// Returns the ids of other ethernets whose `match` may take the interface, by a pattern for its name or by its MAC.
pub fn rivals(text: &[u8], nic: &Nic) -> Vec<String> {
    let list = lines::split(text);
    let tree: Vec<Item> = list.iter().map(Item::new).collect();
    let networks = named(&tree, (0, tree.len()), "network");
    let ethernets = networks.iter().flat_map(|(at, end)| named(&tree, (at + 1, *end), "ethernets"));
    let mut out = Vec::new();
    for (from, to) in ethernets.flat_map(|(at, end)| keys(&tree, at + 1, end)) {
        let Some((at, until)) = keys(&tree, from + 1, to).into_iter().find(|(at, _)| tree[*at].key() == "match") else {
            continue;
        };
        let takes = tree[at..until].iter().any(|i| {
            let after = |key: &str| {
                let value = i.text.split(key).nth(1)?;
                Some(value.trim_start().split([' ', ',', '}', '#']).next()?.trim_matches(['"', '\'']).to_owned())
            };
            let by_name = after("name:").is_some_and(|p| pattern::fits(p.as_bytes(), nic.name.as_bytes()));
            let by_mac = after("macaddress:").zip(nic.mac.as_ref()).is_some_and(|(m, n)| m.eq_ignore_ascii_case(n));
            by_name || by_mac
        });
        if takes && tree[from].key() != nic.name {
            out.push(tree[from].key().to_owned());
        }
    }
    out
}

/// A line as block-style YAML has it.
struct Item {
    indent: usize,
    text: String,
    tab: bool,
}

impl Item {
    fn new(line: &Line) -> Item {
        let view = line.view();
        let text = view.trim().to_owned();
        let lead = &view[..view.len() - view.trim_start().len()];
        Item { indent: lead.len(), tab: lead.contains('\t'), text }
    }

    /// Blank lines, comments and document marks belong to no block.
    fn skip(&self) -> bool {
        self.text.is_empty() || self.text.starts_with('#') || self.text == "---"
    }

    fn is_entry(&self) -> bool {
        self.text == "-" || self.text.starts_with("- ")
    }

    fn key(&self) -> &str {
        self.text.split_once(':').map_or("", |(k, _)| k.trim().trim_matches(['"', '\'']))
    }

    fn value(&self) -> &str {
        let value = self.text.split_once(':').map_or("", |(_, v)| v.trim());
        if value.starts_with('#') { "" } else { value }
    }

    fn has_value(&self) -> bool {
        !self.value().is_empty()
    }
}

/// Returns the keys right below a block as (line, end of its block). Entries of a list may stand as far left as its key;
/// blank lines and comments in front of the next key are not in the block.
fn keys(tree: &[Item], from: usize, to: usize) -> Vec<(usize, usize)> {
    let Some(indent) = tree[from..to].iter().find(|i| !i.skip()).map(|i| i.indent) else { return Vec::new() };
    let is_key = |i: &Item| !i.skip() && i.indent == indent && !i.is_entry();
    let starts: Vec<usize> = (from..to).filter(|at| is_key(&tree[*at])).collect();
    let ends = starts.iter().skip(1).copied().chain([to]);
    let full = starts.iter().copied().zip(ends);
    full.map(|(at, next)| {
        let last = tree[at..next].iter().rposition(|i| !i.skip()).unwrap_or(0);
        (at, at + last + 1)
    })
    .collect()
}

/// Returns those of the keys right below a block that have this name.
fn named(tree: &[Item], (from, to): (usize, usize), key: &str) -> Vec<(usize, usize)> {
    keys(tree, from, to).into_iter().filter(|(at, _)| tree[*at].key() == key).collect()
}

/// Marks the entries of a list for which `goes` says so, and the key when no other is left; one whose list is not in block
/// style as a whole.
fn entries_go(tree: &[Item], (from, to): (usize, usize), gone: &mut [bool], goes: impl Fn(&[Item]) -> bool) {
    let Some(indent) = tree[from + 1..to].iter().find(|i| i.is_entry()).map(|i| i.indent) else {
        return gone[from..to].fill(true);
    };
    let starts: Vec<usize> = (from + 1..to).filter(|at| tree[*at].is_entry() && tree[*at].indent == indent).collect();
    let ends = starts.iter().skip(1).copied().chain([to]);
    let mut left = 0;
    for (at, next) in starts.iter().copied().zip(ends) {
        if goes(&tree[at..next]) {
            gone[at..next].fill(true);
        } else {
            left += 1;
        }
    }
    if left == 0 {
        gone[from..to].fill(true);
    }
}

/// Tells whether an entry of a list of routes is a default route.
fn is_default_route(entry: &[Item]) -> bool {
    entry.iter().any(|i| {
        let words = i.text.trim_start_matches(['-', ' ', '{']);
        let goal = words.split("to:").nth(1).filter(|_| words.starts_with("to:") || words.contains(" to:"));
        let goal = goal.map(|g| g.trim_start().split([' ', ',', '}', '#']).next().unwrap_or_default());
        matches!(goal.map(|g| g.trim_matches(['"', '\''])), Some("default" | "0.0.0.0/0" | "0/0" | "::/0"))
    })
}

/// Tells whether an entry of a list of addresses has a label with a name (`label: "eth0:vip"`): then it is a person's, and
/// stays unless the plan has the address.
fn is_labelled(entry: &[Item], nic: &Nic) -> bool {
    let label = entry.iter().filter(|i| !i.skip()).find_map(|i| i.text.split("label:").nth(1));
    let named = label.is_some_and(|l| l.split(['}', ',', '#']).next().is_some_and(|l| l.contains(':')));
    let first = entry.first().map(|i| i.text.trim_start_matches(['-', ' ', '{', '"', '\''])).unwrap_or_default();
    let address = first.split(['/', '"', '\'', ' ']).next().and_then(|a| a.parse::<IpAddr>().ok());
    named && address.is_some_and(|a| nic.addresses.iter().all(|n| n.addr() != a))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn free(text: &str, claim: Claim) -> String {
        let n = nic(&["10.0.0.101/24"], None, None);
        let once = release(text.as_bytes(), &n, claim).unwrap();
        assert_eq!(release(&once, &n, claim).unwrap(), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn addresses_routes_and_name_servers() {
        let mut n = nic(&["10.0.0.101/24", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        let text = String::from_utf8(file(&n, &["10.0.0.53".parse().unwrap()], &["example.com".into()])).unwrap();
        assert_eq!(
            text,
            "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: false\n      dhcp6: false\n      mtu: 1400\n\
             \x20     addresses:\n        - \"10.0.0.101/24\"\n        - \"2001:db8::1/64\"\n      routes:\n        - to: \"0.0.0.0/0\"\n\
             \x20         via: \"10.0.0.1\"\n        - to: \"::/0\"\n          via: \"fe80::1\"\n      nameservers:\n        addresses:\n\
             \x20         - \"10.0.0.53\"\n        search:\n          - \"example.com\"\n"
        );
        n.method = Method::Dhcp;
        let text = String::from_utf8(file(&n, &[], &[])).unwrap();
        assert!(text.ends_with("dhcp4: true\n      dhcp6: false\n      mtu: 1400\n"), "{text}");
    }

    #[test]
    fn an_off_link_gateway_is_reached_first() {
        let n = nic(&["10.0.0.101/32", "2001:db8::1/128"], Some("192.168.1.1"), Some("2001:db8:1::1"));
        let text = String::from_utf8(file(&n, &[], &[])).unwrap();
        assert!(
            text.ends_with(
                "      routes:\n        - to: \"192.168.1.1/32\"\n          scope: link\n        - to: \"0.0.0.0/0\"\n\
                 \x20         via: \"192.168.1.1\"\n          on-link: true\n        - to: \"2001:db8:1::1/128\"\n\
                 \x20         scope: link\n        - to: \"::/0\"\n          via: \"2001:db8:1::1\"\n          on-link: true\n"
            ),
            "{text}"
        );
    }

    const OTHER: &str = "# cloud\nnetwork:\n    version: 2\n    ethernets:\n        # first\n        eth0:\n            dhcp4: true\n\
        \x20           addresses:\n            - 192.168.7.11/24\n            - 192.168.7.12/24\n            optional: true\n\
        \x20           routes:\n            - to: default\n              via: 192.168.7.1\n            -   via: 192.168.7.9\n\
        \x20               to: 10.9.0.0/16\n            nameservers:\n                addresses: [8.8.8.8]\n\
        \x20       eth1:\n            dhcp4: true # mine\n";

    #[test]
    fn claims_go_and_the_rest_stays() {
        assert_eq!(
            free(OTHER, Claim::Addresses { dns: true }),
            "# cloud\nnetwork:\n    version: 2\n    ethernets:\n        # first\n        eth0:\n            optional: true\n\
             \x20           routes:\n            -   via: 192.168.7.9\n                to: 10.9.0.0/16\n\
             \x20       eth1:\n            dhcp4: true # mine\n"
        );
        assert!(free(OTHER, Claim::Addresses { dns: false }).contains("8.8.8.8"));
        assert_eq!(
            free(OTHER, Claim::Whole),
            "# cloud\nnetwork:\n    version: 2\n    ethernets:\n        # first\n        eth1:\n            dhcp4: true # mine\n"
        );
    }

    #[test]
    fn labelled_addresses_stay() {
        let text = "network:\n  ethernets:\n    eth0:\n      addresses:\n      - 192.168.7.11/24\n      - 10.0.0.9/24:\n          label: \"eth0:vip\"\n\
                    \x20     - \"10.0.0.8/24\": {label: \"eth0:db\"}\n      - 10.0.0.101/24: {label: \"eth0:own\"}\n      - 10.0.0.7/24: {label: web}\n";
        assert_eq!(
            free(text, Claim::Addresses { dns: false }),
            "network:\n  ethernets:\n    eth0:\n      addresses:\n      - 10.0.0.9/24:\n          label: \"eth0:vip\"\n\
             \x20     - \"10.0.0.8/24\": {label: \"eth0:db\"}\n"
        );
        assert_eq!(free(text, Claim::Whole), "");
    }

    #[test]
    fn keys_without_anything_below_them_go_too() {
        let text = "network:\n  version: 2\n  ethernets:\n    \"eth0\":\n      dhcp4: yes\n      gateway4: 10.0.0.1\n";
        assert_eq!(free(text, Claim::Addresses { dns: false }), "network:\n  version: 2\n");
        let twice = "network:\n  version: 2\n  ethernets:\n    eth0:\n      dhcp4: yes\n    eth0:\n      dhcp6: yes\n";
        assert_eq!(free(twice, Claim::Whole), "network:\n  version: 2\n");
        let bare = "# c\nnetwork:\n  ethernets:\n    eth0:\n      dhcp4: yes\n";
        assert_eq!(free(bare, Claim::Whole), "# c\n");
        for other in
            ["", "network:\n  version: 2\n  bridges:\n    br0:\n      interfaces: [eth0]\n", "x: y\n", "\u{fffd}\n"]
        {
            assert_eq!(free(other, Claim::Whole), other);
        }
    }

    #[test]
    fn what_cannot_be_followed_is_said() {
        for text in [
            "network: {version: 2, ethernets: {eth0: {dhcp4: true}}}\n",
            "network:\n  ethernets: {eth0: {dhcp4: true}}\n",
            "network:\n  ethernets:\n    eth0: {dhcp4: true}\n",
            "network:\n  ethernets:\n    eth0:\n\t\tdhcp4: true\n",
        ] {
            assert!(release(text.as_bytes(), &nic(&[], None, None), Claim::Whole).is_err(), "{text}");
        }
        let shared = "network:\n  ethernets:\n    eth0:\n      addresses: &a\n        - 10.0.0.1/24\n    eth1:\n      addresses: *a\n";
        let why = release(shared.as_bytes(), &nic(&[], None, None), Claim::Addresses { dns: false }).unwrap_err();
        assert!(why.contains("&a"), "{why}");
        let unused = free(&shared.replace("*a", "[10.0.0.2/24]"), Claim::Whole);
        assert_eq!(unused, "network:\n  ethernets:\n    eth1:\n      addresses: [10.0.0.2/24]\n");
        let flow = "network: {version: 2, ethernets: {eth1: {dhcp4: true}}}\n";
        assert_eq!(free(flow, Claim::Whole), flow);
    }

    #[test]
    fn patterns_that_take_the_interface_are_found() {
        let text = "network:\n  ethernets:\n    all-en:\n      match:\n        name: \"en*\"\n      dhcp4: true\n    any:\n      match: {name: \"e*0\"}\n\
                    \x20   card:\n      match:\n        macaddress: 00:16:3E:00:00:65\n    eth0:\n      match:\n        name: eth0\n";
        let mut n = nic(&[], None, None);
        assert_eq!(rivals(text.as_bytes(), &n), ["any"]);
        n.mac = Some("00:16:3e:00:00:65".into());
        assert_eq!(rivals(text.as_bytes(), &n), ["any", "card"]);
    }
}
