//! Components that mean harm, made in the test that needs them: no binary is in the tree.
//!
//! [`forge`] writes a job, and [`command`] a command, whose core module is whatever a test wants of it; [`bombs`] are those that are large, deep or slow
//! out of all proportion to their bytes; [`damage`] breaks components that were whole. All of it is the same on every
//! run. What such a component's behaviour can be written in Rust for is in `guests/hostile` instead. [`crowd`] sets all of
//! them on a node while something else is measured.
//!
//! What becomes of them is asked in `tests/hostile`, of a real node over REST, and of the engine's vetting alone.
#![forbid(unsafe_code)]

pub mod bombs;
pub mod command;
#[cfg(feature = "crowd")]
pub mod crowd;
pub mod damage;
pub mod forge;
