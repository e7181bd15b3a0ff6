//! Services: HTTP guests that the node serves under `/guests/{name}/`.

use crate::executions::{Folder, Host, LogLine};
use crate::lenient::optional_whole;
use crate::notation::Size;
use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

fn default_allocation_duration() -> u64 {
    3600
}
fn default_concurrency() -> u32 {
    8
}
fn default_timeout() -> u64 {
    30
}
fn allocation_duration<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(optional_whole(d)?.unwrap_or_else(default_allocation_duration))
}
fn concurrency<'de, D: Deserializer<'de>>(d: D) -> Result<u32, D::Error> {
    Ok(optional_whole(d)?.unwrap_or_else(default_concurrency))
}
fn timeout<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
    Ok(optional_whole(d)?.unwrap_or_else(default_timeout))
}

/// Asks for a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateService {
    /// Its name: it is served under `/guests/{name}/`. No other service that serves may have it.
    #[schema(pattern = "^[a-z0-9][a-z0-9-]{0,63}$")]
    pub name: String,
    /// The vm asset whose component answers; its package is of the type `http`.
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub vm_asset_id: String,
    /// Runs in this active allocation, which must hold cpu and memory, instead of one made from the vm's limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[a-z0-9][a-z0-9._-]{0,63}$")]
    pub allocation_id: Option<String>,
    /// Life of the allocation that is made for it, in seconds. The service ends with it, and it with the service.
    #[serde(default = "default_allocation_duration", deserialize_with = "allocation_duration")]
    #[schema(nullable, default = 3600, minimum = 1, maximum = 31_536_000)]
    pub allocation_duration: u64,
    /// Requests at the same time. Each may have an equal part of the allocation's memory.
    #[serde(default = "default_concurrency", deserialize_with = "concurrency")]
    #[schema(nullable, default = 8, minimum = 1, maximum = 64)]
    pub concurrency: u32,
    /// Longest time of one request in seconds, its answer included.
    #[serde(default = "default_timeout", deserialize_with = "timeout")]
    #[schema(nullable, default = 30, minimum = 1, maximum = 300)]
    pub timeout: u64,
    /// Longest body of a request and of an answer, e.g. `16MiB`, which it is when not given; at most 1 GiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Size>)]
    pub max_body: Option<String>,
    /// Folders of the node's machine that are granted. The node's operator lists what may be (`grant_folders`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub folders: Vec<Folder>,
    /// TCP ports that its guests may connect to; none when not given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 16)]
    pub network: Vec<Host>,
}

impl CreateService {
    /// A request with everything else as it is when not given.
    pub fn new(name: impl Into<String>, vm_asset_id: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            vm_asset_id: vm_asset_id.into(),
            allocation_id: None,
            allocation_duration: default_allocation_duration(),
            concurrency: default_concurrency(),
            timeout: default_timeout(),
            max_body: None,
            folders: Vec::new(),
            network: Vec::new(),
        }
    }
}

/// Whether a service serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServiceStatus {
    /// It takes requests while its allocation is active.
    Serving,
    /// It takes none any more; its log is kept.
    Ended,
}

/// What became of a service's requests. Numbers are recorded every 20 seconds: a crash of the node loses those since.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ServiceUsage {
    /// Requests that were given to a guest and have ended.
    pub requests: u64,
    /// Those of them whose answer went out as a whole.
    pub answered: u64,
    /// The others, by what went wrong: a kind as in an execution's cause, or `abandoned`.
    #[schema(value_type = Object)]
    pub failures: Map<String, Value>,
    /// Requests that found no room to wait for their turn, or waited too long.
    pub turned_away: u64,
    /// Requests that a guest has now.
    pub running: u64,
    /// Requests that wait for their turn now.
    pub waiting: u64,
    /// CPU time in seconds, as the kernel counted it; `null`: it counted none here.
    pub cpu_time: Option<f64>,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Where it is served on this node: a path.
    pub path: String,
    /// The same as a URL.
    pub url: String,
    /// The vm asset that it was made from.
    pub vm_asset_id: String,
    /// The package whose component answers.
    pub catalog_id: String,
    /// The allocation that its guests run in.
    pub allocation_id: String,
    /// Whether the allocation was made for it and ends with it.
    pub owns_allocation: bool,
    /// Whether it serves.
    pub status: ServiceStatus,
    /// Why it ended.
    pub end_reason: Option<String>,
    /// Requests at the same time.
    pub concurrency: u32,
    /// Longest time of one request in seconds.
    pub timeout: u64,
    /// Longest body in bytes.
    pub max_body: u64,
    /// Memory that a guest may have for its request, in bytes; `null` when the allocation has ended.
    pub memory_per_request: Option<u64>,
    /// Folders that are granted.
    pub folders: Vec<Folder>,
    /// Where its guests may connect to.
    pub network: Vec<Host>,
    /// What became of its requests.
    pub usage: ServiceUsage,
    /// Log lines that went over the limit on the log and are no longer there.
    pub dropped_log_lines: u64,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// Who asked for it.
    pub requester_id: String,
}

/// Which part of the list of services.
#[derive(Debug, Clone, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ServiceQuery {
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(minimum = 1, maximum = 1000)]
    pub limit: Option<u32>,
    /// Only those after this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64)]
    pub after: Option<String>,
}

/// A page of a service's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ServiceLogs {
    /// The service.
    pub service: String,
    /// Lines, oldest first.
    pub lines: Vec<LogLine>,
    /// Give this as `after` to read on.
    pub next: u64,
    /// Whether no more lines will come.
    pub complete: bool,
    /// Lines that went over the limit on the log so far: the log keeps its newer half.
    pub dropped_log_lines: u64,
}
