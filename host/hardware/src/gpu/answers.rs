//! Takes what NVML answers: a call that the device, the driver's version or our rights don't allow gives `None` and
//! leaves the others alone. That the device itself is gone is noted, for the caller to look at when it has asked all.

use nvml_wrapper::error::NvmlError;
use std::cell::RefCell;

/// The answers of one device.
#[derive(Debug, Default)]
pub(super) struct Answers {
    lost: RefCell<Option<String>>,
}

impl Answers {
    /// The answer, if there is one.
    pub(super) fn known<T>(&self, answer: Result<T, NvmlError>) -> Option<T> {
        answer
            .inspect_err(|error| {
                tracing::debug!(%error, "NVML doesn't answer a question");
                if is_device_lost(error) {
                    self.lost.borrow_mut().get_or_insert_with(|| error.to_string());
                }
            })
            .ok()
    }

    /// Why the device can't be asked any more, for people.
    pub(super) fn lost(&self) -> Option<String> {
        self.lost.borrow().clone()
    }
}

/// Whether a device is gone until the library is initialised anew, or longer.
pub(super) fn is_device_lost(error: &NvmlError) -> bool {
    use NvmlError::{GpuLost, ResetRequired};
    matches!(error, GpuLost | ResetRequired)
}

/// Whether the library has to be initialised anew before it can answer again.
pub(super) fn is_library_lost(error: &NvmlError) -> bool {
    use NvmlError::{DriverNotLoaded, LibRmVersionMismatch, Uninitialized, Unknown};
    is_device_lost(error) || matches!(error, DriverNotLoaded | LibRmVersionMismatch | Uninitialized | Unknown)
}

/// Whether the driver is from before this function. 25 is `NVML_ERROR_ARGUMENT_VERSION_MISMATCH`: it has the function,
/// but not this form of its struct.
pub(super) fn is_too_old(error: &NvmlError) -> bool {
    use NvmlError::{FailedToLoadSymbol, FunctionNotFound, UnexpectedVariant};
    matches!(error, FailedToLoadSymbol(_) | FunctionNotFound | UnexpectedVariant(25))
}
