//! Which mkfs makes the file system of a volume, with which options.

use crate::host::Command;
use crate::model::size::{Bytes, MIB};
use crate::model::volume::FileSystem;
use std::path::Path;
use std::time::Duration;

/// mkfs on slow shared storage, with the inode tables of a large volume, takes minutes; more than this is a hang.
const LIMIT: Duration = Duration::from_secs(1800);

/// Below this, mkfs.xfs of xfsprogs 5.19 and later refuses (mkfs.xfs(8)).
pub(crate) const XFS_MINIMUM: u64 = 300 * MIB;

/// Returns the program that makes this file system.
pub(crate) fn program(fs: FileSystem) -> &'static str {
    match fs {
        FileSystem::Ext4 => "mkfs.ext4",
        FileSystem::Xfs => "mkfs.xfs",
    }
}

/// Returns the command that makes an empty file system with room for at least `inodes` inodes.
pub(crate) fn command(fs: FileSystem, size: Bytes, inodes: Option<u64>, target: &Path) -> Command {
    let command = Command::write(program(fs)).arg("-q").timeout(LIMIT);
    let command = match fs {
        FileSystem::Ext4 => ext4(command, size, inodes),
        FileSystem::Xfs => xfs(command, size, inodes),
    };
    command.arg(target)
}

/// `-m 0`: a volume is as large as the container's DISKSPACE, and OpenVZ keeps nothing of that back for root. With the
/// default of 5 % reserved, a tree that fills its quota would not fit for anybody but root.
fn ext4(command: Command, size: Bytes, inodes: Option<u64>) -> Command {
    let command = command.args(["-m", "0", "-E", "lazy_itable_init=1,lazy_journal_init=1"]);
    match inodes.filter(|n| *n > ext4_default_inodes(size)) {
        // 11 inodes are reserved by the file system itself.
        Some(n) => command.arg("-N").arg(n.saturating_add(16).to_string()),
        None => command,
    }
}

/// mke2fs.conf: an inode for every 16 KiB, for every 4 KiB below 512 MiB. `-N` is given only above that, because it
/// would otherwise take inodes away.
fn ext4_default_inodes(size: Bytes) -> u64 {
    size.0 / if size.0 < 512 * MIB { 4096 } else { 16384 }
}

/// XFS makes inodes as they are needed, in at most `maxpct` percent of the space: 25, 5 above 1 TiB, 1 above 50 TiB
/// (mkfs.xfs(8)). An inode is 512 bytes.
fn xfs(command: Command, size: Bytes, inodes: Option<u64>) -> Command {
    let default = match size.0 {
        s if s < MIB * MIB => 25,
        s if s < 50 * MIB * MIB => 5,
        _ => 1,
    };
    let wanted = inodes.map_or(0, |n| n.saturating_mul(512).saturating_mul(100).div_ceil(size.0.max(1)).min(100));
    if wanted > default { command.arg("-i").arg(format!("maxpct={wanted}")) } else { command }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::size::GIB;

    fn line(fs: FileSystem, size: u64, inodes: Option<u64>) -> String {
        command(fs, Bytes(size), inodes, Path::new("/x")).to_string()
    }

    #[test]
    fn inodes_are_asked_for_only_above_the_default() {
        let lazy = "-m 0 -E lazy_itable_init=1,lazy_journal_init=1";
        assert_eq!(line(FileSystem::Ext4, 4 * GIB, None), format!("mkfs.ext4 -q {lazy} /x"));
        assert_eq!(line(FileSystem::Ext4, 4 * GIB, Some(100_000)), format!("mkfs.ext4 -q {lazy} /x"));
        assert_eq!(line(FileSystem::Ext4, 4 * GIB, Some(300_000)), format!("mkfs.ext4 -q {lazy} -N 300016 /x"));
    }

    #[test]
    fn xfs_gets_a_larger_share_when_the_inodes_would_not_fit() {
        assert_eq!(line(FileSystem::Xfs, GIB, Some(100_000)), "mkfs.xfs -q /x");
        assert_eq!(line(FileSystem::Xfs, GIB, Some(1_000_000)), "mkfs.xfs -q -i maxpct=48 /x");
        assert_eq!(line(FileSystem::Xfs, GIB, Some(u64::MAX)), "mkfs.xfs -q -i maxpct=100 /x");
    }
}
