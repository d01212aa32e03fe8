//! Both engines against real trees, real tars and rsyncs, and sources that misbehave.

#![allow(unreachable_pub, clippy::print_stderr, clippy::unwrap_used, reason = "a test binary")]

#[path = "../support/shell_host.rs"]
mod shell_host;
#[path = "../support/mod.rs"]
mod support;
#[path = "../support/torture.rs"]
mod torture;

mod blocks;
mod desk;
mod failures;
mod hostile;
mod mutations;
mod verify;
mod whole_tree;
