//! One container in full: its configuration, where its tree is, what it uses, what may stand in the way.

use super::actions::{self, SCRIPT_LIMIT, Script};
use super::grammar::shown;
use super::node::{Config, LOOK, Node};
use super::parse::path_in;
use super::vzlist;
use super::{ParseContext, parse};
use crate::error::{Doing, Error, Result};
use crate::host::Command;
use crate::model::container::{Access, Layout, Origin, SourceContainer, Status, Usage};
use crate::model::ctid::Ctid;
use crate::model::finding::Finding;
use crate::model::size::{Bytes, KIB};
use crate::model::ve::VeConfig;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long counting a tree may take: some private areas hold millions of files.
const COUNT: Duration = Duration::from_secs(1800);

/// Looks at the private area, and for a dump and action scripts. Prints fixed words and the names it was given only.
pub(super) const LOOK_AROUND: &str = r#"private=$1 root=$2 dump=$3 conf=$4 ctid=$5
[ -d "$private" ] && echo private
[ -d "$private/fs" ] && echo fs
hdd=$private/root.hdd
[ ! -h "$hdd" ] && [ -d "$hdd" ] && [ ! -h "$hdd/DiskDescriptor.xml" ] && [ -f "$hdd/DiskDescriptor.xml" ] && echo ploop
for f in "$dump/Dump.$ctid" "$private/dump/Dump"; do [ -e "$f" ] && echo dump; done
for a in start stop premount mount umount postumount; do
  [ -e "$conf/$ctid.$a" ] && echo "script $a"
  [ -e "$private/scripts/$a" ] && echo "inside $a"
  [ -e "$conf/vps.$a" ] && echo "global $a"
done
exit 0"#;

#[derive(Default)]
struct Found {
    private: bool,
    fs: bool,
    ploop: bool,
    dump: bool,
    scripts: Vec<PathBuf>,
    global_scripts: Vec<PathBuf>,
}

impl Node {
    /// Describes a container. Reads only. An error when its private area is missing. A tree in a ploop image that is not
    /// mounted is not read here: [`SourceContainer::access`] says so, and its use is an estimate. `approximate` names the parameters whose approximation the operator asked for.
    pub fn describe(&self, ctid: &Ctid, approximate: &[String]) -> Result<SourceContainer> {
        self.describe_it(ctid, approximate).doing(|| format!("describing container {ctid} on {}", self.host().label()))
    }

    fn describe_it(&self, ctid: &Ctid, approximate: &[String]) -> Result<SourceContainer> {
        let config = self.config(ctid)?;
        // How many CPUs a dead node had is not known.
        let node_cpus = (self.origin() == Origin::Node).then(|| self.cpus());
        let (file, approximate) = (config.path.clone(), approximate.to_vec());
        let context = ParseContext { node_cpus, file, approximate };
        let mut ve = parse(ctid, Some(self.global_config()), &config.bytes, &context)?;
        let status = self.status(ctid)?;
        let configured = area(ve.private.as_deref(), "private", ctid)?;
        let root = area(ve.root.as_deref(), "root", ctid)?;
        if let Some(archive) = self.remains().and_then(|remains| remains.vzdump.clone()) {
            return self.archived(ctid, ve, config, archive, root);
        }
        let private = match self.remains().and_then(|remains| remains.private.clone()) {
            Some(named) => named,
            None => self.real_path(&configured)?,
        };
        let found = self.look_around(ctid, &private, &root)?;
        if !found.private {
            return Err(no_private(&private, self.origin()));
        }
        let layout = match ve.layout.as_deref() {
            Some("ploop") => Layout::Ploop,
            Some(_) => Layout::Simfs,
            None if found.ploop => Layout::Ploop,
            None => Layout::Simfs,
        };
        if layout == Layout::Ploop {
            // vzctl ignores DISKINODES for ploop, also where only the files tell the layout.
            ve.limits.disk_inodes = None;
        }
        let mounted = matches!(status, Status::Running | Status::Mounted);
        let access = match layout {
            Layout::Ploop if self.origin() == Origin::Disk => Access::Image,
            Layout::Ploop if !mounted => Access::Mount,
            _ => Access::Open,
        };
        let tree = match layout {
            Layout::Ploop => root.clone(),
            // Virtuozzo keeps the tree of this layout below fs/.
            Layout::Simfs if ctid.number().is_none() && found.fs => private.join("fs"),
            Layout::Simfs => private.clone(),
        };
        let usage = match access {
            Access::Open => self.usage(ctid, status, layout, &tree)?,
            Access::Mount | Access::Image => self.closed_usage(ctid, &private)?,
        };
        self.device_numbers(&mut ve)?;
        let action_scripts = self.action_scripts(&found.scripts)?;
        global_scripts(&found.global_scripts, &mut ve);
        let area = actions::Container { ctid: ctid.as_str(), root: &root, private: &configured };
        for script in found.scripts.iter().chain(&found.global_scripts) {
            ve.findings.extend(self.proposals(script, &area));
        }
        let (node_nameservers, node_searchdomains) = self.resolver()?;
        let Config { path, bytes } = config;
        Ok(SourceContainer {
            ctid: ctid.clone(),
            ve,
            config_path: path,
            config_text: String::from_utf8_lossy(&bytes).into_owned(),
            status,
            layout,
            private,
            root,
            tree,
            origin: self.origin(),
            access,
            usage,
            dump: found.dump,
            action_scripts,
            node_cpus: self.cpus(),
            node_nameservers,
            node_searchdomains,
        })
    }

    fn look_around(&self, ctid: &Ctid, private: &Path, root: &Path) -> Result<Found> {
        let mut dump = path_in(self.global_config(), "DUMPDIR", ctid).unwrap_or_else(|| "/vz/dump".into());
        if self.origin() != Origin::Node {
            dump = self.real_path(&dump)?;
        }
        let conf = self.conf_dir();
        let command = Command::read("sh").args(["-c", LOOK_AROUND, "sh"]).arg(private).arg(root).arg(&dump).arg(conf);
        let text = self.host().run_ok(&command.arg(ctid.as_str()).timeout(LOOK))?.text();
        let mut found = Found::default();
        for line in text.lines() {
            match line.split_once(' ') {
                Some(("script", action)) => found.scripts.push(conf.join(format!("{ctid}.{action}"))),
                Some(("inside", action)) => found.scripts.push(private.join("scripts").join(action)),
                Some(("global", action)) => found.global_scripts.push(conf.join(format!("vps.{action}"))),
                _ => match line {
                    "private" => found.private = true,
                    "fs" => found.fs = true,
                    "ploop" => found.ploop = true,
                    "dump" => found.dump = true,
                    _ => {}
                },
            }
        }
        Ok(found)
    }

    /// What the container uses: vzlist knows it while it runs, otherwise it is counted.
    fn usage(&self, ctid: &Ctid, status: Status, layout: Layout, tree: &Path) -> Result<Usage> {
        if status == Status::Running
            && let Some(usage) = self.listed_usage(ctid)?
        {
            return Ok(usage);
        }
        let doing = || format!("measuring {}", path_text(tree));
        if layout == Layout::Ploop {
            return self.mounted_usage(tree).doing(doing);
        }
        self.counted_usage(tree).doing(doing)
    }

    /// A ploop image that is not mounted: vzlist may know what was in it, otherwise it holds no more than it takes on disk.
    fn closed_usage(&self, ctid: &Ctid, private: &Path) -> Result<Usage> {
        if self.origin() == Origin::Node
            && let Some(usage) = self.listed_usage(ctid)?
        {
            return Ok(usage);
        }
        let image = private.join("root.hdd");
        let du = Command::read("du").args(["-sk", "--"]).arg(&image).timeout(LOOK);
        let text = self.host().run_ok(&du).doing(|| format!("measuring {}", path_text(&image)))?.text();
        let kib = text.split_whitespace().next().and_then(|word| word.parse::<u64>().ok());
        let kib = kib.ok_or_else(|| Error::new(format!("du did not say how large {} is", path_text(&image))))?;
        Ok(Usage { bytes: Bytes(kib.saturating_mul(KIB)), inodes: 0 })
    }

    /// Measures a tree that was opened since it was described.
    pub fn measure(&self, container: &mut SourceContainer) -> Result<()> {
        let doing = || format!("measuring {}", path_text(&container.tree));
        container.usage = self.mounted_usage(&container.tree).doing(doing)?;
        Ok(())
    }

    /// A container in an archive: the file says how large it is packed, its configuration all the rest.
    fn archived(
        &self,
        ctid: &Ctid,
        ve: VeConfig,
        config: Config,
        archive: PathBuf,
        root: PathBuf,
    ) -> Result<SourceContainer> {
        let usage = self.archive_usage(&archive)?;
        Ok(SourceContainer {
            ve,
            config_path: config.path,
            config_text: String::from_utf8_lossy(&config.bytes).into_owned(),
            root,
            private: archive.clone(),
            tree: archive,
            origin: Origin::Archive,
            usage,
            ..SourceContainer::offline(ctid.clone(), VeConfig::default())
        })
    }

    fn listed_usage(&self, ctid: &Ctid) -> Result<Option<Usage>> {
        let mut numbers = [0, 0];
        for (slot, field) in numbers.iter_mut().zip(["diskspace", "diskinodes"]) {
            let command = self.vzlist(&["-a", "-H", "-t", "-o", &format!("ctid,{field}"), ctid.as_str()]);
            let output = self.host().run(&command)?;
            let number = vzlist::column(&output.stdout).remove(ctid).and_then(|text| text.parse::<u64>().ok());
            // Without vzquota there is no number, or a zero that cannot be true.
            match number {
                Some(n) if n > 0 => *slot = n,
                _ => return Ok(None),
            }
        }
        Ok(Some(Usage { bytes: Bytes(numbers[0].saturating_mul(KIB)), inodes: numbers[1] }))
    }

    /// A mounted image is a file system of its own: df knows it at once.
    fn mounted_usage(&self, tree: &Path) -> Result<Usage> {
        let used = |option: &str| -> Result<u64> {
            let command = Command::read("df").args([option, "--"]).arg(tree).timeout(LOOK);
            let text = self.host().run_ok(&command)?.text();
            let word = text.lines().last().and_then(|line| line.split_whitespace().nth(2)).map(str::to_owned);
            let number = word.and_then(|word| word.parse().ok());
            number.ok_or_else(|| Error::new(format!("df {option} did not say how much is in use")))
        };
        Ok(Usage { bytes: Bytes(used("-Pk")?.saturating_mul(KIB)), inodes: used("-Pi")? })
    }

    fn counted_usage(&self, tree: &Path) -> Result<Usage> {
        let du = Command::read("du").args(["-sxk", "--"]).arg(tree).timeout(COUNT);
        let find = r#"find "$1" -xdev -printf . | wc -c"#;
        let count = Command::read("sh").args(["-c", find, "sh"]).arg(tree).timeout(COUNT);
        // Files that vanish meanwhile make du fail, with its number said all the same.
        let first = |command: &Command| -> Result<u64> {
            let output = self.host().run(command)?;
            let number = output.text().split_whitespace().next().and_then(|word| word.parse().ok());
            match number {
                Some(number) => Ok(number),
                None => Err(output.ok(command, self.host().label()).err().unwrap_or_else(|| {
                    Error::new(format!("running on {}: {command}: no number", self.host().label()))
                })),
            }
        };
        Ok(Usage { bytes: Bytes(first(&du)?.saturating_mul(KIB)), inodes: first(&count)? })
    }

    /// DEVNODES names devices of the node: their numbers are those of its /dev.
    fn device_numbers(&self, ve: &mut VeConfig) -> Result<()> {
        for rule in &mut ve.devices {
            let (Some(path), None) = (&rule.path, rule.major) else { continue };
            let device = Path::new("/dev").join(path);
            let command = Command::read("stat").args(["-L", "-c", "%f %t %T", "--"]).arg(&device).timeout(LOOK);
            let output = self.host().run(&command)?;
            let numbers: Vec<u32> =
                output.text().split_whitespace().filter_map(|word| u32::from_str_radix(word, 16).ok()).collect();
            let kind = numbers.first().and_then(|mode| match mode & 0o170_000 {
                0o020_000 => Some('c'),
                0o060_000 => Some('b'),
                _ => None,
            });
            if let (0, Some(kind), [_, major, minor]) = (output.status, kind, &numbers[..]) {
                (rule.kind, rule.major, rule.minor) = (kind, Some(*major), Some(*minor));
            } else {
                let name = path_text(&device);
                ve.findings.push(
                    Finding::warning("ve-devnode-missing", format!("{name} is not a device of the node"))
                        .detail(
                            "DEVNODES names it; the node leaves it out as well, and what stands behind it in the list",
                        )
                        .remedy("add the device to the target's configuration if the container needs it")
                        .subject(name),
                );
            }
        }
        Ok(())
    }

    /// Returns the scripts, and behind each the lines in it that mount something.
    fn action_scripts(&self, scripts: &[PathBuf]) -> Result<Vec<String>> {
        let mut out = Vec::new();
        for script in scripts {
            let name = path_text(script);
            out.push(name.clone());
            // A script that is too large to be read is named all the same.
            let text = self.host().read_file(script, SCRIPT_LIMIT).ok().flatten().unwrap_or_default();
            for line in text.split(|b| *b == b'\n') {
                let line = line.trim_ascii();
                let mounts = line.windows(5).any(|w| w == b"mount") && line.windows(4).any(|w| w == b"bind");
                if mounts && !line.starts_with(b"#") {
                    out.push(format!("{name}: {}", shown(line)));
                }
            }
        }
        Ok(out)
    }

    /// What a script would be under LXC; one that cannot be read, or has no end, says nothing here.
    fn proposals(&self, path: &Path, area: &actions::Container<'_>) -> Vec<Finding> {
        let text = self.host().read_file(path, SCRIPT_LIMIT).ok().flatten();
        let name = path_text(path);
        // `101.mount`, or `scripts/mount` in a private area of Virtuozzo.
        let file = path.file_name().map(OsStr::to_string_lossy).unwrap_or_default();
        let action = file.rsplit('.').next().unwrap_or_default();
        text.map_or_else(Vec::new, |text| actions::proposals(&Script { name: &name, action, text: &text }, area))
    }

    /// The node's name servers and search domains, for `inherit`.
    fn resolver(&self) -> Result<(Vec<String>, Vec<String>)> {
        let mut path = PathBuf::from("/etc/resolv.conf");
        if self.origin() != Origin::Node {
            path = self.real_path(&path)?;
        }
        let text = self.host().read_file(&path, SCRIPT_LIMIT)?.unwrap_or_default();
        let (mut servers, mut domains) = (Vec::new(), Vec::new());
        for line in String::from_utf8_lossy(&text).lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => servers.extend(words.next().map(str::to_owned)),
                // The last of these lines is the one in force (resolv.conf(5)).
                Some("search" | "domain") => domains = words.map(str::to_owned).collect(),
                _ => {}
            }
        }
        Ok((servers, domains))
    }
}

fn no_private(private: &Path, origin: Origin) -> Error {
    Error::new(format!("the private area {} is not a directory", path_text(private))).hint(match origin {
        Origin::Node => "check VE_PRIVATE in its configuration, and that the file system below it is mounted",
        _ => "mount the file system that held it below --vz-root, or name the directory with --private DIR",
    })
}

/// VE_PRIVATE and VE_ROOT come from one of the two files, or are vzctl's own defaults.
fn area(configured: Option<&Path>, kind: &str, ctid: &Ctid) -> Result<PathBuf> {
    let path = configured.map_or_else(|| PathBuf::from(format!("/vz/{kind}/{ctid}")), Path::to_owned);
    if path.is_absolute() && path != Path::new("/") {
        return Ok(path);
    }
    let key = kind.to_ascii_uppercase();
    Err(Error::new(format!("VE_{key} is \"{}\", which cannot be a container's directory", path_text(&path)))
        .hint(format!("correct VE_{key} in its configuration")))
}

fn global_scripts(scripts: &[PathBuf], ve: &mut VeConfig) {
    for script in scripts {
        let name = path_text(script);
        ve.findings.push(
            Finding::info("ve-global-action-script", format!("{name} runs for every container of the node"))
                .detail("what it does for this one does not happen on the target")
                .remedy("read it; lxc.hook.* and lxc.mount.entry do such things under LXC")
                .subject(name),
        );
    }
}

fn path_text(path: &Path) -> String {
    let bytes: &OsStr = path.as_os_str();
    shown(bytes.as_bytes())
}
