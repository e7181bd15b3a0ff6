//! One run of one guest on this thread.
//!
//! The guest is a future; between its steps, whenever it pauses in a host call, the thread tells the observer what the
//! guest said. A guest that never calls the host never pauses: ending it is the matter of whoever started the process.

use crate::bindings::job::exports::hypermesh::guest::handler;
use crate::bindings::job::{Job, JobPre};
use crate::host::GuestState;
use crate::loaded::{Guest, Loaded};
use crate::outcome::{self, Answer};
use crate::serve::{Served, serve};
use crate::{Call, JobObserver, JobOutcome};
use hypermesh_model::{Cause, Operation};
use std::future::poll_fn;
use std::pin::pin;
use tokio::net::UnixStream;
use wasmtime::Store;
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::CommandPre;

impl Loaded<'_> {
    /// Runs the guest to its end and tells how it ended, once. Blocks; see the module head for what doesn't end.
    pub fn run(&mut self, observer: &mut dyn JobObserver) -> JobOutcome {
        let answer = self.drive(observer);
        let dropped_log_lines = self.outbox.dropped();
        match answer {
            Ok(Answer::Described(operations)) => JobOutcome::Described(operations),
            Ok(Answer::Completed { result, outputs }) => {
                JobOutcome::Completed { result, outputs, dropped_log_lines }
            }
            Err(cause) => JobOutcome::Failed { cause, dropped_log_lines },
        }
    }

    fn drive(&mut self, observer: &mut dyn JobObserver) -> Result<Answer, Cause> {
        observer.running();
        let Self { guest, store, connection, tokio, outbox, spec, .. } = self;
        let called = {
            let mut guest = pin!(call(guest, store, &spec.call, connection.take()));
            tokio.block_on(poll_fn(|context| {
                let polled = guest.as_mut().poll(context);
                outbox.deliver(observer);
                polled
            }))
        };
        store.data_mut().finish();
        outbox.deliver(observer);
        let state = store.data();
        match called {
            Ok(returned) => outcome::answer(returned, state.outputs(), spec),
            Err(error) => Err(outcome::cause(&error, state.memory.denied(), spec)),
        }
    }
}

/// What the guest's code gave back, before anything of it is believed.
pub(crate) enum Returned {
    Operations(Vec<handler::Operation>),
    Result(String),
    Error(handler::JobError),
    /// It has no operation of that name, and has these.
    Unknown(Vec<handler::Operation>),
    /// A command's.
    ExitCode(i32),
    /// What went over the connection.
    Served(Served),
}

async fn call(
    guest: &Guest,
    store: &mut Store<GuestState>,
    call: &Call,
    connection: Option<UnixStream>,
) -> wasmtime::Result<Returned> {
    match guest {
        Guest::Job(job) => match call {
            Call::Run { operation, parameters } => run(job, store, operation, parameters).await,
            Call::Describe | Call::Command { .. } | Call::Http => describe(job, store).await,
        },
        Guest::Command(command) => execute(command, store).await,
        Guest::Http(proxy) => match connection {
            Some(connection) => Ok(Returned::Served(serve(proxy, store, connection).await?)),
            None => wasmtime::bail!("no connection was given"),
        },
    }
}

async fn execute(
    command: &CommandPre<GuestState>,
    store: &mut Store<GuestState>,
) -> wasmtime::Result<Returned> {
    let command = command.instantiate_async(&mut *store).await?;
    let code = match command.wasi_cli_run().call_run(store).await {
        Ok(Ok(())) => 0,
        Ok(Err(())) => 1,
        Err(error) => match error.downcast_ref() {
            Some(I32Exit(code)) => *code,
            None => return Err(error),
        },
    };
    Ok(Returned::ExitCode(code))
}

async fn describe(job: &JobPre<GuestState>, store: &mut Store<GuestState>) -> wasmtime::Result<Returned> {
    let job: Job = job.instantiate_async(&mut *store).await?;
    Ok(Returned::Operations(job.hypermesh_guest_handler().call_describe(store).await?))
}

async fn run(
    job: &JobPre<GuestState>,
    store: &mut Store<GuestState>,
    operation: &str,
    parameters: &str,
) -> wasmtime::Result<Returned> {
    let job: Job = job.instantiate_async(&mut *store).await?;
    let handler = job.hypermesh_guest_handler();
    match handler.call_run(&mut *store, operation, parameters).await? {
        Ok(result) => Ok(Returned::Result(result)),
        Err(handler::JobError::UnknownOperation) => {
            Ok(Returned::Unknown(handler.call_describe(store).await?))
        }
        Err(error) => Ok(Returned::Error(error)),
    }
}

impl From<handler::Operation> for Operation {
    fn from(operation: handler::Operation) -> Self {
        let parameters = serde_json::from_str(&operation.parameters);
        Self {
            name: operation.name,
            description: operation.description,
            parameters: parameters.unwrap_or_else(|_| serde_json::json!({})),
        }
    }
}
