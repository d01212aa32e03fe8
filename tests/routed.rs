//! Addresses of venet0 on a routed interface: no bridge, no gateway of the network's own, and the host answers for them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ovz2lxc::model::settings::{NetworkMode, Settings};
use ovz2lxc::model::target::Target;
use std::time::{Duration, Instant};
use support::busybox::{self, Sandbox};
use support::chain::{self, Made, Ve};

const TEXT: &str = "IP_ADDRESS=\"10.83.0.101 192.0.2.7/32 fd83::101\"\nHOSTNAME=\"web1.example.com\"\n";

/// A second namespace behind the interface up0 of the first: the router of the network that the host is in, and another
/// machine in it.
struct Network {
    name: String,
}

impl Drop for Network {
    fn drop(&mut self) {
        let command = ovz2lxc::host::Command::write("ip").args(["netns", "del", &self.name]);
        let _ = ovz2lxc::host::Host::run(&ovz2lxc::host::Local::new(), &command);
    }
}

impl Network {
    fn behind(sandbox: &Sandbox) -> Network {
        let (host, name) = (&sandbox.host.namespace, format!("{}-lan", sandbox.host.namespace));
        busybox::sh(&sandbox.host.local, &format!("ip netns add {name}"));
        let network = Network { name };
        let name = &network.name;
        busybox::sh(
            &sandbox.host.local,
            &format!(
                "ip -n {host} link add up0 type veth peer name lan0 netns {name}
                 ip -n {host} addr add 10.83.0.1/24 dev up0; ip -n {host} addr add fd83::1/64 dev up0 nodad
                 ip -n {host} link set up0 up
                 ip -n {name} addr add 10.83.0.254/24 dev lan0; ip -n {name} addr add fd83::fe/64 dev lan0 nodad
                 ip -n {name} link set lo up; ip -n {name} link set lan0 up
                 ip -n {name} route add 192.0.2.0/24 dev lan0
                 ip netns exec {host} sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
                 ip netns exec {host} sysctl -qw net.ipv6.conf.up0.proxy_ndp=1"
            ),
        );
        network
    }

    /// Whether the other machine gets an answer from an address in time.
    fn reaches(&self, sandbox: &Sandbox, address: &str, within: Duration) -> bool {
        let begun = Instant::now();
        let command =
            ovz2lxc::host::Command::read("ip").args(["netns", "exec", &self.name, "ping", "-c1", "-W1", address]);
        while ovz2lxc::host::Host::run(&sandbox.host.local, &command).unwrap().status != 0 {
            if begun.elapsed() > within {
                return false;
            }
        }
        true
    }
}

/// Starts the container, its interface routed, the uplink named or not.
fn routed(sandbox: &Sandbox, short: &str, uplink: Option<&str>) -> Made {
    let settings = Settings { network: NetworkMode::Routed, uplink: uplink.map(str::to_owned), ..Settings::default() };
    // Not the uplink of the machine that the sandbox is on.
    let target = Some(Target { uplink: None, ..sandbox.target() });
    let made = chain::make(sandbox, short, &Ve { settings, target, ..Ve::new(TEXT) });
    sandbox.image(&sandbox.tree(&made.ct), &made.volume.path, 16);
    made.start(sandbox);
    made
}

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn the_network_reaches_a_routed_container_and_back() {
    let test = "routed::the_network_reaches_a_routed_container_and_back";
    let Some(sandbox) = busybox::sandbox(test, "routed1", &["ping", "sysctl"]) else { return };
    let network = Network::behind(&sandbox);
    // Nothing but the network: no default route, to which proxy ARP would owe its answer.
    let made = routed(&sandbox, "routed1", Some("up0"));
    assert!(!made.rendered.text.contains("br0"), "{}", made.rendered.text);

    let inside = |script: &str| sandbox.inside(&made.ct, script);
    let addresses = inside("ip -o addr show dev eth0");
    for address in ["10.83.0.101/32", "192.0.2.7/32", "fd83::101/128"] {
        assert!(addresses.contains(&format!(" {address} ")), "{addresses}");
    }
    assert!(inside("ip route").contains("default via 169.254.0.1 dev eth0"), "{}", inside("ip route"));
    assert!(inside("ip -6 route").contains("default via fe80::1 dev eth0"), "{}", inside("ip -6 route"));
    // The host has a route to each address, and answers for it.
    let routes = sandbox.sh("ip route; ip -6 route");
    let proxies = sandbox.sh("ip neigh show proxy; ip -6 neigh show proxy");
    for address in ["10.83.0.101", "192.0.2.7", "fd83::101"] {
        assert!(routes.lines().any(|l| l.starts_with(&format!("{address} dev veth"))), "{routes}");
        assert!(proxies.contains(&format!("{address} dev up0")), "{proxies}");
    }
    for address in ["10.83.0.101", "192.0.2.7", "fd83::101"] {
        assert!(network.reaches(&sandbox, address, PATIENCE), "{address}; {routes}{proxies}");
    }
    for address in ["10.83.0.254", "10.83.0.1", "fd83::fe", "fd83::1"] {
        let said = inside(&format!("ping -c1 -W5 {address}"));
        assert!(said.contains(" 0% packet loss"), "{address}: {said}");
    }
    // LXC sees the addresses that the health check expects.
    let seen = sandbox.lxc.addresses(&made.ct).unwrap();
    assert!(seen.contains(&"10.83.0.101".parse().unwrap()) && seen.contains(&"fd83::101".parse().unwrap()), "{seen:?}");
    assert!(sandbox.sh("ip -o link show type bridge").is_empty());
}

#[test]
fn a_stopped_container_is_answered_for_no_longer() {
    let test = "routed::a_stopped_container_is_answered_for_no_longer";
    let Some(sandbox) = busybox::sandbox(test, "routed2", &["ping", "sysctl"]) else { return };
    let network = Network::behind(&sandbox);
    let made = routed(&sandbox, "routed2", Some("up0"));
    assert!(network.reaches(&sandbox, "fd83::101", PATIENCE));
    sandbox.lxc.stop(&made.ct, PATIENCE).unwrap();
    let begun = Instant::now();
    // What stays would answer for a container that runs on another node of the cluster by now.
    let left = || sandbox.sh("ip neigh show proxy; ip -6 neigh show proxy; ip route; ip -6 route");
    while left().contains("101") && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!left().contains("101"), "{}", left());
    // And it can be started again.
    made.start(&sandbox);
    assert!(network.reaches(&sandbox, "10.83.0.101", PATIENCE));
}

#[test]
fn without_an_uplink_only_the_routes_are_made() {
    let test = "routed::without_an_uplink_only_the_routes_are_made";
    let Some(sandbox) = busybox::sandbox(test, "routed3", &["ping", "sysctl"]) else { return };
    let network = Network::behind(&sandbox);
    let made = routed(&sandbox, "routed3", None);
    assert!(!made.rendered.text.contains("l2proxy"), "{}", made.rendered.text);
    assert!(!sandbox.sh("ip neigh show proxy; ip -6 neigh show proxy").contains("dev up0"));
    // The network's router sends what is for the container to the host.
    let host = "10.83.0.1";
    busybox::sh(
        &sandbox.host.local,
        &format!(
            "ip -n {} route add 192.0.2.7/32 via {host}; ip -n {0} route add 10.83.0.101/32 via {host}",
            network.name
        ),
    );
    assert!(network.reaches(&sandbox, "192.0.2.7", PATIENCE));
    assert!(network.reaches(&sandbox, "10.83.0.101", PATIENCE));
    assert!(sandbox.inside(&made.ct, "ping -c1 -W5 10.83.0.254").contains(" 0% packet loss"));
}

#[test]
fn a_pulled_cable_is_survived() {
    let test = "routed::a_pulled_cable_is_survived";
    let Some(sandbox) = busybox::sandbox(test, "routed4", &["ping", "sysctl"]) else { return };
    let network = Network::behind(&sandbox);
    let made = routed(&sandbox, "routed4", Some("up0"));
    sandbox.sh("ip neigh add proxy 10.83.0.77 dev up0");
    let lan = |script: &str| busybox::sh(&sandbox.host.local, &format!("ip -n {} {script}", network.name));
    lan("link set lan0 down");
    // The kernel tells of a lost carrier at most once a second.
    let begun = Instant::now();
    while !sandbox.sh("cat /sys/class/net/up0/operstate").contains("down") && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    lan("link set lan0 up");
    lan("addr replace fd83::fe/64 dev lan0 nodad");
    lan("route replace 192.0.2.0/24 dev lan0");
    if !sandbox.sh("ip neigh show proxy").contains("10.83.0.77") {
        return support::skip(test, "this kernel forgets every proxy entry with the carrier");
    }
    for address in ["10.83.0.101", "192.0.2.7", "fd83::101"] {
        assert!(network.reaches(&sandbox, address, PATIENCE), "{address}");
    }
    assert!(sandbox.inside(&made.ct, "ping -c1 -W5 10.83.0.254").contains(" 0% packet loss"));
}
