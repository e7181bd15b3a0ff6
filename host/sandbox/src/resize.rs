//! Changing the limits of a live lease: refused below what is in use, in the order that the kernel needs, and all or
//! nothing.
//!
//! - Memory shrinks in steps. v2 kills when `memory.max` goes below what is used, so `memory.high` and `memory.reclaim`
//!   come first and the result is looked at (`Documentation/admin-guide/cgroup-v2.rst`, "memory.max"). v1 says EBUSY.
//! - v1 keeps memory <= memory + swap at every moment: the sum is raised first and lowered last.
//! - A burst must fit its quota: it is taken to nothing before the quota changes.
//! - On v1 a lease that gets rates of a device only now joins that hierarchy, processes included.
//!
//! The same steps put right what somebody else changed: a `create` of a lease that exists comes here too.

use crate::attach::move_process;
use crate::journal::Journal;
use crate::kernel_backend::KernelBackend;
use crate::kernel_fs::{children, make_group, number, processes, read_optional, write};
use crate::reserve::Reserved;
use crate::setting::{Mode, Part, Setting};
use crate::tree::Hierarchy;
use crate::{CgroupBackend, CgroupError, CgroupVersion, Limits, io, v1, v2};
use hypermesh_model::{EnforcementReceipt, LeaseId};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::path::Path;

/// Memory may shrink to the working set and a twentieth: less, and the lease would thrash or be killed at once.
const ROOM: (u64, u64) = (105, 100);
/// How often the processes of a lease are looked for again, which may fork while they are moved.
const MOVE_ROUNDS: u32 = 20;

/// See [`CgroupBackend::resize`].
pub(crate) fn resize(
    backend: &KernelBackend,
    lease: &LeaseId,
    limits: &Limits,
    force: bool,
    record: &str,
) -> Result<EnforcementReceipt, CgroupError> {
    backend.check_exists(lease, None)?;
    if !force {
        check_room(backend, lease, limits)?;
    }
    rewrite(backend, lease, limits, force)?;
    backend.tree.save_record(lease, record);
    backend.enforce(lease, None, limits, Mode::Check)
}

/// Makes the kernel hold exactly these limits.
///
/// # Errors
/// When the kernel refuses one; then it holds what it held before.
pub(crate) fn rewrite(
    backend: &KernelBackend,
    lease: &LeaseId,
    limits: &Limits,
    force: bool,
) -> Result<(), CgroupError> {
    let mut journal = Journal::default();
    let changed = apply(backend, lease, limits, force, &mut journal);
    if changed.is_err() {
        journal.undo();
    }
    changed
}

/// A limit that shrinks must leave room for what is in use.
fn check_room(backend: &KernelBackend, lease: &LeaseId, limits: &Limits) -> Result<(), CgroupError> {
    let usage = backend.usage(lease, None)?;
    let used = usage.memory_working_set.or(usage.memory_current);
    if let (Some(wanted), Some(used)) = (limits.memory, used)
        && wanted.0 < held(backend, lease, "memory")?
        && wanted.0 < used.0.saturating_mul(ROOM.0) / ROOM.1
    {
        return Err(CgroupError::InUse { limit: "memory", wanted: wanted.0, used: used.0 });
    }
    if let (Some(wanted), Some(used)) = (limits.pids.map(u64::from), usage.pids_current)
        && wanted < held(backend, lease, "pids")?
        && wanted < used
    {
        return Err(CgroupError::InUse { limit: "pids", wanted, used });
    }
    Ok(())
}

/// The limit that the kernel holds now, `u64::MAX` for none.
fn held(backend: &KernelBackend, lease: &LeaseId, controller: &'static str) -> Result<u64, CgroupError> {
    let Ok(dir) = backend.holder(controller, lease, None) else { return Ok(u64::MAX) };
    let file = match (controller, backend.version) {
        ("memory", CgroupVersion::V2) => "memory.max",
        ("memory", _) => "memory.limit_in_bytes",
        (_, _) => "pids.max",
    };
    Ok(read_optional(&dir.join(file))?.and_then(|text| text.parse().ok()).unwrap_or(u64::MAX))
}

fn apply<'a>(
    backend: &'a KernelBackend,
    lease: &'a LeaseId,
    limits: &Limits,
    force: bool,
    journal: &mut Journal<'a>,
) -> Result<(), CgroupError> {
    let memory_now = held(backend, lease, "memory")?;
    let grows = limits.memory.is_none_or(|memory| memory.0 >= memory_now);
    if v1::wanted(limits).contains(&"blkio")
        && let Some(hierarchy) = backend.tree.of("blkio")
    {
        enlist(backend, hierarchy, lease)?;
    }
    let reserved_before = reserved(backend, lease)?;
    let steps: Vec<Setting> = match backend.version {
        CgroupVersion::V2 => v2::changes(limits, &backend.facts),
        CgroupVersion::V1 | CgroupVersion::Hybrid | CgroupVersion::None => {
            v1::changes(limits, &backend.facts, grows)
        }
    };
    for setting in &steps {
        let Ok(dir) = backend.holder(setting.controller, lease, None) else { continue };
        match (setting.file, grows) {
            ("memory.max", false) => shrink(journal, &dir, setting, force)?,
            ("memory.limit_in_bytes" | "memory.memsw.limit_in_bytes", _) => {
                set_or_reclaim(journal, &dir, setting, force)?;
            }
            (_, _) => journal.set(&dir, setting)?,
        }
    }
    drop_other_rules(backend, lease, &steps, journal)?;
    backend.change_cores(lease, limits, journal)?;
    let reserved_now = reserved(backend, lease)?;
    if let Some(all) = &backend.reserved {
        journal.note(move || all.change(reserved_now, reserved_before));
        all.change(reserved_before, reserved_now)?;
    }
    if let Some(dir) = backend.tree.dir_of("memory", lease, None)
        && limits.memory.is_some()
    {
        backend.watch_memory(lease, &dir)?;
    }
    // Last: what v1 denies a device once it can't be made to allow again.
    if let Some(access) = &limits.gpus {
        // What it could not do shows in the receipt, which is read afterwards.
        let _ = backend.filter_gpus(lease, None, access, Mode::Write);
    }
    Ok(())
}

fn reserved(backend: &KernelBackend, lease: &LeaseId) -> Result<u64, CgroupError> {
    match (&backend.reserved, backend.tree.unified_dir(lease, None)) {
        (Some(_), Some(dir)) => Reserved::of(&dir),
        (_, _) => Ok(0),
    }
}

/// v2: takes memory back before the limit goes below it.
fn shrink(journal: &mut Journal<'_>, dir: &Path, setting: &Setting, force: bool) -> Result<(), CgroupError> {
    let (high, wanted) = (dir.join("memory.high"), setting.expected.parse().unwrap_or(u64::MAX));
    let before = read_optional(&high)?;
    journal.write(dir, "memory.high", &Part::Whole, (&setting.value, &setting.expected))?;
    let used = || Ok::<_, CgroupError>(number(&dir.join("memory.current"))?.unwrap_or(0));
    let surplus = used()?.saturating_sub(wanted);
    if surplus > 0
        && let Err(error) = write(&dir.join("memory.reclaim"), &surplus.to_string())
    {
        // EAGAIN: not all of it could be; the file is there since Linux 5.19.
        tracing::debug!(reason = error.reason(), "reclaiming before a limit shrinks");
    }
    let used = used()?;
    if used > wanted && !force {
        return Err(CgroupError::InUse { limit: "memory", wanted, used });
    }
    journal.set(dir, setting)?;
    before.map_or(Ok(()), |before| write(&high, &before))
}

/// v1: EBUSY means that the kernel could not reclaim enough.
fn set_or_reclaim(
    journal: &mut Journal<'_>,
    dir: &Path,
    setting: &Setting,
    force: bool,
) -> Result<(), CgroupError> {
    let busy = |error: &CgroupError| matches!(error, CgroupError::Write { source, .. } if source.raw_os_error() == Some(Errno::BUSY.raw_os_error()));
    let mut result = journal.set(dir, setting);
    if force && result.as_ref().is_err_and(busy) {
        if let Err(error) = write(&dir.join("memory.force_empty"), "0") {
            tracing::debug!(reason = error.reason(), "reclaiming before a limit shrinks");
        }
        result = journal.set(dir, setting);
    }
    match result {
        Err(error) if busy(&error) => Err(CgroupError::InUse {
            limit: "memory",
            wanted: setting.expected.parse().unwrap_or(u64::MAX),
            used: number(&dir.join("memory.usage_in_bytes"))?.unwrap_or(0),
        }),
        other => other,
    }
}

/// Takes away the I/O rules that are not asked for.
fn drop_other_rules(
    backend: &KernelBackend,
    lease: &LeaseId,
    steps: &[Setting],
    journal: &mut Journal<'_>,
) -> Result<(), CgroupError> {
    let (controller, files): (_, &[&str]) = match backend.version {
        CgroupVersion::V2 => ("io", &["io.max"]),
        CgroupVersion::V1 | CgroupVersion::Hybrid | CgroupVersion::None => ("blkio", &io::V1_FILES),
    };
    let Ok(dir) = backend.holder(controller, lease, None) else { return Ok(()) };
    for file in files {
        let text = read_optional(&dir.join(file))?.unwrap_or_default();
        for (part, order) in io::without_rules(&text) {
            if !steps.iter().any(|step| step.file == *file && step.part == part) {
                journal.write(&dir, file, &part, (&order, &order))?;
            }
        }
    }
    Ok(())
}

/// v1: a lease that gets rates takes its processes into the very group that has them, from leaves if they were counted
/// there.
fn enlist(backend: &KernelBackend, hierarchy: &Hierarchy, lease: &LeaseId) -> Result<(), CgroupError> {
    let folders = backend.tree.folders.as_ref();
    let own = hierarchy.dir(lease, None);
    make_group(folders, &own)?;
    gather(&own, || backend.tree.processes(lease, None))?;
    for leaf in children(&own)? {
        if let Err(error) = folders.remove(&leaf) {
            // What still runs there shows in the receipt.
            tracing::debug!(group = %leaf.display(), %error, "not removed");
        }
    }
    Ok(())
}

/// Moves processes into a group until a look finds all of them there.
fn gather(target: &Path, find: impl Fn() -> Result<BTreeSet<u32>, CgroupError>) -> Result<(), CgroupError> {
    for _round in 0..MOVE_ROUNDS {
        let there = BTreeSet::from_iter(processes(target)?);
        let missing: Vec<u32> = find()?.difference(&there).copied().collect();
        if missing.is_empty() {
            return Ok(());
        }
        for pid in missing {
            match move_process(target, pid) {
                Err(CgroupError::NoProcess { .. }) => {}
                moved => moved?,
            }
        }
    }
    tracing::warn!(group = %target.display(), "processes fork faster than they can be moved");
    Ok(())
}
