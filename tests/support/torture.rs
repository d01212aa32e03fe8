//! A tree with everything that a careless copy loses, and a comparison that sees all of it.
//!
//! The comparison reads trees by its own means and shares nothing with what it judges.
#![allow(dead_code, reason = "each test binary uses a part of it")]

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, SeekFrom, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A part of a tree that not every way of copying carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Everything.
    Full,
    /// Without paths beyond PATH_MAX, which rsync cannot reach.
    WithinPathMax,
}

/// Builds the tree in an empty directory. Needs root and a file system with extended attributes.
pub fn build(root: &Path, extent: Extent) {
    plain_entries(root);
    attributes(root);
    hard_links(root);
    sparse_files(root);
    nodes(root);
    names(root);
    links(root);
    if extent == Extent::Full {
        beyond_path_max(root);
    }
    times(root);
}

fn write(path: &Path, content: impl AsRef<[u8]>) {
    std::fs::write(path, content).unwrap();
}

/// Changes owner, then mode: the other way round loses set-id bits.
pub fn own(path: &Path, uid: u32, gid: u32, mode: u32) {
    std::os::unix::fs::lchown(path, Some(uid), Some(gid)).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn make_dir(path: &Path) -> PathBuf {
    std::fs::create_dir_all(path).unwrap();
    path.to_owned()
}

fn plain_entries(root: &Path) {
    let etc = make_dir(&root.join("etc"));
    write(&etc.join("passwd"), "root:x:0:0::/root:/bin/sh\n");
    write(&etc.join("empty"), "");
    write(&etc.join("block"), vec![b'x'; 512]);
    write(&etc.join("large"), pattern(3_000_000));
    let bin = make_dir(&root.join("bin"));
    for (name, uid, gid, mode) in [
        ("setuid", 0, 0, 0o4755),
        ("setgid", 0, 5, 0o2755),
        ("both", 33, 33, 0o6711),
        ("nothing", 0, 0, 0o000),
        ("world", 7, 8, 0o777),
        ("big-ids", 3_000_000, 4_000_000_000, 0o640),
    ] {
        write(&bin.join(name), name);
        own(&bin.join(name), uid, gid, mode);
    }
    own(&make_dir(&root.join("tmp")), 0, 0, 0o1777);
    own(&make_dir(&root.join("srv/shared")), 0, 100, 0o2775);
    write(&root.join("srv/shared/other-group"), "");
    own(&root.join("srv/shared/other-group"), 1, 1, 0o600);
    make_dir(&root.join("srv/shared/no-setgid"));
    own(&root.join("srv/shared/no-setgid"), 0, 0, 0o755);
    make_dir(&root.join("var/www/dev"));
    write(&root.join("var/www/dev/index.html"), "not /dev");
    make_dir(&root.join("dev"));
    write(&root.join("dev/something"), "is /dev");
    let sealed = make_dir(&root.join("sealed/below"));
    write(&sealed.join("file"), "in a read-only directory");
    own(&sealed, 0, 0, 0o555);
    own(&root.join("sealed"), 12, 12, 0o500);
}

/// Returns content without any run of zeros.
pub fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| u8::try_from(i % 251).unwrap() + 1).collect()
}

/// Sets an extended attribute; links are not followed.
pub fn set_xattr(path: &Path, name: &str, value: &[u8]) {
    rustix::fs::lsetxattr(path, name, value, XattrFlags::empty())
        .unwrap_or_else(|e| panic!("{name} of {}: {e}", path.display()));
}

/// Encodes a POSIX ACL as the kernel keeps it: (tag, permissions, id).
pub fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut bytes = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(permissions.to_le_bytes());
        bytes.extend(id.to_le_bytes());
    }
    bytes
}

const NOBODY: u32 = u32::MAX;
/// `CAP_NET_RAW` permitted and effective, version 2 (linux/capability.h).
pub const NET_RAW: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn attributes(root: &Path) {
    let dir = make_dir(&root.join("attributes"));
    write(&dir.join("ping"), "ping");
    set_xattr(&dir.join("ping"), "security.capability", NET_RAW);
    write(&dir.join("setuid-and-capable"), "x");
    own(&dir.join("setuid-and-capable"), 44, 44, 0o6755);
    set_xattr(&dir.join("setuid-and-capable"), "security.capability", NET_RAW);
    write(&dir.join("many"), "many");
    for (name, value) in [
        ("user.plain", b"value".as_slice()),
        ("user.empty", b""),
        ("user.bytes", b"a\nb\0c\xff=d\n"),
        ("user.a=b%3Dc%d", b"odd name"),
        ("user.\u{e4} \u{20ac}", b"blank and letters"),
        ("trusted.overlay.opaque", b"y"),
        ("security.selinux", b"system_u:object_r:etc_t:s0\0"),
        ("security.other", b"label"),
    ] {
        set_xattr(&dir.join("many"), name, value);
        set_xattr(&dir, name, value);
    }
    set_xattr(&dir.join("many"), "user.large", &pattern(1500));
    let named =
        [(1, 6, NOBODY), (2, 4, 1), (2, 6, 4_000_000), (4, 4, NOBODY), (8, 5, 2), (16, 6, NOBODY), (32, 0, NOBODY)];
    write(&dir.join("acl"), "acl");
    set_xattr(&dir.join("acl"), "system.posix_acl_access", &acl(&named));
    let inherits = make_dir(&dir.join("default-acl"));
    write(&inherits.join("inherited"), "");
    set_xattr(&inherits, "system.posix_acl_default", &acl(&named));
    write(&inherits.join("has-one"), "");
    write(&inherits.join("lost-it"), "");
    rustix::fs::lremovexattr(inherits.join("lost-it"), "system.posix_acl_access").unwrap();
    make_dir(&inherits.join("has-one.d"));
    make_dir(&inherits.join("lost-it.d"));
    for name in ["system.posix_acl_access", "system.posix_acl_default"] {
        rustix::fs::lremovexattr(inherits.join("lost-it.d"), name).unwrap();
    }
    write(&dir.join("target-of-link"), "");
    symlink("target-of-link", dir.join("link")).unwrap();
    set_xattr(&dir.join("link"), "trusted.on-a-link", b"1");
}

fn hard_links(root: &Path) {
    let (one, two) = (make_dir(&root.join("links/one")), make_dir(&root.join("links/two")));
    write(&one.join("file"), "three names");
    std::fs::hard_link(one.join("file"), one.join("second")).unwrap();
    std::fs::hard_link(one.join("file"), two.join("third")).unwrap();
    symlink("nowhere", one.join("symlink")).unwrap();
    std::fs::hard_link(one.join("symlink"), two.join("symlink")).unwrap();
    node(&one.join("fifo"), FileType::Fifo, 0o640, (0, 0));
    std::fs::hard_link(one.join("fifo"), two.join("fifo")).unwrap();
    node(&one.join("socket"), FileType::Socket, 0o700, (0, 0));
    std::fs::hard_link(one.join("socket"), two.join("socket")).unwrap();
    node(&one.join("null"), FileType::CharacterDevice, 0o666, (1, 3));
    std::fs::hard_link(one.join("null"), two.join("null")).unwrap();
}

fn sparse_files(root: &Path) {
    let dir = make_dir(&root.join("sparse"));
    let make = |name: &str, size: u64, parts: &[(u64, usize)]| {
        let file = File::create(dir.join(name)).unwrap();
        for (offset, length) in parts {
            file.write_all_at(&pattern(*length), *offset).unwrap();
        }
        file.set_len(size).unwrap();
    };
    make("all-hole", 4 << 20, &[]);
    make("hole-first", (2 << 20) + 5, &[(2 << 20, 5)]);
    make("hole-last", 3 << 20, &[(0, 5000)]);
    make("hole-between", 2 << 20, &[(0, 4096), (1 << 20, 4096), ((2 << 20) - 4096, 4096)]);
    let many: Vec<(u64, usize)> = (0..60).map(|i| (i * 131_072, 4096)).collect();
    make("many-holes", 60 * 131_072, &many);
    write(&dir.join("zeros-written"), vec![0; 100_000]);
}

/// Makes a device, FIFO or socket.
pub fn node(path: &Path, kind: FileType, mode: u32, rdev: (u32, u32)) {
    let device = rustix::fs::makedev(rdev.0, rdev.1);
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, Mode::from_raw_mode(mode), device).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn nodes(root: &Path) {
    let dir = make_dir(&root.join("nodes"));
    node(&dir.join("null"), FileType::CharacterDevice, 0o666, (1, 3));
    node(&dir.join("sda"), FileType::BlockDevice, 0o660, (8, 0));
    node(&dir.join("whiteout"), FileType::CharacterDevice, 0o000, (0, 0));
    node(&dir.join("largest"), FileType::BlockDevice, 0o600, (4095, 1_048_575));
    node(&dir.join("fifo"), FileType::Fifo, 0o4610, (0, 0));
    node(&dir.join("socket"), FileType::Socket, 0o755, (0, 0));
    own(&dir.join("socket"), 77, 78, 0o2711);
    own(&dir.join("sda"), 0, 6, 0o660);
    set_xattr(&dir.join("fifo"), "trusted.on-a-fifo", b"1");
    set_xattr(&dir.join("null"), "trusted.on-a-device", b"1");
}

fn names(root: &Path) {
    let dir = make_dir(&root.join("names"));
    let long = "n".repeat(255);
    for name in [
        long.as_bytes(),
        b"\xff\xfe not utf-8",
        b"new\nline",
        b"\n",
        b"-rf",
        b"--help",
        b" leading",
        b"trailing ",
        b" ",
        b"back\\slash",
        b"back\\nslash-n",
        b"trailing\\",
        b"tab\tbell\x07esc\x1b[2J",
        b"quote'\"`$(x)",
        b"*?[a]",
        b"{a,b}",
        b"#hash",
        b";semi",
        b"@@",
        b"...",
        b"..a",
        b"%s%n",
        b".hidden",
        b"\xc3\xa4\xe2\x82\xac",
        b"a=b",
    ] {
        write(&dir.join(OsStr::from_bytes(name)), name);
        let mut below = name[..name.len().min(250)].to_vec();
        below.extend(b".d");
        let below = make_dir(&dir.join(OsString::from_vec(below)));
        write(&below.join("in"), "");
    }
    let deep = make_dir(&root.join("deep").join(vec!["d".repeat(60); 8].join("/")));
    write(&deep.join("beyond-the-header-fields"), "");
}

fn links(root: &Path) {
    let dir = make_dir(&root.join("symlinks"));
    let longest = ["l".repeat(4), "x".repeat(4090)].join("/");
    for (name, target) in [
        ("absolute", b"/etc/passwd".as_slice()),
        ("relative", b"../etc/passwd"),
        ("dangling", b"no/such/thing"),
        ("to-directory", b"../etc"),
        ("climbing", b"../../../../../../etc"),
        ("newline", b"a\nb"),
        ("bytes", b"\xff\x01\\n"),
        ("long", "t".repeat(300).as_bytes()),
        ("longest", longest.as_bytes()),
        ("itself", b"itself"),
        ("blank", b" "),
    ] {
        symlink(OsStr::from_bytes(target), dir.join(name)).unwrap();
    }
    std::os::unix::fs::lchown(dir.join("absolute"), Some(4_000_000), Some(9)).unwrap();
}

/// Name of the first directory of the path beyond PATH_MAX, which repeats.
pub fn long_name() -> String {
    "p".repeat(120)
}

/// Opens the directory at the end of the path beyond PATH_MAX, made if missing.
pub fn open_deep(root: &Path, levels: usize) -> OwnedFd {
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut dir = rustix::fs::open(root, flags, Mode::empty()).unwrap();
    for _ in 0..levels {
        let _ = rustix::fs::mkdirat(&dir, long_name(), Mode::from_raw_mode(0o755));
        dir = rustix::fs::openat(&dir, long_name(), flags, Mode::empty()).unwrap();
    }
    dir
}

/// Writes a file into a directory by descriptor.
pub fn write_in(dir: BorrowedFd<'_>, name: &str, content: &[u8]) {
    let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::TRUNC;
    let file = rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)).unwrap();
    File::from(file).write_all(content).unwrap();
}

fn beyond_path_max(root: &Path) {
    let dir = open_deep(root, 40);
    write_in(dir.as_fd(), "file", b"at the end of 4,800 bytes of path");
    rustix::fs::symlinkat("target", &dir, "symlink").unwrap();
    rustix::fs::linkat(rustix::fs::CWD, root.join("links/one/file"), &dir, "linked", AtFlags::empty()).unwrap();
    rustix::fs::mknodat(&dir, "socket", FileType::Socket, Mode::from_raw_mode(0o755), 0).unwrap();
    rustix::fs::linkat(&dir, "file", &dir, "file-again", AtFlags::empty()).unwrap();
}

/// Sets a modification time; links are not followed.
pub fn set_time(dir: BorrowedFd<'_>, name: &OsStr, seconds: i64, nanoseconds: i64) {
    let times = Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: seconds, tv_nsec: nanoseconds },
    };
    rustix::fs::utimensat(dir, name, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

fn times(root: &Path) {
    let dir = make_dir(&root.join("times"));
    for (name, seconds, nanoseconds) in [
        ("nanosecond", 1_500_000_000, 123_456_789),
        ("one-nanosecond", 1_500_000_000, 1),
        ("epoch", 0, 0),
        ("just-before", -1, 999_999_999),
        ("before-1970", -300_000_000, 500_000_000),
        ("after-2038", 4_000_000_000, 250_000_000),
        ("after-2106", 5_000_000_000, 0),
    ] {
        write(&dir.join(name), "");
        symlink("x", dir.join(format!("{name}-link"))).unwrap();
        let opened = File::open(&dir).unwrap();
        set_time(opened.as_fd(), OsStr::new(name), seconds, nanoseconds);
        set_time(opened.as_fd(), OsStr::new(&format!("{name}-link")), seconds, nanoseconds);
    }
    // Last: every directory has a time of its own that writing into it would change.
    let mut number = 0;
    each_directory(&open_deep(root, 0), &mut |dir| {
        number += 1;
        set_time(dir, OsStr::new("."), 1_000_000_000 + number * 1000, number * 1001);
    });
}

fn each_directory(dir: &OwnedFd, act: &mut dyn FnMut(BorrowedFd<'_>)) {
    for name in names_in(dir.as_fd()) {
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(below) = rustix::fs::openat(dir, &name, flags, Mode::empty()) {
            each_directory(&below, act);
        }
    }
    act(dir.as_fd());
}

fn names_in(dir: BorrowedFd<'_>) -> Vec<OsString> {
    let names = Dir::read_from(dir).unwrap().map(|e| e.unwrap().file_name().to_bytes().to_vec());
    let mut names: Vec<OsString> = names.filter(|n| n != b"." && n != b"..").map(OsString::from_vec).collect();
    names.sort();
    names
}

/// Everything about an entry, each fact by its name.
pub type Facts = BTreeMap<String, String>;

/// Lists how two trees differ, one line each; empty when they are equal. `skip` names facts that do not count.
pub fn differences(one: &Path, other: &Path, skip: &[&str]) -> Vec<String> {
    let (one, other) = (survey(one), survey(other));
    let mut lines = Vec::new();
    for path in one.keys().chain(other.keys().filter(|p| !one.contains_key(*p))) {
        let short: String = path.chars().take(120).collect();
        match (one.get(path), other.get(path)) {
            (Some(a), Some(b)) => {
                for fact in a.keys().chain(b.keys().filter(|k| !a.contains_key(*k))) {
                    if skip.contains(&fact.as_str()) {
                        continue;
                    }
                    let same = if fact == "allocated" {
                        allocated_alike(&a[fact], b.get(fact))
                    } else {
                        a.get(fact) == b.get(fact)
                    };
                    if !same {
                        lines.push(format!("{short}: {fact}: {:?} became {:?}", a.get(fact), b.get(fact)));
                    }
                }
            }
            (Some(_), None) => lines.push(format!("{short}: missing")),
            _ => lines.push(format!("{short}: should not be there")),
        }
    }
    lines
}

/// Holes of less than 64 KiB may be filled or made; larger ones stay.
fn allocated_alike(one: &str, other: Option<&String>) -> bool {
    let (one, other): (u64, u64) = (one.parse().unwrap(), other.map_or(0, |o| o.parse().unwrap()));
    other <= one + (64 << 10)
}

/// Reads a tree: every entry with everything about it.
pub fn survey(root: &Path) -> BTreeMap<String, Facts> {
    let mut seen = BTreeMap::new();
    let mut inodes: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    let dir = open_deep(root, 0);
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    seen.insert(".".to_owned(), facts(dir.as_fd(), OsStr::new(".")));
    survey_below(
        &rustix::fs::openat(&dir, ".", flags, Mode::empty()).unwrap(),
        &mut String::new(),
        &mut seen,
        &mut inodes,
    );
    for names in inodes.values().filter(|n| n.len() > 1) {
        for name in names {
            seen.get_mut(name).unwrap().insert("same inode as".to_owned(), names.join(" | "));
        }
    }
    seen
}

fn survey_below(
    dir: &OwnedFd,
    path: &mut String,
    seen: &mut BTreeMap<String, Facts>,
    inodes: &mut BTreeMap<u64, Vec<String>>,
) {
    for name in names_in(dir.as_fd()) {
        let length = path.len();
        path.push('/');
        path.push_str(&name.as_bytes().escape_ascii().to_string());
        let stat = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
        seen.insert(path.clone(), facts(dir.as_fd(), &name));
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            survey_below(&rustix::fs::openat(dir, &name, flags, Mode::empty()).unwrap(), path, seen, inodes);
        } else {
            inodes.entry(stat.st_ino).or_default().push(path.clone());
        }
        path.truncate(length);
    }
}

fn facts(dir: BorrowedFd<'_>, name: &OsStr) -> Facts {
    let stat = rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW).unwrap();
    let kind = FileType::from_raw_mode(stat.st_mode);
    let mut facts = Facts::new();
    let mut say = |fact: &str, value: String| drop(facts.insert(fact.to_owned(), value));
    say("mode", format!("{:o}", stat.st_mode));
    say("owner", format!("{}:{}", stat.st_uid, stat.st_gid));
    say("mtime", format!("{}.{:09}", stat.st_mtime, stat.st_mtime_nsec));
    if kind != FileType::Directory {
        say("names", stat.st_nlink.to_string());
    }
    match kind {
        FileType::RegularFile => {
            let file = File::from(rustix::fs::openat(dir, name, OFlags::RDONLY, Mode::empty()).unwrap());
            say("size", stat.st_size.to_string());
            say("allocated", data_bytes(&file).to_string());
            say("content", digest(file));
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(dir, name, Vec::new()).unwrap();
            say("target", target.to_bytes().escape_ascii().to_string());
        }
        FileType::CharacterDevice | FileType::BlockDevice => say("device", format!("{:x}", stat.st_rdev)),
        _ => {}
    }
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend(name.as_bytes());
    let mut list = vec![0; 64 << 10];
    let length = rustix::fs::llistxattr(path.as_slice(), list.as_mut_slice()).unwrap_or(0);
    for attribute in list[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length = rustix::fs::lgetxattr(path.as_slice(), attribute, value.as_mut_slice()).unwrap();
        say(&format!("xattr {}", attribute.escape_ascii()), value[..length].escape_ascii().to_string());
    }
    facts
}

/// Returns how many bytes of a file are not holes.
fn data_bytes(file: &File) -> u64 {
    let (mut at, mut data) = (0, 0);
    while let Ok(start) = rustix::fs::seek(file, SeekFrom::Data(at)) {
        at = rustix::fs::seek(file, SeekFrom::Hole(start)).unwrap();
        data += at - start;
    }
    rustix::fs::seek(file, SeekFrom::Start(0)).unwrap();
    data
}

fn digest(mut file: File) -> String {
    let mut digest = Sha256::new();
    let zeros = [0; 4096];
    let mut content = Vec::new();
    file.read_to_end(&mut content).unwrap();
    for (number, block) in content.chunks(4096).enumerate() {
        if *block != zeros[..block.len()] {
            digest.update(number.to_le_bytes());
            digest.update(block);
        }
    }
    digest.finalize().iter().map(|b| format!("{b:02x}")).collect()
}

/// Changes the owner of what is not followed, for mutations.
pub fn chown(path: &Path, uid: u32, gid: u32) {
    let ids = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(rustix::fs::CWD, path, ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
