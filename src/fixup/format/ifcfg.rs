//! Red Hat's /etc/sysconfig/network-scripts/ifcfg-* and route-* (initscripts' sysconfig.txt).

use super::lines;
use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use ipnet::Ipv4Net;
use std::net::IpAddr;

/// Keys of an address that are followed by a number for every further address (EL6 and later).
const NUMBERED: [&str; 5] = ["IPADDR", "PREFIX", "NETMASK", "BROADCAST", "GATEWAY"];

/// Writes ifcfg-NAME over the old file, whose other keys and comments stay.
///
/// EL5 has one IPv4 address a file: see [`alias_files`]. Later versions have `IPADDR1`, `IPADDR2` and so on. A gateway
/// that is off-link is not written here: see [`route_files`]. With [`Method::None`] the file leaves the interface alone.
/// No name servers or search domains leave those that are there.
pub fn ifcfg(nic: &Nic, dns: &[IpAddr], domains: &[String], old: Option<&[u8]>, el_major: u32) -> Vec<u8> {
    let mut vars = ShellVars::parse(old.unwrap_or_default());
    vars.set("DEVICE", &nic.name);
    if vars.get("TYPE").is_none() {
        vars.set("TYPE", "Ethernet");
    }
    vars.set("ONBOOT", if nic.method == Method::None { "no" } else { "yes" });
    vars.set("BOOTPROTO", if nic.method == Method::Dhcp { "dhcp" } else { "none" });
    put_mac(&mut vars, nic);
    if let Some(mtu) = nic.mtu {
        vars.set("MTU", &mtu.to_string());
    }
    let is_static = nic.method == Method::Static;
    let v4: Vec<Ipv4Net> = nic.v4().filter(|_| is_static).collect();
    put_v4(&mut vars, &v4, el_major);
    match nic.gateway4.filter(|_| is_static && !nic.gateway4_off_link()) {
        Some(gateway) => vars.set("GATEWAY", &gateway.to_string()),
        None => {
            vars.unset("GATEWAY");
        }
    }
    put_v6(&mut vars, nic);
    put_dns(&mut vars, dns, domains);
    vars.render()
}

/// The first line of the alias files that this program writes: vzctl named its own `venet0:0`, so all others are a person's.
const MARK: &str = "# ovz2lxc";

/// Tells whether an alias file must go: it is one of an earlier run, or says what the plan says already.
pub fn alias_is_stale(nic: &Nic, text: &[u8]) -> bool {
    let address = ShellVars::parse(text).get("IPADDR").and_then(|a| a.parse::<IpAddr>().ok());
    let planned = nic.method == Method::Static && nic.addresses.iter().any(|n| Some(n.addr()) == address);
    planned || lines::split(text).first().is_some_and(|l| l.view() == MARK)
}

/// Returns the alias files that EL5 needs for the second and later IPv4 addresses, as (file name, text); none elsewhere.
/// The names of those that a person made are passed over.
pub fn alias_files(nic: &Nic, el_major: u32, taken: &[String]) -> Vec<(String, Vec<u8>)> {
    if el_major > 5 || nic.method != Method::Static {
        return Vec::new();
    }
    let free =
        (0_usize..).map(|n| format!("{}:{n}", nic.name)).filter(|name| !taken.contains(&format!("ifcfg-{name}")));
    nic.v4()
        .skip(1)
        .zip(free)
        .map(|(net, name)| {
            let text = format!("{MARK}\nDEVICE={name}\nONBOOT=yes\nIPADDR={}\nNETMASK={}\n", net.addr(), net.netmask());
            (format!("ifcfg-{name}"), text.into_bytes())
        })
        .collect()
}

/// Returns the route files that off-link gateways need, as (file name, text): first the way to the gateway, then the
/// default route through it.
pub fn route_files(nic: &Nic) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    if nic.method == Method::Static {
        let v4 = nic.gateway4.filter(|_| nic.gateway4_off_link()).map(IpAddr::from);
        let v6 = nic.gateway6.filter(|_| nic.gateway6_off_link()).map(IpAddr::from);
        for (kind, gateway) in [("route", v4), ("route6", v6)] {
            if let Some(g) = gateway {
                let text = format!("{g} dev {0}\ndefault via {g} dev {0}\n", nic.name);
                files.push((format!("{kind}-{}", nic.name), text.into_bytes()));
            }
        }
    }
    files
}

/// Puts the lines of one of [`route_files`] into a file that exists: other default routes go, the user's routes stay.
/// A file in the older form (`ADDRESS0=`, `NETMASK0=`, `GATEWAY0=`) stays in that form, because the scripts read a file
/// in one of the two only (initscripts, ifup-routes).
pub fn merge_routes(old: &[u8], new: &[u8]) -> Vec<u8> {
    let vars = ShellVars::parse(old);
    if vars.get("ADDRESS0").is_some() {
        return merge_numbered(vars, new);
    }
    let is_default = |words: &[&str]| matches!(words, ["default" | "0.0.0.0/0" | "::/0", ..]);
    lines::merge(old, new, is_default)
}

/// Returns the lines of /etc/sysconfig/static-routes (Red Hat Linux 7, Owl) for an off-link IPv4 gateway: each is an
/// interface and what is given to `route add -`.
pub fn static_routes(nic: &Nic) -> Vec<String> {
    match nic.gateway4.filter(|_| nic.method == Method::Static && nic.gateway4_off_link()) {
        Some(g) => vec![format!("{} host {g}", nic.name), format!("{} net default gw {g}", nic.name)],
        None => Vec::new(),
    }
}

/// Puts lines of [`static_routes`] into the file: other default routes of the interface go, everything else stays.
pub fn merge_static_routes(old: &[u8], wanted: &[String], name: &str) -> Vec<u8> {
    let is_default =
        |words: &[&str]| words.first() == Some(&name) && words.iter().any(|w| matches!(*w, "default" | "0.0.0.0"));
    lines::merge(old, wanted.join("\n").as_bytes(), is_default)
}

fn merge_numbered(mut vars: ShellVars, new: &[u8]) -> Vec<u8> {
    for line in lines::split(new) {
        let view = line.view();
        let words: Vec<&str> = view.split_whitespace().collect();
        let (address, mask, gateway) = match words.as_slice() {
            ["default", "via", gateway, ..] => ("0.0.0.0", "0.0.0.0", Some(*gateway)),
            [address, ..] => (*address, "255.255.255.255", None),
            [] => continue,
        };
        // The bound is against a file that numbers thousands of routes to keep us busy.
        let free = (0_u32..1000).find(|n| {
            let there = vars.get(&format!("ADDRESS{n}"));
            there.is_none_or(|a| a == address && vars.get(&format!("NETMASK{n}")).is_some_and(|m| m == mask))
        });
        let Some(n) = free else { continue };
        vars.set(&format!("ADDRESS{n}"), address);
        vars.set(&format!("NETMASK{n}"), mask);
        if let Some(gateway) = gateway {
            vars.set(&format!("GATEWAY{n}"), gateway);
        }
    }
    vars.render()
}

/// The scripts refuse an interface whose address is not HWADDR, so an old one must go even when no new one is known.
fn put_mac(vars: &mut ShellVars, nic: &Nic) {
    match &nic.mac {
        Some(mac) => {
            if !vars.get("HWADDR").is_some_and(|old| old.eq_ignore_ascii_case(mac)) {
                vars.set("HWADDR", mac);
            }
            if vars.get("MACADDR").is_some_and(|old| !old.eq_ignore_ascii_case(mac)) {
                vars.unset("MACADDR");
            }
        }
        None => {
            vars.unset("HWADDR");
        }
    }
}

fn put_v4(vars: &mut ShellVars, v4: &[Ipv4Net], el_major: u32) {
    // `IPADDR0` is another name of `IPADDR`: a stale one would be a second address.
    let used = if el_major > 5 { v4.len() } else { v4.len().min(1) };
    vars.unset_where(|key| is_stale(key, used));
    for (at, net) in v4.iter().take(used).enumerate() {
        let suffix = if at == 0 { String::new() } else { at.to_string() };
        let (prefix, netmask) = (format!("PREFIX{suffix}"), format!("NETMASK{suffix}"));
        vars.set(&format!("IPADDR{suffix}"), &net.addr().to_string());
        // Either form will do for EL6 and later, but not both with different meanings; EL5 knows the mask only.
        if el_major > 5 && (vars.get(&prefix).is_some() || vars.get(&netmask).is_none()) {
            vars.unset(&netmask);
            vars.set(&prefix, &net.prefix_len().to_string());
        } else {
            vars.unset(&prefix);
            vars.set(&netmask, &net.netmask().to_string());
        }
    }
}

/// Tells whether a key belongs to an address that is not written any more, or says what follows from the address.
fn is_stale(key: &str, used: usize) -> bool {
    if matches!(key, "NETWORK" | "BROADCAST") {
        return true;
    }
    NUMBERED.iter().filter_map(|name| key.strip_prefix(name)).any(|number| match number.parse::<usize>() {
        Ok(n) => n == 0 || n >= used || key.starts_with("BROADCAST") || key.starts_with("GATEWAY"),
        Err(_) => number.is_empty() && used == 0,
    })
}

fn put_v6(vars: &mut ShellVars, nic: &Nic) {
    let v6: Vec<String> = nic.v6().filter(|_| nic.method == Method::Static).map(|n| n.to_string()).collect();
    if let Some(first) = v6.first() {
        vars.set("IPV6INIT", "yes");
        vars.set("IPV6_AUTOCONF", "no");
        vars.set("IPV6ADDR", first);
    } else if matches!(nic.method, Method::Static | Method::Manual | Method::None) {
        vars.unset("IPV6ADDR");
    }
    match v6.get(1..).filter(|rest| !rest.is_empty()) {
        Some(rest) => vars.set("IPV6ADDR_SECONDARIES", &rest.join(" ")),
        None if nic.method != Method::Dhcp => {
            vars.unset("IPV6ADDR_SECONDARIES");
        }
        None => {}
    }
    match nic.gateway6.filter(|_| !v6.is_empty() && !nic.gateway6_off_link()) {
        // A link-local gateway is nowhere without its interface.
        Some(g) if g.is_unicast_link_local() => vars.set("IPV6_DEFAULTGW", &format!("{g}%{}", nic.name)),
        Some(g) => vars.set("IPV6_DEFAULTGW", &g.to_string()),
        None if nic.method != Method::Dhcp => {
            vars.unset("IPV6_DEFAULTGW");
        }
        None => {}
    }
    // vzctl's (redhat-add_ip.sh): it takes the default route away.
    vars.unset("IPV6_DEFAULTDEV");
}

fn put_dns(vars: &mut ShellVars, dns: &[IpAddr], domains: &[String]) {
    if !dns.is_empty() {
        let number = |key: &str| key.strip_prefix("DNS").and_then(|n| n.parse::<usize>().ok());
        vars.unset_where(|key| number(key).is_some_and(|n| n > dns.len()));
        for (at, server) in dns.iter().enumerate() {
            vars.set(&format!("DNS{}", at + 1), &server.to_string());
        }
    }
    if !domains.is_empty() {
        vars.set("DOMAIN", &domains.join(" "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(nic: &Nic, old: Option<&str>, el: u32) -> String {
        let dns = ["10.0.0.53".parse().unwrap()];
        let once = ifcfg(nic, &dns, &["example.com".into()], old.map(str::as_bytes), el);
        assert_eq!(ifcfg(nic, &dns, &["example.com".into()], Some(&once), el), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn el6_numbers_its_addresses() {
        let mut n = nic(
            &["10.0.0.101/24", "10.0.0.102/32", "10.0.0.103/16", "2001:db8::1/64", "2001:db8::2/64", "2001:db8::3/64"],
            Some("10.0.0.1"),
            Some("fe80::1"),
        );
        n.mac = Some("00:16:3e:00:00:65".into());
        n.mtu = Some(1400);
        assert_eq!(
            run(&n, None, 6),
            "DEVICE=eth0\nTYPE=Ethernet\nONBOOT=yes\nBOOTPROTO=none\nHWADDR=00:16:3e:00:00:65\nMTU=1400\n\
             IPADDR=10.0.0.101\nPREFIX=24\nIPADDR1=10.0.0.102\nPREFIX1=32\nIPADDR2=10.0.0.103\nPREFIX2=16\n\
             GATEWAY=10.0.0.1\nIPV6INIT=yes\nIPV6_AUTOCONF=no\nIPV6ADDR=2001:db8::1/64\n\
             IPV6ADDR_SECONDARIES=\"2001:db8::2/64 2001:db8::3/64\"\nIPV6_DEFAULTGW=fe80::1%eth0\n\
             DNS1=10.0.0.53\nDOMAIN=example.com\n"
        );
        assert!(alias_files(&n, 6, &[]).is_empty() && route_files(&n).is_empty());
    }

    #[test]
    fn el5_has_netmasks_and_alias_files() {
        let n = nic(&["10.0.0.101/24", "10.0.0.102/32"], Some("10.0.0.1"), None);
        let text = run(&n, None, 5);
        assert!(text.contains("IPADDR=10.0.0.101\nNETMASK=255.255.255.0\n") && !text.contains("IPADDR1"), "{text}");
        let files = alias_files(&n, 5, &[]);
        assert_eq!(files.len(), 1);
        assert_eq!(files[0].0, "ifcfg-eth0:0");
        assert_eq!(files[0].1, b"# ovz2lxc\nDEVICE=eth0:0\nONBOOT=yes\nIPADDR=10.0.0.102\nNETMASK=255.255.255.255\n");
    }

    #[test]
    fn the_users_keys_stay_and_stale_addresses_go() {
        let old = "# my card\nDEVICE=\"eth0\"\nHWADDR=00:18:51:AA:BB:CC\nBOOTPROTO=dhcp\nONBOOT=\"yes\"\nETHTOOL_OPTS=\"x y\"\n\
                   IPADDR=1.2.3.4\nNETMASK=255.0.0.0\nIPADDR1=1.2.3.5\nPREFIX1=8\nBROADCAST=1.255.255.255\nGATEWAY=1.2.3.1\nGATEWAYDEV=eth0";
        let text = run(&nic(&["10.0.0.101/24"], Some("192.168.1.1"), None), Some(old), 6);
        assert_eq!(
            text,
            "# my card\nDEVICE=\"eth0\"\nBOOTPROTO=none\nONBOOT=\"yes\"\nETHTOOL_OPTS=\"x y\"\nIPADDR=10.0.0.101\n\
             NETMASK=255.255.255.0\nGATEWAYDEV=eth0\nTYPE=Ethernet\nDNS1=10.0.0.53\nDOMAIN=example.com\n"
        );
    }

    #[test]
    fn dhcp_and_none_claim_no_address() {
        let mut n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        n.method = Method::Dhcp;
        let text = run(&n, Some("IPADDR=1.2.3.4\nPREFIX=8\nGATEWAY=1.2.3.1\nIPV6ADDR=fd00::1/64\n"), 7);
        assert!(
            text.contains("BOOTPROTO=dhcp") && !text.contains("1.2.3") && text.contains("IPV6ADDR=fd00::1/64"),
            "{text}"
        );
        n.method = Method::None;
        let text = run(&n, Some("IPADDR=1.2.3.4\nIPV6ADDR=fd00::1/64\n"), 7);
        assert!(text.contains("ONBOOT=no") && !text.contains("IPADDR") && !text.contains("IPV6ADDR"), "{text}");
    }

    #[test]
    fn off_link_gateways_go_into_route_files() {
        let n = nic(&["10.0.0.101/32", "2001:db8::1/128"], Some("192.168.1.1"), Some("2001:db8:1::1"));
        let text = run(&n, Some("GATEWAY=10.0.0.1\n"), 7);
        assert!(!text.contains("GATEWAY") && !text.contains("DEFAULTGW"), "{text}");
        let files = route_files(&n);
        assert_eq!(
            files[0],
            ("route-eth0".into(), b"192.168.1.1 dev eth0\ndefault via 192.168.1.1 dev eth0\n".to_vec())
        );
        assert_eq!(files[1].0, "route6-eth0");
        assert_eq!(files[1].1, b"2001:db8:1::1 dev eth0\ndefault via 2001:db8:1::1 dev eth0\n");
    }

    #[test]
    fn old_scripts_have_one_file_for_the_routes_of_all_interfaces() {
        let wanted = static_routes(&nic(&["10.0.0.101/32"], Some("192.168.1.1"), None));
        let old = b"# mine\neth0 net 10.9.0.0 netmask 255.255.0.0 gw 10.0.0.7\neth0 net default gw 10.0.0.1\neth1 net default gw 10.1.0.1";
        let once = merge_static_routes(old, &wanted, "eth0");
        assert_eq!(
            String::from_utf8(once.clone()).unwrap(),
            "# mine\neth0 net 10.9.0.0 netmask 255.255.0.0 gw 10.0.0.7\neth1 net default gw 10.1.0.1\neth0 host 192.168.1.1\n\
             eth0 net default gw 192.168.1.1\n"
        );
        assert_eq!(merge_static_routes(&once, &wanted, "eth0"), once);
        assert!(static_routes(&nic(&["10.0.0.101/24"], Some("10.0.0.1"), None)).is_empty());
    }

    #[test]
    fn routes_of_the_user_stay() {
        let new = &route_files(&nic(&["10.0.0.101/32"], Some("192.168.1.1"), None))[0].1;
        let once = merge_routes(b"# mine\n10.9.0.0/16 via 10.0.0.7\ndefault via 10.0.0.1 dev venet0", new);
        assert_eq!(once, b"# mine\n10.9.0.0/16 via 10.0.0.7\n192.168.1.1 dev eth0\ndefault via 192.168.1.1 dev eth0\n");
        assert_eq!(merge_routes(&once, new), once);
        let once = merge_routes(b"ADDRESS0=10.9.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.0.7\n", new);
        assert_eq!(
            once,
            b"ADDRESS0=10.9.0.0\nNETMASK0=255.255.0.0\nGATEWAY0=10.0.0.7\nADDRESS1=192.168.1.1\nNETMASK1=255.255.255.255\n\
              ADDRESS2=0.0.0.0\nNETMASK2=0.0.0.0\nGATEWAY2=192.168.1.1\n"
        );
        assert_eq!(merge_routes(&once, new), once);
    }
}
