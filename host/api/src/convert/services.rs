//! Services: asking for one, and how one and its log look.

use super::allocations::seconds;
use super::{check, executions, same_names, time};
use crate::problem::Draft;
use hypermesh_mesh::{LogPage, ServeRequest, ServiceView};
use hypermesh_model::{self as model, AssetId, Bytes, LeaseId, ServiceName, ServiceTerms};
use hypermesh_wire::MAX_SECONDS;
use hypermesh_wire::services::{self as wire, CreateService, Service, ServiceLogs};
use serde_json::json;

/// Most requests of one service at the same time.
const MAX_CONCURRENCY: u32 = 64;
/// Longest time of one request, in seconds.
const MAX_TIMEOUT: u64 = 300;
/// The longest body when none is given: a picture or a document.
const DEFAULT_BODY: Bytes = Bytes::mib(16);
/// The longest body that can be asked for: bodies are passed on as they come and held nowhere.
const MAX_BODY: Bytes = Bytes::mib(1024);

same_names!(shown_status: model::ServiceStatus => wire::ServiceStatus { Serving, Ended });

/// A service to make.
pub(crate) fn new(body: CreateService) -> Result<ServeRequest, Draft> {
    let lease = body.allocation_id.map(|id| check::id("allocation_id", &id, LeaseId::parse)).transpose()?;
    let max_body = match body.max_body {
        None => DEFAULT_BODY,
        Some(text) => {
            let size = check::size("max_body", &text)?;
            if size > MAX_BODY {
                return Err(check::not_granted("max_body", &format!("a body may be up to {MAX_BODY}")));
            }
            size
        }
    };
    Ok(ServeRequest {
        name: ServiceName::parse(body.name).map_err(|error| Draft::invalid("name", error.to_string()))?,
        vm_asset_id: check::id("vm_asset_id", &body.vm_asset_id, AssetId::parse)?,
        lease,
        allocation_seconds: check::range("allocation_duration", body.allocation_duration, 1, MAX_SECONDS)?,
        terms: ServiceTerms {
            concurrency: check::range("concurrency", body.concurrency, 1, MAX_CONCURRENCY)?,
            timeout_seconds: check::range("timeout", body.timeout, 1, MAX_TIMEOUT)?,
            max_body,
            folders: executions::each("folders", body.folders, executions::folder)?,
            network: executions::each("network", body.network, executions::host)?,
        },
    })
}

/// A service as a caller sees it; `address` is where this node's API is.
pub(crate) fn shown(address: &str, view: ServiceView) -> Service {
    let ServiceView { service, running, waiting, memory_per_request, dropped_log_lines } = view;
    let path = format!("/guests/{}/", service.name);
    let number = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    Service {
        id: service.id.into(),
        url: format!("{address}{path}"),
        path,
        name: service.name.into(),
        vm_asset_id: service.vm_asset_id.into(),
        catalog_id: service.package.into(),
        allocation_id: service.lease_id.into(),
        owns_allocation: service.owns_lease,
        status: shown_status(service.status),
        end_reason: service.end_reason,
        concurrency: service.terms.concurrency,
        timeout: service.terms.timeout_seconds,
        max_body: service.terms.max_body.0,
        memory_per_request: memory_per_request.map(|memory| memory.0),
        folders: service.terms.folders.into_iter().map(executions::shown_folder).collect(),
        network: service.terms.network.into_iter().map(executions::shown_host).collect(),
        usage: wire::ServiceUsage {
            requests: service.usage.requests,
            answered: service.usage.answered,
            failures: service.usage.failures.into_iter().map(|(kind, count)| (kind, json!(count))).collect(),
            turned_away: service.usage.turned_away,
            running: number(running),
            waiting: number(waiting),
            cpu_time: service.usage.cpu_time_ns.map(seconds),
        },
        dropped_log_lines,
        created_at: time(service.created_at),
        ended_at: service.ended_at.map(time),
        requester_id: service.requester.0,
    }
}

/// A page of a log as a caller sees it.
pub(crate) fn logs(name: ServiceName, page: LogPage) -> ServiceLogs {
    ServiceLogs {
        service: name.into(),
        lines: page.lines.into_iter().map(executions::line).collect(),
        next: page.next,
        complete: page.complete,
        dropped_log_lines: page.dropped,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn asked(member: &str, value: Value) -> Result<ServeRequest, Draft> {
        let mut body = json!({ "name": "hello", "vm_asset_id": "vm" });
        body[member] = value;
        new(serde_json::from_value(body).unwrap())
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        for (member, value) in [
            ("name", json!("Hello")),
            ("name", json!("")),
            ("vm_asset_id", json!("A")),
            ("allocation_id", json!("")),
            ("allocation_duration", json!(0)),
            ("concurrency", json!(0)),
            ("concurrency", json!(65)),
            ("timeout", json!(301)),
            ("max_body", json!("2GiB")),
            ("max_body", json!("much")),
        ] {
            let refused = asked(member, value.clone()).err();
            assert_eq!(refused.unwrap().member(), Some(member), "{member}: {value}");
        }
        let folder = asked("folders", json!([{ "path": "a" }])).err().unwrap();
        assert_eq!(folder.member(), Some("folders[0].path"));
        let host = asked("network", json!([{ "host": "a b", "port": 1 }])).err().unwrap();
        assert_eq!(host.member(), Some("network[0].host"));
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let terms = asked("name", json!("hello")).ok().unwrap().terms;
        assert_eq!((terms.concurrency, terms.timeout_seconds, terms.max_body), (8, 30, DEFAULT_BODY));
        assert_eq!(asked("timeout", json!(null)).ok().unwrap().terms.timeout_seconds, 30);
        assert_eq!(asked("max_body", json!("1kB")).ok().unwrap().terms.max_body, Bytes(1000));
    }
}
