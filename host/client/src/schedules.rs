//! Schedules and arrays: executions later, again and again, and over many parameters.

use crate::uri::path;
use crate::{Client, ClientError};
use hypermesh_wire::arrays::{ArrayItemQuery, ArrayItems, ArrayQuery, CreateArray, VmArray};
use hypermesh_wire::assets::Message;
use hypermesh_wire::executions::Cancelled;
use hypermesh_wire::schedules::{ChangeSchedule, CreateSchedule, Schedule, ScheduleQuery, ScheduleRun};
use ureq::http::Method;

impl Client {
    /// The schedules.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn schedules(&self, query: &ScheduleQuery) -> Result<Vec<Schedule>, ClientError> {
        self.get_filtered(&path(&["schedules"]), query)
    }

    /// One schedule.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn schedule(&self, id: &str) -> Result<Schedule, ClientError> {
        self.get(&path(&["schedules", id]))
    }

    /// Makes a schedule.
    ///
    /// # Errors
    /// A 422 problem where its time is not understood or never comes; see [`ClientError`].
    pub fn create_schedule(&self, schedule: &CreateSchedule) -> Result<Schedule, ClientError> {
        self.post(&path(&["schedules"]), schedule)
    }

    /// Changes the members that are set.
    ///
    /// # Errors
    /// As [`Self::create_schedule`]; a 404 problem where there is none of that id.
    pub fn change_schedule(&self, id: &str, change: &ChangeSchedule) -> Result<Schedule, ClientError> {
        self.send_json(Method::PATCH, &path(&["schedules", id]), None, change)
    }

    /// Removes a schedule; what runs goes on.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn remove_schedule(&self, id: &str) -> Result<Message, ClientError> {
        self.delete(&path(&["schedules", id]))
    }

    /// Has a schedule run now. A refusal or a skip is in the run, and no error.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn run_schedule(&self, id: &str) -> Result<ScheduleRun, ClientError> {
        self.post_empty(&path(&["schedules", id, "run"]))
    }

    /// The runs of a schedule, oldest first.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn schedule_runs(&self, id: &str) -> Result<Vec<ScheduleRun>, ClientError> {
        self.get_filtered(&path(&["schedules", id, "runs"]), &ScheduleQuery::default())
    }

    /// The arrays.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn arrays(&self, query: &ArrayQuery) -> Result<Vec<VmArray>, ClientError> {
        self.get_filtered(&path(&["vm", "arrays"]), query)
    }

    /// One array.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn array(&self, id: &str) -> Result<VmArray, ClientError> {
        self.get(&path(&["vm", "arrays", id]))
    }

    /// Begins an array.
    ///
    /// # Errors
    /// A 422 problem where it has no index or too many; see [`ClientError`].
    pub fn create_array(&self, array: &CreateArray) -> Result<VmArray, ClientError> {
        self.post(&path(&["vm", "arrays"]), array)
    }

    /// A page of an array's indexes.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn array_items(&self, id: &str, query: &ArrayItemQuery) -> Result<ArrayItems, ClientError> {
        self.get_filtered(&path(&["vm", "arrays", id, "items"]), query)
    }

    /// Cancels an array. One that has ended already is not an error: the answer says so.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn cancel_array(&self, id: &str) -> Result<Cancelled, ClientError> {
        self.post_empty(&path(&["vm", "arrays", id, "cancel"]))
    }
}
