//! Netplan: a file of our own that sorts behind the others, and no other claim on its interface.

use crate::error::Result;
use crate::fixup::format::{netplan, networkd};
use crate::fixup::run::Run;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::net::IpAddr;
use std::path::Path;

impl Run<'_> {
    pub(super) fn netplan(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        let own = format!("etc/netplan/99-ovz2lxc-{}.yaml", nic.name);
        let claim = match nic.method {
            Method::None => netplan::Claim::Whole,
            _ => netplan::Claim::Addresses { dns: !dns.is_empty() || !domains.is_empty() },
        };
        for path in self.view.glob("etc/netplan/*.yaml")? {
            if path == Path::new(&own) {
                continue;
            }
            if let Err(error) = self.release(&path, nic, claim) {
                self.complain(&path.to_string_lossy(), &error);
            }
        }
        if nic.method != Method::None {
            let seen = self.view.read(Path::new(&own), LastLink::Follow)?;
            // Netplan warns of a file that others can read.
            return self.view.write(&seen, netplan::file(nic, dns, domains), 0o600);
        }
        if self.view.entry(Path::new(&own))?.is_some() {
            self.view.remove(Path::new(&own))?;
        }
        self.whole(
            &format!("etc/systemd/network/05-ovz2lxc-{}.network", nic.name),
            networkd::network_unit(nic, dns, domains),
        )
    }

    fn release(&mut self, path: &Path, nic: &Nic, claim: netplan::Claim) -> Result<()> {
        let seen = self.view.read(path, LastLink::Follow)?;
        match netplan::release(seen.bytes(), nic, claim) {
            Ok(text) => self.put(&seen, text, nic, 0o600)?,
            Err(why) => self.unexpected(&seen.path, format!("it sets up {}, and {why}", nic.name)),
        }
        for id in netplan::rivals(seen.bytes(), nic) {
            self.unexpected(&seen.path, format!("\"{}\" there may take {} by its match", id.escape_debug(), nic.name));
        }
        Ok(())
    }
}
