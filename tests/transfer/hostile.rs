//! Archives that want to write outside the target.

use crate::desk::{Desk, put, stream};
use crate::shell_host::{ShellHost, write_program};
use crate::torture;
use ovz2lxc::cancel::Cancel;
use ovz2lxc::error::Result;
use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::transfer::Pass;
use ovz2lxc::transfer::archive::{Archive, NoNames};
use ovz2lxc::transfer::extract::{Extractor, member_path};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use tar::{EntryType, Header};

/// Appends a member exactly as it is named.
fn member(archive: &mut Vec<u8>, kind: EntryType, name: &str, link: &str, content: &[u8]) {
    let mut header = Header::new_gnu();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o666);
    header.set_uid(1);
    header.set_gid(1);
    header.set_mtime(1);
    header.set_size(content.len() as u64);
    header.set_cksum();
    archive.extend_from_slice(header.as_bytes());
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(512), 0);
}

fn extract_all(stream: &[u8], root: &Path) -> Result<()> {
    let root = Rootfs::open(root)?;
    let mut archive = Archive::new(stream, &NoNames);
    let mut extractor = Extractor::new(&root)?;
    while let Some(member) = archive.next_member()? {
        let path = member_path(&member.name)?;
        extractor.extract(&path, &member, &mut archive, &Cancel::new(), &mut |_| Ok(()))?;
    }
    extractor.finish()?;
    archive.finish()
}

type Attack = (&'static str, Vec<(EntryType, &'static str, &'static str, &'static [u8])>);

fn attacks() -> Vec<Attack> {
    use EntryType as T;
    vec![
        ("climbs", vec![(T::Regular, "../canary/file", "", b"harm")]),
        ("climbs in the middle", vec![(T::Directory, "a/", "", b""), (T::Regular, "a/../../canary/file", "", b"harm")]),
        ("is absolute", vec![(T::Regular, "/canary/file", "", b"harm")]),
        ("is absolute after a dot", vec![(T::Regular, ".//canary/file", "", b"harm")]),
        ("goes through a link", vec![(T::Symlink, "l", "../canary", b""), (T::Regular, "l/file", "", b"harm")]),
        (
            "makes a directory through a link",
            vec![(T::Symlink, "l", "../canary", b""), (T::Directory, "l/new", "", b"")],
        ),
        (
            "goes through a link deep down",
            vec![(T::Symlink, "a/b/l", "../../../canary", b""), (T::Regular, "a/b/l/new/file", "", b"harm")],
        ),
        ("links outside", vec![(T::Link, "h", "../canary/file", b"")]),
        ("links to an absolute path", vec![(T::Link, "h", "/canary/file", b"")]),
        ("links through a link", vec![(T::Symlink, "l", "../canary", b""), (T::Link, "h", "l/file", b"")]),
        ("links a directory", vec![(T::Directory, "d", "", b""), (T::Link, "h", "d", b"")]),
        ("links to nothing", vec![(T::Link, "h", "nothing", b"")]),
        ("replaces the top", vec![(T::Symlink, "./", "../canary", b"")]),
        ("makes the top a device", vec![(T::Char, ".", "", b"")]),
        ("removes its parent", vec![(T::Regular, "..", "", b"harm")]),
        ("is an unknown type", vec![(T::new(b'Z'), "z", "", b"")]),
        ("is a contiguous file", vec![(T::Continuous, "z", "", b"harm")]),
    ]
}

/// Harmless although they look like the attacks: what is replaced is the link, never what it points to.
fn replacements() -> Vec<Attack> {
    use EntryType as T;
    let link = (T::Symlink, "x", "../canary/file", b"".as_slice());
    vec![
        ("a file replaces a link", vec![link, (T::Regular, "x", "", b"harm")]),
        ("a directory replaces a link", vec![(T::Symlink, "x", "../canary", b""), (T::Directory, "x", "", b"")]),
        ("a device replaces a link", vec![link, (T::Char, "x", "", b"")]),
        ("a link replaces a link", vec![link, (T::Symlink, "x", "../canary", b"")]),
        ("a hard link is made to a link", vec![link, (T::Link, "h", "x", b"")]),
        ("a file replaces a hard link to a link", vec![link, (T::Link, "h", "x", b""), (T::Regular, "h", "", b"harm")]),
        ("a file replaces a full directory", vec![(T::Regular, "x/y/z", "", b""), (T::Regular, "x", "", b"harm")]),
        ("a link replaces a directory", vec![(T::Directory, "x", "", b""), (T::Symlink, "x", "../canary", b"")]),
    ]
}

fn with_canary(desk: &Desk) -> Vec<String> {
    put(desk.temp.path(), "canary/file", "sings");
    let canary = desk.temp.path().join("canary");
    torture::differences(&canary, &canary, &[]);
    let meta = canary.join("file").symlink_metadata().unwrap();
    let top = canary.symlink_metadata().unwrap();
    let facts =
        |m: &std::fs::Metadata| format!("{} {} {} {} {}", m.mode(), m.uid(), m.nlink(), m.ctime(), m.ctime_nsec());
    vec![facts(&meta), facts(&top), std::fs::read_to_string(canary.join("file")).unwrap()]
}

fn canary_now(desk: &Desk) -> Vec<String> {
    let canary = desk.temp.path().join("canary");
    let facts = |path: &Path| {
        let m = path.symlink_metadata().unwrap();
        format!("{} {} {} {} {}", m.mode(), m.uid(), m.nlink(), m.ctime(), m.ctime_nsec())
    };
    vec![facts(&canary.join("file")), facts(&canary), std::fs::read_to_string(canary.join("file")).unwrap()]
}

fn stream_of(members: &[(EntryType, &str, &str, &[u8])]) -> Vec<u8> {
    let mut archive = Vec::new();
    for (kind, name, link, content) in members {
        member(&mut archive, *kind, name, link, content);
    }
    archive.resize(archive.len() + 1024, 0);
    archive
}

#[test]
fn no_archive_writes_outside_the_target() {
    for (what, members) in attacks() {
        let Some(desk) = Desk::new("no_archive_writes_outside_the_target") else { return };
        let before = with_canary(&desk);
        let result = extract_all(&stream_of(&members), &desk.target);
        assert!(result.is_err(), "{what} was accepted");
        assert_eq!(canary_now(&desk), before, "{what}");
    }
    for (what, members) in replacements() {
        let Some(desk) = Desk::new("no_archive_writes_outside_the_target") else { return };
        let before = with_canary(&desk);
        extract_all(&stream_of(&members), &desk.target).unwrap_or_else(|e| panic!("{what}: {e:?}"));
        assert_eq!(canary_now(&desk), before, "{what}");
    }
}

#[test]
fn links_that_wait_on_the_target_are_not_followed() {
    let Some(desk) = Desk::new("links_that_wait_on_the_target_are_not_followed") else { return };
    let before = with_canary(&desk);
    put(&desk.source, "d/file", "harmless");
    put(&desk.source, "file", "harmless");
    symlink("../canary", desk.target.join("d")).unwrap();
    symlink("../canary/file", desk.target.join("file")).unwrap();
    desk.copy(&stream(), Pass::Final).unwrap();
    desk.assert_equal("links on the target", &[]);
    assert_eq!(canary_now(&desk), before);
}

#[test]
fn a_source_that_sends_what_nobody_asked_for_is_not_believed() {
    for (what, members) in attacks().into_iter().chain([(
        "is not in the index",
        vec![(EntryType::Regular, "root/.ssh/authorized_keys", "", b"key".as_slice())],
    )]) {
        let Some(mut desk) = Desk::new("a_source_that_sends_what_nobody_asked_for_is_not_believed") else { return };
        let before = with_canary(&desk);
        put(&desk.source, "file", "asked for");
        let (programs, archive) = (desk.temp.path().join("programs"), desk.temp.path().join("archive"));
        std::fs::create_dir(&programs).unwrap();
        std::fs::write(&archive, stream_of(&members)).unwrap();
        let script = "case \"$1\" in --version|--help) exec /bin/tar \"$@\";; esac\ncat >/dev/null\nexec cat";
        write_program(&programs.join("tar"), &format!("{script} '{}'", archive.display()));
        desk.host = ShellHost::with_programs(&programs);
        for pass in [Pass::Live, Pass::Final] {
            // On the live pass what does not look like the index is left out, as if it had changed.
            let failed = desk.copy(&stream(), pass).is_err();
            assert!(failed || (pass == Pass::Live && what.contains("the top")), "{what} was accepted");
            assert!(desk.target.symlink_metadata().unwrap().is_dir());
            assert_eq!(canary_now(&desk), before, "{what}");
            assert!(!desk.target.join("root").exists());
        }
    }
}

#[test]
fn names_are_cleaned_only_of_what_tar_adds() {
    for (name, path) in
        [("./", ""), (".", ""), ("./a", "a"), ("./a/b/", "a/b"), ("a", "a"), ("././a", "a"), ("./..a", "..a")]
    {
        assert_eq!(member_path(name.as_bytes()).unwrap(), path.as_bytes(), "{name}");
    }
    for name in ["/a", "..", "./../a", "a/./b", "a//b", "a/..", ".//a", "a//"] {
        assert!(member_path(name.as_bytes()).is_err(), "{name}");
    }
}
