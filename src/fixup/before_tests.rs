use super::*;
use crate::fixup::{ApplyOptions, Catalogue, apply_noting};
use crate::guest;
use crate::model::network::GuestPlan;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;

struct Bench {
    dir: TempDir,
    rootfs: Rootfs,
}

const HOSTS: &str = "127.0.0.1 localhost\n# Auto-generated hostname. Please do not remove this comment.\n10.0.0.1 old.example.com  old\n";

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc/network")).unwrap();
        for (path, text, mode) in [
            ("etc/debian_version", "7.11\n", 0o644),
            ("etc/hosts", HOSTS, 0o640),
            ("etc/network/interfaces", "auto venet0\niface venet0 inet manual\n", 0o600),
            ("fastboot", "", 0o644),
        ] {
            fs::write(root.join(path), text).unwrap();
            fs::set_permissions(root.join(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        symlink("/proc/vz/x", root.join("aquota.user")).unwrap();
        let fifo = root.join(".vzfifo");
        rustix::fs::mknodat(rustix::fs::CWD, fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        let rootfs = Rootfs::open(&root).unwrap();
        Bench { dir, rootfs }
    }

    fn state(&self) -> PathBuf {
        self.dir.path().join("state/ovz2lxc")
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn apply(&self, hostname: &str) -> usize {
        let plan = format!("hostname = \"{hostname}\"\n[[nic]]\nname = \"eth0\"\naddresses = [\"10.0.0.2/24\"]\n");
        let plan: GuestPlan = toml::from_str(&plan).unwrap();
        let catalogue = Catalogue::load(None).unwrap();
        let guest = guest::detect(&self.rootfs).unwrap();
        let mut before = Before::open(&self.state(), &self.rootfs).unwrap();
        let options = ApplyOptions::default();
        let report = apply_noting(&catalogue, &self.rootfs, &guest, &plan, &options, Some(&mut before)).unwrap();
        before.settle(&self.rootfs).unwrap();
        report.changes.len()
    }

    fn revert(&self, force: bool) -> Reverted {
        match Before::find(&self.state(), &self.rootfs).unwrap() {
            Some(before) => before.revert(&self.rootfs, RevertOptions { force, dry_run: false }).unwrap(),
            None => Reverted::default(),
        }
    }

    /// Every entry with what a person would compare: kind, mode, content or target, time of the last write but of directories.
    fn picture(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in walkdir::WalkDir::new(self.dir.path().join("root")).sort_by_file_name() {
            let entry = entry.unwrap();
            let meta = fs::symlink_metadata(entry.path()).unwrap();
            let what = if meta.is_file() {
                format!("{:?}", fs::read(entry.path()).unwrap())
            } else if meta.is_symlink() {
                fs::read_link(entry.path()).unwrap().display().to_string()
            } else {
                String::new()
            };
            let time = if meta.is_dir() { (0, 0) } else { (meta.mtime(), meta.mtime_nsec()) };
            lines.push(format!("{} {:o} {what} {time:?}", entry.path().display(), meta.mode()));
        }
        lines
    }
}

#[test]
fn several_runs_are_put_back_to_before_the_first_one() {
    let bench = Bench::new();
    let before = bench.picture();
    assert!(bench.apply("one.example.com") > 4);
    assert!(bench.apply("two.example.com") > 0);
    assert_eq!(bench.apply("two.example.com"), 0);
    assert!(bench.text("etc/hostname").starts_with("two") && !bench.path("fastboot").exists());
    let preview = Before::find(&bench.state(), &bench.rootfs).unwrap().unwrap();
    let preview = preview.revert(&bench.rootfs, RevertOptions { dry_run: true, force: false }).unwrap();
    assert!(bench.text("etc/hostname").starts_with("two"), "a dry run puts nothing back");
    let done = bench.revert(false);
    assert_eq!((done.left, &done.changes), (0, &preview.changes));
    assert!(done.changes.iter().any(|c| c.path == "/etc/hostname" && c.action == Done::Remove));
    assert_eq!(bench.picture(), before);
    assert!(!bench.dir.path().join("state").exists() || fs::read_dir(bench.state()).is_err(), "nothing is kept");
    assert!(bench.revert(false).changes.is_empty(), "a second call does nothing");
    assert!(bench.apply("one.example.com") > 4, "and the fixups can be applied again");
}

#[test]
fn what_somebody_changed_since_is_left_and_said_and_the_rest_goes_back() {
    let bench = Bench::new();
    bench.apply("one.example.com");
    fs::write(bench.path("etc/hosts"), "mine\n").unwrap();
    let done = bench.revert(false);
    assert_eq!(done.left, 1);
    assert_eq!(
        (done.findings[0].id.as_str(), done.findings[0].subject.as_str()),
        ("fixup-changed-since", "/etc/hosts")
    );
    assert_eq!(bench.text("etc/hosts"), "mine\n");
    assert!(bench.text("etc/network/interfaces").contains("venet0"));
    assert!(bench.path("fastboot").exists());
    assert_eq!(bench.revert(false).left, 1, "it is kept for another time");
    let done = bench.revert(true);
    assert_eq!((done.left, done.changes.len(), bench.text("etc/hosts").as_str()), (0, 1, HOSTS));
    assert_eq!(fs::metadata(bench.path("etc/hosts")).unwrap().mode() & 0o777, 0o640);
    assert!(bench.revert(true).changes.is_empty());
}

#[test]
fn a_change_between_two_runs_is_nobodys_to_take_back_but_an_update_of_a_package_is() {
    let bench = Bench::new();
    let before = bench.picture();
    bench.apply("one.example.com");
    fs::write(bench.path("etc/hosts"), HOSTS.replace("localhost", "localhost mine")).unwrap();
    fs::write(bench.path("fastboot"), "").unwrap(); // as it was: a package or vzctl put it back
    bench.apply("one.example.com");
    let done = bench.revert(false);
    assert_eq!(done.left, 1, "{:?}", done.findings);
    assert!(done.findings[0].detail.contains("between two runs"));
    assert!(bench.text("etc/hosts").contains("mine"));
    assert!(bench.path("fastboot").exists());
    bench.revert(true);
    let names = |lines: &[String]| lines.iter().map(|l| l.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(names(&bench.picture()), names(&before));
    assert_eq!(bench.text("etc/hosts"), HOSTS);
}

#[test]
fn a_run_that_was_killed_is_taken_back_too() {
    let bench = Bench::new();
    let mut before = Before::open(&bench.state(), &bench.rootfs).unwrap();
    for path in ["etc/hosts", "etc/hostname"] {
        before.keep(&bench.rootfs.preimage(Path::new(path), KEEP_LIMIT).unwrap()).unwrap();
        fs::write(bench.path(path), "half a ru").unwrap();
    }
    // The third line did not get to its end.
    before.file.write_all(b"{\"record\":\"before\",\"image\":{\"pa").unwrap();
    drop(before);
    assert_eq!(bench.revert(false).left, 0);
    assert_eq!(bench.text("etc/hosts"), HOSTS);
    assert!(!bench.path("etc/hostname").exists());
}

#[test]
fn the_place_is_outside_the_tree_locked_and_private() {
    let bench = Bench::new();
    let error = Before::open(&bench.path("var/lib/ovz2lxc"), &bench.rootfs).err().unwrap();
    assert_eq!(error.kind(), Kind::Usage, "{error:?}");
    assert!(!bench.path("var").exists(), "and nothing of it is left there");
    let first = Before::open(&bench.state(), &bench.rootfs).unwrap();
    assert_eq!(Before::open(&bench.state(), &bench.rootfs).err().unwrap().kind(), Kind::Locked);
    assert_eq!(fs::metadata(&first.dir).unwrap().mode() & 0o777, 0o700, "a shadow file may be in it");
    drop(first);
    fs::write(bench.path("etc/hosts"), "x").unwrap();
    assert!(Before::find(&bench.state(), &bench.rootfs).unwrap().is_some());
}

#[test]
fn another_tree_at_the_same_place_has_its_own() {
    let bench = Bench::new();
    bench.apply("one.example.com");
    fs::rename(bench.dir.path().join("root"), bench.dir.path().join("elsewhere")).unwrap();
    fs::create_dir_all(bench.path("etc")).unwrap();
    fs::write(bench.path("etc/hosts"), "another\n").unwrap();
    let other = Rootfs::open(&bench.dir.path().join("root")).unwrap();
    assert!(Before::find(&bench.state(), &other).unwrap().is_none());
}

#[test]
fn a_directory_that_was_made_goes_only_when_it_is_empty() {
    let bench = Bench::new();
    let mut before = Before::open(&bench.state(), &bench.rootfs).unwrap();
    for (path, file) in [("etc/new", false), ("etc/new/file", true)] {
        before.keep(&bench.rootfs.preimage(Path::new(path), KEEP_LIMIT).unwrap()).unwrap();
        if file {
            fs::write(bench.path(path), "x").unwrap();
        } else {
            fs::create_dir(bench.path(path)).unwrap();
        }
        before.made(&bench.rootfs, Path::new(path)).unwrap();
    }
    drop(before);
    fs::write(bench.path("etc/new/own"), "mine").unwrap();
    let done = bench.revert(true);
    assert_eq!((done.left, done.findings[0].subject.as_str()), (1, "/etc/new"));
    assert!(bench.path("etc/new/own").exists() && !bench.path("etc/new/file").exists());
    fs::remove_file(bench.path("etc/new/own")).unwrap();
    assert_eq!(bench.revert(false).left, 0);
    assert!(!bench.path("etc/new").exists());
}
