//! Programs on the source that take entries by name: a script that runs in the tree, a list for its standard input.

use super::Job;
use super::running::{joined, watch};
use crate::error::Result;
use crate::host::Command;
use std::io::Read;

/// Longest path that a program can open in one piece (PATH_MAX is 4096 with the NUL; `./` goes before it).
pub(super) const LONGEST_PATH: usize = 4000;

/// Returns a list of paths below the top, as `xargs -0`, tar and rsync take it: a NUL after each.
pub(super) fn list(paths: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    let mut list = Vec::new();
    for path in paths {
        // Never begins with a dash, and the top is `./`.
        list.extend_from_slice(b"./");
        list.extend_from_slice(&path);
        list.push(0);
    }
    list
}

/// Makes a script for the source, which finds the tree in `$1` and a list in its standard input.
pub(super) fn script(job: &Job<'_>, text: &str) -> Command {
    Command::read("/bin/sh").args(["-c", text, "sh"]).arg(&job.tree).pipe_stdin()
}

/// Runs such a script. What it said is the reason of whatever went wrong.
pub(super) fn run<T: Send>(
    job: &Job<'_>,
    script: &Command,
    list: &[u8],
    read: impl FnOnce(Box<dyn Read + Send>) -> Result<T> + Send,
) -> Result<T> {
    let ended = watch(job.source, script, job.cancel, Some(list), read)?;
    joined(ended.result, ended.output.ok(script, job.source.label()).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_an_option_or_ends_early() {
        let paths = [b"".as_slice(), b"-rf", b"a\nb/c"].map(<[u8]>::to_vec);
        assert_eq!(list(paths.into_iter()), b"./\0./-rf\0./a\nb/c\0");
    }
}
