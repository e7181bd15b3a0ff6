//! How much one requester may hold.
//!
//! Sums count everything that is held or reserved, now or later: a reservation for tomorrow takes from the quota today,
//! so that nobody fills the calendar. A quota never reserves anything: the machine may be full before it is used up.

use crate::shortage::{Shortage, dimension, unit};
use hypermesh_model::{Bytes, Grant, MilliCpu, Subject};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::{AddAssign, SubAssign};

/// The most that a requester may hold. `None`: unlimited.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// CPU time, pinned CPUs in whole.
    pub cpu: Option<MilliCpu>,
    /// Memory that counts against capacity.
    pub memory: Option<Bytes>,
    /// Storage.
    pub storage: Option<Bytes>,
    /// GPUs and MIG instances; a shared one counts as one.
    pub gpus: Option<u32>,
    /// Leases and reservations.
    pub leases: Option<u32>,
}

/// The quotas of everybody.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quotas {
    /// Of those who have none of their own.
    pub default: Quota,
    /// Of single requesters; replaces the default altogether.
    pub requesters: BTreeMap<Subject, Quota>,
}

impl Quotas {
    /// A requester's quota.
    pub fn of(&self, requester: &Subject) -> &Quota {
        self.requesters.get(requester).unwrap_or(&self.default)
    }
}

/// Sums of what is held or wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Held {
    /// CPU time.
    pub cpu: MilliCpu,
    /// Memory that counts against capacity.
    pub memory: Bytes,
    /// Storage.
    pub storage: Bytes,
    /// GPUs.
    pub gpus: u32,
    /// Leases and reservations.
    pub leases: u32,
}

impl From<&Grant> for Held {
    fn from(grant: &Grant) -> Self {
        Self {
            cpu: grant.cpu.unwrap_or_default(),
            memory: grant.memory_held(),
            storage: grant.storage.unwrap_or_default(),
            gpus: u32::try_from(grant.gpus.len()).unwrap_or(u32::MAX),
            leases: 1,
        }
    }
}

impl AddAssign for Held {
    fn add_assign(&mut self, other: Self) {
        self.cpu.0 = self.cpu.0.saturating_add(other.cpu.0);
        self.memory.0 = self.memory.0.saturating_add(other.memory.0);
        self.storage.0 = self.storage.0.saturating_add(other.storage.0);
        self.gpus = self.gpus.saturating_add(other.gpus);
        self.leases = self.leases.saturating_add(other.leases);
    }
}

impl SubAssign for Held {
    fn sub_assign(&mut self, other: Self) {
        self.cpu.0 = self.cpu.0.saturating_sub(other.cpu.0);
        self.memory.0 = self.memory.0.saturating_sub(other.memory.0);
        self.storage.0 = self.storage.0.saturating_sub(other.storage.0);
        self.gpus = self.gpus.saturating_sub(other.gpus);
        self.leases = self.leases.saturating_sub(other.leases);
    }
}

/// What a requester who holds `held` would be over, if `more` came to it; available is what the quota leaves. What isn't
/// wanted more of is not short, even if a quota that was lowered is passed already.
///
/// `more` is what a [`Grant`] holds, or, before anything is planned, what [`crate::Book::comes_to`] says.
pub fn quota_shortages(quota: &Quota, held: &Held, more: &Held) -> Vec<Shortage> {
    let left = |limit: u64, held: u64| limit.saturating_sub(held);
    let cores = |milli: u64| f64::from(u32::try_from(milli).unwrap_or(u32::MAX)) / 1000.0;
    let units = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    let mut short = Vec::new();
    let mut count = |dimension, limit: Option<u32>, held: u32, more: u32, unit, show: &dyn Fn(u64) -> f64| {
        if let Some(limit) = limit {
            let (left, more) = (left(limit.into(), held.into()), u64::from(more));
            if more > left {
                short.push(Shortage::new(dimension, show(more), show(left), unit));
            }
        }
    };
    count(dimension::QUOTA_CPU, quota.cpu.map(|cpu| cpu.0), held.cpu.0, more.cpu.0, unit::CORES, &cores);
    count(dimension::QUOTA_GPUS, quota.gpus, held.gpus, more.gpus, unit::UNITS, &units);
    count(dimension::QUOTA_LEASES, quota.leases, held.leases, more.leases, unit::UNITS, &units);
    let mut bytes = |dimension, limit: Option<Bytes>, held: Bytes, more: Bytes| {
        if let Some(limit) = limit
            && more.0 > left(limit.0, held.0)
        {
            short.push(Shortage::bytes(dimension, more.0, left(limit.0, held.0)));
        }
    };
    bytes(dimension::QUOTA_MEMORY, quota.memory, held.memory, more.memory);
    bytes(dimension::QUOTA_STORAGE, quota.storage, held.storage, more.storage);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_quota_that_would_be_passed_is_named_with_what_it_leaves() {
        let quota = Quota { cpu: Some(MilliCpu(4000)), leases: Some(2), gpus: Some(1), ..Quota::default() };
        let held = Held { cpu: MilliCpu(3000), leases: 1, ..Held::default() };
        let more = Held { cpu: MilliCpu(1500), memory: Bytes(1), gpus: 2, leases: 1, ..Held::default() };
        let short = quota_shortages(&quota, &held, &more);
        let seen: Vec<_> = short.iter().map(|s| (s.dimension, s.requested, s.available, s.unit)).collect();
        assert_eq!(seen, [("quota_cpu", 1.5, 1.0, "cores"), ("quota_gpus", 2.0, 1.0, "units")]);
        assert_eq!(quota_shortages(&Quota::default(), &held, &more), []);
    }

    #[test]
    fn a_quota_that_was_lowered_hinders_only_those_who_want_more_of_it() {
        let quota = Quota { cpu: Some(MilliCpu(1000)), ..Quota::default() };
        let held = Held { cpu: MilliCpu(3000), leases: 1, ..Held::default() };
        assert_eq!(
            quota_shortages(&quota, &held, &Held { memory: Bytes(9), leases: 1, ..Held::default() }),
            []
        );
        assert_eq!(quota_shortages(&quota, &held, &Held { cpu: MilliCpu(1), ..Held::default() }).len(), 1);
    }

    #[test]
    fn a_requester_may_have_a_quota_of_his_own() {
        let own = Quota { gpus: Some(8), ..Quota::default() };
        let quotas = Quotas { default: Quota::default(), requesters: [(Subject("a".into()), own)].into() };
        assert_eq!(
            (quotas.of(&Subject("a".into())).gpus, quotas.of(&Subject("b".into())).gpus),
            (Some(8), None)
        );
    }
}
