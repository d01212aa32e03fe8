//! Gentoo's and Funtoo's interfaces: a file of variables, and the link that makes a service of an interface.

use crate::error::Result;
use crate::fixup::format::{funtoo, gentoo};
use crate::fixup::run::Run;
use crate::model::finding::Finding;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::net::IpAddr;
use std::path::Path;

impl Run<'_> {
    pub(super) fn netifrc(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String], form: gentoo::Form) -> Result<()> {
        let seen = self.view.read(Path::new("etc/conf.d/net"), LastLink::Follow)?;
        let text = gentoo::net(seen.bytes(), nic, dns, domains, form);
        self.put(&seen, text, nic, 0o644)?;
        // Where systemd runs, netifrc brings a unit of its own in place of the runlevels.
        for units in ["usr/lib/systemd/system", "lib/systemd/system"] {
            if self.context.guest.init == crate::model::guest::Init::Systemd
                && self.view.is_file(&format!("{units}/net@.service"))?
            {
                let link = format!("etc/systemd/system/multi-user.target.wants/net@{}.service", nic.name);
                return self.link_missing(&link, &format!("/{units}/net@.service"));
            }
        }
        self.service(&format!("net.{}", nic.name), "net.lo")
    }

    pub(super) fn funtoo(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        if nic.method == Method::Dhcp {
            // A service with the old addresses would run beside the client.
            for path in self.view.glob(&format!("etc/runlevels/*/netif.{}", nic.name))? {
                self.view.remove(&path)?;
            }
            if self.view.any("etc/runlevels/*/dhcpcd")? {
                return Ok(());
            }
            if self.view.any("etc/init.d/dhcpcd")? {
                return self.link_missing("etc/runlevels/default/dhcpcd", "/etc/init.d/dhcpcd");
            }
            self.tell(
                Finding::warning("fixup-dhcp-client", "no service of the container asks for an address by DHCP")
                    .detail(format!("Funtoo gets {} by dhcpcd's own service, and etc/init.d has none", nic.name))
                    .remedy("install dhcpcd in the container, or plan static addresses")
                    .subject(nic.name.clone()),
            );
            return Ok(());
        }
        let seen = self.view.read(Path::new(&format!("etc/conf.d/netif.{}", nic.name)), LastLink::Follow)?;
        self.put(&seen, funtoo::netif(seen.bytes(), nic, dns, domains), nic, 0o644)?;
        self.service(&format!("netif.{}", nic.name), "netif.tmpl")
    }

    /// Makes a service out of a template script and puts it into a runlevel, unless it is in one.
    fn service(&mut self, name: &str, template: &str) -> Result<()> {
        self.link_missing(&format!("etc/init.d/{name}"), template)?;
        if self.view.any(&format!("etc/runlevels/*/{name}"))? {
            return Ok(());
        }
        self.link_missing(&format!("etc/runlevels/default/{name}"), &format!("/etc/init.d/{name}"))
    }

    pub(super) fn link_missing(&mut self, path: &str, target: &str) -> Result<()> {
        match self.view.entry(Path::new(path))? {
            Some(_) => Ok(()),
            None => self.view.symlink(Path::new(path), Path::new(target)),
        }
    }
}
