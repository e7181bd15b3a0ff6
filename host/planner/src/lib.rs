//! Decides what fits on a machine, who is next and what is due: pure, without clock or I/O.
//!
//! ```text
//! Machine + Foreign ─▶ Index ─┐
//! entries ─▶ Timeline ────────┼─▶ place ─▶ Grant, or every Shortage with the earliest time (earliest)
//! Wanted ─▶ Demand ───────────┘
//! Queue + Shares + Quotas + Book ─▶ Schedule: whom to start, whom to pre-empt, when the others can expect it
//! Calendar + decided until + now ─▶ due: what to run, what was missed, when to look again
//! Fanout: which indexes of an array to start now, and when it has ended
//! ```
//! Time is passed in, nothing is random and nothing is locked, so that the rules ("never more than there is", "a CPU is
//! pinned once", "nobody starves") can be tested on generated histories, and the same input gives the same answer.
//! Whoever owns a [`Book`] plans and enters in one critical section, tells the kernel, and removes an entry when its
//! cgroup is gone.
//!
//! Nothing here fails but reading a cron expression: what doesn't fit is a list of [`Shortage`]s, what isn't known is
//! `None`.
#![forbid(unsafe_code)]

mod book;
mod calendar;
mod cores;
mod due;
mod earliest;
mod extend;
mod fanout;
mod gpus;
mod index;
mod machine;
mod place;
mod queue;
mod quota;
mod schedule;
mod shares;
mod shortage;
mod timeline;
mod usage;
mod victims;
mod wanted;

pub use book::{Book, Entry, Totals};
pub use calendar::{Calendar, InvalidExpression};
pub use due::{Decision, Missed, Moments, Rule, ToRun, due, still_wanted, was_wrong};
pub use fanout::{Counts, Fanout, Next, State};
pub use machine::{Core, Foreign, Gpu, Machine, NumaNode};
pub use queue::{Queue, Ticket};
pub use quota::{Held, Quota, Quotas, quota_shortages};
pub use schedule::Schedule;
pub use shares::{DEFAULT_HALF_LIFE_S, Shares};
pub use shortage::{Shortage, dimension};
pub use wanted::{Span, Wanted, WantedGpus};
