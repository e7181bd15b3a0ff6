//! Executions of vm assets.

use crate::uri::{path, with_query};
use crate::{Client, ClientError};
use hypermesh_wire::executions::{
    Cancelled, ExecuteVm, ExecutionQuery, LogQuery, Logs, VmExecution, WaitQuery,
};
use std::io::Write;

impl Client {
    /// Starts an execution and waits up to `wait` seconds (0 to 60) for its end.
    ///
    /// # Errors
    /// A 409 problem where nothing can be leased for it; see [`ClientError`].
    pub fn execute(&self, request: &ExecuteVm, wait: u32) -> Result<VmExecution, ClientError> {
        self.post(&with_query(&path(&["vm", "execute"]), &WaitQuery { wait: Some(wait) })?, request)
    }

    /// The executions that match.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn executions(&self, query: &ExecutionQuery) -> Result<Vec<VmExecution>, ClientError> {
        self.get_filtered(&path(&["vm", "executions"]), query)
    }

    /// One execution; waits up to `wait` seconds (0 to 60) for its end.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn execution(&self, id: &str, wait: u32) -> Result<VmExecution, ClientError> {
        self.get_filtered(&path(&["vm", "executions", id]), &WaitQuery { wait: Some(wait) })
    }

    /// Ends an execution. One that has ended already is not an error: the answer says so.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn cancel(&self, id: &str) -> Result<Cancelled, ClientError> {
        self.post_empty(&path(&["vm", "executions", id, "cancel"]))
    }

    /// A page of an execution's log.
    ///
    /// # Errors
    /// A 404 problem where there is none of that id; see [`ClientError`].
    pub fn logs(&self, id: &str, query: &LogQuery) -> Result<Logs, ClientError> {
        self.get_filtered(&path(&["vm", "executions", id, "logs"]), query)
    }

    /// Copies an output of an execution to `to`, telling `progress` the bytes so far. Gives its length.
    ///
    /// # Errors
    /// A 404 problem where there is none of that name; [`ClientError::Local`] where `to` fails; see [`ClientError`].
    pub fn download_output(
        &self,
        id: &str,
        name: &str,
        to: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<u64, ClientError> {
        self.download(&path(&["vm", "executions", id, "outputs", name]), to, progress)
    }
}
