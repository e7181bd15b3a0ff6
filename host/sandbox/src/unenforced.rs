//! The backend for machines without usable cgroups: it keeps no kernel state and never pretends to.
//!
//! Whether a lease may run without limits is its owner's decision; here it only shows in the receipt.

use crate::{CgroupBackend, CgroupError, CgroupVersion, FoundLease, GpuAccess, GroupUsage, Limits};
use hypermesh_model::{EnforcementEntry, EnforcementReceipt, EnforcementState, LeaseId};
use std::path::PathBuf;

/// Enforces nothing, for a reason.
pub(crate) struct Unenforced {
    reason: String,
}

impl Unenforced {
    pub(crate) fn new(reason: String) -> Self {
        Self { reason }
    }

    fn receipt(&self, limits: &Limits) -> EnforcementReceipt {
        let asked = [
            ("cpu", limits.cpu.map(|v| v.to_string())),
            ("memory", limits.memory.map(|v| v.0.to_string())),
            ("pids", limits.pids.map(|v| v.to_string())),
            ("gpu", limits.gpus.as_ref().map(GpuAccess::to_string)),
        ];
        let entry = |(limit, requested): (&str, Option<String>)| {
            Some(EnforcementEntry {
                limit: limit.to_owned(),
                state: EnforcementState::Unenforced,
                requested: requested?,
                actual: None,
                file: None,
                reason: Some(self.reason.clone()),
            })
        };
        EnforcementReceipt {
            cgroup_version: CgroupVersion::None.to_string(),
            cgroups: Vec::new(),
            entries: asked.into_iter().filter_map(entry).collect(),
        }
    }
}

impl CgroupBackend for Unenforced {
    fn version(&self) -> CgroupVersion {
        CgroupVersion::None
    }

    fn unavailable_reason(&self) -> Option<String> {
        Some(self.reason.clone())
    }

    fn create(&self, _: &LeaseId, limits: &Limits, _: &str) -> Result<EnforcementReceipt, CgroupError> {
        Ok(self.receipt(limits))
    }

    fn create_leaf(
        &self,
        _: &LeaseId,
        _: &str,
        limits: Option<&Limits>,
    ) -> Result<EnforcementReceipt, CgroupError> {
        Ok(self.receipt(&limits.cloned().unwrap_or_default()))
    }

    fn join_files(&self, _: &LeaseId, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    fn usage(&self, _: &LeaseId, _: Option<&str>) -> Result<GroupUsage, CgroupError> {
        Ok(GroupUsage::default())
    }

    fn processes(&self, _: &LeaseId, _: Option<&str>) -> Result<Vec<u32>, CgroupError> {
        Ok(Vec::new())
    }

    /// Knows no processes and kills none: without groups a worker is ended through its own [`crate::PidFd`].
    fn kill(&self, _: &LeaseId, _: Option<&str>) -> Result<(), CgroupError> {
        Ok(())
    }

    fn remove_leaf(&self, _: &LeaseId, _: &str) -> Result<(), CgroupError> {
        Ok(())
    }

    fn remove(&self, _: &LeaseId) -> Result<(), CgroupError> {
        Ok(())
    }

    fn leases(&self) -> Result<Vec<FoundLease>, CgroupError> {
        Ok(Vec::new())
    }

    fn read_back(&self, _: &LeaseId, limits: &Limits) -> Result<EnforcementReceipt, CgroupError> {
        Ok(self.receipt(limits))
    }

    fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::{Bytes, MilliCpu};

    #[test]
    fn it_says_of_every_limit_that_nothing_enforces_it() {
        let backend = Unenforced::new("no cgroups".to_owned());
        let limits = Limits {
            cpu: Some(MilliCpu(500)),
            memory: Some(Bytes(1)),
            pids: Some(4),
            gpus: Some(GpuAccess::default()),
        };
        let receipt = backend.create(&LeaseId::generate(), &limits, "").unwrap();
        assert_eq!(receipt.entries.len(), 4);
        assert!(!receipt.is_enforced() && receipt.cgroup_version == "none");
        assert!(
            receipt.entries.iter().all(|e| e.reason.as_deref() == Some("no cgroups") && e.actual.is_none())
        );
    }
}
