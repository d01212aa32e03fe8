//! The distribution, by os-release and the release files that came before it.

use super::Eye;
use crate::model::guest::Family;

/// Keeps what an id or a version may consist of: both end up in reports and in templates.
fn tame(text: &str) -> String {
    let wanted = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    text.trim().chars().filter(wanted).take(64).collect()
}

/// Returns id, family and version.
pub(super) fn find(eye: &mut Eye<'_>) -> (String, Family, String) {
    let os = eye.text("etc/os-release").or_else(|| eye.text("usr/lib/os-release")).unwrap_or_default();
    let (id, version) = (value(&os, "ID"), value(&os, "VERSION_ID"));
    let like = value(&os, "ID_LIKE");
    let family = family_of(&id.to_lowercase()).or_else(|| like.split_whitespace().find_map(family_of));
    let old = old_release(eye);
    match (family, old) {
        // The release file knows the minor version of Red Hat's kin, os-release mostly does not.
        (Some(Family::Redhat), Some((_, Family::Redhat, precise))) if precise.starts_with(&version) => {
            (tame(&id.to_lowercase()), Family::Redhat, tame(&precise))
        }
        (Some(family), _) => (tame(&id.to_lowercase()), family, tame(&version)),
        (None, Some((distro, family, version))) => (tame(&distro), family, tame(&version)),
        (None, None) if id.is_empty() => ("unknown".into(), Family::Unknown, String::new()),
        (None, None) => (tame(&id.to_lowercase()), Family::Unknown, tame(&version)),
    }
}

fn family_of(id: &str) -> Option<Family> {
    Some(match id {
        "rhel" | "centos" | "fedora" | "ol" | "oracle" | "scientific" | "cloudlinux" | "rocky" | "almalinux"
        | "amzn" | "virtuozzo" | "vzlinux" | "eurolinux" | "mageia" | "mandriva" => Family::Redhat,
        "debian" | "ubuntu" | "devuan" | "linuxmint" | "raspbian" | "kali" => Family::Debian,
        "suse" | "opensuse" | "sles" | "sled" | "opensuse-leap" | "opensuse-tumbleweed" => Family::Suse,
        "gentoo" | "funtoo" => Family::Gentoo,
        "arch" | "archlinux" => Family::Arch,
        "slackware" => Family::Slackware,
        "alt" | "altlinux" => Family::Alt,
        "alpine" => Family::Alpine,
        _ => return None,
    })
}

/// Returns a variable of a shell-like file, quotes removed, nothing expanded.
fn value(text: &str, key: &str) -> String {
    let line = text.lines().rev().filter_map(|l| l.trim().split_once('=')).find(|(k, _)| k.trim_end() == key);
    line.map(|(_, v)| v.trim().trim_matches(['"', '\'']).to_owned()).unwrap_or_default()
}

/// Looks at the files that distributions had before os-release, the more particular ones first.
fn old_release(eye: &mut Eye<'_>) -> Option<(String, Family, String)> {
    let lsb = eye.text("etc/lsb-release").unwrap_or_default();
    for (path, distro, family) in [
        ("etc/altlinux-release", "alt", Family::Alt),
        ("etc/SuSE-release", "suse", Family::Suse),
        ("etc/gentoo-release", "gentoo", Family::Gentoo),
        ("etc/slackware-version", "slackware", Family::Slackware),
        ("etc/alpine-release", "alpine", Family::Alpine),
        ("etc/arch-release", "arch", Family::Arch),
        ("etc/redhat-release", "redhat", Family::Redhat),
        ("etc/fedora-release", "fedora", Family::Redhat),
        ("etc/centos-release", "centos", Family::Redhat),
    ] {
        let Some(text) = eye.text(path) else { continue };
        let first = text.lines().next().unwrap_or_default();
        let distro = if family == Family::Redhat { red_hat_kin(first).unwrap_or(distro) } else { distro };
        let distro = if family == Family::Suse && first.contains("openSUSE") { "opensuse" } else { distro };
        return Some((distro.to_owned(), family, number(first)));
    }
    if value(&lsb, "DISTRIB_ID") == "Ubuntu" {
        return Some(("ubuntu".to_owned(), Family::Debian, value(&lsb, "DISTRIB_RELEASE")));
    }
    let debian = eye.text("etc/debian_version")?;
    Some(("debian".to_owned(), Family::Debian, tame(debian.lines().next().unwrap_or_default())))
}

fn red_hat_kin(line: &str) -> Option<&'static str> {
    let line = line.to_lowercase();
    [
        ("centos", "centos"),
        ("red hat enterprise", "rhel"),
        ("scientific", "scientific"),
        ("cloudlinux", "cloudlinux"),
        ("oracle", "ol"),
        ("fedora", "fedora"),
        ("rocky", "rocky"),
        ("almalinux", "almalinux"),
        ("virtuozzo", "virtuozzo"),
    ]
    .into_iter()
    .find_map(|(word, id)| line.contains(word).then_some(id))
}

/// Returns the first word that starts with a digit: `6.10` of "CentOS release 6.10 (Final)".
fn number(line: &str) -> String {
    let word = line.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    word.map(tame).unwrap_or_default()
}
