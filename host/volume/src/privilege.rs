//! What processes may do that this crate depends on.
//!
//! Capabilities are asked of the kernel, not concluded from the user id: root in a container often has few of them.

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, remove_capability_from_bounding_set, set_capabilities,
};
use std::io;

/// Whether this process may mount, bind loop devices and set quotas (`CAP_SYS_ADMIN`, capabilities(7)).
pub(crate) fn is_administrator() -> bool {
    capabilities(None).is_ok_and(|held| held.effective.contains(CapabilitySet::SYS_ADMIN))
}

/// Takes `CAP_SYS_RESOURCE` from the calling thread and from all that it will start, for good.
///
/// With that capability a process passes the limits of an ext4 project quota (`ignore_hardlimit` in the kernel's
/// `fs/quota/dquot.c`) and may use blocks that a filesystem holds in reserve, so a worker that runs as root calls this
/// before it touches a volume. Does nothing where the capability isn't held. XFS makes no such exception.
///
/// # Errors
/// As capset(2); the thread must then not be let near a volume.
pub fn give_up_exemption() -> io::Result<()> {
    let held = capabilities(None)?;
    let without = |set: CapabilitySet| set.difference(CapabilitySet::SYS_RESOURCE);
    // Taking something from the bounding set needs CAP_SETPCAP; where that is missing, nothing can be gained by exec either
    // unless it is a file with capabilities, which `no_new_privs` shuts out.
    if held.effective.contains(CapabilitySet::SETPCAP) {
        remove_capability_from_bounding_set(CapabilitySet::SYS_RESOURCE)?;
    }
    let next = CapabilitySets {
        effective: without(held.effective),
        permitted: without(held.permitted),
        inheritable: without(held.inheritable),
    };
    set_capabilities(None, next).map_err(io::Error::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_gave_up_the_exemption_has_it_no_more() {
        // Capabilities belong to a thread, so the others of this test program keep theirs.
        let outcome = std::thread::spawn(|| {
            give_up_exemption()?;
            Ok::<_, io::Error>(capabilities(None)?)
        });
        let held = outcome.join().unwrap().unwrap();
        assert!(!held.effective.union(held.permitted).contains(CapabilitySet::SYS_RESOURCE));
    }
}
