//! The table of parameters: what each is, what a second line with its name does, and what becomes of it under LXC.
//!
//! Kinds and rules for a second line follow vzctl 4.11 (src/lib/config.c:57-176, 234-2560); Virtuozzo's own names follow
//! libvzctl 8.0 (lib/env_config.c:60-190). A fate is what holds when nothing about the value says otherwise; `answer`
//! decides the rest.

use super::number::Unit;
use crate::model::ve::Outcome;

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Free text.
    Text,
    /// A directory, `$VEID` in it replaced once.
    Path,
    /// NAME.
    Name,
    /// `yes` or `no`.
    Flag,
    /// An unsigned long within bounds.
    Number(u64, u64),
    /// An int within bounds.
    Int(u64, u64),
    /// `BARRIER:LIMIT`.
    Pair(Unit),
    /// CPULIMIT.
    CpuLimit,
    /// CPUMASK, NODEMASK.
    CpuMask,
    /// IOLIMIT.
    IoLimit,
    /// IP_ADDRESS.
    Addresses,
    /// Blank-separated words.
    Words,
    /// NETIF.
    Netif,
    /// DEVICES.
    Devices,
    /// DEVNODES.
    DeviceNodes,
    /// CAPABILITY.
    Capability,
    /// FEATURES.
    Features,
    /// VE_LAYOUT.
    Layout,
    /// Not looked at.
    Opaque,
}

/// What a second line with the same name does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// Nothing: the first wins, vzctl warns.
    First,
    /// It replaces the first, silently.
    Last,
    /// Its words are added, without duplicates.
    Join,
}

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fate {
    pub(super) outcome: Outcome,
    pub(super) into: &'static str,
    pub(super) why: &'static str,
}

/// A row of the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub(super) name: &'static str,
    /// A second name for the same thing.
    pub(super) alias: &'static str,
    pub(super) kind: Kind,
    pub(super) repeat: Repeat,
    pub(super) fate: Fate,
}

/// Finds a parameter by name or alias; names are case-sensitive.
pub(super) fn find(name: &[u8]) -> Option<&'static Param> {
    let name = std::str::from_utf8(name).ok().filter(|n| !n.is_empty())?;
    PARAMS.iter().find(|p| p.name == name || p.alias == name).or_else(|| {
        // Families of names that only Virtuozzo has.
        FAMILIES.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, param)| param)
    })
}

const fn row(name: &'static str, kind: Kind, repeat: Repeat, fate: Fate) -> Param {
    Param { name, alias: "", kind, repeat, fate }
}

const fn same(into: &'static str, why: &'static str) -> Fate {
    Fate { outcome: Outcome::Converted, into, why }
}

const fn near(into: &'static str, why: &'static str) -> Fate {
    Fate { outcome: Outcome::Approximated, into, why }
}

const fn gone(why: &'static str) -> Fate {
    Fate { outcome: Outcome::Ignored, into: "", why }
}

const fn needed(why: &'static str) -> Fate {
    Fate { outcome: Outcome::Blocked, into: "", why }
}

const fn ubc(name: &'static str, unit: Unit, fate: Fate) -> Param {
    row(name, Kind::Pair(unit), Repeat::Last, fate)
}

const fn opaque(name: &'static str, why: &'static str) -> Param {
    row(name, Kind::Opaque, Repeat::Last, gone(why))
}

const NO_COUNTER: &str = "a beancounter of the OpenVZ kernel; Linux has no limit of this kind for a container";
const NO_SOCKET: &str = "a limit on socket buffers of the OpenVZ kernel; Linux accounts them to the memory limit";
const TOOLING: &str = "for OpenVZ's own tools; means nothing after the migration";
const MODULES: &str =
    "the container's rules need their kernel modules loaded on the target; LXC has no list of its own for them";
const IO_DEVICE: &str =
    "LXC wants the number of the volume's device, which changes; set io.max or blkio.throttle after the start";
const TRAFFIC: &str = "traffic shaping of Virtuozzo; LXC has no equivalent";
const VIRTUOZZO: &str = "for Virtuozzo's own tools; means nothing after the migration";
const ANY: u64 = super::number::UNLIMITED;
const INT: u64 = super::number::UNLIMITED_32;

use Kind::{
    Addresses, Capability, CpuLimit, CpuMask, DeviceNodes, Devices, Features, Flag, Int, IoLimit, Layout, Name, Netif,
    Number, Opaque, Pair, Path, Text, Words,
};
use Repeat::{First, Join, Last};

/// Every parameter that vzctl 4.11 knows, and the names of Virtuozzo that a migration must know.
#[rustfmt::skip]
pub(super) const PARAMS: &[Param] = &[
    // Memory and beancounters.
    ubc("PHYSPAGES", Unit::Pages, same("memory limit (lxc.cgroup2.memory.max, lxc.cgroup.memory.limit_in_bytes)", "the limit, times 4096")),
    ubc("SWAPPAGES", Unit::Pages, same("swap limit (lxc.cgroup2.memory.swap.max, lxc.cgroup.memory.memsw.limit_in_bytes)", "the limit, times 4096")),
    ubc("PRIVVMPAGES", Unit::Pages, gone("a limit on address space, which control groups do not have")),
    ubc("VMGUARPAGES", Unit::Pages, gone("a guarantee for address space; control groups guarantee resident memory only")),
    ubc("OOMGUARPAGES", Unit::Pages, gone("a guarantee against the OOM killer; memory.min would reserve far more")),
    ubc("LOCKEDPAGES", Unit::Pages, gone("a limit for the whole container; Linux has it per process only")),
    ubc("SHMPAGES", Unit::Pages, gone("kernel.shmall cannot be set where /proc/sys is read-only, and starting would fail")),
    ubc("KMEMSIZE", Unit::Bytes, gone("kernel memory counts into the memory limit; a limit of its own was removed from Linux")),
    Param { alias: "DCACHE", ..ubc("DCACHESIZE", Unit::Bytes, gone(NO_COUNTER)) },
    ubc("TCPSNDBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("TCPRCVBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("OTHERSOCKBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("DGRAMRCVBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("NUMPROC", Unit::Items, same("process limit (lxc.cgroup2.pids.max, lxc.cgroup.pids.max)", "both count threads")),
    ubc("NUMPTY", Unit::Items, gone("the pty limit of LXC is documented as not implemented")),
    ubc("NUMFILE", Unit::Items, gone(NO_COUNTER)),
    ubc("NUMFLOCK", Unit::Items, gone(NO_COUNTER)),
    ubc("NUMSIGINFO", Unit::Items, gone(NO_COUNTER)),
    ubc("NUMTCPSOCK", Unit::Items, gone(NO_COUNTER)),
    ubc("NUMOTHERSOCK", Unit::Items, gone(NO_COUNTER)),
    Param { alias: "IPTENTRIES", ..ubc("NUMIPTENT", Unit::Items, gone(NO_COUNTER)) },
    ubc("AVNUMPROC", Unit::Items, gone(NO_COUNTER)),
    row("VM_OVERCOMMIT", Opaque, First, gone("overcommit is a setting of the whole host under Linux")),
    row("MEMINFO", Opaque, Last, gone("what /proc/meminfo shows comes from lxcfs and the memory limit")),
    // CPU.
    row("CPUUNITS", Number(8, 500_000), First, near("CPU weight (lxc.cgroup2.cpu.weight, lxc.cgroup.cpu.shares)", "the scales differ; relations between containers stay")),
    row("CPUUWEIGHT", Number(0, ANY), First, gone("vzctl's misspelt weight; CPUUNITS decides")),
    row("CPULIMIT", CpuLimit, First, same("CPU quota (lxc.cgroup2.cpu.max, lxc.cgroup.cpu.cfs_quota_us)", "percent of one CPU")),
    row("CPUS", Number(0, ANY), First, near("CPU quota (lxc.cgroup2.cpu.max, lxc.cgroup.cpu.cfs_quota_us)", "LXC cannot offer fewer CPUs without pinning; a quota of as many CPUs is what vzctl sets")),
    row("CPUMASK", CpuMask, First, near("CPU set (lxc.cgroup2.cpuset.cpus, lxc.cgroup.cpuset.cpus)", "the numbers are those of the source's CPUs; check them against the target")),
    row("NODEMASK", CpuMask, First, gone("the numbers are those of the source's NUMA nodes; set lxc.cgroup2.cpuset.mems by hand if it matters")),
    // Disk and its speed.
    row("IOPRIO", Int(0, 7), Last, gone("most kernels have no file for I/O weights, and writing to a missing one stops the start")),
    row("IOLIMIT", IoLimit, Last, gone(IO_DEVICE)),
    row("IOPSLIMIT", Int(0, INT), Last, gone(IO_DEVICE)),
    row("DISKSPACE", Pair(Unit::Kib), First, same("size of the volume", "the hard limit, times 1024")),
    row("DISKINODES", Pair(Unit::Inodes), First, same("inodes of the volume", "the hard limit, as the least that mkfs makes")),
    row("QUOTATIME", Number(0, ANY), First, gone("grace time of vzquota; a volume has a size instead")),
    row("DISK_QUOTA", Flag, First, gone("switches vzquota; a volume has a size instead")),
    row("QUOTAUGIDLIMIT", Number(0, ANY), First, needed("quotas for users and groups in the container are kept by vzquota outside its tree")),
    row("VE_LAYOUT", Layout, Last, same("the way the tree is copied", "simfs from the private area, ploop from the mount point")),
    row("MOUNT_OPTS", Text, First, gone("options for mounting the ploop image; the volume has its own")),
    row("VE_ROOT", Path, First, same("where the tree is read from", "mount point on the source")),
    row("VE_PRIVATE", Path, First, same("where the tree is read from", "private area on the source")),
    row("TEMPLATE", Text, First, gone(TOOLING)),
    row("OSTEMPLATE", Text, First, gone("a hint only; what the container is is read from its files")),
    row("DEF_OSTEMPLATE", Text, First, gone(TOOLING)),
    row("ORIGIN_SAMPLE", Text, First, gone(TOOLING)),
    row("CONFIGFILE", Text, First, gone(TOOLING)),
    // Network.
    row("IP_ADDRESS", Addresses, Join, same("lxc.net.N, the guest's network files", "addresses of venet0 move to an interface on a bridge")),
    row("HOSTNAME", Text, First, same("lxc.uts.name, the guest's files", "the host name")),
    row("NAMESERVER", Words, Join, same("the guest's resolver files", "name servers")),
    row("SEARCHDOMAIN", Words, Join, same("the guest's resolver files", "search domains")),
    row("NETIF", Netif, First, same("lxc.net.N", "interfaces of type veth; their addresses are in the guest's own files")),
    row("NETDEV", Words, Join, needed("network devices of the source node are moved into the container; the target needs devices of its own (lxc.net.N.type = phys)")),
    row("IPV6", Flag, First, gone("means something in vz.conf only")),
    row("NETFILTER", Text, Last, gone(MODULES)),
    row("IPTABLES", Opaque, Join, gone(MODULES)),
    // Devices, capabilities, features.
    row("DEVICES", Devices, Join, same("lxc.cgroup2.devices.allow, lxc.cgroup.devices.allow", "access by device number")),
    row("DEVNODES", DeviceNodes, Join, near("lxc.cgroup2.devices.allow, lxc.mount.entry", "the numbers are those of the source's /dev")),
    row("PCI", Words, Join, needed("a PCI device of the source node is moved into the container")),
    row("CAPABILITY", Capability, Join, same("lxc.cap.drop", "what is off is dropped; what is on must not be")),
    row("FEATURES", Features, Join, near("devices, mounts and modules of the target", "each feature has an answer of its own under LXC")),
    // Life.
    row("ONBOOT", Flag, First, near("the cluster's resource", "lxc.start.auto stays 0: without a cluster, set it after the migration")),
    row("BOOTORDER", Number(0, ANY), First, gone("nothing starts by itself; lxc.start.order counts the other way round: low starts early")),
    row("STOP_TIMEOUT", Int(0, INT), First, same("stop timeout of the migration and of the cluster's resource", "seconds")),
    row("DISABLED", Flag, First, near("autostart stays off", "LXC cannot forbid a start")),
    row("NAME", Name, First, same("name of the target", "lxc-NAME")),
    row("DESCRIPTION", Text, First, gone("a remark for people; it stays in the source's configuration")),
    row("LOCAL_UID", Number(0, ANY), First, gone("the user name space of vzctl on a kernel without OpenVZ")),
    row("LOCAL_GID", Number(0, ANY), First, gone("the user name space of vzctl on a kernel without OpenVZ")),
    row("VEID", Opaque, Last, gone("the CTID, which the file's name says")),
    row("LOCKDIR", Text, First, gone(TOOLING)),
    row("DUMPDIR", Text, First, gone(TOOLING)),
    // Names that vzctl 4.11 knows and ignores (config.c:163-176).
    opaque("VIRTUOZZO", TOOLING),
    opaque("VE0CPUUNITS", TOOLING),
    opaque("VZFASTBOOT", TOOLING),
    opaque("NEIGHBOUR_DEVS", TOOLING),
    opaque("ERROR_ON_ARPFAIL", TOOLING),
    opaque("VZWDOG", TOOLING),
    opaque("IPTABLES_MODULES", MODULES),
    opaque("IP6TABLES", MODULES),
    opaque("CONFIG_CUSTOMIZED", TOOLING),
    opaque("VE_STOP_MODE", TOOLING),
    opaque("SKIP_SYSCTL_SETUP", TOOLING),
    opaque("SKIP_ARPDETECT", TOOLING),
    opaque("VE_PARALLEL", TOOLING),
    // Virtuozzo only.
    row("DISK", Opaque, Join, needed("disks of Virtuozzo beside the root disk; their data is not in the container's tree")),
    row("BINDMOUNT", Opaque, Join, needed("directories of the source node are mounted into the container; their data is not in its tree")),
    opaque("UUID", VIRTUOZZO),
    opaque("TECHNOLOGIES", VIRTUOZZO),
    opaque("RATE", TRAFFIC),
    opaque("TOTALRATE", TRAFFIC),
    opaque("RATEBOUND", TRAFFIC),
    opaque("RATEMPU", TRAFFIC),
    opaque("TRAFFIC_SHAPING", TRAFFIC),
    opaque("AUTOSTOP", VIRTUOZZO),
    opaque("PAGECACHE_ISOLATION", VIRTUOZZO),
    opaque("NUMNETIF", VIRTUOZZO),
    opaque("VE_TYPE", VIRTUOZZO),
    opaque("DISTRIBUTION", VIRTUOZZO),
    opaque("CPULIMIT_MHZ", "a limit in MHz; set CPULIMIT on the source, or a quota on the target"),
    opaque("CPUWEIGHT", "unknown to vzctl 4 and superseded by CPUUNITS"),
];

/// Names of Virtuozzo by their beginning.
const FAMILIES: &[(&str, Param)] = &[
    ("MEMGUARANTEE", opaque("MEMGUARANTEE*", "a guarantee of Virtuozzo; nothing is reserved on the target")),
    ("SLM", opaque("SLM*", "service level management of Virtuozzo 4; no longer in force on later kernels")),
    ("HA_", opaque("HA_*", "high availability of Virtuozzo storage; on the target the cluster does that")),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique_and_every_fate_says_why() {
        let mut seen = HashSet::new();
        for param in PARAMS {
            assert!(seen.insert(param.name), "{} stands twice", param.name);
            assert!(param.alias.is_empty() || seen.insert(param.alias), "{} stands twice", param.alias);
            assert!(!param.fate.why.is_empty(), "{} does not say why", param.name);
            let nowhere = matches!(param.fate.outcome, Outcome::Ignored | Outcome::Blocked);
            assert_eq!(param.fate.into.is_empty(), nowhere, "{}", param.name);
        }
    }

    #[test]
    fn a_second_line_does_what_vzctl_does() {
        // Field measurements: what a second line of each parameter does.
        let first = "HOSTNAME DESCRIPTION VE_ROOT VE_PRIVATE OSTEMPLATE ORIGIN_SAMPLE NAME MOUNT_OPTS ONBOOT DISABLED \
                     DISK_QUOTA IPV6 CPUUNITS CPUS BOOTORDER QUOTATIME QUOTAUGIDLIMIT CPULIMIT DISKSPACE DISKINODES \
                     CPUMASK NODEMASK VM_OVERCOMMIT STOP_TIMEOUT NETIF";
        let last = "PHYSPAGES SWAPPAGES PRIVVMPAGES VMGUARPAGES OOMGUARPAGES LOCKEDPAGES SHMPAGES KMEMSIZE DCACHESIZE \
                    DCACHE TCPSNDBUF TCPRCVBUF OTHERSOCKBUF DGRAMRCVBUF NUMPROC NUMPTY NUMFILE NUMFLOCK NUMSIGINFO \
                    NUMTCPSOCK NUMOTHERSOCK NUMIPTENT IPTENTRIES AVNUMPROC IOPRIO IOLIMIT IOPSLIMIT VE_LAYOUT \
                    NETFILTER MEMINFO VEID";
        let join = "IP_ADDRESS NAMESERVER SEARCHDOMAIN NETDEV DEVICES DEVNODES PCI FEATURES CAPABILITY IPTABLES";
        for (names, rule) in [(first, Repeat::First), (last, Repeat::Last), (join, Repeat::Join)] {
            for name in names.split_whitespace() {
                assert_eq!(find(name.as_bytes()).map(|p| p.repeat), Some(rule), "{name}");
            }
        }
    }

    #[test]
    fn names_are_case_sensitive_and_families_are_found() {
        assert!(find(b"hostname").is_none() && find(b"HOSTNAME ").is_none() && find(b"").is_none());
        assert_eq!(find(b"SLMMEMORYLIMIT").map(|p| p.name), Some("SLM*"));
    }
}
