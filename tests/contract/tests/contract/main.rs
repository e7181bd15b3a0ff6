//! The REST contract against a real node: every route as documented, every wrong request refused, and a fuzzer.

mod bad_input;
mod coverage;
mod depth;
mod exchange;
mod later;
mod schemathesis;
mod services;
mod session;
mod trustchain;
