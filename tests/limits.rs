//! Limits of VE configurations in force: from the file's text to a container that runs under the installed LXC, and back
//! from the control groups as the container and the host see them. The numbers are worked out by hand.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ovz2lxc::model::target::CgroupMode;
use ovz2lxc::pipeline::configure::Purpose;
use std::path::Path;
use std::time::{Duration, Instant};
use support::busybox::{self, Sandbox};
use support::chain::{self, Made, Ve};

/// A file of the container's control group and what it must hold: in version 1 with its controller, and in version 2.
struct Want(&'static str, &'static str, &'static str, &'static str, &'static str);

const NO_LIMIT: &str = "9223372036854771712";

/// Starts the container of a VE configuration on an image.
fn run(sandbox: &Sandbox, short: &str, ve: &Ve<'_>) -> Made {
    let made = chain::make(sandbox, short, ve);
    sandbox.image(&sandbox.tree(&made.ct), &made.volume.path, 16);
    made.start(sandbox);
    made
}

/// Reads a file of the container's own control group from within it.
fn from_inside(sandbox: &Sandbox, ct: &str, controller: &str, file: &str) -> String {
    let (kind, options) = match sandbox.target().cgroup {
        CgroupMode::V2 => ("cgroup2", String::new()),
        _ => ("cgroup", format!("-o {controller}")),
    };
    let at = format!("/tmp/{controller}");
    let script = format!("mkdir {at}; mount -t {kind} {options} none {at} && cat {at}/{file}; umount {at}; rm -r {at}");
    sandbox.inside_unconfined(ct, &script)
}

fn check(sandbox: &Sandbox, ct: &str, wants: &[Want]) {
    let v2 = sandbox.target().cgroup == CgroupMode::V2;
    for Want(controller, file1, value1, file2, value2) in wants {
        let (file, value) = if v2 { (file2, value2) } else { (file1, value1) };
        if file.is_empty() {
            continue;
        }
        assert_eq!(from_inside(sandbox, ct, controller, file).trim(), *value, "{file} inside");
        let path = sandbox.control_file(ct, controller, file);
        assert_eq!(std::fs::read_to_string(&path).unwrap().trim(), *value, "{}", path.display());
    }
}

/// Tries it with the keys of this host, and with both families, of which LXC ignores one.
fn both(test: &str, short: &str, ve: Ve<'_>, wants: &[Want], more: impl Fn(&Sandbox, &Made)) {
    let Some(sandbox) = busybox::sandbox(test, short, &[]) else { return };
    let swap = sandbox.target().swap_accounting;
    let mut ve = ve;
    for (cgroup, name) in [(None, format!("{short}a")), (Some(CgroupMode::Both), format!("{short}b"))] {
        ve.cgroup = cgroup;
        let made = run(&sandbox, &name, &ve);
        let known: Vec<&Want> = wants.iter().filter(|w| swap || !w.1.contains("memsw")).collect();
        for want in known {
            check(&sandbox, &made.ct, std::slice::from_ref(want));
        }
        more(&sandbox, &made);
        sandbox.lxc.kill(&made.ct).unwrap();
    }
}

#[test]
fn memory_swap_and_processes() {
    let text = "PHYSPAGES=\"0:256M\"\nSWAPPAGES=\"0:512M\"\nNUMPROC=\"200:200\"\nONBOOT=\"yes\"\n";
    let wants = [
        // 256 * 1024 * 1024, and with 512 MiB of swap 768 MiB.
        Want("memory", "memory.limit_in_bytes", "268435456", "memory.max", "268435456"),
        Want("memory", "memory.memsw.limit_in_bytes", "805306368", "memory.swap.max", "536870912"),
        Want("pids", "pids.max", "200", "pids.max", "200"),
    ];
    both("limits::memory_swap_and_processes", "lim1", Ve::new(text), &wants, |sandbox, made| {
        // The limit is one: the 200th process is refused.
        let forked = sandbox
            .inside(&made.ct, "i=0; while [ $i -lt 250 ]; do sleep 60 >/dev/null 2>&1 & i=$((i+1)); done; echo all");
        assert!(forked.contains("can't fork"), "{forked}");
    });
}

#[test]
fn pages_and_no_swap_at_all() {
    // 16384 pages of 4 KiB; the barrier does not count; no suffix means pages.
    let text = "PHYSPAGES=\"1000:16384\"\nSWAPPAGES=\"0:0\"\nNUMPROC=\"unlimited\"\n";
    let wants = [
        Want("memory", "memory.limit_in_bytes", "67108864", "memory.max", "67108864"),
        Want("pids", "pids.max", "max", "pids.max", "max"),
    ];
    both("limits::pages_and_no_swap_at_all", "lim2", Ve::new(text), &wants, |_, _| ());
}

#[test]
fn an_old_configuration_limits_memory_only_when_asked_to() {
    // No PHYSPAGES limit: 65536 pages of private memory are 256 MiB, but only an approximation.
    let text =
        "PHYSPAGES=\"0:unlimited\"\nPRIVVMPAGES=\"49152:65536\"\nSWAPPAGES=\"0:1G\"\nVMGUARPAGES=\"8192:unlimited\"\n";
    let unlimited = [Want("memory", "memory.limit_in_bytes", NO_LIMIT, "memory.max", "max")];
    both("limits::an_old_configuration_limits_memory_only_when_asked_to", "lim3", Ve::new(text), &unlimited, |_, _| ());
    let asked = Ve { approximate: &["PRIVVMPAGES", "VMGUARPAGES"], ..Ve::new(text) };
    let limited = [
        Want("memory", "memory.limit_in_bytes", "268435456", "memory.max", "268435456"),
        // 8192 pages. Version 1 has nothing for it.
        Want("memory", "", "", "memory.low", "33554432"),
    ];
    both("limits::an_old_configuration_limits_memory_only_when_asked_to", "lim4", asked, &limited, |_, _| ());
}

#[test]
fn weight_quota_and_pinning() {
    let text = "CPUUNITS=\"2000\"\nCPULIMIT=\"50\"\nCPUMASK=\"0\"\nNODEMASK=\"0\"\n";
    let wants = [
        Want("cpu", "cpu.shares", "2048", "cpu.weight", "200"),
        Want("cpu", "cpu.cfs_quota_us", "50000", "cpu.max", "50000 100000"),
        Want("cpu", "cpu.cfs_period_us", "100000", "", ""),
        Want("cpuset", "cpuset.cpus", "0", "cpuset.cpus", "0"),
        Want("cpuset", "cpuset.mems", "0", "cpuset.mems", "0"),
    ];
    both("limits::weight_quota_and_pinning", "lim5", Ve::new(text), &wants, |_, _| ());
}

#[test]
fn a_share_of_all_cpus_and_virtual_cpus() {
    // A quarter of 8 CPUs are two, but one virtual CPU is one; 8 units are the least.
    let text = "CPULIMIT=\"25%\"\nCPUS=\"1\"\nCPUUNITS=\"8\"\nCPUMASK=\"all\"\n";
    let wants = [
        Want("cpu", "cpu.shares", "8", "cpu.weight", "1"),
        Want("cpu", "cpu.cfs_quota_us", "100000", "cpu.max", "100000 100000"),
    ];
    let ve = Ve { node_cpus: 8, ..Ve::new(text) };
    both("limits::a_share_of_all_cpus_and_virtual_cpus", "lim6", ve, &wants, |_, _| ());
}

#[test]
fn what_this_host_has_not_is_left_out() {
    let text = "CPUMASK=\"0-4095\"\nNODEMASK=\"1023\"\nPHYSPAGES=\"0:64M\"\nPHYSPAGES=\"0:32M\"\n\
                NUMPROC=\"10K\"\nCPULIMIT=\"70\"\nCPULIMIT=\"30\"\n";
    let wants = [
        // Of two lines the last counts for memory and the first for CPULIMIT; a suffix on items makes them no number.
        Want("memory", "memory.limit_in_bytes", "33554432", "memory.max", "33554432"),
        Want("cpu", "cpu.cfs_quota_us", "70000", "cpu.max", "70000 100000"),
        Want("pids", "pids.max", "max", "pids.max", "max"),
    ];
    both("limits::what_this_host_has_not_is_left_out", "lim7", Ve::new(text), &wants, |sandbox, made| {
        assert!(made.found("cpu-mask-not-on-target"), "{:?}", made.rendered.findings);
        let cpus = std::fs::read_to_string(sandbox.control_file(&made.ct, "cpuset", "cpuset.cpus")).unwrap();
        assert!(!cpus.contains("4095"), "{cpus}");
    });
}

/// The number of the device that the container's root is on, as the kernel counts it in the container's mounts.
fn root_device(sandbox: &Sandbox, ct: &str) -> String {
    let pid = sandbox.lxc.init_pid(ct).unwrap().unwrap();
    let mounts = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap();
    let root = mounts.lines().map(|l| l.split(' ').collect::<Vec<_>>()).find(|f| f[4] == "/").unwrap();
    root[2].to_owned()
}

fn check_throttle(sandbox: &Sandbox, ct: &str, bytes: &str, operations: &str) {
    let device = root_device(sandbox, ct);
    assert!(device.starts_with("7:"), "{device}");
    if sandbox.target().cgroup == CgroupMode::V2 {
        let line = format!("{device} rbps={bytes} wbps={bytes} riops={operations} wiops={operations}");
        assert_eq!(from_inside(sandbox, ct, "io", "io.max").trim(), line);
        return;
    }
    for (what, value) in [("bps", bytes), ("iops", operations)] {
        for way in ["read", "write"] {
            let file = format!("blkio.throttle.{way}_{what}_device");
            let want = if value == "max" { String::new() } else { format!("{device} {value}") };
            assert_eq!(from_inside(sandbox, ct, "blkio", &file).trim(), want, "{file} inside");
            let path = sandbox.control_file(ct, "blkio", &file);
            assert_eq!(std::fs::read_to_string(path).unwrap().trim(), want, "{file}");
        }
    }
}

#[test]
fn io_limits_follow_the_device() {
    let text = "IOLIMIT=\"20M\"\nIOPSLIMIT=\"300\"\nIOPRIO=\"7\"\n";
    both("limits::io_limits_follow_the_device", "lim8", Ve::new(text), &[], |sandbox, made| {
        check_throttle(sandbox, &made.ct, "20971520", "300");
        let first = root_device(sandbox, &made.ct);
        sandbox.lxc.kill(&made.ct).unwrap();
        // Another image takes the loop device meanwhile.
        let other = sandbox.dir.path().join("other.img");
        std::fs::write(&other, vec![0; 1 << 20]).unwrap();
        let taken = busybox::sh(&sandbox.host.local, &format!("losetup -f --show {}", other.display()));
        let taken = Detach(taken.trim().to_owned());
        made.start(sandbox);
        check_throttle(sandbox, &made.ct, "20971520", "300");
        if taken.0 == format!("/dev/loop{}", first.trim_start_matches("7:")) {
            assert_ne!(root_device(sandbox, &made.ct), first);
        }
    });
}

/// A loop device of the test's own.
struct Detach(String);

impl Drop for Detach {
    fn drop(&mut self) {
        let command = ovz2lxc::host::Command::write("losetup").args(["-d", &self.0]);
        let _ = ovz2lxc::host::Host::run(&ovz2lxc::host::Local::new(), &command);
    }
}

#[test]
fn an_io_limit_is_one() {
    let Some(sandbox) = busybox::sandbox("limits::an_io_limit_is_one", "lim9", &[]) else { return };
    let made = chain::make(&sandbox, "lim9", &Ve::new("IOLIMIT=\"1M\"\n"));
    let tree = sandbox.tree(&made.ct);
    std::fs::write(tree.join("root/big"), vec![7; 4 << 20]).unwrap();
    sandbox.image(&tree, &made.volume.path, 24);
    made.start(&sandbox);
    check_throttle(&sandbox, &made.ct, "1048576", "max");
    let begun = Instant::now();
    assert_eq!(sandbox.inside(&made.ct, "cat /root/big >/dev/null"), "");
    // 4 MiB at 1 MiB a second; the first slice is free.
    assert!(begun.elapsed() > Duration::from_millis(2500), "{:?}", begun.elapsed());
}

#[test]
fn terminals_locked_memory_and_files() {
    let text = "NUMPTY=\"16:16\"\nLOCKEDPAGES=\"256:256\"\nNUMFILE=\"512:512\"\n";
    let ve = Ve { approximate: &["LOCKEDPAGES", "NUMFILE"], ..Ve::new(text) };
    both("limits::terminals_locked_memory_and_files", "lim10", ve, &[], |sandbox, made| {
        let mounts = sandbox.inside(&made.ct, "grep ' /dev/pts ' /proc/mounts");
        // LXC adds the four consoles and itself.
        let max: u32 = mounts.split("max=").nth(1).unwrap().split([',', ' ']).next().unwrap().parse().unwrap();
        assert!((16..=21).contains(&max), "{mounts}");
        let limits = sandbox.inside(&made.ct, "cat /proc/1/limits");
        let of = |name: &str| {
            let line = limits.lines().find(|l| l.starts_with(name)).unwrap();
            line[name.len()..].split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>()
        };
        // 256 pages of 4 KiB.
        assert_eq!(of("Max locked memory"), ["1048576", "1048576"], "{limits}");
        assert_eq!(of("Max open files"), ["512", "512"], "{limits}");
    });
}

#[test]
fn shared_memory_in_pages() {
    let text = "SHMPAGES=\"2048:2048\"\n";
    let host = std::fs::read_to_string("/proc/sys/kernel/shmall").unwrap();
    let ve = Ve { approximate: &["SHMPAGES"], ..Ve::new(text) };
    both("limits::shared_memory_in_pages", "lim11", ve, &[], |sandbox, made| {
        assert_eq!(sandbox.inside(&made.ct, "cat /proc/sys/kernel/shmall").trim(), "2048");
    });
    assert_eq!(std::fs::read_to_string("/proc/sys/kernel/shmall").unwrap(), host);
}

#[test]
fn devices_that_may_be_opened() {
    // 1:11 is the kernel's log, 10:237 hands out loop devices.
    let text = "DEVICES=\"c:1:11:r \"\nDEVNODES=\"net/tun:rw \"\n";
    both("limits::devices_that_may_be_opened", "lim12", Ve::new(text), &[], |sandbox, made| {
        let script = "mknod /tmp/kmsg c 1 11; (true </tmp/kmsg) && echo may read
            (true >>/tmp/kmsg) && echo may write
            mknod /tmp/control c 10 237; (true </tmp/control) && echo may make devices
            (true >/dev/null) && echo null; rm /tmp/kmsg /tmp/control";
        let said = sandbox.inside(&made.ct, script);
        assert!(said.contains("may read") && said.contains("null\n"), "{said}");
        assert!(!said.contains("may write") && !said.contains("may make devices"), "{said}");
        assert_eq!(said.matches("Operation not permitted").count(), 2, "{said}");
        if Path::new("/dev/net/tun").exists() {
            let said = sandbox.inside(&made.ct, "stat -c %t:%T /dev/net/tun; (true <>/dev/net/tun) && echo opened");
            assert_eq!(said, "a:c8\nopened\n");
        }
    });
    let Some(sandbox) = busybox::sandbox("limits::devices_that_may_be_opened", "lim13", &[]) else { return };
    let made = run(&sandbox, "lim13", &Ve::new("ONBOOT=\"no\"\n"));
    let said = sandbox.inside(&made.ct, "ls /dev/net; mknod /tmp/tun c 10 200; (true <>/tmp/tun) && echo opened");
    assert!(!said.contains("opened") && said.contains("Operation not permitted"), "{said}");
}

#[test]
fn capabilities_that_are_taken_and_left() {
    let text = "CAPABILITY=\"SYS_NICE:off NET_RAW:off SYS_TIME:on VE_ADMIN:on \"\n";
    both("limits::capabilities_that_are_taken_and_left", "lim14", Ve::new(text), &[], |sandbox, made| {
        let mask = |status: &str| {
            let line = status.lines().find_map(|l| l.strip_prefix("CapBnd:")).unwrap();
            u64::from_str_radix(line.trim(), 16).unwrap()
        };
        let host = mask(&std::fs::read_to_string("/proc/self/status").unwrap());
        let inside = mask(&sandbox.inside(&made.ct, "cat /proc/1/status"));
        // mac_override 32, mac_admin 33, sys_module 16, sys_rawio 17; sys_nice 23, net_raw 13. sys_time 25 stays.
        let taken = 1 << 32 | 1 << 33 | 1 << 16 | 1 << 17 | 1 << 23 | 1 << 13;
        assert_eq!(inside, host & !taken, "{inside:x} of {host:x}");
    });
}

#[test]
fn no_sysfs_where_it_was_off() {
    both("limits::no_sysfs_where_it_was_off", "lim15", Ve::new("FEATURES=\"sysfs:off \"\n"), &[], |sandbox, made| {
        let mounts = sandbox.inside(&made.ct, "cat /proc/mounts");
        assert!(mounts.contains(" /proc ") && !mounts.contains(" /sys "), "{mounts}");
    });
    both("limits::no_sysfs_where_it_was_off", "lim16", Ve::new("FEATURES=\"nfs:off \"\n"), &[], |sandbox, made| {
        assert!(sandbox.inside(&made.ct, "cat /proc/mounts").contains(" /sys "));
    });
}

#[test]
fn higher_orders_start_earlier_and_none_last() {
    let Some(sandbox) =
        busybox::sandbox("limits::higher_orders_start_earlier_and_none_last", "lim17", &["lxc-autostart"])
    else {
        return;
    };
    let mut names = Vec::new();
    for (short, text) in [
        ("ordlow", "ONBOOT=\"yes\"\nBOOTORDER=\"5\"\n"),
        ("ordnone", "ONBOOT=\"yes\"\n"),
        ("ordhigh", "ONBOOT=\"yes\"\nBOOTORDER=\"20\"\n"),
        ("ordhuge", "ONBOOT=\"yes\"\nBOOTORDER=\"9223372036854775807\"\n"),
        ("ordoff", "ONBOOT=\"no\"\nBOOTORDER=\"50\"\n"),
    ] {
        // Nothing starts with the host while it is being moved.
        let moved = chain::make(&sandbox, short, &Ve::new(text));
        assert!(moved.rendered.text.contains("\nlxc.start.auto = 0\n"), "{}", moved.rendered.text);
        let made = chain::make(&sandbox, short, &Ve { purpose: Purpose::Conversion, ..Ve::new(text) });
        std::fs::create_dir_all(sandbox.lxc.path().join(&made.ct)).unwrap();
        std::fs::write(sandbox.lxc.config_path(&made.ct), made.rendered.text).unwrap();
        names.push(made.ct);
    }
    let listed = sandbox.sh(&format!("lxc-autostart -L -P {}", sandbox.lxc.path().display()));
    let listed: Vec<&str> = listed.lines().map(|l| l.split_whitespace().next().unwrap()).collect();
    assert_eq!(listed, [&names[3], &names[2], &names[0], &names[1]]);
}
