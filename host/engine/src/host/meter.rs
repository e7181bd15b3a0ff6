//! The limit on what a guest may give out: standard output, an HTTP response's body and files together.

use hypermesh_model::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use thiserror::Error;

/// The outputs together would have passed their limit.
#[derive(Debug, Error)]
#[error("the outputs are over the limit of {limit}")]
pub(crate) struct OutputLimitReached {
    pub(crate) limit: Bytes,
}

/// Counts output against its limit. Clones share the count.
#[derive(Debug, Clone)]
pub(crate) struct OutputMeter {
    limit: Bytes,
    written: Arc<AtomicU64>,
}

impl OutputMeter {
    pub(crate) fn new(limit: Bytes) -> Self {
        Self { limit, written: Arc::default() }
    }

    /// Counts bytes before they are written, all or none.
    pub(crate) fn count(&self, length: u64) -> Result<(), OutputLimitReached> {
        // One thread writes; the atomic is there because wasmtime asks for `Send`.
        let written = self.written.load(Ordering::Relaxed).saturating_add(length);
        if written > self.limit.0 {
            return Err(self.reached());
        }
        self.written.store(written, Ordering::Relaxed);
        Ok(())
    }

    /// Counts as many of `length` bytes as fit, and says how many that are.
    pub(crate) fn count_what_fits(&self, length: usize) -> usize {
        let fits = usize::try_from(self.room()).unwrap_or(usize::MAX).min(length);
        self.written.fetch_add(fits as u64, Ordering::Relaxed);
        fits
    }

    fn room(&self) -> u64 {
        self.limit.0.saturating_sub(self.written.load(Ordering::Relaxed))
    }

    pub(crate) fn reached(&self) -> OutputLimitReached {
        OutputLimitReached { limit: self.limit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_never_passes_the_limit() {
        let meter = OutputMeter::new(Bytes(10));
        let shared = meter.clone();
        meter.count(4).unwrap();
        assert_eq!(shared.count_what_fits(3), 3);
        assert!(meter.count(4).is_err(), "all or none");
        assert_eq!(meter.count_what_fits(100), 3);
        assert_eq!(shared.count_what_fits(1), 0);
        meter.count(0).unwrap();
    }
}
