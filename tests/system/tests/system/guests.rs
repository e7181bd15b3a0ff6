//! A node with guests on it, shared by the tests that only run them: compiling takes seconds, running milliseconds.
//!
//! It lives as long as a test uses it. Tests share its capacity too, so they start executions with `Node::begin`, which
//! waits for it.

use hypermesh_artifacts::{HASH_FILES, HOSTILE, MATRIX_MULTIPLY, THUMBNAIL};
use hypermesh_harness::{Node, with_limits};
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// The node and its vms.
pub(crate) struct Guests {
    pub(crate) node: Node,
    pub(crate) hash_files: String,
    pub(crate) thumbnail: String,
    pub(crate) matrix_multiply: String,
    pub(crate) hostile: String,
}

/// The node that others use now, or a new one.
pub(crate) fn guests() -> Arc<Guests> {
    static CURRENT: Mutex<Weak<Guests>> = Mutex::new(Weak::new());
    // A test that panicked while it made one left none behind.
    let mut current = CURRENT.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(guests) = current.upgrade() {
        return guests;
    }
    let node = Node::start();
    // Where nothing is enforced nothing can run, and compiling would be for nothing.
    let usable = node.unenforced().is_none();
    let install = |artifact, limits| if usable { node.install(artifact, limits) } else { String::new() };
    let hash_files = install(&HASH_FILES, None);
    let thumbnail = install(&THUMBNAIL, None);
    let matrix_multiply = install(&MATRIX_MULTIPLY, None);
    let hostile = install(&HOSTILE, Some(with_limits(40.0, "64MiB")));
    let guests = Arc::new(Guests { node, hash_files, thumbnail, matrix_multiply, hostile });
    *current = Arc::downgrade(&guests);
    guests
}
