//! Routed interfaces and VLANs: what LXC and the kernel must be able to do for them.

use super::{Check, note, when};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};
use crate::model::settings::NetworkMode;
use crate::model::target::LxcVersion;
use std::collections::BTreeMap;
use std::net::IpAddr;

pub(super) const RULES: &[Check] = &[
    Check { id: "network-routed-unsupported", severity: Severity::Blocker, find: unsupported },
    Check { id: "network-forwarding", severity: Severity::Blocker, find: forwarding },
    Check { id: "network-proxy-ndp", severity: Severity::Blocker, find: proxy_ndp },
    Check { id: "network-gateway-unused", severity: Severity::Info, find: gateway_unused },
    Check { id: "network-uplink-unknown", severity: Severity::Warning, find: uplink_unknown },
    Check { id: "network-vlan-unsupported", severity: Severity::Blocker, find: vlan_unsupported },
    Check { id: "network-host-name-taken", severity: Severity::Info, find: host_name_taken },
];

/// Tells whether the successor of venet0 is a routed interface.
pub(super) fn is_routed(facts: &Facts) -> bool {
    facts.settings.network == NetworkMode::Routed && !facts.container.ve.venet.is_empty()
}

/// The LXC that the configuration is written for; `None` where there is none, which another rule says.
fn lxc(facts: &Facts) -> Option<LxcVersion> {
    facts.settings.lxc_version.or(facts.target.lxc)
}

fn uplink(facts: &Facts) -> Option<&str> {
    facts.settings.uplink.as_deref().or(facts.target.uplink.as_deref())
}

fn addresses(facts: &Facts, v4: bool) -> Vec<String> {
    let venet = facts.container.ve.venet.iter();
    venet.filter(|a| a.address.is_ipv4() == v4).map(|a| a.address.to_string()).collect()
}

fn unsupported(facts: &Facts) -> Vec<Finding> {
    let old = lxc(facts).filter(|v| is_routed(facts) && v.major < 4);
    old.map_or_else(Vec::new, |version| {
        vec![
            note(format!("LXC {version} has no routed interfaces"))
                .detail("they came with LXC 4.0")
                .remedy("install LXC 4.0 or later, or connect the container to a bridge: --network-mode bridge")
                .subject(version.to_string()),
        ]
    })
}

fn forwarding(facts: &Facts) -> Vec<Finding> {
    let families = [
        (true, facts.target.forwarding.v4, "IPv4", "net.ipv4.ip_forward"),
        (false, facts.target.forwarding.v6, "IPv6", "net.ipv6.conf.all.forwarding"),
    ];
    let mut findings = Vec::new();
    for (v4, on, name, key) in families {
        let list = addresses(facts, v4);
        findings.extend(when(is_routed(facts) && !on && !list.is_empty(), || {
            let mut remedy = format!("sysctl -w {key}=1, and write `{key} = 1` into /etc/sysctl.d on this host");
            if !v4 {
                remedy
                    .push_str("; a host that learns its own route from router advertisements then needs accept_ra = 2");
            }
            note(format!("the target does not forward {name}: nobody could reach the routed container"))
                .detail(format!("{key} is 0; for {}", list.join(", ")))
                .remedy(remedy)
                .subject(key)
        }));
    }
    findings
}

fn proxy_ndp(facts: &Facts) -> Vec<Finding> {
    let list = addresses(facts, false);
    let off = uplink(facts).filter(|u| !facts.target.forwarding.proxy_ndp.iter().any(|on| on == u));
    match off {
        Some(uplink) if is_routed(facts) && !list.is_empty() => {
            let key = format!("net.ipv6.conf.{uplink}.proxy_ndp");
            // A point in the name is a slash for sysctl.
            let argument = if uplink.contains('.') { format!("net/ipv6/conf/{uplink}/proxy_ndp") } else { key.clone() };
            vec![
                note(format!("{uplink} does not answer for the IPv6 addresses of containers"))
                    .detail(format!("{key} is not 1, and LXC refuses to start without; for {}", list.join(", ")))
                    .remedy(format!("sysctl -w {argument}=1, and the same in /etc/sysctl.d on this host"))
                    .subject(key),
            ]
        }
        _ => Vec::new(),
    }
}

/// The gateway of a [[network]] is the subnet's, for whoever is on its bridge; one that is set by itself was meant for this
/// container.
fn gateway_unused(facts: &Facts) -> Vec<Finding> {
    let settings = &facts.settings;
    let named = [("gateway4", settings.gateway4.map(IpAddr::V4)), ("gateway6", settings.gateway6.map(IpAddr::V6))];
    let named = named.into_iter().filter_map(|(key, gateway)| gateway.map(|g| (key, g)));
    named
        .filter(|_| is_routed(facts))
        .map(|(key, gateway)| {
            note(format!("the gateway {gateway} is not used: this host is the gateway of a routed container"))
                .detail(format!("{key} counts for an interface on a bridge"))
                .remedy(format!("leave {key} out, or connect the container to a bridge: --network-mode bridge"))
                .subject(key)
        })
        .collect()
}

fn uplink_unknown(facts: &Facts) -> Vec<Finding> {
    when(is_routed(facts) && uplink(facts).is_none(), || {
        note("no interface of the target will answer for the container's addresses")
            .detail("the target has no default route")
            .remedy(
                "name the interface with --uplink, or let the routers of the network route the addresses to this host",
            )
            .subject("IP_ADDRESS")
    })
}

fn vlan_unsupported(facts: &Facts) -> Vec<Finding> {
    let Some(version) = lxc(facts).filter(|v| v.major < 5 && !is_routed(facts)) else { return Vec::new() };
    let mut concerned: BTreeMap<(u16, &str), Vec<String>> = BTreeMap::new();
    for address in &facts.container.ve.venet {
        let place = facts.place(address);
        if let (Some(vlan), Some(bridge)) = (place.vlan, place.bridge) {
            concerned.entry((vlan, bridge)).or_default().push(address.address.to_string());
        }
    }
    concerned
        .into_iter()
        .map(|((vlan, bridge), list)| {
            note(format!("LXC {version} cannot put an interface into VLAN {vlan} of {bridge}"))
                .detail(format!("LXC 5.0 can; for {}", list.join(", ")))
                .remedy(format!(
                    "name the VLAN's own bridge, for instance {bridge}.{vlan}, in [[network]] without `vlan`"
                ))
                .subject(format!("VLAN {vlan}"))
        })
        .collect()
}

fn host_name_taken(facts: &Facts) -> Vec<Finding> {
    let named = facts.container.ve.veth.iter().filter_map(|v| v.host_ifname.as_deref().map(|h| (h, &v.ifname)));
    named
        .filter(|(name, _)| facts.target.host_ifnames.iter().any(|taken| taken == name))
        .map(|(name, inside)| {
            note(format!(
                "the target has an interface {name} already: LXC will make up a name for {inside}'s other end"
            ))
            .detail("firewall rules and monitoring that know it by its old name will not find it")
            .subject(name)
        })
        .collect()
}
