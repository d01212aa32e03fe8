//! What the programs on a source can do.

use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
/// Without one of these a tree would arrive damaged, or names with a backslash not at all.
const NEEDED: [&str; 9] = [
    "--format",
    "--no-recursion",
    "--no-unquote",
    "--null",
    "--numeric-owner",
    "--one-file-system",
    "--pax-option",
    "--sparse",
    "--xattrs",
];

/// What the source's tar can do beyond what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tar {
    /// Writes ACLs as text; newer versions write them as attributes as well.
    pub(super) acls: bool,
    /// Writes SELinux labels as records of their own, and the source's kernel has SELinux: asking every file for its label
    /// costs a system call. Without SELinux a label is an attribute like others, and comes with them.
    pub(super) selinux: bool,
}

/// How the source lists a tree with all attributes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lister {
    /// `find -printf`, GNU's.
    Printf,
    /// `find -print0` and `stat -c`, as BusyBox has them: times of whole seconds.
    Stat,
}

/// The programs of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Userland {
    /// How a tree is listed.
    pub(super) lister: Lister,
    /// GNU tar with all that is needed; otherwise why the tar there is a lesser one, whose members get their attributes
    /// from the index.
    pub(super) tar: Result<Tar, String>,
    /// Processors; 1 when the source does not say.
    pub(super) cores: u32,
    programs: BTreeSet<String>,
}

impl Userland {
    /// Tells whether one of [`PROGRAMS`] is installed.
    pub(super) fn has(&self, program: &str) -> bool {
        self.programs.contains(program)
    }
}

/// What is looked for by name alone.
const PROGRAMS: [&str; 9] = ["getfattr", "gzip", "ionice", "lz4", "nice", "perl", "rsync", "xargs", "zstd"];

/// Asks for everything at once: every command costs a login shell, and that more than what it does. Old versions of find
/// and others than GNU's show whether they print what is needed.
const SCRIPT: &str = r#"for p in find tar; do echo "=version $p"; $p --version </dev/null 2>&1; echo "=status $p"; echo $?; done
echo =help; tar --help </dev/null 2>&1
case "$(find --version </dev/null 2>&1)" in
*'GNU findutils'*' 4.'[012]*|*'version 4.'[012]*) old=1;; *'GNU findutils'*) old=;; *) old=1;;
esac
echo =printf; [ -z "$old" ] || find / -maxdepth 0 -printf '%y %m %U %G %s %b %T@ %C@ %n %i\n' 2>&1
echo =stat; [ -z "$old" ] || stat -c '%f %u %g %s %b %Y %Z %h %i' / 2>&1
echo =xargs; printf 'a b\0' | xargs -0 echo x 2>&1
echo =programs; for p; do command -v "$p" >/dev/null 2>&1 && echo "$p"; done
echo =cores; grep -c '^processor' /proc/cpuinfo 2>/dev/null
echo =selinux; { [ -d /sys/fs/selinux ] || [ -e /selinux/enforce ]; } && echo yes
echo =end
"#;

/// Looks at what the programs of the source can do. An error says what they lack for the stream engine.
pub(super) fn stream(source: &dyn Host) -> Result<Userland> {
    let command = Command::read("/bin/sh").args(["-c", SCRIPT, "sh"]).args(PROGRAMS).timeout(PATIENCE);
    source
        .run(&command)
        .and_then(|output| understand(&sections(&output.text())))
        .map_err(|e| e.hint("copy with --engine rsync"))
        .doing(|| format!("the stream engine cannot copy from {}", source.label()))
}

/// Splits what the script said at the lines that begin with `=`.
fn sections(text: &str) -> BTreeMap<String, String> {
    let mut sections: BTreeMap<String, String> = BTreeMap::new();
    let mut name = "";
    for line in text.lines() {
        match line.strip_prefix('=') {
            Some(next) => name = next,
            None => {
                let section = sections.entry(name.to_owned()).or_default();
                section.push_str(line);
                section.push('\n');
            }
        }
    }
    sections
}

fn understand(said: &BTreeMap<String, String>) -> Result<Userland> {
    let section = |name: &str| said.get(name).map_or("", |text| text.trim_end());
    let xargs = section("xargs") == "x a b";
    let tar_says = section("version tar");
    let help = section("help");
    let knows = |option: &str| {
        let end = |rest: &str| !rest.starts_with(|c: char| c == '-' || c.is_ascii_alphanumeric());
        help.match_indices(option).any(|(i, _)| end(&help[i + option.len()..]))
    };
    let missing: Vec<&str> = NEEDED.into_iter().filter(|option| !knows(option)).collect();
    let tar = if !tar_says.contains("GNU tar") {
        Err("its tar is not GNU tar".to_owned())
    } else if !missing.is_empty() {
        let version = tar_says.lines().next().unwrap_or_default();
        Err(format!("its {version} does not know {}", missing.join(", ")))
    } else {
        Ok(Tar { acls: knows("--acls"), selinux: knows("--selinux") && section("selinux") == "yes" })
    };
    if let Err(why) = &tar {
        // Not there at all, or nothing to give it names with.
        if ["126", "127"].contains(&section("status tar")) {
            return Err(Error::new("it has no working tar").because(Error::new(cleaned(tar_says))));
        }
        if !(xargs && knows("--no-recursion")) {
            return Err(Error::new(why.clone()));
        }
    }
    let find_says = section("version find");
    let number = |text: &str| text.parse::<f64>().is_ok();
    let is_directory = |line: &str, first: &str, count: usize| {
        let words: Vec<&str> = line.split(' ').collect();
        words.len() == count && words[0].starts_with(first) && words[1..].iter().all(|word| number(word))
    };
    let printf = section("printf");
    let lister = if is_directory(printf, "d", 10) || (printf.is_empty() && find_says.contains("GNU findutils")) {
        Lister::Printf
    } else if xargs && is_directory(section("stat"), "4", 9) {
        Lister::Stat
    } else if section("status find") == "127" {
        return Err(Error::new("it has no working find").because(Error::new(cleaned(find_says))));
    } else {
        return Err(Error::new("its find does not print the attributes of entries, nor does its stat with xargs -0"));
    };
    let cores = section("cores").parse().unwrap_or(1).max(1);
    let programs = section("programs").lines().map(str::to_owned).collect();
    Ok(Userland { lister, tar, cores, programs })
}

fn cleaned(text: &str) -> String {
    Output { stderr: text.as_bytes().to_vec(), ..Output::default() }.stderr_tail()
}

fn ask(source: &dyn Host, program: &str, option: &str) -> Result<String> {
    let command = Command::read(program).arg(option).timeout(PATIENCE);
    let output = source.run(&command).map_err(|e| Error::new(format!("its {program} cannot be run")).because(e))?;
    if output.status != 0 {
        let error = Error::new(format!("it has no working {program}"));
        return Err(if output.stderr.is_empty() { error } else { error.because(Error::new(output.stderr_tail())) });
    }
    Ok(output.text())
}

/// Looks for rsync on a host and returns its version.
pub(super) fn rsync(host: &dyn Host) -> Result<(u32, u32, u32)> {
    let text = ask(host, "rsync", "--version")
        .map_err(|e| e.hint(format!("install rsync on {}, or copy with --engine stream", host.label())))
        .doing(|| format!("the rsync engine needs rsync on {}", host.label()))?;
    rsync_version(&text).ok_or_else(|| Error::new(format!("the rsync of {} does not say its version", host.label())))
}

fn rsync_version(text: &str) -> Option<(u32, u32, u32)> {
    let version = text.split_once("version ")?.1;
    let version = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit() && c != '.').next()?;
    let mut parts = version.split('.').map(|p| p.parse().ok());
    Some((parts.next()??, parts.next()??, parts.next().flatten().unwrap_or(0)))
}

/// Returns the source's clock in seconds since 1970: change times are by this clock, not by ours.
pub(super) fn clock(source: &dyn Host) -> Result<i64> {
    let command = Command::read("date").arg("+%s").timeout(PATIENCE);
    let text = source.run_ok(&command)?.text();
    text.trim().parse().map_err(|_| Error::new(format!("the clock of {} says {:?}", source.label(), text.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GNU_TAR: &str = "=version tar\ntar (GNU tar) 1.34\n=status tar\n0\n=help\n --format --no-recursion --no-unquote \
        --null --numeric-owner --one-file-system --pax-option --sparse --xattrs --xattrs-include --acls\n";
    const BUSYBOX: &str = "=version find\nfind: unrecognized option: version\n=status find\n1\n=version tar\n\
        tar (busybox) 1.35.0\n=status tar\n0\n=help\nBusyBox v1.35.0\n --no-recursion\n=printf\nfind: unrecognized: \
        -printf\n=stat\n41ed 0 0 4096 8 1795425602 1795425602 18 2\n=xargs\nx a b\n=programs\ngzip\n=cores\n0\n=end\n";

    fn userland(text: &str) -> Result<Userland> {
        understand(&sections(text))
    }

    #[test]
    fn what_the_script_says_is_understood() {
        let find = "=version find\nfind (GNU findutils) 4.9.0\n=status find\n0\n=printf\n";
        let rest = "=stat\n=xargs\nx a b\n=programs\ngzip\nrsync\n=cores\n8\n=end\n";
        let modern = userland(&format!("{find}{GNU_TAR}{rest}")).unwrap();
        assert_eq!((modern.lister, modern.cores), (Lister::Printf, 8));
        assert_eq!(modern.tar, Ok(Tar { acls: true, selinux: false }));
        assert!(modern.has("rsync") && !modern.has("zstd"));
        let labels = |kernel: &str| {
            let tar = GNU_TAR.replace("--acls\n", "--acls --selinux\n");
            userland(&format!("{find}{tar}{}", rest.replace("=end", kernel))).unwrap().tar.unwrap().selinux
        };
        assert!(labels("=selinux\nyes\n=end") && !labels("=selinux\n=end") && !labels("=end"));
        let old = "=version find\nGNU find version 4.2.27\n=status find\n0\n=printf\nd 755 0 0 4096 8 179 179 18 2\n";
        assert_eq!(userland(&format!("{old}{GNU_TAR}{rest}")).unwrap().lister, Lister::Printf);
        let without = old.replace("755 0 0", "755 %U %G");
        assert!(userland(&format!("{without}{GNU_TAR}{rest}")).is_err());
        let busybox = userland(BUSYBOX).unwrap();
        assert_eq!((busybox.lister, busybox.cores), (Lister::Stat, 1));
        assert_eq!(busybox.tar.unwrap_err(), "its tar is not GNU tar");
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = |from: &str, to: &str| userland(&BUSYBOX.replace(from, to)).unwrap_err().chain().join(": ");
        assert_eq!(error("--no-recursion", "--no-re"), "its tar is not GNU tar");
        assert_eq!(error("x a b", "xargs: -0?"), "its tar is not GNU tar");
        assert!(error("41ed", "stat: no such option -c").starts_with("its find does not print"));
        assert!(error("=status tar\n0", "=status tar\n127").starts_with("it has no working tar: "));
    }

    #[test]
    fn this_machine_is_understood() {
        let here = stream(&crate::host::Local::new()).unwrap();
        assert!(here.tar.is_ok() && here.has("xargs"), "{here:?}");
        let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap();
        let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
        assert_eq!(here.cores as usize, cores.max(1));
        assert_eq!(here.lister, Lister::Printf);
        let selinux = ["/sys/fs/selinux", "/selinux/enforce"].iter().any(|path| std::path::Path::new(path).exists());
        assert_eq!(here.tar.unwrap().selinux, selinux);
    }

    #[test]
    fn versions_of_rsync_are_understood() {
        assert_eq!(rsync_version("rsync  version 3.0.6  protocol version 30\n"), Some((3, 0, 6)));
        assert_eq!(rsync_version("rsync  version v3.2.7pre1  protocol version 31\n"), Some((3, 2, 7)));
        assert_eq!(rsync_version("openrsync: protocol"), None);
    }
}
