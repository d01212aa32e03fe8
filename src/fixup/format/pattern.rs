//! Names by pattern, as fnmatch(3) has it: `*`, `?` and sets in brackets.

/// A pattern longer than this is none that a person wrote; it fits everything, so that nothing goes unseen.
const LONGEST: usize = 256;

enum Step<'p> {
    Any,
    One,
    Byte(u8),
    Set { negated: bool, inside: &'p [u8] },
}

/// Tells whether a name fits a pattern. A bracket that is not closed stands for itself, and so does what is behind a
/// backslash.
pub fn fits(pattern: &[u8], name: &[u8]) -> bool {
    if pattern.len() > LONGEST {
        return true;
    }
    // reachable[i]: the pattern so far can have eaten the first i bytes of the name.
    let mut reachable = vec![false; name.len() + 1];
    reachable[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let (step, len) = step(&pattern[at..]);
        at += len;
        let mut next = vec![false; name.len() + 1];
        for to in 0..=name.len() {
            let before = to > 0 && reachable[to - 1];
            next[to] = match &step {
                Step::Any => reachable[to] || (to > 0 && next[to - 1]),
                Step::One => before,
                Step::Byte(byte) => before && *byte == name[to - 1],
                Step::Set { negated, inside } => before && holds(inside, name[to - 1]) != *negated,
            };
        }
        reachable = next;
    }
    reachable[name.len()]
}

fn step(pattern: &[u8]) -> (Step<'_>, usize) {
    match pattern[0] {
        b'*' => (Step::Any, 1),
        b'?' => (Step::One, 1),
        b'[' => match closing(pattern) {
            Some(end) => {
                let negated = matches!(pattern[1], b'!' | b'^');
                (Step::Set { negated, inside: &pattern[1 + usize::from(negated)..end] }, end + 1)
            }
            None => (Step::Byte(b'['), 1),
        },
        b'\\' if pattern.len() > 1 => (Step::Byte(pattern[1]), 2),
        byte => (Step::Byte(byte), 1),
    }
}

/// Finds the bracket that closes a set: one that comes first in it is a member, and classes have brackets of their own.
fn closing(pattern: &[u8]) -> Option<usize> {
    let negated = matches!(pattern.get(1), Some(b'!' | b'^'));
    let mut at = 1 + usize::from(negated);
    let first = at;
    loop {
        match pattern.get(at)? {
            b'[' if pattern.get(at + 1) == Some(&b':') => {
                at += 2 + pattern[at + 2..].windows(2).position(|w| w == b":]")? + 2;
            }
            b']' if at > first => return Some(at),
            _ => at += 1,
        }
    }
}

fn holds(inside: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < inside.len() {
        let rest = &inside[at..];
        if let Some(class) = rest.strip_prefix(b"[:") {
            let len = class.windows(2).position(|w| w == b":]").unwrap_or(class.len());
            if in_class(&class[..len], byte) {
                return true;
            }
            at += 2 + len + 2;
        } else if rest.len() > 2 && rest[1] == b'-' {
            if (rest[0]..=rest[2]).contains(&byte) {
                return true;
            }
            at += 3;
        } else {
            if rest[0] == byte {
                return true;
            }
            at += 1;
        }
    }
    false
}

fn in_class(class: &[u8], byte: u8) -> bool {
    match class {
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"lower" => byte.is_ascii_lowercase(),
        b"upper" => byte.is_ascii_uppercase(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        b"punct" => byte.is_ascii_punctuation(),
        b"space" | b"blank" => byte.is_ascii_whitespace(),
        _ => false,
    }
}

/// Returns a pattern of `*` and `?` alone that fits at least the same names.
pub fn widened(pattern: &str) -> String {
    let mut bytes = pattern.as_bytes();
    let mut out = Vec::new();
    while !bytes.is_empty() {
        let (step, len) = step(bytes);
        match step {
            Step::Set { .. } => out.push(b'?'),
            _ => out.extend_from_slice(&bytes[..len]),
        }
        bytes = &bytes[len..];
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_as_fnmatch_has_it() {
        for (pattern, name, fit) in [
            ("eth0", "eth0", true),
            ("e*0", "eth0", true),
            ("eth?", "eth", false),
            ("eth[0-9]", "eth0", true),
            ("eth[!0-9]", "eth0", false),
            ("eth[^1]", "eth0", true),
            ("eth[12]", "eth0", false),
            ("[[:alpha:]]th[[:digit:]x]", "eth0", true),
            ("[[:upper:]]th0", "eth0", false),
            ("[]e]th0", "eth0", true),
            ("[!]]th0", "eth0", true),
            ("eth[0", "eth[0", true),
            ("eth[0", "eth0", false),
            ("eth\\*", "eth*", true),
            ("eth\\*", "ethx", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), fit, "{pattern} {name}");
        }
        assert!(fits("*a".repeat(400).as_bytes(), b"eth0"), "too long to be judged");
    }

    #[test]
    fn a_wider_pattern_knows_no_sets() {
        for (pattern, wide) in [("a[0-9]*/b", "a?*/b"), ("[[:alpha:]]x", "?x"), ("a[b", "a[b"), ("é[!x]", "é?")] {
            assert_eq!(widened(pattern), wide);
        }
    }
}
