//! A strict transcript in place of a host, for the tests of this room.

use crate::error::{Error, Result};
use crate::host::{Command, Host, Output, Process, RemoteShell};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// Expects commands in order, each as its shell line; one that is not next fails, and so does [`Fake::done`] when any is
/// left.
#[derive(Default)]
pub(super) struct Fake {
    script: Mutex<VecDeque<(String, Output)>>,
    /// Successive contents; the last one stays.
    files: Mutex<BTreeMap<PathBuf, VecDeque<Vec<u8>>>>,
}

impl Fake {
    pub(super) fn new() -> Fake {
        Fake::default()
    }

    pub(super) fn file(self, path: &str, contents: &[&str]) -> Fake {
        let contents = contents.iter().map(|text| text.as_bytes().to_vec()).collect();
        self.files.lock().unwrap().insert(path.into(), contents);
        self
    }

    pub(super) fn expect(self, line: &str, stdout: &str) -> Fake {
        self.answer(line, 0, stdout, "")
    }

    pub(super) fn answer(self, line: &str, status: i32, stdout: &str, stderr: &str) -> Fake {
        let output = Output { status, stdout: stdout.as_bytes().to_vec(), stderr: stderr.as_bytes().to_vec() };
        self.script.lock().unwrap().push_back((line.to_owned(), output));
        self
    }

    pub(super) fn done(&self) {
        let left = self.script.lock().unwrap();
        assert!(left.is_empty(), "not run: {:?}", left.iter().map(|(line, _)| line).collect::<Vec<_>>());
    }
}

impl Host for Fake {
    fn label(&self) -> &str {
        "root@vz1:22"
    }

    fn run(&self, command: &Command) -> Result<Output> {
        assert!(command.time_limit().is_some(), "without a time limit: {command}");
        let line = command.shell_line().into_string().unwrap();
        // Scripts are long; their first words name them.
        let short = match line.find("'\\n") {
            Some(at) => line[..at].to_owned(),
            None => line,
        };
        let mut script = self.script.lock().unwrap();
        match script.pop_front() {
            Some((want, output)) if matches(&want, &short) => Ok(output),
            Some((want, _)) => Err(Error::new(format!("expected {want:?}, got {short:?}"))),
            None => Err(Error::new(format!("expected nothing, got {short:?}"))),
        }
    }

    fn spawn(&self, command: &Command) -> Result<Box<dyn Process>> {
        Err(Error::new(format!("this room streams nothing: {command}")))
    }

    fn read_file(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
        let mut files = self.files.lock().unwrap();
        let Some(contents) = files.get_mut(path) else { return Ok(None) };
        let now = if contents.len() > 1 { contents.pop_front() } else { contents.front().cloned() };
        let now = now.unwrap_or_default();
        assert!(now.len() as u64 <= limit);
        Ok(Some(now))
    }

    fn remote_shell(&self) -> Option<RemoteShell> {
        None
    }

    fn another(&self) -> Result<Box<dyn Host>> {
        Err(Error::new("this room needs one connection"))
    }
}

/// `sh -c @ARGS` stands for a script with these arguments.
fn matches(want: &str, got: &str) -> bool {
    match want.strip_prefix("sh -c @") {
        Some(args) => got.starts_with("sh -c ") && got.ends_with(args),
        None => want == got,
    }
}
