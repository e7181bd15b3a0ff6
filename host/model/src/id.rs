//! Typed identifiers. One registry, so that an id of one noun can't be passed where another is meant.
//!
//! Ids appear in URLs, file names and cgroup directory names; the character set is therefore the intersection of what
//! all three take without escaping: `a-z 0-9 - _ .`, 1 to 64 long, first character a letter or digit.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Longest id, in bytes: an id plus a prefix stays far below the 255 bytes of a file name.
pub const MAX_ID_LEN: usize = 64;

/// A string that is not a valid id.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{value}` is not a valid {kind}: use 1 to 64 of a-z, 0-9, '-', '_', '.', starting with a letter or digit"
)]
pub struct InvalidId {
    /// Which kind of id was expected.
    pub kind: &'static str,
    /// What was given, cut to 80 characters.
    pub value: String,
}

fn check(kind: &'static str, value: &str) -> Result<(), InvalidId> {
    let mut bytes = value.bytes();
    let first_ok = bytes.next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let rest_ok =
        bytes.all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_' || b == b'.');
    if first_ok && rest_ok && value.len() <= MAX_ID_LEN {
        Ok(())
    } else {
        Err(InvalidId { kind, value: value.chars().take(80).collect() })
    }
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident, $prefix:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Parses and checks an id.
            ///
            /// # Errors
            /// [`InvalidId`] when the character set or the length is wrong.
            pub fn parse(value: impl Into<String>) -> Result<Self, InvalidId> {
                let value = value.into();
                check(stringify!($name), &value)?;
                Ok(Self(value))
            }

            /// A new id that no other node and no earlier call has made: a prefix and a UUID version 7 (RFC 9562),
            /// so that ids sort by time of creation.
            pub fn generate() -> Self {
                Self(format!(concat!($prefix, "-{}"), uuid::Uuid::now_v7().simple()))
            }

            /// The id as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(value: String) -> Result<Self, InvalidId> {
                Self::parse(value)
            }
        }

        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(value: &str) -> Result<Self, InvalidId> {
                Self::parse(value)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }
    )*};
}

ids! {
    /// A node of the mesh.
    NodeId, "node";
    /// An asset. The node's own hardware has fixed ids (`cpu`, `memory`, `storage`, `gpu-…`, `network-…`).
    AssetId, "asset";
    /// A lease; the contract calls it an allocation.
    LeaseId, "alloc";
    /// A VM execution.
    ExecutionId, "exec";
    /// A package in the catalog.
    CatalogId, "pkg";
    /// A schedule.
    ScheduleId, "sched";
    /// One run of a schedule.
    RunId, "run";
    /// An array of executions.
    ArrayId, "array";
    /// A service: an HTTP guest that is served.
    ServiceId, "svc";
    /// A certificate. Ours are named by their serial number, so that no table is needed to know what is meant.
    CertificateId, "cert";
    /// A DNS record.
    DnsRecordId, "dns";
    /// A rotation policy.
    RotationPolicyId, "policy";
    /// A rotation.
    RotationId, "rotation";
    /// A rollover of an authority.
    RolloverId, "rollover";
}

/// The UUID of a GPU as NVML prints it, e.g. `GPU-8f9…`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GpuUuid(pub String);

impl fmt::Display for GpuUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who asked: the authenticated subject of a request.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Subject(pub String);

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The SHA-256 of a stored blob or component, 64 lower-case hexadecimal digits (FIPS 180-4).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BlobDigest(String);

impl BlobDigest {
    /// Parses 64 lower-case hexadecimal digits.
    ///
    /// # Errors
    /// [`InvalidId`] for any other text.
    pub fn parse(value: impl Into<String>) -> Result<Self, InvalidId> {
        let value = value.into();
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        if value.len() == 64 && value.bytes().all(hex) {
            Ok(Self(value))
        } else {
            Err(InvalidId { kind: "SHA-256 digest", value: value.chars().take(80).collect() })
        }
    }

    /// From the 32 bytes of the hash.
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(bytes.iter().map(|b| format!("{b:02x}")).collect())
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for BlobDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for BlobDigest {
    type Error = InvalidId;
    fn try_from(value: String) -> Result<Self, InvalidId> {
        Self::parse(value)
    }
}

impl From<BlobDigest> for String {
    fn from(digest: BlobDigest) -> Self {
        digest.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn generated_ids_are_valid_and_distinct() {
        let a = LeaseId::generate();
        let b = LeaseId::generate();
        assert_ne!(a, b);
        assert_eq!(LeaseId::parse(a.as_str()).unwrap(), a);
    }

    #[test]
    fn ids_that_could_leave_a_folder_are_refused() {
        for bad in ["", ".", "..", "-a", "a/b", "A", "a b", "é", "a\0", &"a".repeat(65)] {
            assert!(LeaseId::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn deserialising_checks_too() {
        assert!(serde_json::from_str::<LeaseId>("\"../x\"").is_err());
        assert!(serde_json::from_str::<BlobDigest>("\"00\"").is_err());
    }

    proptest! {
        #[test]
        fn a_valid_id_is_one_path_component(s in "\\PC{0,70}") {
            if let Ok(id) = AssetId::parse(s.as_str()) {
                prop_assert!(!id.as_str().contains('/') && id.as_str() != ".." && id.as_str() != ".");
            }
        }
    }
}
