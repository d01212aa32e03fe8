//! What is attacked: the golden trees, and every path in them that a run touches or a module names.

use crate::support::fixups::{CATALOGUE, Golden};
use crate::support::tree;
use ovz2lxc::fixup::{ApplyOptions, Done, Module, apply};
use ovz2lxc::guest;
use ovz2lxc::model::guest::Guest;
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// A golden tree, with its plan or one that makes other actions run.
#[derive(Clone)]
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
    /// A module takes it for its own by where it leads: another link there is somebody's.
    pub by_target: bool,
}

pub struct Corpus {
    pub cases: Vec<Case>,
    pub targets: Vec<Target>,
    /// Every path that a run touched, with the case.
    pub touched: BTreeMap<PathBuf, String>,
    /// Modules that changed or said something in some case.
    pub active: BTreeSet<String>,
    /// Every path that a module names, with the module: the case in which the module alone, the others left out, looks at it.
    pub met: BTreeMap<(String, PathBuf), Option<String>>,
}

pub static CORPUS: LazyLock<Corpus> = LazyLock::new(corpus);

/// What one case touches.
struct Probe {
    guest: Guest,
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
    let dir = tempfile::tempdir_in(tree::memory()).unwrap();
    tree::make(dir.path(), &case.text);
    let mut probe = Probe {
        guest: guest::detect(&Rootfs::open(dir.path()).unwrap()).unwrap(),
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

/// The paths of a module's actions that go by where a link leads.
fn taken_by_target(module: &Module) -> BTreeSet<PathBuf> {
    let table: toml::Table = module.text.parse().unwrap();
    let actions = table["action"].as_array().unwrap().iter().filter(|a| a.get("leading_to").is_some());
    let mut found = BTreeSet::new();
    actions.for_each(|action| collect(action, &mut found));
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
    let golden = Golden::all();
    let mut cases: Vec<Case> = golden.iter().map(|g| Case { name: g.name(), text: g.tree(), plan: g.plan() }).collect();
    let mut active = BTreeSet::new();
    let mut probes: Vec<Probe> = cases.iter().map(|case| probe(case, &mut active)).collect();

    // Every path goes into one tree: where it is changed, where it is, where it is looked for, in this order.
    let mut all: BTreeMap<PathBuf, usize> = BTreeMap::new();
    let mut touched = BTreeMap::new();
    let rank = |path: &Path, at: usize| {
        let p: &Probe = &probes[at];
        let (changed, there) = (p.changed.contains_key(path), p.there.contains(path));
        (changed && there, changed, there && p.touched.contains(path), p.touched.contains(path))
    };
    for (at, probe) in probes.iter().enumerate() {
        for path in probe.touched.iter().chain(probe.changed.keys()) {
            for part in parts(path) {
                let best = all.entry(part.to_owned()).or_insert(at);
                if rank(part, at) > rank(part, *best) {
                    *best = at;
                }
            }
            touched.insert(path.clone(), cases[at].name.clone());
        }
    }
    // And into one tree for each module that names it, in which that module looks at it.
    let (mut places, met) = meet(&mut cases, &mut probes, &mut active, &all);
    places.extend(all);
    let by_target: BTreeSet<PathBuf> = CATALOGUE.modules().iter().flat_map(taken_by_target).collect();
    let targets = places
        .into_iter()
        .map(|(path, at)| Target {
            changed: probes[at].changed.get(&path).copied(),
            there: probes[at].there.contains(&path),
            directory: probes[at].directories.contains(&path),
            alone: probes[at].looked.contains(&path),
            by_target: by_target.contains(&path),
            case: cases[at].name.clone(),
            path,
        })
        .collect();
    Corpus { cases, targets, touched, active, met }
}

fn parts(path: &Path) -> impl Iterator<Item = &Path> {
    path.ancestors().filter(|p| !p.as_os_str().is_empty())
}

type Met = BTreeMap<(String, PathBuf), Option<String>>;

/// Finds for each path that a module names a case in which the module looks at it; adds cases with other plans where no
/// golden one has the number of consoles that the module asks for.
fn meet(
    cases: &mut Vec<Case>,
    probes: &mut Vec<Probe>,
    active: &mut BTreeSet<String>,
    best: &BTreeMap<PathBuf, usize>,
) -> (BTreeSet<(PathBuf, usize)>, Met) {
    let (mut places, mut met) = (BTreeSet::new(), Met::new());
    let golden = cases.len();
    let bare = |case: &Case| Case {
        name: format!("{} without consoles", case.name),
        plan: GuestPlan { ttys: 0, privileged: false, ..case.plan.clone() },
        ..case.clone()
    };
    let bares: Vec<Case> = cases.iter().map(bare).collect();
    for module in CATALOGUE.modules() {
        let mut looks: BTreeMap<usize, BTreeSet<PathBuf>> = BTreeMap::new();
        for path in declared(module) {
            let fits = |at: &usize| {
                let family = &module.when.family;
                family.is_empty() || family.contains(&probes[at % golden].guest.family)
            };
            let first = best.get(&path).copied();
            let order = first.into_iter().chain(0..2 * golden).filter(fits);
            let mut order = order.collect::<Vec<_>>().into_iter();
            let found = order.find(|at| {
                let guest = &probes[at % golden].guest;
                let case = if *at < golden { &cases[*at] } else { &bares[at - golden] };
                let seen = looks.entry(*at).or_insert_with(|| looked_at(module, case, guest, None));
                // A file that a wildcard stands for is seen when it is there.
                seen.contains(&path)
                    || (parts(&path).any(|p| seen.contains(p))
                        && looked_at(module, case, guest, Some(&path)).contains(&path))
            });
            let name = found.map(|at| {
                let at = if at < golden {
                    at
                } else {
                    let case = &bares[at - golden];
                    cases.iter().position(|c| c.name == case.name).unwrap_or_else(|| {
                        probes.push(probe(case, active));
                        cases.push(case.clone());
                        cases.len() - 1
                    })
                };
                // What is above it is attacked once, wherever that is.
                let above = parts(&path).skip(1).filter(|p| !best.contains_key(*p));
                places.extend(above.chain([path.as_path()]).map(|p| (p.to_owned(), at)));
                cases[at].name.clone()
            });
            met.insert((module.id.clone(), path), name);
        }
    }
    (places, met)
}

/// The paths that one module looks at, all others left out, in the tree of a case with a file more.
fn looked_at(module: &Module, case: &Case, guest: &Guest, more: Option<&Path>) -> BTreeSet<PathBuf> {
    let dir = tempfile::tempdir_in(tree::memory()).unwrap();
    tree::make(dir.path(), &case.text);
    if let Some(more) = more.map(|more| dir.path().join(more)) {
        let made = fs::create_dir_all(more.parent().unwrap())
            .and_then(|()| fs::OpenOptions::new().create_new(true).write(true).open(&more));
        if made.is_err() {
            return BTreeSet::new();
        }
    }
    let rootfs = Rootfs::open(dir.path()).unwrap().noting_paths();
    let others: Vec<String> = CATALOGUE.modules().iter().map(|m| m.id.clone()).filter(|id| *id != module.id).collect();
    apply(&CATALOGUE, &rootfs, guest, &case.plan, &ApplyOptions { dry_run: true, skip: &others }).unwrap();
    rootfs.touched().iter().map(|p| relative(p)).collect()
}
