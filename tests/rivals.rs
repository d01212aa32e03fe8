//! Other definitions of a managed interface, beside the one that is written: none may win silently, and what a person
//! added stays.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::fixup::Report;
use std::fs;
use support::fixups::{self, Golden};
use support::tree;
use tempfile::TempDir;

const PLAN: &str = "hostname = \"shop.example.net\"\n[[nic]]\nname = \"eth0\"\n\
    addresses = [\"10.20.0.11/24\", \"10.20.0.12/24\"]\ngateway4 = \"10.20.0.1\"\n";

/// Makes a tree of these files, applies the fixups twice, and returns it with the first report; `None` without root.
fn fixed(test: &str, files: &[(&str, &str)]) -> Option<(TempDir, Report)> {
    if !support::is_root() {
        support::skip(test, "making a tree needs root");
        return None;
    }
    let dir = tree::of_files(files);
    let report = fixups::run_twice(test, dir.path(), &fixups::plan(PLAN));
    Some((dir, report))
}

/// The same for a golden tree with one file put into it.
fn edited(case: &str, path: &str, text: &str) -> Option<(TempDir, Report)> {
    if !support::is_root() {
        support::skip(case, "making a tree needs root");
        return None;
    }
    let dir = tree::made(&Golden::named(case).tree());
    fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
    fs::write(dir.path().join(path), text).unwrap();
    let report = fixups::run_twice(case, dir.path(), &fixups::plan(PLAN));
    Some((dir, report))
}

fn text(dir: &TempDir, path: &str) -> String {
    fs::read_to_string(dir.path().join(path)).unwrap()
}

fn found(report: &Report, path: &str) -> bool {
    report.findings.iter().any(|f| f.subject == format!("/{path}"))
}

const DEBIAN: (&str, &str) = ("etc/debian_version", "12.5\n");
const MAIN: &str = "etc/network/interfaces";

#[test]
fn a_file_that_ifupdown_does_not_read_does_not_get_the_interface() {
    let stanza = "auto eth0\niface eth0 inet dhcp\n";
    for (main, written) in [
        ("auto lo\niface lo inet loopback\n", MAIN),
        ("source-directory interfaces.d\n", MAIN),
        ("source interfaces.d/*\n", "etc/network/interfaces.d/eth0.cfg"),
        ("source /etc/network/interfaces.d/*.cfg\n", "etc/network/interfaces.d/eth0.cfg"),
        ("source more\n", "etc/network/interfaces.d/eth0.cfg"),
        ("source interfaces.d/[[:lower:]]*[!0-9]\n", "etc/network/interfaces.d/eth0.cfg"),
        ("source interfaces.[a-c]/*\n", MAIN),
        ("source /etc/network/interfaces.d/eth[1-9].cfg\n", MAIN),
    ] {
        let part = ("etc/network/interfaces.d/eth0.cfg", stanza);
        let more = ("etc/network/more", "source interfaces.d/*\nsource more\n");
        let Some((dir, _)) = fixed("sourced files", &[DEBIAN, (MAIN, main), part, more]) else { return };
        let other = if written == MAIN { part.0 } else { MAIN };
        assert!(text(&dir, written).contains("10.20.0.11/24"), "{main}: {}", tree::dump(dir.path()));
        assert!(!text(&dir, other).contains("10.20"), "{main}: {}", tree::dump(dir.path()));
    }
}

#[test]
fn what_ifupdown_includes_in_another_form_is_reported() {
    for line in
        ["source interfaces.d/{eth0,eth1}.cfg", "source ~/interfaces", "source-directory $DIR", "source \"more\""]
    {
        let Some((_dir, report)) = fixed("forms of source", &[DEBIAN, (MAIN, &format!("{line}\n"))]) else { return };
        let named = line.split(' ').nth(1).unwrap().trim_matches('"');
        let said = report.findings.iter().any(|f| f.subject == format!("/{MAIN}") && f.detail.contains(named));
        assert!(said, "{line}: {:?}", report.findings);
    }
    let plain = "source interfaces.d/*\nsource-directory interfaces.d\nsource /etc/network/a~b\n";
    let Some((_dir, report)) = fixed("forms of source", &[DEBIAN, (MAIN, plain)]) else { return };
    assert!(!found(&report, MAIN), "{:?}", report.findings);
}

#[test]
fn a_second_definition_in_a_sourced_file_gives_way() {
    let first = "source-directory interfaces.d\n\nauto eth0\niface eth0 inet static\n    address 1.2.3.4/8\n";
    let second = "auto eth0 eth1\niface eth0 inet dhcp\n\niface eth0 inet6 auto\n\niface eth1 inet dhcp\n";
    let part = "etc/network/interfaces.d/net";
    let Some((dir, report)) = fixed("second definition", &[DEBIAN, (MAIN, first), (part, second)]) else { return };
    assert!(text(&dir, MAIN).contains("10.20.0.11/24") && !text(&dir, MAIN).contains("1.2.3.4"));
    let left = "auto eth0 eth1\n\niface eth0 inet6 auto\n\niface eth1 inet dhcp\n";
    assert_eq!(text(&dir, part), left);
    assert!(found(&report, part), "{:?}", report.findings);
}

const NETWORKD: &[(&str, &str)] =
    &[DEBIAN, ("etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "")];
const OURS: [&str; 2] = ["etc/systemd/network/05-ovz2lxc-eth0.network", "etc/systemd/network/0-ovz2lxc-eth0.network"];

#[test]
fn a_unit_of_networkd_that_comes_first_does_not_win() {
    for (path, unit, written, reported) in [
        ("etc/systemd/network/10-e.network", "[Match]\nName=e*\n", OURS[0], false),
        ("etc/systemd/network/01-wan.network", "[Match]\nName=wan\n", OURS[0], false),
        ("etc/systemd/network/01-e.network", "[Match]\nName=e*\n", OURS[1], false),
        ("usr/lib/systemd/network/00-all.network", "[Network]\nDHCP=yes\n", OURS[1], false),
        ("etc/systemd/network/0-e.network", "[Match]\nName=eth0\n", OURS[0], true),
    ] {
        let files: Vec<_> = NETWORKD.iter().copied().chain([(path, unit)]).collect();
        let Some((dir, report)) = fixed("units of networkd", &files) else { return };
        let there: Vec<&str> = OURS.into_iter().filter(|p| dir.path().join(p).exists()).collect();
        assert_eq!(there, [written], "{path}");
        assert_eq!(
            (text(&dir, path).as_str(), found(&report, path)),
            (unit, reported),
            "{path}: {:?}",
            report.findings
        );
        // The name follows when the other unit goes.
        fs::remove_file(dir.path().join(path)).unwrap();
        fixups::run(dir.path(), &fixups::plan(PLAN));
        assert!(dir.path().join(OURS[0]).exists() && !dir.path().join(OURS[1]).exists(), "{path}");
    }
}

const NETWORK_MANAGER: &[(&str, &str)] = &[
    ("etc/redhat-release", "AlmaLinux release 9.4 (X)\n"),
    ("etc/systemd/system/multi-user.target.wants/NetworkManager.service", ""),
    ("etc/NetworkManager/NetworkManager.conf", "[main]\n"),
];

#[test]
fn a_profile_that_fits_every_interface_does_not_win() {
    let etc = "etc/NetworkManager/system-connections/any.nmconnection";
    let packaged = "usr/lib/NetworkManager/system-connections/any.nmconnection";
    let ours = "etc/NetworkManager/system-connections/eth0.nmconnection";
    for (path, more, priority, reported) in [
        (etc, "", 100, false),
        (etc, "autoconnect-priority=100\n", 101, false),
        (packaged, "autoconnect-priority=500\n", 501, false),
        (packaged, "interface-name=eth0\nautoconnect-priority=500\n", 501, false),
        (etc, "autoconnect-priority=500\nautoconnect=false\n", 100, false),
        (etc, "autoconnect-priority=500\ninterface-name=eth7\n", 100, false),
        (etc, "autoconnect-priority=999\n", 999, true),
        (etc, "autoconnect-priority=999\n[match]\ninterface-name=wl*;\n", 100, false),
        (etc, "autoconnect-priority=500\n[match]\ninterface-name=eth[0-9];\n", 501, false),
    ] {
        let other = format!("[connection]\nid=any\ntype=ethernet\n{more}");
        let files: Vec<_> = NETWORK_MANAGER.iter().copied().chain([(path, other.as_str())]).collect();
        let Some((dir, report)) = fixed("profiles", &files) else { return };
        let written = text(&dir, ours);
        assert!(written.contains(&format!("autoconnect-priority={priority}\n")), "{more}: {written}");
        assert_eq!((text(&dir, path), found(&report, path)), (other, reported), "{more}: {:?}", report.findings);
    }
    let named = "[connection]\nid=eth0\ntype=ethernet\ninterface-name=eth0\n";
    let doubtful = format!("{named}[match]\ndriver=e1000\n");
    let files: Vec<_> = NETWORK_MANAGER.iter().copied().chain([(ours, doubtful.as_str())]).collect();
    let Some((dir, report)) = fixed("profiles", &files) else { return };
    assert!(found(&report, ours) && text(&dir, ours).contains("10.20.0.11/24"), "{:?}", report.findings);
    let any = (etc, "[connection]\nid=any\ntype=ethernet\n");
    let files: Vec<_> = NETWORK_MANAGER.iter().copied().chain([(ours, named), any]).collect();
    let Some((dir, _)) = fixed("profiles", &files) else { return };
    assert!(text(&dir, ours).contains("autoconnect-priority=1\n"), "{}", text(&dir, ours));
}

#[test]
fn an_alias_that_a_person_made_stays_unless_the_plan_has_its_address() {
    for release in ["CentOS release 5.11 (Final)\n", "CentOS release 6.10 (Final)\n"] {
        let scripts = "etc/sysconfig/network-scripts";
        let path = |name: &str| format!("{scripts}/ifcfg-eth0:{name}");
        let alias = |name: &str, ip: &str| format!("DEVICE=eth0:{name}\nIPADDR={ip}\nNETMASK=255.255.255.0\n");
        let (vip, first) = (alias("vip", "10.20.0.99"), alias("0", "10.20.0.98"));
        let twin = alias("twin", "10.20.0.12");
        let paths = [path("vip"), path("0"), path("twin")];
        let files = [("etc/redhat-release", release), (&paths[0], &vip), (&paths[1], &first), (&paths[2], &twin)];
        let Some((dir, _)) = fixed("aliases", &files) else { return };
        assert_eq!((text(&dir, &paths[0]), text(&dir, &paths[1])), (vip, first));
        assert!(!dir.path().join(&paths[2]).exists(), "the plan has its address");
        let main = text(&dir, &format!("{scripts}/ifcfg-eth0"));
        let el5 = release.contains("5.11");
        assert_eq!(main.contains("IPADDR1=10.20.0.12"), !el5, "{main}");
        assert_eq!(dir.path().join(path("1")).exists(), el5);
        // What an earlier run wrote goes with its address.
        fixups::run(dir.path(), &fixups::plan(&PLAN.replace(", \"10.20.0.12/24\"", "")));
        assert!(!dir.path().join(path("1")).exists() && dir.path().join(&paths[1]).exists());
    }
}

/// Trees in which eth0 was set up with more than the plan has: a golden one, a file for it, what stays of that, and the words
/// with which the finding names what went.
const OWN: &[(&str, &str, &str, &str, &str)] = &[
    (
        "gentoo-openrc",
        "etc/conf.d/net",
        "config_eth0=\"10.20.0.11/24\n10.9.9.9/24\n10.9.9.8/24 label eth0:vip\"\n",
        "10.9.9.8/24 label eth0:vip",
        "10.9.9.9/24",
    ),
    (
        "arch-rcconf",
        "etc/rc.conf",
        "eth0=\"eth0 10.9.9.9 netmask 255.0.0.0\"\neth0_vip=\"eth0:vip 10.9.9.8\"\nINTERFACES=(eth0 eth0_vip)\n",
        "eth0_vip=\"eth0:vip 10.9.9.8\"",
        "eth0 10.9.9.9",
    ),
    (
        "arch-netcfg",
        "etc/network.d/eth0",
        "INTERFACE=eth0\nPOST_UP=\"ip addr add 10.9.9.9/24 dev eth0; ip addr add 10.9.9.8/24 dev eth0 label eth0:vip\"\n",
        "10.9.9.8/24 dev eth0 label eth0:vip",
        "10.9.9.9/24",
    ),
    (
        "arch-netctl",
        "etc/netctl/eth0",
        "Interface=eth0\nAddress=('10.9.9.9/24' '10.9.9.8/24 label eth0:vip')\n",
        "'10.9.9.8/24 label eth0:vip'",
        "10.9.9.9/24",
    ),
    (
        "ubuntu2204-netplan",
        "etc/netplan/02.yaml",
        "network:\n  ethernets:\n    eth0:\n      addresses:\n      - 10.9.9.9/24\n      - 10.9.9.8/24:\n          label: \"eth0:vip\"\n",
        "      - 10.9.9.8/24:\n          label: \"eth0:vip\"\n",
        "10.9.9.9/24",
    ),
    (
        "slackware14",
        "etc/rc.d/rc.inet1.conf",
        "IPADDR[0]=\"10.1.1.1\"\nIPADDRS[0]=\"10.9.9.9/24\"\nIPALIASES[0]=\"10.9.9.8\"\n# own\n",
        "# own",
        "with: IPADDRS[0]=\"10.9.9.9/24\" | IPALIASES[0]=\"10.9.9.8\"",
    ),
    (
        "sles11-sysconfig",
        "etc/sysconfig/network/ifcfg-eth0",
        "IPADDR='10.20.0.11/24'\nIPADDR_1='10.9.9.9/24'\nIPADDR_vip='10.9.9.8/24'\n",
        "IPADDR_vip='10.9.9.8/24'",
        "with: IPADDR_1='10.9.9.9/24'",
    ),
    (
        "centos6-upstart",
        "etc/sysconfig/network-scripts/ifcfg-eth0",
        "DEVICE=eth0\nIPADDR=10.20.0.11\nIPADDR1=10.9.9.9\nETHTOOL_OPTS=x\n",
        "ETHTOOL_OPTS=x",
        "with: IPADDR1=10.9.9.9",
    ),
    (
        "alt-etcnet",
        "etc/net/ifaces/eth0/ipv4address",
        "10.9.9.9/24\n10.9.9.8/24 label eth0:vip\n",
        "10.9.9.8/24 label eth0:vip",
        "10.9.9.9/24",
    ),
    (
        "debian12-systemd-networkd",
        "etc/systemd/network/10-lan.network",
        "[Match]\nName=eth0\n[Address]\nAddress=10.9.9.9/24\nLabel=eth0:vip\n",
        "Label=eth0:vip",
        "with: Address=10.9.9.9/24 | Label=eth0:vip",
    ),
];

#[test]
fn what_the_plan_does_not_have_stays_or_is_named() {
    for (case, path, old, stays, named) in OWN {
        let Some((dir, report)) = edited(case, path, old) else { return };
        let now = text(&dir, path);
        assert!(now.contains(stays), "{case}: {now}");
        let subject = format!("/{path}");
        let said = |f: &&ovz2lxc::model::finding::Finding| f.id == "fixup-address-replaced" && f.subject == subject;
        let finding = report.findings.iter().find(said);
        let finding = finding.unwrap_or_else(|| panic!("{case}: nothing was said: {now}\n{:?}", report.findings));
        assert!(finding.detail.contains(named), "{case}: {finding:?}");
    }
}

#[test]
fn drop_ins_of_networkd_count_as_a_part_of_their_unit() {
    let unit = "usr/lib/systemd/network/00-all.network";
    let part = "etc/systemd/network/00-all.network.d/lan.conf";
    for (unit_text, part_text, ours) in [
        ("[Match]\nName=lan\n", "[Match]\nName=eth0\n", OURS[1]),
        ("[Match]\nName=*\n", "[Match]\nName=\nName=lan\n", OURS[0]),
        ("[Match]\nName=*\n", "[Match]\nType=wlan\n", OURS[0]),
    ] {
        let files: Vec<_> = NETWORKD.iter().copied().chain([(unit, unit_text), (part, part_text)]).collect();
        let Some((dir, _)) = fixed("drop-ins", &files) else { return };
        let there: Vec<&str> = OURS.into_iter().filter(|p| dir.path().join(p).exists()).collect();
        assert_eq!(there, [ours], "{part_text}");
    }
    let own = "etc/systemd/network/05-ovz2lxc-eth0.network.d/x.conf";
    let address = "etc/systemd/network/10-lan.network.d/vip.conf";
    let files: Vec<_> = NETWORKD
        .iter()
        .copied()
        .chain([
            (own, "[Network]\nDHCP=yes\n"),
            ("etc/systemd/network/10-lan.network", "[Match]\nName=eth0\n"),
            (address, "[Network]\nAddress=10.9.9.9/24\n"),
        ])
        .collect();
    let Some((_dir, report)) = fixed("drop-ins", &files) else { return };
    assert!(found(&report, own) && found(&report, address), "{:?}", report.findings);
}

#[test]
fn comments_in_a_list_of_several_lines_are_no_content() {
    let old = "# c\nNETWORKS=(venet0   # not venet0 (of vzctl)\n  # venet0_0 was here\n  venet0_0 wlan # own\n)\nX=1\n";
    let path = "etc/conf.d/netcfg";
    let Some((dir, _)) = edited("arch-netcfg", path, old) else { return };
    let comments = "   # not venet0 (of vzctl)\n  # venet0_0 was here\n";
    assert_eq!(text(&dir, path), format!("# c\nNETWORKS=({comments} wlan 'eth0' # own\n)\nX=1\n"));
    let old = "DAEMONS=(syslog-ng   # log (vzquota)\n  !network\n  # vzquota\n  vzquota crond)\n";
    let Some((dir, _)) = edited("arch-rcconf", "etc/rc.conf", old) else { return };
    let now = text(&dir, "etc/rc.conf");
    assert!(now.contains("DAEMONS=(syslog-ng 'network'   # log (vzquota)\n  # vzquota\n crond)\n"), "{now}");
}

#[test]
fn a_line_below_vzctls_marker_that_nobody_knows_is_reported() {
    let mark = "# Auto-generated hostname. Please do not remove this comment.";
    for (line, reported) in [("10.9.9.9 gone.example.org gone", true), ("10.9.9.9 gone.example.org  gone", false)] {
        let hosts = format!("{mark}\n{line}\n");
        let Some((dir, report)) = fixed("hosts", &[DEBIAN, ("etc/hosts", &hosts)]) else { return };
        assert_eq!(found(&report, "etc/hosts"), reported, "{line}: {:?}", report.findings);
        assert_eq!(text(&dir, "etc/hosts").contains(line), reported, "{line}");
    }
}
