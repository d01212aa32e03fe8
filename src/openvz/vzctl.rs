//! What vzctl says: its status line and its exit codes.

use super::grammar::shown;
use crate::error::{Error, Result};
use crate::host::Output;
use crate::model::container::Status;
use crate::model::ctid::Ctid;

/// What the status line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Said {
    /// The configuration and the private area both exist.
    pub(super) exists: bool,
    pub(super) status: Status,
}

/// Reads `CTID 101 exist mounted running` (Virtuozzo: `VEID UUID …`); warnings may stand before it
/// (vzctl 4.11 src/vzctl-actions.c:1505).
pub(super) fn status_line(output: &Output, ctid: &Ctid) -> Result<Said> {
    let text = output.text();
    text.lines().rev().find_map(|line| said(line, ctid)).ok_or_else(|| {
        let line = text.lines().last().unwrap_or_default();
        Error::new(format!("vzctl did not say the status of container {ctid}, but \"{}\"", shown(line.as_bytes())))
    })
}

fn said(line: &str, ctid: &Ctid) -> Option<Said> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [first, id, exists, mounted, run, rest @ ..] = &words[..] else { return None };
    if !matches!(*first, "CTID" | "VEID") || Ctid::parse(id).ok().as_ref() != Some(ctid) {
        return None;
    }
    let exists = match *exists {
        "exist" => true,
        "deleted" => false,
        _ => return None,
    };
    let suspended = |word: &str| matches!(word, "suspended" | "paused");
    let status = match (*run, *mounted) {
        ("down", _) if rest.iter().any(|w| suspended(w)) => Status::Suspended,
        (word, _) if suspended(word) => Status::Suspended,
        ("running", _) => Status::Running,
        ("down", "mounted") => Status::Mounted,
        ("down", "unmounted") => Status::Stopped,
        _ => return None,
    };
    Some(Said { exists, status })
}

/// Explains an exit code of vzctl (include/vzerror.h): what it means, and what to do.
pub(super) fn explain(code: i32) -> Option<(&'static str, &'static str)> {
    Some(match code {
        5 => ("the node does not run an OpenVZ kernel", "boot the OpenVZ kernel and start the vz service"),
        9 => {
            ("the container is locked by another vzctl", "wait for it to end, then try again; vzctl status shows more")
        }
        10 => ("there is no vz.conf", "check that OpenVZ is installed on the node"),
        14 => ("the container has no configuration", "ovz2lxc inventory lists the containers of the node"),
        20 => ("vzctl does not know these options", "check the version of vzctl on the node"),
        21 => ("vzctl does not take a value", "check the container's configuration with vzctl on the node"),
        31 => ("the container does not run", "start it with vzctl start"),
        32 => ("the container runs", "stop it with vzctl stop"),
        40 => ("the container is not mounted", "mount it with vzctl mount"),
        41 => ("the container's file system is busy", "look for processes of the node in it: fuser -m"),
        43 => ("the private area does not exist", "check VE_PRIVATE in the container's configuration"),
        79 => ("an action script failed", "run the script by hand on the node"),
        99 => ("the node's kernel cannot do ploop", "load the ploop modules on the node"),
        105 => ("starting the container is disabled", "vzctl set CTID --disabled no --save lets it start again"),
        _ => return None,
    })
}

/// Fails unless vzctl exited with 0; says what its exit code means.
pub(super) fn ok(output: &Output, doing: &str) -> Result<()> {
    if output.status == 0 {
        return Ok(());
    }
    let mut cause = match explain(output.status) {
        Some((meaning, hint)) => Error::new(format!("vzctl exit code {}: {meaning}", output.status)).hint(hint),
        None => Error::new(format!("vzctl exit code {}", output.status)),
    };
    let heard = output.stderr_tail();
    let heard =
        if heard.is_empty() { shown(output.text().lines().last().unwrap_or_default().as_bytes()) } else { heard };
    if !heard.is_empty() {
        cause = cause.because(Error::new(heard));
    }
    Err(Error::new(doing.to_owned()).because(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str, ctid: &str) -> Result<Said> {
        let output = Output { stdout: text.as_bytes().to_vec(), ..Output::default() };
        status_line(&output, &Ctid::parse(ctid).unwrap())
    }

    #[test]
    fn both_first_words_and_every_state() {
        let uuid = "5fbaabe3-6958-40ff-92a7-860e329aab41";
        for (line, ctid, exists, status) in [
            ("CTID 101 exist mounted running\n", "101", true, Status::Running),
            ("CTID 101 exist unmounted down\n", "101", true, Status::Stopped),
            ("CTID 101 exist mounted down\n", "101", true, Status::Mounted),
            ("CTID 101 exist unmounted down suspended\n", "101", true, Status::Suspended),
            ("CTID 101 deleted unmounted down\n", "101", false, Status::Stopped),
            ("Warning: CTID is odd\nCTID 101 exist mounted running\n", "101", true, Status::Running),
            ("VEID 5fbaabe3-6958-40ff-92a7-860e329aab41 exist mounted running\n", uuid, true, Status::Running),
            ("VEID {5FBAABE3-6958-40ff-92a7-860e329aab41} exist mounted paused\n", uuid, true, Status::Suspended),
            ("VEID 5fbaabe3-6958-40ff-92a7-860e329aab41 exist unmounted suspended\n", uuid, true, Status::Suspended),
        ] {
            assert_eq!(read(line, ctid).unwrap(), Said { exists, status }, "{line}");
        }
        for bad in ["", "CTID 102 exist mounted running\n", "CTID 101 exist\n", "CTID 101 exist mounted flying\n"] {
            assert!(read(bad, "101").is_err(), "{bad}");
        }
    }

    #[test]
    fn exit_codes_are_explained() {
        let output = Output { status: 9, stderr: b"Container already locked\n".to_vec(), ..Output::default() };
        let error = ok(&output, "stopping container 101").unwrap_err();
        assert_eq!(error.chain()[0], "stopping container 101");
        assert!(error.chain()[1].contains("locked") && error.first_hint().unwrap().contains("wait"));
        assert_eq!(error.chain()[2], "Container already locked");
        let strange = ok(&Output { status: 200, ..Output::default() }, "x").unwrap_err();
        assert_eq!(strange.chain(), ["x", "vzctl exit code 200"]);
    }
}
