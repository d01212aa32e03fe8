//! What really became of each key: the answers of the parser, corrected by the configuration that was written.
//!
//! The parser answers for LXC in general. Whether a limit is a line, and which, depends on the version, on the control
//! groups, and on what the target has: only the text knows.

use crate::lxc::{Rendered, parse_config};
use crate::model::finding::Finding;
use crate::model::ve::{KeyAnswer, Outcome};

/// A parameter that becomes lines of the configuration.
struct Row {
    key: &'static str,
    /// How the keys of its lines end, in the new names and the old ones.
    lines: &'static [&'static str],
    /// How the values of these lines begin, where other lines have the same keys.
    value: &'static str,
    /// Findings of the renderer that are about it, beside those that have the key as their subject.
    findings: &'static [&'static str],
}

const fn row(key: &'static str, lines: &'static [&'static str]) -> Row {
    Row { key, lines, value: "", findings: &[] }
}

const MEMORY: &[&str] = &["memory.limit_in_bytes", "memory.max"];
const QUOTA: &[&str] = &["cpu.cfs_quota_us", "cpu.max"];
const HOOK: &[&str] = &["lxc.hook.start-host"];

const ROWS: &[Row] = &[
    row("PHYSPAGES", MEMORY),
    row("PRIVVMPAGES", MEMORY),
    row("SWAPPAGES", &["memory.memsw.limit_in_bytes", "memory.swap.max"]),
    row("VMGUARPAGES", &["memory.low"]),
    row("LOCKEDPAGES", &["lxc.prlimit.memlock"]),
    row("NUMFILE", &["lxc.prlimit.nofile"]),
    row("SHMPAGES", HOOK),
    row("NUMPROC", &["pids.max"]),
    row("NUMPTY", &["lxc.pty.max", "lxc.pts"]),
    row("CPUUNITS", &["cpu.shares", "cpu.weight"]),
    row("CPUUWEIGHT", &["cpu.shares", "cpu.weight"]),
    row("CPULIMIT", QUOTA),
    row("CPUS", QUOTA),
    row("CPUMASK", &["cpuset.cpus"]),
    row("NODEMASK", &["cpuset.mems"]),
    row("IOPRIO", HOOK),
    row("IOLIMIT", HOOK),
    row("IOPSLIMIT", HOOK),
    row("BOOTORDER", &["lxc.start.order"]),
    row("ONBOOT", &["lxc.start.auto"]),
    Row { findings: &["devices-not-restricted"], ..row("DEVICES", &["devices.allow"]) },
    Row {
        value: "/dev/",
        findings: &["device-number-unknown", "device-without-node"],
        ..row("DEVNODES", &["lxc.mount.entry"])
    },
];

/// Corrects the answers: `into` names the lines that are there, and a key of which none is there was not converted.
pub fn settle(keys: &mut [KeyAnswer], rendered: &Rendered) {
    let written = parse_config(&rendered.text).unwrap_or_default();
    for answer in keys.iter_mut().filter(|answer| !answer.into.is_empty()) {
        if answer.key == "CAPABILITY" {
            capabilities(answer, &rendered.findings);
        }
        let Some(row) = ROWS.iter().find(|row| row.key == answer.key) else { continue };
        let is_one = |(key, value): &&(String, String)| {
            let ends = row.lines.iter().any(|end| key == end || key.ends_with(&format!(".{end}")));
            ends && value.starts_with(row.value)
        };
        let mut lines: Vec<&str> = written.iter().filter(is_one).map(|(key, _)| key.as_str()).collect();
        lines.dedup();
        let left_out = rendered.findings.iter().find(|f| f.subject == answer.key);
        let partly = rendered.findings.iter().find(|f| row.findings.contains(&f.id.as_str()));
        match (left_out.or(partly), lines.is_empty()) {
            (Some(finding), _) if left_out.is_some() => ignored(answer, Some(finding)),
            (finding, true) => ignored(answer, finding),
            (finding, false) => {
                answer.into = lines.join(", ");
                if let Some(finding) = finding {
                    answer.outcome = Outcome::Approximated;
                    answer.why = format!("{}; {}", answer.why, finding.title);
                }
            }
        }
    }
}

fn ignored(answer: &mut KeyAnswer, against: Option<&Finding>) {
    answer.outcome = Outcome::Ignored;
    answer.into = String::new();
    answer.why = match against {
        Some(finding) if finding.detail.is_empty() => finding.title.clone(),
        Some(finding) => format!("{}: {}", finding.title, finding.detail),
        None => "this LXC, with these control groups, has no line for it".to_owned(),
    };
}

/// A capability that is switched on is no line; one that LXC must not give is a finding with its name. Those that no
/// privileged container gets the parser has named already.
fn capabilities(answer: &mut KeyAnswer, findings: &[Finding]) {
    let refused = findings.iter().filter(|f| f.id == "capability-refused").map(|f| f.subject.as_str());
    let names: Vec<&str> = refused.filter(|name| !answer.why.contains(name)).collect();
    if !names.is_empty() {
        answer.outcome = Outcome::Approximated;
        answer.why = format!("{}; not given: {}", answer.why, names.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(key: &str) -> KeyAnswer {
        let (value, into, why) = ("1".into(), "somewhere".into(), "because".into());
        KeyAnswer { key: key.into(), value, outcome: Outcome::Converted, into, why, origin: String::new(), known: true }
    }

    fn settled(keys: &[&str], text: &str, findings: Vec<Finding>) -> Vec<KeyAnswer> {
        let mut answers: Vec<KeyAnswer> = keys.iter().map(|k| answer(k)).collect();
        settle(&mut answers, &Rendered { text: text.into(), hook: None, findings });
        answers
    }

    #[test]
    fn into_names_the_lines_that_are_there() {
        let text = "lxc.cgroup.pids.max = 5\nlxc.cgroup2.pids.max = 5\nlxc.cgroup2.cpu.max = 1 2\n";
        let answers = settled(&["NUMPROC", "CPULIMIT", "HOSTNAME"], text, vec![]);
        assert_eq!(answers[0].into, "lxc.cgroup.pids.max, lxc.cgroup2.pids.max");
        assert_eq!((answers[1].into.as_str(), answers[1].outcome), ("lxc.cgroup2.cpu.max", Outcome::Converted));
        assert_eq!(answers[2].into, "somewhere", "what is no line stays as it was answered");
    }

    #[test]
    fn what_was_left_out_was_not_converted() {
        let finding = Finding::warning("io", "not limited").detail("no hook").subject("IOLIMIT");
        // The hook is there for another limit.
        let answers = settled(&["IOLIMIT", "CPUMASK"], "lxc.hook.start-host = /x\n", vec![finding]);
        assert_eq!((answers[0].outcome, answers[0].why.as_str()), (Outcome::Ignored, "not limited: no hook"));
        assert!(answers[0].into.is_empty());
        assert_eq!((answers[1].outcome, answers[1].why.is_empty()), (Outcome::Ignored, false));
    }

    #[test]
    fn what_went_over_in_part_says_so() {
        let node = "lxc.mount.entry = /dev/net/tun dev/net/tun none bind 0 0\n";
        let shm = "lxc.mount.entry = tmpfs dev/shm tmpfs rw 0 0\n";
        let unknown = || vec![Finding::warning("device-number-unknown", "it cannot open sda1").subject("/dev/sda1")];
        let part = &settled(&["DEVNODES"], &format!("{shm}{node}"), unknown())[0];
        assert_eq!((part.outcome, part.why.as_str()), (Outcome::Approximated, "because; it cannot open sda1"));
        assert_eq!(settled(&["DEVNODES"], shm, unknown())[0].outcome, Outcome::Ignored);
        let refused = vec![Finding::warning("capability-refused", "no").subject("sys_module")];
        let capability = &settled(&["CAPABILITY"], "", refused)[0];
        assert_eq!(
            (capability.outcome, capability.why.as_str()),
            (Outcome::Approximated, "because; not given: sys_module")
        );
    }
}
