//! Exact lines of the text, what is absent, and what clients can't do.

use super::*;

const MS: Duration = Duration::from_millis(1);

#[test]
fn what_was_counted_is_in_the_text() {
    let metrics = Metrics::new();
    let clone = metrics.clone();
    for _ in 0..3 {
        clone.http_request("hypermesh", "GET", Some("/api/v1/assets/{id}"), 200, MS * 2);
    }
    clone.lease_created(CreateOutcome::Refused).inc();
    clone.lease_released(ReleaseOutcome::Expired).inc_by(2);
    clone.leases_active().set(4);
    clone.executions(ExecutionStatus::Completed).inc();
    clone.execution_phase(Phase::Start, MS);
    clone.set_store(7, 90);
    clone.set_store(6, 80);
    assert_eq!(metrics.http_requests("hypermesh", "GET", Some("/api/v1/assets/{id}"), 200), 3);
    assert_eq!(metrics.lease_created(CreateOutcome::Refused).get(), 1);
    assert_eq!(metrics.executions(ExecutionStatus::Completed).get(), 1);
    let text = metrics.encode();
    let route = "service=\"hypermesh\",route=\"/api/v1/assets/{id}\"";
    for line in [
        "# TYPE hypermesh_http_requests counter".to_owned(),
        "hypermesh_http_requests_total{service=\"hypermesh\",method=\"GET\",route=\"/api/v1/assets/{id}\",status=\"200\"} 3".to_owned(),
        format!("hypermesh_http_request_duration_seconds_count{{{route}}} 3"),
        format!("hypermesh_http_request_duration_seconds_bucket{{le=\"0.001\",{route}}} 0"),
        format!("hypermesh_http_request_duration_seconds_bucket{{le=\"0.0025\",{route}}} 3"),
        "hypermesh_leases_active 4".to_owned(),
        "hypermesh_lease_create_total{outcome=\"refused\"} 1".to_owned(),
        "hypermesh_lease_create_total{outcome=\"active\"} 0".to_owned(),
        "hypermesh_lease_release_total{outcome=\"expired\"} 2".to_owned(),
        "hypermesh_executions_total{status=\"completed\"} 1".to_owned(),
        "hypermesh_executions_total{status=\"failed\"} 0".to_owned(),
        "hypermesh_execution_phase_seconds_count{phase=\"start\"} 1".to_owned(),
        "hypermesh_execution_phase_seconds_count{phase=\"run\"} 0".to_owned(),
        "hypermesh_store_transactions_total 7".to_owned(),
        "hypermesh_store_batches_total 90".to_owned(),
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_unknown_is_absent_and_uptime_grows() {
    let metrics = Metrics::new();
    let value = |name: &str| -> Option<f64> {
        let text = metrics.encode();
        text.lines().find_map(|l| l.strip_prefix(name)?.trim_start_matches("{}").trim().parse().ok())
    };
    assert_eq!(value("hypermesh_machine_cpu_usage_ratio"), None);
    metrics.set_machine(Some(0.25), Some(1 << 40));
    assert_eq!(value("hypermesh_machine_cpu_usage_ratio"), Some(0.25));
    assert_eq!(value("hypermesh_machine_memory_available_bytes"), Some(2f64.powi(40)));
    metrics.set_machine(None, None);
    assert_eq!(value("hypermesh_machine_memory_available_bytes"), None);
    let first = value("hypermesh_node_uptime_seconds").unwrap();
    assert!(value("hypermesh_node_uptime_seconds").unwrap() > first);
}

#[test]
fn clients_cannot_grow_the_registry() {
    let metrics = Metrics::new();
    for i in 0..2 * MAX_ROUTES {
        metrics.http_request("stoq", &format!("M{i}"), Some(&format!("/r/{i}")), 200, MS);
    }
    metrics.http_request("stoq", "BREW", None, 404, MS);
    let series = metrics.encode().lines().filter(|l| l.starts_with("hypermesh_http_requests_total")).count();
    assert_eq!(series, MAX_ROUTES + 2);
    assert_eq!(metrics.http_requests("stoq", "other", Some(OTHER), 200), MAX_ROUTES as u64);
}

#[test]
fn leases_and_limits_are_counted_by_state() {
    let metrics = Metrics::new();
    assert!(!metrics.encode().contains("hypermesh_leases{"), "not counted yet");
    metrics.set_lease_phases([
        LeaseStatus::Active,
        LeaseStatus::Frozen,
        LeaseStatus::Active,
        LeaseStatus::Completed,
    ]);
    metrics.set_enforcement([EnforcementState::Enforced, EnforcementState::BestEffort]);
    metrics.set_enforcement([EnforcementState::Unenforced]);
    metrics.queue_length().set(5);
    metrics.lease_drift().inc();
    metrics.lease_oom().inc_by(2);
    metrics.lease_created(CreateOutcome::Queued).inc();
    metrics.lease_released(ReleaseOutcome::OutOfMemory).inc();
    let text = metrics.encode();
    for line in [
        "hypermesh_leases{phase=\"active\"} 2",
        "hypermesh_leases{phase=\"frozen\"} 1",
        "hypermesh_leases{phase=\"queued\"} 0",
        "hypermesh_leases{phase=\"reserved\"} 0",
        "hypermesh_leases{phase=\"pending\"} 0",
        "hypermesh_enforcement_entries{state=\"enforced\"} 0",
        "hypermesh_enforcement_entries{state=\"best_effort\"} 0",
        "hypermesh_enforcement_entries{state=\"monitored\"} 0",
        "hypermesh_enforcement_entries{state=\"unenforced\"} 1",
        "hypermesh_queue_length 5",
        "hypermesh_lease_drift_total 1",
        "hypermesh_lease_oom_total 2",
        "hypermesh_lease_preempted_total 0",
        "hypermesh_lease_create_total{outcome=\"queued\"} 1",
        "hypermesh_lease_create_total{outcome=\"cancelled\"} 0",
        "hypermesh_lease_release_total{outcome=\"out_of_memory\"} 1",
        "hypermesh_lease_release_total{outcome=\"preempted\"} 0",
    ] {
        assert!(text.lines().any(|l| l == line), "{line}\n in\n{text}");
    }
    assert!(!text.contains("phase=\"completed\""));
}
