//! The table of parameters: what each is, what a second line with its name does, and what becomes of it under LXC.
//!
//! Kinds and rules for a second line follow vzctl 4.11 (src/lib/config.c:57-176, 234-2560); Virtuozzo's own names follow
//! libvzctl 8.0 (lib/env_config.c:60-190). A fate is what holds when nothing about the value says otherwise; `answer`
//! decides the rest.

use super::number::Unit;
use crate::model::ve::Outcome;
use std::collections::HashMap;
use std::sync::LazyLock;

/// How a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Free text.
    Text,
    /// A directory, `$VEID` in it replaced once.
    Path,
    /// NAME.
    Name,
    /// HOSTNAME.
    HostName,
    /// `yes` or `no`.
    Flag,
    /// ONBOOT.
    OnBoot,
    /// An unsigned long within bounds.
    Number(u64, u64),
    /// An int within bounds.
    Int(u64, u64),
    /// `BARRIER:LIMIT`.
    Pair(Unit),
    /// A fraction.
    Float,
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
    /// NAMESERVER.
    NameServers,
    /// SEARCHDOMAIN.
    Domains,
    /// NETIF.
    Netif,
    /// NETDEV.
    NetDevices,
    /// NETFILTER.
    Netfilter,
    /// PCI.
    PciDevices,
    /// DISK.
    Disks,
    /// MEMINFO.
    Meminfo,
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
    BY_NAME.get(name).copied().or_else(|| {
        // Families of names that only Virtuozzo has.
        let plain = |rest: &str| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        FAMILIES.iter().find(|(prefix, _)| name.strip_prefix(prefix).is_some_and(plain)).map(|(_, param)| param)
    })
}

/// Every row by its names: a file may hold very many lines.
static BY_NAME: LazyLock<HashMap<&str, &Param>> = LazyLock::new(|| {
    let names = PARAMS.iter().flat_map(|p| [(p.name, p), (p.alias, p)]);
    names.filter(|(name, _)| !name.is_empty()).collect()
});

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
    "rules of a firewall in the container need these modules loaded on the target, which a container cannot do itself";
const HOST_MODULES: &str = "modules of the target (/etc/modules-load.d)";
const IO_DEVICE: &str = "LXC wants the number of the volume's device, which changes, so that a hook sets it at each start \
                         (LXC 3.0 and later)";
const TRAFFIC: &str =
    "traffic shaping of Virtuozzo; LXC has no equivalent: tc on the host's end of the interface can do it";
const VIRTUOZZO: &str = "for Virtuozzo's own tools; means nothing after the migration";
const USER_SPACE: &str =
    "the user name space of vzctl on a kernel without OpenVZ; --unprivileged gives the container one here";
const MEMORY: &str = "memory limit (lxc.cgroup2.memory.max, lxc.cgroup.memory.limit_in_bytes)";
const ANY: u64 = super::number::UNLIMITED;
const INT: u64 = super::number::UNLIMITED_32;

use Kind::{
    Addresses, Capability, CpuLimit, CpuMask, DeviceNodes, Devices, Disks, Domains, Features, Flag, Float, HostName,
    Int, IoLimit, Layout, Meminfo, Name, NameServers, NetDevices, Netfilter, Netif, Number, OnBoot, Opaque, Pair, Path,
    PciDevices, Text, Words,
};
use Repeat::{First, Join, Last};

/// Every parameter that vzctl 4.11 knows, and the names of Virtuozzo that a migration must know.
#[rustfmt::skip]
pub(super) const PARAMS: &[Param] = &[
    // Memory and beancounters.
    ubc("PHYSPAGES", Unit::Pages, same(MEMORY, "the limit, times 4096")),
    ubc("SWAPPAGES", Unit::Pages, same("swap limit (lxc.cgroup2.memory.swap.max, lxc.cgroup.memory.memsw.limit_in_bytes)", "the limit, times 4096")),
    ubc("PRIVVMPAGES", Unit::Pages, gone("a limit on address space, which control groups do not have; --approximate PRIVVMPAGES makes a memory limit of it where PHYSPAGES gives none")),
    ubc("VMGUARPAGES", Unit::Pages, gone("a guarantee for address space; control groups protect resident memory only; --approximate VMGUARPAGES makes such a protection of it")),
    ubc("OOMGUARPAGES", Unit::Pages, gone("a guarantee against the OOM killer; memory.min would reserve far more")),
    ubc("LOCKEDPAGES", Unit::Pages, gone("a limit for the whole container; Linux has it per process only; --approximate LOCKEDPAGES sets it for each process")),
    ubc("SHMPAGES", Unit::Pages, gone("kernel.shmall of the container stays at its default; --approximate SHMPAGES sets it from a hook at each start")),
    ubc("KMEMSIZE", Unit::Bytes, gone("kernel memory counts into the memory limit; a limit of its own was removed from Linux")),
    Param { alias: "DCACHE", ..ubc("DCACHESIZE", Unit::Bytes, gone(NO_COUNTER)) },
    ubc("TCPSNDBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("TCPRCVBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("OTHERSOCKBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("DGRAMRCVBUF", Unit::Bytes, gone(NO_SOCKET)),
    ubc("NUMPROC", Unit::Items, same("process limit (lxc.cgroup2.pids.max, lxc.cgroup.pids.max)", "both count threads")),
    ubc("NUMPTY", Unit::Items, near("pseudo terminals (lxc.pty.max)", "the limit; LXC adds its consoles to the number")),
    ubc("NUMFILE", Unit::Items, gone("a limit on open files of the whole container; Linux has it per process only; --approximate NUMFILE sets it for each process")),
    ubc("NUMFLOCK", Unit::Items, gone(NO_COUNTER)),
    ubc("NUMSIGINFO", Unit::Items, gone(NO_COUNTER)),
    ubc("NUMTCPSOCK", Unit::Items, gone(NO_COUNTER)),
    ubc("NUMOTHERSOCK", Unit::Items, gone(NO_COUNTER)),
    Param { alias: "IPTENTRIES", ..ubc("NUMIPTENT", Unit::Items, gone(NO_COUNTER)) },
    ubc("AVNUMPROC", Unit::Items, gone(NO_COUNTER)),
    row("VM_OVERCOMMIT", Float, First, gone("overcommit is a setting of the whole host under Linux (vm.overcommit_memory)")),
    row("MEMINFO", Meminfo, Last, gone("what /proc/meminfo shows comes from lxcfs and the memory limit")),
    // CPU.
    row("CPUUNITS", Number(8, 500_000), First, near("CPU weight (lxc.cgroup2.cpu.weight, lxc.cgroup.cpu.shares)", "the scales differ; relations between containers stay")),
    row("CPUUWEIGHT", Number(0, ANY), First, near("CPU weight (lxc.cgroup2.cpu.weight, lxc.cgroup.cpu.shares)", "vzctl's misspelt weight: shares of version 1, where CPUUNITS says nothing")),
    row("CPULIMIT", CpuLimit, First, same("CPU quota (lxc.cgroup2.cpu.max, lxc.cgroup.cpu.cfs_quota_us)", "percent of one CPU")),
    row("CPUS", Number(0, ANY), First, near("CPU quota (lxc.cgroup2.cpu.max, lxc.cgroup.cpu.cfs_quota_us)", "LXC cannot offer fewer CPUs without pinning; a quota of as many CPUs is what vzctl sets")),
    row("CPUMASK", CpuMask, First, near("CPU set (lxc.cgroup2.cpuset.cpus, lxc.cgroup.cpuset.cpus)", "the numbers are those of the source's CPUs; left out where the target has fewer")),
    row("NODEMASK", CpuMask, First, near("NUMA nodes (lxc.cgroup2.cpuset.mems, lxc.cgroup.cpuset.mems)", "the numbers are those of the source's nodes; left out where the target has fewer")),
    // Disk and its speed.
    row("IOPRIO", Int(0, 7), Last, near("start hook: io.weight / blkio.weight", "the kernel has a file for it only with some I/O schedulers, so that a hook sets it at each start (LXC 3.0 and later)")),
    row("IOLIMIT", IoLimit, Last, near("start hook: io.max / blkio.throttle", IO_DEVICE)),
    row("IOPSLIMIT", Int(0, INT), Last, near("start hook: io.max / blkio.throttle", IO_DEVICE)),
    row("DISKSPACE", Pair(Unit::Kib), First, same("size of the volume", "the hard limit, times 1024")),
    row("DISKINODES", Pair(Unit::Inodes), First, same("inodes of the volume", "the hard limit, as the least that mkfs makes")),
    row("QUOTATIME", Number(0, ANY), First, gone("grace time of vzquota; a volume has a size instead")),
    row("DISK_QUOTA", Flag, First, gone("switches vzquota; a volume has a size instead")),
    row("QUOTAUGIDLIMIT", Number(0, ANY), First, needed("quotas of users and groups in the container are kept by vzquota outside its tree, and the copy does not have them")),
    row("VE_LAYOUT", Layout, Last, same("the way the tree is copied", "simfs from the private area, ploop from the mount point")),
    row("MOUNT_OPTS", Text, First, gone("options for mounting the ploop image; the volume is mounted with its own (lxc.rootfs.options)")),
    row("VE_ROOT", Path, First, same("where the tree is read from", "mount point on the source")),
    row("VE_PRIVATE", Path, First, same("where the tree is read from", "private area on the source")),
    row("TEMPLATE", Text, First, gone(TOOLING)),
    row("OSTEMPLATE", Text, First, gone("a hint only; what the container is is read from its files")),
    row("DEF_OSTEMPLATE", Text, First, gone(TOOLING)),
    row("ORIGIN_SAMPLE", Text, First, gone(TOOLING)),
    row("CONFIGFILE", Text, First, gone(TOOLING)),
    // Network.
    row("IP_ADDRESS", Addresses, Join, same("lxc.net.N, the guest's network files", "addresses of venet0 move to an interface of type veth, on a bridge or routed")),
    row("HOSTNAME", HostName, First, same("lxc.uts.name, the guest's files", "the host name")),
    row("NAMESERVER", NameServers, Join, same("the guest's resolver files", "name servers")),
    row("SEARCHDOMAIN", Domains, Join, same("the guest's resolver files", "search domains")),
    row("NETIF", Netif, First, same("lxc.net.N", "interfaces of type veth; their addresses are in the guest's own files")),
    row("NETDEV", NetDevices, Join, needed("network devices of the source node are moved into the container; the target needs devices of its own; --approximate NETDEV moves those of the same names (lxc.net.N.type = phys)")),
    row("IPV6", Flag, First, gone("means something in vz.conf only")),
    row("NETFILTER", Netfilter, Last, near(HOST_MODULES, MODULES)),
    row("IPTABLES", Words, Join, near(HOST_MODULES, MODULES)),
    // Devices, capabilities, features.
    row("DEVICES", Devices, Join, same("lxc.cgroup2.devices.allow, lxc.cgroup.devices.allow", "access by device number")),
    row("DEVNODES", DeviceNodes, Join, near("lxc.cgroup2.devices.allow, lxc.mount.entry", "the numbers are those of the source's /dev")),
    row("PCI", PciDevices, Join, needed("a PCI device of the source node is moved into the container")),
    row("CAPABILITY", Capability, Join, same("lxc.cap.drop", "what is off is dropped; what is on must not be")),
    row("FEATURES", Features, Join, near("devices, mounts and modules of the target", "each feature has an answer of its own under LXC")),
    // Life.
    row("ONBOOT", OnBoot, First, near("lxc.start.auto, or the cluster's resource", "in a migration lxc.start.auto stays 0 until the container is handed over, and in a cluster for good: there the cluster starts it")),
    row("BOOTORDER", Number(0, ANY), First, near("lxc.start.order", "turned round: OpenVZ starts high numbers first, LXC low ones")),
    row("STOP_TIMEOUT", Int(0, INT), First, same("stop timeout of the migration and of the cluster's resource", "the migration's and the cluster's stop timeout; an LXC configuration has no key for it")),
    row("DISABLED", Flag, First, near("lxc.start.auto = 0, or the cluster's resource", "LXC cannot forbid a start; nothing starts it by itself")),
    row("NAME", Name, First, same("name of the target", "lxc-NAME")),
    row("DESCRIPTION", Text, First, same("comment in the configuration", "a remark for people")),
    row("LOCAL_UID", Number(0, ANY), First, gone(USER_SPACE)),
    row("LOCAL_GID", Number(0, ANY), First, gone(USER_SPACE)),
    row("VEID", Opaque, Last, gone("the CTID, which the file's name says as well")),
    row("LOCKDIR", Text, First, gone(TOOLING)),
    row("DUMPDIR", Text, First, gone(TOOLING)),
    // Names that vzctl 4.11 knows and ignores (config.c:163-176).
    opaque("VIRTUOZZO", TOOLING),
    opaque("VE0CPUUNITS", TOOLING),
    opaque("VZFASTBOOT", TOOLING),
    opaque("NEIGHBOUR_DEVS", TOOLING),
    opaque("ERROR_ON_ARPFAIL", TOOLING),
    opaque("VZWDOG", TOOLING),
    row("IPTABLES_MODULES", Words, Join, near(HOST_MODULES, MODULES)),
    row("IP6TABLES", Words, Join, near(HOST_MODULES, MODULES)),
    opaque("CONFIG_CUSTOMIZED", TOOLING),
    opaque("VE_STOP_MODE", TOOLING),
    opaque("SKIP_SYSCTL_SETUP", TOOLING),
    opaque("SKIP_ARPDETECT", TOOLING),
    opaque("VE_PARALLEL", TOOLING),
    // Virtuozzo only.
    row("DISK", Disks, Join, needed("disks of Virtuozzo beside the root disk; their data is not in the container's tree")),
    row("BINDMOUNT", Words, Join, needed("directories of the source node are mounted into the container; their data is not in its tree")),
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
    opaque("CPULIMIT_MHZ", "a limit in MHz, which depends on the source's CPUs; set lxc.cgroup2.cpu.max (or cpu.cfs_quota_us) on the target, or CPULIMIT on the source before the move"),
    opaque("CPUWEIGHT", "unknown to vzctl 4 and superseded by CPUUNITS"),
];

/// What the opt-in approximations make of a parameter: its name, where it goes, why that is not the same.
pub(super) const APPROXIMATE: &[(&str, &str, &str)] = &[
    ("PRIVVMPAGES", MEMORY, "the limit, times 4096; it counted address space, of which programs use a part only"),
    (
        "VMGUARPAGES",
        "memory protection (lxc.cgroup2.memory.low)",
        "the barrier, times 4096; control groups version 2 only",
    ),
    (
        "LOCKEDPAGES",
        "locked memory (lxc.prlimit.memlock)",
        "the limit, times 4096, for each process instead of all together",
    ),
    ("SHMPAGES", "start hook: kernel.shmall", "the limit in pages, for shared memory of System V"),
    ("NUMFILE", "open files (lxc.prlimit.nofile)", "the limit, for each process instead of all together"),
    (
        "NETDEV",
        "lxc.net.N.type = phys",
        "devices of the target with these names; while the container runs the host does not have them",
    ),
];

impl Param {
    /// Tells whether a value in vz.conf acts on a container that does not set it itself. An existing container has its own
    /// layout, and NETFILTER there is dropped (vzctl.c:346, 137).
    pub(super) fn is_inherited(&self) -> bool {
        let other = ["VE_LAYOUT", "NETFILTER", "IPV6", "OSTEMPLATE", "VEID"];
        !other.contains(&self.name) && self.fate.why != TOOLING && self.fate.why != VIRTUOZZO
    }
}

/// Names of Virtuozzo by their beginning.
pub(super) const FAMILIES: &[(&str, Param)] = &[
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
    fn the_approximations_are_those_of_the_contract() {
        let names: Vec<&str> = APPROXIMATE.iter().map(|(name, ..)| *name).collect();
        assert_eq!(names, crate::model::limits::APPROXIMATIONS);
        for name in names {
            let why = find(name.as_bytes()).unwrap().fate.why;
            assert!(why.rsplit("; ").next().unwrap().starts_with(&format!("--approximate {name} ")), "{name}: {why}");
        }
    }

    #[test]
    fn names_are_case_sensitive_and_families_are_found() {
        assert!(find(b"hostname").is_none() && find(b"HOSTNAME ").is_none() && find(b"").is_none());
        assert_eq!(find(b"SLMMEMORYLIMIT").map(|p| p.name), Some("SLM*"));
        assert!(find(b"SLM\x0bNETIF").is_none() && find(b"HA_ENABLE ").is_none());
    }
}
