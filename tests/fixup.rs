//! The fixups, on whole trees: golden ones, each applied twice and put back, and hostile ones.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::fixup::{ApplyOptions, Catalogue, Report};
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use std::fs;
use std::path::{Path, PathBuf};
use support::fixups::{CATALOGUE, Golden, plan, run_with};
use support::tree;

fn run(root: &Path, plan: &GuestPlan, dry_run: bool) -> Report {
    run_with(&CATALOGUE, root, plan, &ApplyOptions { dry_run, skip: &[] }).unwrap()
}

const MARK: &str = "user.golden";

/// Gives every regular file an extended attribute, where the file system has them.
fn mark(root: &Path) -> Vec<PathBuf> {
    let files = walkdir::WalkDir::new(root).into_iter().map(Result::unwrap).filter(|e| e.file_type().is_file());
    let set = |path: &PathBuf| rustix::fs::setxattr(path, MARK, b"kept", rustix::fs::XattrFlags::empty()).is_ok();
    files.map(walkdir::DirEntry::into_path).filter(set).collect()
}

fn has_mark(path: &Path) -> bool {
    rustix::fs::getxattr(path, MARK, &mut [0_u8; 16]).is_ok_and(|length| length == 4)
}

fn golden(case: &str) {
    if !support::is_root() {
        return support::skip(case, "making a tree with other owners and nodes needs root");
    }
    let golden = Golden::named(case);
    let plan = golden.plan();
    let dir = tree::made(&golden.tree());
    let before = tree::dump(dir.path());
    let marked = mark(dir.path());

    let planned = run(dir.path(), &plan, true);
    assert_eq!(tree::dump(dir.path()), before, "{case}: a dry run changes nothing");
    let report = run(dir.path(), &plan, false);
    assert_eq!(report.changes, planned.changes, "{case}: a dry run says what a run does");
    let after = tree::dump(dir.path());
    let kept = |path: &&PathBuf| !path.is_file() || path.is_symlink() || has_mark(path);
    assert_eq!(marked.iter().find(|path| !kept(path)), None, "{case}: a changed file lost an attribute");
    let mut summary = after.clone();
    summary.push_str("=== findings\n");
    for finding in &report.findings {
        summary.push_str(&format!("{} {}: {}\n", finding.id, finding.subject, finding.detail));
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(golden.path("expected.txt"), &summary).unwrap();
    }
    let expected = fs::read_to_string(golden.path("expected.txt")).unwrap();
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
            let folders: Vec<String> = Golden::all().iter().map(Golden::name).collect();
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
    sles_11_with_sysconfig = "sles11-sysconfig";
    opensuse_leap_with_wicked = "leap15-wicked";
    suse_7_with_rc_config = "suse73-rcconfig";
    slackware_14 = "slackware14";
    slackware_9 = "slackware9";
    alt_with_etcnet = "alt-etcnet";
    alt_2_4 = "altlinux24";
    owl_3 = "owl3";
    red_hat_linux_7 = "redhat73";
    centos_4_with_sysvinit = "centos4-sysvinit";
    scientific_5_with_sysvinit = "scientific5-sysvinit";
    cloudlinux_6_with_upstart = "cloudlinux6-upstart";
    centos_7_with_systemd = "centos7-systemd";
    centos_9_with_networkmanager = "centos9-networkmanager";
    fedora_39_with_networkmanager = "fedora39-networkmanager";
    gentoo_with_openrc = "gentoo-openrc";
    gentoo_with_openrc_init = "gentoo-openrc-init";
    gentoo_with_baselayout_1 = "gentoo-baselayout1";
    funtoo = "funtoo";
    arch_with_rc_conf = "arch-rcconf";
    arch_with_netcfg = "arch-netcfg";
    arch_with_netcfg_and_systemd = "arch-netcfg-systemd";
    arch_with_netctl = "arch-netctl";
    arch_with_networkd = "arch-networkd";
    alpine = "alpine";
    devuan = "devuan";
    devuan_with_openrc = "devuan-openrc";
    ubuntu_8_04_with_event_d = "ubuntu804-eventd";
    ubuntu_12_04_with_upstart = "ubuntu1204-upstart";
    ubuntu_22_04_with_netplan = "ubuntu2204-netplan";
    ubuntu_22_04_whose_addresses_lxc_sets = "ubuntu2204-netplan-none";
    debian_4_with_old_ifupdown = "debian4";
    debian_with_red_hat_files = "debian-with-redhat-files";
    nothing_known_but_the_files = "unknown2";
    mandrake_10_with_sysvinit = "mandrake10-sysvinit";
    sles_9_with_sysvinit = "sles9-sysvinit";
    sles_10_with_sysvinit = "sles10-sysvinit";
    sles_12_with_wicked = "sles12-wicked";
    debian_5_with_sysvinit = "debian5-sysvinit";
    debian_9_with_systemd_and_ifupdown = "debian9-systemd-ifupdown";
    debian_13_with_systemd_and_ifupdown = "debian13-systemd-ifupdown";
    ubuntu_10_04_with_upstart = "ubuntu1004-upstart";
    ubuntu_14_04_with_upstart = "ubuntu1404-upstart";
    ubuntu_24_04_with_netplan = "ubuntu2404-netplan";
    gentoo_with_systemd = "gentoo-systemd";
    fedora_9_with_event_d = "fedora9-eventd";
    fedora_17_with_systemd = "fedora17-systemd";
    centos_8_with_networkmanager = "centos8-networkmanager";
}

const CANARY: &str = "the host's own file\n";

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
    let plan = plan("hostname = \"a\"\nnameservers = [\"10.0.0.53\"]\n");
    run(&root, &plan, false);
    let mut names: Vec<_> = fs::read_dir(&outside).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["fastboot", "fstab", "hosts", "vz_init_done.conf", "vzquota"]);
    for name in names {
        assert_eq!(fs::read_to_string(outside.join(name)).unwrap(), CANARY);
    }
}

#[test]
fn many_names_of_one_large_file_are_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("etc/network/interfaces.d");
    fs::create_dir_all(&folder).unwrap();
    fs::write(dir.path().join("etc/debian_version"), "7.11\n").unwrap();
    fs::write(dir.path().join("etc/network/interfaces"), "auto lo\niface lo inet loopback\n").unwrap();
    let text = format!("iface venet0 inet manual\n{}", format!("# {}\n", "x".repeat(60_000)).repeat(17));
    fs::write(folder.join("0"), &text).unwrap();
    for n in 1..200 {
        fs::hard_link(folder.join("0"), folder.join(n.to_string())).unwrap();
    }
    let plan = plan("hostname = \"a\"\n");
    let report = run(dir.path(), &plan, true);
    let kept: usize = report.changes.iter().map(|c| text.len() + c.diff.len()).sum();
    assert!(kept <= 64 * 1024 * 1024, "{kept} bytes in {} changes", report.changes.len());
    let told = |f: &&ovz2lxc::model::finding::Finding| f.detail.contains("more than 67108864 bytes");
    let told: Vec<_> = report.findings.iter().filter(told).map(|f| (&f.title, &f.subject)).collect();
    assert!(!told.is_empty() && told.len() < 20, "one for an action, not one for a file: {told:?}");

    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir(&folder).unwrap();
    for n in 0..4097 {
        fs::write(folder.join(n.to_string()), "").unwrap();
    }
    let report = run(dir.path(), &plan, true);
    assert!(report.findings.iter().any(|f| f.detail.contains("4097 paths match etc/network/interfaces.d/*")));
}

#[test]
fn a_template_without_an_end_is_a_finding() {
    let dir = tempfile::tempdir().unwrap();
    let (root, own) = (dir.path().join("root"), dir.path().join("own"));
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(own.join("init-templates/own")).unwrap();
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x";
    fs::write(own.join("init-templates/own/loop"), format!("{loops}{}", "{% endfor %}".repeat(3))).unwrap();
    let wide = "{% for a in range(2000) %}{{ 'x' * 1000 }}{% endfor %}";
    let write = |path: &str, what: &str| format!("[[action]]\ndo = \"write\"\npath = \"{path}\"\n{what}\n");
    let module = [
        "id = \"own\"\ntitle = \"t\"\nwhy = \"w\"\n".to_owned(),
        write("etc/loop", "template = \"own/loop\""),
        write("etc/wide", &format!("content = \"{wide}\"")),
        write("etc/fine", "content = \"fine\""),
    ];
    fs::write(own.join("70-own.toml"), module.concat()).unwrap();
    let catalogue = Catalogue::load(Some(&own)).unwrap();
    let report = run_with(&catalogue, &root, &plan("hostname = \"a\"\n"), &ApplyOptions::default()).unwrap();
    let said = |path: &str| report.findings.iter().find(|f| f.subject == path).unwrap().detail.clone();
    assert!(said("/etc/loop").contains("template own/loop of the fixup own"), "{}", said("/etc/loop"));
    assert!(said("/etc/loop").contains("fuel"), "{}", said("/etc/loop"));
    assert!(said("/etc/wide").contains("more than 1048576 bytes"), "{}", said("/etc/wide"));
    assert!(!root.join("etc/loop").exists() && !root.join("etc/wide").exists() && root.join("etc/fine").exists());
}

/// Makes a tree of regular files and applies the fixups to it, with so many consoles.
fn dressed(files: &[(&str, &str)], ttys: u32) -> (tempfile::TempDir, Report) {
    let dir = tree::of_files(files);
    let text = format!("hostname = \"a\"\nttys = {ttys}\nprivileged = false\n");
    let report = run(dir.path(), &plan(&text), false);
    (dir, report)
}

#[test]
fn an_init_that_is_unknown_or_without_inittab_is_reported() {
    let told = |report: &Report| {
        report.findings.iter().filter(|f| f.id == "fixup-init-unknown").map(|f| f.title.clone()).collect::<Vec<_>>()
    };
    let unknown = dressed(&[("etc/debian_version", "4.0\n")], 1).1;
    assert_eq!(told(&unknown), ["no known init was found in the container"]);
    let bare = dressed(&[("etc/slackware-version", "Slackware 13.37.0\n")], 1).1;
    assert_eq!(told(&bare), ["the container's init has no /etc/inittab"]);
    let stock =
        dressed(&[("etc/slackware-version", "Slackware 13.37.0\n"), ("etc/inittab", "id:3:initdefault:\n")], 1).1;
    assert_eq!(told(&stock), [""; 0]);
}

#[test]
fn fedora_9_gets_its_consoles_in_event_d() {
    let job = |n: u32| format!("start on stopped rc2\nstart on stopped rc3\nrespawn\nexec /sbin/mingetty tty{n}\n");
    let (dir, _) = dressed(
        &[
            ("etc/redhat-release", "Fedora release 9 (Sulphur)\n"),
            ("etc/event.d/tty1", &job(1)),
            ("etc/event.d/tty3", &job(3)),
            ("sbin/initctl", ""),
            ("sbin/mingetty", ""),
        ],
        2,
    );
    let read = |name: &str| fs::read_to_string(dir.path().join("etc/event.d").join(name)).unwrap();
    assert!(read("console").ends_with("\nexec /sbin/mingetty --nohangup console\n"), "{}", read("console"));
    assert_eq!(read("tty1"), job(1).replace("mingetty", "mingetty --nohangup"));
    assert!(read("tty2").ends_with("\nexec /sbin/mingetty --nohangup tty2\n"), "{}", read("tty2"));
    assert!(read("tty3").starts_with("# start on stopped rc2\n# start on stopped rc3\n"), "{}", read("tty3"));
}

#[test]
fn gettys_of_systemd_above_the_consoles_are_not_enabled() {
    let dir = tempfile::tempdir().unwrap();
    let wants = dir.path().join("etc/systemd/system/getty.target.wants");
    let unit = dir.path().join("lib/systemd/system");
    fs::create_dir_all(&wants).unwrap();
    fs::create_dir_all(&unit).unwrap();
    fs::write(dir.path().join("lib/systemd/systemd"), "").unwrap();
    fs::write(unit.join("getty@.service"), "").unwrap();
    let link = |n: u32, to: &str| std::os::unix::fs::symlink(to, wants.join(format!("getty@tty{n}.service"))).unwrap();
    link(2, "/lib/systemd/system/getty@.service");
    link(3, "/lib/systemd/system/getty@.service");
    link(4, "/etc/systemd/system/own.service");
    link(9, "/usr/lib/systemd/system/getty@.service");
    run(dir.path(), &plan("hostname = \"a\"\nttys = 2\nprivileged = true\n"), false);
    let mut names: Vec<_> = fs::read_dir(&wants).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.retain(|n| n.to_string_lossy().starts_with("getty@"));
    names.sort();
    assert_eq!(names, ["getty@tty1.service", "getty@tty2.service", "getty@tty4.service"]);
}

#[test]
fn a_power_line_that_is_somebodys_own_stays_and_is_reported() {
    let own = "pf::powerwait:/usr/local/sbin/ups-says down\npn::powerfailnow:/etc/init.d/powerfail now\n";
    let slackware = ("etc/slackware-version", "Slackware 13.37.0\n");
    let (dir, report) = dressed(&[slackware, ("etc/inittab", own)], 1);
    let text = fs::read_to_string(dir.path().join("etc/inittab")).unwrap();
    let power: Vec<&str> = text.lines().filter(|l| l.contains(":power")).collect();
    assert_eq!(power, ["pf::powerwait:/usr/local/sbin/ups-says down", "pf2::powerwait:/sbin/shutdown -h now"]);
    let told = report.findings.iter().filter(|f| f.id == "fixup-unexpected" && f.detail.contains("ups-says")).count();
    assert_eq!(told, 1, "{:?}", report.findings);
    let plan = plan("hostname = \"a\"\nttys = 1\nprivileged = false\n");
    assert_eq!(run(dir.path(), &plan, false).changes, []);
}

#[test]
fn a_plan_that_would_write_somewhere_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    for text in [
        "hostname = \"a\\nnameserver 6.6.6.6\"\n",
        "hostname = \"../x\"\n",
        "hostname = \"a\"\nsearchdomains = [\"x y\"]\n",
        "hostname = \"a\"\n[[nic]]\nname = \"../../etc/x\"\n",
        "hostname = \"a\"\n[[nic]]\nname = \"eth0\"\n[[nic]]\nname = \"eth0\"\n",
        "hostname = \"a\"\n[[nic]]\nname = \"eth0\"\nmac = \"00:16:3e:00:00:01; reboot\"\n",
    ] {
        let error = run_with(&CATALOGUE, dir.path(), &plan(text), &ApplyOptions::default()).unwrap_err();
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
    let plan = plan("hostname = \"a.example.com\"\n[[nic]]\nname = \"eth0\"\n");
    let apply = || run_with(&catalogue, &root, &plan, &ApplyOptions::default()).unwrap();
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
    for module in CATALOGUE.modules() {
        assert!(manual.contains(&format!("`{}`", module.id)), "docs/fixups.md lacks {}", module.id);
    }
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("etc")).unwrap();
    fs::write(dir.path().join("fastboot"), "").unwrap();
    let plan = plan("hostname = \"a\"\n");
    let with = |skip: &[String]| run_with(&CATALOGUE, dir.path(), &plan, &ApplyOptions { dry_run: true, skip });
    let skipped = ["vz-leftovers".to_owned()];
    assert!(with(&[]).unwrap().changes.iter().any(|c| c.path == "/fastboot"));
    assert!(!with(&skipped).unwrap().changes.iter().any(|c| c.path == "/fastboot"));
    assert_eq!(with(&["no-such".to_owned()]).unwrap_err().kind(), ovz2lxc::error::Kind::Usage);
}
