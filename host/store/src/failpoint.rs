//! Fail points: where a test has the node die as by `kill -9`, between two steps whose order is what a restart relies on.
//!
//! Only in builds with debug assertions; a release build has none of it. `HYPERMESH_CRASH_AT=name` dies the first time,
//! `name:3` the third.

/// Dies here if the environment says so.
#[cfg(debug_assertions)]
pub fn at(name: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};
    static WANTED: OnceLock<Option<(String, AtomicU32)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let text = std::env::var("HYPERMESH_CRASH_AT").ok()?;
        let (name, count) = text.split_once(':').unwrap_or((&text, "1"));
        Some((name.to_owned(), AtomicU32::new(count.parse().ok()?)))
    });
    if let Some((wanted, left)) = wanted
        && wanted == name
        && left.fetch_sub(1, Ordering::Relaxed) == 1
        && let Err(error) =
            rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)
    {
        tracing::error!(%error, name, "a fail point could not end the process");
    }
}

/// Nothing, in a release build.
#[cfg(not(debug_assertions))]
pub fn at(_: &str) {}
