//! How a walk of the source is shared among several finds at once: each prints the entries of a range of inode numbers, and
//! all print the directories. A find that does not print an entry does not look at it either, it only reads its name.
//!
//! The ranges hold about as many entries each; where they lie is known from an earlier index.

use super::index::Index;

/// From how many entries on a walk is shared: below, another find costs more than it brings.
pub(super) const LEAST: usize = 20_000;
/// Parts between which the bounds lie.
const PARTS: usize = 8;
/// How many entries are looked at for the bounds.
const SAMPLE: usize = 4096;

/// The inode numbers that one find prints: from the first on and below the second, where there is one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Share {
    from: Option<u64>,
    below: Option<u64>,
}

impl Share {
    /// Returns what selects it, for the arguments of `find`; nothing where it is everything.
    pub(super) fn condition(self) -> Vec<String> {
        let mut words = Vec::new();
        if let Some(from) = self.from {
            words.extend(["!".to_owned(), "-inum".to_owned(), format!("-{from}")]);
        }
        if let Some(below) = self.below {
            words.extend(["-inum".to_owned(), format!("-{below}")]);
        }
        if !words.is_empty() {
            words.splice(..0, ["(", "-type", "d", "-o"].map(str::to_owned));
            words.push(")".to_owned());
        }
        words
    }
}

/// Returns the inode numbers between eight parts of an index, in order; none when it is empty.
pub(super) fn bounds(index: &Index) -> Vec<u64> {
    if index.len() == 0 {
        return Vec::new();
    }
    let mut inodes: Vec<u64> =
        index.entries().step_by((index.len() / SAMPLE).max(1)).map(|entry| entry.inode).collect();
    inodes.sort_unstable();
    (1..PARTS).map(|part| inodes[inodes.len() * part / PARTS]).collect()
}

/// Shares a walk of a tree with these [`bounds`] among finds for so many cores.
pub(super) fn among(cores: u32, bounds: &[u64]) -> Vec<Share> {
    // More finds would read all names again for little.
    let count = match cores {
        _ if bounds.len() != PARTS - 1 => 1,
        0 | 1 => 1,
        2 | 3 => 2,
        _ => 4,
    };
    let bound = |part: usize| (1..count).contains(&part).then(|| bounds[part * PARTS / count - 1]);
    (0..count).map(|part| Share { from: bound(part), below: bound(part + 1) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::exclude::Excludes;
    use crate::transfer::listing;

    #[test]
    fn every_inode_is_in_one_share() {
        let mut text = "d 755 0 0 0 0 1.0 1.0 2 2\0\0\0".to_owned();
        (0..999).for_each(|n| text.push_str(&format!("f 644 0 0 1 8 1.0 1.0 1 {}\0{n}\0\0", 1000 + n * n)));
        let index = listing::read(text.as_bytes(), &Excludes::default(), |_| Ok(())).unwrap();
        let bounds = bounds(&index);
        for (cores, count) in [(0, 1), (1, 1), (2, 2), (3, 2), (4, 4), (5, 4), (64, 4)] {
            let shares = among(cores, &bounds);
            assert_eq!(shares.len(), count, "{cores}");
            let has = |share: &Share, inode: u64| {
                share.from.is_none_or(|from| inode >= from) && share.below.is_none_or(|below| inode < below)
            };
            for inode in index.entries().map(|entry| entry.inode).chain([0, u64::MAX]) {
                assert_eq!(shares.iter().filter(|share| has(share, inode)).count(), 1, "{cores} {inode}");
            }
            for share in &shares {
                let entries = index.entries().filter(|entry| has(share, entry.inode)).count();
                assert!(entries.abs_diff(1000 / count) < 9, "{cores}: {entries}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_not_shared() {
        let text = "d 755 0 0 0 0 1.0 1.0 2 2\0\0\0";
        let index = listing::read(text.as_bytes(), &Excludes::default(), |_| Ok(())).unwrap();
        assert_eq!(bounds(&index), [2; 7]);
        assert!(bounds(&Index::default()).is_empty());
        assert_eq!(among(8, &[]), [Share::default()]);
        assert!(Share::default().condition().is_empty());
    }

    #[test]
    fn a_share_is_a_condition_of_find() {
        let words = |share: Share| share.condition().join(" ");
        let [first, second] = among(2, &[1, 2, 3, 44, 5, 6, 7])[..] else { panic!() };
        assert_eq!(words(first), "( -type d -o -inum -44 )");
        assert_eq!(words(second), "( -type d -o ! -inum -44 )");
        assert_eq!(words(among(4, &[1, 22, 3, 44, 5, 66, 7])[1]), "( -type d -o ! -inum -22 -inum -44 )");
    }
}
