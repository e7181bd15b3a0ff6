//! The log of a service: what all its requests logged, line by line, in one file of bounded size.
//!
//! The node alone writes it. A worker gets a pipe of its own and not the file: one that its guest has taken over could
//! cut off what others logged. When the file passes [`MAX_BYTES`], its older half goes; how many lines went so far stands
//! in its first line, so that a line keeps its number for ever, also over a restart.

use crate::execution::parse_line;
use hypermesh_model::LogLine;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// The most that the file may hold after a line was added.
pub(crate) const MAX_BYTES: u64 = 1 << 20;
/// Bytes of lines that are read at once, about.
const PIECE: usize = 256 << 10;
const NAME: &str = "log.jsonl";

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    dropped: u64,
}

#[derive(Debug, Default)]
struct State {
    /// Open for appending; `None` before the first line.
    file: Option<File>,
    bytes: u64,
    /// Lines that are no longer there.
    dropped: u64,
    /// Lines that are there.
    lines: u64,
    /// Counts the times when lines went: a place in the file is one of its time.
    age: u64,
}

/// A growing log.
#[derive(Debug)]
pub(crate) struct ServiceLog {
    path: PathBuf,
    state: Mutex<State>,
    /// The number of the newest line.
    grown: watch::Sender<u64>,
}

/// How far somebody has read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cursor {
    /// The number of the last line that was read or passed.
    pub(crate) after: u64,
    /// The number of the line before the place, the place, and the age of the file that it is one of.
    place: Option<(u64, u64, u64)>,
}

impl Cursor {
    /// Behind the `after`th line.
    pub(crate) fn behind(after: u64) -> Self {
        Self { after, place: None }
    }
}

impl ServiceLog {
    /// The log in this folder, which must be there, with what an earlier run of the node left of it.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let path = folder.join(NAME);
        let state = match OpenOptions::new().read(true).append(true).open(&path) {
            Ok(file) => read_state(file)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::default(),
            Err(error) => return Err(error),
        };
        let grown = watch::Sender::new(state.dropped + state.lines);
        Ok(Self { path, state: Mutex::new(state), grown })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds lines. Blocks for as long as the disk takes.
    ///
    /// # Errors
    /// When the disk refuses; some may be there then.
    pub(crate) fn append(&self, lines: &[LogLine]) -> io::Result<()> {
        let mut text = Vec::new();
        for line in lines {
            serde_json::to_writer(&mut text, line)?;
            text.push(b'\n');
        }
        let mut state = self.lock();
        if state.file.is_none() {
            begin(&self.path, &mut state, &[])?;
        }
        if let Some(file) = &mut state.file {
            file.write_all(&text)?;
        }
        state.bytes += text.len() as u64;
        state.lines += lines.len() as u64;
        if state.bytes > MAX_BYTES {
            halve(&self.path, &mut state)?;
        }
        let newest = state.dropped + state.lines;
        drop(state);
        self.grown.send_replace(newest);
        Ok(())
    }

    /// Lines behind the cursor with their numbers, about a piece of them; moves the cursor. Blocks.
    ///
    /// # Errors
    /// When the disk refuses.
    pub(crate) fn read(&self, cursor: &mut Cursor) -> io::Result<Vec<(u64, LogLine)>> {
        let state = self.lock();
        if state.file.is_none() || state.dropped + state.lines <= cursor.after {
            return Ok(Vec::new());
        }
        // Under the lock: the file is neither halved nor in the middle of a line.
        let mut reader = BufReader::new(File::open(&self.path)?);
        let (mut number, mut at) = match cursor.place {
            Some((number, at, age)) if age == state.age && number <= cursor.after => {
                reader.seek(SeekFrom::Start(at))?;
                (number, at)
            }
            Some(_) | None => {
                let head = reader.read_until(b'\n', &mut Vec::new())?;
                (state.dropped, head as u64)
            }
        };
        let (mut lines, mut taken) = (Vec::new(), 0);
        let mut line = Vec::new();
        while taken < PIECE && reader.read_until(b'\n', &mut line)? > 0 {
            number += 1;
            at += line.len() as u64;
            if number > cursor.after {
                taken += line.len();
                lines.push((number, parse_line(&line)));
            }
            line.clear();
        }
        *cursor = Cursor { after: number.max(cursor.after), place: Some((number, at, state.age)) };
        Ok(lines)
    }

    /// Lines that are no longer there.
    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }

    /// Tells of new lines, and of [`Self::wake`].
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }

    /// Wakes who waits for lines: there may be no more.
    pub(crate) fn wake(&self) {
        self.grown.send_modify(|_| {});
    }
}

/// Counts what is there. A line that a crash cut off goes.
fn read_state(mut file: File) -> io::Result<State> {
    let mut reader = BufReader::new(&mut file);
    let mut text = Vec::new();
    let mut bytes = reader.read_until(b'\n', &mut text)? as u64;
    let Some(Head { dropped }) = serde_json::from_slice(&text).ok().filter(|_| text.ends_with(b"\n")) else {
        // Not even its head was whole: there is nothing in it.
        file.set_len(0)?;
        return Ok(State::default());
    };
    let mut lines = 0;
    loop {
        text.clear();
        let read = reader.read_until(b'\n', &mut text)? as u64;
        if !text.ends_with(b"\n") {
            break;
        }
        (bytes, lines) = (bytes + read, lines + 1);
    }
    file.set_len(bytes)?;
    Ok(State { file: Some(file), bytes, dropped, lines, age: 0 })
}

/// Begins the file anew with these lines; it takes the old one's place when it is whole.
fn begin(path: &Path, state: &mut State, rest: &[u8]) -> io::Result<()> {
    let mut text = serde_json::to_vec(&Head { dropped: state.dropped })?;
    text.push(b'\n');
    text.extend_from_slice(rest);
    let new = path.with_extension("new");
    fs::write(&new, &text)?;
    fs::rename(&new, path)?;
    state.file = Some(OpenOptions::new().append(true).open(path)?);
    state.bytes = text.len() as u64;
    state.age += 1;
    Ok(())
}

/// Drops the older half.
fn halve(path: &Path, state: &mut State) -> io::Result<()> {
    let text = fs::read(path)?;
    let middle = text.len() / 2;
    let cut = text[middle..].iter().position(|b| *b == b'\n').map_or(text.len(), |at| middle + at + 1);
    let newlines = |text: &[u8]| text.iter().filter(|b| **b == b'\n').count() as u64;
    // The head is a line too, and counts none.
    let gone = newlines(&text[..cut]).saturating_sub(1);
    let before = (state.dropped, state.lines);
    state.dropped += gone;
    state.lines = newlines(&text[cut..]);
    let begun = begin(path, state, &text[cut..]);
    if begun.is_err() {
        (state.dropped, state.lines) = before;
    }
    begun
}

#[cfg(test)]
mod tests {
    use super::*;
    use hypermesh_model::Timestamp;
    use proptest::prelude::*;

    fn line(message: &str) -> LogLine {
        LogLine { at: Timestamp::now(), level: "info".into(), message: message.into() }
    }

    fn read_all(log: &ServiceLog, after: u64) -> Vec<(u64, String)> {
        let mut cursor = Cursor::behind(after);
        let mut all = Vec::new();
        loop {
            let lines = log.read(&mut cursor).unwrap();
            if lines.is_empty() {
                return all;
            }
            all.extend(lines.into_iter().map(|(number, line)| (number, line.message)));
        }
    }

    #[test]
    fn lines_keep_their_numbers_over_a_restart_and_a_line_that_was_cut_goes() {
        let folder = tempfile::tempdir().unwrap();
        let log = ServiceLog::open(folder.path()).unwrap();
        assert!(read_all(&log, 0).is_empty());
        log.append(&[line("a"), line("b")]).unwrap();
        log.append(&[line("c")]).unwrap();
        assert_eq!(read_all(&log, 1), [(2, "b".into()), (3, "c".into())]);
        drop(log);
        let path = folder.path().join(NAME);
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"{\"at\":\"20").unwrap();
        let log = ServiceLog::open(folder.path()).unwrap();
        log.append(&[line("d")]).unwrap();
        assert_eq!(read_all(&log, 2), [(3, "c".into()), (4, "d".into())]);
        assert!(read_all(&log, 9).is_empty());
    }

    #[test]
    fn the_older_half_goes_and_a_follower_goes_on_where_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let log = ServiceLog::open(folder.path()).unwrap();
        let long = "x".repeat(1000);
        let (mut cursor, mut read) = (Cursor::default(), 0u64);
        for number in 1..=3000u64 {
            log.append(&[line(&format!("{number} {long}"))]).unwrap();
            let size = fs::metadata(folder.path().join(NAME)).unwrap().len();
            assert!(size <= MAX_BYTES + 2000, "{size}");
            if number % 100 == 0 {
                for (seen, line) in log.read(&mut cursor).unwrap() {
                    assert!(line.message.starts_with(&format!("{seen} ")), "{seen}: {}", &line.message[..9]);
                    read += 1;
                }
            }
        }
        assert_eq!(read, 3000, "nothing was missed");
        let dropped = log.dropped();
        assert!(dropped > 1500, "{dropped}");
        assert_eq!(read_all(&log, 0).first().unwrap().0, dropped + 1);
        drop(log);
        let log = ServiceLog::open(folder.path()).unwrap();
        assert_eq!(log.dropped(), dropped);
        assert_eq!(read_all(&log, 0).last().unwrap().0, 3000);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn what_is_kept_is_the_end_of_what_was_written(
            sizes in proptest::collection::vec(0usize..300_000, 1..20),
            reopen in proptest::collection::vec(any::<bool>(), 20),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let mut log = ServiceLog::open(folder.path()).unwrap();
            for (number, size) in sizes.iter().enumerate() {
                log.append(&[line(&"y".repeat(*size))]).unwrap();
                if reopen[number] {
                    drop(log);
                    log = ServiceLog::open(folder.path()).unwrap();
                }
            }
            let kept = read_all(&log, 0);
            let first = usize::try_from(log.dropped()).unwrap();
            prop_assert_eq!(kept.len() + first, sizes.len());
            for (index, (number, text)) in kept.iter().enumerate() {
                prop_assert_eq!(*number, (first + index + 1) as u64);
                prop_assert_eq!(text.len(), sizes[first + index]);
            }
        }
    }
}
