//! The whole matrix of configurations is sound, and the installed LXC reads what we write. Nothing is started or mounted:
//! `lxc-info` parses the whole file.
//!
//! `OVZ2LXC_OLD_LXC` may name `lxc-info` programs of other versions, separated by colons (a wrapper that sets the library
//! path will do); each is then asked about the matrix of its own version.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "lxc_config/matrix.rs"]
mod matrix;
mod support;

use matrix::{Case, NAME, PARAMETERS, VERSIONS, cases};
use ovz2lxc::lxc::{keys, parse_config, render, value_of};
use ovz2lxc::model::target::{CgroupMode, LxcVersion};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;

#[expect(clippy::disallowed_methods, reason = "asks the real tools")]
fn run(program: &str, args: &[&str]) -> Option<Output> {
    std::process::Command::new(program).args(args).env("LC_ALL", "C").output().ok()
}

/// The installed version, if LXC is here and new enough for the new names.
fn installed(test: &str) -> Option<LxcVersion> {
    let version = run("lxc-info", &["--version"])
        .filter(|o| o.status.success())
        .and_then(|o| LxcVersion::parse(&String::from_utf8_lossy(&o.stdout)));
    let Some(version) = version else {
        support::skip(test, "LXC is not installed");
        return None;
    };
    if version.major < 3 {
        support::skip(test, "the installed LXC is older than 3.0");
        return None;
    }
    Some(version)
}

fn text(case: &Case) -> String {
    render(&case.config, &case.dialect, &case.host).unwrap().text
}

/// Keys whose empty value takes back what an include said.
const RESETS: &[&str] = &[
    "lxc.cap.drop",
    "lxc.mount.auto",
    "lxc.tty.dir",
    "lxc.devttydir",
    "lxc.cgroup.devices.deny",
    "lxc.cgroup.devices.allow",
    "lxc.cgroup2.devices.deny",
    "lxc.cgroup2.devices.allow",
];
/// Keys for which zero is a setting and no limit that nothing could run under.
const ZEROS: &[&str] = &["lxc.start.auto", "lxc.start.order", "lxc.tty", "lxc.tty.max", "lxc.cgroup2.memory.swap.max"];

/// What must hold for every configuration, whatever it says.
fn sound(case: &Case) -> usize {
    let label = &case.label;
    let rendered = render(&case.config, &case.dialect, &case.host).unwrap();
    assert_eq!(rendered, render(&case.config, &case.dialect, &case.host).unwrap(), "{label}: not the same twice");
    let text = rendered.text;
    let pairs = parse_config(&text).unwrap();
    let hooked = value_of(&pairs, "lxc.hook.start-host").is_some();
    assert_eq!(hooked, rendered.hook.is_some(), "{label}: a hook without its line, or a line without its hook");
    for (key, value) in &pairs {
        assert!(keys::is_known(key, case.dialect.version), "{label}: {key} is not known");
        assert!(!value.is_empty() || RESETS.contains(&key.as_str()), "{label}: {key} is empty");
        assert!(value != "0" || ZEROS.contains(&key.as_str()), "{label}: {key} is zero");
        assert!(!key.starts_with("lxc.hook.pre-"), "{label}: a comment became a line");
    }
    // A reset without an include would take back what this file says.
    let included = case.config.include.is_some();
    assert!(included || pairs.iter().all(|(_, value)| !value.is_empty()), "{label}: a reset of nothing");
    // LXC reads the lines as they stand there.
    let lines: Vec<&str> = text.lines().filter(|l| !l.is_empty() && !l.starts_with('#')).collect();
    let again: Vec<String> = pairs.iter().map(|(k, v)| format!("{k} = {v}").trim_end().to_owned()).collect();
    assert_eq!(lines, again, "{label}");
    let includes =
        usize::from(included) + usize::from(case.config.userns_include.is_some() && case.config.idmap.is_some());
    assert!(lines[..includes].iter().all(|l| l.starts_with("lxc.include = ")), "{label}: an include is not first");
    assert!(lines[includes..].iter().all(|l| !l.starts_with("lxc.include")), "{label}: an include is late");
    pairs.len()
}

#[test]
fn every_configuration_of_the_matrix_is_sound() {
    let (mut rendered, mut refused, mut lines) = (0, 0, 0);
    let mut seen = BTreeSet::new();
    for version in VERSIONS {
        for case in cases(LxcVersion::parse(version).unwrap()) {
            let result = render(&case.config, &case.dialect, &case.host);
            assert_eq!(result.is_ok(), case.sayable, "{}: {:?}", case.label, result.err());
            if case.sayable {
                lines += sound(&case);
                rendered += 1;
                seen.extend(
                    PARAMETERS
                        .iter()
                        .filter(|p| case.label.split(", ").any(|part| part == p.0))
                        .map(|p| (p.0, version)),
                );
            } else {
                refused += 1;
            }
        }
    }
    assert!(rendered >= 2000, "{rendered}");
    assert!(refused > 500, "{refused}");
    assert!(lines > 50_000, "{lines}");
    assert_eq!(seen.len(), PARAMETERS.len() * VERSIONS.len(), "a parameter meets every version");
}

/// Puts the text where LXC looks for it and asks for the state.
fn lxc_info(program: &str, dir: &Path, text: &str) -> Output {
    std::fs::create_dir_all(dir.join(NAME)).unwrap();
    std::fs::write(dir.join(NAME).join("config"), text).unwrap();
    run(program, &["-P", dir.to_str().unwrap(), "-n", NAME, "-s", "-l", "ERROR", "-o", "/dev/stdout"]).unwrap()
}

fn accepted(output: &Output) -> bool {
    output.status.success() && String::from_utf8_lossy(&output.stdout).contains("STOPPED")
}

/// Asks the program about every case that can be said and whose includes are here; returns how many.
fn all_accepted(program: &str, version: LxcVersion) -> usize {
    let here = |path: &Option<String>| path.as_ref().is_none_or(|p| Path::new(p).exists());
    let dir = tempfile::tempdir().unwrap();
    let mut asked = 0;
    for case in cases(version).iter().filter(|c| c.sayable) {
        if here(&case.config.include) && here(&case.config.userns_include) {
            let text = text(case);
            let output = lxc_info(program, dir.path(), &text);
            let said = String::from_utf8_lossy(&output.stdout);
            assert!(accepted(&output), "{program}: {}\n{text}\n{said}", case.label);
            asked += 1;
        }
    }
    asked
}

#[test]
fn the_installed_lxc_accepts_every_configuration() {
    let Some(version) = installed("lxc_config::the_installed_lxc_accepts_every_configuration") else { return };
    let asked = all_accepted("lxc-info", version);
    assert!(asked >= 200, "{asked}");
}

#[test]
fn other_versions_accept_theirs() {
    let programs = std::env::var("OVZ2LXC_OLD_LXC").unwrap_or_default();
    if programs.is_empty() {
        support::skip("lxc_config::other_versions_accept_theirs", "OVZ2LXC_OLD_LXC names no other LXC");
        return;
    }
    for program in programs.split(':') {
        let version = run(program, &["--version"]).unwrap();
        let version = LxcVersion::parse(&String::from_utf8_lossy(&version.stdout)).unwrap();
        assert!(all_accepted_alone(program, version) >= 50, "{program}");
    }
}

/// The same without includes: those of this host are written for the installed version.
fn all_accepted_alone(program: &str, version: LxcVersion) -> usize {
    let dir = tempfile::tempdir().unwrap();
    let alone = |c: &&Case| c.sayable && c.config.include.is_none() && c.config.userns_include.is_none();
    let cases = cases(version);
    let asked = cases.iter().filter(alone).map(|case| {
        let text = text(case);
        let output = lxc_info(program, dir.path(), &text);
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(accepted(&output), "{program}: {}\n{text}\n{said}", case.label);
    });
    asked.count()
}

#[test]
fn a_wrong_key_is_refused_so_the_tests_above_can_fail() {
    let Some(version) = installed("lxc_config::a_wrong_key_is_refused_so_the_tests_above_can_fail") else { return };
    let dir = tempfile::tempdir().unwrap();
    let alone = |c: &Case| c.sayable && c.config.include.is_none() && c.config.userns_include.is_none();
    let case = cases(version).into_iter().find(alone).unwrap();
    assert!(accepted(&lxc_info("lxc-info", dir.path(), &text(&case))));
    assert!(!accepted(&lxc_info("lxc-info", dir.path(), &format!("{}lxc.bogus.key = 1\n", text(&case)))));
    let old = cases(LxcVersion { major: 2, minor: 0 }).into_iter().find(alone).unwrap();
    assert!(!accepted(&lxc_info("lxc-info", dir.path(), &text(&old))), "the old names are errors since 3.0");
}

/// LXC's own translator of old configurations. It has two known faults: it puts `dir:` before every root file system, and
/// it leaves `lxc.limit.*` as it is (which is not written for these versions).
fn translated(dir: &Path, text: &str) -> Option<String> {
    assert!(!text.contains("lxc.limit."), "{text}");
    let old = dir.join("old");
    std::fs::write(&old, text).unwrap();
    let output = run("lxc-update-config", &["-c", old.to_str().unwrap()])?;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(std::fs::read_to_string(&old).unwrap())
}

/// The lines that both dialects can say, the root file system without what the translator does to it.
fn comparable(text: &str) -> Vec<(String, String)> {
    let later = ["lxc.prlimit.", "lxc.console.", "lxc.hook.start-host"];
    let pairs = parse_config(text).unwrap().into_iter();
    let pairs = pairs.filter(|(key, _)| !later.iter().any(|prefix| key.starts_with(prefix)));
    pairs
        .map(|(key, value)| {
            let kind = |value: &str| value.rsplit_once(':').map_or(value.to_owned(), |(_, path)| path.to_owned());
            let value = if key == "lxc.rootfs.path" { kind(&value) } else { value };
            (key, value)
        })
        .collect()
}

#[test]
fn the_old_dialects_translate_into_the_new_one() {
    let test = "lxc_config::the_old_dialects_translate_into_the_new_one";
    if installed(test).is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (mut translations, mut compared) = (0, 0);
    for old in [(1, 0), (1, 1), (2, 0)].map(|(major, minor)| LxcVersion { major, minor }) {
        // Every fifth, a number that shares no factor with the sizes of the parts, so that all parts come by.
        for (old, new) in cases(old).iter().zip(cases(LxcVersion { major: 3, minor: 0 })).step_by(5) {
            if !old.sayable || old.config.include.is_some() || old.config.userns_include.is_some() {
                continue;
            }
            let text = text(old);
            let Some(translated) = translated(dir.path(), &text) else {
                return support::skip(test, "lxc-update-config is not installed");
            };
            translations += 1;
            let output = lxc_info("lxc-info", dir.path(), &translated);
            assert!(accepted(&output), "{}\n{translated}\n{}", old.label, String::from_utf8_lossy(&output.stdout));
            let rootfs = parse_config(&translated).unwrap();
            assert!(
                value_of(&rootfs, "lxc.rootfs.path").unwrap().starts_with("dir:"),
                "the fault is mended: except it not"
            );
            // 1.x says more (halt signals) and less (`sys:mixed`), and 3.0 knows version 2.
            if old.dialect.version.major == 2 && old.dialect.cgroup == CgroupMode::V1 {
                assert_eq!(comparable(&translated), comparable(&self::text(&new)), "{}", old.label);
                compared += 1;
            }
        }
    }
    assert!(translations >= 30 && compared >= 5, "{translations} {compared}");
}
