//! Reading a file on the other side with one command that CentOS 5 has.

use super::Host;
use super::command::Command;
use crate::error::{Error, Result};
use std::path::Path;
use std::time::Duration;

/// Exit statuses of the script: no regular file; not there, or not to be looked at, which `ls` then said.
const NOT_REGULAR: i32 = 91;
const NOT_THERE: i32 = 92;

const SCRIPT: &str = r#"if [ -f "$1" ]; then exec head -c "$2" <"$1"; fi
if [ -e "$1" ]; then exit 91; fi
ls -ldL -- "$1" >/dev/null; exit 92"#;

/// See [`Host::read_file`]. A file that turns into a FIFO between the test and the reading costs a minute, no more.
pub(super) fn read(host: &dyn Host, path: &Path, limit: u64) -> Result<Option<Vec<u8>>> {
    let most = limit.saturating_add(1).min(super::STDOUT_LIMIT);
    let command = Command::read("sh").args(["-c", SCRIPT, "sh"]).arg(path).arg(most.to_string());
    let doing = || format!("reading {} on {}", path.display().to_string().escape_debug(), host.label());
    let output = host.run(&command.timeout(Duration::from_secs(60)))?;
    let fail = |why: String| Err(Error::new(doing()).because(Error::new(why)));
    match output.status {
        0 if output.stdout.len() as u64 > limit => fail(format!("larger than {limit} bytes")),
        0 => Ok(Some(output.stdout)),
        NOT_REGULAR => fail("not a regular file".to_owned()),
        NOT_THERE => {
            let said = output.stderr_tail();
            let absent = said.ends_with("No such file or directory") || said.ends_with("Not a directory");
            if absent { Ok(None) } else { fail(said) }
        }
        status => fail(format!("status {status}: {}", output.stderr_tail())),
    }
}
