//! Between the wire's types and the domain's: what a request means, checked, and how things look to a caller.
//!
//! A request's lengths, ranges and sizes are checked here, in one style ([`check`]), each refusal naming the member as a
//! 400. What this build can't grant is refused with its reason (422) and never silently ignored. The ranges are those of
//! the schema in the wire crate, and `tests` of the system hold the two against each other.

pub(crate) mod allocations;
pub(crate) mod arrays;
pub(crate) mod assets;
pub(crate) mod catalog;
pub(crate) mod check;
pub(crate) mod executions;
pub(crate) mod nodes;
pub(crate) mod quotas;
pub(crate) mod schedules;
pub(crate) mod services;
pub(crate) mod trustchain;
pub(crate) mod vm;

use hypermesh_model::Timestamp;

/// The same point in time as the wire writes it.
pub(crate) fn time(at: Timestamp) -> jiff::Timestamp {
    // Both have the range of `jiff`, so the millisecond always exists.
    jiff::Timestamp::from_millisecond(at.as_millis()).unwrap_or(jiff::Timestamp::MAX)
}

/// Maps an enumeration to the one of the same names, exhaustively.
macro_rules! same_names {
    ($(#[$doc:meta])* $name:ident: $from:path => $to:path { $($variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        pub(crate) fn $name(value: $from) -> $to {
            use $from as From;
            use $to as To;
            match value {
                $(From::$variant => To::$variant,)+
            }
        }
    };
}
pub(crate) use same_names;
