//! Gathers the facts about one migration. Reads only.

use super::session::Session;
use crate::cluster::{self, Cluster};
use crate::config::Merged;
use crate::error::{Doing, Error, Result};
use crate::guest;
use crate::host::Host;
use crate::model::container::{Access, Origin, SourceContainer};
use crate::model::ctid::Ctid;
use crate::model::facts::{Facts, StorageFacts};
use crate::model::finding::Finding;
use crate::model::guest::Guest;
use crate::model::volume::{StorageKind, VolumePlan};
use crate::openvz::Node;
use crate::pipeline::opening::{Opening, image_mount_point};
use crate::pipeline::peek::{self, Peek};
use crate::pipeline::planner;
use crate::runtime::Lxc;
use crate::volume::{self, Storage};
use std::path::Path;
use std::sync::Arc;

/// A container looked at from all sides, and what was opened to do so.
pub(super) struct Inspected {
    /// The source's connection.
    pub(super) source: Arc<dyn Host>,
    /// The source node.
    pub(super) node: Arc<Node>,
    /// The facts.
    pub(super) facts: Facts,
    /// The planned volume.
    pub(super) volume: VolumePlan,
    /// The target's storage.
    pub(super) storage: Box<dyn Storage>,
    /// The cluster.
    pub(super) cluster: Box<dyn Cluster>,
    /// LXC on this host.
    pub(super) lxc: Lxc,
    /// The small part of the tree that was fetched to look at the guest; absent when it could not be.
    pub(super) peek: Option<Peek>,
    /// What the checks say.
    pub(super) findings: Vec<Finding>,
}

/// What a look may do on the source.
#[derive(Clone, Copy)]
pub(super) enum Look<'a> {
    /// Nothing that the source would know of: an image that this program reads itself is mounted on this host.
    Only,
    /// Have vzctl mount a ploop image while it looks; one that this program reads itself is mounted in this state directory.
    Opening(&'a Path),
}

/// Looks at one container of an open node, and at the target.
pub(super) fn inspect(
    session: &Session,
    merged: &Merged,
    source: &Arc<dyn Host>,
    node: Arc<Node>,
    ctid: &Ctid,
    look: Look<'_>,
) -> Result<Inspected> {
    let settings = &merged.settings;
    let mut container = node
        .describe(ctid, &settings.approximate)
        .doing(|| format!("describing container {ctid} on {}", source.label()))?;
    let opened = opened(&node, &mut container, look)?;
    let target_name = planner::target_name(&container, settings);
    let lxc = Lxc::new(Arc::clone(&session.local), &settings.lxc_path, &merged.state_dir.join("logs"))?;
    let mut target = lxc.inspect().doing(|| "looking at LXC on this host")?;
    if let (Some(dir), StorageKind::Dir) = (&settings.volume_dir, settings.storage) {
        let more = lxc.closed_dirs(dir).doing(|| format!("looking at the way to {}", dir.display()))?;
        let more: Vec<String> = more.into_iter().filter(|dir| !target.closed_dirs.contains(dir)).collect();
        target.closed_dirs.extend(more);
    }
    let cluster = cluster::cluster_for(&settings.cluster, Arc::clone(&session.local))?;
    let cluster_facts = cluster.inspect(&target_name, &settings.lxc_path).doing(|| "looking at the cluster")?;
    let mut late = Vec::new();
    let (peek, guest) = match look_inside(source.as_ref(), &container, opened.is_some(), &session.cancel) {
        Ok((peek, guest)) => (Some(peek), guest),
        Err(error) => {
            late.push(not_seen(&error));
            (None, Guest::unknown())
        }
    };
    let mut facts = Facts {
        source: merged.connection.source.clone().unwrap_or_default(),
        container,
        guest,
        target,
        storage: StorageFacts::default(),
        cluster: cluster_facts,
        settings: settings.clone(),
        target_name,
    };
    let storage = volume::storage_for(settings.storage, Arc::clone(&session.local));
    let mut volume = planner::volume_plan(&facts)?;
    facts.storage = storage.inspect(&volume).doing(|| "looking at the target's storage")?;
    volume.shared = facts.storage.shared;
    let mut findings = crate::check::evaluate(&facts);
    findings.extend(late);
    session.cancel.check()?; // what an interrupt cut short must not pass for a finding
    Ok(Inspected { source: Arc::clone(source), node, facts, volume, storage, cluster, lxc, peek, findings })
}

/// What was opened for a look, and goes with it.
struct Opened {
    node: Arc<Node>,
    container: SourceContainer,
    opening: Opening,
    _dir: Option<tempfile::TempDir>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Err(error) = Opening::unmount(self.opening.mounted, &self.node, &self.container) {
            tracing::warn!("{}", error.chain().join(": "));
        }
    }
}

/// Opens a tree that is not readable as it is, and measures it: what was said of its use before was an estimate.
fn opened(node: &Arc<Node>, container: &mut SourceContainer, look: Look<'_>) -> Result<Option<Opened>> {
    let mut own = None;
    match (container.access, look) {
        (Access::Open, _) | (Access::Mount, Look::Only) => return Ok(None),
        (Access::Mount, Look::Opening(_)) => {}
        (Access::Image, Look::Opening(state)) => container.tree = image_mount_point(state),
        (Access::Image, Look::Only) => {
            let dir = tempfile::Builder::new().prefix("ovz2lxc-image-").tempdir();
            let dir = dir.doing(|| "making a directory for a look into an image")?;
            container.tree = image_mount_point(dir.path());
            own = Some(dir);
        }
    }
    let (node, opening) = (Arc::clone(node), Opening::default());
    let mut opened = Opened { node, container: container.clone(), opening, _dir: own };
    opened.opening.open(&opened.node, container)?;
    opened.node.measure(container)?;
    Ok(Some(opened))
}

fn look_inside(
    source: &dyn Host,
    container: &SourceContainer,
    opened: bool,
    cancel: &crate::cancel::Cancel,
) -> Result<(Peek, Guest)> {
    if container.access != Access::Open && !opened {
        return Err(Error::new("its ploop image is not mounted; a migration mounts it, a look does not"));
    }
    let peek = match container.origin {
        Origin::Archive => peek::fetch_archive(source, &container.tree, cancel)?,
        Origin::Node | Origin::Disk => peek::fetch(source, &container.tree, cancel)?,
    };
    let guest = guest::detect(peek.rootfs())?;
    Ok((peek, guest))
}

fn not_seen(error: &crate::error::Error) -> Finding {
    Finding::new(
        crate::model::finding::Severity::Skipped,
        "guest-not-seen",
        "the guest could not be looked at beforehand",
    )
    .detail(error.chain().join(": "))
    .remedy("libc, init and architecture were not checked; the fixups look again at the copy")
}
