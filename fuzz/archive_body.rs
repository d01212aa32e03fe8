// What the fuzz target and the tests of the main crate both run: any bytes as a tar stream, read and, as root, unpacked next
// to a canary. The first byte tells whether the checksums of its headers are made right first; without that a fuzzer would
// seldom come past them.

use ovz2lxc::cancel::Cancel;
use ovz2lxc::error::{Error, Result};
use ovz2lxc::rootfs::Rootfs;
use ovz2lxc::transfer::archive::{Archive, Member, MemberKind, NoNames};
use ovz2lxc::transfer::extract::{Extractor, member_path};
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

const BLOCK: usize = 512;
/// What every usual file system keeps; ext4 until May 2446.
const TIMES: std::ops::Range<i64> = -(1 << 31)..15_032_385_535;

/// The directory of this process: `root/` is unpacked into, `canary/` must stay as it is.
static YARD: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let yard = tempfile::Builder::new().prefix("ovz2lxc-fuzz-").tempdir().unwrap();
    std::fs::create_dir(yard.path().join("canary")).unwrap();
    std::fs::write(yard.path().join("canary/file"), "sings").unwrap();
    yard
});

/// Reads and unpacks, and panics where a promise is broken. Returns how many members were read when all of it is good.
/// Not to be called by two threads at once.
pub(crate) fn archive(data: &[u8]) -> Option<usize> {
    let (how, bytes) = data.split_first()?;
    let mut stream = bytes.to_vec();
    if how % 2 == 0 {
        seal(&mut stream);
    }
    let read = decode(stream.as_slice());
    // However the bytes come, they mean the same.
    let piecemeal = decode(BufReader::with_capacity(7, stream.as_slice()));
    match (&read, &piecemeal) {
        (Ok(one), Ok(other)) => assert_eq!(one, other, "it depends on how the bytes come"),
        (Err(one), Err(other)) => assert_eq!(one.chain(), other.chain(), "it depends on how the bytes come"),
        (one, other) => panic!("it depends on how the bytes come: {one:?}, {other:?}"),
    }
    match &read {
        Ok((_, end)) => {
            let cut = decode(&stream[..usize::from(*how) * 97 % end]);
            let text =
                cut.err().map_or("a stream that is cut was taken for whole".to_owned(), |e| e.chain().join(": "));
            assert!(text.contains("the archive ends in the middle"), "{text}");
        }
        Err(error) => shown(error),
    }
    // Nobody else can make devices and owners.
    if std::fs::metadata("/proc/self").unwrap().uid() == 0 {
        let unpacked = unpack(&stream);
        assert!(read.is_ok() || unpacked.is_err(), "what cannot be read was unpacked");
    }
    read.ok().map(|(members, _)| members.len())
}

/// Makes the checksum right of every block that looks like a header.
fn seal(stream: &mut [u8]) {
    for block in stream.chunks_exact_mut(BLOCK).filter(|block| block[257..262] == *b"ustar") {
        block[148..156].fill(b' ');
        let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    }
}

type Members = Vec<(Member, Vec<u8>)>;

/// Returns the members with their content, and where the mark of the end ends.
fn decode<R: BufRead>(stream: R) -> Result<(Members, usize)> {
    let mut archive = Archive::new(stream, &NoNames);
    let mut members = Vec::new();
    while let Some(member) = archive.next_member()? {
        let mut content = Vec::new();
        loop {
            let piece = archive.content(u64::MAX)?;
            if piece.is_empty() {
                break;
            }
            content.extend_from_slice(piece);
            let length = piece.len();
            archive.consume(length);
        }
        check(&member, content.len() as u64);
        members.push((member, content));
    }
    let end = usize::try_from(archive.bytes_read()).unwrap();
    archive.finish()?;
    Ok((members, end))
}

fn check(member: &Member, sent: u64) {
    assert!(member.mode <= 0o7777 && (0..1_000_000_000).contains(&member.mtime.nanoseconds), "{member:?}");
    assert!(member.kind == MemberKind::File || (sent == 0 && member.extents.is_none()), "content of {member:?}");
    let (mut behind, mut data) = (0, 0);
    for (offset, length) in member.extents.iter().flatten() {
        assert!(*offset >= behind, "pieces of {member:?} overlap");
        behind = offset.saturating_add(*length);
        data += length;
    }
    assert!(behind <= member.size, "{member:?} is longer than its size");
    let data = if member.extents.is_some() { data } else { member.size };
    assert!(member.kind != MemberKind::File || data == sent, "{data} bytes of {member:?}, {sent} came");
}

fn shown(error: &Error) {
    let text = error.chain().join(": ");
    assert!(!text.chars().any(char::is_control), "a control character in {text:?}");
}

fn unpack(stream: &[u8]) -> Result<()> {
    let yard = YARD.path();
    let top = yard.join("root");
    std::fs::create_dir(&top).unwrap();
    let before = state(yard);
    let result = unpack_into(stream, &top);
    let kind = top.symlink_metadata().unwrap().file_type();
    assert!(kind.is_dir(), "the top became something else");
    assert_eq!(state(yard), before, "something outside the target changed");
    ovz2lxc::rootfs::walk::remove(File::open(yard).unwrap().as_fd(), OsStr::new("root")).unwrap();
    result.inspect_err(shown)
}

fn unpack_into(stream: &[u8], top: &Path) -> Result<()> {
    let root = Rootfs::open(top)?;
    let mut archive = Archive::new(stream, &NoNames);
    let mut extractor = Extractor::new(&root)?;
    while let Some(member) = archive.next_member()? {
        let path = member_path(&member.name)?;
        extractor.extract(&path, &member, &mut archive, &Cancel::new(), &mut |_| Ok(()))?;
        let made = top.join(OsStr::from_bytes(&path));
        // Longer ones cannot be looked at in one piece.
        if path.len() < 3000 {
            is_as(&member, &made.symlink_metadata().unwrap_or_else(|e| panic!("{}: {e}", made.display())), top);
        }
    }
    extractor.finish()?;
    archive.finish()
}

/// Compares what was made with what was asked for; directories are not ready yet.
fn is_as(member: &Member, made: &Metadata, top: &Path) {
    let kind = made.file_type();
    let right = match member.kind {
        MemberKind::File => kind.is_file() && made.len() == member.size,
        MemberKind::Symlink => kind.is_symlink() && made.len() == member.link.len() as u64,
        MemberKind::CharDevice(..) => kind.is_char_device(),
        MemberKind::BlockDevice(..) => kind.is_block_device(),
        MemberKind::Directory => kind.is_dir(),
        MemberKind::Fifo => kind.is_fifo(),
        MemberKind::HardLink => {
            let original = member_path(&member.link).unwrap();
            let original = top.join(OsStr::from_bytes(&original)).symlink_metadata();
            original.is_ok_and(|original| original.ino() == made.ino()) || member.link.len() > 3000
        }
    };
    assert!(right, "{member:?} became {made:?}");
    if !matches!(member.kind, MemberKind::HardLink | MemberKind::Directory) {
        assert_eq!((made.uid(), made.gid()), (member.uid, member.gid), "{member:?}");
        let kept = !TIMES.contains(&member.mtime.seconds) || made.mtime() == member.mtime.seconds;
        assert!(kept, "{member:?} became {made:?}");
        assert!(kind.is_symlink() || made.mode() & 0o7777 == member.mode, "{member:?} became {made:?}");
    }
}

/// Returns all that must not change, and the names beside it.
fn state(yard: &Path) -> (Vec<PathBuf>, Vec<[i64; 6]>, Vec<u8>) {
    let mut names: Vec<PathBuf> = std::fs::read_dir(yard).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    let facts = |path: &str| {
        let m = yard.join(path).symlink_metadata().unwrap();
        [
            i64::from(m.mode()),
            i64::from(m.uid()),
            i64::from(m.gid()),
            m.nlink().cast_signed(),
            m.ctime(),
            m.ctime_nsec(),
        ]
    };
    let content = std::fs::read(yard.join("canary/file")).unwrap();
    (names, vec![facts("."), facts("canary"), facts("canary/file")], content)
}
