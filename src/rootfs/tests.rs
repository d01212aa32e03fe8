use super::*;
use rustix::fs::{CWD, FileType, XattrFlags};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use tempfile::TempDir;

fn tree() -> (TempDir, Rootfs) {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("root/etc")).unwrap();
    let rootfs = Rootfs::open(&dir.path().join("root")).unwrap();
    (dir, rootfs)
}

#[test]
fn replacing_keeps_owner_mode_and_attributes() {
    let (dir, rootfs) = tree();
    let path = dir.path().join("root/etc/rc.sysinit");
    fs::write(&path, "old\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    let root = rustix::process::geteuid().is_root();
    if root {
        std::os::unix::fs::chown(&path, Some(500), Some(12)).unwrap();
    }
    let xattrs = rustix::fs::setxattr(&path, "user.note", b"kept", XattrFlags::empty()).is_ok();
    // An ACL: owner, user 7, group, mask, others (acl(5), as the kernel stores it).
    let mut acl = vec![2, 0, 0, 0];
    for (tag, bits, id) in [(1u16, 7u16, u32::MAX), (2, 6, 7), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 5, u32::MAX)] {
        acl.extend([tag.to_le_bytes(), bits.to_le_bytes()].concat());
        acl.extend(id.to_le_bytes());
    }
    let acls = rustix::fs::setxattr(&path, "system.posix_acl_access", &acl, XattrFlags::empty()).is_ok();
    let before = fs::metadata(&path).unwrap();

    let image = rootfs.preimage(Path::new("etc/rc.sysinit"), 1024).unwrap();
    let replaced = rootfs.replace(Path::new("etc/rc.sysinit"), b"new\n", 0o600, LastLink::Follow).unwrap();
    assert_eq!(replaced, Replaced::default());
    let after = fs::metadata(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "new\n");
    assert_ne!(after.ino(), before.ino(), "a new file took its place");
    assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
    let value = |name: &str| {
        let mut value = vec![0u8; 256];
        rustix::fs::getxattr(&path, name, &mut value[..]).map(|n| value[..n].to_vec()).ok()
    };
    if xattrs {
        assert_eq!(value("user.note").as_deref(), Some(&b"kept"[..]));
    }
    if acls {
        assert_eq!(value("system.posix_acl_access"), Some(acl.clone()));
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    rootfs.revert(&[image]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "old\n");
    assert_eq!(fs::metadata(&path).unwrap().mode(), before.mode());
    if acls {
        assert_eq!(value("system.posix_acl_access"), Some(acl));
    }
    assert_eq!(fs::read_dir(dir.path().join("root/etc")).unwrap().count(), 1, "no temporary file stays");
}

#[test]
fn the_last_link_is_followed_inside_or_replaced() {
    let (dir, rootfs) = tree();
    let canary = dir.path().join("canary");
    fs::write(&canary, "host\n").unwrap();
    let etc = dir.path().join("root/etc");
    fs::create_dir(etc.join("rc.d")).unwrap();
    fs::write(etc.join("rc.d/rc"), "old\n").unwrap();
    symlink("rc.d/rc", etc.join("rc")).unwrap();
    rootfs.replace(Path::new("etc/rc"), b"new\n", 0o644, LastLink::Follow).unwrap();
    assert_eq!(fs::read_to_string(etc.join("rc.d/rc")).unwrap(), "new\n");
    assert!(fs::symlink_metadata(etc.join("rc")).unwrap().is_symlink());
    rootfs.replace(Path::new("etc/rc"), b"own\n", 0o644, LastLink::Replace).unwrap();
    assert!(fs::symlink_metadata(etc.join("rc")).unwrap().is_file());
    assert_eq!(fs::read_to_string(etc.join("rc.d/rc")).unwrap(), "new\n");

    symlink(&canary, etc.join("out")).unwrap();
    assert!(rootfs.read(Path::new("etc/out"), 100).unwrap().is_none(), "the host's file is not there");
    assert!(rootfs.replace(Path::new("etc/out"), b"x", 0o644, LastLink::Follow).is_err());
    assert_eq!(fs::read_to_string(&canary).unwrap(), "host\n");
}

#[test]
fn only_regular_files_of_some_size_are_read() {
    let (dir, rootfs) = tree();
    let etc = dir.path().join("root/etc");
    rustix::fs::mknodat(CWD, etc.join("fifo"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    fs::create_dir(etc.join("dir")).unwrap();
    fs::File::create(etc.join("huge")).unwrap().set_len(1 << 30).unwrap();
    symlink("loop", etc.join("loop")).unwrap();
    for (name, why) in [("fifo", "a FIFO"), ("dir", "a directory"), ("huge", "1073741824"), ("loop", "resolving")] {
        let error = rootfs.read(&Path::new("etc").join(name), 4096).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    assert!(rootfs.read(Path::new("etc/none"), 10).unwrap().is_none());
    assert!(rootfs.read(Path::new("none/none"), 10).unwrap().is_none());
}

#[test]
fn removal_is_never_recursive_and_modes_of_shared_files_stay() {
    let (dir, rootfs) = tree();
    let etc = dir.path().join("root/etc");
    fs::create_dir_all(etc.join("full/x")).unwrap();
    assert!(rootfs.remove(Path::new("etc/full")).is_err());
    rootfs.remove(Path::new("etc/full/x")).unwrap();
    rootfs.remove(Path::new("etc/full")).unwrap();
    rootfs.remove(Path::new("etc/full")).unwrap();
    fs::write(dir.path().join("canary"), "").unwrap();
    fs::hard_link(dir.path().join("canary"), etc.join("shared")).unwrap();
    assert!(rootfs.set_mode(Path::new("etc/shared"), 0o777).is_err());
    assert!(rootfs.remove(Path::new("etc/..")).is_err());
    symlink("/etc", etc.join("link")).unwrap();
    rootfs.remove(Path::new("etc/link")).unwrap();
    assert!(etc.is_dir());
}

#[test]
fn patterns_match_inside_the_root_only() {
    let (dir, rootfs) = tree();
    let etc = dir.path().join("root/etc");
    fs::create_dir(dir.path().join("outside")).unwrap();
    fs::write(dir.path().join("outside/S10x"), "").unwrap();
    symlink(dir.path().join("outside"), etc.join("rc1.d")).unwrap();
    fs::create_dir(etc.join("rc3.d")).unwrap();
    for name in ["rc3.d/S10x", "rc3.d/.S1x", "rc3.d/S100x", "rc3.d/K90x"] {
        fs::write(etc.join(name), "").unwrap();
    }
    let found = rootfs.glob("etc/rc?.d/S??x").unwrap();
    assert_eq!(found, [PathBuf::from("etc/rc3.d/S10x")]);
    let all = rootfs.glob("/etc/rc*/*x").unwrap();
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(rootfs.canonical(Path::new("etc/../../../etc/rc3.d"), true).unwrap(), PathBuf::from("etc/rc3.d"));
}

#[test]
fn control_characters_are_escaped_in_messages() {
    assert_eq!(look::shown(Path::new("etc/a\u{1b}[2Jb\n")), "/etc/a\\u{1b}[2Jb\\n");
}
