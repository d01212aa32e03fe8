//! What is inside against what the target's kernel offers.

use super::{Check, note, when};
use crate::model::container::Access;
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};
use crate::model::guest::{Guest, Init};
use crate::model::target::CgroupMode;

pub(super) const RULES: &[Check] = &[
    Check { id: "guest-not-examined", severity: Severity::Skipped, find: not_examined },
    Check { id: "guest-architecture", severity: Severity::Blocker, find: architecture },
    Check { id: "guest-vsyscall", severity: Severity::Blocker, find: vsyscall },
    Check { id: "guest-systemd-cgroup", severity: Severity::Blocker, find: systemd_cgroup },
    Check { id: "guest-systemd-unknown", severity: Severity::Skipped, find: systemd_unknown },
    Check { id: "guest-init-unknown", severity: Severity::Overridable, find: init_unknown },
    Check { id: "guest-32bit", severity: Severity::Info, find: bits },
];

/// The first systemd that runs on a host with nothing but the unified hierarchy.
const SYSTEMD_UNIFIED: u32 = 232;

fn is_x86_32(arch: &str) -> bool {
    matches!(arch, "i386" | "i486" | "i586" | "i686" | "x86")
}

fn not_examined(facts: &Facts) -> Vec<Finding> {
    when(facts.guest == Guest::unknown(), || {
        note("the container's tree was not recognised or could not be looked at")
            .detail("libc, init and architecture were not checked against the target")
            .subject(facts.container.tree.display().to_string())
    })
}

fn architecture(facts: &Facts) -> Vec<Finding> {
    let (guest, host) = (facts.guest.arch.as_str(), facts.target.arch.as_str());
    let runs = guest.is_empty()
        || host.is_empty()
        || guest == host
        || (is_x86_32(guest) && (host == "x86_64" || is_x86_32(host)))
        || (guest.starts_with("arm") && host == "aarch64");
    when(!runs, || {
        note(format!("the container's programs are for {guest}, the target is {host}"))
            .remedy("choose a target of the same architecture")
            .subject(guest)
    })
}

fn bits(facts: &Facts) -> Vec<Finding> {
    when(is_x86_32(&facts.guest.arch) && facts.target.arch == "x86_64", || {
        note("the container's programs are 32-bit").detail("lxc.arch will say so").subject(&facts.guest.arch)
    })
}

fn vsyscall(facts: &Facts) -> Vec<Finding> {
    // 32-bit programs never used that page.
    let concerned = facts.target.vsyscall_none && !is_x86_32(&facts.guest.arch);
    when(concerned && glibc(&facts.guest.libc).is_some_and(|v| v < (2, 14)), || {
        note(format!("glibc {} needs the vsyscall page, which the target's kernel does not give", facts.guest.libc))
            .detail("every program, init first, would die with a segmentation fault")
            .remedy("boot the target with vsyscall=emulate")
            .subject("vsyscall=none")
    })
}

fn glibc(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.trim_start_matches("glibc").trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn on_unified(facts: &Facts) -> bool {
    facts.guest.init == Init::Systemd && facts.target.cgroup == CgroupMode::V2
}

fn systemd_cgroup(facts: &Facts) -> Vec<Finding> {
    let old = facts.guest.systemd_version.filter(|v| *v < SYSTEMD_UNIFIED && on_unified(facts));
    old.map_or_else(Vec::new, |version| {
        vec![
            note(format!("systemd {version} does not run on a host with control groups version 2 only"))
                .detail(format!("it needs systemd {SYSTEMD_UNIFIED} or the hierarchies of version 1"))
                .remedy("boot the target with systemd.unified_cgroup_hierarchy=0, or upgrade the container first")
                .subject(format!("systemd {version}")),
        ]
    })
}

fn systemd_unknown(facts: &Facts) -> Vec<Finding> {
    when(on_unified(facts) && facts.guest.systemd_version.is_none(), || {
        note("systemd's version in the container is not known")
            .detail(format!("before {SYSTEMD_UNIFIED} it does not run on a host with control groups version 2 only"))
            .remedy("look it up in the container: systemctl --version")
            .subject("systemd")
    })
}

fn init_unknown(facts: &Facts) -> Vec<Finding> {
    // What could not be looked at yet is not missing.
    let closed = facts.container.access == Access::Mount && facts.guest == Guest::unknown();
    when(facts.guest.init == Init::Unknown && !closed, || {
        note("no known init was found in the container")
            .detail("consoles and the clean shutdown cannot be prepared, the container may not even start")
            .remedy("make sure that it has a /sbin/init, then --accept guest-init-unknown")
            .subject("/sbin/init")
    })
}
