//! What differs between an index and an earlier one, without a look at the target: both are read in the order of a walk.

use super::coded::{Decoder, Old};
use super::index::{Index, order};
use crate::error::Result;
use crate::rootfs::attributes::Kind;
use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::BufRead;

/// The outcome; positions are those of the later index.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Difference {
    /// For each entry, whether it is in the state that the target was given.
    pub(super) same: Vec<bool>,
    /// Paths that are not there any more, without what was below them.
    pub(super) gone: Vec<Vec<u8>>,
    /// Entries that were of another type.
    pub(super) retyped: Vec<usize>,
    /// Directories that have another path now, with everything below them as it was: the earlier path, the position.
    pub(super) moved: Vec<(Vec<u8>, usize)>,
}

impl Difference {
    /// The difference from nothing that is known.
    pub(super) fn from_nothing(index: &Index) -> Difference {
        Difference { same: vec![false; index.len()], ..Difference::default() }
    }

    /// Tells whether nothing differs.
    pub(super) fn is_empty(&self) -> bool {
        self.gone.is_empty() && self.retyped.is_empty() && self.moved.is_empty() && self.same.iter().all(|same| *same)
    }
}

/// Compares `index` with an earlier one. The earlier one is opened a second time to find moved directories, when `follow` asks for them: they are on the target only
/// when that is known to be as it was left. An earlier one with an error in it is an error.
pub(super) fn between<R: BufRead>(
    index: &Index,
    arrived: &[u32],
    follow: bool,
    open: &dyn Fn() -> Result<Decoder<R>>,
) -> Result<Difference> {
    let mut merge = Merge { at: 0, path: Vec::new(), fresh: HashMap::new(), candidates: Vec::new(), below: None };
    let mut difference = Difference::from_nothing(index);
    let mut earlier = open()?;
    let (mut number, mut log) = (0_u32, arrived.iter().copied().peekable());
    while let Some(mut old) = earlier.next()? {
        while log.next_if(|position| *position < number).is_some() {}
        old.trust.sure |= !old.trust.young && log.peek() == Some(&number);
        number = number.saturating_add(1);
        merge.meet(index, &mut difference, &old, &earlier);
    }
    while merge.at < index.len() {
        merge.pass_over(index);
    }
    merge.candidates.retain(|candidate| merge.fresh.contains_key(&candidate.1));
    if follow && !merge.candidates.is_empty() {
        find_moved(index, &mut difference, &merge, open()?)?;
    }
    Ok(difference)
}

struct Merge {
    /// The next entry of the later index, and its path.
    at: usize,
    path: Vec<u8>,
    /// New directories by inode.
    fresh: HashMap<u64, usize>,
    /// Directories that are gone: which of the paths, the inode.
    candidates: Vec<(usize, u64)>,
    /// Everything deeper than this is below an entry that is gone.
    below: Option<usize>,
}

impl Merge {
    fn step(&mut self, index: &Index) {
        self.at += 1;
        if self.at < index.len() {
            index.path_into(self.at, &mut self.path);
        }
    }

    fn pass_over(&mut self, index: &Index) {
        let entry = index.entry(self.at);
        if entry.kind == Kind::Directory {
            self.fresh.insert(entry.inode, self.at);
        }
        self.step(index);
    }

    fn meet<R: BufRead>(&mut self, index: &Index, found: &mut Difference, old: &Old, earlier: &Decoder<R>) {
        if self.below.is_some_and(|depth| old.depth > depth) {
            return;
        }
        self.below = None;
        while self.at < index.len() && order(&self.path, earlier.path()) == Ordering::Less {
            self.pass_over(index);
        }
        let is_directory = old.entry.kind == Kind::Directory;
        if self.at == index.len() || self.path != earlier.path() {
            if is_directory {
                self.candidates.push((found.gone.len(), old.entry.inode));
                self.below = Some(old.depth);
            }
            found.gone.push(earlier.path().to_vec());
            return;
        }
        if index.entry(self.at).kind != old.entry.kind {
            found.retyped.push(self.at);
            self.below = is_directory.then_some(old.depth);
        } else if same(index, self.at, old, earlier.link()) {
            found.same[self.at] = true;
        }
        self.step(index);
    }
}

fn same(index: &Index, position: usize, old: &Old, link: &[u8]) -> bool {
    old.trust.sure && index.entry(position).same_state(&old.entry) && index.link(position) == link
}

/// Finds the directories that went from a path to another without any change below them.
fn find_moved<R: BufRead>(
    index: &Index,
    difference: &mut Difference,
    merge: &Merge,
    mut earlier: Decoder<R>,
) -> Result<()> {
    let mut candidates = merge.candidates.iter().peekable();
    let mut moved = Vec::new();
    let mut follow: Option<Follow> = None;
    loop {
        let old = earlier.next()?;
        if let (Some(following), Some(old)) = (&mut follow, &old)
            && old.depth > following.depth
        {
            following.compare(index, old, &earlier, &difference.gone[following.gone]);
            continue;
        }
        moved.extend(follow.take().filter(|f| f.intact && f.next == index.end(f.to)));
        let Some(old) = old else { break };
        if let Some((gone, inode)) = candidates.next_if(|(gone, _)| difference.gone[*gone] == earlier.path()) {
            let to = merge.fresh[inode];
            // A single entry is as quickly made as moved.
            let intact = index.end(to) - to > 1;
            follow = Some(Follow { gone: *gone, to, depth: old.depth, next: to + 1, intact });
        }
    }
    for Follow { gone, to, .. } in moved {
        difference.same[to + 1..index.end(to)].fill(true);
        difference.moved.push((std::mem::take(&mut difference.gone[gone]), to));
    }
    difference.gone.retain(|path| !path.is_empty());
    Ok(())
}

/// A comparison of what was below one directory with what is below another.
struct Follow {
    gone: usize,
    to: usize,
    depth: usize,
    next: usize,
    intact: bool,
}

impl Follow {
    fn compare<R: BufRead>(&mut self, index: &Index, old: &Old, earlier: &Decoder<R>, from: &[u8]) {
        if !self.intact {
            return;
        }
        let top = index.path(self.to).len();
        self.intact = self.next < index.end(self.to)
            && index.path(self.next)[top..] == earlier.path()[from.len()..]
            && same(index, self.next, old, earlier.link());
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::coded::{self, Trust};
    use crate::transfer::exclude::Excludes;
    use crate::transfer::listing;

    /// `PATH` with a slash at its end is a directory; the word after it is its inode, the next one its change time.
    fn index(lines: &[&str]) -> Index {
        let mut text = String::from("d 755 0 0 0 0 1.5 1.5 1 2\0\0\0");
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let path = words[0].trim_end_matches('/');
            let kind = if path == words[0] { 'f' } else { 'd' };
            let time = words.get(2).unwrap_or(&"1.5");
            text.push_str(&format!("{kind} 644 0 0 9 8 1.5 {time} 1 {}\0{path}\0\0", words[1]));
        }
        listing::read(text.as_bytes(), &Excludes::default(), |_| Ok(())).unwrap()
    }

    fn saved(index: &Index, unsure: &[&str]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let unsure = |i| unsure.iter().any(|path| path.as_bytes() == index.path(i));
        coded::write(index, &|i| Trust { sure: !unsure(i), young: false }, &mut bytes).unwrap();
        bytes
    }

    fn difference(old: &[u8], new: &Index, arrived: &[u32]) -> Result<Difference> {
        between(new, arrived, true, &|| Ok(Decoder::new(old)))
    }

    fn not_same(index: &Index, difference: &Difference) -> Vec<String> {
        let paths = (0..index.len()).filter(|i| !difference.same[*i]).map(|i| index.path(i));
        paths.map(|path| String::from_utf8(path).unwrap()).collect()
    }

    const OLD: [&str; 8] = ["a/ 3", "a/x 4", "a/y 5", "a-b 6", "d/ 7", "d/e/ 8", "d/e/f 9", "z 10"];

    #[test]
    fn what_was_saved_is_recognised() {
        let now = index(&OLD);
        let bytes = saved(&now, &["z"]);
        let now = index(&OLD);
        let found = difference(&bytes, &now, &[]).unwrap();
        assert_eq!(not_same(&now, &found), ["z"]);
        assert_eq!((found.gone.len(), found.retyped.len(), found.moved.len()), (0, 0, 0));
        let all = difference(&saved(&now, &[]), &now, &[]).unwrap();
        assert!(all.is_empty() && !found.is_empty());
    }

    #[test]
    fn changed_new_gone_and_retyped_are_told_apart() {
        let bytes = saved(&index(&OLD), &[]);
        let now = index(&["a/ 3", "a/new 20", "a/y 5 2.5", "a-b/ 6", "a-b/c 21", "b 22", "z 23"]);
        let found = difference(&bytes, &now, &[]).unwrap();
        assert_eq!(not_same(&now, &found), ["a/new", "a/y", "a-b", "a-b/c", "b", "z"]);
        assert_eq!(found.gone, [b"a/x".as_slice(), b"d"]);
        assert_eq!(found.retyped.iter().map(|i| now.path(*i)).collect::<Vec<_>>(), [b"a-b"]);
        assert!(found.moved.is_empty());
    }

    #[test]
    fn a_directory_that_moved_is_followed_only_when_all_below_is_the_same() {
        let bytes = saved(&index(&OLD), &[]);
        let rest = ["a/ 3", "a/x 4", "a/y 5", "a-b 6", "z 10"];
        let with = |more: &[&str]| {
            let lines: Vec<&str> = rest.iter().chain(more).copied().collect();
            index(&lines)
        };
        let now = with(&["n/ 30", "n/m/ 7 2.5", "n/m/e/ 8", "n/m/e/f 9"]);
        let found = difference(&bytes, &now, &[]).unwrap();
        assert_eq!(found.moved, [(b"d".to_vec(), now.find(b"n/m").unwrap())]);
        assert_eq!(not_same(&now, &found), ["n", "n/m"]);
        assert!(found.gone.is_empty());
        for more in [
            ["m/ 7 2.5", "m/e/ 8", "m/e/f 9 2.5"].as_slice(),
            &["m/ 7 2.5", "m/e/ 8", "m/e/g 9"],
            &["m/ 7 2.5", "m/e/ 8"],
            &["m/ 7 2.5", "m/e/ 8", "m/e/f 9", "m/more 40"],
            &["m/ 41", "m/e/ 8", "m/e/f 9"],
        ] {
            let now = with(more);
            let found = difference(&bytes, &now, &[]).unwrap();
            assert!(found.moved.is_empty(), "{more:?}");
            assert_eq!(found.gone, [b"d"], "{more:?}");
            assert_eq!(not_same(&now, &found).len(), more.len(), "{more:?}");
        }
        let unsure = saved(&index(&OLD), &["d/e/f"]);
        let now = with(&["m/ 7 2.5", "m/e/ 8", "m/e/f 9"]);
        assert!(difference(&unsure, &now, &[]).unwrap().moved.is_empty());
    }

    #[test]
    fn what_arrived_before_an_interruption_is_sure_unless_it_was_young() {
        let first = index(&OLD);
        let mut bytes = Vec::new();
        coded::write(&first, &|i| Trust { sure: false, young: i == 3 }, &mut bytes).unwrap();
        let now = index(&OLD);
        let found = difference(&bytes, &now, &[1, 3, 8]).unwrap();
        let same: Vec<usize> = (0..now.len()).filter(|i| found.same[*i]).collect();
        assert_eq!(same, [1, 8]);
    }

    #[test]
    fn a_cut_or_damaged_index_is_an_error_wherever_it_is_cut() {
        let bytes = saved(&index(&OLD), &[]);
        let now = index(&OLD);
        for length in 0..bytes.len() {
            assert!(difference(&bytes[..length], &now, &[]).is_err(), "{length}");
        }
        for place in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0x10;
            assert!(difference(&damaged, &now, &[]).is_err(), "{place}");
        }
        let longer = [bytes.as_slice(), b"x"].concat();
        assert!(difference(&longer, &now, &[]).is_err());
    }
}
