//! The log: `tracing` events to stderr, as text for people or one JSON object a line for machines.
//!
//! stdout stays free for data. The log walks error chains ([`error_chain`]), since our errors never print their source.

use std::error::Error;
use std::fmt::Write;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

/// Sources that are followed; a longer chain is a cycle.
const MAX_CHAIN: usize = 32;

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Why logging could not be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The filter does not parse.
    #[error("`{filter}` is not a log filter such as `info` or `hypermesh_store=debug,info`")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// Another subscriber was there first.
    #[error("logging is already set up in this process")]
    AlreadySet(#[source] Box<dyn Error + Send + Sync>),
}

/// Sends the process's log to stderr from now on. `filter` is in the notation of `tracing_subscriber::EnvFilter`, e.g.
/// `info` or `hypermesh_store=debug,info`; `color` uses ANSI colours in the text format.
///
/// # Errors
/// [`LoggingError`] for a filter that does not parse and for a second call.
pub fn init_logging(format: LogFormat, filter: &str, color: bool) -> Result<(), LoggingError> {
    let parsed = EnvFilter::try_new(filter)
        .map_err(|source| LoggingError::Filter { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.with_ansi(color).try_init(),
        LogFormat::Json => builder.with_ansi(false).json().flatten_event(true).try_init(),
    }
    .map_err(LoggingError::AlreadySet)
}

/// An error and all its sources, outermost first, joined by `: `. A source that the text so far already ends with (from
/// libraries whose `Display` prints the source) is not repeated.
pub fn error_chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let sources = std::iter::successors(error.source(), |&e| e.source());
    for source in sources.take(MAX_CHAIN) {
        let next = source.to_string();
        if !text.ends_with(&next) {
            // Writing to a string can't fail.
            let _ = write!(text, ": {next}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Error)]
    #[error("cannot start")]
    struct Outer(#[source] Middle);
    #[derive(Debug, Error)]
    #[error("cannot open: {0}")]
    struct Middle(#[source] std::io::Error);

    #[test]
    fn every_source_is_named_once() {
        let error = Outer(Middle(std::io::Error::other("no such disk")));
        assert_eq!(error_chain(&error), "cannot start: cannot open: no such disk");
    }

    #[test]
    fn a_filter_that_does_not_parse_is_refused() {
        let error = init_logging(LogFormat::Text, "x=loudest", false).unwrap_err();
        assert!(matches!(&error, LoggingError::Filter { filter, .. } if filter == "x=loudest"), "{error}");
    }
}
