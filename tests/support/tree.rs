//! Small trees written as text, and trees read back as text.

use rustix::fs::{CWD, FileType, Mode};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Memory, where syncing costs nothing; where there is none, the usual place for temporary files.
pub fn memory() -> PathBuf {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() }
}

/// A new directory with regular files in it: path and content.
pub fn of_files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

/// A new directory with the tree that a text describes; see [`make`].
pub fn made(text: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path(), text);
    dir
}

/// Makes the tree that a text describes. An entry starts with `===`:
/// `file PATH MODE UID:GID [nonl]` and its lines, `elf PATH MODE UID:GID CLASS MACHINE TEXT`, `link PATH -> TARGET`,
/// `fifo PATH MODE UID:GID`, `block PATH MODE UID:GID MAJOR MINOR`, `char` likewise.
pub fn make(root: &Path, text: &str) {
    let mut entries: Vec<(&str, String)> = Vec::new();
    for line in text.split_inclusive('\n') {
        match line.strip_prefix("=== ") {
            Some(head) => entries.push((head.trim_end(), String::new())),
            None => entries.last_mut().expect("a tree starts with an entry").1.push_str(line),
        }
    }
    // Links first: a later entry may lie behind one (a merged /usr).
    let (links, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|(head, _)| head.starts_with("link "));
    for (head, content) in links.into_iter().chain(others) {
        let words: Vec<&str> = head.split(' ').collect();
        let path = root.join(words[1]);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mode = || u32::from_str_radix(words[2], 8).unwrap();
        match words[0] {
            "link" => {
                symlink(words[3], &path).unwrap();
                if let Some(dir) = behind(words[1], words[3]) {
                    fs::create_dir_all(root.join(dir)).unwrap();
                }
                continue;
            }
            "file" if words.last() == Some(&"nonl") => fs::write(&path, content.trim_end_matches('\n')).unwrap(),
            "file" => fs::write(&path, content).unwrap(),
            "elf" => fs::write(&path, elf(words[4].parse().unwrap(), words[5].parse().unwrap(), words[6])).unwrap(),
            "fifo" => rustix::fs::mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(mode()), 0).unwrap(),
            "block" | "char" => {
                let kind = if words[0] == "char" { FileType::CharacterDevice } else { FileType::BlockDevice };
                let dev = rustix::fs::makedev(words[4].parse().unwrap(), words[5].parse().unwrap());
                rustix::fs::mknodat(CWD, &path, kind, Mode::from_raw_mode(mode()), dev).unwrap();
            }
            other => panic!("unknown entry {other}"),
        }
        let (uid, gid) = words[3].split_once(':').unwrap();
        std::os::unix::fs::chown(&path, Some(uid.parse().unwrap()), Some(gid.parse().unwrap())).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode())).unwrap();
    }
}

/// The directory that a link like `lib -> usr/lib` or `etc/init.d -> rc.d/init.d` leads to, when it must exist.
fn behind(path: &str, target: &str) -> Option<String> {
    match (path, target) {
        ("lib" | "sbin" | "bin", _) => Some(target.to_owned()),
        ("etc/init.d", _) => Some(format!("etc/{target}")),
        _ => None,
    }
}

/// The first bytes of a program, as far as anybody here looks at them.
pub fn elf(class: u8, machine: u8, text: &str) -> Vec<u8> {
    let mut bytes = vec![0u8; 64];
    bytes[..4].copy_from_slice(b"\x7fELF");
    (bytes[4], bytes[5], bytes[18]) = (class, 1, machine);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// Reads a tree back: every entry but directories, sorted, in the same form; directories only when they are empty.
pub fn dump(root: &Path) -> String {
    let mut out = String::new();
    below(root, root, &mut out);
    out
}

fn below(root: &Path, dir: &Path, out: &mut String) {
    let mut paths: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.sort();
    if paths.is_empty() && dir != root {
        writeln!(out, "=== directory {}", dir.strip_prefix(root).unwrap().display()).unwrap();
    }
    for path in paths {
        let name = path.strip_prefix(root).unwrap().display();
        let meta = fs::symlink_metadata(&path).unwrap();
        let owner = format!("{:04o} {}:{}", meta.mode() & 0o7777, meta.uid(), meta.gid());
        let kind = meta.file_type();
        if kind.is_dir() {
            below(root, &path, out);
        } else if kind.is_symlink() {
            writeln!(out, "=== link {name} -> {}", fs::read_link(&path).unwrap().display()).unwrap();
        } else if kind.is_file() {
            let bytes = fs::read(&path).unwrap();
            if bytes.starts_with(b"\x7fELF") {
                let text = String::from_utf8_lossy(&bytes[64..]).into_owned();
                writeln!(out, "=== elf {name} {owner} {} {} {text}", bytes[4], bytes[18]).unwrap();
                continue;
            }
            let open = !bytes.is_empty() && !bytes.ends_with(b"\n");
            writeln!(out, "=== file {name} {owner}{}", if open { " nonl" } else { "" }).unwrap();
            out.push_str(&String::from_utf8_lossy(&bytes));
            if open {
                out.push('\n');
            }
        } else {
            let what = match () {
                () if kind.is_fifo() => "fifo",
                () if kind.is_char_device() => "char",
                () => "block",
            };
            let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
            let number = if kind.is_fifo() { String::new() } else { format!(" {major} {minor}") };
            writeln!(out, "=== {what} {name} {owner}{number}").unwrap();
        }
    }
}
