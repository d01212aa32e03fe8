//! What vzctl takes and the target cannot have, from the file to the model, the answers and the findings.

use crate::model::ctid::Ctid;
use crate::model::finding::{Finding, Severity};
use crate::model::ve::{KeyAnswer, Outcome, Resolver, VeConfig};
use crate::openvz::{ParseContext, parse};

fn over(global: &str, own: &str) -> VeConfig {
    let context = ParseContext { node_cpus: Some(4), file: "101.conf".into(), ..ParseContext::default() };
    parse(&Ctid::parse("101").unwrap(), Some(global.as_bytes()), own.as_bytes(), &context).unwrap()
}

fn config(own: &str) -> VeConfig {
    over("", own)
}

fn virtuozzo(own: &str) -> VeConfig {
    let ctid = Ctid::parse("5fbaabe3-6958-40ff-92a7-860e329aab41").unwrap();
    parse(&ctid, None, own.as_bytes(), &ParseContext::default()).unwrap()
}

fn answer<'a>(ve: &'a VeConfig, key: &str) -> &'a KeyAnswer {
    ve.keys.iter().find(|k| k.key == key).unwrap_or_else(|| panic!("{key} has no answer"))
}

/// The findings with an id, as `line:column` in the container's file.
fn places(ve: &VeConfig, id: &str) -> Vec<String> {
    let of = ve.findings.iter().filter(|f| f.id == id);
    of.map(|f| f.subject.strip_prefix("101.conf:").unwrap_or(&f.subject).to_owned()).collect()
}

fn finding<'a>(ve: &'a VeConfig, id: &str) -> &'a Finding {
    ve.findings.iter().find(|f| f.id == id).unwrap_or_else(|| panic!("no {id}: {:?}", ve.findings))
}

const LEFT: &str = "ve-value-left-out";

#[test]
fn a_number_that_no_device_has_is_left_out() {
    let ve = config("DEVICES=\"b:4294967295:4294967295:rw c:10:200:rw b:4096:0:r c:4095:1048575:r c:1:1048576:r\"\n");
    let numbers: Vec<_> = ve.devices.iter().map(|d| (d.major, d.minor)).collect();
    assert_eq!(numbers, [(Some(10), Some(200)), (Some(4095), Some(1_048_575))]);
    assert_eq!(places(&ve, LEFT), ["1:10", "1:49", "1:77"]);
    let said = answer(&ve, "DEVICES");
    assert_eq!(said.outcome, Outcome::Approximated);
    assert!(said.why.contains("left out: \"b:4294967295:4294967295:rw\" (no device has such a number"), "{said:?}");
    let ve = config("DEVICES=\"b:5000:all:rw\"\n");
    assert_eq!((ve.devices.len(), answer(&ve, "DEVICES").outcome), (0, Outcome::Ignored));
}

#[test]
fn a_host_name_that_the_kernel_refuses_is_left_out() {
    let long = "a".repeat(65);
    let ve = config(&format!("HOSTNAME=\"{long}\"\n"));
    assert_eq!((ve.hostname.as_deref(), places(&ve, "ve-hostname-unusable")), (None, vec!["1:11".to_owned()]));
    assert!(finding(&ve, "ve-hostname-unusable").detail.contains("64 bytes"));
    assert_eq!(answer(&ve, "HOSTNAME").outcome, Outcome::Ignored);
    assert_eq!(config(&format!("HOSTNAME={}\n", &long[1..])).hostname.unwrap().len(), 64);
}

#[test]
fn addresses_that_no_interface_has_are_left_out() {
    let ve = config("IP_ADDRESS=\"127.0.0.1 10.0.0.1 224.0.0.5 ::1\"\nIP_ADDRESS=\"ff02::1 10.0.0.2 0.0.0.0\"\n");
    let all: Vec<String> = ve.venet.iter().map(|a| a.address.to_string()).collect();
    assert_eq!(all, ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(places(&ve, LEFT), ["1:13", "1:32", "1:42", "2:13"]);
    let said = answer(&ve, "IP_ADDRESS");
    assert!(said.outcome == Outcome::Approximated && said.why.contains("\"127.0.0.1\" (a loopback"), "{said:?}");
    // To vzctl that list is not empty, and it replaces the global one.
    let ve = over("IP_ADDRESS=10.9.9.9\n", "IP_ADDRESS=127.0.0.1\n");
    assert_eq!((ve.venet.len(), answer(&ve, "IP_ADDRESS").outcome), (0, Outcome::Ignored));
}

#[test]
fn interfaces_do_not_share_what_must_be_their_own() {
    let own = "NETIF=\"ifname=eth0,mac=00:18:51:AA:00:01,host_ifname=veth101.0;ifname=eth1,mac=00:18:51:aa:00:01,\
               host_ifname=veth101.0;ifname=eth2,mac=01:00:5e:00:00:01;ifname=eth3,mac=00:00:00:00:00:00\"\n";
    let ve = config(own);
    let all: Vec<_> = ve.veth.iter().map(|v| (v.ifname.as_str(), v.mac.as_deref(), v.host_ifname.as_deref())).collect();
    let first = ("eth0", Some("00:18:51:aa:00:01"), Some("veth101.0"));
    assert_eq!(all, [first, ("eth1", None, None), ("eth2", None, None), ("eth3", None, None)]);
    let column = |what: &str| format!("1:{}", own.rfind(what).unwrap() + 1);
    let want = ["mac=00:18:51:aa", "host_ifname", "mac=01", "mac=00:00"].map(column);
    assert_eq!(places(&ve, LEFT), want);
    let why = &answer(&ve, "NETIF").why;
    assert!(why.contains("the MAC address 00:18:51:aa:00:01 of eth1 (an interface before it"), "{why}");
    assert!(!why.contains("has no MAC address here"), "it had one: {why}");
}

#[test]
fn an_interface_whose_name_lxc_cannot_have_is_left_out() {
    for bad in ["ifname=e%d", "ifname=e'0", "ifname=e#0", "ifname=é", "ifname=e0,bridge=b%d", "bridge=b#0,ifname=e0"] {
        let ve = config(&format!("NETIF=\"ifname=ok;{bad},mac=00:18:51:00:00:01,ip=10.0.0.1\"\n"));
        assert_eq!(ve.veth.iter().map(|v| v.ifname.as_str()).collect::<Vec<_>>(), ["ok"], "{bad}");
        let found = finding(&ve, "ve-interface-left-out");
        assert_eq!(found.severity, Severity::Overridable);
        assert!(found.remedy.contains("--accept ve-interface-left-out"));
        let why = &answer(&ve, "NETIF").why;
        assert!(why.contains("left out: \"e") || why.contains("left out: \"é"), "{bad}: {why}");
        assert!(!why.contains("ip=10.0.0.1"), "nothing of it goes anywhere: {why}");
    }
    let ve = config("NETIF=\"ifname=e0,host_ifname=v%d\"\n");
    assert_eq!((ve.veth[0].host_ifname.as_deref(), places(&ve, LEFT)), (None, vec!["1:18".to_owned()]));
}

#[test]
fn a_network_device_with_the_name_of_an_interface_is_left_out() {
    let approximate = vec!["NETDEV".to_owned()];
    let context = ParseContext { node_cpus: None, file: "101.conf".into(), approximate };
    let own = b"NETDEV=\"eth3 eth0\"\nNETIF=\"ifname=eth0\"\n";
    let ve = parse(&Ctid::parse("101").unwrap(), None, own, &context).unwrap();
    assert_eq!(ve.net_devices, ["eth3"]);
    assert!(finding(&ve, LEFT).title.contains("eth0") && answer(&ve, "NETDEV").why.contains("left out: eth0"));
}

#[test]
fn device_nodes_that_a_mount_entry_cannot_name_are_left_out() {
    let ve = config("DEVNODES=\"net/tun:rw a'b:rw caf\u{e9}:r fuse:r\"\n");
    assert_eq!(ve.devices.iter().map(|d| d.path.clone().unwrap()).collect::<Vec<_>>(), ["net/tun", "fuse"]);
    assert_eq!(places(&ve, LEFT), ["1:22", "1:29"]);
    assert!(answer(&ve, "DEVNODES").why.contains("left out: \"a'b:rw\" ("));
    let ve = virtuozzo("DEVNODES='a\\b:rw'\n");
    assert_eq!((ve.devices.len(), answer(&ve, "DEVNODES").outcome), (0, Outcome::Ignored));
}

#[test]
fn resolvers_get_addresses_and_domains_alone() {
    let ve = config("NAMESERVER=\"10.0.0.53 ns1 2001:db8::53\"\nSEARCHDOMAIN=\"example.com a;b -x\"\n");
    assert_eq!(ve.nameservers, Resolver::List(vec!["10.0.0.53".into(), "2001:db8::53".into()]));
    assert_eq!(ve.searchdomains, Resolver::List(vec!["example.com".into()]));
    assert_eq!(places(&ve, LEFT), ["1:23", "2:27", "2:31"]);
    let said = answer(&ve, "NAMESERVER");
    assert_eq!((said.outcome, said.why.contains("\"ns1\" (it is not an address)")), (Outcome::Approximated, true));
    assert!(answer(&ve, "SEARCHDOMAIN").why.contains("\"a;b\" (it is not a domain)"));
    let ve = config("NAMESERVER=\"ns1\"\n");
    assert_eq!((&ve.nameservers, answer(&ve, "NAMESERVER").outcome), (&Resolver::Unset, Outcome::Ignored));
    let ve = config("NAMESERVER=\"inherit # Copy\"\n");
    assert_eq!((&ve.nameservers, ve.findings.len()), (&Resolver::Inherit, 0));
}

#[test]
fn a_list_that_was_cut_says_what_is_missing() {
    for (line, left) in [
        ("IP_ADDRESS=\"10.0.0.1 bad 10.0.0.2\"", "left out: \"bad 10.0.0.2\" (\"bad\" is not an address"),
        ("CAPABILITY=\"mknod:on nosuch:on chown:off\"", "left out: \"nosuch:on chown:off\" ("),
        ("DEVICES=\"c:10:200:rw x c:1:3:r\"", "left out: \"x c:1:3:r\" ("),
        ("DEVNODES=\"net/tun:rw ../sda:r fuse:r\"", "left out: \"../sda:r fuse:r\" ("),
        (
            "NETIF=\"ifname=eth0,mac=00:18:51:00:00:01;ifname=eth1,mac=1;ifname=eth2\"",
            "left out: \"ifname=eth1,mac=1;ifname=eth2\" (",
        ),
        ("FEATURES=\"nfs:on tunnel:on\"", "left out: \"tunnel:on\" is not the name of a feature"),
    ] {
        let ve = config(&format!("{line}\n"));
        let said = &ve.keys[0];
        assert!(said.outcome == Outcome::Approximated && !said.into.is_empty() && said.why.contains(left), "{said:?}");
    }
}

#[test]
fn what_the_global_file_gives_is_answered_like_an_own_key() {
    let global = "LOCKDIR=/vz/lock\nTEMPLATE=/vz/template\nVE_ROOT=/vz/root/$VEID\nNETDEV=eth3\nPCI=0:1f.2\n\
                  QUOTAUGIDLIMIT=5\nBINDMOUNT=\"/srv:/srv\"\nDISK=\"image=/d.hdd,mnt=/d\"\nCPUUNITS=500\nIP_ADDRESS=127.0.0.1\n\
                  IPTABLES=ipt_LOG\nVE_LAYOUT=ploop\nNETFILTER=full\nNOSUCH=1\n";
    let ve = over(global, "CPUUNITS=2000\nVEID=101\n");
    let inherited: Vec<&str> = ve.keys.iter().filter(|k| k.origin == "vz.conf").map(|k| k.key.as_str()).collect();
    let want = ["VE_ROOT", "NETDEV", "PCI", "QUOTAUGIDLIMIT", "BINDMOUNT", "DISK", "IP_ADDRESS", "IPTABLES"];
    assert_eq!(inherited, want);
    let own: Vec<&str> = ve.keys.iter().filter(|k| k.origin.is_empty()).map(|k| k.key.as_str()).collect();
    assert_eq!(own, ["CPUUNITS", "VEID"], "exactly one answer for each own key");
    for id in ["ve-netdev", "ve-pci", "ve-quotaugidlimit", "ve-bindmount", "ve-disk"] {
        let found = finding(&ve, id);
        assert!(found.severity == Severity::Overridable && found.title.contains(" in vz.conf "), "{found:?}");
    }
    assert_eq!(places(&ve, LEFT), ["vz.conf:10:12"]);
    // Names that are one row of the table are still keys of their own.
    let ve = over("SLMMODE=1\nSLMPATTERN=2\nRATE=1\nRATE=2\n", "SLMMODE=3\n");
    let keys: Vec<&str> = ve.keys.iter().map(|k| k.key.as_str()).collect();
    assert_eq!(keys, ["SLMMODE", "SLMPATTERN", "RATE"]);
    // What is overridden says nothing.
    let ve = over("NETDEV=eth3\nIP_ADDRESS=127.0.0.1\n", "NETDEV=eth4\nIP_ADDRESS=10.0.0.1\n");
    assert_eq!((ve.keys.len(), ve.findings.len()), (2, 1), "{:?}", ve.findings);
    // What vzctl leaves unset in the container's own file does not override.
    let ve = over("ONBOOT=yes\n", "ONBOOT=maybe\n");
    assert_eq!((ve.onboot, ve.keys.len(), ve.keys[1].origin.as_str()), (Some(true), 2, "vz.conf"));
}

#[test]
fn garbage_has_no_known_keys() {
    assert_eq!(over("ONBOOT=yes\n", "A=1\nonboot=yes\n").known_keys(), 0);
    assert_eq!(over("ONBOOT=yes\n", "A=1\nCPUS=2\nCPUUNITS=x\nSLMMODE=1\n").known_keys(), 3);
}

#[test]
fn no_swap_is_a_limit_and_an_empty_one_is_none() {
    for value in ["0:0", "0", "100:0"] {
        let ve = config(&format!("PHYSPAGES=\"0:256M\"\nSWAPPAGES=\"{value}\"\n"));
        assert_eq!(ve.limits.swap_bytes, Some(0), "{value}");
        assert_eq!(finding(&ve, "ve-no-swap").severity, Severity::Info);
        assert_eq!((ve.findings.len(), answer(&ve, "SWAPPAGES").outcome), (1, Outcome::Converted));
        assert!(!answer(&ve, "SWAPPAGES").into.is_empty());
    }
    for value in ["", "0:", "100:", ":"] {
        let ve = config(&format!("PHYSPAGES=\"0:256M\"\nSWAPPAGES=\"{value}\"\n"));
        assert_eq!((ve.limits.swap_bytes, finding(&ve, "ve-zero-limit").subject.as_str()), (None, "SWAPPAGES"));
        assert_eq!(answer(&ve, "SWAPPAGES").outcome, Outcome::Ignored);
    }
    let ve = config("SWAPPAGES=0\n");
    assert_eq!((ve.limits.swap_bytes, ve.findings.len()), (None, 0), "without PHYSPAGES it is no limit");
}

#[test]
fn virtuozzo_has_words_of_its_own() {
    let ve = virtuozzo(
        "VE_LAYOUT=\"5\"\nONBOOT=auto\nFEATURES=\"fuse:on nfs:on\"\nNOSUCH=1\nCPUUNITS=7\nCPUUNITS=8\nNUMPROC=x\ngarbage\n\
         IP_ADDRESS=\"10.0.0.1 x\"\nHOSTNAME=\"a b\"\nDEVICES=\"y\"\n",
    );
    assert_eq!((ve.layout.as_deref(), ve.onboot), (Some("ploop"), Some(true)));
    assert!(answer(&ve, "ONBOOT").why.starts_with("auto: ") && answer(&ve, "VE_LAYOUT").outcome == Outcome::Converted);
    assert_eq!(ve.features.keys().collect::<Vec<_>>(), ["nfs"], "four letters are nothing to Virtuozzo");
    for found in &ve.findings {
        assert!(!format!("{}{}{}", found.title, found.detail, found.remedy).contains("vzctl"), "{found:?}");
    }
    assert!(finding(&ve, "ve-line-rejected").title.starts_with("Virtuozzo does not take line 3 "));
    for layout in ["3", "4"] {
        assert_eq!(virtuozzo(&format!("VE_LAYOUT={layout}\n")).layout.as_deref(), Some("simfs"));
    }
    let ve = config("VE_LAYOUT=5\nONBOOT=auto\n");
    assert_eq!((ve.layout, ve.onboot), (None, None), "vzctl 4 knows neither");
}
