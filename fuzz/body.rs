// What the fuzz target and the tests of the main crate both run: a file of any bytes through the parser of VE
// configurations, in both dialects, over itself as the global file, with and without every approximation.

use ovz2lxc::model::ctid::Ctid;
use ovz2lxc::model::limits::APPROXIMATIONS;
use ovz2lxc::model::ve::VeConfig;
use ovz2lxc::openvz::{ParseContext, ctid_of, parse};
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
        l.swap_bytes,
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
    assert!(numbers.iter().flatten().all(|n| *n < 1 << 63), "a limit beyond what any kernel counts: {l:?}");
    assert!(l.io_priority.is_none_or(|p| p <= 7));
    let lines = own.split(|b| *b == b'\n').count();
    assert!(ve.keys.len() <= lines + 1, "more answers than lines");
    let mut names = std::collections::HashSet::new();
    for key in &ve.keys {
        assert!(!key.why.is_empty(), "{} has no reason", key.key);
        // Bytes that are no UTF-8 are shown alike, and a long name is cut.
        assert!(names.insert(&key.key) || key.key.contains(['\u{fffd}', '…']), "{} is answered twice", key.key);
    }
    assert!(ve.findings.len() <= MOST_FINDINGS, "{} findings", ve.findings.len());
    for finding in &ve.findings {
        for text in [&finding.id, &finding.title, &finding.detail, &finding.remedy, &finding.subject] {
            assert!(!text.chars().any(char::is_control), "a control character in {finding:?}");
        }
    }
    let names: Vec<&str> = ve.veth.iter().map(|v| v.ifname.as_str()).collect();
    assert!(names.iter().all(|name| !name.is_empty() && name.len() <= 15), "{names:?}");
    assert!(ve.venet.iter().all(|a| a.prefix <= if a.address.is_ipv4() { 32 } else { 128 }));
    assert!(ve.hostname.as_deref().is_none_or(|name| !name.contains(char::is_whitespace)));
}

/// Without being asked, nothing is approximated that has to be asked for.
fn nothing_unasked(ve: &VeConfig) {
    let l = &ve.limits;
    let asked = [l.memory_low_bytes, l.memlock_bytes, l.shared_memory_pages, l.open_files];
    assert!(asked.iter().all(Option::is_none) && ve.net_devices.is_empty());
}
