//! Answers of variable length: processes, in the three forms that drivers had, and sets of CPUs and NUMA nodes.

use super::{Handle, SUCCESS, of_device};
use crate::scenario::{Code, Process};
use crate::world::Seen;
use std::ffi::{c_uint, c_ulong, c_ulonglong};

/// `NVML_VALUE_NOT_AVAILABLE`.
const NOT_AVAILABLE: c_ulonglong = c_ulonglong::MAX;
/// "In no instance".
const NO_INSTANCE: c_uint = c_uint::MAX;

/// `nvmlProcessInfo_v1_t`: drivers before MIG.
#[repr(C)]
pub(crate) struct ProcessV1 {
    pid: c_uint,
    memory: c_ulonglong,
}

/// `nvmlProcessInfo_v2_t`, which the functions `_v2` and `_v3` share.
#[repr(C)]
pub(crate) struct ProcessV2 {
    pid: c_uint,
    memory: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

impl From<&Process> for ProcessV1 {
    fn from(process: &Process) -> Self {
        Self { pid: process.pid, memory: process.memory.unwrap_or(NOT_AVAILABLE) }
    }
}

impl From<&Process> for ProcessV2 {
    fn from(process: &Process) -> Self {
        Self {
            pid: process.pid,
            memory: process.memory.unwrap_or(NOT_AVAILABLE),
            gpu_instance: process.gpu_instance.unwrap_or(NO_INSTANCE),
            compute_instance: process.compute_instance.unwrap_or(NO_INSTANCE),
        }
    }
}

/// The processes of a device, or of the instance that the handle is.
fn processes<'a, T: From<&'a Process>>(
    seen: &Seen<'a>,
    all: Option<&'a Vec<Process>>,
) -> Result<Vec<T>, Code> {
    let here = |process: &&Process| {
        seen.instance.is_none_or(|instance| {
            (process.gpu_instance, process.compute_instance)
                == (instance.gpu_instance, instance.compute_instance)
        })
    };
    Ok(all.ok_or(Code::NotSupported)?.iter().filter(here).map(T::from).collect())
}

/// Writes a list, or how long it is when there is no room for it.
///
/// # Safety
/// `count` is null or valid; `out` is null or valid for writing `*count` elements.
unsafe fn put_list<T>(count: *mut c_uint, out: *mut T, answer: Result<Vec<T>, Code>) -> c_uint {
    // SAFETY: the contract of this function.
    let (list, room) = match (answer, unsafe { count.as_mut() }) {
        (Ok(list), Some(room)) => (list, room),
        (Ok(_), None) => return Code::InvalidArgument as c_uint,
        (Err(code), _) => return code as c_uint,
    };
    let Ok(length) = c_uint::try_from(list.len()) else { return Code::Unknown as c_uint };
    let fits = length <= *room && (length == 0 || !out.is_null());
    *room = length;
    if !fits {
        return Code::InsufficientSize as c_uint;
    }
    for (at, value) in list.into_iter().enumerate() {
        // SAFETY: `at` is below the caller's `*count`, for which `out` is valid.
        unsafe { out.add(at).write(value) };
    }
    SUCCESS
}

/// Functions `(device, *count, *processes)`.
macro_rules! process_lists {
    ($($name:ident -> $type:ty = $field:ident;)*) => { $(
        /// As in `nvml.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(device: Handle, count: *mut c_uint, out: *mut $type) -> c_uint {
            let answer =
                of_device(stringify!($name), device, |seen| processes(seen, seen.gpu.$field.as_ref()));
            // SAFETY: the caller's pointers are null or valid for `*count` processes, as nvml.h demands.
            unsafe { put_list(count, out, answer) }
        }
    )* };
}

process_lists! {
    nvmlDeviceGetComputeRunningProcesses -> ProcessV1 = compute_processes;
    nvmlDeviceGetComputeRunningProcesses_v2 -> ProcessV2 = compute_processes;
    nvmlDeviceGetComputeRunningProcesses_v3 -> ProcessV2 = compute_processes;
    nvmlDeviceGetGraphicsRunningProcesses -> ProcessV1 = graphics_processes;
    nvmlDeviceGetGraphicsRunningProcesses_v2 -> ProcessV2 = graphics_processes;
    nvmlDeviceGetGraphicsRunningProcesses_v3 -> ProcessV2 = graphics_processes;
}

/// Writes a set as a bit mask.
///
/// # Safety
/// `out` is null or valid for writing `words` words.
unsafe fn put_set(words: c_uint, out: *mut c_ulong, answer: Result<Vec<u32>, Code>) -> c_uint {
    let set = match answer {
        Ok(set) if !out.is_null() && words > 0 => set,
        Ok(_) => return Code::InvalidArgument as c_uint,
        Err(code) => return code as c_uint,
    };
    for word in 0..words {
        let in_word = set.iter().filter(|number| *number / c_ulong::BITS == word);
        let mask = in_word.fold(0, |mask: c_ulong, number| mask | (1 << (number % c_ulong::BITS)));
        // SAFETY: `word` is below `words`, for which `out` is valid.
        unsafe { out.add(word as usize).write(mask) };
    }
    SUCCESS
}

/// As in `nvml.h`.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetCpuAffinity(
    device: Handle,
    words: c_uint,
    out: *mut c_ulong,
) -> c_uint {
    let answer = of_device("nvmlDeviceGetCpuAffinity", device, |seen| seen.whole(seen.gpu.cpus.clone()));
    // SAFETY: the caller's pointer is null or valid for `words` words, as nvml.h demands.
    unsafe { put_set(words, out, answer) }
}

/// As in `nvml.h`, whatever the scope.
#[unsafe(no_mangle)]
pub(crate) unsafe extern "C" fn nvmlDeviceGetMemoryAffinity(
    device: Handle,
    words: c_uint,
    out: *mut c_ulong,
    _scope: c_uint,
) -> c_uint {
    let answer =
        of_device("nvmlDeviceGetMemoryAffinity", device, |seen| seen.whole(seen.gpu.numa_nodes.clone()));
    // SAFETY: the caller's pointer is null or valid for `words` words, as nvml.h demands.
    unsafe { put_set(words, out, answer) }
}
