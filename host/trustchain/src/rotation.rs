//! Rotation: certificates replaced by ones with new keys, by policy or on demand.
//!
//! `due` says when, from values alone; `execute` does one; `schedule` asks `due` and does what is due. A key that was made
//! for a policy, with nobody there to take it, is left with its certificate in the policy's folder (mode 0600), from which
//! whoever runs the service takes it: that is what an automatic policy asks for. On demand it is given out once, as at
//! issuing, and kept nowhere.

mod due;
mod execute;
mod policies;
mod schedule;

pub use policies::MAX_POLICIES;

use crate::TrustChain;
use hypermesh_model::{CertificateId, Rotation};

/// Rotations in one list: the newest.
pub const MAX_ROTATIONS: usize = 1000;

impl TrustChain {
    /// The rotations that were done or tried, of one certificate (before or after) or of all, newest first.
    pub fn rotation_history(&self, certificate: Option<&CertificateId>) -> Vec<Rotation> {
        let mut found = self.tables.rotations.filter(|rotation| {
            certificate.is_none_or(|id| {
                rotation.certificate_id == *id || rotation.new_certificate_id.as_ref() == Some(id)
            })
        });
        found.sort_by(|a, b| (b.executed_at, &b.id).cmp(&(a.executed_at, &a.id)));
        found.truncate(MAX_ROTATIONS);
        found
    }
}
