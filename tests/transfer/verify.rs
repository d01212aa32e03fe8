//! What a comparison finds, and that it finds nothing where nothing is.

use crate::desk::{Desk, put, rsync, stream};
use crate::shell_host::{ShellHost, write_program};
use crate::support::skip;
use crate::torture;
use ovz2lxc::event::Silent;
use ovz2lxc::model::settings::{IdRange, Tuning, Verify};
use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::transfer::{Cause, Check, Engine, Job, Pass, StreamEngine, Verified};
use std::ffi::CString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

fn compare(desk: &Desk, engine: &dyn Engine, how: Verify, ids: Option<IdRange>) -> Verified {
    let root = Rootfs::open(&desk.target).unwrap();
    let job = Job {
        source: &desk.host,
        tree: desk.source.clone(),
        target: &root,
        pass: Pass::Final,
        still: false,
        excludes: desk.excludes.clone(),
        tuning: Tuning::default(),
        ctid: "101".to_owned(),
        phase: "verify".to_owned(),
        expected: None,
        events: &Silent,
        cancel: &desk.cancel,
    };
    engine.verify(&job, &Check { how, ids, cause: &|_| Cause::Copy }).unwrap()
}

fn found(verified: &Verified) -> Vec<(String, String)> {
    let mut found: Vec<_> = verified.listed.iter().map(|d| (d.path.clone(), d.what.clone())).collect();
    found.sort();
    found
}

fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty()).unwrap();
}

#[test]
fn a_copy_of_everything_that_copies_lose_has_no_difference() {
    let test = "a_copy_of_everything_that_copies_lose_has_no_difference";
    let Some(desk) = Desk::new(test) else { return };
    torture::build(&desk.source, torture::Extent::Full);
    let engine = stream();
    desk.copy(&engine, Pass::Final).unwrap();
    for how in [Verify::Metadata, Verify::Content] {
        // The first has the index of the pass, the second lists the source anew.
        let verified = compare(&desk, &engine, how, None);
        assert_eq!(found(&verified), [], "{how:?}");
        assert!(verified.entries > 50);
        assert_eq!(verified.content_files > 0, how == Verify::Content);
    }
    assert_eq!(found(&compare(&desk, &rsync(), Verify::Metadata, None)), []);
}

#[test]
fn every_difference_is_found_and_named() {
    let test = "every_difference_is_found_and_named";
    let Some(desk) = Desk::new(test) else { return };
    let (source, target) = (desk.source.clone(), desk.target.clone());
    for name in
        ["mode", "owner", "size", "time", "content", "new\nline", "gone", "type", "xattr", "lostxattr", "a", "c"]
    {
        put(&source, &format!("d/{name}"), format!("content of {name}"));
    }
    std::fs::hard_link(source.join("d/a"), source.join("d/b")).unwrap();
    symlink("there", source.join("d/link")).unwrap();
    put(&source, "full/below/file", "x");
    let device = |path: &Path, minor| {
        let device = rustix::fs::makedev(1, minor);
        let mode = rustix::fs::Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::CharacterDevice, mode, device).unwrap();
    };
    device(&source.join("d/null"), 3);
    for name in ["xattr", "lostxattr"] {
        set_xattr(&source.join("d").join(name), "user.x", b"1");
    }
    let engine = StreamEngine::new();
    desk.copy(&engine, Pass::Final).unwrap();

    let d = target.join("d");
    let keep_time = |path: &Path, change: &dyn Fn()| {
        let before = std::fs::metadata(path).unwrap().modified().unwrap();
        change();
        std::fs::File::options().write(true).open(path).unwrap().set_modified(before).unwrap();
    };
    std::fs::set_permissions(d.join("mode"), std::fs::Permissions::from_mode(0o4711)).unwrap();
    std::os::unix::fs::lchown(d.join("owner"), Some(5), Some(6)).unwrap();
    keep_time(&d.join("size"), &|| std::fs::write(d.join("size"), "x").unwrap());
    keep_time(&d.join("content"), &|| std::fs::write(d.join("content"), "CONTENT of content").unwrap());
    keep_time(&d.join("new\nline"), &|| std::fs::write(d.join("new\nline"), "CONTENT of new\nline").unwrap());
    let nanosecond = std::time::Duration::from_nanos(1);
    let file = std::fs::File::options().write(true).open(d.join("time")).unwrap();
    file.set_modified(file.metadata().unwrap().modified().unwrap() + nanosecond).unwrap();
    set_xattr(&d.join("xattr"), "user.x", b"2");
    rustix::fs::lremovexattr(d.join("lostxattr"), "user.x").unwrap();
    for name in ["gone", "type", "link", "null", "b"] {
        std::fs::remove_file(d.join(name)).unwrap();
    }
    std::fs::remove_dir_all(target.join("full")).unwrap();
    std::fs::create_dir(d.join("type")).unwrap();
    std::fs::write(d.join("type/extra"), "").unwrap();
    std::fs::write(d.join("extra"), "").unwrap();
    std::fs::hard_link(d.join("c"), d.join("b")).unwrap();
    symlink("elsewhere", d.join("link")).unwrap();
    device(&d.join("null"), 5);
    restore_times(&source, &target, &["d/link", "d/null", "d"]);

    let verified = compare(&desk, &engine, Verify::Content, None);
    let found = found(&verified);
    let what = |path: &str| {
        let of: Vec<&str> = found.iter().filter(|(p, _)| p == path).map(|(_, w)| w.as_str()).collect();
        of.join(" + ")
    };
    assert_eq!(what("d/mode"), "mode 4711 instead of 0644");
    assert_eq!(what("d/owner"), "owner 5:6 instead of 0:0");
    assert_eq!(what("d/size"), "1 bytes instead of 15");
    assert!(what("d/time").starts_with("time "), "{}", what("d/time"));
    for path in ["d/content", "d/new\\nline"] {
        assert_eq!(what(path), "other content", "{found:?}");
    }
    assert_eq!((what("d/gone").as_str(), what("full/below/file").as_str()), ("is missing", "is missing"));
    assert_eq!(what("d/type"), "is a directory instead of a file");
    assert_eq!(
        (what("d/extra").as_str(), what("d/type/extra").as_str()),
        ("is not on the source", "is not on the source")
    );
    assert_eq!(
        (what("d/xattr").as_str(), what("d/lostxattr").as_str()),
        ("other extended attributes", "other extended attributes")
    );
    assert_eq!(what("d/link"), "points to elsewhere instead of there");
    assert_eq!(what("d/null"), "device 1:5 instead of 1:3");
    assert!(what("d/b").contains("is no other name of what it is linked with on the source"), "{}", what("d/b"));
    assert!(what("d/c").contains("is linked with what it is not linked with on the source"), "{found:?}");
    assert_eq!(verified.count(Cause::Copy), found.len() as u64);
    // Without the content the two whose attributes are right are not found.
    assert_eq!(compare(&desk, &engine, Verify::Metadata, None).count(Cause::Copy) + 2, found.len() as u64);
    assert_eq!(compare(&desk, &engine, Verify::None, None).entries, 0);
}

/// Gives entries of the copy the times of the source's.
fn restore_times(source: &Path, target: &Path, paths: &[&str]) {
    for path in paths {
        let from = rustix::fs::lstat(source.join(path)).unwrap();
        let time = rustix::fs::Timespec { tv_sec: from.st_mtime, tv_nsec: i64::try_from(from.st_mtime_nsec).unwrap() };
        let times = rustix::fs::Timestamps { last_access: time, last_modification: time };
        let name = CString::new(target.join(path).to_str().unwrap()).unwrap();
        let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
        rustix::fs::utimensat(rustix::fs::CWD, name, &times, flags).unwrap();
    }
}

#[test]
fn ids_that_were_shifted_are_expected_to_be() {
    let test = "ids_that_were_shifted_are_expected_to_be";
    let Some(desk) = Desk::new(test) else { return };
    put(&desk.source, "f", "x");
    desk.copy(&stream(), Pass::Final).unwrap();
    let range = IdRange { base: 100_000, count: 65_536 };
    assert_eq!(compare(&desk, &stream(), Verify::Metadata, Some(range)).count(Cause::Copy), 2);
    for path in [desk.target.clone(), desk.target.join("f")] {
        std::os::unix::fs::lchown(path, Some(100_000), Some(100_000)).unwrap();
    }
    assert_eq!(found(&compare(&desk, &stream(), Verify::Metadata, Some(range))), []);
}

#[test]
fn a_source_without_getfattr_is_compared_as_far_as_it_goes() {
    let test = "a_source_without_getfattr_is_compared_as_far_as_it_goes";
    let Some(mut desk) = Desk::new(test) else { return };
    put(&desk.source, "f", "x");
    set_xattr(&desk.source.join("f"), "user.x", b"1");
    desk.copy(&stream(), Pass::Final).unwrap();
    rustix::fs::lremovexattr(desk.target.join("f"), "user.x").unwrap();
    assert_eq!(compare(&desk, &stream(), Verify::Metadata, None).count(Cause::Copy), 1);
    let programs = desk.temp.path().join("few");
    std::fs::create_dir(&programs).unwrap();
    for program in ["sh", "find", "env", "xargs", "stat", "date", "tar"] {
        let real = ["/usr/bin", "/bin"].iter().map(|d| Path::new(d).join(program)).find(|p| p.exists()).unwrap();
        symlink(real, programs.join(program)).unwrap();
    }
    desk.host = ShellHost { path: Some(programs.into()), ..ShellHost::default() };
    let verified = compare(&desk, &stream(), Verify::Metadata, None);
    assert_eq!(verified.count(Cause::Copy), 0);
    assert!(verified.findings.iter().any(|f| f.id == "verify-no-getfattr"), "{:?}", verified.findings);
}

#[test]
fn a_file_that_one_side_cannot_read_is_a_difference() {
    let test = "a_file_that_one_side_cannot_read_is_a_difference";
    let Some(mut desk) = Desk::new(test) else { return };
    if !Path::new("/usr/bin/sha1sum").exists() {
        return skip(test, "there is no sha1sum");
    }
    for number in 0..50 {
        put(&desk.source, &format!("f{number:02}"), format!("{number}"));
    }
    desk.copy(&stream(), Pass::Final).unwrap();
    let programs = desk.temp.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let script = "/usr/bin/sha1sum \"$@\" | grep -v /f17\necho \"sha1sum: ./f17: Input/output error\" >&2\nexit 1\n";
    write_program(&programs.join("sha1sum"), script);
    desk.host = ShellHost::with_programs(&programs);
    let verified = compare(&desk, &stream(), Verify::Content, None);
    assert_eq!(found(&verified), [("f17".to_owned(), "cannot be read on the source".to_owned())]);
}
