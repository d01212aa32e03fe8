//! What goes with which `tar`: needed entries in the order of inodes, cut into parcels.

use super::index::{Entry, Index};

/// An entry costs about as much as this many bytes of content, on both sides.
const PER_ENTRY: u64 = 12 << 10;
/// A parcel is worth a command of its own from this cost on: starting one takes about as long as a tenth of it.
pub(super) const WORTH: u64 = 256 << 20;

fn cost(entry: &Entry) -> u64 {
    entry.weight().saturating_add(PER_ENTRY)
}

/// Entries to send, not yet given to a stream.
#[derive(Debug)]
pub(super) struct Parcels {
    /// In reverse, so that parcels come off the end: position in the index, its cost, and whether the entry that comes
    /// after it is another name of the same inode.
    rest: Vec<(usize, u64, bool)>,
    cost: u64,
    streams: u64,
    least: u64,
}

impl Parcels {
    /// Orders entries by inode: the order in which they lie on the disk, and the names of one inode together.
    pub(super) fn new(index: &Index, wanted: impl Iterator<Item = usize>) -> Parcels {
        let mut order: Vec<(u64, usize)> = wanted.map(|i| (index.entry(i).inode, i)).collect();
        order.sort_unstable_by(|a, b| b.cmp(a));
        let mut rest = Vec::with_capacity(order.len());
        let mut all = 0u64;
        for (at, (inode, position)) in order.iter().enumerate() {
            // Another name of an inode costs its entry only; which of them carries the content does not matter here.
            let follows = at > 0 && order[at - 1].0 == *inode;
            let entry = index.entry(*position);
            let cost = if follows { PER_ENTRY } else { cost(&entry) };
            all = all.saturating_add(cost);
            rest.push((*position, cost, follows));
        }
        Parcels { rest, cost: all, streams: 1, least: WORTH }
    }

    /// Returns the first of these entries, in the order of inodes, until their cost reaches `limit`; a rest that is small
    /// goes with them.
    pub(super) fn beginning(index: &Index, of: impl Iterator<Item = usize>, limit: u64) -> Vec<usize> {
        let mut parcels = Parcels::new(index, of);
        parcels.share_among(u64::MAX, false);
        parcels.least = limit;
        parcels.take().unwrap_or_default()
    }

    /// Returns how many streams are worth it, at most `most`.
    pub(super) fn worth(&self, most: u64) -> u64 {
        (self.cost / WORTH).clamp(1, most.max(1))
    }

    /// Says how many streams take parcels. Where somebody asked for so many, there is one for each, however little it is.
    pub(super) fn share_among(&mut self, streams: u64, asked_for: bool) {
        self.streams = streams.max(1);
        if asked_for {
            self.least = WORTH.min(self.cost / self.streams / 10 * 9).max(1);
        }
    }

    /// Takes the next parcel, in the order in which it is sent. Parcels become smaller towards the end, so that a stream
    /// that lags does not hold the others.
    pub(super) fn take(&mut self) -> Option<Vec<usize>> {
        let share = self.cost / self.streams;
        let mut wanted = if share > 2 * WORTH { share / 5 * 3 } else { share.max(self.least) };
        // A rest that is not worth a command of its own goes with the last one.
        if self.streams == 1 || self.cost - wanted.min(self.cost) < self.least / 2 {
            wanted = u64::MAX;
        }
        let (mut parcel, mut taken) = (Vec::new(), 0u64);
        while let Some((position, cost, linked)) = self.rest.pop() {
            parcel.push(position);
            taken = taken.saturating_add(cost);
            if taken >= wanted && !linked {
                break;
            }
        }
        self.cost = self.cost.saturating_sub(taken);
        (!parcel.is_empty()).then_some(parcel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::exclude::Excludes;

    fn index(files: &[(u64, u64, &str)]) -> Index {
        let mut text = "d 755 0 0 0 0 1.0 1.0 2 1\0\0\0".to_owned();
        for (inode, megabytes, name) in files {
            let (size, blocks) = (megabytes << 20, megabytes << 11);
            text.push_str(&format!("f 644 0 0 {size} {blocks} 1.0 1.0 2 {inode}\0{name}\0\0"));
        }
        crate::transfer::listing::read(text.as_bytes(), &Excludes::default(), |_| Ok(())).unwrap()
    }

    fn all(mut parcels: Parcels, index: &Index) -> Vec<Vec<Vec<u8>>> {
        let path = |parcel: Vec<usize>| parcel.into_iter().map(|i| index.path(i)).collect();
        std::iter::from_fn(|| parcels.take().map(path)).collect()
    }

    #[test]
    fn entries_go_by_inode_and_names_of_one_inode_together() {
        let index = index(&[(9, 300, "a"), (5, 300, "b"), (7, 300, "c"), (5, 300, "d"), (5, 300, "e")]);
        let parcels = |streams| {
            let mut parcels = Parcels::new(&index, 0..index.len());
            assert_eq!(parcels.worth(9), 3);
            parcels.share_among(streams, false);
            all(parcels, &index)
        };
        let order: Vec<Vec<u8>> = ["", "b", "d", "e", "c", "a"].map(|p| p.as_bytes().to_vec()).into();
        assert_eq!(parcels(1).concat(), order);
        let three = parcels(3);
        assert_eq!(three.concat(), order);
        assert_eq!(three.iter().map(Vec::len).collect::<Vec<_>>(), [4, 1, 1]);
    }

    #[test]
    fn little_goes_at_once_and_much_in_parcels_that_shrink() {
        let files: Vec<(u64, u64, String)> = (0..400).map(|i| (i + 2, 64, i.to_string())).collect();
        let files: Vec<(u64, u64, &str)> = files.iter().map(|(i, m, n)| (*i, *m, n.as_str())).collect();
        let few = index(&files[..3]);
        let mut parcels = Parcels::new(&few, 0..few.len());
        assert_eq!(parcels.worth(4), 1);
        assert_eq!(parcels.take().unwrap().len(), 4);
        assert!(parcels.take().is_none());
        let mut parcels = Parcels::new(&few, 0..few.len());
        parcels.share_among(3, true);
        assert!(all(parcels, &few).len() >= 3);
        let many = index(&files);
        let mut parcels = Parcels::new(&many, 0..many.len());
        assert_eq!(parcels.worth(4), 4);
        parcels.share_among(4, false);
        let sizes: Vec<usize> = all(parcels, &many).iter().map(Vec::len).collect();
        assert!(sizes[0] < many.len() / 4 && sizes.len() < 40, "{sizes:?}");
        assert!(sizes.windows(2).all(|pair| pair[0] + 8 >= pair[1]), "{sizes:?}");
        assert_eq!(sizes.iter().sum::<usize>(), many.len());
    }

    #[test]
    fn nothing_is_no_parcel() {
        let index = index(&[]);
        assert!(Parcels::new(&index, std::iter::empty()).take().is_none());
    }
}
