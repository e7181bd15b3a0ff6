//! Small machines, requests and terms to generate histories from.
//!
//! Small on purpose: a handful of cores and GPUs collide all the time, and the oracle can try every choice.

use hypermesh_model::{Bytes, CpuMode, GpuUuid, LeaseId, MilliCpu, Subject, Terms, Timestamp};
use hypermesh_planner::{Book, Core, Entry, Foreign, Gpu, Machine, NumaNode, Wanted, WantedGpus};
use proptest::prelude::*;

/// Now, at the beginning of every history.
pub(crate) const BEGIN: i64 = 1_700_000_000_000;

/// So many histories; what fails is printed, and kept as an example by hand where it teaches something.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

pub(crate) fn time(ms: i64) -> Timestamp {
    Timestamp::from_millis(ms)
}

pub(crate) fn id(number: usize) -> LeaseId {
    LeaseId::parse(format!("alloc-{number:04}")).unwrap()
}

pub(crate) fn subject(number: usize) -> Subject {
    Subject(format!("requester-{number}"))
}

pub(crate) fn uuid(name: &str) -> GpuUuid {
    GpuUuid(name.to_owned())
}

pub(crate) fn gpu(name: &str, memory: Option<u64>, node: u32) -> Gpu {
    Gpu {
        uuid: uuid(name),
        model: None,
        memory: memory.map(Bytes),
        node: Some(node),
        parent: None,
        divided: false,
    }
}

/// A GPU, one of unknown memory, one with two instances, which may not say that it is divided.
fn gpus(divided: bool) -> Vec<Gpu> {
    let instance = |name| Gpu { parent: Some(uuid("GPU-divided")), ..gpu(name, Some(50), 1) };
    vec![
        gpu("GPU-whole", Some(100), 0),
        gpu("GPU-unknown", None, 0),
        Gpu { divided, ..gpu("GPU-divided", Some(100), 1) },
        instance("MIG-1"),
        instance("MIG-2"),
    ]
}

/// Cores of the given sizes, on two nodes in turn.
pub(crate) fn cores(sizes: &[usize]) -> Vec<Core> {
    let mut next = 0u32;
    let core = |(position, size): (usize, &usize)| {
        let first = next;
        next += u32::try_from(*size).unwrap();
        Core { cpus: (first..next).collect(), node: u32::try_from(position % 2).unwrap() }
    };
    sizes.iter().enumerate().map(core).collect()
}

pub(crate) fn machine() -> impl Strategy<Value = (Machine, Foreign)> {
    let sizes = prop_oneof![
        (1usize..=2, 0usize..=5).prop_map(|(size, cores)| vec![size; cores]),
        proptest::collection::vec(1usize..=3, 2..=5),
    ];
    let busy = proptest::sample::subsequence(gpus(true), 0..=1);
    (sizes, 0u32..=2000, 0u64..40, busy, proptest::bool::weighted(0.7)).prop_map(
        |(sizes, missing, foreign, busy, divided)| {
            let cpus = u32::try_from(sizes.iter().sum::<usize>().max(3)).unwrap();
            let nodes = vec![
                NumaNode { id: 0, memory: Some(Bytes(60)) },
                NumaNode { id: 1, memory: Some(Bytes(60)) },
            ];
            let machine = Machine {
                cpu: MilliCpu(cpus * 1000 - missing),
                cores: cores(&sizes),
                nodes,
                memory: Bytes(120),
                storage: Bytes(100),
                gpus: gpus(divided),
            };
            let gpus = busy.into_iter().map(|gpu| gpu.uuid).collect();
            (machine, Foreign { memory: Bytes(foreign), storage: Bytes(foreign / 2), gpus })
        },
    )
}

fn wanted_gpus() -> impl Strategy<Value = WantedGpus> {
    let all: Vec<GpuUuid> = gpus(true).into_iter().map(|gpu| gpu.uuid).collect();
    let of = proptest::sample::subsequence(all, 1..=5);
    (0u32..=3, of, proptest::option::of(10u64..60)).prop_map(|(count, of, shared)| WantedGpus {
        count,
        of,
        shared_memory: shared.map(Bytes),
    })
}

pub(crate) fn wanted() -> impl Strategy<Value = Wanted> {
    let mode = prop_oneof![Just(CpuMode::Shared), Just(CpuMode::Limited), Just(CpuMode::Pinned)];
    let memory = proptest::option::of((1u64..70, proptest::option::of(1u64..70)));
    (
        (proptest::option::of(0u32..3500), mode),
        memory,
        proptest::option::weighted(0.3, 1u64..60),
        proptest::option::weighted(0.4, wanted_gpus()),
    )
        .prop_map(|((cpu, cpu_mode), memory, storage, gpus)| Wanted {
            cpu: cpu.map(MilliCpu),
            cpu_mode,
            memory: memory.map(|(limit, _)| Bytes(limit)),
            memory_request: memory.and_then(|(limit, request)| request.map(|r| Bytes(r.min(limit)))),
            storage: storage.map(Bytes),
            gpus,
            ..Wanted::default()
        })
}

pub(crate) fn terms() -> impl Strategy<Value = Terms> {
    (0u8..4, any::<bool>(), 0u64..4).prop_map(|(priority, preemptible, min_runtime_seconds)| Terms {
        priority,
        preemptible,
        min_runtime_seconds,
        ..Terms::default()
    })
}

pub(crate) fn book((machine, foreign): (Machine, Foreign)) -> Book {
    let mut book = Book::new(machine);
    book.set_foreign(foreign);
    book
}

/// Some seconds, or some milliseconds, so that things also happen one instant apart.
pub(crate) fn some_time() -> impl Strategy<Value = i64> {
    prop_oneof![4 => (1i64..12).prop_map(|seconds| seconds * 1000), 1 => 1i64..4]
}

/// What a history asks for: a request, how many milliseconds from now, for how long.
pub(crate) type Ask = (Wanted, i64, i64);

pub(crate) fn ask() -> impl Strategy<Value = Ask> {
    let from = prop_oneof![2 => Just(0i64), 1 => some_time()];
    (wanted(), from, some_time())
}

/// A book in which what fits of some requests is entered.
pub(crate) fn filled(world: (Machine, Foreign), asks: Vec<(Ask, Terms)>) -> Book {
    let mut book = book(world);
    for (number, ((wanted, from, duration), terms)) in asks.into_iter().enumerate() {
        let span = hypermesh_planner::Span { from: time(BEGIN + from), until: time(BEGIN + from + duration) };
        if let Ok(grant) = book.fit(&wanted, span, time(BEGIN)) {
            let (from, until) = (span.from, span.until);
            let requester = subject(number % 3);
            book.insert(Entry { id: id(number), requester, grant, from, until, terms });
        }
    }
    book
}
