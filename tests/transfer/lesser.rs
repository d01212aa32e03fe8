//! Sources with fewer and other programs than GNU's.

use crate::desk::{Desk, next_second, put, stream};
use crate::shell_host::{ShellHost, write_program};
use crate::support::skip;
use crate::torture::{self, Extent, pattern};
use ovz2lxc::host::{Command, Host};
use ovz2lxc::model::settings::EngineChoice;
use ovz2lxc::transfer::{Engine, Pass, choose};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::Arc;

/// Puts BusyBox in the place of these programs; false when there is none that has them.
fn busybox(desk: &mut Desk, test: &str, applets: &[&str]) -> bool {
    let list = desk.host.run(&Command::read("busybox").arg("--list")).map(|o| o.text()).unwrap_or_default();
    let Some(lacking) = applets.iter().find(|applet| !list.lines().any(|line| line == **applet)) else {
        let dir = desk.temp.path().join("programs");
        std::fs::create_dir(&dir).unwrap();
        let found = ["/usr/bin/busybox", "/bin/busybox"].into_iter().find(|p| Path::new(p).exists()).unwrap();
        applets.iter().for_each(|applet| symlink(found, dir.join(applet)).unwrap());
        desk.host = ShellHost::with_programs(&dir);
        return true;
    };
    skip(test, &format!("needs a BusyBox with {lacking}"));
    false
}

#[test]
fn the_torture_tree_comes_through_busybox_but_for_what_is_named() {
    let test = "the_torture_tree_comes_through_busybox_but_for_what_is_named";
    let Some(mut desk) = Desk::new(test) else { return };
    if !busybox(&mut desk, test, &["find", "xargs", "stat", "tar", "date"]) {
        return;
    }
    torture::build(&desk.source, Extent::WithinPathMax);
    let engine = stream();
    let error = desk.copy(&engine, Pass::Live).unwrap_err();
    assert!(error.chain().join(": ").contains("does not tell when an entry changed"), "{error:?}");
    next_second();
    let stats = desk.copy(&engine, Pass::Final).unwrap();
    let lesser = stats.findings.iter().find(|f| f.id == "copy-lesser-tar").unwrap();
    let named = if lesser.detail.contains("getfattr is missing") { &["xattr"][..] } else { &[] };
    assert!(lesser.detail.contains("holes") && lesser.detail.contains("fractions"), "{lesser:?}");
    let skipped: Vec<&str> = ["allocated", "mtime"].iter().chain(named).copied().collect();
    desk.assert_equal("through BusyBox", &skipped);
    for dir in ["", "etc", "bin", "times", "nodes", "symlinks"] {
        for entry in std::fs::read_dir(desk.source.join(dir)).unwrap() {
            let name = Path::new(dir).join(entry.unwrap().file_name());
            let seconds = |tree: &Path| tree.join(&name).symlink_metadata().unwrap().mtime();
            assert_eq!(seconds(&desk.source), seconds(&desk.target), "{name:?}");
        }
    }
    // What did not change is not sent again, and what did is.
    next_second();
    let again = desk.copy(&engine, Pass::Final).unwrap();
    assert_eq!((again.files, again.deleted), (0, 0), "{again:?}");
    put(&desk.source, "etc/passwd", "changed");
    std::fs::remove_dir_all(desk.source.join("names")).unwrap();
    let stats = desk.copy(&engine, Pass::Final).unwrap();
    assert!(stats.files < 10 && stats.deleted > 3, "{stats:?}");
    desk.assert_equal("through BusyBox again", &skipped);
}

#[test]
fn a_lesser_tar_gets_its_names_in_pieces_and_its_groups_joined() {
    let test = "a_lesser_tar_gets_its_names_in_pieces_and_its_groups_joined";
    let Some(mut desk) = Desk::new(test) else { return };
    if !busybox(&mut desk, test, &["tar", "find", "stat"]) {
        return;
    }
    // Few names for each tar, whatever else xargs would give it.
    write_program(&desk.temp.path().join("programs/xargs"), "shift; exec /usr/bin/xargs -0 -n 3 \"$@\"");
    put(&desk.source, "d/first", pattern(3000));
    for number in 0..20 {
        std::fs::hard_link(desk.source.join("d/first"), desk.source.join(format!("name-{number}\n"))).unwrap();
    }
    desk.copy(&stream(), Pass::Final).unwrap();
    desk.assert_equal("in pieces", &["mtime"]);
}

#[test]
fn what_changes_under_a_lesser_tar_is_an_error() {
    let test = "what_changes_under_a_lesser_tar_is_an_error";
    let Some(mut desk) = Desk::new(test) else { return };
    // Not its xargs, which starts the tar that it has in itself.
    if !busybox(&mut desk, test, &["find", "stat"]) {
        return;
    }
    put(&desk.source, "victim", "victim");
    let tar = format!(
        "case \"$1\" in --version) echo 'tar (busybox)'; exit;; --help) echo ' --no-recursion '; exit;; esac\n{}",
        "echo more >>victim; exec /bin/busybox tar \"$@\""
    );
    write_program(&desk.temp.path().join("programs/tar"), &tar);
    let error = desk.copy(&stream(), Pass::Final).unwrap_err();
    assert!(error.chain().join(": ").contains("victim changed while it was copied"), "{error:?}");
}

#[test]
fn rsync_is_chosen_before_a_lesser_tar_and_a_lesser_tar_before_nothing() {
    let test = "rsync_is_chosen_before_a_lesser_tar_and_a_lesser_tar_before_nothing";
    let Some(mut desk) = Desk::new(test) else { return };
    if !busybox(&mut desk, test, &["find", "stat", "xargs", "tar"]) {
        return;
    }
    let local: Arc<dyn Host> = Arc::new(ShellHost::default());
    let chosen = choose(EngineChoice::Auto, &desk.host, &local, None).unwrap();
    assert_eq!((chosen.engine.name(), chosen.why.as_str()), ("rsync", "its tar is not GNU tar"));
    write_program(&desk.temp.path().join("programs/rsync"), "exit 127");
    let chosen = choose(EngineChoice::Auto, &desk.host, &local, None).unwrap();
    assert_eq!(chosen.engine.name(), "stream");
    put(&desk.source, "file", "x");
    desk.copy(chosen.engine.as_ref() as &dyn Engine, Pass::Final).unwrap();
    desk.assert_equal("without rsync", &["mtime"]);
}

#[test]
fn a_tree_is_warmed_without_a_trace() {
    let Some(mut desk) = Desk::new("a_tree_is_warmed_without_a_trace") else { return };
    put(&desk.source, "file", "x");
    let programs = desk.temp.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let log = desk.temp.path().join("log");
    let script = format!("echo \"$*\" >>'{}'\nexec /usr/bin/find \"$@\"", log.display());
    write_program(&programs.join("find"), &script);
    desk.host = ShellHost::with_programs(&programs);
    let engine = stream();
    desk.warm(&engine).unwrap();
    let walks = || std::fs::read_to_string(&log).unwrap_or_default().matches("-xdev").count();
    assert_eq!(walks(), 1);
    assert_eq!(std::fs::read_dir(&desk.target).unwrap().count(), 0);
    desk.copy(&engine, Pass::Final).unwrap();
    assert_eq!(walks(), 2);
}
