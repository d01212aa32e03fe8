//! From a profile to a session that is logged in.

use super::algorithms;
use crate::error::{Error, Result};
use crate::host::failure::{Failure, describe};
use crate::host::key_text::{KeyFile, base64, inspect, key_type};
use crate::host::known_hosts::{Known, Verdict, add};
use crate::host::local::read_local;
use crate::host::profile::SshProfile;
use crate::host::terminal;
use ::ssh2::{ErrorCode, HashType, KeyboardInteractivePrompt, MethodType, Prompt, PublicKey, Session};
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

const CONNECT_LIMIT: Duration = Duration::from_secs(15);
/// For the key exchange and each step of the login, in milliseconds.
const STEP_LIMIT_MS: u32 = 30_000;
const KEY_FILE_LIMIT: u64 = 1 << 20;
/// As often as OpenSSH asks (NumberOfPasswordPrompts).
const TRIES: usize = 3;

/// What was typed at the first login, so that further connections to the same host need not ask again.
#[derive(Default)]
pub(super) struct Secrets {
    password: Option<String>,
    passphrases: HashMap<PathBuf, String>,
}

/// Connects, checks the host key and logs in. Returns the session and its socket.
pub(super) fn log_in(profile: &SshProfile, ask: bool, secrets: &mut Secrets) -> Result<(Session, TcpStream)> {
    let said = |e: &dyn std::fmt::Display| {
        Error::new(format!("connecting to {}", profile.label())).because(Error::new(e.to_string()))
    };
    let known = Known::look_up(&profile.known_hosts, &profile.known_name())?;
    let socket = connect(profile)?;
    let mut session = Session::new().map_err(|e| said(&e))?;
    algorithms::prefer(&session, &known.types(), &profile.ciphers, profile.legacy_algorithms)
        .map_err(|e| Error::new(format!("connecting to {}", profile.label())).because(e))?;
    session.set_timeout(STEP_LIMIT_MS);
    session.set_tcp_stream(socket.try_clone().map_err(|e| said(&e))?);
    session.handshake().map_err(|e| explain_handshake(&e, profile))?;
    check_host_key(&session, &known, profile, ask)?;
    let mut login = Login { session: &session, profile, ask, secrets, tried: Vec::new() };
    login.run()?;
    Ok((session, socket))
}

fn connect(profile: &SshProfile) -> Result<TcpStream> {
    let addresses: Vec<SocketAddr> = match (profile.host.as_str(), profile.port).to_socket_addrs() {
        Ok(found) => found.collect(),
        Err(e) => return Err(describe(Failure::Name, profile, &e.to_string())),
    };
    let mut last = describe(Failure::Name, profile, "it has no address");
    for address in addresses {
        match TcpStream::connect_timeout(&address, CONNECT_LIMIT) {
            Ok(socket) => {
                // Keepalives are sent every 15 s; a host that acknowledges nothing for a minute is gone.
                let _ = rustix::net::sockopt::set_tcp_user_timeout(&socket, 60_000);
                let _ = socket.set_nodelay(true);
                return Ok(socket);
            }
            Err(e) => {
                let failure =
                    if e.kind() == ErrorKind::ConnectionRefused { Failure::Refused } else { Failure::Unreachable };
                last = describe(failure, profile, &format!("{address}: {e}"));
            }
        }
    }
    Err(last)
}

fn explain_handshake(e: &::ssh2::Error, profile: &SshProfile) -> Error {
    // libssh2.h: -5 KEX_FAILURE, -8 KEY_EXCHANGE_FAILURE, -9 TIMEOUT, -13 SOCKET_DISCONNECT, -43 SOCKET_RECV.
    let failure = match e.code() {
        ErrorCode::Session(-5 | -8) => Failure::Algorithms,
        ErrorCode::Session(-9) => Failure::Unreachable,
        _ => Failure::Closed,
    };
    describe(failure, profile, &e.to_string())
}

fn check_host_key(session: &Session, known: &Known, profile: &SshProfile, ask: bool) -> Result<()> {
    let (key, _) = session.host_key().ok_or_else(|| describe(Failure::Closed, profile, "the host showed no key"))?;
    let kind = key_type(key).unwrap_or_else(|| "unknown".to_owned());
    let print = session.host_key_hash(HashType::Sha256).map(|h| base64(h, false)).unwrap_or_default();
    let shown = format!("it showed the {kind} key SHA256:{print}");
    match known.check(key) {
        Verdict::Known => Ok(()),
        Verdict::Changed(place) => {
            Err(describe(Failure::ChangedKey, profile, &format!("{shown}, but another one is known from {place}")))
        }
        Verdict::Revoked(place) => Err(describe(Failure::RevokedKey, profile, &format!("{shown}, revoked in {place}"))),
        Verdict::Unknown => {
            let question = format!(
                "The key of {} is not known: {kind} key SHA256:{print}\nIs this its fingerprint, and do you want to go on (yes/no)? ",
                profile.label()
            );
            let file = profile.known_hosts.first();
            match file.filter(|_| ask && terminal::is_there()) {
                Some(file) if terminal::confirm(&question)? => add(file, &profile.known_name(), key),
                _ => Err(describe(Failure::UnknownKey, profile, &shown)),
            }
        }
    }
}

struct Login<'a> {
    session: &'a Session,
    profile: &'a SshProfile,
    ask: bool,
    secrets: &'a mut Secrets,
    /// What was tried, for the error.
    tried: Vec<String>,
}

impl Login<'_> {
    fn run(&mut self) -> Result<()> {
        // The request for the methods is itself a login with method none, which may succeed.
        let methods = match self.session.auth_methods(&self.profile.user) {
            Ok(methods) => methods.to_owned(),
            Err(_) if self.session.authenticated() => return Ok(()),
            Err(e) => return Err(describe(Failure::Closed, self.profile, &e.to_string())),
        };
        let allows = |method: &str| methods.split(',').any(|m| m == method);
        if allows("publickey") {
            let files = self.key_files();
            if self.try_agent(&files) || self.try_files(&files)? {
                return Ok(());
            }
        }
        let can_ask = self.ask && terminal::is_there();
        if can_ask || self.secrets.password.is_some() {
            if allows("password") && self.try_password(can_ask)? {
                return Ok(());
            }
            if allows("keyboard-interactive") && self.try_interactive(can_ask) {
                return Ok(());
            }
        }
        let tried = if self.tried.is_empty() { "there was no key to try".to_owned() } else { self.tried.join("; ") };
        Err(describe(Failure::Auth, self.profile, &format!("the server allows {methods}; {tried}")))
    }

    fn key_files(&mut self) -> Vec<(PathBuf, KeyFile)> {
        let mut found = Vec::new();
        for path in &self.profile.identity_files {
            match read_local(path, KEY_FILE_LIMIT) {
                Ok(Some(text)) => match inspect(&String::from_utf8_lossy(&text)) {
                    Some(key) => found.push((path.clone(), key)),
                    None => self.tried.push(format!("{} is not a private key", path.display())),
                },
                Ok(None) => {}
                Err(e) => self.tried.push(format!("{}: {e}", path.display())),
            }
        }
        found
    }

    /// Tries the agent's keys, those of the identity files first: a server takes only so many (MaxAuthTries, 6).
    fn try_agent(&mut self, files: &[(PathBuf, KeyFile)]) -> bool {
        let named = self.profile.identity_agent.as_deref().filter(|a| *a != "SSH_AUTH_SOCK");
        if named == Some("none") || (named.is_none() && std::env::var_os("SSH_AUTH_SOCK").is_none()) {
            return false;
        }
        let Ok(mut agent) = self.session.agent() else { return false };
        if let Some(socket) = named
            && agent.set_identity_path(Path::new(socket)).is_err()
        {
            return false;
        }
        if agent.connect().is_err() || agent.list_identities().is_err() {
            return false;
        }
        let ours =
            |key: &PublicKey| files.iter().any(|(path, file)| public_of(path, file).as_deref() == Some(key.blob()));
        let (mut first, rest): (Vec<_>, Vec<_>) = agent.identities().unwrap_or_default().into_iter().partition(ours);
        if !self.profile.identities_only {
            first.extend(rest);
        }
        for key in first {
            match self.attempt(key_type(key.blob()).as_deref(), || agent.userauth(&self.profile.user, &key)) {
                Ok(()) => return true,
                Err(e) => {
                    self.tried.push(format!("key {} of the agent: {}", key.comment().escape_debug(), e.message()));
                }
            }
        }
        false
    }

    /// Tries the key files: first those that need no passphrase, then the others, when somebody can be asked.
    fn try_files(&mut self, files: &[(PathBuf, KeyFile)]) -> Result<bool> {
        for (path, key) in files.iter().filter(|(_, key)| !key.encrypted) {
            if self.try_file(path, key, None) {
                return Ok(true);
            }
        }
        for (path, key) in files.iter().filter(|(_, key)| key.encrypted) {
            if let Some(phrase) = self.secrets.passphrases.get(path).cloned() {
                if self.try_file(path, key, Some(&phrase)) {
                    return Ok(true);
                }
            } else if !self.ask || !terminal::is_there() {
                self.tried
                    .push(format!("{} needs a passphrase, and there is no terminal to ask for it", path.display()));
            } else if self.ask_and_try(path, key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn ask_and_try(&mut self, path: &Path, key: &KeyFile) -> Result<bool> {
        for _ in 0..TRIES {
            let phrase =
                terminal::ask_secret(&format!("Passphrase of {}: ", path.display().to_string().escape_debug()))?;
            if phrase.is_empty() {
                break;
            }
            if self.try_file(path, key, Some(&phrase)) {
                self.secrets.passphrases.insert(path.to_owned(), phrase);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Tries a key, and an RSA key once more with a SHA-1 signature where that is allowed: a server may claim to know
    /// SHA-2 and still be told to take SHA-1 only.
    fn attempt(
        &self,
        kind: Option<&str>,
        mut log_in: impl FnMut() -> std::result::Result<(), ::ssh2::Error>,
    ) -> std::result::Result<(), ::ssh2::Error> {
        let first = log_in();
        if first.is_ok() || !self.profile.legacy_algorithms || kind.is_some_and(|k| k != "ssh-rsa") {
            return first;
        }
        self.session.method_pref(MethodType::SignAlgo, "ssh-rsa")?;
        let second = log_in();
        let _ = self.session.method_pref(MethodType::SignAlgo, "rsa-sha2-512,rsa-sha2-256,ssh-rsa");
        second
    }

    fn try_file(&mut self, path: &Path, key: &KeyFile, phrase: Option<&str>) -> bool {
        let kind = key.public.as_deref().and_then(key_type);
        let log_in = || self.session.userauth_pubkey_file(&self.profile.user, None, path, phrase);
        match self.attempt(kind.as_deref(), log_in) {
            Ok(()) => true,
            Err(e) => {
                self.tried.push(format!("{}: {}", path.display().to_string().escape_debug(), e.message()));
                false
            }
        }
    }

    fn try_password(&mut self, can_ask: bool) -> Result<bool> {
        if let Some(password) = &self.secrets.password
            && self.session.userauth_password(&self.profile.user, password).is_ok()
        {
            return Ok(true);
        }
        for _ in 0..if can_ask { TRIES } else { 0 } {
            let password = terminal::ask_secret(&format!("Password of {}: ", self.profile.label()))?;
            match self.session.userauth_password(&self.profile.user, &password) {
                Ok(()) => {
                    self.secrets.password = Some(password);
                    return Ok(true);
                }
                Err(e) => self.tried.push(format!("password: {}", e.message())),
            }
        }
        Ok(false)
    }

    fn try_interactive(&mut self, can_ask: bool) -> bool {
        let mut answers = Answers { known: self.secrets.password.clone(), given: None, can_ask };
        match self.session.userauth_keyboard_interactive(&self.profile.user, &mut answers) {
            Ok(()) => {
                self.secrets.password = answers.given.or(answers.known);
                true
            }
            Err(e) => {
                self.tried.push(format!("keyboard-interactive: {}", e.message()));
                false
            }
        }
    }
}

/// Returns the public half of a key file: from itself, or from the `.pub` file beside it.
fn public_of(path: &Path, file: &KeyFile) -> Option<Vec<u8>> {
    if file.public.is_some() {
        return file.public.clone();
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let text = read_local(Path::new(&beside), KEY_FILE_LIMIT).ok().flatten()?;
    crate::host::key_text::from_base64(String::from_utf8_lossy(&text).split_whitespace().nth(1)?)
}

/// Answers a server's own questions (PAM); a single one without echo is the password.
struct Answers {
    known: Option<String>,
    given: Option<String>,
    can_ask: bool,
}

impl KeyboardInteractivePrompt for Answers {
    fn prompt<'a>(&mut self, _user: &str, instructions: &str, prompts: &[Prompt<'a>]) -> Vec<String> {
        let plain = |text: &str| text.chars().filter(|c| !c.is_control() || *c == '\n').collect::<String>();
        let single = prompts.len() == 1 && prompts.iter().all(|p| !p.echo);
        if let Some(password) = self.known.take().filter(|_| single) {
            self.given = Some(password.clone());
            return vec![password];
        }
        let head = if instructions.trim().is_empty() { String::new() } else { format!("{}\n", plain(instructions)) };
        if !self.can_ask {
            return vec![String::new(); prompts.len()];
        }
        let answers: Vec<String> = prompts
            .iter()
            .map(|p| terminal::ask_secret(&format!("{head}{}", plain(&p.text))).unwrap_or_default())
            .collect();
        if single {
            self.given = answers.first().cloned();
        }
        answers
    }
}
