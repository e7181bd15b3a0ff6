//! Real nodes for end-to-end tests: the real binary, a data folder of its own, ports of its own, and nothing left after.
//!
//! A test asks for a [`Node`], talks to it as any client does, and may kill it, restart it and look at what the kernel
//! holds for it ([`cgroups`]). Tests run beside each other, so nothing here is shared between nodes but the binary.
//!
//! What goes wrong here is the test's failure: functions panic with what was expected and what was seen. A test that the
//! machine can't run says so with [`skip!`] or one of the `require_…!` and returns; the line goes to the real stderr, since
//! the test runner shows captured output of failed tests only.
#![forbid(unsafe_code)]

mod binary;
pub mod cgroups;
mod favoured;
mod http;
mod inside;
mod jobs;
pub mod mounts;
mod node;
mod options;
mod tools;
mod watch;

pub use binary::{binary, repository};
pub use favoured::Favoured;
pub use http::{Answer, exchange};
pub use inside::Inside;
pub use jobs::{allocation, job, with_limits};
pub use node::{Node, program};
pub use options::Options;
pub use rustix::process::Signal;
pub use tools::{curl, has_tool, no_loop_mounts, signal};
pub use watch::problem;

use std::io::Write;
use std::time::{Duration, Instant};

/// Longest wait for something that takes milliseconds on a free machine: others build and test on it too.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks at something that gives no notice.
const PAUSE: Duration = Duration::from_millis(5);

/// Waits until `ready` gives something.
///
/// # Panics
/// When [`PATIENCE`] is over; `what` says what never came.
#[track_caller]
pub fn until<T>(what: &str, mut ready: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = ready() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Says on the real stderr that the running test was skipped, and why.
pub fn report_skipped(reason: &str) {
    let thread = std::thread::current();
    // With stderr gone there is nobody to tell.
    let _ = writeln!(std::io::stderr(), "SKIPPED {}: {reason}", thread.name().unwrap_or("a test"));
}

/// Skips the running test, visibly.
#[macro_export]
macro_rules! skip {
    ($($reason:tt)*) => {{
        $crate::report_skipped(&format!($($reason)*));
        return;
    }};
}

/// Skips the running test where the kernel enforces nothing for this node.
#[macro_export]
macro_rules! require_cgroups {
    ($node:expr) => {
        if let Some(reason) = $node.unenforced() {
            $crate::skip!("leases are not enforced here: {reason}");
        }
    };
}

/// Skips the running test for who is not root.
#[macro_export]
macro_rules! require_root {
    () => {
        if !$crate::is_root() {
            $crate::skip!("it takes root");
        }
    };
}

/// Skips the running test where fewer logical CPUs than this may be used.
#[macro_export]
macro_rules! require_cpus {
    ($count:expr) => {
        let count: usize = $count;
        let usable = $crate::usable_cpus();
        if usable < count {
            $crate::skip!("it takes {count} CPUs, and {usable} may be used");
        }
    };
}

/// Skips the running test where no file system can be mounted from a file.
#[macro_export]
macro_rules! require_loop {
    () => {
        if let Some(reason) = $crate::no_loop_mounts() {
            $crate::skip!("no folder of bounded size can be made: {reason}");
        }
    };
}

/// Whether this process is root.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Logical CPUs that this process may use.
pub fn usable_cpus() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}
