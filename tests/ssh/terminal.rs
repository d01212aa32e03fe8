//! A login with questions: this test binary runs itself on a terminal of its own and is answered.

use crate::server::Server;
use ovz2lxc::host::{Command, Destination, Host, Local, SshOverrides};
use ovz2lxc::model::settings::TransportChoice;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::time::Duration;

const CHILD: &str = "OVZ2LXC_TEST_LOGIN";
const TTY: &str = "its terminal is ";

/// Connects on a terminal; whenever what was said since the last answer contains the first word of the next pair, the
/// second is typed. Returns all that was said.
pub fn connect(
    server: &Server,
    overrides: &SshOverrides,
    transport: TransportChoice,
    answers: &[(&str, &str)],
) -> String {
    let path = |p: &Option<PathBuf>| p.as_ref().unwrap().display().to_string();
    let login = [
        server.destination().to_string(),
        path(&overrides.identity),
        path(&overrides.known_hosts),
        path(&overrides.config_file),
        format!("{transport:?}"),
    ]
    .join("|");
    let exe = std::env::current_exe().unwrap();
    let test = format!("'{}' --exact --ignored --nocapture terminal::logs_in_on_a_terminal", exe.display());
    let script = Command::read("env").arg(format!("{CHILD}={login}")).args(["script", "-qefc", &test, "/dev/null"]);
    let mut p = Local::new().spawn(&script.pipe_stdin().timeout(Duration::from_secs(120))).unwrap();
    let (mut stdin, mut stdout) = (p.take_stdin().unwrap(), p.take_stdout().unwrap());
    let (mut said, mut since, mut answers) = (String::new(), 0, answers.iter());
    let mut next = answers.next();
    let mut buf = [0; 4096];
    loop {
        let n = stdout.read(&mut buf).unwrap_or(0);
        if n == 0 {
            break;
        }
        said.push_str(&String::from_utf8_lossy(&buf[..n]));
        if let Some((question, answer)) = next.filter(|(question, _)| said[since..].contains(question)) {
            assert!(!question.is_empty());
            wait_for_silence(&said);
            stdin.write_all(format!("{answer}\n").as_bytes()).unwrap();
            stdin.flush().unwrap();
            since = said.len();
            next = answers.next();
        }
    }
    drop(stdin);
    p.wait().unwrap();
    said
}

/// Waits until the terminal does not show what is typed, as for a password; a question that shows it is answered after two
/// seconds. The question comes first, and whoever asks throws away what was typed before.
fn wait_for_silence(said: &str) {
    let tty = said.split(TTY).nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap().to_owned();
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(100));
        let state = Local::new().run_ok(&Command::read("stty").args(["-a", "-F", &tty])).unwrap().text();
        if state.split_whitespace().any(|word| word == "-echo") {
            return;
        }
    }
}

#[test]
#[ignore = "the other half of the tests with questions, run by them on a terminal"]
fn logs_in_on_a_terminal() {
    let Ok(login) = std::env::var(CHILD) else { return };
    println!("{TTY}{}", std::fs::read_link("/proc/self/fd/0").unwrap().display());
    let parts: Vec<&str> = login.split('|').collect();
    let overrides = SshOverrides {
        identity: Some(parts[1].into()),
        known_hosts: Some(parts[2].into()),
        config_file: Some(parts[3].into()),
        ..SshOverrides::default()
    };
    let transport = if parts[4] == "Ssh2" { TransportChoice::Ssh2 } else { TransportChoice::Openssh };
    let destination = Destination::parse(parts[0]).unwrap();
    match ovz2lxc::host::connect(&destination, &overrides, transport, true) {
        Ok(host) => {
            assert_eq!(host.run(&Command::read("echo").arg("hello")).unwrap().text(), "hello\n");
            // What was typed serves further connections too.
            assert_eq!(host.another().unwrap().run(&Command::read("echo").arg("hello")).unwrap().text(), "hello\n");
            println!("CONNECTED");
        }
        Err(e) => println!("FAILED {e:?}"),
    }
}
