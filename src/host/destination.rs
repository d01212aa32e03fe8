//! HOST as an operator writes it.

use crate::error::{Error, Result};
use std::fmt;
use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Destination {
    /// This host.
    Local,
    /// Another one, over SSH.
    Ssh {
        /// The user; what ssh_config says, or else our own, when unset.
        user: Option<String>,
        /// A host name, an address (without brackets), or an alias in ssh_config.
        host: String,
        /// The port; what ssh_config says, or else 22, when unset.
        port: Option<u16>,
    },
}

impl Destination {
    /// Reads `local`, `[user@]host[:port]`, `ssh://[user@]host[:port]`; an IPv6 address with a port stands in brackets.
    /// What an SSH client could take for an option, or a shell for a word of its own, is a usage error.
    pub fn parse(text: &str) -> Result<Destination> {
        if text == "local" {
            return Ok(Destination::Local);
        }
        let wrong = |why: &str| {
            Error::usage(format!("host \"{}\": {why}", text.escape_debug()))
                .hint("write local, [user@]host[:port] or ssh://user@host:port; an IPv6 address stands in brackets")
        };
        let rest = text.strip_prefix("ssh://").map_or(text, |r| r.strip_suffix('/').unwrap_or(r));
        let (user, place) = match rest.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => (None, rest),
        };
        if user.is_some_and(|u| !is_user(u)) {
            return Err(wrong("the user name is empty or holds a character that it must not hold"));
        }
        let (host, port) = split_port(place).ok_or_else(|| wrong("brackets do not match"))?;
        if !is_host(host) {
            return Err(wrong("the host name is empty or holds a character that it must not hold"));
        }
        let port = match port.map(u16::from_str) {
            None => None,
            Some(Ok(port)) if port > 0 => Some(port),
            Some(_) => return Err(wrong("the port is not a number from 1 to 65535")),
        };
        Ok(Destination::Ssh { user: user.map(str::to_owned), host: host.to_owned(), port })
    }

    /// Reads `[USER@]HOST:PATH`, `ssh://USER@HOST:PORT/PATH`, or a path on this host: as for rsync, a colon before the
    /// first slash makes it remote.
    pub fn parse_with_path(text: &str) -> Result<(Destination, PathBuf)> {
        let missing = || Error::usage(format!("\"{}\": the path is missing", text.escape_debug()));
        if let Some(rest) = text.strip_prefix("ssh://") {
            let (place, path) = rest.split_once('/').ok_or_else(missing)?;
            return Ok((Destination::parse(&format!("ssh://{place}"))?, format!("/{path}").into()));
        }
        let head = text.split('/').next().unwrap_or(text);
        let colon = match head.find(']') {
            Some(bracket) => head[bracket..].find(':').map(|at| at + bracket),
            None => head.find(':'),
        };
        let (destination, path) = match colon {
            Some(at) => (Destination::parse(&text[..at])?, &text[at + 1..]),
            None => (Destination::Local, text),
        };
        if path.is_empty() { Err(missing()) } else { Ok((destination, path.into())) }
    }
}

fn split_port(place: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = place.strip_prefix('[') {
        let (host, after) = rest.split_once(']')?;
        let numeric = host.split('%').next().unwrap_or(host);
        numeric.parse::<Ipv6Addr>().ok()?;
        return match after {
            "" => Some((host, None)),
            _ => after.strip_prefix(':').map(|port| (host, Some(port))),
        };
    }
    if place.matches(':').count() > 1 {
        return Some((place, None));
    }
    Some(place.split_once(':').map_or((place, None), |(host, port)| (host, Some(port))))
}

fn is_user(user: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+@".contains(c);
    !user.is_empty() && !user.starts_with('-') && user.chars().all(plain)
}

pub(super) fn is_host(host: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
    let (address, zone) = host.split_once('%').unwrap_or((host, "0"));
    if address.parse::<Ipv6Addr>().is_ok() {
        return !zone.is_empty() && zone.chars().all(plain);
    }
    !host.is_empty() && !host.starts_with('-') && host.chars().all(plain)
}

impl FromStr for Destination {
    type Err = Error;

    fn from_str(text: &str) -> Result<Destination> {
        Destination::parse(text)
    }
}

/// The form that [`Destination::parse`] reads back.
impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Destination::Ssh { user, host, port } = self else { return f.write_str("local") };
        if let Some(user) = user {
            write!(f, "{user}@")?;
        }
        // A host called local is only told from this one by the scheme.
        let scheme = if user.is_none() && port.is_none() && host == "local" { "ssh://" } else { "" };
        if host.contains(':') {
            write!(f, "[{host}]")?;
        } else {
            write!(f, "{scheme}{host}")?;
        }
        port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn ssh(user: Option<&str>, host: &str, port: Option<u16>) -> Destination {
        Destination::Ssh { user: user.map(str::to_owned), host: host.to_owned(), port }
    }

    #[test]
    fn every_form_is_read_and_written_back() {
        for (text, want) in [
            ("local", Destination::Local),
            ("vz1", ssh(None, "vz1", None)),
            ("vz1.example.com:2222", ssh(None, "vz1.example.com", Some(2222))),
            ("root@vz1", ssh(Some("root"), "vz1", None)),
            ("ssh://root@vz1:2222", ssh(Some("root"), "vz1", Some(2222))),
            ("ssh://vz1/", ssh(None, "vz1", None)),
            ("ssh://local", ssh(None, "local", None)),
            ("root@[2001:db8::1]:22", ssh(Some("root"), "2001:db8::1", Some(22))),
            ("[fe80::1%eth0]", ssh(None, "fe80::1%eth0", None)),
            ("2001:db8::1", ssh(None, "2001:db8::1", None)),
            ("me@corp@vz1", ssh(Some("me@corp"), "vz1", None)),
        ] {
            let got = Destination::parse(text).unwrap();
            assert_eq!(got, want, "{text}");
            assert_eq!(Destination::parse(&got.to_string()).unwrap(), want, "{text}");
        }
    }

    #[test]
    fn hostile_values_are_usage_errors() {
        for text in [
            "",
            "-oProxyCommand=id",
            "root@-x",
            "-l@host",
            "@host",
            "a b",
            "host\n",
            "host\u{1b}[2J",
            "$(id)",
            "a;b",
            "a`b",
            "host:",
            "host:0",
            "host:65536",
            "host:22x",
            "[::1",
            "[vz1]:22",
            "[::1]22",
            "1:2:3",
            "ssh://",
            "a/b",
            "fe80::1%",
            "h\u{e4}st",
            "a'b",
            "host:-1",
        ] {
            let e = Destination::parse(text).unwrap_err();
            assert_eq!(e.kind(), Kind::Usage, "{text:?}");
            assert!(!e.to_string().chars().any(char::is_control), "{text:?}");
        }
    }

    #[test]
    fn a_path_may_follow() {
        let at = |text: &str| Destination::parse_with_path(text).unwrap();
        assert_eq!(at("/vz/private/101"), (Destination::Local, "/vz/private/101".into()));
        assert_eq!(at("./a:b"), (Destination::Local, "./a:b".into()));
        assert_eq!(at("root@vz1:/vz"), (ssh(Some("root"), "vz1", None), "/vz".into()));
        assert_eq!(at("root@[::1]:/vz:x"), (ssh(Some("root"), "::1", None), "/vz:x".into()));
        assert_eq!(at("ssh://root@vz1:2222/vz"), (ssh(Some("root"), "vz1", Some(2222)), "/vz".into()));
        for text in ["vz1:", "", "ssh://vz1", "-x:/y"] {
            assert_eq!(Destination::parse_with_path(text).unwrap_err().kind(), Kind::Usage, "{text:?}");
        }
    }
}
