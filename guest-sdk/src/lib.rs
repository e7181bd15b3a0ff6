//! What the author of a HyperMesh guest depends on.
//!
//! A guest is a WebAssembly component. This crate owns its bindings to the host (`wit/`, package `hypermesh:guest`), so an
//! author needs no WIT file and no tool beyond `cargo` with the target `wasm32-wasip2`. `hypermesh guest new` writes a
//! project; what follows builds one by hand.
//!
//! # A first job
//!
//! A job is a type that says what it can do and does it. It gets a [`Context`], through which it reaches everything that
//! it may reach, the name of an operation, and parameters as JSON:
//!
//! ```
//! use hypermesh_guest::{Context, Job, JobError, Operation};
//! use serde_json::{Value, json};
//!
//! struct Greeter;
//!
//! impl Job for Greeter {
//!     fn operations() -> Vec<Operation> {
//!         vec![Operation::new("greet", "Greets by name", json!({ "type": "object" }))]
//!     }
//!
//!     fn run(_context: &mut dyn Context, _operation: &str, parameters: Value) -> Result<Value, JobError> {
//!         Ok(json!(format!("hello {}", parameters["name"].as_str().unwrap_or("world"))))
//!     }
//! }
//!
//! hypermesh_guest::export_job!(Greeter);
//!
//! // On the host the macro exports nothing, and the logic is tested without WebAssembly:
//! use hypermesh_guest::{dispatch, testing::MemoryContext};
//! let result = dispatch::<Greeter>(&mut MemoryContext::new(), "greet", r#"{ "name": "Ann" }"#);
//! assert_eq!(result.as_deref(), Ok(r#""hello Ann""#));
//! ```
//!
//! The crate that holds it sets `crate-type = ["cdylib", "rlib"]`: the first is the component, the second is for
//! `cargo test`. `cargo build --release --target wasm32-wasip2` gives the component, and `hypermesh run FILE.wasm` runs it.
//!
//! # Parameters, results and errors of one's own types
//!
//! [`call`] parses parameters into a type and makes JSON of another, by serde. A [`JobError`] becomes the execution's cause;
//! `?` makes one of the standard library's errors, and [`OrFail`] of all others.
//!
//! # Files, log and progress
//!
//! Inputs and outputs have names and are streams; neither has to fit into memory. What a job logs and how far it says to be
//! is seen while it runs. All together:
//!
//! ```
//! use hypermesh_guest::{Context, Job, JobError, Operation, OrFail, call, info, warn};
//! use serde::{Deserialize, Serialize};
//! use serde_json::{Value, json};
//! use std::io::{BufRead, BufReader, BufWriter, Write};
//!
//! /// Keeps the lines that hold a word.
//! struct Grep;
//!
//! #[derive(Deserialize)]
//! #[serde(deny_unknown_fields)] // a misspelt parameter is an error
//! struct Parameters {
//!     word: String,
//! }
//!
//! #[derive(Serialize)]
//! struct Found {
//!     lines: u64,
//! }
//!
//! fn grep(context: &mut dyn Context, Parameters { word }: Parameters) -> Result<Found, JobError> {
//!     if word.is_empty() {
//!         return Err(JobError::coded("empty-word", "every line holds it"));
//!     }
//!     let mut kept = BufWriter::new(context.create("kept.txt")?);
//!     let mut lines = 0;
//!     for blob in context.inputs() {
//!         let mut read = 0;
//!         for line in BufReader::new(context.open(&blob.name)?).lines() {
//!             let line = line.or_fail(format_args!("reading {}", blob.name))?;
//!             read += line.len() as u64 + 1;
//!             if line.contains(&word) {
//!                 writeln!(kept, "{line}")?;
//!                 lines += 1;
//!             }
//!             context.progress(read, Some(blob.size), &blob.name);
//!         }
//!         info!(context, "{}: {} bytes read", blob.name, read);
//!     }
//!     if lines == 0 {
//!         warn!(context, "no line holds `{word}`");
//!     }
//!     kept.flush()?;
//!     Ok(Found { lines })
//! }
//!
//! impl Job for Grep {
//!     fn operations() -> Vec<Operation> {
//!         let schema = json!({
//!             "type": "object", "required": ["word"], "properties": { "word": { "type": "string" } }
//!         });
//!         vec![Operation::new("grep", "Keeps the lines that hold a word", schema)]
//!     }
//!
//!     fn run(context: &mut dyn Context, operation: &str, parameters: Value) -> Result<Value, JobError> {
//!         match operation {
//!             "grep" => call(context, parameters, grep),
//!             _ => Err(JobError::UnknownOperation),
//!         }
//!     }
//! }
//!
//! hypermesh_guest::export_job!(Grep);
//!
//! use hypermesh_guest::{dispatch, testing::MemoryContext};
//! let mut context = MemoryContext::new().with_input("poem", b"roses are red\nviolets are blue\n");
//! let result = dispatch::<Grep>(&mut context, "grep", r#"{ "word": "blue" }"#);
//! assert_eq!(result.as_deref(), Ok(r#"{"lines":1}"#));
//! assert_eq!(context.output("kept.txt").as_deref(), Some(&b"violets are blue\n"[..]));
//! ```
//!
//! # What a guest has, and what it hasn't
//!
//! A job has the files in its [`Context`] and, if its lease has storage and that was granted, the folder [`LEASE_FOLDER`]. It
//! has no network, no environment and no arguments; what it prints goes to the execution's log. A panic ends the execution
//! with a trap, whose backtrace is in the cause. A [`Validator`] has nothing but the claim that it judges.
//!
//! A component says which SDK it was made with, in the custom section `hypermesh:sdk`; `hypermesh guest inspect` shows it.
//!
//! Left to others: limits, scheduling and storage are the host's.

// The bindings' paths name this crate from the outside, because they are expanded in the author's crate.
#[cfg(target_family = "wasm")]
extern crate self as hypermesh_guest;

mod context;
mod error;
mod job;
mod log;
mod stream;
pub mod testing;
mod validator;
#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub mod wasm;

pub use context::{Blob, BlobError, Context, Level};
pub use error::{JobError, OrFail};
pub use job::{Job, Operation, call, dispatch, parse_parameters, to_result};
pub use stream::{Chunks, Input, MAX_CHUNK, Output, ReadAt, copy};
pub use validator::{Validator, Verdict};

#[cfg(target_family = "wasm")]
#[doc(hidden)]
pub use wit_bindgen;

/// This crate's name and version, as a component carries them.
pub const SDK: &str = concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION"));

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
            $crate::__stamp!();
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
            $crate::__stamp!();
        };
    };
}

/// Puts [`SDK`] into a custom section of the module. In the author's crate, since what nobody names in this one isn't
/// linked.
#[doc(hidden)]
#[macro_export]
macro_rules! __stamp {
    () => {
        #[used]
        // SAFETY: a custom section of WebAssembly is never a part of memory, and nothing else writes to this one.
        #[unsafe(link_section = "hypermesh:sdk")]
        static STAMP: [u8; $crate::SDK.len()] = match $crate::SDK.as_bytes().first_chunk() {
            ::std::option::Option::Some(bytes) => *bytes,
            ::std::option::Option::None => ::std::panic!("a text is as long as it is"),
        };
    };
}
