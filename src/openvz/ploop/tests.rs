use super::descriptor::{Descriptor, Format, parse};
use super::image::Image;
use super::overlay::Overlay;
use super::partition;
use std::path::Path;

fn xml(images: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?>\n<Parallels_disk_image><StorageData><Storage>{images}</Storage></StorageData></Parallels_disk_image>"
    )
}

fn one(kind: &str, file: &str) -> String {
    xml(&format!("<Image>\n <GUID>x</GUID>\n <Type>{kind}</Type>\n <File>{file}</File>\n</Image>"))
}

#[test]
fn a_descriptor_names_one_file_beside_it() {
    let file = |text: &str| parse(text).map(|found| (found.file, found.format));
    assert_eq!(file(&one("Compressed", "root.hdd")).unwrap(), ("root.hdd".into(), Format::Expanded));
    assert_eq!(file(&one("Plain", "/old/place/root.hdd")).unwrap(), ("root.hdd".into(), Format::Raw));
    for (text, said) in [
        (one("Compressed", "../x"), "beside"),
        (one("Compressed", ".."), "beside"),
        (one("Compressed", "/"), "beside"),
        (one("Compressed", ""), "beside"),
        (one("Compressed", "a&amp;b"), "entities"),
        (one("Qcow2", "root.hdd"), "Qcow2"),
        (xml(""), "0 files"),
        (one("Compressed", "a").replace("<Storage>", "<Storage><Image></Image>"), "2 files"),
        (one("Compressed", "a").replace("<Storage>", "<Encryption></Encryption><Storage>"), "encrypted"),
        ("<a>".repeat(100), "nested"),
        ("<a></b>".into(), "broken"),
    ] {
        let error = parse(&text).unwrap_err();
        assert!(error.chain().join(": ").contains(said), "{text}: {error:?}");
    }
}

/// An image of six blocks of 4 KiB, of which the second and the last are there, in the wrong order.
fn small() -> Vec<u8> {
    let mut file = vec![0; 4096];
    file[..16].copy_from_slice(b"WithouFreSpacExt");
    for (at, number) in [(16, 2_u32), (28, 8), (32, 6), (36, 48), (68, 2), (84, 1)] {
        file[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    file.extend([b'z'; 4096]);
    file.extend([b'b'; 4096]);
    file
}

fn open(dir: &Path, content: &[u8]) -> crate::error::Result<Image> {
    std::fs::write(dir.join("root.hdd"), content).unwrap();
    Image::open(dir, &Descriptor { file: "root.hdd".into(), format: Format::Expanded })
}

#[test]
fn blocks_are_found_through_the_table_and_holes_are_zeros() {
    let dir = tempfile::tempdir().unwrap();
    let image = open(dir.path(), &small()).unwrap();
    assert_eq!(image.size, 6 * 4096);
    let mut all = vec![1; 6 * 4096];
    image.read_at(&mut all, 0).unwrap();
    let want: Vec<u8> = [0, b'b', 0, 0, 0, b'z'].iter().flat_map(|b| [*b; 4096]).collect();
    assert_eq!(all, want);
    let mut across = [1; 6];
    image.read_at(&mut across, 4093).unwrap();
    assert_eq!(&across, b"\0\0\0bbb");
    assert!(image.read_at(&mut across, 6 * 4096 - 5).is_err(), "not beyond the end");
    assert!(image.read_at(&mut across, u64::MAX).is_err());
}

#[test]
fn headers_that_cannot_be_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for (at, value, said) in [
        (16, 3_u32, "type 3"),
        (28, 4, "4 sectors"),
        (28, 1 << 20, "sectors"),
        (32, 0, "cannot be"),
        (32, u32::MAX, "cannot be"),
        (36, 49, "cannot be"),
        (40, 1, "cannot be"),
        (32, 1 << 20, "ends in its table"),
        (68, 3, "outside"),
        (68, u32::MAX, "outside"),
        (68, 1, "share"),
    ] {
        let mut bad = small();
        bad[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let error = open(dir.path(), &bad).unwrap_err();
        assert!(error.chain().join(": ").contains(said), "{at}={value}: {error:?}");
    }
    assert!(open(dir.path(), &small()[..40]).is_err(), "shorter than a header");
}

#[test]
fn what_is_written_is_read_back_and_never_reaches_the_image() {
    let dir = tempfile::tempdir().unwrap();
    let before = small();
    let image = open(dir.path(), &before).unwrap();
    // A part that neither begins nor ends with a page of the image.
    let mut part = Overlay::new(image, 4096 + 512, 10_000);
    part.write(4000, &[b'!'; 200]).unwrap();
    part.write(9_999, b"?").unwrap();
    let read = part.read(3900, 400).unwrap();
    assert_eq!(read.iter().filter(|b| **b == b'!').count(), 200);
    assert!(read[..100].iter().all(|b| *b == 0) && read[100] == b'!' && read[300] == 0);
    assert_eq!(part.read(0, 3).unwrap(), b"bbb", "what was not written is the image's");
    assert_eq!(part.read(9_998, 100).unwrap(), [0, b'?'], "shorter at the end");
    assert_eq!(part.read(10_000, 1).unwrap(), b"");
    assert!(part.write(9_999, b"ab").is_err() && part.write(u64::MAX, b"ab").is_err());
    assert_eq!(std::fs::read(dir.path().join("root.hdd")).unwrap(), before);
}

#[test]
fn a_partition_lies_on_the_disk_and_holds_ext() {
    let dir = tempfile::tempdir().unwrap();
    let raw = Descriptor { file: "root.hdd".into(), format: Format::Raw };
    let find = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut disk = vec![0; 64 << 10];
        disk[512..520].copy_from_slice(b"EFI PART");
        for (at, number) in [(512 + 72, 2_u64), (1024, 1), (1024 + 32, 8), (1024 + 40, 99)] {
            disk[at..at + 8].copy_from_slice(&number.to_le_bytes());
        }
        for at in [512 + 80, 512 + 84] {
            disk[at..at + 4].copy_from_slice(&128_u32.to_le_bytes());
        }
        disk[4096 + 1080..4096 + 1082].copy_from_slice(&[0x53, 0xef]);
        change(&mut disk);
        std::fs::write(dir.path().join("root.hdd"), disk).unwrap();
        partition::find(&Image::open(dir.path(), &raw).unwrap())
    };
    assert_eq!(find(&|_| ()).unwrap(), (4096, 92 * 512));
    let put =
        |at: usize, number: u64| move |disk: &mut Vec<u8>| disk[at..at + 8].copy_from_slice(&number.to_le_bytes());
    for (change, said) in [
        (put(1024 + 40, u64::MAX), "larger"),
        (put(1024 + 40, 7), "no first partition"),
        (put(1024 + 32, u64::MAX), "no first partition"),
        (put(1024, 0), "no first partition"),
        (put(512 + 72, u64::MAX / 2), "ends too early"),
        (put(512 + 80, 0), "broken"),
        (put(4096 + 1080, 0), "no ext4"),
    ] {
        let error = find(&change).unwrap_err();
        assert!(error.chain().join(": ").contains(said), "{said}: {error:?}");
    }
    let whole = find(&|disk| {
        disk[512..520].fill(0);
        disk[1080..1082].copy_from_slice(&[0x53, 0xef]);
    });
    assert_eq!(whole.unwrap(), (0, 64 << 10), "without a table the disk is the file system");
}
