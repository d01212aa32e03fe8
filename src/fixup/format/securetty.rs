//! /etc/securetty: the terminals on which root may log in, one a line (securetty(5)).

use super::lines;

/// Adds the names that are not there yet, each on a line of its own.
///
/// pam_securetty compares with what ttyname says below /dev: `console`, `tty1`, or `lxc/tty1` when `lxc.tty.dir` is `lxc`.
pub fn add_ttys(text: &[u8], names: &[String]) -> Vec<u8> {
    let mut list = lines::split(text);
    let end = lines::usual_end(list.iter());
    for name in names.iter().filter(|n| !n.trim().is_empty()) {
        if !list.iter().any(|l| l.text.trim_ascii() == name.trim().as_bytes()) {
            list.push(lines::line(name.trim(), end));
        }
    }
    lines::join(&list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &[&str]) -> Vec<String> {
        list.iter().map(|n| (*n).to_owned()).collect()
    }

    #[test]
    fn appends_once_and_never_glues() {
        let wanted = names(&["console", "lxc/tty1", "lxc/tty1", "tty1"]);
        let once = add_ttys(b"console\n# tty1\ntty11", &wanted);
        assert_eq!(once, b"console\n# tty1\ntty11\nlxc/tty1\ntty1\n");
        assert_eq!(add_ttys(&once, &wanted), once);
    }

    #[test]
    fn nothing_to_add_keeps_the_bytes() {
        assert_eq!(add_ttys(b"console\r\ntty1", &names(&["tty1", ""])), b"console\r\ntty1");
        assert_eq!(add_ttys(b"a\r\nb\r\n", &names(&["c"])), b"a\r\nb\r\nc\r\n");
        assert_eq!(add_ttys(b"", &names(&["console"])), b"console\n");
    }
}
