//! What a running guest reaches: the state behind the imports of world `job`, and the linker that offers them.
//!
//! The guest runs as a future on the thread of [`run`](crate::run). What it logs goes to an [`Outbox`], and the guest
//! then yields once, so that the thread delivers the outbox before the guest goes on: events arrive while a guest runs
//! and none pile up, without a second thread.

mod blobs;
mod limiter;
mod lines;
mod outbox;
mod progress;
mod stdio;

pub(crate) use blobs::OutputLimitReached;
#[expect(unreachable_pub, reason = "the generated bindings re-export them")]
pub use blobs::{OpenInput, OpenOutput};
pub(crate) use limiter::MemoryLimiter;
pub(crate) use outbox::Outbox;

use crate::bindings::job::Job;
use crate::bindings::job::hypermesh::guest::{logging, progress as progress_import};
use crate::{JobSpec, LEASE_FOLDER};
use blobs::Blobs;
use hypermesh_model::OutputFile;
use std::path::PathBuf;
use std::time::Instant;
use stdio::GuestStream;
use thiserror::Error;
use wasmtime::Engine;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};

/// Host objects (open files, streams, pollables) that a guest may hold at once.
pub(crate) const MAX_HANDLES: usize = 1024;
/// The most random bytes in one call.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// The folder of a lease that a guest can't be given.
#[derive(Debug, Error)]
#[error("the granted folder {} cannot be opened", path.display())]
pub(crate) struct FolderError {
    path: PathBuf,
    #[source]
    source: wasmtime::Error,
}

/// The state of one run.
pub(crate) struct JobState {
    /// The limit on memory, which also knows whether it denied any.
    pub(crate) memory: MemoryLimiter,
    outbox: Outbox,
    throttle: progress::Throttle,
    blobs: Blobs,
    table: ResourceTable,
    wasi: WasiCtx,
}

impl JobState {
    /// # Errors
    /// When the granted folder can't be opened.
    pub(crate) fn new(spec: &JobSpec, outbox: &Outbox) -> Result<Self, FolderError> {
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        // Everything else stays as the builder has it: nothing.
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(GuestStream::new("stdout", outbox))
            .stderr(GuestStream::new("stderr", outbox))
            .allow_blocking_current_thread(true)
            .max_random_size(MAX_RANDOM_BYTES);
        // After the switch for blocking calls: a folder takes over what holds when it is added.
        if let Some(folder) = &spec.folder {
            let permissions = if folder.writable { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
            wasi.preopened_dir(&folder.path, LEASE_FOLDER, permissions)
                .map_err(|source| FolderError { path: folder.path.clone(), source })?;
        }
        Ok(Self {
            memory: MemoryLimiter::new(spec.memory_limit),
            outbox: outbox.clone(),
            throttle: progress::Throttle::default(),
            blobs: Blobs::new(spec),
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

    /// The outputs so far, in order of creation.
    pub(crate) fn outputs(&self) -> Vec<OutputFile> {
        self.blobs.outputs()
    }
}

/// A linker with the imports of world `job` and of WASI 0.2.
pub(crate) fn linker(engine: &Engine) -> wasmtime::Result<Linker<JobState>> {
    let mut linker = Linker::new(engine);
    // This includes sockets. Vetting refuses components that import them, and the context denies their use.
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Job::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut JobState| state)?;
    Ok(linker)
}

impl WasiView for JobState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl logging::Host for JobState {
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

impl progress_import::Host for JobState {
    async fn report(&mut self, done: u64, total: Option<u64>, note: String) {
        let report = progress::Report::new(done, total, &note);
        if let Some(report) = self.throttle.offer(report, Instant::now()) {
            self.outbox.progress(report);
            self.outbox.delivered().await;
        }
    }
}
