//! A node that dies between any two steps of a change, with 50 leases live, loses nothing and leaks nothing.
//!
//! Every step that a restart relies on has a fail point (`host/mesh/src/failpoint.rs`), at which the node dies as by
//! `kill -9`. The next start is already set to die at the next point, so each point costs one restart.

use hypermesh_client::ClientError;
use hypermesh_harness::{Node, allocation, mounts, no_loop_mounts, require_cgroups, skip};
use hypermesh_wire::allocations::{
    Allocation, CreateAllocation, OnExpiry, Phase, ResizeAllocation, Resources,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;

/// Leases that are live all the time.
const LIVE: usize = 50;
/// The variable that names a fail point and the how-many-th time it is passed.
const CRASH_AT: &str = "HYPERMESH_CRASH_AT";
/// Percent of each.
const PERCENT: f64 = 0.5;

/// What is under way when the node dies.
#[derive(Debug, Clone, Copy)]
enum Change {
    Create,
    Resize,
    Release,
    /// A frozen one is renewed.
    Renew,
    /// Its time is over, and it freezes.
    Freeze,
    /// One that waited has room.
    Start,
}

/// In this order no start passes the point at which the next change is to die, but for those that are counted.
const POINTS: [(&str, Change); 17] = [
    ("create-entered", Change::Create),
    ("create-recorded", Change::Create),
    ("apply-folder", Change::Create),
    ("apply-groups", Change::Create),
    ("activate-applied", Change::Create),
    ("activate-recorded", Change::Create),
    ("resize-entered", Change::Resize),
    ("resize-recorded", Change::Resize),
    ("resize-applied", Change::Resize),
    ("resize-folder", Change::Resize),
    ("remove-groups", Change::Release),
    ("end-removed", Change::Release),
    ("end-recorded", Change::Release),
    ("renew-thawed", Change::Renew),
    ("start-recorded", Change::Start),
    ("freeze-frozen", Change::Freeze),
    ("no-such-point", Change::Create),
];

/// What the node has acknowledged: each lease with what it holds. Of one that was being changed, either size will do.
struct Ledger {
    held: BTreeMap<String, Vec<Resources>>,
    /// Those whose end was asked for and not acknowledged.
    maybe: BTreeSet<String>,
    has_folders: bool,
}

impl Ledger {
    fn enter(&mut self, lease: &Allocation) {
        self.held.insert(lease.id.clone(), vec![lease.resources.clone()]);
    }

    fn request(&self) -> CreateAllocation {
        let mut request = allocation("cpu", PERCENT);
        request.requirements.memory = Some("8MB".into());
        request.requirements.storage = self.has_folders.then(|| "4MiB".into());
        request
    }

    /// Makes the change at which the node dies. `Err`: it died, as it should.
    fn change(&mut self, node: &Node, change: Change) -> Result<(), ClientError> {
        let client = node.client();
        match change {
            Change::Create => client.allocate(&self.request()).map(|lease| self.enter(&lease)),
            Change::Resize => {
                let lease = client.allocate(&self.request())?;
                self.enter(&lease);
                let bigger = ResizeAllocation {
                    memory: Some("16MB".into()),
                    storage: self.has_folders.then(|| "8MiB".into()),
                    ..ResizeAllocation::default()
                };
                let mut after = lease.resources.clone();
                after.memory_bytes = Some(16_000_000);
                after.storage_bytes = after.storage_bytes.map(|_| 8 << 20);
                self.held.entry(lease.id.clone()).or_default().push(after);
                client.resize(&lease.id, &bigger, None).map(drop)
            }
            Change::Release => {
                let lease = client.allocate(&self.request())?;
                self.enter(&lease);
                self.maybe.insert(lease.id.clone());
                client.release(&lease.id).map(drop)
            }
            Change::Renew | Change::Freeze => {
                let freezing = CreateAllocation {
                    duration: 1,
                    on_expiry: Some(OnExpiry::Freeze),
                    grace_s: Some(3000),
                    ..self.request()
                };
                let lease = client.allocate(&freezing)?;
                self.enter(&lease);
                loop {
                    if client.allocation(&lease.id)?.phase == Phase::Frozen {
                        return client.renew(&lease.id, 3000, None).map(drop);
                    }
                    std::thread::yield_now();
                }
            }
            Change::Start => {
                let held = client.allocate(&CreateAllocation {
                    requirements: Default::default(),
                    ..allocation("cpu", 40.0)
                })?;
                let waits = CreateAllocation { wait_s: Some(3000), ..allocation("cpu", 41.0) };
                let waits = client.allocate(&waits)?;
                assert_eq!(waits.phase, Phase::Queued);
                self.enter(&waits);
                client.release(&held.id)?;
                loop {
                    client.allocation(&waits.id)?;
                    std::thread::yield_now();
                }
            }
        }
    }

    /// Compares with what is there after the restart, and takes over what the crash left undecided.
    fn check(&mut self, node: &Node, point: &str) {
        let all = node.client().allocations(&Default::default()).unwrap();
        let live: BTreeMap<String, Allocation> = all
            .into_iter()
            .filter(|lease| !lease.phase.is_final())
            .map(|lease| (lease.id.clone(), lease))
            .collect();
        let ids: BTreeSet<String> = live.keys().cloned().collect();
        for (id, sizes) in &self.held {
            let Some(lease) = live.get(id) else {
                assert!(self.maybe.contains(id), "{point}: {id} was acknowledged and is lost");
                continue;
            };
            let now = Resources { storage_path: None, ..lease.resources.clone() };
            let fits = |size: &Resources| Resources { storage_path: None, ..size.clone() } == now;
            assert!(sizes.iter().any(fits), "{point}: {id} holds {now:?}, of {sizes:?}");
        }
        for lease in live.values() {
            assert!(matches!(lease.phase, Phase::Active | Phase::Frozen), "{point}: {lease:?}");
            assert!(lease.enforced, "{point}: {lease:?}");
        }
        assert_eq!(node.groups(), ids, "{point}: ledger and kernel");
        self.check_folders(node, &live, point);
        let held: u64 = live.values().map(|lease| u64::from(lease.resources.cpu_millis.unwrap())).sum();
        let quota = node.client().asset("cpu").unwrap().allocation;
        let percent = live.values().map(|lease| lease.amount).sum::<f64>();
        let tolerance = 0.1 * live.len() as f64;
        assert!(
            (quota.allocated_capacity - percent).abs() < tolerance,
            "{point}: {quota:?}, {percent} % ({held})"
        );
        self.held.clear();
        self.maybe.clear();
        live.values().for_each(|lease| self.enter(lease));
    }

    fn check_folders(&self, node: &Node, live: &BTreeMap<String, Allocation>, point: &str) {
        let wanted: BTreeSet<String> = live
            .values()
            .filter(|lease| lease.resources.storage_bytes.is_some())
            .map(|lease| lease.id.clone())
            .collect();
        let volumes = node.client().volumes().unwrap();
        let listed: BTreeSet<String> = volumes.iter().map(|volume| volume.allocation_id.clone()).collect();
        assert_eq!(listed, wanted, "{point}: ledger and folders");
        let on_disk = fs::read_dir(node.data_dir().join("volumes")).into_iter().flatten().flatten();
        let on_disk: BTreeSet<String> = on_disk
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| !name.starts_with('.'))
            .collect();
        assert_eq!(on_disk, wanted, "{point}: ledger and disk");
        if mounts::below(&node.data_dir()).len() > wanted.len()
            || mounts::loop_files(&node.data_dir()).len() > wanted.len()
        {
            panic!("{point}: more is mounted than leased: {:?}", mounts::below(&node.data_dir()));
        }
        for volume in volumes {
            let lease = &live[&volume.allocation_id];
            assert_eq!(lease.resources.storage_path.as_ref(), Some(&volume.path), "{point}");
            fs::write(format!("{}/alive", volume.path), point).unwrap();
        }
    }
}

/// The how-many-th time counts, when a start passes the point once for every lease that it takes over.
fn armed(point: &str, live: usize) -> String {
    match point {
        "apply-folder" | "apply-groups" => format!("{point}:{}", live + 1),
        // Finishing the change at which it died before passes it once.
        "resize-folder" => format!("{point}:2"),
        _ => point.to_owned(),
    }
}

#[test]
fn a_node_that_dies_at_any_step_of_a_change_loses_nothing_and_leaks_nothing() {
    if !cfg!(debug_assertions) {
        skip!("a release build has no fail points");
    }
    let mut node = Node::start();
    require_cgroups!(node);
    let mut ledger =
        Ledger { held: BTreeMap::new(), maybe: BTreeSet::new(), has_folders: no_loop_mounts().is_none() };
    for _ in 0..LIVE {
        let lease = node.client().allocate(&allocation("cpu", PERCENT)).unwrap();
        ledger.enter(&lease);
    }
    node.kill9();
    for (point, change) in POINTS {
        node.set_environment(CRASH_AT, Some(&armed(point, ledger.held.len())));
        node.restart();
        ledger.check(&node, &format!("before {point}"));
        match ledger.change(&node, change) {
            Ok(()) => assert_eq!(point, "no-such-point", "the node goes on after {point}"),
            Err(ClientError::Unreachable { .. }) => drop(node.died()),
            Err(error) => panic!("{point}: {error}"),
        }
    }
    ledger.check(&node, "at the end");
    for id in ledger.held.keys() {
        node.client().release(id).unwrap();
    }
    assert!(node.groups().is_empty() && mounts::below(&node.data_dir()).is_empty());
}
