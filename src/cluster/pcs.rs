//! The running cluster: edits are made by pcs in a copy of the CIB and pushed as one transaction.

use super::file::{Verify, refuse_taken, run_edit};
use super::resource::{LIMIT, access_mode, register_commands, registered};
use super::{Cluster, facts, live};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host, Output};
use crate::model::facts::ClusterFacts;
use crate::model::resource::ResourcePlan;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How often an edit is made again when somebody else changed the cluster meanwhile.
const ATTEMPTS: u32 = 3;

/// The cluster that this host is a node of.
pub struct Pcs {
    host: Arc<dyn Host>,
    patience: Duration,
}

impl Pcs {
    /// Makes the adapter for the cluster of this host.
    pub fn new(host: Arc<dyn Host>) -> Pcs {
        Pcs { host, patience: Duration::from_secs(120) }
    }

    /// Waits at most this long for the cluster to see what was done. 120 s by default.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Pcs {
        self.patience = patience;
        self
    }

    fn host(&self) -> &dyn Host {
        self.host.as_ref()
    }

    /// Edits a copy of the CIB and patches the cluster with the difference: all of it or nothing.
    fn edit(&self, verify: Verify, commands: impl Fn(&Path) -> Vec<Command>) -> Result<()> {
        let mut attempt = 1;
        loop {
            let pushed = self.edit_once(verify, &commands)?;
            if pushed.status == 0 {
                return Ok(());
            }
            if attempt == ATTEMPTS {
                return pushed.ok(&patch_command(), self.host.label()).map(|_| ());
            }
            attempt += 1;
        }
    }

    fn edit_once(&self, verify: Verify, commands: &impl Fn(&Path) -> Vec<Command>) -> Result<Output> {
        let dir = tempfile::tempdir().doing(|| "making a directory for a copy of the CIB")?;
        let (original, edited) = (dir.path().join("original.xml"), dir.path().join("edited.xml"));
        let xml = live::query(self.host())?;
        for file in [&original, &edited] {
            std::fs::write(file, &xml).doing(|| format!("writing {}", file.display()))?;
        }
        run_edit(self.host(), &edited, &commands(&edited), verify)?;
        let diff = diff_command(&original, &edited);
        let difference = self.host.run(&diff)?;
        // diff's own convention: 0 nothing, 1 something, more an error.
        match difference.status {
            0 => Ok(difference),
            1 => self.host.run(&patch_command().stdin(difference.stdout)),
            _ => difference.ok(&diff, self.host.label()),
        }
    }

    fn top(&self, id: &str) -> Result<Option<String>> {
        registered(&live::cib(self.host())?, id)
    }
}

fn diff_command(original: &Path, edited: &Path) -> Command {
    // Without versions, so that a change elsewhere in the CIB does not make it fail.
    let command = Command::read("crm_diff").arg("--original").arg(original).arg("--new").arg(edited);
    command.arg("--no-version").timeout(LIMIT)
}

fn patch_command() -> Command {
    Command::write("cibadmin").args(["--patch", "--xml-pipe"]).timeout(LIMIT)
}

impl Cluster for Pcs {
    fn name(&self) -> String {
        "pcs".to_owned()
    }

    fn inspect(&self, resource_id: &str, lxc_path: &Path) -> Result<ClusterFacts> {
        let script = "for p; do command -v -- \"$p\" >/dev/null || echo \"$p\"; done";
        let programs = ["pcs", "cibadmin", "crm_diff", "crm_node", "crm_resource", "crm_simulate", "crm_verify"];
        let missing = self.host.run_ok(&Command::read("sh").args(["-c", script, "sh"]).args(programs))?.text();
        let missing = missing.split_whitespace().collect::<Vec<_>>().join(", ");
        if !missing.is_empty() {
            let trouble = Some(format!("not installed: {missing}"));
            return Ok(ClusterFacts { present: true, trouble, ..ClusterFacts::default() });
        }
        let cib = live::cib(self.host())?;
        let mut facts = facts::from_cib(&cib, resource_id, lxc_path);
        facts::of_this_node(self.host(), &cib, lxc_path, &mut facts)?;
        Ok(facts)
    }

    /// The file is a copy of the CIB in a temporary directory.
    fn register_commands(&self, plan: &ResourcePlan) -> Vec<Command> {
        let (original, edited) = (Path::new("original.xml"), Path::new("edited.xml"));
        let mode = access_mode(self.host(), plan).unwrap_or("system_id");
        let mut commands = vec![live::query_command()];
        commands.extend(register_commands(plan, mode, edited));
        commands.extend([diff_command(original, edited), patch_command()]);
        commands
    }

    fn register(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("registering {} in the cluster", plan.id);
        refuse_taken(&live::cib(self.host()).doing(what)?, plan).doing(what)?;
        let mode = access_mode(self.host(), plan).doing(what)?;
        self.edit(Verify::Yes, |file| register_commands(plan, mode, file)).doing(what)
    }

    fn hand_over(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("handing {} over to the cluster", plan.id);
        let top = self.top(&plan.id).doing(what)?.ok_or_else(|| Error::new("it is not registered")).doing(what)?;
        live::adopt(self.host(), &top, plan, self.patience).doing(what)
    }

    fn stop(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("stopping {} in the cluster", plan.id);
        let Some(top) = self.top(&plan.id).doing(what)? else { return Ok(()) };
        // The agent may take all of the stop's timeout.
        let patience = self.patience + Duration::from_secs(u64::from(plan.stop_timeout));
        live::stop(self.host(), &top, &plan.id, patience).doing(what)
    }

    fn unregister(&self, plan: &ResourcePlan) -> Result<()> {
        let what = || format!("removing {} from the cluster", plan.id);
        let Some(top) = self.top(&plan.id).doing(what)? else { return Ok(()) };
        live::forget(self.host(), &top, &plan.id, self.patience).doing(what)?;
        self.edit(Verify::No, |file| vec![super::resource::pcs(file).args(["resource", "delete", &top])]).doing(what)
    }
}
