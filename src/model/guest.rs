//! What is inside a container's tree, as far as a migration must know.

use serde::{Deserialize, Serialize};

/// The family of distributions whose files a tree has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// Red Hat, CentOS, Fedora and kin.
    Redhat,
    /// Debian, Ubuntu and kin.
    Debian,
    /// SUSE, openSUSE, SLES.
    Suse,
    /// Gentoo, Funtoo.
    Gentoo,
    /// Arch.
    Arch,
    /// Slackware.
    Slackware,
    /// ALT.
    Alt,
    /// Alpine.
    Alpine,
    /// Not recognised by any file in the tree.
    Unknown,
}

/// The init that will run as process 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Init {
    /// System V init, /etc/inittab.
    Sysvinit,
    /// Upstart, /etc/init/*.conf.
    Upstart,
    /// systemd.
    Systemd,
    /// OpenRC on System V or BusyBox init.
    Openrc,
    /// BusyBox init without OpenRC.
    Busybox,
    /// None was found.
    Unknown,
}

/// The kind of network files that are in force. Modules of fixups written for earlier versions may have the shorter names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkDialect {
    /// /etc/sysconfig/network-scripts/ifcfg-*.
    Ifcfg,
    /// /etc/network/interfaces.
    Ifupdown,
    /// /etc/systemd/network/*.network.
    #[serde(alias = "networkd")]
    SystemdNetworkd,
    /// SUSE's /etc/sysconfig/network/ifcfg-* and ifroute-*, read by its scripts or by wicked.
    Suse,
    /// /etc/rc.config and /etc/route.conf of SuSE before 8.
    RcConfig,
    /// Slackware's /etc/rc.d/rc.inet1.conf, or rc.inet1 itself.
    Slackware,
    /// ALT's /etc/net/ifaces/NAME/.
    Etcnet,
    /// NetworkManager's keyfiles in /etc/NetworkManager/system-connections.
    Keyfile,
    /// /etc/netplan/*.yaml, rendered for systemd-networkd or NetworkManager at boot.
    Netplan,
    /// /etc/conf.d/net of Gentoo's OpenRC: plain strings.
    Netifrc,
    /// /etc/conf.d/net of Gentoo's baselayout 1: bash arrays.
    Baselayout1,
    /// /etc/conf.d/netif.* of Funtoo.
    Funtoo,
    /// /etc/rc.conf of Arch before 2012.
    #[serde(alias = "rcconf")]
    ArchRcConf,
    /// /etc/network.d/* of Arch's netcfg.
    Netcfg,
    /// /etc/netctl/* of Arch.
    Netctl,
    /// None that this program can write yet.
    Unknown,
}

/// A guest, as found in its files. Nothing in it was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guest {
    /// Distribution id: `centos`, `debian`, …, as os-release or the release files say; `unknown` otherwise.
    pub distro: String,
    /// The family whose files it has.
    pub family: Family,
    /// Version text, `6.10` or `12`; empty when unknown.
    pub version: String,
    /// The init that will run.
    pub init: Init,
    /// systemd's major version, when its files tell it.
    pub systemd_version: Option<u32>,
    /// `x86_64` or `i686` (ELF class and machine of /sbin/init), `aarch64`, …; empty when unknown.
    pub arch: String,
    /// glibc (`2.12`) or `musl`; empty when unknown.
    pub libc: String,
    /// The network files in force.
    pub network: NetworkDialect,
}

impl Guest {
    /// A guest of which nothing is known.
    pub fn unknown() -> Guest {
        Guest {
            distro: "unknown".into(),
            family: Family::Unknown,
            version: String::new(),
            init: Init::Unknown,
            systemd_version: None,
            arch: String::new(),
            libc: String::new(),
            network: NetworkDialect::Unknown,
        }
    }

    /// Returns the major version as a number.
    pub fn major(&self) -> Option<u32> {
        self.version.split(['.', '-', ' ']).next().and_then(|t| t.parse().ok())
    }
}
