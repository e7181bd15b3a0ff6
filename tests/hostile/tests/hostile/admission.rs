//! The engine's vetting alone, some thousand times: whatever the bytes are, it answers, and never by taking what it may not.
//!
//! The same property is fuzzed with coverage in `tests/fuzz`.

use hypermesh_artifacts::{HOSTILE, SAMPLES};
use hypermesh_engine::{EngineError, vet};
use hypermesh_tests_hostile::bombs;
use hypermesh_tests_hostile::damage::{Dice, damaged};
use hypermesh_tests_hostile::forge::Job;
use proptest::prelude::*;
use std::sync::LazyLock;

/// Components as toolchains make them, and as nobody would.
static SEEDS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
    let real = SAMPLES.iter().chain([&HOSTILE]).map(|artifact| artifact.component.to_vec());
    let forged = [
        Job::default().component(),
        Job::starting_when_it_runs("drop").component(),
        bombs::nested(3),
        bombs::exports(20, 40),
        bombs::laughs(3, 3),
        bombs::modules(4),
        bombs::memory(3),
        bombs::importing(&["wasi:sockets/tcp@0.2.6".to_owned()]),
    ];
    real.chain(forged).collect()
});

/// What has to hold for every answer.
fn answers_rightly(bytes: &[u8]) -> Result<(), TestCaseError> {
    match vet(bytes) {
        Ok(vetted) => {
            prop_assert!(vetted.capabilities.iter().all(|capability| capability.allowed), "{vetted:?}");
            prop_assert!(vetted.capabilities.len() <= 256, "{vetted:?}");
        }
        Err(error) => {
            prop_assert!(error.is_refusal(), "{error:?}");
            if let EngineError::TooLarge { found, limit, .. } = &error {
                prop_assert!(found > limit, "{error:?}");
            }
        }
    }
    Ok(())
}

#[test]
fn the_seeds_themselves_are_judged() {
    let mut taken = 0;
    for bytes in SEEDS.iter() {
        answers_rightly(bytes).unwrap();
        taken += usize::from(vet(bytes).is_ok());
    }
    assert_eq!(taken, SEEDS.len(), "a network is granted when it runs, or not");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(4000) })]

    #[test]
    fn damaged_components_are_judged(seed: u64, one in 0_usize..100, other in 0_usize..100) {
        let mut dice = Dice::new(seed);
        let (one, other) = (&SEEDS[one % SEEDS.len()], &SEEDS[other % SEEDS.len()]);
        let mut bytes = damaged(one, other, &mut dice);
        answers_rightly(&bytes)?;
        // And again: what one damage leaves readable, the next reaches.
        for _ in 0..dice.below(4) {
            bytes = damaged(&bytes, other, &mut dice);
        }
        answers_rightly(&bytes)?;
    }

    #[test]
    fn any_bytes_are_judged(tail in proptest::collection::vec(any::<u8>(), 0..300)) {
        answers_rightly(&tail)?;
        answers_rightly(&[b"\0asm\x0d\0\x01\0", &tail[..]].concat())?;
    }
}
