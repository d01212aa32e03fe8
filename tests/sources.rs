//! Containers from what is no running node with simfs: a dead node's disk, a plain directory, ploop images, archives.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests, though clippy cannot see it")]

mod support;

use serde_json::Value;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::node::TestNode;
use support::{is_root, skip, text};

/// A directory with the program's own places in it, gone with the test.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new(test: &str) -> Option<Desk> {
        if !is_root() {
            skip(test, "not root");
            return None;
        }
        let dir = tempfile::Builder::new().prefix("ovz2lxc-sources-").tempdir().unwrap();
        std::fs::create_dir(dir.path().join("lxc")).unwrap();
        Some(Desk { dir })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn name(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// A tree that has little, but of many kinds.
    fn tree(&self, name: &str) -> PathBuf {
        self.write(&format!("{name}/etc/debian_version"), "6.0.10\n");
        self.write(&format!("{name}/etc/hostname"), "web1\n");
        self.write(&format!("{name}/srv/odd\nname"), "odd");
        let top = self.path(name);
        for dir in ["proc", "sys", "dev", "sbin"] {
            std::fs::create_dir_all(top.join(dir)).unwrap();
        }
        symlink("/etc/shadow", top.join("srv/link")).unwrap();
        std::fs::hard_link(top.join("srv/odd\nname"), top.join("srv/again")).unwrap();
        rustix::fs::chown(top.join("srv/again"), Some(rustix::fs::Uid::from_raw(33)), None).unwrap();
        top
    }

    /// A disk as an RPM system has it: absolute links everywhere.
    fn disk(&self) {
        self.write(
            "old/etc/sysconfig/vz-scripts/101.conf",
            "ONBOOT=\"no\"\nHOSTNAME=\"web1.example.com\"\nNAME=\"web\"\n",
        );
        self.write("old/etc/vz/vz.conf", "VE_ROOT=/vz/root/$VEID\nVE_PRIVATE=/vz/private/$VEID\n");
        symlink("/etc/sysconfig/vz-scripts", self.path("old/etc/vz/conf")).unwrap();
        symlink("/data/vz", self.path("old/vz")).unwrap();
        self.tree("old/data/vz/private/101");
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = support::program(&["--progress", "none", "--cluster", "none", "--storage", "dir"]);
        command.arg("--state-dir").arg(self.path("state")).arg("--lxc-path").arg(self.path("lxc"));
        command.args(["--accept", "guest-init-unknown", "--accept", "storage-on-host"]).args(args).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> (i32, Value, String) {
        let output = self.run(&[args, &["--format", "json"]].concat());
        let document = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output.status.code().unwrap(), document, text(&output.stderr))
    }

    fn assert_nothing_mounted(&self) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
        assert!(!mounts.contains(&*self.dir.path().to_string_lossy()), "{mounts}");
        let loops = text(&tool("losetup").arg("-a").output().unwrap().stdout);
        assert!(!loops.contains(&*self.dir.path().to_string_lossy()), "{loops}");
    }
}

#[expect(clippy::disallowed_methods, reason = "the test makes images and archives with the real programs")]
fn tool(name: &str) -> Command {
    Command::new(name)
}

fn done(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What two trees have in common, and what not: names, kinds, owners, content.
fn listing(top: &Path) -> String {
    let script = "cd \"$1\" && find . -path ./proc -prune -o -path ./sys -prune -o -name lost+found -prune -o \
                  -printf '%P %y %m %U:%G %l %n\\n' | sort && find . -type f -exec md5sum {} + | sort";
    done(tool("sh").args(["-c", script, "sh"]).arg(top))
}

fn ids(report: &Value) -> Vec<&str> {
    report["findings"].as_array().unwrap().iter().map(|f| f["id"].as_str().unwrap()).collect()
}

#[test]
fn a_dead_nodes_disk_is_listed_checked_and_migrated_without_being_touched() {
    let Some(desk) = Desk::new("a_dead_nodes_disk_is_listed_checked_and_migrated_without_being_touched") else {
        return;
    };
    desk.disk();
    let before = listing(&desk.path("old"));
    let (code, list, said) = desk.json(&["inventory", "--vz-root", &desk.name("old")]);
    assert_eq!(code, 0, "{said}");
    let one = &list["containers"][0];
    assert_eq!((&one["ctid"], &one["name"], &one["status"]), (&"101".into(), &"web".into(), &"stopped".into()));
    let (code, report, said) = desk.json(&["check", "web", "--from", "local", "--vz-root", &desk.name("old")]);
    assert_eq!(code, 0, "{said}");
    assert!(ids(&report["containers"][0]).contains(&"source-no-node"), "{report}");
    let (code, report, said) = desk.json(&["migrate", "101", "--vz-root", &desk.name("old")]);
    assert_eq!((code, &report["outcome"]), (0, &"migrated".into()), "{said}");
    let volume = PathBuf::from(report["volume"].as_str().unwrap());
    assert_eq!(std::fs::read(volume.join("srv/odd\nname")).unwrap(), b"odd");
    let again = std::fs::symlink_metadata(volume.join("srv/again")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&again), 33);
    assert_eq!(std::os::unix::fs::MetadataExt::nlink(&again), 2);
    assert_eq!(listing(&desk.path("old")), before, "the disk is only read");
    // A later command needs no word about the disk.
    let output = desk.run(&["rollback", "101"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert!(!volume.exists());
    assert_eq!(listing(&desk.path("old")), before);
}

#[test]
fn a_link_of_the_disk_never_leads_to_this_host() {
    let Some(desk) = Desk::new("a_link_of_the_disk_never_leads_to_this_host") else { return };
    desk.disk();
    std::fs::remove_dir_all(desk.path("old/data/vz/private/101")).unwrap();
    // Below the disk there is no such directory; on this host there is.
    let outside = desk.tree("outside");
    symlink(&outside, desk.path("old/data/vz/private/101")).unwrap();
    let (code, report, said) = desk.json(&["migrate", "101", "--vz-root", &desk.name("old")]);
    assert_eq!(code, 1, "{report}");
    assert!(said.contains("is not a directory") && said.contains("--private"), "{said}");
    std::fs::remove_file(desk.path("old/data/vz/private/101")).unwrap();
    symlink("../../../../../../../../outside", desk.path("old/data/vz/private/101")).unwrap();
    assert_eq!(desk.json(&["migrate", "101", "--vz-root", &desk.name("old")]).0, 1, "not above the disk's top either");
}

#[test]
fn a_plain_directory_and_a_configuration_are_enough() {
    let Some(desk) = Desk::new("a_plain_directory_and_a_configuration_are_enough") else { return };
    let tree = desk.tree("tree");
    desk.write("my.conf", "ONBOOT=\"no\"\nHOSTNAME=\"plain.example.com\"\n");
    let (conf, private) = (desk.name("my.conf"), tree.to_str().unwrap());
    let (code, report, said) = desk.json(&["migrate", "7", "--ve-conf", &conf, "--private", private]);
    assert_eq!((code, &report["name"]), (0, &"lxc-plain".into()), "{said}");
    assert!(Path::new(report["volume"].as_str().unwrap()).join("srv/link").is_symlink());
    let (code, _, said) = desk.json(&["migrate", "8", "--private", private]);
    assert_eq!(code, 2, "{said}");
    assert!(said.contains("--ve-conf"), "{said}");
}

#[test]
fn virtuozzo_7_keeps_configuration_and_tree_in_the_private_area() {
    let Some(desk) = Desk::new("virtuozzo_7_keeps_configuration_and_tree_in_the_private_area") else { return };
    let uuid = "5fbaabe3-6958-40ff-92a7-860e329aab41";
    let area = format!("old/vz/private/{uuid}");
    desk.write(&format!("{area}/ve.conf"), "ONBOOT=\"no\"\nHOSTNAME='seven'\nVE_PRIVATE=\"/vz/private/$VEID\"\n");
    desk.tree(&format!("{area}/fs"));
    std::fs::create_dir_all(desk.path("old/etc/vz/conf")).unwrap();
    symlink(format!("/vz/private/{uuid}/ve.conf"), desk.path(&format!("old/etc/vz/conf/{uuid}.conf"))).unwrap();
    let (code, report, said) = desk.json(&["migrate", uuid, "--vz-root", &desk.name("old")]);
    assert_eq!((code, &report["name"]), (0, &"lxc-seven".into()), "{said}");
    let volume = PathBuf::from(report["volume"].as_str().unwrap());
    assert!(volume.join("srv/again").exists() && !volume.join("fs").exists());
    // With the private areas alone, too: the partition that held /vz may be all that is left.
    assert_eq!(desk.run(&["rollback", uuid]).status.code(), Some(0));
    std::fs::remove_dir_all(desk.path("old/etc")).unwrap();
    let (code, report, said) = desk.json(&["migrate", uuid, "--vz-root", &desk.name("old")]);
    assert_eq!((code, &report["outcome"]), (0, &"migrated".into()), "{said}");
}

/// An archive as vzdump of Proxmox VE made it: its own files first.
fn dump(desk: &Desk, name: &str, flag: &str) -> String {
    desk.write("own/etc/vzdump/vps.conf", "ONBOOT=\"no\"\nHOSTNAME=\"dumped.example.com\"\n");
    desk.write("tree/etc/vzdump/vps.conf", "HOSTNAME=\"of-the-tenant\"\n");
    let file = desk.name(name);
    let mut tar = tool("tar");
    tar.arg(flag).args(["-cpf", &file, "--sparse", "--numeric-owner"]).arg("-C").arg(desk.path("own"));
    done(tar.arg("./etc/vzdump/vps.conf").arg("-C").arg(desk.path("tree")).arg("."));
    file
}

#[test]
fn an_archive_of_vzdump_is_unpacked_once() {
    let Some(desk) = Desk::new("an_archive_of_vzdump_is_unpacked_once") else { return };
    let tree = desk.tree("tree");
    let file = dump(&desk, "vzdump-openvz-103-2014_01_02-03_04_05.tgz", "--gzip");
    let (code, list, said) = desk.json(&["inventory", "--vzdump", &file]);
    assert_eq!((code, &list["containers"][0]["ctid"]), (0, &"103".into()), "{said}");
    let (code, report, said) = desk.json(&["migrate", "103", "--vzdump", &file]);
    assert_eq!((code, &report["name"]), (0, &"lxc-dumped".into()), "the first vps.conf is vzdump's: {said}");
    let volume = PathBuf::from(report["volume"].as_str().unwrap());
    assert_eq!(std::fs::read(volume.join("srv/again")).unwrap(), b"odd");
    assert!(!volume.join("etc/vzdump").exists(), "what vzdump added stays out");
    assert_eq!(desk.json(&["sync", "103", "--vzdump", &file]).0, 2);

    // `copy` takes it as well, into an empty directory only.
    std::fs::create_dir(desk.path("to")).unwrap();
    let (code, figures, said) = desk.json(&["copy", "--from", &file, "--to", &desk.name("to")]);
    assert_eq!((code, &figures["engine"]), (0, &"archive".into()), "{said}");
    std::fs::remove_dir_all(tree.join("etc/vzdump")).unwrap();
    assert_eq!(listing(&desk.path("to")), listing(&tree));
    assert_eq!(desk.json(&["copy", "--from", &file, "--to", &desk.name("to")]).0, 2);
}

#[test]
fn an_archive_is_unpacked_by_what_its_beginning_tells() {
    let test = "an_archive_is_unpacked_by_what_its_beginning_tells";
    let Some(desk) = Desk::new(test) else { return };
    let tree = desk.tree("tree");
    for program in ["lzop", "bzip2", "zstd"] {
        if !Path::new("/usr/bin").join(program).exists() && !Path::new("/bin").join(program).exists() {
            skip(test, &format!("{program} is not installed"));
            continue;
        }
        // A name that says nothing of it.
        let file = dump(&desk, &format!("{program}.backup"), &format!("--use-compress-program={program}"));
        let to = desk.name(program);
        std::fs::create_dir(&to).unwrap();
        let (code, _, said) = desk.json(&["copy", "--from", &file, "--to", &to]);
        assert_eq!(code, 0, "{program}: {said}");
        std::fs::remove_dir_all(tree.join("etc/vzdump")).unwrap();
        assert_eq!(listing(Path::new(&to)), listing(&tree), "{program}");
        assert_eq!(desk.json(&["inventory", "--vzdump", &file]).0, 0, "{program}");
    }
}

#[test]
fn a_manifest_names_disks_and_archives() {
    let Some(desk) = Desk::new("a_manifest_names_disks_and_archives") else { return };
    desk.disk();
    desk.tree("tree");
    let file = dump(&desk, "vzdump-103.tgz", "--gzip");
    let manifest = format!(
        "[defaults]\nsource = \"local\"\n[[container]]\nctid = 101\nvz_root = {:?}\n[[container]]\nctid = 103\nvzdump = {file:?}\n",
        desk.name("old")
    );
    desk.write("manifest.toml", &manifest);
    let (code, report, said) = desk.json(&["batch", &desk.name("manifest.toml")]);
    assert_eq!((code, &report["summary"]["migrated"]), (0, &2.into()), "{said}");
    let (code, report, said) = desk.json(&["batch", &desk.name("manifest.toml")]);
    assert_eq!((code, &report["summary"]["skipped"]), (0, &2.into()), "a second run begins neither again: {said}");
}

#[test]
fn two_disks_on_one_host_are_two_sources() {
    let Some(desk) = Desk::new("two_disks_on_one_host_are_two_sources") else { return };
    desk.disk();
    done(tool("cp").arg("-a").arg(desk.path("old")).arg(desk.path("other")));
    let (one, other) = (desk.name("old"), desk.name("other"));
    let (code, _, said) = desk.json(&["migrate", "101", "--vz-root", &one, "--name", "one"]);
    assert_eq!(code, 0, "{said}");
    let (code, report, said) = desk.json(&["migrate", "101", "--vz-root", &other, "--name", "other"]);
    assert_eq!((code, &report["name"]), (0, &"lxc-other".into()), "{said}");
    let (code, _, said) = desk.json(&["migrate", "101", "--vz-root", &one, "--name", "third"]);
    assert!(code == 1 && said.contains("migrated already"), "{said}");
}

#[test]
fn a_broken_or_hostile_archive_is_no_container() {
    let Some(desk) = Desk::new("a_broken_or_hostile_archive_is_no_container") else { return };
    desk.tree("tree");
    let file = dump(&desk, "whole.tar", "--no-xattrs");
    let whole = std::fs::read(&file).unwrap();
    std::fs::write(desk.path("cut.tar"), &whole[..whole.len() - 12 * 1024]).unwrap();
    std::fs::create_dir(desk.path("to")).unwrap();
    let (code, _, said) = desk.json(&["copy", "--from", &desk.name("cut.tar"), "--to", &desk.name("to")]);
    assert_eq!(code, 1, "{said}");
    std::fs::write(desk.path("none.tar"), "no archive").unwrap();
    let (code, _, said) = desk.json(&["migrate", "103", "--vzdump", &desk.name("none.tar")]);
    assert!(code == 1 && said.contains("vps.conf"), "{said}");
    // A name that climbs.
    let mut tar = tool("tar");
    tar.args(["-cPf", &desk.name("climb.tar"), "--transform", "s,^,../,"]).arg("-C").arg(desk.path("tree"));
    done(tar.arg("etc/hostname"));
    std::fs::create_dir(desk.path("inner")).unwrap();
    let (code, _, said) = desk.json(&["copy", "--from", &desk.name("climb.tar"), "--to", &desk.name("inner")]);
    assert!(code == 1 && said.contains("../"), "{said}");
    assert!(!desk.path("etc/hostname").exists());
}

/// A ploop image made by hand: GPT, ext4 in its first partition at 1 MiB, blocks in an order of their own.
fn image(desk: &Desk, tree: &Path, area: &str, version: u8) -> PathBuf {
    const MIB: usize = 1 << 20;
    let fs = desk.name("fs.img");
    done(tool("mke2fs").args(["-q", "-F", "-t", "ext4", "-d"]).arg(tree).args([&fs, "22M"]));
    let mut disk = vec![0; 24 * MIB];
    disk[MIB..23 * MIB].copy_from_slice(&std::fs::read(&fs).unwrap());
    disk[512..520].copy_from_slice(b"EFI PART");
    disk[512 + 72..512 + 80].copy_from_slice(&2_u64.to_le_bytes());
    disk[512 + 80..512 + 84].copy_from_slice(&128_u32.to_le_bytes());
    disk[512 + 84..512 + 88].copy_from_slice(&128_u32.to_le_bytes());
    disk[1024] = 1;
    disk[1024 + 32..1024 + 40].copy_from_slice(&2048_u64.to_le_bytes());
    disk[1024 + 40..1024 + 48].copy_from_slice(&((23 * MIB / 512) as u64 - 1).to_le_bytes());

    let mut header = vec![0; MIB];
    header[..16].copy_from_slice(if version == 1 { b"WithoutFreeSpace" } else { b"WithouFreSpacExt" });
    for (at, number) in [(16, 2_u32), (20, 16), (24, 1), (28, 2048), (32, 24), (36, 24 * 2048)] {
        header[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    header[48..52].copy_from_slice(&2048_u32.to_le_bytes());
    let blocks: Vec<&[u8]> = disk.chunks(MIB).collect();
    // Every seventh after the other; one that is all zeros was never written.
    let order = (0..24).map(|i| i * 7 % 24).filter(|i| blocks[*i].iter().any(|b| *b != 0));
    let mut file = Vec::new();
    for (place, number) in order.enumerate() {
        let entry = u32::try_from(place + 1).unwrap() * if version == 1 { 2048 } else { 1 };
        header[64 + 4 * number..68 + 4 * number].copy_from_slice(&entry.to_le_bytes());
        file.extend_from_slice(blocks[number]);
    }
    assert!(file.len() < 24 * MIB, "no block is left out");
    let dir = desk.path(area).join("root.hdd");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("root.hdd"), [header, file].concat()).unwrap();
    std::fs::write(dir.join("DiskDescriptor.xml"), descriptor(1)).unwrap();
    dir
}

fn descriptor(images: usize) -> String {
    let image = "<Image><GUID>{5fbaabe3-6958-40ff-92a7-860e329aab41}</GUID><Type>Compressed</Type><File>root.hdd</File></Image>";
    format!(
        "<?xml version=\"1.0\"?>\n<Parallels_disk_image Version=\"1.0\"><StorageData><Storage><Blocksize>2048</Blocksize>{}\
         </Storage></StorageData></Parallels_disk_image>\n",
        image.repeat(images)
    )
}

fn fuse(test: &str) -> bool {
    let works = Path::new("/dev/fuse").exists() && Path::new("/dev/loop-control").exists();
    if !works {
        skip(test, "no /dev/fuse or no loop devices");
    }
    works
}

#[test]
fn a_ploop_image_of_a_dead_node_is_read_without_vzctl() {
    let test = "a_ploop_image_of_a_dead_node_is_read_without_vzctl";
    let Some(desk) = Desk::new(test).filter(|_| fuse(test)) else { return };
    desk.disk();
    let tree = desk.tree("tree");
    let area = "old/data/vz/private/101";
    for version in [1, 2] {
        std::fs::remove_dir_all(desk.path(area)).unwrap();
        let dir = image(&desk, &tree, area, version);
        let before = done(tool("md5sum").arg(dir.join("root.hdd")));
        let (code, report, said) = desk.json(&["check", "101", "--vz-root", &desk.name("old")]);
        assert_eq!((code, &report["containers"][0]["guest"]["distro"]), (0, &"debian".into()), "{said}");
        desk.assert_nothing_mounted();
        let (code, report, said) = desk.json(&["migrate", "101", "--vz-root", &desk.name("old")]);
        assert_eq!((code, &report["outcome"]), (0, &"migrated".into()), "version {version}: {said}");
        let volume = PathBuf::from(report["volume"].as_str().unwrap());
        assert_eq!(std::fs::read(volume.join("srv/odd\nname")).unwrap(), b"odd");
        desk.assert_nothing_mounted();
        assert_eq!(done(tool("md5sum").arg(dir.join("root.hdd"))), before, "not a byte of the image was written");
        assert_eq!(desk.run(&["rollback", "101"]).status.code(), Some(0));
    }
}

#[test]
fn an_image_with_snapshots_or_lies_in_its_table_is_refused() {
    let test = "an_image_with_snapshots_or_lies_in_its_table_is_refused";
    let Some(desk) = Desk::new(test).filter(|_| fuse(test)) else { return };
    desk.disk();
    let tree = desk.tree("tree");
    std::fs::remove_dir_all(desk.path("old/data/vz/private/101")).unwrap();
    let dir = image(&desk, &tree, "old/data/vz/private/101", 2);
    let good = std::fs::read(dir.join("root.hdd")).unwrap();
    let refused = |why: &str| {
        let (code, report, said) = desk.json(&["migrate", "101", "--vz-root", &desk.name("old")]);
        assert_eq!(code, 1, "{why}: {report}");
        assert!(said.contains(why), "{why}: {said}");
        desk.assert_nothing_mounted();
    };
    std::fs::write(dir.join("DiskDescriptor.xml"), descriptor(2)).unwrap();
    refused("snapshots");
    std::fs::write(dir.join("DiskDescriptor.xml"), descriptor(1).replace(">root.hdd<", ">../../other<")).unwrap();
    refused("beside its descriptor");
    std::fs::write(dir.join("DiskDescriptor.xml"), descriptor(1)).unwrap();
    for (at, value, why) in
        [(64, 4096_u32, "outside of the file"), (68, 1, "share the place"), (28, 12, "12 sectors"), (0, 0, "no header")]
    {
        let mut bad = good.clone();
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        if at == 68 {
            bad[64..68].copy_from_slice(&1_u32.to_le_bytes());
        }
        std::fs::write(dir.join("root.hdd"), &bad).unwrap();
        refused(why);
    }
    std::fs::remove_file(dir.join("root.hdd")).unwrap();
    symlink("/etc/shadow", dir.join("root.hdd")).unwrap();
    refused("opening image");
}

/// The journal of a node that died holds what was written last; it is replayed, though not into the image.
#[test]
fn the_journal_of_an_image_that_was_in_use_is_replayed() {
    let test = "the_journal_of_an_image_that_was_in_use_is_replayed";
    let Some(desk) = Desk::new(test).filter(|_| fuse(test)) else { return };
    desk.disk();
    let tree = desk.tree("tree");
    let area = "old/data/vz/private/101";
    std::fs::remove_dir_all(desk.path(area)).unwrap();
    let dir = desk.path(area).join("root.hdd");
    std::fs::create_dir_all(&dir).unwrap();
    let (raw, used, at) = (dir.join("root.hdd"), desk.path("used.img"), desk.path("at"));
    done(tool("mke2fs").args(["-q", "-F", "-t", "ext4", "-d"]).arg(&tree).arg(&used).arg("24M"));
    std::fs::create_dir(&at).unwrap();
    done(tool("mount").args(["-o", "loop,commit=300"]).arg(&used).arg(&at));
    std::fs::write(at.join("srv/last"), "the last order").unwrap();
    done(tool("sync").arg("-d").arg(at.join("srv/last")));
    std::fs::copy(&used, &raw).unwrap(); // as a power cut would leave it
    done(tool("umount").arg(&at));
    std::fs::write(dir.join("DiskDescriptor.xml"), descriptor(1).replace("Compressed", "Plain")).unwrap();
    let features = done(tool("dumpe2fs").arg("-h").arg(&raw));
    assert!(features.contains("needs_recovery"), "{features}");
    let before = done(tool("md5sum").arg(&raw));
    let (code, report, said) = desk.json(&["migrate", "101", "--vz-root", &desk.name("old")]);
    assert_eq!(code, 0, "{said}");
    let volume = PathBuf::from(report["volume"].as_str().unwrap());
    assert_eq!(std::fs::read(volume.join("srv/last")).unwrap(), b"the last order");
    assert_eq!(done(tool("md5sum").arg(&raw)), before);
    desk.assert_nothing_mounted();
}

/// A node with vzctl, whose container 101 is in a ploop image.
fn ploop_node(test: &'static str, more: &[&str]) -> Option<(Desk, TestNode)> {
    let desk = Desk::new(test)?;
    if !fuse(test) {
        return None;
    }
    let node = TestNode::up(test)?;
    let tree = desk.tree("tree");
    let args = ["--from", tree.to_str().unwrap(), "--ploop", "--line", "VE_LAYOUT=\"ploop\""];
    node.add_container("101", &[&args, more].concat());
    Some((desk, node))
}

fn migrate_from(desk: &Desk, node: &TestNode, more: &[&str]) -> (i32, Value, String) {
    let (key, hosts) = (node.key.to_str().unwrap(), node.known_hosts.to_str().unwrap());
    let from = format!("root@127.0.0.1:{}", node.port);
    let args = ["migrate", "101", "--from", &from, "--identity", key, "--known-hosts", hosts];
    desk.json(&[&args, more].concat())
}

const DOWN: &str = "CTID 101 exist unmounted down";

#[test]
fn a_ploop_image_that_is_not_mounted_is_mounted_for_the_copy_only() {
    let test = "a_ploop_image_that_is_not_mounted_is_mounted_for_the_copy_only";
    let Some((desk, node)) = ploop_node(test, &["--stopped"]) else { return };
    // A look does not mount it.
    let (code, report, said) = migrate_from(&desk, &node, &["--check"]);
    assert_eq!(code, 0, "{said}");
    assert!(ids(&report["containers"][0]).contains(&"source-image"), "{report}");
    assert_eq!(node.status("101"), DOWN);
    let output = migrate_from(&desk, &node, &["--dry-run"]);
    assert!(output.1.to_string().contains("vzctl mount 101"), "{}", output.2);
    // A failure at either copy, and one after it, leave it unmounted; a rolled back migration too.
    for step in ["copy-live", "copy-final", "apply-fixups"] {
        let (code, report, said) = migrate_from(&desk, &node, &["--rehearse-failure", step]);
        assert_eq!((code, &report["outcome"]), (1, &"rolled_back".into()), "{step}: {said}");
        assert_eq!(node.status("101"), DOWN, "{step}");
    }
    node.fail("101", "mount", 99);
    let (code, _, said) = migrate_from(&desk, &node, &[]);
    assert!(code == 1 && said.contains("cannot do ploop"), "{said}");
    let (code, report, said) = migrate_from(&desk, &node, &[]);
    assert_eq!((code, &report["outcome"]), (0, &"migrated".into()), "{said}");
    assert_eq!(std::fs::read(Path::new(report["volume"].as_str().unwrap()).join("srv/again")).unwrap(), b"odd");
    assert_eq!(node.status("101"), DOWN);
}

#[test]
fn a_ploop_image_that_somebody_mounted_stays_mounted_when_it_is_taken_back() {
    let test = "a_ploop_image_that_somebody_mounted_stays_mounted_when_it_is_taken_back";
    let Some((desk, node)) = ploop_node(test, &["--stopped"]) else { return };
    assert!(node.ssh("vzctl mount 101").status.success());
    let (code, _, said) = migrate_from(&desk, &node, &["--rehearse-failure", "copy-final"]);
    assert_eq!(code, 1, "{said}");
    assert_eq!(node.status("101"), "CTID 101 exist mounted down");
}

#[test]
fn a_running_container_in_an_image_is_read_after_its_stop() {
    let test = "a_running_container_in_an_image_is_read_after_its_stop";
    let Some((desk, node)) = ploop_node(test, &[]) else { return };
    assert_eq!(node.status("101"), "CTID 101 exist mounted running");
    let (code, report, said) = migrate_from(&desk, &node, &["--rehearse-failure", "copy-final"]);
    assert_eq!((code, &report["outcome"]), (1, &"rolled_back".into()), "{said}");
    assert_eq!(node.status("101"), "CTID 101 exist mounted running", "it runs again");
}

/// A dead node that was booted into a rescue system: its disk is on another host.
#[test]
fn a_disk_may_be_on_another_host() {
    let test = "a_disk_may_be_on_another_host";
    let Some(desk) = Desk::new(test) else { return };
    let Some(node) = TestNode::up(test) else { return };
    desk.disk();
    done(tool("cp").arg("-a").arg(desk.path("old")).arg(node.vz.join("old")));
    let (code, report, said) = migrate_from(&desk, &node, &["--vz-root", "/vz/old"]);
    assert_eq!((code, &report["outcome"]), (0, &"migrated".into()), "{said}");
    assert!(Path::new(report["volume"].as_str().unwrap()).join("srv/link").is_symlink());
    assert_eq!(desk.run(&["rollback", "101"]).status.code(), Some(0), "how to reach it is in the plan");
    // An image there is no file that this host's kernel could mount.
    std::fs::remove_dir_all(node.vz.join("old/data/vz/private/101")).unwrap();
    std::fs::create_dir_all(node.vz.join("old/data/vz/private/101/root.hdd")).unwrap();
    std::fs::write(node.vz.join("old/data/vz/private/101/root.hdd/DiskDescriptor.xml"), descriptor(1)).unwrap();
    let (code, report, said) = migrate_from(&desk, &node, &["--vz-root", "/vz/old", "--check", "--name", "second"]);
    assert_eq!(code, 3, "{said}");
    assert!(report.to_string().contains("only images on this host"), "{report}");
}

/// What a killed run leaves mounted is taken over, and taken away.
#[test]
fn a_run_that_was_killed_with_an_image_open_is_resumed() {
    let test = "a_run_that_was_killed_with_an_image_open_is_resumed";
    let Some(desk) = Desk::new(test).filter(|_| fuse(test)) else { return };
    desk.disk();
    let tree = desk.tree("tree");
    let area = "old/data/vz/private/101";
    std::fs::remove_dir_all(desk.path(area)).unwrap();
    image(&desk, &tree, area, 2);
    // A program that stands in for tar and never ends keeps the copy where it is.
    std::fs::create_dir_all(desk.path("bin")).unwrap();
    support::program::write_program(
        &desk.path("bin/tar"),
        "#!/bin/sh\ncase \"$*\" in *--no-recursion*--files-from*) echo $$ >\"$MARK.new\"; mv \"$MARK.new\" \"$MARK\"; exec sleep 600;; esac\nexec /bin/tar \"$@\"\n",
    );
    let mut command = support::program(&["--progress", "none", "--cluster", "none", "--storage", "dir"]);
    command.arg("--state-dir").arg(desk.path("state")).arg("--lxc-path").arg(desk.path("lxc"));
    command.args(["--accept", "guest-init-unknown", "--accept", "storage-on-host", "--engine", "stream"]);
    command.args(["migrate", "101", "--vz-root", &desk.name("old")]);
    command.env("PATH", format!("{}:{}", desk.name("bin"), std::env::var("PATH").unwrap()));
    command.env("MARK", desk.path("mark"));
    let mut child = command.spawn().unwrap();
    let until = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while !desk.path("mark").exists() && child.try_wait().unwrap().is_none() {
        assert!(std::time::Instant::now() < until, "the copy did not begin");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
    child.kill().unwrap();
    child.wait().unwrap();
    // It may be gone already, with its pipe.
    let _ = tool("kill").arg(std::fs::read_to_string(desk.path("mark")).unwrap().trim()).output();
    let output = desk.run(&["resume", "101"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(
        std::fs::read(desk.path("lxc/lxc-web/rootfs/srv/again")).unwrap_or_default(),
        b"odd",
        "{}",
        listing(&desk.path("lxc"))
    );
    desk.assert_nothing_mounted();
}

#[test]
fn an_image_is_mounted_for_each_pass_and_not_between_them() {
    let test = "an_image_is_mounted_for_each_pass_and_not_between_them";
    let Some((desk, node)) = ploop_node(test, &["--stopped"]) else { return };
    let (key, hosts) = (node.key.to_str().unwrap(), node.known_hosts.to_str().unwrap());
    let from = format!("root@127.0.0.1:{}", node.port);
    let args = ["sync", "101", "--from", &from, "--identity", key, "--known-hosts", hosts];
    for _ in 0..2 {
        let (code, report, said) = desk.json(&args);
        assert_eq!((code, &report["outcome"]), (0, &"synced".into()), "{said}");
        assert_eq!(node.status("101"), DOWN);
    }
    let (code, report, said) = desk.json(&["cutover", "101"]);
    assert_eq!((code, &report["outcome"]), (0, &"migrated".into()), "{said}");
    assert_eq!(std::fs::read(Path::new(report["volume"].as_str().unwrap()).join("srv/again")).unwrap(), b"odd");
    assert_eq!(node.status("101"), DOWN);
    // One that a killed run left mounted goes down again with the migration.
    assert!(node.ssh("vzctl mount 101").status.success());
    assert_eq!(desk.run(&["rollback", "101", "--yes"]).status.code(), Some(0));
    assert_eq!(node.status("101"), DOWN);
}
