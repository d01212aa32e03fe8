//! What `vgs` and `lvs` say, from their JSON reports (LVM 2.02.158 and later; lvmreport(7)).

use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// LVM waits for locks; with a cluster that has no quorum it waits for ever.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// A volume group.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Group {
    /// Attribute letters; the sixth is `c` for clustered (clvmd), `s` for shared (lvmlockd) (vgs(8)).
    #[serde(rename = "vg_attr")]
    attr: String,
    #[serde(rename = "vg_free")]
    free: String,
}

impl Group {
    /// Free bytes.
    pub(crate) fn free(&self) -> Option<u64> {
        self.free.parse().ok()
    }

    /// Whether it is shared between nodes, through lvmlockd or the older clvmd.
    pub(crate) fn shared(&self) -> bool {
        matches!(self.attr.as_bytes().get(5), Some(b's' | b'c'))
    }

    /// Whether devices of it are missing.
    pub(crate) fn partial(&self) -> bool {
        self.attr.as_bytes().get(3) == Some(&b'p')
    }
}

/// A logical volume.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Volume {
    #[serde(rename = "lv_name")]
    pub(crate) name: String,
    /// Attribute letters; the first is `t` for a thin pool, the fifth `a` for active, the sixth `o` for open (lvs(8)).
    #[serde(rename = "lv_attr")]
    attr: String,
    #[serde(rename = "lv_size")]
    size: String,
    data_percent: String,
    #[serde(rename = "lv_tags")]
    tags: String,
    #[serde(rename = "lv_kernel_major")]
    major: String,
    #[serde(rename = "lv_kernel_minor")]
    minor: String,
}

impl Volume {
    /// Whether it is active on this node.
    pub(crate) fn active(&self) -> bool {
        self.attr.as_bytes().get(4) == Some(&b'a')
    }

    /// Whether something on this node has it open: a mount, in whatever mount namespace, or a program.
    pub(crate) fn open(&self) -> bool {
        self.attr.as_bytes().get(5) == Some(&b'o')
    }

    /// Whether it is a thin pool.
    pub(crate) fn is_thin_pool(&self) -> bool {
        self.attr.starts_with('t')
    }

    /// Whether it has this tag.
    pub(crate) fn tagged(&self, tag: &str) -> bool {
        self.tags.split(',').any(|t| t == tag)
    }

    /// Its device as `major:minor`, when it is active.
    pub(crate) fn device(&self) -> Option<String> {
        self.active().then(|| format!("{}:{}", self.major, self.minor))
    }

    /// Bytes of a thin pool that hold no data yet; `None` while the pool is not active.
    pub(crate) fn pool_free(&self) -> Option<u64> {
        let size: u64 = self.size.parse().ok()?;
        // "37.25": two decimals, so hundredths of a percent are exact.
        let (whole, decimals) = self.data_percent.split_once('.')?;
        let used: u64 = whole.parse::<u64>().ok()? * 100 + decimals.parse::<u64>().ok()?;
        let free = u128::from(size) * u128::from(10_000u64.checked_sub(used)?) / 10_000;
        u64::try_from(free).ok()
    }
}

#[derive(Deserialize)]
struct Report<T> {
    report: Vec<T>,
}

#[derive(Deserialize)]
struct Groups {
    vg: Vec<Group>,
}

#[derive(Deserialize)]
struct Volumes {
    lv: Vec<Volume>,
}

/// Reads one volume group; `None` when there is none of that name.
pub(crate) fn read_group(host: &dyn Host, vg: &str) -> Result<Option<Group>> {
    let report: Option<Report<Groups>> = report(host, "vgs", "vg_name,vg_attr,vg_free", vg)?;
    Ok(report.and_then(|r| r.report.into_iter().flat_map(|g| g.vg).next()))
}

/// Reads the logical volumes of a group.
pub(crate) fn read_volumes(host: &dyn Host, vg: &str) -> Result<Vec<Volume>> {
    let fields = "lv_name,lv_attr,lv_size,data_percent,lv_tags,lv_kernel_major,lv_kernel_minor";
    let report: Option<Report<Volumes>> = report(host, "lvs", fields, vg)?;
    let report = report.ok_or_else(|| Error::new(format!("volume group {vg} does not exist")))?;
    Ok(report.report.into_iter().flat_map(|g| g.lv).collect())
}

fn report<T: DeserializeOwned>(host: &dyn Host, program: &str, fields: &str, vg: &str) -> Result<Option<Report<T>>> {
    let command = Command::read(program)
        .args(["--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields, vg])
        .timeout(LIMIT);
    let output = host.run(&command)?;
    if output.status == 5 && String::from_utf8_lossy(&output.stderr).contains(&format!("\"{vg}\" not found")) {
        return Ok(None);
    }
    let output = output.ok(&command, host.label())?;
    serde_json::from_slice(&output.stdout)
        .map(Some)
        .map_err(|e| Error::new(e.to_string()))
        .doing(|| format!("reading what {program} says about volume group {vg}"))
}
