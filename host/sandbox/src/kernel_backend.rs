//! The backend on real hierarchies: v1, v2 and hybrid differ in the plan of limits and in the files that count, not in
//! the life of a group.

use crate::detect::{Layout, detect};
use crate::devices::{self, Programs};
use crate::kernel_fs::{Folders, words};
use crate::setting::{Facts, Mode, Setting};
use crate::tree::{Tree, check_leaf};
use crate::{
    CgroupBackend, CgroupError, CgroupSettings, CgroupVersion, FoundLease, GpuAccess, GroupUsage, Limits,
};
use crate::{kill, v1, v2};
use hypermesh_model::{EnforcementEntry, EnforcementReceipt, LeaseId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a node without root can do.
pub(crate) const DELEGATE: &str =
    "without root, start the node in a group of its own: a systemd unit or scope with Delegate=yes";

/// Limits held by the kernel.
pub(crate) struct KernelBackend {
    version: CgroupVersion,
    tree: Tree,
    facts: Facts,
    system_root: PathBuf,
    /// Device programs that leases share.
    programs: Programs,
    /// Why a controller could not be opened.
    refused: BTreeMap<String, String>,
}

impl KernelBackend {
    /// Opens what is mounted and writable.
    ///
    /// # Errors
    /// When that is not enough for any limit.
    pub(crate) fn open(settings: &CgroupSettings, folders: Box<dyn Folders>) -> Result<Self, CgroupError> {
        let layout = detect(&settings.system_root)?;
        if layout.version == CgroupVersion::None {
            return Err(CgroupError::Unavailable { reason: "no cgroup hierarchy is mounted".to_owned() });
        }
        let opened = Self::open_layout(&layout, settings, folders);
        if rustix::process::geteuid().is_root() {
            return opened;
        }
        opened.map_err(|error| CgroupError::Unavailable { reason: format!("{}; {DELEGATE}", error.reason()) })
    }

    fn open_layout(
        layout: &Layout,
        settings: &CgroupSettings,
        folders: Box<dyn Folders>,
    ) -> Result<Self, CgroupError> {
        let (parent, node) = (settings.parent.as_deref(), settings.node.as_str());
        let (hierarchies, refused) = match (layout.version, &layout.unified) {
            (CgroupVersion::V2, Some(place)) => {
                (vec![v2::open(place, parent, node, folders.as_ref())?], Vec::new())
            }
            (CgroupVersion::V1 | CgroupVersion::V2 | CgroupVersion::Hybrid | CgroupVersion::None, _) => {
                v1::open_all(layout, parent, node, !settings.gpu_minors.is_empty(), folders.as_ref())
            }
        };
        let backend = Self {
            version: layout.version,
            tree: Tree { folders, hierarchies },
            facts: facts(&settings.system_root),
            system_root: settings.system_root.clone(),
            programs: Programs::default(),
            refused: refused.into_iter().collect(),
        };
        backend.check_usable(layout)?;
        Ok(backend)
    }

    /// A v1 machine without one writable limit enforces nothing.
    fn check_usable(&self, layout: &Layout) -> Result<(), CgroupError> {
        let held =
            |c: &&str| self.tree.hierarchies.iter().any(|h| h.controllers.iter().any(|have| have == *c));
        if self.version == CgroupVersion::V2 || ["cpu", "memory", "pids"].iter().any(held) {
            return Ok(());
        }
        self.tree.close();
        let why = self.refused.values().next().cloned();
        Err(CgroupError::Unavailable {
            reason: why.unwrap_or_else(|| {
                format!("none of cpu, memory and pids is mounted ({} hierarchies are)", layout.v1.len())
            }),
        })
    }

    /// The group's folder for a controller, or why there is none.
    fn holder(&self, controller: &str, lease: &LeaseId, leaf: Option<&str>) -> Result<PathBuf, String> {
        if self.version != CgroupVersion::V2 {
            let why = || self.refused.get(controller).cloned();
            return self.tree.dir_of(controller, lease, leaf).ok_or_else(|| {
                why().unwrap_or_else(|| format!("the {controller} controller is not mounted"))
            });
        }
        let dir = self.tree.unified_dir(lease, leaf).ok_or_else(|| "cgroup2 is not mounted".to_owned())?;
        match words(&dir.join("cgroup.controllers")) {
            Ok(have) if have.iter().any(|c| c == controller) => Ok(dir),
            Ok(have) => Err(format!("{} has no {controller} controller, only {have:?}", dir.display())),
            Err(error) => Err(error.reason()),
        }
    }

    fn enforce(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
        limits: &Limits,
        mode: Mode,
    ) -> Result<EnforcementReceipt, CgroupError> {
        let plan: Vec<Setting> = match self.version {
            CgroupVersion::V2 => v2::plan(limits, self.facts),
            CgroupVersion::V1 | CgroupVersion::Hybrid | CgroupVersion::None => v1::plan(limits, self.facts),
        };
        let mut entries = Vec::with_capacity(plan.len() + 1);
        for setting in &plan {
            entries.extend(match self.holder(setting.controller, lease, leaf) {
                Ok(dir) => setting.settle(&dir, mode)?,
                Err(reason) => setting.unenforced(reason),
            });
        }
        entries.extend(limits.gpus.as_ref().map(|access| self.filter_gpus(lease, leaf, access, mode)));
        let cgroups = self.tree.dirs(lease, leaf).iter().map(|dir| dir.display().to_string()).collect();
        Ok(EnforcementReceipt { cgroup_version: self.version.to_string(), cgroups, entries })
    }

    /// On v1 and hybrid by the devices controller where it can be used, else by a program on the cgroup2 group.
    fn filter_gpus(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
        access: &GpuAccess,
        mode: Mode,
    ) -> EnforcementEntry {
        let v1 = self.tree.dir_of("devices", lease, leaf).map(devices::Place::V1);
        let unified = || self.tree.unified_dir(lease, leaf).map(devices::Place::Unified);
        let place = v1.or_else(unified).unwrap_or_else(|| {
            let why = self.refused.get("devices").cloned();
            devices::Place::Nowhere(
                why.unwrap_or_else(|| "neither v1 devices nor cgroup2 is mounted".to_owned()),
            )
        });
        let (root, folders) = (&self.system_root, self.tree.folders.as_ref());
        devices::settle(root, &place, access, &self.programs, folders, mode)
    }

    /// Fails as missing unless the group exists in the first hierarchy. In another one it may be missing when that was
    /// not used before a restart; what is counted there is then unknown, which is no error.
    fn check_exists(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<(), CgroupError> {
        let Some(dir) = self.tree.hierarchies.first().map(|h| h.dir(lease, leaf)) else { return Ok(()) };
        match std::fs::metadata(&dir) {
            Ok(_) => Ok(()),
            Err(source) => Err(CgroupError::Io { action: "find", path: dir, source }),
        }
    }

    /// Makes a group, lets `fill` set it up, and removes what was made if that fails.
    fn make_filled(
        &self,
        lease: &LeaseId,
        leaf: Option<&str>,
        fill: impl FnOnce() -> Result<EnforcementReceipt, CgroupError>,
    ) -> Result<EnforcementReceipt, CgroupError> {
        let made = self.tree.make(lease, leaf)?;
        fill().inspect_err(|_| self.tree.undo(&made))
    }
}

impl CgroupBackend for KernelBackend {
    fn version(&self) -> CgroupVersion {
        self.version
    }

    fn unavailable_reason(&self) -> Option<String> {
        None
    }

    fn create(
        &self,
        lease: &LeaseId,
        limits: &Limits,
        record: &str,
    ) -> Result<EnforcementReceipt, CgroupError> {
        self.make_filled(lease, None, || {
            if self.version == CgroupVersion::V2
                && let Some(dir) = self.tree.unified_dir(lease, None)
                && let Err(error) = v2::enable(&dir)
            {
                // The lease's own limits do not need it; those of a leaf will say what they lack.
                tracing::warn!(group = %dir.display(), reason = error.reason(), "leaves lack a controller");
            }
            let receipt = self.enforce(lease, None, limits, Mode::Write)?;
            self.tree.save_record(lease, record);
            Ok(receipt)
        })
    }

    fn create_leaf(
        &self,
        lease: &LeaseId,
        leaf: &str,
        limits: Option<&Limits>,
    ) -> Result<EnforcementReceipt, CgroupError> {
        check_leaf(leaf)?;
        let none = Limits::default();
        self.make_filled(lease, Some(leaf), || {
            self.enforce(lease, Some(leaf), limits.unwrap_or(&none), Mode::Write)
        })
    }

    fn join_files(&self, lease: &LeaseId, leaf: &str) -> Vec<PathBuf> {
        self.tree.dirs(lease, Some(leaf)).into_iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    fn usage(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<GroupUsage, CgroupError> {
        leaf.map_or(Ok(()), check_leaf)?;
        self.check_exists(lease, leaf)?;
        match self.tree.unified_dir(lease, leaf) {
            Some(dir) if self.version == CgroupVersion::V2 => v2::usage(&dir),
            Some(_) | None => v1::usage(&self.tree, lease, leaf),
        }
    }

    fn processes(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<Vec<u32>, CgroupError> {
        leaf.map_or(Ok(()), check_leaf)?;
        Ok(self.tree.processes(lease, leaf)?.into_iter().collect())
    }

    fn kill(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<(), CgroupError> {
        leaf.map_or(Ok(()), check_leaf)?;
        kill::kill(&self.tree, lease, leaf)
    }

    fn remove_leaf(&self, lease: &LeaseId, leaf: &str) -> Result<(), CgroupError> {
        check_leaf(leaf)?;
        self.tree.remove(lease, Some(leaf))
    }

    fn remove(&self, lease: &LeaseId) -> Result<(), CgroupError> {
        self.tree.remove(lease, None)
    }

    fn leases(&self) -> Result<Vec<FoundLease>, CgroupError> {
        self.tree.leases()
    }

    fn read_back(&self, lease: &LeaseId, limits: &Limits) -> Result<EnforcementReceipt, CgroupError> {
        self.check_exists(lease, None)?;
        self.enforce(lease, None, limits, Mode::Check)
    }

    fn close(&self) {
        self.tree.close();
    }
}

/// Reads what plans depend on. Swap is there when `/proc/swaps` has a line below its heading.
fn facts(system_root: &Path) -> Facts {
    let swaps = std::fs::read_to_string(system_root.join("proc/swaps")).unwrap_or_default();
    let page_size = u64::try_from(rustix::param::page_size()).unwrap_or(4096);
    Facts { page_size, has_swap: swaps.lines().count() > 1 }
}
