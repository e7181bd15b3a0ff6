//! Resource limits of a worker (getrlimit(2)): what its group does not limit.
//!
//! Not RLIMIT_AS, since WebAssembly memories reserve far more than they use, and not RLIMIT_NPROC, which counts a user's
//! processes everywhere: the group limits both.

use super::JailError;
use crate::zygote::Order;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What no worker needs: core files, which would hold a guest's memory, and memory that can't be taken back.
pub(crate) fn limit_parked() -> Result<(), rustix::io::Errno> {
    set(Resource::Core, 0)?;
    set(Resource::Memlock, 0)
}

/// What the order says.
pub(super) fn limit(order: &Order) -> Result<(), JailError> {
    set(Resource::Nofile, order.open_files).map_err(JailError::because("limit its descriptors"))?;
    if let Some(bytes) = order.file_bytes {
        set(Resource::Fsize, bytes).map_err(JailError::because("limit its files"))?;
    }
    // Soft and hard are one: at the hard limit the kernel kills, while SIGXCPU at the soft one does nothing to the first
    // process of a PID namespace.
    if let Some(seconds) = order.cpu_seconds {
        set(Resource::Cpu, seconds).map_err(JailError::because("limit its CPU time"))?;
    }
    Ok(())
}

/// Sets the soft and the hard limit. One that is already lower stays: it can't be raised and need not be.
fn set(resource: Resource, value: u64) -> Result<(), rustix::io::Errno> {
    let held = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let value = Some(value.min(held));
    setrlimit(resource, Rlimit { current: value, maximum: value })
}
