//! The whole way of containers that are no longer what they were: unprivileged, routed.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::node::{TestNode, read, tree};
use support::skip;

const ADDRESS: &str = "10.77.0.101";
const ADDRESS6: &str = "2001:db8:77::101";
const NAME: &str = "lxc-web101";

/// A node with a container 101, and the program's own places beside it. What runs is killed with it.
struct Bench {
    node: TestNode,
}

impl Bench {
    fn new(test: &'static str, init: &str, more: &[&str]) -> Option<Bench> {
        if !Path::new("/usr/bin/lxc-start").exists() {
            skip(test, "LXC is not installed");
            return None;
        }
        let bench = Bench { node: TestNode::up_in_netns(test)? };
        std::fs::create_dir(bench.lxc_path()).unwrap();
        tree(test, init)?;
        let args = ["--tree", init, "--ip", ADDRESS, "--hostname", "web101.example.com", "--files", "--workload"];
        bench.node.add_container("101", &[&args[..], more].concat());
        Some(bench)
    }

    fn lxc_path(&self) -> PathBuf {
        self.node.work.join("lxc")
    }

    fn directory(&self) -> PathBuf {
        self.lxc_path().join(NAME)
    }

    fn ours(&self, args: &[&str]) -> Output {
        let mut command = self.node.inside(env!("CARGO_BIN_EXE_ovz2lxc"));
        command.arg("--identity").arg(&self.node.key).arg("--known-hosts").arg(&self.node.known_hosts);
        command.arg("--state-dir").arg(self.node.work.join("state")).arg("--lxc-path").arg(self.lxc_path());
        command.args(["--progress", "plain"]).args(args).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs `migrate 101`; returns exit code, document and standard error.
    fn migrate(&self, more: &[&str]) -> (i32, Value, String) {
        let from = format!("root@127.0.0.1:{}", self.node.port);
        let args = ["migrate", "101", "--from", &from, "--format", "json", "--transport", "ssh2"];
        let cluster = if more.contains(&"--cluster") { &[][..] } else { &["--cluster", "none"] };
        let output = self.ours(&[&args[..], cluster, more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code().unwrap(), serde_json::from_slice(&output.stdout).unwrap_or(Value::Null), said)
    }

    fn inside(&self, program: &str, args: &[&str]) -> Output {
        self.node.inside(program).args(args).output().unwrap()
    }

    fn lxc(&self, program: &str, args: &[&str]) -> Output {
        self.node.inside(program).arg("-P").arg(self.lxc_path()).args(["-n", NAME]).args(args).output().unwrap()
    }

    /// What a command prints in the container.
    fn attach(&self, script: &str) -> String {
        let output = self.lxc("lxc-attach", &["--", "/bin/sh", "-c", script]);
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(output.status.success(), "{script}: {said} {}", String::from_utf8_lossy(&output.stderr));
        said
    }

    fn init_pid(&self) -> String {
        String::from_utf8(self.lxc("lxc-info", &["-pH"]).stdout).unwrap().trim().to_owned()
    }

    fn sysctl(&self, key: &str) {
        let path = format!("/proc/sys/{key}");
        let done = self.inside("sh", &["-c", &format!("echo 1 >{path}")]);
        assert!(done.status.success(), "{path}");
    }

    fn answers(&self, address: &str) -> bool {
        self.inside("ping", &["-c", "1", "-W", "5", address]).status.success()
    }

    fn wait_for_sshd(&self) {
        let banner = format!("exec 3<>/dev/tcp/{ADDRESS}/22; head -c 4 <&3");
        let until = Instant::now() + Duration::from_secs(60);
        while self.inside("timeout", &["5", "bash", "-c", &banner]).stdout != b"SSH-" {
            assert!(Instant::now() < until, "sshd does not answer");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn assert_as_before(&self, when: &str) {
        assert_eq!(self.node.status("101"), "CTID 101 exist mounted running", "{when}");
        let left: Vec<_> = std::fs::read_dir(self.lxc_path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "{when}: {left:?}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.lxc("lxc-stop", &["-k"]);
    }
}

/// Lets others through the directories of the test, as those of a real LXC path do.
fn open_way(to: &Path) {
    for dir in to.ancestors().filter(|d| d.starts_with(std::env::temp_dir()) && **d != std::env::temp_dir()) {
        let mode = dir.metadata().unwrap().permissions().mode();
        std::fs::set_permissions(dir, PermissionsExt::from_mode(mode & 0o7777 | 0o011)).unwrap();
    }
}

fn ids(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect()
}

fn run(program: &str, args: &[&str]) -> Output {
    #[expect(clippy::disallowed_methods, reason = "the test looks from outside")]
    Command::new(program).args(args).output().unwrap()
}

/// What nobody may start on its node is started by nobody here: not by the cluster, not with the host.
#[test]
fn a_disabled_container_stays_disabled() {
    let test = "a_disabled_container_stays_disabled";
    if !Path::new("/usr/sbin/pcs").exists() || !Path::new("/usr/sbin/cibadmin").exists() {
        return skip(test, "pcs or cibadmin is not installed");
    }
    let Some(bench) = Bench::new(test, "sysvinit", &[]) else { return };
    let conf = bench.node.conf.join("101.conf");
    let text = read(&conf);
    std::fs::write(&conf, format!("{text}DISABLED=\"yes\"\n")).unwrap();
    let cib = bench.node.work.join("cib.xml");
    std::fs::write(&cib, bench.inside("cibadmin", &["--empty"]).stdout).unwrap();
    let path = cib.to_str().unwrap();
    assert!(bench.inside("pcs", &["-f", path, "property", "set", "stonith-enabled=false"]).status.success());
    let cluster = format!("cib:{path}");
    let place = ["--bridge", "br-ovz", "--prefix4", "24"];
    let (code, report, said) = bench.migrate(&[&place[..], &["--cluster", &cluster]].concat());
    assert_eq!((code, &report["outcome"]), (0, &"migrated".into()), "{said}");
    assert!(ids(&report).contains(&"resource-left-disabled"), "{report:#}");
    assert!(bench.answers(ADDRESS), "it ran, so it runs");
    assert!(read(bench.directory().join("config")).contains("lxc.start.auto = 0"));
    let shown = bench.inside("pcs", &["-f", path, "resource", "config", NAME]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("target-role=Stopped"), "{shown}");
    let output = bench.ours(&["rollback", "101", "--yes", "--discard-target"]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    // vzctl does not start it either; everything of ours is gone all the same.
    assert!(said.contains("vzctl start 101"), "{said}");
    assert!(std::fs::read_dir(bench.lxc_path()).unwrap().next().is_none());
}

/// Puts attributes on files of the source that a plain chown would lose or leave behind.
fn adorn(bench: &Bench) {
    let tree = bench.node.dir.join("101");
    let file = |name: &str| tree.join("var/tmp").join(name).display().to_string();
    for (name, owner, mode) in [("capable", "0:0", "0755"), ("setuid", "33:33", "4755"), ("acl", "1:2", "0640")] {
        std::fs::write(file(name), "x").unwrap();
        assert!(run("chown", &[owner, &file(name)]).status.success());
        assert!(run("chmod", &[mode, &file(name)]).status.success());
    }
    assert!(run("setcap", &["cap_net_raw+ep", &file("capable")]).status.success());
    assert!(run("setfacl", &["-m", "u:33:r,g:5:rw", &file("acl")]).status.success());
}

#[test]
fn an_unprivileged_container_runs_with_ids_of_its_own() {
    let test = "an_unprivileged_container_runs_with_ids_of_its_own";
    let Some(bench) = Bench::new(test, "sysvinit", &["--line", "IOLIMIT=\"64M\""]) else { return };
    adorn(&bench);
    let range = ["--unprivileged", "--id-range", "1000000:65536", "--bridge", "br-ovz", "--prefix4", "24"];
    let closed = std::fs::Permissions::from_mode(0o700);
    std::fs::set_permissions(bench.lxc_path(), closed).unwrap();
    let (code, report, said) = bench.migrate(&range);
    assert_eq!((code, &report["outcome"]), (3, &"blocked".into()), "{said}");
    assert!(ids(&report).contains(&"unprivileged-path-closed"), "{report:#}");
    open_way(&bench.lxc_path());
    let hidden = bench.node.work.join("hidden");
    std::fs::create_dir(&hidden).unwrap();
    std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o700)).unwrap();
    let in_it = ["--storage", "dir", "--volume-dir", hidden.to_str().unwrap()];
    let (_, report, said) = bench.migrate(&[&range[..], &in_it].concat());
    let closed = report["findings"].as_array().unwrap().iter().find(|f| f["id"] == "unprivileged-path-closed");
    let detail = closed.unwrap_or_else(|| panic!("{said}"))["detail"].as_str().unwrap();
    assert_eq!(detail, format!("others must not pass {}", hidden.display()));

    let from = format!("root@127.0.0.1:{}", bench.node.port);
    let dry = ["migrate", "101", "--from", &from, "--cluster", "none", "--dry-run"];
    let shown = String::from_utf8(bench.ours(&[&dry[..], &range].concat()).stdout).unwrap();
    for part in ["0 becomes 1000000", "start-host (mode 0755)", "lxc.start.auto = 1 in", "lxc.idmap = u 0", "#!/bin/sh"]
    {
        assert!(shown.contains(part), "{part} is missing in\n{shown}");
    }
    let (code, report, said) = bench.migrate(&[&range[..], &["--rehearse-failure", "shift-ids"]].concat());
    assert_eq!((code, &report["outcome"]), (1, &"rolled_back".into()), "{said}");
    bench.assert_as_before("after a failure of the shift");
    let kept = || {
        let found = run("find", &[bench.node.work.join("state").to_str().unwrap(), "-name", "fixups-before.json"]);
        String::from_utf8(found.stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(kept(), "", "it went with the tree that it was about");
    let places = run("find", &[bench.node.work.join("state").to_str().unwrap(), "-name", "journal*"]);
    let journal = PathBuf::from(String::from_utf8(places.stdout).unwrap().lines().next().unwrap());
    let stale = journal.with_file_name("fixups-before.json");
    std::fs::write(&stale, "stale").unwrap();

    let (code, report, said) = bench.migrate(&range);
    assert_eq!((code, &report["outcome"], &report["privileged"]), (0, &"migrated".into(), &false.into()), "{said}");
    assert_eq!(PathBuf::from(kept()), stale);
    assert!(read(&stale).starts_with('['), "an earlier run's record is not this one's");
    let shifted = report["phases"].as_array().unwrap().iter().find(|p| p["phase"] == "shift-ids");
    assert_eq!(shifted.unwrap()["state"], "done");
    assert!(read(bench.directory().join("config")).contains("lxc.idmap = u 0 1000000 65536"));
    let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode(bench.directory()) & 1, 1, "its ids get through");
    assert_eq!(mode(bench.directory().join("start-host")), 0o755);

    let pid = bench.init_pid();
    assert!(read(format!("/proc/{pid}/status")).contains("\nUid:\t1000000\t1000000\t"), "init is nobody on this host");
    assert_eq!(bench.attach("id -u"), "0");
    assert_eq!(
        bench.attach("stat -c '%u:%g %a' / /etc/shadow /var/tmp/setuid /var/tmp/capable /var/tmp/acl | sort -u"),
        "0:0 755\n0:42 640\n1:2 660\n33:33 4755"
    );
    assert_eq!(bench.attach("stat -c '%u' /etc/hosts /etc/inittab | sort -u"), "0", "what the fixups wrote is root's");
    assert_eq!(
        bench.attach("find / -xdev ! -path /proc ! -path /sys \\( -uid 65534 -o -gid 65534 \\) | head -3"),
        "",
        "nothing belongs to nobody"
    );
    let at = |name: &str| format!("/proc/{pid}/root/var/tmp/{name}");
    let capability = run("getcap", &["-n", &at("capable")]);
    let capability = String::from_utf8_lossy(&capability.stdout).into_owned();
    assert!(capability.contains("cap_net_raw=ep [rootid=1000000]"), "{capability}");
    let acl = run("getfacl", &["-n", "-p", &at("acl")]);
    let acl = String::from_utf8_lossy(&acl.stdout).into_owned();
    assert!(acl.contains("user:1000033:r--") && acl.contains("group:1000005:rw-"), "{acl}");
    assert!(bench.answers(ADDRESS));
    bench.wait_for_sshd();

    let output = bench.ours(&["rollback", "101", "--yes", "--discard-target"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    bench.assert_as_before("after the rollback");
}

#[test]
fn an_id_that_the_container_is_not_given_is_named_and_the_source_starts_again() {
    let test = "an_id_that_the_container_is_not_given_is_named_and_the_source_starts_again";
    let Some(bench) = Bench::new(test, "sysvinit", &[]) else { return };
    let stray = bench.node.dir.join("101/var/tmp/stray");
    std::fs::write(&stray, "x").unwrap();
    assert!(run("chown", &["70000", stray.to_str().unwrap()]).status.success());
    open_way(&bench.lxc_path());
    let (code, report, said) = bench.migrate(&["--unprivileged", "--bridge", "br-ovz", "--prefix4", "24"]);
    assert_eq!((code, &report["outcome"]), (1, &"rolled_back".into()), "{said}");
    assert!(said.contains("var/tmp/stray") && said.contains("id 70000 is not among"), "{said}");
    assert!(said.contains("--id-range"), "{said}");
    bench.assert_as_before("after the stray id");
}

#[test]
fn a_routed_container_is_reached_without_a_bridge() {
    let test = "a_routed_container_is_reached_without_a_bridge";
    let Some(bench) = Bench::new(test, "sysvinit", &["--ip", "10.77.0.101 2001:db8:77::101"]) else { return };
    let routed = ["--network-mode", "routed", "--uplink", "br-ovz"];
    for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/br-ovz/proxy_ndp"] {
        let off = bench.inside("sh", &["-c", &format!("echo 0 >/proc/sys/{key}")]);
        assert!(off.status.success());
    }
    let (code, report, said) = bench.migrate(&routed);
    assert_eq!((code, &report["outcome"]), (3, &"blocked".into()), "{said}");
    let found = ids(&report);
    assert_eq!(found.iter().filter(|id| **id == "network-forwarding").count(), 2, "{found:?}");
    assert!(found.contains(&"network-proxy-ndp"), "{found:?}");
    for key in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", "net/ipv6/conf/br-ovz/proxy_ndp"] {
        bench.sysctl(key);
    }
    let (code, report, said) = bench.migrate(&routed);
    assert_eq!(
        (code, &report["outcome"], &report["privileged"]),
        (0, &"migrated".into(), &true.into()),
        "{said}\n{report:#}"
    );
    assert!(!ids(&report).contains(&"address-not-tried"), "the health check has tried both: {report:#}");
    let config = read(bench.directory().join("config"));
    assert!(config.contains("lxc.net.0.veth.mode = router") && !config.contains("lxc.net.0.veth.vlan"), "{config}");
    assert!(config.contains("lxc.net.0.ipv4.address = 10.77.0.101/32"), "{config}");
    assert!(bench.answers(ADDRESS) && bench.answers(ADDRESS6));
    bench.wait_for_sshd();
    let routes = bench.attach("ip route; ip -6 route");
    assert!(routes.contains("default via 169.254.0.1") && routes.contains("default via fe80::1"), "{routes}");
    let links = bench.inside("ip", &["-o", "link", "show", "master", "br-ovz"]);
    assert_eq!(String::from_utf8_lossy(&links.stdout), "", "nothing is on the bridge");
    let guest = bench.attach("cat /etc/network/interfaces");
    assert!(!guest.contains("venet") && !guest.contains("10.77.0.101"), "LXC sets the addresses: {guest}");
}
