//! What the targets share: the seeds, and damage that knows where sections begin.
//!
//! libFuzzer's own changes of single bytes mostly end at the first length that no longer fits. Half of the changes here
//! are those of the hostile corpus instead: cuts at sections, pieces of other components, numbers that are too large.

use hypermesh_artifacts::{HOSTILE, SAMPLES};
use hypermesh_tests_hostile::damage::{Dice, damaged};
use hypermesh_tests_hostile::{bombs, forge::Job};
use libfuzzer_sys::fuzzer_mutate;
use std::sync::OnceLock;

/// Components as toolchains make them, and as nobody would. None takes long to compile.
pub fn seeds() -> &'static [(&'static str, Vec<u8>)] {
    static SEEDS: OnceLock<Vec<(&'static str, Vec<u8>)>> = OnceLock::new();
    SEEDS.get_or_init(|| {
        let real =
            SAMPLES.iter().chain([&HOSTILE]).map(|artifact| (artifact.name, artifact.component.to_vec()));
        let forged = [
            ("plain", Job::default().component()),
            ("start", Job::starting_when_it_runs("drop").component()),
            ("random", Job::drawing_for_ever(8).component()),
            ("nested", bombs::nested(3)),
            ("exports", bombs::exports(20, 40)),
            ("laughs", bombs::laughs(3, 3)),
            ("modules", bombs::modules(4)),
            ("memory", bombs::memory(3)),
            ("table", bombs::table(10)),
            ("instances", bombs::instances(3, "(memory 1)")),
            ("sockets", bombs::importing(&["wasi:sockets/tcp@0.2.6".to_owned()])),
        ];
        real.chain(forged).collect()
    })
}

/// Changes the first `size` bytes of `data`, which has room for more. Gives the new length.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    if seed.is_multiple_of(2) {
        return fuzzer_mutate(data, size, max_size);
    }
    let mut dice = Dice::new(seed.into());
    let others = seeds();
    let (_, other) = &others[dice.below(others.len())];
    let changed = damaged(&data[..size], other, &mut dice);
    let length = changed.len().min(max_size).min(data.len());
    data[..length].copy_from_slice(&changed[..length]);
    length
}
