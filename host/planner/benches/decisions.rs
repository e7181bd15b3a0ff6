//! How many decisions a second on one core: does it fit, where, and else when.
//!
//! A hit is a request that fits; a miss doesn't, and its answer says when it will. `mixed` does what a node does: half
//! of the requests fit and are entered, and an older lease ends for each, so that everything that is kept up to date
//! is; every eighth asks for pinned cores and every eighth for a GPU. `schedule` is one look at a queue.
//! Run it with `cargo bench -p hypermesh-planner`; the throughput is decisions a second.

use criterion::{BenchmarkId, Criterion, Throughput};
use hypermesh_model::{Bytes, CpuMode, GpuUuid, LeaseId, MilliCpu, Subject, Terms, Timestamp};
use hypermesh_planner::{
    Book, Core, Entry, Gpu, Machine, NumaNode, Queue, Quotas, Shares, Span, Ticket, Wanted, WantedGpus,
};
use std::hint::black_box;

/// Live leases.
const LEASES: [usize; 3] = [0, 10, 1000];
/// What each of them holds of the CPU, in thousandths.
const MILLI: u32 = 50;
/// Tickets that wait.
const WAITING: usize = 100;

fn now() -> Timestamp {
    Timestamp::from_millis(1_700_000_000_000)
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

fn gpus() -> Vec<GpuUuid> {
    (0..8).map(|index| GpuUuid(format!("GPU-00000000-0000-0000-0000-00000000000{index}"))).collect()
}

/// 64 cores of two CPUs on two nodes, eight GPUs, and a little more than `leases` take.
fn machine(leases: usize) -> Machine {
    let core = |cpu: u32| Core { cpus: vec![cpu, cpu + 64], node: cpu / 32 };
    let gpu = |(index, uuid)| Gpu {
        uuid,
        model: None,
        memory: Some(Bytes::mib(80 * 1024)),
        node: Some(number(index) / 4),
        parent: None,
        divided: false,
    };
    let node = |id| NumaNode { id, memory: Some(Bytes::mib(512 * 1024)) };
    let held = number(leases) * MILLI;
    Machine {
        cpu: MilliCpu((held + 20_000).min(128_000)),
        cores: (0..64).map(core).collect(),
        nodes: vec![node(0), node(1)],
        memory: Bytes::mib(1024 * 1024),
        storage: Bytes::mib(1024 * 1024),
        gpus: gpus().into_iter().enumerate().map(gpu).collect(),
    }
}

fn small() -> Wanted {
    Wanted { cpu: Some(MilliCpu(MILLI)), memory: Some(Bytes::mib(256)), pids: Some(64), ..Wanted::default() }
}

/// Fits when half of the leases have ended, or never.
fn large(leases: usize) -> Wanted {
    Wanted { cpu: Some(MilliCpu(20_001 + number(leases / 2) * MILLI)), ..small() }
}

fn of_kind(index: usize) -> Wanted {
    match index % 8 {
        6 => Wanted { cpu: Some(MilliCpu(2000)), cpu_mode: CpuMode::Pinned, ..small() },
        7 => Wanted { gpus: Some(WantedGpus { count: 1, of: gpus(), shared_memory: None }), ..small() },
        _ => small(),
    }
}

fn entry(index: usize, wanted: &Wanted, book: &Book) -> Option<Entry> {
    // Ends in another order than begun.
    let seconds = 60 + (number(index).wrapping_mul(2_654_435_761) % 3600);
    let span = Span::starting(now(), seconds.into());
    let grant = book.fit(wanted, span, now()).ok()?;
    let id = LeaseId::parse(format!("alloc-{index:032}")).ok()?;
    let requester = Subject(format!("requester-{}", index % 10));
    Some(Entry { id, requester, grant, from: span.from, until: span.until, terms: Terms::default() })
}

fn book(leases: usize) -> Book {
    let mut book = Book::new(machine(leases));
    for index in 0..leases {
        if let Some(entry) = entry(index, &small(), &book) {
            book.insert(entry);
        }
    }
    assert_eq!(book.len(), leases, "the machine takes them all");
    book
}

fn decisions(c: &mut Criterion) {
    let mut group = c.benchmark_group("fit");
    group.throughput(Throughput::Elements(1));
    for leases in LEASES {
        let book = book(leases);
        let span = Span::starting(now(), 600);
        let (hit, miss) = (small(), large(leases));
        group.bench_function(BenchmarkId::new("hit", leases), |b| {
            b.iter(|| black_box(book.fit(black_box(&hit), span, now())).is_ok());
        });
        group.bench_function(BenchmarkId::new("miss", leases), |b| {
            b.iter(|| black_box(book.fit(black_box(&miss), span, now())).is_err());
        });
        group.bench_function(BenchmarkId::new("mixed", leases), |b| {
            let (mut book, mut next) = (book.clone(), leases);
            let mut live: std::collections::VecDeque<LeaseId> =
                book.entries().map(|e| e.id.clone()).collect();
            b.iter(|| {
                next += 1;
                if next.is_multiple_of(2) {
                    return black_box(book.fit(black_box(&miss), span, now())).is_ok();
                }
                let entered = entry(next, &of_kind(next / 2), &book);
                let fits = entered.is_some();
                if let Some(entry) = entered {
                    live.push_back(entry.id.clone());
                    book.insert(entry);
                }
                if live.len() > leases
                    && let Some(oldest) = live.pop_front()
                {
                    book.remove(&oldest);
                }
                fits
            });
        });
    }
    group.finish();
}

/// A refusal of single things that are held up among a thousand leases.
fn single_things(c: &mut Criterion) {
    let mut group = c.benchmark_group("miss, all held");
    group.throughput(Throughput::Elements(1));
    let mut book = book(1000);
    // Eight leases with a GPU each, then as many pinned ones as fit.
    for index in (0..8).map(|gpu| 10_007 + 8 * gpu).chain((0..16).map(|pinned| 20_006 + 8 * pinned)) {
        if let Some(entry) = entry(index, &of_kind(index), &book) {
            book.insert(entry);
        }
    }
    let span = Span::starting(now(), 600);
    for (name, wanted) in [("gpu", of_kind(7)), ("pinned", of_kind(6))] {
        assert!(book.fit(&wanted, span, now()).is_err(), "{name} is held up");
        group.bench_function(name, |b| {
            b.iter(|| black_box(book.fit(black_box(&wanted), span, now())).is_err())
        });
    }
    group.finish();
}

/// A calendar full of reservations: the answer is no longer one comparison.
fn reservations(c: &mut Criterion) {
    let mut group = c.benchmark_group("fit among 50 reservations");
    group.throughput(Throughput::Elements(1));
    let mut book = book(1000);
    for index in 0..50u32 {
        let from = now().plus_seconds(u64::from(index) * 600 + 300);
        let wanted = of_kind(usize::try_from(index).unwrap_or_default());
        let Ok(grant) = book.fit(&wanted, Span::starting(from, 300), now()) else { continue };
        let (Ok(id), until) = (LeaseId::parse(format!("reserved-{index}")), from.plus_seconds(300)) else {
            continue;
        };
        let (requester, terms) = (Subject("calendar".into()), Terms::default());
        book.insert(Entry { id, requester, grant, from, until, terms });
    }
    let span = Span::starting(now(), 600);
    for (name, wanted) in [("hit", small()), ("miss", large(1000))] {
        group.bench_function(name, |b| {
            b.iter(|| black_box(book.fit(black_box(&wanted), span, now())).is_ok())
        });
    }
    group.finish();
}

fn schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("schedule");
    group.throughput(Throughput::Elements(1));
    for leases in LEASES {
        let (book, mut queue) = (book(leases), Queue::new());
        for index in 0..WAITING {
            let Ok(id) = LeaseId::parse(format!("waiting-{index}")) else { continue };
            let wanted = if index.is_multiple_of(2) { large(leases) } else { of_kind(index) };
            queue.insert(Ticket {
                id,
                requester: Subject(format!("requester-{}", index % 10)),
                wanted,
                duration_s: 600,
                terms: Terms::default(),
                since: Timestamp::from_millis(now().as_millis() - i64::from(number(index))),
                wait_until: now().plus_seconds(86_400),
            });
        }
        let (shares, quotas) = (Shares::default(), Quotas::default());
        group.bench_function(BenchmarkId::new(format!("{WAITING} waiting"), leases), |b| {
            b.iter(|| black_box(queue.schedule(&book, &shares, &quotas, now())).order.len());
        });
    }
    group.finish();
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decisions(&mut criterion);
    single_things(&mut criterion);
    reservations(&mut criterion);
    schedule(&mut criterion);
    criterion.final_summary();
}
