//! Action scripts: what each would be under LXC, and the directories of the node that they mount into the container.
//!
//! A script is text here, never run. Only what can be read without running it is proposed: `mount` commands whose words are
//! plain, or made of variables that the script sets to plain words; anything else is left to the reader.

use super::grammar::shown;
use super::reading::MOST_FINDINGS;
use super::script::{self, Command};
use crate::model::finding::Finding;
use std::path::Path;

/// The actions of vzctl, in the order of a container's life.
pub(super) const ACTIONS: &[&str] = &["premount", "mount", "start", "stop", "umount", "postumount"];

/// Scripts are read as far as this, in bytes.
pub(super) const SCRIPT_LIMIT: u64 = 256 << 10;

/// A script beside a configuration.
pub(super) struct Script<'a> {
    /// Its path, for findings.
    pub(super) name: &'a str,
    /// `mount`, `start`, …
    pub(super) action: &'a str,
    pub(super) text: &'a [u8],
}

/// The container that a script runs for.
pub(super) struct Container<'a> {
    pub(super) ctid: &'a str,
    pub(super) root: &'a Path,
    pub(super) private: &'a Path,
}

/// A directory of the node, mounted into the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    pub(super) source: String,
    /// Below the container's root, with or without a slash before it.
    pub(super) target: String,
    pub(super) recursive: bool,
    pub(super) options: Vec<String>,
}

/// Returns the line of an LXC configuration for a mount; `None` when it cannot be one line, or would leave the tree.
pub(super) fn mount_entry(mount: &Mount) -> Option<String> {
    let target = mount.target.trim_matches('/');
    let odd = |text: &str| text.chars().any(|c| c.is_control() || c == '\u{fffd}');
    let climbs = |path: &str| path.split('/').any(|part| matches!(part, ".." | "."));
    if !mount.source.starts_with('/') || target.is_empty() || climbs(target) || climbs(&mount.source) {
        return None;
    }
    if odd(&mount.source) || odd(target) {
        return None;
    }
    let plain = |o: &&String| !o.is_empty() && o.bytes().all(|b| b.is_ascii_alphanumeric() || b"_=-".contains(&b));
    let bind = if mount.recursive { "rbind" } else { "bind" };
    let words: Vec<&str> = [bind].into_iter().chain(mount.options.iter().filter(plain).map(String::as_str)).collect();
    let (source, target) = (octal(&mount.source), octal(target));
    Some(format!("lxc.mount.entry = {source} {target} none {},create=dir 0 0", words.join(",")))
}

/// Escapes what would end a field, as fstab(5) has it. getmntent(3), which LXC reads entries with, knows no other escapes.
fn octal(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            ' ' => out.push_str("\\040"),
            '\\' => out.push_str("\\134"),
            _ => out.push(c),
        }
    }
    out
}

/// What does under LXC what a script does under vzctl: the key, and what is different there.
fn hook(action: &str) -> (&'static str, &'static str) {
    match action {
        "premount" => ("lxc.hook.pre-start", "it runs on the host before the tree is mounted"),
        "mount" => {
            ("lxc.hook.mount", "it runs in the container's mounts before it starts, its tree is at LXC_ROOTFS_MOUNT")
        }
        "start" => (
            "lxc.hook.start",
            "it runs inside the container after its mounts, just before init: copy the script into its tree",
        ),
        "stop" => (
            "lxc.hook.stop",
            "it runs on the host after init has ended (LXC 2.0 and later); what must happen inside belongs to the guest's own services",
        ),
        _ => ("lxc.hook.post-stop", "it runs on the host after the container has ended"),
    }
}

/// Proposes what an action script would be under LXC: a line for each directory that it mounts, a hook for the rest.
pub(super) fn proposals(script: &Script<'_>, container: &Container<'_>) -> Vec<Finding> {
    let mut out = Vec::new();
    let mut left = 0usize;
    let veid = || ("VEID".to_owned(), container.ctid.to_owned());
    let path = |name: &str, path: &Path| Some((name.to_owned(), path.to_str()?.to_owned()));
    let known = [path("VE_ROOT", container.root), path("VE_PRIVATE", container.private)];
    for command in script::commands(script.text, known.into_iter().flatten().chain([veid()])) {
        let Some(mount) = mounted(&command, container.root) else { continue };
        let Some(entry) = mount_entry(&mount) else { continue };
        left += 1;
        if left > MOST_FINDINGS {
            continue;
        }
        let place = format!("{}:{}", script.name, command.line);
        let title = format!("{place} mounts {} into the container", shown(mount.source.as_bytes()));
        out.push(
            Finding::info("ve-action-mount", title)
                .detail(format!(
                    "{}: its data is on the node and is not copied",
                    shown(script::line_at(script.text, command.at))
                ))
                .remedy(entry)
                .subject(place),
        );
    }
    if left > MOST_FINDINGS {
        let title = format!("{} more mounts in {}", left - MOST_FINDINGS, script.name);
        out.push(Finding::info("ve-action-mount", title).subject(script.name));
    }
    // A script that does nothing but mount is answered by its lines.
    if script.action != "mount" || left == 0 {
        let (key, different) = hook(script.action);
        let title = format!("{} runs at {} under vzctl", script.name, script.action);
        out.push(
            Finding::info("ve-action-script", title)
                .detail(format!("LXC's hook for that differs: {different}"))
                .remedy(format!("{key} = SCRIPT, once what it does makes sense there"))
                .subject(script.name),
        );
    }
    out
}

/// Reads a `mount` command that binds a directory of the node into the container's tree.
fn mounted(command: &Command, root: &Path) -> Option<Mount> {
    let mut words = command.words.iter();
    let program = words.next()?.as_deref()?;
    if program != "mount" && !program.ends_with("/mount") {
        return None;
    }
    let (mut bind, mut recursive, mut places, mut options) = (false, false, Vec::new(), Vec::new());
    let mut given = |list: &str, bind: &mut bool, recursive: &mut bool| {
        for option in list.split(',').filter(|o| !o.is_empty()) {
            match option {
                "bind" => *bind = true,
                "rbind" => (*bind, *recursive) = (true, true),
                "defaults" | "rw" => {}
                // vzctl's old idiom: -t simfs SOURCE TARGET -o SOURCE.
                other if other.starts_with('/') => {}
                other => options.push(other.to_owned()),
            }
        }
    };
    while let Some(word) = words.next() {
        let word = word.as_deref()?;
        match word {
            "--bind" | "-B" => bind = true,
            "--rbind" | "-R" => (bind, recursive) = (true, true),
            "-o" | "--options" => given(words.next()?.as_deref()?, &mut bind, &mut recursive),
            "-t" | "--types" => bind |= words.next()?.as_deref()? == "simfs",
            "-tsimfs" => bind = true,
            "-r" | "--read-only" => given("ro", &mut bind, &mut recursive),
            _ if word.starts_with("--options=") => given(&word["--options=".len()..], &mut bind, &mut recursive),
            _ if word.starts_with("-o") => given(&word[2..], &mut bind, &mut recursive),
            _ if word.starts_with('-') => {}
            _ => places.push(word.to_owned()),
        }
    }
    let [source, target] = <[String; 2]>::try_from(places).ok()?;
    let below = Path::new(&target).strip_prefix(root).ok()?.to_str()?.to_owned();
    bind.then_some(Mount { source, target: below, recursive, options })
}

#[cfg(test)]
#[path = "actions_tests.rs"]
mod tests;
