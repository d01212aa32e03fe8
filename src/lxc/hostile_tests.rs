//! Values that want to be more than values: whatever stands in a field, the file has no line that it would not have otherwise.

use super::config::{ContainerConfig, IdMap, Link, RootfsPath, Veth};
use super::tests::{dialect, host, included};
use super::{keys, parse_config, render};
use crate::model::settings::IdRange;
use crate::model::target::CgroupMode;
use crate::model::ve::DeviceRule;
use std::collections::BTreeMap;

const PAYLOADS: &[&str] = &[
    "x\nlxc.hook.pre-start = /bin/sh",
    "x\r\nlxc.hook.pre-start = /bin/sh",
    "x\rlxc.hook.pre-start = /bin/sh",
    "\nlxc.cap.drop =\n",
    "lxc.hook.pre-start = /bin/sh",
    "x\0y",
    "x\u{b}y\u{c}z",
    "x\u{85}lxc.hook.pre-start = /bin/sh",
    "x\u{2028}lxc.hook.pre-start = /bin/sh",
    "\u{1b}]0;x\u{7}",
    "'x'",
    "\"x\"",
    " x",
    "x # y",
    "x = y",
    "",
    "/",
    "/../../etc/shadow",
    "/x none bind 0 0\n/etc etc none bind 0 0",
    "$(reboot)",
    "x';reboot;'",
    "é",
];

type Field = (&'static str, fn(&mut ContainerConfig, String));

/// Every text of a configuration.
const FIELDS: &[Field] = &[
    ("name", |c, v| c.name = v),
    ("hostname", |c, v| c.hostname = v),
    ("arch", |c, v| c.arch = v),
    ("image", |c, v| c.rootfs = RootfsPath::Loop(v.into())),
    ("directory", |c, v| c.rootfs = RootfsPath::Dir(v.into())),
    ("device", |c, v| c.rootfs = RootfsPath::Device(v.into())),
    ("interface", |c, v| c.nics[0].name = v),
    ("mac", |c, v| c.nics[0].mac = v),
    ("bridge", |c, v| c.nics[0].link = Link::Bridge { name: v, vlan: Some(10) }),
    ("uplink", |c, v| c.nics[2].link = Link::Router { uplink: Some(v) }),
    ("host interface", |c, v| c.nics[0].host_ifname = Some(v)),
    ("network device", |c, v| c.net_devices[0] = v),
    ("cpu mask", |c, v| c.limits.cpu_mask = Some(v)),
    ("node mask", |c, v| c.limits.node_mask = Some(v)),
    ("device node", |c, v| c.devices[0].path = Some(v)),
    ("device access", |c, v| c.devices[0].access = v),
    ("dropped capability", |c, v| c.drop_capabilities = vec![v]),
    ("kept capability", |c, v| c.keep_capabilities = vec![v]),
    ("include", |c, v| c.include = Some(v)),
    ("include for user name spaces", |c, v| c.userns_include = Some(v)),
    ("mounted file system", |c, v| c.mount_types = vec![v]),
    ("console log", |c, v| c.console_log = Some(v.into())),
    ("hook", |c, v| c.hook = Some(v.into())),
    ("feature", |c, v| c.features = [(v, true)].into()),
    ("comment", |c, v| c.comments = vec![v]),
];

/// A configuration that uses every field.
fn harmless() -> ContainerConfig {
    let mut config = ContainerConfig {
        net_devices: vec!["eno2".into()],
        hook: Some("/var/lib/lxc/lxc-101/start-host".into()),
        userns_include: Some("/usr/share/lxc/config/userns.conf".into()),
        devices: vec![DeviceRule {
            kind: '\n',
            major: Some(10),
            minor: None,
            access: "rw".into(),
            path: Some("x".into()),
        }],
        keep_capabilities: vec!["sys_time".into()],
        ..included()
    };
    config.limits.iops = Some(100);
    config.limits.node_mask = Some("0".into());
    config.nics[0].link = Link::Bridge { name: "br0".into(), vlan: Some(10) };
    config.nics[0].host_ifname = Some("veth101.0".into());
    let routed = Link::Router { uplink: Some("eno1".into()) };
    let addresses = vec!["10.0.0.1/32".parse().unwrap()];
    config.nics.push(Veth { addresses, ..Veth::new("eth2", "00:16:3e:00:02:65", routed) });
    config
}

fn count(text: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for (key, _) in parse_config(text).unwrap() {
        *counts.entry(key).or_default() += 1;
    }
    counts
}

#[test]
fn no_value_makes_a_line_of_its_own() {
    let idmap = IdMap { range: IdRange { base: 100_000, count: 65_536 }, mounted: false };
    let (mut rendered, mut refused) = (0, 0);
    for base in [harmless(), ContainerConfig { idmap: Some(idmap), ..harmless() }] {
        let d = dialect("5.0", CgroupMode::Both);
        let usual = count(&render(&base, &d, &host(4, true)).unwrap().text);
        for (field, set) in FIELDS {
            for payload in PAYLOADS {
                let mut config = base.clone();
                set(&mut config, (*payload).to_owned());
                let Ok(r) = render(&config, &d, &host(4, true)) else {
                    refused += 1;
                    continue;
                };
                rendered += 1;
                for (key, n) in count(&r.text) {
                    assert!(n <= *usual.get(&key).unwrap_or(&0), "{field} {payload:?}: {n} times {key}\n{}", r.text);
                    assert!(keys::is_known(&key, d.version), "{field} {payload:?}: {key}");
                }
                let line = |l: &str| l.is_empty() || l.starts_with("# ") || l.starts_with("lxc.");
                assert!(r.text.split('\n').all(line), "{field} {payload:?}: {}", r.text);
                assert!(!r.text.chars().any(|c| c.is_control() && c != '\n'), "{field} {payload:?}: {}", r.text);
                for finding in &r.findings {
                    let said = format!("{}{}{}{}", finding.title, finding.detail, finding.remedy, finding.subject);
                    assert!(!said.chars().any(char::is_control), "{field} {payload:?}: {said:?}");
                }
            }
        }
    }
    // Paths and comments may hold much that a name may not.
    assert!(rendered > 200 && refused > 500, "{rendered} {refused}");
}
