//! The LXC configuration: a typed model, its dialects, and the way back from text. Pure, no I/O.
//!
//! LXC renamed nearly every key in 2.1 and refuses the old names since 3.0, and since 3.0 it has a second family of keys
//! for control groups of version 2. [`render`] writes for a named version and control group mode; [`keys`] knows which key
//! exists where, so that nothing is written that the target refuses.

mod capability;
mod cgroup;
pub mod config;
mod guest;
pub mod keys;
mod mac;
mod network;
mod parse;
mod render;
mod validate;

#[cfg(test)]
mod tests;

pub use config::{Abilities, ContainerConfig, Dialect, IdMap, Link, Rendered, RootfsPath, Veth};
pub use mac::mac_for;
pub use parse::{parse_config, value_of};
pub use render::render;
