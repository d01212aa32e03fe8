use super::*;
use crate::model::guest::{Family, NetworkDialect};
use std::fs;
use std::os::unix::fs::symlink;
use tempfile::TempDir;

fn tree(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> (TempDir, Rootfs) {
    let dir = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    for (path, target) in links {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        symlink(target, path).unwrap();
    }
    let rootfs = Rootfs::open(dir.path()).unwrap();
    (dir, rootfs)
}

fn elf(class: u8, machine: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![0u8; 64];
    bytes[..4].copy_from_slice(b"\x7fELF");
    (bytes[4], bytes[5], bytes[18]) = (class, 1, machine);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

#[test]
fn centos_6_is_upstart_with_ifcfg_and_the_libc_named_by_its_file() {
    let (_dir, rootfs) = tree(
        &[
            ("etc/redhat-release", b"CentOS release 6.10 (Final)\n"),
            ("etc/inittab", b"id:3:initdefault:\n"),
            ("etc/init/rcS.conf", b"start on startup\n"),
            ("sbin/init", &elf(2, 62, "init: (upstart 0.6.5)")),
            ("lib64/libc-2.12.so", b""),
            ("lib/libc-2.11.so", b""),
            ("etc/sysconfig/network-scripts/ifcfg-lo", b"DEVICE=lo\n"),
        ],
        &[("lib64/libc.so.6", "libc-2.12.so")],
    );
    let guest = detect(&rootfs).unwrap();
    assert_eq!((guest.distro.as_str(), guest.family, guest.version.as_str()), ("centos", Family::Redhat, "6.10"));
    assert_eq!((guest.init, guest.network), (Init::Upstart, NetworkDialect::Ifcfg));
    assert_eq!((guest.arch.as_str(), guest.libc.as_str()), ("x86_64", "2.12"));
}

#[test]
fn a_32_bit_guest_is_told_by_the_header_and_the_shell_stands_in_for_a_scripted_init() {
    let (_dir, rootfs) = tree(
        &[
            ("etc/debian_version", b"6.0.10\n"),
            ("etc/inittab", b"id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n"),
            ("etc/init/ssh.conf", b"exec sshd\n"),
            ("sbin/init", b"#!/bin/sh\n"),
            ("bin/dash", &elf(1, 3, "")),
            ("lib/libc-2.11.3.so", b""),
            ("etc/network/interfaces", b"auto lo\n"),
        ],
        &[("bin/sh", "/bin/dash")],
    );
    let guest = detect(&rootfs).unwrap();
    assert_eq!((guest.init, guest.network), (Init::Sysvinit, NetworkDialect::Ifupdown));
    assert_eq!((guest.arch.as_str(), guest.libc.as_str(), guest.version.as_str()), ("i686", "2.11.3", "6.0.10"));
}

#[test]
fn systemd_is_told_by_the_link_its_version_by_the_library_glibc_by_its_text() {
    let (_dir, rootfs) = tree(
        &[
            ("usr/lib/os-release", b"ID=debian\nVERSION_ID=\"12\"\n"),
            ("usr/lib/systemd/systemd", &elf(2, 62, "")),
            ("usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-252.so", b""),
            (
                "usr/lib/x86_64-linux-gnu/libc.so.6",
                &elf(2, 62, "GNU C Library (Debian GLIBC 2.36-9+deb12u7) stable release version 2.36.\n"),
            ),
        ],
        &[
            ("lib", "usr/lib"),
            ("sbin", "usr/sbin"),
            ("usr/sbin/init", "/lib/systemd/systemd"),
            ("etc/os-release", "../usr/lib/os-release"),
            ("etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "/nowhere"),
        ],
    );
    let guest = detect(&rootfs).unwrap();
    assert_eq!(
        (guest.init, guest.systemd_version, guest.network),
        (Init::Systemd, Some(252), NetworkDialect::SystemdNetworkd)
    );
    assert_eq!((guest.arch.as_str(), guest.libc.as_str()), ("x86_64", "2.36"));
}

#[test]
fn ubuntu_upstart_and_an_old_systemd_without_a_versioned_library() {
    let (_dir, rootfs) = tree(
        &[
            ("etc/lsb-release", b"DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=12.04\n"),
            ("etc/debian_version", b"wheezy/sid\n"),
            ("etc/init/networking.conf", b"task\n"),
            ("etc/network/interfaces", b"auto lo\n"),
        ],
        &[],
    );
    let guest = detect(&rootfs).unwrap();
    assert_eq!((guest.distro.as_str(), guest.version.as_str(), guest.init), ("ubuntu", "12.04", Init::Upstart));
    let (_dir, rootfs) = tree(
        &[
            ("etc/redhat-release", b"CentOS Linux release 7.9.2009 (Core)\n"),
            ("etc/os-release", b"ID=\"centos\"\nID_LIKE=\"rhel fedora\"\nVERSION_ID=\"7\"\n"),
            ("usr/lib/systemd/systemd", &elf(2, 62, "loaded systemd-logind systemd 219 running")),
        ],
        &[("sbin/init", "../usr/lib/systemd/systemd")],
    );
    let guest = detect(&rootfs).unwrap();
    assert_eq!((guest.version.as_str(), guest.systemd_version), ("7.9.2009", Some(219)));
}

#[test]
fn links_to_the_host_say_nothing_and_a_fifo_does_not_block() {
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("os-release"), "ID=arch\n").unwrap();
    let target = outside.path().join("os-release");
    let (dir, rootfs) = tree(
        &[("etc/hostname", b"x\n")],
        &[
            ("etc/os-release", target.to_str().unwrap()),
            ("etc/alpine-release", "../../../../../../../../../../etc/hostname"),
        ],
    );
    rustix::fs::mknodat(
        rustix::fs::CWD,
        dir.path().join("etc/redhat-release"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .unwrap();
    let (guest, findings) = inspect(&rootfs).unwrap();
    assert_eq!(guest.family, Family::Alpine, "the link above the root ends inside it");
    assert_eq!(findings.len(), 0);
    fs::remove_file(dir.path().join("etc/alpine-release")).unwrap();
    let (guest, findings) = inspect(&rootfs).unwrap();
    assert_eq!(guest, Guest::unknown());
    assert_eq!(findings.len(), 1, "{findings:?}");
    assert_eq!(findings[0].subject, "/etc/redhat-release");
}

/// Init and network files of a tree.
fn kinds(files: &[(&str, &[u8])], links: &[(&str, &str)]) -> (String, Family, Init, NetworkDialect) {
    let (_dir, rootfs) = tree(files, links);
    let guest = detect(&rootfs).unwrap();
    (guest.distro, guest.family, guest.init, guest.network)
}

#[test]
fn openrc_is_told_from_baselayout_1_and_funtoo_from_gentoo() {
    let sysvinit = elf(2, 62, "/etc/inittab");
    let base: &[(&str, &[u8])] = &[
        ("etc/gentoo-release", b"Gentoo Base System release 1.12.13\n"),
        ("sbin/init", &sysvinit),
        ("sbin/rc", b"#!/bin/bash\n"),
        ("lib/rcscripts/sh/rc-services.sh", b""),
        ("etc/init.d/net.lo", b""),
    ];
    let name = "gentoo".to_owned();
    assert_eq!(kinds(base, &[]), (name.clone(), Family::Gentoo, Init::Sysvinit, NetworkDialect::Baselayout1));
    let old_openrc = [base, &[("lib/rc/sh/functions.sh", b"".as_slice())]].concat();
    assert_eq!(kinds(&old_openrc, &[]), (name.clone(), Family::Gentoo, Init::Openrc, NetworkDialect::Netifrc));
    let openrc_init: &[(&str, &[u8])] =
        &[("etc/os-release", b"ID=gentoo\n"), ("sbin/openrc-init", &sysvinit), ("etc/conf.d/net", b"")];
    assert_eq!(
        kinds(openrc_init, &[("sbin/init", "openrc-init")]),
        (name, Family::Gentoo, Init::Openrc, NetworkDialect::Netifrc)
    );
    let funtoo: &[(&str, &[u8])] = &[
        ("etc/gentoo-release", b"Funtoo Linux - baselayout 2.2.0\n"),
        ("sbin/init", &sysvinit),
        ("sbin/openrc", b""),
        ("etc/init.d/netif.tmpl", b""),
    ];
    assert_eq!(kinds(funtoo, &[]), ("funtoo".into(), Family::Gentoo, Init::Openrc, NetworkDialect::Funtoo));
}

#[test]
fn arch_has_the_network_that_it_starts() {
    let systemd = &[("sbin/init", "../usr/lib/systemd/systemd")];
    let program = elf(2, 62, "");
    let release: (&str, &[u8]) = ("etc/os-release", b"ID=arch\n");
    let units: (&str, &[u8]) = ("usr/lib/systemd/systemd", &program);
    let netcfg: [(&str, &[u8]); 2] = [("etc/conf.d/netcfg", b""), ("etc/network.d/examples/x", b"")];
    let netctl: (&str, &[u8]) = ("usr/bin/netctl", b"");
    let dialect = |files: &[(&str, &[u8])], links: &[(&str, &str)]| kinds(files, links).3;
    assert_eq!(dialect(&[release, units, netctl, netcfg[0], netcfg[1]], systemd), NetworkDialect::Netctl);
    assert_eq!(dialect(&[release, units, netcfg[0], netcfg[1]], systemd), NetworkDialect::Netcfg);
    let wants = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
    assert_eq!(dialect(&[release, units, netctl], &[systemd[0], (wants, "/x")]), NetworkDialect::SystemdNetworkd);
    let masked = ("etc/systemd/system/systemd-networkd.service", "/dev/null");
    assert_eq!(dialect(&[release, units, netctl], &[systemd[0], (wants, "/x"), masked]), NetworkDialect::Netctl);
    let old: (&str, &[u8]) = ("etc/arch-release", b"");
    let plain: (&str, &[u8]) = ("etc/rc.conf", b"#DAEMONS=(netcfg)\nDAEMONS=(syslog-ng network)\n");
    assert_eq!(dialect(&[old, plain, netcfg[0], netcfg[1]], &[]), NetworkDialect::ArchRcConf);
    let profiles: (&str, &[u8]) = ("etc/rc.conf", b"A=1\nDAEMONS=(syslog-ng\n  @net-profiles)\n");
    assert_eq!(dialect(&[old, profiles, netcfg[0], netcfg[1]], &[]), NetworkDialect::Netcfg);
    // A unit enabled for an init that does not run says nothing.
    let inittab: (&str, &[u8]) = ("etc/inittab", b"si::sysinit:/etc/rc.sysinit\n");
    assert_eq!(dialect(&[old, plain, inittab], &[(wants, "/x")]), NetworkDialect::ArchRcConf);
}

#[test]
fn netplan_counts_unless_ifupdown_is_enabled() {
    let program = elf(2, 62, "");
    let files: &[(&str, &[u8])] = &[
        ("etc/os-release", b"ID=ubuntu\nVERSION_ID=\"20.04\"\n"),
        ("lib/systemd/systemd", &program),
        ("lib/netplan/generate", &program),
        ("etc/network/interfaces", b"auto lo\n"),
    ];
    let init = ("sbin/init", "/lib/systemd/systemd");
    let networkd = ("etc/systemd/system/multi-user.target.wants/systemd-networkd.service", "/x");
    let ifup: (&str, &[u8]) = ("sbin/ifup", b"");
    let enabled = ("etc/systemd/system/multi-user.target.wants/networking.service", "/x");
    assert_eq!(kinds(files, &[init, networkd]).3, NetworkDialect::Netplan);
    let both = [files, &[ifup]].concat();
    assert_eq!(kinds(&both, &[init, networkd]).3, NetworkDialect::Netplan);
    assert_eq!(kinds(&both, &[init, networkd, enabled]).3, NetworkDialect::Ifupdown);
    let masked = ("etc/systemd/system/networking.service", "/dev/null");
    assert_eq!(kinds(&both, &[init, networkd, enabled, masked]).3, NetworkDialect::Netplan);
}

#[test]
fn event_d_is_upstart_and_files_tell_what_has_no_name() {
    let hardy: &[(&str, &[u8])] = &[
        ("etc/lsb-release", b"DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE=8.04\n"),
        ("etc/event.d/rc2", b"start on runlevel 2\n"),
    ];
    assert_eq!(kinds(hardy, &[]).2, Init::Upstart);
    let dpkg: &[(&str, &[u8])] = &[("var/lib/dpkg/status", b""), ("sbin/ifup", b""), ("etc/network/interfaces", b"")];
    assert_eq!(kinds(dpkg, &[]), ("unknown".into(), Family::Debian, Init::Unknown, NetworkDialect::Ifupdown));
    let named: &[(&str, &[u8])] =
        &[("etc/os-release", b"ID=frobnix\n"), ("sbin/ifup", b""), ("etc/network/interfaces", b"")];
    assert_eq!(kinds(named, &[]), ("frobnix".into(), Family::Unknown, Init::Unknown, NetworkDialect::Ifupdown));
}
