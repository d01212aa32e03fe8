//! A container as cluster resources: the ids, the commands of pcs that make and remove them in a CIB file.

use super::cib::{Cib, Element};
use crate::error::{Error, Result};
use crate::host::{Command, Host};
use crate::model::resource::ResourcePlan;
use std::path::Path;
use std::time::Duration;

/// pcs starts a Python interpreter and reads agents' metadata: a second here, ten on a slow machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(300);

/// Activating a logical volume asks the lock manager of every node; 90 s is what ocf:heartbeat:LVM-activate declares.
const VOLUME_OPERATIONS: [&str; 8] =
    ["op", "start", "timeout=90s", "stop", "timeout=90s", "monitor", "interval=30s", "timeout=90s"];

/// The ids of a container's resources. With a logical volume there is a group of the volume and the container, which
/// start in this order on one node; without, the container's primitive stands alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    /// The container's primitive.
    pub(crate) container: String,
    /// The logical volume's primitive.
    pub(crate) volume: String,
    /// The group of both.
    pub(crate) group: String,
}

impl Ids {
    pub(crate) fn of(id: &str) -> Ids {
        Ids { container: id.to_owned(), volume: format!("{id}-lv"), group: format!("{id}-group") }
    }

    pub(crate) fn all(&self) -> [&str; 3] {
        [&self.group, &self.volume, &self.container]
    }

    /// Returns what constraints and meta attributes are set on.
    pub(crate) fn top<'a>(&'a self, plan: &ResourcePlan) -> &'a str {
        if plan.logical_volume.is_some() { &self.group } else { &self.container }
    }
}

/// Returns `pcs -f FILE`.
pub(crate) fn pcs(file: &Path) -> Command {
    Command::write("pcs").arg("-f").arg(file).timeout(LIMIT)
}

/// Refuses ids that XML, pcs or a shell line would read differently.
pub(crate) fn check_id(id: &str) -> Result<()> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if id.bytes().next().is_some_and(|b| b.is_ascii_alphabetic()) && id.len() <= 200 && id.bytes().all(plain) {
        return Ok(());
    }
    Err(Error::usage(format!("\"{}\" cannot be the id of a cluster resource", id.escape_debug()))
        .hint("letters, digits and . _ - only, a letter at the start; choose another one with --name"))
}

/// Returns the commands that register a container in a CIB file, disabled and not managed.
///
/// Not managed, because the volume is active on this node by now: Pacemaker finds that by itself and would deactivate it,
/// as it would stop the container when it is started by us before the hand over.
pub(crate) fn register_commands(plan: &ResourcePlan, access_mode: &str, file: &Path) -> Vec<Command> {
    let ids = Ids::of(&plan.id);
    let mut commands = Vec::new();
    let mut container = pcs(file)
        .args(["resource", "create", &ids.container, "ocf:heartbeat:lxc"])
        .arg(format!("container={}", plan.id))
        .arg(parameter("config=", &plan.config))
        .args(["op", "start", &format!("timeout={}s", plan.start_timeout)])
        .args(["stop", &format!("timeout={}s", plan.stop_timeout)])
        .args(["monitor", &format!("interval={}s", plan.monitor_interval), "timeout=60s"]);
    if let Some((vg, lv)) = &plan.logical_volume {
        let volume = pcs(file)
            .args(["resource", "create", &ids.volume, "ocf:heartbeat:LVM-activate"])
            .args([format!("vgname={vg}"), format!("lvname={lv}")])
            .args(["activation_mode=exclusive", &format!("vg_access_mode={access_mode}")])
            .args(VOLUME_OPERATIONS)
            .args(["--group", &ids.group]);
        commands.push(volume);
        container = container.args(["--group", &ids.group]);
    }
    commands.push(container);
    let top = ids.top(plan);
    commands.push(pcs(file).args(["resource", "meta", top, "is-managed=false", "target-role=Stopped"]));
    if let Some(fs) = &plan.shared_fs {
        // The agent's error for a missing configuration file is a hard one: the node is never tried again.
        commands.push(pcs(file).args(["constraint", "order", "start", fs, "then", top]));
        commands.push(pcs(file).args(["constraint", "colocation", "add", top, "with", fs]));
    }
    commands
}

fn parameter(name: &str, value: &Path) -> std::ffi::OsString {
    let mut text = std::ffi::OsString::from(name);
    text.push(value);
    text
}

/// Returns how ocf:heartbeat:LVM-activate is to protect the volume; `None` without a logical volume.
///
/// The agent compares this with the volume group and fails hard when it does not match.
pub(crate) fn access_mode(host: &dyn Host, plan: &ResourcePlan) -> Result<&'static str> {
    let Some((vg, _)) = plan.logical_volume.as_ref().filter(|_| !plan.lvmlockd) else { return Ok("lvmlockd") };
    let fields = ["--noheadings", "--separator", "|", "-o", "vg_attr,vg_systemid"];
    let said = host.run_ok(&Command::read("vgs").args(fields).arg(vg).timeout(LIMIT))?.text();
    let (attributes, system_id) = said.trim().split_once('|').unwrap_or((said.trim(), ""));
    match (attributes.as_bytes().get(5), system_id) {
        (Some(b's'), _) => Ok("lvmlockd"),
        (Some(b'c'), _) => Ok("clvmd"),
        (_, "") => Err(Error::new(format!("volume group {vg} is not protected against use by two nodes at once"))
            .hint("make it shared (lvmlockd) or give it a system ID (lvmsystemid(7)), or migrate with --cluster none")),
        _ => Ok("system_id"),
    }
}

/// Returns what of a container's resources a CIB has, after having made sure that they are this container's.
pub(crate) fn registered(cib: &Cib, id: &str) -> Result<Option<String>> {
    let ids = Ids::of(id);
    let Some(container) = cib.resource(&ids.container) else {
        // Half of a group can only be left by hand: registering is one transaction.
        return match cib.resource(&ids.group).or(cib.resource(&ids.volume)) {
            None => Ok(None),
            Some(_) => Err(strange(id, "its group has no container")),
        };
    };
    if container.parameter("instance_attributes", "container") != Some(id) {
        return Err(strange(id, "it does not run this container"));
    }
    match cib.resource(&ids.group) {
        None => Ok(Some(ids.container)),
        Some(group) => {
            let ours =
                |e: &Element| e.name != "primitive" || [Some(ids.volume.as_str()), Some(id)].contains(&e.get("id"));
            if group.children.iter().all(ours) {
                Ok(Some(ids.group))
            } else {
                Err(strange(id, "more was added to its group"))
            }
        }
    }
}

fn strange(id: &str, why: &str) -> Error {
    Error::new(format!("cluster resource {id} is not as it was registered: {why}"))
        .hint(format!("look at it with pcs resource config {id}, and remove it by hand"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::Replay;

    fn plan() -> ResourcePlan {
        ResourcePlan {
            id: "lxc-web".into(),
            config: "/var/lib/lxc/lxc-web/config".into(),
            logical_volume: Some(("vg".into(), "lxc-web".into())),
            lvmlockd: false,
            shared_fs: Some("fs-clone".into()),
            start_timeout: 120,
            stop_timeout: 125,
            monitor_interval: 60,
        }
    }

    #[test]
    fn a_group_starts_the_volume_before_the_container() {
        let lines: Vec<String> =
            register_commands(&plan(), "lvmlockd", Path::new("F")).iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "pcs -f F resource create lxc-web-lv ocf:heartbeat:LVM-activate vgname=vg lvname=lxc-web \
                 activation_mode=exclusive vg_access_mode=lvmlockd op start timeout=90s stop timeout=90s \
                 monitor interval=30s timeout=90s --group lxc-web-group",
                "pcs -f F resource create lxc-web ocf:heartbeat:lxc container=lxc-web \
                 config=/var/lib/lxc/lxc-web/config op start timeout=120s stop timeout=125s \
                 monitor interval=60s timeout=60s --group lxc-web-group",
                "pcs -f F resource meta lxc-web-group is-managed=false target-role=Stopped",
                "pcs -f F constraint order start fs-clone then lxc-web-group",
                "pcs -f F constraint colocation add lxc-web-group with fs-clone",
            ]
        );
    }

    #[test]
    fn the_volume_group_says_how_it_is_protected() {
        let said = |words: &'static str| {
            let argv = ["vgs", "--noheadings", "--separator", "|", "-o", "vg_attr,vg_systemid", "vg"];
            access_mode(&Replay::new("h").expect(argv, 0, words, ""), &plan())
        };
        assert_eq!(said("  wz--ns|\n").unwrap(), "lvmlockd");
        assert_eq!(said("  wz--nc|\n").unwrap(), "clvmd");
        assert_eq!(said("  wz--n-|node1\n").unwrap(), "system_id");
        assert!(said("  wz--n-|\n").unwrap_err().first_hint().unwrap().contains("--cluster none"));
        let shared = ResourcePlan { lvmlockd: true, ..plan() };
        assert_eq!(access_mode(&Replay::new("h"), &shared).unwrap(), "lvmlockd");
    }

    #[test]
    fn ids_that_pcs_would_misread_are_refused() {
        for bad in ["", "-f", "1web", "a b", "a=b", "a'b", "ä"] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
        assert!(check_id("lxc-web.example_1").is_ok());
    }

    #[test]
    fn only_what_was_registered_counts_as_ours() {
        let cib = |resources: &str| {
            Cib::parse(
                format!("<cib><configuration><resources>{resources}</resources></configuration></cib>").as_bytes(),
            )
            .unwrap()
        };
        let lxc = |id: &str, name: &str| {
            format!(
                "<primitive id='{id}' class='ocf' provider='heartbeat' type='lxc'><instance_attributes id='{id}-i'>\
                 <nvpair id='{id}-c' name='container' value='{name}'/></instance_attributes></primitive>"
            )
        };
        let ours = lxc("lxc-web", "lxc-web");
        assert_eq!(registered(&cib(""), "lxc-web").unwrap(), None);
        assert_eq!(registered(&cib(&ours), "lxc-web").unwrap().as_deref(), Some("lxc-web"));
        let group = |more: &str| format!("<group id='lxc-web-group'><primitive id='lxc-web-lv'/>{ours}{more}</group>");
        assert_eq!(registered(&cib(&group("")), "lxc-web").unwrap().as_deref(), Some("lxc-web-group"));
        assert!(registered(&cib(&group("<primitive id='ip'/>")), "lxc-web").is_err());
        assert!(registered(&cib(&lxc("lxc-web", "other")), "lxc-web").is_err());
        assert!(registered(&cib("<group id='lxc-web-group'/>"), "lxc-web").is_err());
    }
}
