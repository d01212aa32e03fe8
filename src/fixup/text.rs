//! The actions on files of a known format.

use super::action::{Fstab, Gettys, Inittab, InittabMatch, Interfaces, Securetty, Shellvars, expression};
use super::context::Local;
use super::format;
use super::gettys::arrange;
use super::run::Run;
use super::view::{Seen, View};
use crate::error::{Error, Result};
use crate::model::finding::Finding;
use crate::model::guest::{Family, Init, NetworkDialect};
use crate::model::network::Method;
use crate::rootfs::look::shown;
use crate::rootfs::{LastLink, Look};
use std::collections::BTreeMap;
use std::path::Path;

/// Where the distributions keep the host name (fixups/35-hostname.toml).
const OLD_NAMES: [&str; 5] =
    ["etc/hostname", "etc/HOSTNAME", "etc/sysconfig/network", "etc/conf.d/hostname", "etc/rc.conf"];

impl Run<'_> {
    /// Reads a file that may be missing.
    pub(super) fn existing(&self, path: &str) -> Result<Option<Seen>> {
        let seen = self.view.read(Path::new(path), LastLink::Follow)?;
        Ok(seen.content.is_some().then_some(seen))
    }

    pub(super) fn inittab(&mut self, action: &Inittab) -> Result<()> {
        let Some(seen) = self.existing("etc/inittab")? else { return Ok(()) };
        let mut tab = format::inittab::Inittab::parse(seen.bytes());
        let mut rules = Vec::new();
        for rule in &action.remove {
            let process = rule.process.as_deref().map(expression).transpose().map_err(Error::new)?;
            rules.push((rule, process));
        }
        let fits = |rule: &InittabMatch, e: &format::inittab::Entry| {
            rule.id.as_ref().is_none_or(|i| *i == e.id) && (rule.action.is_empty() || rule.action.contains(&e.action))
        };
        let runs = |process: &Option<regex::bytes::Regex>, e: &format::inittab::Entry| {
            process.as_ref().is_none_or(|p| p.is_match(e.process.as_bytes()))
        };
        // A line for an event that a rule names, which runs what no rule knows, is somebody's own.
        let named = |e: &format::inittab::Entry| rules.iter().any(|(r, _)| !r.action.is_empty() && fits(r, e));
        let goes = |e: &format::inittab::Entry| rules.iter().any(|(r, p)| fits(r, e) && runs(p, e));
        let own: Vec<_> = tab.entries().filter(|e| named(e) && !goes(e)).collect();
        let mut placed = Vec::new();
        for entry in &action.set {
            let render = |text: &str| self.context.render(text, &Local::default());
            let (id, process) = (render(&entry.id)?, render(&entry.process)?);
            let id = if own.iter().any(|e| e.id == id) {
                let free = |id: &String| tab.entries().all(|e| e.id != *id || e.process == process);
                (2..10).map(|n| format!("{id}{n}")).find(free).unwrap_or(id)
            } else {
                id
            };
            tab.set(&id, &render(&entry.runlevels)?, &render(&entry.action)?, &process);
            placed.push(id);
        }
        tab.remove_where(|e| !placed.contains(&e.id) && goes(e));
        for e in own {
            let detail = format!("a line of its own for the same event stays beside the fixup's: {}", e.process);
            self.unexpected(&seen.path, detail.escape_debug().to_string());
        }
        self.view.write(&seen, tab.render(), 0o644)
    }

    pub(super) fn gettys(&mut self, action: &Gettys) -> Result<()> {
        let Some(seen) = self.existing("etc/inittab")? else { return Ok(()) };
        let mut program = None;
        for getty in &action.program {
            if self.view.is_file(&getty.path)? {
                program = Some(&getty.process);
                break;
            }
        }
        let context = self.context;
        let fresh = |name: &str| {
            let local = Local { terminal: Some(name), ..Local::default() };
            program.and_then(|process| context.render(process, &local).ok())
        };
        let mut tab = format::inittab::Inittab::parse(seen.bytes());
        let busybox = context.guest.family == Family::Alpine || context.guest.init == Init::Busybox;
        let without = arrange(&mut tab, context.plan.ttys, busybox, &fresh);
        if !without.is_empty() {
            let detail = format!("no getty program was found for {}", without.join(", "));
            self.unexpected(&seen.path, detail);
        }
        self.view.write(&seen, tab.render(), 0o644)
    }

    pub(super) fn shellvars(&mut self, action: &Shellvars) -> Result<()> {
        let seen = self.view.read(Path::new(&action.path), LastLink::Follow)?;
        if seen.content.is_none() && !action.create {
            return Ok(());
        }
        let mut vars = format::shellvars::ShellVars::parse(seen.bytes());
        for (name, value) in &action.unset {
            let value = expression(value).map_err(Error::new)?;
            if vars.get(name).is_some_and(|now| value.is_match(now.as_bytes())) {
                vars.unset(name);
            }
        }
        let render = |text: &String| self.context.render(text, &Local::default());
        let fine = action.unless.iter().map(render).collect::<Result<Vec<_>>>()?;
        for (name, template) in &action.set {
            let value = render(template)?;
            if action.existing && vars.get(name).is_none() {
                continue;
            }
            if !value.is_empty() && !vars.get(name).is_some_and(|now| fine.contains(&now)) {
                vars.set(name, &value);
            }
        }
        self.view.write(&seen, vars.render(), 0o644)
    }

    pub(super) fn interfaces(&mut self, action: &Interfaces) -> Result<()> {
        let gone = expression(&action.remove).map_err(Error::new)?;
        let mut files = vec![Path::new("etc/network/interfaces").to_owned()];
        files.extend(self.view.glob("etc/network/interfaces.d/*")?);
        for path in files {
            let outcome = (|| {
                let seen = self.view.read(&path, LastLink::Follow)?;
                if seen.content.is_none() {
                    return Ok(());
                }
                let mut text = format::interfaces::Interfaces::parse(seen.bytes());
                text.remove_interface(|name| gone.is_match(name.as_bytes()));
                self.view.write(&seen, text.render(), 0o644)
            })();
            if let Err(error) = outcome {
                self.complain(&path.to_string_lossy(), &error);
            }
            if self.view.refused.get() {
                break;
            }
        }
        Ok(())
    }

    pub(super) fn rcconfig(&mut self, action: &Interfaces) -> Result<()> {
        let Some(seen) = self.existing("etc/rc.config")? else { return Ok(()) };
        let gone = expression(&action.remove).map_err(Error::new)?;
        let text = format::rcconfig::remove_interfaces(seen.bytes(), |name| gone.is_match(name.as_bytes()));
        self.view.write(&seen, text, 0o644)
    }

    pub(super) fn fstab(&mut self, action: &Fstab) -> Result<()> {
        let Some(seen) = self.existing("etc/fstab")? else { return Ok(()) };
        let spec = action.spec.as_deref().map(expression).transpose().map_err(Error::new)?;
        let mut tab = format::fstab::Fstab::parse(seen.bytes());
        tab.remove_where(|e| {
            // A slash at the end names the same mount point.
            let place = e.file.trim_end_matches('/');
            action.mount_points.iter().any(|m| m == place)
                || spec.as_ref().is_some_and(|s| s.is_match(e.spec.as_bytes()))
        });
        self.view.write(&seen, tab.render(), 0o644)
    }

    pub(super) fn hosts(&mut self) -> Result<()> {
        let Some(seen) = self.existing("etc/hosts")? else { return Ok(()) };
        // The names as they were: the module for the host name may have written the new one by now.
        let before = View::new(self.view.base);
        let old = OLD_NAMES.iter().filter_map(|path| before.read(Path::new(path), LastLink::Follow).ok());
        let old: Vec<String> = old.filter_map(|seen| format::hosts::host_name(seen.bytes())).collect();
        let mut text = format::hosts::fix_hosts(seen.bytes(), self.context.plan, &old);
        if self.context.guest.family == Family::Arch {
            text = format::hosts::fix_loopback_name(&text, self.context.plan);
        }
        if let Some(line) = format::hosts::unknown_line(seen.bytes(), self.context.plan, &old) {
            let line: String = line.escape_debug().take(200).collect();
            let detail =
                format!("below vzctl's marker stood a line with another name and address, which stays: {line}");
            self.unexpected(&seen.path, detail);
        }
        self.view.write(&seen, text, 0o644)
    }

    pub(super) fn securetty(&mut self, action: &Securetty) -> Result<()> {
        let Some(seen) = self.existing("etc/securetty")? else { return Ok(()) };
        let mut names = Vec::new();
        for name in &action.names {
            names.push(self.context.render(name, &Local::default())?);
        }
        for n in 1..=self.context.plan.ttys {
            for name in &action.each_tty {
                names.push(self.context.render(name, &Local { tty: Some(n), ..Local::default() })?);
            }
        }
        let text = format::securetty::add_ttys(seen.bytes(), &names);
        self.view.write(&seen, text, 0o644)
    }

    /// Writes the name servers where they last. A link is a decision: resolvconf gets them in its base file and keeps
    /// the link, systemd-resolved gets them from the interface's unit, a link to a file in the tree is followed, and one
    /// that leads nowhere is replaced by a file.
    pub(super) fn resolver(&mut self) -> Result<()> {
        let plan = self.context.plan;
        if plan.nameservers.is_empty() && plan.searchdomains.is_empty() {
            return Ok(());
        }
        let path = Path::new("etc/resolv.conf");
        let target = self.view.link(&self.view.canonical(path, false)?)?;
        let goal = self.view.canonical(path, true)?;
        let (last, decided) = match &target {
            None => (LastLink::Follow, None),
            Some(_) if goal.starts_with("run/systemd/resolve") => return self.resolved(),
            Some(_) if self.generated_at_boot(&goal)? => return Ok(()),
            Some(_) if self.resolvconf_owns(&goal)? => {
                let base = Path::new("etc/resolvconf/resolv.conf.d/base");
                let seen = self.view.read(base, LastLink::Follow)?;
                let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
                let text = format::resolv::resolv_conf(old, &plan.nameservers, &plan.searchdomains);
                self.view.write(&seen, text, 0o644)?;
                return Ok(());
            }
            Some(_) if self.view.entry(&goal)?.is_some() && !volatile(&goal) => {
                (LastLink::Follow, Some("the link was followed: the file that it leads to was changed"))
            }
            Some(_) => (LastLink::Replace, Some("the link leads to nothing that lasts: a file took its place")),
        };
        let seen = self.view.read(path, last)?;
        let old = seen.content.as_ref().map(|c| c.bytes.as_slice());
        let text = format::resolv::resolv_conf(old, &plan.nameservers, &plan.searchdomains);
        let before = self.view.changes.len();
        self.view.write(&seen, text, 0o644)?;
        if let Some(detail) = decided.filter(|_| self.view.changes.len() > before) {
            self.tell(
                Finding::info("fixup-link", "the resolver's configuration is a symbolic link")
                    .detail(format!("{} -> {}: {detail}", shown(path), shown(&goal)))
                    .remedy("nothing, unless the link was meant for something else")
                    .subject(shown(path)),
            );
        }
        Ok(())
    }

    fn resolvconf_owns(&self, goal: &Path) -> Result<bool> {
        let place = ["run/resolvconf", "etc/resolvconf/run", "lib/init/rw/resolvconf"];
        let named = place.iter().any(|p| *goal == Path::new(p).join("resolv.conf"));
        Ok(named && self.view.any("etc/resolvconf/resolv.conf.d")?)
    }

    /// Tells whether NetworkManager or SUSE's netconfig makes the file that the link leads to at every boot, from name
    /// servers that are written elsewhere: in the interface's profile, or in /etc/sysconfig/network/config.
    fn generated_at_boot(&self, goal: &Path) -> Result<bool> {
        let guest = self.context.guest;
        let profile = guest.network == NetworkDialect::Keyfile && self.interface_names_servers();
        let netconfig = guest.family == Family::Suse && self.view.is_file("etc/sysconfig/network/config")?;
        Ok((profile && goal.starts_with("run/NetworkManager")) || (netconfig && goal.starts_with("run/netconfig")))
    }

    /// Tells whether the file of the first interface names the servers: in these dialects it does, unless the guest does not
    /// configure the interface.
    fn interface_names_servers(&self) -> bool {
        let dialects = [NetworkDialect::SystemdNetworkd, NetworkDialect::Netplan, NetworkDialect::Keyfile];
        let first = self.context.plan.nics.first();
        dialects.contains(&self.context.guest.network) && first.is_some_and(|n| n.method != Method::None)
    }

    /// Name servers for systemd-resolved when no unit of ours carries them.
    fn resolved(&mut self) -> Result<()> {
        let plan = self.context.plan;
        if self.interface_names_servers() {
            return Ok(());
        }
        let seen = self.view.read(Path::new("etc/systemd/resolved.conf.d/ovz2lxc.conf"), LastLink::Follow)?;
        let servers: Vec<String> = plan.nameservers.iter().map(ToString::to_string).collect();
        let mut lines = BTreeMap::new();
        lines.insert("DNS", servers.join(" "));
        lines.insert("Domains", plan.searchdomains.join(" "));
        let set = lines.iter().filter(|(_, v)| !v.is_empty()).map(|(k, v)| format!("{k}={v}\n"));
        let text = format!("[Resolve]\n{}", set.collect::<String>());
        self.view.write(&seen, text.into_bytes(), 0o644)
    }
}

/// Tells whether a place is empty again after every boot.
fn volatile(path: &Path) -> bool {
    ["run", "var/run", "proc", "dev", "sys", "tmp"].iter().any(|p| path.starts_with(p))
}
