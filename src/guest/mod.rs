//! What is in a tree: distribution, init, architecture, C library, network files. Found by files, never by running one.

mod binary;
mod init;
mod network;
mod release;

use crate::error::Result;
use crate::model::finding::{Finding, Severity};
use crate::model::guest::{Guest, Init};
use crate::rootfs::look::shown;
use crate::rootfs::{EntryKind, Look, Rootfs};
use std::path::Path;

/// Release files are a few lines; what is larger is not one.
const TEXT_LIMIT: u64 = 256 * 1024;

/// The tree being looked at, and what could not be looked at.
struct Eye<'a> {
    rootfs: &'a Rootfs,
    findings: Vec<Finding>,
}

impl Eye<'_> {
    /// Reads a text; what cannot be read (a FIFO, a directory, something huge) is a finding and counts as absent.
    fn text(&mut self, path: &str) -> Option<String> {
        match self.rootfs.read(Path::new(path), TEXT_LIMIT) {
            Ok(content) => content.map(|c| String::from_utf8_lossy(&c.bytes).into_owned()),
            Err(error) => {
                self.complain(path, &error.chain().join(": "));
                None
            }
        }
    }

    fn complain(&mut self, path: &str, detail: &str) {
        self.findings.push(
            Finding::new(Severity::Skipped, "guest-unreadable", "a file that tells about the guest could not be read")
                .detail(detail)
                .remedy("look at the file in the container; what it would have told counts as unknown")
                .subject(shown(Path::new(path))),
        );
    }

    /// Tells whether a path, links followed inside the root, leads to something of the kind.
    fn is(&self, path: &str, kind: EntryKind) -> bool {
        let found = self.rootfs.canonical(Path::new(path), true).and_then(|p| self.rootfs.entry(&p));
        matches!(found, Ok(Some(entry)) if entry.kind == kind)
    }

    fn is_file(&self, path: &str) -> bool {
        self.is(path, EntryKind::File)
    }

    fn any(&self, pattern: &str) -> bool {
        self.rootfs.glob(pattern).is_ok_and(|found| !found.is_empty())
    }
}

/// Looks into a tree. Nothing in it is executed; what cannot be told is `unknown` or empty.
pub fn detect(rootfs: &Rootfs) -> Result<Guest> {
    inspect(rootfs).map(|(guest, _)| guest)
}

/// Looks into a tree like [`detect`], and also returns what could not be looked at.
pub fn inspect(rootfs: &Rootfs) -> Result<(Guest, Vec<Finding>)> {
    let mut eye = Eye { rootfs, findings: Vec::new() };
    let (distro, family, version) = release::find(&mut eye);
    let init = init::find(&mut eye, family);
    let arch = binary::arch(&eye);
    let network = network::Scene { eye: &mut eye, family, distro: &distro, version: &version, init }.network();
    let guest = Guest {
        systemd_version: if init == Init::Systemd { init::systemd_version(&eye) } else { None },
        libc: binary::libc(&eye, &arch),
        network,
        distro,
        family,
        version,
        init,
        arch,
    };
    Ok((guest, eye.findings))
}

/// Returns the ids of the distributions that are known by name, as [`Guest::distro`] has them.
pub fn distributions() -> impl Iterator<Item = &'static str> {
    release::ids()
}

/// Returns the release of Red Hat Enterprise Linux whose network scripts a guest of that family has, as nearly as its
/// release file tells it.
pub fn red_hat_generation(guest: &Guest) -> Option<u32> {
    release::red_hat_generation(&guest.distro, &guest.version)
}

#[cfg(test)]
mod tests;
