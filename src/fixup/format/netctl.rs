//! Arch's /etc/netctl/NAME (netctl.profile(5)).

use super::gentoo::merge_addresses;
use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use ipnet::IpNet;
use std::net::IpAddr;

/// Writes a profile over the old one; other settings and the user's own routes stay.
///
/// `ForceConnect` is there because LXC brings the interface up before the guest starts, and netctl refuses one that is up.
/// With [`Method::None`] no profile must be enabled: see the caller.
pub fn profile(old: Option<&[u8]>, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Vec<u8> {
    let mut vars = ShellVars::parse(old.unwrap_or_default());
    if old.is_none() {
        vars.set("Description", &format!("Ethernet {}", nic.name));
    }
    vars.set("Interface", &nic.name);
    vars.set("Connection", "ethernet");
    vars.set("ForceConnect", "yes");
    let own = nic.method == Method::Static;
    let v4: Vec<IpNet> = nic.v4().filter(|_| own).map(IpNet::from).collect();
    let v6: Vec<IpNet> = nic.v6().filter(|_| own).map(IpNet::from).collect();
    let merged = |vars: &ShellVars, key: &str, wanted: &[IpNet]| match wanted {
        [] => Vec::new(),
        _ => merge_addresses(&vars.words(key).unwrap_or_default(), wanted),
    };
    let (v4, v6) = (merged(&vars, "Address", &v4), merged(&vars, "Address6", &v6));
    let off = |addresses: &[String]| if addresses.is_empty() { "no" } else { "static" };
    vars.set("IP", if nic.method == Method::Dhcp { "dhcp" } else { off(&v4) });
    addresses(&mut vars, "Address", &v4);
    gateway(&mut vars, "", nic.gateway4.filter(|_| own).map(Into::into), nic.gateway4_off_link());
    if !v6.is_empty() || vars.get("IP6").is_some_and(|m| own || m == "static") {
        vars.set("IP6", off(&v6));
    }
    addresses(&mut vars, "Address6", &v6);
    gateway(&mut vars, "6", nic.gateway6.filter(|_| own).map(Into::into), nic.gateway6_off_link());
    if let Some(mtu) = nic.mtu {
        let start = format!("link set dev {} mtu", nic.name);
        let mut custom = vars.words("IPCustom").unwrap_or_default();
        custom.retain(|c| !c.starts_with(&start));
        custom.push(format!("{start} {mtu}"));
        vars.set_words("IPCustom", &custom);
    }
    if own {
        let servers: Vec<String> = dns.iter().map(ToString::to_string).collect();
        for (key, list) in [("DNS", servers.as_slice()), ("DNSSearch", domains)] {
            if !list.is_empty() {
                vars.set_words(key, list);
            }
        }
    }
    vars.render()
}

fn addresses(vars: &mut ShellVars, key: &str, list: &[String]) {
    if list.is_empty() {
        vars.unset(key);
    } else {
        vars.set_words(key, list);
    }
}

/// `Gateway` and `Routes`, or those of IPv6. The routes are set in their order, so an off-link gateway stands there
/// behind the way to it, and not in `Gateway`.
fn gateway(vars: &mut ShellVars, six: &str, gateway: Option<IpAddr>, off_link: bool) {
    let (gateway_key, routes_key) = (format!("Gateway{six}"), format!("Routes{six}"));
    let mut routes = match gateway {
        Some(g) if off_link => vec![g.to_string(), format!("default via {g}")],
        _ => Vec::new(),
    };
    match gateway.filter(|_| !off_link) {
        Some(g) => vars.set(&gateway_key, &g.to_string()),
        None => {
            vars.unset(&gateway_key);
        }
    }
    let ours = |r: &String| r.starts_with("default") || r.parse::<IpAddr>().is_ok();
    routes.extend(vars.words(&routes_key).unwrap_or_default().into_iter().filter(|r| !ours(r)));
    addresses(vars, &routes_key, &routes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(old: Option<&str>, nic: &Nic) -> String {
        let dns = ["10.0.0.53".parse().unwrap()];
        let once = profile(old.map(str::as_bytes), nic, &dns, &["example.com".into()]);
        assert_eq!(profile(Some(&once), nic, &dns, &["example.com".into()]), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn a_new_profile() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        assert_eq!(
            run(None, &n),
            "Description=\"Ethernet eth0\"\nInterface=eth0\nConnection=ethernet\nForceConnect=yes\nIP=static\n\
             Address=('10.0.0.101/24' '10.0.0.102/32')\nGateway=10.0.0.1\nIP6=static\nAddress6=('2001:db8::1/64')\n\
             Gateway6=fe80::1\nIPCustom=('link set dev eth0 mtu 1400')\nDNS=('10.0.0.53')\nDNSSearch=('example.com')\n"
        );
    }

    #[test]
    fn an_old_profile_keeps_what_is_the_users() {
        let old = "# mine\nDescription='web'\nInterface=eth0\nConnection=ethernet\nIP=dhcp\nGateway='1.2.3.1'\n\
                   Routes=('10.9.0.0/16 via 10.0.0.7' 'default via 1.2.3.1')\nSkipDAD=yes\nIP6=stateless\n";
        let n = nic(&["10.0.0.101/32"], Some("192.168.1.1"), None);
        assert_eq!(
            run(Some(old), &n),
            "# mine\nDescription='web'\nInterface=eth0\nConnection=ethernet\nIP=static\n\
             Routes=('192.168.1.1' 'default via 192.168.1.1' '10.9.0.0/16 via 10.0.0.7')\nSkipDAD=yes\nIP6=no\n\
             ForceConnect=yes\nAddress=('10.0.0.101/32')\nDNS=('10.0.0.53')\nDNSSearch=('example.com')\n"
        );
    }

    #[test]
    fn a_labelled_address_stays() {
        let n = nic(&["10.0.0.101/24"], None, None);
        let old = "Address=('1.2.3.4/8' '10.0.0.9/24 label eth0:vip' '10.0.0.101/24 brd +')\n";
        let text = run(Some(old), &n);
        assert!(text.contains("Address=('10.0.0.101/24 brd +' '10.0.0.9/24 label eth0:vip')\n"), "{text}");
    }

    #[test]
    fn dhcp_and_manual_claim_no_address() {
        let mut n = nic(&["10.0.0.101/24", "2001:db8::1/64"], Some("10.0.0.1"), None);
        for (method, ip) in [(Method::Dhcp, "IP=dhcp\n"), (Method::Manual, "IP=no\n")] {
            n.method = method;
            let text =
                run(Some("IP=static\nAddress=('1.2.3.4/8')\nGateway=1.2.3.1\nIP6=static\nAddress6=('::2/64')\n"), &n);
            assert!(
                text.starts_with(ip)
                    && text.contains("IP6=no")
                    && !text.contains("ddress")
                    && !text.contains("Gateway"),
                "{text}"
            );
        }
    }
}
