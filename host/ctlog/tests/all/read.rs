//! Reading: what is served is what was written, in the forms that monitors know.

use crate::{ISSUER, append, fresh};
use hypermesh_ctlog::merkle::{TilePath, leaf_hash};
use hypermesh_ctlog::{Log, LogError, MAX_ENTRIES_ANSWER};

/// More than a tile of level 0, of which the last is partial.
const ENTRIES: u64 = 600;

fn tile(log: &Log, path: &str) -> Option<Vec<u8>> {
    log.tile(path.parse::<TilePath>().unwrap()).unwrap()
}

#[test]
fn tiles_are_the_hashes_and_entries_of_the_log() {
    let (_folder, _key, log) = fresh();
    append(&log, 0..ENTRIES);
    let leaves: Vec<_> = (0..ENTRIES).map(|i| log.leaf_hash(i).unwrap()).collect();
    assert_eq!(tile(&log, "tile/0/000"), Some(leaves[..256].concat()));
    assert_eq!(tile(&log, "tile/0/001"), Some(leaves[256..512].concat()));
    assert_eq!(tile(&log, "tile/0/002.p/88"), Some(leaves[512..].concat()));
    assert_eq!(tile(&log, "tile/0/002.p/3"), Some(leaves[512..515].concat()));
    let level_1 = tile(&log, "tile/1/000.p/2").unwrap();
    assert_eq!(level_1[..32], log.root(256).unwrap());
    assert_eq!(level_1.len(), 64);
    for beyond in
        ["tile/0/002", "tile/0/002.p/89", "tile/0/003.p/1", "tile/1/000.p/3", "tile/1/000", "tile/2/000.p/1"]
    {
        assert_eq!(tile(&log, beyond), None, "{beyond}");
    }
    let far = TilePath { level: Some(5), index: u64::MAX, width: 256 };
    assert_eq!(log.tile(far).unwrap(), None);

    // A data tile is cut into its entries by what each says of its own length.
    let mut data = &tile(&log, "tile/data/002.p/88").unwrap()[..];
    for leaf in &leaves[512..] {
        let length =
            |at: usize, width: usize| data[at..at + width].iter().fold(0, |n, b| n << 8 | usize::from(*b));
        let hashed = 8 + 2 + 32 + 3 + length(42, 3) + 2 + 8;
        assert_eq!(leaf_hash(&[&[0, 0], &data[..hashed]].concat()), *leaf);
        let chain = hashed + 3 + length(hashed, 3);
        data = &data[chain + 2 + length(chain, 2)..];
    }
    assert!(data.is_empty());
}

#[test]
fn get_entries_gives_leaves_that_hash_to_the_tree_and_the_whole_chain() {
    let (_folder, _key, log) = fresh();
    let done = append(&log, 0..ENTRIES);
    let answer = log.entries(300, 309).unwrap();
    assert_eq!(answer.len(), 10);
    for (i, leaf) in (300..).zip(&answer) {
        assert_eq!(leaf_hash(&leaf.leaf_input), log.leaf_hash(i).unwrap());
        let precert = &done[usize::try_from(i).unwrap()].0.precert;
        let mut expected = vec![0, 0, u8::try_from(precert.len()).unwrap()];
        expected.extend(precert);
        expected.extend([
            0,
            0,
            u8::try_from(ISSUER.len() + 3).unwrap(),
            0,
            0,
            u8::try_from(ISSUER.len()).unwrap(),
        ]);
        expected.extend(ISSUER);
        assert_eq!(leaf.extra_data, expected);
    }
    assert_eq!(log.entries(0, u64::MAX).unwrap().len() as u64, MAX_ENTRIES_ANSWER);
    assert_eq!(log.entries(599, 700).unwrap().len(), 1);
    for (start, end) in [(600, 600), (5, 4), (u64::MAX, u64::MAX)] {
        assert!(matches!(log.entries(start, end), Err(LogError::OutOfRange { .. })));
    }
}

#[test]
fn a_leaf_is_found_by_its_hash_in_trees_that_have_it() {
    let (_folder, _key, log) = fresh();
    append(&log, 0..300);
    for i in [0, 1, 255, 256, 299] {
        let hash = log.leaf_hash(i).unwrap();
        assert_eq!(log.inclusion_by_hash(&hash, 300).unwrap(), Some((i, log.inclusion(i, 300).unwrap())));
        assert_eq!(log.inclusion_by_hash(&hash, i).unwrap(), None);
    }
    assert_eq!(log.inclusion_by_hash(&[0; 32], 300).unwrap(), None);
    assert!(matches!(log.inclusion_by_hash(&[0; 32], 301), Err(LogError::OutOfRange { .. })));
}

#[test]
fn what_is_outside_of_the_log_is_said_to_be() {
    let (_folder, _key, log) = fresh();
    append(&log, 0..5);
    let out = |outcome: Result<(), LogError>| matches!(outcome, Err(LogError::OutOfRange { .. }));
    assert!(out(log.inclusion(5, 5).map(drop)) && out(log.inclusion(0, 6).map(drop)));
    assert!(out(log.inclusion(3, 3).map(drop)) && out(log.inclusion(0, 0).map(drop)));
    assert!(out(log.consistency(3, 6).map(drop)) && out(log.consistency(4, 3).map(drop)));
    assert!(out(log.leaf_hash(5).map(drop)) && out(log.entry(5).map(drop)) && out(log.root(6).map(drop)));
}

#[test]
fn a_scan_visits_every_entry_in_order() {
    let (_folder, _key, log) = fresh();
    let done = append(&log, 0..ENTRIES);
    for from in [0, 1, 257, ENTRIES - 1, ENTRIES, ENTRIES + 5] {
        let mut seen = Vec::new();
        assert_eq!(log.scan(from, &mut |index, entry| seen.push((index, entry))).unwrap(), ENTRIES);
        let expected = done.iter().skip(usize::try_from(from).unwrap());
        assert!(expected.map(|(entry, a)| (a.index, entry.clone())).eq(seen));
    }
}
