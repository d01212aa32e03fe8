//! `ovz2lxc convert` as its user meets it: one file in, one configuration out, neither node nor target.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

const SHOP: &str = "ONBOOT=\"yes\"\nBOOTORDER=\"5\"\nPHYSPAGES=\"0:512M\"\nSWAPPAGES=\"0:256M\"\nCPULIMIT=\"50%\"\n\
                    OSTEMPLATE=\"centos-6-x86\"\nIP_ADDRESS=\"10.0.0.101 2001:db8::5\"\nHOSTNAME=\"web1.example.com\"\n\
                    NETIF=\"ifname=eth1,mac=00:18:51:AA:BB:CC,host_ifname=veth101.1,bridge=vzbr0\"\n\
                    IOLIMIT=\"20M\"\nDESCRIPTION=\"the shop\"\n";

fn ovz2lxc(args: &[&str]) -> Output {
    support::program(args).output().unwrap()
}

/// Converts a text that stands in a file of that name.
fn convert(name: &str, text: &[u8], options: &[&str]) -> Output {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(name);
    std::fs::write(&file, text).unwrap();
    ovz2lxc(&[&["convert", "--ve-conf", file.to_str().unwrap(), "--config", &none(dir.path())], options].concat())
}

/// An empty configuration file, so that the machine's own has no say.
fn none(dir: &Path) -> String {
    let file = dir.join("none.toml");
    std::fs::write(&file, "").unwrap();
    file.to_str().unwrap().to_owned()
}

fn stdout(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(0), "{}", support::text(&output.stderr));
    support::text(&output.stdout)
}

fn document(options: &[&str]) -> Value {
    let output = convert("101.conf", SHOP.as_bytes(), &[options, &["--format", "json"]].concat());
    serde_json::from_str(&stdout(&output)).unwrap()
}

fn lines(document: &Value) -> Vec<String> {
    document["lxc_config"].as_str().unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn the_text_is_a_configuration_with_everything_else_as_comments() {
    let text = stdout(&convert("101.conf", SHOP.as_bytes(), &["--lxc", "5.0", "--cgroup", "both"]));
    for line in text.lines() {
        assert!(line.is_empty() || line.starts_with('#') || line.starts_with("lxc."), "{line:?}");
    }
    let config: Vec<&str> = text.lines().filter(|l| l.starts_with("lxc.")).collect();
    let json = document(&["--lxc", "5.0", "--cgroup", "both"]);
    let same: Vec<String> = lines(&json).into_iter().filter(|l| l.starts_with("lxc.")).collect();
    assert_eq!(config, same);
    assert!(text.contains("# CPULIMIT=\"50%\"\n#     ignored; percent of all CPUs"), "{text}");
    assert!(text.contains("# the shop\n"), "DESCRIPTION is a comment: {text}");
    let keys = SHOP.lines().count();
    assert!(text.contains(&format!("# {keys} keys: ")), "{text}");
}

#[test]
fn lxc_sets_the_addresses_unless_somebody_says_otherwise() {
    let by_lxc = lines(&document(&["--lxc", "5.0"]));
    assert!(by_lxc.contains(&"lxc.net.0.ipv4.address = 10.0.0.101/32".to_owned()), "{by_lxc:?}");
    assert!(by_lxc.contains(&"lxc.net.0.ipv6.address = 2001:db8::5/128".to_owned()));
    let with = ["--lxc", "5.0", "--prefix4", "24", "--gateway4", "10.0.0.1", "--bridge", "br7"];
    let with = lines(&document(&with));
    for line in ["ipv4.address = 10.0.0.101/24", "ipv4.gateway = 10.0.0.1", "link = br7"] {
        assert!(with.contains(&format!("lxc.net.0.{line}")), "{line}: {with:?}");
    }
    let by_guest = lines(&document(&["--lxc", "5.0", "--addresses", "guest"]));
    assert!(!by_guest.iter().any(|l| l.contains("address")), "{by_guest:?}");
}

#[test]
fn an_interface_keeps_its_name_its_mac_and_its_bridge() {
    let all = lines(&document(&["--lxc", "5.0"]));
    for line in ["name = eth1", "hwaddr = 00:18:51:aa:bb:cc", "veth.pair = veth101.1", "link = vzbr0"] {
        assert!(all.contains(&format!("lxc.net.1.{line}")), "{line}: {all:?}");
    }
}

#[test]
fn the_template_tells_the_architecture_only_where_no_tree_does() {
    let guessed = document(&["--lxc", "5.0"]);
    assert!(lines(&guessed).contains(&"lxc.arch = i686".to_owned()));
    let ids = |d: &Value| d["findings"].as_array().unwrap().iter().map(|f| f["id"].clone()).collect::<Vec<_>>();
    assert!(ids(&guessed).contains(&"guest-not-examined".into()));
    let tree = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(tree.path().join("sbin")).unwrap();
    std::fs::copy(env!("CARGO_BIN_EXE_ovz2lxc"), tree.path().join("sbin/init")).unwrap();
    let seen = document(&["--lxc", "5.0", "--rootfs", tree.path().to_str().unwrap()]);
    let arch = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };
    assert!(lines(&seen).contains(&format!("lxc.arch = {arch}")), "{:?}", lines(&seen));
    assert!(!ids(&seen).contains(&"guest-not-examined".into()));
}

#[test]
fn numbers_of_source_and_target_are_said_or_asked_for() {
    let limit = |options: &[&str]| document(options)["limits"]["cpu_quota_percent"].clone();
    assert_eq!(limit(&["--lxc", "5.0"]), Value::Null);
    assert_eq!(limit(&["--lxc", "5.0", "--source-cpus", "8"]), 400);
    let masked = |cpus: &str| {
        let output =
            convert("101.conf", b"CPUMASK=\"0-3\"\n", &["--lxc", "5.0", "--cgroup", "v2", "--host-cpus", cpus]);
        stdout(&output).contains("lxc.cgroup2.cpuset.cpus = 0-3")
    };
    assert!(masked("4") && !masked("3"));
    for bad in [["--host-cpus", "0"], ["--source-cpus", "x"], ["--lxc", "0.9"], ["--approximate", "HOSTNAME"]] {
        let output = convert("101.conf", SHOP.as_bytes(), &bad);
        assert_eq!(output.status.code(), Some(2), "{bad:?}: {}", support::text(&output.stderr));
    }
}

#[test]
fn it_starts_with_its_host_only_where_no_cluster_decides() {
    let auto = |options: &[&str]| lines(&document(options)).contains(&"lxc.start.auto = 1".to_owned());
    assert!(auto(&["--lxc", "5.0"]));
    assert!(!auto(&["--lxc", "5.0", "--cluster", "pcs"]));
    let disabled = convert("101.conf", b"ONBOOT=\"yes\"\nDISABLED=\"yes\"\n", &["--lxc", "5.0"]);
    assert!(stdout(&disabled).contains("lxc.start.auto = 0\n"));
}

#[test]
fn the_result_is_written_where_it_is_wanted_and_nothing_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("lxc-web1");
    let options = ["--lxc", "5.0", "--cgroup", "v2", "--output", out.to_str().unwrap()];
    let json = document(&options);
    assert_eq!(std::fs::read_to_string(out.join("config")).unwrap(), json["lxc_config"].as_str().unwrap());
    let hook = json["hook"].as_object().unwrap();
    assert_eq!(hook["path"], "/var/lib/lxc/lxc-web1/start-host", "where the configuration calls it");
    assert!(json["lxc_config"].as_str().unwrap().contains("lxc.hook.start-host = /var/lib/lxc/lxc-web1/start-host"));
    assert_eq!(std::fs::read_to_string(out.join("start-host")).unwrap(), hook["text"].as_str().unwrap());
    std::fs::write(out.join("config"), "mine").unwrap();
    let again = convert("101.conf", SHOP.as_bytes(), &options);
    assert_eq!(again.status.code(), Some(1));
    let error = support::text(&again.stderr);
    assert!(error.contains("File exists") && error.contains("hint:"), "{error}");
    assert_eq!(std::fs::read_to_string(out.join("config")).unwrap(), "mine");
}

#[test]
fn every_dialect_is_written() {
    for version in ["1.0", "1.1", "2.0", "2.1", "3.0", "4.0", "5.0", "6.0"] {
        let new = version >= "2.1";
        let all = lines(&document(&["--lxc", version, "--cgroup", "v1"]));
        let name = if new { "lxc.uts.name" } else { "lxc.utsname" };
        assert!(all.contains(&format!("{name} = web1.example.com")), "{version}: {all:?}");
        assert_eq!(all.iter().any(|l| l.starts_with("lxc.net.")), new, "{version}");
    }
}

#[test]
fn an_answer_is_true_for_the_dialect_that_is_written() {
    let answer = |options: &[&str], key: &str| {
        let keys = document(options)["keys"].as_array().unwrap().clone();
        let one = keys.into_iter().find(|k| k["key"] == key).unwrap();
        (one["outcome"].as_str().unwrap().to_owned(), one["into"].as_str().unwrap().to_owned())
    };
    let hook = ("approximated".to_owned(), "lxc.hook.start-host".to_owned());
    assert_eq!(answer(&["--lxc", "5.0", "--cgroup", "v2"], "IOLIMIT"), hook);
    assert_eq!(answer(&["--lxc", "1.0", "--cgroup", "v1"], "IOLIMIT"), ("ignored".into(), String::new()));
    let memory = |cgroup: &str| answer(&["--lxc", "5.0", "--cgroup", cgroup], "PHYSPAGES").1;
    assert_eq!(memory("v1"), "lxc.cgroup.memory.limit_in_bytes");
    assert_eq!(memory("v2"), "lxc.cgroup2.memory.max");
}

#[test]
fn a_plan_is_kept_to_and_what_it_leaves_out_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let plan = dir.path().join("plan.toml");
    let text = "hostname = \"new.example.com\"\nttys = 2\nprivileged = false\n[[nic]]\nname = \"eth0\"\nmethod = \"none\"\n\
                addresses = [\"10.9.0.1/24\"]\ngateway4 = \"10.9.0.254\"\n";
    std::fs::write(&plan, text).unwrap();
    let made = document(&["--lxc", "5.0", "--plan", plan.to_str().unwrap()]);
    let all = lines(&made);
    for line in [
        "lxc.uts.name = new.example.com",
        "lxc.tty.max = 2",
        "lxc.idmap = u 0 100000 65536",
        "lxc.net.0.ipv4.address = 10.9.0.1/24",
        "lxc.net.1.name = eth1",
    ] {
        assert!(all.contains(&line.to_owned()), "{line}: {all:?}");
    }
    assert_eq!(made["privileged"], false);
    let lost = made["findings"].as_array().unwrap().iter().find(|f| f["id"] == "plan-address-missing").unwrap();
    assert!(lost["detail"].as_str().unwrap().contains("10.0.0.101"), "{lost}");
}

#[test]
fn a_directory_is_a_directory_and_a_named_lxc_is_another_host() {
    let storage = |options: &[&str]| {
        let all = lines(&document(&[&["--lxc", "5.0"], options].concat()));
        all.into_iter().find(|l| l.starts_with("lxc.rootfs.path")).unwrap()
    };
    assert_eq!(storage(&["--storage", "dir"]), "lxc.rootfs.path = dir:/var/lib/lxc/lxc-web1/rootfs");
    assert_eq!(storage(&["--storage", "lvm", "--vg", "vg0"]), "lxc.rootfs.path = lvm:/dev/vg0/lxc-web1");
    assert!(storage(&[]).starts_with("lxc.rootfs.path = loop:"));
    let mapped = lines(&document(&["--lxc", "5.0", "--storage", "dir", "--unprivileged"]));
    assert!(mapped.contains(&"lxc.rootfs.options = idmap=container".to_owned()), "{mapped:?}");
    let routed = lines(&document(&["--lxc", "5.0", "--network-mode", "routed"]));
    assert!(routed.contains(&"lxc.net.0.veth.mode = router".to_owned()));
    assert!(
        !routed.iter().any(|l| l.contains("lxc.net.0.link")),
        "this host's interfaces are not the other's: {routed:?}"
    );
}

#[test]
fn what_cannot_be_read_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let fifo = dir.path().join("101.conf");
    #[expect(clippy::disallowed_methods, reason = "makes a FIFO")]
    let made = Command::new("mkfifo").arg(&fifo).status().unwrap();
    assert!(made.success());
    let good = dir.path().join("102.conf");
    std::fs::write(&good, SHOP).unwrap();
    let [fifo, good] = [&fifo, &good].map(|p| p.to_str().unwrap());
    for args in [
        ["--ve-conf", fifo, "--lxc", "5.0"],
        ["--ve-conf", "/dev/zero", "--lxc", "5.0"],
        ["--ve-conf", dir.path().to_str().unwrap(), "--lxc", "5.0"],
        ["--ve-conf", good, "--vz-conf", fifo],
        ["--ve-conf", good, "--plan", fifo],
    ] {
        let output = ovz2lxc(&[&["convert"][..], &args].concat());
        let error = support::text(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {error}");
        assert!(error.contains("not a regular file"), "{args:?}: {error}");
    }
}

#[test]
fn a_file_that_vzctl_makes_nothing_of_is_no_configuration() {
    let many: String = (0..60).map(|n| format!("garbage{n} = {n}\n")).collect();
    for text in [many.as_str(), "HOSTNAME=\"web\n", "\u{feff}HOSTNAME=\"web1\"\n"] {
        let output = convert("101.conf", text.as_bytes(), &["--lxc", "5.0"]);
        assert_eq!(output.status.code(), Some(1), "{text}");
        let error = support::text(&output.stderr);
        assert!(error.contains("is not a VE configuration"), "{error}");
    }
    let output = convert("101.conf", b"HOSTNAME=\"web\n", &["--lxc", "5.0"]);
    let error = support::text(&output.stderr);
    assert!(error.contains("101.conf:1:10") && error.contains("quote"), "line, column and what vzctl does: {error}");
}

#[test]
fn of_two_files_either_both_are_written_or_none() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("start-host"), "mine").unwrap();
    let output = convert("101.conf", SHOP.as_bytes(), &["--lxc", "5.0", "--output", dir.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!dir.path().join("config").exists());
    assert_eq!(std::fs::read_to_string(dir.path().join("start-host")).unwrap(), "mine");
}

/// Whatever an answer says about a line of the configuration is so: in each dialect, with the key and without it.
#[test]
fn no_answer_contradicts_the_configuration() {
    const KEYS: &[(&str, &[&str])] = &[
        ("PHYSPAGES=\"0:512M\"", &[]),
        ("PRIVVMPAGES=\"100000\"", &["--approximate", "PRIVVMPAGES"]),
        ("VMGUARPAGES=\"65536\"", &["--approximate", "VMGUARPAGES"]),
        ("LOCKEDPAGES=\"256\"", &["--approximate", "LOCKEDPAGES"]),
        ("SHMPAGES=\"21504\"", &["--approximate", "SHMPAGES"]),
        ("NUMFILE=\"9312\"", &["--approximate", "NUMFILE"]),
        ("NUMFILE=\"9312\"", &[]),
        ("NUMPROC=\"240\"", &[]),
        ("NUMPTY=\"16\"", &[]),
        ("CPUUNITS=\"2000\"", &[]),
        ("CPULIMIT=\"50\"", &[]),
        ("CPULIMIT=\"50%\"", &[]),
        ("CPUS=\"2\"", &[]),
        ("CPUMASK=\"0-1\"", &["--host-cpus", "2"]),
        ("CPUMASK=\"0-3\"", &["--host-cpus", "2"]),
        ("NODEMASK=\"0\"", &["--host-nodes", "1"]),
        ("NODEMASK=\"1\"", &["--host-nodes", "1"]),
        ("IOPRIO=\"6\"", &[]),
        ("IOLIMIT=\"20M\"", &[]),
        ("IOPSLIMIT=\"500\"", &[]),
        ("DEVICES=\"c:10:200:rw\"", &[]),
        ("DEVICES=\"c:10:200:none\"", &[]),
        ("DEVNODES=\"net/tun:rw\"", &[]),
        ("DEVNODES=\"sda1:rw\"", &[]),
        ("BOOTORDER=\"5\"", &[]),
        ("ONBOOT=\"yes\"", &[]),
    ];
    let base = |options: &[&str]| lines_of(&[], options);
    for (version, cgroup) in
        [("1.0", "v1"), ("2.0", "v1"), ("2.0", "v2"), ("3.0", "v2"), ("3.0", "both"), ("5.0", "v1"), ("5.0", "v2")]
    {
        for (key, more) in KEYS {
            let options = [&["--lxc", version, "--cgroup", cgroup], *more].concat();
            let (without, _) = base(&options);
            let (with, answer) = lines_of(&[key], &options);
            let changed: Vec<&String> = with.iter().filter(|l| !without.contains(l)).collect();
            let (outcome, into) = answer.unwrap();
            let place = format!("{key} for {version} {cgroup}: {outcome} into \"{into}\", lines {changed:?}");
            if outcome == "ignored" {
                assert!(changed.is_empty(), "{place}");
            } else {
                for line in into.split(", ") {
                    assert!(with.iter().any(|l| l.starts_with(&format!("{line} = "))), "{place}");
                }
                assert!(!into.is_empty() && !changed.is_empty(), "{place}");
            }
        }
    }
}

/// The lines of a configuration of these keys, and the answer to the last of them.
fn lines_of(keys: &[&str], options: &[&str]) -> (Vec<String>, Option<(String, String)>) {
    let text = format!("HOSTNAME=\"web1\"\n{}\n", keys.join("\n"));
    let output = convert("101.conf", text.as_bytes(), &[options, &["--format", "json"]].concat());
    let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let lines = lines(&document).into_iter().filter(|l| l.starts_with("lxc.")).collect();
    let answers = document["keys"].as_array().unwrap();
    let text = |answer: &Value, field: &str| answer[field].as_str().unwrap().to_owned();
    (lines, answers.last().filter(|_| !keys.is_empty()).map(|a| (text(a, "outcome"), text(a, "into"))))
}

#[test]
fn what_is_accepted_is_accepted_here_too() {
    let found = |options: &[&str]| {
        let options = [&["--lxc", "5.0", "--format", "json"], options].concat();
        let output = convert("101.conf", b"PCI=\"00:1d.0\"\n", &options);
        let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
        let findings = document["findings"].as_array().unwrap().clone();
        let of =
            |id: &str| findings.iter().filter(|f| f["id"] == id).map(|f| f["severity"].clone()).collect::<Vec<_>>();
        (of("ve-pci"), of("accept-unused").len())
    };
    assert_eq!(found(&[]), (vec!["overridable".into()], 0));
    assert_eq!(found(&["--accept", "ve-pci"]), (vec!["warning".into()], 0));
    assert_eq!(found(&["--accept", "no-such-finding"]), (vec!["overridable".into()], 1));
}

#[test]
fn a_capability_that_is_not_given_is_named_once() {
    let why = |options: &[&str]| {
        let options = [&["--lxc", "5.0", "--format", "json"], options].concat();
        let output = convert("101.conf", b"CAPABILITY=\"SYS_MODULE:on SYS_TIME:on SYS_NICE:off\"\n", &options);
        let document: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(document["keys"][0]["outcome"], "approximated");
        document["keys"][0]["why"].as_str().unwrap().to_owned()
    };
    let named = |why: &str, name: &str| why.matches(name).count();
    let privileged = why(&[]);
    assert_eq!((named(&privileged, "sys_module"), named(&privileged, "sys_time")), (1, 0), "{privileged}");
    let unprivileged = why(&["--unprivileged"]);
    assert_eq!((named(&unprivileged, "sys_module"), named(&unprivileged, "sys_time")), (1, 1), "{unprivileged}");
}
