//! Requests that wait for room, and whose turn it is.
//!
//! A higher priority goes first. Inside a priority the requester goes first whose dominant share is smallest, counted
//! from what he holds, what he had lately ([`Shares`]) and what those of his tickets take that are before in the order:
//! progressive filling as in dominant resource fairness (Ghodsi et al., NSDI 2011), so that a requester with a hundred
//! tickets is not served a hundred times before the next. Then the older goes first; shares that differ by less than a
//! thousandth of the machine count as equal, or who had a second of it last week would stand behind every newcomer.

use crate::book::Book;
use crate::quota::Held;
use crate::shares::Shares;
use crate::wanted::Wanted;
use hypermesh_model::{LeaseId, Subject, Terms, Timestamp};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

/// A request that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// The lease that it will be.
    pub id: LeaseId,
    /// Who asked.
    pub requester: Subject,
    /// For what.
    pub wanted: Wanted,
    /// For how long, from its start on, in seconds.
    pub duration_s: u64,
    /// Priority and the rest.
    pub terms: Terms,
    /// Since when it waits.
    pub since: Timestamp,
    /// Until when it waits.
    pub wait_until: Timestamp,
}

/// See the module head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Queue {
    tickets: BTreeMap<LeaseId, Ticket>,
}

/// Whose turn it is among requesters: the smallest share, then the longest wait.
type Turn<'a> = Reverse<(u32, Timestamp, &'a LeaseId, &'a Subject)>;

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a ticket in; returns the one that had its id.
    pub fn insert(&mut self, ticket: Ticket) -> Option<Ticket> {
        self.tickets.insert(ticket.id.clone(), ticket)
    }

    /// Takes a ticket out.
    pub fn remove(&mut self, id: &LeaseId) -> Option<Ticket> {
        self.tickets.remove(id)
    }

    /// A ticket.
    pub fn get(&self, id: &LeaseId) -> Option<&Ticket> {
        self.tickets.get(id)
    }

    /// All tickets by id.
    pub fn tickets(&self) -> impl Iterator<Item = &Ticket> {
        self.tickets.values()
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.tickets.len()
    }

    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// A ticket's place in the order, 1 for the first; `None` if there is no such ticket or its waiting time is over.
    pub fn position(&self, id: &LeaseId, book: &Book, shares: &Shares, now: Timestamp) -> Option<usize> {
        let place = self.order(book, shares, now).iter().position(|ticket| ticket.id == *id)?;
        Some(place + 1)
    }

    /// The tickets that still wait, the next first.
    pub fn order(&self, book: &Book, shares: &Shares, now: Timestamp) -> Vec<&Ticket> {
        let mut priorities: BTreeMap<Reverse<u8>, BTreeMap<&Subject, VecDeque<&Ticket>>> = BTreeMap::new();
        for ticket in self.tickets.values().filter(|ticket| ticket.wait_until > now) {
            let requesters = priorities.entry(Reverse(ticket.terms.priority)).or_default();
            requesters.entry(&ticket.requester).or_default().push_back(ticket);
        }
        let mut counted: BTreeMap<&Subject, Held> = BTreeMap::new();
        let mut order = Vec::new();
        for requesters in priorities.values_mut() {
            let mut turns: BinaryHeap<Turn<'_>> = BinaryHeap::new();
            for (requester, tickets) in requesters.iter_mut() {
                tickets.make_contiguous().sort_by_key(|ticket| (ticket.since, &ticket.id));
                let held = counted.entry(requester).or_insert_with(|| book.held_by(requester));
                turns.extend(turn(tickets, book, shares, held, now));
            }
            while let Some(Reverse((.., requester))) = turns.pop() {
                let Some(tickets) = requesters.get_mut(requester) else { continue };
                let held = counted.entry(requester).or_default();
                if let Some(ticket) = tickets.pop_front() {
                    *held += book.comes_to(&ticket.wanted);
                    order.push(ticket);
                }
                turns.extend(turn(tickets, book, shares, held, now));
            }
        }
        order
    }
}

/// A requester's turn, by what he holds and had, for the first of his tickets.
fn turn<'a>(
    tickets: &VecDeque<&'a Ticket>,
    book: &Book,
    shares: &Shares,
    held: &Held,
    now: Timestamp,
) -> Option<Turn<'a>> {
    let ticket = *tickets.front()?;
    let share = book.dominant_share(held) + shares.recent(&ticket.requester, now);
    Some(Reverse((thousandths(share), ticket.since, &ticket.id, &ticket.requester)))
}

fn thousandths(share: f64) -> u32 {
    let rounded = (share * 1000.0).round().clamp(0.0, f64::from(u32::MAX));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped above")]
    let thousandths = rounded as u32;
    thousandths
}
