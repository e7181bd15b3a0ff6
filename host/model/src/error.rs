//! Errors as text, for a log or another place that holds nothing else.

use std::error::Error;
use std::fmt::Write;

/// Sources that are followed; a longer chain is a cycle.
const MAX_CHAIN: usize = 32;

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
    use thiserror::Error;

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
}
