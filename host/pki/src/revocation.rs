//! Revocation: why, when, and what is known of it.

use crate::serial::SerialNumber;
use hypermesh_model::Timestamp;
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Why a certificate is revoked (RFC 5280 §5.3.1), of the reasons that are final. `certificateHold` and
/// `removeFromCRL` are for lists that take revocations back, which ours don't.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[expect(missing_docs, reason = "the names are the standard's")]
pub enum RevocationReason {
    #[default]
    Unspecified,
    KeyCompromise,
    CaCompromise,
    AffiliationChanged,
    Superseded,
    CessationOfOperation,
    PrivilegeWithdrawn,
    AaCompromise,
}

/// No reason that a certificate can be revoked for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{0}` is none of the reasons: unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, \
     cessationOfOperation, privilegeWithdrawn, aACompromise"
)]
pub struct InvalidReason(String);

impl RevocationReason {
    /// Every reason.
    pub const ALL: [Self; 8] = [
        Self::Unspecified,
        Self::KeyCompromise,
        Self::CaCompromise,
        Self::AffiliationChanged,
        Self::Superseded,
        Self::CessationOfOperation,
        Self::PrivilegeWithdrawn,
        Self::AaCompromise,
    ];

    /// The CRLReason.
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
            Self::AaCompromise => 10,
        }
    }

    /// The standard's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::KeyCompromise => "keyCompromise",
            Self::CaCompromise => "cACompromise",
            Self::AffiliationChanged => "affiliationChanged",
            Self::Superseded => "superseded",
            Self::CessationOfOperation => "cessationOfOperation",
            Self::PrivilegeWithdrawn => "privilegeWithdrawn",
            Self::AaCompromise => "aACompromise",
        }
    }
}

impl TryFrom<u8> for RevocationReason {
    type Error = InvalidReason;

    fn try_from(code: u8) -> Result<Self, InvalidReason> {
        Self::ALL
            .into_iter()
            .find(|reason| reason.code() == code)
            .ok_or_else(|| InvalidReason(code.to_string()))
    }
}

impl FromStr for RevocationReason {
    type Err = InvalidReason;

    /// The standard's name, in any case, with or without `_` and `-` between its words.
    fn from_str(text: &str) -> Result<Self, InvalidReason> {
        let plain: String = text.chars().filter(|it| !"_-".contains(*it)).collect();
        let named = |reason: &Self| reason.as_str().eq_ignore_ascii_case(&plain);
        Self::ALL.into_iter().find(named).ok_or_else(|| InvalidReason(text.chars().take(40).collect()))
    }
}

impl fmt::Display for RevocationReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One line of a revocation list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// Which certificate.
    pub serial: SerialNumber,
    /// Since when.
    pub at: Timestamp,
    /// Why.
    pub reason: RevocationReason,
}

/// What is known of a certificate's revocation, by whoever asks for it to be explained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revocation {
    /// Its issuer says that it isn't revoked.
    Good,
    /// It is, from then on.
    Revoked {
        /// Since when.
        at: Timestamp,
        /// Why.
        reason: RevocationReason,
    },
    /// Nobody here can say.
    Unknown,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_come_back_from_their_names_and_codes() {
        for reason in RevocationReason::ALL {
            assert_eq!(reason.to_string().parse(), Ok(reason));
            assert_eq!(RevocationReason::try_from(reason.code()), Ok(reason));
        }
        assert_eq!("KEY_COMPROMISE".parse(), Ok(RevocationReason::KeyCompromise));
        for text in ["", "certificateHold", "removeFromCRL", "lost"] {
            assert!(text.parse::<RevocationReason>().is_err(), "{text}");
        }
        assert!([6, 7, 8, 11].into_iter().all(|code| RevocationReason::try_from(code).is_err()));
    }
}
