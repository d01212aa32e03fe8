//! From the model to text.

use super::capability;
use super::cgroup;
use super::config::{Abilities, ContainerConfig, Dialect, Rendered, RootfsPath};
use super::guest;
use super::keys::{Names, names};
use super::network;
use super::validate;
use crate::error::{Doing, Result};
use crate::model::finding::Finding;
use std::fmt::Display;

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
    head(config, &mut w).doing(doing)?;
    consoles(config, &mut w).doing(doing)?;
    network::write(&config.nics, &mut w).doing(doing)?;
    mounts(config, &mut w).doing(doing)?;
    capability::write(config, &mut w);
    guest::apparmor(config, &mut w).doing(doing)?;
    cgroup::limits(&config.limits, &mut w, host.cpus, host.swap_accounting);
    cgroup::devices(config, &mut w);
    Ok(Rendered { text: w.text, hook: None, findings: w.findings })
}

fn head(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    for line in &config.comments {
        w.comment(line);
    }
    if let Some(include) = &config.include {
        // First, so that everything below wins over it.
        w.section("what all containers of this host share");
        w.set("lxc.include", validate::path("include", include.as_ref())?);
    }
    w.section("identity");
    w.set(w.names().uts, validate::hostname(&config.hostname)?);
    guest::arch(config, w);
    let rootfs = rootfs(config, w)?;
    w.set(w.names().rootfs, rootfs);
    // Whoever moved the container decides when it starts: the operator, or the cluster on one node only.
    w.set("lxc.start.auto", 0);
    if let Some(signal) = guest::halt_signal(config, w.dialect) {
        w.set(w.names().halt, signal);
    }
    Ok(())
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
    w.section("consoles: tty1 .. ttyN appear inside as /dev/lxc/ttyN");
    w.set(w.names().tty, config.ttys);
    w.set(w.names().pts, 1024);
    w.set(w.names().tty_dir, "lxc");
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
    if config.include.is_none() {
        // `sys:mixed` came with 1.1.
        let sys = if w.dialect.at_least(1, 1) { "sys:mixed" } else { "sys:ro" };
        w.set("lxc.mount.auto", format!("cgroup:mixed proc:mixed {sys}"));
        w.set("lxc.mount.entry", "/sys/fs/fuse/connections sys/fs/fuse/connections none bind,optional 0 0");
        w.find(
            Finding::info("lxc-no-common-conf", "the target has no shared LXC configuration")
                .detail("what it would say is written out; no seccomp filter is loaded")
                .subject("lxc.include"),
        );
    }
    // LXC's /dev has no shm, and what uses POSIX shared memory fails without it.
    w.set("lxc.mount.entry", "tmpfs dev/shm tmpfs rw,nosuid,nodev,create=dir 0 0");
    for path in config.devices.iter().filter_map(|d| d.path.as_deref()) {
        cgroup::device_node(path, w)?;
    }
    Ok(())
}
