//! The screen as text, and what the keys do.

use super::poll::Snapshot;
use super::state::{Doing, Over, Pane, State};
use super::view;
use hypermesh_wire::allocations::{Allocation, AllocationUsage};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent};
use serde_json::json;
use std::collections::HashMap;
use std::time::{Duration, Instant};

fn lease(id: &str, holder: &str) -> Allocation {
    serde_json::from_value(json!({
        "id": id, "asset_id": "cpu", "requester_id": holder, "amount": 25.0, "unit": "percentage", "duration": 600,
        "start_time": "2026-01-02T03:04:05Z", "end_time": "2100-01-02T03:04:05Z", "status": "active",
        "consensus_proofs": [], "proxy_address": null, "enforced": true, "end_reason": null, "phase": "active",
        "generation": 2, "priority": 50, "preemptible": false, "min_runtime_s": 0, "on_expiry": "kill", "grace_s": 0,
        "warn_s": 60, "keep_storage": false, "frozen_until": null, "queue": null,
        "resources": {
            "cpu_millis": 500, "cpu_mode": "limited", "cpu_burst_us": null, "cpus": [], "mems": [],
            "memory_bytes": 268_435_456, "memory_request_bytes": null, "pids": 64, "io": null, "storage_bytes": null,
            "storage_path": null, "gpus": [], "gpu_memory_bytes": null,
        },
    }))
    .unwrap()
}

fn usage(id: &str, cpu_seconds: f64) -> AllocationUsage {
    serde_json::from_value(json!({
        "allocation_id": id, "at": "2026-01-02T03:04:05Z",
        "cpu": { "time_s": cpu_seconds, "cores": null, "throttled_s": null, "throttled_periods": null, "periods": null },
        "memory": { "current": 1_048_576, "working_set": null, "anon": null, "file": null, "swap": null, "peak": null, "limit": null },
        "pids": { "current": 3, "limit": 64, "limit_hits": 0 },
        "io": { "read_bytes": null, "write_bytes": null, "reads": null, "writes": null },
        "pressure": { "cpu": null, "memory": null, "io": null },
        "gpus": [], "storage": null, "oom_kills": 0, "processes": 2,
    }))
    .unwrap()
}

fn snapshot(at: Instant, cpu_seconds: f64) -> Box<Snapshot> {
    let leases = vec![lease("alloc-one", "ann"), lease("alloc-two", "bob")];
    let usages = HashMap::from([("alloc-one".to_owned(), usage("alloc-one", cpu_seconds))]);
    Box::new(Snapshot { at, health: None, assets: Vec::new(), leases, usages, executions: Vec::new() })
}

fn shown(state: &State, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| view::draw(frame, state)).unwrap();
    let buffer = terminal.backend().buffer().clone();
    let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol().to_owned()).collect::<String>();
    (0..height).map(line).collect::<Vec<_>>().join("\n")
}

fn state() -> State {
    let mut state = State::new(false);
    let begun = Instant::now();
    state.take(Ok(snapshot(begun, 1.0)));
    state.take(Ok(snapshot(begun + Duration::from_secs(2), 1.5)));
    state
}

fn press(state: &mut State, code: KeyCode) -> Doing {
    state.press(KeyEvent::from(code))
}

#[test]
fn a_lease_is_a_line_with_what_it_uses_and_holds() {
    let text = shown(&state(), 100, 12);
    let one = text.lines().find(|line| line.contains("alloc-one")).unwrap();
    for part in ["active", "ann", "250m/500m", "1 MiB/256 MiB"] {
        assert!(one.contains(part), "{part} in\n{text}");
    }
    let two = text.lines().find(|line| line.contains("alloc-two")).unwrap();
    assert!(two.contains("-/500m") && two.contains("-/256 MiB"), "what is not known is no zero:\n{text}");
}

#[test]
fn it_fits_a_small_and_a_tiny_terminal() {
    for (width, height) in [(80, 24), (20, 5), (1, 1)] {
        let mut state = state();
        shown(&state, width, height);
        press(&mut state, KeyCode::Char('?'));
        shown(&state, width, height);
    }
}

#[test]
fn an_end_is_asked_for_first() {
    let mut state = state();
    press(&mut state, KeyCode::Down);
    assert_eq!(press(&mut state, KeyCode::Char('k')), Doing::Nothing);
    assert!(shown(&state, 100, 12).contains("release alloc-two and kill what runs in it? y / n"));
    assert_eq!(press(&mut state, KeyCode::Char('n')), Doing::Nothing);
    assert!(matches!(state.over, Over::Nothing));
    press(&mut state, KeyCode::Char('k'));
    assert_eq!(press(&mut state, KeyCode::Char('y')), Doing::Release("alloc-two".into()));
}

#[test]
fn a_filter_leaves_what_matches() {
    let mut state = state();
    for code in [KeyCode::Char('/'), KeyCode::Char('b'), KeyCode::Char('o'), KeyCode::Enter] {
        press(&mut state, code);
    }
    assert_eq!(state.leases().len(), 1);
    assert_eq!(press(&mut state, KeyCode::Enter), Doing::Detail("alloc-two".into()));
    press(&mut state, KeyCode::Char('/'));
    press(&mut state, KeyCode::Esc);
    assert_eq!(state.leases().len(), 2);
}

#[test]
fn keys_change_panes_and_order_and_end_it() {
    let mut state = state();
    press(&mut state, KeyCode::Char('s'));
    assert_eq!(state.leases()[0].id, "alloc-one", "it uses CPU");
    press(&mut state, KeyCode::Tab);
    assert_eq!(state.pane, Pane::Executions);
    assert_eq!(press(&mut state, KeyCode::Char('k')), Doing::Nothing, "there is nothing to cancel");
    press(&mut state, KeyCode::Char('3'));
    assert_eq!(state.pane, Pane::Assets);
    assert_eq!(press(&mut state, KeyCode::Char('q')), Doing::Quit);
}

#[test]
fn a_node_that_is_away_is_said_and_the_last_reading_stays() {
    let mut state = state();
    state.take(Err("connection refused".into()));
    let text = shown(&state, 100, 12);
    assert!(
        text.contains("unreachable for 0 s, trying again: connection refused") && text.contains("alloc-one"),
        "{text}"
    );
    state.take(Ok(snapshot(Instant::now(), 2.0)));
    assert!(!shown(&state, 100, 12).contains("unreachable"));
}

#[test]
fn what_others_named_is_no_escape_sequence() {
    let mut state = State::new(true);
    let mut reading = snapshot(Instant::now(), 0.0);
    reading.leases[0].requester_id = "a\u{1b}[31m".into();
    state.take(Ok(reading));
    assert!(!shown(&state, 100, 12).contains('\u{1b}'));
}
