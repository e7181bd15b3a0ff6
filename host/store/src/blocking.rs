//! Waiting for a future on the current thread, for callers that are not asynchronous.
//!
//! Not `Handle::block_on`, which needs a runtime and panics inside of one: start-up code has none, and a caller that
//! blocks a runtime's thread by mistake should wait, not crash.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future to its end. Its progress must come from other threads.
pub(crate) fn wait<T>(future: impl Future<Output = T>) -> T {
    // Without `unconstrained`, tokio's per-task budget could run out inside a blocked task and never be refilled.
    let mut future = pin!(tokio::task::unconstrained(future));
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(value) => return value,
            Poll::Pending => std::thread::park(),
        }
    }
}
