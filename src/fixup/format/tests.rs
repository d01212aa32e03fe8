//! Properties that all editors share, over texts made by a small deterministic generator.

use super::interfaces::Style;
use super::{
    fstab::Fstab, hosts, inittab::Inittab, interfaces::Interfaces, netplan, resolv, securetty, shellvars::ShellVars,
};
use crate::model::network::{GuestPlan, Method, Nic};

/// A static interface eth0.
pub(in crate::fixup) fn nic(addresses: &[&str], gateway4: Option<&str>, gateway6: Option<&str>) -> Nic {
    Nic {
        name: "eth0".into(),
        mac: None,
        method: Method::Static,
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        gateway4: gateway4.map(|g| g.parse().unwrap()),
        gateway6: gateway6.map(|g| g.parse().unwrap()),
        mtu: None,
    }
}

/// xorshift: the same texts on every machine and every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn text(&mut self, parts: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..self.below(24) {
            out.extend_from_slice(parts[self.below(parts.len())]);
            if self.below(3) == 0 {
                out.extend_from_slice([&b"\n"[..], b"\r\n", b"\\\n", b" # c\n"][self.below(4)]);
            } else {
                out.push(b'\n');
            }
        }
        if self.below(3) == 0 {
            out.pop();
        }
        out
    }
}

const PARTS: [&[u8]; 58] = [
    b"",
    b" ",
    b"\t# note \xff\xfe",
    b"#",
    b"auto lo eth0 venet0",
    b"allow-hotplug eth0",
    b"iface eth0 inet static # c",
    b"iface eth0 inet6 auto",
    b"    address 10.0.0.9",
    b"\tnetmask 255.255.255.0",
    b"  up ip route add 10.1.0.0/16 dev eth0",
    b"iface venet0:0 inet static",
    b"mapping eth* venet0",
    b"source /etc/network/interfaces.d/*",
    b"\\",
    b"a\\b \\",
    b"1:2345:respawn:/sbin/mingetty tty1",
    b"vz:2345:once:touch /.vzfifo",
    b":::",
    b"KEY=\"open",
    b"export A='x y' # t",
    b"GATEWAYDEV=\"venet0\"",
    b"B=(",
    b"c )",
    b"K=a\\",
    b"none /dev/pts devpts rw 0 0",
    b"/dev/x\t/a\\040b ext4",
    b"nameserver 8.8.8.8",
    b"search a b",
    b"options ndots:2",
    b"tty1",
    b"console",
    b"# Auto-generated hostname. Please do not remove this comment.",
    b"10.0.0.9 old.example.com old",
    b"127.0.0.1 localhost",
    b"# This configuration file is auto-generated.",
    b"# Auto generated venet0 interface",
    b"\0\x01",
    b"=x",
    b"   iface",
    b"INTERFACES=(lo !eth0 eth0_1)",
    b"eth0_1=\"eth0:1 10.0.0.9\"",
    b"ROUTES=(!gateway)",
    b"DAEMONS=( syslog !network )",
    b"NETWORKS=(venet0 'x y')",
    b"config_eth0=( \"10.0.0.9/24\"",
    b"\"b\" )",
    b"routes_eth0=\"default via 10.0.0.1\"",
    b"exit 0",
    b"network:",
    b"  ethernets:",
    b"    eth0:",
    b"      addresses:",
    b"      - 10.0.0.9/24",
    b"      routes:",
    b"        - to: default",
    b"          via: 10.0.0.1",
    b"    eth1: {}",
];

fn plan() -> GuestPlan {
    GuestPlan {
        hostname: "web1.example.com".into(),
        nameservers: vec![],
        searchdomains: vec![],
        ttys: 4,
        privileged: true,
        nics: vec![nic(&["10.0.0.101/24"], None, None)],
    }
}

#[test]
fn parsing_and_rendering_keeps_every_byte() {
    let mut random = Random(0x5eed);
    for _ in 0..4000 {
        let text = random.text(&PARTS);
        let shown = String::from_utf8_lossy(&text).into_owned();
        assert_eq!(Inittab::parse(&text).render(), text, "inittab {shown:?}");
        assert_eq!(Interfaces::parse(&text).render(), text, "interfaces {shown:?}");
        assert_eq!(ShellVars::parse(&text).render(), text, "shell {shown:?}");
        assert_eq!(Fstab::parse(&text).render(), text, "fstab {shown:?}");
        let mut same = Interfaces::parse(&text);
        assert_eq!(same.remove_interface(|_| false), 0);
        assert_eq!(same.render(), text, "interfaces, nothing removed {shown:?}");
        assert_eq!(securetty::add_ttys(&text, &[]), text);
        assert_eq!(resolv::resolv_conf(Some(&text), &[], &[]), text);
    }
}

#[test]
fn a_second_edit_changes_nothing() {
    let mut random = Random(0xcafe);
    let with_all = nic(
        &["10.0.0.101/24", "10.0.0.102/24", "2001:db8::1/64", "2001:db8::2/64"],
        Some("192.168.9.1"),
        Some("fe80::1"),
    );
    type Edit<'a> = (&'a str, Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>);
    let interfaces = |style: Style, nic: Nic| {
        move |t: &[u8]| {
            let mut i = Interfaces::parse(t);
            i.remove_interface(|n| n.starts_with("venet0"));
            i.put(&nic, &["10.0.0.53".parse().unwrap()], &["example.com".into()], style);
            i.render()
        }
    };
    let manual = Nic { method: Method::Manual, mtu: Some(1400), ..with_all.clone() };
    let none = Nic { method: Method::None, ..with_all.clone() };
    let edits: Vec<Edit> = vec![
        ("interfaces, old", Box::new(interfaces(Style::Netmask, with_all.clone()))),
        ("interfaces, very old", Box::new(interfaces(Style::Aliases, with_all.clone()))),
        ("interfaces, new", Box::new(interfaces(Style::Cidr, with_all.clone()))),
        ("interfaces, manual", Box::new(interfaces(Style::Cidr, manual))),
        ("interfaces, none", Box::new(interfaces(Style::Cidr, none))),
        (
            "inittab",
            Box::new(|t| {
                let mut i = Inittab::parse(t);
                i.remove_where(|e| e.id == "vz");
                i.set("1", "2345", "respawn", "/sbin/agetty 38400 tty1");
                i.render()
            }),
        ),
        (
            "shell",
            Box::new(|t| {
                let mut v = ShellVars::parse(t);
                v.unset("GATEWAYDEV");
                v.set("A", "it's");
                v.set("K", "x");
                v.render()
            }),
        ),
        ("hosts", Box::new(|t| hosts::fix_hosts(t, &plan(), &[]))),
        ("resolv", Box::new(|t| resolv::resolv_conf(Some(t), &["10.0.0.53".parse().unwrap()], &["b".into()]))),
        ("securetty", Box::new(|t| securetty::add_ttys(t, &["tty1".into(), "lxc/tty1".into()]))),
        ("gentoo", Box::new(|t| super::gentoo::net(t, &with_all, &[], &[], super::gentoo::Form::Lines))),
        ("baselayout 1", Box::new(|t| super::gentoo::net(t, &with_all, &[], &[], super::gentoo::Form::Array))),
        ("funtoo", Box::new(|t| super::funtoo::netif(t, &with_all, &[], &[]))),
        ("netctl", Box::new(|t| super::netctl::profile(Some(t), &with_all, &[], &[]))),
        ("netcfg", Box::new(|t| super::netcfg::profile(Some(t), &with_all, &[], &[], super::netcfg::Extras::PostUp))),
        ("netcfg list", Box::new(|t| super::netcfg::networks(t, "eth0", true))),
        ("rc.conf", Box::new(|t| super::rcconf::rc_conf(t, &with_all, true).0)),
        ("rc.local", Box::new(|t| super::rcconf::rc_local(Some(t), "eth0", &["x".into()]).unwrap())),
        (
            "netplan",
            Box::new(|t| {
                netplan::release(t, &nic(&[], None, None), netplan::Claim::Whole).unwrap_or_else(|_| t.to_vec())
            }),
        ),
        (
            "netplan addresses",
            Box::new(|t| {
                let claim = netplan::Claim::Addresses { dns: true };
                netplan::release(t, &nic(&[], None, None), claim).unwrap_or_else(|_| t.to_vec())
            }),
        ),
        ("ifcfg", Box::new(|t| super::ifcfg::ifcfg(&with_all, &[], &[], Some(t), 6))),
    ];
    for _ in 0..1500 {
        let text = random.text(&PARTS);
        for (name, edit) in &edits {
            let once = edit(&text);
            assert_eq!(
                String::from_utf8_lossy(&edit(&once)),
                String::from_utf8_lossy(&once),
                "{name} of {:?}",
                String::from_utf8_lossy(&text)
            );
        }
    }
}

/// The files are the container's: their size must not decide how long an edit takes, beyond reading them.
#[test]
fn a_large_hostile_file_takes_linear_time() {
    let n = nic(&["10.0.0.101/24"], None, None);
    let many = |line: &dyn Fn(usize) -> String| (0..20_000).map(line).collect::<String>().into_bytes();
    let options = [&b"iface eth0 inet static\n"[..], &many(&|i| format!(" x{i}\n"))].concat();
    let mut file = Interfaces::parse(&options);
    file.put(&n, &[], &[], Style::Cidr);
    assert!(file.render().ends_with(b" x19999\n"));
    let mut file = Interfaces::parse(&many(&|i| format!("iface eth0 inet static\niface e{i} inet manual\n")));
    file.put(&n, &[], &[], Style::Cidr);
    assert_eq!((file.methods("eth0").len(), file.names().len()), (1, 20_001));
    let text = super::ifcfg::ifcfg(&n, &[], &[], Some(&many(&|i| format!("IPADDR{i}=10.0.0.1\n"))), 6);
    assert!(!text.windows(7).any(|w| w == b"IPADDR9"), "stale addresses are gone");
    let net = [
        &b"config_eth0=\""[..],
        &many(&|i| format!("10.0.{}.1/24 \n", i % 256)),
        b"\"\nroutes_eth0=(",
        &many(&|i| format!("'x{i}' ")),
        b")\n",
    ];
    let text = super::gentoo::net(&net.concat(), &n, &[], &[], super::gentoo::Form::Array);
    assert!(text.starts_with(b"config_eth0=('10.0.0.101/24')\n"));
    let list = [&b"NETWORKS=("[..], &many(&|i| format!("venet0_{i} 'p{i}' ")), b")\n"].concat();
    assert!(!super::netcfg::networks(&list, "eth0", true).windows(5).any(|w| w == b"venet"));
    let rc =
        [&b"INTERFACES=("[..], &many(&|i| format!("eth0_{i} ")), b")\n", &many(&|i| format!("eth0_{i}=x\n"))].concat();
    assert_eq!(super::rcconf::rc_conf(&rc, &n, true).0.iter().filter(|b| **b == b'\n').count(), 2);
    let yaml =
        many(&|i| format!("    e{i}:\n      match: {{name: \"e*\"}}\n    eth0:\n      routes:\n      - to: default\n"));
    let yaml = [&b"network:\n  ethernets:\n"[..], &yaml].concat();
    assert!(netplan::release(&yaml, &nic(&[], None, None), netplan::Claim::Addresses { dns: true }).is_ok());
    assert_eq!(netplan::rivals(&yaml, &n).len(), 20_000);
    let aliases =
        many(&|i| format!("auto eth0:{i}\niface eth0:{i} inet static\n    # ovz2lxc\n    address 10.0.0.9\n"));
    let mut file = Interfaces::parse(&aliases);
    file.put(&n, &[], &[], Style::Aliases);
    assert_eq!(file.names(), ["eth0"], "aliases of an older plan are gone");
}

#[test]
fn a_second_edit_of_an_interfaces_file_changes_nothing() {
    use super::{etcnet, keyfile, rcconfig, slackware, suse};
    // Without open quotes, which no shell reads; tests of their own have them.
    let parts: [&[u8]; 22] = [
        b"",
        b"# note \xff\xfe",
        b"IPADDR='10.0.0.9/8'",
        b"IPADDR_1=fd00::1",
        b"LLADDR=00:11:22:33:44:55",
        b"default 10.0.0.254 - -",
        b"default via 10.0.0.254",
        b"10.9.0.0/16 via 10.0.0.7",
        b"192.168.9.1/32 dev eth0",
        b"IPADDR[0]=\"1.2.3.4\" # c",
        b"  IPADDR[0]=x",
        b"[connection]",
        b"[ipv4]",
        b"[ipv6]",
        b"[ethernet]",
        b"method=auto",
        b"address2=1.2.3.4/8",
        b"route1=192.168.9.1/32",
        b"mac-address=00:11:22:33:44:55",
        b";dns=1.1.1.1",
        b"NETDEV_0=venet0",
        b"mtu 9000",
    ];
    let all = nic(
        &["10.0.0.101/24", "10.0.0.102/24", "2001:db8::1/64", "2001:db8::2/64"],
        Some("192.168.9.1"),
        Some("2001:db8:9::1"),
    );
    let mut random = Random(0xfade);
    for round in 0..1500 {
        let method = [Method::Static, Method::Dhcp, Method::Manual, Method::None][round % 4];
        let mtu = (round % 3 == 0).then_some(1400);
        let nic = Nic { method, mtu, ..all.clone() };
        let dns = ["10.0.0.53".parse().unwrap()];
        let text = random.text(&parts);
        type Edit<'a> = (&'a str, Box<dyn Fn(&[u8]) -> Vec<u8> + 'a>);
        let edits: [Edit; 9] = [
            ("suse", Box::new(|t| suse::ifcfg(&nic, Some(t), true))),
            ("ifroute", Box::new(|t| suse::merge_routes(t, &suse::routes(&nic, false), true))),
            ("options", Box::new(|t| etcnet::options(&nic, Some(t)))),
            ("ipv4route", Box::new(|t| etcnet::merge_routes(t, &etcnet::routes(&nic, false)))),
            ("iplink", Box::new(|t| etcnet::iplink(t, 1400))),
            (
                "rc.inet1.conf",
                Box::new(|t| {
                    let mut settings = slackware::Settings::parse(t);
                    slackware::put(&mut settings, &nic, "[0]");
                    settings.render()
                }),
            ),
            ("rc.local", Box::new(|t| slackware::hook(t, "run it", true))),
            ("keyfile", Box::new(|t| keyfile::profile(&nic, &dns, &["example.com".into()], Some(t)))),
            ("rc.config", Box::new(|t| rcconfig::remove_interfaces(t, |n| n.starts_with("venet")))),
        ];
        for (what, edit) in edits {
            let once = edit(&text);
            let twice = edit(&once);
            let shown = String::from_utf8_lossy(&text);
            assert_eq!(
                String::from_utf8_lossy(&twice),
                String::from_utf8_lossy(&once),
                "{what}, {method:?}: {shown:?}"
            );
        }
    }
}
