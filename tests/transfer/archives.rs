//! The reader of tar streams from outside: the fuzz target's body over its seeds, over what GNU tar makes of parts of the
//! torture tree in all its formats, and over both of them changed.

use crate::archive_body;
use crate::desk::Desk;
use crate::seeds::{Dice, seeds};
use crate::shell_host::ShellHost;
use crate::torture::{self, Extent};
use ovz2lxc::host::{Command, Host};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The body works in one directory.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What GNU tar says about parts of the tree.
fn packed(tree: &Path, options: &[&str], parts: &[&str]) -> Vec<u8> {
    let tar = Command::read("tar").args(["--create", "--file=-", "--blocking-factor=1", "--directory"]).arg(tree);
    let output = ShellHost::default().run_ok(&tar.args(options).args(parts)).unwrap();
    [b"\x01".as_slice(), &output.stdout].concat()
}

const PAX: [&str; 4] = ["--format=posix", "--xattrs", "--acls", "--sparse"];

/// Small parts of the torture tree, and at least how many members they are.
const PARTS: [(&[&str], &[&str], usize); 8] = [
    (&PAX, &["attributes"], 10),
    (&PAX, &["links", "nodes"], 15),
    (&PAX, &["sparse/hole-last", "sparse/many-holes", "sparse/all-hole"], 3),
    (&["--format=posix", "--sparse", "--sparse-version=0.0"], &["sparse/many-holes"], 1),
    (&["--format=posix", "--sparse", "--sparse-version=0.1"], &["sparse/many-holes"], 1),
    (&["--format=gnu", "--sparse"], &["sparse/many-holes", "symlinks", "deep", "bin"], 20),
    (&PAX, &["names", "times", "symlinks"], 80),
    (&["--format=ustar"], &["sealed", "tmp", "etc/passwd", "links"], 12),
];

#[test]
fn the_seeds_of_the_archive_are_read_whole() {
    let _alone = alone();
    let seeds = seeds("archive");
    assert!(seeds.len() >= 5, "the seeds are gone");
    for seed in &seeds {
        assert!(archive_body::archive(seed).is_some_and(|members| members > 1));
    }
}

#[test]
fn archives_of_the_torture_tree_keep_the_promises_changed_or_not() {
    let Some(desk) = Desk::new("archives_of_the_torture_tree_keep_the_promises_changed_or_not") else { return };
    torture::build(&desk.source, Extent::WithinPathMax);
    let _alone = alone();
    let mut archives = seeds("archive");
    for (options, parts, least) in PARTS {
        let archive = packed(&desk.source, options, parts);
        let members = archive_body::archive(&archive);
        assert!(members.is_some_and(|members| members >= least), "{parts:?}: {members:?}");
        archives.push(archive);
    }
    archives.retain(|archive| archive.len() < 100_000);
    assert!(archives.len() > 8, "{} archives to change", archives.len());
    let good = change(&archives, 1_000);
    // Neither is all of it refused, nor is all of it harmless.
    assert!((20..950).contains(&good), "{good} of 1000 were good");
}

/// What the fuzzer does, for a moment and without its eyes. Returns how many were still good.
fn change(archives: &[Vec<u8>], rounds: usize) -> usize {
    let mut dice = Dice(0x5eed);
    let mut below = |bound: usize| dice.roll(bound);
    let odd: [&[u8]; 12] =
        [b"\0", b"/", b"../", b"./", b"7", b" ", b"\n", b"\xff", b"\x80", b"1", b"99999", b"=../canary/file\n"];
    let mut good = 0;
    for _ in 0..rounds {
        let mut bytes = archives[below(archives.len())].clone();
        for _ in 0..=below(4) {
            match below(5) {
                // Headers and contents of others, block by block.
                0 => {
                    let other = &archives[below(archives.len())];
                    let (at, from) = (below(bytes.len() / 512) * 512 + 1, below(other.len() / 512) * 512 + 1);
                    let length = (below(6) + 1) * 512;
                    let end = (from + length).min(other.len());
                    bytes.splice(at..at, other[from..end].iter().copied());
                }
                1 => {
                    let at = below(bytes.len() / 512) * 512 + 1;
                    bytes.drain(at..at + 512);
                }
                // The fields of a header: name, mode to time, type and link, the rest.
                _ => {
                    let piece = odd[below(odd.len())];
                    let at = below(bytes.len() / 512) * 512
                        + 1
                        + [below(20), 100 + below(48), 156 + below(20), below(512)][below(4)];
                    for (byte, new) in bytes.iter_mut().skip(at).zip(piece) {
                        *byte = *new;
                    }
                }
            }
        }
        bytes[0] = u8::try_from(below(256)).unwrap();
        good += usize::from(archive_body::archive(&bytes).is_some());
    }
    good
}
