//! The library, the driver, and how devices are found.

use super::{Handle, SUCCESS, handle, of_device, put, put_text, target};
use crate::scenario::{Code, Scenario};
use crate::world::{self, Target, device, enter};
use std::ffi::{c_char, c_int, c_uint};

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn nvmlInit_v2() -> c_uint {
    match enter("nvmlInit_v2") {
        Ok(_) => {
            world::initialise();
            SUCCESS
        }
        Err(code) => code as c_uint,
    }
}

/// As in `nvml.h`. Needs no scenario: a test may have removed it by then.
#[unsafe(no_mangle)]
pub(crate) extern "C" fn nvmlShutdown() -> c_uint {
    world::shut_down();
    SUCCESS
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlSystemGetDriverVersion(text: *mut c_char, length: c_uint) -> c_uint {
    let answer = enter("nvmlSystemGetDriverVersion").and_then(|world| world.driver.ok_or(Code::NotSupported));
    // SAFETY: the caller's buffer is null or has `length` bytes, as nvml.h demands.
    unsafe { put_text(text, length, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> c_uint {
    let answer =
        enter("nvmlSystemGetCudaDriverVersion_v2").and_then(|world| world.cuda.ok_or(Code::NotSupported));
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(version, answer) }
}

/// Positions of the devices that the driver lists, in its order.
fn listed(world: &Scenario) -> impl Iterator<Item = usize> + '_ {
    world.gpus.iter().enumerate().filter_map(|(position, gpu)| (!gpu.absent).then_some(position))
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> c_uint {
    let answer = enter("nvmlDeviceGetCount_v2")
        .and_then(|world| c_uint::try_from(listed(&world).count()).map_err(|_| Code::Unknown));
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(count, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, out: *mut Handle) -> c_uint {
    let function = "nvmlDeviceGetHandleByIndex_v2";
    let answer = enter(function).and_then(|world| {
        let gpu = listed(&world).nth(index as usize).ok_or(Code::InvalidArgument)?;
        let target = Target { gpu, slot: None };
        device(&world, function, target).map(|_| handle(target))
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    parent: Handle,
    index: c_uint,
    out: *mut Handle,
) -> c_uint {
    let slot = index as usize;
    let answer = of_device("nvmlDeviceGetMigDeviceHandleByIndex", parent, |seen| {
        seen.whole(seen.gpu.mig)?;
        seen.gpu.instances.get(slot).and_then(Option::as_ref).ok_or(Code::NotFound).map(|_| ())
    })
    .and_then(|()| Ok(handle(Target { slot: Some(slot), ..target(parent)? })));
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(out, answer) }
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetTopologyCommonAncestor(
    first: Handle,
    second: Handle,
    level: *mut c_uint,
) -> c_uint {
    let function = "nvmlDeviceGetTopologyCommonAncestor";
    let answer = enter(function).and_then(|world| {
        let (a, b) = (target(first)?, target(second)?);
        device(&world, function, a)?;
        device(&world, function, b)?;
        let pair =
            world.topology.iter().find(|pair| pair.gpus == [a.gpu, b.gpu] || pair.gpus == [b.gpu, a.gpu]);
        pair.map(|pair| pair.level).ok_or(Code::NotSupported)
    });
    // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
    unsafe { put(level, answer) }
}
