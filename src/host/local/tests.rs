use super::*;
use crate::cancel::Cancel;
use crate::error::Kind;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::time::{Duration, Instant};

fn sh(script: &str) -> Command {
    Command::read("sh").arg("-c").arg(script)
}

fn is_alive(pid: i32) -> bool {
    // A zombie whose parent is gone may stay a moment in a container without an init.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| !s.contains(") Z "))
}

fn wait_gone(pid: i32) -> bool {
    (0..200).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        !is_alive(pid)
    })
}

#[test]
fn runs_with_a_plain_locale_and_reports_status_and_both_outputs() {
    let out = Local::new().run(&sh("echo $LC_ALL; echo oops >&2; exit 3")).unwrap();
    assert_eq!((out.status, out.stdout.as_slice(), out.stderr.as_slice()), (3, &b"C\n"[..], &b"oops\n"[..]));
}

#[test]
fn a_signal_is_128_and_more() {
    assert_eq!(Local::new().run(&sh("kill -9 $$")).unwrap().status, 137);
}

#[test]
fn run_ok_names_command_and_what_was_said() {
    let e = Local::new().run_ok(&sh("echo no space >&2; exit 5")).unwrap_err();
    assert!(e.chain()[0].contains("exit status 5"), "{e:?}");
    assert_eq!(e.chain()[1], "no space");
}

#[test]
fn hostile_bytes_reach_the_program_unchanged() {
    let bytes: Vec<u8> = (1..=255).collect();
    let out = Local::new().run(&Command::read("printf").arg("%s").arg(OsString::from_vec(bytes.clone()))).unwrap();
    assert_eq!(out.stdout, bytes);
}

#[test]
fn big_input_output_and_error_at_once_do_not_deadlock() {
    let input = vec![7u8; 8 << 20];
    let c = sh("cat; head -c 4194304 /dev/zero >&2").stdin(input.clone()).timeout(Duration::from_secs(60));
    let out = Local::new().run(&c).unwrap();
    assert_eq!(out.stdout, input);
    assert_eq!(out.stderr.len(), 64 * 1024);
}

#[test]
fn a_program_that_reads_nothing_is_no_error() {
    let out = Local::new().run(&Command::read("true").stdin(vec![0; 1 << 20])).unwrap();
    assert_eq!(out.status, 0);
}

#[test]
fn standard_input_is_closed_unless_given() {
    assert_eq!(Local::new().run(&Command::read("cat").timeout(Duration::from_secs(20))).unwrap().stdout, b"");
}

#[test]
fn the_caller_may_write_and_read_as_it_goes() {
    let mut p = Local::new().spawn(&Command::read("cat").pipe_stdin()).unwrap();
    let (mut stdin, mut stdout) = (p.take_stdin().unwrap(), p.take_stdout().unwrap());
    assert!(p.take_stdout().is_none() && p.take_stdin().is_none());
    for word in ["one", "two"] {
        stdin.write_all(word.as_bytes()).unwrap();
        let mut back = [0; 3];
        stdout.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
    drop(stdin);
    assert_eq!(p.wait().unwrap().status, 0);
}

#[test]
fn a_missing_program_is_named_with_its_package() {
    let mut c = Command::read("lvcreate-not-here");
    let e = Local::new().run(&c).unwrap_err();
    assert_eq!(e.chain()[1], "lvcreate-not-here is not installed");
    c = Command::read("/nonexistent/lvcreate");
    assert!(Local::new().run(&c).unwrap_err().first_hint().unwrap().contains("lvm2"));
}

#[test]
fn a_timeout_kills_the_whole_group() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pid");
    let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
    let begin = Instant::now();
    let e = Local::new().run(&sh(&script).timeout(Duration::from_secs(3))).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(20));
    assert!(e.chain()[1].starts_with("killed: it did not end within 3.0 s"), "{e:?}");
    let pid = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    assert!(wait_gone(pid));
}

#[test]
fn what_ignores_term_is_killed() {
    let c = sh("trap '' TERM; while :; do sleep 0.1; done").timeout(Duration::from_millis(300));
    assert!(Local::new().run(&c).is_err());
}

#[test]
fn a_drop_kills_it() {
    let mut p = Local::new().spawn(&sh("echo $$; exec sleep 1000")).unwrap();
    let mut line = [0; 16];
    let n = p.take_stdout().unwrap().read(&mut line).unwrap();
    let pid = String::from_utf8_lossy(&line[..n]).trim().parse().unwrap();
    assert!(is_alive(pid));
    drop(p);
    assert!(wait_gone(pid));
}

#[test]
fn a_cancel_ends_it_as_interrupted() {
    let cancel = Cancel::new();
    let flag = cancel.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        flag.set();
    });
    let begin = Instant::now();
    let e = Local::new().run_cancellable(&Command::read("sleep").arg("1000"), &cancel).unwrap_err();
    assert_eq!(e.kind(), Kind::Interrupted);
    assert!(begin.elapsed() < Duration::from_secs(20));
}

#[test]
fn a_run_that_is_not_cancelled_gives_its_output() {
    assert_eq!(Local::new().run_cancellable(&sh("echo x"), &Cancel::new()).unwrap().stdout, b"x\n");
}

#[test]
fn a_daemon_that_keeps_the_pipes_open_does_not_hold_us() {
    let begin = Instant::now();
    let out = Local::new().run(&sh("setsid sleep 60 & echo $!")).unwrap();
    assert!(begin.elapsed() < Duration::from_secs(30));
    assert_eq!(out.status, 0);
    let pid = rustix::process::Pid::from_raw(out.text().trim().parse().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[test]
fn files_are_read_bounded_and_regular_only() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("f"), b"12345").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    std::os::unix::fs::symlink("f", at("link")).unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    let read = |name: &str, limit| Local::new().read_file(&at(name), limit);
    assert_eq!(read("f", 5).unwrap().unwrap(), b"12345");
    assert_eq!(read("link", 5).unwrap().unwrap(), b"12345");
    assert_eq!(read("f", 4).unwrap_err().chain()[1], "larger than 4 bytes");
    for absent in ["nothing", "dangling", "f/below"] {
        assert_eq!(read(absent, 5).unwrap(), None, "{absent}");
    }
    for other in ["fifo", "."] {
        assert_eq!(read(other, 5).unwrap_err().chain()[1], "not a regular file", "{other}");
    }
}
