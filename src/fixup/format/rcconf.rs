//! Arch's /etc/rc.conf, as initscripts read it until 2012, and the lines of /etc/rc.local that it cannot say.

use super::gentoo::variable;
use super::lines;
use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use ipnet::Ipv4Net;
use std::net::IpAddr;

/// The end of our lines in rc.local, by which a later run finds them.
const MARK: &str = "# ovz2lxc";

/// Writes an interface into rc.conf; returns its text and the commands that rc.local must run.
///
/// A file with `INTERFACES=(…)` is of the older kind: an interface is a variable with arguments of ifconfig, a route one
/// with those of route. Otherwise it is of the kind of 2011 with `interface=` and `address=`, which knows one interface
/// with one address; everything else goes to rc.local. `first` says that this is the plan's first interface.
pub fn rc_conf(old: &[u8], nic: &Nic, first: bool) -> (Vec<u8>, Vec<String>) {
    let mut vars = ShellVars::parse(old);
    let commands = if vars.words("INTERFACES").is_some() {
        arrays(&mut vars, nic, first);
        Vec::new()
    } else {
        single(&mut vars, nic, first)
    };
    daemons(&mut vars);
    (vars.render(), commands)
}

/// Puts an interface's commands into rc.local, in front of a last `exit`; `None` when there is nothing to write.
pub fn rc_local(old: Option<&[u8]>, name: &str, commands: &[String]) -> Option<Vec<u8>> {
    if old.is_none() && commands.is_empty() {
        return None;
    }
    let mut list = lines::split(old.unwrap_or(b"#!/bin/bash\n"));
    let mark = format!("{MARK} {name}");
    let wanted: Vec<String> = commands.iter().map(|c| format!("{c} {mark}")).collect();
    let marked = |l: &lines::Line| l.view().trim_end().ends_with(&mark);
    let now: Vec<String> = list.iter().filter(|l| marked(l)).map(lines::Line::view).collect();
    if now != wanted {
        list.retain(|l| !marked(l));
        let end = lines::usual_end(list.iter());
        let exit = list.iter().rposition(|l| !l.is_blank() && !l.is_comment());
        let exit = exit.filter(|at| list.get(*at).is_some_and(|l| l.view().split_whitespace().next() == Some("exit")));
        let at = exit.unwrap_or(list.len());
        list.splice(at..at, wanted.iter().map(|w| lines::line(w.as_str(), end)));
    }
    Some(lines::join(&list))
}

fn broadcast(net: Ipv4Net) -> String {
    format!("{} netmask {} broadcast {}", net.addr(), net.netmask(), net.broadcast())
}

fn arrays(vars: &mut ShellVars, nic: &Nic, first: bool) {
    let key = variable(&nic.name);
    let mut wanted: Vec<(String, String)> = Vec::new();
    let mtu = nic.mtu.map(|m| format!(" mtu {m}")).unwrap_or_default();
    match nic.method {
        Method::Dhcp => wanted.push((key.clone(), "dhcp".into())),
        Method::Manual => wanted.push((key.clone(), format!("{}{mtu}", nic.name))),
        Method::None => {}
        Method::Static => {
            let own = nic.v4().next().map(|n| format!("{} {}{mtu}", nic.name, broadcast(n)));
            wanted.push((key.clone(), own.unwrap_or_else(|| format!("{}{mtu}", nic.name))));
            for (at, net) in nic.v4().skip(1).enumerate() {
                wanted.push((format!("{key}_{at}"), format!("{}:{at} {}", nic.name, broadcast(net))));
            }
            for (at, net) in nic.v6().enumerate() {
                wanted.push((format!("{key}_v6_{at}"), format!("{} add {net}", nic.name)));
            }
        }
    }
    let list = put_all(vars, "INTERFACES", &wanted, |k| k == key || numbered(k, &key));
    vars.set_words("INTERFACES", &list);
    if !first && nic.gateway4.is_none() && nic.gateway6.is_none() {
        return;
    }
    let mut routes: Vec<(String, String)> = Vec::new();
    if nic.method == Method::Static {
        if let Some(g) = nic.gateway4 {
            if nic.gateway4_off_link() {
                routes.push(("gateway_host".into(), format!("-host {g} dev {}", nic.name)));
            }
            let dev = if nic.gateway4_off_link() { format!(" dev {}", nic.name) } else { String::new() };
            routes.push(("gateway".into(), format!("default gw {g}{dev}")));
        }
        if let Some(g) = nic.gateway6 {
            if nic.gateway6_off_link() {
                routes.push(("gateway6_host".into(), format!("-A inet6 {g}/128 dev {}", nic.name)));
            }
            routes.push(("gateway6".into(), format!("-A inet6 default gw {g} dev {}", nic.name)));
        }
    }
    let list =
        put_all(vars, "ROUTES", &routes, |k| matches!(k, "gateway" | "gateway_host" | "gateway6" | "gateway6_host"));
    if !list.is_empty() || vars.words("ROUTES").is_some() {
        vars.set_words("ROUTES", &list);
    }
}

/// Tells whether a variable is one of the further addresses of an interface: `eth0_1`, `eth0_v6_0`.
fn numbered(name: &str, key: &str) -> bool {
    let rest = name.strip_prefix(key).and_then(|r| r.strip_prefix('_'));
    let number = rest.map(|r| r.strip_prefix("v6_").unwrap_or(r));
    number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

/// Sets the variables, drops those of the kind that are not wanted, and returns the list that names them: in the place
/// where the first of their kind stood, with the user's names around them.
fn put_all(vars: &mut ShellVars, list: &str, wanted: &[(String, String)], kind: impl Fn(&str) -> bool) -> Vec<String> {
    vars.unset_where(|k| kind(k) && !wanted.iter().any(|(w, _)| w == k));
    for (key, value) in wanted {
        vars.set(key, value);
    }
    let bare = |word: &str| word.trim_start_matches('!').to_owned();
    let old = vars.words(list).unwrap_or_default();
    let at = old.iter().position(|w| kind(&bare(w)));
    let users = |w: &&String| !kind(&bare(w)) && !bare(w).starts_with("venet");
    let names = wanted.iter().map(|(k, _)| k.clone());
    let before = old.iter().take(at.unwrap_or(old.len())).filter(users).cloned();
    let after = old.iter().skip(at.unwrap_or(old.len())).filter(users).cloned();
    before.chain(names).chain(after).collect()
}

fn single(vars: &mut ShellVars, nic: &Nic, first: bool) -> Vec<String> {
    // One interface only: the plan's first, or the one that stands there.
    let here = first || vars.get("interface").is_some_and(|i| i == nic.name);
    let name = &nic.name;
    let own = nic.method == Method::Static;
    let v4 = nic.v4().next().filter(|_| own && here);
    let gateway = nic.gateway4.filter(|_| v4.is_some() && !nic.gateway4_off_link());
    if here {
        // A blank address means DHCP.
        let named = v4.is_some() || nic.method == Method::Dhcp;
        let text = |value: Option<String>| value.unwrap_or_default();
        for (key, value) in [
            ("interface", if named { name.clone() } else { String::new() }),
            ("address", text(v4.map(|n| n.addr().to_string()))),
            ("netmask", text(v4.map(|n| n.netmask().to_string()))),
            ("broadcast", text(v4.map(|n| n.broadcast().to_string()))),
            ("gateway", text(gateway.map(|g| g.to_string()))),
        ] {
            if !value.is_empty() || vars.get(key).is_some() {
                vars.set(key, &value);
            }
        }
    }
    if nic.method == Method::None {
        return Vec::new();
    }
    let mut out = Vec::new();
    if nic.mtu.is_some() || v4.is_none() {
        let mtu = nic.mtu.map(|m| format!(" mtu {m}")).unwrap_or_default();
        out.push(format!("ip link set dev {name}{mtu} up"));
    }
    if nic.method == Method::Dhcp && !here {
        out.push(format!("dhcpcd {name}"));
    }
    if own {
        out.extend(nic.v4().skip(usize::from(v4.is_some())).map(|a| format!("ip addr add {a} dev {name}")));
        out.extend(nic.v6().map(|a| format!("ip -6 addr add {a} dev {name}")));
        let rest = nic.gateway4.filter(|_| gateway.is_none()).map(|g| ("ip", IpAddr::from(g), nic.gateway4_off_link()));
        let six = nic.gateway6.map(|g| ("ip -6", IpAddr::from(g), nic.gateway6_off_link()));
        for (ip, g, off_link) in rest.into_iter().chain(six) {
            if off_link {
                out.push(format!("{ip} route add {g} dev {name}"));
            }
            out.push(format!("{ip} route add default via {g} dev {name}"));
        }
    }
    out
}

/// `network` brings the interfaces up; `!network`, as some templates have it, does not.
fn daemons(vars: &mut ShellVars) {
    let Some(mut list) = vars.words("DAEMONS").filter(|_| vars.is_array("DAEMONS")) else { return };
    let is = |w: &String| matches!(w.trim_start_matches(['!', '@']), "network" | "networkmanager");
    match list.iter_mut().find(|w| is(w)) {
        Some(word) if word == "!network" => "network".clone_into(word),
        Some(_) => return,
        // Behind the system log, where the stock file has it.
        None => list.insert(list.len().min(1), "network".to_owned()),
    }
    vars.set_words("DAEMONS", &list);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn run(old: &str, nic: &Nic) -> (String, Vec<String>) {
        let (once, commands) = rc_conf(old.as_bytes(), nic, true);
        assert_eq!(rc_conf(&once, nic, true), (once.clone(), commands.clone()), "a second run changes nothing");
        (String::from_utf8(once).unwrap(), commands)
    }

    #[test]
    fn arrays_of_arguments() {
        let n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        let old = "# c\nlo=\"lo 127.0.0.1\"\neth0=\"eth0 1.2.3.4\"\neth0_7=\"eth0:7 1.2.3.5\"\nINTERFACES=(lo eth0 eth0_7 !wlan0)\n\
                   gateway=\"default gw 1.2.3.1\"\nmine=\"-net 10.9.0.0/16 gw 10.0.0.7\"\nROUTES=(!gateway mine)\nDAEMONS=(syslog-ng !network sshd)\n";
        let (text, commands) = run(old, &n);
        assert_eq!(
            text,
            "# c\nlo=\"lo 127.0.0.1\"\neth0=\"eth0 10.0.0.101 netmask 255.255.255.0 broadcast 10.0.0.255\"\n\
             INTERFACES=('lo' 'eth0' 'eth0_0' 'eth0_v6_0' '!wlan0')\ngateway=\"default gw 10.0.0.1\"\n\
             mine=\"-net 10.9.0.0/16 gw 10.0.0.7\"\nROUTES=('gateway' 'gateway6' 'mine')\nDAEMONS=('syslog-ng' 'network' 'sshd')\n\
             eth0_0=\"eth0:0 10.0.0.102 netmask 255.255.255.255 broadcast 10.0.0.102\"\neth0_v6_0=\"eth0 add 2001:db8::1/64\"\n\
             gateway6=\"-A inet6 default gw fe80::1 dev eth0\"\n"
        );
        assert!(commands.is_empty());
        let off = nic(&["10.0.0.101/32"], Some("192.168.1.1"), None);
        assert!(run(&text, &off).0.contains("ROUTES=('gateway_host' 'gateway' 'mine')\n"));
    }

    #[test]
    fn one_interface_and_rc_local_for_the_rest() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/32", "2001:db8::1/64"], Some("192.168.1.1"), Some("fe80::1"));
        n.mtu = Some(1400);
        let (text, commands) =
            run("interface=\naddress=\nnetmask=\nbroadcast=\ngateway=1.2.3.1\nDAEMONS=(syslog-ng crond)\n", &n);
        assert_eq!(
            text,
            "interface=eth0\naddress=10.0.0.101\nnetmask=255.255.255.0\nbroadcast=10.0.0.255\ngateway=\nDAEMONS=('syslog-ng' 'network' 'crond')\n"
        );
        assert_eq!(
            commands,
            [
                "ip link set dev eth0 mtu 1400 up",
                "ip addr add 10.0.0.102/32 dev eth0",
                "ip -6 addr add 2001:db8::1/64 dev eth0",
                "ip route add 192.168.1.1 dev eth0",
                "ip route add default via 192.168.1.1 dev eth0",
                "ip -6 route add default via fe80::1 dev eth0",
            ]
        );
        for (method, name) in [(Method::Dhcp, "eth0"), (Method::Manual, "\"\""), (Method::None, "\"\"")] {
            n.method = method;
            let (text, commands) = run(&text, &n);
            assert!(text.starts_with(&format!("interface={}\naddress=\n", name.trim_matches('"'))), "{text}");
            assert_eq!(commands.is_empty(), method == Method::None, "{commands:?}");
        }
    }

    #[test]
    fn rc_local_keeps_its_exit_at_the_end() {
        let commands = ["ip addr add 10.0.0.102/32 dev eth0".to_owned()];
        let put = |old: Option<&str>, c: &[String]| {
            let once = rc_local(old.map(str::as_bytes), "eth0", c)?;
            assert_eq!(rc_local(Some(&once), "eth0", c).unwrap(), once);
            Some(String::from_utf8(once).unwrap())
        };
        let line = "ip addr add 10.0.0.102/32 dev eth0 # ovz2lxc eth0\n";
        assert_eq!(put(None, &commands).unwrap(), format!("#!/bin/bash\n{line}"));
        let full = put(Some("#!/bin/sh\nmine\nexit 0\n"), &commands).unwrap();
        assert_eq!(full, format!("#!/bin/sh\nmine\n{line}exit 0\n"));
        assert_eq!(put(Some(&full), &[]).unwrap(), "#!/bin/sh\nmine\nexit 0\n");
        assert_eq!(put(None, &[]), None);
    }
}
