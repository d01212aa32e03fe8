//! A source with nothing in it: a file system that is no longer mounted leaves an empty directory, and its copy would be
//! emptied too.

use super::Job;
use super::delta::LOST_FOUND;
use super::exclude::Excludes;
use crate::error::{Error, Result};
use std::os::unix::ffi::OsStrExt;

/// Tells whether the target has nothing that a pass might remove: what is excluded stays, as does what mkfs made.
pub(super) fn is_target(job: &Job<'_>) -> Result<bool> {
    let excludes = Excludes::new(&job.excludes);
    for entry in std::fs::read_dir(job.target.path())? {
        let name = entry?.file_name();
        if name.as_bytes() != LOST_FOUND && !excludes.matches(name.as_bytes()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The refusal to copy nothing over a copy.
pub(super) fn refusal(job: &Job<'_>) -> Error {
    let hint = "look whether its file system is still mounted on the source; if nothing shall be there, empty the target first";
    Error::new(format!("{} is empty, its copy is not", job.tree.display())).hint(hint)
}
