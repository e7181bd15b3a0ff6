//! The planner from outside: small machines, generated histories, and an oracle that tries everything.
//!
//! [`oracle`] knows the rules and nothing of the planner's data structures: it looks at every instant and every set of
//! cores. [`placement`] has the examples that people would ask about; the other modules let histories run.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod histories;
mod oracle;
mod placement;
mod queueing;
mod refusals;
mod victims;
mod world;
