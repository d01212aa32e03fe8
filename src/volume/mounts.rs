//! The mount table, as far as a volume needs it: what is mounted where, on which device.

use crate::error::{Doing, Error, Result};
use crate::host::Host;
use crate::rootfs::attributes::unescaped;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A node with ten thousand mounts has a table of about 2 MiB.
const LIMIT: u64 = 16 << 20;

/// One line of `/proc/self/mountinfo` (proc(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mount {
    /// Major and minor number of the device, as `major:minor`.
    pub(crate) device: String,
    /// The mount point.
    pub(crate) point: PathBuf,
    /// The options of this mount.
    pub(crate) options: Vec<String>,
    /// The kind of file system.
    pub(crate) fs: String,
}

impl Mount {
    /// Tells whether an option is set.
    pub(crate) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|o| o == option)
    }
}

/// Reads the mount table of this process.
pub(crate) fn read_mounts(host: &dyn Host) -> Result<Vec<Mount>> {
    let table = host.read_file(Path::new("/proc/self/mountinfo"), LIMIT).doing(|| "reading the mount table")?;
    let table = table.ok_or_else(|| Error::new("/proc is not mounted"))?;
    Ok(table.split(|b| *b == b'\n').filter_map(parse_line).collect())
}

/// Returns what is mounted on exactly this directory; of several mounts the last one, which hides the others.
pub(crate) fn mounted_at<'a>(mounts: &'a [Mount], point: &Path) -> Option<&'a Mount> {
    mounts.iter().rev().find(|m| m.point == point)
}

/// Returns the mount that a path lies on.
pub(crate) fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let covering = mounts.iter().enumerate().filter(|(_, m)| path.starts_with(&m.point));
    covering.max_by_key(|(i, m)| (m.point.components().count(), *i)).map(|(_, m)| m)
}

fn parse_line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|b| *b == b' ');
    let device = text(words.nth(2)?);
    let point = PathBuf::from(OsString::from_vec(unescaped(words.nth(1)?)));
    let options = text(words.next()?).split(',').map(str::to_owned).collect();
    // Optional fields end with a single hyphen.
    words.by_ref().find(|w| *w == b"-")?;
    Some(Mount { device, point, options, fs: text(words.next()?) })
}

fn text(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[u8] = b"22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n\
        143 24 253:1 / /mnt/a\\040b rw,nosuid,nodev,noexec,relatime shared:71 master:3 - xfs /dev/loop0 rw\n\
        short line\n\
        150 24 0:44 / /mnt rw - tmpfs tmpfs rw\n";

    fn table() -> Vec<Mount> {
        TABLE.split(|b| *b == b'\n').filter_map(parse_line).collect()
    }

    #[test]
    fn a_line_gives_device_point_options_and_kind() {
        let mounts = table();
        assert_eq!(mounts.len(), 3);
        let odd = mounted_at(&mounts, Path::new("/mnt/a b")).unwrap();
        assert_eq!((odd.device.as_str(), odd.fs.as_str()), ("253:1", "xfs"));
        assert!(odd.has("noexec") && !odd.has("ro"));
    }

    #[test]
    fn the_longest_mount_point_covers_a_path() {
        let mounts = table();
        let on = |path: &str| mount_of(&mounts, Path::new(path)).unwrap().fs.clone();
        assert_eq!(on("/mnt/a b/etc"), "xfs");
        assert_eq!(on("/mnt/x"), "tmpfs");
        assert_eq!(on("/mntx"), "ext4");
    }

    #[test]
    fn escapes_that_are_none_stay() {
        assert_eq!(unescaped(b"a\\134b\\9\\04"), b"a\\b\\9\\04");
    }
}
