//! Tests that cannot run here.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Records that a test cannot run here, and why; `make test` counts and prints these lines at its end.
#[allow(clippy::print_stderr, reason = "what a test says")]
pub(crate) fn skip(test: &str, reason: &str) {
    // In one piece each: many tests write at the same time.
    let line = format!("SKIPPED {test}: {reason}\n");
    eprint!("{line}");
    let log = std::env::var_os("OVZ2LXC_SKIPPED_LOG")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/skipped.log"), PathBuf::from);
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(log) {
        let _ = file.write_all(line.as_bytes());
    }
}
