//! What a copy leaves out: anchored paths, never patterns (`dev` is not `var/www/dev`).

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// The excludes of a job.
#[derive(Debug, Clone, Default)]
pub(super) struct Excludes {
    whole: Vec<Vec<u8>>,
    below: Vec<Vec<u8>>,
}

impl Excludes {
    /// Takes paths relative to the top: a whole entry, or `dir/*` for all below `dir`.
    pub(super) fn new(paths: &[PathBuf]) -> Excludes {
        let mut excludes = Excludes::default();
        for path in paths {
            let mut path = path.as_os_str().as_bytes();
            while let Some(rest) = path.strip_prefix(b"/").or_else(|| path.strip_prefix(b"./")) {
                path = rest;
            }
            let (list, path) = match path.strip_suffix(b"/*") {
                Some(dir) => (&mut excludes.below, dir),
                None => (&mut excludes.whole, path),
            };
            let end = path.iter().rposition(|b| *b != b'/').map_or(0, |i| i + 1);
            if end > 0 {
                list.push(path[..end].to_vec());
            }
        }
        excludes
    }

    /// Tells whether the entry at `path`, relative to the top, is left out.
    pub(super) fn matches(&self, path: &[u8]) -> bool {
        let under = |dir: &Vec<u8>| path.len() > dir.len() && path.starts_with(dir) && path[dir.len()] == b'/';
        self.whole.iter().any(|entry| path == entry.as_slice() || under(entry)) || self.below.iter().any(under)
    }

    /// Returns rsync's patterns: anchored at the top, what rsync would read as a wildcard escaped.
    pub(super) fn rsync_patterns(&self) -> Vec<Vec<u8>> {
        let whole = self.whole.iter().map(|path| rsync_pattern(path, b"", is_wild(path)));
        let below = self.below.iter().map(|path| rsync_pattern(path, b"/*", true));
        whole.chain(below).collect()
    }
}

fn is_wild(path: &[u8]) -> bool {
    path.iter().any(|b| b"*?[".contains(b))
}

/// A backslash escapes only in a pattern that holds a wildcard (rsync(1), "pattern matching rules").
fn rsync_pattern(path: &[u8], end: &[u8], wild: bool) -> Vec<u8> {
    let mut pattern = vec![b'/'];
    for byte in path {
        if wild && b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern.extend_from_slice(end);
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn excludes(paths: &[&str]) -> Excludes {
        Excludes::new(&paths.iter().map(PathBuf::from).collect::<Vec<_>>())
    }

    #[test]
    fn excludes_are_anchored_and_end_at_a_name() {
        let excludes = excludes(&["dev", "/var/cache/apt", "tmp/*", "./x/"]);
        for path in ["dev", "dev/null", "var/cache/apt/a", "tmp/a", "tmp/a/b", "x", "x/y"] {
            assert!(excludes.matches(path.as_bytes()), "{path}");
        }
        for path in ["", "var/www/dev", "device", "tmp", "tmpx", "var/cache/aptitude", "var"] {
            assert!(!excludes.matches(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn rsync_reads_them_as_names() {
        let patterns = excludes(&["dev", "a\\b", "a*\\[x]", "c\\d/*"]).rsync_patterns();
        let text: Vec<&str> = patterns.iter().map(|p| std::str::from_utf8(p).unwrap()).collect();
        assert_eq!(text, ["/dev", "/a\\b", "/a\\*\\\\\\[x]", "/c\\\\d/*"]);
    }
}
