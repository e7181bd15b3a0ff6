//! Starting and stopping the domain.
//!
//! ```text
//! keys ─▶ authorities ─▶ log ─▶ archive and index, caught up ─▶ revocations ─▶ zone ─▶ ACME ─▶ own certificate ─▶ loop
//! ```
//! Each step needs the ones before it and is done again by the next start if a crash comes in between. What derives keys
//! or reads files of any size runs on a blocking thread.

use crate::acme::{self, Link};
use crate::archive::{Archive, ArchiveError};
use crate::auth::Challenges;
use crate::ca::{self, Ca, Files, Lists};
use crate::dns::{self, Gateway};
use crate::error::TrustError;
use crate::files::folder;
use crate::identity;
use crate::index::{CatchUp, Index, Reached, Writer};
use crate::journal::Journal;
use crate::keys::KeyFolder;
use crate::records::{
    AuthorityRecord, AuthorityState, CrlRecord, IdentityRecord, IndexMark, Logged, Revoked,
};
use crate::settings::Settings;
use crate::stats::Counters;
use crate::views::Identity;
use crate::{Inner, TrustChain};
use hypermesh_ctlog::{Log, Signer};
use hypermesh_model::{EventKind, Rollover, Rotation, RotationPolicy, Timestamp, error_chain};
use hypermesh_pki::PrivateKey;
use hypermesh_store::{Batch, Store, Table};
use serde_json::json;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// Entries that may wait for the log: more than callers that wait at once, with room for a burst.
const LOG_QUEUE: usize = 4096;
/// Longest sleep of the loop: clocks jump.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// How long news gather before the loop looks: lists are signed for many revocations at once.
const GATHER: Duration = Duration::from_secs(1);
/// How often ACME's expired records are removed.
const SWEEP_EVERY: Duration = Duration::from_secs(3600);

/// The tables.
#[derive(Debug)]
pub(crate) struct Tables {
    pub(crate) authorities: Table<AuthorityRecord>,
    pub(crate) certificates: Table<Logged>,
    pub(crate) marks: Table<IndexMark>,
    pub(crate) revocations: Table<Revoked>,
    pub(crate) crls: Table<CrlRecord>,
    pub(crate) identity: Table<IdentityRecord>,
    pub(crate) policies: Table<RotationPolicy>,
    pub(crate) rotations: Table<Rotation>,
    pub(crate) rollovers: Table<Rollover>,
}

impl Tables {
    fn open(store: &Store) -> Result<Self, TrustError> {
        let fault = || TrustError::internal("opening the tables");
        Ok(Self {
            authorities: store.table().map_err(fault())?,
            certificates: store.table().map_err(fault())?,
            marks: store.table().map_err(fault())?,
            revocations: store.table().map_err(fault())?,
            crls: store.table().map_err(fault())?,
            identity: store.table().map_err(fault())?,
            policies: store.table().map_err(fault())?,
            rotations: store.table().map_err(fault())?,
            rollovers: store.table().map_err(fault())?,
        })
    }
}

/// The log's key as the log wants it.
struct LogSigner(PrivateKey);

impl Signer for LogSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, hypermesh_ctlog::SignError> {
        self.0.sign(message).map_err(Into::into)
    }

    fn spki_der(&self) -> &[u8] {
        self.0.public().spki_der()
    }
}

/// What is opened on a blocking thread.
struct Opened {
    tables: Tables,
    keys: KeyFolder,
    files: Files,
    ca: Ca,
    log: Log,
    log_key: Vec<u8>,
    archive: Archive,
    journal: Journal,
    reached: Reached,
    zone_key: PrivateKey,
}

fn open_files(settings: &Settings, store: &Store) -> Result<Opened, TrustError> {
    let root = settings.data_dir.join("trustchain");
    let make = |name: &str| {
        let path = root.join(name);
        folder(&path).map_err(TrustError::internal("making the folders"))?;
        Ok::<_, TrustError>(path)
    };
    make("")?;
    let keys = KeyFolder::open(&make("keys")?, settings.passphrase_file.as_deref())
        .map_err(TrustError::internal("opening the keys"))?;
    let tables = Tables::open(store)?;
    let files = Files { folder: make("ca")? };
    let known = tables.authorities.all();
    let (ca, rows) = ca::open(settings, &files, &keys, &known, Timestamp::now())?;
    let mut batch = Batch::new();
    for row in rows {
        batch.event(EventKind::AuthorityCreated, row.id.as_str(), json!({ "level": row.level.name() }));
        batch.put(&tables.authorities, row);
    }
    store.commit_blocking(batch).map_err(TrustError::internal("recording the authorities"))?;
    for issuer in ca.all().filter(|issuer| issuer.state == AuthorityState::Retired) {
        keys.remove(&issuer.key_name()).map_err(TrustError::internal("destroying a retired key"))?;
    }
    let log_key = keys.load_or_make("log").map_err(TrustError::internal("reading the log's key"))?;
    let zone_key = keys.load_or_make("zone").map_err(TrustError::internal("reading the zone's key"))?;
    let log_spki = log_key.public().spki_der().to_vec();
    let log = open_log(settings, &make("log")?, log_key, &ca)?;
    let (archive, reached) = open_archive(&root.join("issued"), &tables, &ca, &log, store)?;
    let journal = open_journal(&root.join("revocations.jsonl"), &tables, store)?;
    Ok(Opened { tables, keys, files, ca, log, log_key: log_spki, archive, journal, reached, zone_key })
}

fn open_log(settings: &Settings, folder: &Path, key: PrivateKey, ca: &Ca) -> Result<Log, TrustError> {
    let log = Log::open(hypermesh_ctlog::Settings {
        folder: folder.to_path_buf(),
        origin: format!("{}/log", settings.zone),
        signer: Arc::new(LogSigner(key)),
        window: settings.log_window,
        queue: LOG_QUEUE,
    })
    .map_err(TrustError::internal("opening the log"))?;
    for issuer in ca.all() {
        log.add_issuer(issuer.certificate.der())
            .map_err(TrustError::internal("telling the log of an authority"))?;
    }
    Ok(log)
}

/// The archive, and the index as far as archive and log are.
fn open_archive(
    path: &Path,
    tables: &Tables,
    ca: &Ca,
    log: &Log,
    store: &Store,
) -> Result<(Archive, Reached), TrustError> {
    let fault = || TrustError::internal("opening the archive of issued certificates");
    let mut before = Reached::from(&tables.marks);
    let mut frames = Vec::new();
    let archive = match Archive::open(path, before.archive.next(), |frame| frames.push(frame)) {
        Err(ArchiveError::Damaged(_)) => {
            // It is shorter than it was: all of it is looked at, and what it lacks comes from the log.
            before = Reached::at(0, 0);
            frames.clear();
            Archive::open(path, 0, |frame| frames.push(frame)).map_err(fault())?
        }
        opened => opened.map_err(fault())?,
    };
    let all = before.log.next() == 0;
    let catch_up =
        CatchUp { ca, log, archive: &archive, store, table: &tables.certificates, marks: &tables.marks };
    let (_, reached, done) = catch_up.run(frames, before.log.next(), all)?;
    if done.written > 0 || done.signed_again > 0 {
        tracing::info!(?done, "the index of certificates caught up with the log");
    }
    Ok((archive, reached))
}

/// The journal of revocations; what it has and the database lacks is entered.
fn open_journal(path: &Path, tables: &Tables, store: &Store) -> Result<Journal, TrustError> {
    let (journal, known) =
        Journal::open(path).map_err(TrustError::internal("opening the revocations' journal"))?;
    let lost: Vec<_> =
        known.into_iter().filter(|it| !tables.revocations.contains(&it.certificate_id)).collect();
    for revocations in lost.chunks(1024) {
        tracing::warn!(count = revocations.len(), "entering revocations that the database has lost");
        let mut batch = Batch::new();
        for revocation in revocations {
            batch.put(&tables.revocations, Revoked(revocation.clone()));
        }
        store.commit_blocking(batch).map_err(TrustError::internal("entering lost revocations"))?;
    }
    Ok(journal)
}

impl TrustChain {
    /// Opens the domain, or makes it at the first start; catches up with the log; starts the zone's server and the loop.
    ///
    /// # Errors
    /// When keys, log, database or the server's addresses can't be used; [`TrustError::Invalid`] for settings that can't be.
    pub async fn open(settings: Settings, store: Store) -> Result<Self, TrustError> {
        let (on_thread, on_store) = (settings.clone(), store.clone());
        let opened = tokio::task::spawn_blocking(move || open_files(&on_thread, &on_store))
            .await
            .map_err(TrustError::internal("waiting for a thread"))??;
        let (index, queue) = Index::new(opened.tables.certificates.clone());
        let (index, archive) = (Arc::new(index), Arc::new(opened.archive));
        let writer = Writer {
            index: Arc::clone(&index),
            archive: Arc::clone(&archive),
            store: store.clone(),
            table: opened.tables.certificates.clone(),
            marks: opened.tables.marks.clone(),
            reached: opened.reached,
        };
        let gateway = Arc::new(Gateway::default());
        let dns = dns::open(&settings, &store, opened.zone_key, Arc::clone(&gateway)).await?;
        let link = Link::default();
        let acme = acme::open(&settings, &store, &link)?;
        let nobody: Arc<Identity> = Arc::new(identity::none_yet()?);
        let domain = Self(Arc::new(Inner {
            managed: settings.data_dir.join("trustchain").join("managed"),
            ca: RwLock::new(Arc::new(opened.ca)),
            tables: opened.tables,
            keys: opened.keys,
            files: opened.files,
            log: opened.log,
            log_key: opened.log_key,
            journal: opened.journal,
            lists: Lists::default(),
            challenges: Challenges::default(),
            counters: Counters::default(),
            identity: watch::channel(nobody).0,
            issuing: tokio::sync::RwLock::new(()),
            rotating: tokio::sync::Mutex::new(()),
            rolling: tokio::sync::Mutex::new(()),
            work: Notify::new(),
            stop_loop: Arc::new(Notify::new()),
            stop_writer: Arc::new(Notify::new()),
            tasks: Mutex::default(),
            settings,
            store,
            archive,
            index,
            dns,
            acme,
        }));
        let written = tokio::spawn(writer.run(queue, Arc::clone(&domain.stop_writer)));
        domain.keep(written);
        gateway.open(&domain);
        link.open(&domain);
        if let Err(error) = domain.open_identity().await {
            domain.stop().await?;
            return Err(error);
        }
        let looped = tokio::spawn(domain.clone().work_for_ever());
        domain.keep(looped);
        Ok(domain)
    }

    fn keep(&self, task: tokio::task::JoinHandle<()>) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).push(task);
    }

    /// Does what is due: lists, rotations, the rollover, ACME's leftovers.
    async fn work_for_ever(self) {
        let mut swept = tokio::time::Instant::now();
        loop {
            self.rotate_due().await;
            self.roll_over_due().await;
            self.refresh_lists().await;
            if swept.elapsed() > SWEEP_EVERY {
                swept = tokio::time::Instant::now();
                if let Err(error) = self.acme.sweep().await {
                    tracing::warn!(error = error_chain(&error), "ACME's expired records were not removed");
                }
            }
            let next = self.next_rotation_work().map(|at| Timestamp::now().until(at));
            // A second at least: what can't be done now is not tried without a pause.
            let sleep = next.unwrap_or(LONGEST_SLEEP).clamp(GATHER, LONGEST_SLEEP);
            tokio::select! {
                () = self.stop_loop.notified() => return,
                () = tokio::time::sleep(sleep) => {}
                () = self.work.notified() => tokio::select! {
                    () = self.stop_loop.notified() => return,
                    () = tokio::time::sleep(GATHER) => {}
                },
            }
        }
    }

    /// Stops the zone's server and the loop, and writes what waits. What is asked afterwards is refused or read.
    ///
    /// # Errors
    /// When a task ended by a panic.
    pub async fn stop(&self) -> Result<(), TrustError> {
        self.stop_loop.notify_one();
        self.stop_writer.notify_one();
        let tasks = std::mem::take(&mut *self.tasks.lock().unwrap_or_else(PoisonError::into_inner));
        for task in tasks {
            task.await.map_err(TrustError::internal("stopping"))?;
        }
        let server = self.dns.server.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(server) = server {
            server.stop().await;
        }
        Ok(())
    }
}
