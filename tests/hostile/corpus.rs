//! What is attacked: the golden trees, and every path in them that a run touches or a module names.

use crate::{CATALOGUE, support, tree};
use ovz2lxc::fixup::{ApplyOptions, Done, Module, apply};
use ovz2lxc::guest;
use ovz2lxc::model::guest::Family;
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A golden tree.
pub struct Case {
    pub name: String,
    pub text: String,
    pub plan: GuestPlan,
}

/// A path in the tree of one case.
#[derive(Debug)]
pub struct Target {
    pub case: String,
    pub path: PathBuf,
    /// What an untroubled run does to it.
    pub changed: Option<Done>,
    /// It is in the tree.
    pub there: bool,
    /// It is a directory there.
    pub directory: bool,
    /// It decides what else is done, so its trap is set without others.
    pub alone: bool,
}

pub struct Corpus {
    pub cases: Vec<Case>,
    pub targets: Vec<Target>,
    /// Every path that a run touched, with the case.
    pub touched: BTreeMap<PathBuf, String>,
    /// Modules that changed or said something in some case.
    pub active: BTreeSet<String>,
}

pub static CORPUS: LazyLock<Corpus> = LazyLock::new(corpus);

/// What one case touches.
struct Probe {
    family: Family,
    touched: BTreeSet<PathBuf>,
    looked: BTreeSet<PathBuf>,
    changed: BTreeMap<PathBuf, Done>,
    there: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

fn relative(path: &Path) -> PathBuf {
    path.strip_prefix("/").unwrap_or(path).to_owned()
}

fn probe(case: &Case, active: &mut BTreeSet<String>) -> Probe {
    let dir = tempfile::tempdir().unwrap();
    tree::make(dir.path(), &case.text);
    let mut probe = Probe {
        family: Family::Unknown,
        touched: BTreeSet::new(),
        looked: BTreeSet::new(),
        changed: BTreeMap::new(),
        there: BTreeSet::new(),
        directories: BTreeSet::new(),
    };
    for entry in walkdir::WalkDir::new(dir.path()).min_depth(1) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(dir.path()).unwrap().to_owned();
        if entry.file_type().is_dir() {
            probe.directories.insert(path.clone());
        }
        probe.there.insert(path);
    }
    // The second run sees what the first one made.
    for _ in 0..2 {
        let rootfs = Rootfs::open(dir.path()).unwrap().noting_paths();
        let guest = guest::detect(&rootfs).unwrap();
        probe.family = guest.family;
        probe.looked.extend(rootfs.touched().iter().map(|p| relative(p)));
        let report = apply(&CATALOGUE, &rootfs, &guest, &case.plan, &ApplyOptions::default()).unwrap();
        probe.touched.extend(rootfs.touched().iter().map(|p| relative(p)));
        for change in &report.changes {
            probe.changed.entry(relative(Path::new(&change.path))).or_insert(change.action);
            active.insert(change.fixup.clone());
        }
        // A module that only reports names itself as the subject.
        active.extend(report.findings.iter().map(|f| f.subject.clone()));
    }
    for set in [&mut probe.touched, &mut probe.looked] {
        set.remove(Path::new(""));
    }
    probe
}

/// The paths that a module names: every `path`, `exists` and `missing`, in whatever table, wildcards filled in.
pub fn declared(module: &Module) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let table: toml::Table = module.text.parse().unwrap();
    collect(&toml::Value::Table(table), &mut found);
    found
}

fn collect(value: &toml::Value, found: &mut BTreeSet<PathBuf>) {
    match value {
        toml::Value::Table(table) => {
            for (key, value) in table {
                match (key.as_str(), value) {
                    ("path" | "exists" | "missing", toml::Value::String(text)) => drop(found.insert(filled(text))),
                    ("path" | "exists" | "missing", toml::Value::Array(list)) => {
                        found.extend(list.iter().filter_map(|v| v.as_str()).map(filled));
                    }
                    _ => collect(value, found),
                }
            }
        }
        toml::Value::Array(list) => list.iter().for_each(|v| collect(v, found)),
        _ => {}
    }
}

fn filled(pattern: &str) -> PathBuf {
    let text = pattern.replace("{{ tty }}", "tty1").replace("{{ number }}", "1").replace("{{ nic.name }}", "eth0");
    assert!(!text.contains("{{"), "{pattern}: say in tests/hostile/corpus.rs what stands for this");
    PathBuf::from(text.replace('*', "x").replace('?', "3"))
}

fn corpus() -> Corpus {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(support::repository().join("tests/golden")).unwrap().map(|e| e.unwrap().path()).collect();
    folders.sort();
    let read = |folder: &Path, name: &str| fs::read_to_string(folder.join(name)).unwrap();
    let cases: Vec<Case> = folders
        .iter()
        .map(|folder| Case {
            name: folder.file_name().unwrap().to_str().unwrap().to_owned(),
            text: read(folder, "tree.txt"),
            plan: toml::from_str(&read(folder, "plan.toml")).unwrap(),
        })
        .collect();
    let mut active = BTreeSet::new();
    let probes: Vec<Probe> = cases.iter().map(|case| probe(case, &mut active)).collect();

    // Every path goes into one tree: where it is changed, where it is, where it is looked for, in this order.
    let mut all: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut touched = BTreeMap::new();
    let rank = |path: &Path, at: usize| {
        let p: &Probe = &probes[at];
        let (changed, there) = (p.changed.contains_key(path), p.there.contains(path));
        (changed && there, changed, there && p.touched.contains(path), p.touched.contains(path))
    };
    let mut add = |path: &Path, at: usize| {
        for part in path.ancestors().filter(|p| !p.as_os_str().is_empty()) {
            let best = all.entry(part.to_owned()).or_insert(at);
            if rank(part, at) > rank(part, *best) {
                *best = at;
            }
        }
    };
    for (at, probe) in probes.iter().enumerate() {
        for path in probe.touched.iter().chain(probe.changed.keys()) {
            add(path, at);
            touched.insert(path.clone(), cases[at].name.clone());
        }
    }
    for module in CATALOGUE.modules() {
        let fits = |p: &Probe| module.when.family.is_empty() || module.when.family.contains(&p.family);
        let at = probes.iter().position(fits).unwrap_or(0);
        declared(module).iter().for_each(|path| add(path, at));
    }
    let targets = all
        .into_iter()
        .map(|(path, at)| Target {
            changed: probes[at].changed.get(&path).copied(),
            there: probes[at].there.contains(&path),
            directory: probes[at].directories.contains(&path),
            alone: probes[at].looked.contains(&path),
            case: cases[at].name.clone(),
            path,
        })
        .collect();
    Corpus { cases, targets, touched, active }
}
