//! The container on its node.

use super::{Check, note, said, when};
use crate::model::container::{Access, Origin, Status};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};

pub(super) const RULES: &[Check] = &[
    Check { id: "source-suspended", severity: Severity::Blocker, find: suspended },
    Check { id: "source-dump", severity: Severity::Overridable, find: dump },
    Check { id: "source-disabled", severity: Severity::Warning, find: disabled },
    Check { id: "source-mounted", severity: Severity::Info, find: mounted },
    Check { id: "source-no-node", severity: Severity::Warning, find: no_node },
    Check { id: "source-image", severity: Severity::Info, find: image },
    Check { id: "source-action-script", severity: Severity::Overridable, find: action_scripts },
    Check { id: "source-user-quota", severity: Severity::Warning, find: user_quota },
];

fn suspended(facts: &Facts) -> Vec<Finding> {
    let ctid = &facts.container.ctid;
    when(facts.container.status == Status::Suspended, || {
        note("the container is suspended: what runs in it is in a dump file, and LXC cannot take that over")
            .remedy(format!("resume it (`vzctl resume {ctid}`) and stop it cleanly, or delete the dump file"))
            .subject(ctid.as_str())
    })
}

fn dump(facts: &Facts) -> Vec<Finding> {
    let ctid = &facts.container.ctid;
    when(facts.container.dump && facts.container.status != Status::Suspended, || {
        note("a dump file exists on the source")
            .detail("`vzctl start` would restore an old state from it if the source had to start again")
            .remedy(format!("remove the dump of container {ctid} on the source"))
            .subject(format!("Dump.{ctid}"))
    })
}

fn disabled(facts: &Facts) -> Vec<Finding> {
    when(facts.container.ve.disabled, || {
        note("the container is disabled on the source (DISABLED=yes)")
            .detail(match facts.container.status {
                Status::Running => {
                    "it runs all the same, but vzctl refuses to start it again should the migration fail; after the \
                     migration nothing starts it by itself"
                }
                _ => "vzctl refuses to start it; after the migration nothing starts it by itself",
            })
            .remedy(format!(
                "make sure that it is meant to run on the target, then: vzctl set {} --disabled no --save",
                facts.container.ctid
            ))
            .subject("DISABLED")
    })
}

fn mounted(facts: &Facts) -> Vec<Finding> {
    when(facts.container.status == Status::Mounted, || {
        note("the container is stopped but mounted")
            .detail("somebody may be working in its tree")
            .subject(facts.container.root.display().to_string())
    })
}

fn no_node(facts: &Facts) -> Vec<Finding> {
    let container = &facts.container;
    when(container.origin != Origin::Node, || {
        let start = if container.starts() {
            "it is started on the target: neither ONBOOT=no nor DISABLED=yes says otherwise"
        } else {
            "it is not started on the target: ONBOOT=no or DISABLED=yes says so"
        };
        note("the source is no running node: nothing is stopped there, and nothing is kept from starting")
            .detail(format!("what is read does not change meanwhile; {start}"))
            .remedy("make sure that the old node stays off, or that the container is off there for good")
            .subject(container.ctid.as_str())
    })
}

fn image(facts: &Facts) -> Vec<Finding> {
    let container = &facts.container;
    when(container.access != Access::Open, || {
        let how = match container.access {
            Access::Image => "this program reads it and mounts the file system in it, read-only",
            _ => "vzctl mounts it for the copy and unmounts it after that; until then what it uses is an estimate",
        };
        note("the tree is in a ploop image that is not mounted")
            .detail(how)
            .subject(container.private.join("root.hdd").display().to_string())
    })
}

fn action_scripts(facts: &Facts) -> Vec<Finding> {
    let scripts = facts.container.action_scripts.iter();
    scripts
        .map(|script| {
            note("an action script or bind mount runs on the source and does not move")
                .detail(format!("{script} is run by vzctl at mount, start or stop"))
                .remedy("put what it does into lxc.mount.entry or lxc.hook.* lines, then --accept source-action-script")
                .subject(script)
        })
        .collect()
}

fn user_quota(facts: &Facts) -> Vec<Finding> {
    let limit = facts.container.ve.quota_ugid_limit.filter(|l| *l > 0 && !said(facts, "QUOTAUGIDLIMIT"));
    limit.map_or_else(Vec::new, |limit| {
        vec![
            note("quotas of users and groups inside the container are not carried over")
                .detail(format!("QUOTAUGIDLIMIT={limit}"))
                .remedy(format!(
                    "read the limits with `vzdqdump {} -U -G -T -F` and set them again",
                    facts.container.ctid
                ))
                .subject("QUOTAUGIDLIMIT"),
        ]
    })
}
