//! What an engine knows from earlier passes: when it needs no look at the target, and what an interruption leaves.

use crate::desk::{Desk, instead_of, next_second, put};
use crate::shell_host::{ShellHost, write_program};
use ovz2lxc::model::settings::Compress;
use ovz2lxc::transfer::{Pass, StreamEngine};
use std::fs::rename;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

/// An engine as a later process would make it.
fn later(desk: &Desk) -> StreamEngine {
    StreamEngine::with_index_file(&desk.temp.path().join("index")).unsure_for(Duration::ZERO)
}

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().mode() & 0o7777
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_target_that_was_left_alone_is_not_walked_and_one_that_was_not_is() {
    let Some(mut desk) = Desk::new("a_target_that_was_left_alone_is_not_walked_and_one_that_was_not_is") else {
        return;
    };
    put(&desk.source, "d/e/file", "x");
    put(&desk.source, "other", "x");
    next_second();
    desk.copy(&later(&desk), Pass::Live).unwrap();
    // Nothing at the top shows this, so that a walk would be the only way to see it.
    let deep = desk.target.join("d/e/file");
    chmod(&deep, 0o751);
    assert_eq!(desk.copy(&later(&desk), Pass::Live).unwrap().files, 0);
    assert_eq!(mode(&deep), 0o751);
    // Something changed at the top.
    put(&desk.target, "stranger", "");
    let stats = desk.copy(&later(&desk), Pass::Final).unwrap();
    assert_eq!(stats.deleted, 1, "{stats:?}");
    desk.assert_equal("after a walk", &[]);
    // With other excludes, what was left alone before has to be looked at.
    put(&desk.target, "d/kept", "");
    desk.excludes = vec!["d/kept".into()];
    desk.copy(&later(&desk), Pass::Final).unwrap();
    assert!(desk.target.join("d/kept").exists());
    desk.excludes.clear();
    assert_eq!(desk.copy(&later(&desk), Pass::Final).unwrap().deleted, 1);
    desk.assert_equal("without excludes", &[]);
}

#[test]
fn what_fixups_changed_below_the_top_is_copied_again() {
    let Some(desk) = Desk::new("what_fixups_changed_below_the_top_is_copied_again") else { return };
    for name in ["edited", "removed", "moded", "linked"] {
        put(&desk.source, &format!("etc/conf/{name}"), "of the source");
    }
    std::fs::hard_link(desk.source.join("etc/conf/linked"), desk.source.join("etc/other")).unwrap();
    next_second();
    let in_memory = StreamEngine::new().unsure_for(Duration::ZERO);
    for same_process in [false, true] {
        let engine = || if same_process { None } else { Some(later(&desk)) };
        desk.copy(engine().as_ref().unwrap_or(&in_memory), Pass::Final).unwrap();
        desk.target_changes(engine().as_ref().unwrap_or(&in_memory)).unwrap();
        // In the way of a fixup: written beside and renamed over, nothing at the top shows it.
        put(&desk.target, "etc/conf/new", "of a fixup");
        rename(desk.target.join("etc/conf/new"), desk.target.join("etc/conf/edited")).unwrap();
        put(&desk.target, "etc/conf/new", "of a fixup");
        rename(desk.target.join("etc/conf/new"), desk.target.join("etc/conf/linked")).unwrap();
        put(&desk.target, "etc/conf/added", "of a fixup");
        std::fs::remove_file(desk.target.join("etc/conf/removed")).unwrap();
        chmod(&desk.target.join("etc/conf/moded"), 0o700);
        desk.copy(engine().as_ref().unwrap_or(&in_memory), Pass::Final).unwrap();
        desk.assert_equal("after fixups", &[]);
        assert_eq!(desk.copy(engine().as_ref().unwrap_or(&in_memory), Pass::Final).unwrap().files, 0);
    }
}

#[test]
fn a_directory_that_moved_is_moved_on_the_target() {
    let Some(desk) = Desk::new("a_directory_that_moved_is_moved_on_the_target") else { return };
    for number in 0..50 {
        put(&desk.source, &format!("old/deep/file-{number}"), [b'x'; 5000]);
    }
    put(&desk.source, "stays/file", "x");
    put(&desk.source, "lost+found/file", "x");
    next_second();
    desk.copy(&later(&desk), Pass::Live).unwrap();
    let inode = desk.target.join("old/deep/file-7").metadata().unwrap().ino();
    std::fs::create_dir(desk.source.join("stays/new")).unwrap();
    rename(desk.source.join("old"), desk.source.join("stays/new/name")).unwrap();
    let stats = desk.copy(&later(&desk), Pass::Final).unwrap();
    assert!(stats.files <= 4 && stats.bytes == 0 && stats.deleted == 0, "{stats:?}");
    assert_eq!(desk.target.join("stays/new/name/deep/file-7").metadata().unwrap().ino(), inode);
    desk.assert_equal("moved", &[]);
    // Where the new name is taken on the target, by whatever was there, the content is sent.
    next_second();
    desk.copy(&later(&desk), Pass::Live).unwrap();
    rename(desk.source.join("stays/new/name"), desk.source.join("stays/other")).unwrap();
    put(&desk.target, "stays/other/in-the-way", "");
    let stats = desk.copy(&later(&desk), Pass::Live).unwrap();
    assert!(stats.files > 50 && stats.deleted > 50, "{stats:?}");
    assert!(desk.target.join("stays/other/deep/file-7").exists());
}

#[test]
fn a_pass_that_failed_leaves_nothing_that_is_trusted() {
    let Some(mut desk) = Desk::new("a_pass_that_failed_leaves_nothing_that_is_trusted") else { return };
    put(&desk.source, "d/e/file", "x");
    put(&desk.source, "f/g/file", "x");
    next_second();
    desk.copy(&later(&desk), Pass::Live).unwrap();
    put(&desk.source, "new", "x");
    let programs = desk.temp.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    write_program(
        &programs.join("tar"),
        "case \"$1\" in --version|--help) exec /bin/tar \"$@\";; esac\necho 'tar: ./d: Input/output error' >&2\nexit 2",
    );
    desk.host = ShellHost::with_programs(&programs);
    desk.copy(&later(&desk), Pass::Live).unwrap_err();
    desk.host = ShellHost::default();
    chmod(&desk.target.join("d/e/file"), 0o751);
    let stats = desk.copy(&later(&desk), Pass::Final).unwrap();
    assert!(mode(&desk.target.join("d/e/file")) == mode(&desk.source.join("d/e/file")));
    assert!(stats.files < 7, "{stats:?}");
    desk.assert_equal("after the failure", &[]);
}

#[test]
fn a_first_pass_that_was_interrupted_goes_on_where_it_was() {
    let Some(mut desk) = Desk::new("a_first_pass_that_was_interrupted_goes_on_where_it_was") else { return };
    for number in 0..5200 {
        put(&desk.source, &format!("d-{:02}/file-{number:04}", number / 100), "x");
    }
    next_second();
    let programs = desk.temp.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    write_program(
        &programs.join("tar"),
        "case \"$1\" in --version|--help) exec /bin/tar \"$@\";; esac\n/bin/tar \"$@\" | head -c 6000000",
    );
    desk.host = ShellHost::with_programs(&programs);
    desk.copy(&later(&desk), Pass::Live).unwrap_err();
    desk.host = ShellHost::default();
    let before = std::fs::read(desk.temp.path().join("index")).unwrap();
    let log = std::fs::read(desk.temp.path().join("index.arrived")).unwrap();
    let stats = desk.copy(&later(&desk), Pass::Live).unwrap();
    assert!((1000..4000).contains(&stats.files), "{stats:?}");
    desk.assert_equal("after the interruption", &[]);
    assert!(!desk.temp.path().join("index.arrived").exists());
    // What was written down on the machine as it ran before counts for nothing: it may not be on the disk.
    std::fs::write(desk.temp.path().join("index"), before).unwrap();
    let boot = log.windows(37).position(|w| w[36] == b'\n' && w[8] == b'-').unwrap();
    let mut elsewhere = log;
    elsewhere[boot] = if elsewhere[boot] == b'0' { b'1' } else { b'0' };
    std::fs::write(desk.temp.path().join("index.arrived"), elsewhere).unwrap();
    let stats = desk.copy(&later(&desk), Pass::Live).unwrap();
    assert!(stats.files > 5200, "{stats:?}");
}

#[test]
fn what_may_be_zeros_for_what_could_not_be_read_is_not_written_down_before_tar_ended() {
    let test = "what_may_be_zeros_for_what_could_not_be_read_is_not_written_down_before_tar_ended";
    let Some(mut desk) = Desk::new(test) else { return };
    for number in 0..5200 {
        put(&desk.source, &format!("d-{:02}/file-{number:04}", number / 100), "x");
    }
    // What goes first: in the order of inodes.
    let file = |number: &usize| desk.source.join(format!("d-{:02}/file-{number:04}", number / 100));
    let first = (0..5200).min_by_key(|number| file(number).metadata().unwrap().ino()).unwrap();
    std::fs::write(file(&first), "victim".repeat(700)).unwrap();
    std::fs::hard_link(file(&first), desk.source.join("bad-too")).unwrap();
    next_second();
    let zeros = r"s/victim/\x00\x00\x00\x00\x00\x00/g";
    // The pause below is no slow link.
    desk.tuning.compress = Compress::None;
    // What arrived is written down when something comes three seconds later; as it is then, a killed process leaves it.
    let script = format!(
        "$real \"$@\" | LC_ALL=C sed '{zeros}' >whole\nhead -c 4000000 whole; sleep 4; tail -c +4000001 whole | head -c 2000000\n\
         i=0; until [ $(wc -c <index.arrived) -gt 4000 ] || [ $i -ge 300 ]; do sleep 0.1; i=$((i + 1)); done\n\
         cp index.arrived killed"
    );
    instead_of(&mut desk, "tar", &script);
    desk.copy(&later(&desk), Pass::Live).unwrap_err();
    assert_eq!(std::fs::read(desk.target.join("bad-too")).unwrap(), [0; 4200]);
    std::fs::rename(desk.temp.path().join("killed"), desk.temp.path().join("index.arrived")).unwrap();
    desk.host = ShellHost::default();
    let stats = desk.copy(&later(&desk), Pass::Final).unwrap();
    desk.assert_equal("after the interruption", &[]);
    assert!((1000..4500).contains(&stats.files), "{stats:?}");
}

#[test]
fn a_damaged_index_is_said_and_costs_only_time() {
    let Some(desk) = Desk::new("a_damaged_index_is_said_and_costs_only_time") else { return };
    put(&desk.source, "d/file", "x");
    next_second();
    desk.copy(&later(&desk), Pass::Live).unwrap();
    let file = desk.temp.path().join("index");
    let mut bytes = std::fs::read(&file).unwrap();
    let last = bytes.len() - 20;
    bytes[last] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let stats = desk.copy(&later(&desk), Pass::Final).unwrap();
    assert_eq!(stats.findings.iter().filter(|f| f.id == "copy-index-damaged").count(), 1, "{stats:?}");
    assert_eq!(stats.files, 3);
    let stats = desk.copy(&later(&desk), Pass::Final).unwrap();
    assert_eq!((stats.files, stats.findings.len()), (0, 0), "{stats:?}");
    desk.assert_equal("after the damage", &[]);
}
