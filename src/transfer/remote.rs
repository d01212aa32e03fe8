//! What runs on the source: one `tar`, with the priority and the compression that are asked for.

use super::probe::Tar;
use super::{Job, Pass};
use crate::host::Command;
use crate::model::settings::Compress;
use std::ffi::OsString;
use std::path::Path;

/// Before a program that must not be in anybody's way: makes it the arguments. `ionice` is tried out: where it is not allowed
/// it runs nothing.
const GENTLY: &str = "ionice -c3 true >/dev/null 2>&1 && set -- ionice -c3 \"$@\"\n\
    command -v nice >/dev/null 2>&1 && set -- nice -n 19 \"$@\"\n";

/// Runs the program that the arguments are through a compressor. Its status is the one that counts, unless the compressor
/// fails; a shell of POSIX has no pipefail, so the status comes out on a descriptor of its own.
const PACKED: &str = "{ s=$( { { \"$@\" 3>&- 4>&-; echo $? >&3; } | $z >&4 3>&- 4>&-; } 3>&1 ); e=$?; } 4>&1\n\
    [ $e = 0 ] || { echo \"$z ended with status $e\" >&2; exit 125; }\n\
    exit $s\n";

/// The compressors, the best first, with what they are asked to do.
const COMPRESSORS: [(Compress, &str); 3] =
    [(Compress::Zstd, "zstd -q -1 -c"), (Compress::Lz4, "lz4 -q -1 -B5 -c"), (Compress::Gzip, "gzip -1 -c")];

/// What a script says when there is no compressor.
pub(super) const NO_COMPRESSOR: &str = "no compressor is installed";

/// Returns the lines of a script that let the program that its arguments are run gently; none where somebody waits for it.
pub(super) fn gently(job: &Job<'_>) -> &'static str {
    // At the end a customer waits for his container: nothing is slowed down then.
    if job.pass == Pass::Live && !job.tuning.full_speed { GENTLY } else { "" }
}

/// Returns the command that reads names, each ended by NUL, and sends them as an archive. `Auto` is the best compressor
/// there is.
pub(super) fn tar_command(job: &Job<'_>, tar: Tar, recursive: bool, compress: Compress) -> Command {
    let gently = gently(job);
    let mut script = String::new();
    if compress != Compress::None {
        let wanted = COMPRESSORS.iter().filter(|(kind, _)| compress == Compress::Auto || *kind == compress);
        for (_, line) in wanted {
            let program = line.split(' ').next().unwrap_or_default();
            script.push_str(&format!("[ -n \"$z\" ] || {{ command -v {program} >/dev/null 2>&1 && z='{line}'; }}\n"));
        }
        script.push_str(&format!("[ -n \"$z\" ] || {{ echo '{NO_COMPRESSOR}' >&2; exit 127; }}\n"));
    }
    script.push_str(gently);
    let tar = plain_tar(&job.tree, tar, recursive);
    if script.is_empty() {
        return tar.pipe_stdin();
    }
    script.push_str(if compress == Compress::None { "exec \"$@\"\n" } else { PACKED });
    let script = if compress == Compress::None { script } else { format!("z=\n{script}") };
    Command::read("sh").args(["-c", &script, "sh"]).args(tar.argv().iter().cloned()).pipe_stdin()
}

/// The command of a dry run.
pub(super) fn plain_tar(tree: &Path, tar: Tar, recursive: bool) -> Command {
    let mut directory = OsString::from("--directory=");
    directory.push(tree);
    let mut command = Command::read("env").args(["TAR_OPTIONS=", "tar", "--create", "--file=-", "--format=posix"]);
    command = command.args(["--pax-option=delete=atime", "--numeric-owner", "--sparse", "--xattrs"]);
    if tar.acls {
        command = command.arg("--acls");
    }
    if tar.selinux {
        command = command.arg("--selinux");
    }
    command = command.arg(if recursive { "--one-file-system" } else { "--no-recursion" });
    command.args(["--blocking-factor=128", "--no-unquote", "--null"]).arg(directory).arg("--files-from=-")
}
