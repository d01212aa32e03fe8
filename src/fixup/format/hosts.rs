//! /etc/hosts, as far as vzctl wrote it.

use super::lines::{self, Line};
use crate::model::network::GuestPlan;
use std::net::IpAddr;

/// The comment that vzctl writes above its own line (vzctl etc/dists/scripts/functions, change_hostname).
const MARKER: &[u8] = b"# Auto-generated hostname. Please do not remove this comment.";

/// Makes the line below vzctl's marker name the container's new address. It is vzctl's when it has an address of the plan,
/// begins with the plan's or the old host name, or has vzctl's two blanks in front of the alias; any other line there is
/// taken for the user's (see [`unknown_line`]), and ours is put between.
///
/// Without the marker the file is the user's and stays as it is. The marker itself stays: it is true, and it is how a
/// later run with another address finds the line again.
pub fn fix_hosts(text: &[u8], plan: &GuestPlan, old_names: &[String]) -> Vec<u8> {
    let mut list = lines::split(text);
    let Some(Below { marker, at, old, address, .. }) = below(&list, plan, old_names) else { return text.to_vec() };
    let wanted = names(&plan.hostname);
    let known = |was: &IpAddr| *was == address || plan.nics.iter().flat_map(|n| &n.addresses).any(|n| n.addr() == *was);
    if let Some((was, had)) = &old
        && known(was)
        && had.starts_with(&wanted)
    {
        return text.to_vec();
    }
    // What stands behind the name and its alias was added by the user.
    let extra = old.iter().flat_map(|(_, had)| had.iter().skip(names_in(had))).filter(|n| !wanted.contains(n));
    let words: Vec<&str> = wanted.iter().chain(extra).map(String::as_str).collect();
    let was = old.as_ref().and_then(|_| list.get(at)).map(comment).unwrap_or_default();
    let text = [format!("{address} {}", words.join(" ")).as_bytes(), was].concat();
    let new = lines::line(text, lines::usual_end(list.iter()));
    let place = if old.is_some() { at..at + 1 } else { marker + 1..marker + 1 };
    list.splice(place, [new]);
    lines::join(&list)
}

/// Returns the line below vzctl's marker when nothing says whose it is: it may be vzctl's with an old name and an old
/// address, or one that the user put there. Lines for localhost are the user's.
pub fn unknown_line(text: &[u8], plan: &GuestPlan, old_names: &[String]) -> Option<String> {
    let list = lines::split(text);
    let Below { at, old, .. } = below(&list, plan, old_names)?;
    let line = list.get(at).filter(|_| old.is_none())?;
    let (address, had) = entry(line)?;
    let local = |n: &String| n.starts_with("localhost") || n.starts_with("ip6-");
    let strange = !address.is_loopback() && had.first().is_some_and(|n| !local(n));
    strange.then(|| line.view().trim().to_owned())
}

/// What stands below vzctl's marker.
struct Below {
    marker: usize,
    /// The line of the first text below it, or where there would be one.
    at: usize,
    /// What is on that line, when it is vzctl's.
    old: Option<(IpAddr, Vec<String>)>,
    /// The address that belongs there.
    address: IpAddr,
}

fn below(list: &[Line], plan: &GuestPlan, old_names: &[String]) -> Option<Below> {
    let marker = list.iter().position(|l| l.text.trim_ascii() == MARKER)?;
    let addresses: Vec<IpAddr> = plan.nics.iter().flat_map(|n| &n.addresses).map(ipnet::IpNet::addr).collect();
    // Without a known address (DHCP) 127.0.1.1, as Debian does: 127.0.0.1 would make `hostname -f` say localhost.
    let address = addresses.first().copied().unwrap_or(IpAddr::from([127, 0, 1, 1]));
    let wanted = names(&plan.hostname);
    let below = list.iter().skip(marker + 1).position(|l| !l.text.trim_ascii().is_empty()).map(|n| marker + 1 + n);
    let at = below.unwrap_or(marker + 1);
    let old = list.get(at).and_then(entry);
    let ours = |name: &String| {
        let of_old = |old: &String| names(old).contains(name) || names(name).contains(old);
        wanted.contains(name) || old_names.iter().any(of_old)
    };
    let written = list.get(at).is_some_and(as_written);
    let known = |was: &IpAddr| addresses.contains(was) || *was == address;
    let old = old.filter(|(was, had)| written || known(was) || had.first().is_some_and(ours));
    Some(Below { marker, at, old, address })
}

/// Tells whether a line is just as vzctl writes it: `ADDRESS FQDN  ALIAS`, where the blanks are the mark of its own.
fn as_written(line: &Line) -> bool {
    let view = line.view();
    let Some((address, rest)) = view.split_once(' ') else { return false };
    let pair = rest.split_once("  ").filter(|(name, alias)| name.split('.').next() == Some(*alias) && name != alias);
    address.parse::<IpAddr>().is_ok() && pair.is_some_and(|(name, _)| !name.contains(char::is_whitespace))
}

/// Returns the host name in a file that a distribution reads it from: a variable, or the name alone.
pub fn host_name(text: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(text);
    let mut lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    let name = lines.find_map(|line| match line.split_once('=') {
        Some((key, value)) => key.eq_ignore_ascii_case("hostname").then(|| value.trim_matches(['"', '\''])),
        None => (!line.contains(char::is_whitespace)).then_some(line),
    });
    name.filter(|name| !name.is_empty() && !name.starts_with("localhost")).map(str::to_owned)
}

/// Corrects the name in the line that vzctl writes on Arch, without a marker: `127.0.0.1  FQDN short localhost…`. The line
/// is known by a name with its own short form in front of localhost; every other line is the user's.
pub fn fix_loopback_name(text: &[u8], plan: &GuestPlan) -> Vec<u8> {
    let mut list = lines::split(text);
    let end = lines::usual_end(list.iter());
    let wanted = names(&plan.hostname);
    for line in &mut list {
        let Some((address, had)) = entry(line) else { continue };
        let old = names_in(&had);
        let local = |n: &String| n == "localhost" || n.starts_with("localhost.");
        let is_vzctls = address.is_loopback()
            && address.is_ipv4()
            && had.first().is_some_and(|n| !local(n) && (old == 2 || !n.contains('.')))
            && had.get(old).is_some_and(local);
        if is_vzctls && !had.starts_with(&wanted) {
            let words: Vec<&str> = wanted.iter().chain(had.iter().skip(old)).map(String::as_str).collect();
            let text = [format!("{address} {}", words.join(" ")).as_bytes(), comment(line)].concat();
            *line = lines::line(text, end);
            break;
        }
    }
    lines::join(&list)
}

/// The fully qualified name and its first part, or the one name there is.
fn names(hostname: &str) -> Vec<String> {
    match hostname.split_once('.') {
        Some((short, _)) if !short.is_empty() => vec![hostname.to_owned(), short.to_owned()],
        _ => vec![hostname.to_owned()],
    }
}

/// How many of the old line's names are the old host name and its alias.
fn names_in(had: &[String]) -> usize {
    had.first().map_or(0, |first| 1 + usize::from(names(first).get(1).is_some_and(|short| had.get(1) == Some(short))))
}

/// What a person wrote behind the names, with the blanks in front of it.
fn comment(line: &Line) -> &[u8] {
    let Some(sign) = line.text.iter().position(|b| *b == b'#') else { return b"" };
    let names = line.text[..sign].trim_ascii_end().len();
    &line.text[names..]
}

fn entry(line: &Line) -> Option<(IpAddr, Vec<String>)> {
    let view = line.view();
    let mut words = view.split('#').next()?.split_whitespace();
    let address = words.next()?.parse().ok()?;
    Some((address, words.map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::network::{Method, Nic};

    fn plan(hostname: &str, addresses: &[&str]) -> GuestPlan {
        let nic = Nic {
            name: "eth0".into(),
            mac: None,
            method: Method::Static,
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
            gateway4: None,
            gateway6: None,
            mtu: None,
        };
        GuestPlan {
            hostname: hostname.into(),
            nameservers: vec![],
            searchdomains: vec![],
            ttys: 4,
            privileged: true,
            nics: vec![nic],
        }
    }

    fn fix(text: &str, plan: &GuestPlan) -> String {
        let once = fix_hosts(text.as_bytes(), plan, &[]);
        assert_eq!(fix_hosts(&once, plan, &[]), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    const MARK: &str = "# Auto-generated hostname. Please do not remove this comment.";

    #[test]
    fn the_marked_line_names_the_new_address_and_the_rest_stays() {
        let text =
            format!("127.0.0.1 localhost\n{MARK}\n10.0.0.101 web1.example.com  web1\n::1 localhost\n10.0.0.9 db");
        let new = plan("web1.example.com", &["192.168.5.7/24", "2001:db8::7/64"]);
        assert_eq!(
            fix(&text, &new),
            text.replace("10.0.0.101 web1.example.com  web1", "192.168.5.7 web1.example.com web1")
        );
        let same = plan("web1.example.com", &["192.168.5.7/24", "10.0.0.101/24"]);
        assert_eq!(fix(&text, &same), text, "an address that it still has may stay");
    }

    #[test]
    fn a_line_of_which_nothing_is_known_is_vzctls_by_its_blanks_or_named() {
        let new = plan("web1.example.com", &["10.0.0.1/24"]);
        let old = format!("{MARK}\n10.9.9.9 gone.example.net  gone\n::1 localhost\n");
        assert_eq!(fix(&old, &new), format!("{MARK}\n10.0.0.1 web1.example.com web1\n::1 localhost\n"));
        assert_eq!(unknown_line(old.as_bytes(), &new, &[]), None);
        for own in
            ["10.9.9.9 gone.example.net gone", "10.9.9.9 gone", "10.9.9.9  gone.example.net   gone", "10.9.9.9 a  b"]
        {
            let text = format!("{MARK}\n{own}\n");
            assert_eq!(fix(&text, &new), format!("{MARK}\n10.0.0.1 web1.example.com web1\n{own}\n"));
            assert_eq!(unknown_line(text.as_bytes(), &new, &[]).as_deref(), Some(own));
            assert_eq!(unknown_line(fix(&text, &new).as_bytes(), &new, &[]), None, "it is said once");
        }
        assert_eq!(unknown_line(format!("{MARK}\n10.9.9.9 gone\n").as_bytes(), &new, &["gone".into()]), None);
        for fine in ["127.0.0.1 localhost", "::1 localhost6", "# c", "", "fe00::0 ip6-localnet"] {
            assert_eq!(unknown_line(format!("{MARK}\n{fine}\n").as_bytes(), &new, &[]), None, "{fine}");
        }
        assert_eq!(unknown_line(b"10.9.9.9 gone\n", &new, &[]), None);
    }

    #[test]
    fn a_users_alias_stays_and_an_old_name_goes() {
        let text = format!("{MARK}\r\n10.0.0.101 old.example.com old mail\r\n");
        assert_eq!(
            fix(&text, &plan("web1.example.com", &["10.0.0.101/24"])),
            format!("{MARK}\r\n10.0.0.101 web1.example.com web1 mail\r\n")
        );
    }

    #[test]
    fn a_comment_behind_the_names_stays() {
        let new = plan("web1.example.com", &["10.0.0.1/24"]);
        let text = format!("{MARK}\n10.0.0.101 web1.example.com  web1\tmail # caf\u{e9} #2\n");
        let fixed = format!("{MARK}\n10.0.0.1 web1.example.com web1 mail # caf\u{e9} #2\n");
        assert_eq!(fix(&text, &new), fixed);
        let mut bytes = text.into_bytes();
        bytes.splice(bytes.len() - 1.., *b"\xff\n");
        let fixed = [fixed.trim_end().as_bytes(), b"\xff\n"].concat();
        assert_eq!(fix_hosts(&bytes, &new, &[]), fixed, "whatever its bytes are");
        let arch = b"127.0.0.1  old.example.com old localhost # own\n";
        assert_eq!(fix_loopback_name(arch, &new), b"127.0.0.1 web1.example.com web1 localhost # own\n");
    }

    #[test]
    fn without_an_address_the_loopback_stands_in() {
        let text = format!("{MARK}\n10.0.0.101 web1");
        assert_eq!(fix(&text, &plan("web1", &[])), format!("{MARK}\n127.0.1.1 web1\n"));
    }

    #[test]
    fn the_line_without_a_marker_gets_a_new_name_only() {
        let run = |text: &str, name: &str| {
            let once = fix_loopback_name(text.as_bytes(), &plan(name, &["10.0.0.1/24"]));
            assert_eq!(fix_loopback_name(&once, &plan(name, &["10.0.0.1/24"])), once);
            String::from_utf8(once).unwrap()
        };
        let arch = "# c\n127.0.0.1  web1.example.com web1 localhost.localdomain localhost\n10.9.9.9 db\n";
        assert_eq!(run(arch, "web1.example.com"), arch);
        assert_eq!(
            run(arch, "new.example.com"),
            "# c\n127.0.0.1 new.example.com new localhost.localdomain localhost\n10.9.9.9 db\n"
        );
        for own in ["127.0.0.1 localhost web9\n", "127.0.0.1 a.b.c localhost\n", "127.0.1.1 web1.example.com web1\n"] {
            assert_eq!(run(own, "new.example.com"), own);
        }
    }

    #[test]
    fn a_marker_without_its_line_gets_one_and_no_marker_means_hands_off() {
        let new = plan("web1.example.com", &["10.0.0.1/24"]);
        assert_eq!(fix(&format!("a\n{MARK}"), &new), format!("a\n{MARK}\n10.0.0.1 web1.example.com web1\n"));
        for own in ["10.9.9.9 db.example.com db", "127.0.0.1 localhost web1", "10.9.9.9 db web1.example.com"] {
            assert_eq!(
                fix(&format!("{MARK}\n{own}\n"), &new),
                format!("{MARK}\n10.0.0.1 web1.example.com web1\n{own}\n")
            );
        }
        let old = format!("{MARK}\n10.9.9.9 old.example.com old\n");
        for name in ["HOSTNAME=\"old.example.com\"\n", "# c\nold\n", "a b\nhostname='old.example.com'\n"] {
            let was = host_name(name.as_bytes()).unwrap();
            let now = String::from_utf8(fix_hosts(old.as_bytes(), &new, &[was])).unwrap();
            assert_eq!(now, format!("{MARK}\n10.0.0.1 web1.example.com web1\n"), "{name}");
        }
        assert_eq!(host_name(b"HOSTNAME=localhost.localdomain\n"), None);
        let apart = format!("{MARK}\n\n10.0.0.101 web1.example.com web1\n");
        assert_eq!(fix(&apart, &new), apart.replace("0.101", "0.1"));
        let local = format!("{MARK}\n127.0.0.1 localhost.localdomain localhost\n");
        assert_eq!(
            fix(&local, &new),
            format!("{MARK}\n10.0.0.1 web1.example.com web1\n127.0.0.1 localhost.localdomain localhost\n")
        );
        assert_eq!(fix("10.9.9.9 web1.example.com\n", &new), "10.9.9.9 web1.example.com\n");
    }
}
