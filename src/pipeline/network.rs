//! The container's network: from venet0 and NETIF to interfaces of LXC, and what the guest's files are told about them.

use crate::error::{Error, Result};
use crate::lxc::{self, Link, Veth};
use crate::model::facts::Facts;
use crate::model::network::{Method, Nic};
use crate::model::settings::{AddressMode, NetworkMode};
use crate::model::ve::VenetAddress;
use ipnet::IpNet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The gateway that a routed container is given: the host answers for it on its own end of the interface, whatever
/// addresses it has itself.
const ROUTER4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
/// The same for IPv6.
const ROUTER6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// An interface: what LXC makes, and what the guest's files are told (none for a NETIF interface, whose addresses stand
/// in files that vzctl never touched).
#[derive(Debug, Clone)]
pub struct Interface {
    /// What LXC makes.
    pub veth: Veth,
    /// What the guest's files are told.
    pub nic: Option<Nic>,
}

impl Interface {
    /// Makes the interface that a guest is told about: LXC sets what the guest's files do not.
    pub fn new(veth: Veth, nic: Nic) -> Interface {
        let by_lxc = nic.method == Method::None;
        let veth = Veth {
            mtu: nic.mtu,
            addresses: if by_lxc { nic.addresses.clone() } else { Vec::new() },
            gateway4: nic.gateway4.filter(|_| by_lxc),
            gateway6: nic.gateway6.filter(|_| by_lxc),
            ..veth
        };
        Interface { veth, nic: Some(nic) }
    }
}

/// Returns the container's interfaces: first the successors of venet0, then those of NETIF. `otherwise` is the bridge of
/// an interface for which none is known; without it that is an error.
pub fn interfaces(facts: &Facts, otherwise: Option<&str>) -> Result<Vec<Interface>> {
    let ve = &facts.container.ve;
    let mut own = Vec::new();
    for veth in &ve.veth {
        let bridge = facts.bridge(veth.bridge.as_deref()).or(otherwise.and(veth.bridge.as_deref())).or(otherwise);
        let mac = veth.mac.clone().unwrap_or_else(|| mac(facts, &veth.ifname));
        // A name that the target has already would make the start fail; LXC makes one up.
        let free = |name: &&String| !facts.target.host_ifnames.contains(*name);
        let host_ifname = veth.host_ifname.as_ref().filter(free).cloned();
        let link = Link::bridge(named(facts, bridge)?);
        own.push(Interface { veth: Veth { host_ifname, ..Veth::new(&veth.ifname, mac, link) }, nic: None });
    }
    // A device of the host that is moved into the container keeps its name there.
    let mut taken: Vec<String> = own.iter().map(|i| i.veth.name.clone()).chain(ve.net_devices.clone()).collect();
    let mut all = Vec::new();
    for group in by_link(facts) {
        let name = (0..).map(|n| format!("eth{n}")).find(|n| !taken.contains(n)).unwrap_or_default();
        all.push(venet_successor(facts, &name, &group, all.is_empty(), otherwise)?);
        taken.push(name);
    }
    all.append(&mut own);
    Ok(all)
}

/// The addresses of venet0 by the bridge and VLAN that they belong on, in the order of the source: one interface for each.
/// A routed container has one for all.
fn by_link(facts: &Facts) -> Vec<Vec<VenetAddress>> {
    let routed = facts.settings.network == NetworkMode::Routed;
    type Place<'a> = (Option<&'a str>, Option<u16>);
    let mut groups: Vec<(Place<'_>, Vec<VenetAddress>)> = Vec::new();
    for address in &facts.container.ve.venet {
        let place = facts.place(address);
        let link = if routed { (None, None) } else { (place.bridge, place.vlan) };
        match groups.iter_mut().find(|(l, _)| *l == link) {
            Some((_, group)) => group.push(*address),
            None => groups.push((link, vec![*address])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// An interface that takes over addresses of venet0. The first one has the default route.
fn venet_successor(
    facts: &Facts,
    name: &str,
    group: &[VenetAddress],
    first: bool,
    otherwise: Option<&str>,
) -> Result<Interface> {
    let places: Vec<_> = group.iter().map(|a| facts.place(a)).collect();
    let mtu = places.iter().find_map(|p| p.mtu);
    let mac = mac(facts, name);
    let (link, by_lxc, addresses, gateway4, gateway6);
    if facts.settings.network == NetworkMode::Routed {
        let uplink = facts.settings.uplink.clone().or_else(|| facts.target.uplink.clone());
        link = Link::Router { uplink };
        // LXC makes the host's routes from the addresses that it sets.
        by_lxc = true;
        addresses = group.iter().map(|a| IpNet::from(a.address)).collect();
        gateway4 = group.iter().any(|a| a.address.is_ipv4()).then_some(ROUTER4);
        gateway6 = group.iter().any(|a| a.address.is_ipv6()).then_some(ROUTER6);
    } else {
        let bridge = named(facts, places.iter().find_map(|p| p.bridge).or(otherwise))?;
        link = Link::Bridge { name: bridge, vlan: places.iter().find_map(|p| p.vlan) };
        by_lxc = facts.settings.addresses == AddressMode::Lxc;
        addresses = group.iter().map(|a| with_prefix(facts, a)).collect::<Result<Vec<_>>>()?;
        let mut gateways = places.iter().filter(|_| first).filter_map(|p| p.gateway);
        gateway4 = gateways.clone().find_map(|g| if let IpAddr::V4(g) = g { Some(g) } else { None });
        gateway6 = gateways.find_map(|g| if let IpAddr::V6(g) = g { Some(g) } else { None });
    }
    let method = if by_lxc { Method::None } else { Method::Static };
    let nic = Nic { name: name.into(), mac: Some(mac.clone()), method, addresses, gateway4, gateway6, mtu };
    Ok(Interface::new(Veth::new(name, mac, link), nic))
}

fn named(facts: &Facts, bridge: Option<&str>) -> Result<String> {
    bridge.map(str::to_owned).ok_or_else(|| {
        Error::usage(format!("no bridge is known for container {}", facts.container.ctid))
            .hint("name it with --bridge, or per subnet in [[network]]")
    })
}

/// Returns the MAC address of an interface that brings none: the same for a container of a node each time.
pub fn mac(facts: &Facts, ifname: &str) -> String {
    lxc::mac_for(&format!("{}/{}", facts.source, facts.container.ctid), ifname)
}

/// venet is point-to-point: a bare address has no prefix. Where nobody says one it stays a host address, and its gateway
/// gets a host route.
fn with_prefix(facts: &Facts, venet: &VenetAddress) -> Result<IpNet> {
    let host = if venet.address.is_ipv4() { 32 } else { 128 };
    let prefix = facts.place(venet).prefix.unwrap_or(host);
    IpNet::new(venet.address, prefix)
        .map_err(|_| Error::usage(format!("prefix length {prefix} does not fit {}", venet.address)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::facts::tests::good;
    use crate::model::settings::Subnet;
    use crate::model::ve::VethInterface;

    fn with(addresses: &[&str], change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = good();
        let one = |a: &&str| {
            let net: IpNet = a.parse().unwrap();
            VenetAddress { address: net.addr(), prefix: net.prefix_len() }
        };
        facts.container.ve.venet = addresses.iter().map(one).collect();
        change(&mut facts);
        facts
    }

    fn shown(addresses: &[IpNet]) -> Vec<String> {
        addresses.iter().map(ToString::to_string).collect()
    }

    fn subnet(net: &str, bridge: &str, vlan: Option<u16>) -> Subnet {
        let gateway = net.parse::<IpNet>().unwrap().hosts().next();
        Subnet { subnet: net.parse().unwrap(), bridge: Some(bridge.into()), gateway, mtu: None, vlan }
    }

    #[test]
    fn a_routed_container_has_one_interface_with_host_addresses() {
        // One of a subnet with a bridge, one of none, one with a prefix: none of that counts.
        let mut facts = with(&["10.0.0.101/32", "192.0.2.7/24", "2001:db8::1/64"], |f| {
            f.settings.network = NetworkMode::Routed;
            f.target.bridges.clear();
        });
        let interfaces = interfaces(&facts, None).unwrap();
        let [Interface { veth, nic: Some(nic) }] = interfaces.as_slice() else { panic!("{interfaces:?}") };
        assert_eq!(veth.link, Link::Router { uplink: Some("eth0".into()) });
        assert_eq!(shown(&veth.addresses), ["10.0.0.101/32", "192.0.2.7/32", "2001:db8::1/128"]);
        assert_eq!(veth.gateway4.unwrap().to_string(), "169.254.0.1");
        assert_eq!(veth.gateway6.unwrap().to_string(), "fe80::1");
        assert_eq!((nic.method, &nic.addresses), (Method::None, &veth.addresses));
        assert_eq!((nic.gateway4, nic.gateway6), (veth.gateway4, veth.gateway6));
        assert_eq!(nic.mac.as_ref(), Some(&veth.mac));

        facts.settings.uplink = Some("bond0".into());
        facts.container.ve.venet.pop();
        let named = &super::interfaces(&facts, None).unwrap()[0].veth;
        assert_eq!(named.link, Link::Router { uplink: Some("bond0".into()) });
        assert_eq!(
            (named.gateway4.is_some(), named.gateway6),
            (true, None),
            "no gateway of a family that is not in use"
        );
        (facts.settings.uplink, facts.target.uplink) = (None, None);
        assert_eq!(super::interfaces(&facts, None).unwrap()[0].veth.link, Link::Router { uplink: None });
    }

    #[test]
    fn routed_or_not_an_interface_of_netif_is_on_a_bridge() {
        let facts = with(&["10.0.0.101/32"], |f| {
            f.settings.network = NetworkMode::Routed;
            let own = VethInterface { ifname: "eth0".into(), bridge: Some("br1".into()), ..VethInterface::default() };
            f.container.ve.veth = vec![own];
        });
        let interfaces = interfaces(&facts, None).unwrap();
        let links: Vec<_> = interfaces.iter().map(|i| (i.veth.name.as_str(), &i.veth.link)).collect();
        let router = Link::Router { uplink: Some("eth0".into()) };
        assert_eq!(links, [("eth1", &router), ("eth0", &Link::bridge("br1"))]);
        assert!(interfaces[1].nic.is_none(), "its own files stay");
    }

    #[test]
    fn the_successor_of_venet0_takes_no_name_that_netdev_or_netif_has() {
        let facts = with(&["10.0.0.101/32"], |f| {
            f.container.ve.net_devices = vec!["eth0".into(), "eth2".into()];
            let own = VethInterface { ifname: "eth1".into(), bridge: Some("br1".into()), ..VethInterface::default() };
            f.container.ve.veth = vec![own];
        });
        let names: Vec<String> = interfaces(&facts, None).unwrap().into_iter().map(|i| i.veth.name).collect();
        assert_eq!(names, ["eth3", "eth1"]);
    }

    #[test]
    fn addresses_are_grouped_by_bridge_and_vlan() {
        let facts = with(&["10.0.0.5/32", "10.1.0.5/32", "10.2.0.5/32", "10.0.0.6/32"], |f| {
            f.settings.networks = vec![
                subnet("10.0.0.0/24", "br0", None),
                subnet("10.1.0.0/24", "br0", Some(10)),
                subnet("10.2.0.0/24", "br1", Some(10)),
            ];
        });
        let interfaces = interfaces(&facts, None).unwrap();
        let seen: Vec<_> = interfaces
            .iter()
            .map(|i| (i.veth.link.clone(), shown(&i.nic.as_ref().unwrap().addresses), i.nic.as_ref().unwrap().gateway4))
            .collect();
        let link = |name: &str, vlan| Link::Bridge { name: name.into(), vlan };
        let list = |all: &[&str]| all.iter().map(|a| (*a).to_owned()).collect::<Vec<_>>();
        assert_eq!(
            seen,
            [
                (link("br0", None), list(&["10.0.0.5/24", "10.0.0.6/24"]), Some("10.0.0.1".parse().unwrap())),
                (link("br0", Some(10)), list(&["10.1.0.5/24"]), None),
                (link("br1", Some(10)), list(&["10.2.0.5/24"]), None),
            ]
        );
        let macs: std::collections::BTreeSet<_> = interfaces.iter().map(|i| &i.veth.mac).collect();
        assert_eq!(macs.len(), 3);
    }

    #[test]
    fn a_name_on_the_host_is_kept_unless_it_is_taken() {
        let own = |host: &str| VethInterface {
            ifname: "eth0".into(),
            host_ifname: Some(host.into()),
            bridge: Some("br0".into()),
            ..VethInterface::default()
        };
        let mut facts = with(&[], |f| {
            f.container.ve.veth = vec![own("veth101.0")];
            f.target.host_ifnames = vec!["veth102.0".into()];
        });
        assert_eq!(interfaces(&facts, None).unwrap()[0].veth.host_ifname.as_deref(), Some("veth101.0"));
        facts.target.host_ifnames.push("veth101.0".into());
        assert_eq!(interfaces(&facts, None).unwrap()[0].veth.host_ifname, None);
    }

    #[test]
    fn without_a_bridge_there_is_an_error_or_what_was_asked_for() {
        let mut facts = with(&["10.9.0.1/32"], |_| {});
        assert!(interfaces(&facts, None).unwrap_err().first_hint().unwrap().contains("--bridge"));
        let bridge = |facts: &Facts, otherwise| interfaces(facts, otherwise).unwrap()[0].veth.link.clone();
        assert_eq!(bridge(&facts, Some("br9")), Link::bridge("br9"));
        facts.container.ve.venet.clear();
        facts.container.ve.veth =
            vec![VethInterface { ifname: "eth0".into(), bridge: Some("vzbr7".into()), ..VethInterface::default() }];
        assert!(interfaces(&facts, None).is_err());
        assert_eq!(bridge(&facts, Some("br9")), Link::bridge("vzbr7"), "the source's own name is the better guess");
        facts.settings.bridge = Some("br1".into());
        assert_eq!(bridge(&facts, Some("br9")), Link::bridge("br1"));
    }

    #[test]
    fn a_prefix_that_does_not_fit_is_an_error() {
        let facts = with(&["10.9.0.1/32"], |f| {
            f.settings.bridge = Some("br0".into());
            f.settings.prefix4 = Some(33);
        });
        assert!(interfaces(&facts, None).unwrap_err().to_string().contains("prefix length 33"));
    }
}
