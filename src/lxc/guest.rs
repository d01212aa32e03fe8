//! What depends on what is in the container: architecture, halt signal, confinement.

use super::config::{ContainerConfig, Dialect};
use super::render::Writer;
use super::validate;
use crate::error::Result;
use crate::model::finding::Finding;
use crate::model::guest::{Family, Init};

/// Writes the personality: a 32-bit guest must see a 32-bit `uname -m`, or its package manager fetches the wrong
/// packages. The two names written are in the manual page of every version.
pub(super) fn arch(config: &ContainerConfig, w: &mut Writer) {
    let name = match config.arch.as_str() {
        "x86_64" | "amd64" => "x86_64",
        "i386" | "i486" | "i586" | "i686" | "x86" => "i686",
        "aarch64" | "arm64" if w.dialect.at_least(2, 0) => "aarch64",
        other => {
            w.find(
                Finding::warning("lxc-arch-unknown", "the container's architecture is not known")
                    .detail(format!("\"{}\" has no name in LXC; the host's is used", other.escape_debug()))
                    .remedy("add lxc.arch = i686 by hand if the container is a 32-bit one")
                    .subject("lxc.arch"),
            );
            return;
        }
    };
    w.set("lxc.arch", name);
}

/// Returns the signal that asks the guest's init to halt, where LXC's default SIGPWR does not.
pub(super) fn halt_signal(config: &ContainerConfig, dialect: Dialect) -> Option<&'static str> {
    let busybox = config.init == Init::Busybox || (config.init == Init::Openrc && config.family == Family::Alpine);
    match config.init {
        // Since 2.0 LXC sees that process 1 blocks SIGRTMIN+3 and sends that by itself.
        Init::Systemd if !dialect.at_least(2, 0) => Some("SIGRTMIN+3"),
        // BusyBox's init halts on SIGUSR1; few of its versions know SIGPWR.
        _ if busybox => Some("SIGUSR1"),
        _ => None,
    }
}

/// Writes the AppArmor profile, only where AppArmor is active and only what the version knows.
///
/// The container stays confined: it is privileged, and the profile is what keeps its root from the host's /proc and
/// /sys. LXC before 4.0 confines it by its default profile, under which System V, upstart and systemd guests boot; since
/// 4.0 a profile is generated, and systemd gets the nesting rules (as Debian's own default has it), because the
/// sandboxes of its services mount. What a guest mounts beyond that is allowed by name.
pub(super) fn apparmor(config: &ContainerConfig, w: &mut Writer) -> Result<()> {
    let types: Vec<&str> = config.mount_types.iter().map(|t| validate::file_system(t)).collect::<Result<_>>()?;
    if !config.apparmor {
        return Ok(());
    }
    if !w.dialect.at_least(4, 0) {
        if !types.is_empty() {
            let key = if w.dialect.at_least(2, 1) { "lxc.apparmor.profile" } else { "lxc.aa_profile" };
            w.find(
                Finding::warning("apparmor-mounts", "AppArmor will refuse mounts inside the container")
                    .detail(format!("it mounts {}; this LXC cannot allow single file systems", types.join(", ")))
                    .remedy("mount them on the host and bind them in with lxc.mount.entry, or write a profile")
                    .subject(key),
            );
        }
        return Ok(());
    }
    w.section("confinement");
    w.set("lxc.apparmor.profile", "generated");
    if config.init == Init::Systemd {
        w.set("lxc.apparmor.allow_nesting", 1);
    }
    for name in types {
        w.set("lxc.apparmor.raw", format!("mount fstype={name},"));
    }
    Ok(())
}
