//! What is left of a node: the disk of a dead one mounted somewhere, a plain directory, an archive of vzdump. There is no
//! vzctl to ask, so files tell everything, and the links among them are those of the disk, not of the host it is mounted on.

use super::grammar::shown;
use super::node::{CONFIG_LIMIT, Config, LOOK, Node, ctid_of, path_line};
use super::parse;
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, UNPACK};
use crate::model::container::{Status, Summary, Usage};
use crate::model::ctid::Ctid;
use crate::model::size::Bytes;
use crate::model::source::Remains;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Finds what a path on the disk below `$1` really is: every link in it is followed as the node would have, so an absolute
/// one leads to the top of the disk and `..` not above it. A dead node's `/etc/vz/conf` is such a link on RPM systems.
const RESOLVE: &str = r#"root=$1 left=$2 done= links=0
while [ -n "$left" ]; do
  part=${left%%/*}
  case $left in */*) left=${left#*/};; *) left=;; esac
  case $part in ''|.) continue;; ..) done=${done%/*}; continue;; esac
  if [ -h "$root$done/$part" ]; then
    links=$((links + 1))
    if [ $links -gt 40 ]; then echo "too many links in $2" >&2; exit 3; fi
    to=$(readlink "$root$done/$part"; echo .)
    to=${to%??}
    case $to in /*) done=;; esac
    left=$to/$left
  else
    done=$done/$part
  fi
done
printf '%s\n' "$root$done""#;

/// The directories that hold configurations; the first is a link to the second on RPM systems.
const CONF_DIRS: [&str; 2] = ["/etc/vz/conf", "/etc/sysconfig/vz-scripts"];
/// The global configuration.
const GLOBALS: [&str; 2] = ["/etc/vz/vz.conf", "/etc/sysconfig/vz"];
/// Where private areas are; Virtuozzo 7 keeps each container's configuration in its own.
const PRIVATE: &str = "/vz/private";

/// Prints the configuration that vzdump put into the archive `$1`: its first member of that name, for a later one may be a
/// file of the container's own. Goes behind [`UNPACK`].
const ARCHIVED: &str = r#"
if [ ! -f "$1" ]; then echo "$1 is not a file" >&2; exit 3; fi
for name in ./etc/vzdump/vps.conf etc/vzdump/vps.conf; do
  text=$(unpack "$1" 2>/dev/null | tar --extract --to-stdout --occurrence=1 --file=- "$name" 2>/dev/null | head -c 4194304)
  if [ -n "$text" ]; then printf '%s\n' "$text"; exit 0; fi
done
echo "there is no etc/vzdump/vps.conf in $1, or it is not an archive" >&2
exit 4"#;
/// Says how many members the archive `$1` has, and how many bytes it is unpacked. Goes behind [`UNPACK`].
const COUNT: &str = r#"
{ unpack "$1" | tar --list --totals --quoting-style=escape --file=- | wc -l; } 2>&1"#;
/// An archive is read from its beginning until its configuration is found.
const SEARCH: Duration = Duration::from_secs(3600);

/// What opening found.
pub(super) struct Found {
    pub(super) conf_dir: PathBuf,
    pub(super) cpus: u32,
    pub(super) global: Vec<u8>,
}

impl Node {
    /// Opens what is left of a node on this host or another. Fails when a path is not absolute, or when there is no
    /// configuration to be found.
    pub fn open_remains(host: Arc<dyn Host>, remains: Remains) -> Result<Node> {
        let paths = [&remains.vz_root, &remains.private, &remains.ve_conf, &remains.vzdump];
        if let Some(path) = paths.into_iter().flatten().find(|p| !p.is_absolute()) {
            return Err(Error::usage(format!("{} is not an absolute path", path_text(path)))
                .hint("write the whole path as it is on the source's host"));
        }
        if remains.vzdump.is_some() && (remains.vz_root.is_some() || remains.private.is_some()) {
            return Err(Error::usage("an archive and a directory are two sources")
                .hint("name --vzdump FILE, or --vz-root DIR and --private DIR"));
        }
        let uid = host.run_ok(&Command::read("id").arg("-u").timeout(LOOK))?.text();
        if uid.trim() != "0" {
            return Err(Error::new(format!("not root on {}", host.label()))
                .hint("only root can read every file of a container, with its owner"));
        }
        let mut node = Node::of_remains(host, remains, Found { conf_dir: PathBuf::new(), cpus: 1, global: Vec::new() });
        let found = node.find()?;
        node = Node::of_remains(Arc::clone(node.host()), node.remains().cloned().unwrap_or_default(), found);
        Ok(node)
    }

    /// Finds the configurations of the disk. One that is named by itself needs no others.
    fn find(&self) -> Result<Found> {
        let Some(remains) = self.remains() else { return Err(Error::new("a node is no remains of one")) };
        let mut found = Found { conf_dir: PathBuf::new(), cpus: 1, global: Vec::new() };
        if let Some(file) = &remains.ve_conf {
            found.conf_dir = file.parent().unwrap_or(Path::new("/")).to_owned();
        }
        let Some(root) = &remains.vz_root else {
            if remains.ve_conf.is_none() && remains.vzdump.is_none() {
                return Err(Error::usage("the container's configuration is not named")
                    .hint("name it with --ve-conf FILE, or the dead node's disk with --vz-root DIR"));
            }
            return Ok(found);
        };
        for path in GLOBALS {
            let path = self.real_path_in(remains, Path::new(path))?;
            if let Some(bytes) = self.host().read_file(&path, CONFIG_LIMIT)? {
                found.global = bytes;
                break;
            }
        }
        if remains.ve_conf.is_none() {
            let there = self.first_directory(remains, &[CONF_DIRS[0], CONF_DIRS[1], PRIVATE])?;
            found.conf_dir = there.ok_or_else(|| {
                Error::new(format!("there is no {} below {}", CONF_DIRS[0], path_text(root)))
                    .hint("mount the dead node's root file system there (and its /vz below it), or name the container's configuration with --ve-conf FILE and its tree with --private DIR")
            })?;
        }
        Ok(found)
    }

    fn first_directory(&self, remains: &Remains, paths: &[&str]) -> Result<Option<PathBuf>> {
        for path in paths {
            let path = self.real_path_in(remains, Path::new(path))?;
            let test = Command::read("test").arg("-d").arg(&path).timeout(LOOK);
            if self.host().run(&test)?.status == 0 {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }

    /// Returns where a path of the node is now, links resolved.
    pub(super) fn real_path_in(&self, remains: &Remains, path: &Path) -> Result<PathBuf> {
        let root = remains.vz_root.as_deref().map(|root| root.as_os_str().as_bytes()).unwrap_or_default();
        let root = OsStr::from_bytes(root.strip_suffix(b"/").unwrap_or(root));
        let command = Command::read("sh").args(["-c", RESOLVE, "sh"]).arg(root).arg(path).timeout(LOOK);
        let output = self.host().run_ok(&command)?;
        let doing = || Error::new(format!("resolving {} below {}", path_text(path), shown(root.as_bytes())));
        path_line(&output).filter(|path| path.is_absolute()).ok_or_else(doing)
    }

    /// Reads a container's configuration; `None` when there is none.
    pub(super) fn config_in(&self, remains: &Remains, ctid: &Ctid) -> Result<Option<Config>> {
        if let Some(path) = &remains.ve_conf {
            let bytes = self.host().read_file(path, CONFIG_LIMIT)?;
            return Ok(bytes.map(|bytes| Config { path: path.clone(), bytes }));
        }
        if let Some(archive) = &remains.vzdump {
            let command =
                Command::read("sh").arg("-c").arg(format!("{UNPACK}{ARCHIVED}")).arg("sh").arg(archive).timeout(SEARCH);
            let bytes = self.host().run_ok(&command).doing(|| format!("looking into {}", path_text(archive)))?.stdout;
            return Ok(Some(Config { path: archive.join("etc/vzdump/vps.conf"), bytes }));
        }
        let mut places: Vec<String> = CONF_DIRS.iter().map(|dir| format!("{dir}/{ctid}.conf")).collect();
        places.push(format!("{PRIVATE}/{ctid}/ve.conf"));
        for place in places {
            let path = self.real_path_in(remains, Path::new(&place))?;
            if let Some(bytes) = self.host().read_file(&path, CONFIG_LIMIT)? {
                return Ok(Some(Config { path, bytes }));
            }
        }
        Ok(None)
    }

    /// Counts what is in an archive. tar rounds each member up to 512 bytes, a file system to a block of its own.
    pub(super) fn archive_usage(&self, archive: &Path) -> Result<Usage> {
        const BLOCK: u64 = 4096;
        let doing = || format!("reading {}", path_text(archive));
        let script = format!("{UNPACK}{COUNT}");
        let count = Command::read("sh").arg("-c").arg(script).arg("sh").arg(archive).timeout(SEARCH);
        let text = self.host().run_ok(&count).doing(doing)?.text();
        let inodes = text.lines().find_map(|line| line.trim().parse::<u64>().ok());
        let said = text.lines().find_map(|line| line.strip_prefix("Total bytes read: "));
        let bytes = said.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
        match (bytes, inodes) {
            (Some(bytes), Some(inodes)) if inodes > 0 => {
                Ok(Usage { bytes: Bytes(bytes.saturating_add(inodes.saturating_mul(BLOCK))), inodes })
            }
            _ => Err(Error::new("it is not a whole archive").because(Error::new(shown(text.trim().as_bytes()))))
                .doing(doing),
        }
    }

    /// Finds the container that a number, a UUID or a NAME means. A file that is named by itself is that of any number; an
    /// archive's as well.
    pub(super) fn resolve_in(&self, remains: &Remains, selector: &str) -> Result<Option<Ctid>> {
        if let Ok(ctid) = Ctid::parse(selector) {
            return Ok(self.config_in(remains, &ctid)?.map(|_| ctid));
        }
        for (ctid, config) in self.configs(remains)? {
            let said = parse(&ctid, None, &config.bytes, &super::ParseContext::default())?.name;
            if said.as_deref() == Some(selector) {
                return Ok(Some(ctid));
            }
        }
        Ok(None)
    }

    /// Lists the containers whose configurations are there, by CTID. What each uses is not known without counting.
    pub(super) fn list_remains(&self, remains: &Remains) -> Result<Vec<Summary>> {
        let mut list = Vec::new();
        for (ctid, config) in self.configs(remains)? {
            let context = super::ParseContext { file: config.path, ..super::ParseContext::default() };
            let ve = parse(&ctid, Some(self.global_config()), &config.bytes, &context)?;
            list.push(Summary {
                ctid,
                name: ve.name,
                hostname: ve.hostname,
                status: Status::Stopped,
                addresses: ve.venet.iter().map(|a| a.address.to_string()).collect(),
                size: None,
                inodes: None,
                ostemplate: ve.ostemplate,
            });
        }
        Ok(list)
    }

    fn configs(&self, remains: &Remains) -> Result<Vec<(Ctid, Config)>> {
        if let Some(file) = remains.ve_conf.as_ref().or(remains.vzdump.as_ref()) {
            let first = Ctid::first();
            let Some(config) = self.config_in(remains, &first)? else { return Ok(Vec::new()) };
            return Ok(vec![(named(file, &config.bytes), config)]);
        }
        let mut found = BTreeMap::new();
        for dir in [CONF_DIRS[0], CONF_DIRS[1], PRIVATE] {
            let dir = self.real_path_in(remains, Path::new(dir))?;
            let (depth, name) = if dir.ends_with("private") { ("2", "ve.conf") } else { ("1", "*.conf") };
            let find = Command::read("find").arg(&dir).args(["-mindepth", depth, "-maxdepth", depth]);
            let output = self.host().run(&find.args(["-name", name, "-print0"]).timeout(LOOK))?;
            // A directory that is not there makes find fail and say nothing.
            for path in output.stdout.split(|b| *b == 0).filter(|p| !p.is_empty()) {
                let path = PathBuf::from(OsString::from_vec(path.to_vec()));
                if let Some(ctid) = ctid_of(&path).filter(|ctid| !found.contains_key(ctid))
                    && let Some(config) = self.config_in(remains, &ctid)?
                {
                    found.insert(ctid, config);
                }
            }
        }
        let mut found: Vec<(Ctid, Config)> = found.into_iter().collect();
        found.sort_by_key(|(ctid, _)| ctid.number());
        Ok(found)
    }
}

/// Returns the CTID that a single file belongs to: vzdump calls its archives `vzdump-openvz-101-DATE`, before `vzdump-101`.
fn named(file: &Path, config: &[u8]) -> Ctid {
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let number = name.strip_prefix("vzdump-").map(|rest| rest.strip_prefix("openvz-").unwrap_or(rest));
    let number = number.and_then(|rest| rest.split(['-', '.']).next()).and_then(|word| Ctid::parse(word).ok());
    number.unwrap_or_else(|| parse::ctid_of(file, config))
}

fn path_text(path: &Path) -> String {
    shown(path.as_os_str().as_bytes())
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Local;
    use std::os::unix::fs::symlink;

    fn remains(dir: &Path) -> Remains {
        Remains { vz_root: Some(dir.to_owned()), ..Remains::default() }
    }

    #[test]
    fn links_are_those_of_the_disk() {
        let dir = tempfile::tempdir().unwrap();
        let top = dir.path();
        std::fs::create_dir_all(top.join("etc/sysconfig/vz-scripts")).unwrap();
        std::fs::create_dir_all(top.join("etc/vz")).unwrap();
        for (link, to) in [
            ("etc/vz/conf", "/etc/sysconfig/vz-scripts"),
            ("up", "../../../../etc"),
            ("odd", "a b\n c"),
            ("loop", "loop"),
            ("etc/beside", "./vz/../vz//conf"),
        ] {
            symlink(to, top.join(link)).unwrap();
        }
        let found = Found { conf_dir: PathBuf::new(), cpus: 1, global: Vec::new() };
        let node = Node::of_remains(Arc::new(Local::new()), remains(top), found);
        let real = |path: &str| {
            node.real_path_in(&remains(top), Path::new(path)).map(|p| p.strip_prefix(top).unwrap().to_owned())
        };
        for (path, want) in [
            ("/etc/vz/conf/101.conf", "etc/sysconfig/vz-scripts/101.conf"),
            ("/up/vz", "etc/vz"),
            ("/../../etc//vz/", "etc/vz"),
            ("/etc/beside/x", "etc/sysconfig/vz-scripts/x"),
            ("/odd/x", "a b\n c/x"),
            ("/nothing/there", "nothing/there"),
        ] {
            assert_eq!(real(path).unwrap(), Path::new(want), "{path}");
        }
        assert!(real("/loop").is_err());
    }

    #[test]
    fn what_is_missing_is_said_before_anything_is_read() {
        let host: Arc<dyn Host> = Arc::new(Local::new());
        let dir = tempfile::tempdir().unwrap();
        let open = |change: fn(&mut Remains)| {
            let mut given = Remains::default();
            change(&mut given);
            Node::open_remains(Arc::clone(&host), given).err().map(|e| e.chain().join(": ")).unwrap_or_default()
        };
        assert!(open(|r| r.vz_root = Some("old".into())).contains("not an absolute path"));
        assert!(open(|r| r.private = Some("/srv".into())).contains("configuration is not named"));
        assert!(open(|r| (r.vzdump, r.private) = (Some("/a".into()), Some("/b".into()))).contains("two sources"));
        let error = Node::open_remains(Arc::clone(&host), remains(dir.path())).err().unwrap();
        assert!(error.to_string().contains("/etc/vz/conf") && error.first_hint().unwrap().contains("--private"));
    }

    #[test]
    fn an_archive_is_called_for_its_container() {
        let name = |file: &str| named(Path::new(file), b"HOSTNAME=x\n").to_string();
        assert_eq!(name("/b/vzdump-openvz-103-2014_01_02-03_04_05.tar.lzo"), "103");
        assert_eq!(name("vzdump-104.tgz"), "104");
        assert_eq!(name("/b/105.conf"), "105");
        assert_eq!(name("/b/backup.tar"), "1");
    }
}
