//! What a cluster is like, before anything is registered in it.

use super::cib::Cib;
use super::resource::Ids;
use crate::error::Result;
use crate::host::{Command, Host};
use crate::model::facts::ClusterFacts;
use std::path::Path;

/// Where resource-agents installs the agent that runs containers.
const AGENT: &str = "/usr/lib/ocf/resource.d/heartbeat/lxc";

/// Reads a CIB's answers.
pub(crate) fn from_cib(cib: &Cib, id: &str, lxc_path: &Path) -> ClusterFacts {
    let taken = Ids::of(id).all().iter().any(|id| cib.has_id(id));
    let mut facts = ClusterFacts {
        present: true,
        resource_exists: taken || cib.runs_container(id).is_some(),
        shared_fs: cib.shared_fs(lxc_path).map(str::to_owned),
        trouble: None,
        notes: Vec::new(),
    };
    if is_true(cib.property("maintenance-mode")) {
        facts.trouble = Some("the cluster is in maintenance mode: it starts and watches nothing".to_owned());
    }
    if is_false(cib.property("stonith-enabled")) {
        facts
            .notes
            .push("fencing is off (stonith-enabled=false): a node that hangs can keep its containers".to_owned());
    }
    if matches!(cib.resource_default("resource-stickiness"), None | Some("0")) {
        facts.notes.push("resource-stickiness is 0: containers go back to another node by themselves".to_owned());
    }
    facts
}

/// Adds what only the cluster's node itself knows.
pub(crate) fn of_this_node(host: &dyn Host, cib: &Cib, lxc_path: &Path, facts: &mut ClusterFacts) -> Result<()> {
    let trouble = if cib.quorum() == Some(false) {
        Some("this part of the cluster has no quorum".to_owned())
    } else if host.read_file(Path::new(AGENT), 1 << 20)?.is_none() {
        Some(format!("the resource agent ocf:heartbeat:lxc is not installed here ({AGENT})"))
    } else {
        other_lxc_path(host, lxc_path)
    };
    facts.trouble = facts.trouble.take().or(trouble);
    Ok(())
}

/// The agent calls lxc-start without -P: a container is found only below LXC's own path.
fn other_lxc_path(host: &dyn Host, lxc_path: &Path) -> Option<String> {
    let output = host.run(&Command::read("lxc-config").arg("lxc.lxcpath")).ok()?;
    let (said, wanted) = (output.text(), lxc_path.to_string_lossy().into_owned());
    let said = said.trim();
    (output.status == 0 && !said.is_empty() && said.trim_end_matches('/') != wanted.trim_end_matches('/'))
        .then(|| format!("ocf:heartbeat:lxc looks for containers under {said}, not under {wanted}"))
}

fn is_true(value: Option<&str>) -> bool {
    value.is_some_and(|v| ["true", "on", "yes", "y", "1"].contains(&v.to_ascii_lowercase().as_str()))
}

fn is_false(value: Option<&str>) -> bool {
    value.is_some_and(|v| ["false", "off", "no", "n", "0"].contains(&v.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Replay;

    fn cib(properties: &str, defaults: &str, attributes: &str) -> Cib {
        let xml = format!(
            "<cib {attributes}><configuration><crm_config><cluster_property_set id='p'>{properties}\
             </cluster_property_set></crm_config><resources><group id='lxc-b-group'/></resources><rsc_defaults>\
             <meta_attributes id='d'>{defaults}</meta_attributes></rsc_defaults></configuration></cib>"
        );
        Cib::parse(xml.as_bytes()).unwrap()
    }

    #[test]
    fn a_sound_cluster_has_neither_trouble_nor_notes() {
        let cib = cib("", "<nvpair id='s' name='resource-stickiness' value='100'/>", "have-quorum='1'");
        let mut facts = from_cib(&cib, "lxc-a", Path::new("/var/lib/lxc"));
        let host =
            Replay::new("h").file(AGENT, "#!/bin/sh").expect(["lxc-config", "lxc.lxcpath"], 0, "/var/lib/lxc\n", "");
        of_this_node(&host, &cib, Path::new("/var/lib/lxc"), &mut facts).unwrap();
        assert_eq!(facts, ClusterFacts { present: true, ..ClusterFacts::default() });
    }

    #[test]
    fn trouble_and_notes_are_said() {
        let maintenance = cib("<nvpair id='m' name='maintenance-mode' value='true'/>", "", "");
        assert!(from_cib(&maintenance, "lxc-a", Path::new("/x")).trouble.unwrap().contains("maintenance"));
        let unfenced = cib("<nvpair id='m' name='stonith-enabled' value='false'/>", "", "");
        assert_eq!(from_cib(&unfenced, "lxc-a", Path::new("/x")).notes.len(), 2);
        assert!(from_cib(&unfenced, "lxc-b", Path::new("/x")).resource_exists, "the group's id is taken");
        let trouble = |host: Replay, attributes: &str| {
            let cib = cib("", "", attributes);
            let mut facts = ClusterFacts::default();
            of_this_node(&host, &cib, Path::new("/var/lib/lxc"), &mut facts).unwrap();
            facts.trouble.unwrap()
        };
        assert!(trouble(Replay::new("h"), "have-quorum='0'").contains("quorum"));
        assert!(trouble(Replay::new("h"), "have-quorum='1'").contains(AGENT));
        let elsewhere = Replay::new("h").file(AGENT, "").expect(["lxc-config", "lxc.lxcpath"], 0, "/srv/lxc\n", "");
        assert!(trouble(elsewhere, "have-quorum='1'").contains("under /srv/lxc, not under /var/lib/lxc"));
    }
}
