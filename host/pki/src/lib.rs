//! X.509: keys, requests, certificates, revocation lists and OCSP. Bytes in, bytes out, without clock and I/O.
//!
//! ```text
//! request ─▶ Csr (key, subject, names; proven, bounded) ─┐
//! Profile ───────────────────────────────────────────────┴▶ Order ─▶ Authority::prepare ─▶ Precertificate
//!                                          log ◀──────────────────────────────┘ ─▶ SCTs ─▶ finish ─▶ Certificate
//! Revoked… ─▶ Authority::sign_crl        OcspRequest ─▶ Authority::sign_ocsp
//! Certificate + others + roots + time ─▶ explain ─▶ every rule of RFC 5280 with its verdict
//! ```
//! The structures are written and read here, field by field (`der`), because each of them is signed: nothing from a
//! request may get into a certificate but what a [`Profile`] names, and nothing that isn't DER is read. The arithmetic is
//! aws-lc-rs', whose randomness makes keys, serials and salts. Time is passed in; which names somebody may have, that
//! serials are used once, logs, files and revocation's memory are left to others.
//!
//! Every part has an error of its own; what comes from outside is refused with one, and never panics.
#![forbid(unsafe_code)]

mod authority;
mod certificate;
mod csr;
mod der;
mod digest;
mod explain;
#[cfg(test)]
mod forge;
mod key;
mod lint;
mod name;
mod ocsp;
mod pem;
mod profile;
mod revocation;
mod serial;

pub use authority::{Authority, CaOrder, CrlContent, IssueError, IssuerUrls, Order, Precertificate};
pub use certificate::{Certificate, CertificateError, ExtendedKeyUsage, KeyUsages, MAX_CERTIFICATE_BYTES};
pub use csr::{Csr, CsrError, MAX_REQUEST_BYTES};
pub use der::DerError;
pub use explain::{Explanation, Purpose, Rule, Verdict, explain};
pub use key::{
    KeyAlgorithm, KeyError, PrivateKey, PublicKey, PublicKeyAlgorithm, SignatureAlgorithm, verify_possession,
};
pub use lint::{Finding, Severity, lint};
pub use name::{DistinguishedName, DnError, MAX_NAMES, NameConstraints, NameError, Names, Subtree};
pub use ocsp::{OcspError, OcspRequest};
pub use pem::{PemError, crl_pem};
pub use profile::{BACKDATE_S, Profile, UnknownProfile};
pub use revocation::{InvalidReason, Revocation, RevocationReason, Revoked};
pub use serial::{InvalidSerial, SerialNumber};
