//! Exact lines, and that a series lasts as long as its lease.

use super::*;
use crate::Metrics;

fn sample(lease: &str) -> LeaseSample {
    let id = LeaseId::parse(lease).unwrap();
    LeaseSample::new(format!("/hypermesh/node-1/{lease}"), id, Subject("ada".into()))
}

fn full() -> LeaseSample {
    let ms = |n| Some(Duration::from_millis(n));
    let stall = |n| StallSample { waiting: ms(n), stalled: ms(n + 500) };
    LeaseSample {
        started: Some(Timestamp::from_millis(1_700_000_000_500)),
        cpu: CpuSample {
            usage: ms(1500),
            user: ms(1000),
            system: ms(500),
            periods: Some(40),
            throttled_periods: Some(3),
            throttled: ms(250),
            quota: ms(25),
            period: ms(100),
            shares: Some(256),
        },
        memory: MemorySample {
            usage: Some(Bytes(100)),
            working_set: Some(Bytes(90)),
            rss: Some(Bytes(80)),
            cache: Some(Bytes(20)),
            swap: Some(Bytes(0)),
            max_usage: Some(Bytes(110)),
            limit_hits: Some(7),
            oom_events: Some(1),
            limit: Some(Bytes(u64::MAX)),
        },
        processes: Some(2),
        threads: Some(9),
        io: IoSample {
            read_bytes: Some(Bytes(4096)),
            written_bytes: Some(Bytes(8192)),
            reads: Some(1),
            writes: Some(2),
        },
        storage_used: Some(Bytes(5)),
        storage_limit: Some(Bytes(6)),
        pressure: PressureSample { cpu: stall(0), memory: stall(1000), io: stall(2000) },
        gpu_memory: BTreeMap::from([(GpuUuid("GPU-1".into()), Bytes(1 << 30))]),
        ..sample("alloc-a")
    }
}

/// The lines that are about leases, comments left out.
fn lines(metrics: &Metrics) -> Vec<String> {
    let ours = |line: &&str| line.starts_with("container_") || line.starts_with("hypermesh_lease_gpu");
    metrics.encode().lines().filter(ours).map(str::to_owned).collect()
}

#[test]
fn every_number_has_cadvisors_name_unit_and_labels() {
    let metrics = Metrics::new();
    metrics.set_leases(vec![full()]);
    let base = r#"id="/hypermesh/node-1/alloc-a",name="alloc-a",image="",hypermesh_requester="ada""#;
    let mut expected: Vec<String> = [
        ("container_start_time_seconds", "1700000000.5"),
        ("container_cpu_user_seconds_total", "1.0"),
        ("container_cpu_system_seconds_total", "0.5"),
        ("container_cpu_cfs_periods_total", "40"),
        ("container_cpu_cfs_throttled_periods_total", "3"),
        ("container_cpu_cfs_throttled_seconds_total", "0.25"),
        ("container_spec_cpu_quota", "25000"),
        ("container_spec_cpu_period", "100000"),
        ("container_spec_cpu_shares", "256"),
        ("container_memory_usage_bytes", "100"),
        ("container_memory_working_set_bytes", "90"),
        ("container_memory_rss", "80"),
        ("container_memory_cache", "20"),
        ("container_memory_swap", "0"),
        ("container_memory_max_usage_bytes", "110"),
        ("container_memory_failcnt", "7"),
        ("container_oom_events_total", "1"),
        ("container_spec_memory_limit_bytes", "18446744073709551615"),
        ("container_processes", "2"),
        ("container_threads", "9"),
        ("container_fs_reads_bytes_total", "4096"),
        ("container_fs_writes_bytes_total", "8192"),
        ("container_fs_reads_total", "1"),
        ("container_fs_writes_total", "2"),
        ("container_fs_usage_bytes", "5"),
        ("container_fs_limit_bytes", "6"),
        ("container_pressure_cpu_waiting_seconds_total", "0.0"),
        ("container_pressure_cpu_stalled_seconds_total", "0.5"),
        ("container_pressure_memory_waiting_seconds_total", "1.0"),
        ("container_pressure_memory_stalled_seconds_total", "1.5"),
        ("container_pressure_io_waiting_seconds_total", "2.0"),
        ("container_pressure_io_stalled_seconds_total", "2.5"),
    ]
    .map(|(name, value)| format!("{name}{{{base}}} {value}"))
    .to_vec();
    expected.push(format!("container_cpu_usage_seconds_total{{{base},cpu=\"total\"}} 1.5"));
    expected.push("hypermesh_lease_gpu_memory_bytes{lease=\"alloc-a\",uuid=\"GPU-1\"} 1073741824".to_owned());
    let mut found = lines(&metrics);
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
}

#[test]
fn a_counter_that_openmetrics_does_not_know_keeps_its_name() {
    let metrics = Metrics::new();
    metrics.set_leases(vec![full()]);
    let text = metrics.encode();
    for line in [
        "# TYPE container_memory_failcnt unknown",
        "# TYPE container_cpu_usage_seconds counter",
        "# TYPE container_memory_usage_bytes gauge",
    ] {
        assert!(text.lines().any(|found| found == line), "{line}\n in\n{text}");
    }
}

#[test]
fn what_is_unknown_has_no_series_and_no_family() {
    let metrics = Metrics::new();
    metrics.set_leases(vec![sample("alloc-a")]);
    let text = metrics.encode();
    assert!(!text.contains("container_") && !text.contains("hypermesh_lease_gpu"), "{text}");
}

#[test]
fn the_series_of_a_lease_end_with_it() {
    let metrics = Metrics::new();
    metrics.set_leases(vec![full(), LeaseSample { threads: Some(1), ..sample("alloc-b") }]);
    assert!(lines(&metrics).iter().any(|line| line.contains("alloc-a")));
    metrics.set_leases(vec![LeaseSample { threads: Some(1), ..sample("alloc-b") }]);
    let base = r#"id="/hypermesh/node-1/alloc-b",name="alloc-b",image="",hypermesh_requester="ada""#;
    assert_eq!(lines(&metrics), [format!("container_threads{{{base}}} 1")]);
    metrics.set_leases(Vec::new());
    assert!(lines(&metrics).is_empty());
}

#[test]
fn a_lease_that_is_given_twice_is_shown_once() {
    let metrics = Metrics::new();
    metrics.set_leases(vec![full(), sample("alloc-b"), full()]);
    let threads = lines(&metrics).iter().filter(|line| line.starts_with("container_threads")).count();
    assert_eq!(threads, 1);
}

#[test]
fn the_newest_leases_beyond_the_limit_are_counted_but_not_shown() {
    let metrics = Metrics::new();
    let many = |n: usize| {
        let gpus = || ["GPU-1", "GPU-2"].map(|uuid| (GpuUuid(uuid.into()), Bytes(1))).into();
        let lease =
            |i| LeaseSample { threads: Some(1), gpu_memory: gpus(), ..sample(&format!("alloc-{i:05}")) };
        (0..n).rev().map(lease).collect::<Vec<_>>()
    };
    metrics.set_leases(many(MAX_LEASES + 3));
    let found = lines(&metrics);
    let count = |name: &str| found.iter().filter(|line| line.starts_with(name)).count();
    assert_eq!(count("container_threads"), MAX_LEASES);
    assert_eq!(count("hypermesh_lease_gpu_memory_bytes"), MAX_LEASES);
    assert!(found.iter().any(|line| line.contains("alloc-00000")));
    assert!(!found.iter().any(|line| line.contains(&format!("alloc-{MAX_LEASES:05}"))));
    assert!(metrics.encode().contains("\nhypermesh_leases_omitted 3\n"));
    metrics.set_leases(many(1));
    assert!(metrics.encode().contains("\nhypermesh_leases_omitted 0\n"));
}
