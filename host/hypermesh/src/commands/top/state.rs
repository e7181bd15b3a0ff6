//! What `top` shows and what is chosen on it. Pure: a key or a reading in, what to do out.

use super::poll::{Reading, Snapshot};
use hypermesh_client::ClientError;
use hypermesh_wire::allocations::{Allocation, Enforcement};
use hypermesh_wire::executions::VmExecution;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

/// Readings that the small charts show: two minutes.
pub(super) const HISTORY: usize = 120;

/// The panes, in the order of the keys 1 to 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pane {
    Leases,
    Executions,
    Assets,
}

impl Pane {
    pub(super) const ALL: [Self; 3] = [Self::Leases, Self::Executions, Self::Assets];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Leases => "Leases",
            Self::Executions => "Executions",
            Self::Assets => "Assets",
        }
    }
}

/// The column by which leases are sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Age,
    Cpu,
    Memory,
    Left,
}

impl Sort {
    fn next(self) -> Self {
        match self {
            Self::Age => Self::Cpu,
            Self::Cpu => Self::Memory,
            Self::Memory => Self::Left,
            Self::Left => Self::Age,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Left => "time left",
        }
    }
}

/// What lies over the panes.
#[derive(Debug, Clone)]
pub(super) enum Over {
    Nothing,
    Help,
    Filter,
    /// Asked before something is ended.
    Confirm {
        what: String,
        doing: Doing,
    },
    Detail(Box<Enforcement>),
}

/// What the loop has to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Doing {
    Nothing,
    Quit,
    Release(String),
    Cancel(String),
    Detail(String),
}

/// See the module head.
#[derive(Debug)]
pub(super) struct State {
    pub(super) colours: bool,
    pub(super) pane: Pane,
    pub(super) sort: Sort,
    pub(super) filter: String,
    pub(super) over: Over,
    /// What was said last, inline.
    pub(super) message: Option<String>,
    pub(super) snapshot: Option<Snapshot>,
    /// Why the node can't be had, and since when.
    pub(super) unreachable: Option<(String, Instant)>,
    pub(super) cpu: VecDeque<Option<f64>>,
    pub(super) memory: VecDeque<Option<f64>>,
    /// CPUs that each lease used between the last two readings.
    pub(super) cores: HashMap<String, f64>,
    selected: [usize; 3],
}

impl State {
    pub(super) fn new(colours: bool) -> Self {
        Self {
            colours,
            pane: Pane::Leases,
            sort: Sort::Age,
            filter: String::new(),
            over: Over::Nothing,
            message: None,
            snapshot: None,
            unreachable: None,
            cpu: VecDeque::new(),
            memory: VecDeque::new(),
            cores: HashMap::new(),
            selected: [0; 3],
        }
    }

    /// Takes a reading over.
    pub(super) fn take(&mut self, reading: Reading) {
        match reading {
            Ok(snapshot) => {
                let metrics = snapshot.health.as_ref().map(|health| &health.metrics);
                push(&mut self.cpu, metrics.and_then(|metrics| metrics.cpu_usage));
                push(&mut self.memory, metrics.and_then(|metrics| metrics.memory_usage));
                self.cores =
                    self.snapshot.as_ref().map(|before| rates(before, &snapshot)).unwrap_or_default();
                self.unreachable = None;
                self.snapshot = Some(*snapshot);
            }
            Err(why) => {
                let since = self.unreachable.take().map_or_else(Instant::now, |(_, since)| since);
                self.unreachable = Some((why, since));
                push(&mut self.cpu, None);
                push(&mut self.memory, None);
            }
        }
    }

    /// Shows what came of something.
    pub(super) fn say(&mut self, answer: Result<String, ClientError>) {
        self.message = Some(answer.unwrap_or_else(|error| error.to_string()));
    }

    /// Shows a lease's receipt, or why there is none.
    pub(super) fn show_detail(&mut self, detail: Result<Enforcement, ClientError>) {
        match detail {
            Ok(enforcement) => self.over = Over::Detail(Box::new(enforcement)),
            Err(error) => self.message = Some(error.to_string()),
        }
    }

    /// The leases as they are shown: filtered and sorted.
    pub(super) fn leases(&self) -> Vec<&Allocation> {
        let Some(snapshot) = &self.snapshot else { return Vec::new() };
        let mut leases: Vec<&Allocation> =
            snapshot.leases.iter().filter(|lease| self.matches(lease)).collect();
        let used = |lease: &Allocation| self.cores.get(&lease.id).copied().unwrap_or(0.0);
        let memory =
            |lease: &Allocation| snapshot.usages.get(&lease.id).and_then(|usage| usage.memory.current);
        match self.sort {
            Sort::Age => {}
            Sort::Cpu => leases.sort_by(|a, b| used(b).total_cmp(&used(a))),
            Sort::Memory => leases.sort_by_key(|lease| std::cmp::Reverse(memory(lease))),
            Sort::Left => leases.sort_by_key(|lease| lease.end_time),
        }
        leases
    }

    /// The executions as they are shown.
    pub(super) fn executions(&self) -> Vec<&VmExecution> {
        let Some(snapshot) = &self.snapshot else { return Vec::new() };
        let matches = |execution: &&VmExecution| {
            let has = |text: &str| text.contains(&self.filter);
            has(&execution.id) || has(&execution.request.operation) || has(&execution.requester_id)
        };
        snapshot.executions.iter().filter(matches).collect()
    }

    fn matches(&self, lease: &Allocation) -> bool {
        let has = |text: &str| text.contains(&self.filter);
        has(&lease.id) || has(&lease.requester_id) || has(&lease.asset_id)
    }

    fn rows(&self) -> usize {
        match self.pane {
            Pane::Leases => self.leases().len(),
            Pane::Executions => self.executions().len(),
            Pane::Assets => self.snapshot.as_ref().map_or(0, |snapshot| snapshot.assets.len()),
        }
    }

    /// The row that is chosen in the pane that is shown.
    pub(super) fn selected(&self) -> usize {
        self.selected[self.pane as usize].min(self.rows().saturating_sub(1))
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, key: KeyEvent) -> Doing {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Doing::Quit;
        }
        match std::mem::replace(&mut self.over, Over::Nothing) {
            Over::Filter => self.edit_filter(key.code),
            Over::Confirm { doing, .. } if matches!(key.code, KeyCode::Char('y' | 'Y')) => return doing,
            // Any other key takes it away.
            Over::Confirm { .. } | Over::Help | Over::Detail(_) => {}
            Over::Nothing => return self.press_pane(key.code),
        }
        Doing::Nothing
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key of the terminal library does nothing"
    )]
    fn edit_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Enter => return,
            KeyCode::Esc => {
                self.filter.clear();
                return;
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
        self.over = Over::Filter;
    }

    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "every other key of the terminal library does nothing"
    )]
    fn press_pane(&mut self, code: KeyCode) -> Doing {
        let row = self.selected();
        self.message = None;
        match code {
            KeyCode::Char('q') | KeyCode::Esc => return Doing::Quit,
            KeyCode::Char('?') => self.over = Over::Help,
            KeyCode::Char('/') => self.over = Over::Filter,
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('1') => self.pane = Pane::Leases,
            KeyCode::Char('2') => self.pane = Pane::Executions,
            KeyCode::Char('3') => self.pane = Pane::Assets,
            KeyCode::Tab => self.pane = Pane::ALL[(self.pane as usize + 1) % Pane::ALL.len()],
            KeyCode::Down | KeyCode::Char('j') => {
                self.selected[self.pane as usize] = (row + 1).min(self.rows().saturating_sub(1));
            }
            KeyCode::Up => self.selected[self.pane as usize] = row.saturating_sub(1),
            KeyCode::Enter if self.pane == Pane::Leases => {
                return self
                    .leases()
                    .get(row)
                    .map_or(Doing::Nothing, |lease| Doing::Detail(lease.id.clone()));
            }
            KeyCode::Char('k') => self.ask_to_end(row),
            _ => {}
        }
        Doing::Nothing
    }

    fn ask_to_end(&mut self, row: usize) {
        let asked = match self.pane {
            Pane::Leases => self.leases().get(row).map(|lease| {
                (format!("release {} and kill what runs in it", lease.id), Doing::Release(lease.id.clone()))
            }),
            Pane::Executions => self
                .executions()
                .get(row)
                .map(|execution| (format!("cancel {}", execution.id), Doing::Cancel(execution.id.clone()))),
            Pane::Assets => None,
        };
        if let Some((what, doing)) = asked {
            self.over = Over::Confirm { what, doing };
        }
    }
}

fn push(history: &mut VecDeque<Option<f64>>, value: Option<f64>) {
    history.push_back(value);
    while history.len() > HISTORY {
        history.pop_front();
    }
}

/// CPUs used between two readings, by lease.
fn rates(before: &Snapshot, now: &Snapshot) -> HashMap<String, f64> {
    let wall = now.at.duration_since(before.at).as_secs_f64();
    let rate = |(id, usage): (&String, &hypermesh_wire::allocations::AllocationUsage)| {
        let earlier = before.usages.get(id)?.cpu.time_s?;
        (wall > 0.0).then(|| Some((id.clone(), (usage.cpu.time_s? - earlier).max(0.0) / wall)))?
    };
    now.usages.iter().filter_map(rate).collect()
}
