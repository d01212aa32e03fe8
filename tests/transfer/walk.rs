//! The readers of walks and saved indexes from outside: the fuzz target's body over its seeds, as they are and changed.

use crate::body;
use crate::seeds::{Dice, seeds};
use ovz2lxc::transfer::rehearse::{Walk, saved_walk, walk_paths};

#[test]
fn the_seeds_of_the_walk_are_read_whole() {
    let seeds = seeds("walk");
    assert!(seeds.len() >= 4, "the seeds are gone");
    for seed in &seeds {
        body::walk(seed);
        let form = [Walk::Find, Walk::Stat, Walk::Saved][usize::from(seed[0])];
        assert!(walk_paths(&seed[1..], form).unwrap().len() > 3);
    }
    let find = seeds.iter().find(|seed| seed[0] == 0).unwrap();
    let saved = saved_walk(&find[1..]).unwrap();
    assert!(seeds.contains(&[b"\x02", saved.as_slice()].concat()), "the seed of a saved index is not of this version");
}

#[test]
fn changed_seeds_of_the_walk_keep_its_promises() {
    let seeds = seeds("walk");
    let mut dice = Dice(0x5eed);
    let mut below = |bound: usize| dice.roll(bound);
    let odd: [&[u8]; 12] =
        [b"\0", b"/", b"//", b"..", b".", b" ", b"\n", b"\xff", b"-", b"f", b"9999999999", b"' -> '"];
    for _ in 0..20_000 {
        let mut bytes = seeds[below(seeds.len())].clone();
        for _ in 0..=below(5) {
            let at = below(bytes.len().max(1));
            match below(4) {
                0 if below(4) == 0 => bytes.truncate(at),
                0 | 1 => {
                    let other = &seeds[below(seeds.len())];
                    let from = below(other.len());
                    bytes.truncate(at);
                    bytes.extend(&other[from..]);
                }
                _ => {
                    let piece = odd[below(odd.len())];
                    let end = (at + below(3)).min(bytes.len());
                    bytes.splice(at.min(end)..end, piece.iter().copied());
                }
            }
        }
        body::walk(&bytes);
    }
}
