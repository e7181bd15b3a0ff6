//! `alloc usage`: what a lease uses, once or as it changes.

use crate::context::Context;
use crate::human;
use crate::output::Style;
use crate::table::{Table, fields};
use hypermesh_client::{Client, UsageNotice};
use hypermesh_wire::allocations::{AllocationUsage, Pressure};

/// One reading.
pub(crate) fn show(usage: &AllocationUsage, style: Style) -> String {
    let (memory, pids, io) = (&usage.memory, &usage.pids, &usage.io);
    let mut members = vec![
        ("read at", format!("{:.0}", usage.at)),
        ("cpu time", human::seconds(usage.cpu.time_s)),
        ("throttled", throttled(usage)),
        ("memory", of(human::bytes(memory.current), memory.limit.map(|limit| human::bytes(Some(limit))))),
        ("memory peak", human::bytes(memory.peak)),
        ("working set", human::bytes(memory.working_set)),
        ("oom kills", human::count(usage.oom_kills)),
        ("processes", human::count(usage.processes)),
        ("pids", of(human::count(pids.current), pids.limit.map(|limit| limit.to_string()))),
        ("read", format!("{} in {}", human::bytes(io.read_bytes), human::count(io.reads))),
        ("written", format!("{} in {}", human::bytes(io.write_bytes), human::count(io.writes))),
        ("cpu pressure", pressure(usage.pressure.cpu)),
        ("memory pressure", pressure(usage.pressure.memory)),
        ("i/o pressure", pressure(usage.pressure.io)),
    ];
    if let Some(storage) = usage.storage {
        members
            .push(("storage", of(human::bytes(storage.used), storage.size.map(|s| human::bytes(Some(s))))));
    }
    let mut text = fields(&members, style);
    if !usage.gpus.is_empty() {
        let mut table = Table::new(&["GPU", ">BUSY", ">MEMORY", ">OF LEASE", ">POWER", ">TEMPERATURE"]);
        for gpu in &usage.gpus {
            table.row([
                gpu.uuid.clone(),
                human::measured(gpu.utilization_percent, " %"),
                human::bytes(gpu.memory_used),
                human::bytes(gpu.memory_of_lease),
                human::measured(gpu.power_watts, " W"),
                human::measured(gpu.temperature_celsius, " °C"),
            ]);
        }
        text.push('\n');
        text.push_str(&table.render(style));
    }
    text
}

/// Readings until the lease ends, a line each.
///
/// # Errors
/// When the connection breaks.
pub(crate) fn follow(context: &Context, client: &Client, id: &str, interval: u64) -> anyhow::Result<()> {
    crate::say!("{}", context.talk.strong(HEADS));
    for notice in client.follow_usage(id, interval)? {
        match notice? {
            UsageNotice::Reading(usage) => context.output.show_next(&*usage, line)?,
            UsageNotice::Ended(end) => {
                let reason = end.end_reason.map_or_else(String::new, |reason| format!(": {reason}"));
                let text = human::printable(&format!(
                    "{} is {}{reason}",
                    end.allocation_id,
                    human::named(&end.phase)
                ));
                crate::say!("{}", context.talk.faint(&text));
            }
        }
    }
    Ok(())
}

const HEADS: &str =
    "READ AT                 CPUS     MEMORY       PEAK  PIDS       READ    WRITTEN  THROTTLED";

fn line(usage: &AllocationUsage, _: Style) -> String {
    format!(
        "{:.0}  {:>6}  {:>9}  {:>9}  {:>4}  {:>9}  {:>9}  {:>9}\n",
        usage.at,
        human::measured(usage.cpu.cores, ""),
        human::bytes(usage.memory.current),
        human::bytes(usage.memory.peak),
        human::count(usage.pids.current),
        human::bytes(usage.io.read_bytes),
        human::bytes(usage.io.write_bytes),
        human::measured(usage.cpu.throttled_s, " s"),
    )
}

fn of(now: String, limit: Option<String>) -> String {
    limit.map_or_else(|| now.clone(), |limit| format!("{now} of {limit}"))
}

fn throttled(usage: &AllocationUsage) -> String {
    let (held, all) = (human::count(usage.cpu.throttled_periods), human::count(usage.cpu.periods));
    format!("{} in {held} of {all} periods", human::seconds(usage.cpu.throttled_s))
}

fn pressure(pressure: Option<Pressure>) -> String {
    let Some(pressure) = pressure else { return human::UNKNOWN.to_owned() };
    let (some, full) = (pressure.some_avg10, pressure.full_avg10);
    format!("{} some, {} all (10 s)", human::measured(some, " %"), human::measured(full, " %"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn usage() -> AllocationUsage {
        serde_json::from_value(json!({
            "allocation_id": "a1", "at": "2026-01-02T03:04:05Z",
            "cpu": { "time_s": 1.5, "cores": null, "throttled_s": 0.25, "throttled_periods": 2, "periods": 9 },
            "memory": { "current": 1_048_576, "limit": 2_097_152 }, "pids": { "current": 3 }, "io": {},
            "pressure": { "cpu": { "some_avg10": 12.5 } }, "gpus": [{ "uuid": "GPU-1", "power_watts": 50.0 }],
            "storage": { "used": null, "size": 1024 }, "oom_kills": null, "processes": 3,
        }))
        .unwrap()
    }

    #[test]
    fn what_is_not_counted_is_told_as_unknown() {
        let text = show(&usage(), Style::PLAIN);
        for expected in [
            "throttled        0.250 s in 2 of 9 periods\n",
            "memory           1 MiB of 2 MiB\n",
            "cpu pressure     12.5 % some, - all (10 s)\n",
            "i/o pressure     -\n",
            "storage          - of 1 KiB\n",
        ] {
            assert!(text.contains(expected), "{expected} is not in\n{text}");
        }
        assert!(text.contains("GPU-1") && text.contains("50 W"), "{text}");
    }

    #[test]
    fn a_line_stands_below_its_heads() {
        let line = line(&usage(), Style::PLAIN);
        assert_eq!(line.trim_end().chars().count(), HEADS.chars().count(), "{line}");
    }
}
