//! A real container under the installed LXC: BusyBox on an image file, in a network namespace of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ovz2lxc::cancel::Cancel;
use ovz2lxc::error::Result;

use ovz2lxc::host::{Command, Host, Local, Output, Process, RemoteShell};
use ovz2lxc::lxc::{Abilities, ContainerConfig, Dialect, Link, RootfsPath, Veth, render};
use ovz2lxc::model::guest::Init;
use ovz2lxc::model::limits::Limits;
use ovz2lxc::model::target::{CgroupMode, Target};
use ovz2lxc::runtime::{HealthCheck, Lxc, State, StopKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const CT: &str = "lxc-rt";
const BRIDGE: &str = "rtbr0";
const ADDRESS: &str = "192.168.83.10";
const MAC: &str = "02:16:3e:00:83:10";

/// Enters the network namespace. LXC looks for bridges in /sys/class/net, so /sys is mounted anew for the namespace and
/// the control groups are bound back into it.
const ENTER: &str = "mount -t sysfs sysfs \"$1\" && mount --rbind /sys/fs/cgroup \"$1/fs/cgroup\" && \
                     mount --move \"$1\" /sys && shift && exec \"$@\"";

/// This host, every command inside a network namespace.
#[derive(Clone)]
struct Inside {
    local: Local,
    namespace: String,
    sys: PathBuf,
}

impl Inside {
    fn wrapped(&self, command: &Command) -> Command {
        let net = format!("--net=/run/netns/{}", self.namespace);
        let enter = ["unshare", "-m", "--propagation", "private", "sh", "-c", ENTER, "sh"];
        let outer = Command::write("nsenter").arg(net).args(enter).arg(&self.sys).args(command.argv());
        outer.timeout(command.time_limit().unwrap_or(Duration::from_secs(60)))
    }
}

impl Host for Inside {
    fn label(&self) -> &str {
        "namespace"
    }
    fn run(&self, command: &Command) -> Result<Output> {
        self.local.run(&self.wrapped(command))
    }
    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        self.local.spawn(&self.wrapped(command))
    }
    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        self.local.read_file(path, limit)
    }
    fn remote_shell(&self) -> Option<RemoteShell> {
        None
    }
    fn another(&self) -> Result<Box<dyn Host>> {
        Ok(Box::new(self.clone()))
    }
}

/// A namespace with a bridge, an LXC path with one image, and their end.
struct Lab {
    host: Arc<Inside>,
    lxc: Lxc,
    dir: tempfile::TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.lxc.kill(CT);
        let _ = self.host.local.run(&Command::write("ip").args(["netns", "del", &self.host.namespace]));
    }
}

fn sh(host: &dyn Host, script: &str) -> String {
    host.run_ok(&Command::write("sh").args(["-ec", script])).unwrap().text()
}

/// Why a container cannot be started on this machine.
fn obstacle() -> Option<String> {
    if !support::is_root() {
        return Some("not root".into());
    }
    let local = Local::new();
    for program in ["lxc-start", "mkfs.ext4", "ip", "nsenter", "unshare", "ping"] {
        let asked = Command::read("sh").args(["-c", "command -v \"$1\"", "sh", program]);
        if local.run(&asked).map_or(true, |o| o.status != 0) {
            return Some(format!("{program} is not installed"));
        }
    }
    let busybox = std::fs::read("/bin/busybox").unwrap_or_default();
    let loader = b"/ld-linux";
    if busybox.is_empty() || busybox[..busybox.len().min(4096)].windows(loader.len()).any(|w| w == loader) {
        return Some("there is no static /bin/busybox".into());
    }
    (!Path::new("/dev/loop-control").exists()).then(|| "there are no loop devices".into())
}

fn tree(at: &Path) {
    for dir in ["bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root"] {
        std::fs::create_dir_all(at.join(dir)).unwrap();
    }
    std::fs::copy("/bin/busybox", at.join("bin/busybox")).unwrap();
    for applet in ["sh", "getty", "login", "hostname", "halt", "sleep"] {
        symlink("busybox", at.join("bin").join(applet)).unwrap();
    }
    symlink("../bin/busybox", at.join("sbin/init")).unwrap();
    std::fs::write(at.join("etc/passwd"), "root::0:0:root:/root:/bin/sh\n").unwrap();
    let inittab = "console::respawn:/bin/getty 38400 console\ntty1::respawn:/bin/getty 38400 tty1\n";
    std::fs::write(at.join("etc/inittab"), inittab).unwrap();
}

fn lab(name: &str) -> Lab {
    let dir = tempfile::tempdir().unwrap();
    let namespace = format!("ovz2lxc-{name}-{}", std::process::id());
    let sys = dir.path().join("sys");
    std::fs::create_dir(&sys).unwrap();
    let host = Arc::new(Inside { local: Local::new(), namespace, sys });
    let path = dir.path().join("lxc");
    std::fs::create_dir_all(path.join(CT)).unwrap();
    tree(&dir.path().join("tree"));
    let (tree, image) = (dir.path().join("tree"), path.join(CT).join("rootfs.img"));
    let (tree, image) = (tree.display(), image.display());
    sh(&host.local, &format!("truncate -s 16M {image}; mkfs.ext4 -q -F -d {tree} {image}"));
    sh(&host.local, &format!("ip netns add {}", host.namespace));
    let lxc = Lxc::new(host.clone(), &path, &dir.path().join("log")).unwrap();
    let bridge = format!(
        "ip link set lo up; ip link add {BRIDGE} type bridge forward_delay 0; \
         ip addr add 192.168.83.1/24 dev {BRIDGE}; ip link set {BRIDGE} up"
    );
    // From here on the namespace is taken away again, whatever happens.
    let lab = Lab { host, lxc, dir };
    sh(&*lab.host, &bridge);
    lab
}

impl Lab {
    fn target(&self) -> Target {
        self.lxc.inspect().unwrap()
    }

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
        let host = Abilities { cpus: target.cpus, numa_nodes: 1, swap_accounting: target.swap_accounting };
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
    if let Some(why) = obstacle() {
        return support::skip("runtime::a_container_starts_is_well_and_stops", &why);
    }
    let lab = lab("rt1");
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
    assert_eq!(sh(&*lab.host, &format!("lxc-cgroup -P {path} -n {CT} {key}")).trim(), want);
    let console = lab.lxc.console_tail(CT).unwrap().unwrap().join("\n");
    assert!(console.contains("login:"), "{console}");

    assert_eq!(lab.lxc.stop(CT, Duration::from_secs(30)).unwrap(), StopKind::Clean);
    assert_eq!(lab.lxc.state(CT).unwrap(), State::Stopped);
    assert_eq!(lab.lxc.init_pid(CT).unwrap(), None);
}

#[test]
fn a_deaf_container_is_killed_in_time() {
    if let Some(why) = obstacle() {
        return support::skip("runtime::a_deaf_container_is_killed_in_time", &why);
    }
    let lab = lab("rt2");
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
    if let Some(why) = obstacle() {
        return support::skip("runtime::failures_say_what_is_wrong", &why);
    }
    let lab = lab("rt3");
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
