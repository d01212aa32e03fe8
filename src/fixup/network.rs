//! The plan's interfaces, in the guest's dialect.

use super::action::Dialect;
use super::format::{ifcfg, interfaces, networkd};
use super::run::Run;
use crate::error::Result;
use crate::model::guest::Guest;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::path::{Path, PathBuf};

const SCRIPTS: &str = "etc/sysconfig/network-scripts";

/// ifupdown understands `address A/N` since 0.8; Debian 10 and Ubuntu 18.04 have it for certain.
fn knows_cidr(guest: &Guest) -> bool {
    let bound = match guest.distro.as_str() {
        "debian" | "raspbian" => 10,
        "ubuntu" => 18,
        "devuan" => 3,
        _ => return false,
    };
    guest.major().is_some_and(|m| m >= bound)
}

impl Run<'_> {
    pub(super) fn nics(&mut self, dialect: Dialect) {
        let plan = self.context.plan;
        for (at, nic) in plan.nics.iter().enumerate() {
            // Name servers belong to the container, so one interface carries them.
            let (dns, domains): (&[_], &[_]) =
                if at == 0 { (&plan.nameservers, &plan.searchdomains) } else { (&[], &[]) };
            let (path, done) = match dialect {
                Dialect::Ifcfg => (format!("{SCRIPTS}/ifcfg-{}", nic.name), self.ifcfg(nic)),
                Dialect::Ifupdown => ("etc/network/interfaces".to_owned(), self.ifupdown(nic)),
                Dialect::Networkd => {
                    let path = format!("etc/systemd/network/05-ovz2lxc-{}.network", nic.name);
                    let done = self.whole(&path, networkd::network_unit(nic, dns, domains));
                    (path, done)
                }
            };
            if let Err(error) = done {
                self.complain(&path, &error);
            }
        }
    }

    fn whole(&mut self, path: &str, bytes: Vec<u8>) -> Result<()> {
        let seen = self.view.read(Path::new(path), LastLink::Follow)?;
        self.view.write(&seen, bytes, 0o644)
    }

    /// Name servers are written to resolv.conf (see [`Run::resolver`]), not to ifcfg: `PEERDNS` would copy them there and
    /// an old server in the file would come back over the new one.
    fn ifcfg(&mut self, nic: &Nic) -> Result<()> {
        let major = self.context.guest.major().unwrap_or(7);
        let path = format!("{SCRIPTS}/ifcfg-{}", nic.name);
        if nic.method == Method::None {
            // `rc network` brings up what has a file with ONBOOT=yes; without a file there is nothing to say.
            if self.view.entry(Path::new(&path))?.is_none() {
                return Ok(());
            }
        }
        let seen = self.view.read(Path::new(&path), LastLink::Follow)?;
        let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
        let text = ifcfg::ifcfg(nic, &[], &[], old, major);
        self.view.write(&seen, text, 0o644)?;
        let aliases = ifcfg::alias_files(nic, major);
        let wanted: Vec<PathBuf> = aliases.iter().map(|(name, _)| Path::new(SCRIPTS).join(name)).collect();
        for (name, text) in aliases {
            self.whole(&format!("{SCRIPTS}/{name}"), text)?;
        }
        // An alias of the interface that the plan does not know would bring an old address up again.
        for stale in self.view.glob(&format!("{SCRIPTS}/ifcfg-{}:*", nic.name))? {
            if !wanted.contains(&stale) {
                self.view.remove(&stale)?;
            }
        }
        for (name, text) in ifcfg::route_files(nic) {
            let seen = self.view.read(&Path::new(SCRIPTS).join(name), LastLink::Follow)?;
            let text = if seen.content.is_some() { ifcfg::merge_routes(seen.bytes(), &text) } else { text };
            self.view.write(&seen, text, 0o644)?;
        }
        Ok(())
    }

    fn ifupdown(&mut self, nic: &Nic) -> Result<()> {
        let style = interfaces::Style { cidr: knows_cidr(self.context.guest) };
        // The file that has the interface already, the main file otherwise.
        let mut files = vec![PathBuf::from("etc/network/interfaces")];
        files.extend(self.view.glob("etc/network/interfaces.d/*")?);
        let mut chosen = files[0].clone();
        for path in files {
            let Ok(seen) = self.view.read(&path, LastLink::Follow) else { continue };
            if interfaces::Interfaces::parse(seen.bytes()).names().contains(&nic.name) {
                chosen = path;
                break;
            }
        }
        let seen = self.view.read(&chosen, LastLink::Follow)?;
        let mut text = interfaces::Interfaces::parse(seen.bytes());
        if seen.content.is_none() {
            text = interfaces::Interfaces::parse(b"auto lo\niface lo inet loopback\n\n");
        }
        // resolv.conf holds the name servers; where resolvconf owns it, these lines are what it reads.
        let resolvconf = self.view.is_file("sbin/resolvconf")? || self.view.is_file("usr/sbin/resolvconf")?;
        let first = self.context.plan.nics.first().is_some_and(|n| n.name == nic.name);
        let plan = self.context.plan;
        let (dns, domains): (&[_], &[_]) =
            if resolvconf && first { (&plan.nameservers, &plan.searchdomains) } else { (&[], &[]) };
        text.put(nic, dns, domains, style);
        self.view.write(&seen, text.render(), 0o644)
    }
}
