//! The log: `tracing` events to stderr, as text for people or one JSON object a line for machines.
//!
//! stdout stays free for data. The log walks error chains (`hypermesh_model::error_chain`), since our errors never print their source.

use std::error::Error;
use thiserror::Error;
use tracing_subscriber::EnvFilter;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_does_not_parse_is_refused() {
        let error = init_logging(LogFormat::Text, "x=loudest", false).unwrap_err();
        assert!(matches!(&error, LoggingError::Filter { filter, .. } if filter == "x=loudest"), "{error}");
    }
}
