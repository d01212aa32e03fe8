//! Capabilities: what OpenVZ took away and gave, over what LXC takes from every container.

use super::config::ContainerConfig;
use super::render::Writer;
use super::userns;
use crate::model::finding::Finding;
use std::collections::BTreeSet;

/// What LXC's shared configuration takes from every privileged container: they act on the host, not on the container.
const BASE: [&str; 5] = ["mac_admin", "mac_override", "sys_time", "sys_module", "sys_rawio"];

/// Tells whether a privileged container never gets a capability, whatever the VE configuration switches on; `sys_time`
/// it gets, for OpenVZ's containers set the host's clock with it as well.
pub fn is_host_only(name: &str) -> bool {
    BASE.contains(&name) && name != "sys_time"
}

/// The kernel's names (linux/capability.h) up to 5.9, lower case without `cap_`, the only form that LXC takes.
const KNOWN: &[&str] = &[
    "audit_control",
    "audit_read",
    "audit_write",
    "block_suspend",
    "bpf",
    "checkpoint_restore",
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "ipc_lock",
    "ipc_owner",
    "kill",
    "lease",
    "linux_immutable",
    "mac_admin",
    "mac_override",
    "mknod",
    "net_admin",
    "net_bind_service",
    "net_broadcast",
    "net_raw",
    "perfmon",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "sys_admin",
    "sys_boot",
    "sys_chroot",
    "sys_module",
    "sys_nice",
    "sys_pacct",
    "sys_ptrace",
    "sys_rawio",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "syslog",
    "wake_alarm",
];

/// Writes what is dropped. An unknown name makes LXC refuse the file, so it becomes a finding instead.
pub(super) fn write(config: &ContainerConfig, w: &mut Writer) {
    let off: BTreeSet<String> = config.drop_capabilities.iter().filter_map(|name| known(name, "off", w)).collect();
    let on: BTreeSet<String> = config.keep_capabilities.iter().filter_map(|name| known(name, "on", w)).collect();
    let base = base(config.idmap.is_some(), &on, &off, w);
    let reset = userns::takes_back(config) || (config.idmap.is_none() && base.len() < BASE.len());
    let listed = !base.is_empty() && (config.include.is_none() || reset);
    if listed || reset || !off.is_empty() {
        w.section("capabilities");
    }
    if config.include.is_some() && reset {
        // The lists add up over includes; only an empty value takes back what was listed.
        w.set("lxc.cap.drop", "");
    }
    if listed {
        w.set("lxc.cap.drop", base.join(" "));
    }
    for name in off.iter().filter(|name| !base.contains(&name.as_str())) {
        w.set("lxc.cap.drop", name);
    }
}

/// Returns what is dropped whatever the VE configuration says: in a user name space nothing, for nothing there acts on
/// the host.
fn base(unprivileged: bool, on: &BTreeSet<String>, off: &BTreeSet<String>, w: &mut Writer) -> Vec<&'static str> {
    let mut base = if unprivileged { Vec::new() } else { BASE.to_vec() };
    for name in on.iter().filter(|name| BASE.contains(&name.as_str()) && !off.contains(*name)) {
        if !is_host_only(name) && !unprivileged {
            base.retain(|b| b != name);
            w.find(
                Finding::warning("capability-host-clock", "the container may set the clock of the host")
                    .detail("CAPABILITY switches sys_time on; under OpenVZ and under LXC alike it is the host's clock")
                    .remedy("if it only ran a time daemon, stop that in the container and drop sys_time")
                    .subject("sys_time"),
            );
            continue;
        }
        let why = if unprivileged {
            "the kernel gives it to nobody in a user name space"
        } else {
            "under OpenVZ it was confined to the container, under LXC it would act on the host"
        };
        w.find(
            Finding::warning("capability-refused", format!("the container does not get {name}"))
                .detail(why)
                .remedy("do on the host what the container needed it for")
                .subject(name.as_str()),
        );
    }
    base
}

fn known(name: &str, state: &str, w: &mut Writer) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
    if KNOWN.contains(&bare) {
        return Some(bare.to_owned());
    }
    w.find(
        Finding::warning("capability-unknown", format!("capability {} has no equivalent", name.escape_debug()))
            .detail(format!("CAPABILITY has {}:{state}, which Linux does not know", name.escape_debug()))
            .remedy("nothing to do unless a program in the container needs it")
            .subject(name.escape_debug().to_string()),
    );
    None
}
