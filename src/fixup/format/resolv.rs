//! /etc/resolv.conf (resolv.conf(5)).

use super::lines::{self, Line};
use std::net::IpAddr;

/// Makes a resolver configuration say these servers and search domains, in the place where the old ones stood. An empty
/// list leaves what is there. `options`, `sortlist`, comments and unknown lines stay.
pub fn resolv_conf(text: Option<&[u8]>, servers: &[IpAddr], domains: &[String]) -> Vec<u8> {
    let mut list = lines::split(text.unwrap_or_default());
    if !domains.is_empty() {
        // `domain` and `search` exclude each other, the last one wins: both must go.
        replace(&mut list, &["search", "domain"], &[format!("search {}", domains.join(" "))], Place::Top);
    }
    let servers: Vec<String> = servers.iter().map(|s| format!("nameserver {s}")).collect();
    if !servers.is_empty() {
        replace(&mut list, &["nameserver"], &servers, Place::Bottom);
    }
    lines::join(&list)
}

/// Where lines go when none of their kind was there.
#[derive(Clone, Copy)]
enum Place {
    Top,
    Bottom,
}

fn words(line: &Line) -> Vec<String> {
    line.view().split_whitespace().take_while(|w| !w.starts_with(['#', ';'])).map(str::to_owned).collect()
}

fn replace(list: &mut Vec<Line>, keywords: &[&str], wanted: &[String], place: Place) {
    let is_ours = |line: &Line| words(line).first().is_some_and(|w| keywords.contains(&w.as_str()));
    let old: Vec<String> = list.iter().filter(|l| is_ours(l)).map(|l| words(l).join(" ")).collect();
    if old == wanted {
        return;
    }
    let end = lines::usual_end(list.iter());
    let at = list.iter().position(is_ours).unwrap_or(match place {
        Place::Top => list.iter().position(|l| !l.is_comment() && !l.is_blank()).unwrap_or(list.len()),
        Place::Bottom => list.len(),
    });
    // Lines before the first of our kind are not of our kind: the place does not move.
    list.retain(|l| !is_ours(l));
    list.splice(at..at, wanted.iter().map(|t| lines::line(t.as_str(), end)));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: Option<&str>, servers: &[&str], domains: &[&str]) -> String {
        let servers: Vec<IpAddr> = servers.iter().map(|s| s.parse().unwrap()).collect();
        let domains: Vec<String> = domains.iter().map(|d| (*d).to_owned()).collect();
        let once = resolv_conf(text.map(str::as_bytes), &servers, &domains);
        assert_eq!(resolv_conf(Some(&once), &servers, &domains), once, "a second run changes nothing");
        String::from_utf8(once).unwrap()
    }

    #[test]
    fn replaces_in_place_and_keeps_the_rest() {
        assert_eq!(
            run(
                Some(
                    "# mine\ndomain old.example\noptions timeout:1\nnameserver 8.8.8.8 # far\nsortlist 10.0.0.0\nnameserver 8.8.4.4"
                ),
                &["10.0.0.53", "2001:db8::53"],
                &["example.com", "example.net"]
            ),
            "# mine\nsearch example.com example.net\noptions timeout:1\nnameserver 10.0.0.53\nnameserver 2001:db8::53\nsortlist 10.0.0.0\n"
        );
    }

    #[test]
    fn makes_a_file_and_leaves_what_nobody_asked_for() {
        assert_eq!(run(None, &["10.0.0.53"], &["example.com"]), "search example.com\nnameserver 10.0.0.53\n");
        assert_eq!(run(Some("nameserver 1.1.1.1"), &[], &[]), "nameserver 1.1.1.1");
        assert_eq!(run(Some("nameserver\t1.1.1.1 # keep"), &["1.1.1.1"], &[]), "nameserver\t1.1.1.1 # keep");
        assert_eq!(run(Some("options edns0"), &["1.1.1.1"], &[]), "options edns0\nnameserver 1.1.1.1\n");
        assert_eq!(run(Some("search a\r\n"), &["1.1.1.1"], &[]), "search a\r\nnameserver 1.1.1.1\r\n");
    }
}
