//! What this host offers.

use super::{Lxc, commands};
use crate::error::{Doing, Error, Result};
use crate::host::Command;
use crate::model::target::{CgroupMode, LxcVersion, Target};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Where distributions and LXC's own `make install` put the shared configuration.
const COMMON_CONF: [&str; 2] = ["/usr/share/lxc/config/common.conf", "/usr/local/share/lxc/config/common.conf"];
/// Lists `$1/*/$2`, each followed by a zero byte. Not `find -L`, which calls the links in /sys/class/net loops and fails.
pub(super) const LISTING: &str = r#"for f in "$1"/*/"$2"; do if [ -e "$f" ]; then printf '%s\0' "$f"; fi; done"#;
/// What the kernel's small files are read with.
const SMALL: u64 = 1 << 20;

impl Lxc {
    /// Looks at this host; changes nothing. A host without LXC is described too: its `lxc` is `None`.
    pub fn inspect(&self) -> Result<Target> {
        let mounts = self.small("/proc/mounts")?;
        let cgroup = cgroup_mode(&mounts);
        let containers = self.containers()?;
        let taken = self.taken(&containers);
        let mut host_ifnames = self.directories_with("/sys/class/net".as_ref(), "ifindex")?;
        host_ifnames.extend(taken.ifnames);
        let common_conf = self.common_conf()?;
        Ok(Target {
            lxc: self.version()?,
            cgroup,
            bridges: self.bridges()?,
            cpus: cpu_count(&self.small("/sys/devices/system/cpu/online")?)?,
            swap_accounting: cgroup == CgroupMode::V2 || self.counts_swap(&mounts)?,
            pids: self.counts_processes(cgroup, &mounts)?,
            apparmor: self.small("/sys/module/apparmor/parameters/enabled")?.trim() == "Y",
            vsyscall_none: self.small("/proc/cmdline")?.split_whitespace().any(|word| word == "vsyscall=none"),
            hostname: self.small("/proc/sys/kernel/hostname")?.trim().to_owned(),
            arch: self.run_ok(&Command::read("uname").arg("-m"))?.text().trim().to_owned(),
            numa_nodes: numa_nodes(&self.small("/sys/devices/system/node/online")?),
            kernel: kernel(&self.small("/proc/sys/kernel/osrelease")?)?,
            userns_conf: self.userns_conf(common_conf.as_deref())?,
            uplink: self.uplink()?,
            forwarding: self.forwarding()?,
            closed_dirs: self.closed_dirs(&self.path)?,
            id_ranges: taken.ranges,
            host_ifnames,
            containers,
            common_conf,
        })
    }

    fn version(&self) -> Result<Option<LxcVersion>> {
        if self.host.run(&commands::has("lxc-start"))?.status != 0 {
            return Ok(None);
        }
        let output =
            self.run_ok(&Command::read("lxc-start").arg("--version")).doing(|| "asking LXC for its version")?;
        match LxcVersion::parse(&output.text()) {
            Some(version) => Ok(Some(version)),
            None => Err(Error::new(format!("lxc-start --version says \"{}\"", output.text().trim().escape_debug()))),
        }
    }

    fn bridges(&self) -> Result<Vec<String>> {
        self.directories_with("/sys/class/net".as_ref(), "bridge")
    }

    /// A container is a directory with a configuration, running or not.
    pub(super) fn containers(&self) -> Result<Vec<String>> {
        self.directories_with(&self.path, "config").doing(|| format!("listing {}", self.path.display()))
    }

    /// Returns the names of the directories in `dir` that hold an entry called `name`, links followed, sorted. A missing
    /// directory has none.
    fn directories_with(&self, dir: &Path, name: &str) -> Result<Vec<String>> {
        let output = self.run_ok(&Command::read("sh").args(["-c", LISTING, "sh"]).arg(dir).arg(name))?;
        let names: BTreeSet<String> = output
            .stdout
            .split(|b| *b == 0)
            .filter_map(|path| Path::new(OsStr::from_bytes(path)).parent()?.file_name()?.to_str().map(str::to_owned))
            .collect();
        Ok(names.into_iter().collect())
    }

    fn counts_swap(&self, mounts: &str) -> Result<bool> {
        let Some(memory) = hierarchy(mounts, "memory") else { return Ok(false) };
        Ok(self.host.read_file(&memory.join("memory.memsw.limit_in_bytes"), SMALL)?.is_some())
    }

    fn counts_processes(&self, cgroup: CgroupMode, mounts: &str) -> Result<bool> {
        if cgroup != CgroupMode::V2 {
            return Ok(hierarchy(mounts, "pids").is_some()); // one that nobody mounted takes no limit either
        }
        let controllers = self.small("/sys/fs/cgroup/cgroup.controllers")?;
        Ok(controllers.split_whitespace().any(|controller| controller == "pids"))
    }

    fn common_conf(&self) -> Result<Option<String>> {
        for path in COMMON_CONF {
            if self.host.read_file(Path::new(path), SMALL)?.is_some() {
                return Ok(Some(path.to_owned()));
            }
        }
        Ok(None)
    }

    fn userns_conf(&self, common: Option<&str>) -> Result<Option<String>> {
        let Some(path) = common.map(|c| Path::new(c).with_file_name("userns.conf")) else { return Ok(None) };
        Ok(self.host.read_file(&path, SMALL)?.map(|_| path.display().to_string()))
    }

    /// Reads a small file; one that is missing is empty.
    pub(super) fn small(&self, path: &str) -> Result<String> {
        let bytes = self.host.read_file(Path::new(path), SMALL)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// Type, mount point and options of each line of /proc/mounts.
fn mount_lines(mounts: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let point = fields.next()?;
        Some((fields.next()?, point, fields.next()?))
    })
}

/// Pure version 2 is a cgroup2 on /sys/fs/cgroup itself. In a hybrid mount it is below, without controllers.
fn cgroup_mode(mounts: &str) -> CgroupMode {
    // The last mount on a point hides those before it.
    let top = mount_lines(mounts).filter(|(_, point, _)| *point == "/sys/fs/cgroup").last();
    if top.is_some_and(|(kind, _, _)| kind == "cgroup2") { CgroupMode::V2 } else { CgroupMode::V1 }
}

/// Where the hierarchy of version 1 with this controller is mounted.
fn hierarchy(mounts: &str, controller: &str) -> Option<PathBuf> {
    let controls = |options: &str| options.split(',').any(|o| o == controller);
    mount_lines(mounts)
        .find(|(kind, _, options)| *kind == "cgroup" && controls(options))
        .map(|(_, point, _)| point.into())
}

/// Counts a list like `0-3,6`.
fn cpu_count(list: &str) -> Result<u32> {
    let count = |range: &str| {
        let (from, to) = range.split_once('-').unwrap_or((range, range));
        let (from, to): (u32, u32) = (from.parse().ok()?, to.parse().ok()?);
        to.checked_sub(from)?.checked_add(1)
    };
    let wrong = || Error::new(format!("the list of online CPUs is \"{}\"", list.trim().escape_debug()));
    list.trim().split(',').try_fold(0u32, |sum, range| sum.checked_add(count(range)?)).ok_or_else(wrong)
}

/// A kernel without NUMA has no list, and one node.
fn numa_nodes(list: &str) -> u32 {
    cpu_count(list).unwrap_or(1).max(1)
}

/// Reads `6.1.0-18-amd64`, `5.14`.
fn kernel(release: &str) -> Result<(u32, u32)> {
    let mut parts = release.trim().split(|c: char| !c.is_ascii_digit()).map(str::parse);
    match (parts.next(), parts.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => Ok((major, minor)),
        _ => Err(Error::new(format!("the kernel's release is \"{}\"", release.trim().escape_debug()))),
    }
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn control_groups_by_what_is_mounted() {
        let hybrid = "tmpfs /sys/fs/cgroup tmpfs rw 0 0\ncgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\n\
                      cgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(cgroup_mode(hybrid), CgroupMode::V1);
        assert_eq!(hierarchy(hybrid, "memory"), Some("/sys/fs/cgroup/memory".into()));
        let pure = "sysfs /sys sysfs rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        assert_eq!(cgroup_mode(pure), CgroupMode::V2);
        assert_eq!(hierarchy(pure, "memory"), None);
        let over = format!("{pure}{hybrid}");
        assert_eq!(cgroup_mode(&over), CgroupMode::V1);
        assert_eq!(cgroup_mode(""), CgroupMode::V1);
    }

    #[test]
    fn numa_nodes_and_kernel() {
        assert_eq!((numa_nodes("0\n"), numa_nodes("0-1\n"), numa_nodes(""), numa_nodes("x")), (1, 2, 1, 1));
        assert_eq!(kernel("6.1.0-18-amd64\n").unwrap(), (6, 1));
        assert_eq!(kernel("5.14").unwrap(), (5, 14));
        for bad in ["", "linux", "6", "6.x"] {
            assert!(kernel(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn online_cpus() {
        assert_eq!(cpu_count("0-1\n").unwrap(), 2);
        assert_eq!(cpu_count("0,2-5,9\n").unwrap(), 6);
        assert!(cpu_count("").is_err());
        assert!(cpu_count("3-1").is_err());
    }
}
