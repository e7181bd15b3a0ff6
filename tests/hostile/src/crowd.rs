//! Guests and uploads that misbehave beside something else, over and over until it is done.
//!
//! Each in a lease of its own, limited so that the machine has room for what runs beside them; uploads are vetted and
//! compiled outside of any lease. They stop between two misdeeds, which takes as long as one of them.

use crate::bombs;
use hypermesh_harness::{Node, job, with_limits};
use hypermesh_wire::assets::ResourceLimits;
use hypermesh_wire::catalog::UploadQuery;
use hypermesh_wire::executions::ExecuteVm;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

/// Guests at the same time.
const GUESTS: usize = 2;
/// Percent of the pool for each.
const CPU_PERCENT: f64 = 20.0;
/// Loops and variables of what is compiled: some seconds of a compiler's time each.
const LOOPS: [usize; 2] = [2000, 1000];

/// How often it ended how: the kind of the cause, `completed` or `compiled`.
pub type Misdeeds = BTreeMap<String, u32>;

/// The limits that the hostile guest is to be installed with.
pub fn limits() -> ResourceLimits {
    with_limits(CPU_PERCENT, "64MiB")
}

/// What the guests do, in turn: spin, allocate, recurse, log, write, ask the clock, sleep.
fn misdeeds(vm: &str) -> Vec<ExecuteVm> {
    let mut all: Vec<ExecuteVm> = [
        ("spin", json!({})),
        ("eat-memory", json!({})),
        ("log-for-ever", json!({})),
        ("recurse", json!({})),
        ("big-output", json!({ "count": 1 << 30 })),
        ("spin-clock", json!({})),
        ("flood-stdout", json!({ "count": 2000 })),
        ("sleep", json!({ "ms": 3_600_000 })),
    ]
    .into_iter()
    .map(|(operation, parameters): (_, Value)| job(vm, operation, parameters))
    .collect();
    for request in &mut all {
        request.timeout = 1;
    }
    all
}

/// Does `work` while a crowd misbehaves on the node. `vm` runs the hostile guest within [`limits`]. Gives what the work gave
/// and what became of the crowd.
///
/// # Panics
/// When the node refuses a guest for another reason than capacity, or one doesn't end.
pub fn beside<T>(node: &Node, vm: &str, work: impl FnOnce() -> T) -> (T, Misdeeds) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let stop = &stop;
        let guests = (0..GUESTS).map(|nth| scope.spawn(move || misbehave(node, vm, nth, stop)));
        let mut crowd: Vec<_> = guests.collect();
        crowd.push(scope.spawn(move || upload(node, stop)));
        let done = {
            // Also when the work panics: the scope waits for the crowd.
            let _stop = Stop(stop);
            work()
        };
        let mut all = Misdeeds::new();
        for member in crowd {
            let ended = member.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            for (how, count) in ended {
                *all.entry(how).or_default() += count;
            }
        }
        (done, all)
    })
}

struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn misbehave(node: &Node, vm: &str, nth: usize, stop: &AtomicBool) -> Misdeeds {
    let mut ended = Misdeeds::new();
    let all = misdeeds(vm);
    // Not all of them the same at the same time.
    for request in all.iter().cycle().skip(nth * all.len() / GUESTS) {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let how = node.run(request).cause.map_or_else(|| "completed".to_owned(), |cause| cause.kind);
        *ended.entry(how).or_default() += 1;
    }
    ended
}

fn upload(node: &Node, stop: &AtomicBool) -> Misdeeds {
    let mut ended = Misdeeds::new();
    let [loops, locals] = LOOPS;
    let mut nth = 0;
    while !stop.load(Ordering::Relaxed) {
        // Each is another one: what was compiled once isn't again.
        let bytes = bombs::loops(loops + nth, locals);
        // Nor is one that an earlier crowd brought.
        let name = format!("loops-{}-{nth}", node_time());
        nth += 1;
        let about = UploadQuery { name: Some(name), ..UploadQuery::default() };
        let how = match node.upload_package(&about, &bytes) {
            Ok(_) => "compiled".to_owned(),
            Err(error) => {
                error.status().map_or_else(|| error.to_string(), |status| format!("refused {status}"))
            }
        };
        *ended.entry(how).or_default() += 1;
    }
    ended
}

/// Milliseconds since the epoch, so that names differ.
fn node_time() -> u128 {
    std::time::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_millis())
}
