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
        (None, None) if id.is_empty() && by_packages(eye).is_none() => {
            ("unknown".into(), Family::Unknown, String::new())
        }
        (None, None) => {
            let id = if id.is_empty() { "unknown" } else { &id };
            (tame(&id.to_lowercase()), by_packages(eye).unwrap_or(Family::Unknown), tame(&version))
        }
    }
}

/// The distributions whose family their id says.
const KNOWN: [(Family, &[&str]); 8] = [
    (
        Family::Redhat,
        &[
            "rhel",
            "centos",
            "fedora",
            "ol",
            "oracle",
            "scientific",
            "cloudlinux",
            "rocky",
            "almalinux",
            "amzn",
            "virtuozzo",
            "vzlinux",
            "eurolinux",
            "mageia",
            "mandriva",
            "openmandriva",
            "rosa",
        ],
    ),
    (Family::Debian, &["debian", "ubuntu", "devuan", "linuxmint", "raspbian", "kali"]),
    (
        Family::Suse,
        &["suse", "opensuse", "sles", "sled", "sles_sap", "sle-micro", "opensuse-leap", "opensuse-tumbleweed"],
    ),
    (Family::Gentoo, &["gentoo", "funtoo"]),
    (Family::Arch, &["arch", "archlinux"]),
    (Family::Slackware, &["slackware"]),
    (Family::Alt, &["alt", "altlinux"]),
    (Family::Alpine, &["alpine"]),
];

/// Ids that release files from before os-release give, and those of distributions that name their family in `ID_LIKE` or
/// are of none.
const OTHERS: [&str; 64] = [
    "unknown",
    "redhat",
    "redhat-linux",
    "owl",
    "mandrake",
    "anolis",
    "antix",
    "artix",
    "asianux",
    "astra",
    "bodhi",
    "calculate",
    "centos-stream",
    "chimera",
    "circle",
    "clear-linux-os",
    "crux",
    "deepin",
    "elementary",
    "endeavouros",
    "exherbo",
    "gnoppix",
    "guix",
    "kaos",
    "kde-neon",
    "manjaro",
    "miraclelinux",
    "msvsphere",
    "mx",
    "navylinux",
    "neon",
    "nixos",
    "nobara",
    "openeuler",
    "opensuse-microos",
    "openwrt",
    "osmc",
    "parabola",
    "parrot",
    "photon",
    "pld",
    "pop",
    "postmarketos",
    "proxmox",
    "pureos",
    "raspios",
    "redos",
    "sabayon",
    "salix",
    "slackel",
    "slint",
    "sl-micro",
    "solus",
    "sparky",
    "springdale",
    "tails",
    "tencentos",
    "trisquel",
    "ultramarine",
    "univention",
    "uos",
    "vectorlinux",
    "void",
    "zorin",
];

/// Returns the ids of all distributions that are known by name.
pub(super) fn ids() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().flat_map(|(_, ids)| ids.iter()).chain(&OTHERS).copied()
}

fn family_of(id: &str) -> Option<Family> {
    KNOWN.iter().find(|(_, ids)| ids.contains(&id)).map(|(family, _)| *family)
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
        ("etc/owl-release", "owl", Family::Redhat),
        ("etc/mageia-release", "mageia", Family::Redhat),
        ("etc/mandriva-release", "mandriva", Family::Redhat),
        ("etc/mandrake-release", "mandrake", Family::Redhat),
        ("etc/redhat-release", "redhat", Family::Redhat),
        ("etc/fedora-release", "fedora", Family::Redhat),
        ("etc/centos-release", "centos", Family::Redhat),
    ] {
        let Some(text) = eye.text(path) else { continue };
        let first = text.lines().next().unwrap_or_default();
        let distro = match family {
            Family::Redhat => red_hat_kin(first).unwrap_or(distro),
            Family::Suse => suse_kin(first),
            Family::Gentoo if first.contains("Funtoo") => "funtoo",
            _ => distro,
        };
        return Some((distro.to_owned(), family, number(first)));
    }
    if value(&lsb, "DISTRIB_ID") == "Ubuntu" {
        return Some(("ubuntu".to_owned(), Family::Debian, value(&lsb, "DISTRIB_RELEASE")));
    }
    let debian = eye.text("etc/debian_version")?;
    Some(("debian".to_owned(), Family::Debian, tame(debian.lines().next().unwrap_or_default())))
}

/// Tells a distribution that nobody named by its package database; RPM and its kin say too little.
fn by_packages(eye: &Eye<'_>) -> Option<Family> {
    [
        ("var/lib/dpkg/status", Family::Debian),
        ("lib/apk/db/installed", Family::Alpine),
        ("var/lib/pacman/local/ALPM_DB_VERSION", Family::Arch),
        ("var/db/pkg/sys-apps/*", Family::Gentoo),
    ]
    .into_iter()
    .find_map(|(pattern, family)| eye.any(pattern).then_some(family))
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
        ("vzlinux", "vzlinux"),
        ("mandriva", "mandriva"),
        ("mandrake", "mandrake"),
        ("openwall", "owl"),
        // Its versions 7 to 9 are older than the Enterprise Linux of the same numbers.
        ("red hat linux", "redhat-linux"),
    ]
    .into_iter()
    .find_map(|(word, id)| line.contains(word).then_some(id))
}

fn suse_kin(line: &str) -> &'static str {
    let line = line.to_lowercase();
    [("opensuse", "opensuse"), ("enterprise server", "sles"), ("enterprise desktop", "sled")]
        .into_iter()
        .find_map(|(word, id)| line.contains(word).then_some(id))
        .unwrap_or("suse")
}

/// Returns the first word that starts with a digit: `6.10` of "CentOS release 6.10 (Final)".
fn number(line: &str) -> String {
    let word = line.split_whitespace().find(|w| w.starts_with(|c: char| c.is_ascii_digit()));
    word.map(tame).unwrap_or_default()
}

/// Returns the release of Red Hat Enterprise Linux whose scripts a release of its family has.
///
/// The old distributions and Mageia are put before 6: the forms of 5 (a netmask, an alias file for each further address)
/// are read by every release of the scripts.
pub(super) fn red_hat_generation(distro: &str, version: &str) -> Option<u32> {
    let major: Option<u32> = version.split(['.', '-', ' ']).next().and_then(|m| m.parse().ok());
    match (distro, major) {
        ("redhat-linux" | "owl" | "mandrake" | "mandriva", _) => Some(4),
        ("alt" | "altlinux", _) => Some(4),
        ("mageia" | "openmandriva" | "rosa", _) => Some(5),
        // Enterprise Linux 5 came from Fedora 6, 6 from 12, 7 from 19, 8 from 28, 9 from 34, 10 from 40.
        ("fedora", Some(fedora)) => {
            let born = [(40, 10), (34, 9), (28, 8), (19, 7), (12, 6)];
            Some(born.into_iter().find_map(|(from, el)| (fedora >= from).then_some(el)).unwrap_or(5))
        }
        ("amzn", Some(2)) => Some(7),
        ("amzn", Some(year)) if year >= 2023 => Some(9),
        ("amzn", _) => Some(6),
        (_, major) => major,
    }
}
