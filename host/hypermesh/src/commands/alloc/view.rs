//! How leases, receipts and the queue are laid out for people.

use crate::human;
use crate::output::Style;
use crate::table::{Table, fields};
use hypermesh_wire::allocations::{Allocation, Enforcement, IoLimits, Resources};
use hypermesh_wire::queue::QueueEntry;

const NOT_LIMITED: &str = "not limited";

/// Leases, a line each.
pub(crate) fn list(leases: &[Allocation], style: Style) -> String {
    let heads = ["ID", "PHASE", "HOLDER", ">CPU", ">MEMORY", ">STORAGE", ">GPUS", "ENFORCED", "UNTIL"];
    let mut table = Table::new(&heads);
    for lease in leases {
        let held = &lease.resources;
        table.row([
            lease.id.clone(),
            human::named(&lease.phase),
            lease.requester_id.clone(),
            held.cpu_millis.map_or_else(|| human::UNKNOWN.into(), |millis| format!("{millis}m")),
            human::bytes(held.memory_bytes),
            human::bytes(held.storage_bytes),
            held.gpus.len().to_string(),
            if lease.enforced { "yes" } else { "no" }.into(),
            format!("{:.0}", lease.end_time),
        ]);
    }
    table.render(style)
}

/// One lease.
pub(crate) fn show(lease: &Allocation, style: Style) -> String {
    let mut members = vec![
        ("id", lease.id.clone()),
        ("phase", human::named(&lease.phase)),
        ("asset", lease.asset_id.clone()),
        ("amount", format!("{} {}", human::number(lease.amount), lease.unit)),
    ];
    members.extend(held(&lease.resources));
    members.extend([
        ("enforced", if lease.enforced { "yes" } else { "no" }.into()),
        ("from", format!("{:.0}", lease.start_time)),
        ("until", format!("{:.0}", lease.end_time)),
        ("then", then(lease)),
        ("priority", priority(lease)),
        ("holder", lease.requester_id.clone()),
        ("generation", lease.generation.to_string()),
    ]);
    if let Some(until) = lease.frozen_until {
        members.push(("killed at", format!("{until:.0}, unless it is renewed")));
    }
    if let Some(place) = &lease.queue {
        let eta = place.eta.map_or_else(|| human::UNKNOWN.to_owned(), |eta| format!("{eta:.0}"));
        members.push(("queue", format!("position {}, begins {eta}", place.position)));
    }
    if let Some(reason) = &lease.end_reason {
        members.push(("ended", reason.clone()));
    }
    fields(&members, style)
}

/// What a lease holds, or would.
pub(crate) fn resources(resources: &Resources, style: Style) -> String {
    fields(&held(resources), style)
}

fn then(lease: &Allocation) -> String {
    let end = human::named(&lease.on_expiry);
    let grace =
        if lease.grace_s > 0 { format!(" for {}", human::duration(lease.grace_s)) } else { String::new() };
    let folder = if lease.keep_storage { ", its folder is kept" } else { "" };
    format!("{end}{grace}{folder}")
}

fn priority(lease: &Allocation) -> String {
    let priority = lease.priority;
    match (lease.preemptible, lease.min_runtime_s) {
        (false, _) => priority.to_string(),
        (true, 0) => format!("{priority}, may be pre-empted"),
        (true, safe) => format!("{priority}, may be pre-empted after {}", human::duration(safe)),
    }
}

fn held(held: &Resources) -> Vec<(&'static str, String)> {
    let limited =
        |size: Option<u64>| size.map_or_else(|| NOT_LIMITED.into(), |size| human::bytes(Some(size)));
    let mut members = vec![("cpu", cpu(held)), ("memory", limited(held.memory_bytes))];
    if let Some(request) = held.memory_request_bytes {
        members.push(("memory kept", human::bytes(Some(request))));
    }
    members.push(("pids", held.pids.map_or_else(|| NOT_LIMITED.into(), |pids| pids.to_string())));
    if let Some(limits) = &held.io {
        members.push(("i/o", io(limits)));
    }
    if let Some(size) = held.storage_bytes {
        let path = held.storage_path.as_deref().map_or_else(String::new, |path| format!(" in {path}"));
        members.push(("storage", format!("{}{path}", human::bytes(Some(size)))));
    }
    members.push(("gpus", if held.gpus.is_empty() { "none".into() } else { held.gpus.join("\n") }));
    if let Some(memory) = held.gpu_memory_bytes {
        members.push(("gpu memory", format!("{} of each, shared in time", human::bytes(Some(memory)))));
    }
    members
}

fn cpu(held: &Resources) -> String {
    let Some(millis) = held.cpu_millis else { return NOT_LIMITED.into() };
    let mode = held.cpu_mode.map_or_else(String::new, |mode| format!(", {}", human::named(&mode)));
    let cpus = match held.cpus.as_slice() {
        [] => String::new(),
        cpus => format!(" to {}", cpus.iter().map(u32::to_string).collect::<Vec<_>>().join(",")),
    };
    format!("{} of one CPU{mode}{cpus}", human::number(f64::from(millis) / 1000.0))
}

fn io(limits: &IoLimits) -> String {
    let bytes =
        |name, limit: Option<u64>| limit.map(|limit| format!("{name} {}/s", human::bytes(Some(limit))));
    let count = |name, limit: Option<u64>| limit.map(|limit| format!("{limit} {name}/s"));
    let all = [
        bytes("read", limits.read_bps),
        bytes("write", limits.write_bps),
        count("reads", limits.read_iops),
        count("writes", limits.write_iops),
    ];
    all.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What the kernel holds, and what was used.
pub(crate) fn receipt(enforcement: &Enforcement, style: Style) -> String {
    let mut table = Table::new(&["LIMIT", "STATE", "ASKED", "KERNEL HAS", "WHERE"]);
    for entry in &enforcement.entries {
        table.row([
            entry.limit.clone(),
            human::named(&entry.state),
            entry.requested.clone(),
            entry.actual.clone().unwrap_or_else(|| human::UNKNOWN.into()),
            entry.file.clone().or_else(|| entry.reason.clone()).unwrap_or_default(),
        ]);
    }
    let mut text = table.render(style);
    if !enforcement.jail.is_empty() {
        let mut jail = Table::new(&["GUESTS' JAIL", "STATE", "WHAT IT DOES, OR WHY NOT"]);
        for layer in &enforcement.jail {
            let state = if layer.active { "active" } else { "not active" };
            jail.row([layer.layer.clone(), state.into(), layer.detail.clone()]);
        }
        text.push('\n');
        text.push_str(&jail.render(style));
    }
    if let Some(used) = &enforcement.usage {
        text.push('\n');
        text.push_str(&fields(
            &[
                ("cpu time", human::seconds(used.cpu_time)),
                ("memory", human::bytes(used.memory_current)),
                ("memory peak", human::bytes(used.memory_peak)),
                ("processes", used.processes.to_string()),
                ("oom kills", human::count(used.oom_kills)),
                ("throttled periods", human::count(used.throttled_periods)),
                ("read at", format!("{:.0}", enforcement.read_at)),
            ],
            style,
        ));
    }
    text
}

/// Who waits, the next one first.
pub(crate) fn queue(entries: &[QueueEntry], style: Style) -> String {
    let mut table = Table::new(&[">#", "ID", "HOLDER", ">PRIORITY", ">SHARE", "BEGINS", "GIVES UP"]);
    let time =
        |at: Option<jiff::Timestamp>| at.map_or_else(|| human::UNKNOWN.into(), |at| format!("{at:.0}"));
    for entry in entries {
        table.row([
            entry.position.to_string(),
            entry.allocation_id.clone(),
            entry.requester_id.clone(),
            entry.priority.to_string(),
            format!("{:.3}", entry.share),
            time(entry.eta),
            time(entry.wait_until),
        ]);
    }
    table.render(style)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_wire::allocations::CpuMode;

    fn pinned() -> Resources {
        Resources {
            cpu_millis: Some(2000),
            cpu_mode: Some(CpuMode::Pinned),
            cpu_burst_us: None,
            cpus: vec![0, 2],
            mems: vec![],
            memory_bytes: Some(1 << 20),
            memory_request_bytes: None,
            pids: None,
            io: Some(IoLimits { write_bps: Some(1 << 20), read_iops: Some(9), ..IoLimits::default() }),
            storage_bytes: Some(1 << 30),
            storage_path: Some("/data/volumes/a1".into()),
            gpus: vec!["GPU-1".into()],
            gpu_memory_bytes: None,
        }
    }

    #[test]
    fn what_a_lease_holds_is_told_in_every_dimension() {
        assert_eq!(
            resources(&pinned(), Style::PLAIN),
            "cpu      2 of one CPU, pinned to 0,2\nmemory   1 MiB\npids     not limited\n\
             i/o      write 1 MiB/s, 9 reads/s\nstorage  1 GiB in /data/volumes/a1\ngpus     GPU-1\n"
        );
    }

    #[test]
    fn an_empty_queue_says_so() {
        assert_eq!(queue(&[], Style::PLAIN), "none\n");
    }
}
