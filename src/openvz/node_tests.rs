use super::super::fake::Fake;
use super::super::fence::Fenced;
use super::*;
use crate::error::Kind;
use crate::model::container::{Access, Layout};
use crate::model::size::Bytes;

const GLOBAL: &str =
    "VE_ROOT=/vz/root/$VEID\nVE_PRIVATE=/vz/private/$VEID\nDUMPDIR=/vz/dump\nNAMESERVER=inherit # host\n";
const PROBED: &str = "vzctl vzctl\nvzlist vzlist\nconf /etc/vz/conf\ncpus 4\nuid 0\n";
const CONF: &str = "/etc/vz/conf/101.conf";
const REAL: &str = "/etc/sysconfig/vz-scripts/101.conf";

fn fake() -> Fake {
    Fake::new().file("/etc/vz/vz.conf", &[GLOBAL]).expect("sh -c @ sh", PROBED)
}

/// Opens a node on a transcript, runs `work` on it, and checks that every command of the transcript was run.
fn on<T>(fake: Fake, work: impl FnOnce(&Node) -> T) -> T {
    let host = Arc::new(fake);
    let node = Node::open(Arc::clone(&host) as Arc<dyn Host>).unwrap();
    let out = work(&node);
    host.done();
    out
}

fn ctid() -> Ctid {
    Ctid::parse("101").unwrap()
}

fn chain(error: &Error) -> String {
    error.chain().join(" | ")
}

#[test]
fn opening_needs_openvz_root_and_a_configuration() {
    let open = |probed: &str, global: bool| {
        let fake = Fake::new().expect("sh -c @ sh", probed);
        let fake = if global { fake.file("/etc/sysconfig/vz", &[GLOBAL]) } else { fake };
        Node::open(Arc::new(fake))
    };
    assert_eq!(open(PROBED, true).unwrap().cpus(), 4);
    for (probed, global, said) in [
        ("vzlist vzlist\nconf /etc/vz/conf\ncpus 4\nuid 0\n", true, "vzctl is not installed on root@vz1:22"),
        ("vzctl vzctl\nconf /etc/vz/conf\ncpus 4\nuid 0\n", true, "vzlist is not installed"),
        ("vzctl vzctl\nvzlist vzlist\ncpus 4\nuid 0\n", true, "there is no /etc/vz/conf"),
        ("vzctl vzctl\nvzlist vzlist\nconf /etc/vz/conf\ncpus 4\nuid 1000\n", true, "not root"),
        ("vzctl vzctl\nvzlist vzlist\nconf /etc/vz/conf\ncpus \nuid 0\n", true, "number of CPUs"),
        (PROBED, false, "there is no /etc/vz/vz.conf"),
    ] {
        let Err(error) = open(probed, global) else { panic!("{probed}") };
        assert!(chain(&error).contains(said), "{error:?}");
        assert!(error.first_hint().is_some(), "{error:?}");
    }
}

#[test]
fn tools_outside_the_path_are_called_by_their_place() {
    let probed = PROBED.replace("vzctl vzctl", "vzctl /usr/sbin/vzctl");
    let node =
        Node::open(Arc::new(Fake::new().file("/etc/vz/vz.conf", &[GLOBAL]).expect("sh -c @ sh", &probed))).unwrap();
    assert_eq!(node.status_command(&ctid()).to_string(), "/usr/sbin/vzctl status 101");
}

#[test]
fn the_list_falls_back_to_single_fields() {
    let good = "[\n{\"ctid\": 101, \"name\": null, \"status\": \"running\"}\n]\n";
    let list = on(fake().expect("vzlist -a -j", good), |node| node.list().unwrap());
    assert_eq!((list[0].ctid.as_str(), list[0].status), ("101", Status::Running));

    let broken = fake()
        .expect("vzlist -a -j", "[\n{\"ctid\": 101, \"hostname\": \"say \"hi\"\", \"status\": \"running\"}\n]\n")
        .expect("vzlist -a -H -t -o ctid,status", "       101 running\n")
        .expect("vzlist -a -H -t -o ctid,hostname", "       101 say \"hi\"\n")
        .expect("vzlist -a -H -t -o ctid,name", "       101 -\n")
        .expect("vzlist -a -H -t -o ctid,ip", "       101 10.0.0.1 10.0.0.2\n")
        .expect("vzlist -a -H -t -o ctid,diskspace", "       101 1024\n")
        .expect("vzlist -a -H -t -o ctid,diskinodes", "       101 99\n")
        .expect("vzlist -a -H -t -o ctid,ostemplate", "       101 centos-6-x86_64\n");
    let list = on(broken, |node| node.list().unwrap());
    assert_eq!(list[0].hostname.as_deref(), Some("say \"hi\""));
    assert_eq!((list[0].size, list[0].inodes, list[0].addresses.len()), (Some(Bytes(1 << 20)), Some(99), 2));

    let failing = fake().answer("vzlist -a -j", 1, "", "no").answer("vzlist -a -H -t -o ctid,status", 1, "", "broken");
    let error = on(failing, |node| node.list().unwrap_err());
    assert!(chain(&error).contains("listing the containers of root@vz1:22") && chain(&error).contains("broken"));
}

#[test]
fn numbers_names_and_uuids_are_resolved() {
    on(fake().file(CONF, &["ONBOOT=yes\n"]), |node| {
        assert_eq!(node.resolve("0101").unwrap(), ctid());
        let error = node.resolve("999").unwrap_err();
        assert_eq!(error.to_string(), "container 999 does not exist on root@vz1:22");
        assert_eq!(error.kind(), Kind::Failed);
        assert!(error.first_hint().unwrap().starts_with("ovz2lxc inventory --from root@vz1:22"));
        assert_eq!(node.resolve("0").unwrap_err().kind(), Kind::Usage);
        for bad in ["../../etc/passwd", "", "a/b", "web\n1", ".", "$(id)"] {
            assert!(node.resolve(bad).unwrap_err().to_string().contains("does not exist"), "{bad:?}");
        }
    });
    let named = |target: &str, own: &str| {
        let fake = fake().file(CONF, &[own]).expect("readlink -- '/etc/vz/names/my web'", target);
        on(fake, |node| node.resolve("my web"))
    };
    assert_eq!(named("/etc/sysconfig/vz-scripts/101.conf\n", "NAME=\"my web\"\n").unwrap(), ctid());
    assert_eq!(named("../conf/101.conf\n", "NAME=\"my web\"\n").unwrap(), ctid());
    assert!(named("/etc/sysconfig/vz-scripts/101.conf\n", "NAME=\"other\"\n").is_err(), "the file says another name");
    assert!(named("/etc/sysconfig/vz-scripts/102.conf\n", "NAME=\"my web\"\n").is_err(), "the link leads nowhere");
    assert!(named("/etc/passwd\n", "").is_err());
    let absent = fake().answer("readlink -- /etc/vz/names/db", 1, "", "");
    assert!(on(absent, |node| node.resolve("db")).is_err());

    let uuid = "5fbaabe3-6958-40ff-92a7-860e329aab41";
    let seven = fake()
        .file(&format!("/etc/vz/conf/{uuid}.conf"), &["NAME=\"ct7\"\n"])
        .expect("readlink -- /etc/vz/names/ct7", &format!("/vz/private/{uuid}/ve.conf\n"));
    on(seven, |node| {
        assert_eq!(node.resolve("{5FBAABE3-6958-40ff-92a7-860e329aab41}").unwrap().as_str(), uuid);
        assert_eq!(node.resolve("ct7").unwrap().as_str(), uuid);
    });
}

#[test]
fn the_status_of_an_incomplete_container_is_an_error() {
    let fake = fake()
        .expect("vzctl status 101", "CTID 101 exist mounted running\n")
        .expect("vzctl status 101", "CTID 101 deleted unmounted down\n")
        .answer("vzctl status 101", 21, "", "Bad CT ID");
    on(fake, |node| {
        assert_eq!(node.status(&ctid()).unwrap(), Status::Running);
        assert!(chain(&node.status(&ctid()).unwrap_err()).contains("private area is missing"));
        assert!(chain(&node.status(&ctid()).unwrap_err()).contains("exit code 21"));
    });
}

const OWN: &str = "ONBOOT=\"yes\"\nPHYSPAGES=\"0:256M\"\nCPULIMIT=\"25%\"\nHOSTNAME=\"web1\"\nDISKINODES=\"1000\"\n\
                   DEVNODES=\"net/tun:rw gone:r\"\n";

fn described(own: &str, status: &str, around: &str) -> Fake {
    fake()
        .file(CONF, &[own])
        .file(
            "/etc/resolv.conf",
            &["search a.example b.example\nnameserver 10.0.0.53\n# nameserver 1\nnameserver ::1\n"],
        )
        .expect(&format!("readlink -f -- {CONF}"), &format!("{REAL}\n"))
        .expect("vzctl status 101", &format!("CTID 101 exist {status}\n"))
        .expect("readlink -f -- /vz/private/101", "/data/101\n")
        .expect("sh -c @ sh /data/101 /vz/root/101 /vz/dump /etc/vz/conf 101", around)
}

#[test]
fn a_running_simfs_container_is_described() {
    let fake = described(OWN, "mounted running", "private\nscript mount\nglobal mount\n")
        .file(
            "/etc/vz/conf/101.mount",
            &["#!/bin/sh\n. /etc/vz/vz.conf\n# mount --bind x\nmount -n --bind /srv \"$VE_ROOT/srv\"\n"],
        )
        .expect("vzlist -a -H -t -o ctid,diskspace 101", "  101 2048\n")
        .expect("vzlist -a -H -t -o ctid,diskinodes 101", "  101 77\n")
        .expect("stat -L -c '%f %t %T' -- /dev/net/tun", "21b6 a c8\n")
        .answer("stat -L -c '%f %t %T' -- /dev/gone", 1, "", "No such file");
    let ct = on(fake, |node| node.describe(&ctid(), &[]).unwrap());
    assert_eq!((ct.status, ct.layout, ct.dump), (Status::Running, Layout::Simfs, false));
    assert_eq!(ct.config_path, Path::new(REAL));
    assert_eq!((ct.private.as_path(), ct.tree.as_path()), (Path::new("/data/101"), Path::new("/data/101")));
    assert_eq!(ct.root, Path::new("/vz/root/101"));
    assert_eq!((ct.usage.bytes, ct.usage.inodes), (Bytes(2 << 20), 77));
    assert_eq!(ct.ve.limits.cpu_quota_percent, Some(100), "a quarter of four CPUs");
    assert_eq!(ct.ve.limits.memory_bytes, Some(256 << 20));
    assert_eq!((ct.ve.devices[0].kind, ct.ve.devices[0].major, ct.ve.devices[0].minor), ('c', Some(10), Some(200)));
    assert_eq!((ct.ve.devices[1].major, ct.ve.devices[1].path.as_deref()), (None, Some("gone")));
    assert_eq!(
        ct.action_scripts,
        [
            "/etc/vz/conf/101.mount".to_owned(),
            "/etc/vz/conf/101.mount: mount -n --bind /srv \"$VE_ROOT/srv\"".to_owned()
        ]
    );
    let ids: Vec<&str> = ct.ve.findings.iter().map(|f| f.id.as_str()).collect();
    assert_eq!(ids, ["ve-devnode-missing", "ve-global-action-script", "ve-action-mount"]);
    assert_eq!(ct.node_nameservers, ["10.0.0.53", "::1"]);
    assert_eq!(ct.node_searchdomains, ["a.example", "b.example"]);
    assert_eq!(ct.config_text, OWN);
}

#[test]
fn a_stopped_simfs_container_is_counted() {
    let fake = described("ONBOOT=no\n", "unmounted down", "private\ndump\n")
        .answer("du -sxk -- /data/101", 1, "400\t/data/101\n", "cannot access: vanished")
        .expect("sh -c 'find \"$1\" -xdev -printf . | wc -c' sh /data/101", "55\n");
    let ct = on(fake, |node| node.describe(&ctid(), &[]).unwrap());
    assert_eq!((ct.status, ct.dump, ct.usage.bytes, ct.usage.inodes), (Status::Stopped, true, Bytes(409_600), 55));
}

#[test]
fn quota_that_is_off_is_counted_too() {
    let fake = described("ONBOOT=no\n", "mounted running", "private\n")
        .expect("vzlist -a -H -t -o ctid,diskspace 101", "  101 -\n")
        .expect("du -sxk -- /data/101", "400\t/data/101\n")
        .expect("sh -c 'find \"$1\" -xdev -printf . | wc -c' sh /data/101", "55\n");
    assert_eq!(on(fake, |node| node.describe(&ctid(), &[]).unwrap()).usage.bytes, Bytes(409_600));
}

#[test]
fn ploop_is_read_from_its_mount_point() {
    let fake = described(OWN, "mounted down", "private\nploop\n")
        .expect(
            "df -Pk -- /vz/root/101",
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/ploop1p1 9 7 2 70% /vz/root/101\n",
        )
        .expect(
            "df -Pi -- /vz/root/101",
            "Filesystem Inodes IUsed IFree IUse% Mounted on\n/dev/ploop1p1 900 70 2 70% /vz/root/101\n",
        )
        .expect("stat -L -c '%f %t %T' -- /dev/net/tun", "21b6 a c8\n")
        .expect("stat -L -c '%f %t %T' -- /dev/gone", "61b0 8 0\n");
    let ct = on(fake, |node| node.describe(&ctid(), &[]).unwrap());
    assert_eq!((ct.layout, ct.tree.as_path()), (Layout::Ploop, Path::new("/vz/root/101")));
    assert_eq!((ct.usage.bytes, ct.usage.inodes), (Bytes(7 * 1024), 70));
    assert_eq!(ct.ve.limits.disk_inodes, None);
    assert_eq!(ct.ve.devices[1].kind, 'b');
}

#[test]
fn a_ploop_image_that_is_not_mounted_is_described_from_outside() {
    let unknown = described("VE_LAYOUT=ploop\n", "unmounted down", "private\n")
        .expect("vzlist -a -H -t -o ctid,diskspace 101", "101 -\n")
        .expect("du -sk -- /data/101/root.hdd", "2048\t/data/101/root.hdd\n");
    let ct = on(unknown, |node| node.describe(&ctid(), &[]).unwrap());
    assert_eq!((ct.access, ct.status, ct.tree.as_path()), (Access::Mount, Status::Stopped, Path::new("/vz/root/101")));
    assert_eq!(ct.usage.bytes, Bytes(2 << 20));
    let listed = described("VE_LAYOUT=ploop\n", "unmounted down", "private\n")
        .expect("vzlist -a -H -t -o ctid,diskspace 101", "101 7\n")
        .expect("vzlist -a -H -t -o ctid,diskinodes 101", "101 70\n");
    let ct = on(listed, |node| node.describe(&ctid(), &[]).unwrap());
    assert_eq!((ct.usage.bytes, ct.usage.inodes), (Bytes(7 * 1024), 70));
}

#[test]
fn mounting_believes_the_state() {
    let good = fake().expect("vzctl mount 101", "").expect("vzctl status 101", "CTID 101 exist mounted down\n");
    on(good, |node| node.mount(&ctid()).unwrap());
    let not = fake().expect("vzctl mount 101", "").expect("vzctl status 101", "CTID 101 exist unmounted down\n");
    assert!(chain(&on(not, |node| node.mount(&ctid()).unwrap_err())).contains("the container is stopped"));
}

#[test]
fn areas_that_cannot_be_a_containers_are_refused() {
    for (own, said) in [("VE_PRIVATE=private\n", "VE_PRIVATE"), ("VE_ROOT=/\n", "VE_ROOT")] {
        let fake = fake()
            .file(CONF, &[own])
            .expect(&format!("readlink -f -- {CONF}"), &format!("{REAL}\n"))
            .expect("vzctl status 101", "CTID 101 exist unmounted down\n");
        let error = on(fake, |node| node.describe(&ctid(), &[]).unwrap_err());
        assert!(chain(&error).contains(said), "{error:?}");
    }
    let missing = described("ONBOOT=no\n", "unmounted down", "");
    assert!(chain(&on(missing, |node| node.describe(&ctid(), &[]).unwrap_err())).contains("not a directory"));
}

#[test]
fn stop_believes_the_state_and_not_the_exit_code() {
    let minute = Duration::from_secs(60);
    let good = fake().expect("vzctl stop 101", "").expect("vzctl status 101", "CTID 101 exist unmounted down\n");
    on(good, |node| node.stop(&ctid(), minute).unwrap());
    let still = fake().expect("vzctl stop 101", "").expect("vzctl status 101", "CTID 101 exist mounted running\n");
    let error = on(still, |node| node.stop(&ctid(), minute).unwrap_err());
    assert!(chain(&error).contains("the container is running"), "{error:?}");
    let locked = fake().answer("vzctl stop 101", 9, "", "Container already locked\n");
    let error = on(locked, |node| node.stop(&ctid(), minute).unwrap_err());
    assert!(chain(&error).starts_with("stopping container 101 on root@vz1:22 | vzctl exit code 9"), "{error:?}");
    let down = "CTID 101 exist unmounted down\n";
    let unmounted = fake()
        .expect("vzctl stop 101 --skip-umount", "")
        .expect("vzctl status 101", down)
        .expect("vzctl status 101", down)
        .expect("vzctl mount 101", "")
        .expect("vzctl status 101", "CTID 101 exist mounted down\n");
    on(unmounted, |node| node.stop_mounted(&ctid(), minute).unwrap());
}

#[test]
fn start_believes_the_state_too() {
    let running = "CTID 101 exist mounted running\n";
    on(fake().expect("vzctl start 101", "").expect("vzctl status 101", running), |n| n.start(&ctid()).unwrap());
    let already = fake().answer("vzctl start 101", 32, "", "already running").expect("vzctl status 101", running);
    on(already, |node| node.start(&ctid()).unwrap());
    let dead = fake().expect("vzctl start 101", "").expect("vzctl status 101", "CTID 101 exist unmounted down\n");
    assert!(on(dead, |node| node.start(&ctid())).is_err());
    let disabled = fake().answer("vzctl start 101", 105, "", "Container start disabled");
    let error = on(disabled, |node| node.start(&ctid()).unwrap_err());
    assert!(chain(&error).contains("disabled") && error.first_hint().unwrap().contains("--disabled no"));
}

const SET_FENCE: &str = "vzctl set 101 --onboot no --disabled yes --save";
const FENCED: &str = "ONBOOT=\"no\"\nDISABLED=\"yes\"\n";

/// Expects the real path to be asked for, as often as the file is read for its flags.
fn asked(fake: Fake) -> Fake {
    fake.expect(&format!("readlink -f -- {CONF}"), &format!("{REAL}\n"))
}

#[test]
fn a_fence_remembers_the_own_file_only() {
    // vz.conf says ONBOOT=yes for everyone; the container's own file does not.
    let base = Fake::new().file("/etc/vz/vz.conf", &["ONBOOT=yes\n"]).expect("sh -c @ sh", PROBED);
    let fake = asked(asked(base.file(CONF, &["HOSTNAME=a\n", FENCED])).expect(SET_FENCE, ""));
    let before = on(fake, |node| node.fence(&ctid()).unwrap());
    assert_eq!(before, Fenced { onboot: None, disabled: None, config: REAL.into() });
    let json = serde_json::to_string(&before).unwrap();
    assert_eq!(serde_json::from_str::<Fenced>(&json).unwrap(), before);

    let fake =
        asked(asked(fake_with(&["ONBOOT=\"yes\"\nDISABLED=\"no\"\n", "ONBOOT=\"yes\"\n"])).expect(SET_FENCE, ""));
    let error = on(fake, |node| node.fence(&ctid()).unwrap_err());
    assert!(chain(&error).contains("says ONBOOT yes and DISABLED not set, expected no and yes"), "{error:?}");
}

fn fake_with(contents: &[&str]) -> Fake {
    fake().file(CONF, contents)
}

#[test]
fn taking_the_fence_off_puts_back_what_was() {
    let before = |onboot, disabled| Fenced { onboot, disabled, config: REAL.into() };
    let unset =
        "sed -i -e '/^[[:space:]]*ONBOOT=/d' -e '/^[[:space:]]*DISABLED=/d' -- /etc/sysconfig/vz-scripts/101.conf";
    let fake = asked(fake_with(&["HOSTNAME=a\n"]).expect(unset, ""));
    on(fake, |node| node.unfence(&ctid(), &before(None, None)).unwrap());

    let both = "vzctl set 101 --onboot yes --disabled no --save";
    let fake = asked(fake_with(&["ONBOOT=\"yes\"\nDISABLED=\"no\"\n"]).expect(both, ""));
    on(fake, |node| node.unfence(&ctid(), &before(Some(true), Some(false))).unwrap());

    let fake = fake_with(&["ONBOOT=\"yes\"\n"])
        .expect("vzctl set 101 --onboot yes --save", "")
        .expect("sed -i -e '/^[[:space:]]*DISABLED=/d' -- /etc/sysconfig/vz-scripts/101.conf", "");
    on(asked(fake), |node| node.unfence(&ctid(), &before(Some(true), None)).unwrap());

    let fake = asked(fake_with(&[FENCED]).expect(both, ""));
    let error = on(fake, |node| node.unfence(&ctid(), &before(Some(true), Some(false))).unwrap_err());
    assert!(chain(&error).contains("expected yes and no"), "{error:?}");
    let fake = fake_with(&[FENCED]).answer(unset, 4, "", "sed: couldn't open");
    assert!(chain(&on(fake, |node| node.unfence(&ctid(), &before(None, None)).unwrap_err())).contains("couldn't open"));
}

#[test]
fn commands_that_change_are_marked() {
    use crate::host::Effect;
    on(fake(), |node| {
        let id = ctid();
        assert_eq!(node.status_command(&id).effect(), Effect::Read);
        let fenced = Fenced { onboot: None, disabled: Some(true), config: REAL.into() };
        let mut changing = vec![node.stop_command(&id), node.stop_mounted_command(&id), node.start_command(&id)];
        changing.push(node.fence_command(&id));
        changing.extend(node.unfence_commands(&id, &fenced));
        assert_eq!(changing.len(), 6);
        assert!(changing.iter().all(|c| c.effect() == Effect::Write));
    });
}

/// Runs a command of this room with the real tools of this machine.
fn really(command: &Command) -> Output {
    #[expect(clippy::disallowed_methods, reason = "asks the real tools")]
    let out = std::process::Command::new(&command.argv()[0]).args(&command.argv()[1..]).output().unwrap();
    Output { status: out.status.code().unwrap_or(-1), stdout: out.stdout, stderr: out.stderr }
}

#[test]
fn the_scripts_and_edits_do_what_they_say() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let private = at("it's private");
    std::fs::create_dir_all(private.join("root.hdd")).unwrap();
    std::fs::write(private.join("root.hdd/DiskDescriptor.xml"), "").unwrap();
    std::fs::write(at("101.mount"), "").unwrap();
    std::fs::write(at("1101.start"), "").unwrap();
    std::fs::write(at("vps.umount"), "").unwrap();
    std::fs::write(at("Dump.101"), "").unwrap();
    let script = super::super::describe::LOOK_AROUND;
    let command = Command::read("sh").args(["-c", script, "sh"]).arg(&private).arg("/r").arg(dir.path());
    let out = really(&command.arg(dir.path()).arg("101"));
    assert_eq!(out.text(), "private\nploop\ndump\nscript mount\nglobal umount\n");

    let probe = really(&Command::read("sh").args(["-c", PROBE, "sh"]));
    assert!(probe.status == 0 && probe.text().contains("\nuid ") | probe.text().starts_with("cpus "), "{probe:?}");

    let config = at("101.conf");
    std::fs::write(&config, "ONBOOT=\"no\"\nHOSTNAME=\"a\"\n  DISABLED=yes\n# ONBOOT=x\nXONBOOT=1\n").unwrap();
    let before = Fenced { onboot: None, disabled: None, config: config.clone() };
    let commands = on(fake(), |node| node.unfence_commands(&ctid(), &before));
    assert_eq!((commands.len(), really(&commands[0]).status), (1, 0));
    assert_eq!(std::fs::read_to_string(&config).unwrap(), "HOSTNAME=\"a\"\n# ONBOOT=x\nXONBOOT=1\n");
}
