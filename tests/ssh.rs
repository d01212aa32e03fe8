//! Both SSH clients against a real sshd on loopback, one suite.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    unreachable_pub,
    reason = "a test binary: clippy spares the test functions only"
)]

#[path = "ssh/server.rs"]
#[allow(dead_code, reason = "another test binary uses the rest")]
mod server;
mod support;
#[path = "ssh/terminal.rs"]
mod terminal;

use ovz2lxc::error::{Error, Kind};
use ovz2lxc::host::{Command, Destination, Host, Local, SshOverrides, connect};
use ovz2lxc::model::settings::TransportChoice::{self, Auto, Openssh, Ssh2};
use server::{CENTOS_6, Server, free_port, make_key};
use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Makes one test of each function for each client.
macro_rules! both {
    ($($name:ident)*) => {
        mod openssh { $(#[test] fn $name() { if super::can_run(stringify!($name)) { super::$name(super::Openssh); } })* }
        mod ssh2 { $(#[test] fn $name() { if super::can_run(stringify!($name)) { super::$name(super::Ssh2); } })* }
    };
}

both! {
    runs_commands carries_any_bytes big_outputs_at_once_do_not_deadlock input_as_bytes_and_as_a_pipe
    commands_run_side_by_side timeouts_kill_over_there drops_kill_over_there reads_files another_connection
    a_lost_connection_is_no_success a_missing_program_is_named refuses_wrong_keys refuses_unknown_hosts
    refuses_changed_hosts unreachable_hosts_are_explained honours_ssh_config takes_keys_from_an_agent
    centos_6_needs_and_gets_legacy_algorithms gives_rsync_a_shell survives_an_idle_time knows_hashed_names
    asks_for_a_passphrase asks_for_a_password asks_about_an_unknown_host
}

fn can_run(test: &str) -> bool {
    let why = if !support::is_root() {
        "sshd is started as root"
    } else if !std::path::Path::new("/usr/sbin/sshd").exists() {
        "sshd is not installed"
    } else {
        return true;
    };
    support::skip(test, why);
    false
}

fn sh(script: &str) -> Command {
    Command::read("sh").arg("-c").arg(script)
}

fn hint(e: &Error) -> &str {
    e.first_hint().unwrap_or_default()
}

fn failed(result: ovz2lxc::error::Result<Arc<dyn Host>>) -> Error {
    match result {
        Ok(host) => panic!("connected to {}", host.label()),
        Err(e) => e,
    }
}

fn is_gone(pid: &str) -> bool {
    let stat = format!("/proc/{}/stat", pid.trim());
    (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        std::fs::read_to_string(&stat).map_or(true, |s| s.contains(") Z "))
    })
}

fn runs_commands(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    assert_eq!(host.label(), format!("root@127.0.0.1:{}", server.port));
    let out = host.run(&sh("echo $LC_ALL; echo oops >&2; exit 3")).unwrap();
    assert_eq!((out.status, out.text().as_str(), out.stderr.as_slice()), (3, "C\n", &b"oops\n"[..]));
    // 255 is what the OpenSSH client says of itself too.
    assert_eq!(host.run(&sh("exit 255")).unwrap().status, 255);
    assert_eq!(host.run(&sh("kill -9 $$")).unwrap().status, 137);
    assert_eq!(host.run(&Command::read("cat")).unwrap().stdout, b"");
    let e = host.run_ok(&sh("echo bad >&2; exit 9")).unwrap_err();
    assert!(e.chain()[0].contains("exit status 9") && e.chain()[1] == "bad", "{e:?}");
}

fn carries_any_bytes(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    let all: Vec<u8> = (1..=255).collect();
    for arg in
        [all, b"it's".to_vec(), b"".to_vec(), b"-n".to_vec(), b"a\n\n".to_vec(), b"$(id) `id` \\ \"%s\" !!".to_vec()]
    {
        let out = host.run(&Command::read("printf").arg("%s").arg(OsString::from_vec(arg.clone()))).unwrap();
        assert_eq!(out.stdout, arg);
    }
    let out = host.run(&sh("printf '\\000\\001\\377\\r\\n'")).unwrap();
    assert_eq!(out.stdout, b"\x00\x01\xff\r\n");
}

fn big_outputs_at_once_do_not_deadlock(client: TransportChoice) {
    const BIG: usize = 100 << 20;
    // A small limit, so that keys are exchanged anew in the middle.
    let server = Server::start("RekeyLimit 16M");
    let host = server.connect(client);
    let script = format!("yes 0123456789abcde | head -c {BIG} & yes errors | head -c 10485760 >&2; wait");
    let out = host.run(&sh(&script).timeout(Duration::from_secs(300))).unwrap();
    assert_eq!((out.status, out.stdout.len()), (0, BIG));
    assert!(out.stdout.chunks(16).all(|line| line == b"0123456789abcde\n"));
    assert_eq!(out.stderr.len(), 64 * 1024);
    assert!(out.stderr.windows(6).any(|w| w == b"errors"));
}

fn input_as_bytes_and_as_a_pipe(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    let input: Vec<u8> = (0..5_000_000u32).map(|i| u8::try_from(i % 251).unwrap()).collect();
    assert_eq!(host.run(&Command::read("cat").stdin(input.clone())).unwrap().stdout, input);
    assert_eq!(host.run(&Command::read("true").stdin(input.clone())).unwrap().status, 0);

    let mut p = host.spawn(&Command::read("cat").pipe_stdin()).unwrap();
    let (mut stdin, mut stdout) = (p.take_stdin().unwrap(), p.take_stdout().unwrap());
    for word in ["one", "two"] {
        stdin.write_all(word.as_bytes()).unwrap();
        stdin.flush().unwrap();
        let mut back = [0; 3];
        stdout.read_exact(&mut back).unwrap();
        assert_eq!(back, word.as_bytes());
    }
    let copy = input.clone();
    let writer = std::thread::spawn(move || stdin.write_all(&copy));
    let mut back = Vec::new();
    stdout.read_to_end(&mut back).unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(back, input);
    assert_eq!(p.wait().unwrap().status, 0);

    let mut p = host.spawn(&sh("exit 4").pipe_stdin()).unwrap();
    let mut stdin = p.take_stdin().unwrap();
    let broken = (0..2000).any(|_| stdin.write_all(&[0; 65536]).is_err());
    assert!(broken, "writing to a command that is gone goes on for ever");
    assert_eq!(p.wait().unwrap().status, 4);
}

fn commands_run_side_by_side(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    // One that says nothing, one whose output nobody reads: neither holds up the others.
    let mut silent = host.spawn(&Command::read("cat").pipe_stdin()).unwrap();
    let mut unread = host.spawn(&sh("yes | head -c 50000000")).unwrap();
    let out = unread.take_stdout().unwrap();
    std::thread::scope(|s| {
        let host = &host;
        let all: Vec<_> = (0..4)
            .map(|i| s.spawn(move || host.run(&sh(&format!("sleep 0.2; echo {i}")).timeout(Duration::from_secs(60)))))
            .collect();
        for (i, one) in all.into_iter().enumerate() {
            assert_eq!(one.join().unwrap().unwrap().text(), format!("{i}\n"));
        }
    });
    let mut n = 0;
    let mut buf = vec![0; 65536];
    let mut out = out;
    loop {
        match out.read(&mut buf).unwrap() {
            0 => break,
            more => n += more,
        }
    }
    assert_eq!((n, unread.wait().unwrap().status), (50_000_000, 0));
    drop(silent.take_stdin());
    assert_eq!(silent.wait().unwrap().status, 0);
}

fn timeouts_kill_over_there(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    let file = server.path("pids");
    let script = format!("sleep 1000 & echo $! $$ > {}; wait", file.display());
    let begin = Instant::now();
    let e = host.run(&sh(&script).timeout(Duration::from_secs(5))).unwrap_err();
    assert!(begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
    assert!(e.chain()[1].contains("did not end within 5.0 s"), "{e:?}");
    let pids = std::fs::read_to_string(file).unwrap();
    assert!(pids.split_whitespace().all(is_gone), "{pids}");
    assert_eq!(host.run(&sh("echo well")).unwrap().text(), "well\n");
}

fn drops_kill_over_there(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    for stubborn in ["", "trap '' TERM; "] {
        let mut p = host.spawn(&sh(&format!("{stubborn}echo $$; while :; do sleep 0.2; done"))).unwrap();
        let mut line = [0; 16];
        let n = p.take_stdout().unwrap().read(&mut line).unwrap();
        let pid = String::from_utf8_lossy(&line[..n]).into_owned();
        assert!(std::path::Path::new(&format!("/proc/{}", pid.trim())).exists());
        drop(p);
        assert!(is_gone(&pid), "{pid}");
    }
    let mut p = host.spawn(&Command::read("sleep").arg("1000")).unwrap();
    p.kill();
    assert_eq!(p.wait().unwrap().status, 143);
}

fn reads_files(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    let at = |name: &str| server.path(name);
    let mut odd = at("odd ").into_os_string().into_vec();
    odd.extend_from_slice(b"\xff'\n\"");
    let odd = std::path::PathBuf::from(OsString::from_vec(odd));
    std::fs::write(&odd, b"1\x00345").unwrap();
    std::fs::write(at("-f"), b"dash").unwrap();
    std::fs::write(at("empty"), b"").unwrap();
    std::os::unix::fs::symlink("nowhere", at("dangling")).unwrap();
    Local::new().run_ok(&Command::write("mkfifo").arg(at("fifo"))).unwrap();
    assert_eq!(host.read_file(&odd, 5).unwrap().unwrap(), b"1\x00345");
    assert_eq!(host.read_file(&at("-f"), 5).unwrap().unwrap(), b"dash");
    assert_eq!(host.read_file(&at("empty"), 0).unwrap().unwrap(), b"");
    assert_eq!(host.read_file(&odd, 4).unwrap_err().chain()[1], "larger than 4 bytes");
    for absent in ["nothing", "dangling", "empty/below"] {
        assert_eq!(host.read_file(&at(absent), 5).unwrap(), None, "{absent}");
    }
    for other in ["fifo", "."] {
        assert_eq!(host.read_file(&at(other), 5).unwrap_err().chain()[1], "not a regular file", "{other}");
    }
}

fn another_connection(client: TransportChoice) {
    let server = Server::start("");
    let first = server.connect(client);
    let second = first.another().unwrap();
    let connection = |host: &dyn Host| host.run_ok(&sh("echo $SSH_CONNECTION")).unwrap().text();
    assert_ne!(connection(&*first), connection(&*second));
    drop(first);
    assert_eq!(second.run(&sh("echo on")).unwrap().text(), "on\n");
}

fn a_lost_connection_is_no_success(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    // The parent of the shell is the sshd of this connection.
    let e = host.run(&sh("read a b c sshd d </proc/$PPID/stat; kill -9 $sshd; sleep 1; echo never")).unwrap_err();
    assert!(e.chain().iter().any(|line| line.contains("connection was lost")), "{e:?}");
    assert!(e.chain()[0].contains(host.label()), "{e:?}");
}

fn a_missing_program_is_named(client: TransportChoice) {
    let server = Server::start("");
    let e = server.connect(client).run(&Command::read("/nowhere/lvcreate").arg("x")).unwrap_err();
    assert_eq!(e.chain()[1], "/nowhere/lvcreate is not installed");
    assert!(hint(&e).contains("lvm2"));
}

fn refuses_wrong_keys(client: TransportChoice) {
    let server = Server::start("");
    make_key(&server.path("stranger"), "ed25519", "");
    make_key(&server.path("locked"), "ed25519", "secret");
    for key in ["stranger", "locked"] {
        let e = failed(
            server.try_connect(&SshOverrides { identity: Some(server.path(key)), ..server.overrides() }, client),
        );
        assert!(e.to_string().contains(&format!("logging in as root@127.0.0.1:{}", server.port)), "{e:?}");
        assert!(hint(&e).contains("--identity"), "{e:?}");
    }
}

fn refuses_unknown_hosts(client: TransportChoice) {
    let server = Server::start("");
    let none = server.path("no_known_hosts");
    let e = failed(server.try_connect(&SshOverrides { known_hosts: Some(none.clone()), ..server.overrides() }, client));
    assert!(e.to_string().contains("host key is not known"), "{e:?}");
    assert!(hint(&e).contains(&format!("ssh-keyscan -p {} 127.0.0.1", server.port)), "{e:?}");
    assert!(hint(&e).contains("--known-hosts"), "{e:?}");
    assert!(!none.exists(), "nobody said yes");
}

fn refuses_changed_hosts(client: TransportChoice) {
    let server = Server::start("");
    server.write_known_hosts("other_hosts", "user_ed25519", "user_rsa");
    let e = failed(
        server
            .try_connect(&SshOverrides { known_hosts: Some(server.path("other_hosts")), ..server.overrides() }, client),
    );
    assert!(e.to_string().contains("HOST KEY HAS CHANGED"), "{e:?}");
    assert!(hint(&e).contains(&format!("ssh-keygen -R '[127.0.0.1]:{}'", server.port)), "{e:?}");
    // One known type is enough, whichever type comes first by default.
    for key in ["host_ed25519", "host_rsa"] {
        server.write_known_hosts("one_type", key, key);
        server
            .try_connect(&SshOverrides { known_hosts: Some(server.path("one_type")), ..server.overrides() }, client)
            .unwrap();
    }
}

fn unreachable_hosts_are_explained(client: TransportChoice) {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config");
    std::fs::write(&config, "").unwrap();
    let overrides = SshOverrides { config_file: Some(config), ..SshOverrides::default() };
    let to = |text: &str| failed(connect(&Destination::parse(text).unwrap(), &overrides, client, false));
    let port = free_port();
    let e = to(&format!("root@127.0.0.1:{port}"));
    assert!(e.to_string().contains(&format!("root@127.0.0.1:{port}: connection refused")), "{e:?}");
    assert!(hint(&e).contains("--port"));
    let e = to("root@no-such-host.invalid");
    assert!(e.to_string().contains("the name no-such-host.invalid is unknown"), "{e:?}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let closer = std::thread::spawn(move || drop(listener.accept()));
    let e = to(&format!("root@127.0.0.1:{port}"));
    closer.join().unwrap();
    assert!(e.to_string().contains("closed"), "{e:?}");
}

fn honours_ssh_config(client: TransportChoice) {
    let server = Server::start("");
    let config = format!(
        "Host vz1\n HostName 127.0.0.1\n User root\n Port {}\n IdentityFile {}\n UserKnownHostsFile {}\n GlobalKnownHostsFile /dev/null\n",
        server.port,
        server.path("user_ed25519").display(),
        server.path("known_hosts").display()
    );
    std::fs::write(server.path("config"), config).unwrap();
    let overrides = SshOverrides { config_file: Some(server.path("config")), ..SshOverrides::default() };
    let host = connect(&Destination::parse("vz1").unwrap(), &overrides, client, false).unwrap();
    assert_eq!(host.label(), format!("root@127.0.0.1:{}", server.port));
    assert_eq!(host.run(&sh("id -un")).unwrap().text(), "root\n");
}

fn takes_keys_from_an_agent(client: TransportChoice) {
    let server = Server::start("");
    let socket = server.path("agent");
    let mut agent = Local::new().spawn(&Command::read("ssh-agent").arg("-D").arg("-a").arg(&socket)).unwrap();
    while !socket.exists() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let key = server.path("locked");
    make_key(&key, "ed25519", "secret");
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    std::fs::write(server.path("authorized_keys"), public).unwrap();
    let add = format!(
        "printf 'echo secret\\n' > {0}/ask; chmod +x {0}/ask; SSH_AUTH_SOCK={0}/agent SSH_ASKPASS={0}/ask SSH_ASKPASS_REQUIRE=force ssh-add {0}/locked",
        server.dir.path().display()
    );
    let ask = format!("#!/bin/sh\n{add}\n").replace("'echo", "'#!/bin/sh\\necho");
    Local::new().run_ok(&sh(&ask)).unwrap();
    std::fs::write(server.path("config"), format!("IdentityAgent {}\n", socket.display())).unwrap();
    let overrides =
        SshOverrides { config_file: Some(server.path("config")), identity: Some(key), ..server.overrides() };
    let host = server.try_connect(&overrides, client).unwrap();
    assert_eq!(host.run(&sh("echo in")).unwrap().text(), "in\n");
    agent.kill();
}

fn centos_6_needs_and_gets_legacy_algorithms(client: TransportChoice) {
    let server = Server::start(CENTOS_6);
    let e = failed(server.try_connect(&server.overrides(), client));
    assert!(e.to_string().contains(&format!("root@127.0.0.1:{}: no algorithm in common", server.port)), "{e:?}");
    assert!(hint(&e).contains("--legacy-algorithms"), "{e:?}");
    let legacy = SshOverrides { legacy_algorithms: true, ..server.overrides() };
    let host = server.try_connect(&legacy, client).unwrap();
    assert_eq!(host.run(&sh("echo old")).unwrap().text(), "old\n");
    assert_eq!(host.run(&Command::read("cat").stdin(vec![5; 3 << 20])).unwrap().stdout, vec![5; 3 << 20]);
}

fn gives_rsync_a_shell(client: TransportChoice) {
    let server = Server::start("");
    let host = server.connect(client);
    let shell = host.remote_shell().unwrap();
    assert_eq!(shell.destination, "root@127.0.0.1");
    std::fs::create_dir(server.path("from")).unwrap();
    std::fs::write(server.path("from/file"), "moved").unwrap();
    let words: Vec<String> = shell.argv.iter().map(|w| w.to_str().unwrap().to_owned()).collect();
    let quoted: Vec<String> =
        words.iter().map(|w| if w.contains('"') { format!("'{w}'") } else { w.clone() }).collect();
    let source = format!("{}:{}/", shell.destination, server.path("from").display());
    let rsync = Command::write("rsync").args(["-a", "-e", &quoted.join(" "), &source]).arg(server.path("to"));
    Local::new().run_ok(&rsync).unwrap();
    assert_eq!(std::fs::read_to_string(server.path("to/file")).unwrap(), "moved");
}

/// The server asks for a sign of life every second and hangs up after two without.
fn survives_an_idle_time(client: TransportChoice) {
    let server = Server::start("ClientAliveInterval 1\nClientAliveCountMax 2");
    let host = server.connect(client);
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(host.run(&sh("sleep 4; echo alive")).unwrap().text(), "alive\n");
}

fn knows_hashed_names(client: TransportChoice) {
    let server = Server::start("");
    Local::new().run_ok(&Command::write("ssh-keygen").args(["-H", "-f"]).arg(server.path("known_hosts"))).unwrap();
    assert!(std::fs::read_to_string(server.path("known_hosts")).unwrap().starts_with("|1|"));
    assert_eq!(server.connect(client).run(&sh("echo in")).unwrap().text(), "in\n");
}

fn asks_for_a_passphrase(client: TransportChoice) {
    let server = Server::start("");
    let key = server.path("locked");
    make_key(&key, "ed25519", "secret words");
    let public = std::fs::read_to_string(key.with_extension("pub")).unwrap();
    std::fs::write(server.path("authorized_keys"), public).unwrap();
    let overrides = SshOverrides { identity: Some(key), ..server.overrides() };
    let said = terminal::connect(&server, &overrides, client, &[("assphrase", "wrong"), ("assphrase", "secret words")]);
    assert!(said.contains("CONNECTED"), "{said}");
    assert!(!said.contains("secret words"), "the passphrase was echoed: {said}");
}

fn asks_for_a_password(client: TransportChoice) {
    let server = Server::start("PasswordAuthentication yes\nPubkeyAuthentication no");
    let said =
        terminal::connect(&server, &server.overrides(), client, &[("assword", "wrong"), ("assword", server::PASSWORD)]);
    assert!(said.contains("CONNECTED"), "{said}");
    assert!(!said.contains(server::PASSWORD), "the password was echoed: {said}");
    let e = failed(server.try_connect(&server.overrides(), client));
    assert!(e.to_string().contains("logging in as"), "without a terminal nothing is asked: {e:?}");
}

fn asks_about_an_unknown_host(client: TransportChoice) {
    let server = Server::start("");
    let file = server.path("fresh/known_hosts");
    std::fs::create_dir(server.path("fresh")).unwrap();
    let overrides = SshOverrides { known_hosts: Some(file.clone()), ..server.overrides() };
    let said = terminal::connect(&server, &overrides, client, &[("yes/no", "no")]);
    assert!(said.contains("FAILED") && !file.exists(), "{said}");
    let said = terminal::connect(&server, &overrides, client, &[("yes/no", "yes")]);
    assert!(said.contains("SHA256:") && said.contains("CONNECTED"), "{said}");
    server.try_connect(&overrides, client).unwrap();
}

#[test]
fn a_jump_host_is_reached_through_openssh_only() {
    if !can_run("a_jump_host_is_reached_through_openssh_only") {
        return;
    }
    let server = Server::start("");
    let config = format!(
        "Host *\n HostName 127.0.0.1\n User root\n Port {}\n IdentityFile {}\n UserKnownHostsFile {}\nHost behind\n ProxyJump gate\n",
        server.port,
        server.path("user_rsa").display(),
        server.path("known_hosts").display()
    );
    std::fs::write(server.path("config"), config).unwrap();
    let overrides = SshOverrides { config_file: Some(server.path("config")), ..SshOverrides::default() };
    let behind = Destination::parse("behind").unwrap();
    let host = connect(&behind, &overrides, Auto, false).unwrap();
    // Seen from the far side, the connection comes from the gate itself.
    assert_eq!(host.run(&sh("echo through")).unwrap().text(), "through\n");
    let e = failed(connect(&behind, &overrides, Ssh2, false));
    assert_eq!(e.kind(), Kind::Usage);
    assert!(e.to_string().contains("gate") && hint(&e).contains("--transport openssh"), "{e:?}");
}

#[test]
fn the_master_is_closed_with_the_host() {
    if !can_run("the_master_is_closed_with_the_host") {
        return;
    }
    let server = Server::start("");
    let host = server.connect(Openssh);
    let argv = host.remote_shell().unwrap().argv;
    let socket = argv.iter().filter_map(|a| a.to_str()?.strip_prefix("ControlPath=")).next().unwrap().to_owned();
    assert!(std::path::Path::new(&socket).exists());
    let check = Command::read("ssh").args(&argv[1..]).args(["-O", "check", "x"]);
    let pid = String::from_utf8(Local::new().run_ok(&check).unwrap().stderr).unwrap();
    let pid = pid.split(|c: char| !c.is_ascii_digit()).find(|w| !w.is_empty()).unwrap().to_owned();
    drop(host);
    assert!(!std::path::Path::new(&socket).parent().unwrap().exists());
    assert!(is_gone(&pid));
}
