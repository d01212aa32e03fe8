//! The fixups, on whole trees: golden ones, each applied twice and put back, and hostile ones.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests, which clippy takes for the program's own code; shared by several test crates"
)]

#[path = "support/mod.rs"]
mod support;
#[path = "support/tree.rs"]
mod tree;

use ovz2lxc::fixup::{ApplyOptions, Catalogue, Report, apply};
use ovz2lxc::guest;
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use std::fs;
use std::path::Path;

fn run(root: &Path, plan: &GuestPlan, dry_run: bool) -> Report {
    let catalogue = Catalogue::load(None).unwrap();
    let rootfs = Rootfs::open(root).unwrap();
    let guest = guest::detect(&rootfs).unwrap();
    apply(&catalogue, &rootfs, &guest, plan, &ApplyOptions { dry_run, skip: &[] }).unwrap()
}

fn golden(case: &str) {
    if !support::is_root() {
        return support::skip(case, "making a tree with other owners and nodes needs root");
    }
    let folder = support::repository().join("tests/golden").join(case);
    let read = |name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let plan: GuestPlan = toml::from_str(&read("plan.toml")).unwrap();
    let dir = tempfile::tempdir().unwrap();
    tree::make(dir.path(), &read("tree.txt"));
    let before = tree::dump(dir.path());

    let planned = run(dir.path(), &plan, true);
    assert_eq!(tree::dump(dir.path()), before, "{case}: a dry run changes nothing");
    let report = run(dir.path(), &plan, false);
    assert_eq!(report.changes, planned.changes, "{case}: a dry run says what a run does");
    let after = tree::dump(dir.path());
    let mut summary = after.clone();
    summary.push_str("=== findings\n");
    for finding in &report.findings {
        summary.push_str(&format!("{} {}: {}\n", finding.id, finding.subject, finding.detail));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(folder.join("expected.txt"), &summary).unwrap();
    }
    let expected = read("expected.txt");
    if summary != expected {
        let diff = similar::TextDiff::from_lines(&expected, &summary);
        panic!("{case}: not as expected:\n{}", diff.unified_diff().header("expected", "found"));
    }

    let again = run(dir.path(), &plan, false);
    assert_eq!(again.changes, [], "{case}: a second run changes nothing");
    assert_eq!(tree::dump(dir.path()), after, "{case}");

    let text = serde_json::to_string(&report.preimages).unwrap();
    Rootfs::open(dir.path()).unwrap().revert(&serde_json::from_str::<Vec<_>>(&text).unwrap()).unwrap();
    assert_eq!(tree::dump(dir.path()), before, "{case}: everything can be put back");
}

macro_rules! cases {
    ($($name:ident = $folder:literal;)*) => {
        $(#[test] fn $name() { golden($folder); })*

        #[test]
        fn every_folder_is_a_case() {
            let mut folders: Vec<String> = fs::read_dir(support::repository().join("tests/golden")).unwrap()
                .map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            folders.sort();
            let mut known = vec![$($folder),*];
            known.sort();
            assert_eq!(folders, known);
        }
    };
}

cases! {
    centos_6_with_upstart = "centos6-upstart";
    centos_5_with_sysvinit = "centos5-sysvinit";
    debian_6_with_sysvinit = "debian6-sysvinit";
    debian_12_with_sysvinit = "debian12-sysvinit";
    debian_12_with_networkd = "debian12-systemd-networkd";
    debian_8_with_systemd_and_ifupdown = "debian8-systemd-ifupdown";
    ubuntu_with_upstart = "ubuntu-upstart";
    suse_11 = "suse11-sysvinit";
    nothing_known = "unknown";
}

/// What a tenant who was root may put in the place of a file.
const TRAPS: [&str; 9] = [
    "absolute link",
    "link above the root",
    "loop",
    "fifo",
    "device",
    "directory",
    "huge file",
    "immutable",
    "hard link",
];

/// Files that the modules read, edit, replace or remove.
const TARGETS: [&str; 16] = [
    "etc/inittab",
    "etc/hosts",
    "etc/hostname",
    "etc/resolv.conf",
    "etc/fstab",
    "etc/mtab",
    "etc/securetty",
    "etc/network/interfaces",
    "etc/sysconfig/network",
    "etc/sysconfig/network-scripts/ifcfg-eth0",
    "etc/rc.d/rc.sysinit",
    "etc/init/tty.conf",
    "etc/init/console.conf",
    "etc/redhat-release",
    "etc/debian_version",
    "sbin/init",
];

const CANARY: &str = "the host's own file\n";

/// Sets a trap; returns false where this machine cannot.
fn set_trap(trap: &str, path: &Path, canary: &Path) -> bool {
    use rustix::fs::{CWD, FileType, IFlags, Mode};
    use std::os::unix::fs::symlink;
    let old = fs::read(path).unwrap_or_else(|_| b"something\n".to_vec());
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    if fs::symlink_metadata(path).is_ok() {
        fs::remove_file(path).unwrap();
    }
    match trap {
        "absolute link" => symlink(canary, path).unwrap(),
        "link above the root" => {
            symlink(Path::new("../../../../../../../../../..").join(canary.strip_prefix("/").unwrap()), path).unwrap();
        }
        "loop" => symlink(path.file_name().unwrap(), path).unwrap(),
        "fifo" => rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR, 0).unwrap(),
        "device" => {
            let zero = rustix::fs::makedev(1, 5);
            rustix::fs::mknodat(CWD, path, FileType::CharacterDevice, Mode::RUSR, zero).unwrap();
        }
        "directory" => fs::create_dir_all(path.join("in the way")).unwrap(),
        "huge file" => fs::File::create(path).unwrap().set_len(1 << 30).unwrap(),
        "hard link" => fs::hard_link(canary, path).unwrap(),
        "immutable" => {
            fs::write(path, old).unwrap();
            let file = fs::File::open(path).unwrap();
            let flags = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
            return rustix::fs::ioctl_setflags(&file, flags | IFlags::IMMUTABLE).is_ok();
        }
        other => panic!("{other}"),
    }
    true
}

fn disarm(path: &Path) {
    if let Ok(file) = fs::File::open(path) {
        let flags = rustix::fs::ioctl_getflags(&file).unwrap_or(rustix::fs::IFlags::empty());
        let _ = rustix::fs::ioctl_setflags(&file, flags - rustix::fs::IFlags::IMMUTABLE);
    }
}

fn spring(case: &str, trap: &'static str) {
    if !support::is_root() {
        return support::skip(trap, "devices and flags need root");
    }
    let folder = support::repository().join("tests/golden").join(case);
    let text = fs::read_to_string(folder.join("tree.txt")).unwrap();
    let plan: GuestPlan = toml::from_str(&fs::read_to_string(folder.join("plan.toml")).unwrap()).unwrap();
    for target in TARGETS {
        // In memory, where syncing costs nothing, unless the trap needs a real file system.
        let memory = Path::new("/dev/shm");
        let dir = match trap {
            "device" | "immutable" => tempfile::tempdir(),
            _ if memory.is_dir() => tempfile::tempdir_in(memory),
            _ => tempfile::tempdir(),
        };
        let dir = dir.unwrap();
        let root = dir.path().join("root");
        let canary = dir.path().join("canary");
        fs::create_dir(&root).unwrap();
        fs::write(&canary, CANARY).unwrap();
        fs::set_permissions(&canary, std::os::unix::fs::PermissionsExt::from_mode(0o640)).unwrap();
        tree::make(&root, &text);
        let path = root.join(target);
        if !set_trap(trap, &path, &canary) {
            return support::skip(trap, "this file system has no immutable flag");
        }
        let (send, done) = std::sync::mpsc::channel();
        let (inside, plan) = (root.clone(), plan.clone());
        std::thread::spawn(move || {
            let first = run(&inside, &plan, false);
            let second = run(&inside, &plan, false);
            let _ = send.send((first, second));
        });
        let outcome = done.recv_timeout(std::time::Duration::from_secs(120));
        let immutable_kept = trap != "immutable" || fs::symlink_metadata(&path).is_ok();
        if trap == "immutable" {
            disarm(&path);
        }
        let (first, second) = outcome.unwrap_or_else(|e| panic!("{case}, {trap} at {target}: hangs or panics: {e}"));
        assert_eq!(second.changes, [], "{case}, {trap} at {target}: a second run changes nothing");
        assert_eq!(fs::read_to_string(&canary).unwrap(), CANARY, "{case}, {trap} at {target}");
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&canary).unwrap()) & 0o7777;
        assert_eq!(mode, 0o640, "{case}, {trap} at {target}");
        assert!(immutable_kept);
        assert!(!root.join("fastboot").exists(), "{case}, {trap} at {target}: the other fixups are applied");
        let needed = ["etc/hosts", "etc/fstab"].contains(&target);
        if needed && ["loop", "fifo", "device", "directory", "huge file", "immutable"].contains(&trap) {
            let subject = format!("/{target}");
            assert!(first.findings.iter().any(|f| f.subject == subject), "{trap} at {target}: {:?}", first.findings);
        }
    }
}

macro_rules! traps {
    ($($name:ident = $trap:literal;)*) => {
        $(#[test] fn $name() {
            spring("centos6-upstart", $trap);
            spring("debian6-sysvinit", $trap);
        })*

        #[test]
        fn every_trap_is_sprung() {
            assert_eq!(vec![$($trap),*], TRAPS);
        }
    };
}

traps! {
    an_absolute_link_does_not_lead_out = "absolute link";
    a_link_above_the_root_does_not_lead_out = "link above the root";
    a_loop_of_links_is_reported = "loop";
    a_fifo_does_not_block = "fifo";
    a_device_is_not_opened = "device";
    a_directory_is_not_removed = "directory";
    a_huge_file_is_not_read = "huge file";
    an_immutable_file_is_reported = "immutable";
    a_hard_link_does_not_lead_out = "hard link";
}

#[test]
fn a_linked_directory_leads_nowhere_else() {
    let dir = tempfile::tempdir().unwrap();
    let (root, outside) = (dir.path().join("root"), dir.path().join("outside"));
    fs::create_dir_all(&outside).unwrap();
    fs::create_dir_all(&root).unwrap();
    for name in ["fastboot", "hosts", "fstab", "vz_init_done.conf", "vzquota"] {
        fs::write(outside.join(name), CANARY).unwrap();
    }
    // Every directory that modules go through leads to the host's directory, absolutely or by many dots.
    for name in ["etc", "dev", "sbin"] {
        std::os::unix::fs::symlink(&outside, root.join(name)).unwrap();
    }
    std::os::unix::fs::symlink(
        Path::new("../../../../../../..").join(outside.strip_prefix("/").unwrap()),
        root.join("lib"),
    )
    .unwrap();
    let plan: GuestPlan = toml::from_str("hostname = \"a\"\nnameservers = [\"10.0.0.53\"]\n").unwrap();
    run(&root, &plan, false);
    let mut names: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["fastboot", "fstab", "hosts", "vz_init_done.conf", "vzquota"]);
    for name in names {
        assert_eq!(fs::read_to_string(outside.join(name)).unwrap(), CANARY);
    }
}

#[test]
fn a_plan_that_would_write_somewhere_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for plan in [
        "hostname = \"a\\nnameserver 6.6.6.6\"\n",
        "hostname = \"../x\"\n",
        "hostname = \"a\"\nsearchdomains = [\"x y\"]\n",
        "hostname = \"a\"\n[[nic]]\nname = \"../../etc/x\"\n",
        "hostname = \"a\"\n[[nic]]\nname = \"eth0\"\n[[nic]]\nname = \"eth0\"\n",
        "hostname = \"a\"\n[[nic]]\nname = \"eth0\"\nmac = \"00:16:3e:00:00:01; reboot\"\n",
    ] {
        let plan: GuestPlan = toml::from_str(plan).unwrap();
        let rootfs = Rootfs::open(dir.path()).unwrap();
        let guest = guest::detect(&rootfs).unwrap();
        let catalogue = Catalogue::load(None).unwrap();
        let error = apply(&catalogue, &rootfs, &guest, &plan, &ApplyOptions::default()).unwrap_err();
        assert_eq!(error.kind(), ovz2lxc::error::Kind::Usage, "{error}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn the_worked_example_of_the_documentation_works() {
    let manual = fs::read_to_string(support::repository().join("docs/fixups.md")).unwrap();
    let example = manual.split("```toml\n").nth(1).unwrap().split("```").next().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (own, root) = (dir.path().join("fixups.d"), dir.path().join("root"));
    fs::create_dir_all(&own).unwrap();
    fs::write(own.join("70-site.toml"), example).unwrap();
    let text = "=== file etc/debian_version 0644 0:0\n7.11\n\
        === file etc/agent/agent.conf 0600 0:0\nbind = 192.168.7.11\nport = 1\n\
        === file etc/cron.d/vz-own 0644 0:0\n* * * * * root touch /.vzfifo\n\
        === file etc/cron.d/vz-other 0644 0:0\n* * * * * root true\n";
    if !support::is_root() {
        return support::skip("the worked example", "making a tree needs root");
    }
    tree::make(&root, text);
    let catalogue = Catalogue::load(Some(&own)).unwrap();
    let rootfs = Rootfs::open(&root).unwrap();
    let guest = guest::detect(&rootfs).unwrap();
    let plan: GuestPlan = toml::from_str("hostname = \"a.example.com\"\n[[nic]]\nname = \"eth0\"\n").unwrap();
    let apply = || apply(&catalogue, &rootfs, &guest, &plan, &ApplyOptions::default()).unwrap();
    let report = apply();
    let mine: Vec<_> =
        report.changes.iter().filter(|c| c.fixup == "site-monitoring").map(|c| c.path.as_str()).collect();
    assert_eq!(mine, ["/etc/agent/agent.conf", "/etc/agent/host.conf", "/etc/cron.d/vz-own"]);
    assert!(report.changes.iter().any(|c| c.diff.contains("-bind = 192.168.7.11\n+bind = 0.0.0.0\n")));
    assert_eq!(fs::read_to_string(root.join("etc/agent/agent.conf")).unwrap(), "bind = 0.0.0.0\nport = 1\n");
    let host = fs::read_to_string(root.join("etc/agent/host.conf")).unwrap();
    assert_eq!(host, "name = a.example.com\ninterface = eth0\n");
    assert!(root.join("etc/cron.d/vz-other").exists());
    assert_eq!(apply().changes, []);
    // An unexpected text is said, not passed over.
    fs::write(root.join("etc/agent/agent.conf"), "listen = *\n").unwrap();
    assert!(apply().findings.iter().any(|f| f.id == "fixup-unexpected" && f.subject == "/etc/agent/agent.conf"));
}

#[test]
fn the_manual_names_every_module_and_every_skip_is_known() {
    let manual = fs::read_to_string(support::repository().join("docs/fixups.md")).unwrap();
    let catalogue = Catalogue::load(None).unwrap();
    for module in catalogue.modules() {
        assert!(manual.contains(&format!("`{}`", module.id)), "docs/fixups.md lacks {}", module.id);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("fastboot"), "").unwrap();
    let rootfs = Rootfs::open(dir.path()).unwrap();
    let plan: GuestPlan = toml::from_str("hostname = \"a\"\n").unwrap();
    let guest = guest::detect(&rootfs).unwrap();
    let with = |skip: &[String]| apply(&catalogue, &rootfs, &guest, &plan, &ApplyOptions { dry_run: true, skip });
    let skipped = ["vz-leftovers".to_owned()];
    assert!(with(&[]).unwrap().changes.iter().any(|c| c.path == "/fastboot"));
    assert!(!with(&skipped).unwrap().changes.iter().any(|c| c.path == "/fastboot"));
    assert_eq!(with(&["no-such".to_owned()]).unwrap_err().kind(), ovz2lxc::error::Kind::Usage);
}
