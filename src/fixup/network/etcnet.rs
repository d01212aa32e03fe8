//! An interface in etcnet's directory.

use crate::error::Result;
use crate::fixup::format::{etcnet, resolv};
use crate::fixup::run::Run;
use crate::model::network::{Method, Nic};
use crate::rootfs::{LastLink, Look};
use std::net::IpAddr;
use std::path::Path;

impl Run<'_> {
    pub(super) fn etcnet(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        let dir = format!("etc/net/ifaces/{}", nic.name);
        if nic.method == Method::None && self.view.entry(Path::new(&dir))?.is_none() {
            return Ok(());
        }
        let file = |name: &str| format!("{dir}/{name}");
        let seen = self.view.read(Path::new(&file("options")), LastLink::Follow)?;
        let options = etcnet::options(nic, seen.content.as_ref().map(|c| c.bytes.as_slice()));
        self.view.write(&seen, options, 0o644)?;
        if nic.method == Method::None {
            return Ok(());
        }
        let is_static = nic.method == Method::Static;
        let v4: Vec<String> = nic.v4().filter(|_| is_static).map(|n| n.to_string()).collect();
        let v6: Vec<String> = nic.v6().filter(|_| is_static).map(|n| n.to_string()).collect();
        self.etcnet_file(nic, &file("ipv4address"), |old| etcnet::addresses(old, &v4))?;
        // DHCP gives no IPv6 addresses: those that are there stay.
        if nic.method != Method::Dhcp {
            self.etcnet_file(nic, &file("ipv6route"), |old| etcnet::merge_routes(old, &etcnet::routes(nic, true)))?;
            self.etcnet_file(nic, &file("ipv6address"), |old| etcnet::addresses(old, &v6))?;
        }
        self.etcnet_file(nic, &file("ipv4route"), |old| etcnet::merge_routes(old, &etcnet::routes(nic, false)))?;
        if let Some(mtu) = nic.mtu {
            self.etcnet_file(nic, &file("iplink"), |old| etcnet::iplink(old, mtu))?;
        }
        // etcnet hands this file to resolvconf; without resolvconf /etc/resolv.conf is all there is.
        if self.view.is_file("sbin/resolvconf")? || self.view.is_file("usr/sbin/resolvconf")? {
            self.etcnet_file(nic, &file("resolv.conf"), |old| resolv::resolv_conf(Some(old), dns, domains))?;
        }
        Ok(())
    }

    /// Edits a file, and makes it only when there is something to say.
    fn etcnet_file(&mut self, nic: &Nic, path: &str, edit: impl Fn(&[u8]) -> Vec<u8>) -> Result<()> {
        let seen = self.view.read(Path::new(path), LastLink::Follow)?;
        let text = edit(seen.bytes());
        if seen.content.is_none() && text.is_empty() {
            return Ok(());
        }
        self.put(&seen, text, nic, 0o644)
    }
}
