//! An authoritative name server: one zone, changed while it is served.
//!
//! ```text
//! import ─▶ Zone::build ─▶ Zones ─▶ Server ─▶ UDP workers ─▶ answer ─┐
//!                          ▲ apply     │                             ├─▶ zone, signed by dnssec
//! Updates::commit ◀────────┼───────────┴─▶ TCP, and what is slow ────┘
//!   (the domain: makes it durable, then applies)
//! ```
//!
//! Answers are written by hand: a plain question by UDP is parsed on the stack, looked up in a snapshot whose records are
//! encoded already, and sent by the thread that received it. Updates, transfers, signed messages and forwarding take the
//! way through tokio. Every message is a stranger's: what is read is bounded by its length, what is sent by the client's
//! and by a rate. Where records are kept, who may have a key, and when a change is durable is left to the domain above.
#![forbid(unsafe_code)]

mod answer;
mod ask;
mod dnssec;
mod master;
mod message;
mod name;
mod record;
mod server;
#[cfg(test)]
mod testing;
mod transfer;
mod tsig;
mod types;
mod update;
mod wire;
mod zone;

pub use answer::answer;
pub use ask::{AskError, Reply, ask};
pub use dnssec::{KeyError, PublishedKey, SignError, ZoneKey, ZoneSigner};
pub use master::{ImportError, MAX_FILE, export, import};
pub use name::{InvalidName, MAX_LABEL, MAX_NAME, Name};
pub use record::{InvalidRecord, MAX_TTL, Record, RecordData, Soa};
pub use server::{RateLimit, Server, ServerError, Settings, Stats};
pub use tsig::{InvalidKey, Keys, TsigAlgorithm, TsigKey};
pub use types::{Rcode, RecordType, UnknownType};
pub use update::{Commit, Refusal, Update, Updates};
pub use wire::Malformed;
pub use zone::{Change, MAX_RECORDS, Zone, ZoneError, Zones};
