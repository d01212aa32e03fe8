//! Several containers at once, and names: what the commands do on a node, short of moving anything.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use serde_json::Value;
use std::process::{Output, Stdio};
use support::node::TestNode;

/// A node with two containers with empty trees.
struct Bench {
    node: TestNode,
}

impl Bench {
    fn new(test: &'static str) -> Option<Bench> {
        let node = TestNode::up(test)?;
        std::fs::create_dir(node.work.join("lxc")).unwrap();
        for ctid in ["101", "102"] {
            let hostname = format!("web{ctid}.example.com");
            node.add_container(ctid, &["--empty", "--files", "--hostname", &hostname]);
        }
        Some(Bench { node })
    }

    fn from(&self) -> String {
        format!("root@127.0.0.1:{}", self.node.port)
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.node.inside(env!("CARGO_BIN_EXE_ovz2lxc"));
        command.arg("--identity").arg(&self.node.key).arg("--known-hosts").arg(&self.node.known_hosts);
        command.arg("--state-dir").arg(self.node.work.join("state")).arg("--lxc-path").arg(self.node.work.join("lxc"));
        command.args(["--cluster", "none", "--transport", "ssh2", "--accept", "guest-init-unknown"]);
        command.args(["--accept", "target-lxc-missing"]).args(args).stdin(Stdio::null());
        command.output().unwrap()
    }

    fn manifest(&self, text: &str) -> String {
        let path = self.node.work.join("night.toml");
        std::fs::write(&path, format!("[defaults]\nsource = \"{}\"\n{text}", self.from())).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", said(output)))
}

#[test]
fn who_could_not_be_begun_stands_in_the_document() {
    let Some(bench) = Bench::new("who_could_not_be_begun_stands_in_the_document") else { return };
    let output = bench.run(&["migrate", "998", "999", "--from", &bench.from(), "--format", "json"]);
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    let report = document(&output);
    let ctids: Vec<&str> =
        report["containers"].as_array().unwrap().iter().map(|c| c["ctid"].as_str().unwrap()).collect();
    assert_eq!(ctids, ["998", "999"]);
    assert_eq!(report["containers"][0]["findings"][0]["id"], "not-begun");
    assert!(!bench.node.work.join("state").exists());
}

#[test]
fn dry_runs_are_one_document_and_end_with_3_when_one_is_blocked() {
    let Some(bench) = Bench::new("dry_runs_are_one_document_and_end_with_3_when_one_is_blocked") else { return };
    let from = bench.from();
    let output = bench.run(&["migrate", "101", "102", "--from", &from, "--dry-run", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let shown = document(&output);
    assert_eq!((&shown["schema"], shown["containers"].as_array().unwrap().len()), (&1.into(), 2));
    let manifest = bench.manifest("[[container]]\nctid = 101\n[[container]]\nctid = 102\nbridge = \"br-none\"\nstorage = \"lvm\"\nvg = \"no_such_vg\"\n");
    let output = bench.run(&["batch", &manifest, "--dry-run", "--format", "json"]);
    assert_eq!(output.status.code(), Some(3), "{}", said(&output));
    assert_eq!(document(&output)["containers"].as_array().unwrap().len(), 2);
}

#[test]
fn a_size_that_is_too_small_has_its_place_and_an_unknown_container_stops_nobody() {
    let Some(bench) = Bench::new("a_size_that_is_too_small_has_its_place") else { return };
    let manifest =
        bench.manifest("[[container]]\nctid = 999\nsize = \"1G\"\n[[container]]\nctid = 101\nsize = \"1K\"\n");
    let output = bench.run(&["batch", &manifest]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(
        said(&output).contains("night.toml, line 8, column 8: size 1 KiB cannot hold container 101"),
        "{}",
        said(&output)
    );
}

#[test]
fn a_failure_is_not_rehearsed_after_a_step_that_is_skipped() {
    let Some(bench) = Bench::new("a_failure_is_not_rehearsed_after_a_step_that_is_skipped") else { return };
    let output = bench.run(&["migrate", "101", "--from", &bench.from(), "--rehearse-failure", "shift-ids"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("skipped (the container is privileged)"), "{}", said(&output));
    assert!(!bench.node.work.join("state").exists(), "nothing was begun");
}

#[test]
fn a_copy_goes_by_all_its_names_and_only_while_the_configuration_is_the_same() {
    let Some(bench) = Bench::new("a_copy_goes_by_all_its_names") else { return };
    let from = bench.from();
    let sync = |args: &[&str]| bench.run(&[&["sync"], args, &["--format", "json"]].concat());
    let output = sync(&["101", "--from", &from, "--name", "shop"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    for name in ["shop", "lxc-shop", "0101"] {
        let output = sync(&[name]);
        assert_eq!(document(&output)["name"], "lxc-shop", "{name}: {}", said(&output));
    }
    let elsewhere = sync(&["101", "--from", "root@127.0.0.1:1"]);
    assert_eq!(elsewhere.status.code(), Some(1), "another node is another container: {}", said(&elsewhere));
    let output = bench.run(&["resume", "shop"]);
    assert!(said(&output).contains("container 101 is synced"), "{}", said(&output));
    // A sync that died goes on as a sync.
    let journal = bench.node.work.join("state/containers");
    let journal = std::fs::read_dir(journal).unwrap().next().unwrap().unwrap().path().join("journal.jsonl");
    let text = std::fs::read_to_string(&journal).unwrap();
    let cut = text.rfind("{\"record\":\"done\",\"step\":\"copy-live\"").unwrap();
    std::fs::write(&journal, &text[..cut]).unwrap();
    for verb in ["sync", "resume"] {
        std::fs::write(&journal, &text[..cut]).unwrap();
        let output = bench.run(&[verb, "shop", "--format", "json"]);
        assert_eq!(document(&output)["outcome"], "synced", "{verb}: {}", said(&output));
    }
    assert_eq!(bench.node.status("101"), "CTID 101 exist mounted running");
    // The plan is for the container as it was.
    let conf = bench.node.conf.join("101.conf");
    let old = std::fs::read_to_string(&conf).unwrap();
    std::fs::write(&conf, format!("{old}HOSTNAME=\"other\"\n")).unwrap();
    let output = bench.run(&["cutover", "shop"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    let shown = said(&output);
    assert!(shown.contains("has changed") && shown.contains("rollback 101"), "{shown}");
    assert_eq!(bench.node.status("101"), "CTID 101 exist mounted running");
    let output = bench.run(&["rollback", "lxc-shop"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}
