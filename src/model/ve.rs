//! A VE configuration after parsing and merging, in this program's units.

use crate::model::finding::Finding;
use crate::model::limits::Limits;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

/// What became of one key of a VE configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It has an exact equivalent.
    Converted,
    /// It has something close.
    Approximated,
    /// It has no meaning after the migration.
    Ignored,
    /// It has no equivalent and the container needs it.
    Blocked,
}

impl Outcome {
    /// Every outcome, the best first.
    pub const ALL: [Outcome; 4] = [Outcome::Converted, Outcome::Approximated, Outcome::Ignored, Outcome::Blocked];

    /// Returns the word of the contract.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Converted => "converted",
            Outcome::Approximated => "approximated",
            Outcome::Ignored => "ignored",
            Outcome::Blocked => "blocked",
        }
    }
}

/// One key and its answer (contracts.md, `convert`, `keys`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyAnswer {
    /// The key.
    pub key: String,
    /// Its value as it stands in the file.
    pub value: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Where it went: an LXC key, the volume, the guest's files; empty when nowhere.
    pub into: String,
    /// Why.
    pub why: String,
    /// Which file it stands in: empty for the container's own, `vz.conf` when its value there is in force.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub origin: String,
    /// Whether it is a parameter of OpenVZ at all.
    #[serde(skip)]
    pub known: bool,
}

/// An address of venet0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct VenetAddress {
    /// The address.
    pub address: IpAddr,
    /// Prefix length; 32 or 128 when the configuration gives none.
    pub prefix: u8,
}

/// An interface of NETIF.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VethInterface {
    /// Name inside the container.
    pub ifname: String,
    /// MAC inside the container.
    pub mac: Option<String>,
    /// Name on the node.
    pub host_ifname: Option<String>,
    /// Bridge on the node (vznetcfg's extension).
    pub bridge: Option<String>,
}

/// NAMESERVER or SEARCHDOMAIN.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Resolver {
    /// Not set: the guest's own file stands.
    #[default]
    Unset,
    /// `inherit`: the node's /etc/resolv.conf.
    Inherit,
    /// A list.
    List(Vec<String>),
}

/// A device rule of DEVICES or DEVNODES.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceRule {
    /// `b` or `c`.
    pub kind: char,
    /// Major number; `None` when only the node's /dev knows it (DEVNODES).
    pub major: Option<u32>,
    /// Minor number; `None` means all.
    pub minor: Option<u32>,
    /// `r` and `w` as given (`q` is dropped).
    pub access: String,
    /// Path below /dev (DEVNODES).
    pub path: Option<String>,
}

/// Capability changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capabilities {
    /// Switched on, in lower case, without `cap_`.
    pub on: Vec<String>,
    /// Switched off.
    pub off: Vec<String>,
}

/// A VE configuration, merged over the global one by vzctl's rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VeConfig {
    /// Limits in the units of the contract.
    pub limits: Limits,
    /// IP_ADDRESS in order, without duplicates.
    pub venet: Vec<VenetAddress>,
    /// NETIF.
    pub veth: Vec<VethInterface>,
    /// HOSTNAME.
    pub hostname: Option<String>,
    /// NAMESERVER.
    pub nameservers: Resolver,
    /// SEARCHDOMAIN.
    pub searchdomains: Resolver,
    /// ONBOOT; `None` when unset.
    pub onboot: Option<bool>,
    /// BOOTORDER: higher starts earlier.
    pub bootorder: Option<u64>,
    /// DISABLED.
    pub disabled: bool,
    /// STOP_TIMEOUT in seconds; vzctl's default is 120.
    pub stop_timeout: Option<u64>,
    /// NAME.
    pub name: Option<String>,
    /// DESCRIPTION.
    pub description: Option<String>,
    /// OSTEMPLATE: a hint only.
    pub ostemplate: Option<String>,
    /// VE_ROOT with `$VEID` replaced.
    pub root: Option<PathBuf>,
    /// VE_PRIVATE with `$VEID` replaced.
    pub private: Option<PathBuf>,
    /// VE_LAYOUT of the container's own file.
    pub layout: Option<String>,
    /// CAPABILITY.
    pub capabilities: Capabilities,
    /// FEATURES.
    pub features: BTreeMap<String, bool>,
    /// DEVICES and DEVNODES.
    pub devices: Vec<DeviceRule>,
    /// NETDEV, when the operator asked for the approximation: devices of the target with these names.
    #[serde(default)]
    pub net_devices: Vec<String>,
    /// QUOTAUGIDLIMIT: non-zero switches second-level quotas on.
    pub quota_ugid_limit: Option<u64>,
    /// Every key of the container's file with its answer, then those of the global file that are in force for it.
    pub keys: Vec<KeyAnswer>,
    /// Lines that vzctl rejects or that bash reads otherwise, keys without an equivalent.
    pub findings: Vec<Finding>,
}

impl VeConfig {
    /// Returns how many keys of the container's own file are parameters of OpenVZ; none of garbage.
    pub fn known_keys(&self) -> usize {
        self.keys.iter().filter(|key| key.known && key.origin.is_empty()).count()
    }

    /// Returns the file systems that FEATURES lets the container mount itself.
    pub fn mount_types(&self) -> Vec<String> {
        let nfs = self.features.get("nfs").copied().unwrap_or(false);
        if nfs { vec!["nfs".to_owned(), "nfs4".to_owned()] } else { Vec::new() }
    }
}
