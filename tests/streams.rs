//! The stream engine over a real sshd: several streams, compression, limits, the cipher, and connections that are cut.
#![allow(clippy::unwrap_used, clippy::print_stderr, unreachable_pub, reason = "a test binary")]

#[path = "ssh/server.rs"]
#[allow(dead_code, reason = "another test binary uses the rest")]
mod server;
mod support;

use ovz2lxc::cancel::Cancel;
use ovz2lxc::error::Result;
use ovz2lxc::event::Silent;
use ovz2lxc::host::{Command, Host, Local};
use ovz2lxc::model::settings::TransportChoice::{self, Openssh, Ssh2};
use ovz2lxc::model::settings::{Compress, Tuning};
use ovz2lxc::model::size::Bytes;
use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::transfer::{Engine, Job, Pass, Stats, StreamEngine};
use server::Server;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

fn can_run(test: &str) -> bool {
    let able = support::is_root() && Path::new("/usr/sbin/sshd").exists();
    if !able {
        support::skip(test, "needs root and sshd");
    }
    able
}

struct Desk {
    server: Server,
    temp: tempfile::TempDir,
    real: Arc<dyn Host>,
    /// The source: the real host, or one with another tar.
    host: Arc<dyn Host>,
    tuning: Tuning,
}

impl Desk {
    /// A server, a connection to it, and a tree of `count` files of `size` bytes, every third with a second name.
    fn new(test: &str, client: TransportChoice, count: usize, size: usize) -> Option<Desk> {
        Desk::with_server(test, "", client, count, size)
    }

    /// The same with lines of its own in the server's configuration.
    fn with_server(test: &str, lines: &str, client: TransportChoice, count: usize, size: usize) -> Option<Desk> {
        if !can_run(test) {
            return None;
        }
        let server = Server::start(lines);
        let temp = tempfile::tempdir().unwrap();
        for number in 0..count {
            let dir = temp.path().join(format!("tree/{}/{}", number % 7, number % 31));
            fs::create_dir_all(&dir).unwrap();
            let content: Vec<u8> = (0..size).map(|i| u8::try_from((i / 64 + number) % 250 + 1).unwrap()).collect();
            fs::write(dir.join(number.to_string()), content).unwrap();
            if number % 3 == 0 {
                fs::hard_link(dir.join(number.to_string()), temp.path().join(format!("tree/link-{number}"))).unwrap();
            }
        }
        fs::create_dir(temp.path().join("target")).unwrap();
        let real = server.connect(client);
        Some(Desk { server, temp, host: Arc::clone(&real), real, tuning: Tuning::default() })
    }

    fn at(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn copy(&self, pass: Pass) -> Result<Stats> {
        self.copy_with(&StreamEngine::new().reconnect_after(Duration::from_millis(20)), pass)
    }

    fn copy_with(&self, engine: &StreamEngine, pass: Pass) -> Result<Stats> {
        let root = Rootfs::open(&self.at("target"))?;
        engine.run(&Job {
            source: self.host.as_ref(),
            tree: self.at("tree"),
            target: &root,
            pass,
            still: pass == Pass::Final,
            excludes: Vec::new(),
            tuning: self.tuning,
            ctid: "101".to_owned(),
            phase: "copy".to_owned(),
            expected: None,
            events: &Silent,
            cancel: &Cancel::new(),
        })
    }

    /// rsync as the judge: nothing to do between the trees.
    fn assert_equal(&self, what: &str) {
        let tree = |name: &str| format!("{}/", self.at(name).display());
        let rsync = Command::read("rsync").args(["-naHAXScii", "--delete", "--numeric-ids"]);
        let said = Local::new().run_ok(&rsync.args([tree("tree"), tree("target")])).unwrap().text();
        let differences: Vec<&str> =
            said.lines().filter(|line| !line.starts_with('.') && !line[1..11].ends_with("         ")).collect();
        assert!(differences.is_empty(), "{what}: {differences:?}");
        let links = |name: &str| self.at(name).join("link-0").metadata().unwrap().nlink();
        assert_eq!(links("tree"), links("target"), "{what}");
    }

    /// Puts a program before the real one on the source, over a connection of its own.
    fn instead_of_tar(&mut self, script: &str) {
        let path = self.at("tar");
        let text = format!("#!/bin/sh\ncase \"$1\" in --version|--help) exec /bin/tar \"$@\";; esac\n{script}\n");
        support::program::write_program(&path, &text);
        self.host = Arc::new(OtherTar { host: self.real.another().unwrap(), tar: path });
    }
}

/// A host whose tar is another program; everything else is the real host's.
struct OtherTar {
    host: Box<dyn Host>,
    tar: PathBuf,
}

impl OtherTar {
    fn command(&self, command: &Command) -> Command {
        let argv = command.argv().iter().map(|arg| if arg == "tar" { self.tar.clone().into() } else { arg.clone() });
        let mut argv = argv.collect::<Vec<std::ffi::OsString>>().into_iter();
        let other = Command::read(argv.next().unwrap()).args(argv);
        if *command.input() == ovz2lxc::host::command::Stdin::Pipe { other.pipe_stdin() } else { other }
    }
}

impl Host for OtherTar {
    fn label(&self) -> &str {
        self.host.label()
    }
    fn run(&self, command: &Command) -> Result<ovz2lxc::host::Output> {
        self.host.run(&self.command(command))
    }
    fn spawn(&self, command: &Command) -> Result<Box<dyn ovz2lxc::host::Process>> {
        self.host.spawn(&self.command(command))
    }
    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        self.host.read_file(path, limit)
    }
    fn remote_shell(&self) -> Option<ovz2lxc::host::RemoteShell> {
        self.host.remote_shell()
    }
    fn another(&self) -> Result<Box<dyn Host>> {
        Ok(Box::new(OtherTar { host: self.host.another()?, tar: self.tar.clone() }))
    }
}

/// Cuts the connection that it runs over: the shell's parent is sshd.
const CUT: &str = "p=$$; while [ \"$(cut -d' ' -f2 /proc/$p/stat)\" != '(sshd)' ] && [ $p -gt 1 ]; do \
    p=$(cut -d' ' -f4 /proc/$p/stat); done; [ $p -gt 1 ] && kill -9 $p; sleep 5";

#[test]
fn a_lost_connection_is_made_again_and_only_the_rest_is_sent() {
    for client in [Openssh, Ssh2] {
        let test = "a_lost_connection_is_made_again_and_only_the_rest_is_sent";
        let Some(mut desk) = Desk::new(test, client, 400, 20_000) else { return };
        for pass in [Pass::Live, Pass::Final] {
            // The first two times the stream is cut after 3 MB, of 8.
            let count = desk.at("count");
            let _ = fs::remove_file(&count);
            let script = format!(
                "echo x >>'{0}'; [ $(wc -l <'{0}') -gt 2 ] && exec /bin/tar \"$@\"\n/bin/tar \"$@\" | head -c 3000000; {CUT}",
                count.display()
            );
            desk.instead_of_tar(&script);
            let _ = fs::remove_dir_all(desk.at("target"));
            fs::create_dir(desk.at("target")).unwrap();
            let stats = desk.copy(pass).unwrap();
            desk.assert_equal("after two cuts");
            assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 3);
            assert!(stats.sent_bytes < 14_000_000, "{stats:?}");
        }
    }
}

#[test]
fn what_could_not_be_read_before_a_connection_was_lost_is_asked_for_again() {
    // Zeros that nobody heard a complaint about come from the same fault: the connection went before it.
    for (client, pass, heard, bytes) in [
        (Openssh, Pass::Final, true, "VICTIM"),
        (Ssh2, Pass::Live, true, "VICTIM"),
        (Openssh, Pass::Live, false, r"\x00\x00\x00\x00\x00\x00"),
        (Ssh2, Pass::Final, false, r"\x00\x00\x00\x00\x00\x00"),
    ] {
        let test = "what_could_not_be_read_before_a_connection_was_lost_is_asked_for_again";
        let Some(mut desk) = Desk::new(test, client, 100, 20_000) else { return };
        // The first of the list, with a second name.
        let inode = |number: &usize| fs::metadata(desk.at(&format!("tree/link-{number}"))).unwrap().ino();
        let first = (0..100).step_by(3).min_by_key(inode).unwrap();
        fs::write(desk.at(&format!("tree/link-{first}")), "victim".repeat(3000)).unwrap();
        let count = desk.at("count");
        // Other bytes in place of those that could not be read, as tar sends zeros; it goes on, and then the connection goes.
        let script = format!(
            "echo x >>'{0}'; [ $(wc -l <'{0}') -gt 1 ] && exec /bin/tar \"$@\"\n\
            {heard} && echo 'tar: ./link-{first}: Read error at byte 0, while reading 512 bytes: Input/output error' >&2\n\
            /bin/tar \"$@\" | LC_ALL=C sed 's/victim/{bytes}/g' | head -c 1500000; {CUT}",
            count.display()
        );
        desk.instead_of_tar(&script);
        let stats = desk.copy(pass).unwrap();
        // What is asked for again has a tar of its own.
        assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 3);
        desk.assert_equal("after the disk could be read again");
        let names = Local::new().run_ok(&Command::read("find").arg(desk.at("tree"))).unwrap().text().lines().count();
        assert_eq!(stats.files, names as u64, "what came twice counts once");
    }
}

#[test]
fn a_host_that_is_away_for_a_while_is_waited_for() {
    for client in [Openssh, Ssh2] {
        let test = "a_host_that_is_away_for_a_while_is_waited_for";
        let Some(mut desk) = Desk::new(test, client, 400, 20_000) else { return };
        let count = desk.at("count");
        let script = format!(
            "echo x >>'{0}'; [ $(wc -l <'{0}') -gt 1 ] && exec /bin/tar \"$@\"\n/bin/tar \"$@\" | head -c 3000000; {CUT}",
            count.display()
        );
        desk.instead_of_tar(&script);
        // The connection is there, and no other is to be had until some attempts were in vain.
        desk.server.pause();
        let stats = std::thread::scope(|scope| {
            scope.spawn(|| {
                let begun = Instant::now();
                while !count.exists() && begun.elapsed() < Duration::from_secs(60) {
                    std::thread::sleep(Duration::from_millis(20));
                }
                std::thread::sleep(Duration::from_secs(2));
                desk.server.go_on();
            });
            desk.copy_with(&StreamEngine::new().reconnect_after(Duration::from_millis(400)), Pass::Final).unwrap()
        });
        desk.assert_equal("after the host was away");
        assert_eq!(fs::read_to_string(&count).unwrap().lines().count(), 2);
        assert!(stats.sent_bytes < 14_000_000, "{stats:?}");
    }
}

#[test]
fn files_that_end_in_zeros_arrive_over_a_connection_that_breaks_again_and_again() {
    let test = "files_that_end_in_zeros_arrive_over_a_connection_that_breaks_again_and_again";
    let Some(mut desk) = Desk::new(test, Openssh, 100, 100_000) else { return };
    for number in 0..100 {
        let file = desk.at(&format!("tree/{}/{}/{number}", number % 7, number % 31));
        fs::write(&file, [vec![1; 99_000], vec![0; 1000]].concat()).unwrap();
    }
    // It breaks whenever 3 MB came, of 10.
    let (count, whole) = (desk.at("count"), desk.at("whole"));
    let script = format!(
        "echo x >>'{0}'; /bin/tar \"$@\" >'{1}'; head -c 3000000 '{1}'; [ $(wc -c <'{1}') -le 3000000 ] || {{ {CUT}; }}",
        count.display(),
        whole.display()
    );
    desk.instead_of_tar(&script);
    let stats = desk.copy(Pass::Final).unwrap();
    desk.assert_equal("in many pieces");
    let tars = fs::read_to_string(&count).unwrap().lines().count();
    assert!(tars < 25 && stats.sent_bytes < 30_000_000, "{tars}, {stats:?}");
}

#[test]
fn a_connection_that_is_always_lost_is_an_error_after_some_attempts() {
    let test = "a_connection_that_is_always_lost_is_an_error_after_some_attempts";
    let Some(mut desk) = Desk::new(test, Openssh, 10, 100) else { return };
    desk.instead_of_tar(CUT);
    let error = desk.copy(Pass::Live).unwrap_err();
    let chain = error.chain().join(": ");
    assert!(chain.contains("no connection after 5 more attempts") && chain.contains("connection was lost"), "{chain}");
}

#[test]
fn streams_share_the_work_and_bring_the_same() {
    let Some(mut desk) = Desk::new("streams_share_the_work_and_bring_the_same", Openssh, 300, 1000) else { return };
    for number in 0..8 {
        let file = fs::File::create(desk.at(&format!("tree/sparse-{number}"))).unwrap();
        file.set_len(64 << 20).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, &vec![b'x'; 2 << 20], 30 << 20).unwrap();
    }
    let log = desk.at("log");
    desk.instead_of_tar(&format!("echo x >>'{}'; exec /bin/tar \"$@\"", log.display()));
    desk.tuning.streams = Some(3.try_into().unwrap());
    let stats = desk.copy(Pass::Live).unwrap();
    assert!(fs::read_to_string(&log).unwrap().lines().count() >= 3, "{stats:?}");
    for number in 0..8 {
        let blocks = |name: &str| desk.at(&format!("{name}/sparse-{number}")).metadata().unwrap().blocks() / 2048;
        assert!(blocks("target").abs_diff(blocks("tree")) <= 1, "{} {}", blocks("target"), blocks("tree"));
    }
    desk.assert_equal("three streams");
}

#[test]
fn what_is_compressed_is_less_and_the_same() {
    let Some(mut desk) = Desk::new("what_is_compressed_is_less_and_the_same", Openssh, 40, 50_000) else { return };
    for (compress, tool) in [(Compress::Zstd, "zstd"), (Compress::Gzip, "gzip"), (Compress::Lz4, "lz4")] {
        desk.tuning = Tuning { compress, ..Tuning::default() };
        let _ = fs::remove_dir_all(desk.at("target"));
        fs::create_dir(desk.at("target")).unwrap();
        let installed = Local::new().run(&Command::read("sh").args(["-c", "command -v \"$1\"", "sh", tool]));
        match desk.copy(Pass::Live) {
            Ok(stats) => {
                assert!(stats.sent_bytes < 500_000 && stats.bytes >= 2_000_000, "{tool} {stats:?}");
                desk.assert_equal(tool);
            }
            Err(e) => {
                assert_ne!(installed.unwrap().status, 0, "{e:?}");
                assert_eq!(e.first_hint(), Some("take --compress auto, or none"));
            }
        }
    }
}

#[test]
fn a_tar_that_fails_behind_a_compressor_is_a_failure() {
    let test = "a_tar_that_fails_behind_a_compressor_is_a_failure";
    let Some(mut desk) = Desk::new(test, Openssh, 10, 100) else { return };
    desk.instead_of_tar("/bin/tar \"$@\"; echo 'tar: something is wrong' >&2; exit 2");
    for compress in [Compress::None, Compress::Gzip] {
        desk.tuning.compress = compress;
        for pass in [Pass::Live, Pass::Final] {
            let chain = desk.copy(pass).unwrap_err().chain().join(": ");
            assert!(chain.contains("exit status 2") && chain.contains("something is wrong"), "{chain}");
        }
    }
}

#[test]
fn a_slow_link_is_found_out_and_compressed() {
    let Some(mut desk) = Desk::new("a_slow_link_is_found_out_and_compressed", Openssh, 500, 50_000) else { return };
    // 25 MB at 2 MB/s would take 12 s; after three of them it is found that zeros need not travel.
    desk.tuning.bwlimit = Some(Bytes(2 << 20));
    let begun = Instant::now();
    let stats = desk.copy(Pass::Live).unwrap();
    let took = begun.elapsed();
    assert!(stats.sent_bytes < 12_000_000, "{stats:?}");
    assert!(took > Duration::from_secs(3), "{took:?}");
    desk.assert_equal("compressed later");
}

/// Says a process's niceness and its class of input and output, such as `0 none: prio 4` and `19 idle`.
const PRIORITY: &str = "echo $(nice) $(ionice -p $$)";

fn niceness_and_class(said: &str) -> &str {
    said.split(':').next().unwrap().trim_end()
}

#[test]
fn the_source_runs_it_gently_while_the_container_lives() {
    let test = "the_source_runs_it_gently_while_the_container_lives";
    let Some(mut desk) = Desk::new(test, Openssh, 5, 100) else { return };
    // The server is a child of this test: what nobody makes gentler runs there as it does here.
    let own = Local::new().run_ok(&Command::read("sh").args(["-c", PRIORITY])).unwrap().text();
    let own = niceness_and_class(&own);
    if own.starts_with("19 ") {
        return support::skip(test, "the tests run with niceness 19, so nothing can be seen to run gentler");
    }
    let log = desk.at("log");
    let script = format!("{PRIORITY} >>'{}'; exec /bin/tar \"$@\"", log.display());
    desk.instead_of_tar(&script);
    desk.copy(Pass::Live).unwrap();
    desk.tuning.full_speed = true;
    desk.copy(Pass::Live).unwrap();
    desk.tuning.full_speed = false;
    desk.copy(Pass::Final).unwrap();
    let said = fs::read_to_string(log).unwrap();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0].starts_with("19 idle"), "{said}");
    assert!(lines.len() > 1 && lines.iter().skip(1).all(|line| niceness_and_class(line) == own), "{own}\n{said}");
}

#[test]
fn a_last_walk_is_shared_also_where_a_server_allows_one_session_only() {
    let test = "a_last_walk_is_shared_also_where_a_server_allows_one_session_only";
    for (client, lines) in [(Openssh, ""), (Ssh2, ""), (Openssh, "MaxSessions 1"), (Ssh2, "MaxSessions 1")] {
        let Some(desk) = Desk::with_server(test, lines, client, 200, 100) else { return };
        let engine = StreamEngine::new().sharing_from(1);
        desk.copy_with(&engine, Pass::Live).unwrap();
        fs::write(desk.at("tree/new"), "new").unwrap();
        fs::remove_file(desk.at("tree/link-3")).unwrap();
        desk.copy_with(&engine, Pass::Final).unwrap_or_else(|e| panic!("{client:?} {lines}: {e:?}"));
        desk.assert_equal(&format!("{client:?} {lines}"));
    }
}

/// What the OpenSSH client says that both sides agreed on, with the options that a host hands to rsync.
fn negotiated(server: &Server) -> String {
    let host = server.try_connect(&server.overrides(), Openssh).unwrap();
    let shell = host.remote_shell().unwrap();
    let own = |arg: &std::ffi::OsString| !arg.to_string_lossy().starts_with("Control");
    let options: Vec<_> = shell.argv[1..].chunks(2).filter(|pair| pair.iter().all(own)).flatten().cloned().collect();
    assert!(options.len() > 20, "{options:?}");
    let ssh = Command::read("ssh").arg("-v").args(options).args([shell.destination.as_str(), "true"]);
    let said = Local::new().run(&ssh).unwrap().stderr;
    let said = String::from_utf8_lossy(&said).into_owned();
    let line = said.lines().find_map(|line| line.split_once("kex: server->client cipher: "));
    line.unwrap_or_else(|| panic!("{said}")).1.split(' ').next().unwrap().to_owned()
}

#[test]
fn the_fastest_cipher_is_agreed_on_and_a_configured_list_kept_to() {
    if !can_run("the_fastest_cipher_is_agreed_on_and_a_configured_list_kept_to") {
        return;
    }
    let server = Server::start("");
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap();
    let fast = if cpu.split_whitespace().any(|flag| flag == "aes") {
        "aes128-gcm@openssh.com"
    } else {
        "chacha20-poly1305@openssh.com"
    };
    assert_eq!(negotiated(&server), fast);
    fs::write(server.path("empty_config"), "Ciphers aes192-ctr,aes256-ctr\n").unwrap();
    assert_eq!(negotiated(&server), "aes192-ctr");
    drop(server);
    for client in [Openssh, Ssh2] {
        // This server takes one cipher only: what works is what was offered.
        let server = Server::start("Ciphers aes256-ctr\n");
        fs::write(server.path("empty_config"), "Ciphers aes192-ctr,aes256-ctr\n").unwrap();
        server.try_connect(&server.overrides(), client).unwrap().run_ok(&Command::read("true")).unwrap();
        fs::write(server.path("empty_config"), "Ciphers aes128-ctr\n").unwrap();
        assert!(server.try_connect(&server.overrides(), client).is_err());
    }
}
