//! Where things go, by example: two nodes, four cores of two CPUs on each, a GPU next to each.

use crate::world::{BEGIN, gpu, id, subject, time, uuid};
use hypermesh_model::{Bytes, CpuMode, Grant, LeaseId, MilliCpu, Terms};
use hypermesh_planner::{
    Book, Core, Entry, Foreign, Gpu, Machine, NumaNode, Shortage, Span, Wanted, WantedGpus, dimension,
};

fn machine() -> Machine {
    let core = |n: u32| Core { cpus: vec![n, n + 8], node: n / 4 };
    Machine {
        cpu: MilliCpu(16_000),
        cores: (0..8).map(core).collect(),
        nodes: vec![
            NumaNode { id: 0, memory: Some(Bytes(100)) },
            NumaNode { id: 1, memory: Some(Bytes(100)) },
        ],
        memory: Bytes(200),
        storage: Bytes(100),
        gpus: vec![gpu("GPU-0", Some(80), 0), gpu("GPU-1", Some(40), 1), gpu("GPU-2", Some(40), 1)],
    }
}

fn span() -> Span {
    Span::starting(time(BEGIN), 60)
}

fn pinned(milli: u32) -> Wanted {
    Wanted { cpu: Some(MilliCpu(milli)), cpu_mode: CpuMode::Pinned, ..Wanted::default() }
}

fn limited(milli: u32) -> Wanted {
    Wanted { cpu: Some(MilliCpu(milli)), ..Wanted::default() }
}

fn gpus(count: u32, of: &[&str], shared: Option<u64>) -> Wanted {
    let of = of.iter().map(|name| uuid(name)).collect();
    let gpus = Some(WantedGpus { count, of, shared_memory: shared.map(Bytes) });
    Wanted { gpus, ..Wanted::default() }
}

const ALL: [&str; 3] = ["GPU-0", "GPU-1", "GPU-2"];

fn lease(book: &mut Book, number: usize, wanted: &Wanted) -> Grant {
    let grant = book.fit(wanted, span(), time(BEGIN)).unwrap();
    enter(book, number, grant.clone());
    grant
}

fn enter(book: &mut Book, number: usize, grant: Grant) -> LeaseId {
    let (from, until) = (span().from, span().until);
    let terms = Terms::default();
    book.insert(Entry { id: id(number), requester: subject(0), grant, from, until, terms });
    id(number)
}

fn refused(book: &Book, wanted: &Wanted) -> Vec<Shortage> {
    book.fit(wanted, span(), time(BEGIN)).unwrap_err()
}

fn dimensions(short: &[Shortage]) -> Vec<&str> {
    short.iter().map(|shortage| shortage.dimension).collect()
}

#[test]
fn pinned_cpus_are_whole_cores_on_one_node_with_its_memory() {
    let mut book = Book::new(machine());
    let grant = lease(&mut book, 0, &Wanted { memory: Some(Bytes(90)), ..pinned(3500) });
    assert_eq!(
        (grant.cpu, &grant.cpus[..], &grant.mems[..]),
        (Some(MilliCpu(4000)), &[0, 1, 8, 9][..], &[0][..])
    );
    assert_eq!(book.shared_cpus(time(BEGIN)), [2, 3, 4, 5, 6, 7, 10, 11, 12, 13, 14, 15]);
    // Node 0 would be the better fit, but its memory is bound already.
    let grant = lease(&mut book, 1, &Wanted { memory: Some(Bytes(20)), ..pinned(1000) });
    assert_eq!((&grant.cpus[..], &grant.mems[..]), (&[4, 12][..], &[1][..]));
    // Without memory that must be near, the fuller node is taken.
    assert_eq!(book.fit(&pinned(1000), span(), time(BEGIN)).unwrap().cpus, [2, 10]);
    // More than any node has left: spread, and bound to none, since both together hold too little.
    let grant = lease(
        &mut book,
        2,
        &Wanted { memory: Some(Bytes(150)), memory_request: Some(Bytes(50)), ..pinned(8000) },
    );
    assert_eq!((&grant.cpus[..], &grant.mems[..]), (&[2, 5, 6, 7, 10, 13, 14, 15][..], &[][..]));
}

#[test]
fn one_core_always_stays_for_everybody_else() {
    let mut book = Book::new(machine());
    let short = refused(&book, &pinned(16_000));
    assert_eq!(dimensions(&short), [dimension::PINNED_CPUS]);
    assert_eq!((short[0].requested, short[0].available, short[0].fits_at), (16.0, 14.0, None));
    lease(&mut book, 0, &pinned(14_000));
    assert_eq!(book.shared_cpus(time(BEGIN)), [7, 15]);
    // What isn't pinned has to do with what is left.
    assert_eq!(dimensions(&refused(&book, &limited(2001))), [dimension::CPU]);
    lease(&mut book, 1, &limited(2000));
    let short = refused(&book, &pinned(1000));
    assert_eq!(dimensions(&short), [dimension::CPU, dimension::PINNED_CPUS]);
    assert_eq!(short[1].fits_at, Some(span().until));
}

#[test]
fn cores_are_taken_next_to_the_gpu_and_gpus_next_to_the_cores() {
    let mut book = Book::new(machine());
    let grant = lease(&mut book, 0, &Wanted { gpus: gpus(1, &["GPU-1"], None).gpus, ..pinned(2000) });
    assert_eq!(grant.cpus, [4, 12]);
    // Two GPUs are only on node 1.
    let grant = lease(&mut book, 1, &Wanted { gpus: gpus(1, &ALL, None).gpus, ..pinned(8000) });
    assert_eq!((&grant.cpus[..], &grant.gpus[..]), (&[0, 1, 2, 3, 8, 9, 10, 11][..], &[uuid("GPU-0")][..]));
}

#[test]
fn gpus_of_one_lease_are_on_one_node_if_they_can_be() {
    let book = Book::new(machine());
    let grant = book.fit(&gpus(2, &ALL, None), span(), time(BEGIN)).unwrap();
    assert_eq!(grant.gpus, [uuid("GPU-1"), uuid("GPU-2")]);
}

#[test]
fn a_gpu_is_shared_as_far_as_its_memory_goes_and_never_beside_its_only_holder() {
    let mut book = Book::new(machine());
    let on = |grant: Grant| grant.gpus[0].0.clone();
    assert_eq!(on(lease(&mut book, 0, &gpus(1, &ALL, Some(30)))), "GPU-1");
    // The best fit: GPU-0 stays whole.
    assert_eq!(on(lease(&mut book, 1, &gpus(1, &ALL, Some(10)))), "GPU-1");
    assert_eq!(on(lease(&mut book, 2, &gpus(1, &ALL, Some(10)))), "GPU-2");
    assert_eq!(lease(&mut book, 3, &gpus(1, &ALL, None)).gpus, [uuid("GPU-0")]);
    let totals = book.totals(time(BEGIN));
    assert_eq!(
        (totals.gpus.len(), totals.gpus_shared[&uuid("GPU-1")], totals.gpus_free.len()),
        (1, Bytes(40), 0)
    );
    let short = refused(&book, &gpus(1, &ALL, Some(31)));
    assert_eq!(dimensions(&short), [dimension::GPU_MEMORY]);
    assert!((short[0].available - 30e-9).abs() < 1e-15 && short[0].unit == "GB");
    assert_eq!(dimensions(&refused(&book, &gpus(1, &ALL, None))), [dimension::GPU]);
}

#[test]
fn why_a_gpu_is_not_given_is_said() {
    let mut machine = machine();
    machine.gpus[0].memory = None;
    machine.gpus[1].divided = true;
    let mut book = Book::new(machine);
    book.set_foreign(Foreign { gpus: vec![uuid("GPU-2")], ..Foreign::default() });
    let detail = |wanted: &Wanted| refused(&book, wanted)[0].detail.clone().unwrap();
    let short = refused(&book, &gpus(1, &["GPU-0"], Some(10)));
    assert_eq!((short[0].dimension, short[0].available), (dimension::GPU_MEMORY, 0.0));
    assert!(detail(&gpus(1, &["GPU-0"], Some(10))).contains("1 of unknown memory"));
    assert!(detail(&gpus(1, &["GPU-1"], None)).contains("1 divided"));
    assert!(detail(&gpus(1, &["GPU-2"], None)).contains("belong to no lease"));
    assert_eq!(book.fit(&gpus(1, &["GPU-2"], Some(10)), span(), time(BEGIN)).unwrap().gpus.len(), 1);
}

#[test]
fn a_refusal_names_every_dimension_and_when_all_of_it_fits() {
    let mut book = Book::new(machine());
    lease(&mut book, 0, &Wanted { memory: Some(Bytes(150)), storage: Some(Bytes(80)), ..limited(12_000) });
    let more = Wanted { memory: Some(Bytes(100)), storage: Some(Bytes(50)), ..limited(8000) };
    let short = refused(&book, &more);
    assert_eq!(dimensions(&short), [dimension::CPU, dimension::MEMORY, dimension::STORAGE]);
    assert_eq!((short[0].requested, short[0].available, short[0].unit), (50.0, 25.0, "percentage"));
    assert!(short.iter().all(|s| s.fits_at == Some(span().until)));
}

#[test]
fn what_others_use_and_what_is_larger_than_the_machine_never_fits() {
    let mut book = Book::new(machine());
    book.set_foreign(Foreign { memory: Bytes(20), ..Foreign::default() });
    let short = refused(&book, &Wanted { memory: Some(Bytes(181)), ..Wanted::default() });
    assert_eq!((dimensions(&short), short[0].fits_at), (vec![dimension::MEMORY], None));
    assert!(book.fit(&Wanted { memory: Some(Bytes(180)), ..Wanted::default() }, span(), time(BEGIN)).is_ok());
}

#[test]
fn only_the_request_counts_against_capacity_where_there_is_one() {
    let mut book = Book::new(machine());
    for number in 0..4 {
        let burst = Wanted { memory: Some(Bytes(150)), memory_request: Some(Bytes(50)), ..Wanted::default() };
        lease(&mut book, number, &burst);
    }
    assert_eq!(book.totals(time(BEGIN)).memory_free, Bytes(0));
}

#[test]
fn a_resize_keeps_its_cpus_and_gpus() {
    let mut book = Book::new(machine());
    lease(&mut book, 0, &pinned(2000));
    let grant = lease(&mut book, 1, &Wanted { gpus: gpus(1, &["GPU-2"], None).gpus, ..pinned(4000) });
    assert_eq!(grant.cpus, [4, 5, 12, 13]);
    // A foreign process on the lease's own GPU doesn't take it away.
    book.set_foreign(Foreign { gpus: vec![uuid("GPU-2")], ..Foreign::default() });
    let larger = Wanted { gpus: gpus(1, &ALL, None).gpus, ..pinned(6000) };
    let grown = book.refit(&id(1), &larger, time(BEGIN)).unwrap().unwrap();
    assert_eq!((&grown.cpus[..], &grown.gpus[..]), (&[4, 5, 6, 12, 13, 14][..], &[uuid("GPU-2")][..]));
    let shrunk = book.refit(&id(1), &pinned(1), time(BEGIN)).unwrap().unwrap();
    assert_eq!((&shrunk.cpus[..], shrunk.cpu, shrunk.gpus.len()), (&[4, 12][..], Some(MilliCpu(2000)), 0));
}

#[test]
fn a_reservation_is_kept_free_and_stops_a_renewal() {
    let mut book = Book::new(machine());
    let later = Span::starting(time(BEGIN + 60_000), 60);
    let grant = book.fit(&gpus(1, &["GPU-0"], None), later, time(BEGIN)).unwrap();
    let (from, until, terms) = (later.from, later.until, Terms::default());
    book.insert(Entry { id: id(7), requester: subject(1), grant, from, until, terms });
    // Until then it can be had; it isn't held yet.
    lease(&mut book, 0, &gpus(1, &["GPU-0"], None));
    assert_eq!(book.totals(time(BEGIN)).leases, 1);
    let short = book.may_extend(&id(0), time(BEGIN + 61_000), time(BEGIN)).unwrap_err();
    assert_eq!((short[0].requested, short[0].available), (1.0, 0.0));
    assert!(short[0].detail.as_ref().unwrap().contains("reserved for somebody else"));
    // Ninety seconds are free only after the reservation.
    let long = Span::starting(time(BEGIN), 90);
    let short = book.fit(&gpus(1, &["GPU-0"], None), long, time(BEGIN)).unwrap_err();
    assert_eq!(short[0].fits_at, Some(until));
}

#[test]
fn what_has_ended_holds_until_it_is_taken_out() {
    let mut book = Book::new(machine());
    lease(&mut book, 0, &gpus(1, &["GPU-0"], None));
    let now = time(BEGIN + 61_000);
    assert_eq!(book.ended(now), [id(0)]);
    let short = book.fit(&gpus(1, &["GPU-0"], None), Span::starting(now, 5), now).unwrap_err();
    // At the next instant, a millisecond away.
    assert_eq!(short[0].fits_at, Some(time(BEGIN + 61_001)));
    book.remove(&id(0));
    assert!(book.fit(&gpus(1, &["GPU-0"], None), Span::starting(now, 5), now).is_ok());
}

#[test]
fn a_gpu_that_fell_off_the_bus_takes_nobody_elses_place() {
    let mut book = Book::new(machine());
    lease(&mut book, 0, &gpus(1, &["GPU-0"], None));
    let mut smaller = machine();
    smaller.gpus.remove(0);
    book.set_machine(smaller);
    assert_eq!(dimensions(&refused(&book, &gpus(1, &["GPU-0"], None))), [dimension::GPU]);
    assert!(book.fit(&gpus(2, &ALL, None), span(), time(BEGIN)).is_ok());
    book.set_machine(machine());
    assert_eq!(book.totals(time(BEGIN)).gpus, [uuid("GPU-0")]);
}

#[test]
fn a_gpu_that_was_divided_while_it_is_held_gives_no_instance_until_it_is_released() {
    let mut book = Book::new(machine());
    lease(&mut book, 0, &gpus(1, &["GPU-0"], None));
    let mut divided = machine();
    let instance = |name| Gpu { parent: Some(uuid("GPU-0")), ..gpu(name, Some(40), 0) };
    divided.gpus.extend([instance("MIG-0"), instance("MIG-1")]);
    book.set_machine(divided);
    for shared in [None, Some(10)] {
        assert_eq!(dimensions(&refused(&book, &gpus(1, &["MIG-0"], shared))), [dimension::GPU]);
    }
    assert_eq!(refused(&book, &gpus(1, &["MIG-0"], None))[0].fits_at, Some(span().until));
    book.remove(&id(0));
    assert_eq!(lease(&mut book, 1, &gpus(1, &["MIG-0"], None)).gpus, [uuid("MIG-0")]);
    assert_eq!(dimensions(&refused(&book, &gpus(1, &["GPU-0"], None))), [dimension::GPU]);
}

#[test]
fn an_instance_is_not_renewed_into_a_reservation_of_its_gpu() {
    let mut book = Book::new(machine());
    let later = Span::starting(time(BEGIN + 60_000), 60);
    let grant = book.fit(&gpus(1, &["GPU-0"], None), later, time(BEGIN)).unwrap();
    let (from, until, terms) = (later.from, later.until, Terms::default());
    book.insert(Entry { id: id(7), requester: subject(1), grant, from, until, terms });
    let mut divided = machine();
    divided.gpus.push(Gpu { parent: Some(uuid("GPU-0")), ..gpu("MIG-0", Some(40), 0) });
    book.set_machine(divided);
    lease(&mut book, 0, &gpus(1, &["MIG-0"], Some(10)));
    assert_eq!(dimensions(&book.may_extend(&id(0), until, time(BEGIN)).unwrap_err()), [dimension::GPU]);
}

#[test]
fn restoring_twice_counts_once() {
    let mut book = Book::new(machine());
    let grant = Grant { cpu: Some(MilliCpu(5)), ..Grant::default() };
    enter(&mut book, 0, grant.clone());
    let again = enter(&mut book, 0, grant);
    assert_eq!((book.totals(time(BEGIN)).cpu, book.len()), (MilliCpu(5), 1));
    book.remove(&again);
    assert!(book.is_empty() && book.held_by(&subject(0)) == hypermesh_planner::Held::default());
}
