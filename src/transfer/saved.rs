//! Indexes of earlier passes: what the source looked like when the target was last made equal to it.

use super::Job;
use super::index::Index;
use crate::error::{Doing, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

const MAGIC: &[u8] = b"ovz2lxc index 1\0";

/// Keeps one index per copy, in memory, or one in a file that outlives the process.
#[derive(Debug, Default)]
pub(super) struct SavedIndexes {
    file: Option<PathBuf>,
    memory: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

/// What an index belongs to: another source, tree or target makes it worthless.
pub(super) fn key(job: &Job<'_>) -> Vec<u8> {
    let mut key = MAGIC.to_vec();
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

    /// Tells for each entry of `index` whether the target was made equal to it before. Without a saved index, and with one
    /// that cannot be read, nothing was.
    pub(super) fn unchanged(&self, job: &Job<'_>, index: &Index) -> Vec<bool> {
        let key = key(job);
        let found = match &self.file {
            Some(path) => open_saved(path, &key).map(|saved| index.unchanged_since(saved)),
            None => {
                let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
                memory.get(&key).map(|saved| index.unchanged_since(saved.as_slice()))
            }
        };
        match found {
            Some(Ok(unchanged)) => unchanged,
            _ => vec![false; index.len()],
        }
    }

    /// Replaces the saved index by the entries of `index` that `sure` vouches for.
    pub(super) fn save(&self, job: &Job<'_>, index: &Index, sure: &dyn Fn(usize) -> bool) -> Result<()> {
        let write = |output: &mut dyn Write| -> std::io::Result<()> {
            (0..index.len()).filter(|i| sure(*i)).try_for_each(|position| index.write_entry(output, position))
        };
        let key = key(job);
        match &self.file {
            Some(path) => replace_file(path, &key, write).doing(|| format!("saving the index {}", path.display())),
            None => {
                let mut saved = Vec::new();
                write(&mut saved)?;
                self.memory.lock().unwrap_or_else(PoisonError::into_inner).insert(key, saved);
                Ok(())
            }
        }
    }
}

fn open_saved(path: &Path, key: &[u8]) -> Option<impl BufRead + use<>> {
    let mut file = BufReader::new(File::open(path).ok()?);
    let mut found = vec![0; key.len()];
    file.read_exact(&mut found).ok()?;
    (found == key).then_some(file)
}

fn replace_file(path: &Path, key: &[u8], write: impl Fn(&mut dyn Write) -> std::io::Result<()>) -> std::io::Result<()> {
    let dir = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let temp = tempfile::NamedTempFile::new_in(dir)?;
    let mut output = BufWriter::new(temp);
    output.write_all(key)?;
    write(&mut output)?;
    let temp = output.into_inner().map_err(std::io::IntoInnerError::into_error)?;
    temp.as_file().sync_all()?;
    temp.persist(path)?;
    Ok(())
}
