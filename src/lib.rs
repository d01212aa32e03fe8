//! ovz2lxc moves OpenVZ containers to LXC.
//!
//! The map of the house. A room imports only from rooms on floors below its own (`tests/house.rs` holds that), one room
//! has one power, and the way of one container can be read from top to bottom of this list, backwards:
//!
//! | floor | room | what it does |
//! |---|---|---|
//! | roof | [`cli`] | parses the command line (clap lives here only), one file a command |
//! | | [`config`] | settings in layers, each value with its origin |
//! | | [`ui`] | the terminal: bars, plain lines, JSON lines, last screens |
//! | | [`app`] | composition root: builds the adapters that a command needs |
//! | third | [`pipeline`] | plan, steps with undo, the point of no return |
//! | | [`batch`] | many containers from a manifest |
//! | second | [`openvz`] | the source node: VE config, status, stop, start, fence |
//! | | [`volume`] | the target's storage: image, directory, logical volume |
//! | | [`transfer`] | moves the tree: stream engine, rsync engine |
//! | | [`guest`] | what is in the tree: distribution, init, ELF class, network dialect |
//! | | [`fixup`] | declarative changes inside the tree |
//! | | [`runtime`] | LXC on this host: version, bridges, start, stop, state |
//! | | [`cluster`] | Pacemaker: resource model, pcs, offline CIB |
//! | first | [`host`] | runs commands and reads files, here or over SSH; the only place that starts processes |
//! | | [`rootfs`] | the only door into a container's tree |
//! | | [`journal`] | append-only records, lock per container |
//! | ground | [`model`] | the nouns: sizes, VE config, network, guest, finding, plan |
//! | | [`lxc`] | the LXC configuration: typed model, dialects |
//! | | [`check`] | facts to findings, no I/O |
//!
//! Below all rooms lie [`error`], [`event`] and [`cancel`].

pub mod app;
pub mod batch;
pub mod cancel;
pub mod check;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod error;
pub mod event;
pub mod fixup;
pub mod guest;
pub mod host;
pub mod journal;
pub mod lxc;
pub mod model;
pub mod openvz;
pub mod pipeline;
pub mod rootfs;
pub mod runtime;
pub mod transfer;
pub mod ui;
pub mod volume;
