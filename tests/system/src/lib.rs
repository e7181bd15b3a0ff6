//! End-to-end tests of a node: see `tests/system`. There is nothing else in this package.
#![forbid(unsafe_code)]
