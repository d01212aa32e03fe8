//! Which key exists in which version of LXC.
//!
//! Extracted from the tables in `confile.c` of each stable branch, and compared with what 2.0.0, 3.0.0, 4.0.6, 5.0.2 and
//! 6.0.4 take; a key that came late in a series counts from the next. Before 3.0 LXC compares only as many characters as
//! its own name has, and takes more than is listed here. Since 3.0 a key that LXC does not know makes it refuse
//! the whole file, so a wrong name costs the start.

use crate::model::target::LxcVersion;

/// A series of LXC, as (major, minor).
type Series = (u32, u32);

/// No version has dropped the key yet.
const END: Series = (u32::MAX, 0);

/// Names that changed with 2.1.
pub(super) struct Names {
    pub(super) uts: &'static str,
    pub(super) rootfs: &'static str,
    pub(super) tty: &'static str,
    pub(super) pts: &'static str,
    pub(super) tty_dir: &'static str,
    pub(super) halt: &'static str,
    pub(super) idmap: &'static str,
}

const OLD: Names = Names {
    uts: "lxc.utsname",
    rootfs: "lxc.rootfs",
    tty: "lxc.tty",
    pts: "lxc.pts",
    tty_dir: "lxc.devttydir",
    halt: "lxc.haltsignal",
    idmap: "lxc.id_map",
};

const NEW: Names = Names {
    uts: "lxc.uts.name",
    rootfs: "lxc.rootfs.path",
    tty: "lxc.tty.max",
    pts: "lxc.pty.max",
    tty_dir: "lxc.tty.dir",
    halt: "lxc.signal.halt",
    idmap: "lxc.idmap",
};

/// Returns the names that this version takes; 2.1 takes both and is given the new ones.
pub(super) fn names(version: LxcVersion) -> &'static Names {
    if (version.major, version.minor) >= (2, 1) { &NEW } else { &OLD }
}

/// Tells whether this version of LXC knows the key, index and free parts (`lxc.net.0.link`, `lxc.cgroup.pids.max`) included.
pub fn is_known(key: &str, version: LxcVersion) -> bool {
    let within = |(from, to): (Series, Series)| {
        let series = (version.major, version.minor);
        from <= series && series < to
    };
    if let Some(rest) = key.strip_prefix("lxc.net.") {
        let Some((index, sub)) = rest.split_once('.') else { return false };
        let numeric = !index.is_empty() && index.bytes().all(|b| b.is_ascii_digit());
        return numeric && NET_KEYS.iter().any(|(name, from)| *name == sub && within((*from, END)));
    }
    let family = FAMILIES.iter().any(|(prefix, from, to)| {
        key.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()) && within((*from, *to))
    });
    family || KEYS.iter().any(|(name, from, to)| *name == key && within((*from, *to)))
}

/// Families with a free last part.
const FAMILIES: &[(&str, Series, Series)] = &[
    ("lxc.cgroup.", (1, 0), END),
    ("lxc.cgroup2.", (3, 0), END),
    ("lxc.prlimit.", (2, 1), END),
    ("lxc.proc.", (3, 0), END),
    ("lxc.sysctl.", (3, 0), END),
];

/// What follows `lxc.net.N.`, with the first version.
const NET_KEYS: &[(&str, Series)] = &[
    ("flags", (2, 1)),
    ("hwaddr", (2, 1)),
    ("ipv4.address", (2, 1)),
    ("ipv4.gateway", (2, 1)),
    ("ipv6.address", (2, 1)),
    ("ipv6.gateway", (2, 1)),
    ("ipvlan.isolation", (4, 0)),
    ("ipvlan.mode", (4, 0)),
    ("l2proxy", (4, 0)),
    ("link", (2, 1)),
    ("macvlan.mode", (2, 1)),
    ("mtu", (2, 1)),
    ("name", (2, 1)),
    ("script.down", (2, 1)),
    ("script.up", (2, 1)),
    ("type", (2, 1)),
    ("veth.ipv4.route", (4, 0)),
    ("veth.ipv6.route", (4, 0)),
    ("veth.mode", (4, 0)),
    ("veth.n_rxqueues", (5, 0)),
    ("veth.n_txqueues", (5, 0)),
    ("veth.pair", (2, 1)),
    ("veth.vlan.id", (5, 0)),
    ("veth.vlan.tagged.id", (5, 0)),
    ("vlan.id", (2, 1)),
];

/// Whole keys: name, first version, first version without it.
const KEYS: &[(&str, Series, Series)] = &[
    ("lxc.aa_allow_incomplete", (1, 1), (3, 0)),
    ("lxc.aa_profile", (1, 0), (3, 0)),
    ("lxc.apparmor.allow_incomplete", (2, 1), END),
    ("lxc.apparmor.allow_nesting", (4, 0), END),
    ("lxc.apparmor.profile", (2, 1), END),
    ("lxc.apparmor.raw", (4, 0), END),
    ("lxc.arch", (1, 0), END),
    ("lxc.autodev", (1, 0), END),
    ("lxc.autodev.tmpfs.size", (4, 0), END),
    ("lxc.cap.drop", (1, 0), END),
    ("lxc.cap.keep", (1, 0), END),
    ("lxc.cgroup", (1, 0), END),
    ("lxc.cgroup.dir", (2, 1), END),
    ("lxc.cgroup.dir.container", (5, 0), END),
    ("lxc.cgroup.dir.container.inner", (5, 0), END),
    ("lxc.cgroup.dir.monitor", (5, 0), END),
    ("lxc.cgroup.dir.monitor.pivot", (5, 0), END),
    ("lxc.cgroup.relative", (4, 0), END),
    ("lxc.cgroup2", (3, 0), END),
    ("lxc.console", (1, 0), (3, 0)),
    ("lxc.console.buffer.size", (3, 0), END),
    ("lxc.console.logfile", (1, 0), END),
    ("lxc.console.path", (2, 1), END),
    ("lxc.console.rotate", (3, 0), END),
    ("lxc.console.size", (3, 0), END),
    ("lxc.devttydir", (1, 0), (3, 0)),
    ("lxc.environment", (1, 1), END),
    ("lxc.ephemeral", (2, 0), END),
    ("lxc.execute.cmd", (3, 0), END),
    ("lxc.group", (1, 0), END),
    ("lxc.haltsignal", (1, 0), (3, 0)),
    ("lxc.hook", (1, 1), END),
    ("lxc.hook.autodev", (1, 0), END),
    ("lxc.hook.clone", (1, 0), END),
    ("lxc.hook.destroy", (2, 0), END),
    ("lxc.hook.mount", (1, 0), END),
    ("lxc.hook.post-stop", (1, 0), END),
    ("lxc.hook.pre-mount", (1, 0), END),
    ("lxc.hook.pre-start", (1, 0), END),
    ("lxc.hook.start", (1, 0), END),
    ("lxc.hook.start-host", (3, 0), END),
    ("lxc.hook.stop", (2, 0), END),
    ("lxc.hook.version", (3, 0), END),
    ("lxc.id_map", (1, 0), (3, 0)),
    ("lxc.idmap", (2, 1), END),
    ("lxc.include", (1, 0), END),
    ("lxc.init.cmd", (2, 1), END),
    ("lxc.init.cwd", (3, 0), END),
    ("lxc.init.gid", (2, 1), END),
    ("lxc.init.groups", (5, 0), END),
    ("lxc.init.uid", (2, 1), END),
    ("lxc.init_cmd", (1, 1), (3, 0)),
    ("lxc.init_gid", (2, 0), (3, 0)),
    ("lxc.init_uid", (2, 0), (3, 0)),
    ("lxc.keyring.session", (4, 0), END),
    ("lxc.kmsg", (1, 0), (3, 0)),
    ("lxc.limit", (2, 1), (3, 0)),
    ("lxc.log.file", (2, 1), END),
    ("lxc.log.level", (2, 1), END),
    ("lxc.log.syslog", (2, 1), END),
    ("lxc.logfile", (1, 0), (3, 0)),
    ("lxc.loglevel", (1, 0), (3, 0)),
    ("lxc.monitor.signal.pdeath", (4, 0), END),
    ("lxc.monitor.unshare", (2, 0), END),
    ("lxc.mount", (1, 0), (3, 0)),
    ("lxc.mount.auto", (1, 0), END),
    ("lxc.mount.entry", (1, 0), END),
    ("lxc.mount.fstab", (2, 1), END),
    ("lxc.namespace.clone", (3, 0), END),
    ("lxc.namespace.keep", (3, 0), END),
    ("lxc.namespace.share", (3, 0), (4, 0)),
    ("lxc.net", (2, 1), END),
    ("lxc.network", (1, 1), (3, 0)),
    ("lxc.network.flags", (1, 0), (3, 0)),
    ("lxc.network.hwaddr", (1, 0), (3, 0)),
    ("lxc.network.ipv4", (1, 0), (3, 0)),
    ("lxc.network.ipv4.gateway", (1, 0), (3, 0)),
    ("lxc.network.ipv6", (1, 0), (3, 0)),
    ("lxc.network.ipv6.gateway", (1, 0), (3, 0)),
    ("lxc.network.link", (1, 0), (3, 0)),
    ("lxc.network.macvlan.mode", (1, 0), (3, 0)),
    ("lxc.network.mtu", (1, 0), (3, 0)),
    ("lxc.network.name", (1, 0), (3, 0)),
    ("lxc.network.script.down", (1, 0), (3, 0)),
    ("lxc.network.script.up", (1, 0), (3, 0)),
    ("lxc.network.type", (1, 0), (3, 0)),
    ("lxc.network.veth.pair", (1, 0), (3, 0)),
    ("lxc.network.vlan.id", (1, 0), (3, 0)),
    ("lxc.no_new_privs", (2, 1), END),
    ("lxc.pivotdir", (1, 0), (3, 0)),
    ("lxc.prlimit", (2, 1), END),
    ("lxc.proc", (3, 0), END),
    ("lxc.pts", (1, 0), (3, 0)),
    ("lxc.pty.max", (2, 1), END),
    ("lxc.rebootsignal", (2, 0), (3, 0)),
    ("lxc.rootfs", (1, 0), (3, 0)),
    ("lxc.rootfs.backend", (2, 0), (3, 0)),
    ("lxc.rootfs.managed", (4, 0), END),
    ("lxc.rootfs.mount", (1, 0), END),
    ("lxc.rootfs.options", (1, 0), END),
    ("lxc.rootfs.path", (2, 1), END),
    ("lxc.sched.core", (5, 0), END),
    ("lxc.se_context", (1, 0), (3, 0)),
    ("lxc.seccomp", (1, 0), (3, 0)),
    ("lxc.seccomp.allow_nesting", (4, 0), END),
    ("lxc.seccomp.notify.cookie", (4, 0), END),
    ("lxc.seccomp.notify.proxy", (4, 0), END),
    ("lxc.seccomp.profile", (2, 1), END),
    ("lxc.selinux.context", (2, 1), END),
    ("lxc.selinux.context.keyring", (4, 0), END),
    ("lxc.signal.halt", (2, 1), END),
    ("lxc.signal.reboot", (2, 1), END),
    ("lxc.signal.stop", (2, 1), END),
    ("lxc.start.auto", (1, 0), END),
    ("lxc.start.delay", (1, 0), END),
    ("lxc.start.order", (1, 0), END),
    ("lxc.stopsignal", (1, 0), (3, 0)),
    ("lxc.sysctl", (3, 0), END),
    ("lxc.syslog", (2, 1), (3, 0)),
    ("lxc.time.offset.boot", (5, 0), END),
    ("lxc.time.offset.monotonic", (5, 0), END),
    ("lxc.tty", (1, 0), (3, 0)),
    ("lxc.tty.dir", (2, 1), END),
    ("lxc.tty.max", (2, 1), END),
    ("lxc.uts.name", (2, 1), END),
    ("lxc.utsname", (1, 0), (3, 0)),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn known(key: &str, version: &str) -> bool {
        is_known(key, LxcVersion::parse(version).unwrap())
    }

    #[test]
    fn renames_and_additions_by_version() {
        for (key, yes, no) in [
            ("lxc.utsname", "2.1", "3.0"),
            ("lxc.uts.name", "2.1", "2.0"),
            ("lxc.network.link", "1.0", "3.0"),
            ("lxc.net.0.link", "5.0", "2.0"),
            ("lxc.net.1.veth.mode", "4.0", "3.0"),
            ("lxc.cgroup2.memory.max", "3.0", "2.1"),
            ("lxc.apparmor.raw", "4.0", "3.0"),
            ("lxc.init_cmd", "1.1", "1.0"),
            ("lxc.init.cmd", "2.1", "2.0"),
            ("lxc.init.groups", "5.0", "4.0"),
            ("lxc.hook.start-host", "3.0", "2.1"),
        ] {
            assert!(known(key, yes), "{key} in {yes}");
            assert!(!known(key, no), "{key} in {no}");
        }
    }

    #[test]
    fn a_family_needs_its_free_part_and_a_number_is_a_number() {
        for key in ["lxc.cgroup2.", "lxc.net.x.link", "lxc.net..link", "lxc.net.0.nosuch", "lxc.bogus", ""] {
            assert!(!known(key, "5.0"), "{key}");
        }
    }
}
