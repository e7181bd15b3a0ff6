//! What a running guest reaches: the state behind its imports, and the linker that offers them.
//!
//! The guest runs as a future on the thread of [`Loaded::run`](crate::Loaded::run). What it logs goes to an [`Outbox`], and the guest
//! then yields once, so that the thread delivers the outbox before the guest goes on: events arrive while a guest runs
//! and none pile up, without a second thread.

mod blobs;
mod eager;
mod folders;
mod limiter;
mod lines;
mod meter;
mod network;
mod outbox;
mod outgoing;
mod progress;
mod stdin;
mod stdio;

#[expect(unreachable_pub, reason = "the generated bindings re-export them")]
pub use blobs::{OpenInput, OpenOutput};
pub(crate) use limiter::MemoryLimiter;
pub(crate) use meter::{OutputLimitReached, OutputMeter};
pub(crate) use outbox::Outbox;

use crate::bindings::job::Job;
use crate::bindings::job::hypermesh::guest::{logging, progress as progress_import};
use crate::{Call, Handles, JobSpec};
use blobs::Blobs;
use folders::FolderError;
use hypermesh_model::OutputFile;
use network::Grants;
use outgoing::Outgoing;
use std::io;
use std::time::Instant;
use stdin::Stdin;
use stdio::{LogStream, RawStream};
use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

/// Host objects (open files, streams, pollables) that a guest may hold at once.
pub(crate) const MAX_HANDLES: usize = 1024;
/// The most random bytes in one call.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// What a guest can't be given.
#[derive(Debug, Error)]
pub(crate) enum GrantError {
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("cannot use the descriptor of standard input")]
    Stdin(#[source] io::Error),
    #[error("cannot use the descriptor of standard output")]
    Stdout(#[source] io::Error),
}

/// The state of one run.
pub(crate) struct GuestState {
    /// The limit on memory, which also knows whether it denied any.
    pub(crate) memory: MemoryLimiter,
    grants: Grants,
    meter: OutputMeter,
    http: WasiHttpCtx,
    outgoing: Outgoing,
    outbox: Outbox,
    throttle: progress::Throttle,
    blobs: Blobs,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl GuestState {
    /// Call it in the tokio runtime that the guest will run in.
    ///
    /// # Errors
    /// When what was granted can't be used.
    pub(crate) fn new(spec: &JobSpec, handles: Handles, outbox: &Outbox) -> Result<Self, GrantError> {
        let meter = OutputMeter::new(spec.output_bytes_limit);
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        // Everything else stays as the builder has it: nothing.
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(LogStream::new("stdout", outbox))
            .stderr(LogStream::new("stderr", outbox))
            .allow_blocking_current_thread(true)
            .max_random_size(MAX_RANDOM_BYTES);
        if let Some(descriptor) = handles.stdin {
            wasi.stdin(Stdin::new(descriptor).map_err(GrantError::Stdin)?);
        }
        if let Some(descriptor) = handles.stdout {
            let stdout = RawStream::new(descriptor, meter.clone(), outbox);
            wasi.stdout(stdout.map_err(GrantError::Stdout)?);
        }
        if let Call::Command { arguments, environment } = &spec.call {
            wasi.args(arguments);
            for (name, value) in environment {
                wasi.env(name, value);
            }
        }
        // After the switch for blocking calls: a folder takes over what holds when it is added.
        folders::grant(&mut wasi, &spec.folders, handles.folders)?;
        let grants = Grants::new(&spec.hosts);
        network::grant(&mut wasi, &grants);
        Ok(Self {
            memory: MemoryLimiter::new(spec.memory_limit),
            outgoing: Outgoing::new(&grants),
            grants,
            meter: meter.clone(),
            http: WasiHttpCtx::new(),
            outbox: outbox.clone(),
            throttle: progress::Throttle::default(),
            blobs: Blobs::new(spec, handles.inputs, handles.outputs, meter),
            table,
            wasi: wasi.build(),
        })
    }

    /// Hands out what was still held back: the newest progress, an unfinished line.
    pub(crate) fn finish(&mut self) {
        if let Some(report) = self.throttle.take() {
            self.outbox.progress(report);
        }
        self.outbox.finish_lines();
    }

    /// What counts its output.
    pub(crate) fn meter(&self) -> &OutputMeter {
        &self.meter
    }

    /// Closes whatever the guest left open. It must not run again.
    pub(crate) fn close(&mut self) {
        self.table = ResourceTable::new();
    }

    /// The outputs so far, in order of creation.
    pub(crate) fn outputs(&self) -> Vec<OutputFile> {
        self.blobs.outputs()
    }
}

/// A linker with everything that a guest of any world may import.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<GuestState>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    network::link_name_lookup(&mut linker)?;
    eager::link(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    Job::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut GuestState| state)?;
    Ok(linker)
}

impl WasiView for GuestState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for GuestState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { hooks: &mut self.outgoing, table: &mut self.table, ctx: &mut self.http }
    }
}

impl logging::Host for GuestState {
    async fn log(&mut self, level: logging::Level, message: String) {
        let level = match level {
            logging::Level::Trace => "trace",
            logging::Level::Debug => "debug",
            logging::Level::Info => "info",
            logging::Level::Warn => "warn",
            logging::Level::Error => "error",
        };
        for line in message.lines() {
            self.outbox.line(level, line);
        }
        self.outbox.delivered().await;
    }
}

impl progress_import::Host for GuestState {
    async fn report(&mut self, done: u64, total: Option<u64>, note: String) {
        let report = progress::Report::new(done, total, &note);
        if let Some(report) = self.throttle.offer(report, Instant::now()) {
            self.outbox.progress(report);
            self.outbox.delivered().await;
        }
    }
}
