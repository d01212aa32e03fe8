//! The traps, and the world outside of the tree that must not notice anything.

use crate::corpus::Target;
use crate::support::tree;
use ovz2lxc::fixup::Done;
use rustix::fs::{CWD, FileType, IFlags, Mode, inotify};
use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// What a tenant who was root may put in the place of anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trap {
    AbsoluteLink,
    LinkAbove,
    Loop,
    Fifo,
    CharDevice,
    BlockDevice,
    Directory,
    HugeFile,
    Immutable,
    HardLink,
}

impl Trap {
    pub const ALL: [Trap; 10] = [
        Trap::AbsoluteLink,
        Trap::LinkAbove,
        Trap::Loop,
        Trap::Fifo,
        Trap::CharDevice,
        Trap::BlockDevice,
        Trap::Directory,
        Trap::HugeFile,
        Trap::Immutable,
        Trap::HardLink,
    ];

    /// Whether the report must name a path at which it was set: when an untroubled run changes it, but where a hard link
    /// is a file like any other, and where the run only makes what is missing, and something is there now.
    pub fn is_worth_a_word(self, target: &Target) -> bool {
        let node = matches!(self, Trap::Fifo | Trap::CharDevice | Trap::BlockDevice | Trap::Directory);
        match target.changed {
            None | Some(_) if self == Trap::HardLink => false,
            None => false,
            Some(Done::Remove)
                if target.by_target && matches!(self, Trap::AbsoluteLink | Trap::LinkAbove | Trap::Loop) =>
            {
                false
            }
            // A directory goes when it is empty, and one that a tenant put something into is none of the module's.
            Some(Done::Remove) if target.directory && self == Trap::Directory => false,
            Some(Done::Symlink) => node && target.there,
            Some(Done::Mkdir) => self != Trap::Directory && self != Trap::Immutable,
            Some(_) => target.there || self != Trap::Immutable,
        }
    }

    pub fn works_here(self, dir: &Path) -> bool {
        let file = dir.join("probe");
        fs::write(&file, "").unwrap();
        self != Trap::Immutable || {
            let works = flag(&file, true);
            flag(&file, false);
            works
        }
    }

    /// Sets the trap in place of whatever is there, a whole directory too; returns false where the way there leads out of
    /// the tree, which is no place for it.
    pub fn set(self, root: &Path, path: &Path, outside: &Outside) -> bool {
        let place = root.join(path);
        let parent = place.parent().unwrap();
        if fs::create_dir_all(parent).is_err() {
            return false;
        }
        if !parent.canonicalize().is_ok_and(|p| p.starts_with(root.canonicalize().unwrap())) {
            return false;
        }
        if self == Trap::Immutable {
            if fs::symlink_metadata(&place).is_err() {
                fs::write(&place, "something\n").unwrap();
            }
            return flag(&place, true);
        }
        let old = fs::symlink_metadata(&place).ok();
        match &old {
            Some(meta) if meta.is_dir() => fs::remove_dir_all(&place).unwrap(),
            Some(_) => fs::remove_file(&place).unwrap(),
            None => {}
        }
        let node = |kind, device| rustix::fs::mknodat(CWD, &place, kind, Mode::RUSR | Mode::WUSR, device).unwrap();
        match self {
            Trap::AbsoluteLink => symlink(outside.twin(path), &place).unwrap(),
            Trap::LinkAbove => symlink(above(&outside.twin(path)), &place).unwrap(),
            Trap::Loop => symlink(place.file_name().unwrap(), &place).unwrap(),
            Trap::Fifo => node(FileType::Fifo, 0),
            // /dev/zero never ends.
            Trap::CharDevice => node(FileType::CharacterDevice, rustix::fs::makedev(1, 5)),
            // No driver has this number: to open it fails in a way of its own.
            Trap::BlockDevice => node(FileType::BlockDevice, rustix::fs::makedev(240, 77)),
            Trap::Directory => fs::create_dir_all(place.join("in the way")).unwrap(),
            Trap::HugeFile => fs::File::create(&place).unwrap().set_len(1 << 30).unwrap(),
            Trap::HardLink => fs::hard_link(&outside.canary, &place).unwrap(),
            Trap::Immutable => unreachable!(),
        }
        true
    }
}

/// A path by so many dots that it leads above every root.
pub fn above(path: &Path) -> PathBuf {
    Path::new("../../../../../../../../../../../..").join(path.strip_prefix("/").unwrap())
}

/// Takes the immutable flag or gives it; false where the file system has none.
fn flag(path: &Path, on: bool) -> bool {
    let meta = fs::symlink_metadata(path).unwrap();
    if !meta.is_file() && !meta.is_dir() {
        return false;
    }
    let Ok(file) = fs::File::open(path) else { return false };
    let now = rustix::fs::ioctl_getflags(&file).unwrap_or(IFlags::empty());
    let wanted = if on { now | IFlags::IMMUTABLE } else { now - IFlags::IMMUTABLE };
    rustix::fs::ioctl_setflags(&file, wanted).is_ok()
}

/// Takes every immutable flag away, so that the tree can be removed.
pub fn disarm(root: &Path) {
    for entry in walkdir::WalkDir::new(root).follow_links(false) {
        let Ok(entry) = entry else { continue };
        if entry.file_type().is_file() || entry.file_type().is_dir() {
            flag(entry.path(), false);
        }
    }
}

/// The host outside of the tree: a copy of the tree, where a link that leads out finds what it promises, and a canary.
pub struct Outside {
    dir: PathBuf,
    copy: PathBuf,
    canary: PathBuf,
}

pub const CANARY: &str = "the host's own file\n";

impl Outside {
    /// Makes it; the copy, of the tree that a text describes, only for traps that lead there.
    pub fn new(dir: &Path, text: &str, trap: Trap) -> Outside {
        let dir = dir.join("outside");
        let copy = dir.join("copy");
        fs::create_dir_all(&copy).unwrap();
        if matches!(trap, Trap::AbsoluteLink | Trap::LinkAbove) {
            tree::make(&copy, text);
        }
        let canary = dir.join("canary");
        fs::write(&canary, CANARY).unwrap();
        fs::set_permissions(&canary, fs::Permissions::from_mode(0o640)).unwrap();
        Outside { dir, copy, canary }
    }

    /// Where a link in the place of a path leads: the same path outside when it is there, the canary when not.
    fn twin(&self, path: &Path) -> PathBuf {
        let twin = self.copy.join(path);
        if fs::symlink_metadata(&twin).is_ok() { twin } else { self.canary.clone() }
    }

    /// Everything that is outside: the canary as it is; of the copy, what tells of any change, for to read it all each time
    /// takes long.
    pub fn picture(&self) -> (String, Vec<(PathBuf, u64, i64, i64)>) {
        let meta = fs::metadata(&self.canary).unwrap();
        let canary =
            format!("{:o} {}:{} {}", meta.mode(), meta.uid(), meta.gid(), fs::read_to_string(&self.canary).unwrap());
        let entries = walkdir::WalkDir::new(&self.copy).sort_by_file_name().into_iter().map(Result::unwrap);
        let stamp = |e: walkdir::DirEntry| {
            let meta = e.metadata().unwrap();
            (e.into_path(), meta.ino(), meta.ctime(), meta.ctime_nsec())
        };
        (canary, entries.map(stamp).collect())
    }

    pub fn watch(&self) -> Watch {
        Watch::below(&self.dir)
    }
}

/// Every opening and change below a directory is noticed.
pub struct Watch {
    inotify: OwnedFd,
}

impl Watch {
    pub fn below(dir: &Path) -> Watch {
        let inotify = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC).unwrap();
        let what = inotify::WatchFlags::ALL_EVENTS;
        // All of them first: this walk opens directories itself.
        let entries: Vec<_> = walkdir::WalkDir::new(dir).follow_links(false).into_iter().map(Result::unwrap).collect();
        for entry in entries.iter().filter(|e| e.file_type().is_dir()) {
            inotify::add_watch(&inotify, entry.path(), what).unwrap();
        }
        Watch { inotify }
    }

    /// Returns what happened first: the flags and the name.
    pub fn events(&self) -> Vec<String> {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        let mut found = Vec::new();
        while found.len() < 8
            && let Ok(event) = reader.next()
        {
            found.push(format!("{:?} {:?}", event.events(), event.file_name()));
        }
        found
    }
}
