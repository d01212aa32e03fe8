//! A look into the tree before anything is moved: the few files that tell what the guest is and what fixups would change.
//!
//! They are fetched by one `find | tar` over the connection and unpacked below a private directory by the same extractor
//! that makes the copy. `find` follows no link, so a tenant's link does not lead it out of the tree.

use crate::cancel::Cancel;
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::rootfs::Rootfs;
use crate::transfer;
use crate::transfer::archive::{Member, MemberKind};
use std::path::Path;
use std::time::Duration;

/// More than this is not a configuration any more; the look is given up and the guest is looked at after the copy.
const LIMIT: u64 = 256 << 20;

/// What is fetched: all of /etc and /dev below a size, the links at the top, and what tells init, libc and getty.
/// `$1` is the tree.
const SCRIPT: &str = r#"cd "$1" || exit 3
{
  find . -xdev -maxdepth 1 \( -type l -o -type p -o -type f -size -128k \) -print0
  find etc dev -xdev \( -type d -o -type l -o -type p -o -type b -o -type c -o -type f -size -1024k \) -print0
  find bin sbin lib lib32 lib64 usr -xdev -maxdepth 5 \
    \( -path usr/share -o -path usr/src -o -path usr/local -o -path usr/include -o -name modules \) -prune -o \
    \( -type f -size -8192k -o -type l \) \( \
      -name init -o -name 'libc.so*' -o -name 'libc-*.so' -o -name 'ld-musl*' -o -name 'libsystemd-shared*' -o \
      -name systemd -o -name sh -o -name bash -o -name dash -o -name busybox -o -name '*getty' -o -name ifup -o \
      -name start_udev -o -name 'upstart*' -o -name initctl -o -name 'openrc*' -o -name 'simfs' -o -name 'ploop*' -o \
      -path '*/udev/devices/*' -o -path '*/systemd/system/*getty*' -o -path '*/systemd/system/*udev*' -o \
      -path '*/systemd/system/*networkd*' -o -path '*/systemd/system/*.mount' \) -print0
} 2>/dev/null | env TAR_OPTIONS= tar --create --file=- --format=posix --numeric-owner --no-recursion --null -T - 2>/dev/null
"#;

/// The part of a tree that was fetched; it is deleted when this is dropped.
pub struct Peek {
    rootfs: Rootfs,
    _dir: tempfile::TempDir,
}

impl Peek {
    /// Returns the root of what was fetched.
    pub fn rootfs(&self) -> &Rootfs {
        &self.rootfs
    }
}

/// Fetches the part of a tree that tells what the guest is.
pub fn fetch(source: &dyn Host, tree: &Path, cancel: &Cancel) -> Result<Peek> {
    let doing = || format!("looking into {} on {}", tree.display(), source.label());
    let dir = tempfile::Builder::new().prefix("ovz2lxc-look-").tempdir().doing(doing)?;
    let rootfs = Rootfs::open(dir.path())?;
    let command = Command::read("sh").args(["-c", SCRIPT, "sh"]).arg(tree).timeout(Duration::from_secs(120));
    transfer::unpack(source, &command, &rootfs, LIMIT, cancel).doing(doing)?;
    if rootfs.path().read_dir().doing(doing)?.next().is_none() {
        return Err(Error::new("there is nothing in it")).doing(doing);
    }
    Ok(Peek { rootfs, _dir: dir })
}

/// Fetches the same of an archive of vzdump.
pub fn fetch_archive(source: &dyn Host, archive: &Path, cancel: &Cancel) -> Result<Peek> {
    let doing = || format!("looking into {} on {}", archive.display(), source.label());
    let dir = tempfile::Builder::new().prefix("ovz2lxc-look-").tempdir().doing(doing)?;
    let rootfs = Rootfs::open(dir.path())?;
    transfer::unpack_some(source, archive, &rootfs, LIMIT, &wanted, cancel).doing(doing)?;
    if rootfs.path().read_dir().doing(doing)?.next().is_none() {
        return Err(Error::new("there is nothing in it")).doing(doing);
    }
    Ok(Peek { rootfs, _dir: dir })
}

/// Tells what the script above would take; of the programs, all that are not large.
fn wanted(path: &[u8], member: &Member) -> bool {
    const KIB: u64 = 1024;
    let small = |limit: u64| member.kind != MemberKind::File || member.size < limit;
    let parts: Vec<&[u8]> = path.split(|b| *b == b'/').collect();
    match parts.as_slice() {
        [_] => small(128 * KIB),
        [b"etc" | b"dev", ..] => small(1024 * KIB),
        [b"bin" | b"sbin" | b"lib" | b"lib32" | b"lib64", rest @ ..] => program(rest) && small(8192 * KIB),
        [b"usr", first, rest @ ..] if !matches!(*first, b"share" | b"src" | b"local" | b"include") => {
            program(rest) && small(8192 * KIB)
        }
        _ => false,
    }
}

/// The names of the script, by their beginnings and ends.
fn program(rest: &[&[u8]]) -> bool {
    const BEGINNINGS: [&[u8]; 6] = [b"libc.so", b"libc-", b"ld-musl", b"libsystemd-shared", b"upstart", b"openrc"];
    const NAMES: [&[u8]; 12] = [
        b"init",
        b"systemd",
        b"sh",
        b"bash",
        b"dash",
        b"busybox",
        b"ifup",
        b"start_udev",
        b"initctl",
        b"simfs",
        b"bin",
        b"sbin",
    ];
    let Some(name) = rest.last() else { return true };
    let unit = || {
        let path = rest.join(&b'/');
        let system = path.windows(15).any(|w| w == b"systemd/system/");
        let udev = path.windows(13).any(|w| w == b"udev/devices/");
        udev || (system
            && [&b"getty"[..], b"udev", b"networkd", b".mount"]
                .iter()
                .any(|part| name.windows(part.len()).any(|w| w == *part)))
    };
    NAMES.contains(name) || name.ends_with(b"getty") || BEGINNINGS.iter().any(|b| name.starts_with(b)) || unit()
}
