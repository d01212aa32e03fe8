//! Bridges, addresses, and whether the guest can be told about them. An interface that is routed has none of these.

use super::routed::is_routed;
use super::{Check, note, when};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};
use crate::model::guest::NetworkDialect;
use crate::model::settings::AddressMode;
use std::collections::BTreeSet;
use std::net::IpAddr;

pub(super) const RULES: &[Check] = &[
    Check { id: "network-bridge-unknown", severity: Severity::Blocker, find: bridge_unknown },
    Check { id: "network-bridge-missing", severity: Severity::Blocker, find: bridge_missing },
    Check { id: "network-dialect-unknown", severity: Severity::Overridable, find: dialect_unknown },
    Check { id: "network-prefix-unknown", severity: Severity::Warning, find: prefix_unknown },
    Check { id: "network-gateway-unknown", severity: Severity::Warning, find: gateway_unknown },
];

/// The bridge of every interface, with the interface's name: venet0's addresses share one interface per bridge.
fn bridges(facts: &Facts) -> Vec<(String, Option<&str>)> {
    let ve = &facts.container.ve;
    let on_bridge = if is_routed(facts) { &[][..] } else { ve.venet.as_slice() };
    let venet = on_bridge.iter().map(|a| (format!("venet0 {}", a.address), facts.place(a).bridge));
    let veth = ve.veth.iter().map(|v| (v.ifname.clone(), facts.bridge(v.bridge.as_deref())));
    venet.chain(veth).collect()
}

fn bridge_unknown(facts: &Facts) -> Vec<Finding> {
    let all = bridges(facts);
    let without: Vec<&str> = all.iter().filter(|(_, b)| b.is_none()).map(|(name, _)| name.as_str()).collect();
    let found = match facts.target.bridges.as_slice() {
        [] => "the target has no bridge at all".to_owned(),
        list => format!("the target has several: {}", list.join(", ")),
    };
    when(!without.is_empty(), || {
        note("no bridge is named for the container's network, and none can be guessed")
            .detail(format!("{}; for {}", found, without.join(", ")))
            .remedy("name one: `bridge` in the configuration or the manifest, or per subnet in a [[network]] section")
            .subject(without.join(", "))
    })
}

fn bridge_missing(facts: &Facts) -> Vec<Finding> {
    let named: BTreeSet<&str> = bridges(facts).iter().filter_map(|(_, bridge)| *bridge).collect();
    let missing = named.into_iter().filter(|bridge| !facts.target.bridges.iter().any(|b| b == bridge));
    missing
        .map(|bridge| {
            let there = facts.target.bridges.join(", ");
            note(format!("the target has no bridge {bridge}"))
                .detail(if there.is_empty() { "it has none at all".into() } else { format!("it has {there}") })
                .remedy("create the bridge, or name another one")
                .subject(bridge)
        })
        .collect()
}

/// Tells whether the guest's own files set the addresses; of a routed interface LXC does.
fn by_guest(facts: &Facts) -> bool {
    facts.settings.addresses == AddressMode::Guest && !is_routed(facts)
}

fn dialect_unknown(facts: &Facts) -> Vec<Finding> {
    let must_write = by_guest(facts) && !facts.container.ve.venet.is_empty();
    when(must_write && facts.guest.network == NetworkDialect::Unknown, || {
        note("it is not known how the container configures its network, so the addresses cannot be written into it")
            .remedy(
                "let LXC set them (`addresses = \"lxc\"`), or --accept network-dialect-unknown and write them yourself",
            )
            .subject("IP_ADDRESS")
    })
}

fn prefix_unknown(facts: &Facts) -> Vec<Finding> {
    // LXC reaches a gateway outside of the subnet by itself.
    let without = facts.container.ve.venet.iter().filter(|a| by_guest(facts) && facts.place(a).prefix.is_none());
    let list: Vec<String> = without.map(|a| a.address.to_string()).collect();
    when(!list.is_empty(), || {
        note("no prefix length is known for addresses of the container, they stay host addresses")
            .detail("venet0 is point-to-point: the VE configuration does not name the subnet")
            .remedy("add a [[network]] section with the subnet, or set prefix4 and prefix6")
            .subject(list.join(", "))
    })
}

fn gateway_unknown(facts: &Facts) -> Vec<Finding> {
    let family = |v4: bool| facts.container.ve.venet.iter().filter(move |a| matches!(a.address, IpAddr::V4(_)) == v4);
    let mut findings = Vec::new();
    if is_routed(facts) {
        return findings; // the host is the gateway
    }
    for (v4, name) in [(true, "IPv4"), (false, "IPv6")] {
        let list: Vec<String> = family(v4).map(|a| a.address.to_string()).collect();
        let known = family(v4).any(|a| facts.place(a).gateway.is_some());
        findings.extend(when(!list.is_empty() && !known, || {
            note(format!("no {name} gateway is known: the container will reach its own subnet only"))
                .detail("the VE configuration does not name one")
                .remedy(format!(
                    "add a [[network]] section with subnet and gateway, or set gateway{}",
                    if v4 { "4" } else { "6" }
                ))
                .subject(list.join(", "))
        }));
    }
    findings
}
