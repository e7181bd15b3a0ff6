//! The C side of NVML (`nvml.h`, R550): functions under their exact, versioned names, and the structs that they fill.
//!
//! Every function does the same: enter the scenario, find the device, write the answer through the caller's pointer.
//! Functions that are not here are functions that the driver lacks.
#![allow(unsafe_code)] // It is a C interface: pointers come in.
#![allow(non_snake_case)] // The names are NVML's.

mod lists;
mod system;
mod values;

use crate::scenario::Code;
use crate::world::{self, Seen, Target};
use std::ffi::{c_char, c_uint, c_void};

/// `nvmlDevice_t`. Nothing is behind it: its bits are the position of a device, and the slot of an instance.
type Handle = *mut c_void;

const SUCCESS: c_uint = 0;
/// Bits of a handle that hold the device's position plus one; those above hold the slot plus one.
const POSITION_BITS: u32 = 16;

fn handle(target: Target) -> Handle {
    std::ptr::without_provenance_mut(
        (target.gpu + 1) | (target.slot.map_or(0, |slot| slot + 1) << POSITION_BITS),
    )
}

fn target(handle: Handle) -> Result<Target, Code> {
    let bits = handle.addr();
    let gpu = (bits & ((1 << POSITION_BITS) - 1)).checked_sub(1).ok_or(Code::InvalidArgument)?;
    Ok(Target { gpu, slot: (bits >> POSITION_BITS).checked_sub(1) })
}

/// What `read` says of the device of `handle`, if the scenario lets `function` answer.
fn of_device<T>(
    function: &str,
    handle: Handle,
    read: impl FnOnce(&Seen<'_>) -> Result<T, Code>,
) -> Result<T, Code> {
    let scenario = world::enter(function)?;
    read(&world::device(&scenario, function, target(handle)?)?)
}

/// Writes an answer.
///
/// # Safety
/// `out` is null or valid for writing a `T`.
unsafe fn put<T>(out: *mut T, answer: Result<T, Code>) -> c_uint {
    match answer {
        Ok(_) if out.is_null() => Code::InvalidArgument as c_uint,
        Ok(value) => {
            // SAFETY: not null, and so valid, by the contract of this function.
            unsafe { out.write(value) };
            SUCCESS
        }
        Err(code) => code as c_uint,
    }
}

/// Writes a text and its zero byte.
///
/// # Safety
/// `out` is null or valid for writing `length` bytes.
unsafe fn put_text(out: *mut c_char, length: c_uint, answer: Result<String, Code>) -> c_uint {
    let text = match answer {
        Ok(text) => text,
        Err(code) => return code as c_uint,
    };
    if out.is_null() {
        return Code::InvalidArgument as c_uint;
    }
    if text.len() >= length as usize {
        return Code::InsufficientSize as c_uint;
    }
    // SAFETY: the text and its zero byte are at most `length` bytes, for which `out` is valid.
    unsafe {
        out.cast::<u8>().copy_from_nonoverlapping(text.as_ptr(), text.len());
        out.add(text.len()).write(0);
    }
    SUCCESS
}

/// Functions `(device, *out)` that write one value.
macro_rules! getters {
    ($($name:ident -> $type:ty = |$seen:ident| $answer:expr;)*) => { $(
        /// As in `nvml.h`.
        #[unsafe(no_mangle)]
        pub(crate) unsafe extern "C" fn $name(device: $crate::abi::Handle, out: *mut $type) -> std::ffi::c_uint {
            let answer = $crate::abi::of_device(stringify!($name), device, |$seen| $answer);
            // SAFETY: the caller's pointer is null or valid, as nvml.h demands.
            unsafe { $crate::abi::put(out, answer) }
        }
    )* };
}
use getters;
