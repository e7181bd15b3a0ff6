//! What a zone can't hold.

use crate::name::Name;
use crate::types::RecordType;
use thiserror::Error;

/// A zone that can't be, or a change that would lead to one. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ZoneError {
    /// A name of somebody else's.
    #[error("{name} is not within the zone {origin}")]
    Outside {
        /// The name.
        name: Name,
        /// The zone.
        origin: Name,
    },
    /// An SOA below the apex, or a second one.
    #[error("{name} can't have an SOA: a zone has one, at its apex")]
    StraySoa {
        /// The name.
        name: Name,
    },
    /// The SOA would be gone.
    #[error("the SOA can't be removed")]
    SoaRemoved,
    /// A CNAME and something else (RFC 1034, 3.6.2).
    #[error("{name} can't have a CNAME beside other records")]
    CnameBeside {
        /// The name.
        name: Name,
    },
    /// Two CNAMEs.
    #[error("{name} has a CNAME already, and can have one only")]
    SecondCname {
        /// The name.
        name: Name,
    },
    /// A DS that speaks of the zone itself (RFC 4035, 2.4).
    #[error("a DS belongs to a delegation, in the parent's zone, and not to the apex {name}")]
    DsAtApex {
        /// The name.
        name: Name,
    },
    /// No name server at the apex.
    #[error("the zone {origin} needs an NS at its apex")]
    NoNameServer {
        /// The zone.
        origin: Name,
    },
    /// More than an answer holds.
    #[error("the {record_type} of {name} have more than {limit} octets together")]
    SetTooLarge {
        /// The name.
        name: Name,
        /// The type.
        record_type: RecordType,
        /// Most octets.
        limit: usize,
    },
    /// More records than a zone may have.
    #[error("the zone has more than {limit} records")]
    TooManyRecords {
        /// Most records.
        limit: usize,
    },
    /// Another zone than the one that is served.
    #[error("the zone {given} can't replace {origin}")]
    OtherZone {
        /// The zone that was given.
        given: Name,
        /// The zone that is served.
        origin: Name,
    },
}
