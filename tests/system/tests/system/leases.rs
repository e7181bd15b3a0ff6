//! The sum of leases never passes what the machine has, whoever asks for what at the same time.

use hypermesh_client::ClientError;
use hypermesh_harness::{Node, allocation, require_cgroups};
use hypermesh_wire::allocations::{Allocation, AllocationQuery, AllocationStatus};
use hypermesh_wire::problem::Problem;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

fn refusal(error: ClientError) -> Problem {
    let said = error.to_string();
    let ClientError::Problem(problem) = error else { panic!("no refusal: {said}") };
    *problem
}

#[test]
fn eight_who_want_30_percent_at_once_get_three_leases() {
    let node = Node::start();
    require_cgroups!(node);
    let answers: Vec<Result<Allocation, ClientError>> = std::thread::scope(|scope| {
        let ask = || node.client().clone().allocate(&allocation("cpu", 30.0));
        let asking: Vec<_> = (0..8).map(|_| scope.spawn(ask)).collect();
        asking.into_iter().map(|asked| asked.join().unwrap()).collect()
    });
    let (granted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
    assert_eq!(granted.len(), 3);
    for problem in refused.into_iter().filter_map(Result::err).map(refusal) {
        assert_eq!(problem.status, 409, "{problem:?}");
        let [reason] = &problem.reasons[..] else { panic!("{problem:?}") };
        assert_eq!((&reason["dimension"], &reason["requested"]), (&"cpu".into(), &30.0.into()));
        // Free was what the three had not got yet: 100, 70, 40 are enough, so it was 10.
        assert_eq!(reason["available"], 10.0);
        assert!(problem.detail.contains("30") && problem.detail.contains("10"), "{}", problem.detail);
        assert!(reason["fits_at"].is_string(), "{reason}");
    }
    let cpu = node.client().asset("cpu").unwrap().allocation;
    assert_eq!((cpu.allocated_capacity, cpu.available_capacity), (90.0, 10.0));
    assert_eq!(node.groups().len(), 3);
}

#[derive(Debug, Clone)]
enum Step {
    Ask(u32),
    Release(prop::sample::Index),
    Nonsense(f64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u32..=60).prop_map(Step::Ask),
        2 => any::<prop::sample::Index>().prop_map(Step::Release),
        1 => prop_oneof![Just(0.0), -100.0..0.0, 100.1..1e6].prop_map(Step::Nonsense),
    ]
}

/// A node, and beside it what the rule says that it holds, in thousandths of a core.
struct Model<'a> {
    node: &'a Node,
    pool: u32,
    held: Vec<Allocation>,
}

impl Model<'_> {
    fn millis(lease: &Allocation) -> u32 {
        lease.resources.cpu_millis.unwrap()
    }

    fn sum(&self) -> u32 {
        self.held.iter().map(Self::millis).sum()
    }

    fn take(&mut self, step: &Step) {
        let client = self.node.client();
        match step {
            Step::Ask(percent) => {
                let wanted = (percent * self.pool).div_ceil(100);
                let fits = self.sum() + wanted <= self.pool;
                match client.allocate(&allocation("cpu", f64::from(*percent))) {
                    Ok(lease) => {
                        assert!(fits && Self::millis(&lease) == wanted, "{lease:?}");
                        self.held.push(lease);
                    }
                    Err(error) => {
                        assert!(!fits && refusal(error).status == 409, "{percent} % would have fitted")
                    }
                }
            }
            Step::Release(_) if self.held.is_empty() => {}
            Step::Release(which) => {
                let lease = self.held.remove(which.index(self.held.len()));
                client.release(&lease.id).unwrap();
            }
            Step::Nonsense(amount) => {
                let problem = refusal(client.allocate(&allocation("cpu", *amount)).unwrap_err());
                let is_named = problem.member.as_deref() == Some("amount");
                assert!(is_named && matches!(problem.status, 400 | 422), "{problem:?}");
            }
        }
        self.check();
    }

    fn check(&self) {
        let cpu = self.node.client().asset("cpu").unwrap().allocation;
        let expected = f64::from(self.sum()) / f64::from(self.pool) * 100.0;
        assert!((cpu.allocated_capacity - expected).abs() < 1e-3, "{cpu:?}, expected {expected}");
        assert!(cpu.allocated_capacity <= 100.0 && cpu.available_capacity >= 0.0, "{cpu:?}");
        let query = AllocationQuery { status: Some(AllocationStatus::Active), ..AllocationQuery::default() };
        let listed: Vec<String> =
            self.node.client().allocations(&query).unwrap().into_iter().map(|l| l.id).collect();
        let mut held: Vec<String> = self.held.iter().map(|lease| lease.id.clone()).collect();
        held.sort();
        assert_eq!(listed, held);
        assert_eq!(self.node.groups().into_iter().collect::<Vec<_>>(), held, "the kernel's own list");
    }
}

#[test]
fn whatever_is_asked_in_whatever_order_the_sum_stays_within_the_pool() {
    let node = Node::start();
    require_cgroups!(node);
    let all = node.client().allocate(&allocation("cpu", 100.0)).unwrap();
    let pool = all.resources.cpu_millis.unwrap();
    node.client().release(&all.id).unwrap();
    // Each case is some dozen requests to a real node, and the kernel's answers to them.
    let mut runner = TestRunner::new(Config { cases: 8, failure_persistence: None, ..Config::default() });
    let sequences = proptest::collection::vec(step(), 1..16);
    runner
        .run(&sequences, |steps| {
            let mut model = Model { node: &node, pool, held: Vec::new() };
            steps.iter().for_each(|step| model.take(step));
            for lease in model.held {
                node.client().release(&lease.id).unwrap();
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn memory_that_the_system_holds_is_not_leased() {
    let node = Node::start();
    require_cgroups!(node);
    let memory = node.client().asset("memory").unwrap().allocation;
    let problem = refusal(node.client().allocate(&allocation("memory", memory.total_capacity)).unwrap_err());
    assert_eq!(problem.status, 409, "{problem:?}");
    assert_eq!(problem.reasons[0]["dimension"], "memory");
    assert!(problem.reasons[0]["available"].as_f64().unwrap() < memory.total_capacity);
}

#[test]
fn a_refusal_names_every_dimension_that_is_short() {
    let node = Node::start();
    require_cgroups!(node);
    let _half = node.client().allocate(&allocation("cpu", 50.0)).unwrap();
    let mut request = allocation("cpu", 60.0);
    request.requirements.memory = Some("900TiB".into());
    let problem = refusal(node.client().allocate(&request).unwrap_err());
    let short: Vec<&str> = problem.reasons.iter().filter_map(|reason| reason["dimension"].as_str()).collect();
    assert_eq!((problem.status, short), (409, vec!["cpu", "memory"]), "{problem:?}");
    assert!(problem.reasons[1]["fits_at"].is_null(), "it never fits: {problem:?}");
}
