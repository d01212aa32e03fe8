//! What can be done only with a running cluster: letting it adopt a running container, and making it forget one.
//!
//! Both were worked out on Pacemaker 2.1.5 (`tests/lab`) and hold from 1.1.18 on, where `crm_resource --refresh` got its
//! meaning.

use super::cib::Cib;
use super::resource::{Ids, LIMIT};
use crate::error::{Doing, Error, Result};
use crate::host::{Command, Host};
use crate::model::resource::ResourcePlan;
use std::fmt::Write;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at the cluster: a probe takes a second or two.
const PAUSE: Duration = Duration::from_millis(500);

/// Returns the command that reads the CIB.
pub(crate) fn query_command() -> Command {
    Command::read("cibadmin").arg("--query").timeout(LIMIT)
}

/// Reads the CIB as XML.
pub(crate) fn query(host: &dyn Host) -> Result<Vec<u8>> {
    Ok(host.run_ok(&query_command())?.stdout)
}

/// Reads the CIB.
pub(crate) fn cib(host: &dyn Host) -> Result<Cib> {
    Cib::parse(&query(host)?)
}

/// Lets the cluster find the running container on this node, and manage it from then on.
///
/// Until the last step the resource is not managed, so whatever the cluster believes it does nothing. Before that step
/// Pacemaker's own policy engine is asked what it would do.
pub(crate) fn adopt(host: &dyn Host, top: &str, plan: &ResourcePlan, patience: Duration) -> Result<()> {
    let node = this_node(host)?;
    let ids = Ids::of(&plan.id);
    let parts: Vec<&str> = match plan.logical_volume {
        Some(_) => vec![&ids.volume, &ids.container],
        None => vec![&ids.container],
    };
    host.run_ok(&meta(top).args(["--set-parameter", "is-managed", "--parameter-value", "false"]))?;
    host.run_ok(&meta(top).args(["--delete-parameter", "target-role"]))?;
    // Forgets the probe from before the container was started, and looks again.
    host.run_ok(&refresh(top).args(["--node", &node]))?;
    for part in &parts {
        wait_until_here(host, part, &node, patience)?;
    }
    let actions = actions_when_managed(host, top, &ids)?;
    if !actions.is_empty() {
        return Err(Error::new(format!("it would not leave the container alone: {}", actions.join("; "))).hint(
            format!("the container runs and is not managed; when that is what you want: pcs resource manage {top}"),
        ));
    }
    host.run_ok(&meta(top).args(["--delete-parameter", "is-managed"]))?;
    settle(host, patience)?;
    parts.iter().try_for_each(|part| wait_until_here(host, part, &node, patience))
}

/// Makes the cluster forget that it ever saw these resources, without stopping them.
///
/// A resource that is removed while the cluster remembers it running is an orphan, and orphans are stopped. So it is
/// taken out of management, its history is deleted, and constraints keep every node from looking again. They refer to the
/// resource, so they go with it.
pub(crate) fn forget(host: &dyn Host, top: &str, id: &str, patience: Duration) -> Result<()> {
    let here = this_node(host)?;
    let said = host.run_ok(&locate(id))?.text();
    if let Some(other) = running_on(&said).into_iter().find(|n| *n != here) {
        // Forgotten there, it would run on unseen, and its volume could not be removed from here.
        return Err(Error::new(format!("it runs on {other}, not on this node")).hint(format!(
            "move it here first (pcs resource move {top} {here}), or stop it (pcs resource disable {top})"
        )));
    }
    host.run_ok(&meta(top).args(["--set-parameter", "is-managed", "--parameter-value", "false"]))?;
    settle(host, patience)?;
    let before = cib(host)?;
    let mut xml = "<constraints>".to_owned();
    for (i, node) in before.nodes().into_iter().enumerate() {
        let node = quick_xml::escape::escape(node);
        let _ = write!(
            xml,
            "<rsc_location id=\"{id}-leave-{i}\" rsc=\"{top}\" node=\"{node}\" score=\"0\" \
             resource-discovery=\"never\"/>"
        );
    }
    xml.push_str("</constraints>");
    let constrain = Command::write("cibadmin").args(["--modify", "--allow-create", "-o", "constraints", "--xml-text"]);
    host.run_ok(&constrain.arg(xml).timeout(LIMIT))?;
    host.run_ok(&refresh(top))?;
    let ids = Ids::of(id);
    let deadline = Instant::now() + patience;
    while cib(host)?.remembered(&ids.all()) {
        if Instant::now() >= deadline {
            return Err(Error::new("it does not forget the resource, and would stop the container with it")
                .hint(format!("it is not managed now; stop the container, then: pcs resource delete {top}")));
        }
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

fn this_node(host: &dyn Host) -> Result<String> {
    Ok(host.run_ok(&Command::read("crm_node").arg("-n").timeout(LIMIT))?.text().trim().to_owned())
}

fn locate(id: &str) -> Command {
    Command::read("crm_resource").args(["--locate", "--resource", id]).timeout(LIMIT)
}

/// Has the cluster stop a resource on whatever node it runs, and waits until it runs nowhere.
pub(crate) fn stop(host: &dyn Host, top: &str, id: &str, patience: Duration) -> Result<()> {
    host.run_ok(&meta(top).args(["--set-parameter", "target-role", "--parameter-value", "Stopped"]))?;
    host.run_ok(&meta(top).args(["--delete-parameter", "is-managed"]))?;
    settle(host, patience)?;
    let deadline = Instant::now() + patience;
    loop {
        let said = host.run_ok(&locate(id))?.text();
        let nodes = running_on(&said);
        if nodes.is_empty() {
            return Ok(());
        }
        if Instant::now() >= deadline {
            return Err(Error::new(format!("{id} still runs on {}", nodes.join(", "))).hint(format!(
                "see crm_mon -1rf; once it is stopped everywhere, take the migration back again: {id}"
            )));
        }
        std::thread::sleep(PAUSE);
    }
}

fn meta(top: &str) -> Command {
    Command::write("crm_resource").args(["--resource", top, "--meta"]).timeout(LIMIT)
}

fn refresh(top: &str) -> Command {
    Command::write("crm_resource").args(["--refresh", "--resource", top]).timeout(LIMIT)
}

/// Waits until the cluster has nothing more to do. Something else that never settles is no error here.
fn settle(host: &dyn Host, patience: Duration) -> Result<()> {
    let seconds = format!("--timeout={}", patience.as_secs().max(1));
    let command = Command::read("crm_resource").args(["--wait", &seconds]).timeout(patience + LIMIT);
    host.run(&command).map(|_| ())
}

fn wait_until_here(host: &dyn Host, id: &str, node: &str, patience: Duration) -> Result<()> {
    let command = locate(id);
    let deadline = Instant::now() + patience;
    loop {
        let said = host.run_ok(&command)?.text();
        let nodes = running_on(&said);
        if nodes == [node] {
            return Ok(());
        }
        if let Some(other) = nodes.iter().find(|n| **n != node) {
            return Err(Error::new(format!("the cluster finds {id} running on {other}, not only on this node"))
                .hint("it is not managed; find out which copy is the right one before anything else"));
        }
        if Instant::now() >= deadline {
            return Err(Error::new(format!("the cluster does not find {id} running on {node}"))
                .hint(format!("it is not managed; see crm_mon -1rf, then: crm_resource --refresh --resource {id}")));
        }
        std::thread::sleep(PAUSE);
    }
}

/// `resource X is running on: node1`, a line for every node; nothing of the sort while it runs nowhere.
fn running_on(said: &str) -> Vec<&str> {
    let places = said.lines().filter_map(|l| l.split_once("is running on: "));
    places.filter_map(|(_, rest)| rest.split_whitespace().next()).collect()
}

/// Asks the policy engine what it would do to these resources if they were managed.
fn actions_when_managed(host: &dyn Host, top: &str, ids: &Ids) -> Result<Vec<String>> {
    let file = tempfile::NamedTempFile::new().doing(|| "making a copy of the CIB")?;
    std::fs::write(file.path(), query(host)?).doing(|| "writing a copy of the CIB")?;
    let mut variable = std::ffi::OsString::from("CIB_file=");
    variable.push(file.path());
    // Changes the copy only.
    let manage = Command::read("env").arg(variable).args(["crm_resource", "--resource", top, "--meta"]);
    host.run_ok(&manage.args(["--delete-parameter", "is-managed"]).timeout(LIMIT))?;
    let simulate = Command::read("crm_simulate").arg("--xml-file").arg(file.path() as &Path).arg("--simulate");
    Ok(actions_on(&host.run_ok(&simulate.timeout(LIMIT))?.text(), ids))
}

/// The lines of the transition summary that name one of these resources.
fn actions_on(summary: &str, ids: &Ids) -> Vec<String> {
    let lines = summary.lines().skip_while(|l| !l.starts_with("Transition Summary"));
    let lines = lines.skip(1).take_while(|l| !l.starts_with("Executing")).map(str::trim);
    let ours = |l: &&str| l.split_whitespace().any(|word| ids.all().contains(&word));
    lines.filter(ours).map(|l| l.trim_start_matches("* ").split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_read_from_crm_resource() {
        assert_eq!(running_on("resource lxc-web is running on: node1 \n"), ["node1"]);
        assert_eq!(running_on("resource lxc-web is NOT running\n"), [""; 0]);
        assert_eq!(running_on("resource x is running on: a\nresource x is running on: b Promoted\n"), ["a", "b"]);
    }

    #[test]
    fn only_what_the_policy_engine_would_do_to_ours_counts() {
        let summary = "Current cluster status:\n  * lxc-web\t(ocf:heartbeat:lxc):\t Started node1\n\n\
            Transition Summary:\n  * Move       lxc-web    ( node1 -> node2 )\n  * Stop       lxc-web2   ( node1 )\n\n\
            Executing Cluster Transition:\n  * Resource action: lxc-web stop on node1\n";
        assert_eq!(actions_on(summary, &Ids::of("lxc-web")), ["Move lxc-web ( node1 -> node2 )"]);
        assert_eq!(actions_on(summary, &Ids::of("lxc-web3")), [""; 0]);
    }
}
