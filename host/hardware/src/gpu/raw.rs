//! Calls that `nvml-wrapper` doesn't wrap: those of old drivers, and the ids of MIG instances. The only unsafe code of
//! this crate. The types of the C structs are inferred from the wrapper's own function pointers.
//!
//! Each function pointer was looked up in the library that the device's [`Nvml`](nvml_wrapper::Nvml) keeps loaded, and
//! the device's handle comes from that library.
#![allow(unsafe_code)]

use super::answers::is_too_old;
use nvml_wrapper::Device;
use nvml_wrapper::enums::device::UsedGpuMemory;
use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::struct_wrappers::device::{MemoryInfo, ProcessInfo};
use std::mem::MaybeUninit;

/// Most processes that are read of a device and kind.
const MAX_PROCESSES: usize = 4096;

/// How often a list is asked for again because it grew in between.
const ATTEMPTS: usize = 3;

/// Device memory: the call of today, else that of drivers before R510, where `used` has the reserved part in it and
/// `reserved` is `None`.
pub(super) fn memory(device: &Device<'_>) -> Result<(MemoryInfo, Option<u64>), NvmlError> {
    match device.memory_info() {
        Ok(memory) => Ok((memory.clone(), Some(memory.reserved))),
        Err(error) if is_too_old(&error) => memory_v1(device).map(|memory| (memory, None)),
        Err(error) => Err(error),
    }
}

fn memory_v1(device: &Device<'_>) -> Result<MemoryInfo, NvmlError> {
    let call = nvml_sym(device.nvml().lib().nvmlDeviceGetMemoryInfo.as_ref())?;
    let mut memory = MaybeUninit::zeroed();
    // SAFETY: see the head; the struct is the one that the function fills.
    nvml_try(unsafe { call(device.handle(), memory.as_mut_ptr()) })?;
    // SAFETY: a struct of three integers, zeroed and then filled.
    let memory = unsafe { memory.assume_init() };
    Ok(MemoryInfo { free: memory.free, reserved: 0, total: memory.total, used: memory.used, version: 1 })
}

/// Processes with a compute context: the newest form of the call that the driver has.
pub(super) fn compute_processes(device: &Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError> {
    newest([&|| device.running_compute_processes(), &|| device.running_compute_processes_v2(), &|| {
        compute_processes_v1(device)
    }])
}

/// Processes with a graphics context, likewise.
pub(super) fn graphics_processes(device: &Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError> {
    newest([&|| device.running_graphics_processes(), &|| device.running_graphics_processes_v2(), &|| {
        graphics_processes_v1(device)
    }])
}

/// A way to ask for processes.
type Ask<'a> = &'a dyn Fn() -> Result<Vec<ProcessInfo>, NvmlError>;

/// The answer of the first that the driver isn't too old for.
fn newest(forms: [Ask<'_>; 3]) -> Result<Vec<ProcessInfo>, NvmlError> {
    let mut answer = Err(NvmlError::NotSupported);
    for ask in forms {
        answer = ask();
        // The wrapper leaves room for five more processes than it counted; a burst may need more.
        for _ in 1..ATTEMPTS {
            if !matches!(answer, Err(NvmlError::InsufficientSize(_))) {
                break;
            }
            answer = ask();
        }
        if !answer.as_ref().is_err_and(is_too_old) {
            break;
        }
    }
    answer.map(|mut processes| {
        processes.truncate(MAX_PROCESSES);
        processes
    })
}

/// The call of drivers that knew no MIG, with room for all; a list that is longer is an error.
macro_rules! processes_v1 {
    ($name:ident, $call:ident) => {
        fn $name(device: &Device<'_>) -> Result<Vec<ProcessInfo>, NvmlError> {
            let call = nvml_sym(device.nvml().lib().$call.as_ref())?;
            let mut count = 0;
            // SAFETY: see the head; with a count of zero nothing is written through the list.
            let counted = unsafe { call(device.handle(), &mut count, std::ptr::null_mut()) };
            match nvml_try(counted) {
                Ok(()) => return Ok(Vec::new()),
                Err(NvmlError::InsufficientSize(_)) => {}
                Err(error) => return Err(error),
            }
            let room = (count as usize).saturating_add(5).min(MAX_PROCESSES);
            let mut list = Vec::with_capacity(room);
            let mut filled = u32::try_from(room).unwrap_or(0);
            // SAFETY: see the head; the list has room for as many as `filled` says.
            nvml_try(unsafe { call(device.handle(), &mut filled, list.as_mut_ptr()) })?;
            // SAFETY: the function has written `filled` structs, and never more than there was room for.
            unsafe { list.set_len(room.min(filled as usize)) };
            let process = list.into_iter().map(|process| ProcessInfo {
                pid: process.pid,
                used_gpu_memory: UsedGpuMemory::from(process.usedGpuMemory),
                gpu_instance_id: None,
                compute_instance_id: None,
            });
            Ok(process.collect())
        }
    };
}

processes_v1!(compute_processes_v1, nvmlDeviceGetComputeRunningProcesses);
processes_v1!(graphics_processes_v1, nvmlDeviceGetGraphicsRunningProcesses);

/// The GPU instance of a MIG device.
pub(super) fn gpu_instance(instance: &Device<'_>) -> Result<u32, NvmlError> {
    let call = nvml_sym(instance.nvml().lib().nvmlDeviceGetGpuInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: see the head; the function writes one integer.
    nvml_try(unsafe { call(instance.handle(), &mut id) })?;
    Ok(id)
}

/// The compute instance of a MIG device, within its GPU instance.
pub(super) fn compute_instance(instance: &Device<'_>) -> Result<u32, NvmlError> {
    let call = nvml_sym(instance.nvml().lib().nvmlDeviceGetComputeInstanceId.as_ref())?;
    let mut id = 0;
    // SAFETY: see the head; the function writes one integer.
    nvml_try(unsafe { call(instance.handle(), &mut id) })?;
    Ok(id)
}
