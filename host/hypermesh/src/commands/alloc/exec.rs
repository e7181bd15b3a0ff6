//! `alloc exec`: runs a native command inside a lease, on the machine whose kernel enforces it.
//!
//! The node isn't asked to start anything: the caller's own process joins, with the caller's own rights. The receipt says
//! which files to join; where one asks for a leaf, `cli-<pid>` is made ([`leaves`]). This program is started again as
//! `__join`, which writes itself into the files and then becomes the command (see [`crate::hidden`]); [`job`] gives it
//! the terminal, passes signals on and waits. When it ends, the leaves are removed. What the command leaves running stays
//! in the lease, and the lease's end ends it.

mod job;
mod leaves;
mod terminal;

use crate::failure::Failure;
use anyhow::bail;
use hypermesh_wire::allocations::Enforcement;
use leaves::Leaves;
use std::ffi::OsString;

/// What a shell adds to a signal's number in an exit code.
const SIGNALLED: i32 = 128;

/// Runs `command` in the lease's cgroups and exits as it does.
///
/// # Errors
/// When the lease has no cgroup here, when its cgroups can't be written, or when the command can't be started.
pub(crate) fn run(lease: &Enforcement, gpus: &[String], command: &[OsString]) -> anyhow::Result<()> {
    if lease.join.is_empty() {
        bail!(
            "allocation {} has no cgroup: its limits are not enforced here, or it has ended",
            lease.allocation_id
        );
    }
    let leaves = Leaves::make(&lease.join)?;
    let end = job::run(leaves.folders(), &environment(gpus), command)?;
    leaves.remove();
    let code = end.exit_status().unwrap_or_else(|| SIGNALLED + end.terminating_signal().unwrap_or(0));
    match u8::try_from(code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Quiet(code).into()),
        Err(_) => Err(Failure::EXPLAINED.into()),
    }
}

/// What tells CUDA programs which GPUs they have, by UUID: an index would name another device after a change of the
/// machine. A convenience; what keeps them from the others is the device filter.
fn environment(gpus: &[String]) -> Vec<(&'static str, String)> {
    if gpus.is_empty() {
        return Vec::new();
    }
    let list = gpus.join(",");
    vec![
        ("CUDA_VISIBLE_DEVICES", list.clone()),
        ("NVIDIA_VISIBLE_DEVICES", list),
        ("CUDA_DEVICE_ORDER", "PCI_BUS_ID".to_owned()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_named_by_uuid_where_there_are_some() {
        assert!(environment(&[]).is_empty());
        let named = environment(&["GPU-1".into(), "MIG-2".into()]);
        assert_eq!(named[0], ("CUDA_VISIBLE_DEVICES", "GPU-1,MIG-2".to_owned()));
    }

    #[test]
    fn a_lease_without_cgroups_is_refused_with_the_reason() {
        let lease = Enforcement {
            allocation_id: "a1".into(),
            cgroup_version: "v1".into(),
            cgroups: vec![],
            join: vec![],
            entries: vec![],
            jail: vec![],
            usage: None,
            read_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let error = run(&lease, &[], &["true".into()]).unwrap_err();
        assert!(error.to_string().contains("a1 has no cgroup"), "{error}");
    }
}
