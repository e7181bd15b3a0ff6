//! Schedules: made, looked at, changed, removed.
//!
//! A schedule is changed in its turn, so that a change never meets a run that is just being recorded. What its executions
//! do is not touched by a change or a removal: who wants them ended cancels them.

use super::template::template;
use super::when::{UTC, moments};
use crate::Mesh;
use crate::error::MeshError;
use crate::requests::ExecuteRequest;
use hypermesh_model::{
    CatchUp, Concurrency, EventKind, Run, Schedule, ScheduleId, Subject, Timestamp, Timing,
};
use hypermesh_store::Batch;
use serde_json::json;

/// Schedules of one node: each is looked at whenever one is due.
pub const MAX_SCHEDULES: usize = 256;
/// Ended runs that a schedule may keep.
pub const MAX_HISTORY: u32 = 100;

/// A schedule to make.
#[derive(Debug, Clone)]
pub struct NewSchedule {
    /// A name for people.
    pub name: String,
    /// What to execute.
    pub request: ExecuteRequest,
    /// When: this, or [`Self::cron`].
    pub at: Option<Timestamp>,
    /// A cron expression.
    pub cron: Option<String>,
    /// Whose wall clock the expression speaks of; `None`: UTC.
    pub time_zone: Option<String>,
    /// Whether it runs.
    pub enabled: bool,
    /// What happens when the run before has not ended.
    pub concurrency: Concurrency,
    /// What happens with times that were missed.
    pub catch_up: CatchUp,
    /// No run before this.
    pub starts_at: Option<Timestamp>,
    /// No run after this.
    pub ends_at: Option<Timestamp>,
    /// So many ended runs are kept.
    pub history_limit: u32,
}

/// A change of a schedule; `None` leaves a member as it is.
#[derive(Debug, Clone, Default)]
#[expect(missing_docs, reason = "each is the member of the schedule")]
pub struct ScheduleChange {
    pub name: Option<String>,
    pub request: Option<ExecuteRequest>,
    pub at: Option<Timestamp>,
    pub cron: Option<String>,
    pub time_zone: Option<String>,
    pub enabled: Option<bool>,
    pub concurrency: Option<Concurrency>,
    pub catch_up: Option<CatchUp>,
    pub starts_at: Option<Timestamp>,
    pub ends_at: Option<Timestamp>,
    pub history_limit: Option<u32>,
}

/// A schedule and its newest run.
#[derive(Debug, Clone)]
pub struct ScheduleView {
    /// The schedule.
    pub schedule: Schedule,
    /// Its newest run.
    pub last_run: Option<Run>,
}

/// The rule that a request means.
fn timing(at: Option<Timestamp>, cron: Option<String>, zone: Option<String>) -> Result<Timing, MeshError> {
    match (at, cron) {
        (Some(_), None) if zone.is_some() => Err(MeshError::unfit(
            "time_zone",
            "`time_zone` goes with `cron`: `at` is a moment and needs none",
        )),
        (Some(at), None) => Ok(Timing::At { at }),
        (None, Some(expression)) => {
            Ok(Timing::Cron { expression, time_zone: zone.unwrap_or_else(|| UTC.to_owned()) })
        }
        (Some(_), Some(_)) => Err(MeshError::unfit("cron", "`at` and `cron` exclude each other")),
        (None, None) => Err(MeshError::unfit("at", "a schedule needs `at` or `cron`")),
    }
}

impl Mesh {
    /// Makes a schedule.
    ///
    /// # Errors
    /// [`MeshError::NotFound`] for the vm; [`MeshError::Unfit`] for a rule that is none or has no time left, and for what
    /// can't be executed; [`MeshError::Conflict`] at [`MAX_SCHEDULES`].
    pub async fn create_schedule(&self, by: &Subject, new: NewSchedule) -> Result<ScheduleView, MeshError> {
        self.check_request(&new.request)?;
        if self.tables.schedules.len() >= MAX_SCHEDULES {
            let detail = format!("there are {MAX_SCHEDULES} schedules already; remove one");
            return Err(MeshError::Conflict { detail });
        }
        let now = Timestamp::now();
        let mut schedule = Schedule {
            id: ScheduleId::generate(),
            name: new.name,
            requester: by.clone(),
            template: template(new.request),
            timing: timing(new.at, new.cron, new.time_zone)?,
            enabled: new.enabled,
            concurrency: new.concurrency,
            catch_up: new.catch_up,
            starts_at: new.starts_at,
            ends_at: new.ends_at,
            history_limit: new.history_limit,
            created_at: now,
            decided_until: now,
            next_at: None,
        };
        set_next(&mut schedule, now)?;
        let mut batch = Batch::new();
        batch.put(&self.tables.schedules, schedule.clone());
        batch.event(EventKind::ScheduleCreated, schedule.id.as_str(), event_data(&schedule));
        self.commit(batch, "recording a schedule").await?;
        self.turns.changed.notify_one();
        Ok(ScheduleView { schedule, last_run: None })
    }

    /// All schedules, by id, that is by age.
    pub fn schedules(&self) -> Vec<ScheduleView> {
        self.tables.schedules.all().into_iter().map(|schedule| self.schedule_view(schedule)).collect()
    }

    /// One schedule.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub fn schedule(&self, id: &ScheduleId) -> Result<ScheduleView, MeshError> {
        let schedule = self.tables.schedules.get(id).ok_or_else(|| MeshError::not_found("schedule", id))?;
        Ok(self.schedule_view(schedule))
    }

    fn schedule_view(&self, schedule: Schedule) -> ScheduleView {
        let last_run = self.runs_of(&schedule.id).pop();
        ScheduleView { schedule, last_run }
    }

    /// Changes a schedule. With another rule, or switched on again, its times count from now on.
    ///
    /// # Errors
    /// As [`Self::create_schedule`]; [`MeshError::NotFound`] for the schedule.
    pub async fn change_schedule(
        &self,
        id: &ScheduleId,
        change: ScheduleChange,
    ) -> Result<ScheduleView, MeshError> {
        if let Some(request) = &change.request {
            self.check_request(request)?;
        }
        let (mesh, id) = (self.clone(), id.clone());
        // To its end even if the caller hangs up.
        let changed = async move {
            let _turn = mesh.turns.take(&id).await;
            let now = Timestamp::now();
            let schedule = changed(mesh.schedule(&id)?.schedule, change, now)?;
            let mut batch = Batch::new();
            batch.put(&mesh.tables.schedules, schedule.clone());
            batch.event(EventKind::ScheduleChanged, id.as_str(), event_data(&schedule));
            mesh.trim_history(&mut batch, &schedule);
            mesh.commit(batch, "recording a schedule").await?;
            mesh.turns.changed.notify_one();
            Ok(mesh.schedule_view(schedule))
        };
        self.spawned(changed).await?
    }

    /// Removes a schedule and the records of its runs. What runs goes on.
    ///
    /// # Errors
    /// [`MeshError::NotFound`].
    pub async fn remove_schedule(&self, id: &ScheduleId) -> Result<(), MeshError> {
        let (mesh, id) = (self.clone(), id.clone());
        let removed = async move {
            let _turn = mesh.turns.take(&id).await;
            let schedule = mesh.schedule(&id)?.schedule;
            let mut batch = Batch::new();
            batch.delete(&mesh.tables.schedules, &id);
            mesh.runs_of(&id).iter().for_each(|run| {
                batch.delete(&mesh.tables.runs, &run.id);
            });
            batch.event(EventKind::ScheduleRemoved, id.as_str(), event_data(&schedule));
            mesh.commit(batch, "removing a schedule").await?;
            mesh.turns.forget(&id);
            Ok(())
        };
        self.spawned(removed).await?
    }
}

/// Decides when it is due next, as seen from `now`.
fn set_next(schedule: &mut Schedule, now: Timestamp) -> Result<(), MeshError> {
    let moments = moments(&schedule.timing, schedule.starts_at, schedule.ends_at)?;
    let next = moments.next_after(now);
    if next.is_none() {
        let member = match schedule.timing {
            Timing::At { .. } => "at",
            Timing::Cron { .. } => "cron",
        };
        let detail =
            "it would never run: no time is left, within `starts_at` and `ends_at` where they are set";
        return Err(MeshError::unfit(member, detail));
    }
    schedule.decided_until = now;
    schedule.next_at = next.filter(|_| schedule.enabled);
    Ok(())
}

/// The schedule after a change.
fn changed(mut schedule: Schedule, change: ScheduleChange, now: Timestamp) -> Result<Schedule, MeshError> {
    let ScheduleChange {
        name,
        request,
        at,
        cron,
        time_zone,
        enabled,
        concurrency,
        catch_up,
        starts_at,
        ends_at,
        history_limit,
    } = change;
    let other_rule = at.is_some() || cron.is_some() || time_zone.is_some();
    if other_rule {
        schedule.timing = match (at, cron, time_zone, schedule.timing) {
            (None, None, Some(zone), Timing::Cron { expression, .. }) => {
                timing(None, Some(expression), Some(zone))?
            }
            (None, Some(cron), None, Timing::Cron { time_zone, .. }) => {
                timing(None, Some(cron), Some(time_zone))?
            }
            (None, None, Some(zone), Timing::At { at }) => timing(Some(at), None, Some(zone))?,
            (at, cron, zone, _) => timing(at, cron, zone)?,
        };
    }
    let other_times = other_rule || starts_at.is_some() || ends_at.is_some();
    let switched_on = enabled == Some(true) && !schedule.enabled;
    schedule.starts_at = starts_at.or(schedule.starts_at);
    schedule.ends_at = ends_at.or(schedule.ends_at);
    schedule.enabled = enabled.unwrap_or(schedule.enabled);
    schedule.name = name.unwrap_or(schedule.name);
    schedule.template = request.map(template).unwrap_or(schedule.template);
    schedule.concurrency = concurrency.unwrap_or(schedule.concurrency);
    schedule.catch_up = catch_up.unwrap_or(schedule.catch_up);
    schedule.history_limit = history_limit.unwrap_or(schedule.history_limit);
    if other_times || switched_on {
        set_next(&mut schedule, now)?;
    } else if !schedule.enabled {
        schedule.next_at = None;
    }
    Ok(schedule)
}

fn event_data(schedule: &Schedule) -> serde_json::Value {
    json!({
        "name": schedule.name,
        "requester_id": schedule.requester,
        "vm_asset_id": schedule.template.vm_asset_id,
        "enabled": schedule.enabled,
        "next_at": schedule.next_at,
    })
}
