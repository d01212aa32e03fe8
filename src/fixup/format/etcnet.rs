//! ALT's etcnet: a directory /etc/net/ifaces/NAME/ with a file for each kind of setting.

use super::lines;
use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use std::net::IpAddr;

/// Writes `options` over the old file, whose other keys stay.
pub fn options(nic: &Nic, old: Option<&[u8]>) -> Vec<u8> {
    let mut vars = ShellVars::parse(old.unwrap_or_default());
    if nic.method == Method::None {
        vars.set("DISABLED", "yes");
        return vars.render();
    }
    if vars.get("DISABLED").is_some_and(|d| d != "no") {
        vars.set("DISABLED", "no");
    }
    vars.set("TYPE", "eth");
    vars.set("ONBOOT", "yes");
    vars.set("BOOTPROTO", if nic.method == Method::Dhcp { "dhcp" } else { "static" });
    if nic.method == Method::Static && nic.v4().next().is_some() {
        vars.set("CONFIG_IPV4", "yes");
    }
    if nic.method == Method::Static && nic.v6().next().is_some() {
        vars.set("CONFIG_IPV6", "yes");
    }
    vars.render()
}

/// Writes `ipv4address` or `ipv6address`: a line that has a wanted address keeps what a person put behind it (`label`,
/// `peer`), other addresses go, except those with a label (`eth0:vip`): they are a person's. Comments stay.
pub fn addresses(old: &[u8], wanted: &[String]) -> Vec<u8> {
    let first = |l: &lines::Line| l.view().split_whitespace().next().map(str::to_owned);
    let mut list = lines::split(old);
    let bare = |address: &str| address.split('/').next().map(str::to_owned);
    let named = |l: &lines::Line| {
        let view = l.view();
        view.split_whitespace().skip_while(|w| *w != "label").nth(1).is_some_and(|label| label.contains(':'))
    };
    list.retain(|l| {
        let own = |a: &String| named(l) && !wanted.iter().any(|w| bare(w) == bare(a));
        l.is_blank() || l.is_comment() || first(l).is_some_and(|a| wanted.contains(&a) || own(&a))
    });
    let end = lines::usual_end(list.iter());
    for new in wanted {
        if !list.iter().any(|l| first(l).as_deref() == Some(new)) {
            list.push(lines::line(new.as_str(), end));
        }
    }
    lines::join(&list)
}

/// Returns the lines of `ipv4route` (or `ipv6route`): the way to an off-link gateway, then the default route.
pub fn routes(nic: &Nic, v6: bool) -> Vec<String> {
    let gateway: Option<(IpAddr, bool)> = if v6 {
        nic.gateway6.map(|g| (g.into(), nic.gateway6_off_link()))
    } else {
        nic.gateway4.map(|g| (g.into(), nic.gateway4_off_link()))
    };
    let Some((gateway, off_link)) = gateway.filter(|_| nic.method == Method::Static) else { return Vec::new() };
    let mut lines = Vec::new();
    if off_link {
        lines.push(format!("{gateway}/{} dev {}", if v6 { 128 } else { 32 }, nic.name));
    }
    lines.push(format!("default via {gateway} dev {}", nic.name));
    lines
}

/// Puts the lines of [`routes`] into a file that may exist: other default routes go, the user's routes stay.
pub fn merge_routes(old: &[u8], wanted: &[String]) -> Vec<u8> {
    let is_default = |words: &[&str]| matches!(words, ["default" | "0.0.0.0/0" | "::/0" | "0/0", ..]);
    lines::merge(old, wanted.join("\n").as_bytes(), is_default)
}

/// Writes `iplink`, whose lines are arguments of `ip link set`, with an MTU; other lines stay.
pub fn iplink(old: &[u8], mtu: u32) -> Vec<u8> {
    lines::merge(old, format!("mtu {mtu}").as_bytes(), |words| words.first() == Some(&"mtu"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn options_keep_what_a_person_set() {
        let mut n = nic(&["10.0.0.101/24", "2001:db8::1/64"], None, None);
        let once = options(&n, None);
        assert_eq!(text(once.clone()), "TYPE=eth\nONBOOT=yes\nBOOTPROTO=static\nCONFIG_IPV4=yes\nCONFIG_IPV6=yes\n");
        assert_eq!(options(&n, Some(&once)), once);
        n.method = Method::Dhcp;
        let old = b"# uplink\nDISABLED=yes\nBOOTPROTO=static\nMODULE=e1000\nTYPE=eth";
        assert_eq!(
            text(options(&n, Some(old))),
            "# uplink\nDISABLED=no\nBOOTPROTO=dhcp\nMODULE=e1000\nTYPE=eth\nONBOOT=yes\n"
        );
        n.method = Method::None;
        assert_eq!(text(options(&n, Some(b"TYPE=eth\n"))), "TYPE=eth\nDISABLED=yes\n");
    }

    #[test]
    fn addresses_are_replaced_and_their_own_words_stay() {
        let wanted = ["10.0.0.101/24".to_owned(), "10.0.0.102/32".to_owned()];
        let once = addresses(b"# mine\n1.2.3.4/8\n10.0.0.102/32 label eth0:x", &wanted);
        assert_eq!(text(once.clone()), "# mine\n10.0.0.102/32 label eth0:x\n10.0.0.101/24\n");
        assert_eq!(addresses(&once, &wanted), once);
        assert_eq!(addresses(b"1.2.3.4/8\n", &[]), b"");
        let labels = b"10.0.0.9/24 brd + label eth0:vip\n10.0.0.101/8 label eth0:x\n";
        assert_eq!(
            text(addresses(labels, &wanted)),
            "10.0.0.9/24 brd + label eth0:vip\n10.0.0.101/24\n10.0.0.102/32\n"
        );
    }

    #[test]
    fn routes_reach_the_gateway_first_and_the_users_stay() {
        let off = nic(&["10.0.0.101/32", "2001:db8::1/128"], Some("192.168.1.1"), Some("2001:db8:1::1"));
        let v4 = routes(&off, false);
        assert_eq!(v4, ["192.168.1.1/32 dev eth0", "default via 192.168.1.1 dev eth0"]);
        assert_eq!(routes(&off, true), ["2001:db8:1::1/128 dev eth0", "default via 2001:db8:1::1 dev eth0"]);
        let near = nic(&["10.0.0.101/24", "2001:db8::1/64"], Some("10.0.0.1"), Some("fe80::1"));
        assert_eq!(routes(&near, true), ["default via fe80::1 dev eth0"]);
        let once = merge_routes(b"10.9.0.0/16 via 10.0.0.7\ndefault via 10.0.0.254", &v4);
        assert_eq!(
            text(once.clone()),
            "10.9.0.0/16 via 10.0.0.7\n192.168.1.1/32 dev eth0\ndefault via 192.168.1.1 dev eth0\n"
        );
        assert_eq!(merge_routes(&once, &v4), once);
        assert_eq!(merge_routes(b"# mine\ndefault via 10.0.0.254", &[]), b"# mine\n");
    }

    #[test]
    fn an_mtu_takes_the_place_of_another() {
        let once = iplink(b"mtu 9000\ntxqueuelen 10\n", 1400);
        assert_eq!(text(once.clone()), "txqueuelen 10\nmtu 1400\n");
        assert_eq!(iplink(&once, 1400), once);
    }
}
