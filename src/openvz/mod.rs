//! The source node: VE configurations as vzctl reads them, inventory, status, stop, start and fence.
//!
//! | file | what it does |
//! |---|---|
//! | `grammar` | lines: what vzctl makes of one line of a configuration |
//! | `shell` | what bash makes of the same file, for the places where the two disagree |
//! | `number` | numbers with units, pairs `BARRIER:LIMIT` |
//! | `values` | lists: addresses, interfaces, devices, capabilities, features |
//! | `params` | the table: every parameter, its kind, what a second line does, what becomes of it |
//! | `netif`, `virtuozzo` | interfaces; disks and bind mounts of Virtuozzo |
//! | `usable` | what of a value the target cannot have |
//! | `typed` | one value, read by the kind of its parameter |
//! | `reading` | one file read by that table |
//! | `parse` | two files merged, turned into a [`crate::model::ve::VeConfig`], every key answered |
//! | `merged` | the limits that both files give together |
//! | `answer`, `departure`, `features` | what became of each key, and why |
//! | `script`, `actions`, `beside` | action scripts: their commands, what they would be under LXC, those beside a file |
//! | `node` | the node itself: opening it, its containers' states, resolving names |
//! | `vzlist` | its inventory |
//! | `vzctl` | status lines and exit codes of vzctl |
//! | `remains` | what is left of a node: a dead one's disk, a plain directory, an archive of vzdump |
//! | `describe` | one container, in full |
//! | `ploop` | a ploop image read without vzctl, and its file system mounted |
//! | `fence` | stop, start, and keeping the source from starting again |

mod actions;
mod answer;
mod beside;
mod departure;
mod describe;
#[cfg(test)]
mod fake;
mod features;
mod fence;
mod grammar;
mod merged;
mod netif;
mod node;
mod number;
#[cfg(test)]
mod parameters_tests;
mod params;
mod parse;
mod ploop;
mod reading;
mod remains;
mod script;
mod shell;
mod typed;
mod usable;
#[cfg(test)]
mod usable_tests;
mod values;
mod virtuozzo;
mod vzctl;
mod vzlist;

pub use beside::scripts_beside;
pub use fence::Fenced;
pub use node::Node;
pub use parse::{ParseContext, ctid_of, parse};
pub use ploop::MountedImage;
