//! One run of one job on this thread.
//!
//! The guest is a future; between its steps, whenever it pauses in a host call, the thread tells the observer what the
//! guest said. A guest that never calls the host never pauses: ending it is the matter of whoever started the process.

use crate::bindings::job::exports::hypermesh::guest::handler;
use crate::bindings::job::{Job, JobPre};
use crate::host::{self, JobState, MAX_HANDLES, Outbox};
use crate::load::load;
use crate::outcome::{self, Answer};
use crate::{JobCall, JobObserver, JobOutcome, JobSpec, profile};
use hypermesh_model::{Cause, Operation, error_chain};
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use wasmtime::Store;

/// What one call copies between guest and host beside the result, in bytes: several times the largest piece that the
/// SDK passes at once.
const HOSTCALL_BYTES: u64 = 4 << 20;

/// Runs a job to its end and tells how it ended. Blocks; see the module head for what doesn't end.
///
/// Faults of this host (an artefact that isn't there or doesn't fit, for one) are [`Cause::WorkerLost`].
pub fn run(spec: &JobSpec, observer: &mut dyn JobObserver) -> JobOutcome {
    let outbox = Outbox::new(spec.log_bytes_limit);
    let answer = prepare(spec, &outbox)
        .map_err(|fault| Cause::WorkerLost { detail: error_chain(&*fault) })
        .and_then(|prepared| prepared.drive(spec, &outbox, observer));
    let dropped_log_lines = outbox.dropped();
    match answer {
        Ok(Answer::Described(operations)) => JobOutcome::Described(operations),
        Ok(Answer::Completed { result, outputs }) => {
            JobOutcome::Completed { result, outputs, dropped_log_lines }
        }
        Err(cause) => JobOutcome::Failed { cause, dropped_log_lines },
    }
}

/// A component that is loaded and linked, and the store that it will live in.
struct Prepared {
    component: JobPre<JobState>,
    store: Store<JobState>,
    runtime: tokio::runtime::Runtime,
}

fn prepare(spec: &JobSpec, outbox: &Outbox) -> Result<Prepared, Box<dyn Error>> {
    let engine = profile::engine()?;
    let component = load(&engine, &spec.cwasm)?;
    let component = JobPre::new(host::linker(&engine)?.instantiate_pre(&component)?)?;
    let mut store = Store::new(&engine, JobState::new(spec, outbox)?);
    store.limiter(|state| &mut state.memory);
    let copied = spec.result_bytes_limit.0.saturating_add(HOSTCALL_BYTES);
    store.set_hostcall_fuel(usize::try_from(copied).unwrap_or(usize::MAX));
    store.set_max_component_handles(MAX_HANDLES);
    // The timer is what a sleeping guest waits on; everything else it could wait on is always ready.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    Ok(Prepared { component, store, runtime })
}

impl Prepared {
    fn drive(
        mut self,
        spec: &JobSpec,
        outbox: &Outbox,
        observer: &mut dyn JobObserver,
    ) -> Result<Answer, Cause> {
        observer.running();
        let called = {
            let mut guest = pin!(call(&self.component, &mut self.store, &spec.call));
            self.runtime.block_on(poll_fn(|context| {
                let polled = guest.as_mut().poll(context);
                outbox.deliver(observer);
                polled
            }))
        };
        self.store.data_mut().finish();
        outbox.deliver(observer);
        let state = self.store.data();
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
}

async fn call(
    component: &JobPre<JobState>,
    store: &mut Store<JobState>,
    call: &JobCall,
) -> wasmtime::Result<Returned> {
    let job: Job = component.instantiate_async(&mut *store).await?;
    let handler = job.hypermesh_guest_handler();
    match call {
        JobCall::Describe => Ok(Returned::Operations(handler.call_describe(store).await?)),
        JobCall::Run { operation, parameters } => {
            match handler.call_run(&mut *store, operation, parameters).await? {
                Ok(result) => Ok(Returned::Result(result)),
                Err(handler::JobError::UnknownOperation) => {
                    Ok(Returned::Unknown(handler.call_describe(store).await?))
                }
                Err(error) => Ok(Returned::Error(error)),
            }
        }
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
