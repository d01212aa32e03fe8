//! The installed LXC reads what we write. Nothing is started or mounted: `lxc-info` parses the whole file.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ovz2lxc::lxc::{Abilities, ContainerConfig, Dialect, Link, RootfsPath, Veth, parse_config, render};
use ovz2lxc::model::guest::{Family, Init};
use ovz2lxc::model::limits::Limits;
use ovz2lxc::model::target::{CgroupMode, LxcVersion};
use ovz2lxc::model::ve::DeviceRule;
use std::path::Path;
use std::process::Output;

const HOST: Abilities = Abilities { cpus: 1, numa_nodes: 1, swap_accounting: true };
const NAME: &str = "lxc-101";
const COMMON: &str = "/usr/share/lxc/config/common.conf";

#[expect(clippy::disallowed_methods, reason = "asks the real tools")]
fn run(program: &str, args: &[&str]) -> Option<Output> {
    std::process::Command::new(program).args(args).env("LC_ALL", "C").output().ok()
}

/// The installed version, if LXC is here and new enough for the new names.
fn installed(test: &str) -> Option<LxcVersion> {
    let version = run("lxc-info", &["--version"])
        .filter(|o| o.status.success())
        .and_then(|o| LxcVersion::parse(&String::from_utf8_lossy(&o.stdout)));
    let Some(version) = version else {
        support::skip(test, "LXC is not installed");
        return None;
    };
    if version.major < 3 {
        support::skip(test, "the installed LXC is older than 3.0");
        return None;
    }
    Some(version)
}

fn config(include: bool) -> ContainerConfig {
    ContainerConfig {
        hostname: "web1.example.com".into(),
        nics: vec![Veth {
            name: "eth0".into(),
            mac: "00:16:3e:00:00:65".into(),
            link: Link::bridge("br0.10"),
            host_ifname: Some("veth101.0".into()),
            mtu: Some(1400),
            addresses: vec!["10.2.0.101/24".parse().unwrap(), "2001:db8::101/64".parse().unwrap()],
            gateway4: Some("10.9.9.1".parse().unwrap()),
            gateway6: Some("fe80::1".parse().unwrap()),
        }],
        limits: Limits {
            memory_bytes: Some(1 << 28),
            swap_bytes: Some(0),
            pids: Some(400),
            cpu_quota_percent: Some(50),
            cpu_units: Some(1000),
            cpu_mask: Some("0".into()),
            ..Limits::default()
        },
        devices: vec![DeviceRule {
            kind: 'c',
            major: None,
            minor: None,
            access: "rw".into(),
            path: Some("net/tun".into()),
        }],
        drop_capabilities: vec!["mknod".into()],
        keep_capabilities: vec!["sys_time".into()],
        include: include.then(|| COMMON.to_owned()),
        init: Init::Busybox,
        family: Family::Alpine,
        comments: vec!["container 101 of vz1.example.com".into()],
        ..ContainerConfig::new(NAME, RootfsPath::Loop("/var/lib/lxc/lxc-101/rootfs.img".into()))
    }
}

fn written(config: &ContainerConfig, version: LxcVersion, cgroup: CgroupMode) -> String {
    render(config, &Dialect { version, cgroup }, &HOST).unwrap().text
}

/// Puts the text where LXC looks for it and asks for the state.
fn lxc_info(dir: &Path, text: &str) -> Output {
    std::fs::create_dir_all(dir.join(NAME)).unwrap();
    std::fs::write(dir.join(NAME).join("config"), text).unwrap();
    run("lxc-info", &["-P", dir.to_str().unwrap(), "-n", NAME, "-s", "-l", "ERROR", "-o", "/dev/stdout"]).unwrap()
}

fn accepted(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("STOPPED")
}

#[test]
fn the_installed_lxc_accepts_every_configuration() {
    let Some(version) = installed("lxc_config::the_installed_lxc_accepts_every_configuration") else { return };
    for cgroup in [CgroupMode::V1, CgroupMode::V2, CgroupMode::Both] {
        for include in [false, true] {
            if include && !Path::new(COMMON).exists() {
                continue;
            }
            for (init, apparmor) in [(Init::Busybox, false), (Init::Systemd, true)] {
                let dir = tempfile::tempdir().unwrap();
                let config = ContainerConfig {
                    init,
                    apparmor,
                    mount_types: vec!["nfs".into()],
                    console_log: Some("/var/log/lxc/console".into()),
                    ..config(include)
                };
                let text = written(&config, version, cgroup);
                let output = lxc_info(dir.path(), &text);
                assert!(accepted(&output), "{text}\n{}", String::from_utf8_lossy(&output.stdout));
            }
        }
    }
}

#[test]
fn a_wrong_key_is_refused_so_the_test_above_can_fail() {
    let Some(version) = installed("lxc_config::a_wrong_key_is_refused_so_the_test_above_can_fail") else { return };
    let text = written(&config(false), version, CgroupMode::V1);
    let dir = tempfile::tempdir().unwrap();
    assert!(!accepted(&lxc_info(dir.path(), &format!("{text}lxc.bogus.key = 1\n"))));
    let old = written(&config(false), LxcVersion { major: 2, minor: 0 }, CgroupMode::V1);
    assert!(!accepted(&lxc_info(dir.path(), &old)), "the old names are errors since 3.0");
}

/// LXC's own translator of old configurations is the oracle for the old names.
#[test]
fn the_old_dialect_translates_into_the_new_one() {
    let test = "lxc_config::the_old_dialect_translates_into_the_new_one";
    if installed(test).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let old = dir.path().join("old");
    let device = ContainerConfig { rootfs: RootfsPath::Dir("/srv/lxc-101".into()), ..config(false) };
    std::fs::write(&old, written(&device, LxcVersion { major: 2, minor: 0 }, CgroupMode::V1)).unwrap();
    let Some(output) = run("lxc-update-config", &["-c", old.to_str().unwrap()]) else {
        support::skip(test, "lxc-update-config is not installed");
        return;
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let translated = std::fs::read_to_string(&old).unwrap();
    let output = lxc_info(dir.path(), &translated);
    assert!(accepted(&output), "{translated}\n{}", String::from_utf8_lossy(&output.stdout));
    let new = written(&device, LxcVersion { major: 3, minor: 0 }, CgroupMode::V1);
    assert_eq!(parse_config(&translated).unwrap(), parse_config(&new).unwrap());
}
