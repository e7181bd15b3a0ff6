//! OCSP (RFC 6960): what a certificate's status is, answered and signed by its issuer itself.
//!
//! A request is read within limits ([`OcspRequest`]), the status of each serial comes from the caller, and the response
//! is signed with the issuer's own key, so that no responder's certificate is needed. Serials of other issuers are
//! answered `unknown`. How long a response is kept, and HTTP, are left to others.

mod request;
mod response;

pub use request::OcspRequest;

use crate::der::{DerError, tag, to_vec};
use thiserror::Error;

/// Why there is no signed response. Each has its unsigned one ([`OcspError::response`]).
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum OcspError {
    /// The request is none, or beyond the limits.
    #[error("the OCSP request is malformed")]
    Malformed(#[source] DerError),
    /// The request is larger than one about a few certificates is.
    #[error("the OCSP request has {0} bytes; at most {max} are read", max = request::MAX_BYTES)]
    TooLarge(usize),
    /// The URL's last part is no base64.
    #[error("the OCSP request is no base64")]
    Base64,
    /// Signing failed.
    #[error("the OCSP response can't be signed")]
    Sign(#[source] crate::KeyError),
}

impl OcspError {
    /// The unsigned response that says so (RFC 6960 §4.2.1), DER.
    pub fn response(&self) -> Vec<u8> {
        let status = match self {
            Self::Malformed(_) | Self::TooLarge(_) | Self::Base64 => 1,
            Self::Sign(_) => 2,
        };
        to_vec(|w| w.sequence(|w| w.element(tag::ENUMERATED, &[status])))
    }
}
