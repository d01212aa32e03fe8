// What the fuzz target and the tests of the main crate both run: a file of any bytes through the parser of VE
// configurations, in both dialects, over itself as the global file, with and without every approximation.

use ovz2lxc::model::ctid::Ctid;
use ovz2lxc::model::limits::APPROXIMATIONS;
use ovz2lxc::model::ve::{Resolver, VeConfig};
use ovz2lxc::openvz::{ParseContext, ctid_of, parse};
use std::collections::HashSet;
use std::path::Path;

/// A line that ends the global file and begins the container's own.
const SPLIT: &[u8] = b"%%\n";

/// No file gives more findings than this.
const MOST_FINDINGS: usize = 500;

/// Parses, and panics where a promise of the parser is broken.
pub(crate) fn ve_conf(data: &[u8]) {
    let at = data.windows(SPLIT.len()).position(|window| window == SPLIT);
    let (global, own) = at.map_or((None, data), |at| (Some(&data[..at]), &data[at + SPLIT.len()..]));
    let all: Vec<String> = APPROXIMATIONS.iter().map(|name| (*name).to_owned()).collect();
    for (name, approximate) in
        [("101.conf", &[][..]), ("101.conf", &all), ("5fbaabe3-6958-40ff-92a7-860e329aab41.conf", &all)]
    {
        let ctid = ctid_of(Path::new(name), own);
        let context = ParseContext { node_cpus: Some(4), file: name.into(), approximate: approximate.to_vec() };
        let nul = own.contains(&0) || global.is_some_and(|global| global.contains(&0));
        match parse(&ctid, global, own, &context) {
            Ok(ve) => {
                assert!(!nul, "a NUL byte was read");
                check(&ve, own);
                if approximate.is_empty() {
                    assert_eq!(parse(&ctid, global, own, &context).ok().as_ref(), Some(&ve), "not deterministic");
                    nothing_unasked(&ve);
                }
            }
            Err(error) => {
                let text = error.to_string();
                assert!(
                    error.first_hint().is_some() && (text.starts_with("line ") || text.contains(" large")),
                    "{text}"
                );
                assert!(nul || data.len() > 1 << 20, "refused without a reason: {text}");
            }
        }
    }
    let _: Ctid = ctid_of(Path::new("ve.conf"), own);
}

fn check(ve: &VeConfig, own: &[u8]) {
    let l = &ve.limits;
    let numbers = [
        l.memory_bytes,
        l.pids,
        l.cpu_quota_percent,
        l.cpu_units,
        l.cpus,
        l.io_bytes_per_second,
        l.iops,
        l.disk_bytes,
        l.disk_inodes,
        l.ptys,
        l.memory_low_bytes,
        l.memlock_bytes,
        l.shared_memory_pages,
        l.open_files,
    ];
    assert!(!numbers.contains(&Some(0)), "a limit of zero: {l:?}");
    // Without swap is a setting of its own.
    assert!(l.swap_bytes.is_none() || l.memory_bytes.is_some(), "swap without memory: {l:?}");
    assert!(
        numbers.iter().chain([&l.swap_bytes]).flatten().all(|n| *n < 1 << 63),
        "a limit beyond what any kernel counts: {l:?}"
    );
    assert!(l.io_priority.is_none_or(|p| p <= 7));
    let lines = own.split(|b| *b == b'\n').count();
    let own_keys = ve.keys.iter().filter(|key| key.origin.is_empty()).count();
    assert!(own_keys <= lines + 1, "more answers than lines");
    assert!(ve.known_keys() <= own_keys);
    let mut names = HashSet::new();
    for key in &ve.keys {
        assert!(key.origin.is_empty() || (key.origin == "vz.conf" && key.known), "{} is from {}", key.key, key.origin);
        assert!(!key.why.is_empty(), "{} has no reason", key.key);
        // Bytes that are no UTF-8 are shown alike, and a long name is cut.
        assert!(
            names.insert((&key.key, &key.origin)) || key.key.contains(['\u{fffd}', '…']),
            "{} is answered twice",
            key.key
        );
    }
    assert!(ve.findings.len() <= MOST_FINDINGS, "{} findings", ve.findings.len());
    for finding in &ve.findings {
        for text in [&finding.id, &finding.title, &finding.detail, &finding.remedy, &finding.subject] {
            assert!(!text.chars().any(char::is_control), "a control character in {finding:?}");
        }
    }
    usable(ve);
}

/// What the writer of the LXC configuration would refuse, or misread.
fn usable(ve: &VeConfig) {
    let plain = |name: &str| {
        let bytes = name.bytes().all(|b| b.is_ascii_graphic() && !b"/:%\"'#".contains(&b));
        bytes && !name.is_empty() && name.len() <= 15 && name != "." && name != ".."
    };
    let mut names = HashSet::new();
    let (mut macs, mut hosts) = (HashSet::new(), HashSet::new());
    for veth in &ve.veth {
        assert!(plain(&veth.ifname) && names.insert(&veth.ifname), "{veth:?}");
        assert!(veth.bridge.as_deref().is_none_or(plain), "{veth:?}");
        assert!(veth.host_ifname.as_ref().is_none_or(|name| plain(name) && hosts.insert(name)), "{veth:?}");
        let station = |mac: &str| {
            let octets: Vec<u8> = mac.split(':').filter_map(|o| u8::from_str_radix(o, 16).ok()).collect();
            octets.len() == 6 && octets[0] & 1 == 0 && octets.iter().any(|o| *o != 0)
        };
        assert!(veth.mac.as_ref().is_none_or(|mac| station(mac) && macs.insert(mac)), "{veth:?}");
    }
    assert!(ve.net_devices.iter().all(|name| plain(name) && names.insert(name)), "{:?}", ve.net_devices);
    for one in &ve.venet {
        let ip = one.address;
        assert!(!ip.is_loopback() && !ip.is_multicast() && !ip.is_unspecified(), "{ip}");
        assert!(one.prefix <= if ip.is_ipv4() { 32 } else { 128 });
    }
    for device in &ve.devices {
        let bounded = device.major.is_none_or(|n| n < 1 << 12) && device.minor.is_none_or(|n| n < 1 << 20);
        let quoted = |b: u8| !b.is_ascii_graphic() || b"\\\"'".contains(&b);
        let path = device.path.as_deref().is_none_or(|path| !path.bytes().any(quoted));
        assert!(bounded && path && !device.access.is_empty(), "{device:?}");
    }
    let is_name = |name: &str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    assert!(ve.hostname.as_deref().is_none_or(|name| (1..=64).contains(&name.len()) && is_name(name)));
    if let Resolver::List(list) = &ve.nameservers {
        assert!(list.iter().all(|word| word.parse::<std::net::IpAddr>().is_ok()), "{list:?}");
    }
    if let Resolver::List(list) = &ve.searchdomains {
        assert!(list.iter().all(|word| is_name(word)), "{list:?}");
    }
}

/// Without being asked, nothing is approximated that has to be asked for.
fn nothing_unasked(ve: &VeConfig) {
    let l = &ve.limits;
    let asked = [l.memory_low_bytes, l.memlock_bytes, l.shared_memory_pages, l.open_files];
    assert!(asked.iter().all(Option::is_none) && ve.net_devices.is_empty());
}
