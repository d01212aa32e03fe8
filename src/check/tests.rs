use super::cases::CASES;
use super::*;
use crate::error::Error;
use crate::model::container::Status;
use crate::model::ctid::Ctid;
use crate::model::facts::tests::good;
use crate::model::guest::{Guest, Init, NetworkDialect};
use crate::model::settings::{AddressMode, IdRange, NetworkMode, Subnet};
use crate::model::size::{Bytes, GIB, MIB};
use crate::model::target::{CgroupMode, Forwarding, LxcVersion};
use crate::model::ve::{VenetAddress, VethInterface};
use crate::model::volume::StorageKind;
use std::collections::BTreeMap;

fn changed(change: impl FnOnce(&mut Facts)) -> Facts {
    let mut facts = good();
    change(&mut facts);
    facts
}

fn ids(facts: &Facts) -> Vec<String> {
    evaluate(facts).into_iter().map(|f| f.id).collect()
}

fn only(facts: &Facts) -> Finding {
    let mut findings = evaluate(facts);
    assert_eq!(findings.len(), 1, "{findings:#?}");
    findings.remove(0)
}

#[test]
fn a_container_without_problems_is_ready() {
    assert_eq!(evaluate(&good()), []);
    assert_eq!(verdict(&[]), Verdict::Ready);
}

#[test]
fn each_rule_speaks_alone_with_its_id_and_says_something() {
    for (id, change) in CASES {
        let finding = only(&changed(*change));
        assert_eq!(finding.id, *id);
        assert!(!finding.title.is_empty() && !finding.title.ends_with('.'), "{finding:?}");
        assert!(!finding.subject.is_empty(), "{finding:?}");
        let must_help = matches!(finding.severity, Severity::Blocker | Severity::Overridable | Severity::Warning);
        // What is wrong with the storage is said by the storage.
        assert!(!must_help || !finding.remedy.is_empty() || *id == "storage-trouble", "{finding:?}");
    }
}

#[test]
fn no_rule_is_without_a_case() {
    // Never alone: `nfs:on` needs a module too, QUOTAUGIDLIMIT is lost anyway.
    let elsewhere =
        ["unprivileged-nfs", "unprivileged-quota", "guest-not-examined", "storage-no-inodes", "network-prefix-unknown"];
    for rule in rules() {
        let there = CASES.iter().any(|(id, _)| *id == rule.id()) || elsewhere.contains(&rule.id());
        assert!(there, "{}", rule.id());
    }
}

#[test]
fn an_unknown_tree_is_said_to_be_unexamined() {
    let facts = changed(|f| f.guest = Guest::unknown());
    assert_eq!(ids(&facts), ["guest-init-unknown", "network-dialect-unknown", "guest-not-examined"]);
}

#[test]
fn old_guests_pass_where_the_host_suits_them() {
    let el6 = |f: &mut Facts| {
        f.guest.init = Init::Upstart;
        f.guest.systemd_version = None;
        f.guest.libc = "2.12".into();
    };
    assert_eq!(ids(&changed(el6)), ["guest-vsyscall"]);
    let emulated = changed(|f| {
        el6(f);
        f.target.vsyscall_none = false;
    });
    assert_eq!(ids(&emulated), [""; 0]);
    let narrow = changed(|f| {
        el6(f);
        f.guest.arch = "i686".into();
    });
    assert_eq!(ids(&narrow), ["guest-32bit"], "32-bit programs do not use the vsyscall page");
    let hybrid = changed(|f| {
        f.guest.systemd_version = Some(219);
        f.target.cgroup = CgroupMode::V1;
    });
    assert_eq!(ids(&hybrid), [""; 0]);
    for (libc, speaks) in [("2.14", false), ("2.13", true), ("glibc 2.3.4", true), ("musl", false), ("", false)] {
        let facts = changed(|f| f.guest.libc = libc.into());
        assert_eq!(!ids(&facts).is_empty(), speaks, "{libc}");
    }
    assert_eq!(ids(&changed(|f| f.guest.libc = "2.4".into())), ["guest-vsyscall"], "2.4 is older than 2.14");
}

#[test]
fn space_is_counted_as_the_storage_takes_it() {
    let lvm = |free: u64| {
        changed(|f| {
            f.settings.storage = StorageKind::Lvm;
            f.container.ve.limits.disk_bytes = Some(10 * GIB);
            f.storage.free = Some(Bytes(free));
        })
    };
    assert_eq!(ids(&lvm(10 * GIB)), [""; 0]);
    let finding = only(&lvm(10 * GIB - 1));
    assert_eq!(finding.id, "storage-no-space");
    assert!(finding.title.contains("10 GiB needed, 9.9 GiB free"), "{}", finding.title);
    let sparse = |free: u64| changed(|f| f.storage.free = Some(Bytes(free)));
    let enough = GIB + GIB * 3 / 10;
    assert_eq!(ids(&sparse(enough)), ["storage-overcommitted"]);
    assert_eq!(ids(&sparse(enough - 1)), ["storage-no-space"]);
    let directory = changed(|f| {
        f.settings.storage = StorageKind::Dir;
        f.storage.free_inodes = Some(38_999);
    });
    assert_eq!(ids(&directory), ["storage-no-inodes", "storage-on-host"]);
}

#[test]
fn a_size_must_hold_the_data() {
    let with = |size: u64| ids(&changed(|f| f.settings.size = Some(Bytes(size))));
    assert_eq!(with(GIB + GIB / 20), [""; 0]);
    assert_eq!(with(GIB + GIB / 20 - MIB), ["volume-too-small"]);
}

#[test]
fn bridges_are_needed_by_interfaces_only() {
    let bare = changed(|f| {
        f.container.ve.venet.clear();
        f.target.bridges.clear();
        f.settings.networks.clear();
    });
    assert_eq!(ids(&bare), [""; 0], "no network at all");
    let veth = |bridge: Option<&str>, there: &[&str]| {
        let interface =
            VethInterface { ifname: "eth0".into(), bridge: bridge.map(str::to_owned), ..VethInterface::default() };
        ids(&changed(|f| {
            f.container.ve.venet.clear();
            f.container.ve.veth = vec![interface];
            f.target.bridges = there.iter().map(|b| (*b).to_owned()).collect();
        }))
    };
    assert_eq!(veth(Some("br1"), &["br0", "br1"]), [""; 0]);
    assert_eq!(veth(Some("vzbr"), &["br0"]), [""; 0], "the only bridge is the one");
    assert_eq!(veth(None, &["br0", "br1"]), ["network-bridge-unknown"]);
    assert_eq!(veth(None, &[]), ["network-bridge-unknown"]);
}

#[test]
fn addresses_without_a_subnet_are_told_by_family() {
    let v6 = VenetAddress { address: "2001:db8::1".parse().unwrap(), prefix: 128 };
    let mixed = |mode| {
        changed(|f| {
            f.settings.networks = vec![];
            f.settings.bridge = Some("br0".into());
            f.settings.gateway4 = Some("10.0.0.1".parse().unwrap());
            f.settings.addresses = mode;
            f.container.ve.venet.push(v6);
        })
    };
    let findings = evaluate(&mixed(AddressMode::Guest));
    let said: Vec<(&str, &str)> = findings.iter().map(|f| (f.id.as_str(), f.subject.as_str())).collect();
    assert_eq!(
        said,
        [("network-prefix-unknown", "10.0.0.101, 2001:db8::1"), ("network-gateway-unknown", "2001:db8::1")]
    );
    assert_eq!(ids(&mixed(AddressMode::Lxc)), ["network-gateway-unknown"]);
    let subnet =
        Subnet { subnet: "2001:db8::/64".parse().unwrap(), bridge: None, gateway: None, mtu: None, vlan: None };
    let named = changed(|f| {
        f.settings.networks.push(subnet);
        f.settings.bridge = Some("br0".into());
        f.settings.gateway6 = Some("fe80::1".parse().unwrap());
        f.container.ve.venet.push(v6);
    });
    assert_eq!(ids(&named), [""; 0]);
}

#[test]
fn what_stays_silent_for_a_routed_container() {
    let routed = |change: fn(&mut Facts)| {
        ids(&changed(|f| {
            f.settings.network = NetworkMode::Routed;
            f.settings.networks.clear();
            f.guest.network = NetworkDialect::Unknown;
            f.target.bridges.clear();
            f.container.ve.venet.push(VenetAddress { address: "2001:db8::1".parse().unwrap(), prefix: 128 });
            change(f);
        }))
    };
    assert_eq!(routed(|_| {}), [""; 0], "no bridge, prefix, gateway or dialect is needed");
    assert_eq!(
        routed(|f| f.target.forwarding = Forwarding::default()),
        ["network-forwarding", "network-forwarding", "network-proxy-ndp"]
    );
    let only_v4 = |f: &mut Facts| {
        f.container.ve.venet.pop();
        f.target.forwarding = Forwarding { v4: true, ..Forwarding::default() };
    };
    assert_eq!(routed(only_v4), [""; 0], "IPv6 is not in use");
    let veth =
        |f: &mut Facts| f.container.ve.veth = vec![VethInterface { ifname: "eth1".into(), ..VethInterface::default() }];
    assert_eq!(routed(veth), ["network-bridge-unknown"], "an interface of NETIF is on a bridge all the same");
    let bare = |f: &mut Facts| {
        f.container.ve.venet.clear();
        (f.target.lxc, f.target.uplink) = (Some(LxcVersion { major: 1, minor: 0 }), None);
    };
    assert_eq!(routed(bare), [""; 0], "nothing is routed");
    let gateways = |f: &mut Facts| {
        f.settings.gateway4 = Some("10.0.0.1".parse().unwrap());
        f.settings.gateway6 = Some("2001:db8::ff".parse().unwrap());
    };
    assert_eq!(routed(gateways), ["network-gateway-unused"; 2]);
    let on_a_bridge = |f: &mut Facts| f.settings.gateway4 = Some("10.0.0.1".parse().unwrap());
    assert_eq!(ids(&changed(on_a_bridge)), [""; 0]);
    let vlan = |f: &mut Facts| {
        let net =
            Subnet { subnet: "10.0.0.0/24".parse().unwrap(), bridge: None, gateway: None, mtu: None, vlan: Some(7) };
        f.settings.networks.push(net);
        f.target.lxc = Some(LxcVersion { major: 4, minor: 0 });
    };
    assert_eq!(routed(vlan), [""; 0], "a routed interface is in no VLAN");
}

#[test]
fn the_remedies_of_a_routed_container_can_be_typed() {
    let finding = |change: fn(&mut Facts)| {
        only(&changed(|f| {
            f.settings.network = NetworkMode::Routed;
            f.container.ve.venet = vec![VenetAddress { address: "2001:db8::1".parse().unwrap(), prefix: 128 }];
            change(f);
        }))
    };
    let said = finding(|f| f.target.forwarding.v6 = false);
    assert!(said.remedy.starts_with("sysctl -w net.ipv6.conf.all.forwarding=1"), "{said:?}");
    let said = finding(|f| f.target.uplink = Some("eth0.5".into()));
    assert!(said.remedy.starts_with("sysctl -w net/ipv6/conf/eth0.5/proxy_ndp=1"), "{said:?}");
}

#[test]
fn what_an_unprivileged_container_cannot_have() {
    let with = |unprivileged: bool| {
        ids(&changed(|f| {
            f.settings.unprivileged = unprivileged;
            f.settings.id_range = Some(IdRange { base: 200_000, count: 65_536 });
            f.target.id_ranges = vec![IdRange { base: 265_536, count: 10 }, IdRange { base: 100_000, count: 100_000 }];
            f.container.ve.features = BTreeMap::from([("nfs".into(), true)]);
            f.container.ve.quota_ugid_limit = Some(100);
            f.container.ve.capabilities.on = vec!["net_admin".into()];
        }))
    };
    assert_eq!(with(false), ["source-user-quota", "feature-host-module"]);
    assert_eq!(
        with(true),
        ["source-user-quota", "unprivileged-nfs", "unprivileged-quota", "feature-host-module"],
        "ranges that only touch do not overlap"
    );
}

#[test]
fn accepting_turns_an_overridable_finding_into_a_warning_that_says_so() {
    let facts = changed(|f| {
        f.container.action_scripts = vec!["101.mount".into(), "101.start".into()];
        f.storage.exists = true;
        f.settings.accept = vec!["source-action-script".into(), "volume-exists".into()];
    });
    let findings = evaluate(&facts);
    let said: Vec<(&str, Severity)> = findings.iter().map(|f| (f.id.as_str(), f.severity)).collect();
    assert_eq!(
        said,
        [
            ("volume-exists", Severity::Blocker),
            ("source-action-script", Severity::Warning),
            ("source-action-script", Severity::Warning),
            ("accept-unused", Severity::Warning),
        ]
    );
    assert!(findings[1].detail.ends_with("(accepted with --accept source-action-script)"), "{}", findings[1].detail);
    assert!(findings[3].title.contains("a blocker cannot be accepted"));
    let repeated = changed(|f| {
        f.container.dump = true;
        f.settings.accept = vec!["source-dump".into(), "source-dump".into()];
    });
    assert_eq!(ids(&repeated), ["source-dump"]);
    assert_eq!(verdict(&evaluate(&repeated)), Verdict::Warnings);
}

#[test]
fn findings_of_the_configuration_are_passed_on_once_and_sorted() {
    let facts = changed(|f| {
        f.container.ve.quota_ugid_limit = Some(5);
        f.container.status = Status::Mounted;
        f.container.ve.findings = vec![
            Finding::warning("ve-zero-limit", "PHYSPAGES is zero").subject("PHYSPAGES"),
            Finding::overridable("ve-quotaugidlimit", "no equivalent").subject("QUOTAUGIDLIMIT"),
        ];
    });
    assert_eq!(ids(&facts), ["ve-quotaugidlimit", "ve-zero-limit", "source-mounted"]);
}

#[test]
fn the_verdict_follows_the_weightiest_finding() {
    let one = |severity| verdict(&[Finding::new(severity, "x", "x"), Finding::info("y", "y")]);
    assert_eq!(one(Severity::Blocker), Verdict::Blocked);
    assert_eq!(one(Severity::Overridable), Verdict::Blocked);
    assert_eq!(one(Severity::Warning), Verdict::Warnings);
    assert_eq!(one(Severity::Skipped), Verdict::Warnings);
    assert_eq!(one(Severity::Info), Verdict::Ready);
}

fn report() -> Report {
    let hostile = changed(|f| {
        f.container.ve.name = Some("<script>alert('x')</script>".into());
        f.container.ve.hostname = Some("web\u{1b}[31m\u{202e}1&".into());
        f.container.action_scripts = vec!["101.mount\n<b>".into()];
    });
    let failed = Error::new("reading the configuration").because(Error::new("no such file").hint("look at the node"));
    Report::new(
        "root@vz1",
        "node1",
        vec![
            ContainerReport::of(&good()),
            ContainerReport::of(&hostile),
            ContainerReport::of(&changed(|f| f.storage.free = None)),
            ContainerReport::not_examined(Ctid::parse("7").unwrap(), &failed),
        ],
    )
}

#[test]
fn the_json_has_the_contracts_keys() {
    let text = render_json(&report()).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&json["schema"], &json["source"], &json["target"]), (&1.into(), &"root@vz1".into(), &"node1".into()));
    assert_eq!(json["summary"], serde_json::json!({"ready": 1, "warnings": 1, "blocked": 2}));
    let first = &json["containers"][0];
    assert_eq!(
        *first,
        serde_json::json!({
            "ctid": "101", "name": null, "hostname": "web1.example.com", "target_name": "lxc-web1", "status": "running",
            "privileged": true,
            "guest": {"distro": "debian", "version": "12", "init": "systemd", "arch": "x86_64", "libc": "2.36"},
            "size_bytes": GIB, "inodes": 30_000, "verdict": "ready", "findings": []
        })
    );
    let failed = &json["containers"][3]["findings"][0];
    assert_eq!(failed["id"], "container-not-examined");
    assert_eq!(failed["severity"], "blocker");
    assert_eq!(
        (&failed["detail"], &failed["remedy"]),
        (&"reading the configuration: no such file".into(), &"look at the node".into())
    );
    let again: Report = serde_json::from_str(&text).unwrap();
    assert_eq!(again, report());
}

#[test]
fn the_text_keeps_its_width_and_shows_no_control_character() {
    let text = render_text(&report(), 72);
    for line in text.lines() {
        assert!(line.chars().count() <= 72 && line.trim_end() == line, "{line:?}");
    }
    assert!(!text.chars().any(|c| (c.is_control() && c != '\n') || c == '\u{202e}'), "{text}");
    assert!(text.contains("\\u{1b}[31m\\u{202e}1&") && text.contains("101.mount\\n<b>"), "{text}");
    assert!(text.starts_with("root@vz1 -> node1\n\n101 READY web1.example.com -> lxc-web1\n"), "{text}");
    assert!(text.contains("  running; debian 12, systemd, x86_64, libc 2.36; 1 GiB, 30000 inodes\n"), "{text}");
    assert!(text.contains("overridable: an action script"), "{text}");
    assert!(text.contains("      > look at the node\n"), "{text}");
    assert!(text.ends_with("\n1 ready, 1 with warnings, 2 blocked\n"), "{text}");
    let narrow = render_text(&report(), 0);
    assert!(narrow.contains("1 ready, 1 with warnings, 2 blocked"));
}

#[test]
fn the_page_escapes_everything_and_needs_nothing_else() {
    let page = render_html(&report());
    assert!(
        !page.contains("<script") && !page.contains("<b>") && !page.contains('\u{1b}') && !page.contains('\u{202e}')
    );
    assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;"), "{page}");
    assert!(page.contains("1&amp;"));
    for outside in ["http:", "https:", "src=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    for tag in ["table", "tbody", "tr", "td", "h2", "span", "code", "div", "style", "body", "html"] {
        let (open, close) = (
            page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count(),
            page.matches(&format!("</{tag}>")).count(),
        );
        assert_eq!(open, close, "{tag}");
        assert!(open > 0, "{tag}");
    }
}

/// The rows of the tables in a section of docs/checks.md: id and severity.
fn documented(section: &str) -> BTreeMap<String, String> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/checks.md");
    let text = std::fs::read_to_string(path).unwrap();
    let start = text.find(&format!("## {section}\n")).unwrap();
    let part = text[start + 3..].split("\n## ").next().unwrap();
    let mut rows = BTreeMap::new();
    for line in part.lines().filter(|l| l.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        assert_eq!(cells.len(), 6, "{line}");
        assert!(!cells[3].is_empty(), "{line}");
        let double = rows.insert(cells[1].trim_matches('`').to_owned(), cells[2].to_owned());
        assert!(double.is_none(), "{line}");
    }
    rows
}

#[test]
fn every_id_is_documented_and_every_documented_id_exists() {
    let mut known: BTreeMap<String, String> = BTreeMap::new();
    for rule in rules() {
        let severity = serde_json::to_value(rule.severity()).unwrap().as_str().unwrap().to_owned();
        assert!(known.insert(rule.id().to_owned(), severity).is_none(), "{} twice", rule.id());
        assert!(rule.id().bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{}", rule.id());
    }
    known.insert(ACCEPT_UNUSED.to_owned(), "warning".to_owned());
    known.insert(NOT_EXAMINED.to_owned(), "blocker".to_owned());
    assert_eq!(documented("Rules"), known);
    // tests/docs.rs holds the rest of that section to what the reader of the configuration says.
    let of_ve = documented("From the VE configuration");
    assert!(VE_FINDINGS.iter().all(|id| of_ve.contains_key(*id)), "{of_ve:?}");
}
