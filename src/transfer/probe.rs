//! What the programs on a source can do.

use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Without one of these a tree would arrive damaged, or names with a backslash not at all.
const NEEDED: [&str; 9] = [
    "--format",
    "--no-recursion",
    "--no-unquote",
    "--null",
    "--numeric-owner",
    "--one-file-system",
    "--pax-option",
    "--sparse",
    "--xattrs",
];

/// What the source's tar can do beyond what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tar {
    /// Writes ACLs as text; newer versions write them as attributes as well.
    pub(super) acls: bool,
    /// Writes SELinux labels as records of their own.
    pub(super) selinux: bool,
}

/// Looks at the source's tar and find. An error says what they lack for the stream engine.
pub(super) fn stream(source: &dyn Host) -> Result<Tar> {
    stream_abilities(source)
        .map_err(|e| e.hint("copy with --engine rsync"))
        .doing(|| format!("the stream engine cannot copy from {}", source.label()))
}

fn stream_abilities(source: &dyn Host) -> Result<Tar> {
    let find = ask(source, "find", "--version")?;
    if !find.contains("GNU findutils") {
        return Err(Error::new("its find is not GNU find, which prints the attributes of entries"));
    }
    let version = ask(source, "tar", "--version")?;
    if !version.contains("GNU tar") {
        return Err(Error::new("its tar is not GNU tar"));
    }
    let help = ask(source, "tar", "--help")?;
    let knows = |option: &str| {
        let end = |rest: &str| !rest.starts_with(|c: char| c == '-' || c.is_ascii_alphanumeric());
        help.match_indices(option).any(|(i, _)| end(&help[i + option.len()..]))
    };
    let missing: Vec<&str> = NEEDED.into_iter().filter(|option| !knows(option)).collect();
    if !missing.is_empty() {
        let version = version.lines().next().unwrap_or_default().to_owned();
        return Err(Error::new(format!("its {version} does not know {}", missing.join(", "))));
    }
    Ok(Tar { acls: knows("--acls"), selinux: knows("--selinux") })
}

fn ask(source: &dyn Host, program: &str, option: &str) -> Result<String> {
    let command = Command::read(program).arg(option).timeout(PATIENCE);
    let output = source.run(&command).map_err(|e| Error::new(format!("its {program} cannot be run")).because(e))?;
    if output.status != 0 {
        let error = Error::new(format!("it has no working {program}"));
        return Err(if output.stderr.is_empty() { error } else { error.because(Error::new(output.stderr_tail())) });
    }
    Ok(output.text())
}

/// Looks for rsync on a host and returns its version.
pub(super) fn rsync(host: &dyn Host) -> Result<(u32, u32, u32)> {
    let text = ask(host, "rsync", "--version")
        .map_err(|e| e.hint(format!("install rsync on {}, or copy with --engine stream", host.label())))
        .doing(|| format!("the rsync engine needs rsync on {}", host.label()))?;
    rsync_version(&text).ok_or_else(|| Error::new(format!("the rsync of {} does not say its version", host.label())))
}

fn rsync_version(text: &str) -> Option<(u32, u32, u32)> {
    let version = text.split_once("version ")?.1;
    let version = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = version.split('.').map(|p| p.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// Returns the source's clock in seconds since 1970: change times are by this clock, not by ours.
pub(super) fn clock(source: &dyn Host) -> Result<i64> {
    let command = Command::read("date").arg("+%s").timeout(PATIENCE);
    let text = source.run_ok(&command)?.text();
    text.trim().parse().map_err(|_| Error::new(format!("the clock of {} says {:?}", source.label(), text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_rsync_are_understood() {
        assert_eq!(rsync_version("rsync  version 3.0.6  protocol version 30\n"), Some((3, 0, 6)));
        assert_eq!(rsync_version("rsync  version v3.2.7pre1  protocol version 31\n"), Some((3, 2, 7)));
        assert_eq!(rsync_version("openrsync: protocol"), None);
    }
}
