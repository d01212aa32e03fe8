//! An interface in /etc/network/interfaces and the files that it names.

use crate::error::Result;
use crate::fixup::format::interfaces::{Interfaces, Style};
use crate::fixup::format::pattern;
use crate::fixup::run::Run;
use crate::model::guest::Guest;
use crate::model::network::Nic;
use crate::rootfs::look::shown;
use crate::rootfs::{LastLink, Look};
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

const MAIN: &str = "etc/network/interfaces";

/// More files than anybody has: the container chooses how many it names.
const MOST: usize = 256;

/// ifupdown understands `address A/N` since 0.8, which Debian 10 and Ubuntu 18.04 have for certain. 0.6, of Debian 6 and
/// Ubuntu 11.10, works with net-tools and knows further addresses as aliases only.
fn style(guest: &Guest) -> Style {
    let (new, old) = match guest.distro.as_str() {
        "debian" | "raspbian" => (10, 6),
        "ubuntu" => (18, 11),
        "devuan" => (3, 0),
        _ => return Style::Netmask,
    };
    match guest.major() {
        Some(major) if major >= new => Style::Cidr,
        Some(major) if major <= old => Style::Aliases,
        _ => Style::Netmask,
    }
}

/// `source-directory` passes over any other name.
fn is_plain(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// What wordexp(3), with which ifupdown reads a pattern, takes for something else than a part of a name. Releases differ in
/// what comes of it.
fn is_expanded(pattern: &str) -> bool {
    pattern.starts_with('~')
        || pattern.contains(['$', '`', '\'', '"', '\\', '{', '}', '(', ')', '|', '&', ';', '<', '>'])
}

/// Tells whether a path that a widened pattern matched fits the pattern itself.
fn fits(pattern: &Path, path: &Path) -> bool {
    let plain = |c: &Component<'_>| matches!(c, Component::Normal(_) | Component::ParentDir);
    let bytes = |c: Component<'_>| c.as_os_str().as_encoded_bytes().to_vec();
    let wanted: Vec<Vec<u8>> = pattern.components().filter(plain).map(bytes).collect();
    let there: Vec<Vec<u8>> = path.components().filter(plain).map(bytes).collect();
    wanted.len() == there.len() && wanted.iter().zip(&there).all(|(pattern, name)| pattern::fits(pattern, name))
}

impl Run<'_> {
    /// The files that ifupdown reads: the main one, and what it and those that it names have in `source` lines.
    /// What a line names in a form that is not followed here is reported.
    fn ifupdown_files(&mut self) -> Result<Vec<PathBuf>> {
        let mut files = vec![PathBuf::from(MAIN)];
        let mut at = 0;
        while let Some(path) = files.get(at).cloned() {
            at += 1;
            let Ok(seen) = self.view.read(&path, LastLink::Follow) else { continue };
            let beside = path.parent().unwrap_or(Path::new(""));
            for (directory, pattern) in Interfaces::parse(seen.bytes()).sources() {
                if is_expanded(&pattern) {
                    let name = pattern.escape_debug().take(100).collect::<String>();
                    let detail = format!(
                        "it includes {name}, which is not followed here: a managed interface in there would be set up twice"
                    );
                    self.unexpected(&seen.path, detail);
                    continue;
                }
                let pattern = beside.join(pattern).join(if directory { "*" } else { "" });
                let named = self.view.glob(&pattern::widened(&pattern.to_string_lossy()))?;
                let wanted = |path: &PathBuf| fits(&pattern, path) && (!directory || is_plain(path));
                for new in named.into_iter().filter(wanted) {
                    if files.len() < MOST && !files.contains(&new) {
                        files.push(new);
                    }
                }
            }
        }
        Ok(files)
    }

    pub(super) fn ifupdown(&mut self, nic: &Nic) -> Result<()> {
        // The file that has the interface already, the main file otherwise.
        let mut having = Vec::new();
        for path in self.ifupdown_files()? {
            let Ok(seen) = self.view.read(&path, LastLink::Follow) else { continue };
            if Interfaces::parse(seen.bytes()).names().contains(&nic.name) {
                having.push(path);
            }
        }
        let chosen = having.first().cloned().unwrap_or_else(|| PathBuf::from(MAIN));
        // ifupdown would do what each of them says.
        for path in having.iter().skip(1) {
            let seen = self.view.read(path, LastLink::Follow)?;
            let mut text = Interfaces::parse(seen.bytes());
            if seen.path != self.view.canonical(&chosen, true)? && text.give_way(nic) {
                let (name, to) = (&nic.name, shown(&chosen));
                let detail = format!("{name} was defined here and in {to}: what this file said about it was taken out");
                self.view.write(&seen, text.render(), 0o644)?;
                self.unexpected(&seen.path, detail);
            }
        }
        let seen = self.view.read(&chosen, LastLink::Follow)?;
        let mut text = Interfaces::parse(seen.bytes());
        if seen.content.is_none() {
            text = Interfaces::parse(b"auto lo\niface lo inet loopback\n\n");
        }
        // resolv.conf holds the name servers; where resolvconf owns it, these lines are what it reads.
        let resolvconf = self.view.is_file("sbin/resolvconf")? || self.view.is_file("usr/sbin/resolvconf")?;
        let plan = self.context.plan;
        let first = plan.nics.first().is_some_and(|n| n.name == nic.name);
        let (dns, domains): (&[IpAddr], &[String]) =
            if resolvconf && first { (&plan.nameservers, &plan.searchdomains) } else { (&[], &[]) };
        text.put(nic, dns, domains, style(self.context.guest));
        self.put(&seen, text.render(), nic, 0o644)
    }
}
