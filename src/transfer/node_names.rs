//! The users and groups of the source node, for the names that its tar writes into ACLs.

use super::archive::Names;
use crate::host::Host;
use std::collections::HashMap;
use std::path::Path;
use std::sync::OnceLock;

/// Far more than any passwd file of a node.
const LIMIT: u64 = 16 << 20;

/// Reads the node's passwd and group file when a name comes up.
pub(super) struct NodeNames<'a> {
    host: &'a dyn Host,
    users: OnceLock<HashMap<String, u32>>,
    groups: OnceLock<HashMap<String, u32>>,
}

impl<'a> NodeNames<'a> {
    pub(super) fn new(host: &'a dyn Host) -> NodeNames<'a> {
        NodeNames { host, users: OnceLock::new(), groups: OnceLock::new() }
    }

    fn read(&self, path: &str) -> HashMap<String, u32> {
        let text = self.host.read_file(Path::new(path), LIMIT).ok().flatten().unwrap_or_default();
        let mut ids = HashMap::new();
        for line in String::from_utf8_lossy(&text).lines() {
            let mut fields = line.split(':');
            if let (Some(name), Some(Ok(id))) = (fields.next(), fields.nth(1).map(str::parse)) {
                ids.entry(name.to_owned()).or_insert(id);
            }
        }
        ids
    }
}

impl Names for NodeNames<'_> {
    fn uid(&self, name: &str) -> Option<u32> {
        self.users.get_or_init(|| self.read("/etc/passwd")).get(name).copied()
    }

    fn gid(&self, name: &str) -> Option<u32> {
        self.groups.get_or_init(|| self.read("/etc/group")).get(name).copied()
    }
}
