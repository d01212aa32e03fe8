//! The program as its user meets it: exit codes, errors, documents. Nothing here needs a node.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::Output;

fn ovz2lxc(args: &[&str]) -> Output {
    support::program(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    support::text(&output.stderr)
}

fn stdout(output: &Output) -> String {
    support::text(&output.stdout)
}

fn state(dir: &Path) -> String {
    dir.join("state").display().to_string()
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    for args in [
        &["migrate"][..],
        &["nonsense"],
        &["migrate", "101", "--size", "0"],
        &["migrate", "101", "--size", "4X"],
        &["migrate", "101", "--storage", "zfs"],
        &["migrate", "101", "--password", "x"],
        &["migrate", "101", "--rehearse-failure", "no-such-step", "--from", "local"],
        &["batch"],
        &["check"],
        &["migrate", "101", "--from", "-oProxyCommand=x"],
        &["fixup", "show", "nothing"],
        &["migrate", "101", "--lxc", "five"],
        &["migrate", "101", "102", "--name", "x", "--from", "local"],
    ] {
        let output = ovz2lxc(args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", stderr(&output));
        assert!(!stderr(&output).is_empty(), "{args:?} says nothing");
        assert!(output.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn a_source_must_be_named() {
    let dir = tempfile::tempdir().unwrap();
    let output = ovz2lxc(&["migrate", "101", "--state-dir", &state(dir.path())]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("no source node is named"), "{}", stderr(&output));
    assert!(stderr(&output).contains("hint: name it with --from"), "{}", stderr(&output));
    assert!(!dir.path().join("state").exists(), "a failed start leaves nothing behind");
}

#[test]
fn an_unreachable_node_is_a_clear_error() {
    let dir = tempfile::tempdir().unwrap();
    for transport in ["openssh", "ssh2"] {
        let args = [
            "migrate",
            "101",
            "--from",
            "root@127.0.0.1:1",
            "--transport",
            transport,
            "--state-dir",
            &state(dir.path()),
        ];
        let output = ovz2lxc(&args);
        assert_eq!(output.status.code(), Some(1), "{transport}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(
            said.contains("127.0.0.1") && said.contains("refused") && said.contains("hint:"),
            "{transport}: {said}"
        );
        assert!(!dir.path().join("state").exists());
    }
}

#[test]
fn faults_of_a_manifest_are_said_with_their_place() {
    let dir = tempfile::tempdir().unwrap();
    let manifest = dir.path().join("night.toml");
    for (text, want) in [
        ("[[container]]\nctid = 101\nbrigde = \"br0\"\n", "night.toml, line 3, column 1: unknown field `brigde`"),
        (
            "[[container]]\nctid = 101\n[[container]]\nctid = 101\n",
            "night.toml, line 4, column 8: container 101 stands in line 2",
        ),
        ("[[container]]\nctid = 101\nsize = \"-1\"\n", "night.toml, line 3, column 8"),
    ] {
        std::fs::write(&manifest, text).unwrap();
        let output = ovz2lxc(&["batch", manifest.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(want), "{}", stderr(&output));
    }
}

#[test]
fn nothing_is_known_in_an_empty_state_directory() {
    let dir = tempfile::tempdir().unwrap();
    let output = ovz2lxc(&["status", "--state-dir", &state(dir.path())]);
    assert_eq!((output.status.code(), stdout(&output).as_str()), (Some(0), "no migration is known here\n"));
    for verb in ["resume", "rollback", "cutover", "finish"] {
        let output = ovz2lxc(&[verb, "101", "--state-dir", &state(dir.path())]);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        assert!(stderr(&output).contains("no migration of container 101 is known"), "{verb}: {}", stderr(&output));
    }
}

#[test]
fn settings_are_shown_with_their_origin() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("c.toml");
    std::fs::write(&config, "vg = \"shared_vg\"\nstorage = \"lvm\"\n").unwrap();
    let config = config.to_str().unwrap();
    let output = ovz2lxc(&["config", "show", "--format", "json", "--config", config, "--vg", "other"]);
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], 1);
    let find = |key: &str| document["settings"].as_array().unwrap().iter().find(|s| s["key"] == key).unwrap().clone();
    assert_eq!((&find("vg")["value"], &find("vg")["origin"]), (&"other".into(), &"command line".into()));
    assert_eq!((&find("storage")["value"], &find("storage")["origin"]), (&"lvm".into(), &config.into()));
    assert_eq!((&find("fs")["value"], &find("fs")["origin"]), (&"ext4".into(), &"default".into()));
}

#[test]
fn a_configuration_is_converted_without_node_and_target() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("101.conf");
    std::fs::write(
        &conf,
        "PHYSPAGES=\"0:512M\"\nSWAPPAGES=\"0:1G\"\nCPULIMIT=\"50\"\nDISKSPACE=\"2G:2.2G\"\nIP_ADDRESS=\"10.0.0.101 2001:db8::1/64\"\n\
         HOSTNAME=\"web1.example.com\"\nNUMPROC=\"100:200\"\nONBOOT=\"yes\"\nNOSUCHKEY=\"1\"\n",
    )
    .unwrap();
    let output = ovz2lxc(&[
        "convert",
        "--ve-conf",
        conf.to_str().unwrap(),
        "--format",
        "json",
        "--cgroup",
        "v1",
        "--lxc",
        "5.0",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["schema"], 1);
    assert_eq!(document["ctid"], "101");
    assert_eq!(document["limits"]["memory_bytes"], 512 * 1024 * 1024);
    assert_eq!(document["limits"]["swap_bytes"], 1024 * 1024 * 1024);
    assert_eq!(document["limits"]["pids"], 200);
    assert_eq!(document["limits"]["disk_bytes"], 2_306_867_u64 * 1024);
    assert_eq!(document["limits"]["cpu_mask"], Value::Null);
    assert_eq!(document["network"]["venet"][0]["prefix"], 32);
    assert_eq!(document["onboot"], true);
    let text = document["lxc_config"].as_str().unwrap();
    let at = |key: &str| text.find(key).unwrap_or_else(|| panic!("{key} is missing in {text}"));
    assert!(at("memory.limit_in_bytes") < at("memory.memsw.limit_in_bytes"), "the swap limit must come after memory's");
    let keys: Vec<&str> = document["keys"].as_array().unwrap().iter().map(|k| k["key"].as_str().unwrap()).collect();
    assert!(keys.contains(&"NOSUCHKEY") && keys.contains(&"HOSTNAME"), "{keys:?}");
}

#[test]
fn completions_and_man_pages_are_made() {
    let script = ovz2lxc(&["completions", "bash"]);
    assert!(stdout(&script).contains("_ovz2lxc"));
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(ovz2lxc(&["man", dir.path().to_str().unwrap()]).status.code(), Some(0));
    assert!(dir.path().join("ovz2lxc-rollback.1").is_file());
}

#[test]
fn fixup_modules_explain_themselves() {
    let list = stdout(&ovz2lxc(&["fixup", "list"]));
    assert!(list.lines().all(|l| l.chars().count() <= 80), "{list}");
    let id = list.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    let shown = stdout(&ovz2lxc(&["fixup", "show", &id]));
    assert!(shown.contains("why"), "{shown}");
}

/// Puts a journal there as an earlier run left it; each word is a record, `step` begun, `+step` done, `-step` taken
/// back, `!step` not to be taken back, `=step` kept.
fn journal(dir: &Path, place: &str, command: &str, steps: &[&str], outcome: Option<&str>) {
    let home = dir.join("state/containers").join(place);
    std::fs::create_dir_all(&home).unwrap();
    let mut lines = vec![serde_json::json!({ "record": "run", "version": "0", "command": command, "at": 1 })];
    for step in steps {
        let (record, step) = match (step.strip_prefix('-'), step.strip_prefix('!'), step.strip_prefix('=')) {
            (Some(step), ..) => ("undone", step),
            (_, Some(step), _) => ("undo-failed", step),
            (.., Some(step)) => ("kept", step),
            _ => ("started", *step),
        };
        let mut line = match step.strip_prefix('+') {
            Some(step) => serde_json::json!({ "record": "done", "step": step, "seconds": 1.0, "data": null }),
            None => serde_json::json!({ "record": record, "step": step }),
        };
        if record == "undo-failed" {
            line["why"] = "busy".into();
        }
        lines.push(line);
    }
    lines.extend(outcome.map(|o| serde_json::json!({ "record": "outcome", "outcome": o, "at": 2 })));
    let text: String = lines.iter().map(|l| format!("{l}\n")).collect();
    std::fs::write(home.join("journal.jsonl"), text).unwrap();
}

#[test]
fn where_a_migration_stands_decides_what_may_be_done_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    let steps = ["create-volume", "copy-live"];
    journal(dir.path(), "101@vz1", "sync", &steps, None);
    journal(dir.path(), "102@vz1", "migrate", &["create-volume", "!create-volume"], Some("failed"));
    journal(dir.path(), "103@vz1", "rollback", &["create-volume", "=create-volume"], Some("rolled_back"));
    journal(dir.path(), "104@vz1", "sync", &steps, Some("synced"));
    journal(dir.path(), "105@vz1", "migrate", &steps, Some("migrated"));
    std::fs::create_dir_all(dir.path().join("state/containers/106@vz1")).unwrap();
    std::fs::write(dir.path().join("state/containers/106@vz1/journal.jsonl"), "").unwrap();
    let run = |args: &[&str]| ovz2lxc(&[args, &["--state-dir", &state][..]].concat());
    let shown = run(&["status", "--format", "json"]);
    let document: Value = serde_json::from_slice(&shown.stdout).unwrap();
    let next: Vec<&str> =
        document["migrations"].as_array().unwrap().iter().map(|m| m["next"].as_str().unwrap()).collect();
    assert_eq!(
        next,
        [
            "sync 101, or rollback 101",
            "rollback 102",
            "rollback 103 --discard-target (the volume is kept)",
            "cutover 104, or rollback 104",
            "finish 105, or rollback 105",
            "migrate 106 (nothing was begun)",
        ]
    );
    for (args, want) in [
        (["resume", "102"], "a part of its way back is missing"),
        (["resume", "103"], "container 103 is rolled_back"),
        (["resume", "104"], "container 104 is synced"),
        (["resume", "106"], "nothing was begun"),
        (["rollback", "106"], "nothing was begun"),
        (["rollback", "103"], "rollback 103 --discard-target"),
        (["cutover", "101"], "not copied yet"),
        (["cutover", "105"], "container 105 is migrated"),
        (["finish", "104"], "not complete"),
        (["finish", "102"], "ovz2lxc --state-dir"),
    ] {
        let output = run(&args);
        assert_eq!(output.status.code(), Some(1), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(want), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn an_unknown_fixup_to_skip_is_refused_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    let steps = ["create-volume", "copy-live"];
    journal(dir.path(), "101@vz1", "migrate", &steps, None);
    journal(dir.path(), "104@vz1", "sync", &steps, Some("synced"));
    journal(dir.path(), "105@vz1", "migrate", &["create-volume", "copy-live", "+apply-fixups"], None);
    let run = |verb, ctid| ovz2lxc(&[verb, ctid, "--skip-fixup", "fstba", "--state-dir", &state]);
    for (verb, ctid) in [("resume", "101"), ("cutover", "104")] {
        let output = run(verb, ctid);
        assert_eq!(output.status.code(), Some(2), "{verb}: {}", stderr(&output));
        let said = stderr(&output);
        assert!(said.contains("there is no fixup \"fstba\" to skip (did you mean \"fstab\"?)"), "{verb}: {said}");
    }
    // Where the fixups are done the way forward stays open.
    assert!(stderr(&run("resume", "105")).contains("has no plan"), "{}", stderr(&run("resume", "105")));
}

#[test]
fn a_node_that_was_named_is_honoured_and_nothing_is_made_for_an_unknown_one() {
    let dir = tempfile::tempdir().unwrap();
    let state = state(dir.path());
    journal(dir.path(), "101@root_vz1_22", "migrate", &["create-volume"], Some("migrated"));
    journal(dir.path(), "101@root_vz2_22", "migrate", &["create-volume"], Some("migrated"));
    let run = |args: &[&str]| ovz2lxc(&[args, &["--state-dir", &state][..]].concat());
    let output = run(&["finish", "101"]);
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("101 from root_vz1_22, 101 from root_vz2_22"), "{}", stderr(&output));
    for verb in ["finish", "rollback", "resume", "cutover"] {
        let output = run(&[verb, "101", "--from", "root@vz3:22"]);
        assert_eq!(output.status.code(), Some(1), "{verb}");
        let said = stderr(&output);
        assert!(said.contains("no migration of container 101 from root@vz3:22 is known"), "{verb}: {said}");
        assert!(said.contains(&format!("ovz2lxc --state-dir {state} status")), "the hint works as printed: {said}");
    }
    let found = run(&["finish", "101", "--from", "root@vz2:22"]);
    assert!(stderr(&found).contains("root_vz2_22 has no plan"), "{}", stderr(&found));
    assert_eq!(std::fs::read_dir(dir.path().join("state/containers")).unwrap().count(), 2);
}

#[test]
fn what_was_migrated_is_skipped_though_its_node_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    journal(dir.path(), "101@root_127.0.0.1_1", "migrate", &["create-volume"], Some("migrated"));
    let manifest = dir.path().join("night.toml");
    std::fs::write(&manifest, "[defaults]\nsource = \"root@127.0.0.1:1\"\n[[container]]\nctid = 101\nsize = \"1G\"\n")
        .unwrap();
    let args = ["batch", manifest.to_str().unwrap(), "--format", "json", "--transport", "ssh2", "--state-dir"];
    let output = ovz2lxc(&[&args[..], &[&state(dir.path())]].concat());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["containers"][0]["outcome"], "skipped");
    // One that is not, fails alone, whatever size is asked for.
    std::fs::write(&manifest, "[[container]]\nctid = 102\nsize = \"1G\"\nsource = \"root@127.0.0.1:1\"\n").unwrap();
    let output = ovz2lxc(&[&args[..], &[&state(dir.path())]].concat());
    assert_eq!(output.status.code(), Some(4), "{}", stderr(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["containers"][0]["ctid"], "102");
    assert_eq!(report["containers"][0]["findings"][0]["id"], "not-begun");
}

#[test]
fn every_document_begins_with_schema() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    std::fs::create_dir_all(dir.path().join("tree/etc")).unwrap();
    std::fs::create_dir(dir.path().join("copy")).unwrap();
    std::fs::write(path("101.conf"), "ONBOOT=\"yes\"\n").unwrap();
    std::fs::write(path("plan.toml"), "hostname = \"a\"\nttys = 4\nprivileged = true\n").unwrap();
    let (conf, tree, plan, to, state) =
        (path("101.conf"), path("tree"), path("plan.toml"), path("copy"), path("state"));
    for args in [
        &["config", "show"][..],
        &["status", "--state-dir", &state],
        &["convert", "--ve-conf", &conf],
        &["fixup", "apply", "--rootfs", &tree, "--plan", &plan, "--state-dir", &state],
        &["fixup", "revert", "--rootfs", &tree, "--state-dir", &state],
        &["copy", "--from", &tree, "--to", &to, "--state-dir", &state],
    ] {
        let output = ovz2lxc(&[args, &["--format", "json"]].concat());
        assert!(
            stdout(&output).starts_with("{\n  \"schema\": 1,\n"),
            "{args:?}: {} {}",
            stdout(&output),
            stderr(&output)
        );
    }
}

#[test]
fn what_the_fixups_changed_is_put_back_but_for_what_somebody_changed_since() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let hosts =
        "127.0.0.1 localhost\n# Auto-generated hostname. Please do not remove this comment.\n10.0.0.1 old old\n";
    std::fs::create_dir_all(dir.path().join("tree/etc")).unwrap();
    for (name, text) in [("etc/debian_version", "7.11\n"), ("etc/hosts", hosts), ("fastboot", "")] {
        std::fs::write(dir.path().join("tree").join(name), text).unwrap();
    }
    let plan = "hostname = \"a\"\n[[nic]]\nname = \"eth0\"\naddresses = [\"10.0.0.2/24\"]\n";
    std::fs::write(path("plan.toml"), plan).unwrap();
    let (tree, plan, state, fixups) = (path("tree"), path("plan.toml"), path("state"), path("none"));
    let run = |verb: &str, more: &[&str]| {
        let args = ["fixup", verb, "--rootfs", &tree, "--state-dir", &state, "--fixups-dir", &fixups];
        ovz2lxc(&[&args[..], more].concat())
    };
    let read = |name: &str| std::fs::read_to_string(dir.path().join("tree").join(name)).unwrap();
    let output = run("revert", &[]);
    assert_eq!((output.status.code(), stdout(&output).trim()), (Some(0), "0 changes put back"), "{}", stderr(&output));

    let output = run("apply", &["--plan", &plan, "--dry-run"]);
    assert!(output.status.success() && !dir.path().join("state").exists(), "a dry run keeps nothing");
    assert!(run("apply", &["--plan", &plan]).status.success());
    assert!(read("etc/hosts").contains("10.0.0.2 a") && read("etc/hostname") == "a\n");
    std::fs::write(path("tree/etc/hostname"), "mine\n").unwrap();
    let output = run("revert", &["--diff", "--format", "text"]);
    assert_eq!(output.status.code(), Some(5), "{}", stderr(&output));
    assert!(stdout(&output).contains("/etc/hostname: it was changed after"), "{}", stdout(&output));
    assert!(stdout(&output).contains("-10.0.0.2 a"), "{}", stdout(&output));
    assert!(stderr(&output).contains("--force"), "{}", stderr(&output));
    assert_eq!((read("etc/hosts").as_str(), read("etc/hostname").as_str()), (hosts, "mine\n"));
    assert!(dir.path().join("tree/fastboot").exists());
    let output = run("revert", &["--force"]);
    assert!(output.status.success() && !dir.path().join("tree/etc/hostname").exists(), "{}", stderr(&output));
    assert!(!dir.path().join("state").exists(), "nothing is kept any more");

    // A file where the state directory should be: nothing is changed without a way back.
    std::fs::write(path("state"), "").unwrap();
    let output = run("apply", &["--plan", &plan]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--state-dir"), "{}", stderr(&output));
    assert!(dir.path().join("tree/fastboot").exists());
}

#[test]
fn a_copy_never_deletes_its_own_source() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(inner.join("kept"), "kept").unwrap();
    let (outer, inner_path) = (dir.path().to_str().unwrap(), inner.to_str().unwrap());
    for (from, to) in [(outer, inner_path), (inner_path, outer), (inner_path, inner_path)] {
        for engine in ["stream", "rsync"] {
            let output = ovz2lxc(&["copy", "--from", from, "--to", to, "--engine", engine]);
            assert_eq!(output.status.code(), Some(2), "{from} {to} {engine}: {}", stderr(&output));
            assert_eq!(std::fs::read_to_string(inner.join("kept")).unwrap(), "kept");
        }
    }
}

#[test]
fn a_copy_looks_at_what_became_of_a_directory_since_the_last_one() {
    if !support::is_root() {
        return support::skip("a_copy_looks_at_what_became_of_a_directory_since_the_last_one", "owners need root");
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir_all(dir.path().join("from/a/b")).unwrap();
    std::fs::create_dir(dir.path().join("to")).unwrap();
    std::fs::write(dir.path().join("from/a/b/file"), "kept").unwrap();
    let (from, to, state) = (path("from"), path("to"), path("state"));
    for engine in ["stream", "rsync", "stream"] {
        let copy = ["copy", "--from", &from, "--to", &to, "--state-dir", &state, "--engine", engine, "--delta"];
        let output = ovz2lxc(&copy);
        assert_eq!(output.status.code(), Some(0), "{engine}: {}", stderr(&output));
        assert_eq!(std::fs::read_to_string(dir.path().join("to/a/b/file")).unwrap(), "kept", "{engine}");
        std::fs::remove_file(dir.path().join("to/a/b/file")).unwrap();
    }
    assert!(dir.path().join("state/copies").read_dir().unwrap().count() >= 2, "what was copied is kept for later");
}

#[test]
fn what_is_no_configuration_is_not_converted() {
    let dir = tempfile::tempdir().unwrap();
    let conf = dir.path().join("101.conf");
    for rubbish in [vec![0_u8; 4096], vec![b'a'; 1 << 20], b"\x7fELF\x02\x01\n=\n\"=\"\n".to_vec(), Vec::new()] {
        std::fs::write(&conf, &rubbish).unwrap();
        let output = ovz2lxc(&["convert", "--ve-conf", conf.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
        assert!(stderr(&output).contains("is not a VE configuration"), "{}", stderr(&output));
    }
}
