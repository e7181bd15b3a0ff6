//! The device filter of a lease on a machine with GPUs: it may open the nodes of its own and no others.
//!
//! ```text
//! GpuAccess ──policy──▶ what is granted ──▶ v1: denials in `devices.deny`
//!                                      └──▶ cgroup2: rules ──assemble──▶ a BPF program on the group
//! ```
//!
//! The filter acts when a node is opened or made: what a process holds open already, it keeps. v1's controller is used
//! where it is mounted, also on hybrid machines; else the program goes to the cgroup2 group, on hybrid machines the
//! shadow. A lease always gets a filter where there are GPUs, also one that has them all: nodes that configure the
//! machine stay closed.
//!
//! Never fails: what the kernel would not do is in the entry, with the reason.

mod bpf;
#[cfg(test)]
mod kernel_tests;
mod policy;
mod program;
mod rules;
mod v1;

pub(crate) use program::Programs;

use crate::GpuAccess;
use crate::kernel_fs::Folders;
use crate::setting::Mode;
use hypermesh_model::{EnforcementEntry, EnforcementState};
use policy::{Device, Policy};
use std::path::{Path, PathBuf};

/// Where the filter of a group goes.
pub(crate) enum Place {
    /// Its folder in the v1 `devices` hierarchy.
    V1(PathBuf),
    /// Its folder in cgroup2.
    Unified(PathBuf),
    /// Nowhere, and why.
    Nowhere(String),
}

/// Sets up the filter (or not), reads it back, and says what it found.
pub(crate) fn settle(
    system_root: &Path,
    place: &Place,
    access: &GpuAccess,
    programs: &Programs,
    folders: &dyn Folders,
    mode: Mode,
) -> EnforcementEntry {
    let policy = Policy::of(system_root, access);
    let requested = rules::describe(&policy.rules());
    let (file, found) = match place {
        Place::V1(dir) => (Some(dir.join(v1::FILE)), on_v1(system_root, dir, &policy, folders, mode)),
        Place::Unified(dir) => (Some(dir.clone()), on_unified(dir, &policy, programs, mode)),
        Place::Nowhere(why) => (None, Found { actual: None, reason: Some(why.clone()) }),
    };
    let mut reasons = policy.unresolved;
    reasons.extend(found.reason);
    EnforcementEntry {
        limit: "gpu".to_owned(),
        state: if reasons.is_empty() { EnforcementState::Enforced } else { EnforcementState::Unenforced },
        requested,
        actual: found.actual,
        file: file.map(|file| file.display().to_string()),
        reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
    }
}

/// Whether the node may load a device program; nothing is attached.
pub(crate) fn can_load() -> Result<(), String> {
    match bpf::load(&rules::assemble(&[])) {
        Ok(_unused) => Ok(()),
        Err(error) => Err(format!("{error}: {}", error.source)),
    }
}

/// What the kernel holds.
struct Found {
    actual: Option<String>,
    /// Why that is not what was asked.
    reason: Option<String>,
}

fn on_v1(system_root: &Path, dir: &Path, policy: &Policy, folders: &dyn Folders, mode: Mode) -> Found {
    let (mut listed, mut unlisted) = (Vec::new(), None);
    if policy.has_instances() {
        match policy::mig_minors(system_root) {
            Ok(minors) => listed = minors,
            Err(reason) => unlisted = Some(format!("other instances stay open: {reason}")),
        }
    }
    let granted: Vec<_> = policy.granted().collect();
    let difference = match v1::settle(folders, dir, &policy.denials(&listed), &granted, mode) {
        Ok(difference) => difference,
        Err(error) if v1::is_refused(&error) => {
            let reason = "only a node with CAP_SYS_ADMIN may set the v1 devices controller".to_owned();
            return Found { actual: None, reason: Some(reason) };
        }
        Err(error) => return Found { actual: None, reason: Some(error.reason()) },
    };
    let named = |devices: &[Device]| {
        devices.iter().map(|(major, minor)| format!("{major}:{minor}")).collect::<Vec<_>>().join(", ")
    };
    let parts = [
        unlisted,
        (!difference.open.is_empty()).then(|| format!("could still be opened: {}", named(&difference.open))),
        (!difference.closed.is_empty())
            .then(|| format!("a group above denies: {}", named(&difference.closed))),
    ];
    let reasons: Vec<_> = parts.into_iter().flatten().collect();
    let is_asked = reasons.is_empty();
    Found {
        actual: is_asked.then(|| rules::describe(&policy.rules())),
        reason: (!is_asked).then(|| reasons.join("; ")),
    }
}

fn on_unified(dir: &Path, policy: &Policy, programs: &Programs, mode: Mode) -> Found {
    match programs.settle(dir, &policy.rules(), mode) {
        Ok(held) => {
            let reason = match (&held.programs, held.is_asked) {
                (_, true) => None,
                (None, false) => Some("the group has no device program".to_owned()),
                (Some(_), false) => {
                    Some("the group's device program is not the one that was asked for".to_owned())
                }
            };
            Found { actual: held.programs, reason }
        }
        Err(error) => Found { actual: None, reason: Some(error.reason()) },
    }
}
