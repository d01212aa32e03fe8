//! The source node's room against the stand-in for an OpenVZ node, over real SSH.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::host::{Destination, Host, OpenSsh, SshOverrides, SshProfile};
use ovz2lxc::model::container::{Layout, Status};
use ovz2lxc::model::ctid::Ctid;
use ovz2lxc::openvz::{Fenced, Node};
use std::sync::Arc;
use std::time::Duration;
use support::node::TestNode;

fn open(node: &TestNode) -> Node {
    let destination = Destination::parse(&format!("root@127.0.0.1:{}", node.port)).unwrap();
    let (identity, known_hosts) = (Some(node.key.clone()), Some(node.known_hosts.clone()));
    let overrides = SshOverrides { identity, known_hosts, ..SshOverrides::default() };
    let profile = SshProfile::resolve(&destination, &overrides).unwrap();
    let host: Arc<dyn Host> = Arc::new(OpenSsh::connect(profile, false).unwrap());
    Node::open(host).unwrap()
}

#[test]
fn a_node_is_listed_described_stopped_fenced_and_put_back() {
    let Some(stand_in) = TestNode::up("openvz_node") else { return };
    // The description breaks vzlist's JSON; the limit needs the node's CPUs.
    let lines = ["--line", "DESCRIPTION=\"say \\\"hi\\\"\"", "--line", "CPULIMIT=\"50%\""];
    let named = ["--empty", "--ip", "10.0.0.1/24 2001:db8::1", "--hostname", "web1.example.com", "--name", "web 1"];
    stand_in.add_container("101", &[&named[..], &lines[..]].concat());
    stand_in.add_container("102", &["--empty", "--stopped"]);
    let node = open(&stand_in);

    let list = node.list().unwrap();
    assert_eq!(list.iter().map(|one| one.ctid.as_str()).collect::<Vec<_>>(), ["101", "102"]);
    assert_eq!(
        (list[0].name.as_deref(), list[0].status, list[1].status),
        (Some("web 1"), Status::Running, Status::Stopped)
    );
    assert_eq!(list[0].addresses, ["10.0.0.1", "2001:db8::1"]);

    let id = node.resolve("web 1").unwrap();
    assert_eq!(id, node.resolve("101").unwrap());
    assert!(
        node.resolve("999").unwrap_err().to_string().starts_with("container 999 does not exist on root@127.0.0.1:")
    );

    let ct = node.describe(&id, &[]).unwrap();
    assert_eq!((ct.status, ct.layout), (Status::Running, Layout::Simfs));
    assert_eq!(ct.config_path.to_str(), Some("/etc/sysconfig/vz-scripts/101.conf"));
    assert_eq!(ct.tree.to_str(), Some("/vz/private/101"));
    assert_eq!(ct.ve.limits.memory_bytes, Some(512 << 20));
    assert_eq!(ct.ve.limits.cpu_quota_percent, Some(50 * u64::from(ct.node_cpus)));
    assert!(ct.usage.inodes > 0 && ct.usage.bytes.0 > 0 && !ct.dump);

    let file = stand_in.conf.join("101.conf");
    let before = std::fs::read(&file).unwrap();
    node.stop(&id, Duration::from_secs(30)).unwrap();
    node.stop(&id, Duration::from_secs(30)).unwrap();
    assert_eq!(node.status(&id).unwrap(), Status::Stopped);
    let fenced = node.fence(&id).unwrap();
    assert_eq!((fenced.onboot, fenced.disabled), (Some(true), None));
    assert!(node.start(&id).unwrap_err().chain().join(" ").contains("disabled"));
    let journalled: Fenced = serde_json::from_str(&serde_json::to_string(&fenced).unwrap()).unwrap();
    node.unfence(&id, &journalled).unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), before, "byte for byte what it was");
    node.start(&id).unwrap();
    assert_eq!(node.status(&id).unwrap(), Status::Running);

    // ONBOOT was never set there, and is not afterwards.
    let (id, file) = (Ctid::parse("102").unwrap(), stand_in.conf.join("102.conf"));
    let bare = "VE_ROOT=\"/vz/root/$VEID\"\nVE_PRIVATE=\"/vz/private/$VEID\"\n";
    std::fs::write(&file, bare).unwrap();
    let fenced = node.fence(&id).unwrap();
    assert_eq!((fenced.onboot, fenced.disabled), (None, None));
    assert!(std::fs::read_to_string(&file).unwrap().contains("DISABLED=\"yes\""));
    node.unfence(&id, &fenced).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), bare);

    stand_in.fail("101", "stop", 9);
    let error = node.stop(&Ctid::parse("101").unwrap(), Duration::from_secs(30)).unwrap_err();
    assert!(error.chain().join(" ").contains("locked by another vzctl"), "{error:?}");
}
