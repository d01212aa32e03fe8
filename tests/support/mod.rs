//! What every integration test may need.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it, as a module of its own")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests are tests, though clippy cannot see it")]

pub mod busybox;
pub mod chain;
pub mod node;

use std::io::Write;
use std::path::PathBuf;

/// Records that a test cannot run here, and why; `make test` counts and prints these lines at its end.
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
    let log =
        std::env::var_os("OVZ2LXC_SKIPPED_LOG").map_or_else(|| repository().join("target/skipped.log"), PathBuf::from);
    if let Ok(mut file) = std::fs::OpenOptions::new().create(true).append(true).open(log) {
        let _ = writeln!(file, "SKIPPED {test}: {reason}");
    }
}

/// The checkout.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
