//! A tree is given to other ids and loses nothing else.
#![allow(unreachable_pub, reason = "the torture tree is shared with tests that have it below a module")]
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;
#[path = "support/torture.rs"]
mod torture;

use ovz2lxc::cancel::Cancel;
use ovz2lxc::error::{Kind, Result};
use ovz2lxc::host::{Command, Host, Local};
use ovz2lxc::model::settings::IdRange;
use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::rootfs::shift::{Before, Notes, Shifted, shift};
use rustix::fs::IFlags;
use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::time::Instant;
use support::{is_root, skip};
use torture::{Extent, Facts, acl, chown, own, set_xattr, survey};

const RANGE: IdRange = IdRange { base: 100_000, count: 65_536 };
const NOBODY: u32 = u32::MAX;

fn run(tree: &Path, range: IdRange, before: Before) -> Result<Shifted> {
    let dir = tempfile::tempdir().unwrap();
    noted(tree, range, before, &dir.path().join("notes"))
}

fn noted(tree: &Path, range: IdRange, before: Before, notes: &Path) -> Result<Shifted> {
    let (mut notes, _) = Notes::open(notes).unwrap();
    shift(&Rootfs::open(tree).unwrap(), range, before, &mut notes, &Cancel::new())
}

fn may(test: &str) -> bool {
    if !is_root() {
        skip(test, "only root may give files away");
    }
    is_root()
}

fn moved(owner: &str, base: u32) -> String {
    let (uid, gid) = owner.split_once(':').unwrap();
    let one = |id: &str| id.parse::<u32>().unwrap() + base;
    format!("{}:{}", one(uid), one(gid))
}

/// What a tree has to look like afterwards, from what it was.
fn expected(before: &BTreeMap<String, Facts>, base: u32) -> BTreeMap<String, Facts> {
    let mut after = before.clone();
    for (path, facts) in &mut after {
        let owner = moved(&facts["owner"], base);
        facts.insert("owner".into(), owner);
        if facts.contains_key("xattr security.capability") {
            let mut capability = torture::NET_RAW.to_vec();
            capability[3] = 3;
            capability.extend(base.to_le_bytes());
            facts.insert("xattr security.capability".into(), capability.escape_ascii().to_string());
        }
        for name in ["xattr system.posix_acl_access", "xattr system.posix_acl_default"] {
            let Some(old) = facts.get(name) else { continue };
            // The ACL of the torture tree, as it is or as a new entry inherits it (without the group's write or any bit).
            let with = |base: u32, mode: u16, mask: u16, other: u16| {
                acl(&[
                    (1, mode, NOBODY),
                    (2, 4, 1 + base),
                    (2, 6, 4_000_000 + base),
                    (4, 4, NOBODY),
                    (8, 5, 2 + base),
                    (16, mask, NOBODY),
                    (32, other, NOBODY),
                ])
                .escape_ascii()
                .to_string()
            };
            let kinds = (0..8).flat_map(|mode| (0..8).map(move |mask| (mode, mask)));
            let kind = kinds.into_iter().find(|(mode, mask)| with(0, *mode, *mask, 0) == *old);
            let (mode, mask) = kind.unwrap_or_else(|| panic!("{path}: {old}"));
            facts.insert(name.into(), with(base, mode, mask, 0));
        }
    }
    after
}

#[test]
fn everything_of_a_torture_tree_is_shifted_once_and_nothing_else_changes() {
    if !may("everything_of_a_torture_tree_is_shifted_once_and_nothing_else_changes") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    torture::build(&tree, Extent::Full);
    let range = IdRange { base: 10_000_000, count: 5_000_000 };
    let mut before = survey(&tree);
    let error = run(&tree, range, Before::Untouched).unwrap_err();
    let said = error.chain().join(": ");
    assert!(said.contains("bin/big-ids") && said.contains("id 4000000000 is not among the 5000000 ids"), "{said}");
    // That walk came half-way: the next one finds what is done already.
    chown(&tree.join("bin/big-ids"), 3_000_000, 4_000_000);
    before.get_mut("/bin/big-ids").unwrap().insert("owner".into(), "3000000:4000000".into());
    let wanted = expected(&before, range.base);
    assert!(wanted.values().any(|f| f.contains_key("xattr security.capability")), "the tree has what is tested");
    let resumed = run(&tree, range, Before::Begun).unwrap();
    assert!(resumed.changed > 0 && resumed.changed < resumed.entries, "{resumed:?}");
    assert_same(&survey(&tree), &wanted);

    let fresh = temp.path().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    torture::build(&fresh, Extent::Full);
    chown(&fresh.join("bin/big-ids"), 3_000_000, 4_000_000);
    let wanted = expected(&survey(&fresh), range.base);
    let first = run(&fresh, range, Before::Untouched).unwrap();
    assert_eq!(first.entries, first.changed);
    assert_same(&survey(&fresh), &wanted);
    let again = run(&fresh, range, Before::Begun).unwrap();
    assert_eq!((again.entries, again.changed), (first.entries, 0));
    assert_same(&survey(&fresh), &wanted);
}

fn assert_same(seen: &BTreeMap<String, Facts>, wanted: &BTreeMap<String, Facts>) {
    assert!(seen.keys().eq(wanted.keys()));
    for (path, facts) in wanted {
        assert_eq!(&seen[path], facts, "{path}");
    }
}

#[test]
fn links_lead_nowhere_and_other_file_systems_are_refused() {
    let test = "links_lead_nowhere_and_other_file_systems_are_refused";
    if !may(test) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let (tree, outside) = (temp.path().join("tree"), temp.path().join("outside"));
    for dir in [&tree, &outside, &tree.join("mounted")] {
        std::fs::create_dir(dir).unwrap();
    }
    std::fs::write(outside.join("canary"), "x").unwrap();
    symlink(&outside, tree.join("dir")).unwrap();
    symlink("../outside/canary", tree.join("file")).unwrap();
    symlink("/", tree.join("root")).unwrap();
    run(&tree, RANGE, Before::Untouched).unwrap();
    for path in [outside.clone(), outside.join("canary"), temp.path().to_owned(), "/".into()] {
        assert_eq!(std::fs::metadata(&path).unwrap().uid(), 0, "{}", path.display());
    }
    assert_eq!(std::fs::symlink_metadata(tree.join("root")).unwrap().uid(), 100_000);
    let (host, point) = (Local::new(), tree.join("mounted"));
    let mount = Command::write("mount").args(["-t", "tmpfs", "none"]).arg(&point);
    if host.run(&mount).unwrap().status != 0 {
        return skip(test, "mount is not permitted here");
    }
    let refused = run(&tree, RANGE, Before::Begun);
    let owner = std::fs::metadata(&point).unwrap().uid();
    host.run_ok(&Command::write("umount").arg(&point)).unwrap();
    assert!(refused.unwrap_err().chain().join(": ").contains("mounted at mounted"));
    assert_eq!(owner, 0, "what is mounted stays as it is");
}

fn flags(path: &Path) -> IFlags {
    rustix::fs::ioctl_getflags(File::open(path).unwrap()).unwrap()
}

fn set_flags(path: &Path, flags: IFlags) -> bool {
    let file = File::open(path).unwrap();
    let old = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
    let locked = IFlags::IMMUTABLE | IFlags::APPEND;
    rustix::fs::ioctl_setflags(&file, (old - locked) | flags).is_ok()
}

#[test]
fn immutable_and_append_only_entries_are_so_afterwards() {
    let test = "immutable_and_append_only_entries_are_so_afterwards";
    if !may(test) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("tree");
    std::fs::create_dir_all(tree.join("dir")).unwrap();
    std::fs::write(tree.join("dir/file"), "x").unwrap();
    std::fs::write(tree.join("setuid"), "x").unwrap();
    own(&tree.join("setuid"), 3, 4, 0o4755);
    set_xattr(&tree.join("setuid"), "security.capability", torture::NET_RAW);
    std::fs::write(tree.join("log"), "x").unwrap();
    let all = [("setuid", IFlags::IMMUTABLE), ("log", IFlags::APPEND), ("dir", IFlags::IMMUTABLE | IFlags::APPEND)];
    if !all.iter().all(|(name, flags)| set_flags(&tree.join(name), *flags)) {
        return skip(test, "no chattr flags on this file system");
    }
    let result = run(&tree, RANGE, Before::Untouched);
    let found = all.map(|(name, _)| flags(&tree.join(name)) & (IFlags::IMMUTABLE | IFlags::APPEND));
    for (name, _) in all {
        set_flags(&tree.join(name), IFlags::empty());
    }
    assert_eq!(result.unwrap().changed, 5);
    assert_eq!(found, all.map(|(_, flags)| flags));
    let seen = survey(&tree);
    assert_eq!((&*seen["/setuid"]["owner"], &*seen["/setuid"]["mode"]), ("100003:100004", "104755"));
    let capability = &seen["/setuid"]["xattr security.capability"];
    assert!(capability.ends_with("\\xa0\\x86\\x01\\x00"), "{capability}");
    assert_eq!(seen["/dir/file"]["owner"], "100000:100000");
    assert!(seen.values().all(|f| f.keys().all(|k| !k.contains("ovz2lxc"))), "{seen:#?}");
}

/// A walk that died when the flags were off, and before the entry itself could say so.
#[test]
fn flags_that_an_interrupted_walk_took_off_are_put_back() {
    let test = "flags_that_an_interrupted_walk_took_off_are_put_back";
    if !may(test) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let (tree, notes) = (temp.path().join("tree"), temp.path().join("notes"));
    std::fs::create_dir_all(tree.join("dir")).unwrap();
    std::fs::write(tree.join("file"), "x").unwrap();
    std::fs::hard_link(tree.join("file"), tree.join("other-name")).unwrap();
    std::fs::write(tree.join("log"), "x").unwrap();
    let all = [("file", IFlags::IMMUTABLE), ("log", IFlags::APPEND), ("dir", IFlags::IMMUTABLE)];
    let lock = |flags: fn(IFlags) -> IFlags| all.iter().all(|(name, f)| set_flags(&tree.join(name), flags(*f)));
    if !lock(|f| f) {
        return skip(test, "no chattr flags on this file system");
    }
    let first = noted(&tree, RANGE, Before::Untouched, &notes);
    let off = lock(|_| IFlags::empty());
    assert!(first.is_ok() && off);
    // As it was then: nothing had changed but the flags.
    for name in ["file", "log", "dir"] {
        chown(&tree.join(name), 0, 0);
    }
    let second = noted(&tree, RANGE, Before::Begun, &notes);
    let third = noted(&tree, RANGE, Before::Begun, &notes);
    let found = all.map(|(name, _)| flags(&tree.join(name)) & (IFlags::IMMUTABLE | IFlags::APPEND));
    lock(|_| IFlags::empty());
    assert_eq!(second.unwrap().changed, 3);
    assert_eq!(third.unwrap().changed, 0, "what is there is not set again");
    assert_eq!(found, all.map(|(_, flags)| flags));
    let seen = survey(&tree);
    assert!(seen.values().all(|f| f["owner"] == "100000:100000"), "{seen:#?}");
    assert!(seen.values().all(|f| f.keys().all(|k| !k.contains("ovz2lxc"))), "{seen:#?}");
}

/// A walk that died between what chown takes away and its return.
#[test]
fn what_an_interrupted_walk_took_off_is_put_back() {
    let test = "what_an_interrupted_walk_took_off_is_put_back";
    if !may(test) {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    let tree = temp.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    let file = tree.join("ping");
    std::fs::write(&file, "x").unwrap();
    let mark =
        |mode: u32, flags: u32, capability: &[u8]| [&mode.to_le_bytes()[..], &flags.to_le_bytes(), capability].concat();
    set_xattr(&file, "trusted.ovz2lxc.shift", &mark(0o4711, 0, torture::NET_RAW));
    own(&file, 100_000, 100_000, 0o711);
    run(&tree, RANGE, Before::Begun).unwrap();
    let seen = survey(&tree);
    assert_eq!(seen["/ping"]["mode"], "104711");
    assert!(seen["/ping"]["xattr security.capability"].ends_with("\\xa0\\x86\\x01\\x00"), "{seen:#?}");
    assert!(!seen["/ping"].contains_key("xattr trusted.ovz2lxc.shift"));
    assert_eq!(run(&tree, RANGE, Before::Begun).unwrap().changed, 0);
}

#[test]
fn an_id_of_the_range_is_only_right_when_a_walk_has_begun() {
    if !may("an_id_of_the_range_is_only_right_when_a_walk_has_begun") {
        return;
    }
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("by podman\n"), "x").unwrap();
    chown(&temp.path().join("by podman\n"), 100_500, 0);
    let said = run(temp.path(), RANGE, Before::Untouched).unwrap_err();
    assert!(said.chain().join(": ").contains("by podman\\n: id 100500 is not among the 65536 ids"), "{said:?}");
    assert!(said.first_hint().unwrap().contains("--id-range"));
    run(temp.path(), RANGE, Before::Begun).unwrap();
    let acls = tempfile::tempdir().unwrap();
    set_xattr(
        acls.path(),
        "system.posix_acl_default",
        &acl(&[(1, 7, NOBODY), (2, 7, 70_000), (4, 5, NOBODY), (16, 7, NOBODY), (32, 5, NOBODY)]),
    );
    let said = run(acls.path(), RANGE, Before::Begun).unwrap_err().chain().join(": ");
    assert!(said.contains("the top directory: id 70000 is not among"), "{said}");
}

#[test]
fn a_request_to_stop_ends_the_walk() {
    let temp = tempfile::tempdir().unwrap();
    std::fs::write(temp.path().join("f"), "").unwrap();
    let cancel = Cancel::new();
    cancel.set();
    let owner = std::fs::metadata(temp.path()).unwrap().uid();
    let range = IdRange { base: owner.max(65_536), count: 65_536 };
    if !may("a_request_to_stop_ends_the_walk") {
        return;
    }
    let (mut notes, _) = Notes::open(&tempfile::tempdir().unwrap().path().join("notes")).unwrap();
    let root = Rootfs::open(temp.path()).unwrap();
    let error = shift(&root, range, Before::Untouched, &mut notes, &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Interrupted);
}

/// Not a test of behaviour: `cargo test --release --test shift -- --ignored --nocapture` prints the figure.
#[test]
#[ignore = "a measurement"]
fn a_hundred_thousand_files() {
    let temp = tempfile::tempdir().unwrap();
    for dir in 0..1000 {
        let dir = temp.path().join(format!("d{dir}"));
        std::fs::create_dir(&dir).unwrap();
        for file in 0..100 {
            std::fs::write(dir.join(format!("file-{file}")), "content").unwrap();
        }
    }
    rustix::fs::sync();
    for (what, before) in [("shifted", Before::Untouched), ("looked at again", Before::Begun)] {
        let clock = Instant::now();
        let done = run(temp.path(), RANGE, before).unwrap();
        println!("{what}: {done:?} in {:.3} s", clock.elapsed().as_secs_f64());
        assert_eq!(done.entries, 101_001);
    }
}
