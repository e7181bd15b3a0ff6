//! The HTTP edge: routes, problem documents, security, OpenAPI.
//!
//! A request passes `edge` (request id, problem rendering, metrics, panics), `cors`, the host check and the write check
//! of `auth`, a time limit, then one handler under `mesh/`, which parses with `extract`, converts with `convert`, calls
//! the domain and converts back. Nothing is decided here that is not about HTTP: what an allocation is, the domain
//! knows. Errors go the other way through one place, `problem`.
//!
//! It fails per request, never as a whole: every refusal is an RFC 9457 document, every fault of ours an opaque 500 whose
//! cause is in the log under the same request id.
#![forbid(unsafe_code)]

mod auth;
mod config;
mod convert;
mod cors;
mod docs;
mod edge;
mod extract;
mod guests;
mod mesh;
mod paging;
mod problem;
mod respond;
mod roles;
mod router;
mod server;
mod state;
mod tls;
mod traffic;
mod trustchain;
mod unbuilt;
mod upload;

pub use config::{ApiConfig, Secret};
pub use docs::{openapi, trustchain_openapi};
pub use router::{hypermesh_router, plain_router, published_router, trustchain_router, unbuilt_router};
pub use server::{Serving, serve};
pub use state::{ApiState, Identify};
pub use tls::{Shown, Tls, TlsError};
pub use traffic::Traffic;
pub use trustchain::state::{Listening, TrustState};
pub use unbuilt::Service;
