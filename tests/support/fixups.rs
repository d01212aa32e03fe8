//! The fixups that come with the program, applied to whole trees.

use super::{repository, tree};
use ovz2lxc::error::Result;
use ovz2lxc::fixup::{ApplyOptions, Catalogue, Report, apply};
use ovz2lxc::guest;
use ovz2lxc::model::network::GuestPlan;
use ovz2lxc::rootfs::Rootfs;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use tempfile::TempDir;

/// The modules that come with the program.
pub static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::load(None).unwrap());

/// One run, as a migration does it: opens the tree, looks at what it is, and applies the fixups of a catalogue.
pub fn run_with(catalogue: &Catalogue, root: &Path, plan: &GuestPlan, options: &ApplyOptions<'_>) -> Result<Report> {
    let rootfs = Rootfs::open(root).unwrap();
    let guest = guest::detect(&rootfs).unwrap();
    apply(catalogue, &rootfs, &guest, plan, options)
}

/// One run with the program's own modules, all of them.
pub fn run(root: &Path, plan: &GuestPlan) -> Report {
    run_with(&CATALOGUE, root, plan, &ApplyOptions::default()).unwrap()
}

/// Two of them, the second of which has nothing left to do. Returns what the first one said.
pub fn run_twice(about: &str, root: &Path, plan: &GuestPlan) -> Report {
    let report = run(root, plan);
    assert_eq!(run(root, plan).changes, [], "{about}: a second run changes nothing");
    report
}

/// The plan that a text describes.
pub fn plan(text: &str) -> GuestPlan {
    toml::from_str(text).unwrap()
}

/// A tree after the fixups, and what the first run of them said.
pub struct Fixed {
    pub dir: TempDir,
    pub report: Report,
}

impl Fixed {
    /// Makes the tree that a text describes and applies the fixups twice.
    pub fn new(about: &str, text: &str, plan: &GuestPlan) -> Fixed {
        let dir = tree::made(text);
        let report = run_twice(about, dir.path(), plan);
        Fixed { dir, report }
    }

    /// Where a file of it is.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// What is in a file.
    pub fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    /// Whether there is something of this name, be it a link that leads nowhere.
    pub fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path)).is_ok()
    }

    /// The names in a directory, sorted.
    pub fn names(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<String> =
            fs::read_dir(self.path(dir)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The files that were changed, sorted, each once.
    pub fn changed(&self) -> Vec<&str> {
        let mut paths: Vec<&str> = self.report.changes.iter().map(|c| c.path.as_str()).collect();
        paths.sort_unstable();
        paths.dedup();
        paths
    }

    /// The files that were not as expected.
    pub fn unexpected(&self) -> Vec<&str> {
        self.report.findings.iter().filter(|f| f.id == "fixup-unexpected").map(|f| f.subject.as_str()).collect()
    }
}

/// A folder of tests/golden: a tree, a plan for it, and what is expected of them.
pub struct Golden {
    folder: PathBuf,
}

impl Golden {
    /// The one of this name.
    pub fn named(case: &str) -> Golden {
        Golden { folder: repository().join("tests/golden").join(case) }
    }

    /// All of them, by name.
    pub fn all() -> Vec<Golden> {
        let entries = fs::read_dir(repository().join("tests/golden")).unwrap();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.sort();
        folders.into_iter().map(|folder| Golden { folder }).collect()
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.folder.file_name().unwrap().to_str().unwrap().to_owned()
    }

    /// Where a file of it is.
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    /// The text of its tree.
    pub fn tree(&self) -> String {
        fs::read_to_string(self.path("tree.txt")).unwrap()
    }

    /// Its plan.
    pub fn plan(&self) -> GuestPlan {
        plan(&fs::read_to_string(self.path("plan.toml")).unwrap())
    }
}
