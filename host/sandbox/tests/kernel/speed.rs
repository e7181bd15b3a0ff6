//! How long a lease takes, by step and by number of live leases. Shown, not judged: run it alone, with
//! `cargo test --release -p hypermesh-sandbox --test kernel -- --ignored --nocapture lease_steps`.

use crate::node::{Node, busy, small};
use hypermesh_model::LeaseId;
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: usize = 300;

#[test]
#[ignore = "a measurement: it wants the machine for itself"]
fn lease_steps_by_live_leases() {
    let _turn = busy();
    for node in Node::start_on_each("lease_steps_by_live_leases") {
        node.0.on_oom(Arc::new(|_| {})).unwrap();
        let mut live = Vec::new();
        for count in [10, 100, 1000] {
            while live.len() < count {
                let lease = LeaseId::generate();
                node.0.create(&lease, &small(), "{}").unwrap();
                live.push(lease);
            }
            let mut steps: [Vec<Duration>; 4] = Default::default();
            for _ in 0..ROUNDS {
                let lease = LeaseId::generate();
                let mut began = Instant::now();
                let mut lap = |step: &mut Vec<Duration>| {
                    step.push(began.elapsed());
                    began = Instant::now();
                };
                node.0.create(&lease, &small(), "{}").unwrap();
                lap(&mut steps[0]);
                node.0.read_back(&lease, &small()).unwrap();
                lap(&mut steps[1]);
                node.0.usage(&lease, None).unwrap();
                lap(&mut steps[2]);
                node.0.remove(&lease).unwrap();
                lap(&mut steps[3]);
            }
            for (name, mut times) in ["create", "read back", "usage", "remove"].into_iter().zip(steps) {
                times.sort();
                let (min, p50, p99) = (times[0], times[ROUNDS / 2], times[ROUNDS * 99 / 100]);
                eprintln!(
                    "{} {count:>4} live  {name:<9} min {min:?} p50 {p50:?} p99 {p99:?}",
                    node.0.version()
                );
            }
        }
    }
}
