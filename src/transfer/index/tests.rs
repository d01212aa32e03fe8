use super::*;
use crate::error::Result;
use crate::transfer::exclude::Excludes;
use crate::transfer::listing;

fn index(text: &str) -> Result<Index> {
    listing::read(text.as_bytes(), &Excludes::default(), |_| Ok(()))
}

const TREE: &str = "d 755 0 0 4096 8 1.5 2.5 3 10\0\0\0f 4755 1 2 3 8 -2.75 2.0000000010 1 11\0a-b\0\0\
                    d 700 0 0 1 8 1.0 2.0 2 12\0a\0\0l 777 0 0 3 0 1.0 2.0 1 13\0a/x\0to\n\0\
                    d 700 0 0 1 8 1.0 2.0 2 14\0a/b\0\0f 600 0 0 1 8 1.0 2.0 1 15\0a/b/c\0\0";

#[test]
fn entries_come_in_the_order_of_a_walk() {
    let index = index(TREE).unwrap();
    let paths: Vec<Vec<u8>> = (0..index.len()).map(|i| index.path(i)).collect();
    assert_eq!(paths, [b"".as_slice(), b"a", b"a/b", b"a/b/c", b"a/x", b"a-b"]);
    for (position, path) in paths.iter().enumerate() {
        assert_eq!(index.find(path), Some(position), "{path:?}");
    }
    for path in ["b", "a/", "a/x/y", "a/b/c/", "/a", "a//b", "a-", "a-b/c"] {
        assert_eq!(index.find(path.as_bytes()), None, "{path}");
    }
    let parents: Vec<_> = (0..index.len()).map(|i| index.parent(i)).collect();
    assert_eq!(parents, [None, Some(0), Some(1), Some(2), Some(1), Some(0)]);
    let ends: Vec<_> = (0..index.len()).map(|i| index.end(i)).collect();
    assert_eq!(ends, [6, 5, 4, 4, 5, 6]);
    let file = index.entry(5);
    assert_eq!((file.mode, file.uid, file.gid, file.size), (0o4755, 1, 2, 3));
    assert_eq!((file.mtime.seconds, file.mtime.nanoseconds), (-2, 750_000_000));
    assert_eq!(file.ctime.nanoseconds, 1);
    assert_eq!(index.link(4), b"to\n");
    assert_eq!((index.name(3), index.name(0)), (b"c".as_slice(), b"".as_slice()));
}

#[test]
fn output_that_is_cut_or_hostile_is_an_error() {
    assert!(index(&TREE[..TREE.len() - 1]).is_err());
    assert!(index(&TREE[..40]).is_err());
    let top = &TREE[..TREE.find("f 4755").unwrap()];
    for path in ["../x", "/x", "a/../b", "a", "x/", "b/c", "", "a//b", "."] {
        let text = format!("{top}d 755 0 0 0 0 1.0 1.0 1 5\0a\0\0f 644 0 0 0 0 1.0 1.0 1 5\0{path}\0\0");
        assert!(index(&text).is_err(), "{path}");
    }
    for facts in ["D 644 0 0 0 0 1.0 1.0 1 5", "f 10000 0 0 0 0 1.0 1.0 1 5", "f 644 0 0 0 0 1.0 1.0 1", "f 644  0"] {
        assert!(index(&format!("{top}{facts}\0x\0\0")).is_err(), "{facts}");
    }
    assert!(index(&format!("{TREE}{TREE}")).is_err());
    // What is in a directory comes with it, and no later; the top comes first.
    let at_the_top = "d 755 0 0 0 0 1.0 1.0 1 5\0z\0\0";
    assert!(index(&format!("{TREE}{at_the_top}f 644 0 0 0 0 1.0 1.0 1 5\0a/later\0\0")).is_err());
    assert!(index("f 644 0 0 0 0 1.0 1.0 1 5\0x\0\0").is_err());
    assert!(index("f 644 0 0 0 0 1.0 1.0 1 5\0\0\0").is_err());
}

#[test]
fn an_old_find_prints_whole_seconds() {
    let index = index("d 755 0 0 0 0 5 6 1 5\0\0\0").unwrap();
    let entry = index.entry(0);
    assert!(index.same_time(entry.mtime, Time { seconds: 5, nanoseconds: 77 }));
    assert!(!index.same_time(entry.mtime, Time { seconds: 6, nanoseconds: 0 }));
}

#[test]
fn what_is_excluded_takes_no_place() {
    let excludes = Excludes::new(&["a/b".into(), "a-b".into()]);
    let index = listing::read(TREE.as_bytes(), &excludes, |_| Ok(())).unwrap();
    let paths: Vec<Vec<u8>> = (0..index.len()).map(|i| index.path(i)).collect();
    assert_eq!(paths, [b"".as_slice(), b"a", b"a/x"]);
}

/// A million entries in directories of 100: what is held while they are read and afterwards is counted.
#[test]
fn a_million_entries_take_less_than_120_bytes_each_and_their_names() {
    let entry = |kind, inode| {
        let time = Time { seconds: 1_700_000_000, nanoseconds: 5 };
        let (mtime, ctime) = (time, time);
        Entry { kind, mode: 0o644, uid: 0, gid: 0, size: 100, blocks: 8, mtime, ctime, links: 1, inode }
    };
    let (mut builder, mut walk) = (Builder::new(1), Walk::default());
    builder.add(&mut walk, b"", b"", &entry(Kind::Directory, 2)).unwrap();
    let mut inode = 3;
    let mut names = 0;
    // From the last to the first, so that all of them have to move.
    for dir in (0..10_000).rev() {
        let path = format!("directory-{dir:05}");
        builder.add(&mut walk, path.as_bytes(), b"", &entry(Kind::Directory, inode)).unwrap();
        names += path.len();
        for file in (0..99).rev() {
            inode += 1;
            let name = format!("file-{file:02}");
            builder.add(&mut walk, format!("{path}/{name}").as_bytes(), b"", &entry(Kind::File, inode)).unwrap();
            names += name.len();
        }
    }
    let record = std::mem::size_of::<Record>();
    let count = builder.records.len();
    assert_eq!((record, count), (80, 1_000_001));
    // While it is put in order, three numbers for each entry come on top.
    let peak = builder.records.capacity() * record + builder.names.capacity() + count * 3 * 4;
    assert!(peak < count * 120 + names + names / 4 + (16 << 10), "{} bytes an entry at the most", peak / count);
    let index = builder.finish().unwrap();
    let held = index.records.capacity() * record + index.names.capacity();
    assert_eq!(held, count * 80 + names);
    let mut path = Vec::new();
    for position in (0..index.len()).step_by(997) {
        index.path_into(position, &mut path);
        assert_eq!(index.find(&path), Some(position));
    }
    assert_eq!(index.path(1), b"directory-00000");
    assert_eq!(index.path(count - 1), b"directory-09999/file-98");
}

/// What several finds print of [`TREE`]: all directories, and what is in their share.
fn shared(texts: &[&str]) -> Result<Index> {
    let builder = std::sync::Mutex::new(Builder::new(texts.len()));
    for text in texts {
        listing::read_into(&builder, text.as_bytes(), &Excludes::default(), |_| Ok(()))?;
    }
    builder.into_inner().unwrap().finish()
}

#[test]
fn several_walks_make_the_index_of_one() {
    let top = "d 755 0 0 4096 8 1.5 2.5 3 10\0\0\0";
    let a = "d 700 0 0 1 8 1.0 2.0 2 12\0a\0\0";
    let b = "d 700 0 0 1 8 1.0 2.0 2 14\0a/b\0\0";
    let file = "f 4755 1 2 3 8 -2.75 2.0000000010 1 11\0a-b\0\0";
    let rest = "l 777 0 0 3 0 1.0 2.0 1 13\0a/x\0to\n\0";
    let last = "f 600 0 0 1 8 1.0 2.0 1 15\0a/b/c\0\0";
    let one = index(TREE).unwrap();
    let orders = [
        [format!("{top}{file}{a}{b}"), format!("{top}{a}{rest}{b}{last}")],
        [format!("{top}{a}{b}{last}"), format!("{top}{file}{a}{rest}{b}")],
    ];
    for [first, second] in &orders {
        let several = shared(&[first, second]).unwrap();
        assert_eq!(several.len(), one.len());
        for position in 0..one.len() {
            assert_eq!(several.path(position), one.path(position));
            assert_eq!(several.entry(position), one.entry(position));
            assert_eq!(several.link(position), one.link(position));
            assert_eq!((several.parent(position), several.end(position)), (one.parent(position), one.end(position)));
        }
    }
    let said = |first: &str, second: &str| shared(&[first, second]).unwrap_err().chain().join(": ");
    for other in [a.replace(" 12", " 99"), a.replace("1.0", "1.1"), a.replace("2.0", "2.1"), a.replace("700", "701")] {
        assert!(
            said(&format!("{top}{a}"), &format!("{top}{other}")).contains("is not what another walk saw"),
            "{other}"
        );
    }
    assert!(said(&format!("{top}{a}{b}"), &format!("{top}{a}")).contains("do not agree on directory b"));
    assert!(said(&format!("{top}{a}{rest}"), &format!("{top}{a}{rest}")).contains("names x twice"));
    // A file where another walk saw a directory.
    let file = format!("{top}{}", file.replace("a-b", "a"));
    assert!(said(&format!("{top}{a}"), &file).contains("do not agree on directory a"));
    assert!(said(&format!("{top}{a}"), rest).contains("not with the top directory"));
}
