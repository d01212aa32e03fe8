//! What Red Hat 5 and 6 need under LXC, row by row of the measurements: given the cause of a symptom in a tree, the
//! fixups take it away; given what was found to need nothing, they leave it alone.
//!
//! The rows stand in [`ROWS`], as the measurements name them; a row without a test here fails.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use std::fs;
use std::os::unix::fs::MetadataExt;
use support::fixups::{self, CATALOGUE, Fixed};
use support::tree;

/// Every row, and the tests that hold it.
const ROWS: [(&str, &str); 48] = [
    ("1 boot: runlevel N 3", "stock_boot_scripts_stay"),
    ("1 console getty", "el5_console_has_an_id_of_its_own, el6_console_stays"),
    ("1 tty1-4", "el6_tty2_has_one_getty, el6_ttys_are_made_when_missing, el5_has_a_getty_on_each_tty_that_exists"),
    ("1 ssh", "fstab_loses_devpts_and_shm"),
    ("1 network", "venet_goes_and_eth0_comes"),
    ("1 /dev/shm", "fstab_loses_devpts_and_shm"),
    ("1 lxc-stop", "el6_stops_on_sigpwr, el5_stops_on_sigpwr_at_once"),
    ("1 vzquota, vz_init_done, .vzfifo", "what_openvz_left_goes"),
    ("1 /fastboot", "what_openvz_left_goes"),
    ("2 PTY allocation request failed", "fstab_loses_devpts_and_shm"),
    ("2 /dev/shm missing", "fstab_loses_devpts_and_shm, dev_shm_comes_with_the_configuration"),
    ("2 lxc-stop runs into its timeout, EL6", "el6_stops_on_sigpwr"),
    ("2 lxc-stop, EL5", "el5_stops_on_sigpwr_at_once"),
    ("2 no login on console (EL5)", "el5_console_has_an_id_of_its_own"),
    ("2 respawn messages tty5/6 (EL5)", "el5_has_a_getty_on_each_tty_that_exists"),
    ("2 double getty on tty2 (EL6)", "el6_tty2_has_one_getty"),
    ("2 getty runs, but no prompt", "mingetty_does_not_hang_up_where_it_may_not"),
    ("2 Login incorrect on tty1..4", "securetty_knows_the_ttys_by_both_names"),
    ("2 the console is in securetty, pts/N is not needed", "securetty_knows_the_ttys_by_both_names"),
    ("2 eth0 FAILED: some other host uses address", "the_address_check_stays_the_operators_choice"),
    ("2 same, with () for the MAC", "without_arping_the_address_is_not_checked"),
    ("2 address there, no default route", "venet_goes_and_eth0_comes"),
    ("2 venet0 FAILED at each boot", "venet_goes_and_eth0_comes"),
    ("2 hostname", "the_host_name_is_in_sysconfig"),
    ("2 boot stuck at getkey", "stock_boot_scripts_stay"),
    ("3 lxc-sysinit.conf: not needed, harmful", "no_folklore_is_made"),
    ("3 lxc-halt: not needed", "no_folklore_is_made"),
    ("3 start_udev", "start_udev_is_commented_out_in_all_its_forms"),
    (
        "3 start_udev makes tty5/6: two respawning gettys",
        "start_udev_is_commented_out_in_all_its_forms, el5_has_a_getty_on_each_tty_that_exists",
    ),
    ("3 hwclock --hctosys (EL5), swapoff, halt", "stock_boot_scripts_stay"),
    ("3 remount, fsck, quotaon, SELinux, plymouth, mtab", "stock_boot_scripts_stay"),
    ("3 host side effects: binfmt_misc, dmesg, sysctl", "dev_shm_comes_with_the_configuration"),
    ("3 host side effects: halt remounts the root's superblock", "the_root_is_a_file_system_of_its_own"),
    ("3 lxc.autodev = 1", "dev_shm_comes_with_the_configuration"),
    ("3 lxc.tty.dir", "securetty_knows_the_ttys_by_both_names"),
    ("3 SIGPWR early, reboot, poweroff", "el6_stops_on_sigpwr, el5_stops_on_sigpwr_at_once"),
    ("3 a second start is the same as the first", "fixups_again_change_nothing_after_a_boot"),
    ("3 address in the config plus ifcfg-eth0", "an_address_of_lxc_is_left_to_lxc"),
    ("4 agetty -8 38400 /dev/console", "agetty_gets_names_and_not_paths"),
    ("4 agetty -8 38400 console / tty1", "agetty_gets_names_and_not_paths"),
    ("4 agetty -8 tty1 38400", "agetty_gets_names_and_not_paths"),
    ("4 exec agetty ${TTY#/dev/}", "agetty_gets_names_and_not_paths"),
    ("4 script / exec agetty / end script", "agetty_gets_names_and_not_paths"),
    ("4 stock mingetty can stay", "el6_ttys_are_made_when_missing"),
    ("5 EL6 minimal list", "el6_gets_the_minimal_list_and_nothing_else"),
    ("5 EL5 minimal list", "el5_gets_the_minimal_list_and_nothing_else"),
    ("5 init q is not needed offline", "no_folklore_is_made"),
    ("5 recommended besides", "a_dressed_tree_comes_out_clean"),
];

#[test]
fn every_row_has_its_tests() {
    let source = fs::read_to_string(support::repository().join("tests/redhat_boot.rs")).unwrap();
    for (row, tests) in ROWS {
        for test in tests.split(", ") {
            assert!(source.contains(&format!("#[test]\nfn {test}()")), "{row}: there is no test {test}");
        }
    }
    let named: String = ROWS.iter().map(|(_, tests)| format!("{tests}, ")).collect();
    for test in source.split("#[test]\nfn ").skip(1).map(|t| t.split('(').next().unwrap()) {
        assert!(test == "every_row_has_its_tests" || named.contains(&format!("{test}, ")), "{test} stands at no row");
    }
}

/// The files of initscripts that matter here, as far as a fixup or init looks at them: those that both have.
const BOTH: &str = r#"=== elf sbin/mingetty 0755 0:0 2 62 mingetty
=== elf sbin/arping 0755 0:0 2 62 arping
=== link etc/rc.sysinit -> rc.d/rc.sysinit
=== file etc/sysconfig/network 0644 0:0
NETWORKING=yes
HOSTNAME=old.example.com
=== link etc/mtab -> /proc/mounts
=== file etc/securetty 0600 0:0
console
tty1
tty2
tty3
tty4
"#;

/// Those of 6 alone.
const EL6: &str = r#"=== file etc/redhat-release 0644 0:0
CentOS release 6.10 (Final)
=== elf sbin/init 0755 0:0 2 62 upstart
=== elf sbin/agetty 0755 0:0 2 62 agetty
=== elf sbin/shutdown 0755 0:0 2 62 shutdown
=== file etc/inittab 0644 0:0
id:3:initdefault:
=== file etc/init/rcS.conf 0644 0:0
start on startup
stop on runlevel
task
exec /etc/rc.d/rc.sysinit
post-stop script
	exec telinit $runlevel
end script
=== file etc/init/start-ttys.conf 0644 0:0
start on stopped rc RUNLEVEL=[2345]
env ACTIVE_CONSOLES=/dev/tty[1-6]
env X_TTY=/dev/tty1
task
script
	. /etc/sysconfig/init
	for tty in $(echo $ACTIVE_CONSOLES) ; do
		initctl start tty TTY=$tty
	done
end script
=== file etc/init/tty.conf 0644 0:0
stop on runlevel [S016]
respawn
instance $TTY
exec /sbin/mingetty $TTY
=== file etc/rc.d/rc.sysinit 0755 0:0
#!/bin/bash
HOSTNAME=$(/bin/hostname)
[ -e /proc/mounts ] || mount -n -t proc /proc /proc
touch /dev/.in_sysinit >/dev/null 2>&1
/sbin/start_udev
[ -x /bin/plymouth ] && /bin/plymouth show-splash
remount_needed && mount -n -o remount,rw /
mount -n /dev/pts >/dev/null 2>&1
fsck -T -t noopts=_netdev -A $fsckoptions
mount -f /
=== file etc/sysconfig/init 0644 0:0
PROMPT=yes
ACTIVE_CONSOLES=/dev/tty[1-6]
=== file etc/sysconfig/network-scripts/ifcfg-lo 0644 0:0
DEVICE=lo
IPADDR=127.0.0.1
=== file etc/rc.d/init.d/halt 0755 0:0
#!/bin/bash
exec /sbin/halt -i -d -p
=== file etc/fstab 0644 0:0
LABEL=data /srv ext4 defaults 0 0
"#;

/// Those of 5 alone.
const EL5: &str = r#"=== file etc/redhat-release 0644 0:0
CentOS release 5.11 (Final)
=== elf sbin/init 0755 0:0 2 62 /etc/inittab
=== file etc/inittab 0644 0:0
id:3:initdefault:
si::sysinit:/etc/rc.d/rc.sysinit
l0:0:wait:/etc/rc.d/rc 0
l3:3:wait:/etc/rc.d/rc 3
ca::ctrlaltdel:/sbin/shutdown -t3 -r now
pf::powerfail:/sbin/shutdown -f -h +2 "Power Failure; System Shutting Down"
pr:12345:powerokwait:/sbin/shutdown -c "Power Restored; Shutdown Cancelled"
1:2345:respawn:/sbin/mingetty tty1
2:2345:respawn:/sbin/mingetty tty2
3:2345:respawn:/sbin/mingetty tty3
4:2345:respawn:/sbin/mingetty tty4
5:2345:respawn:/sbin/mingetty tty5
6:2345:respawn:/sbin/mingetty tty6
x:5:respawn:/etc/X11/prefdm -nodaemon
=== file etc/rc.d/rc.sysinit 0755 0:0
#!/bin/bash
/sbin/hwclock --hctosys
/sbin/start_udev
while :; do pid=$(/sbin/pidof getkey); done
=== file etc/sysconfig/init 0644 0:0
PROMPT=yes
=== file etc/sysconfig/network-scripts/ifcfg-lo 0644 0:0
DEVICE=lo
=== file etc/fstab 0644 0:0
LABEL=data /srv ext3 defaults 0 0
"#;

const PLAN: &str = "hostname = \"shop.example.com\"\nttys = 4\n[[nic]]\nname = \"eth0\"\nmac = \"00:16:3e:00:00:65\"\n\
    addresses = [\"10.0.0.101/24\"]\ngateway4 = \"10.0.0.1\"\n";

/// Fixes a tree up: `more` lies over the stock tree, and what it says counts.
fn fix(stock: &str, more: &str, plan: &str) -> Option<Fixed> {
    if !support::is_root() {
        support::skip("redhat_boot", "making trees with owners and nodes needs root");
        return None;
    }
    let fixed = Fixed::new("redhat_boot", &over(stock, more), &fixups::plan(plan));
    assert!(fixed.report.findings.is_empty(), "{:?}", fixed.report.findings);
    Some(fixed)
}

/// Lays the entries of a text over those of a stock tree, by their paths; `gone PATH` takes one out.
fn over(stock: &str, more: &str) -> String {
    let entries = |text: &str| -> Vec<(String, String)> {
        let parts = text.split("=== ").filter(|p| !p.trim().is_empty());
        parts.map(|p| (p.split_whitespace().nth(1).unwrap().to_owned(), format!("=== {p}"))).collect()
    };
    let new = entries(more);
    let kept = entries(BOTH).into_iter().chain(entries(stock)).filter(|(path, _)| !new.iter().any(|(p, _)| p == path));
    kept.chain(new.clone()).map(|(_, text)| text).filter(|text| !text.starts_with("=== gone")).collect()
}

fn file(path: &str, text: &str) -> String {
    format!("=== file {path} 0644 0:0\n{text}\n")
}

fn inittab(fixed: &Fixed) -> Vec<String> {
    fixed.text("etc/inittab").lines().map(str::to_owned).collect()
}

#[test]
fn stock_boot_scripts_stay() {
    for (stock, only) in [(EL6, "#/sbin/start_udev"), (EL5, "#/sbin/start_udev")] {
        let Some(fixed) = fix(stock, "", PLAN) else { return };
        let script = over(stock, "").split("=== ").find(|p| p.contains("rc.sysinit 0755")).unwrap().to_owned();
        let before = script.split_once('\n').unwrap().1;
        assert_eq!(fixed.text("etc/rc.d/rc.sysinit"), before.replace("/sbin/start_udev", only));
        assert_eq!(fixed.text("etc/sysconfig/init").lines().next(), Some("PROMPT=yes"), "a person's choice");
        assert_eq!(fs::read_link(fixed.path("etc/mtab")).unwrap().to_str(), Some("/proc/mounts"));
        assert!(fixed.text("etc/fstab").starts_with("LABEL=data /srv"));
        let clock = |text: &str| text.contains("\n/sbin/hwclock --hctosys\n");
        assert_eq!(clock(&fixed.text("etc/rc.d/rc.sysinit")), clock(stock), "one line of error, and no more");
        assert!(!fixed.has(".autorelabel"));
    }
    let Some(fixed) = fix(EL6, "", PLAN) else { return };
    for job in ["etc/init/rcS.conf", "etc/init/start-ttys.conf", "etc/rc.d/init.d/halt"] {
        assert!(!fixed.changed().contains(&format!("/{job}").as_str()), "{job}");
    }
}

#[test]
fn el5_console_has_an_id_of_its_own() {
    // vzctl's lines at the end of the stock inittab; init ignores the second of two equal ids.
    let stock = EL5.split("=== ").find(|p| p.starts_with("file etc/inittab")).unwrap();
    let vz = "1:2345:respawn:/sbin/mingetty console\n2:2345:respawn:/sbin/mingetty tty2\n";
    let Some(fixed) = fix(EL5, &format!("=== {stock}{vz}"), PLAN) else { return };
    let lines = inittab(&fixed);
    let console: Vec<&String> = lines.iter().filter(|l| l.ends_with(" console")).collect();
    assert_eq!(console, ["co:2345:respawn:/sbin/mingetty console"]);
    let mut ids: Vec<&str> = lines.iter().filter_map(|l| l.split(':').next()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{lines:#?}");
    // A template without getty lines, where vzctl's are the only ones.
    let template = "id:3:initdefault:\nsi::sysinit:/etc/rc.d/rc.sysinit\n1:2345:respawn:/sbin/mingetty console\n\
        2:2345:respawn:/sbin/mingetty tty2";
    let Some(fixed) = fix(EL5, &file("etc/inittab", template), PLAN) else { return };
    assert!(inittab(&fixed).contains(&"co:2345:respawn:/sbin/mingetty console".to_owned()));
    assert!(inittab(&fixed).contains(&"1:2345:respawn:/sbin/mingetty tty1".to_owned()));
}

#[test]
fn el6_console_stays() {
    let console = "start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec /sbin/mingetty console";
    let Some(fixed) = fix(EL6, &file("etc/init/console.conf", console), PLAN) else { return };
    assert_eq!(fixed.text("etc/init/console.conf").trim_end(), console, "nothing else serves the console");
    let Some(fixed) = fix(EL6, "", PLAN) else { return };
    assert!(fixed.text("etc/init/console.conf").contains("exec /sbin/mingetty console"), "and it is made when missing");
}

#[test]
fn el6_tty2_has_one_getty() {
    let job = "start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec /sbin/mingetty tty2";
    let vz = file("etc/init/tty2.conf", job);
    let Some(fixed) = fix(EL6, &vz, PLAN) else { return };
    assert!(!fixed.has("etc/init/tty2.conf"), "tty.conf serves tty2");
    let template = format!("{vz}=== gone etc/init/tty.conf\n=== gone etc/init/start-ttys.conf\n");
    let Some(fixed) = fix(EL6, &template, PLAN) else { return };
    assert!(fixed.has("etc/init/tty.conf") && fixed.has("etc/init/start-ttys.conf"));
    assert!(!fixed.has("etc/init/tty2.conf"));
    // A job of that name which is no getty of vzctl's is somebody's.
    let Some(fixed) = fix(EL6, &file("etc/init/tty2.conf", "exec /usr/bin/own"), PLAN) else { return };
    assert!(fixed.has("etc/init/tty2.conf"));
}

#[test]
fn el6_ttys_are_made_when_missing() {
    let template = "=== gone etc/init/tty.conf\n=== gone etc/init/start-ttys.conf\n";
    let Some(fixed) = fix(EL6, template, PLAN) else { return };
    assert!(fixed.text("etc/init/tty.conf").contains("exec /sbin/mingetty $TTY"));
    let starter = fixed.text("etc/init/start-ttys.conf");
    assert!(starter.contains("ACTIVE_CONSOLES=/dev/tty[1-") && starter.contains("[ ! -c \"$tty\" ]"), "{starter}");
    let Some(fixed) = fix(EL6, "", PLAN) else { return };
    assert!(!fixed.changed().iter().any(|p| p.starts_with("/etc/init/tty") || p.ends_with("start-ttys.conf")));
    let none = PLAN.replace("ttys = 4", "ttys = 0");
    let Some(fixed) = fix(EL6, template, &none) else { return };
    assert!(!fixed.has("etc/init/tty.conf"), "LXC offers none");
}

#[test]
fn el5_has_a_getty_on_each_tty_that_exists() {
    let served = |fixed: &Fixed| -> Vec<String> {
        let gettys = inittab(fixed).into_iter().filter(|l| l.contains("mingetty"));
        gettys.map(|l| l.rsplit(' ').next().unwrap().to_owned()).collect()
    };
    let Some(fixed) = fix(EL5, "", PLAN) else { return };
    assert_eq!(served(&fixed), ["tty1", "tty2", "tty3", "tty4", "console"]);
    let Some(fixed) = fix(EL5, "", &PLAN.replace("ttys = 4", "ttys = 2")) else { return };
    assert_eq!(served(&fixed), ["tty1", "tty2", "console"]);
    let template = file("etc/inittab", "id:3:initdefault:\nsi::sysinit:/etc/rc.d/rc.sysinit");
    let Some(fixed) = fix(EL5, &template, PLAN) else { return };
    assert_eq!(served(&fixed), ["tty1", "tty2", "tty3", "tty4", "console"]);
}

#[test]
fn fstab_loses_devpts_and_shm() {
    for stock in [EL5, EL6] {
        let openvz = "none /dev/pts devpts rw,gid=5,mode=620\nnone /dev/shm tmpfs defaults\ndevpts\t/dev/pts/\tdevpts\tgid=5 0 0\n\
            tmpfs /dev/shm tmpfs size=64M 0 0\n# /dev/shm stays in words\nLABEL=x /srv/dev/shm-x ext3 noauto 0 0";
        let Some(fixed) = fix(stock, &file("etc/fstab", openvz), PLAN) else { return };
        assert_eq!(fixed.text("etc/fstab"), "# /dev/shm stays in words\nLABEL=x /srv/dev/shm-x ext3 noauto 0 0\n");
    }
}

#[test]
fn dev_shm_comes_with_the_configuration() {
    use ovz2lxc::lxc::{Abilities, ContainerConfig, Dialect, RootfsPath, render};
    use ovz2lxc::model::target::{CgroupMode, LxcVersion};
    let config = ContainerConfig::new("a", RootfsPath::Loop("/a".into()));
    let dialect = Dialect { version: LxcVersion { major: 5, minor: 0 }, cgroup: CgroupMode::V1 };
    let text = render(&config, &dialect, &Abilities { cpus: 1, numa_nodes: 1, swap_accounting: true, pids: true })
        .unwrap()
        .text;
    assert!(text.contains("lxc.mount.entry = tmpfs dev/shm tmpfs rw,nosuid,nodev,create=dir 0 0"), "{text}");
    // The static /dev would be rewritten by LXC, and give two gettys more.
    assert!(!text.contains("lxc.autodev = 0"), "{text}");
    // rc.sysinit sets kernel.* in /proc/sys: the host's.
    assert!(!text.contains("proc:rw"), "{text}");
}

#[test]
fn venet_goes_and_eth0_comes() {
    for stock in [EL5, EL6] {
        let scripts = "etc/sysconfig/network-scripts";
        let vz = format!(
            "{}{}{}",
            file(&format!("{scripts}/ifcfg-venet0"), "DEVICE=venet0\nIPADDR=127.0.0.1"),
            file(&format!("{scripts}/ifcfg-venet0:0"), "DEVICE=venet0:0\nIPADDR=192.168.7.11"),
            file(
                "etc/sysconfig/network",
                "NETWORKING=\"yes\"\nGATEWAYDEV=\"venet0\"\nIPV6_DEFAULTDEV=\"venet0\"\nHOSTNAME=\"shop.example.com\""
            ),
        );
        let Some(fixed) = fix(stock, &vz, PLAN) else { return };
        assert!(!fixed.has(&format!("{scripts}/ifcfg-venet0")) && !fixed.has(&format!("{scripts}/ifcfg-venet0:0")));
        let network = fixed.text("etc/sysconfig/network");
        assert!(!network.contains("GATEWAYDEV") && !network.contains("DEFAULTDEV"), "{network}");
        let eth0 = fixed.text(&format!("{scripts}/ifcfg-eth0"));
        for line in ["DEVICE=eth0", "ONBOOT=yes", "IPADDR=10.0.0.101", "GATEWAY=10.0.0.1"] {
            assert!(eth0.lines().any(|l| l == line), "{line}: {eth0}");
        }
        assert!(fixed.has(&format!("{scripts}/ifcfg-lo")));
    }
}

#[test]
fn el6_stops_on_sigpwr() {
    let Some(fixed) = fix(EL6, "", PLAN) else { return };
    let job = fixed.text("etc/init/power-status-changed.conf");
    assert!(job.contains("start on power-status-changed") && job.contains("exec /sbin/shutdown -h now"), "{job}");
    let own = file(
        "etc/init/power-status-changed.conf",
        "start on power-status-changed\nexec /usr/bin/own --then /sbin/halt",
    );
    let Some(fixed) = fix(EL6, &own, PLAN) else { return };
    assert!(fixed.text("etc/init/power-status-changed.conf").contains("own"), "a job that is there stays");
}

#[test]
fn el5_stops_on_sigpwr_at_once() {
    let Some(fixed) = fix(EL5, "", PLAN) else { return };
    let power: Vec<String> = inittab(&fixed).into_iter().filter(|l| l.contains("power")).collect();
    assert_eq!(power, ["pf::powerwait:/sbin/shutdown -h now"], "and not in two minutes");
}

#[test]
fn what_openvz_left_goes() {
    let quota = "=== file etc/rc.d/init.d/vzquota 0755 0:0\n#!/bin/sh\nquotaon -aug\n\
        === link etc/rc.d/rc0.d/K90vzquota -> ../init.d/vzquota\n=== link etc/rc.d/rc3.d/S10vzquota -> ../init.d/vzquota\n\
        === link aquota.user -> /proc/vz/vzaquota/00000031/aquota.user\n=== block dev/simfs 0700 0:0 0 49\n\
        === fifo .vzfifo 0644 0:0\n=== file fastboot 0644 0:0\n";
    let gone = [
        "etc/rc.d/init.d/vzquota",
        "etc/rc.d/rc0.d/K90vzquota",
        "etc/rc.d/rc3.d/S10vzquota",
        "aquota.user",
        "dev/simfs",
        ".vzfifo",
        "fastboot",
        "etc/init/vz_init_done.conf",
    ];
    let done = file("etc/init/vz_init_done.conf", "start on stopped rc RUNLEVEL=[2345]\ntask\nexec touch /.vzfifo");
    let Some(fixed) = fix(EL6, &format!("{quota}{done}"), PLAN) else { return };
    assert_eq!(gone.iter().filter(|p| fixed.has(p)).collect::<Vec<_>>(), Vec::<&&str>::new());
    let stock = EL5.split("=== ").find(|p| p.starts_with("file etc/inittab")).unwrap();
    let line = format!("=== {stock}vz:2345:once:touch /.vzfifo\n");
    let Some(fixed) = fix(EL5, &format!("{quota}{line}"), PLAN) else { return };
    assert_eq!(gone.iter().filter(|p| fixed.has(p)).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(!fixed.text("etc/inittab").contains("vz"));
}

#[test]
fn mingetty_does_not_hang_up_where_it_may_not() {
    let console = "start on stopped rc RUNLEVEL=[2345]\nrespawn\nexec /sbin/mingetty console";
    let unprivileged = format!("privileged = false\n{PLAN}");
    let Some(fixed) = fix(EL6, &file("etc/init/console.conf", console), &unprivileged) else { return };
    assert!(fixed.text("etc/init/console.conf").contains("exec /sbin/mingetty --nohangup console"));
    assert!(fixed.text("etc/init/tty.conf").contains("exec /sbin/mingetty --nohangup $TTY"));
    let template = file("etc/inittab", "id:3:initdefault:\nsi::sysinit:/etc/rc.d/rc.sysinit");
    let Some(fixed) = fix(EL5, &template, &unprivileged) else { return };
    assert!(fixed.text("etc/inittab").contains("/sbin/mingetty --nohangup tty1"));
}

#[test]
fn securetty_knows_the_ttys_by_both_names() {
    for stock in [EL5, EL6] {
        let Some(fixed) = fix(stock, "", PLAN) else { return };
        let text = fixed.text("etc/securetty");
        for name in ["console", "tty1", "tty4", "lxc/tty1", "lxc/tty2", "lxc/tty3", "lxc/tty4"] {
            assert_eq!(text.lines().filter(|l| *l == name).count(), 1, "{name}: {text}");
        }
        assert!(!text.contains("pts/") && !text.contains("lxc/tty5"), "{text}");
        assert_eq!(fs::metadata(fixed.path("etc/securetty")).unwrap().mode() & 0o777, 0o600);
        let Some(fixed) = fix(stock, "=== gone etc/securetty\n", PLAN) else { return };
        assert!(!fixed.has("etc/securetty"), "without the file root may log in anywhere");
    }
}

#[test]
fn the_address_check_stays_the_operators_choice() {
    let path = "etc/sysconfig/network-scripts/ifcfg-eth0";
    for stock in [EL5, EL6] {
        let Some(fixed) = fix(stock, "", PLAN) else { return };
        assert!(!fixed.text(path).contains("ARPCHECK"));
        let Some(fixed) = fix(stock, &file(path, "DEVICE=eth0\nARPCHECK=no"), PLAN) else { return };
        assert!(fixed.text(path).contains("ARPCHECK=no"));
    }
}

#[test]
fn without_arping_the_address_is_not_checked() {
    for stock in [EL5, EL6] {
        let Some(fixed) = fix(stock, "=== gone sbin/arping\n", PLAN) else { return };
        assert!(fixed.text("etc/sysconfig/network-scripts/ifcfg-eth0").lines().any(|l| l == "ARPCHECK=no"));
    }
    let second = PLAN.replacen("addresses = [", "addresses = [\"10.20.0.99/24\", ", 1);
    let Some(fixed) = fix(EL5, "=== gone sbin/arping\n", &second) else { return };
    assert!(fixed.text("etc/sysconfig/network-scripts/ifcfg-eth0:0").lines().any(|l| l == "ARPCHECK=no"));
}

#[test]
fn the_host_name_is_in_sysconfig() {
    for stock in [EL5, EL6] {
        let Some(fixed) = fix(stock, "", PLAN) else { return };
        assert!(fixed.text("etc/sysconfig/network").lines().any(|l| l == "HOSTNAME=shop.example.com"));
        assert!(!fixed.has("etc/hostname"));
    }
}

#[test]
fn no_folklore_is_made() {
    for stock in [EL5, EL6] {
        let Some(fixed) = fix(stock, "", PLAN) else { return };
        for path in
            ["etc/init/lxc-sysinit.conf", "etc/init/lxc-halt.conf", "sbin/lxc-halt", "etc/rc.d/rc0.d/S00lxc-halt"]
        {
            assert!(!fixed.has(path), "{path}");
        }
        assert!(fixed.report.changes.iter().all(|c| !c.path.contains("lxc-") && !c.diff.contains("init q")));
    }
    for module in CATALOGUE.modules() {
        assert!(!module.text.contains("lxc-sysinit") && !module.text.contains("lxc-halt"), "{}", module.id);
    }
}

#[test]
fn start_udev_is_commented_out_in_all_its_forms() {
    for (form, becomes) in [
        ("/sbin/start_udev", "#/sbin/start_udev"),
        ("[ -x /sbin/start_udev ] && /sbin/start_udev", "#[ -x /sbin/start_udev ] && /sbin/start_udev"),
        ("\t/sbin/start_udev", "\t#/sbin/start_udev\n\t:"),
        ("\t[ -x /sbin/start_udev ] && /sbin/start_udev", "\t#[ -x /sbin/start_udev ] && /sbin/start_udev\n\t:"),
        ("test -x /sbin/start_udev && /sbin/start_udev", "#test -x /sbin/start_udev && /sbin/start_udev"),
        (
            "if [ -x /sbin/start_udev ]; then /sbin/start_udev; fi",
            "#if [ -x /sbin/start_udev ]; then /sbin/start_udev; fi",
        ),
        (
            "if [ -x /sbin/start_udev ]; then\n    /sbin/start_udev\nfi",
            "if [ -x /sbin/start_udev ]; then\n    #/sbin/start_udev\n    :\nfi",
        ),
        ("#/sbin/start_udev", "#/sbin/start_udev"),
    ] {
        let script = format!("=== file etc/rc.d/rc.sysinit 0755 0:0\n#!/bin/bash\n{form}\necho done\n");
        let Some(fixed) = fix(EL6, &script, PLAN) else { return };
        assert_eq!(fixed.text("etc/rc.d/rc.sysinit"), format!("#!/bin/bash\n{becomes}\necho done\n"));
        assert_eq!(fs::metadata(fixed.path("etc/rc.d/rc.sysinit")).unwrap().mode() & 0o777, 0o755, "upstart runs it");
        assert!(fs::symlink_metadata(fixed.path("etc/rc.sysinit")).unwrap().is_symlink());
    }
}

#[test]
fn an_address_of_lxc_is_left_to_lxc() {
    let plan = PLAN.replace("mac =", "method = \"none\"\nmac =");
    for stock in [EL5, EL6] {
        let Some(fixed) = fix(stock, "", &plan) else { return };
        assert!(!fixed.has("etc/sysconfig/network-scripts/ifcfg-eth0"));
    }
}

#[test]
fn agetty_gets_names_and_not_paths() {
    let no_mingetty = "=== gone sbin/mingetty\n=== gone etc/init/tty.conf\n=== gone etc/init/start-ttys.conf\n";
    let Some(fixed) = fix(EL6, no_mingetty, PLAN) else { return };
    assert!(fixed.text("etc/init/console.conf").contains("exec /sbin/agetty -8 38400 console\n"));
    // upstart expands ${...} itself on an exec line: only a shell knows `#/dev/`.
    let tty = fixed.text("etc/init/tty.conf");
    assert!(tty.contains("script\n\texec /sbin/agetty -8 38400 ${TTY#/dev/}\nend script\n"), "{tty}");
    assert!(!tty.contains("\nexec "), "{tty}");
}

#[test]
fn el6_gets_the_minimal_list_and_nothing_else() {
    let Some(fixed) = fix(EL6, &file("etc/fstab", "none /dev/pts devpts rw"), PLAN) else { return };
    assert_eq!(
        fixed.changed(),
        [
            "/etc/fstab",
            "/etc/init/console.conf",
            "/etc/init/power-status-changed.conf",
            "/etc/rc.d/rc.sysinit",
            "/etc/securetty",
            "/etc/sysconfig/network",
            "/etc/sysconfig/network-scripts/ifcfg-eth0",
        ]
    );
}

#[test]
fn el5_gets_the_minimal_list_and_nothing_else() {
    let Some(fixed) = fix(EL5, &file("etc/fstab", "none /dev/pts devpts rw"), PLAN) else { return };
    assert_eq!(
        fixed.changed(),
        [
            "/etc/fstab",
            "/etc/inittab",
            "/etc/rc.d/rc.sysinit",
            "/etc/securetty",
            "/etc/sysconfig/network",
            "/etc/sysconfig/network-scripts/ifcfg-eth0",
        ]
    );
}

#[test]
fn the_root_is_a_file_system_of_its_own() {
    use ovz2lxc::lxc::{Abilities, ContainerConfig, Dialect, RootfsPath, render};
    use ovz2lxc::model::target::{CgroupMode, LxcVersion};
    let dialect = Dialect { version: LxcVersion { major: 5, minor: 0 }, cgroup: CgroupMode::V1 };
    let abilities = Abilities { cpus: 1, numa_nodes: 1, swap_accounting: true, pids: true };
    // A directory would be remounted read-only with the host's own file system by the container's halt.
    for (root, written) in
        [(RootfsPath::Loop("/a".into()), "loop:/a"), (RootfsPath::Device("/dev/vg/a".into()), "/dev/vg/a")]
    {
        let text = render(&ContainerConfig::new("a", root), &dialect, &abilities).unwrap().text;
        let line = text.lines().find(|l| l.starts_with("lxc.rootfs.path")).unwrap();
        assert!(line.ends_with(written) && !line.contains("dir:"), "{line}");
    }
}

#[test]
fn fixups_again_change_nothing_after_a_boot() {
    for stock in [EL5, EL6] {
        let Some(fixed) = fix(stock, &file("etc/fstab", "none /dev/pts devpts rw"), PLAN) else { return };
        // What a boot leaves: rc.sysinit's marks, logs, mtab as the kernel's list.
        for (path, text) in [("var/log/dmesg", "x\n"), ("var/run/utmp", ""), ("var/lock/subsys/network", "")] {
            fs::create_dir_all(fixed.path(path).parent().unwrap()).unwrap();
            fs::write(fixed.path(path), text).unwrap();
        }
        let before = tree::dump(fixed.dir.path());
        let again = fixups::run(fixed.dir.path(), &fixups::plan(PLAN));
        assert_eq!((again.changes, again.findings), (vec![], vec![]));
        assert_eq!(tree::dump(fixed.dir.path()), before);
    }
}

#[test]
fn a_dressed_tree_comes_out_clean() {
    if !support::is_root() {
        return support::skip("redhat_boot", "making trees with owners and nodes needs root");
    }
    let unprivileged = fixups::plan(&format!("privileged = false\n{PLAN}"));
    for stock in [EL5, EL6] {
        let dir = tree::made(&over(stock, &file("etc/fstab", "none /dev/pts devpts rw\nnone /dev/shm tmpfs defaults")));
        let dress = support::node::script("dress.sh")
            .arg(dir.path())
            .args(["redhat", "--ip", "192.168.7.11", "--hostname", "old.example.com", "--wait", "--ugid-quota"])
            .output()
            .unwrap();
        assert!(dress.status.success(), "{}", String::from_utf8_lossy(&dress.stderr));
        let report = fixups::run(dir.path(), &unprivileged);
        assert_eq!(report.findings, []);
        assert_eq!(fs::read_to_string(dir.path().join("etc/fstab")).unwrap(), "");
        let after = tree::dump(dir.path());
        for word in [
            "vzfifo",
            "vz_init_done",
            "fastboot",
            "aquota",
            "simfs",
            "vzquota",
            "vz:",
            "venet",
            "192.168.",
            "\n/sbin/start_udev",
            "etc/init/tty2.conf",
        ] {
            assert!(!after.contains(word), "{word}: {after}");
        }
        let gettys =
            after.lines().filter(|l| l.contains("respawn:/sbin/mingetty") || l.starts_with("exec /sbin/mingetty"));
        let gettys: Vec<&str> = gettys.collect();
        assert!(gettys.len() >= 2 && gettys.iter().all(|l| l.contains("mingetty --nohangup ")), "{gettys:?}");
    }
}
