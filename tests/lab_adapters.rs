//! Storage and cluster adapters on a node of the cluster in virtual machines. `tests/lab/adapters.sh` copies this test
//! there and runs it with `OVZ2LXC_LAB=1`; anywhere else it is skipped.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use ovz2lxc::cluster::{Cluster, Pcs, detect};
use ovz2lxc::host::{Command, Host, Local};
use ovz2lxc::model::resource::ResourcePlan;
use ovz2lxc::model::size::{Bytes, MIB};
use ovz2lxc::model::volume::{FileSystem, StorageKind, VolumePlan};
use ovz2lxc::volume::{Storage, storage_for};
use std::path::Path;
use std::sync::Arc;
use support::skip;

const NAME: &str = "lxc-lab";

fn ok(program: &str, args: &[&str]) -> String {
    Local::new().run_ok(&Command::write(program).args(args)).unwrap().text()
}

fn in_lab(test: &str) -> bool {
    let lab = std::env::var_os("OVZ2LXC_LAB").is_some();
    if !lab {
        skip(test, "runs on a node of the lab only (make lab-test)");
    }
    lab
}

fn volume(kind: StorageKind) -> VolumePlan {
    VolumePlan {
        kind,
        name: NAME.into(),
        path: Path::new("/dev/shared_vg").join(NAME),
        vg: Some("shared_vg".into()),
        thin_pool: (kind == StorageKind::LvmThin).then(|| "labpool".into()),
        fs: FileSystem::Ext4,
        size: Bytes(400 * MIB),
        inodes: Some(60_000),
        shared: true,
    }
}

fn logical_volumes() -> String {
    ok("lvs", &["--noheadings", "-o", "lv_name,lv_active", "shared_vg"])
}

fn fill(storage: &dyn Storage, plan: &VolumePlan) {
    let open = storage.open(plan, Path::new("/run/ovz2lxc-lab")).unwrap();
    let root = open.rootfs().path().to_str().unwrap().to_owned();
    ok("tar", &["-C", &root, "--numeric-owner", "-xpf", "/dev/vdc"]);
    std::fs::write(format!("{root}/etc/network/interfaces"), "auto lo\niface lo inet loopback\n").unwrap();
    assert!(storage.destroy(plan).unwrap_err().chain().iter().any(|c| c.contains("in use")));
    open.close().unwrap();
}

fn write_config() {
    let dir = Path::new("/var/lib/lxc").join(NAME);
    std::fs::create_dir_all(&dir).unwrap();
    let config = format!(
        "lxc.include = /usr/share/lxc/config/common.conf\nlxc.uts.name = {NAME}\nlxc.arch = amd64\n\
         lxc.rootfs.path = lvm:/dev/shared_vg/{NAME}\nlxc.apparmor.profile = unconfined\nlxc.net.0.type = veth\n\
         lxc.net.0.link = br0\nlxc.net.0.flags = up\nlxc.net.0.ipv4.address = 192.168.77.90/24\n"
    );
    std::fs::write(dir.join("config"), config).unwrap();
}

fn init_pid() -> String {
    ok("lxc-info", &["-n", NAME, "-p", "-H"])
}

#[test]
fn a_container_lives_through_registration_adoption_and_removal() {
    if !in_lab("a_container_lives_through_registration_adoption_and_removal") {
        return;
    }
    let host: Arc<dyn Host> = Arc::new(Local::new());
    assert!(detect(host.as_ref()));
    let (storage, cluster) = (storage_for(StorageKind::Lvm, Arc::clone(&host)), Pcs::new(host));
    let plan = volume(StorageKind::Lvm);
    let facts = storage.inspect(&plan).unwrap();
    assert_eq!((facts.exists, facts.shared, facts.trouble), (false, true, None));
    let before = facts.free;
    storage.create(&plan).unwrap();
    fill(storage.as_ref(), &plan);
    assert!(storage.create(&plan).is_err(), "the name is taken");
    write_config();

    let found = cluster.inspect(NAME, Path::new("/var/lib/lxc")).unwrap();
    assert_eq!((found.present, found.resource_exists, found.trouble), (true, false, None));
    assert_eq!(found.shared_fs.as_deref(), Some("lxcconf_fs-clone"));
    let resource = ResourcePlan {
        id: NAME.into(),
        config: format!("/var/lib/lxc/{NAME}/config").into(),
        logical_volume: Some(("shared_vg".into(), NAME.into())),
        lvmlockd: true,
        shared_fs: found.shared_fs,
        start_timeout: 120,
        stop_timeout: 120,
        monitor_interval: 60,
    };
    cluster.register(&resource).unwrap();
    ok("crm_resource", &["--wait", "--timeout=60"]);
    assert!(logical_volumes().contains(&format!("{NAME}  active")), "left active: {}", logical_volumes());
    storage.activate(&plan).unwrap();
    ok("lxc-start", &["-n", NAME, "-d"]);
    ok("lxc-wait", &["-n", NAME, "-s", "RUNNING", "-t", "30"]);
    let pid = init_pid();

    cluster.hand_over(&resource).unwrap();
    assert_eq!(init_pid(), pid, "adopted without a restart");
    let monitors = ok("cibadmin", &["--query", "-o", "resources"]);
    assert!(!monitors.contains(r#"name="is-managed""#), "it is managed");
    cluster.hand_over(&resource).expect("again is fine");
    assert_eq!(init_pid(), pid);

    cluster.unregister(&resource).unwrap();
    ok("crm_resource", &["--wait", "--timeout=60"]);
    assert_eq!(init_pid(), pid, "removed without being stopped");
    assert!(!ok("cibadmin", &["--query"]).contains(NAME), "nothing of it is left in the CIB");
    cluster.unregister(&resource).expect("absent is fine");

    assert!(storage.destroy(&plan).is_err(), "it is in use");
    ok("lxc-stop", &["-n", NAME, "-t", "60"]);
    storage.deactivate(&plan).unwrap();
    storage.destroy(&plan).unwrap();
    storage.destroy(&plan).expect("absent is fine");
    assert_eq!(storage.inspect(&plan).unwrap().free, before);
    std::fs::remove_dir_all(Path::new("/var/lib/lxc").join(NAME)).unwrap();
}

#[test]
fn a_thin_volume_is_made_filled_and_removed() {
    if !in_lab("a_thin_volume_is_made_filled_and_removed") {
        return;
    }
    ok("lvcreate", &["-y", "--activate", "ey", "-L", "400M", "--type", "thin-pool", "-n", "labpool", "shared_vg"]);
    let storage = storage_for(StorageKind::LvmThin, Arc::new(Local::new()));
    let plan =
        VolumePlan { name: "lxc-thin".into(), path: "/dev/shared_vg/lxc-thin".into(), ..volume(StorageKind::LvmThin) };
    assert_eq!(storage.inspect(&plan).unwrap().free, Some(Bytes(400 * MIB)));
    storage.create(&plan).unwrap();
    fill(storage.as_ref(), &plan);
    assert!(storage.inspect(&plan).unwrap().free.unwrap() < Bytes(300 * MIB));
    storage.destroy(&plan).unwrap();
    assert!(!logical_volumes().contains("lxc-thin"));
    ok("lvremove", &["-y", "shared_vg/labpool"]);
}
