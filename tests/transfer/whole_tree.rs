//! A tree with everything in it arrives as it is.

use crate::desk::{Desk, next_second, put, rsync, stream};
use crate::shell_host::{ShellHost, write_program};
use crate::torture::{self, Extent};
use ovz2lxc::event::{Event, Recorder};
use ovz2lxc::model::settings::{Compress, Tuning};
use ovz2lxc::model::size::Bytes;
use ovz2lxc::transfer::{Engine, Pass};
use std::fs::{File, hard_link};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

fn torture_arrives(test: &str, engine: &dyn Engine, extent: Extent, remote: bool) {
    let Some(mut desk) = Desk::new(test) else { return };
    torture::build(&desk.source, extent);
    if remote {
        desk.host = ShellHost::remote(desk.temp.path());
    }
    for pass in [Pass::Live, Pass::Final] {
        let stats = desk.copy(engine, pass).unwrap();
        assert_eq!(stats.engine, engine.name());
        let strange = stats.findings.iter().find(|f| f.id != "copy-sockets");
        assert!(strange.is_none(), "{strange:?}");
        desk.assert_equal(&format!("{} {pass:?}", engine.name()), &[]);
    }
}

#[test]
fn stream_carries_the_torture_tree() {
    torture_arrives("stream_carries_the_torture_tree", &stream(), Extent::Full, false);
}

#[test]
fn stream_carries_the_torture_tree_from_a_remote_host() {
    torture_arrives("stream_carries_the_torture_tree_from_a_remote_host", &stream(), Extent::Full, true);
}

/// A host that counts how often its tar is run for a copy.
fn count_tars(desk: &mut Desk) -> std::path::PathBuf {
    let (dir, log) = (desk.temp.path().join("programs"), desk.temp.path().join("tars"));
    std::fs::create_dir(&dir).unwrap();
    let asked = "case \"$1\" in --version|--help) exec /bin/tar \"$@\";; esac";
    write_program(&dir.join("tar"), &format!("{asked}\necho x >>'{}'\nexec /bin/tar \"$@\"", log.display()));
    desk.host = ShellHost::with_programs(&dir);
    log
}

#[test]
fn the_torture_tree_arrives_however_it_is_streamed() {
    let test = "the_torture_tree_arrives_however_it_is_streamed";
    let three = Tuning { streams: Some(3.try_into().unwrap()), ..Tuning::default() };
    // A slow machine and a limit look like a slow link, which would be compressed in another stream.
    let limit = Tuning { bwlimit: Some(Bytes(8 << 20)), compress: Compress::None, ..Tuning::default() };
    let ways = [
        ("three streams", three),
        ("gzip", Tuning { compress: Compress::Gzip, ..Tuning::default() }),
        ("gzip, three streams", Tuning { compress: Compress::Gzip, ..three }),
        ("a limit", limit),
        ("a limit, three streams", Tuning { streams: three.streams, ..limit }),
    ];
    let Some(mut desk) = Desk::new(test) else { return };
    torture::build(&desk.source, Extent::Full);
    let log = count_tars(&mut desk);
    for (way, tuning) in ways {
        desk.tuning = tuning;
        desk.target = desk.temp.path().join(way);
        std::fs::create_dir(&desk.target).unwrap();
        let _ = std::fs::remove_file(&log);
        // With nothing remembered, the last pass brings everything again, over what is there.
        for pass in [Pass::Live, Pass::Final] {
            let stats = desk.copy(&stream(), pass).unwrap();
            let strange = stats.findings.iter().find(|f| f.id != "copy-sockets");
            assert!(strange.is_none(), "{way}: {strange:?}");
            desk.assert_equal(&format!("{way}, {pass:?}"), &[]);
            if tuning.compress == Compress::Gzip {
                assert!(stats.sent_bytes * 2 < stats.bytes, "{way}: {stats:?}");
            }
        }
        // The path beyond PATH_MAX has a tar of its own.
        let tars = std::fs::read_to_string(&log).unwrap().lines().count();
        assert!(if tuning.streams.is_some() { tars >= 8 } else { tars == 4 }, "{way}: {tars} tars");
        let parent = std::fs::File::open(desk.temp.path()).unwrap();
        ovz2lxc::rootfs::walk::remove(parent.as_fd(), way.as_ref()).unwrap();
    }
}

#[test]
fn rsync_carries_the_torture_tree() {
    torture_arrives("rsync_carries_the_torture_tree", &rsync(), Extent::WithinPathMax, false);
}

#[test]
fn rsync_carries_the_torture_tree_from_a_remote_host() {
    torture_arrives("rsync_carries_the_torture_tree_from_a_remote_host", &rsync(), Extent::WithinPathMax, true);
}

#[test]
fn the_comparison_sees_every_kind_of_difference() {
    let Some(desk) = Desk::new("the_comparison_sees_every_kind_of_difference") else { return };
    torture::build(&desk.source, Extent::Full);
    desk.copy(&stream(), Pass::Final).unwrap();
    let damage: [(&str, &dyn Fn()); 9] = [
        ("content", &|| put(&desk.target, "etc/passwd", "root:x:0:0::/root:/bin/SH\n")),
        ("allocated", &|| put(&desk.target, "sparse/all-hole", vec![0; 4 << 20])),
        ("owner", &|| torture::chown(&desk.target.join("symlinks/long"), 1, 0)),
        ("mode", &|| torture::own(&desk.target.join("sealed"), 12, 12, 0o700)),
        ("mtime", &|| put(&desk.target, "tmp/new", "")),
        ("xattr trusted.on-a-link", &|| {
            torture::set_xattr(&desk.target.join("attributes/link"), "trusted.on-a-link", b"2");
        }),
        ("should not be there", &|| put(&desk.target, "more", "")),
        ("missing", &|| std::fs::remove_file(desk.target.join("nodes/socket")).unwrap()),
        ("same inode as", &|| {
            std::fs::remove_file(desk.target.join("links/two/third")).unwrap();
            put(&desk.target, "links/two/third", "three names");
        }),
    ];
    for (fact, harm) in damage {
        harm();
        let lines = torture::differences(&desk.source, &desk.target, &[]);
        assert!(lines.iter().any(|l| l.contains(fact)), "{fact} not in {lines:?}");
    }
}

#[test]
fn excludes_are_anchored_and_keep_what_is_on_the_target() {
    for engine in [&stream() as &dyn Engine, &rsync()] {
        let Some(mut desk) = Desk::new("excludes_are_anchored_and_keep_what_is_on_the_target") else { return };
        for path in ["dev/null-file", "var/www/dev/index.html", "proc/1/status", "srv/proc/x", "a*b/x", "axb/x"] {
            put(&desk.source, path, "x");
        }
        put(&desk.target, "proc/kept", "on the target");
        desk.excludes = ["dev", "proc/*", "a*b"].map(Into::into).to_vec();
        desk.copy(engine, Pass::Live).unwrap();
        desk.copy(engine, Pass::Final).unwrap();
        let name = engine.name();
        assert!(!desk.target.join("dev").exists(), "{name}");
        assert!(!desk.target.join("a*b").exists(), "{name}");
        assert!(!desk.target.join("proc/1").exists(), "{name}");
        for path in ["var/www/dev/index.html", "srv/proc/x", "axb/x", "proc/kept"] {
            assert!(desk.target.join(path).exists(), "{name}: {path}");
        }
    }
}

#[test]
fn what_the_source_does_not_have_goes_and_is_counted() {
    for engine in [&stream() as &dyn Engine, &rsync()] {
        let Some(desk) = Desk::new("what_the_source_does_not_have_goes_and_is_counted") else { return };
        put(&desk.source, "keep/file", "x");
        put(&desk.target, "keep/gone", "x");
        put(&desk.target, "tree/of/three", "x");
        put(&desk.target, "lost+found/by-mkfs", "x");
        let stats = desk.copy(engine, Pass::Final).unwrap();
        assert_eq!(stats.deleted, 4, "{}", engine.name());
        assert!(desk.target.join("lost+found/by-mkfs").exists(), "{}", engine.name());
        std::fs::remove_dir_all(desk.target.join("lost+found")).unwrap();
        desk.assert_equal(engine.name(), &["mtime"]);
    }
}

#[test]
fn statistics_and_events_say_what_happened() {
    for engine in [&stream() as &dyn Engine, &rsync()] {
        let Some(desk) = Desk::new("statistics_and_events_say_what_happened") else { return };
        put(&desk.source, "a", torture::pattern(100_000));
        put(&desk.source, "d/b", torture::pattern(50_000));
        let events = Recorder::default();
        let stats = desk.copy_telling(engine, Pass::Live, &events).unwrap();
        // rsync does not always count the top.
        let all = if engine.name() == "rsync" { 3..=4 } else { 4..=4 };
        assert!(all.contains(&stats.files) && stats.bytes == 150_000, "{stats:?}");
        assert!(stats.sent_bytes > 150_000 || engine.name() == "rsync", "{stats:?}");
        assert!(stats.sent_bytes > 0 && stats.seconds > 0.0, "{stats:?}");
        match events.events().last() {
            Some(Event::Progress { ctid, phase, files, bytes, .. }) => {
                assert_eq!((ctid.as_str(), phase.as_str(), *files, *bytes), ("101", "copy", stats.files, 150_000));
            }
            other => panic!("{}: {other:?}", engine.name()),
        }
    }
}

#[test]
fn a_pass_over_an_unchanged_tree_sends_nothing() {
    let Some(desk) = Desk::new("a_pass_over_an_unchanged_tree_sends_nothing") else { return };
    torture::build(&desk.source, Extent::WithinPathMax);
    next_second();
    let file = desk.temp.path().join("index");
    let engine = || ovz2lxc::transfer::StreamEngine::with_index_file(&file).unsure_for(std::time::Duration::ZERO);
    assert!(desk.copy(&engine(), Pass::Live).unwrap().files > 100);
    let again = desk.copy(&engine(), Pass::Final).unwrap();
    assert_eq!((again.files, again.bytes, again.deleted), (0, 0, 0));
    desk.assert_equal("unchanged", &[]);
    // An index of another tree, or one that is cut off, is worth nothing.
    std::fs::write(&file, &std::fs::read(&file).unwrap()[..500]).unwrap();
    assert!(desk.copy(&engine(), Pass::Final).unwrap().files > 100);
    desk.assert_equal("after a damaged index", &[]);
}

#[test]
fn a_minute_of_doubt_sends_what_changed_lately_again() {
    let Some(desk) = Desk::new("a_minute_of_doubt_sends_what_changed_lately_again") else { return };
    put(&desk.source, "young", "x");
    let engine = ovz2lxc::transfer::StreamEngine::new();
    desk.copy(&engine, Pass::Live).unwrap();
    assert_eq!(desk.copy(&engine, Pass::Final).unwrap().files, 2);
}

#[test]
fn rsync_keeps_what_an_acl_grants_the_group() {
    let Some(desk) = Desk::new("rsync_keeps_what_an_acl_grants_the_group") else { return };
    put(&desk.source, "shared/file", "x");
    // user::rwx, user:54321:r--, group::rwx, mask::rwx, other::rwx (acl(5), linux/posix_acl_xattr.h)
    let mut acl = 2u32.to_le_bytes().to_vec();
    for (tag, bits, id) in
        [(1u16, 7u16, u32::MAX), (2, 4, 54321), (4, 7, u32::MAX), (16, 7, u32::MAX), (32, 7, u32::MAX)]
    {
        acl.extend(tag.to_le_bytes().iter().chain(&bits.to_le_bytes()).chain(&id.to_le_bytes()));
    }
    for name in ["shared", "shared/file"] {
        torture::own(&desk.source.join(name), 0, 0, 0o777);
        torture::set_xattr(&desk.source.join(name), "system.posix_acl_access", &acl);
    }
    desk.copy(&rsync(), Pass::Final).unwrap();
    desk.assert_equal("rsync", &[]);
}

#[test]
fn files_beyond_4_gib_with_holes_and_tens_of_thousands_of_names_arrive() {
    let test = "files_beyond_4_gib_with_holes_and_tens_of_thousands_of_names_arrive";
    let Some(mut desk) = Desk::new(test) else { return };
    desk.tuning.streams = Some(2.try_into().unwrap());
    let pieces: [(u64, &[u8]); 4] =
        [(0, b"first"), ((4 << 30) - 3, b"across"), (5 << 30, b"beyond"), (9 << 30, b"last")];
    let large = File::create(desk.source.join("large")).unwrap();
    pieces.iter().for_each(|(at, piece)| large.write_all_at(piece, *at).unwrap());
    large.set_len((9 << 30) + (1 << 20)).unwrap();
    let hole = File::create(desk.source.join("hole")).unwrap();
    hole.set_len(6 << 30).unwrap();
    put(&desk.source, "names/0", "one of many");
    let name = |tree: &Path, number: usize| tree.join(format!("names/{number}"));
    // ext4 has no room for more than 65,000.
    (1..64_000).for_each(|number| hard_link(name(&desk.source, 0), name(&desk.source, number)).unwrap());
    desk.copy(&stream(), Pass::Final).unwrap();
    let there = File::open(desk.target.join("large")).unwrap();
    for (at, piece) in pieces {
        let mut found = vec![1; piece.len() + 2];
        there.read_exact_at(&mut found, at).unwrap();
        assert_eq!(found, [piece, &[0, 0]].concat(), "{at}");
    }
    for (file, mib) in [("large", 1), ("hole", 0)] {
        let (one, other) = (desk.source.join(file).metadata().unwrap(), desk.target.join(file).metadata().unwrap());
        assert_eq!((one.len(), one.mtime_nsec()), (other.len(), other.mtime_nsec()));
        assert!(other.blocks() <= mib << 11, "{file} takes {} blocks", other.blocks());
    }
    let first = name(&desk.target, 0).metadata().unwrap();
    assert_eq!((first.nlink(), first.len()), (64_000, 11));
    assert!((1..64_000).all(|number| name(&desk.target, number).metadata().unwrap().ino() == first.ino()));
}
