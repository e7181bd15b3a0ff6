//! The writer: the one thread that changes the database.
//!
//! It takes what waits (up to a bound) and writes it in one transaction, so that the fsync is shared. A batch whose
//! condition does not hold is left out and the others go on; anything that SQLite refuses (a full disk, an I/O error)
//! rolls back the whole group and answers each of its callers with that error. Order after the commit: rows become
//! visible, then events, then callers are answered. It ends when the last handle of the store is gone.

use crate::batch::{ABSENT, Batch};
use crate::error::StoreError;
use crate::event_log::{EVENT_RETENTION, EventLog};
use crate::table::{Gate, TableInfo, write};
use hypermesh_model::{Event, Timestamp};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::{mpsc, oneshot};

/// Batches in one transaction: beyond some hundreds the fsync no longer matters and the first caller waits longer.
const MAX_GROUP_BATCHES: usize = 512;

/// Changes and events after which a group takes no further batch.
const MAX_GROUP_ENTRIES: usize = 4096;

/// What a commit gave its batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Committed {
    /// The generation of every record that the batch put.
    pub generation: u64,
    /// The number of its first event; `None` when it had none.
    pub first_event: Option<u64>,
    /// The number of its last event.
    pub last_event: Option<u64>,
}

/// Rows as stored: id, generation, JSON.
pub(crate) type StoredRows = Vec<(String, i64, String)>;

pub(crate) enum Request {
    Commit(Job),
    /// Makes the table if need be and reads it.
    Load(Arc<TableInfo>, oneshot::Sender<Result<StoredRows, StoreError>>),
}

/// What a batch has to survive when its caller is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Durability {
    /// A crash of this process: it is in the write-ahead log, as the system's cache has it.
    Process,
    /// A crash of the machine: the log was synced.
    Disk,
}

pub(crate) struct Job {
    pub(crate) batch: Batch,
    pub(crate) durability: Durability,
    pub(crate) reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// Counts since the store was opened.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) transactions: AtomicU64,
    pub(crate) batches: AtomicU64,
}

/// The last generation and event number that are on disk. Signed because SQLite's integers are; never negative.
#[derive(Debug, Clone, Copy)]
struct Counters {
    generation: i64,
    sequence: i64,
}

/// What a batch gets if its group is committed.
struct Plan {
    generation: u64,
    events: Vec<Event>,
}

pub(crate) struct Writer {
    connection: Connection,
    requests: mpsc::Receiver<Request>,
    gate: Gate,
    events: EventLog,
    counters: Counters,
    counts: Arc<Counts>,
    /// As the connection is set now; it is opened with `FULL`.
    durability: Durability,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        generation: i64,
        requests: mpsc::Receiver<Request>,
        gate: Gate,
        events: EventLog,
        counts: Arc<Counts>,
    ) -> Self {
        let sequence = i64::try_from(events.last_sequence()).unwrap_or(i64::MAX);
        let counters = Counters { generation, sequence };
        Self { connection, requests, gate, events, counters, counts, durability: Durability::Disk }
    }

    pub(crate) fn run(mut self) {
        while let Some(first) = self.requests.blocking_recv() {
            let jobs = self.gather(first);
            if !jobs.is_empty() {
                self.commit(jobs);
            }
        }
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(
                error = &error as &dyn Error,
                "closing the store failed; its log is replayed at the next start"
            );
        }
    }

    /// Everything that waits now, within the bounds of a group. Loads are answered on the way.
    fn gather(&mut self, first: Request) -> Vec<Job> {
        let mut jobs = Vec::new();
        let mut entries = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Commit(job) => {
                    entries += job.batch.entries();
                    jobs.push(job);
                }
                Request::Load(table, reply) => {
                    let rows =
                        load(&self.connection, &table).map_err(|e| StoreError::database("read a table", e));
                    // A caller that went away needs no answer; the same below.
                    let _ = reply.send(rows);
                }
            }
            let full = jobs.len() >= MAX_GROUP_BATCHES || entries >= MAX_GROUP_ENTRIES;
            next = if full { None } else { self.requests.try_recv().ok() };
        }
        jobs
    }

    fn commit(&mut self, mut jobs: Vec<Job>) {
        match self.write_group(&mut jobs) {
            Ok(plans) => self.publish(jobs, plans),
            Err(error) => {
                let error = StoreError::database("commit", error);
                tracing::error!(
                    error = &error as &dyn Error,
                    batches = jobs.len(),
                    "a group of batches was not committed"
                );
                for job in jobs {
                    let _ = job.reply.send(Err(error.clone()));
                }
            }
        }
    }

    /// One transaction. Each batch's plan or why it was left out, in order.
    fn write_group(&mut self, jobs: &mut [Job]) -> rusqlite::Result<Vec<Result<Plan, StoreError>>> {
        let durability = jobs.iter().map(|job| job.durability).max().unwrap_or(Durability::Disk);
        self.set_durability(durability)?;
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let at = Timestamp::now();
        let mut counters = self.counters;
        let mut plans = Vec::with_capacity(jobs.len());
        for job in jobs {
            plans.push(match conflict(&transaction, &job.batch)? {
                Some(conflict) => Err(conflict),
                None => Ok(write_batch(&transaction, &mut job.batch, &mut counters, at)?),
            });
        }
        let written = plans.iter().filter(|plan| plan.is_ok()).count();
        if written == 0 {
            return Ok(plans);
        }
        transaction
            .prepare_cached("UPDATE counters SET value = ?1 WHERE name = 'generation'")?
            .execute([counters.generation])?;
        if counters.sequence > self.counters.sequence {
            let kept = i64::try_from(EVENT_RETENTION).unwrap_or(i64::MAX);
            transaction
                .prepare_cached("DELETE FROM events WHERE sequence <= ?1")?
                .execute([counters.sequence.saturating_sub(kept)])?;
        }
        transaction.commit()?;
        self.counters = counters;
        self.counts.transactions.fetch_add(1, Ordering::Relaxed);
        self.counts.batches.fetch_add(written as u64, Ordering::Relaxed);
        Ok(plans)
    }

    /// In WAL mode `FULL` syncs the log at each commit and `NORMAL` only at a checkpoint (sqlite.org/pragma.html). What
    /// a group of the second kind wrote is synced with the next of the first, since it is earlier in the same log.
    fn set_durability(&mut self, durability: Durability) -> rusqlite::Result<()> {
        if self.durability != durability {
            let level = match durability {
                Durability::Process => "NORMAL",
                Durability::Disk => "FULL",
            };
            self.connection.pragma_update(None, "synchronous", level)?;
            self.durability = durability;
        }
        Ok(())
    }

    fn publish(&self, jobs: Vec<Job>, plans: Vec<Result<Plan, StoreError>>) {
        let mut answers = Vec::with_capacity(jobs.len());
        let mut events = Vec::new();
        {
            let _no_readers = write(&self.gate);
            for (job, plan) in jobs.into_iter().zip(plans) {
                answers.push((job.reply, plan.map(|plan| show(job.batch, plan, &mut events))));
            }
        }
        self.events.publish(events);
        for (reply, answer) in answers {
            let _ = reply.send(answer);
        }
    }
}

/// Makes one batch's rows visible and hands out its events.
fn show(batch: Batch, plan: Plan, events: &mut Vec<Event>) -> Committed {
    for change in batch.changes {
        (change.publish)(plan.generation);
    }
    let committed = Committed {
        generation: plan.generation,
        first_event: plan.events.first().map(|event| event.sequence),
        last_event: plan.events.last().map(|event| event.sequence),
    };
    events.extend(plan.events);
    committed
}

fn load(connection: &Connection, table: &TableInfo) -> rusqlite::Result<StoredRows> {
    connection.execute_batch(&table.create)?;
    let mut query = connection.prepare(&table.load)?;
    let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// The first of the batch's conditions that does not hold, earlier batches of the group counted.
fn conflict(transaction: &Transaction<'_>, batch: &Batch) -> rusqlite::Result<Option<StoreError>> {
    for change in &batch.changes {
        let Some(expected) = change.expected else { continue };
        let stored: Option<i64> = transaction
            .prepare_cached(&change.table.generation)?
            .query_row([&change.id], |row| row.get(0))
            .optional()?;
        let actual = stored.map_or(ABSENT, i64::unsigned_abs);
        if actual != expected {
            let (table, id) = (change.table.name, change.id.clone());
            return Ok(Some(StoreError::Conflict { table, id, expected, actual }));
        }
    }
    Ok(None)
}

fn write_batch(
    transaction: &Transaction<'_>,
    batch: &mut Batch,
    counters: &mut Counters,
    at: Timestamp,
) -> rusqlite::Result<Plan> {
    counters.generation += 1;
    for change in &batch.changes {
        match &change.body {
            Some(body) => transaction.prepare_cached(&change.table.put)?.execute((
                &change.id,
                counters.generation,
                body,
            ))?,
            None => transaction.prepare_cached(&change.table.delete)?.execute([&change.id])?,
        };
    }
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events (sequence, at, kind, subject, data) VALUES (?1, ?2, ?3, ?4, ?5)",
    )?;
    let mut events = Vec::with_capacity(batch.events.len());
    for new in batch.events.drain(..) {
        counters.sequence += 1;
        insert.execute((counters.sequence, at.to_string(), new.kind.name(), &new.subject, &new.text))?;
        let sequence = counters.sequence.unsigned_abs();
        events.push(Event { sequence, at, kind: new.kind, subject: new.subject, data: new.data });
    }
    Ok(Plan { generation: counters.generation.unsigned_abs(), events })
}
