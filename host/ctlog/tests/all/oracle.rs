//! A second opinion: `ct-merkle`, by another author, checks the roots and proofs that the log serves.

use crate::{append, fresh};
use ct_merkle::mem_backed_tree::MemoryBackedTree;
use ct_merkle::{ConsistencyProof, InclusionProof, RootHash};
use hypermesh_ctlog::{Hash, Log};
use proptest::prelude::*;
use sha2::Sha256;
use std::sync::OnceLock;
use tempfile::TempDir;

/// Past a full tile of level 1 would be 65,536; three tiles of level 0 have all the shapes that matter.
const ENTRIES: u64 = 777;

/// The log with its leaves, made once.
fn log() -> &'static (TempDir, Log, Vec<Vec<u8>>) {
    static LOG: OnceLock<(TempDir, Log, Vec<Vec<u8>>)> = OnceLock::new();
    LOG.get_or_init(|| {
        let (folder, _key, log) = fresh();
        append(&log, 0..ENTRIES);
        let chunks = (0..ENTRIES).step_by(256).map(|start| log.entries(start, start + 255).unwrap());
        let leaves = chunks.flatten().map(|leaf| leaf.leaf_input).collect();
        (folder, log, leaves)
    })
}

fn root(hash: Hash, size: u64) -> RootHash<Sha256> {
    RootHash::new(hash.into(), size)
}

#[test]
fn every_size_has_the_root_that_the_other_computes() {
    let (_, log, leaves) = log();
    let mut other = MemoryBackedTree::<Sha256, Vec<u8>>::new();
    for (size, leaf) in (0..).zip(leaves) {
        assert_eq!(log.root(size).unwrap()[..], other.root().as_bytes()[..], "at size {size}");
        other.push(leaf.clone());
    }
    assert_eq!(log.head().root[..], other.root().as_bytes()[..]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_other_accepts_our_proofs(size in 1..=ENTRIES, a in any::<u64>(), b in any::<u64>()) {
        let (_, log, leaves) = log();
        let now = root(log.root(size).unwrap(), size);
        let index = a % size;
        let path: Vec<_> = log.inclusion(index, size).unwrap().into_iter().map(Into::into).collect();
        let proof = InclusionProof::<Sha256>::from_digests(&path);
        now.verify_inclusion(&leaves[usize::try_from(index).unwrap()], index, &proof).unwrap();
        let first = b % size + 1;
        if first < size {
            let path: Vec<_> = log.consistency(first, size).unwrap().into_iter().map(Into::into).collect();
            let proof = ConsistencyProof::<Sha256>::from_digests(&path);
            now.verify_consistency(&root(log.root(first).unwrap(), first), &proof).unwrap();
        }
    }
}
