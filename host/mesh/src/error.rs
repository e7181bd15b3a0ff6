//! What can go wrong in the domain. No HTTP here: the edge maps each variant to a status in one place.

use hypermesh_model::InvalidId;
pub use hypermesh_planner::Shortage;
use std::error::Error as StdError;
use thiserror::Error;

/// Why the domain refused or failed.
#[derive(Debug, Error)]
pub enum MeshError {
    /// There is no such thing.
    #[error("there is no {noun} `{id}`")]
    NotFound {
        /// What was looked for.
        noun: &'static str,
        /// The id that was given.
        id: String,
    },
    /// Nothing is of that description; the text says what there is.
    #[error("{detail}")]
    Missing {
        /// What was looked for and what there is.
        detail: String,
    },
    /// A value is wrong; `member` names it.
    #[error("{detail}")]
    Invalid {
        /// The member of the request.
        member: String,
        /// What is wrong and what would be right.
        detail: String,
    },
    /// A value is right in itself and does not fit what it is about; `member` names it.
    #[error("{detail}")]
    Unfit {
        /// The member of the request.
        member: String,
        /// What it does not fit, and what would.
        detail: String,
    },
    /// The state forbids it now.
    #[error("{detail}")]
    Conflict {
        /// Why, and what to do.
        detail: String,
    },
    /// It has changed since the caller looked.
    #[error("`{id}` has changed: it is at generation {actual} now")]
    Precondition {
        /// What has changed.
        id: String,
        /// The generation that it has.
        actual: u64,
    },
    /// A key that was sent with another request before.
    #[error(
        "the idempotency key `{key}` was sent with another request before; use a new key for a new request"
    )]
    KeyReused {
        /// The key.
        key: String,
    },
    /// The caller's role does not allow it.
    #[error("{detail}")]
    Forbidden {
        /// What would be needed.
        detail: String,
    },
    /// Not enough capacity, with every dimension that was short.
    #[error("not enough capacity")]
    Refused {
        /// Every dimension that was short.
        shortages: Vec<Shortage>,
    },
    /// Well-formed, but it can't be done: a component that can't be admitted, a limit that can't be enforced.
    #[error("{detail}")]
    Unprocessable {
        /// Why, and what to do.
        detail: String,
        /// Every reason, where there are several.
        reasons: Vec<String>,
    },
    /// Something is larger than its limit.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// The node has too much to do or is draining; later it may work.
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
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl MeshError {
    /// Wraps a fault of ours with what was being done.
    pub fn internal(doing: &'static str) -> impl FnOnce(Box<dyn StdError + Send + Sync>) -> Self {
        move |source| Self::Internal { doing, source }
    }

    /// A wrong member.
    pub fn invalid(member: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Invalid { member: member.into(), detail: detail.into() }
    }

    /// A member that does not fit what it is about.
    pub fn unfit(member: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::Unfit { member: member.into(), detail: detail.into() }
    }

    /// A missing thing.
    pub fn not_found(noun: &'static str, id: impl ToString) -> Self {
        Self::NotFound { noun, id: id.to_string() }
    }
}

impl From<InvalidId> for MeshError {
    fn from(error: InvalidId) -> Self {
        Self::invalid("id", error.to_string())
    }
}
