//! Opening: what is on disk, made whole again.
//!
//! ```text
//! newest readable head ─▶ rows of `leaves` up to it have its root? ─yes─▶ read entries from there on
//!                                       └─no─▶ read all entries, rows anew ─▶ the same root? ─no─▶ refuse
//! entries after the head: kept while whole, cut at the first that is not; then synced, before a new head is signed
//! ```
//!
//! An entry below the head was synced before the head was signed, so whatever is wrong there is no crash's doing and
//! nothing is cut. What comes after it may be torn: it was not acknowledged, or it is whole.

use super::Settings;
use super::files::{self, Paths};
use super::issuers::Issuers;
use super::record::{Damage, MANY, RECORDS_BEGIN, RecordReader, Step, header};
use super::slots::{Kept, heads_on_disk};
use super::tree::{Edge, ROW, Tiles, put_row, row_of};
use crate::entry::Entry;
use crate::error::LogError;
use crate::merkle::Hash;
use crate::note::{NoteError, SignedTreeHead};
use crate::sign::LogKey;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

/// Rows that are read or written at a time.
const ROWS: usize = 8192;

/// A log's files, open, with all that is derived from them.
pub(super) struct Recovered {
    pub(super) paths: Paths,
    pub(super) key: LogKey,
    pub(super) lock: File,
    pub(super) entries: File,
    pub(super) leaves: File,
    pub(super) issuers: Issuers,
    /// Which slot has the newest head; `None` when there is no checkpoint file yet.
    pub(super) kept: Option<usize>,
    pub(super) edge: Edge,
    pub(super) tiles: Tiles,
    /// Where the next record begins.
    pub(super) end: u64,
    /// The latest timestamp of the head and of entries after it.
    pub(super) newest_ms: u64,
}

/// The tree while it is built up.
struct Building {
    edge: Edge,
    tiles: Tiles,
    end: u64,
    newest_ms: u64,
}

impl Building {
    fn new(entries: u64) -> Self {
        Self { edge: Edge::default(), tiles: Tiles::with_capacity(entries), end: RECORDS_BEGIN, newest_ms: 0 }
    }

    fn size(&self) -> u64 {
        self.edge.frontier.size()
    }

    fn push(&mut self, leaf: Hash) {
        let index = self.size();
        let full_tile = self.edge.push(leaf);
        self.tiles.enter(index, &leaf, full_tile);
    }
}

pub(super) fn recover(settings: &Settings, key: &LogKey) -> Result<Recovered, LogError> {
    let paths = Paths::new(&settings.folder);
    paths.make()?;
    let lock = paths.lock()?;
    let entries = files::open(&paths.entries)?;
    let leaves = files::open(&paths.leaves)?;
    let issuers = Issuers::load(&paths.issuers)?;
    let opened = begin(&paths, &entries, key)?;
    let head = if opened { Some(newest_head(&paths, &settings.origin, key)?) } else { None };
    let (kept, head) = head.unzip();
    let building = match &head {
        Some(head) => from_rows(&paths, &leaves, &entries, head)?,
        None => None,
    };
    let mut building = building.unwrap_or_else(|| Building::new(head.as_ref().map_or(0, |head| head.size)));
    building.newest_ms = head.as_ref().map_or(0, |head| head.timestamp_ms);
    read_tail(&paths, &entries, &leaves, &mut building, head.as_ref())?;
    settle(&paths, &entries, &leaves, &building)?;
    let Building { edge, tiles, end, newest_ms } = building;
    let key = key.clone();
    Ok(Recovered { paths, key, lock, entries, leaves, issuers, kept, edge, tiles, end, newest_ms })
}

/// The newest head of the checkpoint file, and in which slot it is.
fn newest_head(paths: &Paths, origin: &str, key: &LogKey) -> Result<(usize, SignedTreeHead), LogError> {
    let mut unreadable = None;
    let mut newest: Option<(usize, Kept)> = None;
    for (slot, head) in heads_on_disk(paths, key)?.into_iter().flatten().enumerate() {
        match head {
            Ok(Some(kept)) => {
                let age = |kept: &Kept| (kept.head.size, kept.head.timestamp_ms);
                if newest.as_ref().is_none_or(|(_, best)| age(best) <= age(&kept)) {
                    newest = Some((slot, kept));
                }
            }
            Ok(None) => {}
            Err(error) => unreadable = Some(error),
        }
    }
    match newest {
        Some((slot, kept)) if kept.origin == origin => Ok((slot, kept.head)),
        Some((_, kept)) => Err(LogError::Origin(NoteError::OtherOrigin(kept.origin))),
        None => Err(LogError::NoCheckpoint { path: paths.checkpoint.clone(), source: unreadable }),
    }
}

/// Begins the `entries` of a log that was never opened to its end: the header is synced, then the checkpoint made, and only
/// then is anything written. Gives whether there is a checkpoint, and checks whose log it is.
fn begin(paths: &Paths, entries: &File, key: &LogKey) -> Result<bool, LogError> {
    let path = &paths.entries;
    let (length, expected) = (files::length(entries, path)?, header(key.id()));
    let opened =
        paths.checkpoint.try_exists().map_err(|error| LogError::io("examine", &paths.checkpoint, error))?;
    if !opened && length > RECORDS_BEGIN {
        return Err(LogError::NoCheckpoint { path: paths.checkpoint.clone(), source: None });
    }
    if !opened {
        let write = || {
            entries.write_all_at(&expected, 0)?;
            entries.sync_all()?;
            files::sync_folder(&paths.folder)
        };
        write().map_err(|error| LogError::io("write", path, error))?;
    } else if length >= RECORDS_BEGIN {
        let mut found = vec![0; expected.len()];
        entries.read_exact_at(&mut found, 0).map_err(|error| LogError::io("read", path, error))?;
        if found[..8] != expected[..8] {
            return Err(LogError::corrupt(path, "it does not begin as the entries of a log do"));
        }
        if found != expected {
            return Err(LogError::OtherKey { path: paths.folder.clone() });
        }
    }
    Ok(opened)
}

/// The tree of the head's size from the rows, if they have its root and the last of its entries is where they say.
fn from_rows(
    paths: &Paths,
    leaves: &File,
    entries: &File,
    head: &SignedTreeHead,
) -> Result<Option<Building>, LogError> {
    let mut building = Building::new(head.size);
    let mut last = None;
    let mut bytes = vec![0; ROWS * ROW];
    while building.size() < head.size {
        let first = building.size();
        let count = usize::try_from(head.size - first).unwrap_or(ROWS).min(ROWS);
        if leaves.read_exact_at(&mut bytes[..count * ROW], first * ROW as u64).is_err() {
            return Ok(None);
        }
        for row in bytes[..count * ROW].as_chunks().0 {
            let (hash, place) = row_of(row);
            if last.map_or(place != RECORDS_BEGIN, |(_, last)| place <= last) {
                return Ok(None);
            }
            last = Some((hash, place));
            building.push(hash);
        }
    }
    if building.edge.frontier.root() != head.root {
        return Ok(None);
    }
    if let Some((hash, place)) = last {
        let mut reader = RecordReader::new(entries, &paths.entries, place, MANY);
        let Step::Record { content, .. } = reader.step()? else { return Ok(None) };
        // The leaf hash covers the entry's number.
        if Entry::decode(&content).map(|decoded| decoded.leaf_hash()) != Ok(hash) {
            return Ok(None);
        }
        building.end = reader.position();
    }
    Ok(Some(building))
}

/// Reads the entries that the tree doesn't have yet and writes their rows, up to where the file is no longer whole.
fn read_tail(
    paths: &Paths,
    entries: &File,
    leaves: &File,
    building: &mut Building,
    head: Option<&SignedTreeHead>,
) -> Result<(), LogError> {
    let path = &paths.entries;
    let signed = head.map_or(0, |head| head.size);
    let mut rows = Vec::new();
    let mut written = building.size();
    let mut reader = RecordReader::new(entries, path, building.end, MANY);
    let mut more = true;
    while more {
        match reader.step()? {
            Step::Record { at, content } => {
                let decoded =
                    Entry::decode(&content).map_err(|error| LogError::corrupt(path, error.to_string()))?;
                if decoded.index != building.size() {
                    let detail =
                        format!("entry {} is in the place of entry {}", decoded.index, building.size());
                    return Err(LogError::corrupt(path, detail));
                }
                let leaf = decoded.leaf_hash();
                put_row(&mut rows, &leaf, at);
                building.push(leaf);
                building.newest_ms = building.newest_ms.max(decoded.entry.timestamp_ms);
                building.end = reader.position();
                forked(building, head)?;
            }
            Step::End | Step::Damaged(Damage::CutOff) if building.size() < signed => {
                return Err(LogError::Shrunk { checkpoint: signed, found: building.size() });
            }
            Step::Damaged(Damage::Wrong(detail)) if building.size() < signed => {
                return Err(LogError::corrupt(path, format!("at entry {}: {detail}", building.size())));
            }
            Step::End | Step::Damaged(_) => more = false,
        }
        if rows.len() >= ROWS * ROW || !more {
            let wrote = leaves.write_all_at(&rows, written * ROW as u64);
            wrote.map_err(|error| LogError::io("write", &paths.leaves, error))?;
            written = building.size();
            rows.clear();
        }
    }
    Ok(())
}

/// Whether the tree has the head's root when it has its size.
fn forked(building: &Building, head: Option<&SignedTreeHead>) -> Result<(), LogError> {
    match head {
        Some(head) if head.size == building.size() && head.root != building.edge.frontier.root() => {
            Err(LogError::Forked { size: head.size })
        }
        Some(_) | None => Ok(()),
    }
}

/// Cuts what is not whole, and makes sure that the rest is on disk before a head is signed over it.
fn settle(paths: &Paths, entries: &File, leaves: &File, building: &Building) -> Result<(), LogError> {
    let length = files::length(entries, &paths.entries)?;
    if length > building.end {
        let (cut, size) = (length - building.end, building.size());
        tracing::warn!(bytes = cut, size, "cut the end of the log, which a crash left half written");
        entries.set_len(building.end).map_err(|error| LogError::io("cut", &paths.entries, error))?;
    }
    entries.sync_data().map_err(|error| LogError::io("sync", &paths.entries, error))?;
    let rows = building.size() * ROW as u64;
    leaves.set_len(rows).map_err(|error| LogError::io("cut", &paths.leaves, error))
}
