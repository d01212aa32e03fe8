//! The parser of VE configurations from outside: the fuzz target's body over its seeds, the measured values of vzctl,
//! generated files against numbers that are computed here.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

#[path = "../fuzz/body.rs"]
mod body;

use ovz2lxc::model::ctid::Ctid;
use ovz2lxc::model::limits::{APPROXIMATIONS, Limits};
use ovz2lxc::model::ve::{KeyAnswer, Outcome, Resolver, VeConfig};
use ovz2lxc::openvz::{ParseContext, parse};
use std::collections::BTreeMap;
use std::fmt::Write;

fn read(own: &str, approximate: &[&str]) -> VeConfig {
    let approximate = approximate.iter().map(|name| (*name).to_owned()).collect();
    let context = ParseContext { node_cpus: Some(8), file: "101.conf".into(), approximate };
    parse(&Ctid::parse("101").unwrap(), None, own.as_bytes(), &context).unwrap()
}

fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut out = Vec::new();
    for entry in std::fs::read_dir(support::repository().join("fuzz/corpus/ve_conf")).unwrap() {
        let path = entry.unwrap().path();
        out.push((path.display().to_string(), std::fs::read(&path).unwrap()));
    }
    out.sort();
    out
}

/// xorshift64: the same numbers in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[usize::try_from(self.below(from.len() as u64)).unwrap()]
    }
}

#[test]
fn the_seeds_of_the_fuzz_target_keep_its_promises() {
    let seeds = seeds();
    assert!(seeds.len() >= 5, "the seeds are gone");
    for (name, bytes) in &seeds {
        println!("{name}");
        body::ve_conf(bytes);
    }
}

/// What the fuzzer does, for a moment and without its eyes: seeds cut, spliced and strewn with odd bytes.
#[test]
fn changed_seeds_keep_the_promises_too() {
    let seeds = seeds();
    let mut random = Random(0x5eed);
    let odd: &[&[u8]] = &[
        b"\"",
        b"'",
        b"\\",
        b"=",
        b"#",
        b"\n",
        b"\r",
        b"\0",
        b"$VEID",
        b"%%\n",
        b"\xc3",
        b"unlimited",
        b" ",
        b":",
        b"-1",
    ];
    for _ in 0..1500 {
        let mut file = random.pick(&seeds).1.clone();
        for _ in 0..=random.below(6) {
            let at = usize::try_from(random.below(file.len() as u64 + 1)).unwrap();
            match random.below(4) {
                0 => file.truncate(at),
                1 => {
                    let other = &random.pick(&seeds).1;
                    file.truncate(at);
                    file.extend(&other[other.len() / 2..]);
                }
                _ => drop(file.splice(at..at, random.pick(odd).iter().copied())),
            }
        }
        body::ve_conf(&file);
    }
}

#[test]
fn random_bytes_keep_the_promises() {
    let mut random = Random(0xfeed);
    for _ in 0..500 {
        let length = random.below(2000);
        let bytes: Vec<u8> = (0..length).map(|_| u8::try_from(random.below(256)).unwrap()).collect();
        body::ve_conf(&bytes);
    }
}

/// Values that were measured with vzctl 4.11: pages, KiB and items as it stores them.
#[test]
fn the_measured_values_of_vzctl() {
    const PAGE: u64 = 4096;
    let l = |text: &str, approximate: &[&str]| read(text, approximate).limits;
    assert_eq!(l("PHYSPAGES=\"0:512M\"\n", &[]).memory_bytes, Some(131_072 * PAGE));
    assert_eq!(l("PHYSPAGES=1.5G\n", &[]).memory_bytes, Some(393_216 * PAGE));
    assert_eq!(l("PHYSPAGES=1T\n", &[]).memory_bytes, Some(268_435_456 * PAGE));
    assert_eq!(l("PHYSPAGES=5B:4097B\n", &[]).memory_bytes, Some(PAGE));
    assert_eq!(l("LOCKEDPAGES=100P\n", &["LOCKEDPAGES"]).memlock_bytes, Some(100 * PAGE));
    assert_eq!(l("DISKINODES=200K:1M\n", &[]).disk_inodes, Some(1_048_576));
    assert_eq!(l("DISKSPACE=2G:2.2G\n", &[]).disk_bytes, Some(2_306_867 * 1024));
    assert_eq!(l("NUMPROC=1.5\n", &[]).pids, Some(1));
    assert_eq!(l("PHYSPAGES=\" 256\"\n", &[]).memory_bytes, Some(256 * PAGE), "a leading blank is taken");
    assert_eq!(l("CPULIMIT=50%\n", &[]).cpu_quota_percent, Some(400), "of eight CPUs");
    // None of these is a limit: unlimited, negative, empty, invalid.
    for text in [
        "PHYSPAGES=-1",
        "PHYSPAGES=",
        "PHYSPAGES=0",
        "PHYSPAGES=0x10",
        "PHYSPAGES=1e3",
        "DISKSPACE=unlimited",
        "DISKSPACE=",
        "NUMPROC=10K",
        "IOPSLIMIT=unlimited",
        "CPULIMIT=",
        "CPULIMIT=0",
        "CPUUNITS=7",
        "CPUUNITS=500001",
        "IOLIMIT=0",
        "PHYSPAGES=9223372036854775807",
        "PHYSPAGES=2147483647",
        "NUMPROC=99999999999999999999",
    ] {
        assert_eq!(l(&format!("{text}\n"), &[]), Limits::default(), "{text}");
    }
}

/// A generated value of a pair: its text, and the number that it is in the parameter's own unit, computed here.
fn pair(random: &mut Random, page: u64) -> (String, Option<u64>) {
    let number = 1 + random.below(1 << 20);
    let (suffix, bytes) =
        *random.pick(&[("", page), ("K", 1 << 10), ("m", 1 << 20), ("G", 1 << 30), ("B", 1), ("P", 4096)]);
    match random.below(5) {
        0 => (format!("{}:unlimited", random.below(1000)), None),
        1 => ("unlimited".into(), None),
        _ => {
            let whole = number * bytes / page;
            let text = if random.below(2) == 0 { format!("{number}{suffix}") } else { format!("0:{number}{suffix}") };
            (text, (whole > 0).then_some(whole))
        }
    }
}

#[test]
fn generated_configurations_are_what_was_computed() {
    let mut random = Random(0xc0ffee);
    for round in 0..1000 {
        let mut file = String::from("# generated\n");
        let mut want = Limits::default();
        let quoted = random.below(2) == 0;
        let mut line = |name: &str, value: &str| {
            if quoted {
                writeln!(file, "  {name}=\"{value}\" # x").unwrap();
            } else {
                writeln!(file, "{name}={value}").unwrap();
            }
        };
        let (text, pages) = pair(&mut random, 4096);
        line("PHYSPAGES", &text);
        let unlimited_32 = |n: &u64| *n != 2_147_483_647;
        want.memory_bytes = pages.filter(unlimited_32).map(|n| n * 4096);
        let (text, pages) = pair(&mut random, 4096);
        line("SWAPPAGES", &text);
        // Less than a page is no swap at all, which is a limit.
        let pages = pages.or_else(|| (!text.contains("unlimited")).then_some(0));
        want.swap_bytes = pages.filter(|n| unlimited_32(n) && want.memory_bytes.is_some()).map(|n| n * 4096);
        let (pids, ptys) = (1 + random.below(100_000), 1 + random.below(1000));
        line("NUMPROC", &format!("{}:{pids}", random.below(10)));
        line("NUMPTY", &ptys.to_string());
        (want.pids, want.ptys) = (Some(pids), Some(ptys));
        let percent = 1 + random.below(100);
        let of_all = random.below(2) == 0;
        line("CPULIMIT", &format!("{percent}{}", if of_all { "%" } else { "" }));
        want.cpu_quota_percent = Some(if of_all { percent * 8 } else { percent });
        let (units, cpus) = (8 + random.below(499_993), random.below(64));
        line("CPUUNITS", &units.to_string());
        line("CPUS", &cpus.to_string());
        (want.cpu_units, want.cpus) = (Some(units), (cpus > 0).then_some(cpus));
        let (priority, rate, operations) = (random.below(8), random.below(4096), random.below(100_000));
        line("IOPRIO", &priority.to_string());
        line("IOLIMIT", &format!("{rate}M"));
        line("IOPSLIMIT", &operations.to_string());
        want.io_priority = Some(priority);
        want.io_bytes_per_second = (rate > 0).then(|| (rate << 20).min(2_147_483_647));
        want.iops = (operations > 0).then_some(operations);
        let (disk, inodes) = (1 + random.below(1 << 30), 1 + random.below(1 << 30));
        line("DISKSPACE", &format!("1:{disk}"));
        line("DISKINODES", &format!("{inodes}"));
        (want.disk_bytes, want.disk_inodes) = (Some(disk * 1024), Some(inodes));
        let mask = format!("0-{}", 1 + random.below(30));
        line("CPUMASK", &mask);
        line("NODEMASK", "0");
        (want.cpu_mask, want.node_mask) = (Some(mask), Some("0".into()));
        // What has to be asked for.
        let asked: Vec<&str> = APPROXIMATIONS.iter().copied().filter(|_| random.below(2) == 0).collect();
        let all: Vec<u64> = (0..5).map(|_| 1 + random.below(1 << 30)).collect();
        for (name, number) in APPROXIMATIONS.iter().zip(&all) {
            line(name, &format!("{number}"));
        }
        let on = |name: &str, number: u64| asked.contains(&name).then_some(number);
        want.memory_bytes = want.memory_bytes.or_else(|| on("PRIVVMPAGES", all[0] * 4096));
        want.memory_low_bytes = on("VMGUARPAGES", all[1] * 4096);
        want.memlock_bytes = on("LOCKEDPAGES", all[2] * 4096);
        want.shared_memory_pages = on("SHMPAGES", all[3]);
        want.open_files = on("NUMFILE", all[4]);
        let ve = read(&file, &asked);
        assert_eq!(ve.limits, want, "round {round}\n{file}");
        assert_eq!(ve.keys.len(), file.lines().count() - 1, "round {round}: one answer a line\n{file}");
        body::ve_conf(file.as_bytes());
    }
}

/// The shape of the samples that vzctl ships: comments of several lines, units of all kinds, no container's own keys.
#[test]
fn configurations_of_the_shape_of_the_stock_samples_are_read() {
    let vswap = "# Memory that is real, and swap that is not, for a small container.\n#\n# (two numbers are a barrier and a limit)\n\n\
        # UBC parameters (in form of barrier:limit)\nPHYSPAGES=\"0:256M\"\nSWAPPAGES=\"0:512M\"\nKMEMSIZE=\"116M:128M\"\n\
        DCACHESIZE=\"58M:64M\"\nLOCKEDPAGES=\"128M\"\nPRIVVMPAGES=\"unlimited\"\nSHMPAGES=\"unlimited\"\nNUMPROC=\"unlimited\"\n\
        VMGUARPAGES=\"0:unlimited\"\nOOMGUARPAGES=\"0:unlimited\"\nNUMTCPSOCK=\"unlimited\"\nNUMFLOCK=\"unlimited\"\n\
        NUMPTY=\"unlimited\"\nNUMSIGINFO=\"unlimited\"\nTCPSNDBUF=\"unlimited\"\nTCPRCVBUF=\"unlimited\"\n\
        OTHERSOCKBUF=\"unlimited\"\nDGRAMRCVBUF=\"unlimited\"\nNUMOTHERSOCK=\"unlimited\"\nNUMFILE=\"unlimited\"\n\
        NUMIPTENT=\"unlimited\"\n\n# Disk quota parameters (in form of softlimit:hardlimit)\nDISKSPACE=\"2G:2.2G\"\n\
        DISKINODES=\"131072:144179\"\nQUOTATIME=\"0\"\n\n# CPU fair scheduler parameter\nCPUUNITS=\"1000\"\n";
    let basic = "ONBOOT=\"no\"\n\n# UBC parameters\nNUMPROC=\"240:240\"\nAVNUMPROC=\"180:180\"\nNUMTCPSOCK=\"360:360\"\n\
        NUMOTHERSOCK=\"360:360\"\nVMGUARPAGES=\"33792:unlimited\"\n\n# Secondary\nKMEMSIZE=\"14372700:14790164\"\n\
        TCPSNDBUF=\"1720320:2703360\"\nOTHERSOCKBUF=\"1126080:2097152\"\nOOMGUARPAGES=\"26112:unlimited\"\n\
        PRIVVMPAGES=\"65536:69632\"\n\nLOCKEDPAGES=\"256:256\"\nSHMPAGES=\"21504:21504\"\nPHYSPAGES=\"0:unlimited\"\n\
        NUMFILE=\"9312:9312\"\nNUMFLOCK=\"188:206\"\nNUMPTY=\"16:16\"\nNUMSIGINFO=\"256:256\"\nDCACHESIZE=\"3409920:3624960\"\n\
        NUMIPTENT=\"128:128\"\n\nDISKSPACE=\"1G:1.1G\"\nDISKINODES=\"200000:220000\"\nQUOTATIME=\"0\"\nCPUUNITS=\"1000\"\n";
    let ve = read(vswap, &[]);
    assert_eq!((ve.limits.memory_bytes, ve.limits.swap_bytes), (Some(256 << 20), Some(512 << 20)));
    assert_eq!((ve.limits.disk_bytes, ve.limits.disk_inodes), (Some(2_306_867 * 1024), Some(144_179)));
    assert_eq!((ve.limits.pids, ve.limits.ptys, ve.limits.cpu_units), (None, None, Some(1000)));
    assert_eq!(ve.findings, [], "nothing to complain about");
    let ve = read(basic, &["PRIVVMPAGES", "VMGUARPAGES"]);
    assert_eq!((ve.limits.memory_bytes, ve.limits.memory_low_bytes), (Some(69_632 * 4096), Some(33_792 * 4096)));
    assert_eq!((ve.limits.pids, ve.limits.ptys, ve.limits.disk_bytes), (Some(240), Some(16), Some(1_153_433 * 1024)));
    assert_eq!((ve.limits.swap_bytes, ve.limits.open_files, ve.onboot), (None, None, Some(false)));
    let ve = read(basic, &[]);
    assert_eq!(ve.findings.iter().map(|f| f.id.as_str()).collect::<Vec<_>>(), ["ve-memory-unlimited"]);
}

/// Every name that the document lists has exactly one answer, with a reason, and a place where it has one.
#[test]
fn every_documented_parameter_is_answered() {
    let document = std::fs::read_to_string(support::repository().join("docs/parameters.md")).unwrap();
    let table = document.split("## Approximations").next().unwrap();
    let mut names = Vec::new();
    let mut file = String::new();
    for row in table.lines().filter_map(|line| line.strip_prefix("| `")) {
        let name = row.split('`').next().unwrap().replace('*', "X");
        writeln!(file, "{name}=\"1\"").unwrap();
        names.push(name);
    }
    assert!(names.len() > 90, "{} rows: the reader of this test is broken", names.len());
    let ve = read(&file, APPROXIMATIONS);
    let mut answers: BTreeMap<&str, Vec<&KeyAnswer>> = BTreeMap::new();
    for key in &ve.keys {
        answers.entry(&key.key).or_default().push(key);
    }
    for name in &names {
        let [one] = answers[name.as_str()].as_slice() else { panic!("{name}: {:?}", answers[name.as_str()]) };
        assert!(!one.why.is_empty(), "{name}");
        assert!(one.outcome != Outcome::Approximated || !one.into.is_empty(), "{name} goes nowhere: {one:?}");
        assert!(!one.why.contains("does not know this name"), "{name}");
    }
    assert_eq!(ve.nameservers, Resolver::Unset, "1 is not an address");
}

fn convert(file: &std::path::Path, more: &[&str]) -> std::process::Output {
    support::program(&["convert", "--ve-conf"]).arg(file).args(["--format", "json"]).args(more).output().unwrap()
}

#[test]
fn a_file_that_is_no_text_is_refused_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("101.conf");
    for (bytes, said) in [
        (b"ONBOOT=yes\nHOSTNAME=\"we\0b\"\n".to_vec(), "line 2, column 13 of "),
        ([b"ONBOOT=yes\n", &vec![b'x'; 10_000_000][..]].concat(), "line 2, column 1048577 of "),
        (b"ONBOOT=yes\n".repeat(1 << 20), "is 11 MiB large"),
    ] {
        std::fs::write(&file, bytes).unwrap();
        let output = convert(&file, &[]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(said) && text.contains("hint: ") && !text.contains("panicked"), "{text}");
    }
}

/// The answer names the target as the configuration does.
#[test]
fn the_name_of_the_target_is_the_one_that_was_answered() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("101.conf");
    for name in ["my web", "a+b_", &"a".repeat(80), "lxc-web", ".", "web1"] {
        std::fs::write(&file, format!("NAME=\"{name}\"\nHOSTNAME=h\n")).unwrap();
        let output = convert(&file, &[]);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = document["lxc_config"].as_str().unwrap();
        let target = ovz2lxc::model::names::target_name(name).unwrap_or_else(|| "lxc-101".into());
        assert!(text.contains(&format!("/{target}/")), "{name}: {text}");
        let key = &document["keys"][0];
        let plain = name.strip_prefix("lxc-").unwrap_or(name) == target.strip_prefix("lxc-").unwrap();
        assert_eq!(key["outcome"] == "converted", plain, "{key}");
        assert!(plain || target == "lxc-101" || key["why"].as_str().unwrap().contains(&target), "{key}");
    }
}

/// What vzctl takes and LXC cannot have is left out before it is an error of the writer.
#[test]
fn what_lxc_cannot_have_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("101.conf");
    let conf = format!(
        "HOSTNAME={}\nIP_ADDRESS=\"127.0.0.1 10.0.0.1/24\"\nDEVICES=b:4294967295:4294967295:rw\nDEVNODES=\"a'b:rw\"\n\
         NETIF=\"ifname=eth1,mac=00:18:51:00:00:01,host_ifname=v0;ifname=eth2,mac=00:18:51:00:00:01,host_ifname=v0;\
         ifname=e%d;ifname=eth3,mac=01:00:00:00:00:00\"\n",
        "a".repeat(65)
    );
    std::fs::write(&file, conf).unwrap();
    let output = convert(&file, &[]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {text}"));
    let config = document["lxc_config"].as_str().unwrap();
    assert!(
        !config.contains("b *:* rw") && !config.contains("4294967295") && !config.contains("127.0.0.1"),
        "{config}"
    );
    assert_eq!(config.matches("00:18:51:00:00:01").count(), 1, "{config}");
}

#[test]
fn a_private_area_of_virtuozzo_is_converted_with_its_scripts() {
    let dir = tempfile::tempdir().unwrap();
    let uuid = "5fbaabe3-6958-40ff-92a7-860e329aab41";
    let private = dir.path().join(uuid);
    std::fs::create_dir_all(private.join("scripts")).unwrap();
    std::fs::write(private.join("scripts/mount"), "mount --bind '/srv/my data' $VE_ROOT/data\n").unwrap();
    let conf = "HOSTNAME='web1.example.com' # its name\nIP_ADDRESS='10.0.0.1/255.255.255.0'\nPRIVVMPAGES=262144\n\
                BINDMOUNT='/srv/a:/a'\n";
    std::fs::write(private.join("ve.conf"), conf).unwrap();
    let output = convert(&private.join("ve.conf"), &["--approximate", "PRIVVMPAGES"]);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {text}"));
    assert_eq!((&document["ctid"], &document["hostname"]), (&uuid.into(), &"web1.example.com".into()));
    assert_eq!(document["limits"]["memory_bytes"], 1_073_741_824);
    assert_eq!(document["network"]["venet"][0]["prefix"], 24);
    let findings = document["findings"].as_array().unwrap();
    let remedy = |id: &str| findings.iter().find(|f| f["id"] == id).unwrap()["remedy"].as_str().unwrap();
    assert_eq!(remedy("ve-action-mount"), "lxc.mount.entry = /srv/my\\040data data none bind,create=dir 0 0");
    assert!(remedy("ve-bindmount").contains("--accept ve-bindmount"));
}
