//! Arrays of executions: made, looked at, cancelled. One driver task works through each (`drive`).

mod drive;
mod ends;
mod items;
mod live;
mod record;
mod recover;

pub use items::{ArrayItem, ItemPage, ItemStatus, Order};
pub(crate) use live::Arrays;
pub(crate) use record::TaskRecord;

use super::template::template;
use crate::Mesh;
use crate::error::MeshError;
use crate::requests::{CancelOutcome, ExecuteRequest};
use drive::{Begun, drive};
use hypermesh_model::{Array, ArrayId, ArrayStatus, EventKind, Items, Subject, Timestamp};
use hypermesh_planner::Counts;
use hypermesh_store::Batch;
use live::Live;
use serde_json::json;
use std::sync::Arc;

/// Indexes of one array: each is a record and, for a while, an execution.
pub const MAX_ARRAY_SIZE: u32 = 10_000;
/// Executions of one array at a time: a quarter of those that a node has at a time.
pub const MAX_PARALLELISM: u32 = 256;
/// Arrays that have not ended.
const MAX_LIVE_ARRAYS: usize = 32;
/// Ended arrays that are kept; older ones are forgotten, with the results that were kept with them.
const MAX_ENDED_ARRAYS: usize = 32;

/// An array to begin.
#[derive(Debug, Clone)]
pub struct NewArray {
    /// What all indexes have in common.
    pub request: ExecuteRequest,
    /// What differs.
    pub items: Items,
    /// At most so many executions at a time; `None`: as many as the machine has logical CPUs.
    pub parallelism: Option<u32>,
    /// After so many failures nothing more is started.
    pub max_failures: Option<u32>,
}

/// An array and how far it is.
#[derive(Debug, Clone)]
pub struct ArrayView {
    /// The array.
    pub array: Array,
    /// How many of its indexes are where.
    pub counts: Counts,
}

impl Mesh {
    /// Begins an array. The answer comes when it is recorded, before anything has run.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the vm; [`MeshError::Unfit`] for what can't be executed and for a size that is not from
    /// 1 to [`MAX_ARRAY_SIZE`]; [`MeshError::Conflict`] where too many have not ended.
    pub async fn create_array(&self, by: &Subject, new: NewArray) -> Result<ArrayView, MeshError> {
        self.check_request(&new.request)?;
        let size = new.items.count().and_then(|count| u32::try_from(count).ok());
        let Some(size) = size.filter(|size| (1..=MAX_ARRAY_SIZE).contains(size)) else {
            let detail = format!("an array must have 1 to {MAX_ARRAY_SIZE} indexes");
            return Err(MeshError::unfit(member(&new.items), detail));
        };
        let logical = self.ledger.read(|book| book.machine().cpu.0 / 1000).max(1);
        let array = Array {
            id: ArrayId::generate(),
            requester: by.clone(),
            template: template(new.request),
            items: new.items,
            size,
            parallelism: new.parallelism.unwrap_or(logical).min(MAX_PARALLELISM),
            max_failures: new.max_failures,
            status: ArrayStatus::Running,
            created_at: Timestamp::now(),
            ended_at: None,
            cancelled_by: None,
            reason: None,
        };
        let live = Arc::new(Live::new(&array));
        if !self.arrays.enter(&live, MAX_LIVE_ARRAYS) {
            let detail = format!("{MAX_LIVE_ARRAYS} arrays have not ended; cancel one, or wait");
            return Err(MeshError::Conflict { detail });
        }
        let mesh = self.clone();
        // From here on it is begun even if the caller hangs up.
        let begun = async move {
            let mut batch = Batch::new();
            batch.put(&mesh.tables.arrays, array.clone());
            batch.event(EventKind::ArrayStarted, array.id.as_str(), event_data(&array, live.counts()));
            if let Err(error) = mesh.commit(batch, "recording an array").await {
                mesh.arrays.remove(&array.id);
                return Err(error);
            }
            let view = ArrayView { array, counts: live.counts() };
            tokio::spawn(drive(mesh, live, Begun::default()));
            Ok(view)
        };
        self.spawned(begun).await?
    }

    /// All arrays, by id, that is by age; ended ones as long as they are kept.
    pub fn arrays(&self) -> Vec<ArrayView> {
        self.tables.arrays.all().into_iter().filter_map(|array| self.array_view(array)).collect()
    }

    fn array_view(&self, array: Array) -> Option<ArrayView> {
        let counts = self.arrays.get(&array.id)?.counts();
        Some(ArrayView { array, counts })
    }

    /// One array.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn array(&self, id: &ArrayId) -> Result<ArrayView, MeshError> {
        let view = self.tables.arrays.get(id).and_then(|array| self.array_view(array));
        view.ok_or_else(|| MeshError::not_found("array", id))
    }

    /// Cancels an array: what runs is killed, what waits is dropped. Waits until nothing runs any more.
    ///
    /// # Errors
    /// [`MeshError::NotFound`]; when it can't be recorded.
    pub async fn cancel_array(&self, id: &ArrayId, by: &Subject) -> Result<CancelOutcome, MeshError> {
        let live = self.arrays.get(id).ok_or_else(|| MeshError::not_found("array", id))?;
        let mut changed = live.subscribe();
        if self.array(id)?.array.status == ArrayStatus::Cancelled {
            return Ok(CancelOutcome::AlreadyEnded { status: "cancelled" });
        }
        let by = by.clone();
        self.update_array(&live, move |array| array.cancelled_by = Some(by)).await?;
        live.stop();
        live.cancelled.notify_one();
        while !live.has_ended() && changed.changed().await.is_ok() {}
        Ok(match self.array(id)?.array.status {
            ArrayStatus::Cancelled => CancelOutcome::Cancelled,
            ArrayStatus::Completed => CancelOutcome::AlreadyEnded { status: "completed" },
            ArrayStatus::Failed => CancelOutcome::AlreadyEnded { status: "failed" },
            ArrayStatus::Running => {
                return Err(MeshError::Conflict { detail: format!("array `{id}` has no driver; try again") });
            }
        })
    }

    /// Changes the record of an array that has not ended.
    async fn update_array(&self, live: &Live, change: impl FnOnce(&mut Array)) -> Result<(), MeshError> {
        let _writing = live.record.lock().await;
        let Some(mut array) = self.tables.arrays.get(&live.id).filter(|array| !array.status.is_final())
        else {
            return Ok(());
        };
        change(&mut array);
        let mut batch = Batch::new();
        batch.put(&self.tables.arrays, array);
        self.commit(batch, "recording an array").await
    }
}

/// The member of a request that says what differs.
fn member(items: &Items) -> &'static str {
    match items {
        Items::List { .. } => "items",
        Items::Matrix { .. } => "matrix",
        Items::Range { .. } => "range",
    }
}

fn event_data(array: &Array, counts: Counts) -> serde_json::Value {
    json!({
        "requester_id": array.requester,
        "vm_asset_id": array.template.vm_asset_id,
        "operation": array.template.operation,
        "status": array.status,
        "reason": array.reason,
        "size": array.size,
        "waiting": counts.waiting,
        "running": counts.running,
        "completed": counts.completed,
        "failed": counts.failed,
        "cancelled": counts.cancelled,
    })
}
