//! Interfaces.

use super::config::{Link, Veth};
use super::render::Writer;
use super::validate;
use crate::error::{Error, Result};
use ipnet::IpNet;
use std::collections::BTreeSet;

/// The least MTU that IPv4 allows (RFC 791) and the most that the kernel takes for Ethernet.
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;

pub(super) fn write(nics: &[Veth], w: &mut Writer) -> Result<()> {
    unique("interface name", nics.iter().map(|n| n.name.clone()))?;
    unique("MAC address", nics.iter().map(|n| n.mac.to_ascii_lowercase()))?;
    unique("interface name on the host", nics.iter().filter_map(|n| n.host_ifname.clone()))?;
    if nics.is_empty() {
        // Without a network line LXC before 3.0 shares the host's network, and the container could take it down.
        w.section("network: none, not even the host's");
        let key = if w.dialect.at_least(2, 1) { "lxc.net.0.type" } else { "lxc.network.type" };
        w.set(key, "empty");
    }
    for (index, nic) in nics.iter().enumerate() {
        one(index, nic, w)?;
    }
    Ok(())
}

fn unique(what: &str, values: impl Iterator<Item = String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for value in values {
        if seen.contains(&value) {
            return Err(Error::new(format!("two interfaces have the {what} {}", value.escape_debug())));
        }
        seen.insert(value);
    }
    Ok(())
}

fn one(index: usize, nic: &Veth, w: &mut Writer) -> Result<()> {
    let new = w.dialect.at_least(2, 1);
    let key = |sub: &str| if new { format!("lxc.net.{index}.{sub}") } else { format!("lxc.network.{sub}") };
    // The old address keys are `ipv4` and `ipv6`, the gateways are named alike in both.
    let address_key = |family: &str| if new { key(&format!("{family}.address")) } else { key(family) };
    w.section(&format!("network interface {index}"));
    // In the old dialect every `type` opens a new interface, so it comes first.
    w.set(&key("type"), "veth");
    if let Link::Bridge { name, .. } = &nic.link {
        w.set(&key("link"), validate::ifname("bridge", name)?);
    }
    w.set(&key("flags"), "up");
    w.set(&key("name"), validate::ifname("interface", &nic.name)?);
    w.set(&key("hwaddr"), validate::mac(&nic.mac)?);
    if let Some(name) = &nic.host_ifname {
        w.set(&key("veth.pair"), validate::ifname("interface name on the host", name)?);
    }
    if let Some(mtu) = nic.mtu {
        if !MTU.contains(&mtu) {
            return Err(Error::new(format!("MTU {mtu} of {} is not between 68 and 65535", nic.name)));
        }
        w.set(&key("mtu"), mtu);
    }
    for address in &nic.addresses {
        validate::station(address.addr())?;
        match address {
            IpNet::V4(_) => w.set(&address_key("ipv4"), address),
            IpNet::V6(_) => w.set(&address_key("ipv6"), address),
        }
    }
    // LXC adds a host route itself when the gateway is in none of the subnets.
    if let Some(gateway) = nic.gateway4 {
        validate::station(gateway.into())?;
        w.set(&key("ipv4.gateway"), gateway);
    }
    if let Some(gateway) = nic.gateway6 {
        validate::station(gateway.into())?;
        w.set(&key("ipv6.gateway"), gateway);
    }
    Ok(())
}
