//! The terminal. The only room that writes to standard output and standard error.
//!
//! Progress goes to standard error, results to standard output, so that a pipe carries results only. Whatever comes from
//! a container or a node (host names, file names, what a command said) passes [`text::plain`] before it is shown.

mod bars;
mod errors;
mod jsonl;
mod log;
mod output;
mod paint;
mod plain;
mod progress;
pub mod screens;
mod table;
mod terminal;
pub mod text;

pub use bars::Bars;
pub use errors::error_text;
pub use jsonl::JsonLines;
pub use log::log;
pub use paint::{ColorChoice, Paint};
pub use plain::Plain;
pub use progress::{ProgressMode, choose};
pub use terminal::{Screen, Style};
