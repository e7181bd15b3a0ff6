//! The ledger: what is held, kept and waited for now, in memory, under one lock.
//!
//! A lease is entered here in the same critical section that planned it, before anything is written to disk or to the
//! kernel, and leaves only when its cgroup is gone. So concurrent requests can't both get the last core, and a cgroup
//! that the ledger does not know is an orphan. What decides is `hypermesh_planner`, pure; this module gives it the lock,
//! and remembers what has to happen when ([`Alarm`]).

use crate::error::MeshError;
use hypermesh_model::{Grant, LeaseId, OnExpiry, Subject, Terms, Timestamp};
use hypermesh_planner::{
    Book, Entry, Foreign, Machine, Queue, Quota, Quotas, Schedule, Shares, Shortage, Span, Ticket, Wanted,
    quota_shortages,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most leases at a time: each is up to six kernel directories, and `cgroup.max.descendants` is a common limit.
pub const MAX_LIVE_LEASES: usize = 4096;
/// Most requests that wait for room.
pub const MAX_WAITING: usize = 1024;

/// What has to happen to a lease at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// A frozen lease's grace is over.
    GraceOver,
    /// Its time is over.
    End,
    /// It has waited long enough.
    WaitOver,
    /// A reserved lease begins.
    Start,
    /// It ends soon, and its holder wants to know.
    Warn,
}

/// Where a request stands in the queue.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Place {
    /// From 1.
    pub position: usize,
    /// When it will start if nobody renews; `None` when that can't be said.
    pub eta: Option<Timestamp>,
    /// The requester's dominant share of the machine, decayed over time, which orders requests of one priority.
    pub share: f64,
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Entered {
    /// It holds its part now.
    Granted(Box<Grant>),
    /// It waits.
    Waiting,
}

/// Whose turn it is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Turns {
    /// Who starts now, with what it gets; entered already.
    pub start: Vec<(LeaseId, Grant)>,
    /// Who has to end first, and for whom.
    pub preempt: Vec<(LeaseId, LeaseId)>,
}

/// What may be asked about a request before it is made.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Preview {
    /// What it would hold; `None` when it does not fit.
    pub grant: Option<Grant>,
    /// Every dimension that is short.
    pub shortages: Vec<Shortage>,
    /// Where it would stand in the queue.
    pub queue: Option<Place>,
    /// The leases that it would pre-empt if it waited.
    pub victims: Vec<LeaseId>,
}

#[derive(Debug)]
struct State {
    book: Book,
    queue: Queue,
    shares: Shares,
    quotas: Quotas,
    alarms: BTreeSet<(Timestamp, Alarm, LeaseId)>,
    internal: BTreeSet<LeaseId>,
    keys: HashMap<(Subject, String), LeaseId>,
    /// Up to when everybody was charged.
    charged: Timestamp,
    /// Leases that are being ended to make room, so that they are not chosen twice.
    leaving: BTreeSet<LeaseId>,
}

/// See the module head.
#[derive(Debug)]
pub struct Ledger(Mutex<State>);

/// A request as the ledger needs it.
#[derive(Debug, Clone)]
pub struct Request {
    /// The lease's id.
    pub id: LeaseId,
    /// Who asks.
    pub by: Subject,
    /// What for.
    pub wanted: Wanted,
    /// When.
    pub span: Span,
    /// On which terms.
    pub terms: Terms,
    /// How long it may wait; `None`: not at all.
    pub wait_until: Option<Timestamp>,
}

impl Request {
    fn ticket(&self, now: Timestamp) -> Ticket {
        Ticket {
            id: self.id.clone(),
            requester: self.by.clone(),
            wanted: self.wanted.clone(),
            duration_s: self.span.from.until(self.span.until).as_secs(),
            terms: self.terms,
            since: now,
            // One that may not wait is in the queue only to be compared with those that do: for ever, or it had no place.
            wait_until: self.wait_until.unwrap_or(Timestamp::from_millis(i64::MAX)),
        }
    }

    fn entry(&self, grant: Grant) -> Entry {
        Entry {
            id: self.id.clone(),
            requester: self.by.clone(),
            grant,
            from: self.span.from,
            until: self.span.until,
            terms: self.terms,
        }
    }
}

impl State {
    fn check_quota(&self, by: &Subject, wanted: &Wanted) -> Result<(), MeshError> {
        let (held, more) = (self.book.held_by(by), self.book.comes_to(wanted));
        let shortages = quota_shortages(self.quotas.of(by), &held, &more);
        if shortages.is_empty() { Ok(()) } else { Err(MeshError::Refused { shortages }) }
    }

    fn enter(&mut self, request: &Request, grant: Grant) {
        self.book.insert(request.entry(grant));
        self.set_alarms(&request.id, request.span, request.terms);
    }

    fn set_alarms(&mut self, id: &LeaseId, span: Span, terms: Terms) {
        self.alarms.insert((span.until, Alarm::End, id.clone()));
        if terms.warn_seconds > 0 {
            self.alarms.insert((span.until.minus_seconds(terms.warn_seconds), Alarm::Warn, id.clone()));
        }
    }

    fn clear_alarms(&mut self, id: &LeaseId) {
        // Few alarms a lease, and changes are rare beside decisions; but not a walk over all of them.
        let times: Vec<(Timestamp, Alarm, LeaseId)> = match self.book.get(id) {
            Some(entry) => [
                (entry.until, Alarm::End),
                (entry.until, Alarm::GraceOver),
                (entry.until.minus_seconds(entry.terms.warn_seconds), Alarm::Warn),
                (entry.from, Alarm::Start),
            ]
            .map(|(at, alarm)| (at, alarm, id.clone()))
            .into(),
            None => Vec::new(),
        };
        for alarm in &times {
            self.alarms.remove(alarm);
        }
    }

    fn schedule(&self, now: Timestamp) -> Schedule {
        self.queue.schedule(&self.book, &self.shares, &self.quotas, now)
    }
}

impl Ledger {
    /// An empty ledger over a machine.
    pub fn new(machine: Machine) -> Self {
        Self(Mutex::new(State {
            book: Book::new(machine),
            queue: Queue::default(),
            shares: Shares::default(),
            quotas: Quotas::default(),
            alarms: BTreeSet::new(),
            internal: BTreeSet::new(),
            keys: HashMap::new(),
            charged: Timestamp::now(),
            leaving: BTreeSet::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every critical section leaves the state whole even if it panics between two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Plans and enters a request: at once where it fits and nobody has to go first, else into the queue if it may wait.
    ///
    /// # Errors
    /// [`MeshError::Refused`] with every shortage; [`MeshError::Busy`] at [`MAX_LIVE_LEASES`] and [`MAX_WAITING`].
    pub fn enter(&self, request: &Request, now: Timestamp) -> Result<Entered, MeshError> {
        let mut state = self.lock();
        if state.book.len() >= MAX_LIVE_LEASES {
            let detail = format!("{MAX_LIVE_LEASES} allocations are live; release some");
            return Err(MeshError::Busy { detail });
        }
        state.check_quota(&request.by, &request.wanted)?;
        // Behind others that wait, what fits may still have to wait; a reservation for later is in nobody's way.
        let in_order = state.queue.is_empty() || request.span.from > now;
        if in_order {
            match state.book.fit(&request.wanted, request.span, now) {
                Ok(grant) => {
                    state.enter(request, grant.clone());
                    return Ok(Entered::Granted(Box::new(grant)));
                }
                Err(shortages) if request.wait_until.is_none() => {
                    return Err(MeshError::Refused { shortages });
                }
                Err(shortages) if shortages.iter().any(|short| short.fits_at.is_none()) => {
                    return Err(MeshError::Refused { shortages });
                }
                Err(_) => {}
            }
        }
        if state.queue.len() >= MAX_WAITING {
            let detail = format!("{MAX_WAITING} requests wait already; try again later");
            return Err(MeshError::Busy { detail });
        }
        state.queue.insert(request.ticket(now));
        let schedule = state.schedule(now);
        if let Some((_, grant)) = schedule.start.into_iter().find(|(id, _)| *id == request.id) {
            state.queue.remove(&request.id);
            state.enter(request, grant.clone());
            return Ok(Entered::Granted(Box::new(grant)));
        }
        // It may not wait, or would wait in vain.
        let eta = schedule.eta.get(&request.id).copied().flatten();
        let Some(wait_until) = request.wait_until.filter(|_| eta.is_some()) else {
            state.queue.remove(&request.id);
            let shortages = match state.book.fit(&request.wanted, request.span, now) {
                Err(shortages) => shortages,
                Ok(_) => vec![behind_others(state.queue.len(), eta)],
            };
            return Err(MeshError::Refused { shortages });
        };
        state.alarms.insert((wait_until, Alarm::WaitOver, request.id.clone()));
        Ok(Entered::Waiting)
    }

    /// What would come of a request, without making it.
    ///
    /// # Errors
    /// [`MeshError::Refused`] by the requester's quota.
    pub fn preview(&self, request: &Request, now: Timestamp) -> Result<Preview, MeshError> {
        let mut state = self.lock();
        state.check_quota(&request.by, &request.wanted)?;
        let fit = state.book.fit(&request.wanted, request.span, now);
        if state.queue.is_empty()
            && let Ok(grant) = fit
        {
            return Ok(Preview { grant: Some(grant), ..Preview::default() });
        }
        state.queue.insert(request.ticket(now));
        let schedule = state.schedule(now);
        let share = state.shares.recent(&request.by, now);
        state.queue.remove(&request.id);
        let position = schedule.position(&request.id).unwrap_or(0);
        let eta = schedule.eta.get(&request.id).copied().flatten();
        let grant = schedule.start.iter().find(|(id, _)| *id == request.id).map(|(_, grant)| grant.clone());
        let victims =
            schedule.preempt.into_iter().filter(|(_, by)| *by == request.id).map(|(victim, _)| victim);
        Ok(Preview {
            shortages: fit.err().unwrap_or_default(),
            queue: grant.is_none().then_some(Place { position, eta, share }),
            grant,
            victims: victims.collect(),
        })
    }

    /// What starts now of what waits, entered; and whom that would need to end first.
    pub fn schedule(&self, now: Timestamp) -> Turns {
        let mut state = self.lock();
        if state.queue.is_empty() {
            return Turns::default();
        }
        let schedule = state.schedule(now);
        for (id, grant) in &schedule.start {
            let Some(ticket) = state.queue.remove(id) else { continue };
            state.alarms.remove(&(ticket.wait_until, Alarm::WaitOver, id.clone()));
            let span = Span { from: now, until: now.plus_seconds(ticket.duration_s) };
            let (by, wanted, terms) = (ticket.requester, ticket.wanted, ticket.terms);
            let request = Request { id: id.clone(), by, wanted, span, terms, wait_until: None };
            state.enter(&request, grant.clone());
        }
        let mut preempt = schedule.preempt;
        preempt.retain(|(victim, _)| state.leaving.insert(victim.clone()));
        for (victim, _) in &preempt {
            // It is on its way out: nobody else is chosen for the same room.
            state.book.set_until(victim, now);
        }
        Turns { start: schedule.start, preempt }
    }

    /// When something has to happen next.
    pub fn next_alarm(&self) -> Option<Timestamp> {
        self.lock().alarms.first().map(|(at, ..)| *at)
    }

    /// What has to happen now; each is given once, and given again by [`Ledger::again`].
    pub fn due(&self, now: Timestamp) -> Vec<(Timestamp, Alarm, LeaseId)> {
        let mut state = self.lock();
        let mut due = Vec::new();
        while state.alarms.first().is_some_and(|(at, ..)| *at <= now) {
            due.extend(state.alarms.pop_first());
        }
        due
    }

    /// Has an alarm come again, for what could not be done.
    pub fn again(&self, at: Timestamp, alarm: Alarm, id: LeaseId) {
        let mut state = self.lock();
        if state.book.get(&id).is_some() || state.queue.get(&id).is_some() {
            state.alarms.insert((at, alarm, id));
        }
    }

    /// Enters a group of the node's own (a compile), which holds no capacity but is no orphan.
    pub fn enter_internal(&self, id: &LeaseId) {
        self.lock().internal.insert(id.clone());
    }

    /// Takes it out.
    pub fn leave_internal(&self, id: &LeaseId) {
        self.lock().internal.remove(id);
    }

    /// Whether this node knows the group.
    pub fn knows(&self, id: &LeaseId) -> bool {
        let state = self.lock();
        state.book.get(id).is_some() || state.internal.contains(id)
    }

    /// Answers from the book, under the lock: keep it short.
    pub fn read<T>(&self, ask: impl FnOnce(&Book) -> T) -> T {
        ask(&self.lock().book)
    }

    /// Sets what others hold.
    pub fn set_foreign(&self, foreign: Foreign) {
        self.lock().book.set_foreign(foreign);
    }

    /// Where a request stands; `None` when it does not wait.
    pub fn place(&self, id: &LeaseId, now: Timestamp) -> Option<Place> {
        self.places(now).into_iter().find(|(waiting, _)| waiting == id).map(|(_, place)| place)
    }

    /// Who waits, in order.
    pub fn places(&self, now: Timestamp) -> Vec<(LeaseId, Place)> {
        let state = self.lock();
        if state.queue.is_empty() {
            return Vec::new();
        }
        let schedule = state.schedule(now);
        let place = |(at, id): (usize, &LeaseId)| {
            let share = state.queue.get(id).map_or(0.0, |ticket| state.shares.recent(&ticket.requester, now));
            let eta = schedule.eta.get(id).copied().flatten();
            (id.clone(), Place { position: at + 1, eta, share })
        };
        schedule.order.iter().enumerate().map(place).collect()
    }

    /// How many wait.
    pub fn waiting(&self) -> usize {
        self.lock().queue.len()
    }

    /// The quota of a requester, and all.
    pub fn quotas(&self) -> BTreeMap<Subject, Quota> {
        self.lock().quotas.requesters.clone()
    }

    /// Sets or removes a quota. What is held already stays.
    pub fn set_quota(&self, requester: &Subject, quota: Option<Quota>) {
        let mut state = self.lock();
        match quota {
            Some(quota) => state.quotas.requesters.insert(requester.clone(), quota),
            None => state.quotas.requesters.remove(requester),
        };
    }

    /// Claims a key for a lease that is to be made; the lease that has it already otherwise.
    pub fn claim_key(&self, by: &Subject, key: &str, id: &LeaseId) -> Option<LeaseId> {
        let mut state = self.lock();
        match state.keys.entry((by.clone(), key.to_owned())) {
            std::collections::hash_map::Entry::Occupied(taken) => Some(taken.get().clone()),
            std::collections::hash_map::Entry::Vacant(free) => {
                free.insert(id.clone());
                None
            }
        }
    }

    /// Gives a key back: its lease was not made, or is forgotten.
    pub fn release_key(&self, by: &Subject, key: &str) {
        self.lock().keys.remove(&(by.clone(), key.to_owned()));
    }
}

fn behind_others(waiting: usize, eta: Option<Timestamp>) -> Shortage {
    let ahead = u32::try_from(waiting).unwrap_or(u32::MAX);
    Shortage {
        dimension: "queue",
        requested: 0.0,
        available: 0.0,
        unit: "units",
        fits_at: eta,
        detail: Some(format!(
            "{ahead} requests wait already and go first; give `wait_s` to wait behind them"
        )),
    }
}

/// Whether a lease is stopped before it is killed.
pub(crate) fn freezes(terms: &Terms) -> bool {
    terms.on_expiry == OnExpiry::Freeze && terms.grace_seconds > 0
}

mod held;
#[cfg(test)]
mod tests;
