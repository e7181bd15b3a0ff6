//! Decides what fits on a machine and who is next: pure, without clock or I/O.
#![forbid(unsafe_code)]
