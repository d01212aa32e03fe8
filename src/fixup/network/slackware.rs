//! An interface in Slackware's files.

use super::replaced;
use crate::error::Result;
use crate::fixup::format::slackware::{self, Settings};
use crate::fixup::run::Run;
use crate::model::network::Nic;
use crate::rootfs::LastLink;
use std::path::Path;

const CONF: &str = "etc/rc.d/rc.inet1.conf";
const SCRIPT: &str = "etc/rc.d/rc.inet1";
const LOCAL: &str = "etc/rc.d/rc.local";

impl Run<'_> {
    pub(super) fn slackware(&mut self, nic: &Nic) -> Result<()> {
        let has_conf = self.view.is_file(CONF)?;
        let seen = self.view.read(Path::new(if has_conf { CONF } else { SCRIPT }), LastLink::Follow)?;
        let mut settings = Settings::parse(seen.bytes());
        // Slackware 9 has its settings in the script, without arrays; what has neither is somebody's own.
        let arrays = has_conf || settings.get("IPADDR[0]").is_some();
        let known = has_conf || settings.get(if arrays { "IPADDR[0]" } else { "IPADDR" }).is_some();
        let slot = slackware::slot(nic, arrays).filter(|_| known);
        if let Some(slot) = &slot {
            slackware::put(&mut settings, nic, slot);
            let text = settings.render();
            let mut lost = replaced::lost(seen.bytes(), &text, nic);
            // vzctl keeps the old first address here.
            lost.retain(|line| !line.starts_with("IPADDR[") && !line.starts_with("IPADDR="));
            self.view.write(&seen, text, 0o644)?;
            self.tell_lost(&seen.path, nic, &lost);
        }
        self.slackware_rest(nic, slackware::script(nic, slot.is_none()))
    }

    /// Writes the script for what the settings cannot say, in a file of its own that rc.local runs.
    fn slackware_rest(&mut self, nic: &Nic, script: Option<String>) -> Result<()> {
        let path = format!("etc/rc.d/rc.ovz2lxc-{}", nic.name);
        let line = format!("[ ! -x /{path} ] || /{path}");
        let local = self.view.read(Path::new(LOCAL), LastLink::Follow)?;
        let hooked = slackware::hook(local.bytes(), &line, script.is_some());
        match script {
            Some(text) => {
                let seen = self.view.read(Path::new(&path), LastLink::Follow)?;
                self.view.write(&seen, text.into_bytes(), 0o755)?;
                self.view.write(&local, hooked, 0o755)?;
                if local.content.as_ref().is_some_and(|c| c.mode & 0o111 == 0) {
                    let detail = format!("it runs /{path}, and is not executable: rc.M passes it over");
                    self.unexpected(&local.path, detail);
                }
                Ok(())
            }
            None => {
                self.view.remove(Path::new(&path))?;
                if local.content.is_some() {
                    self.view.write(&local, hooked, 0o755)?;
                }
                Ok(())
            }
        }
    }
}
