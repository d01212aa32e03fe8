use super::*;

fn proposed(action: &str, text: &str) -> Vec<Finding> {
    let container = Container { ctid: "101", root: Path::new("/vz/root/101"), private: Path::new("/vz/private/101") };
    proposals(&Script { name: "101.mount", action, text: text.as_bytes() }, &container)
}

fn entries(text: &str) -> Vec<String> {
    let all = proposed("mount", text).into_iter().filter(|f| f.id == "ve-action-mount");
    all.map(|f| f.remedy.strip_prefix("lxc.mount.entry = ").unwrap_or(&f.remedy).to_owned()).collect()
}

#[test]
fn bind_mounts_become_entries() {
    for (line, want) in [
        ("mount --bind /srv ${VE_ROOT}/srv", "/srv srv none bind,create=dir 0 0"),
        ("mount -n --bind /srv \"$VE_ROOT/mnt/my data\"", "/srv mnt/my\\040data none bind,create=dir 0 0"),
        ("/bin/mount -n -o bind,ro /srv/a /vz/root/$VEID/a/", "/srv/a a none bind,ro,create=dir 0 0"),
        ("mount -obind /srv $VE_ROOT/srv || exit 1", "/srv srv none bind,create=dir 0 0"),
        ("[ -d /srv ] && mount -B /srv /vz/root/101/srv", "/srv srv none bind,create=dir 0 0"),
        ("mount --rbind -o noatime /srv $VE_ROOT/srv", "/srv srv none rbind,noatime,create=dir 0 0"),
        (
            "SRC=/mnt/disk\nDST=/mnt/disk\nmount -n --bind ${SRC} ${VE_ROOT}${DST}",
            "/mnt/disk mnt/disk none bind,create=dir 0 0",
        ),
        ("S=/d; mount -n -t simfs $S $VE_ROOT$S -o $S", "/d d none bind,create=dir 0 0"),
        ("if true; then\n  mount \\\n --bind /a\\ b $VE_ROOT/x\nfi", "/a\\040b x none bind,create=dir 0 0"),
    ] {
        assert_eq!(entries(line), [want], "{line}");
    }
}

#[test]
fn what_cannot_be_one_line_of_the_tree_is_not_proposed() {
    for line in [
        "# mount --bind /srv $VE_ROOT/srv",
        "echo mount --bind /srv $VE_ROOT/srv",
        "mount --bind /srv /mnt/elsewhere",
        "mount --bind /srv $VE_ROOT",
        "mount --bind /srv $VE_ROOT/../../etc",
        "mount --bind srv $VE_ROOT/srv",
        "mount --bind $SOMETHING $VE_ROOT/srv",
        "mount --bind `pwd` $VE_ROOT/srv",
        "mount --bind /srv/* $VE_ROOT/srv",
        "mount -t nfs server:/a $VE_ROOT/a",
        "mount /dev/sdb1 $VE_ROOT/a",
        "mount --bind '/a\nb' $VE_ROOT/srv",
        "mount --bind /a\x1b $VE_ROOT/srv",
        "mount --bind /srv",
        "umount $VE_ROOT/srv",
    ] {
        assert_eq!(entries(line), [] as [&str; 0], "{line}");
        assert_eq!(proposed("mount", line).len(), 1, "the script itself is named: {line}");
    }
}

#[test]
fn findings_say_where_and_are_bounded() {
    let found = proposed("mount", "#!/bin/sh\n\nmount --bind /srv $VE_ROOT/srv\n");
    assert_eq!((found.len(), found[0].subject.as_str()), (1, "101.mount:3"));
    assert!(found[0].detail.starts_with("mount --bind /srv $VE_ROOT/srv: "));
    let found = proposed("mount", &"mount --bind /srv $VE_ROOT/srv\n".repeat(5000));
    assert_eq!(found.len(), MOST_FINDINGS + 1);
    assert!(found[MOST_FINDINGS].title.starts_with("4960 more"));
}

#[test]
fn every_action_has_a_hook() {
    let keys = ACTIONS.iter().map(|action| {
        let found = proposed(action, "logger x\n");
        assert_eq!((found.len(), found[0].id.as_str()), (1, "ve-action-script"), "{action}");
        found[0].remedy.split(' ').next().unwrap().to_owned()
    });
    let want = "pre-start mount start stop post-stop post-stop";
    assert_eq!(keys.collect::<Vec<_>>(), want.split(' ').map(|k| format!("lxc.hook.{k}")).collect::<Vec<_>>());
    assert!(proposed("start", "")[0].detail.contains("inside the container after its mounts"));
}

#[test]
fn blanks_and_backslashes_are_escaped_and_odd_options_left_out() {
    let options = vec!["ro".into(), "a b".into(), "x\n".into()];
    let mount = Mount { source: "/a b\\c".into(), target: "/d#e".into(), recursive: false, options };
    let entry = mount_entry(&mount).unwrap();
    assert_eq!(entry, "lxc.mount.entry = /a\\040b\\134c d#e none bind,ro,create=dir 0 0");
}

#[test]
fn no_script_makes_it_panic_or_say_more_than_a_line() {
    let words = [
        "mount",
        " --bind ",
        "-o bind",
        " /srv",
        "$VE_ROOT",
        "${VE_ROOT}/a",
        "/vz/root/101/b",
        "'",
        "\"",
        "\\",
        "\n",
        ";",
        "&&",
        "`",
        "$(",
        "A=",
        "$A",
        "{",
        "}",
        "#",
        "\u{0}",
        "\u{1b}",
        "\u{e9}",
        "..",
        "*",
        " ",
    ];
    let mut state = 0x5eed_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % 65_521).unwrap()
    };
    for _ in 0..3000 {
        let text: String = (0..40).map(|_| words[next() % words.len()]).collect();
        for finding in proposed("mount", &text) {
            let line =
                finding.remedy.strip_prefix("lxc.mount.entry = /").is_some_and(|rest| rest.ends_with("create=dir 0 0"));
            assert!(line || finding.id == "ve-action-script", "{text:?}: {finding:?}");
            let all = [&finding.title, &finding.detail, &finding.remedy, &finding.subject];
            assert!(all.iter().all(|t| !t.contains(char::is_control)) && !finding.remedy.contains(".."), "{finding:?}");
        }
    }
}
