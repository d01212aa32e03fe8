//! Logical volumes, against what LVM 2.03.16 said in the cluster of `tests/lab`: this kernel may have no device mapper.
//! `tests/lab_adapters.rs` runs the same adapter on real ones.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests are tests, though clippy cannot see it")]

use ovz2lxc::host::{Exchange, Replay};
use ovz2lxc::model::size::{Bytes, GIB, MIB};
use ovz2lxc::model::volume::{FileSystem, StorageKind, VolumePlan};
use ovz2lxc::volume::{Storage, storage_for};
use std::sync::Arc;

const PROGRAMS: [&str; 8] = ["vgs", "lvs", "lvcreate", "lvchange", "lvremove", "mkfs.ext4", "mount", "umount"];
const MOUNTS: &str = "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n";

fn lv_plan() -> VolumePlan {
    VolumePlan {
        kind: StorageKind::Lvm,
        name: "lxc-t1".to_owned(),
        path: "/dev/shared_vg/lxc-t1".into(),
        vg: Some("shared_vg".to_owned()),
        thin_pool: None,
        fs: FileSystem::Ext4,
        size: Bytes(500 * MIB),
        inodes: None,
        shared: true,
    }
}

fn programs(missing: &str) -> Exchange {
    let script = "for p; do command -v -- \"$p\" >/dev/null || echo \"$p\"; done";
    Exchange::of(["sh", "-c", script, "sh"].into_iter().chain(PROGRAMS)).says(missing)
}

fn report(rows: &str, kind: &str) -> String {
    format!(
        "  {{\n      \"report\": [\n          {{\n              \"{kind}\": [\n{rows}              ]\n          }}\n      ]\n  }}\n"
    )
}

fn vgs(vg: &str) -> Exchange {
    Exchange::of(["vgs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", "vg_name,vg_attr,vg_free", vg])
}

fn shared_vg() -> Exchange {
    let row = r#"                  {"vg_name":"shared_vg", "vg_attr":"wz--ns", "vg_free":"2009071616"}"#;
    vgs("shared_vg").says(report(&format!("{row}\n"), "vg"))
}

fn lvs(rows: &[&str]) -> Exchange {
    let fields = "lv_name,lv_attr,lv_size,data_percent,lv_tags,lv_kernel_major,lv_kernel_minor";
    let rows: Vec<String> = rows.iter().map(|r| format!("                  {r}")).collect();
    Exchange::of(["lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o", fields, "shared_vg"])
        .says(report(&(rows.join(",\n") + "\n"), "lv"))
}

const CONF: &str = r#"{"lv_name":"lxc_conf", "lv_attr":"-wi-ao----", "lv_size":"134217728", "data_percent":"", "lv_tags":"", "lv_kernel_major":"253", "lv_kernel_minor":"0"}"#;
const ACTIVE: &str = r#"{"lv_name":"lxc-t1", "lv_attr":"-wi-a-----", "lv_size":"524288000", "data_percent":"", "lv_tags":"ovz2lxc", "lv_kernel_major":"253", "lv_kernel_minor":"1"}"#;
const OPEN: &str = r#"{"lv_name":"lxc-t1", "lv_attr":"-wi-ao----", "lv_size":"524288000", "data_percent":"", "lv_tags":"ovz2lxc", "lv_kernel_major":"253", "lv_kernel_minor":"1"}"#;
const INACTIVE: &str = r#"{"lv_name":"lxc-t1", "lv_attr":"-wi-------", "lv_size":"524288000", "data_percent":"", "lv_tags":"ovz2lxc", "lv_kernel_major":"-1", "lv_kernel_minor":"-1"}"#;
const STRANGE: &str = r#"{"lv_name":"lxc-t1", "lv_attr":"-wi-a-----", "lv_size":"524288000", "data_percent":"", "lv_tags":"", "lv_kernel_major":"253", "lv_kernel_minor":"1"}"#;
const POOL: &str = r#"{"lv_name":"pool0", "lv_attr":"twi-aotz--", "lv_size":"209715200", "data_percent":"12.50", "lv_tags":"", "lv_kernel_major":"253", "lv_kernel_minor":"3"}"#;

/// A host that says the same again and again.
fn times(n: usize, volume: &str) -> Replay {
    (0..n).fold(replay(), |script, _| script.then(lvs(&[volume, CONF])))
}

fn lvcreate() -> Exchange {
    Exchange::of([
        "lvcreate",
        "-y",
        "--addtag",
        "ovz2lxc",
        "--activate",
        "ey",
        "--wipesignatures",
        "y",
        "-L",
        "524288000b",
        "-n",
        "lxc-t1",
        "shared_vg",
    ])
}

fn mkfs() -> Exchange {
    let lazy = "lazy_itable_init=1,lazy_journal_init=1";
    Exchange::of(["mkfs.ext4", "-q", "-m", "0", "-E", lazy, "/dev/shared_vg/lxc-t1"])
}

fn lvm(script: Replay) -> Box<dyn Storage> {
    storage_for(StorageKind::Lvm, Arc::new(script))
}

fn replay() -> Replay {
    Replay::new("node1").file("/proc/self/mountinfo", MOUNTS)
}

#[test]
fn lvm_says_what_is_free_shared_and_taken() {
    let facts = lvm(replay().then(programs("")).then(shared_vg()).then(lvs(&[CONF]))).inspect(&lv_plan()).unwrap();
    assert_eq!((facts.free, facts.shared, facts.exists), (Some(Bytes(2_009_071_616)), true, false));
    assert_eq!((facts.place.as_str(), facts.trouble), ("volume group shared_vg", None));
    let facts = lvm(replay().then(programs("")).then(shared_vg()).then(lvs(&[ACTIVE, CONF]))).inspect(&lv_plan());
    assert!(facts.unwrap().exists);
}

#[test]
fn lvm_trouble_is_named() {
    let missing = lvm(replay().then(programs("vgs\nlvs\n"))).inspect(&lv_plan()).unwrap();
    assert_eq!(missing.trouble.unwrap(), "not installed: vgs, lvs");
    let said = "  Volume group \"shared_vg\" not found\n  Cannot process volume group shared_vg\n";
    let gone = vgs("shared_vg").says(report("", "vg")).fails(5, said);
    let gone = lvm(replay().then(programs("")).then(gone)).inspect(&lv_plan()).unwrap();
    assert_eq!(gone.trouble.unwrap(), "volume group shared_vg does not exist");
    let no_dm = vgs("shared_vg").fails(5, "  /dev/mapper/control: open failed: No such device\n");
    let error = lvm(replay().then(programs("")).then(no_dm)).inspect(&lv_plan()).unwrap_err();
    assert!(error.chain()[1].contains("No such device"), "{error:?}");
    let unnamed = VolumePlan { vg: None, ..lv_plan() };
    assert_eq!(lvm(replay()).inspect(&unnamed).unwrap_err().first_hint(), Some("name one with --vg"));
}

#[test]
fn a_thin_pool_counts_what_it_has_left() {
    let thin = VolumePlan { kind: StorageKind::LvmThin, thin_pool: Some("pool0".to_owned()), ..lv_plan() };
    let facts = lvm(replay().then(programs("")).then(shared_vg()).then(lvs(&[CONF, POOL]))).inspect(&thin).unwrap();
    assert_eq!((facts.free, facts.place.as_str()), (Some(Bytes(183_500_800)), "thin pool shared_vg/pool0"));
    let facts = lvm(replay().then(programs("")).then(shared_vg()).then(lvs(&[CONF]))).inspect(&thin).unwrap();
    assert_eq!(facts.trouble.unwrap(), "there is no thin pool shared_vg/pool0");
    let shown = lvm(replay()).create_commands(&thin)[0].to_string();
    assert_eq!(shown, "lvcreate -y --addtag ovz2lxc --activate ey -V 524288000b --thinpool pool0 -n lxc-t1 shared_vg");
}

#[test]
fn a_logical_volume_is_made_and_what_mkfs_could_not_fill_is_removed() {
    let made = "  Logical volume \"lxc-t1\" created.\n";
    lvm(replay().then(lvcreate().says(made)).then(mkfs())).create(&lv_plan()).unwrap();

    let failed = mkfs().fails(1, "mkfs.ext4: No space left on device while writing out and closing file system\n");
    let removed = Exchange::of(["lvremove", "-y", "shared_vg/lxc-t1"])
        .says("  Logical volume \"lxc-t1\" successfully removed.\n");
    let script = replay().then(lvcreate().says(made)).then(failed.clone()).then(removed.clone());
    let error = lvm(script).create(&lv_plan()).unwrap_err();
    assert!(error.chain().last().unwrap().contains("No space left"), "{error:?}");

    let stuck = removed.fails(5, "  Logical volume shared_vg/lxc-t1 contains a filesystem in use.\n");
    let error = lvm(replay().then(lvcreate()).then(failed).then(stuck)).create(&lv_plan()).unwrap_err();
    assert_eq!(error.first_hint(), Some("lvremove shared_vg/lxc-t1"));
}

#[test]
fn a_full_group_and_a_taken_name_make_nothing_and_remove_nothing() {
    for said in [
        "  Volume group \"shared_vg\" has insufficient free space (354 extents): 125000 required.\n",
        "  Logical Volume \"lxc-t1\" already exists in volume group \"shared_vg\"\n",
    ] {
        let error = lvm(replay().then(lvcreate().fails(5, said))).create(&lv_plan()).unwrap_err();
        assert_eq!(error.chain()[0], "creating logical volume shared_vg/lxc-t1");
        assert_eq!(error.chain()[2], said.trim());
    }
}

#[test]
fn a_logical_volume_is_removed_only_when_it_is_ours_and_idle() {
    let remove = Exchange::of(["lvremove", "-y", "shared_vg/lxc-t1"]);
    for idle in [ACTIVE, INACTIVE] {
        lvm(replay().then(lvs(&[idle, CONF])).then(remove.clone())).destroy(&lv_plan()).unwrap();
    }
    lvm(replay().then(lvs(&[CONF]))).destroy(&lv_plan()).expect("absent is fine");
    let open = lvm(times(14, OPEN)).destroy(&lv_plan()).unwrap_err();
    assert_eq!(open.chain(), ["removing logical volume shared_vg/lxc-t1", "it is in use on this node"]);
    let strange = lvm(replay().then(lvs(&[STRANGE, CONF]))).destroy(&lv_plan()).unwrap_err();
    assert!(strange.chain()[1].contains("something else made it"));
}

#[test]
fn a_volume_that_udev_is_reading_is_not_in_use() {
    let remove = Exchange::of(["lvremove", "-y", "shared_vg/lxc-t1"]);
    lvm(times(2, OPEN).then(lvs(&[ACTIVE, CONF])).then(remove)).destroy(&lv_plan()).unwrap();
}

#[test]
fn a_shared_group_is_activated_exclusively_and_a_local_one_plainly() {
    let change = |how: &'static str| Exchange::of(["lvchange", how, "shared_vg/lxc-t1"]);
    lvm(replay().then(change("-aey"))).activate(&lv_plan()).unwrap();
    lvm(replay().then(change("-ay"))).activate(&VolumePlan { shared: false, ..lv_plan() }).unwrap();
    lvm(replay().then(lvs(&[ACTIVE])).then(change("-an"))).deactivate(&lv_plan()).unwrap();
    lvm(replay().then(lvs(&[CONF]))).deactivate(&lv_plan()).expect("absent is fine");
    let held = change("-aey")
        .fails(5, "  LV locked by other host: shared_vg/lxc-t1\n  Failed to lock logical volume shared_vg/lxc-t1.\n");
    let error = lvm(replay().then(held)).activate(&lv_plan()).unwrap_err();
    assert!(error.chain().last().unwrap().contains("locked by other host"));
}

#[test]
fn opening_activates_mounts_and_unmounts() {
    let dir = tempfile::tempdir().unwrap();
    let point = dir.path().join("mnt");
    let shown = point.to_str().unwrap();
    let mount = Exchange::of(["mount", "-t", "ext4", "-o", "nodev,nosuid,noexec", "/dev/shared_vg/lxc-t1", shown]);
    let script = replay()
        .then(lvs(&[INACTIVE, CONF]))
        .then(Exchange::of(["lvchange", "-aey", "shared_vg/lxc-t1"]))
        .then(lvs(&[ACTIVE, CONF]))
        .then(mount)
        .then(Exchange::of(["umount", shown]));
    lvm(script).open(&lv_plan(), &point).unwrap().close().unwrap();
    assert!(!point.exists());

    let running = lvm(times(6, OPEN)).open(&lv_plan(), &point).err().expect("it is in use");
    assert!(running.first_hint().unwrap().starts_with("is the container running?"), "{running:?}");
    assert!(!point.exists());
}

#[test]
fn a_device_path_of_another_volume_is_refused() {
    let wrong = VolumePlan { path: "/dev/shared_vg/other".into(), size: Bytes(GIB), ..lv_plan() };
    assert_eq!(lvm(replay()).create(&wrong).unwrap_err().kind(), ovz2lxc::error::Kind::Usage);
    assert!(lvm(replay()).create_commands(&wrong).is_empty());
}
