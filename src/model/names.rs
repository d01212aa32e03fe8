//! What may be a name or an address on the target, whoever says it: rules of the kernel and of LXC's line grammar.

use std::net::IpAddr;

/// The kernel's limit for a host name (`__NEW_UTS_LEN`); a longer one makes the start fail.
pub const HOST_NAME_MAX: usize = 64;
/// The kernel's limit for an interface name (`IFNAMSIZ` - 1).
pub const IFNAME_MAX: usize = 15;
/// The most bytes of a container's name that come from the source.
const TARGET_NAME_MAX: usize = 60;

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)
}

/// Tells whether a text is made of what a host name is made of. Underscores are not allowed by the standard, yet OpenVZ took
/// them and containers live with them.
pub fn is_host_name_text(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(is_name_byte)
}

/// Tells whether a text can be an interface's or a bridge's name: the kernel's rules (`dev_valid_name`), without what LXC
/// would read differently.
pub fn is_interface_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_graphic() && !b"/:%\"'#".contains(&b);
    !name.is_empty() && name.len() <= IFNAME_MAX && name != "." && name != ".." && name.bytes().all(plain)
}

/// Tells whether a text is the MAC address of a station, with colons: neither a group's nor zero.
pub fn is_station_mac(mac: &str) -> bool {
    let octet = |o: &str| {
        let hex = o.len() == 2 && o.bytes().all(|b| b.is_ascii_hexdigit());
        if hex { u8::from_str_radix(o, 16).ok() } else { None }
    };
    let octets: Option<Vec<u8>> = mac.split(':').map(octet).collect();
    octets.is_some_and(|o| o.len() == 6 && o[0] & 1 == 0 && o.iter().any(|b| *b != 0))
}

/// Tells whether an interface can have an address.
pub fn is_station_address(address: IpAddr) -> bool {
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback())
}

/// Tells whether a text can stand in a mount entry as the name of a device below /dev.
pub fn is_device_path(path: &str) -> bool {
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    let plain = |b: u8| b.is_ascii_graphic() && !b"\\\"'".contains(&b);
    path.split('/').all(part) && path.bytes().all(plain)
}

/// Tells whether a text can be a search domain of a resolver file.
pub fn is_domain(text: &str) -> bool {
    is_host_name_text(text) && text.len() <= 253 && !text.starts_with('-')
}

/// Returns the name of the target that a wanted one gives: `lxc-` before it once, what LXC cannot have replaced, and cut;
/// `None` when nothing is left of it.
pub fn target_name(wanted: &str) -> Option<String> {
    let bare = wanted.strip_prefix("lxc-").unwrap_or(wanted);
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' };
    let clean: String = bare.trim().chars().map(keep).take(TARGET_NAME_MAX).collect();
    let clean = clean.trim_matches(|c| "._-".contains(c));
    if clean.is_empty() { None } else { Some(format!("lxc-{clean}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_name_is_plain_and_short() {
        for (wanted, name) in [
            ("web1", Some("lxc-web1")),
            ("lxc-web1", Some("lxc-web1")),
            ("my web", Some("lxc-my-web")),
            ("-a+b_", Some("lxc-a-b")),
            (".", None),
            ("", None),
        ] {
            assert_eq!(target_name(wanted).as_deref(), name, "{wanted}");
        }
        assert_eq!(target_name(&"a".repeat(80)), Some(format!("lxc-{}", "a".repeat(60))));
    }

    #[test]
    fn devices_and_domains() {
        assert!(is_device_path("net/tun") && is_device_path("snd/a:b"));
        for bad in ["", "a//b", "../sda", "a b", "a'b", "a\"b", "a\\b", "\u{e9}", "a\n"] {
            assert!(!is_device_path(bad), "{bad:?}");
        }
        assert!(is_domain("example.com") && is_domain(".") && !is_domain("-x") && !is_domain("a;b") && !is_domain(""));
    }
}
