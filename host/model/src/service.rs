//! Services: HTTP guests that the node serves under `/guests/<name>/`, an instance a request, inside a lease.
//!
//! ```text
//! serving ──its lease ends, or somebody ends it──▶ ended
//! ```
//! There is no state in between: a service holds no process while nobody asks it anything, so it serves as soon as its
//! record is written, and again after a restart of the node.

use crate::{
    AssetId, Bytes, CatalogId, FolderGrant, HostGrant, LeaseId, ServiceId, Subject, Timestamp, VmLimits,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use thiserror::Error;

/// Longest name, in bytes: that of a label of a host name and one more.
const MAX_NAME: usize = 64;

/// A text that names no service.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "`{value}` is not a service's name: use 1 to 64 of a-z, 0-9 and '-', starting with a letter or digit"
)]
pub struct InvalidServiceName {
    /// What was given, cut to 80 characters.
    pub value: String,
}

/// The name of a service: a segment of a path that needs no escaping.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceName(String);

impl ServiceName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`InvalidServiceName`] for other characters, another beginning or length.
    pub fn parse(value: impl Into<String>) -> Result<Self, InvalidServiceName> {
        let value = value.into();
        let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let begins = value.bytes().next().is_some_and(is_word);
        if begins && value.len() <= MAX_NAME && value.bytes().all(|b| is_word(b) || b == b'-') {
            Ok(Self(value))
        } else {
            Err(InvalidServiceName { value: value.chars().take(80).collect() })
        }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ServiceName {
    type Error = InvalidServiceName;
    fn try_from(value: String) -> Result<Self, InvalidServiceName> {
        Self::parse(value)
    }
}

impl From<ServiceName> for String {
    fn from(name: ServiceName) -> Self {
        name.0
    }
}

/// How a service treats its requests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceTerms {
    /// Requests at the same time; the lease's memory is shared out among them.
    pub concurrency: u32,
    /// The longest time from giving a request to its guest to the end of the answer, in seconds.
    pub timeout_seconds: u64,
    /// The longest body of a request, and of an answer.
    pub max_body: Bytes,
    /// Folders of the host that each guest is granted.
    pub folders: Vec<FolderGrant>,
    /// Where each guest may connect to.
    pub network: Vec<HostGrant>,
}

/// Whether a service serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// It takes requests while its lease is active.
    Serving,
    /// It takes none any more; its record and its log are kept.
    Ended,
}

/// What became of a service's requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceUsage {
    /// Requests that were given to a guest and have ended.
    pub requests: u64,
    /// Those of them whose answer went out as a whole.
    pub answered: u64,
    /// The others, by what went wrong: the kind of a [`crate::Cause`], or `abandoned` for a caller that went away.
    pub failures: BTreeMap<String, u64>,
    /// Requests that found no room to wait for their turn, or waited too long.
    pub turned_away: u64,
    /// CPU time in nanoseconds, as the kernel counted it in the groups of their workers; `None` before it counted any.
    pub cpu_time_ns: Option<u64>,
    /// Log lines that were dropped because one request had too many.
    pub dropped_log_lines: u64,
}

impl ServiceUsage {
    /// Adds a request that has ended: how it failed, if it did, and the CPU time that it took.
    pub fn add(&mut self, failure: Option<&str>, cpu_time_ns: Option<u64>) {
        self.requests += 1;
        match failure {
            None => self.answered += 1,
            Some(kind) => *self.failures.entry(kind.to_owned()).or_default() += 1,
        }
        if let Some(ns) = cpu_time_ns {
            self.cpu_time_ns = Some(self.cpu_time_ns.unwrap_or(0).saturating_add(ns));
        }
    }
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Service {
    /// Its id, for ever; its folder is named after it.
    pub id: ServiceId,
    /// Its name, which another may take once it has ended.
    pub name: ServiceName,
    /// The vm asset that it was made from.
    pub vm_asset_id: AssetId,
    /// The package whose component answers.
    pub package: CatalogId,
    /// The vm's limits when it was made; of each request.
    pub limits: VmLimits,
    /// The lease that its guests run in.
    pub lease_id: LeaseId,
    /// Whether the lease was made for it and ends with it.
    pub owns_lease: bool,
    /// Who asked for it.
    pub requester: Subject,
    /// How it treats its requests.
    pub terms: ServiceTerms,
    /// Whether it serves.
    pub status: ServiceStatus,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What became of its requests, as of the last record.
    pub usage: ServiceUsage,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_a_segment_of_a_path() {
        for right in ["a", "0", "hello-2", "a--b-", &"x".repeat(64)] {
            assert!(ServiceName::parse(right).is_ok(), "{right}");
        }
        for wrong in ["", "-a", "A", "a.b", "a_b", "a/b", "%61", "é", "a b", "..", &"x".repeat(65)] {
            assert!(ServiceName::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn usage_is_summed_and_what_is_unknown_is_no_zero() {
        let mut usage = ServiceUsage::default();
        usage.add(Some("trap"), None);
        assert_eq!(usage.cpu_time_ns, None);
        usage.add(None, Some(5));
        usage.add(Some("trap"), Some(7));
        usage.add(Some("abandoned"), None);
        assert_eq!((usage.requests, usage.answered, usage.cpu_time_ns), (4, 1, Some(12)));
        assert_eq!(
            usage.failures.into_iter().collect::<Vec<_>>(),
            [("abandoned".into(), 1), ("trap".into(), 2)]
        );
    }

    proptest! {
        #[test]
        fn every_request_is_answered_or_failed(all in proptest::collection::vec(
            (proptest::option::of("[a-c]"), proptest::option::of(0u64..9)), 0..40))
        {
            let mut usage = ServiceUsage::default();
            for (failure, ns) in &all {
                usage.add(failure.as_deref(), *ns);
            }
            prop_assert_eq!(usage.requests, all.len() as u64);
            prop_assert_eq!(usage.answered + usage.failures.values().sum::<u64>(), usage.requests);
        }
    }
}
