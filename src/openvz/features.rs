//! What a feature, a firewall or a mount option of OpenVZ is under LXC.

use super::departure::{Departure, listed, say};
use super::grammar::shown;
use super::merged::Merged;
use super::reading::Value;
use crate::model::ve::Outcome::{Approximated, Converted, Ignored};

/// A feature, what it is when it is on, and when it is off.
const FEATURES: &[(&str, &str, &str)] = &[
    (
        "nfs",
        "the target needs the module nfs, AppArmor a rule for the mount (lxc.apparmor.raw, LXC 4.0 and later), the container stays privileged",
        "LXC has no switch against NFS mounts; AppArmor refuses them by default",
    ),
    (
        "ppp",
        "device 108:0 is allowed and /dev/ppp made (lxc.cgroup.devices.allow, lxc.mount.entry); the target needs the module ppp_generic",
        "/dev/ppp is not allowed",
    ),
    (
        "bridge",
        "NET_ADMIN stays, the target needs the module bridge",
        "LXC has no switch against bridges in a container with NET_ADMIN",
    ),
    ("sit", "the target needs the module sit", "the module sit of the target decides"),
    ("ipip", "the target needs the module ipip", "the module ipip of the target decides"),
    ("ipgre", "the target needs the module ip_gre", "the module ip_gre of the target decides"),
    ("sysfs", "the container sees /sys", "/sys is not mounted (no sys in lxc.mount.auto)"),
    (
        "nfsd",
        "not carried over: a kernel NFS server does not run in an LXC container; a server in user space (nfs-ganesha) does",
        "there is none",
    ),
];

/// Answers FEATURES, each feature in turn.
pub(super) fn features(merged: &Merged<'_>) -> Option<Departure> {
    let Some(Value::Mask(mask)) = merged.values.get("FEATURES") else { return None };
    let said = |name: &str| mask.on.contains(name) || mask.other.contains(name);
    let all: Vec<_> = FEATURES.iter().filter(|(name, ..)| said(name)).collect();
    if all.is_empty() {
        return say(Ignored, "empty: nothing to carry over");
    }
    let no_admin = matches!(merged.values.get("CAPABILITY"), Some(Value::Mask(c)) if c.other.contains("net_admin"));
    let part = |(name, on, off): &&(&str, &str, &str)| match (*name, mask.on.contains(*name)) {
        ("bridge", true) if no_admin => format!("bridge: {NO_BRIDGE}"),
        (name, true) => format!("{name}: {on}"),
        ("sysfs", false) => format!("sysfs:off: {off}"),
        (name, false) => format!("{name}:off: nothing is written; {off}"),
    };
    let parts: Vec<String> = all.iter().map(part).collect();
    // sysfs is the same on both sides, nfsd has nothing on the other, and what is off needs nothing there.
    let others: Vec<&str> = all.iter().map(|(name, ..)| *name).filter(|name| *name != "sysfs").collect();
    let on = others.iter().any(|name| *name != "nfsd" && mask.on.contains(*name));
    let (outcome, into) = match (on, said("sysfs"), others.is_empty()) {
        (true, ..) => (Approximated, None),
        (false, true, true) => (Converted, Some("lxc.mount.auto")),
        (false, true, false) => (Approximated, Some("lxc.mount.auto")),
        (false, false, _) => (Ignored, None),
    };
    Some(Departure { outcome, into, why: parts.join("; ") })
}

const NO_BRIDGE: &str = "nothing is written; CAPABILITY takes NET_ADMIN away, without which the container can make no bridge (nor could it before)";

const STATELESS: &[&str] = &["iptable_filter", "iptable_mangle", "ip6table_filter", "ip6table_mangle"];
const STATEFUL: &[&str] = &["nf_conntrack"];
const FULL: &[&str] = &["iptable_nat", "nf_nat"];

/// Answers NETFILTER: which tables the container's rules may use.
pub(super) fn netfilter(level: &str) -> Option<Departure> {
    let modules = match level {
        "stateless" => vec![STATELESS],
        "stateful" => vec![STATELESS, STATEFUL],
        "full" => vec![STATELESS, STATEFUL, FULL],
        _ => {
            return say(
                Ignored,
                "disabled: LXC has no such switch, the container can use whatever the target has loaded",
            );
        }
    };
    let names: Vec<String> = modules.concat().iter().map(|name| (*name).to_owned()).collect();
    Some(needs(&names))
}

/// Answers a list of modules. The names are those of old kernels; conntrack and NAT have other ones now, the rest still
/// goes by its old name as well (modprobe's aliases).
pub(super) fn modules(list: &[String]) -> Option<Departure> {
    let now = |name: &String| {
        let name = shown(name.as_bytes());
        let renamed = [("ip_conntrack", "nf_conntrack"), ("ip_nat", "nf_nat")];
        renamed.iter().find_map(|(old, new)| name.strip_prefix(old).map(|rest| format!("{new}{rest}"))).unwrap_or(name)
    };
    let names: Vec<String> = list.iter().map(now).collect();
    Some(needs(&names))
}

fn needs(names: &[String]) -> Departure {
    let why = format!(
        "rules of a firewall in the container need modules that it cannot load itself; load on the target what its rules \
         use of: {}",
        listed(names)
    );
    Departure { outcome: Approximated, into: None, why }
}

/// Answers MOUNT_OPTS.
pub(super) fn mount_options(options: &str) -> Option<Departure> {
    let of_ploop = |option: &&str| option.starts_with("balloon_ino") || *option == "pfcache_csum";
    let all = options.split(',').map(str::trim).filter(|option| !option.is_empty());
    let (own, rest): (Vec<&str>, Vec<&str>) = all.partition(of_ploop);
    let names = |list: &[&str]| listed(&list.iter().map(|o| shown(o.as_bytes())).collect::<Vec<_>>());
    match (own.is_empty(), rest.is_empty()) {
        (true, true) => say(Ignored, "empty: nothing to carry over"),
        (false, true) => say(Ignored, format!("{} means something to ploop only", names(&own))),
        (none, false) => {
            let dropped = if none { String::new() } else { format!("{} means something to ploop only; ", names(&own)) };
            let rest = names(&rest);
            say(Ignored, format!("{dropped}the volume is mounted without: {rest} (add them to lxc.rootfs.options)"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_named_as_new_kernels_do() {
        let list = ["iptable_nat", "ip_conntrack", "ip_conntrack_ftp", "ip_nat_ftp", "ipt_REJECT", "xt_mac"];
        let why = modules(&list.map(str::to_owned)).unwrap().why;
        assert!(why.ends_with("iptable_nat, nf_conntrack, nf_conntrack_ftp, nf_nat_ftp, ipt_REJECT, xt_mac"), "{why}");
        assert!(netfilter("full").unwrap().why.contains("nf_nat"));
        assert!(!netfilter("stateless").unwrap().why.contains("conntrack"));
        assert_eq!(netfilter("disabled").unwrap().outcome, Ignored);
    }

    #[test]
    fn options_of_ploop_are_dropped_and_the_rest_is_named() {
        assert_eq!(
            mount_options("balloon_ino=12,pfcache_csum").unwrap().why,
            "balloon_ino=12, pfcache_csum means something to ploop only"
        );
        let why = mount_options("balloon_ino=12,noatime, barrier=0").unwrap().why;
        assert!(why.contains("without: noatime, barrier=0 (add"), "{why}");
        assert!(mount_options(" , ").unwrap().why.starts_with("empty"));
    }
}
