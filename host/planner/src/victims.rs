//! Whom to end so that a request of a higher priority fits now.
//!
//! Only entries that hold already, are preemptible, have had their minimum run time, and are of a strictly lower priority:
//! that is what keeps two leases from pre-empting each other in turn. The least harm: the lowest priority first, inside
//! a priority the youngest, and nobody whose end isn't needed. Entries whose time is over anyway are no victims: what they
//! hold is counted as free already.

use crate::book::{Book, Record};
use crate::earliest::fewest;
use crate::index::{Demand, Footprint, Index};
use crate::place::place;
use crate::shortage::dimension;
use crate::timeline::{Slot, Timeline, Window, Without};
use crate::wanted::{Span, Wanted};
use hypermesh_model::{LeaseId, Timestamp};
use std::cmp::Reverse;

/// An entry that may be ended.
#[derive(Debug)]
struct Candidate<'a> {
    id: &'a LeaseId,
    slot: Slot,
}

impl Book {
    /// The entries to end so that a request of this priority fits in the span; none if only entries are in the way whose
    /// time is over. `None`: even ending all that may be ended would not do.
    pub fn victims(&self, wanted: &Wanted, span: Span, priority: u8, now: Timestamp) -> Option<Vec<LeaseId>> {
        let window = Window::new(span.from.as_millis(), span.until.as_millis(), now.as_millis());
        let demand = Demand::new(&self.index, wanted);
        let victims = self.victims_in(&self.timeline, &demand, window, priority)?;
        Some(victims.into_iter().map(|(id, _)| id.clone()).collect())
    }

    /// The same on a timeline that began as this book's and has had entries added since.
    pub(crate) fn victims_in(
        &self,
        timeline: &Timeline,
        demand: &Demand,
        window: Window,
        priority: u8,
    ) -> Option<Vec<(&LeaseId, Slot)>> {
        let over: Without =
            timeline.ends().iter().take_while(|end| end.at <= window.now).map(|end| end.slot).collect();
        let short = match place(&self.index, &timeline.peak(window, &over), demand) {
            Ok(_) => return Some(Vec::new()),
            Err(short) => short,
        };
        let dimensions: Vec<&str> = short.iter().map(|shortage| shortage.dimension).collect();
        let helps = |footprint: &Footprint| helps(&self.index, demand, &dimensions, footprint);
        let mut candidates: Vec<(Reverse<u8>, Timestamp, Candidate<'_>)> = Vec::new();
        for Record { entry, slot } in self.records.values() {
            let terms = entry.terms;
            let lower = terms.preemptible && terms.priority < priority && !over.contains(slot);
            let ran = entry.from.plus_seconds(terms.min_runtime_seconds).as_millis() <= window.now;
            let useful = || timeline.item(*slot).is_some_and(|item| helps(&item.footprint));
            if lower && ran && useful() {
                let candidate = Candidate { id: &entry.id, slot: *slot };
                candidates.push((Reverse(terms.priority), entry.from, candidate));
            }
        }
        // The most harmful first; of the same age in the order of their ids, so that the answer is always the same.
        candidates.sort_by(|a, b| (a.0, a.1, a.2.id).cmp(&(b.0, b.1, b.2.id)));
        let fits_without = |victims: &[Candidate<'_>]| {
            let mut without = over.clone();
            without.extend(victims.iter().map(|victim| victim.slot));
            place(&self.index, &timeline.peak(window, &without), demand).is_ok()
        };
        let mut victims: Vec<Candidate<'_>> =
            candidates.into_iter().rev().map(|(_, _, candidate)| candidate).collect();
        if !fits_without(&victims) {
            return None;
        }
        victims.truncate(fewest(victims.len(), |count| fits_without(&victims[..count])));
        // Spares whom it can, the most harmful first.
        for position in (0..victims.len()).rev() {
            let spared = victims.remove(position);
            if !fits_without(&victims) {
                victims.insert(position, spared);
            }
        }
        Some(victims.into_iter().map(|victim| (victim.id, victim.slot)).collect())
    }
}

/// Whether ending an entry gives any of what is short.
fn helps(index: &Index, demand: &Demand, dimensions: &[&str], footprint: &Footprint) -> bool {
    let gpu = || {
        let Some(wanted) = &demand.gpus else { return false };
        footprint.gpus.iter().any(|held| {
            let relatives = &index.gpus[*held].relatives;
            wanted.of.contains(held) || relatives.iter().any(|relative| wanted.of.contains(relative))
        })
    };
    dimensions.iter().any(|short| match *short {
        // Freed cores may be larger than those that were thought of, and then more CPU time is needed too.
        dimension::CPU | dimension::PINNED_CPUS => footprint.amounts.cpu > 0 || !footprint.cores.is_empty(),
        dimension::MEMORY => footprint.amounts.memory > 0,
        dimension::STORAGE => footprint.amounts.storage > 0,
        dimension::GPU | dimension::GPU_MEMORY => gpu(),
        _ => false,
    })
}
