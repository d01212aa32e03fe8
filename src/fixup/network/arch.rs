//! Arch's interfaces, in the three ways that it had before systemd-networkd.

use crate::error::Result;
use crate::fixup::format::{netcfg, netctl, rcconf};
use crate::fixup::run::Run;
use crate::model::guest::Init;
use crate::model::network::{Method, Nic};
use crate::rootfs::LastLink;
use std::net::IpAddr;
use std::path::Path;

const UNITS: &str = "/usr/lib/systemd/system";
const WANTS: &str = "etc/systemd/system/multi-user.target.wants";

impl Run<'_> {
    pub(super) fn rcconf(&mut self, nic: &Nic, first: bool) -> Result<()> {
        let seen = self.view.read(Path::new("etc/rc.conf"), LastLink::Follow)?;
        let (text, commands) = rcconf::rc_conf(seen.bytes(), nic, first);
        self.put(&seen, text, nic, 0o644)?;
        let path = Path::new("etc/rc.local");
        let seen = self.view.read(path, LastLink::Follow)?;
        let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
        if let Some(text) = rcconf::rc_local(old, &nic.name, &commands) {
            let mode = seen.content.as_ref().map(|c| c.mode);
            self.view.write(&seen, text, 0o755)?;
            // It is run only when it is executable.
            if let Some(mode) = mode.filter(|m| !commands.is_empty() && m & 0o111 == 0) {
                self.view.set_mode(path, mode | 0o111)?;
            }
        }
        Ok(())
    }

    pub(super) fn netcfg(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        let listed = nic.method != Method::None;
        let systemd = self.context.guest.init == Init::Systemd;
        if listed {
            let extras = if systemd { netcfg::Extras::IpCfg } else { netcfg::Extras::PostUp };
            let seen = self.view.read(Path::new(&format!("etc/network.d/{}", nic.name)), LastLink::Follow)?;
            let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
            self.put(&seen, netcfg::profile(old, nic, dns, domains, extras), nic, 0o644)?;
        }
        let seen = self.view.read(Path::new("etc/conf.d/netcfg"), LastLink::Follow)?;
        let text = netcfg::networks(seen.bytes(), &nic.name, listed);
        if seen.content.is_some() || listed {
            self.view.write(&seen, text, 0o644)?;
        }
        if !listed {
            return self.unlink(&format!("etc/systemd/system/*.wants/netcfg@{}.service", nic.name));
        }
        if systemd && !self.view.any("etc/systemd/system/*.wants/netcfg.service")? {
            let unit = format!("netcfg@{}.service", nic.name);
            if !self.view.any(&format!("etc/systemd/system/*.wants/{unit}"))? {
                self.link_missing(&format!("{WANTS}/{unit}"), &format!("{UNITS}/netcfg@.service"))?;
            }
        }
        Ok(())
    }

    pub(super) fn netctl(&mut self, nic: &Nic, dns: &[IpAddr], domains: &[String]) -> Result<()> {
        let unit = format!("netctl@{}.service", nic.name);
        // It waits for an event of the card, which nothing in a container sends.
        self.unlink(&format!("etc/systemd/system/*.wants/netctl-ifplugd@{}.service", nic.name))?;
        if nic.method == Method::None {
            return self.unlink(&format!("etc/systemd/system/*.wants/{unit}"));
        }
        let seen = self.view.read(Path::new(&format!("etc/netctl/{}", nic.name)), LastLink::Follow)?;
        let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
        self.put(&seen, netctl::profile(old, nic, dns, domains), nic, 0o644)?;
        if self.view.any(&format!("etc/systemd/system/*.wants/{unit}"))? {
            return Ok(());
        }
        self.link_missing(&format!("{WANTS}/{unit}"), &format!("{UNITS}/netctl@.service"))
    }

    fn unlink(&mut self, pattern: &str) -> Result<()> {
        for path in self.view.glob(pattern)? {
            self.view.remove(&path)?;
        }
        Ok(())
    }
}
