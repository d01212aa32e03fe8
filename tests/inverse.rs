//! The way there and back: a tree, dressed as vzctl's scripts dress it, then fixed up, is the tree that it was, plus
//! exactly the changes that are meant, in content, mode, owner and extended attributes.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use similar::ChangeTag;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use support::{fixups, tree};

/// What every tree has that nobody may touch, and the files that vzctl and the fixups meet everywhere.
const COMMON: &str = "=== file etc/ssh/ssh_host_rsa_key 0600 0:0
a key
=== file etc/shadow 0640 0:42
root:$6$x:1:0:99999:7:::
=== file etc/machine-id 0444 0:0
0123456789abcdef0123456789abcdef
=== file etc/crontab 0644 0:0
17 * * * * root run-parts /etc/cron.hourly
=== link etc/localtime -> /usr/share/zoneinfo/Europe/Berlin
=== file home/kept/.bashrc 0600 1000:1000
alias ll='ls -l'
=== elf bin/ping 0755 0:0 2 62 ping
=== file etc/securetty 0600 0:0
console
tty1
tty2
tty3
tty4
=== char dev/console 0600 0:0 5 1
=== char dev/tty2 0600 0:0 4 2
=== file etc/hosts 0640 0:0
127.0.0.1 localhost.localdomain localhost
# mine
10.9.9.9 printer
::1 localhost.localdomain localhost
=== link etc/mtab -> /proc/mounts
=== file etc/fstab 0644 0:0
LABEL=data /srv ext4 defaults 0 2
";

const HOSTNAME: &str = "web1.example.com";

/// Dresses a tree, fixes it up twice, and returns what is different from before, as lines with `-` and `+`, by path.
fn there_and_back(family: &str, stock: &str) -> BTreeMap<String, Vec<String>> {
    let dir = tree::made(&format!("{COMMON}{stock}"));
    let root = dir.path();
    for (path, name, value) in [
        ("etc/securetty", "user.note", &b"kept"[..]),
        ("bin/ping", "user.note", b"kept"),
        // cap_net_raw, as vzctl itself gives it to ping (capabilities(7), VFS_CAP_REVISION_2).
        ("bin/ping", "security.capability", &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    ] {
        let _ = rustix::fs::setxattr(root.join(path), name, value, rustix::fs::XattrFlags::empty());
    }
    let before = (tree::dump(root), xattrs(root));

    let ips = "192.168.7.11 192.168.8.11/24 2001:db8:7::11/64";
    let output = support::node::script("dress.sh")
        .arg(root)
        .args([family, "--ip", ips, "--hostname", "old.example.com", "--nameserver", "192.168.7.53"])
        .args(["--searchdomain", "old.example.com", "--wait", "--ugid-quota"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_ne!(tree::dump(root), before.0);
    assert!(root.join("fastboot").exists());

    let plan = fixups::plan(&format!(
        "hostname = \"{HOSTNAME}\"\nnameservers = [\"10.0.0.53\"]\nsearchdomains = [\"example.com\"]\nttys = 4\n\
         [[nic]]\nname = \"eth0\"\naddresses = [\"10.0.0.11/24\", \"2001:db8::11/64\"]\n\
         gateway4 = \"10.0.0.1\"\ngateway6 = \"fe80::1\"\n"
    ));
    fixups::run_twice(family, root, &plan);

    assert_eq!(xattrs(root), before.1, "extended attributes");
    let after = tree::dump(root);
    for word in ["venet", "vzquota", "vzfifo", "simfs", "192.168.", "2001:db8:7:", "old.example.com"] {
        assert!(!after.contains(word), "{family}: {word} is still there:\n{after}");
    }
    differences(&before.0, &after)
}

/// Every extended attribute in a tree.
fn xattrs(root: &Path) -> BTreeSet<(String, String, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for entry in walkdir::WalkDir::new(root) {
        let entry = entry.unwrap();
        let mut names = vec![0u8; 4096];
        let Ok(length) = rustix::fs::llistxattr(entry.path(), &mut names[..]) else { continue };
        for name in names[..length].split(|b| *b == 0).filter(|n| !n.is_empty()) {
            let name = String::from_utf8(name.to_vec()).unwrap();
            let mut value = vec![0u8; 4096];
            let length = rustix::fs::lgetxattr(entry.path(), &name, &mut value[..]).unwrap();
            let path = entry.path().strip_prefix(root).unwrap().display().to_string();
            found.insert((path, name, value[..length].to_vec()));
        }
    }
    found
}

fn entries(dump: &str) -> BTreeMap<String, String> {
    let parts = dump.split("=== ").filter(|p| !p.is_empty());
    // A directory stands there only when it is empty: it may be filled.
    parts.filter(|p| !p.starts_with("directory ")).map(|p| (word(p), p.to_owned())).collect()
}

fn word(entry: &str) -> String {
    entry.split_whitespace().nth(1).unwrap().to_owned()
}

fn differences(before: &str, after: &str) -> BTreeMap<String, Vec<String>> {
    let (before, after) = (entries(before), entries(after));
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut found = BTreeMap::new();
    for path in paths {
        let side = |map: &BTreeMap<String, String>| map.get(path).cloned().unwrap_or_default();
        let (old, new) = (side(&before), side(&after));
        let diff = similar::TextDiff::from_lines(&old, &new);
        let lines = diff.iter_all_changes().filter(|c| c.tag() != ChangeTag::Equal);
        let lines: Vec<String> = lines
            .map(|c| {
                format!("{}{}", if c.tag() == ChangeTag::Delete { '-' } else { '+' }, c.value().trim_end_matches('\n'))
            })
            .collect();
        if !lines.is_empty() {
            found.insert(path.clone(), lines);
        }
    }
    found
}

/// Compares with what is meant, written as `PATH` and its lines.
fn exactly(case: &str, family: &str) {
    if !support::is_root() {
        return support::skip(&format!("inverse::{case}"), "making trees with owners and nodes needs root");
    }
    let folder = support::repository().join("tests/inverse");
    let read = |kind: &str| fs::read_to_string(folder.join(format!("{case}.{kind}"))).unwrap();
    let found: String = there_and_back(family, &read("stock"))
        .into_iter()
        .map(|(path, lines)| format!("{path}\n{}", lines.iter().map(|l| format!("  {l}\n")).collect::<String>()))
        .collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(folder.join(format!("{case}.meant")), &found).unwrap();
    }
    let meant = read("meant");
    let diff = similar::TextDiff::from_lines(&meant, &found);
    assert!(meant == found, "{case}: {}", diff.unified_diff().header("meant", "found"));
}

macro_rules! cases {
    ($($name:ident = $family:literal;)*) => {
        $(#[test] fn $name() { exactly(stringify!($name), $family); })*

        #[test]
        fn every_stock_tree_is_a_case() {
            let folder = support::repository().join("tests/inverse");
            let names = fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let stocks: BTreeSet<String> = names.filter_map(|n| n.strip_suffix(".stock").map(str::to_owned)).collect();
            assert_eq!(stocks, BTreeSet::from([$(stringify!($name).to_owned()),*]));
        }
    };
}

// The stock trees are in tests/inverse, and beside each what is meant to be different after the way there and back.
cases! {
    alpine_3 = "debian";
    alt_with_etcnet = "alt";
    alt_with_systemd = "alt";
    arch_with_netcfg = "arch";
    arch_with_netctl = "arch";
    arch_with_rc_conf = "arch";
    debian_with_system_v_init = "debian";
    debian_with_systemd = "debian";
    fedora_17 = "redhat";
    fedora_9 = "redhat";
    funtoo = "funtoo";
    gentoo_with_baselayout_1 = "gentoo";
    gentoo_with_openrc = "gentoo";
    gentoo_with_systemd = "gentoo";
    red_hat_5 = "redhat";
    red_hat_6 = "redhat";
    red_hat_7 = "redhat";
    red_hat_9 = "redhat";
    red_hat_linux_7_3 = "redhat-7.3";
    slackware_14 = "slackware";
    suse_11 = "suse";
    suse_with_wicked = "suse";
    ubuntu_10_04 = "debian";
    ubuntu_14_04 = "debian";
    ubuntu_24_04 = "debian";
    ubuntu_8_04 = "debian";
}
