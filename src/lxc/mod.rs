//! The LXC configuration: a typed model, its dialects, and the way back from text. Pure, no I/O.
//!
//! LXC renamed nearly every key in 2.1 and refuses the old names since 3.0, and since 3.0 it has a second family of keys
//! for control groups of version 2. [`render`] writes for a named version and control group mode; [`keys`] knows which key
//! exists where, so that nothing is written that the target refuses.

mod capability;
mod cgroup;
pub mod config;
mod device;
mod guest;
mod hook;
mod hooked;
pub mod keys;
mod mac;
mod network;
mod parse;
mod process;
mod render;
mod userns;
mod validate;

#[cfg(test)]
mod golden_tests;
#[cfg(test)]
mod hostile_tests;
#[cfg(test)]
mod limits_tests;
#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod userns_tests;

pub use capability::is_host_only;
pub use config::{Abilities, ContainerConfig, Dialect, IdMap, Link, Rendered, RootfsPath, Veth};
pub use mac::mac_for;
pub use parse::{parse_config, value_of};
pub use render::{ORDERS, render};
