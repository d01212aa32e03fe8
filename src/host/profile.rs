//! One profile of a host, from which the options of both SSH clients are made.

use super::ciphers::fastest_first;
use super::destination::{Destination, is_host};
use super::ssh_config::{Answer, ask, home};
use crate::error::{Doing, Error, Result};
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf, absolute};

/// What the command line or the configuration says about the connection, beside its destination.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshOverrides {
    /// `--port`.
    pub port: Option<u16>,
    /// `--identity`: the only key that is offered.
    pub identity: Option<PathBuf>,
    /// `--known-hosts`: the only file that counts.
    pub known_hosts: Option<PathBuf>,
    /// `--legacy-algorithms`: also ssh-rsa, group14-sha1 and hmac-sha1, for this host only.
    pub legacy_algorithms: bool,
    /// Instead of ~/.ssh/config and /etc/ssh/ssh_config.
    pub config_file: Option<PathBuf>,
}

/// Everything that must be known to log in somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshProfile {
    /// The host as it was asked for: what `Host` of ssh_config matches.
    pub alias: String,
    /// The host that is connected to.
    pub host: String,
    /// The user over there.
    pub user: String,
    /// The TCP port.
    pub port: u16,
    /// Private keys, in the order in which they are tried; some may not exist.
    pub identity_files: Vec<PathBuf>,
    /// Whether the keys above are the only ones that may be offered.
    pub identities_only: bool,
    /// The agent's socket that ssh_config names; `none` is no agent.
    pub identity_agent: Option<String>,
    /// Files of known host keys; a new key goes into the first.
    pub known_hosts: Vec<PathBuf>,
    /// The name under which the host's key is known, when it is not the host's.
    pub host_key_alias: Option<String>,
    /// Whether SHA-1 algorithms may be used.
    pub legacy_algorithms: bool,
    /// `proxyjump X` or `proxycommand X` of ssh_config.
    pub jump: Option<String>,
    /// The ciphers that ssh_config allows, the fastest first; none when nobody said.
    pub(super) ciphers: Vec<String>,
    asked: Asked,
}

/// What was asked for explicitly, and so is told to the OpenSSH client; the rest it finds in its configuration itself.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    user: Option<String>,
    port: Option<u16>,
    overrides: SshOverrides,
    old_client: bool,
    sha1_first: bool,
}

impl SshProfile {
    /// Merges destination, overrides and ssh_config. Errors are usage errors, or those of a broken ssh_config.
    pub fn resolve(destination: &Destination, overrides: &SshOverrides) -> Result<SshProfile> {
        let Destination::Ssh { user, host: alias, port } = destination else {
            return Err(Error::usage("this host is not reached over SSH"));
        };
        let overrides = canonical(overrides)?;
        let port = overrides.port.or(*port);
        let home = home();
        let answer = ask(alias, user.as_deref(), port, overrides.config_file.as_deref(), &home)?;
        Ok(SshProfile::merge(alias, user.clone(), port, overrides, answer, &home))
    }

    fn merge(
        alias: &str,
        user: Option<String>,
        port: Option<u16>,
        overrides: SshOverrides,
        answer: Answer,
        home: &Path,
    ) -> SshProfile {
        let host = answer.hostname.filter(|h| is_host(h)).unwrap_or_else(|| alias.to_owned());
        let own_user = || std::env::var("USER").ok().filter(|u| !u.is_empty()).unwrap_or_else(|| "root".to_owned());
        let login = user.clone().or(answer.user).unwrap_or_else(own_user);
        let found_port = port.or(answer.port).unwrap_or(22);
        let expand = |text: &String| expand(text, home, &host, alias, &login, found_port);
        let identity_files = match &overrides.identity {
            Some(file) => vec![file.clone()],
            None if answer.identity_files.is_empty() => {
                ["id_rsa", "id_ecdsa", "id_ed25519"].map(|name| home.join(".ssh").join(name)).to_vec()
            }
            None => answer.identity_files.iter().map(expand).collect(),
        };
        let known_hosts = match &overrides.known_hosts {
            Some(file) => vec![file.clone()],
            None if answer.known_hosts.is_empty() => {
                vec![home.join(".ssh/known_hosts"), "/etc/ssh/ssh_known_hosts".into()]
            }
            None => answer.known_hosts.iter().map(expand).collect(),
        };
        SshProfile {
            alias: alias.to_owned(),
            user: login,
            port: found_port,
            identity_files,
            identities_only: overrides.identity.is_some(),
            identity_agent: answer.identity_agent,
            known_hosts,
            host_key_alias: answer.host_key_alias,
            legacy_algorithms: overrides.legacy_algorithms,
            jump: answer.proxy,
            ciphers: fastest_first(answer.ciphers),
            asked: Asked { user, port, overrides, old_client: answer.old_client, sha1_first: false },
            host,
        }
    }

    /// Returns `user@host:port`, for people.
    pub fn label(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{}@{host}:{}", self.user, self.port)
    }

    /// Returns the name under which known_hosts keeps the host's key: `host`, or `[host]:port`.
    pub fn known_name(&self) -> String {
        let name = self.host_key_alias.as_ref().unwrap_or(&self.host).to_lowercase();
        if self.port == 22 || self.host_key_alias.is_some() { name } else { format!("[{name}]:{}", self.port) }
    }

    /// Returns the destination argument for the OpenSSH client.
    pub fn openssh_destination(&self) -> String {
        format!("{}@{}", self.user, self.alias)
    }

    /// Returns the destination as it stands before the colon of an rsync argument.
    pub fn rsync_destination(&self) -> String {
        let host = if self.alias.contains(':') { format!("[{}]", self.alias) } else { self.alias.clone() };
        format!("{}@{host}", self.user)
    }

    /// Returns the same profile, but an RSA key signs with SHA-1 even where the server claims to know SHA-2: one that is
    /// told to take ssh-rsa only may claim that all the same.
    #[must_use]
    pub(super) fn sha1_signatures_first(&self) -> SshProfile {
        let mut profile = self.clone();
        profile.asked.sha1_first = true;
        profile
    }

    /// Returns the OpenSSH client with its options, without destination and command. With `ask` it may ask on the terminal
    /// for an unknown host key, a passphrase or a password; without, it never waits for an answer.
    pub fn openssh_argv(&self, ask: bool) -> Vec<OsString> {
        let mut argv = Argv(vec!["ssh".into()]);
        let given = &self.asked.overrides;
        if let Some(file) = &given.config_file {
            argv.0.extend(["-F".into(), file.into()]);
        }
        if let Some(port) = self.asked.port {
            argv.0.extend(["-p".into(), port.to_string().into()]);
        }
        if let Some(user) = &self.asked.user {
            argv.0.extend(["-l".into(), user.into()]);
        }
        if let Some(file) = &given.identity {
            argv.0.extend(["-i".into(), percent(file)]);
            argv.set("IdentitiesOnly", "yes");
        }
        if let Some(file) = &given.known_hosts {
            let mut value = OsString::from("\"");
            value.push(percent(file));
            value.push("\"");
            argv.set("UserKnownHostsFile", value);
            argv.set("GlobalKnownHostsFile", "/dev/null");
        }
        argv.set("BatchMode", if ask { "no" } else { "yes" });
        argv.set("StrictHostKeyChecking", if ask { "ask" } else { "yes" });
        for (key, value) in FIXED {
            argv.set(key, value);
        }
        if !self.ciphers.is_empty() {
            argv.set("Ciphers", self.ciphers.join(","));
        }
        if self.legacy_algorithms {
            argv.set("HostKeyAlgorithms", "+ssh-rsa");
            let keys = if self.asked.old_client { "PubkeyAcceptedKeyTypes" } else { "PubkeyAcceptedAlgorithms" };
            argv.set(keys, if self.asked.sha1_first { "^ssh-rsa" } else { "+ssh-rsa" });
            // Both OpenSSH 4.3 and 5.3 have group14, so group1 with its 1024 bits is not needed.
            argv.set("KexAlgorithms", "+diffie-hellman-group14-sha1");
            argv.set("MACs", "+hmac-sha1");
        }
        argv.0
    }
}

const FIXED: [(&str, &str); 8] = [
    ("ConnectTimeout", "15"),
    ("ServerAliveInterval", "15"),
    ("ServerAliveCountMax", "4"),
    // Below INFO, ssh keeps to itself that there was no algorithm in common.
    ("LogLevel", "INFO"),
    ("ForwardX11", "no"),
    ("ForwardAgent", "no"),
    ("ClearAllForwardings", "yes"),
    ("PermitLocalCommand", "no"),
];

struct Argv(Vec<OsString>);

impl Argv {
    fn set(&mut self, key: &str, value: impl Into<OsString>) {
        let mut option = OsString::from(key);
        option.push("=");
        option.push(value.into());
        self.0.extend(["-o".into(), option]);
    }
}

/// Makes paths absolute and refuses what an option of the OpenSSH client cannot carry.
fn canonical(overrides: &SshOverrides) -> Result<SshOverrides> {
    let path = |option: &str, path: &Option<PathBuf>, must_exist: bool| -> Result<Option<PathBuf>> {
        let Some(path) = path else { return Ok(None) };
        let shown = path.display().to_string().escape_debug().to_string();
        if path.as_os_str().as_bytes().iter().any(|b| b.is_ascii_control() || b"\"\\".contains(b)) {
            return Err(Error::usage(format!(
                "{option} {shown}: a quote, a backslash or a control character in the path"
            )));
        }
        if must_exist && !path.is_file() {
            return Err(Error::usage(format!("{option} {shown}: there is no such file")));
        }
        absolute(path).map(Some).doing(|| format!("{option} {shown}"))
    };
    if overrides.port == Some(0) {
        return Err(Error::usage("--port 0: the port is not a number from 1 to 65535"));
    }
    Ok(SshOverrides {
        identity: path("--identity", &overrides.identity, true)?,
        known_hosts: path("--known-hosts", &overrides.known_hosts, false)?,
        config_file: path("ssh configuration", &overrides.config_file, true)?,
        ..overrides.clone()
    })
}

/// Keeps OpenSSH from expanding `%` in a path.
pub(super) fn percent(path: &Path) -> OsString {
    let doubled = path.as_os_str().as_bytes().iter().flat_map(|b| if *b == b'%' { vec![*b, *b] } else { vec![*b] });
    OsString::from_vec(doubled.collect())
}

/// Expands `~` and the tokens of ssh_config(5) that paths use.
fn expand(text: &str, home: &Path, host: &str, alias: &str, user: &str, port: u16) -> PathBuf {
    let text = text.strip_prefix("~/").map_or_else(|| text.to_owned(), |rest| home.join(rest).display().to_string());
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '%') {
            (_, true) => match chars.next() {
                Some('%') => out.push('%'),
                Some('d') => out.push_str(&home.display().to_string()),
                Some('h') => out.push_str(host),
                Some('n') => out.push_str(alias),
                Some('r') => out.push_str(user),
                Some('p') => out.push_str(&port.to_string()),
                Some(other) => out.extend(['%', other]),
                None => out.push('%'),
            },
            _ => out.push(c),
        }
    }
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn profile(destination: &str, overrides: &SshOverrides) -> SshProfile {
        SshProfile::resolve(&Destination::parse(destination).unwrap(), overrides).unwrap()
    }

    fn config(text: &str) -> (tempfile::TempDir, SshOverrides) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config");
        std::fs::write(&file, text).unwrap();
        (dir, SshOverrides { config_file: Some(file), ..SshOverrides::default() })
    }

    #[test]
    fn an_alias_is_resolved_and_the_command_line_wins() {
        let (_dir, mut o) =
            config("Host vz1\nHostName 192.0.2.1\nUser root\nPort 2222\nIdentityFile /keys/%h-%r\nProxyJump gw\n");
        let p = profile("vz1", &o);
        assert_eq!((p.label().as_str(), p.known_name().as_str()), ("root@192.0.2.1:2222", "[192.0.2.1]:2222"));
        assert_eq!(p.identity_files, [PathBuf::from("/keys/192.0.2.1-root")]);
        assert_eq!(p.jump.as_deref(), Some("proxyjump gw"));
        assert_eq!(p.openssh_destination(), "root@vz1");
        o.port = Some(22);
        let p = profile("admin@vz1", &o);
        assert_eq!((p.label().as_str(), p.known_name().as_str()), ("admin@192.0.2.1:22", "192.0.2.1"));
    }

    #[test]
    fn the_options_say_what_was_asked_for_and_never_wait_without_a_terminal() {
        let (dir, mut o) = config("");
        let key = dir.path().join("k%y");
        std::fs::write(&key, "").unwrap();
        o = SshOverrides {
            identity: Some(key),
            known_hosts: Some("/x/known hosts".into()),
            legacy_algorithms: true,
            ..o
        };
        let argv = profile("root@[2001:db8::1]:2222", &o).openssh_argv(false);
        let line = argv.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        for part in [
            "-p 2222",
            "-l root",
            "k%%y -o IdentitiesOnly=yes",
            "UserKnownHostsFile=\"/x/known hosts\"",
            "BatchMode=yes",
            "GlobalKnownHostsFile=/dev/null",
            "StrictHostKeyChecking=yes",
            "HostKeyAlgorithms=+ssh-rsa",
            "=+diffie-hellman-group14-sha1",
        ] {
            assert!(line.contains(part), "{part} not in {line}");
        }
        o.legacy_algorithms = false;
        let argv = profile("vz1", &o).openssh_argv(true);
        let line = argv.iter().map(|a| a.to_string_lossy()).collect::<Vec<_>>().join(" ");
        assert!(
            line.contains("StrictHostKeyChecking=ask") && !line.contains("+ssh-rsa") && !line.contains("-p "),
            "{line}"
        );
    }

    #[test]
    fn what_an_option_cannot_carry_is_a_usage_error() {
        for o in [
            SshOverrides { identity: Some("/nonexistent/key".into()), ..SshOverrides::default() },
            SshOverrides { known_hosts: Some("/a\"b".into()), ..SshOverrides::default() },
            SshOverrides { port: Some(0), ..SshOverrides::default() },
        ] {
            let e = SshProfile::resolve(&Destination::parse("vz1").unwrap(), &o).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage);
        }
        assert!(SshProfile::resolve(&Destination::Local, &SshOverrides::default()).is_err());
    }
}
