//! Unpacks what a command sends as a tar stream, for a look at a few files of a tree.

use super::archive::{Archive, NoNames};
use super::extract::{Extractor, member_path};
use super::running::watch;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::host::{Command, Host};
use crate::rootfs::Rootfs;
use std::io::{BufReader, Read};

/// Runs `command` on `host` and makes the members of its tar stream below `target`. Fails when the stream is cut, holds
/// what no tree holds, or is larger than `limit` bytes.
pub fn unpack(host: &dyn Host, command: &Command, target: &Rootfs, limit: u64, cancel: &Cancel) -> Result<()> {
    let ended = watch(host, command, cancel, None, |output| {
        let mut archive = Archive::new(BufReader::new(output.take(limit)), &NoNames);
        let mut extractor = Extractor::new(target)?;
        while let Some(member) = archive.next_member()? {
            let path = member_path(&member.name)?;
            extractor.extract(&path, &member, &mut archive, cancel, &mut |_| Ok(()))?;
            if archive.bytes_read() >= limit {
                return Err(Error::new(format!("more than {limit} bytes arrived")));
            }
        }
        archive.finish()?;
        extractor.finish().map(drop)
    })?;
    ended.result?;
    ended.output.ok(command, host.label()).map(drop)
}
