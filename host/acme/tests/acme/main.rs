//! The server as a client sees it: signed requests in, replies out, validations over real sockets on loopback.
//!
//! The client is written here, on aws-lc-rs alone, so that it shares no code with what it tests. Certificates are signed
//! by a small authority of the tests' own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod certificates;
mod client;
mod der;
mod finalize;
mod flow;
mod keys;
mod limits;
mod negative;
mod probes;
mod restart;
mod revoke;
mod servers;
mod world;
