//! Gentoo's /etc/conf.d/net (net.example of netifrc and of baselayout 1).

use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use ipnet::IpNet;
use std::net::IpAddr;

/// How the file holds a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// A string with an entry a line (OpenRC, netifrc).
    Lines,
    /// A bash array (baselayout 1).
    Array,
}

/// Writes an interface's variables over the old file. Its other variables, other interfaces and the user's own routes
/// stay; a list that says the same keeps its bytes.
///
/// With [`Method::None`] the interface is `noop`: the service keeps what it finds and still provides `net`, without which
/// services that need it do not start. Name servers are written only where a variable for them is, because netifrc then
/// writes resolv.conf from it at every start.
pub fn net(old: &[u8], nic: &Nic, dns: &[IpAddr], domains: &[String], form: Form) -> Vec<u8> {
    let mut vars = ShellVars::parse(old);
    let name = variable(&nic.name);
    let key = format!("config_{name}");
    let config = match nic.method {
        Method::Static if !nic.addresses.is_empty() => merge_addresses(&addresses(&vars, &key), &nic.addresses),
        Method::Static | Method::Manual => vec!["null".to_owned()],
        Method::Dhcp => vec!["dhcp".to_owned()],
        Method::None => vec!["noop".to_owned()],
    };
    put(&mut vars, &key, &config, form);
    let key = format!("routes_{name}");
    let old_routes = entries(&vars, &key);
    let mut routes = gateways(nic);
    // A bare address is how a host route to a gateway is written; what people write says where it goes.
    let users = |r: &&String| !is_default(r) && r.split_whitespace().nth(1).is_some();
    routes.extend(old_routes.iter().filter(users).cloned());
    if routes.is_empty() {
        vars.unset(&key);
    } else {
        put(&mut vars, &key, &routes, form);
    }
    if let Some(mtu) = nic.mtu {
        vars.set(&format!("mtu_{name}"), &mtu.to_string());
    }
    let servers: Vec<String> = dns.iter().map(ToString::to_string).collect();
    for (key, value) in [("dns_servers", servers.join(" ")), ("dns_search", domains.join(" "))] {
        for key in [key.to_owned(), format!("{key}_{name}")] {
            if value.is_empty() || vars.get(&key).is_none() {
                continue;
            }
            if vars.is_array(&key) {
                let words: Vec<String> = value.split(' ').map(str::to_owned).collect();
                vars.set_words(&key, &words);
            } else {
                vars.set(&key, &value);
            }
        }
    }
    vars.render()
}

/// Returns the part of the variables' names that stands for an interface: `eth0_10` for `eth0.10`.
pub fn variable(interface: &str) -> String {
    interface.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

/// Routes without a device: the scripts add it, and refuse a second one.
fn gateways(nic: &Nic) -> Vec<String> {
    let v4 = nic.gateway4.map(|g| (IpAddr::from(g), nic.gateway4_off_link()));
    let v6 = nic.gateway6.map(|g| (IpAddr::from(g), nic.gateway6_off_link()));
    let mut out = Vec::new();
    for (gateway, off_link) in [v4, v6].into_iter().flatten().filter(|_| nic.method == Method::Static) {
        if off_link {
            out.push(gateway.to_string());
        }
        out.push(format!("default via {gateway}"));
    }
    out
}

fn is_default(route: &str) -> bool {
    let first = route.split_whitespace().find(|w| !matches!(*w, "-net" | "-A" | "inet6"));
    matches!(first, Some("default" | "0.0.0.0/0" | "::/0"))
}

/// The addresses of a list. OpenRC splits a single line of them at its blanks.
fn addresses(vars: &ShellVars, key: &str) -> Vec<String> {
    let whole = |w: &str| w.parse::<IpNet>().is_ok() || w.parse::<IpAddr>().is_ok();
    let mut list = Vec::new();
    for entry in entries(vars, key) {
        match entry.split_whitespace().all(whole) {
            true => list.extend(entry.split_whitespace().map(str::to_owned)),
            false => list.push(entry),
        }
    }
    list
}

/// Puts the plan's addresses into a list of arguments for `ip addr add`: an entry that has one of them keeps what a person
/// put behind it, and one with a label (`eth0:vip`) stays, unless the plan has its address.
pub(super) fn merge_addresses(old: &[String], wanted: &[IpNet]) -> Vec<String> {
    let first = |entry: &str| entry.split_whitespace().next().map(str::to_owned).unwrap_or_default();
    let mut list: Vec<String> = Vec::new();
    for net in wanted {
        let net = net.to_string();
        list.push(old.iter().find(|e| first(e) == net).cloned().unwrap_or(net));
    }
    let planned = |entry: &str| {
        let address = first(entry).split('/').next().and_then(|a| a.parse::<IpAddr>().ok());
        address.is_none_or(|a| wanted.iter().any(|n| n.addr() == a))
    };
    let named = |entry: &str| {
        let mut words = entry.split_whitespace().skip_while(|w| *w != "label");
        words.nth(1).is_some_and(|label| label.contains(':'))
    };
    list.extend(old.iter().filter(|e| named(e) && !planned(e)).cloned());
    list
}

fn entries(vars: &ShellVars, key: &str) -> Vec<String> {
    let list = if vars.is_array(key) {
        vars.words(key).unwrap_or_default()
    } else {
        vars.get(key).unwrap_or_default().lines().map(str::to_owned).collect()
    };
    list.iter().map(|e| e.trim().to_owned()).filter(|e| !e.is_empty()).collect()
}

fn put(vars: &mut ShellVars, key: &str, wanted: &[String], form: Form) {
    let one_form = vars.is_array(key) == (form == Form::Array);
    // OpenRC splits a single line of addresses at its blanks (vzctl writes such a one).
    let words = |list: &[String]| list.iter().flat_map(|e| e.split_whitespace()).map(str::to_owned).collect::<Vec<_>>();
    let old = entries(vars, key);
    let plain = wanted.iter().all(|e| !e.contains(' '));
    if one_form && (old == wanted || (plain && form == Form::Lines && words(&old) == wanted)) {
        return;
    }
    match form {
        Form::Lines => vars.set(key, &wanted.join("\n")),
        Form::Array => vars.set_words(key, wanted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(old: &str, nic: &Nic, form: Form) -> String {
        let once = net(old.as_bytes(), nic, &["10.0.0.53".parse().unwrap()], &["example.com".into()], form);
        let again = net(&once, nic, &["10.0.0.53".parse().unwrap()], &["example.com".into()], form);
        assert_eq!(String::from_utf8_lossy(&again), String::from_utf8_lossy(&once), "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn openrc_gets_an_entry_a_line() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        assert_eq!(
            run("# mine\nconfig_eth1=\"dhcp\"", &n, Form::Lines),
            "# mine\nconfig_eth1=\"dhcp\"\nconfig_eth0=\"10.0.0.101/24\n10.0.0.102/32\n2001:db8::1/64\"\n\
             routes_eth0=\"default via 10.0.0.1\ndefault via fe80::1\"\nmtu_eth0=1400\n"
        );
    }

    #[test]
    fn baselayout_1_gets_arrays_and_off_link_gateways_a_host_route() {
        let n = nic(&["10.0.0.101/32", "2001:db8::1/128"], Some("192.168.1.1"), Some("2001:db8:1::1"));
        let old = "config_eth0=( \"1.2.3.4/8\" )\nroutes_eth0=(\n\t\"default via 1.2.3.1\" # old\n\t\"10.9.0.0/16 via 10.0.0.7\"\n)\n";
        assert_eq!(
            run(old, &n, Form::Array),
            "config_eth0=('10.0.0.101/32' '2001:db8::1/128')\nroutes_eth0=('192.168.1.1' 'default via 192.168.1.1' \
             '2001:db8:1::1' 'default via 2001:db8:1::1' # old\n\t\"10.9.0.0/16 via 10.0.0.7\"\n)\n"
        );
    }

    #[test]
    fn what_says_the_same_keeps_its_bytes_and_the_other_form_is_rewritten() {
        let n = nic(&["10.0.0.101/24", "10.0.0.102/24"], None, None);
        for text in
            ["config_eth0=\" 10.0.0.101/24  10.0.0.102/24 \"\n", "config_eth0=\"\n10.0.0.101/24\n10.0.0.102/24\n\"\n"]
        {
            assert_eq!(run(text, &n, Form::Lines), text);
        }
        assert_eq!(
            run("config_eth0=( \"10.0.0.101/24\" \"10.0.0.102/24\" )\n", &n, Form::Lines),
            "config_eth0=\"10.0.0.101/24\n10.0.0.102/24\"\n"
        );
    }

    #[test]
    fn a_persons_options_and_labelled_addresses_stay() {
        let n = nic(&["10.0.0.101/24", "10.0.0.102/24"], None, None);
        let old =
            "config_eth0=\"10.0.0.101/24 brd +\n10.0.0.9/24 label eth0:vip\n10.0.0.102/8 label eth0:2\n10.9.9.9/8\"\n";
        assert_eq!(
            run(old, &n, Form::Lines),
            "config_eth0=\"10.0.0.101/24 brd +\n10.0.0.102/24\n10.0.0.9/24 label eth0:vip\"\n"
        );
        assert_eq!(
            run("config_eth0=( \"1.2.3.4/8\" \"10.0.0.9/24 label eth0:vip\" )\n", &n, Form::Array),
            "config_eth0=('10.0.0.101/24' '10.0.0.102/24' '10.0.0.9/24 label eth0:vip')\n"
        );
    }

    #[test]
    fn methods_and_name_servers() {
        let mut n = nic(&["10.0.0.101/24"], Some("10.0.0.1"), None);
        for (method, config) in [(Method::Dhcp, "dhcp"), (Method::Manual, "null"), (Method::None, "noop")] {
            n.method = method;
            let old = "config_eth0=\"1.2.3.4/8\"\nroutes_eth0=\"default via 1.2.3.1\"\ndns_servers_eth0=\"1.1.1.1\"\n";
            assert_eq!(
                run(old, &n, Form::Lines),
                format!("config_eth0=\"{config}\"\ndns_servers_eth0=\"10.0.0.53\"\n")
            );
        }
        n.name = "eth0.10".into();
        assert_eq!(run("", &n, Form::Lines), "config_eth0_10=noop\n");
    }
}
