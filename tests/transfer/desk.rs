//! What every test here works at: a source tree, a target, and ways to copy.

use crate::shell_host::{ShellHost, write_program};
use crate::support::{is_root, skip};
use crate::torture;
use ovz2lxc::cancel::Cancel;
use ovz2lxc::error::Result;
use ovz2lxc::event::{EventSink, Silent};
use ovz2lxc::host::Host;
use ovz2lxc::model::settings::Tuning;
use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::transfer::{Engine, Job, Pass, RsyncEngine, Stats, StreamEngine};
use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

/// Two trees side by side in a directory of their own.
pub struct Desk {
    pub temp: TempDir,
    pub source: PathBuf,
    pub target: PathBuf,
    pub excludes: Vec<PathBuf>,
    pub host: ShellHost,
    pub cancel: Cancel,
    pub tuning: Tuning,
}

impl Desk {
    /// Makes empty trees; `None`, and a line in the report, when the test cannot run here.
    pub fn new(test: &str) -> Option<Desk> {
        if !is_root() {
            skip(test, "needs root: device nodes, owners, trusted attributes");
            return None;
        }
        let temp = tempfile::tempdir().unwrap();
        let probe = temp.path().join("probe");
        std::fs::write(&probe, "").unwrap();
        let flags = rustix::fs::XattrFlags::empty();
        if rustix::fs::lsetxattr(&probe, "user.probe", b"1", flags).is_err() {
            skip(test, "the temporary directory's file system keeps no user attributes");
            return None;
        }
        std::fs::remove_file(&probe).unwrap();
        // Odd on purpose: what a remote shell or rsync may take apart.
        let (source, target) = (temp.path().join("so urce'$x *[a]"), temp.path().join("target"));
        std::fs::create_dir(&source).unwrap();
        std::fs::create_dir(&target).unwrap();
        let (host, excludes, cancel) = (ShellHost::default(), Vec::new(), Cancel::new());
        let tuning = Tuning::default();
        Some(Desk { temp, source, target, excludes, host, cancel, tuning })
    }

    /// Copies to the desk's target.
    pub fn copy(&self, engine: &dyn Engine, pass: Pass) -> Result<Stats> {
        self.copy_telling(engine, pass, &Silent)
    }

    /// Copies to the desk's target and tells `events`.
    pub fn copy_telling(&self, engine: &dyn Engine, pass: Pass, events: &dyn EventSink) -> Result<Stats> {
        let root = Rootfs::open(&self.target)?;
        engine.run(&self.job(&root, pass, events))
    }

    /// Warms the desk's source.
    pub fn warm(&self, engine: &dyn Engine) -> Result<()> {
        let root = Rootfs::open(&self.target)?;
        engine.warm(&self.job(&root, Pass::Final, &Silent))
    }

    /// Says that something else is about to change the desk's target.
    pub fn target_changes(&self, engine: &dyn Engine) -> Result<()> {
        let root = Rootfs::open(&self.target)?;
        engine.target_changes(&self.job(&root, Pass::Final, &Silent))
    }

    fn job<'a>(&'a self, root: &'a Rootfs, pass: Pass, events: &'a dyn EventSink) -> Job<'a> {
        Job {
            source: &self.host,
            tree: self.source.clone(),
            target: root,
            pass,
            still: pass == Pass::Final,
            excludes: self.excludes.clone(),
            tuning: self.tuning,
            ctid: "101".to_owned(),
            phase: "copy".to_owned(),
            expected: None,
            events,
            cancel: &self.cancel,
        }
    }

    /// Fails with the list of differences unless the trees are equal.
    pub fn assert_equal(&self, what: &str, skip: &[&str]) {
        let lines = torture::differences(&self.source, &self.target, skip);
        assert!(lines.is_empty(), "{what}:\n{}", lines.join("\n"));
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        // Paths beyond PATH_MAX are more than the removal of a temporary directory manages.
        for tree in [&self.source, &self.target] {
            if let (Ok(parent), Some(name)) = (std::fs::File::open(self.temp.path()), tree.file_name()) {
                let _ = ovz2lxc::rootfs::walk::remove(parent.as_fd(), OsStr::new(name));
            }
        }
    }
}

/// A stream engine that trusts what is older than this second.
pub fn stream() -> StreamEngine {
    StreamEngine::new().unsure_for(Duration::ZERO)
}

/// An rsync engine on this machine.
pub fn rsync() -> RsyncEngine {
    let local: Arc<dyn Host> = Arc::new(ShellHost::default());
    RsyncEngine::new(local)
}

/// Waits until the second in which the last change happened is over.
pub fn next_second() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let over = Duration::from_secs(now.as_secs() + 1) + Duration::from_millis(20);
    std::thread::sleep(over - now);
}

/// Writes a file below a tree, with its directories.
pub fn put(tree: &Path, path: &str, content: impl AsRef<[u8]>) {
    let path = tree.join(path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Puts a program before the real one of the same name on the source. `$real` is the real one; what `--version` and
/// `--help` say is real.
pub fn instead_of(desk: &mut Desk, program: &str, script: &str) {
    let dir = desk.temp.path().join("programs");
    let _ = std::fs::create_dir(&dir);
    let real = ["/usr/bin", "/bin"].iter().map(|d| Path::new(d).join(program)).find(|p| p.exists()).unwrap();
    let real = real.display();
    write_program(
        &dir.join(program),
        &format!(
            "real={real}\ncase \"$1\" in --version|--help) exec $real \"$@\";; esac\ncd '{}'\n{script}",
            desk.temp.path().display()
        ),
    );
    desk.host = ShellHost::with_programs(&dir);
}
