//! What the inits of old families need under LXC: no check of file systems, no clock, no udev; and files that have the name
//! of one that is needed, but do something else.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::fixup::Catalogue;
use std::fs;
use support::fixups::{Fixed, plan};

fn fix(text: &str) -> Option<Fixed> {
    fix_with(text, true)
}

fn fix_with(text: &str, privileged: bool) -> Option<Fixed> {
    if !support::is_root() {
        support::skip("inits", "making trees with owners needs root");
        return None;
    }
    let plan = plan(&format!("hostname = \"web1.example.com\"\nttys = 2\nprivileged = {privileged}\n"));
    Some(Fixed::new("inits", text, &plan))
}

fn file(path: &str, text: &str) -> String {
    format!("=== file {path} 0644 0:0\n{text}")
}

fn debian(version: &str) -> String {
    format!(
        "{}{}=== elf sbin/init 0755 0:0 2 62 /etc/inittab\n=== elf sbin/getty 0755 0:0 2 62 getty\n",
        file("etc/debian_version", &format!("{version}\n")),
        file("etc/inittab", "id:2:initdefault:\nsi::sysinit:/etc/init.d/rcS\n1:2345:respawn:/sbin/getty 38400 tty1\n")
    )
}

fn ubuntu(version: &str) -> String {
    format!(
        "{}{}=== elf sbin/init 0755 0:0 2 62 upstart\n=== elf sbin/getty 0755 0:0 2 62 getty\n",
        file("etc/debian_version", "squeeze/sid\n"),
        file("etc/lsb-release", &format!("DISTRIB_ID=Ubuntu\nDISTRIB_RELEASE={version}\n")),
    )
}

fn red_hat(release: &str) -> String {
    format!(
        "{}=== elf sbin/init 0755 0:0 2 62 /etc/inittab\n=== elf sbin/mingetty 0755 0:0 2 62 mingetty\n{}{}",
        file("etc/redhat-release", &format!("{release}\n")),
        file("etc/inittab", "id:3:initdefault:\nsi::sysinit:/etc/rc.d/rc.sysinit\n"),
        file("etc/sysconfig/init", "# color => new RH6.0 bootup\nBOOTUP=color\nPROMPT=yes\n")
    )
}

const EL6: &str = "=== file etc/redhat-release 0644 0:0\nCentOS release 6.10 (Final)\n\
    === elf sbin/init 0755 0:0 2 62 upstart\n=== elf sbin/mingetty 0755 0:0 2 62 mingetty\n";

const FSTAB: &str = "# / is mine, and so is 1 1\n\
    LABEL=/\t\t/\t\text3\tdefaults,noatime\t1 1\n\
    proc /proc proc defaults 0 0\n\
    LABEL=data /srv ext4 defaults 0 2\n\
    /dev/sdb1\t/srv/b ext4 noauto,x=1 1 02 # own\n\
    /srv/b /srv/c none bind\n\
    nas:/x /mnt nfs ro 0 0\n";

#[test]
fn no_file_system_is_checked_at_the_boot() {
    let after = "# / is mine, and so is 1 1\n\
        proc /proc proc defaults 0 0\n\
        LABEL=data /srv ext4 defaults 0 0\n\
        /dev/sdb1\t/srv/b ext4 noauto,x=1 1 0 # own\n\
        /srv/b /srv/c none bind\n\
        nas:/x /mnt nfs ro 0 0\n";
    let openrc = debian("12.5") + "=== elf sbin/openrc-run 0755 0:0 2 62 openrc\n=== link etc/runlevels/x -> y\n";
    let el5 = red_hat("CentOS release 5.11 (Final)");
    for tree in [debian("7.11"), ubuntu("12.04"), el5, EL6.to_owned(), openrc] {
        let Some(fixed) = fix(&(tree + &file("etc/fstab", FSTAB))) else { return };
        assert_eq!(fixed.text("etc/fstab"), after);
    }
    // systemd sees the container and leaves devices alone.
    let systemd = file("etc/debian_version", "9.13\n") + "=== elf lib/systemd/systemd 0755 0:0 2 62 systemd\n";
    let Some(fixed) = fix(&(systemd + &file("etc/fstab", FSTAB))) else { return };
    assert_eq!(fixed.text("etc/fstab"), FSTAB);
}

#[test]
fn red_hat_4_does_not_check_the_root_whatever_fstab_says() {
    for (release, skips) in [
        ("CentOS release 4.9 (Final)", true),
        ("Red Hat Linux release 7.3 (Valhalla)", true),
        ("Mandrake Linux release 10.1 (Official) for i586", true),
        ("CentOS release 5.11 (Final)", false),
    ] {
        let Some(fixed) = fix(&red_hat(release)) else { return };
        let text = fixed.text("etc/sysconfig/init");
        assert!(text.starts_with("# color => new RH6.0 bootup\nBOOTUP=color\nPROMPT=yes\n"), "{text}");
        assert_eq!(text.lines().any(|l| ["fastboot=yes", "fastboot=\"yes\""].contains(&l)), skips, "{release}: {text}");
    }
}

#[test]
fn debian_5_keeps_udev_and_the_clock_off_when_their_packages_are_updated() {
    let script = |name: &str| format!("=== file etc/init.d/{name} 0755 0:0\n#!/bin/sh\n");
    let link = |place: &str, name: &str| format!("=== link etc/{place}{name} -> ../init.d/{name}\n");
    let names = ["udev", "udev-mtab", "hwclock.sh", "hwclockfirst.sh"];
    let tree = debian("5.0.10")
        + &names.map(script).concat()
        + &link("rcS.d/S03", "udev")
        + &link("rcS.d/S36", "udev-mtab")
        + &link("rcS.d/S11", "hwclock.sh")
        + &link("rc0.d/K25", "hwclock.sh")
        + &link("rcS.d/S08", "hwclockfirst.sh")
        + &link("rcS.d/S40", "networking");
    let Some(fixed) = fix(&tree) else { return };
    assert_eq!(fixed.names("etc/rcS.d"), ["K92hwclockfirst.sh", "K96udev-mtab", "K97udev", "S40networking"]);
    assert_eq!(fs::read_link(fixed.path("etc/rcS.d/K97udev")).unwrap().to_str(), Some("../init.d/udev"));
    // What update-rc.d asks: is there a link of the script in any run level?
    for name in names {
        let kept = ["rcS.d", "rc0.d"].iter().any(|d| fixed.names(&format!("etc/{d}")).iter().any(|n| n[3..] == *name));
        assert!(kept, "{name} would be started again");
    }
    // Later releases look whether they run in a container.
    let Some(fixed) = fix(&(debian("6.0.10") + &script("udev") + &link("rcS.d/S02", "udev"))) else { return };
    assert_eq!(fixed.names("etc/rcS.d"), ["S02udev"]);
}

#[test]
fn the_clock_is_the_hosts() {
    let known =
        file("etc/default/hwclock", "# Set this to yes if it is possible\n#HWCLOCKACCESS=yes\nHCTOSYS_DEVICE=rtc0\n");
    let Some(fixed) = fix(&(debian("7.11") + &known)) else { return };
    let text = fixed.text("etc/default/hwclock");
    assert!(text.contains("HCTOSYS_DEVICE=rtc0\n") && text.lines().any(|l| l == "HWCLOCKACCESS=no"), "{text}");
    let Some(fixed) = fix(&debian("7.11")) else { return };
    assert!(!fixed.path("etc/default").exists(), "a release without the file does not read it");
    let arch = "=== file etc/arch-release 0644 0:0\n=== elf sbin/init 0755 0:0 2 62 /etc/inittab\n".to_owned()
        + &file("etc/inittab", "id:3:initdefault:\nrc::sysinit:/etc/rc.sysinit\n")
        + &file("etc/rc.conf", "HARDWARECLOCK=\"localtime\"\nTIMEZONE=\"UTC\"\nDAEMONS=(network)\n");
    let Some(fixed) = fix(&arch) else { return };
    let text = fixed.text("etc/rc.conf");
    let clock: Vec<&str> = text.lines().filter(|l| l.starts_with("HARDWARECLOCK=")).collect();
    assert!(clock == ["HARDWARECLOCK=\"none\""] || clock == ["HARDWARECLOCK=none"], "{text}");
    assert!(text.contains("TIMEZONE=\"UTC\"\n"), "{text}");
}

#[test]
fn slackware_boots_without_udev_and_without_a_key() {
    let stock = "#!/bin/sh\nif [ ! $READWRITE = yes ]; then\n  fsck -C -a /\nelse\n  if [ ! \"$ROOTTYPE\" = \"umsdos\" ]; then\n    \
        echo \"Press ENTER to continue.\"\n    read junk;\n  fi\nfi\nread junkyard\n";
    let tree = "=== file etc/slackware-version 0644 0:0\nSlackware 13.37.0\n\
        === elf sbin/init 0755 0:0 2 62 /etc/inittab\n=== elf sbin/agetty 0755 0:0 2 62 agetty\n\
        === file etc/rc.d/rc.udev 0755 0:0\n#!/bin/sh\n"
        .to_owned()
        + &file("etc/inittab", "id:3:initdefault:\nsi:S:sysinit:/etc/rc.d/rc.S\n")
        + &format!("=== file etc/rc.d/rc.S 0755 0:0\n{stock}");
    let Some(fixed) = fix(&tree) else { return };
    assert_eq!(fixed.text("etc/rc.d/rc.S"), stock.replace("read junk;", ": # read junk;"));
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &str| fs::metadata(fixed.path(path)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("etc/rc.d/rc.udev"), mode("etc/rc.d/rc.S")), (0o644, 0o755));
}

#[test]
fn ubuntu_leaves_screen_and_clock_alone_and_keeps_mountall_and_udev() {
    let jobs = ["plymouth", "udev-fallback-graphics", "hwclock", "mountall", "udev", "udevtrigger"];
    let stock: String = jobs.iter().map(|j| file(&format!("etc/init/{j}.conf"), "start on startup\n")).collect();
    let Some(fixed) = fix(&(ubuntu("12.04") + &stock)) else { return };
    let mut off = fixed.names("etc/init");
    off.retain(|n| n.ends_with(".override"));
    assert_eq!(off, ["hwclock.override", "plymouth.override", "udev-fallback-graphics.override"]);
    assert!(off.iter().all(|n| fixed.text(&format!("etc/init/{n}")) == "manual\n"));
    assert!(jobs.iter().all(|j| fixed.text(&format!("etc/init/{j}.conf")) == "start on startup\n"), "no job is edited");
    // Upstart 0.6.5 reads no such files.
    let Some(fixed) = fix(&(ubuntu("10.04") + &stock)) else { return };
    assert!(fixed.names("etc/init").iter().all(|n| !n.ends_with(".override")));
}

#[test]
fn a_job_that_has_the_name_and_does_something_else_is_reported_and_stays() {
    let own = "# mine: exec /sbin/shutdown -h now\nstart on power-status-changed\nexec /usr/local/sbin/page-me\n";
    let good = "start on (power-status-changed\n    or own)\ntask\nscript\n  sync\n  /sbin/poweroff\nend script\n";
    for (text, said) in [(own, true), (good, false), ("start on startup\nexec /sbin/halt\n", true)] {
        let path = "etc/init/power-status-changed.conf";
        let Some(fixed) = fix(&(EL6.to_owned() + &file(path, text))) else { return };
        assert_eq!(fixed.text(path), text);
        assert_eq!(fixed.unexpected().contains(&"/etc/init/power-status-changed.conf"), said, "{text}");
    }
    for (path, text, said) in [
        ("etc/init/console.conf", "start on startup\nexec /usr/bin/own console\n", true),
        ("etc/init/console.conf", "start on startup\n# exec /sbin/mingetty console\n", true),
        (
            "etc/init/console.conf",
            "start on stopped rc RUNLEVEL=[2345]\nexec /sbin/agetty -8 38400 /dev/console\n",
            false,
        ),
        ("etc/init/tty.conf", "stop on runlevel [S016]\nrespawn\ninstance $TTY\nexec /sbin/mingetty $TTY\n", false),
        ("etc/init/tty.conf", "respawn\nexec /sbin/mingetty tty9\n", true),
        ("etc/init/start-ttys.conf", "start on stopped rc\nscript\n\tinitctl start tty TTY=$tty\nend script\n", false),
        ("etc/init/start-ttys.conf", "task\n", true),
    ] {
        let Some(fixed) = fix(&(EL6.to_owned() + &file(path, text))) else { return };
        assert_eq!(fixed.text(path), text);
        assert_eq!(fixed.unexpected().contains(&format!("/{path}").as_str()), said, "{path}: {text}");
    }
    let jobs = file("etc/init/tty1.conf", "start on own\nexec /usr/bin/own\n")
        + &file("etc/init/tty2.conf", "start on stopped rc RUNLEVEL=[23]\nrespawn\nexec /sbin/getty -8 38400 tty2\n");
    let Some(fixed) = fix(&(ubuntu("12.04") + &jobs)) else { return };
    assert_eq!(fixed.unexpected(), ["/etc/init/tty1.conf"]);
}

#[test]
fn an_expectation_without_a_file_that_is_left_alone_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let head =
        "id = \"own\"\ntitle = \"t\"\nwhy = \"w\"\n[[action]]\ndo = \"write\"\npath = \"etc/x\"\ncontent = \"x\"\n";
    for (more, why) in [("expect = [\"x\"]\n", "only"), ("only = \"missing\"\nexpect = [\"(\"]\n", "regular")] {
        fs::write(dir.path().join("70-own.toml"), format!("{head}{more}")).unwrap();
        let error = Catalogue::load(Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("70-own.toml"), "{error}");
    }
}

#[test]
fn logins_go_on_without_a_login_uid_in_every_family() {
    let pam = file("etc/pam.d/sshd", "session    required     pam_loginuid.so\nsession required pam_limits.so\n");
    for tree in [debian("7.11"), ubuntu("14.04"), red_hat("CentOS release 5.11 (Final)")] {
        for (privileged, word) in [(false, "optional"), (true, "required")] {
            let Some(fixed) = fix_with(&(tree.clone() + &pam), privileged) else { return };
            let wanted = format!("session    {word}     pam_loginuid.so\nsession required pam_limits.so\n");
            assert_eq!(fixed.text("etc/pam.d/sshd"), wanted);
        }
    }
}

#[test]
fn the_getty_of_debian_6_stays_a_local_line() {
    let tab = "id:2:initdefault:\n1:2345:respawn:/sbin/getty -L 38400 tty1\n1:2345:respawn:/sbin/getty 38400 console\n";
    let Some(fixed) = fix(&debian("6.0.10").replace("1:2345:respawn:/sbin/getty 38400 tty1\n", "")) else {
        return;
    };
    assert!(fixed.text("etc/inittab").contains("2:2345:respawn:/sbin/getty 38400 tty2\n"), "nothing says otherwise");
    let tree = debian("6.0.10").split("=== file etc/inittab").next().unwrap().to_owned();
    let programs = "=== elf sbin/init 0755 0:0 2 62 /etc/inittab\n=== elf sbin/getty 0755 0:0 2 62 getty\n";
    let Some(fixed) = fix(&(tree + programs + &file("etc/inittab", tab))) else { return };
    let text = fixed.text("etc/inittab");
    for line in ["1:2345:respawn:/sbin/getty -L 38400 tty1", "2:2345:respawn:/sbin/getty -L 38400 tty2"] {
        assert!(text.lines().any(|l| l == line), "{text}");
    }
}

#[test]
fn what_vzctl_told_resolvconf_goes_and_its_short_name_follows() {
    let tree = red_hat("CentOS release 5.11 (Final)")
        + &file("etc/hostname", "old\n")
        + &file("etc/sysconfig/network", "NETWORKING=yes\nHOSTNAME=stock\n");
    let Some(fixed) = fix(&tree) else { return };
    assert_eq!(fixed.text("etc/hostname"), "web1\n");
    assert!(fixed.text("etc/sysconfig/network").contains("web1.example.com"));
    let Some(fixed) = fix(&red_hat("CentOS release 5.11 (Final)")) else { return };
    assert!(!fixed.path("etc/hostname").exists(), "it changes what vzctl does after a way back");
    let run = "etc/resolvconf/run/interface";
    let tree = debian("6.0.10")
        + &file(&format!("{run}/venet0"), "nameserver 8.8.8.8\n")
        + &file(&format!("{run}/venet0.inet"), "nameserver 8.8.8.8\n")
        + &file(&format!("{run}/eth0"), "nameserver 9.9.9.9\n");
    let Some(fixed) = fix(&tree) else { return };
    assert_eq!(fixed.names(run), ["eth0"]);
}

#[test]
fn no_boot_script_mounts_devpts_over_lxcs() {
    let inittab = file("etc/inittab", "id:3:initdefault:\n") + "=== elf sbin/init 0755 0:0 2 62 /etc/inittab\n";
    let gentoo = file("etc/gentoo-release", "Gentoo Base System release 1.12.13\n") + &inittab;
    let gentoo = gentoo + &file("etc/conf.d/rc", "RC_DEVICES=\"auto\"\n");
    let arch = file("etc/arch-release", "") + &inittab + &file("etc/rc.conf", "DAEMONS=(network)\n");
    let suse = file("etc/SuSE-release", "SUSE Linux Enterprise Server 11 (x86_64)\n") + &inittab;
    for (tree, path, line, known) in [
        (&gentoo, "sbin/rc", "try mount -n ${mntcmd:--t devpts -o gid=5,mode=0620 devpts} /dev/pts", true),
        (&arch, "etc/rc.sysinit", "/bin/mount -n -t devpts devpts /dev/pts -o mode=620,gid=5 || fail", true),
        (&suse, "etc/init.d/boot", "mount -n -t devpts -o mode=0620,gid=5 devpts /dev/pts", true),
        (&suse, "etc/init.d/boot", "mount -n -t devpts -o mode=0620,gid=5 devpts /dev/pts || {\n  x; }", false),
        (&suse, "etc/init.d/boot", "mount -n -t devpts -o mode=0620 \\\n  devpts /dev/pts", false),
        (&suse, "etc/init.d/boot", "test -d /dev/pts && mount -n -t devpts devpts /dev/pts", false),
        (&arch, "etc/rc.sysinit", "if x; then /bin/mount -t devpts devpts /dev/pts; fi", false),
        (&gentoo, "sbin/rc", "[[ -d /dev/pts ]] && try mount -t devpts none /dev/pts", false),
    ] {
        let text = |line: &str| {
            format!("#!/bin/bash\n# mount -t devpts devpts /dev/pts\nif x; then\n\t{line}\n\teend $?\nfi\n")
        };
        let script = format!("=== file {path} 0755 0:0\n{}", text(line));
        let Some(fixed) = fix(&(tree.clone() + &script)) else { return };
        let wanted = if known { text(&format!(": # {line}")) } else { text(line) };
        assert_eq!(fixed.text(path), wanted);
        assert_eq!(fixed.unexpected().contains(&format!("/{path}").as_str()), !known, "{path}: {line}");
        #[expect(clippy::disallowed_methods, reason = "asks a shell whether the script is still one")]
        let shell = std::process::Command::new("bash").arg("-n").arg(fixed.path(path)).status().unwrap();
        assert!(shell.success(), "{path}: {line}");
    }
}

#[test]
fn what_a_person_wrote_about_venet0_stays_and_is_named() {
    let scripts = "etc/sysconfig/network-scripts";
    let tree = file("etc/redhat-release", "CentOS release 6.10 (Final)\n")
        + &file(&format!("{scripts}/ifcfg-venet0"), "DEVICE=venet0\n")
        + &file(&format!("{scripts}/route-venet0"), "# own\n10.55.0.0/16 dev venet0\n")
        + &file(
            "etc/sysconfig/iptables",
            "# -i venet0\n-A INPUT -i eth1 -j ACCEPT\n-A INPUT -i venet0 -j DROP\x1b[2J\n",
        )
        + &file("etc/rc.d/rc.local", "#!/bin/sh\ntouch /var/lock/subsys/local # venet0\n")
        + "=== link etc/rc.local -> rc.d/rc.local\n"
        + &file("etc/shorewall/interfaces", "net venet0 detect\n");
    let Some(fixed) = fix(&tree) else { return };
    let named = fixed.report.findings.iter().filter(|f| f.id == "fixup-venet-named");
    let named: Vec<_> = named.map(|f| (f.subject.as_str(), f.detail.as_str())).collect();
    assert_eq!(
        named,
        [
            ("/etc/sysconfig/iptables", "the first such line: -A INPUT -i venet0 -j DROP\\u{1b}[2J"),
            ("/etc/shorewall/interfaces", "the first such line: net venet0 detect"),
            ("/etc/sysconfig/network-scripts/route-venet0", "the first of them: 10.55.0.0/16 dev venet0"),
        ]
    );
    assert!(fixed.text("etc/sysconfig/iptables").contains("venet0 -j DROP"));
    assert!(!fixed.path(&format!("{scripts}/route-venet0")).exists());
}

#[test]
fn an_override_that_is_there_stays_and_is_named_when_the_job_would_start() {
    let own = "# off since 2013\nmanual\n";
    let tree = ubuntu("12.04")
        + &file("etc/init/hwclock.conf", "task\n")
        + &file("etc/init/hwclock.override", "env UTC=yes\n")
        + &file("etc/init/plymouth.conf", "task\n")
        + &file("etc/init/plymouth.override", own)
        + &file("etc/init/tty5.conf", "start on runlevel [23]\n")
        + &file("etc/init/tty5.override", "respawn limit 3 5\n");
    let Some(fixed) = fix(&tree) else { return };
    assert_eq!(fixed.text("etc/init/plymouth.override"), own);
    assert_eq!(fixed.text("etc/init/hwclock.override"), "env UTC=yes\n");
    assert_eq!(fixed.text("etc/init/tty5.override"), "respawn limit 3 5\n");
    assert_eq!(fixed.unexpected(), ["/etc/init/tty5.override", "/etc/init/hwclock.override"]);
}
