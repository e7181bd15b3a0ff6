//! What can go wrong in the domain. No HTTP here: the edge maps each variant to a status in one place.

use hypermesh_model::{InvalidId, UnknownName};
use std::error::Error as StdError;
use thiserror::Error;

/// A fault of any kind, to be wrapped.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Why the domain refused or failed.
#[derive(Debug, Error)]
pub enum TrustError {
    /// There is no such thing.
    #[error("there is no {noun} `{id}`")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// The id that was given.
        id: String,
    },
    /// A value is wrong; `member` names it.
    #[error("{detail}")]
    Invalid {
        /// The member of the request.
        member: String,
        /// What is wrong and what would be right.
        detail: String,
    },
    /// Well-formed, but it is not done: a name outside the policy, a date beyond the issuer's.
    #[error("{detail}")]
    Refused {
        /// Why, and what to do.
        detail: String,
        /// Every reason, where there are several.
        reasons: Vec<String>,
    },
    /// The state forbids it now.
    #[error("{detail}")]
    Conflict {
        /// Why, and what to do.
        detail: String,
    },
    /// Whoever asks is not who he says.
    #[error("{detail}")]
    Unauthenticated {
        /// Which proof failed.
        detail: String,
    },
    /// There is too much to do; later it may work.
    #[error("{detail}")]
    Busy {
        /// Why.
        detail: String,
    },
    /// A fault of ours or of the machine; its text is for the log, not for the caller.
    #[error("{doing}")]
    Internal {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        #[source]
        source: BoxError,
    },
}

impl TrustError {
    /// Wraps a fault of ours with what was being done.
    pub fn internal<E: Into<BoxError>>(doing: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Internal { doing, source: source.into() }
    }

    /// A wrong member.
    pub fn invalid(member: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { member: member.into(), detail: detail.into() }
    }

    /// A missing thing.
    pub fn not_found(noun: &'static str, id: impl ToString) -> Self {
        Self::NotFound { noun, id: id.to_string() }
    }

    /// What the state forbids.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::Conflict { detail: detail.into() }
    }

    /// What is not done, for one reason.
    pub fn refused(detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self::Refused { reasons: vec![detail.clone()], detail }
    }
}

impl From<InvalidId> for TrustError {
    fn from(error: InvalidId) -> Self {
        Self::invalid("id", error.to_string())
    }
}

impl From<UnknownName> for TrustError {
    fn from(error: UnknownName) -> Self {
        Self::invalid(error.what, error.to_string())
    }
}
