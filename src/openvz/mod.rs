//! The source node: VE configurations as vzctl reads them, inventory, status, stop, start and fence.
//!
//! | file | what it does |
//! |---|---|
//! | `grammar` | lines: what vzctl makes of one line of a configuration |
//! | `shell` | what bash makes of the same file, for the places where the two disagree |
//! | `number` | numbers with units, pairs `BARRIER:LIMIT` |
//! | `values` | lists: addresses, interfaces, devices, capabilities, features |
//! | `params` | the table: every parameter, its kind, what a second line does, what becomes of it |
//! | `reading` | one file read by that table |
//! | `parse` | two files merged, turned into a [`crate::model::ve::VeConfig`], every key answered |
//! | `node` | the node itself: opening it, its containers' states, resolving names |
//! | `vzlist` | its inventory |
//! | `vzctl` | status lines and exit codes of vzctl |
//! | `describe` | one container, in full |
//! | `fence` | stop, start, and keeping the source from starting again |

mod answer;
mod describe;
#[cfg(test)]
mod fake;
mod fence;
mod grammar;
mod node;
mod number;
mod params;
mod parse;
mod reading;
mod shell;
mod values;
mod vzctl;
mod vzlist;

pub use fence::Fenced;
pub use node::Node;
pub use parse::{ParseContext, parse};
