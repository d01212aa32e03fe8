//! The nouns of the field, without any I/O.

pub mod container;
pub mod ctid;
pub mod facts;
pub mod finding;
pub mod guest;
pub mod limits;
pub mod names;
pub mod network;
pub mod resource;
pub mod settings;
pub mod size;
pub mod source;
pub mod target;
pub mod ve;
pub mod volume;
