//! Large files that changed in place: only what changed in them travels.

use crate::desk::{Desk, next_second, put, stream};
use crate::shell_host::{ShellHost, write_program};
use crate::support::skip;
use crate::torture::{acl, pattern, set_xattr};
use ovz2lxc::error::Kind;
use ovz2lxc::transfer::{Pass, StreamEngine};
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

const MIB: usize = 1 << 20;

fn engine() -> StreamEngine {
    stream().with_rsync_on(Arc::new(ShellHost::default()))
}

fn desk(test: &str) -> Option<Desk> {
    if !Path::new("/usr/bin/rsync").exists() {
        skip(test, "rsync is not installed");
        return None;
    }
    let mut desk = Desk::new(test)?;
    desk.host = ShellHost::remote(desk.temp.path());
    Some(desk)
}

fn change(file: &Path, at: u64, with: &[u8]) {
    let mut file = File::options().write(true).open(file).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(with).unwrap();
}

#[test]
fn one_changed_mebibyte_of_two_hundred_is_all_that_travels() {
    let Some(desk) = desk("one_changed_mebibyte_of_two_hundred_is_all_that_travels") else { return };
    let data = desk.source.join("var/li b/$data\n*");
    put(&desk.source, "var/li b/$data\n*", pattern(MIB).repeat(200));
    put(&desk.source, "var/grows", pattern(MIB).repeat(20));
    put(&desk.source, "small", pattern(MIB));
    let engine = engine();
    desk.copy(&engine, Pass::Live).unwrap();
    next_second();
    change(&data, 77_777_777, &vec![0xA5; MIB]);
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o4750)).unwrap();
    std::os::unix::fs::chown(&data, Some(1234), Some(70_000)).unwrap();
    set_xattr(&data, "user.new", b"\x00\xff\n");
    set_xattr(
        &data,
        "system.posix_acl_access",
        &acl(&[(1, 7, u32::MAX), (2, 5, 33), (4, 5, u32::MAX), (16, 5, u32::MAX), (32, 0, u32::MAX)]),
    );
    let mut grows = File::options().append(true).open(desk.source.join("var/grows")).unwrap();
    grows.write_all(&pattern(3 * MIB)).unwrap();
    change(&desk.source.join("small"), 5, b"small");
    next_second();
    let stats = desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after the last pass", &[]);
    assert!(stats.sent_bytes < 10 * MIB as u64, "{stats:?}");
    assert!(stats.findings.is_empty(), "{:?}", stats.findings);
    assert!(stats.files >= 3, "{stats:?}");
    // What came by blocks counts as known afterwards.
    assert!(desk.copy(&engine, Pass::Final).unwrap().sent_bytes < 64 << 10);
}

#[test]
fn while_the_source_runs_everything_is_sent_whole() {
    let Some(desk) = desk("while_the_source_runs_everything_is_sent_whole") else { return };
    put(&desk.source, "data", pattern(MIB).repeat(20));
    let engine = engine();
    desk.copy(&engine, Pass::Live).unwrap();
    next_second();
    change(&desk.source.join("data"), 5, b"x");
    let stats = desk.copy(&engine, Pass::Live).unwrap();
    assert!(stats.sent_bytes > 20 * MIB as u64, "{stats:?}");
}

#[test]
fn without_a_working_rsync_there_the_file_is_sent_whole() {
    let Some(mut desk) = desk("without_a_working_rsync_there_the_file_is_sent_whole") else { return };
    put(&desk.source, "data", pattern(MIB).repeat(20));
    put(&desk.source, "linked", pattern(MIB).repeat(20));
    std::fs::hard_link(desk.source.join("linked"), desk.source.join("other")).unwrap();
    let engine = engine();
    desk.copy(&engine, Pass::Live).unwrap();
    next_second();
    change(&desk.source.join("data"), 5, b"x");
    change(&desk.source.join("linked"), 5, b"x");
    instead_of_rsync(&mut desk, "exit 12");
    let stats = desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after a broken rsync", &[]);
    assert!(stats.sent_bytes > 40 * MIB as u64, "{stats:?}");
    let finding = stats.findings.iter().find(|f| f.id == "copy-blocks-given-up").unwrap();
    assert!(finding.title.starts_with("1 large files"), "one with several names is sent whole anyhow: {finding:?}");
}

/// Puts an rsync on the source that answers when it is asked for its version, and does this at work.
fn instead_of_rsync(desk: &mut Desk, script: &str) {
    let programs = desk.temp.path().join("programs");
    std::fs::create_dir(&programs).unwrap();
    let script = format!("case \"$1\" in --version) exec /usr/bin/rsync --version;; esac\n{script}\n");
    write_program(&programs.join("rsync"), &script);
    let ssh = desk.temp.path().join("fake ssh");
    let text = std::fs::read_to_string(&ssh).unwrap();
    std::fs::write(&ssh, text.replace("exec sh", &format!("PATH={}:$PATH exec sh", programs.display()))).unwrap();
}

#[test]
fn a_request_to_stop_is_heard_while_blocks_move_and_the_next_pass_repairs() {
    let test = "a_request_to_stop_is_heard_while_blocks_move_and_the_next_pass_repairs";
    let Some(mut desk) = desk(test) else { return };
    put(&desk.source, "data", pattern(MIB).repeat(40));
    let engine = engine();
    desk.copy(&engine, Pass::Live).unwrap();
    next_second();
    change(&desk.source.join("data"), 5, &[7; 4096]);
    let marker = desk.temp.path().join("at-work");
    instead_of_rsync(&mut desk, &format!("touch '{}'\nexec sleep 100", marker.display()));
    let error = std::thread::scope(|scope| {
        scope.spawn(|| {
            let begun = std::time::Instant::now();
            while !marker.exists() && begun.elapsed() < std::time::Duration::from_secs(60) {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            desk.cancel.set();
        });
        desk.copy(&engine, Pass::Final).unwrap_err()
    });
    assert_eq!(error.kind(), Kind::Interrupted, "{error:?}");
    desk.cancel = ovz2lxc::cancel::Cancel::new();
    std::fs::remove_file(desk.temp.path().join("programs/rsync")).unwrap();
    desk.copy(&engine, Pass::Final).unwrap();
    desk.assert_equal("after the second pass", &[]);
}
