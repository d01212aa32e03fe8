//! What LXC's log and the console say.

use crate::error::Error;
use crate::host::Output;
use std::path::Path;

/// Errors that stand in every failed start and say nothing.
const EMPTY_WORDS: [&str; 4] = [
    "To get more details, run the container in foreground mode",
    "Additional information can be obtained by setting",
    "The container failed to start",
    "Received container state \"ABORTING\" instead of \"RUNNING\"",
];

/// What a known error means for the operator: a part of the message, and what to do.
const HINTS: [(&str, &str); 7] = [
    ("bridge", "create the bridge on this host, or name another one with --bridge"),
    ("storage", "is the volume active, and mounted nowhere else? LXC must be able to mount it itself"),
    ("rootfs", "is the volume active, and mounted nowhere else? LXC must be able to mount it itself"),
    ("limit", "the kernel refused a limit: take the lxc.cgroup line that the log names out of the configuration"),
    (
        "Unsupported config",
        "the configuration was written for another version of LXC: set lxc_version or convert again",
    ),
    ("apparmor", "AppArmor refused the profile: see dmesg, or set lxc.apparmor.profile in the configuration"),
    ("Exec format", "the container's architecture does not run on this host"),
];

/// Makes the error of a failed start from the end of LXC's log; from what the command said when there is no log.
pub(super) fn start_error(log: &str, output: &Output, path: &Path) -> Error {
    let errors = errors(log);
    let hint = HINTS.iter().find(|(part, _)| errors.iter().any(|e| e.contains(part))).map(|(_, hint)| *hint);
    let said = match errors.as_slice() {
        [] => output.stderr_tail(),
        several => several.join("; "),
    };
    let error = Error::new(format!("lxc-start ended with status {}: {said}", output.status));
    match hint {
        Some(hint) => error.hint(format!("{hint}; the whole log is {}", path.display())),
        None => {
            error.hint(format!("the whole log is {}; lxc-start -F shows the start in the foreground", path.display()))
        }
    }
}

/// Returns the messages of the ERROR lines that say something, at most six, the first (the cause) first. A line is
/// `lxc-start NAME TIME ERROR MODULE - FILE:FUNCTION:LINE - MESSAGE`, without NAME before 2.1.
fn errors(log: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for line in log.lines() {
        let Some((_, rest)) = line.split_once(" ERROR ") else { continue };
        let message = rest.splitn(3, " - ").nth(2).unwrap_or(rest).trim();
        let plain = escaped(message);
        if !EMPTY_WORDS.iter().any(|words| message.starts_with(words)) && !found.contains(&plain) {
            found.push(plain);
        }
    }
    found.truncate(6);
    found
}

/// Returns the last `count` lines with something in them, terminal sequences and control characters made harmless.
pub(super) fn plain_lines(text: &str, count: usize) -> Vec<String> {
    let lines: Vec<String> =
        text.lines().map(|l| escaped(l.trim_end_matches('\r').trim_end())).filter(|l| !l.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(count)..].to_vec()
}

fn escaped(text: &str) -> String {
    let plain = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As LXC 5.0.2 wrote it when the bridge was missing.
    const NO_BRIDGE: &str = "\
lxc-start t1 20261123024306.927 WARN     cgfsng - ../src/lxc/cgroups/cgfsng.c:cgfsng_setup_limits:3232 - Invalid argument - Ignoring
lxc-start t1 20261123024306.937 ERROR    network - ../src/lxc/network.c:netdev_configure_server_veth:711 - No such file or directory - Failed to attach \"vethNO8C0u\" to bridge \"nobr\", bridge interface doesn't exist
lxc-start t1 20261123024306.117 ERROR    start - ../src/lxc/start.c:lxc_spawn:1840 - Failed to create the network
lxc-start t1 20261123024306.117 ERROR    lxccontainer - ../src/lxc/lxccontainer.c:wait_on_daemonized_start:878 - Received container state \"ABORTING\" instead of \"RUNNING\"
lxc-start t1 20261123024306.117 ERROR    lxc_start - ../src/lxc/tools/lxc_start.c:main:306 - The container failed to start
";

    #[test]
    fn the_cause_comes_first_and_empty_words_are_left_out() {
        let error = start_error(NO_BRIDGE, &Output { status: 1, ..Output::default() }, Path::new("/var/log/t1.log"));
        assert_eq!(
            error.to_string(),
            "lxc-start ended with status 1: No such file or directory - Failed to attach \"vethNO8C0u\" to bridge \
             \"nobr\", bridge interface doesn't exist; Failed to create the network"
        );
        assert!(error.first_hint().unwrap().starts_with("create the bridge"));
    }

    #[test]
    fn without_a_log_the_command_speaks() {
        let output = Output { status: 1, stderr: b"Failed to parse config\n".to_vec(), ..Output::default() };
        let error = start_error("", &output, Path::new("/x"));
        assert!(error.to_string().contains("Failed to parse config"));
        assert!(error.first_hint().unwrap().contains("/x"));
    }

    #[test]
    fn the_format_of_1_0_has_no_name() {
        let log = "lxc-start 1456246163.123 ERROR    lxc_conf - conf.c:instantiate_veth:2621 - failed to attach\n";
        assert_eq!(errors(log), ["failed to attach"]);
    }

    #[test]
    fn a_console_cannot_move_the_cursor() {
        assert_eq!(plain_lines("a\r\n\n\u{1b}[2Jlogin: \r\n", 9), ["a", "\\u{1b}[2Jlogin:"]);
        assert_eq!(plain_lines("1\n2\n3\n", 2), ["2", "3"]);
    }
}
