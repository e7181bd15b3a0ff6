//! What a service was asked since it started, in numbers that cost an addition each.
//!
//! The metrics of `telemetry` say the same by route, for Prometheus; these are the sums that the contract's `/stats` gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Counters of one service. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Traffic(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    successful: AtomicU64,
    failed: AtomicU64,
    limited: AtomicU64,
    micros: AtomicU64,
    open: AtomicU64,
    authority: AtomicU64,
    log: AtomicU64,
    names: AtomicU64,
}

/// Which part of TrustChain a request is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Authority,
    Log,
    Names,
}

/// Which part a path is about; `None` for the service itself, its documents and its health.
fn part(path: &str) -> Option<Part> {
    const LOG: [&str; 5] = ["/ct/", "/tile/", "/issuer/", "/log/", "/checkpoint"];
    const AUTHORITY: [&str; 8] = [
        "/api/v1/certificates",
        "/api/v1/trust",
        "/api/v1/rotation",
        "/auth/",
        "/crl/",
        "/ocsp",
        "/ca/",
        "/acme/",
    ];
    let begins = |prefixes: &[&str]| prefixes.iter().any(|prefix| path.starts_with(prefix));
    if begins(&LOG) {
        Some(Part::Log)
    } else if begins(&AUTHORITY) {
        Some(Part::Authority)
    } else if path.starts_with("/api/v1/dns") {
        Some(Part::Names)
    } else {
        None
    }
}

impl Traffic {
    /// Counts an answer.
    pub(crate) fn answered(&self, path: &str, status: u16, took: Duration) {
        let counters = &*self.0;
        let outcome = if status < 400 { &counters.successful } else { &counters.failed };
        outcome.fetch_add(1, Relaxed);
        if status == 429 {
            counters.limited.fetch_add(1, Relaxed);
        }
        counters.micros.fetch_add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Relaxed);
        let part = match part(path) {
            Some(Part::Authority) => &counters.authority,
            Some(Part::Log) => &counters.log,
            Some(Part::Names) => &counters.names,
            None => return,
        };
        part.fetch_add(1, Relaxed);
    }

    /// Counts a connection for as long as what it gives is held.
    pub(crate) fn opened(&self) -> Open {
        self.0.open.fetch_add(1, Relaxed);
        Open(Arc::clone(&self.0))
    }

    /// The numbers now.
    pub(crate) fn read(&self) -> Numbers {
        let counters = &*self.0;
        let (successful, failed) = (counters.successful.load(Relaxed), counters.failed.load(Relaxed));
        Numbers {
            successful,
            failed,
            limited: counters.limited.load(Relaxed),
            mean: mean(counters.micros.load(Relaxed), successful + failed),
            open: counters.open.load(Relaxed),
            authority: counters.authority.load(Relaxed),
            log: counters.log.load(Relaxed),
            names: counters.names.load(Relaxed),
        }
    }
}

/// Milliseconds of one of `count` that took `micros` together; 0 for none.
#[expect(clippy::cast_precision_loss, reason = "a mean needs no more than 52 bits")]
fn mean(micros: u64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { micros as f64 / count as f64 / 1000.0 }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open(Arc<Counters>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

/// What was counted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Numbers {
    /// Answers with a status below 400.
    pub(crate) successful: u64,
    /// Other answers.
    pub(crate) failed: u64,
    /// Answers 429.
    pub(crate) limited: u64,
    /// Mean time to an answer, milliseconds.
    pub(crate) mean: f64,
    /// Connections that are open.
    pub(crate) open: u64,
    /// Requests about certificates.
    pub(crate) authority: u64,
    /// Requests to the transparency log.
    pub(crate) log: u64,
    /// Requests about DNS.
    pub(crate) names: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_outcome_and_part() {
        let traffic = Traffic::default();
        let open = traffic.opened();
        for (path, status) in [
            ("/api/v1/certificates", 201),
            ("/ocsp", 200),
            ("/ct/v1/get-sth", 200),
            ("/tile/0/000", 404),
            ("/api/v1/dns/records", 400),
            ("/health", 200),
            ("/acme/new-order", 429),
        ] {
            traffic.answered(path, status, Duration::from_millis(2));
        }
        let seen = traffic.read();
        assert_eq!((seen.successful, seen.failed, seen.limited), (4, 3, 1));
        assert_eq!((seen.authority, seen.log, seen.names, seen.open), (3, 2, 1, 1));
        assert!((seen.mean - 2.0).abs() < 0.001);
        drop(open);
        assert_eq!(traffic.read().open, 0);
    }
}
