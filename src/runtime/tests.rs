use super::{HealthCheck, Lxc, State, StopKind};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::host::{Command, Host, Output, Process, RemoteShell};
use crate::model::settings::IdRange;
use crate::model::target::{CgroupMode, Forwarding, LxcVersion};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const INFO: &str = "lxc-info -P /var/lib/lxc -n ct";
const STOP: &str = "lxc-stop -P /var/lib/lxc -n ct";
const PS: &str = "ps -e -o pid= -o ppid= -o comm=";
const HAS_PING: &str = "sh -c 'command -v \"$1\" >/dev/null 2>&1' sh ping";

/// A host that answers what it was told to and fails at every other command. The last answer of a command repeats.
#[derive(Default)]
struct Fake {
    answers: Mutex<BTreeMap<String, VecDeque<Output>>>,
    files: BTreeMap<PathBuf, Vec<u8>>,
    asked: Mutex<Vec<String>>,
}

impl Fake {
    fn on(self, command: &str, status: i32, stdout: &str) -> Fake {
        let output = Output { status, stdout: stdout.into(), ..Output::default() };
        self.answers.lock().unwrap().entry(command.into()).or_default().push_back(output);
        self
    }

    fn says(self, command: &str, stdout: &str) -> Fake {
        self.on(command, 0, stdout)
    }

    fn file(mut self, path: &str, content: &str) -> Fake {
        self.files.insert(path.into(), content.into());
        self
    }

    fn count(&self, command: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == command).count()
    }
}

impl Host for Fake {
    fn label(&self) -> &str {
        "fake"
    }

    fn run(&self, command: &Command) -> Result<Output> {
        let line = command.to_string();
        self.asked.lock().unwrap().push(line.clone());
        let mut answers = self.answers.lock().unwrap();
        let queue = answers.get_mut(&line).ok_or_else(|| Error::new(format!("unexpected command: {line}")))?;
        if queue.len() > 1 { Ok(queue.pop_front().unwrap()) } else { Ok(queue[0].clone()) }
    }

    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        Err(Error::new(format!("unexpected spawn: {command}")))
    }

    fn read_file(&self, path: &Path, _: u64) -> Result<Option<Vec<u8>>> {
        Ok(self.files.get(path).cloned())
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        None
    }

    fn another(&self) -> Result<Box<dyn Host>> {
        Err(Error::new("unexpected second connection"))
    }
}

fn lxc(fake: Fake) -> (Lxc, Arc<Fake>) {
    let fake = Arc::new(fake);
    let lxc = Lxc::new(fake.clone(), Path::new("/var/lib/lxc/"), Path::new("/var/log/x")).unwrap();
    (lxc.poll_every(Duration::from_millis(1)), fake)
}

fn info(fake: Fake, what: &str, answer: &str) -> Fake {
    fake.says(&format!("{INFO} -{what} -H"), answer)
}

#[test]
fn the_path_is_absolute_and_always_the_same_string() {
    for bad in ["lxc", "", "/var/../etc"] {
        assert!(Lxc::new(Arc::new(Fake::default()), Path::new(bad), Path::new("/x")).is_err(), "{bad}");
    }
    let (lxc, _) = lxc(Fake::default());
    let start = lxc.start_command("ct", Path::new("/c")).to_string();
    assert_eq!(start, "lxc-start -P /var/lib/lxc -n ct -d -f /c -l INFO -o /var/log/x/ct.lxc.log");
    let stop = lxc.stop_commands("ct").map(|c| c.to_string());
    assert_eq!(stop, [format!("{STOP} -W"), format!("{STOP} -k")]);
}

#[test]
fn states_of_new_and_old_versions() {
    assert_eq!(State::parse("RUNNING\n"), State::Running);
    assert_eq!(State::parse("State:          STOPPED\n"), State::Stopped);
    assert_eq!(State::parse("\u{1b}x"), State::Other("\\u{1b}x".into()));
    let missing = format!("{INFO} -s -H");
    assert_eq!(lxc(Fake::default().on(&missing, 1, "ct doesn't exist\n")).0.state("ct").unwrap(), State::Absent);
    assert!(lxc(Fake::default().on(&missing, 1, "Failed to parse config\n")).0.state("ct").is_err());
}

#[test]
fn a_container_that_shuts_down_was_not_killed() {
    let fake = info(info(info(Fake::default(), "s", "RUNNING"), "s", "STOPPING"), "s", "STOPPED");
    let (lxc, fake) = lxc(fake.says(&format!("{STOP} -W"), ""));
    assert_eq!(lxc.stop("ct", Duration::from_secs(60)).unwrap(), StopKind::Clean);
    assert_eq!(fake.count(&format!("{STOP} -k")), 0);
}

#[test]
fn a_container_that_does_not_listen_is_killed_when_the_time_is_up() {
    // Running when asked first and at the only look, then killed.
    let fake = info(info(info(Fake::default(), "s", "RUNNING"), "s", "RUNNING"), "s", "STOPPED");
    let (lxc, fake) = lxc(fake.says(&format!("{STOP} -W"), "").says(&format!("{STOP} -k"), ""));
    assert_eq!(lxc.stop("ct", Duration::ZERO).unwrap(), StopKind::Killed);
    assert_eq!(fake.count(&format!("{STOP} -k")), 1);
}

#[test]
fn what_does_not_run_is_not_stopped_and_a_frozen_one_is_thawed() {
    let (stopped, fake) = lxc(info(Fake::default(), "s", "STOPPED"));
    assert_eq!(stopped.stop("ct", Duration::ZERO).unwrap(), StopKind::Clean);
    assert_eq!(fake.count(&format!("{STOP} -W")), 0);
    let fake = info(info(Fake::default(), "s", "FROZEN"), "s", "STOPPED").says(&format!("{STOP} -W"), "");
    let (frozen, fake) = lxc(fake.says("lxc-unfreeze -P /var/lib/lxc -n ct", ""));
    assert_eq!(frozen.stop("ct", Duration::ZERO).unwrap(), StopKind::Clean);
    assert_eq!(fake.count("lxc-unfreeze -P /var/lib/lxc -n ct"), 1);
}

#[test]
fn a_failed_start_tells_what_the_log_says() {
    let start = "lxc-start -P /var/lib/lxc -n ct -d -f /c -l INFO -o /var/log/x/ct.lxc.log";
    let log = "lxc-start ct 2026 ERROR    network - n.c:f:1 - bridge \"br7\" doesn't exist\n";
    let fake = info(Fake::default(), "s", "STOPPED")
        .says("mkdir -p /var/log/x", "")
        .says("rm -f -- /var/log/x/ct.lxc.log", "")
        .on(start, 1, "")
        .says("tail -c 65536 -- /var/log/x/ct.lxc.log", log);
    let error = lxc(fake).0.start("ct", Path::new("/c")).unwrap_err();
    assert!(error.chain().join(": ").contains("bridge \"br7\" doesn't exist"), "{error:?}");
    assert!(error.first_hint().unwrap().contains("create the bridge"));
    let running = lxc(info(Fake::default(), "s", "RUNNING")).0.start("ct", Path::new("/c")).unwrap_err();
    assert!(running.chain().join(": ").contains("running already"), "LXC would call it a success");
}

#[test]
fn a_start_that_lost_its_loop_device_to_another_is_tried_again() {
    let start = "lxc-start -P /var/lib/lxc -n ct -d -f /c -l INFO -o /var/log/x/ct.lxc.log";
    let taken =
        "lxc-start ct 2026 ERROR    utils - u.c:prepare_loop:1 - Device or resource busy - Failed to set loop fd\n";
    let answering = || {
        info(Fake::default(), "s", "STOPPED")
            .says("mkdir -p /var/log/x", "")
            .says("rm -f -- /var/log/x/ct.lxc.log", "")
            .says("tail -c 65536 -- /var/log/x/ct.lxc.log", taken)
    };
    let (there, fake) = lxc(answering().on(start, 1, "").on(start, 1, "").says(start, ""));
    there.start("ct", Path::new("/c")).unwrap();
    assert_eq!(fake.count(start), 3);
    let (there, fake) = lxc(answering().on(start, 1, ""));
    let error = there.start("ct", Path::new("/c")).unwrap_err();
    assert!(error.chain().join(": ").contains("Failed to set loop fd"), "{error:?}");
    assert_eq!(fake.count(start), 10);
}

#[test]
fn addresses_and_init() {
    let (lxc, _) = lxc(info(info(Fake::default(), "i", "10.0.0.101\n2001:db8::101\njunk\n"), "p", "-1\n"));
    assert_eq!(
        lxc.addresses("ct").unwrap(),
        ["10.0.0.101", "2001:db8::101"].map(|a| a.parse::<std::net::IpAddr>().unwrap())
    );
    assert_eq!(lxc.init_pid("ct").unwrap(), None);
}

#[test]
fn the_console_is_read_where_the_configuration_says() {
    let config = "lxc.console.logfile = /var/log/ct.console\n";
    let fake = Fake::default()
        .file("/var/lib/lxc/ct/config", config)
        .says("tail -c 4096 -- /var/log/ct.console", "boot\r\n\u{1b}[31mlogin:");
    assert_eq!(lxc(fake).0.console_tail("ct").unwrap().unwrap(), ["boot", "\\u{1b}[31mlogin:"]);
    let none = Fake::default().file("/var/lib/lxc/ct/config", "lxc.tty.max = 4\n");
    assert_eq!(lxc(none).0.console_tail("ct").unwrap(), None);
    assert_eq!(lxc(Fake::default()).0.console_tail("ct").unwrap(), None);
}

const HAS_LXC: &str = "sh -c 'command -v \"$1\" >/dev/null 2>&1' sh lxc-start";

fn listing(dir: &str, name: &str) -> String {
    Command::read("sh").args(["-c", super::inspect::LISTING, "sh", dir, name]).to_string()
}

fn debian() -> Fake {
    Fake::default()
        .says(&listing("/sys/class/net", "bridge"), "/sys/class/net/br1/bridge\0/sys/class/net/br0.10/bridge\0")
        .says(&listing("/sys/class/net", "ifindex"), "/sys/class/net/br1/ifindex\0/sys/class/net/lo/ifindex\0")
        .says(
            &Command::read("sh").args(["-c", super::uplink::PROXIES]).to_string(),
            "/proc/sys/net/ipv6/conf/eth0/proxy_ndp\0/proc/sys/net/ipv6/conf/br0.10/proxy_ndp\0",
        )
        .says("stat -L -c %a -- / /var /var/lib /var/lib/lxc", "755\n755\n755\n700\n")
        .file("/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n")
        .says("uname -m", "x86_64\n")
        .file("/proc/sys/kernel/hostname", "lxc1\n")
        .file("/sys/devices/system/cpu/online", "0-3\n")
        .file("/proc/cmdline", "root=/dev/vda vsyscall=none quiet\n")
}

#[test]
fn a_listing_holds_what_is_there_whatever_its_name() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["plain", "two\nlines", "-n", "*"] {
        std::fs::create_dir(dir.path().join(name)).unwrap();
        std::fs::write(dir.path().join(name).join("config"), "").unwrap();
    }
    std::fs::create_dir(dir.path().join("no config")).unwrap();
    let local = Arc::new(crate::host::Local::new());
    let at = |path: &Path| Lxc::new(local.clone(), path, Path::new("/x")).unwrap();
    assert_eq!(at(dir.path()).inspect().unwrap().containers, ["*", "-n", "plain", "two\nlines"]);
    assert!(at(&dir.path().join("absent")).inspect().unwrap().containers.is_empty());
}

#[test]
fn a_host_with_lxc() {
    let fake = debian()
        .says(HAS_LXC, "")
        .says("lxc-start --version", "5.0.2\n")
        .says(&listing("/var/lib/lxc", "config"), "/var/lib/lxc/lxc-b/config\0/var/lib/lxc/lxc-a\nx/config\0")
        .file(
            "/proc/mounts",
            "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n",
        )
        .file("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "1\n")
        .file("/usr/share/lxc/config/common.conf", "")
        .file("/usr/share/lxc/config/userns.conf", "")
        .file("/sys/devices/system/node/online", "0-1\n")
        .file("/proc/net/route", "eth7 00000000 010200C0 0003 0 0 0 00000000 0 0 0\n")
        .file("/proc/sys/net/ipv4/ip_forward", "1\n")
        .file("/proc/sys/net/ipv6/conf/all/forwarding", "0\n")
        .file("/var/lib/lxc/lxc-b/config", "lxc.net.0.veth.pair = veth7\nlxc.idmap = u 0 200000 65536\n")
        .file("/etc/subuid", "root:100000:65536\nme:300000:10\n")
        .file("/sys/module/apparmor/parameters/enabled", "Y\n");
    let target = lxc(fake).0.inspect().unwrap();
    assert_eq!(target.lxc, Some(LxcVersion { major: 5, minor: 0 }));
    assert_eq!(target.cgroup, CgroupMode::V1);
    assert_eq!(target.bridges, ["br0.10", "br1"]);
    assert_eq!(target.containers, ["lxc-a\nx", "lxc-b"]);
    assert_eq!((target.cpus, target.hostname.as_str(), target.arch.as_str()), (4, "lxc1", "x86_64"));
    assert!(target.swap_accounting && target.pids && target.apparmor && target.vsyscall_none);
    assert_eq!(target.common_conf.as_deref(), Some("/usr/share/lxc/config/common.conf"));
    assert_eq!(target.userns_conf.as_deref(), Some("/usr/share/lxc/config/userns.conf"));
    assert_eq!((target.numa_nodes, target.kernel, target.uplink.as_deref()), (2, (6, 1), Some("eth7")));
    let proxy_ndp = vec!["eth0".to_owned(), "br0.10".to_owned()];
    assert_eq!(target.forwarding, Forwarding { v4: true, v6: false, proxy_ndp });
    assert_eq!(target.host_ifnames, ["br1", "lo", "veth7"]);
    assert_eq!(target.id_ranges, [(200_000, 65_536), (300_000, 10)].map(|(base, count)| IdRange { base, count }));
    assert_eq!(target.closed_dirs, ["/var/lib/lxc"]);
}

#[test]
fn a_host_without_lxc_is_described_not_refused() {
    let fake = debian().on(HAS_LXC, 1, "").says(&listing("/var/lib/lxc", "config"), "");
    let target = lxc(fake.file("/proc/mounts", "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")).0.inspect().unwrap();
    assert_eq!(target.lxc, None);
    assert_eq!(target.cgroup, CgroupMode::V2);
    assert!(target.containers.is_empty() && target.swap_accounting);
    assert!(!target.apparmor && target.common_conf.is_none() && target.userns_conf.is_none());
    assert_eq!((target.numa_nodes, target.uplink, target.forwarding.v4), (1, None, false));
}

#[test]
fn processes_are_counted_where_a_control_group_does() {
    let pids = |mounts: &str, controllers: &str| {
        let fake = debian().on(HAS_LXC, 1, "").says(&listing("/var/lib/lxc", "config"), "");
        let fake = fake.file("/proc/mounts", mounts).file("/sys/fs/cgroup/cgroup.controllers", controllers);
        lxc(fake).0.inspect().unwrap().pids
    };
    let v2 = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
    assert!(pids(v2, "cpuset cpu io memory pids\n"));
    assert!(!pids(v2, "cpuset cpu io memory\n"));
    assert!(pids("cgroup /sys/fs/cgroup/pids cgroup rw,pids 0 0\n", ""));
    // Linux 3.10 of Red Hat 7 at its beginning.
    assert!(!pids("cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n", "pids\n"));
}

/// A running container with init 50, sshd, and 10.0.0.101 inside.
fn well() -> Fake {
    let fake = info(info(info(Fake::default(), "s", "RUNNING"), "p", "50"), "i", "10.0.0.101\n");
    fake.says(PS, "50 1 init\n51 50 sshd\n").says(HAS_PING, "")
}

fn expecting() -> HealthCheck {
    HealthCheck { addresses: vec!["10.0.0.101".parse().unwrap()], expect_login: true, ..HealthCheck::default() }
}

const ROUTE: &str = "ip -o route get 10.0.0.101";
const PING: &str = "ping -4 -n -c 1 -W 1 10.0.0.101";
const NEIGH: &str = "ip -o neigh show 10.0.0.101 dev br0";

#[test]
fn a_well_container_is_reported_with_what_it_showed() {
    let fake = well().says(ROUTE, "10.0.0.101 dev br0 src 10.0.0.1\n").says(PING, "").says(NEIGH, "");
    let report = lxc(fake).0.wait_healthy("ct", &expecting(), &Cancel::new()).unwrap();
    assert_eq!((report.init_pid, report.processes), (50, 1));
    assert_eq!(report.login.as_deref(), Some("sshd"));
    assert!(report.findings.is_empty());
}

fn failure(fake: Fake, check: &HealthCheck) -> String {
    format!("{:?}", lxc(fake).0.wait_healthy("ct", check, &Cancel::new()).unwrap_err())
}

#[test]
fn each_failure_names_what_was_expected_and_seen() {
    let base = || info(info(Fake::default(), "s", "RUNNING"), "p", "50").says(HAS_PING, "");
    let half = info(base(), "i", "").says(PS, "50 1 init\n");
    let said = failure(half, &expecting());
    assert!(said.contains("not healthy after 0.0 s"), "{said}");
    assert!(said.contains("seen: none, it boots only half"), "{said}");
    assert!(said.contains("expected address 10.0.0.101 inside; seen: no address"), "{said}");
    let no_login = info(base(), "i", "10.0.0.101").says(PS, "50 1 init\n51 50 cron\n52 50 rc\n");
    let said = failure(no_login.says(ROUTE, "10.0.0.101 via 10.9.9.1 dev br0"), &expecting());
    assert!(said.contains("expected a getty or sshd; seen: cron, rc"), "{said}");
    let silent = well().says(ROUTE, "10.0.0.101 dev br0").on(PING, 1, "").says(NEIGH, "10.0.0.101 dev br0 FAILED");
    let said = failure(silent, &expecting());
    assert!(said.contains("expected 10.0.0.101 to answer; seen: no answer on its link"), "{said}");
    let own = well().says(ROUTE, "local 10.0.0.101 dev lo");
    assert!(failure(own, &expecting()).contains("this host's own address"));
}

#[test]
fn another_machine_with_the_address_is_told_even_if_it_answers() {
    let fake = well().says(ROUTE, "10.0.0.101 dev br0").says(PING, "");
    let fake = fake.says(NEIGH, "10.0.0.101 dev br0 lladdr 00:11:22:33:44:55 REACHABLE");
    let check = HealthCheck { macs: vec!["02:00:00:00:00:01".into()], ..expecting() };
    let said = failure(fake, &check);
    assert!(said.contains("seen: 00:11:22:33:44:55 answers for it"), "{said}");
}

#[test]
fn who_had_the_address_of_a_routed_container_before_does_not_matter() {
    let fake = well().says(ROUTE, "10.0.0.101 dev veth5 src 10.9.9.2 uid 0\n").says(PING, "");
    let fake = fake
        .says("ip -o neigh show 10.0.0.101", "10.0.0.101 dev eth0 lladdr 00:11:22:33:44:55 STALE")
        .says("ip -o neigh show 10.0.0.101 dev veth5", "10.0.0.101 lladdr 02:00:00:00:00:01 REACHABLE");
    let check = HealthCheck { macs: vec!["02:00:00:00:00:01".into()], ..expecting() };
    assert!(lxc(fake).0.wait_healthy("ct", &check, &Cancel::new()).unwrap().findings.is_empty());
}

#[test]
fn what_cannot_be_tried_is_a_finding_and_a_firewall_is_no_failure() {
    let ids = |fake: Fake| -> Vec<String> {
        let report = lxc(fake).0.wait_healthy("ct", &expecting(), &Cancel::new()).unwrap();
        report.findings.into_iter().map(|f| f.id).collect()
    };
    assert_eq!(ids(well().says(ROUTE, "10.0.0.101 via 10.9.9.1 dev br0")), ["address-not-tried"]);
    assert_eq!(ids(well().on(ROUTE, 2, "")), ["address-not-tried"]);
    let dropped = well().says(ROUTE, "10.0.0.101 dev br0").on(PING, 1, "");
    assert_eq!(ids(dropped.says(NEIGH, "10.0.0.101 dev br0 lladdr 02:00:00:00:00:01 STALE")), ["address-drops-ping"]);
    let fake = info(info(info(Fake::default(), "s", "RUNNING"), "p", "50"), "i", "10.0.0.101\n");
    assert_eq!(ids(fake.says(PS, "50 1 init\n51 50 sshd\n").on(HAS_PING, 1, "")), ["address-not-tried"]);
}

#[test]
fn a_container_that_dies_fails_at_once_with_its_console() {
    let fake = info(info(Fake::default(), "s", "RUNNING"), "s", "STOPPED");
    let fake = info(info(fake, "p", "50"), "i", "")
        .says(HAS_PING, "")
        .says(PS, "50 1 init\n51 50 rc\n")
        .file("/var/lib/lxc/ct/config", "lxc.console.logfile = /c\n")
        .says("tail -c 4096 -- /c", "init: panic\n");
    let check =
        HealthCheck { timeout: Duration::from_secs(3600), settle: Duration::from_secs(3600), ..HealthCheck::default() };
    let said = failure(fake, &check);
    assert!(said.contains("expected it to be running; seen: stopped"), "{said}");
    assert!(said.contains("last lines of its console: init: panic"), "{said}");
}

#[test]
fn a_container_that_restarts_in_a_circle_never_settles() {
    let mut fake = info(info(Fake::default(), "s", "RUNNING"), "i", "").says(HAS_PING, "");
    for pid in 50..5000 {
        fake = info(fake, "p", &pid.to_string());
    }
    let ps: String = (50..5000).map(|pid| format!("{pid} 1 init\n{} {pid} rc\n", pid + 10_000)).collect();
    let settle = Duration::from_millis(30);
    let check = HealthCheck { timeout: Duration::from_millis(200), settle, ..HealthCheck::default() };
    let said = failure(fake.says(PS, &ps), &check);
    assert!(said.contains("expected init to run for 0.0 s; seen: 0.0 s"), "{said}");
}

#[test]
fn a_request_to_stop_ends_the_waiting() {
    let cancel = Cancel::new();
    cancel.set();
    let error = lxc(well()).0.wait_healthy("ct", &expecting(), &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
}
