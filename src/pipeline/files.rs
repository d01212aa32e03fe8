//! The files of a container under the LXC path: its configuration, and the script that it calls on the host.

use super::configure::HOOK;
use crate::error::{Doing, Error, Result};
use std::fs::{File, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A file: where, what, and its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewFile<'a> {
    /// Where.
    pub path: PathBuf,
    /// What is in it.
    pub text: &'a str,
    /// Its permission bits, whatever the umask is.
    pub mode: u32,
}

/// Returns what belongs beside a configuration and the configuration itself, which comes last: with it there is a
/// container, which has to have everything.
pub fn files<'a>(config: &Path, text: &'a str, hook: Option<&'a str>) -> Vec<NewFile<'a>> {
    let hook = hook.map(|text| NewFile { path: config.with_file_name(HOOK), text, mode: 0o755 });
    let config = NewFile { path: config.to_owned(), text, mode: 0o640 };
    hook.into_iter().chain([config]).collect()
}

/// Writes all of it, or nothing. Refuses what is there already: it is not ours.
pub fn write_all(files: &[NewFile<'_>]) -> Result<()> {
    for (at, file) in files.iter().enumerate() {
        if let Err(error) = write_new(file) {
            for written in &files[..at] {
                let _ = std::fs::remove_file(&written.path); // made by this call, a moment ago
            }
            return Err(error).doing(|| format!("writing {}", file.path.display()));
        }
    }
    Ok(())
}

fn write_new(new: &NewFile<'_>) -> Result<()> {
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&new.path).map_err(existing)?;
    let written = file.write_all(new.text.as_bytes());
    let written = written.and_then(|()| file.set_permissions(Permissions::from_mode(new.mode)));
    if let Err(error) = written.and_then(|()| file.sync_all()) {
        let _ = std::fs::remove_file(&new.path); // ours: it was made above
        return Err(error.into());
    }
    Ok(())
}

fn existing(error: std::io::Error) -> Error {
    let there = error.kind() == ErrorKind::AlreadyExists;
    let error = Error::from(error);
    if there { error.hint("remove the file if nobody needs it, or name another place") } else { error }
}
