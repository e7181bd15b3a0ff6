//! Macros that format a line of the log and hand it to a [`Context`](crate::Context).
//!
//! Nothing is global: a function that logs takes the context, and a test reads what it logged there. The host cuts long
//! lines and counts those over the execution's limit, so logging never fails.

/// Logs a formatted message at a [`Level`](crate::Level).
///
/// ```
/// use hypermesh_guest::{Level, log, testing::MemoryContext};
/// let mut context = MemoryContext::new();
/// log!(context, Level::Warn, "{} of {} files are empty", 2, 3);
/// assert_eq!(context.lines(), [(Level::Warn, "2 of 3 files are empty".to_owned())]);
/// ```
#[macro_export]
macro_rules! log {
    ($context:expr, $level:expr, $($message:tt)+) => {{
        use $crate::Context as _;
        $context.log($level, &::std::format!($($message)+))
    }};
}

/// Logs a formatted message at [`Level::Trace`](crate::Level::Trace).
///
/// ```
/// use hypermesh_guest::{Context, Level, testing::MemoryContext};
/// fn step(context: &mut dyn Context, n: u32) {
///     hypermesh_guest::trace!(context, "line {n}");
/// }
/// let mut context = MemoryContext::new();
/// step(&mut context, 7);
/// assert_eq!(context.lines(), [(Level::Trace, "line 7".to_owned())]);
/// ```
#[macro_export]
macro_rules! trace {
    ($context:expr, $($message:tt)+) => {
        $crate::log!($context, $crate::Level::Trace, $($message)+)
    };
}

/// Logs a formatted message at [`Level::Debug`](crate::Level::Debug).
///
/// ```
/// use hypermesh_guest::{Context, Level, testing::MemoryContext};
/// fn step(context: &mut dyn Context, n: u32) {
///     hypermesh_guest::debug!(context, "line {n}");
/// }
/// let mut context = MemoryContext::new();
/// step(&mut context, 7);
/// assert_eq!(context.lines(), [(Level::Debug, "line 7".to_owned())]);
/// ```
#[macro_export]
macro_rules! debug {
    ($context:expr, $($message:tt)+) => {
        $crate::log!($context, $crate::Level::Debug, $($message)+)
    };
}

/// Logs a formatted message at [`Level::Info`](crate::Level::Info).
///
/// ```
/// use hypermesh_guest::{Context, Level, testing::MemoryContext};
/// fn step(context: &mut dyn Context, n: u32) {
///     hypermesh_guest::info!(context, "line {n}");
/// }
/// let mut context = MemoryContext::new();
/// step(&mut context, 7);
/// assert_eq!(context.lines(), [(Level::Info, "line 7".to_owned())]);
/// ```
#[macro_export]
macro_rules! info {
    ($context:expr, $($message:tt)+) => {
        $crate::log!($context, $crate::Level::Info, $($message)+)
    };
}

/// Logs a formatted message at [`Level::Warn`](crate::Level::Warn).
///
/// ```
/// use hypermesh_guest::{Context, Level, testing::MemoryContext};
/// fn step(context: &mut dyn Context, n: u32) {
///     hypermesh_guest::warn!(context, "line {n} is empty");
/// }
/// let mut context = MemoryContext::new();
/// step(&mut context, 7);
/// assert_eq!(context.lines(), [(Level::Warn, "line 7 is empty".to_owned())]);
/// ```
#[macro_export]
macro_rules! warn {
    ($context:expr, $($message:tt)+) => {
        $crate::log!($context, $crate::Level::Warn, $($message)+)
    };
}

/// Logs a formatted message at [`Level::Error`](crate::Level::Error).
///
/// ```
/// use hypermesh_guest::{Context, Level, testing::MemoryContext};
/// fn step(context: &mut dyn Context, n: u32) {
///     hypermesh_guest::error!(context, "line {n} is not UTF-8");
/// }
/// let mut context = MemoryContext::new();
/// step(&mut context, 7);
/// assert_eq!(context.lines(), [(Level::Error, "line 7 is not UTF-8".to_owned())]);
/// ```
#[macro_export]
macro_rules! error {
    ($context:expr, $($message:tt)+) => {
        $crate::log!($context, $crate::Level::Error, $($message)+)
    };
}
