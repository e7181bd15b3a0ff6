//! The SQLite file: locking it, opening it durably, checking it, bringing its schema up to date, reading its journal.
//!
//! Two nodes on one folder would each trust their own memory, so the first thing is an exclusive `flock(2)` on a file
//! beside the database (`<path>.lock`, with the holder's process id in it). Not on the database itself: closing any other
//! descriptor of that file would drop the POSIX locks that SQLite holds on it (fcntl(2), "Advisory record locking").
//! `locking_mode` stays `NORMAL`, so that a person can look with `sqlite3` while the node runs.

use crate::error::StoreError;
use crate::event_log::{EVENT_RETENTION, EVENTS_TABLE};
use hypermesh_model::{Event, Timestamp};
use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a statement waits for somebody who looks into the file with `sqlite3`.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// What a checkpoint leaves of the write-ahead log's file, in bytes; it is larger only after a very large batch.
const WAL_SIZE_LIMIT: i64 = 16 << 20;

/// Prepared statements that are kept: three a table, for more tables than the node has.
const STATEMENT_CACHE: usize = 128;

/// Readable and writable by the owner only: the store holds what the node's API protects.
const FILE_MODE: u32 = 0o600;

/// Each brings the schema from its index to the next version. Never edited once released, only added to.
const MIGRATIONS: [&str; 1] = ["
    CREATE TABLE counters (name TEXT PRIMARY KEY NOT NULL, value INTEGER NOT NULL) STRICT;
    INSERT INTO counters (name, value) VALUES ('generation', 0);
    CREATE TABLE events (
        sequence INTEGER PRIMARY KEY NOT NULL,
        at TEXT NOT NULL,
        kind TEXT NOT NULL,
        subject TEXT NOT NULL,
        data TEXT NOT NULL
    ) STRICT;
"];

/// An open, checked, locked database.
#[derive(Debug)]
pub(crate) struct Database {
    pub(crate) connection: Connection,
    pub(crate) generation: i64,
    pub(crate) events: VecDeque<Event>,
    /// Holds the lock until it is dropped.
    pub(crate) lock: File,
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let lock = lock(path)?;
        create(path)?;
        let mut connection = connect(path).map_err(|e| opening(path, e))?;
        check(&connection, path)?;
        migrate(&mut connection)?;
        let generation = connection
            .query_row("SELECT value FROM counters WHERE name = 'generation'", [], |row| row.get(0))
            .optional()
            .map_err(|e| StoreError::database("read the generation", e))?
            .ok_or_else(|| StoreError::inconsistent("counters", "generation", "it is missing"))?;
        let events = load_events(&connection)?;
        Ok(Self { connection, generation, events, lock })
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let io = |action| move |e| (action, e);
    let open = || {
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(FILE_MODE)
            .open(&lock_path)
            .map_err(io("open the lock file"))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder is a courtesy: whoever can't be named is still in the way.
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Ok(Err(pid));
            }
            Err(TryLockError::Error(e)) => return Err(("lock", e)),
        }
        file.set_len(0).map_err(io("write the lock file"))?;
        file.write_all(format!("{}\n", std::process::id()).as_bytes()).map_err(io("write the lock file"))?;
        Ok(Ok(file))
    };
    open()
        .map_err(|(action, e)| StoreError::io(action, &lock_path, e))?
        .map_err(|pid| StoreError::InUse { path: path.to_path_buf(), pid })
}

/// Makes the file with its mode before SQLite sees it (SQLite gives the write-ahead log the same mode), and makes its
/// name durable.
fn create(path: &Path) -> Result<(), StoreError> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(path)
        .map_err(|e| StoreError::io("open", path, e))?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))
        .map_err(|e| StoreError::io("set the mode of", path, e))?;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| StoreError::io("sync the folder", folder, e))
}

fn connect(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_EXRESCODE;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "journal_size_limit", WAL_SIZE_LIMIT)?;
    Ok(connection)
}

fn opening(path: &Path, source: rusqlite::Error) -> StoreError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => {
            StoreError::Corrupt { path: path.to_path_buf(), detail: source.to_string() }
        }
        Some(_) | None => StoreError::database("open the store", source),
    }
}

/// Reads back what decides about durability, and lets SQLite check the file's structure.
fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get::<_, String>(0));
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let corrupt = |detail| StoreError::Corrupt { path: path.to_path_buf(), detail };
    let health = pragma("quick_check").map_err(|e| opening(path, e))?;
    if health != "ok" {
        return Err(corrupt(health));
    }
    let journal = pragma("journal_mode").map_err(|e| opening(path, e))?;
    let synchronous = number("synchronous").map_err(|e| opening(path, e))?;
    // 2 is FULL (sqlite.org/pragma.html#pragma_synchronous).
    if journal != "wal" || synchronous != 2 {
        let source =
            std::io::Error::other(format!("journal_mode is {journal}, synchronous is {synchronous}"));
        return Err(StoreError::io("write durably to", path, source));
    }
    Ok(())
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let failed = |e| StoreError::database("bring the schema up to date", e);
    let supported = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(failed)?;
    transaction
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS schema_version \
             (version INTEGER PRIMARY KEY NOT NULL, applied_at TEXT NOT NULL) STRICT",
        )
        .map_err(failed)?;
    let found: i64 = transaction
        .query_row("SELECT COALESCE(MAX(version), 0) FROM schema_version", [], |row| row.get(0))
        .map_err(failed)?;
    if found > supported {
        return Err(StoreError::NewerSchema { found, supported });
    }
    for (version, migration) in (1i64..).zip(MIGRATIONS).filter(|(version, _)| *version > found) {
        transaction.execute_batch(migration).map_err(failed)?;
        transaction
            .execute(
                "INSERT INTO schema_version (version, applied_at) VALUES (?1, ?2)",
                (version, Timestamp::now().to_string()),
            )
            .map_err(failed)?;
    }
    transaction.commit().map_err(failed)
}

/// The newest events, oldest first, checked to be consecutive: [`crate::EventLog::since`] computes positions from that.
fn load_events(connection: &Connection) -> Result<VecDeque<Event>, StoreError> {
    let failed = |e| StoreError::database("read the events", e);
    let mut query = connection
        .prepare("SELECT sequence, at, kind, subject, data FROM events ORDER BY sequence DESC LIMIT ?1")
        .map_err(failed)?;
    let limit = i64::try_from(EVENT_RETENTION).unwrap_or(i64::MAX);
    let rows = query
        .query_map([limit], |row| {
            let text = |i| row.get::<_, String>(i);
            Ok((row.get::<_, i64>(0)?, text(1)?, text(2)?, text(3)?, text(4)?))
        })
        .map_err(failed)?;
    let mut events = VecDeque::<Event>::new();
    for row in rows {
        let (sequence, at, kind, subject, data) = row.map_err(failed)?;
        let unreadable = |e| StoreError::unreadable(EVENTS_TABLE, sequence.to_string(), e);
        let data: Value = serde_json::from_str(&data).map_err(unreadable)?;
        let whole = json!({ "sequence": sequence, "at": at, "kind": kind, "subject": subject, "data": data });
        let event: Event = serde_json::from_value(whole).map_err(unreadable)?;
        if events.front().is_some_and(|next| next.sequence != event.sequence + 1) {
            return Err(StoreError::inconsistent(
                EVENTS_TABLE,
                sequence.to_string(),
                "the next event is missing",
            ));
        }
        events.push_front(event);
    }
    Ok(events)
}
