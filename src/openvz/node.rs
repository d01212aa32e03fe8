//! An OpenVZ node: opening it, its inventory, which container a word means, and their states.

use super::grammar::shown;
use super::remains::Found;
use super::values::is_name;
use super::{vzctl, vzlist};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use crate::model::container::{Origin, Status, Summary};
use crate::model::ctid::Ctid;
use crate::model::source::Remains;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Configurations are a few KiB; more than this is not one.
pub(super) const CONFIG_LIMIT: u64 = 4 << 20;

/// How long a start waits for another vzctl.
const LOCK_PATIENCE: Duration = Duration::from_secs(300);
/// How long a command that only looks may take.
pub(super) const LOOK: Duration = Duration::from_secs(60);

/// Finds the tools (an SSH session's PATH may lack the sbin directories), the configuration directory and two facts.
const PROBE: &str = r#"for p in vzctl vzlist; do
  if command -v $p >/dev/null 2>&1; then echo "$p $p"; continue; fi
  for d in /usr/sbin /sbin /usr/local/sbin; do
    if [ -x $d/$p ]; then echo "$p $d/$p"; break; fi
  done
done
for d in /etc/vz/conf /etc/sysconfig/vz-scripts; do
  if [ -d $d ]; then echo "conf $d"; break; fi
done
echo "cpus $(getconf _NPROCESSORS_ONLN 2>/dev/null)"
echo "uid $(id -u)""#;

/// An open node.
pub struct Node {
    host: Arc<dyn Host>,
    vzctl: OsString,
    vzlist: OsString,
    conf_dir: PathBuf,
    cpus: u32,
    global: Vec<u8>,
    patience: Duration,
    /// What is left of a node, when it is none any more.
    remains: Option<Remains>,
}

/// A container's own configuration file.
pub(super) struct Config {
    /// Where it is, links resolved: on RPM installs `/etc/vz/conf` is a link.
    pub(super) path: PathBuf,
    pub(super) bytes: Vec<u8>,
}

impl Node {
    /// Opens the node behind a host: finds vzctl and vzlist, reads vz.conf. Changes nothing.
    pub fn open(host: Arc<dyn Host>) -> Result<Node> {
        let label = host.label().to_owned();
        let probe = Command::read("sh").args(["-c", PROBE, "sh"]).timeout(LOOK);
        let text = host.run_ok(&probe).doing(|| format!("looking for OpenVZ on {label}"))?.text();
        let found: BTreeMap<&str, &str> = text.lines().filter_map(|line| line.split_once(' ')).collect();
        let tool = |name: &str| {
            found.get(name).map(OsString::from).ok_or_else(|| {
                Error::new(format!("{name} is not installed on {label}"))
                    .hint("name an OpenVZ node with --from HOST, as root")
            })
        };
        let (vzctl, vzlist) = (tool("vzctl")?, tool("vzlist")?);
        if found.get("uid").is_some_and(|uid| *uid != "0") {
            return Err(Error::new(format!("not root on {label}")).hint("vzctl needs root: --from root@HOST"));
        }
        let conf_dir = found.get("conf").map(PathBuf::from).ok_or_else(|| {
            Error::new(format!("there is no /etc/vz/conf on {label}")).hint("check that OpenVZ is set up on it")
        })?;
        let cpus = found.get("cpus").and_then(|n| n.trim().parse().ok()).filter(|n| *n > 0).ok_or_else(|| {
            Error::new(format!("the number of CPUs of {label} is not known")).hint("getconf _NPROCESSORS_ONLN says it")
        })?;
        let global = read_global(&*host)?;
        Ok(Node { host, vzctl, vzlist, conf_dir, cpus, global, patience: LOCK_PATIENCE, remains: None })
    }

    /// Opens what is left of a node: the disk of a dead one, a plain directory, an archive. There is no vzctl, and nothing is
    /// ever written to it.
    pub(super) fn of_remains(host: Arc<dyn Host>, remains: Remains, found: Found) -> Node {
        let Found { conf_dir, cpus, global } = found;
        let (vzctl, vzlist) = (OsString::new(), OsString::new());
        Node { host, vzctl, vzlist, conf_dir, cpus, global, patience: LOCK_PATIENCE, remains: Some(remains) }
    }

    /// Opens the same again over another connection to its host.
    pub fn again(&self, host: Arc<dyn Host>) -> Result<Node> {
        match &self.remains {
            Some(remains) => Node::open_remains(host, remains.clone()),
            None => Node::open(host),
        }
    }

    /// Tells what containers are read from here.
    pub fn origin(&self) -> Origin {
        match &self.remains {
            None => Origin::Node,
            Some(remains) if remains.vzdump.is_some() => Origin::Archive,
            Some(_) => Origin::Disk,
        }
    }

    pub(super) fn remains(&self) -> Option<&Remains> {
        self.remains.as_ref()
    }

    /// A name for the migrations from here: two disks on one host are two sources.
    pub fn label(&self) -> String {
        let place = self
            .remains
            .as_ref()
            .and_then(|r| [&r.vz_root, &r.private, &r.vzdump].into_iter().find_map(Option::as_ref));
        match place {
            Some(place) => format!("{}:{}", self.host.label(), shown(place.as_os_str().as_bytes())),
            None => self.host.label().to_owned(),
        }
    }

    /// Waits this long for another vzctl to let go of a container; otherwise 300 s, the 120 s of a stop and the kill and
    /// umount after it with room to spare.
    #[must_use]
    pub fn lock_patience(mut self, patience: Duration) -> Node {
        self.patience = patience;
        self
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns the host.
    pub fn host(&self) -> &Arc<dyn Host> {
        &self.host
    }

    /// Returns the number of online CPUs, for `CPULIMIT=N%`.
    pub fn cpus(&self) -> u32 {
        self.cpus
    }

    /// Returns the global configuration as it was when the node was opened.
    pub fn global_config(&self) -> &[u8] {
        &self.global
    }

    pub(super) fn conf_dir(&self) -> &Path {
        &self.conf_dir
    }

    pub(super) fn vzctl_read(&self, action: &str, ctid: &Ctid) -> Command {
        Command::read(&self.vzctl).arg(action).arg(ctid.as_str()).timeout(LOOK)
    }

    pub(super) fn vzctl_write(&self, action: &str, ctid: &Ctid) -> Command {
        Command::write(&self.vzctl).arg(action).arg(ctid.as_str())
    }

    pub(super) fn vzlist(&self, args: &[&str]) -> Command {
        Command::read(&self.vzlist).args(args).timeout(LOOK)
    }

    /// Lists the containers of the node, running or not, in the order of vzlist.
    pub fn list(&self) -> Result<Vec<Summary>> {
        let doing = || format!("listing the containers of {}", self.label());
        if let Some(remains) = &self.remains {
            return self.list_remains(remains).doing(doing);
        }
        let command = self.vzlist(&["-a", "-j"]);
        let output = self.host.run(&command).doing(doing)?;
        if let Some(list) = vzlist::json(&output.stdout) {
            return Ok(list);
        }
        let mut columns = BTreeMap::new();
        for field in vzlist::FIELDS {
            let command = self.vzlist(&["-a", "-H", "-t", "-o", &format!("ctid,{field}")]);
            let output = self.host.run_ok(&command).doing(doing)?;
            columns.insert(*field, vzlist::column(&output.stdout));
        }
        vzlist::from_columns(&columns).doing(doing)
    }

    /// Finds the container that a number, a NAME or a UUID means. A NAME counts when `/etc/vz/names` links it to a
    /// configuration that says the same name (vzctl 4.11 src/lib/config.c:2889, src/vzctl.c:333).
    pub fn resolve(&self, selector: &str) -> Result<Ctid> {
        if let Some(remains) = &self.remains {
            return self.resolve_in(remains, selector)?.ok_or_else(|| self.unknown(selector));
        }
        let number = !selector.is_empty() && selector.bytes().all(|b| b.is_ascii_digit());
        let ctid = match Ctid::parse(selector) {
            Ok(ctid) => ctid,
            Err(error) if number => return Err(error),
            Err(_) => self.by_name(selector)?.ok_or_else(|| self.unknown(selector))?,
        };
        if self.read_config(&ctid)?.is_none() {
            return Err(self.unknown(selector));
        }
        Ok(ctid)
    }

    fn by_name(&self, name: &str) -> Result<Option<Ctid>> {
        if !is_name(name.as_bytes()) || matches!(name, "." | "..") {
            return Ok(None);
        }
        let link = Path::new("/etc/vz/names").join(name);
        let command = Command::read("readlink").arg("--").arg(&link).timeout(LOOK);
        let output = self.host.run(&command).doing(|| format!("looking for container \"{name}\""))?;
        let Some(target) = path_line(&output) else { return Ok(None) };
        let Some(ctid) = ctid_of(&target) else { return Ok(None) };
        let Some(bytes) = self.read_config(&ctid)? else { return Ok(None) };
        let context = super::ParseContext::default();
        let said = super::parse(&ctid, None, &bytes, &context)?.name;
        Ok(if said.as_deref() == Some(name) { Some(ctid) } else { None })
    }

    pub(super) fn unknown(&self, selector: &str) -> Error {
        let label = self.host.label();
        Error::new(format!("container {} does not exist on {}", shown(selector.as_bytes()), self.label()))
            .hint(format!("ovz2lxc inventory --from {label} lists the containers there"))
    }

    fn read_config(&self, ctid: &Ctid) -> Result<Option<Vec<u8>>> {
        self.host.read_file(&self.conf_dir.join(format!("{ctid}.conf")), CONFIG_LIMIT)
    }

    /// Reads a container's configuration file and finds out where it really is.
    pub(super) fn config(&self, ctid: &Ctid) -> Result<Config> {
        if let Some(remains) = &self.remains {
            return self.config_in(remains, ctid)?.ok_or_else(|| self.unknown(ctid.as_str()));
        }
        let bytes = self.read_config(ctid)?.ok_or_else(|| self.unknown(ctid.as_str()))?;
        let path = self.real_path(&self.conf_dir.join(format!("{ctid}.conf")))?;
        Ok(Config { path, bytes })
    }

    /// Resolves the links of a path on the node.
    pub(super) fn real_path(&self, path: &Path) -> Result<PathBuf> {
        if let Some(remains) = &self.remains {
            return self.real_path_in(remains, path);
        }
        let command = Command::read("readlink").args(["-f", "--"]).arg(path).timeout(LOOK);
        let output = self.host.run_ok(&command)?;
        path_line(&output).filter(|path| path.is_absolute()).ok_or_else(|| {
            Error::new(format!("resolving {} on {}", shown(path.as_os_str().as_bytes()), self.host.label()))
        })
    }

    /// The command behind [`Node::status`].
    pub fn status_command(&self, ctid: &Ctid) -> Command {
        self.vzctl_read("status", ctid)
    }

    /// Returns a container's status; an error when it has no configuration or no private area.
    pub fn status(&self, ctid: &Ctid) -> Result<Status> {
        if self.remains.is_some() {
            return Ok(Status::Stopped); // nothing runs on a disk; what is missing there is found by who reads it
        }
        let output = self.host.run(&self.status_command(ctid))?;
        let doing = || format!("asking for the status of container {ctid} on {}", self.host.label());
        vzctl::ok(&output, &doing())?;
        let said = vzctl::status_line(&output, ctid).doing(doing)?;
        if !said.exists {
            return Err(Error::new(format!("container {ctid} is incomplete on {}", self.host.label()))
                .because(Error::new("vzctl status says \"deleted\": its configuration or its private area is missing"))
                .hint("check VE_PRIVATE in its configuration, and that the file system below it is mounted"));
        }
        Ok(said.status)
    }
}

/// Returns the single path that a command printed.
pub(super) fn path_line(output: &Output) -> Option<PathBuf> {
    let line = output.stdout.strip_suffix(b"\n").unwrap_or(&output.stdout);
    if output.status != 0 || line.is_empty() { None } else { Some(PathBuf::from(OsString::from_vec(line.to_vec()))) }
}

/// `…/CTID.conf`, or `…/UUID/ve.conf` where Virtuozzo keeps the file in the private area.
pub(super) fn ctid_of(target: &Path) -> Option<Ctid> {
    let name = target.file_name()?;
    let stem = if name == OsStr::new("ve.conf") {
        target.parent()?.file_name()?
    } else {
        OsStr::from_bytes(name.as_bytes().strip_suffix(b".conf")?)
    };
    Ctid::parse(stem.to_str()?).ok()
}

fn read_global(host: &dyn Host) -> Result<Vec<u8>> {
    for path in ["/etc/vz/vz.conf", "/etc/sysconfig/vz"] {
        if let Some(bytes) = host.read_file(Path::new(path), CONFIG_LIMIT)? {
            return Ok(bytes);
        }
    }
    Err(Error::new(format!("there is no /etc/vz/vz.conf on {}", host.label()))
        .hint("check that OpenVZ is set up on it: vzctl does not work without that file"))
}

#[cfg(test)]
#[path = "node_tests.rs"]
mod tests;
