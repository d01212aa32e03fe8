//! The target host, as found.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An LXC version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct LxcVersion {
    /// Major number.
    pub major: u32,
    /// Minor number.
    pub minor: u32,
}

impl LxcVersion {
    /// What is written for where no LXC is installed and none is named: the one that the tests run.
    pub const ASSUMED: LxcVersion = LxcVersion { major: 5, minor: 0 };

    /// Parses `5.0.2`, `1.0.11`, `4.0`.
    pub fn parse(text: &str) -> Option<LxcVersion> {
        let mut parts = text.trim().split('.');
        let major = parts.next()?.parse().ok()?;
        let minor = parts.next().map_or(Some(0), |p| p.parse().ok())?;
        Some(LxcVersion { major, minor })
    }
}

impl fmt::Display for LxcVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// How the host's control groups are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CgroupMode {
    /// Controllers in version 1 hierarchies (a hybrid mount counts as this: the controllers are v1's).
    V1,
    /// One unified hierarchy.
    V2,
    /// Write both families of keys: LXC ignores the family that does not match.
    Both,
}

/// The target host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Version of the installed LXC; `None` when there is none.
    pub lxc: Option<LxcVersion>,
    /// How its control groups are mounted.
    pub cgroup: CgroupMode,
    /// Its bridges, by name.
    pub bridges: Vec<String>,
    /// Containers that LXC knows under the LXC path, by name.
    pub containers: Vec<String>,
    /// Online CPUs.
    pub cpus: u32,
    /// Version 1 with swap accounting, or version 2 (where it is always there).
    pub swap_accounting: bool,
    /// A control group that counts processes is there: not before Linux 4.3.
    #[serde(default = "there")]
    pub pids: bool,
    /// `/usr/share/lxc/config/common.conf` exists (or the distribution's equivalent), to be included.
    pub common_conf: Option<String>,
    /// AppArmor is active.
    pub apparmor: bool,
    /// Kernel command line has `vsyscall=none`.
    pub vsyscall_none: bool,
    /// This host's name.
    pub hostname: String,
    /// Machine architecture (`x86_64`).
    pub arch: String,
    /// NUMA nodes that are online.
    pub numa_nodes: u32,
    /// Kernel version, major and minor.
    pub kernel: (u32, u32),
    /// `userns.conf` beside the shared configuration, for unprivileged containers.
    pub userns_conf: Option<String>,
    /// The interface of the default route.
    pub uplink: Option<String>,
    /// What routed interfaces need of the kernel.
    pub forwarding: Forwarding,
    /// Names of host ends of interfaces (`veth.pair`): those in the configurations under the LXC path, and all interfaces
    /// that are there now.
    pub host_ifnames: Vec<String>,
    /// Directories on the way to the LXC path, and to that of the volumes, that others must not pass, so that no unprivileged container starts there.
    #[serde(default)]
    pub closed_dirs: Vec<String>,
    /// Ranges of ids that configurations under the LXC path use.
    pub id_ranges: Vec<super::settings::IdRange>,
}

fn there() -> bool {
    true
}

/// What the host's kernel forwards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Forwarding {
    /// net.ipv4.ip_forward.
    pub v4: bool,
    /// net.ipv6.conf.all.forwarding.
    pub v6: bool,
    /// The interfaces with net.ipv6.conf.NAME.proxy_ndp: LXC insists on it for the uplink itself, that of all is not enough.
    pub proxy_ndp: Vec<String>,
}
