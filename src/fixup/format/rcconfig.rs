//! /etc/rc.config and /etc/route.conf of SuSE up to 7.3, as far as they list interfaces and routes.

use super::lines;
use super::shellvars::ShellVars;
use crate::model::network::{Method, Nic};
use std::net::{IpAddr, Ipv4Addr};

/// How many interfaces are looked at: a bound against a file that lists thousands to keep us busy.
const NUMBERS: usize = 256;

/// Removes the interfaces for which `gone` says so: `NETDEV_N` with its `IPADDR_N` and `IFCONFIG_N`, and `_N` in the list
/// `NETCONFIG`. The numbers of the others stay.
pub fn remove_interfaces(text: &[u8], gone: impl Fn(&str) -> bool) -> Vec<u8> {
    let mut vars = ShellVars::parse(text);
    let numbers: Vec<String> = vars
        .keys()
        .into_iter()
        .filter_map(|key| key.strip_prefix("NETDEV"))
        .take(NUMBERS)
        .filter(|n| vars.get(&format!("NETDEV{n}")).is_some_and(|device| gone(&device)))
        .map(str::to_owned)
        .collect();
    if numbers.is_empty() {
        return text.to_vec();
    }
    vars.unset_where(|key| {
        let number = ["NETDEV", "IPADDR", "IFCONFIG"].iter().find_map(|name| key.strip_prefix(name));
        number.is_some_and(|n| numbers.iter().any(|gone| gone == n))
    });
    if let Some(list) = vars.get("NETCONFIG") {
        let kept: Vec<&str> = list.split_whitespace().filter(|n| !numbers.iter().any(|gone| gone == n)).collect();
        vars.set("NETCONFIG", &kept.join(" "));
    }
    vars.render()
}

/// Writes an interface: its first IPv4 address under its own name, further ones as aliases (`eth0:1`). Each has a number
/// `_N`, which the list `NETCONFIG` names: `NETDEV_N`, `IPADDR_N`, and in `IFCONFIG_N` the arguments of ifconfig.
///
/// Aliases with a name (`eth0:vip`) are a person's and stay, unless the plan has their address; numbered ones go. With
/// [`Method::None`] the list names none of the interface. There are no settings for IPv6.
pub fn put(text: &[u8], nic: &Nic) -> Vec<u8> {
    let wanted = wanted(nic);
    let mut vars = ShellVars::parse(text);
    let planned = |a: Option<IpAddr>| {
        nic.method == Method::Static && a.is_some_and(|a| nic.addresses.iter().any(|n| n.addr() == a))
    };
    // Numbers of the interface that may be used again, and those whose device the plan writes anew.
    let mut stale: Vec<String> = Vec::new();
    for number in numbers(&vars) {
        let device = vars.get(&format!("NETDEV{number}")).unwrap_or_default();
        let address = vars.get(&format!("IPADDR{number}")).and_then(|a| a.parse::<IpAddr>().ok());
        let mine = device == nic.name || device.strip_prefix(&format!("{}:", nic.name)).is_some();
        let alias = device.split_once(':').map(|(_, a)| a.to_owned());
        let persons = alias.is_some_and(|a| !a.bytes().all(|b| b.is_ascii_digit())) && nic.method != Method::None;
        if mine && (!persons || planned(address)) {
            stale.push(number);
        }
    }
    let mut list: Vec<String> =
        vars.get("NETCONFIG").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    for (device, address, arguments) in &wanted {
        let has = |n: &&String| vars.get(&format!("NETDEV{n}")).is_some_and(|d| d == *device);
        let number = stale.iter().find(has).cloned().unwrap_or_else(|| free(&vars, &list));
        stale.retain(|n| *n != number);
        vars.set(&format!("IPADDR{number}"), address);
        vars.set(&format!("NETDEV{number}"), device);
        vars.set(&format!("IFCONFIG{number}"), arguments);
        if !list.contains(&number) {
            list.push(number);
        }
    }
    // The file lists what there is, empty values included: what nobody uses any more is emptied and not taken out.
    for number in stale {
        for name in ["IPADDR", "NETDEV", "IFCONFIG"] {
            let key = format!("{name}{number}");
            if vars.get(&key).is_some_and(|v| !v.is_empty()) {
                vars.set(&key, "");
            }
        }
        list.retain(|n| *n != number);
    }
    let before = vars.get("NETCONFIG").unwrap_or_default();
    if before.split_whitespace().ne(list.iter().map(String::as_str)) {
        vars.set("NETCONFIG", &list.join(" "));
    }
    vars.render()
}

/// The devices of an interface: name, address, arguments of ifconfig.
fn wanted(nic: &Nic) -> Vec<(String, String, String)> {
    let mtu = nic.mtu.map(|m| format!("mtu {m} ")).unwrap_or_default();
    let bare = |arguments: String| vec![(nic.name.clone(), String::new(), arguments)];
    let v4: Vec<_> = nic.v4().collect();
    match nic.method {
        Method::None => Vec::new(),
        Method::Dhcp => bare("dhcpclient".into()),
        Method::Static if !v4.is_empty() => {
            let devices = v4.iter().enumerate().map(|(at, net)| {
                let (device, mtu) = match at {
                    0 => (nic.name.clone(), mtu.as_str()),
                    _ => (format!("{}:{at}", nic.name), ""),
                };
                let (address, mask) = (net.addr(), net.netmask());
                let arguments = format!("{address} broadcast {} netmask {mask} {mtu}up", net.broadcast());
                (device, address.to_string(), arguments)
            });
            devices.collect()
        }
        Method::Static | Method::Manual => bare(format!("{mtu}up")),
    }
}

fn numbers(vars: &ShellVars) -> Vec<String> {
    let all = vars.keys().into_iter().filter_map(|key| key.strip_prefix("NETDEV"));
    all.filter(|n| n.starts_with('_')).take(NUMBERS).map(str::to_owned).collect()
}

/// The first number that no interface has: the stock file has empty values for some.
fn free(vars: &ShellVars, list: &[String]) -> String {
    let empty = |n: &String| {
        let none = |name: &str| vars.get(&format!("{name}{n}")).is_none_or(|v| v.is_empty());
        none("NETDEV") && none("IPADDR") && none("IFCONFIG") && !list.contains(n)
    };
    (0..NUMBERS).map(|n| format!("_{n}")).find(empty).unwrap_or_else(|| format!("_{NUMBERS}"))
}

/// Returns the lines of route.conf: destination, gateway or a dummy, mask, device.
pub fn routes(nic: &Nic) -> Vec<String> {
    let Some(gateway) = nic.gateway4.filter(|_| nic.method == Method::Static) else { return Vec::new() };
    let mut lines = Vec::new();
    if nic.gateway4_off_link() {
        lines.push(format!("{gateway} {} {} {}", Ipv4Addr::UNSPECIFIED, Ipv4Addr::BROADCAST, nic.name));
    }
    lines.push(format!("default {gateway}"));
    lines
}

/// Puts the lines of [`routes`] into the file, when there are any: other default routes go, everything else stays.
pub fn merge_routes(old: &[u8], wanted: &[String]) -> Vec<u8> {
    if wanted.is_empty() {
        return old.to_vec();
    }
    let is_default = |words: &[&str]| matches!(words, ["default" | "0.0.0.0", ..]);
    lines::merge(old, wanted.join("\n").as_bytes(), is_default)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixup::format::tests::nic;

    #[test]
    fn an_interface_goes_with_all_that_belongs_to_it() {
        let text = b"# Number of network cards\nNETCONFIG=\"_0 _1 _2\"\nIPADDR_0=\"10.0.0.101\"\nIPADDR_1=\"10.0.0.102\"\n\
            NETDEV_0=\"venet0\"\nNETDEV_1=\"venet0:1\"\nNETDEV_2=\"eth0\"\nIFCONFIG_0=\"10.0.0.101 up\"\nIFCONFIG_2=\"dhcpclient\"\nFQHOSTNAME=\"a.b\"\n";
        let once = remove_interfaces(text, |d| d.starts_with("venet"));
        assert_eq!(
            String::from_utf8(once.clone()).unwrap(),
            "# Number of network cards\nNETCONFIG=\"_2\"\nNETDEV_2=\"eth0\"\nIFCONFIG_2=\"dhcpclient\"\nFQHOSTNAME=\"a.b\"\n"
        );
        assert_eq!(remove_interfaces(&once, |d| d.starts_with("venet")), once);
    }

    fn write(text: &str, nic: &Nic) -> String {
        let once = put(text.as_bytes(), nic);
        assert_eq!(put(&once, nic), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn every_address_has_a_number() {
        let mut n = nic(&["10.0.0.101/24", "10.0.0.102/32"], None, None);
        n.mtu = Some(1400);
        let stock = "# c\nNETCONFIG=\"\"\nIPADDR_0=\"\"\nNETDEV_0=\"\"\nIFCONFIG_0=\"\"\nFQHOSTNAME=\"a.b\"\n";
        assert_eq!(
            write(stock, &n),
            "# c\nNETCONFIG=\"_0 _1\"\nIPADDR_0=\"10.0.0.101\"\nNETDEV_0=\"eth0\"\n\
             IFCONFIG_0=\"10.0.0.101 broadcast 10.0.0.255 netmask 255.255.255.0 mtu 1400 up\"\nFQHOSTNAME=\"a.b\"\n\
             IPADDR_1=10.0.0.102\nNETDEV_1=eth0:1\nIFCONFIG_1=\"10.0.0.102 broadcast 10.0.0.102 netmask 255.255.255.255 up\"\n"
        );
    }

    #[test]
    fn other_interfaces_and_named_aliases_stay() {
        let old = "NETCONFIG=\"_0 _1 _2 _3\"\nNETDEV_0=eth1\nIPADDR_0=10.1.1.1\nIFCONFIG_0=\"10.1.1.1 up\"\n\
            NETDEV_1=eth0\nIPADDR_1=1.2.3.4\nIFCONFIG_1=\"1.2.3.4 up\"\nNETDEV_2=eth0:vip\nIPADDR_2=10.9.9.9\nIFCONFIG_2=\"10.9.9.9 up\"\n\
            NETDEV_3=eth0:7\nIPADDR_3=10.9.9.8\nIFCONFIG_3=\"10.9.9.8 up\"\n";
        let mut n = nic(&["10.0.0.101/24"], None, None);
        assert_eq!(
            write(old, &n),
            "NETCONFIG=\"_0 _1 _2\"\nNETDEV_0=eth1\nIPADDR_0=10.1.1.1\nIFCONFIG_0=\"10.1.1.1 up\"\n\
             NETDEV_1=eth0\nIPADDR_1=10.0.0.101\nIFCONFIG_1=\"10.0.0.101 broadcast 10.0.0.255 netmask 255.255.255.0 up\"\n\
             NETDEV_2=eth0:vip\nIPADDR_2=10.9.9.9\nIFCONFIG_2=\"10.9.9.9 up\"\nNETDEV_3=\nIPADDR_3=\nIFCONFIG_3=\"\"\n"
        );
        for (method, arguments) in
            [(Method::Dhcp, "IFCONFIG_1=\"dhcpclient\"\n"), (Method::Manual, "IFCONFIG_1=\"up\"\n")]
        {
            n.method = method;
            let text = write(old, &n);
            assert!(text.contains(arguments) && text.contains("NETCONFIG=\"_0 _1 _2\"\n"), "{text}");
        }
        n.method = Method::None;
        assert!(write(old, &n).starts_with("NETCONFIG=\"_0\"\n"));
    }

    #[test]
    fn an_off_link_gateway_is_reached_first_and_own_routes_stay() {
        let far = routes(&nic(&["10.0.0.101/32"], Some("192.168.1.1"), None));
        assert_eq!(far, ["192.168.1.1 0.0.0.0 255.255.255.255 eth0", "default 192.168.1.1"]);
        let old = b"# c\n10.60.0.0 10.20.0.9 255.255.0.0 eth0\ndefault\t1.2.3.1\n";
        let once = merge_routes(old, &routes(&nic(&["10.0.0.101/24"], Some("10.0.0.1"), None)));
        assert_eq!(once, b"# c\n10.60.0.0 10.20.0.9 255.255.0.0 eth0\ndefault 10.0.0.1\n");
        assert_eq!(merge_routes(old, &[]), old);
    }
}
