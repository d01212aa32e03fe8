//! What the steps of one migration share: the plan, the tools, and what is open right now.

use super::opening::Opening;
use super::plan::Plan;
use crate::cancel::Cancel;
use crate::cluster::Cluster;
use crate::error::{Doing, Error, Result};
use crate::event::{Event, EventSink};
use crate::fixup::Catalogue;
use crate::host::{Command, Host};
use crate::model::container::Origin;
use crate::model::finding::Finding;
use crate::openvz::Node;
use crate::rootfs::Rootfs;
use crate::runtime::Lxc;
use crate::transfer::{Check, Engine, Job, Pass, Stats, Verified};
use crate::volume::{OpenVolume, Storage};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The adapters of one migration.
pub struct Tools {
    /// The source node's connection.
    pub source: Arc<dyn Host>,
    /// The source node.
    pub node: Arc<Node>,
    /// The target's storage.
    pub storage: Box<dyn Storage>,
    /// The copy engine.
    pub engine: Box<dyn Engine>,
    /// The cluster.
    pub cluster: Box<dyn Cluster>,
    /// LXC on this host.
    pub lxc: Lxc,
    /// The fixup modules.
    pub catalogue: Catalogue,
    /// Takes events.
    pub events: Arc<dyn EventSink>,
    /// A request to stop.
    pub cancel: Cancel,
}

/// One migration under way.
pub struct Migration<'a> {
    /// What is to be done.
    pub plan: &'a Plan,
    /// By what.
    pub tools: &'a Tools,
    /// What the operator should know, as it turns up.
    pub findings: Vec<Finding>,
    /// Leave volume and configuration in place when taking back: what the container wrote on the target is in there.
    pub keep_target: bool,
    /// The container was healthy on the target: it is shut down, not killed, when it is taken back.
    pub healthy: bool,
    ran: Option<bool>,
    open: Option<Box<dyn OpenVolume>>,
    source: Opening,
}

impl<'a> Migration<'a> {
    /// Begins with nothing open.
    pub fn new(plan: &'a Plan, tools: &'a Tools) -> Migration<'a> {
        Migration {
            plan,
            tools,
            findings: Vec::new(),
            keep_target: false,
            healthy: false,
            ran: None,
            open: None,
            source: Opening::default(),
        }
    }

    /// Returns the container's tree on the volume, mounting it when it is not.
    pub fn tree(&mut self) -> Result<&Rootfs> {
        let volume = match self.open.take() {
            Some(volume) => volume,
            None => self.tools.storage.open(&self.plan.volume, &self.plan.mount_point)?,
        };
        Ok(self.open.insert(volume).rootfs())
    }

    /// Makes the tree on the source readable, when it is not.
    pub fn open_source(&mut self) -> Result<()> {
        self.source.open(&self.tools.node, &self.plan.container)
    }

    /// Leaves the tree on the source as it was found.
    pub fn close_source(&mut self) -> Result<()> {
        let mounted = std::mem::take(&mut self.source).mounted;
        self.on_node(|node| Opening::unmount(mounted, node, &self.plan.container))
    }

    /// Tells whether the container ran on the source when it was stopped, or will be stopped; it runs on the target then.
    pub fn ran(&self) -> bool {
        self.ran.unwrap_or(self.plan.start)
    }

    /// Says whether the container ran when it was to be stopped.
    pub fn set_ran(&mut self, ran: bool) {
        self.ran = Some(ran);
    }

    /// Unmounts the volume when it is mounted, by this run or by one that died.
    pub fn close_tree(&mut self) -> Result<()> {
        if let Some(volume) = self.open.take() {
            volume.close()?;
        }
        self.tools.storage.unmount_stale(&self.plan.mount_point)?;
        match std::fs::remove_dir(&self.plan.mount_point) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                tracing::debug!("{} stays: {e}", self.plan.mount_point.display());
            }
            _ => {}
        }
        Ok(())
    }

    /// Does something on the source node that must not fail because the connection was lost meanwhile: then it is done
    /// over a new one, which is tried for about a minute.
    pub fn on_node<T>(&self, work: impl Fn(&Node) -> Result<T>) -> Result<T> {
        let first = match work(&self.tools.node) {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        let alive = Command::read("true").timeout(Duration::from_secs(10));
        if self.tools.source.run(&alive).is_ok() {
            return Err(first); // the node itself said no
        }
        for pause in [0, 2, 5, 10, 20, 30] {
            std::thread::sleep(Duration::from_secs(pause));
            match self.tools.source.another().and_then(|host| self.tools.node.again(Arc::from(host))) {
                Ok(node) => return work(&node),
                Err(error) => tracing::warn!("{}: {error}", self.tools.source.label()),
            }
        }
        Err(first)
    }

    /// Returns a file beside the journal.
    pub fn state_file(&self, name: &str) -> PathBuf {
        self.plan.mount_point.with_file_name(name)
    }

    /// Removes a file beside the journal; absent is fine.
    pub fn remove_state_file(&self, name: &str) -> Result<()> {
        let path = self.state_file(name);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).doing(|| format!("removing {}", path.display()))
            }
            _ => Ok(()),
        }
    }

    /// Copies the tree once.
    pub fn copy(&mut self, phase: &str, pass: Pass) -> Result<Stats> {
        self.tree()?;
        let Some(volume) = &self.open else { return Ok(Stats::default()) };
        let job = self.job(phase, pass, volume.rootfs());
        let stats = self.tools.engine.run(&job)?;
        for finding in &stats.findings {
            self.report(finding.clone());
        }
        Ok(stats)
    }

    /// Walks the source's tree once more, so that the last pass finds it in the node's memory. Fails where that pass would
    /// refuse the tree: nothing was stopped yet.
    pub fn warm(&mut self, phase: &str) -> Result<()> {
        self.tree()?;
        let Some(volume) = &self.open else { return Ok(()) };
        self.tools.engine.warm(&self.job(phase, Pass::Live, volume.rootfs()))?;
        self.tools.cancel.check()
    }

    /// Says that something other than a copy is about to change the tree.
    pub fn touch_tree(&mut self) -> Result<()> {
        self.tree()?;
        let Some(volume) = &self.open else { return Ok(()) };
        self.tools.engine.target_changes(&self.job("", Pass::Final, volume.rootfs()))
    }

    /// Compares the copy with the source, which is stopped; differences are no error here.
    pub fn verify(&mut self, phase: &str, check: &Check<'_>) -> Result<Verified> {
        self.verify_as(phase, Pass::Final, check)
    }

    /// Compares the copy with the source; what vanishes there meanwhile is fine when the pass is a live one.
    pub fn verify_as(&mut self, phase: &str, pass: Pass, check: &Check<'_>) -> Result<Verified> {
        self.tree()?;
        let Some(volume) = &self.open else { return Err(Error::new("the volume is not open")) };
        let verified = self.tools.engine.verify(&self.job(phase, pass, volume.rootfs()), check)?;
        for finding in &verified.findings {
            self.report(finding.clone());
        }
        Ok(verified)
    }

    /// Returns one pass of the copy as a job.
    pub fn job<'j>(&'j self, phase: &str, pass: Pass, target: &'j Rootfs) -> Job<'j> {
        let usage = &self.plan.container.usage;
        Job {
            source: self.tools.source.as_ref(),
            tree: self.plan.container.tree.clone(),
            target,
            pass,
            still: stands_still(self.plan.container.origin, pass),
            excludes: excludes(),
            tuning: self.plan.tuning,
            ctid: self.ctid(),
            phase: phase.to_owned(),
            expected: Some((usage.inodes, usage.bytes.0)),
            events: self.tools.events.as_ref(),
            cancel: &self.tools.cancel,
        }
    }

    /// Keeps a finding for the report and tells whoever watches.
    pub fn report(&mut self, finding: Finding) {
        if !self.findings.contains(&finding) {
            self.tools.events.emit(&Event::Finding { ctid: self.ctid(), finding: finding.clone() });
            self.findings.push(finding);
        }
    }

    /// Returns the CTID as text.
    pub fn ctid(&self) -> String {
        self.plan.container.ctid.to_string()
    }
}

/// Tells whether nothing changes the source any more: the container was stopped. Of a directory on some disk nobody knows.
fn stands_still(origin: Origin, pass: Pass) -> bool {
    pass == Pass::Final && origin == Origin::Node
}

/// What never belongs to a container's tree although it may lie in it: the contents of the kernel's own file systems, the
/// markers of a running container, the file system's lost+found.
pub fn excludes() -> Vec<PathBuf> {
    ["proc/*", "sys/*", "lost+found", ".running"].map(PathBuf::from).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_container_that_was_stopped_stands_still() {
        assert!(stands_still(Origin::Node, Pass::Final));
        for (origin, pass) in [(Origin::Node, Pass::Live), (Origin::Disk, Pass::Final), (Origin::Archive, Pass::Final)]
        {
            assert!(!stands_still(origin, pass), "{origin:?} {pass:?}");
        }
    }
}
