//! NetworkManager's keyfiles (nm-settings-keyfile(5)): sections of `key=value`.

use super::lines::{self, Line};
use super::pattern;
use crate::model::network::{Method, Nic};
use std::net::IpAddr;

/// A keyfile. Comments, unknown sections and keys are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keyfile {
    lines: Vec<Line>,
}

fn section_name(line: &Line) -> Option<String> {
    let view = line.view();
    Some(view.trim().strip_prefix('[')?.strip_suffix(']')?.to_owned())
}

fn pair(line: &Line) -> Option<(String, String)> {
    if line.is_comment() || line.text.trim_ascii_start().first() == Some(&b';') || section_name(line).is_some() {
        return None;
    }
    let view = line.view();
    let (key, value) = view.split_once('=')?;
    Some((key.trim().to_owned(), value.trim().to_owned()))
}

impl Keyfile {
    /// Reads a file.
    pub fn parse(text: &[u8]) -> Keyfile {
        Keyfile { lines: lines::split(text) }
    }

    /// Returns where each line of a section is: after its header, or after each of them when there are several.
    fn within(&self, section: &str) -> Vec<usize> {
        let mut inside = false;
        let mut found = Vec::new();
        for (at, line) in self.lines.iter().enumerate() {
            match section_name(line) {
                Some(name) => inside = name == section,
                None if inside => found.push(at),
                None => {}
            }
        }
        found
    }

    /// Returns the keys of a section with their values, in order.
    pub fn pairs(&self, section: &str) -> Vec<(String, String)> {
        self.within(section).into_iter().filter_map(|at| pair(&self.lines[at])).collect()
    }

    /// Returns a value: that of the last assignment, which is the one that counts.
    pub fn get(&self, section: &str, key: &str) -> Option<String> {
        self.pairs(section).into_iter().rev().find_map(|(name, value)| (name == key).then_some(value))
    }

    /// Assigns a value, in its place or at the end of the section, which is made when it is missing.
    pub fn set(&mut self, section: &str, key: &str, value: &str) {
        if self.get(section, key).as_deref() == Some(value) {
            return;
        }
        let end = lines::usual_end(self.lines.iter());
        let new = lines::line(format!("{key}={value}"), end);
        let within = self.within(section);
        let old = within.iter().rev().find(|at| pair(&self.lines[**at]).is_some_and(|(name, _)| name == key));
        if let Some(at) = old {
            self.lines[*at] = new;
            return;
        }
        let header = self.lines.iter().rposition(|l| section_name(l).as_deref() == Some(section));
        let Some(header) = header else {
            if !self.lines.is_empty() {
                self.lines.push(lines::line("", end));
            }
            self.lines.push(lines::line(format!("[{section}]"), end));
            self.lines.push(new);
            return;
        };
        // Behind the last line of the section that is not blank.
        let last = within.into_iter().rev().find(|at| *at > header && !self.lines[*at].is_blank()).unwrap_or(header);
        self.lines.insert(last + 1, new);
    }

    /// Removes the keys of a section for which `gone` says so.
    pub fn unset_where(&mut self, section: &str, gone: impl Fn(&str, &str) -> bool) {
        let within = self.within(section);
        let mut at = 0;
        self.lines.retain(|line| {
            at += 1;
            within.binary_search(&(at - 1)).is_err() || !pair(line).is_some_and(|(key, value)| gone(&key, &value))
        });
    }

    /// Returns the text.
    pub fn render(&self) -> Vec<u8> {
        lines::join(&self.lines)
    }

    /// Tells whether this is a profile of an Ethernet interface with this name.
    pub fn is_for(&self, name: &str) -> bool {
        let ethernet = self.get("connection", "type").is_some_and(|t| t == "ethernet" || t == "802-3-ethernet");
        ethernet && self.get("connection", "interface-name").as_deref() == Some(name)
    }

    /// Tells whether NetworkManager may activate this profile by itself on an interface that it does not name.
    pub fn rivals(&self, nic: &Nic) -> bool {
        let says = |section: &str, key: &str| self.get(section, key).filter(|value| !value.is_empty());
        let ethernet = says("connection", "type").is_some_and(|t| t == "ethernet" || t == "802-3-ethernet");
        let mac = says("ethernet", "mac-address").or_else(|| says("802-3-ethernet", "mac-address"));
        ethernet
            && says("connection", "interface-name").is_none()
            && !says("connection", "autoconnect").is_some_and(|v| matches!(v.as_str(), "false" | "no" | "0"))
            && self.match_fits(nic)
            && mac.is_none_or(|mac| nic.mac.as_ref().is_none_or(|own| own.eq_ignore_ascii_case(&mac)))
    }

    /// Tells whether the section `[match]` lets the profile be used for an interface, as far as that can be judged: its names
    /// are patterns of which one must fit, and every one behind `&` or `!`.
    pub fn match_fits(&self, nic: &Nic) -> bool {
        let list = self.get("match", "interface-name").unwrap_or_default();
        let (mut optional, mut one) = (false, false);
        for element in list.split([';', ',', ' ']).filter(|e| !e.is_empty()) {
            let (must, rest) = match element.strip_prefix('|') {
                Some(rest) => (false, rest),
                None => (element.starts_with(['&', '!']), element.trim_start_matches('&')),
            };
            let (negated, rest) = (rest.starts_with('!'), rest.trim_start_matches('!'));
            let fits = pattern::fits(rest.as_bytes(), nic.name.as_bytes()) != negated;
            if must && !fits {
                return false;
            }
            optional |= !must;
            one |= !must && fits;
        }
        one || !optional
    }

    /// Tells whether the section `[match]` may keep the profile from an interface: its names do not fit, or it asks for a
    /// driver, a path or a kernel that cannot be known here.
    pub fn match_may_refuse(&self, nic: &Nic) -> bool {
        let others = self.pairs("match").into_iter().any(|(key, value)| key != "interface-name" && !value.is_empty());
        others || !self.match_fits(nic)
    }

    /// Returns `autoconnect-priority`: of the profiles that fit an interface the one with the highest is activated.
    pub fn priority(&self) -> i32 {
        self.get("connection", "autoconnect-priority")
            .and_then(|p| p.parse().ok())
            .unwrap_or(0)
            .clamp(-HIGHEST, HIGHEST)
    }
}

/// The highest `autoconnect-priority` that NetworkManager takes.
pub const HIGHEST: i32 = 999;

/// Gives a profile a higher priority than that of its rivals, when it has none.
pub fn above(profile: &[u8], rival: Option<i32>) -> Vec<u8> {
    let mut file = Keyfile::parse(profile);
    if let Some(rival) = rival.filter(|rival| file.priority() <= *rival) {
        file.set("connection", "autoconnect-priority", &(rival + 1).min(HIGHEST).to_string());
    }
    file.render()
}

/// Writes a profile over the old one, whose other keys and routes stay. [`Method::None`] has no profile: see [`unmanaged`].
pub fn profile(nic: &Nic, dns: &[IpAddr], domains: &[String], old: Option<&[u8]>) -> Vec<u8> {
    let mut file = Keyfile::parse(old.unwrap_or_default());
    if old.is_none() {
        // Profiles that name no interface must not win over this one.
        for (key, value) in [("id", nic.name.as_str()), ("type", "ethernet"), ("interface-name", nic.name.as_str())] {
            file.set("connection", key, value);
        }
        file.set("connection", "autoconnect-priority", "100");
    }
    file.unset_where("connection", |key, value| key == "autoconnect" && value != "true");
    for section in ["ethernet", "802-3-ethernet"] {
        // The first keeps the profile from an interface with another address, the second changes the address.
        file.unset_where(section, |key, value| {
            let known = |mac: &String| mac.eq_ignore_ascii_case(value);
            matches!(key, "mac-address" | "cloned-mac-address") && !nic.mac.as_ref().is_some_and(known)
        });
    }
    if let Some(mtu) = nic.mtu {
        let section = if file.pairs("802-3-ethernet").is_empty() { "ethernet" } else { "802-3-ethernet" };
        file.set(section, "mtu", &mtu.to_string());
    }
    let v4: Vec<String> = nic.v4().map(|n| n.to_string()).collect();
    let v6: Vec<String> = nic.v6().map(|n| n.to_string()).collect();
    let off = |gateway: Option<IpAddr>, off_link: bool| gateway.filter(|_| off_link);
    let (gateway4, gateway6) = (nic.gateway4.map(IpAddr::from), nic.gateway6.map(IpAddr::from));
    put(
        &mut file,
        nic,
        &Ip { section: "ipv4", addresses: &v4, gateway: gateway4, far: off(gateway4, nic.gateway4_off_link()) },
    );
    put_dns(&mut file, "ipv4", dns, domains);
    put(
        &mut file,
        nic,
        &Ip { section: "ipv6", addresses: &v6, gateway: gateway6, far: off(gateway6, nic.gateway6_off_link()) },
    );
    put_dns(&mut file, "ipv6", dns, domains);
    file.render()
}

struct Ip<'a> {
    section: &'a str,
    addresses: &'a [String],
    gateway: Option<IpAddr>,
    /// The gateway, when it needs a route of its own.
    far: Option<IpAddr>,
}

fn put(file: &mut Keyfile, nic: &Nic, ip: &Ip<'_>) {
    let Ip { section, addresses, gateway, far } = *ip;
    let v4 = section == "ipv4";
    let addresses = if nic.method == Method::Static { addresses } else { &[] };
    let method = match nic.method {
        Method::Dhcp if v4 => "auto",
        _ if !addresses.is_empty() => "manual",
        _ if v4 => "disabled",
        // Nobody said anything about IPv6: what the profile has stays, unless that is an address of the old place.
        _ => match file.get(section, "method") {
            Some(method) if method != "manual" || nic.method == Method::Dhcp => return,
            _ => "ignore",
        },
    };
    file.set(section, "method", method);
    let wanted: Vec<(String, &String)> =
        addresses.iter().enumerate().map(|(at, a)| (format!("address{}", at + 1), a)).collect();
    file.unset_where(section, |key, _| {
        is_numbered(key, &["address", "addresses"]) && !wanted.iter().any(|(k, _)| k == key)
    });
    for (key, address) in &wanted {
        file.set(section, key, address);
    }
    match gateway.filter(|_| !addresses.is_empty()) {
        Some(gateway) => file.set(section, "gateway", &gateway.to_string()),
        None => file.unset_where(section, |key, _| key == "gateway"),
    }
    if let Some(far) = far.filter(|_| !addresses.is_empty()) {
        let route = format!("{far}/{}", if v4 { 32 } else { 128 });
        let pairs = file.pairs(section);
        if !pairs.iter().any(|(key, value)| is_numbered(key, &["route", "routes"]) && *value == route) {
            let free = (1_u32..1000).map(|n| format!("route{n}")).find(|key| !pairs.iter().any(|(k, _)| k == key));
            if let Some(key) = free {
                file.set(section, &key, &route);
            }
        }
    }
}

fn is_numbered(key: &str, names: &[&str]) -> bool {
    names.iter().filter_map(|name| key.strip_prefix(name)).any(|n| n.bytes().all(|b| b.is_ascii_digit()))
}

/// Name servers are of use only where the family has addresses.
fn put_dns(file: &mut Keyfile, section: &str, dns: &[IpAddr], domains: &[String]) {
    let off = |method: &String| matches!(method.as_str(), "disabled" | "ignore");
    if file.get(section, "method").is_none_or(|m| off(&m)) {
        file.unset_where(section, |key, _| key == "dns" && !dns.is_empty());
        return;
    }
    let list = |words: &[String]| words.iter().map(|w| format!("{w};")).collect::<String>();
    let own: Vec<String> = dns.iter().filter(|d| d.is_ipv4() == (section == "ipv4")).map(ToString::to_string).collect();
    if own.is_empty() {
        file.unset_where(section, |key, _| key == "dns" && !dns.is_empty());
    } else {
        file.set(section, "dns", &list(&own));
    }
    if !domains.is_empty() {
        file.set(section, "dns-search", &list(domains));
    }
}

/// Keeps a profile of the interface from being activated beside the one that is written.
pub fn switch_off(old: &[u8]) -> Vec<u8> {
    let mut file = Keyfile::parse(old);
    file.set("connection", "autoconnect", "false");
    file.render()
}

/// Returns a file for conf.d that keeps NetworkManager's hands off an interface, for [`Method::None`].
pub fn unmanaged(nic: &Nic) -> Vec<u8> {
    format!("[device-ovz2lxc-{0}]\nmatch-device=interface-name:{0}\nmanaged=0\n", nic.name).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(nic: &Nic, old: Option<&str>) -> String {
        let dns = ["10.0.0.53".parse().unwrap(), "2001:db8::53".parse().unwrap()];
        let once = profile(nic, &dns, &["example.com".into()], old.map(str::as_bytes));
        assert_eq!(profile(nic, &dns, &["example.com".into()], Some(&once)), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn a_new_profile_has_everything() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        assert_eq!(
            run(&n, None),
            "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\nautoconnect-priority=100\n\n[ethernet]\nmtu=1400\n\n\
             [ipv4]\nmethod=manual\naddress1=10.0.0.101/24\naddress2=10.0.0.102/32\ngateway=10.0.0.1\ndns=10.0.0.53;\n\
             dns-search=example.com;\n\n[ipv6]\nmethod=manual\naddress1=2001:db8::1/64\ngateway=fe80::1\ndns=2001:db8::53;\n\
             dns-search=example.com;\n"
        );
    }

    #[test]
    fn an_off_link_gateway_gets_a_route() {
        let n = nic(&["10.0.0.101/32", "2001:db8::1/128"], Some("192.168.1.1"), Some("2001:db8:1::1"));
        let text = run(&n, None);
        assert!(text.contains("gateway=192.168.1.1\nroute1=192.168.1.1/32\n"), "{text}");
        assert!(text.contains("gateway=2001:db8:1::1\nroute1=2001:db8:1::1/128\n"), "{text}");
    }

    #[test]
    fn a_persons_profile_keeps_what_is_theirs() {
        let old = "# office\n[connection]\nid=Office\nuuid=1234\ntype=ethernet\ninterface-name=eth0\nautoconnect=false\n\n\
                   [ethernet]\nmac-address=00:18:51:00:00:01\nwake-on-lan=0\n\n[ipv4]\naddress1=1.2.3.4/8,1.2.3.1\naddress2=1.2.3.5/8\n\
                   addresses3=1.2.3.6/8\nroute1=10.9.0.0/16,10.0.0.7\nroute1_options=mtu=1000\nmethod=manual\n\n[ipv6]\naddr-gen-mode=eui64\nmethod=auto\n\n[proxy]";
        let text = run(&nic(&["10.0.0.101/24"], Some("192.168.1.1"), None), Some(old));
        assert_eq!(
            text,
            "# office\n[connection]\nid=Office\nuuid=1234\ntype=ethernet\ninterface-name=eth0\n\n\
             [ethernet]\nwake-on-lan=0\n\n[ipv4]\naddress1=10.0.0.101/24\nroute1=10.9.0.0/16,10.0.0.7\nroute1_options=mtu=1000\n\
             method=manual\ngateway=192.168.1.1\nroute2=192.168.1.1/32\ndns=10.0.0.53;\ndns-search=example.com;\n\n\
             [ipv6]\naddr-gen-mode=eui64\nmethod=auto\ndns=2001:db8::53;\ndns-search=example.com;\n\n[proxy]"
        );
    }

    #[test]
    fn other_methods_claim_no_address() {
        let mut n = nic(&["10.0.0.101/24", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.method = Method::Dhcp;
        let text = run(
            &n,
            Some(
                "[ipv4]\nmethod=manual\naddress1=1.2.3.4/8\ngateway=1.2.3.1\n[ipv6]\nmethod=manual\naddress1=fd00::1/64\n",
            ),
        );
        assert!(
            text.contains("[ipv4]\nmethod=auto\n") && !text.contains("1.2.3") && text.contains("fd00::1/64"),
            "{text}"
        );
        n.method = Method::Manual;
        let text = run(&n, None);
        assert!(text.ends_with("[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=ignore\n"), "{text}");
        n.method = Method::None;
        assert_eq!(unmanaged(&n), b"[device-ovz2lxc-eth0]\nmatch-device=interface-name:eth0\nmanaged=0\n");
        assert_eq!(switch_off(b"[connection]\nid=a\n\n[ipv4]\n"), b"[connection]\nid=a\nautoconnect=false\n\n[ipv4]\n");
    }

    #[test]
    fn the_names_of_a_match_section_are_patterns() {
        let n = nic(&["10.0.0.101/24"], None, None);
        for (names, fits) in [
            ("eth*;", true),
            ("wl*;en*;", false),
            ("wl*;eth[0-9];", true),
            ("!eth0;", false),
            ("!wl*;", true),
            ("&e*;&*1;", false),
            ("|wl*;&e*;", false),
            ("|eth0;&e*;", true),
            ("|!eth0;", false),
            ("", true),
        ] {
            let text = format!("[connection]\ntype=ethernet\n\n[match]\ninterface-name={names}\n");
            let file = Keyfile::parse(text.as_bytes());
            assert_eq!(
                (file.match_fits(&n), file.rivals(&n), file.match_may_refuse(&n)),
                (fits, fits, !fits),
                "{names}"
            );
        }
        let driver = Keyfile::parse(b"[connection]\ntype=ethernet\n[match]\ndriver=veth\n");
        assert!(driver.rivals(&n) && driver.match_may_refuse(&n));
    }

    #[test]
    fn profiles_are_told_by_type_and_interface() {
        let is = |text: &str| Keyfile::parse(text.as_bytes()).is_for("eth0");
        assert!(is("[connection]\ntype=802-3-ethernet\ninterface-name=eth0\n"));
        assert!(
            !is("[connection]\ntype=wifi\ninterface-name=eth0\n")
                && !is("[ipv4]\ninterface-name=eth0\ntype=ethernet\n")
        );
    }
}
