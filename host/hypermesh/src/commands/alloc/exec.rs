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
pub(crate) fn run(lease: &Enforcement, command: &[OsString]) -> anyhow::Result<()> {
    if lease.join.is_empty() {
        bail!(
            "allocation {} has no cgroup: its limits are not enforced here, or it has ended",
            lease.allocation_id
        );
    }
    let leaves = Leaves::make(&lease.join)?;
    let end = job::run(leaves.folders(), command)?;
    leaves.remove();
    let code = end.exit_status().unwrap_or_else(|| SIGNALLED + end.terminating_signal().unwrap_or(0));
    match u8::try_from(code) {
        Ok(0) => Ok(()),
        Ok(code) => Err(Failure::Quiet(code).into()),
        Err(_) => Err(Failure::EXPLAINED.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_without_cgroups_is_refused_with_the_reason() {
        let lease = Enforcement {
            allocation_id: "a1".into(),
            cgroup_version: "v1".into(),
            cgroups: vec![],
            join: vec![],
            entries: vec![],
            usage: None,
            read_at: jiff::Timestamp::UNIX_EPOCH,
        };
        let error = run(&lease, &["true".into()]).unwrap_err();
        assert!(error.to_string().contains("a1 has no cgroup"), "{error}");
    }
}
