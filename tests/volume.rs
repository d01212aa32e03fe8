//! Images and directories as volumes, for real on this machine.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::error::{Error, Result};
use ovz2lxc::host::{Command, Host, Local, Output, Process, RemoteShell};
use ovz2lxc::model::size::{Bytes, MIB};
use ovz2lxc::model::volume::{FileSystem, StorageKind, VolumePlan};
use ovz2lxc::volume::{storage_for, unmount_stale};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{is_root, skip};

fn local() -> Arc<dyn Host> {
    Arc::new(Local::new())
}

fn run(program: &str, args: &[&str]) -> Output {
    Local::new().run(&Command::write(program).args(args)).unwrap()
}

/// An image or a directory in the container's own directory, as by default.
fn plan(kind: StorageKind, lxc_path: &Path) -> VolumePlan {
    let file = if kind == StorageKind::Image { "rootfs.img" } else { "rootfs" };
    VolumePlan {
        kind,
        name: "lxc-web".to_owned(),
        path: lxc_path.join("lxc-web").join(file),
        vg: None,
        thin_pool: None,
        fs: FileSystem::Ext4,
        size: Bytes(64 * MIB),
        inodes: None,
        shared: false,
    }
}

/// This host, on which the command with this number (from 0) fails without being run.
struct Failing {
    at: usize,
    writes: AtomicUsize,
}

impl Failing {
    fn at(at: usize) -> Arc<Failing> {
        Arc::new(Failing { at, writes: AtomicUsize::new(0) })
    }
}

impl Host for Failing {
    fn label(&self) -> &str {
        "failing"
    }

    fn run(&self, command: &Command) -> Result<Output> {
        let write = command.effect() == ovz2lxc::host::Effect::Write;
        if write && self.writes.fetch_add(1, Ordering::SeqCst) == self.at {
            return Ok(Output { status: 1, stdout: Vec::new(), stderr: b"injected\n".to_vec() });
        }
        Local::new().run(command)
    }

    fn spawn(&self, _: &Command) -> Result<Box<dyn Process>> {
        Err(Error::new("not used"))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        Local::new().read_file(path, limit)
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        None
    }

    fn another(&self) -> Result<Box<dyn Host>> {
        Err(Error::new("not used"))
    }
}

/// Loop devices and root are needed to mount an image.
fn can_mount(test: &str) -> bool {
    if !is_root() {
        skip(test, "needs root");
    } else if run("losetup", &["--find"]).status != 0 {
        skip(test, "no loop devices here");
    } else {
        return true;
    }
    false
}

#[test]
fn an_image_is_made_opened_closed_and_removed() {
    if !can_mount("an_image_is_made_opened_closed_and_removed") {
        return;
    }
    for (fs, size) in [(FileSystem::Ext4, 64 * MIB), (FileSystem::Xfs, 320 * MIB)] {
        if run("sh", &["-c", &format!("command -v mkfs.{}", fs.name())]).status != 0 {
            skip("an_image_is_made_opened_closed_and_removed", &format!("mkfs.{} is not installed", fs.name()));
            continue;
        }
        let dir = tempfile::tempdir().unwrap();
        let plan = VolumePlan { fs, size: Bytes(size), inodes: Some(40_000), ..plan(StorageKind::Image, dir.path()) };
        let storage = storage_for(StorageKind::Image, local());
        assert!(!storage.inspect(&plan).unwrap().exists);
        storage.create(&plan).unwrap();
        let made = plan.path.metadata().unwrap();
        assert_eq!((made.len(), made.mode() & 0o7777), (size, 0o600));
        assert!(made.blocks() * 512 < size / 2, "the image is sparse: {} blocks", made.blocks());
        assert!(storage.inspect(&plan).unwrap().exists);

        let point = dir.path().join("mnt");
        let open = storage.open(&plan, &point).unwrap();
        let stat = rustix::fs::fstatvfs(open.rootfs()).unwrap();
        assert!(stat.f_files >= 40_000, "{} inodes on {}", stat.f_files, fs.name());
        if fs == FileSystem::Ext4 {
            let header = run("dumpe2fs", &["-h", plan.path.to_str().unwrap()]).text();
            let kept = header.lines().find(|l| l.starts_with("Reserved block count:")).unwrap();
            assert!(kept.ends_with(" 0"), "nothing is kept back for root: {kept}");
        }
        std::fs::write(point.join("kept"), "x").unwrap();
        rustix::fs::mknodat(open.rootfs(), "null", rustix::fs::FileType::CharacterDevice, 0o666.into(), 0x103)
            .expect("a container's device nodes can be made");
        let table = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let line = table.lines().find(|l| l.contains(point.to_str().unwrap())).unwrap();
        assert!(["nodev", "nosuid", "noexec"].iter().all(|o| line.contains(o)), "{line}");

        let refused = storage.destroy(&plan).unwrap_err();
        assert!(refused.chain().iter().any(|c| c.contains("in use")), "{refused:?}");
        open.close().unwrap();
        assert!(!point.exists(), "a mount point that was made goes with the mount");
        let again = storage.open(&plan, &point).unwrap();
        assert_eq!(std::fs::read(point.join("kept")).unwrap(), b"x");
        drop(again);
        assert!(!point.exists());
        storage.destroy(&plan).unwrap();
        storage.destroy(&plan).expect("absent is fine");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left");
    }
}

#[test]
fn a_stale_mount_is_taken_over_and_a_strange_one_is_not() {
    if !can_mount("a_stale_mount_is_taken_over_and_a_strange_one_is_not") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(StorageKind::Image, dir.path());
    let storage = storage_for(StorageKind::Image, local());
    storage.create(&plan).unwrap();
    let point = dir.path().join("mnt");
    std::fs::create_dir(&point).unwrap();
    // What a run that was killed leaves: its guard never ran.
    let options = "loop,nodev,nosuid,noexec";
    let left = || run("mount", &["-o", options, plan.path.to_str().unwrap(), point.to_str().unwrap()]).status;
    assert_eq!(left(), 0);
    let elsewhere = storage.open(&plan, &dir.path().join("other")).err().expect("it is mounted already");
    assert!(elsewhere.first_hint().unwrap().contains(point.to_str().unwrap()), "{elsewhere:?}");
    storage.open(&plan, &point).unwrap().close().unwrap();

    assert_eq!(left(), 0);
    assert!(unmount_stale(&Local::new(), &point).unwrap());
    assert!(!unmount_stale(&Local::new(), &point).unwrap());

    assert_eq!(run("mount", &["-t", "tmpfs", "none", point.to_str().unwrap()]).status, 0);
    let strange = storage.open(&plan, &point).err().expect("something else is mounted there");
    run("umount", &[point.to_str().unwrap()]);
    assert!(strange.chain()[0].contains("another file system"), "{strange:?}");
    storage.destroy(&plan).unwrap();
}

#[test]
fn an_image_that_a_container_could_be_using_is_neither_opened_nor_removed() {
    if !can_mount("an_image_that_a_container_could_be_using_is_neither_opened_nor_removed") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(StorageKind::Image, dir.path());
    let storage = storage_for(StorageKind::Image, local());
    storage.create(&plan).unwrap();
    let device = run("losetup", &["--find", "--show", plan.path.to_str().unwrap()]).text();
    let opened = storage.open(&plan, &dir.path().join("mnt")).err();
    let destroyed = storage.destroy(&plan).err();
    run("losetup", &["-d", device.trim()]);
    assert!(opened.unwrap().chain()[0].contains("something else uses it"));
    assert!(destroyed.unwrap().first_hint().unwrap().contains("stop the container"));
    assert!(plan.path.exists() && !dir.path().join("mnt").exists());
}

#[test]
fn closing_a_busy_volume_says_so_and_drop_never_leaves_a_mount_in_the_way() {
    if !can_mount("closing_a_busy_volume_says_so_and_drop_never_leaves_a_mount_in_the_way") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(StorageKind::Image, dir.path());
    let storage = storage_for(StorageKind::Image, local());
    storage.create(&plan).unwrap();
    let point = dir.path().join("mnt");
    let open = storage.open(&plan, &point).unwrap();
    let held = std::fs::File::create(point.join("held")).unwrap();
    assert!(held.as_raw_fd() > 2);
    let error = open.close().unwrap_err();
    assert!(error.first_hint().unwrap().starts_with("see who uses it: fuser -vm"), "{error:?}");
    let open = storage.open(&plan, &point).expect("the mount is still there, and ours");
    drop(open);
    assert!(!unmount_stale(&Local::new(), &point).unwrap(), "the drop detached it");
    assert!(storage.destroy(&plan).is_err(), "the file is still held");
    drop(held);
    for _ in 0..50 {
        if storage.destroy(&plan).is_ok() {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("the image is never let go");
}

#[test]
fn what_a_failure_half_made_is_removed() {
    for kind in [StorageKind::Image, StorageKind::Dir] {
        let steps = if kind == StorageKind::Image { 3 } else { 2 };
        for at in 0..=steps {
            let dir = tempfile::tempdir().unwrap();
            let plan = plan(kind, dir.path());
            let failing = Failing::at(at);
            let created = storage_for(kind, Arc::clone(&failing) as Arc<dyn Host>).create(&plan);
            assert_eq!(created.is_err(), at < steps, "{kind:?} failing at {at}");
            assert_eq!(dir.path().join("lxc-web").exists(), at == steps, "{kind:?} failing at {at}");
        }
    }
}

#[test]
fn a_full_disk_leaves_nothing() {
    if !is_root() {
        return skip("a_full_disk_leaves_nothing", "needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let small = dir.path().to_str().unwrap();
    if run("mount", &["-t", "tmpfs", "-o", "size=64k", "none", small]).status != 0 {
        return skip("a_full_disk_leaves_nothing", "mount is not permitted here");
    }
    let plan = plan(StorageKind::Image, dir.path());
    let storage = storage_for(StorageKind::Image, local());
    let facts = storage.inspect(&plan).unwrap();
    let created = storage.create(&plan);
    let left = std::fs::read_dir(dir.path()).unwrap().count();
    run("umount", &[small]);
    assert_eq!(facts.free, Some(Bytes(65536)));
    assert_eq!(facts.place, format!("{small} on tmpfs"));
    assert_eq!(created.unwrap_err().to_string(), format!("creating image {}", plan.path.display()));
    assert_eq!(left, 0);
}

#[test]
fn a_taken_name_is_left_alone() {
    for kind in [StorageKind::Image, StorageKind::Dir] {
        let dir = tempfile::tempdir().unwrap();
        let plan = plan(kind, dir.path());
        let victim = dir.path().join("victim");
        std::fs::write(&victim, "precious").unwrap();
        std::fs::create_dir(dir.path().join("lxc-web")).unwrap();
        symlink(&victim, &plan.path).unwrap();
        let storage = storage_for(kind, local());
        assert!(storage.inspect(&plan).unwrap().exists);
        assert!(storage.create(&plan).is_err());
        assert!(storage.open(&plan, &dir.path().join("mnt")).is_err());
        assert!(storage.destroy(&plan).is_err());
        assert_eq!(std::fs::read(&victim).unwrap(), b"precious");
        assert!(plan.path.is_symlink());
    }
}

#[test]
fn paths_and_places_that_cannot_work_are_said_before_anything_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let storage = storage_for(StorageKind::Image, local());
    for bad in ["relative/x.img", "/tmp/../etc/x.img", "/"] {
        let plan = VolumePlan { path: bad.into(), ..plan(StorageKind::Image, dir.path()) };
        assert_eq!(storage.create(&plan).unwrap_err().kind(), ovz2lxc::error::Kind::Usage, "{bad}");
        assert_eq!(storage.destroy(&plan).unwrap_err().kind(), ovz2lxc::error::Kind::Usage, "{bad}");
    }
    let missing = dir.path().join("no/lxc-web.img");
    let plan = VolumePlan { path: missing, ..plan(StorageKind::Image, dir.path()) };
    let trouble = storage.inspect(&plan).unwrap().trouble.unwrap();
    assert_eq!(trouble, format!("{} is not an existing directory", dir.path().join("no").display()));
    assert!(storage.create(&plan).is_err() && !dir.path().join("no").exists());
}

#[test]
fn a_dry_run_shows_the_commands_that_run() {
    let dir = tempfile::tempdir().unwrap();
    let shown = |kind| {
        let commands = storage_for(kind, local()).create_commands(&plan(kind, Path::new("/nowhere")));
        commands.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(shown(StorageKind::Dir), ["mkdir -m 0770 /nowhere/lxc-web", "mkdir -m 0755 /nowhere/lxc-web/rootfs"]);
    assert_eq!(
        shown(StorageKind::Image),
        [
            "mkdir -m 0770 /nowhere/lxc-web",
            "truncate -s 67108864 /nowhere/lxc-web/rootfs.img",
            "mkfs.ext4 -q -m 0 -E lazy_itable_init=1,lazy_journal_init=1 /nowhere/lxc-web/rootfs.img",
        ]
    );
    assert!(!dir.path().join("lxc-web").exists());
}

#[test]
fn a_directory_is_made_opened_in_place_and_removed_with_what_a_tenant_left() {
    let dir = tempfile::tempdir().unwrap();
    let outside = dir.path().join("outside");
    std::fs::write(&outside, "precious").unwrap();
    let plan = plan(StorageKind::Dir, dir.path());
    let storage = storage_for(StorageKind::Dir, local());
    storage.create(&plan).unwrap();
    assert_eq!(plan.path.metadata().unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(plan.path.parent().unwrap().metadata().unwrap().permissions().mode() & 0o7777, 0o770);
    let open = storage.open(&plan, Path::new("/not/used")).unwrap();
    assert_eq!(open.rootfs().path(), plan.path);
    open.close().unwrap();
    std::fs::create_dir_all(plan.path.join("etc/deep")).unwrap();
    symlink(&outside, plan.path.join("etc/link")).unwrap();
    std::fs::write(plan.path.join("etc/fixed"), "x").unwrap();
    if is_root() && run("chattr", &["+i", plan.path.join("etc/fixed").to_str().unwrap()]).status != 0 {
        skip("a_directory_is_made_opened_in_place_and_removed_with_what_a_tenant_left", "no immutable files here");
    }
    storage.destroy(&plan).unwrap();
    assert!(!plan.path.parent().unwrap().exists());
    assert_eq!(std::fs::read(&outside).unwrap(), b"precious");
}

#[test]
fn a_directory_in_use_is_not_removed() {
    if !is_root() {
        return skip("a_directory_in_use_is_not_removed", "needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let plan = plan(StorageKind::Dir, dir.path());
    let storage = storage_for(StorageKind::Dir, local());
    storage.create(&plan).unwrap();
    let below = plan.path.join("proc");
    std::fs::create_dir(&below).unwrap();
    if run("mount", &["-t", "tmpfs", "none", below.to_str().unwrap()]).status != 0 {
        return skip("a_directory_in_use_is_not_removed", "mount is not permitted here");
    }
    let mounted = storage.destroy(&plan).err();
    run("umount", &[below.to_str().unwrap()]);
    assert!(mounted.unwrap().first_hint().unwrap().starts_with("umount "));

    // A process whose root it is, as that of a container: this machine's own busybox or shell, bound in.
    std::fs::create_dir(plan.path.join("bin")).unwrap();
    let busybox = Command::write("cp").arg("/usr/bin/busybox").arg(plan.path.join("bin/busybox"));
    if Local::new().run_ok(&busybox).is_err() {
        return skip("a_directory_in_use_is_not_removed", "no static busybox for a process inside");
    }
    let root = plan.path.to_str().unwrap();
    let sleeper = Local::new().spawn(&Command::read("chroot").args([root, "/bin/busybox", "sleep", "600"])).unwrap();
    let mut refused = None;
    for _ in 0..600 {
        // Until chroot(8) has called chroot(2), nothing is in use; so the tree is made to outlive one try.
        std::thread::sleep(std::time::Duration::from_millis(50));
        if rooted(&plan.path) {
            refused = storage.destroy(&plan).err();
            break;
        }
    }
    drop(sleeper);
    assert!(refused.unwrap().chain()[1].contains("runs in it"));
    assert!(plan.path.join("bin/busybox").exists());
    storage.destroy(&plan).unwrap();
}

fn rooted(path: &Path) -> bool {
    let links =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|e| std::fs::read_link(e.path().join("root")).ok());
    links.into_iter().any(|l| l == path)
}

#[test]
fn a_directory_on_a_file_system_without_programs_is_trouble() {
    if !is_root() {
        return skip("a_directory_on_a_file_system_without_programs_is_trouble", "needs root");
    }
    let dir = tempfile::tempdir().unwrap();
    let point = dir.path().to_str().unwrap();
    if run("mount", &["-t", "tmpfs", "-o", "noexec", "none", point]).status != 0 {
        return skip("a_directory_on_a_file_system_without_programs_is_trouble", "mount is not permitted here");
    }
    let facts = storage_for(StorageKind::Dir, local()).inspect(&plan(StorageKind::Dir, dir.path()));
    run("umount", &[point]);
    assert_eq!(facts.unwrap().trouble, Some(format!("{point} is mounted noexec")));
}
