//! Interfaces: bridges and their VLANs, routed ones, devices of the host.

use super::config::{ContainerConfig, Link, Veth};
use super::tests::{dialect, full, get, host, included, text};
use super::{parse_config, render};
use crate::error::Error;
use crate::model::target::CgroupMode::V1;

fn refused(config: &ContainerConfig, version: &str) -> Error {
    render(config, &dialect(version, V1), &host(4, true)).unwrap_err()
}

fn linked(link: Link) -> ContainerConfig {
    ContainerConfig { nics: vec![Veth::new("eth0", "00:16:3e:00:00:65", link)], ..included() }
}

fn vlan(vlan: u16) -> ContainerConfig {
    linked(Link::Bridge { name: "br0".into(), vlan: Some(vlan) })
}

fn routed(uplink: Option<&str>, addresses: &[&str]) -> ContainerConfig {
    let mut config = linked(Link::Router { uplink: uplink.map(str::to_owned) });
    config.nics[0].addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
    config.nics[0].gateway4 = Some("169.254.0.1".parse().unwrap());
    config.nics[0].gateway6 = Some("fe80::1".parse().unwrap());
    config
}

#[test]
fn a_vlan_needs_a_version_that_knows_it() {
    for version in ["5.0", "6.0"] {
        assert_eq!(get(&vlan(10), version, V1, "lxc.net.0.veth.vlan.id").as_deref(), Some("10"));
        assert_eq!(get(&vlan(10), version, V1, "lxc.net.0.link").as_deref(), Some("br0"));
    }
    for version in ["1.0", "2.1", "3.0", "4.0"] {
        let error = refused(&vlan(10), version);
        assert!(error.chain().join(": ").contains("VLAN 10 of br0"), "{error:?}");
        assert!(error.first_hint().unwrap().contains("br0.10"), "{error:?}");
    }
    for bad in [0, 4095] {
        assert!(refused(&vlan(bad), "5.0").chain().join(": ").contains("between 1 and 4094"));
    }
}

#[test]
fn a_routed_interface_keeps_host_addresses() {
    let config = routed(Some("eth0"), &["10.0.0.101/32", "2001:db8::101/128"]);
    let lines = text(&config, "4.0", V1);
    for line in [
        "lxc.net.0.type = veth\nlxc.net.0.veth.mode = router\nlxc.net.0.link = eth0\nlxc.net.0.l2proxy = 1\n",
        "lxc.net.0.ipv4.address = 10.0.0.101/32\nlxc.net.0.ipv6.address = 2001:db8::101/128\n",
        "lxc.net.0.ipv4.gateway = 169.254.0.1\nlxc.net.0.ipv6.gateway = fe80::1\n",
    ] {
        assert!(lines.contains(line), "{line}\n{lines}");
    }
    let alone = text(&routed(None, &["10.0.0.101/32"]), "5.0", V1);
    assert!(alone.contains("veth.mode = router\n"), "{alone}");
    for key in ["link", "l2proxy", "post-stop"] {
        assert!(!alone.contains(key), "{alone}");
    }
}

#[test]
fn the_uplink_forgets_the_addresses_when_it_stops() {
    let config = routed(Some("eth0"), &["10.0.0.101/32", "2001:db8::101/128"]);
    let want = "sh -c 'for a in 10.0.0.101 2001:db8::101; do ip neigh del proxy \"$a\" dev eth0 2>/dev/null; done; :'";
    assert_eq!(get(&config, "5.0", V1, "lxc.hook.post-stop").as_deref(), Some(want));
    assert_eq!(get(&routed(Some("eth0"), &[]), "5.0", V1, "lxc.hook.post-stop"), None);
    // A shell reads it.
    for bad in ["a;reboot", "$(reboot)", "`x`", "a&b", "a|b", "-x", "a>b", "a\\b", "*"] {
        assert!(render(&routed(Some(bad), &[]), &dialect("5.0", V1), &host(4, true)).is_err(), "{bad}");
    }
}

#[test]
fn a_routed_interface_needs_lxc_4_and_host_addresses() {
    for version in ["1.0", "2.1", "3.0"] {
        let error = refused(&routed(None, &["10.0.0.101/32"]), version);
        assert!(error.chain().join(": ").contains("cannot route to eth0"), "{error:?}");
        assert!(error.first_hint().unwrap().contains("LXC 4.0"), "{error:?}");
    }
    for wide in ["10.0.0.101/24", "2001:db8::101/64"] {
        let error = refused(&routed(None, &["10.0.0.100/32", wide]), "5.0");
        assert!(error.chain().join(": ").contains(wide), "{error:?}");
    }
    // Bridged, a host address stays what it is: nobody may know its subnet.
    let mut bridged = linked(Link::bridge("br0"));
    bridged.nics[0].addresses = vec!["10.0.0.101/32".parse().unwrap()];
    assert_eq!(get(&bridged, "3.0", V1, "lxc.net.0.ipv4.address").as_deref(), Some("10.0.0.101/32"));
}

#[test]
fn devices_of_the_host_come_after_the_interfaces() {
    let config = ContainerConfig { net_devices: vec!["eno2".into(), "wlan0".into()], ..full() };
    let pairs = parse_config(&text(&config, "1.0", V1)).unwrap();
    let network: Vec<String> = pairs
        .iter()
        .filter_map(|(key, value)| Some(format!("{}={value}", key.strip_prefix("lxc.network.")?)))
        .skip_while(|line| line != "type=phys")
        .collect();
    let one = |name: &str| ["type=phys".to_owned(), format!("link={name}"), "flags=up".into(), format!("name={name}")];
    assert_eq!(network, [one("eno2"), one("wlan0")].concat());
    assert_eq!(get(&config, "5.0", V1, "lxc.net.3.link").as_deref(), Some("wlan0"));

    let alone = ContainerConfig { nics: Vec::new(), net_devices: vec!["eno2".into()], ..included() };
    assert_eq!(get(&alone, "5.0", V1, "lxc.net.0.type").as_deref(), Some("phys"));
    for bad in ["eno2\nlxc.cap.drop =", "", "a/b", "sixteen-letters-", "eth1"] {
        refused(&ContainerConfig { net_devices: vec![bad.into()], ..full() }, "5.0");
    }
}
