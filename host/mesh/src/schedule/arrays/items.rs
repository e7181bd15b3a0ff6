//! The indexes of an array as callers see them: by index, or in the order in which they ended.

use super::live::Live;
use super::record::{TaskEnd, TaskKey};
use crate::Mesh;
use crate::error::MeshError;
use hypermesh_model::{Array, ArrayId, Cause, ExecutionId};
use hypermesh_planner::State;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::Instant;

/// In which order indexes are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// From the first to the last.
    #[default]
    Index,
    /// Those that have ended, as they did.
    Ended,
}

/// Where an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the planner's states")]
pub enum ItemStatus {
    Waiting,
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl From<State> for ItemStatus {
    fn from(state: State) -> Self {
        match state {
            State::Waiting => Self::Waiting,
            State::Running => Self::Running,
            State::Completed => Self::Completed,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// An index of an array.
#[derive(Debug, Clone, PartialEq)]
pub struct ArrayItem {
    /// From 0.
    pub index: u32,
    /// Its parameters, those that all have included.
    pub parameters: Map<String, Value>,
    /// Where it is.
    pub status: ItemStatus,
    /// Its execution, once there is one.
    pub execution: Option<ExecutionId>,
    /// Its result, JSON text, where it is kept with the array.
    pub output: Option<String>,
    /// The length of its result, bytes; `None` without one.
    pub output_bytes: Option<u64>,
    /// Why it ended, if not with a result.
    pub cause: Option<Cause>,
}

/// A page of indexes.
#[derive(Debug, Clone)]
pub struct ItemPage {
    /// The indexes.
    pub items: Vec<ArrayItem>,
    /// Where to read on.
    pub next: u64,
    /// Whether no more will come.
    pub complete: bool,
}

impl Mesh {
    /// Indexes from the `after`th of the order on. In the order of their ends it waits up to `wait` for the first when
    /// there is none yet.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn array_items(
        &self,
        id: &ArrayId,
        order: Order,
        after: u64,
        limit: usize,
        wait: Duration,
    ) -> Result<ItemPage, MeshError> {
        let live = self.arrays.get(id).ok_or_else(|| MeshError::not_found("array", id))?;
        let mut changed = live.subscribe();
        let deadline = Instant::now() + wait;
        let skipped = usize::try_from(after).unwrap_or(usize::MAX);
        loop {
            // The end first: what ended before it is then in the order.
            let ended = live.has_ended();
            let array = self.array(id)?.array;
            let indexes: Vec<u32> = match order {
                Order::Index => (0..array.size).skip(skipped).take(limit).collect(),
                Order::Ended => live.order(skipped, limit),
            };
            let waits = order == Order::Ended && indexes.is_empty() && !ended;
            if waits
                && tokio::time::timeout_at(deadline, changed.changed()).await.is_ok_and(|told| told.is_ok())
            {
                continue;
            }
            let next = after.saturating_add(indexes.len() as u64);
            let all = match order {
                Order::Index => u64::from(array.size),
                Order::Ended => u64::from(live.counts().ended()),
            };
            let items = indexes.into_iter().filter_map(|index| self.array_item(&array, &live, index));
            return Ok(ItemPage { items: items.collect(), next, complete: ended && next >= all });
        }
    }

    fn array_item(&self, array: &Array, live: &Live, index: u32) -> Option<ArrayItem> {
        let state = live.state(index)?;
        let task = self.tables.array_tasks.get(&TaskKey { array: array.id.clone(), index });
        let task = task.filter(|_| state != State::Waiting);
        let execution = task.as_ref().map(|task| task.execution.clone());
        let end: Option<TaskEnd> = task.and_then(|task| task.end);
        let output_bytes = end.as_ref().map(|end| end.output_bytes.0).filter(|length| *length > 0);
        let (output, cause) = end.map_or((None, None), |end| (end.output, end.cause));
        let parameters = array.items.parameters(index.into(), &array.template.parameters)?;
        Some(ArrayItem { index, parameters, status: state.into(), execution, output, output_bytes, cause })
    }
}
