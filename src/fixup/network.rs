//! The plan's interfaces, in the guest's dialect.

mod arch;
mod etcnet;
mod gentoo;
mod keyfile;
mod netplan;
mod slackware;
mod suse;

use super::action::Dialect;
use super::format::gentoo::Form;
use super::format::shellvars::ShellVars;
use super::format::{ifcfg, interfaces, networkd};
use super::run::Run;
use crate::error::Result;
use crate::model::guest::Guest;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::path::{Path, PathBuf};

const SCRIPTS: &str = "etc/sysconfig/network-scripts";

/// ifupdown understands `address A/N` since 0.8, which Debian 10 and Ubuntu 18.04 have for certain. 0.6, of Debian 6 and
/// Ubuntu 11.10, works with net-tools and knows further addresses as aliases only.
fn style(guest: &Guest) -> interfaces::Style {
    let (new, old) = match guest.distro.as_str() {
        "debian" | "raspbian" => (10, 6),
        "ubuntu" => (18, 11),
        "devuan" => (3, 0),
        _ => return interfaces::Style::Netmask,
    };
    match guest.major() {
        Some(major) if major >= new => interfaces::Style::Cidr,
        Some(major) if major <= old => interfaces::Style::Aliases,
        _ => interfaces::Style::Netmask,
    }
}

/// Each file of an interface or alias is checked for itself.
fn without_check(text: &[u8]) -> Vec<u8> {
    let mut vars = ShellVars::parse(text);
    vars.set("ARPCHECK", "no");
    vars.render()
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
                Dialect::Suse => (format!("etc/sysconfig/network/ifcfg-{}", nic.name), self.suse(nic)),
                Dialect::Slackware => ("etc/rc.d/rc.inet1.conf".to_owned(), self.slackware(nic)),
                Dialect::Etcnet => (format!("etc/net/ifaces/{}", nic.name), self.etcnet(nic, dns, domains)),
                Dialect::Keyfile => {
                    (format!("etc/NetworkManager/system-connections/{}", nic.name), self.keyfile(nic, dns, domains))
                }
                Dialect::Netplan => ("etc/netplan".to_owned(), self.netplan(nic, dns, domains)),
                Dialect::Netifrc => ("etc/conf.d/net".to_owned(), self.netifrc(nic, dns, domains, Form::Lines)),
                Dialect::Baselayout1 => ("etc/conf.d/net".to_owned(), self.netifrc(nic, dns, domains, Form::Array)),
                Dialect::Funtoo => (format!("etc/conf.d/netif.{}", nic.name), self.funtoo(nic, dns, domains)),
                Dialect::Rcconf => ("etc/rc.conf".to_owned(), self.rcconf(nic, at == 0)),
                Dialect::Netcfg => (format!("etc/network.d/{}", nic.name), self.netcfg(nic, dns, domains)),
                Dialect::Netctl => (format!("etc/netctl/{}", nic.name), self.netctl(nic, dns, domains)),
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
        self.view.write(&seen, finish(ifcfg::ifcfg(nic, &[], &[], old, major)), 0o644)?;
        let aliases = ifcfg::alias_files(nic, major);
        let wanted: Vec<PathBuf> = aliases.iter().map(|(name, _)| Path::new(SCRIPTS).join(name)).collect();
        for (name, text) in aliases {
            self.whole(&format!("{SCRIPTS}/{name}"), finish(text))?;
        }
        // An alias of the interface that the plan does not know would bring an old address up again.
        for stale in self.view.glob(&format!("{SCRIPTS}/ifcfg-{}:*", nic.name))? {
            if !wanted.contains(&stale) {
                self.view.remove(&stale)?;
            }
        }
        if self.knows_only_static_routes()? {
            return self.static_routes(nic);
        }
        for (name, text) in ifcfg::route_files(nic) {
            let seen = self.view.read(&Path::new(SCRIPTS).join(name), LastLink::Follow)?;
            let text = if seen.content.is_some() { ifcfg::merge_routes(seen.bytes(), &text) } else { text };
            self.view.write(&seen, text, 0o644)?;
        }
        Ok(())
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

    fn ifupdown(&mut self, nic: &Nic) -> Result<()> {
        let style = style(self.context.guest);
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
