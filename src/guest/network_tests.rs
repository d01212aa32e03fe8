//! Which network files are in force where several may be.

use crate::guest::{detect, red_hat_generation};
use crate::model::guest::{Family, Guest, NetworkDialect};
use crate::rootfs::Rootfs;
use std::fs;

/// Looks at a tree of empty files; `a -> b` is a link, `a/` a directory, `a = b` a file with a text.
fn look(entries: &[&str]) -> Guest {
    let dir = tempfile::tempdir().unwrap();
    for entry in entries {
        let (name, target) = entry.split_once(" -> ").map_or((*entry, None), |(n, t)| (n, Some(t)));
        let (name, text) = name.split_once(" = ").unwrap_or((name, ""));
        let path = dir.path().join(name);
        fs::create_dir_all(if name.ends_with('/') { &path } else { path.parent().unwrap() }).unwrap();
        match target {
            Some(target) => std::os::unix::fs::symlink(target, path).unwrap(),
            None if name.ends_with('/') => {}
            None => fs::write(path, text).unwrap(),
        }
    }
    detect(&Rootfs::open(dir.path()).unwrap()).unwrap()
}

const MANAGER: &str = "etc/systemd/system/multi-user.target.wants/NetworkManager.service -> /x";
const NETWORKD: &str = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service -> /x";
const NETWORK: &str = "etc/rc.d/rc3.d/S10network -> ../init.d/network";
const SCRIPTS: &str = "etc/sysconfig/network-scripts/";

#[test]
fn what_is_enabled_decides_on_red_hat() {
    use NetworkDialect::{Ifcfg, Keyfile, SystemdNetworkd, Unknown};
    let masked = "etc/systemd/system/NetworkManager.service -> /dev/null";
    let conf = "etc/NetworkManager/NetworkManager.conf";
    let installed = "etc/rc.d/init.d/network";
    for (release, entries, dialect) in [
        ("CentOS release 5.11", vec![SCRIPTS], Ifcfg),
        ("CentOS Linux release 7.9", vec![SCRIPTS, NETWORK, MANAGER], Ifcfg),
        ("CentOS Linux release 7.9", vec![SCRIPTS, MANAGER], Ifcfg),
        ("CentOS Linux release 7.9", vec![SCRIPTS, NETWORKD], SystemdNetworkd),
        ("CentOS Linux release 8.5", vec![SCRIPTS, NETWORK, MANAGER], Ifcfg),
        ("CentOS Linux release 8.5", vec![SCRIPTS, MANAGER], Keyfile),
        ("CentOS Linux release 8.5", vec![SCRIPTS, conf], Keyfile),
        ("CentOS Linux release 8.5", vec![SCRIPTS, conf, installed], Ifcfg),
        ("AlmaLinux release 9.4", vec![SCRIPTS, MANAGER, masked, NETWORKD], SystemdNetworkd),
        ("Rocky Linux release 10.0", vec![conf], Keyfile),
        ("Fedora release 39", vec![SCRIPTS, MANAGER], Keyfile),
        ("Fedora release 20", vec![SCRIPTS, MANAGER], Ifcfg),
        ("Fedora release 39", vec![], Unknown),
    ] {
        let release = format!("etc/redhat-release = {release} (X)");
        let guest = look(&[&[release.as_str()], entries.as_slice()].concat());
        assert_eq!((guest.family, guest.network), (Family::Redhat, dialect), "{release}: {entries:?}");
    }
}

#[test]
fn what_is_enabled_decides_on_suse_alt_and_slackware() {
    use NetworkDialect::{Etcnet, Ifcfg, Keyfile, Slackware, Suse, SystemdNetworkd, Unknown};
    let sles = "etc/SuSE-release = SUSE Linux Enterprise Server 12 (x86_64)";
    let alt = "etc/altlinux-release = ALT Linux 8.2";
    let slack = "etc/slackware-version = Slackware 14.2";
    let (dir, conf) = ("etc/sysconfig/network/", "etc/NetworkManager/NetworkManager.conf");
    let wicked = "etc/systemd/system/network.service -> /usr/lib/systemd/system/wicked.service";
    let manager = "etc/systemd/system/network.service -> /usr/lib/systemd/system/NetworkManager.service";
    for (entries, dialect) in [
        (vec![sles, dir], Suse),
        (vec![sles, dir, wicked, conf], Suse),
        (vec![sles, dir, manager], Keyfile),
        (vec![sles, dir, MANAGER], Keyfile),
        (vec![sles, dir, wicked, NETWORKD], Suse),
        (vec![sles, dir, NETWORKD], SystemdNetworkd),
        (vec![sles, conf], Keyfile),
        (vec![sles], Unknown),
        (vec![alt, "etc/net/ifaces/lo/options"], Etcnet),
        (vec![alt, "etc/net/ifaces/lo/options", NETWORK, MANAGER], Etcnet),
        (vec![alt, "etc/net/ifaces/lo/options", MANAGER], Keyfile),
        (vec![alt, "etc/net/ifaces/lo/options", NETWORKD], SystemdNetworkd),
        (vec![alt, SCRIPTS], Ifcfg),
        (vec![alt], Unknown),
        (vec![slack, "etc/rc.d/rc.inet1"], Slackware),
        (vec![slack, "etc/rc.d/rc.inet1.conf"], Slackware),
        (vec![slack], Unknown),
    ] {
        assert_eq!(look(&entries).network, dialect, "{entries:?}");
    }
}

#[test]
fn old_distributions_are_told_from_enterprise_linux_of_the_same_number() {
    for (release, distro, version, generation) in [
        ("redhat-release = Red Hat Linux release 7.3 (Valhalla)", "redhat-linux", "7.3", Some(4)),
        ("redhat-release = Red Hat Enterprise Linux AS release 4 (Nahant Update 9)", "rhel", "4", Some(4)),
        ("redhat-release = Scientific Linux SL release 5.11 (Boron)", "scientific", "5.11", Some(5)),
        ("redhat-release = CloudLinux Server release 6.10 (Final)", "cloudlinux", "6.10", Some(6)),
        ("redhat-release = Fedora Core release 6 (Zod)", "fedora", "6", Some(5)),
        ("fedora-release = Fedora release 14 (Laughlin)", "fedora", "14", Some(6)),
        ("owl-release = Openwall GNU/*/Linux 3.1", "owl", "3.1", Some(4)),
        ("mandrake-release = Mandrake Linux release 10.1 (Official) for i586", "mandrake", "10.1", Some(4)),
        ("mandriva-release = Mandriva Linux release 2010.2 (Official) for i586", "mandriva", "2010.2", Some(4)),
        ("os-release = ID=\"amzn\"\nVERSION_ID=\"2023\"", "amzn", "2023", Some(9)),
        ("os-release = ID=\"vzlinux\"\nVERSION_ID=\"8.4\"", "vzlinux", "8.4", Some(8)),
        ("os-release = ID=mageia\nVERSION_ID=8", "mageia", "8", Some(5)),
    ] {
        let guest = look(&[&format!("etc/{release}")]);
        let found = (guest.family, guest.distro.as_str(), guest.version.as_str(), red_hat_generation(&guest));
        assert_eq!(found, (Family::Redhat, distro, version, generation), "{release}");
    }
    for (text, distro, version) in [
        ("SUSE LINUX Enterprise Server 9 (i586)\nVERSION = 9", "sles", "9"),
        ("SUSE Linux Enterprise Desktop 11 (x86_64)", "sled", "11"),
        ("SuSE Linux 7.3 (i386)", "suse", "7.3"),
        ("openSUSE 13.1 (Bottle) (x86_64)", "opensuse", "13.1"),
    ] {
        let guest = look(&[&format!("etc/SuSE-release = {text}")]);
        assert_eq!((guest.family, guest.distro.as_str(), guest.version.as_str()), (Family::Suse, distro, version));
    }
}
