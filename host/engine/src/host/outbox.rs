//! What a guest said and nobody has heard yet.
//!
//! Shared by the host functions and the two standard streams, all on one thread; the lock is there because wasmtime
//! asks for `Send`. The limit on the log is kept here: once a line doesn't fit, all later ones are dropped too, so that
//! what is kept is the log's beginning without holes.

use super::lines::{LineSplitter, cut};
use super::progress::Report;
use crate::JobObserver;
use hypermesh_model::{Bytes, LogLine, Timestamp};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a line costs beside its text: time, level and framing where it is kept. Makes empty lines count.
const LINE_OVERHEAD_BYTES: u64 = 64;

enum Event {
    Line(LogLine),
    Progress(Report),
}

struct Inner {
    events: VecDeque<Event>,
    room: u64,
    dropped: u64,
    /// The unfinished lines of the standard streams, by stream.
    unfinished: Vec<(&'static str, LineSplitter)>,
}

impl Inner {
    fn line(&mut self, level: &str, text: &str) {
        let message = cut(text);
        let cost = LINE_OVERHEAD_BYTES.saturating_add(message.len() as u64);
        if let Some(room) = self.room.checked_sub(cost) {
            self.room = room;
            let line = LogLine { at: Timestamp::now(), level: level.to_owned(), message };
            self.events.push_back(Event::Line(line));
        } else {
            self.room = 0;
            self.dropped += 1;
        }
    }

    /// Runs `step` on a stream's unfinished line, then logs the lines that it gave.
    fn lines_of(&mut self, stream: &'static str, step: impl FnOnce(&mut LineSplitter, &mut Vec<String>)) {
        let index = self.unfinished.iter().position(|(name, _)| *name == stream).unwrap_or_else(|| {
            self.unfinished.push((stream, LineSplitter::default()));
            self.unfinished.len() - 1
        });
        let mut lines = Vec::new();
        step(&mut self.unfinished[index].1, &mut lines);
        for line in lines {
            self.line(stream, &line);
        }
    }
}

/// A handle on the outbox of one run; clones share it.
#[derive(Clone)]
pub(crate) struct Outbox(Arc<Mutex<Inner>>);

impl Outbox {
    pub(crate) fn new(log_limit: Bytes) -> Self {
        let (events, unfinished) = (VecDeque::new(), Vec::new());
        Self(Arc::new(Mutex::new(Inner { events, room: log_limit.0, dropped: 0, unfinished })))
    }

    /// Adds a line, cut and counted.
    pub(super) fn line(&self, level: &str, text: &str) {
        self.lock().line(level, text);
    }

    /// Adds what a guest printed.
    pub(super) fn print(&self, stream: &'static str, bytes: &[u8]) {
        self.lock()
            .lines_of(stream, |splitter, lines| splitter.push(bytes, |line| lines.push(line.to_owned())));
    }

    /// Ends the lines that the guest left unfinished.
    pub(super) fn finish_lines(&self) {
        let mut inner = self.lock();
        for stream in inner.unfinished.iter().map(|(name, _)| *name).collect::<Vec<_>>() {
            inner.lines_of(stream, |splitter, lines| splitter.finish(|line| lines.push(line.to_owned())));
        }
    }

    /// Adds a progress report.
    pub(super) fn progress(&self, report: Report) {
        self.lock().events.push_back(Event::Progress(report));
    }

    /// Lets the thread deliver, if there is anything to deliver.
    pub(super) async fn delivered(&self) {
        let waiting = !self.lock().events.is_empty();
        if waiting {
            tokio::task::yield_now().await;
        }
    }

    /// Tells the observer everything, in order.
    pub(crate) fn deliver(&self, observer: &mut dyn JobObserver) {
        let events = std::mem::take(&mut self.lock().events);
        for event in events {
            match event {
                Event::Line(line) => observer.log(line),
                Event::Progress(Report { done, total, note }) => observer.progress(done, total, &note),
            }
        }
    }

    /// How many lines didn't fit.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Every step leaves the state whole, so a panic elsewhere doesn't spoil it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
