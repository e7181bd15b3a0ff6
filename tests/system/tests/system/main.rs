//! What a node promises, tested from outside: the real binary, the real kernel, real guests.
//!
//! One module a promise; each test owns its node or shares one that it can't disturb. No test asserts how long
//! something takes, but for the share of the CPU that a lease gets: that is the promise.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "test code")]

mod cli;
mod crash;
mod enforcement;
mod events;
mod executions;
mod guests;
mod hostile;
mod leases;
mod measuring;
mod refusals;
mod security;
mod tour;
