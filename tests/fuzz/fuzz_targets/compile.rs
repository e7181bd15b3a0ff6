//! The whole admission, compiling included: what is taken can be loaded, and what is refused is the bytes' fault.
//!
//! Inputs are small (`run.sh`), and libFuzzer ends one that takes more time or memory than is honest: that is a finding.
#![no_main]

use hypermesh_engine::vet_and_compile;
use libfuzzer_sys::{fuzz_mutator, fuzz_target};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    hypermesh_fuzz::mutate(data, size, max_size, seed)
});

fuzz_target!(|bytes: &[u8]| {
    match vet_and_compile(bytes) {
        Ok((vetted, artefact)) => {
            assert!(vetted.capabilities.iter().all(|capability| capability.allowed), "{vetted:?}");
            assert!(!artefact.is_empty());
        }
        Err(error) => assert!(error.is_refusal(), "{error:?}"),
    }
});
