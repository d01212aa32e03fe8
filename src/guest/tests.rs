use super::*;
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
