//! Arrays: one operation over many parameters, so many executions at a time.

use crate::executions::{CauseView, ExecuteVm};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};

/// Most indexes of one array.
pub const MAX_ARRAY_SIZE: u32 = 10_000;

fn default_step() -> u64 {
    1
}
fn step<'de, D: serde::Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(crate::lenient::optional_whole(d)?.unwrap_or_else(default_step))
}

/// Whole numbers for one parameter, an index each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ArrayRange {
    /// The parameter.
    #[schema(min_length = 1, max_length = 128, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    pub name: String,
    /// The first number.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub first: u64,
    /// No number above this.
    #[serde(deserialize_with = "crate::lenient::whole")]
    #[schema(minimum = 0, maximum = 1_000_000_000_000_u64)]
    pub last: u64,
    /// From one number to the next; 1 when not given.
    #[serde(default = "default_step", deserialize_with = "step")]
    #[schema(nullable, default = 1, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub step: u64,
}

/// Asks for an array. It needs one of `items`, `matrix` and `range`: what differs from index to index. What they say goes
/// before the parameters of `execution`, which all indexes have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateArray {
    /// What all indexes have in common, as `POST /api/v1/vm/execute` takes it.
    pub execution: ExecuteVm,
    /// The parameters of each index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 10_000)]
    pub items: Option<Vec<Map<String, Value>>>,
    /// The values of each parameter: every combination is an index. The last name, by alphabet, varies fastest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<BTreeMap<String, Vec<Value>>>,
    /// Whole numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<ArrayRange>,
    /// At most so many executions that have not ended; as many as the machine has logical CPUs when not given.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 256)]
    pub parallelism: Option<u32>,
    /// After so many failures nothing more is started, and what runs goes on; when not given everything is tried.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::lenient::optional_whole"
    )]
    #[schema(minimum = 1, maximum = 10_000)]
    pub max_failures: Option<u32>,
}

impl CreateArray {
    /// An array that lacks what differs.
    pub fn new(execution: ExecuteVm) -> Self {
        Self { execution, items: None, matrix: None, range: None, parallelism: None, max_failures: None }
    }
}

/// Where an array is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArrayStatus {
    /// Not all of it has ended.
    Running,
    /// Every index gave a result.
    Completed,
    /// An index ended otherwise, or it was stopped.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
}

impl ArrayStatus {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        match self {
            Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// How many indexes are where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ArrayCounts {
    /// Not begun; of an ended array, dropped.
    pub waiting: u32,
    /// Begun and not ended.
    pub running: u32,
    /// Ended with a result.
    pub completed: u32,
    /// Ended otherwise.
    pub failed: u32,
    /// Cancelled.
    pub cancelled: u32,
}

/// An array of executions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct VmArray {
    /// Its id.
    pub id: String,
    /// Whose it is, and who its executions are asked by.
    pub requester_id: String,
    /// The vm.
    pub vm_asset_id: String,
    /// The operation.
    pub operation: String,
    /// How many indexes it has.
    pub size: u32,
    /// At most so many executions that have not ended.
    pub parallelism: u32,
    /// After so many failures nothing more is started.
    pub max_failures: Option<u32>,
    /// Where it is in its life.
    pub status: ArrayStatus,
    /// How many indexes are where.
    pub counts: ArrayCounts,
    /// The part that has ended, 0 to 1.
    pub progress: f64,
    /// Why it was stopped before everything was tried.
    pub reason: Option<String>,
    /// Who cancelled it.
    pub cancelled_by: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

/// Which part of the list of arrays.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ArrayQuery {
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// Where an index is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "as `ArrayCounts` has them")]
pub enum ArrayItemStatus {
    Waiting,
    Running,
    Completed,
    Failed,
    Cancelled,
}

/// An index of an array.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArrayItem {
    /// From 0.
    pub index: u32,
    /// Its parameters, those that all have included.
    #[schema(value_type = Object)]
    pub parameters: Map<String, Value>,
    /// Where it is.
    pub status: ArrayItemStatus,
    /// Its execution, once there is one. Old executions are forgotten before their array is.
    pub execution_id: Option<String>,
    /// Its result, JSON text. Up to 16 KiB, and 8 MiB of one array in all, are kept here; others are in the execution.
    pub output: Option<String>,
    /// The length of its result in bytes.
    pub output_bytes: Option<u64>,
    /// Why it ended, if not with a result.
    pub cause: Option<CauseView>,
}

/// A page of an array's indexes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ArrayItems {
    /// The array.
    pub array_id: String,
    /// The indexes.
    pub items: Vec<ArrayItem>,
    /// Give this as `after` to read on.
    pub next: u64,
    /// Whether no more will come.
    pub complete: bool,
}

/// In which order indexes are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ArrayOrder {
    /// From the first to the last.
    #[default]
    Index,
    /// Those that have ended, in the order in which they did.
    Ended,
}

/// Which part of an array's indexes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ArrayItemQuery {
    /// By index when not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(inline)]
    pub order: Option<ArrayOrder>,
    /// Skip so many: `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 1_000_000)]
    pub after: Option<u64>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// In the order of their ends: when none is there yet, wait so many seconds for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 0, maximum = 60)]
    pub wait: Option<u32>,
}
