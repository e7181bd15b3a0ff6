//! The one interface to cgroups, and the choice of what is behind it.
//!
//! Calls block for microseconds (kernel memory, no disk) except [`CgroupBackend::kill`], `remove` and `freeze`, which
//! wait for processes, `attach`, which may try again for 0.2 s a hierarchy, and a `resize` that shrinks memory, which
//! waits for reclaim; call those from a blocking thread.

use crate::kernel_backend::KernelBackend;
use crate::kernel_fs::KernelFolders;
use crate::unenforced::Unenforced;
use crate::{CgroupError, CgroupSettings, CgroupVersion, FoundLease, GroupPressure, GroupUsage, Limits};
use hypermesh_model::{Bytes, EnforcementReceipt, LeaseId};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// Who hears of leases that ran out of memory; called on a thread of the backend's, so it should only pass it on.
pub type TellOom = Arc<dyn Fn(LeaseId) + Send + Sync>;

/// The way into a leaf, as descriptors: for a process that finds no path, and is put there before it runs.
#[derive(Debug, Default)]
pub struct GroupEntry {
    /// Its cgroup2 folder, for clone3(2) with CLONE_INTO_CGROUP.
    pub into: Option<OwnedFd>,
    /// `cgroup.procs` of its v1 groups, open for writing: a process that writes `0` joins.
    pub join: Vec<OwnedFd>,
}

/// Groups of leases and their leaves.
///
/// A method fails with [`CgroupError`] naming the file; a lease that does not exist is `is_missing()`.
pub trait CgroupBackend: Send + Sync {
    /// What holds the limits.
    fn version(&self) -> CgroupVersion;

    /// Why nothing is enforced; `None` when the kernel enforces.
    fn unavailable_reason(&self) -> Option<String>;

    /// Makes the lease's group, writes its limits, reads them back and saves `record` as an extended attribute where
    /// the kernel lets it. Doing it again with the same limits changes nothing.
    ///
    /// # Errors
    /// When the kernel refuses a group or a value; what this call made is removed again. A limit that the kernel has
    /// no file for is no error: its entry is `Unenforced` and says why.
    fn create(
        &self,
        lease: &LeaseId,
        limits: &Limits,
        record: &str,
    ) -> Result<EnforcementReceipt, CgroupError>;

    /// Gives limits to a lease that `create` made without any, and that nobody has changed since. Does what `create`
    /// of it would do, without reading first what it holds.
    ///
    /// # Errors
    /// As for `create`; the group stays then, and may hold some of the limits.
    fn limit(
        &self,
        lease: &LeaseId,
        limits: &Limits,
        record: &str,
    ) -> Result<EnforcementReceipt, CgroupError>;

    /// Changes the limits of a live lease, in the order that the kernel needs, reads them back and saves `record`. What
    /// `limits` does not name is no limit any more. All or nothing: on failure the old limits are written again.
    ///
    /// Memory is never taken below 1.05 times the working set, nor processes below their number, unless `force`d; then
    /// memory is reclaimed first. What can't be reclaimed is killed on v2; v1 refuses.
    /// GPUs can only be taken away: on v1 the filter of a device that is granted later stays.
    ///
    /// # Errors
    /// [`CgroupError::InUse`]; as for `create`, and when the lease has no group.
    fn resize(
        &self,
        lease: &LeaseId,
        limits: &Limits,
        force: bool,
        record: &str,
    ) -> Result<EnforcementReceipt, CgroupError>;

    /// Stops all processes of the lease and returns when the kernel says that they are. Doing it again is `Ok`. A frozen
    /// lease keeps its memory, can be killed, resized and counted.
    ///
    /// # Errors
    /// [`CgroupError::NotFrozen`] when they did not stop in time (2 s), e.g. in uninterruptible sleep; the lease is
    /// thawed then. And when the lease has no group.
    fn freeze(&self, lease: &LeaseId) -> Result<(), CgroupError>;

    /// Lets them run on. Doing it again is `Ok`.
    ///
    /// # Errors
    /// When the lease has no group.
    fn thaw(&self, lease: &LeaseId) -> Result<(), CgroupError>;

    /// Whether all processes of the lease are stopped.
    ///
    /// # Errors
    /// When the lease has no group.
    fn is_frozen(&self, lease: &LeaseId) -> Result<bool, CgroupError>;

    /// Moves a running process with all its threads into a leaf that is made for it; its children stay where they are.
    /// Memory that it has stays charged to where it was, devices that it holds open stay open
    /// (`Documentation/admin-guide/cgroup-v2.rst`, "Memory Ownership"). On failure it is moved back.
    ///
    /// # Errors
    /// [`CgroupError::NoProcess`], [`CgroupError::NotAttachable`] for process 1, this one and the kernel's own; as for
    /// `create_leaf`, and when the kernel refuses the move.
    fn attach(&self, lease: &LeaseId, leaf: &str, pid: u32) -> Result<(), CgroupError>;

    /// The logical CPUs on which leases that are not pinned run, now and those to come; survives the node where the
    /// kernel keeps it. To be told before a lease is pinned to others: only then is its receipt `Enforced`.
    ///
    /// # Errors
    /// [`CgroupError::NoSharedCpu`], and when the kernel refuses the CPUs; what was before holds then.
    fn share_cpus(&self, cpus: &[u32]) -> Result<(), CgroupError>;

    /// From now on `tell` hears of each lease in which a process was killed for memory, as soon as the kernel says so,
    /// perhaps more than once. It ends the lease; on v2 the kernel has killed all of it already. Leases that exist, e.g.
    /// after a restart, are watched from now on, new ones by `create`. What happened while nobody watched shows in
    /// [`GroupUsage::oom_kills`]. A second call replaces `tell`. A leaf that runs into a limit of its own is told of on v2
    /// only.
    ///
    /// v1 needs a descriptor a lease; the soft limit on open files is raised to the hard one here, and a lease that can't
    /// be watched is an error of `create`. v2 needs one in all.
    ///
    /// # Errors
    /// When a lease cannot be watched.
    fn on_oom(&self, tell: TellOom) -> Result<(), CgroupError>;

    /// Saves another record with the lease's group, where the kernel keeps one.
    fn save_record(&self, lease: &LeaseId, record: &str);

    /// Memory of the lease now, page cache included: one file, where `usage` reads about ten. `None`: not counted.
    ///
    /// # Errors
    /// When the file cannot be read.
    fn memory_current(&self, lease: &LeaseId) -> Result<Option<Bytes>, CgroupError>;

    /// How much the lease waits for CPU, memory and I/O.
    ///
    /// # Errors
    /// When the lease has no group or a file cannot be read.
    fn pressure(&self, lease: &LeaseId) -> Result<GroupPressure, CgroupError>;

    /// Makes a leaf, with limits tighter than the lease's if given. The receipt is about the leaf's own limits.
    ///
    /// # Errors
    /// As for `create`, and when the lease has no group or the name is not one path component.
    fn create_leaf(
        &self,
        lease: &LeaseId,
        leaf: &str,
        limits: Option<&Limits>,
    ) -> Result<EnforcementReceipt, CgroupError>;

    /// The names of the lease's leaves, sorted; none when there is no such group.
    ///
    /// # Errors
    /// When a folder cannot be read.
    fn leaves(&self, lease: &LeaseId) -> Result<Vec<String>, CgroupError>;

    /// The files to which a process writes `0` to join the leaf. All of them, in this order.
    fn join_files(&self, lease: &LeaseId, leaf: &str) -> Vec<PathBuf>;

    /// The same way in, as descriptors. All of them.
    ///
    /// # Errors
    /// When the leaf does not exist.
    fn entry(&self, lease: &LeaseId, leaf: &str) -> Result<GroupEntry, CgroupError>;

    /// What the kernel has counted, for the lease or one leaf.
    ///
    /// # Errors
    /// When the group does not exist or a file cannot be read.
    fn usage(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<GroupUsage, CgroupError>;

    /// How often the lease's CPU quota held it back: two files, where `usage` reads about ten. `None`: it has no quota.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn throttled_periods(&self, lease: &LeaseId) -> Result<Option<u64>, CgroupError>;

    /// The processes in a leaf, or in all leaves; empty when there is no such group. Sorted.
    ///
    /// # Errors
    /// When a file cannot be read.
    fn processes(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<Vec<u32>, CgroupError>;

    /// Kills every process of the leaf or lease and returns when none is left. No such group is `Ok`.
    ///
    /// # Errors
    /// [`CgroupError::StillPopulated`] when some outlive the deadline (10 s), e.g. in uninterruptible sleep.
    fn kill(&self, lease: &LeaseId, leaf: Option<&str>) -> Result<(), CgroupError>;

    /// Removes a leaf; processes that are exiting are waited for (2 s). A missing one is `Ok`.
    ///
    /// # Errors
    /// When processes live in it.
    fn remove_leaf(&self, lease: &LeaseId, leaf: &str) -> Result<(), CgroupError>;

    /// Removes the lease's group with everything below it, as `remove_leaf` does.
    ///
    /// # Errors
    /// When processes live in it.
    fn remove(&self, lease: &LeaseId) -> Result<(), CgroupError>;

    /// Removes a leaf, and with `whole` its lease, where nothing lives in them: a call a folder, and no wait. `false`:
    /// something does, and what could be removed is gone.
    ///
    /// # Errors
    /// When the kernel refuses for another reason.
    fn remove_empty(&self, lease: &LeaseId, leaf: &str, whole: bool) -> Result<bool, CgroupError>;

    /// The leases that the kernel's tree holds for this node, sorted by id.
    ///
    /// # Errors
    /// When the tree cannot be read.
    fn leases(&self) -> Result<Vec<FoundLease>, CgroupError>;

    /// A new receipt from what the kernel holds now, compared with `limits`. Writes no limit.
    ///
    /// # Errors
    /// When the group does not exist or a file cannot be read.
    fn read_back(&self, lease: &LeaseId, limits: &Limits) -> Result<EnforcementReceipt, CgroupError>;

    /// Removes the node's folder and `hypermesh` above it where they are empty. Best effort, at a clean stop.
    fn close(&self);
}

/// Opens what the machine offers. Never fails: without usable cgroups the backend enforces nothing and says why.
pub fn open(settings: CgroupSettings) -> Arc<dyn CgroupBackend> {
    match KernelBackend::open(&settings, Box::new(KernelFolders)) {
        Ok(backend) => Arc::new(backend),
        Err(error) => Arc::new(Unenforced::new(error.reason())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::NodeId;

    fn reason(mountinfo: &str) -> String {
        let root = tempfile::tempdir().unwrap();
        let procfs = root.path().join("proc/self");
        std::fs::create_dir_all(&procfs).unwrap();
        std::fs::write(procfs.join("mountinfo"), mountinfo).unwrap();
        std::fs::write(procfs.join("cgroup"), "3:cpu:/\n0::/\n").unwrap();
        let node = NodeId::generate();
        let system_root = root.path().to_owned();
        let backend = open(CgroupSettings { system_root, parent: None, node, gpu_minors: vec![] });
        assert_eq!(backend.version(), CgroupVersion::None);
        backend.unavailable_reason().unwrap()
    }

    /// On v1 a login session may have a group in one hierarchy and not in another.
    #[test]
    fn each_hierarchy_keeps_the_group_of_an_earlier_start() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| std::fs::write(root.path().join(path), text).unwrap();
        let cgroups = root.path().join("sys/fs/cgroup");
        for folder in ["proc/self", "sys/fs/cgroup/memory/a", "sys/fs/cgroup/memory/b", "sys/fs/cgroup/pids"]
        {
            std::fs::create_dir_all(root.path().join(folder)).unwrap();
        }
        let mounts =
            ["memory", "pids"].map(|c| format!("1 2 0:1 / /sys/fs/cgroup/{c} rw - cgroup cgroup rw,{c}"));
        write("proc/self/mountinfo", &mounts.join("\n"));
        let node = NodeId::generate();
        let start = |memory: &str| {
            write("proc/self/cgroup", &format!("2:pids:/\n1:memory:{memory}\n"));
            let (system_root, node) = (root.path().to_owned(), node.clone());
            open(CgroupSettings { system_root, parent: None, node, gpu_minors: vec![] })
        };
        let lease = LeaseId::generate();
        let files = |backend: &dyn CgroupBackend| backend.join_files(&lease, "exec-1");
        let first = start("/a");
        let joined = files(first.as_ref());
        assert!(
            joined[0].starts_with(cgroups.join("memory/a")) && joined[1].starts_with(cgroups.join("pids"))
        );
        first.create(&lease, &Limits::default(), "").unwrap();
        let second = start("/b");
        assert_eq!(files(second.as_ref()), joined);
        assert_eq!(second.leases().unwrap()[0].id, lease.as_str());
        second.remove(&lease).unwrap();
        second.close();
        assert!(files(start("/b").as_ref())[0].starts_with(cgroups.join("memory/b")));
    }

    #[test]
    fn a_machine_without_usable_cgroups_says_why() {
        assert_eq!(reason(""), "no cgroup hierarchy is mounted");
        let v1 = reason("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu");
        assert!(v1.contains("cannot create") && v1.contains("sys/fs/cgroup/cpu/hypermesh"), "{v1}");
        let v2 = reason("32 31 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
        assert!(v2.contains("cannot create") && v2.contains("No such file"), "{v2}");
        let freezer = reason("32 31 0:29 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer");
        assert!(freezer.contains("freezer") || freezer.contains("none of cpu"), "{freezer}");
    }
}
