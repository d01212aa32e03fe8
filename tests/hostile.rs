//! Hostile trees. Every path that a module or the look at the guest reads, writes or only looks for, and each directory
//! above it, is replaced in turn by what a tenant who was root may have put there.
//!
//! The paths are not listed here: they are those that the modules name, and those that a run over each golden tree
//! touches, so a new module is covered by its golden tree, and a test says so when it has none.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "helpers of tests, which clippy takes for the program's own code; shared by several test crates"
)]

#[path = "hostile/corpus.rs"]
mod corpus;
#[path = "support/mod.rs"]
mod support;
#[path = "hostile/traps.rs"]
mod traps;
#[path = "support/tree.rs"]
mod tree;

use corpus::{CORPUS, Case, Target};
use ovz2lxc::fixup::{ApplyOptions, Catalogue, Module, Report, apply};
use ovz2lxc::guest;
use ovz2lxc::model::finding::Finding;
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;
use traps::{Outside, Trap};

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::load(None).unwrap());

/// A run that takes longer hangs: an untroubled one takes some milliseconds.
const WATCHDOG: Duration = Duration::from_secs(60);

/// What a run said: the report, and what the look at the guest found.
struct Said {
    changes: BTreeSet<String>,
    findings: Vec<Finding>,
}

impl Said {
    fn names(&self, path: &str) -> bool {
        self.changes.contains(path) || self.findings.iter().any(|f| f.subject == path || f.detail.contains(path))
    }
}

fn run(root: &Path, plan: &GuestPlan) -> Result<(Said, Report), String> {
    let said = |e: ovz2lxc::error::Error| e.chain().join(": ");
    let rootfs = Rootfs::open(root).map_err(said)?;
    let (guest, mut findings) = guest::inspect(&rootfs).map_err(said)?;
    let report = apply(&CATALOGUE, &rootfs, &guest, plan, &ApplyOptions::default()).map_err(said)?;
    findings.extend(report.findings.clone());
    Ok((Said { changes: report.changes.iter().map(|c| c.path.clone()).collect(), findings }, report))
}

/// Where a trap needs a file system that lets a device be opened, /tmp; else memory, where syncing costs nothing.
fn place(trap: Trap) -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    match trap {
        Trap::CharDevice | Trap::BlockDevice => tempfile::tempdir().unwrap(),
        _ if memory.is_dir() => tempfile::tempdir_in(memory).unwrap(),
        _ => tempfile::tempdir().unwrap(),
    }
}

/// Makes a case's tree, sets the trap at every target, runs twice, and looks at what came of it.
fn spring(case: &Case, trap: Trap, targets: &[&Target]) {
    let dir = place(trap);
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    tree::make(&root, &case.text);
    let outside = Outside::new(dir.path(), &root);
    let about = format!("{}, {trap:?} at {:?}", case.name, targets.iter().map(|t| &t.path).collect::<Vec<_>>());
    let mut set = Vec::new();
    for target in targets {
        if trap.set(&root, &target.path, &outside) {
            set.push(target);
        }
    }
    let before = outside.picture();
    let watch = outside.watch();
    let (send, done) = std::sync::mpsc::channel();
    let (inside, plan) = (root.clone(), case.plan.clone());
    let runner = std::thread::spawn(move || {
        let first = run(&inside, &plan);
        let second = run(&inside, &plan);
        let _ = send.send((first, second));
    });
    let outcome = done.recv_timeout(WATCHDOG);
    traps::disarm(&root);
    let (first, second) = outcome.unwrap_or_else(|e| panic!("{about}: it hangs or panics: {e}"));
    runner.join().unwrap();
    let seen = watch.events();
    assert!(seen.is_empty(), "{about}: something outside was opened or changed: {seen:?}");
    assert_eq!(outside.picture(), before, "{about}: something outside was changed");
    let (first, _) = first.unwrap_or_else(|e| panic!("{about}: {e}"));
    let (_, again) = second.unwrap_or_else(|e| panic!("{about}, again: {e}"));
    assert_eq!(again.changes, [], "{about}: a second run changes nothing");
    let unsaid = |t: &&&Target| trap.is_worth_a_word(t) && !first.names(&format!("/{}", t.path.display()));
    let unsaid: Vec<&Target> = set.into_iter().filter(unsaid).copied().collect();
    // A file that could not be changed may be why a second one needs nothing any more: ask for each alone.
    match (unsaid.as_slice(), targets.len()) {
        ([], _) => {}
        (unsaid, 1) => panic!("{about}: nothing is said of {unsaid:?}: {:?}", first.findings),
        (unsaid, _) => unsaid.iter().for_each(|target| spring(case, trap, &[target])),
    }
}

/// Puts targets into batches, none of which holds a path together with one above it.
fn batches<'t>(targets: &[&'t Target]) -> Vec<Vec<&'t Target>> {
    let mut batches: Vec<Vec<&Target>> = Vec::new();
    for target in targets {
        let apart = |b: &&mut Vec<&Target>| {
            b.len() < 40
                && b.iter().all(|other| !other.path.starts_with(&target.path) && !target.path.starts_with(&other.path))
        };
        match batches.iter_mut().find(apart) {
            Some(batch) => batch.push(target),
            None => batches.push(vec![target]),
        }
    }
    batches
}

fn spring_everywhere(trap: Trap) {
    let test = format!("hostile::{trap:?}");
    if !support::is_root() {
        return support::skip(&test, "nodes, flags and owners need root");
    }
    if !trap.works_here(place(trap).path()) {
        return support::skip(&test, "this file system cannot hold one");
    }
    let mut count = 0;
    for case in CORPUS.cases.iter() {
        let mine = || CORPUS.targets.iter().filter(|t| t.case == case.name);
        // What decides what the guest is, and directories, alone: everything else would be left undone.
        let alone: Vec<&Target> = mine().filter(|t| t.alone).collect();
        for target in alone {
            spring(case, trap, &[target]);
            count += 1;
        }
        let together: Vec<&Target> = mine().filter(|t| !t.alone).collect();
        for batch in batches(&together) {
            spring(case, trap, &batch);
            count += batch.len();
        }
    }
    assert_eq!(count, CORPUS.targets.len());
}

macro_rules! traps {
    ($($name:ident = $trap:ident;)*) => {
        $(#[test] fn $name() { spring_everywhere(Trap::$trap); })*

        #[test]
        fn every_trap_is_sprung() {
            assert_eq!(vec![$(Trap::$trap),*], Trap::ALL);
        }
    };
}

traps! {
    an_absolute_link_does_not_lead_out = AbsoluteLink;
    a_link_above_the_root_does_not_lead_out = LinkAbove;
    a_loop_of_links_is_reported = Loop;
    a_fifo_does_not_block = Fifo;
    a_character_device_is_not_opened = CharDevice;
    a_block_device_is_not_opened = BlockDevice;
    a_directory_is_not_removed = Directory;
    a_huge_file_is_not_read = HugeFile;
    what_is_immutable_is_reported = Immutable;
    a_hard_link_does_not_lead_out = HardLink;
}

#[test]
fn every_path_of_every_module_is_a_target() {
    if !support::is_root() {
        return support::skip("every_path_of_every_module_is_a_target", "making the golden trees needs root");
    }
    let targets: BTreeSet<&Path> = CORPUS.targets.iter().map(|t| t.path.as_path()).collect();
    for module in CATALOGUE.modules() {
        for path in corpus::declared(module) {
            assert!(targets.contains(path.as_path()), "{}: {} is not covered", module.id, path.display());
        }
    }
    // What an action in native code touches is known by running it: some golden tree must make it work.
    // A module that only reports touches nothing beyond the paths of its conditions, which are declared.
    let acts = |m: &&Module| m.text.lines().any(|l| l.starts_with("do = ") && l != "do = \"report\"");
    let idle: Vec<&String> =
        CATALOGUE.modules().iter().filter(acts).map(|m| &m.id).filter(|id| !CORPUS.active.contains(*id)).collect();
    assert!(idle.is_empty(), "no golden tree makes these modules do anything: {idle:?}");
    for (path, case) in &CORPUS.touched {
        for part in path.ancestors().filter(|p| p.components().next().is_some()) {
            assert!(targets.contains(part), "{case} touches {}, which is not covered", part.display());
        }
    }
    assert!(targets.len() > 150, "only {} targets", targets.len());
}

/// Swaps directories and files for links that lead out, as fast as it can, until told to stop.
struct Racer {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
    thread: Option<std::thread::JoinHandle<u64>>,
}

impl Racer {
    /// Each pair is a place, as its directory and its name, and the decoy for it in the root.
    fn start(root: fs::File, pairs: Vec<(fs::File, OsString, String)>) -> Racer {
        use std::sync::atomic::{AtomicBool, Ordering};
        let stop = std::sync::Arc::new(AtomicBool::new(false));
        let seen = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut swaps = 0;
            while !seen.load(Ordering::Relaxed) {
                for (dir, name, decoy) in &pairs {
                    use rustix::fs::{RenameFlags, renameat_with};
                    swaps += u64::from(renameat_with(dir, name, &root, decoy, RenameFlags::EXCHANGE).is_ok());
                }
            }
            swaps
        });
        Racer { stop, thread: Some(thread) }
    }

    fn end(mut self) -> u64 {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap()
    }
}

/// The tree of a case with a decoy beside each of some paths: a link to the same path in a copy of the tree outside.
fn race(case: &Case, rounds: u32) {
    let dir = place(Trap::AbsoluteLink);
    let (root, copy) = (dir.path().join("root"), dir.path().join("outside"));
    for at in [&root, &copy] {
        fs::create_dir(at).unwrap();
        tree::make(at, &case.text);
    }
    let before = tree::dump(&copy);
    let mut pairs = Vec::new();
    for (number, path) in [
        "etc",
        "sbin",
        "dev",
        "etc/init",
        "etc/init.d",
        "etc/rc.d",
        "etc/sysconfig",
        "etc/network",
        "etc/systemd",
        "etc/conf.d",
        "etc/runlevels",
        "etc/netplan",
        "etc/net",
        "etc/netctl",
        "etc/NetworkManager",
        "etc/sysconfig/network",
        "etc/rc.d/rc.inet1.conf",
        "etc/hosts",
        "etc/fstab",
        "etc/inittab",
        "etc/resolv.conf",
        "fastboot",
    ]
    .iter()
    .enumerate()
    {
        let decoy = root.join(format!(".decoy-{number}"));
        let target = copy.join(path);
        // One goes by the absolute path, the next by many dots; a file also becomes a FIFO.
        match number % 3 {
            0 => std::os::unix::fs::symlink(&target, &decoy).unwrap(),
            1 => std::os::unix::fs::symlink(traps::above(&target), &decoy).unwrap(),
            _ if root.join(path).is_file() => {
                rustix::fs::mknodat(rustix::fs::CWD, &decoy, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
                    .unwrap();
            }
            _ => std::os::unix::fs::symlink(&target, &decoy).unwrap(),
        }
        if fs::symlink_metadata(root.join(path)).is_ok() {
            // By descriptors: through the paths this one would be led out by its own decoys.
            let (place, name) = (root.join(path), decoy.file_name().unwrap().to_str().unwrap().to_owned());
            let parent = fs::File::open(place.parent().unwrap()).unwrap();
            pairs.push((parent, place.file_name().unwrap().to_owned(), name));
        }
    }
    let watch = traps::Watch::below(&copy);
    let racer = Racer::start(fs::File::open(&root).unwrap(), pairs);
    let (send, done) = std::sync::mpsc::channel();
    let plan = case.plan.clone();
    let runner = std::thread::spawn(move || {
        let mut ended = 0;
        for round in 0..rounds {
            // Another name each time, so that there is always something to write.
            let plan = GuestPlan { hostname: format!("host{round}.example.com"), ..plan.clone() };
            ended += u32::from(run(&root, &plan).is_ok());
            let _ = send.send(Some(round));
        }
        let _ = send.send(None);
        ended
    });
    while done.recv_timeout(WATCHDOG).expect("a round of the race hangs or panics").is_some() {}
    let ended = runner.join().unwrap();
    let swaps = racer.end();
    let seen = watch.events();
    assert!(seen.is_empty(), "{}: something outside was opened or changed: {seen:?}", case.name);
    assert_eq!(tree::dump(&copy), before, "{}: something outside was changed", case.name);
    assert!(swaps > u64::from(rounds), "{}: only {swaps} swaps", case.name);
    assert!(ended > 0, "{}: not one of {rounds} runs got to its end", case.name);
}

#[test]
fn a_tenant_who_swaps_directories_while_the_fixups_run_gets_nowhere() {
    if !support::is_root() {
        return support::skip("hostile::race", "making the golden trees needs root");
    }
    for (name, rounds) in [
        ("centos6-upstart", 200),
        ("debian12-sysvinit", 200),
        ("centos9-networkmanager", 50),
        ("sles11-sysconfig", 50),
        ("alt-etcnet", 50),
        ("slackware14", 50),
        ("gentoo-openrc", 50),
        ("arch-netctl", 50),
        ("ubuntu2204-netplan", 50),
    ] {
        race(CORPUS.cases.iter().find(|c| c.name == name).unwrap(), rounds);
    }
}
