//! Guests and components that mean harm, against a real node over REST: each ends in its typed cause with the number that
//! it hit, within its deadline, leaves nothing behind, and the node answers all the while.
//!
//! What comes in as a component is in `formats`, `damaged`, `describing` and `compiling`; what misbehaves once it runs in the
//! others. `admission` asks the engine's vetting alone, some thousand times. No test asserts how long anything takes.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "test code")]

mod admission;
mod calls;
mod commands;
mod compiling;
mod damaged;
mod describing;
mod folder;
mod formats;
mod ground;
mod instantiating;
mod memory;
mod names;
mod neighbour;
mod output;
