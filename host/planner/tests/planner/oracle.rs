//! The rules again, as directly as possible and as slow as they like.
//!
//! Works on entries and names, instant by instant, and tries every set of cores. What the planner says must be what this
//! says.

use hypermesh_model::{CpuMode, Grant, LeaseId};
use hypermesh_planner::{Entry, Foreign, Gpu, Machine, Wanted, WantedGpus};

#[derive(Clone, Copy)]
pub(crate) struct Oracle<'a> {
    pub(crate) machine: &'a Machine,
    pub(crate) foreign: &'a Foreign,
    pub(crate) entries: &'a [Entry],
    pub(crate) now: i64,
    /// Is looked at as if it weren't there.
    pub(crate) without: Option<&'a LeaseId>,
}

impl<'a> Oracle<'a> {
    fn until(&self, entry: &Entry) -> i64 {
        entry.until.as_millis().max(entry.from.as_millis() + 1).max(self.now + 1)
    }

    fn others(&self) -> impl Iterator<Item = &'a Entry> {
        let without = self.without;
        self.entries.iter().filter(move |entry| without != Some(&entry.id))
    }

    fn grants_at(&self, instant: i64) -> Vec<&'a Grant> {
        let holds = |entry: &&Entry| entry.from.as_millis() <= instant && instant < self.until(entry);
        self.others().filter(holds).map(|entry| &entry.grant).collect()
    }

    fn cpu_capacity(&self) -> u64 {
        let cpus = self.machine.cores.iter().map(|core| core.cpus.len() as u64).sum::<u64>();
        let cpu = u64::from(self.machine.cpu.0);
        if cpus == 0 { cpu } else { cpu.min(cpus * 1000) }
    }

    fn memory_capacity(&self) -> u64 {
        self.machine.memory.0.saturating_sub(self.foreign.memory.0)
    }

    fn storage_capacity(&self) -> u64 {
        self.machine.storage.0.saturating_sub(self.foreign.storage.0)
    }

    /// What is promised twice, or beyond what there is, at an instant.
    fn overcommitted_at(&self, instant: i64) -> Option<String> {
        let grants = self.grants_at(instant);
        let sum = |of: &dyn Fn(&Grant) -> u64| grants.iter().map(|grant| of(grant)).sum::<u64>();
        let sums = [
            (sum(&|grant| grant.cpu.map_or(0, |cpu| cpu.0.into())), self.cpu_capacity()),
            (sum(&|grant| grant.memory_held().0), self.memory_capacity()),
            (sum(&|grant| grant.storage.map_or(0, |storage| storage.0)), self.storage_capacity()),
        ];
        if sums.iter().any(|(held, capacity)| held > capacity) {
            return Some(format!("sums at {instant}: {sums:?}"));
        }
        let cpus: Vec<u32> = grants.iter().flat_map(|grant| grant.cpus.iter().copied()).collect();
        let pinned = |cpu: &u32| cpus.iter().filter(|other| *other == cpu).count();
        if cpus.iter().any(|cpu| pinned(cpu) > 1) {
            return Some(format!("CPUs pinned twice at {instant}: {cpus:?}"));
        }
        let shared_cores =
            self.machine.cores.iter().filter(|core| core.cpus.iter().all(|cpu| !cpus.contains(cpu)));
        if !cpus.is_empty() && shared_cores.count() == 0 {
            return Some(format!("no core left at {instant}"));
        }
        let gpu = self.machine.gpus.iter().find(|gpu| self.gpu_overcommitted(gpu, &grants));
        gpu.map(|gpu| format!("{} at {instant}", gpu.uuid))
    }

    fn divided(&self, gpu: &Gpu) -> bool {
        gpu.divided || self.machine.gpus.iter().any(|other| other.parent.as_ref() == Some(&gpu.uuid))
    }

    fn gpu_overcommitted(&self, gpu: &Gpu, grants: &[&Grant]) -> bool {
        let on = |uuid| grants.iter().filter(move |grant| grant.gpus.contains(uuid));
        let holders = on(&gpu.uuid).count();
        let exclusive = on(&gpu.uuid).filter(|grant| grant.gpu_memory.is_none()).count();
        let memory = on(&gpu.uuid).filter_map(|grant| grant.gpu_memory).map(|memory| memory.0).sum::<u64>();
        let whole_and_part = gpu.parent.as_ref().is_some_and(|parent| on(parent).count() > 0);
        (exclusive > 0 && holders > 1)
            || memory > gpu.memory.map_or(0, |memory| memory.0)
            || (holders > 0 && (self.divided(gpu) || whole_and_part))
    }

    /// The first fault from now on.
    pub(crate) fn overcommitted(&self) -> Option<String> {
        let starts = self.others().map(|entry| entry.from.as_millis()).filter(|at| *at > self.now);
        std::iter::once(self.now).chain(starts).find_map(|at| self.overcommitted_at(at))
    }

    /// Whether a request fits at every instant of a window.
    pub(crate) fn fits(&self, wanted: &Wanted, from: i64, until: i64) -> bool {
        let starts = self.others().map(|entry| entry.from.as_millis()).filter(|at| from < *at && *at < until);
        let instants: Vec<Vec<&Grant>> =
            std::iter::once(from).chain(starts).map(|at| self.grants_at(at)).collect();
        let sum_fits = |want: u64, capacity: u64, of: &dyn Fn(&Grant) -> u64| {
            let held = |grants: &Vec<&Grant>| grants.iter().map(|grant| of(grant)).sum::<u64>();
            want == 0 || instants.iter().all(|grants| held(grants) + want <= capacity)
        };
        let cpu_fits = |milli: u64| {
            sum_fits(milli, self.cpu_capacity(), &|grant| grant.cpu.map_or(0, |cpu| cpu.0.into()))
        };
        let storage = wanted.storage.map_or(0, |storage| storage.0);
        let cpu = match (wanted.cpu, wanted.cpu_mode) {
            (None, _) => true,
            (Some(cpu), CpuMode::Pinned) => self.cores_fit(&instants, cpu.0, &cpu_fits),
            (Some(cpu), CpuMode::Shared | CpuMode::Limited) => cpu_fits(cpu.0.into()),
        };
        cpu && sum_fits(wanted.memory_held().0, self.memory_capacity(), &|grant| grant.memory_held().0)
            && sum_fits(storage, self.storage_capacity(), &|grant| grant.storage.map_or(0, |s| s.0))
            && wanted.gpus.as_ref().is_none_or(|gpus| self.gpus_fit(&instants, gpus))
    }

    fn cores_fit(&self, instants: &[Vec<&Grant>], milli: u32, cpu_fits: &dyn Fn(u64) -> bool) -> bool {
        let cores = &self.machine.cores;
        let pinned = |grants: &[&Grant], core: usize| {
            grants.iter().any(|grant| cores[core].cpus.iter().any(|cpu| grant.cpus.contains(cpu)))
        };
        (1u32..1 << cores.len()).any(|set| {
            let chosen: Vec<usize> = (0..cores.len()).filter(|core| set & (1 << core) != 0).collect();
            let cpus = chosen.iter().map(|core| cores[*core].cpus.len() as u64).sum::<u64>();
            let free = |grants: &Vec<&Grant>| {
                let others = (0..cores.len()).filter(|core| pinned(grants, *core)).count();
                chosen.iter().all(|core| !pinned(grants, *core)) && others + chosen.len() < cores.len()
            };
            cpus * 1000 >= u64::from(milli) && instants.iter().all(free) && cpu_fits(cpus * 1000)
        })
    }

    fn gpus_fit(&self, instants: &[Vec<&Grant>], wanted: &WantedGpus) -> bool {
        let mine = |gpu: &Gpu| {
            let own = self.entries.iter().find(|entry| self.without == Some(&entry.id));
            own.is_some_and(|entry| entry.grant.gpus.contains(&gpu.uuid))
        };
        let fine = |gpu: &&Gpu| {
            let busy = self.foreign.gpus.contains(&gpu.uuid) && !mine(gpu);
            let free = |grants: &Vec<&Grant>| {
                let on = |uuid| grants.iter().filter(move |grant| grant.gpus.contains(uuid));
                let instances =
                    self.machine.gpus.iter().filter(|other| other.parent.as_ref() == Some(&gpu.uuid));
                let relatives = instances.map(|other| &other.uuid).chain(&gpu.parent);
                let memory = on(&gpu.uuid).filter_map(|grant| grant.gpu_memory).map(|memory| memory.0);
                let here = match wanted.shared_memory {
                    None => on(&gpu.uuid).count() == 0,
                    Some(more) => {
                        on(&gpu.uuid).all(|grant| grant.gpu_memory.is_some())
                            && gpu.memory.is_some_and(|whole| memory.sum::<u64>() + more.0 <= whole.0)
                    }
                };
                here && relatives.map(|uuid| on(uuid).count()).sum::<usize>() == 0
            };
            !self.divided(gpu) && (!busy || wanted.shared_memory.is_some()) && instants.iter().all(free)
        };
        let candidates = self.machine.gpus.iter().filter(|gpu| wanted.of.contains(&gpu.uuid));
        candidates.filter(fine).count() >= wanted.count as usize
    }

    /// The earliest time from which on a request fits until `end` of it says.
    pub(crate) fn earliest(&self, wanted: &Wanted, from: i64, end: impl Fn(i64) -> i64) -> Option<i64> {
        let mut times: Vec<i64> =
            self.others().map(|entry| self.until(entry)).filter(|at| *at > from).collect();
        times.push(from);
        times.sort_unstable();
        times.into_iter().find(|at| *at < end(*at) && self.fits(wanted, *at, end(*at)))
    }
}
