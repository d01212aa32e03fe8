//! Holds the house together: which room imports which, who may print, who may start a process.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Rooms by floor; a room imports from floors below its own, and from itself. Same as the map in src/lib.rs.
const FLOORS: &[(u32, &[&str])] = &[
    (0, &["error"]),
    (1, &["cancel", "event"]),
    (2, &["model", "lxc", "check"]),
    (3, &["host", "rootfs", "journal"]),
    (4, &["openvz", "volume", "transfer", "guest", "fixup", "runtime", "cluster"]),
    (5, &["pipeline", "batch"]),
    (6, &["config", "ui"]),
    (7, &["cli"]),
    (8, &["app"]),
];

/// Neighbours on one floor that one may still use, each with its reason.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    ("event", "model", "an event carries a finding"),
    ("lxc", "model", "both are nouns; the typed LXC configuration is made of them"),
    ("check", "model", "facts are nouns"),
    ("check", "lxc", "what LXC cannot say is a finding"),
    ("fixup", "guest", "a module is chosen by what the guest is"),
    ("batch", "pipeline", "a batch is many pipelines"),
    ("ui", "config", "`config show` is a screen"),
    ("cli", "config", "the command line is the strongest layer"),
];

fn sources(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

fn room_of(path: &Path) -> Option<String> {
    let below = path.strip_prefix(support::repository().join("src")).unwrap();
    let first = below.components().next()?.as_os_str().to_str()?;
    let room = first.strip_suffix(".rs").unwrap_or(first);
    (room != "main" && room != "lib").then(|| room.to_owned())
}

/// Every `crate::ROOM` of a file, with its line; comments do not count.
fn imports(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        for rest in code.split("crate::").skip(1) {
            let room: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            found.push((number + 1, room));
        }
    }
    found
}

fn files() -> Vec<PathBuf> {
    let mut files = Vec::new();
    sources(&support::repository().join("src"), &mut files);
    files
}

#[test]
fn a_room_imports_only_from_below() {
    let mut floor = BTreeMap::new();
    for (number, rooms) in FLOORS {
        for room in *rooms {
            floor.insert((*room).to_owned(), *number);
        }
    }
    let mut wrong = Vec::new();
    let mut seen = 0;
    for path in files() {
        let Some(room) = room_of(&path) else { continue };
        let own = *floor.get(&room).unwrap_or_else(|| panic!("{room} stands on no floor"));
        for (line, other) in imports(&std::fs::read_to_string(&path).unwrap()) {
            let Some(other_floor) = floor.get(&other) else { continue };
            seen += 1;
            let neighbour = NEIGHBOURS.iter().any(|(a, b, _)| *a == room && *b == other);
            if other != room && *other_floor >= own && !neighbour {
                wrong.push(format!("{}:{line}: {room} may not use {other}", path.display()));
            }
        }
    }
    assert!(seen > 100, "only {seen} imports were seen: the reader of this test is broken");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn one_room_one_power() {
    let powers: &[(&str, &str)] =
        &[("std::process::Command", "host"), ("use clap", "cli"), ("use indicatif", "ui"), ("use pathrs", "rootfs")];
    let mut wrong = Vec::new();
    for path in files() {
        let Some(room) = room_of(&path) else { continue };
        let text = std::fs::read_to_string(&path).unwrap();
        for (number, line) in text.lines().enumerate() {
            for (power, owner) in powers {
                let tests = path.to_string_lossy().contains("test")
                    || text[..text.find(line).unwrap()].contains("#[cfg(test)]");
                if line.contains(power) && room != *owner && !tests && !line.trim_start().starts_with("//") {
                    wrong.push(format!("{}:{}: {power} belongs to {owner}", path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn main_is_short_and_files_stay_readable() {
    let main = std::fs::read_to_string(support::repository().join("src/main.rs")).unwrap();
    assert!(main.lines().count() <= 40);
    for path in files() {
        let lines = std::fs::read_to_string(&path).unwrap().lines().count();
        assert!(lines <= 700, "{} has {lines} lines: two rooms in one?", path.display());
    }
}

#[test]
fn the_lock_file_of_the_fuzz_targets_knows_every_dependency() {
    let read = |name: &str| std::fs::read_to_string(support::repository().join(name)).unwrap();
    let (manifest, lock) = (read("Cargo.toml"), read("fuzz/Cargo.lock"));
    let section = manifest.split("\n[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap().to_owned();
    let names: Vec<&str> = section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name).collect();
    assert!(names.len() > 10, "{names:?}");
    let missing: Vec<&&str> = names.iter().filter(|name| !lock.contains(&format!("\nname = \"{name}\"\n"))).collect();
    // scripts/fuzz.sh builds with --locked.
    assert!(missing.is_empty(), "not in fuzz/Cargo.lock: {missing:?}; run cargo check --manifest-path fuzz/Cargo.toml");
}
