//! The real kernel: what the backend promises is looked for in the processes themselves. Needs root and writable cgroups;
//! runs unchanged on v1, v2 and hybrid hosts, and says visibly what it can't show on one of them.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cores;
mod io;
mod life;
mod limits;
mod memory;
mod node;
mod resize;
mod speed;
