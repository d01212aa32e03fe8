//! The walk of the last pass: shared among finds, and of the tree that was copied before.

use crate::desk::{Desk, instead_of, next_second, put, stream};
use crate::shell_host::ShellHost;
use crate::support::skip;
use ovz2lxc::host::{Command, Host};
use ovz2lxc::transfer::Pass;
use std::os::unix::fs::symlink;

/// More entries than one find walks on the last pass.
fn large_tree(desk: &Desk) {
    for dir in 0..40 {
        let path = desk.source.join(format!("{dir}/sub\n"));
        std::fs::create_dir_all(&path).unwrap();
        for number in 0..270 {
            std::fs::write(path.join(format!("f{number}")), "").unwrap();
            symlink("x", path.join(format!("l{number}"))).unwrap();
        }
        std::fs::hard_link(path.join("f0"), path.join("../name")).unwrap();
    }
}

#[test]
fn the_last_walk_is_shared_by_the_cores_of_the_source() {
    let Some(mut desk) = Desk::new("the_last_walk_is_shared_by_the_cores_of_the_source") else { return };
    large_tree(&desk);
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
    let engine = stream();
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
    let fail = "case \"$*\" in *-inum*) echo 'no more sessions' >&2; exit 1;; esac\n";
    instead_of(&mut desk, "find", &format!("{note}{fail}exec $real \"$@\""));
    put(&desk.source, "8/sub\n/f12", "changed");
    desk.copy(&engine, Pass::Final).unwrap();
    assert_eq!(finds(), (5, 4));
    assert_eq!(std::fs::read(desk.target.join("8/sub\n/f12")).unwrap(), b"changed");
}

#[test]
fn a_tree_whose_file_system_is_gone_does_not_empty_its_copy() {
    let test = "a_tree_whose_file_system_is_gone_does_not_empty_its_copy";
    let Some(desk) = Desk::new(test) else { return };
    let host = ShellHost::default();
    let mount = Command::write("mount").args(["-t", "tmpfs", "none"]).arg(&desk.source);
    if host.run_ok(&mount).is_err() {
        skip(test, "cannot mount a tmpfs");
        return;
    }
    (0..20).for_each(|number| put(&desk.source, &format!("d/{number}"), "kept"));
    let engine = stream();
    let copied = desk.copy(&engine, Pass::Live);
    host.run_ok(&Command::write("umount").arg(&desk.source)).unwrap();
    copied.unwrap();
    for pass in [Pass::Live, Pass::Final] {
        let error = desk.copy(&engine, pass).unwrap_err();
        assert!(error.chain().join(": ").contains("the tree is not the one of the pass before"), "{error:?}");
        assert!(error.first_hint().unwrap().contains("still mounted"), "{error:?}");
        assert_eq!(std::fs::read(desk.target.join("d/7")).unwrap(), b"kept");
    }
    // Made anew: a live pass takes it, and a last one after that.
    (0..5).for_each(|number| put(&desk.source, &format!("d/{number}"), "anew"));
    assert!(desk.copy(&engine, Pass::Final).is_err());
    desk.copy(&engine, Pass::Live).unwrap();
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("made anew", &[]);
}
