//! From the model to text.

use super::capability;
use super::cgroup;
use super::config::{Abilities, ContainerConfig, Dialect, Rendered, RootfsPath};
use super::device;
use super::guest;
use super::hooked;
use super::keys::{Names, names};
use super::network;
use super::process;
use super::userns;
use super::validate;
use crate::error::{Doing, Result};
use crate::model::finding::Finding;
use std::fmt::Display;

/// BOOTORDERs that are told apart; all that are higher start together.
pub const ORDERS: u64 = 10_000;

/// The text as it grows, and what could not be said in it.
pub(super) struct Writer {
    pub(super) dialect: Dialect,
    text: String,
    pub(super) findings: Vec<Finding>,
}

impl Writer {
    fn new(dialect: Dialect) -> Writer {
        Writer { dialect, text: String::new(), findings: Vec::new() }
    }

    /// Writes `key = value`. The caller has validated the value.
    pub(super) fn set(&mut self, key: &str, value: impl Display) {
        let line = format!("{key} = {value}");
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// Begins a block with a comment.
    pub(super) fn section(&mut self, comment: &str) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
        self.comment(comment);
    }

    fn comment(&mut self, line: &str) {
        self.text.push_str("# ");
        for c in line.chars() {
            if c.is_control() { self.text.extend(c.escape_default()) } else { self.text.push(c) }
        }
        self.text.push('\n');
    }

    pub(super) fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    pub(super) fn names(&self) -> &'static Names {
        names(self.dialect.version)
    }
}

/// Writes the configuration for one LXC version and control group mode, for a target of these abilities.
///
/// Fails when a value cannot stand in a configuration: a line break in a host name, a MAC address that is none, two
/// interfaces of one name. What has no equivalent, or would make the start fail, is left out and becomes a finding.
pub fn render(config: &ContainerConfig, dialect: &Dialect, host: &Abilities) -> Result<Rendered> {
    let doing = || format!("writing the LXC configuration of {}", config.name.escape_debug());
    validate::container_name(&config.name)?;
    let mut w = Writer::new(*dialect);
    let hook = body(config, host, &mut w).doing(doing)?;
    Ok(Rendered { text: w.text, hook, findings: w.findings })
}

/// Writes everything and returns the hook that it calls.
fn body(config: &ContainerConfig, host: &Abilities, w: &mut Writer) -> Result<Option<String>> {
    head(config, w)?;
    userns::write(config, w)?;
    consoles(config, w)?;
    network::write(config, w)?;
    mounts(config, w)?;
    capability::write(config, w);
    guest::apparmor(config, w)?;
    cgroup::limits(&config.limits, w, host);
    process::limits(&config.limits, w);
    let hook = hooked::write(config, w)?;
    device::rules(config, w);
    Ok(hook)
}

fn head(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    for line in &config.comments {
        w.comment(line);
    }
    let userns = config.userns_include.as_ref().filter(|_| config.idmap.is_some());
    let includes: Vec<&String> = config.include.iter().chain(userns).collect();
    if !includes.is_empty() {
        // First, so that everything below wins over it.
        w.section("what all containers of this host share");
    }
    for include in includes {
        w.set("lxc.include", validate::path("include", include.as_ref())?);
    }
    w.section("identity");
    w.set(w.names().uts, validate::hostname(&config.hostname)?);
    guest::arch(config, w);
    let rootfs = rootfs(config, w)?;
    w.set(w.names().rootfs, rootfs);
    w.set("lxc.start.auto", u8::from(config.autostart));
    // Written even so: it counts once somebody lets the container start with the host.
    w.set("lxc.start.order", start_order(config.boot_order));
    if let Some(signal) = guest::halt_signal(config, w.dialect) {
        w.set(w.names().halt, signal);
    }
    Ok(())
}

/// Turns BOOTORDER, where the highest starts first and none at all last, into `lxc.start.order`, where the lowest does
/// (LXC 2.0 to 5.0 alike, seen with `lxc-autostart -L`).
fn start_order(boot_order: Option<u64>) -> u64 {
    boot_order.map_or(ORDERS + 1, |n| ORDERS - n.min(ORDERS))
}

/// Names the storage kind. Since 2.1 it is a prefix, without which LXC guesses and does not take a block device that is
/// not an LVM volume. Older versions strip it for images only: a device or directory is a bare path.
fn rootfs(config: &ContainerConfig, w: &Writer) -> Result<String> {
    let prefixed = w.dialect.at_least(2, 1);
    let (prefix, path) = match &config.rootfs {
        RootfsPath::Loop(path) => ("loop:", path),
        RootfsPath::Dir(path) => (if prefixed { "dir:" } else { "" }, path),
        RootfsPath::Device(path) => (if prefixed { "lvm:" } else { "" }, path),
    };
    Ok(format!("{prefix}{}", validate::path("root file system", path)?))
}

fn consoles(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    w.section("consoles");
    w.set(w.names().tty, config.ttys);
    w.set(w.names().pts, process::ptys(&config.limits));
    if config.idmap.is_none() {
        // tty1 .. ttyN appear inside as /dev/lxc/ttyN.
        w.set(w.names().tty_dir, "lxc");
    } else if userns::takes_back(config) {
        // A bind mount cannot be moved in a user name space: they stay /dev/ttyN.
        w.set(w.names().tty_dir, "");
    }
    // Without it LXC rewrites the tree's own /dev (lxc/, ptmx), and the way back to OpenVZ is closed.
    w.set("lxc.autodev", 1);
    if let Some(log) = &config.console_log {
        // Before 3.0 nothing bounds the file, and a container could fill the host's disk through it.
        if w.dialect.at_least(3, 0) {
            w.set("lxc.console.logfile", validate::path("console log", log)?);
            w.set("lxc.console.size", "128kB");
        }
    }
    Ok(())
}

fn mounts(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    w.section("mounts");
    // `sys:mixed` came with 1.1.
    let sys = if w.dialect.at_least(1, 1) { " sys:mixed" } else { " sys:ro" };
    // Control groups are mounted below /sys, and without it the start fails (ran: 5.0.2, version 2).
    let auto = if config.sysfs { format!("cgroup:mixed proc:mixed{sys}") } else { "proc:mixed".to_owned() };
    if config.include.is_none() {
        w.set("lxc.mount.auto", auto);
    } else if !config.sysfs && w.dialect.at_least(2, 0) {
        // What the include mounts adds up with what is said here; only an empty value takes it back.
        w.set("lxc.mount.auto", "");
        w.set("lxc.mount.auto", auto);
    } else if !config.sysfs {
        w.find(
            Finding::warning("sysfs-not-hidden", "the container sees /sys, which FEATURES switches off")
                .detail("the shared configuration mounts it, and LXC before 2.0 cannot take that back")
                .remedy("write a shared configuration without sys in lxc.mount.auto, or install LXC 2.0")
                .subject("sysfs"),
        );
    }
    if config.include.is_none() {
        if config.sysfs {
            w.set("lxc.mount.entry", "/sys/fs/fuse/connections sys/fs/fuse/connections none bind,optional 0 0");
        }
        w.find(
            Finding::info("lxc-no-common-conf", "the target has no shared LXC configuration")
                .detail("what it would say is written out; no seccomp filter is loaded")
                .subject("lxc.include"),
        );
    }
    // LXC's /dev has no shm, and what uses POSIX shared memory fails without it.
    w.set("lxc.mount.entry", "tmpfs dev/shm tmpfs rw,nosuid,nodev,create=dir 0 0");
    device::nodes(config, w)
}
