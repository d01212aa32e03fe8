//! The network files in force. Several kinds may be there side by side, so what is enabled decides before what is there.
//!
//! Nothing here may depend on a name of venet: the fixups take those out, and a later look must say the same.

use super::Eye;
use super::release::red_hat_generation;
use crate::model::guest::{Family, Init, NetworkDialect};
use crate::rootfs::{EntryKind, Look};
use std::path::{Path, PathBuf};

/// Something in a tree that speaks for a kind of network files, or against it.
enum Sign {
    /// A unit of systemd that is enabled and not masked, where systemd may be the init.
    Unit(&'static str),
    /// An init script that is started in some run level; systemd starts these too.
    Script(&'static str),
    /// A link that leads to something of a name, wherever that is.
    Link(&'static str, &'static str),
    File(&'static str),
    Dir(&'static str),
    /// A pattern that matches anything.
    Any(&'static str),
    Init(&'static [Init]),
    /// A release whose network scripts are those of this Enterprise Linux or of a later one.
    RedHat(u32),
    /// One of the names in DAEMONS of Arch's rc.conf.
    Daemon(&'static [&'static str]),
    Either(&'static [Sign]),
    Both(&'static [Sign]),
    Not(&'static Sign),
}

use Sign::{Any, Both, Daemon, Dir, Either, File, Link, Not, RedHat, Script, Unit};

const NETWORKD: Sign = Unit("systemd-networkd.service");
const MANAGER: Sign = Unit("NetworkManager.service");
const MANAGER_FILES: Sign = Dir("etc/NetworkManager");
const SYSTEMD: Sign = Sign::Init(&[Init::Systemd]);
const RED_HAT_SCRIPTS: Sign = Dir("etc/sysconfig/network-scripts");
const RED_HAT_SERVICE: Sign = Either(&[File("etc/rc.d/init.d/network"), File("etc/init.d/network")]);
/// YaST's choice between wicked and NetworkManager is this link.
const SUSE_SERVICE: &str = "etc/systemd/system/network.service";
const WICKED: Sign = Either(&[Link(SUSE_SERVICE, "wicked.service"), Unit("wicked.service")]);
const ETCNET: Sign = Either(&[Script("network"), Unit("network.service")]);
const IFUP: Sign = Either(&[File("sbin/ifup"), File("usr/sbin/ifup")]);
const INTERFACES: Sign = File("etc/network/interfaces");
/// Netplan is a generator that systemd runs at boot.
const NETPLAN: Sign = Either(&[
    File("usr/libexec/netplan/generate"),
    File("usr/lib/netplan/generate"),
    File("lib/netplan/generate"),
    File("usr/lib/systemd/system-generators/netplan"),
    File("lib/systemd/system-generators/netplan"),
]);
/// It wins over netplan where it is enabled: Ubuntu's is when it is installed, and vzctl knows no other network than it.
const IFUPDOWN_RUNS: Sign = Both(&[IFUP, INTERFACES, Either(&[Unit("networking.service"), Script("networking")])]);
const NETWORKD_FILES: Sign = Any("etc/systemd/network/*.network");
const NETIFRC: Sign = Either(&[Any("etc/init.d/net.lo"), File("etc/conf.d/net")]);
const NETIFRC_UNIT: Sign =
    Either(&[Any("usr/lib/systemd/system/net@.service"), Any("lib/systemd/system/net@.service")]);
const NETCTL: Sign = Either(&[File("usr/bin/netctl"), Any("usr/lib/systemd/system/netctl@.service")]);
const NETCFG: Sign = Both(&[Dir("etc/network.d"), File("etc/conf.d/netcfg")]);
const RC_CONF: Sign = File("etc/rc.conf");

/// Families, what they have in force, and the signs that must all be there. The first row that fits counts. A distribution
/// that no file names may still have the network files of one that is known.
#[rustfmt::skip]
const TABLE: &[(&[Family], NetworkDialect, &[Sign])] = {
    use Family::{Alpine, Alt, Arch, Debian, Gentoo, Redhat, Slackware, Suse, Unknown};
    use NetworkDialect::{
        ArchRcConf, Baselayout1, Etcnet, Funtoo, Ifcfg, Ifupdown, Keyfile, Netcfg, Netctl, Netifrc, Netplan, RcConfig,
        SystemdNetworkd,
    };
    &[
        (&[Redhat], Ifcfg, &[RED_HAT_SCRIPTS, Script("network")]),
        // Up to 7 NetworkManager keeps its profiles in ifcfg files; from 8 on keyfiles are what every release reads.
        (&[Redhat], Keyfile, &[MANAGER, RedHat(8)]),
        (&[Redhat], Ifcfg, &[MANAGER, RED_HAT_SCRIPTS]),
        (&[Redhat], SystemdNetworkd, &[NETWORKD]),
        (&[Redhat], Keyfile, &[RedHat(8), MANAGER_FILES, Not(&RED_HAT_SERVICE)]),
        (&[Redhat], Ifcfg, &[RED_HAT_SCRIPTS]),
        (&[Redhat], Keyfile, &[MANAGER_FILES]),

        (&[Suse], Keyfile, &[Either(&[Link(SUSE_SERVICE, "NetworkManager.service"), MANAGER]), Not(&WICKED)]),
        (&[Suse], SystemdNetworkd, &[NETWORKD, Not(&WICKED), Not(&Script("network"))]),
        (&[Suse], NetworkDialect::Suse, &[Dir("etc/sysconfig/network")]),
        // SuSE 8 brought the directory; before, everything was in one file.
        (&[Suse], RcConfig, &[File("etc/rc.config")]),
        (&[Suse], Keyfile, &[MANAGER_FILES]),

        (&[Slackware], NetworkDialect::Slackware, &[Either(&[File("etc/rc.d/rc.inet1.conf"), File("etc/rc.d/rc.inet1")])]),

        (&[Alt], Keyfile, &[MANAGER, Not(&ETCNET)]),
        (&[Alt], SystemdNetworkd, &[NETWORKD, Not(&ETCNET)]),
        (&[Alt], Etcnet, &[Dir("etc/net/ifaces")]),
        // ALT 2.4 had Red Hat's files still.
        (&[Alt], Ifcfg, &[RED_HAT_SCRIPTS]),

        (&[Gentoo, Arch, Unknown], SystemdNetworkd, &[NETWORKD]),
        (&[Debian, Unknown], Netplan, &[
            NETPLAN, SYSTEMD, Not(&IFUPDOWN_RUNS), Either(&[Any("etc/netplan/*.yaml"), Not(&NETWORKD_FILES)]),
        ]),
        (&[Debian], SystemdNetworkd, &[NETWORKD, Either(&[NETWORKD_FILES, Not(&IFUP)])]),
        (&[Debian, Alpine], Ifupdown, &[Either(&[IFUP, INTERFACES])]),
        (&[Alpine], SystemdNetworkd, &[NETWORKD]),
        (&[Unknown], Ifcfg, &[IFUP, RED_HAT_SCRIPTS]),
        (&[Unknown], Ifupdown, &[IFUP, INTERFACES]),

        (&[Arch, Unknown], Netctl, &[SYSTEMD, NETCTL]),
        (&[Arch], Netcfg, &[SYSTEMD, NETCFG]),
        (&[Arch], SystemdNetworkd, &[SYSTEMD, File("usr/lib/systemd/systemd-networkd")]),
        (&[Arch], Netcfg, &[Not(&SYSTEMD), NETCFG, Daemon(&["net-profiles", "netcfg"])]),
        (&[Arch], ArchRcConf, &[Not(&SYSTEMD), RC_CONF]),

        (&[Gentoo, Unknown], Funtoo, &[Any("etc/init.d/netif.tmpl")]),
        // Before OpenRC, /sbin/rc was a bash script with its functions in /lib/rcscripts.
        (&[Gentoo, Unknown], Baselayout1, &[Sign::Init(&[Init::Sysvinit]), NETIFRC]),
        (&[Gentoo, Unknown], Netifrc, &[Sign::Init(&[Init::Openrc, Init::Busybox]), NETIFRC]),
        (&[Gentoo, Unknown], Netifrc, &[SYSTEMD, NETIFRC_UNIT]),
    ]
};

/// What the signs are looked for in.
pub(super) struct Scene<'a, 'b> {
    pub(super) eye: &'a mut Eye<'b>,
    pub(super) family: Family,
    pub(super) distro: &'a str,
    pub(super) version: &'a str,
    pub(super) init: Init,
}

impl Scene<'_, '_> {
    /// Says which network files are in force.
    pub(super) fn network(&mut self) -> NetworkDialect {
        let family = self.family;
        let mut mine = TABLE.iter().filter(|(families, ..)| families.contains(&family));
        let found = mine.find(|(_, _, signs)| signs.iter().all(|sign| self.shows(sign)));
        found.map_or(NetworkDialect::Unknown, |(_, dialect, _)| *dialect)
    }

    fn shows(&mut self, sign: &Sign) -> bool {
        match sign {
            Unit(name) => matches!(self.init, Init::Systemd | Init::Unknown) && self.enabled(name),
            Script(name) => ["etc/rc.d/rc?.d", "etc/rc?.d", "etc/init.d/rc?.d"]
                .iter()
                .any(|dir| self.eye.any(&format!("{dir}/S??{name}"))),
            Link(path, name) => self.target(path).is_some_and(|t| t.ends_with(name)),
            File(path) => self.eye.is_file(path),
            Dir(path) => self.eye.is(path, EntryKind::Directory),
            Any(pattern) => self.eye.any(pattern),
            Sign::Init(inits) => inits.contains(&self.init),
            RedHat(release) => red_hat_generation(self.distro, self.version).is_some_and(|g| g >= *release),
            Daemon(names) => self.daemons().iter().any(|d| names.contains(&d.as_str())),
            Either(signs) => signs.iter().any(|s| self.shows(s)),
            Both(signs) => signs.iter().all(|s| self.shows(s)),
            Not(sign) => !self.shows(sign),
        }
    }

    fn target(&self, path: &str) -> Option<PathBuf> {
        self.eye.rootfs.link(Path::new(path)).ok().flatten()
    }

    fn enabled(&self, unit: &str) -> bool {
        let masked = self.target(&format!("etc/systemd/system/{unit}")).is_some_and(|t| t == Path::new("/dev/null"));
        !masked
            && ["etc", "usr/lib", "lib"].iter().any(|dir| self.eye.any(&format!("{dir}/systemd/system/*.wants/{unit}")))
    }

    fn daemons(&mut self) -> Vec<String> {
        let text = self.eye.text("etc/rc.conf").unwrap_or_default();
        let list = text.split("\nDAEMONS=(").nth(1).and_then(|d| d.split(')').next()).unwrap_or_default();
        list.split_whitespace().map(|d| d.trim_matches(['"', '\'', '@']).to_owned()).collect()
    }
}

#[cfg(test)]
#[path = "network_tests.rs"]
mod tests;
