//! The network of a container: what the LXC configuration offers and what the guest's files say.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, Ipv6Addr};

/// Who gives an interface its addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// The guest's own files, addresses written there.
    #[default]
    Static,
    /// The guest's own files, by DHCP.
    Dhcp,
    /// The guest brings the interface up without addresses.
    Manual,
    /// LXC sets the addresses; the guest's files leave the interface alone.
    None,
}

/// One interface as the guest sees it; a `[[nic]]` of the fixups' plan file (contracts.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nic {
    /// Name inside the container, at most 15 characters.
    pub name: String,
    /// MAC address in lower case with colons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// Who gives the addresses.
    #[serde(default)]
    pub method: Method,
    /// Addresses with prefix lengths, IPv4 and IPv6, in the order of the source.
    #[serde(default)]
    pub addresses: Vec<IpNet>,
    /// IPv4 gateway; may be off-link, then it needs a host route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway4: Option<Ipv4Addr>,
    /// IPv6 gateway; may be link-local.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway6: Option<Ipv6Addr>,
    /// MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

impl Nic {
    /// Returns the IPv4 addresses, in order.
    pub fn v4(&self) -> impl Iterator<Item = ipnet::Ipv4Net> {
        self.addresses.iter().filter_map(|a| if let IpNet::V4(n) = a { Some(*n) } else { None })
    }

    /// Returns the IPv6 addresses, in order.
    pub fn v6(&self) -> impl Iterator<Item = ipnet::Ipv6Net> {
        self.addresses.iter().filter_map(|a| if let IpNet::V6(n) = a { Some(*n) } else { None })
    }

    /// Tells whether the IPv4 gateway lies in none of the interface's subnets, so that it needs a host route of its own.
    pub fn gateway4_off_link(&self) -> bool {
        self.gateway4.is_some_and(|g| !self.v4().any(|n| n.contains(&g)))
    }

    /// Tells whether the IPv6 gateway needs a host route: off-link and not link-local (fe80::/10 is always on the link).
    pub fn gateway6_off_link(&self) -> bool {
        self.gateway6.is_some_and(|g| !g.is_unicast_link_local() && !self.v6().any(|n| n.contains(&g)))
    }
}

/// The plan for fixups: what the tree must be told about its new home (contracts.md, `--plan`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestPlan {
    /// Host name, usually fully qualified.
    pub hostname: String,
    /// Name servers; none leaves the guest's resolver alone.
    #[serde(default)]
    pub nameservers: Vec<std::net::IpAddr>,
    /// Search domains.
    #[serde(default)]
    pub searchdomains: Vec<String>,
    /// How many consoles the LXC configuration offers (tty1 … ttyN); 0 = none.
    #[serde(default = "four")]
    pub ttys: u32,
    /// Whether the container will be privileged.
    #[serde(default = "yes")]
    pub privileged: bool,
    /// Its interfaces.
    #[serde(default, rename = "nic")]
    pub nics: Vec<Nic>,
}

fn four() -> u32 {
    4
}

fn yes() -> bool {
    true
}
