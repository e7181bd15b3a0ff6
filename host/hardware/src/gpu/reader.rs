//! One thread owns NVML, because a driver in trouble can block a call for minutes, and whoever measures must not wait
//! with it. The thread starts at the first question and loads the library then; machines without GPUs pay one failed
//! load an inventory.
//!
//! ```text
//! asleep ──first question──▶ running ──no answer in time──▶ stuck ──answer comes──▶ running
//! ```
//!
//! While it is stuck, every question is answered at once with "unavailable". Samples never load the library first: until
//! an inventory has found GPUs they have nothing to say about them. The thread ends when its reader is dropped. What it
//! does with the library is left to `owner`.

use super::backoff::Backoff;
use super::owner::{Owner, SharedMemory};
use super::{GpuInventory, GpuSample};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Longest wait for an inventory. Without persistence mode the driver initialises each GPU first, which takes seconds.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(5);

/// Longest wait for a sample. A healthy driver needs some milliseconds a GPU, and 40 ms for one link.
pub const SAMPLE_LIMIT: Duration = Duration::from_millis(500);

/// The driver's library, found by the dynamic linker. The name without `.1` exists only where headers are installed.
const DEFAULT_LIBRARY: &str = "libnvidia-ml.so.1";

enum Question {
    Inventory(Sender<GpuInventory>),
    Sample(Sender<Option<Vec<GpuSample>>>),
}

#[derive(Debug, Default)]
struct State {
    /// An inventory has found a GPU. It may be lost since; then it is looked for.
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
    first_wait: Option<Duration>,
    memory: SharedMemory,
    state: Arc<State>,
    line: Mutex<Line>,
}

impl GpuReader {
    pub(crate) fn new(library: Option<PathBuf>) -> Self {
        let library = library.unwrap_or_else(|| PathBuf::from(DEFAULT_LIBRARY));
        Self {
            library,
            first_wait: None,
            memory: SharedMemory::default(),
            state: Arc::default(),
            line: Mutex::default(),
        }
    }

    /// Waits so long, and not a second, before it initialises a library in trouble anew.
    #[cfg(test)]
    pub(super) fn waiting_first(self, first_wait: Duration) -> Self {
        Self { first_wait: Some(first_wait), ..self }
    }

    /// All GPUs. Waits for [`ANSWER_LIMIT`] at most.
    pub(crate) fn inventory(&self) -> GpuInventory {
        self.inventory_within(ANSWER_LIMIT)
    }

    pub(super) fn inventory_within(&self, limit: Duration) -> GpuInventory {
        self.ask(Question::Inventory, limit).unwrap_or_else(|why| {
            let why = format!("{} {why}", self.library.display());
            let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
            let gpus = memory.all_unavailable(&why);
            GpuInventory { gpus, unavailable: Some(why), ..GpuInventory::default() }
        })
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
        let backoff = self.first_wait.map_or_else(Backoff::default, Backoff::starting_with);
        let mut owner = Owner::new(self.library.clone(), Arc::clone(&self.memory), backoff);
        let state = Arc::clone(&self.state);
        thread::Builder::new().name("nvml".to_owned()).spawn(move || {
            for question in questions {
                answer(&mut owner, &state, &question);
                state.answered.fetch_add(1, Ordering::AcqRel);
            }
        })?;
        Ok(sender)
    }
}

fn answer(owner: &mut Owner, state: &State, question: &Question) {
    // An asker that has given up no longer listens.
    let _ = match question {
        Question::Inventory(answer) => {
            let found = owner.inventory();
            state.has_gpus.store(!found.gpus.is_empty(), Ordering::Relaxed);
            answer.send(found).is_ok()
        }
        Question::Sample(answer) => answer.send(owner.sample()).is_ok(),
    };
}
