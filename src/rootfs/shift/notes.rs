//! What a walk takes off entries before it can change them, on disk before it is off.
//!
//! An immutable entry takes no attribute that could say so. Between its flag being off and the attribute being there only
//! this file knows. Entries stay in it for the whole walk: setting a flag again does no harm, and nobody has to know what
//! of the volume had reached the disk when the power went.

use super::Before;
use crate::error::{Doing, Error, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The notes of the walks over one tree; that they are there tells the next walk that there was one.
#[derive(Debug)]
pub struct Notes {
    path: PathBuf,
    file: File,
    flags: HashMap<Vec<u8>, u32>,
}

impl Notes {
    /// Opens the notes of an earlier walk, or begins new ones.
    pub fn open(path: &Path) -> Result<(Notes, Before)> {
        let doing = || format!("opening {}", path.display());
        let options = File::options().append(true).create_new(true).open(path);
        let (file, text, before) = match options {
            Ok(file) => {
                file.sync_all().doing(doing)?;
                (file, Vec::new(), Before::Untouched)
            }
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
                let text = std::fs::read(path).doing(doing)?;
                (File::options().append(true).open(path).doing(doing)?, text, Before::Begun)
            }
            Err(e) => return Err(e).doing(doing),
        };
        let mut flags = HashMap::new();
        for (entry, more) in text.split(|b| *b == b'\n').filter_map(parse) {
            *flags.entry(entry).or_default() |= more;
        }
        Ok((Notes { path: path.to_owned(), file, flags }, before))
    }

    /// Returns the flags that were, or were to be, taken off an entry.
    pub(super) fn of(&self, entry: &[u8]) -> u32 {
        self.flags.get(entry).copied().unwrap_or(0)
    }

    /// Notes the flags of an entry before they are taken off. After an error they must stay.
    pub(super) fn add(&mut self, entry: &[u8], flags: u32) -> Result<()> {
        if self.of(entry) & flags == flags {
            return Ok(());
        }
        // Every line begins anew, whatever an earlier one was cut to.
        let hex: String = entry.iter().map(|b| format!("{b:02x}")).collect();
        let written = self.file.write_all(format!("\n{flags:x} {hex}.\n").as_bytes());
        written.and_then(|()| self.file.sync_data()).map_err(|e| {
            Error::new(format!("writing {}", self.path.display()))
                .because(e)
                .hint("make room there, then run the same command again")
        })?;
        *self.flags.entry(entry.to_vec()).or_default() |= flags;
        Ok(())
    }
}

/// Reads a line; one without the point at its end was cut off before anything was done.
fn parse(line: &[u8]) -> Option<(Vec<u8>, u32)> {
    let (flags, hex) = std::str::from_utf8(line).ok()?.strip_suffix('.')?.split_once(' ')?;
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    if hex.len() % 2 != 0 {
        return None;
    }
    let entry: Option<Vec<u8>> = hex.as_bytes().chunks(2).map(byte).collect();
    Some((entry?, u32::from_str_radix(flags, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_outlive_the_walk_that_made_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids-shifted");
        let (mut notes, before) = Notes::open(&path).unwrap();
        assert_eq!((before, notes.of(b"a\n\xff")), (Before::Untouched, 0));
        notes.add(b"a\n\xff", 0x10).unwrap();
        notes.add(b"", 0x20).unwrap();
        drop(notes);
        // The last line was cut off in the middle.
        let mut file = File::options().append(true).open(&path).unwrap();
        file.write_all(b"\n10 6262").unwrap();
        let (mut notes, before) = Notes::open(&path).unwrap();
        assert_eq!(before, Before::Begun);
        assert_eq!([notes.of(b"a\n\xff"), notes.of(b""), notes.of(b"bb"), notes.of(b"b")], [0x10, 0x20, 0, 0]);
        notes.add(b"b", 0x30).unwrap();
        assert_eq!(Notes::open(&path).unwrap().0.of(b"b"), 0x30);
        assert!(Notes::open(&dir.path().join("absent/notes")).is_err());
    }

    #[test]
    fn what_cannot_be_noted_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ids-shifted");
        std::fs::write(&path, "").unwrap();
        let file = File::open(&path).unwrap();
        let mut notes = Notes { path, file, flags: HashMap::new() };
        assert!(notes.add(b"x", 0x10).unwrap_err().first_hint().is_some());
        assert_eq!(notes.of(b"x"), 0);
    }
}
