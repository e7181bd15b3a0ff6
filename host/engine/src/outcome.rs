//! From what a guest returned, or what ended it, to an answer or a typed cause.
//!
//! Whatever came out of the guest is checked here before anybody believes it: lengths, counts, that JSON is JSON.

use crate::JobSpec;
use crate::bindings::job::exports::hypermesh::guest::handler;
use crate::host::OutputLimitReached;
use crate::profile::MAX_WASM_STACK;
use crate::run::Returned;
use crate::serve::Served;
use hypermesh_model::{Bytes, Cause, Operation, OutputFile};
use serde::de::IgnoredAny;
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// Operations that one job may describe.
const MAX_OPERATIONS: usize = 64;
/// The longest name of an operation, in bytes.
const MAX_NAME_BYTES: usize = 64;
/// The longest description of an operation, in bytes.
const MAX_DESCRIPTION_BYTES: usize = 1024;
/// The longest schema of an operation's parameters, in bytes.
const MAX_SCHEMA_BYTES: usize = 64 << 10;
/// The longest message of a guest's own error, in bytes. It is in the execution's record and in an event, both of which are
/// kept by the thousand; what is longer belongs into the log or an output.
const MAX_MESSAGE_BYTES: usize = 4096;
/// The longest message or line of a backtrace that we make, in bytes: names in it are the guest's.
const MAX_TEXT_BYTES: usize = 1024;
/// Lines of a backtrace. A frame takes one, and one more for each function that was inlined into it.
const MAX_BACKTRACE_LINES: usize = 64;
/// What wasmtime says when a call copies more than its fuel allows. Its error type is private; a test holds this fast.
const HOSTCALL_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// What a run gave.
pub(crate) enum Answer {
    Described(Vec<Operation>),
    Completed { result: String, outputs: Vec<OutputFile> },
}

/// Judges what a guest returned.
pub(crate) fn answer(returned: Returned, outputs: Vec<OutputFile>, spec: &JobSpec) -> Result<Answer, Cause> {
    let limit = usize::try_from(spec.result_bytes_limit.0).unwrap_or(usize::MAX);
    match returned {
        Returned::Operations(operations) => described(operations).map(Answer::Described),
        Returned::Unknown(operations) => {
            let known = described(operations)?.into_iter().map(|operation| operation.name).collect();
            Err(Cause::UnknownOperation { known })
        }
        Returned::Result(result) => {
            if result.len() > limit {
                return Err(Cause::OutputLimit { limit: spec.result_bytes_limit });
            }
            match serde_json::from_str::<IgnoredAny>(&result) {
                Ok(IgnoredAny) => Ok(Answer::Completed { result, outputs }),
                Err(error) => Err(guest_error(format!("the result is not JSON: {error}"))),
            }
        }
        Returned::ExitCode(0) => Ok(Answer::Completed { result: r#"{"exit_code":0}"#.to_owned(), outputs }),
        Returned::Served(Served::Status(status)) => {
            Ok(Answer::Completed { result: serde_json::json!({ "status": status }).to_string(), outputs })
        }
        Returned::Served(Served::NoResponse(error)) => Err(guest_error(match error {
            Some(error) => format!("the guest answered with an error: {error:?}"),
            None => "the guest gave no response".to_owned(),
        })),
        // wasi:cli/exit takes a result or a code of 8 bits.
        Returned::ExitCode(code) => Err(Cause::ExitCode { code: u8::try_from(code).unwrap_or(1) }),
        Returned::Error(error) => Err(guest_error(match error {
            handler::JobError::UnknownOperation => "unknown operation".to_owned(),
            handler::JobError::InvalidParameters(reason) => format!("invalid parameters: {reason}"),
            handler::JobError::Failed(reason) => reason,
        })),
    }
}

fn guest_error(message: String) -> Cause {
    Cause::GuestError { message: cut(message, MAX_MESSAGE_BYTES) }
}

fn cut(mut text: String, limit: usize) -> String {
    text.truncate(text.floor_char_boundary(limit));
    text
}

/// The operations that a guest described, if they are within the limits.
fn described(operations: Vec<handler::Operation>) -> Result<Vec<Operation>, Cause> {
    let refuse = |what: String| Err(Cause::GuestError { message: format!("its description has {what}") });
    if operations.len() > MAX_OPERATIONS {
        return refuse(format!("{} operations; at most {MAX_OPERATIONS} are accepted", operations.len()));
    }
    for operation in &operations {
        for (what, length, limit) in [
            ("name", operation.name.len(), MAX_NAME_BYTES),
            ("description", operation.description.len(), MAX_DESCRIPTION_BYTES),
            ("parameters", operation.parameters.len(), MAX_SCHEMA_BYTES),
        ] {
            if length > limit {
                return refuse(format!(
                    "an operation whose {what} has {length} bytes, over the limit of {limit}"
                ));
            }
        }
    }
    Ok(operations.into_iter().map(Operation::from).collect())
}

/// Why the guest's code did not return.
pub(crate) fn cause(error: &wasmtime::Error, denied: Option<Bytes>, spec: &JobSpec) -> Cause {
    if let Some(OutputLimitReached { limit }) = error.downcast_ref() {
        return Cause::OutputLimit { limit: *limit };
    }
    if let Some(I32Exit(code)) = error.downcast_ref() {
        return Cause::GuestError {
            message: format!("the guest exited with code {code} instead of returning"),
        };
    }
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let frames = || backtrace.map(frames).unwrap_or_default();
    let trap = error.downcast_ref::<Trap>();
    match (trap, spec.fuel) {
        (Some(Trap::OutOfFuel), Some(limit)) => return Cause::Fuel { limit },
        (Some(Trap::StackOverflow), _) => {
            return Cause::Stack { limit: Bytes(MAX_WASM_STACK as u64), backtrace: frames() };
        }
        _ => {}
    }
    if let Some(wanted) = denied {
        return Cause::GuestMemory { limit: spec.memory_limit, wanted };
    }
    let message = match trap {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    // No frame of the guest: it had returned, and what it returned is too long to copy.
    if backtrace.is_none() && message.contains(HOSTCALL_FUEL) {
        return Cause::OutputLimit { limit: spec.result_bytes_limit };
    }
    Cause::Trap { message: cut(message, MAX_TEXT_BYTES), backtrace: frames() }
}

/// A backtrace as lines, innermost first, without its heading.
fn frames(backtrace: &WasmBacktrace) -> Vec<String> {
    let text = backtrace.to_string();
    let lines = text.lines().skip(1).take(MAX_BACKTRACE_LINES);
    lines.map(|line| cut(line.trim().to_owned(), MAX_TEXT_BYTES)).collect()
}
