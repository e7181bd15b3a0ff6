//! A run that is prepared: everything that needs the outside is done, only the guest's code is missing.
//!
//! Between [`Runtime::load`] and [`Loaded::run`] a worker locks itself in. So `load` maps the artefact, opens the
//! granted folders, and makes the tokio runtime; `run` opens nothing but inputs and outputs below their folders, and
//! connects to nothing but granted hosts.

use crate::artefact::{self, Mapping};
use crate::bindings::job::JobPre;
use crate::host::{GuestState, MAX_HANDLES, Outbox};
use crate::runtime::Linked;
use crate::{Call, Handles, JobSpec, Profile, Runtime};
use hypermesh_model::{Cause, error_chain};
use std::error::Error;
use std::io;
use std::marker::PhantomData;
use std::os::fd::OwnedFd;
use tokio::net::UnixStream;
use wasmtime::Store;
use wasmtime_wasi::p2::bindings::CommandPre;
use wasmtime_wasi_http::p2::bindings::ProxyPre;

/// What one call copies between guest and host beside the result, in bytes: several times the largest piece that the
/// SDK passes at once.
const HOSTCALL_BYTES: u64 = 4 << 20;

/// A guest that is loaded and linked. Dropping it runs nothing.
pub struct Loaded<'runtime> {
    pub(crate) guest: Guest,
    pub(crate) store: Store<GuestState>,
    pub(crate) connection: Option<UnixStream>,
    pub(crate) tokio: tokio::runtime::Runtime,
    pub(crate) outbox: Outbox,
    pub(crate) spec: JobSpec,
    /// After `guest` and `store`, which hold the code: fields are dropped in this order.
    _artefact: Mapping,
    _runtime: PhantomData<&'runtime Runtime>,
}

/// A component, linked against the world that the call needs.
pub(crate) enum Guest {
    Job(JobPre<GuestState>),
    Command(CommandPre<GuestState>),
    Http(ProxyPre<GuestState>),
}

impl Runtime {
    /// Prepares a run: maps the artefact, checks it against the call's world, opens what was granted. Opens no path.
    ///
    /// Where folders are granted, the calling thread afterwards has a working directory of its own (`unshare(2)` with
    /// `CLONE_FS`), which is `/`.
    ///
    /// # Errors
    /// [`Cause::WorkerLost`]: faults of this host, an artefact that doesn't fit or isn't to be trusted for one.
    pub fn load(&self, spec: &JobSpec, handles: Handles) -> Result<Loaded<'_>, Cause> {
        self.prepare(spec, handles).map_err(|fault| Cause::WorkerLost { detail: error_chain(&*fault) })
    }

    fn prepare(&self, spec: &JobSpec, mut handles: Handles) -> Result<Loaded<'_>, Box<dyn Error>> {
        let Linked { engine, linker } = self.linked(Profile::of(spec.fuel));
        let (mapping, component) = artefact::load(engine, &handles.artefact, spec.artefact_owner)?;
        let linked = linker.instantiate_pre(&component)?;
        let guest = match spec.call {
            Call::Describe | Call::Run { .. } => Guest::Job(JobPre::new(linked)?),
            Call::Command { .. } => Guest::Command(CommandPre::new(linked)?),
            Call::Http if handles.connection.is_none() => return Err("no connection was given".into()),
            Call::Http => Guest::Http(ProxyPre::new(linked)?),
        };
        // The timer is what a sleeping guest waits on.
        let mut builder = tokio::runtime::Builder::new_current_thread();
        builder.enable_time();
        if handles.stdin.is_some() || handles.connection.is_some() || !spec.hosts.is_empty() {
            builder.enable_io();
        }
        let tokio = builder.build()?;
        let outbox = Outbox::new(spec.log_bytes_limit);
        let (state, connection) = {
            let _entered = tokio.enter();
            let connection = handles.connection.take().map(connection).transpose()?;
            (GuestState::new(spec, handles, &outbox)?, connection)
        };
        let mut store = Store::new(engine, state);
        store.limiter(|state| &mut state.memory);
        let copied = spec.result_bytes_limit.0.saturating_add(HOSTCALL_BYTES);
        store.set_hostcall_fuel(usize::try_from(copied).unwrap_or(usize::MAX));
        store.set_max_component_handles(MAX_HANDLES);
        if let Some(fuel) = spec.fuel {
            store.set_fuel(fuel)?;
        }
        let spec = spec.clone();
        Ok(Loaded {
            guest,
            store,
            connection,
            tokio,
            outbox,
            spec,
            _artefact: mapping,
            _runtime: PhantomData,
        })
    }
}

/// A connected socket, for the runtime that is entered.
fn connection(descriptor: OwnedFd) -> io::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(descriptor);
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}
