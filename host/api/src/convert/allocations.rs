//! Allocations: asking for one and changing one (`ask`), and how one, its receipt and its use look (`shown`).

mod ask;
mod shown;

pub(crate) use ask::{change, new};
pub(crate) use shown::{Beside, enforcement, seconds, shown, shown_phase, shown_status};
