//! `status`: how the node is, in one view.

use crate::context::Context;
use crate::human;
use crate::output::Style;
use crate::table::fields;
use hypermesh_wire::nodes::NodeHealth;
use hypermesh_wire::system::{Health, SystemStatus};
use serde::Serialize;

#[derive(Serialize)]
struct View {
    server: String,
    health: Health,
    system: SystemStatus,
    nodes: Vec<NodeHealth>,
}

/// Runs `status`.
pub(crate) fn run(context: &Context) -> anyhow::Result<()> {
    let client = context.client()?;
    let view = View {
        server: client.base_url().to_owned(),
        health: client.health()?,
        system: client.system_status()?,
        nodes: client.nodes_health()?,
    };
    context.output.show(&view, show)
}

fn show(view: &View, style: Style) -> String {
    let health = &view.health;
    let services = &health.services;
    let mut members = vec![
        ("node", format!("{} ({} at {})", health.server_id, health.version, view.server)),
        ("status", health.status.clone()),
        ("reasons", health.reasons.join("\n")),
        ("up", human::duration(health.uptime_seconds)),
        (
            "services",
            format!(
                "hypermesh {}, trustchain {}, stoq {}",
                services.hypermesh, services.trustchain, services.stoq
            ),
        ),
        ("assets", view.system.total_assets.to_string()),
        ("allocations", format!("{} active", view.system.active_allocations)),
        ("executions", if services.vm { "possible" } else { "not possible here" }.into()),
        ("consensus", if services.consensus { "running" } else { "not configured" }.into()),
    ];
    for node in &view.nodes {
        let measured = &node.metrics;
        members.push((
            "measured",
            format!(
                "CPU {}, memory {}, disk {}, up {} of the time",
                human::measured(measured.cpu_usage, " %"),
                human::measured(measured.memory_usage, " %"),
                human::measured(measured.disk_usage, " %"),
                human::measured(measured.uptime, " %"),
            ),
        ));
    }
    members.retain(|(_, value)| !value.is_empty());
    fields(&members, style)
}
