//! Which algorithms the built-in client offers.

use crate::error::{Error, Result};
use ::ssh2::{MethodType, Session};

/// What CentOS 5 and 6 need, and libssh2 has only when it was built with .cargo/config.toml of this repository.
const LEGACY: [(MethodType, &str); 3] = [
    (MethodType::HostKey, "ssh-rsa"),
    (MethodType::Kex, "diffie-hellman-group14-sha1"),
    (MethodType::MacCs, "hmac-sha1"),
];

/// Says what this session may use: no SHA-1, no CBC, no certificates (nothing here could check one), and host keys of the
/// known types first, and of the ciphers those that ssh_config allows. With `legacy`, the three algorithms of CentOS 5 and 6
/// stand at the end of each list.
pub(super) fn prefer(session: &Session, known_types: &[String], ciphers: &[String], legacy: bool) -> Result<()> {
    let lists: [&[MethodType]; 4] = [
        &[MethodType::Kex],
        &[MethodType::HostKey],
        &[MethodType::CryptCs, MethodType::CryptSc],
        &[MethodType::MacCs, MethodType::MacSc],
    ];
    for same in lists {
        let Some(first) = same.first() else { continue };
        let supported = supported(session, *first);
        let mut names: Vec<&str> = supported.iter().copied().filter(|n| !is_old(n)).collect();
        let old = LEGACY.iter().find(|(of, _)| std::mem::discriminant(of) == std::mem::discriminant(first));
        if let Some((_, name)) = old.filter(|_| legacy) {
            if !supported.contains(name) {
                return Err(not_built_in(name));
            }
            names.push(name);
        }
        if matches!(first, MethodType::HostKey) {
            names.sort_by_key(|n| !known_types.iter().any(|known| known == key_type_of(n)));
        }
        if matches!(first, MethodType::CryptCs) {
            names = choose_ciphers(&names, ciphers)?;
        }
        for kind in same {
            session.method_pref(*kind, &names.join(",")).map_err(|e| Error::new(e.to_string()))?;
        }
    }
    if !legacy {
        // Without this an RSA user key would be used with SHA-1 where the server says nothing about SHA-2.
        let _ = session.method_pref(MethodType::SignAlgo, "rsa-sha2-512,rsa-sha2-256");
    }
    Ok(())
}

fn choose_ciphers<'a>(ours: &[&'a str], allowed: &[String]) -> Result<Vec<&'a str>> {
    let both: Vec<&str> =
        ours.iter().copied().filter(|n| allowed.is_empty() || allowed.iter().any(|a| a == n)).collect();
    if both.is_empty() {
        let error = Error::new(format!("the built-in client has none of the ciphers {}", allowed.join(",")));
        return Err(error.hint("use --transport openssh, or allow another one with Ciphers in ssh_config"));
    }
    // libssh2 1.11 loses data when keys are exchanged anew under AES-GCM: only where there is nothing else.
    let (gcm, sound): (Vec<&str>, Vec<&str>) = both.into_iter().partition(|name| name.contains("-gcm"));
    Ok(if sound.is_empty() { gcm } else { sound })
}

fn supported(session: &Session, kind: MethodType) -> Vec<&'static str> {
    session.supported_algs(kind).unwrap_or_default()
}

/// Tells whether an algorithm stays away unless asked for. `ext-info-c` and `kex-strict-c` are added by libssh2 itself.
fn is_old(name: &str) -> bool {
    let weak = ["sha1", "md5", "ripemd160", "-cbc", "arcfour", "3des", "-cert-v01@", "ext-info-c", "kex-strict-c"];
    name == "ssh-rsa" || name == "ssh-dss" || name == "none" || weak.iter().any(|w| name.contains(w))
}

/// Returns the type of key that a host key algorithm signs with.
fn key_type_of(algorithm: &str) -> &str {
    if algorithm.starts_with("rsa-sha2-") { "ssh-rsa" } else { algorithm }
}

fn not_built_in(name: &str) -> Error {
    Error::new(format!("this build of libssh2 does not have {name}")).hint(
        "use --transport openssh, or build from a checkout, whose .cargo/config.toml switches the algorithms of CentOS 5 and 6 on",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Fails when libssh2 drops what OpenVZ nodes need, or when CFLAGS did not reach it.
    #[test]
    fn this_build_has_what_centos_6_needs() {
        let session = Session::new().unwrap();
        for (kind, name) in LEGACY {
            assert!(supported(&session, kind).contains(&name), "{name}");
        }
    }

    #[test]
    fn only_what_is_sound_stays_by_default() {
        let session = Session::new().unwrap();
        for kind in [MethodType::Kex, MethodType::HostKey, MethodType::CryptCs, MethodType::MacCs] {
            let kept: Vec<_> = supported(&session, kind).into_iter().filter(|n| !is_old(n)).collect();
            assert!(!kept.is_empty() && !kept.iter().any(|n| n.contains("sha1") || *n == "ssh-rsa"), "{kept:?}");
        }
        prefer(&session, &["ssh-ed25519".to_owned()], &[], true).unwrap();
        prefer(&session, &[], &[], false).unwrap();
        let allowed = ["aes256-ctr".to_owned(), "aes128-ctr".to_owned(), "nobody-has-it".to_owned()];
        prefer(&session, &[], &allowed, false).unwrap();
        assert_eq!(choose_ciphers(&["aes128-ctr", "x", "aes256-ctr"], &allowed).unwrap().len(), 2);
        assert!(prefer(&session, &[], &allowed[2..], false).unwrap_err().first_hint().unwrap().contains("openssh"));
    }

    #[test]
    fn the_error_names_the_cure() {
        let e = not_built_in("ssh-rsa");
        assert!(e.to_string().contains("ssh-rsa") && e.first_hint().unwrap().contains("--transport openssh"));
    }
}
