//! Everything that is held now and reserved for later, with its sums.
//!
//! An entry counts from the moment it is put in until it is taken out: at `from` it begins to hold, and when `until` has
//! passed it goes on holding, because its cgroup is still there. Nothing here removes an entry by itself, and
//! [`Book::insert`] believes what it is given (a restart puts in what was granted before, whatever the machine is now):
//! who plans with [`Book::fit`] and enters in one critical section never gives more than there is.

use crate::earliest::{Needs, earliest};
use crate::extend;
use crate::index::{Demand, Footprint, Index};
use crate::machine::{Foreign, Machine};
use crate::place::{milli, place};
use crate::quota::Held;
use crate::shortage::Shortage;
use crate::timeline::{Slot, Timeline, Window, Without};
use crate::usage::Usage;
use crate::wanted::{Span, Wanted};
use hypermesh_model::{Bytes, GpuUuid, Grant, LeaseId, MilliCpu, Subject, Terms, Timestamp};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// A lease or a reservation, as far as planning is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose entry.
    pub id: LeaseId,
    /// Who holds it.
    pub requester: Subject,
    /// What it holds.
    pub grant: Grant,
    /// When it begins to hold.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
    /// Priority and pre-emption.
    pub terms: Terms,
}

/// What is held now and what is left.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Entries that hold now.
    pub leases: usize,
    /// CPU time held, pinned CPUs included.
    pub cpu: MilliCpu,
    /// CPU time that nobody holds.
    pub cpu_free: MilliCpu,
    /// Memory held.
    pub memory: Bytes,
    /// Memory that neither leases nor others hold.
    pub memory_free: Bytes,
    /// Storage held.
    pub storage: Bytes,
    /// Storage that neither leases nor others hold.
    pub storage_free: Bytes,
    /// GPUs held by one lease alone.
    pub gpus: Vec<GpuUuid>,
    /// GPUs that are shared, and the memory that was promised on each.
    pub gpus_shared: BTreeMap<GpuUuid, Bytes>,
    /// GPUs that could be given to one lease alone.
    pub gpus_free: Vec<GpuUuid>,
}

#[derive(Debug, Clone)]
pub(crate) struct Record {
    pub(crate) entry: Entry,
    pub(crate) slot: Slot,
}

/// See the module head.
#[derive(Debug, Clone)]
pub struct Book {
    machine: Machine,
    foreign: Foreign,
    pub(crate) index: Index,
    pub(crate) timeline: Timeline,
    pub(crate) records: BTreeMap<LeaseId, Record>,
    held: BTreeMap<Subject, Held>,
}

impl Book {
    /// An empty book over a machine of which nobody else holds anything.
    pub fn new(machine: Machine) -> Self {
        let foreign = Foreign::default();
        let index = Index::new(&machine, &foreign);
        let timeline = Timeline::new(&index);
        Self { machine, foreign, index, timeline, records: BTreeMap::new(), held: BTreeMap::new() }
    }

    /// The machine.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// What others hold.
    pub fn foreign(&self) -> &Foreign {
        &self.foreign
    }

    /// Takes in a machine that has changed. What is held stays held, also beyond the new capacity.
    pub fn set_machine(&mut self, machine: Machine) {
        self.index = Index::new(&machine, &self.foreign);
        self.machine = machine;
        self.timeline = Timeline::new(&self.index);
        for Record { entry, slot } in self.records.values_mut() {
            let footprint = Footprint::new(&self.index, &entry.grant);
            *slot = self.timeline.insert(entry.from.as_millis(), entry.until.as_millis(), footprint);
        }
    }

    /// Takes in what others hold, as measured now.
    pub fn set_foreign(&mut self, foreign: Foreign) {
        self.index.set_foreign(&self.machine, &foreign);
        self.foreign = foreign;
    }

    /// Enters a lease or a reservation; returns the one that had its id.
    pub fn insert(&mut self, entry: Entry) -> Option<Entry> {
        let before = self.remove(&entry.id);
        let footprint = Footprint::new(&self.index, &entry.grant);
        let slot = self.timeline.insert(entry.from.as_millis(), entry.until.as_millis(), footprint);
        *self.held.entry(entry.requester.clone()).or_default() += Held::from(&entry.grant);
        self.records.insert(entry.id.clone(), Record { entry, slot });
        before
    }

    /// Takes an entry out.
    pub fn remove(&mut self, id: &LeaseId) -> Option<Entry> {
        let Record { entry, slot } = self.records.remove(id)?;
        self.timeline.remove(slot);
        if let Some(held) = self.held.get_mut(&entry.requester) {
            *held -= Held::from(&entry.grant);
            if held.leases == 0 {
                self.held.remove(&entry.requester);
            }
        }
        Some(entry)
    }

    /// An entry.
    pub fn get(&self, id: &LeaseId) -> Option<&Entry> {
        self.records.get(id).map(|record| &record.entry)
    }

    /// All entries by id.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.records.values().map(|record| &record.entry)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Changes when an entry ends; false if there is none of this id.
    pub fn set_until(&mut self, id: &LeaseId, until: Timestamp) -> bool {
        let Some(record) = self.records.get_mut(id) else { return false };
        record.entry.until = until;
        self.timeline.set_until(record.slot, until.as_millis());
        true
    }

    /// Changes what an entry holds; false if there is none of this id.
    pub fn set_grant(&mut self, id: &LeaseId, grant: Grant) -> bool {
        let Some(entry) = self.remove(id) else { return false };
        self.insert(Entry { grant, ..entry });
        true
    }

    /// Changes an entry's terms; false if there is none of this id.
    pub fn set_terms(&mut self, id: &LeaseId, terms: Terms) -> bool {
        let Some(record) = self.records.get_mut(id) else { return false };
        record.entry.terms = terms;
        true
    }

    /// Plans a lease, or a reservation if the span begins later than now. Over the whole span it fits beside what is
    /// held and what is reserved.
    ///
    /// # Errors
    /// Every dimension that was short at some time of the span, each with the earliest time at which the whole request
    /// would fit for as long if nothing is renewed.
    pub fn fit(&self, wanted: &Wanted, span: Span, now: Timestamp) -> Result<Grant, Vec<Shortage>> {
        let window = Window::new(span.from.as_millis(), span.until.as_millis(), now.as_millis());
        let demand = Demand::new(&self.index, wanted);
        let needs = Needs::For(window.until.saturating_sub(window.from));
        self.plan(wanted, &demand, window, needs, &Without::new())
    }

    /// Plans another size for an entry, from now until its end. What it holds doesn't count against it, and it keeps
    /// its CPUs and GPUs where it can. `None` if there is no such entry.
    ///
    /// # Errors
    /// As for [`Book::fit`].
    pub fn refit(
        &self,
        id: &LeaseId,
        wanted: &Wanted,
        now: Timestamp,
    ) -> Option<Result<Grant, Vec<Shortage>>> {
        let Record { entry, slot } = self.records.get(id)?;
        let window = Window::new(entry.from.as_millis(), entry.until.as_millis(), now.as_millis());
        let mine = &self.timeline.item(*slot)?.footprint;
        let demand = Demand::new(&self.index, wanted).keeping(mine);
        Some(self.plan(wanted, &demand, window, Needs::Until(window.until), &Without::from([*slot])))
    }

    fn plan(
        &self,
        wanted: &Wanted,
        demand: &Demand,
        window: Window,
        needs: Needs,
        without: &Without,
    ) -> Result<Grant, Vec<Shortage>> {
        let peak = self.timeline.peak(window, without);
        place(&self.index, &peak, demand).map(|placement| placement.grant(&self.index, wanted)).map_err(
            |short| {
                let instant = (window.from, window.now);
                let at = earliest(&self.index, &self.timeline, demand, instant, needs, without);
                let fits_at = at.map(Timestamp::from_millis);
                short.into_iter().map(|shortage| Shortage { fits_at, ..shortage }).collect()
            },
        )
    }

    /// Whether an entry may end at `until`: a renewal must not run into a reservation. An id that isn't there may.
    ///
    /// # Errors
    /// What it would lose to the first reservation that is in the way, and when.
    pub fn may_extend(&self, id: &LeaseId, until: Timestamp, now: Timestamp) -> Result<(), Vec<Shortage>> {
        let Some(record) = self.records.get(id) else { return Ok(()) };
        extend::may_extend(&self.index, &self.timeline, record.slot, until.as_millis(), now.as_millis())
    }

    fn usage(&self, now: Timestamp) -> Cow<'_, Usage> {
        self.timeline.at(now.as_millis(), now.as_millis(), &Without::new())
    }

    /// The logical CPUs that nobody pins now, ascending: where shared and limited leases run.
    pub fn shared_cpus(&self, now: Timestamp) -> Vec<u32> {
        let usage = self.usage(now);
        let free = self.index.cores.iter().zip(&usage.cores).filter(|(_, pinned)| **pinned == 0);
        let mut cpus: Vec<u32> = free.flat_map(|(core, _)| core.cpus.iter().copied()).collect();
        cpus.sort_unstable();
        cpus
    }

    /// What is held now and what is left.
    pub fn totals(&self, now: Timestamp) -> Totals {
        let usage = self.usage(now);
        let (held, free) = (usage.amounts, self.index.free(&usage));
        let mut totals = Totals {
            leases: self.timeline.starts().partition_point(|(at, _)| *at <= now.as_millis()),
            cpu: milli(held.cpu),
            cpu_free: milli(free.cpu),
            memory: Bytes(held.memory),
            memory_free: Bytes(free.memory),
            storage: Bytes(held.storage),
            storage_free: Bytes(free.storage),
            ..Totals::default()
        };
        for (gpu, used) in self.index.gpus.iter().zip(&usage.gpus) {
            let relative_held = gpu.relatives.iter().any(|&relative| usage.gpus[relative].held());
            if used.exclusive > 0 {
                totals.gpus.push(gpu.uuid.clone());
            } else if used.shared > 0 {
                totals.gpus_shared.insert(gpu.uuid.clone(), Bytes(used.memory));
            } else if !gpu.divided && !gpu.busy && !relative_held {
                totals.gpus_free.push(gpu.uuid.clone());
            }
        }
        totals
    }

    /// What a requester holds and has reserved, added up: what quotas are held against.
    pub fn held_by(&self, requester: &Subject) -> Held {
        self.held.get(requester).copied().unwrap_or_default()
    }

    /// What a request comes to on this machine, to ask for quotas before it is planned: pinned CPUs rounded up to whole
    /// cores (where cores differ in size, to the least that it can be).
    pub fn comes_to(&self, wanted: &Wanted) -> Held {
        Held {
            cpu: milli(Demand::new(&self.index, wanted).amounts.cpu),
            memory: wanted.memory_held(),
            storage: wanted.storage.unwrap_or_default(),
            gpus: wanted.gpus.as_ref().map_or(0, |gpus| gpus.count),
            leases: 1,
        }
    }

    /// The largest part of the machine that something takes of any dimension: its dominant share (Ghodsi et al., NSDI
    /// 2011), 0 to 1, or more if it is more than the machine. A shared GPU counts as one.
    pub fn dominant_share(&self, held: &Held) -> f64 {
        let part = |held: f64, whole: f64| if whole > 0.0 { held / whole } else { 0.0 };
        let whole_gpus = self.index.gpus.iter().filter(|gpu| !gpu.divided).count();
        let gpus = u32::try_from(whole_gpus).unwrap_or(u32::MAX);
        let capacity = self.index.capacity;
        [
            part(f64::from(held.cpu.0), f64::from(milli(capacity.cpu).0)),
            part(held.memory.as_gb(), Bytes(capacity.memory).as_gb()),
            part(held.storage.as_gb(), Bytes(capacity.storage).as_gb()),
            part(f64::from(held.gpus), f64::from(gpus)),
        ]
        .into_iter()
        .fold(0.0, f64::max)
    }

    /// When the next entry ends, or ended without having been removed.
    pub fn next_end(&self) -> Option<Timestamp> {
        self.timeline.ends().first().map(|end| Timestamp::from_millis(end.at))
    }

    /// Entries whose end has passed, by id.
    pub fn ended(&self, now: Timestamp) -> Vec<LeaseId> {
        if self.next_end().is_none_or(|at| at > now) {
            return Vec::new();
        }
        self.entries().filter(|entry| entry.until <= now).map(|entry| entry.id.clone()).collect()
    }
}
