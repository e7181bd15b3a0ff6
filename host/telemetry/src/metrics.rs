//! The metrics registry behind `/metrics`, in the OpenMetrics 1.0 text format, which Prometheus reads.
//!
//! One typed method a metric, so that names and labels stand in one file. [`Metrics`] is a handle: clones count into the
//! same registry. Gauges of the machine are absent while the value is unknown, never zero. What belongs to one lease or
//! one GPU has other tools' names and is in [`crate::leases`] and [`crate::gpus`].

use crate::gpus::{GpuCollector, GpuSample};
use crate::labels::{
    self, CreateOutcome, Enforcement, LeasePhase, Outcome, Phase, PhaseLabel, ReleaseOutcome, Request, Route,
    Status,
};
use crate::leases::{LeaseCollector, LeaseSample};
use hypermesh_model::{EnforcementState, ExecutionStatus, LeaseStatus};
use prometheus_client::encoding::text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

/// The content type of [`Metrics::encode`].
pub const METRICS_CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Different routes that are counted apart: more than all services have together. Later ones count as `other`.
const MAX_ROUTES: usize = 512;

/// The route of requests that matched none.
const UNMATCHED: &str = "unmatched";

/// The route of requests beyond [`MAX_ROUTES`].
const OTHER: &str = "other";

/// Request durations in seconds: from a cached read to a request at its time limit.
const REQUEST_BUCKETS: [f64; 13] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0];

/// Phase durations in seconds: from starting a parked worker to a job of an hour.
const PHASE_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 1.0, 5.0, 30.0, 120.0, 600.0, 3600.0];

/// A gauge of a value with decimals.
type Decimal = Gauge<f64, AtomicU64>;
type Histograms<L> = Family<L, Histogram, fn() -> Histogram>;
/// A gauge that can be absent.
type Maybe<G> = Family<[(&'static str, &'static str); 0], G>;

/// The metrics of one node. Cheap to clone; clones share everything.
#[derive(Debug, Clone)]
pub struct Metrics {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    registry: Registry,
    started: Instant,
    routes: RwLock<HashSet<Arc<str>>>,
    requests: Family<Request, Counter>,
    request_duration: Histograms<Route>,
    leases_active: Gauge,
    leases: Family<LeasePhase, Gauge>,
    leases_omitted: Gauge,
    queue_length: Gauge,
    lease_drift: Counter,
    lease_oom: Counter,
    lease_preempted: Counter,
    enforcement: Family<Enforcement, Gauge>,
    lease_samples: Arc<LeaseCollector>,
    gpu_samples: Arc<GpuCollector>,
    lease_create: Family<Outcome, Counter>,
    lease_release: Family<Outcome, Counter>,
    executions: Family<Status, Counter>,
    execution_phase: Histograms<PhaseLabel>,
    store_transactions: Counter,
    store_batches: Counter,
    uptime: Decimal,
    cpu_usage: Maybe<Decimal>,
    memory_available: Maybe<Gauge<u64, AtomicU64>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// All metrics at zero; uptime counts from here.
    pub fn new() -> Self {
        let mut inner = Inner {
            registry: Registry::default(),
            started: Instant::now(),
            routes: RwLock::default(),
            requests: Family::default(),
            request_duration: Family::new_with_constructor(|| Histogram::new(REQUEST_BUCKETS)),
            leases_active: Gauge::default(),
            leases: Family::default(),
            leases_omitted: Gauge::default(),
            queue_length: Gauge::default(),
            lease_drift: Counter::default(),
            lease_oom: Counter::default(),
            lease_preempted: Counter::default(),
            enforcement: Family::default(),
            lease_samples: Arc::default(),
            gpu_samples: Arc::default(),
            lease_create: Family::default(),
            lease_release: Family::default(),
            executions: Family::default(),
            execution_phase: Family::new_with_constructor(|| Histogram::new(PHASE_BUCKETS)),
            store_transactions: Counter::default(),
            store_batches: Counter::default(),
            uptime: Decimal::default(),
            cpu_usage: Maybe::default(),
            memory_available: Maybe::default(),
        };
        inner.register();
        inner.start_at_zero();
        Self { inner: Arc::new(inner) }
    }

    /// Counts an answered HTTP request. `route` is the matched template, e.g. `/api/v1/assets/{id}`, never the path that
    /// the client sent; `None` when none matched.
    pub fn http_request(
        &self,
        service: &'static str,
        method: &str,
        route: Option<&str>,
        status: u16,
        duration: Duration,
    ) {
        let route = self.route(route.unwrap_or(UNMATCHED));
        let method = labels::method(method);
        self.inner
            .requests
            .get_or_create(&Request { service, method, route: Arc::clone(&route), status })
            .inc();
        self.inner.request_duration.get_or_create(&Route { service, route }).observe(duration.as_secs_f64());
    }

    /// How many requests were counted with these labels.
    pub fn http_requests(
        &self,
        service: &'static str,
        method: &str,
        route: Option<&str>,
        status: u16,
    ) -> u64 {
        let route = Arc::from(route.unwrap_or(UNMATCHED));
        let label = Request { service, method: labels::method(method), route, status };
        self.inner.requests.get(&label).map_or(0, |counter| counter.get())
    }

    /// Leases that are active now.
    pub fn leases_active(&self) -> &Gauge {
        &self.inner.leases_active
    }

    /// Counts anew in which state each lease is; states in which leases have ended don't count.
    pub fn set_lease_phases(&self, leases: impl IntoIterator<Item = LeaseStatus>) {
        let live: Vec<LeaseStatus> = leases.into_iter().filter(|status| !status.is_final()).collect();
        for phase in LeasePhase::LIVE {
            let count = live.iter().filter(|status| **status == phase).count();
            self.inner.leases.get_or_create(&LeasePhase::of(phase)).set(gauge(count));
        }
    }

    /// Counts anew how each limit of each live lease is enforced.
    pub fn set_enforcement(&self, entries: impl IntoIterator<Item = EnforcementState>) {
        let entries: Vec<EnforcementState> = entries.into_iter().collect();
        for state in Enforcement::ALL {
            let count = entries.iter().filter(|entry| **entry == state).count();
            self.inner.enforcement.get_or_create(&Enforcement::of(state)).set(gauge(count));
        }
    }

    /// Requests that wait for room.
    pub fn queue_length(&self) -> &Gauge {
        &self.inner.queue_length
    }

    /// Limits that were found changed by somebody else.
    pub fn lease_drift(&self) -> &Counter {
        &self.inner.lease_drift
    }

    /// Times that a lease ran out of memory.
    pub fn lease_oom(&self) -> &Counter {
        &self.inner.lease_oom
    }

    /// Leases that had to make room for another.
    pub fn lease_preempted(&self) -> &Counter {
        &self.inner.lease_preempted
    }

    /// What was measured last of every lease. Replaces what was there: a lease that is missing has no series any more.
    /// Beyond [`crate::MAX_LEASES`] the newest are not shown, and `hypermesh_leases_omitted` says how many.
    pub fn set_leases(&self, leases: Vec<LeaseSample>) {
        let omitted = self.inner.lease_samples.set(leases);
        self.inner.leases_omitted.set(gauge(omitted));
    }

    /// What was measured last of every GPU and MIG instance. Replaces what was there.
    pub fn set_gpus(&self, gpus: Vec<GpuSample>) {
        self.inner.gpu_samples.set(gpus);
    }

    /// Leases asked for, by how that ended.
    pub fn lease_created(&self, outcome: CreateOutcome) -> Counter {
        self.inner.lease_create.get_or_create_owned(&outcome.label())
    }

    /// Leases that ended, by how.
    pub fn lease_released(&self, outcome: ReleaseOutcome) -> Counter {
        self.inner.lease_release.get_or_create_owned(&outcome.label())
    }

    /// Executions, by the state in which they ended.
    pub fn executions(&self, status: ExecutionStatus) -> Counter {
        self.inner.executions.get_or_create_owned(&Status::of(status))
    }

    /// Records how long an execution spent in a phase.
    pub fn execution_phase(&self, phase: Phase, duration: Duration) {
        self.inner.execution_phase.get_or_create(&phase.label()).observe(duration.as_secs_f64());
    }

    /// Takes over the store's own totals: transactions (one fsync each) and the batches that they held. Totals must not
    /// fall; a smaller one is ignored.
    pub fn set_store(&self, transactions: u64, batches: u64) {
        self.inner.store_transactions.inner().fetch_max(transactions, Ordering::Relaxed);
        self.inner.store_batches.inner().fetch_max(batches, Ordering::Relaxed);
    }

    /// What was measured last of the machine: CPU usage as a ratio of all CPUs (0 to 1) and memory that could be had
    /// without swapping, in bytes. `None` removes the gauge.
    pub fn set_machine(&self, cpu_usage: Option<f64>, memory_available: Option<u64>) {
        match cpu_usage {
            Some(ratio) => drop(self.inner.cpu_usage.get_or_create(&[]).set(ratio)),
            None => self.inner.cpu_usage.clear(),
        }
        match memory_available {
            Some(bytes) => drop(self.inner.memory_available.get_or_create(&[]).set(bytes)),
            None => self.inner.memory_available.clear(),
        }
    }

    /// All metrics as text; its content type is [`METRICS_CONTENT_TYPE`].
    pub fn encode(&self) -> String {
        self.inner.uptime.set(self.inner.started.elapsed().as_secs_f64());
        let mut out = String::new();
        // Writing to a string can't fail, and our label values are plain text.
        if let Err(error) = text::encode(&mut out, &self.inner.registry) {
            tracing::error!(%error, "the metrics could not be encoded");
        }
        out
    }

    /// The shared text of a known route, which bounds how many there are and spares a copy a request.
    fn route(&self, route: &str) -> Arc<str> {
        let routes = self.inner.routes.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = routes.get(route) {
            return Arc::clone(known);
        }
        drop(routes);
        let mut routes = self.inner.routes.write().unwrap_or_else(PoisonError::into_inner);
        let text = if routes.len() < MAX_ROUTES { route } else { OTHER };
        let new: Arc<str> = Arc::from(text);
        if text == route {
            routes.insert(Arc::clone(&new));
        }
        new
    }
}

fn gauge(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

impl Inner {
    fn register(&mut self) {
        // Other tools' names have no prefix.
        self.registry.register_collector(Box::new(Arc::clone(&self.lease_samples)));
        self.registry.register_collector(Box::new(Arc::clone(&self.gpu_samples)));
        let r = self.registry.sub_registry_with_prefix("hypermesh");
        r.register("http_requests", "Answered HTTP requests", self.requests.clone());
        r.register_with_unit(
            "http_request_duration",
            "Time from a request's head to its answer's head",
            Unit::Seconds,
            self.request_duration.clone(),
        );
        r.register("leases_active", "Active leases", self.leases_active.clone());
        r.register("leases", "Leases that have not ended, by state", self.leases.clone());
        r.register("leases_omitted", "Leases beyond those whose use is shown", self.leases_omitted.clone());
        r.register("queue_length", "Requests that wait for room", self.queue_length.clone());
        r.register("lease_drift", "Limits that somebody else had changed", self.lease_drift.clone());
        r.register("lease_oom", "Times that leases ran out of memory", self.lease_oom.clone());
        r.register("lease_preempted", "Leases that had to make room", self.lease_preempted.clone());
        r.register("enforcement_entries", "Limits of live leases, by enforcement", self.enforcement.clone());
        r.register("lease_create", "Leases asked for, by outcome", self.lease_create.clone());
        r.register("lease_release", "Leases that ended, by outcome", self.lease_release.clone());
        r.register("executions", "Executions that ended, by status", self.executions.clone());
        r.register_with_unit(
            "execution_phase",
            "Time that executions spent queued, starting and running",
            Unit::Seconds,
            self.execution_phase.clone(),
        );
        r.register("store_transactions", "Transactions of the store", self.store_transactions.clone());
        r.register("store_batches", "Batches that the store committed", self.store_batches.clone());
        r.register_with_unit(
            "node_uptime",
            "Time since the node started",
            Unit::Seconds,
            self.uptime.clone(),
        );
        r.register("machine_cpu_usage_ratio", "Busy share of all CPUs, 0 to 1", self.cpu_usage.clone());
        r.register_with_unit(
            "machine_memory_available",
            "Memory that can be had without swapping",
            Unit::Bytes,
            self.memory_available.clone(),
        );
    }

    /// A counter that first appears with 1 hides its first increase from `rate()`.
    fn start_at_zero(&self) {
        for outcome in CreateOutcome::ALL {
            drop(self.lease_create.get_or_create(&outcome.label()));
        }
        for outcome in ReleaseOutcome::ALL {
            drop(self.lease_release.get_or_create(&outcome.label()));
        }
        for status in Status::FINAL {
            drop(self.executions.get_or_create(&Status::of(status)));
        }
        for phase in Phase::ALL {
            drop(self.execution_phase.get_or_create(&phase.label()));
        }
    }
}

#[cfg(test)]
mod tests;
