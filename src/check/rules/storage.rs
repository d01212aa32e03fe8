//! The volume and its place.

use super::{Check, note, when};
use crate::model::facts::{Facts, least_size, needed_inodes, needed_size, usage_with_headroom};
use crate::model::finding::{Finding, Severity};
use crate::model::size::Bytes;
use crate::model::volume::StorageKind;

pub(super) const RULES: &[Check] = &[
    Check { id: "storage-trouble", severity: Severity::Blocker, find: trouble },
    Check { id: "volume-exists", severity: Severity::Blocker, find: exists },
    Check { id: "volume-too-small", severity: Severity::Blocker, find: too_small },
    Check { id: "storage-no-space", severity: Severity::Blocker, find: no_space },
    Check { id: "storage-no-inodes", severity: Severity::Blocker, find: no_inodes },
    Check { id: "storage-overcommitted", severity: Severity::Warning, find: overcommitted },
    Check { id: "storage-space-unknown", severity: Severity::Skipped, find: space_unknown },
    Check { id: "storage-on-host", severity: Severity::Warning, find: on_host },
];

fn trouble(facts: &Facts) -> Vec<Finding> {
    facts
        .storage
        .trouble
        .iter()
        .map(|t| note(format!("the storage cannot be used: {t}")).subject(&facts.storage.place))
        .collect()
}

fn exists(facts: &Facts) -> Vec<Finding> {
    when(facts.storage.exists, || {
        note(format!("something named {} is in {} already", facts.target_name, facts.storage.place))
            .detail("nothing that exists is ever overwritten")
            .remedy("give another name with --name, or remove it if nobody needs it")
            .subject(&facts.target_name)
    })
}

fn too_small(facts: &Facts) -> Vec<Finding> {
    let least = least_size(facts);
    let small = facts.settings.size.filter(|s| *s < least && facts.settings.storage != StorageKind::Dir);
    small.map_or_else(Vec::new, |size| {
        vec![
            note(format!("a volume of {size} cannot hold the container's {}", facts.container.usage.bytes))
                .detail(format!("with what the file system needs for itself that is {least} at least"))
                .remedy(format!("say --size {} or more, or leave it away", gigabytes(usage_with_headroom(facts))))
                .subject("size"),
        ]
    })
}

/// A size in whole GiB, as `--size` takes it.
fn gigabytes(size: Bytes) -> String {
    format!("{}G", size.0.div_ceil(1 << 30))
}

/// What must be free: a logical volume takes its whole size at once, everything else only what is written.
fn space_needed(facts: &Facts) -> Bytes {
    match facts.settings.storage {
        StorageKind::Lvm => needed_size(facts).0,
        StorageKind::Dir | StorageKind::Image | StorageKind::LvmThin => usage_with_headroom(facts),
    }
}

fn no_space(facts: &Facts) -> Vec<Finding> {
    let needed = space_needed(facts);
    let short = facts.storage.free.filter(|free| *free < needed);
    short.map_or_else(Vec::new, |free| {
        vec![
            note(format!("not enough space in {}: {needed} needed, {free} free", facts.storage.place))
                .detail(format!("the container uses {}", facts.container.usage.bytes))
                .remedy("make room, choose another --storage, or a smaller --size if DISKSPACE is far above the usage")
                .subject(&facts.storage.place),
        ]
    })
}

fn no_inodes(facts: &Facts) -> Vec<Finding> {
    let needed = needed_inodes(facts);
    let short = facts.storage.free_inodes.filter(|free| *free < needed && facts.settings.storage == StorageKind::Dir);
    short.map_or_else(Vec::new, |free| {
        vec![
            note(format!("not enough inodes in {}: {needed} needed, {free} free", facts.storage.place))
                .remedy("choose --storage image or another directory")
                .subject(&facts.storage.place),
        ]
    })
}

fn overcommitted(facts: &Facts) -> Vec<Finding> {
    let size = needed_size(facts).0;
    let sparse = matches!(facts.settings.storage, StorageKind::Image | StorageKind::LvmThin);
    let short = facts.storage.free.filter(|free| sparse && *free < size && *free >= space_needed(facts));
    short.map_or_else(Vec::new, |free| {
        vec![
            note(format!("the volume of {size} may grow beyond the {free} that {} has", facts.storage.place))
                .detail("it is only written as it fills; when the storage is full the container sees write errors")
                .remedy("watch the storage, or say a smaller --size")
                .subject(&facts.storage.place),
        ]
    })
}

fn space_unknown(facts: &Facts) -> Vec<Finding> {
    when(facts.storage.free.is_none() && facts.storage.trouble.is_none(), || {
        note(format!("the free space of {} is not known", facts.storage.place))
            .detail(format!("{} will be needed", space_needed(facts)))
            .subject(&facts.storage.place)
    })
}

fn on_host(facts: &Facts) -> Vec<Finding> {
    when(facts.settings.storage == StorageKind::Dir, || {
        note("the container's tree will be a directory of the host's own file system")
            .detail(match facts.settings.unprivileged {
                true => "the container can fill that file system up",
                false => {
                    "a privileged container can remount that file system read-only (old halt scripts do) and fill it up"
                }
            })
            .remedy("use --storage image or a logical volume")
            .subject(&facts.storage.place)
    })
}
