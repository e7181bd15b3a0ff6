//! What this binary carries for authors: the SDK, its WIT, the examples that templates are made of, and a lock file.
//!
//! Written by `build.rs` from the folders of the repository, so that `guest new` works wherever the binary does.

include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
