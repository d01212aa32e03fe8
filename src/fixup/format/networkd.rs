//! systemd-networkd's NAME.network (systemd.network(5)).

use super::keyfile::Keyfile;
use super::pattern;
use crate::model::network::{Method, Nic};
use std::fmt::Write as _;
use std::net::IpAddr;

/// Writes a unit for an interface, with the name servers and search domains for its link.
///
/// An off-link gateway gets a host route and `GatewayOnLink=`: networkd of Debian 9 knows neither spelling of the latter
/// and needs the former. With [`Method::None`] the unit only says that networkd must not touch the interface.
pub fn network_unit(nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Vec<u8> {
    let mut out = format!("[Match]\nName={}\n", nic.name);
    let unmanaged = nic.method == Method::None;
    if unmanaged || nic.mtu.is_some() {
        out.push_str("\n[Link]\n");
        if unmanaged {
            out.push_str("Unmanaged=yes\n");
        }
        if let Some(mtu) = nic.mtu {
            put(&mut out, "MTUBytes", mtu);
        }
    }
    if unmanaged {
        return out.into_bytes();
    }
    out.push_str("\n[Network]\n");
    if nic.method == Method::Dhcp {
        out.push_str("DHCP=ipv4\n");
    }
    for server in dns {
        put(&mut out, "DNS", server);
    }
    if !domains.is_empty() {
        put(&mut out, "Domains", domains.join(" "));
    }
    if nic.method == Method::Static {
        for address in &nic.addresses {
            out.push_str("\n[Address]\n");
            put(&mut out, "Address", address);
        }
        if let Some(gateway) = nic.gateway4 {
            route(&mut out, gateway.into(), nic.gateway4_off_link());
        }
        if let Some(gateway) = nic.gateway6 {
            route(&mut out, gateway.into(), nic.gateway6_off_link());
        }
    }
    out.into_bytes()
}

/// Tells whether networkd may take a unit for an interface: everything in `[Match]` that can be judged here fits. A unit
/// without conditions matches every interface.
pub fn may_match(unit: &[u8], nic: &Nic) -> bool {
    let file = Keyfile::parse(unit);
    let conditions = file.pairs("Match");
    let values = |wanted: &str| {
        let all = conditions.iter().filter(|(key, _)| key == wanted);
        // An empty assignment forgets the ones before it.
        all.fold(Vec::new(), |mut words: Vec<&str>, (_, value)| {
            if value.is_empty() {
                words.clear();
            }
            words.extend(value.split_whitespace());
            words
        })
    };
    let fits = |key: &str, is: &dyn Fn(&str) -> bool| {
        let words = values(key);
        match words.first().and_then(|w| w.strip_prefix('!')) {
            Some(first) => !std::iter::once(first).chain(words.iter().skip(1).copied()).any(is),
            None => words.is_empty() || words.iter().any(|w| is(w)),
        }
    };
    fits("Name", &|w| pattern::fits(w.as_bytes(), nic.name.as_bytes()))
        && fits("Type", &|w| pattern::fits(w.as_bytes(), b"ether"))
        && fits("Kind", &|w| pattern::fits(w.as_bytes(), b"veth"))
        && fits("MACAddress", &|w| nic.mac.as_ref().is_none_or(|mac| w.eq_ignore_ascii_case(mac)))
}

/// Returns the settings of a unit that set an interface up beyond DHCP and name servers: addresses that are not the plan's,
/// routes other than the default one, tunnels and VLANs on it, and the like.
pub fn own_settings(unit: &[u8], nic: &Nic) -> Vec<String> {
    const COMMON: [&str; 14] = [
        "DHCP",
        "DNS",
        "Domains",
        "Gateway",
        "GatewayOnLink",
        "GatewayOnlink",
        "MTUBytes",
        "MACAddress",
        "Unmanaged",
        "RequiredForOnline",
        "LinkLocalAddressing",
        "IPv6AcceptRA",
        "Description",
        "Scope",
    ];
    let file = Keyfile::parse(unit);
    let planned = |value: &str| {
        let address = value.split('/').next().and_then(|a| a.parse::<IpAddr>().ok());
        address.is_some_and(|a| nic.addresses.iter().any(|n| n.addr() == a) || nic.gateway4.is_some_and(|g| a == g))
            || matches!(value, "0.0.0.0/0" | "::/0")
    };
    let mut found = Vec::new();
    for section in ["Link", "Network", "Address", "Route", "RoutingPolicyRule", "Neighbor"] {
        let pairs = file.pairs(section).into_iter();
        let own = pairs.filter(|(key, value)| !COMMON.contains(&key.as_str()) && !value.is_empty() && !planned(value));
        found.extend(own.map(|(key, value)| format!("{key}={value}")));
    }
    found
}

fn put(out: &mut String, key: &str, value: impl std::fmt::Display) {
    // Writing to a string does not fail.
    let _ = writeln!(out, "{key}={value}");
}

fn route(out: &mut String, gateway: IpAddr, off_link: bool) {
    if off_link {
        out.push_str("\n[Route]\n");
        put(out, "Destination", format_args!("{gateway}/{}", if gateway.is_ipv4() { 32 } else { 128 }));
        if gateway.is_ipv4() {
            // IPv6 routes have no scope.
            put(out, "Scope", "link");
        }
    }
    out.push_str("\n[Route]\n");
    put(out, "Gateway", gateway);
    if off_link {
        put(out, "GatewayOnLink", "yes");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn unit(nic: &Nic) -> String {
        let dns = ["10.0.0.53".parse().unwrap()];
        String::from_utf8(network_unit(nic, &dns, &["example.com".into(), "example.net".into()])).unwrap()
    }

    #[test]
    fn addresses_and_an_on_link_gateway() {
        let mut n = nic(&["10.0.0.101/24", "2001:db8::101/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        assert_eq!(
            unit(&n),
            "[Match]\nName=eth0\n\n[Link]\nMTUBytes=1400\n\n[Network]\nDNS=10.0.0.53\nDomains=example.com example.net\n\
             \n[Address]\nAddress=10.0.0.101/24\n\n[Address]\nAddress=2001:db8::101/64\n\
             \n[Route]\nGateway=10.0.0.1\n\n[Route]\nGateway=fe80::1\n"
        );
    }

    #[test]
    fn an_off_link_gateway_is_reached_first() {
        let text = unit(&nic(&["10.0.0.101/32", "2001:db8::101/128"], Some("192.168.1.1"), Some("2001:db8:1::1")));
        assert!(
            text.ends_with(
                "\n[Route]\nDestination=192.168.1.1/32\nScope=link\n\n[Route]\nGateway=192.168.1.1\nGatewayOnLink=yes\n\
                 \n[Route]\nDestination=2001:db8:1::1/128\n\n[Route]\nGateway=2001:db8:1::1\nGatewayOnLink=yes\n"
            ),
            "{text}"
        );
    }

    #[test]
    fn dhcp_and_hands_off() {
        let mut n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        n.method = Method::Dhcp;
        assert!(unit(&n).contains("DHCP=ipv4") && !unit(&n).contains("Address="));
        n.method = Method::None;
        assert_eq!(unit(&n), "[Match]\nName=eth0\n\n[Link]\nUnmanaged=yes\n");
    }

    #[test]
    fn what_a_unit_says_beyond_the_plan_is_found() {
        let n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        let unit = "[Match]\nName=eth0\n[Network]\nDHCP=yes\nDNS=8.8.8.8\nAddress=10.0.0.101/24\nGateway=10.0.0.1\nVLAN=lan7\n\
            [Address]\nAddress=10.9.9.9/24\nLabel=eth0:vip\n[Route]\nDestination=0.0.0.0/0\nGateway=10.9.9.1\n[Route]\nDestination=10.8.0.0/16\n\
            [DHCPv4]\nUseDNS=no\n";
        assert_eq!(
            own_settings(unit.as_bytes(), &n),
            ["VLAN=lan7", "Address=10.9.9.9/24", "Label=eth0:vip", "Destination=10.8.0.0/16"]
        );
        assert!(own_settings(b"[Match]\nName=*\n[Network]\nDHCP=yes\n", &n).is_empty());
    }

    #[test]
    fn a_unit_matches_by_everything_that_can_be_judged() {
        let n = Nic { mac: Some("00:16:3e:00:00:01".into()), ..nic(&[], None, None) };
        for unit in [
            "",
            "[Network]\nDHCP=yes\n",
            "[Match]\nName=en* e*\n",
            "[Match]\nName=!lo wl*\n",
            "[Match]\nName=lo\nName=\nName=eth?\nDriver=veth\n",
            "[Match]\nName=eth[0-3]\n",
            "[Match]\nType=ether\nMACAddress=00:16:3E:00:00:01\n",
        ] {
            assert!(may_match(unit.as_bytes(), &n), "{unit}");
        }
        for unit in
            ["Name=eth1", "Name=eth[1-3]", "Name=!lo eth*", "Type=wlan", "Kind=!veth", "MACAddress=00:18:51:00:00:01"]
        {
            assert!(!may_match(format!("# own\n[Match]\n{unit}\n").as_bytes(), &n), "{unit}");
        }
    }
}
