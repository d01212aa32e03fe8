//! The whole way of a container: a node over real SSH, a real distribution tree, real loop devices, real LXC.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::node::TestNode;
use support::skip;

/// A node with the program's own places beside it, all gone with the test.
struct Bench {
    node: TestNode,
    test: &'static str,
}

const ADDRESS: &str = "10.77.0.101";

impl Bench {
    /// Starts a node in a private network; `None` with the reason recorded where that cannot be.
    fn new(test: &'static str) -> Option<Bench> {
        if !Path::new("/usr/bin/lxc-start").exists() {
            skip(test, "LXC is not installed");
            return None;
        }
        let node = TestNode::up_in_netns(test)?;
        std::fs::create_dir(node.work.join("lxc")).unwrap();
        Some(Bench { node, test })
    }

    /// Puts container 101 there, with a distribution that boots.
    fn with_container(test: &'static str, tree: &str) -> Option<Bench> {
        let bench = Bench::new(test)?;
        support::node::tree(test, tree)?;
        bench.add("101", tree, ADDRESS, &["--files", "--workload"]);
        Some(bench)
    }

    fn add(&self, ctid: &str, tree: &str, address: &str, more: &[&str]) {
        let hostname = format!("web{ctid}.example.com");
        let mut args = vec!["--tree", tree, "--ip", address, "--hostname", &hostname, "--nameserver", "10.77.0.53"];
        args.extend(more);
        self.node.add_container(ctid, &args);
    }

    fn lxc_path(&self) -> PathBuf {
        self.node.work.join("lxc")
    }

    fn state_dir(&self) -> PathBuf {
        self.node.work.join("state")
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.node.inside(env!("CARGO_BIN_EXE_ovz2lxc"));
        command.arg("--identity").arg(&self.node.key).arg("--known-hosts").arg(&self.node.known_hosts);
        command.arg("--state-dir").arg(self.state_dir()).arg("--lxc-path").arg(self.lxc_path());
        command.args(["--bridge", "br-ovz", "--prefix4", "24", "--progress", "plain"]);
        command.args(args).stdin(Stdio::null()); // what stands last wins
        command
    }

    fn from(&self) -> String {
        format!("root@127.0.0.1:{}", self.node.port)
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs `migrate 101` with JSON; returns exit code, document and standard error.
    fn migrate(&self, more: &[&str]) -> (i32, Value, String) {
        let from = self.from();
        let mut args = vec!["migrate", "101", "--from", &from, "--format", "json"];
        if !more.contains(&"--cluster") {
            args.extend(["--cluster", "none"]);
        }
        args.extend(more);
        let output = self.run(&args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), document, said)
    }

    fn inside(&self, program: &str, args: &[&str]) -> Output {
        self.node.inside(program).args(args).output().unwrap()
    }

    fn lxc(&self, program: &str, name: &str, args: &[&str]) -> Output {
        self.node.inside(program).arg("-P").arg(self.lxc_path()).arg("-n").arg(name).args(args).output().unwrap()
    }

    fn lxc_state(&self, name: &str) -> String {
        let output = self.lxc("lxc-info", name, &["-sH"]);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The source is as it was: it runs, and its configuration has not a byte changed.
    fn assert_source_runs(&self, conf: &str, when: &str) {
        assert_eq!(self.node.status("101"), "CTID 101 exist mounted running", "{when}");
        assert_eq!(support::node::read(self.node.conf.join("101.conf")), conf, "{when}");
    }

    /// No volume, no configuration, no mount, no loop device of ours.
    fn assert_nothing_left(&self, when: &str) {
        let left = files_below(&self.lxc_path());
        assert!(left.is_empty(), "{when}: {left:?}");
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*self.state_dir().to_string_lossy()), "{when}: {mounts}");
        let loops = self.inside("losetup", &["-a"]);
        let loops = String::from_utf8_lossy(&loops.stdout).into_owned();
        assert!(!loops.contains(&*self.lxc_path().to_string_lossy()), "{when}: {loops}");
    }

    fn conf(&self) -> String {
        support::node::read(self.node.conf.join("101.conf"))
    }
}

fn files_below(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let Ok(entries) = std::fs::read_dir(dir) else { return found };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_below(&path));
        }
        found.insert(path);
    }
    found
}

fn phase<'v>(report: &'v Value, id: &str) -> &'v Value {
    report["phases"].as_array().unwrap().iter().rfind(|p| p["phase"] == id).unwrap_or(&Value::Null)
}

#[test]
fn a_sysvinit_container_crosses_and_comes_back() {
    let test = "a_sysvinit_container_crosses_and_comes_back";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let conf = bench.conf();
    let (code, report, said) = bench.migrate(&["--engine", "stream"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!((&report["schema"], &report["ctid"], &report["name"]), (&1.into(), &"101".into(), &"lxc-web101".into()));
    assert_eq!(report["outcome"], "migrated");
    assert!(report["downtime_seconds"].as_f64().unwrap() > 0.0);
    assert_eq!(report["resource"], Value::Null);
    let config = bench.lxc_path().join("lxc-web101/config");
    assert_eq!(report["config"], config.to_str().unwrap());
    assert_eq!(report["volume"], bench.lxc_path().join("lxc-web101/rootfs.img").to_str().unwrap());
    assert_eq!(phase(&report, "copy-live")["engine"], "stream");
    assert!(phase(&report, "copy-live")["files"].as_u64().unwrap() > 1000);
    assert!(support::node::read(&config).contains("lxc.start.auto = 1"), "ONBOOT=yes, and it is healthy");
    target_is_alive(&bench, "lxc-web101");
    source_is_fenced(&bench);
    last_difference_arrived(&bench);
    console_shows_login(&bench, "lxc-web101");
    stops_cleanly(&bench, "lxc-web101");

    let output = bench.run(&["rollback", "101"]);
    assert_eq!(output.status.code(), Some(2), "a container that ran here is not taken back without a yes");
    let output = bench.run(&["rollback", "101", "--yes", "--discard-target"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    bench.assert_source_runs(&conf, "after the rollback");
    bench.assert_nothing_left("after the rollback");
}

fn target_is_alive(bench: &Bench, name: &str) {
    assert_eq!(bench.lxc_state(name), "RUNNING");
    assert!(bench.inside("ping", &["-c", "1", "-W", "5", ADDRESS]).status.success(), "the address does not answer");
    let banner = "exec 3<>/dev/tcp/10.77.0.101/22; head -c 4 <&3";
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let output = bench.inside("timeout", &["5", "bash", "-c", banner]);
        if output.stdout == b"SSH-" {
            return;
        }
        assert!(Instant::now() < until, "sshd does not answer: {}", String::from_utf8_lossy(&output.stderr));
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn source_is_fenced(bench: &Bench) {
    assert_eq!(bench.node.status("101"), "CTID 101 exist unmounted down");
    let conf = bench.conf();
    assert!(conf.contains("ONBOOT=\"no\"") && conf.contains("DISABLED=\"yes\""), "{conf}");
}

/// The workload says at its end how far it got; that it did can only have come with the last pass.
fn last_difference_arrived(bench: &Bench) {
    let source = support::node::read(bench.node.dir.join("101/var/tmp/workload/last"));
    let seen = bench.lxc("lxc-attach", "lxc-web101", &["--", "cat", "/var/tmp/workload/last"]);
    assert_eq!(String::from_utf8_lossy(&seen.stdout), source);
}

fn console_shows_login(bench: &Bench, name: &str) {
    let path = bench.lxc_path();
    for tty in ["1", "0"] {
        let command = format!("lxc-console -P {} -n {name} -t {tty}", path.display());
        // A newline makes a getty that has printed its prompt before we came print it again; a getty of systemd may come later.
        let script = format!("(sleep 1; printf '\\n'; sleep 2) | timeout 6 script -qec '{command}' /dev/null");
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let output = bench.inside("bash", &["-c", &script]);
            let seen = String::from_utf8_lossy(&output.stdout).into_owned();
            if seen.contains("login:") {
                break;
            }
            assert!(Instant::now() < until, "no login on tty {tty} of {}: {seen}", bench.test);
        }
    }
}

fn stops_cleanly(bench: &Bench, name: &str) {
    let clock = Instant::now();
    let output = bench.lxc("lxc-stop", name, &["-t", "60"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(bench.lxc_state(name), "STOPPED");
    assert!(clock.elapsed() < Duration::from_secs(50), "it was killed, not shut down");
}

#[test]
fn a_systemd_container_crosses_with_rsync_onto_xfs() {
    let test = "a_systemd_container_crosses_with_rsync_onto_xfs";
    let Some(bench) = Bench::with_container(test, "systemd") else { return };
    let (code, report, said) = bench.migrate(&["--engine", "rsync", "--fs", "xfs", "--transport", "openssh"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(report["outcome"], "migrated");
    assert_eq!(phase(&report, "copy-final")["engine"], "rsync");
    target_is_alive(&bench, "lxc-web101");
    last_difference_arrived(&bench);
    console_shows_login(&bench, "lxc-web101");
    stops_cleanly(&bench, "lxc-web101");
    let output = bench.run(&["finish", "101"]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(bench.run(&["rollback", "101", "--yes"]).status.code(), Some(1), "there is no way back after finish");
}

/// The disk of a node that does not run any more: nothing is stopped, and what would have started with the node starts here.
#[test]
fn what_is_left_of_a_node_starts_under_lxc() {
    let test = "what_is_left_of_a_node_starts_under_lxc";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    assert!(bench.node.ssh("vzctl stop 101").status.success());
    let conf = bench.conf();
    let (file, private) = (bench.node.conf.join("101.conf"), bench.node.dir.join("101"));
    let mut args = vec!["migrate", "101", "--format", "json", "--cluster", "none"];
    args.extend(["--ve-conf", file.to_str().unwrap(), "--private", private.to_str().unwrap()]);
    let output = bench.run(&args);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "migrated");
    target_is_alive(&bench, "lxc-web101");
    last_difference_arrived(&bench);
    let output = bench.run(&["rollback", "101", "--yes", "--discard-target"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(bench.conf(), conf, "nobody wrote into the old configuration");
    bench.assert_nothing_left("after the rollback");
}

/// Every step fails once. Before the point of no return everything comes back by itself; after it, with `rollback`.
#[test]
fn a_failure_at_each_step_leaves_the_source_running_and_nothing_behind() {
    let test = "a_failure_at_each_step_leaves_the_source_running_and_nothing_behind";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let cib = bench.node.work.join("cib.xml");
    let cluster = empty_cib(&bench, &cib);
    if cluster.is_none() {
        skip(test, "the steps of the cluster: pcs or cibadmin is not installed");
    }
    let choice = cluster.clone().unwrap_or_else(|| "none".to_owned());
    let conf = bench.conf();
    let again = format!("ovz2lxc --state-dir {}", bench.state_dir().display());
    let before_cib = cluster.as_ref().map(|_| resources(&bench, &cib));
    for step in ovz2lxc::pipeline::steps::ids() {
        // tests/migrate_modes.rs has those of an unprivileged container.
        if step == "shift-ids" || (cluster.is_none() && step == "register-resource") {
            continue;
        }
        let (code, report, said) = bench.migrate(&["--rehearse-failure", step, "--cluster", &choice]);
        let after = ["check-health", "hand-over", "fence-source"].contains(&step) && step != "check-health";
        if after {
            assert_eq!(code, 5, "{step}: {said}");
            assert_eq!(report["outcome"], "failed", "{step}");
            assert!(
                said.contains(&format!("forward: {again} resume 101"))
                    && said.contains(&format!("back:    {again} rollback 101")),
                "{said}"
            );
            assert_eq!(bench.lxc_state("lxc-web101"), "RUNNING", "{step}: nothing is undone by itself");
            let output = bench.run(&["rollback", "101", "--yes", "--discard-target"]);
            assert_eq!(output.status.code(), Some(0), "{step}: {}", String::from_utf8_lossy(&output.stderr));
        } else {
            assert_eq!(code, 1, "{step}: {said}");
            assert_eq!(report["outcome"], "rolled_back", "{step}: {said}");
            for place in ["volume", "config", "resource"] {
                assert_eq!(report[place], Value::Null, "{step}");
            }
        }
        assert!(said.contains(step), "{step} is not named: {said}");
        bench.assert_source_runs(&conf, step);
        bench.assert_nothing_left(step);
        if let Some(before) = &before_cib {
            assert_eq!(&resources(&bench, &cib), before, "{step}");
        }
    }
    // After all that it still goes through.
    let (code, report, said) = bench.migrate(&["--cluster", &choice]);
    assert_eq!(code, 0, "{said}");
    if cluster.is_some() {
        assert_eq!(report["resource"], "lxc-web101");
    }
    bench.lxc("lxc-stop", "lxc-web101", &["-k"]);
}

/// Makes a CIB file; returns the `--cluster` that names it.
fn empty_cib(bench: &Bench, cib: &Path) -> Option<String> {
    if !Path::new("/usr/sbin/pcs").exists() || !Path::new("/usr/sbin/cibadmin").exists() {
        return None;
    }
    let empty = bench.inside("cibadmin", &["--empty"]);
    std::fs::write(cib, empty.stdout).unwrap();
    let path = cib.to_str().unwrap();
    assert!(bench.inside("pcs", &["-f", path, "property", "set", "stonith-enabled=false"]).status.success());
    Some(format!("cib:{path}"))
}

fn resources(bench: &Bench, cib: &Path) -> String {
    let path = cib.to_str().unwrap();
    let output =
        bench.inside("env", &[&format!("CIB_file={path}"), "cibadmin", "-Q", "--xpath", "//resources|//constraints"]);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn bad_input_is_a_clear_error_and_touches_nothing() {
    let test = "bad_input_is_a_clear_error_and_touches_nothing";
    let Some(bench) = Bench::new(test) else { return };
    bench.node.add_container("101", &["--empty", "--ip", ADDRESS, "--hostname", "web101.example.com"]);
    let conf = bench.conf();
    let from = bench.from();
    let key = bench.node.work.join("wrong_key");
    let made = bench.inside("ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", key.to_str().unwrap()]);
    assert!(made.status.success());
    let none = bench.node.work.join("no_known_hosts");
    std::fs::write(&none, "").unwrap();
    let (key, none) = (key.to_str().unwrap(), none.to_str().unwrap());
    for transport in ["openssh", "ssh2"] {
        let identity = bench.node.key.to_str().unwrap();
        let hosts = bench.node.known_hosts.to_str().unwrap();
        for (what, ctid, identity, hosts, want) in [
            ("unknown CTID", "999", identity, hosts, "container 999"),
            ("wrong key", "101", key, hosts, "accepted"),
            ("unknown host key", "101", identity, none, "host key"),
        ] {
            let mut command = bench.node.inside(env!("CARGO_BIN_EXE_ovz2lxc"));
            command.args(["migrate", ctid, "--from", &from, "--transport", transport, "--identity", identity]);
            command.args(["--known-hosts", hosts, "--bridge", "br-ovz", "--cluster", "none", "--state-dir"]);
            command.arg(bench.state_dir()).arg("--lxc-path").arg(bench.lxc_path()).stdin(Stdio::null());
            let output = command.output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(1), "{what}, {transport}: {said}");
            assert!(said.to_lowercase().contains(want), "{what}, {transport}: {said}");
            assert!(said.contains("hint:"), "{what}, {transport} has no hint: {said}");
            bench.assert_source_runs(&conf, what);
            bench.assert_nothing_left(what);
            assert!(!bench.state_dir().exists(), "{what}");
        }
    }
}

#[test]
fn what_is_taken_or_too_small_is_found_by_the_check() {
    let test = "what_is_taken_or_too_small_is_found_by_the_check";
    let Some(bench) = Bench::new(test) else { return };
    bench.node.add_container("101", &["--empty", "--ip", ADDRESS, "--hostname", "web101.example.com"]);
    let conf = bench.conf();
    let taken = bench.lxc_path().join("lxc-web101");
    std::fs::create_dir_all(&taken).unwrap();
    std::fs::write(taken.join("config"), "lxc.uts.name = somebody\n").unwrap();
    std::fs::write(taken.join("rootfs.img"), "somebody's data").unwrap();
    for (what, more) in [("name taken", &[][..]), ("no bridge", &["--bridge", "br-none", "--name", "free"])] {
        let (code, report, said) = bench.migrate(more);
        assert_eq!(code, 3, "{what}: {said}");
        assert_eq!(report["outcome"], "blocked", "{what}");
        let findings = report["findings"].as_array().unwrap();
        assert!(findings.iter().any(|f| f["severity"] == "blocker" && f["remedy"] != ""), "{what}: {findings:?}");
    }
    let (code, report, said) = bench.migrate(&["--name", "free", "--size", "900T"]);
    assert_eq!((code, &report["outcome"]), (3, &"blocked".into()), "{said}");
    assert_eq!(support::node::read(taken.join("rootfs.img")), "somebody's data");
    assert_eq!(support::node::read(taken.join("config")), "lxc.uts.name = somebody\n");
    bench.assert_source_runs(&conf, "after the checks");
}

#[test]
fn what_vzctl_would_reject_is_a_finding_with_its_line() {
    let test = "what_vzctl_would_reject_is_a_finding_with_its_line";
    let Some(bench) = Bench::new(test) else { return };
    let bad = ["--line", "NUMPROC=\"10K\"", "--line", "a line without an equals sign"];
    let mut args = vec!["--empty", "--ip", ADDRESS, "--hostname", "web101.example.com"];
    args.extend(bad);
    bench.node.add_container("101", &args);
    let from = bench.from();
    let output = bench.run(&["check", "101", "--from", &from, "--format", "json", "--cluster", "none"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let findings = report["containers"][0]["findings"].as_array().unwrap().clone();
    let rejected: Vec<&Value> = findings.iter().filter(|f| f["id"] == "ve-line-rejected").collect();
    assert_eq!(rejected.len(), 2, "{findings:#?}");
    assert!(rejected.iter().all(|f| f["subject"].as_str().unwrap().contains("101.conf:")), "{rejected:#?}");
}

#[test]
fn a_dry_run_shows_commands_diff_and_configuration_and_changes_nothing() {
    let test = "a_dry_run_shows_commands_diff_and_configuration_and_changes_nothing";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let conf = bench.conf();
    let from = bench.from();
    let output = bench.run(&["migrate", "101", "--from", &from, "--dry-run", "--cluster", "none"]);
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    for part in [
        "mkfs.ext4",
        "vzctl stop 101",
        "vzctl set 101 --onboot no --disabled yes --save",
        "lxc-start",
        "-iface venet0:0",
        "lxc.net.0.link = br-ovz",
        "pf::powerwait:/sbin/shutdown -h now",
    ] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
    bench.assert_source_runs(&conf, "after a dry run");
    bench.assert_nothing_left("after a dry run");
    assert!(!bench.state_dir().exists(), "a dry run keeps no state");
}

#[test]
fn sync_then_cutover_and_a_killed_run_is_resumed() {
    let test = "sync_then_cutover_and_a_killed_run_is_resumed";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let from = bench.from();
    for round in 0..2 {
        // With the built-in client nothing of a killed run lives on, which would hold its private mounts.
        let more = ["--cluster", "none", "--transport", "ssh2", "--format", "json"];
        let output = bench.run(&[&["sync", "101", "--from", from.as_str()], &more[..]].concat());
        assert_eq!(output.status.code(), Some(0), "round {round}: {}", String::from_utf8_lossy(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["outcome"], "synced");
        assert_eq!(bench.node.status("101"), "CTID 101 exist mounted running");
    }
    // A fixup that was to be skipped and is none any more: said while the container runs.
    let home = std::fs::read_dir(bench.state_dir().join("containers")).unwrap().next().unwrap().unwrap().path();
    let plan = std::fs::read_to_string(home.join("plan.json")).unwrap();
    let mut other: Value = serde_json::from_str(&plan).unwrap();
    other["skip_fixups"] = serde_json::json!(["fstba"]);
    std::fs::write(home.join("plan.json"), other.to_string()).unwrap();
    let output = bench.run(&["cutover", "101"]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no fixup \"fstba\" to skip"));
    assert_eq!(bench.node.status("101"), "CTID 101 exist mounted running");
    std::fs::write(home.join("plan.json"), plan).unwrap();
    // The run dies without a word once the source has stopped.
    let mut child = bench.command(&["cutover", "101"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let journal = bench.state_dir().join("containers");
    wait_for(&journal, "\"record\":\"started\",\"step\":\"copy-final\"", &mut child);
    kill(child.id(), "KILL");
    child.wait().unwrap();
    let status = bench.run(&["status", "--format", "json"]);
    let document: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(document["migrations"][0]["outcome"], "interrupted");
    let output = bench.run(&["resume", "101", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "migrated", "{}", String::from_utf8_lossy(&output.stderr));
    target_is_alive(&bench, "lxc-web101");
    last_difference_arrived(&bench);
    bench.lxc("lxc-stop", "lxc-web101", &["-k"]);
}

/// A run dies during the downtime; somebody starts the old container by hand; then the run is resumed.
#[test]
fn a_resumed_run_does_not_trust_that_the_source_is_still_down() {
    let test = "a_resumed_run_does_not_trust_that_the_source_is_still_down";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let from = bench.from();
    let args = ["migrate", "101", "--from", &from, "--cluster", "none", "--transport", "ssh2"];
    let mut child = bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&bench.state_dir().join("containers"), "\"record\":\"started\",\"step\":\"apply-fixups\"", &mut child);
    kill(child.id(), "KILL");
    child.wait().unwrap();
    assert!(bench.node.ssh("vzctl start 101").status.success());
    assert!(bench.node.ssh("echo late >/vz/private/101/var/tmp/late").status.success());
    let output = bench.run(&["resume", "101", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "migrated", "{}", String::from_utf8_lossy(&output.stderr));
    source_is_fenced(&bench);
    let seen = bench.lxc("lxc-attach", "lxc-web101", &["--", "cat", "/var/tmp/late"]);
    assert_eq!(String::from_utf8_lossy(&seen.stdout), "late\n", "what was written meanwhile is not lost");
    last_difference_arrived(&bench);
    bench.lxc("lxc-stop", "lxc-web101", &["-k"]);
}

/// A run dies while the container is being stopped: what finds it down later must not take it for one that did not run.
#[test]
fn a_run_that_died_in_the_stop_is_resumed() {
    let test = "a_run_that_died_in_the_stop_is_resumed";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    std::fs::write(bench.node.state.join("101/stop-seconds"), "2\n").unwrap();
    let from = bench.from();
    let args = ["migrate", "101", "--from", &from, "--cluster", "none", "--transport", "ssh2"];
    let mut child = bench.command(&args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&bench.state_dir().join("containers"), "\"record\":\"started\",\"step\":\"stop-source\"", &mut child);
    kill(child.id(), "KILL");
    child.wait().unwrap();
    let output = bench.run(&["resume", "101", "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "migrated", "{}", String::from_utf8_lossy(&output.stderr));
    target_is_alive(&bench, "lxc-web101");
    source_is_fenced(&bench);
    bench.lxc("lxc-stop", "lxc-web101", &["-k"]);
}

/// Outside of a private mount namespace a dead run leaves its volume mounted, and a stop that goes on over there.
#[test]
fn a_killed_run_is_taken_back_with_the_volume_still_mounted() {
    let test = "a_killed_run_is_taken_back_with_the_volume_still_mounted";
    let Some(node) = TestNode::up(test) else { return };
    let bench = Bench { node, test };
    std::fs::create_dir(bench.lxc_path()).unwrap();
    bench.node.add_container("101", &["--empty", "--files", "--workload", "--hostname", "web101.example.com"]);
    let conf = bench.conf();
    std::fs::write(bench.node.state.join("101/stop-seconds"), "4\n").unwrap();
    let from = bench.from();
    let accept = ["--accept", "guest-init-unknown", "--accept", "target-lxc-missing"];
    let args = ["migrate", "101", "--from", &from, "--cluster", "none", "--transport", "ssh2"];
    let mut child = bench.command(&[&args[..], &accept[..]].concat()).stdout(Stdio::null()).spawn().unwrap();
    wait_for(&bench.state_dir().join("containers"), "\"record\":\"started\",\"step\":\"stop-source\"", &mut child);
    kill(child.id(), "KILL");
    child.wait().unwrap();
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    assert!(mounts.contains(&*bench.state_dir().to_string_lossy()), "the dead run's volume is still mounted");
    let output = bench.run(&["rollback", "101"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    bench.assert_source_runs(&conf, "after the rollback");
    bench.assert_nothing_left("after the rollback");
}

/// Somebody writes into the copy after the last pass: it is not what the source is, and never starts.
#[test]
fn a_copy_that_differs_never_starts_and_the_container_comes_back() {
    let test = "a_copy_that_differs_never_starts_and_the_container_comes_back";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let (conf, from) = (bench.conf(), bench.from());
    let args = ["migrate", "101", "--from", &from, "--cluster", "none", "--storage", "dir", "--format", "json"];
    let mut child = bench.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let journal = bench.state_dir().join("containers");
    wait_for(&journal, "\"record\":\"done\",\"step\":\"copy-final\"", &mut child);
    std::fs::write(bench.lxc_path().join("lxc-web101/rootfs/var/zz\nintruder"), "x").unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["outcome"]), (Some(1), &"rolled_back".into()), "{said}");
    assert!(said.contains("var/zz\\nintruder: is not on the source"), "{said}");
    assert_eq!(phase(&report, "start-target"), &Value::Null, "it never started");
    bench.assert_source_runs(&conf, "after a copy that differs");
    bench.assert_nothing_left("after a copy that differs");
}

/// `verify` says what each difference comes from, before the move and after it.
#[test]
fn differences_are_explained_before_and_after_the_move() {
    let test = "differences_are_explained_before_and_after_the_move";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let from = bench.from();
    let verify = |more: &[&str]| {
        let output = bench.run(&[&["verify", "101", "--format", "json"], more].concat());
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let document: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        (output.status.code().unwrap(), document, said)
    };
    let synced = bench.run(&["sync", "101", "--from", &from, "--cluster", "none", "--storage", "dir"]);
    assert!(synced.status.success(), "{}", String::from_utf8_lossy(&synced.stderr));
    assert!(bench.node.ssh("echo late >/vz/private/101/var/tmp/late").status.success());
    let (code, document, said) = verify(&[]);
    assert_eq!((code, &document["state"], &document["how"]), (0, &"synced".into(), &"metadata".into()), "{said}");
    let late = document["listed"].as_array().unwrap().iter().find(|d| d["path"] == "var/tmp/late");
    assert_eq!(late.map(|d| (&d["cause"], &d["what"])), Some((&"source".into(), &"is missing".into())), "{document:#}");
    let tree = bench.lxc_path().join("lxc-web101/rootfs");
    // The record of the run knows seconds: what is written within its last one may be its own.
    std::thread::sleep(Duration::from_millis(1100));
    let banner = std::fs::read(tree.join("etc/passwd")).unwrap();
    std::fs::write(tree.join("etc/passwd"), &banner[1..]).unwrap();
    let (code, document, said) = verify(&[]);
    assert_eq!(code, 1, "{document:#}");
    assert!(said.contains("etc/passwd: "), "{said}");

    let moved = bench.run(&["cutover", "101", "--verify", "content", "--format", "json"]);
    let report: Value = serde_json::from_slice(&moved.stdout).unwrap();
    assert_eq!(moved.status.code(), Some(0), "{}", String::from_utf8_lossy(&moved.stderr));
    let verified = &phase(&report, "verify")["verified"];
    assert_eq!((&verified["how"], &verified["differences"]), (&"content".into(), &serde_json::json!({})), "{report:#}");
    assert!(verified["content_files"].as_u64().unwrap() > 1000, "{verified:#}");
    let (code, document, said) = verify(&["--verify", "content"]);
    assert_eq!((code, &document["state"]), (0, &"migrated".into()), "{said}{document:#}");
    assert!(document["differences"]["fixup"].as_u64().unwrap() > 0, "{document:#}");
    assert!(document["differences"]["target"].as_u64().unwrap() > 0, "{document:#}");
    assert_eq!(document["differences"]["copy"], Value::Null, "{document:#}");
    assert_eq!(bench.run(&["verify", "101", "--verify", "none"]).status.code(), Some(2));
    bench.lxc("lxc-stop", "lxc-web101", &["-k"]);
}

#[test]
fn no_space_is_found_before_anything_is_touched() {
    let test = "no_space_is_found_before_anything_is_touched";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let conf = bench.conf();
    let (small, from) = (bench.node.work.join("small"), bench.from());
    std::fs::create_dir(&small).unwrap();
    let program = env!("CARGO_BIN_EXE_ovz2lxc");
    // The mount lives in the command's own namespace and goes with it.
    let script = format!(
        "mount -t tmpfs -o size=64m small {0} && exec {program} --state-dir {1} --lxc-path {2} --identity {3} \
         --known-hosts {4} migrate 101 --from {from} --cluster none --bridge br-ovz --volume-dir {0} --format json",
        small.display(),
        bench.state_dir().display(),
        bench.lxc_path().display(),
        bench.node.key.display(),
        bench.node.known_hosts.display()
    );
    let output = bench.inside("sh", &["-c", &script]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
    let findings = report["findings"].as_array().unwrap();
    let finding = findings.iter().find(|f| f["id"] == "storage-no-space").unwrap_or_else(|| panic!("{findings:#?}"));
    assert_ne!(finding["remedy"], "");
    bench.assert_source_runs(&conf, "without space");
    bench.assert_nothing_left("without space");
}

#[test]
fn an_interrupt_is_a_clean_stop_and_a_second_run_is_locked_out() {
    let test = "an_interrupt_is_a_clean_stop_and_a_second_run_is_locked_out";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let conf = bench.conf();
    let from = bench.from();
    // A slow shutdown gives us time to look and to interrupt.
    std::fs::write(bench.node.state.join("101/stop-seconds"), "4\n").unwrap();
    let args = ["migrate", "101", "--from", &from, "--cluster", "none"];
    let mut child = bench.command(&args).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&bench.state_dir().join("containers"), "\"record\":\"started\",\"step\":\"stop-source\"", &mut child);
    let second = bench.run(&args);
    assert_eq!(second.status.code(), Some(6), "{}", String::from_utf8_lossy(&second.stderr));
    kill(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    bench.assert_source_runs(&conf, "after an interrupt");
    bench.assert_nothing_left("after an interrupt");
}

fn wait_for(dir: &Path, text: &str, child: &mut std::process::Child) {
    let until = Instant::now() + Duration::from_secs(120);
    loop {
        let seen = files_below(dir)
            .iter()
            .any(|f| f.ends_with("journal.jsonl") && std::fs::read_to_string(f).is_ok_and(|t| t.contains(text)));
        if seen {
            return;
        }
        assert!(child.try_wait().unwrap().is_none(), "it ended before {text}");
        assert!(Instant::now() < until, "{text} never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The test's child is a wrapper that becomes the program by exec, so the signal reaches the program.
fn kill(pid: u32, signal: &str) {
    #[expect(clippy::disallowed_methods, reason = "the test sends a signal")]
    let done = Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
fn when_the_node_itself_fails_the_operator_is_told() {
    let test = "when_the_node_itself_fails_the_operator_is_told";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    let conf = bench.conf();
    bench.node.fail("101", "stop", 9);
    let (code, report, said) = bench.migrate(&[]);
    assert_eq!((code, &report["outcome"]), (1, &"rolled_back".into()), "{said}");
    assert!(said.contains("locked"), "vzctl's code is explained: {said}");
    bench.assert_source_runs(&conf, "after a stop that failed");
    bench.assert_nothing_left("after a stop that failed");
    // A start that fails once is tried again over a new connection.
    bench.node.fail("101", "start", 9);
    let (code, _, said) = bench.migrate(&["--rehearse-failure", "stop-source"]);
    assert_eq!(code, 1, "{said}");
    bench.assert_source_runs(&conf, "after a start that failed once");
    // The way back fails for good: the volume goes all the same, the operator gets the command.
    let path = bench.node.conf.join("101.conf");
    std::fs::write(&path, format!("{conf}DISABLED=\"yes\"\n")).unwrap();
    let (code, report, said) = bench.migrate(&["--rehearse-failure", "copy-final"]);
    assert_eq!((code, &report["outcome"]), (5, &"failed".into()), "{said}");
    assert!(said.contains("vzctl start 101") && said.contains(" rollback 101"), "{said}");
    bench.assert_nothing_left("after a start that failed");
    std::fs::write(&path, &conf).unwrap();
    let output = bench.run(&["rollback", "101"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    bench.assert_source_runs(&conf, "after the second try");
}

#[test]
fn a_batch_goes_past_a_failure() {
    let test = "a_batch_goes_past_a_failure";
    let Some(bench) = Bench::with_container(test, "sysvinit") else { return };
    bench.node.add_container("102", &["--empty", "--ip", "10.77.0.102", "--hostname", "web101.example.com"]);
    let from = bench.from();
    let inventory = bench.run(&["inventory", "--from", &from, "--format", "toml"]);
    let manifest = bench.node.work.join("night.toml");
    let text = String::from_utf8(inventory.stdout).unwrap();
    assert!(text.contains("ctid = \"101\"") && text.contains("ctid = \"102\""), "{text}");
    std::fs::write(&manifest, text.replace("[defaults]\n", "[defaults]\ncluster = \"none\"\n")).unwrap();
    let manifest = manifest.to_str().unwrap();
    let checked = bench.run(&["batch", manifest, "--check", "--format", "json"]);
    let report: Value = serde_json::from_slice(&checked.stdout).unwrap();
    assert_eq!(report["containers"].as_array().unwrap().len(), 2);
    // 102 has the same host name and an empty tree: its name is taken by then.
    let output = bench.run(&["batch", manifest, "--format", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((&report["summary"]["migrated"], &report["summary"]["blocked"]), (&1.into(), &1.into()), "{report:#}");
    let again = bench.run(&["batch", manifest, "--format", "json"]);
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(report["summary"]["skipped"], 1, "what was migrated is not migrated again: {report:#}");
    bench.lxc("lxc-stop", "lxc-web101", &["-k"]);
}
