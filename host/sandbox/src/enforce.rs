//! From limits to a receipt: the plan for this kernel interface, each setting written or only compared in the group that
//! has its controller, and what no single file can say. A group that is missing a controller is no failure: the entry
//! says why.

use crate::kernel_backend::KernelBackend;
use crate::kernel_fs::words;
use crate::setting::{Mode, Setting};
use crate::{CgroupError, CgroupVersion, Limits, io, v1, v2};
use hypermesh_model::{EnforcementEntry, EnforcementReceipt, EnforcementState, LeaseId};
use std::path::PathBuf;

impl KernelBackend {
    /// The group's folder for a controller, or why there is none.
    pub(crate) fn holder(
        &self,
        controller: &str,
        lease: &LeaseId,
        leaf: Option<&str>,
    ) -> Result<PathBuf, String> {
        self.holder_in(self.handed(lease, leaf).as_ref(), controller, lease, leaf)
    }

    /// v2: the controllers that a group has.
    fn handed(&self, lease: &LeaseId, leaf: Option<&str>) -> Option<Result<Vec<String>, String>> {
        let dir = self.tree.unified_dir(lease, leaf).filter(|_| self.version == CgroupVersion::V2)?;
        Some(words(&dir.join("cgroup.controllers")).map_err(|error| error.reason()))
    }

    fn holder_in(
        &self,
        handed: Option<&Result<Vec<String>, String>>,
        controller: &str,
        lease: &LeaseId,
        leaf: Option<&str>,
    ) -> Result<PathBuf, String> {
        let Some(handed) = handed else {
            let why = || self.refused.get(controller).cloned();
            return self.tree.dir_of(controller, lease, leaf).ok_or_else(|| {
                why().unwrap_or_else(|| format!("the {controller} controller is not mounted"))
            });
        };
        let dir = self.tree.unified_dir(lease, leaf).ok_or_else(|| "cgroup2 is not mounted".to_owned())?;
        let have = handed.as_ref().map_err(String::clone)?;
        if have.iter().any(|c| c == controller) {
            Ok(dir)
        } else {
            Err(format!("{} has no {controller} controller, only {have:?}", dir.display()))
        }
    }

    pub(crate) fn enforce(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
        limits: &Limits,
        mode: Mode,
    ) -> Result<EnforcementReceipt, CgroupError> {
        let plan: Vec<Setting> = match self.version {
            CgroupVersion::V2 => v2::plan(limits, &self.facts),
            CgroupVersion::V1 | CgroupVersion::Hybrid | CgroupVersion::None => v1::plan(limits, &self.facts),
        };
        let handed = self.handed(lease, leaf);
        let mut entries = Vec::with_capacity(plan.len() + 2);
        entries.extend(self.pin(lease, leaf, limits, mode)?);
        for setting in &plan {
            entries.extend(match self.holder_in(handed.as_ref(), setting.controller, lease, leaf) {
                Ok(dir) => setting.settle(&dir, mode)?,
                Err(reason) => setting.unenforced(reason),
            });
        }
        self.check_rates(lease, leaf, &mut entries)?;
        entries.extend(limits.gpus.as_ref().map(|access| self.filter_gpus(lease, leaf, access, mode)));
        let cgroups = self.tree.joined(lease, leaf).iter().map(|dir| dir.display().to_string()).collect();
        Ok(EnforcementReceipt { cgroup_version: self.version.to_string(), cgroups, entries })
    }

    /// v1: rates hold only for processes that are directly in the group.
    fn check_rates(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
        entries: &mut [EnforcementEntry],
    ) -> Result<(), CgroupError> {
        let is_rate = |entry: &&mut EnforcementEntry| entry.limit.starts_with("io_") && entry.file.is_some();
        let mut rates = entries.iter_mut().filter(is_rate).peekable();
        if rates.peek().is_none() {
            return Ok(());
        }
        let Some(dir) = self.tree.dir_of("blkio", lease, leaf) else { return Ok(()) };
        if let Some(reason) = io::beside_rates(&dir)? {
            for entry in rates {
                (entry.state, entry.reason) = (EnforcementState::Unenforced, Some(reason.clone()));
            }
        }
        Ok(())
    }
}
