//! Writing an interface: `auto` and its stanzas, what the user had in them kept.

use super::aliases::is_marked;
use super::{Block, Interfaces, Logical, Words, without_words};
use crate::fixup::format::lines;
use crate::model::network::{Method, Nic};
use ipnet::{IpNet, Ipv4Net};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// What the guest's ifupdown understands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `address 10.0.0.1/24`, and one stanza for every further address (Debian 10 and later).
    Cidr,
    /// `netmask`, and `up ip addr add` for further addresses, which BusyBox and every ifupdown since 0.7 run.
    Netmask,
    /// `netmask`, an alias (`eth0:0`) for every further IPv4 address, and commands of net-tools: ifupdown 0.6 (Debian 6 and
    /// before) does not depend on the package that `ip` is in.
    Aliases,
}

/// The end of the `up` lines that this program wrote: it is how a later run tells them from the user's. They are shell
/// commands, so this is a comment.
pub(super) const MARK: &str = "# ovz2lxc";

/// A stanza to be written.
struct Wanted {
    family: &'static str,
    method: &'static str,
    options: Vec<(String, String)>,
}

impl Interfaces {
    /// Writes an interface with these name servers and search domains (none leaves those that are there).
    ///
    /// Existing stanzas are replaced in their place, and options that this program does not manage stay, in the first
    /// stanza of their family. An interface that already says the same keeps its bytes. With [`Method::None`] stanzas
    /// that claim addresses become `manual`, and nothing is written where there were none.
    pub fn put(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String], style: Style) {
        if nic.method == Method::None && self.stanzas(&nic.name, None).is_empty() {
            return self.put_aliases(&nic.name, &[]);
        }
        let aliased = self.aliased(nic);
        let wanted = wanted(nic, &aliased, dns, domains, style);
        for family in ["inet", "inet6"] {
            let list: Vec<&Wanted> = wanted.iter().filter(|w| w.family == family).collect();
            self.put_family(nic, family, &list, !dns.is_empty(), !domains.is_empty());
        }
        self.ensure_auto(&nic.name);
        let further: Vec<Ipv4Net> = nic.v4().filter(|n| !aliased.contains(&n.addr().into())).skip(1).collect();
        let wanted = style == Style::Aliases && nic.method == Method::Static;
        self.put_aliases(&nic.name, if wanted { &further } else { &[] });
    }

    /// Takes out what contradicts an interface that is written in another file: stanzas of the families that are planned,
    /// and those of the others that [`Interfaces::put`] would not leave either. Tells whether there were any.
    pub fn give_way(&mut self, nic: &Nic) -> bool {
        let before = self.stanzas(&nic.name, None).len();
        let planned = wanted(nic, &[], &[], &[], Style::Cidr);
        for family in ["inet", "inet6"] {
            if planned.iter().any(|w| w.family == family) {
                let gone = self.stanzas(&nic.name, Some(family));
                self.remove_blocks(&gone);
            } else {
                self.put_family(nic, family, &[], false, false);
            }
        }
        let left = self.stanzas(&nic.name, None).len();
        if left == 0 {
            self.remove_interface(|name| name == nic.name);
        }
        left < before
    }

    /// Indices of the `iface` stanzas of an interface, of one family or of all.
    pub(super) fn stanzas(&self, name: &str, family: Option<&str>) -> Vec<usize> {
        let fits = |w: &Vec<String>| {
            w.first().is_some_and(|n| n == name) && family.is_none_or(|f| w.get(1).is_some_and(|g| g == f))
        };
        (0..self.blocks.len()).filter(|i| self.blocks[*i].iface().is_some_and(|w| fits(&w))).collect()
    }

    /// Addresses of the plan that the user gave to aliases (`eth0:1`), which may keep them. The first address of a
    /// family has to be the interface's own.
    fn aliased(&self, nic: &Nic) -> Vec<IpAddr> {
        let alias = format!("{}:", nic.name);
        let own = |b: &&Block| b.iface().is_some_and(|w| w[0].starts_with(&alias)) && !is_marked(b);
        let all = self.blocks.iter().filter(own).filter_map(|b| {
            let address = value(b, "address")?;
            address.split('/').next()?.parse::<IpAddr>().ok()
        });
        all.filter(|a| nic.addresses.iter().any(|n| n.addr() == *a)).collect()
    }

    fn put_family(&mut self, nic: &Nic, family: &str, wanted: &[&Wanted], dns: bool, domains: bool) {
        let mut old = self.stanzas(&nic.name, Some(family));
        if wanted.is_empty() {
            // What nobody plans stays when it claims no planned kind of address: `inet6 auto` beside a static `inet`.
            let stays = |m: &str| match nic.method {
                Method::Static | Method::Manual => m != "static" && (m != "dhcp" || family == "inet6"),
                Method::Dhcp => true,
                Method::None => m == "manual",
            };
            old.retain(|i| !self.blocks[*i].iface().is_some_and(|w| w.get(2).is_some_and(|m| stays(m))));
            self.remove_blocks(&old);
            return;
        }
        let managed = |key: &str| match key {
            "address" | "netmask" | "gateway" | "broadcast" | "network" | "pointopoint" => true,
            "mtu" => nic.mtu.is_some(),
            "dns-nameservers" | "dns-nameserver" => dns,
            "dns-search" => domains,
            _ => false,
        };
        // The LXC configuration sets the address of the card; another one here would undo that.
        let wrong_mac = |key: &str, value: &str| {
            let mac = value.split_whitespace().last().unwrap_or_default();
            key == "hwaddress" && nic.mac.as_deref().is_some_and(|m| !m.eq_ignore_ascii_case(mac))
        };
        let ours = |key: &str, value: &str| managed(key) || value.ends_with(MARK) || wrong_mac(key, value);
        let same = old.len() == wanted.len()
            && old.iter().zip(wanted).all(|(at, w)| {
                let block = &self.blocks[*at];
                block.iface().is_some_and(|words| words.get(2).is_some_and(|m| m == w.method))
                    && claims(options(block).into_iter().filter(|(k, v)| ours(k, v)))
                        == claims(without_twins(w, &user_commands(block, &ours)).into_iter())
            });
        if same {
            return;
        }
        let end = self.usual_end();
        self.finish_last_line(end);
        let mut keep: Vec<Logical> = Vec::new();
        // A set, because the number of lines is the container's choice.
        let mut seen = BTreeSet::new();
        for at in &old {
            if let Block::Stanza { body, .. } = &self.blocks[*at] {
                let users = body.iter().filter(|l| option(l).is_none_or(|(k, v)| !ours(&k, &v)));
                keep.extend(users.filter(|l| option(l).is_none() || seen.insert(l.text())).cloned());
            }
        }
        let mut last = None;
        for (nth, stanza) in wanted.iter().enumerate() {
            let header = old.get(nth).and_then(|at| same_header(&self.blocks[*at], stanza));
            let block = build(nic, stanza, header, std::mem::take(&mut keep), end);
            last = Some(match old.get(nth).copied() {
                Some(at) => {
                    self.blocks[at] = block;
                    at
                }
                None => self.insert(&nic.name, last, block, end),
            });
        }
        self.remove_blocks(old.get(wanted.len()..).unwrap_or_default());
    }

    /// Inserts a stanza behind `last`, behind the interface's other stanzas, or at the end of the file.
    fn insert(&mut self, name: &str, last: Option<usize>, block: Block, end: &'static [u8]) -> usize {
        let behind = last.or_else(|| self.stanzas(name, None).last().copied());
        let at = behind.map_or(self.blocks.len(), |b| b + 1);
        if behind.is_none() && self.blocks.last().is_some_and(|b| !b.is_blank()) {
            self.blocks.push(Block::Other(Logical::one(lines::line("", end))));
            self.blocks.push(block);
            return at + 1;
        }
        self.blocks.insert(at, block);
        at
    }

    /// Ends the last line of the file, and the line that it continues into when it ends with a backslash: what is
    /// written behind it must not become a part of it.
    pub(super) fn finish_last_line(&mut self, end: &'static [u8]) {
        let last = match self.blocks.last_mut() {
            Some(Block::Other(l) | Block::List(l)) => l,
            Some(Block::Stanza { header, body }) => body.last_mut().unwrap_or(header),
            None => return,
        };
        let comment = last.lines.len() == 1 && last.is_comment();
        if !comment && last.lines.last().is_some_and(|l| l.text.ends_with(b"\\")) {
            last.lines.push(lines::line("", end));
        }
    }

    fn remove_blocks(&mut self, gone: &[usize]) {
        let gone: BTreeSet<usize> = gone.iter().copied().collect();
        let mut at = 0;
        self.blocks.retain(|_| {
            at += 1;
            !gone.contains(&(at - 1))
        });
    }

    /// Makes `ifup -a` bring the interface up. `allow-hotplug` is not enough: nothing in a container sends the event.
    fn ensure_auto(&mut self, name: &str) {
        let named = |block: &Block, auto: bool| match block {
            Block::List(l) => {
                let words = l.words();
                let kind = matches!(words[0].as_str(), "auto" | "allow-auto") == auto;
                kind && (auto || words[0] == "allow-hotplug") && words[1..].iter().any(|w| w == name)
            }
            _ => false,
        };
        if self.blocks.iter().any(|b| named(b, true)) {
            return;
        }
        let line = lines::line(format!("auto {name}"), self.usual_end());
        let mut written = false;
        for block in self.blocks.iter_mut().filter(|b| named(b, false)) {
            let Block::List(logical) = block else { continue };
            match without_words(logical, |w| w == name) {
                Words::Fewer(rest) => *logical = rest,
                Words::NoneLeft if !written => {
                    *logical = Logical::one(line.clone());
                    written = true;
                }
                Words::NoneLeft | Words::Same => {}
            }
        }
        if !written && let Some(first) = self.stanzas(name, None).first() {
            self.blocks.insert(*first, Block::List(Logical::one(line)));
        }
    }
}

fn wanted(nic: &Nic, aliased: &[IpAddr], dns: &[IpAddr], domains: &[String], style: Style) -> Vec<Wanted> {
    let mut list = Vec::new();
    if nic.method == Method::Static {
        list.extend(static_stanzas(nic, "inet", aliased, style));
        list.extend(static_stanzas(nic, "inet6", aliased, style));
    }
    if list.is_empty() {
        let method = if nic.method == Method::Dhcp { "dhcp" } else { "manual" };
        // `mtu` is no option of these methods in every ifupdown.
        let mtu = nic.mtu.map(|m| ("up".into(), format!("ip link set dev {} mtu {m} {MARK}", nic.name)));
        list.push(Wanted { family: "inet", method, options: mtu.into_iter().collect() });
    }
    if nic.method != Method::None
        && let Some(first) = list.first_mut()
    {
        let words = |list: Vec<String>| list.join(" ");
        if !dns.is_empty() {
            let servers = words(dns.iter().map(ToString::to_string).collect());
            first.options.push(("dns-nameservers".into(), servers));
        }
        if !domains.is_empty() {
            first.options.push(("dns-search".into(), words(domains.to_vec())));
        }
    }
    list
}

fn static_stanzas(nic: &Nic, family: &'static str, aliased: &[IpAddr], style: Style) -> Vec<Wanted> {
    let v4 = family == "inet";
    let of_family = nic.addresses.iter().filter(|a| matches!(a, IpNet::V4(_)) == v4);
    // An alias may keep its address, except the one that the interface itself needs to have any.
    let mut own: Vec<&IpNet> = of_family.clone().filter(|a| !aliased.contains(&a.addr())).collect();
    own.extend(of_family.take(usize::from(own.is_empty())));
    let Some(first) = own.first() else { return Vec::new() };
    let mut options = address_options(first, style);
    let name = &nic.name;
    let mut up = |what: String| options.push(("up".into(), format!("{what} {MARK}")));
    let (gateway, off_link): (Option<IpAddr>, bool) = if v4 {
        (nic.gateway4.map(Into::into), nic.gateway4_off_link())
    } else {
        (nic.gateway6.map(Into::into), nic.gateway6_off_link())
    };
    match gateway {
        Some(g) if off_link => {
            up(host_route(g, name, style));
            up(default_route(g, name, style));
        }
        // Old ifupdown's `gateway` names no device, without which a link-local gateway is nowhere.
        Some(IpAddr::V6(g)) if g.is_unicast_link_local() && style != Style::Cidr => {
            up(default_route(g.into(), name, style));
        }
        Some(g) => options.push(("gateway".into(), g.to_string())),
        None => {}
    }
    if let Some(mtu) = nic.mtu {
        options.push(("mtu".into(), mtu.to_string()));
    }
    let mut list = Vec::new();
    for address in &own[1..] {
        let (ip, net_tools) = (if v4 { "ip" } else { "ip -6" }, style == Style::Aliases);
        match style {
            Style::Cidr => list.push(Wanted { family, method: "static", options: address_options(address, style) }),
            // See put_aliases.
            Style::Aliases if v4 => {}
            // ifconfig down leaves it, and the next ifup would fail: File exists.
            _ => options.extend(["up", "down"].map(|when| {
                let verb = if when == "up" { "add" } else { "del" };
                let command = match net_tools {
                    true => format!("ifconfig {name} {verb} {address}"),
                    false => format!("{ip} addr {verb} {address} dev {name}"),
                };
                (when.to_owned(), format!("{command} {MARK}"))
            })),
        }
    }
    list.insert(0, Wanted { family, method: "static", options });
    list
}

fn host_route(gateway: IpAddr, name: &str, style: Style) -> String {
    match (style, gateway) {
        (Style::Aliases, IpAddr::V4(g)) => format!("route add -host {g} dev {name}"),
        (Style::Aliases, IpAddr::V6(g)) => format!("route -A inet6 add {g}/128 dev {name}"),
        (_, IpAddr::V4(g)) => format!("ip route add {g} dev {name}"),
        (_, IpAddr::V6(g)) => format!("ip -6 route add {g} dev {name}"),
    }
}

fn default_route(gateway: IpAddr, name: &str, style: Style) -> String {
    match (style, gateway) {
        (Style::Aliases, IpAddr::V4(g)) => format!("route add default gw {g} dev {name}"),
        (Style::Aliases, IpAddr::V6(g)) => format!("route -A inet6 add default gw {g} dev {name}"),
        (_, IpAddr::V4(g)) => format!("ip route add default via {g} dev {name}"),
        (_, IpAddr::V6(g)) => format!("ip -6 route add default via {g} dev {name}"),
    }
}

fn address_options(address: &IpNet, style: Style) -> Vec<(String, String)> {
    if style == Style::Cidr {
        return vec![("address".into(), address.to_string())];
    }
    let netmask = match address {
        IpNet::V4(n) => n.netmask().to_string(),
        IpNet::V6(n) => n.prefix_len().to_string(),
    };
    vec![("address".into(), address.addr().to_string()), ("netmask".into(), netmask)]
}

fn build(nic: &Nic, wanted: &Wanted, header: Option<Logical>, keep: Vec<Logical>, end: &'static [u8]) -> Block {
    let text = format!("iface {} {} {}", nic.name, wanted.family, wanted.method);
    let header = header.unwrap_or_else(|| Logical::one(lines::line(text, end)));
    let indent = keep
        .iter()
        .find(|l| l.is_indented())
        .and_then(|l| l.lines.first())
        .map_or("    ".to_owned(), |l| l.view().chars().take_while(|c| c.is_whitespace()).collect());
    let twins: Vec<String> = keep.iter().filter_map(option).filter_map(|(k, v)| command(&k, &v)).collect();
    let mut body: Vec<Logical> = without_twins(wanted, &twins)
        .iter()
        .map(|(k, v)| Logical::one(lines::line(format!("{indent}{k} {v}"), end)))
        .collect();
    body.extend(keep);
    Block::Stanza { header, body }
}

/// The old header, when it says the same: it may carry a comment.
fn same_header(block: &Block, wanted: &Wanted) -> Option<Logical> {
    let words = block.iface()?;
    let same = words.get(1).is_some_and(|f| f == wanted.family) && words.get(2).is_some_and(|m| m == wanted.method);
    match block {
        Block::Stanza { header, .. } if same => Some(header.clone()),
        _ => None,
    }
}

/// The wanted options without the commands that the user has already: run twice they fail.
fn without_twins(wanted: &Wanted, users: &[String]) -> Vec<(String, String)> {
    wanted.options.iter().filter(|(k, v)| command(k, v).is_none_or(|c| !users.contains(&c))).cloned().collect()
}

fn user_commands(block: &Block, ours: &impl Fn(&str, &str) -> bool) -> Vec<String> {
    options(block).iter().filter(|(k, v)| !ours(k, v)).filter_map(|(k, v)| command(k, v)).collect()
}

/// The command of an `up` or `down` line, without mark, path and error handling.
fn command(key: &str, value: &str) -> Option<String> {
    let when = match key {
        "up" | "post-up" => "up",
        "down" | "pre-down" => "down",
        _ => return None,
    };
    let bare = value.trim_end_matches(MARK).trim().trim_end_matches("|| true").trim();
    let bare = ["/sbin/", "/bin/", "/usr/sbin/"].iter().find_map(|p| bare.strip_prefix(p)).unwrap_or(bare);
    Some(format!("{when} {bare}"))
}

fn option(logical: &Logical) -> Option<(String, String)> {
    if logical.is_blank() || logical.is_comment() {
        return None;
    }
    let text = logical.text();
    let (key, value) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
    Some((key.to_owned(), value.trim().to_owned()))
}

fn options(block: &Block) -> Vec<(String, String)> {
    match block {
        Block::Stanza { body, .. } => body.iter().filter_map(option).collect(),
        _ => Vec::new(),
    }
}

pub(super) fn value(block: &Block, key: &str) -> Option<String> {
    options(block).into_iter().find(|(k, _)| k == key).map(|(_, v)| v)
}

/// What a list of options claims, whatever the form: netmask or prefix length, any order. `broadcast` and `network`
/// follow from the address and are not compared.
fn claims(list: impl Iterator<Item = (String, String)>) -> Vec<(String, String)> {
    let list: Vec<(String, String)> = list.collect();
    let netmask = list.iter().find(|(k, _)| k == "netmask").map(|(_, v)| v.clone());
    let mut out: Vec<(String, String)> = list
        .into_iter()
        .filter(|(k, _)| !matches!(k.as_str(), "netmask" | "broadcast" | "network"))
        .map(|(k, v)| if k == "address" { (k, with_prefix(&v, netmask.as_deref())) } else { (k, v) })
        .collect();
    out.sort();
    out
}

pub(super) fn with_prefix(address: &str, netmask: Option<&str>) -> String {
    let Some(mask) = netmask.filter(|_| !address.contains('/')) else { return address.to_owned() };
    let prefix = match mask.parse::<IpAddr>() {
        Ok(mask) => ipnet::ip_mask_to_prefix(mask).ok(),
        Err(_) => mask.parse().ok(),
    };
    prefix.map_or_else(|| format!("{address}/{mask}"), |p| format!("{address}/{p}"))
}
