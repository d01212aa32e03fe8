//! Arch's netcfg: /etc/network.d/NAME and the list in /etc/conf.d/netcfg, before netctl took its place in 2013.

use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use std::net::IpAddr;

/// Where a profile says what its own settings cannot: further addresses, routes, MTU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extras {
    /// `IPCFG=(…)`, arguments of `ip` (netcfg 2.6 and later; vzctl uses it where systemd runs).
    IpCfg,
    /// `POST_UP`, a command that every version runs.
    PostUp,
}

/// Writes a profile over the old one; other settings stay. With [`Method::None`] no profile must be listed: see
/// [`networks`].
pub fn profile(old: Option<&[u8]>, nic: &Nic, dns: &[IpAddr], domains: &[String], extras: Extras) -> Vec<u8> {
    let mut vars = ShellVars::parse(old.unwrap_or_default());
    vars.set("CONNECTION", "ethernet");
    if old.is_none() {
        vars.set("DESCRIPTION", &format!("Ethernet {}", nic.name));
    }
    vars.set("INTERFACE", &nic.name);
    let own = nic.method == Method::Static;
    let first = nic.v4().next().filter(|_| own);
    vars.set(
        "IP",
        match (nic.method, first) {
            (Method::Dhcp, _) => "dhcp",
            (_, Some(_)) => "static",
            _ => "no",
        },
    );
    let on_link = nic.gateway4.filter(|_| own && first.is_some() && !nic.gateway4_off_link());
    for (key, value) in [
        ("ADDR", first.map(|n| n.addr().to_string())),
        ("NETMASK", first.map(|n| n.netmask().to_string())),
        ("GATEWAY", on_link.map(|g| g.to_string())),
    ] {
        match value {
            Some(value) => vars.set(key, &value),
            None => {
                vars.unset(key);
            }
        }
    }
    for key in ["IP6", "ADDR6", "ROUTES6", "GATEWAY6", "BROADCAST"] {
        if nic.method != Method::Dhcp {
            vars.unset(key);
        }
    }
    put_extras(&mut vars, nic, extras);
    if own {
        let servers: Vec<String> = dns.iter().map(ToString::to_string).collect();
        if !servers.is_empty() {
            vars.set_words("DNS", &servers);
        }
        if !domains.is_empty() {
            vars.set("SEARCH", &domains.join(" "));
        }
    }
    vars.render()
}

/// Makes the list of profiles name the interface's (or not), and none of venet.
pub fn networks(old: &[u8], name: &str, listed: bool) -> Vec<u8> {
    let mut vars = ShellVars::parse(old);
    let old = vars.words("NETWORKS").unwrap_or_default();
    let is = |word: &String| word.trim_start_matches(['!', '@']) == name;
    let mut new: Vec<String> =
        old.iter().filter(|w| !w.trim_start_matches(['!', '@']).starts_with("venet")).cloned().collect();
    if !listed {
        new.retain(|w| !is(w));
    } else if let Some(word) = new.iter_mut().find(|w| is(w)) {
        *word = word.trim_start_matches('!').to_owned();
    } else {
        new.push(name.to_owned());
    }
    if new != old || (listed && !vars.is_array("NETWORKS")) {
        vars.set_words("NETWORKS", &new);
    }
    vars.render()
}

/// The arguments of `ip` that the profile's own settings do not cover.
fn commands(nic: &Nic) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(mtu) = nic.mtu {
        out.push(format!("link set dev {} mtu {mtu}", nic.name));
    }
    if nic.method != Method::Static {
        return out;
    }
    let name = &nic.name;
    out.extend(nic.v4().skip(1).map(|a| format!("addr add {a} dev {name}")));
    out.extend(nic.v6().map(|a| format!("-6 addr add {a} dev {name}")));
    if let Some(g) = nic.gateway4.filter(|_| nic.gateway4_off_link()) {
        out.push(format!("route add {g} dev {name}"));
        out.push(format!("route add default via {g} dev {name}"));
    }
    if let Some(g) = nic.gateway6 {
        if nic.gateway6_off_link() {
            out.push(format!("-6 route add {g} dev {name}"));
        }
        out.push(format!("-6 route add default via {g} dev {name}"));
    }
    out
}

/// Tells whether a command is of the kind that [`commands`] makes for this interface.
fn is_ours(command: &str, name: &str) -> bool {
    let words: Vec<&str> = command.split_whitespace().filter(|w| *w != "-6").collect();
    match words.as_slice() {
        ["link", "set", "dev", dev, "mtu", _] | ["addr", "add", _, "dev", dev] => *dev == name,
        ["route", "add", host, "dev", dev] => *dev == name && host.parse::<IpAddr>().is_ok(),
        ["route", "add", "default", "via", _, "dev", dev] => *dev == name,
        _ => false,
    }
}

fn put_extras(vars: &mut ShellVars, nic: &Nic, extras: Extras) {
    let wanted = commands(nic);
    match extras {
        Extras::IpCfg => {
            let mut list = wanted;
            let old = vars.words("IPCFG").unwrap_or_default();
            list.extend(old.into_iter().filter(|c| !is_ours(c, &nic.name)));
            if list.is_empty() {
                vars.unset("IPCFG");
            } else {
                vars.set_words("IPCFG", &list);
            }
        }
        Extras::PostUp => {
            let old = vars.get("POST_UP").unwrap_or_default();
            let ours = |c: &str| c.strip_prefix("ip ").is_some_and(|c| is_ours(c, &nic.name));
            let users = old.split("; ").filter(|c| !c.is_empty() && !ours(c)).map(str::to_owned);
            let list: Vec<String> = wanted.iter().map(|c| format!("ip {c}")).chain(users).collect();
            if list.is_empty() {
                vars.unset("POST_UP");
            } else {
                vars.set("POST_UP", &list.join("; "));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(old: Option<&str>, nic: &Nic, extras: Extras) -> String {
        let dns = ["10.0.0.53".parse().unwrap()];
        let once = profile(old.map(str::as_bytes), nic, &dns, &["example.com".into()], extras);
        assert_eq!(
            profile(Some(&once), nic, &dns, &["example.com".into()], extras),
            once,
            "a second run changes nothing"
        );
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn what_has_no_setting_is_a_command() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        let head = "CONNECTION=ethernet\nDESCRIPTION=\"Ethernet eth0\"\nINTERFACE=eth0\nIP=static\nADDR=10.0.0.101\n\
                    NETMASK=255.255.255.0\nGATEWAY=10.0.0.1\n";
        let tail = "DNS=('10.0.0.53')\nSEARCH=example.com\n";
        assert_eq!(
            run(None, &n, Extras::IpCfg),
            format!(
                "{head}IPCFG=('link set dev eth0 mtu 1400' 'addr add 10.0.0.102/32 dev eth0' \
                 '-6 addr add 2001:db8::1/64 dev eth0' '-6 route add default via fe80::1 dev eth0')\n{tail}"
            )
        );
        assert!(
            run(None, &n, Extras::PostUp)
                .contains("\nPOST_UP=\"ip link set dev eth0 mtu 1400; ip addr add 10.0.0.102/32 dev eth0; ip -6")
        );
    }

    #[test]
    fn an_off_link_gateway_is_reached_first_and_the_users_commands_stay() {
        let n = nic(&["10.0.0.101/32"], Some("192.168.1.1"), None);
        let old = "# mine\nIP=\"dhcp\"\nGATEWAY=1.2.3.1\nIPCFG=('route add 10.9.0.0/16 via 10.0.0.7' 'addr add 1.2.3.4/8 dev eth0')\n";
        let text = run(Some(old), &n, Extras::IpCfg);
        assert!(text.contains("IPCFG=('route add 192.168.1.1 dev eth0' 'route add default via 192.168.1.1 dev eth0' 'route add 10.9.0.0/16 via 10.0.0.7')\n"), "{text}");
        assert!(text.starts_with("# mine\nIP=\"static\"\n") && !text.contains("GATEWAY"), "{text}");
        let text = run(Some("POST_UP='touch /run/x'\n"), &n, Extras::PostUp);
        assert!(text.starts_with("POST_UP='ip route add 192.168.1.1 dev eth0; ip route add default via 192.168.1.1 dev eth0; touch /run/x'\n"), "{text}");
    }

    #[test]
    fn dhcp_and_manual_claim_no_address() {
        let mut n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        for (method, ip) in [(Method::Dhcp, "IP=dhcp\n"), (Method::Manual, "IP=no\n")] {
            n.method = method;
            let text = run(Some("IP=static\nADDR=1.2.3.4\nNETMASK=255.0.0.0\nGATEWAY=1.2.3.1\n"), &n, Extras::IpCfg);
            assert!(text.starts_with(ip) && !text.contains("1.2.3"), "{text}");
        }
    }

    #[test]
    fn the_list_of_profiles() {
        let list = |old: &str, on: bool| {
            let once = networks(old.as_bytes(), "eth0", on);
            assert_eq!(networks(&once, "eth0", on), once);
            String::from_utf8(once).unwrap()
        };
        assert_eq!(list("# c\nNETWORKS=(venet0 venet0_0 @wlan)\n", true), "# c\nNETWORKS=('@wlan' 'eth0')\n");
        assert_eq!(list("NETWORKS=( \"eth0\" )\n", true), "NETWORKS=( \"eth0\" )\n");
        assert_eq!(list("NETWORKS=(!eth0)\n", true), "NETWORKS=('eth0')\n");
        assert_eq!(list("NETWORKS=(eth0 venet0)\n", false), "NETWORKS=()\n");
        assert_eq!(list("", true), "NETWORKS=('eth0')\n");
        assert_eq!(list("", false), "");
    }
}
