//! What outlives the process: append-only records on disk, a lock per container, and the files beside them.
//!
//! One directory a container under the state directory, `CTID@NODE/`, with `lock`, `journal.jsonl`, `plan.json` and the
//! report of the last run. A record is on disk (fsync) before the step that it announces begins.

pub mod lock;
mod record;

pub use record::{Record, StepState, states};

use crate::error::{Doing, Error, Kind, Result};
use rustix::fs::Mode;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

const RECORDS: &str = "journal.jsonl";
/// More than one run writes.
const RESERVE: u64 = 512 * 1024;
/// Nothing this program writes into a state directory comes near this.
const LIMIT: u64 = 64 * 1024 * 1024;

/// The state directory.
#[derive(Debug, Clone)]
pub struct Store {
    dir: PathBuf,
}

impl Store {
    /// Names the state directory; it is made when something is first written.
    pub fn new(dir: impl Into<PathBuf>) -> Store {
        Store { dir: dir.into() }
    }

    /// Returns the directory for a container of a node.
    pub fn container_dir(&self, ctid: &str, node: &str) -> PathBuf {
        let safe = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        self.dir.join(format!(
            "{}@{}",
            ctid.chars().map(safe).collect::<String>(),
            node.chars().map(safe).collect::<String>()
        ))
    }

    /// Lists the containers that have a directory here, by path, sorted.
    pub fn containers(&self) -> Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e).doing(|| format!("reading the state directory {}", self.dir.display())),
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.doing(|| format!("reading the state directory {}", self.dir.display()))?.path();
            if path.join(RECORDS).is_file() {
                found.push(path);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Finds the one directory of a container by its CTID, or by the name that its plan gives it on the target.
    pub fn find(&self, selector: &str) -> Result<PathBuf> {
        let prefix = format!("{selector}@");
        let mut found: Vec<PathBuf> = self.containers()?;
        found.retain(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with(&prefix)));
        match found.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(Error::new(format!(
                "no migration of container {} is known in {}",
                selector.escape_debug(),
                self.dir.display()
            ))
            .hint("see what is known with: ovz2lxc status")),
            several => {
                Err(Error::usage(format!("container {selector} was migrated from several nodes: {}", names(several)))
                    .hint("say which with --from HOST"))
            }
        }
    }

    /// Tells whether another run works on the container right now.
    pub fn is_locked(&self, dir: &Path) -> bool {
        matches!(take_lock(dir), Err(e) if e.kind() == Kind::Locked)
    }

    /// Opens the journal of a container and takes its lock; [`Kind::Locked`] when another run holds it.
    pub fn open(&self, dir: &Path) -> Result<Journal> {
        Journal::open(dir)
    }
}

fn names(paths: &[PathBuf]) -> String {
    let name = |p: &PathBuf| p.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    paths.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// The journal of one container, locked. Dropping it releases the lock.
pub struct Journal {
    dir: PathBuf,
    file: File,
    _lock: OwnedFd,
}

impl Journal {
    fn open(dir: &Path) -> Result<Journal> {
        let doing = || format!("opening the journal in {}", dir.display());
        std::fs::create_dir_all(dir).doing(doing)?;
        rustix::fs::chmod(dir, Mode::from_raw_mode(0o700)).doing(doing)?;
        let lock = take_lock(dir)?;
        let mut file = File::options().read(true).append(true).create(true).open(dir.join(RECORDS)).doing(doing)?;
        cut_torn_line(&mut file).doing(doing)?;
        reserve(&file);
        Ok(Journal { dir: dir.to_owned(), file, _lock: lock })
    }

    /// Returns the container's directory.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Appends a record and waits until it is on disk.
    pub fn append(&mut self, record: &Record) -> Result<()> {
        let doing = || format!("writing the journal in {}", self.dir.display());
        let mut line = serde_json::to_vec(record).map_err(|e| Error::new(e.to_string())).doing(doing)?;
        line.push(b'\n');
        let length = self.file.metadata().doing(doing)?.len();
        let written = self.file.write_all(&line).and_then(|()| self.file.sync_data());
        if written.is_err() {
            // A part of a line would spoil the next one.
            let _ = self.file.set_len(length);
        }
        written.doing(doing)
    }

    /// Removes the directory again when nothing was ever recorded in it: a run that did not begin leaves nothing behind.
    pub fn discard(self) {
        let Ok(entries) = std::fs::read_dir(&self.dir) else { return };
        let names: Vec<_> = entries.flatten().map(|e| e.file_name()).collect();
        let untouched = self.file.metadata().is_ok_and(|m| m.len() == 0);
        if untouched && names.iter().all(|n| n == RECORDS || n == "lock") {
            // The lock goes last: until then nobody else begins here.
            let _ = std::fs::remove_file(self.dir.join(RECORDS));
            let _ = std::fs::remove_file(self.dir.join("lock"));
            let mut dir = Some(self.dir.as_path());
            for _ in 0..3 {
                match dir {
                    Some(path) if std::fs::remove_dir(path).is_ok() => dir = path.parent(),
                    _ => break,
                }
            }
        }
    }

    /// Returns all records, oldest first.
    pub fn records(&self) -> Result<Vec<Record>> {
        read_records(&self.dir)
    }

    /// Puts the records of an earlier, ended run aside (`journal.1.jsonl`, …) and begins anew.
    pub fn begin_anew(&mut self) -> Result<()> {
        let doing = || format!("putting the old journal aside in {}", self.dir.display());
        let free = (1..10_000).map(|n| self.dir.join(format!("journal.{n}.jsonl"))).find(|p| !p.exists());
        let aside = free.ok_or_else(|| Error::new("10000 old journals are there already")).doing(doing)?;
        std::fs::rename(self.dir.join(RECORDS), aside).doing(doing)?;
        self.file = File::options().read(true).append(true).create(true).open(self.dir.join(RECORDS)).doing(doing)?;
        Ok(())
    }

    /// Writes a document beside the records, atomically.
    pub fn save<T: Serialize>(&self, name: &str, document: &T) -> Result<()> {
        let doing = || format!("writing {}", self.dir.join(name).display());
        let mut text = serde_json::to_vec_pretty(document).map_err(|e| Error::new(e.to_string())).doing(doing)?;
        text.push(b'\n');
        let mut file = tempfile::NamedTempFile::new_in(&self.dir).doing(doing)?;
        file.write_all(&text).doing(doing)?;
        file.as_file().sync_all().doing(doing)?;
        file.persist(self.dir.join(name)).map_err(|e| e.error).doing(doing)?;
        Ok(())
    }
}

/// Reads the records of a container without its lock, for `status`.
pub fn read_records(dir: &Path) -> Result<Vec<Record>> {
    let path = dir.join(RECORDS);
    let doing = || format!("reading {}", path.display());
    let text = read_bounded(&path).doing(doing)?.unwrap_or_default();
    let mut records = Vec::new();
    for (number, line) in text.split_inclusive(|b| *b == b'\n').enumerate() {
        if !line.ends_with(b"\n") {
            break; // another process is writing it, or died doing so
        }
        let record = serde_json::from_slice(line).map_err(|e| Error::new(format!("line {}: {e}", number + 1)));
        records.push(record.doing(doing)?);
    }
    Ok(records)
}

/// Reads a document that [`Journal::save`] wrote; `None` when it is not there.
pub fn load<T: DeserializeOwned>(dir: &Path, name: &str) -> Result<Option<T>> {
    let path = dir.join(name);
    let doing = || format!("reading {}", path.display());
    let Some(text) = read_bounded(&path).doing(doing)? else { return Ok(None) };
    serde_json::from_slice(&text).map(Some).map_err(|e| Error::new(e.to_string())).doing(doing)
}

fn read_bounded(path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let mut text = Vec::new();
    file.take(LIMIT + 1).read_to_end(&mut text)?;
    if text.len() as u64 > LIMIT { Err(Error::new("the file is too large")) } else { Ok(Some(text)) }
}

fn take_lock(dir: &Path) -> Result<OwnedFd> {
    lock::take(dir)?.ok_or_else(|| {
        let what = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        Error::of(Kind::Locked, format!("another run works on {what}"))
            .hint("wait for it, or look at it with: ovz2lxc status")
    })
}

/// Keeps room for the records of one run: the volume may fill the file system that the journal is on.
fn reserve(file: &File) {
    let end = file.metadata().map_or(0, |m| m.len());
    // A file system that cannot reserve is no worse off than before.
    let _ = rustix::fs::fallocate(file, rustix::fs::FallocateFlags::KEEP_SIZE, end, RESERVE);
}

/// A process that died while writing leaves a line without its end: what it announced had not begun.
fn cut_torn_line(file: &mut File) -> std::io::Result<()> {
    let mut text = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.take(LIMIT).read_to_end(&mut text)?;
    let whole = text.iter().rposition(|b| *b == b'\n').map_or(0, |p| p + 1);
    if whole < text.len() {
        file.set_len(whole as u64)?;
        file.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
impl Journal {
    /// Makes a journal whose disk is full.
    pub(crate) fn on_a_full_disk(dir: &Path) -> Journal {
        let mut journal = Journal::open(dir).unwrap();
        journal.file = File::options().write(true).open("/dev/full").unwrap();
        journal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn started(step: &str) -> Record {
        Record::Started { step: step.into() }
    }

    #[test]
    fn a_second_run_is_told_that_the_lock_is_held() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        let dir = store.container_dir("101", "root@vz1:22");
        let first = store.open(&dir).unwrap();
        assert_eq!(store.open(&dir).err().unwrap().kind(), Kind::Locked);
        drop(first);
        assert!(store.open(&dir).is_ok());
    }

    #[test]
    fn a_torn_last_line_is_as_if_it_never_was() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        let dir = store.container_dir("101", "vz1");
        store.open(&dir).unwrap().append(&started("create-volume")).unwrap();
        let mut file = File::options().append(true).open(dir.join(RECORDS)).unwrap();
        file.write_all(b"{\"record\":\"started\",\"st").unwrap();
        assert_eq!(read_records(&dir).unwrap(), [started("create-volume")]);
        let mut journal = store.open(&dir).unwrap();
        journal.append(&started("copy-live")).unwrap();
        assert_eq!(journal.records().unwrap(), [started("create-volume"), started("copy-live")]);
    }

    #[test]
    fn a_damaged_line_in_the_middle_is_an_error_with_its_number() {
        let state = tempfile::tempdir().unwrap();
        std::fs::write(state.path().join(RECORDS), b"{\"record\":\"started\",\"step\":\"a\"}\nrubbish\n").unwrap();
        let error = read_records(state.path()).unwrap_err();
        assert!(error.chain()[1].starts_with("line 2:"), "{error:?}");
    }

    #[test]
    fn containers_are_found_by_ctid_and_old_journals_stay() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path());
        assert!(store.find("101").is_err());
        let dir = store.container_dir("101", "root@[::1]:22");
        let mut journal = store.open(&dir).unwrap();
        journal.append(&started("x")).unwrap();
        journal.begin_anew().unwrap();
        assert_eq!(journal.records().unwrap(), []);
        assert!(dir.join("journal.1.jsonl").is_file());
        assert_eq!(store.find("101").unwrap(), dir);
        store.open(&store.container_dir("101", "vz2")).unwrap();
        assert_eq!(store.find("101").unwrap_err().kind(), Kind::Usage);
    }

    #[test]
    fn a_run_that_did_not_begin_leaves_nothing() {
        let state = tempfile::tempdir().unwrap();
        let store = Store::new(state.path().join("state/containers"));
        let dir = store.container_dir("101", "vz1");
        store.open(&dir).unwrap().discard();
        assert!(!state.path().join("state").exists());
        let mut journal = store.open(&dir).unwrap();
        journal.append(&started("create-volume")).unwrap();
        journal.discard();
        assert_eq!(read_records(&dir).unwrap().len(), 1, "what was recorded stays");
    }

    #[test]
    fn documents_are_read_back() {
        let state = tempfile::tempdir().unwrap();
        let journal = Store::new(state.path()).open(&state.path().join("a")).unwrap();
        journal.save("plan.json", &vec![1, 2]).unwrap();
        assert_eq!(load::<Vec<i32>>(journal.dir(), "plan.json").unwrap(), Some(vec![1, 2]));
        assert_eq!(load::<Vec<i32>>(journal.dir(), "absent.json").unwrap(), None);
        assert!(load::<String>(journal.dir(), "plan.json").is_err());
    }
}
