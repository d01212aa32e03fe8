//! Containers in a user name space: root inside is nobody outside. The tree keeps its ids and is mounted with them mapped,
//! or it is given to the range's ids.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use ovz2lxc::cancel::Cancel;
use ovz2lxc::host::{Command, Host};
use ovz2lxc::model::guest::Init;
use ovz2lxc::model::settings::{IdRange, Settings};
use ovz2lxc::model::target::{CgroupMode, Target};
use ovz2lxc::model::volume::StorageKind;
use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::rootfs::shift::{Notes, shift};
use ovz2lxc::runtime::StopKind;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};
use support::busybox::{self, Sandbox};
use support::chain::{self, Made, Ve};

const RANGE: IdRange = IdRange { base: 1_200_000, count: 65_536 };

fn unprivileged(storage: StorageKind, text: &str) -> Ve<'_> {
    let settings = Settings { unprivileged: true, id_range: Some(RANGE), ..Settings::default() };
    Ve { settings, storage: Some(storage), ..Ve::new(text) }
}

/// A file of a user, and a program that becomes root.
fn furnish(tree: &Path) {
    std::fs::write(tree.join("root/mine"), "").unwrap();
    std::os::unix::fs::chown(tree.join("root/mine"), Some(1000), Some(100)).unwrap();
    std::fs::copy("/bin/busybox", tree.join("bin/asroot")).unwrap();
    std::fs::set_permissions(tree.join("bin/asroot"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    std::fs::set_permissions(tree.join("tmp"), std::fs::Permissions::from_mode(0o1777)).unwrap();
}

/// The owner of the container's init on this host.
fn owner_of_init(sandbox: &Sandbox, ct: &str) -> (u32, u32) {
    let pid = sandbox.lxc.init_pid(ct).unwrap().unwrap();
    let about = std::fs::metadata(format!("/proc/{pid}")).unwrap();
    (about.uid(), about.gid())
}

/// What holds inside, wherever the tree's ids are mapped.
fn check_inside(sandbox: &Sandbox, made: &Made) {
    assert_eq!(owner_of_init(sandbox, &made.ct), (RANGE.base, RANGE.base));
    let inside = |script: &str| sandbox.inside(&made.ct, script);
    assert_eq!(
        inside("id -u; stat -c %u:%g /root/mine / /bin/asroot; stat -c %a /bin/asroot"),
        "0\n1000:100\n0:0\n0:0\n4755\n"
    );
    let map: Vec<String> = inside("cat /proc/self/uid_map").split_whitespace().map(str::to_owned).collect();
    assert_eq!(map, ["0", "1200000", "65536"]);
    // It has its capabilities over what is its own, and none over what is the host's.
    assert_eq!(inside("touch /root/new && chown 7:8 /root/new && stat -c %u:%g /root/new"), "7:8\n");
    assert!(inside("mknod /tmp/null c 1 3").contains("Operation not permitted"));
    let mounted = sandbox.inside_unconfined(&made.ct, "mount -t tmpfs none /mnt && umount /mnt && echo mounted");
    assert_eq!(mounted, "mounted\n");
    assert!(inside("(true <>/dev/null) && cat /dev/null && echo usable").contains("usable"));
    assert_eq!(inside("stat -L -c %u /dev/tty1"), "0\n");
}

#[test]
fn a_directory_is_mounted_with_its_ids_mapped() {
    let test = "unprivileged::a_directory_is_mounted_with_its_ids_mapped";
    let Some(sandbox) = busybox::sandbox(test, "idm1", &[]) else { return };
    let made = chain::make(&sandbox, "idm1", &unprivileged(StorageKind::Dir, "PHYSPAGES=\"0:64M\"\n"));
    if !made.rendered.text.contains("lxc.rootfs.options = idmap=container\n") {
        return support::skip(test, "LXC 5.0 and Linux 5.12 mount directories with their ids mapped");
    }
    let tree = sandbox.tree(&made.ct);
    furnish(&tree);
    // Never a directory of the host's own file system.
    let image = sandbox.dir.path().join("idm1.img");
    sandbox.image(&tree, &image, 16);
    sandbox.mount(&image, &made.volume.path);
    made.start(&sandbox);
    check_inside(&sandbox, &made);
    // On the disk the ids are the container's own, whoever runs it next.
    let on_disk = |name: &str| std::fs::metadata(made.volume.path.join(name)).map(|m| (m.uid(), m.gid())).unwrap();
    assert_eq!((on_disk("root/mine"), on_disk("root/new"), on_disk("bin/asroot")), ((1000, 100), (7, 8), (0, 0)));
    assert_eq!(sandbox.lxc.stop(&made.ct, Duration::from_secs(30)).unwrap(), StopKind::Clean);
}

/// Makes the container's image of a tree that is given to the range's ids, as a migration does with the image itself.
/// Nothing is mounted for it: mounts of one test are in the name spaces of others, and there they stay.
fn shifted(sandbox: &Sandbox, made: &Made, tree: &Path, mib: u32) {
    let dir = tempfile::tempdir().unwrap();
    let (mut notes, before) = Notes::open(&dir.path().join("notes")).unwrap();
    shift(&Rootfs::open(tree).unwrap(), RANGE, before, &mut notes, &Cancel::new()).unwrap();
    let passwd = std::fs::symlink_metadata(tree.join("etc/passwd")).unwrap();
    assert_eq!((passwd.uid(), passwd.gid()), (RANGE.base, RANGE.base));
    sandbox.image(tree, &made.volume.path, mib);
}

#[test]
fn an_image_is_given_to_the_range() {
    let test = "unprivileged::an_image_is_given_to_the_range";
    let Some(sandbox) = busybox::sandbox(test, "idm2", &[]) else { return };
    let here = sandbox.target();
    // With the shared configuration of this host and without any.
    let bare = Target { common_conf: None, userns_conf: None, ..here.clone() };
    let half = Target { userns_conf: None, ..here.clone() };
    for (number, target) in [here, half, bare].into_iter().enumerate() {
        let short = format!("idm2{number}");
        let text =
            "PHYSPAGES=\"0:64M\"\nNUMPROC=\"50\"\nIOLIMIT=\"2M\"\nSHMPAGES=\"512\"\nCAPABILITY=\"NET_RAW:off\"\n";
        let ve = Ve {
            target: Some(target),
            approximate: &["SHMPAGES"],
            cgroup: Some(CgroupMode::Both),
            ..unprivileged(StorageKind::Image, text)
        };
        let made = chain::make(&sandbox, &short, &ve);
        let tree = sandbox.tree(&made.ct);
        furnish(&tree);
        shifted(&sandbox, &made, &tree, 16);
        made.start(&sandbox);
        check_inside(&sandbox, &made);
        check_limits(&sandbox, &made);
        assert_eq!(sandbox.lxc.stop(&made.ct, Duration::from_secs(30)).unwrap(), StopKind::Clean);
    }
}

/// Limits hold for a container in a user name space as for any other, those of the hook too.
fn check_limits(sandbox: &Sandbox, made: &Made) {
    let read = |controller: &str, file: &str| {
        std::fs::read_to_string(sandbox.control_file(&made.ct, controller, file)).unwrap().trim().to_owned()
    };
    let (memory, io) = match sandbox.target().cgroup {
        CgroupMode::V2 => ("memory.max", "io.max"),
        _ => ("memory.limit_in_bytes", "blkio.throttle.read_bps_device"),
    };
    assert_eq!(read("memory", memory), "67108864");
    assert_eq!(read("pids", "pids.max"), "50");
    assert!(read("blkio", io).contains("2097152"), "{}", read("blkio", io));
    assert_eq!(sandbox.inside(&made.ct, "cat /proc/sys/kernel/shmall").trim(), "512");
    let status = sandbox.inside(&made.ct, "grep CapBnd /proc/1/status");
    let bounding = u64::from_str_radix(status.trim_start_matches("CapBnd:").trim(), 16).unwrap();
    assert_eq!(bounding & 1 << 13, 0, "{status}");
    assert_eq!(bounding & 1 << 21, 1 << 21, "{status}");
}

/// Makes the container's image of a distribution's tree.
fn distribution(sandbox: &Sandbox, made: &Made, archive: &Path) {
    sandbox.directory(&made.ct);
    let tree = sandbox.dir.path().join(format!("tree-{}", made.ct));
    std::fs::create_dir(&tree).unwrap();
    let tar = Command::write("tar").args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "--acls", "-C"]);
    sandbox.host.local.run_ok(&tar.arg(&tree).arg("-xpf").arg(archive)).unwrap();
    // OpenVZ's line for /dev/pts, which a migration takes out, hides what LXC mounts there.
    std::fs::write(tree.join("etc/fstab"), "").unwrap();
    shifted(sandbox, made, &tree, 600);
}

/// Asks until it is answered as wanted, or time is up; returns the last answer.
fn await_inside(sandbox: &Sandbox, ct: &str, script: &str, done: impl Fn(&str) -> bool) -> String {
    let begun = Instant::now();
    loop {
        let said = sandbox.inside(ct, script);
        if done(&said) || begun.elapsed() > Duration::from_secs(90) {
            return said;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
}

#[test]
fn systemd_boots() {
    let test = "unprivileged::systemd_boots";
    let Some(sandbox) = busybox::sandbox(test, "idm3", &["tar"]) else { return };
    let Some(archive) = support::node::tree(test, "systemd") else { return };
    let here = sandbox.target();
    let bare = Target { common_conf: None, userns_conf: None, ..here.clone() };
    for (short, target) in [("idm3a", here), ("idm3b", bare)] {
        let ve =
            Ve { init: Init::Systemd, target: Some(target), ..unprivileged(StorageKind::Image, "NUMPROC=\"400\"\n") };
        let made = chain::make(&sandbox, short, &ve);
        distribution(&sandbox, &made, &archive);
        made.start(&sandbox);
        let booted = |said: &str| said.contains("running") || said.contains("degraded");
        let state = await_inside(&sandbox, &made.ct, "systemctl is-system-running", booted);
        assert!(booted(&state), "{state}{:?}", sandbox.lxc.console_tail(&made.ct));
        // The file system for kernel debugging belongs to the host; it fails under any user name space.
        let failed = sandbox.inside(&made.ct, "systemctl --failed --plain --no-legend");
        let log = sandbox.inside(&made.ct, "systemctl status systemd-logind; journalctl -b | tail -n 80");
        let failed: Vec<&str> = failed.lines().filter(|l| !l.starts_with("sys-kernel-debug.mount")).collect();
        assert!(failed.is_empty(), "{failed:?} {log}");
        let active = sandbox.inside(&made.ct, "systemctl is-active dbus systemd-logind systemd-journald ssh");
        assert_eq!(active, "active\n".repeat(4));
        assert_eq!(owner_of_init(&sandbox, &made.ct), (RANGE.base, RANGE.base));
        // Its own units have control groups of their own, in what LXC delegated.
        assert!(sandbox.inside(&made.ct, "cat /proc/1/cgroup").contains("/init.scope"));
        let pid = sandbox.lxc.init_pid(&made.ct).unwrap().unwrap();
        let child = Command::read("ps").args(["--no-headers", "-o", "uid,comm", "--ppid", &pid.to_string()]);
        let children = sandbox.host.local.run_ok(&child).unwrap().text();
        assert!(children.lines().all(|l| l.trim().starts_with("12")), "{children}");
        let console = || sandbox.lxc.console_tail(&made.ct).unwrap().unwrap().join("\n");
        let begun = Instant::now();
        while !console().contains("login:") && begun.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(200));
        }
        assert!(console().contains("login:"), "{}", console());
        assert_eq!(sandbox.lxc.stop(&made.ct, Duration::from_secs(60)).unwrap(), StopKind::Clean);
    }
}

#[test]
fn system_v_init_boots() {
    let test = "unprivileged::system_v_init_boots";
    let Some(sandbox) = busybox::sandbox(test, "idm4", &["tar"]) else { return };
    let Some(archive) = support::node::tree(test, "sysvinit") else { return };
    let ve = Ve { init: Init::Sysvinit, ..unprivileged(StorageKind::Image, "NUMPROC=\"400\"\n") };
    let made = chain::make(&sandbox, "idm4", &ve);
    distribution(&sandbox, &made, &archive);
    made.start(&sandbox);
    let processes = await_inside(&sandbox, &made.ct, "ps -e -o uid,args", |said| said.contains("sshd"));
    assert!(processes.contains("sshd"), "{processes}{:?}", sandbox.lxc.console_tail(&made.ct));
    assert_eq!(owner_of_init(&sandbox, &made.ct), (RANGE.base, RANGE.base));
}
