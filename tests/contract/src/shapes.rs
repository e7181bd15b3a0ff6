//! The objects of the contract: which members each has at least, and of which type.
//!
//! Written in the contract's own notation, `name type` separated by commas: `s` string, `i` integer, `f` number, `b`
//! boolean, `t` time, `{}` free object, `[]` list; `?` after it: may be `null`; `a|b` one of these names. A dotted name
//! is a member of a member. Numbers that may be unknowable are nullable by the contract's first rule, that no value is
//! ever invented.

use crate::schema::is_time;
use serde_json::Value;

/// An asset.
pub const ASSET: &str = "id s, type cpu|gpu|memory|storage|network|service|container|vm|application, name s, \
    description s, owner s, status available|allocated|busy|maintenance|offline, \
    privacy_level private|private_network|p2p|public_network|full_public, \
    location.node_id s, location.address s, location.region s, specifications {}, \
    allocation.total_capacity f, allocation.allocated_capacity f, allocation.available_capacity f, \
    allocation.unit s, proxy_address s?, created_at t, updated_at t";

/// What a vm asset adds.
pub const VM: &str = "vm_config.runtime s, vm_config.entrypoint s, vm_config.environment {}, \
    vm_config.dependencies [], vm_config.resource_limits.max_cpu f, vm_config.resource_limits.max_memory s, \
    vm_config.resource_limits.max_storage s, vm_config.resource_limits.max_execution_time i, \
    vm_config.security_policy.allow_network_access b, vm_config.security_policy.allow_file_system b, \
    vm_config.security_policy.allowed_urls [], vm_config.security_policy.trusted_domains []";

/// What a vm asset adds that runs a package.
pub const CATALOG_METADATA: &str = "catalog_metadata.catalog_id s, catalog_metadata.version s, \
    catalog_metadata.author s, catalog_metadata.description s, catalog_metadata.tags [], \
    catalog_metadata.download_count i, catalog_metadata.rating f?";

/// An allocation.
pub const ALLOCATION: &str = "id s, asset_id s, requester_id s, amount f, unit s, duration i, start_time t, \
    end_time t, status pending|active|completed|cancelled|failed, consensus_proofs [], proxy_address s?";

/// What leases in depth add to an allocation.
pub const ALLOCATION_IN_DEPTH: &str = "phase queued|reserved|pending|active|frozen|completed|cancelled|failed, \
    generation i, priority i, preemptible b, min_runtime_s i, on_expiry kill|freeze, grace_s i, warn_s i, \
    keep_storage b, frozen_until t?, queue {}?, resources.cpu_millis i?, resources.cpu_mode shared|limited|pinned?, \
    resources.cpu_burst_us i?, resources.cpus [], resources.mems [], resources.memory_bytes i?, \
    resources.memory_request_bytes i?, resources.pids i?, resources.io {}?, resources.storage_bytes i?, \
    resources.storage_path s?, resources.gpus [], resources.gpu_memory_bytes i?";

/// What a dry run answers.
pub const PLAN: &str = "fits b, resources {}?, reasons [], fits_at t?, would_wait {}?, would_preempt []";

/// A waiting allocation.
pub const QUEUE_ENTRY: &str =
    "allocation_id s, requester_id s, priority i, position i, eta t?, wait_until t?, share f";

/// What an allocation uses.
pub const USAGE: &str = "allocation_id s, at t, cpu.time_s f?, cpu.cores f?, cpu.throttled_s f?, \
    cpu.throttled_periods i?, cpu.periods i?, memory.current i?, memory.working_set i?, memory.anon i?, \
    memory.file i?, memory.swap i?, memory.peak i?, memory.limit i?, pids.current i?, pids.limit i?, \
    pids.limit_hits i?, io.read_bytes i?, io.write_bytes i?, io.reads i?, io.writes i?, pressure.cpu {}?, \
    pressure.memory {}?, pressure.io {}?, gpus [], storage {}?, oom_kills i?, processes i?";

/// A process that was moved into an allocation.
pub const ATTACHED: &str = "allocation_id s, pid i, command s?, threads i, moved [], stays []";

/// A quota.
pub const QUOTA: &str = "requester_id s, limits.cpu_millis i?, limits.memory_bytes i?, limits.storage_bytes i?, \
    limits.gpus i?, limits.leases i?, used.cpu_millis i, used.memory_bytes i, used.storage_bytes i, used.gpus i, \
    used.leases i";

/// A service.
pub const SERVICE: &str = "id s, name s, path s, url s, vm_asset_id s, catalog_id s, allocation_id s, owns_allocation b, \
    status serving|ended, end_reason s?, concurrency i, timeout i, max_body i, memory_per_request i?, folders [], \
    network [], usage.requests i, usage.answered i, usage.failures {}, usage.turned_away i, usage.running i, \
    usage.waiting i, usage.cpu_time f?, dropped_log_lines i, created_at t, ended_at t?, requester_id s";

/// A folder of bounded size.
pub const VOLUME: &str = "allocation_id s, path s, size i, used i?, method s, kept b";

/// A token.
pub const TOKEN: &str = "name s, role viewer|operator|admin, created_at t";

/// Health of a node.
pub const NODE_HEALTH: &str = "node_id s, status healthy|warning|critical|offline, metrics.cpu_usage f?, \
    metrics.memory_usage f?, metrics.disk_usage f?, metrics.network_latency f?, metrics.uptime f?, \
    consensus_metrics.proofs_validated i?, consensus_metrics.consensus_participation f?, \
    consensus_metrics.byzantine_detections i?, last_heartbeat t";

/// An execution.
pub const EXECUTION: &str = "id s, vm_asset_id s, allocation_id s, \
    status queued|starting|running|completed|failed|cancelled, request.operation s, request.parameters {}, \
    request.timeout i, request.requires_consensus b, execution.start_time t?, execution.end_time t?, \
    execution.exit_code i?, execution.output s?, execution.resource_usage.cpu_time f?, \
    execution.resource_usage.memory_peak i?, execution.resource_usage.network_bytes i?, \
    execution.resource_usage.storage_io i?, consensus_proofs [], proxy_address s?";

/// An array of executions.
pub const ARRAY: &str = "id s, requester_id s, vm_asset_id s, operation s, size i, parallelism i, max_failures i?, \
    status running|completed|failed|cancelled, counts.waiting i, counts.running i, counts.completed i, \
    counts.failed i, counts.cancelled i, progress f, reason s?, cancelled_by s?, created_at t, ended_at t?";

/// An index of an array.
pub const ARRAY_ITEM: &str = "index i, parameters {}, status waiting|running|completed|failed|cancelled, \
    execution_id s?, output s?, output_bytes i?";

/// A schedule.
pub const SCHEDULE: &str = "id s, name s, requester_id s, execution.vm_asset_id s, at t?, cron s?, time_zone s?, \
    enabled b, state active|paused|ended, concurrency allow|forbid|replace, catch_up skip|run_once, starts_at t?, \
    ends_at t?, history_limit i, created_at t, next_at t?";

/// A run of a schedule.
pub const RUN: &str = "id s, schedule_id s, due t, manual b, missed i, \
    status pending|running|completed|failed|cancelled|refused|skipped|missed, execution_id s?, reason s?, \
    started_at t?, ended_at t?";

/// An application of the catalog.
pub const APPLICATION: &str = "id s, name s, version s, type s, adapter s, status s, description s, \
    requirements.cpu s, requirements.memory s, requirements.storage s, requirements.network s, dependencies [], \
    author s, downloads i, rating f?, size s, last_updated t, asset_id s?, privacy_level s?";

/// The answer of `/health`.
pub const HEALTH: &str = "status s, server_id s, uptime_seconds i, timestamp t, version s, services.trustchain s, \
    services.stoq s, services.hypermesh s, services.integration s, services.assets b, services.consensus b, \
    services.proxy b, services.vm b";

/// The answer of `/api/v1/system/status`.
pub const SYSTEM_STATUS: &str = "status s, total_assets i, active_allocations i, consensus_health f?, \
    byzantine_detections i?, network_nodes i, proxy_connections i?, last_consensus t?, uptime f?";

/// The answer of `/api/v1/network/topology`.
pub const TOPOLOGY: &str = "nodes [], connections [], clusters []";

/// A node of the topology.
pub const TOPOLOGY_NODE: &str = "id s, address s, status s, connections [], region s";

/// The answer of `/api/v1/catalog/install`.
pub const INSTALLED: &str =
    "vm_asset {}, installation.status s, installation.progress i, installation.logs []";

/// A certificate.
pub const CERTIFICATE: &str = "id s, subject s, issuer s, serial_number s, valid_from t, valid_to t, fingerprint s, \
    public_key s, status active|expired|revoked|pending, trust_level root|intermediate|leaf, created_at t, updated_at t";

/// What a new certificate has beside it.
pub const ISSUED: &str = "certificate_pem s, chain_pem s";

/// A DNS record.
pub const DNS_RECORD: &str = "id s, domain s, record_type A|AAAA|CNAME|TXT|MX|SRV|CAA|TLSA|NS|SOA, value s, ttl i, \
    priority i?, weight i?, port i?, last_updated t, status active|pending|failed";

/// A rotation policy.
pub const ROTATION_POLICY: &str = "id s, certificate_id s, rotation_type automatic|manual|emergency, interval_days i, \
    warning_days i, grace_period_days i, enabled b, last_rotation t?, next_rotation t?";

/// A rotation on record.
pub const ROTATION: &str = "id s, certificate_id s, rotation_type s, executed_at t, old_fingerprint s, \
    new_fingerprint s?, status s";

/// A verdict.
pub const VALIDATION: &str = "valid b, certificate_id s, validation_path [], errors [], warnings [], validated_at t, \
    status s, validated_at_timestamp i, trust_chain [], message s";

/// The hierarchy.
pub const HIERARCHY: &str = "root_ca {}, intermediates [], leaves [], validation_chain [], last_validated t";

/// The answer of TrustChain's `/health`.
pub const TRUSTCHAIN_HEALTH: &str = "status s, server_id s, uptime_seconds i, timestamp t, version s, \
    services.trustchain s, services.stoq s, services.hypermesh s, services.integration s, services.ca b, \
    services.ct b, services.dns b, services.consensus b";

/// The answer of `/stats`.
pub const STATS: &str = "requests_total i, requests_successful i, requests_failed i, ca_requests i, ct_requests i, \
    dns_requests i, average_response_time_ms f, active_connections i, rate_limited_requests i, last_update t";

/// The answer of `/api/v1/status`.
pub const STATUS: &str = "status s, version s, server_id s, uptime_seconds i, stats.requests_total i, \
    configuration.bind_address s, configuration.port i, configuration.tls_enabled b, \
    configuration.rate_limit_per_minute i?, configuration.max_connections i, architecture.consensus s, \
    architecture.transport s, architecture.networking s, architecture.ca s, architecture.ct s, architecture.trust s, \
    endpoints {}, performance {}";

/// The answer of a cancel.
pub const CANCELLED: &str = "cancelled b, reason s?";

/// The answer of an action that gives nothing else.
pub const MESSAGE: &str = "message s";

/// An error (RFC 9457), with the contract's addition.
pub const PROBLEM: &str = "type s, title s, status i, detail s, instance s, timestamp t";

/// Members of `shape` that `value` lacks or has of another type.
pub fn check(shape: &str, value: &Value) -> Vec<String> {
    let members = shape.split(',').map(str::trim).filter_map(|member| member.split_once(' '));
    let wrong = members.filter_map(|(name, kind)| {
        let pointer = format!("/{}", name.replace('.', "/"));
        match value.pointer(&pointer) {
            None => Some(format!("`{name}` is missing")),
            Some(member) => (!is(kind, member)).then(|| format!("`{name}` is {member}, not {kind}")),
        }
    });
    wrong.collect()
}

fn is(kind: &str, value: &Value) -> bool {
    if let Some(kind) = kind.strip_suffix('?') {
        return value.is_null() || is(kind, value);
    }
    match kind {
        "s" => value.is_string(),
        "i" => value.is_i64() || value.is_u64(),
        "f" => value.is_number(),
        "b" => value.is_boolean(),
        "t" => value.as_str().is_some_and(is_time),
        "{}" => value.is_object(),
        "[]" => value.is_array(),
        names => value.as_str().is_some_and(|value| names.split('|').any(|name| name == value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_member_and_a_wrong_type_are_found() {
        let shape = "a s, b.c i, d x|y, e t?, f []";
        let good = json!({ "a": "", "b": { "c": 1 }, "d": "y", "e": null, "f": [], "more": 1 });
        assert_eq!(check(shape, &good), Vec::<String>::new());
        let bad = json!({ "a": null, "b": {}, "d": "z", "e": "now", "f": {} });
        assert_eq!(check(shape, &bad).len(), 5);
    }
}
