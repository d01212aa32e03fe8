//! A live pass, changes, a last pass: the target is what a fresh copy would be.

use crate::desk::{Desk, instead_of, next_second, put, rsync, stream};
use crate::seeds::Dice;
use crate::torture::{self, Extent, pattern, set_xattr};
use ovz2lxc::transfer::{Engine, Pass};
use rustix::fs::FileType;
use std::ffi::OsStr;
use std::fs::{File, hard_link, remove_dir_all, remove_file, rename};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// Puts content into a file without changing its size, inode or time.
fn rewrite_secretly(path: &Path) {
    let meta = path.metadata().unwrap();
    let file = File::options().write(true).open(path).unwrap();
    file.write_all_at(b"SECRET", 0).unwrap();
    let dir = File::open(path.parent().unwrap()).unwrap();
    torture::set_time(dir.as_fd(), path.file_name().unwrap(), meta.mtime(), meta.mtime_nsec());
}

/// Does something to a tree and puts the times of its directory back.
fn behind_the_directory(dir: &Path, act: impl Fn()) {
    let meta = dir.metadata().unwrap();
    act();
    torture::set_time(File::open(dir).unwrap().as_fd(), OsStr::new("."), meta.mtime(), meta.mtime_nsec());
}

type Mutation = (&'static str, fn(&Path));

const MUTATIONS: [Mutation; 40] = [
    ("create a file", |t| put(t, "new/below/file", "new")),
    ("create behind the directory's time", |t| behind_the_directory(&t.join("etc"), || put(t, "etc/new", ""))),
    ("delete behind the directory's time", |t| {
        behind_the_directory(&t.join("etc"), || remove_file(t.join("etc/block")).unwrap());
    }),
    ("append", |t| File::options().append(true).open(t.join("etc/passwd")).unwrap().write_all(b"x").unwrap()),
    ("truncate", |t| File::options().write(true).open(t.join("etc/large")).unwrap().set_len(17).unwrap()),
    ("same size, same time, other content", |t| rewrite_secretly(&t.join("etc/passwd"))),
    ("replace by another inode of the same look", |t| {
        let (old, new) = (t.join("etc/passwd"), t.join("etc/.passwd"));
        let meta = old.metadata().unwrap();
        std::fs::write(&new, vec![b'#'; usize::try_from(meta.len()).unwrap()]).unwrap();
        let dir = File::open(t.join("etc")).unwrap();
        torture::set_time(dir.as_fd(), OsStr::new(".passwd"), meta.mtime(), meta.mtime_nsec());
        rename(new, old).unwrap();
    }),
    ("rename a file", |t| rename(t.join("etc/large"), t.join("etc/larger")).unwrap()),
    ("rename a file over another", |t| rename(t.join("etc/large"), t.join("etc/passwd")).unwrap()),
    ("swap two files", |t| {
        rename(t.join("bin/setuid"), t.join("x")).unwrap();
        rename(t.join("bin/world"), t.join("bin/setuid")).unwrap();
        rename(t.join("x"), t.join("bin/world")).unwrap();
    }),
    ("rename a directory", |t| rename(t.join("names"), t.join("names-moved")).unwrap()),
    ("swap two directories", |t| {
        rename(t.join("bin"), t.join("x")).unwrap();
        rename(t.join("etc"), t.join("bin")).unwrap();
        rename(t.join("x"), t.join("etc")).unwrap();
    }),
    ("delete a file", |t| remove_file(t.join("etc/empty")).unwrap()),
    ("delete a tree", |t| remove_dir_all(t.join("names")).unwrap()),
    ("delete a directory that is full of read-only things", |t| remove_dir_all(t.join("sealed")).unwrap()),
    ("chmod a file", |t| torture::own(&t.join("etc/passwd"), 0, 0, 0o4711)),
    ("chmod a directory", |t| torture::own(&t.join("sealed"), 12, 12, 0o1777)),
    ("chown a file, which clears its capability", |t| torture::chown(&t.join("attributes/ping"), 5, 6)),
    ("chown a link", |t| torture::chown(&t.join("symlinks/dangling"), 5, 6)),
    ("chown a device", |t| torture::chown(&t.join("nodes/sda"), 5, 6)),
    ("set an attribute", |t| set_xattr(&t.join("etc/passwd"), "user.new", b"1")),
    ("change an attribute of a directory", |t| set_xattr(&t.join("attributes"), "user.plain", b"other")),
    ("remove an attribute", |t| rustix::fs::lremovexattr(t.join("attributes/many"), "user.plain").unwrap()),
    ("set a capability", |t| set_xattr(&t.join("bin/world"), "security.capability", torture::NET_RAW)),
    ("remove an ACL", |t| {
        rustix::fs::lremovexattr(t.join("attributes/acl"), "system.posix_acl_access").unwrap();
    }),
    ("remove a default ACL", |t| {
        rustix::fs::lremovexattr(t.join("attributes/default-acl"), "system.posix_acl_default").unwrap();
    }),
    ("change an attribute of a link", |t| set_xattr(&t.join("attributes/link"), "trusted.on-a-link", b"2")),
    ("touch a directory", |t| torture::set_time(File::open(t).unwrap().as_fd(), OsStr::new("etc"), 77, 88)),
    ("touch by nanoseconds", |t| {
        let dir = File::open(t.join("times")).unwrap();
        torture::set_time(dir.as_fd(), OsStr::new("nanosecond"), 1_500_000_000, 123_456_788);
    }),
    ("a file becomes a directory", |t| {
        remove_file(t.join("etc/passwd")).unwrap();
        put(t, "etc/passwd/inside", "x");
    }),
    ("a directory becomes a file", |t| {
        remove_dir_all(t.join("names")).unwrap();
        put(t, "names", "now a file");
    }),
    ("a directory becomes a link to where it went", |t| {
        rename(t.join("var"), t.join("var-moved")).unwrap();
        symlink("var-moved", t.join("var")).unwrap();
    }),
    ("a link becomes a directory", |t| {
        remove_file(t.join("symlinks/to-directory")).unwrap();
        put(t, "symlinks/to-directory/passwd", "below what was a link");
    }),
    ("a link points elsewhere", |t| {
        remove_file(t.join("symlinks/relative")).unwrap();
        symlink("../etc/group", t.join("symlinks/relative")).unwrap();
    }),
    ("a device gets other numbers, a FIFO becomes a socket", |t| {
        remove_file(t.join("nodes/null")).unwrap();
        torture::node(&t.join("nodes/null"), FileType::CharacterDevice, 0o666, (1, 5));
        remove_file(t.join("nodes/fifo")).unwrap();
        torture::node(&t.join("nodes/fifo"), FileType::Socket, 0o640, (0, 0));
    }),
    ("another name for a file", |t| hard_link(t.join("etc/passwd"), t.join("bin/passwd")).unwrap()),
    ("a name leaves its group", |t| {
        remove_file(t.join("links/two/third")).unwrap();
        put(t, "links/two/third", "three names");
    }),
    ("groups are regrouped", |t| {
        put(t, "links/one/other", "other group");
        hard_link(t.join("links/one/other"), t.join("x")).unwrap();
        rename(t.join("x"), t.join("links/two/third")).unwrap();
        remove_file(t.join("links/one/second")).unwrap();
        hard_link(t.join("links/one/symlink"), t.join("links/one/second")).unwrap();
    }),
    ("a write through one name of a group", |t| rewrite_secretly(&t.join("links/one/second"))),
    ("holes are filled and punched", |t| {
        put(t, "sparse/all-hole", pattern(500_000));
        let file = File::options().write(true).open(t.join("etc/large")).unwrap();
        let flags = rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE;
        rustix::fs::fallocate(&file, flags, 4096, 1 << 20).unwrap();
        let file = File::options().write(true).open(t.join("sparse/hole-last")).unwrap();
        file.set_len(9 << 20).unwrap();
    }),
];

/// Does every mutation between a live and a last pass, each on a tree of its own.
fn every_mutation(test: &str, engine: &dyn Engine, extent: Extent) {
    let Some(mut desk) = Desk::new(test) else { return };
    let pristine = desk.source.clone();
    torture::build(&pristine, extent);
    let place = |side: &str, number: usize| desk.temp.path().join(format!("{side}-{number}"));
    let places: Vec<(PathBuf, PathBuf)> =
        (0..MUTATIONS.len()).map(|number| (place("source", number), place("target", number))).collect();
    for (source, target) in &places {
        clone_tree(&pristine, source);
        std::fs::create_dir(target).unwrap();
    }
    next_second();
    for ((what, mutate), (source, target)) in MUTATIONS.iter().zip(places) {
        (desk.source, desk.target) = (source, target);
        desk.copy(engine, Pass::Live).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        mutate(&desk.source);
        let stats = desk.copy(engine, Pass::Final).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert!(stats.files + stats.deleted > 0, "{what}: {stats:?}");
        assert!(stats.files < 120, "{what} sent everything again: {stats:?}");
        desk.assert_equal(&format!("{}: {what}", engine.name()), &[]);
    }
}

/// Copies a tree with the machine's cp, which knows all that is in it.
fn clone_tree(from: &Path, to: &Path) {
    #[expect(clippy::disallowed_methods, reason = "makes a tree to copy")]
    let status = std::process::Command::new("cp").arg("-a").arg("--sparse=always").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn stream_catches_every_mutation() {
    every_mutation("stream_catches_every_mutation", &stream(), Extent::WithinPathMax);
}

#[test]
fn rsync_catches_every_mutation() {
    every_mutation("rsync_catches_every_mutation", &rsync(), Extent::WithinPathMax);
}

#[test]
fn stream_catches_what_changes_beyond_path_max() {
    let Some(desk) = Desk::new("stream_catches_what_changes_beyond_path_max") else { return };
    torture::build(&desk.source, Extent::Full);
    let engine = stream();
    next_second();
    desk.copy(&engine, Pass::Live).unwrap();
    next_second();
    assert_eq!(desk.copy(&engine, Pass::Live).unwrap().files, 0);
    let deep = torture::open_deep(&desk.source, 40);
    torture::write_in(deep.as_fd(), "file", b"changed");
    torture::write_in(deep.as_fd(), "created", b"");
    rustix::fs::unlinkat(&deep, "linked", rustix::fs::AtFlags::empty()).unwrap();
    rustix::fs::linkat(rustix::fs::CWD, desk.source.join("etc/empty"), &deep, "linked", rustix::fs::AtFlags::empty())
        .unwrap();
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("beyond PATH_MAX", &[]);
}

fn some_path(dice: &mut Dice, top: &Path) -> PathBuf {
    let names = ["a", "b", "c", "a b", "x\n"];
    (0..=dice.roll(3)).fold(top.to_owned(), |path, _| path.join(names[dice.roll(names.len())]))
}

/// Does something somewhere; what cannot be done there is no change, and just as good.
fn mutate_at_random(dice: &mut Dice, top: &Path) {
    let (path, other) = (some_path(dice, top), some_path(dice, top));
    let _ = std::fs::create_dir_all(path.parent().unwrap());
    match dice.roll(14) {
        // Never into a device or a FIFO, by whatever link.
        0 | 1 if path.metadata().map_or(path.symlink_metadata().is_err(), |m| m.is_file()) => {
            drop(std::fs::write(&path, pattern(dice.roll(9000))));
        }
        2 => drop(std::fs::create_dir_all(&path)),
        3 => drop(remove_dir_all(&path).or_else(|_| remove_file(&path))),
        4 | 5 => drop(rename(&path, &other)),
        6 | 7 => drop(hard_link(&path, &other)),
        8 => drop(symlink(&other, &path)),
        9 if path.symlink_metadata().is_ok_and(|m| m.is_file() && m.len() > 6) => rewrite_secretly(&path),
        10 if path.symlink_metadata().is_ok() => {
            torture::chown(&path, u32::try_from(dice.roll(5000)).unwrap(), 3);
        }
        11 if path.symlink_metadata().is_ok_and(|m| !m.is_symlink()) => {
            torture::own(&path, 0, 0, u32::try_from(dice.roll(0o7777)).unwrap() | 0o400);
        }
        // Attributes of sockets are not carried; `copy-sockets` says so.
        12 if path.symlink_metadata().is_ok_and(|m| !m.file_type().is_socket()) => {
            set_xattr(&path, "trusted.t", &pattern(dice.roll(20)));
        }
        13 if path.symlink_metadata().is_err() && path.parent().unwrap().is_dir() => {
            let kind = [FileType::Fifo, FileType::Socket, FileType::CharacterDevice][dice.roll(3)];
            // A number that no driver has.
            torture::node(&path, kind, 0o600, (4095, u32::try_from(dice.roll(9)).unwrap()));
        }
        _ => {}
    }
}

fn rounds(test: &str, engine: &dyn Engine, seed: u64, count: usize) {
    let Some(mut desk) = Desk::new(test) else { return };
    // As many finds share a walk as ever do.
    instead_of(&mut desk, "grep", "echo 4");
    let mut dice = Dice(seed);
    for round in 0..count {
        for _ in 0..=dice.roll(12) {
            mutate_at_random(&mut dice, &desk.source);
        }
        if dice.roll(3) == 0 {
            desk.copy(engine, Pass::Live).unwrap_or_else(|e| panic!("seed {seed}, round {round}: {e:?}"));
            mutate_at_random(&mut dice, &desk.source);
        }
        if dice.roll(8) == 0 {
            next_second();
        }
        desk.copy(engine, Pass::Final).unwrap_or_else(|e| panic!("seed {seed}, round {round}: {e:?}"));
        desk.assert_equal(&format!("{}, seed {seed}, round {round}", engine.name()), &[]);
    }
}

/// Rounds of several seeds side by side: most of their time they wait for the next second.
fn rounds_side_by_side(test: &str, seeds: std::ops::Range<u64>, count: usize) {
    std::thread::scope(|scope| {
        for seed in seeds {
            // Every other one shares the last walk.
            let from = if seed % 2 == 0 { 1 } else { 1_000_000 };
            scope.spawn(move || rounds(test, &stream().sharing_from(from), seed, count));
        }
    });
}

#[test]
fn stream_follows_random_mutations() {
    rounds_side_by_side("stream_follows_random_mutations", 1..9, 125);
}

#[test]
#[ignore = "minutes of random changes: make soak"]
fn stream_follows_random_mutations_for_minutes() {
    rounds_side_by_side("stream_follows_random_mutations_for_minutes", 100..116, 500);
}

#[test]
fn rsync_follows_random_mutations() {
    rounds("rsync_follows_random_mutations", &rsync(), 3, 60);
}
