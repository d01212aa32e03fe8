//! Line-preserving editors for the files that a guest keeps its settings in.
//!
//! Bytes in, bytes out, no I/O. What an editor does not know stays as it is, byte for byte: comments, unknown lines,
//! text that is not UTF-8, CRLF, a missing final newline. An edit that changes nothing renders the identical bytes, and
//! an edit made twice is the same as once.

pub mod fstab;
pub mod hosts;
pub mod ifcfg;
pub mod inittab;
pub mod interfaces;
mod lines;
pub mod networkd;
pub mod resolv;
pub mod securetty;
pub mod shellvars;

#[cfg(test)]
mod tests;
