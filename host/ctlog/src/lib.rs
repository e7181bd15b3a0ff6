//! A Certificate Transparency log: what a certificate authority writes down, on disk, before a certificate exists.
//!
//! ```text
//! append(entry) ─bounded queue─▶ writer: number, hash ─▶ entries file ─fdatasync─▶ sign head ─▶ checkpoint ─▶ callers
//!                                                                                  each caller signs its own SCT ◀┘
//! ```
//!
//! Structures and signatures are those of RFC 6962; tiles, checkpoints and the `leaf_index` extension those of
//! c2sp.org/static-ct-api, so that monitors of either kind can read the log. Entries are numbered before anything is
//! signed, so the merge delay is zero: an SCT names the place where its entry already is.
//!
//! What holds, whatever happens: an SCT is signed only after its entry was synced, a tree head only over entries that
//! were synced, and a log that has fewer entries than the last head that it kept, or others, refuses to open. After a
//! crash at any byte the tail that was never acknowledged is cut. [`audit`] recomputes everything from the files alone.
//!
//! [`merkle`], entries, SCTs and notes are pure; [`Log`] is the files. Left to others: who may add what, where the key
//! comes from ([`Signer`]), HTTP. Fails by [`LogError`]; after a failed sync the log takes no entries until it is opened
//! again, since nobody knows what is on disk.
#![forbid(unsafe_code)]

mod audit;
mod codec;
mod entry;
mod error;
mod log;
pub mod merkle;
mod note;
mod sct;
mod sign;

pub use audit::{Audit, AuditError, audit};
pub use entry::{Entry, EntryError, LeafEntry, MAX_CERTIFICATE_BYTES, MAX_CHAIN};
pub use error::LogError;
pub use log::{Appended, Log, MAX_ENTRIES_ANSWER, Settings, Statistics};
pub use merkle::Hash;
pub use note::{MAX_ORIGIN_BYTES, NoteError, SignedTreeHead};
pub use sct::{Sct, SctError};
pub use sign::{LogKey, SignError, SignatureError, Signer};
