use super::*;

fn header(kind: u8, name: &str, size: u64) -> Vec<u8> {
    let mut block = [0u8; BLOCK];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000001\0");
    block[116..124].copy_from_slice(b"0000002\0");
    block[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
    block[136..148].copy_from_slice(b"00000000007\0");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    block[329..337].copy_from_slice(b"0000010\0");
    block[337..345].copy_from_slice(b"0000003\0");
    seal(block.to_vec())
}

fn seal(mut block: Vec<u8>) -> Vec<u8> {
    block[148..156].fill(b' ');
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

fn padded(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.resize(content.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let rest = format!(" {key}={value}\n");
        let length = (rest.len()..).find(|l| l.to_string().len() + rest.len() == *l).unwrap();
        text.extend(format!("{length}{rest}").into_bytes());
    }
    [header(b'x', "pax", text.len() as u64), padded(&text)].concat()
}

fn end() -> Vec<u8> {
    vec![0; 2 * BLOCK]
}

fn first(stream: &[Vec<u8>]) -> Result<(Member, Vec<u8>)> {
    let stream = stream.concat();
    let mut archive = Archive::new(stream.as_slice(), &NoNames);
    let member = archive.next_member()?.ok_or_else(|| Error::new("nothing"))?;
    let mut content = Vec::new();
    loop {
        let piece = archive.content(100)?;
        if piece.is_empty() {
            break;
        }
        content.extend_from_slice(piece);
        let length = piece.len();
        archive.consume(length);
    }
    assert!(archive.next_member()?.is_none());
    archive.finish()?;
    Ok((member, content))
}

fn failure(stream: &[Vec<u8>]) -> String {
    first(stream).unwrap_err().chain().join(": ")
}

#[test]
fn a_plain_member_has_all_its_fields() {
    let (member, content) = first(&[header(b'0', "./a", 5), padded(b"hello"), end()]).unwrap();
    assert_eq!(content, b"hello");
    assert_eq!((member.mode, member.uid, member.gid, member.size), (0o644, 1, 2, 5));
    assert_eq!(member.mtime, Time { seconds: 7, nanoseconds: 0 });
    let (device, _) = first(&[header(b'4', "sda", 0), end()]).unwrap();
    assert_eq!(device.kind, MemberKind::BlockDevice(8, 3));
}

#[test]
fn records_win_over_the_header() {
    let records = pax(&[("path", "long"), ("uid", "3000000"), ("size", "3"), ("mtime", "-1.5"), ("ctime", "9.25")]);
    let (member, content) = first(&[records, header(b'0', "short", 0), padded(b"abc"), end()]).unwrap();
    assert_eq!(
        (member.name.as_slice(), member.uid, content.as_slice()),
        (b"long".as_slice(), 3_000_000, b"abc".as_slice())
    );
    assert_eq!(member.mtime, Time { seconds: -2, nanoseconds: 500_000_000 });
    assert_eq!(member.ctime, Some(Time { seconds: 9, nanoseconds: 250_000_000 }));
}

#[test]
fn gnu_long_names_and_links_are_read() {
    let name = format!("{}\0", "n".repeat(300));
    let long = |kind, text: &str| [header(kind, "././@LongLink", text.len() as u64), padded(text.as_bytes())].concat();
    let (member, _) = first(&[long(b'K', "to\0"), long(b'L', &name), header(b'2', "n", 0), end()]).unwrap();
    assert_eq!((member.name.len(), member.link.as_slice()), (300, b"to".as_slice()));
}

#[test]
fn the_three_sparse_formats_of_pax_say_the_same() {
    let wanted = Some(vec![(512, 2), (1024, 3)]);
    let v00 = pax(&[
        ("GNU.sparse.size", "2000"),
        ("GNU.sparse.numblocks", "2"),
        ("GNU.sparse.offset", "512"),
        ("GNU.sparse.numbytes", "2"),
        ("GNU.sparse.offset", "1024"),
        ("GNU.sparse.numbytes", "3"),
    ]);
    let v01 = pax(&[("GNU.sparse.size", "2000"), ("GNU.sparse.name", "a"), ("GNU.sparse.map", "512,2,1024,3")]);
    for records in [v00, v01] {
        let (member, content) = first(&[records, header(b'0', "a", 5), padded(b"abcde"), end()]).unwrap();
        assert_eq!((member.extents, member.size, content.as_slice()), (wanted.clone(), 2000, b"abcde".as_slice()));
    }
    let v10 = pax(&[
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "real/name"),
        ("GNU.sparse.realsize", "2000"),
    ]);
    let map = padded(b"2\n512\n2\n1024\n3\n");
    let stream = [v10, header(b'0', "GNUSparseFile.1/a", 512 + 5), map, padded(b"abcde"), end()];
    let (member, content) = first(&stream).unwrap();
    assert_eq!((member.extents, member.size, content.as_slice()), (wanted, 2000, b"abcde".as_slice()));
    assert_eq!(member.name, b"real/name");
}

#[test]
fn the_old_sparse_format_is_read_with_its_extension() {
    let mut block = header(b'S', "s", 6);
    block[257..265].copy_from_slice(b"ustar  \0");
    let octal = |n: u64| format!("{n:011o}\0").into_bytes();
    for i in 0..4 {
        let at = 386 + i * 24;
        block[at..at + 12].copy_from_slice(&octal(i as u64 * 1024));
        block[at + 12..at + 24].copy_from_slice(&octal(1));
    }
    block[482] = 1;
    block[483..495].copy_from_slice(&octal(9000));
    let mut extension = vec![0; BLOCK];
    extension[..12].copy_from_slice(&octal(5000));
    extension[12..24].copy_from_slice(&octal(2));
    let (member, content) = first(&[seal(block), extension, padded(b"abcdef"), end()]).unwrap();
    assert_eq!(member.extents, Some(vec![(0, 1), (1024, 1), (2048, 1), (3072, 1), (5000, 2)]));
    assert_eq!((member.size, content.as_slice()), (9000, b"abcdef".as_slice()));
}

#[test]
fn a_map_that_does_not_fit_is_refused() {
    let with = |map| pax(&[("GNU.sparse.size", "2000"), ("GNU.sparse.name", "a"), ("GNU.sparse.map", map)]);
    for map in ["512,2,500,3", "1999,5", "0,4", "0", "18446744073709551615,5", "x,5"] {
        let stream = [with(map), header(b'0', "a", 5), padded(b"abcde"), end()];
        assert!(first(&stream).is_err(), "{map}");
    }
    let v2 = pax(&[("GNU.sparse.major", "2"), ("GNU.sparse.realsize", "9")]);
    assert!(failure(&[v2, header(b'0', "a", 0), end()]).contains("unknown version 2.0"));
}

#[test]
fn an_unknown_type_is_an_error_and_never_a_file() {
    for kind in [b'7', b'D', b'M', b'V', b'N', b'Z'] {
        let text = failure(&[header(kind, "x", 0), end()]);
        assert!(text.contains("unknown type"), "{text}");
    }
}

#[test]
fn a_stream_that_stops_anywhere_is_cut_off() {
    let whole = [pax(&[("path", "a")]), header(b'0', "a", 700), padded(&[1; 700]), end()].concat();
    assert!(first(std::slice::from_ref(&whole)).is_ok());
    for length in 0..whole.len() {
        let text = failure(&[whole[..length].to_vec()]);
        assert!(text.contains(TRUNCATED), "{length}: {text}");
    }
    assert!(failure(&[end(), vec![7]]).contains("nothing"));
    assert!(failure(&[header(b'5', "d", 0), end(), vec![7]]).contains("bytes follow"));
}

#[test]
fn claims_of_a_hostile_stream_cost_no_memory() {
    assert!(failure(&[header(b'L', "x", 1 << 32), end()]).contains("claims"));
    assert!(failure(&[header(b'x', "x", 1 << 32), end()]).contains("claims"));
    assert!(failure(&[header(b'5', "d", 512), padded(b"x"), end()]).contains("can have none"));
    let mut broken = header(b'0', "a", 0);
    broken[0] = b'b';
    assert!(failure(&[broken, end()]).contains("checksum"));
    assert!(failure(&[header(b'g', "g", 9), padded(b"9 path=a\n"), end()]).contains("all its members"));
}

#[test]
fn binary_numbers_are_read() {
    assert_eq!(number(b"\x80\0\0\0\0\0\0\x2d\xc6\xc0").unwrap(), 3_000_000);
    assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xfe").unwrap(), -2);
    assert_eq!(number(b" 017 \0").unwrap(), 15);
    assert!(number(b"\x80\xff\xff\xff\xff\xff\xff\xff\xff").is_err());
    assert!(number(b"9").is_err());
}

#[test]
fn what_xfs_says_twice_is_taken_once() {
    let records = [("SCHILY.xattr.trusted.SGI_ACL_FILE", "x"), ("SCHILY.xattr.trusted.own", "y")];
    let (member, _) = first(&[pax(&records), header(b'0', "f", 0), end()]).unwrap();
    assert_eq!(member.xattrs.keys().map(Vec::as_slice).collect::<Vec<_>>(), [b"trusted.own"]);
}
