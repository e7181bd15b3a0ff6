//! One thread owns NVML, because a driver in trouble can block a call for minutes, and whoever measures must not wait
//! with it. The thread starts at the first question and loads the library then; machines without GPUs pay one failed
//! load an inventory.
//!
//! ```text
//! asleep ──inventory──▶ loaded ──library lost──▶ asleep
//!    │                     └──no answer in time──▶ stuck ──answer comes──▶ loaded
//!    └──load fails: unavailable, tried again at the next inventory
//! ```
//!
//! While it is stuck, every question is answered at once with "unavailable". Samples never load the library: until an
//! inventory has found GPUs they have nothing to say about them. The thread ends when its reader is dropped.

use super::{GpuInventory, GpuSample, nvml};
use nvml_wrapper::Nvml;
use nvml_wrapper::error::NvmlError;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Longest wait for an inventory. Without persistence mode the driver initialises each GPU first, which takes seconds.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Longest wait for a sample. A healthy driver needs some milliseconds a GPU.
pub const SAMPLE_LIMIT: Duration = Duration::from_millis(500);

/// The driver's library, found by the dynamic linker. The name without `.1` exists only where headers are installed.
const DEFAULT_LIBRARY: &str = "libnvidia-ml.so.1";

enum Question {
    Inventory(Sender<GpuInventory>),
    Sample(Sender<Option<Vec<GpuSample>>>),
}

#[derive(Debug, Default)]
struct State {
    /// The library is loaded and has at least one GPU.
    has_gpus: AtomicBool,
    /// How many questions the thread has answered. They are numbered from 1 and answered in order.
    answered: AtomicU64,
    /// The highest question whose asker gave up. While it isn't answered the thread is stuck.
    given_up: AtomicU64,
}

/// The sending end, and how many questions went through it.
#[derive(Debug, Default)]
struct Line {
    questions: Option<Sender<Question>>,
    asked: u64,
}

/// The way to the thread.
#[derive(Debug)]
pub(crate) struct GpuReader {
    library: PathBuf,
    state: Arc<State>,
    line: Mutex<Line>,
}

impl GpuReader {
    pub(crate) fn new(library: Option<PathBuf>) -> Self {
        let library = library.unwrap_or_else(|| PathBuf::from(DEFAULT_LIBRARY));
        Self { library, state: Arc::default(), line: Mutex::default() }
    }

    /// All GPUs. Waits for [`ANSWER_LIMIT`] at most.
    pub(crate) fn inventory(&self) -> GpuInventory {
        self.inventory_within(ANSWER_LIMIT)
    }

    pub(super) fn inventory_within(&self, limit: Duration) -> GpuInventory {
        self.ask(Question::Inventory, limit)
            .unwrap_or_else(|why| unavailable(format!("{} {why}", self.library.display())))
    }

    /// What the GPUs are doing. Waits for [`SAMPLE_LIMIT`] at most.
    pub(crate) fn sample(&self) -> Option<Vec<GpuSample>> {
        let has_gpus = self.state.has_gpus.load(Ordering::Relaxed);
        has_gpus.then(|| self.ask(Question::Sample, SAMPLE_LIMIT).ok().flatten()).flatten()
    }

    fn ask<T>(&self, question: impl Fn(Sender<T>) -> Question, limit: Duration) -> Result<T, String> {
        if self.state.answered.load(Ordering::Acquire) < self.state.given_up.load(Ordering::Acquire) {
            return Err("has not answered an earlier question yet".to_owned());
        }
        let (number, answers) = self.send(question)?;
        answers.recv_timeout(limit).map_err(|error| match error {
            RecvTimeoutError::Timeout => {
                self.state.given_up.fetch_max(number, Ordering::AcqRel);
                format!("did not answer within {limit:?}")
            }
            RecvTimeoutError::Disconnected => "crashed the thread that asked it".to_owned(),
        })
    }

    /// Puts a question to the thread, which is started when there is none or the last one died. Gives its number.
    fn send<T>(&self, question: impl Fn(Sender<T>) -> Question) -> Result<(u64, Receiver<T>), String> {
        // No panic can leave the line half changed.
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, answers) = mpsc::channel();
        let is_running =
            line.questions.as_ref().is_some_and(|thread| thread.send(question(answer.clone())).is_ok());
        if !is_running {
            let thread = self.start().map_err(|error| format!("got no thread: {error}"))?;
            // What a dead thread left open will never be answered.
            self.state.answered.store(line.asked, Ordering::Release);
            // If it died at once, so does `answer`, and the asker sees that.
            let _ = thread.send(question(answer));
            line.questions = Some(thread);
        }
        line.asked += 1;
        Ok((line.asked, answers))
    }

    fn start(&self) -> std::io::Result<Sender<Question>> {
        let (sender, questions) = mpsc::channel();
        let mut owner = Owner { library: self.library.clone(), nvml: None, state: Arc::clone(&self.state) };
        thread::Builder::new().name("nvml".to_owned()).spawn(move || {
            for question in questions {
                owner.answer(&question);
                owner.state.answered.fetch_add(1, Ordering::AcqRel);
            }
        })?;
        Ok(sender)
    }
}

/// What the thread holds.
struct Owner {
    library: PathBuf,
    nvml: Option<Nvml>,
    state: Arc<State>,
}

impl Owner {
    fn answer(&mut self, question: &Question) {
        // An asker that has given up no longer listens.
        let _ = match question {
            Question::Inventory(answer) => answer.send(self.inventory()).is_ok(),
            Question::Sample(answer) => answer.send(self.sample()).is_ok(),
        };
    }

    fn inventory(&mut self) -> GpuInventory {
        let found = match self.load() {
            Ok(nvml) => nvml::inventory(nvml).or_else(|error| {
                // Once more from the start: the driver may have been replaced under a loaded library.
                self.forget_if_lost(&error);
                nvml::inventory(self.load()?)
            }),
            Err(error) => Err(error),
        };
        let found = found.unwrap_or_else(|error| {
            self.forget_if_lost(&error);
            self.explain(&error)
        });
        self.state.has_gpus.store(!found.gpus.is_empty(), Ordering::Relaxed);
        found
    }

    fn sample(&mut self) -> Option<Vec<GpuSample>> {
        let sampled = nvml::sample(self.nvml.as_ref()?);
        sampled.inspect_err(|error| self.forget_if_lost(error)).ok()
    }

    fn load(&mut self) -> Result<&Nvml, NvmlError> {
        let nvml = match self.nvml.take() {
            Some(nvml) => nvml,
            None => Nvml::builder().lib_path(self.library.as_os_str()).init()?,
        };
        Ok(self.nvml.insert(nvml))
    }

    fn forget_if_lost(&mut self, error: &NvmlError) {
        if nvml::is_lost(error) {
            self.nvml = None;
            self.state.has_gpus.store(false, Ordering::Relaxed);
        }
    }

    fn explain(&self, error: &NvmlError) -> GpuInventory {
        let library = self.library.display();
        unavailable(if let NvmlError::LibloadingError(reason) = error {
            format!("{library} could not be loaded: {reason}")
        } else {
            format!("{library} could not be used: {error}")
        })
    }
}

fn unavailable(why: String) -> GpuInventory {
    GpuInventory { unavailable: Some(why), ..GpuInventory::default() }
}
