//! Hostile trees. Every path that a module or the look at the guest reads, writes or only looks for, and each directory
//! above it, is replaced in turn by what a tenant who was root may have put there.
//!
//! The paths are not listed here: they are those that the modules name, and those that a run over each golden tree
//! touches, so a new module is covered by its golden tree, and a test says so when it has none.
#![allow(unreachable_pub, reason = "what the modules of this test share")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests, though clippy cannot see it")]

#[path = "hostile/corpus.rs"]
mod corpus;
mod support;
#[path = "hostile/traps.rs"]
mod traps;

use corpus::{CORPUS, Case, Target};
use ovz2lxc::fixup::{ApplyOptions, Module, Report, apply};
use ovz2lxc::guest;
use ovz2lxc::model::finding::Finding;
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::Path;
use std::time::Duration;
use support::fixups::CATALOGUE;
use support::tree;
use traps::{Outside, Trap};

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

/// Where a trap needs a file system that lets a device be opened, /tmp; else memory.
fn place(trap: Trap) -> tempfile::TempDir {
    match trap {
        Trap::CharDevice | Trap::BlockDevice => tempfile::tempdir().unwrap(),
        _ => tempfile::tempdir_in(tree::memory()).unwrap(),
    }
}

/// Makes a case's tree, sets the trap at every target, runs twice, and looks at what came of it.
fn spring(case: &Case, trap: Trap, targets: &[&Target]) {
    let dir = place(trap);
    let root = dir.path().join("root");
    fs::create_dir(&root).unwrap();
    tree::make(&root, &case.text);
    let outside = Outside::new(dir.path(), &case.text, trap);
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
    // What decides what the guest is, and directories, alone: everything else would be left undone. What is not in the
    // tree and no file afterwards counts as absent, as it was.
    let file = matches!(trap, Trap::HardLink | Trap::Immutable);
    let alone = |t: &Target| t.alone && (t.there || file);
    let mut count = 0;
    for case in &CORPUS.cases {
        let (single, together): (Vec<_>, Vec<_>) =
            CORPUS.targets.iter().filter(|t| t.case == case.name).partition(|t| alone(t));
        for batch in single.into_iter().map(|target| vec![target]).chain(batches(&together)) {
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
    let mut unmet = Vec::new();
    for ((module, path), case) in &CORPUS.met {
        match case {
            Some(case) => {
                let is = |t: &&Target| t.case == *case && t.path == *path;
                assert!(CORPUS.targets.iter().any(|t| is(&t)), "{module}: {} is no target in {case}", path.display());
            }
            None => unmet.push(format!("{module}: {}", path.display())),
        }
    }
    assert!(unmet.is_empty(), "no golden tree makes a module look at a path that it names:\n{}", unmet.join("\n"));
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
        ("centos6-upstart", 80),
        ("debian12-sysvinit", 80),
        ("centos9-networkmanager", 25),
        ("sles11-sysconfig", 25),
        ("alt-etcnet", 25),
        ("slackware14", 25),
        ("gentoo-openrc", 25),
        ("arch-netctl", 25),
        ("ubuntu2204-netplan", 25),
    ] {
        race(CORPUS.cases.iter().find(|c| c.name == name).unwrap(), rounds);
    }
}
