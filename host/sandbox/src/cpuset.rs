//! Cores of pinned leases, and the cores that are left for all others.
//!
//! Each lease has a group with its CPUs: on v2 its own, on v1 one in the cpuset hierarchy, where its processes are
//! directly in it. Which leases are pinned is marked on their groups, and the CPUs of the others on the node's folder, so
//! that a restarted node knows both. On v1 a new group is given what its parent has (`cgroup.clone_children`).
//!
//! Exclusive is meant among leases: what runs outside of them is nobody's to move, so a receipt says so. A pinned lease
//! whose cores are still shared is not enforced, whoever forgot to say [`crate::CgroupBackend::share_cpus`] first.
//!
//! A v1 cpuset without CPUs and memory nodes takes nobody in, and a child's must be its parent's too (cpuset(7)). So a
//! parent grows before its children and shrinks after them.

use crate::journal::Journal;
use crate::kernel_backend::KernelBackend;
use crate::kernel_fs::{children, read, read_optional, write};
use crate::setting::{Facts, Mode, Setting};
use crate::{CgroupError, CgroupVersion, CpuSet, Limits, marks};
use hypermesh_model::{CpuMode, EnforcementEntry, EnforcementState, LeaseId};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

/// More CPUs than any kernel is built for (`CONFIG_NR_CPUS`): a bound on what a list may expand to.
const MAX_CPUS: u32 = 1 << 16;
/// How often the CPUs of a v1 group are written when somebody makes a group below meanwhile.
const TRIES: u32 = 5;
const EXCLUSIVE_NOTE: &str = "no other lease runs on these cores; processes outside of leases may";
const CPUS: &str = "cpuset.cpus";
const MEMS: &str = "cpuset.mems";
/// A set of CPUs.
pub(crate) type Cpus = BTreeSet<u32>;

/// Numbers in the kernel's own notation (`0-2,5`).
pub(crate) fn list(numbers: &Cpus) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for number in numbers.iter().copied() {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            Some(_) | None => ranges.push((number, number)),
        }
    }
    let text = |(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    ranges.iter().map(text).collect::<Vec<_>>().join(",")
}

/// Reads the kernel's notation; `None` for anything else.
pub(crate) fn parse(text: &str) -> Option<Cpus> {
    let mut numbers = Cpus::new();
    for range in text.trim().split(',').filter(|range| !range.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        if first > last || last >= MAX_CPUS {
            return None;
        }
        numbers.extend(first..=last);
    }
    Some(numbers)
}

/// The setting that pins a lease on v1 (`is_v2` false) or v2.
fn plan(set: &CpuSet, is_v2: bool, facts: &Facts) -> Setting {
    let cpus = list(&set.cpus.iter().copied().collect());
    // On v2 an empty file means all of the parent's; on v1 it means none.
    let mems = match (set.mems.is_empty(), is_v2) {
        (true, true) => None,
        (true, false) => Some(facts.mems.clone()),
        (false, _) => Some(list(&set.mems.iter().copied().collect())),
    };
    let effective = if is_v2 { "cpuset.cpus.effective" } else { "cpuset.effective_cpus" };
    Setting {
        before: mems.map(|mems| (MEMS, mems)).into_iter().collect(),
        proof: vec![(effective, cpus.clone())],
        note: Some(EXCLUSIVE_NOTE.to_owned()),
        ..Setting::new("cpuset", "cpuset", CPUS, cpus)
    }
}

/// Gives an empty v1 cpuset and the empty ones above it, from the mount down, what their parents have.
pub(crate) fn fill(mount: &Path, dir: &Path) -> Result<(), CgroupError> {
    let mut path: Vec<&Path> = dir.ancestors().take_while(|group| *group != mount).collect();
    path.reverse();
    for group in path {
        for name in [MEMS, CPUS] {
            if read(&group.join(name))?.is_empty()
                && let Some(above) = group.parent()
            {
                write(&group.join(name), &read(&above.join(name))?)?;
            }
        }
    }
    Ok(())
}

/// Fills the node's folder and makes its children begin with what it has.
pub(crate) fn prepare(mount: &Path, node: &Path) -> Result<(), CgroupError> {
    fill(mount, node)?;
    write(&node.join("cgroup.clone_children"), "1")
}

/// Writes the CPUs of a v1 group and of all below it, where commands inside the lease have theirs.
fn rewrite(dir: &Path, cpus: &Cpus) -> Result<(), CgroupError> {
    let mut tries = 1;
    loop {
        match rewrite_once(dir, cpus) {
            Err(error) if !error.is_missing() && tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn rewrite_once(dir: &Path, cpus: &Cpus) -> Result<(), CgroupError> {
    let file = dir.join(CPUS);
    let below = children(dir)?;
    if !below.is_empty() {
        let held = parse(&read(&file)?).unwrap_or_default();
        write(&file, &list(&held.union(cpus).copied().collect()))?;
        below.iter().try_for_each(|child| match rewrite_once(child, cpus) {
            Err(error) if error.is_missing() => Ok(()),
            written => written,
        })?;
    }
    write(&file, &list(cpus))
}

/// What an earlier start of the node said of the CPUs of leases that are not pinned; `None` for all.
pub(crate) fn earlier_shared(node: &Path) -> Option<Cpus> {
    parse(&marks::get(node, marks::SHARED)?).filter(|cpus| !cpus.is_empty())
}

/// The memory nodes that a v1 node has to give; empty where it cannot be read.
pub(crate) fn mems(node: &Path) -> String {
    read_optional(&node.join(MEMS)).ok().flatten().unwrap_or_default()
}

impl KernelBackend {
    fn is_v2(&self) -> bool {
        self.version == CgroupVersion::V2
    }

    /// The node's folder where cores are given; `None` without the controller.
    pub(crate) fn cores_node(&self) -> Option<&Path> {
        let on_v1 = self.tree.of("cpuset");
        let found = on_v1.or_else(|| self.tree.hierarchies.first().filter(|_| self.is_v2()))?;
        Some(&found.node)
    }

    /// Pins the lease, or only looks whether it is. `None` when it is not to be pinned.
    pub(crate) fn pin(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
        limits: &Limits,
        mode: Mode,
    ) -> Result<Option<EnforcementEntry>, CgroupError> {
        if limits.cpu_mode != CpuMode::Pinned {
            return Ok(None);
        }
        let set = limits.pinned().cloned().unwrap_or_default();
        let (setting, cpus) = (plan(&set, self.is_v2(), &self.facts), Cpus::from_iter(set.cpus));
        let holder = match (leaf, cpus.is_empty()) {
            (Some(_), _) => Err("a leaf runs on the cores of its lease".to_owned()),
            (None, true) => Err("no cores were chosen".to_owned()),
            (None, false) => self.holder("cpuset", lease, None),
        };
        let dir = match holder {
            Ok(dir) => dir,
            Err(reason) => return Ok(setting.unenforced(reason)),
        };
        if mode == Mode::Write {
            self.mark(&dir, true)?;
            if !self.is_v2() && !children(&dir)?.is_empty() {
                rewrite(&dir, &cpus)?;
            }
        }
        let Some(mut entry) = setting.settle(&dir, mode)? else { return Ok(None) };
        if entry.state == EnforcementState::Enforced
            && let Some(reason) = self.still_shared(&cpus)
        {
            (entry.state, entry.reason) = (EnforcementState::Unenforced, Some(reason));
        }
        Ok(Some(entry))
    }

    /// Marks a lease as pinned or not. In order with `set_shared`, which passes over those that are.
    fn mark(&self, dir: &Path, is_pinned: bool) -> Result<(), CgroupError> {
        let _order = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_pinned {
            marks::clear(dir, marks::PINNED);
            return Ok(());
        }
        let refused = |source| CgroupError::Io { action: "mark", path: dir.to_owned(), source };
        marks::set(dir, marks::PINNED, "1").map_err(refused)
    }

    /// Why cores are not a pinned lease's alone; `None` when they are.
    fn still_shared(&self, cpus: &Cpus) -> Option<String> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(shared) = shared.as_ref() else {
            return Some("leases that are not pinned may run on every CPU".to_owned());
        };
        let both: Cpus = shared.intersection(cpus).copied().collect();
        (!both.is_empty()).then(|| format!("leases that are not pinned may run on CPU {}", list(&both)))
    }

    /// Gives a new lease that is not pinned the CPUs of all such leases, if there are any to keep away from.
    pub(crate) fn join_share(&self, lease: &LeaseId) -> Result<(), CgroupError> {
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        match (shared.as_ref(), self.holder("cpuset", lease, None)) {
            (Some(cpus), Ok(dir)) => write(&dir.join(CPUS), &list(cpus)),
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// See [`crate::CgroupBackend::share_cpus`].
    pub(crate) fn set_shared(&self, cpus: &[u32]) -> Result<(), CgroupError> {
        let wanted = Cpus::from_iter(cpus.iter().copied());
        if wanted.is_empty() {
            return Err(CgroupError::NoSharedCpu);
        }
        // Without the controller nothing can be pinned, so nothing needs to be kept away.
        let Some(node) = self.cores_node() else { return Ok(()) };
        let all = self.all_cpus()?;
        if all.is_empty() {
            return Ok(());
        }
        let wanted = Some(wanted).filter(|wanted| *wanted != all);
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.is_some() && *shared == wanted {
            return Ok(());
        }
        // Gone while the leases are told, so that a restart in between tells all of them again.
        marks::clear(node, marks::SHARED);
        let is_shared = |dir: &PathBuf| marks::get(dir, marks::PINNED).is_none();
        let leases: Vec<PathBuf> = children(node)?.into_iter().filter(is_shared).collect();
        let told = leases.iter().try_for_each(|dir| self.give_shared(dir, wanted.as_ref()));
        match &told {
            Ok(()) => *shared = wanted,
            Err(_) => {
                for dir in &leases {
                    if let Err(error) = self.give_shared(dir, shared.as_ref()) {
                        tracing::warn!(reason = error.reason(), "a lease has CPUs that it should not");
                    }
                }
            }
        }
        if let Some(cpus) = shared.as_ref()
            && let Err(error) = marks::set(node, marks::SHARED, &list(cpus))
        {
            tracing::debug!(%error, "the shared CPUs have to be told again after a restart");
        }
        told
    }

    /// Gives a lease these CPUs, or all of the node's. It may end meanwhile.
    fn give_shared(&self, dir: &Path, cpus: Option<&Cpus>) -> Result<(), CgroupError> {
        let given = match cpus {
            Some(cpus) => self.write_cpus(dir, cpus),
            None => self.all_cpus().and_then(|all| self.write_cpus(dir, &all)),
        };
        match given {
            Err(error) if error.is_missing() => Ok(()),
            given => given,
        }
    }

    fn write_cpus(&self, dir: &Path, cpus: &Cpus) -> Result<(), CgroupError> {
        if self.is_v2() { write(&dir.join(CPUS), &list(cpus)) } else { rewrite(dir, cpus) }
    }

    /// What the node's folder has to give. Never empty: v2 takes no empty list back while processes are in the group.
    fn all_cpus(&self) -> Result<Cpus, CgroupError> {
        Ok(parse(&self.all(CPUS, "cpuset.cpus.effective")?).unwrap_or_default())
    }

    fn all(&self, on_v1: &str, on_v2: &str) -> Result<String, CgroupError> {
        let Some(node) = self.cores_node() else { return Ok(String::new()) };
        Ok(read_optional(&node.join(if self.is_v2() { on_v2 } else { on_v1 }))?.unwrap_or_default())
    }

    /// Pins a live lease to other cores, or lets it go from them.
    pub(crate) fn change_cores<'a>(
        &'a self,
        lease: &LeaseId,
        limits: &Limits,
        journal: &mut Journal<'a>,
    ) -> Result<(), CgroupError> {
        let is_pinned = limits.cpu_mode == CpuMode::Pinned;
        let Ok(dir) = self.holder("cpuset", lease, None) else { return Ok(()) };
        let was_pinned = marks::get(&dir, marks::PINNED).is_some();
        if !dir.is_dir() || (!is_pinned && !was_pinned) {
            return Ok(());
        }
        let all_mems = self.all(MEMS, "cpuset.mems.effective")?;
        // On v2 an empty file means all; once it is not, all have to be named.
        let or = |held: String, all: String| if held.is_empty() { all } else { held };
        let held = |file| Ok::<_, CgroupError>(read_optional(&dir.join(file))?.unwrap_or_default());
        let cpus = parse(&held(CPUS)?).filter(|cpus| !cpus.is_empty()).map_or_else(|| self.all_cpus(), Ok)?;
        let (mems, group) = (or(held(MEMS)?, all_mems.clone()), dir.clone());
        journal.note(move || {
            self.mark(&group, was_pinned)?;
            write(&group.join(MEMS), &mems)?;
            self.write_cpus(&group, &cpus)
        });
        if is_pinned {
            return self.pin(lease, None, limits, Mode::Write).map(|_entry| ());
        }
        self.mark(&dir, false)?;
        write(&dir.join(MEMS), &all_mems)?;
        let shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        self.give_shared(&dir, shared.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> Facts {
        Facts { page_size: 4096, has_swap: false, mems: "0-1".into(), kept_above: None }
    }

    #[test]
    fn lists_are_written_as_the_kernel_writes_them() {
        assert_eq!(list(&Cpus::from([5, 0, 2, 1])), "0-2,5");
        assert_eq!((list(&Cpus::new()), list(&Cpus::from([7]))), (String::new(), "7".to_owned()));
        assert_eq!(parse("0-2,5\n").unwrap(), Cpus::from([0, 1, 2, 5]));
        for bad in ["a", "2-1", "1-", "0-4294967295", "-1"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn v1_always_names_memory_nodes_and_v2_only_those_asked_for() {
        let set = CpuSet { cpus: vec![1], mems: vec![] };
        assert_eq!(plan(&set, false, &facts()).before, [(MEMS, "0-1".to_owned())]);
        assert!(plan(&set, true, &facts()).before.is_empty());
        let set = CpuSet { cpus: vec![1], mems: vec![1] };
        assert_eq!(plan(&set, true, &facts()).before, [(MEMS, "1".to_owned())]);
        assert_eq!(plan(&set, true, &facts()).proof, [("cpuset.cpus.effective", "1".to_owned())]);
    }

    #[test]
    fn a_group_and_all_below_it_get_the_cpus() {
        let top = tempfile::tempdir().unwrap();
        for (dir, cpus) in [("", "0-1"), ("a", "0-1"), ("b", "")] {
            std::fs::create_dir_all(top.path().join(dir)).unwrap();
            std::fs::write(top.path().join(dir).join(CPUS), cpus).unwrap();
        }
        rewrite(top.path(), &Cpus::from([1])).unwrap();
        for dir in ["", "a", "b"] {
            assert_eq!(read(&top.path().join(dir).join(CPUS)).unwrap(), "1");
        }
    }

    proptest! {
        #[test]
        fn a_list_says_exactly_its_numbers(numbers in proptest::collection::btree_set(0u32..MAX_CPUS, 0..40)) {
            prop_assert_eq!(parse(&list(&numbers)), Some(numbers));
        }

        #[test]
        fn parsing_never_panics(text in "[0-9,-]{0,20}") { let _ = parse(&text); }
    }
}
