//! The backend for machines without usable cgroups: it keeps no kernel state and never pretends to.
//!
//! Whether a lease may run without limits is its owner's decision; here it only shows in the receipt.

use crate::backend::TellOom;
use crate::{
    CgroupBackend, CgroupError, CgroupVersion, FoundLease, GpuAccess, GroupEntry, GroupPressure, GroupUsage,
    Limits,
};
use crate::{cpuset, io};
use hypermesh_model::{Bytes, CpuMode, EnforcementEntry, EnforcementReceipt, EnforcementState, LeaseId};
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
        let mode = |mode: CpuMode| limits.cpu_mode == mode;
        let cpu = || limits.cpu.map(|v| v.to_string());
        let cores =
            limits.pinned().map(|set| cpuset::list(&set.cpus.iter().copied().collect())).unwrap_or_default();
        let asked = [
            ("cpu", cpu().filter(|_| mode(CpuMode::Limited))),
            ("cpu_weight", cpu().filter(|_| mode(CpuMode::Shared))),
            ("cpu_burst", limits.cpu_burst_us.filter(|_| mode(CpuMode::Limited)).map(|v| v.to_string())),
            ("cpuset", mode(CpuMode::Pinned).then_some(cores)),
            ("memory", limits.memory.map(|v| v.0.to_string())),
            ("memory_request", limits.memory_request.map(|v| v.0.to_string())),
            ("pids", limits.pids.map(|v| v.to_string())),
            ("gpu", limits.gpus.as_ref().map(GpuAccess::to_string)),
        ];
        let rates = limits.io.iter().flat_map(io::plan_v2).map(|rate| (rate.limit, Some(rate.value)));
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
            entries: asked.into_iter().chain(rates).filter_map(entry).collect(),
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

    fn limit(&self, _: &LeaseId, limits: &Limits, _: &str) -> Result<EnforcementReceipt, CgroupError> {
        Ok(self.receipt(limits))
    }

    fn resize(
        &self,
        _: &LeaseId,
        limits: &Limits,
        _: bool,
        _: &str,
    ) -> Result<EnforcementReceipt, CgroupError> {
        Ok(self.receipt(limits))
    }

    /// Without groups nothing can be stopped as a whole, and to say that it is would be a lie.
    fn freeze(&self, _: &LeaseId) -> Result<(), CgroupError> {
        Err(CgroupError::Unavailable { reason: self.reason.clone() })
    }

    fn thaw(&self, _: &LeaseId) -> Result<(), CgroupError> {
        Ok(())
    }

    fn is_frozen(&self, _: &LeaseId) -> Result<bool, CgroupError> {
        Ok(false)
    }

    /// There is nothing to move a process into.
    fn attach(&self, _: &LeaseId, _: &str, _: u32) -> Result<(), CgroupError> {
        Err(CgroupError::Unavailable { reason: self.reason.clone() })
    }

    fn share_cpus(&self, _: &[u32]) -> Result<(), CgroupError> {
        Ok(())
    }

    /// Nothing limits memory here, so no lease runs out of its own.
    fn on_oom(&self, _: TellOom) -> Result<(), CgroupError> {
        Ok(())
    }

    fn save_record(&self, _: &LeaseId, _: &str) {}

    fn memory_current(&self, _: &LeaseId) -> Result<Option<Bytes>, CgroupError> {
        Ok(None)
    }

    fn pressure(&self, _: &LeaseId) -> Result<GroupPressure, CgroupError> {
        Ok(GroupPressure::default())
    }

    fn create_leaf(
        &self,
        _: &LeaseId,
        _: &str,
        limits: Option<&Limits>,
    ) -> Result<EnforcementReceipt, CgroupError> {
        Ok(self.receipt(&limits.cloned().unwrap_or_default()))
    }

    fn leaves(&self, _: &LeaseId) -> Result<Vec<String>, CgroupError> {
        Ok(Vec::new())
    }

    fn join_files(&self, _: &LeaseId, _: &str) -> Vec<PathBuf> {
        Vec::new()
    }

    fn entry(&self, _: &LeaseId, _: &str) -> Result<GroupEntry, CgroupError> {
        Ok(GroupEntry::default())
    }

    fn usage(&self, _: &LeaseId, _: Option<&str>) -> Result<GroupUsage, CgroupError> {
        Ok(GroupUsage::default())
    }

    fn throttled_periods(&self, _: &LeaseId) -> Result<Option<u64>, CgroupError> {
        Ok(None)
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

    fn remove_empty(&self, _: &LeaseId, _: &str, _: bool) -> Result<bool, CgroupError> {
        Ok(true)
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
    use crate::IoRule;
    use hypermesh_model::{Bytes, IoLimits, MilliCpu};

    #[test]
    fn it_says_of_every_limit_that_nothing_enforces_it() {
        let backend = Unenforced::new("no cgroups".to_owned());
        let limits = Limits {
            cpu: Some(MilliCpu(500)),
            memory: Some(Bytes(1)),
            pids: Some(4),
            memory_request: Some(Bytes(1)),
            io: Some(IoRule {
                device: (8, 0),
                limits: IoLimits { read_bps: Some(1), write_iops: Some(2), ..IoLimits::default() },
            }),
            gpus: Some(GpuAccess::default()),
            ..Limits::default()
        };
        let receipt = backend.create(&LeaseId::generate(), &limits, "").unwrap();
        assert_eq!(receipt.entries.len(), 7);
        assert!(!receipt.is_enforced() && receipt.cgroup_version == "none");
        assert!(backend.freeze(&LeaseId::generate()).is_err(), "nothing stops");
        assert!(
            receipt.entries.iter().all(|e| e.reason.as_deref() == Some("no cgroups") && e.actual.is_none())
        );
    }
}
