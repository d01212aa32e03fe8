//! From the text of a VE configuration to a container that runs: the parser, the planner and the renderer as a migration
//! uses them, on a sandbox.

use super::busybox::Sandbox;
use ovz2lxc::lxc::Rendered;
use ovz2lxc::model::container::SourceContainer;
use ovz2lxc::model::ctid::Ctid;
use ovz2lxc::model::facts::{ClusterFacts, Facts, StorageFacts};
use ovz2lxc::model::guest::{Guest, Init};
use ovz2lxc::model::settings::Settings;
use ovz2lxc::model::target::{CgroupMode, Target};
use ovz2lxc::model::volume::{StorageKind, VolumePlan};
use ovz2lxc::openvz::{self, ParseContext};
use ovz2lxc::pipeline::configure::{self, Purpose};
use ovz2lxc::pipeline::{network, planner};

/// The bridge of addresses without one.
pub const BRIDGE: &str = "br0";

/// A VE configuration and what the operator says about it.
pub struct Ve<'a> {
    /// The file.
    pub text: &'a str,
    /// Parameters whose approximation is asked for.
    pub approximate: &'a [&'a str],
    /// CPUs of the node it comes from.
    pub node_cpus: u32,
    /// What is in the tree.
    pub init: Init,
    /// The family of keys; that of this host when unset.
    pub cgroup: Option<CgroupMode>,
    /// Where the tree is; an image when unset.
    pub storage: Option<StorageKind>,
    /// The target; this host, looked at in the sandbox, when unset.
    pub target: Option<Target>,
    /// What for; a migration when unset.
    pub purpose: Purpose,
    /// Everything else.
    pub settings: Settings,
}

impl<'a> Ve<'a> {
    /// Makes one with nothing but a text.
    pub fn new(text: &'a str) -> Ve<'a> {
        Ve {
            text,
            approximate: &[],
            node_cpus: 1,
            init: Init::Busybox,
            cgroup: None,
            storage: None,
            target: None,
            purpose: Purpose::Migration,
            settings: Settings::default(),
        }
    }
}

/// A container that can be started.
pub struct Made {
    /// Its name.
    pub ct: String,
    /// What was found out.
    pub facts: Facts,
    /// Where its tree has to be.
    pub volume: VolumePlan,
    /// Its configuration.
    pub rendered: Rendered,
}

/// Turns it into a container of this sandbox with a name of the test's own.
pub fn make(sandbox: &Sandbox, short: &str, ve: &Ve<'_>) -> Made {
    let ctid = Ctid::parse("101").unwrap();
    let context = ParseContext {
        node_cpus: Some(ve.node_cpus),
        file: "/etc/vz/conf/101.conf".into(),
        approximate: ve.approximate.iter().map(|k| (*k).to_owned()).collect(),
    };
    let parsed = openvz::parse(&ctid, None, ve.text.as_bytes(), &context).unwrap();
    let target = ve.target.clone().unwrap_or_else(|| sandbox.target());
    let settings = Settings {
        // LXC names control groups after the container, and they are the host's: other tests have some too.
        name: Some(format!("{short}-{}", std::process::id())),
        lxc_path: sandbox.lxc.path().to_owned(),
        storage: ve.storage.unwrap_or(StorageKind::Image),
        cgroup: ve.cgroup,
        ..ve.settings.clone()
    };
    let container = SourceContainer::offline(ctid, parsed);
    let target_name = planner::target_name(&container, &settings);
    let facts = Facts {
        source: "node".into(),
        container,
        guest: Guest { init: ve.init, arch: target.arch.clone(), ..Guest::unknown() },
        target,
        storage: StorageFacts::default(),
        cluster: ClusterFacts::default(),
        settings,
        target_name: target_name.clone(),
    };
    let volume = planner::volume_plan(&facts).unwrap();
    let interfaces = network::interfaces(&facts, Some(BRIDGE)).unwrap();
    let rendered = configure::configuration(&facts, &volume, &interfaces, ve.purpose).unwrap();
    Made { ct: target_name, facts, volume, rendered }
}

impl Made {
    /// Starts it.
    pub fn start(&self, sandbox: &Sandbox) {
        sandbox.start(&self.ct, &self.rendered.text, self.rendered.hook.as_deref());
    }

    /// Whether something with this id was found while it was rendered.
    pub fn found(&self, id: &str) -> bool {
        self.rendered.findings.iter().any(|f| f.id == id)
    }
}
