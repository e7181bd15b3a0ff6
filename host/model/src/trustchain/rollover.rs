//! Rollover: an intermediate replaced by another, without a moment in which a certificate of either is not trusted.
//!
//! ```text
//! prepared ──distribute──▶ distributed ──activate──▶ activated ──retire──▶ retired
//!     └──────abandon──────────┴──▶ abandoned
//! ```
//! - *prepared*: the new key and its certificate exist; nobody was told.
//! - *distributed*: it is handed out with the old one, in the hierarchy and in bundles; the old one still signs.
//! - *activated*: the new one signs; the old one signs its list and its status answers alone.
//! - *retired*: nothing that the old one signed is valid any more, and its key is gone.

use crate::{CertificateId, RolloverId, Timestamp};
use serde::{Deserialize, Serialize};

/// How far a rollover is. See the module head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloverPhase {
    /// The new authority exists.
    Prepared,
    /// It is handed out.
    Distributed,
    /// It signs.
    Activated,
    /// The old one is gone.
    Retired,
    /// It was given up before the new one signed anything.
    Abandoned,
}

impl RolloverPhase {
    /// The phase that follows when all goes well; `None` at the end.
    pub fn next(self) -> Option<Self> {
        match self {
            Self::Prepared => Some(Self::Distributed),
            Self::Distributed => Some(Self::Activated),
            Self::Activated => Some(Self::Retired),
            Self::Retired | Self::Abandoned => None,
        }
    }

    /// Whether `next` may follow this phase. What has signed can't be given up.
    pub fn may_become(self, next: Self) -> bool {
        let given_up = next == Self::Abandoned && matches!(self, Self::Prepared | Self::Distributed);
        given_up || self.next() == Some(next)
    }

    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        self.next().is_none()
    }

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prepared => "prepared",
            Self::Distributed => "distributed",
            Self::Activated => "activated",
            Self::Retired => "retired",
            Self::Abandoned => "abandoned",
        }
    }
}

/// When a phase was reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloverStep {
    /// The phase.
    pub phase: RolloverPhase,
    /// Since when.
    pub at: Timestamp,
    /// Who asked for it: a subject, or `schedule`.
    pub by: String,
}

/// A rollover on record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollover {
    /// Its id.
    pub id: RolloverId,
    /// The authority that is replaced.
    pub from: CertificateId,
    /// The one that replaces it.
    pub to: CertificateId,
    /// Every phase that was reached, oldest first; never empty.
    pub steps: Vec<RolloverStep>,
}

impl Rollover {
    /// How far it is.
    pub fn phase(&self) -> RolloverPhase {
        self.steps.last().map_or(RolloverPhase::Prepared, |step| step.phase)
    }

    /// When a phase was reached.
    pub fn reached(&self, phase: RolloverPhase) -> Option<Timestamp> {
        self.steps.iter().find(|step| step.phase == phase).map(|step| step.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use RolloverPhase::{Abandoned, Activated, Distributed, Prepared, Retired};

    #[test]
    fn what_has_signed_can_t_be_given_up() {
        let all = [Prepared, Distributed, Activated, Retired, Abandoned];
        let may = |from: RolloverPhase| all.into_iter().filter(|to| from.may_become(*to)).collect::<Vec<_>>();
        assert_eq!(may(Prepared), [Distributed, Abandoned]);
        assert_eq!(may(Distributed), [Activated, Abandoned]);
        assert_eq!(may(Activated), [Retired]);
        assert!(may(Retired).is_empty() && may(Abandoned).is_empty());
        assert!(all.into_iter().all(|phase| phase.is_final() == may(phase).is_empty()));
    }
}
