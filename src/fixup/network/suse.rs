//! An interface in SUSE's files.

use crate::error::Result;
use crate::fixup::format::{rcconfig, suse};
use crate::fixup::run::Run;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::path::{Path, PathBuf};

const DIR: &str = "etc/sysconfig/network";

impl Run<'_> {
    pub(super) fn suse(&mut self, nic: &Nic) -> Result<()> {
        let path = PathBuf::from(format!("{DIR}/ifcfg-{}", nic.name));
        // An interface without a file is not touched.
        if nic.method == Method::None && self.view.entry(&path)?.is_none() {
            return Ok(());
        }
        let seen = self.view.read(&path, LastLink::Follow)?;
        let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
        let modern = self.context.guest.major().is_none_or(|m| m >= 10);
        self.put(&seen, suse::ifcfg(nic, old, modern), nic, 0o644)?;
        let wanted = suse::routes(nic, self.view.any("etc/wicked")?);
        let seen = self.view.read(Path::new(&format!("{DIR}/ifroute-{}", nic.name)), LastLink::Follow)?;
        if seen.content.is_some() || !wanted.is_empty() {
            let text = suse::merge_routes(seen.bytes(), &wanted, nic.method == Method::Dhcp);
            self.put(&seen, text, nic, 0o644)?;
        }
        if let Some(seen) = self.existing(&format!("{DIR}/routes"))? {
            self.view.write(&seen, suse::yield_default(seen.bytes(), &wanted, &nic.name), 0o644)?;
        }
        Ok(())
    }

    /// SuSE 7 and before.
    pub(super) fn rc_config(&mut self, nic: &Nic) -> Result<()> {
        let seen = self.view.read(Path::new("etc/rc.config"), LastLink::Follow)?;
        self.put(&seen, rcconfig::put(seen.bytes(), nic), nic, 0o644)?;
        if nic.method == Method::Static && nic.v6().next().is_some() {
            let detail = format!("{}: it has no settings for IPv6 addresses, which are not set up", nic.name);
            self.unexpected(&seen.path, detail);
        }
        if nic.method == Method::Dhcp {
            let detail = format!("{} is to get its address by DHCP, whose client has a switch of its own", nic.name);
            self.unexpected(&seen.path, detail);
        }
        let wanted = rcconfig::routes(nic);
        let seen = self.view.read(Path::new("etc/route.conf"), LastLink::Follow)?;
        if seen.content.is_none() && wanted.is_empty() {
            return Ok(());
        }
        self.put(&seen, rcconfig::merge_routes(seen.bytes(), &wanted), nic, 0o644)
    }
}
