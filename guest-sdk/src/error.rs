//! Why a run gave no result, as a type with a code and a message.
//!
//! The host records it as the execution's cause. `?` works on the errors of the standard library and of JSON; for any
//! other error, [`OrFail`] says what was being done. Messages hold the whole chain of causes, since text is all that the
//! caller sees.

use crate::BlobError;
use std::error::Error as StdError;
use std::fmt::Display;
use thiserror::Error;

/// Why a run gave no result.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum JobError {
    /// There is no operation of that name.
    #[error("there is no operation of that name")]
    UnknownOperation,
    /// The parameters don't fit. Says where.
    #[error("invalid parameters: {0}")]
    InvalidParameters(String),
    /// It was tried and failed. Says why.
    #[error("{0}")]
    Failed(String),
    /// It was tried and failed in a way that callers can tell from others. They see `code: message`.
    #[error("{code}: {message}")]
    Coded {
        /// A short word that stays the same when the message changes, e.g. `not-an-image`.
        code: String,
        /// What happened, for people.
        message: String,
    },
}

impl JobError {
    /// [`JobError::Failed`] from anything that can say what happened.
    pub fn failed(reason: impl ToString) -> Self {
        Self::Failed(reason.to_string())
    }

    /// [`JobError::Coded`].
    pub fn coded(code: impl Into<String>, message: impl ToString) -> Self {
        Self::Coded { code: code.into(), message: message.to_string() }
    }

    /// What kind of error it is, in one word: the code, or `unknown-operation`, `invalid-parameters`, `failed`.
    pub fn code(&self) -> &str {
        match self {
            Self::UnknownOperation => "unknown-operation",
            Self::InvalidParameters(_) => "invalid-parameters",
            Self::Failed(_) => "failed",
            Self::Coded { code, .. } => code,
        }
    }
}

/// An error and its causes in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some say their cause themselves.
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

macro_rules! failed_by {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for JobError {
            fn from(error: $error) -> Self {
                Self::Failed(chain(&error))
            }
        })*
    };
}

failed_by!(
    BlobError,
    serde_json::Error,
    std::array::TryFromSliceError,
    std::char::ParseCharError,
    std::fmt::Error,
    std::io::Error,
    std::net::AddrParseError,
    std::num::ParseFloatError,
    std::num::ParseIntError,
    std::num::TryFromIntError,
    std::str::ParseBoolError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    std::time::SystemTimeError,
);

impl From<Box<dyn StdError>> for JobError {
    fn from(error: Box<dyn StdError>) -> Self {
        Self::Failed(chain(error.as_ref()))
    }
}

impl From<Box<dyn StdError + Send + Sync>> for JobError {
    fn from(error: Box<dyn StdError + Send + Sync>) -> Self {
        Self::Failed(chain(error.as_ref()))
    }
}

/// Makes any error, and a missing value, a [`JobError`] that says what was being done.
///
/// ```
/// use hypermesh_guest::{JobError, OrFail};
///
/// fn first_number(text: &str) -> Result<u8, JobError> {
///     let word = text.split_whitespace().next().or_fail("looking for a number")?;
///     word.parse::<u8>().or_code("not-a-number", format_args!("reading `{word}`"))
/// }
///
/// assert_eq!(first_number("7 8"), Ok(7));
/// assert_eq!(first_number(" ").unwrap_err().to_string(), "looking for a number: there is none");
/// let error = first_number("x").unwrap_err();
/// assert_eq!(error.to_string(), "not-a-number: reading `x`: invalid digit found in string");
/// assert_eq!(error.code(), "not-a-number");
/// ```
pub trait OrFail<T> {
    /// [`JobError::Failed`] with what was being done.
    ///
    /// # Errors
    /// Where this is one, or `None`.
    fn or_fail(self, doing: impl Display) -> Result<T, JobError>;

    /// [`JobError::Coded`] with what was being done.
    ///
    /// # Errors
    /// Where this is one, or `None`.
    fn or_code(self, code: &str, doing: impl Display) -> Result<T, JobError>;
}

impl<T, E: StdError + 'static> OrFail<T> for Result<T, E> {
    fn or_fail(self, doing: impl Display) -> Result<T, JobError> {
        self.map_err(|error| JobError::Failed(format!("{doing}: {}", chain(&error))))
    }

    fn or_code(self, code: &str, doing: impl Display) -> Result<T, JobError> {
        self.map_err(|error| JobError::coded(code, format_args!("{doing}: {}", chain(&error))))
    }
}

impl<T> OrFail<T> for Option<T> {
    fn or_fail(self, doing: impl Display) -> Result<T, JobError> {
        self.ok_or_else(|| JobError::Failed(format!("{doing}: there is none")))
    }

    fn or_code(self, code: &str, doing: impl Display) -> Result<T, JobError> {
        self.ok_or_else(|| JobError::coded(code, format_args!("{doing}: there is none")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn a_question_mark_works_on_the_errors_of_the_standard_library() {
        fn all(text: &[u8]) -> Result<u32, JobError> {
            let text = std::str::from_utf8(text)?;
            let number: i64 = text.parse()?;
            serde_json::from_str::<bool>("true")?;
            Ok(u32::try_from(number)?)
        }
        assert_eq!(all(b"7"), Ok(7));
        for bad in [&b"\xff"[..], b"x", b"-1"] {
            assert_eq!(all(bad).unwrap_err().code(), "failed");
        }
    }

    #[test]
    fn a_message_tells_every_cause_once() {
        let cause = || "x".parse::<u8>().map_err(Outer);
        assert_eq!(
            cause().or_fail("reading").unwrap_err(),
            JobError::failed("reading: outer: invalid digit found in string")
        );
        let boxed: Box<dyn StdError> = Box::new(cause().unwrap_err());
        assert_eq!(JobError::from(boxed), JobError::failed("outer: invalid digit found in string"));
        let said: JobError = BlobError::NotFound("a".into()).into();
        assert_eq!(said.to_string(), "no input named `a` was granted");
    }
}
