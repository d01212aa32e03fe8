//! What is changed at random, and what decides how.

use crate::support;

/// The seeds of a fuzz target, in an order that is the same in every run.
pub fn seeds(target: &str) -> Vec<Vec<u8>> {
    let entries = std::fs::read_dir(support::repository().join("fuzz/corpus").join(target)).unwrap();
    let mut seeds: Vec<Vec<u8>> = entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
    seeds.sort();
    seeds
}

/// A generator of numbers that are the same in every run (Knuth's MMIX).
pub struct Dice(pub u64);

impl Dice {
    /// One of 0 to `sides` - 1.
    pub fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}
