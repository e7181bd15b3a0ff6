//! One look at the queue: whom to start, whom to pre-empt, and when the others can expect their turn.
//!
//! EASY backfilling (Lifka 1995): tickets are started in their order as long as they fit. The first that doesn't is the
//! head; room is kept for it at the earliest time it will fit, on certain cores and GPUs. Later tickets start now only if
//! they end before that or fit beside it. So the head's time only ever comes nearer: nothing that starts meanwhile can
//! delay it, and what doesn't fit today is served after the last holder's end.
//!
//! ```text
//! ticket ─▶ waited too long ─▶ expired
//!        ─▶ over its requester's quota ─▶ passed over; eta: when his own leases end
//!        ─▶ fits now ─▶ start
//!        ─▶ doesn't, first such ─▶ head: pre-empt if victims do, keep room at its eta
//!        ─▶ doesn't, later ─▶ eta behind those before it (a forecast: no room is kept)
//!        ─▶ never fits ─▶ passed over, no eta
//! ```
//! Victims still hold until they are taken out of the book, and nothing that is started counts on that; the head starts at
//! the look after it. A schedule is advice:
//! the same look at an unchanged book gives the same answer, so acting on it may be repeated.

use crate::book::Book;
use crate::earliest::{Needs, earliest};
use crate::index::{Demand, Footprint};
use crate::place::place;
use crate::queue::{Queue, Ticket};
use crate::quota::{Held, Quotas, quota_shortages};
use crate::shares::Shares;
use crate::timeline::{Timeline, Window, Without};
use hypermesh_model::{Grant, LeaseId, Subject, Timestamp};
use std::collections::BTreeMap;

/// How long ending a lease may take, milliseconds. A ticket for whom others are pre-empted fits also if it begins so much
/// later, or a reservation that begins just after it would make their end useless.
const ENDING_MS: i64 = 10_000;

/// What to do now. See the module head.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Schedule {
    /// Tickets to start now, with what they get, in this order.
    pub start: Vec<(LeaseId, Grant)>,
    /// Leases to end, each with the ticket that needs its room.
    pub preempt: Vec<(LeaseId, LeaseId)>,
    /// When each waiting ticket will start if nothing is renewed; `None`: not on this machine as it is.
    pub eta: BTreeMap<LeaseId, Option<Timestamp>>,
    /// All that wait, the next first; those to start included.
    pub order: Vec<LeaseId>,
    /// Tickets whose waiting time is over.
    pub expired: Vec<LeaseId>,
}

impl Schedule {
    /// A ticket's place in the order, 1 for the first.
    pub fn position(&self, id: &LeaseId) -> Option<usize> {
        self.order.iter().position(|other| other == id).map(|place| place + 1)
    }
}

impl Queue {
    /// Looks at the queue. Changes nothing: the caller enters what he starts, and takes out what has ended.
    pub fn schedule(&self, book: &Book, shares: &Shares, quotas: &Quotas, now: Timestamp) -> Schedule {
        let mut pass = Pass::new(book, quotas, now);
        pass.schedule.expired = self
            .tickets()
            .filter(|ticket| ticket.wait_until <= now)
            .map(|ticket| ticket.id.clone())
            .collect();
        for ticket in self.order(book, shares, now) {
            pass.schedule.order.push(ticket.id.clone());
            let eta = pass.consider(ticket).map(Timestamp::from_millis);
            pass.schedule.eta.insert(ticket.id.clone(), eta);
        }
        pass.schedule
    }
}

/// The state of one look.
#[derive(Debug)]
struct Pass<'a> {
    book: &'a Book,
    quotas: &'a Quotas,
    now: i64,
    /// What is held, what was started, and the room that is kept for the head: what decides.
    decided: Timeline,
    /// That, and every other ticket at its time: what the times of later tickets are reckoned from.
    forecast: Timeline,
    /// What requesters hold with what was started.
    held: BTreeMap<&'a Subject, Held>,
    /// The ends of what was started, for quotas.
    started: Vec<(&'a Subject, i64, Held)>,
    has_head: bool,
    schedule: Schedule,
}

/// A ticket, made ready for planning.
struct Request<'a> {
    ticket: &'a Ticket,
    demand: Demand,
    /// Milliseconds.
    duration: i64,
}

impl<'a> Pass<'a> {
    fn new(book: &'a Book, quotas: &'a Quotas, now: Timestamp) -> Self {
        Self {
            book,
            quotas,
            now: now.as_millis(),
            decided: book.timeline.clone(),
            forecast: book.timeline.clone(),
            held: BTreeMap::new(),
            started: Vec::new(),
            has_head: false,
            schedule: Schedule::default(),
        }
    }

    /// Decides about one ticket; returns when it starts.
    fn consider(&mut self, ticket: &'a Ticket) -> Option<i64> {
        let duration = i64::try_from(ticket.duration_s).unwrap_or(i64::MAX).saturating_mul(1000).max(1);
        let request = Request { ticket, demand: Demand::new(&self.book.index, &ticket.wanted), duration };
        let book = self.book;
        let held = *self.held.entry(&ticket.requester).or_insert_with(|| book.held_by(&ticket.requester));
        let planned = plan(book, &self.decided, &request, self.now, self.now);
        let more = planned.as_ref().map_or_else(|| book.comes_to(&ticket.wanted), Held::from);
        if !quota_shortages(self.quotas.of(&ticket.requester), &held, &more).is_empty() {
            let allowed = self.within_quota_at(ticket, more)?;
            let eta = self.earliest(&self.forecast, &request, allowed)?;
            self.foresee(&request, eta);
            return Some(eta);
        }
        if let Some(grant) = planned {
            self.start(&request, grant);
            return Some(self.now);
        }
        if !self.has_head {
            return self.lead(&request);
        }
        let eta = self.earliest(&self.forecast, &request, self.now)?;
        self.foresee(&request, eta);
        Some(eta)
    }

    fn start(&mut self, request: &Request<'a>, grant: Grant) {
        let footprint = Footprint::new(&self.book.index, &grant);
        let until = self.now.saturating_add(request.duration);
        self.decided.insert(self.now, until, footprint.clone());
        self.forecast.insert(self.now, until, footprint);
        let (ticket, more) = (request.ticket, Held::from(&grant));
        *self.held.entry(&ticket.requester).or_default() += more;
        self.started.push((&ticket.requester, until, more));
        self.schedule.start.push((ticket.id.clone(), grant));
    }

    /// Makes a ticket the head, unless it never fits.
    fn lead(&mut self, request: &Request<'a>) -> Option<i64> {
        let eta = self.earliest(&self.decided, request, self.now)?;
        self.has_head = true;
        // At the next instant it fits as soon as those are gone whose time is over: nobody else need go.
        if eta > self.now.saturating_add(1)
            && let Some(eta) = self.preempt(request)
        {
            return Some(eta);
        }
        let grant = plan(self.book, &self.decided, request, eta, self.now)?;
        self.keep_room(eta, request.duration, &grant);
        Some(eta)
    }

    /// Finds victims, and keeps the room that they leave; returns when it is there. In what decides they stay: nothing may
    /// be started that counts on an end which the kernel has yet to bring about.
    fn preempt(&mut self, request: &Request<'a>) -> Option<i64> {
        let (ticket, now) = (request.ticket, self.now);
        let eta = now.saturating_add(1);
        let duration = request.duration.saturating_add(ENDING_MS);
        let window = Window::new(now, eta.saturating_add(duration), now);
        let victims = self.book.victims_in(&self.decided, &request.demand, window, ticket.terms.priority)?;
        let mut without = self.decided.clone();
        victims.iter().for_each(|(_, slot)| without.set_until(*slot, now));
        let longer = Request { ticket, demand: request.demand.clone(), duration };
        let grant = plan(self.book, &without, &longer, eta, now)?;
        for (victim, slot) in victims {
            self.forecast.set_until(slot, now);
            self.schedule.preempt.push((victim.clone(), ticket.id.clone()));
        }
        self.keep_room(eta, duration, &grant);
        Some(eta)
    }

    fn keep_room(&mut self, from: i64, duration: i64, grant: &Grant) {
        let (footprint, until) = (Footprint::new(&self.book.index, grant), from.saturating_add(duration));
        self.decided.insert(from, until, footprint.clone());
        self.forecast.insert(from, until, footprint);
    }

    fn earliest(&self, timeline: &Timeline, request: &Request<'_>, from: i64) -> Option<i64> {
        let needs = Needs::For(request.duration);
        earliest(&self.book.index, timeline, &request.demand, (from, self.now), needs, &Without::new())
    }

    /// Counts on a ticket at its time.
    fn foresee(&mut self, request: &Request<'_>, at: i64) {
        if let Some(grant) = plan(self.book, &self.forecast, request, at, self.now) {
            let footprint = Footprint::new(&self.book.index, &grant);
            self.forecast.insert(at, at.saturating_add(request.duration), footprint);
        }
    }

    /// When enough of the requester's own leases will have ended; `None` if the quota is too small for the ticket.
    fn within_quota_at(&self, ticket: &Ticket, more: Held) -> Option<i64> {
        let quota = self.quotas.of(&ticket.requester);
        let mut held = self.held.get(&ticket.requester).copied().unwrap_or_default();
        let theirs = self.book.entries().filter(|entry| entry.requester == ticket.requester);
        let mut ends: Vec<(i64, Held)> =
            theirs.map(|entry| (entry.until.as_millis(), Held::from(&entry.grant))).collect();
        let started = self.started.iter().filter(|(requester, ..)| **requester == ticket.requester);
        ends.extend(started.map(|(_, until, held)| (*until, *held)));
        ends.sort_unstable_by_key(|(until, _)| *until);
        ends.into_iter().find_map(|(until, ended)| {
            held -= ended;
            quota_shortages(quota, &held, &more).is_empty().then_some(Timeline::effective(until, self.now))
        })
    }
}

/// Where a request goes at an instant; `None` if it doesn't fit then.
fn plan(book: &Book, timeline: &Timeline, request: &Request<'_>, at: i64, now: i64) -> Option<Grant> {
    let window = Window::new(at, at.saturating_add(request.duration), now);
    let peak = timeline.peak(window, &Without::new());
    let placement = place(&book.index, &peak, &request.demand).ok()?;
    Some(placement.grant(&book.index, &request.ticket.wanted))
}
