//! Becoming nobody: another user without groups, without capabilities, and without a way to get any back
//! (capabilities(7), `Documentation/userspace-api/no_new_privs.rst`).
//!
//! Without root there is no other user to become: the worker stays the node's user, alone in a user namespace where the
//! kernel allows one. What it may do there, it gives up as well.

use super::JailError;
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, geteuid, set_dumpable_behavior};
use rustix::thread::{
    CapabilitiesSecureBits, CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_capabilities_secure_bits, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};

/// Whether a worker may become another user. To be asked before there is a user namespace, in which everybody is root.
pub(super) fn can_become() -> Result<(), String> {
    if !geteuid().is_root() {
        Err("the node does not run as root: guests run as its user".to_owned())
    } else if has(CapabilitySet::SETUID | CapabilitySet::SETGID) {
        Ok(())
    } else {
        Err("the node has no CAP_SETUID and CAP_SETGID".to_owned())
    }
}

fn has(wanted: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(wanted))
}

/// Takes away every way to get capabilities back; what the process has, it keeps. For the zygote, whose workers inherit it:
/// some fifty calls that none of them has to make.
pub(super) fn forswear() -> Result<(), JailError> {
    bound().map_err(JailError::because("bound its capabilities"))?;
    set_no_new_privs(true).map_err(JailError::because("set no_new_privs"))
}

/// Gives up who this process is; `may_be_watched` keeps it open to the node's eyes where the node is the same user. After
/// [`forswear`].
pub(super) fn become_nobody(uid: Option<u32>, may_be_watched: bool) -> Result<(), JailError> {
    if let Some(uid) = uid {
        let (user, group) = (Uid::from_raw(uid), Gid::from_raw(uid));
        set_thread_groups(&[]).map_err(JailError::because("leave its groups"))?;
        set_thread_res_gid(group, group, group).map_err(JailError::because("change its group"))?;
        set_thread_res_uid(user, user, user).map_err(JailError::because("change its user"))?;
    }
    let none = CapabilitySet::empty();
    let nothing = CapabilitySets { effective: none, permitted: none, inheritable: none };
    set_capabilities(None, nothing).map_err(JailError::because("give up its capabilities"))?;
    let left = capabilities(None).map_err(JailError::because("read its capabilities"))?;
    if left != nothing {
        return Err(JailError::because("give up all its capabilities")(Errno::PERM));
    }
    // Changing users may have changed it either way.
    let dumps = if may_be_watched { DumpableBehavior::Dumpable } else { DumpableBehavior::NotDumpable };
    set_dumpable_behavior(dumps).map_err(JailError::because("set who may look into it"))
}

/// Empties the bounding and the ambient set and locks the bits by which user 0 would get capabilities. EPERM without
/// CAP_SETPCAP is fine: all three matter for an exec only, and no_new_privs keeps one from giving anything.
fn bound() -> Result<(), Errno> {
    let fine = |result| match result {
        Err(Errno::PERM) => Ok(()),
        result => result,
    };
    for bit in 0..u64::BITS {
        // One at a time, also those that are newer than rustix.
        match remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit)) {
            // This kernel has no more.
            Err(Errno::INVAL) => break,
            result => fine(result)?,
        }
    }
    fine(clear_ambient_capability_set())?;
    let locked = CapabilitiesSecureBits::NO_ROOT
        | CapabilitiesSecureBits::NO_ROOT_LOCKED
        | CapabilitiesSecureBits::KEEP_CAPS_LOCKED
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE
        | CapabilitiesSecureBits::NO_CAP_AMBIENT_RAISE_LOCKED;
    fine(set_capabilities_secure_bits(locked))
}
