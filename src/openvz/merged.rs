//! Both files merged: the limits in this program's units, and what the opt-in approximations make of them.

use super::grammar::Dialect;
use super::number::{self, CpuLimit};
use super::reading::{Value, Values, text};
use crate::model::ctid::Ctid;
use crate::model::limits::Limits;
use crate::model::size::{KIB, PAGE};
use std::collections::HashSet;

/// Everything that decides over a key beside its own value.
pub(super) struct Merged<'a> {
    pub(super) ctid: &'a Ctid,
    pub(super) dialect: Dialect,
    pub(super) values: &'a Values,
    pub(super) layout: Option<&'a str>,
    pub(super) node_cpus: Option<u32>,
    /// What the operator asked for by name.
    pub(super) approximate: &'a [String],
}

/// What a limit of the configuration is for the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    Unset,
    Unlimited,
    Zero,
    Value(u64),
}

impl Limit {
    fn of(number: u64) -> Limit {
        match number {
            0 => Limit::Zero,
            n if number::is_unlimited(n) => Limit::Unlimited,
            n => Limit::Value(n),
        }
    }

    pub(super) fn value(self) -> Option<u64> {
        if let Limit::Value(n) = self { Some(n) } else { None }
    }

    /// The limit in bytes; more than any kernel counts to is no limit.
    fn times(self, unit: u64) -> Limit {
        match self {
            Limit::Value(n) => {
                n.checked_mul(unit).filter(|n| *n < number::UNLIMITED).map_or(Limit::Unlimited, Limit::Value)
            }
            other => other,
        }
    }
}

impl Merged<'_> {
    /// Returns the limit (the second number) of a pair: pages and KiB in bytes, the rest as it stands.
    pub(super) fn limit(&self, name: &str) -> Limit {
        let Some(Value::Pair(_, limit, _)) = self.values.get(name) else { return Limit::Unset };
        Limit::of(*limit).times(unit(name))
    }

    /// Returns what an approximation counts with: the limit, but of a guarantee its barrier.
    pub(super) fn amount(&self, name: &str) -> Limit {
        match self.values.get(name) {
            Some(Value::Pair(barrier, ..)) if name == "VMGUARPAGES" => Limit::of(*barrier).times(PAGE),
            _ => self.limit(name),
        }
    }

    /// Whether the operator asked for the approximation of a parameter.
    pub(super) fn asked(&self, name: &str) -> bool {
        self.approximate.iter().any(|a| a == name)
    }

    fn approximated(&self, name: &str) -> Option<u64> {
        if self.asked(name) { self.amount(name).value() } else { None }
    }

    /// Whether PHYSPAGES limits memory, which is what makes SWAPPAGES a limit on swap.
    pub(super) fn is_vswap(&self) -> bool {
        matches!(self.limit("PHYSPAGES"), Limit::Value(_))
    }

    /// Returns CPULIMIT in percent of one CPU.
    pub(super) fn cpu_quota(&self) -> Option<u64> {
        let percent = match self.values.get("CPULIMIT") {
            Some(Value::CpuLimit(CpuLimit::OfOne(n))) => *n,
            Some(Value::CpuLimit(CpuLimit::OfNode(n))) => n.checked_mul(u64::from(self.node_cpus?))?,
            _ => return None,
        };
        Some(percent).filter(|n| *n > 0 && !number::is_unlimited(*n))
    }

    /// Returns CPUUNITS; where it says nothing, vzctl writes CPUUWEIGHT as shares, of which the kernel's 1024 are 1000 units.
    pub(super) fn cpu_units(&self) -> Option<u64> {
        let weight = || {
            let shares = number(self.values, "CPUUWEIGHT").filter(|n| *n > 0)?;
            u64::try_from(u128::from(shares) * 1000 / 1024).ok().map(|units| units.max(1))
        };
        number(self.values, "CPUUNITS").or_else(weight)
    }

    /// Returns a list of CPUs or NUMA nodes; all of them, and those that go with others, are none.
    pub(super) fn mask(&self, name: &str) -> Option<String> {
        text(self.values, name).filter(|mask| mask != "all" && mask != "auto")
    }

    /// Returns NETDEV, when the operator asked for it, without names that an interface of NETIF has in the container.
    pub(super) fn net_devices(&self) -> Option<Vec<String>> {
        match self.values.get("NETDEV") {
            Some(Value::Words(list)) if self.asked("NETDEV") => {
                let taken = self.taken_names();
                Some(list.iter().filter(|name| !taken.contains(name.as_str())).cloned().collect())
            }
            _ => None,
        }
    }

    /// Returns the names of NETDEV that an interface of NETIF has in the container.
    pub(super) fn net_devices_twice(&self) -> Vec<String> {
        let Some(Value::Words(list)) = self.values.get("NETDEV") else { return Vec::new() };
        let taken = self.taken_names();
        list.iter().filter(|name| taken.contains(name.as_str())).cloned().collect()
    }

    /// Returns the names that NETIF gives in the container.
    pub(super) fn taken_names(&self) -> HashSet<&str> {
        match self.values.get("NETIF") {
            Some(Value::Interfaces(all)) => all.list.iter().map(|one| one.ifname.as_str()).collect(),
            _ => HashSet::new(),
        }
    }

    /// Returns the swap limit. Zero is one, where it was written: the container has no swap.
    pub(super) fn swap(&self) -> Option<u64> {
        if !self.is_vswap() {
            return None;
        }
        if self.has_no_swap() { Some(0) } else { self.limit("SWAPPAGES").value() }
    }

    /// Whether SWAPPAGES says zero, where it is a limit.
    pub(super) fn has_no_swap(&self) -> bool {
        self.is_vswap() && matches!(self.values.get("SWAPPAGES"), Some(Value::Pair(_, 0, true)))
    }

    /// Returns all limits in the units of the contract; none of them is zero, but that of swap.
    pub(super) fn limits(&self) -> Limits {
        let positive = |name| number(self.values, name).filter(|n| *n > 0);
        let limit = |name| self.limit(name).value();
        Limits {
            memory_bytes: limit("PHYSPAGES").or_else(|| self.approximated("PRIVVMPAGES")),
            swap_bytes: self.swap(),
            pids: limit("NUMPROC"),
            cpu_quota_percent: self.cpu_quota(),
            cpu_units: self.cpu_units(),
            cpus: positive("CPUS").filter(|n| !number::is_unlimited(*n)),
            cpu_mask: self.mask("CPUMASK"),
            node_mask: self.mask("NODEMASK"),
            io_priority: number(self.values, "IOPRIO"),
            io_bytes_per_second: positive("IOLIMIT"),
            iops: positive("IOPSLIMIT"),
            disk_bytes: limit("DISKSPACE"),
            disk_inodes: if self.layout == Some("ploop") { None } else { limit("DISKINODES") },
            ptys: limit("NUMPTY"),
            memory_low_bytes: self.approximated("VMGUARPAGES"),
            memlock_bytes: self.approximated("LOCKEDPAGES"),
            shared_memory_pages: self.approximated("SHMPAGES"),
            open_files: self.approximated("NUMFILE"),
        }
    }
}

/// What one of a parameter's limits is in bytes; SHMPAGES stays in pages, as kernel.shmall counts.
fn unit(name: &str) -> u64 {
    match name {
        "PHYSPAGES" | "SWAPPAGES" | "PRIVVMPAGES" | "VMGUARPAGES" | "LOCKEDPAGES" => PAGE,
        "DISKSPACE" => KIB,
        _ => 1,
    }
}

/// Returns a number; unset when it is none.
pub(super) fn number(values: &Values, name: &str) -> Option<u64> {
    if let Some(Value::Number(n)) = values.get(name) { Some(*n) } else { None }
}

/// Returns a yes or no.
pub(super) fn flag(values: &Values, name: &str) -> Option<bool> {
    if let Some(Value::Flag(on)) = values.get(name) { Some(*on) } else { None }
}
