//! Parses, runs, exits.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(ovz2lxc::app::run())
}
