//! The report as text and as a page.

pub(super) mod html;
pub(super) mod text;

use super::report::ContainerReport;
use crate::model::container::Status;
use crate::model::guest::Init;

fn status(container: &ContainerReport) -> &'static str {
    match container.status {
        Some(Status::Running) => "running",
        Some(Status::Stopped) => "stopped",
        Some(Status::Mounted) => "mounted",
        Some(Status::Suspended) => "suspended",
        None => "unknown",
    }
}

/// What is inside, in one line: `centos 6.10, upstart, x86_64, libc 2.12`.
fn guest(container: &ContainerReport) -> String {
    let g = &container.guest;
    let init = match g.init {
        Init::Sysvinit => "sysvinit",
        Init::Upstart => "upstart",
        Init::Systemd => "systemd",
        Init::Openrc => "openrc",
        Init::Busybox => "busybox",
        Init::Unknown => "unknown init",
    };
    let mut parts = vec![format!("{} {}", g.distro, g.version).trim().to_owned(), init.to_owned()];
    if !g.arch.is_empty() {
        parts.push(g.arch.clone());
    }
    if !g.libc.is_empty() {
        parts.push(format!("libc {}", g.libc));
    }
    parts.join(", ")
}

/// Tells whether a character must not reach a terminal or a page as it is: control characters, and those that change
/// the direction of writing, with which a name can pretend to be another one.
fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Writes unsafe characters as escapes.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}
