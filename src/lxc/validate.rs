//! What may stand in a line of the configuration. The values come from VE configurations and manifests: a line break in a
//! host name would otherwise be a line of root's choosing in a file that LXC reads as root.

use crate::error::{Error, Result};
use crate::model::names::{self, HOST_NAME_MAX, IFNAME_MAX};
use std::net::IpAddr;
use std::path::Path;

fn refuse(what: &str, value: &str, why: &str) -> Error {
    Error::new(format!("{what} \"{}\" {why}", value.escape_debug()))
}

/// Refuses what LXC would read back differently: control characters, blanks at the ends, quotes around it.
pub(super) fn value<'a>(what: &str, value: &'a str) -> Result<&'a str> {
    if value.chars().any(char::is_control) {
        return Err(refuse(what, value, "holds a control character"));
    }
    let quoted = |q: char| value.starts_with(q) && value.ends_with(q);
    if value.is_empty() || value.trim() != value || quoted('"') || quoted('\'') {
        return Err(refuse(what, value, "is empty, or has blanks or quotes at its ends"));
    }
    Ok(value)
}

/// A container name is the name of a directory.
pub(super) fn container_name(name: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.bytes().all(plain) {
        return Err(refuse("container name", name, "is not made of letters, digits, \"-\", \"_\" and \".\""));
    }
    Ok(())
}

/// A host name. Underscores are not allowed by the standard, yet OpenVZ took them and containers live with them.
pub(super) fn hostname(name: &str) -> Result<&str> {
    if !names::is_host_name_text(name) {
        return Err(refuse("host name", name, "is not made of letters, digits, \"-\" and \".\""));
    }
    if name.len() > HOST_NAME_MAX {
        return Err(refuse("host name", name, &format!("is longer than {HOST_NAME_MAX} bytes"))
            .hint("the kernel takes no longer one: shorten HOSTNAME in the VE configuration"));
    }
    Ok(name)
}

/// An interface or bridge name by the kernel's rules (`dev_valid_name`), without what LXC would read differently.
pub(super) fn ifname<'a>(what: &str, name: &'a str) -> Result<&'a str> {
    if !names::is_interface_name(name) {
        return Err(refuse(what, name, &format!("is not an interface name of at most {IFNAME_MAX} bytes")));
    }
    Ok(name)
}

/// An interface name that a shell reads as one word.
pub(super) fn shell_ifname<'a>(what: &str, name: &'a str) -> Result<&'a str> {
    let name = ifname(what, name)?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.@".contains(&b);
    if !name.bytes().all(plain) || name.starts_with('-') {
        return Err(refuse(what, name, "is not made of letters, digits, \"-\", \"_\", \".\" and \"@\""));
    }
    Ok(name)
}

/// The name of a file system type. It becomes a part of an AppArmor rule, where a comma would end the rule.
pub(super) fn file_system(name: &str) -> Result<&str> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if name.is_empty() || name.len() > IFNAME_MAX || !name.bytes().all(plain) {
        return Err(refuse("file system", name, "is not the name of a file system type"));
    }
    Ok(name)
}

/// A MAC address of a station, in lower case with colons.
pub(super) fn mac(mac: &str) -> Result<String> {
    if !names::is_station_mac(mac) {
        return Err(refuse("MAC address", mac, "is not six octets of a unicast address"));
    }
    Ok(mac.to_ascii_lowercase())
}

/// An absolute path that survives the line grammar. It need not exist.
pub(super) fn path<'a>(what: &str, path: &'a Path) -> Result<&'a str> {
    let Some(text) = path.to_str() else {
        return Err(refuse(what, &path.to_string_lossy(), "is not UTF-8"));
    };
    if !path.is_absolute() {
        return Err(refuse(what, text, "is not absolute"));
    }
    value(what, text)
}

/// An address that an interface can have.
pub(super) fn station(address: IpAddr) -> Result<()> {
    if !names::is_station_address(address) {
        return Err(refuse("address", &address.to_string(), "cannot be an interface's"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        for bad in ["", "a b", "a\nlxc.cap.drop =", "a\u{1b}[2J", "é", &"a".repeat(65)] {
            assert!(hostname(bad).is_err(), "{bad:?}");
        }
        for bad in ["", "br0\n", "sixteen-letters-", "a/b", "..", "a b", "eth0:1"] {
            assert!(ifname("bridge", bad).is_err(), "{bad:?}");
        }
        for bad in ["", ".", "../x", "-n", "a/b", "a\n"] {
            assert!(container_name(bad).is_err(), "{bad:?}");
        }
        for bad in ["", " a", "a ", "\"a\"", "'a'", "a\nb"] {
            assert!(value("path", bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn usual_names_pass() {
        assert!(hostname("web_1.example.com").is_ok());
        assert!(ifname("bridge", "br0.10").is_ok());
        assert!(container_name("lxc-101").is_ok());
    }

    #[test]
    fn what_is_read_by_others_than_lxc_is_plain() {
        for bad in ["", "nfs,file", "nfs)", "a b", "nfs\n", "sixteen-letters-"] {
            assert!(file_system(bad).is_err(), "{bad:?}");
        }
        assert!(file_system("nfs4").is_ok() && file_system("fuse.glusterfs").is_ok());
        for bad in ["-x", "a;b", "a$b", "a`b", "a(b", "a>b", "a*b"] {
            assert!(shell_ifname("uplink", bad).is_err(), "{bad:?}");
        }
        assert!(shell_ifname("uplink", "bond0.10").is_ok());
    }

    #[test]
    fn only_station_addresses() {
        assert_eq!(mac("00:16:3E:00:00:65").unwrap(), "00:16:3e:00:00:65");
        for bad in
            ["", "00:16:3e:00:00", "01:00:5e:00:00:01", "00:00:00:00:00:00", "00-16-3e-00-00-65", "+0:16:3e:0:0:1"]
        {
            assert!(mac(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_shows_no_control_character() {
        assert!(hostname("a\nb").unwrap_err().to_string().contains("a\\nb"));
    }
}
