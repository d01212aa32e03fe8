//! known_hosts files (sshd(8)): who is known, with which key.

use super::key_text::{base64, from_base64, key_type};
use super::local::read_local;
use super::ssh_config::matches;
use crate::error::{Doing, Error, Result};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

const FILE_LIMIT: u64 = 16 << 20;

/// One key of the host that was looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownKey {
    key: Vec<u8>,
    revoked: bool,
    /// `file:line`.
    place: String,
}

/// What is known about one host.
#[derive(Debug, Default)]
pub(super) struct Known {
    keys: Vec<KnownKey>,
}

/// What a host's key is, compared with what is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Known.
    Known,
    /// The host is not known.
    Unknown,
    /// The host is known with other keys: `file:line` of the first one.
    Changed(String),
    /// Somebody marked this key as revoked: `file:line`.
    Revoked(String),
}

impl Known {
    /// Looks a host up under its name in known_hosts (`host` or `[host]:port`), and, as OpenSSH does, under its bare name
    /// when nothing is found. Lines of certificate authorities are passed over: libssh2 cannot check certificates.
    pub(super) fn look_up(files: &[PathBuf], name: &str) -> Result<Known> {
        let mut revoked = Vec::new();
        let bare = name.strip_prefix('[').and_then(|n| n.split_once("]:")).map(|(host, _)| host);
        for name in [Some(name), bare].into_iter().flatten() {
            let mut keys = Vec::new();
            // ssh_config names /dev/null where no file shall count.
            for file in files.iter().filter(|f| *f != Path::new("/dev/null")) {
                let doing = || format!("reading known host keys from {}", file.display());
                let Some(text) = read_local(file, FILE_LIMIT).doing(doing)? else { continue };
                for (number, line) in String::from_utf8_lossy(&text).lines().enumerate() {
                    keys.extend(read_line(line, name, &format!("{}:{}", file.display(), number + 1)));
                }
            }
            if keys.iter().any(|k: &KnownKey| !k.revoked) {
                return Ok(Known { keys });
            }
            revoked.extend(keys);
        }
        Ok(Known { keys: revoked })
    }

    /// Compares the key that a host showed.
    pub(super) fn check(&self, shown: &[u8]) -> Verdict {
        if let Some(bad) = self.keys.iter().find(|k| k.revoked && k.key == shown) {
            return Verdict::Revoked(bad.place.clone());
        }
        if self.keys.iter().any(|k| !k.revoked && k.key == shown) {
            return Verdict::Known;
        }
        self.keys.iter().find(|k| !k.revoked).map_or(Verdict::Unknown, |k| Verdict::Changed(k.place.clone()))
    }

    /// Returns the types of the known keys, so that one of them is negotiated.
    pub(super) fn types(&self) -> Vec<String> {
        self.keys.iter().filter(|k| !k.revoked).filter_map(|k| key_type(&k.key)).collect()
    }
}

fn read_line(line: &str, name: &str, place: &str) -> Option<KnownKey> {
    let mut words = line.split_whitespace().peekable();
    let marker = words.next_if(|w| w.starts_with('@'));
    let (names, _kind, key) = (words.next()?, words.next()?, words.next()?);
    if names.starts_with('#') || !matches!(marker, None | Some("@revoked")) || !names_match(names, name) {
        return None;
    }
    Some(KnownKey { key: from_base64(key)?, revoked: marker.is_some(), place: place.to_owned() })
}

fn names_match(names: &str, name: &str) -> bool {
    if names.starts_with("|1|") {
        return hash_matches(names, name);
    }
    let mut found = false;
    for pattern in names.split(',') {
        match pattern.strip_prefix('!') {
            Some(not) if matches(not, name) => return false,
            Some(_) => {}
            None => found |= matches(pattern, name),
        }
    }
    found
}

/// Hashed names are HMAC-SHA1, which libssh2 has. Any key does: a mismatch says that the name did match.
fn hash_matches(hashed: &str, name: &str) -> bool {
    use ::ssh2::{CheckResult, KnownHostFileKind, Session};
    let found = || -> std::result::Result<bool, ::ssh2::Error> {
        let session = Session::new()?;
        let mut one = session.known_hosts()?;
        one.read_str(&format!("{hashed} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA\n"), KnownHostFileKind::OpenSSH)?;
        Ok(matches!(one.check(name, b"any"), CheckResult::Match | CheckResult::Mismatch))
    };
    found().unwrap_or(false)
}

/// Adds a key that somebody accepted.
pub(super) fn add(file: &Path, name: &str, key: &[u8]) -> Result<()> {
    let doing = || format!("adding the key of {name} to {}", file.display());
    let kind = key_type(key).ok_or_else(|| Error::new("the host key has no type")).doing(doing)?;
    if let Some(dir) = file.parent().filter(|d| !d.exists()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(dir).doing(doing)?;
    }
    let text = read_local(file, FILE_LIMIT).doing(doing)?.unwrap_or_default();
    let newline = if text.last().is_none_or(|b| *b == b'\n') { "" } else { "\n" };
    let mut options = OpenOptions::new();
    let mut file = options.append(true).create(true).mode(0o600).open(file).doing(doing)?;
    file.write_all(format!("{newline}{name} {kind} {}\n", base64(key, true)).as_bytes()).doing(doing)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Command, Host, Local};

    fn blob(kind: &str, body: &[u8]) -> Vec<u8> {
        let mut key = u32::try_from(kind.len()).unwrap().to_be_bytes().to_vec();
        key.extend_from_slice(kind.as_bytes());
        key.extend_from_slice(body);
        key
    }

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/known_hosts");
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn verdict(path: &Path, name: &str, key: &[u8]) -> Verdict {
        Known::look_up(&[path.to_owned()], name).unwrap().check(key)
    }

    #[test]
    fn names_patterns_ports_and_markers() {
        let (a, b, c) = (blob("ssh-ed25519", b"a"), blob("ssh-rsa", b"b"), blob("ssh-rsa", b"c"));
        let t = |k: &[u8]| format!("{} {}", key_type(k).unwrap(), base64(k, true));
        let text = format!(
            "# vz1 {}\nvz1,192.0.2.1 {}\n[vz2]:2222 {} comment\n*.example.com,!bad.example.com {}\n@revoked * {}\n\
             @cert-authority * {}\nbroken\nvz3 ssh-rsa !!!\n",
            t(&b),
            t(&a),
            t(&b),
            t(&a),
            t(&c),
            t(&b)
        );
        let (_dir, f) = file(&text);
        assert_eq!(verdict(&f, "vz1", &a), Verdict::Known);
        assert_eq!(verdict(&f, "VZ1", &a), Verdict::Known);
        assert_eq!(verdict(&f, "192.0.2.1", &b), Verdict::Changed(format!("{}:2", f.display())));
        assert_eq!(verdict(&f, "vz1", &c), Verdict::Revoked(format!("{}:5", f.display())));
        assert_eq!(verdict(&f, "[vz2]:2222", &b), Verdict::Known);
        assert_eq!(verdict(&f, "vz2", &b), Verdict::Unknown);
        // As OpenSSH does: a key known without a port counts for every port of that host.
        assert_eq!(verdict(&f, "[vz1]:2222", &a), Verdict::Known);
        assert_eq!(verdict(&f, "good.example.com", &a), Verdict::Known);
        assert_eq!(verdict(&f, "bad.example.com", &a), Verdict::Unknown);
        assert_eq!(verdict(&f, "vz3", &a), Verdict::Unknown);
        assert_eq!(Known::look_up(&[f], "vz1").unwrap().types(), ["ssh-ed25519"]);
        assert_eq!(verdict(Path::new("/nonexistent"), "vz1", &a), Verdict::Unknown);
    }

    #[test]
    fn a_revoked_key_of_a_host_nobody_knows_is_refused() {
        let key = blob("ssh-rsa", b"c");
        let (_dir, f) = file(&format!("@revoked * ssh-rsa {}\n", base64(&key, true)));
        assert!(matches!(verdict(&f, "vz1", &key), Verdict::Revoked(_)));
    }

    #[test]
    fn what_ssh_keygen_hashed_is_found() {
        let key = blob("ssh-ed25519", &[0, 0, 0, 1, 7]);
        let (_dir, f) = file("");
        add(&f, "[vz1]:2222", &key).unwrap();
        add(&f, "vz2", &key).unwrap();
        Local::new().run_ok(&Command::write("ssh-keygen").arg("-H").arg("-f").arg(&f)).unwrap();
        assert!(fs::read_to_string(&f).unwrap().starts_with("|1|"));
        assert_eq!(verdict(&f, "[vz1]:2222", &key), Verdict::Known);
        assert_eq!(verdict(&f, "vz2", &key), Verdict::Known);
        assert_eq!(verdict(&f, "vz1", &key), Verdict::Unknown);
        assert!(matches!(verdict(&f, "vz2", b"x"), Verdict::Changed(_)));
    }

    #[test]
    fn a_key_is_added_on_a_line_of_its_own() {
        let (dir, f) = file("vz0 ssh-rsa AAAA");
        let key = blob("ssh-ed25519", b"a");
        add(&f, "vz1", &key).unwrap();
        assert_eq!(verdict(&f, "vz1", &key), Verdict::Known);
        let fresh = dir.path().join("new/known_hosts");
        add(&fresh, "vz1", &key).unwrap();
        assert_eq!(verdict(&fresh, "vz1", &key), Verdict::Known);
    }
}
