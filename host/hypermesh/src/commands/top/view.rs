//! Drawing `top`. Pure: the same state gives the same frame. What comes from others is made printable first; what is not
//! known is `-`, never zero.

use super::state::{Over, Pane, State};
use crate::human;
use hypermesh_wire::allocations::Allocation;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState, Wrap};
use std::collections::VecDeque;

const HELP: &str = "\
1 2 3, Tab   leases, executions, assets
Up Down      choose
Enter        what the kernel holds for the lease
k            release the lease / cancel the execution (asks first)
s            sort leases by age, cpu, memory, time left
/            filter; Esc ends it
q            quit";

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &State) {
    let [head, tabs, body, foot] = Layout::vertical([
        Constraint::Length(3),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, state, head);
    draw_tabs(frame, state, tabs);
    match state.pane {
        Pane::Leases => draw_leases(frame, state, body),
        Pane::Executions => draw_executions(frame, state, body),
        Pane::Assets => draw_assets(frame, state, body),
    }
    frame.render_widget(Paragraph::new(foot_line(state)), foot);
    draw_over(frame, state);
}

fn paint(state: &State, color: Color) -> Style {
    if state.colours { Style::new().fg(color) } else { Style::new() }
}

fn draw_head(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let [line, charts] = Layout::vertical([Constraint::Length(1), Constraint::Length(2)]).areas(area);
    let health = state.snapshot.as_ref().and_then(|snapshot| snapshot.health.as_ref());
    let text = match (&state.unreachable, health) {
        (Some((why, since)), _) => {
            let seconds = since.elapsed().as_secs();
            Line::styled(
                format!("unreachable for {seconds} s, trying again: {}", human::printable(why)),
                paint(state, Color::Red).add_modifier(Modifier::BOLD),
            )
        }
        (None, Some(health)) => {
            let reasons = health.reasons.iter().map(|reason| human::printable(reason)).collect::<Vec<_>>();
            let uptime = human::measured(health.metrics.uptime, " % up");
            let status = human::named(&health.status);
            Line::from(format!("{}  {status}  {uptime}  {}", health.node_id, reasons.join("; ")))
        }
        (None, None) => Line::from("asking the node …"),
    };
    frame.render_widget(Paragraph::new(text), line);
    let [cpu, memory, disk] = Layout::horizontal([
        Constraint::Percentage(40),
        Constraint::Percentage(40),
        Constraint::Percentage(20),
    ])
    .areas(charts);
    let metrics = health.map(|health| &health.metrics);
    chart(frame, state, cpu, "cpu", metrics.and_then(|m| m.cpu_usage), &state.cpu);
    chart(frame, state, memory, "memory", metrics.and_then(|m| m.memory_usage), &state.memory);
    let used = human::measured(metrics.and_then(|m| m.disk_usage), " %");
    frame.render_widget(Paragraph::new(format!("disk {used}")), disk);
}

fn chart(
    frame: &mut Frame<'_>,
    state: &State,
    area: Rect,
    name: &str,
    now: Option<f64>,
    history: &VecDeque<Option<f64>>,
) {
    let [text, line] = Layout::vertical([Constraint::Length(1), Constraint::Length(1)]).areas(area);
    frame.render_widget(Paragraph::new(format!("{name} {}", human::measured(now, " %"))), text);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage")]
    let whole = |percent: f64| percent.clamp(0.0, 100.0).round() as u64;
    let newest = history.iter().rev().take(usize::from(line.width)).rev();
    let points: Vec<Option<u64>> = newest.map(|point| point.map(whole)).collect();
    frame.render_widget(Sparkline::default().data(points).max(100).style(paint(state, Color::Cyan)), line);
}

fn draw_tabs(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let tab = |(at, pane): (usize, &Pane)| {
        let text = format!("{} {}", at + 1, pane.name());
        if *pane == state.pane { format!("[{text}]") } else { format!(" {text} ") }
    };
    let tabs: Vec<String> = Pane::ALL.iter().enumerate().map(tab).collect();
    let sorted = if state.pane == Pane::Leases { format!("by {}", state.sort.name()) } else { String::new() };
    let filter =
        if state.filter.is_empty() { String::new() } else { format!("/{}", human::printable(&state.filter)) };
    frame.render_widget(Paragraph::new(format!("{}   {sorted}  {filter}", tabs.join(" "))), area);
}

fn table(
    frame: &mut Frame<'_>,
    state: &State,
    area: Rect,
    head: &[&'static str],
    widths: &[u16],
    rows: Vec<Row<'_>>,
) {
    let widths: Vec<Constraint> = widths
        .iter()
        .map(|width| if *width == 0 { Constraint::Min(8) } else { Constraint::Length(*width) })
        .collect();
    let head =
        Row::new(head.iter().map(|name| Cell::from(*name))).style(Style::new().add_modifier(Modifier::BOLD));
    let chosen = Style::new().add_modifier(Modifier::REVERSED);
    let table = Table::new(rows, widths).header(head).row_highlight_style(chosen);
    let mut selected = TableState::default().with_selected(Some(state.selected()));
    frame.render_stateful_widget(table, area, &mut selected);
}

fn draw_leases(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let now = jiff::Timestamp::now();
    let row = |lease: &&Allocation| {
        let usage = state.snapshot.as_ref().and_then(|snapshot| snapshot.usages.get(&lease.id));
        let held = &lease.resources;
        let cpu_held = held.cpu_millis.map_or_else(|| human::UNKNOWN.into(), |m| format!("{m}m"));
        let cores = state
            .cores
            .get(&lease.id)
            .map_or_else(|| human::UNKNOWN.into(), |c| format!("{:.0}m", c * 1000.0));
        let left = u64::try_from(now.until(lease.end_time).map_or(0, |span| span.get_seconds())).unwrap_or(0);
        Row::new([
            human::middle_cut(&lease.id, 16),
            human::named(&lease.phase),
            human::middle_cut(&human::printable(&lease.requester_id), 10),
            format!("{cores}/{cpu_held}"),
            format!(
                "{}/{}",
                human::bytes(usage.and_then(|usage| usage.memory.current)),
                human::bytes(held.memory_bytes)
            ),
            human::count(usage.and_then(|usage| usage.processes)),
            held.gpus.len().to_string(),
            human::duration(left),
        ])
    };
    let rows = state.leases().iter().map(row).collect();
    let head = ["LEASE", "PHASE", "HOLDER", "CPU USED/HELD", "MEMORY USED/LIMIT", "PROCS", "GPUS", "LEFT"];
    table(frame, state, area, &head, &[16, 9, 10, 14, 22, 5, 4, 0], rows);
}

fn draw_executions(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let executions = state.executions();
    let row = |execution: &&hypermesh_wire::executions::VmExecution| {
        let cause = execution.cause.as_ref().map_or_else(String::new, |cause| cause.message.clone());
        Row::new([
            human::middle_cut(&execution.id, 18),
            human::printable(&execution.request.operation),
            human::named(&execution.status),
            human::seconds(execution.execution.resource_usage.cpu_time),
            human::bytes(execution.execution.resource_usage.memory_peak),
            human::printable(&cause),
        ])
    };
    let rows = executions.iter().map(row).collect();
    let head = ["EXECUTION", "OPERATION", "STATUS", "CPU TIME", "MEMORY PEAK", "CAUSE"];
    table(frame, state, area, &head, &[18, 14, 10, 10, 12, 0], rows);
}

fn draw_assets(frame: &mut Frame<'_>, state: &State, area: Rect) {
    let assets = state.snapshot.as_ref().map(|snapshot| snapshot.assets.as_slice()).unwrap_or_default();
    let row = |asset: &hypermesh_wire::assets::Asset| {
        let held = &asset.allocation;
        let share = (held.total_capacity > 0.0).then(|| held.allocated_capacity / held.total_capacity);
        Row::new([
            human::middle_cut(&asset.id, 22),
            human::named(&asset.status),
            share.map_or_else(String::new, |share| bar(share, 20)),
            human::number(held.allocated_capacity),
            human::number(held.available_capacity),
            format!("{} {}", human::number(held.total_capacity), human::printable(&held.unit)),
        ])
    };
    let head = ["ASSET", "STATUS", "LEASED", "LEASED", "FREE", "OF"];
    table(frame, state, area, &head, &[22, 11, 20, 8, 8, 0], assets.iter().map(row).collect());
}

/// `share` from 0 to 1 as so many characters.
fn bar(share: f64, width: usize) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small"
    )]
    let full = (share.clamp(0.0, 1.0) * width as f64).round() as usize;
    format!("{}{}", "█".repeat(full), "░".repeat(width - full))
}

fn foot_line(state: &State) -> String {
    match (&state.over, &state.message) {
        (Over::Filter, _) => format!("filter: {}_", human::printable(&state.filter)),
        (Over::Confirm { what, .. }, _) => format!("{what}? y / n"),
        (_, Some(message)) => human::printable(message),
        (_, None) => "q quit  ? help  / filter  s sort  Enter receipt  k end".into(),
    }
}

fn draw_over(frame: &mut Frame<'_>, state: &State) {
    match &state.over {
        Over::Help => popup(frame, "Keys", HELP.to_owned()),
        Over::Detail(enforcement) => {
            let entry = |entry: &hypermesh_wire::allocations::EnforcementEntry| {
                let held = entry.actual.clone().unwrap_or_else(|| human::UNKNOWN.into());
                let reason = entry.reason.clone().map_or_else(String::new, |reason| format!("  ({reason})"));
                let state = human::named(&entry.state);
                human::printable(&format!(
                    "{:<16} {state:<11} {} = {held}{reason}",
                    entry.limit, entry.requested
                ))
            };
            let lines: Vec<String> = enforcement.entries.iter().map(entry).collect();
            popup(frame, &enforcement.allocation_id, lines.join("\n"));
        }
        Over::Nothing | Over::Filter | Over::Confirm { .. } => {}
    }
}

fn popup(frame: &mut Frame<'_>, title: &str, text: String) {
    let area = frame.area();
    let lines = u16::try_from(text.lines().count()).unwrap_or(u16::MAX);
    let height = lines.saturating_mul(2).saturating_add(2).min(area.height.saturating_sub(2)).max(3);
    let width = area.width.saturating_sub(4);
    let place = Rect { x: 2.min(area.width), y: 1.min(area.height), width, height: height.min(area.height) };
    frame.render_widget(Clear, place);
    let block = Block::bordered().title(human::printable(title));
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), place);
}
