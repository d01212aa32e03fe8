//! What the stream engine reads from others, read without a source: for fuzzers and tests from outside.

use super::coded::{self, Decoder, Trust};
use super::difference::between;
use super::exclude::Excludes;
use super::index::Index;
use super::listing;
use crate::error::{Error, Result};

/// What the bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// The output of GNU find.
    Find,
    /// The output of find and stat.
    Stat,
    /// The entries of a saved index.
    Saved,
}

/// Reads a walk and returns the paths below the top, in order. What was read from a source is written as a saved index and
/// compared with it: a difference is an error whose text begins with `lost`.
pub fn walk_paths(bytes: &[u8], walk: Walk) -> Result<Vec<Vec<u8>>> {
    let excludes = Excludes::default();
    let index = match walk {
        Walk::Find => listing::read(bytes, &excludes, |_| Ok(()))?,
        Walk::Stat => listing::read_stat(bytes, &excludes, |_| Ok(()))?,
        Walk::Saved => {
            let mut decoder = Decoder::new(bytes);
            let mut paths = Vec::new();
            while decoder.next()?.is_some() {
                paths.push(decoder.path().to_vec());
            }
            return Ok(paths);
        }
    };
    compare_with_itself(&index)?;
    Ok((0..index.len()).map(|position| index.path(position)).collect())
}

/// Returns a saved index of what GNU find printed.
pub fn saved_walk(bytes: &[u8]) -> Result<Vec<u8>> {
    let index = listing::read(bytes, &Excludes::default(), |_| Ok(()))?;
    save(&index)
}

fn save(index: &Index) -> Result<Vec<u8>> {
    let mut saved = Vec::new();
    coded::write(index, &|_| Trust { sure: true, young: false }, &mut saved)?;
    Ok(saved)
}

fn compare_with_itself(index: &Index) -> Result<()> {
    let saved = save(index)?;
    let difference = between(index, &[], true, &|| Ok(Decoder::new(saved.as_slice())))
        .map_err(|e| Error::new("lost: what was saved cannot be read").because(e))?;
    let found = (0..index.len()).all(|position| index.find(&index.path(position)) == Some(position));
    if difference.is_empty() && found { Ok(()) } else { Err(Error::new("lost: what was saved differs")) }
}
