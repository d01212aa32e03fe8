//! Line-preserving editors for the files that a guest keeps its settings in.
//!
//! Bytes in, bytes out, no I/O. What an editor does not know stays as it is, byte for byte: comments, unknown lines,
//! text that is not UTF-8, CRLF, a missing final newline. An edit that changes nothing renders the identical bytes, and
//! an edit made twice is the same as once.

pub mod etcnet;
pub mod fstab;
pub mod funtoo;
pub mod gentoo;
pub mod hosts;
pub mod ifcfg;
pub mod inittab;
pub mod interfaces;
pub mod keyfile;
mod lines;
pub mod netcfg;
pub mod netctl;
pub mod netplan;
pub mod networkd;
pub mod pattern;
pub mod rcconf;
pub mod rcconfig;
pub mod resolv;
pub mod securetty;
pub mod shellvars;
pub mod slackware;
pub mod suse;

#[cfg(test)]
pub(super) mod tests;
