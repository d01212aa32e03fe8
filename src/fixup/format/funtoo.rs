//! Funtoo's /etc/conf.d/netif.NAME, read by /etc/init.d/netif.NAME (a link to netif.tmpl).

use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use std::net::IpAddr;

/// Writes the file over the old one; other variables and the user's own routes stay.
///
/// `route` and `route6` are lists for `ip route add`, parted by semicolons. Without addresses of our own (manual, none) the
/// template `interface-noip` only brings the interface up and still provides `net`. There is no template for DHCP that
/// every release has: see the caller.
pub fn netif(old: &[u8], nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Vec<u8> {
    let mut vars = ShellVars::parse(old);
    let own = nic.method == Method::Static && !nic.addresses.is_empty();
    vars.set("template", if own { "interface" } else { "interface-noip" });
    for key in ["ipaddr", "gateway", "gateway6"] {
        vars.unset(key);
    }
    let addresses: Vec<String> = nic.addresses.iter().filter(|_| own).map(ToString::to_string).collect();
    put(&mut vars, "ipaddrs", &addresses.join(" "));
    let v4 = nic.gateway4.map(|g| (IpAddr::from(g), nic.gateway4_off_link()));
    let v6 = nic.gateway6.map(|g| (IpAddr::from(g), nic.gateway6_off_link()));
    for (key, gateway) in [("route", v4), ("route6", v6)] {
        let mut routes = gateway.filter(|_| own).map(|(g, off)| ways(g, off, &nic.name)).unwrap_or_default();
        let old = vars.get(key).unwrap_or_default();
        let users = old.split(';').map(str::trim).filter(|r| !r.is_empty() && !ours(r));
        routes.extend(users.map(str::to_owned));
        put(&mut vars, key, &routes.join("; "));
    }
    if let Some(mtu) = nic.mtu {
        vars.set("mtu", &mtu.to_string());
    }
    if own {
        let servers: Vec<String> = dns.iter().map(ToString::to_string).collect();
        for (key, value) in [("nameservers", servers.join(" ")), ("search", domains.join(" "))] {
            if !value.is_empty() {
                vars.set(key, &value);
            }
        }
    }
    vars.render()
}

fn ways(gateway: IpAddr, off_link: bool, name: &str) -> Vec<String> {
    let host = off_link.then(|| format!("{gateway} dev {name}"));
    host.into_iter().chain([format!("default via {gateway} dev {name}")]).collect()
}

/// A default route, or a host route to a gateway as [`ways`] writes it.
fn ours(route: &str) -> bool {
    let words: Vec<&str> = route.split_whitespace().collect();
    match words.as_slice() {
        [first, ..] if matches!(*first, "default" | "0.0.0.0/0" | "::/0") => true,
        [host, "dev", _] => host.parse::<IpAddr>().is_ok(),
        _ => false,
    }
}

fn put(vars: &mut ShellVars, key: &str, value: &str) {
    if value.is_empty() {
        vars.unset(key);
    } else {
        vars.set(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(old: &str, nic: &Nic) -> String {
        let once = netif(old.as_bytes(), nic, &["10.0.0.53".parse().unwrap()], &["example.com".into()]);
        let again = netif(&once, nic, &["10.0.0.53".parse().unwrap()], &["example.com".into()]);
        assert_eq!(again, once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn addresses_routes_and_name_servers() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/24", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        assert_eq!(
            run("", &n),
            "template=interface\nipaddrs=\"10.0.0.101/24 10.0.0.102/24 2001:db8::1/64\"\n\
             route=\"default via 10.0.0.1 dev eth0\"\nroute6=\"default via fe80::1 dev eth0\"\nmtu=1400\n\
             nameservers=10.0.0.53\nsearch=example.com\n"
        );
    }

    #[test]
    fn the_users_routes_stay_and_an_off_link_gateway_is_reached_first() {
        let n = nic(&["10.0.0.101/32"], Some("192.168.1.1"), None);
        let old = "# mine\ntemplate=\"interface\"\nipaddr=\"1.2.3.4/8\"\ngateway=\"1.2.3.1\"\n\
                   route=\"10.9.0.0/16 via 10.0.0.7; default via 1.2.3.1\"\nmac_addr=\"00:16:3e:00:00:01\"\n";
        let text = run(old, &n);
        assert!(text.starts_with("# mine\ntemplate=\"interface\"\nroute=\"192.168.1.1 dev eth0; default via 192.168.1.1 dev eth0; 10.9.0.0/16 via 10.0.0.7\"\nmac_addr="), "{text}");
        assert!(!text.contains("1.2.3"), "{text}");
    }

    #[test]
    fn without_own_addresses_the_interface_is_only_brought_up() {
        for method in [Method::Manual, Method::None] {
            let n = Nic { method, ..nic(&["10.0.0.101/24"], Some("10.0.0.1"), None) };
            assert_eq!(
                run("template=interface\nipaddrs=1.2.3.4/8\nroute=\"default via 1.2.3.1\"\n", &n),
                "template=interface-noip\n"
            );
        }
    }
}
