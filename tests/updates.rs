//! After an update of a package: whatever stock file comes back, applying the fixups again repairs it, changes nothing
//! else, and has nothing left to do the next time.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::rootfs::preimage::{PreImage, State};
use std::collections::BTreeSet;
use std::fs;
use support::fixups::{Golden, run};
use support::tree;

#[test]
fn whatever_comes_back_is_repaired() {
    if !support::is_root() {
        return support::skip("updates", "making the golden trees needs root");
    }
    let mut put_back = 0;
    for golden in Golden::all() {
        let (name, plan) = (golden.name(), golden.plan());
        let dir = tempfile::tempdir_in(tree::memory()).unwrap();
        tree::make(dir.path(), &golden.tree());
        let report = run(dir.path(), &plan);
        let fixed = tree::dump(dir.path());
        for image in report.preimages.iter().filter(|i| !matches!(i.state, State::Absent | State::Directory { .. })) {
            let path = image.path.path().unwrap();
            // With the directories above it that were removed; they are put back first.
            let above =
                |d: &&PreImage| matches!(d.state, State::Directory { .. }) && path.starts_with(d.path.path().unwrap());
            let mut images = vec![image.clone()];
            images.extend(report.preimages.iter().filter(above).cloned());
            Rootfs::open(dir.path()).unwrap().revert(&images).unwrap();
            let repaired = run(dir.path(), &plan);
            assert!(!repaired.changes.is_empty(), "{name}: {} came back unnoticed", path.display());
            let now = tree::dump(dir.path());
            let diff = similar::TextDiff::from_lines(&fixed, &now);
            assert!(now == fixed, "{name}, {} came back:\n{}", path.display(), diff.unified_diff());
            assert_eq!(run(dir.path(), &plan).changes, [], "{name}, {}: a second run", path.display());
            put_back += 1;
        }
    }
    assert!(put_back > 60, "only {put_back} files came back");
}

/// The stock files that are edited because their init knows no override; docs/fixups.md lists them. What is not listed
/// there and belongs to a package has to be a file of its own.
#[test]
fn only_the_stock_files_that_the_manual_lists_are_edited() {
    if !support::is_root() {
        return support::skip("updates", "making the golden trees needs root");
    }
    let manual = fs::read_to_string(support::repository().join("docs/fixups.md")).unwrap();
    let listed = manual.split("## After an update of a package").nth(1).unwrap().split("\n## ").next().unwrap();
    // Programs, boot scripts, units and jobs come with packages. The other files below /etc are configuration, which
    // packages do not overwrite.
    let stock = ["/sbin/", "/usr/", "/lib/", "/etc/init/", "/etc/rc.d/rc.", "/etc/init.d/", "/etc/event.d/"];
    let mut unlisted = BTreeSet::new();
    for golden in Golden::all() {
        let mut plan = golden.plan();
        for privileged in [true, false] {
            plan.privileged = privileged;
            let dir = tree::made(&golden.tree());
            for image in run(dir.path(), &plan).preimages {
                let path = format!("/{}", image.path.path().unwrap().display());
                let edited = matches!(image.state, State::File { .. })
                    && fs::symlink_metadata(dir.path().join(&path[1..])).is_ok();
                // insserv makes its lists itself, from the scripts that are there.
                if edited && stock.iter().any(|s| path.starts_with(s)) && !path.contains("/.depend.") {
                    let file = path.rsplit('/').next().unwrap();
                    if !listed.contains(&path) && !listed.contains(&format!("`{file}`")) {
                        unlisted.insert(format!("{path} of {}", golden.name()));
                    }
                }
            }
        }
    }
    assert!(unlisted.is_empty(), "edited, and docs/fixups.md does not say why: {unlisted:#?}");
}
