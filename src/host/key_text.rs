//! Keys as text: base64, and what a private key file tells without its passphrase.

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Writes base64; without padding, as in fingerprints, when `padded` is false.
pub(super) fn base64(bytes: &[u8], padded: bool) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let at = |i: usize| u32::from(chunk.get(i).copied().unwrap_or(0));
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for i in 0..4 {
            if i <= chunk.len() {
                let digit = usize::try_from(bits >> (18 - 6 * i) & 63).unwrap_or(0);
                text.push(char::from(DIGITS[digit]));
            } else if padded {
                text.push('=');
            }
        }
    }
    text
}

/// Reads base64; blanks are skipped, padding ends it. `None` when another character is in it.
pub(super) fn from_base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0u32, 0);
    for c in text.bytes().filter(|c| !c.is_ascii_whitespace()).take_while(|c| *c != b'=') {
        let digit = DIGITS.iter().position(|d| *d == c).and_then(|d| u32::try_from(d).ok())?;
        bits = bits << 6 | digit;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 255).unwrap_or(0));
        }
    }
    Some(bytes)
}

/// What a private key file tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeyFile {
    /// It needs a passphrase.
    pub(super) encrypted: bool,
    /// Its public half, as an agent and a server know it; older formats do not show it.
    pub(super) public: Option<Vec<u8>>,
}

/// Looks at the text of a private key file: OpenSSH's own format (PROTOCOL.key) or PEM. `None` when it is neither.
pub(super) fn inspect(text: &str) -> Option<KeyFile> {
    let begin = text.lines().find(|l| l.starts_with("-----BEGIN ") && l.ends_with("PRIVATE KEY-----"))?;
    if !begin.contains("OPENSSH") {
        let encrypted =
            begin.contains("ENCRYPTED") || text.lines().any(|l| l.starts_with("Proc-Type:") && l.contains("ENCRYPTED"));
        return Some(KeyFile { encrypted, public: None });
    }
    let body: String =
        text.lines().skip_while(|l| *l != begin).skip(1).take_while(|l| !l.starts_with("-----")).collect();
    let bytes = from_base64(&body)?;
    let rest = bytes.strip_prefix(b"openssh-key-v1\0")?;
    let (cipher, rest) = string(rest)?;
    let (_kdf, rest) = string(rest)?;
    let (_options, rest) = string(rest)?;
    let (public, _) = string(rest.get(4..)?)?;
    Some(KeyFile { encrypted: cipher != b"none", public: Some(public.to_vec()) })
}

/// Reads one string of RFC 4251: four bytes of length, then the bytes.
pub(super) fn string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Returns the type that a public key blob begins with, for example `ssh-ed25519`.
pub(super) fn key_type(blob: &[u8]) -> Option<String> {
    string(blob).map(|(name, _)| String::from_utf8_lossy(name).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Command, Host, Local};

    #[test]
    fn base64_goes_both_ways() {
        for (bytes, text) in
            [(&b""[..], ""), (b"f", "Zg=="), (b"fo", "Zm8="), (b"foo", "Zm9v"), (b"\xff\xfe\xfd\xfc", "//79/A==")]
        {
            assert_eq!(base64(bytes, true), text);
            assert_eq!(from_base64(text).unwrap(), bytes);
        }
        assert_eq!(base64(b"f", false), "Zg");
        assert_eq!(from_base64("a!"), None);
    }

    #[test]
    fn a_key_file_tells_whether_it_is_encrypted_and_its_public_half() {
        let dir = tempfile::tempdir().unwrap();
        for (name, kind, phrase, pem) in [
            ("a", "ed25519", "", false),
            ("b", "ed25519", "secret", false),
            ("c", "rsa", "", true),
            ("d", "rsa", "secret", true),
        ] {
            let file = dir.path().join(name);
            let mut c =
                Command::write("ssh-keygen").args(["-q", "-t", kind, "-N", phrase, "-C", ""]).arg("-f").arg(&file);
            if pem {
                c = c.args(["-m", "PEM"]);
            }
            Local::new().run_ok(&c).unwrap();
            let key = inspect(&std::fs::read_to_string(&file).unwrap()).unwrap();
            assert_eq!(key.encrypted, !phrase.is_empty(), "{name}");
            let public = std::fs::read_to_string(file.with_extension("pub")).unwrap();
            let blob = from_base64(public.split(' ').nth(1).unwrap()).unwrap();
            assert!(key.public.is_none_or(|p| p == blob) && key_type(&blob).unwrap() == format!("ssh-{kind}"));
        }
        assert_eq!(inspect("ssh-ed25519 AAAA"), None);
    }
}
