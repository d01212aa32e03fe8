//! The plan's interfaces, in the guest's dialect.

mod arch;
mod etcnet;
mod gentoo;
mod ifupdown;
mod keyfile;
mod netplan;
mod networkd;
mod replaced;
mod slackware;
mod suse;

use super::format::gentoo::Form;
use super::format::ifcfg;
use super::format::shellvars::ShellVars;
use super::run::Run;
use crate::error::Result;
use crate::model::guest::NetworkDialect;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::path::Path;

const SCRIPTS: &str = "etc/sysconfig/network-scripts";

/// Each file of an interface or alias is checked for itself.
fn without_check(text: &[u8]) -> Vec<u8> {
    let mut vars = ShellVars::parse(text);
    vars.set("ARPCHECK", "no");
    vars.render()
}

impl Run<'_> {
    pub(super) fn nics(&mut self, dialect: NetworkDialect) {
        let plan = self.context.plan;
        for (at, nic) in plan.nics.iter().enumerate() {
            // Name servers belong to the container, so one interface carries them.
            let (dns, domains): (&[_], &[_]) =
                if at == 0 { (&plan.nameservers, &plan.searchdomains) } else { (&[], &[]) };
            let (path, done) = match dialect {
                NetworkDialect::Ifcfg => (format!("{SCRIPTS}/ifcfg-{}", nic.name), self.ifcfg(nic)),
                NetworkDialect::Ifupdown => ("etc/network/interfaces".to_owned(), self.ifupdown(nic)),
                NetworkDialect::SystemdNetworkd => ("etc/systemd/network".to_owned(), self.networkd(nic, dns, domains)),
                NetworkDialect::Suse => (format!("etc/sysconfig/network/ifcfg-{}", nic.name), self.suse(nic)),
                NetworkDialect::RcConfig => ("etc/rc.config".to_owned(), self.rc_config(nic)),
                NetworkDialect::Slackware => ("etc/rc.d/rc.inet1.conf".to_owned(), self.slackware(nic)),
                NetworkDialect::Etcnet => (format!("etc/net/ifaces/{}", nic.name), self.etcnet(nic, dns, domains)),
                NetworkDialect::Keyfile => {
                    (format!("etc/NetworkManager/system-connections/{}", nic.name), self.keyfile(nic, dns, domains))
                }
                NetworkDialect::Netplan => ("etc/netplan".to_owned(), self.netplan(nic, dns, domains)),
                NetworkDialect::Netifrc => ("etc/conf.d/net".to_owned(), self.netifrc(nic, dns, domains, Form::Lines)),
                NetworkDialect::Baselayout1 => {
                    ("etc/conf.d/net".to_owned(), self.netifrc(nic, dns, domains, Form::Array))
                }
                NetworkDialect::Funtoo => (format!("etc/conf.d/netif.{}", nic.name), self.funtoo(nic, dns, domains)),
                NetworkDialect::ArchRcConf => ("etc/rc.conf".to_owned(), self.rcconf(nic, at == 0)),
                NetworkDialect::Netcfg => (format!("etc/network.d/{}", nic.name), self.netcfg(nic, dns, domains)),
                NetworkDialect::Netctl => (format!("etc/netctl/{}", nic.name), self.netctl(nic, dns, domains)),
                // Refused when the module was read.
                NetworkDialect::Unknown => return,
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
        let major = crate::guest::red_hat_generation(self.context.guest).unwrap_or(7);
        let path = format!("{SCRIPTS}/ifcfg-{}", nic.name);
        if nic.method == Method::None {
            // `rc network` brings up what has a file with ONBOOT=yes; without a file there is nothing to say.
            if self.view.entry(Path::new(&path))?.is_none() {
                return Ok(());
            }
        }
        let seen = self.view.read(Path::new(&path), LastLink::Follow)?;
        let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
        // ifup looks with arping whether another host has the address, and takes "not found" for a yes.
        let unchecked = nic.method == Method::Static && major <= 6 && !self.view.is_file("sbin/arping")?;
        let finish = |text: Vec<u8>| if unchecked { without_check(&text) } else { text };
        self.put(&seen, finish(ifcfg::ifcfg(nic, &[], &[], old, major)), nic, 0o644)?;
        self.ifcfg_aliases(nic, major, finish)?;
        if self.knows_only_static_routes()? {
            return self.static_routes(nic);
        }
        for (name, text) in ifcfg::route_files(nic) {
            let seen = self.view.read(&Path::new(SCRIPTS).join(name), LastLink::Follow)?;
            let text = if seen.content.is_some() { ifcfg::merge_routes(seen.bytes(), &text) } else { text };
            self.put(&seen, text, nic, 0o644)?;
        }
        Ok(())
    }

    /// Aliases that a person made stay.
    fn ifcfg_aliases(&mut self, nic: &Nic, major: u32, finish: impl Fn(Vec<u8>) -> Vec<u8>) -> Result<()> {
        let (mut stale, mut users) = (Vec::new(), Vec::new());
        for path in self.view.glob(&format!("{SCRIPTS}/ifcfg-{}:*", nic.name))? {
            let gone = match self.view.read(&path, LastLink::Follow) {
                Ok(seen) => ifcfg::alias_is_stale(nic, seen.bytes()),
                Err(error) => {
                    self.complain(&path.to_string_lossy(), &error);
                    false
                }
            };
            match gone {
                true => stale.push(path),
                false => users.extend(path.file_name().map(|n| n.to_string_lossy().into_owned())),
            }
        }
        let wanted = ifcfg::alias_files(nic, major, &users);
        stale.retain(|path| !wanted.iter().any(|(name, _)| path.ends_with(name)));
        for (name, text) in wanted {
            self.whole(&format!("{SCRIPTS}/{name}"), finish(text))?;
        }
        stale.iter().try_for_each(|path| self.view.remove(path))
    }

    /// The scripts of Red Hat Linux 7 and Owl read one file for the routes of all interfaces and no route-NAME.
    fn knows_only_static_routes(&self) -> Result<bool> {
        let script = self.view.read(&Path::new(SCRIPTS).join("ifup-routes"), LastLink::Follow)?;
        let names = |text: &[u8]| script.bytes().windows(text.len()).any(|w| w == text);
        Ok(names(b"/static-routes") && !names(b"route-"))
    }

    fn static_routes(&mut self, nic: &Nic) -> Result<()> {
        let wanted = ifcfg::static_routes(nic);
        if wanted.is_empty() {
            return Ok(());
        }
        let seen = self.view.read(Path::new("etc/sysconfig/static-routes"), LastLink::Follow)?;
        let text = ifcfg::merge_static_routes(seen.bytes(), &wanted, &nic.name);
        if nic.gateway6_off_link() {
            let detail = format!("{}: these scripts have no route to an IPv6 gateway outside of its subnets", nic.name);
            self.unexpected(&seen.path, detail);
        }
        self.view.write(&seen, text, 0o644)
    }
}
