//! An interface in systemd-networkd's units.

use crate::error::Result;
use crate::fixup::format::networkd;
use crate::fixup::run::Run;
use crate::model::network::Nic;
use crate::rootfs::LastLink;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const DIR: &str = "etc/systemd/network";

/// The directories of units: of two with one name, that in the first counts (systemd.network(5)).
const DIRS: [&str; 5] =
    [DIR, "run/systemd/network", "usr/local/lib/systemd/network", "usr/lib/systemd/network", "lib/systemd/network"];

/// The starts of our unit's name. The second sorts before whatever begins with two digits.
const STARTS: [&str; 2] = ["05", "0"];

impl Run<'_> {
    /// networkd takes the first unit that matches, by name, whatever directory it is in.
    pub(super) fn networkd(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        let ours = STARTS.map(|start| format!("{start}-ovz2lxc-{}.network", nic.name));
        let rival = self.first_match(nic, &ours)?;
        let wins = |name: &String| rival.as_ref().is_none_or(|(first, _)| OsStr::new(name) < first);
        let chosen = ours.iter().find(|name| wins(name)).unwrap_or(&ours[0]);
        if let Some((_, path)) = &rival
            && !wins(chosen)
        {
            let detail = format!("this unit matches {} and sorts before {chosen}: networkd will use it", nic.name);
            self.unexpected(path, detail);
        }
        // One of an earlier run, when another unit made the other name necessary.
        for old in ours.iter().filter(|name| *name != chosen) {
            self.view.remove(&Path::new(DIR).join(old))?;
        }
        let seen = self.view.read(&Path::new(DIR).join(chosen), LastLink::Follow)?;
        self.view.write(&seen, networkd::network_unit(nic, dns, domains), 0o644)
    }

    /// The first unit that may match an interface, ours left out: its name and where it is.
    fn first_match(&mut self, nic: &Nic, ours: &[String]) -> Result<Option<(OsString, PathBuf)>> {
        let mut units: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for dir in DIRS {
            for path in self.view.glob(&format!("{dir}/*.network"))? {
                let name = path.file_name().unwrap_or_default().to_owned();
                if !ours.iter().any(|o| name == o.as_str()) {
                    units.entry(name).or_insert(path);
                }
            }
        }
        for (name, path) in units {
            // A link to /dev/null switches a unit off. What is no file is not read.
            let Ok(seen) = self.view.read(&path, LastLink::Follow) else { continue };
            if seen.content.is_some() && networkd::may_match(seen.bytes(), nic) {
                return Ok(Some((name, path)));
            }
        }
        Ok(None)
    }
}
