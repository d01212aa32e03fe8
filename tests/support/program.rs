//! Programs that tests write.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

/// Writes a program to `path`. A child does it: what this process has open for writing, a child that another test starts
/// at that moment has too, and until that one is another program nobody can run it ("Text file busy").
#[allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "a test of this machine's programs")]
pub(crate) fn write_program(path: &Path, text: &str) {
    let mut install = Command::new("install");
    let mut child = install.args(["-m", "755", "/dev/stdin"]).arg(path).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success(), "{}", path.display());
}
