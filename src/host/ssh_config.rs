//! What ~/.ssh/config says about a host: asked from the ssh client, read by ourselves where there is none.

use super::Host;
use super::command::Command;
use super::local::{Local, is_installed, read_local};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONFIG_LIMIT: u64 = 1 << 20;

/// What the configuration says about one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) hostname: Option<String>,
    pub(super) user: Option<String>,
    pub(super) port: Option<u16>,
    pub(super) identity_files: Vec<String>,
    pub(super) identity_agent: Option<String>,
    pub(super) known_hosts: Vec<String>,
    pub(super) host_key_alias: Option<String>,
    pub(super) proxy: Option<String>,
    /// The ciphers that may be used, best first; none when nobody said.
    pub(super) ciphers: Vec<String>,
    /// The client knows `PubkeyAcceptedKeyTypes` only: it is older than OpenSSH 8.5.
    pub(super) old_client: bool,
}

/// Asks `ssh -G`, the parser of OpenSSH itself; reads the file when that client is not installed.
pub(super) fn ask(
    alias: &str,
    user: Option<&str>,
    port: Option<u16>,
    config: Option<&Path>,
    home: &Path,
) -> Result<Answer> {
    if !is_installed("ssh") {
        let files = match config {
            Some(file) => vec![file.to_owned()],
            None => vec![home.join(".ssh/config"), "/etc/ssh/ssh_config".into()],
        };
        let mut answer = Answer::default();
        for file in files {
            if let Some(text) = read_local(&file, CONFIG_LIMIT)? {
                read(&String::from_utf8_lossy(&text), alias, &mut answer);
            }
        }
        return Ok(answer);
    }
    let mut command = Command::read("ssh").arg("-G").timeout(Duration::from_secs(30));
    if let Some(config) = config {
        command = command.arg("-F").arg(config);
    }
    if let Some(user) = user {
        command = command.arg("-l").arg(user);
    }
    if let Some(port) = port {
        command = command.arg("-p").arg(port.to_string());
    }
    let output = Local::new().run(&command.args(["-T", "--", alias]))?;
    if output.status != 0 {
        return Err(Error::new(format!("asking the ssh client for its settings of host {alias}"))
            .because(Error::new(output.stderr_tail())));
    }
    Ok(understand(&output.text()))
}

/// Reads the output of `ssh -G`: a lower-case keyword, a blank, the value, one a line.
fn understand(text: &str) -> Answer {
    let mut answer = Answer { old_client: true, ..Answer::default() };
    for (key, value) in text.lines().filter_map(|line| line.split_once(' ')) {
        let value = value.trim();
        let some = || Some(value.to_owned()).filter(|v| v != "none");
        match key {
            "hostname" => answer.hostname = some(),
            "user" => answer.user = some(),
            "port" => answer.port = value.parse().ok(),
            "identityfile" => answer.identity_files.extend(some()),
            "identityagent" => answer.identity_agent = Some(value.to_owned()),
            // The user's file comes first: new keys are written there.
            "userknownhostsfile" => {
                answer.known_hosts.splice(0..0, value.split_whitespace().map(str::to_owned));
            }
            "globalknownhostsfile" => answer.known_hosts.extend(value.split_whitespace().map(str::to_owned)),
            "hostkeyalias" => answer.host_key_alias = some(),
            "proxyjump" | "proxycommand" => answer.proxy = answer.proxy.or(some().map(|v| format!("{key} {v}"))),
            "ciphers" => answer.ciphers = value.split(',').map(str::to_owned).collect(),
            "pubkeyacceptedalgorithms" => answer.old_client = false,
            _ => {}
        }
    }
    answer
}

/// Reads an ssh_config(5) file; the first value wins, as there. Knows Host, HostName, User, Port, IdentityFile,
/// UserKnownHostsFile, HostKeyAlias, Ciphers, ProxyJump and ProxyCommand.
fn read(text: &str, alias: &str, answer: &mut Answer) {
    let mut applies = true;
    for line in text.lines() {
        let words = words(line);
        let Some((key, values)) = words.split_first() else { continue };
        let key = key.to_ascii_lowercase();
        let value = values.join(" ");
        match key.as_str() {
            "host" => applies = matches_host(values, alias),
            "match" => {
                applies = values.iter().map(String::as_str).eq(["all"]);
                if !applies {
                    tracing::warn!(
                        "ssh_config: \"{}\" is not understood without the ssh client",
                        line.trim().escape_debug()
                    );
                }
            }
            "include" => tracing::warn!("ssh_config: Include is not read without the ssh client"),
            _ if !applies || value.is_empty() => {}
            "hostname" => set(&mut answer.hostname, value.replace("%h", alias)),
            "user" => set(&mut answer.user, value),
            "port" => answer.port = answer.port.or(value.parse().ok()),
            "identityfile" => answer.identity_files.push(value),
            "userknownhostsfile" if answer.known_hosts.is_empty() => answer.known_hosts = values.to_vec(),
            "hostkeyalias" => set(&mut answer.host_key_alias, value),
            // A list that adds to or takes from another needs the client, which knows the other.
            "ciphers" if answer.ciphers.is_empty() && !value.starts_with(['+', '-', '^']) => {
                answer.ciphers = value.split(',').map(str::to_owned).collect();
            }
            "proxyjump" | "proxycommand" => {
                set(&mut answer.proxy, if value == "none" { value } else { format!("{key} {value}") });
            }
            _ => {}
        }
    }
    if answer.proxy.as_deref() == Some("none") {
        answer.proxy = None;
    }
}

fn set(slot: &mut Option<String>, value: String) {
    slot.get_or_insert(value);
}

/// Splits a line at blanks, honouring double quotes; the keyword may be parted by `=`.
fn words(line: &str) -> Vec<String> {
    let line = line.trim();
    let line = match line.split_once(|c: char| c == '=' || c.is_whitespace()) {
        _ if line.starts_with('#') => return Vec::new(),
        Some((key, rest)) => format!("{key} {}", rest.trim_start().trim_start_matches('=')),
        None => line.to_owned(),
    };
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars().chain([' ']) {
        match c {
            '"' => quoted = !quoted,
            c if c.is_whitespace() && !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    words
}

fn matches_host(patterns: &[String], alias: &str) -> bool {
    let negated = patterns.iter().filter_map(|p| p.strip_prefix('!')).any(|p| matches(p, alias));
    !negated && patterns.iter().any(|p| !p.starts_with('!') && matches(p, alias))
}

/// Tells whether a name fits a pattern of ssh_config(5) or known_hosts: `*` is any text, `?` one character.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&name[n]) => (p, n) = (p + 1, n + 1),
            _ => match star {
                Some((at, from)) => {
                    (p, n) = (at + 1, from + 1);
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// Returns the home directory as OpenSSH sees it: that of the user database, whatever HOME says.
pub(super) fn home() -> PathBuf {
    let uid = rustix::process::geteuid().as_raw().to_string();
    let users = read_local(Path::new("/etc/passwd"), CONFIG_LIMIT).ok().flatten().unwrap_or_default();
    let users = String::from_utf8_lossy(&users).into_owned();
    let ours = users.lines().map(|l| l.split(':').collect::<Vec<_>>()).find(|f| f.get(2) == Some(&uid.as_str()));
    let listed = ours.and_then(|f| f.get(5).map(PathBuf::from)).filter(|p| p.is_absolute());
    listed.or_else(|| std::env::var_os("HOME").map(PathBuf::from)).unwrap_or_else(|| "/".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONFIG: &str = "# comment\nHost vz1 !other\n  HostName 192.0.2.1\n  Port=2222\n User = root\nIdentityFile \"/k/a b\"\n\
        Host *.example.com\n User nobody\nHost *\n User last\n UserKnownHostsFile /a /b\n ProxyJump none\nHost jumpy\n ProxyJump gw\n";

    #[test]
    fn the_small_reader_takes_the_first_value_of_what_applies() {
        let mut a = Answer::default();
        read(CONFIG, "vz1", &mut a);
        assert_eq!((a.hostname.as_deref(), a.user.as_deref(), a.port), (Some("192.0.2.1"), Some("root"), Some(2222)));
        assert_eq!(a.identity_files, ["/k/a b"]);
        assert_eq!(a.known_hosts, ["/a", "/b"]);
        assert_eq!(a.proxy, None);
        let mut b = Answer::default();
        read("Host jumpy\nProxyJump gw\nHost *\nUser last\n", "jumpy", &mut b);
        assert_eq!((b.proxy.as_deref(), b.user.as_deref()), (Some("proxyjump gw"), Some("last")));
        let mut d = Answer::default();
        read("Ciphers +3des-cbc\nCiphers a,b\nCiphers c\n", "vz1", &mut d);
        assert_eq!(d.ciphers, ["a", "b"]);
        let mut c = Answer::default();
        read("Host a !vz1\nUser x\n", "vz1", &mut c);
        assert_eq!(c, Answer::default());
    }

    #[test]
    fn patterns() {
        assert!(
            matches("*.example.com", "vz1.example.com")
                && matches("vz?", "vz1")
                && matches("*", "")
                && matches("a*c*", "abcc")
        );
        assert!(!matches("*.example.com", "example.com") && !matches("vz?", "vz") && !matches("a*b", "abc"));
    }

    #[test]
    fn the_answer_of_the_client_is_understood() {
        let a = understand(
            "host foo\nuser root\nhostname 192.0.2.9\nport 2200\nidentityfile ~/.ssh/id_rsa\nproxyjump gw\npubkeyacceptedalgorithms x\n\
             ciphers aes128-ctr,aes256-ctr\nglobalknownhostsfile /etc/ssh/ssh_known_hosts\nuserknownhostsfile /root/.ssh/known_hosts /k\n",
        );
        assert_eq!((a.hostname.as_deref(), a.port, a.old_client), (Some("192.0.2.9"), Some(2200), false));
        assert_eq!(a.known_hosts, ["/root/.ssh/known_hosts", "/k", "/etc/ssh/ssh_known_hosts"]);
        assert_eq!(a.ciphers, ["aes128-ctr", "aes256-ctr"]);
        assert_eq!(a.proxy.as_deref(), Some("proxyjump gw"));
        assert!(understand("pubkeyacceptedkeytypes x\n").old_client);
    }
}
