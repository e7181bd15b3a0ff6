//! The journal: what changed on this node, numbered from 1 without gaps, newest 10,000 kept.
//!
//! It lives in memory beside SQLite so that replaying to a listener costs no I/O. A listener that must miss nothing
//! subscribes first, then reads [`EventLog::since`] its last number, and drops from the subscription what it already has.
//! One that was too slow (`Lagged`) reads `since` again; one that was away for too long gets [`Gone`] and must start from
//! the current state.

use crate::table::{read, write};
use hypermesh_model::Event;
use std::collections::VecDeque;
use std::sync::{Arc, RwLock};
use thiserror::Error;
use tokio::sync::broadcast;

/// Events that are kept, in memory and in the file: hours of a busy node, a few megabytes.
pub const EVENT_RETENTION: usize = 10_000;

/// Events that a subscriber may lag behind before it has to read [`EventLog::since`] again.
pub const EVENT_CHANNEL_CAPACITY: usize = 1024;

/// The events' table in SQLite.
pub(crate) const EVENTS_TABLE: &str = "events";

/// The events after the given number are not (all) here: dropped by retention, or the number is not of this journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("events after that number are not kept; the oldest is {oldest}")]
pub struct Gone {
    /// The number of the oldest event that is kept; the next number while there is none.
    pub oldest: u64,
}

/// The journal of events. Cheap to clone; every clone is the same journal.
#[derive(Debug, Clone)]
pub struct EventLog {
    kept: Arc<RwLock<Kept>>,
    sender: broadcast::Sender<Event>,
}

#[derive(Debug)]
struct Kept {
    events: VecDeque<Event>,
    last: u64,
}

impl Kept {
    fn oldest(&self) -> u64 {
        self.events.front().map_or(self.last + 1, |event| event.sequence)
    }
}

impl EventLog {
    /// From consecutive events, oldest first.
    pub(crate) fn new(events: VecDeque<Event>) -> Self {
        let last = events.back().map_or(0, |event| event.sequence);
        Self {
            kept: Arc::new(RwLock::new(Kept { events, last })),
            sender: broadcast::channel(EVENT_CHANNEL_CAPACITY).0,
        }
    }

    /// Adds committed events and hands them to the subscribers.
    pub(crate) fn publish(&self, new: Vec<Event>) {
        let mut kept = write(&self.kept);
        for event in new {
            kept.last = event.sequence;
            if kept.events.len() == EVENT_RETENTION {
                kept.events.pop_front();
            }
            kept.events.push_back(event.clone());
            // Refused only when nobody subscribes.
            let _ = self.sender.send(event);
        }
    }

    /// The events after number `sequence` (0: from the first), oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`Gone`] when some of them are no longer kept, or `sequence` lies beyond the last event.
    pub fn since(&self, sequence: u64, limit: usize) -> Result<Vec<Event>, Gone> {
        let kept = read(&self.kept);
        let oldest = kept.oldest();
        // Events are consecutive, so the position follows from the number.
        let skipped =
            sequence.checked_add(1).and_then(|next| next.checked_sub(oldest)).ok_or(Gone { oldest })?;
        if sequence > kept.last {
            return Err(Gone { oldest });
        }
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        Ok(kept.events.iter().skip(skipped).take(limit).cloned().collect())
    }

    /// Every event from now on, each after its commit and after its batch's changes became visible.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.sender.subscribe()
    }

    /// The number of the newest event; 0 when there was never one.
    pub fn last_sequence(&self) -> u64 {
        read(&self.kept).last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::{EventKind, Timestamp};
    use proptest::prelude::*;
    use serde_json::Value;

    fn events(range: std::ops::RangeInclusive<u64>) -> Vec<Event> {
        let at = Timestamp::from_millis(0);
        let kind = EventKind::NodeStarted;
        range.map(|sequence| Event { sequence, at, kind, subject: "n".into(), data: Value::Null }).collect()
    }

    #[test]
    fn an_empty_journal_answers_from_zero_only() {
        let log = EventLog::new(VecDeque::new());
        assert_eq!(log.since(0, 10), Ok(vec![]));
        assert_eq!(log.since(1, 10), Err(Gone { oldest: 1 }));
        assert_eq!(log.since(u64::MAX, 10), Err(Gone { oldest: 1 }));
    }

    #[test]
    fn only_the_newest_are_kept() {
        let log = EventLog::new(VecDeque::new());
        let last = EVENT_RETENTION as u64 + 5;
        log.publish(events(1..=last));
        assert_eq!(log.since(4, 1), Err(Gone { oldest: 6 }));
        assert_eq!(log.since(5, 2).unwrap().iter().map(|e| e.sequence).collect::<Vec<_>>(), [6, 7]);
        assert_eq!(log.since(last, 2), Ok(vec![]));
        assert_eq!(log.since(0, usize::MAX), Err(Gone { oldest: 6 }));
    }

    proptest! {
        #[test]
        fn since_is_exactly_what_came_after(first in 1u64..50, count in 0u64..50, ask in 0u64..120, limit in 0usize..60) {
            let all = if count == 0 { vec![] } else { events(first..=first + count - 1) };
            let log = EventLog::new(all.clone().into());
            let (oldest, last) = if count == 0 { (1, 0) } else { (first, first + count - 1) };
            match log.since(ask, limit) {
                Err(gone) => prop_assert!(gone.oldest == oldest && (ask + 1 < oldest || ask > last)),
                Ok(got) => {
                    prop_assert!(ask + 1 >= oldest && ask <= last);
                    let want: Vec<_> = all.into_iter().filter(|e| e.sequence > ask).take(limit).collect();
                    prop_assert_eq!(got, want);
                }
            }
        }
    }
}
