//! What a REST contract can be checked with: its routes and shapes, the served document, JSON Schema, wrong requests.
//!
//! All of it is pure; `tests/contract` applies it to a real node. The routes and shapes are written down here a second
//! time on purpose: the wire types can't prove themselves right. Each check gives a list of what is wrong, so that a
//! test can show everything at once; a document that can't be read at all panics with the reason.
#![forbid(unsafe_code)]

pub mod document;
pub mod routes;
pub mod schema;
pub mod shapes;
pub mod wrong;
