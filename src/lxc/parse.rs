//! Reading a configuration back, by LXC's own line grammar (`confile.c`, `parse_line`).

use crate::error::{Error, Result};

/// Returns the key and value of every line that LXC looks at, in order. Comments, empty lines and lines that do not begin
/// with `lxc.` are passed over, as LXC does; an `lxc.` line without `=` is an error, as it is for LXC. Blanks around key
/// and value and one pair of equal quotes around the value are taken off. Includes are not followed.
pub fn parse_config(text: &str) -> Result<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim_matches(blank);
        if !line.starts_with("lxc.") {
            continue;
        }
        let Some((key, value)) = line.split_once('=') else {
            return Err(Error::new(format!("line {} of the LXC configuration has no \"=\"", number + 1)));
        };
        pairs.push((key.trim_matches(blank).to_owned(), unquoted(value.trim_matches(blank)).to_owned()));
    }
    Ok(pairs)
}

/// Returns the last value of a key, which is the one that counts for keys that are not lists.
pub fn value_of<'a>(pairs: &'a [(String, String)], key: &str) -> Option<&'a str> {
    pairs.iter().rev().find(|(k, _)| k == key).map(|(_, v)| v.as_str())
}

/// LXC trims with `isspace` in the C locale.
fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n' | '\u{b}' | '\u{c}')
}

fn unquoted(value: &str) -> &str {
    for quote in ['"', '\''] {
        if let Some(inner) = value.strip_prefix(quote).and_then(|v| v.strip_suffix(quote)) {
            return inner;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_as_lxc_reads_them() {
        let text = "# lxc.a = 1\n  # lxc.a = 2\n\tlxc.uts.name =  web1 \n\nfoo = bar\nlxc.x='q'\nlxc.y = \"a = b\" \n\
                    lxc.cap.drop =\nlxc.z = # not a comment\nlxc.w = \"";
        let want = [
            ("lxc.uts.name", "web1"),
            ("lxc.x", "q"),
            ("lxc.y", "a = b"),
            ("lxc.cap.drop", ""),
            ("lxc.z", "# not a comment"),
            ("lxc.w", "\""),
        ];
        let got = parse_config(text).unwrap();
        let got: Vec<(&str, &str)> = got.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_line_without_a_value_is_named() {
        let error = parse_config("lxc.a = 1\nlxc.b\n").unwrap_err();
        assert_eq!(error.to_string(), "line 2 of the LXC configuration has no \"=\"");
    }

    #[test]
    fn the_last_value_counts() {
        let pairs = parse_config("lxc.tty.max = 1\nlxc.tty.max = 4\n").unwrap();
        assert_eq!(value_of(&pairs, "lxc.tty.max"), Some("4"));
        assert_eq!(value_of(&pairs, "lxc.pty.max"), None);
    }
}
