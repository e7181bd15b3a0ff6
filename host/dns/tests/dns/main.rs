//! The name server over real sockets, asked by the clients that people have: dig, nsupdate, delv, and by its own.
//!
//! Where one of those programs isn't installed, its tests say so and are skipped.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod answers;
mod hostile;
mod lab;
mod signed;
mod transfers;
mod updates;
