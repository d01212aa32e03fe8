//! Settings in layers: defaults, configuration file, manifest, command line. Each value knows where it comes from.

mod layer;
mod manifest;
mod merge;
mod values;

pub use layer::{Layer, NodeEntry, SubnetEntry, read_config, read_toml, unplaced};
pub use manifest::{Entry, Manifest, read_manifest};
pub use merge::{Connection, Merged, Shown, merge};
pub use values::{
    AddressText, ApproximateText, BwlimitText, CgroupText, ClusterText, CompressText, FsText, IdRangeText, LxcText,
    NetworkText, SizeText, StorageText, StreamCount, TransportText, VerifyText, VlanId,
};
