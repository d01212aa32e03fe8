//! A container in a user name space of its own: what the host must grant it, and what it cannot have.

use super::{Check, note, when};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};

pub(super) const RULES: &[Check] = &[
    Check { id: "unprivileged-ids-taken", severity: Severity::Blocker, find: ids_taken },
    Check { id: "unprivileged-path-closed", severity: Severity::Blocker, find: path_closed },
    Check { id: "unprivileged-nfs", severity: Severity::Warning, find: nfs },
    Check { id: "unprivileged-device", severity: Severity::Warning, find: devices },
    Check { id: "unprivileged-quota", severity: Severity::Warning, find: quota },
    Check { id: "unprivileged-capability", severity: Severity::Warning, find: capabilities },
];

/// Capabilities that the kernel asks of the initial user name space only, whatever a container has in its own.
const OF_THE_HOST: [&str; 8] =
    ["linux_immutable", "mknod", "sys_module", "sys_nice", "sys_pacct", "sys_rawio", "sys_resource", "sys_time"];
/// Nodes that everybody may open where udev's own rules stand.
const FOR_ALL: [&str; 2] = ["net/tun", "fuse"];

fn ids_taken(facts: &Facts) -> Vec<Finding> {
    let Some(wanted) = facts.settings.id_range.filter(|_| facts.settings.unprivileged) else { return Vec::new() };
    let overlapping = facts.target.id_ranges.iter().find(|taken| taken.overlaps(&wanted));
    overlapping.map_or_else(Vec::new, |taken| {
        let (first, last) = (taken.base, u64::from(taken.base) + u64::from(taken.count) - 1);
        vec![
            note(format!("ids from {} are in use on the target", wanted.base))
                .detail(format!(
                    "{first} to {last} belong to another container, or to a user (/etc/subuid, /etc/subgid); two \
                     containers with the same ids are not protected from each other"
                ))
                .remedy("give another --id-range, or none: then the first free one is taken")
                .subject(format!("{}:{}", wanted.base, wanted.count)),
        ]
    })
}

fn path_closed(facts: &Facts) -> Vec<Finding> {
    let closed = &facts.target.closed_dirs;
    when(facts.settings.unprivileged && !closed.is_empty(), || {
        note("an unprivileged container cannot get to its own files")
            .detail(format!("others must not pass {}", closed.join(", ")))
            .remedy(format!("chmod o+x {}", closed.join(" ")))
            .subject(facts.settings.lxc_path.display().to_string())
    })
}

fn nfs(facts: &Facts) -> Vec<Finding> {
    when(facts.settings.unprivileged && facts.container.ve.features.get("nfs") == Some(&true), || {
        note("an unprivileged container cannot mount NFS itself")
            .detail("FEATURES has nfs:on; the kernel mounts NFS for the host's root only")
            .remedy("mount it on the host and bind it with lxc.mount.entry, or leave the container privileged")
            .subject("FEATURES")
    })
}

fn devices(facts: &Facts) -> Vec<Finding> {
    let named = facts.container.ve.devices.iter().filter_map(|d| d.path.as_deref());
    named
        .filter(|path| facts.settings.unprivileged && !FOR_ALL.contains(path))
        .map(|path| {
            note(format!("/dev/{path} belongs to the host's root, who is nobody in the container"))
                .detail("the container may open it only as far as the node's mode lets everybody")
                .remedy(format!("give the host's /dev/{path} to an id of the container with a udev rule (OWNER=…)"))
                .subject(path)
        })
        .collect()
}

fn quota(facts: &Facts) -> Vec<Finding> {
    let limit = facts.container.ve.quota_ugid_limit.filter(|l| *l > 0 && facts.settings.unprivileged);
    limit.map_or_else(Vec::new, |_| {
        vec![
            note("an unprivileged container cannot set quotas of its users")
                .detail("QUOTAUGIDLIMIT is set; the kernel takes quotas of a block device from the host's root only")
                .remedy("set them from the host, with the host's ids, or leave the container privileged")
                .subject("QUOTAUGIDLIMIT"),
        ]
    })
}

fn capabilities(facts: &Facts) -> Vec<Finding> {
    let on = facts.container.ve.capabilities.on.iter().filter(|c| OF_THE_HOST.contains(&c.as_str()));
    let list: Vec<&str> = on.map(String::as_str).collect();
    when(facts.settings.unprivileged && !list.is_empty(), || {
        note(format!("in an unprivileged container {} has no effect", list.join(", ")))
            .detail("CAPABILITY switches it on, and the kernel asks for it in the host's user name space")
            .remedy("do on the host what it was for, or leave the container privileged")
            .subject("CAPABILITY")
    })
}
