//! SUSE's /etc/sysconfig/network/ifcfg-* and ifroute-* (ifcfg(5), routes(5)), as its scripts and wicked read them.

use super::lines;
use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use std::net::IpAddr;

/// Keys of an address; any suffix makes another address.
const ADDRESS_KEYS: [&str; 8] =
    ["IPADDR", "NETMASK", "PREFIXLEN", "LABEL", "BROADCAST", "NETWORK", "SCOPE", "REMOTE_IPADDR"];

/// Interface names are cut to this many characters by the kernel, labels included.
const LABEL_LIMIT: usize = 15;

/// Writes ifcfg-NAME over the old file, whose other keys and comments stay.
///
/// Every further address has keys with a number: `IPADDR_1`, `PREFIXLEN_1`. `modern` is SLES 10 and later, which start an
/// interface `auto` where older releases say `onboot`. Gateways are in ifroute-NAME: see [`routes`].
pub fn ifcfg(nic: &Nic, old: Option<&[u8]>, modern: bool) -> Vec<u8> {
    let mut vars = ShellVars::parse(old.unwrap_or_default());
    let mode = vars.get("STARTMODE").unwrap_or_default();
    if nic.method == Method::None {
        vars.set("STARTMODE", "off");
    } else if !matches!(mode.as_str(), "auto" | "onboot" | "on" | "boot" | "hotplug") {
        vars.set("STARTMODE", if modern { "auto" } else { "onboot" });
    }
    // Static without an address only brings the interface up; old releases do not know `none`.
    vars.set("BOOTPROTO", if nic.method == Method::Dhcp { "dhcp" } else { "static" });
    let wanted = wanted_addresses(nic);
    let kept = kept_suffixes(&vars, nic);
    vars.unset_where(|key| {
        suffix(key).is_some_and(|s| !kept.iter().any(|k| k == s)) && !wanted.iter().any(|(name, _)| name == key)
    });
    for (key, value) in &wanted {
        vars.set(key, value);
    }
    if let Some(mtu) = nic.mtu {
        vars.set("MTU", &mtu.to_string());
    }
    put_mac(&mut vars, nic);
    vars.render()
}

/// LLADDR gives the interface another address than LXC does.
fn put_mac(vars: &mut ShellVars, nic: &Nic) {
    if vars.get("LLADDR").is_some_and(|old| nic.mac.as_ref().is_none_or(|mac| !old.eq_ignore_ascii_case(mac))) {
        match &nic.mac {
            Some(mac) => vars.set("LLADDR", mac),
            None => {
                vars.unset("LLADDR");
            }
        }
    }
}

fn wanted_addresses(nic: &Nic) -> Vec<(String, String)> {
    let mut wanted = Vec::new();
    if nic.method != Method::Static {
        return wanted;
    }
    for (at, net) in nic.addresses.iter().enumerate() {
        let suffix = if at == 0 { String::new() } else { format!("_{at}") };
        wanted.push((format!("IPADDR{suffix}"), net.addr().to_string()));
        wanted.push((format!("PREFIXLEN{suffix}"), net.prefix_len().to_string()));
        let label = format!("{}:{at}", nic.name);
        if at > 0 && net.addr().is_ipv4() && label.len() <= LABEL_LIMIT {
            wanted.push((format!("LABEL{suffix}"), at.to_string()));
        }
    }
    wanted
}

fn suffix(key: &str) -> Option<&str> {
    ADDRESS_KEYS.iter().find_map(|name| key.strip_prefix(name))
}

/// The suffixes of addresses that stay: those with a name (`IPADDR_vip`) are a person's, unless the plan has the address.
/// With DHCP the IPv6 addresses of the file stay too, as nobody gives others.
fn kept_suffixes(vars: &ShellVars, nic: &Nic) -> Vec<String> {
    let stays = |suffix: &str, value: &str| {
        let address = value.split('/').next().and_then(|a| a.parse::<IpAddr>().ok());
        let planned = nic.method == Method::Static && nic.addresses.iter().any(|n| Some(n.addr()) == address);
        let named = !suffix.trim_start_matches('_').bytes().all(|b| b.is_ascii_digit());
        (named && !planned) || (nic.method == Method::Dhcp && value.contains(':'))
    };
    let all = vars.keys().into_iter().filter_map(|key| Some((key, key.strip_prefix("IPADDR")?)));
    // The bound is against a file that lists thousands of addresses to keep us busy.
    all.take(256).filter(|(key, s)| vars.get(key).is_some_and(|v| stays(s, &v))).map(|(_, s)| s.to_owned()).collect()
}

/// Returns the lines of ifroute-NAME: the way to an off-link gateway, then the default route through it. The scripts before
/// wicked have the mask in a field of its own.
pub fn routes(nic: &Nic, wicked: bool) -> Vec<String> {
    let (name, mut lines) = (&nic.name, Vec::new());
    if nic.method != Method::Static {
        return lines;
    }
    if let Some(gateway) = nic.gateway4 {
        if nic.gateway4_off_link() {
            lines.push(match wicked {
                true => format!("{gateway}/32 - - {name}"),
                false => format!("{gateway} - 255.255.255.255 {name}"),
            });
        }
        lines.push(format!("default {gateway} - {name}"));
    }
    if let Some(gateway) = nic.gateway6 {
        if nic.gateway6_off_link() {
            lines.push(format!("{gateway}/128 - - {name}"));
        }
        lines.push(format!("default {gateway} - {name}"));
    }
    lines
}

/// Puts the lines of [`routes`] into ifroute-NAME: other default routes go, the user's routes stay. With `keep_v6` so do
/// default routes of IPv6 (DHCP gives none).
pub fn merge_routes(old: &[u8], wanted: &[String], keep_v6: bool) -> Vec<u8> {
    let goes = |words: &[&str]| default_is_v6(words).is_some_and(|v6| !(v6 && keep_v6));
    lines::merge(old, wanted.join("\n").as_bytes(), goes)
}

/// Takes the default routes out of the common file `routes` that would contradict those of the interface `name`: of the
/// same address family, through it or through no interface in particular.
pub fn yield_default(old: &[u8], wanted: &[String], name: &str) -> Vec<u8> {
    let family = |line: &String| default_is_v6(&line.split_whitespace().collect::<Vec<_>>());
    let families: Vec<bool> = wanted.iter().filter_map(family).collect();
    lines::merge(old, b"", |words| {
        let mine = words.get(3).is_none_or(|device| *device == "-" || *device == name);
        mine && default_is_v6(words).is_some_and(|v6| families.contains(&v6))
    })
}

/// Tells the address family of a default route, `true` for IPv6; `None` for any other line.
fn default_is_v6(words: &[&str]) -> Option<bool> {
    let gateway_v6 = || words.get(1).and_then(|g| g.parse::<IpAddr>().ok()).is_some_and(|g| g.is_ipv6());
    match *words.first()? {
        "default" => Some(gateway_v6()),
        "0.0.0.0/0" => Some(false),
        "::/0" => Some(true),
        "0.0.0.0" => (words.get(2) == Some(&"0.0.0.0")).then_some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(nic: &Nic, old: Option<&str>, modern: bool) -> String {
        let once = ifcfg(nic, old.map(str::as_bytes), modern);
        assert_eq!(ifcfg(nic, Some(&once), modern), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn every_address_has_its_keys() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("10.0.0.1"), None);
        n.mtu = Some(1400);
        assert_eq!(
            run(&n, None, true),
            "STARTMODE=auto\nBOOTPROTO=static\nIPADDR=10.0.0.101\nPREFIXLEN=24\nIPADDR_1=10.0.0.102\nPREFIXLEN_1=32\n\
             LABEL_1=1\nIPADDR_2=2001:db8::1\nPREFIXLEN_2=64\nMTU=1400\n"
        );
        n.name = "abcdefghijklmno".into();
        assert!(!run(&n, None, false).contains("LABEL"), "a label that the kernel would refuse");
        assert!(run(&n, None, false).starts_with("STARTMODE=onboot\n"));
    }

    #[test]
    fn the_users_keys_stay_and_stale_addresses_go() {
        let old = "# my card\nSTARTMODE='hotplug'\nBOOTPROTO='dhcp'\nIPADDR='1.2.3.4/8'\nNETMASK=''\nBROADCAST=''\n\
                   IPADDR_x='10.0.0.101'\nPREFIXLEN_x='8'\nLABEL_x='x'\nIPADDR_1='1.2.3.5'\nLABEL_1='1'\nIPADDR_vip='10.0.0.9/24'\nLABEL_vip='vip'\nLLADDR='00:18:51:00:00:01'\nETHTOOL_OPTIONS='-K $d'\nNAME='Net'";
        assert_eq!(
            run(&nic(&["10.0.0.101/24"], None, None), Some(old), true),
            "# my card\nSTARTMODE='hotplug'\nBOOTPROTO='static'\nIPADDR='10.0.0.101'\nIPADDR_vip='10.0.0.9/24'\nLABEL_vip='vip'\nETHTOOL_OPTIONS='-K $d'\nNAME='Net'\nPREFIXLEN=24\n"
        );
        let mut n = nic(&["10.0.0.101/24"], None, None);
        n.method = Method::Dhcp;
        n.mac = Some("00:16:3e:00:00:01".into());
        let text = run(&n, Some(&format!("{old}\nIPADDR_6=fd00::1\nPREFIXLEN_6=64\n")), true);
        assert!(!text.contains("1.2.3") && text.contains("IPADDR_6=fd00::1\nPREFIXLEN_6=64\n"), "{text}");
        assert!(text.contains("LLADDR='00:16:3e:00:00:01'"), "{text}");
        n.method = Method::None;
        assert!(
            run(&n, Some("STARTMODE=auto\nIPADDR=1.2.3.4\n"), true).starts_with("STARTMODE=off\nBOOTPROTO=static\n")
        );
        n.method = Method::Manual;
        assert_eq!(run(&n, None, true), "STARTMODE=auto\nBOOTPROTO=static\n");
    }

    #[test]
    fn an_off_link_gateway_is_reached_first_and_a_link_local_one_directly() {
        let off = nic(&["10.0.0.101/32", "2001:db8::1/128"], Some("192.168.1.1"), Some("2001:db8:1::1"));
        assert_eq!(
            routes(&off, true),
            [
                "192.168.1.1/32 - - eth0",
                "default 192.168.1.1 - eth0",
                "2001:db8:1::1/128 - - eth0",
                "default 2001:db8:1::1 - eth0"
            ]
        );
        assert_eq!(
            routes(&off, false),
            [
                "192.168.1.1 - 255.255.255.255 eth0",
                "default 192.168.1.1 - eth0",
                "2001:db8:1::1/128 - - eth0",
                "default 2001:db8:1::1 - eth0"
            ]
        );
        let near = nic(&["10.0.0.101/24", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        assert_eq!(routes(&near, true), ["default 10.0.0.1 - eth0", "default fe80::1 - eth0"]);
        let dhcp = Nic { method: Method::Dhcp, ..near };
        assert!(routes(&dhcp, true).is_empty());
    }

    #[test]
    fn routes_of_the_user_stay() {
        let wanted = routes(&nic(&["10.0.0.101/24"], Some("10.0.0.1"), None), true);
        let old = b"# mine\n10.9.0.0/16 10.0.0.7 - eth0\ndefault 10.0.0.254\ndefault fe80::7 - eth0\n0.0.0.0 10.1.1.1 0.0.0.0";
        let once = merge_routes(old, &wanted, false);
        assert_eq!(once, b"# mine\n10.9.0.0/16 10.0.0.7 - eth0\ndefault 10.0.0.1 - eth0\n");
        assert_eq!(merge_routes(&once, &wanted, false), once);
        assert_eq!(merge_routes(old, &[], true), b"# mine\n10.9.0.0/16 10.0.0.7 - eth0\ndefault fe80::7 - eth0\n");
        let common =
            b"default 10.0.0.254 - -\ndefault fe80::7 - -\n10.8.0.0/16 10.0.0.7\n0.0.0.0 10.1.1.1 0.0.0.0 eth1";
        assert_eq!(
            yield_default(common, &wanted, "eth0"),
            b"default fe80::7 - -\n10.8.0.0/16 10.0.0.7\n0.0.0.0 10.1.1.1 0.0.0.0 eth1"
        );
    }
}
