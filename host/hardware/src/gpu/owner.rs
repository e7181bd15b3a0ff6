//! What the thread holds that owns NVML: the library, and what to do when it or a device is lost.
//!
//! ```text
//! asleep ──inventory──▶ loaded ──library lost──▶ lost ──wait, then any question──▶ loaded
//!    │                     │  ▲
//!    │                     │  └──wait, then initialised anew──┐
//!    │                     └──a device lost: the others are asked on──┘
//!    └──load fails: unavailable, tried again at the next inventory
//! ```
//!
//! An initialisation blocks sampling for as long as the driver needs, so between two there is a wait that doubles
//! ([`Backoff`]). An inventory, which is rare and asked for, loads a library that isn't loaded without waiting.

use super::answers::is_library_lost;
use super::backoff::Backoff;
use super::measure::Links;
use super::memory::Memory;
use super::{GpuInventory, GpuSample, describe, measure};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The devices that were once seen. Shared, because the list is also shown while the thread is stuck.
pub(super) type SharedMemory = Arc<Mutex<Memory>>;

/// What the thread holds.
pub(super) struct Owner {
    library: PathBuf,
    nvml: Option<Nvml>,
    memory: SharedMemory,
    backoff: Backoff,
    links: Links,
}

impl Owner {
    pub(super) fn new(library: PathBuf, memory: SharedMemory, backoff: Backoff) -> Self {
        Self { library, nvml: None, memory, backoff, links: Links::default() }
    }

    /// What the devices are.
    pub(super) fn inventory(&mut self) -> GpuInventory {
        self.begin_anew_when_due();
        let found = match self.load() {
            Ok(nvml) => describe::inventory(nvml).or_else(|error| {
                // Once more from the start: the driver may have been replaced under a loaded library.
                self.note(&error);
                describe::inventory(self.load()?)
            }),
            Err(error) => Err(error),
        };
        match found {
            Ok(mut found) => {
                found.gpus = self.remembering(|memory| memory.complete(found.gpus));
                self.settle(found.gpus.iter().any(|gpu| gpu.lost));
                found
            }
            Err(error) => {
                self.note(&error);
                let why = self.explain(&error);
                let gpus = self.remembering(|memory| memory.all_unavailable(&why));
                GpuInventory { gpus, unavailable: Some(why), ..GpuInventory::default() }
            }
        }
    }

    /// What the devices are doing; `None` when none can be asked.
    pub(super) fn sample(&mut self) -> Option<Vec<GpuSample>> {
        let may_ask = self.begin_anew_when_due() || self.nvml.is_some();
        if !may_ask && (self.remembering(|memory| memory.is_empty()) || self.backoff.is_waiting()) {
            return None;
        }
        let mut links = std::mem::take(&mut self.links);
        let sampled = self.load().and_then(|nvml| measure::sample(nvml, &mut links));
        self.links = links;
        match sampled {
            Ok(samples) => {
                let samples = self.remembering(|memory| memory.complete_samples(samples));
                self.settle(samples.iter().any(|sample| sample.lost));
                Some(samples)
            }
            Err(error) => {
                tracing::debug!(%error, "the GPUs can't be sampled");
                self.note(&error);
                self.backoff.trouble(Instant::now());
                None
            }
        }
    }

    /// Lets the library go when something is lost and the wait is over. Whether it is to be loaded now.
    fn begin_anew_when_due(&mut self) -> bool {
        let now = Instant::now();
        let is_due = self.backoff.is_due(now);
        if is_due {
            self.nvml = None;
            self.backoff.attempt(now);
        }
        is_due
    }

    fn settle(&mut self, lost: bool) {
        if lost { self.backoff.trouble(Instant::now()) } else { self.backoff.over() }
    }

    fn load(&mut self) -> Result<&Nvml, NvmlError> {
        let nvml = match self.nvml.take() {
            Some(nvml) => nvml,
            None => Nvml::builder().lib_path(self.library.as_os_str()).init()?,
        };
        Ok(self.nvml.insert(nvml))
    }

    fn note(&mut self, error: &NvmlError) {
        if is_library_lost(error) {
            self.nvml = None;
        }
    }

    fn remembering<T>(&self, act: impl FnOnce(&mut Memory) -> T) -> T {
        // No panic can leave the list half changed.
        act(&mut self.memory.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn explain(&self, error: &NvmlError) -> String {
        let library = self.library.display();
        if let NvmlError::LibloadingError(reason) = error {
            format!("{library} could not be loaded: {reason}")
        } else {
            format!("{library} could not be used: {error}")
        }
    }
}
