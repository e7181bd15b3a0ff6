//! What others' tools say: `openssl`, `certtool` and `pkilint` judge everything that leaves, and make what comes in.
//!
//! Each test needs the tool it asks, and says so where that isn't there.
#![allow(missing_docs, clippy::unwrap_used, reason = "in a test a panic is the report")]

mod certificates;
mod foreign;
mod keys;
mod lists;
mod requests;
mod status;
mod support;
