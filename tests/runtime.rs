//! A real container under the installed LXC: BusyBox on an image file, in a network namespace of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ovz2lxc::cancel::Cancel;
use ovz2lxc::lxc::{Abilities, ContainerConfig, Dialect, Link, RootfsPath, Veth, render};
use ovz2lxc::model::guest::Init;
use ovz2lxc::model::limits::Limits;
use ovz2lxc::model::target::CgroupMode;
use ovz2lxc::runtime::{HealthCheck, State, StopKind};
use std::path::PathBuf;
use std::time::Duration;
use support::busybox::{self, Sandbox};

const CT: &str = "lxc-rt";
const BRIDGE: &str = "rtbr0";
const ADDRESS: &str = "192.168.83.10";
const MAC: &str = "02:16:3e:00:83:10";

/// A namespace with a bridge and a container on an image.
struct Lab(Sandbox);

impl std::ops::Deref for Lab {
    type Target = Sandbox;
    fn deref(&self) -> &Sandbox {
        &self.0
    }
}

fn lab(test: &str, name: &str) -> Option<Lab> {
    let sandbox = busybox::sandbox(test, name, &["ping"])?;
    sandbox.container(CT);
    sandbox.bridge(BRIDGE, "192.168.83.1/24");
    Some(Lab(sandbox))
}

impl Lab {
    fn config(&self) -> ContainerConfig {
        ContainerConfig {
            hostname: "rt.example.com".into(),
            nics: vec![Veth {
                addresses: vec![format!("{ADDRESS}/24").parse().unwrap()],
                gateway4: Some("192.168.83.1".parse().unwrap()),
                ..Veth::new("eth0", MAC, Link::bridge(BRIDGE))
            }],
            limits: Limits {
                memory_bytes: Some(64 << 20),
                swap_bytes: Some(16 << 20),
                pids: Some(64),
                cpu_quota_percent: Some(50),
                cpu_units: Some(500),
                cpus: Some(1),
                cpu_mask: Some("0".into()),
                ..Limits::default()
            },
            include: self.target().common_conf,
            init: Init::Busybox,
            apparmor: self.target().apparmor,
            console_log: Some(self.dir.path().join("console.log")),
            ..ContainerConfig::new(CT, RootfsPath::Loop(self.lxc.path().join(CT).join("rootfs.img")))
        }
    }

    fn write(&self, config: &ContainerConfig, cgroup: CgroupMode) -> PathBuf {
        let target = self.target();
        let dialect = Dialect { version: target.lxc.unwrap(), cgroup };
        let swap_accounting = target.swap_accounting;
        let host = Abilities { cpus: target.cpus, numa_nodes: 1, swap_accounting, pids: target.pids };
        let rendered = render(config, &dialect, &host).unwrap();
        let path = self.lxc.config_path(CT);
        std::fs::write(&path, rendered.text).unwrap();
        path
    }

    fn health(&self) -> HealthCheck {
        HealthCheck {
            timeout: Duration::from_secs(30),
            settle: Duration::from_millis(500),
            addresses: vec![ADDRESS.parse().unwrap()],
            macs: vec![MAC.into()],
            expect_login: true,
        }
    }
}

#[test]
fn a_container_starts_is_well_and_stops() {
    let Some(lab) = lab("runtime::a_container_starts_is_well_and_stops", "rt1") else { return };
    assert_eq!(lab.lxc.state(CT).unwrap(), State::Absent);
    let config = lab.write(&lab.config(), lab.target().cgroup);
    assert_eq!(lab.lxc.state(CT).unwrap(), State::Stopped);

    lab.lxc.start(CT, &config).unwrap();
    let report = lab.lxc.wait_healthy(CT, &lab.health(), &Cancel::new()).unwrap();
    assert_eq!(report.addresses, [ADDRESS.parse::<std::net::IpAddr>().unwrap()]);
    assert_eq!(report.login.as_deref(), Some("getty"));
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    assert_eq!(lab.lxc.init_pid(CT).unwrap(), Some(report.init_pid));
    assert!(lab.lxc.start(CT, &config).is_err(), "it runs already");
    let found = lab.lxc.inspect().unwrap();
    assert_eq!((found.bridges, found.containers), (vec![BRIDGE.to_owned()], vec![CT.to_owned()]));

    // The limits are in force, as LXC itself reads them back.
    let (key, want) = match lab.target().cgroup {
        CgroupMode::V2 => ("memory.max", "67108864"),
        _ => ("memory.limit_in_bytes", "67108864"),
    };
    let path = lab.lxc.path().display();
    assert_eq!(lab.sh(&format!("lxc-cgroup -P {path} -n {CT} {key}")).trim(), want);
    let console = lab.lxc.console_tail(CT).unwrap().unwrap().join("\n");
    assert!(console.contains("login:"), "{console}");

    assert_eq!(lab.lxc.stop(CT, Duration::from_secs(30)).unwrap(), StopKind::Clean);
    assert_eq!(lab.lxc.state(CT).unwrap(), State::Stopped);
    assert_eq!(lab.lxc.init_pid(CT).unwrap(), None);
}

#[test]
fn a_deaf_container_is_killed_in_time() {
    let Some(lab) = lab("runtime::a_deaf_container_is_killed_in_time", "rt2") else { return };
    // Both families of limits in one file, and SIGPWR, which this BusyBox does not halt on.
    let config = lab.write(&ContainerConfig { init: Init::Unknown, ..lab.config() }, CgroupMode::Both);
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + "lxc.signal.halt = SIGWINCH\n").unwrap();
    lab.lxc.start(CT, &config).unwrap();
    lab.lxc.wait_healthy(CT, &lab.health(), &Cancel::new()).unwrap();
    assert_eq!(lab.lxc.stop(CT, Duration::from_secs(1)).unwrap(), StopKind::Killed);
    assert_eq!(lab.lxc.state(CT).unwrap(), State::Stopped);
}

#[test]
fn failures_say_what_is_wrong() {
    let Some(lab) = lab("runtime::failures_say_what_is_wrong", "rt3") else { return };
    let mut config = lab.config();
    config.nics[0].link = Link::bridge("nosuchbr");
    let path = lab.write(&config, lab.target().cgroup);
    let error = lab.lxc.start(CT, &path).unwrap_err();
    assert!(error.chain().join(": ").contains("nosuchbr"), "{error:?}");
    assert!(error.first_hint().unwrap().contains("bridge"), "{error:?}");

    let path = lab.write(&lab.config(), lab.target().cgroup);
    lab.lxc.start(CT, &path).unwrap();
    let check = HealthCheck {
        timeout: Duration::from_secs(2),
        addresses: vec!["192.168.83.99".parse().unwrap()],
        ..lab.health()
    };
    let error = lab.lxc.wait_healthy(CT, &check, &Cancel::new()).unwrap_err();
    let said = error.chain().join(": ");
    assert!(said.contains(&format!("expected address 192.168.83.99 inside; seen: {ADDRESS}")), "{said}");
    let check = HealthCheck { macs: vec!["02:00:00:00:00:01".into()], timeout: Duration::from_secs(2), ..lab.health() };
    let said = lab.lxc.wait_healthy(CT, &check, &Cancel::new()).unwrap_err().chain().join(": ");
    assert!(said.contains("another machine has the address"), "{said}");
    lab.lxc.kill(CT).unwrap();
    assert_eq!(lab.lxc.state(CT).unwrap(), State::Stopped);
}
