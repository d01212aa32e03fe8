//! What every integration test may need.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it, as a module of its own")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests are tests, though clippy cannot see it"
)]

pub mod busybox;
pub mod chain;
pub mod fixups;
pub mod node;
pub mod program;
mod skip;
pub mod tree;

pub(crate) use skip::skip;
use std::path::PathBuf;

/// The program under test with these arguments, nothing to read, and no say of the environment in its colours.
pub fn program(args: &[&str]) -> std::process::Command {
    #[expect(clippy::disallowed_methods, reason = "runs the program under test")]
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ovz2lxc"));
    command.args(args).env_remove("NO_COLOR").stdin(std::process::Stdio::null());
    command
}

/// What a program wrote, as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The checkout.
pub fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Whether the tests run as root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}
