//! Properties that all editors share, over texts made by a small deterministic generator.

use super::interfaces::Style;
use super::{fstab::Fstab, hosts, inittab::Inittab, interfaces::Interfaces, resolv, securetty, shellvars::ShellVars};
use crate::model::network::{GuestPlan, Method, Nic};

/// A static interface eth0.
pub(super) fn nic(addresses: &[&str], gateway4: Option<&str>, gateway6: Option<&str>) -> Nic {
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

const PARTS: [&[u8]; 40] = [
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
    let interfaces = |cidr: bool, nic: Nic| {
        move |t: &[u8]| {
            let mut i = Interfaces::parse(t);
            i.remove_interface(|n| n.starts_with("venet0"));
            i.put(&nic, &["10.0.0.53".parse().unwrap()], &["example.com".into()], Style { cidr });
            i.render()
        }
    };
    let manual = Nic { method: Method::Manual, mtu: Some(1400), ..with_all.clone() };
    let none = Nic { method: Method::None, ..with_all.clone() };
    let edits: Vec<Edit> = vec![
        ("interfaces, old", Box::new(interfaces(false, with_all.clone()))),
        ("interfaces, new", Box::new(interfaces(true, with_all.clone()))),
        ("interfaces, manual", Box::new(interfaces(true, manual))),
        ("interfaces, none", Box::new(interfaces(true, none))),
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
        ("hosts", Box::new(|t| hosts::fix_hosts(t, &plan()))),
        ("resolv", Box::new(|t| resolv::resolv_conf(Some(t), &["10.0.0.53".parse().unwrap()], &["b".into()]))),
        ("securetty", Box::new(|t| securetty::add_ttys(t, &["tty1".into(), "lxc/tty1".into()]))),
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
    file.put(&n, &[], &[], Style { cidr: true });
    assert!(file.render().ends_with(b" x19999\n"));
    let mut file = Interfaces::parse(&many(&|i| format!("iface eth0 inet static\niface e{i} inet manual\n")));
    file.put(&n, &[], &[], Style { cidr: true });
    assert_eq!((file.methods("eth0").len(), file.names().len()), (1, 20_001));
    let text = super::ifcfg::ifcfg(&n, &[], &[], Some(&many(&|i| format!("IPADDR{i}=10.0.0.1\n"))), 6);
    assert!(!text.windows(7).any(|w| w == b"IPADDR9"), "stale addresses are gone");
}
