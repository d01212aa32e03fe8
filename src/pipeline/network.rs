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
    let mut taken: Vec<String> = own.iter().map(|i| i.veth.name.clone()).collect();
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
    let mut veth = Veth { mtu, ..Veth::new(name, mac, link) };
    if by_lxc {
        veth.addresses.clone_from(&nic.addresses);
        veth.gateway4 = nic.gateway4;
        veth.gateway6 = nic.gateway6;
    }
    Ok(Interface { veth, nic: Some(nic) })
}

fn named(facts: &Facts, bridge: Option<&str>) -> Result<String> {
    bridge.map(str::to_owned).ok_or_else(|| {
        Error::usage(format!("no bridge is known for container {}", facts.container.ctid))
            .hint("name it with --bridge, or per subnet in [[network]]")
    })
}

fn mac(facts: &Facts, ifname: &str) -> String {
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
