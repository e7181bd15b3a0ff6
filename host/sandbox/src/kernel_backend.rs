//! The backend on real hierarchies: v1, v2 and hybrid differ in the plan of limits and in the files that count, not in
//! the life of a group. What changes a live lease is in `resize`, `attach`, `freeze`, `kill`, `cpuset`.

use crate::backend::TellOom;
use crate::cpuset::Cpus;
use crate::detect::{Layout, detect};
use crate::devices::{self, Programs};
use crate::kernel_fs::{Folders, number, write};
use crate::oom::OomWatch;
use crate::reserve::{Reserved, kept_by};
use crate::setting::{Facts, Mode};
use crate::tree::{Tree, check_leaf};
use crate::{CgroupBackend, CgroupError, CgroupSettings, CgroupVersion, FoundLease};
use crate::{GpuAccess, GroupEntry, GroupPressure, GroupUsage, Limits};
use crate::{attach, cpuset, freeze, kill, pressure, resize, usage, v1, v2};
use hypermesh_model::{Bytes, EnforcementEntry, EnforcementReceipt, LeaseId};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// What a node without root can do.
pub(crate) const DELEGATE: &str =
    "without root, start the node in a group of its own: a systemd unit or scope with Delegate=yes";

/// Limits held by the kernel.
pub(crate) struct KernelBackend {
    pub(crate) version: CgroupVersion,
    pub(crate) system_root: PathBuf,
    pub(crate) tree: Tree,
    pub(crate) facts: Facts,
    /// Device programs that leases share.
    programs: Programs,
    /// The CPUs of leases that are not pinned; `None` for all.
    pub(crate) shared: Mutex<Option<Cpus>>,
    /// v2: the memory that leases ask to keep.
    pub(crate) reserved: Option<Reserved>,
    oom: Mutex<Option<OomWatch>>,
    /// Why a controller could not be opened.
    pub(crate) refused: BTreeMap<String, String>,
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
        let tree = Tree { folders, hierarchies };
        let unified =
            tree.hierarchies.first().filter(|_| layout.version == CgroupVersion::V2).map(|h| &h.node);
        let cores = tree.of("cpuset").map(|hierarchy| &hierarchy.node).or(unified);
        let backend = Self {
            version: layout.version,
            system_root: settings.system_root.clone(),
            facts: facts(&settings.system_root, &tree, unified),
            shared: Mutex::new(cores.and_then(|node| cpuset::earlier_shared(node))),
            reserved: unified.map(|node| Reserved::open(node)).transpose()?,
            tree,
            programs: Programs::default(),
            oom: Mutex::new(None),
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

    /// On v1 and hybrid by the devices controller where it can be used, else by a program on the cgroup2 group.
    pub(crate) fn filter_gpus(
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
    pub(crate) fn check_exists(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<(), CgroupError> {
        let Some(dir) = self.tree.hierarchies.first().map(|h| h.dir(lease, leaf)) else { return Ok(()) };
        match std::fs::metadata(&dir) {
            Ok(_) => Ok(()),
            Err(source) => Err(CgroupError::Io { action: "find", path: dir, source }),
        }
    }

    /// v1: hears when the lease runs out of memory, if somebody wants to.
    pub(crate) fn watch_memory(&self, lease: &LeaseId, dir: &Path) -> Result<(), CgroupError> {
        let oom = self.oom.lock().unwrap_or_else(PoisonError::into_inner);
        oom.as_ref().map_or(Ok(()), |oom| oom.watch(lease, dir))
    }

    fn forget_memory(&self, lease: &LeaseId) {
        if let Some(oom) = self.oom.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            oom.forget(lease);
        }
    }

    /// Removes a lease's groups, if they can be, with all that is known of them.
    fn removing(
        &self,
        lease: &LeaseId,
        remove: impl FnOnce(&Tree) -> Result<bool, CgroupError>,
    ) -> Result<bool, CgroupError> {
        let kept = match (&self.reserved, self.tree.unified_dir(lease, None)) {
            (Some(all), Some(dir)) if !all.is_empty() => Reserved::of(&dir)?,
            (_, _) => 0,
        };
        self.forget_memory(lease);
        let removed = remove(&self.tree);
        if matches!(removed, Ok(true)) {
            self.reserved.as_ref().map_or(Ok(()), |all| all.change(kept, 0))?;
        } else if let Some(dir) = self.tree.dir_of("memory", lease, None) {
            // It lives on, in part at least.
            match self.watch_memory(lease, &dir) {
                Err(error) if !error.is_missing() => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        removed
    }

    /// Fills a lease's new group.
    fn fill_lease(&self, lease: &LeaseId, limits: &Limits) -> Result<EnforcementReceipt, CgroupError> {
        if self.version == CgroupVersion::V2
            && let Some(dir) = self.tree.unified_dir(lease, None)
            && let Err(error) = v2::enable_for_leaves(&dir)
        {
            // The lease's own limits do not need it; those of a leaf will say what they lack.
            tracing::warn!(group = %dir.display(), reason = error.reason(), "leaves lack a controller");
        }
        if limits.pinned().is_none() {
            self.join_share(lease)?;
        }
        let receipt = self.enforce(lease, None, limits, Mode::Write)?;
        if let (Some(all), Some(dir)) = (&self.reserved, self.tree.unified_dir(lease, None))
            && limits.memory_request.is_some()
        {
            all.change(0, Reserved::of(&dir)?)?;
        }
        if limits.memory.is_some()
            && let Some(dir) = self.tree.dir_of("memory", lease, None)
        {
            self.watch_memory(lease, &dir)?;
        }
        Ok(receipt)
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
        let made = self.tree.make(lease, None, &v1::wanted(limits))?;
        // One that was there already may hold other limits, whose order matters.
        let is_new = made.first() == self.tree.dirs(lease, None).first();
        let filled = if is_new {
            self.fill_lease(lease, limits)
        } else {
            resize::rewrite(self, lease, limits, true)
                .and_then(|()| self.enforce(lease, None, limits, Mode::Check))
        };
        let receipt = filled.inspect_err(|_| {
            self.forget_memory(lease);
            self.tree.undo(&made);
        })?;
        self.tree.save_record(lease, record);
        Ok(receipt)
    }

    fn limit(
        &self,
        lease: &LeaseId,
        limits: &Limits,
        record: &str,
    ) -> Result<EnforcementReceipt, CgroupError> {
        self.check_exists(lease, None)?;
        let wanted = v1::wanted(limits);
        if !wanted.is_empty() {
            self.tree.make(lease, None, &wanted)?;
        }
        let receipt = self.fill_lease(lease, limits)?;
        self.tree.save_record(lease, record);
        Ok(receipt)
    }

    fn resize(
        &self,
        lease: &LeaseId,
        limits: &Limits,
        force: bool,
        record: &str,
    ) -> Result<EnforcementReceipt, CgroupError> {
        resize::resize(self, lease, limits, force, record)
    }

    fn freeze(&self, lease: &LeaseId) -> Result<(), CgroupError> {
        self.check_exists(lease, None)?;
        freeze::freeze(&self.tree, lease)
    }

    fn thaw(&self, lease: &LeaseId) -> Result<(), CgroupError> {
        self.check_exists(lease, None)?;
        freeze::thaw(&self.tree, lease)
    }

    fn is_frozen(&self, lease: &LeaseId) -> Result<bool, CgroupError> {
        self.check_exists(lease, None)?;
        freeze::is_frozen(&self.tree, lease)
    }

    fn attach(&self, lease: &LeaseId, leaf: &str, pid: u32) -> Result<(), CgroupError> {
        check_leaf(leaf)?;
        attach::attach(self, lease, leaf, pid)
    }

    fn share_cpus(&self, cpus: &[u32]) -> Result<(), CgroupError> {
        self.set_shared(cpus)
    }

    fn save_record(&self, lease: &LeaseId, record: &str) {
        self.tree.save_record(lease, record);
    }

    fn memory_current(&self, lease: &LeaseId) -> Result<Option<Bytes>, CgroupError> {
        let (dir, file) = match self.version {
            CgroupVersion::V2 => (self.tree.unified_dir(lease, None), "memory.current"),
            CgroupVersion::V1 | CgroupVersion::Hybrid | CgroupVersion::None => {
                (self.tree.dir_of("memory", lease, None), "memory.usage_in_bytes")
            }
        };
        let Some(dir) = dir else { return Ok(None) };
        Ok(number(&dir.join(file))?.map(Bytes))
    }

    fn on_oom(&self, tell: TellOom) -> Result<(), CgroupError> {
        let mut oom = self.oom.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(oom) = oom.as_ref() {
            oom.tell(tell);
            return Ok(());
        }
        let watch = match self.tree.hierarchies.first() {
            Some(only) if self.version == CgroupVersion::V2 => match OomWatch::on_v2(tell, &only.node) {
                // Without the memory controller no lease has a limit to run into.
                Err(error) if error.is_missing() => return Ok(()),
                watch => watch?,
            },
            Some(_) | None => OomWatch::on_v1(tell)?,
        };
        if let Some(hierarchy) = self.tree.of("memory") {
            for found in self.tree.leases()? {
                let Ok(lease) = LeaseId::parse(found.id) else { continue };
                watch.watch(&lease, &hierarchy.dir(&lease, None))?;
            }
        }
        *oom = Some(watch);
        Ok(())
    }

    fn pressure(&self, lease: &LeaseId) -> Result<GroupPressure, CgroupError> {
        self.check_exists(lease, None)?;
        match self.tree.unified_dir(lease, None) {
            Some(dir) => pressure::pressure(&dir),
            None => Ok(GroupPressure::default()),
        }
    }

    fn create_leaf(
        &self,
        lease: &LeaseId,
        leaf: &str,
        limits: Option<&Limits>,
    ) -> Result<EnforcementReceipt, CgroupError> {
        check_leaf(leaf)?;
        let none = Limits::default();
        let made = self.tree.make(lease, Some(leaf), &[])?;
        let low = self.tree.unified_dir(lease, Some(leaf)).filter(|_| self.version == CgroupVersion::V2);
        // All that the lease keeps is for its leaves; where `memory_recursiveprot` is mounted it is so anyway.
        let kept = low.map_or(Ok(()), |dir| match write(&dir.join("memory.low"), "max") {
            Err(error) if error.is_missing() => Ok(()),
            written => written,
        });
        kept.and_then(|()| self.enforce(lease, Some(leaf), limits.unwrap_or(&none), Mode::Write))
            .inspect_err(|_| self.tree.undo(&made))
    }

    fn join_files(&self, lease: &LeaseId, leaf: &str) -> Vec<PathBuf> {
        self.tree.joined(lease, Some(leaf)).into_iter().map(|dir| dir.join("cgroup.procs")).collect()
    }

    fn entry(&self, lease: &LeaseId, leaf: &str) -> Result<GroupEntry, CgroupError> {
        check_leaf(leaf)?;
        self.tree.entry(lease, leaf)
    }

    fn usage(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<GroupUsage, CgroupError> {
        leaf.map_or(Ok(()), check_leaf)?;
        self.check_exists(lease, leaf)?;
        match self.tree.unified_dir(lease, leaf) {
            Some(dir) if self.version == CgroupVersion::V2 => usage::on_v2(&dir),
            Some(_) | None => usage::on_v1(&self.tree, lease, leaf),
        }
    }

    fn throttled_periods(&self, lease: &LeaseId) -> Result<Option<u64>, CgroupError> {
        match self.tree.unified_dir(lease, None) {
            Some(dir) if self.version == CgroupVersion::V2 => usage::throttled_on_v2(&dir),
            Some(_) | None => usage::throttled_on_v1(&self.tree, lease),
        }
    }

    fn processes(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<Vec<u32>, CgroupError> {
        leaf.map_or(Ok(()), check_leaf)?;
        Ok(self.tree.processes(lease, leaf)?.into_iter().collect())
    }

    fn leaves(&self, lease: &LeaseId) -> Result<Vec<String>, CgroupError> {
        Ok(self.tree.leaves(lease)?.into_iter().collect())
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
        self.removing(lease, |tree| tree.remove(lease, None).map(|()| true)).map(drop)
    }

    fn remove_empty(&self, lease: &LeaseId, leaf: &str, whole: bool) -> Result<bool, CgroupError> {
        check_leaf(leaf)?;
        let removed = self.tree.remove_empty(lease, Some(leaf))?;
        if removed && whole {
            self.removing(lease, |tree| tree.remove_empty(lease, None))
        } else {
            Ok(removed)
        }
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

/// Reads what plans depend on; `unified` is the node's folder on v2. Swap is there when `/proc/swaps` has a line below
/// its heading.
fn facts(system_root: &Path, tree: &Tree, unified: Option<&PathBuf>) -> Facts {
    let swaps = std::fs::read_to_string(system_root.join("proc/swaps")).unwrap_or_default();
    Facts {
        page_size: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
        has_swap: swaps.lines().count() > 1,
        mems: tree.of("cpuset").map(|h| cpuset::mems(&h.node)).unwrap_or_default(),
        kept_above: unified.and_then(|node| node.ancestors().nth(2)).and_then(kept_by),
    }
}
