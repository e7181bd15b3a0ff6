//! Planning a lease: pure. Pool, what is held, request, now → grant, or a refusal with **all** reasons.
//!
//! No clock, no kernel, no store in here, so that the rule "the sum of leases never passes capacity" can be tested by
//! generating histories. The ledger calls it under its lock; `apply` then tells the kernel.

use crate::error::Shortage;
use hypermesh_model::{Bytes, GpuUuid, Grant, LeaseId, MilliCpu, Timestamp};
use std::collections::BTreeMap;

/// What the machine can give.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pool {
    /// All CPU time: min of online CPUs, affinity, own cgroup chain.
    pub cpu: MilliCpu,
    /// All memory: min of host and own cgroup chain.
    pub memory: Bytes,
    /// Memory that the system and processes outside leases hold, as last measured.
    pub foreign_memory: Bytes,
    /// All GPUs that may be leased.
    pub gpus: Vec<GpuUuid>,
}

/// What one lease holds, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// What it holds.
    pub grant: Grant,
    /// When it ends.
    pub ends_at: Timestamp,
}

/// What is wanted, in kernel units. `None`: this dimension is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// CPU time.
    pub cpu: Option<MilliCpu>,
    /// Memory.
    pub memory: Option<Bytes>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// This many of these GPUs.
    pub gpus: Option<(u32, Vec<GpuUuid>)>,
}

/// Sums over what is held. Kept by the ledger, so that planning does not walk all leases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// CPU held.
    pub cpu: u64,
    /// Memory held, bytes.
    pub memory: u64,
    /// GPUs held.
    pub gpus: Vec<GpuUuid>,
}

impl Totals {
    /// Adds a grant.
    pub fn add(&mut self, grant: &Grant) {
        self.cpu += u64::from(grant.cpu.unwrap_or_default().0);
        self.memory += grant.memory.unwrap_or_default().0;
        self.gpus.extend(grant.gpus.iter().cloned());
    }

    /// Takes a grant away again.
    pub fn remove(&mut self, grant: &Grant) {
        self.cpu = self.cpu.saturating_sub(u64::from(grant.cpu.unwrap_or_default().0));
        self.memory = self.memory.saturating_sub(grant.memory.unwrap_or_default().0);
        self.gpus.retain(|held| !grant.gpus.contains(held));
    }
}

impl Pool {
    /// CPU that no lease holds.
    pub fn cpu_free(&self, totals: &Totals) -> MilliCpu {
        MilliCpu(u32::try_from(u64::from(self.cpu.0).saturating_sub(totals.cpu)).unwrap_or(0))
    }

    /// Memory that no lease holds and nobody else uses.
    pub fn memory_free(&self, totals: &Totals) -> Bytes {
        Bytes(self.memory.0.saturating_sub(self.foreign_memory.0).saturating_sub(totals.memory))
    }

    /// Those of `group` that no lease holds.
    pub fn gpus_free(&self, group: &[GpuUuid], totals: &Totals) -> Vec<GpuUuid> {
        group.iter().filter(|g| self.gpus.contains(g) && !totals.gpus.contains(g)).cloned().collect()
    }
}

/// Plans a lease.
///
/// # Errors
/// Every dimension that was short, with what was free and when it would fit if no lease were renewed.
pub fn plan(
    pool: &Pool,
    totals: &Totals,
    held: &BTreeMap<LeaseId, Held>,
    wanted: &Wanted,
) -> Result<Grant, Vec<Shortage>> {
    let shortages = shortages(pool, totals, wanted);
    if shortages.is_empty() {
        let gpus = wanted.gpus.as_ref().map_or_else(Vec::new, |(count, group)| {
            pool.gpus_free(group, totals).into_iter().take(*count as usize).collect()
        });
        return Ok(Grant {
            cpu: wanted.cpu,
            memory: wanted.memory,
            pids: wanted.pids,
            gpus,
            ..Grant::default()
        });
    }
    let fits_at = earliest_fit(pool, totals, held, wanted);
    Err(shortages.into_iter().map(|s| Shortage { fits_at, ..s }).collect())
}

fn shortages(pool: &Pool, totals: &Totals, wanted: &Wanted) -> Vec<Shortage> {
    let mut short = Vec::new();
    let mut add = |dimension: &str, requested: f64, available: f64, unit: &str| {
        short.push(Shortage {
            dimension: dimension.into(),
            requested,
            available,
            unit: unit.into(),
            fits_at: None,
        });
    };
    if let Some(cpu) = wanted.cpu {
        let free = pool.cpu_free(totals);
        if cpu > free {
            add("cpu", cpu.as_percent_of(pool.cpu), free.as_percent_of(pool.cpu), "percentage");
        }
    }
    if let Some(memory) = wanted.memory {
        let free = pool.memory_free(totals);
        if memory > free {
            add("memory", memory.as_gb(), free.as_gb(), "GB");
        }
    }
    if let Some((count, group)) = &wanted.gpus {
        let free = u32::try_from(pool.gpus_free(group, totals).len()).unwrap_or(u32::MAX);
        if *count > free {
            add("gpu", f64::from(*count), f64::from(free), "units");
        }
    }
    short
}

/// The first end of a lease after which the request would fit; `None` when it never does.
fn earliest_fit(
    pool: &Pool,
    totals: &Totals,
    held: &BTreeMap<LeaseId, Held>,
    wanted: &Wanted,
) -> Option<Timestamp> {
    let mut by_end: Vec<&Held> = held.values().collect();
    by_end.sort_by_key(|h| h.ends_at);
    let mut totals = totals.clone();
    for lease in by_end {
        totals.remove(&lease.grant);
        if shortages(pool, &totals, wanted).is_empty() {
            return Some(lease.ends_at);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pool() -> Pool {
        let gpus = (0..3).map(|i| GpuUuid(format!("GPU-{i}"))).collect();
        Pool { cpu: MilliCpu(2000), memory: Bytes::mib(4096), foreign_memory: Bytes::mib(96), gpus }
    }

    fn cpu(milli: u32) -> Wanted {
        Wanted { cpu: Some(MilliCpu(milli)), ..Wanted::default() }
    }

    #[test]
    fn a_refusal_names_every_short_dimension_and_when_it_fits() {
        let end = Timestamp::from_millis(5_000);
        let grant = Grant { cpu: Some(MilliCpu(1500)), memory: Some(Bytes::mib(3000)), ..Grant::default() };
        let mut totals = Totals::default();
        totals.add(&grant);
        let held = BTreeMap::from([(LeaseId::generate(), Held { grant, ends_at: end })]);
        let wanted = Wanted { memory: Some(Bytes::mib(2000)), ..cpu(1000) };
        let short = plan(&pool(), &totals, &held, &wanted).unwrap_err();
        assert_eq!(short.iter().map(|s| s.dimension.as_str()).collect::<Vec<_>>(), ["cpu", "memory"]);
        assert!(short.iter().all(|s| s.fits_at == Some(end)));
        assert!((short[0].available - 25.0).abs() < 1e-9 && (short[0].requested - 50.0).abs() < 1e-9);
    }

    #[test]
    fn what_is_larger_than_the_machine_never_fits() {
        let short = plan(&pool(), &Totals::default(), &BTreeMap::new(), &cpu(2001)).unwrap_err();
        assert_eq!(short[0].fits_at, None);
    }

    #[test]
    fn memory_that_others_use_is_not_leased() {
        let wanted = Wanted { memory: Some(Bytes::mib(4001)), ..Wanted::default() };
        assert!(plan(&pool(), &Totals::default(), &BTreeMap::new(), &wanted).is_err());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Ask(Wanted),
        End(usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        let ask = (
            proptest::option::of(1u32..2500),
            proptest::option::of(1u64..5000),
            proptest::option::of(1u32..4),
        )
            .prop_map(|(c, m, g)| {
                Step::Ask(Wanted {
                    cpu: c.map(MilliCpu),
                    memory: m.map(Bytes::mib),
                    pids: None,
                    gpus: g.map(|n| (n, pool().gpus)),
                })
            });
        prop_oneof![3 => ask, 1 => (0usize..8).prop_map(Step::End)]
    }

    proptest! {
        #[test]
        fn no_history_of_leases_passes_capacity(steps in proptest::collection::vec(step(), 0..60)) {
            let pool = pool();
            let (mut totals, mut held) = (Totals::default(), BTreeMap::new());
            for (n, step) in steps.into_iter().enumerate() {
                match step {
                    Step::Ask(wanted) => if let Ok(grant) = plan(&pool, &totals, &held, &wanted) {
                        totals.add(&grant);
                        let ends_at = Timestamp::from_millis(i64::try_from(n).unwrap());
                        held.insert(LeaseId::generate(), Held { grant, ends_at });
                    },
                    Step::End(i) => if let Some(id) = held.keys().nth(i).cloned() {
                        let gone = held.remove(&id).unwrap();
                        totals.remove(&gone.grant);
                    },
                }
                // Restated from scratch, not from the running totals.
                let cpu: u64 = held.values().map(|h| u64::from(h.grant.cpu.unwrap_or_default().0)).sum();
                let memory: u64 = held.values().map(|h| h.grant.memory.unwrap_or_default().0).sum();
                let mut gpus: Vec<_> = held.values().flat_map(|h| h.grant.gpus.clone()).collect();
                gpus.sort();
                let distinct = { let mut g = gpus.clone(); g.dedup(); g.len() };
                prop_assert!(cpu <= 2000 && memory <= Bytes::mib(4000).0);
                prop_assert_eq!(distinct, gpus.len());
                prop_assert_eq!((totals.cpu, totals.memory), (cpu, memory));
            }
        }
    }
}
