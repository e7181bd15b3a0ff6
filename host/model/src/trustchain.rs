//! Identities and names of the mesh: certificates, their rotation, the intermediate's rollover, DNS records.
//!
//! What these nouns are and which state may follow which. Cryptography, the log, the zone and the wire formats are the
//! layers' above; a certificate here is what one remembers of it, never its bytes.

mod certificate;
mod dns;
mod rollover;
mod rotation;

pub use certificate::{
    CertificateProfile, CertificateRecord, CertificateStatus, Revocation, TrustLevel, UnknownName,
};
pub use dns::{DnsRecord, DnsRecordStatus};
pub use rollover::{Rollover, RolloverPhase, RolloverStep};
pub use rotation::{Rotation, RotationPolicy, RotationStatus, RotationType};
