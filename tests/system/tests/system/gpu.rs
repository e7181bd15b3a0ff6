//! GPUs are leased by what they are, alone or in a part that is watched, and never while they are somebody else's.
//!
//! The machine's driver is a library that answers from a scenario (`tests/fake-nvml`); all above it is real.

use hypermesh_fake_nvml::FakeDriver;
use hypermesh_fake_nvml::driver::scenario;
use hypermesh_fake_nvml::scenario::{Process, Scenario};
use hypermesh_harness::{Inside, Node, Options, allocation, problem, require_cgroups, until};
use hypermesh_wire::allocations::{CreateAllocation, EnforcementState, GpuWish, Phase};
use hypermesh_wire::assets::{AssetQuery, AssetType};
use std::collections::BTreeSet;

const GIB: u64 = 1 << 30;

fn options(driver: &FakeDriver) -> Options {
    Options::default().environment("HYPERMESH_NVML_LIBRARY", driver.library().to_str().unwrap())
}

pub(crate) fn start(driver: &FakeDriver) -> Node {
    Node::configured(options(driver))
}

/// A scenario in which nobody uses the GPUs.
pub(crate) fn idle(name: &str) -> Scenario {
    let mut scenario = scenario(name);
    for gpu in &mut scenario.gpus {
        gpu.compute_processes = Some(Vec::new());
        gpu.graphics_processes = Some(Vec::new());
    }
    scenario
}

fn uuids(scenario: &Scenario) -> Vec<String> {
    scenario.gpus.iter().map(|gpu| gpu.uuid.clone().unwrap()).collect()
}

pub(crate) fn wish(count: u32, gpu: GpuWish) -> CreateAllocation {
    let mut request = allocation("memory", 0.064);
    request.requirements.gpus = Some(count);
    request.requirements.gpu = (gpu != GpuWish::default()).then_some(gpu);
    request
}

fn only(uuid: &str) -> GpuWish {
    GpuWish { uuids: vec![uuid.to_owned()], ..GpuWish::default() }
}

#[test]
fn gpus_are_selected_by_what_they_are_and_held_alone() {
    let world = idle("two-models");
    let [first, second, other] = &uuids(&world)[..] else { panic!("three GPUs") };
    let driver = FakeDriver::new(&world);
    let node = start(&driver);
    require_cgroups!(node);
    let query = AssetQuery { asset_type: Some(AssetType::Gpu), ..AssetQuery::default() };
    let assets = node.client().assets(&query).unwrap();
    let mut totals: Vec<f64> = assets.iter().map(|asset| asset.allocation.total_capacity).collect();
    totals.sort_by(f64::total_cmp);
    assert_eq!(totals, [1.0, 2.0]);

    let by_model = GpuWish { model: Some("rtx 4090".into()), ..GpuWish::default() };
    let lease = node.client().allocate(&wish(1, by_model.clone())).unwrap();
    assert_eq!(lease.resources.gpus, std::slice::from_ref(other));
    let taken = problem(node.client().allocate(&wish(1, by_model)));
    let reason = &taken.reasons[0];
    assert_eq!((taken.status, &reason["dimension"]), (409, &"gpu".into()), "{taken:?}");
    assert_eq!((&reason["requested"], &reason["available"]), (&1.0.into(), &0.0.into()), "{taken:?}");
    let by_uuid = node.client().allocate(&wish(1, only(second))).unwrap();
    assert_eq!(by_uuid.resources.gpus, std::slice::from_ref(second));
    let by_memory = GpuWish { min_memory: Some("40GiB".into()), ..GpuWish::default() };
    let two = problem(node.client().allocate(&wish(2, by_memory.clone())));
    assert_eq!((two.status, &two.reasons[0]["available"]), (409, &1.0.into()), "one of two is left: {two:?}");
    let by_memory = node.client().allocate(&wish(1, by_memory)).unwrap();
    assert_eq!(by_memory.resources.gpus, std::slice::from_ref(first));
    let unknown = problem(node.client().allocate(&wish(1, only("GPU-00000000-0000-4000-8000-0000000000ff"))));
    assert_eq!(
        (unknown.status, unknown.member.as_deref()),
        (422, Some("requirements.gpu.uuids")),
        "{unknown:?}"
    );
    for lease in [&lease, &by_uuid, &by_memory] {
        node.client().release(&lease.id).unwrap();
    }
    let pair = assets.iter().find(|asset| asset.allocation.total_capacity > 1.0).unwrap();
    let by_asset = node.client().allocate(&allocation(&pair.id, 2.0)).unwrap();
    let held: BTreeSet<&String> = by_asset.resources.gpus.iter().collect();
    assert_eq!(held, BTreeSet::from([first, second]));
}

#[test]
fn an_instance_is_leased_and_its_gpu_is_not_whole_any_more() {
    let world = idle("mig");
    let [divided, whole] = &uuids(&world)[..] else { panic!("two GPUs") };
    let instances: BTreeSet<String> =
        world.gpus[0].instances.iter().flatten().map(|instance| instance.uuid.clone().unwrap()).collect();
    let driver = FakeDriver::new(&world);
    let strict = start(&driver);
    require_cgroups!(strict);
    let instance = GpuWish { mig: Some(true), ..GpuWish::default() };
    if let Err(error) = strict.client().allocate(&wish(1, instance.clone())) {
        // The scenario has instances, and this machine's kernel no device nodes that would keep them apart.
        assert!(error.status() == Some(422), "{error}");
        let reasons = problem::<()>(Err(error)).reasons;
        assert!(reasons.iter().any(|reason| reason.to_string().contains("nvidia-caps")), "{reasons:?}");
    }
    let node = Node::configured(options(&driver).flags(&["--allow-unenforced"]));
    let large = GpuWish { min_memory: Some("30GiB".into()), ..instance.clone() };
    let large = node.client().allocate(&wish(1, large)).unwrap();
    let lease = node.client().allocate(&wish(1, instance.clone())).unwrap();
    let held: BTreeSet<String> = [large, lease].into_iter().flat_map(|lease| lease.resources.gpus).collect();
    assert!(held.len() == 2 && held.is_subset(&instances), "{held:?}");
    let two = problem(node.client().allocate(&wish(2, instance)));
    assert_eq!((two.status, &two.reasons[0]["available"]), (409, &1.0.into()), "{two:?}");
    let not_whole = problem(node.client().allocate(&wish(1, only(divided))));
    assert!(matches!(not_whole.status, 409 | 422), "{not_whole:?}");
    let rest = node.client().allocate(&wish(1, GpuWish::default())).unwrap();
    assert_eq!(rest.resources.gpus, std::slice::from_ref(whole));
}

#[test]
fn a_gpu_that_somebody_else_uses_is_not_given_until_he_is_gone() {
    let mut world = idle("two-gpus");
    let [first, second] = &uuids(&world)[..] else { panic!("two GPUs") };
    world.gpus[0].compute_processes = Some(vec![Process { pid: 1, memory: Some(GIB), ..Process::default() }]);
    let driver = FakeDriver::new(&world);
    let node = start(&driver);
    require_cgroups!(node);
    let busy = problem(node.client().allocate(&wish(1, only(first))));
    assert_eq!((busy.status, &busy.reasons[0]["dimension"]), (409, &"gpu".into()), "{busy:?}");
    let other = node.client().allocate(&wish(1, GpuWish::default())).unwrap();
    assert_eq!(other.resources.gpus, std::slice::from_ref(second), "the other one is free");
    let waits = CreateAllocation { wait_s: Some(600), ..wish(1, GpuWish::default()) };
    let waits = node.client().allocate(&waits).ok();
    driver.set(&idle("two-gpus"));
    let lease = match waits {
        Some(waits) => node.reaches(&waits.id, Phase::Active),
        // When somebody else goes nobody knows, so that nothing could be promised.
        None => until("the GPU is free", || node.client().allocate(&wish(1, only(first))).ok()),
    };
    assert_eq!(lease.resources.gpus, std::slice::from_ref(first));
}

#[test]
fn a_shared_gpu_is_watched_and_who_takes_too_much_is_warned_and_ended() {
    let world = idle("two-gpus");
    let first = uuids(&world)[0].clone();
    let driver = FakeDriver::new(&world);
    let node = start(&driver);
    require_cgroups!(node);
    let part = |memory: &str| GpuWish { shared_memory: Some(memory.into()), ..only(&first) };
    let lease = node.client().allocate(&wish(1, part("2GiB"))).unwrap();
    let neighbour = node.client().allocate(&wish(1, part("60GiB"))).unwrap();
    assert_eq!(
        (&lease.resources.gpus, &neighbour.resources.gpus),
        (&vec![first.clone()], &vec![first.clone()])
    );
    assert!(
        lease.resources.gpu_memory_bytes == Some(2 * GIB) && !lease.enforced,
        "monitored is not enforced: {lease:?}"
    );
    let receipt = node.enforcement(&lease.id);
    let entry = receipt.entries.iter().find(|entry| entry.limit == "gpu_memory").unwrap();
    assert!(entry.state == EnforcementState::Monitored && entry.reason.is_some(), "{entry:?}");
    let full = problem(node.client().allocate(&wish(1, part("40GiB"))));
    assert_eq!((full.status, &full.reasons[0]["dimension"]), (409, &"gpu_memory".into()), "{full:?}");
    let whole = problem(node.client().allocate(&wish(2, GpuWish::default())));
    assert_eq!(whole.status, 409, "a GPU that is shared is nobody's alone: {whole:?}");

    let mut inside = Inside::join(&receipt, "while :; do sleep 1000; done");
    let mut beside = Inside::join(&node.enforcement(&neighbour.id), "while :; do sleep 1000; done");
    let holding = |mine: u64| {
        let mut world = idle("two-gpus");
        let process = |pid, memory| Process { pid, memory: Some(memory), ..Process::default() };
        world.gpus[0].compute_processes =
            Some(vec![process(inside.pid(), mine), process(beside.pid(), 50 * GIB)]);
        world
    };
    driver.set(&holding(GIB));
    let used = until("its part is measured", || {
        let usage = node.client().usage(&lease.id).unwrap();
        usage.gpus.first().and_then(|gpu| gpu.memory_of_lease).filter(|memory| *memory > 0)
    });
    assert_eq!(used, GIB);
    driver.set(&holding(3 * GIB));
    let warned = node.told("allocation_overused", &lease.id);
    assert_eq!(
        (&warned.data["used_bytes"], &warned.data["limit_bytes"]),
        (&(3 * GIB).into(), &(2 * GIB).into())
    );
    let ended = node.reaches(&lease.id, Phase::Failed);
    assert!(ended.end_reason.unwrap().contains("GPU memory"), "it says why");
    assert!(!inside.is_running() && beside.is_running(), "and its neighbour goes on");
    let told = node.told("allocation_failed", &lease.id);
    assert!(told.sequence > warned.sequence);
    assert_eq!(node.client().allocation(&neighbour.id).unwrap().phase, Phase::Active);
}

#[test]
fn a_gpu_that_falls_off_the_bus_is_not_leased_and_its_asset_says_so() {
    let world = idle("two-gpus");
    let [first, second] = &uuids(&world)[..] else { panic!("two GPUs") };
    let driver = FakeDriver::new(&world);
    let node = start(&driver);
    require_cgroups!(node);
    let mut fallen = idle("two-gpus");
    fallen.gpus[1].lost = true;
    driver.set(&fallen);
    let asset = || {
        let query = AssetQuery { asset_type: Some(AssetType::Gpu), ..AssetQuery::default() };
        node.client().assets(&query).unwrap().remove(0)
    };
    let refused =
        until("it is not leased any more", || match node.client().allocate(&wish(1, only(second))) {
            Ok(lease) => {
                node.client().release(&lease.id).unwrap();
                None
            }
            refused @ Err(_) => Some(problem(refused)),
        });
    assert!(matches!(refused.status, 409 | 422), "{refused:?}");
    assert!(refused.detail.contains(second.as_str()) && refused.detail.contains("bus"), "{refused:?}");
    let asset = asset();
    assert_eq!(asset.specifications["lost"], serde_json::json!([second]));
    assert_eq!((asset.allocation.total_capacity, asset.allocation.available_capacity), (2.0, 1.0));
    let both = problem(node.client().allocate(&wish(2, GpuWish::default())));
    assert_eq!((both.status, &both.reasons[0]["available"]), (409, &1.0.into()), "{both:?}");
    let other = node.client().allocate(&wish(1, GpuWish::default())).unwrap();
    assert_eq!(other.resources.gpus, std::slice::from_ref(first));
    driver.set(&idle("two-gpus"));
    let back = until("it is there again", || node.client().allocate(&wish(1, only(second))).ok());
    assert_eq!(back.resources.gpus, std::slice::from_ref(second));
}

#[test]
fn without_a_driver_there_are_no_gpus_to_lease() {
    let node = start(&FakeDriver::named("no-driver"));
    require_cgroups!(node);
    let query = AssetQuery { asset_type: Some(AssetType::Gpu), ..AssetQuery::default() };
    assert!(node.client().assets(&query).unwrap().is_empty());
    let refused = problem(node.client().allocate(&wish(1, GpuWish::default())));
    assert!(matches!(refused.status, 409 | 422), "{refused:?}");
    assert!(node.groups().is_empty());
}
