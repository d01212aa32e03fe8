//! Resource limits of a container, in the units of the contract.

use serde::{Deserialize, Serialize};

/// Parameters without an equivalent that have something close, which the operator must ask for by name (`--approximate`).
pub const APPROXIMATIONS: &[&str] = &["PRIVVMPAGES", "VMGUARPAGES", "LOCKEDPAGES", "SHMPAGES", "NUMFILE", "NETDEV"];

/// Limits; unset or unlimited is `None`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// PHYSPAGES, its limit, in bytes.
    pub memory_bytes: Option<u64>,
    /// SWAPPAGES alone, in bytes.
    pub swap_bytes: Option<u64>,
    /// NUMPROC: processes and threads.
    pub pids: Option<u64>,
    /// CPULIMIT in percent of one CPU.
    pub cpu_quota_percent: Option<u64>,
    /// CPUUNITS as vzctl has them (8 to 500000, 1000 is the default).
    pub cpu_units: Option<u64>,
    /// CPUS: number of virtual CPUs.
    pub cpus: Option<u64>,
    /// CPUMASK as a list (`0-2,7`).
    pub cpu_mask: Option<String>,
    /// NODEMASK as a list.
    #[serde(default)]
    pub node_mask: Option<String>,
    /// IOPRIO, 0 to 7.
    pub io_priority: Option<u64>,
    /// IOLIMIT in bytes a second.
    pub io_bytes_per_second: Option<u64>,
    /// IOPSLIMIT, operations a second.
    pub iops: Option<u64>,
    /// DISKSPACE, the hard limit, in bytes.
    pub disk_bytes: Option<u64>,
    /// DISKINODES, the hard limit.
    pub disk_inodes: Option<u64>,
    /// NUMPTY: pseudo terminals.
    #[serde(default)]
    pub ptys: Option<u64>,
    /// VMGUARPAGES, its barrier, in bytes; only when the operator asked for the approximation.
    #[serde(default)]
    pub memory_low_bytes: Option<u64>,
    /// LOCKEDPAGES in bytes, for each process; only when the operator asked for the approximation.
    #[serde(default)]
    pub memlock_bytes: Option<u64>,
    /// SHMPAGES in pages; only when the operator asked for the approximation.
    #[serde(default)]
    pub shared_memory_pages: Option<u64>,
    /// NUMFILE, for each process; only when the operator asked for the approximation.
    #[serde(default)]
    pub open_files: Option<u64>,
}
