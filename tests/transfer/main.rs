//! Both engines against real trees, real tars and rsyncs, and sources that misbehave.

#![allow(unreachable_pub, clippy::print_stderr, clippy::unwrap_used, reason = "a test binary")]

#[path = "../../fuzz/archive_body.rs"]
mod archive_body;
#[path = "../../fuzz/walk_body.rs"]
mod body;
#[path = "../support/shell_host.rs"]
mod shell_host;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/torture.rs"]
mod torture;

mod archives;
mod blocks;
mod desk;
mod failures;
mod hostile;
mod last_walk;
mod lesser;
mod mutations;
mod resume;
mod seeds;
mod verify;
mod walk;
mod whole_tree;
