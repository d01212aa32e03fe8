//! What an SSH client that failed wanted to say.

use super::profile::SshProfile;
use crate::error::Error;

/// Why a login failed, whichever client found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// The host's name is unknown.
    Name,
    /// Nobody listens on the port.
    Refused,
    /// The host is not reached, or does not answer.
    Unreachable,
    /// The host key is not in known_hosts, and nobody can be asked.
    UnknownKey,
    /// The host key differs from that in known_hosts.
    ChangedKey,
    /// The host key was revoked in known_hosts.
    RevokedKey,
    /// Neither key nor password was taken.
    Auth,
    /// Client and server have no algorithm in common.
    Algorithms,
    /// The server ended the connection.
    Closed,
}

use Failure::{Algorithms, Auth, ChangedKey, Closed, Name, Refused, RevokedKey, UnknownKey, Unreachable};

/// What OpenSSH says, under LC_ALL=C, in the order of precedence (sshconnect.c, sshconnect2.c, hostfile.c, kex.c).
const SAID: [(&str, Failure); 24] = [
    ("REMOTE HOST IDENTIFICATION HAS CHANGED", ChangedKey),
    ("HOST IDENTIFICATION HAS CHANGED", ChangedKey),
    ("REVOKED HOST KEY DETECTED", RevokedKey),
    ("is marked as revoked", RevokedKey),
    ("host key is known for", UnknownKey),
    ("Host key verification failed", UnknownKey),
    ("Unable to negotiate with", Algorithms),
    ("no matching host key type found", Algorithms),
    ("no matching key exchange method found", Algorithms),
    ("no matching cipher found", Algorithms),
    ("no matching MAC found", Algorithms),
    ("Permission denied (", Auth),
    ("Permission denied, please try again", Auth),
    ("Too many authentication failures", Auth),
    ("Could not resolve hostname", Name),
    ("Connection refused", Refused),
    ("No route to host", Unreachable),
    ("Network is unreachable", Unreachable),
    ("timed out", Unreachable),
    ("Connection closed by", Closed),
    ("Connection reset by", Closed),
    ("Connection to", Closed),
    ("Broken pipe", Closed),
    ("kex_exchange_identification", Closed),
];

/// Returns why the OpenSSH client gave up, as far as what it said on standard error is understood.
pub(super) fn understand(stderr: &str) -> Option<Failure> {
    SAID.iter().find(|(text, _)| stderr.contains(text)).map(|(_, failure)| *failure)
}

/// Makes an error of what the OpenSSH client said on standard error before it gave up.
pub(super) fn classify(stderr: &str, profile: &SshProfile) -> Error {
    let found = understand(stderr);
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('@')).collect();
    let said: Vec<String> =
        lines[lines.len().saturating_sub(3)..].iter().map(|l| l.chars().flat_map(shown).collect()).collect();
    let said = if said.is_empty() { "the ssh client said nothing".to_owned() } else { said.join("; ") };
    match found {
        // A server of RHEL 6 takes an RSA key only with SHA-1, and then ssh says this before "Permission denied".
        Some(Auth) if stderr.contains("no mutual signature") => describe(Algorithms, profile, &said),
        Some(failure) => describe(failure, profile, &said),
        None => Error::new(format!("connecting to {}", profile.label())).because(Error::new(said)),
    }
}

fn shown(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// Makes the error for a failure; `said` is what the client knows more exactly.
pub(super) fn describe(failure: Failure, profile: &SshProfile, said: &str) -> Error {
    let label = profile.label();
    let (message, hint) = match failure {
        Name => (
            format!("connecting to {label}: the name {} is unknown", profile.host),
            "see whether the host is spelled right, and DNS or /etc/hosts".to_owned(),
        ),
        Refused => (
            format!("connecting to {label}: connection refused"),
            "see whether sshd runs there and listens on this port (--port)".to_owned(),
        ),
        Unreachable => (
            format!("connecting to {label}: the host does not answer"),
            "see whether it is up, and whether a firewall is between".to_owned(),
        ),
        UnknownKey => (format!("connecting to {label}: its host key is not known"), unknown_key_hint(profile)),
        ChangedKey => (
            format!(
                "connecting to {label}: ITS HOST KEY HAS CHANGED: someone may be listening in, or the host was set up anew"
            ),
            format!(
                "compare the fingerprint on the host's own console; only if it is right, remove the old key: ssh-keygen -R '{}'{}",
                profile.known_name(),
                known_hosts_file(profile, " -f ")
            ),
        ),
        RevokedKey => (
            format!("connecting to {label}: ITS HOST KEY IS MARKED AS REVOKED"),
            "ask who marked it so in known_hosts".to_owned(),
        ),
        Auth => (format!("logging in as {label}: no key or password was accepted"), auth_hint(profile)),
        Algorithms => (format!("connecting to {label}: no algorithm in common"), algorithms_hint(profile)),
        Closed => (
            format!("connecting to {label}: the connection was closed"),
            "look into the log of sshd on that host; is this user or address allowed?".to_owned(),
        ),
    };
    Error::new(message).because(Error::new(said.to_owned())).hint(hint)
}

fn known_hosts_file(profile: &SshProfile, before: &str) -> String {
    profile.known_hosts.first().map(|file| format!("{before}'{}'", file.display())).unwrap_or_default()
}

fn unknown_key_hint(profile: &SshProfile) -> String {
    format!(
        "log in once by hand (ssh -p {} {}@{}) and compare the fingerprint, or add the key: ssh-keyscan -p {} {}{}; \
         --known-hosts names another file",
        profile.port,
        profile.user,
        profile.alias,
        profile.port,
        profile.host,
        known_hosts_file(profile, " >> ")
    )
}

fn auth_hint(profile: &SshProfile) -> String {
    let mut hint = format!(
        "name the right key with --identity, load it into an agent (ssh-add), or put it there: ssh-copy-id -p {} {}@{}",
        profile.port, profile.user, profile.alias
    );
    if !profile.legacy_algorithms {
        hint.push_str("; an OpenSSH before 7.2 takes an RSA key only with --legacy-algorithms, one before 6.5 knows no Ed25519 key");
    }
    hint
}

fn algorithms_hint(profile: &SshProfile) -> String {
    if profile.legacy_algorithms {
        "not even the SHA-1 algorithms of CentOS 5 and 6 helped: see what sshd there allows (sshd -T)".to_owned()
    } else {
        "for an old server (CentOS 5 or 6) allow SHA-1 algorithms for this host with --legacy-algorithms".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Destination, SshOverrides};

    fn profile(legacy_algorithms: bool) -> SshProfile {
        let overrides = SshOverrides { legacy_algorithms, known_hosts: Some("/k/h".into()), ..SshOverrides::default() };
        SshProfile::resolve(&Destination::parse("root@192.0.2.7:2222").unwrap(), &overrides).unwrap()
    }

    #[test]
    fn what_openssh_says_is_understood() {
        for (said, part, hint) in [
            ("ssh: Could not resolve hostname nope: Name or service not known", "is unknown", "DNS"),
            ("ssh: connect to host h port 22: Connection refused", "refused", "--port"),
            ("ssh: connect to host h port 22: Connection timed out", "does not answer", "firewall"),
            (
                "No ED25519 host key is known for [h]:2 and you have requested strict checking.\nHost key verification failed.",
                "not known",
                "ssh-keyscan -p 2222 192.0.2.7 >> '/k/h'",
            ),
            (
                "@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.",
                "CHANGED",
                "ssh-keygen -R '[192.0.2.7]:2222' -f '/k/h'",
            ),
            ("root@h: Permission denied (publickey).", "accepted", "--identity"),
            (
                "Unable to negotiate with h port 2: no matching host key type found. Their offer: ssh-rsa",
                "algorithm",
                "--legacy-algorithms",
            ),
            (
                "sign_and_send_pubkey: no mutual signature supported\nroot@h: Permission denied (publickey).",
                "algorithm",
                "--legacy-algorithms",
            ),
            ("kex_exchange_identification: Connection closed by remote host", "closed", "log"),
        ] {
            let e = classify(said, &profile(false));
            assert!(e.to_string().contains("root@192.0.2.7:2222"), "{e}");
            assert!(e.to_string().contains(part), "{said}: {e}");
            assert!(e.first_hint().unwrap().contains(hint), "{said}: {:?}", e.first_hint());
        }
        assert!(classify("what\u{7}ever", &profile(false)).chain()[1].contains("what\\u{7}ever"));
        let e = classify("Unable to negotiate with h", &profile(true));
        assert!(!e.first_hint().unwrap().contains("--legacy-algorithms"));
    }
}
