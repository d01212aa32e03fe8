//! The walk of the last pass: shared among finds, and of the tree that was copied before.

use crate::desk::{Desk, instead_of, next_second, put, rsync, stream};
use crate::shell_host::ShellHost;
use crate::support::skip;
use ovz2lxc::error::Error;
use ovz2lxc::host::{Command, Host};
use ovz2lxc::transfer::{Engine, Pass, StreamEngine};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

fn make_tree(desk: &Desk) {
    for dir in 0..25 {
        let path = desk.source.join(format!("{dir}/sub\n"));
        std::fs::create_dir_all(&path).unwrap();
        for number in 0..15 {
            std::fs::write(path.join(format!("f{number}")), "").unwrap();
            symlink("x", path.join(format!("l{number}"))).unwrap();
        }
        std::fs::hard_link(path.join("f0"), path.join("../name")).unwrap();
    }
}

#[test]
fn the_last_walk_is_shared_by_the_cores_of_the_source() {
    let Some(mut desk) = Desk::new("the_last_walk_is_shared_by_the_cores_of_the_source") else { return };
    make_tree(&desk);
    next_second();
    // One write: several finds note at once.
    let note = r#"printf '%s\n' "$(echo "$*" | tr '\n' ' ')" >>finds"#.to_owned() + "\n";
    instead_of(&mut desk, "grep", "echo 4");
    instead_of(&mut desk, "find", &format!("{note}exec $real \"$@\""));
    let log = desk.temp.path().join("finds");
    let finds = || {
        let lines = std::fs::read_to_string(&log).unwrap();
        std::fs::remove_file(&log).unwrap();
        let walks: Vec<&str> = lines.lines().filter(|line| line.contains("%y")).collect();
        (walks.len(), walks.iter().filter(|line| line.contains("-inum")).count())
    };
    let engine = stream().sharing_from(500);
    desk.copy(&engine, Pass::Live).unwrap();
    assert_eq!(finds(), (1, 0));
    put(&desk.source, "7/sub\n/f11", "changed");
    put(&desk.source, "new/dir/file", "new");
    std::fs::remove_file(desk.source.join("9/sub\n/l3")).unwrap();
    std::fs::remove_dir_all(desk.source.join("13")).unwrap();
    std::fs::rename(desk.source.join("20"), desk.source.join("21/moved")).unwrap();
    let stats = desk.copy(&engine, Pass::Final).unwrap();
    assert_eq!(finds(), (4, 4));
    assert!(stats.files < 60, "{stats:?}");
    desk.assert_equal("after the last pass", &[]);

    // A server that allows one session only, or whatever else: one find can do it alone.
    // All of them are there before the first one fails.
    let fail = "case \"$*\" in *-inum*) i=0\n\
        until awk '/-inum/ { n++ } END { exit n < 4 }' finds || [ $i -ge 300 ]; do sleep 0.1; i=$((i + 1)); done\n\
        echo 'no more sessions' >&2; exit 1;; esac\n";
    instead_of(&mut desk, "find", &format!("{note}{fail}exec $real \"$@\""));
    put(&desk.source, "8/sub\n/f12", "changed");
    desk.copy(&engine, Pass::Final).unwrap();
    assert_eq!(finds(), (5, 4));
    assert_eq!(std::fs::read(desk.target.join("8/sub\n/f12")).unwrap(), b"changed");
}

#[test]
fn a_name_that_changes_hands_between_two_finds_is_not_lost() {
    let Some(mut desk) = Desk::new("a_name_that_changes_hands_between_two_finds_is_not_lost") else { return };
    let file = |number: &usize| format!("{number}/file");
    (0..64).for_each(|number| put(&desk.source, &file(&number), number.to_string()));
    let inode = |number: &usize| desk.source.join(file(number)).metadata().unwrap().ino();
    let (low, high) = ((0..64).min_by_key(inode).unwrap(), (0..64).max_by_key(inode).unwrap());
    next_second();
    instead_of(&mut desk, "grep", "echo 2");
    let engine = stream().sharing_from(1);
    desk.copy(&engine, Pass::Live).unwrap();
    // The find that prints the high inode has passed by when the low one's name gets it; the other comes after that.
    let rename = format!("mv so*/{high}/file so*/{low}/file; touch renamed");
    let script = format!(
        "case \"$*\" in *'! -inum'*) $real \"$@\"; s=$?; {rename}; exit $s;; *-inum*) while [ ! -e renamed ]; do sleep 0.02; done;; esac\n\
         exec $real \"$@\""
    );
    instead_of(&mut desk, "find", &script);
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after the renaming", &[]);
}

#[test]
fn a_walk_is_gentle_while_the_container_runs() {
    let test = "a_walk_is_gentle_while_the_container_runs";
    let Some(mut desk) = Desk::new(test) else { return };
    let own = desk.host.run_ok(&Command::read("nice")).unwrap().text();
    if own.trim() == "19" {
        skip(test, "the tests run with niceness 19, so nothing can be seen to run gentler");
        return;
    }
    instead_of(&mut desk, "find", "nice >>niceness\nexec $real \"$@\"");
    desk.copy(&stream(), Pass::Live).unwrap();
    desk.copy(&stream(), Pass::Final).unwrap();
    desk.tuning.full_speed = true;
    desk.copy(&stream(), Pass::Live).unwrap();
    let said = std::fs::read_to_string(desk.temp.path().join("niceness")).unwrap();
    assert_eq!(said, format!("19\n{own}{own}"));
}

/// A file system over a desk's source, as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    /// Mounts it, with some files in it.
    fn below(desk: &Desk, files: usize) -> Option<Mounted> {
        let mount = Command::write("mount").args(["-t", "tmpfs", "none"]).arg(&desk.source);
        ShellHost::default().run_ok(&mount).ok()?;
        (0..files).for_each(|number| put(&desk.source, &format!("d/{number}"), "kept"));
        Some(Mounted(desk.source.clone()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = ShellHost::default().run(&Command::write("umount").arg(&self.0));
    }
}

#[test]
fn nothing_is_not_copied_over_a_copy_also_when_nothing_is_remembered() {
    let test = "nothing_is_not_copied_over_a_copy_also_when_nothing_is_remembered";
    let Some(mut desk) = Desk::new(test) else { return };
    desk.excludes = vec!["kept".into()];
    // What is left out is nothing.
    put(&desk.source, "kept/of-the-source", "");
    let engines: [&dyn Fn() -> Box<dyn Engine>; 2] = [&|| Box::new(rsync()), &|| Box::new(stream())];
    for engine in engines {
        // Over what is no copy, nothing may be copied.
        put(&desk.target, "kept/of-the-target", "");
        desk.copy(engine().as_ref(), Pass::Live).unwrap();
        let Some(mounted) = Mounted::below(&desk, 20) else {
            skip(test, "cannot mount a tmpfs");
            return;
        };
        let copied = desk.copy(engine().as_ref(), Pass::Live).and_then(|_| desk.warm(engine().as_ref()));
        drop(mounted);
        copied.unwrap();
        // Also before a container is stopped for nothing.
        let warmed = desk.warm(engine().as_ref());
        for refused in [Pass::Live, Pass::Final].map(|pass| desk.copy(engine().as_ref(), pass).map(drop)) {
            let error = refused.unwrap_err();
            assert!(error.chain().join(": ").contains("is empty, its copy is not"), "{error:?}");
            assert!(error.first_hint().unwrap().contains("still mounted"), "{error:?}");
        }
        assert!(warmed.unwrap_err().first_hint().unwrap().contains("still mounted"));
        assert_eq!(std::fs::read(desk.target.join("d/7")).unwrap(), b"kept");
        std::fs::remove_dir_all(desk.target.join("d")).unwrap();
    }
}

#[test]
fn a_tree_whose_file_system_is_gone_does_not_empty_its_copy() {
    let test = "a_tree_whose_file_system_is_gone_does_not_empty_its_copy";
    let Some(desk) = Desk::new(test) else { return };
    let mounted = Mounted::below(&desk, 20);
    if mounted.is_none() {
        skip(test, "cannot mount a tmpfs");
        return;
    }
    let file = desk.temp.path().join("index");
    let engine = || StreamEngine::with_index_file(&file).unsure_for(Duration::ZERO);
    let copied = desk.copy(&engine(), Pass::Live).and_then(|_| desk.warm(&engine()));
    drop(mounted);
    copied.unwrap();
    let refused = |error: Error| {
        assert!(error.chain().join(": ").contains("the tree is not the one of the pass before"), "{error:?}");
        let hint = error.first_hint().unwrap();
        assert!(hint.contains("still mounted") && hint.contains(&file.display().to_string()), "{hint}");
        assert_eq!(std::fs::read(desk.target.join("d/7")).unwrap(), b"kept");
    };
    refused(desk.copy(&engine(), Pass::Live).unwrap_err());
    refused(desk.copy(&engine(), Pass::Final).unwrap_err());
    // Before a container is stopped for nothing.
    refused(desk.warm(&engine()).unwrap_err());
    // Made anew: not on a last pass without a live one.
    (0..5).for_each(|number| put(&desk.source, &format!("d/{number}"), "anew"));
    refused(desk.copy(&engine(), Pass::Final).unwrap_err());
    desk.copy(&engine(), Pass::Live).unwrap();
    desk.copy(&engine(), Pass::Final).unwrap();
    desk.assert_equal("made anew", &[]);
    // Another target has nothing to lose.
    std::fs::remove_dir_all(&desk.source).unwrap();
    put(&desk.source, "x", "small");
    std::fs::rename(&desk.target, desk.temp.path().join("before")).unwrap();
    std::fs::create_dir(&desk.target).unwrap();
    desk.copy(&engine(), Pass::Live).unwrap();
    std::fs::remove_dir_all(desk.temp.path().join("before")).unwrap();
    desk.assert_equal("another target", &[]);
}
