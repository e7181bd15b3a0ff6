//! What is counted since the start.

use crate::TrustChain;
use crate::views::Stats;
use std::sync::atomic::{AtomicU64, Ordering};

/// The counters.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) issued: AtomicU64,
    pub(crate) issue_refused: AtomicU64,
    pub(crate) revoked: AtomicU64,
    pub(crate) crl_signed: AtomicU64,
    pub(crate) ocsp_requests: AtomicU64,
    pub(crate) validations: AtomicU64,
    pub(crate) rotations: AtomicU64,
    pub(crate) dns_changes: AtomicU64,
    pub(crate) log_reads: AtomicU64,
    pub(crate) acme_requests: AtomicU64,
}

impl TrustChain {
    /// What there is, and what was done since the start.
    pub fn stats(&self) -> Stats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let dns = self.dns.stats();
        Stats {
            certificates: self.index.len() as u64,
            revocations: self.tables.revocations.len() as u64,
            issued: read(&counters.issued),
            issue_refused: read(&counters.issue_refused),
            revoked: read(&counters.revoked),
            crl_signed: read(&counters.crl_signed),
            ocsp_requests: read(&counters.ocsp_requests),
            validations: read(&counters.validations),
            rotations: read(&counters.rotations),
            dns_records: self.dns.records.len() as u64,
            dns_queries: dns.udp_requests + dns.tcp_requests,
            dns_changes: read(&counters.dns_changes),
            log_entries: self.log.head().size,
            log_reads: read(&counters.log_reads),
            acme_requests: read(&counters.acme_requests),
        }
    }

    /// Counts a request to the log's reading side, which the edge answers from [`TrustChain::log`].
    pub fn count_log_read(&self) {
        self.counters.log_reads.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a request to the ACME server, which the edge hands to [`TrustChain::acme`].
    pub fn count_acme_request(&self) {
        self.counters.acme_requests.fetch_add(1, Ordering::Relaxed);
    }
}
