//! Allocations: asking for one and changing one (`ask`), how one and its receipt look (`shown`),
//! and what it uses (`usage`).

mod ask;
mod shown;
mod usage;

pub(crate) use ask::{change, new};
pub(crate) use shown::{
    Beside, enforcement, place, plan, seconds, shown, shown_phase, shown_status, waiting,
};
pub(crate) use usage::{attached, usage, volume};
