//! Executions of vm assets.

use crate::uri::{path, with_query};
use crate::{Client, ClientError};
use hypermesh_wire::executions::{
    Cancelled, ExecuteVm, ExecutionQuery, LogQuery, Logs, Sent, StdoutQuery, VmExecution, WaitQuery,
};
use std::io::{Read, Write};
use std::time::Duration;
use ureq::SendBody;
use ureq::http::Method;

/// Longest silence of a command: it may compute, or wait for somebody who types.
const QUIET: Duration = Duration::from_secs(86_400);
/// Bytes copied at once.
const CHUNK: usize = 64 << 10;

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

    /// Copies what a command writes to standard output from an offset on to `to`, until it has ended.
    ///
    /// # Errors
    /// A 409 problem for what is no command; [`ClientError::Local`] where `to` fails; see [`ClientError`].
    pub fn stdout(&self, id: &str, offset: u64, to: &mut dyn Write) -> Result<(), ClientError> {
        let query = StdoutQuery { offset: Some(offset), follow: Some(true) };
        let target = with_query(&path(&["vm", "executions", id, "stdout"]), &query)?;
        let answer = self.success(self.send(self.request(Method::GET, &target, None), (), QUIET)?)?;
        let mut body = answer.into_body().into_with_config().limit(u64::MAX).reader();
        let mut chunk = vec![0; CHUNK];
        loop {
            let count = body.read(&mut chunk);
            let count = count.map_err(|error| ClientError::from_http(self.base_url(), error.into()))?;
            if count == 0 {
                return Ok(());
            }
            to.write_all(&chunk[..count])
                .and_then(|()| to.flush())
                .map_err(|source| ClientError::Local { what: "could not write standard output", source })?;
        }
    }

    /// Sends a command its standard input, to the reader's end.
    ///
    /// # Errors
    /// A 409 problem where it takes none now; see [`ClientError`].
    pub fn send_stdin(&self, id: &str, from: &mut dyn Read) -> Result<Sent, ClientError> {
        let target = path(&["vm", "executions", id, "stdin"]);
        let head = self.request(Method::PUT, &target, Some("application/octet-stream"));
        let mut from = from;
        self.result(self.send(head, SendBody::from_reader(&mut from), QUIET)?)
    }
}
