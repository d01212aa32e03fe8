#[path = "../../tests/support/program.rs"]
mod program;

use super::*;
use crate::lxc::config::RootfsPath;
use crate::model::limits::Limits;
use crate::model::target::{CgroupMode, LxcVersion};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

const PID: &str = "4242";
const GROUP: &str = "lxc.payload.ct";

fn dialect(version: &str, cgroup: CgroupMode) -> Dialect {
    Dialect { version: LxcVersion::parse(version).unwrap(), cgroup }
}

fn with(limits: &Limits) -> ContainerConfig {
    ContainerConfig { limits: limits.clone(), ..ContainerConfig::new("ct", RootfsPath::Dir("/x".into())) }
}

fn of(limits: &Limits, dialect: Dialect) -> Option<String> {
    script(&with(limits), dialect)
}

fn everything() -> Limits {
    Limits {
        io_bytes_per_second: Some(1 << 20),
        iops: Some(300),
        io_priority: Some(7),
        shared_memory_pages: Some(2048),
        ..Limits::default()
    }
}

/// Runs a program of this machine; `None` where it is not installed.
#[expect(clippy::disallowed_methods, reason = "the script is tried with the shells of this machine")]
fn run(argv: &[&str], envs: &[(&str, &str)]) -> Option<Output> {
    let mut command = std::process::Command::new(argv[0]);
    command.args(&argv[1..]).env_remove("LXC_PID").env_remove("LXC_NAME").stdin(Stdio::null());
    command.envs(envs.iter().copied()).output().ok()
}

fn shells() -> Vec<Vec<&'static str>> {
    let known = [vec!["sh"], vec!["dash"], vec!["busybox", "sh"], vec!["bash", "--posix"], vec!["ksh"]];
    known
        .into_iter()
        .filter(|s| run(&[s, &["-c", ":"][..]].concat(), &[]).is_some_and(|o| o.status.success()))
        .collect()
}

/// The kernel's files as the hook sees them, and programs that stand for logger and nsenter.
struct Fake {
    dir: tempfile::TempDir,
}

impl Fake {
    fn new(root: &str) -> Fake {
        let fake = Fake { dir: tempfile::tempdir().unwrap() };
        fake.write(&format!("proc/{PID}/mountinfo"), &format!("{root}\n60 59 0:5 / /proc rw - proc proc rw\n"));
        for (pid, space) in [(PID, "ipc:[1]"), ("self", "ipc:[2]")] {
            fs::create_dir_all(fake.path(&format!("proc/{pid}/ns"))).unwrap();
            symlink(space, fake.path(&format!("proc/{pid}/ns/ipc"))).unwrap();
        }
        for pid in [PID, "self"] {
            symlink("user:[9]", fake.path(&format!("proc/{pid}/ns/user"))).unwrap();
        }
        fake.write("proc/sys/kernel/shmall", "18446744073692774399");
        fake.program("logger", "printf '%s\\n' \"$*\" >>\"${0%/*}/../syslog\"");
        fake.program("nsenter", "[ \"$1 $2 $3 $4\" = '-t 4242 -i --' ] || exit 1\nshift 4\nexec \"$@\"");
        fake
    }

    /// Version 2 alone, the container two groups down.
    fn v2(root: &str, files: &[&str]) -> Fake {
        let fake = Fake::new(root);
        let mount = fake.path("cg");
        fake.write(&format!("proc/{PID}/cgroup"), &format!("0::/lxc/{GROUP}\n"));
        let line = format!("31 23 0:28 / {} rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate\n", mount.display());
        fake.write("proc/self/mountinfo", &format!("30 23 0:27 / /dev rw - devtmpfs devtmpfs rw\n{line}"));
        fake.write("cg/cgroup.controllers", "cpuset cpu io memory pids\n");
        for dir in ["cg", "cg/lxc"] {
            fake.write(&format!("{dir}/cgroup.subtree_control"), "");
        }
        fake.group(files, "cg/lxc")
    }

    /// Version 1 with the empty version 2 hierarchy of a hybrid mount. Other hierarchies come first.
    fn v1(root: &str, files: &[&str]) -> Fake {
        let fake = Fake::new(root);
        let at = |name: &str| fake.path(name).display().to_string();
        let cgroup = format!("9:name=systemd:/x\n8:cpu,cpuacct:/y\n7:blkio:/{GROUP}\n0::/{GROUP}\n");
        fake.write(&format!("proc/{PID}/cgroup"), &cgroup);
        let line = |name: &str, kind: &str, options: &str| {
            format!("38 31 0:35 / {} rw,relatime shared:9 - {kind} {kind} rw{options}\n", at(name))
        };
        let mounts = [line("unified", "cgroup2", ""), line("mem", "cgroup", ",memory"), line("cg", "cgroup", ",blkio")];
        fake.write("proc/self/mountinfo", &mounts.concat());
        fake.write("unified/cgroup.controllers", "\n");
        fake.group(&[], "unified").group(files, "cg")
    }

    fn group(self, files: &[&str], above: &str) -> Fake {
        fs::create_dir_all(self.path(above).join(GROUP)).unwrap();
        for file in files {
            self.write(&format!("{above}/{GROUP}/{file}"), "");
        }
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn program(&self, name: &str, text: &str) {
        fs::create_dir_all(self.path("bin")).unwrap();
        program::write_program(&self.path(&format!("bin/{name}")), &format!("#!/bin/sh\n{text}\n"));
    }

    /// Runs the hook in one shell and returns what it said. It must succeed.
    fn start(&self, shell: &[&str], script: &str) -> String {
        let here = |name: &str| self.path(name).display().to_string();
        let text = script.replacen("PROC=/proc\n", &format!("PROC={}\n", here("proc")), 1);
        let text = text.replacen("SYS=/sys\n", &format!("SYS={}\n", here("sys")), 1);
        // By path, because BusyBox's shell prefers its own.
        let text = text.replace("nsenter -t", &here("bin/nsenter -t")).replace("logger -t", &here("bin/logger -t"));
        let text = text.replace("ip neigh", &here("bin/ip neigh")).replace("ip \"$f", &here("bin/ip \"$f"));
        self.write("start-host", &text);
        let path = format!("{}:/usr/bin:/bin", here("bin"));
        let file = here("start-host");
        let argv: Vec<&str> = shell.iter().copied().chain([file.as_str(), "ct", "lxc", "start-host"]).collect();
        let output = run(&argv, &[("LXC_PID", PID), ("LXC_NAME", "ct"), ("PATH", &path)]).unwrap();
        assert_eq!(output.status.code(), Some(0), "{shell:?}");
        assert!(output.stdout.is_empty());
        String::from_utf8(output.stderr).unwrap()
    }
}

const LOOP: &str = "59 40 7:3 / / rw,relatime - ext4 /dev/loop3 rw";
const THROTTLES: [&str; 4] = [
    "blkio.throttle.read_bps_device",
    "blkio.throttle.write_bps_device",
    "blkio.throttle.read_iops_device",
    "blkio.throttle.write_iops_device",
];

fn with_each_shell(test: impl Fn(&[&str])) {
    let shells = shells();
    assert!(!shells.is_empty());
    for shell in &shells {
        test(shell);
    }
}

#[test]
fn only_what_is_asked_for_and_only_where_lxc_has_the_hook() {
    let v1 = dialect("5.0", CgroupMode::V1);
    assert_eq!(of(&Limits::default(), v1), None);
    let zero =
        Limits { io_bytes_per_second: Some(0), iops: Some(0), shared_memory_pages: Some(0), ..Limits::default() };
    assert_eq!(of(&zero, v1), None);
    for same in [4, 8, u64::MAX] {
        assert_eq!(of(&Limits { io_priority: Some(same), ..Limits::default() }, v1), None, "{same}");
    }
    assert_eq!(of(&everything(), dialect("2.1", CgroupMode::V1)), None);
    assert!(of(&everything(), dialect("3.0", CgroupMode::V1)).is_some());
    let text = of(&Limits { iops: Some(7), ..Limits::default() }, v1).unwrap();
    let settings = "\nBYTES_PER_SECOND=\nOPERATIONS_PER_SECOND=7\nWEIGHT=\nWEIGHT_CFQ=\nSHARED_MEMORY_PAGES=\n";
    assert!(text.contains(settings) && text.contains("\nVERSIONS=1\n") && !text.contains(MARKER), "{text}");
}

#[test]
fn every_shell_and_shellcheck_can_read_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("start-host").display().to_string();
    for mode in [CgroupMode::V1, CgroupMode::V2, CgroupMode::Both] {
        fs::write(&file, of(&everything(), dialect("5.0", mode)).unwrap()).unwrap();
        with_each_shell(|shell| {
            let output = run(&[shell, &["-n", &file]].concat(), &[]).unwrap();
            assert!(output.status.success(), "{shell:?}: {}", String::from_utf8_lossy(&output.stderr));
        });
        if let Some(output) = run(&["shellcheck", "-s", "sh", &file], &[]) {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        }
    }
}

#[test]
fn version_2_names_the_device_of_the_root() {
    let text = of(&everything(), dialect("5.0", CgroupMode::V2)).unwrap();
    with_each_shell(|shell| {
        let fake = Fake::v2(LOOP, &["io.max", "io.weight", "io.bfq.weight"]);
        assert_eq!(fake.start(shell, &text), "");
        let file = |name: &str| fake.read(&format!("cg/lxc/{GROUP}/{name}"));
        assert_eq!(file("io.max"), "7:3 rbps=1048576 wbps=1048576 riops=300 wiops=300\n", "{shell:?}");
        assert_eq!((file("io.weight"), file("io.bfq.weight")), ("128\n".into(), "128\n".into()));
        assert_eq!(fake.read("proc/sys/kernel/shmall"), "2048\n");
        assert_eq!(fake.read("cg/cgroup.subtree_control"), "", "the controller is there already");
    });
}

#[test]
fn version_2_gets_the_controller_when_it_is_not_there() {
    let limits = Limits { iops: Some(5), ..Limits::default() };
    let text = of(&limits, dialect("5.0", CgroupMode::Both)).unwrap();
    with_each_shell(|shell| {
        let fake = Fake::v2(LOOP, &[]);
        fake.start(shell, &text);
        for dir in ["cg", "cg/lxc"] {
            assert_eq!(fake.read(&format!("{dir}/cgroup.subtree_control")), "+io\n", "{shell:?}: {dir}");
        }
        assert_eq!(fake.read(&format!("cg/lxc/{GROUP}/io.max")), "7:3 riops=5 wiops=5\n");

        let fake = Fake::v2(LOOP, &[]);
        fs::remove_file(fake.path("cg/lxc/cgroup.subtree_control")).unwrap();
        symlink("/dev/full", fake.path("cg/lxc/cgroup.subtree_control")).unwrap();
        let said = fake.start(shell, &text);
        assert!(said.contains("start-host ct: the io controller cannot be enabled in "), "{shell:?}: {said}");
        assert!(said.contains("cg/lxc/cgroup.subtree_control"), "{said}");
    });
}

#[test]
fn version_1_and_its_own_weights() {
    for mode in [CgroupMode::V1, CgroupMode::Both] {
        let text = of(&everything(), dialect("5.0", mode)).unwrap();
        with_each_shell(|shell| {
            let fake = Fake::v1(LOOP, &[&THROTTLES[..], &["blkio.weight", "blkio.bfq.weight"]].concat());
            assert_eq!(fake.start(shell, &text), "", "{shell:?}");
            let file = |name: &str| fake.read(&format!("cg/{GROUP}/{name}"));
            let want = ["7:3 1048576\n", "7:3 1048576\n", "7:3 300\n", "7:3 300\n"];
            assert_eq!(THROTTLES.map(file), want, "{shell:?}");
            assert_eq!((file("blkio.weight"), file("blkio.bfq.weight")), ("640\n".into(), "128\n".into()));
        });
    }
}

#[test]
fn what_is_missing_is_said_and_the_rest_is_set() {
    let text = of(&everything(), dialect("5.0", CgroupMode::V1)).unwrap();
    with_each_shell(|shell| {
        let fake = Fake::v1(LOOP, &THROTTLES[1..]);
        symlink("/dev/full", fake.path(&format!("cg/{GROUP}/{}", THROTTLES[0]))).unwrap();
        let said = fake.start(shell, &text);
        let lines: Vec<&str> = said.lines().collect();
        assert_eq!(lines.len(), 2, "{shell:?}: {said}");
        assert!(lines[0].starts_with("ovz2lxc start-host ct: its I/O priority is not set"), "{said}");
        assert!(lines[1].contains("refuses \"7:3 1048576\" in "), "{said}");
        assert_eq!(fake.read(&format!("cg/{GROUP}/{}", THROTTLES[3])), "7:3 300\n");
        assert!(!fake.path(&format!("cg/{GROUP}/blkio.weight")).exists());
        assert_eq!(fake.read("syslog").lines().count(), 2);
        assert!(fake.read("syslog").starts_with("-t ovz2lxc -- start-host ct: its I/O priority"));
    });
}

#[test]
fn a_partition_is_limited_through_its_disk() {
    let limits = Limits { io_bytes_per_second: Some(9), ..Limits::default() };
    let text = of(&limits, dialect("5.0", CgroupMode::V2)).unwrap();
    with_each_shell(|shell| {
        let fake = Fake::v2("59 40 8:1 / / rw - ext4 /dev/sda1 rw", &["io.max"]);
        fake.write("sys/devices/sda/dev", "8:0\n");
        fake.write("sys/devices/sda/sda1/partition", "1\n");
        fs::create_dir_all(fake.path("sys/dev/block")).unwrap();
        symlink("../../devices/sda/sda1", fake.path("sys/dev/block/8:1")).unwrap();
        assert_eq!(fake.start(shell, &text), "");
        assert_eq!(fake.read(&format!("cg/lxc/{GROUP}/io.max")), "8:0 rbps=9 wbps=9\n", "{shell:?}");
    });
}

#[test]
fn a_root_without_a_device_is_said() {
    let text = of(&everything(), dialect("5.0", CgroupMode::V2)).unwrap();
    with_each_shell(|shell| {
        for (root, why) in
            [("59 40 0:44 / / rw - btrfs /dev/vdb rw", "no single block device"), ("5 4 7:1 / /x rw - a b rw", "seen")]
        {
            let fake = Fake::v2(root, &["io.max", "io.weight"]);
            let said = fake.start(shell, &text);
            assert!(said.contains("I/O is not limited") && said.contains(why), "{shell:?}: {said}");
            assert_eq!(fake.read(&format!("cg/lxc/{GROUP}/io.max")), "");
            assert_eq!(fake.read(&format!("cg/lxc/{GROUP}/io.weight")), "128\n");
        }
    });
}

#[test]
fn a_hierarchy_mounted_from_a_group_on() {
    let text = of(&everything(), dialect("5.0", CgroupMode::V2)).unwrap();
    with_each_shell(|shell| {
        let fake = Fake::v2(LOOP, &["io.max", "io.weight"]);
        fake.write(&format!("proc/{PID}/cgroup"), &format!("0::/machine/lxc/{GROUP}\n"));
        let mounts = fake.read("proc/self/mountinfo").replace(" 0:28 / ", " 0:28 /machine ");
        fake.write("proc/self/mountinfo", &mounts);
        assert_eq!(fake.start(shell, &text), "", "{shell:?}");
        assert!(fake.read(&format!("cg/lxc/{GROUP}/io.max")).starts_with("7:3 rbps"));
    });
}

fn routed(uplink: Option<&str>) -> ContainerConfig {
    let mut nic = Veth::new("eth0", "00:16:3e:00:00:65", Link::Router { uplink: uplink.map(str::to_owned) });
    nic.addresses = ["10.0.0.7/32", "192.0.2.9/32", "fd00::7/128"].map(|a| a.parse().unwrap()).to_vec();
    nic.gateway4 = Some("169.254.0.1".parse().unwrap());
    nic.gateway6 = Some("fe80::1".parse().unwrap());
    ContainerConfig { nics: vec![nic], ..with(&Limits::default()) }
}

#[test]
fn a_bridged_container_needs_no_hook() {
    let nic = Veth::new("eth0", "00:16:3e:00:00:65", Link::bridge("br0"));
    let config = ContainerConfig { nics: vec![nic], ..with(&Limits::default()) };
    assert_eq!(script(&config, dialect("5.0", CgroupMode::V1)), None);
}

#[test]
fn a_gateway_of_the_network_is_not_taken_from_it() {
    let mut config = routed(None);
    config.nics[0].gateway4 = Some("10.0.0.1".parse().unwrap());
    config.nics[0].gateway6 = Some("fd00::1".parse().unwrap());
    let text = script(&config, dialect("5.0", CgroupMode::V1)).unwrap();
    assert!(text.contains("\nROUTED='10.0.0.7,, 192.0.2.9,, fd00::7,,'\n"), "{text}");
}

#[test]
fn a_routed_interface_is_settled() {
    let text = script(&routed(Some("up$(x)")), dialect("5.0", CgroupMode::V1)).unwrap();
    let ip = "case $* in
        '-4 route show 10.0.0.7') echo '10.0.0.7 dev vethA scope link ' ;;
        '-6 route show fd00::7') echo 'fd00::7 dev vethA metric 1024 pref medium' ;;
        *route*) ;;
        *) echo \"$*\" >>\"${0%/*}/../done\" ;;
        esac";
    with_each_shell(|shell| {
        let fake = Fake::v1(LOOP, &[]);
        fake.program("ip", ip);
        let said = fake.start(shell, &text);
        assert_eq!(said, "ovz2lxc start-host ct: the host has no route to 192.0.2.9\n", "{shell:?}");
        let want = "-4 addr replace 169.254.0.1/32 dev vethA scope host\n\
                    neigh replace proxy 10.0.0.7 dev up$(x)\n\
                    -6 addr replace fe80::1/128 dev vethA nodad\n\
                    neigh replace proxy fd00::7 dev up$(x)\n";
        assert_eq!(fake.read("done"), want, "{shell:?}");

        fake.program("ip", "case $* in *route*) echo x dev vethA ;; *) exit 2 ;; esac");
        let said = fake.start(shell, &text);
        assert_eq!(said.lines().count(), 6, "{shell:?}: {said}");
        assert!(said.contains("vethA does not get the address 169.254.0.1, the gateway of 10.0.0.7"), "{said}");
        assert!(said.contains("up$(x) does not answer for fd00::7"), "{said}");
    });
}

#[test]
fn a_name_space_is_written_by_its_own_root() {
    let text =
        of(&Limits { shared_memory_pages: Some(77), ..Limits::default() }, dialect("5.0", CgroupMode::V1)).unwrap();
    with_each_shell(|shell| {
        let fake = Fake::v1(LOOP, &[]);
        fs::remove_file(fake.path("proc/self/ns/user")).unwrap();
        symlink("user:[1]", fake.path("proc/self/ns/user")).unwrap();
        fake.program("nsenter", "[ \"$1 $2 $3 $4 $5\" = '-t 4242 -U -i --' ] || exit 1\nshift 5\nexec \"$@\"");
        assert_eq!(fake.start(shell, &text), "", "{shell:?}");
        assert_eq!(fake.read("proc/sys/kernel/shmall"), "77\n");
    });
}

#[test]
fn it_never_fails_and_never_limits_the_host() {
    let text = of(&everything(), dialect("5.0", CgroupMode::Both)).unwrap();
    with_each_shell(|shell| {
        let fake = Fake::v1(LOOP, &THROTTLES);
        fs::remove_file(fake.path("proc/self/ns/ipc")).unwrap();
        symlink("ipc:[1]", fake.path("proc/self/ns/ipc")).unwrap();
        let said = fake.start(shell, &text);
        assert!(said.contains("no IPC name space of its own"), "{shell:?}: {said}");
        assert_eq!(fake.read("proc/sys/kernel/shmall"), "18446744073692774399");

        // The container died meanwhile; no hierarchy is mounted; LXC says no process at all.
        fs::remove_file(fake.path("proc/self/mountinfo")).unwrap();
        assert!(fake.start(shell, &text).contains("in no mounted hierarchy"));
        fs::remove_dir_all(fake.path(&format!("proc/{PID}"))).unwrap();
        assert!(fake.start(shell, &text).contains("LXC names no process"));
        let file = fake.path("start-host");
        let output = run(&[shell, &[file.to_str().unwrap()]].concat(), &[]).unwrap();
        assert!(output.status.success());
        assert!(String::from_utf8_lossy(&output.stderr).contains("start-host ?: no limits are set"));
    });
}

#[test]
fn the_script_stands_where_shellcheck_of_the_repository_reads_it() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lxc/hook.sh");
    assert_eq!(fs::read_to_string(file).unwrap().matches(MARKER).count(), 1);
}
