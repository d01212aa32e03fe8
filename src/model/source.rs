//! A source that is not a running node: what is left of one.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where a container is when no vzctl tells it. Paths are those of the host named as the source, absolute.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remains {
    /// The top of a dead node's disk: what was `/` there.
    pub vz_root: Option<PathBuf>,
    /// The container's private area, instead of VE_PRIVATE.
    pub private: Option<PathBuf>,
    /// The container's configuration, instead of the one below the disk's `/etc/vz/conf`.
    pub ve_conf: Option<PathBuf>,
    /// An archive of vzdump, which holds configuration and tree.
    pub vzdump: Option<PathBuf>,
}

impl Remains {
    /// Tells whether nothing of it is named: the source is a node with vzctl.
    pub fn is_node(&self) -> bool {
        *self == Remains::default()
    }
}
