//! What a lease uses is what the kernel counts, in JSON, as a stream, and for monitoring.

use hypermesh_client::UsageNotice;
use hypermesh_harness::cgroups::{cpu_time_ns, memory_peak};
use hypermesh_harness::{Inside, Node, allocation, problem, require_cgroups, until};
use hypermesh_wire::allocations::{AllocationUsage, Phase};

/// A lease in which a shell counts and keeps 8 MB.
fn busy(node: &Node) -> (String, Vec<String>, Inside) {
    let mut request = allocation("memory", 0.064);
    request.requirements.cpu = Some(10.0);
    let lease = node.client().allocate(&request).unwrap();
    let receipt = node.enforcement(&lease.id);
    let inside = Inside::join(&receipt, "x=$(head -c 8000000 /dev/zero | tr '\\0' a); while :; do :; done");
    until("it holds memory", || {
        let usage = node.client().usage(&lease.id).unwrap();
        // The kernel brings the parts of memory up to date less often than the sum.
        let holds = usage.memory.current > Some(8_000_000) && usage.memory.anon > Some(8_000_000);
        (holds && usage.processes == Some(1)).then_some(())
    });
    (lease.id, receipt.cgroups, inside)
}

#[test]
fn usage_grows_and_is_what_the_cgroup_files_say() {
    let node = Node::start();
    require_cgroups!(node);
    let (lease, cgroups, _inside) = busy(&node);
    let seconds = || cpu_time_ns(&cgroups).unwrap() as f64 / 1e9;
    let before = seconds();
    let first = node.client().usage(&lease).unwrap();
    let between = seconds();
    assert!((before..=between).contains(&first.cpu.time_s.unwrap()), "{before} {first:?} {between}");
    until("it has used more", || (seconds() > between + 0.05).then_some(()));
    let second = node.client().usage(&lease).unwrap();
    assert!(second.cpu.time_s > first.cpu.time_s && second.at > first.at);
    assert!(second.cpu.periods >= first.cpu.periods && second.cpu.throttled_s >= first.cpu.throttled_s);
    assert!(second.cpu.throttled_periods.unwrap() <= second.cpu.periods.unwrap(), "{second:?}");
    let memory = second.memory;
    assert_eq!(memory.limit, Some(64_000_000 / 4096 * 4096), "{memory:?}");
    assert!(memory.current <= memory.limit && memory.current <= memory.peak, "{memory:?}");
    assert!(memory.working_set <= memory.current && memory.anon.unwrap() >= 8_000_000, "{memory:?}");
    assert!(memory.peak <= memory_peak(&cgroups), "{memory:?}");
    assert_eq!((second.processes, second.pids.current, second.pids.limit), (Some(1), Some(1), Some(64)));
    assert_eq!((second.oom_kills, second.storage, second.gpus.len()), (Some(0), None, 0), "{second:?}");
    node.client().release(&lease).unwrap();
    assert_eq!(problem(node.client().usage(&lease)).status, 409, "it uses nothing any more");
}

#[test]
fn a_stream_of_usage_has_rates_and_ends_with_the_lease() {
    let node = Node::start();
    require_cgroups!(node);
    let (lease, _, _inside) = busy(&node);
    let mut stream = node.client().follow_usage(&lease, 1).unwrap();
    let mut next = || match stream.next() {
        Some(Ok(UsageNotice::Reading(usage))) => *usage,
        other => panic!("a reading: {other:?}"),
    };
    let readings: Vec<AllocationUsage> = (0..3).map(|_| next()).collect();
    assert_eq!(readings[0].cpu.cores, None, "one reading has no rate");
    for pair in readings.windows(2) {
        let used = pair[1].cpu.time_s.unwrap() - pair[0].cpu.time_s.unwrap();
        let wall = pair[1].at.duration_since(pair[0].at).as_secs_f64();
        let cores = pair[1].cpu.cores.unwrap();
        assert!(
            used > 0.0 && (cores - used / wall).abs() < 0.05 * cores + 0.02,
            "{cores}: {used} s in {wall} s"
        );
    }
    node.client().release(&lease).unwrap();
    let ended = stream.find_map(|notice| match notice.unwrap() {
        UsageNotice::Ended(ended) => Some(ended),
        UsageNotice::Reading(_) => None,
    });
    let ended = ended.unwrap();
    assert_eq!((ended.allocation_id, ended.phase), (lease, Phase::Completed));
    assert_eq!(ended.end_reason.as_deref(), Some("released"));
}

fn metrics(node: &Node) -> Vec<String> {
    let answer = node.client().raw("GET", "/metrics", None).unwrap();
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn monitoring_finds_a_lease_under_the_names_it_knows_until_it_ends() {
    let node = Node::start();
    require_cgroups!(node);
    let (lease, _, _inside) = busy(&node);
    let label = format!("name=\"{lease}\"");
    let of_lease = |name: &str| {
        let lines = metrics(&node);
        let line =
            lines.iter().find(|line| line.starts_with(&format!("{name}{{")) && line.contains(&label))?;
        line.rsplit(' ').next()?.parse::<f64>().ok()
    };
    let names = [
        "container_cpu_usage_seconds_total",
        "container_cpu_cfs_periods_total",
        "container_cpu_cfs_throttled_periods_total",
        "container_memory_usage_bytes",
        "container_memory_working_set_bytes",
        "container_memory_max_usage_bytes",
        "container_spec_memory_limit_bytes",
        "container_spec_cpu_quota",
        "container_spec_cpu_period",
        "container_processes",
    ];
    for name in names {
        until(&format!("{name} of the lease"), || of_lease(name));
    }
    let limit = of_lease("container_spec_memory_limit_bytes").unwrap();
    assert!(limit <= 64e6 && limit > 64e6 - 4096.0, "in bytes, in whole pages: {limit}");
    let used = node.client().usage(&lease).unwrap().cpu.time_s.unwrap();
    until("the counter follows", || {
        of_lease("container_cpu_usage_seconds_total").filter(|seconds| *seconds >= used)
    });
    node.client().release(&lease).unwrap();
    until("it is gone with its lease", || {
        (!metrics(&node).iter().any(|line| line.contains(&label))).then_some(())
    });
}
