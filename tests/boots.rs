//! Real starts: Debian trees with five inits and architectures, dressed as vzctl dresses them, fixed up, and started under
//! LXC from image files. All at once, since most of it is waiting.
//!
//! The watch for gettys that respawn is short here; `cargo test --test boots -- --ignored` watches for a minute. Alpine is
//! not among them: it cannot be had from Debian's archive. BusyBox's init, which Alpine has, is, on a Debian userland.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::lxc::{Abilities, ContainerConfig, Dialect, Link, RootfsPath, Veth, render};
use ovz2lxc::model::guest::{Family, Init};
use ovz2lxc::model::target::{CgroupMode, LxcVersion};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use support::node::script;
use support::skip;

/// A guest that is started.
struct Guest {
    name: &'static str,
    tree: &'static str,
    init: Init,
    arch: &'static str,
    /// Changes the fresh tree before vzctl sees it.
    prepare: fn(&Path),
}

const GUESTS: [Guest; 5] = [
    Guest { name: "sysvinit", tree: "sysvinit", init: Init::Sysvinit, arch: "x86_64", prepare: |_| () },
    Guest { name: "systemd", tree: "systemd", init: Init::Systemd, arch: "x86_64", prepare: |_| () },
    Guest { name: "i386", tree: "i386", init: Init::Sysvinit, arch: "i686", prepare: |_| () },
    Guest { name: "openrc", tree: "openrc", init: Init::Openrc, arch: "x86_64", prepare: |_| () },
    Guest { name: "busybox", tree: "sysvinit", init: Init::Busybox, arch: "x86_64", prepare: busybox },
];

const BRIDGE: &str = "br-boot";

/// BusyBox's init with an inittab as Alpine has one, in place of System V's.
fn busybox(tree: &Path) {
    fs::copy("/bin/busybox", tree.join("bin/busybox")).unwrap();
    fs::remove_file(tree.join("sbin/init")).unwrap();
    symlink("/bin/busybox", tree.join("sbin/init")).unwrap();
    let inittab = "::sysinit:/etc/init.d/rcS\n::wait:/etc/init.d/rc 2\n\
        tty1::respawn:/sbin/getty 38400 tty1\ntty2::respawn:/sbin/getty 38400 tty2\n\
        ::ctrlaltdel:/sbin/reboot\n::shutdown:/etc/init.d/rc 0\n";
    fs::write(tree.join("etc/inittab"), inittab).unwrap();
}

/// Why nothing can be started on this machine.
fn obstacle() -> Option<String> {
    if !support::is_root() {
        return Some("not root".into());
    }
    for program in ["lxc-start", "lxc-console", "mkfs.ext4", "ip", "nsenter", "ping", "script"] {
        if !has(program) {
            return Some(format!("{program} is not installed"));
        }
    }
    (!Path::new("/dev/loop-control").exists()).then(|| "there are no loop devices".into())
}

fn has(program: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).any(|dir| dir.join(program).is_file())
}

/// A private network, and an LXC path; both are gone at the end, with whatever still runs.
struct Lab {
    dir: tempfile::TempDir,
}

impl Drop for Lab {
    fn drop(&mut self) {
        for guest in &GUESTS {
            let _ = self.lxc("lxc-stop", guest, &["-k"]).output();
        }
        let _ = script("netns.sh").arg("down").arg(self.net()).status();
    }
}

impl Lab {
    fn new(test: &str) -> Option<Lab> {
        // In memory when there is room: five trees and five images are a gigabyte and a half.
        let memory = Path::new("/dev/shm");
        let roomy = rustix::fs::statvfs(memory).is_ok_and(|s| s.f_bavail.saturating_mul(s.f_frsize) > 4 << 30);
        let mut builder = tempfile::Builder::new();
        builder.prefix("ovz2lxc-boot-");
        let lab = Lab { dir: if roomy { builder.tempdir_in(memory) } else { builder.tempdir() }.unwrap() };
        fs::create_dir(lab.lxc_path()).unwrap();
        let mut up = script("netns.sh");
        up.arg("up").arg(lab.net()).args(["--bridge", BRIDGE, "--address", "10.77.9.1/24"]);
        let output = up.output().unwrap();
        if !output.status.success() {
            skip(test, String::from_utf8_lossy(&output.stderr).trim());
            return None;
        }
        Some(lab)
    }

    fn net(&self) -> PathBuf {
        self.dir.path().join("net")
    }

    fn lxc_path(&self) -> PathBuf {
        self.dir.path().join("lxc")
    }

    fn inside(&self, program: &str) -> Command {
        let mut command = script("netns.sh");
        command.arg("exec").arg(self.net()).args(["--", program]);
        command
    }

    fn lxc(&self, program: &str, guest: &Guest, args: &[&str]) -> Command {
        let mut command = self.inside(program);
        command.arg("-P").arg(self.lxc_path()).args(["-n", guest.name]).args(args);
        command
    }

    fn console_log(&self, guest: &Guest) -> String {
        let bytes = fs::read(self.lxc_path().join(guest.name).join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn gettys(&self, guest: &Guest) -> Vec<String> {
        let output = self.lxc("lxc-attach", guest, &["--", "ps", "-eo", "pid,args"]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().filter(|l| l.contains("getty")).map(|l| l.trim().to_owned()).collect()
    }
}

impl Lab {
    /// Tells whether exactly one getty serves a terminal. systemd gives its gettys the terminal as standard input, and the
    /// unit's name says which.
    fn serves(&self, guest: &Guest, terminal: &str, gettys: &[String]) -> bool {
        if guest.init == Init::Systemd {
            let unit = if terminal == "console" { "console-getty".into() } else { format!("getty@{terminal}") };
            return self
                .lxc("lxc-attach", guest, &["--", "systemctl", "is-active", &unit])
                .output()
                .unwrap()
                .status
                .success();
        }
        gettys.iter().filter(|l| l.split_whitespace().any(|w| w == terminal)).count() == 1
    }
}

fn ok(about: &str, command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{about}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

fn address(index: usize) -> String {
    format!("10.77.9.{}", 10 + index)
}

/// Makes a guest's tree, dresses it, fixes it up, and puts it into an image.
fn prepare(lab: &Lab, index: usize, guest: &Guest) {
    let dir = lab.lxc_path().join(guest.name);
    let tree = dir.join("tree");
    fs::create_dir_all(&tree).unwrap();
    ok(guest.name, script("trees.sh").args(["extract", guest.tree]).arg(&tree));
    (guest.prepare)(&tree);
    // As on a machine with disks: whoever checks these gets no further than a shell that asks for the password.
    let fstab = "/dev/sda1 / ext4 errors=remount-ro 0 1\nLABEL=data /srv ext4 defaults 0 2\n";
    fs::write(tree.join("etc/fstab"), fstab).unwrap();
    let hostname = format!("{}.example.com", guest.name);
    let ips = format!("192.168.7.{index} 192.168.8.{index}/24 2001:db8::{index}/64");
    let dress = ["debian", "--ip", &ips, "--hostname", &hostname, "--nameserver", "192.168.7.53", "--wait"];
    ok(guest.name, script("dress.sh").arg(&tree).args(dress).arg("--ugid-quota"));
    let plan = format!(
        "hostname = \"{hostname}\"\nnameservers = [\"10.77.9.1\"]\nttys = 4\n[[nic]]\nname = \"eth0\"\n\
         addresses = [\"{}/24\"]\ngateway4 = \"10.77.9.1\"\n",
        address(index)
    );
    fs::write(dir.join("plan.toml"), plan).unwrap();
    let apply = |format: &str| {
        #[expect(clippy::disallowed_methods, reason = "runs the program under test")]
        let mut command = Command::new(env!("CARGO_BIN_EXE_ovz2lxc"));
        command.args(["fixup", "apply", "--format", format, "--rootfs"]).arg(&tree);
        command.arg("--plan").arg(dir.join("plan.toml")).arg("--state-dir").arg(dir.join("state"));
        command.args(["--fixups-dir", "/nonexistent"]);
        String::from_utf8(ok(guest.name, &mut command).stdout).unwrap()
    };
    let first: serde_json::Value = serde_json::from_str(&apply("json")).unwrap();
    assert_eq!(first["guest"]["init"], serde_json::to_value(guest.init).unwrap(), "{}", guest.name);
    assert_eq!(first["guest"]["arch"], guest.arch, "{}", guest.name);
    assert!(apply("text").contains("0 changes made"), "{}: a second run changes nothing", guest.name);
    let image = dir.join("rootfs.img");
    fs::File::create(&image).unwrap().set_len(600 << 20).unwrap();
    #[expect(
        clippy::disallowed_methods,
        reason = "the tests look at the tool from outside, with processes of their own"
    )]
    let mut mkfs = Command::new("mkfs.ext4");
    ok(guest.name, mkfs.args(["-q", "-F", "-d"]).arg(&tree).arg(&image));
    fs::remove_dir_all(&tree).unwrap();
    let include = "/usr/share/lxc/config/common.conf";
    let config = ContainerConfig {
        hostname,
        arch: guest.arch.into(),
        nics: vec![Veth::new("eth0", format!("02:16:3e:00:09:{:02x}", 10 + index), Link::bridge(BRIDGE))],
        include: Path::new(include).exists().then(|| include.to_owned()),
        init: guest.init,
        family: Family::Debian,
        console_log: Some(dir.join("console.log")),
        ..ContainerConfig::new(guest.name, RootfsPath::Loop(image))
    };
    let dialect = Dialect { version: LxcVersion { major: 5, minor: 0 }, cgroup: CgroupMode::Both };
    let host = Abilities { cpus: 1, numa_nodes: 1, swap_accounting: false, pids: true };
    fs::write(dir.join("config"), render(&config, &dialect, &host).unwrap().text).unwrap();
}

/// Waits until a condition holds; says what was seen otherwise.
fn wait(about: &str, limit: Duration, mut seen: impl FnMut() -> Result<(), String>) {
    let until = Instant::now() + limit;
    while let Err(what) = seen() {
        assert!(Instant::now() < until, "{about}: {what}");
        std::thread::sleep(Duration::from_millis(500));
    }
}

/// Starts a guest and looks at it from outside until it is up.
fn start(lab: &Lab, index: usize, guest: &Guest) {
    let log = lab.lxc_path().join(guest.name).join("start.log");
    let start = || {
        let _ = fs::remove_file(&log);
        lab.lxc("lxc-start", guest, &["-d", "-l", "INFO", "-o", log.to_str().unwrap()]).output().unwrap()
    };
    let all = || fs::read_to_string(&log).unwrap_or_default();
    let said = || all().lines().filter(|line| line.contains(" ERROR ")).collect::<Vec<_>>().join("\n");
    // LXC gives up when another one was faster with the loop device that it chose.
    let taken = |started: &Output| !started.status.success() && all().contains("Failed to set loop fd");
    let started = (0..10).map(|_| start()).find(|started| !taken(started)).unwrap_or_else(start);
    assert!(started.status.success(), "{}: {}", guest.name, said());
    let address = address(index);
    let limit = Duration::from_secs(120);
    wait(guest.name, limit, || match lab.inside("ping").args(["-c", "1", "-W", "2", &address]).output() {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(format!("{address} does not answer\n{}", lab.console_log(guest))),
    });
    wait(guest.name, limit, || match lab.console_log(guest) {
        log if log.contains("login:") => Ok(()),
        log => Err(format!("there is no login on the console\n{log}")),
    });
    wait(guest.name, limit, || {
        let console = format!("lxc-console -P {} -n {} -t 1", lab.lxc_path().display(), guest.name);
        // A newline makes a getty that has printed its prompt before we came print it again.
        let script = format!("(sleep 1; printf '\\n'; sleep 2) | timeout 6 script -qec '{console}' /dev/null");
        let output = lab.inside("bash").args(["-c", &script]).output().unwrap();
        let seen = String::from_utf8_lossy(&output.stdout).into_owned();
        if seen.contains("login:") { Ok(()) } else { Err(format!("there is no login on tty1: {seen}")) }
    });
    let inside = ok(guest.name, &mut lab.lxc("lxc-attach", guest, &["--", "hostname"]));
    assert!(String::from_utf8_lossy(&inside.stdout).starts_with(guest.name));
    let route = ok(guest.name, &mut lab.lxc("lxc-attach", guest, &["--", "ip", "route", "show", "default"]));
    assert!(String::from_utf8_lossy(&route.stdout).contains("via 10.77.9.1 dev eth0"), "{}", guest.name);
}

/// Asks for a clean stop with SIGPWR, or what the init takes for it, and waits for it; nothing is killed.
fn stop(lab: &Lab, guest: &Guest) {
    let clock = Instant::now();
    let output = lab.lxc("lxc-stop", guest, &["--nokill", "-t", "60"]).output().unwrap();
    let state = lab.lxc("lxc-info", guest, &["-sH"]).output().unwrap();
    let state = String::from_utf8_lossy(&state.stdout).trim().to_owned();
    assert!(
        state == "STOPPED" && clock.elapsed() < Duration::from_secs(60),
        "{}: {state} after {:?}: {}\n{}",
        guest.name,
        clock.elapsed(),
        String::from_utf8_lossy(&output.stderr),
        lab.console_log(guest)
    );
}

fn everywhere(act: impl Fn(usize, &Guest) + Sync, guests: &[&Guest]) {
    std::thread::scope(|scope| {
        let act = &act;
        let threads: Vec<_> =
            guests.iter().enumerate().map(|(n, guest)| (guest.name, scope.spawn(move || act(n, guest)))).collect();
        let failed: Vec<_> = threads.into_iter().filter_map(|(name, t)| t.join().err().map(|_| name)).collect();
        assert!(failed.is_empty(), "{failed:?} failed, see above");
    });
}

fn boot(test: &str, watch: Duration) {
    if let Some(why) = obstacle() {
        return skip(test, &why);
    }
    let Some(lab) = Lab::new(test) else { return };
    let static_busybox = fs::read("/bin/busybox").is_ok_and(|b| !b.windows(9).take(8192).any(|w| w == b"/ld-linux"));
    let mut guests: Vec<&Guest> = Vec::new();
    for guest in &GUESTS {
        if guest.init == Init::Busybox && !static_busybox {
            skip(test, "busybox: there is no static /bin/busybox");
        } else if support::node::tree(test, guest.tree).is_some() {
            guests.push(guest);
        }
    }
    everywhere(|n, guest| prepare(&lab, n, guest), &guests);
    everywhere(|n, guest| start(&lab, n, guest), &guests);
    let before: Vec<Vec<String>> = guests.iter().map(|g| lab.gettys(g)).collect();
    std::thread::sleep(watch);
    for (guest, before) in guests.iter().zip(before) {
        // A getty that starts anew has another number: nobody has logged in meanwhile.
        assert_eq!(lab.gettys(guest), before, "{}: gettys respawn", guest.name);
        for terminal in ["console", "tty1", "tty2", "tty3", "tty4"] {
            assert!(lab.serves(guest, terminal, &before), "{}: not one getty on {terminal}: {before:#?}", guest.name);
        }
        assert_eq!(before.len(), 5, "{}: {before:#?}", guest.name);
        let log = lab.console_log(guest);
        assert!(!log.contains("respawning"), "{}: {log}", guest.name);
        assert!(!log.contains("venet"), "{}: {log}", guest.name);
    }
    everywhere(|_, guest| stop(&lab, guest), &guests);
}

#[test]
fn five_guests_start_log_in_answer_and_stop() {
    boot("five_guests_start_log_in_answer_and_stop", Duration::from_secs(5));
}

#[test]
#[ignore = "takes a minute more"]
fn no_getty_respawns_within_a_minute() {
    boot("no_getty_respawns_within_a_minute", Duration::from_secs(60));
}
