//! `doctor`: whether this machine can run a node. Exits 1 if something is missing that a node needs.

use crate::cli::NodeOptions;
use crate::commands::config;
use crate::context::Context;
use crate::failure::Failure;
use crate::human;
use crate::output::Style;
use hypermesh_node::{Finding, Level};

/// Runs `doctor`.
pub(crate) fn run(context: &Context, options: NodeOptions) -> anyhow::Result<()> {
    let findings = hypermesh_node::doctor(&config::load(context, options)?);
    context.output.show(&findings, |findings, style| render(findings, style))?;
    let failed = findings.iter().any(|finding| finding.level == Level::Fail);
    if failed { Err(Failure::EXPLAINED.into()) } else { Ok(()) }
}

fn render(findings: &[Finding], style: Style) -> String {
    let width = findings.iter().map(|finding| finding.name.chars().count()).max().unwrap_or(0);
    let paint = |finding: &Finding| {
        let level = match finding.level {
            Level::Ok => style.good("ok  "),
            Level::Warn => style.warning("warn"),
            Level::Fail => style.error("fail"),
        };
        format!(
            "{level}  {:<width$}  {}\n",
            human::printable(&finding.name),
            human::printable(&finding.detail)
        )
    };
    findings.iter().map(paint).collect()
}
