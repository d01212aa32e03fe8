//! Resource limits of a container, in the units of the contract.

use serde::{Deserialize, Serialize};

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
}
