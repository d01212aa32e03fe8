//! A CIB in a file: edited offline, pushed to a cluster by the operator.

use super::cib::Cib;
use super::resource::{Ids, access_mode, check_id, pcs, register_commands, registered};
use super::{Cluster, facts};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::facts::ClusterFacts;
use crate::model::resource::ResourcePlan;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The CIB of a cluster with thousands of resources has a few MiB.
pub(crate) const LIMIT: u64 = 64 << 20;

/// A CIB file.
pub struct CibFile {
    host: Arc<dyn Host>,
    file: PathBuf,
}

impl CibFile {
    /// Makes the adapter for a CIB file on this host.
    pub fn new(host: Arc<dyn Host>, file: PathBuf) -> CibFile {
        CibFile { host, file }
    }

    fn read(&self) -> Result<Vec<u8>> {
        let bytes = self.host.read_file(&self.file, LIMIT)?;
        bytes.ok_or_else(|| {
            Error::usage(format!("CIB file {} does not exist", self.file.display()))
                .hint("make one with: pcs cluster cib FILE")
        })
    }

    /// Edits a copy and puts it in the place of the file when all of it worked.
    fn edit(&self, verify: Verify, commands: impl FnOnce(&Path) -> Vec<Command>) -> Result<()> {
        let what = || format!("editing CIB file {}", self.file.display());
        let before = self.read()?;
        let place = self.file.canonicalize().doing(what)?;
        let dir = place.parent().unwrap_or(Path::new("/"));
        let mut copy = tempfile::NamedTempFile::new_in(dir).doing(what)?;
        copy.write_all(&before).doing(what)?;
        copy.as_file().set_permissions(place.metadata().doing(what)?.permissions()).doing(what)?;
        run_edit(self.host.as_ref(), copy.path(), &commands(copy.path()), verify).doing(what)?;
        // pcs replaces the file instead of writing into it: what is kept is the name, not the descriptor.
        std::fs::File::open(copy.path()).and_then(|f| f.sync_all()).doing(what)?;
        copy.persist(&place).map_err(|e| e.error).doing(what)?;
        Ok(())
    }
}

/// Whether an edited CIB is verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// It must be as valid as it was before.
    Yes,
    /// For a removal: crm_verify complains about what the status section still says of the resource.
    No,
}

/// Runs the commands that edit a CIB file.
pub(crate) fn run_edit(host: &dyn Host, file: &Path, commands: &[Command], verify: Verify) -> Result<()> {
    let command = Command::read("crm_verify").arg("--xml-file").arg(file).timeout(Duration::from_secs(60));
    // An empty CIB is not valid (fencing is on, and there is no device): that is not our doing.
    let compare = verify == Verify::Yes && host.run(&command)?.status == 0;
    commands.iter().try_for_each(|command| host.run_ok(command).map(|_| ()))?;
    if compare {
        host.run_ok(&command).doing(|| "verifying the edited CIB")?;
    }
    Ok(())
}

/// Refuses ids that something in the CIB has already.
pub(crate) fn refuse_taken(cib: &Cib, plan: &ResourcePlan) -> Result<()> {
    check_id(&plan.id)?;
    let ids = Ids::of(&plan.id);
    let taken = ids.all().into_iter().find(|id| cib.has_id(id)).or_else(|| cib.runs_container(&plan.id));
    match taken {
        None => Ok(()),
        Some(taken) => Err(Error::new(format!("the cluster has \"{taken}\" already"))
            .hint("choose another name with --name, or remove that resource")),
    }
}

impl Cluster for CibFile {
    fn name(&self) -> String {
        format!("cib:{}", self.file.display())
    }

    fn inspect(&self, resource_id: &str, lxc_path: &Path) -> Result<ClusterFacts> {
        let cib = Cib::parse(&self.read()?).doing(|| format!("looking at CIB file {}", self.file.display()))?;
        Ok(facts::from_cib(&cib, resource_id, lxc_path))
    }

    fn register_commands(&self, plan: &ResourcePlan) -> Vec<Command> {
        register_commands(plan, access_mode(self.host.as_ref(), plan).unwrap_or("system_id"), &self.file)
    }

    fn register(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("registering {} in {}", plan.id, self.name());
        refuse_taken(&Cib::parse(&self.read()?)?, plan).doing(what)?;
        let mode = access_mode(self.host.as_ref(), plan).doing(what)?;
        self.edit(Verify::Yes, |file| register_commands(plan, mode, file)).doing(what)
    }

    /// Enables the resource in the file; the container is found running when the file is pushed.
    fn hand_over(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("enabling {} in {}", plan.id, self.name());
        let top = registered(&Cib::parse(&self.read()?)?, &plan.id).doing(what)?;
        let top = top.ok_or_else(|| Error::new("it is not registered")).doing(what)?;
        self.edit(Verify::Yes, |file| vec![pcs(file).args(["resource", "meta", &top, "is-managed=", "target-role="])])
            .doing(what)
    }

    fn stop(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("disabling {} in {}", plan.id, self.name());
        match registered(&Cib::parse(&self.read()?)?, &plan.id).doing(what)? {
            None => Ok(()),
            Some(top) => {
                let words = ["resource", "meta", &top, "is-managed=", "target-role=Stopped"];
                self.edit(Verify::No, |file| vec![pcs(file).args(words)]).doing(what)
            }
        }
    }

    /// Pushed to a cluster in which the container runs, the file makes it an orphan, which Pacemaker stops.
    fn unregister(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("removing {} from {}", plan.id, self.name());
        match registered(&Cib::parse(&self.read()?)?, &plan.id).doing(what)? {
            None => Ok(()),
            Some(top) => self.edit(Verify::No, |file| vec![pcs(file).args(["resource", "delete", &top])]).doing(what),
        }
    }
}
