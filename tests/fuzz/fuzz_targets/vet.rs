//! Vetting: whatever the bytes are, it answers; what it takes may be taken; what it refuses is the bytes' fault.
#![no_main]

use hypermesh_engine::{EngineError, vet};
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    hypermesh_fuzz::mutate(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    match vet(bytes) {
        Ok(vetted) => {
            assert!(vetted.capabilities.iter().all(|capability| capability.allowed), "{vetted:?}");
            assert!(vetted.capabilities.len() <= 256, "{vetted:?}");
        }
        Err(EngineError::TooLarge { found, limit, .. }) => assert!(found > limit, "{found} within {limit}"),
        Err(error) => assert!(error.is_refusal(), "{error:?}"),
    }
});
