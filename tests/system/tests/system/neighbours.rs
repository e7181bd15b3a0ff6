//! What goes wrong in one lease is not felt in another.

use hypermesh_harness::{Favoured, Inside, Node, allocation, require_cgroups, until};
use hypermesh_wire::allocations::CreateAllocation;
use std::fs;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Over this time throughput is measured: 20 periods of the quota.
const WINDOW: Duration = Duration::from_secs(2);
/// Pairs of windows that are tried: others build and test on this machine too.
const PAIRS: u32 = 8;
/// Throughput beside the bombs, of what it is without them.
const PROMISED: RangeInclusive<f64> = 0.9..=1.1;

fn bomb() -> CreateAllocation {
    let mut request = allocation("cpu", 20.0);
    request.requirements.memory = Some("32MiB".into());
    request.requirements.pids = Some(32);
    request
}

/// Sets off a fork bomb and a memory bomb in a lease, and again in a new one when that has ended of it.
fn bombs(node: &Node, stop: &AtomicBool, set_off: &AtomicU32) {
    while !stop.load(Ordering::Relaxed) {
        let lease = node.client().allocate(&bomb()).unwrap();
        let script = "fork() { fork | fork & }; while :; do fork; done & sleep 0.3; tail /dev/zero; wait";
        // It may have ended before it is asked for.
        let receipt = node.enforcement(&lease.id);
        let bomb = (!receipt.join.is_empty()).then(|| Inside::join(&receipt, script));
        set_off.fetch_add(1, Ordering::Relaxed);
        until("the bombs end their lease", || {
            let ended = node.client().allocation(&lease.id).unwrap().phase.is_final();
            std::thread::sleep(Duration::from_millis(20));
            (ended || stop.load(Ordering::Relaxed)).then_some(())
        });
        // A conflict: it has ended already.
        let _ = node.client().release(&lease.id);
        drop(bomb);
    }
}

/// What a counting loop does in a window, in counts a second.
fn rate(counter: &Path) -> f64 {
    let count = || fs::metadata(counter).unwrap().len();
    let (began, before) = (Instant::now(), count());
    std::thread::sleep(WINDOW);
    (count() - before) as f64 / began.elapsed().as_secs_f64()
}

#[test]
fn a_fork_bomb_and_a_memory_bomb_are_not_felt_next_door() {
    let node = Node::start();
    require_cgroups!(node);
    let lease = node.client().allocate(&allocation("cpu", 20.0)).unwrap();
    let receipt = node.enforcement(&lease.id);
    let _favoured = Favoured::of(&receipt.cgroups);
    // Not on the disk, which everybody on this machine shares and no lease here bounds.
    let folder = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() {
        Path::new("/dev/shm")
    } else {
        Path::new("/tmp")
    });
    let folder = folder.unwrap();
    let counter: PathBuf = folder.path().join("counter");
    fs::write(&counter, []).unwrap();
    let _loop = Inside::join(&receipt, &format!("while :; do echo; done > '{}'", counter.display()));
    until("the quota holds the loop back", || {
        node.enforcement(&lease.id).usage.unwrap().throttled_periods.filter(|periods| *periods > 2)
    });
    let set_off = AtomicU32::new(0);
    let mut ratios = Vec::new();
    while ratios.len() < PAIRS as usize && !ratios.last().is_some_and(|ratio| PROMISED.contains(ratio)) {
        let alone = rate(&counter);
        let stop = AtomicBool::new(false);
        let beside = std::thread::scope(|scope| {
            let before = set_off.load(Ordering::Relaxed);
            let bombing = scope.spawn(|| bombs(&node, &stop, &set_off));
            until("the bombs are set off", || {
                (set_off.load(Ordering::Relaxed) > before || bombing.is_finished()).then_some(())
            });
            let beside = rate(&counter);
            stop.store(true, Ordering::Relaxed);
            beside
        });
        eprintln!("{alone:.0}/s alone, {beside:.0}/s beside the bombs: {:.3}", beside / alone);
        ratios.push(beside / alone);
    }
    let bombed = set_off.load(Ordering::Relaxed);
    assert!(ratios.last().is_some_and(|ratio| PROMISED.contains(ratio)), "{ratios:?} with {bombed} bombs");
    assert_eq!(node.groups().into_iter().collect::<Vec<_>>(), [lease.id], "and nothing of them is left");
}
