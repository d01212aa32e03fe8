//! What other containers of this host have taken: names of interfaces, ids.

use super::Lxc;
use crate::error::Result;
use crate::host::Command;
use crate::model::settings::IdRange;
use std::path::{Path, PathBuf};

/// A configuration or a list of subordinate ids that is larger is not one.
const LIMIT: u64 = 1 << 20;
/// More containers than these are not asked what they have taken.
const MOST: usize = 10_000;

/// What is taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    /// Names of host ends of interfaces.
    pub(super) ifnames: Vec<String>,
    /// Ranges of ids.
    pub(super) ranges: Vec<IdRange>,
}

impl Lxc {
    /// Reads the configurations of these containers, and what /etc/subuid and /etc/subgid give to users: root's own entry
    /// is there for containers that root starts. What cannot be read is passed over: it is somebody else's.
    pub(super) fn taken(&self, containers: &[String]) -> Taken {
        let mut taken = Taken::default();
        for name in containers.iter().take(MOST) {
            from_config(&self.lossy(&self.config_path(name)), &mut taken);
        }
        for path in ["/etc/subuid", "/etc/subgid"] {
            taken.ranges.extend(self.lossy(Path::new(path)).lines().filter_map(subordinate));
        }
        taken.ifnames.sort_unstable();
        taken.ifnames.dedup();
        taken.ranges.sort_unstable_by_key(|r| (r.base, r.count));
        taken.ranges.dedup();
        taken
    }

    fn lossy(&self, path: &Path) -> String {
        match self.host.read_file(path, LIMIT) {
            Ok(bytes) => String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned(),
            Err(error) => {
                tracing::debug!("{}", error.chain().join(": "));
                String::new()
            }
        }
    }

    /// Returns the ranges of ids that containers and users of this host have now.
    pub fn id_ranges(&self) -> Result<Vec<IdRange>> {
        Ok(self.taken(&self.containers()?).ranges)
    }

    /// Returns the directories on the way to a directory, itself included, that others must not pass, the topmost first.
    pub fn closed_dirs(&self, to: &Path) -> Result<Vec<String>> {
        let mut way: Vec<PathBuf> = to.ancestors().filter(|p| p.is_absolute()).map(Path::to_owned).collect();
        way.reverse();
        // Its status says only that one is missing, which is none of our business here.
        let output = self.host.run(&Command::read("stat").args(["-L", "-c", "%a", "--"]).args(way.clone()))?;
        let modes = output.text();
        let closed = |(dir, mode): (&PathBuf, &str)| {
            let mode = u32::from_str_radix(mode.trim(), 8).ok()?;
            (mode & 1 == 0).then(|| dir.display().to_string())
        };
        Ok(way.iter().zip(modes.lines()).filter_map(closed).collect())
    }
}

fn from_config(text: &str, taken: &mut Taken) {
    for line in text.lines() {
        let Some((key, value)) = line.split_once('=') else { continue };
        let (key, value) = (key.trim(), value.trim().trim_matches('"'));
        if key == "lxc.idmap" || key == "lxc.id_map" {
            let mut words = value.split_whitespace().skip(2);
            taken.ranges.extend(range(words.next(), words.next()));
        } else if is_pair(key) && !value.is_empty() && value.len() < 16 {
            taken.ifnames.push(value.to_owned());
        }
    }
}

/// `lxc.net.0.veth.pair`, `lxc.network.veth.pair`, `lxc.network.0.veth.pair`.
fn is_pair(key: &str) -> bool {
    key.ends_with(".veth.pair") && (key.starts_with("lxc.net.") || key.starts_with("lxc.network."))
}

/// A line `user:first:count`.
fn subordinate(line: &str) -> Option<IdRange> {
    let mut fields = line.trim().split(':');
    let user = fields.next()?;
    if matches!(user, "root" | "0") || user.starts_with('#') {
        return None;
    }
    range(fields.next(), fields.next())
}

fn range(base: Option<&str>, count: Option<&str>) -> Option<IdRange> {
    let (base, count) = (base?.trim().parse().ok()?, count?.trim().parse().ok()?);
    (count > 0).then_some(IdRange { base, count })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn names_and_ids_of_configurations_old_and_new() {
        let mut taken = Taken::default();
        from_config(
            "lxc.net.0.veth.pair = veth101.0\nlxc.network.veth.pair=old0\nlxc.network.1.veth.pair = old1\n\
             lxc.net.0.link = br0\n# lxc.idmap = u 0 1 2\nlxc.idmap = u 0 100000 65536\nlxc.id_map = g 0 \t 200000 10\n\
             lxc.idmap = u 0 x 5\nlxc.idmap = u 0 5\nlxc.idmap = u 0 7 0\nlxc.idmap =\nlxc.net.9.veth.pair =\n\
             lxc.net.1.veth.pair = a-name-that-no-interface-has\nveth.pair = x\n\u{0}=\u{0}\n",
            &mut taken,
        );
        assert_eq!(taken.ifnames, ["veth101.0", "old0", "old1"]);
        let range = |base, count| IdRange { base, count };
        assert_eq!(taken.ranges, [range(100_000, 65_536), range(200_000, 10)]);
    }

    #[test]
    fn subordinate_ids_of_everybody_but_root() {
        let all = "root:100000:65536\n0:1:2\n#x:1:2\nuser:165536:65536\n1000:300000:10\nbad:x:1\n::\nnone:5:0\n:7:1\n";
        let found: Vec<(u32, u32)> = all.lines().filter_map(subordinate).map(|r| (r.base, r.count)).collect();
        assert_eq!(found, [(165_536, 65_536), (300_000, 10), (7, 1)]);
    }
}
