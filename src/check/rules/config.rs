//! What the VE configuration asks for and LXC does not have.

use super::{Check, note, said};
use crate::model::facts::Facts;
use crate::model::finding::{Finding, Severity};
use crate::model::ve::Outcome;

pub(super) const RULES: &[Check] = &[
    Check { id: "ve-key-blocked", severity: Severity::Overridable, find: key_blocked },
    Check { id: "capability-no-equivalent", severity: Severity::Warning, find: capabilities },
    Check { id: "feature-no-equivalent", severity: Severity::Warning, find: features },
    Check { id: "feature-host-module", severity: Severity::Warning, find: host_modules },
];

fn key_blocked(facts: &Facts) -> Vec<Finding> {
    let blocked = facts.container.ve.keys.iter().filter(|k| k.outcome == Outcome::Blocked && !said(facts, &k.key));
    blocked
        .map(|k| {
            note(format!("{} has no equivalent, and the container may need it", k.key))
                .detail(if k.why.is_empty() { k.value.clone() } else { format!("{} ({})", k.value, k.why) })
                .remedy("provide it on the target by other means, then --accept ve-key-blocked")
                .subject(&k.key)
        })
        .collect()
}

/// Capabilities that only OpenVZ's kernel has (vzctl's cap.c; bit 30, VE_ADMIN, is AUDIT_CONTROL elsewhere).
const OPENVZ_ONLY: [&str; 3] = ["ve_admin", "fs_mask", "setveid"];

fn capabilities(facts: &Facts) -> Vec<Finding> {
    let all = &facts.container.ve.capabilities;
    let of = |list: &[String], word: &'static str| {
        list.iter()
            .filter(|c| OPENVZ_ONLY.contains(&c.as_str()))
            .map(|c| format!("{c}:{word}"))
            .collect::<Vec<String>>()
    };
    let switched = of(&all.on, "on").into_iter().chain(of(&all.off, "off"));
    switched
        .map(|capability| {
            note(format!("capability {capability} exists in OpenVZ only"))
                .detail("it is left out of the LXC configuration")
                .remedy("check what needed it once the container runs")
                .subject(capability)
        })
        .collect()
}

fn features(facts: &Facts) -> Vec<Finding> {
    // With the reason; `off` needs no equivalent, LXC does not have the switch.
    let known = [("nfsd", "a kernel NFS server does not run in an LXC container without help from the host")];
    let on = facts.container.ve.features.iter().filter(|(_, on)| **on);
    on.filter_map(|(name, _)| {
        let why = known.iter().find(|(n, _)| n == name).map(|(_, why)| *why).or_else(|| {
            let all = ["sysfs", "nfs", "sit", "ipip", "ppp", "ipgre", "bridge", "nfsd"];
            (!all.contains(&name.as_str())).then_some("this program does not know it")
        })?;
        Some(
            note(format!("feature {name} has no equivalent"))
                .detail(why)
                .remedy("check what needed it once the container runs")
                .subject(name),
        )
    })
    .collect()
}

fn host_modules(facts: &Facts) -> Vec<Finding> {
    let modules = [
        ("sit", "sit"),
        ("ipip", "ipip"),
        ("ipgre", "ip_gre"),
        ("ppp", "ppp_generic"),
        ("bridge", "bridge"),
        ("nfs", "nfs"),
    ];
    let on = facts.container.ve.features.iter().filter(|(_, on)| **on);
    on.filter_map(|(name, _)| {
        let (_, module) = modules.iter().find(|(n, _)| n == name)?;
        let mut finding = note(format!("feature {name} needs the kernel module {module} on the target"))
            .detail("a container cannot load modules")
            .remedy(format!("add {module} to /etc/modules-load.d on every host that may run the container"))
            .subject(name);
        if name == "nfs" && facts.target.apparmor {
            finding.detail.push_str("; AppArmor on the target must also allow the mount (`mount fstype=nfs*`)");
        }
        Some(finding)
    })
    .collect()
}
