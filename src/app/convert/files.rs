//! The files of a converted container.

use crate::error::{Doing, Error, Result};
use crate::pipeline::configure::HOOK;
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What is written, and where it belongs: the container's directory under the LXC path.
pub(super) struct Files<'a> {
    directory: &'a Path,
    config: &'a str,
    hook: Option<&'a str>,
}

impl<'a> Files<'a> {
    pub(super) fn new(directory: &'a Path, config: &'a str, hook: Option<&'a str>) -> Files<'a> {
        Files { directory, config, hook }
    }

    /// Returns the configuration's text.
    pub(super) fn config(&self) -> &'a str {
        self.config
    }

    /// Returns the script with its place, the one that the configuration calls.
    pub(super) fn hook(&self) -> Option<(PathBuf, &'a str)> {
        self.hook.map(|text| (self.directory.join(HOOK), text))
    }

    /// Writes both into a directory, which is made when it is missing; refuses what is there already, and leaves nothing
    /// when one of them cannot be written.
    pub(super) fn write(&self, directory: &Path) -> Result<()> {
        std::fs::create_dir_all(directory).doing(|| format!("making {}", directory.display()))?;
        let config = (directory.join("config"), self.config, 0o640);
        let hook = self.hook.map(|text| (directory.join(HOOK), text, 0o755));
        let mut made: Vec<PathBuf> = Vec::new();
        for (path, text, mode) in std::iter::once(config).chain(hook) {
            if let Err(error) = one(&path, text, mode, &mut made) {
                for ours in made {
                    let _ = std::fs::remove_file(ours); // made by this call, a moment ago
                }
                return Err(error).doing(|| format!("writing {}", path.display()));
            }
        }
        Ok(())
    }
}

fn one(path: &Path, text: &str, mode: u32, made: &mut Vec<PathBuf>) -> Result<()> {
    let file = std::fs::File::options().write(true).create_new(true).mode(mode).open(path);
    let mut file = file.map_err(existing)?;
    made.push(path.to_owned());
    file.write_all(text.as_bytes())?;
    Ok(file.sync_all()?)
}

fn existing(error: std::io::Error) -> Error {
    let there = error.kind() == ErrorKind::AlreadyExists;
    let error = Error::from(error);
    if there { error.hint("name another directory, or remove the file") } else { error }
}
