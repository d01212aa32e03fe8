//! Interfaces.

use super::config::{ContainerConfig, Link, Veth};
use super::render::Writer;
use super::validate;
use crate::error::{Error, Result};
use ipnet::IpNet;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// The least MTU that IPv4 allows (RFC 791) and the most that the kernel takes for Ethernet.
const MTU: std::ops::RangeInclusive<u32> = 68..=65535;
/// VLANs of 802.1Q; 0 means none and 4095 is reserved.
const VLAN: std::ops::RangeInclusive<u16> = 1..=4094;

pub(super) fn write(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    let nics = &config.nics;
    let names = nics.iter().map(|n| &n.name).chain(&config.net_devices);
    unique("interface name", names.cloned())?;
    unique("MAC address", nics.iter().map(|n| n.mac.to_ascii_lowercase()))?;
    unique("interface name on the host", nics.iter().filter_map(|n| n.host_ifname.clone()))?;
    if nics.is_empty() && config.net_devices.is_empty() {
        // Without a network line LXC before 3.0 shares the host's network, and the container could take it down.
        w.section("network: none, not even the host's");
        w.set(&Keys { new: w.dialect.at_least(2, 1), index: 0 }.of("type"), "empty");
    }
    for (index, nic) in nics.iter().enumerate() {
        one(index, nic, w)?;
    }
    for (index, device) in (nics.len()..).zip(&config.net_devices) {
        moved(index, device, w)?;
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

/// The keys of one interface. In the old dialect they are all alike and every `type` opens a new interface, so that
/// comes first; the old address keys are `ipv4` and `ipv6`, and the gateways are named alike in both.
struct Keys {
    new: bool,
    index: usize,
}

impl Keys {
    fn of(&self, sub: &str) -> String {
        if self.new { format!("lxc.net.{}.{sub}", self.index) } else { format!("lxc.network.{sub}") }
    }

    fn address(&self, address: &IpNet) -> String {
        let family = if address.addr().is_ipv4() { "ipv4" } else { "ipv6" };
        if self.new { self.of(&format!("{family}.address")) } else { self.of(family) }
    }
}

fn one(index: usize, nic: &Veth, w: &mut Writer) -> Result<()> {
    let key = Keys { new: w.dialect.at_least(2, 1), index };
    w.section(&format!("network interface {index}"));
    w.set(&key.of("type"), "veth");
    let name = validate::ifname("interface", &nic.name)?;
    connect(nic, &key, w)?;
    w.set(&key.of("flags"), "up");
    w.set(&key.of("name"), name);
    w.set(&key.of("hwaddr"), validate::mac(&nic.mac)?);
    if let Some(name) = &nic.host_ifname {
        w.set(&key.of("veth.pair"), validate::ifname("interface name on the host", name)?);
    }
    if let Some(mtu) = nic.mtu {
        if !MTU.contains(&mtu) {
            return Err(Error::new(format!("MTU {mtu} of {name} is not between 68 and 65535")));
        }
        w.set(&key.of("mtu"), mtu);
    }
    for address in &nic.addresses {
        validate::station(address.addr())?;
        w.set(&key.address(address), address);
    }
    // LXC adds a host route itself when the gateway is in none of the subnets.
    let gateways = [nic.gateway4.map(IpAddr::V4), nic.gateway6.map(IpAddr::V6)];
    for gateway in gateways.into_iter().flatten() {
        validate::station(gateway)?;
        w.set(&key.of(if gateway.is_ipv4() { "ipv4.gateway" } else { "ipv6.gateway" }), gateway);
    }
    if let Link::Router { uplink: Some(uplink) } = &nic.link {
        forget(nic, uplink, w);
    }
    Ok(())
}

/// Connects the host's end.
fn connect(nic: &Veth, key: &Keys, w: &mut Writer) -> Result<()> {
    match &nic.link {
        Link::Bridge { name, vlan } => {
            let bridge = validate::ifname("bridge", name)?;
            w.set(&key.of("link"), bridge);
            let Some(vlan) = vlan else { return Ok(()) };
            if !VLAN.contains(vlan) {
                return Err(Error::new(format!("VLAN {vlan} of {} is not between 1 and 4094", nic.name)));
            }
            // Left out, the container would be in the bridge's own VLAN, with other people's machines.
            if !w.dialect.at_least(5, 0) {
                let version = w.dialect.version;
                let why = format!("LXC {version} cannot put {} into VLAN {vlan} of {bridge}", nic.name);
                let hint = format!("name the VLAN's own bridge, for instance {bridge}.{vlan}, or install LXC 5.0");
                return Err(Error::new(why).hint(hint));
            }
            w.set(&key.of("veth.vlan.id"), vlan);
        }
        Link::Router { uplink } => {
            if !w.dialect.at_least(4, 0) {
                let version = w.dialect.version;
                let hint = "connect it to a bridge, or install LXC 4.0";
                return Err(Error::new(format!("LXC {version} cannot route to {}", nic.name)).hint(hint));
            }
            // A wider one would make the guest look for its neighbours on a link where there are none.
            if let Some(wide) = nic.addresses.iter().find(|a| a.prefix_len() != a.max_prefix_len()) {
                let hint = format!("give it as {}/{}", wide.addr(), wide.max_prefix_len());
                return Err(Error::new(format!("routed address {wide} of {} is not a host's", nic.name)).hint(hint));
            }
            w.set(&key.of("veth.mode"), "router");
            if let Some(uplink) = uplink {
                // LXC makes that interface answer for the addresses (proxy ARP and NDP).
                let uplink = validate::shell_ifname("uplink", uplink)?;
                w.set(&key.of("link"), uplink);
                w.set(&key.of("l2proxy"), 1);
            }
        }
    }
    Ok(())
}

/// Takes the uplink's answers for the addresses away when the container stops. LXC asks the kernel to, with flags that
/// Linux refuses since 5.19 (RTM_DELNEIGH with NLM_F_BULK, ran: 5.0.2 on 6.18). A host that goes on answering is in the way
/// of the next one that the container runs on.
fn forget(nic: &Veth, uplink: &str, w: &mut Writer) {
    let addresses: Vec<String> = nic.addresses.iter().map(|a| a.addr().to_string()).collect();
    if !addresses.is_empty() {
        let each = format!("ip neigh del proxy \"$a\" dev {uplink} 2>/dev/null");
        w.set("lxc.hook.post-stop", format!("sh -c 'for a in {}; do {each}; done; :'", addresses.join(" ")));
    }
}

/// Moves a device of the host into the container, under the name that it has.
fn moved(index: usize, device: &str, w: &mut Writer) -> Result<()> {
    let key = Keys { new: w.dialect.at_least(2, 1), index };
    let device = validate::ifname("network device", device)?;
    w.section(&format!("network interface {index}: the host's own {device}"));
    w.set(&key.of("type"), "phys");
    w.set(&key.of("link"), device);
    w.set(&key.of("flags"), "up");
    w.set(&key.of("name"), device);
    Ok(())
}
