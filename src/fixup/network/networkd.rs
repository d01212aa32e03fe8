//! An interface in systemd-networkd's units.

use super::replaced;
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

/// A unit with its drop-ins, in the order in which they are read.
struct Unit {
    name: OsString,
    path: PathBuf,
    texts: Vec<(PathBuf, Vec<u8>)>,
}

impl Run<'_> {
    /// networkd takes the first unit that matches, by name, whatever directory it is in.
    pub(super) fn networkd(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        let ours = STARTS.map(|start| format!("{start}-ovz2lxc-{}.network", nic.name));
        let rival = self.first_match(nic, &ours)?;
        let wins = |name: &String| rival.as_ref().is_none_or(|unit| OsStr::new(name) < unit.name);
        let chosen = ours.iter().find(|name| wins(name)).unwrap_or(&ours[0]);
        match &rival {
            Some(unit) if !wins(chosen) => {
                let detail = format!("this unit matches {} and sorts before {chosen}: networkd will use it", nic.name);
                self.unexpected(&unit.path, detail);
            }
            // Of a unit that is not used any more, what a person had put into it.
            Some(unit) => self.unused(nic, unit),
            None => {}
        }
        // One of an earlier run, when another unit made the other name necessary.
        for old in ours.iter().filter(|name| *name != chosen) {
            self.view.remove(&Path::new(DIR).join(old))?;
        }
        let seen = self.view.read(&Path::new(DIR).join(chosen), LastLink::Follow)?;
        self.view.write(&seen, networkd::network_unit(nic, dns, domains), 0o644)?;
        for path in self.drop_ins(OsStr::new(chosen))? {
            self.unexpected(&path, format!("networkd reads it together with {chosen}"));
        }
        Ok(())
    }

    fn unused(&mut self, nic: &Nic, unit: &Unit) {
        for (path, text) in &unit.texts {
            let lines: Vec<String> = networkd::own_settings(text, nic).iter().map(|l| replaced::brief(l)).collect();
            self.tell_lost(path, nic, &lines);
        }
    }

    /// The first unit that may match an interface, ours left out.
    fn first_match(&mut self, nic: &Nic, ours: &[String]) -> Result<Option<Unit>> {
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
            if seen.content.is_none() {
                continue;
            }
            let mut texts = vec![(path.clone(), seen.bytes().to_vec())];
            for part in self.drop_ins(&name)? {
                let Ok(seen) = self.view.read(&part, LastLink::Follow) else { continue };
                texts.push((part, seen.bytes().to_vec()));
            }
            let whole: Vec<u8> = texts.iter().flat_map(|(_, text)| [text.as_slice(), b"\n"].concat()).collect();
            if networkd::may_match(&whole, nic) {
                return Ok(Some(Unit { name, path, texts }));
            }
        }
        Ok(None)
    }

    /// The files that are read behind a unit (`NAME.network.d/*.conf`), by their names; of two with one name that in the
    /// first directory counts.
    fn drop_ins(&self, unit: &OsStr) -> Result<Vec<PathBuf>> {
        let Some(unit) = unit.to_str().filter(|u| !u.contains(['*', '?'])) else { return Ok(Vec::new()) };
        let mut parts: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for dir in DIRS {
            for path in self.view.glob(&format!("{dir}/{unit}.d/*.conf"))? {
                parts.entry(path.file_name().unwrap_or_default().to_owned()).or_insert(path);
            }
        }
        Ok(parts.into_values().collect())
    }
}
