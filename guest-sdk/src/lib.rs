//! What the author of a HyperMesh guest depends on.
//!
//! A guest is a WebAssembly component. This crate owns its bindings to the host (`wit/`, package `hypermesh:guest`),
//! so an author needs no WIT file and no tool beyond `cargo build --target wasm32-wasip2`: implement [`Job`] and name
//! the type in [`export_job!`].
//!
//! ```
//! use hypermesh_guest::{Context, Job, JobError, Operation, parse_parameters, to_result};
//! use serde::{Deserialize, Serialize};
//! use serde_json::{Value, json};
//! use std::io::{BufRead, BufReader};
//!
//! /// Counts the lines of every granted file.
//! struct LineCount;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Parameters {
//!     #[serde(default)]
//!     skip_empty: bool,
//! }
//!
//! #[derive(Serialize)]
//! struct Count {
//!     name: String,
//!     lines: u64,
//! }
//!
//! impl Job for LineCount {
//!     fn operations() -> Vec<Operation> {
//!         let schema = json!({ "type": "object", "properties": { "skip_empty": { "type": "boolean" } } });
//!         vec![Operation::new("count", "Counts the lines of every granted file", schema)]
//!     }
//!
//!     fn run(context: &mut dyn Context, _operation: &str, parameters: Value) -> Result<Value, JobError> {
//!         let parameters: Parameters = parse_parameters(parameters)?;
//!         let mut counts = Vec::new();
//!         for blob in context.inputs() {
//!             let mut lines = 0;
//!             for line in BufReader::new(context.open(&blob.name)?).lines() {
//!                 lines += u64::from(!(line?.is_empty() && parameters.skip_empty));
//!             }
//!             context.info(&format!("{}: {lines} lines", blob.name));
//!             counts.push(Count { name: blob.name, lines });
//!         }
//!         to_result(&counts)
//!     }
//! }
//!
//! hypermesh_guest::export_job!(LineCount);
//!
//! // On the host the macro exports nothing, and the logic is tested against an in-memory context:
//! use hypermesh_guest::testing::MemoryContext;
//! let mut context = MemoryContext::new().with_input("poem.txt", b"roses\n\nviolets\n");
//! let result = hypermesh_guest::dispatch::<LineCount>(&mut context, "count", r#"{ "skip_empty": true }"#);
//! assert_eq!(result.as_deref(), Ok(r#"[{"lines":2,"name":"poem.txt"}]"#));
//! ```
//!
//! The crate that holds it sets `crate-type = ["cdylib"]`. A job has no files but those in its [`Context`] and, if its lease
//! has storage, the folder [`LEASE_FOLDER`]; no network, no environment and no arguments; what it prints goes to the execution's log. A panic ends the execution with a trap.
//!
//! Left to others: limits, scheduling and storage are the host's. Fails by [`JobError`], which the host records as the
//! execution's cause.

// The bindings' paths name this crate from the outside, because they are expanded in the author's crate.
#[cfg(target_family = "wasm")]
extern crate self as hypermesh_guest;

mod context;
mod job;
pub mod testing;
mod validator;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod wasm;

pub use context::{Blob, BlobError, Context, Input, Level, MAX_CHUNK, Output, ReadAt};
pub use job::{Job, JobError, Operation, dispatch, parse_parameters, to_result};
pub use validator::{Validator, Verdict};

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use wit_bindgen;

/// The folder of the lease that a job runs in, if the lease has storage and the execution was granted it. Used with
/// `std::fs`; what is in it stays when the job ends, for the next one in the same lease.
///
/// It never holds more than the lease's storage: a write beyond fails. On this target the C library below the standard
/// library doesn't ask the host why, so that the error is `I/O error (os error 29)`, and not
/// [`StorageFull`](std::io::ErrorKind::StorageFull). Where the folder was granted for reading only, changes fail; where
/// it wasn't granted, everything does. Neither `..` nor symbolic links lead out of it.
///
/// ```no_run
/// use hypermesh_guest::LEASE_FOLDER;
/// let kept = std::path::Path::new(LEASE_FOLDER).join("model.bin");
/// let model = std::fs::read(&kept).or_else(|_| -> std::io::Result<Vec<u8>> {
///     let computed = vec![0; 1024];
///     std::fs::write(&kept, &computed)?;
///     Ok(computed)
/// })?;
/// # std::io::Result::Ok(())
/// ```
pub const LEASE_FOLDER: &str = "/lease";

/// Makes a type that implements [`Job`] the component's job. Exports nothing on the host.
#[macro_export]
macro_rules! export_job {
    ($job:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::wasm::JobAdapter<$job>;
    $crate::wasm::job::__export_job!(Exported with_types_in $crate::wasm::job);
        };
    };
}

/// Makes a type that implements [`Validator`] the component's validator. Exports nothing on the host.
#[macro_export]
macro_rules! export_validator {
    ($validator:ty) => {
        #[cfg(target_family = "wasm")]
        const _: () = {
            type Exported = $crate::wasm::ValidatorAdapter<$validator>;
    $crate::wasm::validator::__export_validator!(Exported with_types_in $crate::wasm::validator);
        };
    };
}
