use super::*;
use crate::model::limits::Limits;
use crate::model::ve::Outcome;
use std::fmt::Write;

fn config(own: &str) -> VeConfig {
    over("", own)
}

fn over(global: &str, own: &str) -> VeConfig {
    let context = ParseContext { node_cpus: Some(2), file: "/etc/vz/conf/101.conf".into(), ..ParseContext::default() };
    parse(&Ctid::parse("101").unwrap(), Some(global.as_bytes()), own.as_bytes(), &context).unwrap()
}

fn ids(ve: &VeConfig) -> Vec<&str> {
    ve.findings.iter().map(|f| f.id.as_str()).collect()
}

fn outcome(ve: &VeConfig, key: &str) -> Outcome {
    ve.keys.iter().find(|k| k.key == key).unwrap_or_else(|| panic!("{key} has no answer")).outcome
}

const TYPICAL: &str = r#"# a vswap container
ONBOOT="yes"
PHYSPAGES="0:512M"
SWAPPAGES="0:1G"
KMEMSIZE="unlimited"
DISKSPACE="2G:2.2G"
DISKINODES="200K:1M"
QUOTATIME="0"
CPUUNITS="1500"
CPULIMIT="50%"
CPUS="2"
NUMPROC="240:300"
IOPRIO="6"
IOLIMIT="20M"
IOPSLIMIT="500"
VE_ROOT="/vz/root/$VEID"
VE_PRIVATE="/vz/private/${VEID}/"
OSTEMPLATE="centos-6-x86_64"
ORIGIN_SAMPLE="vswap-512m"
HOSTNAME="web1.example.com"
NAME="web1"
IP_ADDRESS="10.1.0.101/24 2001:db8::101/64"
NAMESERVER="10.1.0.53 10.1.0.54"
SEARCHDOMAIN="example.com"
NETIF="ifname=eth0,mac=00:18:51:AA:BB:01,host_ifname=veth101.0,bridge=br0"
CAPABILITY="NET_ADMIN:on SYS_TIME:off"
FEATURES="nfs:on ppp:off"
DEVICES="c:10:229:rw "
DEVNODES="net/tun:rw "
BOOTORDER="5"
STOP_TIMEOUT="90"
DISABLED="no"
"#;

#[test]
fn a_typical_container_is_read_completely() {
    let ve = config(TYPICAL);
    assert_eq!(ids(&ve), [] as [&str; 0]);
    let l = &ve.limits;
    assert_eq!((l.memory_bytes, l.swap_bytes, l.pids), (Some(536_870_912), Some(1 << 30), Some(300)));
    assert_eq!((l.cpu_quota_percent, l.cpu_units, l.cpus), (Some(100), Some(1500), Some(2)));
    assert_eq!((l.io_priority, l.io_bytes_per_second, l.iops), (Some(6), Some(20 << 20), Some(500)));
    assert_eq!((l.disk_bytes, l.disk_inodes), (Some(2_306_867 * 1024), Some(1_048_576)));
    assert_eq!(ve.root.as_deref(), Some(std::path::Path::new("/vz/root/101")));
    assert_eq!(ve.private.as_deref(), Some(std::path::Path::new("/vz/private/101")));
    assert_eq!((ve.hostname.as_deref(), ve.name.as_deref()), (Some("web1.example.com"), Some("web1")));
    assert_eq!(
        ve.venet.iter().map(|a| (a.address.to_string(), a.prefix)).collect::<Vec<_>>(),
        [("10.1.0.101".to_owned(), 24), ("2001:db8::101".to_owned(), 64)]
    );
    assert_eq!(ve.nameservers, Resolver::List(vec!["10.1.0.53".into(), "10.1.0.54".into()]));
    assert_eq!(ve.veth[0].mac.as_deref(), Some("00:18:51:aa:bb:01"));
    assert_eq!(
        (ve.capabilities.on.as_slice(), ve.capabilities.off.as_slice()),
        (&["net_admin".to_owned()][..], &["sys_time".to_owned()][..])
    );
    assert_eq!(
        ve.features.iter().map(|(n, on)| (n.as_str(), *on)).collect::<Vec<_>>(),
        [("nfs", true), ("ppp", false)]
    );
    assert_eq!(ve.devices.len(), 2);
    assert_eq!((ve.onboot, ve.bootorder, ve.stop_timeout, ve.disabled), (Some(true), Some(5), Some(90), false));
}

#[test]
fn every_key_of_the_own_file_has_exactly_one_answer() {
    let ve = config(TYPICAL);
    let want: Vec<&str> =
        TYPICAL.lines().filter(|l| !l.starts_with('#')).map(|l| l.split('=').next().unwrap()).collect();
    assert_eq!(ve.keys.iter().map(|k| k.key.as_str()).collect::<Vec<_>>(), want);
    assert!(ve.keys.iter().all(|k| !k.why.is_empty()));
    assert_eq!(outcome(&ve, "PHYSPAGES"), Outcome::Converted);
    assert_eq!(outcome(&ve, "KMEMSIZE"), Outcome::Ignored);
    assert_eq!(outcome(&ve, "DEVNODES"), Outcome::Approximated);
}

#[test]
fn the_whole_table_is_answered() {
    let mut file = String::new();
    for param in super::super::params::PARAMS {
        writeln!(file, "{}=\"1\"", param.name).unwrap();
    }
    let ve = config(&file);
    assert_eq!(ve.keys.len(), super::super::params::PARAMS.len());
    assert!(!ids(&ve).contains(&"ve-unknown-key"));
}

#[test]
fn unlimited_is_no_limit_in_any_spelling() {
    for value in ["unlimited", "0:unlimited", "0:9223372036854775807", "0:2147483647", "-1"] {
        let ve = config(&format!("PHYSPAGES=\"{value}\"\nSWAPPAGES=\"0:512M\"\n"));
        assert_eq!((ve.limits.memory_bytes, ve.limits.swap_bytes), (None, None), "{value}");
        assert_eq!(outcome(&ve, "PHYSPAGES"), Outcome::Converted);
        assert_eq!(outcome(&ve, "SWAPPAGES"), Outcome::Ignored, "no swap limit without a memory limit");
    }
    let ve = config("CPULIMIT=\"0\"\nCPUS=0\nIOLIMIT=unlimited\nIOPSLIMIT=0\n");
    let l = ve.limits;
    assert_eq!((l.cpu_quota_percent, l.cpus, l.io_bytes_per_second, l.iops), (None, None, None, None));
}

#[test]
fn zero_and_empty_never_become_a_limit() {
    for value in ["", "0", "0:0", "1G:0", "100:"] {
        let text = format!("PHYSPAGES=\"{value}\"\nDISKSPACE=\"{value}\"\nDISKINODES=\"{value}\"\nNUMPROC=\"0\"\n");
        let ve = config(&text);
        let l = &ve.limits;
        assert_eq!((l.memory_bytes, l.disk_bytes, l.disk_inodes, l.pids), (None, None, None, None), "{value:?}");
        assert_eq!(ids(&ve), ["ve-zero-limit"; 4], "{value:?}");
        assert_eq!(outcome(&ve, "PHYSPAGES"), Outcome::Ignored);
    }
}

#[test]
fn what_vzctl_rejects_is_reported_with_its_line() {
    // Unless a column is given, it is the one where the value begins.
    for (line, key, column) in [
        ("DISKSPACE=\"unlimited\"", "DISKSPACE", None),
        ("DISKSPACE=\"1G:unlimited\"", "DISKSPACE", Some(15)),
        ("NUMPROC=\"10K\"", "NUMPROC", Some(12)),
        ("PHYSPAGES=\"0x10\"", "PHYSPAGES", Some(13)),
        ("PHYSPAGES=\"1e3\"", "PHYSPAGES", Some(13)),
        ("CPUUNITS=\"7\"", "CPUUNITS", None),
        ("CPUUNITS=\"500001\"", "CPUUNITS", None),
        ("IOPSLIMIT=\"unlimited\"", "IOPSLIMIT", None),
        ("IOPRIO=\"8\"", "IOPRIO", None),
        ("ONBOOT=\"true\"", "ONBOOT", None),
        ("ONBOOT='yes'", "ONBOOT", None),
        ("CPULIMIT=\"101%\"", "CPULIMIT", None),
        ("CPULIMIT=\"5x%\"", "CPULIMIT", Some(12)),
        ("CPUMASK=\"0-2,x\"", "CPUMASK", Some(14)),
        ("IP_ADDRESS=\"10.0.0.1/255.255.255.0\"", "IP_ADDRESS", None),
        ("NETIF=\"ifname=eth0,mac=1\"", "NETIF", Some(20)),
        ("NETDEV=\"venet0\"", "NETDEV", None),
        ("NETFILTER=\"some\"", "NETFILTER", None),
        ("MEMINFO=\"all\"", "MEMINFO", None),
        ("PCI=\"eth0\"", "PCI", None),
        ("VE_LAYOUT=\"vzfs\"", "VE_LAYOUT", None),
        ("NAME=\"my/ct\"", "NAME", Some(9)),
        ("STOP_TIMEOUT=\"-1\"", "STOP_TIMEOUT", None),
    ] {
        let ve = config(&format!("# first\n{line}\n"));
        let finding = ve.findings.iter().find(|f| f.id == "ve-line-rejected").unwrap_or_else(|| panic!("{line}"));
        let column = column.map_or(line.find('=').unwrap() + 1 + usize::from(line.contains('"')) + 1, |c| c);
        assert_eq!(finding.subject, format!("/etc/vz/conf/101.conf:2:{column}"), "{line}");
        assert_eq!(outcome(&ve, key), Outcome::Ignored, "{line}");
        assert_eq!(ve.limits, Limits::default(), "{line}");
        assert!(ve.onboot.is_none() && ve.venet.is_empty() && ve.layout.is_none());
    }
    let ve = config(" garbage\nHOSTNAME=\"web1\n");
    assert_eq!(ids(&ve)[..2], ["ve-line-rejected", "ve-line-rejected"]);
    let subjects: Vec<&str> = ve.findings.iter().map(|f| f.subject.as_str()).collect();
    assert_eq!(subjects[..2], ["/etc/vz/conf/101.conf:1:2", "/etc/vz/conf/101.conf:2:10"]);
    assert!(ve.keys.is_empty() && ve.hostname.is_none());
}

#[test]
fn a_bad_word_keeps_what_stands_before_it() {
    let ve = config("IP_ADDRESS=\"10.0.0.1/24 bad 10.0.0.2\"\n");
    assert_eq!(ve.venet.len(), 1);
    assert_eq!((ids(&ve), outcome(&ve, "IP_ADDRESS")), (vec!["ve-line-rejected"], Outcome::Approximated));
    assert!(ve.findings[0].subject.ends_with(":1:25") && ve.findings[0].detail.contains("keeps what stands before it"));
}

#[test]
fn duplicates_follow_the_rule_of_their_parameter() {
    let ve = config(
        "HOSTNAME=\"a\"\nHOSTNAME=\"b\"\nPHYSPAGES=\"0:1G\"\nPHYSPAGES=\"0:2G\"\nIP_ADDRESS=\"10.0.0.1\"\n\
         IP_ADDRESS=\"10.0.0.1/24 10.0.0.2\"\nONBOOT=\"maybe\"\nONBOOT=\"no\"\nFEATURES=\"nfs:on\"\nFEATURES=\"nfs:off\"\n\
         CAPABILITY=\"mknod:on\"\nCAPABILITY=\"mknod:off\"\nIPTENTRIES=\"20\"\nNUMIPTENT=\"30\"\n",
    );
    assert_eq!(ve.hostname.as_deref(), Some("a"));
    assert_eq!(ve.limits.memory_bytes, Some(2 << 30));
    assert_eq!(
        ve.venet.iter().map(|a| (a.address.to_string(), a.prefix)).collect::<Vec<_>>(),
        [("10.0.0.1".to_owned(), 32), ("10.0.0.2".to_owned(), 32)]
    );
    assert_eq!(ve.onboot, Some(false), "an invalid first line leaves the place to the second");
    assert_eq!(ve.features.get("nfs"), Some(&true), "an on is never cleared");
    assert!(ve.capabilities.on.is_empty() && ve.capabilities.off == ["mknod"], "off wins in the kernel");
    assert_eq!(ve.keys.len(), 7, "one answer a key, an alias is the same key");
    assert_eq!(ve.keys[0].value, "a");
    assert_eq!(ve.keys[1].value, "0:2G");
    assert_eq!(ve.keys[2].value, "10.0.0.1 10.0.0.1/24 10.0.0.2");
    assert_eq!(ids(&ve).iter().filter(|id| **id == "ve-duplicate-key").count(), 6);
}

#[test]
fn the_global_file_lies_below() {
    let global = "VE_ROOT=/vz/root/$VEID\nVE_PRIVATE=/vz/private/$VEID\nVE_LAYOUT=ploop\nNETFILTER=full\nCPUUNITS=2000\n\
                  NAMESERVER=inherit # Copy from the host\nIP_ADDRESS=\"10.9.9.9\"\nFEATURES=\"nfs:on ppp:on\"\n\
                  CAPABILITY=\"sys_time:on\"\nDISKSPACE=1048576\nONBOOT=yes\nVIRTUOZZO=yes\n";
    let ve = over(global, "DISKSPACE=\"2G\"\nIP_ADDRESS=\"\"\nFEATURES=\"nfs:off\"\nCAPABILITY=\"mknod:off\"\n");
    assert_eq!(ve.private.as_deref(), Some(std::path::Path::new("/vz/private/101")));
    assert_eq!(ve.layout, None, "an existing container has its own layout");
    assert_eq!((ve.limits.cpu_units, ve.limits.disk_bytes), (Some(2000), Some(2 << 30)));
    assert_eq!(ve.nameservers, Resolver::Inherit, "vzctl looks at the first word");
    assert_eq!(ve.venet[0].address.to_string(), "10.9.9.9", "an empty list does not clear the global one");
    assert_eq!(ve.features.get("nfs"), Some(&true), "a file with only off inherits the global on");
    assert_eq!(
        (ve.capabilities.on.as_slice(), ve.capabilities.off.as_slice()),
        (&["sys_time".to_owned()][..], &["mknod".to_owned()][..])
    );
    assert_eq!(ve.onboot, Some(true));
    let of = |origin: &str| ve.keys.iter().filter(|k| k.origin == origin).count();
    assert_eq!((of(""), of("vz.conf")), (4, 8), "{:?}", ve.keys);
    let replaced = over(global, "IP_ADDRESS=\"10.0.0.1\"\nFEATURES=\"sit:on\"\nNAMESERVER=\"1.1.1.1\"\n");
    assert_eq!(replaced.venet.len(), 1);
    assert_eq!(replaced.venet[0].address.to_string(), "10.0.0.1");
    assert_eq!(replaced.features.into_iter().collect::<Vec<_>>(), [("sit".to_owned(), true)]);
    assert_eq!(replaced.nameservers, Resolver::List(vec!["1.1.1.1".into()]));
}

#[test]
fn veid_is_replaced_once() {
    let ve = config("VE_ROOT=\"/vz/$VEID/$VEID\"\nVE_PRIVATE=\"/p/${VEID}/$VEID//\"\n");
    assert_eq!(ve.root.as_deref(), Some(std::path::Path::new("/vz/101/$VEID")));
    assert_eq!(ve.private.as_deref(), Some(std::path::Path::new("/p/${VEID}/101")));
    assert_eq!(ids(&ve), ["ve-shell-differs", "ve-shell-differs"], "a shell replaces both");
}

#[test]
fn bash_reads_some_lines_otherwise() {
    for (line, differs) in [
        ("HOSTNAME=\"web1\"", false),
        ("HOSTNAME=web1", false),
        ("HOSTNAME='web1'", true),
        ("HOSTNAME=\"web1\" # c", false),
        ("DESCRIPTION=a # c", true),
        ("DESCRIPTION=\"a\" \"b\"", true),
        ("DESCRIPTION=\"$USER\"", true),
        ("DESCRIPTION=a b", true),
        ("DESCRIPTION=\"a\\b\"", true),
        ("export HOSTNAME=web1", true),
        ("HOSTNAME=\"web1\"\r", true),
        ("NAMESERVER=inherit # Copy from the host", false),
    ] {
        let ve = config(&format!("{line}\n"));
        assert_eq!(ids(&ve).contains(&"ve-shell-differs"), differs, "{line}: {:?}", ve.findings);
    }
    let ve = config("ONBOOT=\"yes\nHOSTNAME=web1\n");
    assert!(ve.findings.iter().any(|f| f.id == "ve-shell-differs" && f.detail.contains("never closed")));
    assert_eq!(ve.hostname.as_deref(), Some("web1"));
}

#[test]
fn unknown_names_and_names_that_block() {
    let ve = config("hostname=\"x\"\nexport FOO=1\nQUOTAUGIDLIMIT=\"100\"\nPCI=\"0:1f.2\"\nDISK=\"\"\nNETDEV=\"\"\n");
    assert_eq!(outcome(&ve, "hostname"), Outcome::Ignored);
    assert_eq!(outcome(&ve, "QUOTAUGIDLIMIT"), Outcome::Blocked);
    assert_eq!(outcome(&ve, "NETDEV"), Outcome::Ignored);
    assert_eq!(ids(&ve), ["ve-unknown-key", "ve-unknown-key", "ve-quotaugidlimit", "ve-pci"]);
    assert_eq!(ve.findings[2].severity, Severity::Overridable);
    assert_eq!(outcome(&config("QUOTAUGIDLIMIT=0\n"), "QUOTAUGIDLIMIT"), Outcome::Ignored);
}

#[test]
fn capabilities_of_the_openvz_kernel_stay_behind() {
    let ve = config("CAPABILITY=\"VE_ADMIN:on NET_RAW:on SETVEID:off\"\n");
    assert_eq!((ve.capabilities.on.as_slice(), ve.capabilities.off.len()), (&["net_raw".to_owned()][..], 0));
    assert_eq!(outcome(&ve, "CAPABILITY"), Outcome::Approximated);
}

#[test]
fn very_many_unknown_names_are_answered_and_counted() {
    let file: String = (0..1000).fold(String::new(), |mut text, i| {
        writeln!(text, "N\x1b{i}=1").unwrap();
        text
    });
    let ve = config(&file);
    assert_eq!(ve.keys.len(), 1000);
    let unknown: Vec<_> = ve.findings.iter().filter(|f| f.id == "ve-unknown-key").collect();
    assert!(unknown.len() == 41 && unknown[40].title.starts_with("960 more"));
    assert!(ve.findings.iter().all(|f| !format!("{}{}{}", f.title, f.detail, f.subject).contains('\x1b')));
}

#[test]
fn percent_needs_the_cpus_of_the_source() {
    let context = ParseContext { node_cpus: None, file: "x".into(), ..ParseContext::default() };
    let ve = parse(&Ctid::parse("7").unwrap(), None, b"CPULIMIT=\"50%\"\nA=1\n", &context).unwrap();
    assert_eq!((ve.limits.cpu_quota_percent, outcome(&ve, "CPULIMIT")), (None, Outcome::Ignored));
    assert!(ids(&ve).contains(&"ve-cpulimit-percent"));
}

#[test]
fn an_old_beancounter_configuration_has_no_memory_limit() {
    let ve = config("PHYSPAGES=\"0:2147483647\"\nPRIVVMPAGES=\"65536:69632\"\n");
    assert_eq!(ve.limits.memory_bytes, None);
    assert_eq!(ids(&ve), ["ve-memory-unlimited"]);
    assert!(ve.findings[0].detail.contains("272 MiB"), "{}", ve.findings[0].detail);
}

#[test]
fn ploop_has_its_size_in_the_image() {
    let ve = config("VE_LAYOUT=\"ploop:expanded\"\nDISKSPACE=\"2G\"\nDISKINODES=\"100K\"\n");
    assert_eq!(ve.layout.as_deref(), Some("ploop"));
    assert_eq!((ve.limits.disk_bytes, ve.limits.disk_inodes), (Some(2 << 30), None));
    assert_eq!((outcome(&ve, "DISKSPACE"), outcome(&ve, "DISKINODES")), (Outcome::Approximated, Outcome::Ignored));
}

#[test]
fn virtuozzo_files_have_their_own_grammar() {
    let ctid = Ctid::parse("5fbaabe3-6958-40ff-92a7-860e329aab41").unwrap();
    let own = b"HOSTNAME='web1' # c\nIP_ADDRESS=\"10.0.0.1/255.255.255.0\"\nDISK=\"uuid=1,image=/d.hdd,mnt=/data;\"\n";
    let ve = parse(&ctid, None, own, &ParseContext::default()).unwrap();
    assert_eq!((ve.hostname.as_deref(), ve.venet[0].prefix), (Some("web1"), 24));
    assert_eq!(ids(&ve), ["ve-disk"]);
}

#[test]
fn a_hostile_host_name_does_not_pass() {
    let ve = config("HOSTNAME=\"a b;reboot\"\n");
    assert_eq!((ve.hostname.as_deref(), ids(&ve)), (None, vec!["ve-hostname-unusable"]));
    assert_eq!(outcome(&ve, "HOSTNAME"), Outcome::Ignored);
}

/// xorshift: the same bytes in every run.
fn noise(seed: u64, length: usize, alphabet: &[u8]) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 65_521).unwrap()
    };
    (0..length).map(|_| alphabet[next() % alphabet.len()]).collect()
}

#[test]
fn no_bytes_make_it_panic_and_every_name_is_answered() {
    let all: Vec<u8> = (0..=255).collect();
    let tricky = b"\"'\\=#\n\n\r\0 \t$VEIDPHYSPAGESONBOOT_N:,;./%-+.0123456789KMGTPBunlimitedyes\xff";
    for seed in 1..400 {
        for alphabet in [&all[..], tricky] {
            let mut file = noise(seed * 7919, 600, alphabet);
            let context = ParseContext { node_cpus: Some(4), file: "c".into(), ..ParseContext::default() };
            let read = |file: &[u8]| parse(&Ctid::parse("101").unwrap(), Some(file), file, &context);
            if file.contains(&0) {
                assert!(read(&file).is_err());
                file.retain(|b| *b != 0);
            }
            let ve = read(&file).unwrap();
            let mut names = std::collections::HashSet::new();
            for line in super::super::grammar::lines(&file) {
                if let super::super::grammar::Line::Assignment { name, .. } =
                    super::super::grammar::read_line(line.bytes, Dialect::Vzctl)
                {
                    names.insert(name);
                }
            }
            assert!(
                ve.keys.len() >= names.len().saturating_sub(2),
                "seed {seed}: aliases are the only names that fold"
            );
            assert!(ve.limits.memory_bytes != Some(0) && ve.limits.disk_bytes != Some(0));
        }
    }
}

#[test]
fn known_parameters_with_random_values_never_panic() {
    let alphabet = b"0123456789.:KMGTPBkmg%unlimted-+,;=/ abcdef*\\\"'$#";
    for seed in 1..200u64 {
        let mut file = Vec::new();
        for (i, param) in super::super::params::PARAMS.iter().enumerate() {
            let value =
                noise(seed * 131 + u64::try_from(i).unwrap(), 1 + usize::try_from(seed % 24).unwrap(), alphabet);
            file.extend([param.name.as_bytes(), b"=\"", &value, b"\"\n"].concat());
        }
        let ve = parse(&Ctid::parse("101").unwrap(), None, &file, &ParseContext::default()).unwrap();
        assert_eq!(ve.keys.len(), super::super::params::PARAMS.len());
    }
}

#[test]
fn what_was_read_can_be_written_and_read_again() {
    let ve = config(TYPICAL);
    let mut again = String::new();
    for key in &ve.keys {
        writeln!(again, "{}=\"{}\"", key.key, key.value).unwrap();
    }
    assert_eq!(config(&again), ve);
}

#[test]
fn huge_files_are_read_in_reasonable_time_and_findings_are_bounded() {
    let mut file = Vec::new();
    for i in 0..100_000u32 {
        if i % 50_000 == 0 {
            file.extend(b"\"\nIP_ADDRESS=\"");
        }
        file.extend(format!("10.{}.{}.{} ", i >> 16, (i >> 8) & 255, i & 255).bytes());
    }
    file.extend(b"\"\n");
    file.extend(b"garbage\n".repeat(100_000));
    for i in 0..10_000 {
        file.extend(format!("NAMESERVER=n{i}\nDEVICES=c:10:{i}:rw\nIP_ADDRESS=11.0.{}.{}\n", i >> 8, i & 255).bytes());
    }
    let read = |file: &[u8]| parse(&Ctid::parse("1").unwrap(), None, file, &ParseContext::default());
    let ve = read(&file).unwrap();
    assert_eq!(ve.venet.len(), 110_000);
    assert_eq!((ve.devices.len(), ve.findings.len() < 150), (10_000, true));
    assert!(ve.findings.iter().any(|f| f.title.contains("99961 more lines")), "{:?}", ve.findings.last());
    assert!(ve.keys[0].value.len() < 5000);

    file = [b"ONBOOT=yes\n", &vec![b'x'; 10_000_000][..]].concat();
    let error = read(&file).unwrap_err();
    assert!(error.to_string().starts_with("line 2, column 1048577 of 1.conf: "), "{error}");
}

#[test]
fn the_node_of_a_file_is_told_by_its_name_or_by_itself() {
    let uuid = "5fbaabe3-6958-40ff-92a7-860e329aab41";
    for (path, own, want) in [
        ("/etc/vz/conf/101.conf", "VEID=\"7\"\n", "101"),
        ("0101.conf.migrated", "", "101"),
        (&format!("/etc/vz/conf/{uuid}.conf"), "", uuid),
        ("/vz/private/x/ve.conf", "VEID=\"7\"\nUUID=\"5FBAABE3-6958-40ff-92a7-860e329aab41\"\n", uuid),
        (&format!("/vz/private/{uuid}/ve.conf"), "HOSTNAME=a\n", uuid),
        ("/vz/private/7/ve.conf", "", "7"),
        ("/etc/vz/conf/ve-basic.conf-sample", "VEID=12 \n", "12"),
        ("/etc/vz/conf/ve-basic.conf-sample", "VEID=no\n", "1"),
        ("copy.txt", "", "1"),
    ] {
        assert_eq!(ctid_of(std::path::Path::new(path), own.as_bytes()).as_str(), want, "{path} {own}");
    }
}

#[test]
fn the_dialect_follows_the_file() {
    let read = |name: &str, own: &str| {
        let context = ParseContext { file: name.into(), ..ParseContext::default() };
        let ve = parse(&Ctid::parse("7").unwrap(), None, own.as_bytes(), &context).unwrap();
        ve.hostname
    };
    let uuid = "5fbaabe3-6958-40ff-92a7-860e329aab41";
    assert_eq!(read("7.conf", "HOSTNAME='web1'\n"), None, "single quotes are no quotes to vzctl 4");
    assert_eq!(read("7.conf", "VEID=7\nHOSTNAME='web1'\n"), None);
    for (name, own) in
        [("ve.conf", String::new()), ("7.conf", format!("UUID={uuid}\n")), ("7.conf", format!("VEID=\"{uuid}\"\n"))]
    {
        assert_eq!(read(name, &format!("{own}HOSTNAME='web1' # c\n")).as_deref(), Some("web1"), "{name} {own}");
    }
}

#[test]
fn bytes_that_are_no_text_are_an_error_with_a_place() {
    let read = |global: &[u8], own: &[u8]| {
        let context = ParseContext { file: "/etc/vz/conf/101.conf".into(), ..ParseContext::default() };
        parse(&Ctid::parse("101").unwrap(), Some(global), own, &context)
    };
    let error = read(b"", b"ONBOOT=yes\nHOSTNAME=\"w\0b\"\n").unwrap_err();
    assert!(
        error.to_string().starts_with("line 2, column 12 of /etc/vz/conf/101.conf: a NUL byte; vzctl reads"),
        "{error}"
    );
    assert!(error.first_hint().unwrap().contains("is not a VE configuration"));
    let error = read(b"A=\0\n", b"ONBOOT=yes\n").unwrap_err();
    assert!(error.to_string().starts_with("line 1, column 3 of vz.conf: "), "{error}");
    let cut = read(b"", b"ONBOOT=yes\nDESCRIPTION=\"caf\xc3").unwrap();
    assert_eq!((cut.onboot, cut.findings[0].id.as_str()), (Some(true), "ve-line-rejected"));
}
