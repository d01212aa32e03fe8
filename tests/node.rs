//! The stand-ins for vzctl and vzlist speak as the real tools do, over real SSH: what the other tests learn from the node
//! is worth what this one holds.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use std::process::Output;
use std::time::{Duration, Instant};
use support::node::{TestNode, read, script};

fn out(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn err(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a command on the node and returns its exit code.
fn code(node: &TestNode, command: &str) -> i32 {
    node.ssh(command).status.code().unwrap()
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !done() {
        assert!(Instant::now() < end, "waited 30 s in vain: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The JSON of vzlist, past the warnings that come before it.
fn json(node: &TestNode, arguments: &str) -> serde_json::Value {
    let output = node.ssh(&format!("vzlist -j {arguments}"));
    assert!(output.status.success(), "{}", err(&output));
    let text = out(&output);
    let start = text.lines().position(|line| line.starts_with('[')).unwrap();
    let list: String = text.lines().skip(start).map(|line| format!("{line}\n")).collect();
    serde_json::from_str(&list).unwrap()
}

#[test]
fn the_life_of_a_container() {
    let Some(node) = TestNode::up("node::the_life_of_a_container") else { return };
    node.add_container(
        "101",
        &["--empty", "--hostname", "web1.example.com", "--ip", "10.0.0.101 10.0.0.102/24", "--workload"],
    );
    assert_eq!(node.status("101"), "CTID 101 exist mounted running");
    assert_eq!(node.status("999"), "CTID 999 deleted unmounted down");
    let private = node.dir.join("101");
    assert_eq!(read(private.join("etc/hostname")), "web1\n");
    assert!(private.join("fastboot").exists());
    assert!(read(private.join("etc/hosts")).contains("10.0.0.101 web1.example.com  web1\n"));
    assert!(
        read(private.join("etc/network/interfaces"))
            .contains("auto venet0:1\niface venet0:1 inet static\n\taddress 10.0.0.102\n")
    );
    assert!(read(node.conf.join("101.conf")).ends_with("VE_LAYOUT=\"simfs\"\n"), "start writes the layout");

    let work = private.join("var/tmp/workload");
    let count = || std::fs::read_to_string(work.join("count")).unwrap_or_default().trim().parse().unwrap_or(0u64);
    wait_for("the workload writes", || count() > 0);
    let before = count();
    wait_for("the workload goes on", || count() > before);
    assert_eq!(code(&node, "vzctl start 101"), 32, "running already");
    assert_eq!(code(&node, "vzctl umount 101"), 32, "running");
    assert!(node.ssh("vzctl stop 101").status.success());
    let last = read(work.join("last"));
    assert_eq!(read(work.join("count")).trim(), last.trim(), "nothing is written after the stop");
    assert_eq!(node.status("101"), "CTID 101 exist unmounted down");
    let again = node.ssh("vzctl stop 101");
    assert_eq!((again.status.code(), err(&again).trim()), (Some(0), "Container is not running"));

    assert_eq!(code(&node, "vzctl mount 101"), 0);
    assert_eq!(code(&node, "vzctl mount 101"), 0, "mounted already");
    assert_eq!(node.status("101"), "CTID 101 exist mounted down");
    assert_eq!(out(&node.ssh("vzlist -H -o status 101")).trim(), "mounted");
    assert_eq!(code(&node, "ls /vz/root/101/fastboot && vzctl umount 101"), 0);
    assert_eq!(code(&node, "vzctl umount 101"), 40);
    assert_eq!(code(&node, "vzctl exec 101 true"), 31);
}

#[test]
fn exit_codes_locks_and_dumps() {
    let Some(node) = TestNode::up("node::exit_codes_locks_and_dumps") else { return };
    node.add_container("101", &["--empty", "--stopped"]);
    for (command, expected) in [
        ("vzctl frobnicate 101", 20),
        ("vzctl start", 20),
        ("vzctl set 101 --frobnicate 1 --save", 20),
        ("vzctl set 101 --onboot maybe --save", 21),
        ("vzctl status nosuchname", 21),
        ("vzctl start 999", 14),
        ("vzctl set 999 --onboot no --save", 14),
    ] {
        assert_eq!(code(&node, command), expected, "{command}");
    }
    std::fs::rename(node.dir.join("101"), node.dir.join("elsewhere")).unwrap();
    assert_eq!(node.status("101"), "CTID 101 deleted unmounted down");
    assert_eq!(code(&node, "vzctl mount 101"), 43);
    std::fs::rename(node.dir.join("elsewhere"), node.dir.join("101")).unwrap();

    // A lock holds while the process whose number is in it lives, and not longer.
    assert_eq!(
        code(
            &node,
            "sleep 60 >/dev/null 2>&1 & echo $! > /vz/lock/101.lck; vzctl start 101; r=$?; kill $!; wait $!; exit $r"
        ),
        9
    );
    assert_eq!(code(&node, "vzctl start 101"), 0);
    assert!(!node.vz.join("lock/101.lck").exists());

    assert_eq!(code(&node, "vzctl chkpnt 101"), 0);
    assert_eq!(node.status("101"), "CTID 101 exist unmounted down suspended");
    assert_eq!(out(&node.ssh("vzlist -H -o status 101")).trim(), "suspended");
    assert!(out(&node.ssh("vzctl start 101")).contains("Restoring"));
    assert!(!node.vz.join("dump/Dump.101").exists());

    assert_eq!(code(&node, "vzctl set 101 --disabled yes --save && vzctl stop 101"), 0);
    assert_eq!(code(&node, "vzctl start 101"), 105);
    assert_eq!(code(&node, "vzctl start 101 --force"), 0);
    node.fail("101", "stop", 79);
    assert_eq!(code(&node, "vzctl stop 101"), 79);
    assert_eq!(node.status("101"), "CTID 101 exist mounted running");
    assert_eq!(code(&node, "vzctl stop 101"), 0, "a failure on demand happens once");
}

#[test]
fn exec_runs_in_the_tree() {
    let test = "node::exec_runs_in_the_tree";
    let Some(node) = TestNode::up(test) else { return };
    let Some(_) = support::node::tree(test, "sysvinit") else { return };
    node.add_container(
        "101",
        &["--tree", "sysvinit", "--hostname", "web1.example.com", "--files", "--ugid-quota", "--wait"],
    );
    let here = node.ssh("vzctl exec 101 'hostname; cat /etc/hostname; ls /srv/files/plain'");
    assert_eq!(out(&here), "web1.example.com\nweb1\n/srv/files/plain\n");
    assert_eq!(code(&node, "vzctl exec2 101 exit 3"), 3);
    assert_eq!(code(&node, "vzctl exec 101 exit 3"), 8);
    let tree = node.dir.join("101");
    assert!(
        read(tree.join("etc/inittab"))
            .contains("vz:2345:once:touch /.vzfifo\n1:2345:respawn:/sbin/getty 38400 console\n")
    );
    let link = std::fs::read_link(tree.join("aquota.user")).unwrap();
    assert_eq!(link.to_str(), Some("/proc/vz/vzaquota/00000031/aquota.user"));
    assert!(std::fs::read_link(tree.join("etc/rc2.d/S20vzquota")).unwrap().ends_with("vzquota"));
    assert!(!tree.join("etc/apt/sources.list").exists(), "no package source of this machine is in the tree");
}

#[test]
fn set_save_changes_only_its_lines() {
    let Some(node) = TestNode::up("node::set_save_changes_only_its_lines") else { return };
    node.add_container("101", &["--empty", "--stopped"]);
    let path = node.conf.join("101.conf");
    std::fs::write(
        &path,
        "# mine\nUNKNOWN='kept'\nONBOOT=\"yes\"\n\nHOSTNAME=\"a.example.com\"\nONBOOT=\"no\"\nPHYSPAGES=\"0:512M\"",
    )
    .unwrap();
    // The directory is a link, and so may be the file.
    let elsewhere = node.conf.join("real.txt");
    std::fs::rename(&path, &elsewhere).unwrap();
    std::os::unix::fs::symlink("real.txt", &path).unwrap();
    let said = node.ssh("vzctl set 101 --onboot no --disabled yes --swap 1G --diskspace 2G:2.2G --save");
    assert_eq!(out(&said), "CT configuration saved to /etc/sysconfig/vz-scripts/101.conf\n", "{}", err(&said));
    let expected = "# mine\nUNKNOWN='kept'\nONBOOT=\"no\"\n\nHOSTNAME=\"a.example.com\"\nONBOOT=\"no\"\nPHYSPAGES=\"0:512M\"\n\
                    DISABLED=\"yes\"\nDISKSPACE=\"2097152:2306867\"\nSWAPPAGES=\"0:262144\"\n";
    assert_eq!(read(&elsewhere), expected);
    assert!(path.is_symlink(), "the link stays a link");

    assert_eq!(code(&node, "vzctl set 101 --name web1 --save && vzctl status web1"), 0);
    assert_eq!(out(&node.ssh("readlink /etc/vz/names/web1")), "/etc/sysconfig/vz-scripts/101.conf\n");
    assert_eq!(code(&node, "vzctl set web1 --ipadd 10.0.0.5/24 --ipadd fd00::5/64 --save"), 0);
    assert!(read(&elsewhere).contains("\nIP_ADDRESS=\"10.0.0.5/24 fd00::5/64\"\n"));
    assert_eq!(code(&node, "vzctl set 101 --ipadd 10.0.0.6/255.255.255.0 --save"), 21);
    assert_eq!(
        code(&node, "vzctl set 101 --onboot yes"),
        31,
        "without --save a stopped container has nothing to change"
    );
}

#[test]
fn vzlist_in_columns() {
    let Some(node) = TestNode::up("node::vzlist_in_columns") else { return };
    assert_eq!((out(&node.ssh("vzlist -a -j")).as_str(), code(&node, "vzlist -a")), ("[]\n", 0));
    node.add_container(
        "101",
        &["--empty", "--hostname", "web1.example.com", "--ip", "10.0.0.101 10.0.0.102/24", "--name", "web1"],
    );
    node.add_container("1002", &["--empty", "--stopped", "--hostname", "db.example.com", "--ip", "10.0.0.2/24"]);
    node.add_container("1003", &["--empty", "--stopped"]);
    std::fs::remove_dir_all(node.dir.join("1003")).unwrap();
    for name in ["1004.conf.migrated", "1005.mount", "0b7ea1e0-6a30-4a5b-9b33-3f8d3a0d0b53.conf"] {
        std::fs::write(node.conf.join(name), "").unwrap();
    }
    let table = "      CTID      NPROC STATUS    IP_ADDR         HOSTNAME\n\
                 \x20      101         17 running   10.0.0.101      web1.example.com\n\
                 \x20     1002          0 stopped   10.0.0.2/24     db.example.com\n";
    assert_eq!(out(&node.ssh("vzlist -a")), table);
    assert_eq!(out(&node.ssh("vzlist -H -o ctid")), "       101\n");
    assert_eq!(out(&node.ssh("vzlist -1 -S")), "      1002\n");
    assert_eq!(out(&node.ssh("vzlist -H -o ip 101")), "10.0.0.101 10.0.0.102\n", "the last column is not cut");
    assert_eq!(
        out(&node.ssh("vzlist -a -H -o name,ctid -s -ctid")),
        format!("{:<32}       1002\n{:<32}        101\n", "-", "web1")
    );
    assert_eq!(
        out(&node.ssh("vzlist -H -o numproc.l,ctid web1")).split_whitespace().next(),
        Some("9223372036854775807")
    );
    let fields = out(&node.ssh("vzlist -L"));
    assert_eq!(fields.lines().count(), 144);
    let unknown = node.ssh("vzlist -o nosuch");
    assert_eq!(unknown.status.code(), Some(1));
    assert_eq!(code(&node, "vzlist nosuchname"), 1);
    assert_eq!(code(&node, "vzlist -j -o physpages.l"), 1, "a part of a resource has no JSON");
    let nothing = node.ssh("vzlist -j 999");
    assert_eq!((out(&nothing).as_str(), nothing.status.code()), ("[]\n", Some(1)));
}

#[test]
fn vzlist_in_json() {
    let Some(node) = TestNode::up("node::vzlist_in_json") else { return };
    node.add_container(
        "101",
        &["--empty", "--hostname", "web1.example.com", "--ip", "10.0.0.101/24 2001:db8::1/64", "--name", "web1"],
    );
    let stopped = ["--empty", "--stopped", "--ip", "10.0.0.2/24", "--line", "FEATURES=\"nfs:on fuse:on\"", "--line"];
    node.add_container(
        "102",
        &[&stopped[..], &["CAPABILITY=\"NET_ADMIN:on SYS_TIME:off\"", "--line", "CPULIMIT=\"50\""]].concat(),
    );
    let list = json(&node, "-a");
    let (running, stopped) = (&list[0], &list[1]);
    assert_eq!(running.as_object().unwrap().len(), 33 + 21 + 2, "every key is there");
    assert_eq!(running["smart_name"], "web1");
    assert_eq!(stopped["smart_name"], 102, "a number without a name");
    assert_eq!((&running["ctid"], &running["veid"], &running["vpsid"]), (&101.into(), &101.into(), &101.into()));
    assert_eq!(running["ip"], serde_json::json!(["10.0.0.101", "2001:db8::1"]), "the kernel knows no prefix");
    assert_eq!(stopped["ip"], serde_json::json!(["10.0.0.2/24"]));
    assert_eq!(running["physpages"]["limit"], 131_072);
    assert_eq!(running["kmemsize"]["limit"], i64::MAX, "unlimited");
    assert_eq!(stopped["kmemsize"]["limit"], 0, "not set");
    assert_eq!(stopped["diskspace"]["hardlimit"], 2_306_867);
    assert!(stopped["diskspace"]["usage"].as_u64().unwrap() > 0);
    assert_eq!((&running["status"], &stopped["status"]), (&"running".into(), &"stopped".into()));
    assert_eq!((&running["onboot"], &stopped["laverage"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!((&running["cpulimit"], &stopped["cpulimit"]), (&serde_json::Value::Null, &50.into()));
    assert_eq!(stopped["features"], serde_json::json!({"nfs": true, "nfsd": true}), "any word of four letters is nfsd");
    assert_eq!(stopped["capability"], serde_json::json!({"net_admin": true, "sys_timen": false}), "a NUL is missing");
    assert_eq!(
        (&running["layout"], &running["vswap"], &running["disabled"]),
        (&"simfs".into(), &true.into(), &false.into())
    );
    assert_eq!(json(&node, "-o ctid,onboot 101"), serde_json::json!([{"ctid": 101, "onboot": true}]));

    // Warnings come before the list, and strings are not escaped.
    let file = node.conf.join("102.conf");
    std::fs::write(&file, format!("{}DESCRIPTION=\"say \\\"hi\\\"\"\nFEATURES=\"bogus:on\"\n", read(&file))).unwrap();
    let raw = out(&node.ssh("vzlist -a -j -o ctid,description"));
    let at = raw.find("\n[").unwrap();
    assert_eq!(&raw[..at], "Warning: unknown feature: bogus");
    assert_eq!(
        &raw[at + 1..],
        "[\n  {\n    \"ctid\": 101,\n    \"description\": null\n  },\n  {\n    \"ctid\": 102,\n    \"description\": \"say \"hi\"\"\n  }\n]\n"
    );
    assert!(node.ssh("vzctl stop 101").status.success());
    assert_eq!(out(&node.ssh("vzlist -j -o ctid | tail -n 2")), "[\n]\n", "all of them hidden");
}

#[test]
fn a_node_comes_and_goes_without_traces() {
    let Some(node) = TestNode::up_in_netns("node::a_node_comes_and_goes_without_traces") else { return };
    node.add_container("101", &["--empty", "--workload"]);
    assert_eq!(node.status("101"), "CTID 101 exist mounted running");
    // It can be reached from its own network only, and only with the key.
    let port = node.port.to_string();
    let banner = format!("exec 3<>/dev/tcp/127.0.0.1/{port} && head -n 1 <&3");
    let greeting = node.inside("timeout").args(["5", "bash", "-c", &banner]).output().unwrap();
    assert!(out(&greeting).starts_with("SSH-2.0-"), "{}", err(&greeting));
    let keyless = format!(
        "-F none -o BatchMode=yes -o IdentityAgent=none -o UserKnownHostsFile={} -p {port}",
        node.known_hosts.display()
    );
    let refused = node
        .inside("ssh")
        .args(keyless.split(' '))
        .args(["-i", "/dev/null", "root@127.0.0.1", "true"])
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(255));
    assert!(err(&refused).contains("Permission denied (publickey)"), "{}", err(&refused));
    let bridge = node.inside("ls").arg("/sys/class/net").output().unwrap();
    assert!(out(&bridge).lines().any(|line| line == "br-ovz"), "LXC looks for the bridge here: {}", out(&bridge));

    let image = node.dir.ancestors().nth(3).unwrap().join("fs.img");
    let home = image.parent().unwrap().parent().unwrap().to_owned();
    let name = out(&script("netns.sh").arg("name").arg(home.join("net")).output().unwrap());
    assert!(std::path::Path::new("/run/netns").join(&name).exists());
    let state = node.state.clone();
    let workload = out(&node.ssh("tr '\\0' ' ' < /proc/$(cat /var/lib/ovznode/101/workload.pid)/cmdline"));
    assert!(workload.contains("/var/lib/ovznode/101/workload"), "{workload}");
    drop(node);
    assert!(!home.exists() && !state.exists());
    assert!(!std::path::Path::new("/run/netns").join(&name).exists());
    assert!(!read("/proc/self/mounts").contains(&*home.to_string_lossy()));
    let loops = std::fs::read_dir("/sys/block")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("loop/backing_file")).ok());
    assert!(loops.into_iter().all(|file| !file.contains(&*image.to_string_lossy())), "no loop device is left");
    let ours = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("cmdline")).ok());
    assert!(ours.into_iter().all(|line| !line.contains(&*home.to_string_lossy())), "no process is left");
}

/// Every file of a tree: its path and its text, or where a link leads.
fn listing(tree: &std::path::Path) -> std::collections::BTreeMap<String, String> {
    let entry = |entry: walkdir::DirEntry| {
        let path = entry.path();
        let text = if entry.path_is_symlink() {
            std::fs::read_link(path).unwrap().display().to_string()
        } else if entry.file_type().is_file() {
            read(path)
        } else {
            format!("{:?}", entry.file_type())
        };
        (path.strip_prefix(tree).unwrap().display().to_string(), text)
    };
    walkdir::WalkDir::new(tree).min_depth(1).into_iter().map(|e| entry(e.unwrap())).collect()
}

/// Family, path, and what is there once vzctl has dressed the tree.
const DRESSED: &[(&str, &str, &str)] = &[
    (
        "redhat",
        "etc/sysconfig/network",
        "NETWORKING=\"yes\"\nHOSTNAME=\"web1.example.com\"\nGATEWAYDEV=\"venet0\"\nNETWORKING_IPV6=\"yes\"\nIPV6_DEFAULTDEV=\"venet0\"\n",
    ),
    (
        "redhat",
        "etc/sysconfig/network-scripts/ifcfg-venet0:1",
        "DEVICE=venet0:1\nONBOOT=yes\nARPCHECK=\"no\"\nIPADDR=10.0.0.102\nNETMASK=255.255.240.0\n",
    ),
    ("redhat", "etc/rc.d/rc0.d/K90vzquota", "../init.d/vzquota"),
    ("redhat", "sbin/ifup", "if [ \"${IPADDR}\" = \"127.0.0.1\" ]; then\n"),
    ("debian", "etc/hostname", "web1\n"),
    ("debian", "etc/init/networking.conf", "start on local-filesystems\ntask\n"),
    (
        "debian",
        "etc/init/console.conf",
        "start on stopped rc RUNLEVEL=[2345]\nstop on runlevel [!2345]\nrespawn\nexec /sbin/getty 38400 console\n",
    ),
    ("debian", "etc/rc2.d/S20vzquota", "../init.d/vzquota"),
    ("suse", "etc/sysconfig/network/ifroute-venet0", "default - - venet0\ndefault :: - venet0\n"),
    ("suse", "etc/HOSTNAME", "web1\n"),
    ("suse", "etc/rc6.d/S10vzquota", "/etc/init.d/vzquota"),
    (
        "gentoo",
        "etc/conf.d/net",
        "config_venet0=\" 10.0.0.101/32  10.0.0.102/20  2001:db8::101/64 \"\nroutes_venet0=\"default\"\n",
    ),
    ("gentoo", "etc/init.d/net.venet0", "net.lo"),
    ("arch", "etc/hosts", "127.0.0.1  web1.example.com web1 localhost.localdomain localhost\n"),
    ("slackware", "etc/rc.d/rc.inet1", "/sbin/ifconfig venet0 up\n"),
    (
        "slackware",
        "etc/rc.d/rc.inet1.conf",
        "IPADDR[0]=\"10.0.0.101\"\nNETMASK[0]=\"255.255.255.255\"\nUSE_DHCP[0]=\"\"\nGATEWAY=\"192.0.2.1\"\n",
    ),
    ("alt", "etc/net/ifaces/venet0/ipv4address", "\n10.0.0.101/32 label venet0:1\n10.0.0.102/20 label venet0:2\n"),
];

#[test]
fn every_family_is_dressed_once() {
    if !support::is_root() {
        return support::skip("node::every_family_is_dressed_once", "needs root: it makes device nodes");
    }
    let home = tempfile::tempdir().unwrap();
    for family in ["debian", "redhat", "suse", "gentoo", "arch", "slackware", "alt"] {
        let tree = home.path().join(family);
        let stock: &[(&str, &str)] = match family {
            "debian" => {
                &[("etc/init/networking.conf", "start on (local-filesystems\n\tand stopped udevtrigger)\ntask\n")]
            }
            "redhat" => &[
                ("etc/sysconfig/network", "NETWORKING=yes\nHOSTNAME=localhost.localdomain\nGATEWAY=10.0.0.1\n"),
                ("sbin/ifup", "if [ \"${DEVICE}\" = \"lo\" ]; then\n"),
                ("etc/inittab", "id:3:initdefault:\n"),
            ],
            "slackware" => &[("etc/rc.d/rc.inet1", "/sbin/ifconfig eth0 up\n")],
            _ => &[("etc/inittab", "id:3:initdefault:\n")],
        };
        for (path, text) in stock {
            let path = tree.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let dress = || {
            let output = script("dress.sh")
                .arg(&tree)
                .args([family, "--ip", "10.0.0.101 10.0.0.102/20 2001:db8::101/64", "--hostname", "web1.example.com"])
                .args(["--nameserver", "8.8.8.8 8.8.4.4", "--searchdomain", "example.com", "--wait", "--ugid-quota"])
                .output()
                .unwrap();
            assert!(output.status.success(), "{family}: {}", err(&output));
            listing(&tree)
        };
        let first = dress();
        for (_, path, expected) in DRESSED.iter().filter(|case| case.0 == family) {
            assert_eq!(first.get(*path).map(String::as_str), Some(*expected), "{family}: {path}");
        }
        assert_eq!(
            first["etc/resolv.conf"], "search example.com\nnameserver 8.8.8.8\nnameserver 8.8.4.4\n",
            "{family}"
        );
        assert_eq!(first["aquota.group"], "/proc/vz/vzaquota/00000031/aquota.group", "{family}");
        assert!(
            first.contains_key("fastboot") && first.contains_key(".vzfifo") && first.contains_key("dev/simfs"),
            "{family}"
        );
        if family != "arch" {
            let marked =
                "# Auto-generated hostname. Please do not remove this comment.\n10.0.0.101 web1.example.com  web1\n";
            assert!(first["etc/hosts"].contains(marked), "{family}: {}", first["etc/hosts"]);
        }
        assert_eq!(dress(), first, "{family}: a second start changes nothing");
    }
}
