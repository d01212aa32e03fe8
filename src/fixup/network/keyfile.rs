//! An interface in NetworkManager's files.

use crate::error::Result;
use crate::fixup::format::keyfile::{self, Keyfile};
use crate::fixup::format::shellvars::ShellVars;
use crate::fixup::run::Run;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::net::IpAddr;
use std::path::{Path, PathBuf};

const PROFILES: &str = "etc/NetworkManager/system-connections";

/// NetworkManager passes over what editors and packages leave beside a profile.
fn is_read(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let backup = ["~", ".bak", ".rpmnew", ".rpmsave", ".rpmorig", ".swp", ".tmp"];
    !name.is_empty() && !name.starts_with(['.', '#']) && !backup.iter().any(|end| name.ends_with(end))
}

impl Run<'_> {
    pub(super) fn keyfile(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        let off = PathBuf::from(format!("etc/NetworkManager/conf.d/90-ovz2lxc-{}.conf", nic.name));
        if nic.method == Method::None {
            // Without a profile NetworkManager would make one up and ask for a lease.
            let seen = self.view.read(&off, LastLink::Follow)?;
            return self.view.write(&seen, keyfile::unmanaged(nic), 0o644);
        }
        self.view.remove(&off)?;
        self.ifcfg_gives_way(nic)?;
        let mut chosen: Option<PathBuf> = None;
        let mut rivals = Vec::new();
        for path in self.view.glob(&format!("{PROFILES}/*"))?.into_iter().filter(|path| is_read(path)) {
            let seen = match self.view.read(&path, LastLink::Follow) {
                Ok(seen) => seen,
                Err(error) => {
                    self.complain(&path.to_string_lossy(), &error);
                    continue;
                }
            };
            let file = Keyfile::parse(seen.bytes());
            if !file.is_for(&nic.name) {
                rivals.extend(file.rivals(nic).then(|| (file.priority(), path)));
                continue;
            }
            if chosen.is_none() {
                chosen = Some(path);
            } else {
                self.view.write(&seen, keyfile::switch_off(seen.bytes()), 0o600)?;
            }
        }
        let path = chosen.unwrap_or_else(|| PathBuf::from(format!("{PROFILES}/{}.nmconnection", nic.name)));
        for other in self.packaged_profiles(&path)? {
            // What is no file or too large is not read by NetworkManager either.
            let Ok(seen) = self.view.read(&other, LastLink::Follow) else { continue };
            let file = Keyfile::parse(seen.bytes());
            rivals.extend((file.is_for(&nic.name) || file.rivals(nic)).then(|| (file.priority(), other)));
        }
        let rival = rivals.into_iter().max();
        if let Some((keyfile::HIGHEST, other)) = &rival {
            let detail = format!("this profile may be taken for {}: no other can have a higher priority", nic.name);
            self.unexpected(other, detail);
        }
        let seen = self.view.read(&path, LastLink::Follow)?;
        let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
        if Keyfile::parse(seen.bytes()).match_may_refuse(nic) {
            let detail = format!("its section [match] may keep NetworkManager from using it for {}", nic.name);
            self.unexpected(&seen.path, detail);
        }
        let text = keyfile::above(&keyfile::profile(nic, dns, domains, old), rival.map(|(priority, _)| priority));
        self.put(&seen, text, nic, 0o600)?;
        // NetworkManager passes over a profile that others may read.
        if seen.content.as_ref().is_some_and(|c| c.mode & 0o077 != 0) {
            self.view.set_mode(&seen.path, 0o600)?;
        }
        Ok(())
    }

    /// Profiles outside of /etc. One there with the same file name hides them.
    fn packaged_profiles(&self, ours: &Path) -> Result<Vec<PathBuf>> {
        let mut found = self.view.glob("run/NetworkManager/system-connections/*")?;
        found.extend(self.view.glob("usr/lib/NetworkManager/system-connections/*")?);
        let mut shown = Vec::new();
        for path in found.into_iter().filter(|path| is_read(path)) {
            let name = path.file_name().unwrap_or_default();
            if ours.file_name() != Some(name) && self.view.entry(&Path::new(PROFILES).join(name))?.is_none() {
                shown.push(path);
            }
        }
        Ok(shown)
    }

    /// NetworkManager may still read ifcfg files: one for the interface would be a second profile.
    fn ifcfg_gives_way(&mut self, nic: &Nic) -> Result<()> {
        let path = format!("etc/sysconfig/network-scripts/ifcfg-{}", nic.name);
        let Some(seen) = self.existing(&path)? else { return Ok(()) };
        let mut vars = ShellVars::parse(seen.bytes());
        vars.set("ONBOOT", "no");
        self.view.write(&seen, vars.render(), 0o644)
    }
}
