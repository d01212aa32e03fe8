//! Indexes of earlier passes: what the source looked like when the target was last made equal to it.
//!
//! A saved index whose pass ended well, on a target that bears the same stamp as then, says all that is on the target, and
//! no walk of it is needed. One that a pass was working on says only what need not be sent when the target still has it.

mod header;

use super::coded::{self, Decoder, Trust};
use super::difference::{Difference, between};
use super::index::{Entry, Index};
use super::stamp;
use super::{Job, Pass};
use crate::error::{Doing, Result};
use crate::model::finding::Finding;
pub(super) use header::Before;
use header::Header;
use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Cursor, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const LOG_MAGIC: &[u8] = b"ovz2lxc log 5\0\0\0";
/// How often what arrived is written down.
const OFTEN: Duration = Duration::from_secs(3);
/// What comes before a position that was written down too early; no position is that large.
const TAKEN_BACK: usize = u32::MAX as usize;
/// A pass that sends fewer entries and fewer bytes than this is not written down while it is at work.
const LARGE: (usize, u64) = (5_000, 64 << 20);

/// Keeps one index per copy, in memory, or one in a file that outlives the process.
#[derive(Debug, Default)]
pub(super) struct SavedIndexes {
    file: Option<PathBuf>,
    memory: Mutex<HashMap<Vec<u8>, Arc<[u8]>>>,
}

/// What is known from before.
pub(super) struct Earlier {
    /// The difference from then. Unless `trusted`, only what it says to be the same counts, and the target has to be looked at.
    pub(super) difference: Difference,
    /// The target is known to be as that pass left it.
    pub(super) trusted: bool,
    /// What was wrong with the file.
    pub(super) finding: Option<Finding>,
}

/// What an index belongs to: another source, tree or target makes it worthless.
pub(super) fn key(job: &Job<'_>) -> Vec<u8> {
    let mut key = Vec::new();
    for part in
        [job.source.label().as_bytes(), job.tree.as_os_str().as_bytes(), job.target.path().as_os_str().as_bytes()]
    {
        key.extend_from_slice(part);
        key.push(0);
    }
    key
}

impl SavedIndexes {
    pub(super) fn in_file(path: &Path) -> SavedIndexes {
        SavedIndexes { file: Some(path.to_owned()), ..SavedIndexes::default() }
    }

    /// Tells whether what is kept may be read after this machine started anew.
    pub(super) fn outlive_us(&self) -> bool {
        self.file.is_some()
    }

    /// Returns what the index that is kept says beforehand; nothing where there is none for this copy. How large the tree
    /// was counts only where this target was filled from it.
    pub(super) fn before(&self, job: &Job<'_>) -> Result<Before> {
        let header = match &self.file {
            Some(path) => File::open(path).ok().and_then(|file| Header::read(&mut BufReader::new(file)).ok()),
            None => self.memory().get(&key(job)).and_then(|bytes| Header::read(&mut bytes.as_ref()).ok()),
        };
        let Some(Header { stamp, mut before, .. }) = header.filter(|header| header.key == key(job)) else {
            return Ok(Before::default());
        };
        if !stamp.starts_with(&stamp::identity(job.target)?) {
            before.entries = 0;
        }
        Ok(before)
    }

    /// Fails when a tree with this top and so many entries is not the one that was copied before.
    pub(super) fn check(&self, before: &Before, top: &Entry, entries: u64, pass: Pass) -> Result<()> {
        let mounted = "look whether its file system is still mounted on the source";
        before.check(top, entries, pass).map_err(|e| match &self.file {
            Some(path) => e.hint(format!("{mounted}; if the tree was made anew, remove {} first", path.display())),
            None => e.hint(mounted),
        })
    }

    /// Compares `index` with the one that is kept. Without one, and with one that cannot be read, nothing is known.
    pub(super) fn earlier(&self, job: &Job<'_>, index: &Index) -> Earlier {
        let key = key(job);
        let from_nothing =
            |index: &Index, finding| Earlier { difference: Difference::from_nothing(index), trusted: false, finding };
        let found = match &self.file {
            Some(path) if path.exists() => self.earlier_in(path, &key, job, index),
            Some(_) => Ok(None),
            None => self.earlier_in_memory(&key, job, index),
        };
        match found {
            Ok(Some((difference, trusted))) => Earlier { difference, trusted, finding: None },
            Ok(None) => from_nothing(index, None),
            Err(e) => {
                let path = self.file.as_deref().unwrap_or(Path::new("the index in memory"));
                let title = "what an earlier pass wrote down cannot be used";
                let finding = Finding::info("copy-index-damaged", title)
                    .detail(format!("{}: {}", path.display(), e.chain().join(": ")))
                    .remedy("nothing: everything is compared and sent again");
                from_nothing(index, Some(finding))
            }
        }
    }

    fn earlier_in(&self, path: &Path, key: &[u8], job: &Job<'_>, index: &Index) -> Result<Option<(Difference, bool)>> {
        let open = || Ok(BufReader::with_capacity(256 << 10, File::open(path)?));
        compare(&open, key, job, index, &|checksum| read_log(&log_of(path), checksum))
    }

    fn earlier_in_memory(&self, key: &[u8], job: &Job<'_>, index: &Index) -> Result<Option<(Difference, bool)>> {
        let Some(bytes) = self.memory().get(key).cloned() else { return Ok(None) };
        compare(&|| Ok(Cursor::new(Arc::clone(&bytes))), key, job, index, &|_| Vec::new())
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<Vec<u8>, Arc<[u8]>>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks what is kept as being worked on; comes before the first change of the target.
    pub(super) fn mark(&self, job: &Job<'_>) -> Result<()> {
        let Some(path) = &self.file else {
            if let Some(kept) = self.memory().get_mut(&key(job)) {
                let mut bytes = kept.to_vec();
                bytes[header::MARK] = header::AT_WORK;
                *kept = bytes.into();
            }
            return Ok(());
        };
        let marked = || -> std::io::Result<()> {
            let file = match File::options().write(true).open(path) {
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
                other => other?,
            };
            if file.metadata()?.len() > header::MARK as u64 {
                file.write_all_at(&[header::AT_WORK], header::MARK as u64)?;
            }
            file.sync_all()
        };
        marked().doing(|| format!("marking the index {}", path.display()))
    }

    /// Starts to write down what arrives, for a pass that may be interrupted and is long enough for that to matter.
    pub(super) fn begin(
        &self,
        job: &Job<'_>,
        index: &Index,
        needed: &[bool],
        young: &dyn Fn(usize) -> bool,
    ) -> Result<Checkpoint> {
        let Some(path) = &self.file else { return Ok(Checkpoint::default()) };
        let weights = (0..index.len()).filter(|i| needed[*i]).map(|i| index.entry(i).weight());
        let (count, weight) = weights.fold((0, 0_u64), |(count, sum), weight| (count + 1, sum.saturating_add(weight)));
        if count < LARGE.0 && weight < LARGE.1 {
            return Ok(Checkpoint::default());
        }
        let trust = |i: usize| Trust { sure: !needed[i] && !young(i), young: young(i) };
        let stamp = stamp::identity(job.target)?;
        let start = || -> std::io::Result<Checkpoint> {
            let header = Header { whole: false, key: key(job), stamp, before: Before::of(index) };
            let checksum = replace_file(path, &header.bytes(), index, &trust)?;
            let mut log = BufWriter::new(File::create(log_of(path))?);
            log.write_all(&log_header(checksum))?;
            Ok(Checkpoint { log: Some(Mutex::new((log, Instant::now()))) })
        };
        start().doing(|| format!("saving the index {}", path.display()))
    }

    /// Replaces what is kept by `index`, of a pass that ended well. Returns without a change of the file only on an error.
    pub(super) fn save(&self, job: &Job<'_>, index: &Index, sure: &dyn Fn(usize) -> bool) -> Result<()> {
        let stamp = stamp::of(job).doing(|| format!("looking at {}", job.target.path().display()))?;
        let header = Header { whole: true, key: key(job), stamp, before: Before::of(index) }.bytes();
        let trust = |i: usize| Trust { sure: sure(i), young: false };
        match &self.file {
            Some(path) => {
                replace_file(path, &header, index, &trust).doing(|| format!("saving the index {}", path.display()))?;
                // An old log has another checksum and is worth nothing; it only takes space.
                let _ = std::fs::remove_file(log_of(path));
            }
            None => {
                let mut bytes = header;
                coded::write(index, &trust, &mut bytes)?;
                self.memory().insert(key(job), bytes.into());
            }
        }
        Ok(())
    }
}

/// Compares with what `open` reads. `None` when it belongs to another copy.
fn compare<R: BufRead>(
    open: &dyn Fn() -> Result<R>,
    key: &[u8],
    job: &Job<'_>,
    index: &Index,
    log: &dyn Fn(u64) -> Vec<u32>,
) -> Result<Option<(Difference, bool)>> {
    let Header { whole, key: found, stamp, .. } = Header::read(&mut open()?)?;
    if found != key {
        return Ok(None);
    }
    let decoder = || {
        let mut input = open()?;
        Header::read(&mut input)?;
        Ok(Decoder::new(input))
    };
    let mut arrived = Vec::new();
    if !whole {
        let mut whole_file = decoder()?;
        while whole_file.next()?.is_some() {}
        arrived = log(whole_file.checksum());
    }
    let trusted = whole && stamp::of(job)? == stamp;
    Ok(Some((between(index, &arrived, trusted, &decoder)?, trusted)))
}

fn replace_file(path: &Path, header: &[u8], index: &Index, trust: &dyn Fn(usize) -> Trust) -> std::io::Result<u64> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut output = BufWriter::with_capacity(256 << 10, tempfile::NamedTempFile::new_in(dir)?);
    output.write_all(header)?;
    let checksum = coded::write(index, trust, &mut output)?;
    let temp = output.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    temp.as_file().sync_all()?;
    temp.persist(path)?;
    File::open(dir)?.sync_all()?;
    Ok(checksum)
}

fn log_of(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".arrived");
    name.into()
}

/// What arrived was written, but not yet to the disk: it counts only until this machine starts anew.
fn log_header(checksum: u64) -> Vec<u8> {
    let boot = std::fs::read("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    [LOG_MAGIC, &checksum.to_le_bytes(), &boot].concat()
}

/// Reads which entries of the index with this checksum arrived, in order.
fn read_log(path: &Path, checksum: u64) -> Vec<u32> {
    let header = log_header(checksum);
    let read = || -> std::io::Result<Vec<u32>> {
        let mut file = File::open(path)?;
        let mut found = vec![0; header.len()];
        file.read_exact(&mut found)?;
        let mut positions = BTreeSet::new();
        if found == header && header.len() > LOG_MAGIC.len() + 8 {
            file.seek(SeekFrom::Start(header.len() as u64))?;
            let mut input = BufReader::new(file);
            let mut position = [0; 4];
            while input.read_exact(&mut position).is_ok() {
                if u32::from_le_bytes(position) as usize != TAKEN_BACK {
                    positions.insert(u32::from_le_bytes(position));
                } else if input.read_exact(&mut position).is_ok() {
                    positions.remove(&u32::from_le_bytes(position));
                }
            }
        }
        Ok(positions.into_iter().collect())
    };
    read().unwrap_or_default()
}

/// Writes down what arrives, every few seconds, so that an interrupted pass does not begin anew.
#[derive(Debug, Default)]
pub(super) struct Checkpoint {
    log: Option<Mutex<(BufWriter<File>, Instant)>>,
}

impl Checkpoint {
    /// Takes the position of an entry that is whole on the target, attributes included.
    pub(super) fn note(&self, position: usize) {
        self.write(&[position], false);
    }

    /// Takes back what was noted: the source may not have read these well.
    pub(super) fn take_back(&self, positions: &[usize]) {
        let numbers: Vec<usize> = positions.iter().flat_map(|position| [TAKEN_BACK, *position]).collect();
        self.write(&numbers, true);
    }

    fn write(&self, numbers: &[usize], at_once: bool) {
        let Some(log) = &self.log else { return };
        let (file, last) = &mut *log.lock().unwrap_or_else(PoisonError::into_inner);
        // A log that cannot be written is one that is not there: the pass goes on.
        for number in numbers.iter().filter_map(|number| u32::try_from(*number).ok()) {
            let _ = file.write_all(&number.to_le_bytes());
        }
        if at_once || last.elapsed() >= OFTEN {
            let _ = file.flush();
            *last = Instant::now();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_taken_back_did_not_arrive_unless_it_came_again() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("log");
        let mut log = BufWriter::new(File::create(&path).unwrap());
        log.write_all(&log_header(7)).unwrap();
        let checkpoint = Checkpoint { log: Some(Mutex::new((log, Instant::now()))) };
        [9, 3, 5, 4].into_iter().for_each(|position| checkpoint.note(position));
        checkpoint.take_back(&[5, 3, 8]);
        // At once: the process may end before the next time that what arrived is written down.
        assert_eq!(read_log(&path, 7), [4, 9]);
        checkpoint.note(3);
        drop(checkpoint);
        assert_eq!(read_log(&path, 7), [3, 4, 9]);
        assert!(read_log(&path, 8).is_empty());
    }
}
